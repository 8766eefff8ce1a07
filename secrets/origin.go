package secrets

import (
	"context"
	"fmt"
	"reflect"
)

// origin is a provider in use, and what is known of its service.
type origin struct {
	provider Provider
	leaser   Leaser // nil when it has no leases
	number   uint64 // of no other
	breaker  breaker
	uses     int // by brokers whose own it is, and by leases; core.mu is held
}

// identical reports whether two providers are one. Values that cannot be compared are not.
func identical(a, b Provider) bool {
	return reflect.ValueOf(a).Comparable() && a == b
}

// resolve asks the provider, and accepts only what can be used.
func (o *origin) resolve(ctx context.Context, ref Ref, u Use) (*Value, error) {
	v, err := o.provider.Resolve(ctx, ref, u)
	if err == nil {
		if err = v.usable(); err != nil {
			o.giveBack(v)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("secret from %s: %w", ref.Scheme, err)
	}
	return v, nil
}

// giveBack revokes the lease of a value that nobody uses. Its service ends a lease that could
// not be revoked in its own time.
func (o *origin) giveBack(v *Value) {
	if o.leaser == nil || v.Lease == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), defaultTimeout)
	defer cancel()
	_ = o.leaser.Revoke(ctx, v.Lease)
}

// leave ends a use of o. A provider of the broker's own is closed with the last.
func (c *core) leave(o *origin) {
	c.mu.Lock()
	o.uses--
	last := o.uses == 0 && c.owned[o]
	if last {
		delete(c.owned, o)
	}
	c.mu.Unlock()
	if last {
		o.close()
	}
}

func (o *origin) close() {
	if c, ok := o.provider.(interface{ Close() }); ok {
		c.Close()
	}
}
