package gateway

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/control"
	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/internal/firstseen"
	"github.com/sallyport/sallyport/proxy"
)

// List implements [control.Hosts].
func (o *hostsOf) List(ctx context.Context) (list []control.Host, err error) {
	for _, h := range o.list() {
		own, err := h.file.All()
		if err != nil {
			return nil, err
		}
		err = identity.All(ctx, h.state.documents, kindHostKey, func(d identity.Document) bool {
			if resource, ok := strings.CutPrefix(d.Name, h.protocol+"/"); ok {
				k, err := h.open(resource, d)
				list = append(list, h.shown(resource, own[resource], k, err))
				delete(own, resource)
			}
			return true
		})
		if err != nil {
			return nil, err
		}
		for _, resource := range slices.Sorted(maps.Keys(own)) {
			list = append(list, h.shown(resource, own[resource], hostKey{}, nil))
		}
	}
	slices.SortFunc(list, func(a, b control.Host) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Protocol, b.Protocol))
	})
	return list, nil
}

// shown is what is known of a resource as administrators see it.
func (h *hosts) shown(resource string, here firstseen.Sight, k hostKey, unread error) control.Host {
	out := control.Host{Name: resource, Protocol: h.protocol, Key: fingerprint(k.Key), Trusted: k.Since}
	for _, b := range k.Before {
		out.Forgotten = append(out.Forgotten, control.ForgottenKey{Key: fingerprint(b.Key), At: b.At, By: b.By, Reason: b.Reason})
	}
	err := unread
	if err == nil {
		_, _, err = k.settle(here)
	}
	if err != nil {
		out.Error = err.Error()
	}
	if here.Seen != nil && k.forgets(here) == nil && !bytes.Equal(here.Seen, k.Key) {
		out.Here = fingerprint(here.Seen)
	}
	return out
}

// Forget implements [control.Hosts].
func (o *hostsOf) Forget(ctx context.Context, resource, by, reason string, record func(keys []string) error) (*control.Host, error) {
	for _, h := range o.list() {
		host, err := h.forget(ctx, resource, forgottenKey{At: time.Now().UTC(), By: by, Reason: reason}, record)
		if host != nil || err != nil {
			return host, told(err)
		}
	}
	return nil, control.NotFound("no key of " + resource + " is known: the one that it shows when it is reached next is trusted, if its settings say so")
}

// told is err as the API tells it.
func told(err error) error {
	switch {
	case errors.Is(err, identity.ErrConflict):
		return &control.Error{Status: http.StatusConflict, Code: control.CodeConflict, Message: "what is known of the host has changed meanwhile: look at it, and ask again"}
	case errors.Is(err, proxy.ErrUnavailable):
		return &control.Error{Status: http.StatusServiceUnavailable, Code: control.CodeUnavailable, Message: "the store does not answer: nothing was forgotten; ask again"}
	}
	return err
}

// forget has all gateways forget by which keys the store and this gateway know a resource. It returns nil where neither knows any.
func (h *hosts) forget(ctx context.Context, resource string, why forgottenKey, record func(keys []string) error) (*control.Host, error) {
	ctx, cancel := context.WithTimeout(ctx, hostsWait)
	defer cancel()
	here, err := h.file.Get(resource)
	if err != nil {
		return nil, err
	}
	there, version, err := h.load(ctx, resource)
	unread := errors.Is(err, identity.ErrSealed) // whatever it is, it goes
	if err != nil && !unread {
		return nil, err
	}
	now := hostKey{Forgotten: max(there.Forgotten, here.Forgotten) + 1, Before: there.Before}
	var keys []string
	for _, key := range [][]byte{there.Key, here.Seen} {
		if print := fingerprint(key); key != nil && !slices.Contains(keys, print) {
			keys = append(keys, print)
			why.Key, why.Count = key, now.Forgotten
			now.Before = append(now.Before, why)
		}
	}
	if len(keys) == 0 && !unread {
		return nil, nil
	}
	now.Before = now.Before[max(0, len(now.Before)-maxForgotten):]
	if err := record(keys); err != nil {
		return nil, err
	}
	if err := h.save(ctx, resource, version, now); err != nil {
		return nil, err
	}
	s, err := h.settle(ctx, resource)
	if err != nil {
		return nil, err
	}
	out := h.shown(resource, s.here, s.there, nil)
	return &out, nil
}
