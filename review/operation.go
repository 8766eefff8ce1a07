package review

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/sallyport/sallyport/internal/digest"
	"github.com/sallyport/sallyport/proxy"
)

// Bounds on what is held: who decides has to read it.
const (
	maxText      = 64 << 10
	maxArguments = 1000
	maxArgument  = 16 << 10
	maxAllArgs   = 256 << 10 // of one request, in bytes
	maxShown     = 384 << 10 // text and arguments as they are read: what is kept, sealed, has a bound
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
		if op.Target != "" {
			r.Text = "in " + op.Target + ": " + op.Command
		}
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
		if op.Opaque {
			r.Text = "connect to " + r.Text + ", without anybody seeing what is sent"
		}
	default:
		return errNotShown
	}
	shown := len(r.Text)
	for _, a := range r.Arguments {
		shown += len(a)
	}
	if len(r.Text) > maxText || shown > maxShown {
		return errTooLong
	}
	return nil
}

// means fills in what the text of op means to its session.
func (r *Request) means(s *proxy.Session, op proxy.Op) {
	if st, ok := op.(*proxy.Statement); ok && st.Reading != nil {
		names, certain := st.Reading.Meaning(s.Target)
		r.Names, r.Bound = names, !certain
	}
}

// conceal has approvers read c in the place of what the operation says.
func (r *Request) conceal(c *proxy.Concealed) error {
	switch {
	case c == nil:
		r.Reveal = false
		return nil
	case c.Text == nil && c.Args == nil:
		return errNotShown
	}
	r.said, r.Hidden = &said{r.Text, r.Arguments}, c.Types
	if c.Text != nil {
		r.Text = string(c.Text)
	}
	if c.Args != nil {
		r.Arguments = nil
		for i := range c.Args {
			r.Arguments = append(r.Arguments, argument(&c.Args[i]))
		}
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
	case a.Binary && a.Text != nil:
		return `\x` + hex.EncodeToString(a.Value) + " (" + plainWord(a.Text) + ")"
	case a.Binary || !utf8.Valid(a.Value):
		return `\x` + hex.EncodeToString(a.Value)
	}
	return fmt.Sprintf("%q", a.Value)
}

// plainWord is text as it is read: in quotes where it is more than letters, digits and what is in numbers and times.
func plainWord(text []byte) string {
	for _, c := range string(text) {
		if c > unicode.MaxASCII || !unicode.IsLetter(c) && !unicode.IsDigit(c) && !strings.ContainsRune("-+.:", c) {
			return strconv.Quote(string(text))
		}
	}
	return string(text)
}

// content is the hash of what would run, for which user and where.
func (r *Request) content(op proxy.Op) string {
	parts := []string{"sallyport operation 1", r.Requester, r.For, r.Resource, r.Account, r.Database, r.Kind, r.Text}
	if st, ok := op.(*proxy.Statement); ok {
		for _, a := range st.Args {
			parts = append(parts, a.Form(), strconv.FormatUint(uint64(a.Type), 10), string(a.Value))
		}
	}
	if r.Names != "" { // the same text means something else
		parts = append(parts, "names", r.Names)
	}
	if r.Bound {
		parts = append(parts, "session", r.Session)
	}
	return digest.Of(parts...)
}

// hash is that of what is decided about: what would run, when, and as what. By its salt nobody can guess what that is.
func (r *Request) hash() (string, error) {
	impact, err := json.Marshal(r.Impact)
	if err != nil {
		return "", err
	}
	parts := []string{"sallyport held operation 4", r.ID, r.Session, strconv.FormatUint(r.Operation, 10), r.Content, string(r.sums.Salt), string(impact)}
	if s := r.Standing; s != nil {
		parts = append(parts, "standing", strconv.Itoa(s.Runs), strconv.FormatInt(s.Seconds, 10), s.Scope)
	}
	if r.After != "" {
		parts = append(parts, "after", r.After)
	}
	return digest.Of(parts...), nil
}
