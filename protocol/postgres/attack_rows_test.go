package postgres

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/protocol/postgres/wire"
	"github.com/sallyport/sallyport/proxy"
)

// Messages of the extended protocol, as a script writes them.
func parse(name, text string) []byte {
	return wire.AppendParse(nil, []byte(name), []byte(text), &wire.ParseMessage{})
}

// bind binds without parameters; formats are those of the result.
func bind(portal, name string, formats ...byte) []byte {
	b := append([]byte(portal+"\x00"+name+"\x00"), 0, 0, 0, 0, 0, byte(len(formats)))
	for _, f := range formats {
		b = append(b, 0, f)
	}
	return msg(wire.Bind, b...)
}

func describe(kind byte, name string) []byte {
	return msg(wire.Describe, append([]byte{kind}, name+"\x00"...)...)
}

func closing(kind byte, name string) []byte {
	return msg(wire.Close, append([]byte{kind}, name+"\x00"...)...)
}

func execute(portal string, rows uint32) []byte { return wire.AppendExecute(nil, portal, rows) }

func query(text string) []byte { return wire.AppendQuery(nil, []byte(text)) }

var sync1 = msg(wire.Sync)

// batches sends each batch and returns everything that came until it was
// answered.
func (c *rawClient) batches(batches ...[][]byte) (types, text string) {
	c.t.Helper()
	for _, b := range batches {
		c.send(b...)
		for {
			typ, body := c.message()
			types += string(typ)
			text += string(body)
			if typ == 0 {
				return types, text
			}
			if typ == wire.ReadyForQuery {
				break
			}
		}
	}
	return types, text
}

// However a statement's rows are asked for, the filter that belongs to them sees
// every one, and the client never sees more than it would have without a filter.
func TestAttack24WaysToRows(t *testing.T) {
	const read = "SELECT id, hidden FROM h ORDER BY id"
	g := startGate(t, gateConfig{
		sql:   "CREATE TABLE h (id int, hidden text); INSERT INTO h VALUES (1, 'secret'), (2, NULL), (3, 'secret'), (4, ''); CREATE VIEW v AS SELECT id, hidden AS other FROM h",
		chain: []proxy.Interceptor{veiling(1)},
	})
	for _, c := range []struct {
		name    string
		batches [][][]byte
		types   string
		veils   int
	}{
		{"simple", [][][]byte{{query(read)}}, "TDDDDCZ", 3},
		{"two in one", [][][]byte{{query(read + ";" + read)}}, "TDDDDCTDDDDCZ", 6},
		{"not described", [][][]byte{{parse("", read), bind("", ""), execute("", 0), sync1}}, "12DDDDCZ", 3},
		{"binary", [][][]byte{{parse("", read), bind("", "", 1), execute("", 0), sync1}}, "12DDDDCZ", 3},
		{"mixed", [][][]byte{{parse("", read), bind("", "", 1, 0), describe('P', ""), execute("", 0), sync1}}, "12TDDDDCZ", 3},
		{"statement described", [][][]byte{{parse("s", read), describe('S', "s"), sync1}, {bind("", "s"), execute("", 0), sync1}}, "1tTZ2DDDDCZ", 3},
		{"described by another batch", [][][]byte{{query("BEGIN")}, {parse("", read), bind("p", ""), describe('P', "p"), sync1}, {execute("p", 0), sync1}}, "CZ12TZDDDDCZ", 3},
		{"in parts", [][][]byte{{query("BEGIN")}, {parse("", read), bind("p", ""), execute("p", 1), execute("p", 1), sync1}, {execute("p", 1), execute("p", 0), sync1}}, "CZ12DsDsZDsDCZ", 3},
		{"portal closed and made again", [][][]byte{{parse("a", "SELECT 1"), bind("p", "a"), describe('P', "p"), closing('P', "p"), parse("b", read), bind("p", "b"), execute("p", 0), sync1}}, "12T312DDDDCZ", 3},
		{"statement made again", [][][]byte{{parse("", "SELECT 1"), describe('S', ""), parse("", read), bind("", ""), execute("", 0), sync1}}, "1tT12DDDDCZ", 3},
		{"pipelined, of two", [][][]byte{{
			parse("a", read), parse("b", "SELECT 7"), bind("1", "a"), bind("2", "b"), bind("3", "a"), execute("1", 0), execute("2", 0), execute("3", 0), sync1,
		}}, "11222DDDDCDCDDDDCZ", 6},
		{"cursor", [][][]byte{{query("BEGIN; DECLARE k CURSOR FOR " + read)}, {query("FETCH 2 FROM k; FETCH ALL FROM k")}}, "CCZTDDCTDDCZ", 3},
		{"cursor by portal", [][][]byte{{query("BEGIN; DECLARE k CURSOR FOR " + read)}, {execute("k", 1), execute("k", 0), sync1}}, "CCZDsDDDCZ", 3},
		{"PREPARE in SQL", [][][]byte{{query("PREPARE q AS " + read)}, {bind("", "q"), execute("", 0), sync1}, {query("EXECUTE q")}}, "CZ2DDDDCZTDDDDCZ", 6},
		{"RETURNING", [][][]byte{{query("BEGIN; UPDATE h SET id = id RETURNING id, hidden; ROLLBACK")}}, "CTDDDDCCZ", 3},
		{"view and alias", [][][]byte{{query("SELECT id, other AS x FROM v")}}, "TDDDDCZ", 3},
		{"after an error", [][][]byte{{parse("", "SELECT nonsense"), sync1}, {parse("", read), bind("", ""), execute("", 0), sync1}}, "EZ12DDDDCZ", 3},
		{"behind a skipped Describe", [][][]byte{
			{query("BEGIN")},
			{parse("a", read), bind("p", "a"), sync1},
			{query("SAVEPOINT s")},
			{parse("", "SELECT nonsense"), describe('P', "p"), sync1},
			{query("ROLLBACK TO s")},
			{execute("p", 0), sync1},
		}, "CZ12ZCZEZCZDDDDCZ", 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			types, text := g.raw(t).batches(c.batches...)
			require.Equal(t, c.types, types)
			require.NotContains(t, text, "secret")
			require.Equal(t, c.veils, strings.Count(text, veil))
		})
	}
}

// Texts other than the rows go through Tell: errors with all their fields, notices,
// notifications. What they are (severity, SQLSTATE) stays.
func TestAttack24Texts(t *testing.T) {
	scrub := &hooks{Hooks: proxy.Hooks{Tell: func(_ context.Context, _ proxy.Op, m *proxy.Message) error {
		for i := range m.Fields {
			if bytes.Contains(m.Fields[i].Value, []byte("secret")) {
				m.Set(i, bytes.ReplaceAll(m.Fields[i].Value, []byte("secret"), []byte(veil)))
			}
		}
		return nil
	}}}
	g := startGate(t, gateConfig{sql: "CREATE TABLE u (v text PRIMARY KEY CHECK (v <> 'bad secret')); INSERT INTO u VALUES ('secret')", chain: []proxy.Interceptor{scrub}})
	for name, c := range map[string]struct {
		text, types, code string
	}{
		"key in DETAIL":     {"INSERT INTO u VALUES ('secret')", "EZ", "23505"},
		"row in DETAIL":     {"INSERT INTO u VALUES ('bad secret')", "EZ", "23514"},
		"cast":              {"SELECT v::int FROM u", "TEZ", "22P02"},
		"notice":            {"DO $$BEGIN RAISE NOTICE '%', (SELECT v FROM u); END$$", "NCZ", ""},
		"exception":         {"DO $$BEGIN RAISE EXCEPTION USING MESSAGE = 'secret', DETAIL = 'secret', HINT = 'secret', SCHEMA = 'secret', TABLE = 'secret', COLUMN = 'secret', DATATYPE = 'secret', CONSTRAINT = 'secret', ERRCODE = 'ABCDE'; END$$", "EZ", "ABCDE"},
		"context":           {"DO $$BEGIN EXECUTE 'SELECT secret_'; END$$", "EZ", "42703"},
		"notification":      {"LISTEN c; NOTIFY c, 'secret'", "CCAZ", ""},
		"reported setting":  {"SET application_name = 'secret'", "CSZ", ""},
		"in the wrong type": {"SELECT 'secret'::uuid", "EZ", "22P02"},
	} {
		t.Run(name, func(t *testing.T) {
			types, text := g.raw(t).batches([][]byte{query(c.text)})
			require.Contains(t, []string{c.types, strings.TrimPrefix(c.types, "T"), strings.Replace(c.types, "CCAZ", "CACZ", 1), strings.Replace(c.types, "CCAZ", "CCZA", 1)}, types)
			require.NotContains(t, text, "secret")
			if !strings.HasSuffix(types, "ZA") && !strings.HasPrefix(c.types, "CC") {
				require.Contains(t, text, veil)
			}
			require.Contains(t, text, c.code)
		})
	}
}

// A filter that fails withholds the rows, and nothing of them comes.
func TestAttack24FailingFilters(t *testing.T) {
	for name, flow := range map[string]func(context.Context, proxy.Op, *proxy.Shape) (proxy.Filter, error){
		"no filter": func(context.Context, proxy.Op, *proxy.Shape) (proxy.Filter, error) {
			return proxy.Filter{}, errors.New("no")
		},
		"panic": func(context.Context, proxy.Op, *proxy.Shape) (proxy.Filter, error) { panic("secret") },
		"rows fail": func(context.Context, proxy.Op, *proxy.Shape) (proxy.Filter, error) {
			return proxy.Filter{Row: func(*proxy.Row) error { return errors.New("no") }}, nil
		},
		"rows panic": func(context.Context, proxy.Op, *proxy.Shape) (proxy.Filter, error) {
			return proxy.Filter{Row: func(*proxy.Row) error { panic("secret") }}, nil
		},
		"bytes": func(context.Context, proxy.Op, *proxy.Shape) (proxy.Filter, error) {
			return proxy.Filter{Bytes: func(dst, src []byte) ([]byte, error) { return append(dst, src...), nil }}, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := startGate(t, gateConfig{chain: []proxy.Interceptor{&hooks{Hooks: proxy.Hooks{Flow: flow}}}})
			for _, b := range [][][]byte{
				{query("SELECT 'sec'||'ret', generate_series(1, 3)")},
				{parse("", "SELECT 'sec'||'ret', generate_series(1, 3)"), bind("", ""), execute("", 0), sync1},
				{query("COPY (SELECT 'sec'||'ret' FROM generate_series(1, 3)) TO STDOUT (FORMAT binary)")},
			} {
				c := g.raw(t)
				types, text := c.batches(b)
				require.NotContains(t, text, "secret")
				require.NotContains(t, types, "D")
				if !strings.Contains(name, "panic") {
					require.Contains(t, types, "E")
					require.True(t, strings.HasSuffix(types, "Z"), types)
					c.send(query("SET work_mem = 4096"))
					types, failed := c.until(wire.ReadyForQuery)
					require.Equal(t, "CZ", types, failed)
				}
			}
		})
	}
}

// What a server does wrong while a filter is on shows no rows.
func TestAttack24HostileRows(t *testing.T) {
	column := append([]byte("a\x00"), make([]byte, 18)...)
	one := msg(wire.RowDescription, append([]byte{0, 1}, column...)...)
	two := msg(wire.RowDescription, append(append([]byte{0, 2}, column...), column...)...)
	row := func(values ...string) []byte {
		var v [][]byte
		for _, s := range values {
			v = append(v, []byte(s))
		}
		return wire.AppendRow(nil, v)
	}
	done := append(msg(wire.CommandComplete, []byte("SELECT 1\x00")...), msg(wire.ReadyForQuery, 'I')...)
	for name, answer := range map[string][][]byte{
		"fewer values than columns":  {two, row("secret"), done},
		"more values than columns":   {two, row("x", "y", "secret"), done},
		"no description":             {row("x", "secret"), done},
		"after the end":              {two, done[:len(done)-6], row("x", "secret"), done},
		"described twice":            {two, one, row("x", "secret"), done},
		"a value that is too long":   {two, msg(wire.DataRow, append([]byte{0, 2, 0, 0, 0, 1, 'x', 0, 0, 0, 99}, "secret"...)...), done},
		"bytes behind the values":    {two, msg(wire.DataRow, append([]byte{0, 2, 0, 0, 0, 1, 'x', 0, 0, 0, 1, 'y'}, "secret"...)...), done},
		"a negative length":          {two, msg(wire.DataRow, append([]byte{0, 2, 0, 0, 0, 1, 'x', 0xff, 0xff, 0xff, 0xfe}, "secret"...)...), done},
		"COPY data without a COPY":   {msg(wire.CopyData, []byte("x\tsecret\n")...), done},
		"a function's result":        {msg(wire.FunctionCallResponse, append([]byte{0, 0, 0, 6}, "secret"...)...), done},
		"COPY data behind its end":   {msg(wire.CopyOutResponse, 1, 0, 2, 0, 1, 0, 1), msg(wire.CopyDone), msg(wire.CopyData, []byte("secret")...), done},
		"rows in the middle of COPY": {msg(wire.CopyOutResponse, 1, 0, 2, 0, 1, 0, 1), row("x", "secret"), done},
		"a COPY both ways":           {msg(wire.CopyBothResponse, 0, 0, 0), msg(wire.CopyData, []byte("secret")...), done},
	} {
		t.Run(name, func(t *testing.T) {
			g := hostile(t, gateConfig{chain: []proxy.Interceptor{veiling(1)}}, answering(bytes.Join(answer, nil)))
			for _, b := range [][][]byte{{query("SELECT 1")}} {
				c := g.raw(t)
				types, text := c.batches(b)
				require.NotContains(t, text, "secret", types)
			}
		})
	}
}

// What the gateway sends in the place of something refused fails whatever names
// the client has given to its own things.
func TestAttack20PoisonedNames(t *testing.T) {
	argument := &hooks{Hooks: proxy.Hooks{Ask: func(_ context.Context, op proxy.Op) proxy.Verdict {
		s, ok := op.(*proxy.Statement)
		if ok && (len(s.Args) > 0 && string(s.Args[0].Value) == "evil" || bytes.Contains(s.Text, []byte("evil text"))) {
			return proxy.Deny(proxy.CauseGuardrail, "no-evil", "not with this argument", "")
		}
		return proxy.Pass()
	}}}
	g := startGate(t, gateConfig{sql: "CREATE TABLE t (id int); INSERT INTO t VALUES (1), (2)", chain: []proxy.Interceptor{argument}})
	const name = "refused by the gateway"
	evil := msg(wire.Bind, append([]byte(name+"\x00"+name+"\x00"), 0, 0, 0, 1, 0, 0, 0, 4, 'e', 'v', 'i', 'l', 0, 0)...)
	c := g.raw(t)
	types, _ := c.batches([][]byte{parse(name, "DELETE FROM t WHERE $1 = 'evil'"), evil, execute(name, 0), sync1})
	require.Equal(t, "12EZ", types)
	types, text := c.batches([][]byte{parse("", "SELECT 7"), sync1}, [][]byte{evil, execute(name, 0), sync1}, [][]byte{parse("x", "evil text"), sync1}, [][]byte{bind("", ""), execute("", 0), sync1})
	require.Equal(t, "1Z2EZEZ2DCZ", types, "what has no name is as it was: %s", text)
	g.untouched(t)
}

// What interceptors put in the place of a text or a value cannot break the
// framing.
func TestAttack80Replacements(t *testing.T) {
	const nul = "a\x00Cinjected\x00b"
	put := &hooks{Hooks: proxy.Hooks{
		Ask: func(_ context.Context, op proxy.Op) proxy.Verdict {
			st, ok := op.(*proxy.Statement)
			switch {
			case ok && string(st.Text) == "rewrite":
				return proxy.Verdict{Action: proxy.ActionRewrite, Text: []byte("SELECT 1\x00; SELECT 2")}
			case ok && string(st.Text) == "rewrite to nothing":
				return proxy.Verdict{Action: proxy.ActionRewrite}
			case ok && string(st.Text) == "refuse":
				return proxy.Deny(proxy.CausePolicy, nul, nul, nul)
			}
			v := proxy.Pass()
			v.Warn = nul
			return v
		},
		Tell: func(_ context.Context, _ proxy.Op, m *proxy.Message) error {
			for i := range m.Fields {
				m.Set(i, []byte(nul))
			}
			return nil
		},
		Flow: func(context.Context, proxy.Op, *proxy.Shape) (proxy.Filter, error) {
			return proxy.Filter{Row: func(r *proxy.Row) error { r.Set(0, []byte(nul)); r.Set(1, nil); return nil }}, nil
		},
	}}
	g := startGate(t, gateConfig{chain: []proxy.Interceptor{put}})
	c := g.raw(t)
	check := func(typ byte, body []byte) {
		switch typ {
		case wire.ErrorResponse, wire.NoticeResponse:
			fields, err := wire.ParseFields(body, nil)
			require.NoError(t, err)
			for _, f := range fields {
				require.NotEqual(t, "injected", string(f.Value))
			}
		case wire.ParameterStatus:
			_, _, err := wire.ParseStatus(body)
			require.NoError(t, err)
		case wire.NotificationResponse:
			_, _, _, err := wire.ParseNotification(body)
			require.NoError(t, err)
		case wire.DataRow:
			values, err := wire.RowValues(body, nil)
			require.NoError(t, err)
			require.Equal(t, [][]byte{[]byte(nul), nil}, values)
		}
	}
	for _, text := range []string{
		"rewrite", "rewrite to nothing", "refuse", "SELECT 'x', 'y'", "SELECT nonsense", "SET application_name = 'x'", "LISTEN c; NOTIFY c, 'x'",
		"DO $$BEGIN RAISE NOTICE 'x'; END$$", "COPY (SELECT 'x', 'y') TO STDOUT (FORMAT binary)",
	} {
		c.send(query(text))
		for {
			typ, body := c.message()
			require.NotZero(t, typ, text)
			check(typ, body)
			if typ == wire.ReadyForQuery {
				break
			}
		}
	}
}

// Filters are told where each column comes from, under whatever name.
func TestAttack25Origins(t *testing.T) {
	var seen []proxy.ShapeColumn
	watch := &hooks{Hooks: proxy.Hooks{Flow: func(_ context.Context, _ proxy.Op, s *proxy.Shape) (proxy.Filter, error) {
		seen = s.Columns
		return proxy.Filter{}, nil
	}}}
	g := startGate(t, gateConfig{sql: "CREATE TABLE p (id int, ssn text); CREATE VIEW v AS SELECT ssn AS other FROM p; INSERT INTO p VALUES (1, 'x')", chain: []proxy.Interceptor{watch}})
	c := g.raw(t)
	for text, attributes := range map[string][]uint16{
		"SELECT ssn AS a, id AS ssn FROM p":                               {2, 1},
		"SELECT * FROM p":                                                 {1, 2},
		"SELECT x.h FROM (SELECT ssn AS h FROM p) x":                      {2},
		"WITH q AS MATERIALIZED (SELECT ssn AS h FROM p) SELECT h FROM q": {2},
		"SELECT other FROM v":                                             {1},
		"SELECT ssn FROM p UNION ALL SELECT 'x'":                          {0},
		"SELECT upper(ssn), ssn || '' FROM p":                             {0, 0},
		"UPDATE p SET id = id RETURNING ssn, id":                          {2, 1},
	} {
		for _, b := range [][][]byte{{query(text)}, {parse("", text), bind("", "", 1), execute("", 0), sync1}} {
			c.batches(b)
			var got []uint16
			for _, column := range seen {
				got = append(got, column.Attr)
				require.Equal(t, column.Attr != 0, column.Table != 0)
			}
			require.Equal(t, attributes, got, text)
		}
	}
}
