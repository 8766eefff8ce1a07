package proxy

import (
	"context"
	"time"
)

// Interceptor takes part in sessions: it decides about operations and may edit
// what flows. Interceptors are asked in the order of [Revision.Interceptors]:
// first who may do what, then what needs an approval, then what nobody should do,
// then what is hidden, then what is recorded.
type Interceptor interface {
	// Name names the interceptor in records and logs.
	Name() string
	// Intercept is called once per session, after authentication and before the
	// Connect operation is asked; and once per open session when a revision brings
	// the interceptor, or another user or resource (see [Gateway.Use]). An error refuses or ends the session; its
	// text is logged and not shown to the user. ctx ends after the gateway's
	// AskTimeout. For a dry session (see [Session.Dry]) it counts, records and
	// changes nothing.
	Intercept(ctx context.Context, s *Session) (Hooks, error)
}

// Hooks are an interceptor's part in one session. Any may be nil, which says
// "not interested" and costs nothing. Ask, Start, Flow, Tell, Noted and Done may run
// concurrently: answers come back while further operations are asked, and some
// protocols run several operations at once. In a dry session only Ask is called.
type Hooks struct {
	// Ask decides about op before it goes to the resource. It may be called several
	// times for one operation, whose text has changed or which was approved
	// meanwhile, and other interceptors may still refuse the operation: what Ask
	// changes must not depend on the operation being run.
	Ask func(ctx context.Context, op Op) Verdict
	// Start is told that op is about to run: everybody has allowed it, and an
	// approval that it needed is given. An error refuses the operation; its text is
	// logged and not shown to the user, except that of a *RefusedError.
	Start func(ctx context.Context, op Op) error
	// Bind is shown values that are bound to the parameters of a prepared statement, before
	// they go to the resource; whether it runs with them is asked later. It may replace the
	// Value of an Arg. With an error nothing is bound; its text is logged and not shown to
	// the user, except that of a *RefusedError.
	Bind func(ctx context.Context, st *Statement) error
	// Redact says what records hold of op, where that is not what op says. It is called while
	// op is asked or refused, by the goroutine that asks; of a line that is typed
	// (KindInput), which needs not have been asked, by any. Nil is "as it is".
	Redact func(ctx context.Context, op Op) *Redacted
	// Conceal says what approvers read of op, where that is not what op says. It is called while op waits to be held. Nil is
	// "as it is".
	Conceal func(ctx context.Context, op Op) *Concealed
	// Flow is called once the shape of op's data is known and before its first
	// byte is passed on. The zero Filter lets the data pass untouched. An error
	// withholds the data and fails the operation; its text is shown to the user, as
	// are those of Filter's functions, so it holds no data and no secret.
	Flow func(ctx context.Context, op Op, shape *Shape) (Filter, error)
	// Show is Flow for data of op that others than the client are shown, such as rows of a
	// statement to who approves it. They may have fewer rights than the session's user, so that it
	// hides what it would of anybody. Nothing of it is counted or noted. An interceptor
	// with Flow and without Show has such data not shown at all; see [HidesNothing].
	Show func(ctx context.Context, op Op, shape *Shape) (Filter, error)
	// Tell sees and may change each text that the resource sends in addition to the data:
	// errors, notices, notifications. op is nil when it belongs to none. An error
	// ends the session, with nothing of the message passed on.
	Tell func(ctx context.Context, op Op, m *Message) error
	// Done is called once for every operation that was asked, refused ones too.
	Done func(ctx context.Context, op Op, out *Outcome)
	// Noted is told of what an interceptor did besides answering. op is nil when the
	// note is about the session. An error says that the evidence is not kept, and
	// ends the session.
	Noted func(ctx context.Context, op Op, n *Note) error
	// Close is called once, when the session has ended, with the reason (nil for
	// an ordinary end), or when a later revision has no use for the hooks and their
	// last operation has ended. It is called even when a later interceptor or
	// Connect refused the session.
	Close func(err error)
	// State is what the interceptor remembers of the session. The interceptor of the
	// same name in a later revision finds it in [Session.Earlier]. It is never read
	// by the core.
	State any
}

// Redacted is what records hold of an operation in the place of what it says.
type Redacted struct {
	// Text takes the place of a statement's text or a command line.
	Text []byte
	// Args take the place of the arguments, one for one.
	Args []Arg
}

// Concealed is what approvers read of an operation in the place of what it says.
type Concealed struct {
	Redacted
	Types []string // of the values that they do not read, each once
}

// ShapeKind says what sort of data flows.
type ShapeKind uint8

// Kinds of data.
const (
	ShapeRows   ShapeKind = iota + 1 // result rows: Filter.Row is called
	ShapeCopy                        // rows in a bulk format: Filter.Row is called when Shape.Columns is set, else Filter.Bytes
	ShapeStream                      // bytes of an exec, a terminal, a file
	ShapeBody                        // an HTTP body of type Shape.Media
)

// Shape describes data before its first byte. It is shared and read-only.
type Shape struct {
	Kind ShapeKind
	// Inbound is true for data that the client sends.
	Inbound bool
	// Columns are those of rows. Of a COPY's data from the client, which is a stream,
	// they are set when its rows can be told apart; Filter.Row is then called for each.
	Columns []ShapeColumn
	Copy    *CopyFacts // ShapeCopy
	// Part is the number of the statement whose data this is, in a text of several: 1 is
	// the first, 0 that it is not known. See [Facts.Part].
	Part  int
	Media string // ShapeBody: the media type; ShapeStream: "terminal", "stdout", "stderr", "stdin" (of a COPY too) or "file"
	// Width and Height are the terminal's size in characters, 0 when there is none.
	Width, Height int
	Terminal      string // the terminal's type, such as "xterm-256color"
}

// ShapeColumn describes one column of rows, as the resource announced it.
type ShapeColumn struct {
	Name string
	// Table and Attr are the resource's numbers for the base column
	// (PostgreSQL: table OID and attribute number), 0 when it has none.
	Table uint32
	Attr  uint16
	// Schema, Relation and Column are the base column's names where the protocol
	// carries them (MySQL) or a catalog resolved them.
	Schema, Relation, Column string
	// Source is what a catalog knows of the column that Table and Attr identify:
	// the base columns that it derives from, through views. Nil when it is not
	// known. It is shared and read-only.
	Source *Column
	// Type is PostgreSQL's number for the type, whatever the resource is: of its own type, or of
	// the one that holds the same values. 0 is not known.
	Type   uint32
	Binary bool // values are in the type's binary format, which is PostgreSQL's
}

// Filter edits the data of one operation. The zero Filter is not interested.
// Its functions are called by one goroutine, in order.
type Filter struct {
	// Row may change the values of one row. One that the client sends into a COPY it may
	// refuse, with a *RefusedError, with which the operation then fails.
	Row func(r *Row) error
	// Bytes appends to dst what may be passed on after src came in, and returns
	// it. It may hold bytes back until a later call. src is valid until it returns.
	Bytes func(dst, src []byte) ([]byte, error)
	// Idle appends what may be released although nothing followed, after IdleAfter
	// passed without data, and again after as long. Nil holds on until more data or the
	// end.
	Idle      func(dst []byte) ([]byte, error)
	IdleAfter time.Duration
	// Resize is told that the terminal has another size from the next bytes on.
	Resize func(width, height int) error
	// End appends what was still held back. It is called when the data is
	// complete, not when the operation failed.
	End func(dst []byte) ([]byte, error)
}

// Row is one row on its way to the client. Values are views into a buffer,
// valid until the function that was given the row returns.
type Row struct {
	values  [][]byte
	changed bool
}

// NewRow returns a row over values, for handlers and tests.
func NewRow(values [][]byte) *Row { return &Row{values: values} }

// Reset makes r a row over values, unchanged.
func (r *Row) Reset(values [][]byte) { r.values, r.changed = values, false }

// Len returns the number of columns.
func (r *Row) Len() int { return len(r.values) }

// Value returns the value of column i; nil is NULL.
func (r *Row) Value(i int) []byte { return r.values[i] }

// Set replaces the value of column i; nil is NULL. v must not change until the
// same column's filter is called for the next row.
func (r *Row) Set(i int, v []byte) { r.values[i], r.changed = v, true }

// Changed reports whether Set was called since the last Reset.
func (r *Row) Changed() bool { return r.changed }

// MessageKind says what sort of text a Message is.
type MessageKind uint8

// Kinds of messages.
const (
	MessageError MessageKind = iota + 1
	MessageNotice
	MessageNotification // from another session, such as PostgreSQL's NOTIFY
	MessageStatus       // a reported setting, such as ParameterStatus; info texts of OK packets
	MessageNames        // names of a result's columns that may be data; when they are changed, the result is withheld
)

// Message is a text that the resource sends in addition to the data.
type Message struct {
	Kind   MessageKind
	Code   string // SQLSTATE or error number, kept as it is
	Fields []MessageField
	// Severe says that the session ends with it.
	Severe  bool
	changed bool
}

// MessageField is one part of a message.
type MessageField struct {
	// Name is "message", "detail", "hint", "context", "query", "schema", "table",
	// "column", "type", "constraint", "file", "line", "routine", "position",
	// "channel", "payload", "name", "value", or the protocol's own letter.
	Name  string
	Value []byte
}

// Set replaces field i's value. A nil value removes the field.
func (m *Message) Set(i int, v []byte) { m.Fields[i].Value, m.changed = v, true }

// Changed reports whether Set was called.
func (m *Message) Changed() bool { return m.changed }

// Outcome is how an operation ended.
type Outcome struct {
	Verdict  *Verdict // the chain's answer
	By       string   // the interceptor that gave it; empty for the core
	Code     string   // SQLSTATE, error number, exit status, HTTP status; empty for plain success
	Err      error    // why it did not run to its end, when the gateway knows; never holds data
	Rows     uint64   // rows returned or changed
	BytesIn  uint64   // from the client
	BytesOut uint64   // to the client
	Duration time.Duration
	// Unread says that the resource could not read the text, and so ran none of it.
	Unread bool
	// Tag is the resource's own summary, such as PostgreSQL's command tag.
	Tag string
}
