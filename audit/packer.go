package audit

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// A small record takes a block of the disk and an inode, and so does its key. Once so many of
// a day are sealed they are packed together, and of a day that is over also fewer. The pack
// is on the disk, then its keys are, and then the files that the sessions had are removed, so that a
// crash leaves each record and each key at least once. What is there twice is cleaned up by the next start.

const (
	packAt      = 512      // sessions
	packFew     = 16       // of a day that is over
	packLargest = 32 << 10 // a record with more bytes keeps its file
	packBytes   = 4 << 20  // a pack that has so many is closed

	packRetry = time.Minute // after a failure
)

// packer packs the records of a log that is written.
type packer struct {
	log     *Log
	at, few int
	nudge   chan struct{}
	done    chan struct{}

	working sync.Mutex // held while records are packed

	mu      sync.Mutex
	waiting map[string]int // sessions that wait, by folder
	after   time.Time      // a failure, when it is tried again
	failing bool
}

func newPacks(l *Log, at int) *packer {
	return &packer{
		log: l, at: at, few: min(packFew, at), nudge: make(chan struct{}, 1), done: make(chan struct{}), waiting: make(map[string]int),
	}
}

// run packs what waits from before and what is sealed from now on, until the log is closed.
func (p *packer) run() {
	defer close(p.done)
	p.begin()
	for {
		select {
		case <-p.nudge:
			p.step()
		case <-p.log.stop:
			return
		}
	}
}

// sealed notes that a session became a leaf.
func (p *packer) sealed(path string) {
	folder := filepath.Dir(path)
	p.mu.Lock()
	p.waiting[folder]++
	due := p.isDue(folder) && !time.Now().Before(p.after)
	p.mu.Unlock()
	if due {
		p.next()
	}
}

// isDue reports whether a folder has as many sessions as are packed together.
func (p *packer) isDue(folder string) bool {
	return p.waiting[folder] >= p.at || p.waiting[folder] >= p.few && isOver(folder)
}

// isOver reports whether a folder is not that of today, so that none is begun there any more.
func isOver(folder string) bool {
	return filepath.Base(folder) != time.Now().UTC().Format(time.DateOnly)
}

// begin looks at all folders: for sessions that wait, and for what a crash left.
func (p *packer) begin() {
	p.working.Lock()
	defer p.working.Unlock()
	folders, err := p.log.archive.cabinet.folders()
	if err != nil {
		p.failed(err)
		return
	}
	for _, folder := range folders {
		names, err := namesIn(folder)
		if err != nil {
			p.failed(err)
			return
		}
		own, packs := 0, false
		for _, name := range names {
			if _, ok := sessionOf(name, recordSuffix); ok {
				own++
			}
			_, _, isPack := records.sessions(name)
			packs = packs || isPack
		}
		p.mu.Lock()
		p.waiting[folder] = own
		due := p.isDue(folder) || packs && own > 0
		p.mu.Unlock()
		if due && !p.pack(folder) {
			return
		}
	}
}

// step packs the sessions of the folders in which enough wait.
func (p *packer) step() {
	p.working.Lock()
	defer p.working.Unlock()
	p.mu.Lock()
	var due []string
	for folder := range p.waiting {
		if p.isDue(folder) {
			due = append(due, folder)
		}
	}
	p.mu.Unlock()
	for _, folder := range due {
		if !p.pack(folder) {
			return
		}
	}
}

// next has step called soon.
func (p *packer) next() {
	select {
	case p.nudge <- struct{}{}:
	default:
	}
}

// pack packs the sessions of a folder. It reports whether that succeeded.
func (p *packer) pack(folder string) bool {
	p.mu.Lock()
	waiting := p.waiting[folder]
	delete(p.waiting, folder) // what is sealed from here on counts anew
	p.mu.Unlock()
	var left int
	err := withoutPanic(func() (err error) {
		left, err = p.packFolder(folder)
		return err
	})
	p.mu.Lock()
	if err != nil {
		left = waiting
	}
	if left > 0 {
		p.waiting[folder] += left
	}
	p.failing = p.failing && err != nil
	p.mu.Unlock()
	if err != nil {
		p.failed(fmt.Errorf("%s: %w", folder, err))
	}
	return err == nil
}

// failed notes that records cannot be packed, and logs the first time in a row.
func (p *packer) failed(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.after = time.Now().Add(packRetry)
	if !p.failing && !errors.Is(err, errClosed) {
		p.failing = true
		p.log.logger.Warn("audit: small records cannot be packed, and keep files of their own", "err", err)
	}
}

func (p *packer) isStopped() bool {
	select {
	case <-p.log.stop:
		return true
	default:
		return false
	}
}

// packFolder packs the small records of a folder, as many together as belong together, and
// returns how many are left.
func (p *packer) packFolder(folder string) (left int, err error) {
	names, err := namesIn(folder)
	if err != nil {
		return 0, err
	}
	slices.Sort(names)
	for _, name := range names {
		if err := p.removeHalf(folder, name); err != nil {
			return 0, err
		}
	}
	packs, err := p.log.archive.cabinet.relist(folder)
	if err != nil {
		return 0, err
	}
	var batch []packed
	var twice, size int
	for _, name := range names {
		id, ok := sessionOf(name, recordSuffix)
		if !ok {
			continue
		}
		if p.isStopped() {
			return 0, errClosed
		}
		path := filepath.Join(folder, id)
		s, ok, err := p.take(path)
		if err != nil {
			return 0, err
		}
		if !ok {
			continue
		}
		if f, _, err := records.seekIn(folder, packs, id, records.seek); err == nil {
			twice++
			if err := errors.Join(f.Close(), p.drop(path)); err != nil {
				return 0, err
			}
			continue
		}
		batch = append(batch, s)
		if size += len(s.record); len(batch) == p.at || size >= packBytes {
			if err := p.write(folder, batch); err != nil {
				return 0, err
			}
			batch, size = nil, 0
		}
	}
	if len(batch) >= p.few && isOver(folder) {
		err := p.write(folder, batch)
		return 0, err
	}
	if twice > 0 {
		err = p.log.disk.syncNames(folder, folder)
	}
	return len(batch), err
}

// removeHalf removes a pack that a crash left without its keys. Nothing was removed for it yet.
func (p *packer) removeHalf(folder, name string) error {
	first, last, ok := records.sessions(name)
	if !ok {
		return nil
	}
	if _, err := os.Lstat(filepath.Join(folder, packName(first, last)+keysSuffix)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	list, err := records.read(filepath.Join(folder, name))
	if err != nil {
		return nil // verifying tells what is wrong with it
	}
	for _, e := range list {
		if _, err := os.Lstat(filepath.Join(folder, e.id()+recordSuffix)); err != nil {
			return nil
		}
	}
	return p.log.disk.remove(filepath.Join(folder, name))
}

// take reads a session that may be packed: a small one, compact, and as it was sealed. Others keep
// their files, so that what is wrong with them is found as before.
func (p *packer) take(path string) (s packed, ok bool, err error) {
	st, err := os.Lstat(path + recordSuffix)
	if errors.Is(err, fs.ErrNotExist) {
		return s, false, nil
	}
	if err != nil || !st.Mode().IsRegular() || st.Size() > packLargest {
		return s, false, err
	}
	l, ok, err := p.log.archive.sealed.find(filepath.Base(path))
	if !ok || err != nil {
		return s, false, err
	}
	s = packed{leaf: l, path: path}
	if s.record, err = os.ReadFile(path + recordSuffix); err != nil {
		return s, false, err
	}
	if _, err := checkRecord(bytes.NewReader(s.record), l); err != nil || !bytes.HasPrefix(s.record, []byte(magicCompact)) {
		return s, false, nil
	}
	_, err = p.log.archive.presentKey(path, l.ID)
	return s, err == nil || errors.Is(err, ErrErased), nil
}

// write packs sessions, and removes the files that they had.
func (p *packer) write(folder string, list []packed) error {
	d := p.log.disk
	name := filepath.Join(folder, packName(list[0].leaf.ID, list[len(list)-1].leaf.ID))
	if _, err := os.Lstat(name + packSuffix); err == nil {
		return fmt.Errorf("%s is there and holds something else: verify the log, which says what, and put it back or move it away", name+packSuffix)
	}
	if err := d.replace(name+packSuffix, encodePack(list), 0o600); err != nil {
		return err
	}
	if err := p.writeKeys(name+keysSuffix, list); err != nil {
		return err
	}
	for _, t := range []table{records, slots} { // before anything is removed
		if _, err := t.read(name + t.suffix); err != nil {
			return err
		}
	}
	if _, err := p.log.archive.cabinet.relist(folder); err != nil {
		return err
	}
	for _, s := range list {
		if p.isStopped() {
			return errClosed
		}
		if err := p.drop(s.path); err != nil {
			return err
		}
	}
	return d.syncNames(folder, folder)
}

// writeKeys writes the file of a pack's keys. One that is destroyed meanwhile is destroyed there.
func (p *packer) writeKeys(file string, list []packed) (err error) {
	unlock, err := p.log.archive.lockKeys()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	w := newSlotWriter(len(list))
	for _, s := range list {
		sealed, err := p.log.archive.cabinet.key(s.path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if len(sealed) != sealedKeyLen && err == nil {
			return fmt.Errorf("the key of session %s has %d bytes, and keys have %d", s.leaf.ID, len(sealed), sealedKeyLen)
		}
		w.add(s.leaf.ID, sealed)
	}
	if _, err := os.Lstat(file); err == nil { // whose pack is gone
		return p.log.disk.replaceSecret(file, w.b)
	}
	return p.log.disk.replace(file, w.b, 0o600)
}

// drop removes a session's own files. They stay where the pack holds something else.
func (p *packer) drop(path string) (err error) {
	c, id := p.log.archive.cabinet, filepath.Base(path)
	same, err := c.isSame(path)
	if err != nil {
		return err
	}
	unlock, err := p.log.archive.lockKeys()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	own, err := os.ReadFile(path + keySuffix)
	hasKey := err == nil
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if hasKey && !isZero(own) {
		sameKey, err := p.isSameKey(path, id, own)
		if err != nil {
			return err
		}
		same = same && sameKey
	}
	if !same {
		p.log.logger.Error("audit: a session has a record or key in a file of its own and another one in its pack; both stay", "session", id)
		return nil
	}
	if hasKey {
		if err := p.log.disk.wipe(path + keySuffix); err != nil {
			return err
		}
	}
	return p.log.disk.remove(path + recordSuffix)
}

// isSameKey reports whether the pack has the key that a session has in a file of its own, or had
// it until the session was erased. The keys are locked.
func (p *packer) isSameKey(path, id string, own []byte) (bool, error) {
	a := p.log.archive
	sealed, err := a.cabinet.packedKey(path)
	if errors.Is(err, fs.ErrNotExist) {
		erased, err := a.erasures()
		return erased[id] != nil, err
	}
	if err != nil || bytes.Equal(own, sealed) {
		return err == nil, err
	}
	one, _, err := a.keys.unseal(own, path+keySuffix, id)
	if err != nil {
		return false, nil
	}
	other, _, err := a.keys.unseal(sealed, path, id)
	return err == nil && bytes.Equal(one, other), nil
}
