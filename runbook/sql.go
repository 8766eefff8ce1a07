package runbook

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Dialect is how a kind of database writes what a statement needs.
type Dialect struct {
	// Numbered says that parameters are written $1, $2; otherwise each is a ?.
	Numbered bool
	// Quote is what names are quoted by.
	Quote byte
}

// sqlTemplate is a statement in which values are parameters.
type sqlTemplate struct {
	parts    []sqlPart
	reads    bool // it begins as a query does
	first    string
	question bool // a ? outside of literals
	hash     bool // a # outside of literals
}

// sqlPart is a part of a statement: text, a value, or the name of an identifier parameter.
type sqlPart struct {
	text  string
	ref   *Ref
	ident string
}

// sqlError is what a statement may not have, and what to do instead.
type sqlError struct {
	at           int
	text, remedy string
}

func (e *sqlError) Error() string { return e.text }

func isWord(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}

// compileSQL reads a statement by what scanners of all dialects agree about, and refuses the
// rest.
func compileSQL(text string) (*sqlTemplate, error) {
	t := &sqlTemplate{}
	begun := 0 // of the text that is not in a part yet
	flush := func(to int) {
		if to > begun {
			t.parts = append(t.parts, sqlPart{text: text[begun:to]})
		}
	}
	for i := 0; i < len(text); {
		fail := func(remedy, format string, args ...any) (*sqlTemplate, error) {
			return nil, &sqlError{i, fmt.Sprintf(format, args...), remedy}
		}
		switch c := text[i]; {
		case c == 0:
			return fail("", "the statement holds a NUL")
		case c == '\'' || c == '"' || c == '`':
			end := strings.IndexByte(text[i+1:], c)
			if end < 0 {
				return fail("Close it.", "a quote %c is not closed", c)
			}
			inner := text[i+1 : i+1+end]
			if strings.Contains(inner, `\`) {
				return fail("Make the text a parameter.", `a literal holds a \, which databases read differently`)
			}
			if inside.MatchString(strings.ReplaceAll(inner, "`", "")) {
				return fail("Leave the quotes out: $name is bound as a value.", "a literal holds a value: %s", clip(inner))
			}
			i += end + 2
		case strings.HasPrefix(text[i:], "--"):
			if i+2 < len(text) && !strings.ContainsRune(" \t\n", rune(text[i+2])) {
				return fail("Write a space after --.", "-- without a space is a comment in some databases only")
			}
			if end := strings.IndexByte(text[i:], '\n'); end >= 0 {
				i += end
			} else {
				i = len(text)
			}
		case strings.HasPrefix(text[i:], "/*"):
			end := strings.Index(text[i+2:], "*/")
			if end < 0 {
				return fail("Close it.", "a comment is not closed")
			}
			if inner := text[i+2 : i+2+end]; strings.HasPrefix(inner, "!") || strings.HasPrefix(inner, "M!") || strings.Contains(inner, "/*") {
				return fail("Write a plain comment.", "a comment that some databases run, or that is nested")
			}
			i += end + 4
		case c == ';':
			if strings.TrimSpace(text[i+1:]) != "" {
				return fail("Make a step of each statement.", "the step has several statements")
			}
			flush(i)
			return t.finish(text)
		case strings.HasPrefix(text[i:], "{{"):
			end := strings.Index(text[i:], "}}")
			name, ok := "", false
			if end > 0 {
				name, ok = strings.CutPrefix(text[i+2:i+end], "ident:")
			}
			if !ok || !wordName.MatchString(name) {
				return fail("The only one is {{ident:NAME}}, with an identifier parameter; values are written $name.", "text is put into the statement")
			}
			flush(i)
			t.parts = append(t.parts, sqlPart{ident: name})
			i += end + 2
			begun = i
		case c == '$':
			n := i + 1
			for n < len(text) && isWord(text[n]) {
				n++
			}
			name := text[i+1 : n]
			switch {
			case i > 0 && isWord(text[i-1]):
				return fail("Quote the name.", "a name holds a $")
			case n < len(text) && text[n] == '$', strings.HasPrefix(text[i:], "${"), name == "":
				return fail("Use plain literals, and $name for values.", "a $ that is not a value's")
			case name[0] >= '0' && name[0] <= '9':
				return fail("Name it: $order_id.", "$%s has no name", name)
			case !wordName.MatchString(name):
				return fail("", "$%s is not a name of a parameter", clip(name))
			}
			ref := &Ref{Name: name}
			if n+1 < len(text) && text[n] == '.' && isWord(text[n+1]) {
				end := n + 1
				for end < len(text) && isWord(text[end]) {
					end++
				}
				ref, n = &Ref{Step: name, Name: text[n+1 : end]}, end
			}
			flush(i)
			t.parts = append(t.parts, sqlPart{ref: ref})
			i, begun = n, n
		default:
			t.question = t.question || c == '?'
			t.hash = t.hash || c == '#'
			i++
		}
	}
	flush(len(text))
	return t.finish(text)
}

func (t *sqlTemplate) finish(text string) (*sqlTemplate, error) {
	first := strings.ToLower(firstWord(text))
	if first == "" {
		return nil, &sqlError{0, "the step has no statement", ""}
	}
	if slices.Contains([]string{"begin", "start", "commit", "rollback", "savepoint", "release", "abort", "end", "prepare", "execute", "deallocate", "copy", "load", "delimiter"}, first) {
		return nil, &sqlError{0, "a step may not be " + strings.ToUpper(first), "The run begins and ends transactions itself, and binds values itself."}
	}
	t.first = first
	t.reads = slices.Contains([]string{"select", "show", "values", "table", "describe", "explain"}, first) && !acts.MatchString(text)
	return t, nil
}

// firstWord is the first word of a statement, after comments.
func firstWord(text string) string {
	for {
		text = strings.TrimLeft(text, " \t\r\n(")
		switch {
		case strings.HasPrefix(text, "--"):
			_, text, _ = strings.Cut(text, "\n")
		case strings.HasPrefix(text, "/*"):
			_, text, _ = strings.Cut(text, "*/")
		default:
			n := 0
			for n < len(text) && isWord(text[n]) {
				n++
			}
			return text[:n]
		}
	}
}

// acts are words by which what begins as a query does more than that: it writes a table, a file or a variable, or runs what it explains.
var acts = regexp.MustCompile(`(?i)\b(?:into|analy[sz]e)\b`)

// undone are statements that every database takes back with their transaction; others, some databases commit by themselves.
var undone = []string{"select", "values", "table", "show", "with", "insert", "update", "delete", "replace"}

// rollsBack reports whether a database of the dialect takes the statement back.
func (t *sqlTemplate) rollsBack(d Dialect) bool {
	return d.Numbered || slices.Contains(undone, t.first)
}

// refs are the values of a statement, and idents its identifiers.
func (t *sqlTemplate) refs() (refs []*Ref, idents []string) {
	for _, p := range t.parts {
		if p.ref != nil {
			refs = append(refs, p.ref)
		}
		if p.ident != "" {
			idents = append(idents, p.ident)
		}
	}
	return refs, idents
}

// write returns the statement of a dialect, and which values are bound, in their order. ident
// returns the name that an identifier parameter has.
func (t *sqlTemplate) write(d Dialect, ident func(name string) (string, error)) (text string, bound []Ref, err error) {
	if !d.Numbered && (t.question || t.hash) {
		return "", nil, errors.New("the statement holds a ? or a # outside of a literal, which means something else at this database")
	}
	var b strings.Builder
	for _, p := range t.parts {
		switch {
		case p.ident != "":
			name, err := ident(p.ident)
			if err != nil {
				return "", nil, err
			}
			if !identifier.MatchString(name) { // so that nothing is to be escaped
				return "", nil, fmt.Errorf("%q cannot be an identifier", clip(name))
			}
			b.WriteString(string(d.Quote) + name + string(d.Quote))
		case p.ref == nil:
			b.WriteString(p.text)
		case d.Numbered:
			n := slices.Index(bound, *p.ref)
			if n < 0 {
				n, bound = len(bound), append(bound, *p.ref)
			}
			b.WriteString("$" + strconv.Itoa(n+1))
		default:
			bound = append(bound, *p.ref)
			b.WriteByte('?')
		}
	}
	return strings.TrimSpace(b.String()), bound, nil
}
