package postgres

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/protocol/postgres/wire"
)

// The names of prepared statements are one space, which SQL and messages of the
// protocol share: what runs by a name is judged by what it is, also when the other gave it.
func TestOneSpaceOfNames(t *testing.T) {
	g := reader(t, gateConfig{sql: `
		CREATE TABLE x (closed_at text, declared text); INSERT INTO x VALUES ('a', 'b');
		CREATE FUNCTION f() RETURNS int STABLE LANGUAGE sql AS 'SELECT 1'`})
	run := func(name string) [][]byte { return [][]byte{bind("", name), execute("", 0), sync1} }
	sql := func(text string) [][]byte { return [][]byte{query(text)} }
	prep := func(name, text string) [][]byte { return [][]byte{parse(name, text), sync1} }
	for _, c := range []struct {
		name  string
		steps [][][]byte
		fails string // of the last
	}{
		{"PREPARE, then Bind", [][][]byte{sql("PREPARE sp AS SELECT id FROM t"), run("sp")}, ""},
		{"PREPARE, then Describe", [][][]byte{sql("PREPARE sp AS SELECT id FROM t"), {describe('S', "sp"), sync1}}, ""},
		{"PREPARE with arguments, then Bind", [][][]byte{sql("PREPARE sp (int) AS SELECT id FROM t WHERE id = $1"), {msg(wire.Bind, append([]byte("\x00sp\x00"), 0, 0, 0, 1, 0, 0, 0, 1, '1', 0, 0)...), execute("", 0), sync1}}, ""},
		{"Parse, then EXECUTE", [][][]byte{prep("sp", "SELECT id FROM t"), sql("EXECUTE sp")}, ""},
		{"Parse, then EXECUTE in the same batch", [][][]byte{{parse("sp", "SELECT id FROM t"), parse("", "EXECUTE sp"), bind("", ""), execute("", 0), sync1}}, ""},
		{"PREPARE by messages, then Bind", [][][]byte{{parse("", "PREPARE sp AS SELECT id FROM t"), bind("", ""), execute("", 0), sync1}, run("sp")}, ""},
		{"PREPARE of another name", [][][]byte{prep("a", "SELECT id FROM t"), sql("PREPARE b AS SELECT 2"), run("a")}, ""},
		{"DEALLOCATE of another name", [][][]byte{prep("a", "SELECT id FROM t"), prep("b", "SELECT 2"), sql("DEALLOCATE b"), run("a")}, ""},
		{"DEALLOCATE, then Bind", [][][]byte{prep("a", "SELECT id FROM t"), sql("DEALLOCATE a"), run("a")}, "26000"},
		{"DISCARD, then all again", [][][]byte{prep("a", "SELECT id FROM t"), sql("DISCARD PLANS"), run("a")}, ""},
		{"a column's name is no CLOSE", [][][]byte{prep("a", "SELECT closed_at, declared FROM x"), run("a"), run("a")}, ""},
		{"nor is a text", [][][]byte{prep("a", "SELECT 'please close, discard or prepare'"), run("a"), run("a")}, ""},
		{"nor in a query between", [][][]byte{prep("a", "SELECT id FROM t"), sql("SELECT closed_at FROM x"), run("a")}, ""},
		{"a portal with such a name goes on", [][][]byte{{parse("", "SELECT closed_at FROM x, t"), bind("", ""), execute("", 1), execute("", 1), sync1}}, ""},
		{"a DECLARE leaves statements alone", [][][]byte{prep("a", "SELECT id FROM t"), sql("BEGIN; DECLARE c CURSOR FOR SELECT 1; COMMIT"), sql("BEGIN"), sql("/* a */ DECLARE c CURSOR FOR SELECT 1"), sql("COMMIT"), run("a")}, ""},

		{"PREPARE of a DELETE, then Bind", [][][]byte{sql("PREPARE sp AS DELETE FROM t"), run("sp")}, "26000"},
		{"Parse of a DELETE, then EXECUTE", [][][]byte{prep("sp", "DELETE FROM t"), sql("EXECUTE sp")}, "42501"},
		{"a name of both", [][][]byte{prep("sp", "SELECT 1"), sql("PREPARE sp AS SELECT id FROM t"), run("sp")}, "42501"},
		{"a name of both, other way round", [][][]byte{sql("PREPARE sp AS SELECT id FROM t"), prep("sp", "SELECT 1"), sql("EXECUTE sp")}, "42501"},
		{"given again in SQL", [][][]byte{prep("sp", "SELECT 1"), sql("DEALLOCATE sp"), sql("PREPARE sp AS SELECT id FROM t"), run("sp")}, "42501"},
		{"given again in SQL at once", [][][]byte{bytesOf(prep("sp", "SELECT 1"), sql("DEALLOCATE sp"), sql("PREPARE sp AS SELECT id FROM t")), nil, nil, run("sp")}, "42501"},
		{"by a name that nobody gave", [][][]byte{run("nobody")}, "26000"},
		{"EXECUTE of itself", [][][]byte{prep("sp", "EXECUTE sp"), sql("EXECUTE sp")}, "42501"},
		{"EXECUTE of an EXECUTE", [][][]byte{sql("PREPARE a AS SELECT 1"), prep("b", "EXECUTE a"), sql("EXECUTE b")}, "42501"},
		{"DECLARE gives a portal", [][][]byte{sql("BEGIN"), {parse("", "SELECT id FROM t"), bind("c", ""), sync1}, sql("CLOSE c"), sql("DECLARE c CURSOR FOR SELECT 1"), {execute("c", 0), sync1}}, "42501"},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn := g.raw(t)
			failed := ""
			for _, step := range c.steps {
				conn.send(bytes.Join(step, nil))
				_, failed = conn.until(wire.ReadyForQuery)
			}
			if c.fails == "" {
				require.Empty(t, failed)
			} else {
				require.Contains(t, failed, c.fails)
			}
		})
	}
	g.untouched(t)
}

// bytesOf sends several steps as one.
func bytesOf(steps ...[][]byte) (all [][]byte) {
	for _, s := range steps {
		all = append(all, s...)
	}
	return all
}

func TestFirstWord(t *testing.T) {
	for text, want := range map[string]string{
		"DECLARE c": "DECLARE", "  \n\tdeclare": "declare", "-- close\ndeclare c": "declare", "/* a /* b */ c */declare": "declare",
		";; declare": "declare", "": "", "-- only": "", "/* open": "", "(select": "", "declared x": "declared", "--a\r declare": "declare",
	} {
		require.Equal(t, want, string(firstWord([]byte(text))), text)
	}
}

// What was sent before something that may have changed a name's meaning does not
// count when its answer comes.
func TestNamesInDoubt(t *testing.T) {
	old, unknown, fresh := &statement{name: "old"}, unknownStatement, &statement{name: "fresh"}
	var n names[*statement]
	n.send([]byte("a"), old, 1)
	n.doubt(unknown)
	if x, certain := n.get([]byte("a"), 1); certain {
		require.Same(t, unknown, x)
	}
	n.settled("a", old, true)
	x, certain := n.get([]byte("a"), 2)
	require.True(t, certain)
	require.Same(t, unknown, x)
	n.send([]byte("a"), old, 2)
	n.doubtOne("a", unknown)
	n.send([]byte("a"), fresh, 2)
	n.settled("a", old, true)
	n.settled("a", fresh, true)
	x, _ = n.get([]byte("a"), 3)
	require.Same(t, fresh, x)
}
