package postgres

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/sallyport/sallyport/protocol/sql"
	"github.com/sallyport/sallyport/proxy"
)

// epoch follows whether the catalog, as a new session of the same account sees
// it, tells what names mean in this one. up notes what it sends, down what has
// come of it.
type epoch struct {
	// shadowed says that names may mean something else here, for good: the
	// search_path may have changed unseen, the role too, temporary objects may
	// exist.
	shadowed atomic.Bool
	// set is the search_path that the session has set; nil is the one at login.
	// Another is on its way while moves is not 0.
	set   atomic.Pointer[string]
	moves atomic.Int32
	// changes counts the statements sent that change the catalog, or may, and whose
	// transaction has not ended: they are seen here and by nobody else.
	changes atomic.Int32

	id   uint64   // of the snapshot whose path was compared last; up's
	path []string // of the first snapshot; up's
}

// The epochs of a reading; 0 is the state at login.
const (
	epochShadowed = 1
	epochChanging = 2
)

func (e *epoch) now() uint32 {
	switch {
	case e.shadowed.Load():
		return epochShadowed
	case e.changes.Load() != 0, e.moves.Load() != 0:
		return epochChanging
	}
	return 0
}

// Effects by which a statement may change what names mean: for this session, or
// for all.
const (
	shadowing = proxy.EffectRole | proxy.EffectDo | proxy.EffectCall | proxy.EffectUnknown | proxy.EffectExecute
	changing  = proxy.EffectsDDL
	unseen    = shadowing &^ proxy.EffectRole // may have changed the catalog too
)

// sent notes a statement that goes to the server.
func (e *epoch) sent(f *proxy.Facts) {
	if _, ok := newPath(f); ok {
		e.moves.Add(1)
		return
	}
	if f.Effects.Has(shadowing) || f.Effects.Has(proxy.EffectSet) && setsPath(f) || f.Effects.Has(proxy.EffectCreate) && temporary(f) {
		e.shadowed.Store(true)
	}
	if f.Effects.Has(changing | unseen) {
		e.changes.Add(1)
	}
}

// began compares the path of names with the one that the session began with: a
// role's or a database's setting that was changed since holds for new sessions
// only.
func (e *epoch) began(s *sql.Snapshot) {
	if s == nil || s.ID == e.id {
		return
	}
	if e.id == 0 {
		e.path = s.Path
	} else if !slices.Equal(e.path, s.Path) {
		e.shadowed.Store(true)
	}
	e.id = s.ID
}

// newPath returns the search_path that a statement which does nothing else sets
// for the session, when it is a plain one.
func newPath(f *proxy.Facts) (path string, ok bool) {
	if f.Effects != proxy.EffectSet || f.Statements != 1 || len(f.Settings) != 1 {
		return "", false
	}
	s := &f.Settings[0]
	return s.Value, s.Name == "search_path" && !s.Local && sql.PlainPath(s.Value)
}

// searchPath returns the search_path that was set, empty when none was.
func (e *epoch) searchPath() string {
	if p := e.set.Load(); p != nil {
		return *p
	}
	return ""
}

func setsPath(f *proxy.Facts) bool {
	for _, s := range f.Settings {
		if s.Name == "search_path" || s.Name == "" || s.Name == "all" {
			return true
		}
	}
	return len(f.Settings) == 0
}

// temporary reports whether a statement may make something that only its session
// sees.
func temporary(f *proxy.Facts) bool {
	for i := range f.Relations {
		if r := &f.Relations[i]; r.Effects.Has(proxy.EffectCreate) && strings.HasPrefix(r.Schema, "pg_temp") {
			return true
		}
	}
	return false
}

// settling is down's part: what the operations that the server has answered did
// to the catalog, until their transaction ends.
type settling struct {
	changes int32
	certain bool // one of them does change it

	turn   int    // operations answered since the server was ready last
	moves  int32  // of them, those that set the search_path
	path   string // the last one that was set
	failed bool   // the server answered something with an error
	open   bool   // a transaction was open when it was ready last
}

// answered notes the end of an operation that ran.
func (s *settling) answered(op proxy.Op) {
	st, ok := op.(*proxy.Statement)
	if !ok || st.Kind != proxy.KindStatement {
		return
	}
	s.turn++
	if path, ok := newPath(st.Facts); ok {
		s.path = path
		s.moves++
	}
	if st.Facts.Effects.Has(changing | unseen) {
		s.changes++
		s.certain = s.certain || st.Facts.Effects.Has(changing)
	}
}

// ready is called when the server is ready for the next operations, with or
// without an open transaction. A search_path that was set alone and outside of
// one holds; of any other it is not known whether it will be taken back.
func (s *settling) ready(e *epoch, open bool) {
	switch {
	case s.moves == 0:
	case s.turn > 1 || s.open || open:
		e.shadowed.Store(true)
	case !s.failed: // else all of the turn was taken back
		path := s.path
		e.set.Store(&path)
	}
	e.moves.Add(-s.moves)
	s.turn, s.moves, s.failed, s.open = 0, 0, false, open
}

// settled is called when no transaction is open: what was answered is there for
// everybody, or for nobody.
func (s *settling) settled(e *epoch, c sql.Catalog, r *proxy.Reading) {
	if s.changes == 0 {
		return
	}
	switch {
	case c == nil:
	case s.certain:
		c.Changed(r)
	default:
		c.Doubt(r)
	}
	e.changes.Add(-s.changes) // after Changed: who sees 0 sees what was changed
	s.changes, s.certain = 0, false
}

// opaqueColumn may hold anything.
var opaqueColumn = &proxy.Column{Opaque: true}

// catalogShape names the base columns of shape's columns, by their numbers. Of
// views that this session may have changed, and nobody else can see yet, nothing is known.
func (s *session) catalogShape(shape *proxy.Shape) {
	c := s.handler.Catalog
	if c == nil {
		return
	}
	var snapshot *sql.Snapshot
	doubt := false
	for i := range shape.Columns {
		col := &shape.Columns[i]
		if col.Table == 0 {
			continue
		}
		if snapshot == nil {
			if snapshot = c.Snapshot(context.WithoutCancel(s.session.Context()), &s.named); snapshot == nil {
				return
			}
		}
		r := snapshot.ByOID(col.Table)
		switch {
		case r == nil || col.Attr != 0 && r.ByAttr(col.Attr) == nil:
			doubt = true
			continue
		case r.IsView() && s.epoch.changes.Load() != 0: // it may be another view for this session alone
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
	if doubt && !s.epoch.shadowed.Load() { // else a temporary table, most likely
		c.Doubt(&s.named)
	}
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
