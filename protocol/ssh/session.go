package ssh

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/internal/sshconn"
	"github.com/sallyport/sallyport/proxy"
)

// session is one client at one resource. Its goroutines are started by spawn and
// have ended when serve returns.
type session struct {
	handler *Handler
	who     *proven
	client  gossh.Conn
	// open opens the proxy's session; it may wait for an approval.
	open func(ctx context.Context) (*proxy.Session, *proxy.Connect, error)

	// jump serves a channel to a resource that the client names; nil when this is
	// a session at one.
	jump func(ctx context.Context, nc gossh.NewChannel) error

	// choosing has the client choose a resource; nil when it named one.
	choosing *choosing

	// held is closed when Connect is parked, ready when the resource is connected
	// or cannot be. What is below ready is set before it is closed.
	held  chan struct{}
	ready chan struct{}
	// noMore gets a value when the client wants no more session channels.
	noMore chan struct{}

	err      error // why there is no connection
	proxied  *proxy.Session
	settings *Settings
	upstream *upstream
	listens  listens
	lent     lent

	ctx        context.Context // ends with the session; its cause says why
	cancel     context.CancelCauseFunc
	gone       chan struct{} // closed when the client's connection has ended
	goroutines sync.WaitGroup
	began      time.Time
	lost       atomic.Bool // the resource's connection ended by itself
	refused    atomic.Int32

	mu        sync.Mutex
	parkedBy  string // what clients are told while Connect is parked
	channels  map[*channel]struct{}
	open_     int // channels being served
	asking    map[proxy.Op]*channel
	bannerOut bool
}

func newSession(h *Handler, who *proven, client gossh.Conn) *session {
	gone := make(chan struct{})
	return &session{
		handler: h, who: who, client: sshconn.Ending(client, gone),
		held: make(chan struct{}), ready: make(chan struct{}), noMore: make(chan struct{}, 1), gone: gone,
		channels: make(map[*channel]struct{}), asking: make(map[proxy.Op]*channel),
	}
}

// queued is how many requests of one channel, or of the connection, may wait
// while another is decided.
const queued = 128

// serve serves the client until it leaves or the session ends.
func (s *session) serve(ctx context.Context, channels <-chan gossh.NewChannel, requests <-chan *gossh.Request) error {
	s.began = time.Now()
	s.ctx, s.cancel = context.WithCancelCause(ctx)
	s.spawn("ssh session end", s.watchEnd)
	s.spawn("ssh connect", s.connect)
	s.spawn("ssh requests", func() error { return s.globalRequests(requests) })
	s.serveChannels(channels)
	close(s.gone)
	s.cancel(errClientGone)
	<-s.ready
	if s.upstream != nil {
		s.upstream.Close()
	}
	s.goroutines.Wait()
	s.endListens()
	return s.outcome()
}

// serveChannels serves the channels that the client opens, until it leaves.
func (s *session) serveChannels(channels <-chan gossh.NewChannel) {
	noMore := false
	serve := func(nc gossh.NewChannel) {
		switch {
		case noMore && nc.ChannelType() == "session":
			nc.Reject(gossh.Prohibited, "the client wanted no more sessions")
			s.countRefusal()
		case !s.admit():
			nc.Reject(gossh.ResourceShortage, "too many channels are open")
			s.countRefusal()
		default:
			s.spawn("ssh channel", func() error {
				defer s.leave()
				return s.serveChannel(nc)
			})
		}
	}
	for {
		select {
		case nc, ok := <-channels:
			if !ok {
				return
			}
			serve(nc)
		case <-s.noMore:
			// Those that the client had opened before are queued by now.
			for n := len(channels); n > 0; n-- {
				if nc, ok := <-channels; ok {
					serve(nc)
				}
			}
			noMore = true
		}
	}
}

// outcome is what serve returns: nil when the client left.
func (s *session) outcome() error {
	switch {
	case s.proxied == nil && errors.Is(s.err, errLeft):
		return nil
	case s.proxied == nil:
		return s.err
	case s.proxied.Err() != nil:
		return s.proxied.Err()
	case s.lost.Load():
		return errLost
	}
	return s.err
}

var errLost = errors.New("the connection to the resource was lost")

// spawn runs f in a goroutine that serve waits for. Its error, and its panic,
// end the session.
func (s *session) spawn(name string, f func() error) {
	s.goroutines.Add(1)
	go func() {
		defer s.goroutines.Done()
		var err error
		if p := s.live(); p != nil {
			err = p.Protect(name, f)
		} else {
			err = protect(name, f)
		}
		if err != nil {
			s.fail(err)
		}
	}()
}

// live returns the proxy's session once it is there.
func (s *session) live() *proxy.Session {
	select {
	case <-s.ready:
		return s.proxied
	default:
		return nil
	}
}

// protect turns a panic outside of a session into an error. The panic's value
// is not shown: it may hold data.
func protect(name string, f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &proxy.PanicError{Where: name}
			slog.Error("panic", "in", name, "type", fmt.Sprintf("%T", v), "stack", string(debug.Stack()))
		}
	}()
	return f()
}

// fail ends the session because of err.
func (s *session) fail(err error) {
	if p := s.live(); p != nil {
		p.Kill(err)
		if s.upstream != nil {
			return // watchEnd tells the client
		}
	}
	s.client.Close()
}

// connect opens the session and connects to the resource.
func (s *session) connect() error {
	defer close(s.ready)
	err := s.reach()
	if err != nil {
		s.err = err
		// Somebody has to hear why: a channel that is open, or is opened soon.
		s.spawn("ssh refusal", func() error {
			select {
			case <-s.ctx.Done():
			case <-time.After(patience):
				s.closeIfIdle(true)
			}
			return nil
		})
		return nil
	}
	context.AfterFunc(s.proxied.Context(), func() { s.cancel(s.proxied.Err()) })
	s.spawnReady("ssh resource", s.watchUpstream)
	s.spawnReady("ssh drain", s.watchDrain)
	s.spawnReady("ssh resource channels", func() error { return s.upstreamChannels(s.upstream.channels) })
	s.spawnReady("ssh resource requests", func() error { return s.upstreamRequests(s.upstream.requests) })
	if every := s.keepAlive(); every > 0 {
		s.spawnReady("ssh keepalive", func() error { return s.keepalives(s.upstream.Conn, every, "resource") })
		s.spawnReady("ssh client keepalive", func() error { return s.keepalives(s.client, every, "client") })
	}
	return nil
}

// spawnReady is spawn for goroutines that begin when the session is ready.
func (s *session) spawnReady(name string, f func() error) {
	s.goroutines.Add(1)
	go func() {
		defer s.goroutines.Done()
		<-s.ready
		if err := s.proxied.Protect(name, f); err != nil {
			s.fail(err)
		}
	}()
}

func (s *session) reach() error {
	p, connect, err := s.open(s.ctx)
	if err != nil {
		return err
	}
	s.proxied = p
	out := proxy.Outcome{}
	defer func() { p.Done(connect, &out) }()
	if s.settings, err = settingsOf(p.Target.Resource); err != nil {
		out.Err = err
		return err
	}
	p.Handle(s.hold, rewrite)
	p.HandleReminders(s.remind)
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	defer context.AfterFunc(p.Context(), cancel)()
	if s.upstream, err = s.handler.dial(ctx, p, s.settings); err != nil {
		if cause := p.Err(); cause != nil {
			err = cause
		}
		out.Err = err
		return err
	}
	return nil
}

func (s *session) list() []*channel {
	list := make([]*channel, 0, len(s.channels))
	for ch := range s.channels {
		list = append(list, ch)
	}
	return list
}
