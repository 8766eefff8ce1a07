package mysql

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/sallyport/sallyport/protocol/mysql/wire"
	"github.com/sallyport/sallyport/proxy"
)

// stmts are the prepared statements of a session, by the server's numbers.
type stmts struct {
	known map[uint32]*stmt
	last  *stmt
	size  int // bytes of their texts
}

const (
	// lastPrepared is how clients of MariaDB's name the statement that they prepared last.
	lastPrepared = 0xffffffff
	// maxTexts bounds the texts of a session's prepared statements.
	maxTexts = 128 << 20
)

func (s *stmts) add(st *stmt) {
	if s.known == nil {
		s.known = make(map[uint32]*stmt)
	}
	if old := s.known[st.id]; old != nil {
		s.size -= len(old.text)
	}
	s.known[st.id], s.last = st, st
	s.size += len(st.text)
}

func (s *stmts) get(id uint32) *stmt {
	if id == lastPrepared {
		return s.last
	}
	return s.known[id]
}

func (s *stmts) remove(st *stmt) {
	delete(s.known, st.id)
	s.size -= len(st.text)
	if s.last == st {
		s.last = nil
	}
}

// clear forgets all of them, since the session is as it was at first.
func (s *stmts) clear(x *session) {
	for _, st := range s.known {
		x.endCursor(st)
	}
	*s = stmts{}
}

// endCursor notes that the rest of a statement's rows is not fetched.
func (s *session) endCursor(st *stmt) {
	if c := st.cursor; c != nil {
		st.cursor = nil
		c.row.end()
		s.session.Done(c.op, &c.done)
		c.op = nil
	}
}

// prepare has a text prepared.
func (u *up) prepare(c *command) error {
	a := u.take(phasePrepared)
	st := &stmt{text: bytes.Clone(c.body)}
	f := u.analyze(st.text)
	a.statement = proxy.Statement{Meta: proxy.Meta{Kind: proxy.KindPrepare}, Text: st.text, Facts: f, Giver: u}
	if reason, remedy := u.verdict(f); reason != "" {
		return u.refuse(&a.statement, reason, remedy)
	}
	if u.stmts.size+len(st.text) > maxTexts {
		return u.refuse(&a.statement, "this session has too many prepared statements", "Close some")
	}
	if allowed, err := u.ask(a, &a.statement); !allowed {
		return err
	}
	a.stmt = st
	if a.statement.Rewritten {
		st.text = a.statement.Text
	}
	return u.run1(a, c)
}

// noStatement answers a command about a statement that there is not, as the server would.
func (u *up) noStatement(c *command, id uint32) error {
	call := &proxy.Call{Meta: proxy.Meta{Kind: proxy.KindCommand}, Name: c.kind.String()}
	v := proxy.Deny(proxy.CauseInternal, "", fmt.Sprintf("Unknown prepared statement handler (%d) given to %s", id, c.kind), "")
	u.session.session.Refuse(call, v)
	return u.reply(fault(codeNoStatement, stateGeneral, v.Reason))
}

// execute runs a prepared statement.
func (u *up) execute(c *command) error {
	id, _, err := wire.ParseID(c.body)
	if err != nil {
		return err
	}
	st := u.stmts.get(id)
	if st == nil {
		return u.noStatement(c, id)
	}
	u.endCursor(st)
	var x wire.Execution
	long := func(i int) bool { _, sent := st.long[i]; return sent }
	if err := wire.ParseExecution(&x, c.body, st.params, st.types, long); err != nil {
		return err
	}
	x.ID = st.id
	a := u.take(phaseHeader)
	a.binary, a.stmt = true, st
	if x.Flags&(wire.CursorReadOnly|wire.CursorForUpdate|wire.CursorScrollable) != 0 {
		a = &answer{phase: phaseHeader, binary: true, stmt: st, cursor: true, outSeq: u.outSeq}
	}
	u.bind(a, st, &x)
	f := u.analyze(st.text)
	a.statement = proxy.Statement{Meta: proxy.Meta{Kind: proxy.KindStatement}, Text: st.text, Args: a.args, Facts: f, Giver: u, Measurer: u, Reading: &u.reading}
	if reason, remedy := u.verdict(f); reason != "" {
		return u.refuse(&a.statement, reason, remedy)
	}
	if st.over {
		st.long, st.sent, st.over = nil, 0, false
		return u.refuse(&a.statement, fmt.Sprintf("the values that were sent in pieces are longer than the limit of %d bytes", u.settings.maxData()),
			"Ask an administrator to raise max_data of this resource")
	}
	if f.Effects.Has(proxy.EffectShow) && diagnoses(st.text) && u.said.Facts != nil {
		a.about = &proxy.Statement{Text: u.said.Text, Facts: u.said.Facts}
	}
	changed := false
	if len(a.args) > 0 && u.session.session.WantsBind() {
		was := slices.Clone(a.args)
		if v := u.session.session.Bind(u.session.session.Context(), &a.statement); v != nil {
			return u.reply(refusal(v))
		}
		changed = rebind(st, &x, was, a.args)
	}
	if allowed, err := u.ask(a, &a.statement); !allowed {
		st.long, st.sent = nil, 0
		return err
	}
	if x.Bound {
		st.types = slices.Clone(x.Types)
	}
	run := func() error { return u.runStatement(a, c, st, &x, changed || id == lastPrepared) }
	if a.guard != nil {
		return u.guarded(a, run)
	}
	return run()
}

// bind makes the operation's arguments, as text.
func (u *up) bind(a *answer, st *stmt, x *wire.Execution) {
	for i, t := range x.Types {
		arg := proxy.Arg{Type: typeOf(t.Type(), plainText, t.Unsigned())}
		v, isLong := st.long[i]
		if !isLong {
			v = x.Values[i]
		}
		switch {
		case isLong:
			arg.Value = v
			if v == nil {
				arg.Value = []byte{}
			}
		case v != nil:
			at := len(a.values)
			if t.Type().Textual() {
				a.values = append(a.values, v...)
			} else {
				a.values = t.Type().AppendText(a.values, v, t.Unsigned(), 31)
			}
			arg.Value = a.values[at:len(a.values):len(a.values)]
		}
		a.args = append(a.args, arg)
		a.blobs = a.blobs || t.Type().Blob()
	}
}

// rebind takes over the arguments that interceptors have replaced, as strings, and reports
// whether there are any.
func rebind(st *stmt, x *wire.Execution, was, now []proxy.Arg) (changed bool) {
	for i := range now {
		if bytes.Equal(was[i].Value, now[i].Value) && (was[i].Value == nil) == (now[i].Value == nil) {
			continue
		}
		changed = true
		delete(st.long, i)
		x.Values[i], x.Types[i] = now[i].Value, wire.ParamType(wire.TypeVarString)
		x.Bound = true
	}
	return changed
}

// runStatement sends the values that came in pieces, and then the command.
func (u *up) runStatement(a *answer, c *command, st *stmt, x *wire.Execution, changed bool) error {
	for _, i := range sorted(st.long) {
		for v := st.long[i]; ; {
			const piece = 1 << 20
			n := min(len(v), piece)
			b, _ := wire.AppendPacket(u.out[:0], 0, wire.AppendLongData(nil, st.id, i, v[:n]))
			if err := u.write(b); err != nil {
				return err
			}
			if v = v[n:]; len(v) == 0 {
				break
			}
		}
	}
	var err error
	if changed {
		long := func(i int) bool { _, sent := st.long[i]; return sent }
		err = u.owe(a, nil, wire.AppendExecution(nil, x, long))
	} else {
		err = u.pass(a, c)
	}
	st.long, st.sent = nil, 0 // the server forgets them when it has run
	return err
}

func sorted(m map[int][]byte) []int {
	list := make([]int, 0, len(m))
	for i := range m {
		list = append(list, i)
	}
	slices.Sort(list)
	return list
}

// longData keeps a piece of a parameter's value until it is known whether the statement may
// run with it.
func (u *up) longData(c *command) error {
	id, param, data, err := wire.ParseLongData(c.body)
	if err != nil {
		return err
	}
	st := u.stmts.get(id)
	if st == nil || param >= st.params || st.over {
		return nil // as the server, which says so when the statement is run
	}
	held := 0
	for _, other := range u.stmts.known {
		held += other.sent
	}
	if held+len(data) > u.settings.maxData() {
		st.long, st.sent, st.over = nil, 0, true
		return nil
	}
	if st.long == nil {
		st.long = make(map[int][]byte)
	}
	st.long[param] = append(st.long[param], data...)
	st.sent += len(data)
	return nil
}

// fetch goes on with the rows of a statement that was run before, as part of its operation.
func (u *up) fetch(c *command) error {
	id, _, err := wire.ParseID(c.body)
	if err != nil {
		return err
	}
	st := u.stmts.get(id)
	if st == nil || st.cursor == nil {
		return u.noStatement(c, id)
	}
	a := st.cursor
	a.phase = phaseRows
	return u.pass(a, c)
}

func (u *up) closeStatement(c *command) error {
	id, _, err := wire.ParseID(c.body)
	if err != nil {
		return err
	}
	if st := u.stmts.get(id); st != nil {
		u.endCursor(st)
		u.stmts.remove(st)
		if id == lastPrepared {
			b, _ := wire.AppendPacket(nil, 0, []byte{byte(c.kind), byte(st.id), byte(st.id >> 8), byte(st.id >> 16), byte(st.id >> 24)})
			return u.write(b)
		}
	}
	return u.write(c.frame)
}

func (u *up) resetStatement(c *command) error {
	id, _, err := wire.ParseID(c.body)
	if err != nil {
		return err
	}
	st := u.stmts.get(id)
	if st == nil {
		return u.noStatement(c, id)
	}
	u.endCursor(st)
	st.long, st.sent, st.over = nil, 0, false
	return u.pass(u.take(phaseSimple), c)
}
