package replay

import (
	"bytes"
	"context"
	"errors"
	"io"
	"time"

	"github.com/sallyport/sallyport/audit"
)

// Key is what somebody who watches wants.
type Key uint8

// Keys.
const (
	Pause   Key = iota + 1 // or go on
	Faster                 // twice as fast
	Slower                 // half as fast
	Forward                // by Player.Step
	Back
	NextMatch // of Player.Find
	Quit
)

// Player shows the recording of a terminal, or of a command's output.
type Player struct {
	Record *audit.Record
	Op     uint64        // the operation whose terminal it is
	Out    io.Writer     // gets what draws; see Screen
	Speed  float64       // how many times faster than it was; 0 does not wait at all
	Idle   time.Duration // the longest pause; 0 keeps them as they were
	From   time.Duration // where to begin, since the terminal was opened
	Find   string        // begin where this text is shown next; may be empty
	Step   time.Duration // of Forward and Back; 0 is 10 s
	Keys   <-chan Key    // may be nil
}

// ErrNotFound says that the text that was looked for is not shown.
var ErrNotFound = errors.New("the text is not shown")

const (
	// background is how much of the record is drawn at once before the place where
	// playing begins, so that the screen looks as it did.
	background = 64 << 10
	clearing   = "\x1b[0m\x1b[r\x1b[?1049l\x1b[2J\x1b[H"
)

// Play shows the recording until its end, or until ctx or Quit ends it.
func (p *Player) Play(ctx context.Context) error {
	begin, err := p.begin()
	if err != nil {
		return err
	}
	from := p.From
	if p.Find != "" {
		if from, err = p.find(begin, from); err != nil {
			return err
		}
	}
	for first := true; ; first = false {
		if !first {
			if _, err := io.WriteString(p.Out, clearing); err != nil {
				return err
			}
		}
		next, again, err := p.run(ctx, begin, from)
		if err != nil || !again {
			return err
		}
		from = next
	}
}

// begin is when the terminal was opened.
func (p *Player) begin() (time.Time, error) {
	for e, err := range p.Record.From(time.Time{}, 0) {
		if err != nil {
			return time.Time{}, err
		}
		if e.Type == audit.RecordingStart && e.Op == p.Op {
			return e.When(), nil
		}
	}
	return time.Time{}, ErrNotFound
}

// run shows the recording from one place on, until somebody wants to be at
// another.
func (p *Player) run(ctx context.Context, begin time.Time, from time.Duration) (next time.Duration, again bool, err error) {
	var screen Screen
	var out []byte
	var before int64
	if from > 0 {
		before = background
	}
	last := from
	for e, err := range p.Record.From(begin.Add(from), before) {
		if err != nil {
			return 0, false, err
		}
		if e.Op != p.Op || e.Type != audit.RecordingOutput {
			continue
		}
		at := e.When().Sub(begin)
		if at > last {
			want, move, err := p.wait(ctx, last, at)
			if err != nil || move {
				return want, move, err
			}
			last = at
		}
		out = screen.Append(out[:0], e.Content())
		if _, err := p.Out.Write(out); err != nil {
			return 0, false, err
		}
	}
	return 0, false, nil
}

var errQuit = errors.New("quit")

// wait waits from last until at, as fast as it is wanted. move says that want is
// to be shown instead.
func (p *Player) wait(ctx context.Context, last, at time.Duration) (want time.Duration, move bool, err error) {
	if p.Speed <= 0 && p.Keys == nil {
		return 0, false, ctx.Err()
	}
	pause := at - last
	if p.Idle > 0 {
		pause = min(pause, p.Idle)
	}
	if p.Speed <= 0 {
		pause = 0
	} else {
		pause = time.Duration(float64(pause) / p.Speed)
	}
	t := time.NewTimer(pause)
	defer t.Stop()
	paused := false
	for {
		tick := t.C
		if paused {
			tick = nil
		}
		select {
		case <-tick:
			return 0, false, nil
		case <-ctx.Done():
			return 0, false, ctx.Err()
		case k, ok := <-p.Keys:
			if !ok {
				p.Keys = nil
				continue
			}
			step := or(p.Step, 10*time.Second)
			switch k {
			case Pause:
				if paused = !paused; !paused {
					t.Reset(pause)
				}
			case Faster:
				p.Speed *= 2
			case Slower:
				p.Speed /= 2
			case Forward:
				return last + step, true, nil
			case Back:
				return max(0, last-step), true, nil
			case NextMatch:
				next, err := p.next(at)
				if errors.Is(err, ErrNotFound) {
					continue
				}
				return next, err == nil, err
			case Quit:
				return 0, false, errQuit
			}
		}
	}
}

// IsQuit reports whether err says that somebody did not want to see more.
func IsQuit(err error) bool { return errors.Is(err, errQuit) || errors.Is(err, context.Canceled) }

func (p *Player) next(after time.Duration) (time.Duration, error) {
	begin, err := p.begin()
	if err != nil {
		return 0, err
	}
	if p.Find == "" {
		return 0, ErrNotFound
	}
	return p.find(begin, after+1)
}

// find returns when Find is shown first, not before from. Colours in the middle
// of the text do not hide it.
func (p *Player) find(begin time.Time, from time.Duration) (time.Duration, error) {
	var plain Plain
	var shown []byte
	want := []byte(p.Find)
	for e, err := range p.Record.From(begin.Add(from), 0) {
		if err != nil {
			return 0, err
		}
		at := e.When().Sub(begin)
		if e.Op != p.Op || e.Type != audit.RecordingOutput || at < from {
			continue
		}
		shown = plain.Append(shown, e.Content())
		if bytes.Contains(shown, want) {
			return at, nil
		}
		keep := min(len(shown), len(want)-1)
		shown = append(shown[:0], shown[len(shown)-keep:]...)
	}
	return 0, ErrNotFound
}
