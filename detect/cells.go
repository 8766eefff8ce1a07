package detect

import (
	"bytes"

	"github.com/sallyport/sallyport/detect/internal/prose"
)

// Names in rows of which no first line names the columns, in lines of logs, and before
// addresses of mail.

// cell is a cell of a row: src[start:end], and how much it is like a name.
type cell struct {
	start, end int
	like       prose.Likeness
	read       bool // like is known
}

const (
	maxColumns = 24
	maxCells   = 384 // of a block
)

// block are rows of as many cells each, which follow each other.
type block struct {
	cells   [maxCells]cell
	n       int
	columns int
	sep     byte
}

// rows finds columns of names in lines that are parted into cells. wide is whether there may
// be names in scripts without capitals.
func (s *scan) rows(wide bool) (found bool) {
	if s.block == nil {
		s.block = &block{}
	}
	b := s.block
	b.n, b.columns = 0, 0
	for from := 0; from < len(s.src); {
		if b.n == 0 && !wide { // a block begins with a word that may be of a name
			next := s.plan.prose.Next(s.src, from)
			if next < 0 {
				return found
			}
			from += bytes.LastIndexByte(s.src[from:next], '\n') + 1
		}
		end := len(s.src)
		if k := bytes.IndexByte(s.src[from:], '\n'); k >= 0 {
			end = from + k
		}
		sep := separator(s.src[from:end])
		if sep == 0 {
			found = s.columns(b) || found
			from = end + 1
			continue
		}
		n := b.n
		if sep != b.sep || !b.split(s.src, from, end, sep) || b.columns > 0 && b.n-n != b.columns {
			b.n = n
			found = s.columns(b) || found
			b.sep = sep
			if !b.split(s.src, from, end, sep) {
				b.n = 0
			}
			b.columns = b.n
		} else if b.columns == 0 {
			b.columns = b.n
		}
		from = end + 1
	}
	return s.columns(b) || found
}

// separator returns what parts line into cells, or 0. Two means two spaces.
func separator(line []byte) byte {
	const longest = 1024
	if len(line) < 4 || len(line) > longest || line[0] == '{' || line[0] == '[' || line[0] == '<' {
		return 0
	}
	switch {
	case bytes.IndexByte(line, '\t') >= 0:
		return '\t'
	case bytes.IndexByte(line, '|') >= 0 && bytes.IndexByte(line, '=') < 0:
		return '|'
	case bytes.IndexByte(line, ';') >= 0 && bytes.IndexByte(line, '=') < 0 && bytes.IndexByte(line, '(') < 0:
		return ';'
	case bytes.Count(line, []byte(",")) > 1 && bytes.IndexByte(line, '=') < 0 && bytes.IndexByte(line, '{') < 0 && bytes.IndexByte(line, '(') < 0:
		return ','
	case bytes.Contains(bytes.TrimLeft(line, " "), []byte("  ")):
		return 2
	}
	return 0
}

// split adds the cells of src[from:end] and reports whether they fit.
func (b *block) split(src []byte, from, end int, sep byte) bool {
	quoted, begin, n := false, from, 0
	add := func(start, stop int) bool {
		for start < stop && (src[start] <= ' ' || src[start] == '"' || src[start] == '\'') {
			start++
		}
		for stop > start && (src[stop-1] <= ' ' || src[stop-1] == '"' || src[stop-1] == '\'') {
			stop--
		}
		if b.n == maxCells || n == maxColumns {
			return false
		}
		b.cells[b.n] = cell{start: start, end: stop}
		b.n++
		n++
		return true
	}
	for i := from; i < end; i++ {
		c := src[i]
		switch {
		case c == '"' && (sep == ',' || sep == ';'):
			quoted = !quoted
		case quoted:
		case c == sep:
			if sep == ',' && i+1 < end && src[i+1] == ' ' { // a sentence, or Family, Given
				return false
			}
			if !add(begin, i) {
				return false
			}
			begin = i + 1
		case sep == 2 && c == ' ' && i+1 < end && src[i+1] == ' ' && i > begin:
			if !add(begin, i) {
				return false
			}
			for i+1 < end && src[i+1] == ' ' {
				i++
			}
			begin = i + 1
		}
	}
	return add(begin, end) && n > 1
}

// columns finds the columns of names in b, empties it, and reports whether there are any.
func (s *scan) columns(b *block) (found bool) {
	defer func() { b.n, b.columns = 0, 0 }()
	if b.columns < 2 || b.n < b.columns {
		return false
	}
	var people, given [maxColumns]bool
	rows := b.n / b.columns
	for c := range b.columns {
		filled, maybe, part, full := 0, 0, 0, 0
		for r := range rows {
			x := &b.cells[r*b.columns+c]
			if x.end == x.start {
				continue
			}
			if s.likeness(x); x.like == prose.NoName && r == 0 && rows > 1 && isLower(s.src[x.start]) {
				continue // it may name the column
			}
			filled++
			switch x.like {
			case prose.FullName:
				full++
			case prose.PartName:
				part++
			case prose.MaybeName:
				maybe++
			}
			if filled == 3 && full+part+maybe == 0 {
				break
			}
		}
		maybe += part + full
		switch {
		case filled == 0 || maybe*4 < filled*3:
		case full*2 >= filled:
			people[c] = true
		case part*2 > filled && filled > 1:
			given[c] = true
		case full+part > 0 && filled > 2 && (full*4 >= filled || (full+part)*3 > filled*2):
			people[c] = full > 0
			given[c] = full == 0
		}
	}
	for c := range b.columns {
		if !given[c] {
			continue
		}
		// A given and a family name side by side.
		for _, d := range [...]int{c - 1, c + 1} {
			if d >= 0 && d < b.columns && s.partly(b, d, rows) {
				people[c], people[d] = true, true
			}
		}
	}
	for i := range b.n {
		if x := &b.cells[i]; people[i%b.columns] && x.end > x.start && s.likeness(x) != prose.NoName {
			s.out = append(s.out, Finding{x.start, x.end, Person, 65})
			found = true
		}
	}
	if found {
		s.every(b, rows, longPast, isDate, BirthDate)
		s.every(b, rows, likePhone, likePhone, Phone)
	}
	return found
}

// likeness returns how much x is like a name, and reads it once.
func (s *scan) likeness(x *cell) prose.Likeness {
	if !x.read {
		x.read = true
		text := s.src[x.start:x.end]
		if len(text) > 1 && (isUpper(text[0]) || text[0] >= 0x80 || isLower(text[0])) {
			x.like = s.plan.prose.Judge(&s.tagger, text)
			if x.like == prose.NoName && uncasedName(text) {
				x.like = prose.FullName
			}
		}
	}
	return x.like
}

// partly reports whether the cells of a column are words that may be names, and some of
// them are.
func (s *scan) partly(b *block, column, rows int) bool {
	filled, maybe, part := 0, 0, 0
	for r := range rows {
		x := &b.cells[r*b.columns+column]
		if x.end == x.start {
			continue
		}
		filled++
		if like := s.likeness(x); like != prose.NoName {
			maybe++
			if like != prose.MaybeName {
				part++
			}
		}
	}
	return filled > 0 && maybe*4 >= filled*3 && part*4 >= filled
}

// every finds columns, in rows that name people, of which two thirds of the cells are surely
// of a type; all that may be are found.
func (s *scan) every(b *block, rows int, sure, may func([]byte) bool, t Type) {
	for c := range b.columns {
		filled, those := 0, 0
		for r := range rows {
			x := &b.cells[r*b.columns+c]
			if x.end > x.start {
				filled++
				if sure(s.src[x.start:x.end]) {
					those++
				}
			}
		}
		if filled == 0 || those*3 < filled*2 {
			continue
		}
		for r := range rows {
			if x := &b.cells[r*b.columns+c]; x.end > x.start && may(s.src[x.start:x.end]) && s.plan.wants(t) {
				s.out = append(s.out, Finding{x.start, x.end, t, 60})
			}
		}
	}
}

// likePhone reports whether v has the form of a telephone number: digits in groups, or with
// a prefix.
func likePhone(v []byte) bool {
	digits, parts, dots := 0, 0, 0
	for i, c := range v {
		switch {
		case isDigit(c):
			digits++
		case c == ' ' || c == '-' || c == '(' || c == ')' || c == '/':
			parts++
		case c == '.':
			dots++
		case c != '+' || i > 0:
			return false
		}
	}
	const fewest, most = 8, 14
	return digits >= fewest && digits <= most && (parts > 1 || dots > 1 && dots != 3 || v[0] == '+' || v[0] == '0' && parts > 0) && !isDate(v)
}

// isDate reports whether v is a day in one of the forms in which people write it, and
// nothing else.
func isDate(v []byte) bool { return yearOf(v) > 0 }

// longPast reports whether v is a day on which somebody was born who signs contracts.
func longPast(v []byte) bool {
	const first, last = 1910, 2009
	y := yearOf(v)
	return y >= first && y <= last
}

// yearOf returns the year of a date, or 0.
func yearOf(v []byte) int {
	if len(v) < 8 || len(v) > 20 {
		return 0
	}
	year, numbers, letters := 0, 0, 0
	for i := 0; i < len(v); {
		k := i
		n := 0
		for k < len(v) && isDigit(v[k]) && k-i < 5 {
			n = n*10 + int(v[k]-'0')
			k++
		}
		switch {
		case k-i == 4:
			if year != 0 || n < 1900 || n > 2100 {
				return 0
			}
			year = n
			numbers++
		case k-i == 1 || k-i == 2:
			if n == 0 || n > 31 {
				return 0
			}
			numbers++
		case k > i:
			return 0
		case letterByte[v[i]]:
			for k < len(v) && letterByte[v[k]] {
				k++
			}
			if letters++; monthEnd(v, i) == 0 {
				return 0
			}
		default:
			if bytes.IndexByte([]byte("-/. ,"), v[i]) < 0 {
				return 0
			}
			k++
		}
		i = k
	}
	if numbers != 3 && (numbers != 2 || letters != 1) {
		return 0
	}
	return year
}

// addressed finds the names before addresses of mail: Doris Hampton <doris@…>.
func (s *scan) addressed() (found bool) {
	for k, n := s.first, len(s.out); k < n; k++ {
		f := s.out[k]
		if f.Type != Email || s.at(f.Start-1) != '<' && s.at(f.Start-1) != '(' {
			continue
		}
		end := f.Start - 1
		for end > 0 && (s.src[end-1] == ' ' || s.src[end-1] == '"' || s.src[end-1] == '\'') {
			end--
		}
		if end == f.Start-1 {
			continue
		}
		start := end
		const longest = 48
		for start > 0 && end-start < longest && (letterByte[s.src[start-1]] || bytes.IndexByte([]byte(" .-'"), s.src[start-1]) >= 0) {
			start--
		}
		if s.at(start-1) == ',' && start > 1 && s.src[end] == '"' { // "Hampton, Doris"
			for start--; start > 0 && letterByte[s.src[start-1]]; {
				start--
			}
		}
		for start < end && !letterByte[s.src[start]] {
			start++
		}
		if start = s.behindLabel(start, end); start < end && s.plan.prose.Named(&s.tagger, s.src[start:end], true) {
			s.out = append(s.out, Finding{start, end, Person, 65})
			found = true
		}
	}
	return found
}

// behindLabel skips words in small letters at the beginning of a name: by, and.
func (s *scan) behindLabel(start, end int) int {
	for i := start; i < end; i++ {
		if s.src[i] == ' ' && isLower(s.src[start]) {
			for start = i; start < end && s.src[start] == ' '; {
				start++
			}
			i = start
		}
	}
	return start
}

// cues are words after which a person is named.
var cues = wordSet("by user users customer client contact author owner assignee reporter approver reviewer requester patient passenger guest caller holder for from account employee member recipient agent operator contractor tenant applicant invited into merged greet " +
	"benutzer kunde kundin nutzer von durch mitarbeiter patientin utilisateur par client usuario cliente por usuário utente da användare kund av gebruiker klant door użytkownik klient przez kullanıcı müşteri bruger bruker пользователь клиент пользователя")

// named finds names in lines that are not prose: full names that lists have, and such as
// follow a word that says so.
func (s *scan) named(taken func(start, end int) bool) (found bool) {
	line, isProse := -1, false // the end of the line, and whether names in it were looked for
	for i := s.plan.prose.Next(s.src, 0); i >= 0; {
		if i >= line {
			from := bytes.LastIndexByte(s.src[:i], '\n') + 1
			line = len(s.src)
			if k := bytes.IndexByte(s.src[i:], '\n'); k >= 0 {
				line = i + k
			}
			isProse = prose.Prose(s.src[from:line]) && bytes.IndexByte(s.src[from:line], ' ') >= 0
			if end := s.lineOfName(i, from, line); end > i && !taken(i, end) {
				s.out = append(s.out, Finding{i, end, Person, 60})
				found = true
				if i = s.plan.prose.Next(s.src, end); i < 0 {
					break
				}
				continue
			}
		}
		next := i + 1
		if isProse {
			next = line
		} else if end := s.plan.prose.NameAt(&s.tagger, s.src[:line], i, s.cued(i)); end > i && !taken(i, end) && !isKey(s.src, i, end) {
			s.out = append(s.out, Finding{i, end, Person, 60})
			found, next = true, end
		} else {
			for next < line && letterByte[s.src[next]] {
				next++
			}
		}
		if next >= len(s.src) {
			break
		}
		i = s.plan.prose.Next(s.src, next)
	}
	return found
}

// lineOfName returns the end of a full name at i that is all of the line src[from:to], but
// for signs, or of a given name that a sign of address follows; else i.
func (s *scan) lineOfName(i, from, to int) int {
	const longest = 48
	if to-from > longest || len(bytes.TrimSpace(s.src[from:i])) > 0 {
		return i
	}
	end := to
	for end > i && bytes.IndexByte([]byte(" ,:;!-.\r"), s.src[end-1]) >= 0 {
		end--
	}
	switch s.plan.prose.Judge(&s.tagger, s.src[i:end]) {
	case prose.FullName:
		return end
	case prose.PartName:
		if end < to && s.plan.prose.Named(&s.tagger, s.src[i:end], false) {
			if c := bytes.TrimLeft(s.src[end:to], " "); len(c) > 0 && (c[0] == ',' || c[0] == ':' || c[0] == '!' || c[0] == '-') {
				return end
			}
		}
	}
	return i
}

// cued reports whether the word before src[i] says that a person is named next.
func (s *scan) cued(i int) bool {
	for k := 0; i > 0 && k < 3 && bytes.IndexByte([]byte(" \"'=:"), s.src[i-1]) >= 0; k++ {
		i--
	}
	from := i
	for from > 0 && i-from < 24 && letterByte[s.src[from-1]] {
		from--
	}
	return from < i && within(cues, s.src[from:i])
}
