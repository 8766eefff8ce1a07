package masking

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/maskdata"
	"github.com/sallyport/sallyport/proxy"
)

// newStream returns a stream's filter with the default settings.
func newStream(t testing.TB, media string) proxy.Filter {
	t.Helper()
	m, err := New(Config{Key: []byte("0123456789abcdef")})
	require.NoError(t, err)
	hooks, err := m.Intercept(context.Background(), &proxy.Session{Identity: &proxy.Identity{Subject: "alice"}, Target: proxy.Target{Resource: &proxy.Resource{}}})
	require.NoError(t, err)
	f, err := hooks.Flow(context.Background(), &proxy.Exec{Meta: proxy.Meta{Kind: proxy.KindExec}}, &proxy.Shape{Kind: proxy.ShapeStream, Media: media})
	require.NoError(t, err)
	return f
}

// pass sends text through f in pieces of size bytes; between them, idle says
// whether nothing comes for long.
func pass(t testing.TB, f proxy.Filter, text string, size int, idle bool) string {
	t.Helper()
	var out []byte
	var err error
	for b := []byte(text); len(b) > 0; {
		n := min(size, len(b))
		out, err = f.Bytes(out, b[:n])
		require.NoError(t, err)
		b = b[n:]
		if idle {
			for range 2 {
				out, err = f.Idle(out)
				require.NoError(t, err)
			}
		}
	}
	out, err = f.End(out)
	if !errors.Is(err, errNotText) {
		require.NoError(t, err)
	}
	return string(out)
}

var streamCases = []struct{ name, in, want string }{
	{"plain", "hello\nworld\n", "hello\nworld\n"},
	{"identifier", "ssn 123-45-6789\n", "ssn ***-**-****\n"},
	{"card", "card 4111 1111 1111 1111 ok\n", "card **** **** **** 1111 ok\n"},
	{"email", "mail alice@example.com.\n", "mail *****@*******.***.\n"},
	{"IBAN", "GB82 WEST 1234 5698 7654 32\n", "**** **** **** **** **** **\n"},
	{"password", "password=hunter2 host=db\n", "password=******* host=db\n"},
	{"URL", "postgres://app:s3cr3t@db/x\n", "postgres://app:******@db/x\n"},
	{"token", "export T=ghp_16C7e42F292c6912E7710c838347Ae178B4a\n", "export T=" + "***_" + strings.Repeat("*", 36) + "\n"},
	{"T1 colours", "123-\x1b[31m45-\x1b[0m6789\n", "***-\x1b[31m**-\x1b[0m****\n"},
	{"T2 backspace", "card 4111x\b111111111111\n", "card ****x\b********1111\n"},
	{"no end of line", "123-45-6789", "***-**-****"},
	{"two", "123-45-6789 321-54-9876\n", "***-**-**** ***-**-****\n"},
	{"key", "a\n-----BEGIN PRIVATE KEY-----\nMIIB\nAB+/\n-----END PRIVATE KEY-----\nb\n", ""},
	{"json", `{"email":"bob@example.org","n":12}` + "\n", `{"email":"***@*******.***","n":12}` + "\n"},
}

func TestStream(t *testing.T) {
	for _, media := range []string{"terminal", "stdout"} {
		for _, c := range streamCases {
			for _, size := range []int{1, 2, 3, 7, 64, 4096} {
				t.Run(fmt.Sprintf("%s/%s/%d", media, c.name, size), func(t *testing.T) {
					got := pass(t, newStream(t, media), c.in, size, false)
					require.Len(t, got, len(c.in))
					if c.want != "" {
						require.Equal(t, c.want, got)
					}
					require.NotRegexp(t, `1234|4111|MIIB|AB\+`, got)
				})
			}
		}
	}
}

// TestStreamIdle has pauses after every byte: no more digits of a value are
// passed on than are free, and what is not a value comes at once.
func TestStreamIdle(t *testing.T) {
	for _, c := range streamCases {
		t.Run(c.name, func(t *testing.T) {
			got := pass(t, newStream(t, "terminal"), c.in, 1, true)
			require.Len(t, got, len(c.in))
			require.NotRegexp(t, `\d{3}-\d|\d{5}|4111 1|6789|MIIB|7654|hunter2|s3cr3t|42F292`, got)
		})
	}
	f := newStream(t, "terminal")
	for _, text := range []string{"$ ", "alice@db12345:~$ ", "ls -la", "\r\n", "Password: ", "> "} {
		out, err := f.Bytes(nil, []byte(text))
		require.NoError(t, err)
		out, err = f.Idle(out)
		require.NoError(t, err)
		require.Equal(t, text, string(out), "a prompt is not held")
	}
}

// TestStreamPauses: what came at once waits for two silences when it might become a value,
// and not at all when it cannot; what grows by pieces waits until something follows.
func TestStreamPauses(t *testing.T) {
	for _, tt := range []struct {
		media  string
		pieces []string  // a silence is between them
		shown  [3]string // at once, after a silence, after another
	}{
		{"terminal", []string{"listening on 8080"}, [3]string{"listening on ", "listening on ", "listening on 8080"}},
		{"stdout", []string{"listening on 8080"}, [3]string{"", "listening on ", "listening on 8080"}},
		{"terminal", []string{"pid 1234567"}, [3]string{"pid ", "pid ", "pid 1234567"}},
		{"stdout", []string{"pid 1234567"}, [3]string{"", "pid ", "pid "}},
		{"terminal", []string{"\x1b[?1000h\x1b[?1006h"}, [3]string{"\x1b[?1000h\x1b[?1006h", "\x1b[?1000h\x1b[?1006h", "\x1b[?1000h\x1b[?1006h"}},
		{"terminal", []string{"\x1b[2J\x1b[1;31mword"}, [3]string{"\x1b[2J\x1b[1;31m", "\x1b[2J\x1b[1;31mword", "\x1b[2J\x1b[1;31mword"}},
		{"terminal", []string{"\x1b[1m8080\x1b[0m"}, [3]string{"\x1b[1m", "\x1b[1m", "\x1b[1m8080\x1b[0m"}},
		{"stdout", []string{"\x1b[?1000h\x1b[?1006h"}, [3]string{"", "\x1b[?1000h\x1b[?1006h", "\x1b[?1000h\x1b[?1006h"}},
		{"terminal", []string{"\x1b]0;db: /srv/2024-11-28\x07$ "}, [3]string{"\x1b]0;db: /srv/2024-11-28\x07", "\x1b]0;db: /srv/2024-11-28\x07$ ", "\x1b]0;db: /srv/2024-11-28\x07$ "}},
		{"terminal", []string{"ssn 12", "3-4"}, [3]string{"ssn 12", "ssn 12", "ssn 12"}},
		{"terminal", []string{"123-45-"}, [3]string{"", "", ""}},
		{"terminal", []string{"4111 1111 "}, [3]string{"", "", ""}},
		{"stdout", []string{"4111 11"}, [3]string{"", "", ""}},
		{"terminal", []string{"password=hun"}, [3]string{"", "password=***", "password=***"}},
	} {
		f := newStream(t, tt.media)
		var out []byte
		var err error
		for i, piece := range tt.pieces {
			if i > 0 {
				out, err = f.Idle(out)
				require.NoError(t, err)
			}
			out, err = f.Bytes(out, []byte(piece))
			require.NoError(t, err)
		}
		for i, want := range tt.shown {
			if i > 0 {
				out, err = f.Idle(out)
				require.NoError(t, err)
			}
			require.Equal(t, want, string(out), "%s %q, after %d silences", tt.media, tt.pieces, i)
		}
	}
}

// TestStreamBounds sends what might be held for ever.
func TestStreamBounds(t *testing.T) {
	for _, unit := range []string{"x", "1", "1 ", "-----BEGIN PRIVATE KEY-----\nabc", "\x1b[", "a@", "password=\"", "eyJ", "1\b", "\x80\b", "\x1b]"} {
		f := newStream(t, "stdout")
		in := strings.Repeat(unit, 200000/len(unit))
		n := 0
		for b := []byte(in); len(b) > 0; {
			k := min(1000, len(b))
			out, err := f.Bytes(nil, b[:k])
			require.NoError(t, err)
			b = b[k:]
			n += len(out)
			require.Less(t, len(in)-len(b)-n, 2*maxHeld, "%q held back", unit)
		}
		out, err := f.End(nil)
		require.NoError(t, err)
		require.Equal(t, len(in), n+len(out))
	}
}

// FuzzStream: whatever is around a value, however the stream is cut and
// wherever it pauses, the value is masked, and bytes are hidden or as they were.
func FuzzStream(f *testing.F) {
	for _, c := range streamCases {
		f.Add([]byte(c.in), uint64(1))
	}
	const value = "\n123-45-6789\n"
	f.Fuzz(func(t *testing.T, around []byte, seed uint64) {
		r := rand.New(rand.NewPCG(seed, 1))
		fl := newStream(t, []string{"terminal", "stdout"}[seed%2])
		in := slices.Insert(slices.Clone(around), r.IntN(len(around)+1), []byte(value)...)
		var out []byte
		for b := in; len(b) > 0; {
			n := min(1+r.IntN(40), len(b))
			out, _ = fl.Bytes(out, b[:n])
			b = b[n:]
			if r.IntN(4) == 0 {
				out, _ = fl.Idle(out)
			}
		}
		out, _ = fl.End(out)
		require.Len(t, out, len(in))
		for i := range in {
			require.True(t, out[i] == in[i] || out[i] == '*')
		}
		require.NotContains(t, string(out), value)
	})
}

func BenchmarkStream(b *testing.B) {
	text := maskdata.Clean()
	f := newStream(b, "stdout")
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	var out []byte
	for b.Loop() {
		for at := 0; at < len(text); at += 32 << 10 {
			out, _ = f.Bytes(out[:0], text[at:min(at+32<<10, len(text))])
		}
	}
}
