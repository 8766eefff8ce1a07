package tunnel

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"runtime/debug"
	"slices"
	"sync"
	"time"
)

// Server is the gateway's side: it takes connections of agents, and dials by them. Registry,
// Certificate and Roots are needed. Fields must not change once Serve was called. A Server must not be copied.
type Server struct {
	Registry Registry
	// Certificate returns what agents are shown: of ServerName, with the certificate of the authority
	// at the end of the chain, by whose pin agents that enrol know the gateway.
	Certificate func() (*tls.Certificate, error)
	// Roots returns the authorities of agents' certificates.
	Roots func() *x509.CertPool
	// ID names the gateway, from one start to the next. Empty: it is made up.
	ID string
	// Address is how agents reach this gateway and no other one. Empty: they go on with the address that they have come by.
	Address string
	// Gateways returns the addresses at which agents reach all gateways; nil: they know them.
	Gateways func() []string
	// Upgrade serves HTTP connections of carriers, and gives what these carry to ServeConn with the
	// context that it was called with. Nil refuses them.
	Upgrade func(ctx context.Context, c net.Conn)

	Program string           // of the gateway, which agents are told
	Now     func() time.Time // the clock that certificates go by; nil: time.Now
	Log     *slog.Logger     // nil: slog.Default
	// OnEvent is told of agents that come and go. It must return quickly and be safe for
	// concurrent use. May be nil.
	OnEvent func(Event)

	Beat             time.Duration // how often agents say that they are there; 0 is 15 s
	HandshakeTimeout time.Duration // until it is known who a connection is of; 0 is 10 s
	ProbeTimeout     time.Duration // for which an agent is waited for when another one has its name; 0 is 5 s
	ReturnTimeout    time.Duration // for which dials wait for an agent that was lost; 0 is 5 s
	MaxUnknown       int           // connections of which nobody knows whose they are; 0 is 1024
	MaxPerAddress    int           // such connections of one address; 0 is 256
	MaxWarm          int           // open connections of an agent that wait for dials to come; 0 is 128
	MaxDials         int           // dials that wait for one agent; 0 is 1024

	begin      sync.Once
	id         string // ID, or what was made up
	admissions admissions

	mu      sync.Mutex
	agents  map[string]*agent      // that have been connected
	certs   map[fingerprint]*agent // by the certificates of open control lines
	pending map[[idSize]byte]*pending
	conns   map[net.Conn]struct{} // every open one; nil: the server is closed
	leaving bool
	running sync.WaitGroup
}

// EventKind says what an Event tells.
type EventKind uint8

// Kinds of events.
const (
	EventConnected EventKind = iota + 1 // an agent's control line is open
	EventLost                           // and has ended
	EventRefused                        // an agent was refused
	EventEnrolled                       // an agent has its first certificate
	EventRenewed                        // and another one
	EventClaim                          // a connection claimed a dial that is not its own
)

// Event is something that happened to an agent.
type Event struct {
	Kind   EventKind
	Agent  string // empty where it is not known
	Remote net.Addr
	Err    error
}

// agent is what the server knows of one name.
type agent struct {
	name  string
	line  *line              // the newest that takes dials; nil: no line does
	lost  time.Time          // when the last one ended
	lines map[*line]struct{} // every open one
	conns map[*conn]struct{} // of sessions
	warm  int                // connections that wait for a dial, also those of lines that have ended
	come  chan struct{}      // is closed when line is another
}

func or[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}

func (s *Server) log() *slog.Logger { return or(s.Log, slog.Default()) }

func (s *Server) now() time.Time {
	if s.Now != nil {
		return s.Now()
	}
	return time.Now()
}

func (s *Server) beat() time.Duration { return or(s.Beat, 15*time.Second) }

// silence is how long a connection may be silent: three beats.
func (s *Server) silence() time.Duration { return 3 * s.beat() }

func (s *Server) start() {
	s.begin.Do(func() {
		s.id = or(s.ID, newName())
		s.admissions.max, s.admissions.perAddress = or(s.MaxUnknown, 1024), or(s.MaxPerAddress, 256)
		s.agents, s.certs = make(map[string]*agent), make(map[fingerprint]*agent)
		s.pending, s.conns = make(map[[idSize]byte]*pending), make(map[net.Conn]struct{})
	})
}

// tell tells of an event.
func (s *Server) tell(e Event) {
	if s.OnEvent != nil {
		s.OnEvent(e)
	}
}

// Serve accepts connections of agents until ctx ends or ln fails: with nil after ctx ended. Open
// connections go on until Close.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	s.start()
	stop := context.AfterFunc(ctx, func() { ln.Close() })
	defer stop()
	defer ln.Close()
	conns := context.WithoutCancel(ctx)
	var wait time.Duration
	for {
		nc, err := ln.Accept()
		switch {
		case err == nil:
			wait = 0
			if !s.spawn(func() { s.ServeConn(conns, nc) }) {
				nc.Close()
				return net.ErrClosed
			}
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, net.ErrClosed):
			return err
		default: // out of descriptors, or a client that has left
			wait = min(max(2*wait, 5*time.Millisecond), time.Second)
			s.log().Warn("accepting a connection of an agent", "err", err, "retry", wait)
			pause(ctx, wait)
		}
	}
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// ServeConn serves one connection, until it ends or belongs to a session. A carrier calls it with the
// context of Upgrade.
func (s *Server) ServeConn(ctx context.Context, nc net.Conn) {
	s.start()
	keepAlive(nc)
	adm := admitted(ctx)
	carried := adm != nil
	if !carried {
		if adm = s.admissions.enter(nc); adm == nil {
			nc.Close()
			return
		}
		ctx = context.WithValue(ctx, admissionKey{}, adm)
		defer adm.leave()
	}
	if !s.opened(nc) {
		nc.Close()
		return
	}
	kept := false
	defer func() {
		if v := recover(); v != nil {
			s.log().Error("panic while an agent was served", "type", fmt.Sprintf("%T", v), "stack", string(debug.Stack()))
		}
		if !kept {
			s.closed(nc)
			nc.Close()
		}
	}()
	if nc.SetDeadline(time.Now().Add(or(s.HandshakeTimeout, 10*time.Second))) != nil {
		return
	}
	tc := tls.Server(whole{nc}, &tls.Config{GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) { return s.config(h, carried) }, MinVersion: tls.VersionTLS12, Time: s.Now})
	if err := tc.HandshakeContext(ctx); err != nil {
		s.log().Debug("a connection of an agent has failed", "remote", nc.RemoteAddr(), "err", err)
		return
	}
	switch tc.ConnectionState().NegotiatedProtocol {
	case protoControl:
		s.serveControl(ctx, tc, adm)
	case protoData:
		kept = s.serveData(tc, nc, adm)
	case protoEnrol:
		s.serveEnrol(ctx, tc)
	default: // config lets no other in
		s.Upgrade(ctx, tc)
	}
}

// spawn runs f, unless the server is closed.
func (s *Server) spawn(f func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conns == nil {
		return false
	}
	s.running.Go(f)
	return true
}

// opened counts a connection, unless the server is closed.
func (s *Server) opened(nc net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conns == nil {
		return false
	}
	s.conns[nc] = struct{}{}
	return true
}

func (s *Server) closed(nc net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, nc)
}

// Drain tells agents that the gateway ends: they keep no connections ready for it any more. Dials and open
// connections go on.
func (s *Server) Drain() {
	s.start()
	s.mu.Lock()
	s.leaving = true
	lines := s.allLines()
	s.mu.Unlock()
	for _, l := range lines {
		s.spawn(func() { _ = l.write(kindLeaving, nil) }) // an error ends the line
	}
}

// allLines returns the open control lines. s.mu is held.
func (s *Server) allLines() []*line {
	var all []*line
	for _, a := range s.agents {
		all = slices.AppendSeq(all, maps.Keys(a.lines))
	}
	return all
}

// Close closes every connection, and returns when what serves them has ended.
func (s *Server) Close() {
	s.start()
	s.mu.Lock()
	conns := s.conns
	s.conns = nil
	s.mu.Unlock()
	for nc := range conns {
		nc.Close()
	}
	s.running.Wait()
}

// Recheck asks the registry about connected agents again, of these names or all, and cuts what was opened
// by certificates that do not count any more. Who cannot be asked about stays.
func (s *Server) Recheck(ctx context.Context, names ...string) error {
	s.start()
	certs := make(map[fingerprint]*x509.Certificate)
	s.mu.Lock()
	for name, a := range s.agents {
		if len(names) > 0 && !slices.Contains(names, name) {
			continue
		}
		for l := range a.lines {
			certs[l.print] = l.cert
		}
		for c := range a.conns {
			certs[c.print] = c.cert
		}
	}
	s.mu.Unlock()
	var errs []error
	for print, cert := range certs {
		_, err := s.Registry.Known(ctx, cert)
		if errors.Is(err, ErrRevoked) {
			s.cut(print, err)
		} else if err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// cut ends what was opened by a certificate: control lines, dials that wait, open sessions.
func (s *Server) cut(print fingerprint, cause error) {
	var conns []*conn
	var lines []*line
	var waiting []*pending
	s.mu.Lock()
	delete(s.certs, print) // no further connections
	for _, a := range s.agents {
		for c := range a.conns {
			if c.print == print {
				conns = append(conns, c)
			}
		}
		for l := range a.lines {
			if l.print == print {
				lines = append(lines, l)
				l.leaving.Store(true)
				a.without(l)
			}
		}
	}
	for id, p := range s.pending {
		if p.line.print == print {
			waiting = append(waiting, p)
			delete(s.pending, id)
			p.line.dials--
		}
	}
	s.mu.Unlock()
	for _, p := range waiting {
		p.done <- result{err: fmt.Errorf("agent %s: %w", p.line.agent.name, cause)}
	}
	for _, l := range lines {
		l.end(codeOf(cause), cause)
	}
	for _, c := range conns {
		c.cut()
	}
}
