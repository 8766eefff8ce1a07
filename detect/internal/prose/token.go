package prose

import (
	"unicode"
	"unicode/utf8"
)

// maxTokens bounds the words and signs of one line that are looked at; the rest
// of a longer line is a line of its own.
const maxTokens = 256

type tokenFlags uint32

const (
	flagWord tokenFlags = 1 << iota
	flagNumber
	flagCapital  // begins with a capital
	flagAll      // has capitals only, more than one
	flagInitial  // one capital, or some with dots
	flagDot      // a full stop follows at once
	flagGiven    // in the gazetteer of given names
	flagFamily   // of family names
	flagCommon   // a common word
	flagPlace    // of places
	flagTitle    // Mr, Dr
	flagParticle // van, de
	flagCompany  // Inc, GmbH
	flagStreet   // Street, Ave
	flagCalendar // May, Monday
	flagBrand    // of organisations
	flagGerman   // words that only sentences of one tongue, or of its kin, have
	flagRomance
	flagNordic
	flagTaken // part of something that was found already
)

type token struct {
	start, end int
	flags      tokenFlags
	hash       uint32 // of the word in lower case, without accents; of the sign
	prefix     uint32 // of its first three letters
	suffix     uint32 // of its last three letters
	length     int
}

// folded are the base letters of U+00C0 to U+017F.
const folded = "AAAAAAACEEEEIIIIDNOOOOOxOUUUUYTsaaaaaaaceeeeiiiidnooooo/ouuuuyty" +
	"AaAaAaCcCcCcCcDdDdEeEeEeEeEeGgGgGgGgHhHhIiIiIiIiIiJjJjKkkLlLlLlLlLlNnNnNnnNnOoOoOoOoRrRrRrSsSsSsSsTtTtTtUuUuUuUuUuUuWwYyYZzZzZzs"

func fold(r rune) rune {
	if r >= 0xC0 && int(r-0xC0) < len(folded) {
		r = rune(folded[r-0xC0])
	}
	return r
}

const (
	hashSeed  = 2166136261
	hashPrime = 16777619
)

// read splits text[from:] up to the end of its line into tokens and returns
// where the next line, or the rest of a long one, begins.
func (t *Tagger) read(text []byte, from int) (next int) {
	t.tokens = t.tokens[:0]
	i := from
	for i < len(text) && len(t.tokens) < maxTokens {
		c := text[i]
		switch {
		case c == '\n':
			return i + 1
		case c == ' ' || c == '\r':
			i++
		case letter(c):
			i = t.word(text, i)
		case c >= '0' && c <= '9':
			start := i
			for i < len(text) && (text[i] >= '0' && text[i] <= '9' || letter(text[i])) {
				i++
			}
			t.add(text, token{start: start, end: i, flags: flagNumber, hash: 1, length: i - start})
		default:
			t.add(text, token{start: i, end: i + 1, hash: uint32(c) + 2, length: 1})
			i++
		}
	}
	return i
}

func letter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' || c >= 0x80 }

func (t *Tagger) add(text []byte, k token) {
	if k.flags&flagWord != 0 && inCode(text, k.start, k.end) {
		k.flags |= flagTaken
	}
	t.tokens = append(t.tokens, k)
}

// inCode reports whether the word text[start:end] stands in something that is
// written without spaces, such as fmt.Errorf, a path or the name of a file.
func inCode(text []byte, start, end int) bool {
	at := func(i int) byte {
		if uint(i) < uint(len(text)) {
			return text[i]
		}
		return 0
	}
	alnum := func(c byte) bool { return letter(c) || c >= '0' && c <= '9' }
	switch at(start - 1) {
	case '_', '@', '#', '$', '=', '\\', '<', '~', '%', '^', '`', '+':
		return true
	case '.', '/', ':':
		if alnum(at(start-2)) && alnum(at(start-3)) {
			return true
		}
	}
	switch at(end) {
	case '_', '@', '=', '(', '[', '{', '<', '>', '\\', '`', '+':
		return true
	case '.', '/', ':':
		return end-start > 2 && alnum(at(end+1))
	}
	return at(end) >= '0' && at(end) <= '9'
}

// nameBefore are the letters that Mac, Mc, De, Di, La, Le, Van, Von, Fitz, O and the
// like begin with.
var nameBefore = [256]bool{'m': true, 'd': true, 'l': true, 'v': true, 'f': true, 'o': true, 's': true, 'a': true}

// word reads the word at i: letters, with apostrophes and dashes between them.
func (t *Tagger) word(text []byte, i int) int {
	k := token{start: i, flags: flagWord}
	h, tail := uint32(hashSeed), uint32(0) // tail are the last letters
	capitals, letters := 0, 0
	inner, last := 0, rune(0) // where a capital stands behind a small letter
	same, times := rune(0), 0 // the last letter, and how often in a row
	for i < len(text) {
		c := text[i]
		r, size := rune(c), 1
		switch {
		case c|0x20 >= 'a' && c|0x20 <= 'z':
		case c >= 0x80:
			r, size = utf8.DecodeRune(text[i:])
			if !unicode.IsLetter(r) && !unicode.Is(unicode.Mn, r) {
				if i == k.start { // a sign
					t.add(text, token{start: i, end: i + size, hash: uint32(r), length: 1})
					return i + size
				}
				size = 0
			}
			r = fold(r)
		case c == '\'' && i+2 < len(text) && letter(text[i+1]) && letter(text[i+2]), c == '-' && i+1 < len(text) && letter(text[i+1]):
		default:
			size = 0
		}
		if size == 0 {
			break
		}
		upper := r-'A' < 26 && r >= 'A'
		if upper {
			r |= 0x20
		} else if r >= 0x80 && unicode.IsUpper(r) {
			upper, r = true, unicode.ToLower(r)
		}
		if upper {
			capitals++
			if last >= 'a' && last <= 'z' {
				inner = letters
			}
			if letters == 0 {
				k.flags |= flagCapital
			}
		}
		if r != same {
			same, times = r, 0
		}
		if times++; times > 2 { // Hmmm, Sooo
			k.flags |= flagTaken
		}
		if last = r; upper {
			last = 0
		}
		if r != '\'' && r != '-' {
			letters++
		}
		h = (h ^ uint32(r)) * hashPrime
		if letters <= 3 {
			k.prefix = h
		}
		tail = tail<<8 | uint32(byte(r))
		i += size
	}
	k.hash, k.suffix = h, tail&0xffffff*2654435761
	k.end, k.length = i, letters
	if inner > 3 || inner > 0 && !nameBefore[text[k.start]|0x20] { // HttpOnly, but McKay, MacLeod, DeLuca
		k.flags |= flagTaken
	}
	if i < len(text) && text[i] == '.' {
		k.flags |= flagDot
	}
	if capitals == letters {
		if letters == 1 {
			k.flags |= flagInitial
		} else {
			k.flags |= flagAll
		}
	}
	t.add(text, k)
	return i
}
