package postgres

import (
	"iter"
	"strings"

	"github.com/sallyport/sallyport/protocol/sql"
)

// A function in PL/pgSQL may set the search_path or the role, make a temporary table or
// alter others, and then names mean something else to the session. The gateway does
// not read the language. But all of that takes words that are written in the text:
// its text, or that of a function that it names. A function without such a word is
// quiet.

// loudWords are the words of which one is in every text that changes what names
// mean, or that runs other text.
var loudWords = func() map[string]bool {
	m := make(map[string]bool)
	for word := range strings.FieldsSeq(`
		execute create alter drop temp temporary discard reset import comment load call prepare deallocate declare
		schema search_path set_config pg_settings role authorization session_authorization all
		query_to_xml query_to_xmlschema query_to_xml_and_xmlschema cursor_to_xml cursor_to_xmlschema ts_stat ts_rewrite
		table_to_xml table_to_xml_and_xmlschema schema_to_xml schema_to_xml_and_xmlschema database_to_xml database_to_xml_and_xmlschema`) {
		m[word] = true
	}
	delete(m, "all") // RESET and DISCARD say it
	return m
}()

// runsText are the functions of well-known extensions, in C, that run SQL that they
// are given in this session.
var runsText = map[string]bool{
	"crosstab": true, "crosstab2": true, "crosstab3": true, "crosstab4": true, "crosstabn": true, "connectby": true, "xpath_table": true,
}

// quieten finds the functions and triggers that change nothing of what names mean.
func quieten(s *sql.Snapshot) {
	q := quiet{
		functions: make(map[string][]*sql.Function), relations: make(map[string][]*sql.Relation),
		words: make(map[*sql.Function][]string), byOID: make(map[uint32]*sql.Function),
	}
	for _, f := range s.Functions {
		q.functions[f.Name] = append(q.functions[f.Name], f)
		q.byOID[f.OID] = f
	}
	for _, rel := range s.Relations {
		if len(rel.Triggers)+len(rel.Rules) > 0 || rel.IsView() {
			q.relations[rel.Name] = append(q.relations[rel.Name], rel)
		}
	}
	for _, f := range s.Functions {
		q.first(f)
	}
	for q.again() {
	}
	for _, o := range s.Operators {
		if f := q.byOID[o.Function]; f == nil || !f.Quiet {
			for _, f := range s.Functions { // whose texts may use the operator
				f.Quiet = false
			}
			break
		}
	}
	for _, rel := range s.Relations {
		for i := range rel.Triggers {
			f := q.byOID[rel.Triggers[i].Function]
			rel.Triggers[i].Quiet = f != nil && f.Quiet
		}
	}
}

// quiet works out which functions are.
type quiet struct {
	functions map[string][]*sql.Function
	relations map[string][]*sql.Relation // those at which something is run
	words     map[*sql.Function][]string // the names of either in texts
	byOID     map[uint32]*sql.Function
}

// first takes every function for quiet whose own words are.
func (q *quiet) first(f *sql.Function) {
	switch f.Language {
	case "c", "internal": // which only a superuser makes
		f.Quiet = !runsText[f.Name]
		return
	case "sql", "plpgsql":
	default:
		return
	}
	if f.Body == "" {
		return
	}
	before := ""
	for word, end := range wordsOf(f.Body) {
		switch {
		case loudWords[word], word == "u&", // names in escapes
			word == "open" && opens(f.Body[:end-len(word)], f.Body[end:]),
			word == "do" && f.Language == "sql" && before != "conflict" && !strings.Contains(f.Body, "ON CONFLICT"),
			word == "into" && (f.Language == "sql" || !takesVariables(f.Body[:end-len(word)], before)) && !fillsTarget(f.Body[end:]):
			return
		}
		if q.functions[word] != nil || q.relations[word] != nil {
			q.words[f] = append(q.words[f], word)
		}
		before = word
	}
	f.Quiet = true
}

// opens reports whether OPEN between before and after may open a cursor, whose name is a
// variable's value.
func opens(before, after string) bool {
	if before != "" && strings.ContainsAny(before[len(before)-1:], `'".`) {
		return false
	}
	after = strings.TrimLeft(after, " \t\n\v\f\r")
	return after != "" && (isWord(after[0]) || strings.ContainsAny(after[:1], `"-/`))
}

// takesVariables reports whether INTO after text, whose last word is before, names variables:
// PL/pgSQL leaves to the server what comes after INSERT and MERGE, also where these are
// names of columns.
func takesVariables(text, before string) bool {
	code := strings.TrimRight(text, " \t\n\v\f\r")
	line := code[strings.LastIndexAny(code, "\n\r")+1:]
	return before != "insert" && before != "merge" && !strings.HasSuffix(code, "*/") && !strings.Contains(line, "--")
}

// fillsTarget reports whether text goes on as INSERT INTO or MERGE INTO does, and not as
// SELECT … INTO, which makes a table.
func fillsTarget(text string) bool {
	word, rest := firstName(text)
	if word == "table" || word == "unlogged" {
		return false
	}
	for word != "" {
		after, qualified := strings.CutPrefix(rest, ".")
		if !qualified {
			break
		}
		word, rest = firstName(after)
	}
	next, _ := firstName(rest)
	return word != "" && (strings.HasPrefix(rest, "(") || next != "" && !followsInto[next])
}

// followsInto are the words that follow the name of the table that SELECT … INTO makes.
var followsInto = map[string]bool{
	"from": true, "where": true, "group": true, "having": true, "window": true, "union": true, "intersect": true, "except": true,
	"order": true, "limit": true, "offset": true, "fetch": true, "for": true,
}

// firstName returns the word, or the name in quotes, that text begins with, and what
// follows it, both without space. It is empty where text begins with something else.
func firstName(text string) (name, rest string) {
	text = strings.TrimLeft(text, " \t\n\v\f\r")
	end := 0
	for strings.HasPrefix(text[end:], `"`) { // a quote in a name is written twice
		length := strings.IndexByte(text[end+1:], '"')
		if length < 0 {
			return "", text
		}
		end += length + 2
	}
	for end < len(text) && text[0] != '"' && isWord(text[end]) {
		end++
	}
	return strings.ToLower(text[:end]), strings.TrimLeft(text[end:], " \t\n\v\f\r")
}

// again takes back what is not quiet because of what it names, and reports whether
// something was taken back.
func (q *quiet) again() (changed bool) {
	for f, names := range q.words {
		if f.Quiet && q.anyLoud(names) {
			f.Quiet, changed = false, true
		}
	}
	return changed
}

func (q *quiet) anyLoud(names []string) bool {
	for _, name := range names {
		for _, f := range q.functions[name] {
			if !f.Quiet {
				return true
			}
		}
		for _, rel := range q.relations[name] {
			if len(rel.Rules) > 0 || rel.IsView() && q.viewLoud(rel) {
				return true
			}
			for i := range rel.Triggers {
				if f := q.byOID[rel.Triggers[i].Function]; f == nil || !f.Quiet {
					return true
				}
			}
		}
	}
	return false
}

// viewLoud reports whether the query of a view names a function that is not quiet, or
// what settings are changed through.
func (q *quiet) viewLoud(rel *sql.Relation) bool {
	if rel.Definition == "" {
		return true
	}
	for word := range wordsOf(rel.Definition) {
		if loudWords[word] { // such as pg_settings, which is changed through it
			return true
		}
		for _, f := range q.functions[word] {
			if !f.Quiet {
				return true
			}
		}
	}
	return false
}

// wordsOf calls yield with every word of a text in lower case, and where it ends, in
// whatever it is written: names, literals, comments.
func wordsOf(text string) iter.Seq2[string, int] {
	return func(yield func(string, int) bool) {
		for i := 0; i < len(text); {
			if !isWord(text[i]) {
				i++
				continue
			}
			start := i
			for i < len(text) && isWord(text[i]) {
				i++
			}
			word := strings.ToLower(text[start:i])
			if word == "u" && i < len(text) && text[i] == '&' {
				word = "u&"
			}
			if !yield(word, i) {
				return
			}
		}
	}
}

func isWord(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '$' || c >= 0x80
}
