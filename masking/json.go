package masking

// jsonCursor tells what of a JSON text is inside strings.
type jsonCursor struct {
	src    []byte
	pos    int
	string bool
}

// inside reports whether position at is inside a string. Positions ascend.
func (c *jsonCursor) inside(at int) bool {
	for ; c.pos < at; c.pos++ {
		switch b := c.src[c.pos]; {
		case b == '\\' && c.string:
			c.pos++
		case b == '"':
			c.string = !c.string
		}
	}
	return c.string
}

// bareToken returns the bounds of the number or word around [start, end).
func bareToken(src []byte, start, end int) (int, int) {
	part := func(c byte) bool { return isAlnum(c) || c == '+' || c == '-' || c == '.' }
	for start > 0 && part(src[start-1]) {
		start--
	}
	for end < len(src) && part(src[end]) {
		end++
	}
	return start, end
}

// namedValues calls each with the bounds of the values, strings without their
// quotes, of the keys in a JSON text whose names say what they hold.
func namedValues(src []byte, typeOf func(key []byte) (Type, bool), each func(start, end int, t Type)) {
	for i := 0; i < len(src); {
		if src[i] != '"' {
			i++
			continue
		}
		end := stringEnd(src, i)
		k := skipSpace(src, end)
		if k >= len(src) || src[k] != ':' || end < i+2 {
			i = max(end, i+1)
			continue
		}
		k = skipSpace(src, k+1)
		t, ok := typeOf(src[i+1 : end-1])
		if !ok || k >= len(src) {
			i = k
			continue
		}
		switch src[k] {
		case '"':
			i = stringEnd(src, k)
			if i > k+2 {
				each(k+1, i-1, t)
			}
		case '{', '[', 'n', 't', 'f':
			i = k + 1 // what is nested is looked at by its own keys
		default:
			_, i = bareToken(src, k, k)
			if i > k {
				each(k, i, t)
			}
			i = max(i, k+1)
		}
	}
}

// stringEnd returns the position behind the string that begins at i.
func stringEnd(src []byte, i int) int {
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

func skipSpace(src []byte, i int) int {
	for i < len(src) && (src[i] == ' ' || src[i] == '\n' || src[i] == '\t' || src[i] == '\r') {
		i++
	}
	return i
}
