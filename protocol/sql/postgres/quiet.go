package postgres

import (
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
		search_path set_config pg_settings role authorization session_authorization all
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
	for word := range wordsOf(f.Body) {
		switch {
		case loudWords[word], word == "u&", // names in escapes
			word == "do" && f.Language == "sql" && before != "conflict" && !strings.Contains(f.Body, "ON CONFLICT"),
			word == "into" && f.Language == "sql" && before != "insert" && before != "merge":
			return
		}
		if q.functions[word] != nil || q.relations[word] != nil {
			q.words[f] = append(q.words[f], word)
		}
		before = word
	}
	f.Quiet = true
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

// viewLoud reports whether the query of a view names a function that is not quiet.
func (q *quiet) viewLoud(rel *sql.Relation) bool {
	if rel.Definition == "" {
		return true
	}
	for word := range wordsOf(rel.Definition) {
		for _, f := range q.functions[word] {
			if !f.Quiet {
				return true
			}
		}
	}
	return false
}

// wordsOf calls yield with every word of a text in lower case, in whatever it is
// written: names, literals, comments.
func wordsOf(text string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
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
			if !yield(word) {
				return
			}
		}
	}
}

func isWord(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '$' || c >= 0x80
}
