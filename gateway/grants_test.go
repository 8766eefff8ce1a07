package gateway

import (
	"context"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/review"
	"github.com/sallyport/sallyport/store"
)

// verified is what the gateway's log proves, once it is closed.
func (h *house) verified(t *testing.T, others ...string) *audit.Report {
	t.Helper()
	r, err := audit.Verification{Public: h.Gateway.records.PublicKey(), Signers: others}.Log(filepath.Join(h.dir, "data", "audit"))
	require.NoError(t, err)
	require.Empty(t, r.Problems)
	return r
}

// What one gateway has approved runs at another, by the signature of the former, which is proven there with its key.
func TestSignersOfATeam(t *testing.T) {
	one, two, _ := openPair(t, onRequest("{approvers: [\"local:ops\"]}"))
	id := one.requests(t, time.Hour, time.Time{})
	two.approve(t, id)
	r, err := two.desk.Get(t.Context(), id)
	require.NoError(t, err)
	origin, err := audit.GrantOrigin(r.Signed)
	require.NoError(t, err)
	require.Equal(t, two.Gateway.records.Origin(), origin)
	g, err := audit.OpenGrant(r.Signed, two.Gateway.records.PublicKey())
	require.NoError(t, err)
	require.Equal(t, two.rules(), g.Revision)
	reach := one.database("alice", "shop")
	require.Eventually(t, func() bool {
		c, err := pgconn.Connect(t.Context(), reach)
		if err == nil {
			_, err = c.Exec(t.Context(), "SELECT text FROM notes").ReadAll()
			c.Close(context.Background())
		}
		return err == nil
	}, 10*time.Second, 10*time.Millisecond)

	require.NoError(t, one.stop())
	require.NoError(t, two.stop())
	report := one.verified(t)
	require.Equal(t, map[string]int{two.Gateway.records.Origin(): 1}, report.Approvals.Others)
	report = one.verified(t, two.Gateway.records.PublicKey())
	require.Equal(t, audit.Approvals{Proven: 1, Others: map[string]int{}}, report.Approvals)
	two.verified(t)
}

// Who writes into the store is not a gateway: what a log of hers has signed does not count, although its key is where gateways keep theirs.
func TestForgedSigner(t *testing.T) {
	one, _, _ := openPair(t, onRequest("{approvers: [\"local:ops\"]}"))
	id := one.requests(t, time.Hour, time.Time{})
	stranger, err := audit.Open(t.TempDir(), audit.Config{})
	require.NoError(t, err)
	defer stranger.Close()
	own, err := one.state.store.Get(t.Context(), kindKey, signerKey(one.Gateway.records.Origin()))
	require.NoError(t, err)
	key, err := json.Marshal([]byte(stranger.PublicKey()))
	require.NoError(t, err)
	for name, body := range map[string][]byte{"no key": nil, "in clear": key, "sealed for another log": own.Body, "damaged": []byte(`{}`)} {
		t.Run(name, func(t *testing.T) {
			doc := store.Document{Kind: kindKey, Name: signerKey(stranger.Origin()), Body: body}
			if body != nil {
				_, err := one.state.store.Write(t.Context(), store.Create(doc))
				require.NoError(t, err)
			}
			signed, err := stranger.SignGrant(&proxy.Grant{Version: proxy.GrantVersion, State: proxy.GrantApproved, Request: id})
			require.NoError(t, err)
			_, err = one.desk.Signer.OpenGrant(t.Context(), signed)
			require.ErrorIs(t, err, errNoSigner)
			if body != nil {
				doc, err = one.state.store.Get(t.Context(), doc.Kind, doc.Name)
				require.NoError(t, err)
				_, err = one.state.store.Write(t.Context(), store.Delete(doc))
				require.NoError(t, err)
			}
		})
	}
	signed, err := one.desk.Signer.SignGrant(&proxy.Grant{Version: proxy.GrantVersion})
	require.NoError(t, err)
	for _, name := range []string{"unknown-logins", "sallyport-audit-", "sallyport-audit-000000000000/x", strings.Repeat("x", 2000), ""} {
		_, err = one.desk.Signer.OpenGrant(t.Context(), strings.ReplaceAll(signed, one.Gateway.records.Origin(), name))
		require.Error(t, err)
		require.NotErrorIs(t, err, proxy.ErrUnavailable, name)
	}
}

// What a gateway that was killed has put on record of requests, and not done, its next start says.
func TestReviewsAreSettled(t *testing.T) {
	one, two, text := openPair(t, onRequest("{approvers: [\"local:ops\"]}"))
	id := one.requests(t, time.Hour, time.Time{})
	other := one.requests(t, time.Minute, time.Time{})
	one.approve(t, other)
	// As kill -9 leaves it between the record and the store.
	require.NoError(t, one.Gateway.records.Record(t.Context(), &proxy.Note{Kind: proxy.NoteReview, Request: &proxy.RequestNote{
		ID: id, State: proxy.GrantApproved, Requester: "alice", DecidedBy: "olga", Mark: "mark",
	}}))
	require.NoError(t, one.stop())
	again := open(t, one.dir, text)
	var undone []*audit.Event
	for _, events := range again.records(t) {
		for _, e := range events {
			if e.Type == audit.ReviewPrefix+"undone" {
				undone = append(undone, e)
			}
		}
	}
	require.Len(t, undone, 1)
	require.Equal(t, []string{id, "mark", "alice", "the gateway stopped before the store had it"}, []string{undone[0].Request, undone[0].Mark, undone[0].User, undone[0].Reason})
	r, err := again.desk.Get(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, "pending", string(r.State), "it still waits, and can be approved")
	two.approve(t, id)
	require.NoError(t, again.stop())
	again.verified(t)
}

// What was revoked stays so after a restart, although the store was set back to before.
func TestRevokedStaysRevoked(t *testing.T) {
	one, two, text := openPair(t, onRequest("{approvers: [\"local:ops\"]}"))
	id := one.requests(t, time.Hour, time.Time{})
	one.approve(t, id)
	before, err := one.state.store.Get(t.Context(), review.KindRequest, id)
	require.NoError(t, err)
	_, err = one.desk.Revoke(t.Context(), id, review.Vote{By: olga, Reason: "enough"}, false)
	require.NoError(t, err)
	require.NoError(t, one.stop())
	now, err := two.state.store.Get(t.Context(), review.KindRequest, id)
	require.NoError(t, err)
	before.Version = now.Version
	_, err = two.state.store.Write(t.Context(), store.Replace(before))
	require.NoError(t, err)

	again := open(t, one.dir, text)
	target, err := again.Target("shop", "", "")
	require.NoError(t, err)
	for _, r := range again.desk.List() {
		_, _, _, ok := again.desk.Granted(&proxy.Identity{Subject: "alice"}, target, r.Access.Rule)
		require.False(t, ok)
	}
	require.Eventually(t, func() bool {
		r, err := again.desk.Get(t.Context(), id)
		return err == nil && r.State == review.Revoked
	}, 10*time.Second, 10*time.Millisecond)
	require.NoError(t, again.stop())
	again.verified(t)
}
