package masking

import "bytes"

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
	"call": true, "do": true, "if": true, "exists": true, "operator": true, "at": true,
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

// appendShape appends text with every number in it as a zero, so that statements that
// differ in numbers alone are read once: what a number is tells nothing about columns. A text with quotes
// stays as it is.
func appendShape(dst, text []byte) []byte {
	if bytes.ContainsAny(text, "'\"`$") {
		return append(dst, text...)
	}
	inWord, inNumber := false, false
	for _, c := range text {
		if !inWord && isDigit(c) {
			if !inNumber {
				dst = append(dst, '0')
			}
			inNumber = true
			continue
		}
		inNumber = false
		inWord = c == '_' || letterByte[c] || inWord && isDigit(c)
		dst = append(dst, c)
	}
	return dst
}
