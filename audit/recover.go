package audit

import (
	"errors"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"
)

// recover seals the sessions that a stopped process left open. A frame that was
// not written whole is cut off: nothing that was acknowledged is in it.
func (l *Log) recover() error {
	sealed, err := l.tree.ids()
	if err != nil {
		return err
	}
	there, err := l.archive.cabinet.list()
	if err != nil {
		return err
	}
	for _, id := range slices.Sorted(maps.Keys(there)) {
		if sealed[id] || there[id]&recordThere == 0 {
			continue
		}
		if err := l.recoverSession(id); err != nil {
			// One record that cannot be read must not keep the gateway from starting,
			// nor go unsaid.
			l.logger.Error("audit: a session left open cannot be sealed", "session", id, "err", err)
		}
		l.finishErasures(id)
	}
	return nil
}

func (l *Log) recoverSession(id string) error {
	path, f, err := l.archive.cabinet.record(id)
	if err != nil {
		return err
	}
	defer f.Close()
	if f.Size() < int64(headerLen) { // created, and nothing was acknowledged
		return newStream(l, path, nil, nil).discard()
	}
	r, err := newReader(f)
	if err != nil {
		return err
	}
	if r.id != id {
		return errors.New("the file's name is another session's")
	}
	highest := uint32(0)
	for {
		_, err = r.next()
		if err != nil {
			break
		}
		highest = max(highest, r.gen)
	}
	if r.salt != nil { // compact, so that it had ended, and was on the disk before it got its name
		if !errors.Is(err, io.EOF) {
			return err
		}
		l.ended(&ending{leaf: leaf{ID: id, Events: r.index, Chain: r.chain}, path: path, ready: true})
		return nil
	}
	if !errors.Is(err, io.EOF) && !errors.Is(err, errTorn) && !endsUnwritten(f, f.Size()) {
		return err
	}
	cut := f.Size() - r.bytes
	key, err := l.archive.presentKey(path, id)
	if err != nil {
		return err
	}
	aead, err := newAEAD(key)
	if err != nil {
		return err
	}
	w, err := l.disk.open(path + recordSuffix)
	if err != nil {
		return err
	}
	if err := w.Truncate(r.bytes); err != nil {
		return errors.Join(err, w.Close())
	}
	s := newStream(l, path, w, aead)
	s.chain, s.index, s.generation, s.offset = r.chain, r.index, highest+1, r.bytes
	if err := s.end(time.Now(), SessionRecovered, func(b []byte) []byte { return num(b, "in", uint64(cut)) }); err != nil {
		return err
	}
	return s.finish() // there can be more sessions than files that a process may have open
}

// endsUnwritten reports whether a file ends with zeros in the place of a frame's chain: it
// was made longer, and the machine lost power before what was to be there was written.
func endsUnwritten(f io.ReaderAt, size int64) bool {
	var end digest
	_, err := f.ReadAt(end[:], size-int64(len(end)))
	return err == nil && end == digest{}
}

// ids are the sessions that are sealed.
func (t *tree) ids() (map[string]bool, error) {
	b, err := os.ReadFile(t.path("leaves"))
	if err != nil {
		return nil, err
	}
	ids := make(map[string]bool)
	for line := range strings.Lines(string(b)) {
		if id, _, ok := strings.Cut(line, " "); ok {
			ids[id] = true
		}
	}
	return ids, nil
}
