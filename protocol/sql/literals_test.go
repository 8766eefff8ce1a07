package sql

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestLiterals(t *testing.T) {
	limits := Limits{}.WithDefaults()
	for text, want := range map[string][]string{
		`SELECT 'a', 'it''s', E'\x2a\052\u0041\n\'', $$d$$, $x$ $$ $x$, N'n', U&'\0041\+000042', B'10', 1.5e3, 42`: {"a", "it's", "**A\n'", "d", " $$ ", "n", "AB", "10", "1.5e3", "42"},
		"'a' -- x\n 'b'":  {"ab"},
		`''`:              {""},
		`'C:\dir'`:        {`C:\dir`},
		`"no" $1 -- 'no'`: nil,
	} {
		var got []string
		for _, v := range AppendLiterals(nil, []byte(text), limits, LiteralsPlain) {
			got = append(got, string(v))
		}
		require.Equal(t, want, got, text)
	}
	require.Equal(t, "a\nb", string(AppendLiterals(nil, []byte(`'a\nb'`), limits, LiteralsEscaped)[0]))
	marked, ok := Marked([]byte(`SELECT'a', 5, -2.5 WHERE x = $q$b$q$`), limits, LiteralsPlain)
	require.True(t, ok)
	require.Equal(t, `SELECT 'literal 0', 1000000001, - 1000000002.5e0 WHERE x = 'literal 3'`, string(marked))
	n, ok := MarkedString("literal 3")
	require.True(t, ok)
	require.Equal(t, 3, n)
	n, ok = MarkedNumber(-1000000002)
	require.True(t, ok)
	require.Equal(t, 2, n)
	_, ok = MarkedString("literal")
	require.False(t, ok)
	_, ok = MarkedNumber(5)
	require.False(t, ok)
	_, ok = Marked([]byte("SELECT $$a$$ -- x\n 'b'"), limits, LiteralsPlain)
	require.False(t, ok)
	_, ok = Marked([]byte("SELECT 'a' -- x\n, 'b'"), limits, LiteralsPlain)
	require.True(t, ok)
}

// A marked text is the same but for its literals, of which it has as many.
func FuzzMarked(f *testing.F) {
	for _, text := range []string{`SELECT 'a', E'\'', 1.5e3, $$x$$, U&'\0041' FROM "T" -- c`, "a'b'1e5 .5 6. 'c'\n'd'", `b'1' x'f' n'o' 1a 0x1F 1_000`} {
		f.Add(text)
	}
	limits := Limits{}.WithDefaults()
	f.Fuzz(func(t *testing.T, text string) {
		for _, literals := range []Literals{LiteralsPlain, LiteralsEscaped} {
			n := &Normalised{}
			NormalisePostgresAs(n, []byte(text), limits, literals)
			marked, ok := Marked([]byte(text), limits, literals)
			if ok && n.Problem != "" {
				t.Fatalf("%q: %s", text, n.Problem)
			}
			if !ok {
				continue
			}
			words := func(b []byte) []byte { return bytes.ReplaceAll(b, []byte(" "), nil) }
			m := &Normalised{}
			NormalisePostgresAs(m, marked, limits, LiteralsPlain)
			want := bytes.ReplaceAll(n.Text, []byte("b'?'"), []byte("'?'"))
			if m.Problem != "" || !bytes.Equal(words(m.Text), words(want)) && !bytes.Contains(n.Text, []byte(`"`)) {
				t.Fatalf("%q: marked %q: %q, want %q %s", text, marked, m.Text, want, m.Problem)
			}
			if a, b := len(AppendLiterals(nil, []byte(text), limits, literals)), len(AppendLiterals(nil, marked, limits, LiteralsPlain)); a != b {
				t.Fatalf("%q: %d literals, %d when marked", text, a, b)
			}
		}
	})
}
