package scim

import (
	"fmt"
	"strings"
)

// attrPath names an attribute: [SCHEMA:]NAME[FILTER][.SUB].
type attrPath struct {
	extension string // the schema of an extension, empty for the core's
	name      string // empty: the extension as a whole
	where     filter // of a list's values
	equal     [2]string
	sub       string
}

func badPath(text string) error {
	return &problem{400, "invalidPath", fmt.Sprintf("the path %.80q is not understood", text)}
}

// parsePath reads a path, of a filter or a change.
func parsePath(text string) (*attrPath, error) {
	if len(text) > maxFilter {
		return nil, badPath(text)
	}
	p, rest := &attrPath{}, text
	if strings.HasPrefix(strings.ToLower(rest), "urn:") {
		for _, schema := range []string{schemaUser, schemaGroup, schemaEnterprise} {
			if strings.EqualFold(rest, schema) && schema == schemaEnterprise {
				p.extension = schema
				return p, nil
			}
			if len(rest) > len(schema) && strings.EqualFold(rest[:len(schema)], schema) && rest[len(schema)] == ':' {
				if schema == schemaEnterprise {
					p.extension = schema
				}
				rest = rest[len(schema)+1:]
				break
			}
		}
		if strings.HasPrefix(strings.ToLower(rest), "urn:") { // another's extension
			head := rest
			if n := strings.IndexByte(rest, '['); n >= 0 {
				head = rest[:n]
			}
			at := strings.LastIndexByte(head, ':')
			p.extension, rest = rest[:at], rest[at+1:]
		}
	}
	if n := strings.IndexByte(rest, '['); n >= 0 {
		end := strings.LastIndexByte(rest, ']')
		if end < n {
			return nil, badPath(text)
		}
		inner := rest[n+1 : end]
		var err error
		if p.where, err = parseFilter(inner); err != nil {
			return nil, err
		}
		p.equal = equality(inner)
		tail := rest[end+1:]
		if tail != "" && !strings.HasPrefix(tail, ".") {
			return nil, badPath(text)
		}
		p.name, p.sub = rest[:n], strings.TrimPrefix(tail, ".")
		if tail == "." {
			return nil, badPath(text)
		}
	} else {
		var dotted bool
		if p.name, p.sub, dotted = strings.Cut(rest, "."); dotted && p.sub == "" {
			return nil, badPath(text)
		}
	}
	if !attribute(p.name) || p.sub != "" && !attribute(p.sub) {
		return nil, badPath(text)
	}
	return p, nil
}

// equality returns the attribute and the text of a filter such as `type eq "work"`, of
// which a value can be made that it holds for.
func equality(text string) [2]string {
	f := strings.SplitN(strings.TrimSpace(text), " ", 3)
	if len(f) == 3 && strings.EqualFold(f[1], "eq") && attribute(f[0]) {
		v, err := (&parser{rest: f[2]}).value()
		if s, ok := v.(string); ok && err == nil && strings.TrimSpace(f[2])[0] == '"' && !strings.Contains(f[2][1:len(strings.TrimRight(f[2], " "))-1], `"`) {
			return [2]string{f[0], s}
		}
	}
	return [2]string{}
}

func attribute(name string) bool {
	if name == "" || len(name) > 128 {
		return false
	}
	for i, c := range name {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (i == 0 && c != '$' || i > 0 && c != '-' && c != '_' && (c < '0' || c > '9')) {
			return false
		}
	}
	return true
}

// exact reports whether values are compared with their case: those that identify.
func (p *attrPath) exact() bool {
	last := p.name
	if p.sub != "" {
		last = p.sub
	}
	return strings.EqualFold(last, "id") || strings.EqualFold(last, "externalId") || strings.EqualFold(p.name, "members") || strings.EqualFold(last, "value") && p.sub == ""
}

// home returns the object that has the attribute; nil when the extension is not there
// and it is not made.
func (p *attrPath) home(m map[string]any, make_ bool) map[string]any {
	if p.extension == "" {
		return m
	}
	k := key(m, p.extension)
	ext, ok := m[k].(map[string]any)
	if !ok && make_ {
		ext = make(map[string]any)
		m[k] = ext
	}
	return ext
}

// values returns what a filter compares: the elements of lists one by one.
func (p *attrPath) values(m map[string]any) []any {
	home := p.home(m, false)
	if home == nil {
		return nil
	}
	v, ok := home[key(home, p.name)]
	if !ok {
		return nil
	}
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	if p.sub == "" {
		return list
	}
	var out []any
	for _, e := range list {
		if o, ok := e.(map[string]any); ok {
			if v, ok := o[key(o, p.sub)]; ok {
				out = append(out, v)
			}
		}
	}
	return out
}
