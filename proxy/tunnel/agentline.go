package tunnel

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// agentLine is a control line, as the agent has it.
type agentLine struct {
	agent   *Agent
	id      *Identity // that it was opened with
	address string
	gateway string
	conn    *tls.Conn
	beat    time.Duration
	warm    *warm
	end     context.CancelCauseFunc
	ctx     context.Context // ends with the line
	writing sync.Mutex

	mu      sync.Mutex
	cancels map[[idSize]byte]context.CancelFunc // dials that are not answered
	idle    chan struct{}                       // is closed when none is left; nil: nobody waits for that
	issued  chan issued                         // has room for one
	opening chan struct{}                       // has an element for each connection that is being opened
}

// maxOpening is how many connections to a gateway are opened at one time.
const maxOpening = 32

// Bounds of what gateways say of time.
const (
	minBeat   = 20 * time.Millisecond
	maxBeat   = 5 * time.Minute
	maxWithin = 30 * time.Second
)

// connect opens a control line, up to the gateway's welcome.
func (a *Agent) connect(ctx context.Context, address string) (*agentLine, error) {
	a.mu.Lock()
	id := a.identity
	a.mu.Unlock()
	tc, err := a.dialGateway(ctx, address, protoControl, id)
	if err != nil {
		return nil, err
	}
	w, err := a.greet(tc)
	if err != nil {
		tc.NetConn().Close()
		return nil, err
	}
	l := &agentLine{
		agent: a, id: id, address: address, gateway: w.Gateway, conn: tc, beat: w.Beat.within(minBeat, maxBeat),
		cancels: make(map[[idSize]byte]context.CancelFunc), issued: make(chan issued, 1),
		opening: make(chan struct{}, maxOpening),
	}
	l.warm = newWarm(l)
	l.ctx, l.end = context.WithCancelCause(ctx)
	a.mu.Lock()
	other := a.lines[l.gateway]
	taken := other != nil && other.address != address && w.Address != address
	if !taken {
		a.follow(ctx, w.Gateways)
		a.lines[l.gateway] = l
	}
	a.mu.Unlock()
	if !taken && other != nil && other.address != address {
		// A load balancer was the way to it: what it passes on next may be for another gateway.
		a.keepers.Go(other.retire)
	}
	if taken {
		err := fmt.Errorf("%w: by %s", errSame, other.address)
		l.end(err)
		tc.NetConn().Close()
		return nil, err
	}
	return l, nil
}

// greet says hello, and returns the gateway's welcome.
func (a *Agent) greet(tc net.Conn) (welcome, error) {
	b, err := encode(kindHello, hello{Version: version, Oldest: oldestVersion, Program: a.Program, Host: a.Host, Instance: a.instance})
	if err != nil {
		return welcome{}, err
	}
	if _, err := tc.Write(b); err != nil {
		return welcome{}, err
	}
	for {
		k, body, err := readFrame(tc, maxBody)
		if err != nil {
			return welcome{}, fmt.Errorf("the gateway does not take the agent's certificate, or has no time: %w", err)
		}
		switch k {
		case kindBye:
			return welcome{}, bye(body)
		case kindWelcome:
			w, err := decode[welcome](body)
			if err == nil && (w.Oldest > version || w.Version < oldestVersion) {
				err = fmt.Errorf("the gateway speaks versions %d to %d of the protocol, the agent %d to %d: update the older one", w.Oldest, w.Version, oldestVersion, version)
			}
			return w, err
		default: // of a later version
		}
	}
}

// Refusal is why a gateway does not take an agent.
type Refusal struct {
	Code Code
	Text string // safe to show
}

// Error implements error.
func (e *Refusal) Error() string { return "the gateway refuses the agent: " + e.Text }

func bye(body []byte) error {
	w, err := decode[why](body)
	if err != nil {
		return err
	}
	return &Refusal{Code: w.Code, Text: clean(w.Text)}
}

// start has the line serve. The channel gives why it has ended.
func (l *agentLine) start(ctx context.Context) <-chan error {
	ended := make(chan error, 1)
	a := l.agent
	stop := context.AfterFunc(l.ctx, func() { l.conn.NetConn().Close() })
	a.keepers.Go(func() { l.pings() })
	a.keepers.Go(func() { l.warm.run(l.ctx) })
	a.keepers.Go(func() {
		defer stop()
		err := errors.New("a panic")
		a.guard(func() { err = l.read(ctx) })
		l.end(err)
		a.mu.Lock()
		if a.lines[l.gateway] == l {
			delete(a.lines, l.gateway)
		}
		a.mu.Unlock()
		if cause := context.Cause(l.ctx); cause != nil && !errors.Is(cause, context.Canceled) {
			err = cause
		}
		ended <- err
	})
	return ended
}

// write sends one frame. An error ends the line.
func (l *agentLine) write(k kind, m any) error {
	b, err := encode(k, m)
	if err != nil {
		return err
	}
	l.writing.Lock()
	defer l.writing.Unlock()
	if err = l.conn.SetWriteDeadline(time.Now().Add(writeTimeout)); err == nil {
		_, err = l.conn.Write(b)
	}
	if err != nil {
		l.end(err)
	}
	return err
}

// pings says that the agent is there, until the line ends.
func (l *agentLine) pings() {
	t := time.NewTicker(l.beat)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			if l.write(kindPing, nil) != nil {
				return
			}
		case <-l.ctx.Done():
			return
		}
	}
}

// read reads what the gateway sends until the line ends.
func (l *agentLine) read(ctx context.Context) error {
	for {
		if err := l.conn.SetReadDeadline(time.Now().Add(3 * l.beat)); err != nil {
			return err
		}
		k, body, err := readFrame(l.conn, maxBody)
		if err != nil {
			return err
		}
		switch k {
		case kindDial:
			var m dial
			if m, err = decode[dial](body); err == nil {
				l.take(m)
			}
		case kindCancel:
			var m cancel
			if m, err = decode[cancel](body); err == nil {
				l.cancel([idSize]byte(m.ID))
			}
		case kindGateways:
			var m gateways
			if m, err = decode[gateways](body); err == nil {
				l.agent.mu.Lock()
				l.agent.follow(ctx, m.Gateways)
				l.agent.mu.Unlock()
			}
		case kindIssued:
			var m issued
			if m, err = decode[issued](body); err == nil {
				select {
				case l.issued <- m:
				default: // nobody has asked
				}
			}
		case kindProbe:
			err = l.write(kindPing, nil)
		case kindLeaving:
			l.warm.stop()
		case kindBye:
			return bye(body)
		default: // kindPong, or of a later version
		}
		if err != nil {
			return err
		}
	}
}

// renew asks the gateway for another certificate.
func (l *agentLine) renew(ctx context.Context) (*Identity, error) {
	key, der, err := request()
	if err != nil {
		return nil, err
	}
	select {
	case <-l.issued: // of a request that nobody waited for to the end
	default:
	}
	if err := l.write(kindRenew, renew{Request: der}); err != nil {
		return nil, err
	}
	t := time.NewTimer(connectTimeout)
	defer t.Stop()
	select {
	case m := <-l.issued:
		return accept(m, key)
	case <-l.ctx.Done():
		return nil, context.Cause(l.ctx)
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-t.C:
		return nil, errors.New("the gateway has not answered the request for a certificate")
	}
}

// retire ends the line when its dials are answered: another one has its place.
func (l *agentLine) retire() {
	l.warm.stop()
	_ = l.write(kindLeaving, nil) // an error ends the line
	l.mu.Lock()
	idle := make(chan struct{})
	if len(l.cancels) == 0 {
		close(idle)
	} else {
		l.idle = idle
	}
	l.mu.Unlock()
	t := time.NewTimer(maxWithin)
	defer t.Stop()
	select {
	case <-idle:
	case <-t.C:
	case <-l.ctx.Done():
	}
	l.end(errSame)
}
