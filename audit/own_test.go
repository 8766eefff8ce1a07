package audit

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
)

// The gateway's own record goes on in a new one daily, and when it has grown; the former is
// sealed while the gateway runs, and each of both names the other.
func TestOwnRotates(t *testing.T) {
	for name, due := range map[string]func(l *Log){
		"another day": func(l *Log) {
			l.own.mu.Lock()
			l.own.day = "2001-01-01"
			l.own.mu.Unlock()
		},
		"size": func(l *Log) {
			for range 3 {
				require.NoError(t, l.Act(Action{Type: AdminKill, Reason: strings.Repeat("why ", 100_000)}))
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir, _, ids := record(t, 1)
			l := openLog(t, dir, Config{})
			first := l.own.id
			require.NoError(t, l.Erase(Action{Session: ids[0], Reason: "asked for"}))
			due(l)
			require.NoError(t, l.Act(Action{Type: AdminList}))
			second := l.own.id
			require.NotEqual(t, first, second)
			require.Eventually(t, func() bool {
				sealed, err := l.tree.ids()
				require.NoError(t, err)
				return sealed[first] && l.Head().N == int64(len(sealed))
			}, 30*time.Second, time.Millisecond)
			r := verify(t, dir, l.PublicKey())
			require.Empty(t, r.Problems)
			require.Equal(t, []string{second}, r.Unproven)
			require.NoError(t, l.Act(Action{Type: AdminList}))
			require.Equal(t, second, l.own.id, "not before it is time")
			require.NoError(t, l.Close())
			list := events(t, dir, first)
			require.Equal(t, []string{GatewayRotate, second}, []string{list[len(list)-1].Type, list[len(list)-1].Name})
			list = events(t, dir, second)
			require.Equal(t, "gateway.rotate admin.list admin.list gateway.stop", types(list))
			require.Equal(t, first, list[0].Name)
			r = verify(t, dir, l.PublicKey())
			require.Empty(t, r.Problems)
			require.Equal(t, 1, r.Erased, "what is on record there counts")
			found := search(t, dir, Query{})
			require.Equal(t, ids, identifiers(found), "neither is a session")
		})
	}
}

// When a new one cannot be begun, the record goes on.
func TestOwnDoesNotRotateOnFullDisk(t *testing.T) {
	dir := t.TempDir()
	d := newLab()
	l := openOn(t, d, dir, Config{})
	first := l.own.id
	l.own.mu.Lock()
	l.own.day = "2001-01-01"
	l.own.mu.Unlock()
	d.breaks(func(c call) (bool, error) {
		return false, errIf(c.op == "open" && strings.HasSuffix(c.name, keySuffix), os.ErrPermission)
	})
	require.NoError(t, l.Act(Action{Type: AdminList}))
	require.Equal(t, first, l.own.id)
	d.mends()
	require.NoError(t, l.Act(Action{Type: AdminList}))
	require.NotEqual(t, first, l.own.id)
	require.NoError(t, l.Close())
	require.Equal(t, "gateway.start admin.list gateway.rotate", types(events(t, dir, first)))
	require.Empty(t, verify(t, dir, l.PublicKey()).Problems)
}

// killed is a log as kill -9 leaves it, once the end of its own record was signed with so
// many events.
func killed(t *testing.T, d Durability) (dir, public, own string) {
	t.Helper()
	running := t.TempDir()
	l := openLog(t, running, Config{Durability: d})
	newSession(t, l).Close(nil)
	require.NoError(t, l.Configured(Version{Config: "c1"}))
	require.NoError(t, l.Act(Action{Type: AdminKill, Session: "x", Reason: "why"}))
	l.Event(proxy.Event{Kind: proxy.EventLoginFailed, At: time.Now(), User: "mallory"})
	require.Eventually(t, func() bool {
		tail, err := readTail(running, l.PublicKey())
		require.NoError(t, err)
		return tail.ID == l.own.id && tail.Events == 4 && l.Head().N == 1
	}, 30*time.Second, 5*time.Millisecond)
	dir = filepath.Join(t.TempDir(), "left")
	require.NoError(t, os.CopyFS(dir, os.DirFS(running)))
	require.NoError(t, l.Close())
	return dir, l.PublicKey(), l.own.id
}

// What is cut off the gateway's own record after kill -9 is found by verifying and by the
// next start.
func TestOwnTail(t *testing.T) {
	cut := func(n func(list [][]byte) int) func(t *testing.T, dir, record string) {
		return func(t *testing.T, _, record string) {
			header, list := frames(t, read(t, record))
			write(t, record, join(header, list[:n(list)]...))
		}
	}
	tail := func(dir string) string { return filepath.Join(dir, "log", tailName) }
	for name, change := range map[string]func(t *testing.T, dir, record string){
		"the last event":    cut(func(list [][]byte) int { return len(list) - 1 }),
		"all but the first": cut(func([][]byte) int { return 1 }),
		"all":               cut(func([][]byte) int { return 0 }),
		"a byte":            func(t *testing.T, _, record string) { b := read(t, record); write(t, record, b[:len(b)-1]) },
		"the record":        func(t *testing.T, _, record string) { removeFile(t, record) },
		"the record and its key": func(t *testing.T, _, record string) {
			removeFile(t, record)
			removeFile(t, strings.TrimSuffix(record, recordSuffix)+keySuffix)
		},
		"an event, chained anew": func(t *testing.T, _, record string) {
			header, list := frames(t, read(t, record))
			write(t, record, rechain(join(header, append(list[1:len(list):len(list)], list[len(list)-1])...)))
		},
		"the signed end": func(t *testing.T, dir, _ string) { removeFile(t, tail(dir)) },
		"the signed end, which is altered": func(t *testing.T, dir, _ string) {
			write(t, tail(dir), []byte(strings.Replace(string(read(t, tail(dir))), " 4 ", " 3 ", 1)))
		},
		"the signed end, which is the head": func(t *testing.T, dir, _ string) {
			write(t, tail(dir), read(t, filepath.Join(dir, "log", checkpointName)))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir, public, own := killed(t, Group)
			require.Empty(t, verify(t, dir, public).Problems)
			path, err := find(dir, own)
			require.NoError(t, err)
			change(t, dir, path+recordSuffix)
			require.NotEmpty(t, verify(t, dir, public).Problems)
			_, err = Open(dir, quiet())
			require.ErrorAs(t, err, new(*HistoryError))
			c := quiet()
			c.Adopt = &Action{Reason: "why"}
			l, err := Open(dir, c)
			require.NoError(t, err)
			require.Error(t, l.Adopted())
			require.NoError(t, l.Close())
			require.NoError(t, openLog(t, dir, Config{}).Close())
		})
	}
}

// The gateway's own record, when nobody touched it after kill -9, is sealed, whatever the durability.
func TestOwnTailOfKilled(t *testing.T) {
	for _, d := range []Durability{Group, OS, Each} {
		dir, public, own := killed(t, d)
		require.NoError(t, openLog(t, dir, Config{}).Close())
		r := verify(t, dir, public)
		require.Empty(t, r.Problems)
		require.Empty(t, r.Unproven)
		require.Equal(t, "gateway.start gateway.config admin.kill gateway.login-failed session.recovered", types(events(t, dir, own)))
	}
}
