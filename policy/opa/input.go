package opa

import (
	_ "embed"
	"encoding/hex"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/sallyport/sallyport/proxy"
)

// Version is that of the form of [Input]. It changes when a policy that was written for
// another would be misled; members that are added do not change it.
const Version = 1

//go:embed input.schema.json
var schema []byte

// Schema returns the JSON Schema of [Input].
func Schema() []byte { return append([]byte(nil), schema...) }

// Input is what a policy is asked: `input` in Rego.
type Input struct {
	Version   int       `json:"version"`
	Time      Time      `json:"time"`
	Identity  Identity  `json:"identity"`
	Source    Source    `json:"source"`
	Resource  Resource  `json:"resource"`
	Operation Operation `json:"operation"`
}

// Time is when the question is asked.
type Time struct {
	NowNS int64 `json:"now_ns"` // nanoseconds since 1970, in whole seconds
}

// Identity is who asks.
type Identity struct {
	Subject    string            `json:"subject"`
	Name       string            `json:"name"`
	Groups     []string          `json:"groups"`
	Claims     map[string]string `json:"claims"`
	Kind       string            `json:"kind"` // human, service or agent
	OnBehalfOf string            `json:"on_behalf_of"`
	Method     string            `json:"method"`   // how the identity was proven
	LoginNS    int64             `json:"login_ns"` // and when; 0 is not known
}

// Source is where the client is.
type Source struct {
	Address string `json:"address"` // without a port; empty is not known
}

// Resource is what is asked about.
type Resource struct {
	Name     string            `json:"name"`
	Type     string            `json:"type"`
	Labels   map[string]string `json:"labels"`
	Database string            `json:"database"`
	Account  string            `json:"account"`
}

// Operation is what is asked for. One of the members after Kind is there, as the kind says.
type Operation struct {
	Kind      string     `json:"kind"`
	Connect   *Connect   `json:"connect,omitempty"`
	Statement *Statement `json:"statement,omitempty"`
	Call      *Call      `json:"call,omitempty"`
	Exec      *Exec      `json:"exec,omitempty"`
	File      *File      `json:"file,omitempty"`
	Forward   *Forward   `json:"forward,omitempty"`
	Request   *Request   `json:"request,omitempty"`
}

// Connect is the operation that opens a session.
type Connect struct {
	Params map[string]string `json:"params"`
}

// Statement is SQL that is run or prepared.
type Statement struct {
	Dialect    string     `json:"dialect"`
	Effects    []string   `json:"effects"`
	Unknown    string     `json:"unknown"` // why it is not understood; empty when it is
	Statements int        `json:"statements"`
	Relations  []Relation `json:"relations"`
	Functions  []Function `json:"functions"`
	Settings   []Setting  `json:"settings"`
	Unfiltered []string   `json:"unfiltered"` // effects without WHERE
	Limited    bool       `json:"limited"`
	Lossless   bool       `json:"lossless"`
	Resolved   bool       `json:"resolved"` // its names were looked up in a catalog
	Unsure     bool       `json:"unsure"`   // a name may mean another relation
	Normalised string     `json:"normalised"`

	// What differs between statements of one shape. It is empty for a policy that reads none of
	// it.
	Text string    `json:"text"`
	Name string    `json:"name"`
	Args []*string `json:"args"` // null is NULL; bytes are "\x" and hexadecimal digits
}

// Relation is a table or view that a statement touches.
type Relation struct {
	Schema  string   `json:"schema"` // empty when it is not known
	Name    string   `json:"name"`
	Effects []string `json:"effects"`
}

// Function is a function that a statement calls.
type Function struct {
	Schema string `json:"schema"`
	Name   string `json:"name"`
	Class  string `json:"class"` // unknown, harmless, reads, writes, outside, settings or admin
}

// Setting is a setting that a statement changes.
type Setting struct {
	Name  string `json:"name"`
	Value string `json:"value"`
	Local bool   `json:"local"`
	Reset bool   `json:"reset"`
}

// Call is an operation that is known by a name and arguments.
type Call struct {
	Name string    `json:"name"`
	Args []*string `json:"args"`
}

// Exec is a command, a shell, a subsystem or a typed line.
type Exec struct {
	Command  string `json:"command"`
	Terminal bool   `json:"terminal"`
	Target   string `json:"target"` // where in the resource it runs; empty: at the resource
}

// File is one access to a file.
type File struct {
	Action string `json:"action"`
	Path   string `json:"path"`
	Target string `json:"target"`
}

// Forward is a connection through the resource.
type Forward struct {
	Listen    bool     `json:"listen"`
	Network   string   `json:"network"`
	Host      string   `json:"host"`
	Port      int      `json:"port"`
	Addresses []string `json:"addresses"`
	Opaque    bool     `json:"opaque"` // nobody sees what flows
}

// Request is one HTTP request.
type Request struct {
	Method string `json:"method"`
	Host   string `json:"host"`
	Path   string `json:"path"`
	Query  string `json:"query"`
	Action string `json:"action"`
	// Also are further names of what it does, such as "scale-to-zero".
	Also []string `json:"also"`
}

var functionClasses = [...]string{
	proxy.FunctionUnknown: "unknown", proxy.FunctionHarmless: "harmless", proxy.FunctionReads: "reads", proxy.FunctionWrites: "writes",
	proxy.FunctionOutside: "outside", proxy.FunctionSettings: "settings", proxy.FunctionAdmin: "admin",
}

// word is the name of a value; one that has none is unknown.
func word[T ~uint8](names []string, v T) string {
	if int(v) < len(names) {
		return names[v]
	}
	return "unknown"
}

// inputOf is the part of a question that a session's operations share, were it the session of id.
func inputOf(s *proxy.Session, id *proxy.Identity) Input {
	t := s.Target
	in := Input{
		Version: Version,
		Identity: Identity{
			Subject: id.Subject, Name: id.Name, Groups: orEmpty(id.Groups), Claims: orNone(id.Claims), Kind: id.Kind.String(),
			OnBehalfOf: id.OnBehalfOf, Method: id.Method.String(),
		},
		Source: Source{address(s.Remote)},
		Resource: Resource{
			Name: t.Resource.Name, Type: t.Resource.Type, Labels: orNone(t.Resource.Labels), Database: t.Database, Account: t.Account.Name,
		},
	}
	if in.Identity.Name == "" {
		in.Identity.Name = id.Subject
	}
	if !id.AuthTime.IsZero() {
		in.Identity.LoginNS = id.AuthTime.UnixNano()
	}
	return in
}

func address(a net.Addr) string {
	if a == nil {
		return ""
	}
	at, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return ""
	}
	return at.Addr().Unmap().WithZone("").String()
}

// ask makes the question about op, with the text and the arguments of a statement or without.
func (in Input) ask(op proxy.Op, now time.Time, arguments bool) Input {
	in.Time.NowNS = now.Truncate(time.Second).UnixNano()
	in.Operation.Kind = op.Info().Kind.String()
	o := &in.Operation
	switch op := op.(type) {
	case *proxy.Connect:
		o.Connect = &Connect{orNone(op.Params)}
	case *proxy.Statement:
		o.Statement = statement(op)
		if arguments {
			o.Statement.bind(op)
		}
	case *proxy.Call:
		o.Call = &Call{Name: text(op.Name), Args: []*string{}}
		for _, v := range op.Args {
			o.Call.Args = append(o.Call.Args, value(v, false))
		}
	case *proxy.Exec:
		o.Exec = &Exec{text(op.Command), op.Terminal, text(op.Target)}
	case *proxy.File:
		o.File = &File{op.Action.String(), text(op.Path), text(op.Target)}
	case *proxy.Forward:
		o.Forward = &Forward{Listen: op.Listen, Network: op.Network, Host: text(op.Host), Port: int(op.Port), Addresses: []string{}, Opaque: op.Opaque}
		for _, a := range op.Addrs {
			o.Forward.Addresses = append(o.Forward.Addresses, a.String())
		}
	case *proxy.Request:
		o.Request = &Request{text(op.Method), text(op.Host), text(op.Path), text(op.Query), text(op.Action), texts(op.Also)}
	}
	return in
}

func statement(op *proxy.Statement) *Statement {
	f := op.Facts
	e := f.Effects
	if e == 0 && (f.Dialect == "" || f.Statements > 0 || f.Unknown != "") {
		e = proxy.EffectUnknown // nothing is known about it
	}
	s := &Statement{
		Dialect: f.Dialect, Effects: effects(e), Unknown: f.Unknown, Statements: f.Statements, Relations: []Relation{}, Functions: []Function{},
		Settings: []Setting{}, Unfiltered: effects(f.Unfiltered), Limited: f.Limited, Lossless: f.Lossless, Resolved: f.Resolved, Unsure: f.Unsure,
		Normalised: text(f.Normalised), Args: []*string{},
	}
	for i := range f.Relations {
		r := &f.Relations[i]
		s.Relations = append(s.Relations, Relation{text(r.Schema), text(r.Name), effects(r.Effects)})
	}
	for i := range f.Functions {
		fn := &f.Functions[i]
		s.Functions = append(s.Functions, Function{text(fn.Schema), text(fn.Name), word(functionClasses[:], fn.Class)})
	}
	for _, set := range f.Settings {
		s.Settings = append(s.Settings, Setting{text(set.Name), text(set.Value), set.Local, set.Reset})
	}
	return s
}

// bind adds what differs between statements of one shape.
func (s *Statement) bind(op *proxy.Statement) {
	s.Text, s.Name = text(string(op.Text)), text(op.Name)
	for i := range op.Args {
		a := &op.Args[i]
		if a.Text != nil {
			s.Args = append(s.Args, value(a.Text, false))
		} else {
			s.Args = append(s.Args, value(a.Value, a.Binary))
		}
	}
}

func effects(e proxy.Effects) []string {
	if e == 0 {
		return []string{}
	}
	return strings.Split(e.String(), ",")
}

func value(v []byte, binary bool) *string {
	if v == nil {
		return nil
	}
	s := string(v)
	if clean := text(s); binary || clean != s {
		s = `\x` + hex.EncodeToString(v)
	}
	return &s
}

// text is s with what is not UTF-8 replaced, since JSON has nothing else.
func text(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

// texts are several, which may be none.
func texts(list []string) []string {
	out := []string{}
	for _, s := range list {
		out = append(out, text(s))
	}
	return out
}

func orEmpty(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

func orNone(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}
