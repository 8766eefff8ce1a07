package detect

import "bytes"

// keyByte are the bytes of keys in front of an assignment.
var keyByte = func() (t [256]bool) {
	for c := range t {
		t[c] = letterByte[c] || isDigit(byte(c)) || c == '_' || c == '-' || c == '.'
	}
	return t
}()

// assigned looks at the =, : or > at i: a key that names a secret before it, and
// its value behind it.
func (s *scan) assigned(i int) int {
	src := s.src
	k := i - 1
	for k >= s.floor && i-k < 24 && src[k] == ' ' { // aligned
		k--
	}
	for n := 0; n < 4 && k >= s.floor && (src[k] == '"' || src[k] == '\'' || src[k] == ' ' || src[k] == '\\' || src[k] == ']'); n++ {
		k--
	}
	if src[i] == '=' && k > 0 && src[k] == 'g' && k > 8 && string(src[k-6:k+1]) == " string" { // var name string = "…"
		k -= 7
	}
	if k < 2 {
		return i + 1
	}
	secret, person := secretEnd(src, k+1), personEnd(src, k+1)
	if !secret && !person {
		if c := src[k]; c == 'e' && src[k-1] == 'u' || c == 't' && src[k-1] == 'l' {
			return s.paired(k+1, i)
		}
		return i + 1
	}
	end := k + 1
	for k >= s.floor && end-k < 48 && keyByte[src[k]] {
		k--
	}
	if src[i] == '>' && s.at(k) != '<' && !s.attribute(k) || src[i] == '>' && s.at(i-1) == '-' {
		return i + 1
	}
	next := i + 1
	if secret {
		next = s.keyed(k+1, end, next, src[i])
	}
	if person && next == i+1 {
		if next = s.personIn(k+1, end, next, src[i]); next == i+1 {
			next = s.placeIn(k+1, end, next, src[i])
		}
	}
	return next
}

// attribute reports whether the quote at k begins what an attribute says that an element
// is called, as in <entry key="secret">.
func (s *scan) attribute(k int) bool {
	if c := s.at(k); c != '"' && c != '\'' || s.at(k-1) != '=' {
		return false
	}
	_, ok := behindWord(s.src, k-1, "key", "name")
	return ok
}

// called looks at the ( at i: a call whose first argument is a key that names a
// secret, and whose second is its value.
func (s *scan) called(i int) int {
	q := s.at(i + 1)
	if q != '"' && q != '\'' {
		return i + 1
	}
	k := i + 2
	for k-i < 50 && keyByte[s.at(k)] {
		k++
	}
	if s.at(k) != q || k < i+4 {
		return s.setter(i)
	}
	if !secretEnd(s.src, k) {
		return s.setter(i)
	}
	v := k + 1
	for n := 0; n < 2 && (s.at(v) == ',' || s.at(v) == ' '); n++ {
		v++
	}
	if v == k+1 || s.at(v) != '"' && s.at(v) != '\'' {
		return i + 1
	}
	return max(s.keyed(i+2, k, v, '='), i+1)
}

// paired looks at the sign at i of a field that ends before src[end] and is the value
// of another, as in name: DB_PASSWORD, value: …, or of a declared variable.
func (s *scan) paired(end, i int) int {
	src := s.src
	k, ok := behindWord(src, end, "value", "default")
	if !ok {
		return i + 1
	}
	const between = 12 // bytes of signs and spaces
	stop := max(s.floor, k-between)
	for k > stop && bytes.IndexByte([]byte(" \n\r\t\"',{-<"), src[k-1]) >= 0 {
		k--
	}
	to := k
	for k > s.floor && to-k < 48 && keyByte[src[k-1]] {
		k--
	}
	if from := k; to-from > 2 && secretEnd(src, to) {
		for k > 0 && (src[k-1] == '"' || src[k-1] == '\'' || src[k-1] == ' ') {
			k--
		}
		word := k > 0 && (src[k-1] == ':' || src[k-1] == '=')
		for word && k > 0 && (src[k-1] == ':' || src[k-1] == '=' || src[k-1] == '"' || src[k-1] == ' ') {
			k--
		}
		if word {
			_, ok = behindWord(src, k, "name", "key")
		} else {
			_, ok = behindWord(src, k, "variable")
		}
		if ok {
			return s.keyed(from, to, i+1, src[i])
		}
	}
	return i + 1
}

// behindWord reports whether one of words ends before src[end], in any case, and
// where it begins.
func behindWord(src []byte, end int, words ...string) (int, bool) {
	for _, w := range words {
		from := end - len(w)
		if from >= 0 && bytes.EqualFold(src[from:end], []byte(w)) && (from == 0 || !letterByte[src[from-1]]) {
			return from, true
		}
	}
	return end, false
}

// set looks at the value at i of the variable whose name and a space end there, of
// a command such as setx.
func (s *scan) set(i int) int {
	k := i - 1
	for k > s.floor && i-k < 48 && keyByte[s.src[k-1]] {
		k--
	}
	from := k
	for k > 0 && s.src[k-1] == ' ' {
		k--
	}
	for _, option := range [...]string{" -x", " -gx", " -Ux", " /M", " /m"} {
		if bytes.HasSuffix(s.src[:k], []byte(option)) {
			k -= len(option)
			break
		}
	}
	if _, ok := behindWord(s.src, k, "set", "setx", "setenv", "export"); !ok || k == from {
		return i
	}
	return max(s.keyed(from, i-1, i, ' '), i)
}

// setter looks at the ( at i of a call that sets a field in which names of people
// stand.
func (s *scan) setter(i int) int {
	if !personEnd(s.src, i) {
		return i + 1
	}
	k := i
	for k > s.floor && i-k < maxPersonKey && keyByte[s.src[k-1]] {
		k--
	}
	if holds, _ := s.personKey(s.src[k:i]); !holds {
		return i + 1
	}
	return s.personIn(k, i, i+1, '(')
}

// flagged looks at the key at i, behind two dashes or ENV, and at the value that
// follows it after a space.
func (s *scan) flagged(i int) int {
	if c := s.at(i - 3); s.at(i-1) == '-' && c != 0 && c != ' ' && c != '\n' && c != '"' && c != '\'' {
		return i
	}
	k := i
	for k-i < 48 && keyByte[s.at(k)] {
		k++
	}
	if s.at(k) != ' ' || k < i+3 || s.at(k+1) == '-' {
		return i
	}
	if !secretEnd(s.src, k) {
		return i
	}
	return max(s.keyed(i, k, k+1, ' '), i)
}

// keyed finds the value at i of the key src[from:to], behind sign. It returns
// where to go on, at least i.
func (s *scan) keyed(from, to, i int, sign byte) int {
	src := s.src
	if from >= to || !letterByte[src[to-1]] && !isDigit(src[to-1]) || from < s.floor {
		return i
	}
	about := s.plan.words.before(src, to, from).near
	if about&(aboutPassword|aboutSecret|aboutKey) == 0 {
		return i
	}
	key := src[from:to]
	from, to, quoted := s.value(i, sign)
	v := src[from:to]
	if workingDirectory(key, v) {
		return i
	}
	if n := schemeEnd(v, src, to); n > 0 { // Authorization: token …
		from = to + n
		to = from
		for to < len(src) && to-from < 512 && src[to] > ' ' && src[to] != '"' && src[to] != '\'' {
			to++
		}
		v = src[from:to]
	}
	if len(v) == 0 || reference(v) || bytes.HasPrefix(v, []byte("-----")) { // a key in its own form
		return i
	}
	if end := s.known(from, to); end > from {
		return end
	}
	switch {
	case about&aboutPassword != 0 && sign != ' ':
		// "Password: required for" is prose, "password = await get()" is code.
		if !quoted && (s.at(to) == ' ' || s.at(to) == '(') && (letterByte[s.at(to+1)] || s.at(to+1) == '(') && !mixed(v) || len(v) < 3 || code(v, quoted) {
			return i
		}
		s.emit(from, to, Password, 90)
	case about&aboutPassword != 0 && (quoted || len(v) > 5 && mixed(v)):
		s.emit(from, to, Password, 90)
	case about&aboutSecret != 0 && len(v) >= 12 && mixed(v) && !code(v, quoted), random(v):
		s.emit(from, to, Secret, 88)
	default:
		return i
	}
	return max(to, i)
}

// workingDirectory reports whether key and v are the variable of shells that holds
// where they are.
func workingDirectory(key, v []byte) bool {
	if len(v) == 0 || string(key) != "PWD" && string(key) != "OLDPWD" && string(key) != "pwd" {
		return false
	}
	return v[0] == '/' || v[0] == '~' || len(v) > 2 && v[1] == ':' && v[2] == '\\'
}

// known finds keys of a known form near the beginning of the value src[from:to],
// and returns the end of one that begins it, or from.
func (s *scan) known(from, to int) int {
	const near = 16
	n := len(s.out)
	for k := from; k < min(from+2*near, to); k++ {
		if s.plan.triggers.kinds[pairOf(s.src[k], s.at(k+1))]&startsLiteral == 0 {
			continue
		}
		if end := s.literal(k, from+near); len(s.out) > n && s.out[len(s.out)-1].Start == from {
			return end
		}
	}
	return from
}

// schemeEnd returns how long the space is between v, which names a way to
// authenticate, and what proves it.
func schemeEnd(v, src []byte, to int) int {
	if string(v) == "bearer" { // Bearer is found by itself
		return 1
	}
	for _, scheme := range [...]string{"token", "apikey", "digest", "key"} {
		if len(v) == len(scheme) && bytes.EqualFold(v, []byte(scheme)) && to+1 < len(src) && src[to] == ' ' {
			return 1
		}
	}
	return 0
}

// code reports whether an unquoted v is an expression rather than a value: a call,
// an index, a member.
func code(v []byte, quoted bool) bool {
	if quoted {
		return false
	}
	for i, c := range v {
		switch c {
		case '(', '[', '{':
			return true
		case '.':
			if i > 0 && i+1 < len(v) && isLower(v[i-1]) && (isUpper(v[i+1]) || isLower(v[i+1])) && !mixed(v) {
				return true
			}
		}
	}
	return false
}

// random reports whether v looks like a key that a machine made.
func random(v []byte) bool {
	if len(v) < 16 || len(v) > 512 || isUUID(v, 0) {
		return false
	}
	var seen [4]uint64
	digits, letters, distinct, runs := 0, 0, 0, 0
	for i, c := range v {
		switch {
		case isDigit(c):
			digits++
		case isAlnum(c):
			letters++
		case c != '+' && c != '/' && c != '=' && c != '-' && c != '_':
			return false
		default:
			runs++
			continue
		}
		if i > 0 && (isDigit(c) != isDigit(v[i-1]) || isUpper(c) != isUpper(v[i-1])) {
			runs++
		}
		if seen[c/64]&(1<<(c%64)) == 0 {
			seen[c/64] |= 1 << (c % 64)
			distinct++
		}
	}
	return digits > 1 && letters > 1 && distinct > 8 && runs*5 >= len(v)
}

// value returns the bounds of the value that follows sign at i.
func (s *scan) value(i int, sign byte) (from, to int, quoted bool) {
	src := s.src
	for n := 0; i < len(src) && n < 4 && (src[i] == ' ' || src[i] == '=' || src[i] == '>' || src[i] == '\\'); n++ {
		i++
	}
	var quote byte
	if c := s.at(i); (c == '"' || c == '\'' || c == '`') && sign != '>' {
		quote = c
		i++
	}
	from = i
	for ; i < len(src) && i-from < 512; i++ {
		c := src[i]
		if quote != 0 {
			if c == quote || c == '\n' {
				break
			}
			if c == '\\' && i+1 < len(src) {
				if src[i+1] == quote && (i+2 >= len(src) || plainEnd[src[i+2]] || src[i+2] == ' ') {
					break // the end of a text within a text
				}
				i++
			}
			continue
		}
		if s.endsValue(i) {
			break
		}
	}
	return from, min(i, len(src)), quote != 0
}

// endsValue reports whether a value without quotes ends before the byte at i. Signs
// that part fields end it where another field follows, or nothing.
func (s *scan) endsValue(i int) bool {
	next := s.at(i + 1)
	switch c := s.src[i]; c {
	case '"', '\'', '<':
		return true
	case '\\':
		return next == 'n' || next == '"'
	case '&':
		return next == '&' || next <= ' ' || s.fieldAt(i+1) || bytes.HasPrefix(s.src[i:], []byte("&amp;"))
	case ',', ';':
		k := i + 1
		for isAlnum(s.at(k)) {
			k++
		}
		return !mixed(s.src[i+1:k]) || s.fieldAt(i+1)
	case '}', ')':
		return !isAlnum(next)
	default:
		return c <= ' '
	}
}

// fieldAt reports whether a name and the sign of an assignment stand at i.
func (s *scan) fieldAt(i int) bool {
	k := i
	for k-i < 48 && (keyByte[s.at(k)] || s.at(k) == ' ' && k > i) {
		k++
	}
	return k > i && (s.at(k) == '=' || s.at(k) == ':')
}

// reference reports whether v stands for a secret rather than being one: a
// variable, a placeholder, nothing.
func reference(v []byte) bool {
	last := v[len(v)-1]
	name := func(v []byte) bool {
		return !bytes.ContainsFunc(v, func(r rune) bool { return r >= 0x80 || !keyByte[r] || r == '-' })
	}
	switch v[0] {
	case '$':
		return len(v) > 1 && (v[1] == '{' || v[1] == '(') || name(v[1:])
	case '<', '{', '[', '(', '=':
		return true
	case '*', '?':
		return last == v[0]
	case '%':
		return len(v) < 4 || last == '%' || v[1] == '(' || v[1] == '{'
	case '&':
		return name(v[1:]) && !mixed(v)
	}
	for _, word := range [...]string{
		"null", "none", "nil", "true", "false", "undefined", "empty", "required", "invalid", "incorrect", "string", "str", "text", "varchar", "bool", "int", "os.environ", "getenv", "process.env", "changed", "self", "this", "password", "func",
	} {
		if len(v) == len(word) && bytes.EqualFold(v, []byte(word)) {
			return true
		}
	}
	return false
}

// command looks at the option -u, -p or -a at i, and at the program before it: a user
// and a password of curl, or the password of mysql, sshpass, docker login or redis-cli.
func (s *scan) command(i int) int {
	line := s.src[max(s.floor, i-80):i]
	if n := bytes.LastIndexByte(line, '\n'); n >= 0 {
		line = line[n:]
	}
	from := i + 2
	switch s.at(i + 1) {
	case 'u':
		if !takesLogin(line) {
			return i
		}
		for from < len(s.src) && (s.src[from] == ' ' || s.src[from] == '"' || s.src[from] == '\'') && from < i+5 {
			from++
		}
		for k := from; ; k++ {
			if c := s.at(k); c <= ' ' || k-from > 64 {
				return i
			} else if c == ':' {
				from = k + 1
				break
			}
		}
	case 'p':
		switch login := bytes.Contains(line, []byte(" login ")); {
		case attachesPassword(line):
		case login && s.at(from) == ' ', bytes.Contains(line, []byte("sshpass")):
			for s.at(from) == ' ' && from < i+5 {
				from++
			}
		default:
			return i
		}
		if c := s.at(from); c == '"' || c == '\'' {
			from++
		}
	case 'a':
		if !bytes.Contains(line, []byte("redis-cli")) || s.at(from) != ' ' {
			return i
		}
		if from++; s.at(from) == '"' || s.at(from) == '\'' {
			from++
		}
	default:
		return i
	}
	to := from
	for to < len(s.src) && to-from < 128 && s.src[to] > ' ' && s.src[to] != '"' && s.src[to] != '\'' {
		to++
	}
	if to-from < 3 || reference(s.src[from:to]) {
		return i
	}
	s.emit(from, to, Password, 90)
	return to
}

// attachesPassword reports whether a line has a program that takes a password in the same
// word as -p.
func attachesPassword(line []byte) bool {
	return bytes.Contains(line, []byte("mysql")) || bytes.Contains(line, []byte("mariadb"))
}

// takesLogin reports whether a line has a program that takes a name and a password
// after -u.
func takesLogin(line []byte) bool {
	return bytes.Contains(line, []byte("curl")) || bytes.Contains(line, []byte("wget"))
}
