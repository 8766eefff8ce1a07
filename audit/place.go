package audit

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// A log goes on only where it began: what is recorded in a folder that was made anew continues
// nothing. So the log keeps the folders open that it writes into, and holds that their names still lead to
// them. Nothing is made in the place of one that is gone.

// PlaceError says that a folder or file of an open log is not where the log opened it, or is
// shorter than the log wrote it.
type PlaceError struct {
	Path   string
	reason string
}

// Error says what is wrong, and what to do.
func (e *PlaceError) Error() string {
	return fmt.Sprintf("%s %s: put back what was there, and the log goes on; if it is lost, stop the gateway, restore the audit log from a backup and start the gateway again",
		e.Path, e.reason)
}

// place is where a log writes.
type place struct {
	mu     sync.Mutex
	dir    string
	always []*pinned
	today  *pinned // where new records are; nil before the first
}

// pinned is a folder that is kept open, so that no other is taken for it.
type pinned struct {
	name string
	*os.File
}

func pin(name string) (*pinned, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	return &pinned{name, f}, nil
}

// openPlace pins the folders of a log, which are there.
func openPlace(dir string) (*place, error) {
	p := &place{dir: dir}
	for _, name := range []string{dir, filepath.Join(dir, "log"), filepath.Join(dir, "sessions")} {
		f, err := pin(name)
		if err != nil {
			return nil, errors.Join(err, p.close())
		}
		p.always = append(p.always, f)
	}
	return p, nil
}

// check holds that the names of the folders lead to them.
func (p *place) check() error {
	p.mu.Lock()
	folders := append(make([]*pinned, 0, 4), p.always...)
	if p.today != nil {
		folders = append(folders, p.today)
	}
	p.mu.Unlock()
	for _, f := range folders {
		if err := leadsTo(f.name, f); err != nil {
			return err
		}
	}
	return nil
}

// folder returns where records are begun now. It makes the folder of a day once.
func (p *place) folder(d *disk) (string, error) {
	name := filepath.Join(p.dir, "sessions", time.Now().UTC().Format(time.DateOnly))
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.today != nil && p.today.name == name {
		return name, nil
	}
	if err := d.mkdir(name); err != nil {
		return "", err
	}
	f, err := pin(name)
	if err != nil {
		return "", err
	}
	before := p.today
	p.today = f
	if before != nil {
		err = before.Close()
	}
	return name, err
}

func (p *place) close() error {
	var errs []error
	for _, f := range p.always {
		errs = append(errs, f.Close())
	}
	if p.today != nil {
		errs = append(errs, p.today.Close())
	}
	return errors.Join(errs...)
}

// leadsTo holds that a name is that of an open file or folder.
func leadsTo(name string, opened interface{ Stat() (fs.FileInfo, error) }) error {
	there, err := os.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return &PlaceError{name, "is gone"}
	}
	if err != nil {
		return err
	}
	was, err := opened.Stat()
	if err == nil && !os.SameFile(there, was) {
		return &PlaceError{name, "is not the one that the gateway opened"}
	}
	return err
}

// cutOff says that a file is shorter than the log wrote it.
func cutOff(f *os.File, has, had int64) error {
	return &PlaceError{f.Name(), fmt.Sprintf("was cut off: it has %d bytes, and had %d", has, had)}
}

// checkPlace holds that the log is where it was opened. Until it is again, no record is written.
func (l *Log) checkPlace() error {
	err := l.place.check()
	if err == nil {
		err = l.tree.checkPlace()
	}
	switch was := l.lost.Load(); {
	case err == nil && was != nil:
		l.lost.Store(nil)
		l.logger.Warn("audit: the log is where it was again, and goes on")
	case err != nil && was == nil:
		l.lost.Store(&err)
		l.logger.Error("audit: nothing can be recorded", "err", err)
	}
	return err
}

// Err returns what keeps records from being written, as far as the latest attempt tells: the log's
// folder is gone, the disk is full; nil when nothing does.
func (l *Log) Err() error {
	if lost := l.lost.Load(); lost != nil {
		return *lost
	}
	if failing := l.failing.Load(); failing != nil {
		return *failing
	}
	return nil
}
