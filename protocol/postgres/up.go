package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/sallyport/sallyport/internal/evloop"
	"github.com/sallyport/sallyport/internal/pgvalue"
	"github.com/sallyport/sallyport/protocol/internal/impact"
	"github.com/sallyport/sallyport/protocol/postgres/wire"
	"github.com/sallyport/sallyport/proxy"
)

// up carries what the client sends to the server. It is used by one goroutine.
type up struct {
	*session
	conn   *line        // writes to the server
	reader *wire.Reader // reads the client

	replication bool // the connection is for replication: text is not SQL
	reading     proxy.Reading

	pos      int     // in reader.Buffered: what was walked
	start    int     // in reader.Buffered: what was passed on
	need     int     // bytes that the next message takes
	rest     int     // bytes of the current message that are still to come
	flow     *inflow // what they, COPY data, go through; nil when nobody wants them
	dropRest bool    // they are not for the server
	// copyRefused says that the data of a COPY was refused: the rest is not for the
	// server.
	copyRefused bool
	out         []byte // to be sent before the run from start
	skipping    bool   // an extended message was refused: the server skips to Sync, and so do we
	current     *entry // the operation that is being asked
	encoded     bool   // the batch so far may have changed the client's encoding
	enclosed    bool   // the gateway has made the batch a transaction block
	batched     bool   // a batch has begun, and its Sync has not come
	executes    bool   // something was executed in it

	over bool  // the client has left, or broke the protocol
	err  error // why it is over; nil when the client said goodbye
}

// run reads until the client leaves. left is false when it was asked to rest.
func (u *up) run() (left bool, err error) {
	for !u.over {
		switch err := u.step(); {
		case err == nil:
		case timedOut(err) && u.session.session.Err() == nil:
			return false, nil
		default:
			u.end(err)
		}
	}
	return true, u.err
}

// errOver is the error of a step after which no other may come, though nothing
// is wrong.
var errOver = errors.New("over")

// end notes that the last step was taken, and its error.
func (u *up) end(err error) {
	u.over = true
	if !errors.Is(err, errOver) && u.session.session.Err() == nil {
		u.err = err
	}
}

// polled is a step that does not wait for the client.
func (u *up) polled() error {
	if u.over {
		return nil
	}
	err := u.step()
	if err == evloop.ErrNothing || timedOut(err) && u.session.session.Err() == nil {
		return nil
	}
	return err
}

// step reads once and passes on what it got. It fails with evloop.ErrNothing or
// a timeout when it got nothing.
func (u *up) step() error {
	if err := u.reader.Fill(u.need); err != nil {
		switch {
		case err == evloop.ErrNothing || timedOut(err):
			return err
		case ended(err):
			return errOver
		case left(err):
			return proxy.ErrClientLeft
		}
		return fmt.Errorf("reading from the client: %w", err)
	}
	u.presence.begin()
	left, err := u.walk()
	u.presence.end()
	if err == nil && left {
		return errOver
	}
	return err
}

// walk passes on every message that is buffered. left says that the client
// said goodbye.
func (u *up) walk() (left bool, err error) {
	u.pos, u.start, u.need = 0, 0, 0
	for !left {
		b := u.reader.Buffered()[u.pos:]
		if u.rest > 0 {
			n := min(u.rest, len(b))
			if n == 0 {
				break
			}
			u.rest -= n
			switch {
			case u.dropRest:
				u.drop(n)
			case u.flow != nil:
				if err := u.copyIn(b[:n]); err != nil {
					return false, err
				}
			default:
				u.pos += n
			}
			continue
		}
		if len(b) < wire.HeaderLen {
			u.need = wire.HeaderLen
			break
		}
		typ, total, err := wire.Header(b)
		if err != nil {
			return false, err
		}
		if typ == wire.CopyData {
			u.rest, u.dropRest, u.flow = total, u.skips() || u.copyRefused, nil
			if u.wantsRows() && !u.dropRest {
				if err := u.copyData(total); err != nil {
					return false, err
				}
			}
			continue
		}
		limit, err := u.limit(typ)
		if err != nil {
			return false, err
		}
		if total > limit {
			if !mayBeLong(typ) {
				return false, fmt.Errorf("%w: %s of %d bytes", wire.ErrTooLarge, wire.TypeName(typ), total)
			}
			if err := u.tooLarge(typ, limit); err != nil {
				return false, err
			}
			u.rest, u.dropRest = total, true
			continue
		}
		if len(b) < total {
			u.need = total
			break
		}
		if left, err = u.message(typ, b[wire.HeaderLen:total:total], total); err != nil {
			return false, err
		}
	}
	if err := u.flush(); err != nil {
		return false, err
	}
	u.reader.Discard(u.pos)
	return left, nil
}

// limit is the longest message of a type that the client may send now.
func (u *up) limit(typ byte) (int, error) {
	switch typ {
	case wire.Query, wire.Parse:
		return u.settings.maxStatement(), nil
	case wire.Bind, wire.FunctionCall:
		return u.settings.maxData(), nil
	case wire.Describe, wire.Close, wire.Execute, wire.CopyFail:
		return 64 << 10, nil
	case wire.Sync, wire.Flush, wire.Terminate, wire.CopyDone:
		return wire.HeaderLen, nil
	}
	return 0, fmt.Errorf("%w: client sent message %s", wire.ErrProtocol, wire.TypeName(typ))
}

// mayBeLong reports whether a message that is over its limit is refused, rather
// than taken for a broken protocol.
func mayBeLong(typ byte) bool {
	switch typ {
	case wire.Query, wire.Parse, wire.Bind, wire.FunctionCall:
		return true
	}
	return false
}

// flush sends what is due to the server, in one write where it can.
func (u *up) flush() error {
	run := u.reader.Buffered()[u.start:u.pos]
	u.start = u.pos
	if len(u.out) > 0 {
		u.out = append(u.out, run...)
		run = u.out
		u.out = u.out[:0]
	}
	if len(run) == 0 {
		return nil
	}
	_, err := u.conn.Write(run)
	if cap(u.out) > 64<<10 {
		u.out = nil
	}
	if err != nil && u.session.session.Err() == nil {
		return errServerLeft
	}
	return err
}

// pass lets the n bytes at pos go to the server as they are.
func (u *up) pass(n int) { u.pos += n }

// drop keeps the n bytes at pos from the server.
func (u *up) drop(n int) {
	u.collect()
	u.pos += n
	u.start = u.pos
}

// collect moves the run before pos to out, so that other bytes can follow it.
func (u *up) collect() {
	u.out = append(u.out, u.reader.Buffered()[u.start:u.pos]...)
	u.start = u.pos
}

// replace puts message in the place of the n bytes at pos.
func (u *up) replace(n int, message []byte) {
	u.collect()
	u.out = append(u.out, message...)
	u.drop(n)
}

// passExpecting lets the total bytes at pos go to the server, which owes e for
// them.
func (u *up) passExpecting(e *entry, total int) error {
	if err := u.expect(e); err != nil {
		return err
	}
	u.pass(total)
	return nil
}

// message handles one whole message of total bytes.
func (u *up) message(typ byte, body []byte, total int) (left bool, err error) {
	u.presence.goOn()
	refused := u.copyRefused
	u.copyRefused = refused && typ == wire.Flush
	if refused && (typ == wire.CopyDone || typ == wire.CopyFail) || typ != wire.Sync && typ != wire.Terminate && u.skips() {
		u.drop(total)
		return false, nil
	}
	switch typ {
	case wire.Parse, wire.Bind, wire.Describe, wire.Close, wire.Execute:
		u.batched = true
	case wire.Sync:
		u.batched, u.executes = false, false
	}
	switch typ {
	case wire.Query:
		err = u.query(body, total)
	case wire.Parse:
		err = u.parse(body, total)
	case wire.Bind:
		err = u.bind(body, total)
	case wire.Describe, wire.Close:
		err = u.target(typ, body, total)
	case wire.Execute:
		err = u.execute(body, total)
	case wire.FunctionCall:
		err = u.function(body, total)
	case wire.Sync:
		u.skipping, u.encoded = false, false
		u.pending.mu.Lock()
		u.pending.batch++
		u.pending.mu.Unlock()
		if u.enclosed {
			err = u.sync(total)
			break
		}
		err = u.passExpecting(u.pending.take(expectSync), total)
	case wire.Flush:
		u.pass(total)
	case wire.CopyDone:
		if u.wantsRows() {
			goesOn := false
			if goesOn, err = u.copyDone(); err != nil || !goesOn {
				u.copyRefused = false // the client has sent all
				u.drop(total)
				return false, err
			}
		}
		err = u.passExpecting(u.pending.take(copyEnd), total)
	case wire.CopyFail:
		if err = wire.ParseCopyFail(body); err == nil {
			err = u.passExpecting(u.pending.take(copyEnd), total)
		}
	case wire.Terminate:
		u.leaving.Store(true)
		u.pass(total)
		left = true
	}
	var bad *wire.MalformedError
	if errors.As(err, &bad) {
		return false, u.malformed(typ, total, bad)
	}
	return left, err
}

// skips reports whether the server skips what comes until Sync, so that nothing of
// it needs to be sent, judged or waited for.
func (u *up) skips() bool { return u.skipping || u.pending.skipping.Load() }

// expect appends e to the answers owed. When too many are owed it has the server
// send what it keeps for a later Sync, and lets it work first.
func (u *up) expect(e *entry) error {
	if u.pending.isFull() {
		if err := u.urge(); err != nil {
			return err
		}
		u.pending.drain()
	}
	e.filtered = u.wantsRows()
	return u.pending.push(e)
}

// urge sends all that is due to the server and asks for the answers, because up is
// about to wait for one: the server keeps them until Sync, and a client's Sync
// can come after what waits.
func (u *up) urge() error {
	u.collect()
	u.out = append(u.out, flushMessage...)
	if err := u.flush(); err != nil {
		return err
	}
	u.leaveLoop()
	return nil
}

var (
	flushMessage = wire.AppendMessage(nil, wire.Flush)
	syncMessage  = wire.AppendMessage(nil, wire.Sync)
)

// ask asks the chain about e's operation and reports whether it may run. A
// refused operation's error is kept in e, to be told in its turn.
func (u *up) ask(e *entry, op proxy.Op) bool {
	if v := impact.Only(u.session.session, op, UndoText); v != nil {
		u.session.session.Refuse(op, *v)
		e.refusal = wire.AppendError(nil, refusal(v))
		return false
	}
	u.current = e
	u.thawed()
	v := u.session.session.Ask(u.session.session.Context(), op)
	u.current = nil
	if v.Refuses() {
		e.refusal, e.trial = wire.AppendError(nil, refusal(v)), u.unread(op)
		return false
	}
	e.op = op
	switch i := v.Impact; {
	case i != nil && i.Holds != proxy.HoldsNothing:
		e.guard = &guard{impact: i}
	case u.session.session.Undo() != nil && op.Info().Kind == proxy.KindStatement: // nobody could tell what it undoes
		e.guard = &guard{impact: &proxy.Impact{Rows: -1}}
	}
	if v.Warn != "" {
		u.tell(wire.AppendNotice(nil, wire.Notice{Severity: "WARNING", Code: "01000", Message: v.Warn}))
	}
	return true
}

// analyze says what text does, and an EXECUTE what it runs.
func (u *up) analyze(text []byte) *proxy.Facts {
	f := u.read(text)
	if f.Executes != "" {
		return u.executed(f)
	}
	return f
}

// read says what text does.
func (u *up) read(text []byte) *proxy.Facts {
	if u.handler.Analyzer == nil {
		return noAnalyzer
	}
	if u.encoding.mayHide(u.pending, text) {
		return foreignText
	}
	if c := u.handler.Catalog; c != nil {
		latest, _ := c.Latest(u.session.session.Context(), &u.named)
		u.epoch.began(latest)
	}
	u.reading.Names = u.epoch.state(u.pending.turns.Load() > 0)
	u.reading.BackslashLiterals = u.session.backslashes.Load()
	return u.handler.Analyzer.Analyze(u.session.session.Context(), text, &u.reading)
}

// factsOf says what a prepared statement does now: the names in it may mean
// something else than when it was prepared.
func (u *up) factsOf(s *statement, args []proxy.Arg) *proxy.Facts {
	switch {
	case s == unknownStatement:
		return s.facts
	case s.inSQL:
		return u.preparedFacts(s.text)
	}
	f := u.analyze(s.text)
	if f.Unbound == nil || u.hidden(args) {
		return f
	}
	if a, ok := u.handler.Analyzer.(proxy.BindAnalyzer); ok {
		return a.Bound(u.session.session.Context(), s.text, &u.reading, args)
	}
	return f
}

// hidden reports whether the server may read an argument as other characters than UTF-8's.
func (u *up) hidden(args []proxy.Arg) bool {
	return slices.ContainsFunc(args, func(a proxy.Arg) bool { return u.encoding.mayHide(u.pending, a.Value) })
}

// preparing is what is judged of a statement that is prepared: what hangs on the values of
// its parameters is judged when it runs.
func preparing(f *proxy.Facts) *proxy.Facts {
	if f.Unbound != nil {
		return f.Unbound
	}
	return f
}

var noAnalyzer = proxy.UnknownFacts("no analyzer is configured")

// sent notes what a statement that goes to the server changes.
func (u *up) sent(text []byte, f *proxy.Facts) {
	u.epoch.sent(f)
	u.encoding.sent(f)
	u.prepared.sent(text, f)
}

func (u *up) query(body []byte, total int) error {
	text, err := wire.ParseQuery(body)
	if err != nil {
		return err
	}
	e := u.pending.take(expectQuery)
	e.text = append(e.text[:0], text...)
	var op proxy.Op
	if u.replication && !u.isSQL(text) {
		e.call = proxy.Call{Meta: proxy.Meta{Kind: proxy.KindReplication}, Name: string(text), Args: e.call.Args[:0]}
		op = &e.call
	} else {
		e.statement = proxy.Statement{Meta: proxy.Meta{Kind: proxy.KindStatement}, Text: e.text, Facts: u.analyze(text), Giver: u, Keeper: u, Measurer: u, Reading: &u.reading}
		op = &e.statement
	}
	allowed := u.ask(e, op)
	if e.guard != nil {
		if err := u.compare(e, false); err != nil {
			return err
		}
		allowed = e.refusal == nil
	}
	if allowed && op == &e.statement {
		e.prepares = u.prepared.sends(e.statement.Facts)
	}
	g := e.guard
	if err := u.expect(e); err != nil {
		return err
	}
	switch {
	case !allowed && e.trial:
		u.replace(total, append(appendTrial(nil, text, nil, poisonParse), syncMessage...))
		return nil
	case !allowed:
		u.replace(total, poisonQuery)
		return nil
	case op == &e.call:
	default:
		u.follow(e.statement.Text, e.statement.Facts)
		if e.statement.Rewritten {
			u.replace(total, wire.AppendQuery(nil, e.statement.Text))
			total = 0
		}
	}
	u.pass(total)
	if g != nil {
		return u.watch(g, true)
	}
	return nil
}

// isSQL tells SQL from a replication command on a connection that takes both
// (replication=database). A physical one takes commands only, and a command is
// never taken for SQL: whatever does not begin like one of them is SQL.
func (u *up) isSQL(text []byte) bool {
	for _, w := range replicationWords {
		if len(text) >= len(w) && containsFold(text[:len(w)], w) {
			return false
		}
	}
	return true
}

var replicationWords = [][]byte{
	[]byte("identify_system"), []byte("base_backup"), []byte("create_replication_slot"), []byte("drop_replication_slot"),
	[]byte("start_replication"), []byte("timeline_history"), []byte("read_replication_slot"), []byte("upload_manifest"),
}

func (u *up) parse(body []byte, total int) error {
	m, err := wire.ParseParse(body)
	if err != nil {
		return err
	}
	st := &statement{name: string(m.Name), text: append([]byte(nil), m.Text...), types: m.AppendTypes(nil)}
	e := u.pending.take(expectParse)
	st.facts = u.analyze(st.text)
	e.statement = proxy.Statement{Meta: proxy.Meta{Kind: proxy.KindPrepare}, Text: st.text, Name: st.name, Facts: preparing(st.facts), Giver: u, Keeper: u}
	if !u.ask(e, &e.statement) {
		poison := poisonParse
		if len(m.Name) > 0 {
			poison = poisonNamed
		}
		if e.trial {
			poison = appendTrial(nil, m.Text, &m, poison)
		}
		return u.refuse(e, total, poison)
	}
	if e.statement.Rewritten {
		st.text = e.statement.Text
		st.facts = u.analyze(st.text)
	}
	st.renames = renames(st.text, st.facts) != renaming{}
	u.prepared.take(st.name)
	e.stmt = st
	u.pending.mu.Lock()
	u.pending.statements.send(m.Name, st, u.pending.batch)
	u.pending.mu.Unlock()
	rewritten := e.statement.Rewritten
	if err := u.expect(e); err != nil {
		return err
	}
	if rewritten {
		u.replace(total, wire.AppendParse(nil, m.Name, st.text, &m))
	} else {
		u.pass(total)
	}
	return nil
}

// refuse puts a message that the server will refuse in the place of a refused
// one of the extended protocol. The server then skips to Sync, and so do we.
func (u *up) refuse(e *entry, total int, poison []byte) error {
	u.skipping = true
	return u.replaceExpecting(e, total, poison)
}

// replaceExpecting puts message in the place of the total bytes at pos; the
// server owes e for it.
func (u *up) replaceExpecting(e *entry, total int, message []byte) error {
	if err := u.expect(e); err != nil {
		return err
	}
	u.replace(total, message)
	return nil
}

func (u *up) bind(body []byte, total int) error {
	m, err := wire.ParseBind(body)
	if err != nil {
		return err
	}
	st, err := u.statementOf(m.Statement)
	if err != nil {
		return err
	}
	p := &portal{name: string(m.Portal), stmt: st, formats: m.AppendResultFormats(nil)}
	types := u.typesOf(st)
	if m.Params > 0 {
		p.args = make([]proxy.Arg, 0, m.Params)
		p.values = make([]byte, 0, len(body))
		m.EachParam(func(i int, v []byte, binary bool) {
			arg := proxy.Arg{Binary: binary}
			if i < len(types) {
				arg.Type = types[i]
			}
			if v != nil {
				n := len(p.values)
				p.values = append(p.values, v...)
				arg.Value = p.values[n:len(p.values):len(p.values)]
			}
			if binary && v != nil {
				p.texts, arg.Text = appendArg(p.texts, v, arg.Type)
			}
			p.args = append(p.args, arg)
		})
	}
	changed := false
	if len(p.args) > 0 && u.session.session.WantsBind() {
		e := u.pending.take(expectExecute)
		was := slices.Clone(p.args)
		e.statement = proxy.Statement{
			Meta: proxy.Meta{Kind: proxy.KindStatement}, Text: st.text, Name: st.name, Args: p.args, Facts: u.factsOf(st, p.args), Giver: u,
		}
		if v := u.session.session.Bind(u.session.session.Context(), &e.statement); v != nil {
			e.refusal = wire.AppendError(nil, refusal(v))
			return u.refuse(e, total, poisonNamed)
		}
		u.pending.recycle(e)
		changed = !slices.EqualFunc(was, p.args, func(a, b proxy.Arg) bool { return bytes.Equal(a.Value, b.Value) })
	}
	u.epoch.bound(m.Portal)
	e := u.pending.take(expectBind)
	e.portal = p
	u.pending.mu.Lock()
	u.pending.portals.send(m.Portal, p, u.pending.batch)
	u.pending.mu.Unlock()
	if changed {
		return u.replaceExpecting(e, total, wire.AppendBind(nil, &m, func(i int) []byte { return p.args[i].Value }))
	}
	return u.passExpecting(e, total)
}

// typesOf are the types of st's parameters, as far as they are known.
func (u *up) typesOf(st *statement) []uint32 {
	u.pending.mu.Lock()
	defer u.pending.mu.Unlock()
	if st.inferred != nil {
		return st.inferred
	}
	return st.types
}

// appendArg appends the text of a value of a type in binary format, and returns it too; nil
// where it is not known.
func appendArg(dst, v []byte, oid uint32) (all, text []byte) {
	if dst == nil {
		dst = make([]byte, 0, 64)
	}
	n := len(dst)
	all, ok := pgvalue.Text(dst, v, oid)
	if !ok {
		return dst, nil
	}
	return all, all[n:len(all):len(all)]
}

// resolve returns what name means to the server now. Where an earlier batch has
// yet to tell, it waits for the server's answer.
func resolve[T comparable](u *up, n *names[T], name []byte, unknown T) (T, error) {
	var zero T
	p := u.pending
	p.mu.Lock()
	x, certain := n.get(name, p.batch)
	p.mu.Unlock()
	if !certain {
		name = append([]byte(nil), name...)
		if err := u.urge(); err != nil {
			return zero, err
		}
		p.mu.Lock()
		for {
			if x, certain = n.get(name, p.batch); certain || p.closed {
				break
			}
			p.wait()
		}
		closed := p.closed
		p.mu.Unlock()
		if closed {
			return zero, context.Canceled
		}
	}
	if x == zero {
		x = unknown
	}
	return x, nil
}

func (u *up) target(typ byte, body []byte, total int) error {
	kind, name, err := wire.ParseTarget(body)
	if err != nil {
		return err
	}
	if typ == wire.Close {
		return u.closeName(kind, name, total)
	}
	e := u.pending.take(expectStatement)
	if kind == 'S' {
		if e.stmt, err = u.statementOf(name); err != nil {
			return err
		}
	} else {
		e.expect = expectPortal
		if e.portal, err = resolve(u, &u.pending.portals, name, unknownPortal); err != nil {
			return err
		}
		if e.portal != unknownPortal {
			if u.wantsRows() { // whose description is kept
				u.noteDescribed(e.portal)
			}
		}
	}
	return u.passExpecting(e, total)
}

// closeName takes the meaning away from a name, once the server has confirmed.
func (u *up) closeName(kind byte, name []byte, total int) error {
	e := u.pending.take(expectClose)
	p := u.pending
	p.mu.Lock()
	if kind == 'S' {
		e.stmt = &statement{name: string(name), closed: true}
		p.statements.send(name, unknownStatement, p.batch)
	} else {
		e.portal = &portal{name: string(name), closed: true}
		p.portals.send(name, unknownPortal, p.batch)
	}
	p.mu.Unlock()
	return u.passExpecting(e, total)
}

func (u *up) execute(body []byte, total int) error {
	name, most, err := wire.ParseExecute(body)
	if err != nil {
		return err
	}
	p, err := resolve(u, &u.pending.portals, name, unknownPortal)
	if err != nil {
		return err
	}
	e := u.pending.take(expectExecute)
	e.portal = p
	e.statement = proxy.Statement{
		Meta: proxy.Meta{Kind: proxy.KindStatement}, Text: p.stmt.text, Name: p.stmt.name, Args: p.args, Facts: u.factsOf(p.stmt, p.args), Giver: u, Keeper: u, Measurer: u, Reading: &u.reading,
	}
	if v := u.enclosing(&e.statement); v != nil {
		u.session.session.Refuse(&e.statement, *v)
		e.refusal = wire.AppendError(nil, refusal(v))
		return u.refuse(e, total, poisonNamed)
	}
	if !u.ask(e, &e.statement) {
		return u.refuse(e, total, poisonNamed)
	}
	if e.guard != nil {
		if err := u.compare(e, most != 0); err != nil {
			return err
		}
		if e.refusal != nil {
			return u.refuse(e, total, poisonNamed)
		}
	}
	u.executes = true
	g := e.guard
	e.prepares = u.prepared.sends(e.statement.Facts)
	e.newEncoding = u.encoded
	u.encoded = u.encoded || changesEncoding(e.statement.Facts)
	if p.stmt.renames {
		u.follow(p.stmt.text, e.statement.Facts)
	} else {
		u.sent(p.stmt.text, e.statement.Facts)
	}
	if u.wantsRows() && !u.isDescribed(p) {
		// The description is asked for in the client's place, so that filters know
		// the rows before they come.
		d := u.pending.take(expectPortal)
		d.hidden = true
		if p == unknownPortal {
			p = &portal{name: string(name), stmt: unknownStatement}
			e.portal = p
		}
		u.noteDescribed(p)
		d.portal = p
		if err := u.expect(d); err != nil {
			return err
		}
		u.collect()
		u.out = wire.AppendDescribePortal(u.out, name)
	}
	if err := u.passExpecting(e, total); err != nil || g == nil {
		return err
	}
	return u.watch(g, false)
}

// noteDescribed notes that a Describe of p is on its way.
func (u *up) noteDescribed(p *portal) {
	u.pending.mu.Lock()
	defer u.pending.mu.Unlock()
	p.describedIn = u.pending.batch + 1
}

// isDescribed reports whether p's rows are known by the time that they come. A
// Describe of an earlier batch may have been skipped after an error, one of
// this batch is skipped together with what follows it.
func (u *up) isDescribed(p *portal) bool {
	u.pending.mu.Lock()
	defer u.pending.mu.Unlock()
	return p != unknownPortal && (p.shape != nil || p.describedIn == u.pending.batch+1)
}

func (u *up) function(body []byte, total int) error {
	e := u.pending.take(expectFunction)
	oid, args, err := wire.ParseFunctionCall(body, e.call.Args[:0])
	if err != nil {
		return err
	}
	if !u.settings.FunctionCall {
		e.call = proxy.Call{Meta: proxy.Meta{Kind: proxy.KindFunction}, Name: functionName(oid)}
		v := proxy.Deny(proxy.CausePolicy, "", "function calls by number are not allowed for this resource", "Call the function in a statement, or ask an administrator to set function_call: true for this resource and to allow the right function.")
		u.session.session.Refuse(&e.call, v)
		e.refusal = wire.AppendError(nil, refusal(&v))
		return u.replaceExpecting(e, total, poisonFunction)
	}
	// The arguments outlive the buffer they are in.
	e.text = e.text[:0]
	for _, a := range args {
		e.text = append(e.text, a...)
	}
	at := 0
	for i, a := range args {
		if a != nil {
			args[i] = e.text[at : at+len(a) : at+len(a)]
			at += len(a)
		}
	}
	e.call = proxy.Call{Meta: proxy.Meta{Kind: proxy.KindFunction}, Name: functionName(oid), Args: args}
	if !u.ask(e, &e.call) {
		return u.replaceExpecting(e, total, poisonFunction)
	}
	u.epoch.called() // it may be any function
	u.encoding.changing = true
	return u.passExpecting(e, total)
}

func functionName(oid uint32) string { return "pg_proc/" + strconv.FormatUint(uint64(oid), 10) }

// tooLarge refuses a message that is over the limit; its bytes are dropped as
// they come.
func (u *up) tooLarge(typ byte, limit int) error {
	what, key := "statement is", "max_statement"
	if typ == wire.Bind || typ == wire.FunctionCall {
		what, key = "set of arguments is", "max_data"
	}
	v := proxy.Deny(proxy.CausePolicy, "", "this "+what+" longer than the limit of "+strconv.Itoa(limit)+" bytes",
		"Send it in parts, or ask an administrator to raise "+key+" of this resource.")
	n := refusal(&v)
	n.Code = codeTooLarge
	return u.reject(typ, 0, n)
}

// malformed refuses a message whose body is not of its type, as the server would.
func (u *up) malformed(typ byte, total int, err *wire.MalformedError) error {
	return u.reject(typ, total, wire.Notice{Severity: "ERROR", Code: codeProtocol, Message: err.Reason})
}

// reject answers a message of which no operation was made, and has the server fail in
// its place.
func (u *up) reject(typ byte, total int, n wire.Notice) error {
	if u.skips() {
		u.drop(total)
		return nil
	}
	e := u.pending.take(expectExecute)
	e.refusal = wire.AppendError(nil, n)
	switch typ {
	case wire.Query:
		e.expect = expectQuery
		return u.replaceExpecting(e, total, poisonQuery)
	case wire.FunctionCall:
		e.expect = expectFunction
		return u.replaceExpecting(e, total, poisonFunction)
	}
	return u.refuse(e, total, poisonNamed)
}

// parked tells the client that its operation waits. What came before it goes to
// the server first.
func (u *up) parked(op proxy.Op, h *proxy.Pending) {
	if u.down.reader == nil { // Connect, before the session is up
		return
	}
	u.leaveLoop()
	if err := u.flush(); err != nil {
		u.session.session.Kill(err)
		return
	}
	u.tell(holdNotice(h))
}

func holdNotice(h *proxy.Pending) []byte {
	n := wire.Notice{Severity: "NOTICE", Code: "00000", Message: h.Message, Hint: h.Link}
	if n.Message == "" {
		n.Message = "this operation is waiting for approval"
	}
	if !h.Deadline.IsZero() {
		n.Detail = "It is refused if nobody decides before " + h.Deadline.Format(time.RFC3339) + "."
	}
	return wire.AppendNotice(nil, n)
}

// rewrite replaces the text of the operation that is being asked.
func (u *up) rewrite(op proxy.Op, text []byte) error {
	st, ok := op.(*proxy.Statement)
	if !ok || st.Kind == proxy.KindStatement && u.current != nil && u.current.expect == expectExecute {
		return errLateRewrite
	}
	if bytes.IndexByte(text, 0) >= 0 {
		return errRewrittenNUL
	}
	st.Text = append([]byte(nil), text...)
	if st.Facts = u.analyze(st.Text); st.Kind == proxy.KindPrepare {
		st.Facts = preparing(st.Facts)
	}
	return nil
}

var (
	errLateRewrite  = errors.New("a prepared statement cannot be rewritten when it runs")
	errRewrittenNUL = errors.New("the rewritten statement holds a NUL")
)
