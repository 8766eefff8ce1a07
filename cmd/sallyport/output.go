package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"
)

// apiVersion is that of what is printed as JSON and YAML: keys may be added under it, and
// none goes away or means something else.
const apiVersion = "sallyport/v1"

// output is how a command prints what it shows: the flags --output and --stream.
type output struct {
	format string
	forms  []string
	stream bool
}

// outputFlag adds --output with the forms that a command has, of which the first is used
// unless another is named.
func outputFlag(f *pflag.FlagSet, usage string, forms ...string) *output {
	o := &output{format: forms[0], forms: forms}
	f.VarP(o, "output", "o", "`format`: "+anyOf(forms)+usage)
	return o
}

// listFlags adds --output and --stream of a command that lists.
func listFlags(f *pflag.FlagSet) *output {
	o := outputFlag(f, "", "table", "wide", "json", "yaml")
	f.BoolVar(&o.stream, "stream", false, "with --output json: an object per line")
	return o
}

func (o *output) String() string { return o.format }
func (o *output) Type() string   { return "format" }

func (o *output) Set(s string) error {
	if !slices.Contains(o.forms, s) {
		return fmt.Errorf("unknown format %q: want %s", s, anyOf(o.forms))
	}
	o.format = s
	return nil
}

func anyOf(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// column is one of a table's, which only the wide form has when it is wide.
type column[T any] struct {
	name string
	wide bool
	cell func(T) string
}

// localTime is a time as tables show it; empty where it is not known.
func localTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format(time.DateTime)
}

// printList prints what was found. Identifiers are never cut.
func printList[T any](w io.Writer, o *output, kind string, items []T, columns ...column[T]) error {
	if o.stream && o.format != "json" {
		return fail(exitUsage, "--stream is for --output json")
	}
	switch {
	case o.stream:
		for _, item := range items {
			b, err := versioned(kind, item)
			if err == nil {
				_, err = w.Write(append(b, '\n'))
			}
			if err != nil {
				return err
			}
		}
		return nil
	case o.format == "json", o.format == "yaml":
		if items == nil {
			items = []T{} // a list of nothing, rather than no list
		}
		return printObject(w, o, kind+"List", struct {
			Items []T `json:"items"`
		}{items})
	}
	shown := slices.DeleteFunc(slices.Clone(columns), func(c column[T]) bool { return c.wide && o.format != "wide" })
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	line := func(cell func(column[T]) string) {
		for i, c := range shown {
			if i > 0 {
				io.WriteString(t, "\t") // an error comes back from Flush
			}
			io.WriteString(t, cell(c))
		}
		io.WriteString(t, "\n")
	}
	line(func(c column[T]) string { return c.name })
	for _, item := range items {
		line(func(c column[T]) string { return visible(c.cell(item)) })
	}
	return t.Flush()
}

// printObject prints one object as JSON or as YAML.
func printObject(w io.Writer, o *output, kind string, v any) error {
	b, err := versioned(kind, v)
	if err != nil {
		return err
	}
	if o.format == "yaml" {
		return printYAML(w, b)
	}
	var indented bytes.Buffer
	if err := json.Indent(&indented, b, "", "  "); err != nil {
		return err
	}
	indented.WriteByte('\n')
	_, err = indented.WriteTo(w)
	return err
}

// versioned is an object as JSON, which begins with its version and kind.
func versioned(kind string, v any) ([]byte, error) {
	head, err := json.Marshal(struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
	}{apiVersion, kind})
	if err != nil {
		return nil, err
	}
	var body bytes.Buffer
	enc := json.NewEncoder(&body)
	enc.SetEscapeHTML(false) // statements have < and >
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	members := bytes.TrimPrefix(bytes.TrimSpace(body.Bytes()), []byte("{"))
	head = head[:len(head)-1]
	if len(members) > 1 {
		head = append(head, ',')
	}
	return append(head, members...), nil
}

// printYAML prints JSON as YAML, with its keys in their order.
func printYAML(w io.Writer, text []byte) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	n, err := yamlNode(d)
	if err != nil {
		return err
	}
	enc := yaml.NewEncoder(w)
	enc.SetIndent(2)
	if err := enc.Encode(n); err != nil {
		return err
	}
	return enc.Close()
}

func yamlNode(d *json.Decoder) (*yaml.Node, error) {
	t, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch t := t.(type) {
	case json.Delim:
		n := &yaml.Node{Kind: yaml.MappingNode}
		if t == '[' {
			n.Kind = yaml.SequenceNode
		}
		for d.More() {
			inner, err := yamlNode(d) // keys are strings among the members
			if err != nil {
				return nil, err
			}
			n.Content = append(n.Content, inner)
		}
		_, err := d.Token() // its end
		return n, err
	case string:
		n := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: t}
		if t == "<<" { // which the encoder leaves bare, and readers take for a merge
			n.Style = yaml.DoubleQuotedStyle
		}
		return n, nil
	case nil:
		return &yaml.Node{Kind: yaml.ScalarNode, Value: "null"}, nil
	default:
		return &yaml.Node{Kind: yaml.ScalarNode, Value: fmt.Sprint(t)}, nil
	}
}
