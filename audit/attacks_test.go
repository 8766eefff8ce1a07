package audit

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
)

// What a user sends stays inside one event of one line, whatever it contains.
func TestAttack68LogInjection(t *testing.T) {
	long := strings.Repeat("x", 1<<20) + "tail"
	evil := []string{
		"SELECT 1\n{\"i\":99,\"type\":\"session.end\"}", "SELECT '\x1b]0;title\x07\x1b[2J'", `","type":"operation.refused","x":"`,
		"\xff\xfe\x80 invalid", "\u2028\u2029\u0085\u009b", "\x00", `\`, `\"`, "}\n\n{", long,
	}
	dir := t.TempDir()
	l := openLog(t, dir, Config{Recordings: everything})
	s := newSession(t, l)
	for _, text := range evil {
		require.False(t, run(s, text, proxy.Arg{Value: []byte(text)}).Refuses())
		result(t, s, "SELECT 1", columnsOf(text[:min(len(text), 60)]), []string{text})
	}
	l.Event(proxy.Event{Kind: proxy.EventLoginFailed, User: evil[0]})
	require.NoError(t, l.Act(Action{Type: AdminKill, By: &proxy.Identity{Subject: evil[1]}, Reason: evil[0]}))
	own := l.own.id
	s.Close(fmt.Errorf("%s", evil[2]))
	require.NoError(t, l.Close())

	a, err := OpenArchive(dir)
	require.NoError(t, err)
	for _, id := range []string{s.ID, own} {
		var index uint64
		for raw, err := range a.Raw(id) {
			require.NoError(t, err)
			for _, c := range raw {
				require.False(t, c < 0x20 || c == 0x7f, "%q", raw)
			}
			index++
		}
		list := events(t, dir, id)
		require.Len(t, list, int(index))
		for i, e := range list {
			require.Equal(t, uint64(i+1), e.Index)
		}
	}
	list := events(t, dir, s.ID)
	require.Len(t, of(list, SessionEnd), 1)
	require.Empty(t, of(list, OperationRefused))
	var texts []string
	for _, e := range of(list, OperationStart) {
		if e.Kind == "statement" && e.Text != "SELECT 1" {
			texts = append(texts, e.Text)
		}
	}
	require.Len(t, texts, len(evil))
	for i, text := range texts[:len(evil)-1] {
		require.Equal(t, strings.ToValidUTF8(strings.ReplaceAll(evil[i], "\xff\xfe\x80", "\ufffd\ufffd\ufffd"), ""), text)
	}
	last := of(list, OperationStart)
	cut := last[len(last)-2]
	require.Len(t, cut.Text, 1<<20)
	require.Equal(t, len(long), cut.TextBytes)
	sum := sha256.Sum256([]byte(long))
	require.Equal(t, hex.EncodeToString(sum[:]), cut.TextDigest)
}

// A hundred goroutines write one session's record without a gap.
func TestAttack70Goroutines(t *testing.T) {
	dir := t.TempDir()
	l := openLog(t, dir, Config{Recordings: everything})
	s := newSessionOf(t, l, "ssh")
	var wg sync.WaitGroup
	for i := range 100 {
		wg.Go(func() {
			for j := range 20 {
				if i%2 == 0 {
					run(s, fmt.Sprint("SELECT ", i, j))
					continue
				}
				op := &proxy.Exec{Meta: proxy.Meta{Kind: proxy.KindExec}, Command: "id"}
				s.Ask(t.Context(), op)
				if flow, err := s.Flow(op, &proxy.Shape{Kind: proxy.ShapeStream, Media: "stdout"}); err == nil {
					flow.Bytes(nil, []byte("shown"))
				}
				s.Done(op, &proxy.Outcome{})
			}
		})
	}
	wg.Wait()
	s.Close(nil)
	require.NoError(t, l.Close())
	list := events(t, dir, s.ID)
	starts, ends := map[uint64]bool{}, map[uint64]bool{}
	for i, e := range list {
		require.Equal(t, uint64(i+1), e.Index)
		switch e.Type {
		case OperationStart:
			starts[e.Op] = true
		case OperationEnd:
			require.True(t, starts[e.Op])
			ends[e.Op] = true
		}
	}
	require.Len(t, starts, 2001)
	require.Len(t, ends, 2001)
	require.Equal(t, strings.Repeat("shown", 1000), content(list, RecordingOutput))
	require.Empty(t, verify(t, dir, l.PublicKey()).Problems)
}

// Identifiers are never read as paths, by any way of reading.
func TestAttack71Paths(t *testing.T) {
	dir, _, _ := record(t, 1)
	outside := filepath.Join(filepath.Dir(dir), "outside")
	require.NoError(t, os.MkdirAll(outside, 0o700))
	a, err := OpenArchive(dir)
	require.NoError(t, err)
	l := openLog(t, dir, Config{})
	defer l.Close()
	for _, id := range []string{"", "..", "../outside", "../../../../../../etc/passwd", strings.Repeat("*", idLen), strings.Repeat("?", idLen), strings.Repeat(".", idLen), strings.Repeat("a", idLen-1) + "/", strings.Repeat("A", idLen), "\x00" + strings.Repeat("a", idLen-1)} {
		_, err := a.Open(id)
		require.ErrorContains(t, err, "is not the identifier of a session", id)
		_, err = a.Export(id)
		require.Error(t, err)
		for _, err := range a.Events(id) {
			require.Error(t, err)
		}
		for _, err := range l.Watch(t.Context(), id) {
			require.Error(t, err)
		}
	}
}
