package proxy

import (
	"net/netip"
	"time"
)

// Kind says what sort of thing an operation asks of a resource. The zero Kind
// is unknown, and is refused before any interceptor sees it.
type Kind uint8

// The vocabulary of operations. It is closed: a handler that meets something
// else refuses it.
const (
	KindUnknown     Kind = iota
	KindConnect          // open a session at a resource: *Connect
	KindStatement        // run SQL text, or run a prepared statement: *Statement
	KindPrepare          // have SQL text prepared, without running it: *Statement
	KindFunction         // call a database function by number: *Call
	KindReplication      // stream a database's log: *Call
	KindCommand          // a protocol command that carries no SQL, such as COM_STATISTICS: *Call
	KindExec             // run one command line: *Exec
	KindShell            // start an interactive shell: *Exec
	KindSubsystem        // start a named subsystem: *Exec
	KindInput            // a line typed in an interactive shell; advisory: *Exec
	KindFile             // one access to a file: *File
	KindForward          // open a connection elsewhere through the resource: *Forward
	KindAgent            // forward the client's key agent: *Forward
	KindX11              // forward a display: *Forward
	KindEnv              // set an environment variable: *Call
	KindRequest          // one HTTP request: *Request
	KindUpgrade          // turn an HTTP request into a two-way stream: *Request
	KindTool             // one tool call of an agent: *Call
	KindRunbook          // run a runbook, or go on with one: *Exec, whose command is the plan
	kindEnd
)

var kindNames = [...]string{
	"unknown", "connect", "statement", "prepare", "function", "replication", "command", "exec", "shell",
	"subsystem", "input", "file", "forward", "agent", "x11", "env", "request", "upgrade", "tool",
	"runbook",
}

// String returns the kind's stable lower-case name.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "unknown"
}

// Valid reports whether k is a kind of this vocabulary other than unknown.
func (k Kind) Valid() bool { return k > KindUnknown && k < kindEnd }

// Op is one operation. Its concrete type is one of the pointers named at
// the kinds above; handlers may define further types for these kinds.
//
// An Op and everything it refers to belongs to the handler and is valid from
// Ask until Done for it has returned; an interceptor that keeps any of it
// longer copies it. Interceptors do not modify it: a change is a Rewrite.
type Op interface {
	Info() *Meta
}

// Meta is what all operations have. Handlers embed it and set Kind; the
// session sets the rest at Ask.
type Meta struct {
	Kind   Kind
	ID     uint64 // counts from 1 in its session, without gaps
	Parent uint64 // the operation that this one belongs to, or 0
	At     time.Time
	// Rewritten is set when an interceptor replaced the operation's text and the
	// chain is asked again.
	Rewritten bool

	// The session's own notes on the operation.
	op         Op
	chain      *chain // that it was asked of
	holds      []holdBy
	verdict    Verdict
	grants     []string  // the requests by whose approval it runs
	by         string    // who gave verdict; empty for the core
	asked      time.Time // when the chain got it; zero when it is not in the chain
	rewrites   int
	right      *right // what is asked again while it runs; nil: nothing is
	done       bool
	listed     bool
	prev, next *Meta
}

// Info returns m, so that embedding Meta makes a struct an Op.
func (m *Meta) Info() *Meta { return m }

// Connect is the operation that opens a session. It runs only with an explicit
// Allow.
type Connect struct {
	Meta
	Target Target
	// Params are the connection's settings as the client sent them and the
	// handler let through, such as startup parameters. Nil when there are none.
	Params map[string]string
}

// Call is an operation that is known by a name and arguments: a function call
// by number, a protocol command, an environment variable, a tool call.
type Call struct {
	Meta
	Name string
	Args [][]byte // nil elements are NULL
}

// Exec is a command, a shell, a subsystem or a typed line.
type Exec struct {
	Meta
	Command  string // the command line or the subsystem's name; empty for a shell
	Terminal bool   // a terminal was allocated
	Target   string // where in the resource it runs, such as a container; empty: at the resource
}

// FileAction is what is done to a file.
type FileAction uint8

// File actions.
const (
	FileUnknown FileAction = iota
	FileOpenRead
	FileOpenWrite // creates, truncates or appends
	FileStat
	FileList
	FileRename
	FileRemove
	FileMkdir
	FileRmdir
	FileLink
	FileReadlink
	FileSetstat
	FileExtended // an extension named in File.Target
)

var fileActionNames = [...]string{
	"unknown", "read", "write", "stat", "list", "rename", "remove", "mkdir", "rmdir", "link", "readlink", "setstat", "extended",
}

// String returns the action's stable lower-case name.
func (a FileAction) String() string {
	if int(a) < len(fileActionNames) {
		return fileActionNames[a]
	}
	return "unknown"
}

// File is one access to a file.
type File struct {
	Meta
	Action FileAction
	Path   string // as the client sent it, cleaned of nothing
	Target string // second path of a rename or link
}

// Forward is a connection that is opened through the resource, in either
// direction, or a forwarded agent or display.
type Forward struct {
	Meta
	// Listen is true when the resource shall listen and connections come back.
	Listen  bool
	Network string // "tcp" or "unix"
	Host    string // host or socket path, as asked
	Port    uint16
	// Addrs are the addresses that Host resolves to and that will be used, so that
	// a name cannot mean another host after it was judged. Empty when the
	// resource resolves the name.
	Addrs []netip.Addr
	// Opaque says that the connection is all that the session is for, and that nobody sees what flows: a rule that would have to see that
	// does not allow it.
	Opaque bool
}

// Request is one HTTP request.
type Request struct {
	Meta
	Method string
	Host   string
	Path   string // decoded
	Query  string // raw
	// Action is the API's own name of what is asked where the handler knows it,
	// such as "s3:GetObject" or "pods/exec:create".
	Action string
	// Also are further names of what it does, where the handler has read them out of the
	// body, such as "scale-to-zero".
	Also []string
	// Lasting says that it goes on until its user ends it, such as a watch. It ends with the right that it needs.
	Lasting bool
	// Access is the right that it needs, where the handler knows better than its method.
	Access Access
}

// Access is a right that a request needs. The zero Access is by its method: GET, HEAD and
// OPTIONS read, every other method writes.
type Access uint8

// Rights that requests need.
const (
	AccessByMethod Access = iota
	AccessRead
	AccessWrite
	AccessAdmin   // changes rights, or what others depend on
	AccessExec    // runs something, or reaches through the resource
	AccessUnknown // nobody knows what it does: only the right to everything is enough
)
