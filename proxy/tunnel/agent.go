package tunnel

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"net"
	"net/netip"
	"runtime/debug"
	"slices"
	"sync"
	"time"
)

// Agent keeps control lines to gateways, and connects to resources for them. Keeper is needed; an Agent
// without Allow connects to nothing. Fields must not change once Run was called. An Agent must not be
// copied.
type Agent struct {
	Keeper   Keeper
	Gateways []string // addresses, besides those that gateways tell
	Allow    *Allow
	// Dial opens connections to gateways, such as by a proxy or a carrier; nil connects by TCP.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Lookup resolves names of resources; nil asks the system.
	Lookup func(ctx context.Context, host string) ([]netip.Addr, error)

	Program string           // which gateways are told
	Host    string           // the machine's name, which gateways are told
	Now     func() time.Time // the clock that certificates go by; nil: time.Now
	Log     *slog.Logger     // nil: slog.Default

	MaxSessions  int           // connections to resources at one time; 0 is 4096
	MinWarm      int           // connections to each gateway that are open before they are needed; 0 is 1, -1 keeps 0
	MaxWarm      int           // at most; 0 is 64
	MaxWait      time.Duration // between two tries to connect to a gateway; 0 is 30 s
	DrainTimeout time.Duration // how long a stop lets connections to resources end by themselves; 0 is 10 s

	instance string

	mu       sync.Mutex
	identity *Identity
	changed  chan struct{}         // is closed when identity is another
	lines    map[string]*agentLine // by gateway
	wanted   map[string]bool       // addresses that are kept a line to; true: by Gateways
	told     []string              // addresses that gateways told last
	open     map[*session]struct{} // connections to resources; nil: the agent has stopped
	keepers  sync.WaitGroup        // of lines
	sessions sync.WaitGroup        // of connections to resources
	count    int                   // of these, with those that are being opened
	draining bool
}

// session is a connection to a resource, with that to its gateway.
type session struct {
	resource net.Conn
	gateway  *tls.Conn
}

func (s *session) cut() {
	s.gateway.NetConn().Close()
	s.resource.Close()
}

// admit counts one more connection to a resource, unless there are as many as there may be.
func (a *Agent) admit(run func()) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.draining || a.count >= or(a.MaxSessions, 4096) {
		return false
	}
	a.count++
	a.sessions.Go(func() {
		a.guard(run)
		a.mu.Lock()
		a.count--
		a.mu.Unlock()
	})
	return true
}

func (a *Agent) log() *slog.Logger { return or(a.Log, slog.Default()) }

func (a *Agent) now() time.Time {
	if a.Now != nil {
		return a.Now()
	}
	return time.Now()
}

// Run keeps control lines until ctx ends. Then gateways are told that the agent leaves, connections to
// resources have DrainTimeout to end, and Run returns nil.
func (a *Agent) Run(ctx context.Context) error {
	id, err := a.Keeper.Load()
	if err != nil {
		return err
	}
	if left := id.Certificate.Leaf.NotAfter.Sub(a.now()); left <= 0 {
		return fmt.Errorf("the certificate of agent %s expired at %s: enrol it again by a new token", id.Agent, id.Certificate.Leaf.NotAfter.UTC().Format(time.RFC3339))
	}
	working, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	a.mu.Lock()
	a.instance, a.identity, a.changed = newName(), id, make(chan struct{})
	a.lines, a.wanted, a.open = make(map[string]*agentLine), make(map[string]bool), make(map[*session]struct{})
	a.told = id.Gateways
	a.want(working, a.Gateways, true)
	a.want(working, a.told, false)
	n := len(a.wanted)
	a.mu.Unlock()
	if n == 0 {
		return errors.New("the agent knows no gateway: name the address of one")
	}
	a.keepers.Go(func() { a.renew(working) })
	<-ctx.Done()
	a.drain()
	stop()
	a.keepers.Wait()
	a.mu.Lock()
	for s := range a.open {
		s.cut()
	}
	a.open = nil
	a.mu.Unlock()
	a.sessions.Wait()
	return nil
}

// drain tells gateways that the agent leaves, and waits for its connections to resources.
func (a *Agent) drain() {
	a.mu.Lock()
	a.draining = true
	a.mu.Unlock()
	for _, l := range a.openLines() {
		_ = l.write(kindLeaving, nil) // an error ends the line
	}
	ended := make(chan struct{})
	go func() {
		a.sessions.Wait()
		close(ended)
	}()
	t := time.NewTimer(or(a.DrainTimeout, 10*time.Second))
	defer t.Stop()
	select {
	case <-ended:
	case <-t.C:
	}
}

func (a *Agent) openLines() []*agentLine {
	a.mu.Lock()
	defer a.mu.Unlock()
	var all []*agentLine
	for _, l := range a.lines {
		all = append(all, l)
	}
	return all
}

// Connected returns the number of gateways that the agent has a control line to.
func (a *Agent) Connected() int { return len(a.openLines()) }

// want has lines to more addresses be kept. a.mu is held.
func (a *Agent) want(ctx context.Context, addresses []string, always bool) {
	for _, address := range addresses {
		if _, known := a.wanted[address]; known || len(a.wanted) >= maxGateways {
			continue
		}
		a.wanted[address] = always
		a.keepers.Go(func() { a.keep(ctx, address) })
	}
}

// follow has the agent follow the addresses that a gateway tells. a.mu is held.
func (a *Agent) follow(ctx context.Context, addresses []string) {
	if len(addresses) == 0 {
		return
	}
	a.told = addresses
	a.want(ctx, addresses, false)
}

// unwanted forgets an address that no gateway tells any more.
func (a *Agent) unwanted(address string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.wanted[address] || slices.Contains(a.told, address) {
		return false
	}
	delete(a.wanted, address)
	return true
}

// Waits between tries to connect.
const (
	firstWait = 250 * time.Millisecond
	maxWait   = 30 * time.Second
	otherWait = 5 * time.Minute // when the gateway of an address has a line already
)

// errSame says that an address leads to a gateway to which there is a line.
var errSame = errors.New("the address leads to a gateway to which there is a control line already")

// keep keeps a control line to an address until ctx ends, or nobody wants it.
func (a *Agent) keep(ctx context.Context, address string) {
	wait, said := firstWait, ""
	for ctx.Err() == nil {
		begun := time.Now()
		l, err := a.connect(ctx, address)
		if err == nil {
			said = ""
			a.log().Info("connected to a gateway", "address", address, "gateway", l.gateway)
			err = a.hold(ctx, l)
		}
		if ctx.Err() != nil || a.unwanted(address) {
			return
		}
		if time.Since(begun) > connectTimeout {
			wait = firstWait
		}
		if err != nil && err.Error() != said && !errors.Is(err, errSame) {
			said = err.Error()
			a.log().Warn("no control line to a gateway is open; the agent tries again", "address", address, "err", err)
		}
		most := or(a.MaxWait, maxWait)
		if errors.Is(err, errSame) {
			wait, most = otherWait, otherWait
		}
		pause(ctx, wait/2+mathrand.N(wait)) // not all agents at one time
		wait = min(2*wait, most)
	}
}

// hold has a line serve until it ends. When the agent has another certificate, another line takes its place.
func (a *Agent) hold(ctx context.Context, l *agentLine) error {
	ended := l.start(ctx)
	for {
		a.mu.Lock()
		changed := a.changed
		if a.identity != l.id {
			changed = closed
		}
		a.mu.Unlock()
		select {
		case err := <-ended:
			return err
		case <-changed:
		}
		next, err := a.connect(ctx, l.address)
		if err != nil {
			a.log().Warn("a control line with the renewed certificate cannot be opened; the one before goes on", "address", l.address, "err", err)
			t := time.NewTimer(maxWait)
			select {
			case err := <-ended:
				t.Stop()
				return err
			case <-t.C:
			}
			continue
		}
		a.keepers.Go(l.retire)
		l, ended = next, next.start(ctx)
	}
}

var closed = func() chan struct{} { c := make(chan struct{}); close(c); return c }()

// dialGateway opens a TLS connection to a gateway with an identity.
func (a *Agent) dialGateway(ctx context.Context, address, proto string, id *Identity) (*tls.Conn, error) {
	roots, err := pool(id.Roots)
	if err != nil {
		return nil, err
	}
	return connect(ctx, address, a.Dial, func(host string) *tls.Config {
		c := clientConfig(host, proto, a.Now, func(chain []*x509.Certificate) error { return verifyGateway(chain, roots, a.now()) })
		// The gateway's list of authorities is not asked: the agent has one certificate.
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &id.Certificate, nil }
		return c
	})
}

// renewAfter is the share of a certificate's life after which another one is asked for.
const renewAfter = 3 // a third

// renew has the agent's certificate renewed until ctx ends.
func (a *Agent) renew(ctx context.Context) {
	for ctx.Err() == nil {
		a.mu.Lock()
		id := a.identity
		a.mu.Unlock()
		leaf := id.Certificate.Leaf
		life := leaf.NotAfter.Sub(leaf.NotBefore)
		if left := leaf.NotBefore.Add(life / renewAfter).Sub(a.now()); left > 0 {
			pause(ctx, min(left+mathrand.N(left/20+1), time.Hour)) // the clock may be set
			continue
		}
		if err := a.renewNow(ctx, id); err != nil && ctx.Err() == nil {
			a.log().Warn("the agent's certificate was not renewed; it is tried again", "expires", leaf.NotAfter, "err", err)
			pause(ctx, min(time.Hour, life/100))
		}
	}
}

func (a *Agent) renewNow(ctx context.Context, id *Identity) error {
	err := errors.New("no control line is open")
	for _, l := range a.openLines() {
		var next *Identity
		if next, err = l.renew(ctx); err != nil {
			continue
		}
		if next.Agent != id.Agent {
			return fmt.Errorf("the gateway has issued a certificate for agent %s, want %s", clean(next.Agent), id.Agent)
		}
		if len(next.Gateways) == 0 {
			next.Gateways = id.Gateways
		}
		if err := a.Keeper.Save(next); err != nil {
			return err
		}
		a.mu.Lock()
		a.identity = next
		close(a.changed)
		a.changed = make(chan struct{})
		a.mu.Unlock()
		a.log().Info("the agent has a new certificate", "expires", next.Certificate.Leaf.NotAfter)
		return nil
	}
	return err
}

// guard runs f, and logs a panic of it. The panic's value is not shown.
func (a *Agent) guard(f func()) {
	defer func() {
		if v := recover(); v != nil {
			a.log().Error("panic in the agent", "type", fmt.Sprintf("%T", v), "stack", string(debug.Stack()))
		}
	}()
	f()
}
