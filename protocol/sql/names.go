package sql

import (
	"encoding/binary"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/sallyport/sallyport/proxy"
)

// maxNames bounds how many temporary and changed relations of a session are told
// apart. With more, any name may be one.
const maxNames = 256

// Rename returns what names mean after change c, outside of a transaction that may
// take it back. The ends of transactions change nothing here.
func Rename(n proxy.Names, c proxy.NameChange) proxy.Names {
	switch c.Kind {
	case proxy.NamePath:
		if n.Path = c.Value; c.Value == "" {
			n.Unsure |= proxy.UnsurePath
		} else {
			n.Unsure &^= proxy.UnsurePath
		}
	case proxy.NamePathReset:
		n.Path = ""
		n.Unsure &^= proxy.UnsurePath
		if n.Unsure&proxy.UnsureLogin != 0 {
			n.Unsure |= proxy.UnsurePath
		}
	case proxy.NameRole:
		n.Unsure |= proxy.UnsureRole
	case proxy.NameRoleReset:
		n.Unsure &^= proxy.UnsureRole
	case proxy.NameUser:
		n.Unsure |= proxy.UnsureUser
	case proxy.NameUserReset:
		n.Unsure &^= proxy.UnsureUser | proxy.UnsureRole
	case proxy.NameTemporary:
		n.Temporary = own(&n, n.Temporary, &c, proxy.UnsureTemporary)
	case proxy.NameFilled:
		n.Temporary, n.Changed = filled(n.Temporary, &c), filled(n.Changed, &c)
	case proxy.NameNoTemporary:
		n.Temporary = nil
		n.Unsure &^= proxy.UnsureTemporary
	case proxy.NameObject:
		n.Changed = own(&n, n.Changed, &c, proxy.UnsureObjects)
	case proxy.NameCursor:
		n.Cursors = own(&n, n.Cursors, &c, 0)
	case proxy.NameLoudCursor:
		n.Unsure |= proxy.UnsureCursors
	case proxy.NameCommit, proxy.NameRollback, proxy.NameRollbackTo:
	default:
		n.Unsure |= proxy.UnsureAnything
		n.Temporary, n.Changed, n.Cursors = Unknown(n.Temporary), Unknown(n.Changed), Unknown(n.Cursors)
	}
	return n
}

// Unknown returns list with relations whose columns are not known any more.
func Unknown(list []*proxy.OwnRelation) []*proxy.OwnRelation {
	if !slices.ContainsFunc(list, func(r *proxy.OwnRelation) bool { return r.Known || r.Table }) {
		return list
	}
	out := make([]*proxy.OwnRelation, len(list))
	for i, r := range list {
		out[i] = &proxy.OwnRelation{Schema: r.Schema, Name: r.Name, ID: ownIDs.Add(1)}
	}
	return out
}

// own returns list with the relation that c makes or changes. Where that cannot be, n is
// unsure of all such names.
func own(n *proxy.Names, list []*proxy.OwnRelation, c *proxy.NameChange, unsure proxy.Unsure) []*proxy.OwnRelation {
	at, ok := find(list, c.Value)
	made := &proxy.OwnRelation{Schema: c.Schema, Name: c.Value, Columns: c.Columns, Known: c.Known, Table: c.Table, Open: c.Open, Local: c.Local, ID: ownIDs.Add(1)}
	switch {
	case unsure != 0 && n.Unsure&unsure != 0:
		return list
	case ok: // made anew, of another schema, or altered
		made.Known = c.Altered && c.Known && list[at].Known
		made.Local = made.Local || c.Altered && list[at].Local
		list = slices.Clone(list)
		list[at] = made
		return list
	case c.Value == "", len(list) == maxNames:
		n.Unsure |= unsure
		return list
	}
	made.Known = made.Known && !c.Altered
	return slices.Insert(slices.Clone(list), at, made)
}

var ownIDs atomic.Uint64

func find(list []*proxy.OwnRelation, name string) (at int, ok bool) {
	return slices.BinarySearchFunc(list, name, func(r *proxy.OwnRelation, name string) int { return strings.Compare(r.Name, name) })
}

// filled returns list with what c fills columns of a relation with.
func filled(list []*proxy.OwnRelation, c *proxy.NameChange) []*proxy.OwnRelation {
	at, ok := find(list, c.Value)
	if !ok || !list[at].Known {
		return list
	}
	r := *list[at]
	r.Columns, r.ID = slices.Clone(r.Columns), ownIDs.Add(1)
	for i := range c.Columns {
		with := &c.Columns[i]
		for k := range r.Columns {
			if to := &r.Columns[k]; to.Name == with.Name || with.Name == "*" {
				to.Origins = append(slices.Clip(to.Origins), with.Origins...)
				to.Opaque, to.Unsure = to.Opaque || with.Opaque, to.Unsure || with.Unsure
			}
		}
	}
	list = slices.Clone(list)
	list[at] = &r
	return list
}

// Renames returns what a statement changes of what names mean to its session: what its
// facts say, else what its effects may be. It allocates nothing of its own.
func Renames(f *proxy.Facts) []proxy.NameChange {
	const unseen = proxy.EffectUnknown | proxy.EffectExecute | proxy.EffectDo
	switch {
	case f.Malformed:
		return nil // it never runs
	case f.Block != nil && f.Renames != nil: // each of its statements was read
		return f.Renames
	case f.Unknown != "" || f.Effects.Has(unseen):
		return anything
	case f.Renames != nil:
		return f.Renames
	case f.Effects.Has(proxy.EffectCall | proxy.EffectRole | proxy.EffectSet): // and the analyzer does not say
		return anything
	case f.Effects.Has(proxy.EffectsDDL):
		return temporaryOrObject
	}
	return nil
}

var (
	anything          = []proxy.NameChange{{Kind: proxy.NameAnything}}
	temporaryOrObject = []proxy.NameChange{{Kind: proxy.NameTemporary}, {Kind: proxy.NameObject}}
)

// Scope is a catalog as one session sees it. The zero value knows nothing, and
// nothing is certain of it. It is a value that is passed on, and immutable.
type Scope struct {
	snapshot *Snapshot
	names    proxy.Names
	looked   bool // there is a catalog, even when it could not be read
	moved    bool // the text has changed where names without a schema are looked up
}

// ScopeOf returns the scope of a session whose names mean what n says. A snapshot
// that is nil could not be read.
func ScopeOf(s *Snapshot, n proxy.Names) Scope {
	on := s.On(n.SearchPath())
	if on == nil && s != nil { // of too many paths
		on, n.Unsure = s, n.Unsure|proxy.UnsurePath
	}
	return Scope{snapshot: on, names: n, looked: true}
}

// After is the scope of what follows a statement that makes changes, in the same text.
func (s Scope) After(changes []proxy.NameChange) Scope {
	if !s.looked || len(changes) == 0 {
		return s
	}
	n, moved := s.names, s.moved
	for _, c := range changes {
		switch c.Kind {
		case proxy.NameCommit, proxy.NameRollback, proxy.NameRollbackTo:
			if moved {
				n.Unsure |= proxy.UnsureSchemas
			}
			if c.Kind != proxy.NameCommit {
				n = takenBack(n)
			} else { // which takes back, if the transaction has failed before this text
				n = Ending(n, nil)
			}
		default:
			before := n
			n = Rename(n, c)
			moved = moved || n.Moved(&before)
		}
	}
	after := ScopeOf(s.snapshot.origin(), n)
	after.moved = moved
	return after
}

// takenBack returns what names mean once a part of what was made of them is taken back,
// and it is not known which.
func takenBack(n proxy.Names) proxy.Names {
	if len(n.Temporary)+len(n.Changed)+len(n.Cursors) > 0 {
		n.Unsure |= proxy.UnsureTemporary | proxy.UnsureObjects
		n.Temporary, n.Changed, n.Cursors = Unknown(n.Temporary), Unknown(n.Changed), Unknown(n.Cursors)
	}
	return n
}

// Uncertain returns list with the relation or cursor of that name not known any more.
func Uncertain(list []*proxy.OwnRelation, name string) []*proxy.OwnRelation {
	at, ok := find(list, name)
	if !ok || !list[at].Known {
		return list
	}
	list = slices.Clone(list)
	list[at] = &proxy.OwnRelation{Schema: list[at].Schema, Name: name, ID: ownIDs.Add(1)}
	return list
}

// Ending returns what names mean while it is not known how the transaction ends, or a part
// of it: what was made in it may be there or not. before is what they meant when it began,
// nil where that is not known.
func Ending(n proxy.Names, before *proxy.Names) proxy.Names {
	if slices.ContainsFunc(n.Temporary, passing) {
		list := slices.Clone(n.Temporary)
		for i, r := range list {
			if passing(r) {
				list[i] = &proxy.OwnRelation{Schema: r.Schema, Name: r.Name, Open: r.Open, Local: r.Local, ID: ownIDs.Add(1)}
			}
		}
		n.Temporary = list
	}
	if before != nil && forgets(&n, before) {
		n.Unsure |= proxy.UnsureTemporary
	}
	return n
}

// Hangs reports whether what names mean hangs on how the transaction ends; before is what
// they meant when it began.
func Hangs(n, before *proxy.Names) bool {
	return slices.ContainsFunc(n.Temporary, passing) || forgets(n, before)
}

func passing(r *proxy.OwnRelation) bool { return r.Open || r.Local }

// forgets reports whether n lacks a temporary relation of before.
func forgets(n, before *proxy.Names) bool {
	return slices.ContainsFunc(before.Temporary, func(r *proxy.OwnRelation) bool {
		_, still := find(n.Temporary, r.Name)
		return !still
	})
}

// Ended returns what names mean when the transaction in which they came to mean it has
// ended well.
func Ended(n proxy.Names) proxy.Names {
	if slices.ContainsFunc(n.Temporary, func(r *proxy.OwnRelation) bool { return r.Open }) {
		n.Temporary = slices.Clone(n.Temporary)
		for i, r := range n.Temporary {
			if r.Open {
				closed := *r
				closed.Open = false
				n.Temporary[i] = &closed
			}
		}
	}
	return n
}

// Temporary returns the session's own temporary relation of that name, nil when there is
// none or it is not certain.
func (s Scope) Temporary(name string) *proxy.OwnRelation {
	if at, ok := find(s.names.Temporary, name); ok {
		return s.names.Temporary[at]
	}
	return nil
}

// Looked reports whether names are looked up at all.
func (s Scope) Looked() bool { return s.looked }

// Snapshot returns what is known of the database; nil is nothing.
func (s Scope) Snapshot() *Snapshot { return s.snapshot }

// Names returns what the session's names mean.
func (s Scope) Names() *proxy.Names { return &s.names }

// Relations returns the relations that a name may mean, and whether it may mean
// nothing else. An empty schema has it looked up.
func (s Scope) Relations(schema, name string) (found []*Relation, sure bool) {
	n := &s.names
	temporary := schema == "" || schema == temporarySchema
	if at, ok := find(n.Temporary, name); ok && temporary { // which comes first
		if r := n.Temporary[at]; r.Known {
			return []*Relation{ownRelation(temporarySchema, r)}, true
		}
		return nil, false
	}
	if s.snapshot == nil {
		return nil, false
	}
	switch {
	case schema != "":
		if r := s.snapshot.byName[schema][name]; r != nil {
			found = append(found, r)
		}
	case n.Unsure&proxy.UnsureSchemas != 0:
		found = s.snapshot.anywhere(name)
	default:
		if r := s.snapshot.Relation("", name); r != nil {
			found = append(found, r)
		}
	}
	sure = !temporary || n.Unsure&proxy.UnsureTemporary == 0
	if at, ok := find(n.Changed, name); ok {
		if r := n.Changed[at]; schema == "" || r.Schema == "" || r.Schema == schema {
			if !r.Known {
				return found, false
			}
			return append(found, ownRelation(r.Schema, r)), sure
		}
	}
	return found, sure && len(found) > 0 && s.unchanged(schema, found)
}

// Relation returns the one relation that a name can mean, nil when it may mean several,
// or something that is not known.
func (s Scope) Relation(schema, name string) *Relation {
	if found, sure := s.Relations(schema, name); sure && len(found) == 1 {
		return found[0]
	}
	return nil
}

// Absent reports whether a name certainly means nothing: one without a schema, whatever
// the path is.
func (s Scope) Absent(schema, name string) bool {
	if !s.Missing(name) {
		return false
	}
	if schema == "" {
		return len(s.snapshot.anywhere(name)) == 0
	}
	found, _ := s.Relations(schema, name)
	return len(found) == 0
}

// AbsentSchema reports whether there is certainly no schema of that name.
func (s Scope) AbsentSchema(name string) bool {
	return s.snapshot != nil && s.names.Unsure&proxy.UnsureObjects == 0 && len(s.names.Changed) == 0 && !s.snapshot.HasSchema(name)
}

// HasExtension reports whether an extension is there.
func (s Scope) HasExtension(name string) bool {
	return s.snapshot != nil && s.names.Unsure&proxy.UnsureObjects == 0 && slices.Contains(s.snapshot.Extensions, name)
}

// Cursor returns what a cursor of the session's returns, nil when that is not known.
func (s Scope) Cursor(name string) *proxy.OwnRelation {
	if at, ok := find(s.names.Cursors, name); ok && s.names.Cursors[at].Known {
		return s.names.Cursors[at]
	}
	return nil
}

const temporarySchema = "pg_temp"

// ownRelation is r as a relation of the catalog's.
func ownRelation(schema string, r *proxy.OwnRelation) *Relation {
	rel := &Relation{Schema: schema, Name: r.Name, Kind: RelationTable, Own: true, OwnTable: r.Table, Columns: make([]Column, len(r.Columns))}
	for i := range r.Columns {
		source := r.Columns[i]
		source.Origins = append(slices.Clip(source.Origins), proxy.Origin{Schema: schema, Relation: r.Name, Column: source.Name, Own: true})
		rel.Columns[i] = Column{Name: source.Name, Source: source}
	}
	return rel
}

// unchanged reports whether what was found of a name is still that, but for what
// others see too.
func (s Scope) unchanged(schema string, found []*Relation) bool {
	n := &s.names
	if n.Unsure&proxy.UnsureObjects == 0 {
		return len(n.Changed) == 0 || !slices.ContainsFunc(found, (*Relation).IsView) // of what has changed
	}
	// What came with the server stays. Without a schema, something that was made may
	// come before it.
	first := schema != "" || s.ServerFirst()
	return first && !slices.ContainsFunc(found, func(r *Relation) bool { return !r.Server || schema == "" && r.Schema != serverSchema })
}

// Missing reports whether the catalog should know a name that it does not know, so
// that what was read of it is old.
func (s Scope) Missing(name string) bool {
	n := &s.names
	if s.snapshot == nil || n.Unsure&(proxy.UnsureTemporary|proxy.UnsureObjects) != 0 {
		return false
	}
	_, temporary := find(n.Temporary, name)
	_, changed := find(n.Changed, name)
	return !temporary && !changed
}

// Functions returns the functions, other than the server's own, that a name may mean,
// and whether it means nothing else. An empty schema has it looked up.
func (s Scope) Functions(schema, name string) (found []*Function, sure bool) {
	if s.snapshot == nil {
		return nil, false
	}
	sure = s.names.Unsure&proxy.UnsureObjects == 0
	if schema == "" && s.names.Unsure&proxy.UnsureSchemas != 0 {
		return s.snapshot.functions[name], sure
	}
	return s.snapshot.FunctionsNamed(schema, name), sure
}

// ServerFirst reports whether what came with the server is found before all else by names
// without a schema, but for the session's temporary relations.
func (s Scope) ServerFirst() bool {
	return s.snapshot != nil && s.names.Unsure&proxy.UnsureSchemas == 0 && len(s.snapshot.Path) > 0 && s.snapshot.Path[0] == serverSchema
}

// RunBy returns the functions that an operator of that name may run, other than the
// server's own and harmless ones, and whether it runs nothing else.
func (s Scope) RunBy(operator string) (found []*Function, sure bool) {
	return s.snapshot.Behind(operator), s.snapshot != nil && s.names.Unsure&proxy.UnsureObjects == 0
}

// Settled reports whether the catalog has all that is there: nothing was made or changed
// since that it does not show.
func (s Scope) Settled() bool {
	n := &s.names
	return s.snapshot != nil && n.Unsure&(proxy.UnsureObjects|proxy.UnsureTemporary) == 0 && len(n.Changed) == 0 && len(n.Temporary) == 0
}

// AppendKey appends what tells the facts of one scope from those of another to a key.
func (s Scope) AppendKey(key []byte) []byte {
	key = binary.BigEndian.AppendUint64(key, s.snapshot.Number())
	key = append(key, byte(s.names.Unsure))
	key = append(append(key, s.names.Login...), 0)
	for _, list := range [...][]*proxy.OwnRelation{s.names.Temporary, s.names.Changed, s.names.Cursors} {
		key = binary.BigEndian.AppendUint32(key, uint32(len(list)))
		for _, r := range list {
			key = binary.BigEndian.AppendUint64(key, r.ID)
		}
	}
	return key
}
