package mysql

import "strings"

// A character set is plain when every byte below 128 is that ASCII character, wherever it
// is: then a backslash, a quote and a digit are seen for what they are.

// base is the number of a collation without MariaDB's additions: those that do not pad have
// 1024 added, and its newest ones are in blocks by character set.
func base(collation uint16) uint16 {
	switch {
	case collation >= 3072:
		return 60 // utf32
	case collation >= 2816:
		return 54 // utf16
	case collation >= 2560:
		return 35 // ucs2
	case collation >= 2304:
		return 45 // utf8mb4
	case collation >= 2048:
		return 33 // utf8mb3
	}
	return collation &^ 1024
}

// plainCollation reports whether a collation's character set is plain.
func plainCollation(collation uint16) bool {
	c := base(collation)
	switch {
	case c == 0:
		return false
	case c == 1 || c == 84, // big5
		c == 13 || c == 88, c == 95 || c == 96, // sjis, cp932
		c == 24 || c == 86, c == 28 || c == 87, c >= 248 && c <= 250, // gb2312, gbk, gb18030
		c == 35 || c == 90 || c >= 128 && c <= 151 || c == 159,           // ucs2
		c == 54 || c == 55 || c == 56 || c == 62 || c >= 101 && c <= 124, // utf16, utf16le
		c == 60 || c == 61 || c >= 160 && c <= 183:                       // utf32
		return false
	}
	return true
}

var plainCharsets = func() map[string]bool {
	m := make(map[string]bool)
	for name := range strings.FieldsSeq(`utf8mb4 utf8mb3 utf8 latin1 latin2 latin5 latin7 ascii binary cp1250 cp1251 cp1256 cp1257 cp850 cp852 cp866
		koi8r koi8u hebrew greek dec8 hp8 armscii8 geostd8 keybcs2 macce macroman tis620 euckr ujis eucjpms default`) {
		m[name] = true
	}
	return m
}()

// plainCharset reports whether a character set of that name is plain. A name that is not
// known is not.
func plainCharset(name string) bool { return plainCharsets[strings.ToLower(name)] }

// hides reports whether text holds a byte that may make something else of the next one, in a
// character set that is not plain.
func hides(text []byte) bool {
	for _, c := range text {
		if c >= 0x80 {
			return true
		}
	}
	return false
}
