package gateway

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/identity/tokens"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/review"
)

// TestServiceOfTheApprover: who has made a service, or the access token by which it asks, does not approve what it asks for.
func TestServiceOfTheApprover(t *testing.T) {
	one, _, _ := openPair(t, onRequest("{approvers: [\"local:ops\"]}"))
	require.NoError(t, one.proofs.tokens.PutPrincipal(t.Context(), tokens.Principal{Name: "deploy", Kind: proxy.Service, Groups: []string{"dev"}, Creator: "mara"}))
	token, secret, err := one.proofs.tokens.Create(t.Context(), tokens.Token{Subject: "deploy", User: "deploy", Creator: "olga", Expires: time.Now().Add(time.Hour)})
	require.NoError(t, err)
	id, err := one.proofs.tokens.Authenticate(t.Context(), proxy.Proof{Method: proxy.MethodPassword, User: "deploy~" + token.ID, Password: secret})
	require.NoError(t, err)
	shop, err := one.Target("shop", "", "")
	require.NoError(t, err)
	_, _, err = one.Proxy().Open(t.Context(), proxy.OpenRequest{Identity: id, Target: shop, Protocol: "postgres"})
	require.ErrorContains(t, err, "waits for an approval of local:ops")
	list := one.desk.List()
	require.Len(t, list, 1)
	require.Equal(t, []string{"mara", "olga"}, list[0].Creators)
	for _, by := range list[0].Creators {
		_, err = one.desk.Approve(t.Context(), list[0].ID, review.Vote{By: &proxy.Identity{Subject: by, Groups: olga.Groups}, Hash: list[0].Hash}, review.Narrow{})
		require.ErrorIs(t, err, review.ErrOwn)
	}
	_, err = one.desk.Approve(t.Context(), list[0].ID, review.Vote{By: &proxy.Identity{Subject: "otto", Groups: olga.Groups}, Hash: list[0].Hash}, review.Narrow{})
	require.NoError(t, err)
}
