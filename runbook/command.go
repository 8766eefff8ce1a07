package runbook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// probe is what a shell of POSIX takes for one word, and other shells may not.
const probe = "a\\b\\\\'\"$x`y`!z *\n~#"

// command runs a command.
func (l *live) command(ctx context.Context, s *planned, run *StepRun) error {
	list, err := s.argv(func(r Ref) ([]string, error) { return l.refTexts(s, r) })
	if err != nil {
		return err
	}
	for _, w := range list {
		if strings.ContainsRune(w, 0) {
			return errors.New("a word of the command holds a NUL")
		}
	}
	line, quoted := quoteLine(list)
	if quoted && !l.posix[s.resource.Name] {
		test, _ := quoteLine([]string{"printf", "%s", probe})
		got, err := l.Gate.Command(ctx, l.who, s.resource, Command{Line: test, Limit: 1000})
		if err != nil {
			return fmt.Errorf("finding out whether the account's shell is one of POSIX: %w", err)
		}
		if string(got.Output) != probe {
			return errors.New("the account's shell is not one of POSIX: words for a command may have letters, digits and _./:@%+,- there, and nothing else")
		}
		l.posix[s.resource.Name] = true
	}
	input, err := l.input(s)
	if err != nil {
		return err
	}
	var seen *printed
	if slices.Contains(l.plan.book.Outputs.Steps, s.Planned.ID) {
		seen = &printed{}
	}
	got, err := l.follow(ctx, s, Command{Line: line, Input: input, Limit: l.plan.Bounds.Output, Seen: seen.add}, seen, run)
	run.Session, run.Status = got.Session, got.Status
	if seen != nil {
		out, stderr := string(got.Output), string(got.Stderr)
		if err != nil { // more would have come
			out, stderr = l.settled(out), l.settled(stderr)
		}
		run.Output = l.ending(out + stderr)
	}
	if err != nil {
		if errors.Is(err, ErrRefused) {
			return err
		}
		return fmt.Errorf("%w: %w", errEnded, err)
	}
	want := s.Exec.Status
	if len(want) == 0 {
		want = []int64{0}
	}
	if !slices.Contains(want, int64(got.Status)) {
		return fmt.Errorf("got the exit status %d, want %v: %s", got.Status, want, l.beginning(got.Stderr))
	}
	return nil
}

// beginning is what something has said first, without the run's secrets: they are taken out before it is cut.
func (l *live) beginning(out []byte) string {
	text := l.hide(string(out))
	return strings.TrimSpace(strings.ToValidUTF8(text[:min(len(text), 300)], ""))
}

// input is what a command reads.
func (l *live) input(s *planned) ([]byte, error) {
	x := s.Exec
	if x.Stdin != "" {
		list, err := l.texts(s, x.Stdin)
		return []byte(strings.Join(list, "\n")), err
	}
	if len(x.JSON) == 0 {
		return nil, nil
	}
	return l.object(s, x.JSON)
}

// object is a JSON object of values.
func (l *live) object(s *planned, list []*Member) ([]byte, error) {
	object := make(map[string]any, len(list))
	for _, m := range list {
		w, err := readWord(m.Value)
		if err != nil {
			return nil, err
		}
		if w.ref == nil {
			object[m.Name] = w.text
			continue
		}
		v, err := l.value(s, *w.ref)
		if err != nil {
			return nil, err
		}
		if !utf8.ValidString(v.Text) {
			return nil, fmt.Errorf("%s is not UTF-8, which JSON cannot have", w.ref)
		}
		object[m.Name] = v.inJSON()
	}
	return json.Marshal(object)
}

// printed is what a command has printed so far. A nil one keeps nothing.
type printed struct {
	mu   sync.Mutex
	text []byte
	more bool
}

func (p *printed) add(b []byte) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.text, p.more = append(p.text, b...), true
}

// news is what was printed, when there is more than at the last time.
func (p *printed) news() ([]byte, bool) {
	if p == nil {
		return nil, false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	more := p.more
	p.more = false
	return slices.Clone(p.text), more
}

// followEvery is how often it is written down what a command that runs has printed.
const followEvery = 500 * time.Millisecond

// follow runs a command, and writes down meanwhile what it prints.
func (l *live) follow(ctx context.Context, s *planned, c Command, seen *printed, run *StepRun) (got CommandResult, err error) {
	over := make(chan struct{})
	go func() {
		defer close(over)
		got, err = l.Gate.Command(ctx, l.who, s.resource, c)
	}()
	t := time.NewTicker(followEvery)
	defer t.Stop()
	for {
		select {
		case <-over:
			return got, err
		case <-t.C:
		}
		text, more := seen.news()
		if !more {
			continue
		}
		run.Output = l.ending(l.settled(string(text)))
		if kerr := l.keep(ctx); kerr != nil {
			l.Log.Warn("runbooks: what a command prints could not be written down", "run", l.run.ID, "step", s.Planned.ID, "err", kerr)
		}
	}
}

// maxShown is how much of what a command prints is kept with a run: its end.
const maxShown = 900

// settled is what has come of a text without its end where that may be the beginning of one of the run's secrets.
func (l *live) settled(text string) string {
	most := 0
	for _, secret := range l.telling() {
		for n := min(len(secret)-1, len(text)); n > most; n-- {
			if strings.HasSuffix(text, secret[:n]) {
				most = n
			}
		}
	}
	return text[:len(text)-most]
}

// ending is the end of what a command or an application has said, without the run's secrets.
func (l *live) ending(text string) string {
	text = l.hide(text)
	return strings.ToValidUTF8(text[max(0, len(text)-maxShown):], "�")
}
