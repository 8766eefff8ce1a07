package sql

import (
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

var mariadb = MySQLReading{Version: 101106, MariaDB: true}

func mysqlText(text string, r MySQLReading) *MySQLText {
	n := &MySQLText{}
	NormaliseMySQL(n, []byte(text), r, Limits{}.WithDefaults())
	return n
}

func TestNormaliseMySQL(t *testing.T) {
	for _, c := range []struct {
		name, text, want, clean string
		statements              int
	}{
		{"words", "SELECT  A,b\tFROM\nT", "select a,b from t", "SELECT A,b FROM T", 1},
		{"names", "SELECT `A``b`.`c`", "select `A``b`.`c`", "SELECT `A``b`.`c`", 1},
		{"numbers", "1 2.5 .5 6. 7e8 9E-1 0x1F 0b10", "0 0.0 0.0 0.0 0.0 0.0 b'?' b'?'", "1 2.5 .5 6. 7e8 9E-1 0x1F 0b10", 1},
		{"names with digits", "1a 1e 0xg 0X1F t.1a t.5 t .5", "1a 1e 0xg 0x1f t.1a t.5 t 0.0", "1a 1e 0xg 0X1F t.1a t.5 t .5", 1},
		{"strings", `'a' 'it''s' 'a\'b' "d" N'x' x'ff' b'1' _utf8'y'`, "'?' '?' '?' '?' '?' b'?' b'?' _utf8'?'", `'a' 'it\'s' 'a\'b' 'd' 'x' x'ff' b'1' _utf8'y'`, 1},
		{"comments", "a#;'\nb/* ' */c -- ;\nd", "a b c d", "a b c d", 1},
		{"no comment", "1--1 2--\t3", "0- -0 0", "1- -1 2", 1},
		{"executable", "SELECT /*!50000 a, */ /*! b*/ /*!99999 c, */ , d /*M!100100 ,e */", "select a, b , d ,e", "SELECT a, b , d ,e", 1},
		{"not of this version", "/*!50701 a */ /*!999999 /* b */ c */ d /*M!110000 e */", "d", "d", 1},
		{"few digits", "/*!5000 a */", "0 a", "5000 a", 1},
		{"a comment in an executable one", "/*! a /* x */ b */", "a b", "a b", 1},
		{"semicolons", ";;a;;b; -- c", "a; b;", "a; b;", 2},
		{"null", `SELECT \N`, "select null", "SELECT NULL", 1},
		{"spaces count", "f (a) f(a)", "f (a) f(a)", "f (a) f(a)", 1},
		{"not ASCII", "SELECT Ä, 'ö'", "select Ä, '?'", "SELECT Ä, 'ö'", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := mysqlText(c.text, mariadb)
			require.Empty(t, n.Problem)
			require.Equal(t, c.want, string(n.Text))
			require.Equal(t, c.clean, string(n.Clean))
			require.Equal(t, c.statements, n.Statements)
		})
	}
	ansi := mariadb
	ansi.ANSIQuotes = true
	n := mysqlText("SELECT \"a\"\"`b\"", ansi)
	require.Equal(t, "SELECT `a\"``b`", string(n.Clean))
	require.True(t, n.Quotes)
	plain := mariadb
	plain.NoBackslashes = true
	n = mysqlText(`SELECT 'a\' -- '`, plain)
	require.Equal(t, `SELECT 'a\\'`, string(n.Clean))
	require.True(t, n.Backslashes)
	require.False(t, mysqlText(`SELECT 'a\n'`, mariadb).Backslashes, "read in one way where its end is the same")
	n = mysqlText("/*!50000 a */ b", MySQLReading{})
	require.True(t, n.Versions)
	require.Equal(t, "a b", string(n.Text))
	require.Equal(t, "b", string(mysqlText("/*!50000 a */ b", MySQLReading{SkipVersions: true}).Text))
}

// A clean text is read as itself in every way, so that the parser reads what the
// server does.
func FuzzNormaliseMySQL(f *testing.F) {
	for _, text := range []string{"SELECT 'a\\'', \"b\"\"\", `c` /*!50000 d /* e */ */ -- f\n# g", "1a 1.5e3 0x1F x'ff' t.5 \\N", "/*M!100100 a */;;--\x01b", "a----", "\"\"''", "\"a\"`b`"} {
		f.Add(text, byte(0))
	}
	f.Fuzz(func(t *testing.T, text string, way byte) {
		r := MySQLReading{ANSIQuotes: way&1 != 0, NoBackslashes: way&2 != 0, SkipVersions: way&4 != 0}
		if way&8 != 0 {
			r.Version, r.MariaDB = 101106, way&16 != 0
		}
		n := mysqlText(text, r)
		if n.Problem != "" {
			return
		}
		if !utf8.Valid(n.Clean) || !utf8.Valid(n.Text) {
			t.Fatalf("%q: not UTF-8", text)
		}
		again := mysqlText(string(n.Clean), MySQLReading{})
		if again.Problem != "" || string(again.Text) != string(n.Text) || again.Statements != n.Statements || again.Quotes || again.Versions {
			t.Fatalf("%q: %q and %q, then %q and %q (%d, %d, %s)", text, n.Clean, n.Text, again.Clean, again.Text, n.Statements, again.Statements, again.Problem)
		}
	})
}

func BenchmarkNormaliseMySQL(b *testing.B) {
	n := &MySQLText{}
	text := []byte("SELECT balance FROM accounts WHERE id = 4711")
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		NormaliseMySQL(n, text, mariadb, Limits{}.WithDefaults())
	}
}
