package proxy

import (
	"context"
	"errors"
	"time"
)

// Freeze says that a session does not go on: what its user asks waits, and so does what the resource answers.
type Freeze struct {
	By     string // subject of who has frozen it
	Reason string
	At     time.Time
}

// frozen is a freeze that lasts until thawed is closed.
type frozen struct {
	Freeze
	thawed chan struct{}
}

// maxWords bounds how many messages wait for the next answer.
const maxWords = 8

// ErrTooManyWords is returned for a message to a user who has not heard those before.
var ErrTooManyWords = errors.New("her client has not heard the messages before this one: it hears them with its next answer")

// Freeze holds the session until [Session.Thaw]: operations that are asked wait before anybody is asked about them, and handlers pass
// nothing on in either direction. It goes on to count: a deadline, a kill and the gateway's shutdown end it. It reports false when the
// session is frozen already.
func (s *Session) Freeze(f Freeze) bool {
	return s.frozen.CompareAndSwap(nil, &frozen{f, make(chan struct{})})
}

// Thaw ends a freeze. It reports false when there was none.
func (s *Session) Thaw() bool {
	f := s.frozen.Swap(nil)
	if f == nil {
		return false
	}
	close(f.thawed)
	return true
}

// Frozen returns the freeze that holds the session, if one does.
func (s *Session) Frozen() (Freeze, bool) {
	if f := s.frozen.Load(); f != nil {
		return f.Freeze, true
	}
	return Freeze{}, false
}

// Await waits while the session is frozen, and until ctx or the session ends. Handlers call it before they pass data on, in goroutines
// that may wait. It allocates nothing, and returns at once while nothing is frozen.
func (s *Session) Await(ctx context.Context) {
	for f := s.frozen.Load(); f != nil; f = s.frozen.Load() {
		select {
		case <-f.thawed:
		case <-ctx.Done():
			return
		case <-s.ctx.Done():
			return
		}
	}
}

// Message tells the user something that somebody has written to her: now, where she listens, or with the answer to what she asks next.
// It reports whether it is now.
func (s *Session) Message(text string) (now bool, err error) {
	if s.Remind(text) {
		return true, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.words) == maxWords {
		return false, ErrTooManyWords
	}
	s.words = append(s.words, text)
	s.spoken.Store(true)
	return false, nil
}

// hear adds what was written to the user to a verdict that she is told.
func (s *Session) hear(v *Verdict) {
	if !s.spoken.Load() || v.Refuses() || s.Dry {
		return
	}
	s.mu.Lock()
	words := s.words
	s.words = nil
	s.spoken.Store(false)
	s.mu.Unlock()
	for _, w := range words {
		v.Warn = joined(v.Warn, w, "\n")
	}
}
