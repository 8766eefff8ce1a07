package review

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

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
	shown := len(r.Text)
	for _, a := range r.Arguments {
		shown += len(a)
	}
	if len(r.Text) > maxText || shown > maxShown {
		return errTooLong
	}
	return nil
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
	case a.Binary || !utf8.Valid(a.Value):
		return `\x` + hex.EncodeToString(a.Value)
	}
	return fmt.Sprintf("%q", a.Value)
}

// digests are the hash of what is shown, and that of what would run, for which user and where. Every part has its
// length before it, so that no two requests are the same text.
func (r *Request) digests(op proxy.Op) (hash, content string) {
	h := sha256.New()
	part := func(b string) {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(b))))
		h.Write([]byte(b))
	}
	for _, s := range []string{"sallyport operation 1", r.Requester, r.For, r.Resource, r.Account, r.Database, r.Kind, r.Text} {
		part(s)
	}
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
	content = hex.EncodeToString(h.Sum(nil))
	h.Reset()
	for _, s := range []string{"sallyport held operation 2", r.ID, r.Session, content} {
		part(s)
	}
	h.Write(binary.BigEndian.AppendUint64(nil, r.Operation))
	return hex.EncodeToString(h.Sum(nil)), content
}
