package audit

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// contents checks that what sealed sessions hold can be read, or was erased on record, and that what ran by approvals is what was
// approved.
type contents struct {
	report  *Report
	archive *Archive // nil when the keys are sealed by one that is kept elsewhere
	damaged damageList
	gone    []goneKey
	own     []string // the gateway's own records

	approvals *approvalVerifier
}

// goneKey is a session without a key.
type goneKey struct{ path, id string }

func (r *Report) newContents(dir string, v *Verification, damaged damageList) (*contents, error) {
	k := v.Keys
	c := &contents{
		report: r, damaged: damaged,
		approvals: newApprovalVerifier(v.Public, v.Signers, func(text string) { r.problem("%s", text) }),
	}
	if k.Current == nil {
		elsewhere, err := keysLost(dir)
		var lost *HistoryError
		if errors.As(err, &lost) {
			r.problem("no session can be read: %v", err)
		} else if err != nil {
			return nil, err
		}
		if elsewhere || err != nil {
			return c, nil
		}
		if _, err := os.Stat(filepath.Join(dir, masterKey)); err != nil {
			return c, nil // and there is no key that it could open
		}
	}
	keys, err := openKeys(dir, k, nil)
	if err != nil {
		return nil, err
	}
	c.archive = newArchive(dir, keys, newDisk(system{}))
	return c, nil
}

// check checks the key of a session whose record is as it was sealed.
func (c *contents) check(path, id string) {
	if c.archive == nil {
		c.report.Unopened++
		return
	}
	key, err := c.archive.presentKey(path, id)
	if errors.Is(err, ErrErased) {
		c.gone = append(c.gone, goneKey{path, id})
		return
	}
	if err == nil {
		err = c.opens(path, id, key)
	}
	if err != nil {
		c.problem(id, err)
	}
}

func (c *contents) problem(id string, err error) {
	c.approvals.blind = true // it may be one of the gateway's own records
	c.report.sessionProblem(c.damaged.of(keysSuffix, id), "session %s: %v", id, err)
}

// opens holds that a key opens a record, and reads of it what may say something of approvals.
func (c *contents) opens(path, id string, key []byte) error {
	f, err := c.archive.cabinet.open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	r, err := openFile(f, id, key, nil)
	if err != nil {
		return err
	}
	s := c.approvals.session(id)
	err = s.read(r)
	if s.own {
		c.own = append(c.own, id)
	}
	return err
}

// opens holds that a key opens the first frame of a record.
func opens(f io.Reader, key []byte) error {
	r, err := newReader(f)
	if err != nil {
		return err
	}
	if err := r.unlock(key); err != nil {
		return err
	}
	return r.frame(func([]byte) {})
}

// frame calls each with the events of the next frame.
func (r *reader) frame(each func(raw []byte)) error {
	sealed, err := r.next()
	if err != nil {
		return err
	}
	if _, err := r.open(sealed, func(b []byte) bool { each(b); return true }); err != nil {
		if r.first == 1 {
			return fmt.Errorf("its key is another's: %w", err)
		}
		return err
	}
	return nil
}

// compare compares the sessions that have a key, and those that have none, with what the gateway's
// own records say was erased.
func (c *contents) compare(sealed map[string]bool) error {
	if c.archive == nil {
		return nil
	}
	erased := make(map[string]*Event)
	for _, id := range append(c.own, c.report.Unproven...) {
		c.archive.erasuresIn(erased, id)
	}
	for _, id := range c.report.Unproven {
		s := c.approvals.session(id)
		if err := c.archive.readBy(c.archive.presentKey, id, func(raw []byte) bool { s.event(raw); return s.own }); err != nil {
			c.approvals.blind = true // it may be the gateway's own
		}
	}
	c.approvals.finish()
	c.report.Approvals = c.approvals.Approvals
	for _, s := range c.gone {
		if erased[s.id] != nil {
			c.report.Erased++
			continue
		}
		err := c.archive.cabinet.moved(s.path)
		if err == nil {
			err = ErrKeyMissing
		}
		c.problem(s.id, err)
	}
	for _, id := range slices.Sorted(maps.Keys(erased)) {
		if !sealed[id] {
			continue
		}
		back, err := c.isBack(id)
		if err != nil {
			return err
		}
		if back {
			c.report.problem("session %s was erased on %s, and its key is there again: its file came back from a backup, or the disk failed: erase it again", id, erased[id].Time)
		}
	}
	return nil
}

// isBack reports whether a session that was erased has a key. One that is just being erased has
// it for a moment.
func (c *contents) isBack(id string) (bool, error) {
	for range settleTries {
		path, err := c.archive.cabinet.find(id)
		if err != nil {
			return false, nil // which is told of its record
		}
		if has, err := c.archive.cabinet.hasKey(path); !has || err != nil {
			return false, err
		}
		time.Sleep(settleFor)
	}
	return true, nil
}
