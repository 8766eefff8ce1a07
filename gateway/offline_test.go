package gateway

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/control"
	"github.com/sallyport/sallyport/control/client"
	"github.com/sallyport/sallyport/identity/identitytest"
	"github.com/sallyport/sallyport/internal/pgembed"
	"github.com/sallyport/sallyport/internal/testserver"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/review"
	"github.com/sallyport/sallyport/review/offline"
	"github.com/sallyport/sallyport/store"
)

// keyring are keys of SSH, by their owners' names.
type keyring map[string]string

func newKeyring(t *testing.T, names ...string) (keyring, string) {
	t.Helper()
	dir := t.TempDir()
	k := make(keyring)
	for _, n := range names {
		k[n] = testserver.KeyPair(t, filepath.Join(dir, n))
	}
	return k, dir
}

// signs has people sign a text as ssh-keygen does.
func signs(t *testing.T, dir, text string, names ...string) (list []string) {
	t.Helper()
	for _, n := range names {
		cmd := exec.Command("ssh-keygen", "-Y", "sign", "-q", "-n", offline.Namespace, "-f", filepath.Join(dir, n))
		cmd.Stdin = strings.NewReader(text)
		out, err := cmd.Output()
		require.NoError(t, err)
		list = append(list, string(out))
	}
	return list
}

// codeOf is the code of an error of the API; "" without an error.
func codeOf(err error) string {
	if e, ok := err.(*control.Error); ok {
		return e.Code
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

// offline is the connection string of somebody who was given one by an offline grant.
func (h *house) offline(a *control.OfflineAccess) string {
	s := h.database("x", "x")
	s = strings.Replace(s, "user=x+x", "user="+a.User, 1)
	return strings.Replace(s, "password="+password, "password="+a.Password, 1)
}

// TestOfflineGrant: with the store and the identity provider really down, somebody gets in by a grant that was made before and by what she
// and two others sign, at the gateway's machine; it is recorded in full, told at once, taken back there, and handed in when the store is
// back, which has it reviewed.
func TestOfflineGrant(t *testing.T) {
	kept := testserver.Postgres(t, pgembed.Config{})
	keys, ring := newKeyring(t, "alice", "olga", "otto", "eve")
	provider := identitytest.StartProvider(t, "https://gw.example.com/auth/dev/callback")
	provider.Groups(t, "alice", "dba")
	server, database := testserver.Database(t, "CREATE TABLE notes (text text); INSERT INTO notes VALUES ('hello')")
	t.Setenv("STORE_KEY", store.NewKey().Text())
	t.Setenv("STORE_PASSWORD", kept.Password)
	t.Setenv("DB_PASSWORD", server.Password)
	t.Setenv("CLIENT_SECRET", "secret")
	hooks := t.TempDir()
	told := newReceiver(t, hooks, "a.pem")
	file := func(more string) string {
		return fmt.Sprintf(`
listen: {postgres: "127.0.0.1:0"}
store: {url: "postgres://postgres@%s/postgres", password: "env:STORE_PASSWORD", key: "env:STORE_KEY"}
identity:
  providers:
    - {name: dev, issuer: %q, client_id: web, client_secret: "env:CLIENT_SECRET", scopes: [profile, offline_access], groups: {claim: groups}}
resources:
  - {name: shop, type: postgres, address: %q, database: %s, username: postgres, password: "env:DB_PASSWORD", tls: {mode: disable}, max_stale: 10s}
  - {name: other, type: postgres, address: %q, database: %s, username: postgres, password: "env:DB_PASSWORD", tls: {mode: disable}}
access:
  - {name: prod, groups: ["dev:dba"], resources: [shop], allow: [connect, read], request: {approvers: ["local:ops"], break_glass: {groups: ["dev:dba"], max: 30m, offline: true}}}
  - {name: others, groups: ["dev:dba"], resources: [other], allow: [connect, read]}
offline_grants:
  keepers: [{name: dev/olga, key: %q}, {name: dev/otto, key: %q}]
%s%s`, kept.Address(), provider.Issuer, server.Address(), database, server.Address(), database, keys["olga"], keys["otto"], more, loud(t, hooks, told))
	}
	one := open(t, t.TempDir(), file(""))
	two := open(t, t.TempDir(), file(""))
	alice := (&team{provider: provider}).login(t, one)
	require.NoError(t, one.proofs.members.Saw(t.Context(), alice))
	api := client.Socket(Socket(one.parts().config))
	ctx := t.Context()
	_, err := api.MakeOffline(ctx, control.OfflineGrantRequest{Subject: "dev/nobody", Key: keys["alice"], Resource: "shop", Reason: "drill"})
	require.Equal(t, control.CodeNotFound, codeOf(err))
	_, err = api.MakeOffline(ctx, control.OfflineGrantRequest{Subject: alice.Subject, Key: keys["alice"], Resource: "other", Reason: "drill"})
	require.Equal(t, control.CodeForbidden, codeOf(err))
	_, err = api.MakeOffline(ctx, control.OfflineGrantRequest{Subject: alice.Subject, Key: "x", Resource: "shop", Reason: "drill"})
	require.Equal(t, control.CodeBadRequest, codeOf(err))
	grant, err := api.MakeOffline(ctx, control.OfflineGrantRequest{Subject: alice.Subject, Key: keys["alice"], Resource: "shop", Reason: "drill"})
	require.NoError(t, err)
	require.NotContains(t, grant.Sealed, "PRIVATE")

	kept.Kill()
	provider.Stop()
	_, err = pgconn.Connect(ctx, one.database("root", "shop"))
	require.Error(t, err)
	begin := func(reason string) *control.OfflineStatement {
		t.Helper()
		s, err := api.BeginOffline(ctx, control.OfflineBegin{Sealed: grant.Sealed, Reason: reason, Seconds: 600})
		require.NoError(t, err)
		return s
	}
	use := func(text string, names ...string) (*control.OfflineAccess, error) {
		return api.UseOffline(ctx, control.OfflineUse{Sealed: grant.Sealed, Statement: text, Signatures: signs(t, ring, text, names...)})
	}
	s := begin("orders are lost")
	require.Equal(t, []string{"dev/olga", "dev/otto"}, s.Keepers)
	require.Equal(t, 2, s.Need)
	for says, names := range map[string][]string{
		"1 of the keepers have signed it, and 2 have to": {"alice", "olga"},
		"has not signed it":              {"olga", "otto"},
		"belongs to none of the keepers": {"alice", "olga", "eve"},
	} {
		_, err := use(s.Text, names...)
		require.ErrorContains(t, err, says)
	}
	_, err = client.Socket(Socket(two.parts().config)).UseOffline(ctx, control.OfflineUse{Sealed: grant.Sealed, Statement: s.Text, Signatures: signs(t, ring, s.Text, "alice", "olga", "otto")})
	require.ErrorContains(t, err, "not a grant of this gateway")
	require.Empty(t, told.has())
	access, err := use(s.Text, "alice", "olga", "otto")
	require.NoError(t, err)
	id := access.Request.ID
	require.Equal(t, alice.Subject, access.Request.Requester)
	require.Equal(t, 10*time.Minute, access.Request.Access.Grant.Until.Sub(access.Request.Access.Grant.From))
	told.told(t, one, id+" break_glass")
	_, err = use(s.Text, "alice", "olga", "otto")
	require.ErrorContains(t, err, "is that of use 1, and the next one is 2")
	again := begin("once more")
	_, err = use(again.Text, "alice", "olga", "otto")
	require.Equal(t, control.CodeConflict, codeOf(err), "it was not reviewed")

	session := connect(t, one.offline(access))
	hello := [][]string{{"hello"}}
	require.Equal(t, hello, session.query("SELECT text FROM notes"))
	_, err = pgconn.Connect(ctx, strings.Replace(one.offline(access), "+shop", "+other", 1))
	require.ErrorContains(t, err, "no such resource", "it is for one")
	_, err = pgconn.Connect(ctx, strings.Replace(one.offline(access), access.Password, "wrong", 1))
	require.ErrorContains(t, err, "password authentication failed")
	_, err = one.deciders(ctx, access)
	require.ErrorIs(t, err, proxy.ErrUnauthenticated, "it decides about nothing")
	live := one.session(t, alice.Subject, "shop")
	var rows [][]*string
	require.Eventually(t, func() bool {
		for _, e := range one.records(t)[live.ID] {
			switch e.Type {
			case audit.SessionStart:
				require.Equal(t, "full", e.Recording["rows"])
			case audit.RecordingRows:
				rows = e.Values
			}
		}
		return rows != nil
	}, 20*time.Second, 20*time.Millisecond)
	require.Equal(t, "hello", *rows[0][0])
	require.NoError(t, one.Reload(), "a revision asks about everybody")
	bounds, _ := one.staleBounds()
	one.lookStale(ctx, &freshness{at: time.Now().Add(-time.Hour)}, bounds, time.Now()) // which cuts others
	require.Equal(t, hello, session.query("SELECT text FROM notes"))
	list, err := api.Requests(ctx, false)
	require.NoError(t, err)
	require.Len(t, list, 1)

	// It is taken back at the machine.
	_, err = api.Revoke(ctx, id, "enough")
	require.NoError(t, err)
	m, err := session.Receive()
	require.NoError(t, err)
	require.Contains(t, m.(*pgproto3.ErrorResponse).Message, "enough")
	_, err = pgconn.Connect(ctx, one.offline(access))
	require.Error(t, err)

	// The store is back.
	require.NoError(t, kept.Restart(ctx))
	require.Eventually(t, func() bool {
		r, err := two.desk.Get(ctx, id)
		return err == nil && r.State == review.ReviewDue
	}, 60*time.Second, 100*time.Millisecond, one.log)
	r, err := two.desk.Get(ctx, id)
	require.NoError(t, err)
	require.Equal(t, review.Revoked, r.Access.Glass.Ended.State)
	require.Equal(t, uint64(1), r.Access.Glass.Offline.Number)
	_, err = two.desk.Review(ctx, id, review.Vote{By: olga, Hash: r.Hash, Reason: "a drill"}, false, false)
	require.NoError(t, err)
	require.NotContains(t, one.log.String(), access.Password)
	_, err = use(s.Text, "alice", "olga", "otto")
	require.ErrorContains(t, err, "is that of use 1")
	require.Eventually(t, func() bool {
		access, err = use(again.Text, "alice", "olga", "otto")
		return err == nil
	}, 20*time.Second, 100*time.Millisecond, "it was reviewed: %v", err)
	require.Equal(t, hello, connect(t, one.offline(access)).query("SELECT text FROM notes"), "also while everything answers")
	require.NoError(t, one.stop())
	require.Equal(t, 2, one.verified(t).Approvals.Proven)
}

// deciders proves who decides, by what an offline grant has given.
func (h *house) deciders(ctx context.Context, a *control.OfflineAccess) (*proxy.Identity, error) {
	name, _, _ := strings.Cut(a.User, "+")
	return deciders{identities{h.Gateway}}.Authenticate(ctx, proxy.Proof{Method: proxy.MethodPassword, User: name, Password: proxy.NewSecret(a.Password), Protocol: "control"})
}
