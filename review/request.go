package review

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sallyport/sallyport/proxy"
)

// State is what became of a request.
type State string

// States. All but Pending are final.
const (
	Pending   State = "pending"
	Approved  State = "approved"
	Denied    State = "denied"
	Cancelled State = "cancelled" // by the requester, or her session ended
	Expired   State = "expired"   // nobody decided in time
	Lapsed    State = "lapsed"    // approved, and nobody was there any more to run it
)

// Request is one operation, or access to a resource, that waits, or waited, for a decision. It is a
// snapshot, shown to those who decide.
type Request struct {
	ID        string     `json:"id"`
	State     State      `json:"state"`
	Hash      string     `json:"hash"` // of everything below up to Arguments: who decides says which one she saw
	Requester string     `json:"requester"`
	For       string     `json:"for,omitempty"` // the human that an agent asks for
	Session   string     `json:"session"`
	Operation uint64     `json:"operation"` // its number in the session
	Resource  string     `json:"resource"`
	Account   string     `json:"account,omitempty"`
	Database  string     `json:"database,omitempty"`
	Kind      string     `json:"kind"`
	Text      string     `json:"text"`
	Arguments []string   `json:"arguments,omitempty"` // bound to a statement: text, \x and hexadecimals for binary ones, NULL
	Effects   string     `json:"effects,omitempty"`
	Blind     string     `json:"blind,omitempty"` // why it cannot be told what it does
	Message   string     `json:"message"`         // why it is held
	Rules     []string   `json:"rules"`
	Approvers [][]string `json:"approvers"` // who decides is in a group of every list; "*" is everybody
	Created   time.Time  `json:"created"`
	Deadline  time.Time  `json:"deadline"`

	DecidedBy string     `json:"decided_by,omitempty"`
	DecidedAt *time.Time `json:"decided_at,omitempty"`
	Channel   string     `json:"channel,omitempty"` // how the decision came
	Reason    string     `json:"reason,omitempty"`

	// Access is what a request for access asks for; nil: the request is about an operation.
	Access *Access `json:"access,omitempty"`
}

// Bounds on what is held: who decides has to read it.
const (
	maxText      = 64 << 10
	maxArguments = 1000
	maxArgument  = 16 << 10
	maxAllArgs   = 256 << 10 // of one request, in bytes
)

var (
	errTooLong  = errors.New("this needs an approval, but it is too long for approvers to read")
	errNotShown = errors.New("this needs an approval, but its text cannot be shown to approvers")
)

// show fills in what op is, as it is read by who decides.
func (r *Request) show(op proxy.Op) error {
	r.Kind, r.Operation = op.Info().Kind.String(), op.Info().ID
	switch op := op.(type) {
	case *proxy.Statement:
		if len(op.Text) == 0 {
			return errNotShown // run by a name that only the resource knows
		}
		r.Text, r.Effects = string(op.Text), op.Facts.Effects.String()
		if len(op.Args) > maxArguments {
			return errTooLong
		}
		all := 0
		for _, a := range op.Args {
			if all += len(a.Value); len(a.Value) > maxArgument || all > maxAllArgs {
				return errTooLong
			}
			r.Arguments = append(r.Arguments, argument(&a))
		}
	case *proxy.Exec:
		r.Text = op.Command
	case *proxy.File:
		r.Text = op.Action.String() + " " + pathWord(op.Path)
		if op.Target != "" {
			r.Text += " " + pathWord(op.Target)
		}
	case *proxy.Request:
		r.Text = op.Method + " " + op.Host + op.Path
		if op.Query != "" {
			r.Text += "?" + op.Query
		}
	case *proxy.Forward:
		r.Text = fmt.Sprintf("%s %s:%d", op.Network, op.Host, op.Port)
		if op.Listen {
			r.Text = "listen at " + r.Text
		}
	default:
		return errNotShown
	}
	if len(r.Text) > maxText {
		return errTooLong
	}
	return nil
}

// pathWord is a path as it is read, in quotes where it could be taken for two.
func pathWord(path string) string {
	if path == "" || strings.ContainsAny(path, ` "\`) {
		return strconv.Quote(path)
	}
	return path
}

// argument is a bound value as it is read: never the same for two values.
func argument(a *proxy.Arg) string {
	switch {
	case a.Value == nil:
		return "NULL"
	case a.Binary || !utf8.Valid(a.Value):
		return `\x` + hex.EncodeToString(a.Value)
	}
	return fmt.Sprintf("%q", a.Value)
}

// digest is the hash of what would run, for which user and where. Every part has its
// length before it, so that no two requests are the same text.
func (r *Request) digest(op proxy.Op) string {
	h := sha256.New()
	part := func(b string) {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(b))))
		h.Write([]byte(b))
	}
	for _, s := range []string{"sallyport held operation 1", r.ID, r.Requester, r.For, r.Session, r.Resource, r.Account, r.Database, r.Kind, r.Text} {
		part(s)
	}
	h.Write(binary.BigEndian.AppendUint64(nil, r.Operation))
	if st, ok := op.(*proxy.Statement); ok {
		for _, a := range st.Args {
			switch {
			case a.Value == nil:
				part("null")
			case a.Binary:
				part("binary")
			default:
				part("text")
			}
			h.Write(binary.BigEndian.AppendUint32(nil, a.Type))
			part(string(a.Value))
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}
