package audit

import (
	"bytes"
	"unicode"
	"unicode/utf8"
)

// Texts are searched by their words: what is between two characters that are
// neither letters, digits, marks nor underscores, in lower case.

// maxWord is the longest word that is indexed, in bytes.
const maxWord = 64

// words finds the words of texts. A stream comes in pieces, and a word may begin in
// one and end in another.
type words struct {
	found func(word []byte) // in lower case, valid until it returns; nil for one that is too long
	word  []byte
	open  map[string][]byte // by stream, the word that its last piece ended in
}

// add finds the words of a piece of a stream. What is of no stream ends with it.
func (w *words) add(stream string, b []byte) {
	w.word = w.word[:0]
	if stream != "" {
		w.word = append(w.word, w.open[stream]...)
	}
	for len(b) > 0 {
		c, n := rune(b[0]), 1
		if c >= utf8.RuneSelf {
			c, n = utf8.DecodeRune(b)
		}
		switch {
		case !isWord(c):
			w.end()
		case len(w.word) > maxWord: // and stays so until it ends
		case c < utf8.RuneSelf:
			if 'A' <= c && c <= 'Z' {
				c += 'a' - 'A'
			}
			w.word = append(w.word, byte(c))
		default:
			w.word = utf8.AppendRune(w.word, unicode.ToLower(c))
		}
		b = b[n:]
	}
	if stream == "" {
		w.end()
		return
	}
	if w.open == nil {
		w.open = make(map[string][]byte)
	}
	w.open[stream] = append(w.open[stream][:0], w.word...)
}

// finish ends every stream.
func (w *words) finish() {
	for _, b := range w.open {
		w.word = append(w.word[:0], b...)
		w.end()
	}
	clear(w.open)
}

func (w *words) end() {
	switch {
	case len(w.word) > maxWord:
		w.found(nil)
	case len(w.word) > 0:
		w.found(w.word)
	}
	w.word = w.word[:0]
}

func isWord(c rune) bool {
	if c < utf8.RuneSelf {
		return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '_' || 'A' <= c && c <= 'Z'
	}
	return c != utf8.RuneError && (unicode.IsLetter(c) || unicode.IsDigit(c) || unicode.IsMark(c))
}

// isNumeral reports whether a word may be a number, or a part of a UUID or digest:
// they are without end.
func isNumeral(word []byte) bool {
	digit := false
	for _, c := range word {
		switch {
		case '0' <= c && c <= '9':
			digit = true
		case 'a' <= c && c <= 'f':
		default:
			return false
		}
	}
	return digit
}

// inNumeral reports whether a text can be in such a word.
func inNumeral(text []byte) bool {
	return len(bytes.Trim(text, "0123456789abcdef")) == 0
}
