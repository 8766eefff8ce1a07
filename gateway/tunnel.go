package gateway

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/control"
	"github.com/sallyport/sallyport/gateway/config"
	"github.com/sallyport/sallyport/identity/ca"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/proxy/tunnel"
	"github.com/sallyport/sallyport/proxy/tunnel/websocket"
	"github.com/sallyport/sallyport/store"
)

// agents are those that dial out: where they come in, and what they are known by.
type agents struct {
	*Gateway
	server   *tunnel.Server
	registry *ca.Agents
	address  string // at which agents reach this gateway; may be empty

	mu    sync.Mutex
	cert  *tls.Certificate     // that agents are shown; nil: none was made yet
	known []string             // addresses of all gateways
	ended map[string]time.Time // agents whose revocation is on record, with its time
}

// kindTunnel is the kind of the documents that say where agents reach the gateways that are there.
const kindTunnel = "tunnel-gateway"

// openAgents has agents come in, where f says so.
func (g *Gateway) openAgents(ctx context.Context, f *config.File) error {
	if f.Tunnel.Listen == "" {
		return nil
	}
	authority, err := ca.OpenAuthority(ctx, ca.ForAgents, g.state.authorities())
	if err != nil {
		return err
	}
	a := &agents{Gateway: g, registry: &ca.Agents{Authority: authority, Documents: g.state.documents}, address: f.Tunnel.Address}
	a.server = &tunnel.Server{
		Registry: a.registry, Certificate: a.certificate, Roots: authority.Pool, Gateways: a.gateways,
		Address: f.Tunnel.Address, ID: rand.Text(), Program: g.options.Version, Log: g.log, OnEvent: a.event,
	}
	a.server.Upgrade = websocket.Upgrade(a.server)
	if _, err := a.certificate(); err != nil {
		return err
	}
	g.agents = a
	g.control.Agents = a.list
	g.gateway.Via = func(name string) (proxy.Dialer, error) { return a.server.Dialer(name), nil }
	g.closers = append(g.closers, func() error { a.server.Close(); return nil })
	return nil
}

// OpenAgents opens what enrols agents of a gateway of f, whether that runs or not. closing ends it.
func OpenAgents(ctx context.Context, f *config.File, o Options) (registry *ca.Agents, closing func() error, err error) {
	s, closing, err := openApart(ctx, f, o)
	if err != nil {
		return nil, nil, err
	}
	authority, err := ca.OpenAuthority(ctx, ca.ForAgents, s.authorities())
	if err != nil {
		return nil, nil, errors.Join(err, closing())
	}
	return &ca.Agents{Authority: authority, Documents: s.documents}, closing, nil
}

// Agents returns what is known of the agents that have been connected to this gateway.
func (g *Gateway) Agents() []tunnel.Status {
	if g.agents == nil {
		return nil
	}
	return g.agents.server.Agents()
}

// AgentsAddr returns the address of the listener for agents. It is nil where the config names none, or Listen was not
// called.
func (g *Gateway) AgentsAddr() net.Addr {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.tunnel == nil {
		return nil
	}
	return g.tunnel.Addr()
}

// certificate returns what agents are shown, which is made anew when a third of its life is left, or another
// key signs.
func (a *agents) certificate() (*tls.Certificate, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.cert != nil {
		leaf := a.cert.Leaf
		if a.registry.Authority.Signs(leaf) && time.Until(leaf.NotAfter) > leaf.NotAfter.Sub(leaf.NotBefore)/3 {
			return a.cert, nil
		}
	}
	cert, err := a.registry.Gateway(tunnel.ServerName)
	if err != nil {
		return nil, err
	}
	a.cert = &cert
	return a.cert, nil
}

// follow asks about connected agents again, of these names or all.
func (a *agents) follow(ctx context.Context, names ...string) error {
	if a == nil {
		return nil
	}
	return a.server.Recheck(ctx, names...)
}

// changed follows a change of what is kept of one agent.
func (a *agents) changed(ctx context.Context, name string) error {
	if a == nil {
		return nil
	}
	err := a.follow(ctx, name)
	st, kept := a.registry.Agent(ctx, name)
	switch {
	case errors.Is(kept, ca.ErrNoAgent):
		return err
	case kept != nil:
		return errors.Join(err, kept)
	}
	a.mu.Lock()
	told := st.Revoked.IsZero() || a.ended[name].Equal(st.Revoked)
	if !told {
		if a.ended == nil {
			a.ended = make(map[string]time.Time)
		}
		a.ended[name] = st.Revoked
	}
	a.mu.Unlock()
	if !told {
		a.records.Agent(audit.AgentEvent{Type: audit.TunnelRevoked, Agent: name, By: st.RevokedBy, Reason: st.Reason})
	}
	return err
}

// eventTypes are how events of agents are recorded. Others are what was refused.
var eventTypes = map[tunnel.EventKind]string{
	tunnel.EventConnected: audit.TunnelConnected, tunnel.EventLost: audit.TunnelLost,
	tunnel.EventEnrolled: audit.TunnelEnrolled, tunnel.EventRenewed: audit.TunnelRenewed,
}

// event records an event of an agent. What anybody can cause is reported as logins are, of which a bounded number is told.
func (a *agents) event(e tunnel.Event) {
	typ := eventTypes[e.Kind]
	if typ == "" {
		a.gateway.Report(proxy.Event{Kind: proxy.EventLoginFailed, Protocol: "tunnel", Remote: e.Remote, User: e.Agent, Err: e.Err})
		return
	}
	out := audit.AgentEvent{Type: typ, Agent: e.Agent, Remote: e.Remote.String(), Err: e.Err}
	if e.Kind == tunnel.EventEnrolled {
		ctx, cancel := context.WithTimeout(context.Background(), placesAsked)
		defer cancel()
		if st, err := a.registry.Agent(ctx, e.Agent); err == nil { // else it is not known who made the token
			out.By = st.By
		}
	}
	a.records.Agent(out)
}

// list returns what is known of all agents, for the API.
func (a *agents) list(ctx context.Context) ([]control.Agent, error) {
	kept, err := a.registry.List(ctx)
	if err != nil {
		return nil, err
	}
	seen := make(map[string]tunnel.Status)
	for _, s := range a.server.Agents() {
		seen[s.Agent] = s
	}
	var list []control.Agent
	for _, k := range kept {
		s := seen[k.Name]
		list = append(list, control.Agent{
			Name: k.Name, Enrolled: k.Enrolled, By: k.By, From: k.From, Expires: k.Expires, Revoked: k.Revoked, Reason: k.Reason,
			Connected: s.Connected, Since: s.Since, Heard: s.Heard, Remote: s.Remote, Program: s.Program, Host: s.Host, Sessions: s.Sessions,
		})
	}
	return list, nil
}

// drain tells agents that the gateway ends.
func (a *agents) drain() {
	if a != nil {
		a.server.Drain()
	}
}

// gateways returns the addresses of all gateways that have said theirs.
func (a *agents) gateways() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.known
}

// tunnelPlace is a document of kindTunnel.
type tunnelPlace struct {
	Address string `json:"address"`
}

// keepPlaces has the store know where agents reach this gateway, and agents where they reach all of them,
// until ctx ends.
func (a *agents) keepPlaces(ctx context.Context) {
	said := true
	for ; ctx.Err() == nil; pause(ctx, aliveEvery) {
		err := a.place(ctx)
		if said != (err == nil) && ctx.Err() == nil {
			if said = err == nil; !said {
				a.log.Warn("the store cannot be told where agents reach this gateway, or asked about the others: agents keep to those that they know", "err", err)
			}
		}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), placesAsked)
	defer cancel()
	if err := a.leave(ctx); err != nil {
		a.log.Warn("the store does not know that agents do not reach this gateway any more; it sees so itself", "after", aliveFor.String(), "err", err)
	}
}

// place says where this gateway is, and reads where the others are.
func (a *agents) place(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, placesAsked)
	defer cancel()
	_, now, err := a.state.store.Head(ctx)
	if err != nil {
		return err
	}
	if a.address != "" {
		body, err := json.Marshal(tunnelPlace{a.address})
		if err != nil {
			return err
		}
		err = store.Update(ctx, a.state.store, kindTunnel, a.server.ID, func(d store.Document) ([]store.Write, error) {
			fresh := d.Version == 0
			d.Body, d.Expires = body, now.Add(aliveFor)
			if fresh {
				return []store.Write{store.Create(d)}, nil
			}
			return []store.Write{store.Replace(d)}, nil
		})
		if err != nil {
			return err
		}
	}
	var all []string
	for d, err := range store.All(ctx, a.state.store, kindTunnel, "") {
		if err != nil {
			return err
		}
		var p tunnelPlace
		if json.Unmarshal(d.Body, &p) != nil {
			return fmt.Errorf("the document %s %q cannot be read", kindTunnel, d.Name)
		}
		if p.Address != "" && d.Expires.After(now) && !slices.Contains(all, p.Address) {
			all = append(all, p.Address)
		}
	}
	slices.Sort(all)
	a.mu.Lock()
	changed := !slices.Equal(all, a.known)
	a.known = all
	a.mu.Unlock()
	if changed {
		a.server.Announce()
	}
	return nil
}

// leave has the store forget this gateway.
func (a *agents) leave(ctx context.Context) error {
	return store.Update(ctx, a.state.store, kindTunnel, a.server.ID, func(d store.Document) ([]store.Write, error) {
		if d.Version == 0 {
			return nil, nil
		}
		return []store.Write{store.Delete(d)}, nil
	})
}
