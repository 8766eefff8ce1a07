package mcp

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/sallyport/sallyport/control"
	"github.com/sallyport/sallyport/proxy"
)

// via is how agents came, in records.
const via = "mcp"

// grace is how long a call waits for a decision that comes at once, such as one that was made before.
const grace = time.Second

// visit is one call's session at a resource: who it is opened for, and what was decided there.
type visit struct {
	agent    *control.AIAgent
	resource string

	mu      sync.Mutex
	session string
	parked  *proxy.Pending // it waits still
	refused *proxy.Verdict // the last refusal
	connect bool           // that of connecting
	masked  []masked
}

// masked are values of one kind that were masked.
type masked struct {
	Class string `json:"class"`
	Rule  string `json:"rule,omitempty"`
	Count uint64 `json:"count"`
}

func (v *visit) client() *proxy.Client {
	return &proxy.Client{Identity: v.agent.Identity, Via: via, Opened: v.opened, Held: v.held, Noted: v.noted, Refused: v.denied}
}

func (v *visit) target(account string) control.ClientTarget {
	return control.ClientTarget{Resource: v.resource, Account: account, Remote: remote(v.agent.Remote)}
}

// remote is where a request came from.
func remote(at string) net.Addr {
	a, err := netip.ParseAddrPort(at)
	if err != nil {
		return &net.TCPAddr{IP: net.IPv4zero} // nowhere that a rule names
	}
	return net.TCPAddrFromAddrPort(a)
}

func (v *visit) opened(s *proxy.Session) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.session = s.ID
}

// held has an operation wait no longer than the grace. Its request goes on after that: the same call uses what was
// decided.
func (v *visit) held(_ proxy.Op, p *proxy.Pending) {
	wait := p.Wait
	p.Wait = func(ctx context.Context) proxy.Verdict {
		ctx, park := context.WithCancelCause(ctx)
		defer park(nil)
		t := time.AfterFunc(grace, func() { park(proxy.ErrParked) })
		defer t.Stop()
		got := wait(ctx)
		if got.Refuses() && errors.Is(context.Cause(ctx), proxy.ErrParked) {
			v.mu.Lock()
			defer v.mu.Unlock()
			v.parked = p
		}
		return got
	}
}

func (v *visit) noted(_ proxy.Op, n *proxy.Note) {
	if n.Kind != proxy.NoteMasked {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	i := slices.IndexFunc(v.masked, func(m masked) bool { return m.Class == n.Type && m.Rule == n.Rule })
	if i < 0 {
		v.masked, i = append(v.masked, masked{Class: n.Type, Rule: n.Rule}), len(v.masked)
	}
	v.masked[i].Count += n.Count
}

func (v *visit) denied(op proxy.Op, verdict *proxy.Verdict) {
	v.mu.Lock()
	defer v.mu.Unlock()
	own := *verdict
	v.refused, v.connect = &own, op.Info().Kind == proxy.KindConnect
}

// decided is the answer where the call did not run, because it waits or is refused; nil: neither.
func (v *visit) decided() *answer {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch {
	case v.parked != nil:
		return parked(v.agent, v.parked)
	case v.refused == nil:
		return nil
	case v.connect && v.refused.Cause == proxy.CausePolicy:
		return unreachable(v.resource)
	}
	out := denied(v.refused)
	out.Session = v.session
	return out
}

// over is the answer to a session that could not be opened, or that has ended.
func (v *visit) over(err error) *answer {
	if a := v.decided(); a != nil {
		return a
	}
	if errors.Is(err, proxy.ErrNotFound) {
		return unreachable(v.resource)
	}
	out := failed(err)
	out.Session = v.session
	return out
}
