package sql

import (
	"cmp"
	"context"
	"slices"

	"github.com/sallyport/sallyport/proxy"
)

// Catalog knows what the resources' databases hold. Implementations are
// safe for concurrent use. [CatalogCache] is one.
type Catalog interface {
	// Snapshot returns what the database that r names holds, as the session's
	// account sees it; nil when it is not known. It may wait for it until ctx ends.
	// It allocates nothing when nothing changed since it was asked last.
	Snapshot(ctx context.Context, r *proxy.Reading) *Snapshot
	// Latest returns the newest snapshot that there is, with what has changed since it
	// was read, in order. It waits for the first one only, as Snapshot does.
	Latest(ctx context.Context, r *proxy.Reading) (s *Snapshot, since []proxy.NameChange)
	// Changed says that the database that r names holds something else from now on:
	// what the changes name, which are of objects, or anything.
	Changed(r *proxy.Reading, changes []proxy.NameChange)
	// Doubt says that it may hold something else: a statement names what the
	// snapshot does not know, or did what cannot be told.
	Doubt(r *proxy.Reading)
}

// Snapshot is what one database held at one moment, as far as the meaning of
// statements needs it. Contents is its input; the rest is made by [NewSnapshot].
// A Snapshot is immutable and shared.
type Snapshot struct {
	Contents
	// ID tells snapshots of different contents apart, in this process. The cache
	// sets it; it is not 0 then.
	ID uint64
	// Mark is for the loader alone, of which one at a time is under way for a key: what
	// it needs to know to read only what has changed since. Of two snapshots that say
	// the same the cache keeps the first, with the Mark of the second.
	Mark any

	byOID     map[uint32]*Relation
	byName    map[string]map[string]*Relation // by schema
	functions map[string][]*Function
	operators map[string][]*Function
	size      int
	varies    int // of size, what a variant does not share with it
	paths     *paths
	base      *Snapshot // that this is a variant of, or nil
}

// Contents are what a loader has read. A caller that makes a Snapshot of them must not
// change them afterwards. Relations and functions may be those of an earlier Snapshot.
type Contents struct {
	// Account is the role as which the database was read.
	Account string
	// Path are the schemas in which a name without one is looked up, in order, at
	// the beginning of a session of that role.
	Path []string
	// Setting is what that path is set to; schemas that are made later may be on it.
	Setting string
	// Role is that role's name at the server, and Schemas are those that it may use.
	Role      string
	Schemas   []string
	Relations []*Relation
	// Functions are those that are not the server's own, or lie outside its
	// catalog's schema.
	Functions []*Function
	// Operators are those whose function is not one of the server's
	// own, except for harmless ones.
	Operators []Operator
	// Extensions are the names of those that the database has.
	Extensions []string
	// Partial says that something could not be read for the moment, such as the
	// definitions of views that somebody has locked.
	Partial bool
}

// RelationKind says what sort of relation it is.
type RelationKind uint8

// Kinds of relations.
const (
	RelationOther RelationKind = iota
	RelationTable
	RelationView
	RelationMaterialized // a view whose rows are kept
	RelationForeign      // a table of another server's
	RelationPartitioned
	RelationSequence
)

// Relation is a table, view or similar.
type Relation struct {
	OID     uint32 // the resource's number for it
	Schema  string
	Name    string
	Kind    RelationKind
	Columns []Column // in order of Attr, without dropped ones
	// Server says that it came with the server: such views count as tables.
	Server bool
	// Own says that it is the session's, which others do not see.
	Own bool
	// OwnTable says that it is also a table whose rows are its own. See
	// [proxy.OwnRelation].
	OwnTable bool
	// Definition is a view's query, in which every name has its schema; empty when
	// it could not be read.
	Definition string
	// Does is what the query of a view does, in addition to reading the view. Nil when it is
	// not known. [CatalogCache.Resolve] sets it.
	Does     *proxy.Facts
	Triggers []Trigger
	Rules    []Rule
	// Children are the relations that inherit from it or are its partitions, by OID.
	Children []uint32
	// References are the foreign keys that refer to it and pass a change on.
	References []Reference

	settled bool // it is in a snapshot, and so read-only
	derives bool // what it says in a snapshot hangs on other things of that snapshot too
	size    int
}

// Column is one column of a relation.
type Column struct {
	Attr uint16 // the resource's number for it, in its relation
	Name string
	Type uint32 // the resource's number for its type
	// NotNull says that it is declared to have a value in every row.
	NotNull bool
	// Generated is the expression that it is computed by from others of its row;
	// empty of all other columns, "?" when it could not be read.
	Generated string
	// Source is what the column holds: of a table's column itself, and the column of
	// that name of what the table is a part of; of a view's the base columns that it
	// derives from. [NewSnapshot] sets it for tables;
	// [CatalogCache.Resolve] for views, which are opaque before.
	Source proxy.Column
}

// Trigger is something that is run when a relation is changed.
type Trigger struct {
	On       proxy.Effects // insert, update, delete, truncate
	Function uint32        // the number of what it runs
	// Quiet is that of its function. [CatalogCache.Resolve] sets it.
	Quiet bool
	// Instead says that it runs in the place of the change.
	Instead bool
}

// UnseenTriggers is the Function of a Trigger for those that the account may not
// see: there may be none.
const UnseenTriggers = ^uint32(0)

// Rule is a rewrite rule of a relation, other than a view's query.
type Rule struct {
	On         proxy.Effects // read, insert, update, delete
	Instead    bool
	Definition string       // the whole CREATE RULE, in which every name has its schema
	Does       *proxy.Facts // what its actions do, as Relation.Does
}

// Reference is a foreign key of another relation that changes rows there when
// rows here change.
type Reference struct {
	From             uint32        // the relation that refers, by OID
	OnDelete, OnMove proxy.Effects // what is done to it when a row here is deleted, or its key updated; 0 is nothing
}

// Volatility says how far a function's declaration binds it.
type Volatility uint8

// Volatilities, the loosest first.
const (
	Volatile Volatility = iota
	Stable
	Immutable
)

// Function is a function or procedure.
type Function struct {
	OID        uint32
	Schema     string
	Name       string
	Volatility Volatility
	Language   string
	// Body is its text, of functions in SQL and PL/pgSQL; empty when it is not known.
	Body string
	// Quiet says that calling it changes nothing of what names mean to the session.
	// [CatalogCache.Resolve] sets it.
	Quiet bool
	// Does is what Body does, as Relation.Does.
	Does *proxy.Facts
	// Pinned says that it sets its own search_path, so that Body is not read by the
	// caller's.
	Pinned bool
	// Server says that it came with the server.
	Server bool

	settled bool // it is in a snapshot, and so read-only
}

// Operator is an operator by its name and the number of its function.
type Operator struct {
	Name     string
	Function uint32
}

// NewSnapshot makes a snapshot of what was read.
func NewSnapshot(c Contents) *Snapshot {
	c.Relations, c.Functions = settle(c.Relations), settleFunctions(c.Functions)
	s := &Snapshot{
		Contents: c, byOID: make(map[uint32]*Relation, len(c.Relations)), byName: make(map[string]map[string]*Relation),
		functions: make(map[string][]*Function), operators: make(map[string][]*Function, len(c.Operators)), paths: &paths{},
	}
	for _, r := range c.Relations {
		s.byOID[r.OID] = r
		if s.byName[r.Schema] == nil {
			s.byName[r.Schema] = make(map[string]*Relation)
		}
		s.byName[r.Schema][r.Name] = r
		s.size += r.size
		if s.varies += 96; r.derives {
			s.varies += r.size
		}
	}
	s.inherit()
	for _, f := range c.Functions {
		s.functions[f.Name] = append(s.functions[f.Name], f)
		s.size += 160 + len(f.Name) + len(f.Body)
		s.varies += 160
	}
	byOID := make(map[uint32]*Function, len(c.Functions))
	for _, f := range c.Functions {
		byOID[f.OID] = f
	}
	for _, o := range c.Operators {
		if f := byOID[o.Function]; f != nil {
			s.operators[o.Name] = append(s.operators[o.Name], f)
		}
	}
	return s
}

// inherit has the columns of partitions and of tables that inherit derive from
// their parents' too: what is said of those holds for them.
func (s *Snapshot) inherit() {
	parents := make(map[*Relation][]*Relation)
	for _, r := range s.Relations {
		for _, oid := range r.Children {
			if child := s.byOID[oid]; child != nil {
				parents[child] = append(parents[child], r)
			}
		}
	}
	for child := range parents {
		seen := map[*Relation]bool{child: true} // a server that lies may say that they go in a circle
		for list := parents[child]; len(list) > 0 && len(seen) < maxAncestors; {
			parent := list[0]
			list = list[1:]
			if seen[parent] {
				continue
			}
			seen[parent] = true
			list = append(list[:len(list):len(list)], parents[parent]...)
			for i := range child.Columns {
				c := &child.Columns[i]
				if of := parent.Column(c.Name); of != nil && !child.IsView() {
					c.Source.Origins = append(c.Source.Origins, proxy.Origin{Schema: parent.Schema, Relation: parent.Name, Column: of.Name, Type: of.Type, NotNull: of.NotNull})
				}
			}
		}
	}
}

const maxAncestors = 64

// Number returns the snapshot's ID, 0 of none.
func (s *Snapshot) Number() uint64 {
	if s == nil {
		return 0
	}
	return s.ID
}

// ByOID returns the relation of that number, nil when there is none.
func (s *Snapshot) ByOID(oid uint32) *Relation {
	if s == nil {
		return nil
	}
	return s.byOID[oid]
}

// Relation returns the relation that a name means, nil when there is none. An
// empty schema has it looked up on the path.
func (s *Snapshot) Relation(schema, name string) *Relation {
	if s == nil {
		return nil
	}
	if schema != "" {
		return s.byName[schema][name]
	}
	for _, schema := range s.Path {
		if r := s.byName[schema][name]; r != nil {
			return r
		}
	}
	return nil
}

// anywhere returns the relations of that name in all schemas.
func (s *Snapshot) anywhere(name string) (found []*Relation) {
	for _, names := range s.byName {
		if r := names[name]; r != nil {
			found = append(found, r)
		}
	}
	slices.SortFunc(found, func(a, b *Relation) int { return cmp.Compare(a.OID, b.OID) })
	return found
}

// origin returns the snapshot that s is a variant of, or s.
func (s *Snapshot) origin() *Snapshot {
	if s != nil && s.base != nil {
		return s.base
	}
	return s
}

// HasSchema reports whether there is a schema of that name: one that holds
// relations, or that the role may use.
func (s *Snapshot) HasSchema(name string) bool {
	return len(s.byName[name]) > 0 || slices.Contains(s.Schemas, name)
}

// Source returns what the column of those numbers holds, nil when it is not
// known. It is shared and read-only.
func (s *Snapshot) Source(oid uint32, attr uint16) *proxy.Column {
	if r := s.ByOID(oid); r != nil {
		if c := r.ByAttr(attr); c != nil {
			return &c.Source
		}
	}
	return nil
}

// FunctionsNamed returns the functions that a name may mean, which arguments
// tell apart. An empty schema has it looked up everywhere on the path.
func (s *Snapshot) FunctionsNamed(schema, name string) []*Function {
	if s == nil {
		return nil
	}
	all := s.functions[name]
	for i, f := range all {
		if !s.means(schema, f.Schema) {
			kept := slices.Clone(all[:i])
			for _, f := range all[i+1:] {
				if s.means(schema, f.Schema) {
					kept = append(kept, f)
				}
			}
			return kept
		}
	}
	return all
}

// means reports whether a name with the schema written may be of the schema in.
func (s *Snapshot) means(written, in string) bool {
	return written == in || written == "" && slices.Contains(s.Path, in)
}

// Behind returns the functions that an operator of that name may run, other than
// the server's own and harmless ones.
func (s *Snapshot) Behind(operator string) []*Function {
	if s == nil {
		return nil
	}
	return s.operators[operator]
}

// IsView reports whether what the relation holds derives from other relations,
// by its definition.
func (r *Relation) IsView() bool {
	return !r.Server && (r.Kind == RelationView || r.Kind == RelationMaterialized)
}

// ByAttr returns the column of that number, nil when there is none.
func (r *Relation) ByAttr(attr uint16) *Column {
	i, ok := slices.BinarySearchFunc(r.Columns, attr, func(c Column, attr uint16) int { return int(c.Attr) - int(attr) })
	if !ok {
		return nil
	}
	return &r.Columns[i]
}

// Column returns the column of that name, nil when there is none.
func (r *Relation) Column(name string) *Column {
	for i := range r.Columns {
		if r.Columns[i].Name == name {
			return &r.Columns[i]
		}
	}
	return nil
}
