package gateway

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/identity/ca"
	"github.com/sallyport/sallyport/internal/testserver"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/proxy/tunnel"
)

// throughAgent is the config of a gateway whose database is reached by an agent. Its address names a host
// that only the agent knows.
func throughAgent(t *testing.T, dir string, trusts *testserver.Authority) string {
	t.Helper()
	pg, _ := testserver.Shared(t)
	for name, content := range map[string][]byte{"ca.pem": trusts.PEM(), "db.password": []byte(pg.Password)} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), content, 0o600))
	}
	return fmt.Sprintf(`
listen: {postgres: "127.0.0.1:0"}
tunnel: {listen: "127.0.0.1:0"}
data_dir: data
identity: {users: [{name: alice, groups: [dev], password: %s}]}
resources:
  - name: shop
    type: postgres
    address: "db.internal:%d"
    via: berlin
    database: postgres
    username: postgres
    password: "file:db.password"
    tls: {mode: verify-full, ca: ca.pem, server_name: localhost}
access: [{groups: [dev], allow: [connect, read]}]
masking: [{use: off}]
`, verifier(t), pg.Port)
}

// onlyThisMachine resolves names as an agent's network does.
func onlyThisMachine(_ context.Context, host string) ([]netip.Addr, error) {
	if host != "db.internal" {
		return nil, fmt.Errorf("asked for %s", host)
	}
	return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
}

// agentOf runs an agent of a gateway, which reaches the host of db.internal on this machine.
func (h *house) agentOf(t *testing.T, name string) (stop func()) {
	t.Helper()
	token, err := h.agents.registry.Token(t.Context(), ca.TokenRequest{Agent: name, By: "test"})
	require.NoError(t, err)
	read, err := tunnel.ParseToken(token.Text)
	require.NoError(t, err)
	at := h.AgentsAddr().String()
	id, err := tunnel.Enrolment{Gateway: at, Token: read}.Enrol(t.Context())
	require.NoError(t, err)
	f := tunnel.File(filepath.Join(t.TempDir(), "agent.json"))
	require.NoError(t, f.Save(id))
	return h.runAgent(t, f, name)
}

func (h *house) runAgent(t *testing.T, f tunnel.File, name string) (stop func()) {
	t.Helper()
	allow, err := tunnel.ParseAllow("127.0.0.1")
	require.NoError(t, err)
	a := &tunnel.Agent{
		Keeper: f, Gateways: []string{h.AgentsAddr().String()}, Allow: allow, Lookup: onlyThisMachine, DrainTimeout: time.Second, MaxWait: 200 * time.Millisecond,
		Log: slog.New(slog.NewTextHandler(h.log, nil)),
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	require.Eventually(t, func() bool {
		for _, st := range h.Agents() {
			if st.Agent == name && st.Connected {
				return true
			}
		}
		return false
	}, 30*time.Second, 5*time.Millisecond, "the agent has not connected; the log: %s", h.log)
	return stop
}

// TestResourcesViaAgents: a database in a network of its own is used through its agent as any other: by its
// name there, with its TLS verified by the gateway; what an agent is revoked for ends its sessions.
func TestResourcesViaAgents(t *testing.T) {
	dir := t.TempDir()
	_, authority := testserver.Shared(t)
	h := open(t, dir, throughAgent(t, dir, authority))
	connect := func() (*pgconn.PgConn, error) { return pgconn.Connect(t.Context(), h.database("alice", "shop")) }
	_, err := connect()
	require.ErrorContains(t, err, "cannot be reached")

	token, err := h.agents.registry.Token(t.Context(), ca.TokenRequest{Agent: "rome", By: "test"})
	require.NoError(t, err)
	guessed, err := tunnel.ParseToken(token.Text)
	require.NoError(t, err)
	guessed.Secret = "guessed"
	_, err = tunnel.Enrolment{Gateway: h.AgentsAddr().String(), Token: guessed}.Enrol(t.Context())
	require.Error(t, err)

	h.agentOf(t, "berlin")
	c, err := connect()
	require.NoError(t, err)
	defer c.Close(t.Context())
	r := c.ExecParams(t.Context(), "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()", nil, nil, nil, nil).Read()
	require.NoError(t, r.Err)
	require.Equal(t, "t", string(r.Rows[0][0]), "what the agent passes on is not encrypted from the gateway to the database")

	// An agent of another name is not asked.
	h.agentOf(t, "paris")
	require.NoError(t, h.agents.registry.Revoke(t.Context(), ca.Revocation{Agent: "berlin", By: "root", Reason: "test"}))
	require.Eventually(t, func() bool {
		return c.Exec(t.Context(), "SELECT 1").Close() != nil
	}, 30*time.Second, 20*time.Millisecond, "the session of a revoked agent goes on")
	_, err = connect()
	require.ErrorContains(t, err, "cannot be reached")

	// What became of agents is on record, and shown.
	list, err := h.control.Agents(t.Context())
	require.NoError(t, err)
	require.Len(t, list, 2)
	require.Equal(t, "berlin", list[0].Name)
	require.False(t, list[0].Connected)
	require.False(t, list[0].Revoked.IsZero())
	require.Equal(t, "paris", list[1].Name)
	require.True(t, list[1].Connected)
	require.Eventually(t, func() bool { return len(h.events(t, audit.TunnelRevoked)) > 0 }, 30*time.Second, 20*time.Millisecond)
	require.NoError(t, h.agents.changed(t.Context(), "berlin")) // as when something else of it has changed
	revoked := h.events(t, audit.TunnelRevoked)
	require.Len(t, revoked, 1)
	require.Equal(t, []string{"berlin", "root", "test"}, []string{revoked[0].Name, revoked[0].User, revoked[0].Reason})
	var enrolled []string
	for _, e := range h.events(t, audit.TunnelEnrolled) {
		enrolled = append(enrolled, e.Name+" by "+e.User)
		require.NotEmpty(t, e.Remote)
	}
	require.Equal(t, []string{"berlin by test", "paris by test"}, enrolled)
	require.Len(t, h.events(t, audit.TunnelConnected), 2)
	require.Eventually(t, func() bool { return len(h.events(t, audit.TunnelLost)) > 0 }, 30*time.Second, 20*time.Millisecond)
	require.Eventually(t, func() bool {
		for _, e := range h.events(t, audit.GatewayPrefix+proxy.EventLoginFailed.String()) {
			if e.Protocol == "tunnel" && strings.Contains(e.Error, "was used") {
				return true
			}
		}
		return false
	}, 30*time.Second, 20*time.Millisecond, "a token that does not count is refused, and that is not on record")
}

// A database asks for the password as it is. By an agent on this machine it does not get it: the database
// is elsewhere.
func TestAnAgentIsShownNoPassword(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	got := make(chan string, 1)
	go func() {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		var size [4]byte
		if _, err := io.ReadFull(c, size[:]); err != nil {
			got <- err.Error()
			return
		}
		if _, err := io.CopyN(io.Discard, c, int64(binary.BigEndian.Uint32(size[:]))-4); err != nil {
			got <- err.Error()
			return
		}
		_, _ = c.Write([]byte{'R', 0, 0, 0, 8, 0, 0, 0, 3}) // an error shows when it is read
		b, _ := io.ReadAll(c)
		got <- string(b)
	}()
	dir := t.TempDir()
	_, authority := testserver.Shared(t)
	text := throughAgent(t, dir, authority)
	text = regexp.MustCompile(`db\.internal:\d+`).ReplaceAllString(text, fmt.Sprintf("db.internal:%d", ln.Addr().(*net.TCPAddr).Port))
	text = strings.Replace(text, "tls: {mode: verify-full, ca: ca.pem, server_name: localhost}", "tls: {mode: disable}", 1)
	h := open(t, dir, text)
	h.agentOf(t, "berlin")
	_, err = pgconn.Connect(t.Context(), h.database("alice", "shop"))
	require.ErrorContains(t, err, "unencrypted password")
	require.Empty(t, strings.Trim(<-got, "X\x00\x04"))
}

// An agent that poses as the database, or leads elsewhere, is seen by the gateway, which sends it no password.
func TestAnAgentCannotPoseAsTheResource(t *testing.T) {
	dir := t.TempDir()
	h := open(t, dir, throughAgent(t, dir, testserver.NewAuthority()))
	h.agentOf(t, "berlin")
	_, err := pgconn.Connect(t.Context(), h.database("alice", "shop"))
	var e *pgconn.PgError
	require.ErrorAs(t, err, &e)
	require.Contains(t, e.Message, "failed to verify certificate", "the login went on")
}

// Gateways that share a store have agents know all of them.
func TestAgentsAreToldOfGateways(t *testing.T) {
	dir := t.TempDir()
	_, authority := testserver.Shared(t)
	h := open(t, dir, strings.Replace(throughAgent(t, dir, authority), `tunnel: {listen: "127.0.0.1:0"}`, `tunnel: {listen: "127.0.0.1:0", address: "gw-1.example.com:8444"}`, 1))
	require.Eventually(t, func() bool { return len(h.agents.gateways()) > 0 }, 30*time.Second, 5*time.Millisecond)
	require.Equal(t, []string{"gw-1.example.com:8444"}, h.agents.gateways())
	other := &agents{Gateway: h.Gateway, server: &tunnel.Server{ID: "another"}, address: "gw-2.example.com:8444"}
	require.NoError(t, other.place(t.Context()))
	require.NoError(t, h.agents.place(t.Context()))
	require.Equal(t, []string{"gw-1.example.com:8444", "gw-2.example.com:8444"}, h.agents.gateways())
	require.NoError(t, other.leave(t.Context()))
	require.NoError(t, h.agents.place(t.Context()))
	require.Equal(t, []string{"gw-1.example.com:8444"}, h.agents.gateways())
}

// Without "tunnel" in the config file, nobody has anything to say to agents.
func TestAGatewayWithoutAgents(t *testing.T) {
	dir := t.TempDir()
	_, authority := testserver.Shared(t)
	text := throughAgent(t, dir, authority)
	h := open(t, dir, strings.Replace(strings.Replace(text, `tunnel: {listen: "127.0.0.1:0"}`, "", 1), "    via: berlin\n", "", 1))
	require.Nil(t, h.AgentsAddr())
	require.Nil(t, h.Agents())
}
