package postgres

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/sallyport/sallyport/protocol/sql"
	"github.com/sallyport/sallyport/proxy"
)

// epoch follows what names mean in this session, and whether its catalog is the one
// that others see. up notes what it sends, down what has come of it.
type epoch struct {
	names atomic.Pointer[proxy.Names] // what up goes by; nil is the state at login
	// ending is the same while the server may end a transaction before what up sends next.
	ending atomic.Pointer[proxy.Names]
	// changes counts the statements sent that change the catalog, or may, and whose
	// transaction has not ended: they are seen here and by nobody else.
	changes atomic.Int32

	mu     sync.Mutex
	now    proxy.Names // what the operations mean that were answered
	kept   proxy.Names // the same without what ends with the transaction
	before proxy.Names // what the transaction began with
	// flying are the changes of flights statements that were sent and not answered.
	flying  []proxy.NameChange
	flights int

	id   uint64 // of the snapshot whose path was compared last; up's
	path string // as it is set in the first snapshot; up's
}

// changesCatalog reports whether a statement changes what the catalog holds, or may.
func changesCatalog(f *proxy.Facts) bool {
	return slices.ContainsFunc(sql.Renames(f), ofObjects)
}

func ofObjects(c proxy.NameChange) bool {
	return c.Kind == proxy.NameObject || c.Kind == proxy.NameAnything
}

// state is what names mean to what is sent next. ending says that the server may end a
// transaction before.
func (e *epoch) state(ending bool) proxy.Names {
	n := e.names.Load()
	if ending {
		n = e.ending.Load()
	}
	if n == nil {
		return proxy.Names{}
	}
	return *n
}

// begin sets what names mean at login.
func (e *epoch) begin(n proxy.Names) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.now, e.kept, e.before = n, n, n
	e.publish()
}

// sent notes a statement that goes to the server.
func (e *epoch) sent(f *proxy.Facts) {
	if changesCatalog(f) {
		e.changes.Add(1)
	}
	if changes := sql.Renames(f); len(changes) > 0 {
		e.fly(changes)
	}
}

// called notes a function that is called by its number.
func (e *epoch) called() {
	e.changes.Add(1)
	e.fly(sql.Renames(noAnalyzer))
}

func (e *epoch) fly(changes []proxy.NameChange) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.flights++
	if len(e.flying) < maxFlying {
		e.flying = append(e.flying, changes...)
	} else {
		e.flying = append(e.flying[:0], proxy.NameChange{Kind: proxy.NameAnything})
	}
	e.publish()
}

// bound notes that a portal gets a name, which a cursor may have had before that is closed.
func (e *epoch) bound(name []byte) {
	if n := e.names.Load(); len(name) == 0 || n == nil || len(n.Cursors) == 0 {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, n := range []*proxy.Names{&e.now, &e.kept, &e.before} {
		n.Cursors = sql.Uncertain(n.Cursors, string(name))
	}
	e.publish()
}

// maxFlying bounds how many changes are told apart that were sent and not answered.
const maxFlying = 256

// landed notes the answer to a statement that makes changes. ok says that it ran to
// its end, and committed that it was not taken back, if it ends the transaction.
func (e *epoch) landed(f *proxy.Facts, ok, committed bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.flights--; e.flights == 0 {
		e.flying = e.flying[:0]
	}
	changes := sql.Renames(f)
	// A text of several statements is one transaction, unless it says otherwise.
	several := f.Statements > 1 && f.Effects.Has(proxy.EffectTransaction)
	back := !ok || slices.ContainsFunc(changes, takesBack)
	if several && slices.ContainsFunc(changes, commits) { // which takes back, where the transaction had failed
		e.now, e.kept = sql.Ending(e.now, &e.before), sql.Ending(e.kept, &e.before)
	}
	for _, c := range changes {
		switch {
		case c.Kind == proxy.NameAnything:
			e.apply(c)
			if !ok { // a procedure may have committed what it did before
				e.before = sql.Rename(e.before, c)
			}
		case several:
			if e.apply(c); commits(c) && ok {
				e.now, e.kept = sql.Ending(sql.Ended(e.now), nil), sql.Ending(sql.Ended(e.kept), nil)
			}
			e.lost(back)
		case !ok:
		default:
			e.lands(c, committed)
		}
	}
	e.publish()
}

// lands is a change that the server has made.
func (e *epoch) lands(c proxy.NameChange, committed bool) {
	switch c.Kind {
	case proxy.NameCommit:
		e.end(committed)
	case proxy.NameRollback:
		e.end(false)
	case proxy.NameRollbackTo:
		e.lost(true)
	default:
		e.apply(c)
	}
}

// takesBack reports whether a change takes back what was made before it.
func takesBack(c proxy.NameChange) bool {
	return c.Kind == proxy.NameRollback || c.Kind == proxy.NameRollbackTo
}

func commits(c proxy.NameChange) bool { return c.Kind == proxy.NameCommit }

func (e *epoch) apply(c proxy.NameChange) {
	c.Open = true
	e.now = sql.Rename(e.now, c)
	if !c.Local {
		e.kept = sql.Rename(e.kept, c)
	}
}

// lost is for a part of the transaction that may have been taken back: what it set
// may hold or not, and with made, what it made may be there or not.
func (e *epoch) lost(made bool) {
	if made {
		e.now, e.kept = sql.Ending(e.now, &e.before), sql.Ending(e.kept, &e.before)
	}
	if e.now.Moved(&e.before) || e.now.Moved(&e.kept) {
		e.now.Unsure |= proxy.UnsureSchemas
	}
	if e.kept.Moved(&e.before) {
		e.kept.Unsure |= proxy.UnsureSchemas
	}
}

// end is the end of a transaction. What it has changed of the catalog is for settled
// to forget.
func (e *epoch) end(committed bool) {
	n := e.before
	if committed {
		n = sql.Ended(e.kept)
	}
	const open = proxy.UnsureObjects
	n.Changed, n.Unsure = e.now.Changed, n.Unsure&^(open|proxy.UnsureCursors)|e.now.Unsure&open
	e.now, e.kept, e.before = n, n, n
}

// publish says what names mean to what up sends next: what is on its way may be
// refused or taken back.
func (e *epoch) publish() {
	n := e.now
	ends := false
	for _, c := range e.flying {
		switch c.Kind {
		case proxy.NamePath, proxy.NamePathReset:
			n.Unsure |= proxy.UnsurePath
		case proxy.NameRole, proxy.NameRoleReset:
			n.Unsure |= proxy.UnsureRole
		case proxy.NameUser, proxy.NameUserReset:
			n.Unsure |= proxy.UnsureUser
		case proxy.NameCommit, proxy.NameRollback, proxy.NameRollbackTo:
			ends = true
		case proxy.NameNoTemporary:
			n.Temporary = sql.Unknown(n.Temporary)
		case proxy.NameTemporary, proxy.NameCursor: // or what has this name now
			c.Known, c.Table = false, false
			n = sql.Rename(n, c)
		default:
			n = sql.Rename(n, c)
		}
	}
	names, ending := &n, &n
	if moved := e.now.Moved(&e.before) || e.now.Moved(&e.kept); moved || sql.Hangs(&n, &e.before) {
		last := sql.Ending(n, &e.before)
		if ending = &last; moved {
			last.Unsure |= proxy.UnsureSchemas
		}
		if ends {
			names = ending
		}
	}
	e.names.Store(names)
	e.ending.Store(ending)
}

// began notes the path that the session began with, which is that of the first snapshot: a
// role's or a database's setting that is changed later holds for new sessions only.
func (e *epoch) began(s *sql.Snapshot) {
	if s == nil || s.ID == e.id {
		return
	}
	if e.id == 0 {
		e.path = s.Setting
	}
	if e.id == 0 && sql.PlainPath(e.path) || e.path != s.Setting {
		e.stay(e.path)
	}
	e.id = s.ID
}

// stay sets the path at login, which the catalog does not have any more.
func (e *epoch) stay(path string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, n := range []*proxy.Names{&e.now, &e.kept, &e.before} {
		switch {
		case n.Login != "" || n.Unsure&proxy.UnsureLogin != 0: // the client's own
		case sql.PlainPath(path):
			n.Login = path
		default:
			if n.Unsure |= proxy.UnsureLogin; n.Path == "" {
				n.Unsure |= proxy.UnsurePath
			}
		}
	}
	e.publish()
}

// settling is down's part: what the operations that the server has answered did
// to the catalog, until their transaction ends.
type settling struct {
	changes int32
	certain []proxy.NameChange // what they change for certain
	unseen  bool               // they may change something else
	failed  bool               // the server answered something with an error since it was ready last
}

// note notes what an operation changes.
func (s *settling) note(changes []proxy.NameChange) {
	if !slices.ContainsFunc(changes, ofObjects) {
		return
	}
	s.changes++
	for _, c := range changes {
		switch {
		case c.Kind == proxy.NameAnything:
			s.unseen = true
		case c.Kind != proxy.NameObject:
		case len(s.certain) < maxFlying:
			s.certain = append(s.certain, proxy.NameChange{Kind: c.Kind, Schema: c.Schema, Value: c.Value})
		default:
			s.certain = append(s.certain[:0], proxy.NameChange{Kind: proxy.NameObject})
		}
	}
}

// answered notes the end of an operation that was sent. ok says that it ran to its end.
func (s *settling) answered(e *epoch, op proxy.Op, out *proxy.Outcome, ok bool) {
	if call, is := op.(*proxy.Call); is && call.Kind == proxy.KindFunction {
		s.note(sql.Renames(noAnalyzer))
		e.landed(noAnalyzer, ok, false)
		return
	}
	st, is := op.(*proxy.Statement)
	if !is || st.Kind != proxy.KindStatement {
		return
	}
	changes := sql.Renames(st.Facts)
	switch {
	case len(changes) == 0:
	case out.Unread:
		if slices.ContainsFunc(changes, ofObjects) {
			s.changes++ // counted when it was sent
		}
		e.landed(unread, false, false)
	default:
		s.note(changes)
		e.landed(st.Facts, ok, out.Tag != "ROLLBACK")
	}
}

// unread are the facts of a text that the server could not read.
var unread = &proxy.Facts{Renames: []proxy.NameChange{}}

// ready is called when the server is ready for the next operations, with or
// without an open transaction.
func (s *settling) ready(e *epoch, open bool) {
	if !open {
		// A transaction that no statement ended was the batch's own: it is there unless
		// something in it failed.
		e.mu.Lock()
		e.end(!s.failed)
		e.publish()
		e.mu.Unlock()
	}
	s.failed = false
}

// settled is called when no transaction is open: what was answered is there for
// everybody, or for nobody.
func (s *settling) settled(e *epoch, c sql.Catalog, r *proxy.Reading) {
	if s.changes == 0 {
		return
	}
	if c != nil && len(s.certain) > 0 {
		c.Changed(r, s.certain)
	}
	if c != nil && s.unseen {
		c.Doubt(r)
	}
	e.changes.Add(-s.changes) // after Changed: who sees 0 sees what was changed
	s.changes, s.certain, s.unseen = 0, s.certain[:0], false
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.changes.Load() == 0 {
		for _, n := range []*proxy.Names{&e.now, &e.kept, &e.before} {
			n.Changed, n.Unsure = nil, n.Unsure&^proxy.UnsureObjects
		}
		e.publish()
	}
}

// opaqueColumn may hold anything.
var opaqueColumn = &proxy.Column{Opaque: true, Unsure: true}

// catalogShape names the base columns of shape's columns, by their numbers. Of
// views that this session may have changed, and nobody else can see yet, nothing is known.
func (s *session) catalogShape(shape *proxy.Shape) {
	c := s.handler.Catalog
	if c == nil {
		return
	}
	var snapshot *sql.Snapshot
	doubt := false
	names := s.epoch.state(false)
	own := names.Unsure&(proxy.UnsureTemporary|proxy.UnsureObjects) != 0
	for i := range shape.Columns {
		col := &shape.Columns[i]
		if col.Table == 0 {
			continue
		}
		if snapshot == nil && !doubt {
			snapshot = s.snapshotOf(shape)
		}
		r := snapshot.ByOID(col.Table)
		switch {
		case snapshot == nil: // it may be anything of somebody's
			if doubt = true; col.Table >= firstOwn {
				col.Source = opaqueColumn
			}
			continue
		case r == nil || col.Attr != 0 && r.ByAttr(col.Attr) == nil:
			if doubt = true; own { // something that was made unseen
				col.Source = opaqueColumn
			}
			continue
		case r.IsView() && (own || len(names.Changed) > 0): // it may be another view for this session alone
			col.Source = opaqueColumn
			continue
		}
		col.Schema, col.Relation = r.Schema, r.Name
		if col.Source = snapshot.Source(col.Table, col.Attr); col.Source == nil {
			continue // a whole row
		}
		col.Column = col.Source.Name
		if r.IsView() {
			col.Schema, col.Relation, col.Column = base(col.Source)
		}
	}
	if doubt && !own && len(names.Temporary)+len(names.Changed) == 0 { // else one of these, most likely
		c.Doubt(&s.named)
	}
}

// snapshotOf returns a snapshot that is new enough for the relations of shape's
// columns; nil when there is none.
func (s *session) snapshotOf(shape *proxy.Shape) *sql.Snapshot {
	ctx, c := context.WithoutCancel(s.session.Context()), s.handler.Catalog
	latest, since := c.Latest(ctx, &s.named)
	if len(since) == 0 {
		return latest
	}
	for i := range shape.Columns {
		if oid := shape.Columns[i].Table; oid != 0 {
			r := latest.ByOID(oid)
			if r == nil || r.IsView() || slices.ContainsFunc(since, func(c proxy.NameChange) bool { return c.Value == "" || c.Value == r.Name }) {
				return c.Snapshot(ctx, &s.named)
			}
		}
	}
	return latest
}

// base returns the one base column that a view's column is, empty when it is
// something else.
func base(c *proxy.Column) (schema, relation, column string) {
	if c.Opaque || len(c.Origins) != 1 || c.Origins[0].How != proxy.DerivedPlain || c.Origins[0].Column == "*" {
		return "", "", ""
	}
	o := &c.Origins[0]
	return o.Schema, o.Relation, o.Column
}
