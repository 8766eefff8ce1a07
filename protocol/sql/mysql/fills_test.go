package mysql

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
)

// fillsText is what fills say, in one line.
func fillsText(f *proxy.Fills, literals [][]byte) string {
	source := func(s proxy.Source) string {
		text := map[proxy.SourceKind]string{proxy.SourceParam: fmt.Sprint("?", s.N), proxy.SourceNull: "NULL"}[s.Kind]
		if s.Kind == proxy.SourceLiteral {
			text = string(literals[s.N])
		}
		if s.Part {
			text = "~" + text
		}
		return text
	}
	var all []string
	for _, c := range f.Columns {
		var values []string
		for _, v := range c.Values {
			values = append(values, source(v))
		}
		text := c.Relation + "." + c.Column + "=" + strings.Join(values, "|")
		if c.Over {
			text += " over"
		}
		all = append(all, text)
	}
	for _, s := range f.Called {
		all = append(all, "called "+source(s))
	}
	if f.Unknown != "" {
		all = append(all, "unknown")
	}
	return strings.Join(all, ", ")
}

func TestFills(t *testing.T) {
	a := New(Config{Catalog: shop()})
	for _, c := range []struct{ text, want string }{
		{"UPDATE people SET ssn = 'x', name = ? WHERE id = 3", "people.ssn=x over, people.name=?0 over"},
		{"UPDATE people SET ssn = CONCAT('a', 'b'), name = NULL", "people.ssn=~a|~b over, people.name=NULL over"},
		{`UPDATE people SET ssn = 'it''s', name = "two"`, "people.ssn=it's over, people.name=two over"},
		{`UPDATE people SET ssn = 'a\tb' WHERE name = 'other'`, "people.ssn=a\tb over"},
		{"UPDATE v SET a = 'x'", "people.ssn=x over"},
		{"UPDATE people p JOIN orders o ON o.person = p.id SET p.ssn = 'x', o.total = 5 WHERE o.id > 7", "people.ssn=x over, orders.total=5 over"},
		{"INSERT INTO people (id, ssn) VALUES (1, 'x'), (2, ?)", "people.id=1|2, people.ssn=x|?0"},
		{"INSERT INTO people VALUES (1, 'n', X'616263')", "people.id=1, people.name=n, people.ssn=abc"},
		{"INSERT INTO people SET ssn = 'x'", "people.ssn=x"},
		{"INSERT INTO people (ssn) SELECT 'x' FROM orders WHERE total = 4", "people.ssn=x"},
		{"INSERT INTO people (id, ssn) VALUES (1, 'x') ON DUPLICATE KEY UPDATE ssn = VALUES(ssn), name = 'y'", "people.id=1 over, people.ssn=x over, people.ssn=x over, people.name=y over"},
		{"REPLACE INTO people (ssn) VALUES ('x')", "people.ssn=x over"},
		{"INSERT INTO people (ssn) VALUES ('x') RETURNING id", "people.ssn=x"},
		{"SELECT 'x' FROM people WHERE ssn = 'y'", ""},
		{"DELETE FROM people WHERE ssn = 'y'", ""},
		{"CALL p('x', ?)", "called x, called ?0"},
		{"SELECT own('x')", "called x"},
		{"UPDATE people SET ssn = 'x'; INSERT INTO orders VALUES (1, 2, 3)", "people.ssn=x over, orders.id=1, orders.person=2, orders.total=3"},
		{"UPDATE nowhere SET ssn = 'x'", "unknown"},
		{"UPDATE people SET ssn = 'x' 'y'", "unknown"},
		{"EXECUTE s USING @x", "unknown"},
		{"this is no SQL 'x'", "unknown"},
	} {
		r := &proxy.Reading{Dialect: Dialect, MariaDB: true, Version: 101106, Certain: true, BackslashLiterals: true, Names: proxy.Names{Path: "shop"}}
		literals := a.Literals(nil, []byte(c.text), r)
		require.Equal(t, c.want, fillsText(a.Fills(context.Background(), []byte(c.text), r), literals), c.text)
		require.Equal(t, c.want, fillsText(a.Fills(context.Background(), []byte(c.text), r), literals), c.text) // as remembered
	}
	for _, c := range []struct {
		text, with, want string
		plain            bool
	}{
		{"SELECT 5, 'a', \"b\" FROM t WHERE x = ? AND y = N'c'", `it's \`, "SELECT 'it''s \\\\', 'it''s \\\\', 'it''s \\\\' FROM t WHERE x = ? AND y = 'it''s \\\\'", false},
		{"SELECT 'a\\'", `\`, `SELECT '\'`, true},
	} {
		got, err := a.Replace(nil, []byte(c.text), &proxy.Reading{BackslashLiterals: !c.plain}, func(int) ([]byte, bool) { return []byte(c.with), true })
		require.NoError(t, err)
		require.Equal(t, c.want, string(got))
	}
	_, err := a.Replace(nil, []byte("SELECT 'a"), &proxy.Reading{}, func(int) ([]byte, bool) { return nil, true })
	require.Error(t, err)
}
