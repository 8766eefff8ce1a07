package kubernetes

import (
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/secrets"
	"github.com/sallyport/sallyport/secrets/secretstest"
)

// cluster is what the gateway asks of an API server, as its reference describes it.
type cluster struct {
	mu      sync.Mutex
	token   string
	secrets map[string]map[string][]byte // by namespace and name
}

func (c *cluster) set(path string, data map[string][]byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.secrets[path] = data
}

func (c *cluster) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	if r.Header.Get("Authorization") != "Bearer "+c.token {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	namespace, name, ok := strings.Cut(strings.TrimPrefix(r.URL.Path, "/api/v1/namespaces/"), "/secrets/")
	data := c.secrets[namespace+"/"+name]
	switch {
	case namespace == "closed":
		w.WriteHeader(http.StatusForbidden)
		_, _ = w.Write([]byte(`{"kind":"Status","reason":"Forbidden"}`))
	case !ok || data == nil || r.Method != http.MethodGet:
		w.WriteHeader(http.StatusNotFound)
		_, _ = w.Write([]byte(`{"kind":"Status","reason":"NotFound"}`))
	default:
		_ = json.NewEncoder(w).Encode(map[string]any{"kind": "Secret", "apiVersion": "v1", "metadata": map[string]string{"resourceVersion": "12"}, "data": data})
	}
}

func newCluster() *cluster {
	return &cluster{token: "sa-token", secrets: make(map[string]map[string][]byte)}
}

func file(t *testing.T, dir, name, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
}

func TestSuite(t *testing.T) {
	dir := t.TempDir()
	file(t, dir, "token", "sa-token\n")
	secretstest.Run(t, func(t *testing.T) *secretstest.Rig {
		c := newCluster()
		front := secretstest.NewFront(t, c)
		p, err := New(Config{Address: front.URL, Token: secrets.FromFile(filepath.Join(dir, "token"))})
		require.NoError(t, err)
		return &secretstest.Rig{
			Scheme: "kubernetes", Provider: p, Front: front, Ref: "kubernetes:apps/orders#p", Missing: "kubernetes:apps/none#p", WrongType: "kubernetes:apps/orders#bytes",
			Empties: true, Large: true,
			Set: func(value string) { c.set("apps/orders", map[string][]byte{"p": []byte(value), "bytes": {0xff, 0xfe}}) },
		}
	})
}

// A gateway in a pod needs no settings: it finds the API, its authority, its token and its namespace.
func TestInAPod(t *testing.T) {
	c := newCluster()
	c.set("own/orders", map[string][]byte{"p": []byte("hunter2"), "u": []byte("app")})
	s := httptest.NewTLSServer(c)
	t.Cleanup(s.Close)
	host, port, _ := strings.Cut(strings.TrimPrefix(s.URL, "https://"), ":")
	dir := t.TempDir()
	before := given
	given = dir
	t.Cleanup(func() { given = before })
	_, err := New(Config{})
	require.ErrorContains(t, err, "not in a pod")
	t.Setenv("KUBERNETES_SERVICE_HOST", host)
	t.Setenv("KUBERNETES_SERVICE_PORT", port)
	_, err = New(Config{})
	require.ErrorContains(t, err, "ca.crt")
	file(t, dir, "ca.crt", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})))
	file(t, dir, "token", "an old one")
	file(t, dir, "namespace", "own\n")
	p, err := New(Config{})
	require.NoError(t, err)
	get := func(text string) (*secrets.Value, error) {
		ref, err := secrets.Parse(text)
		require.NoError(t, err)
		return p.Resolve(t.Context(), ref, secrets.Use{})
	}
	_, err = get("kubernetes:orders#p")
	require.ErrorIs(t, err, secrets.ErrDenied)
	file(t, dir, "token", "sa-token") // as it is replaced every hour
	v, err := get("kubernetes:orders#p?user=u")
	require.NoError(t, err)
	require.Equal(t, []any{"hunter2", "app", "12", true}, []any{v.Password.Reveal(), v.Username, v.Version, v.Shared})
	for ref, want := range map[string]error{
		"kubernetes:closed/orders#p": secrets.ErrDenied, "kubernetes:own/orders#none": secrets.ErrNotFound, "kubernetes:own/orders": secrets.ErrType,
		"kubernetes:own/orders#p?user=none": secrets.ErrNotFound,
	} {
		_, err := get(ref)
		require.ErrorIs(t, err, want, ref)
	}
	for _, ref := range []string{"kubernetes:own/../other/x#p", "kubernetes:own/x..y#p", "kubernetes:Own/orders#p", "kubernetes:own/orders/x#p", "kubernetes:/orders#p", "kubernetes:own/#p", "kubernetes:..#p"} {
		_, err := get(ref)
		require.ErrorContains(t, err, "not one of a Secret", ref)
	}
}

func TestSettings(t *testing.T) {
	require.NoError(t, (&Settings{}).Validate())
	require.NoError(t, (&Settings{Address: "https://k", Token: "env:T"}).Validate())
	for _, s := range []*Settings{{Address: "https://k"}, {Address: "http://k", Token: "env:T"}, {Token: "exec:x#y"}, {Namespace: "../x"}} {
		require.Error(t, s.Validate(), "%+v", s)
	}
	_, err := Kind().Open(&Settings{Address: "https://k", Token: "env:T", CA: "none.pem"}, secrets.Host{Dir: t.TempDir()})
	require.ErrorContains(t, err, "none.pem")
}
