// Package jsontext finds the bounds of what a text of JSON has, without minding
// whether all of it is JSON.
package jsontext

// StringEnd returns the position after the string that begins at i.
func StringEnd(src []byte, i int) int {
	for k := i + 1; k < len(src); k++ {
		switch src[k] {
		case '\\':
			k++
		case '"':
			return k + 1
		}
	}
	return len(src)
}

// SkipSpace returns the position of the first byte from i on that is not white space.
func SkipSpace(src []byte, i int) int {
	for i < len(src) && (src[i] == ' ' || src[i] == '\n' || src[i] == '\t' || src[i] == '\r') {
		i++
	}
	return i
}

// BareToken returns the bounds of the number or word around [start, end).
func BareToken(src []byte, start, end int) (int, int) {
	part := func(c byte) bool { return c-'0' < 10 || (c|0x20)-'a' < 26 || c == '+' || c == '-' || c == '.' }
	for start > 0 && part(src[start-1]) {
		start--
	}
	for end < len(src) && part(src[end]) {
		end++
	}
	return start, end
}
