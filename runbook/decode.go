package runbook

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Problem is one thing that is wrong with a file.
type Problem struct {
	Line    int    `json:"line,omitempty"`
	Key     string `json:"key,omitempty"` // such as steps.pay.sql
	Message string `json:"message"`
	Remedy  string `json:"remedy,omitempty"`
}

func (p Problem) String() string {
	var b strings.Builder
	if p.Line > 0 {
		fmt.Fprintf(&b, "line %d: ", p.Line)
	}
	if p.Key != "" {
		b.WriteString(p.Key + ": ")
	}
	b.WriteString(p.Message)
	if p.Remedy != "" {
		b.WriteString(". " + p.Remedy)
	}
	return b.String()
}

// Problems are everything that is wrong with a file, by line.
type Problems []Problem

func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, x := range p {
		lines[i] = x.String()
	}
	return strings.Join(lines, "\n")
}

// decoder fills structs from YAML, and takes nothing that it does not know.
type decoder struct{ problems Problems }

func (d *decoder) add(line int, key, remedy, format string, args ...any) {
	d.problems = append(d.problems, Problem{line, key, fmt.Sprintf(format, args...), remedy})
}

// document reads one YAML document. Its size is checked before it is read, and its shape
// before anything is made of it.
func document(text []byte) (*yaml.Node, *Problem) {
	if len(text) > MaxFile {
		return nil, &Problem{Message: fmt.Sprintf("the file has %d bytes, and may have %d", len(text), MaxFile), Remedy: "Split it into several runbooks."}
	}
	if i := bytes.IndexByte(text, 0); i >= 0 {
		return nil, &Problem{Line: 1 + bytes.Count(text[:i], []byte("\n")), Message: "the file holds a NUL", Remedy: "A runbook is text: write it anew."}
	}
	if p := nesting(text); p != nil {
		return nil, p
	}
	dec := yaml.NewDecoder(bytes.NewReader(text))
	var n yaml.Node
	if err := dec.Decode(&n); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, &Problem{Line: 1, Message: "the file is empty"}
		}
		return nil, syntax(err)
	}
	var more yaml.Node
	if err := dec.Decode(&more); !errors.Is(err, io.EOF) {
		return nil, &Problem{Line: more.Line, Message: "the file has more than one document", Remedy: "Give each runbook a file of its own."}
	}
	if n.Kind != yaml.DocumentNode || len(n.Content) != 1 {
		return nil, &Problem{Line: 1, Message: "the file holds no document"}
	}
	nodes := 0
	if p := plain(n.Content[0], 1, &nodes); p != nil {
		return nil, p
	}
	return n.Content[0], nil
}

// nesting bounds flow collections, whose depth costs the parser more than their bytes.
func nesting(text []byte) *Problem {
	depth, line := 0, 1
	for _, c := range text {
		switch c {
		case '[', '{':
			if depth++; depth > 1000 {
				return &Problem{Line: line, Message: "the file opens too many brackets"}
			}
		case ']', '}':
			depth = max(0, depth-1)
		case '\n':
			line++
		}
	}
	return nil
}

var yamlLine = regexp.MustCompile(`line (\d+): (.*)`)

func syntax(err error) *Problem {
	p := &Problem{Message: strings.TrimPrefix(err.Error(), "yaml: ")}
	if m := yamlLine.FindStringSubmatch(p.Message); m != nil {
		p.Line, _ = strconv.Atoi(m[1]) // it is a number
		p.Message = m[2]
	}
	return p
}

// plain refuses what makes one part of a file mean another: anchors, aliases, tags.
func plain(n *yaml.Node, depth int, nodes *int) *Problem {
	if *nodes++; *nodes > MaxNodes {
		return &Problem{Line: n.Line, Message: fmt.Sprintf("the file has more than %d entries", MaxNodes)}
	}
	switch {
	case depth > MaxDepth:
		return &Problem{Line: n.Line, Message: fmt.Sprintf("the file is nested more than %d deep", MaxDepth)}
	case n.Kind == yaml.AliasNode || n.Anchor != "":
		return &Problem{Line: n.Line, Message: "anchors and aliases are not allowed", Remedy: "Write it out, so that a reviewer reads what runs."}
	case n.Style&yaml.TaggedStyle != 0:
		return &Problem{Line: n.Line, Message: "the tag " + n.Tag + " is not allowed", Remedy: "Leave it out."}
	}
	for _, c := range n.Content {
		if p := plain(c, depth+1, nodes); p != nil {
			return p
		}
	}
	return nil
}

func join(key, name string) string {
	if key == "" {
		return name
	}
	return key + "." + name
}

// Literal is a scalar as the file has it.
type Literal struct {
	Text string
	Line int
}

var (
	durationType = reflect.TypeFor[time.Duration]()
	literalType  = reflect.TypeFor[Literal]()
)

// into fills v with n.
func (d *decoder) into(n *yaml.Node, v reflect.Value, key string) {
	t := v.Type()
	switch {
	case t == literalType:
		if text, ok := d.scalar(n, key); ok {
			v.Set(reflect.ValueOf(Literal{text, n.Line}))
		}
		return
	case t == durationType:
		if text, ok := d.scalar(n, key); ok {
			x, err := time.ParseDuration(text)
			if err != nil || x < 0 {
				d.add(n.Line, key, "", "got %q, want a duration such as 30s, 5m or 1h", text)
			}
			v.SetInt(int64(x))
		}
		return
	}
	switch t.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(t.Elem()))
		d.into(n, v.Elem(), key)
	case reflect.String:
		if text, ok := d.scalar(n, key); ok {
			if n.Tag != "!!str" {
				d.add(n.Line, key, "Put it in quotes.", "got %s, want text", n.Value)
			}
			v.SetString(text)
		}
	case reflect.Bool:
		if text, ok := d.scalar(n, key); ok {
			if n.Tag != "!!bool" || text != "true" && text != "false" {
				d.add(n.Line, key, "", "got %q, want true or false", text)
			}
			v.SetBool(text == "true")
		}
	case reflect.Int64:
		if text, ok := d.scalar(n, key); ok {
			x, err := strconv.ParseInt(text, 10, 64)
			if err != nil || n.Tag != "!!int" {
				d.add(n.Line, key, "", "got %q, want a whole number", text)
			}
			v.SetInt(x)
		}
	case reflect.Slice:
		if e := t.Elem(); e.Kind() == reflect.Pointer && hasField(e.Elem(), "Name") {
			d.named(n, v, key)
		} else {
			d.list(n, v, key)
		}
	case reflect.Map:
		d.words(n, v, key)
	case reflect.Struct:
		d.object(n, v, key)
	default:
		panic("runbook: no file holds a " + t.String())
	}
}

func hasField(t reflect.Type, name string) bool {
	f, ok := t.FieldByName(name)
	return ok && f.Tag.Get("yaml") == "-"
}

func (d *decoder) scalar(n *yaml.Node, key string) (string, bool) {
	if n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
		d.add(n.Line, key, "", "got %s, want a value", kindName(n))
		return "", false
	}
	return n.Value, true
}

func kindName(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "keys and values"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.Tag == "!!null":
		return "nothing"
	}
	return fmt.Sprintf("%q", n.Value)
}

// pairs are the keys and values of a mapping, each key once.
func (d *decoder) pairs(n *yaml.Node, key string, each func(name, value *yaml.Node)) {
	if n.Kind != yaml.MappingNode {
		d.add(n.Line, key, "", "got %s, want keys and values", kindName(n))
		return
	}
	seen := make(map[string]int)
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, value := n.Content[i], n.Content[i+1]
		if name.Kind != yaml.ScalarNode || name.Value == "<<" {
			d.add(name.Line, key, "", "a key is not a word")
			continue
		}
		if was := seen[name.Value]; was > 0 {
			d.add(name.Line, join(key, name.Value), "Keep one of them.", "the key is there already, at line %d", was)
			continue
		}
		seen[name.Value] = name.Line
		each(name, value)
	}
}

// object fills a struct. A struct with a field that is "self" takes a scalar in its place.
func (d *decoder) object(n *yaml.Node, v reflect.Value, key string) {
	t := v.Type()
	fields := make(map[string]int)
	var names []string
	for i := range t.NumField() {
		tag := t.Field(i).Tag.Get("yaml")
		if t.Field(i).Name == "Line" {
			v.Field(i).SetInt(int64(n.Line))
		}
		name, option, _ := strings.Cut(tag, ",")
		if option == "self" {
			d.into(n, v.Field(i), key)
			return
		}
		if name != "" && name != "-" {
			fields[name] = i
			names = append(names, name)
		}
	}
	d.pairs(n, key, func(name, value *yaml.Node) {
		i, ok := fields[name.Value]
		if !ok {
			d.add(name.Line, join(key, name.Value), "", "the key is not known here, want one of %s", strings.Join(names, ", "))
			return
		}
		d.into(value, v.Field(i), join(key, name.Value))
	})
}

// named fills a list from a mapping, in the order of the file; the keys are names.
func (d *decoder) named(n *yaml.Node, v reflect.Value, key string) {
	d.pairs(n, key, func(name, value *yaml.Node) {
		e := reflect.New(v.Type().Elem().Elem())
		d.into(value, e.Elem(), join(key, name.Value))
		e.Elem().FieldByName("Name").SetString(name.Value)
		e.Elem().FieldByName("Line").SetInt(int64(name.Line))
		v.Set(reflect.Append(v, e))
	})
}

func (d *decoder) list(n *yaml.Node, v reflect.Value, key string) {
	if n.Kind != yaml.SequenceNode {
		d.add(n.Line, key, "", "got %s, want a list", kindName(n))
		return
	}
	for i, c := range n.Content {
		e := reflect.New(v.Type().Elem()).Elem()
		at := fmt.Sprintf("%s[%d]", key, i)
		if c.Kind == yaml.MappingNode {
			for j := 0; j+1 < len(c.Content); j += 2 {
				if c.Content[j].Value == "id" && c.Content[j+1].Kind == yaml.ScalarNode {
					at = join(key, c.Content[j+1].Value)
				}
			}
		}
		d.into(c, e, at)
		v.Set(reflect.Append(v, e))
	}
}

func (d *decoder) words(n *yaml.Node, v reflect.Value, key string) {
	v.Set(reflect.MakeMap(v.Type()))
	d.pairs(n, key, func(name, value *yaml.Node) {
		e := reflect.New(v.Type().Elem()).Elem()
		d.into(value, e, join(key, name.Value))
		v.SetMapIndex(reflect.ValueOf(name.Value), e)
	})
}

func (d *decoder) sorted() Problems {
	slices.SortStableFunc(d.problems, func(a, b Problem) int { return a.Line - b.Line })
	return d.problems
}
