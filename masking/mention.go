package masking

import (
	"bytes"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/detect"
)

// mentions is what a statement's text says about masked columns, read word by
// word. It errs towards more: it does not know which name a word is.
type mentions struct {
	any   bool // a masked column's name stands somewhere
	dates bool // one whose values may be dates
	// computed says that one is computed with, rather than returned by itself,
	// counted, or used in a condition.
	computed bool
	// used are masked columns that stand in a condition, a join, an order, a grouping
	// or a call; doubtful says that others may.
	used     []string
	doubtful bool
	names    []string // of masked columns that stand anywhere
	selects  bool     // there is a SELECT
	fields   bool     // a text that names one stands where fields of JSON are named
	keeps    bool     // the statement makes something that later statements read
	runs     bool     // the statement returns what an earlier one made, without naming it
	rows     bool     // a table's or a query's name may stand for its whole row
	opens    bool     // something takes values out of JSON, rows or arrays
	settings bool     // settings are read
	renames  bool     // a masked column may be returned by a name that does not say so
	aside    bool     // values may go where no row goes: settings, notifications
	star     bool     // all columns of something are returned without being named
	in       bool     // a COPY into a table
	unions   bool     // all columns of several queries, by the names that they have
	made     bool     // something is named that was made of a masked column
	copies   bool     // a table is named of which columns were filled with masked ones
	foreign  bool     // it returns what other rules have judged, without naming it
	labels   labels   // the names that the text gives
	// makes are the names of what the text makes, and fills those of tables that it
	// inserts into, in lower case.
	makes, fills map[string]struct{}
	// lasts are those of makes that other sessions see.
	lasts map[string]struct{}
}

// read reads text. sensitive says which names are those of masked columns.
func read(text []byte, sensitive func(name string) (detect.Type, bool)) (m mentions) {
	m.read(text, sensitive, 0)
	return m
}

// mentions reports whether name is one of the masked columns that the text names.
func (m *mentions) mentions(name string) bool {
	return slices.ContainsFunc(m.names, func(n string) bool { return strings.EqualFold(n, name) })
}

const maxNested = 4 // texts within texts that hold statements

// paren is what holds inside an open parenthesis and what held before it.
type paren struct {
	list   bool // a list of names that are given, as in t(a, b)
	inFrom bool // it opened among the tables of a FROM
	inWith bool // it opened among the queries of a WITH
	where  bool // it opened in a clause that returns nothing
	kind   parenKind
}

type parenKind uint8

const (
	parenPlain    parenKind = iota // a query, or nothing is open
	parenGroup                     // an expression, a row
	parenCall                      // the arguments of a function
	parenCount                     // of count()
	parenOperator                  // the name of an operator
	parenDistinct                  // of DISTINCT ON, behind which the items begin
)

// maxParens is how deep parentheses are followed.
const maxParens = 64

// reader reads one text for mentions.
type reader struct {
	*mentions
	lexer     mentionLexer
	sensitive func(name string) (detect.Type, bool)
	depth     int // of texts within texts

	parens    [maxParens]paren
	open      int
	keyword   string // the last reserved word
	before    tokenKind
	sign      byte // the token before, when it is a sign
	given     bool // the name before was one that is given
	plain     bool // the name before is a column by itself: a, t.a
	source    string
	making    bool // the name that follows is that of what is made
	temporary bool // what is made is seen by its session only
	made      bool // the name before is
	where     bool // in a clause that returns nothing
	computed  map[string]struct{}
	last      string // the reserved word before keyword, the name before
	name      string
	inFrom    bool
	inWith    bool
	onTable   bool // the name that is given is that of a table, not of a query
	lists     bool // names are given to the columns of a query
	union     bool
	queries   int // SELECTs, and those of them that return all columns
	stars     int
	beforeAs  tokenKind
	restricts bool // in a clause that decides about rows
	selected  bool
	into      bool
	relations map[string]struct{} // names of tables and queries
	bare      map[string]struct{} // names that stand for a value by themselves
}

func (m *mentions) read(text []byte, sensitive func(name string) (detect.Type, bool), depth int) {
	r := reader{mentions: m, lexer: mentionLexer{text: text}, sensitive: sensitive, depth: depth}
	for {
		k, ok := r.lexer.next()
		if !ok {
			break
		}
		sign, given := byte(0), false
		switch k {
		case tokenKey:
			r.key(strings.ToLower(string(r.lexer.value)))
		case tokenWord:
			given = r.word(string(r.lexer.value))
		case tokenText:
			r.literal()
		case tokenSign:
			sign = r.mark(r.lexer.value[0])
		}
		r.before, r.sign, r.given = k, sign, given
		r.plain = r.plain && (k == tokenWord || k == tokenKey && r.keyword == "as" || sign == '.')
		r.made = r.made && k == tokenWord
	}
	same := r.union && r.queries == r.stars
	m.unions = m.unions || same
	// What all columns of something are called then, nobody knows.
	if r.lexer.doubtful || r.star && (r.lists || r.union && !same) {
		m.suspectAll()
	}
	for name := range r.computed {
		if _, masked := r.sensitive(name); masked {
			m.computed = true
			continue
		}
		if _, given := m.labels[name]; given {
			source, known := m.labels.origin(name)
			_, masked := r.sensitive(source)
			m.computed = m.computed || !known || masked
		}
	}
	if m.any && depth == 0 {
		m.renames = r.union || m.hides(sensitive)
	}
	for name := range r.bare {
		if _, ok := r.relations[name]; ok {
			m.rows = true
		}
	}
}

// suspectAll is for texts of which cannot be told which columns they return.
func (m *mentions) suspectAll() { m.any, m.dates, m.doubtful, m.computed = true, true, true, true }

// hides reports whether a name is given to a masked column that does not say what
// it is.
func (m *mentions) hides(sensitive func(name string) (detect.Type, bool)) bool {
	if len(m.labels) > maxLabels {
		return true
	}
	for label := range m.labels {
		source, known := m.labels.origin(label)
		if _, masked := sensitive(source); known && !masked {
			continue
		}
		if _, says := sensitive(label); !says {
			return true
		}
	}
	return false
}

func (r *reader) key(word string) {
	first, last := r.keyword == "", r.keyword
	r.last, r.keyword = last, word
	switch word {
	case "where", "having", "on", "group", "order", "limit":
		r.where = true
	case "select", "from", "returning", "set", "values", "union", "join", "with":
		r.where = false
	}
	switch word {
	case "as":
		r.beforeAs = r.before
	case "with":
		r.inWith = true
	case "select", "insert", "update", "delete", "values", "table":
		r.inWith = false
	case "union", "intersect", "except":
		r.union = true // the first query names the columns of all
	}
	if word == "select" {
		r.selects = true
		r.queries++
		if r.open > 0 && r.open <= maxParens {
			r.parens[r.open-1].kind = parenPlain
		}
	} else if word == "table" || word == "values" {
		r.queries += 2
	}
	switch word {
	case "where", "having", "on", "group", "order", "when", "partition", "filter", "similar", "like", "ilike", "between", "distinct":
		r.restricts, r.inFrom = true, false
	case "using":
		r.restricts, r.inFrom = true, true // of a join, or the tables of a DELETE
	case "from", "join", "update":
		r.restricts, r.inFrom = false, true
	case "select", "returning", "values", "set", "union", "with", "limit":
		r.restricts, r.inFrom = false, false
	case "create", "prepare", "declare", "function", "procedure", "alter", "rename":
		r.keeps = true
	case "table":
		switch last { // TABLE p, not CREATE TABLE p
		case "", "all", "union", "except", "intersect", "distinct", "as", "for":
			r.star = true
		}
		r.star = r.star || first || r.before == tokenSign
	case "execute", "fetch", "call", "do":
		r.runs = r.runs || first
	case "copy":
		r.in = first
	case "to":
		r.in = r.in && r.open > 0
	}
	switch word {
	case "temp", "temporary":
		r.temporary = true
	case "table", "view", "function", "procedure", "prepare", "declare", "into", "exists":
		r.making = true
	case "or", "replace", "not", "only", "if": // CREATE TABLE IF NOT EXISTS t
	default:
		r.making = false
	}
	r.selected, r.into = r.selected || word == "select", r.into || word == "into"
	r.keeps = r.keeps || r.selected && r.into
}

// word takes a name and reports whether it is one that the text gives.
func (r *reader) word(name string) (given bool) {
	after := r.lexer.at(0)
	if after == '\'' && len(name) == 1 { // E'…', B'…', X'…', N'…'
		return false
	}
	if (name == "U" || name == "u") && after == '&' && (r.lexer.at(1) == '"' || r.lexer.at(1) == '\'') {
		r.suspectAll() // names in escapes are not read
	}
	r.settings = r.settings || strings.EqualFold(name, "current_setting") || strings.EqualFold(name, "pg_settings") ||
		r.keyword == "" && strings.EqualFold(name, "show")
	r.creates(name, after)
	if r.note(name) {
		uses := r.restricts || r.open > 0 && !r.given && r.before != tokenKey && r.keyword != "insert" && r.keyword != "into"
		switch {
		case !uses || slices.Contains(r.used, name):
		case len(r.used) < maxUsed:
			r.used = append(r.used, name)
		default:
			r.doubtful = true
		}
	}
	in := r.within()
	// A name behind a value, or behind AS, is given; so are those in a list behind
	// such a name.
	renames := r.before == tokenWord || r.before == tokenKey && r.keyword == "as" && r.beforeAs == tokenWord
	given = in.list || renames || r.inWith && r.sign == ',' || r.before == tokenText || r.sign == ')' || r.sign == ']' ||
		r.before == tokenKey && (r.keyword == "as" || r.keyword == "with")
	if given && (in.list || !r.inFrom && r.keyword != "with" && !r.inWith) { // else the name of a table or a query
		source := ""
		if renames && r.plain && !in.list {
			source = r.source
		}
		r.labels = r.labels.give(name, source)
	}
	plain := in.kind == parenPlain && (r.sign == '.' && r.plain || r.sign == ',' && !in.list || r.before == tokenKey && itemStarts[r.keyword])
	if r.computes(name, after, in, given, plain) {
		r.computed = with(r.computed, name)
	}
	r.plain, r.source, r.name = plain && !given && after != '(', name, name
	r.onTable = r.inFrom && given && renames
	switch {
	case after == '(':
		r.called(name)
	case in.list, in.kind == parenCount, r.sign == '.' && !r.inFrom:
	case r.inFrom:
		r.relations = with(r.relations, name)
	case given, after == '.' && r.lexer.at(1) != '*':
	default:
		r.bare = with(r.bare, name)
	}
	return given
}

// within returns the parenthesis that the reader is in.
func (r *reader) within() paren {
	if r.open == 0 || r.open > maxParens {
		return paren{}
	}
	return r.parens[r.open-1]
}

// creates notes the name of what the text makes or fills, when it is that.
func (r *reader) creates(name string, after byte) {
	r.made = false
	if !r.making || after == '.' { // a schema
		return
	}
	r.making = false
	if r.keyword == "into" && !r.selected {
		r.fills = with(r.fills, name)
		return
	}
	r.makes = with(r.makes, name)
	if !r.temporary && r.keyword != "prepare" && r.keyword != "declare" {
		r.lasts = with(r.lasts, name)
	}
	r.made = r.keyword != "into"
}

// computes reports whether something may be computed with a name, rather than
// its column returned by itself, counted, or used where nothing is returned.
func (r *reader) computes(name string, after byte, in paren, given, plain bool) bool {
	switch {
	case given:
		_, masked := r.sensitive(name) // then it may be no name that is given
		return masked
	case after == '(', after == '.', in.list, in.kind == parenCount, r.where, r.keyword == "into", r.inFrom && in.kind != parenCall:
		return false
	}
	return !plain || !r.itemEnds()
}

// jsonWhole are the functions that make JSON and take nothing out of it.
var jsonWhole = map[string]bool{
	"row_to_json": true, "to_json": true, "to_jsonb": true, "json_agg": true, "jsonb_agg": true, "json_strip_nulls": true, "jsonb_strip_nulls": true,
	"coalesce": true, "count": true, "nullif": true, "current_setting": true, "now": true, "json_build_object": true, "jsonb_build_object": true, "array_to_json": true, "array_agg": true, "sum": true,
}

// called takes the name of a function.
func (r *reader) called(name string) {
	name = strings.ToLower(name)
	r.opens = r.opens || !jsonWhole[name]
	r.aside = r.aside || name == "set_config" || name == "pg_notify"
}

// itemStarts are the words behind which an item of a list begins.
var itemStarts = map[string]bool{"select": true, "distinct": true, "all": true, "returning": true, "from": true, "join": true, "update": true}

// note takes a name that may be a masked column's and reports whether it is.
func (r *reader) note(name string) bool {
	t, ok := r.sensitive(name)
	r.any = r.any || ok
	if ok && len(r.names) < maxUsed && !slices.Contains(r.names, name) {
		r.names = append(r.names, name)
	}
	r.dates = r.dates || ok && (t == detect.BirthDate || t == Column)
	return ok
}

// itemEnds reports whether the item of a list ends with the name that was read.
func (r *reader) itemEnds() bool {
	l := r.lexer
	switch k, ok := l.next(); {
	case !ok, k == tokenWord:
		return true
	case k == tokenKey:
		return !operatorWords[strings.ToLower(string(l.value))]
	case k == tokenSign:
		return l.value[0] == ',' || l.value[0] == ')' || l.value[0] == ';'
	}
	return false
}

var operatorWords = map[string]bool{
	"like": true, "ilike": true, "similar": true, "between": true, "in": true, "is": true, "and": true, "or": true, "not": true, "collate": true, "operator": true,
	"at": true,
}

// mark takes a sign and returns the one that it stands for.
func (r *reader) mark(sign byte) byte {
	switch sign {
	case '(':
		list := r.given || r.made
		if r.open >= maxParens {
			r.suspectAll()
		} else {
			r.parens[r.open] = paren{list: list, inFrom: r.inFrom, inWith: r.inWith, where: r.where, kind: r.parenKind(list)}
		}
		r.open++
		if list && r.onTable {
			r.suspectAll() // FROM p AS x(a, b) hides the names of p's columns
		}
		r.lists = r.lists || list
		r.inFrom = r.inFrom && (list || r.before != tokenWord) // else the arguments of a function
		r.inWith = false
	case ')':
		if r.open > 0 {
			if r.open--; r.open < maxParens {
				p := &r.parens[r.open]
				r.inFrom, r.inWith, r.where = p.inFrom, p.inWith, p.where
				switch p.kind {
				case parenOperator:
					return '+'
				case parenDistinct:
					r.keyword, r.where = "distinct", false
					return ','
				}
			}
		}
	case ';':
		r.restricts, r.inFrom, r.open, r.keyword, r.temporary = false, false, 0, "", false
	case '#', '@', '[':
		r.opens = true
	case '>':
		r.opens = r.opens || r.sign == '-' || r.sign == '>'
	case '*':
		if r.before == tokenKey && r.keyword != "from" {
			r.stars++
		}
		r.star = r.star || r.before == tokenKey || r.sign == ',' || r.sign == '.'
	}
	return sign
}

// parenKind is the kind of the parenthesis that opens.
func (r *reader) parenKind(list bool) parenKind {
	switch {
	case r.before == tokenKey && r.keyword == "operator":
		return parenOperator
	case r.before == tokenKey && r.keyword == "on" && r.last == "distinct":
		return parenDistinct
	case r.before != tokenWord || list || r.keyword == "into":
		return parenGroup // unless a SELECT follows
	case strings.EqualFold(r.name, "count"):
		return parenCount
	}
	return parenCall
}

// literal takes a text, which may name a field, as in doc->>'ssn', or hold
// statements, as a function's body does.
func (r *reader) literal() {
	v := r.lexer.value
	if len(v) <= 128 && (r.sign == '>' || r.sign == '[' || r.sign == '{') {
		r.fields = r.note(string(v)) || r.fields
	}
	// A text in dollars is code; one in quotes is when it reads like a query.
	code := r.lexer.dollars || containsFold(v, "select ") || containsFold(v, "returning ") || len(v) > 6 && bytes.EqualFold(v[:6], []byte("table "))
	if !code {
		return
	}
	if r.depth == maxNested {
		r.suspectAll()
		return
	}
	star := r.star
	r.star = false
	r.read(v, r.sensitive, r.depth+1)
	r.rows = r.rows || r.star
	r.star = r.star || star
}

func with(set map[string]struct{}, name string) map[string]struct{} {
	if set == nil {
		set = map[string]struct{}{}
	}
	if len(set) <= maxLabels {
		set[strings.ToLower(name)] = struct{}{}
	}
	return set
}

// among reports whether set has name, or had to forget some.
func among(set map[string]struct{}, name string) bool {
	if len(set) == 0 {
		return false
	}
	_, ok := set[strings.ToLower(name)]
	return ok || len(set) > maxLabels
}

// containsFold reports whether b holds the lower-case ASCII text sub in any case.
func containsFold(b []byte, sub string) bool {
	for i := 0; i+len(sub) <= len(b); i++ {
		if b[i]|0x20 == sub[0] && bytes.EqualFold(b[i:i+len(sub)], []byte(sub)) {
			return true
		}
	}
	return false
}
