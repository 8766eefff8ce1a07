package mysql

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/sallyport/sallyport/protocol/internal/impact"
	"github.com/sallyport/sallyport/protocol/mysql/wire"
	"github.com/sallyport/sallyport/protocol/sql"
	"github.com/sallyport/sallyport/proxy"
)

// up carries what the client asks for to the server. It is used by one goroutine.
type up struct {
	*session
	reader *wire.Reader // reads the client
	taken  int          // in reader.Buffered: the command that is handled
	long   []byte       // a command of several packets
	out    []byte

	outSeq  byte // of the next packet to the client
	answer  answer
	last    *answer // the one that was owed last, until what it changes is noted
	current *answer // whose operation is being asked

	reading  proxy.Reading
	state    state
	guarding atomic.Bool     // a statement is between what it was approved as and its end
	said     proxy.Statement // the last one that messages of the server's may be about
	stmts    stmts
}

// command is what the client asks for.
type command struct {
	kind  wire.Command
	body  []byte // without the kind
	frame []byte // as it came, with its header; nil when it came in several packets
}

// errQuit is the error of a client that says goodbye.
var errQuit = errors.New("quit")

// run serves commands until the client leaves.
func (u *up) run() error {
	for {
		c, err := u.next()
		if err == nil {
			err = u.serve(&c)
		}
		switch {
		case err == nil:
		case errors.Is(err, errQuit), ended(err), timedOut(err) && u.session.session.Err() == nil:
			return nil
		case left(err):
			return proxy.ErrClientLeft
		default:
			return err
		}
	}
}

// fill reads until n bytes are buffered.
func (u *up) fill(n int) error {
	for len(u.reader.Buffered()) < n {
		if err := u.reader.Fill(n); err != nil {
			return err
		}
	}
	return nil
}

// next reads the next command, and waits until the server has answered the one before it.
func (u *up) next() (c command, err error) {
	u.reader.Discard(u.taken)
	u.taken = 0
	if cap(u.long) > keptTextSize {
		u.long = nil
	}
	for {
		if err := u.fill(wire.HeaderLen); err != nil {
			return c, err
		}
		f, err := u.wait()
		if err != nil {
			return c, err
		}
		if f == nil {
			break
		}
		if err := u.send(f); err != nil { // what is read are parts of a file
			return c, err
		}
	}
	n, seq := wire.Header(u.reader.Buffered())
	if seq != 0 {
		return c, fmt.Errorf("%w: the client sent %d, want 0", wire.ErrSequence, seq)
	}
	if n == 0 {
		return c, fmt.Errorf("%w: a command without a word", wire.ErrProtocol)
	}
	if err := u.fill(wire.HeaderLen + 1); err != nil {
		return c, err
	}
	c.kind = wire.Command(u.reader.Buffered()[wire.HeaderLen])
	u.outSeq = 1
	limit := u.limit(c.kind)
	if n < wire.MaxPacket && n <= limit {
		if err := u.fill(wire.HeaderLen + n); err != nil {
			return c, err
		}
		u.taken = wire.HeaderLen + n
		c.frame = u.reader.Buffered()[:u.taken:u.taken]
		c.body = c.frame[wire.HeaderLen+1:]
		return c, nil
	}
	return u.several(c, limit)
}

// several reads a command that takes several packets, or is longer than its limit: such a
// one is refused, and another one is returned.
func (u *up) several(c command, limit int) (command, error) {
	u.long = u.long[:0]
	size := 0
	for seq := byte(0); ; seq++ {
		if err := u.fill(wire.HeaderLen); err != nil {
			return c, err
		}
		n, got := wire.Header(u.reader.Buffered())
		if got != seq {
			return c, fmt.Errorf("%w: the client sent %d, want %d", wire.ErrSequence, got, seq)
		}
		u.reader.Discard(wire.HeaderLen)
		u.outSeq = seq + 1
		size += n
		for rest := n; rest > 0; {
			if len(u.reader.Buffered()) == 0 {
				if err := u.reader.Fill(0); err != nil {
					return c, err
				}
			}
			b := u.reader.Buffered()
			b = b[:min(rest, len(b))]
			if size <= limit {
				u.long = append(u.long, b...)
			}
			rest -= len(b)
			u.reader.Discard(len(b))
		}
		if n < wire.MaxPacket {
			break
		}
	}
	if size <= limit {
		c.body = u.long[1:]
		return c, nil
	}
	u.long = nil
	if err := u.tooLarge(c.kind, limit); err != nil {
		return c, err
	}
	return u.next()
}

// limit is the longest command of a kind that the client may send.
func (u *up) limit(c wire.Command) int {
	switch c {
	case wire.Query, wire.StmtPrepare:
		return u.settings.maxStatement()
	case wire.StmtExecute, wire.StmtSendLongData, wire.StmtBulkExecute:
		return u.settings.maxData()
	}
	return maxResponse
}

func (u *up) tooLarge(c wire.Command, limit int) error {
	what, key := "command is", ""
	switch c {
	case wire.Query, wire.StmtPrepare:
		what, key = "statement is", "max_statement"
	case wire.StmtExecute, wire.StmtSendLongData, wire.StmtBulkExecute:
		what, key = "set of arguments is", "max_data"
	}
	if !answered(c) {
		return fmt.Errorf("%w: %s of more than %d bytes", wire.ErrTooLarge, c, limit)
	}
	message := fmt.Sprintf("this %s longer than the limit of %d bytes", what, limit)
	if key != "" {
		message += ". Send it in parts, or ask an administrator to raise " + key + " of this resource"
	}
	return u.reply(fault(codeTooLarge, stateComm, message))
}

// answered reports whether a server answers a command.
func answered(c wire.Command) bool {
	return c != wire.StmtSendLongData && c != wire.StmtClose && c != wire.Quit
}

// wait waits until nothing is owed, or a file is to be sent.
func (u *up) wait() (*infile, error) {
	if u.turn.owed.Load() != nil {
		u.presence.begin()
		f, over := u.turn.wait()
		u.presence.end()
		switch {
		case over:
			return nil, errQuit // down or the session says why
		case f != nil:
			return f, nil
		}
	}
	if a := u.last; a != nil {
		u.last = nil
		u.landed(a)
		if a.resets && !a.failed {
			u.stmts.clear(u.session)
		}
	}
	return nil, nil
}

// take returns an answer for the next command.
func (u *up) take(p phase) *answer {
	u.answer.reset(p)
	u.answer.outSeq = u.outSeq
	return &u.answer
}

// write writes to the server.
func (u *up) write(b []byte) error {
	_, err := u.upstream.conn.Write(b)
	if err != nil && u.session.session.Err() == nil {
		return errServerLeft
	}
	return err
}

// owe sends a command to the server, which owes a for it. payload is sent, or frame where that
// is not nil.
func (u *up) owe(a *answer, frame, payload []byte) error {
	a.filtered = u.wantsRows()
	a.outSeq = u.outSeq
	u.last = a
	a.seq = 1
	if frame == nil {
		u.out, a.seq = wire.AppendPacket(u.out[:0], 0, payload)
		frame = u.out
	}
	u.turn.owe(a)
	err := u.write(frame)
	if cap(u.out) > maxOut {
		u.out = nil
	}
	return err
}

// pass lets a command go to the server as it came.
func (u *up) pass(a *answer, c *command) error {
	if c.frame != nil {
		return u.owe(a, c.frame, nil)
	}
	return u.owe(a, nil, u.long)
}

// reply answers in the server's place.
func (u *up) reply(e wire.Error) error { return u.answerWith(wire.AppendError(nil, &e)) }

func (u *up) replyOK() error {
	return u.answerWith(wire.AppendOK(nil, &wire.OK{Status: uint16(u.down.status.Load()) &^ (wire.StatusMoreResults | wire.StatusStateChanged)}, u.agreed))
}

func (u *up) answerWith(payload []byte) error {
	b, _ := wire.AppendPacket(nil, u.outSeq, payload)
	if _, err := u.client.Write(b); err != nil {
		return proxy.ErrClientLeft
	}
	return u.session.session.Err()
}

// ask asks the chain about a's operation and reports whether it may run. A refusal is
// told.
func (u *up) ask(a *answer, op proxy.Op) (bool, error) {
	if v := impact.Only(u.session.session, op, UndoText); v != nil {
		u.session.session.Refuse(op, *v)
		return false, u.reply(refusal(v))
	}
	u.current = a
	u.presence.begin()
	v := u.session.session.Ask(u.session.session.Context(), op)
	u.presence.end()
	u.current = nil
	if v.Refuses() {
		return false, u.reply(refusal(v))
	}
	a.op = op
	switch i := v.Impact; {
	case i != nil && i.Holds != proxy.HoldsNothing:
		a.guard = &guard{impact: i}
	case u.session.session.Undo() != nil && op.Info().Kind == proxy.KindStatement: // nobody could tell what it undoes
		a.guard = &guard{impact: &proxy.Impact{Rows: -1}}
	}
	if v.Warn != "" {
		u.progress(v.Warn)
	}
	return true, nil
}

// refuse refuses an operation by what the resource's settings say.
func (u *up) refuse(op proxy.Op, reason, remedy string) error {
	v := proxy.Deny(proxy.CausePolicy, "", reason, remedy)
	u.session.session.Refuse(op, v)
	return u.reply(refusal(&v))
}

// parked tells the client that its operation waits, where there is a way to.
func (u *up) parked(_ proxy.Op, h *proxy.Pending) {
	text := h.Message
	if text == "" {
		text = "this operation is waiting for approval"
	}
	if h.Link != "" {
		text += " (" + h.Link + ")"
	}
	u.progress(text)
}

// progress tells clients of MariaDB's that want to know how things go on.
func (u *up) progress(text string) {
	if !u.agreed.Has(wire.Progress) || u.current == nil {
		return
	}
	b, next := wire.AppendPacket(nil, u.outSeq, wire.AppendProgress(nil, text))
	u.outSeq = next
	if _, err := u.client.Write(b); err != nil {
		u.session.session.Kill(proxy.ErrClientLeft)
	}
}

// rewrite replaces the text of the operation that is being asked.
func (u *up) rewrite(op proxy.Op, text []byte) error {
	st, ok := op.(*proxy.Statement)
	if !ok || u.current == nil || u.current.phase != phaseHeader && u.current.phase != phasePrepared || u.current.binary {
		return errLateRewrite
	}
	if bytes.IndexByte(text, 0) >= 0 {
		return errRewrittenNUL
	}
	st.Text = append([]byte(nil), text...)
	st.Facts = u.analyze(st.Text)
	return nil
}

var (
	errLateRewrite  = errors.New("this command cannot be rewritten")
	errRewrittenNUL = errors.New("the rewritten statement holds a NUL")
	noAnalyzer      = proxy.UnknownFacts("no analyzer is configured")
	foreignText     = proxy.UnknownFacts("the character set of the text is not certain")
)

// analyze says what text does.
func (u *up) analyze(text []byte) *proxy.Facts {
	if u.handler.Analyzer == nil {
		return noAnalyzer
	}
	if !u.state.sure && (u.handler.Catalog != nil && !diagnoses(text) || hides(text) || bytes.ContainsAny(text, "\"\\")) {
		if err := u.state.look(u); err != nil {
			return proxy.UnknownFacts("how the server reads the text is not certain")
		}
	}
	if u.state.foreign && hides(text) {
		return foreignText
	}
	u.reading.BackslashLiterals = uint16(u.down.status.Load())&wire.StatusNoBackslashes == 0
	u.reading.ANSIQuotes = u.state.ansi
	u.reading.Certain, u.reading.Names = u.state.sure, u.state.names()
	return u.handler.Analyzer.Analyze(u.session.session.Context(), text, &u.reading)
}

// diagnoses reports whether text asks about the statement before it, which a question of the
// gateway's own would be.
func diagnoses(text []byte) bool {
	text = bytes.ToLower(text[:min(len(text), 200)])
	for _, word := range []string{"show", "row_count", "found_rows", "diagnostics"} {
		if bytes.Contains(text, []byte(word)) {
			return true
		}
	}
	return false
}

// Given says what st gives to columns.
func (u *up) Given(ctx context.Context, st *proxy.Statement) proxy.Given {
	if u.handler.Analyzer == nil {
		return proxy.Given{}
	}
	return sql.Given(ctx, u.handler.Analyzer, st.Text, &u.reading, st.Args)
}
