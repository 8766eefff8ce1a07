package audit

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"
)

// batched records one session of n statements in batches of a kilobyte.
func batched(t *testing.T, n int) (dir, public, id string) {
	t.Helper()
	dir = t.TempDir()
	l := openLog(t, dir, Config{})
	l.batchSize = 1 << 10
	s := newSession(t, l)
	for i := range n {
		run(s, "SELECT "+strconv.Itoa(i))
	}
	s.Close(nil)
	require.NoError(t, l.Close())
	return dir, l.PublicKey(), s.ID
}

// A session that ended is kept in batches, and reads as it was written.
func TestCompact(t *testing.T) {
	dir, public, id := batched(t, 50)
	path, err := find(dir, id)
	require.NoError(t, err)
	header, list := frames(t, read(t, path+recordSuffix))
	require.Equal(t, magicCompact, string(header[:len(magic)]))
	require.Greater(t, len(list), 10)
	all := events(t, dir, id)
	require.Len(t, all, 104)
	for i, e := range all {
		require.Equal(t, uint64(i+1), e.Index)
	}
	r := verify(t, dir, public)
	require.Empty(t, r.Problems)
	require.Equal(t, int64(106), r.Events, "with the gateway's own two")
}

func TestCompactTamperingIsLocated(t *testing.T) {
	dir, public, id := batched(t, 50)
	path, err := find(dir, id)
	require.NoError(t, err)
	header, list := frames(t, read(t, path+recordSuffix))
	more := bytes.Clone(list[3])
	more[7]++ // another number of events
	for _, c := range []struct {
		name string
		file []byte
		want string
	}{
		{"removed", join(header, append(list[:2:2], list[3:]...)...), "altered, or what came before it removed or moved"},
		{"swapped", join(header, append([][]byte{list[1], list[0]}, list[2:]...)...), "events 1 to "},
		{"end cut off", join(header, list[:len(list)-1]...), "the record ends after event"},
		{"another count", join(header, append(append(list[:3:3], more), list[4:]...)...), "altered"},
		{"another count, chained anew", rechain(join(header, append(append(list[:3:3], more), list[4:]...)...)), "the record goes on after event 104"},
		{"no events", join(header, append([]byte{0, 0, 0, 16, 0, 0, 0, 0}, make([]byte, 48)...)), "altered"},
	} {
		t.Run(c.name, func(t *testing.T) {
			write(t, path+recordSuffix, c.file)
			r := verify(t, dir, public)
			require.Len(t, r.Problems, 1)
			require.Contains(t, r.Problems[0], "session "+id)
			require.Contains(t, r.Problems[0], c.want)
		})
	}
}

// A record that cannot be made compact is sealed as it was written.
func TestCompactDiskFull(t *testing.T) {
	dir := t.TempDir()
	d := newLab()
	l := openOn(t, d, dir, Config{})
	d.breaks(func(c call) (bool, error) {
		return false, errIf(c.op == "write" && strings.HasPrefix(filepath.Base(c.name), compactPrefix), syscall.ENOSPC)
	})
	s := newSession(t, l)
	run(s, "SELECT 1")
	s.Close(nil)
	require.NoError(t, l.Close())
	r := verify(t, dir, l.PublicKey())
	require.Empty(t, r.Problems)
	require.Empty(t, r.Unproven)
	require.Equal(t, 2, r.Sessions)
	require.Len(t, events(t, dir, s.ID), 6)
	left, err := filepath.Glob(filepath.Join(dir, "sessions", "*", ".*"))
	require.NoError(t, err)
	require.Empty(t, left)
}

// What a gateway that was killed between compacting and sealing left is sealed.
func TestCompactRecovery(t *testing.T) {
	dir := t.TempDir()
	l := openLog(t, dir, Config{})
	empty := read(t, filepath.Join(dir, "log", checkpointName))
	s := newSession(t, l)
	for range 5 {
		run(s, "SELECT 1")
	}
	s.Close(nil)
	require.NoError(t, l.Close())
	id := s.ID
	path, err := find(dir, id)
	require.NoError(t, err)
	half := filepath.Join(filepath.Dir(path), compactPrefix+"1")
	write(t, half, []byte("half"))
	require.NoError(t, os.Truncate(filepath.Join(dir, "log", "leaves"), 0)) // nothing is sealed
	write(t, filepath.Join(dir, "log", checkpointName), empty)
	l = openLog(t, dir, Config{})
	require.NoError(t, l.Close())
	r := verify(t, dir, l.PublicKey())
	require.Empty(t, r.Problems)
	require.Empty(t, r.Unproven)
	require.Len(t, events(t, dir, id), 14, "as it ended")
	_, err = os.Stat(half)
	require.ErrorIs(t, err, fs.ErrNotExist)
}

// TestAttack72 has hostile record files: they are errors, and take no memory.
func TestAttack72HostileRecords(t *testing.T) {
	id, key := newID(), make([]byte, 32)
	packer, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	require.NoError(t, err)
	bomb := packer.EncodeAll(make([]byte, 256<<20), nil)
	require.Less(t, len(bomb), 64<<10)
	noSize := append([]byte{0x28, 0xb5, 0x2f, 0xfd, 0x80, 0x58, 0xff, 0xff, 0xff, 0xff}, 0, 0) // declares 4 GiB
	file := func(batch []byte, count uint32) []byte {
		var b bytes.Buffer
		c, err := newCompactWriter(&b, id, key, packer, batchSize)
		require.NoError(t, err)
		var n [12]byte
		frame := binary.BigEndian.AppendUint32(nil, uint32(len(batch)+sealLen))
		frame = binary.BigEndian.AppendUint32(frame, count)
		frame = c.aead.Seal(frame, nonce(&n, 0, 1), batch, nil)
		chain := next(c.chain, frame)
		b.Write(append(frame, chain[:]...))
		return b.Bytes()
	}
	line := packer.EncodeAll([]byte("{}\n"), nil)
	for _, c := range []struct {
		name string
		file []byte
	}{
		{"bomb", file(bomb, 1)},
		{"declares 4 GiB", file(noSize, 1)},
		{"not compressed", file([]byte("{}\n"), 1)},
		{"4294967295 events", file(line, 1<<32-1)},
		{"fewer events than said", file(line, 2)},
		{"no events", file(line, 0)},
		{"length 0xffffffff", append(file(line, 1), 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 1)},
		{"another magic", append([]byte("SALLYXXX"), make([]byte, 100)...)},
		{"cut in the salt", append([]byte(magicCompact), make([]byte, idLen+3)...)},
		{"empty", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			err := readEvents(bytes.NewReader(c.file), key, id, nil, func([]byte) bool { return true })
			runtime.ReadMemStats(&after)
			require.Error(t, err)
			require.False(t, errors.Is(err, errTorn))
			require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(80<<20))
		})
	}
	require.NoError(t, readEvents(bytes.NewReader(file(line, 1)), key, id, nil, func([]byte) bool { return true }))
}

// BenchmarkSize says how much a session of ten statements takes.
func BenchmarkSize(b *testing.B) {
	for name, c := range map[string]Config{"compact": {}, "as-written": {Uncompressed: true}} {
		b.Run(name, func(b *testing.B) {
			c.Durability = OS
			dir := b.TempDir()
			l := openLog(b, dir, c)
			for b.Loop() {
				s := newSession(b, l)
				for i := range 10 {
					run(s, "SELECT abalance FROM pgbench_accounts WHERE aid = "+strconv.Itoa(4711*i))
				}
				s.Close(nil)
			}
			require.NoError(b, l.Close())
			total := int64(0)
			list, err := filepath.Glob(filepath.Join(dir, "sessions", "*", "*"+recordSuffix))
			require.NoError(b, err)
			for _, f := range list {
				st, err := os.Stat(f)
				require.NoError(b, err)
				total += st.Size()
			}
			b.ReportMetric(float64(total)/float64(len(list)-1), "B/session")
		})
	}
}

// A small session takes two files of a block each until it is packed, and then what docs/audit.md
// tells who plans a disk.
func TestSmallSessionOnDisk(t *testing.T) {
	const sessions = 64
	dir := t.TempDir()
	l := openLog(t, dir, Config{Unpacked: true})
	for range sessions {
		s := newSession(t, l)
		for range 10 {
			run(s, "SELECT * FROM orders WHERE id = 1")
		}
		s.Close(nil)
	}
	require.NoError(t, l.Close())
	sizes := func() (files int, bytes int64) {
		list, err := filepath.Glob(filepath.Join(dir, "sessions", "*", "*"))
		require.NoError(t, err)
		for _, file := range list {
			st, err := os.Stat(file)
			require.NoError(t, err)
			files, bytes = files+1, bytes+(st.Size()+4095)/4096*4096
		}
		return files, bytes
	}
	files, bytes := sizes()
	require.Equal(t, 2*(sessions+1), files)
	require.Equal(t, int64(2*4096*(sessions+1)), bytes)
	packAll(t, dir, sessions+1)
	files, bytes = sizes()
	require.Equal(t, 2+2, files, "a pack, its keys, and what the gateway has recorded since")
	require.Less(t, (bytes-2*4096)/(sessions+1), int64(1100))
}
