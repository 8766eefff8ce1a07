package onepassword

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/secrets"
	"github.com/sallyport/sallyport/secrets/secretstest"
)

const (
	vaultID = "ftz4pm2xxwmwrsd7rjqn7grzfz"
	itemID  = "2fcbqwe9ndg175zg2dzwftvkpa"
	twinID  = "3fcbqwe9ndg175zg2dzwftvkpa"
)

// connect is what the gateway asks of a Connect server, as its reference describes it.
type connect struct {
	mu     sync.Mutex
	fields string // JSON
}

func (c *connect) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	answer := func(text string) { _, _ = w.Write([]byte(text)) }
	filter := r.URL.Query().Get("filter")
	switch {
	case r.Header.Get("Authorization") != "Bearer connect-token":
		w.WriteHeader(http.StatusUnauthorized)
	case r.URL.Path == "/v1/vaults" && filter == `name eq "Data bases"`:
		answer(`[{"id":"` + vaultID + `","name":"Data bases"}]`)
	case r.URL.Path == "/v1/vaults":
		answer(`[]`)
	case r.URL.Path == "/v1/vaults/"+vaultID+"/items" && filter == `title eq "orders"`:
		answer(`[{"id":"` + itemID + `","title":"orders"}]`)
	case r.URL.Path == "/v1/vaults/"+vaultID+"/items" && filter == `title eq "twins"`:
		answer(`[{"id":"` + itemID + `"},{"id":"` + twinID + `"}]`)
	case r.URL.Path == "/v1/vaults/"+vaultID+"/items":
		answer(`[]`)
	case r.URL.Path == "/v1/vaults/"+vaultID+"/items/"+itemID:
		answer(`{"id":"` + itemID + `","version":3,"sections":[{"id":"s1","label":"replica"}],"fields":` + c.fields + `}`)
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

func (c *connect) set(value string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	text, _ := json.Marshal(value)
	c.fields = `[{"id":"username","label":"username","purpose":"USERNAME","value":"app"},{"id":"password","label":"password","type":"CONCEALED","value":` + string(text) + `},
	{"id":"f1","label":"host","section":{"id":"s1"},"value":"r1"},{"id":"f2","label":"twice","value":"a"},{"id":"f3","label":"twice","section":{"id":"s1"},"value":"b"},{"id":"f4","label":"none"}]`
}

func given(text string) secrets.Input {
	return func(context.Context) (proxy.Secret, error) { return proxy.NewSecret(text), nil }
}

func TestSuite(t *testing.T) {
	secretstest.Run(t, func(t *testing.T) *secretstest.Rig {
		c := &connect{}
		front := secretstest.NewFront(t, c)
		p, err := New(Config{Address: front.URL, Token: given("connect-token")})
		require.NoError(t, err)
		return &secretstest.Rig{
			Scheme: "onepassword", Provider: p, Front: front, Ref: "onepassword:Data bases/orders#password", Missing: "onepassword:Data bases/orders#other",
			Empties: true, Large: true, Set: c.set,
		}
	})
}

func TestFields(t *testing.T) {
	c := &connect{}
	c.set("hunter2")
	front := secretstest.NewFront(t, c)
	p, err := New(Config{Address: front.URL, Token: given("connect-token")})
	require.NoError(t, err)
	get := func(text string) (*secrets.Value, error) {
		ref, err := secrets.Parse("onepassword:" + text)
		require.NoError(t, err)
		return p.Resolve(t.Context(), ref, secrets.Use{})
	}
	for ref, want := range map[string]string{
		"Data bases/orders#password": "hunter2", vaultID + "/" + itemID + "#password": "hunter2", "Data bases/orders#replica.host": "r1", "Data bases/orders#s1.f1": "r1",
		"Data bases/orders#host": "r1", "Data bases/orders#f3": "b", "Data bases/orders#replica.twice": "b",
	} {
		v, err := get(ref)
		require.NoError(t, err, ref)
		require.Equal(t, want, v.Plain().Reveal(), ref)
		require.Equal(t, "3", v.Version)
	}
	v, err := get("Data bases/orders#password?user=username")
	require.NoError(t, err)
	require.Equal(t, "app", v.Username)
	for ref, want := range map[string]error{
		"None/orders#p": secrets.ErrNotFound, "Data bases/none#p": secrets.ErrNotFound, "Data bases/orders": secrets.ErrType, "Data bases/orders#none": secrets.ErrEmpty,
		vaultID + "/" + twinID + "#p": secrets.ErrNotFound,
	} {
		_, err := get(ref)
		require.ErrorIs(t, err, want, ref)
	}
	for ref, want := range map[string]string{
		"Data bases/twins#p": `2 have the name "twins"`, "Data bases/orders#twice": "there are 2", `Data bases/a" or title sw "o#p`: "write its identifier", "orders#p": "want VAULT/ITEM",
	} {
		_, err := get(ref)
		require.ErrorContains(t, err, want, ref)
		require.False(t, strings.Contains(err.Error(), "hunter2"))
	}
}

func TestSettings(t *testing.T) {
	require.NoError(t, (&Settings{Address: "https://c", Token: "file:t"}).Validate())
	for _, s := range []*Settings{{}, {Address: "http://c", Token: "file:t"}, {Address: "https://c"}, {Address: "https://c", Token: "hunter2"}} {
		err := s.Validate()
		require.Error(t, err)
		require.NotContains(t, err.Error(), "hunter2")
	}
}
