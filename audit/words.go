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
		n := 0
		for n < len(b) && inWord[b[n]] != 0 {
			n++
		}
		w.letters(b[:n])
		for n < len(b) && b[n] < utf8.RuneSelf && inWord[b[n]] == 0 {
			w.end()
			n++
		}
		for n < len(b) && b[n] >= utf8.RuneSelf {
			c, size := utf8.DecodeRune(b[n:])
			w.character(c)
			n += size
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

// letters takes ASCII characters of words. A word that is too long grows no more, and
// stays so until it ends.
func (w *words) letters(b []byte) {
	for _, c := range b[:min(len(b), maxWord+1-min(len(w.word), maxWord+1))] {
		w.word = append(w.word, inWord[c])
	}
}

// character takes a character that is not ASCII.
func (w *words) character(c rune) {
	switch {
	case !isWord(c):
		w.end()
	case len(w.word) <= maxWord:
		w.word = utf8.AppendRune(w.word, unicode.ToLower(c))
	}
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
	return c != utf8.RuneError && (unicode.IsLetter(c) || unicode.IsDigit(c) || unicode.IsMark(c))
}

// inWord is each ASCII character that words have, in lower case; 0 for other bytes.
var inWord = func() (t [256]byte) {
	for c := range utf8.RuneSelf {
		if c == '_' || isWord(rune(c)) {
			t[c] = byte(unicode.ToLower(rune(c)))
		}
	}
	return t
}()

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
