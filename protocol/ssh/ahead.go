package ssh

import (
	"bytes"
	"context"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sallyport/sallyport/proxy"
)

// Lines that come at once, as a paste does, are judged and passed on at once: to wait for
// the echo of each before its Enter costs a round trip per line. Their keys alone say what
// they are, since none of them edits and no line editor shows that it is at work.
//
// Each is judged before any is passed on, in a dry session: what the terminal does not
// show, as a password, is kept out of the record, and that is not known yet. So these
// lines are recorded when their echo has come. A line that is not allowed without another
// word, such as a warning, ends the run, and is typed as it would be by itself.

const (
	maxAhead = movingBuffer // of one run
	// minPiece is how much of a line each piece of its echo shows, when other output has
	// come between: less is drawn by chance.
	minPiece = 4
)

// ahead is a line that may run as it is.
type ahead struct {
	keys string
	op   *proxy.Exec // judged; nil when the line is empty
}

// ahead returns the lines at the beginning of b that may run as they are, and how many
// bytes they and their ends are. It returns none where fewer than two come at once.
func (t *typed) ahead(b []byte) (n int, lines []ahead) {
	t.mu.Lock()
	l := t.line
	certain := !t.begun && t.keys.state == keyText && !l.bracketed && !l.full && l.marked < 0
	t.mu.Unlock()
	if !certain {
		return 0, nil
	}
	for end := 0; ; {
		at := end
		if end = bytes.IndexAny(b[at:min(len(b), maxAhead)], "\r\n"); end < 0 || !t.plainly(b[at:at+end]) {
			break
		}
		end += at
		lines = append(lines, ahead{keys: string(b[at:end])})
		end++
	}
	if len(lines) > 1 {
		lines = lines[:t.ch.judge(lines)]
	}
	if len(lines) < 2 {
		return 0, nil
	}
	for _, l := range lines {
		n += len(l.keys) + 1
	}
	return n, lines
}

// plainly reports whether the keys of a line are what it says: characters, and tabs where
// the terminal itself has drawn them.
func (t *typed) plainly(line []byte) bool {
	for _, c := range line {
		if c < ' ' && (c != '\t' || !t.tabs) || c == 0x7f {
			return false
		}
	}
	return utf8.Valid(line)
}

// judge judges lines from the first on, and returns how many of them are allowed.
func (ch *channel) judge(lines []ahead) int {
	s := ch.session.proxied
	now := s.Gateway().Session(s.ID) // as the newest revision describes it
	if now == nil {
		return 0
	}
	dry, _, err := s.Gateway().Open(ch.inputCtx, proxy.OpenRequest{
		Identity: now.Identity, Target: now.Target, Protocol: now.Protocol, Remote: now.Remote, Dry: true,
	})
	if err != nil { // such as a session that an approval let connect
		return 0
	}
	defer dry.Close(nil)
	noted := len(dry.Notes())
	for i, l := range lines {
		text := strings.TrimSpace(l.keys)
		if text == "" {
			continue
		}
		op := ch.lineOp(text)
		v := dry.Ask(ch.inputCtx, op)
		dry.Done(op, &proxy.Outcome{})
		if v.Refuses() || v.Warn != "" || len(dry.Notes()) > noted {
			return i
		}
		lines[i].op = op
	}
	return len(lines)
}

// run passes on b, which ends with lines that may run, and records those that the
// terminal shows.
func (t *typed) run(b []byte, lines []ahead, pass func([]byte) error) error {
	t.mu.Lock()
	t.line.follow()
	t.line.owed = t.line.owed[:0]
	for _, l := range lines {
		t.line.owed = append(t.line.owed, []rune(l.keys)...)
	}
	t.mu.Unlock()
	if err := pass(b); err != nil {
		return err
	}
	shown, err := t.echo()
	if err != nil {
		return err
	}
	for _, l := range lines {
		rest, found := drawn(shown, l.keys)
		if found {
			shown = rest
		}
		switch {
		case l.op == nil:
		case !found:
			t.tabs = false
		case !t.ch.session.proxied.Admit(t.ch.inputCtx, l.op).Refuses():
			t.ch.session.proxied.Done(l.op, &proxy.Outcome{})
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.forget()
	t.spent = t.line.lines
	return nil
}

// echo waits until the echo that is owed was drawn, or does not go on. It returns what
// was drawn.
func (t *typed) echo() (string, error) {
	late := time.NewTimer(echoTime)
	defer late.Stop()
	for left := -1; ; {
		t.mu.Lock()
		owed, shown, moved := len(t.line.owed), t.line.trail, t.moved
		t.mu.Unlock()
		if owed == 0 {
			return string(shown), nil
		}
		if owed != left {
			left = owed
			late.Reset(echoTime)
		}
		select {
		case <-moved:
		case <-late.C:
			return string(shown), nil
		case <-t.ch.inputCtx.Done():
			return "", context.Cause(t.ch.inputCtx)
		}
	}
}

// drawn reports whether a line was drawn, and returns what was drawn after it: in one
// piece, or in two that other output came between.
func drawn(shown, line string) (rest string, found bool) {
	if _, rest, found = strings.Cut(shown, line); found {
		return rest, true
	}
	for cut := minPiece; cut <= len(line)-minPiece; cut++ {
		_, after, found := strings.Cut(shown, line[:cut])
		if !found {
			break
		}
		if strings.Contains(after, line[cut:]) {
			return after, true
		}
	}
	return "", false
}
