package detect

import (
	"slices"
	"strings"

	"github.com/sallyport/sallyport/internal/jsontext"
)

// Values of arrays, rows and documents are not one finding as a whole. What is taken
// out of them, in whatever way, may be what is found inside.

// maxMembers bounds how many keys are kept of one column.
const maxMembers = 512

// structured reports whether values of a type of the database's have parts.
func structured(dbType string, values [][]byte) bool {
	switch dbType {
	case "json", "jsonb", "xml", "hstore":
		return true
	case "text", "character varying", "character", "name", "citext":
		return false
	}
	row := func(v []byte) bool { return len(v) > 1 && v[0] == '(' }
	return strings.HasSuffix(dbType, "[]") || len(values) > 0 && !slices.ContainsFunc(values, func(v []byte) bool { return !row(v) && !absent(v) })
}

// inside is what is found inside of at least one in five of values, and of JSON under
// which keys; keys that say what they hold count as found.
func (p *Detector) inside(values [][]byte, isJSON bool) (typ Type, under map[string]Type) {
	hits, seen := map[Type]int{}, 0
	if isJSON {
		under = map[string]Type{}
	}
	var found []Finding
	for _, v := range values {
		if absent(v) {
			continue
		}
		seen++
		found = p.FindNamed(found[:0], v, 0)
		if isJSON {
			found = p.keyed(found, v, under)
		}
		counted := map[Type]bool{}
		for _, f := range found {
			if !counted[f.Type] && !checked(f.Type) {
				counted[f.Type] = true
				hits[f.Type]++
			}
		}
	}
	most := 0
	for t, n := range hits {
		if n*5 >= seen && (n > most || n == most && t < typ) {
			typ, most = t, n
		}
	}
	return typ, under
}

// keyed notes in under the keys of the JSON text v around what was found in it, and
// adds the values of keys that say what they hold.
func (p *Detector) keyed(found []Finding, v []byte, under map[string]Type) []Finding {
	var around []string // the keys of what is open, empty of elements
	note := func(t Type) {
		for _, k := range around {
			if k != "" && len(under) < maxMembers {
				under[k] = t
			}
		}
	}
	key := ""
	value := func(start, end int) { // of key, or an element
		around = append(around, key)
		if t, ok := p.TypeOfName(key); ok && key != "" && end > start {
			found = append(found, Finding{start, end, t, 100})
		}
		for _, f := range found {
			if f.Start < end && f.End > start {
				note(f.Type)
			}
		}
		around, key = around[:len(around)-1], ""
	}
	for i := 0; i < len(v); {
		switch c := v[i]; {
		case c == '"':
			end := jsontext.StringEnd(v, i)
			if k := jsontext.SkipSpace(v, end); k < len(v) && v[k] == ':' {
				key = strings.ToLower(string(v[i+1 : max(end-1, i+1)]))
				i = k + 1
				continue
			}
			value(i+1, max(end-1, i+1))
			i = max(end, i+1)
		case c == '{' || c == '[':
			around = append(around, key)
			key = ""
			i++
		case c == '}' || c == ']':
			if len(around) > 0 {
				around = around[:len(around)-1]
			}
			i++
		case isAlnum(c) || c == '-':
			_, end := jsontext.BareToken(v, i, i)
			value(i, max(end, i+1))
			i = max(end, i+1)
		default:
			i++
		}
	}
	return found
}
