package detect

func isDigit(c byte) bool { return c-'0' < 10 }

func isUpper(c byte) bool { return c-'A' < 26 }

func isLower(c byte) bool { return c-'a' < 26 }

func isAlnum(c byte) bool { return c-'0' < 10 || (c|0x20)-'a' < 26 }

func isHex(c byte) bool { return c-'0' < 10 || (c|0x20)-'a' < 6 }

func lowerBit(c byte) byte {
	if isUpper(c) {
		return 0x20
	}
	return 0
}

func hexValue(c byte) byte {
	if isDigit(c) {
		return c - '0'
	}
	return c | 0x20 - 'a' + 10
}

// letterByte are the bytes of words: ASCII letters and all that UTF-8 uses for
// others.
var letterByte = func() (t [256]bool) {
	for c := range t {
		t[c] = c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= 0x80
	}
	return t
}()
