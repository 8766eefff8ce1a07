package secrets

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// journal is the file of the leases that are held. Each line is an entry, and the last line about a lease
// counts. It holds no secret: a lease's name is good for nothing without the gateway's own login. The nil journal
// keeps nothing.
type journal struct {
	mu    sync.Mutex
	path  string
	file  *os.File
	live  map[leaseName]entry
	lines int
}

// entry is a line of the journal.
type entry struct {
	Scheme  string    `json:"scheme"`
	Lease   string    `json:"lease"`
	Expires time.Time `json:"expires,omitzero"`
	Gone    bool      `json:"gone,omitempty"` // it was revoked
}

type leaseName struct{ scheme, lease string }

func (e entry) name() leaseName { return leaseName{e.Scheme, e.Lease} }

const (
	maxJournal = 64 << 20 // what is read at most
	// rewriteAt is by how many lines the file may have more than twice those that count.
	rewriteAt = 1024
)

// openJournal opens a journal, and returns what an earlier process has left in it.
func openJournal(path string) (*journal, []entry, error) {
	j := &journal{path: path, live: make(map[leaseName]entry)}
	fail := func(err error) (*journal, []entry, error) {
		return nil, nil, fmt.Errorf("opening the journal of leases: %w", err)
	}
	text, err := readJournal(path)
	if err != nil {
		return fail(err)
	}
	for n := 1; len(text) > 0; n++ {
		line, rest, whole := bytes.Cut(text, []byte("\n"))
		var e entry
		if !whole {
			break // it was being written when the process ended: nobody had that lease yet
		}
		if err := json.Unmarshal(line, &e); err != nil || e.Scheme == "" || e.Lease == "" {
			return fail(fmt.Errorf("%s:%d is not the name of a lease: revoke the gateway's leases by hand, and move the file away", path, n))
		}
		j.apply(e)
		text = rest
	}
	if err := j.rewrite(); err != nil {
		return fail(err)
	}
	var left []entry
	for _, e := range j.live {
		left = append(left, e)
	}
	return j, left, nil
}

func readJournal(path string) ([]byte, error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxJournal+1))
	if err == nil && len(text) > maxJournal {
		err = fmt.Errorf("%s is larger than %d bytes: revoke the gateway's leases by hand, and move the file away", path, maxJournal)
	}
	return text, err
}

func (j *journal) apply(e entry) {
	if e.Gone {
		delete(j.live, e.name())
	} else {
		j.live[e.name()] = e
	}
}

// add has e on disk when it returns.
func (j *journal) add(e entry) error {
	if j == nil {
		return nil
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.apply(e) // also when it cannot be written: the file that is written next has it
	err := j.write(e)
	if err == nil {
		err = j.file.Sync()
	}
	if err != nil {
		return fmt.Errorf("writing the journal of leases: %w", err)
	}
	return nil
}

// remove says that e was revoked. A process that ends now may revoke it again.
func (j *journal) remove(e entry) error {
	if j == nil {
		return nil
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	e.Gone, e.Expires = true, time.Time{}
	j.apply(e)
	if err := j.write(e); err != nil {
		return fmt.Errorf("writing the journal of leases: %w", err)
	}
	return nil
}

func (j *journal) write(e entry) error {
	if j.file == nil || j.lines > 2*len(j.live)+rewriteAt {
		return j.rewrite() // with e
	}
	line, err := json.Marshal(e)
	if err != nil {
		return err
	}
	j.lines++
	if _, err := j.file.Write(append(line, '\n')); err != nil {
		// Half a line may be there, and no other must follow it.
		return errors.Join(err, j.drop())
	}
	return nil
}

// drop closes the file: the next write makes it anew.
func (j *journal) drop() error {
	if j.file == nil {
		return nil
	}
	err := j.file.Close()
	j.file = nil
	return err
}

// rewrite makes the file anew with what counts. The old one is there until the new one is whole.
func (j *journal) rewrite() error {
	if err := j.drop(); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(j.path), filepath.Base(j.path)+".new-*") // 0600
	if err != nil {
		return err
	}
	encoder := json.NewEncoder(f)
	for _, e := range j.live {
		err = errors.Join(err, encoder.Encode(e))
	}
	if err = errors.Join(err, f.Sync()); err == nil {
		err = os.Rename(f.Name(), j.path)
	}
	if err != nil {
		return errors.Join(err, f.Close(), os.Remove(f.Name()))
	}
	j.file, j.lines = f, len(j.live)
	return syncDir(filepath.Dir(j.path))
}

// syncDir has a folder's list of names on disk when it returns.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func (j *journal) close() error {
	if j == nil {
		return nil
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.drop()
}
