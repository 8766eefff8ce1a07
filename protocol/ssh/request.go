package ssh

import (
	"errors"
	"io"
	"slices"
	"strings"

	gossh "golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/proxy"
)

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
		size := r.Payload
		if last := ch.resize.Swap(nil); last != nil {
			size = last.Payload
		}
		var window windowChange
		if window, err = parseWindowChange(size); err == nil && ch.pty != nil {
			if ch.stdout != nil {
				ch.stdout.resize(window)
			}
			if ch.typed != nil {
				ch.typed.resize(int(min(window.Columns, 10000)))
			}
			_, err = ch.up.SendRequest(r.Type, false, size)
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
	ch.starting.Lock()
	defer ch.starting.Unlock()
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
	if !v.Refuses() {
		if denied := ch.askFiles(exec); denied != nil {
			v = denied
		}
	}
	if v.Refuses() {
		if !s.handler.knows(s.settings, exec) {
			r.Reply(false, nil) // as servers answer
			return nil
		}
		r.Reply(true, nil)
		if !s.over() && ch.startCtx.Err() == nil { // else it is told what ended it
			ch.say(refusalText(v))
			ch.exit(1)
		}
		return nil
	}
	ch.op = exec
	request, payload := "exec", appendText(nil, exec.Command)
	switch exec.Kind {
	case proxy.KindShell:
		if exec.Command == "" {
			request, payload = "shell", nil
		}
	case proxy.KindSubsystem:
		request = "subsystem"
	}
	if err := ch.flows(exec); err != nil {
		r.Reply(true, nil)
		ch.say("nothing was run: " + err.Error())
		ch.doneFiles(&proxy.Outcome{Err: err})
		s.proxied.Done(exec, &proxy.Outcome{Err: err})
		ch.op = nil
		ch.exit(1)
		return nil
	}
	ok, err := ch.up.SendRequest(request, true, payload)
	r.Reply(ok || s.over(), nil) // abort tells what ended the session
	if !ok {
		ch.doneFiles(&proxy.Outcome{Code: "refused", Err: err})
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
	if g := ch.session.handler.Grammar; g != nil && e.Kind == proxy.KindExec && g.IsShell(e.Command) {
		e.Kind = proxy.KindShell
	}
	return e, nil
}

// askStart asks whether e may run.
func (ch *channel) askStart(e *proxy.Exec) *proxy.Verdict {
	s := ch.session
	if v, refused := s.handler.Refuses(s.settings, e); refused {
		s.proxied.Refuse(e, v)
		return &v
	}
	return s.ask(ch.startCtx, ch, e)
}

// Refuses returns the refusal of e by a resource's settings, for which nobody else
// is asked; false when they do not refuse it.
func (h *Handler) Refuses(set *Settings, e *proxy.Exec) (v proxy.Verdict, refused bool) {
	deny := func(reason, remedy string) (proxy.Verdict, bool) {
		return proxy.Deny(proxy.CausePolicy, "", reason, remedy), true
	}
	switch {
	case strings.ContainsRune(e.Command, 0):
		return deny("the command contains a NUL byte, which shells treat differently", "")
	case set.ExecOnly && e.Kind == proxy.KindShell:
		return deny("this resource runs single commands only", "run: ssh HOST COMMAND")
	case set.ExecOnly && e.Kind == proxy.KindSubsystem:
		return deny("this resource runs single commands only", "")
	case !h.knows(set, e):
		return deny("this subsystem is not allowed here", "")
	case set.NoFiles && h.movesFiles(e):
		return deny("files may not be copied from or to this resource", "")
	case set.ExecOnly && h.Grammar == nil:
		return deny("the gateway cannot tell what commands would run here", "")
	case set.ExecOnly:
		if err := h.Grammar.Check(e.Command); err != nil {
			return deny("the gateway cannot tell what this command would run: "+err.Error(), "write it as plain commands")
		}
	}
	return v, false
}

// knows reports whether a resource may have e, which it may not when its settings leave
// out the subsystem.
func (h *Handler) knows(set *Settings, e *proxy.Exec) bool {
	return e.Kind != proxy.KindSubsystem || e.Command == "sftp" || slices.Contains(set.Subsystems, e.Command)
}

// movesFiles reports whether e is one of the known ways to copy files.
func (h *Handler) movesFiles(e *proxy.Exec) bool {
	if _, ok := h.transferOf(e); ok {
		return true
	}
	word, _, _ := strings.Cut(strings.TrimSpace(e.Command), " ")
	word = word[strings.LastIndexByte(word, '/')+1:]
	return word == "scp" || word == "rsync" || word == "sftp-server"
}
