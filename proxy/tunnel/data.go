package tunnel

import (
	"context"
	"crypto/hmac"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/sallyport/sallyport/proxy"
)

// pending is a dial that waits for its connection.
type pending struct {
	ticket *ticket
	line   *line
	to     string
	done   chan result // has room for one
}

type result struct {
	conn *conn
	err  error
}

// Dialer returns what dials by an agent. It may be one that is not connected yet.
func (s *Server) Dialer(agent string) proxy.Dialer { return dialer{s, agent} }

type dialer struct {
	server *Server
	agent  string
}

// DialContext has the agent connect to address.
func (d dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	if network != "tcp" || strings.HasPrefix(address, "unix:") {
		return nil, fmt.Errorf("agent %s connects by TCP only, got an address of the network %s", d.agent, network)
	}
	if err := short(address); err != nil {
		return nil, fmt.Errorf("the address for agent %s: %w", d.agent, err)
	}
	s := d.server
	s.start()
	for {
		l, err := s.lineOf(ctx, d.agent)
		if err != nil {
			return nil, err
		}
		c, err := s.dial(ctx, l, address)
		if err == nil {
			return c, nil // not as *conn nil
		}
		if !errors.Is(err, ErrLost) || ctx.Err() != nil {
			return nil, err
		}
	}
}

// lineOf returns a line of an agent. It waits a while for one that was lost.
func (s *Server) lineOf(ctx context.Context, name string) (*line, error) {
	missing := fmt.Errorf("agent %s: %w", name, ErrNotConnected)
	var timeout <-chan time.Time
	for {
		s.mu.Lock()
		a := s.agents[name]
		if s.conns == nil || a == nil {
			s.mu.Unlock()
			return nil, missing
		}
		l, lost, come := a.line, a.lost, a.come
		s.mu.Unlock()
		if l != nil {
			select {
			case <-l.gone: // it is forgotten in a moment
				lost = time.Now()
			default:
				return l, nil
			}
		}
		if timeout == nil {
			if lost.IsZero() {
				lost = time.Now()
			}
			t := time.NewTimer(time.Until(lost.Add(or(s.ReturnTimeout, 5*time.Second))))
			defer t.Stop()
			timeout = t.C
		}
		select {
		case <-come:
		case <-timeout:
			return nil, missing
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: %w", missing, ctx.Err())
		}
	}
}

// dial has the agent of a line connect to address.
func (s *Server) dial(ctx context.Context, l *line, address string) (net.Conn, error) {
	p := &pending{ticket: newTicket(), line: l, to: address, done: make(chan result, 1)}
	if err := s.expect(p); err != nil {
		return nil, err
	}
	within := 30 * time.Second
	if at, ok := ctx.Deadline(); ok {
		within = min(within, time.Until(at))
	}
	m := dial{ID: p.ticket.id[:], Key: p.ticket.key[:], Address: address, Session: proxy.SessionID(ctx), Within: inMillis(within)}
	if err := l.write(kindDial, m); err != nil {
		return s.abandon(p, fmt.Errorf("agent %s: %w: %w", l.agent.name, ErrLost, err))
	}
	select {
	case r := <-p.done:
		return r.or()
	case <-l.gone:
		return s.abandon(p, fmt.Errorf("agent %s: %w", l.agent.name, ErrLost))
	case <-ctx.Done():
		s.spawn(func() { _ = l.write(kindCancel, cancel{ID: p.ticket.id[:]}) }) // an error ends the line
		return s.abandon(p, fmt.Errorf("agent %s did not connect to %s in time: %w", l.agent.name, address, ctx.Err()))
	}
}

func (r result) or() (net.Conn, error) {
	if r.err != nil {
		return nil, r.err
	}
	return r.conn, nil
}

// expect counts a dial that waits.
func (s *Server) expect(p *pending) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p.line.dials >= or(s.MaxDials, 1024) {
		return &DialError{Agent: p.line.agent.name, Address: p.to, Code: CodeBusy, Text: "too many dials wait for it"}
	}
	p.line.dials++
	s.pending[p.ticket.id] = p
	return nil
}

// abandon waits for a dial no more. A connection that has come meanwhile is returned.
func (s *Server) abandon(p *pending, err error) (net.Conn, error) {
	if s.settle(p.ticket.id, p.line) != nil {
		return nil, err
	}
	return (<-p.done).or() // who has settled it says how it ended
}

// settle takes the dial of an identifier and a line, once; nil: no such dial waits.
func (s *Server) settle(id [idSize]byte, l *line) *pending {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.pending[id]
	if p == nil || l != nil && p.line != l {
		return nil
	}
	delete(s.pending, id)
	p.line.dials--
	return p
}

// refused ends a dial that the agent has refused.
func (s *Server) refused(l *line, w why) {
	if len(w.ID) != idSize {
		return
	}
	if p := s.settle([idSize]byte(w.ID), l); p != nil {
		p.done <- result{err: &DialError{Agent: l.agent.name, Address: p.to, Code: w.Code, Text: clean(w.Text)}}
	}
}

// serveData has a connection wait for its dial. It reports whether the connection belongs to one.
func (s *Server) serveData(tc *tls.Conn, nc net.Conn, adm *admission) bool {
	state := tc.ConnectionState()
	print := fingerprintOf(state.PeerCertificates[0].Raw)
	l := s.warm(print)
	if l == nil {
		return false // of no agent that is connected, or it has too many
	}
	adm.leave()
	defer s.cool(l.agent)
	for {
		if err := tc.SetDeadline(time.Now().Add(s.silence())); err != nil {
			return false
		}
		k, body, err := readFrame(tc, claimSize)
		if err != nil {
			return false
		}
		switch k {
		case kindPing:
			b, err := frame(kindPong, nil)
			if err == nil && !s.counts(print) {
				err = errNoLine
			}
			if err == nil {
				_, err = tc.Write(b)
			}
			if err != nil {
				return false
			}
		case kindClaim:
			err := s.claimed(tc, nc, &state, print, body)
			if errors.Is(err, errClaim) {
				s.log().Warn("a connection of an agent claims a dial that is not its own", "agent", l.agent.name, "remote", tc.RemoteAddr(), "err", err)
				s.tell(Event{Kind: EventClaim, Agent: l.agent.name, Remote: tc.RemoteAddr(), Err: err})
			}
			return err == nil
		default: // of a later version
		}
	}
}

// warm counts a connection that waits, by its certificate: that of an open control line.
func (s *Server) warm(print fingerprint) *line {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.certs[print]
	if a == nil {
		return nil
	}
	most := or(s.MaxWarm, 128)
	for l := range a.lines {
		most += l.dials
	}
	if a.warm >= most {
		return nil
	}
	for l := range a.lines {
		if l.print == print {
			a.warm++
			return l
		}
	}
	return nil
}

func (s *Server) cool(a *agent) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a.warm--
}

// counts reports whether a certificate is that of an open control line.
func (s *Server) counts(print fingerprint) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.certs[print] != nil
}

// Errors of claims.
var (
	errNoDial = errors.New("no dial waits for the claim: it was used, or has ended")
	errNoLine = errors.New("no control line is open by the certificate of the connection")
	errClaim  = errors.New("the claim was made for another connection, or with another key")
)

// claimed gives a connection to the dial that it claims.
func (s *Server) claimed(tc *tls.Conn, nc net.Conn, state *tls.ConnectionState, print fingerprint, body []byte) error {
	if len(body) != claimSize {
		return errClaim
	}
	id := [idSize]byte(body[:idSize])
	s.mu.Lock()
	p := s.pending[id]
	s.mu.Unlock()
	if p == nil {
		return errNoDial
	}
	if p.line.print != print {
		return errClaim
	}
	mac, err := p.ticket.mac(state, print)
	if err != nil {
		return err
	}
	if !hmac.Equal(mac, body[idSize:]) {
		return errClaim
	}
	if err := tc.SetDeadline(time.Time{}); err != nil {
		return err
	}
	c := &conn{Conn: tc, nc: nc, server: s, agent: p.line.agent, to: p.to, cert: p.line.cert, print: print}
	s.mu.Lock()
	if s.conns == nil || s.pending[id] != p {
		s.mu.Unlock()
		return errNoDial
	}
	delete(s.pending, id)
	p.line.dials--
	c.agent.conns[c] = struct{}{}
	s.mu.Unlock()
	p.done <- result{conn: c}
	return nil
}
