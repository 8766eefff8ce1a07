package masking

import (
	"bytes"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/internal/jsontext"
	"github.com/sallyport/sallyport/proxy"
)

// A plan holds no rows, but the server puts what functions return for constants in the
// place of their calls: SELECT secret() may be planned as 'the secret'.

// unquoted is in the place of a literal of a plan.
const unquoted = "***"

// plan hides the literals of a plan, as EXPLAIN shows it, in any of its formats.
type plan struct {
	own    []byte // the text of the statement, whose literals stay
	all    bool   // literals of the statement are hidden, too
	lost   bool   // a line has ended within a literal, so that it is not known where others are
	label  []byte // of the value that is looked at
	dst    []byte
	hidden bool // something
}

// planOf is the plan that a column shows of a statement; nil when it shows none, or
// one that has no literals but the statement's and the catalog's.
func (v *view) planOf(facts *proxy.Facts, text []byte) *plan {
	if facts == nil || facts.Plan == nil {
		return nil
	}
	p := facts.Plan
	all := p.Unknown || slices.ContainsFunc(p.Functions, func(f proxy.Function) bool { return !v.trusts(&f) })
	if !all && !p.Others {
		return nil
	}
	return &plan{own: text, all: all}
}

// hide returns v, a value of the plan, with its literals hidden. It is valid until the
// next call.
func (p *plan) hide(v []byte, isJSON, isXML bool) []byte {
	p.dst = p.dst[:0]
	switch {
	case isJSON:
		p.json(v)
	case isXML:
		p.xml(v)
	case bytes.IndexByte(v, '\n') >= 0:
		p.yaml(v)
	default:
		p.line(v)
	}
	return p.dst
}

// line takes a line of the text format.
func (p *plan) line(v []byte) {
	if p.lost {
		p.put(unquoted)
		return
	}
	rest := bytes.TrimLeft(v, " ->")
	label, value, ok := bytes.Cut(rest, []byte(": "))
	if !ok || len(label) == 0 || label[0] < 'A' || label[0] > 'Z' || bytes.ContainsAny(label, `'"(`) {
		p.label, value = nil, v // the name of a node
	} else {
		p.label = label
		p.dst = append(p.dst, v[:len(v)-len(value)]...)
	}
	if !p.value(value) {
		p.lost = true
	}
}

// sayNumbers are the beginnings of the labels whose values are numbers, and no literals.
var sayNumbers = [...]string{
	"Startup Cost", "Total Cost", "Plan Rows", "Plan Width", "Actual ", "Shared ", "Local ", "Temp ", "Hash Buckets", "Hash Batches", "Cache Hits", "Cache Misses",
	"Cache Evictions", "Cache Overflows", "Sort Space", "Rows Removed", "Heap ", "Buffers", "I/O ", "WAL", "Planning", "Execution", "Sort Method", "Batches", "Buckets", "Worker", "Memory", "Peak ", "Disk",
	"Hits", "Full-sort", "Pre-sorted", "Timing", "JIT", "Functions", "Tuples ", "Conflicting ", "Subplans ", "Query Identifier", "Storage", "Planned Partitions", "HashAgg ",
	"Original ", "Async ", "Exact ", "Lossy ", "Index Searches", "Serialization", "Group Count", "Average ", "Time", "Calls",
}

// sayNames are the labels whose values are names in the formats other than text.
var sayNames = []string{
	"Node Type", "Parent Relationship", "Subplan Name", "Relation Name", "Schema", "Alias", "Index Name", "CTE Name", "Function Name", "Table Function Name",
	"Tuplestore Name", "Trigger Name", "Constraint Name", "Relation", "Strategy", "Partial Mode", "Join Type", "Scan Direction", "Operation", "Command", "Sort Method",
	"Sort Space Type", "Conflict Resolution", "Conflict Arbiter Indexes", "Cache Mode",
}

// value appends v with its literals hidden. It is false when v ends within one.
func (p *plan) value(v []byte) bool {
	if string(p.label) == "Settings" { // of which anybody may have set the values
		p.put(unquoted)
		return true
	}
	numbers := p.label == nil || slices.ContainsFunc(sayNumbers[:], func(s string) bool { return strings.HasPrefix(string(p.label), s) })
	for i := 0; i < len(v); {
		start := i
		switch c := v[i]; {
		case c == '"':
			if i = closing(v, i, false); i < 0 {
				p.put(unquoted)
				return false
			}
			p.dst = append(p.dst, v[start:i]...)
		case c == '\'':
			escapes := i > 0 && v[i-1] == 'E' && (i == 1 || plainByte[v[i-2]] == 0)
			if i = closing(v, i, escapes); i < 0 {
				p.put("'" + unquoted)
				return false
			}
			p.literal(v[start:i], "'"+unquoted+"'")
		case plainByte[c] != 0 || c == '_' || c == '$':
			for i < len(v) && (plainByte[v[i]] != 0 || v[i] == '_' || v[i] == '$' || v[i] == '.' && isDigit(c)) {
				i++
			}
			if isDigit(c) && !numbers && !isNumbered(p.dst) {
				p.literal(v[start:i], unquoted)
			} else {
				p.dst = append(p.dst, v[start:i]...)
			}
		default:
			p.dst = append(p.dst, c)
			i++
		}
	}
	return true
}

// isNumbered reports whether what follows before is the number of another plan.
func isNumbered(before []byte) bool {
	return bytes.HasSuffix(before, []byte("SubPlan ")) || bytes.HasSuffix(before, []byte("InitPlan ")) || bytes.HasSuffix(before, []byte("rescan "))
}

// closing returns the position after what begins with the quote v[i], -1 when it does not
// end.
func closing(v []byte, i int, escapes bool) int {
	quote := v[i]
	for i++; i < len(v); i++ {
		switch {
		case escapes && v[i] == '\\':
			i++
		case v[i] != quote:
		case i+1 < len(v) && v[i+1] == quote:
			i++
		default:
			return i + 1
		}
	}
	return -1
}

// literal appends v, or what is shown instead.
func (p *plan) literal(v []byte, instead string) {
	if p.all || !p.owns(v) {
		p.put(instead)
		return
	}
	p.dst = append(p.dst, v...)
}

// owns reports whether the statement has a literal, as it is written.
func (p *plan) owns(v []byte) bool {
	for from := 0; ; {
		i := bytes.Index(p.own[from:], v)
		if i < 0 {
			return false
		}
		start := from + i
		end := start + len(v)
		if v[0] == '\'' || (start == 0 || plainByte[p.own[start-1]] == 0) && (end == len(p.own) || plainByte[p.own[end]] == 0) {
			return true
		}
		from = start + 1
	}
}

func (p *plan) put(s string) {
	p.dst, p.hidden = append(p.dst, s...), true
}

// shows reports whether a whole value is shown, in a format that ends values itself.
func (p *plan) shows(label, v []byte) bool {
	if len(label) == 0 || label[0] < 'A' || label[0] > 'Z' { // of a setting
		return false
	}
	if slices.Contains(sayNames, string(label)) {
		return true
	}
	at, hidden := len(p.dst), p.hidden
	p.label, p.hidden = label, false
	whole := p.value(v)
	shown := whole && !p.hidden
	p.dst, p.hidden = p.dst[:at], hidden || !shown
	return shown
}

// json takes a plan in JSON, of which texts that have a literal are hidden.
func (p *plan) json(v []byte) {
	var key []byte
	for i := 0; i < len(v); {
		if v[i] != '"' {
			p.dst = append(p.dst, v[i])
			i++
			continue
		}
		end := jsontext.StringEnd(v, i)
		inside := v[i+1 : max(end-1, i+1)]
		if next := jsontext.SkipSpace(v, end); next < len(v) && v[next] == ':' {
			key = inside
			p.dst = append(p.dst, v[i:end]...)
		} else if p.shows(key, unescaped(inside)) {
			p.dst = append(p.dst, v[i:end]...)
		} else {
			p.put(`"` + unquoted + `"`)
		}
		i = end
	}
}

// yaml takes a plan in YAML, whose texts are written as in JSON.
func (p *plan) yaml(v []byte) {
	var key []byte
	for line := range bytes.Lines(v) {
		start := bytes.IndexByte(line, '"')
		before := line
		if start >= 0 {
			before = line[:start]
		}
		if name, _, ok := bytes.Cut(bytes.TrimLeft(before, " -"), []byte(":")); ok {
			key = name
		}
		if start < 0 {
			p.dst = append(p.dst, line...)
			continue
		}
		end := jsontext.StringEnd(line, start)
		p.dst = append(p.dst, before...)
		if p.shows(key, unescaped(line[start+1:max(end-1, start+1)])) {
			p.dst = append(p.dst, line[start:end]...)
		} else {
			p.put(`"` + unquoted + `"`)
		}
		p.dst = append(p.dst, line[end:]...)
	}
}

var ofXML = strings.NewReplacer("&lt;", "<", "&gt;", ">", "&amp;", "&", "&#x0d;", "\r")

// xml takes a plan in XML.
func (p *plan) xml(v []byte) {
	var key []byte
	for len(v) > 0 {
		if v[0] == '<' {
			end := bytes.IndexByte(v, '>') + 1
			if end == 0 {
				end = len(v)
			}
			if tag := bytes.Trim(v[:end], "<>"); len(tag) > 0 && tag[0] != '/' && string(tag) != "Item" {
				key = bytes.ReplaceAll(tag, []byte("-"), []byte(" "))
			}
			p.dst = append(p.dst, v[:end]...)
			v = v[end:]
			continue
		}
		end := bytes.IndexByte(v, '<')
		if end < 0 {
			end = len(v)
		}
		if text := v[:end]; len(bytes.TrimSpace(text)) == 0 || p.shows(key, []byte(ofXML.Replace(string(text)))) {
			p.dst = append(p.dst, text...)
		} else {
			p.put(unquoted)
		}
		v = v[end:]
	}
}

// unescaped is the text of the inside of a string of JSON.
func unescaped(v []byte) []byte {
	if bytes.IndexByte(v, '\\') < 0 {
		return v
	}
	out := make([]byte, 0, len(v))
	for i := 0; i < len(v); i++ {
		if v[i] == '\\' && i+1 < len(v) {
			i++
			switch v[i] {
			case 'n', 'r', 't', 'b', 'f', 'u': // none of them is a quote
				out = append(out, ' ')
				continue
			}
		}
		out = append(out, v[i])
	}
	return out
}
