package replay_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/audit/replay"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/proxy/proxytest"
)

// What only draws passes; what asks, writes or switches does not, however it is
// cut.
func TestScreen(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"text", "hello\r\n\tworld\b!", "hello\r\n\tworld\b!"},
		{"colours", "\x1b[1;31mred\x1b[0m", "\x1b[1;31mred\x1b[0m"},
		{"cursor", "\x1b[2J\x1b[5;1H\x1b[K\x1b[?25l", "\x1b[2J\x1b[5;1H\x1b[K\x1b[?25l"},
		{"other screen", "\x1b[?1049h\x1b[?1049l", "\x1b[?1049h\x1b[?1049l"},
		{"line drawing", "\x1b(0lqk\x1b(B", "\x1b(0lqk\x1b(B"},
		{"characters", "ü€😀", "ü€😀"},
		{"a title", "a\x1b]0;title\x07b", "ab"},
		{"the clipboard", "a\x1b]52;c;aGVsbG8=\x1b\\b", "ab"},
		{"a link", "\x1b]8;;http://x\x1b\\text\x1b]8;;\x1b\\", "text"},
		{"who are you", "a\x1b[cb\x1b[>cc\x1b[=cd\x1b[0cd\x05e", "abcdde"},
		{"where are you", "a\x1b[6nb\x1b[?6nc", "abc"},
		{"window operations", "a\x1b[21tb\x1b[8;10;10tc", "abc"},
		{"device control", "a\x1bP$qm\x1b\\b\x1b_app\x1b\\c\x1b^pm\x1b\\d\x1bXsos\x1b\\e", "abcde"},
		{"mouse and keys", "a\x1b[?1000hb\x1b[?1006;25hc\x1b[?2004hd\x1b[>4;1me\x1b[>1uf", "abcdef"},
		{"printing", "a\x1b[5ib\x1b[?5ic", "abc"},
		{"mode requests", "a\x1b[?25$pb", "ab"},
		{"screen's title", "a\x1bktitle\x1b\\b", "ab"},
		{"cursor's form", "\x1b[4 q", "\x1b[4 q"},
		{"controls of eight bits", "a\u009b6nb\xc2\x9d0;x\x07c", "a\ufffd6nb\ufffd0;xc"},
		{"no characters", "a\xff\xfeb\xe2\x82c", "a\ufffd\ufffdb\ufffdc"},
		{"a sequence without end", "a\x1b[" + strings.Repeat("1;", 1000) + "mb", "ab"},
		{"a string that is given up", "a\x1b]0;x\x18b", "ab"},
		{"a sequence in a sequence", "a\x1b[3\x1b[1mb", "a\x1b[1mb"},
		{"a sequence in a string", "a\x1b]0;x\x1b[1mb", "a\x1b[1mb"},
		{"many times", "a\x1b[99999999bb", "ab"},
		{"erase", "a\x7fb", "ab"},
		{"bell", "a\x07b", "ab"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var whole replay.Screen
			require.Equal(t, c.want, string(whole.Append(nil, []byte(c.in))))
			var cut replay.Screen
			var got []byte
			for i := range len(c.in) {
				got = cut.Append(got, []byte(c.in[i:i+1]))
			}
			require.Equal(t, c.want, string(got), "byte by byte")
		})
	}
}

func FuzzScreen(f *testing.F) {
	f.Add([]byte("a\x1b[1mb\x1b]0;x\x07\x1bPq\x1b\\ü\xff"))
	f.Add([]byte("\x1b[?1049h\x1b(0\x1b[6n\xc2\x9b"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var s, again replay.Screen
		once := s.Append(nil, b)
		for _, never := range []string{"\x1b]", "\x1bP", "\x1b_", "\x1b^", "\x1bX", "\x1bk", "\x05", "\u009b", "\u009d", "\u0090"} {
			if bytes.Contains(once, []byte(never)) {
				t.Fatalf("%q lets %q through: %q", b, never, once)
			}
		}
		if twice := again.Append(nil, once); !bytes.Equal(once, twice) {
			t.Fatalf("%q becomes %q and then %q", b, once, twice)
		}
	})
}

func TestPlain(t *testing.T) {
	var p replay.Plain
	require.Equal(t, "red x\ny", string(p.Append(nil, []byte("\x1b[1;31mr\x1b[0med\x1b(B x\r\n\x1b7y\x1b[K"))))
}

// shown is what was shown, and how long after what came before.
type shown struct {
	after time.Duration
	text  string
}

// recorded makes the record of a terminal. It is to be called in a bubble.
func recorded(t *testing.T, list ...shown) (*audit.Record, uint64) {
	t.Helper()
	dir := t.TempDir()
	l, err := audit.Open(dir, audit.Config{Log: slog.New(slog.DiscardHandler), Uncompressed: true, Interval: time.Hour, Stall: 24 * time.Hour})
	require.NoError(t, err)
	s, err := proxytest.Open(&proxy.Gateway{}, l)
	require.NoError(t, err)
	op := &proxy.Exec{Meta: proxy.Meta{Kind: proxy.KindExec}, Command: "top", Terminal: true}
	require.False(t, s.Ask(t.Context(), op).Refuses())
	flow, err := s.Flow(op, &proxy.Shape{Kind: proxy.ShapeStream, Media: "terminal", Width: 100, Height: 30, Terminal: "xterm"})
	require.NoError(t, err)
	for _, x := range list {
		time.Sleep(x.after)
		if width, height := 0, 0; strings.HasPrefix(x.text, "size ") {
			fmt.Sscanf(x.text, "size %d %d", &width, &height)
			require.NoError(t, flow.Resize(width, height))
			continue
		}
		_, err := flow.Bytes(nil, []byte(x.text))
		require.NoError(t, err)
	}
	s.Done(op, &proxy.Outcome{Code: "3"})
	s.Close(nil)
	require.NoError(t, l.Close())
	a, err := audit.OpenArchive(dir)
	require.NoError(t, err)
	r, err := a.Open(s.ID)
	require.NoError(t, err)
	t.Cleanup(func() { r.Close() })
	return r, op.ID
}

// timed notes when it gets what.
type timed struct {
	begun time.Time
	got   []string
}

func (w *timed) Write(b []byte) (int, error) {
	w.got = append(w.got, fmt.Sprintf("%s %q", time.Since(w.begun).Round(time.Millisecond), b))
	return len(b), nil
}

func TestPlayer(t *testing.T) {
	film := []shown{{time.Second, "one"}, {time.Second, "two"}, {time.Minute, "\x1b[31mth\x1b[0mree"}, {time.Second, "four"}}
	for _, c := range []struct {
		name string
		p    replay.Player
		want string
	}{
		{"as it was", replay.Player{Speed: 1}, `1s "one", 2s "two", 1m2s "\x1b[31mth\x1b[0mree", 1m3s "four"`},
		{"four times faster", replay.Player{Speed: 4}, `250ms "one", 500ms "two", 15.5s "\x1b[31mth\x1b[0mree", 15.75s "four"`},
		{"without long pauses", replay.Player{Speed: 1, Idle: 2 * time.Second}, `1s "one", 2s "two", 4s "\x1b[31mth\x1b[0mree", 5s "four"`},
		{"at once", replay.Player{}, `0s "one", 0s "two", 0s "\x1b[31mth\x1b[0mree", 0s "four"`},
		{"from a place", replay.Player{Speed: 1, From: 61 * time.Second}, `0s "one", 0s "two", 1s "\x1b[31mth\x1b[0mree", 2s "four"`},
		{"from a text", replay.Player{Speed: 1, Find: "three"}, `0s "one", 0s "two", 0s "\x1b[31mth\x1b[0mree", 1s "four"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, op := recorded(t, film...)
				w := &timed{begun: time.Now()}
				c.p.Record, c.p.Op, c.p.Out = r, op, w
				require.NoError(t, c.p.Play(t.Context()))
				require.Equal(t, c.want, strings.Join(w.got, ", "))
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		r, op := recorded(t, film...)
		p := replay.Player{Record: r, Op: op, Out: &timed{}, Find: "five"}
		require.ErrorIs(t, p.Play(t.Context()), replay.ErrNotFound)
		p = replay.Player{Record: r, Op: op + 1, Out: &timed{}}
		require.ErrorIs(t, p.Play(t.Context()), replay.ErrNotFound)
	})
}

// Keys pause, change the speed, move, and end it.
func TestPlayerKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, op := recorded(t, shown{time.Second, "a"}, shown{20 * time.Second, "b"}, shown{20 * time.Second, "b"}, shown{100 * time.Second, "c"})
		keys := make(chan replay.Key)
		w := &timed{begun: time.Now()}
		p := &replay.Player{Record: r, Op: op, Out: w, Speed: 1, Keys: keys, Find: "a"}
		done := make(chan error, 1)
		go func() { done <- p.Play(t.Context()) }()
		press := func(after time.Duration, k replay.Key) {
			time.Sleep(after)
			keys <- k
		}
		press(5*time.Second, replay.Pause)
		time.Sleep(time.Hour)
		press(0, replay.Pause)
		press(time.Second, replay.Forward) // from 1 s to 11 s, with b at 21 s
		press(11*time.Second, replay.Back) // from 21 s to 11 s
		press(15*time.Second, replay.Quit)
		require.True(t, replay.IsQuit(<-done))
		clearing := `"\x1b[0m\x1b[r\x1b[?1049l\x1b[2J\x1b[H"`
		require.Equal(t, []string{
			`0s "a"`,
			"1h0m6s " + clearing, `1h0m6s "a"`, `1h0m16s "b"`,
			"1h0m17s " + clearing, `1h0m17s "a"`, `1h0m27s "b"`,
		}, w.got)
	})
}

// The asciicast holds what its format's documentation asks for:
// docs.asciinema.org/manual/asciicast/v3.
func TestCast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, op := recorded(t, shown{1500 * time.Millisecond, "h\xc3"}, shown{250 * time.Microsecond, "\xbc\x1b[1m\xff"}, shown{time.Second, "size 132 50"}, shown{time.Second, "bye\r\n"})
		var b bytes.Buffer
		require.NoError(t, replay.Cast(&b, r.From(time.Time{}, 0), op, "alice at shop"))
		lines := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
		var header struct {
			Version int
			Term    struct {
				Cols, Rows int
				Type       string
			}
			Timestamp int64
			Command   string
			Title     string
		}
		d := json.NewDecoder(strings.NewReader(lines[0]))
		d.DisallowUnknownFields()
		require.NoError(t, d.Decode(&header))
		require.Equal(t, []any{3, 100, 30, "xterm", "top", "alice at shop"},
			[]any{header.Version, header.Term.Cols, header.Term.Rows, header.Term.Type, header.Command, header.Title})
		require.Positive(t, header.Timestamp)
		require.Equal(t, []string{
			`[1.500000,"o","h"]`,
			`[0.000250,"o","ü\u001b[1m` + "\ufffd" + `"]`,
			`[1.000000,"r","132x50"]`,
			`[1.000000,"o","bye\r\n"]`,
			`[0.000000,"x","3"]`,
		}, lines[1:])
		for _, line := range lines[1:] {
			var event [3]any
			require.NoError(t, json.Unmarshal([]byte(line), &event))
			require.IsType(t, 0.0, event[0])
			require.IsType(t, "", event[2])
		}
		require.Error(t, replay.Cast(&b, r.From(time.Time{}, 0), op+7, ""))
		broken := func(yield func(*audit.Event, error) bool) { yield(nil, context.Canceled) }
		require.ErrorIs(t, replay.Cast(&b, iter.Seq2[*audit.Event, error](broken), op, ""), context.Canceled)
	})
}
