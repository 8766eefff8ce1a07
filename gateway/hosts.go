package gateway

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/gateway/config"
	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/internal/firstseen"
	"github.com/sallyport/sallyport/protocol"
	"github.com/sallyport/sallyport/proxy"
)

// hosts are the resources of one protocol that are known by what they showed when they were first reached, their keys. They are kept
// twice: in the store, for all gateways on it, and in the gateway's own file, as what it has seen itself. What the two say together
// counts: who can write into the store cannot change what a gateway has seen, and a gateway that has seen nothing yet knows what the
// others have seen. Hosts are a [protocol.FirstSeen].
type hosts struct {
	*Gateway
	protocol string
	file     *firstseen.File
}

// kindHostKey is the kind of the documents of hosts, which are sealed. Their names are PROTOCOL/RESOURCE.
const kindHostKey = "host-key"

// maxForgotten bounds the keys that stay known as forgotten, for each resource.
const maxForgotten = 16

// hostsWait bounds the questions to the store for one connection, hostsRead those for all resources.
const (
	hostsWait = 3 * time.Second
	hostsRead = 20 * time.Second
)

// hostKey is what the store knows of a resource.
type hostKey struct {
	Key       []byte         `json:"key,omitempty"` // nil: the next that it shows is trusted
	Since     time.Time      `json:"since,omitzero"`
	Forgotten int            `json:"forgotten,omitempty"` // how often an administrator has had a key forgotten
	Before    []forgottenKey `json:"before,omitempty"`    // those keys, the latest last
}

// forgottenKey is a key that an administrator has had forgotten.
type forgottenKey struct {
	Key    []byte    `json:"key"`
	Count  int       `json:"count"` // hostKey.Forgotten since then
	At     time.Time `json:"at"`
	By     string    `json:"by"`
	Reason string    `json:"reason"`
}

// forgets returns how the key of a sight was forgotten, if that was after the sight: a key that was trusted again is not
// forgotten by what was said before.
func (k *hostKey) forgets(s firstseen.Sight) *forgottenKey {
	for i := range k.Before {
		if b := &k.Before[i]; b.Count > s.Forgotten && bytes.Equal(b.Key, s.Seen) {
			return b
		}
	}
	return nil
}

// settle returns what a gateway knows that has known here, once the store says k, and whether the store is to be told. What the
// gateway has seen itself changes by an administrator's word alone.
func (k *hostKey) settle(here firstseen.Sight) (after firstseen.Sight, tell bool, err error) {
	latest := max(k.Forgotten, here.Forgotten)
	forgotten := here.Seen != nil && k.forgets(here) != nil
	setBack := k.Forgotten < here.Forgotten // the gateway has heard more from the store than is there
	switch {
	case k.Key == nil && (here.Seen == nil || forgotten):
		return firstseen.Sight{Forgotten: latest}, false, nil
	case k.Key == nil:
		return firstseen.Sight{Seen: here.Seen, Forgotten: latest}, true, nil
	case bytes.Equal(here.Seen, k.Key):
		return firstseen.Sight{Seen: here.Seen, Forgotten: latest}, setBack, nil
	case here.Seen == nil && setBack:
		return here, false, fmt.Errorf("the store knows the key %s, and a key was forgotten since: the store was set back", fingerprint(k.Key))
	case here.Seen == nil || forgotten:
		return firstseen.Sight{Seen: k.Key, Forgotten: latest}, false, nil
	}
	return here, false, fmt.Errorf("this gateway knows the key %s, and the store the key %s: somebody has changed one of them", fingerprint(here.Seen), fingerprint(k.Key))
}

// fingerprint is that of a key, as SSH has it.
func fingerprint(key []byte) string {
	if key == nil {
		return ""
	}
	sum := sha256.Sum256(key)
	return "SHA256:" + base64.RawStdEncoding.EncodeToString(sum[:])
}

// whatToDo ends an error about what is known of a resource.
func whatToDo(resource string) string {
	return `: compare with the key of the host itself; when you know what it is, have the others forgotten by "sallyport admin hosts forget ` + resource + `"`
}

// Known implements [protocol.FirstSeen].
func (h *hosts) Known(ctx context.Context, resource string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, hostsWait)
	defer cancel()
	s, err := h.settle(ctx, resource)
	if err != nil {
		return nil, h.refused(resource, s.here, err)
	}
	return s.here.Seen, nil
}

// Remember implements [protocol.FirstSeen].
func (h *hosts) Remember(ctx context.Context, resource string, key []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, hostsWait)
	defer cancel()
	for {
		s, err := h.settle(ctx, resource)
		if err != nil {
			return nil, h.refused(resource, s.here, err)
		}
		if s.here.Seen != nil {
			return s.here.Seen, nil
		}
		seen := firstseen.Sight{Seen: key, Forgotten: s.here.Forgotten}
		err = h.tell(ctx, resource, s, seen, "it was reached for the first time")
		if errors.Is(err, identity.ErrConflict) {
			continue // another gateway has reached it
		}
		if err != nil {
			return nil, err
		}
		if kept, err := h.file.Swap(resource, s.here, seen); kept || err != nil {
			return key, err
		}
	}
}

// settled is what is known of a resource once the gateway and the store agree.
type settled struct {
	here    firstseen.Sight
	there   hostKey
	version int64 // of the store's document; 0: there is none
}

// settle has the gateway and the store say the same of a resource, and returns that. While the store does not answer, what the
// gateway has seen counts.
func (h *hosts) settle(ctx context.Context, resource string) (settled, error) {
	for {
		here, err := h.file.Get(resource)
		if err != nil {
			return settled{}, err
		}
		s := settled{here: here}
		if s.there, s.version, err = h.load(ctx, resource); err != nil {
			if here.Seen != nil && errors.Is(err, proxy.ErrUnavailable) {
				err = nil
			}
			return s, err
		}
		after, tell, err := s.there.settle(here)
		if err != nil {
			return s, fmt.Errorf("%w%s", err, whatToDo(resource))
		}
		if tell {
			switch err := h.tell(ctx, resource, s, after, "this gateway has seen it before"); {
			case errors.Is(err, identity.ErrConflict):
				continue
			case errors.Is(err, proxy.ErrUnavailable):
				return s, nil
			case err != nil:
				return s, err
			}
		}
		if kept, err := h.keep(resource, s, after); err != nil {
			return s, err
		} else if kept && !tell {
			s.here = after
			return s, nil
		}
	}
}

// keep has the gateway know of a resource what is known after it was settled, if it knows what it knew then.
func (h *hosts) keep(resource string, s settled, after firstseen.Sight) (bool, error) {
	if s.here.Equal(after) {
		return true, nil
	}
	if f := s.there.forgets(s.here); f != nil && !bytes.Equal(s.here.Seen, after.Seen) {
		key := fingerprint(s.here.Seen)
		if err := h.records.Host(audit.HostEvent{Type: audit.HostForgotten, Resource: resource, Key: key, By: f.By, Reason: f.Reason}); err != nil {
			return false, err
		}
		h.log.Info("a resource's key is forgotten", "resource", resource, "key", key, "by", f.By, "reason", f.Reason)
	}
	return h.file.Swap(resource, s.here, after)
}

// tell writes into the store what the gateway has seen, once it is on record.
func (h *hosts) tell(ctx context.Context, resource string, s settled, seen firstseen.Sight, why string) error {
	key := fingerprint(seen.Seen)
	if err := h.records.Host(audit.HostEvent{Type: audit.HostTrusted, Resource: resource, Key: key, Reason: why}); err != nil {
		return err
	}
	now := s.there
	now.Key, now.Since, now.Forgotten = seen.Seen, time.Now().UTC(), seen.Forgotten
	if err := h.save(ctx, resource, s.version, now); err != nil {
		return err
	}
	h.log.Info("a resource's key is trusted by all gateways from now on", "resource", resource, "key", key, "reason", why)
	return nil
}

// refused records that it is not known which key of a resource counts, and returns why.
func (h *hosts) refused(resource string, here firstseen.Sight, why error) error {
	err := h.records.Host(audit.HostEvent{Type: audit.HostRefused, Resource: resource, Key: fingerprint(here.Seen), Err: why})
	return errors.Join(why, err)
}

func (h *hosts) document(resource string) string { return h.protocol + "/" + resource }

// load reads what the store knows of a resource. The version counts with identity.ErrSealed, too.
func (h *hosts) load(ctx context.Context, resource string) (k hostKey, version int64, err error) {
	d, err := h.state.documents.Get(ctx, kindHostKey, h.document(resource))
	if errors.Is(err, identity.ErrNoDocument) {
		return k, 0, nil
	}
	if err != nil {
		return k, 0, fmt.Errorf("reading from the store by which key %s is known: %w", resource, err)
	}
	k, err = h.open(resource, d)
	return k, d.Version, err
}

// open reads a document. One that was not sealed for the resource says nothing.
func (h *hosts) open(resource string, d identity.Document) (k hostKey, err error) {
	var sealed []byte
	if json.Unmarshal(d.Body, &sealed) != nil {
		err = identity.ErrSealed
	}
	var plain []byte
	if err == nil {
		plain, err = h.state.sealer.Open(sealed, kindHostKey+" "+h.document(resource))
	}
	if err == nil {
		err = json.Unmarshal(plain, &k)
	}
	if err != nil {
		return hostKey{}, fmt.Errorf("what the store knows of %s was not written there by a gateway: %w%s", resource, err, whatToDo(resource))
	}
	return k, nil
}

// save writes what the store knows of a resource, if it has the version that was read.
func (h *hosts) save(ctx context.Context, resource string, version int64, k hostKey) error {
	plain, err := json.Marshal(k)
	if err != nil {
		return err
	}
	d := identity.Document{Name: h.document(resource), Version: version}
	sealed, err := h.state.sealer.Seal(plain, kindHostKey+" "+d.Name)
	if err != nil {
		return err
	}
	if d.Body, err = json.Marshal(sealed); err != nil {
		return err
	}
	if _, err = h.state.documents.Write(ctx, kindHostKey, d); err != nil {
		return fmt.Errorf("writing into the store by which key %s is known: %w", resource, err)
	}
	return nil
}

// hostsOf are the hosts of all protocols that are open. It is safe for concurrent use.
type hostsOf struct {
	mu  sync.Mutex
	all []*hosts
}

// firstSeen opens the hosts of a protocol.
func (g *Gateway) firstSeen(f *config.File, of string) protocol.FirstSeen {
	h := &hosts{g, of, firstseen.At(filepath.Join(Dir(f, of), protocol.FirstSeenFile))}
	g.hosts.mu.Lock()
	defer g.hosts.mu.Unlock()
	g.hosts.all = append(g.hosts.all, h)
	return h
}

func (o *hostsOf) list() []*hosts {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.all[:len(o.all):len(o.all)]
}

// follow has the gateway know what the store says now of the resource of a document, before it is connected to: what is set back
// in the store afterwards is seen then.
func (o *hostsOf) follow(ctx context.Context, document string) error {
	of, resource, _ := strings.Cut(document, "/")
	for _, h := range o.list() {
		if h.protocol == of {
			return h.follow(ctx, resource)
		}
	}
	return nil
}

func (h *hosts) follow(ctx context.Context, resource string) error {
	ctx, cancel := context.WithTimeout(ctx, hostsWait)
	defer cancel()
	_, err := h.settle(ctx, resource)
	if errors.Is(err, proxy.ErrUnavailable) {
		return err
	}
	if err != nil {
		h.log.Warn("a resource cannot be connected to: it is not known which key of it counts", "resource", resource, "err", err)
	}
	return nil
}

// load follows all resources that the store or the gateway knows.
func (o *hostsOf) load(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, hostsRead)
	defer cancel()
	for _, h := range o.list() {
		known, err := h.file.All()
		if err != nil {
			return err
		}
		err = identity.All(ctx, h.state.documents, kindHostKey, func(d identity.Document) bool {
			if resource, ok := strings.CutPrefix(d.Name, h.protocol+"/"); ok {
				if _, has := known[resource]; !has {
					known[resource] = firstseen.Sight{}
				}
				k, err := h.open(resource, d)
				if after, tell, bad := k.settle(known[resource]); err == nil && bad == nil && !tell && after.Equal(known[resource]) {
					delete(known, resource) // as most are
				}
			}
			return true
		})
		if err != nil {
			return err
		}
		for resource := range known {
			if err := h.follow(ctx, resource); err != nil {
				return err
			}
		}
	}
	return nil
}
