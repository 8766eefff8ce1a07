package stored_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/identity/ca"
	"github.com/sallyport/sallyport/identity/stored"
	"github.com/sallyport/sallyport/internal/teststore"
	"github.com/sallyport/sallyport/store"
)

// secret is a document as packages of identity keep one.
type secret struct {
	Note   string   `json:"note"`
	Sealed []byte   `json:"sealed"`
	More   [][]byte `json:"more"`
}

// contended changes documents between a reading and the writing that follows it.
type contended struct {
	store.Store
	n atomic.Int32
}

func (c *contended) Write(ctx context.Context, ws ...store.Write) (int64, error) {
	if ws[0].Kind != ca.KindAuthority && c.n.Add(1)%2 == 1 {
		d, err := c.Get(ctx, ws[0].Kind, ws[0].Name)
		if err != nil {
			return 0, err
		}
		var body map[string]any
		if err := json.Unmarshal(d.Body, &body); err != nil {
			return 0, err
		}
		body["note"] = "changed"
		if d.Body, err = json.Marshal(body); err != nil {
			return 0, err
		}
		if _, err := c.Store.Write(ctx, store.Replace(d)); err != nil {
			return 0, err
		}
	}
	return c.Store.Write(ctx, ws...)
}

// TestReseal: after it, the first key opens everything that the others have sealed, and what
// others have changed meanwhile stays changed.
func TestReseal(t *testing.T) {
	teststore.Each(t, func(t *testing.T, s store.Store) {
		before, after := store.NewKey(), store.NewKey()
		keys, err := store.OpenSealer(t.Context(), s, before)
		require.NoError(t, err)
		docs, sealer := stored.Documents(s), stored.Sealer(keys)
		seal := func(sealer identity.Sealer, plain, purpose string) []byte {
			b, err := sealer.Seal([]byte(plain), purpose)
			require.NoError(t, err)
			return b
		}
		_, err = ca.OpenAuthority(t.Context(), ca.ForUsers, ca.Options{Documents: docs, Sealer: sealer})
		require.NoError(t, err)
		const n = 30
		for i := range n {
			name := fmt.Sprintf("%c é \"%d", 'a'+i, i)
			body, err := json.Marshal(secret{
				Note: "sealed:v1 / <é>", Sealed: seal(sealer, "hunter"+name, "login "+name), More: [][]byte{seal(sealer, "x", "+/ \" "+name), []byte("plain"), nil},
			})
			require.NoError(t, err)
			_, err = docs.Write(t.Context(), []string{"login", "factor", "key"}[i%3], identity.Document{Name: name, Body: body})
			require.NoError(t, err)
		}
		foreign, err := store.NewSealer(store.NewKey())
		require.NoError(t, err)
		for name, b := range map[string][]byte{"foreign": seal(stored.Sealer(foreign), "x", "y"), "cut": append(seal(sealer, "x", "y")[:40], " y"...), "no purpose": []byte("sealed:v1:nothing")} {
			body, err := json.Marshal(secret{Sealed: b})
			require.NoError(t, err)
			_, err = docs.Write(t.Context(), "odd", identity.Document{Name: name, Body: body})
			require.NoError(t, err)
		}
		_, err = docs.Write(t.Context(), "odd", identity.Document{Name: "text", Body: []byte(`{"note":"c2VhbGVkOnYx of a user's"}`)})
		require.NoError(t, err)

		former := keys
		keys, err = store.OpenSealer(t.Context(), s, after, before)
		require.NoError(t, err)
		r, err := stored.Reseal(t.Context(), &contended{Store: s}, keys)
		require.NoError(t, err)
		require.Equal(t, n+1, r.Documents)
		require.Len(t, r.Unopened, 4)
		r, err = stored.Reseal(t.Context(), s, keys)
		require.NoError(t, err)
		require.Zero(t, r.Documents)
		require.Empty(t, r.Left)
		require.Len(t, r.Unopened, 4)

		for name, key := range map[string]*store.Sealer{"old": former, "new": keys} {
			text, err := key.Seal(store.Place{Kind: "identity", Name: "z", Field: "sealed"}, []byte("x")) // as an earlier version did
			require.NoError(t, err)
			body, err := json.Marshal(secret{Sealed: []byte(text)})
			require.NoError(t, err)
			_, err = docs.Write(t.Context(), "earlier", identity.Document{Name: name, Body: body})
			require.NoError(t, err)
		}
		r, err = stored.Reseal(t.Context(), s, keys)
		require.NoError(t, err)
		require.Equal(t, []string{`earlier "old"`}, r.Left)

		keys, err = store.OpenSealer(t.Context(), s, after)
		require.NoError(t, err)
		sealer = stored.Sealer(keys)
		_, err = ca.OpenAuthority(t.Context(), ca.ForUsers, ca.Options{Documents: docs, Sealer: sealer})
		require.NoError(t, err)
		for i := range n {
			name := fmt.Sprintf("%c é \"%d", 'a'+i, i)
			d, err := docs.Get(t.Context(), []string{"login", "factor", "key"}[i%3], name)
			require.NoError(t, err)
			var got secret
			require.NoError(t, json.Unmarshal(d.Body, &got))
			plain, err := sealer.Open(got.Sealed, "login "+name)
			require.NoError(t, err)
			require.Equal(t, "hunter"+name, string(plain))
			_, err = sealer.Open(got.More[0], "+/ \" "+name)
			require.NoError(t, err)
			_, err = sealer.Open(got.More[0], "login "+name)
			require.ErrorIs(t, err, identity.ErrSealed)
			require.Equal(t, "plain", string(got.More[1]))
			require.Equal(t, "changed", got.Note)
		}
		d, err := docs.Get(t.Context(), "odd", "text")
		require.NoError(t, err)
		require.True(t, strings.Contains(string(d.Body), "c2VhbGVkOnYx of a user's"))
	})
}
