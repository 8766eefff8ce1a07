package masking

import (
	"bytes"
	"errors"
	"unicode/utf8"
)

// The output of a command may be no text: an archive, an image, compressed data.
// Stars in such data hide nothing that somebody would read, and break it. But no
// stream is ever taken for such data as a whole, since it may go on otherwise than
// it began, and whoever wants values may begin it. What counts is whether a value
// stands where text is.

const (
	// controls are the control characters that text does not hold. A single NUL is
	// none of them: lists are separated by them, as by find -print0.
	controls = "\x01\x02\x03\x04\x05\x06\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1c\x1d\x1e\x1f"
	// zeros is how many NULs in a row text does not hold.
	zeros = 4
	// around is how much beside a value tells whether other data is near, in bytes.
	around = 128
	// sureValue is how many characters a value has that is no accident of random bytes:
	// they make one as long in some gigabytes.
	sureValue = 10
	// sureText is how many characters of text in a row a shorter value stands in.
	sureText = 16
)

// accident reports whether b[start:end] looks like a value in data that is no
// text: it is short, what stands directly around it is not text, and control
// characters are near.
func accident(b []byte, start, end int) bool {
	near := b[max(0, start-around):min(len(b), end+around)]
	row := utf8.RuneCount(b[start:end])
	if row >= sureValue || allText(near) {
		return false
	}
	for start > 0 && row < sureText {
		n := textBefore(b, start)
		if n == 0 {
			break
		}
		start, row = start-n, row+1
	}
	for end < len(b) && row < sureText {
		n := textAt(b, end)
		if n == 0 {
			break
		}
		end, row = end+n, row+1
	}
	return row < sureText
}

// errNotText ends a stream that is not text and in which values were hidden: what came is
// not what the command wrote, and a program that reads it would not notice.
var errNotText = errors.New("this output is not text, so it is not what the command wrote any more; copy files by scp or sftp, or ask for an exemption from masking")

// beginning is how much of a stream tells whether it is text.
const beginning = 512

// begins looks at the beginning of a stream, of which src comes next.
func (s *stream) begins(src []byte) {
	if !s.output || s.begun >= beginning {
		return
	}
	src = src[:min(len(src), beginning-s.begun)]
	s.other = s.other || !allText(src)
	s.begun += len(src)
}

// allText reports whether b holds nothing that text does not.
func allText(b []byte) bool {
	return !bytes.ContainsAny(b, controls) && !bytes.Contains(b, noText[:])
}

var noText [zeros]byte

// textAt returns how many bytes the character of text at b[i:] has; 0 when it is
// none.
func textAt(b []byte, i int) int {
	c := b[i]
	if c < utf8.RuneSelf {
		if c >= ' ' && c != 0x7f || c == '\n' || c == '\t' || c == '\r' {
			return 1
		}
		return 0
	}
	if r, n := utf8.DecodeRune(b[i:]); r != utf8.RuneError {
		return n
	}
	return 0
}

func textBefore(b []byte, i int) int {
	c := b[i-1]
	if c < utf8.RuneSelf {
		return textAt(b, i-1)
	}
	if r, n := utf8.DecodeLastRune(b[:i]); r != utf8.RuneError {
		return n
	}
	return 0
}

// dense reports whether b holds no text that a value could stand in: compressed
// and encrypted data have few characters of it in a row. Where every other byte is
// a NUL, there may be text of two bytes a character.
func dense(b []byte) bool {
	run, wides := 0, 0
	for i := 0; i < len(b); i++ {
		c := b[i]
		n := int(plainText[c])
		if c >= 0xC2 && c <= 0xF4 && i+1 < len(b) && b[i+1]&0xC0 == 0x80 {
			n = textAt(b, i)
		}
		if n > 0 {
			i += n - 1
			if run++; run >= sureValue {
				return false
			}
			continue
		}
		run = 0
		if c == 0 && i >= 2 && b[i-2] == 0 && b[i-1] != 0 {
			if wides++; wides > sureValue {
				return false
			}
		}
	}
	return true
}

// plainText is 1 for the characters of text that are one byte.
var plainText = func() (t [256]uint8) {
	for i := range utf8.RuneSelf {
		t[i] = uint8(textAt([]byte{byte(i)}, 0))
	}
	return t
}()

// wideNUL reports whether the NUL b[i] belongs to a character of two or four
// bytes, as in UTF-16 and UTF-32: another character stands on either side, and as
// many NULs beyond one of them.
func wideNUL(b []byte, i int) bool {
	from, to := i, i+1
	for from > 0 && i-from < zeros && b[from-1] == 0 {
		from--
	}
	for to < len(b) && to-i < zeros && b[to] == 0 {
		to++
	}
	n := to - from
	if n != 1 && n != 3 {
		return false
	}
	return from > n && allNUL(b[from-1-n:from-1]) || to+n < len(b) && allNUL(b[to+1:to+1+n])
}

func allNUL(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// unseen reports whether the control character b[i] may stand within a value: NULs
// of wide characters, and those that a terminal passes over.
func (s *stream) unseen(b []byte, i int) bool {
	c := b[i]
	if s.terminal && (c < ' ' && (c < '\b' || c > '\r') && c != 0x1b || c == 0x7f) {
		return true
	}
	return c == 0 && wideNUL(b, i)
}

// visible returns buf[from:to] without what is unseen and without whole escape sequences,
// valid until the next call.
func (s *stream) visible(from, to int) []byte {
	clean := true
	for i := from; i < to && clean; i++ {
		clean = !s.unseen(s.buf, i) && s.buf[i] != 0x1b
	}
	if clean {
		return s.buf[from:to]
	}
	s.masked = s.masked[:0]
	for i := from; i < to; i++ {
		if s.buf[i] == 0x1b {
			if end := min(escape(s.buf, i), to); complete(s.buf[i:end]) {
				i = end - 1
				continue
			}
		}
		if !s.unseen(s.buf, i) {
			s.masked = append(s.masked, s.buf[i])
		}
	}
	return s.masked
}

// tail is how much of the end of a stream tells whether it is not text, in bytes.
const tail = 64

// otherTail returns where the text behind data that is not text begins, when the
// stream ends in such data, at least a quarter of it, and a few characters.
// Programs that talk to each other in a protocol of their own wait for the end of
// each message.
func (s *stream) otherTail() (from int, ok bool) {
	if !s.output {
		return 0, false
	}
	start, others := max(0, len(s.buf)-tail), 0
	from = start
	for i := start; i < len(s.buf); i++ {
		if n := textAt(s.buf, i); n > 0 {
			i += n - 1
		} else if s.buf[i] != 0x1b && s.buf[i] != '\b' && !s.unseen(s.buf, i) {
			others++
			from = i + 1
		}
	}
	return from, others*4 >= len(s.buf)-start
}
