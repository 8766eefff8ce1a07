package masking

import "bytes"

// keyByte are the bytes of keys in front of an assignment.
var keyByte = func() (t [256]bool) {
	for c := range t {
		t[c] = letterByte[c] || isDigit(byte(c)) || c == '_' || c == '-'
	}
	return t
}()

// assigned looks at the = or : at i: a key that names a secret, and its value.
func (s *scan) assigned(i int) int {
	src := s.src
	k := i - 1
	for n := 0; n < 3 && k >= s.floor && (src[k] == '"' || src[k] == '\'' || src[k] == ' ' || src[k] == '\\'); n++ {
		k--
	}
	end := k + 1
	if k < 1 {
		return i + 1
	}
	if n := pairOf(src[k-1], src[k]); secretEnds[n/64]&(1<<(n%64)) == 0 {
		return i + 1
	}
	for k >= s.floor && end-k < 48 && keyByte[src[k]] {
		k--
	}
	if k+1 >= end || !letterByte[src[end-1]] {
		return i + 1
	}
	set := s.plan.words.before(src, end, k+1)
	if set.near&(aboutPassword|aboutSecret) == 0 {
		return i + 1
	}
	from, to, quoted := s.value(i + 1)
	v := src[from:to]
	if len(v) == 0 || reference(v) {
		return i + 1
	}
	switch {
	case set.near&aboutPassword != 0:
		// "Password: required for" is prose.
		if src[i] == ':' && !quoted && s.at(to) == ' ' && letterByte[s.at(to+1)] && !mixed(v) {
			return i + 1
		}
		s.emit(from, to, Password, 90)
	case len(v) >= 12 && mixed(v):
		s.emit(from, to, Secret, 88)
	default:
		return i + 1
	}
	return max(to, i+1)
}

// value returns the bounds of the value behind an assignment.
func (s *scan) value(i int) (from, to int, quoted bool) {
	src := s.src
	for n := 0; i < len(src) && n < 4 && (src[i] == ' ' || src[i] == '=' || src[i] == '>' || src[i] == '\\'); n++ {
		i++
	}
	var quote byte
	if c := s.at(i); c == '"' || c == '\'' || c == '`' {
		quote = c
		i++
	}
	from = i
	for ; i < len(src) && i-from < 512; i++ {
		c := src[i]
		if quote != 0 {
			if c == quote {
				break
			}
			if c == '\\' && i+1 < len(src) && src[i+1] != quote {
				i++
			}
			continue
		}
		if c <= ' ' || c == '"' || c == '\'' || c == ',' || c == ';' || c == '&' || c == '<' || c == '}' || c == ')' {
			break
		}
	}
	return from, min(i, len(src)), quote != 0
}

// reference reports whether v stands for a secret rather than being one: a
// variable, a placeholder, nothing.
func reference(v []byte) bool {
	switch v[0] {
	case '$':
		return len(v) < 16 || v[1] == '{' || v[1] == '('
	case '<', '{', '[', '(', '*', '%', '?':
		return true
	}
	for _, word := range [...]string{"null", "none", "nil", "true", "false", "undefined", "empty", "required", "invalid", "incorrect", "string"} {
		if bytes.EqualFold(v, []byte(word)) {
			return true
		}
	}
	return false
}
