package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/term"
)

// progress shows on a terminal how far long work is, how fast it goes and how long the rest
// will take, in one line that goes away. Quick work shows nothing.
type progress struct {
	w     io.Writer
	what  string // is done, such as "verifying"
	now   func() time.Time
	begun time.Time
	shown time.Time
	last  int
	width int // of the line that is there
}

const (
	showAfter = 500 * time.Millisecond // of work that somebody waits for
	showEvery = 100 * time.Millisecond
)

// progress returns what is to be told how far the work is, and what takes the line away. Where
// nobody looks on, the first is nil and the second does nothing.
func (c *cli) progress(what string) (tell func(done, all int), end func()) {
	f, ok := c.err.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) || os.Getenv("TERM") == "dumb" {
		return nil, func() {}
	}
	p := &progress{w: f, what: what, now: time.Now, begun: time.Now()}
	return p.tell, func() { p.write("") }
}

func (p *progress) tell(done, all int) {
	now := p.now()
	if done < p.last { // of the next part
		p.begun = now
	}
	p.last = done
	took := now.Sub(p.begun)
	if p.width == 0 && took < showAfter || now.Sub(p.shown) < showEvery {
		return
	}
	p.shown = now
	line := fmt.Sprintf("%s: %d of %d", p.what, done, all)
	if done > 0 && took > 0 {
		left := time.Duration(float64(took) / float64(done) * float64(max(all-done, 0)))
		line += fmt.Sprintf(", %.0f a second, %s left", float64(done)/took.Seconds(), left.Round(time.Second))
	}
	p.write(line)
}

// write puts a line over the one that is there.
func (p *progress) write(line string) {
	if p.width == 0 && line == "" {
		return
	}
	width := utf8.RuneCountInString(line)
	end := ""
	if line == "" {
		end = "\r"
	}
	fmt.Fprintf(p.w, "\r%s%s%s", line, strings.Repeat(" ", max(p.width-width, 0)), end)
	p.width = width
}
