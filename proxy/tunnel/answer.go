package tunnel

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"syscall"
	"time"
)

// take begins a dial.
func (l *agentLine) take(m dial) {
	id := [idSize]byte(m.ID)
	ctx, stop := context.WithTimeout(l.ctx, m.Within.within(minBeat, maxWithin))
	l.mu.Lock()
	if l.cancels[id] != nil {
		l.mu.Unlock()
		stop()
		return // the gateway sends none twice
	}
	l.cancels[id] = stop
	l.mu.Unlock()
	if !l.agent.admit(func() {
		defer l.cancel(id) // after a panic
		s := l.answer(ctx, m)
		l.cancel(id)
		if s != nil {
			l.agent.serve(s, m)
		}
	}) {
		l.cancel(id)
		_ = l.write(kindRefused, why{ID: m.ID, Code: CodeBusy, Text: "it has as many connections as it may have, or leaves"}) // an error ends the line
	}
}

// cancel ends a dial that is not answered.
func (l *agentLine) cancel(id [idSize]byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if stop := l.cancels[id]; stop != nil {
		stop()
		delete(l.cancels, id)
	}
	if len(l.cancels) == 0 && l.idle != nil {
		close(l.idle)
		l.idle = nil
	}
}

// answer connects to a resource, and claims the dial. It returns nil when the dial has failed, of which the
// gateway was told.
func (l *agentLine) answer(ctx context.Context, m dial) *session {
	a := l.agent
	f := l.warm.take(ctx)
	resource, err := a.reach(ctx, m.Address)
	if err != nil {
		f.giveBack()
		w := reason(err)
		w.ID = m.ID
		a.log().Warn("a resource was not connected to", "address", clean(m.Address), "session", clean(m.Session), "err", err)
		_ = l.write(kindRefused, w) // an error ends the line
		return nil
	}
	gateway, err := f.wait()
	for try := 0; err == nil; try++ {
		if err = l.claim(gateway, m); err == nil {
			return &session{resource, gateway}
		}
		gateway.NetConn().Close()
		if try > 0 {
			break
		}
		gateway, err = l.data(ctx) // the one from the pool was lost
	}
	resource.Close()
	a.log().Warn("a connection to the gateway cannot be opened for a resource", "address", clean(m.Address), "session", clean(m.Session), "err", err)
	_ = l.write(kindRefused, why{ID: m.ID, Code: CodeUnreachable, Text: "it cannot open another connection to the gateway"}) // an error ends the line
	return nil
}

// data opens a connection that can claim a dial.
func (l *agentLine) data(ctx context.Context) (*tls.Conn, error) {
	select {
	case l.opening <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-l.opening }()
	return l.agent.dialGateway(ctx, l.address, protoData, l.id)
}

// claim makes a connection that of a dial.
func (l *agentLine) claim(gateway *tls.Conn, m dial) error {
	t := &ticket{id: [idSize]byte(m.ID), key: [keySize]byte(m.Key)}
	state := gateway.ConnectionState()
	body, err := t.claim(&state, fingerprintOf(l.id.Certificate.Certificate[0]))
	if err != nil {
		return err
	}
	b, err := frame(kindClaim, body)
	if err != nil {
		return err
	}
	if err := gateway.SetDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	if _, err := gateway.Write(b); err != nil {
		return err
	}
	return gateway.SetDeadline(time.Time{})
}

// serve passes the bytes of a session until it ends.
func (a *Agent) serve(s *session, m dial) {
	a.mu.Lock()
	if a.open == nil {
		a.mu.Unlock()
		s.cut()
		return
	}
	a.open[s] = struct{}{}
	a.mu.Unlock()
	begun := time.Now()
	a.log().Debug("connected to a resource", "address", clean(m.Address), "session", clean(m.Session))
	relay(s.resource, s.gateway)
	a.mu.Lock()
	delete(a.open, s)
	a.mu.Unlock()
	a.log().Debug("a connection to a resource has ended", "address", clean(m.Address), "session", clean(m.Session), "after", time.Since(begun).String())
}

// reach connects to a resource, at an address of its name that the list has.
func (a *Agent) reach(ctx context.Context, address string) (net.Conn, error) {
	find := lookup
	if a.Lookup != nil {
		find = a.Lookup
	}
	list, err := a.Allow.resolve(ctx, address, find)
	if err != nil {
		return nil, err
	}
	var c net.Conn
	for i, to := range list {
		if c, err = a.reachOne(ctx, to, len(list)-i); err == nil {
			keepAlive(c)
			return c, nil
		}
	}
	return nil, err
}

// reachOne connects to an address, in its share of the time for those that are left.
func (a *Agent) reachOne(ctx context.Context, to netip.AddrPort, left int) (net.Conn, error) {
	if at, ok := ctx.Deadline(); ok {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeout(ctx, time.Until(at)/time.Duration(left))
		defer stop()
	}
	return (&net.Dialer{}).DialContext(ctx, "tcp", to.String())
}

// reason returns what the gateway is told of a resource that was not connected to.
func reason(err error) why {
	var dns *net.DNSError
	switch {
	case errors.Is(err, errNotAllowed):
		return why{Code: CodeNotAllowed, Text: errNotAllowed.Error()}
	case errors.As(err, &dns) && dns.IsNotFound:
		return why{Code: CodeUnreachable, Text: "its name does not exist"}
	case errors.As(err, &dns):
		return why{Code: CodeUnreachable, Text: "its name cannot be resolved"}
	case errors.Is(err, syscall.ECONNREFUSED):
		return why{Code: CodeUnreachable, Text: "it refuses connections"}
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return why{Code: CodeUnreachable, Text: "it does not answer in time"}
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return why{Code: CodeUnreachable, Text: "no route leads to it"}
	}
	return why{Code: CodeUnreachable, Text: "it cannot be reached"}
}
