package audit

import (
	"bufio"
	"context"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
)

func sum(b []byte) digest { return sha256.Sum256(b) }

// TestMain lets the test binary be the gateway that is killed.
func TestMain(m *testing.M) {
	if dir := os.Getenv("AUDIT_CRASH_DIR"); dir != "" {
		crashing(dir)
	}
	os.Exit(m.Run())
}

// crashing records, packs and erases for ever, and says on stdout which statements may run and what
// is erased.
func crashing(dir string) {
	l, err := Open(dir, Config{Log: quiet().Log, Recordings: everything, packAt: 5})
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	t := &testing.T{}
	out := bufio.NewWriterSize(os.Stdout, 0)
	for session := 0; ; session++ {
		s := newSessionOf(t, l, "ssh")
		for i := range 1 + session%7 {
			text := "SELECT " + strconv.Itoa(i)
			if !run(s, text).Refuses() {
				fmt.Fprintln(out, s.ID, text)
				out.Flush()
			}
		}
		if session%2 == 0 { // and a terminal, what it shows after it was recorded
			op := &proxy.Exec{Meta: proxy.Meta{Kind: proxy.KindShell}, Terminal: true}
			s.Ask(context.Background(), op)
			flow, err := s.Flow(op, &proxy.Shape{Kind: proxy.ShapeStream, Media: "terminal"})
			if err != nil {
				fmt.Println("error", err)
				os.Exit(1)
			}
			for i := range 20 {
				shown, err := flow.Bytes(nil, fmt.Appendf(nil, "shown %d", i))
				if err == nil {
					fmt.Fprintf(out, "%s %s\n", s.ID, shown)
					out.Flush()
				}
			}
			s.Done(op, &proxy.Outcome{})
		}
		if session%3 > 0 {
			s.Close(nil)
		}
		if session%4 == 3 {
			id := sealedBefore(l, s.ID)
			if id == "" {
				continue
			}
			fmt.Fprintln(out, id, "erasing")
			out.Flush()
			if err := l.Erase(Action{Session: id, Reason: "why"}); err != nil {
				fmt.Println("error", err)
				os.Exit(1)
			}
			fmt.Fprintln(out, id, "erased")
			out.Flush()
		}
	}
}

// sealedBefore returns a session that is sealed and has a key; empty when there is none.
func sealedBefore(l *Log, id string) string {
	sealed, err := l.tree.ids()
	if err != nil {
		return ""
	}
	for other := range sealed {
		if path, err := find(l.dir, other); err == nil && other < id {
			has, err := l.archive.cabinet.hasKey(path)
			own := isOwnRecord(l.archive, other)
			if has && err == nil && !own {
				return other
			}
		}
	}
	return ""
}

func isOwnRecord(a *Archive, id string) (own bool) {
	_ = a.readBy(a.presentKey, id, func(raw []byte) bool {
		own = isOwn(typeOf(raw))
		return false
	})
	return own
}

// A gateway that is killed at any moment has recorded every operation that it
// let run; the next start seals what was open and says so.
func TestAttack66Kill(t *testing.T) {
	rounds := 6
	if testing.Short() {
		rounds = 3
	}
	for range rounds {
		dir := t.TempDir()
		cmd := exec.Command(os.Args[0], "-test.run=^$")
		cmd.Env = append(os.Environ(), "AUDIT_CRASH_DIR="+dir)
		pipe, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		acknowledged := map[string][]string{}
		shown := map[string]string{}
		erasing := map[string]bool{} // and whether they were erased
		lines := bufio.NewScanner(pipe)
		kill := time.AfterFunc(time.Minute, func() { cmd.Process.Kill() })
		for lines.Scan() {
			if len(acknowledged) == 0 { // it runs: now at any moment
				kill.Reset(time.Duration(rand.IntN(150)) * time.Millisecond)
			}
			id, text, ok := strings.Cut(lines.Text(), " ")
			require.True(t, ok)
			require.NotEqual(t, "error", id, text)
			if (text == "erasing" || text == "erased") && len(id) == idLen {
				erasing[id] = text == "erased"
			}
			if strings.HasPrefix(text, "SELECT ") { // the last line can be cut
				acknowledged[id] = append(acknowledged[id], text)
			}
			if strings.HasPrefix(text, "shown ") && len(id) == idLen {
				shown[id] += text
			}
		}
		kill.Stop()
		cmd.Wait()
		require.NotEmpty(t, acknowledged)

		half := filepath.Join(dir, "index", newPrefix+"0") // as if it had been killed while it wrote a segment
		require.NoError(t, os.MkdirAll(filepath.Dir(half), 0o700))
		write(t, half, []byte("half of a key"))
		l := openLog(t, dir, Config{packAt: 5})
		found := identifiers(search(t, dir, Query{User: "alice"}))
		for id := range acknowledged {
			if _, begun := erasing[id]; !begun { // of one that was erased nobody knows the user
				require.Contains(t, found, id)
			}
		}
		require.Eventually(t, func() bool { _, err := os.Stat(half); return os.IsNotExist(err) }, 20*time.Second, 10*time.Millisecond)
		require.NoError(t, l.Close())
		r := verify(t, dir, l.PublicKey())
		require.Empty(t, r.Problems)
		require.Empty(t, r.Unproven)
		recovered := 0
		for id, texts := range acknowledged {
			if done, begun := erasing[id]; begun {
				_, err := mustArchive(t, dir).Open(id)
				if done || err != nil {
					require.ErrorIs(t, err, ErrErased)
					continue
				}
			}
			var got []string
			list := events(t, dir, id)
			for _, e := range list {
				if e.Type == OperationStart && e.Kind == "statement" {
					got = append(got, e.Text)
				}
			}
			require.GreaterOrEqual(t, len(got), len(texts))
			require.Equal(t, texts[:len(texts)-1], got[:len(texts)-1])
			switch last := list[len(list)-1].Type; last {
			case SessionRecovered:
				recovered++
			case SessionEnd:
			default:
				t.Errorf("session %s ends with %s", id, last)
			}
		}
		require.NotZero(t, recovered)
		for id, text := range shown {
			if _, begun := erasing[id]; begun {
				continue
			}
			require.True(t, strings.HasPrefix(content(events(t, dir, id), RecordingOutput), text), "what was shown is on record")
		}
	}
}
