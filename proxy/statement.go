package proxy

import (
	"context"
	"strings"
)

// Statement is SQL text that is run, or prepared (Kind is KindPrepare).
type Statement struct {
	Meta
	// Text is the statement as it will be sent, in the session's encoding. It may
	// hold several statements when the protocol allows it. Empty when the text is
	// not known, as for a name prepared in SQL; Facts are then unknown.
	Text []byte
	// Name is the prepared statement's name when it has one.
	Name string
	// Args are the values bound to the statement's parameters. Nil for text
	// without parameters and for KindPrepare.
	Args []Arg
	// Facts say what the statement does. Never nil: without an Analyzer they are
	// [UnknownFacts].
	Facts *Facts
	// Giver answers Given; nil when nobody can.
	Giver Giver
	// Keeper answers LosesNothing; nil when nobody can.
	Keeper Keeper
	// Measurer answers Measure; nil when nobody can, or the handler cannot let the statement
	// run as what was measured alone.
	Measurer Measurer
	// Reading is how the server reads the text in the session that sends it, while the statement is asked about; nil when the handler
	// does not know.
	Reading *Reading
}

// Arg is one bound parameter.
type Arg struct {
	Value  []byte // nil is NULL
	Type   uint32 // as ShapeColumn.Type has it, 0 when unspecified
	Binary bool
	Text   []byte // a binary Value as text, where the handler can tell; nil otherwise
}

// Form is how the value is given: "null", "binary" or "text".
func (a *Arg) Form() string {
	switch {
	case a.Value == nil:
		return "null"
	case a.Binary:
		return "binary"
	}
	return "text"
}

// Effects is a set of the things that a statement may do.
type Effects uint32

// The effects. A statement that is not understood has Unknown, alone or with
// those that are certain.
const (
	EffectRead        Effects = 1 << iota // returns or uses stored data
	EffectInsert                          // INSERT, MERGE … INSERT, SELECT INTO also creates
	EffectUpdate                          // UPDATE, MERGE … UPDATE, ON CONFLICT DO UPDATE
	EffectDelete                          // DELETE, MERGE … DELETE
	EffectTruncate                        // TRUNCATE
	EffectCreate                          // CREATE of any object
	EffectAlter                           // ALTER, COMMENT, RENAME, SECURITY LABEL
	EffectDrop                            // DROP
	EffectGrant                           // GRANT, REVOKE, roles, ownership, passwords, policies
	EffectCall                            // CALL, or a function that is not known to be harmless
	EffectCopyIn                          // COPY … FROM STDIN, LOAD DATA LOCAL
	EffectCopyOut                         // COPY … TO STDOUT
	EffectCopyProgram                     // COPY from or to a program or a server-side file, INTO OUTFILE
	EffectSet                             // changes a setting of the session: SET, RESET, set_config
	EffectRole                            // SET ROLE, SET SESSION AUTHORIZATION
	EffectTransaction                     // BEGIN, COMMIT, SAVEPOINT …
	EffectLock                            // LOCK, advisory locks, FOR UPDATE
	EffectPrepare                         // PREPARE; the prepared statement's own effects are added
	EffectExecute                         // EXECUTE of a name prepared in SQL
	EffectDo                              // DO, anonymous blocks
	EffectOutside                         // reaches out of the database: files, network, other servers, sleeping
	EffectNotify                          // LISTEN, NOTIFY, UNLISTEN
	EffectMaintain                        // VACUUM, ANALYZE, REINDEX, CLUSTER, CHECKPOINT, KILL, server administration
	EffectShow                            // SHOW, EXPLAIN without ANALYZE: metadata only
	EffectSequence                        // advances or sets a sequence: nextval, setval
	EffectUnknown                         // not understood
)

// Sets of effects that rules are about.
const (
	EffectsWrite = EffectInsert | EffectUpdate | EffectDelete | EffectTruncate | EffectCopyIn | EffectSequence
	EffectsDDL   = EffectCreate | EffectAlter | EffectDrop
)

var effectNames = [...]string{
	"read", "insert", "update", "delete", "truncate", "create", "alter", "drop", "grant", "call", "copy-in",
	"copy-out", "copy-program", "set", "role", "transaction", "lock", "prepare", "execute", "do", "outside",
	"notify", "maintain", "show", "sequence", "unknown",
}

// Has reports whether e holds any effect of set.
func (e Effects) Has(set Effects) bool { return e&set != 0 }

// String lists the effects' names, joined by commas.
func (e Effects) String() string {
	var b strings.Builder
	for i, name := range effectNames {
		if e&(1<<i) != 0 {
			if b.Len() > 0 {
				b.WriteByte(',')
			}
			b.WriteString(name)
		}
	}
	return b.String()
}

// ParseEffect returns the effect of that name, and false when there is none.
func ParseEffect(name string) (Effects, bool) {
	for i, n := range effectNames {
		if n == name {
			return 1 << i, true
		}
	}
	return 0, false
}

// EffectNames returns the names of all effects, in the order of their bits.
func EffectNames() []string { return append([]string(nil), effectNames[:]...) }

// Facts say what SQL text does, as far as it is understood. A Facts value is
// immutable and shared by all sessions that run the same statement.
type Facts struct {
	Dialect string // "postgres", "mysql"; empty when nobody looked
	Effects Effects
	// Unknown says why the text is not understood; empty when it is. Effects then
	// has EffectUnknown too.
	Unknown string
	// Malformed says of a text that is not understood that the resource is certain to
	// refuse it as a syntax error, and so to run none of it.
	Malformed bool
	// Unread says of a text that is not understood that the analyzer's grammar does not
	// read it: the resource's own may, or may not.
	Unread     bool
	Statements int // how many statements the text holds
	// Parts are the facts of each statement when there are several; the fields of
	// this value then sum them up. Nil for a single statement.
	Parts []*Facts
	// Unbound is, where the values of parameters have a say in what the statement does, what
	// it does whatever they are. What hangs on them is told by [BindAnalyzer]; these facts
	// know of it only that it may be anything. Nil says that they have none.
	Unbound *Facts
	// Path is the one by which names without a schema were looked up; empty is the
	// role's own, or that nothing was looked up.
	Path string
	// Normalised is the text with its literals lifted out; Fingerprint is a hash
	// of it that is stable across processes and versions.
	Normalised  string
	Fingerprint uint64
	Relations   []Relation
	Functions   []Function
	Settings    []Setting // changed by SET, RESET, set_config
	// Unfiltered holds update, delete or read when a statement of that effect has
	// no WHERE (nor a join that restricts it).
	Unfiltered Effects
	// Whole is the table of a single UPDATE or DELETE that changes every row of it, as the
	// text names it, and every row of nothing else; nil of all else.
	Whole *Relation
	// Lossless says that what it drops or truncates holds no data: an index, a
	// constraint, a view, the session's own temporary table, what does not exist.
	Lossless bool
	// Losing is all that the statement takes data away by, should it be there and hold
	// some; nil when that is nothing, or not known.
	Losing  []Loss
	Limited bool // every read has a LIMIT or FETCH FIRST
	// Columns are the output columns, in order, when they could be worked out;
	// nil when the statement returns none or they are not known.
	Columns []Column
	// ColumnsKnown tells "returns no rows" from "columns could not be worked out".
	ColumnsKnown bool
	// Rest is what any output column may hold, where it is known which columns those
	// derive from and not how many there are; nil otherwise.
	Rest *Column
	// Folded says that names of relations and functions are in lower case here, whatever the text says: patterns of them match
	// in lower case, too.
	Folded bool
	// Resolved says that the names in the text were looked up in a catalog and that
	// Columns, Uses and Writes miss nothing but what is opaque or unsure.
	Resolved bool
	// Unsure says that a name in the text may mean something else to the session than
	// the catalog says.
	Unsure bool
	// Renames are what the statement changes of what names mean to its session, in
	// order. Nil is what its effects may be, which is not the same as none.
	Renames []NameChange
	// Uses are columns that shape the result without being returned: predicates,
	// grouping, ordering, joins.
	Uses []Use
	// Writes are the columns that the statement fills with what derives from base
	// columns, in relations that are there or that it makes.
	Writes []Write
	Copy   *CopyFacts // of a COPY from or to the client, else nil
	// Prepares is what a single PREPARE gives a name to, nil for all else. Executes
	// is that name, of a single EXECUTE whose arguments are constants: who knows
	// the session's names can say what it does. Empty for all else.
	Prepares *Prepared
	Executes string
	// Block is what a block that DO runs does, whose text was read; nil of all else. The
	// effects of these facts have EffectUnknown all the same: what the block returns and
	// what it changes is not followed.
	Block *Facts
	// Plan is what is shown by an EXPLAIN; nil of all else.
	Plan *Plan
	// Rows says that the text returns rows to the client.
	Rows bool
}

// Plan is the plan of a statement, as EXPLAIN shows it. It holds no rows, but a server
// that plans puts the results of functions in the place of their calls.
type Plan struct {
	// Functions are those that it calls, itself or through views, and that are not the
	// server's own.
	Functions []Function
	// Others says that functions which are not named may be called too, as by defaults of
	// columns, policies and casts.
	Others bool
	// Unknown says that it is not known which are called.
	Unknown bool
}

// Part returns the facts of the statement of that number, in a text of several: 1 is the
// first. It returns f where there is none of the number.
func (f *Facts) Part(number int) *Facts {
	if f == nil || number < 1 || number > len(f.Parts) {
		return f
	}
	return f.Parts[number-1]
}

// Prepared is a statement that PREPARE gives a name to.
type Prepared struct {
	Name  string
	Facts *Facts // of the statement, when it runs; without its text
}

// Relation is a table, view or similar that a statement touches.
type Relation struct {
	Schema  string // empty when the text did not say and it was not resolved
	Name    string
	Effects Effects // what is done to it
}

// Function is a function that a statement calls.
type Function struct {
	Schema string
	Name   string
	Class  FunctionClass
}

// FunctionClass says what calling a function can do.
type FunctionClass uint8

// Classes of functions, from not understood to harmless.
const (
	FunctionUnknown  FunctionClass = iota // not known: counts as a call
	FunctionHarmless                      // depends on its arguments only
	FunctionReads                         // reads the database
	FunctionWrites                        // changes data or sequences
	FunctionOutside                       // files, programs, network, sleeping
	FunctionSettings                      // changes settings
	FunctionAdmin                         // server administration
)

// Setting is a session setting that a statement changes.
type Setting struct {
	Name  string // lower case
	Value string // the literal, when it is one; empty for RESET, DEFAULT and expressions
	Local bool
	// Reset says that it gets back the value that it had at login: RESET, SET … TO
	// DEFAULT, and the role or user that the session began as.
	Reset bool
}

// Column is one output column.
type Column struct {
	Name    string
	Origins []Origin // the base columns it derives from; empty for constants
	// Opaque says that it may hold more than Origins tell.
	Opaque bool
	// Unsure says that names which it derives from may mean something else to the
	// session than the catalog says: it may hold anything.
	Unsure bool
}

// Plain returns the base column that c is itself. Of several, of which each may be the
// value, it is the first, when they are alike in type and NOT NULL. It is nil when something
// else may be in c. A nil c has none.
func (c *Column) Plain() *Origin {
	if c == nil || c.Opaque || c.Unsure || len(c.Origins) == 0 {
		return nil
	}
	first := &c.Origins[0]
	for i := range c.Origins {
		if o := &c.Origins[i]; o.How != DerivedPlain || o.Column == "*" || o.Type != first.Type || o.NotNull != first.NotNull {
			return nil
		}
	}
	return first
}

// Origin is a base column and how a value derives from it.
type Origin struct {
	Schema   string
	Relation string
	Column   string // "*" is the whole row
	How      Derivation
	// Key is the member of JSON that the value is, when How is DerivedMember: empty is
	// an element of an array, or the whole. In other ways it is the member of a column
	// of JSON that the value derives from; empty is the whole column.
	Key string
	// Own says that the relation is the session's own, or one that its open transaction
	// makes: only the session can look at it. The schema is empty where the text says none.
	Own     bool
	Type    uint32 // the resource's number for the column's type, 0 when it is not known
	NotNull bool   // the column is declared to have a value in every row
}

// Derivation says how an output derives from a base column.
type Derivation uint8

// Derivations.
const (
	DerivedPlain       Derivation = iota // the column itself
	DerivedTransformed                   // through an expression, cast or function
	DerivedAggregated                    // through an aggregate or window function
	DerivedPredicate                     // only its comparison decides the value
	DerivedMember                        // as a member of JSON, under Key
)

// Use is a base column that shapes a result without being returned.
type Use struct {
	Origin
	In UsePlace
}

// UsePlace says where a column is used.
type UsePlace uint8

// Places of use.
const (
	UsePredicate UsePlace = iota
	UseJoin
	UseGroup
	UseOrder
	UseDistinct
)

// Write is a column that a statement fills.
type Write struct {
	Schema   string // "pg_temp" of a temporary relation; empty when it was not resolved
	Relation string
	// Column is the column's name ("*" for columns that are not known) and what it
	// is filled with.
	Column Column
	// Moved says that it is the same column, which has another name from now on.
	Moved bool
}

// CopyFacts describe a COPY from or to the client.
type CopyFacts struct {
	Out       bool   // rows go to the client
	Format    string // "text", "csv", "binary"
	Delimiter byte   // 0: the format's default
	Null      string // the marker; empty is the format's default unless NullSet
	NullSet   bool
	Quote     byte // 0: '"'
	Escape    byte // 0: as Quote
	Header    bool
	Encoding  string // empty: the session's
	// Columns are the columns of a COPY to the client; nil when not known.
	Columns []Column
}

// UnknownFacts are the facts of a text that nobody has understood, because why.
func UnknownFacts(why string) *Facts {
	return &Facts{Effects: EffectUnknown, Unknown: why, Statements: 1, Rows: true}
}

// Reading says how the server reads SQL text, as far as the handler knows.
type Reading struct {
	Dialect  string // "postgres" or "mysql"
	Resource string // with Database, the catalog in which names are looked up
	Database string
	Account  string // the account's name at the gateway, as which they are looked up
	// BackslashLiterals is true when a backslash escapes in plain literals
	// (standard_conforming_strings off; MySQL without NO_BACKSLASH_ESCAPES).
	BackslashLiterals bool
	ANSIQuotes        bool // MySQL: double quotes delimit names
	Version           int  // the server's version as a number: 150004, 101106
	MariaDB           bool
	// Modes says that sessions choose how their text is read, as by MySQL's sql_mode: a backslash escapes in plain
	// literals unless they say otherwise, and Names.Path is the current database.
	Modes bool
	// Certain says, with Modes, that the session is known to read text so, and in no other way: a text that
	// changes this itself is the exception.
	Certain bool
	// Names says how names mean something else to the session than the catalog says.
	Names Names
}

// Names is how names mean something else to a session than the catalog says. The
// zero value is the state at login of a client that asked for nothing. Its lists are
// sorted, shared and never changed.
type Names struct {
	// Path is the list of schemas that the session has set for names without one, as
	// the dialect writes it. Empty is the one at login: Login, or the role's own.
	Path, Login string
	// Unsure are the kinds of names that are not certain.
	Unsure Unsure
	// Temporary are relations that only the session sees, by name.
	Temporary []*OwnRelation
	// Changed are relations that the session's open transaction makes, changes or
	// drops, by name.
	Changed []*OwnRelation
	// Cursors are those that the session has declared, by name.
	Cursors []*OwnRelation
}

// Moved reports whether names without a schema may be looked up elsewhere than by m.
func (n *Names) Moved(m *Names) bool {
	return n.Path != m.Path || (n.Unsure^m.Unsure)&UnsureSchemas != 0
}

// OwnRelation is a relation that is another one to the session, or to nobody else. It is
// immutable.
type OwnRelation struct {
	// Schema is where it is, as far as the text says: empty is anywhere on the path.
	Schema, Name string
	// Columns are its columns, with what they hold, when Known.
	Columns []Column
	Known   bool
	// Table says that it is a table whose rows are its own, as far as the session has made
	// it one and has done nothing to it since: no view, and without rules and triggers.
	Table bool
	// Open says that the transaction in which it was made or changed has not ended, and
	// Local that it ends with the transaction.
	Open, Local bool
	// ID tells relations of the same name apart, in this process.
	ID uint64
}

// SearchPath returns the path, empty when it is the role's own.
func (n *Names) SearchPath() string {
	if n.Path == "" {
		return n.Login
	}
	return n.Path
}

// Unsure is a set of kinds of names that are not certain.
type Unsure uint8

// Kinds of names.
const (
	// UnsurePath: the path may be any.
	UnsurePath Unsure = 1 << iota
	// UnsureLogin: the path at login may be any.
	UnsureLogin
	// UnsureRole: the role may be any, and with it the schemas of the path that it may
	// use.
	UnsureRole
	// UnsureUser: the session's user may be any, with the same effect.
	UnsureUser
	// UnsureTemporary: any name without a schema may be that of a temporary relation.
	UnsureTemporary
	// UnsureObjects: relations, functions and operators may have been made, changed or
	// dropped, other than the server's own.
	UnsureObjects
	// UnsureCursors: fetching from a cursor may do any of this.
	UnsureCursors

	// UnsureAnything is all of them but for the login, which is over.
	UnsureAnything = UnsurePath | UnsureRole | UnsureUser | UnsureTemporary | UnsureObjects | UnsureCursors
	// UnsureSchemas are the ways in which a name without a schema may be of any.
	UnsureSchemas = UnsurePath | UnsureRole | UnsureUser
)

// NameChange is one thing that a statement changes of what names mean to its session.
type NameChange struct {
	Kind NameChangeKind
	// Value is the new path, as in [Names], or the name of the relation. Empty is any.
	Value  string
	Schema string // of a relation, as far as the text says
	Local  bool   // until the transaction ends
	// Columns are those of a relation that is made, or those that are filled; Known
	// says that there are no others.
	Columns []Column
	Known   bool
	Table   bool // the relation is made as a table
	Open    bool // the transaction that the session makes it in has not ended
	Altered bool // it is the relation that had the name before
}

// NameChangeKind says what changes.
type NameChangeKind uint8

// Kinds of changes. [NameAnything] is what a statement may do that is not understood.
const (
	NameAnything    NameChangeKind = iota
	NamePath                       // the path is set
	NamePathReset                  // the path is the one at login again
	NameRole                       // the role is set
	NameRoleReset                  // the role is the session's user again
	NameUser                       // the session's user is set
	NameUserReset                  // the session's user is the one at login again, and so is the role
	NameTemporary                  // a temporary relation is made
	NameFilled                     // columns of a relation of the session's own are filled
	NameNoTemporary                // all temporary relations are dropped
	NameObject                     // something is made, changed or dropped that others may see
	NameCursor                     // a cursor is declared; without columns and a name, any
	NameLoudCursor                 // a cursor is declared that may change anything when it is fetched from
	NameCommit                     // the transaction ends, unless it has failed
	NameRollback                   // the transaction is taken back
	NameRollbackTo                 // a part of it is
)

// Analyzer says what SQL text does. Implementations are safe for concurrent
// use, keep no reference to text, and answer from a cache without allocating.
type Analyzer interface {
	// Analyze never returns nil and never fails: text that is too large, does not
	// parse, or may be read in two ways with different results is unknown.
	Analyze(ctx context.Context, text []byte, r *Reading) *Facts
}
