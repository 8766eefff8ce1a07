package alert

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/review"
	"github.com/sallyport/sallyport/store"
)

// Kind is the kind of the documents that have what was counted.
const Kind = "alert"

// TooOld is the age from which on an event alerts nobody: a gateway that was down for longer does not wake people up for what is over.
const TooOld = 24 * time.Hour

// Bounds of writing.
const (
	maxTries   = 50  // by which a write meets others' before the events are read again
	maxWrites  = 128 // in one call
	writeAgain = 20 * time.Millisecond
)

// Engine tells channels what rules find. The fields are set before the first use. It is safe for concurrent use.
type Engine struct {
	Store store.Store
	// Writes are those that keep a notice for its channels; see review.Outbox.
	Writes func(n *review.Notice) ([]store.Write, error)
	Log    *slog.Logger     // nil is slog.Default
	Now    func() time.Time // nil is time.Now

	mu    sync.Mutex
	used  bool
	rules []since // read-only
}

// since is a rule, and from when on events count for it.
type since struct {
	Rule
	from time.Time
}

// Use sets the rules, from now on. A rule that an Engine comes to have while it is used counts what happens from then on; those that it begins
// with count what was recorded and not read yet, too. They are valid.
func (e *Engine) Use(rules []Rule) {
	e.mu.Lock()
	defer e.mu.Unlock()
	next := make([]since, len(rules))
	for i, r := range rules {
		next[i] = since{Rule: r}
		at := slices.IndexFunc(e.rules, func(o since) bool { return o.Name == r.Name && o.Version == r.Version })
		if at >= 0 {
			next[i].from = e.rules[at].from
		} else if e.used {
			next[i].from = e.now()
		}
	}
	e.rules, e.used = next, true
}

func (e *Engine) now() time.Time {
	if e.Now != nil {
		return e.Now()
	}
	return time.Now()
}

func (e *Engine) log() *slog.Logger {
	if e.Log != nil {
		return e.Log
	}
	return slog.Default()
}

// Name implements [audit.Sink].
func (e *Engine) Name() string { return "alerts" }

// Deliver implements [audit.Sink].
func (e *Engine) Deliver(ctx context.Context, batch []audit.Outgoing) error {
	e.mu.Lock()
	rules := e.rules
	e.mu.Unlock()
	if len(rules) == 0 {
		return nil
	}
	oldest := e.now().Add(-TooOld)
	found := make([][]Seen, len(rules))
	for i := range batch {
		out := &batch[i]
		var s *Seen
		for k := range rules {
			r := &rules[k]
			if !r.Wants(out.Type) {
				continue
			}
			if s == nil {
				read, err := See(out.Session, out.Index, out.JSON, out.Start)
				if err != nil { // it comes to be so with any further try
					e.log().Error("an event cannot be read, and alerts nobody", "session", out.Session, "event", out.Index, "err", err)
					break
				}
				s = &read
			}
			if !s.At.Before(oldest) && !s.At.Before(r.from) && r.Fits(s) {
				found[k] = append(found[k], *s)
			}
		}
	}
	for k, events := range found {
		if err := e.count(ctx, &rules[k].Rule, events); err != nil {
			return err
		}
	}
	return nil
}

// count counts events that fit a rule, and keeps what is to be told.
func (e *Engine) count(ctx context.Context, r *Rule, events []Seen) error {
	for tries := 0; len(events) > 0; {
		doc, err := e.Store.Get(ctx, Kind, r.Name)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return fmt.Errorf("alert %s: reading what was counted: %w", r.Name, err)
		}
		s := state{}
		if err == nil && json.Unmarshal(doc.Body, &s) != nil {
			e.log().Error("what an alert has counted cannot be read: it counts anew", "alert", r.Name)
			s = state{}
		}
		var told []store.Write
		n := 0
		for n < len(events) && len(told)+review.MaxChannels < maxWrites {
			ws, err := e.step(r, &s, &events[n])
			if err != nil {
				return err
			}
			told = append(told, ws...)
			n++
		}
		doc.Kind, doc.Name = Kind, r.Name
		if doc.Body, err = json.Marshal(&s); err != nil {
			return fmt.Errorf("alert %s: %w", r.Name, err)
		}
		w := store.Replace(doc)
		if doc.Version == 0 {
			w = store.Create(doc)
		}
		_, err = e.Store.Write(ctx, append(told, w)...)
		switch {
		case err == nil:
			events, tries = events[n:], 0
		case errors.Is(err, store.ErrConflict) && tries < maxTries: // another gateway has counted
			tries++
			t := time.NewTimer(rand.N(writeAgain))
			select {
			case <-t.C:
			case <-ctx.Done():
				t.Stop()
				return ctx.Err()
			}
		default: // the events come again
			return fmt.Errorf("alert %s: keeping what was counted: %w", r.Name, err)
		}
	}
	return nil
}

// step counts an event, and returns the writes that keep what is to be told.
func (e *Engine) step(r *Rule, s *state, seen *Seen) ([]store.Write, error) {
	a := r.step(s, seen)
	if a == nil {
		return nil, nil
	}
	sum := sha256.Sum256([]byte("alert " + r.Name + " " + seen.Record + " " + strconv.FormatUint(seen.Index, 10)))
	f := Firing{ID: hex.EncodeToString(sum[:8]), At: seen.At, Alert: *a}
	s.fired(f)
	ws, err := e.Writes(&review.Notice{ID: f.ID, Event: review.Fired, At: f.At, Alert: a, To: r.Channels})
	if err != nil {
		return nil, fmt.Errorf("alert %s: %w", r.Name, err)
	}
	return ws, nil
}

// Firings returns the latest times that a rule has fired on any gateway on the store, the oldest first.
func (e *Engine) Firings(ctx context.Context, rule string) ([]Firing, error) {
	doc, err := e.Store.Get(ctx, Kind, rule)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	var s state
	if err == nil && json.Unmarshal(doc.Body, &s) != nil {
		err = errors.New("it is damaged")
	}
	if err != nil {
		return nil, fmt.Errorf("alert %s: reading what was counted: %w", rule, err)
	}
	return s.Firings, nil
}
