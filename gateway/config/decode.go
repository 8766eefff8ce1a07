package config

import (
	"cmp"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/sallyport/sallyport/protocol"
	"github.com/sallyport/sallyport/secrets"
)

// Problem is one thing that is wrong in a config file.
type Problem struct {
	File string
	Line int
	Text string
	Hint string // what to do about it; may be empty
}

// String returns "file:line: text (hint)".
func (p Problem) String() string {
	s := fmt.Sprintf("%s:%d: %s", p.File, p.Line, p.Text)
	if p.Hint != "" {
		s += " (" + p.Hint + ")"
	}
	return s
}

// Problems are all things that are wrong, in the order of their lines.
type Problems []Problem

// Error lists the problems, a line each.
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// decoder fills structs from YAML. It goes on after a problem, so that all of
// them are found at once. It reads no more YAML than it needs: no anchors, no
// tags, no duplicate keys.
type decoder struct {
	file      string
	objects   *objects // of the store; nil when the file is read by itself
	problems  Problems
	protocols []protocol.Protocol
	kinds     []secrets.Kind // of sources of secrets
	places    map[string]int // lines of the keys of File.Listen

	malformed int             // problems by which what was read is not what was meant
	checking  bool            // the file is read, and is checked as a whole
	tainted   map[int]bool    // lines of values of which something is malformed
	broken    map[string]bool // sections of the file of which something is malformed
}

// Position is where a value is in its file. The decoder sets fields of this type.
type Position struct{ Line int }

// problem notes what is wrong at a line. While the file is checked as a whole it is
// dropped where it may follow from what was malformed.
func (d *decoder) problem(line int, hint, format string, args ...any) {
	if d.checking && d.tainted[line] {
		return
	}
	d.malformed++
	d.note(line, hint, format, args...)
}

// unknown notes a key that does not exist. What else is there can be checked still.
func (d *decoder) unknown(k *yaml.Node, at string, known []string) {
	d.note(k.Line, suggest(k.Value, known), "unknown key %q", at)
}

func (d *decoder) note(line int, hint, format string, args ...any) {
	file := d.file
	if d.objects != nil {
		file, line = d.objects.place(file, line)
	}
	d.problems = append(d.problems, Problem{file, line, fmt.Sprintf(format, args...), hint})
}

var (
	positionType = reflect.TypeFor[Position]()
	durationType = reflect.TypeFor[time.Duration]()
	selectorType = reflect.TypeFor[Selector]()
	resourceType = reflect.TypeFor[Resource]()
	listenType   = reflect.TypeFor[Listen]()
	sourcesType  = reflect.TypeFor[SecretSources]()
	linkType     = reflect.TypeFor[*LoginLink]()
)

// maxDepth bounds how deep values may be nested.
const maxDepth = 20

func (d *decoder) decode(n *yaml.Node, v reflect.Value, path string, depth int) {
	if !d.readable(n, path, depth) {
		return
	}
	if v.Type() == resourceType { // which is never nothing: it has a type
		d.resource(n, v, path, depth)
		return
	}
	if v.Type() == selectorType { // nothing would choose everything
		d.selector(n, v.Addr().Interface().(*Selector), path, depth)
		return
	}
	if null(n) {
		return // "key:" with nothing after it is the zero value
	}
	switch {
	case v.Type() == listenType:
		d.listen(n, v.Addr().Interface().(*Listen), path)
		return
	case v.Type() == sourcesType:
		d.sources(n, v.Addr().Interface().(*SecretSources), path, depth)
		return
	case v.Type() == durationType:
		d.duration(n, v, path)
		return
	case v.Type() == linkType:
		d.link(n, v.Addr().Interface().(**LoginLink), path, depth)
		return
	case v.Kind() == reflect.Struct:
		d.object(n, v, path, depth)
		return
	case v.Kind() == reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		d.decode(n, v.Elem(), path, depth)
		return
	case v.Kind() == reflect.Slice:
		if n.Kind != yaml.SequenceNode {
			hint := "write it as [a, b]"
			if v.Type().Elem().Kind() == reflect.Struct {
				hint = "begin each entry with a dash, such as - {key: value}"
			}
			d.problem(n.Line, hint, "%s must be a list", path)
			return
		}
		v.SetZero() // a list in the file takes the place of the default
		for i, item := range n.Content {
			e := reflect.New(v.Type().Elem()).Elem()
			d.decode(item, e, path+"["+strconv.Itoa(i)+"]", depth+1)
			v.Set(reflect.Append(v, e))
		}
		return
	case v.Kind() == reflect.Map:
		d.mapping(n, v, path, depth)
		return
	}
	if n.Kind != yaml.ScalarNode {
		d.problem(n.Line, "", "%s must be a single value", path)
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(n.Value)
	case reflect.Bool:
		b, err := strconv.ParseBool(n.Value)
		if err != nil {
			d.problem(n.Line, "", "%s must be true or false", path)
		}
		v.SetBool(b)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		bits := v.Type().Bits()
		if v.Kind() == reflect.Int {
			bits = 32 // what a file says means the same on every machine
		}
		i, err := strconv.ParseInt(n.Value, 10, bits)
		if err != nil {
			d.problem(n.Line, "", "%s must be a number", path)
		}
		v.SetInt(i)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		bits := v.Type().Bits()
		if v.Kind() == reflect.Uint {
			bits = 32
		}
		u, err := strconv.ParseUint(n.Value, 10, bits)
		if err != nil {
			d.problem(n.Line, "", "%s must be a number that is not negative", path)
		}
		v.SetUint(u)
	case reflect.Float32, reflect.Float64:
		f, err := strconv.ParseFloat(n.Value, v.Type().Bits())
		if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
			d.problem(n.Line, "", "%s must be a number", path)
			f = 0
		}
		v.SetFloat(f)
	default: // of a protocol's settings
		d.problem(n.Line, "remove it, and tell the author of the protocol", "%s has the type %s, which cannot be read from a file", path, v.Type())
	}
}

// readable reports whether n may be read at all.
func (d *decoder) readable(n *yaml.Node, path string, depth int) bool {
	if depth > maxDepth {
		d.problem(n.Line, "", "%s is nested too deeply", path)
		return false
	}
	if n.Kind == yaml.AliasNode || n.Anchor != "" {
		d.problem(n.Line, "write the value out", "%s uses an anchor, which is not supported in this file", path)
		return false
	}
	return true
}

func (d *decoder) duration(n *yaml.Node, v reflect.Value, path string) {
	t, err := time.ParseDuration(n.Value)
	if err != nil || t < 0 {
		d.problem(n.Line, "", "%s must be a time such as 30s, 15m or 8h", path)
		return
	}
	v.SetInt(int64(t))
}

func null(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

// given reports whether n says anything, and a problem when it does not: a choice
// that was emptied would choose everything, as one that is left out does.
func (d *decoder) given(n *yaml.Node, path string) bool {
	if !null(n) && (n.Kind == yaml.ScalarNode || len(n.Content) > 0) {
		return true
	}
	d.problem(n.Line, "say what it is for, or leave it out when it is for everything", "%s is empty", path)
	return false
}

// selector reads a list of names, or labels.
func (d *decoder) selector(n *yaml.Node, s *Selector, path string, depth int) {
	if !d.given(n, path) {
		return
	}
	if n.Kind == yaml.SequenceNode {
		d.decode(n, reflect.ValueOf(&s.Names).Elem(), path, depth)
		return
	}
	d.decode(n, reflect.ValueOf(&s.Labels).Elem(), path, depth)
	for i := 1; n.Kind == yaml.MappingNode && i < len(n.Content); i += 2 {
		d.given(n.Content[i], path+"."+n.Content[i-1].Value)
	}
}

// fields are the fields of a struct by their keys, which are in their tags.
type fields struct {
	keys     []string
	index    map[string]int
	later    map[string]bool
	chooses  map[string]bool // what an entry is for: not empty when it is given
	position int             // of the field that is a Position; -1 when no field is one
}

func fieldsOf(t reflect.Type) fields {
	out := fields{index: make(map[string]int), later: make(map[string]bool), chooses: make(map[string]bool), position: -1}
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Type == positionType {
			out.position = i
			continue
		}
		key, option, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if key == "" || key == "-" || !f.IsExported() {
			continue
		}
		out.index[key] = i
		out.keys = append(out.keys, key)
		out.later[key] = option == "later"
		out.chooses[key] = option == "chooses"
	}
	return out
}

// place notes in v where it is.
func (f *fields) place(v reflect.Value, line int) {
	if f.position >= 0 {
		v.Field(f.position).Set(reflect.ValueOf(Position{line}))
	}
}

// unsure reports whether what the file refers to may be missing because it could not be
// read.
func (d *decoder) unsure() bool { return d.broken["resources"] || d.broken["identity"] }

// taint notes that something was malformed in the value at a line, if more is than
// before.
func (d *decoder) taint(line, before int) {
	if d.malformed > before {
		if d.tainted == nil {
			d.tainted = make(map[int]bool)
		}
		d.tainted[line] = true
	}
}

// has reports whether a mapping has a key.
func has(n *yaml.Node, key string) bool {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return true
		}
	}
	return false
}

// object fills the struct v from a mapping.
func (d *decoder) object(n *yaml.Node, v reflect.Value, path string, depth int) {
	if n.Kind != yaml.MappingNode {
		d.problem(n.Line, "", "%s must be keys and values", cmp.Or(path, "the file"))
		return
	}
	known := fieldsOf(v.Type())
	known.place(v, n.Line)
	if path != "" {
		defer d.taint(n.Line, d.malformed)
	}
	seen := make(map[string]bool)
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, val := n.Content[i], n.Content[i+1]
		at, before := k.Value, d.malformed
		if path != "" {
			at = path + "." + k.Value
		}
		field, ok := known.index[k.Value]
		switch {
		case !ok:
			d.unknown(k, at, known.keys)
			if meant := closest(k.Value, known.keys); meant != "" && !has(n, meant) && !known.later[meant] {
				d.decode(val, v.Field(known.index[meant]), at, depth+1) // so that its absence is not found as well
			}
		case known.later[k.Value]:
			d.problem(k.Line, "remove it", "%q is not available in this version", at)
		case seen[k.Value]:
			d.problem(k.Line, "", "%q is given twice", at)
		case known.chooses[k.Value] && !d.given(val, at):
		default:
			d.decode(val, v.Field(field), at, depth+1)
		}
		seen[k.Value] = true
		if path == "" && d.malformed > before {
			d.broken[k.Value] = true
		}
	}
}

func (d *decoder) mapping(n *yaml.Node, v reflect.Value, path string, depth int) {
	if n.Kind != yaml.MappingNode {
		d.problem(n.Line, "write it as {key: value}", "%s must be keys and values", path)
		return
	}
	v.Set(reflect.MakeMap(v.Type()))
	for i := 0; i+1 < len(n.Content); i += 2 {
		k := n.Content[i]
		if v.MapIndex(reflect.ValueOf(k.Value)).IsValid() {
			d.problem(k.Line, "", "%s.%s is given twice", path, k.Value)
		}
		e := reflect.New(v.Type().Elem()).Elem()
		d.decode(n.Content[i+1], e, path+"."+k.Value, depth+1)
		v.SetMapIndex(reflect.ValueOf(k.Value), e)
	}
}

// closest returns the known word that is like got; empty when no word is.
func closest(got string, known []string) string {
	best, at := min(3, max(2, len(got)-1)), ""
	for _, k := range known {
		if dist := distance(got, k); dist < best {
			best, at = dist, k
		}
	}
	return at
}

// manyWords is more than somebody reads in a hint.
const manyWords = 12

// suggest returns a hint that names the closest of the known words, or all of
// them when they are few.
func suggest(got string, known []string) string {
	if at := closest(got, known); at != "" {
		return fmt.Sprintf("did you mean %q?", at)
	}
	list := slices.Clone(known)
	slices.Sort(list)
	if len(list) > manyWords {
		return fmt.Sprintf("docs/config.md has the %d words that are known here", len(list))
	}
	return "known here: " + strings.Join(list, ", ")
}

// distance is the number of edits between two words (Levenshtein).
func distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return 64
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
