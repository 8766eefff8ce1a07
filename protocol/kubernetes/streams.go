package kubernetes

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"github.com/sallyport/sallyport/protocol/internal/relay"
	"github.com/sallyport/sallyport/protocol/internal/script"
	"github.com/sallyport/sallyport/proxy"
)

// Channels of a stream: the first byte of each message.
const (
	chanStdin  = 0
	chanStdout = 1
	chanStderr = 2
	chanStatus = 3
	chanResize = 4
	chanClose  = 255 // of version 5: the channel in the next byte has ended
)

// streams are those of one command in a container.
type streams struct {
	session *proxy.Session
	op      *proxy.Exec
	out     *proxy.Outcome
	flows   [3]*proxy.Flow // by channel
	sizes   chan terminalSize
	buf     []byte
	last    []byte // how the command has ended, which comes after what it has printed

	lines   *script.Lines // of a shell without a terminal; nil: what the input says is not judged
	closes  bool          // the client can say that the input has ended
	over    bool          // the input has ended, by the client or since a line of it was refused
	refused atomic.Bool   // one was
}

type terminalSize struct{ Width, Height uint16 }

func newStreams(s *proxy.Session, op *proxy.Exec, out *proxy.Outcome) (*streams, error) {
	x := &streams{session: s, op: op, out: out, sizes: make(chan terminalSize, 1)}
	media := [3]string{"stdin", "stdout", "stderr"}
	if op.Terminal {
		media[chanStdout] = "terminal"
	}
	for i := range media {
		var err error
		if x.flows[i], err = s.Flow(op, &proxy.Shape{Kind: proxy.ShapeStream, Media: media[i], Inbound: i == chanStdin}); err != nil {
			return nil, fmt.Errorf("the data would be withheld: %w", err)
		}
	}
	return x, nil
}

// run moves both directions until the command has ended, or one side is gone.
func (s *streams) run(ctx context.Context, client, server *websocket.Conn) {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	if s.op.Kind == proxy.KindShell && !s.op.Terminal && s.op.Command != "" {
		s.lines = &script.Lines{May: func(line string) bool { return s.may(ctx, client, line) }, End: func() { s.over = true }}
	}
	s.closes = server.Subprotocol() == channelV5
	input := make(chan struct{})
	s.session.Go("kubernetes stdin", func() error {
		defer close(input)
		if err := s.input(ctx, client, server); err != nil {
			end(err)
		}
		return nil
	})
	err := s.session.Protect("kubernetes output", func() error { return s.output(ctx, client, server) })
	if err == nil || errors.Is(err, errLine) {
		// It waits for the client's own close, for a while. The input is read until then: bytes that nobody reads would make the
		// system drop what the client was told last.
		_ = client.Close(websocket.StatusNormalClosure, "")
	}
	end(err)
	_ = client.CloseNow()
	_ = server.CloseNow()
	<-input
	if s.out.Err == nil {
		s.out.Err = err
	}
}

var (
	errLeft     = errors.New("the client has left")
	errGone     = errors.New("the connection to the cluster has ended")
	errChannel  = errors.New("the client has sent a message of no known channel")
	errLine     = errors.New("a line of the input was refused, and what follows it did not run")
	errWithheld = errors.New("the data was withheld")
)

// input moves what the client sends.
func (s *streams) input(ctx context.Context, client, server *websocket.Conn) error {
	send := func(b []byte) error {
		if server.Write(ctx, websocket.MessageBinary, b) != nil {
			return errGone
		}
		return nil
	}
	var buf []byte
	pass := func(b []byte) (err error) {
		if buf, err = s.filter(chanStdin, append(buf[:0], chanStdin), b); err != nil || len(buf) == 1 && len(b) > 0 {
			return err
		}
		return send(buf)
	}
	for {
		_, b, err := client.Read(ctx)
		if err != nil {
			return errLeft
		}
		s.session.Await(ctx)
		if len(b) == 0 {
			continue
		}
		switch b[0] {
		case chanStdin:
			s.out.BytesIn += uint64(len(b) - 1)
			switch {
			case s.over: // nothing reads it
			case s.lines == nil:
				err = pass(b[1:])
			default:
				if err = s.lines.Input(b[1:], pass); err == nil && s.over {
					err = s.endInput(send, pass)
				}
				if s.over && !s.closes {
					_ = server.CloseNow() // the input has no other end; the output says why
				}
			}
		case chanResize:
			var size terminalSize
			if json.Unmarshal(b[1:], &size) != nil || !s.op.Terminal {
				return errChannel
			}
			select {
			case <-s.sizes: // only the newest counts
			default:
			}
			s.sizes <- size
			err = send(b)
		case chanClose:
			switch {
			case len(b) != 2 || b[1] != chanStdin || !s.closes:
				return errChannel
			case !s.over:
				s.over, err = true, s.endInput(send, pass)
			}
		default:
			return errChannel
		}
		switch {
		case errors.Is(err, errGone): // the output says how the command has ended; what its client sends still is not kept
			s.over = true
		case err != nil:
			return err
		}
	}
}

// endInput passes on what is left of the input, and that it has ended.
func (s *streams) endInput(send, pass func([]byte) error) error {
	if s.lines != nil {
		if err := s.lines.Last(pass); err != nil {
			return err
		}
	}
	rest, err := s.end(chanStdin)
	if err == nil && len(rest) > 1 {
		err = send(rest)
	}
	if err == nil && s.closes {
		err = send([]byte{chanClose, chanStdin})
	}
	return err
}

// may asks about a line that is given to a shell, and tells the client when it is refused.
func (s *streams) may(ctx context.Context, client *websocket.Conn, line string) bool {
	op := &proxy.Exec{Meta: proxy.Meta{Kind: proxy.KindInput, Parent: s.op.Info().ID}, Command: line, Target: s.op.Target}
	v := s.session.Ask(ctx, op)
	text := v.Warn
	if v.Refuses() {
		s.refused.Store(true)
		text = strings.TrimSpace(relay.Sentence(v.Message()) + " " + v.Remedy)
	} else {
		s.session.Done(op, &proxy.Outcome{})
	}
	if text != "" {
		_ = s.send(ctx, client, append([]byte{chanStderr}, text+"\n"...)) // a client that is gone is noticed by what reads from it
	}
	return !v.Refuses()
}

// message is what the API server sends at once.
type message struct {
	b   []byte
	err error
}

// output moves what the command prints, and how it ends.
func (s *streams) output(ctx context.Context, client, server *websocket.Conn) error {
	messages := make(chan message)
	s.session.Go("kubernetes stream", func() error { // ends with ctx
		for {
			_, b, err := server.Read(ctx)
			select {
			case messages <- message{b, err}:
			case <-ctx.Done():
				return nil
			}
			if err != nil {
				return nil
			}
		}
	})
	var idle <-chan time.Time
	after := s.flows[chanStdout].IdleAfter()
	if d := s.flows[chanStderr].IdleAfter(); d > 0 && (after == 0 || d < after) {
		after = d
	}
	for {
		select {
		case m := <-messages:
			if m.err != nil {
				return s.ended(ctx, client, m.err)
			}
			s.session.Await(ctx)
			if err := s.print(ctx, client, m.b); err != nil {
				return s.failed(ctx, client, err)
			}
			if after > 0 {
				idle = time.After(after)
			}
		case <-idle:
			idle = nil
			for _, ch := range []byte{chanStdout, chanStderr} {
				b, err := s.flows[ch].Idle(append(s.buf[:0], ch))
				if err != nil {
					return s.failed(ctx, client, fmt.Errorf("%w: %w", errWithheld, err))
				}
				if s.buf = b; len(b) > 1 {
					if err := s.send(ctx, client, b); err != nil {
						return err
					}
					idle = time.After(after)
				}
			}
		case size := <-s.sizes:
			if err := s.flows[chanStdout].Resize(int(size.Width), int(size.Height)); err != nil {
				return s.failed(ctx, client, fmt.Errorf("%w: %w", errWithheld, err))
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// print passes on one message.
func (s *streams) print(ctx context.Context, client *websocket.Conn, b []byte) error {
	if len(b) == 0 {
		return nil
	}
	switch ch := b[0]; ch {
	case chanStdin, chanResize:
		return nil // a server that says it is ready
	case chanStdout, chanStderr:
		s.out.BytesOut += uint64(len(b) - 1)
		out, err := s.filter(ch, append(s.buf[:0], ch), b[1:])
		if err != nil {
			return err
		}
		if s.buf = out; len(out) == 1 && len(b) > 1 {
			return nil
		}
		return s.send(ctx, client, out)
	case chanStatus:
		if s.last != nil || len(b) > 64<<10 {
			return errChannel
		}
		s.last = append([]byte(nil), b...)
		return nil
	}
	return nil
}

func (s *streams) filter(ch byte, dst, b []byte) ([]byte, error) {
	if !s.flows[ch].HasBytes() {
		return append(dst, b...), nil
	}
	out, err := s.flows[ch].Bytes(dst, b)
	if err != nil {
		return dst, fmt.Errorf("%w: %w", errWithheld, err)
	}
	return out, nil
}

// end returns a message with what filters of a channel have held back.
func (s *streams) end(ch byte) ([]byte, error) {
	out := []byte{ch}
	if !s.flows[ch].HasBytes() {
		return out, nil
	}
	out, err := s.flows[ch].End(out)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errWithheld, err)
	}
	return out, nil
}

func (s *streams) send(ctx context.Context, client *websocket.Conn, b []byte) error {
	if client.Write(ctx, websocket.MessageBinary, b) != nil {
		return errLeft
	}
	return nil
}

// ended is the end of the API server's stream.
func (s *streams) ended(ctx context.Context, client *websocket.Conn, why error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	for _, ch := range []byte{chanStdout, chanStderr} {
		b, err := s.end(ch)
		if err != nil {
			return s.failed(ctx, client, err)
		}
		if len(b) > 1 {
			if err := s.send(ctx, client, b); err != nil {
				return err
			}
		}
	}
	if s.last == nil {
		if s.refused.Load() {
			return s.failed(ctx, client, errLine)
		}
		if code := websocket.CloseStatus(why); code == websocket.StatusNormalClosure {
			return nil
		}
		return errGone
	}
	b, err := s.exit()
	if err != nil {
		return s.failed(ctx, client, err)
	}
	return s.send(ctx, client, b)
}

// exit reads how the command has ended, and returns what the client is told of it.
func (s *streams) exit() ([]byte, error) {
	var st struct {
		Status  string
		Message string
		Reason  string
		Details struct {
			Causes []struct{ Reason, Message string }
		}
	}
	if json.Unmarshal(s.last[1:], &st) != nil {
		return nil, errWithheld
	}
	if st.Status == "Success" && s.refused.Load() {
		s.out.Code = "1"
		return failure(relay.Sentence(errLine.Error()))
	}
	if st.Status == "Success" {
		s.out.Code = "0"
		return s.last, nil
	}
	s.out.Code = st.Reason
	for _, c := range st.Details.Causes {
		if n, err := strconv.Atoi(c.Message); c.Reason == "ExitCode" && err == nil {
			s.out.Code = strconv.Itoa(n)
			if st.Reason == "NonZeroExitCode" {
				return s.last, nil // it says nothing else
			}
		}
	}
	m := &proxy.Message{Kind: proxy.MessageError, Fields: []proxy.MessageField{{Name: "message", Value: []byte(st.Message)}}}
	if err := s.session.Tell(s.op, m); err != nil {
		return nil, errWithheld
	}
	if !m.Changed() {
		return s.last, nil
	}
	return failure(string(m.Fields[0].Value))
}

// failure is a message that says that a command has failed.
func failure(text string) ([]byte, error) {
	b, err := json.Marshal(status{Kind: "Status", APIVersion: "v1", Status: "Failure", Message: text, Reason: "InternalError", Code: 500})
	return append([]byte{chanStatus}, b...), err
}

// failed tells the client why no more comes.
func (s *streams) failed(ctx context.Context, client *websocket.Conn, why error) error {
	b, err := failure(relay.Sentence(why.Error()))
	if err == nil {
		err = s.send(ctx, client, b)
	}
	s.out.Err = why
	return errors.Join(why, err)
}
