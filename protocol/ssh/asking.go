package ssh

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/sallyport/sallyport/proxy"
)

// So many channels and requests of a connection may be refused, and so many more
// a second of its life, before it is taken for a flood: a browser that uses ssh -D
// meets closed doors all day.
const (
	maxRefused    = 1000
	refusedSecond = 5
)

// parked is told that Connect waits for a decision.
func (s *session) parked(h *proxy.Pending) {
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
func (s *session) hold(op proxy.Op, h *proxy.Pending) {
	s.mu.Lock()
	ch := s.asking[op]
	s.mu.Unlock()
	if ch != nil {
		if op.Info().Kind == proxy.KindInput && ch.beforeHold != nil {
			ch.beforeHold()
		}
		ch.say(holdText(h))
	}
}

func holdText(h *proxy.Pending) string {
	text := h.Message
	if text == "" {
		text = "this operation is waiting for approval"
		if h.ID != "" {
			text += " (" + h.ID + ")"
		}
	}
	if h.Link != "" {
		text += "\n" + h.Link
	}
	return text
}

// rewrite replaces what a command is.
func rewrite(op proxy.Op, text []byte) error {
	e, ok := op.(*proxy.Exec)
	if !ok || e.Kind != proxy.KindExec {
		return errors.New("this operation cannot be rewritten")
	}
	if strings.ContainsRune(string(text), 0) || len(text) > maxCommand {
		return errors.New("the replacement is not a command")
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

// mayRun asks about a line that is given to ch's shell, and tells the client when
// it is refused.
func (ch *channel) mayRun(line string) bool {
	op := ch.lineOp(line)
	v := ch.session.ask(ch.inputCtx, ch, op)
	if v.Refuses() {
		ch.say(refusalText(v))
		return false
	}
	ch.session.proxied.Done(op, &proxy.Outcome{})
	return true
}

// remind tells those who sit at terminals something, without waiting for them to read.
func (s *session) remind(text string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	told := false
	for ch := range s.channels {
		if ch.terminal.Load() {
			told = true
			s.spawn("ssh reminder", func() error { ch.say(text); return nil })
		}
	}
	return told
}

// lineOp is the operation that a line for ch's shell is.
func (ch *channel) lineOp(line string) *proxy.Exec {
	return &proxy.Exec{Meta: proxy.Meta{Kind: proxy.KindInput, Parent: ch.op.Info().ID}, Command: line, Terminal: ch.pty != nil}
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
	if errors.As(err, &refused) {
		return refusalText(&refused.Verdict)
	}
	for _, e := range []any{new(*dialError), new(*keyError), new(*HostKeyError), new(*unknownHostError)} {
		if errors.As(err, e) {
			return err.Error() + askOperator
		}
	}
	if errors.Is(err, errNotAccepted) {
		return err.Error() + askOperator
	}
	return err.Error()
}

// askOperator tells a user what to do about what only an operator can mend.
const askOperator = ": ask the gateway's administrator, whose log says more"

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
