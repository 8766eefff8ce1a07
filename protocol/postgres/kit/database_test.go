package kit_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/duplex"
	"github.com/sallyport/sallyport/protocol"
	"github.com/sallyport/sallyport/protocol/postgres/kit"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/proxy/proxytest"
)

// told writes down what is handed over.
type told struct {
	lines []string
	rows  int
	bytes int64
	kept  int
	each  func() error
}

func (r *told) Begin(columns []protocol.ResultColumn) error {
	var names []string
	for _, c := range columns {
		names = append(names, c.Name+" "+c.Type)
	}
	r.lines = append(r.lines, "columns: "+strings.Join(names, ", "))
	return nil
}

func (r *told) Row(cells []protocol.Cell) error {
	r.rows++
	var texts []string
	for _, c := range cells {
		text := "NULL"
		if c.Text != nil {
			text = fmt.Sprintf("%.20q", c.Text)
		}
		texts = append(texts, text)
		r.bytes += c.Size
		r.kept += len(c.Text)
	}
	if r.rows <= 10 {
		r.lines = append(r.lines, strings.Join(texts, " "))
	}
	if r.each != nil {
		return r.each()
	}
	return nil
}

func (r *told) End(tag string) error { r.lines = append(r.lines, "end: "+tag); return nil }

func (r *told) Fail(n protocol.ServerNotice) error {
	r.lines = append(r.lines, fmt.Sprintf("%s %s at %d: %s", n.Severity, n.Code, n.Position, n.Message))
	return nil
}

// database is a session of alice's at the resource shop, as a browser has it.
func database(t *testing.T, sql string, chain ...proxy.Interceptor) (protocol.Database, *[]string) {
	t.Helper()
	g, _ := gateway(t, sql)
	g.Interceptors = append([]proxy.Interceptor{proxytest.Allow{}}, chain...)
	k := kit.New(kit.Config{Gateway: g, RequireTLS: true})
	t.Cleanup(func() { require.NoError(t, k.Close()) })
	service, err := kit.Protocol().Open(protocol.Assembly{Gateway: g})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, service.Close()) })
	h := k.Handler("")
	client := &proxy.Client{Identity: &proxy.Identity{Subject: "alice"}, Via: "console"}
	dial := func(context.Context) (net.Conn, error) {
		near, far := duplex.Pair(&net.TCPAddr{IP: net.IPv4(192, 0, 2, 7), Port: 1})
		go func() {
			if err := g.ServeClient(context.Background(), far, h, client); err != nil {
				t.Error(err)
			}
		}()
		return near, nil
	}
	var notes []string
	d, err := service.Clients.Database(t.Context(), dial, protocol.DatabaseRequest{User: "alice+shop", Note: func(n protocol.ServerNotice) { notes = append(notes, n.Message) }})
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, d.Close())
		require.Eventually(t, func() bool { return len(g.Sessions()) == 0 }, 30*time.Second, time.Millisecond)
	})
	return d, &notes
}

// run returns what comes of a text.
func run(t *testing.T, d protocol.Database, text string) []string {
	t.Helper()
	var r told
	require.NoError(t, d.Run(t.Context(), text, &r))
	return r.lines
}

// A text's results, notices and errors come in order, with the state of the transaction.
func TestDatabase(t *testing.T) {
	d, notes := database(t, "CREATE TABLE people (id int PRIMARY KEY, name text NOT NULL, note text); INSERT INTO people VALUES (1, 'Ada', NULL), (2, '', 'x')")
	require.Equal(t, []string{"columns: id int4, name text, note text", `"1" "Ada" NULL`, `"2" "" "x"`, "end: SELECT 2", "end: UPDATE 1"},
		run(t, d, "SELECT * FROM people ORDER BY id; UPDATE people SET note = 'y' WHERE id = 1"))
	require.Equal(t, protocol.NoTransaction, d.Transaction())
	require.Equal(t, []string{"end: BEGIN"}, run(t, d, "BEGIN"))
	require.Equal(t, protocol.InTransaction, d.Transaction())
	require.Equal(t, []string{`ERROR 42703 at 8: column "nothing" does not exist`}, run(t, d, "SELECT nothing; SELECT 1"))
	require.Equal(t, protocol.FailedTransaction, d.Transaction())
	require.Equal(t, []string{"end: ROLLBACK"}, run(t, d, "ROLLBACK"))
	require.Equal(t, []string{"end: "}, run(t, d, ""))
	require.Equal(t, []string{"end: DO"}, run(t, d, "DO $$BEGIN RAISE NOTICE 'hello'; END$$"))
	require.Equal(t, []string{"hello"}, *notes)
	require.Equal(t, []string{"columns: COPY text", `"1\tAda\ty"`, `"2\t\tx"`, "end: COPY 2"}, run(t, d, "COPY (SELECT * FROM people ORDER BY id) TO STDOUT"))
	require.Contains(t, run(t, d, "COPY people FROM STDIN")[0], "there is nothing to copy from here")
	require.Contains(t, run(t, d, "SELECT 1\x00; DROP TABLE people")[0], "NUL")
	require.Equal(t, []string{"columns: ?column? int4", `"1"`, "end: SELECT 1"}, run(t, d, "SELECT 1"), "the session goes on")
}

// Of large values and rows the beginning is kept, with their size.
func TestDatabaseLarge(t *testing.T) {
	d, _ := database(t, "")
	var r told
	require.NoError(t, d.Run(t.Context(), "SELECT decode(repeat('00', 2 << 20), 'hex'), 'after'", &r))
	require.Equal(t, int64(2+4<<20+5), r.bytes)
	require.Equal(t, protocol.MaxCell+5, r.kept)
	require.Equal(t, []string{"columns: decode bytea, ?column? text", `"\\x000000000000000000" "after"`, "end: SELECT 1"}, r.lines)

	r = told{}
	require.NoError(t, d.Run(t.Context(), "SELECT "+strings.TrimSuffix(strings.Repeat("repeat('x', 60000),", 100), ","), &r))
	require.Equal(t, int64(6_000_000), r.bytes)
	require.Equal(t, protocol.MaxRow, r.kept, "a row is bounded, too")
}

// What runs is cancelled from another goroutine, and the session goes on.
func TestDatabaseCancel(t *testing.T) {
	d, _ := database(t, "")
	var r told
	begun := make(chan struct{})
	r.each = func() error {
		if r.rows == 1 {
			close(begun)
		}
		return nil
	}
	go func() {
		<-begun
		if err := d.Cancel(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	require.NoError(t, d.Run(t.Context(), "SELECT n, pg_sleep(0.001) FROM generate_series(1, 1000000) n", &r))
	require.Contains(t, r.lines[len(r.lines)-1], "57014")
	require.Equal(t, []string{"columns: ?column? int4", `"1"`, "end: SELECT 1"}, run(t, d, "SELECT 1"))
	require.NoError(t, d.Cancel(t.Context()), "nothing runs")
}

// The tree shows what the account may use, whatever names hold.
func TestDatabaseRelations(t *testing.T) {
	d, _ := database(t, `CREATE SCHEMA "odd's"; CREATE TABLE "odd's"."tab\le'" (id int PRIMARY KEY, "co'l" numeric(9,2) NOT NULL, gone int); ALTER TABLE "odd's"."tab\le'" DROP COLUMN gone;
		CREATE VIEW public.seen AS SELECT 1 AS one`)
	list, err := d.Relations(t.Context(), 100000)
	require.NoError(t, err)
	require.Contains(t, list, protocol.Relation{Schema: "odd's", Name: `tab\le'`, Kind: "table"})
	require.Contains(t, list, protocol.Relation{Schema: "public", Name: "seen", Kind: "view"})
	columns, err := d.Columns(t.Context(), "odd's", `tab\le'`)
	require.NoError(t, err)
	require.Equal(t, []protocol.RelationColumn{{Name: "id", Type: "integer", NotNull: true, Key: true}, {Name: "co'l", Type: "numeric(9,2)", NotNull: true}}, columns)
	columns, err = d.Columns(t.Context(), "public", "nothing")
	require.NoError(t, err)
	require.Empty(t, columns)
	list, err = d.Relations(t.Context(), 1)
	require.NoError(t, err)
	require.Len(t, list, 1)
	require.NotContains(t, list[0].Schema, "pg_", "the server's own come last")

	// What a rule refuses is told as such.
	run(t, d, "BEGIN; SELECT 1/0")
	_, err = d.Relations(t.Context(), 10)
	require.ErrorContains(t, err, "current transaction is aborted")
}

// Who may not connect is told so in the gateway's words.
func TestDatabaseRefused(t *testing.T) {
	g, _ := gateway(t, "")
	k := kit.New(kit.Config{Gateway: g})
	defer k.Close()
	service, err := kit.Protocol().Open(protocol.Assembly{Gateway: g})
	require.NoError(t, err)
	defer service.Close()
	dial := func(context.Context) (net.Conn, error) {
		near, far := duplex.Pair(&net.TCPAddr{})
		go g.ServeClient(context.Background(), far, k.Handler(""), &proxy.Client{Identity: &proxy.Identity{Subject: "alice"}})
		return near, nil
	}
	for _, user := range []string{"alice+shop", "alice+nothing"} {
		_, err = service.Clients.Database(t.Context(), dial, protocol.DatabaseRequest{User: user, Note: func(protocol.ServerNotice) {}})
		require.Error(t, err)
	}
	require.ErrorContains(t, err, "or you may not use it")
}
