package audit

import (
	"errors"
	"io"
	"os"
	"path/filepath"
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
	files, err := filepath.Glob(filepath.Join(escape(l.dir), "sessions", "*", "*"+recordSuffix))
	if err != nil {
		return err
	}
	for _, file := range files {
		id := strings.TrimSuffix(filepath.Base(file), recordSuffix)
		if sealed[id] {
			continue
		}
		if err := l.recoverSession(file, id); err != nil {
			// One record that cannot be read must not keep the gateway from starting,
			// nor go unsaid.
			l.logger.Error("audit: a session left open cannot be sealed", "session", id, "err", err)
		}
	}
	return nil
}

func (l *Log) recoverSession(file, id string) error {
	f, err := os.OpenFile(file, os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	if st.Size() < int64(headerLen) { // created, and nothing was acknowledged
		return errors.Join(os.Remove(file), os.Remove(strings.TrimSuffix(file, recordSuffix)+keySuffix))
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
		_, err := l.tree.seal(leaf{ID: id, Events: r.index, Chain: r.chain})
		return err
	}
	cut := int64(0)
	switch {
	case errors.Is(err, errTorn):
		cut = st.Size() - r.bytes
	case !errors.Is(err, io.EOF):
		return err
	}
	key, err := l.keys.load(strings.TrimSuffix(file, recordSuffix)+keySuffix, id)
	if err != nil {
		return err
	}
	aead, err := newAEAD(key)
	if err != nil {
		return err
	}
	if err := f.Truncate(r.bytes); err != nil {
		return err
	}
	if _, err := f.Seek(r.bytes, io.SeekStart); err != nil {
		return err
	}
	s := newStream(l, id, f, aead)
	s.chain, s.index, s.generation, s.offset = r.chain, r.index, highest+1, r.bytes
	err = s.event(time.Now(), SessionRecovered, synced, func(b []byte) []byte { return num(b, "in", uint64(cut)) })
	return errors.Join(err, s.close())
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
