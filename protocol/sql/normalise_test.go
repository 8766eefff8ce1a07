package sql

import (
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

func normalise(text string) (string, int, string) {
	n := &Normalised{}
	NormalisePostgres(n, []byte(text), Limits{}.WithDefaults())
	return string(n.Text), n.Statements, n.Problem
}

func TestNormalisePostgres(t *testing.T) {
	for _, c := range []struct {
		name, text, want string
		statements       int
	}{
		{"words", "SELECT  A,b\tFROM\nT", "select a, b from t", 1},
		{"names", `SELECT "A""b", U&"\0041" FROM s."T"`, `select "A""b", U&"\0041" from s."T"`, 1},
		{"numbers", "1 23 4.5 .5 6. 7e8 9E-1 1e", "0 0 0.0 0.0 0.0 0.0 0.0 0 e", 1},
		{"number and word", "SELECT 1union SELECT 2", "select 0 union select 0", 1},
		{"later numbers", "0x1F 1_000", "0 x1f 0 _000", 1},
		{"strings", `'a' 'it''s' E'a\'b' e'\\' N'x' U&'\0041' B'10' x'ff'`, "'?' '?' '?' '?' '?' '?' b'?' b'?'", 1},
		{"continued", "'a'\n'b' 'c'", "'?' '?'", 1},
		{"continued over a comment", "'a' -- x\n 'b'", "'?'", 1},
		{"continued with escapes", "E'a'\n'b\\'c'", "'?'", 1},
		{"not continued", "'a' /* \n */ 'b'", "'?' '?'", 1},
		{"dollars", "$$a$$ $x$ $$ ; ' $x$ $1 a$b$c", "'?' '?' $1 a$b$c", 1},
		{"dollar behind number", "1$a$;$a$", "0 '?'", 1},
		{"comments", "a--;'\nb/* /* ' */ ; */c", "a b c", 1},
		{"comment in an operator", "1 +--x\n2 */* x */3", "0 + 0 * 0", 1},
		{"operators", "a<=b ->> c - -d a::int", "a <= b ->> c - - d a :: int", 1},
		{"operators apart", "a /* */ - /* */ - b /**// c", "a - - b / c", 1},
		{"semicolons", ";;a;;b;", "a; b;", 2},
		{"parentheses", "f ( a , (b) ) [1]", "f (a, (b)) [ 0 ]", 1},
		{"points", "a . b.* , c.\"D\" 1 .5", `a.b.*, c."D" 0 0.0`, 1},
		{"backslash", `'C:\dir' '\\'`, "'?' '?'", 1},
		{"body", "CREATE FUNCTION f() BEGIN ATOMIC SELECT CASE 1 WHEN 1 THEN 2 END; DELETE FROM t; END; SELECT 1", "create function f () begin atomic select case 0 when 0 then 0 end; delete from t; end; select 0", 2},
		{"actions of a rule", "CREATE RULE r AS ON INSERT TO t DO ALSO (DELETE FROM u; SELECT 1); SELECT 2", "create rule r as on insert to t do also (delete from u; select 0); select 0", 2},
		{"no body", "BEGIN ATOMIC; SELECT 1; END", "begin atomic; select 0; end", 3},
		{"not ASCII", "SELECT Ä, 'ö'", "select Ä, '?'", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, statements, problem := normalise(c.text)
			require.Empty(t, problem)
			require.Equal(t, c.want, got)
			require.Equal(t, c.statements, statements)
		})
	}
	for text, want := range map[string]string{
		`'a\' x`: Ambiguous, `'\\\'`: Ambiguous, "'a": Unclosed, `"a`: Unclosed, "$a$ $b$": Unclosed, "/* /* */": Unclosed, "E'a\\'": Unclosed,
		"$": BadDollar, "$a": BadDollar, "\xff": NotUTF8, "'a'\n'b\\'": Ambiguous,
	} {
		_, _, problem := normalise(text)
		require.Equal(t, want, problem, text)
	}
	for text, want := range map[string]string{"(((": TooDeep, "1 2 3 4 5": TooMany, "          1": TooLong} {
		n := &Normalised{}
		NormalisePostgres(n, []byte(text), Limits{Bytes: 10, Tokens: 4, Nesting: 2})
		require.Equal(t, want, n.Problem)
	}
}

// A normalised text is its own normal form, so that no two texts share one by
// chance.
func FuzzNormalisePostgres(f *testing.F) {
	for _, text := range []string{"SELECT 'a', 1.5e3, $$x$$ FROM \"T\" -- c", "a.b.*::int[] ;;", "E'\\'' U&'x' b'1' $1", "/* /* */ */ -+-"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, statements, problem := normalise(text)
		if problem != "" {
			return
		}
		if !utf8.ValidString(got) {
			t.Fatalf("%q: not UTF-8: %q", text, got)
		}
		again, count, problem := normalise(got)
		if problem != "" || again != got || count != statements {
			t.Fatalf("%q: %q, then %q (%d, %d, %s)", text, got, again, statements, count, problem)
		}
	})
}

// A text that is read as if its plain literals were escaped is the same as one in
// which they are written so.
func FuzzEscapedLiterals(f *testing.F) {
	for _, text := range []string{`SELECT 'a\', N'b\'', E'c', U&"d" -- 'e'`, "'a'\n'b\\'", `$$'$$ "'" /* ' */ 'x'y'z' n'1'`, `a'b'`, `U&'x' 'y'`} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		n := &Normalised{}
		NormalisePostgresAs(n, []byte(text), Limits{}.WithDefaults(), LiteralsEscaped)
		if n.Problem != "" {
			return
		}
		written := string(n.AppendEscaped(nil, []byte(text)))
		for _, literals := range []Literals{LiteralsPlain, LiteralsEscaped} {
			m := &Normalised{}
			NormalisePostgresAs(m, []byte(written), Limits{}.WithDefaults(), literals)
			if m.Problem != "" || string(m.Text) != string(n.Text) || m.Statements != n.Statements || m.Backslashes {
				t.Fatalf("%q: %q, written as %q: %q %s", text, n.Text, written, m.Text, m.Problem)
			}
		}
	})
}

func BenchmarkNormalisePostgres(b *testing.B) {
	n := &Normalised{}
	text := []byte("SELECT abalance FROM pgbench_accounts WHERE aid = 4711;")
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		NormalisePostgres(n, text, Limits{}.WithDefaults())
	}
}
