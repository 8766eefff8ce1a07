package audit

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/race"
	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb/tlog"
)

// shelf is a Store and its Objects in memory, with versions.
type shelf struct {
	name string

	mu      sync.Mutex
	objects map[string][]shelved // versions, oldest first
	held    map[string]bool
	down    error
	puts    int
	flaky   int // every so many puts one fails after it took place
}

type shelved struct {
	content []byte
	at      time.Time
	deleted bool
}

func newShelf() *shelf {
	return &shelf{name: "shelf", objects: map[string][]shelved{}, held: map[string]bool{}}
}

func (s *shelf) Name() string { return s.name }

func (s *shelf) Put(_ context.Context, o Object) error {
	b := make([]byte, o.Size)
	if _, err := io.ReadFull(io.NewSectionReader(o.Content, 0, o.Size), b); err != nil {
		return err
	}
	if sha256.Sum256(b) != o.SHA256 {
		return errors.New("the sum is another")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil {
		return s.down
	}
	list := s.objects[o.Name]
	if len(list) > 0 && !o.Replace {
		if !bytes.Equal(list[len(list)-1].content, b) {
			return conflict("%s is another", o.Name)
		}
	} else {
		s.objects[o.Name] = append(list, shelved{content: b, at: time.Now()})
	}
	if o.Hold {
		s.held[o.Name] = true
	}
	if s.puts++; s.flaky > 0 && s.puts%s.flaky == 0 {
		return errors.New("the answer got lost")
	}
	return nil
}

func (s *shelf) Hold(_ context.Context, name string, on bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.objects[name]) == 0 {
		return fs.ErrNotExist
	}
	s.held[name] = on
	return s.down
}

func (s *shelf) Open(ctx context.Context, name string) (io.ReadCloser, error) {
	return s.OpenVersion(ctx, name, "")
}

func (s *shelf) OpenVersion(_ context.Context, name, version string) (io.ReadCloser, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := s.objects[name]
	i := len(list) - 1
	if version != "" {
		i, _ = strconv.Atoi(version)
	}
	if i < 0 || i >= len(list) || list[i].deleted {
		return nil, fs.ErrNotExist
	}
	return io.NopCloser(bytes.NewReader(list[i].content)), s.down
}

func (s *shelf) List(_ context.Context, prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for _, name := range s.names() {
			if strings.HasPrefix(name, prefix) && !yield(name, nil) {
				return
			}
		}
	}
}

// names are those of the objects that are there now.
func (s *shelf) names() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var names []string
	for name, list := range s.objects {
		if n := len(list); n > 0 && !list[n-1].deleted {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func (s *shelf) Versions(_ context.Context, name string) (list []ObjectVersion, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, v := range s.objects[name] {
		list = append(list, ObjectVersion{ID: strconv.Itoa(i), At: v.at, Deleted: v.deleted})
	}
	return list, nil
}

func (s *shelf) set(down error) {
	s.mu.Lock()
	s.down = down
	s.mu.Unlock()
}

func (s *shelf) now(name string) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := s.objects[name]
	return list[len(list)-1].content
}

// alter changes an object where it is, without a trace.
func (s *shelf) alter(name string, b []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := s.objects[name]
	list[len(list)-1].content = b
}

func copyTo(t *testing.T, l *Log, s Store) *Follower {
	t.Helper()
	f, err := l.Copy(s, FollowConfig{Every: time.Millisecond})
	require.NoError(t, err)
	return f
}

// copied makes a closed log of n sessions, copied head by head, and its copy.
func copiedLog(t *testing.T, n int) (dir, public string, ids []string, s *shelf) {
	t.Helper()
	dir, s = t.TempDir(), newShelf()
	l := openLog(t, dir, Config{})
	f := copyTo(t, l, s)
	for range n {
		session := newSession(t, l)
		run(session, "SELECT 1")
		ids = append(ids, session.ID)
		session.Close(nil)
		require.Eventually(t, func() bool { return f.Stats().Sessions == int64(len(ids)) }, 30*time.Second, time.Millisecond)
	}
	require.NoError(t, l.Close())
	return dir, l.PublicKey(), ids, s
}

func verifyShelf(t *testing.T, s *shelf, public string, trusted ...[]byte) *Report {
	t.Helper()
	r, err := VerifyCopy(context.Background(), s, public, trusted...)
	require.NoError(t, err)
	return r
}

// What is sealed is copied, and the copy proves it alone; nothing comes twice.
func TestCopy(t *testing.T) {
	dir, public, ids, s := copiedLog(t, 3)
	r := verifyShelf(t, s, public)
	require.Empty(t, r.Problems)
	require.Equal(t, 4, r.Sessions, "and the gateway's own")
	local := verify(t, dir, public)
	require.Equal(t, local.Events, r.Events)
	require.Equal(t, local.Bytes, r.Bytes)
	for _, id := range ids {
		path, err := find(dir, id)
		require.NoError(t, err)
		require.Equal(t, read(t, path+recordSuffix), s.now("sessions/"+id+".rec"))
	}

	puts := s.puts
	l := openLog(t, dir, Config{})
	f := copyTo(t, l, s)
	_, err := l.Copy(s, FollowConfig{})
	require.ErrorContains(t, err, "are named shelf")
	_, err = l.Copy(&shelf{name: "../x"}, FollowConfig{})
	require.Error(t, err)
	require.NoError(t, l.Close())
	require.Equal(t, int64(5), f.Stats().Sessions)
	require.LessOrEqual(t, s.puts-puts, 5, "a record, leaves, hashes and a head")
	require.Empty(t, verifyShelf(t, s, public).Problems)
	_, other, _ := record(t, 1)
	require.NotEmpty(t, verifyShelf(t, s, other).Problems, "by another log's key")
}

// A store that is down holds up no session; when it is back it gets everything,
// and what it had taken although it seemed to fail is not there twice.
func TestCopyCatchesUp(t *testing.T) {
	dir := t.TempDir()
	s := newShelf()
	s.down = errors.New("down")
	l := openLog(t, dir, Config{})
	f, err := l.Copy(s, FollowConfig{Every: time.Millisecond, Drain: time.Millisecond})
	require.NoError(t, err)
	for range 5 {
		session := newSession(t, l)
		require.False(t, run(session, "SELECT 1").Refuses())
		session.Close(nil)
	}
	require.Eventually(t, func() bool { return f.Stats().Failures > 0 && f.Stats().Behind == 5 }, 30*time.Second, time.Millisecond)
	require.False(t, f.Stats().Since.IsZero())
	require.NoError(t, l.Close())
	require.Empty(t, s.objects)

	s.down, s.flaky = nil, 5
	l = openLog(t, dir, Config{})
	f = copyTo(t, l, s)
	require.Eventually(t, func() bool { return f.Stats().Sessions == 6 && f.Stats().Since.IsZero() }, 20*time.Second, time.Millisecond)
	s.mu.Lock()
	s.flaky = 0
	s.mu.Unlock()
	require.NoError(t, l.Close())
	require.Empty(t, verifyShelf(t, s, l.PublicKey()).Problems)
	for name, versions := range s.objects {
		if name != latestName {
			require.Len(t, versions, 1, name)
		}
	}

	// Without the cursor everything is offered again, and nothing changes.
	removeFile(t, filepath.Join(dir, "copies", "shelf.json"))
	before := len(s.objects)
	l = openLog(t, dir, Config{})
	copyTo(t, l, s)
	require.NoError(t, l.Close())
	require.Empty(t, verifyShelf(t, s, l.PublicKey()).Problems)
	require.Less(t, len(s.objects)-before, 6)
}

// Every byte of a copy is flipped in turn, and every object taken away, and each
// is found.
func TestEveryChangeOfACopyIsFound(t *testing.T) {
	_, public, _, s := copiedLog(t, 2)
	require.Empty(t, verifyShelf(t, s, public).Problems)
	stale := map[string]bool{} // bundles and tiles of earlier heads, which nobody reads
	for _, name := range s.names() {
		if strings.HasPrefix(name, "tile/") && !strings.HasSuffix(name, ".p/3") {
			stale[name] = true
		}
	}
	total := 0
	for _, name := range s.names() {
		if stale[name] {
			continue
		}
		whole := s.now(name)
		for i := 0; i < len(whole); i += race.Stride() {
			changed := bytes.Clone(whole)
			changed[i] ^= 1 << (i % 8)
			s.alter(name, changed)
			require.NotEmpty(t, verifyShelf(t, s, public).Problems, "%s: byte %d", name, i)
			total++
		}
		s.alter(name, whole)
		if name == headName(1) || name == headName(2) {
			continue // of an earlier head nothing says that it is to be there
		}
		versions := s.objects[name]
		delete(s.objects, name)
		require.NotEmpty(t, verifyShelf(t, s, public).Problems, "%s is gone", name)
		s.objects[name] = versions
	}
	require.Empty(t, verifyShelf(t, s, public).Problems)
	t.Log(total, "changes found")
}

// What was altered, taken away or replaced is named, and where earlier versions
// are kept, so is the one that is as it was sealed.
func TestCopyTamperingIsLocated(t *testing.T) {
	_, public, ids, s := copiedLog(t, 3)
	name := "sessions/" + ids[1] + ".rec"
	whole := s.now(name)
	second := []byte(strings.ReplaceAll(string(s.now("tile/entries/000.p/4")), ids[1], ids[0]))
	put := func(name string, v shelved) func() {
		before := s.objects[name]
		v.at = time.Now()
		s.objects[name] = append(slices.Clone(before), v)
		return func() { s.objects[name] = before }
	}
	alter := func(name string, b []byte) func() {
		before := s.now(name)
		s.alter(name, b)
		return func() { s.alter(name, before) }
	}
	flipped := bytes.Clone(whole)
	flipped[headerLen+saltLen+frameLen+2] ^= 1
	for _, c := range []struct {
		name string
		do   func() func()
		want []string
	}{
		{"a record altered", func() func() { return alter(name, flipped) }, []string{"session " + ids[1] + ": events 1 to", "were altered"}},
		{"a record chained anew", func() func() { return alter(name, rechain(flipped)) }, []string{"session " + ids[1], "not the one that was sealed"}},
		{"a record cut", func() func() { return alter(name, whole[:len(whole)-9]) }, []string{"session " + ids[1], "cut off"}},
		{"a record replaced", func() func() { return put(name, shelved{content: flipped}) }, []string{"session " + ids[1], "it was replaced at", "is as it was sealed"}},
		{"a record deleted", func() func() { return put(name, shelved{deleted: true}) }, []string{"session " + ids[1], "its record is missing", "it was deleted at", "is as it was sealed"}},
		{"a record by another's", func() func() { return alter(name, s.now("sessions/"+ids[0]+".rec")) }, []string{"the record is that of session " + ids[0]}},
		{"the list altered", func() func() { return alter("tile/entries/000.p/4", second) }, []string{"sealed sessions 2 to 2 are not those of checkpoints/00000000000000000002", "first session 2 by the tile"}},
		{"the list replaced", func() func() { return put("tile/entries/000.p/4", shelved{content: second}) }, []string{"from sealed session 2 on", "is as it was sealed"}},
		{"the list deleted", func() func() { return put("tile/entries/000.p/4", shelved{deleted: true}) }, []string{"tile/entries/000.p/4 is missing; it was deleted"}},
		{"a tile altered", func() func() { return alter("tile/0/000.p/4", make([]byte, 128)) }, []string{"tile/0/000.p/4 is not what was written"}},
		{"a head replaced", func() func() { return put(headName(2), shelved{content: s.now(headName(1))}) }, []string{headName(2), "it is the head of 1 sessions", "is as it was sealed"}},
		{"the newest head gone", func() func() { return put(headName(4), shelved{deleted: true}) }, []string{headName(4) + " is missing; it was deleted at"}},
		{"the latest head set back", func() func() { return alter(latestName, s.now(headName(2))) }, []string{"checkpoint is not what was written: it is the head of 2 sessions"}},
		{"a head of another name", func() func() {
			s.objects["checkpoints/x"] = []shelved{{}}
			return func() { delete(s.objects, "checkpoints/x") }
		}, []string{"is not the name of a head"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			undo := c.do()
			defer func() {
				undo()
				require.Empty(t, verifyShelf(t, s, public).Problems)
			}()
			r := verifyShelf(t, s, public)
			require.Len(t, r.Problems, 1, "%v", r.Problems)
			for _, w := range c.want {
				require.Contains(t, r.Problems[0], w)
			}
		})
	}
}

// A log that was set back, or replaced by another history of its own, is found by
// the gateway when it copies next, and nothing of the copy is lost by it.
func TestCopyOfALogThatWasSetBack(t *testing.T) {
	for _, c := range []struct {
		name   string
		forked int // sessions after it was set back
		cursor bool
		want   string
	}{
		{"set back", 0, false, "it was set back"},
		{"set back, and how far it was copied not", 0, true, "it was set back"},
		{"forked", 3, false, "others are known there"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir, public, _, s := copiedLog(t, 1)
			early := t.TempDir()
			require.NoError(t, os.CopyFS(early, os.DirFS(dir)))
			l := openLog(t, dir, Config{})
			copyTo(t, l, s)
			newSession(t, l).Close(nil)
			require.NoError(t, l.Close())
			head := s.now(latestName)
			before := len(s.objects)
			if c.cursor {
				write(t, filepath.Join(early, "copies", "shelf.json"), read(t, filepath.Join(dir, "copies", "shelf.json")))
			}

			l = openLog(t, early, Config{})
			for range c.forked {
				newSession(t, l).Close(nil)
			}
			require.Eventually(t, func() bool { return l.Head().N == int64(2+c.forked) }, 30*time.Second, time.Millisecond)
			f, err := l.Copy(s, FollowConfig{Drain: time.Millisecond})
			require.NoError(t, err)
			require.Eventually(t, func() bool { return f.Stats().Conflict }, 30*time.Second, time.Millisecond)
			own := l.own.id
			require.NoError(t, l.Close())
			require.Equal(t, head, s.now(latestName))
			require.Len(t, s.objects, before)
			require.Contains(t, eventsOf(t, early, own), `"type":"export.conflict"`)
			require.Contains(t, eventsOf(t, early, own), c.want)
			require.Empty(t, verifyShelf(t, s, public).Problems)

			r, err := Verify(early, public, head)
			require.NoError(t, err)
			require.NotEmpty(t, r.Problems, "by the copy's head")
			local := read(t, filepath.Join(early, "log", "checkpoint"))
			require.NotEmpty(t, append(verifyShelf(t, s, public, local).Problems, r.Problems...))
		})
	}
}

func eventsOf(t *testing.T, dir, id string) string {
	t.Helper()
	a, err := OpenArchive(dir)
	require.NoError(t, err)
	text := ""
	for raw, err := range a.Raw(id) {
		require.NoError(t, err)
		text += string(raw) + "\n"
	}
	return text
}

// A record that is not as it was sealed is not copied, and said to be; the others
// are.
func TestCopyLeavesOutWhatWasAltered(t *testing.T) {
	dir, public, ids := record(t, 3)
	gone, err := find(dir, ids[0])
	require.NoError(t, err)
	removeFile(t, gone+recordSuffix)
	altered, err := find(dir, ids[1])
	require.NoError(t, err)
	b := read(t, altered+recordSuffix)
	b[len(b)/2] ^= 1
	write(t, altered+recordSuffix, b)
	s := newShelf()
	l := openLog(t, dir, Config{})
	f := copyTo(t, l, s)
	require.Eventually(t, func() bool { return f.Stats().Sessions == 4 }, 30*time.Second, time.Millisecond)
	own := l.own.id
	require.NoError(t, l.Close())
	require.Equal(t, uint64(2), f.Stats().LeftOut)
	text := eventsOf(t, dir, own)
	require.Contains(t, text, `"type":"export.left-out"`)
	require.Contains(t, text, ids[0])
	require.Contains(t, text, ids[1])
	r := verifyShelf(t, s, public)
	require.Len(t, r.Problems, 2)
	require.Contains(t, r.Problems[0], ids[0])
	require.Contains(t, r.Problems[1], ids[1])
}

// What a session's key was destroyed of cannot be read from a copy: no key, in
// whatever form, is there.
func TestCopyHoldsNoKeys(t *testing.T) {
	dir, public, ids, s := copiedLog(t, 2)
	var keys [][]byte
	sealed, err := filepath.Glob(filepath.Join(dir, "sessions", "*", "*"+keySuffix))
	require.NoError(t, err)
	require.Len(t, sealed, 3)
	own, err := openKeys(dir, Keys{}, nil)
	require.NoError(t, err)
	for _, f := range sealed {
		key, err := own.load(f, strings.TrimSuffix(filepath.Base(f), keySuffix))
		require.NoError(t, err)
		keys = append(keys, key, read(t, f))
	}
	private, err := os.ReadFile(filepath.Join(dir, "log", "key"))
	require.NoError(t, err)
	keys = append(keys, own.master, bytes.TrimSpace(private), []byte("alice"), []byte("SELECT"))
	for _, name := range s.names() {
		for _, k := range keys {
			require.False(t, bytes.Contains(s.now(name), k), name)
		}
	}

	// The copy put back in the place of a record whose key was destroyed.
	l := openLog(t, dir, Config{})
	require.NoError(t, l.Erase(Action{Session: ids[0], Reason: "asked for"}))
	require.NoError(t, l.Close())
	path, err := find(dir, ids[0])
	require.NoError(t, err)
	write(t, path+recordSuffix, s.now("sessions/"+ids[0]+".rec"))
	a, err := OpenArchive(dir)
	require.NoError(t, err)
	for _, err := range a.Events(ids[0]) {
		require.ErrorIs(t, err, ErrErased)
	}
	require.Empty(t, verifyShelf(t, s, public).Problems, "its proof stays")
}

// What is held here is held there, whenever it came to be.
func TestCopyHolds(t *testing.T) {
	dir := t.TempDir()
	s := newShelf()
	l := openLog(t, dir, Config{})
	first := newSession(t, l)
	first.Close(nil)
	require.Eventually(t, func() bool { return l.Head().N == 1 }, 30*time.Second, time.Millisecond)
	require.NoError(t, l.Hold(Action{Session: first.ID}))
	f := copyTo(t, l, s)
	held := func(id string) bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.held["sessions/"+id+".rec"]
	}
	require.Eventually(t, func() bool { return held(first.ID) }, 30*time.Second, time.Millisecond)
	second := newSession(t, l)
	second.Close(nil)
	require.Eventually(t, func() bool { return f.Stats().Sessions == 2 }, 30*time.Second, time.Millisecond)
	require.False(t, held(second.ID))
	require.NoError(t, l.Hold(Action{Session: second.ID}))
	require.NoError(t, l.Release(Action{Session: first.ID}))
	require.Eventually(t, func() bool { return held(second.ID) && !held(first.ID) }, 30*time.Second, time.Millisecond)
	require.NoError(t, l.Close())

	l = openLog(t, dir, Config{}) // without the copy
	require.NoError(t, l.Release(Action{Session: second.ID}))
	require.NoError(t, l.Close())
	l = openLog(t, dir, Config{})
	copyTo(t, l, s)
	require.Eventually(t, func() bool { return !held(second.ID) }, 30*time.Second, time.Millisecond)
	require.NoError(t, l.Close())
}

// A tree that is hashed as it is read has the root and tiles of tlog's.
func TestTiledTree(t *testing.T) {
	mem := &memoryTree{}
	got := map[string][]byte{}
	tree := &tiledTree{check: func(level int, n int64, data []byte) error {
		got[tileName(strconv.Itoa(level), n, len(data)/tlog.HashSize)] = bytes.Clone(data)
		return nil
	}}
	for i := range 70000 {
		leaf := fmt.Append(nil, i)
		require.NoError(t, mem.add(leaf))
		require.NoError(t, tree.add(leaf))
		if i < 600 || rand.N(1000) == 0 {
			want, err := mem.root(tree.size)
			require.NoError(t, err)
			require.Equal(t, want, tree.root(), i)
		}
	}
	require.NoError(t, tree.flush())
	tiles := tlog.NewTiles(tileHeight, 0, tree.size)
	require.Len(t, got, len(tiles))
	for _, tile := range tiles {
		want, err := tlog.ReadTileData(tile, mem)
		require.NoError(t, err)
		require.Equal(t, want, got[tileName(strconv.Itoa(tile.L), tile.N, tile.W)], "%+v", tile)
	}
	require.Equal(t, "tile/0/x001/234", tileName("0", 1234, 256))
	require.Equal(t, "tile/entries/x001/x234/067.p/7", tileName("entries", 1234067, 7))
}

// A copy of more sessions than a bundle has, in steps and at once.
func TestCopyLarge(t *testing.T) {
	dir, public, _ := recordWith(t, 300, Config{Durability: OS})
	s := newShelf()
	l := openLog(t, dir, Config{Durability: OS})
	f := copyTo(t, l, s)
	require.Eventually(t, func() bool { return f.Stats().Sessions == 301 }, 30*time.Second, time.Millisecond)
	newSession(t, l).Close(nil)
	require.NoError(t, l.Close())
	r := verifyShelf(t, s, public)
	require.Empty(t, r.Problems)
	require.Equal(t, 303, r.Sessions)
	require.Contains(t, s.objects, "tile/entries/000")
	require.Contains(t, s.objects, "tile/1/000.p/1")

	name := s.names()[slices.IndexFunc(s.names(), func(n string) bool { return strings.HasPrefix(n, "sessions/") })]
	delete(s.objects, name)
	require.Len(t, verifyShelf(t, s, public).Problems, 1)
	delete(s.objects, "tile/entries/000")
	r = verifyShelf(t, s, public)
	require.Contains(t, strings.Join(r.Problems, "\n"), "tile/entries/000 is missing")
	require.Zero(t, r.Sessions)
}

// A head that is being copied while its copy is verified is not a finding.
func TestVerifyCopyMeanwhile(t *testing.T) {
	_, public, _, s := copiedLog(t, 2)
	newest := s.now(latestName)
	s.alter(latestName, s.now(headName(2)))
	time.AfterFunc(settleFor/2, func() { s.alter(latestName, newest) })
	require.Empty(t, verifyShelf(t, s, public).Problems)
}

// An error of reading is not a finding.
func TestVerifyCopyUnreachable(t *testing.T) {
	_, public, _, s := copiedLog(t, 1)
	s.set(errors.New("unreachable"))
	_, err := VerifyCopy(context.Background(), s, public)
	require.ErrorContains(t, err, "unreachable")
	r, err := VerifyCopy(context.Background(), newShelf(), public)
	require.NoError(t, err)
	require.Contains(t, strings.Join(r.Problems, "\n"), "no head")
}

// Who verifies is told how far it is, of a log and of a copy.
func TestVerificationProgress(t *testing.T) {
	const sessions = 5
	dir, public, _, s := copiedLog(t, sessions)
	v := Verification{Public: public}
	for name, verify := range map[string]func() (*Report, error){
		"log":  func() (*Report, error) { return v.Log(dir) },
		"copy": func() (*Report, error) { return v.Copy(t.Context(), s) },
	} {
		last, end, told := -1, 0, 0
		v.Progress = func(done, all int) {
			require.GreaterOrEqual(t, done, last, name)
			require.Positive(t, all, name)
			require.LessOrEqual(t, done, all, name)
			last, end, told = done, all, told+1
		}
		r, err := verify()
		require.NoError(t, err)
		require.Empty(t, r.Problems)
		require.Equal(t, end, last, "%s: to the end", name)
		require.GreaterOrEqual(t, end, sessions, name)
		require.GreaterOrEqual(t, told, sessions, name)
	}
}

func FuzzBundle(f *testing.F) {
	f.Add(encodeBundle([]string{"a", "bc"}), 2)
	f.Add([]byte{0xff, 0xff}, 1)
	f.Fuzz(func(t *testing.T, b []byte, n int) {
		if n < 0 || n > bundleSize {
			return
		}
		if lines, err := decodeBundle(b, n); err == nil {
			require.True(t, bytes.Equal(b, encodeBundle(lines)))
		}
	})
}
