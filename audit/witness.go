package audit

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// witnessFolder holds, in one file per witness, the head that it was told of last,
// with its cosignatures.
const witnessFolder = "witnesses"

// Witness is told of the log's heads, so that a log that is set back or replaced
// by another history of its own can be found elsewhere.
type Witness interface {
	// Name tells witnesses apart: letters, digits and dashes.
	Name() string
	// Add tells the witness of a head, and returns nil when it will remember. lines are
	// the cosignatures that it gives, as lines of a note; nil when it gives none. When
	// it knows of a head that h does not continue, the error is a *ConflictError.
	Add(ctx context.Context, h Head) (lines []byte, err error)
}

// Witness begins to tell a witness of the log's heads: of the newest that there
// is, and of those to come. Closing the log ends it.
func (l *Log) Witness(w Witness, c FollowConfig) (*Follower, error) {
	f, err := l.newFollower(w.Name(), c)
	if err != nil {
		return nil, err
	}
	t := &teller{follower: f, log: l, witness: w, file: filepath.Join(l.dir, witnessFolder, w.Name())}
	if err := t.load(); err != nil {
		return nil, err
	}
	f.step = t.step
	return f, l.follow(f)
}

// teller tells a witness. It is used by its follower's goroutine.
type teller struct {
	follower *Follower
	log      *Log
	witness  Witness
	file     string
	last     []byte // what the witness was told last; nil when nothing
	told     int64  // its sessions, by this process
}

func (t *teller) load() error {
	if err := t.log.disk.mkdir(filepath.Dir(t.file)); err != nil {
		return err
	}
	b, err := os.ReadFile(t.file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	t.last = b
	return err
}

func (t *teller) step(ctx context.Context) (bool, error) {
	head := t.log.Head()
	if head.N == 0 || head.N == t.told {
		return false, nil
	}
	if t.last != nil {
		if err := head.Continues(t.last); err != nil {
			return false, err
		}
	}
	lines, err := t.witness.Add(ctx, head)
	if err != nil {
		return false, err
	}
	t.last = append(append([]byte(nil), head.Note...), lines...)
	if err := t.log.disk.replace(t.file, t.last, 0o600); err != nil {
		return false, fmt.Errorf("what witness %s was told cannot be saved: %w", t.witness.Name(), err)
	}
	t.told = head.N
	t.follower.count(func(s *FollowStats) { s.Sessions = head.N })
	return false, nil
}

// InStore is a Witness that keeps every head in a store, in the place where
// [Log.Copy] keeps them.
type InStore struct{ Store }

// Add keeps a head.
func (w InStore) Add(ctx context.Context, h Head) ([]byte, error) {
	if err := h.continuesIn(ctx, w.Store); err != nil {
		return nil, err
	}
	return nil, h.putIn(ctx, w.Store)
}

// continuesIn holds that the log continues the newest head that a store has.
func (h Head) continuesIn(ctx context.Context, s Store) error {
	b, err := readObject(ctx, s, latestName, maxCheckpoint)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return h.Continues(b)
}

// putIn puts a head into a store.
func (h Head) putIn(ctx context.Context, s Store) error {
	if err := s.Put(ctx, newObject(headName(h.N), h.Note)); err != nil {
		return err
	}
	latest := newObject(latestName, h.Note)
	latest.Replace = true
	return s.Put(ctx, latest)
}
