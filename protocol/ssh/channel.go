package ssh

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
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
	session *session
	client  gossh.Channel
	up      gossh.Channel
	ctx     context.Context // ends when the client closed the channel
	cancel  context.CancelFunc

	out lockedWriter // to the client's stdout
	err lockedWriter // to the client's stderr

	// Used by the goroutine that acts on requests.
	pty     *ptyRequest
	started bool

	op       proxy.Op // the shell, command or subsystem
	stdin    *pump
	stdout   *pump
	stderr   *pump
	relayed  chan struct{} // closed when the resource's side has ended
	exitCode atomic.Pointer[string]
	exited   chan struct{} // closed when exitCode is set
	terminal atomic.Bool
	files    *sftp.Relay // of the sftp subsystem
	finished sync.Once
}

// lockedWriter is written by the pump and, now and then, by who has something to
// tell the client.
type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (w *lockedWriter) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.w.Write(b)
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
		nc.Reject(gossh.ConnectionFailed, s.failure())
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

func (s *session) failure() string {
	if s.ctx.Err() != nil || s.err == nil {
		return "the session ended"
	}
	return strings.Join(printableLines(failureText(s.err)), "; ")
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
		s.mu.Lock()
		noMore := s.noMore
		s.mu.Unlock()
		if noMore {
			nc.Reject(gossh.Prohibited, "the client wanted no more sessions")
			s.countRefusal()
			return nil
		}
		var err error
		if up, upRequests, err = s.upstream.OpenChannel("session", nil); err != nil {
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
		if !s.awaitReady() {
			return ch.refuseAll(queue)
		}
		if up, upRequests, err = s.upstream.OpenChannel("session", nil); err != nil {
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
		ch.err.Write([]byte(line + "\r\n"))
	}
}

// collect takes the client's requests off the connection as they come: the
// library stops reading the whole connection when a channel's queue of 16 is
// full.
func (ch *channel) collect(requests <-chan *gossh.Request, queue chan<- *gossh.Request) error {
	defer close(queue)
	defer ch.cancel()
	overflow := false
	for r := range requests {
		if overflow {
			r.Reply(false, nil)
			continue
		}
		select {
		case queue <- r:
		default:
			// Nobody who waits for replies gets here.
			overflow = true
			ch.client.Close()
			r.Reply(false, nil)
		}
	}
	return nil
}

// refuseAll answers the client of a channel that leads nowhere: it may set up
// what it wants, and is told why at the point where it would run something.
func (ch *channel) refuseAll(queue <-chan *gossh.Request) error {
	s := ch.session
	for r := range queue {
		switch r.Type {
		case "pty-req":
			if pty, err := parsePty(r.Payload); err == nil {
				ch.pty = &pty
				ch.terminal.Store(true)
			}
			r.Reply(true, nil)
		case "shell", "exec", "subsystem":
			r.Reply(true, nil)
			if s.err != nil {
				ch.say(failureText(s.err))
			}
			s.mu.Lock()
			s.bannerOut = true
			s.mu.Unlock()
			ch.exit(exitCodeOf(s.err))
			return nil
		default:
			r.Reply(r.Type == "env", nil)
		}
	}
	return nil
}

// exitCodeOf tells refusals from failures: 255 is what ssh itself exits with
// when there is no connection.
func exitCodeOf(err error) uint32 {
	var refused *proxy.RefusedError
	if errors.As(err, &refused) {
		return 1
	}
	return 255
}

// exit ends the channel from the gateway's side.
func (ch *channel) exit(code uint32) {
	ch.client.SendRequest("exit-status", false, []byte{byte(code >> 24), byte(code >> 16), byte(code >> 8), byte(code)})
	ch.client.Close()
}

// closeWrite tells the client that no more output follows. The library wants no
// writer beside it, and who has something to say may be one.
func (ch *channel) closeWrite() {
	ch.out.mu.Lock()
	defer ch.out.mu.Unlock()
	ch.err.mu.Lock()
	defer ch.err.mu.Unlock()
	ch.client.CloseWrite()
}

// say tells the client something, on stderr; on a terminal in the way that
// terminals need.
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
	ch.err.Write(b)
}

// serve acts on the client's requests until either side closes the channel.
func (ch *channel) serve(queue <-chan *gossh.Request, upRequests <-chan *gossh.Request) error {
	ch.session.spawn("ssh resource channel requests", func() error { return ch.resourceRequests(upRequests) })
	for r := range queue {
		if err := ch.request(r); err != nil {
			return err
		}
	}
	// The client closed the channel. What it sent before still arrives.
	if ch.stdin != nil {
		select {
		case <-ch.stdin.done:
		case <-ch.relayed:
		case <-time.After(10 * time.Second):
		}
	}
	ch.up.Close()
	<-ch.relayed
	return nil
}

// request acts on one request of the client's.
func (ch *channel) request(r *gossh.Request) error {
	var ok bool
	var err error
	switch r.Type {
	case "pty-req":
		ok, err = ch.requestPty(r)
	case "env":
		ok, err = ch.requestEnv(r)
	case "shell", "exec", "subsystem":
		return ch.requestStart(r)
	case "window-change":
		if _, err = parseWindowChange(r.Payload); err == nil && ch.pty != nil {
			_, err = ch.up.SendRequest(r.Type, false, r.Payload)
			ok = err == nil
		}
	case "signal":
		var name string
		if name, err = parseText(r.Payload, maxName); err == nil && signals[name] {
			_, err = ch.up.SendRequest(r.Type, false, r.Payload)
			ok = err == nil
		}
	case "break": // RFC 4335
		if _, err = parseUint32(r.Payload); err == nil {
			ok, err = ch.up.SendRequest(r.Type, r.WantReply, r.Payload)
		}
	case "eow@openssh.com": // the client reads no more
		if len(r.Payload) == 0 {
			_, err = ch.up.SendRequest(r.Type, false, nil)
			ok = err == nil
		}
	case "auth-agent-req@openssh.com":
		ok, err = ch.requestAgent(r)
	case "x11-req":
		ok, err = ch.requestX11(r)
	case "keepalive@openssh.com":
	default:
		ch.session.refuseName("channel request", r.Type)
	}
	if errors.Is(err, io.EOF) { // the resource closed the channel, or its connection ended
		err = nil
	}
	r.Reply(ok, nil)
	if errors.Is(err, errPayload) {
		ch.session.refuseName("malformed request", r.Type)
		err = nil
	}
	return err
}

func (ch *channel) requestPty(r *gossh.Request) (bool, error) {
	pty, err := parsePty(r.Payload)
	if err != nil || ch.started || ch.pty != nil {
		return false, err
	}
	s := ch.session
	if s.settings.ExecOnly || !s.who.limits.permits("permit-pty") {
		op := &proxy.Call{Meta: proxy.Meta{Kind: proxy.KindCommand}, Name: "pty-req"}
		s.refuse(op, "this resource gives no terminal", "")
		return false, nil
	}
	ok, err := ch.up.SendRequest(r.Type, true, r.Payload)
	if ok {
		ch.pty = &pty
		ch.terminal.Store(true)
	}
	return ok, err
}

func (ch *channel) requestEnv(r *gossh.Request) (bool, error) {
	name, value, err := parseEnv(r.Payload)
	if err != nil || ch.started {
		return false, err
	}
	s := ch.session
	op := &proxy.Call{Meta: proxy.Meta{Kind: proxy.KindEnv}, Name: name, Args: [][]byte{[]byte(value)}}
	if !s.settings.allowsEnv(name) {
		op.Name = printable(name)
		s.refuse(op, "this variable may not be set here", "")
		return false, nil
	}
	if s.ask(ch.ctx, ch, op).Refuses() {
		return false, nil
	}
	// Always with an answer, so that the outcome is known.
	ok, err := ch.up.SendRequest(r.Type, true, r.Payload)
	out := &proxy.Outcome{}
	if !ok {
		out.Code = "refused"
	}
	s.proxied.Done(op, out)
	return ok, err
}

// requestStart starts the shell, command or subsystem of the channel.
func (ch *channel) requestStart(r *gossh.Request) error {
	s := ch.session
	if ch.started {
		s.refuseName("second request on one channel", r.Type)
		r.Reply(false, nil)
		return nil
	}
	exec, err := ch.execOf(r)
	if err != nil {
		s.refuseName("malformed request", r.Type)
		r.Reply(false, nil)
		return nil
	}
	ch.started = true
	v := ch.askStart(exec)
	if v.Refuses() {
		r.Reply(true, nil)
		ch.say(refusalText(v))
		ch.exit(1)
		return nil
	}
	ch.op = exec
	request, payload := "exec", appendText(nil, exec.Command)
	switch exec.Kind {
	case proxy.KindShell:
		request, payload = "shell", nil
	case proxy.KindSubsystem:
		request = "subsystem"
	}
	if err := ch.flows(exec); err != nil {
		r.Reply(true, nil)
		ch.say("nothing was run: " + err.Error())
		s.proxied.Done(exec, &proxy.Outcome{Err: err})
		ch.op = nil
		ch.exit(1)
		return nil
	}
	ok, err := ch.up.SendRequest(request, true, payload)
	r.Reply(ok, nil)
	if !ok {
		s.proxied.Done(exec, &proxy.Outcome{Code: "refused", Err: err})
		ch.op = nil
		ch.up.Close()
		return nil
	}
	ch.start()
	return nil
}

// execOf returns the operation that a request asks for.
func (ch *channel) execOf(r *gossh.Request) (*proxy.Exec, error) {
	e := &proxy.Exec{Meta: proxy.Meta{Kind: proxy.KindShell}, Terminal: ch.pty != nil}
	var err error
	switch r.Type {
	case "shell":
		if len(r.Payload) > 0 {
			return nil, errPayload
		}
	case "exec":
		e.Kind = proxy.KindExec
		e.Command, err = parseText(r.Payload, maxCommand)
	case "subsystem":
		e.Kind = proxy.KindSubsystem
		e.Command, err = parseText(r.Payload, maxName)
	}
	if err != nil {
		return nil, err
	}
	if command := ch.session.who.limits.command; command != "" {
		// The client's certificate says what runs, as with OpenSSH.
		e.Kind, e.Command = proxy.KindExec, command
	}
	return e, nil
}

// askStart asks whether e may run.
func (ch *channel) askStart(e *proxy.Exec) *proxy.Verdict {
	s := ch.session
	set := s.settings
	switch {
	case strings.ContainsRune(e.Command, 0):
		return s.refuse(e, "the command contains a NUL byte, which shells do not agree on", "")
	case set.ExecOnly && e.Kind == proxy.KindShell:
		return s.refuse(e, "this resource runs single commands only", "run: ssh HOST COMMAND")
	case set.ExecOnly && e.Kind == proxy.KindSubsystem:
		return s.refuse(e, "this resource runs single commands only", "")
	case e.Kind == proxy.KindSubsystem && e.Command != "sftp" && !slices.Contains(set.Subsystems, e.Command):
		return s.refuse(e, "this subsystem is not allowed here", "")
	case set.NoFiles && movesFiles(e):
		return s.refuse(e, "files may not be copied from or to this resource", "")
	case set.ExecOnly && s.handler.Grammar == nil:
		return s.refuse(e, "the gateway cannot tell what commands would run here", "")
	case set.ExecOnly:
		if err := s.handler.Grammar.Check(e.Command); err != nil {
			return s.refuse(e, "what this command would run cannot be told: "+err.Error(), "write it as plain commands")
		}
	}
	return s.ask(ch.ctx, ch, e)
}

// movesFiles reports whether e is one of the known ways to copy files.
func movesFiles(e *proxy.Exec) bool {
	if e.Kind == proxy.KindSubsystem {
		return e.Command == "sftp"
	}
	word, _, _ := strings.Cut(strings.TrimSpace(e.Command), " ")
	word = word[strings.LastIndexByte(word, '/')+1:]
	return word == "scp" || word == "rsync" || word == "sftp-server"
}

// flows sets up the streams of e.
func (ch *channel) flows(e *proxy.Exec) error {
	s := ch.session
	pumpOf := func(src io.Reader, dst io.Writer, media string, inbound bool) (*pump, error) {
		p := &pump{src: src, dst: dst, protect: s.proxied.Protect, done: make(chan struct{})}
		if servesFiles(e) && media != "stderr" {
			return p, nil // its files have flows of their own
		}
		shape := &proxy.Shape{Kind: proxy.ShapeStream, Media: media, Inbound: inbound}
		if ch.pty != nil {
			shape.Width = int(min(ch.pty.Columns, 10000))
		}
		var err error
		p.flow, err = s.proxied.Flow(e, shape)
		return p, err
	}
	media := "stdout"
	if ch.pty != nil {
		media = "terminal"
	}
	var err error
	if ch.stdout, err = pumpOf(ch.up, &ch.out, media, false); err != nil {
		return err
	}
	if ch.stderr, err = pumpOf(ch.up.Stderr(), &ch.err, "stderr", false); err != nil {
		return err
	}
	ch.stdin, err = pumpOf(ch.client, ch.up, "stdin", true)
	return err
}

// start starts the pumps. What the client sent before the resource was there
// has waited in the channel's window.
func (ch *channel) start() {
	s := ch.session
	if e := ch.op.(*proxy.Exec); servesFiles(e) {
		ch.startFiles(e)
	} else {
		s.spawn("ssh stdin", func() error {
			err := ch.stdin.run()
			if err == nil {
				ch.up.CloseWrite()
			}
			return ch.broke(err)
		})
		s.spawn("ssh stdout", func() error { return ch.broke(ch.stdout.run()) })
	}
	s.spawn("ssh stderr", func() error { return ch.broke(ch.stderr.run()) })
	s.spawn("ssh half-close", ch.halfClose)
}

// statusTime is how long the end of the output may wait for the exit status.
const statusTime = 3 * time.Second

// halfClose tells the client that the output has ended. Commands end their
// output a moment before they exit, and clients that have sent their own end
// then close the channel, which the library answers at once: the exit status
// would be lost. So the end waits for it.
func (ch *channel) halfClose() error {
	<-ch.stdout.done
	<-ch.stderr.done
	select {
	case <-ch.exited:
	case <-time.After(statusTime):
	case <-ch.ctx.Done():
		return nil
	case <-ch.session.upstream.ended:
		return nil // resourceRequests tells the client
	}
	ch.closeWrite()
	return nil
}

// broke handles the end of a pump. When a filter would not let data pass, the
// channel ends; other errors mean that one side is gone, which closes the
// channel by itself.
func (ch *channel) broke(err error) error {
	var withheld *filterError
	var panicked *proxy.PanicError
	switch {
	case errors.As(err, &panicked):
		return err
	case errors.As(err, &withheld):
		ch.say(withheld.Error())
		ch.setExit("withheld")
		ch.exit(1)
		ch.up.Close()
	case err != nil:
		// The writer's side is closed or closing; nothing more can be moved.
	}
	return nil
}

// resourceRequests acts on the resource's requests on this channel, and, when
// the resource closed it, ends the channel.
func (ch *channel) resourceRequests(requests <-chan *gossh.Request) error {
	defer close(ch.relayed)
	for r := range requests {
		ch.resourceRequest(r)
	}
	if ch.stdout != nil {
		// Everything that came before the close has its time, as long as the client
		// is there to read it.
		ch.wait(ch.stdout.done)
		ch.wait(ch.stderr.done)
	}
	if ch.ctx.Err() == nil && ch.cutOff() {
		ch.say("the connection to " + ch.session.proxied.Target.Resource.Name + " was lost")
		ch.exit(255)
	}
	ch.client.Close()
	ch.finish()
	return nil
}

func (ch *channel) wait(done <-chan struct{}) {
	if ch.op == nil {
		return // never started
	}
	select {
	case <-done:
	case <-ch.ctx.Done():
	}
}

// cutOff reports whether the channel ended because the resource's connection
// did. The library closes the channels first, so this may take a moment to show.
func (ch *channel) cutOff() bool {
	select {
	case <-ch.exited:
		return false
	default:
	}
	select {
	case <-ch.session.upstream.ended:
		return ch.session.lost.Load()
	case <-ch.exited:
	case <-time.After(100 * time.Millisecond):
	}
	return false
}

func (ch *channel) resourceRequest(r *gossh.Request) {
	ok := true
	switch r.Type {
	case "exit-status":
		code, err := parseUint32(r.Payload)
		if ok = err == nil; ok {
			ch.passExit(r, strconv.FormatUint(uint64(code), 10))
		}
	case "exit-signal":
		sig, err := parseExitSignal(r.Payload)
		if ok = err == nil; ok {
			ch.passExit(r, "signal "+printable(sig.Signal))
		}
	case "xon-xoff", "eow@openssh.com":
		if ok = len(r.Payload) <= 1; ok {
			ch.client.SendRequest(r.Type, false, r.Payload)
		}
	case "keepalive@openssh.com":
		ok = false // as OpenSSH itself answers
	default:
		ok = false
		ch.session.refuseName("request of the resource's", r.Type)
	}
	r.Reply(ok, nil)
}

// passExit passes on how the command ended, after everything that it wrote.
func (ch *channel) passExit(r *gossh.Request, code string) {
	if ch.exitCode.Load() != nil || ch.stdout == nil {
		return
	}
	ch.stdout.settled(ch.ctx.Done())
	ch.stderr.settled(ch.ctx.Done())
	ch.client.SendRequest(r.Type, false, r.Payload)
	ch.setExit(code)
}

func (ch *channel) setExit(code string) {
	if ch.exitCode.CompareAndSwap(nil, &code) {
		close(ch.exited)
	}
}

// finish tells the chain how the channel's operation ended.
func (ch *channel) finish() {
	ch.finished.Do(func() {
		if ch.op == nil {
			return
		}
		out := &proxy.Outcome{}
		if code := ch.exitCode.Load(); code == nil {
			out.Err = errNoExit
			if ch.session.lost.Load() {
				out.Err = errLost
			}
		} else if *code != "0" {
			out.Code = *code
		}
		if ch.files != nil {
			<-ch.stdin.done
			<-ch.stdout.done
			ch.files.Close()
		}
		if ch.stdin != nil {
			out.BytesIn = ch.stdin.count.Load()
			out.BytesOut = ch.stdout.count.Load() + ch.stderr.count.Load()
		}
		ch.session.proxied.Done(ch.op, out)
	})
}

var errNoExit = errors.New("it ended without an exit status")

// abort ends the channel because the session has ended.
func (ch *channel) abort(cause error) {
	if cause == nil {
		cause = errors.New("the session ended")
	}
	ch.say(fmt.Sprint("the session was ended: ", cause))
	ch.exit(255)
}
