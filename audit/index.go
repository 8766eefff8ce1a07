package audit

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/audit/internal/segment"
)

// The index of the sealed sessions lets them be found without reading their records.
// It is made from them and can be made anew at any time: nothing depends on it, and
// nothing in it is believed that is not whole.
//
// Sessions are indexed in the order in which they were sealed, some hundreds a
// segment. A segment is two files, named by the place of its first session:
//
//	N.seg   magic (8), place (8), number of sessions (8), nonce (12), sealed content
//	N.key   its key, sealed as sessions' keys are
//
// The content is AES-256-GCM, with what is before the nonce as additional data,
// of the SHA-256 of the sessions' leaves and the segment. A session that is erased is
// taken out of its segment, which gets a new key: the former is destroyed, and with
// it every state of the segment in which the session was.
type index struct{ *Archive }

const (
	magicIndex     = "SALLYIDX"
	segmentSuffix  = ".seg"
	indexHeaderLen = len(magicIndex) + 16
	maxSegmentFile = 64 << 20

	// A segment that has so many sessions or bytes is not added to.
	segmentSessions = 1024
	segmentBytes    = 1 << 20
)

func (x *index) path(name string) string { return filepath.Join(x.dir, "index", name) }

func segmentName(from int) string { return fmt.Sprintf("%010d", from) }

// lock keeps others from writing until the returned function is called.
func (x *index) lock() (unlock func(), err error) {
	if err := x.disk.mkdir(x.path("")); err != nil {
		return nil, err
	}
	f, err := x.disk.Lock(x.path("lock"), true)
	if err != nil {
		return nil, err
	}
	return func() { f.Close() }, nil
}

// starts lists the places at which segments begin, in order.
func (x *index) starts() ([]int, error) {
	d, err := os.Open(x.path(""))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	var list []int
	for _, n := range names {
		place, ok := strings.CutSuffix(n, segmentSuffix)
		if from, err := strconv.Atoi(place); ok && err == nil && segmentName(from) == place {
			list = append(list, from)
		}
	}
	slices.Sort(list)
	return list, err
}

var errDamaged = errors.New("a segment of the index is damaged, or of other sessions")

// load reads the segment that begins at a place, if it is whole and of the sessions
// that have these leaves.
func (x *index) load(from int, leaves leafLines) (*segment.Segment, error) {
	file := x.path(segmentName(from) + segmentSuffix)
	if st, err := os.Stat(file); err != nil {
		return nil, err
	} else if st.Size() > maxSegmentFile {
		return nil, errDamaged
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	key, err := x.keys.load(x.path(segmentName(from)+keySuffix), segmentName(from))
	if err != nil {
		return nil, errDamaged
	}
	aead, err := newAEAD(key)
	if err != nil {
		return nil, err
	}
	if len(b) < indexHeaderLen+aead.NonceSize() || string(b[:len(magicIndex)]) != magicIndex {
		return nil, errDamaged
	}
	head, nonce, sealed := b[:indexHeaderLen], b[indexHeaderLen:indexHeaderLen+aead.NonceSize()], b[indexHeaderLen+aead.NonceSize():]
	n := binary.BigEndian.Uint64(head[len(magicIndex)+8:])
	if binary.BigEndian.Uint64(head[len(magicIndex):]) != uint64(from) || n > segment.MaxDocs || uint64(from)+n > uint64(leaves.end()) {
		return nil, errDamaged
	}
	plain, err := aead.Open(sealed[:0], nonce, sealed, head)
	if err != nil || len(plain) < sha256.Size || digest(plain) != leaves.digest(from, int(n)) {
		return nil, errDamaged
	}
	s, err := segment.Parse(plain[sha256.Size:])
	if err != nil || s.Len() != int(n) {
		return nil, errDamaged
	}
	return s, nil
}

// leafLines are the lines of the list of sealed sessions, or the last of them.
type leafLines struct {
	first int // the place of the first
	lines []string
}

func readLeafLines(dir string) (leafLines, error) {
	lines, err := readLeaves(filepath.Join(dir, "log", "leaves"))
	return leafLines{lines: lines}, err
}

// end is the place after the last.
func (l leafLines) end() int { return l.first + len(l.lines) }

func (l leafLines) id(place int) string {
	id, _, _ := strings.Cut(l.lines[place-l.first], " ")
	return id
}

// digest is that of n lines.
func (l leafLines) digest(from, n int) (d digest) {
	if from < l.first {
		return d // not known here
	}
	h := sha256.New()
	for _, line := range l.lines[from-l.first:][:n] {
		h.Write([]byte(line))
	}
	h.Sum(d[:0])
	return d
}

// store writes the segment that begins at a place, under the key that it had or
// a new one. The index is locked.
func (x *index) store(from int, leaves leafLines, b *segment.Builder) error {
	name := segmentName(from)
	key, err := x.keys.load(x.path(name+keySuffix), name)
	if err != nil { // there is none, or it does not open
		key = make([]byte, keyLen)
		rand.Read(key)
		sealed, err := x.keys.seal(name, key)
		if err != nil {
			return err
		}
		if err := x.disk.replace(x.path(name+keySuffix), sealed, 0o600); err != nil {
			return err
		}
	}
	aead, err := newAEAD(key)
	if err != nil {
		return err
	}
	head := binary.BigEndian.AppendUint64([]byte(magicIndex), uint64(from))
	head = binary.BigEndian.AppendUint64(head, uint64(b.Len()))
	nonce := make([]byte, aead.NonceSize())
	rand.Read(nonce)
	sum := leaves.digest(from, b.Len())
	plain := b.Append(sum[:])
	return x.disk.replace(x.path(name+segmentSuffix), aead.Seal(append(slices.Clone(head), nonce...), nonce, plain, head), 0o600)
}

// remove destroys a segment. The index is locked.
func (x *index) remove(from int) error {
	err := x.disk.destroy(x.path(segmentName(from) + keySuffix))
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if rerr := x.disk.remove(x.path(segmentName(from) + segmentSuffix)); !errors.Is(rerr, fs.ErrNotExist) {
		err = errors.Join(err, rerr)
	}
	return err
}

// each calls visit with the segments that are whole, in order. Places that are
// before first are in an earlier one. It reads the leaves again where a segment is
// younger than they are, and returns how many are not whole.
func (x *index) each(leaves *leafLines, visit func(from, first int, s *segment.Segment) error) (damaged int, err error) {
	starts, err := x.starts()
	if err != nil {
		return 0, err
	}
	first := 0
	for _, from := range starts {
		s, err := x.load(from, *leaves)
		if err != nil { // it may be being replaced, and have more sessions by now
			if unlock, lerr := x.lock(); lerr == nil {
				if now, rerr := readLeafLines(x.dir); rerr == nil {
					*leaves = now
					s, err = x.load(from, now)
				}
				unlock()
			}
		}
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			damaged++
			continue
		}
		first = max(first, from)
		if err := visit(from, first, s); err != nil {
			return damaged, err
		}
		first = max(first, from+s.Len())
	}
	return damaged, nil
}

// purge takes sessions out of the index, for which erased says true, and what a
// process that was killed left half written.
func (x *index) purge(erased func(id string) bool) error {
	unlock, err := x.lock()
	if err != nil {
		return err
	}
	defer unlock()
	leaves, err := readLeafLines(x.dir)
	if err != nil {
		return err
	}
	starts, err := x.starts()
	err = errors.Join(err, x.sweep())
	for _, from := range starts {
		s, lerr := x.load(from, leaves)
		if lerr != nil { // what cannot be read may hold anything
			err = errors.Join(err, x.remove(from))
			continue
		}
		dirty := false
		for i := range s.Len() {
			dirty = dirty || len(s.Doc(i)) > 0 && erased(leaves.id(from+i))
		}
		if !dirty {
			continue
		}
		b, berr := s.Builder(func(i int) bool { return erased(leaves.id(from + i)) })
		err = errors.Join(err, berr, x.remove(from))
		if berr == nil {
			err = errors.Join(err, x.store(from, leaves, b))
		}
	}
	return err
}

// sweep destroys what replace has left: a key, or what one opens. The index is
// locked.
func (x *index) sweep() error {
	files, err := filepath.Glob(filepath.Join(escape(x.path("")), newPrefix+"*"))
	for _, f := range files {
		err = errors.Join(err, x.disk.destroy(f))
	}
	return err
}

// gap is a run of places that no segment has.
type gap struct{ from, to int }

// gaps lists what is not indexed. A last segment with room is part of the gap after
// it, when there is one.
func (x *index) gaps(leaves *leafLines) ([]gap, error) {
	var list []gap
	next, last := 0, -1
	_, err := x.each(leaves, func(from, first int, s *segment.Segment) error {
		if first > next {
			list = append(list, gap{next, first})
		}
		next, last = first, -1
		if from+s.Len() > first {
			next = from + s.Len()
		}
		if from == first && s.Len() < segmentSessions {
			last = from
		}
		return nil
	})
	if next < leaves.end() {
		if last >= 0 {
			next = last
		}
		list = append(list, gap{next, leaves.end()})
	}
	return list, err
}

// fill indexes what is not. One segment is written at a time, with the index
// locked, so that a session that is erased meanwhile is either not read any more
// or taken out afterwards. Progress may be nil.
func (x *index) fill(ctx context.Context, progress func(done, all int)) error {
	leaves, err := readLeafLines(x.dir)
	if err != nil {
		return err
	}
	list, err := x.gaps(&leaves)
	if err != nil {
		return err
	}
	done, all := 0, 0
	for _, g := range list {
		all += g.to - g.from
	}
	for _, g := range list {
		for g.from < g.to {
			n, err := x.extend(ctx, leaves, g)
			if err != nil {
				return err
			}
			g.from, done = g.from+n, done+n
			if progress != nil {
				progress(done, all)
			}
		}
	}
	return nil
}

// extend writes the segment that begins at g.from: what it has already, and
// as much more of g as goes into it. It returns how many sessions it has.
func (x *index) extend(ctx context.Context, leaves leafLines, g gap) (int, error) {
	unlock, err := x.lock()
	if err != nil {
		return 0, err
	}
	defer unlock()
	b := &segment.Builder{}
	if s, err := x.load(g.from, leaves); err == nil {
		if b, err = s.Builder(func(int) bool { return false }); err != nil {
			return 0, err
		}
	}
	if had := b.Len(); had > 0 && (b.Size() >= segmentBytes || g.from+had >= g.to) {
		return had, nil
	}
	for g.from+b.Len() < g.to && b.Len() < segmentSessions && b.Size() < segmentBytes {
		if err := x.add(ctx, b, leaves.id(g.from+b.Len())); err != nil {
			return 0, err
		}
	}
	return b.Len(), x.store(g.from, leaves, b)
}

// add reads a sealed session's record for the index.
func (x *index) add(ctx context.Context, b *segment.Builder, id string) error {
	f, err := x.facts(ctx, id)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, ErrErased):
		b.Add(nil, func(func(string) bool) {})
	case err != nil: // one record that cannot be read must not keep others from being found
		b.Add([]byte{documentUnreadable}, func(func(string) bool) {})
	default:
		b.Add(f.document(), f.all())
	}
	return nil
}

// facts reads what a session is found by.
func (a *Archive) facts(ctx context.Context, id string) (*facts, error) {
	f := newFacts(id)
	err := f.read(func(yield func([]byte, error) bool) {
		for raw, err := range a.Raw(id) {
			if err == nil {
				err = ctx.Err()
			}
			if !yield(raw, err) {
				return
			}
		}
	})
	return f, err
}

// Reindex makes the index of the sealed sessions anew from their records. It may be
// done while the log is written. Progress may be nil.
func (a *Archive) Reindex(ctx context.Context, progress func(done, all int)) error {
	x := &index{a}
	if err := x.clear(); err != nil {
		return err
	}
	return x.fill(ctx, progress)
}

func (x *index) clear() error {
	unlock, err := x.lock()
	if err != nil {
		return err
	}
	defer unlock()
	starts, err := x.starts()
	for _, from := range starts {
		err = errors.Join(err, x.remove(from))
	}
	return err
}

// rekey seals the segments' keys by the current key.
func (x *index) rekey() error {
	unlock, err := x.lock()
	if err != nil {
		return err
	}
	defer unlock()
	starts, err := x.starts()
	for _, from := range starts {
		file, name := x.path(segmentName(from)+keySuffix), segmentName(from)
		key, current, kerr := x.keys.open(file, name)
		if kerr != nil || current {
			continue // what does not open is found when it is read
		}
		sealed, kerr := x.keys.seal(name, key)
		if kerr == nil {
			kerr = x.disk.replaceSecret(file, sealed)
		}
		err = errors.Join(err, kerr)
	}
	return err
}
