package gateway

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/proxy/proxytest"
	"github.com/sallyport/sallyport/review"
	"github.com/sallyport/sallyport/store"
)

// TestStoreKeyReplaced: a gateway with a new key reseals what the old one has sealed, says when
// that is not needed any more, and goes on without it as who it was.
func TestStoreKeyReplaced(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("STORE_OLD", store.NewKey().Text())
	t.Setenv("STORE_NEW", store.NewKey().Text())
	begin := func(keys string) (*Gateway, *lockedText) {
		log := &lockedText{}
		g, err := New(parse(t, Defaults(), "data_dir: "+dir+"\nstore: {"+keys+"}\nlisten: {postgres: \"127.0.0.1:0\"}\nidentity: {users: [{name: alice, password: "+verifier(t)+"}]}\nresources: []\n"), Options{Log: slog.New(slog.NewTextHandler(log, nil))})
		require.NoError(t, err)
		return g, log
	}
	g, _ := begin("key: env:STORE_OLD")
	holds(t, g, "DELETE FROM marzipan")
	users := g.proofs.certificates.Authority.Certificates()[0].Raw
	require.NoError(t, g.Close())

	g, log := begin("key: env:STORE_NEW, old_keys: [env:STORE_OLD]")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- g.Run(ctx) }()
	require.Eventually(t, func() bool { return strings.Contains(log.String(), "store.old_keys can be removed") }, 20*time.Second, 10*time.Millisecond, log)
	require.Contains(t, log.String(), "documents of the store were sealed by an old key")
	cancel()
	require.NoError(t, <-done)

	g, log = begin("key: env:STORE_NEW")
	require.Equal(t, users, g.proofs.certificates.Authority.Certificates()[0].Raw)
	held := g.desk.List()
	require.Len(t, held, 1)
	require.Equal(t, "DELETE FROM marzipan", held[0].Text)
	g.reseal(t.Context())
	require.NotContains(t, log.String(), "old_keys")
	require.NoError(t, g.Close())
}

// holds has a statement wait for an approval, of a session of no listener.
func holds(t *testing.T, g *Gateway, statement string) {
	t.Helper()
	desk := &review.Desk{Store: g.state.store, Sealer: g.state.sealer, Signer: g.desk.Signer, Note: func(context.Context, *proxy.Note) error { return nil }}
	require.NoError(t, desk.Load(t.Context()))
	s, err := proxytest.Open(&proxy.Gateway{})
	require.NoError(t, err)
	defer s.Close(nil)
	_, err = desk.Request(t.Context(), s, proxytest.Statement(statement, proxy.EffectDelete), &proxy.Hold{Rules: []string{"r"}, Approvers: [][]string{{"ops"}}, For: time.Hour})
	require.NoError(t, err)
}
