package postgres

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/pgembed"
	"github.com/sallyport/sallyport/protocol/postgres/wire"
	sqlpostgres "github.com/sallyport/sallyport/protocol/sql/postgres"
	"github.com/sallyport/sallyport/proxy"
)

// Every type of message with every small body: an error or an answer, never a
// panic, and others work on.
func TestAttack14ShortBodies(t *testing.T) {
	panics := 0
	g := startGate(t, gateConfig{gateway: func(g *proxy.Gateway) {
		g.OnEvent = func(e proxy.Event) {
			if e.Kind == proxy.EventPanic {
				panics++
			}
		}
	}})
	for _, typ := range []byte("BCDEFHPQSXcdfp") {
		c := g.raw(t)
		for n := 0; n <= 16; n++ {
			for _, fill := range []byte{0, 1, 0xff} {
				c.SetDeadline(time.Now().Add(20 * time.Second))
				if _, err := c.Write(append(msg(typ, bytes.Repeat([]byte{fill}, n)...), msg(wire.Sync)...)); err != nil {
					c = g.raw(t)
					continue
				}
				types, _ := c.until(wire.ReadyForQuery)
				if strings.HasSuffix(types, "$") {
					c = g.raw(t)
				}
			}
		}
		c.Close()
	}
	require.Zero(t, panics)
	g.raw(t).works()
}

func TestAttack15BindLengths(t *testing.T) {
	g := startGate(t, gateConfig{})
	u16 := func(n uint16) []byte { return binary.BigEndian.AppendUint16(nil, n) }
	u32 := func(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }
	for name, body := range map[string][]byte{
		"length -2":          bytes.Join([][]byte{{0, 0}, u16(0), u16(1), u32(0xfffffffe), u16(0)}, nil),
		"length INT_MIN":     bytes.Join([][]byte{{0, 0}, u16(0), u16(1), u32(0x80000000), u16(0)}, nil),
		"more than there is": bytes.Join([][]byte{{0, 0}, u16(0), u16(1), u32(100), {1}, u16(0)}, nil),
		"formats differ":     bytes.Join([][]byte{{0, 0}, u16(3), u16(0), u16(1), u16(0), u16(1), u32(1), {'a'}, u16(0)}, nil),
		"unknown format":     bytes.Join([][]byte{{0, 0}, u16(1), u16(7), u16(1), u32(1), {'a'}, u16(0)}, nil),
		"65535 parameters":   bytes.Join([][]byte{{0, 0}, u16(0), u16(65535), bytes.Repeat(u32(0xffffffff), 65534)}, nil),
		"more behind":        bytes.Join([][]byte{{0, 0}, u16(0), u16(0), u16(0), {1}}, nil),
	} {
		t.Run(name, func(t *testing.T) {
			c := g.raw(t)
			c.send(wire.AppendParse(nil, nil, []byte("SELECT $1::text"), &wire.ParseMessage{}), msg(wire.Bind, body...), wire.AppendExecute(nil, "", 0), msg(wire.Sync))
			types, failed := c.until(wire.ReadyForQuery)
			require.NotContains(t, types, "D", "no row may come")
			require.NotEmpty(t, failed)
		})
	}
	t.Run("65535 parameters that are there", func(t *testing.T) {
		c := g.raw(t)
		marks := make([]string, 65535)
		for i := range marks {
			marks[i] = fmt.Sprintf("$%d", i+1)
		}
		bind := bytes.Join([][]byte{{0, 0}, u16(0), u16(65535), bytes.Repeat(append(u32(1), '7'), 65535), u16(0)}, nil)
		c.send(wire.AppendParse(nil, nil, []byte("SELECT 1 WHERE 7 IN ("+strings.Join(marks, ",")+")"), &wire.ParseMessage{}),
			msg(wire.Bind, bind...), wire.AppendExecute(nil, "", 0), msg(wire.Sync))
		types, failed := c.until(wire.ReadyForQuery)
		require.Equal(t, "12DCZ", types, failed)
	})
}

// A length that is declared is not memory that is taken.
func TestAttack16DeclaredLengths(t *testing.T) {
	g := startGate(t, gateConfig{})
	before := memory()
	for _, typ := range []byte("QPBdpF") {
		c := g.raw(t)
		c.send([]byte{typ, 0x7f, 0xff, 0xff, 0xff, 1, 2, 3, 4, 5})
		c.Conn.(*net.TCPConn).CloseWrite()
		c.until(0)
	}
	require.Less(t, memory(), before+32<<20)
}

func TestAttack17LengthsAndTypes(t *testing.T) {
	g := startGate(t, gateConfig{})
	for name, bytes := range map[string][]byte{
		"length 3":              {'Q', 0, 0, 0, 3},
		"length 0":              {'Q', 0, 0, 0, 0},
		"length -1":             {'Q', 0xff, 0xff, 0xff, 0xff},
		"unknown type":          msg('!', 1, 2, 3),
		"a server's type":       msg('Z', 'I'),
		"a password when ready": msg('p', 'a', 0),
		"a second startup":      wire.AppendStartup(nil, wire.Version30, []wire.Parameter{{Name: "user", Value: "mallory"}}),
		"TLS when ready":        wire.AppendSSLRequest(nil),
	} {
		t.Run(name, func(t *testing.T) {
			c := g.raw(t)
			c.send(bytes)
			c.Conn.(*net.TCPConn).CloseWrite()
			require.NotEmpty(t, c.ended())
		})
	}
}

func TestAttack18NULs(t *testing.T) {
	h := denying("secret")
	g := startGate(t, gateConfig{chain: []proxy.Interceptor{h}})
	for name, body := range map[string]string{
		"inside": "SELECT 1\x00; SELECT 'secret'\x00", "two": "SELECT 1\x00\x00", "missing": "SELECT 1", "none at all": "",
	} {
		t.Run(name, func(t *testing.T) {
			c := g.raw(t)
			c.send(msg(wire.Query, []byte(body)...))
			types, failed := c.until(wire.ReadyForQuery)
			require.NotContains(t, types, "D", "nothing of it may run")
			require.NotEmpty(t, failed)
			c.works()
		})
	}
}

// A message whose body is not of its type is answered as the server answers it, and
// the session goes on.
func TestMalformedBodies(t *testing.T) {
	g := startGate(t, gateConfig{settings: Settings{FunctionCall: true}})
	host, port, err := net.SplitHostPort(g.pg.Address())
	require.NoError(t, err)
	direct := func() *rawClient {
		c, err := loggedIn(fmt.Sprintf("sslmode=disable user=%s password=%s host=%s port=%s dbname=%s", pgembed.User, g.pg.Password, host, port, g.db))
		require.NoError(t, err)
		t.Cleanup(func() { c.Close() })
		return &rawClient{t, c}
	}
	for name, c := range map[string][]byte{
		"Query without its zero byte":  msg(wire.Query, []byte("SELECT 1")...),
		"Query without anything":       msg(wire.Query),
		"Query with more behind":       msg(wire.Query, []byte("SELECT 1\x00; SELECT 2\x00")...),
		"Parse without a text":         append(msg(wire.Parse, []byte("a\x00SELECT 1")...), sync1...),
		"Parse without types":          append(msg(wire.Parse, []byte("a\x00SELECT 1\x00")...), sync1...),
		"Parse with too few types":     append(msg(wire.Parse, []byte("a\x00SELECT 1\x00\x00\x02\x00\x00\x00\x00")...), sync1...),
		"Parse with more behind":       append(msg(wire.Parse, []byte("a\x00SELECT 1\x00\x00\x00x")...), sync1...),
		"Bind without values":          bytes.Join([][]byte{parse("", "SELECT 1"), msg(wire.Bind, 0, 0, 0, 0), execute("", 0), sync1}, nil),
		"Execute without a number":     bytes.Join([][]byte{parse("", "SELECT 1"), bind("", ""), msg(wire.Execute, 0), sync1}, nil),
		"Execute without a name":       bytes.Join([][]byte{parse("", "SELECT 1"), bind("", ""), msg(wire.Execute), sync1}, nil),
		"Describe without a name":      bytes.Join([][]byte{parse("", "SELECT 1"), msg(wire.Describe, 'S'), sync1}, nil),
		"Close without a name":         bytes.Join([][]byte{msg(wire.Close, 'P'), sync1}, nil),
		"after an error":               bytes.Join([][]byte{parse("", "nonsense"), msg(wire.Parse), msg(wire.Query), sync1}, nil),
		"between statements":           bytes.Join([][]byte{parse("", "SELECT 1"), bind("", ""), execute("", 0), msg(wire.Parse), execute("", 0), sync1}, nil),
		"a function call without most": msg(wire.FunctionCall, 0, 0),
	} {
		t.Run(name, func(t *testing.T) {
			server, gateway := direct(), g.raw(t)
			server.send(c)
			gateway.send(c)
			wantTypes, want := server.until(wire.ReadyForQuery)
			types, got := gateway.until(wire.ReadyForQuery)
			require.Equal(t, wantTypes+" "+want, types+" "+got)
			gateway.works()
		})
	}
}

// Statements and data have limits of their own, which are those of the resource. What
// is over them is refused, and the session goes on.
func TestLimits(t *testing.T) {
	length := func(n int) []byte {
		return bytes.Join([][]byte{parse("", "SELECT length($1)"), argument(bytes.Repeat([]byte("x"), n)), execute("", 0), sync1}, nil)
	}
	comment := func(n int) []byte { return query("SELECT 1 /*" + strings.Repeat("x", n) + "*/") }
	t.Run("defaults", func(t *testing.T) {
		c := startGate(t, gateConfig{}).raw(t)
		go c.Write(length(64 << 20))
		types, failed := c.until(wire.ReadyForQuery)
		require.Equal(t, "12DCZ", types, failed)
		go c.Write(comment(64 << 20))
		_, failed = c.until(wire.ReadyForQuery)
		require.Contains(t, failed, "54000")
		c.works()
	})
	rows := &hooks{Hooks: proxy.Hooks{Flow: func(context.Context, proxy.Op, *proxy.Shape) (proxy.Filter, error) {
		return proxy.Filter{Row: func(*proxy.Row) error { return nil }}, nil
	}}}
	g := startGate(t, gateConfig{
		sql: "CREATE TABLE t (a text)", settings: Settings{MaxStatement: 1000, MaxData: 5000, FunctionCall: true}, chain: []proxy.Interceptor{rows},
		handler: func(h *Handler) { h.Analyzer = sqlpostgres.New(sqlpostgres.Config{}) },
	})
	call := func(n int) []byte { // of length(text)
		b := append(binary.BigEndian.AppendUint32(nil, 1317), 0, 0, 0, 1)
		b = append(binary.BigEndian.AppendUint32(b, uint32(n)), bytes.Repeat([]byte("x"), n)...)
		return msg(wire.FunctionCall, append(b, 0, 0)...)
	}
	for name, c := range map[string]struct {
		send        []byte
		types, says string
	}{
		"a statement":                  {comment(900), "TDCZ", ""},
		"a long one":                   {comment(1000), "EZ", "54000 this statement is longer than the limit of 1000 bytes"},
		"a long one to prepare":        {append(parse("", "SELECT '"+strings.Repeat("x", 1000)+"'"), sync1...), "EZ", "54000 this statement is"},
		"arguments":                    {length(4900), "12DCZ", ""},
		"long ones":                    {length(5000), "1EZ", "54000 this set of arguments is longer than the limit of 5000 bytes"},
		"of a function call":           {call(4900), "VZ", ""},
		"long ones of a function call": {call(5000), "EZ", "54000 this set of arguments is"},
		"long ones after an error":     {bytes.Join([][]byte{parse("", "nonsense"), length(5000)}, nil), "EZ", "42601"},
		"long ones in a row":           {bytes.Join([][]byte{length(5000), length(5000)}, nil), "1EZ", "54000"},
		"COPY data":                    {bytes.Join([][]byte{query("COPY t FROM STDIN"), msg(wire.CopyData, bytes.Repeat(append(bytes.Repeat([]byte("x"), 1000), '\n'), 100)...), msg(wire.CopyDone)}, nil), "GCZ", ""},
		"a row of a COPY":              {query("COPY (SELECT repeat('x', 4900)) TO STDOUT"), "HdcCZ", ""},
	} {
		t.Run(name, func(t *testing.T) {
			conn := g.raw(t)
			conn.send(c.send)
			types, failed := conn.until(wire.ReadyForQuery)
			require.Equal(t, c.types, types, failed)
			require.Contains(t, failed, c.says)
			if name == "long ones in a row" {
				conn.until(wire.ReadyForQuery)
			}
			conn.works()
		})
	}
	for _, text := range []string{"SELECT repeat('x', 5000)", "COPY (SELECT repeat('x', 5000)) TO STDOUT"} {
		conn := g.raw(t)
		conn.send(query(text))
		types, failed := conn.until(0)
		require.NotContains(t, types, "D", text)
		require.Contains(t, failed, "54000", text)
	}
	for key, s := range map[string]Settings{"max_statement": {MaxStatement: -1}, "max_data": {MaxData: 1 << 30}} {
		require.ErrorContains(t, s.Validate(), key)
	}
	require.NoError(t, (&Settings{MaxStatement: 1<<30 - 1, MaxData: 1}).Validate())
}

// reader is a gate whose rule refuses what deletes, by what statements do.
func reader(t testing.TB, c gateConfig) *gate {
	t.Helper()
	c.sql = "CREATE TABLE t (id int); INSERT INTO t VALUES (1), (2);" + c.sql
	c.handler = func(h *Handler) { h.Analyzer = sqlpostgres.New(sqlpostgres.Config{}) }
	c.chain = append(c.chain, &hooks{Hooks: proxy.Hooks{Ask: func(_ context.Context, op proxy.Op) proxy.Verdict {
		reads := proxy.EffectRead | proxy.EffectCopyOut | proxy.EffectShow | proxy.EffectTransaction | proxy.EffectSet | proxy.EffectPrepare
		if s, ok := op.(*proxy.Statement); ok && s.Facts.Effects.Has(^reads) {
			return proxy.Deny(proxy.CausePolicy, "read-only", "this does more than read: "+s.Facts.Effects.String(), "")
		}
		return proxy.Pass()
	}}})
	return startGate(t, c)
}

func (g *gate) untouched(t testing.TB) {
	t.Helper()
	out, err := g.pg.Exec(context.Background(), g.db, "SELECT count(*) FROM t")
	require.NoError(t, err)
	require.Equal(t, "2", out)
}

func TestAttack19ManyStatements(t *testing.T) {
	g := reader(t, gateConfig{})
	c := g.raw(t)
	for text, want := range map[string]bool{
		"SELECT 1; DELETE FROM t":                              false,
		"SELECT ';'; DELETE FROM t":                            false,
		"SELECT 1 /* ; */; DELETE FROM t --":                   false,
		"SELECT $a$ ; $a$; DELETE FROM t":                      false,
		"SELECT E'\\'; '; DELETE FROM t":                       false,
		"SELECT E'\\\\'; DELETE FROM t; --'":                   false,
		"SELECT U&\"d\\0061ta\" FROM (SELECT 1 AS data) x":     true,
		"DELETE FROM U&\"\\0074\"":                             false,
		"SELECT '; DELETE FROM t'":                             true,
		"SELECT 1 -- ; DELETE FROM t":                          true,
		"SELECT 1 /* ; DELETE /* nested */ FROM t */":          true,
		"SELECT $a$ ; DELETE FROM t $a$":                       true,
		"SELECT E'\\'; DELETE FROM t; --'":                     true,
		"SELECT 1/**/;/**/DELETE/**/FROM/**/t":                 false,
		"SELECT 'a' --\n'; DELETE FROM t; SELECT '":            true,
		"SELECT 1 AS \"; DELETE FROM t\"":                      true,
		"BEGIN; DELETE FROM t; COMMIT":                         false,
		"SELECT 'it''s'; DELETE FROM t; SELECT ''''":           false,
		"SELECT B'1'; DELETE FROM t":                           false,
		"SELECT 1::text;DELETE FROM t":                         false,
		"SELECT 1e1;DELETE FROM t":                             false,
		"\u00a0SELECT 1; DELETE FROM t":                        false,
		"WITH x AS (SELECT 1) SELECT * FROM x; DELETE FROM t;": false,
	} {
		c.send(wire.AppendQuery(nil, []byte(text)))
		types, failed := c.until(wire.ReadyForQuery)
		require.Equal(t, want, failed == "", "%s: %s %s", text, types, failed)
	}
	g.untouched(t)
}

func TestAttack20Names(t *testing.T) {
	g := reader(t, gateConfig{})
	parse := func(name, text string) []byte {
		return wire.AppendParse(nil, []byte(name), []byte(text), &wire.ParseMessage{})
	}
	bind := func(portal, name string) []byte {
		return msg(wire.Bind, append(append([]byte(portal+"\x00"+name+"\x00"), 0, 0), 0, 0, 0, 0)...)
	}
	closing := func(kind byte, name string) []byte { return msg(wire.Close, append([]byte{kind}, name+"\x00"...)...) }
	execute := func(portal string) []byte { return wire.AppendExecute(nil, portal, 0) }
	sync := msg(wire.Sync)
	const bad, good = "DELETE FROM t", "SELECT id FROM t"
	for name, messages := range map[string][][]byte{
		"in Parse alone":               {parse("a", bad), sync},
		"by name":                      {parse("a", bad), bind("", "a"), execute(""), sync},
		"parsed again under its name":  {parse("", good), bind("p", ""), parse("", bad), bind("", ""), execute(""), sync},
		"closed and made again":        {parse("a", good), closing('S', "a"), parse("a", bad), bind("", "a"), execute(""), sync},
		"portal closed and made again": {parse("a", good), bind("p", "a"), closing('P', "p"), parse("b", bad), bind("p", "b"), execute("p"), sync},
		"behind a failing message":     {parse("a", "SELECT nonsense"), sync, parse("", bad), bind("", ""), execute(""), sync},
		"behind a refused one":         {parse("a", bad), sync, parse("b", good), bind("", "b"), execute(""), parse("c", bad), bind("", "c"), execute(""), sync},
		"as SQL's PREPARE":             {wire.AppendQuery(nil, []byte("PREPARE a AS DELETE FROM t")), bind("", "a"), execute(""), sync},
		"a name taken twice":           {parse("a", good), parse("a", bad), bind("", "a"), execute(""), sync},
	} {
		t.Run(name, func(t *testing.T) {
			c := g.raw(t)
			c.send(messages...)
			failed := ""
			for range messages {
				types, f := c.until(wire.ReadyForQuery)
				if f != "" {
					failed = f
				}
				if f != "" && strings.Contains(f, "42501") || strings.HasSuffix(types, "$") {
					break
				}
			}
			require.Contains(t, failed, "42501")
		})
	}
	g.untouched(t)
}

// What runs text that the protocol does not show is refused where reading is
// all that is allowed.
func TestAttack21HiddenText(t *testing.T) {
	g := reader(t, gateConfig{sql: "CREATE FUNCTION wipe() RETURNS void LANGUAGE sql AS 'DELETE FROM t'"})
	c := g.raw(t)
	for _, text := range []string{
		"PREPARE p AS DELETE FROM t", "EXECUTE p", "DO $$BEGIN DELETE FROM t; END$$", "SELECT wipe()", "SELECT * FROM wipe()", "CALL wipe()",
		"CREATE FUNCTION w() RETURNS void LANGUAGE sql AS 'DELETE FROM t'", "SELECT query_to_xml('DELETE FROM t', true, true, '')",
		"EXPLAIN ANALYZE DELETE FROM t", "SELECT (SELECT wipe() FROM t LIMIT 1)", "CREATE TABLE u AS SELECT 1", "SET ROLE nobody",
		"SELECT set_config('role', 'x', false)", "LOAD 'x'", "SELECT lo_import('/etc/passwd')", "COPY t TO PROGRAM 'sh'", "COPY t FROM STDIN",
	} {
		c.send(wire.AppendQuery(nil, []byte(text)))
		_, failed := c.until(wire.ReadyForQuery)
		require.Contains(t, failed, "42501", text)
	}
	g.untouched(t)
	c.works()
}

func TestAttack22FunctionCall(t *testing.T) {
	g := startGate(t, gateConfig{})
	c := g.raw(t)
	call := binary.BigEndian.AppendUint32(nil, 957) // lo_creat
	c.send(msg(wire.FunctionCall, append(call, 0, 0, 0, 1, 0, 0, 0, 1, '1', 0, 0)...))
	_, failed := c.until(wire.ReadyForQuery)
	require.Contains(t, failed, "42501")
	c.works()
}

// A row that is larger than memory passes, or breaks off, without being held.
func TestAttack26HugeRow(t *testing.T) {
	const size = 1 << 30
	g := hostile(t, gateConfig{}, func(c net.Conn) {
		if !welcome(c) {
			return
		}
		c.Read(make([]byte, 1024))
		description := msg(wire.RowDescription, append(append([]byte{0, 1}, "a\x00"...), make([]byte, 18)...)...)
		header := binary.BigEndian.AppendUint32([]byte{wire.DataRow}, size+4+2+4)
		header = binary.BigEndian.AppendUint32(append(header, 0, 1), size)
		c.Write(append(description, header...))
		chunk := make([]byte, 1<<20)
		for range size / len(chunk) / 8 { // an eighth of what was declared
			if _, err := c.Write(chunk); err != nil {
				return
			}
		}
	})
	c := g.raw(t)
	before := memory()
	c.send(wire.AppendQuery(nil, []byte("SELECT 1")))
	total, top := 0, uint64(0)
	buf := make([]byte, 1<<20)
	for {
		n, err := c.Read(buf)
		if total += n; total>>25 != (total-n)>>25 {
			top = max(top, memory())
		}
		if err != nil {
			require.False(t, isTimeout(err))
			break
		}
	}
	require.Greater(t, total, size/8)
	require.Less(t, top, before+8<<20)
}

func TestAttack28TransactionStates(t *testing.T) {
	g := startGate(t, gateConfig{chain: []proxy.Interceptor{denying("secret")}})
	c := g.raw(t)
	state := func(text string) byte {
		c.send(wire.AppendQuery(nil, []byte(text)))
		for {
			typ, body := c.message()
			if typ == wire.ReadyForQuery {
				return body[0]
			}
			require.NotZero(t, typ)
		}
	}
	require.Equal(t, byte('I'), state("SELECT 'secret'"))
	require.Equal(t, byte('T'), state("BEGIN"))
	require.Equal(t, byte('E'), state("SELECT 'secret'"))
	require.Equal(t, byte('E'), state("SELECT 1"))
	require.Equal(t, byte('I'), state("ROLLBACK"))
	require.Equal(t, byte('T'), state("BEGIN; SAVEPOINT a"))
	require.Equal(t, byte('E'), state("SELECT 'secret'"))
	require.Equal(t, byte('T'), state("ROLLBACK TO a"))
	require.Equal(t, byte('I'), state("COMMIT"))
	c.works()
}

// A cancel key is the server's process and a secret of the gateway's own: another
// session's, a guessed and the server's real one cancel nothing, also when several
// servers have a process of that number.
func TestAttack29CancelKeys(t *testing.T) {
	g := startGate(t, gateConfig{})
	victim, other := g.connect(t, "sslmode=disable"), g.connect(t, "sslmode=disable")
	var pid uint32
	require.NoError(t, victim.QueryRow(context.Background(), "SELECT pg_backend_pid()").Scan(&pid))
	require.Equal(t, pid, victim.PgConn().PID())
	slept := make(chan error, 1)
	go func() {
		_, err := victim.Exec(context.Background(), "SELECT pg_sleep(2)")
		slept <- err
	}()
	require.Eventually(t, func() bool {
		running, err := g.pg.Exec(context.Background(), "postgres", fmt.Sprintf("SELECT count(*) FROM pg_stat_activity WHERE pid = %d AND state = 'active'", pid))
		return err == nil && running == "1"
	}, 10*time.Second, time.Millisecond)
	cancel := func(pid uint32, key []byte) {
		c := g.dial(t)
		c.send(wire.AppendCancel(nil, pid, key))
		c.Conn.(*net.TCPConn).CloseWrite()
		c.until(0)
	}
	cancel(other.PgConn().PID(), other.PgConn().SecretKey())
	cancel(victim.PgConn().PID(), other.PgConn().SecretKey())
	cancel(other.PgConn().PID(), victim.PgConn().SecretKey())
	cancel(pid+1, victim.PgConn().SecretKey())
	cancel(victim.PgConn().PID(), nil)
	for i := range 50 {
		cancel(victim.PgConn().PID(), binary.BigEndian.AppendUint32(nil, uint32(i)))
	}
	require.NoError(t, <-slept)
}

// Sessions whose servers' processes have the same number have keys of their own,
// and an address from which too many were guessed is not heard for a while.
func TestCancelKeysOfOneProcess(t *testing.T) {
	var c cancels
	open := func(pid, version uint32) *session {
		s := &session{upstream: &upstream{pid: pid}}
		c.register(s, version)
		return s
	}
	now := time.Now()
	claim := func(from string, pid uint32, secret []byte) *session {
		return c.claim(from, &wire.Startup{PID: pid, Key: secret}, now)
	}
	a, b, long, unnamed := open(7, wire.Version30), open(7, wire.Version30), open(7, wire.Version32), open(0, wire.Version30)
	require.Len(t, a.key.secret, 4)
	require.Len(t, long.key.secret, 32)
	require.NotZero(t, unnamed.key.pid, "of a server that named none")
	for _, s := range []*session{a, b, long, unnamed} {
		require.Same(t, s, claim("here", s.key.pid, s.key.secret))
	}
	require.Nil(t, claim("here", 7, long.key.secret[:4]))
	require.Nil(t, claim("here", 8, a.key.secret))
	for range maxGuesses {
		require.Nil(t, claim("there", 7, []byte("????")))
	}
	require.Nil(t, claim("there", 7, a.key.secret), "after so many guesses")
	require.Same(t, a, claim("here", 7, a.key.secret), "others are heard")
	now = now.Add(guessMemory + time.Second)
	require.Same(t, a, claim("there", 7, a.key.secret))
	for i := range 3 * maxAddresses {
		claim(fmt.Sprint(i), 7, []byte("????"))
	}
	require.LessOrEqual(t, len(c.wrong), maxAddresses)
	for range 100 { // of sessions that have ended: these are not guesses
		claim("again", 99, []byte("????"))
	}
	require.Same(t, b, claim("again", 7, b.key.secret))
	c.unregister(a)
	require.Nil(t, claim("here", 7, a.key.secret))
	require.Same(t, b, claim("here", 7, b.key.secret))
	c.unregister(b)
	c.unregister(long)
	c.unregister(unnamed)
	require.Empty(t, c.sessions)
}

// What clients know of their server's process is true: it ends them, and tells
// their own notifications from others'.
func TestServersProcess(t *testing.T) {
	clearAndTLS(t, func(t *testing.T, config gateConfig, secure bool) {
		mode := map[bool]string{false: "sslmode=disable", true: "sslmode=require"}[secure]
		g := startGate(t, config)
		one, two := g.connect(t, mode), g.connect(t, mode)
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		_, err := one.Exec(ctx, "LISTEN ch")
		require.NoError(t, err)
		for _, from := range []*pgx.Conn{one, two} {
			_, err = from.Exec(ctx, "NOTIFY ch")
			require.NoError(t, err)
			n, err := one.WaitForNotification(ctx)
			require.NoError(t, err)
			require.Equal(t, from.PgConn().PID(), n.PID)
		}
		require.NotEqual(t, one.PgConn().PID(), two.PgConn().PID())
		_, err = one.Exec(ctx, "SELECT pg_terminate_backend($1)", two.PgConn().PID())
		require.NoError(t, err)
		_, err = two.Exec(ctx, "SELECT 1")
		require.ErrorContains(t, err, "57P01")
	})
}

func TestAttack30Roles(t *testing.T) {
	g := reader(t, gateConfig{})
	c := g.raw(t)
	for _, text := range []string{"SET ROLE x", "SET SESSION AUTHORIZATION x", "SET LOCAL ROLE x", "SET ROLE \"None\"", "ALTER ROLE postgres SUPERUSER", "SET \"role\" = x", "SELECT set_config('ROLE', 'x', true)"} {
		c.send(wire.AppendQuery(nil, []byte(text)))
		_, failed := c.until(wire.ReadyForQuery)
		require.Contains(t, failed, "42501", text)
	}
	for _, text := range []string{"RESET ROLE", "RESET SESSION AUTHORIZATION", "SET ROLE NONE", "SET SESSION AUTHORIZATION DEFAULT; RESET ALL", "DISCARD ALL"} {
		c.send(wire.AppendQuery(nil, []byte(text)))
		_, failed := c.until(wire.ReadyForQuery)
		require.Empty(t, failed, "%s gives back what was never taken", text)
	}
}

// What servers may say at odd times is passed on; what they may not say ends the
// session.
func TestAttack31OddMessages(t *testing.T) {
	done := append(msg(wire.CommandComplete, []byte("SELECT 0\x00")...), msg(wire.ReadyForQuery, 'I')...)
	description := msg(wire.RowDescription, append(append([]byte{0, 1}, "a\x00"...), make([]byte, 18)...)...)
	join := func(b ...[]byte) []byte { return bytes.Join(b, nil) }
	for _, c := range []struct {
		name   string
		answer []byte
		types  string // "" when the session must end without a row
	}{
		{"status in mid-query", join(wire.AppendStatus(nil, "TimeZone", "UTC"), done), "SCZ"},
		{"an error without SQLSTATE", join(msg(wire.ErrorResponse, []byte("SERROR\x00Mno code\x00\x00")...), msg(wire.ReadyForQuery, 'I')), "EZ"},
		{"a notification without a body", join(msg(wire.NotificationResponse), done), ""},
		{"an error without an end", join(msg(wire.ErrorResponse, []byte("SERROR")...), msg(wire.ReadyForQuery, 'I')), "EZ"},
		{"ready without a state", msg(wire.ReadyForQuery), ""},
		{"an unknown type", join(msg('~', 1, 2, 3), done), ""},
		{"a login in mid-session", join(wire.AppendAuth(nil, 3, nil), done), ""},
		{"a length of 3", []byte{wire.DataRow, 0, 0, 0, 3}, ""},
		{"copy both", join(msg(wire.CopyBothResponse, 0, 0, 0), done), ""},
		{"two answers", join(done, done), "CZ"},
		{"rows without an end", join(description, done), "TCZ"},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := hostile(t, gateConfig{}, answering(c.answer))
			conn := g.raw(t)
			conn.send(wire.AppendQuery(nil, []byte("SELECT 1")))
			types, _ := conn.until(wire.ReadyForQuery)
			if c.types == "" {
				require.True(t, strings.HasSuffix(types, "$"), types)
				require.NotContains(t, types, "D")
				return
			}
			require.Equal(t, c.types, types)
		})
	}
}

// Encodings in which a byte of one character can be another's quote or
// backslash.
func TestAttack33Encodings(t *testing.T) {
	g := reader(t, gateConfig{})
	c := g.raw(t)
	ask := func(text string) string {
		c.send(wire.AppendQuery(nil, []byte(text)))
		_, failed := c.until(wire.ReadyForQuery)
		return failed
	}
	for _, encoding := range []string{"SJIS", "GBK", "BIG5", "UHC", "GB18030"} {
		require.Empty(t, ask("SET client_encoding = "+encoding))
		require.Contains(t, ask("SELECT '\x95\\'; DELETE FROM t; --'"), "42501", encoding)
		require.Contains(t, ask("SELECT '\xbf\x27; DELETE FROM t; --'"), "42501", encoding)
	}
	// Text that is UTF-8, and something else in another encoding: there, the
	// backslash is the second half of a character.
	const hidden = "SELECT E'\xe3\x81\x82\\'; DELETE FROM t; --'"
	require.Empty(t, ask("SET backslash_quote = on")) // else the server refuses such text itself
	require.Empty(t, ask("SET client_encoding = SJIS"))
	require.Contains(t, ask(hidden), "42501")
	require.Empty(t, ask("SELECT E'a\\n'"), "ASCII is the same everywhere")
	require.Empty(t, ask("SET client_encoding = UTF8"))
	require.Empty(t, ask(hidden), "it is one literal")
	e := g.raw(t)
	e.send(wire.AppendQuery(nil, []byte("SET client_encoding = SJIS")), wire.AppendQuery(nil, []byte(hidden)))
	e.until(wire.ReadyForQuery)
	_, early := e.until(wire.ReadyForQuery)
	require.Contains(t, early, "42501", "before the server has told")
	require.Empty(t, ask("SET standard_conforming_strings = off"))
	require.Contains(t, ask("SELECT 'a\\'; DELETE FROM t; --'"), "42501")
	require.Empty(t, ask("SELECT 1"))
	g.untouched(t)

	// Before the server has said so, both ways of reading must pass.
	d := g.raw(t)
	d.send(wire.AppendQuery(nil, []byte("SET standard_conforming_strings = off")), wire.AppendQuery(nil, []byte("SELECT 'a\\'; DELETE FROM t; --'")))
	d.until(wire.ReadyForQuery)
	_, failed := d.until(wire.ReadyForQuery)
	require.Contains(t, failed, "42501")
	g.untouched(t)
}

// Commands of replication are not statements on an ordinary connection, and the
// two ways of asking for the other kind are one.
func TestAttack32StartReplication(t *testing.T) {
	g := startGate(t, gateConfig{})
	c := g.raw(t)
	for _, text := range []string{"START_REPLICATION 0/0", "IDENTIFY_SYSTEM", "BASE_BACKUP", "CREATE_REPLICATION_SLOT x PHYSICAL"} {
		c.send(wire.AppendQuery(nil, []byte(text)))
		types, failed := c.until(wire.ReadyForQuery)
		require.Equal(t, "EZ", types)
		require.Contains(t, failed, "42601", "the server takes it for SQL")
	}
	_, port, err := net.SplitHostPort(g.addr)
	require.NoError(t, err)
	for _, value := range []string{"true", "on", "1", "database", "DATABASE", "tr"} {
		_, err := pgconn.Connect(context.Background(), "sslmode=disable user=alice+orders password=wonder host=127.0.0.1 port="+port+" dbname="+g.db+" replication="+value)
		require.ErrorContains(t, err, "replication", value)
	}
}
