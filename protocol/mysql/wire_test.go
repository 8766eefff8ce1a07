package mysql

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	driver "github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/protocol/mysql/wire"
	"github.com/sallyport/sallyport/proxy"
)

// prepare prepares text and returns the statement's number.
func (r *raw) prepare(t *testing.T, text string) uint32 {
	t.Helper()
	require.NoError(t, r.send(wire.StmtPrepare, []byte(text)...))
	b, err := r.read()
	require.NoError(t, err)
	p, err := wire.ParsePrepared(b)
	require.NoError(t, err)
	for _, n := range []int{p.Params, p.Columns} {
		if n > 0 && !r.caps.Has(wire.DeprecateEOF) {
			n++
		}
		for range n {
			_, err := r.read()
			require.NoError(t, err)
		}
	}
	return p.ID
}

func numbered(id uint32, more ...byte) []byte {
	return append(binary.LittleEndian.AppendUint32(nil, id), more...)
}

// Rows of a cursor are fetched bit by bit, filtered like others, and belong to one
// operation, which ends with the last of them.
func TestCursor(t *testing.T) {
	for _, more := range []wire.Capabilities{0, wire.DeprecateEOF, wire.DeprecateEOF | wire.SessionTrack} {
		h := starring("name")
		g := startGate(t, gateConfig{chain: chain(h), sql: "CREATE TABLE n (name VARCHAR(20)); INSERT INTO n SELECT CONCAT('row ', seq) FROM seq_1_to_10"})
		r := g.dial(t, more)
		_, err := r.query("USE " + g.db)
		require.NoError(t, err)
		id := r.prepare(t, "SELECT name FROM n")
		require.NoError(t, r.send(wire.StmtExecute, numbered(id, wire.CursorReadOnly, 1, 0, 0, 0)...))
		packets := 2 // how many columns, and the column
		for range packets {
			_, err := r.read()
			require.NoError(t, err)
		}
		end, err := r.read()
		require.NoError(t, err)
		require.True(t, wire.IsEnd(end[0], len(end), r.caps))
		require.Len(t, h.list(), 2, "USE and the Prepare have ended: %v", h.list())
		rows, last := 0, false
		for !last {
			require.NoError(t, r.send(wire.StmtFetch, numbered(id, 3, 0, 0, 0)...))
			for {
				b, err := r.read()
				require.NoError(t, err)
				if wire.IsEnd(b[0], len(b), r.caps) {
					status := uint16(0)
					if r.caps.Has(wire.DeprecateEOF) {
						ok, err := wire.ParseOK(b, r.caps)
						require.NoError(t, err)
						status = ok.Status
					} else {
						_, status, err = wire.ParseEOF(b)
						require.NoError(t, err)
					}
					last = status&wire.StatusLastRowSent != 0
					break
				}
				row, err := wire.BinaryRow(nil, b, []wire.Type{wire.TypeVarString})
				require.NoError(t, err)
				require.Equal(t, "***", string(row[0]))
				rows++
			}
		}
		require.Equal(t, 10, rows)
		require.Contains(t, h.list(), "statement SELECT name FROM n: pass rows=10 code=")
		require.NoError(t, r.send(wire.StmtFetch, numbered(id, 3, 0, 0, 0)...))
		_, err = r.read()
		require.ErrorContains(t, err, "1243")

		// One that is closed before its end has ended, too.
		require.NoError(t, r.send(wire.StmtExecute, numbered(id, wire.CursorReadOnly, 1, 0, 0, 0)...))
		for range packets + 1 {
			_, err := r.read()
			require.NoError(t, err)
		}
		require.NoError(t, r.send(wire.StmtClose, numbered(id)...))
		require.NoError(t, r.send(wire.Ping))
		_, err = r.read()
		require.NoError(t, err)
		require.Contains(t, h.list()[len(h.list())-1], "statement SELECT name FROM n: pass rows=0")
	}
}

// Values that are sent in pieces are asked about with the rest, and reach the server only if
// the statement may run.
func TestLongData(t *testing.T) {
	h := denying("refused")
	g := startGate(t, gateConfig{chain: chain(h)})
	r := g.dial(t, 0)
	id := r.prepare(t, "SELECT CONCAT(?, ?)")
	piece := func(param byte, text string) {
		require.NoError(t, r.send(wire.StmtSendLongData, append(numbered(id, param, 0), text...)...))
	}
	execute := func() (string, error) {
		// Two parameters, neither NULL, of type BLOB, the second of which is here.
		require.NoError(t, r.send(wire.StmtExecute, numbered(id, 0, 1, 0, 0, 0, 0, 1, 252, 0, 252, 0, 1, 'z')...))
		for n := 0; ; n++ {
			b, err := r.read()
			if err != nil {
				return "", err
			}
			if n > 2 {
				row, err := wire.BinaryRow(nil, b, []wire.Type{wire.TypeBlob})
				require.NoError(t, err)
				_, err = r.read()
				return string(row[0]), err
			}
		}
	}
	piece(0, "one ")
	piece(0, "two ")
	got, err := execute()
	require.NoError(t, err)
	require.Equal(t, "one two z", got)
	require.Contains(t, h.list(), `statement SELECT CONCAT(?, ?) "one two " "z": pass rows=1 code=`)
	piece(9, "of no parameter")
	piece(0, strings.Repeat("x", 3<<20))
	got, err = execute()
	require.NoError(t, err)
	require.Len(t, got, 3<<20+1)
}

// Statements, arguments and rows may take several packets, at whose borders nothing is
// mistaken for something else.
func TestLargePackets(t *testing.T) {
	_, err := startGate(t, gateConfig{}).maria.Run("", "SET GLOBAL max_allowed_packet = 67108864")
	require.NoError(t, err)
	for _, h := range []*hooks{{}, starring("none"), starring("n")} {
		g := startGate(t, gateConfig{chain: chain(h)})
		c := g.open(t, func(c *driver.Config) { c.MaxAllowedPacket = 64 << 20 })
		sizes := []int{wire.MaxPacket - 13, wire.MaxPacket}
		if h.Flow == nil {
			sizes = append(sizes, wire.MaxPacket-15, wire.MaxPacket-14, wire.MaxPacket+1, 2*wire.MaxPacket+5)
		}
		for _, n := range sizes {
			text := strings.Repeat("\x03", n)
			rows := texts(t, c, "SELECT ? AS x, 1 AS n", text) // in binary format both ways
			require.True(t, rows[0][0] == text, n)
			rows = texts(t, c, "SELECT '"+text+"' AS x, 1 AS n")
			require.True(t, rows[0][0] == text, n)
		}
		require.Equal(t, [][]string{{"1"}}, texts(t, c, "SELECT 1"))
	}
	g := startGate(t, gateConfig{settings: Settings{MaxStatement: 1 << 20, MaxData: 1 << 20}})
	c := g.open(t, func(c *driver.Config) { c.MaxAllowedPacket = 64 << 20 })
	for range 2 {
		_, err := c.ExecContext(context.Background(), "SELECT '"+strings.Repeat("x", 40<<20)+"'")
		require.ErrorContains(t, err, "1153")
	}
	_, err = c.ExecContext(context.Background(), "SELECT ?", strings.Repeat("x", 2<<20))
	require.ErrorContains(t, err, "max_data")
	require.NoError(t, c.PingContext(context.Background()))
}

func TestLocalInfile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "rows.txt")
	require.NoError(t, os.WriteFile(file, []byte("1\tone\n2\ttwo\n"), 0o600))
	const table = "CREATE TABLE t (id INT, name VARCHAR(20))"
	load := "LOAD DATA LOCAL INFILE '" + file + "' INTO TABLE t"
	g := startGate(t, gateConfig{sql: table})
	c := g.open(t)
	_, err := c.ExecContext(context.Background(), load)
	require.Error(t, err)
	require.NoError(t, c.PingContext(context.Background()))

	for _, h := range []*hooks{{}, {Hooks: proxy.Hooks{Flow: func(_ context.Context, _ proxy.Op, shape *proxy.Shape) (proxy.Filter, error) {
		if !shape.Inbound {
			return proxy.Filter{}, nil
		}
		return proxy.Filter{Bytes: func(dst, src []byte) ([]byte, error) {
			return append(dst, bytes.ReplaceAll(src, []byte("one"), []byte("ONE"))...), nil
		}}, nil
	}}}} {
		g = startGate(t, gateConfig{sql: table, settings: Settings{LocalInfile: true}, chain: chain(h)})
		c = g.open(t)
		res, err := c.ExecContext(context.Background(), load)
		require.NoError(t, err)
		n, err := res.RowsAffected()
		require.NoError(t, err)
		require.EqualValues(t, 2, n)
		want := "one"
		if h.Flow != nil {
			want = "ONE"
		}
		require.Equal(t, [][]string{{"1", want}, {"2", "two"}}, texts(t, c, "SELECT * FROM t"))
	}
	g = startGate(t, gateConfig{sql: table, settings: Settings{LocalInfile: true}, chain: chain(&hooks{Hooks: proxy.Hooks{
		Flow: func(_ context.Context, _ proxy.Op, shape *proxy.Shape) (proxy.Filter, error) {
			if shape.Inbound {
				return proxy.Filter{}, fmt.Errorf("no files today")
			}
			return proxy.Filter{}, nil
		},
	}})})
	c = g.open(t)
	_, err = c.ExecContext(context.Background(), load)
	require.ErrorContains(t, err, "no files today")
	require.Equal(t, [][]string{{"0"}}, texts(t, c, "SELECT COUNT(*) FROM t"))
}

// A server that asks for a file that nobody loads gets none, though the resource allows them.
func TestFileThatNobodyLoads(t *testing.T) {
	r, err := hostile(t, Settings{LocalInfile: true}, 0, &hooks{}, func(p *played) {
		p.serve(func(b []byte) bool {
			if bytes.Contains(b, []byte("attack")) {
				p.talk.Write(append([]byte{wire.InfileHeader}, "/etc/passwd"...))
			}
			return bytes.Contains(b, []byte("attack"))
		})
	})
	require.NoError(t, err)
	_, err = r.query("SELECT 'attack'")
	require.ErrorContains(t, err, "the server asked for a file of the client's")
}

func TestProceduresAndErrorsAmongResults(t *testing.T) {
	h := &hooks{}
	g := startGate(t, gateConfig{chain: chain(h), sql: `DELIMITER //
		CREATE PROCEDURE two() BEGIN SELECT 1; SELECT 2; END //
		CREATE PROCEDURE bad() BEGIN SELECT 1; SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'out'; END //
		CREATE PROCEDURE outs(OUT x INT) BEGIN SET x = 5; SELECT 1; END //
		DELIMITER ;`})
	c := g.open(t)
	require.Equal(t, [][]string{{"1"}, {"2"}}, texts(t, c, "CALL two()"))
	rows, err := c.QueryContext(context.Background(), "SELECT 1; SELECT * FROM nowhere; SELECT 3")
	require.NoError(t, err)
	for rows.Next() {
	}
	require.False(t, rows.NextResultSet())
	require.ErrorContains(t, rows.Err(), "1146")
	rows.Close()
	_, err = c.ExecContext(context.Background(), "CALL bad()")
	require.ErrorContains(t, err, "1644 (45000): out")
	require.Equal(t, [][]string{{"1"}}, texts(t, c, "CALL outs(@x)"))
	require.Equal(t, [][]string{{"5"}}, texts(t, c, "SELECT @x"))
}

// Pools hand connections on: as the same user, and as at first.
func TestSessionsAreReset(t *testing.T) {
	g := startGate(t, gateConfig{})
	raw := g.dial(t, 0)
	_, err := raw.query("SET @x = 5")
	require.NoError(t, err)
	id := raw.prepare(t, "SELECT 1")
	require.NoError(t, raw.send(wire.ResetConnection))
	_, err = raw.read()
	require.NoError(t, err)
	values, err := raw.query("SELECT COALESCE(@x, 'none')")
	require.NoError(t, err)
	require.Equal(t, []string{"none"}, values)
	require.NoError(t, raw.send(wire.StmtExecute, numbered(id, 0, 1, 0, 0, 0)...))
	_, err = raw.read()
	require.ErrorContains(t, err, "1243")

	change := func(user, password string) error {
		fresh := &wire.UserChange{User: []byte(user), Database: []byte(g.db), Charset: 45, Plugin: []byte(pluginNative)}
		raw.talk.Seq = 0
		require.NoError(t, raw.talk.Write(wire.AppendUserChange(nil, fresh, raw.caps)))
		for {
			b, err := raw.read()
			switch {
			case err != nil:
				return err
			case b[0] == wire.OKHeader:
				return nil
			case b[0] == wire.EOFHeader:
				s, err := wire.ParseSwitch(b)
				require.NoError(t, err)
				require.NoError(t, raw.talk.Write(cachingProof(s.Data, password)))
			case b[1] == cachingFull:
				require.NoError(t, raw.talk.Write(append([]byte(password), 0)))
			}
		}
	}
	_, err = raw.query("SET @x = 5")
	require.NoError(t, err)
	require.NoError(t, change("alice+orders", "wonder"))
	values, err = raw.query("SELECT CONCAT(COALESCE(@x, 'none'), DATABASE())")
	require.NoError(t, err)
	require.Equal(t, []string{"none" + g.db}, values)
	require.ErrorContains(t, change("bob+orders", "builder"), "1045", "a connection stays with its user")
	raw = g.dial(t, 0)
	require.ErrorContains(t, change("alice+orders", "wrong"), "1045")
	_, err = raw.query("SELECT 1")
	require.Error(t, err)
}

// What a client that is gone has asked for does not go on.
func TestClientThatLeaves(t *testing.T) {
	g := startGate(t, gateConfig{})
	r := g.dial(t, 0)
	require.NoError(t, r.send(wire.Query, []byte("SELECT SLEEP(59)")...))
	running := func() string {
		out, err := g.maria.Run("", "SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE '%SLEEP(59)%' AND info NOT LIKE '%processlist%'")
		require.NoError(t, err)
		return out
	}
	require.Eventually(t, func() bool { return running() == "1" }, 10*time.Second, 10*time.Millisecond)
	r.conn.Close()
	require.Eventually(t, func() bool { return running() == "0" }, 10*time.Second, 10*time.Millisecond)
}

func TestSessionThatIsEnded(t *testing.T) {
	g := startGate(t, gateConfig{})
	r := g.dial(t, 0)
	_, err := r.query("SELECT 1")
	require.NoError(t, err)
	require.Len(t, g.Sessions(), 1)
	g.Sessions()[0].Kill(proxy.ErrDeadline)
	r.talk.Seq = 1
	_, err = r.read()
	require.ErrorContains(t, err, "1927 70100 the session reached its time limit")

	r = g.dial(t, 0)
	_, err = g.maria.Run("", "SELECT 1")
	require.NoError(t, err)
	id, err := r.query("SELECT CONNECTION_ID()")
	require.NoError(t, err)
	_, err = g.maria.Run("", "KILL "+id[0])
	require.NoError(t, err)
	r.talk.Seq = 1
	_, err = r.read()
	require.ErrorContains(t, err, "1927 70100 the server closed the connection")

	r = g.dial(t, 0)
	g.stop()
	r.talk.Seq = 1
	_, err = r.read()
	require.ErrorContains(t, err, "1053 08S01 the gateway is shutting down")
}
