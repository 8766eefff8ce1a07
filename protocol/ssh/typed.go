package ssh

import (
	"bytes"
	"context"
	"regexp"
	"strings"
	"sync"
	"time"
)

// typed has the lines judged that are typed in an interactive shell: a tripwire.
// What a line says is read off the terminal, where the shell's echo, history and
// completion have put it, and not off the keys; what is typed without an echo,
// as passwords are, is nobody's business. A line that is refused is taken back,
// and the shell goes on.
//
// A shell has endless ways to run what no line says, so nothing is certain here.
type typed struct {
	ch    *channel
	mu    sync.Mutex
	line  *line
	begun bool   // keys were pressed since the last Enter
	at    int    // where the cursor was before them
	on    uint64 // the line on which that was
	plain []byte // the keys; nil when one of them edits
	keyed uint64 // how much had been drawn at the last key
	moved chan struct{}
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
const drop = "\x05\x15"

func newTyped(ch *channel) *typed {
	return &typed{ch: ch, line: newLine(size(ch.pty.Columns)), moved: make(chan struct{})}
}

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

// input sees what is typed. It passes on what comes before an Enter, has the
// line judged, and goes on with the rest.
func (t *typed) input(b []byte, pass func([]byte) error) error {
	for len(b) > 0 {
		n := bytes.IndexByte(b, '\r')
		if n < 0 {
			n = len(b)
		}
		if n > 0 {
			t.keys(b[:n])
			if err := pass(b[:n]); err != nil {
				return err
			}
		}
		if b = b[n:]; len(b) == 0 {
			return nil
		}
		end := b[:1]
		may, err := t.enter()
		if err != nil {
			return err
		}
		if !may {
			end = []byte(drop)
		}
		if err := pass(end); err != nil {
			return err
		}
		b = b[1:]
	}
	return nil
}

// keys notes keys other than Enter.
func (t *typed) keys(b []byte) {
	if len(b) == 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.begun {
		t.begun, t.at, t.on, t.plain = true, t.line.cursor(), t.line.lines, make([]byte, 0, 64)
	}
	t.keyed = t.line.drawn
	for _, c := range b {
		switch {
		case t.plain == nil:
		case c == 0x7f || c == '\b':
			if len(t.plain) > 0 {
				t.plain = t.plain[:len(t.plain)-1]
			}
		case c < ' ' || c >= 0x80 || len(t.plain) >= maxLine:
			t.plain = nil
		default:
			t.plain = append(t.plain, c)
		}
	}
}

// enter judges the line that ends now. An error says that its session has ended.
func (t *typed) enter() (may bool, err error) {
	text, err := t.text()
	if err != nil {
		return false, err
	}
	t.mu.Lock()
	again := t.again()
	t.begun, t.plain = false, nil
	t.mu.Unlock()
	if text == "" {
		return true, nil
	}
	if !t.ch.mayRun(text) {
		t.ch.err.Write([]byte(again))
		return false, nil
	}
	return true, nil
}

// again draws the line as it is, with blanks for what was typed, so that its
// editor finds the cursor where it left it, and takes back what is there.
func (t *typed) again() string {
	place := 0
	switch {
	case t.line.marked >= 0:
		place = t.line.marked
	case t.on == t.line.lines:
		place = t.at
	}
	place = min(place, len(t.line.cells))
	return printable(string(t.line.cells[:place])) + strings.Repeat(" ", len(t.line.cells)-place)
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

// prompt ends where a shell's prompt usually does.
var prompt = regexp.MustCompile(`^.{0,200}?[$#%>❯»] `)

// shown returns what was typed as far as the terminal shows it. It is certain
// when the keys alone say the same.
func (t *typed) shown() (text string, certain bool) {
	l := t.line
	keys := strings.TrimRight(string(t.plain), " ")
	switch {
	case l.full:
		return "", true
	case l.marked >= 0:
		text = l.from(l.marked)
	case !t.begun: // taken from the history by the shell, or nothing
		return "", true
	case t.on == l.lines:
		text = l.from(t.at)
	default: // drawn anew, as after a completion
		text = l.from(0)
		if m := prompt.FindString(text); m != "" {
			text = text[len(m):]
		}
	}
	text = strings.TrimSpace(text)
	if t.plain != nil && keys != "" && strings.HasSuffix(text, strings.TrimSpace(keys)) {
		return text, true
	}
	if t.plain != nil && keys == "" && text == "" {
		return "", true
	}
	if t.plain != nil && !strings.Contains(text, " ") && stars(text) {
		return "", false // a password's echo
	}
	return text, false
}

// stars reports whether text is what a screen shows for a secret.
func stars(text string) bool { return strings.Trim(text, "*•") == "" }
