package runbook

import (
	"fmt"
	"math/big"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Type is what a parameter takes.
type Type string

// Types.
const (
	String     Type = "string" // one line
	Text       Type = "text"   // lines
	Integer    Type = "integer"
	Number     Type = "number"
	Boolean    Type = "boolean"
	Enum       Type = "enum"
	Multi      Type = "multi" // some of a list
	Date       Type = "date"
	DateTime   Type = "datetime"
	Duration   Type = "duration"
	IP         Type = "ip"
	CIDR       Type = "cidr"
	UUID       Type = "uuid"
	Email      Type = "email"
	URL        Type = "url"
	Identifier Type = "identifier" // a name that is written into SQL
	File       Type = "file"       // text
	SecretType Type = "secret"     // a reference that the gateway follows, or made for the run
)

// Types returns all there are, in the order of documents.
func Types() []Type {
	return []Type{String, Text, Integer, Number, Boolean, Enum, Multi, Date, DateTime, Duration, IP, CIDR, UUID, Email, URL, Identifier, File, SecretType}
}

// Param is one parameter.
type Param struct {
	Name     string    `yaml:"-"`
	Type     string    `yaml:"type"`
	Title    string    `yaml:"title"`
	Help     string    `yaml:"help"`
	Required bool      `yaml:"required"`
	Default  *Literal  `yaml:"default"`
	Min      *Literal  `yaml:"min"`       // integer, number, date, datetime, duration; characters of text
	Max      *Literal  `yaml:"max"`       //
	Pattern  string    `yaml:"pattern"`   // string: of the whole value
	Values   []Literal `yaml:"values"`    // enum, multi
	Allow    []string  `yaml:"allow"`     // identifier
	Schemes  []string  `yaml:"schemes"`   // url; empty is https
	MaxBytes int64     `yaml:"max_bytes"` // file
	Ref      string    `yaml:"ref"`       // secret
	Generate int64     `yaml:"generate"`  // secret: characters
	Line     int       `yaml:"-"`

	ValuesFrom *ValuesFrom `yaml:"values_from"` // nil: nothing suggests values

	pattern *regexp.Regexp
}

// Limits of values.
const (
	maxString  = 1000     // characters of a string
	maxText    = 16 << 10 // characters of a text
	maxFileArg = 64 << 10
	maxMulti   = 100
	maxPattern = 1000
	maxValues  = 1000
)

// only says which keys go with which types.
var only = map[string][]Type{
	"min":       {String, Text, Integer, Number, Date, DateTime, Duration},
	"max":       {String, Text, Integer, Number, Date, DateTime, Duration},
	"pattern":   {String},
	"values":    {Enum, Multi},
	"allow":     {Identifier},
	"schemes":   {URL},
	"max_bytes": {File},
	"ref":       {SecretType},
	"generate":  {SecretType},
}

// check lints a parameter.
func (p *Param) check(d *decoder) {
	key := "params." + p.Name
	bad := func(at, remedy, format string, args ...any) { d.add(p.Line, join(key, at), remedy, format, args...) }
	if !wordName.MatchString(p.Name) || p.Name == "run" {
		bad("", "Use lower-case letters, digits and _.", "%q is not a name of a parameter", p.Name)
	}
	t := Type(p.Type)
	if !slices.Contains(Types(), t) {
		bad("type", "", "got %q, want one of %s", p.Type, words(Types()))
		return
	}
	for name, given := range map[string]bool{
		"min": p.Min != nil, "max": p.Max != nil, "pattern": p.Pattern != "", "values": len(p.Values) > 0, "allow": len(p.Allow) > 0,
		"schemes": len(p.Schemes) > 0, "max_bytes": p.MaxBytes != 0, "ref": p.Ref != "", "generate": p.Generate != 0,
	} {
		if given && !slices.Contains(only[name], t) {
			bad(name, "Leave it out.", "the key is for parameters of the types %s", words(only[name]))
		}
	}
	switch t {
	case Enum, Multi:
		if len(p.Values) == 0 || len(p.Values) > maxValues {
			bad("values", "List what may be chosen.", "got %d values, want 1 to %d", len(p.Values), maxValues)
		}
		seen := make(map[string]bool)
		for _, v := range p.Values {
			if seen[v.Text] || line(v.Text) != nil || v.Text == "" {
				bad("values", "", "%q is there twice, is empty, or is more than a line", v.Text)
			}
			seen[v.Text] = true
		}
	case Identifier:
		if len(p.Allow) == 0 {
			bad("allow", "List the names that may be chosen.", "an identifier needs a list of allowed names")
		}
		for _, a := range p.Allow {
			if !identifier.MatchString(a) {
				bad("allow", "Use letters, digits and _.", "%q cannot be an identifier", a)
			}
		}
	case SecretType:
		if (p.Ref == "") == (p.Generate == 0) {
			bad("ref", "", "a secret needs either ref, where it comes from, or generate, its length")
		}
		if p.Generate != 0 && (p.Generate < 16 || p.Generate > 128) {
			bad("generate", "", "got %d characters, want 16 to 128", p.Generate)
		}
		if p.Default != nil || p.Required {
			bad("", "Leave default and required out.", "a secret is never given by who runs the runbook")
		}
	case File:
		if p.MaxBytes < 0 || p.MaxBytes > maxFileArg {
			bad("max_bytes", "", "got %d, want 1 to %d", p.MaxBytes, maxFileArg)
		}
	}
	if p.Required && p.Default != nil {
		bad("default", "Leave one of them out.", "a required parameter has a default")
	}
	p.compile(bad)
	for _, l := range []*Literal{p.Min, p.Max} {
		if l != nil {
			if err := p.bound(l.Text); err != nil {
				bad("min, max", "", "%v", err)
			}
		}
	}
	if p.Default != nil && len(d.problems) == 0 {
		if _, err := p.Value(p.Default.Text); err != nil {
			bad("default", "", "%v", err)
		}
	}
}

// compile makes the pattern one of the whole value, whatever it says.
func (p *Param) compile(bad func(at, remedy, format string, args ...any)) {
	if p.Pattern == "" {
		return
	}
	if len(p.Pattern) > maxPattern {
		bad("pattern", "", "the pattern has %d bytes, and may have %d", len(p.Pattern), maxPattern)
		return
	}
	if _, err := regexp.Compile(p.Pattern); err != nil { // by itself, so that it closes no group of ours
		bad("pattern", "Patterns are those of RE2.", "%v", err)
		return
	}
	re, err := regexp.Compile(`\A(?:` + p.Pattern + `)\z`)
	if err != nil {
		bad("pattern", "Write it as one expression.", "the pattern cannot be made one of the whole value: %v", err)
		return
	}
	p.pattern = re
}

func words[T ~string](list []T) string {
	out := make([]string, len(list))
	for i, w := range list {
		out[i] = string(w)
	}
	return strings.Join(out, ", ")
}

// bound checks what min or max says.
func (p *Param) bound(text string) error {
	switch Type(p.Type) {
	case String, Text:
		n, err := whole(text)
		if err != nil || n.Sign() < 0 || n.Cmp(big.NewInt(maxText)) > 0 {
			return fmt.Errorf("got %q, want a number of characters", text)
		}
		return nil
	case Integer, Number, Date, DateTime, Duration:
		_, err := p.measure(text)
		return err
	}
	return nil
}

// measure is a value as a number, for comparing.
func (p *Param) measure(text string) (*big.Rat, error) {
	switch Type(p.Type) {
	case Integer, Number:
		r, ok := new(big.Rat).SetString(text)
		if !ok || !decimal.MatchString(text) {
			return nil, fmt.Errorf("got %q, want a number", clip(text))
		}
		return r, nil
	case Date:
		at, err := time.Parse(time.DateOnly, text)
		if err != nil {
			return nil, fmt.Errorf("got %q, want a date such as 2026-01-31", clip(text))
		}
		return new(big.Rat).SetInt64(at.Unix()), nil
	case DateTime:
		at, err := time.Parse(time.RFC3339, text)
		if err != nil {
			return nil, fmt.Errorf("got %q, want a time such as 2026-01-31T15:04:05Z", clip(text))
		}
		return new(big.Rat).SetInt64(at.Unix()), nil
	case Duration:
		x, err := time.ParseDuration(text)
		if err != nil {
			return nil, fmt.Errorf("got %q, want a duration such as 30s or 1h", clip(text))
		}
		return new(big.Rat).SetInt64(int64(x)), nil
	}
	return new(big.Rat).SetInt64(int64(utf8.RuneCountInString(text))), nil
}

// within holds that a value is between min and max.
func (p *Param) within(text string) error {
	x, err := p.measure(text)
	if err != nil {
		return err
	}
	limit := func(l *Literal) *big.Rat {
		if t := Type(p.Type); t == String || t == Text {
			n, err := whole(l.Text)
			if err != nil {
				return new(big.Rat)
			}
			return new(big.Rat).SetInt(n)
		}
		r, err := p.measure(l.Text)
		if err != nil {
			return new(big.Rat)
		}
		return r
	}
	what := "got " + fmt.Sprintf("%q", clip(text))
	if t := Type(p.Type); t == String || t == Text {
		what = fmt.Sprintf("got %d characters", utf8.RuneCountInString(text))
	}
	if p.Min != nil && x.Cmp(limit(p.Min)) < 0 {
		return fmt.Errorf("%s, want %s or more", what, p.Min.Text)
	}
	if p.Max != nil && x.Cmp(limit(p.Max)) > 0 {
		return fmt.Errorf("%s, want %s or less", what, p.Max.Text)
	}
	return nil
}

// clip is the beginning of what somebody gave, for a message.
func clip(s string) string {
	if len(s) > 60 {
		return strings.ToValidUTF8(s[:60], "") + "…"
	}
	return s
}
