package gateway

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/store"
)

// Kinds of documents: the sessions that each gateway has of a person, and the gateways that are
// there.
const (
	kindPlaces = "places"
	kindAlive  = "gateway"
)

const (
	aliveFor    = 30 * time.Second // for which a gateway's sessions count after it was heard of last
	aliveEvery  = 10 * time.Second
	placesAsked = 3 * time.Second // for which a login waits for the store
)

// places counts the open sessions of people at all gateways on one store. A gateway that is not
// heard of any more has none. It is a [proxy.Places], safe for concurrent use.
type places struct {
	store store.Store
	log   *slog.Logger
	id    string // of the gateway, from one start to the next
	seed  maphash.Seed
	turns [64]sync.Mutex // one change of a person's document at a time

	mu      sync.Mutex
	open    map[string]int  // sessions here, by subject
	unsaid  map[string]bool // subjects of which the store does not know the number here
	heard   bool            // the store knows this gateway
	leaving sync.WaitGroup
}

func newPlaces(s store.Store, log *slog.Logger) *places {
	return &places{store: s, log: log, id: rand.Text(), seed: maphash.MakeSeed(), open: make(map[string]int), unsaid: make(map[string]bool)}
}

// taken is a document of kindPlaces.
type taken struct {
	Subject string         `json:"subject"`
	At      map[string]int `json:"at"` // sessions, by gateway
}

// turn is held by who changes a subject's document.
func (p *places) turn(subject string) *sync.Mutex {
	return &p.turns[maphash.String(p.seed, subject)%uint64(len(p.turns))]
}

// Enter implements [proxy.Places].
func (p *places) Enter(ctx context.Context, subject string, limit int) (func(), error) {
	ctx, cancel := context.WithTimeout(ctx, placesAsked)
	defer cancel()
	turn := p.turn(subject)
	turn.Lock()
	defer turn.Unlock()
	err := p.hear(ctx)
	if err == nil {
		err = p.say(ctx, subject, 1, limit)
	}
	if errors.Is(err, proxy.ErrTooMany) {
		return nil, err
	}
	p.count(subject, 1, err)
	return sync.OnceFunc(func() { p.leaving.Go(func() { p.leave(subject) }) }), err
}

func (p *places) leave(subject string) {
	ctx, cancel := context.WithTimeout(context.Background(), placesAsked)
	defer cancel()
	turn := p.turn(subject)
	turn.Lock()
	defer turn.Unlock()
	p.count(subject, -1, p.say(ctx, subject, -1, 0))
}

// count adds to the sessions here, which the store knows unless err says otherwise.
func (p *places) count(subject string, n int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.open[subject] += n; p.open[subject] <= 0 {
		delete(p.open, subject)
	}
	if err != nil {
		p.unsaid[subject] = true
	} else {
		delete(p.unsaid, subject)
	}
}

func (p *places) here(subject string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.open[subject]
}

// say has the store know the number of sessions that a subject has here once some have been
// added, unless it is too many by a limit with those at other gateways. 0: without a limit. Its caller
// has the subject's turn.
func (p *places) say(ctx context.Context, subject string, more, limit int) error {
	sum := sha256.Sum256([]byte(subject))
	for {
		err := p.change(ctx, hex.EncodeToString(sum[:]), subject, more, limit)
		if !errors.Is(err, store.ErrConflict) || ctx.Err() != nil {
			return err
		}
	}
}

func (p *places) change(ctx context.Context, name, subject string, more, limit int) error {
	return store.Update(ctx, p.store, kindPlaces, name, func(d store.Document) ([]store.Write, error) {
		t := taken{Subject: subject}
		if d.Version > 0 {
			if err := json.Unmarshal(d.Body, &t); err != nil {
				return nil, fmt.Errorf("the sessions of %q cannot be read: the document is damaged", subject)
			}
		}
		if t.At == nil {
			t.At = make(map[string]int)
		}
		n := max(0, p.here(subject)+more)
		if t.At[p.id] = n; n == 0 {
			delete(t.At, p.id)
		}
		all := 0
		for id := range t.At {
			alive, err := p.alive(ctx, id)
			if err != nil {
				return nil, err
			}
			if !alive {
				delete(t.At, id)
			}
			all += t.At[id]
		}
		if limit > 0 && all > limit {
			return nil, proxy.ErrTooMany
		}
		if len(t.At) == 0 {
			if d.Version == 0 {
				return nil, nil
			}
			return []store.Write{store.Delete(d)}, nil
		}
		var err error
		if d.Body, err = json.Marshal(t); err != nil {
			return nil, err
		}
		if d.Version == 0 {
			return []store.Write{store.Create(d)}, nil
		}
		return []store.Write{store.Replace(d)}, nil
	})
}

// alive reports whether a gateway is there.
func (p *places) alive(ctx context.Context, id string) (bool, error) {
	if id == p.id {
		return true, nil
	}
	_, err := p.store.Get(ctx, kindAlive, id)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// hear has the store know this gateway, unless it does.
func (p *places) hear(ctx context.Context) error {
	p.mu.Lock()
	heard := p.heard
	p.mu.Unlock()
	if heard {
		return nil
	}
	return p.beat(ctx)
}

// beat has the store know that this gateway is there. When it had been forgotten meanwhile, its
// sessions were, too.
func (p *places) beat(ctx context.Context) error {
	_, now, err := p.store.Head(ctx)
	if err != nil {
		return err
	}
	forgotten := false
	err = store.Update(ctx, p.store, kindAlive, p.id, func(d store.Document) ([]store.Write, error) {
		forgotten = d.Version == 0
		d.Body, d.Expires = []byte(`{}`), now.Add(aliveFor)
		if forgotten {
			return []store.Write{store.Create(d)}, nil
		}
		return []store.Write{store.Replace(d)}, nil
	})
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.heard = err == nil; p.heard && forgotten {
		for subject := range p.open {
			p.unsaid[subject] = true
		}
	}
	return err
}

// run keeps this gateway known to the store, which learns what it could not be told, until ctx
// ends.
func (p *places) run(ctx context.Context) {
	said := true
	for ; ctx.Err() == nil; pause(ctx, aliveEvery) {
		err := p.beat(ctx)
		if err == nil {
			err = p.settle(ctx)
		}
		if said != (err == nil) && ctx.Err() == nil {
			if said = err == nil; said {
				p.log.Info("the sessions of people are counted together with those at other gateways again")
			} else {
				p.log.Warn("the store cannot be told of the sessions here: until it can be, max_sessions_per_user counts those of each gateway alone", "err", err)
			}
		}
	}
}

// settle has the store know what it could not be told.
func (p *places) settle(ctx context.Context) error {
	p.mu.Lock()
	unsaid := maps.Clone(p.unsaid)
	p.mu.Unlock()
	for subject := range unsaid {
		if err := p.correct(ctx, subject); err != nil {
			return err
		}
	}
	return nil
}

func (p *places) correct(ctx context.Context, subject string) error {
	turn := p.turn(subject)
	turn.Lock()
	defer turn.Unlock()
	err := p.say(ctx, subject, 0, 0)
	p.count(subject, 0, err)
	return err
}

// close has the store forget this gateway, once its sessions have ended.
func (p *places) close() error {
	p.leaving.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), placesAsked)
	defer cancel()
	err := store.Update(ctx, p.store, kindAlive, p.id, func(d store.Document) ([]store.Write, error) {
		if d.Version == 0 {
			return nil, nil
		}
		return []store.Write{store.Delete(d)}, nil
	})
	if err != nil {
		p.log.Warn("the store does not know that the gateway has stopped; it sees so itself", "after", aliveFor.String(), "err", err)
	}
	return nil
}
