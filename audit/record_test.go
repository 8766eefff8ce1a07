package audit

import (
	"bytes"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
)

// terminalOf records a terminal that shows lines, and returns the session.
func terminalOf(t testing.TB, dir string, c Config, lines int, line func(i int) []byte) string {
	t.Helper()
	c.Recordings = func(*proxy.Session) Recording { return Recording{Terminal: Full, Limit: 1 << 40} }
	l := openLog(t, dir, c)
	g := &proxy.Gateway{Interceptors: []proxy.Interceptor{permit{}, l}, Log: quiet().Log}
	s, connect, err := g.Open(t.Context(), proxy.OpenRequest{
		Identity: &proxy.Identity{Subject: "alice"}, Target: proxy.Target{Resource: &proxy.Resource{Name: "vm"}}, Protocol: "ssh",
	})
	require.NoError(t, err)
	s.Done(connect, &proxy.Outcome{})
	op := &proxy.Exec{Meta: proxy.Meta{Kind: proxy.KindShell}, Terminal: true}
	require.False(t, s.Ask(t.Context(), op).Refuses())
	flow, err := s.Flow(op, &proxy.Shape{Kind: proxy.ShapeStream, Media: "terminal", Width: 80, Height: 24})
	require.NoError(t, err)
	var out []byte
	for i := range lines {
		out, err = flow.Bytes(out[:0], line(i))
		require.NoError(t, err)
	}
	s.Done(op, &proxy.Outcome{})
	s.Close(nil)
	require.NoError(t, l.Close())
	return s.ID
}

// From any place the record reads as it does from its beginning.
func TestRecordFromAnywhere(t *testing.T) {
	for _, uncompressed := range []bool{false, true} {
		t.Run(fmt.Sprint("uncompressed ", uncompressed), func(t *testing.T) {
			dir := t.TempDir()
			id := terminalOf(t, dir, Config{Uncompressed: uncompressed}, 3000, func(i int) []byte { return fmt.Appendf(nil, "line %d %0400d\r\n", i, i) })
			all := events(t, dir, id)
			a, err := OpenArchive(dir)
			require.NoError(t, err)
			r, err := a.Open(id)
			require.NoError(t, err)
			defer r.Close()
			require.Greater(t, len(r.frames), 3)
			begin, end, err := r.Span()
			require.NoError(t, err)
			require.Equal(t, []time.Time{all[0].When(), all[len(all)-1].When()}, []time.Time{begin, end})
			for _, i := range []int{0, 1, 7, len(all) / 3, len(all) - 1} {
				for _, before := range []int64{0, 5000} {
					var got []*Event
					for e, err := range r.From(all[i].When(), before) {
						require.NoError(t, err)
						got = append(got, e)
					}
					require.False(t, got[0].When().After(all[i].When()))
					require.Equal(t, all[len(all)-len(got):], got)
					if before > 0 && i == len(all)-1 {
						require.Greater(t, len(got), 5)
					}
				}
			}
		})
	}
}

// A record that was altered does not read from any place as if it were whole:
// what opens is what was sealed at its place.
func TestAttack67RecordFromAnywhere(t *testing.T) {
	dir := t.TempDir()
	id := terminalOf(t, dir, Config{}, 3000, func(i int) []byte { return fmt.Appendf(nil, "line %d %0400d\r\n", i, i) })
	path, err := find(dir, id)
	require.NoError(t, err)
	whole := read(t, path+recordSuffix)
	a, err := OpenArchive(dir)
	require.NoError(t, err)
	r, err := a.Open(id)
	require.NoError(t, err)
	frames := r.frames
	_, end, err := r.Span()
	require.NoError(t, err)
	require.NoError(t, r.Close())
	i := len(frames) - 2
	swapped := bytes.Clone(whole[:frames[i].offset])
	swapped = append(swapped, whole[frames[i+1].offset:]...)
	swapped = append(swapped, whole[frames[i].offset:frames[i+1].offset]...)
	flipped := bytes.Clone(whole)
	flipped[frames[i].offset+20] ^= 1
	counted := bytes.Clone(whole)
	counted[frames[0].offset+7]++ // one event more than there is: all places after it move
	for name, b := range map[string][]byte{"moved": swapped, "flipped": flipped, "counted": counted} {
		t.Run(name, func(t *testing.T) {
			write(t, path+recordSuffix, b)
			r, failed := a.Open(id)
			if failed != nil {
				return // it does not end as it was sealed
			}
			defer r.Close()
			for _, err := range r.From(end.Add(-time.Millisecond), 0) {
				failed = err
			}
			require.Error(t, failed)
		})
	}
}

// Hostile recording files give an error, and take no memory for what they only
// say.
func TestAttack72HostileFiles(t *testing.T) {
	dir := t.TempDir()
	id := terminalOf(t, dir, Config{}, 10, func(i int) []byte { return []byte("line\r\n") })
	path, err := find(dir, id)
	require.NoError(t, err)
	whole := read(t, path+recordSuffix)
	a, err := OpenArchive(dir)
	require.NoError(t, err)
	set := func(at int, v ...byte) []byte {
		b := bytes.Clone(whole)
		copy(b[at:], v)
		return b
	}
	first := headerLen + saltLen
	for name, b := range map[string][]byte{
		"empty":                {},
		"wrong magic":          set(0, 'X'),
		"header cut":           whole[:headerLen-1],
		"no event":             whole[:first],
		"length 0":             set(first, 0, 0, 0, 0),
		"length 0xffffffff":    set(first, 0xff, 0xff, 0xff, 0xff),
		"length 0x7fffffff":    set(first, 0x7f, 0xff, 0xff, 0xff),
		"most events":          set(first+4, 0xff, 0xff, 0xff, 0xff),
		"no events":            set(first+4, 0, 0, 0, 0),
		"another session":      set(len(magic), 'z', 'z'),
		"the plain form":       append([]byte(magic), whole[len(magic):]...),
		"itself again":         append(bytes.Clone(whole), whole...),
		"frames over and over": append(bytes.Clone(whole), bytes.Repeat(whole[first:], 100)...),
		"zeros":                append(bytes.Clone(whole[:first]), make([]byte, 1<<20)...),
	} {
		t.Run(name, func(t *testing.T) {
			write(t, path+recordSuffix, b)
			var failed error
			for _, err := range a.Events(id) {
				failed = err
			}
			r, err := a.Open(id)
			if err == nil {
				defer r.Close()
				for _, err = range r.From(time.Time{}, 0) {
				}
			}
			require.Error(t, failed)
			require.Error(t, err)
			public := read(t, dir+"/log/key.pub")
			require.NotEmpty(t, verify(t, dir, string(bytes.TrimSpace(public))).Problems)
		})
	}
}

// The first picture of a gigabyte, from its beginning and from its middle.
func BenchmarkFirstFrame(b *testing.B) {
	dir := b.TempDir()
	line := bytes.Repeat([]byte("drwxr-xr-x 2 root root 4096 \x1b[01;34mdirectory\x1b[0m 12:34\r\n"), 700)[:32<<10]
	id := terminalOf(b, dir, Config{Durability: OS}, 1<<30/len(line), func(i int) []byte {
		copy(line, fmt.Sprintf("%08d", i))
		return line
	})
	path, err := find(dir, id)
	require.NoError(b, err)
	st, err := os.Stat(path + recordSuffix)
	require.NoError(b, err)
	a, err := OpenArchive(dir)
	require.NoError(b, err)
	for _, where := range []string{"beginning", "middle"} {
		b.Run(where, func(b *testing.B) {
			b.ReportMetric(float64(st.Size())/(1<<20), "MiB-file")
			for b.Loop() {
				r, err := a.Open(id)
				require.NoError(b, err)
				at := time.Time{}
				if where == "middle" {
					begin, end, err := r.Span()
					require.NoError(b, err)
					at = begin.Add(end.Sub(begin) / 2)
				}
				for e, err := range r.From(at, 64<<10) {
					require.NoError(b, err)
					if e.Type == RecordingOutput {
						break
					}
				}
				require.NoError(b, r.Close())
			}
		})
	}
}
