package audit

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
)

// A pack holds the records of small sealed sessions that lie in one folder, and a second
// file their keys. Both are named by the first and the last of the sessions, and list them in the order of
// their identifiers. All numbers are big-endian.
//
//	FIRST-LAST.pack
//	  header   magic (8), number of sessions (4)
//	  entry    identifier (26), where its record begins (8), length of the record (4)
//	  sum      SHA-256 of what is before it
//	  records  one after the other, as they were in files of their own
//	FIRST-LAST.keys
//	  header   magic (8), number of sessions (4), zeros to 128
//	  slot     identifier (26), sealed key (60), zeros to 128
//
// A pack never changes. It proves nothing: a record is proven by its leaf, wherever it lies. A
// slot lies in one sector of the disk, and destroying a key overwrites its slot with zeros in place.

const (
	packSuffix = ".pack"
	keysSuffix = ".keys"

	maxPacked    = 1024 // sessions in a pack
	slotLen      = 128
	sealedKeyLen = 12 + keyLen + sealLen
)

// table is one of both files: where in it is what.
type table struct {
	suffix string
	magic  string
	header int64 // bytes before the first entry
	entry  int64 // bytes of an entry
}

var (
	records = table{packSuffix, "SALLYPCK", 12, idLen + 12}
	slots   = table{keysSuffix, "SALLYKEY", slotLen, slotLen}
)

// entry is what a table has of a session.
type entry struct {
	at int64 // where it begins
	b  []byte
}

func (e entry) id() string     { return string(e.b[:idLen]) }
func (e entry) offset() int64  { return int64(binary.BigEndian.Uint64(e.b[idLen:])) }
func (e entry) size() int64    { return int64(binary.BigEndian.Uint32(e.b[idLen+8:])) }
func (e entry) key() []byte    { return e.b[idLen : idLen+sealedKeyLen] }
func (e entry) isErased() bool { return isZero(e.key()) }

// packError says what is wrong with a pack, or with its file of keys.
type packError struct{ err error }

func (e *packError) Error() string { return e.err.Error() }

func damagedPack(file, format string, args ...any) error {
	return &packError{fmt.Errorf("%s: %s: restore the file from a backup", file, fmt.Sprintf(format, args...))}
}

// packName is the name of a pack of sessions, without its suffix.
func packName(first, last string) string { return first + "-" + last }

// sessions returns the first and the last session of a table, by its file's name.
func (t table) sessions(name string) (first, last string, ok bool) {
	name, ok = strings.CutSuffix(name, t.suffix)
	first, last, _ = strings.Cut(name, "-")
	return first, last, ok && len(first) == idLen && len(last) == idLen && isID(first) && isID(last)
}

// seekIn finds a session in those of the named files of a folder that are such tables, by seek.
func (t table) seekIn(folder string, names []string, id string, seek func(f *os.File, id string) (entry, error)) (*os.File, entry, error) {
	var damaged error
	for _, name := range names {
		first, last, ok := t.sessions(name)
		if !ok || id < first || id > last {
			continue
		}
		f, err := os.Open(filepath.Join(folder, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, entry{}, err
		}
		e, err := seek(f, id)
		if err == nil {
			return f, e, nil
		}
		f.Close()
		if !errors.Is(err, fs.ErrNotExist) {
			damaged = err
		}
	}
	if damaged == nil {
		damaged = fmt.Errorf("session %s: %w", id, fs.ErrNotExist)
	}
	return nil, entry{}, damaged
}

// count reads how many sessions a table has.
func (t table) count(f *os.File) (int, error) {
	h := make([]byte, 12)
	if _, err := f.ReadAt(h, 0); err != nil {
		return 0, t.unread(f.Name(), err)
	}
	n := binary.BigEndian.Uint32(h[8:])
	if string(h[:8]) != t.magic || n == 0 || n > maxPacked {
		return 0, damagedPack(f.Name(), "it begins in another way than what it is named")
	}
	return int(n), nil
}

// at reads the entry of the i-th session.
func (t table) at(f *os.File, i int) (entry, error) {
	e := entry{t.header + int64(i)*t.entry, make([]byte, t.entry)}
	if _, err := f.ReadAt(e.b, e.at); err != nil {
		return entry{}, t.unread(f.Name(), err)
	}
	return e, nil
}

func (t table) unread(file string, err error) error {
	if errors.Is(err, io.EOF) {
		return damagedPack(file, "it was cut off where it lists its sessions")
	}
	return err
}

// seek finds a session in an open table.
func (t table) seek(f *os.File, id string) (entry, error) {
	n, err := t.count(f)
	if err != nil {
		return entry{}, err
	}
	var failed error
	i := sort.Search(n, func(i int) bool {
		e, err := t.at(f, i)
		if err != nil {
			failed = err
			return true
		}
		return e.id() >= id
	})
	if failed == nil && i < n {
		e, err := t.at(f, i)
		if err != nil || e.id() == id {
			return e, err
		}
	}
	if failed == nil {
		failed = fmt.Errorf("session %s: %w", id, fs.ErrNotExist)
	}
	return entry{}, failed
}

// read reads all entries of a table, and checks that it is whole in itself and has the sessions
// that its name says.
func (t table) read(file string) ([]entry, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return t.readFrom(f)
}

func (t table) readFrom(f *os.File) ([]entry, error) {
	n, err := t.count(f)
	if err != nil {
		return nil, err
	}
	b := make([]byte, t.header+int64(n)*t.entry)
	if _, err := f.ReadAt(b, 0); err != nil {
		return nil, t.unread(f.Name(), err)
	}
	list := make([]entry, n)
	for i := range list {
		at := t.header + int64(i)*t.entry
		list[i] = entry{at, b[at : at+t.entry]}
	}
	return list, t.check(f, b, list)
}

// check checks what was read of a table.
func (t table) check(f *os.File, b []byte, list []entry) error {
	for i, e := range list {
		if !isID(e.id()) || i > 0 && e.id() <= list[i-1].id() {
			return damagedPack(f.Name(), "its list of sessions was altered, at session %d of %d", i+1, len(list))
		}
	}
	st, err := f.Stat()
	if err != nil {
		return err
	}
	end := int64(len(b))
	if t == records {
		sum := make([]byte, sha256.Size)
		if _, err := f.ReadAt(sum, end); err != nil {
			return t.unread(f.Name(), err)
		}
		if sha256.Sum256(b) != digest(sum) {
			return damagedPack(f.Name(), "its list of sessions was altered")
		}
		last := list[len(list)-1]
		end = last.offset() + last.size()
	}
	first, last, _ := t.sessions(filepath.Base(f.Name()))
	has := packName(list[0].id(), list[len(list)-1].id())
	switch {
	case has != packName(first, last):
		return damagedPack(f.Name(), "it is %s%s: it was renamed, or another was put in its place", has, t.suffix)
	case st.Size() < end:
		return damagedPack(f.Name(), "it was cut off: it has %d bytes of %d", st.Size(), end)
	case st.Size() > end:
		return damagedPack(f.Name(), "it goes on after its last session: it has %d bytes, and had %d", st.Size(), end)
	}
	return nil
}

// packed is a session that goes into a pack.
type packed struct {
	leaf   leaf
	path   string
	record []byte
}

// encodePack writes a pack. The sessions are in the order of their identifiers.
func encodePack(list []packed) []byte {
	b := binary.BigEndian.AppendUint32([]byte(records.magic), uint32(len(list)))
	at := records.header + int64(len(list))*records.entry + sha256.Size
	for _, p := range list {
		b = append(b, p.leaf.ID...)
		b = binary.BigEndian.AppendUint64(b, uint64(at))
		b = binary.BigEndian.AppendUint32(b, uint32(len(p.record)))
		at += int64(len(p.record))
	}
	sum := sha256.Sum256(b)
	b = append(b, sum[:]...)
	for _, p := range list {
		b = append(b, p.record...)
	}
	return b
}

// slotWriter writes a file of keys.
type slotWriter struct{ b []byte }

func newSlotWriter(n int) *slotWriter {
	b := binary.BigEndian.AppendUint32([]byte(slots.magic), uint32(n))
	return &slotWriter{append(b, make([]byte, slotLen-len(b))...)}
}

// add adds a session's key; nil is one that was destroyed.
func (w *slotWriter) add(id string, sealed []byte) {
	slot := make([]byte, slotLen)
	copy(slot, id)
	copy(slot[idLen:], sealed)
	w.b = append(w.b, slot...)
}
