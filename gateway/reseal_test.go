package gateway

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

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
	g.reseal(t.Context())
	require.NotContains(t, log.String(), "old_keys")
	require.NoError(t, g.Close())
}
