package ssh

import (
	"context"
	"errors"
	"io"
	"iter"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/protocol/ssh/sftp"
	"github.com/sallyport/sallyport/proxy"
)

// channel is a session channel (RFC 4254 section 6): one shell, command or
// subsystem.
type channel struct {
	// starting is held while it is decided whether the channel's operation runs, until
	// the client has the answer.
	starting sync.Mutex

	session *session
	client  gossh.Channel
	up      gossh.Channel
	ctx     context.Context // ends when the client closed the channel
	cancel  context.CancelFunc
	// inputCtx ends when nothing more of what the client sent is passed on, which is
	// later than ctx: what it sent before it closed the channel still arrives.
	inputCtx  context.Context
	stopInput context.CancelFunc
	// startCtx ends when nothing can be started any more, since a side has closed the
	// channel.
	startCtx  context.Context
	stopStart context.CancelFunc

	out lockedWriter // to the client's stdout
	err lockedWriter // to the client's stderr

	// Used by the goroutine that acts on requests.
	pty     *ptyRequest
	started bool

	op       proxy.Op         // the shell, command or subsystem
	before   []*gossh.Request // what was asked for before there was a resource
	ahead    []byte           // what was typed then
	typed    *typed           // judges the lines of an interactive shell; nil for others
	sftp     bool             // it serves SFTP
	moves    bool             // it does nothing but copy files
	moved    []*proxy.File
	stdin    *pump
	stdout   *pump
	stderr   *pump
	relayed  chan struct{} // closed when the resource's side has ended
	exitCode atomic.Pointer[string]
	exited   chan struct{} // closed when exitCode is set
	terminal atomic.Bool
	drawn    atomic.Bool // the resource draws on the terminal
	menu     atomic.Bool // it shows the menu
	// refusedLine says that a line for the shell was refused and its input ended:
	// what it says of its exit is not success.
	refusedLine atomic.Bool
	// beforeHold passes on what a script's lines before one that waits are; nil for others.
	beforeHold func()
	resize     atomic.Pointer[gossh.Request] // the last window change that waits
	order      order
	files      *sftp.Relay // of the sftp subsystem
	finished   sync.Once
	aborted    sync.Once
}

// serveChannel serves one channel that the client opens.
func (s *session) serveChannel(nc gossh.NewChannel) error {
	if s.jump != nil && nc.ChannelType() == "direct-tcpip" {
		return s.jump(s.ctx, nc)
	}
	switch nc.ChannelType() {
	case "session":
		return s.serveSessionChannel(nc)
	case "direct-tcpip", "direct-streamlocal@openssh.com":
		return s.serveForward(nc)
	}
	if !s.awaitReady() {
		nc.Reject(gossh.ConnectionFailed, s.failureLine())
		return nil
	}
	s.refuseName("channel", nc.ChannelType())
	nc.Reject(gossh.UnknownChannelType, "the gateway does not pass on channels of this type")
	return nil
}

// awaitReady waits for the connection to the resource, and reports whether it is
// there.
func (s *session) awaitReady() bool {
	select {
	case <-s.ready:
		return s.upstream != nil
	case <-s.ctx.Done():
		return false
	}
}

// failure returns why there is no connection to the resource; nil when there is one,
// or nobody knows yet because the client left before.
func (s *session) failure() error {
	select {
	case <-s.ready:
		return s.err
	default:
		return nil
	}
}

// failureLine is failure in one line.
func (s *session) failureLine() string {
	err := s.failure()
	if err == nil || s.ctx.Err() != nil {
		return "the session ended"
	}
	return strings.Join(printableLines(failureText(err)), "; ")
}

func (s *session) serveSessionChannel(nc gossh.NewChannel) error {
	select {
	case <-s.ready:
	case <-s.held:
	case <-s.ctx.Done():
		return nil
	}
	var up gossh.Channel
	var upRequests <-chan *gossh.Request
	connected := s.live() != nil && s.upstream != nil
	if connected {
		var err error
		if up, upRequests, err = s.openChannel("session", nil); err != nil {
			rejectLike(nc, err)
			return nil
		}
	}
	client, requests, err := nc.Accept()
	if err != nil {
		if up != nil {
			up.Close()
		}
		return nil // the connection ended
	}
	ch := &channel{session: s, client: client, up: up, relayed: make(chan struct{}), exited: make(chan struct{})}
	ch.ctx, ch.cancel = context.WithCancel(s.ctx)
	defer ch.cancel()
	ch.inputCtx, ch.stopInput = context.WithCancel(s.ctx)
	defer ch.stopInput()
	ch.startCtx, ch.stopStart = context.WithCancel(ch.ctx)
	defer ch.stopStart()
	ch.out.w, ch.err.w = client, client.Stderr()
	waiting := s.addChannel(ch)
	defer s.removeChannel(ch)
	if waiting != "" {
		ch.say(waiting)
	}
	queue := make(chan *gossh.Request, queued)
	s.spawn("ssh channel requests", func() error { return ch.collect(requests, queue) })
	defer func() {
		client.Close()
		for range queue { // until the client's side is closed too
		}
	}()
	if !connected {
		if s.choosing != nil && !ch.choose(queue) {
			return nil
		}
		if !s.awaitReady() {
			return ch.refuseAll(queue)
		}
		if up, upRequests, err = s.openChannel("session", nil); err != nil {
			ch.say("the resource opens no session: " + reasonOf(err))
			return ch.refuseAll(queue)
		}
		ch.up = up
	}
	ch.showBanner()
	return ch.serve(queue, upRequests)
}

// rejectLike refuses a channel as the resource did.
func rejectLike(nc gossh.NewChannel, err error) {
	var open *gossh.OpenChannelError
	if errors.As(err, &open) {
		nc.Reject(open.Reason, printable(open.Message))
		return
	}
	nc.Reject(gossh.ConnectionFailed, "the connection to the resource was lost")
}

func reasonOf(err error) string {
	var open *gossh.OpenChannelError
	if errors.As(err, &open) {
		return printable(open.Message)
	}
	return "the connection was lost"
}

// addChannel lists ch, and returns what its client is to be told at once.
func (s *session) addChannel(ch *channel) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.channels[ch] = struct{}{}
	select {
	case <-s.ready:
		return ""
	default:
		return s.parkedBy
	}
}

func (s *session) removeChannel(ch *channel) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.channels, ch)
}

// showBanner shows the resource's banner on the first channel, as it would have
// been shown while the client logged in.
func (ch *channel) showBanner() {
	s := ch.session
	s.mu.Lock()
	first := !s.bannerOut
	s.bannerOut = true
	s.mu.Unlock()
	if !first || s.upstream.banner == "" {
		return
	}
	msg := &proxy.Message{Kind: proxy.MessageNotice, Fields: []proxy.MessageField{{Name: "message", Value: []byte(s.upstream.banner)}}}
	if _, tells := s.proxied.Wants(); tells && s.proxied.Tell(nil, msg) != nil {
		return
	}
	for _, line := range printableLines(string(msg.Fields[0].Value)) {
		ch.aside().Write([]byte(line + "\r\n"))
	}
}

// collect takes the client's requests off the connection as they come: the
// library stops reading the whole connection when a channel's queue of 16 is
// full.
func (ch *channel) collect(requests <-chan *gossh.Request, queue chan<- *gossh.Request) error {
	defer close(queue)
	defer ch.cancel()
	overflow := false
	taken := uint64(0)
	take := func(r *gossh.Request) {
		if overflow {
			r.Reply(false, nil)
			return
		}
		if r.Type == "window-change" && !r.WantReply && ch.resize.Swap(r) != nil {
			return // one waits already, and will find this one
		}
		select {
		case queue <- r:
			taken++
		default:
			// Nobody who waits for replies gets here.
			overflow = true
			ch.client.Close()
			r.Reply(false, nil)
		}
	}
	for {
		select {
		case r, ok := <-requests:
			if !ok {
				return nil
			}
			take(r)
		case mark := <-ch.order.next():
			for more := true; more; {
				select {
				case r, ok := <-requests:
					if !ok {
						mark <- taken
						return nil
					}
					take(r)
				default:
					more = false
				}
			}
			mark <- taken
		}
	}
}

// refuseAll answers the client of a channel that leads nowhere: it may set up
// what it wants, and is told why at the point where it would run something.
func (ch *channel) refuseAll(queue <-chan *gossh.Request) error {
	s := ch.session
	for r := range ch.requests(queue) {
		switch r.Type {
		case "pty-req":
			if pty, err := parsePty(r.Payload); err == nil {
				ch.pty = &pty
				ch.terminal.Store(true)
			}
			r.Reply(true, nil)
		case "shell", "exec", "subsystem":
			r.Reply(true, nil)
			err := s.failure()
			if err != nil {
				ch.say(failureText(err))
			}
			s.mu.Lock()
			s.bannerOut = true
			s.mu.Unlock()
			ch.exit(exitCodeOf(err))
			return nil
		default:
			r.Reply(r.Type == "env", nil)
		}
	}
	return nil
}

// requests yields what was asked for before there was a resource, and then what
// comes.
func (ch *channel) requests(queue <-chan *gossh.Request) iter.Seq[*gossh.Request] {
	return func(yield func(*gossh.Request) bool) {
		for _, r := range ch.before {
			if !yield(r) {
				return
			}
		}
		for r := range queue {
			if !yield(r) {
				return
			}
		}
	}
}

// aside is where the client is told something: stderr, or a terminal that is drawn on, since clients
// show what comes on both streams out of order.
func (ch *channel) aside() io.Writer {
	if ch.drawn.Load() {
		return &ch.out
	}
	return &ch.err
}

// say tells the client something; on a terminal in the way that terminals need.
func (ch *channel) say(text string) {
	var b []byte
	end := "\n"
	if ch.terminal.Load() {
		end = "\r\n"
		b = append(b, end...)
	}
	for _, line := range printableLines(text) {
		b = append(b, "sallyport: "+line+end...)
	}
	ch.aside().Write(b)
}

// serve acts on the client's requests until either side closes the channel.
func (ch *channel) serve(queue <-chan *gossh.Request, upRequests <-chan *gossh.Request) error {
	ch.session.spawn("ssh resource channel requests", func() error { return ch.resourceRequests(upRequests) })
	for r := range ch.requests(queue) {
		if err := ch.request(r); err != nil {
			return err
		}
		ch.order.act()
	}
	// The client closed the channel. What it sent before still arrives.
	if ch.stdin != nil {
		select {
		case <-ch.stdin.done:
		case <-ch.relayed:
		case <-ch.session.ctx.Done():
		case <-time.After(10 * time.Second):
		}
	}
	ch.stopInput()
	ch.up.Close()
	<-ch.relayed
	return nil
}
