package ssh

import (
	"bytes"
	"cmp"
	"context"
	"regexp"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// typed has the lines judged that are typed in an interactive shell: a tripwire.
// What a line says is read off the terminal, where the shell's echo, history and
// completion have put it, and not off the keys; what is typed without an echo,
// as passwords are, is nobody's business. A line that is refused is taken back,
// and the shell goes on.
//
// A shell has endless ways to run what no line says, so nothing is certain here.
type typed struct {
	ch     *channel
	keys   keys
	mu     sync.Mutex
	line   *line
	begun  bool   // keys were pressed since the last Enter
	at     int    // where the cursor was before them
	on     uint64 // the line on which that was
	plain  []byte // the keys; nil when one of them edits
	above  []byte // lines of a paste that are above the cursor's
	pasted []byte // of the paste, on the cursor's line
	keyed  uint64 // how much had been drawn at the last key
	spent  uint64 // the line that Enter was last pressed on
	asked  string // what was allowed last, on a line that has perhaps not ended
	tried  uint64 // that line
	tabs   bool   // the terminal itself has drawn the tabs of the last lines that had any
	moved  chan struct{}
}

const (
	// echoTime is how long the echo of what was typed may take before Enter.
	echoTime = 250 * time.Millisecond
	// drawTime is the same where keys have edited the line, so that they do not say
	// what it becomes; it has become that when nothing is drawn for quietTime.
	drawTime  = 500 * time.Millisecond
	quietTime = 40 * time.Millisecond
)

// drop has a line editor, or a terminal without one, drop a line: to its end, and
// all of it back. Ctrl-C would not do: it overtakes what was typed before, and
// editors that it meets at work take it for later.
const (
	drop     = "\x05\x15"
	dropLine = "\x15" // for each line above the cursor's, which some editors drop one by one
	dropKey  = "\x07" // a key of which the beginning is already there
)

func newTyped(ch *channel) *typed {
	return &typed{ch: ch, line: newLine(size(ch.pty.Columns)), spent: never, tried: never, moved: make(chan struct{})}
}

// never is a line that does not come.
const never = ^uint64(0)

// output sees what the resource draws.
func (t *typed) output(b []byte, pass func([]byte) error) error {
	t.mu.Lock()
	t.line.write(b)
	close(t.moved)
	t.moved = make(chan struct{})
	t.mu.Unlock()
	return pass(b)
}

func (t *typed) resize(width int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.line.resize(width)
}

// input sees what is typed. It passes on what comes before a key that may run the
// line, has the line judged, and goes on with the rest.
func (t *typed) input(b []byte, pass func([]byte) error) error {
	done, first := 0, 0              // what is passed on, and where the key begins
	begun := t.keys.state != keyText // its beginning is passed on already
	fresh := true                    // a line begins, perhaps the first of several
	for i := 0; i < len(b); i++ {
		if fresh {
			if n, lines := t.ahead(b[i:]); n > 0 {
				if err := t.run(b[done:i+n], lines, pass); err != nil {
					return err
				}
				done = i + n
				i = done - 1
				continue
			}
			fresh = false
		}
		c := b[i]
		if t.keys.state == keyText {
			first, begun = i, false
		}
		k := t.press(c)
		if k < keyEnters || k == keyEnds && !t.atEnd() {
			continue
		}
		if first > done {
			if err := pass(b[done:first]); err != nil {
				return err
			}
			done = first
		}
		instead, err := t.end(k)
		if err != nil {
			return err
		}
		fresh = k == keyEnters
		if instead == "" {
			continue
		}
		if begun {
			instead = dropKey + instead
		}
		if err := pass([]byte(instead)); err != nil {
			return err
		}
		done = i + 1
	}
	t.keys.rest()
	if done == len(b) {
		return nil
	}
	return pass(b[done:])
}

// press notes a byte that is typed.
func (t *typed) press(c byte) key {
	t.mu.Lock()
	defer t.mu.Unlock()
	k := t.keys.next(c, t.line.bracketed)
	if k >= keyEnters {
		return k
	}
	if !t.begun {
		t.begin(t.line.cursor(), t.line.lines)
	}
	t.keyed = t.line.drawn
	switch {
	case k == keyNewline:
		t.above = append(append(t.above, cmp.Or(string(t.plain), string(t.pasted))...), '\n')
		t.on, t.pasted = never, t.pasted[:0]
		if t.plain != nil {
			t.plain = t.plain[:0]
		}
	case len(t.above)+len(t.pasted)+len(t.plain) >= maxLine, k == keyEdits:
		t.plain = nil
	case k == keyPlain && t.plain != nil:
		t.plain = append(t.plain, c)
	case k == keyPlain && t.keys.pasting:
		t.pasted = append(t.pasted, c)
	case k == keyErases && len(t.plain) > 0:
		_, n := utf8.DecodeLastRune(t.plain)
		t.plain = t.plain[:len(t.plain)-n]
	}
	return k
}

// begin begins a line of keys, at a place on the terminal's line.
func (t *typed) begin(at int, on uint64) {
	t.begun, t.at, t.on, t.plain = true, at, on, make([]byte, 0, 64)
	t.line.follow()
}

// atEnd reports whether the cursor is after the last character of a line that keys
// have begun.
func (t *typed) atEnd() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.begun && t.line.cursor() >= len(t.line.cells)
}

// end judges the line that ends now, or perhaps does. It returns what is passed on in
// place of the key when the line is refused. An error says that the session has ended.
func (t *typed) end(k key) (instead string, err error) {
	t.tabs = false
	text, err := t.text()
	if err != nil {
		return "", err
	}
	t.mu.Lock()
	asked := t.tried == t.line.lines && t.asked == text
	t.mu.Unlock()
	refused := text != "" && !asked && !t.ch.mayRun(text)
	t.mu.Lock()
	if refused {
		place, on := t.place()
		again := printable(string(t.line.cells[:place])) + strings.Repeat(" ", len(t.line.cells)-place)
		instead = drop + strings.Repeat(dropLine, bytes.Count(t.above, []byte("\n")))
		t.forget()
		t.begin(place, on) // where the next keys come, when this line is taken back
		t.mu.Unlock()
		t.ch.aside().Write([]byte(again))
		return instead, nil
	}
	defer t.mu.Unlock()
	if k == keyEnters {
		t.forget()
		t.spent = t.line.lines
		return "", nil
	}
	// It was perhaps no end, and the next line may be there without a key.
	if !t.begun {
		t.on = never
	}
	t.begun, t.plain, t.asked, t.tried = true, nil, text, t.line.lines
	return "", nil
}

// forget forgets the keys of a line.
func (t *typed) forget() {
	t.begun, t.plain, t.above, t.pasted, t.asked = false, nil, t.above[:0], t.pasted[:0], ""
	t.tried, t.line.trail, t.line.owed = never, nil, nil
	t.keys.newLine()
}

// place is where what was typed begins, and on which line. The line is drawn again up to
// there, with blanks for what was typed, so that its editor finds the cursor where it left
// it, and takes back what is there.
func (t *typed) place() (at int, on uint64) {
	switch l := t.line; {
	case l.marked >= 0:
		return min(l.marked, len(l.cells)), l.lines
	case t.on == l.lines:
		return min(t.at, len(l.cells)), l.lines
	}
	return 0, never
}

// text returns what the line says that was typed, after its echo has had its
// time.
func (t *typed) text() (string, error) {
	patience, quiet := echoTime, echoTime
	t.mu.Lock()
	if t.begun && t.plain == nil {
		patience = drawTime
	}
	t.mu.Unlock()
	late := time.NewTimer(patience)
	defer late.Stop()
	for {
		t.mu.Lock()
		shown, certain := t.shown()
		if drawn := t.line.drawn > t.keyed; t.plain == nil && drawn {
			quiet = quietTime
		}
		moved := t.moved
		t.mu.Unlock()
		if certain {
			return shown, nil
		}
		select {
		case <-moved:
		case <-time.After(quiet):
			if quiet == quietTime {
				return shown, nil
			}
		case <-late.C:
			return shown, nil
		case <-t.ch.inputCtx.Done():
			return "", context.Cause(t.ch.inputCtx)
		}
	}
}

var (
	// prompt ends where a shell's prompt usually does.
	prompt = regexp.MustCompile(`^.{0,200}?[$#%>❯»] `)
	// searching is what a shell shows in place of its prompt while it searches its history,
	// or is told how often a command is to be repeated.
	searching = regexp.MustCompile("^\\((?:(?:failed )?(?:reverse-)?i-search\\)`.*?':|arg: -?[0-9]+\\)) ")
)

// shown returns what was typed as far as the terminal shows it. It is certain
// when the keys alone say the same.
func (t *typed) shown() (text string, certain bool) {
	l := t.line
	if l.full || !t.begun && (l.marked < 0 || l.lines == t.spent) { // nobody's line, or none
		return "", true
	}
	all := l.from(0)
	switch {
	case t.plain == nil && searching.MatchString(all):
		text = all[len(searching.FindString(all)):]
	case l.marked >= 0:
		text = l.from(l.marked)
	case t.on == l.lines:
		text = l.from(t.at)
	default: // drawn anew, as after a completion
		text = all[len(prompt.FindString(all)):]
	}
	text = strings.TrimSpace(text)
	if t.plain != nil {
		text, certain = t.echoed(text, all)
		if !certain && !strings.Contains(text, " ") && stars(text) {
			text = "" // a password's echo
		}
	}
	return strings.TrimSpace(string(t.above) + text), certain
}

// echoed compares the keys with what the terminal shows of them: text, on a line that shows
// all. It returns the text to be judged, and whether it is certain.
func (t *typed) echoed(text, all string) (string, bool) {
	keys := strings.TrimSpace(string(t.plain))
	switch {
	case keys == "":
		return text, text == "" && len(t.above) == 0
	case bytes.IndexByte(t.plain, '\t') >= 0:
		// A terminal's own echo draws a tab. A line editor completes.
		if t.tabs = t.line.trailed(string(t.plain)); t.tabs {
			return keys, true
		}
		return text, false
	case strings.HasSuffix(text, keys):
		return text, true
	case strings.HasSuffix(strings.TrimSpace(all), keys): // a prompt was seen in it
		return keys, true
	case t.line.trailed(keys): // another program has begun a line since
		return keys, true
	}
	return text, false
}

// stars reports whether text is what a screen shows for a secret.
func stars(text string) bool { return strings.Trim(text, "*•") == "" }
