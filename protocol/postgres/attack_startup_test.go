package postgres

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/race"
	"github.com/sallyport/sallyport/internal/testserver"
	"github.com/sallyport/sallyport/protocol/postgres/wire"
	sqlpostgres "github.com/sallyport/sallyport/protocol/sql/postgres"
	"github.com/sallyport/sallyport/proxy"
)

func withTLS(t testing.TB) gateConfig {
	return gateConfig{handler: func(h *Handler) {
		h.TLS, h.RequireTLS = (&gate{}).serverTLS(t), true
	}}
}

func TestAttack01GluedBytes(t *testing.T) {
	g := startGate(t, withTLS(t))
	c := g.dial(t)
	c.send(wire.AppendSSLRequest(nil), wire.AppendStartup(nil, wire.Version30, []wire.Parameter{{Name: "user", Value: "alice+orders"}}))
	b, _ := io.ReadAll(c) // 'S', and perhaps an alert; never an answer to what was glued
	require.NotContains(t, string(b), "R\x00")
	require.NotContains(t, string(b), "E\x00")
	require.Empty(t, g.Sessions())
}

func TestAttack02UpstreamGluedBytes(t *testing.T) {
	seen := make(chan []byte, 1)
	g := hostile(t, gateConfig{tls: true, mode: proxy.TLSRequire}, func(c net.Conn) {
		b := make([]byte, 8)
		io.ReadFull(c, b)
		c.Write(append([]byte("S"), msg(wire.ErrorResponse, []byte("SFATAL\x00C00000\x00Minjected\x00\x00")...)...))
		rest, _ := io.ReadAll(c)
		seen <- rest
	})
	out := g.psql(t, "SELECT 1")
	require.Contains(t, out, "FATAL")
	require.NotContains(t, out, "injected")
	g.stop()
	require.NotContains(t, string(<-seen), "user", "nothing is said in clear")
}

func TestAttack03NoFallback(t *testing.T) {
	for _, mode := range []proxy.TLSMode{proxy.TLSRequire, proxy.TLSVerifyCA, proxy.TLSVerifyFull} {
		after := make(chan []byte, 4)
		g := hostile(t, gateConfig{tls: true, mode: mode}, func(c net.Conn) {
			io.ReadFull(c, make([]byte, 8))
			c.Write([]byte("N"))
			b, _ := io.ReadAll(c)
			after <- b
		})
		out := g.psql(t, "SELECT 1")
		require.Contains(t, out, "FATAL")
		g.stop()
		require.Empty(t, <-after)
	}
}

func TestAttack04EncryptionOnce(t *testing.T) {
	g := startGate(t, withTLS(t))
	startup := wire.AppendStartup(nil, wire.Version30, []wire.Parameter{{Name: "user", Value: "alice+orders"}})
	gss := []byte{0, 0, 0, 8, 4, 210, 22, 48}
	t.Run("clear", func(t *testing.T) {
		c := g.dial(t)
		c.send(startup)
		require.Contains(t, c.ended(), "requires TLS")
	})
	t.Run("GSS, then clear", func(t *testing.T) {
		c := g.dial(t)
		c.send(gss)
		b := make([]byte, 1)
		_, err := io.ReadFull(c, b)
		require.NoError(t, err)
		require.Equal(t, "N", string(b))
		c.send(startup)
		require.Contains(t, c.ended(), "requires TLS")
	})
	t.Run("TLS twice", func(t *testing.T) {
		c := g.dial(t)
		c.send(wire.AppendSSLRequest(nil))
		io.ReadFull(c, make([]byte, 1))
		tc := tls.Client(c.Conn, &tls.Config{InsecureSkipVerify: true})
		require.NoError(t, tc.Handshake())
		tc.Write(wire.AppendSSLRequest(nil))
		b, _ := io.ReadAll(tc)
		require.NotEqual(t, "S", string(b))
	})
	t.Run("GSS without end", func(t *testing.T) {
		c := g.dial(t)
		for range 3 {
			if _, err := c.Write(gss); err != nil {
				break
			}
		}
		b, _ := io.ReadAll(c)
		require.NotContains(t, string(b), "NN")
	})
	require.Empty(t, g.Sessions())
}

func TestAttack05StartupLengths(t *testing.T) {
	g := startGate(t, gateConfig{})
	before := memory()
	for _, n := range []uint32{0, 3, 4, 7, 10001, 0x7fffffff, 0xffffffff} {
		c := g.dial(t)
		c.send(binary.BigEndian.AppendUint32(nil, n), []byte{0, 3, 0, 0})
		c.Conn.(*net.TCPConn).CloseWrite()
		c.ended()
	}
	require.Less(t, memory(), before+8<<20)
	g.raw(t).works()
}

func TestAttack06StartupParameters(t *testing.T) {
	g := startGate(t, gateConfig{})
	packet := func(body string) []byte {
		b := binary.BigEndian.AppendUint32(nil, uint32(8+len(body)))
		return append(binary.BigEndian.AppendUint32(b, wire.Version30), body...)
	}
	for name, body := range map[string]string{
		"no terminator":      "user\x00alice+orders\x00",
		"no value":           "user\x00\x00",
		"two users":          "user\x00alice+orders\x00user\x00mallory\x00\x00",
		"two databases":      "user\x00alice+orders\x00database\x00a\x00database\x00b\x00\x00",
		"empty user":         "user\x00\x00database\x00a\x00\x00",
		"no user":            "database\x00a\x00\x00",
		"after terminator":   "user\x00alice+orders\x00\x00database\x00a\x00\x00",
		"empty":              "",
		"plus without parts": "user\x00alice++\x00\x00",
	} {
		t.Run(name, func(t *testing.T) {
			c := g.dial(t)
			c.send(packet(body))
			c.Conn.(*net.TCPConn).CloseWrite()
			types, failed := c.until(0)
			require.NotContains(t, types, "R", "no login begins: %s", failed)
		})
	}
	require.Empty(t, g.Sessions())
}

// The database that is authorised is the one that is used, also where the
// client names none.
func TestAttack06Database(t *testing.T) {
	var asked proxy.Target
	watch := &hooks{Hooks: proxy.Hooks{Done: func(_ context.Context, op proxy.Op, _ *proxy.Outcome) {
		if c, ok := op.(*proxy.Connect); ok {
			asked = c.Target
		}
	}}}
	g := startGate(t, gateConfig{chain: []proxy.Interceptor{watch}})
	host, port, _ := net.SplitHostPort(g.addr)
	for _, database := range []string{"", "alice+orders"} {
		cfg, err := pgx.ParseConfig("sslmode=disable user=alice+orders password=wonder host=" + host + " port=" + port)
		require.NoError(t, err)
		cfg.Database = database
		c, err := pgx.ConnectConfig(context.Background(), cfg)
		require.NoError(t, err)
		var used string
		require.NoError(t, c.QueryRow(context.Background(), "SELECT current_database()").Scan(&used))
		require.Equal(t, g.db, used)
		require.Equal(t, g.db, asked.Database)
		c.Close(context.Background())
	}
}

func TestAttack07Options(t *testing.T) {
	g := startGate(t, gateConfig{})
	for options, want := range map[string]bool{
		"-c statement_timeout=1000":                 true,
		"--statement_timeout=1000":                  true,
		`-c datestyle=ISO,\ MDY`:                    true,
		"-c =x":                                     false,
		"-c":                                        false,
		"-c role=postgres":                          false,
		"--role=postgres":                           false,
		"-c session_authorization=postgres":         false,
		"-c search_path=app":                        true,
		"-c session_preload_libraries=evil":         false,
		"-c standard_conforming_strings=off":        false,
		"-c statement_timeout=1 -c role=postgres":   false,
		`-c statement_timeout=1\ -c\ role=postgres`: false,
		"-d 5": false,
		"-E":   false,
	} {
		host, port, _ := net.SplitHostPort(g.addr)
		cfg, err := pgconn.ParseConfig("sslmode=disable user=alice+orders password=wonder host=" + host + " port=" + port + " dbname=" + g.db)
		require.NoError(t, err)
		cfg.RuntimeParams["options"] = options
		c, err := pgconn.ConnectConfig(context.Background(), cfg)
		if err == nil {
			c.Close(context.Background())
		}
		require.Equal(t, want, err == nil, "%s: %v", options, err)
	}
	for name, value := range map[string]string{"role": "postgres", "search_path": `a"`, "session_preload_libraries": "x", "replication": "database"} {
		host, port, _ := net.SplitHostPort(g.addr)
		cfg, err := pgconn.ParseConfig("sslmode=disable user=alice+orders password=wonder host=" + host + " port=" + port + " dbname=" + g.db)
		require.NoError(t, err)
		cfg.RuntimeParams[name] = value
		_, err = pgconn.ConnectConfig(context.Background(), cfg)
		require.Error(t, err, name)
	}
}

func TestAttack08Negotiation(t *testing.T) {
	g := startGate(t, gateConfig{})
	for _, c := range []struct {
		name    string
		version uint32
		params  []wire.Parameter
		want    bool // NegotiateProtocolVersion
	}{
		{"3.0", wire.Version30, nil, false},
		{"3.2", wire.Version32, nil, false},
		{"3.9", 3<<16 | 9, nil, true},
		{"unknown option", wire.Version30, []wire.Parameter{{Name: "_pq_.magic", Value: "1"}}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn := g.dial(t)
			conn.send(wire.AppendStartup(nil, c.version, append([]wire.Parameter{{Name: "user", Value: "alice+orders"}}, c.params...)))
			typ, _ := conn.message()
			require.Equal(t, c.want, typ == wire.NegotiateVersion, string(typ))
		})
	}
	c := g.dial(t)
	c.send(wire.AppendStartup(nil, 4<<16, []wire.Parameter{{Name: "user", Value: "alice+orders"}}))
	require.NotEmpty(t, c.ended())
}

func TestAttack09DirectTLS(t *testing.T) {
	g := startGate(t, withTLS(t))
	for protocol, want := range map[string]bool{"postgresql": true, "http/1.1": false, "": false} {
		cfg := &tls.Config{InsecureSkipVerify: true}
		if protocol != "" {
			cfg.NextProtos = []string{protocol}
		}
		c, err := tls.Dial("tcp", g.addr, cfg)
		got := false
		if err == nil {
			c.SetDeadline(time.Now().Add(10 * time.Second))
			c.Write(wire.AppendStartup(nil, wire.Version30, []wire.Parameter{{Name: "user", Value: "alice+orders"}}))
			b := make([]byte, 1)
			_, err := io.ReadFull(c, b)
			got = err == nil && b[0] == wire.Authentication
			c.Close()
		}
		require.Equal(t, want, got, "ALPN %q", protocol)
	}
}

// The injected secret is not told to a server that asks for it in clear.
func TestAttack11CleartextUpstream(t *testing.T) {
	for _, ask := range []struct {
		name     string
		code     uint32
		data     []byte
		settings Settings
	}{
		{"cleartext, not set", 3, nil, Settings{}},
		{"MD5, not set", 5, []byte("salt"), Settings{}},
		{"GSS", 7, nil, Settings{}},
		{"unknown", 99, nil, Settings{}},
	} {
		t.Run(ask.name, func(t *testing.T) {
			heard := make(chan []byte, 2)
			g := hostile(t, gateConfig{settings: ask.settings}, func(c net.Conn) {
				if _, err := wire.ReadStartup(c, nil); err != nil {
					return
				}
				c.Write(wire.AppendAuth(nil, ask.code, ask.data))
				b, _ := io.ReadAll(c)
				heard <- b
			})
			out := g.psql(t, "SELECT 1")
			require.Contains(t, out, "FATAL")
			g.stop()
			require.NotContains(t, string(<-heard), g.pg.Password)
			require.NotContains(t, out, g.pg.Password)
		})
	}
}

func TestAttack12WrongProof(t *testing.T) {
	g := startGate(t, gateConfig{})
	for name, answer := range map[string][]byte{
		"a password":         msg(wire.Password, []byte("wonder\x00")...),
		"empty":              msg(wire.Password),
		"an unknown method":  msg(wire.Password, append([]byte("MAGIC\x00"), 0, 0, 0, 0)...),
		"a query":            wire.AppendQuery(nil, []byte("SELECT 1")),
		"PLUS without TLS":   msg(wire.Password, append([]byte("SCRAM-SHA-256-PLUS\x00\x00\x00\x00\x20"), []byte("p=tls-server-end-point,,n=,r=abcdefghijkl")...)...),
		"length beyond":      msg(wire.Password, append([]byte("SCRAM-SHA-256\x00"), 0x7f, 0xff, 0xff, 0xff)...),
		"64 KiB of a nonce":  msg(wire.Password, append([]byte("SCRAM-SHA-256\x00\x00\x01\x00\x00"), []byte("n,,n=,r="+strings.Repeat("a", 65536))...)...),
		"another's name":     msg(wire.Password, append([]byte("SCRAM-SHA-256\x00\x00\x00\x00\x1a"), []byte("n,a=mallory,n=,r=abcdefghi")...)...),
		"binding is unasked": msg(wire.Password, append([]byte("SCRAM-SHA-256\x00\x00\x00\x00\x14"), []byte("y,,n=,r=abcdefghijkl")...)...),
	} {
		t.Run(name, func(t *testing.T) {
			c := g.dial(t)
			c.send(wire.AppendStartup(nil, wire.Version30, []wire.Parameter{{Name: "user", Value: "alice+orders"}}))
			typ, _ := c.message()
			require.Equal(t, byte(wire.Authentication), typ)
			c.send(answer)
			c.Conn.(*net.TCPConn).CloseWrite()
			types, _ := c.until(0)
			require.NotContains(t, types, "Z")
		})
	}
	t.Run("SASL after the login", func(t *testing.T) {
		c := g.raw(t)
		c.send(msg(wire.Password, []byte("n,,n=,r=abc")...))
		require.NotEmpty(t, c.ended())
	})
	require.Eventually(t, func() bool { return len(g.Sessions()) == 0 }, 5*time.Second, 10*time.Millisecond)
}

// A client that says a byte now and then is cut off at the deadline, and keeps
// nobody waiting.
func TestAttack13SlowLoris(t *testing.T) {
	g := startGate(t, gateConfig{gateway: func(g *proxy.Gateway) { g.HandshakeTimeout = 500 * time.Millisecond }})
	slow := g.dial(t)
	begun := time.Now()
	go func() {
		for _, b := range wire.AppendStartup(nil, wire.Version30, []wire.Parameter{{Name: "user", Value: "alice+orders"}}) {
			slow.Conn.Write([]byte{b})
			time.Sleep(100 * time.Millisecond)
		}
	}()
	g.raw(t).works()
	slow.ended()
	require.Less(t, time.Since(begun), 5*time.Second)
}

// A thousand silent connections keep no login waiting.
func TestAttack77SilentConnections(t *testing.T) {
	g := startGate(t, gateConfig{})
	for range 1000 {
		c, err := net.Dial("tcp", g.addr)
		require.NoError(t, err)
		defer c.Close()
	}
	g.raw(t) // the shared server's first connections are slower
	best := time.Hour
	for range 5 {
		begun := time.Now()
		g.raw(t)
		best = min(best, time.Since(begun))
	}
	limit := 50 * time.Millisecond
	if race.Enabled {
		limit *= 4
	}
	require.Less(t, best, limit)
}

// A resource that is read-only is so for the server too, whatever the client
// sets.
func TestReadOnlyResource(t *testing.T) {
	g := startGate(t, gateConfig{settings: Settings{ReadOnly: true}, sql: "CREATE TABLE t (x int)"})
	require.Contains(t, g.psql(t, "INSERT INTO t VALUES (1)"), "read-only transaction")
	host, port, _ := net.SplitHostPort(g.addr)
	_, err := pgconn.Connect(context.Background(), "sslmode=disable user=alice+orders password=wonder host="+host+" port="+port+" dbname="+g.db+" options='-c default_transaction_read_only=off'")
	require.Error(t, err)
}

// Above the cap one of those who have said nothing is closed, and a client that comes
// to work is served.
func TestTooManyUnauthenticated(t *testing.T) {
	g := startGate(t, gateConfig{gateway: func(g *proxy.Gateway) { g.MaxUnauthenticated = 3 }})
	closed := make(chan error, 4)
	for range cap(closed) {
		c := g.dial(t)
		go func() {
			_, err := io.ReadAll(c)
			closed <- err
		}()
	}
	err := <-closed
	require.False(t, isTimeout(err), "nobody is closed")
	g.raw(t).works()
}

// What the resource does wrong is told in the protocol's own form, and nothing
// hangs.
func TestUpstreamFailures(t *testing.T) {
	row := func(s string) []byte {
		return wire.AppendRow(nil, [][]byte{[]byte(s)})
	}
	description := msg(wire.RowDescription, append(append([]byte{0, 1}, "a\x00"...), make([]byte, 18)...)...)
	t.Run("not listening", func(t *testing.T) {
		g := startGate(t, gateConfig{resource: func(r *proxy.Resource) { r.Address = "127.0.0.1:1" }})
		out := g.psql(t, "SELECT 1")
		require.Contains(t, out, "FATAL")
		require.Contains(t, out, "orders")
		require.NotContains(t, out, "127.0.0.1:1 ")
	})
	t.Run("silent", func(t *testing.T) {
		g := hostile(t, gateConfig{handler: func(h *Handler) { h.LoginTimeout = 300 * time.Millisecond }}, func(c net.Conn) { io.ReadAll(c) })
		begun := time.Now()
		out := g.psql(t, "SELECT 1")
		require.Contains(t, out, "FATAL")
		require.Less(t, time.Since(begun), 10*time.Second)
	})
	t.Run("closes at once", func(t *testing.T) {
		for _, c := range []gateConfig{{}, {tls: true, mode: proxy.TLSRequire}} {
			for range 5 { // an end of file, or a reset
				require.Contains(t, hostile(t, c, func(net.Conn) {}).psql(t, "SELECT 1"), "FATAL")
			}
		}
	})
	t.Run("closes after the startup packet", func(t *testing.T) {
		g := hostile(t, gateConfig{}, func(c net.Conn) { wire.ReadStartup(c, nil) })
		out := g.psql(t, "SELECT 1")
		require.Contains(t, out, "FATAL")
		require.Contains(t, out, "the server closed the connection")
	})
	t.Run("speaks HTTP", func(t *testing.T) {
		g := hostile(t, gateConfig{}, func(c net.Conn) { fmt.Fprint(c, "HTTP/1.1 400 Bad Request\r\n\r\n") })
		require.Contains(t, g.psql(t, "SELECT 1"), "FATAL")
	})
	t.Run("dies in mid-result", func(t *testing.T) {
		g := hostile(t, gateConfig{}, func(c net.Conn) {
			if welcome(c) {
				c.Read(make([]byte, 1024))
				c.Write(append(description, row("half")...))
			}
		})
		c := g.raw(t)
		c.send(wire.AppendQuery(nil, []byte("SELECT 1")))
		types, failed := c.until(0)
		require.Equal(t, "TDE$", types)
		require.Contains(t, failed, "the server closed the connection")
	})
	t.Run("dies inside a message", func(t *testing.T) {
		g := hostile(t, gateConfig{}, func(c net.Conn) {
			if welcome(c) {
				c.Read(make([]byte, 1024))
				c.Write(append(description, row("half")[:8]...))
			}
		})
		c := g.raw(t)
		c.send(wire.AppendQuery(nil, []byte("SELECT 1")))
		// What has come of the row was passed on; nothing can be said after it.
		b, err := io.ReadAll(c)
		require.NoError(t, err)
		require.Equal(t, append(description, row("half")[:8]...), b)
	})
}

// One address has no more connections than it may, under any name; they
// are given back.
func TestAttack64ConnectionsOfAnAddress(t *testing.T) {
	events := make(chan proxy.Event, 100)
	g := startGate(t, gateConfig{gateway: func(g *proxy.Gateway) {
		g.MaxPerAddress = 3
		g.OnEvent = func(e proxy.Event) { events <- e }
	}})
	open := []net.Conn{g.dial(t), g.dial(t)}
	g.raw(t).works()
	c := g.dial(t)
	_, err := io.ReadAll(c)
	require.False(t, isTimeout(err), "the fourth is closed")
	for e := range events {
		if e.Kind == proxy.EventOverload {
			break
		}
	}
	for _, c := range open {
		c.Close()
	}
	require.Eventually(t, func() bool {
		c := g.dial(t)
		defer c.Close()
		_, err := c.Write(wire.AppendSSLRequest(nil))
		if err != nil {
			return false
		}
		var answer [1]byte
		_, err = io.ReadFull(c, answer[:])
		return err == nil
	}, 10*time.Second, 10*time.Millisecond)
}

// A client that leaves when it is asked for a password, as psql does before it asks
// its user, has not failed to log in. One with a wrong password has.
func TestLeavingBeforeTheProof(t *testing.T) {
	events := make(chan proxy.Event, 100)
	g := startGate(t, gateConfig{gateway: func(g *proxy.Gateway) { g.OnEvent = func(e proxy.Event) { events <- e } }})
	for _, c := range []*rawClient{g.dial(t), g.dial(t)} {
		_, err := c.Write(wire.AppendStartup(nil, wire.Version30, []wire.Parameter{{Name: "user", Value: "alice+orders"}}))
		require.NoError(t, err)
		_, err = io.ReadFull(c, make([]byte, 1)) // the gateway asks
		require.NoError(t, err)
		c.Close()
	}
	_, err := g.as(t, "alice+orders", "wrong", "psql", "SELECT 1")
	require.Error(t, err)
	g.stop()
	require.Equal(t, proxy.EventLoginFailed, (<-events).Kind)
	require.Empty(t, events)
}

// A search_path at login is asked for as the SET that says the same, whatever its
// spelling, and is refused as that is.
func TestPathAtLogin(t *testing.T) {
	var asked []string
	watch := &hooks{Hooks: proxy.Hooks{Ask: func(_ context.Context, op proxy.Op) proxy.Verdict {
		st := op.(*proxy.Statement)
		asked = append(asked, string(st.Text))
		for _, set := range st.Facts.Settings {
			if set.Name == "search_path" && strings.Contains(set.Value, "vault") {
				return proxy.Deny(proxy.CauseGuardrail, "no-vault", "not this schema", "Use another.")
			}
		}
		return proxy.Pass()
	}}}
	g := startGate(t, gateConfig{
		sql:   `CREATE SCHEMA app; CREATE SCHEMA vault; CREATE SCHEMA "My ""S"; CREATE TABLE app.t AS SELECT 7 AS a; CREATE TABLE "My ""S".t AS SELECT 8 AS a`,
		chain: []proxy.Interceptor{watch}, handler: func(h *Handler) { h.Analyzer = sqlpostgres.New(sqlpostgres.Config{}) },
	})
	connect := func(name, value string) (*pgx.Conn, error) {
		cfg, err := pgx.ParseConfig(testserver.URL("alice+orders", "wonder", g.addr, g.db, "sslmode=disable"))
		require.NoError(t, err)
		cfg.RuntimeParams[name] = value
		asked = nil
		return pgx.ConnectConfig(context.Background(), cfg)
	}
	for _, c := range []struct {
		name, value, set string
		a                int
	}{
		{"search_path", "app", `SET search_path TO "app"`, 7},
		{"search_path", " App , public", `SET search_path TO "app", "public"`, 7},
		{"search_path", `"$user",app`, `SET search_path TO "$user", "app"`, 7},
		{"search_path", `"My ""S", public`, `SET search_path TO "My ""S", "public"`, 8},
		{"options", "-c search_path=app", `SET search_path TO "app"`, 7},
		{"options", `--search-path=app,\ public -c statement_timeout=9000`, `SET search_path TO "app", "public"`, 7},
		{"search_path", "app; DROP TABLE t", "", 0},
		{"search_path", "app,", "", 0},
		{"search_path", `"app`, "", 0},
		{"search_path", "vault", `SET search_path TO "vault"`, 0},
		{"search_path", `public,"vault"`, `SET search_path TO "public", "vault"`, 0},
		{"options", "-csearch_path=vault", `SET search_path TO "vault"`, 0},
	} {
		conn, err := connect(c.name, c.value)
		if c.set == "" {
			require.ErrorContains(t, err, `the startup parameter "search_path"`, c.value)
			require.Empty(t, asked, c.value)
			continue
		}
		require.Equal(t, []string{c.set}, asked, c.value)
		if c.a == 0 {
			require.ErrorContains(t, err, "no-vault", c.value)
			continue
		}
		require.NoError(t, err, c.value)
		var a int
		require.NoError(t, conn.QueryRow(context.Background(), "SELECT a FROM t").Scan(&a), c.value)
		require.Equal(t, c.a, a, c.value)
		require.NoError(t, conn.Close(context.Background()))
	}
	conn, err := connect("search_path", "")
	require.NoError(t, err)
	require.Equal(t, []string{"SET search_path TO ''"}, asked)
	require.NoError(t, conn.Close(context.Background()))
}

// A plus sign that a client has made a space is read as one.
func TestPlusAsSpace(t *testing.T) {
	g := startGate(t, gateConfig{})
	for user, works := range map[string]bool{
		"alice+orders": true, "alice orders": true, "alice orders main": true, "alice orders+main": false, "alice  orders": false, " alice": false, "alice orders main x": false,
	} {
		out, err := g.as(t, user, "wonder", "psql", "SELECT 'in'", "-X", "-d", g.db)
		require.Equal(t, works, err == nil, "%s: %s", user, out)
		if strings.HasPrefix(user, "alice  ") {
			require.Contains(t, out, "USER+RESOURCE")
		}
	}
}

// A failed login is told in the server's words.
func TestLoginFailsAsOnTheServer(t *testing.T) {
	g := startGate(t, gateConfig{})
	for _, user := range []string{"alice+orders", "nobody+orders"} {
		_, err := pgx.Connect(context.Background(), testserver.URL(user, "wrong", g.addr, g.db, "sslmode=disable"))
		var pe *pgconn.PgError
		require.ErrorAs(t, err, &pe)
		require.Equal(t, "28P01", pe.Code)
		require.Equal(t, `password authentication failed for user "`+user+`"`, pe.Message)
		require.Equal(t, "FATAL", pe.Severity)
	}
}

// A client that prefers TLS tries again without it when its password is wrong. What
// it shows last is still why its login has failed, and once only.
func TestRetryWithoutTLS(t *testing.T) {
	g := startGate(t, withTLS(t))
	const failed = `password authentication failed for user "alice+orders"`
	for range 2 {
		out, err := g.as(t, "alice+orders", "wrong", "psql", "SELECT 1", "-X", "-d", g.db)
		require.Error(t, err)
		require.Equal(t, 2, strings.Count(out, failed), out)
		require.Contains(t, out, "HINT:  That was over TLS.")
		require.NotContains(t, out, "requires TLS")
	}
	for _, user := range []string{"alice+orders", "other"} {
		_, err := pgx.Connect(context.Background(), testserver.URL(user, "wonder", g.addr, g.db, "sslmode=disable"))
		require.ErrorContains(t, err, "requires TLS")
	}
	var r retries
	from := &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 1}
	for i := range 3 * maxRetries {
		r.note(from, fmt.Sprint(i))
	}
	require.LessOrEqual(t, len(r.failed), maxRetries)
	require.True(t, r.take(&net.TCPAddr{IP: from.IP, Port: 2}, fmt.Sprint(3*maxRetries-1)))
	require.False(t, r.take(from, fmt.Sprint(3*maxRetries-1)), "once")
	require.False(t, r.take(&net.TCPAddr{IP: net.IPv4(10, 0, 0, 2)}, fmt.Sprint(3*maxRetries-2)), "from elsewhere")
}

// passwords is an authenticator without verifiers.
type passwords struct{}

func (passwords) Authenticate(context.Context, proxy.Proof) (*proxy.Identity, error) {
	return nil, proxy.ErrUnauthenticated
}

// A handler that nobody could log in to is not served.
func TestNoWayIn(t *testing.T) {
	config := (&gate{}).serverTLS(t)
	for name, c := range map[string]struct {
		h    *Handler
		auth proxy.Authenticator
		want string
	}{
		"passwords without TLS": {&Handler{}, passwords{}, "the authenticator has no verifiers"},
		"TLS is required only":  {&Handler{RequireTLS: true}, users{}, "RequireTLS is set and TLS is not"},
		"verifiers":             {&Handler{}, users{}, ""},
		"passwords over TLS":    {&Handler{TLS: config}, passwords{}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			ctx, cancel := context.WithCancel(context.Background())
			g := &proxy.Gateway{Authenticator: c.auth, Directory: proxy.Resources{}}
			if c.want == "" {
				cancel()
				require.NoError(t, g.Serve(ctx, ln, c.h))
				return
			}
			defer cancel()
			require.ErrorContains(t, g.Serve(ctx, ln, c.h), c.want)
			_, err = ln.Accept()
			require.ErrorIs(t, err, net.ErrClosed)
		})
	}
}
