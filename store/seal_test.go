package store_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/store"
)

var place = store.Place{Kind: "authority", Name: "users", Field: "key"}

func sealer(t *testing.T, keys ...store.Key) *store.Sealer {
	t.Helper()
	s, err := store.NewSealer(keys...)
	require.NoError(t, err)
	return s
}

func seal(t *testing.T, s *store.Sealer, p store.Place, secret string) string {
	t.Helper()
	sealed, err := s.Seal(p, []byte(secret))
	require.NoError(t, err)
	return sealed
}

func TestSeal(t *testing.T) {
	s := sealer(t, store.NewKey())
	for _, secret := range []string{"", "hunter2", strings.Repeat("\x00\xff", store.MaxSecret/2)} {
		sealed := seal(t, s, place, secret)
		require.NotEqual(t, sealed, seal(t, s, place, secret))
		got, err := s.Open(place, sealed)
		require.NoError(t, err)
		require.Equal(t, secret, string(got))
		body, err := json.Marshal(sealed)
		require.NoError(t, err)
		require.Less(t, len(body), store.MaxBody)
	}
	_, err := s.Seal(place, make([]byte, store.MaxSecret+1))
	require.ErrorIs(t, err, store.ErrInvalid)
}

// TestSealedElsewhere holds that a sealed text opens in its place only.
func TestSealedElsewhere(t *testing.T) {
	s := sealer(t, store.NewKey())
	sealed := seal(t, s, place, "hunter2")
	for _, p := range []store.Place{
		{Kind: "authority", Name: "servers", Field: "key"},
		{Kind: "hostkey", Name: "users", Field: "key"},
		{Kind: "authority", Name: "users", Field: "token"},
		{Kind: "authorityu", Name: "sers", Field: "key"},
		{Kind: "authority", Name: "userskey", Field: ""},
		{},
	} {
		_, err := s.Open(p, sealed)
		require.ErrorIs(t, err, store.ErrSealed, "%s", p)
		require.NotContains(t, err.Error(), "hunter2")
	}
}

// TestSealedAltered holds that no bit of a sealed text can be changed.
func TestSealedAltered(t *testing.T) {
	s := sealer(t, store.NewKey())
	sealed := seal(t, s, place, "hunter2")
	at := strings.LastIndexByte(sealed, ':') + 1
	box, err := base64.RawStdEncoding.DecodeString(sealed[at:])
	require.NoError(t, err)
	for i := range len(box) * 8 {
		other := bytes.Clone(box)
		other[i/8] ^= 1 << (i % 8)
		_, err := s.Open(place, sealed[:at]+base64.RawStdEncoding.EncodeToString(other))
		require.ErrorIs(t, err, store.ErrSealed)
	}
	for _, text := range []string{
		"", "hunter2", "sealed:v1:", "sealed:v1:abc", sealed[:at], sealed[:len(sealed)-1], sealed + "A", sealed + "=", sealed + "\n", "sealed:v2" + sealed[9:], strings.ToUpper(sealed),
		"sealed:v1:zzzzzzzzzzzz:" + sealed[at:], "sealed:v1:000000000000:" + sealed[at:],
	} {
		_, err := s.Open(place, text)
		require.ErrorIs(t, err, store.ErrSealed, "%q", text)
		require.NotContains(t, err.Error(), "hunter2")
	}
}

func TestSealRotation(t *testing.T) {
	first, second := store.NewKey(), store.NewKey()
	old := seal(t, sealer(t, first), place, "hunter2")
	both := sealer(t, second, first)
	secret, err := both.Open(place, old)
	require.NoError(t, err)
	require.Equal(t, "hunter2", string(secret))
	renewed, changed, err := both.Reseal(place, old)
	require.NoError(t, err)
	require.True(t, changed)
	again, changed, err := both.Reseal(place, renewed)
	require.NoError(t, err)
	require.False(t, changed)
	require.Equal(t, renewed, again)

	only := sealer(t, second)
	secret, err = only.Open(place, renewed)
	require.NoError(t, err)
	require.Equal(t, "hunter2", string(secret))
	for _, f := range []func() error{
		func() error { _, err := only.Open(place, old); return err },
		func() error { _, _, err := only.Reseal(place, old); return err },
	} {
		require.ErrorIs(t, f(), store.ErrSealed)
		require.ErrorContains(t, f(), "sealed by key "+first.ID()+", have keys "+second.ID())
	}
	_, _, err = both.Reseal(store.Place{Kind: "other"}, old)
	require.ErrorIs(t, err, store.ErrSealed)
	_, err = store.NewSealer()
	require.ErrorIs(t, err, store.ErrInvalid)
	_, err = store.NewSealer(store.Key{})
	require.ErrorIs(t, err, store.ErrInvalid)
}

// TestOpenSealer holds that a gateway with another key than the store's notices.
func TestOpenSealer(t *testing.T) {
	st := store.NewMemory()
	first, second := store.NewKey(), store.NewKey()
	var wg sync.WaitGroup
	for range 4 { // gateways that start at once
		wg.Go(func() {
			_, err := store.OpenSealer(t.Context(), st, first)
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	_, err := store.OpenSealer(t.Context(), st, second)
	require.ErrorIs(t, err, store.ErrSealed)
	require.ErrorContains(t, err, "give the store the key that it was sealed by")
	_, err = store.OpenSealer(t.Context(), st, second, first)
	require.NoError(t, err)
	_, err = store.OpenSealer(t.Context(), st, second)
	require.NoError(t, err)
	_, err = store.OpenSealer(t.Context(), st, first)
	require.ErrorIs(t, err, store.ErrSealed)

	d, err := st.Get(t.Context(), "store", "seal")
	require.NoError(t, err)
	d.Body = []byte(`[]`)
	_, err = st.Write(t.Context(), store.Replace(d))
	require.NoError(t, err)
	_, err = store.OpenSealer(t.Context(), st, second)
	require.ErrorIs(t, err, store.ErrSealed)
}

// TestKeyIsNotPrinted holds that no way of printing a key tells it.
func TestKeyIsNotPrinted(t *testing.T) {
	k := store.NewKey()
	type holder struct{ K store.Key }
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
		for _, v := range []any{k, &k, holder{k}, []store.Key{k}} {
			text := fmt.Sprintf(format, v)
			require.NotContains(t, strings.ToLower(text), k.Text()[:8], format)
			require.NotContains(t, text, fmt.Sprint([]byte(k.Text()[:4])), format)
		}
	}
	text, err := json.Marshal(holder{k})
	require.NoError(t, err)
	require.JSONEq(t, `{"K":{}}`, string(text))
}

func TestParseKey(t *testing.T) {
	k := store.NewKey()
	got, err := store.ParseKey(" " + k.Text() + "\r\n")
	require.NoError(t, err)
	require.Equal(t, k, got)
	for _, text := range []string{"", k.Text()[1:], k.Text() + "0", "hunter2", strings.Repeat("x", 64), strings.Repeat("0", 64)} {
		_, err := store.ParseKey(text)
		require.ErrorIs(t, err, store.ErrInvalid)
		if text != "" {
			require.NotContains(t, err.Error(), text)
		}
	}
}

func TestKeyFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "data", "store.key")
	_, err := store.ReadKey(file)
	require.ErrorIs(t, err, os.ErrNotExist)
	keys := make([]store.Key, 8)
	var wg sync.WaitGroup
	for i := range keys { // gateways that start at once
		wg.Go(func() {
			var err error
			if keys[i], err = store.ReadOrMakeKey(file); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, k := range keys {
		require.Equal(t, keys[0], k)
	}
	st, err := os.Stat(file)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), st.Mode())
	left, err := os.ReadDir(filepath.Dir(file))
	require.NoError(t, err)
	require.Len(t, left, 1)

	require.NoError(t, os.Chmod(file, 0o640))
	_, err = store.ReadOrMakeKey(file)
	require.ErrorContains(t, err, "chmod 600 "+file)
	require.NoError(t, os.Chmod(file, 0o600))
	for _, text := range []string{"", "\n", "hunter2", keys[0].Text()[:60], keys[0].Text() + keys[0].Text() + keys[0].Text()} {
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		_, err = store.ReadOrMakeKey(file) // and does not make another
		require.Error(t, err)
		require.NotContains(t, err.Error(), "hunter2")
	}
}
