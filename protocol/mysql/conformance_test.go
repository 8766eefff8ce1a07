package mysql

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/testserver"
	"github.com/sallyport/sallyport/protocol/mysql/wire"
	sqlmysql "github.com/sallyport/sallyport/protocol/sql/mysql"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/proxy/proxytest"
)

// The handler keeps what every handler owes, whatever interceptors do.
func TestConformance(t *testing.T) {
	ca := testserver.NewAuthority()
	clients := make(map[net.Conn]*raw)
	proxytest.TestHandler(t, proxytest.Wire{
		Handler:       func(*testing.T) proxy.Handler { return &Handler{Resource: "orders", TLS: ca.ServerConfig("localhost")} },
		Resource:      &proxy.Resource{Name: "orders", Type: "mysql", Address: "memory:1", TLS: proxy.TLS{Mode: proxy.TLSDisable}, Settings: Settings{ServerVersion: "8.0.36", Plaintext: true}},
		Authenticator: newUsers(),
		Credentials:   proxytest.Credential{Username: "app"},
		Upstream:      func(c net.Conn) { newPlayed(c).serve(nil) },
		Login: func(c net.Conn) error {
			r, err := logIn(c, &tls.Config{RootCAs: ca.Pool, ServerName: "localhost"}, "alice", "wonder", 0)
			clients[c] = r
			return err
		},
		Operate: func(c net.Conn, marker string) error {
			_, err := clients[c].query("SELECT '" + marker + "'")
			return err
		},
	})
}

// played is a server that a test plays.
type played struct {
	conn net.Conn
	talk *wire.Conversation
	caps wire.Capabilities
	can  wire.Capabilities
}

func newPlayed(c net.Conn) *played {
	return &played{conn: c, talk: &wire.Conversation{Conn: c}, can: gatewayCan | wire.LongPassword}
}

// greet lets everybody in.
func (p *played) greet() bool {
	p.talk.Seq = 0
	g := &wire.Greeting{Version: "8.0.36", ID: 9, Capabilities: p.can, Nonce: nonce(), Plugin: pluginNative, Status: wire.StatusAutocommit}
	if p.talk.Write(wire.AppendGreeting(nil, g)) != nil {
		return false
	}
	b, err := p.talk.Read(1 << 16)
	if err != nil {
		return false
	}
	r, _, err := wire.ParseResponse(b)
	if err != nil {
		return false
	}
	p.caps = r.Capabilities
	return p.talk.Write(wire.AppendOK(nil, &wire.OK{Status: wire.StatusAutocommit}, p.caps)) == nil
}

// command reads one; its first byte is the kind.
func (p *played) command() []byte {
	p.talk.Seq = 0
	b, err := p.talk.Read(1 << 20)
	if err != nil || len(b) == 0 || wire.Command(b[0]) == wire.Quit {
		return nil
	}
	return b
}

func column(name string, typ wire.Type) []byte {
	var b []byte
	for _, s := range []string{"def", "shop", "t", "t", name, name} {
		b = wire.AppendBytes(b, []byte(s))
	}
	return append(b, 12, 45, 0, 0, 1, 0, 0, byte(typ), 0, 0, 0, 0, 0)
}

func (p *played) end(status uint16) []byte {
	if p.caps.Has(wire.DeprecateEOF) {
		return wire.AppendOK(nil, &wire.OK{Header: wire.EOFHeader, Status: status}, p.caps)
	}
	return []byte{wire.EOFHeader, 0, 0, byte(status), byte(status >> 8)}
}

// rows answers with rows of text.
func (p *played) rows(names []string, rows ...[]string) {
	p.talk.Write([]byte{byte(len(names))})
	for _, n := range names {
		p.talk.Write(column(n, wire.TypeVarString))
	}
	if !p.caps.Has(wire.DeprecateEOF) {
		p.talk.Write(p.end(wire.StatusAutocommit))
	}
	for _, row := range rows {
		var values [][]byte
		for _, v := range row {
			values = append(values, []byte(v))
		}
		p.talk.Write(wire.AppendTextRow(nil, values))
	}
	p.talk.Write(p.end(wire.StatusAutocommit))
}

// serve answers every query, and what else a session begins with. answer may answer in its
// place; it returns false for what it leaves.
func (p *played) serve(answer func(b []byte) bool) {
	if !p.greet() {
		return
	}
	for {
		b := p.command()
		switch {
		case b == nil:
			return
		case bytes.Contains(b, []byte("@@sql_mode")):
			p.rows([]string{"m", "c", "d"}, []string{"", "utf8mb4", "shop"})
		case answer != nil && answer(b):
		case bytes.Contains(bytes.ToUpper(b), []byte("SELECT")):
			p.rows([]string{"x"}, []string{"1"})
		default:
			p.talk.Write(wire.AppendOK(nil, &wire.OK{Status: wire.StatusAutocommit}, p.caps))
		}
	}
}

// raw is a client whose packets the test writes.
type raw struct {
	conn net.Conn
	talk *wire.Conversation
	caps wire.Capabilities
	id   uint32
}

const rawCan = wire.LongPassword | wire.Protocol41 | wire.SecureConnection | wire.PluginAuth | wire.PluginAuthLength | wire.MultiStatements | wire.MultiResults |
	wire.PSMultiResults | wire.Transactions | wire.LocalFiles

// logIn logs a client in by its password, with further capabilities.
func logIn(c net.Conn, config *tls.Config, user, password string, more wire.Capabilities) (*raw, error) {
	r := &raw{conn: c, talk: &wire.Conversation{Conn: c}}
	b, err := r.talk.Read(1 << 16)
	if err != nil {
		return r, err
	}
	g, err := wire.ParseGreeting(b)
	if err != nil {
		return r, err
	}
	r.id = g.ID
	hello := &wire.Response{Capabilities: rawCan | wire.TLS | more, MaxPacket: 1 << 24, Charset: 45, User: []byte(user), Auth: cachingProof(g.Nonce[:], password), Plugin: []byte(pluginCaching)}
	if err := r.talk.Write(wire.AppendTLSRequest(nil, hello)); err != nil {
		return r, err
	}
	tc := tls.Client(c, config)
	if err := tc.Handshake(); err != nil {
		return r, err
	}
	r.conn, r.talk.Conn = tc, tc
	if err := r.talk.Write(wire.AppendResponse(nil, hello)); err != nil {
		return r, err
	}
	r.caps = hello.Capabilities & g.Capabilities
	for {
		b, err := r.talk.Read(1 << 16)
		switch {
		case err != nil:
			return r, fmt.Errorf("%w: %w", io.EOF, err)
		case b[0] == wire.ErrHeader:
			return r, serverErr(b)
		case b[0] == wire.OKHeader:
			return r, nil
		case len(b) == 2 && b[1] == cachingFull:
			if err := r.talk.Write(append([]byte(password), 0)); err != nil {
				return r, err
			}
		}
	}
}

func serverErr(b []byte) error {
	e, err := wire.ParseError(b)
	if err != nil {
		return err
	}
	return errors.New(e.String())
}

// send writes one command.
func (r *raw) send(kind wire.Command, body ...byte) error {
	r.talk.Seq = 0
	if err := r.talk.Write(append([]byte{byte(kind)}, body...)); err != nil {
		return fmt.Errorf("%w: %w", io.EOF, err)
	}
	return nil
}

func (r *raw) read() ([]byte, error) {
	b, err := r.talk.Read(1<<24 - 2)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", io.EOF, err)
	}
	if len(b) > 0 && b[0] == wire.ErrHeader {
		return nil, serverErr(b)
	}
	return b, nil
}

// query runs text and returns the first values of its rows.
func (r *raw) query(text string) (values []string, err error) {
	if err := r.send(wire.Query, []byte(text)...); err != nil {
		return nil, err
	}
	return r.result()
}

func (r *raw) result() (values []string, err error) {
	b, err := r.read()
	if err != nil || b[0] == wire.OKHeader {
		return nil, err
	}
	n := int(b[0])
	if !r.caps.Has(wire.DeprecateEOF) {
		n++
	}
	for range n {
		if _, err := r.read(); err != nil {
			return nil, err
		}
	}
	for {
		b, err := r.read()
		if err != nil {
			return values, err
		}
		if wire.IsEnd(b[0], len(b), r.caps) {
			return values, nil
		}
		row, err := wire.TextRow(nil, b)
		if err != nil {
			return values, err
		}
		values = append(values, string(row[0]))
	}
}

// dial is a raw client of the gate's.
func (g *gate) dial(t testing.TB, more wire.Capabilities) *raw {
	t.Helper()
	c, err := net.Dial("tcp", g.addr)
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	r, err := logIn(c, &tls.Config{RootCAs: g.ca.Pool, ServerName: "localhost"}, "alice+orders", "wonder", more)
	require.NoError(t, err)
	return r
}

// hostile is a gateway in front of a server that a test plays, and a client.
func hostile(t *testing.T, settings Settings, more wire.Capabilities, hooks *hooks, serve func(p *played)) (*raw, error) {
	t.Helper()
	ca := testserver.NewAuthority()
	settings.ServerVersion, settings.Plaintext = "8.0.36", true
	u := &proxytest.Upstream{Serve: func(c net.Conn) { serve(newPlayed(c)) }}
	g := &proxy.Gateway{
		Authenticator: newUsers(), Credentials: proxytest.Credential{Username: "app"}, Dialer: u, Unrecorded: true, Interceptors: chain(hooks),
		Directory: proxy.Resources{{Name: "orders", Type: "mysql", Address: "memory:1", TLS: proxy.TLS{Mode: proxy.TLSDisable}, Settings: settings}},
	}
	ln := proxytest.Serve(t, g, &Handler{Resource: "orders", TLS: ca.ServerConfig("localhost"), Analyzer: sqlmysql.New(sqlmysql.Config{})})
	c, err := ln.Dial()
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	require.NoError(t, c.SetDeadline(time.Now().Add(15*time.Second)))
	return logIn(c, &tls.Config{RootCAs: ca.Pool, ServerName: "localhost"}, "alice", "wonder", more)
}

// A server that says why nobody gets in is heard.
func TestDyingGasp(t *testing.T) {
	_, err := hostile(t, Settings{}, 0, &hooks{}, func(p *played) {
		p.talk.Write(wire.AppendError(nil, &wire.Error{Code: 1040, Message: []byte("Too many connections")}))
	})
	require.ErrorContains(t, err, "1040 HY000 Too many connections")
}

// What a server sends in the place of an answer ends the session, and nothing of it reaches
// the client.
func TestHostileServer(t *testing.T) {
	packet := func(seq byte, b ...byte) []byte { p, _ := wire.AppendPacket(nil, seq, b); return p }
	join := func(list ...[]byte) []byte { return bytes.Join(list, nil) }
	end := packet(3, wire.EOFHeader, 0, 0, 2, 0)
	head := join(packet(1, 1), packet(2, column("x", wire.TypeVarString)...))
	for name, sent := range map[string][]byte{
		"a file is wanted":                packet(1, append([]byte{wire.InfileHeader}, "/etc/passwd"...)...),
		"a number that is not the next":   packet(2, 0, 0, 0, 2, 0, 0, 0),
		"an empty packet":                 packet(1),
		"no column":                       packet(1, 0xfc, 0, 0),
		"2^32 columns":                    packet(1, 0xfe, 0, 0, 0, 0, 1, 0, 0, 0),
		"a count and more":                packet(1, 1, 7),
		"a request for another plugin":    packet(1, append([]byte{wire.EOFHeader}, "mysql_clear_password\x00"...)...),
		"a count without its end":         packet(1, 0xfd, 1),
		"an OK that is cut off":           packet(1, 0, 0),
		"an error that is cut off":        packet(1, 0xff, 1),
		"a column in the place of an end": join(head, packet(3, column("y", wire.TypeVarString)...)),
		"a description that is none":      join(packet(1, 1), packet(2, 9, 9)),
		"a row that is too short":         join(head, end, packet(4, 9, 's', '3', 'c')),
		"a row with too many values":      join(head, end, packet(4, 3, 's', '3', 'c', 3, 's', '3', 'c')),
		"progress that nobody knows":      packet(1, 0xff, 0xff, 0xff, 1, 1, 1, 0, 0, 0, 3, 's', '3', 'c'),
		"a second answer":                 join(packet(1, 0, 0, 0, 2, 0, 0, 0), packet(1, 0, 0, 0, 2, 0, 0, 0)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := starring("none")
			r, err := hostile(t, Settings{}, 0, h, func(p *played) {
				p.serve(func(b []byte) bool {
					if bytes.Contains(b, []byte("attack")) {
						p.conn.Write(sent)
					}
					return bytes.Contains(b, []byte("attack"))
				})
			})
			require.NoError(t, err)
			values, err := r.query("SELECT 'attack'")
			if name == "a second answer" && err == nil {
				_, err = r.query("SELECT 1")
			}
			require.Error(t, err)
			require.Empty(t, values)
			require.NotContains(t, err.Error(), "s3c")
			_, err = r.query("SELECT 1")
			require.ErrorIs(t, err, io.EOF, "the session has ended")
		})
	}
}

// What a client sends that is not a command ends its session, or is refused; it never reaches
// the server.
func TestHostileClient(t *testing.T) {
	var heard [][]byte
	start := func(t *testing.T) *raw {
		heard = nil
		r, err := hostile(t, Settings{}, 0, &hooks{}, func(p *played) {
			p.serve(func(b []byte) bool {
				heard = append(heard, bytes.Clone(b))
				return false
			})
		})
		require.NoError(t, err)
		return r
	}
	for _, kind := range []wire.Command{
		wire.Sleep, wire.CreateDB, wire.DropDB, wire.Connect, wire.Time, wire.DelayedInsert, wire.TableDump, wire.ConnectOut, wire.Daemon, wire.Clone, wire.SubscribeGroup,
		wire.StmtBulkExecute, wire.MultiCommand, 0x21, 0x7f, 0xff,
	} {
		r := start(t)
		require.NoError(t, r.send(kind, []byte("anything")...))
		_, err := r.read()
		require.ErrorContains(t, err, "1047", kind)
		require.Empty(t, heard)
		values, err := r.query("SELECT 1")
		require.NoError(t, err)
		require.Equal(t, []string{"1"}, values)
	}
	for _, kind := range []wire.Command{wire.BinlogDump, wire.BinlogDumpGTID, wire.RegisterReplica} {
		r := start(t)
		require.NoError(t, r.send(kind, make([]byte, 20)...))
		_, err := r.read()
		require.ErrorContains(t, err, "replication is not allowed")
		require.Empty(t, heard)
	}
	for _, kind := range []wire.Command{wire.StmtExecute, wire.StmtFetch, wire.StmtReset} {
		r := start(t)
		require.NoError(t, r.send(kind, 7, 0, 0, 0, 0, 1, 0, 0, 0))
		_, err := r.read()
		require.ErrorContains(t, err, "1243")
		require.Empty(t, heard)
	}
	for name, b := range map[string][]byte{
		"a command without a word": {0, 0, 0, 0}, "a number that is not 0": {1, 0, 0, 1, byte(wire.Ping)}, "a statement without a number": {3, 0, 0, 0, byte(wire.StmtExecute), 1, 1},
	} {
		r := start(t)
		_, err := r.conn.Write(b)
		require.NoError(t, err)
		r.talk.Seq = 1
		_, err = r.read()
		require.Error(t, err, name)
		require.True(t, errors.Is(err, io.EOF) || strings.Contains(err.Error(), "1156"), err)
		require.Empty(t, heard)
	}
}
