package postgres

import (
	"bytes"
	"context"
	"encoding/binary"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/protocol/postgres/wire"
	"github.com/sallyport/sallyport/proxy"
)

// session logs alice in with the parameters, over TLS where that is what is asked for.
func (g *gate) session(t testing.TB, secure bool) *rawClient {
	t.Helper()
	c := g.dial(t)
	if secure {
		c = c.secured()
	}
	c.login([]wire.Parameter{{Name: "user", Value: "alice+orders"}})
	_, failed := c.until(wire.ReadyForQuery)
	require.Empty(t, failed)
	return c
}

// clearAndTLS runs f for both kinds of connections on both sides.
func clearAndTLS(t *testing.T, f func(t *testing.T, c gateConfig, secure bool)) {
	t.Run("clear", func(t *testing.T) { f(t, gateConfig{}, false) })
	t.Run("TLS", func(t *testing.T) {
		c := withTLS(t)
		c.tls, c.mode = true, proxy.TLSVerifyFull
		f(t, c, true)
	})
}

// A batch may be as long as the client likes, and may fail anywhere: what is
// owed for it is kept as long as answers come, and what the server skips is
// not waited for.
func TestLongBatches(t *testing.T) {
	clearAndTLS(t, func(t *testing.T, config gateConfig, secure bool) {
		g := startGate(t, config)
		mode := "sslmode=disable"
		if secure {
			mode = "sslmode=require"
		}
		for _, n := range []int{2740, 6000, 60000} {
			c := g.connect(t, mode)
			for _, failing := range []int{1, n / 2, n} { // n: none
				b := &pgx.Batch{}
				for i := range n {
					text := "SELECT 1"
					if i == failing {
						text = "SELECT 1/0"
					}
					b.Queue(text)
				}
				ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
				r := c.SendBatch(ctx, b)
				for range failing {
					_, err := r.Exec()
					require.NoError(t, err)
				}
				err := r.Close()
				cancel()
				if failing == n {
					require.NoError(t, err)
				} else {
					require.ErrorContains(t, err, "division by zero")
				}
				var one int
				require.NoError(t, c.QueryRow(context.Background(), "SELECT 1").Scan(&one))
			}
		}
	})
}

// What is sent without a Sync is answered as far as the server sends anything,
// however much it is, and the Sync after it is not lost.
func TestFloods(t *testing.T) {
	rows := &hooks{Hooks: proxy.Hooks{Flow: func(context.Context, proxy.Op, *proxy.Shape) (proxy.Filter, error) { return proxy.Filter{}, nil }}}
	const many = 30000
	times := func(b ...[]byte) []byte { return bytes.Repeat(bytes.Join(b, nil), many) }
	for _, c := range []struct {
		name string
		send []byte
		want string // the first and the last answers
	}{
		{"statements", append(times(parse("", "SELECT 1"), bind("", ""), describe('P', ""), execute("", 0)), sync1...), "12TDC12TDC…12TDCZ"},
		{"statements after an error", bytes.Join([][]byte{parse("", "nonsense"), times(parse("", "SELECT 1"), bind("", ""), execute("", 0)), sync1}, nil), "EZ"},
		{"an error in the middle", bytes.Join([][]byte{times(parse("", "SELECT 1")), parse("", "nonsense"), times(bind("", ""), execute("", 0)), sync1}, nil), "11…1EZ"},
		{"what a server takes for nothing", append(times(msg(wire.CopyDone)), sync1...), "Z"},
		{"ends of a COPY", bytes.Join([][]byte{query("COPY t FROM STDIN"), times(msg(wire.CopyDone)), sync1}, nil), "GCZZ"},
		{"COPY data of no COPY", bytes.Join([][]byte{parse("", "SELECT 1"), bind("", ""), execute("", 0), times(msg(wire.CopyData, 'x', '\n')), sync1}, nil), "12DCZ"},
		{"COPY data after an error", bytes.Join([][]byte{parse("", "COPY t FROM STDIN"), bind("", "nothing"), execute("", 0), times(msg(wire.CopyData, 'x', '\n')), msg(wire.CopyDone), sync1}, nil), "1EZ"},
		{"closes", append(times(msg(wire.Close, 'S', 'x', 0)), sync1...), "33…3Z"},
		{"flushes", append(times(msg(wire.Flush)), sync1...), "Z"},
		{"queries", times(query("")), "IZIZ…IZ"},
		{"long arguments", append(bytes.Repeat(bytes.Join([][]byte{parse("", "SELECT length($1)"), argument(bytes.Repeat([]byte("x"), 1<<20))}, nil), 40), sync1...), "1212…12Z"},
	} {
		for name, chain := range map[string][]proxy.Interceptor{"": nil, ", filtered": {rows}} {
			t.Run(c.name+name, func(t *testing.T) {
				g := startGate(t, gateConfig{sql: "CREATE TABLE t (a text)", chain: chain})
				conn := g.raw(t)
				conn.SetDeadline(time.Now().Add(time.Minute))
				go conn.Write(c.send)
				begin, end, etc := strings.Cut(c.want, "…")
				all, last := "", begin
				if etc {
					last = end
				}
				for !strings.HasSuffix(all, last) || len(all) < len(begin)+len(end) {
					typ, _ := conn.message()
					require.NotZero(t, typ, all)
					if typ == wire.ParameterStatus { // it may be asked whether it is there
						continue
					}
					if all += string(typ); len(all) > 1<<10 {
						all = all[:len(begin)] + all[len(all)-100:]
					}
					require.True(t, strings.HasPrefix(begin, all[:min(len(all), len(begin))]), all)
				}
				if c.name == "queries" {
					return
				}
				conn.works()
			})
		}
	}
}

// argument is a Bind of one value.
func argument(v []byte) []byte {
	b := append(binary.BigEndian.AppendUint32([]byte{0, 0, 0, 0, 0, 1}, uint32(len(v))), v...)
	return msg(wire.Bind, append(b, 0, 0)...)
}

// A client that sends no more still gets what it has asked for.
func TestHalfClose(t *testing.T) {
	const rows = 200000
	for _, c := range []struct {
		name string
		send []byte
		want string
	}{
		{"a query", query("SELECT 1"), "TDCZ$"},
		{"one that takes its time", query("SELECT 1 FROM pg_sleep(1.5)"), "TDCZ$"},
		{"several", append(query("SELECT 1 FROM pg_sleep(.5)"), query("SELECT 2")...), "TDCZTDCZ$"},
		{"a batch", bytes.Join([][]byte{parse("", "SELECT 1 FROM pg_sleep(.5)"), bind("", ""), execute("", 0), sync1}, nil), "12DCZ$"},
		{"and a goodbye", append(query("SELECT 1 FROM pg_sleep(.5)"), msg(wire.Terminate)...), "TDCZ$"},
		{"one that is held", query("SELECT 1 AS wait"), "NTDCZ$"},
		{"one that is refused", query("SELECT 'secret'"), "EZ$"},
		{"COPY to the client", query("COPY (SELECT 1 FROM pg_sleep(.5)) TO STDOUT"), "HdcCZ$"},
		{"COPY to the server", bytes.Join([][]byte{query("COPY t FROM STDIN"), msg(wire.CopyData, '1', '\n'), msg(wire.CopyDone)}, nil), "GCZ$"},
		{"nothing", nil, "$"},
	} {
		t.Run(c.name, func(t *testing.T) {
			clearAndTLS(t, func(t *testing.T, config gateConfig, secure bool) {
				decide := make(chan struct{})
				config.sql = "CREATE TABLE t (id int)"
				config.chain, config.gateway = []proxy.Interceptor{deciding(), denying("secret")}, approves(decide)
				g := startGate(t, config)
				conn := g.session(t, secure)
				conn.send(c.send)
				require.NoError(t, closeWrite(conn.Conn))
				time.AfterFunc(500*time.Millisecond, func() { close(decide) })
				types, failed := conn.until(0)
				require.Equal(t, c.want, strings.ReplaceAll(types, "S", ""), failed)
				g.idle(t)
			})
		})
	}
	t.Run("while the last answer is passed on", func(t *testing.T) {
		for _, c := range []struct{ name, text, want string }{
			{"rows", "SELECT 1", "TDCZ$"},
			{"an error", "SELECT 1/0", "EZ$"},
			{"goodbye", "SELECT 1", "TDCZ$"},
		} {
			t.Run(c.name, func(t *testing.T) {
				clearAndTLS(t, func(t *testing.T, config gateConfig, secure bool) {
					answered, left := make(chan struct{}), make(chan struct{})
					config.chain = []proxy.Interceptor{&hooks{Hooks: proxy.Hooks{Done: func(_ context.Context, op proxy.Op, _ *proxy.Outcome) {
						if op.Info().Kind == proxy.KindStatement {
							close(answered)
							<-left
							time.Sleep(100 * time.Millisecond) // so that the gateway has read that the client left
						}
					}}}}
					g := startGate(t, config)
					conn := g.session(t, secure)
					conn.send(query(c.text))
					<-answered
					if c.name == "goodbye" {
						conn.send(msg(wire.Terminate))
					}
					require.NoError(t, closeWrite(conn.Conn))
					close(left)
					types, failed := conn.until(0)
					require.Equal(t, c.want, strings.ReplaceAll(types, "S", ""), failed)
					g.idle(t)
				})
			})
		}
	})
	t.Run("much that is read late", func(t *testing.T) {
		g := startGate(t, gateConfig{})
		conn := g.raw(t)
		conn.SetDeadline(time.Now().Add(time.Minute))
		conn.send(query("SELECT repeat('x', 100) FROM generate_series(1, 200000)"))
		require.NoError(t, closeWrite(conn.Conn))
		time.Sleep(1500 * time.Millisecond)
		n := 0
		for {
			typ, _ := conn.message()
			if typ == 0 {
				break
			}
			if typ == wire.DataRow {
				n++
			}
		}
		require.Equal(t, rows, n)
	})
}

// ofClients is the condition that a server's process is of a client: the server's own, such as
// those of autovacuum, come to any database at any time.
const ofClients = "backend_type = 'client backend'"

// idle waits until the server has no connection to the gate's database.
func (g *gate) idle(t testing.TB) {
	t.Helper()
	begun := time.Now()
	for {
		n, err := g.pg.Exec(context.Background(), "postgres", "SELECT count(*) FROM pg_stat_activity WHERE datname = '"+g.db+"' AND "+ofClients)
		require.NoError(t, err)
		if n == "0" {
			return
		}
		require.Less(t, time.Since(begun), 20*time.Second, "the server's connection stays")
		time.Sleep(5 * time.Millisecond)
	}
}

// A client that is gone leaves nothing there, whatever was under way and however
// it went.
func TestDepartures(t *testing.T) {
	long := bytes.Repeat([]byte("1\n"), 4<<10)
	states := map[string]func(t *testing.T, c *rawClient){
		"a query runs":               func(t *testing.T, c *rawClient) { c.send(query("SELECT pg_sleep(60)")) },
		"more is sent after it":      func(t *testing.T, c *rawClient) { c.flood(query("SELECT pg_sleep(60)"), query("SELECT 1")) },
		"answers pile up":            func(t *testing.T, c *rawClient) { c.flood(query("SELECT pg_sleep(60)"), parse("", "SELECT 1")) },
		"the server skips":           func(t *testing.T, c *rawClient) { c.flood(parse("", "nonsense"), parse("", "SELECT 1")) },
		"it does not read":           func(t *testing.T, c *rawClient) { c.send(query(endless)); c.Read(make([]byte, 5)) },
		"it sends and does not read": func(t *testing.T, c *rawClient) { c.flood(query(endless), query("SELECT 1")) },
		"the server does not read": func(t *testing.T, c *rawClient) {
			c.flood(query("SELECT pg_sleep(60)"), query(strings.Repeat("x", 1<<20)))
		},
		"an operation is held":  func(t *testing.T, c *rawClient) { c.send(query("SELECT 'wait'")); c.until(wire.NoticeResponse) },
		"much is sent after it": func(t *testing.T, c *rawClient) { c.flood(query("SELECT 'wait'"), query(strings.Repeat("x", 1<<20))) },
		"it copies in": func(t *testing.T, c *rawClient) {
			c.send(query("COPY t FROM STDIN"), msg(wire.CopyData, long...))
			c.until(wire.CopyInResponse)
		},
		"it is in the middle of data": func(t *testing.T, c *rawClient) {
			c.send(query("COPY t FROM STDIN"), msg(wire.CopyData, long...)[:1000])
			c.until(wire.CopyInResponse)
		},
		"the server takes no data": func(t *testing.T, c *rawClient) { c.flood(query("COPY slow FROM STDIN"), msg(wire.CopyData, long...)) },
		"it copies out": func(t *testing.T, c *rawClient) {
			c.send(query("COPY (" + endless + ") TO STDOUT"))
			c.until(wire.CopyData)
		},
		"a name is in doubt": func(t *testing.T, c *rawClient) {
			c.flood(parse("", "SELECT pg_sleep(60)"), bind("", ""), execute("", 0), parse("a", "SELECT 1"), sync1, bind("", "a"), query(strings.Repeat("x", 1<<20)))
		},
		"a transaction is open": func(t *testing.T, c *rawClient) { c.send(query("BEGIN")); c.until(wire.ReadyForQuery) },
	}
	ways := map[string]func(t *testing.T, c *rawClient){
		"closes": func(t *testing.T, c *rawClient) { c.Close() },
		"resets": func(t *testing.T, c *rawClient) {
			require.NoError(t, transport(c.Conn).(*net.TCPConn).SetLinger(0))
			transport(c.Conn).Close()
		},
		"closes without a word of TLS": func(t *testing.T, c *rawClient) { transport(c.Conn).Close() },
	}
	clearAndTLS(t, func(t *testing.T, config gateConfig, secure bool) {
		config.sql = `CREATE TABLE t (id int); CREATE TABLE slow (id int);
			CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(60); RETURN NEW; END';
			CREATE TRIGGER slow BEFORE INSERT ON slow FOR EACH ROW EXECUTE FUNCTION slow()`
		config.chain, config.gateway = []proxy.Interceptor{holding("wait")}, never
		g := startGate(t, config)
		for state, bring := range states {
			for way, leave := range ways {
				if !secure && way == "closes without a word of TLS" {
					continue
				}
				t.Run(state+", "+way, func(t *testing.T) {
					c := g.session(t, secure)
					bring(t, c)
					leave(t, c)
					g.idle(t)
				})
			}
		}
	})
}

const endless = "SELECT repeat('x', 1000), generate_series(1, 100000000)"

// flood sends first and then what follows, again and again, until nobody takes
// more of it.
func (c *rawClient) flood(first []byte, again ...[]byte) {
	c.t.Helper()
	c.send(first)
	b := bytes.Repeat(bytes.Join(again, nil), max(1, 64<<10/len(bytes.Join(again, nil))))
	for range 1 << 9 {
		// A write over TLS that times out breaks the connection, so the one below is asked.
		under := transport(c.Conn)
		under.SetWriteDeadline(time.Now().Add(300 * time.Millisecond))
		if _, err := c.Write(b); err != nil {
			require.True(c.t, isTimeout(err), err)
			break
		}
	}
	c.SetDeadline(time.Now().Add(20 * time.Second))
}
