package protocol

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"

	"github.com/sallyport/sallyport/proxy"
)

// Dial opens another connection to a handler of the protocol, as the same client, who is
// known there: see [proxy.Client].
type Dial func(ctx context.Context) (net.Conn, error)

// TerminalRequest says which terminal is opened.
type TerminalRequest struct {
	User          string // the whole login name, such as "alice+vm1"
	Type          string // of the terminal, such as "xterm-256color"
	Columns, Rows int
}

// Terminal is an interactive terminal at a resource, as its client sees it. Read returns what
// it shows, in the order in which it came, and io.EOF after the last. Read and Write may be
// called at once.
type Terminal interface {
	io.ReadWriteCloser
	// Resize says that the terminal has another size now.
	Resize(columns, rows int) error
	// Status returns the exit status of what ran there, once Read has returned io.EOF; false
	// where there was none, as when the session was ended.
	Status() (int, bool)
}

// DatabaseRequest says at which database somebody works.
type DatabaseRequest struct {
	User     string // the whole login name, such as "alice+orders"
	Database string // empty: the resource's own
	// Note is told what the server or the gateway says besides answers. It is called by one
	// goroutine at a time, and must not be nil.
	Note func(n ServerNotice)
}

// Database is a session at a database, as its client sees it. One call of Run, Relations or
// Columns is made at a time; Cancel and Close may be called meanwhile.
type Database interface {
	// Run runs a text, of one or more statements, and hands over what comes of it. The error
	// says why the session has ended; a statement that fails is told to the results.
	Run(ctx context.Context, text string, to Results) error
	// Cancel has the server give up what runs, if anything does.
	Cancel(ctx context.Context) error
	// Transaction returns in which state the session is after the last call.
	Transaction() TransactionState
	// Relations lists tables and views that the session's account may use, at most limit. It asks
	// the server as any client would, within the session's rules: the error may be a refusal.
	Relations(ctx context.Context, limit int) ([]Relation, error)
	// Columns lists those of a relation.
	Columns(ctx context.Context, schema, relation string) ([]RelationColumn, error)
	io.Closer
}

// Executor is a Database that binds values.
type Executor interface {
	// Execute runs a text of one statement, whose parameters have args as their values. The
	// values are bound by the protocol, and are never a part of the text.
	Execute(ctx context.Context, text string, args []Argument, to Results) error
}

// Argument is the value of a parameter of a statement.
type Argument struct {
	Text []byte // nil is NULL
	// Integer says that the text is one of a whole number of 64 bits.
	Integer bool
}

// SQL says how a database writes what a statement with parameters needs.
type SQL struct {
	// Numbered says that parameters are written $1, $2; otherwise each is a ?.
	Numbered bool
	// Quote is what names are quoted by.
	Quote byte
}

// FilesRequest says at which machine files are moved.
type FilesRequest struct {
	User string // the whole login name, such as "alice+vm1"
}

// Files moves files at a machine, as its client sees it: one after the other.
type Files interface {
	// Get hands over a file: its size to begin, -1 where that is not known, and its content to w. An error of either ends it, and
	// is returned. A *FileError says why there is no such file for the session; after any other error of its own the session has ended.
	Get(path string, begin func(size int64) error, w io.Writer) error
	// Put writes a file anew, of what is read from r. An error of r ends it, and is returned: a part of the file may be there then.
	Put(path string, r io.Reader) error
	io.Closer
}

// FileError is what the machine, or the gateway, says of a file that is not moved. Its message is for the user.
type FileError struct {
	Message string
	Refused bool // it may not be moved
}

// Error is the message.
func (e *FileError) Error() string { return e.Message }

// CommandRequest says which command line is run.
type CommandRequest struct {
	User  string // the whole login name, such as "alice+vm1"
	Line  string
	Input []byte
	// Output takes what the command prints, and what the gateway says; stderr tells them apart. It
	// is called by one goroutine at a time, and must not be nil. An error of it ends the command.
	Output func(b []byte, stderr bool) error
}

// Request is one HTTP request to an application. It names no host: the resource has one.
type Request struct {
	Resource string
	Account  string // empty: the first of the resource
	Method   string
	Path     string // encoded, from its / on
	Query    string // encoded
	Header   http.Header
	Body     []byte
	Limit    int64 // bytes of the answer's body; the rest is cut off
}

// Response is what an application has answered, as its client sees it.
type Response struct {
	Status int
	Header http.Header
	Body   []byte
	Cut    bool // the body is longer
}

// UnansweredError says that the gateway has answered a request itself. Its message is for the user.
type UnansweredError struct {
	Message string
	// Refused says that the rules, or an approver, do not let the request through.
	Refused bool
	// Asked says that the application may have got the request.
	Asked bool
}

// Error is the message.
func (e *UnansweredError) Error() string { return e.Message }

// TransactionState says whether a transaction is open.
type TransactionState string

// States.
const (
	NoTransaction     TransactionState = "idle"
	InTransaction     TransactionState = "open"
	FailedTransaction TransactionState = "failed" // every statement fails until it is rolled back
)

// Results takes what comes of a text, in order. An error of a method ends the session. What
// is handed over is valid until the method returns.
type Results interface {
	// Begin begins a result with rows.
	Begin(columns []ResultColumn) error
	// Row is one row of it.
	Row(cells []Cell) error
	// End is the end of a statement, with or without rows: its tag, such as "UPDATE 3".
	End(tag string) error
	// Fail says that a statement failed; the rest of the text does not run.
	Fail(n ServerNotice) error
}

// ResultColumn is a column of a result.
type ResultColumn struct {
	Name string
	Type string // as the server calls it; a number where that is not known here
}

// Cell is one value.
type Cell struct {
	Text []byte // as the server writes it, or the beginning of that; nil is NULL
	Size int64  // of the whole, in bytes
}

// MaxCell is how much of a value is handed over, and MaxRow of a row, in bytes.
const (
	MaxCell = 64 << 10
	MaxRow  = 1 << 20
)

// ServerNotice is an error or a notice.
type ServerNotice struct {
	Severity string // ERROR, FATAL, NOTICE, WARNING …
	Code     string
	Message  string
	Detail   string
	Hint     string
	// Position is where in the text, in characters from 1; 0 is not known.
	Position int
}

// Error is the message.
func (n *ServerNotice) Error() string { return n.Message }

// Relation is a table or view.
type Relation struct {
	Schema string
	Name   string
	Kind   string // table, view, materialized view, foreign table
}

// RelationColumn is a column of a relation.
type RelationColumn struct {
	Name    string
	Type    string
	NotNull bool
	Key     bool // part of the primary key
}

// Clients are what a Service opens as a client of its own. A part that is nil is nothing that
// the protocol has.
type Clients struct {
	// Terminal opens a terminal over c, a connection to a handler for all resources.
	Terminal func(ctx context.Context, c net.Conn, q TerminalRequest) (Terminal, error)
	// Files begins a session that moves files over c, a connection to a handler for all resources.
	Files func(ctx context.Context, c net.Conn, q FilesRequest) (Files, error)
	// Database begins a session at a database.
	Database func(ctx context.Context, dial Dial, q DatabaseRequest) (Database, error)
	// SQL is how statements with parameters are written there, where a Database is an Executor; nil: it is not one.
	SQL *SQL
	// Command runs a command line over c, a connection to a handler for all resources, and returns
	// its exit status. Its end closes c, as does ctx's.
	Command func(ctx context.Context, c net.Conn, q CommandRequest) (status int, err error)
	// Request sends one request over c, a connection to a handler for all resources, and waits for its approval where it needs one. It
	// follows no redirect. Its end closes c, as does ctx's, once the gateway has said whether the application may have got the request.
	// The error is an *UnansweredError where the gateway has answered.
	Request func(ctx context.Context, c net.Conn, q Request) (*Response, error)
	// UndoText is the statement that undoes what i is of, for a session whose client undoes that; empty where there is none.
	UndoText func(i *proxy.Image) string
}

var errEnded = errors.New("the session has ended")

// Ended is why nothing more can be read from a Database or a Terminal whose connection fails with err.
func Ended(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) {
		return errEnded
	}
	return err
}
