package audit

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/race"
	"github.com/stretchr/testify/require"
)

// Every byte of a small log is flipped in turn, and every change is found.
func TestEveryFlippedByteIsFound(t *testing.T) {
	for name, c := range map[string]Config{"compact": {}, "as written": {Uncompressed: true}} {
		t.Run(name, func(t *testing.T) { everyFlippedByte(t, c) })
	}
}

func everyFlippedByte(t *testing.T, c Config) {
	dir, public, _ := recordWith(t, 1, c)
	require.Empty(t, verify(t, dir, public).Problems)
	total := 0
	for _, name := range files(t, dir) {
		whole := read(t, name)
		for i := 0; i < len(whole); i += race.Stride() {
			for _, bit := range []byte{1, 0x80} {
				changed := bytes.Clone(whole)
				changed[i] ^= bit
				write(t, name, changed)
				r, err := Verify(dir, public, nil)
				if err == nil {
					require.NotEmpty(t, r.Problems, "%s: byte %d ^ %#x", filepath.Base(name), i, bit)
				}
				total++
			}
		}
		write(t, name, whole)
	}
	require.Empty(t, verify(t, dir, public).Problems)
	t.Log(total, "changes found")
}

// Every way of cutting a file short is found.
func TestEveryTruncationIsFound(t *testing.T) {
	dir, public, _ := record(t, 1)
	for _, name := range files(t, dir) {
		whole := read(t, name)
		for n := range whole {
			write(t, name, whole[:n])
			r, err := Verify(dir, public, nil)
			require.True(t, err != nil || len(r.Problems) > 0, "%s cut to %d", filepath.Base(name), n)
		}
		write(t, name, whole)
	}
}

// frames cuts a record into its header and frames.
func frames(t *testing.T, b []byte) (header []byte, list [][]byte) {
	t.Helper()
	r, err := newReader(bytes.NewReader(b))
	require.NoError(t, err)
	at := r.bytes
	header = b[:at]
	for {
		if _, err := r.next(); err != nil {
			return header, list
		}
		list = append(list, b[at:r.bytes])
		at = r.bytes
	}
}

func join(header []byte, list ...[]byte) []byte {
	return append(bytes.Clone(header), bytes.Join(list, nil)...)
}

// rechain makes the chain of changed frames whole again, as one who knows the
// format can.
func rechain(b []byte) []byte {
	out := bytes.Clone(b)
	at := headerLen
	if string(b[:len(magic)]) == magicCompact {
		at += saltLen
	}
	chain := sum(out[:at])
	for at+frameLen <= len(out) {
		n := int(uint32(out[at])<<24 | uint32(out[at+1])<<16 | uint32(out[at+2])<<8 | uint32(out[at+3]))
		body := out[at : at+frameLen+n]
		chain = next(chain, body)
		copy(out[at+len(body):], chain[:])
		at += len(body) + len(chain)
	}
	return out
}

func TestTamperingIsLocated(t *testing.T) {
	dir, public, ids := recordWith(t, 2, Config{Uncompressed: true})
	path, err := find(dir, ids[0])
	require.NoError(t, err)
	name := path + recordSuffix
	whole := read(t, name)
	header, list := frames(t, whole)
	n := len(list)
	require.Greater(t, n, 4)
	other, err := find(dir, ids[1])
	require.NoError(t, err)
	flipped := bytes.Clone(list[2])
	flipped[frameLen+3] ^= 1
	for _, c := range []struct {
		name string
		file []byte
		want string
	}{
		{"flipped", join(header, append(append(list[:2:2], flipped), list[3:]...)...), "event 3 was altered"},
		{"removed", join(header, append(list[:2:2], list[3:]...)...), "event 3 was altered, or what came before it removed or moved"},
		{"swapped", join(header, append([][]byte{list[1], list[0]}, list[2:]...)...), "event 1 was altered"},
		{"repeated", join(header, append(list[:2:2], list[1:]...)...), "event 3 was altered"},
		{"end cut off", join(header, list[:n-1]...), "the record ends after event"},
		{"cut in an event", whole[:len(whole)-5], "the record is cut off in event"},
		{"appended", join(header, append(list[:n:n], list[n-1])...), "was altered"},
		{"removed and chained anew", rechain(join(header, append(list[:2:2], list[3:]...)...)), "the record ends after event"},
		{"flipped and chained anew", rechain(join(header, append(append(list[:2:2], flipped), list[3:]...)...)), "is not the one that was sealed"},
		{"replaced by another's", read(t, other+recordSuffix), "the record is that of session " + ids[1]},
		{"huge length", join(header, []byte{0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0}), "a length of"},
		{"emptied", nil, "no record"},
	} {
		t.Run(c.name, func(t *testing.T) {
			write(t, name, c.file)
			r := verify(t, dir, public)
			require.Len(t, r.Problems, 1)
			require.Contains(t, r.Problems[0], "session "+ids[0])
			require.Contains(t, r.Problems[0], c.want)
		})
	}
	require.NoError(t, os.Remove(name))
	require.Contains(t, verify(t, dir, public).Problems[0], "its record is missing")
}

func TestListTampering(t *testing.T) {
	dir, public, _ := record(t, 3)
	name := filepath.Join(dir, "log", "leaves")
	whole := string(read(t, name))
	lines := strings.SplitAfter(whole, "\n")
	for label, changed := range map[string]string{
		"swapped": lines[1] + lines[0] + lines[2] + lines[3],
		"removed": lines[0] + lines[2] + lines[3],
		"altered": lines[0] + strings.Replace(lines[1], " ", " 1", 1) + lines[2] + lines[3],
	} {
		write(t, name, []byte(changed))
		r := verify(t, dir, public)
		require.NotEmpty(t, r.Problems, label)
	}
	write(t, name, []byte(whole))
	require.Empty(t, verify(t, dir, public).Problems)

	// Another log's key does not verify.
	_, public2, _ := record(t, 1)
	require.NotEmpty(t, verify(t, dir, public2).Problems)

	// Nor does the log open when what was sealed has changed.
	write(t, name, []byte(lines[0]+lines[1]))
	_, err := Open(dir, quiet())
	require.ErrorContains(t, err, "were removed")
	write(t, name, []byte(lines[1]+lines[0]+lines[2]+lines[3]))
	_, err = Open(dir, quiet())
	require.ErrorContains(t, err, "were altered")
}

// A log that was set back to an earlier state of its own is found with a
// checkpoint that was kept elsewhere, and only then.
func TestRollback(t *testing.T) {
	dir, public, _ := record(t, 1)
	log := filepath.Join(dir, "log")
	early := map[string][]byte{}
	for _, f := range []string{"leaves", "hashes", "checkpoint"} {
		early[f] = read(t, filepath.Join(log, f))
	}
	l := openLog(t, dir, Config{})
	newSession(t, l).Close(nil)
	require.NoError(t, l.Close())
	late := read(t, filepath.Join(log, "checkpoint"))

	r, err := Verify(dir, public, early["checkpoint"])
	require.NoError(t, err)
	require.Empty(t, r.Problems, "a log that grew continues its earlier checkpoint")
	for f, b := range early {
		write(t, filepath.Join(log, f), b)
	}
	require.Empty(t, verify(t, dir, public).Problems)
	require.NotEmpty(t, verify(t, dir, public).Unproven)
	r, err = Verify(dir, public, late)
	require.NoError(t, err)
	require.Contains(t, strings.Join(r.Problems, "\n"), "rolled back")
}

func TestBundle(t *testing.T) {
	dir, public, ids := record(t, 5)
	a, err := OpenArchive(dir)
	require.NoError(t, err)
	b, err := a.Export(ids[2])
	require.NoError(t, err)
	text, err := json.Marshal(b)
	require.NoError(t, err)

	got, err := ReadBundle(bytes.NewReader(text))
	require.NoError(t, err)
	n, err := got.Verify(public)
	require.NoError(t, err)
	count := uint64(0)
	for _, err := range got.Events() {
		require.NoError(t, err)
		count++
	}
	require.Equal(t, n, count)
	require.Equal(t, public, got.Public)
	r, err := got.Open()
	require.NoError(t, err)
	var opened, raw []*Event
	for e, err := range r.From(time.Time{}, 0) {
		require.NoError(t, err)
		opened = append(opened, e)
	}
	for line, err := range got.Raw() {
		require.NoError(t, err)
		e := &Event{}
		require.NoError(t, json.Unmarshal(line, e))
		raw = append(raw, e)
	}
	require.NoError(t, r.Close())
	require.Equal(t, events(t, dir, ids[2]), opened)
	require.Equal(t, opened, raw)

	_, other, _ := record(t, 1)
	_, err = got.Verify(other)
	require.Error(t, err, "another log's key")
	for name, change := range map[string]func(b *Bundle){
		"record":   func(b *Bundle) { b.Record[len(b.Record)/2] ^= 1 },
		"rechain":  func(b *Bundle) { b.Record[headerLen+saltLen+frameLen+2] ^= 1; b.Record = rechain(b.Record) },
		"leaf":     func(b *Bundle) { b.Leaf = strings.Replace(b.Leaf, " ", " 1", 1) },
		"session":  func(b *Bundle) { b.Session = ids[0] },
		"index":    func(b *Bundle) { b.Index++ },
		"far":      func(b *Bundle) { b.Index = 1 << 40 },
		"negative": func(b *Bundle) { b.Index = -1 },
		"proof":    func(b *Bundle) { b.Proof[0][0] ^= 1 },
		"no proof": func(b *Bundle) { b.Proof = nil },
		"head":     func(b *Bundle) { b.Checkpoint = strings.Replace(b.Checkpoint, "\n", "\n1", 1) },
	} {
		c, err := ReadBundle(bytes.NewReader(text))
		require.NoError(t, err)
		change(c)
		_, err = c.Verify(public)
		require.Error(t, err, name)
	}
	got.Key = nil
	for _, err := range got.Events() {
		require.ErrorIs(t, err, ErrErased)
	}
	_, err = got.Open()
	require.ErrorIs(t, err, ErrErased)
}

func FuzzRecord(f *testing.F) {
	dir, _, ids := record(f, 1)
	path, err := find(dir, ids[0])
	require.NoError(f, err)
	f.Add(read(f, path+recordSuffix))
	f.Add(append([]byte(magic), make([]byte, 200)...))
	f.Add(append([]byte(magicCompact), make([]byte, 200)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := newReader(bytes.NewReader(b))
		for err == nil {
			_, err = r.next()
		}
		unpack(nil, b)
	})
}

func FuzzCheckpoint(f *testing.F) {
	dir, public, _ := record(f, 1)
	f.Add(read(f, filepath.Join(dir, "log", "checkpoint")))
	f.Fuzz(func(t *testing.T, b []byte) {
		openCheckpoint(b, public)
		parseLeaf(string(b))
		ReadBundle(bytes.NewReader(b))
	})
}
