package runbook

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/mail"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Value is what a parameter has in a run. Its text is as it was given, or in the one form
// that its type has.
type Value struct {
	Type Type     `json:"type"`
	Text string   `json:"text,omitempty"`
	List []string `json:"list,omitempty"` // of a multi
	Null bool     `json:"null,omitempty"` // it was not given, and has no default
}

var (
	integer    = regexp.MustCompile(`\A-?(?:0|[1-9][0-9]{0,18})\z`)
	decimal    = regexp.MustCompile(`\A-?(?:0|[1-9][0-9]{0,29})(?:\.[0-9]{1,30})?\z`)
	identifier = regexp.MustCompile(`\A[A-Za-z_][A-Za-z0-9_]{0,62}\z`)
	uuid       = regexp.MustCompile(`\A[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\z`)
)

func whole(text string) (*big.Int, error) {
	if !integer.MatchString(text) {
		return nil, fmt.Errorf("got %q, want a whole number", clip(text))
	}
	n, ok := new(big.Int).SetString(text, 10)
	if !ok || !n.IsInt64() {
		return nil, fmt.Errorf("got %q, want a whole number of 64 bits", clip(text))
	}
	return n, nil
}

// printable refuses what a person who approves it would not see, or see as something else.
func printable(s string, also string) error {
	if !utf8.ValidString(s) {
		return errors.New("the value is not UTF-8")
	}
	for _, r := range s {
		if strings.ContainsRune(also, r) {
			continue
		}
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == '\u2028' || r == '\u2029' || r == utf8.RuneError || unicode.Is(unicode.Co, r) {
			return fmt.Errorf("the value holds the character %U, which cannot be seen", r)
		}
	}
	return nil
}

func line(s string) error { return printable(s, "") }

// Value checks a value that was given as text.
func (p *Param) Value(text string) (Value, error) {
	v := Value{Type: Type(p.Type), Text: text}
	limit := 4 * maxText
	if v.Type == File {
		limit = maxFileArg
	}
	if len(text) > limit {
		return v, fmt.Errorf("got %d bytes, want %d or less", len(text), limit)
	}
	err := p.read(&v)
	return v, err
}

func (p *Param) read(v *Value) error {
	text := v.Text
	switch v.Type {
	case String:
		if err := line(text); err != nil {
			return err
		}
		if n := utf8.RuneCountInString(text); n > maxString {
			return fmt.Errorf("got %d characters, want %d or less", n, maxString)
		}
		if p.pattern != nil && !p.pattern.MatchString(text) {
			return fmt.Errorf("got %q, want what the pattern %s matches as a whole", clip(text), p.Pattern)
		}
		return p.within(text)
	case Text:
		if err := printable(text, "\n\t"); err != nil {
			return err
		}
		if n := utf8.RuneCountInString(text); n > maxText {
			return fmt.Errorf("got %d characters, want %d or less", n, maxText)
		}
		return p.within(text)
	case Integer:
		if _, err := whole(text); err != nil {
			return err
		}
		if text == "-0" {
			v.Text = "0"
		}
		return p.within(text)
	case Number:
		if !decimal.MatchString(text) {
			return fmt.Errorf("got %q, want a number such as 12.50", clip(text))
		}
		return p.within(text)
	case Date, DateTime, Duration:
		return p.within(text)
	case Boolean:
		if text != "true" && text != "false" {
			return fmt.Errorf("got %q, want true or false", clip(text))
		}
		return nil
	case Enum:
		if !slices.ContainsFunc(p.Values, func(l Literal) bool { return l.Text == text }) {
			return fmt.Errorf("got %q, want one of %s", clip(text), p.listed())
		}
		return nil
	case Multi:
		return p.several(v, strings.Split(text, ","))
	case Identifier:
		if !identifier.MatchString(text) || !slices.Contains(p.Allow, text) {
			return fmt.Errorf("got %q, want one of %s", clip(text), strings.Join(p.Allow, ", "))
		}
		return nil
	case File:
		if err := printable(text, "\n\t\r"); err != nil {
			return err
		}
		if n := or(p.MaxBytes, maxFileArg); int64(len(text)) > n {
			return fmt.Errorf("got %d bytes, want %d or less", len(text), n)
		}
		return nil
	case SecretType:
		return errors.New("a secret is not given: the gateway fetches or makes it")
	}
	return p.form(v)
}

// form is for types with a form of their own.
func (p *Param) form(v *Value) error {
	text := v.Text
	switch v.Type {
	case IP:
		a, err := netip.ParseAddr(text)
		if err != nil || a.Zone() != "" {
			return fmt.Errorf("got %q, want an IP address", clip(text))
		}
		v.Text = a.String()
	case CIDR:
		n, err := netip.ParsePrefix(text)
		if err != nil || n != n.Masked() {
			return fmt.Errorf("got %q, want a network such as 10.0.0.0/8, without bits of a host", clip(text))
		}
		v.Text = n.String()
	case UUID:
		if !uuid.MatchString(text) {
			return fmt.Errorf("got %q, want a UUID", clip(text))
		}
		v.Text = strings.ToLower(text)
	case Email:
		a, err := mail.ParseAddress(text)
		if err != nil || a.Address != text || a.Name != "" || len(text) > 254 || line(text) != nil || strings.ContainsAny(text, " \"") || text[0] == '-' {
			return fmt.Errorf("got %q, want a mail address", clip(text))
		}
	case URL:
		u, err := url.Parse(text)
		schemes := p.Schemes
		if len(schemes) == 0 {
			schemes = []string{"https"}
		}
		if err != nil || u.Host == "" || u.User != nil || !slices.Contains(schemes, u.Scheme) || len(text) > 2000 || line(text) != nil || strings.ContainsAny(text, " \\\"'<>`{}|^") {
			return fmt.Errorf("got %q, want a URL of %s, without a user", clip(text), strings.Join(schemes, ", "))
		}
	default:
		return fmt.Errorf("a parameter of the type %q takes no value", v.Type)
	}
	return nil
}

func (p *Param) several(v *Value, list []string) error {
	v.Text, v.List = "", nil
	if len(list) == 1 && list[0] == "" {
		list = nil
	}
	if len(list) > maxMulti {
		return fmt.Errorf("got %d values, want %d or less", len(list), maxMulti)
	}
	for _, one := range list {
		if !slices.ContainsFunc(p.Values, func(l Literal) bool { return l.Text == one }) {
			return fmt.Errorf("got %q, want some of %s", clip(one), p.listed())
		}
		if slices.Contains(v.List, one) {
			return fmt.Errorf("%q is there twice", clip(one))
		}
		v.List = append(v.List, one)
	}
	if p.Required && len(v.List) == 0 {
		return errors.New("nothing is chosen")
	}
	return nil
}

func (p *Param) listed() string {
	list := make([]string, 0, len(p.Values))
	for _, l := range p.Values {
		list = append(list, l.Text)
	}
	return clip(strings.Join(list, ", "))
}

// JSON checks a value that was given as JSON: text, or what the type is in JSON.
func (p *Param) JSON(raw json.RawMessage) (Value, error) {
	wrong := func() (Value, error) {
		return Value{}, fmt.Errorf("got %s, want %s", clip(string(raw)), p.inJSON())
	}
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 {
		return wrong()
	}
	switch raw[0] {
	case '"':
		var s string
		if json.Unmarshal(raw, &s) != nil {
			return wrong()
		}
		if bytes.ContainsRune(raw, utf8.RuneError) || strings.ContainsRune(s, utf8.RuneError) {
			return Value{}, errors.New("the value is not UTF-8")
		}
		return p.Value(s)
	case '[':
		var list []string
		if Type(p.Type) != Multi || json.Unmarshal(raw, &list) != nil {
			return wrong()
		}
		v := Value{Type: Multi}
		return v, p.several(&v, list)
	case 't', 'f':
		if Type(p.Type) != Boolean {
			return wrong()
		}
	case '{', 'n':
		return wrong()
	default:
		if t := Type(p.Type); t != Integer && t != Number {
			return wrong()
		}
	}
	return p.Value(string(raw))
}

func (p *Param) inJSON() string {
	switch Type(p.Type) {
	case Multi:
		return "a list of texts"
	case Boolean:
		return "true or false"
	case Integer, Number:
		return "a number"
	}
	return "a text"
}

// BadValues says which values of a run are not what the runbook wants, by parameter.
type BadValues struct{ Errors map[string]string }

func (e *BadValues) Error() string {
	names := make([]string, 0, len(e.Errors))
	for n := range e.Errors {
		names = append(names, n)
	}
	slices.Sort(names)
	for i, n := range names {
		names[i] = n + ": " + e.Errors[n]
	}
	return strings.Join(names, "; ")
}

// Bind checks the values of a run, one per parameter. What is not declared is refused, and
// what is missing has its default. Secrets have no value yet.
func (b *Runbook) Bind(given map[string]json.RawMessage) (map[string]Value, error) {
	bad := &BadValues{Errors: make(map[string]string)}
	values := make(map[string]Value, len(b.Params))
	for _, p := range b.Params {
		raw, ok := given[p.Name]
		var v Value
		var err error
		switch {
		case Type(p.Type) == SecretType:
			v.Type = SecretType
			if ok {
				err = errors.New("a secret is not given: the gateway fetches or makes it")
			}
		case ok:
			v, err = p.JSON(raw)
		case p.Default != nil:
			v, err = p.Value(p.Default.Text)
		case p.Required:
			err = errors.New("a value is needed")
		default:
			v = Value{Type: Type(p.Type), Null: true}
		}
		if err != nil {
			bad.Errors[p.Name] = err.Error()
		}
		values[p.Name] = v
	}
	for name := range given {
		if b.param(name) == nil {
			bad.Errors[clip(name)] = "the runbook has no such parameter"
		}
	}
	if len(bad.Errors) > 0 {
		return nil, bad
	}
	return values, nil
}

func (b *Runbook) param(name string) *Param {
	for _, p := range b.Params {
		if p.Name == name {
			return p
		}
	}
	return nil
}
