package audit

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

// Store keeps objects by name somewhere else, such as in a bucket. It is safe for
// concurrent use. Its errors hold no secrets: they are recorded.
type Store interface {
	// Name tells stores apart, and names how far the log was copied: letters, digits
	// and dashes.
	Name() string
	// Put stores an object, and returns nil when it is there for good. What is there
	// already with the same content stays as it is; with another content, unless it
	// is to be replaced, the error is a *ConflictError.
	Put(ctx context.Context, o Object) error
	// Hold keeps an object from being deleted, or ends that. A store that cannot
	// returns nil. The error of an object that is not there is fs.ErrNotExist.
	Hold(ctx context.Context, name string, on bool) error
	// Open reads an object. The error of one that is not there is fs.ErrNotExist.
	Open(ctx context.Context, name string) (io.ReadCloser, error)
}

// Object is what a [Store] is to keep. It is the store's until Put returns.
type Object struct {
	Name    string
	Content io.ReaderAt
	Size    int64
	SHA256  [sha256.Size]byte
	Replace bool // may take the place of another content
	Hold    bool // is not to be deleted until it is released
}

func newObject(name string, content []byte) Object {
	return Object{Name: name, Content: bytes.NewReader(content), Size: int64(len(content)), SHA256: sha256.Sum256(content)}
}

// Bounds of what is copied at once.
const (
	copyStep    = 64 // records, before it is written down that they are there
	copyWorkers = 4
)

// Copy begins to copy the log's sealed records and signed heads to a store, in
// the order in which they were sealed: all that there are, and those to come.
// What is copied is ciphertext and proofs; keys stay where they are, so that
// destroying a session's key erases its copies too. Closing the log ends it.
func (l *Log) Copy(s Store, c FollowConfig) (*Follower, error) {
	f, err := l.newFollower(s.Name(), c)
	if err != nil {
		return nil, err
	}
	k := &copier{follower: f, log: l, store: s, file: filepath.Join(l.dir, "copies", s.Name()+".json")}
	if err := k.load(); err != nil {
		return nil, err
	}
	f.step = k.step
	return f, l.follow(f)
}

// copier copies a log to a store. It is used by its follower's goroutine.
type copier struct {
	follower *Follower
	log      *Log
	store    Store
	file     string
	saved    time.Time
	compared bool // that what is there is this log

	mu   sync.Mutex // of what follows, which those who copy records change
	at   copied
	done map[string]bool // leaves beyond at.Sessions whose records are there
}

// copied says what a store was given. Without it everything is offered again,
// which changes nothing.
type copied struct {
	Sessions int64           `json:"sessions"` // whose records it has
	Head     int64           `json:"head"`     // the size of the head that it has
	Held     map[string]bool `json:"held"`     // sessions that are held there
}

func (k *copier) load() error {
	if err := k.log.disk.mkdir(filepath.Dir(k.file)); err != nil {
		return err
	}
	b, err := os.ReadFile(k.file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	default:
		if err := json.Unmarshal(b, &k.at); err != nil {
			return fmt.Errorf("%s: %w", k.file, err)
		}
	}
	k.done = make(map[string]bool)
	if k.at.Held == nil {
		k.at.Held = make(map[string]bool)
	}
	return nil
}

func (k *copier) save() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	b, err := json.Marshal(k.at)
	if err != nil {
		return err
	}
	k.saved = time.Now()
	return k.log.disk.replace(k.file, b, 0o600)
}

// isHeld notes, before it is so, that a session is held in the store.
func (k *copier) isHeld(id string) error {
	k.mu.Lock()
	k.at.Held[id] = true
	k.mu.Unlock()
	return k.save()
}

// step copies a part of what is not there yet.
func (k *copier) step(ctx context.Context) (more bool, err error) {
	head := k.log.Head()
	if !k.compared {
		if err := head.continuesIn(ctx, k.store); err != nil {
			return false, err
		}
		k.compared = true
	}
	switch {
	case k.at.Sessions > head.N || k.at.Head > head.N:
		return false, conflict("%d sessions were copied and the log has %d: it was set back", max(k.at.Sessions, k.at.Head), head.N)
	case k.at.Sessions < head.N:
		to := min(head.N, k.at.Sessions+copyStep)
		if err := k.records(ctx, k.at.Sessions, to); err != nil {
			return false, err
		}
		k.at.Sessions = to
		if time.Since(k.saved) < saveEvery {
			return true, nil
		}
		return true, k.save()
	case k.at.Head < head.N:
		if err := k.head(ctx, head); err != nil {
			return false, err
		}
		k.at.Head = head.N
		k.follower.count(func(s *FollowStats) { s.Sessions = head.N })
		return true, k.save()
	case k.follower.holds.Swap(false):
		if err := k.holds(ctx); err != nil {
			k.follower.holds.Store(true)
			return false, err
		}
		return false, k.save()
	}
	k.follower.count(func(s *FollowStats) { s.Sessions = head.N })
	return false, nil
}

func readObject(ctx context.Context, s Store, name string, limit int) ([]byte, error) {
	r, err := s.Open(ctx, name)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	b, err := io.ReadAll(io.LimitReader(r, int64(limit)+1))
	if err == nil && len(b) > limit {
		err = fmt.Errorf("%s is larger than %d bytes", name, limit)
	}
	return b, err
}

// records copies the records of the sealed sessions from place from up to to.
func (k *copier) records(ctx context.Context, from, to int64) error {
	lines, err := k.log.tree.lines(from, to)
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	next := make(chan string)
	for range min(copyWorkers, len(lines)) {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for line := range next {
				e := k.record(ctx, line)
				k.mu.Lock()
				if e == nil {
					k.done[line] = true
				} else if err == nil {
					err = e
				}
				k.mu.Unlock()
			}
		}()
	}
	for _, line := range lines {
		k.mu.Lock()
		skip := k.done[line] || err != nil // what is there is not offered again after an error
		k.mu.Unlock()
		if !skip {
			next <- line
		}
	}
	close(next)
	wg.Wait()
	if err == nil {
		clear(k.done)
	}
	return err
}

// record copies one session's record. One that is not what was sealed is left
// out, and said to be; everything else is tried again.
func (k *copier) record(ctx context.Context, line string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	l, err := parseLeaf(strings.TrimSuffix(line, "\n"))
	if err != nil {
		return err
	}
	path, f, err := k.log.archive.cabinet.record(l.ID)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		k.leftOut(l, errors.New("its record is missing"))
		return nil
	case errors.As(err, new(*packError)):
		k.leftOut(l, err)
		return nil
	case err != nil:
		return err
	}
	defer f.Close()
	o := Object{Name: recordName(l.ID), Content: f}
	sum := sha256.New()
	_, err = checkRecord(tee{f, sum, &o.Size}, l)
	var failed *fs.PathError
	if errors.As(err, &failed) {
		return err
	}
	if err != nil {
		k.leftOut(l, err)
		return nil
	}
	sum.Sum(o.SHA256[:0])
	if o.Hold, err = isHeld(path); err == nil && o.Hold {
		err = k.isHeld(l.ID)
	}
	if err != nil {
		return err
	}
	err = k.store.Put(ctx, o)
	var c *ConflictError
	if errors.As(err, &c) {
		k.leftOut(l, err)
		return nil
	}
	return err
}

// tee hashes and counts what is read.
type tee struct {
	r    io.Reader
	hash hash.Hash
	n    *int64
}

func (t tee) Read(b []byte) (int, error) {
	n, err := t.r.Read(b)
	t.hash.Write(b[:n])
	*t.n += int64(n)
	return n, err
}

func (k *copier) leftOut(l leaf, err error) {
	k.log.logger.Error("audit: a record is not copied", "to", k.store.Name(), "session", l.ID, "err", err)
	k.log.report(ExportLeftOut, k.store.Name(), fmt.Errorf("session %s: %w", l.ID, err))
	k.follower.count(func(s *FollowStats) { s.LeftOut++ })
}

// head copies the tree up to a head, and then the head.
func (k *copier) head(ctx context.Context, head Head) error {
	for n := k.at.Head / bundleSize; n*bundleSize < head.N; n++ {
		lines, err := k.log.tree.lines(n*bundleSize, min(head.N, (n+1)*bundleSize))
		if err != nil {
			return err
		}
		if err := k.store.Put(ctx, newObject(tileName("entries", n, len(lines)), encodeBundle(lines))); err != nil {
			return err
		}
	}
	for _, tile := range tlog.NewTiles(tileHeight, k.at.Head, head.N) {
		b, err := tlog.ReadTileData(tile, head.hashes)
		if err != nil {
			return err
		}
		if err := k.store.Put(ctx, newObject(tileName(fmt.Sprint(tile.L), tile.N, tile.W), b)); err != nil {
			return err
		}
	}
	return head.putIn(ctx, k.store)
}

// holds has the store hold the sessions that the log holds, and no others.
func (k *copier) holds(ctx context.Context) error {
	files, err := filepath.Glob(filepath.Join(escape(k.log.dir), "sessions", "*", "*"+holdSuffix))
	if err != nil {
		return err
	}
	held := make(map[string]bool)
	for _, f := range files {
		held[strings.TrimSuffix(filepath.Base(f), holdSuffix)] = true
	}
	set := func(id string, on bool) error {
		err := k.store.Hold(ctx, recordName(id), on)
		if errors.Is(err, fs.ErrNotExist) {
			return nil // it is held when it is copied, or was not copied
		}
		return err
	}
	for id := range held {
		if !k.at.Held[id] {
			if err := set(id, true); err != nil {
				return err
			}
			if err := k.isHeld(id); err != nil {
				return err
			}
		}
	}
	for id := range k.at.Held {
		if !held[id] {
			if err := set(id, false); err != nil {
				return err
			}
			delete(k.at.Held, id)
		}
	}
	return nil
}
