package masking

import (
	"bytes"
	"strings"
)

// mentions is what a statement's text says about masked columns, read word by
// word. It errs towards more: it does not know which name a word is.
type mentions struct {
	any     bool // a masked column's name stands somewhere
	dates   bool // one whose values may be dates
	clauses bool // one stands in a condition, a join, an order, a grouping or a call
	keeps   bool // the statement makes something that later statements read
	runs    bool // the statement returns what an earlier one made, without naming it
	rows    bool // a table's or a query's name may stand for its whole row
	opens   bool // something takes values out of JSON, rows or arrays
	aside   bool // values may go where no row goes: settings, notifications
	star    bool // all columns of something are returned without being named
	in      bool // a COPY into a table
	explain bool // the plan of a statement
	unions  bool // all columns of several queries, by the names that they have
	made    bool // something is named that was made of a masked column
	// labels are the names that the text gives to columns, makes those of what it
	// makes, and fills those of tables that it inserts into; all in lower case.
	labels, makes, fills map[string]struct{}
}

// maxLabels bounds how many given names are kept; with more, every name counts
// as given.
const maxLabels = 1024

// given reports whether the text may give a column that name.
func (m *mentions) given(label string) bool {
	if len(m.labels) > maxLabels {
		return true
	}
	_, ok := m.labels[strings.ToLower(label)]
	return ok
}

type tokenKind uint8

const (
	tokenSign tokenKind = iota
	tokenWord
	tokenKey // a word that SQL reserves
	tokenText
)

// mentionLexer reads SQL text of PostgreSQL's and MySQL's dialects. Where the two
// differ it reads names in both ways.
type mentionLexer struct {
	text    []byte
	pos     int
	value   []byte // of a word or a text, without its quotes
	dollars bool   // the text stands between dollar tags
	// doubtful says that servers may read the rest of the text differently.
	doubtful bool
}

func (l *mentionLexer) next() (k tokenKind, ok bool) {
	t := l.text
	for l.pos < len(t) {
		c := t[l.pos]
		start := l.pos
		switch {
		case c <= ' ':
			l.pos++
		case c == '-' && l.at(1) == '-':
			l.pos = l.until(start, "\n")
		case c == '/' && l.at(1) == '*' && l.at(2) != '!' && l.at(2) != 'M':
			l.comment()
		case c == '\'':
			l.quoted('\'')
			l.dollars = false
			return tokenText, true
		case c == '"', c == '`':
			l.quoted(c)
			return tokenWord, true
		case c == '$' && !isDigit(l.at(1)):
			if l.dollars = l.dollar(); !l.dollars {
				l.pos++
				l.value = t[start:l.pos]
				return tokenSign, true
			}
			return tokenText, true
		case letterByte[c] || c == '_':
			for l.pos < len(t) && (letterByte[t[l.pos]] || isDigit(t[l.pos]) || t[l.pos] == '_' || t[l.pos] == '$') {
				l.pos++
			}
			l.value = t[start:l.pos]
			if reserved(l.value) {
				return tokenKey, true
			}
			return tokenWord, true
		case isDigit(c):
			for l.pos < len(t) && (isAlnum(t[l.pos]) || t[l.pos] == '.') {
				l.pos++
			}
			l.value = nil
			return tokenText, true
		default:
			l.pos++
			l.value = t[start:l.pos]
			return tokenSign, true
		}
	}
	return 0, false
}

func (l *mentionLexer) at(n int) byte {
	if l.pos+n < len(l.text) {
		return l.text[l.pos+n]
	}
	return 0
}

func (l *mentionLexer) until(from int, end string) int {
	if n := bytes.Index(l.text[from:], []byte(end)); n >= 0 {
		return from + n + len(end)
	}
	return len(l.text)
}

// comment skips a comment, in which others may be nested.
func (l *mentionLexer) comment() {
	depth := 0
	for l.pos < len(l.text) {
		switch {
		case l.text[l.pos] == '/' && l.at(1) == '*':
			depth++
			l.pos += 2
		case l.text[l.pos] == '*' && l.at(1) == '/':
			l.pos += 2
			if depth--; depth == 0 {
				return
			}
		default:
			l.pos++
		}
	}
}

// quoted reads what is between two q. A backslash escapes in a text that an E
// stands before; elsewhere servers differ, and doubtful is set.
func (l *mentionLexer) quoted(q byte) {
	escapes := q == '\'' && l.pos > 0 && l.text[l.pos-1]|0x20 == 'e' && (l.pos < 2 || !isAlnum(l.text[l.pos-2]))
	l.pos++
	start := l.pos
	for l.pos < len(l.text) {
		if q == '\'' && l.text[l.pos] == '\\' && l.at(1) == q {
			if escapes {
				l.pos += 2
				continue
			}
			l.doubtful = true
		}
		if escapes && l.text[l.pos] == '\\' {
			l.pos += 2
			continue
		}
		if l.text[l.pos] == q {
			if l.at(1) != q {
				break
			}
			l.pos++
		}
		l.pos++
	}
	l.pos = min(l.pos, len(l.text))
	l.value = l.text[start:l.pos]
	l.pos = min(l.pos+1, len(l.text))
}

// dollar reads a text between dollar tags.
func (l *mentionLexer) dollar() bool {
	k := l.pos + 1
	for k < len(l.text) && (letterByte[l.text[k]] || isDigit(l.text[k]) || l.text[k] == '_') {
		k++
	}
	if k >= len(l.text) || l.text[k] != '$' {
		return false
	}
	tag := l.text[l.pos : k+1]
	body := l.text[k+1:]
	n := bytes.Index(body, tag)
	if n < 0 {
		n = len(body)
	}
	l.value = body[:n]
	l.pos = min(k+1+n+len(tag), len(l.text))
	return true
}

// reservedWords are those after which a name is not one that is being given, and
// those that begin clauses.
var reservedWords = map[string]bool{
	"select": true, "from": true, "where": true, "group": true, "order": true, "having": true, "on": true, "using": true, "join": true, "and": true,
	"or": true, "not": true, "by": true, "as": true, "with": true, "distinct": true, "all": true, "case": true, "when": true, "then": true, "else": true,
	"in": true, "is": true, "like": true, "ilike": true, "between": true, "union": true, "except": true, "intersect": true, "limit": true, "offset": true,
	"returning": true, "values": true, "set": true, "into": true, "insert": true, "update": true, "delete": true, "create": true, "table": true,
	"view": true, "prepare": true, "declare": true, "cursor": true, "for": true, "partition": true, "over": true, "materialized": true, "temp": true,
	"temporary": true, "function": true, "procedure": true, "copy": true, "to": true, "cross": true, "inner": true, "left": true, "right": true,
	"full": true, "lateral": true, "any": true, "some": true, "similar": true, "null": true, "asc": true, "desc": true, "collate": true, "recursive": true,
	"natural": true, "filter": true, "only": true, "execute": true, "fetch": true, "replace": true, "unlogged": true, "alter": true, "rename": true,
	"call": true, "do": true, "if": true, "exists": true,
}

func reserved(w []byte) bool {
	var b [16]byte
	if len(w) > len(b) {
		return false
	}
	for i, c := range w {
		b[i] = c | lowerBit(c)
	}
	return reservedWords[string(b[:len(w)])]
}

// read reads text. sensitive says which names are those of masked columns.
func read(text []byte, sensitive func(name string) (Type, bool)) (m mentions) {
	m.read(text, sensitive, 0)
	return m
}

const maxNested = 4 // texts within texts that hold statements

// paren is what holds inside an open parenthesis and what held before it.
type paren struct {
	list   bool // a list of names that are given, as in t(a, b)
	inFrom bool // it opened among the tables of a FROM
	inWith bool // it opened among the queries of a WITH
}

// maxParens is how deep parentheses are followed.
const maxParens = 64

// reader reads one text for mentions.
type reader struct {
	*mentions
	lexer     mentionLexer
	sensitive func(name string) (Type, bool)
	depth     int // of texts within texts

	parens    [maxParens]paren
	open      int
	keyword   string // the last reserved word
	before    tokenKind
	sign      byte // the token before, when it is a sign
	given     bool // the name before was one that is given
	making    bool // the name that follows is that of what is made
	made      bool // the name before is
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

func (m *mentions) read(text []byte, sensitive func(name string) (Type, bool), depth int) {
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
			sign = r.lexer.value[0]
			r.mark(sign)
		}
		r.before, r.sign, r.given = k, sign, given
		r.made = r.made && k == tokenWord
	}
	same := r.union && r.queries == r.stars
	m.unions = m.unions || same
	// What all columns of something are called then, nobody knows.
	if r.lexer.doubtful || r.star && (r.lists || r.union && !same) {
		m.any, m.dates, m.clauses = true, true, true
	}
	for name := range r.bare {
		if _, ok := r.relations[name]; ok {
			m.rows = true
		}
	}
}

func (r *reader) key(word string) {
	first, last := r.keyword == "", r.keyword
	r.keyword = word
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
		r.queries++
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
	after, made := r.lexer.at(0), false
	if after == '\'' && len(name) == 1 { // E'…', B'…', X'…', N'…'
		return false
	}
	r.explain = r.explain || r.keyword == "" && strings.EqualFold(name, "explain")
	if r.making && after != '.' { // else a schema
		if r.keyword == "into" && !r.selected {
			r.fills = with(r.fills, name)
		} else {
			r.makes = with(r.makes, name)
		}
		r.making, made = false, r.keyword != "into"
	}
	r.made = made
	if (name == "U" || name == "u") && after == '&' && (r.lexer.at(1) == '"' || r.lexer.at(1) == '\'') {
		r.any, r.dates, r.clauses = true, true, true // names in escapes are not read
	}
	if r.note(name) {
		r.clauses = r.clauses || r.restricts || r.open > 0 && !r.given && r.before != tokenKey && r.keyword != "insert" && r.keyword != "into"
	}
	inList := r.open > 0 && r.open <= maxParens && r.parens[r.open-1].list
	// A name behind a value, or behind AS, is given; so are those in a list behind
	// such a name.
	given = inList || r.inWith && r.sign == ',' || r.before == tokenWord || r.before == tokenText || r.sign == ')' || r.sign == ']' ||
		r.before == tokenKey && (r.keyword == "as" || r.keyword == "with")
	if given {
		r.give(name)
	}
	r.onTable = r.inFrom && given && (r.before == tokenWord || r.before == tokenKey && r.keyword == "as" && r.beforeAs == tokenWord)
	if after == '(' {
		r.called(name)
	}
	switch {
	case inList, r.sign == '.' && !r.inFrom, after == '(':
	case r.inFrom:
		r.relations = with(r.relations, name)
	case given, after == '.' && r.lexer.at(1) != '*':
	default:
		r.bare = with(r.bare, name)
	}
	return given
}

// jsonWhole are the functions that make JSON and take nothing out of it.
var jsonWhole = map[string]bool{
	"row_to_json": true, "to_json": true, "to_jsonb": true, "json_agg": true, "jsonb_agg": true, "json_strip_nulls": true, "jsonb_strip_nulls": true,
	"coalesce": true, "count": true, "json_build_object": true, "jsonb_build_object": true, "array_to_json": true, "array_agg": true, "sum": true,
}

// called takes the name of a function.
func (r *reader) called(name string) {
	name = strings.ToLower(name)
	r.opens = r.opens || !jsonWhole[name]
	r.aside = r.aside || name == "set_config" || name == "pg_notify"
}

// note takes a name that may be a masked column's and reports whether it is.
func (r *reader) note(name string) bool {
	t, ok := r.sensitive(name)
	r.any = r.any || ok
	r.dates = r.dates || ok && (t == BirthDate || t == Column)
	return ok
}

func (r *reader) mark(sign byte) {
	switch sign {
	case '(':
		list := r.given || r.made
		if r.open < maxParens {
			r.parens[r.open] = paren{list: list, inFrom: r.inFrom, inWith: r.inWith}
		}
		r.open++
		if list && r.onTable {
			r.any, r.dates = true, true // FROM p AS x(a, b) hides the names of p's columns
		}
		r.lists = r.lists || list
		r.inFrom = r.inFrom && (list || r.before != tokenWord) // else the arguments of a function
		r.inWith = false
	case ')':
		if r.open > 0 {
			if r.open--; r.open < maxParens {
				r.inFrom, r.inWith = r.parens[r.open].inFrom, r.parens[r.open].inWith
			}
		}
	case ';':
		r.restricts, r.inFrom, r.open, r.keyword = false, false, 0, ""
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
}

// literal takes a text, which may name a field, as in doc->>'ssn', or hold
// statements, as a function's body does.
func (r *reader) literal() {
	v := r.lexer.value
	if len(v) <= 128 && (r.sign == '>' || r.sign == '[' || r.sign == '{') {
		r.note(string(v))
	}
	// A text in dollars is code; one in quotes is when it reads like a query.
	code := r.lexer.dollars || containsFold(v, "select ") || containsFold(v, "returning ") || len(v) > 6 && bytes.EqualFold(v[:6], []byte("table "))
	if !code {
		return
	}
	if r.depth == maxNested {
		r.any, r.dates, r.clauses = true, true, true
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

func (m *mentions) give(name string) {
	m.labels = with(m.labels, name)
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
