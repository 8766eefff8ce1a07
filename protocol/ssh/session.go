package ssh

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	gossh "golang.org/x/crypto/ssh"

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

	// held is closed when Connect is parked, ready when the resource is connected
	// or cannot be. What stands below ready is set before it is closed.
	held  chan struct{}
	ready chan struct{}

	err      error // why there is no connection
	proxied  *proxy.Session
	settings *Settings
	upstream *upstream
	listens  listens
	lent     lent

	ctx        context.Context // ends with the client's connection
	cancel     context.CancelFunc
	goroutines sync.WaitGroup
	began      time.Time
	lost       atomic.Bool // the resource's connection ended by itself
	refused    atomic.Int32

	mu        sync.Mutex
	parkedBy  string // what clients are told while Connect is parked
	channels  map[*channel]struct{}
	open_     int // channels being served
	noMore    bool
	asking    map[proxy.Op]*channel
	bannerOut bool
}

func newSession(h *Handler, who *proven, client gossh.Conn) *session {
	return &session{
		handler: h, who: who, client: client,
		held: make(chan struct{}), ready: make(chan struct{}),
		channels: make(map[*channel]struct{}), asking: make(map[proxy.Op]*channel),
	}
}

// queued is how many requests of one channel, or of the connection, may wait
// while another is decided.
const queued = 128

// So many channels and requests of a connection may be refused, and so many more
// a second of its life, before it is taken for a flood: a browser behind ssh -D
// meets closed doors all day.
const (
	maxRefused    = 1000
	refusedSecond = 5
)

// serve serves the client until it leaves or the session ends.
func (s *session) serve(ctx context.Context, channels <-chan gossh.NewChannel, requests <-chan *gossh.Request) error {
	s.began = time.Now()
	s.ctx, s.cancel = context.WithCancel(ctx)
	s.spawn("ssh connect", s.connect)
	s.spawn("ssh requests", func() error { return s.globalRequests(requests) })
	for nc := range channels {
		if !s.admit() {
			nc.Reject(gossh.ResourceShortage, "too many channels are open")
			s.countRefusal()
			continue
		}
		s.spawn("ssh channel", func() error {
			defer s.leave()
			return s.serveChannel(nc)
		})
	}
	// The client is gone.
	s.cancel()
	<-s.ready
	if s.upstream != nil {
		s.upstream.Close()
	}
	s.goroutines.Wait()
	s.endListens()
	return s.outcome()
}

// outcome is what serve returns: nil when the client left.
func (s *session) outcome() error {
	switch {
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
	s.spawnReady("ssh resource", s.watchUpstream)
	s.spawnReady("ssh session end", s.watchEnd)
	s.spawnReady("ssh resource channels", func() error { return s.upstreamChannels(s.upstream.channels) })
	s.spawnReady("ssh resource requests", func() error { return s.upstreamRequests(s.upstream.requests) })
	if every := s.keepAlive(); every > 0 {
		s.spawnReady("ssh keepalive", func() error { return s.keepalives(s.upstream.Conn, every, "resource") })
		s.spawnReady("ssh client keepalive", func() error { return s.keepalives(s.client, every, "client") })
	}
	return nil
}

// patience is how long a client that was refused may take to open a channel on
// which it can be told why.
const patience = 3 * time.Second

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

func (s *session) keepAlive() time.Duration {
	if s.settings.KeepAlive == 0 {
		return defaultKeepAlive
	}
	return s.settings.KeepAlive
}

// keepalives asks peer for signs of life. Any answer is one, also a refusal.
func (s *session) keepalives(peer gossh.Conn, every time.Duration, who string) error {
	for {
		select {
		case <-s.ctx.Done():
			return nil
		case <-time.After(every):
		}
		silent := time.AfterFunc(3*every, func() {
			s.proxied.Kill(fmt.Errorf("the %s does not answer", who))
			peer.Close()
		})
		_, _, err := peer.SendRequest("keepalive@openssh.com", true, nil)
		silent.Stop()
		if err != nil {
			return nil // the connection ended, which others notice
		}
	}
}

// watchUpstream notices that the resource's connection ended.
func (s *session) watchUpstream() error {
	defer close(s.upstream.ended)
	s.upstream.Wait()
	if s.ctx.Err() != nil || s.proxied.Err() != nil {
		return nil
	}
	s.lost.Store(true)
	s.closeIfIdle(false)
	return nil
}

// watchEnd ends the connections when the session is ended from outside, and,
// when the gateway shuts down, as soon as nothing is running.
func (s *session) watchEnd() error {
	select {
	case <-s.ctx.Done():
		return nil
	case <-s.proxied.Context().Done():
	case <-s.proxied.Draining().Done():
		s.closeIfIdle(false)
		select {
		case <-s.ctx.Done():
			return nil
		case <-s.proxied.Context().Done():
		}
	}
	// What is being moved has a moment to be told; a client that does not read is
	// not waited for.
	s.mu.Lock()
	var told sync.WaitGroup
	for ch := range s.channels {
		told.Add(1)
		s.goroutines.Add(1)
		go func() {
			defer s.goroutines.Done()
			defer told.Done()
			ch.abort(s.proxied.Err())
		}()
	}
	s.mu.Unlock()
	done := make(chan struct{})
	go func() { told.Wait(); close(done) }()
	select {
	case <-done:
		s.linger()
	case <-time.After(time.Second):
	case <-s.ctx.Done():
	}
	s.upstream.Close()
	s.client.Close()
	return nil
}

// linger lets the client read what it was told before the connection is cut.
func (s *session) linger() {
	select {
	case <-s.ctx.Done():
	case <-time.After(100 * time.Millisecond):
	}
}

// admit counts one channel more, if there may be one.
func (s *session) admit() bool {
	limit := defaultMaxChannels
	if s.live() != nil && s.settings != nil && s.settings.MaxChannels > 0 {
		limit = s.settings.MaxChannels
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open_ >= limit {
		return false
	}
	s.open_++
	return true
}

func (s *session) leave() {
	s.mu.Lock()
	s.open_--
	s.mu.Unlock()
	s.closeIfIdle(false)
}

// closeIfIdle ends the client's connection when no channel is open and none can
// come: the resource is lost or was never reached, or the gateway shuts down.
// late says that the client has had its time to open one.
func (s *session) closeIfIdle(late bool) {
	select {
	case <-s.ready:
	default:
		return
	}
	s.mu.Lock()
	idle := s.open_ == 0
	s.mu.Unlock()
	if !idle {
		return
	}
	switch {
	case s.upstream == nil:
		if late || s.wasTold() {
			s.linger()
			s.client.Close()
		}
	case s.lost.Load():
		s.linger()
		s.client.Close()
	case s.proxied.Draining().Err() != nil:
		s.proxied.Kill(proxy.ErrShutdown)
	}
}

func (s *session) wasTold() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bannerOut
}

// parked is told that Connect waits for a decision.
func (s *session) parked(h *proxy.Hold) {
	s.mu.Lock()
	s.parkedBy = holdText(h)
	list := s.list()
	s.mu.Unlock()
	for _, ch := range list {
		ch.say(s.parkedBy)
	}
	select {
	case <-s.held:
	default:
		close(s.held)
	}
}

// hold is told that op waits for a decision.
func (s *session) hold(op proxy.Op, h *proxy.Hold) {
	s.mu.Lock()
	ch := s.asking[op]
	s.mu.Unlock()
	if ch != nil {
		ch.say(holdText(h))
	}
}

func holdText(h *proxy.Hold) string {
	text := h.Message
	if text == "" {
		text = "this waits for an approval"
		if h.ID != "" {
			text += " (" + h.ID + ")"
		}
	}
	if h.Link != "" {
		text += "\n" + h.Link
	}
	return text
}

func (s *session) list() []*channel {
	list := make([]*channel, 0, len(s.channels))
	for ch := range s.channels {
		list = append(list, ch)
	}
	return list
}

// rewrite replaces what a command is.
func rewrite(op proxy.Op, text []byte) error {
	e, ok := op.(*proxy.Exec)
	if !ok || e.Kind != proxy.KindExec && e.Kind != proxy.KindInput {
		return errors.New("this operation cannot be rewritten")
	}
	if strings.ContainsRune(string(text), 0) || len(text) > maxCommand {
		return errors.New("the replacement is no command")
	}
	e.Command = string(text)
	return nil
}

// ask asks about op, which came over ch (nil: over none), and tells ch's client
// what the verdict says.
func (s *session) ask(ctx context.Context, ch *channel, op proxy.Op) *proxy.Verdict {
	if ch != nil {
		s.mu.Lock()
		s.asking[op] = ch
		s.mu.Unlock()
		defer func() {
			s.mu.Lock()
			delete(s.asking, op)
			s.mu.Unlock()
		}()
	}
	v := s.proxied.Ask(ctx, op)
	if ch != nil && v.Warn != "" {
		ch.say(v.Warn)
	}
	return v
}

// refuse records that the gateway itself refuses op.
func (s *session) refuse(op proxy.Op, reason, remedy string) *proxy.Verdict {
	v := proxy.Deny(proxy.CausePolicy, "", reason, remedy)
	s.proxied.Refuse(op, v)
	return &v
}

// refuseName records that something was asked for that has no meaning here.
func (s *session) refuseName(what, name string) {
	s.countRefusal()
	op := &proxy.Call{Meta: proxy.Meta{Kind: proxy.KindCommand}, Name: what + " " + printable(name[:min(len(name), 64)])}
	s.refuse(op, "the gateway does not pass on this "+what, "")
}

// countRefusal ends the session when too much was refused: that is a flood, and
// each refusal costs a record.
func (s *session) countRefusal() {
	if int64(s.refused.Add(1)) > maxRefused+refusedSecond*int64(time.Since(s.began).Seconds()) {
		s.fail(errors.New("too many channels and requests were refused"))
	}
}

// refusalText is what a client is told.
func refusalText(v *proxy.Verdict) string {
	text := v.Message()
	if v.Remedy != "" {
		text += "\n" + v.Remedy
	}
	return text
}

// failureText is what a client is told that could not be connected.
func failureText(err error) string {
	var refused *proxy.RefusedError
	switch {
	case errors.As(err, &refused):
		return refusalText(&refused.Verdict)
	case errors.Is(err, proxy.ErrNotFound):
		return err.Error()
	}
	return err.Error()
}

// printable replaces what could steer a terminal or break a record's line.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 && r != '\t' || r >= 0x7f && r < 0xa0 || r == '\u2028' || r == '\u2029' {
			return '?'
		}
		return r
	}, s)
}

// printableLines is printable for text of several lines.
func printableLines(s string) []string {
	lines := strings.Split(strings.TrimRight(s, "\n"), "\n")
	for i, l := range lines {
		lines[i] = printable(l)
	}
	return lines
}
