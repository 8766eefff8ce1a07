package detect

import (
	"bytes"
	"unicode/utf8"
)

// localByte are the bytes of the part before the @ that addresses use in
// practice; those of UTF-8 count.
var localByte = func() (t [256]bool) {
	for c := range t {
		t[c] = c >= 0x80 || isAlnum(byte(c)) || bytes.IndexByte([]byte("._%+-'!#$&*/=?^`{|}~"), byte(c)) >= 0
	}
	return t
}()

// email looks at the @ at i, which is size bytes long.
func (s *scan) email(i, size int) int {
	src := s.src
	next := i + size
	start := i
	for start > s.floor && i-start < 64 && localByte[src[start-1]] {
		start--
	}
	// What quotes, assigns or parts is not the beginning of an address.
	for start < i && !isAlnum(src[start]) && src[start] < 0x80 && src[start] != '_' {
		start++
	}
	whole := start
	for k := i - 1; k >= start; k-- {
		c := src[k]
		if c == '\'' && k > start && isAlnum(src[k-1]) && src[start] != '\'' {
			continue // o'neil
		}
		if k > start && bytes.IndexByte([]byte("='/{|&?*"), c) >= 0 {
			start = k + 1
			break
		}
	}
	if start >= i || src[i-1] == '.' || s.at(start-1) == '/' && s.at(start-2) == '/' {
		return next
	}
	end := s.domain(next)
	if end == next {
		return next
	}
	if !utf8.Valid(src[start:end]) {
		// Another encoding, or no text at all: what is ASCII counts.
		for k := i - 1; k >= start; k-- {
			if src[k] >= 0x80 {
				start = k + 1
				break
			}
		}
		if start >= i || !ascii(src[next:end]) {
			return next
		}
	}
	if i-start == 3 && bytes.EqualFold(src[start:i], []byte("git")) {
		return end // an account of a service, not of a person
	}
	if s.at(whole-1) == '<' && s.at(end) == '>' && machineMade(src[whole:i]) && s.messageID(whole) {
		return end
	}
	s.emit(start, end, Email, 95)
	return end
}

// messageID reports whether what stands behind the < before start names a message
// rather than a mailbox (RFC 5322, 3.6.4): the header says so, or a time begins it.
func (s *scan) messageID(start int) bool {
	const farthest, digits = 1000, 12
	n := start
	for isDigit(s.at(n)) {
		n++
	}
	if n-start >= digits && s.at(n) == '.' {
		return true
	}
	before := s.src[max(0, start-farthest):start]
	for {
		line := bytes.LastIndexByte(before, '\n')
		head := before[line+1:]
		if line > 0 && len(head) > 0 && (head[0] == ' ' || head[0] == '\t') { // a header goes on
			before = before[:line]
			continue
		}
		for _, name := range [...]string{"message-id:", "in-reply-to:", "references:"} {
			if len(head) >= len(name) && bytes.EqualFold(head[:len(name)], []byte(name)) {
				return true
			}
		}
		return false
	}
}

// machineMade reports whether the part before an @ is longer and has more digits
// than people choose: whoever writes a header's name before a mailbox must not have
// it shown.
func machineMade(local []byte) bool {
	digits := 0
	for _, c := range local {
		if isDigit(c) {
			digits++
		}
	}
	return len(local) >= 16 && digits >= 5
}

func ascii(b []byte) bool {
	for _, c := range b {
		if c >= 0x80 {
			return false
		}
	}
	return true
}

// domain returns the end of the host name at i, which must have a dot and end in
// letters, or i.
func (s *scan) domain(i int) int {
	src := s.src
	end, label, dots := i, i, 0
	k := i
	for ; k < len(src) && k-i < 253; k++ {
		c := src[k]
		if isAlnum(c) || c >= 0x80 || c == '-' && k > label {
			continue
		}
		if c != '.' || k == label {
			break
		}
		dots++
		label = k + 1
	}
	last := src[label:k]
	for len(last) == 0 && k > i { // a full stop behind it
		k = label - 1
		if dots--; dots < 0 {
			return i
		}
		label = bytes.LastIndexByte(src[i:k], '.') + 1 + i
		last = src[label:k]
	}
	if dots < 1 || len(last) < 2 || len(last) > 24 {
		return i
	}
	for _, c := range last {
		if !isUpper(c) && !isLower(c) && c < 0x80 && !bytes.HasPrefix(last, []byte("xn--")) {
			return i
		}
	}
	for _, file := range [...]string{"png", "jpg", "jpeg", "gif", "svg", "webp", "css", "js", "html"} { // logo@2x.png
		if string(last) == file {
			return i
		}
	}
	end = k
	return end
}
