package masking

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"github.com/sallyport/sallyport/detect"
	"github.com/sallyport/sallyport/proxy"
)

const (
	// maxHeld bounds what a stream holds back, in bytes.
	maxHeld = 8 << 10
	// lineHeld is how much of an unfinished line a stream holds that nobody watches,
	// so that values are seen with what stands around them.
	lineHeld = 256
	// lookBehind is how much of what was passed on is kept, as the context of what
	// follows.
	lookBehind = 160
	// freeDigits is how many digits may be passed on, when nothing follows, of what
	// may become a value.
	freeDigits = 3
	// freeNumber is how many may when they came at once: a port, a year.
	freeNumber = 4
	// freeWord is how many characters of what may become a token may be.
	freeWord = 12
	// leastDense is from which length on a piece is looked at for being no text, in
	// bytes.
	leastDense = 256
	// maxKey bounds how far a private key is masked whose end does not come.
	maxKey = 16 << 10

	idleTerminal = 25 * time.Millisecond
	idleOther    = 50 * time.Millisecond
)

// stream masks bytes that come in pieces. It replaces bytes by as many others,
// since the streams it is for count them.
type stream struct {
	view     *view
	counts   *counts
	terminal bool
	finder   detect.Finder
	found    []detect.Finding
	seen     *remembered
	codes    detect.Codes // what is found behind base64 and hex

	buf  []byte // what was passed on last, then what is held back
	done int    // how much of buf was passed on

	silences int // how often nothing came since something did
	fresh    int // where in buf what came after the last silence begins

	screen *screen // of a terminal
	line   []byte  // of it
	cells  []*cell
	fed    int // how much of buf is on it
	typed  *typed
	shown  int  // how many of the bytes that are held back stars stand for
	moves  bool // the terminal's cursor may be moved
	due    bool // cells are to be drawn again

	output bool // of a command, which may be no text
	dense  bool // what came last was none
	begun  int  // how much of the beginning was looked at for being no text
	other  bool // it begins with what text does not hold
	broken int  // values that were hidden where there is no text

	key int // bytes of an unfinished private key so far; 0 outside of one

	reading reading
	also    []detect.Finding // in the second text of reading
	masked  []byte
}

// stream returns the filter of a stream. seen is what is remembered of the
// session, typed what goes the other way; both may be nil.
func (v *view) stream(c *counts, shape *proxy.Shape, seen *remembered, typed *typed) proxy.Filter {
	s := &stream{view: v, counts: c, terminal: shape.Media == "terminal", output: shape.Kind == proxy.ShapeStream && shape.Media != "terminal", finder: detect.Finder{Detector: v.masker.detector, NoNames: true}, codes: detect.Codes{Detector: v.masker.detector, Wants: v.hides}, seen: seen, typed: typed}
	f := proxy.Filter{
		Bytes:     s.bytes,
		Idle:      s.idle,
		IdleAfter: idleOther,
		End:       s.end,
	}
	if s.terminal {
		s.screen = &screen{}
		s.screen.resize(shape.Width, shape.Height)
		s.moves = movesCursor(shape.Terminal)
		f.IdleAfter = idleTerminal
		f.Resize = func(width, height int) error {
			s.screen.resize(width, height)
			return nil
		}
	}
	return f
}

func (s *stream) bytes(dst, src []byte) ([]byte, error) {
	if s.silences > 0 {
		s.silences, s.fresh = 0, len(s.buf)
	}
	s.begins(src)
	if s.typed.echoes(src) {
		s.buf = append(s.buf, src...)
		return s.conceal(s.release(dst, nothingComes)), nil
	}
	for len(src) > s.piece() { // so that buf stays small
		n := s.piece()
		s.buf = append(s.buf, src[:n]...)
		dst = s.release(dst, moreComes)
		src = src[n:]
	}
	s.buf = append(s.buf, src...)
	return s.release(dst, moreComes), nil
}

func (s *stream) end(dst []byte) ([]byte, error) {
	dst = s.release(dst, ended)
	if s.broken > 0 {
		return dst, fmt.Errorf("%w: %d of its values were hidden", errNotText, s.broken)
	}
	return dst, nil
}

func (s *stream) idle(dst []byte) ([]byte, error) {
	if s.silences++; s.silences == 1 {
		return s.release(dst, nothingComes), nil
	}
	return s.release(dst, nothingCame), nil
}

// piece is how much is looked at at once, in bytes.
func (s *stream) piece() int {
	if s.dense {
		return maxHeld / 4 // for most of such pieces a short look suffices
	}
	return maxHeld
}

type outlook uint8

const (
	moreComes outlook = iota
	nothingComes
	nothingCame // for twice as long
	ended
)

// release appends what may be passed on.
func (s *stream) release(dst []byte, what outlook) []byte {
	if s.key > 0 {
		dst = s.insideKey(dst, what)
		if s.key > 0 {
			return dst
		}
	}
	if s.done == len(s.buf) {
		return dst
	}
	s.dense = s.output && len(s.buf)-s.done >= leastDense && dense(s.buf[max(0, s.done-sureValue):])
	if s.dense {
		s.found = s.found[:0]
		cut := s.cut(what)
		dst = append(dst, s.buf[s.done:cut]...)
		s.keep(cut)
		return dst
	}
	s.reading.read(s)
	text := s.reading.text
	s.look()
	cut := s.cut(what)
	key := 0
	for i := range s.found {
		f := &s.found[i]
		start, end := s.reading.span(f)
		if f.Type == detect.PrivateKey && end == len(s.buf) && !bytes.Contains(text[f.Start:f.End], []byte("-----END ")) && s.view.transform(detect.PrivateKey) != Visible {
			key, cut = end-start, end // the rest is masked as it comes
		}
	}
	if what == moreComes {
		cut = s.whole(cut)
	}
	if cut > s.done {
		dst = s.reveal(dst)
	}
	at := len(dst) - s.done
	dst = append(dst, s.buf[s.done:cut]...)
	for i := range s.found {
		f := &s.found[i]
		start, end := s.reading.span(f)
		if end <= s.done || s.view.transform(f.Type) == Visible {
			continue
		}
		if start < cut {
			s.mask(dst, at, cut, text, f)
		}
		if end <= cut {
			s.counts.add(f.Type)
			if s.output && (s.other || !allText(s.buf[max(0, start-around):min(len(s.buf), end+around)])) {
				s.broken++
			}
		}
	}
	if s.screen != nil {
		s.display(dst, at, cut)
		if s.due && cut == len(s.buf) {
			dst = s.redraw(dst)
		}
	}
	s.key = key
	s.keep(cut)
	return dst
}

// look finds what is masked in both texts of the reading. In the second, only what
// the first does not have already.
func (s *stream) look() {
	r := &s.reading
	s.found = s.find(s.found[:0], r.text[:r.seen])
	if r.seen == len(r.text) {
		return
	}
	r.mark(s.found, len(s.buf))
	s.also = s.find(s.also[:0], r.text[r.seen:])
	for _, f := range s.also {
		f.Start, f.End = f.Start+r.seen, f.End+r.seen
		if !r.marked(&f) {
			s.found = append(s.found, f)
		}
	}
}

// find appends what is masked in text to dst, which is empty.
func (s *stream) find(dst []detect.Finding, text []byte) []detect.Finding {
	dst = s.codes.Find(s.finder.Find(dst, text, 0), text)
	if s.seen != nil {
		n := len(dst)
		dst = s.view.merge(s.seen.find(dst, text), n)
	}
	if s.output {
		dst = slices.DeleteFunc(dst, func(f detect.Finding) bool { return accident(text, f.Start, f.End) })
	}
	return dst
}

// whole returns cut, or where the values begin that go beyond it. Values that are
// written over each other may be in any order.
func (s *stream) whole(cut int) int {
	for {
		from := cut
		for i := range s.found {
			if start, end := s.reading.span(&s.found[i]); start < cut && end > cut {
				cut = max(start, s.done)
			}
		}
		if cut == from {
			return cut
		}
	}
}

// display shows on the screen what has come, and hides what belongs to a value that
// the lines of the screen have, however it was written: of what was appended to
// dst, which is buf up to cut, and of what still waits.
func (s *stream) display(dst []byte, at, cut int) {
	read := func(first, last int) {
		s.line, s.cells = s.screen.read(first, last, func(line []byte, cells []*cell) {
			s.found = s.finder.Find(s.found[:0], line, 0)
			for i := range s.found {
				f := &s.found[i]
				if s.view.transform(f.Type) == Visible || f.Type == detect.PrivateKey { // which goes over many lines
					continue
				}
				s.masked = append(s.masked[:0], line[f.Start:f.End]...)
				maskInPlace(s.masked, f.Type)
				news := false
				for k := 0; k < len(s.masked); {
					c, size := cells[f.Start+k], 1
					for k+size < len(s.masked) && cells[f.Start+k+size] == c {
						size++
					}
					for j := range size {
						p := int(c.at) + j
						b := s.buf
						if c.r == 0 {
							continue
						}
						if p < s.done || c.at < 0 {
							if c.shown == shownAsIs && s.masked[k+j] == '*' && c.r != '*' {
								c.shown, s.due = shownDue, true
							}
							continue
						}
						if p >= len(b) {
							continue
						}
						if s.masked[k+j] == '*' {
							c.shown = shownHidden
						}
						if p < cut {
							b, p = dst, at+p
						}
						if b[p] != s.masked[k+j] {
							b[p], news = s.masked[k+j], true
						}
					}
					k += size
				}
				if news {
					s.counts.add(f.Type)
				}
			}
		}, s.line, s.cells)
	}
	s.screen.leave = func(row int) { read(row, row) }
	s.screen.write(s.buf[s.fed:], s.fed)
	s.fed = len(s.buf)
	read(0, s.screen.height-1)
}

// mask hides the part of f that was appended to dst; at is what to add to a
// place in buf for its place in dst.
func (s *stream) mask(dst []byte, at, cut int, text []byte, f *detect.Finding) {
	s.masked = append(s.masked[:0], text[f.Start:f.End]...)
	maskInPlace(s.masked, f.Type)
	for k, c := range s.masked {
		// What one value keeps, another may hide.
		if p := s.reading.place(f.Start + k); c == '*' && p >= s.done && p < cut {
			dst[at+p] = c
		}
	}
}

// keep notes that buf was passed on up to cut, and forgets what is too long ago
// to matter.
func (s *stream) keep(cut int) {
	from := max(0, cut-lookBehind)
	if from > 0 { // not from the middle of a word
		if n := bytes.IndexAny(s.buf[from:cut], " \n\t"); n >= 0 {
			from += n
		}
	}
	n := copy(s.buf, s.buf[from:])
	s.buf, s.done, s.fresh = s.buf[:n], cut-from, max(s.fresh-from, 0)
	if s.screen != nil {
		s.fed -= from
		s.screen.passed(cut, from)
	}
}

// insideKey hides the lines of a private key until its end.
func (s *stream) insideKey(dst []byte, what outlook) []byte {
	const marker = "-----END "
	rest := s.buf[s.done:]
	n := bytes.Index(rest, []byte(marker))
	closed := n >= 0
	switch {
	case closed:
	case what == ended:
		n = len(rest)
	default:
		n = len(rest)
		for k := min(len(marker)-1, n); k > 0; k-- { // which may be its beginning
			if string(rest[n-k:]) == marker[:k] {
				n -= k
				break
			}
		}
	}
	if n > 0 {
		dst = s.reveal(dst)
	}
	at := len(dst)
	dst = append(dst, rest[:n]...)
	for i, c := range dst[at:] {
		if c > ' ' {
			dst[at+i] = '*'
		}
	}
	if s.screen != nil {
		if fed := max(s.fed-s.done, 0); fed < n {
			s.screen.write(dst[at+fed:], 0)
			s.fed = s.done + n
		}
		s.screen.rest()
	}
	s.key += n
	if closed || s.key > maxKey {
		s.key = 0
	}
	s.keep(s.done + n)
	return dst
}

// cut returns how far buf may be passed on: up to where something begins that
// may become a value.
func (s *stream) cut(what outlook) int {
	b, end := s.buf, len(s.buf)
	if what == ended {
		return end
	}
	if i := bytes.LastIndexByte(b[max(s.done, end-64):], 0x1b); what == moreComes && i >= 0 {
		i += max(s.done, end-64)
		if e := escape(b, i); e == end && !complete(b[i:]) {
			end = i
		}
	}
	if what == nothingComes || what == nothingCame {
		live := s.past(s.live(end, 0))
		for i := range s.found { // what is masked already may go
			if from, to := s.reading.span(&s.found[i]); from <= max(live, s.done) && to >= end {
				return end
			}
		}
		w := s.visible(live, end)
		if !unfinished(w) || what == nothingCame && live >= s.fresh && s.inOnePiece(w) {
			return end
		}
		return max(live, s.done)
	}
	if from, ok := s.otherTail(); ok {
		if from < end && unfinished(s.visible(from, end)) {
			return max(from, s.done)
		}
		return end
	}
	live := s.past(s.live(end, s.done))
	if !s.terminal {
		if line := bytes.LastIndexByte(b[:end], '\n') + 1; end-line <= lineHeld {
			live = min(live, max(line, s.done))
			if last := bytes.LastIndexByte(b[:max(line-1, 0)], '\n') + 1; line > last && s.codes.IsDump(b, last, line-1) {
				live = min(live, max(last, s.done)) // a value may go on in the next line
			}
		}
	}
	return live
}

// unfinished reports whether words at the end of a text that has stopped may yet
// become a value: a number, an address, a URL with a password.
func unfinished(w []byte) bool {
	trimmed := bytes.TrimRight(w, " -.()/")
	if len(trimmed) == 0 {
		return false
	}
	last := trimmed[len(trimmed)-1]
	digits := 0
	for _, c := range w {
		if isDigit(c) {
			digits++
		}
	}
	if digits > freeDigits && (isDigit(last) || last >= 0x80 || last == '\b') {
		return true
	}
	// A long word of letters and digits, as tokens are.
	if part := w[bytes.LastIndexAny(w, " /=\"'")+1:]; len(part) >= freeWord && digits > 1 && slices.ContainsFunc(part, isLetter) {
		return true
	}
	if !isAlnum(w[len(w)-1]) && w[len(w)-1] != '.' && w[len(w)-1] != '-' {
		// A prompt, as in alice@host:~$, or a sign within a password.
		w = w[:len(w)-1]
		if i := bytes.Index(w, []byte("://")); i < 0 || bytes.ContainsAny(w[i+3:], "/@ ") {
			return false
		}
	}
	if i := bytes.Index(w, []byte("://")); i >= 0 {
		w = w[i+3:]
		return bytes.IndexByte(w, ':') > 0 && !bytes.ContainsAny(w, "/@ ")
	}
	i := bytes.LastIndexAny(w, " ")
	return bytes.IndexByte(w[i+1:], '@') > 0
}

// inOnePiece reports whether words that have come at once, and that nothing has followed,
// may be passed on although they might yet become a value. A program writes a number as
// a whole: what is cut ends where a value does not, or grows by pieces. Only on a terminal is
// it drawn over if that was wrong, so elsewhere the number is short.
func (s *stream) inOnePiece(w []byte) bool {
	digits, groups := 0, 0
	for i, c := range w {
		if isDigit(c) {
			if digits++; i == 0 || !isDigit(w[i-1]) {
				groups++
			}
		}
	}
	if last := w[len(w)-1]; groups > 1 && (last == ' ' || last == '-') {
		return false
	}
	return s.terminal || digits <= freeNumber && groups == 1
}

// past returns live, or the end of the escape sequences that it is in or that begin there:
// they are nothing of a value.
func (s *stream) past(live int) int {
	for i := 0; i <= live && i < len(s.buf); {
		n := bytes.IndexByte(s.buf[i:live+min(1, len(s.buf)-live)], 0x1b)
		if n < 0 {
			break
		}
		i += n
		end := escape(s.buf, i)
		if end > live && complete(s.buf[i:end]) {
			live = end
		}
		i = max(end, i+1)
	}
	return live
}

// live returns where the words begin, at floor or later, that a value at the end
// of buf[:end] may consist of.
func (s *stream) live(end, floor int) int {
	b := s.buf
	i := end
	word := func(i int) int {
		for i > floor && end-i < maxHeld && (b[i-1] > ' ' || b[i-1] == 0x1b || b[i-1] == '\b' || s.unseen(b, i-1)) {
			i--
		}
		return i
	}
	i = word(i)
	// Words with digits, and the short ones between them, are groups of one value.
	for groups := 0; groups < 12; groups++ {
		j := i
		for j > floor && i-j < 3 && b[j-1] == ' ' {
			j--
		}
		k := word(j)
		if j == i || k == j || end-k > lineHeld {
			break
		}
		if !bytes.ContainsAny(b[k:j], "0123456789") && (j-k > 4 || !isUpper(b[k])) {
			break
		}
		i = k
	}
	return i
}
