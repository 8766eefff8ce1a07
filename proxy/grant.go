package proxy

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// GrantVersion is the version of the form of grants.
const GrantVersion = 1

// GrantApproved is the State of a grant that lets something run.
const GrantApproved = "approved"

// Grant says what a request for an approval is, in a form that is signed: what would run, for which user and where, who has approved it,
// and until when. Only one whose State is [GrantApproved] lets anything run. Digests are lower-case hexadecimals of SHA-256.
type Grant struct {
	Version   int    `json:"v"`
	State     string `json:"state"`
	Request   string `json:"request"`
	Requester string `json:"requester"`
	For       string `json:"for,omitempty"` // the human that an agent asks for
	Resource  string `json:"resource"`
	Account   string `json:"account,omitempty"`
	Database  string `json:"database,omitempty"`
	Kind      string `json:"kind"`
	// Text and Arguments are the digests of an operation, as [Digests] makes them with a salt that the grant does not hold.
	Text      string   `json:"text,omitempty"`
	Arguments string   `json:"arguments,omitempty"`
	Rules     []string `json:"rules"`
	// Actions are those that are granted for a time, from then on.
	Actions  []string  `json:"actions,omitempty"`
	Rows     uint64    `json:"rows,omitempty"` // how many may be returned or changed by what is granted for a time; 0 is any
	From     time.Time `json:"from,omitzero"`
	NotAfter time.Time `json:"not_after"` // when nothing runs by it any more, or nobody decides any more
	Uses     int       `json:"uses,omitempty"`
	// Standing is how many further operations may run by approvals of their own that have this one's request as Under, until NotAfter.
	Standing int    `json:"standing,omitempty"`
	Under    string `json:"under,omitempty"`
	// Bounds are what has to be so of what the operation changes; nil: whatever it changes.
	Bounds *GrantBounds `json:"bounds,omitempty"`
	Votes  []GrantVote  `json:"votes,omitempty"`
	// Revision names the rules by which the gateway judged that signed the grant.
	Revision string    `json:"revision,omitempty"`
	Hash     string    `json:"hash"`     // of what approvers have seen
	Document string    `json:"document"` // the digest of the request as it is kept, which only who keeps it can make
	Signed   time.Time `json:"signed"`
}

// GrantBounds are what was approved of what an operation changes.
type GrantBounds struct {
	Rows int64 `json:"rows"` // how many
	// Digest is one of the rows and what they hold, made with the salt; empty: the number is what counts.
	Digest string `json:"digest,omitempty"`
}

// GrantVote is an approval of somebody.
type GrantVote struct {
	By      string    `json:"by"`
	At      time.Time `json:"at"`
	Channel string    `json:"channel,omitempty"`
}

// Encode returns the grant as JSON, on one line. A grant has one encoding.
func (g *Grant) Encode() ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(g); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// DecodeGrant reads what Encode wrote, and nothing else.
func DecodeGrant(text []byte) (*Grant, error) {
	g := &Grant{}
	if err := json.Unmarshal(text, g); err != nil {
		return nil, errors.New("it is not a grant")
	}
	if g.Version != GrantVersion {
		return nil, fmt.Errorf("a grant of version %d: got it, want one of version %d", g.Version, GrantVersion)
	}
	again, err := g.Encode()
	if err != nil || !bytes.Equal(again, text) {
		return nil, errors.New("the grant is not written as grants are")
	}
	return g, nil
}

// Approval is what lets an operation run, for its record.
type Approval struct {
	Request string
	Signed  string    // the grant, signed by a gateway; empty: it is not signed
	Salt    []byte    // of its digests
	At      time.Time // when it was used, by the clock that its times are of
}

// Digests are those of an operation's text, or of what takes its place, and of its arguments. Who does not know the salt cannot find
// out by them what was said. ok is false for an operation that cannot be approved.
func Digests(op Op, salt []byte) (text, arguments string, ok bool) {
	h := sha256.New()
	part := func(b []byte) {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(b)))) // so that no two operations are the same text
		h.Write(b)
	}
	words := func(of string, words ...string) string {
		h.Reset()
		for _, w := range append([]string{"sallyport " + of + " 1", string(salt), op.Info().Kind.String()}, words...) {
			part([]byte(w))
		}
		return hex.EncodeToString(h.Sum(nil))
	}
	const of, given = "text", "arguments"
	switch o := op.(type) {
	case *Statement:
		text = words(of, string(o.Text))
		words(given)
		for _, a := range o.Args {
			part([]byte(a.Form()))
			part(binary.BigEndian.AppendUint32(nil, a.Type))
			part(a.Value)
		}
		return text, hex.EncodeToString(h.Sum(nil)), true
	case *Exec:
		said := []string{o.Command}
		if o.Target != "" {
			said = append(said, o.Target)
		}
		text = words(of, said...)
	case *File:
		text = words(of, o.Action.String(), o.Path, o.Target)
	case *Request:
		text = words(of, o.Method, o.Host, o.Path, o.Query)
	case *Forward:
		text = words(of, o.Network, o.Host, fmt.Sprint(o.Port), fmt.Sprint(o.Listen))
	default:
		return "", "", false
	}
	return text, words(given), true
}

// Grants returns the identifiers of the requests whose approval lets the operation run, once the chain has answered.
func (m *Meta) Grants() []string { return m.grants }

// granted adds to the requests by which an operation runs the one that a verdict names. Verdicts name it first, and then who has
// approved it.
func granted(list []string, grant string) []string {
	id, _, _ := strings.Cut(grant, " ")
	if id == "" || slices.Contains(list, id) {
		return list
	}
	return append(list, id)
}
