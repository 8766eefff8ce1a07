package gateway

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/control"
)

// TestKubernetes: in a gateway as its config makes it, requests of a cluster are decided about by what they do, masked, and on record.
func TestKubernetes(t *testing.T) {
	var reached []string
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		reached = append(reached, r.Method+" "+r.URL.Path+" "+r.Header.Get("Authorization"))
		w.Header().Set("Content-Type", "application/json")
		if strings.Contains(r.URL.Path, "/secrets") {
			_, _ = io.WriteString(w, `{"kind":"Secret","data":{"password":"aHVudGVyMg=="}}`)
			return
		}
		_, _ = io.WriteString(w, `{"kind":"ConfigMap","data":{"owner":"ann@example.com"}}`)
	}))
	defer api.Close()
	t.Setenv("CLUSTER_TOKEN", "upstream")
	h := open(t, t.TempDir(), fmt.Sprintf(`
data_dir: data
domain: apps.example.com
listen: {kubernetes: "127.0.0.1:0"}
api: {listen: "127.0.0.1:0", url: "https://gw.example.com"}
identity:
  users: [{name: bob, groups: [dev], password: %s}, {name: ops, groups: [ops], password: %s}]
resources:
  - {name: prod, type: kubernetes, address: %q, password: "env:CLUSTER_TOKEN", tls: {mode: disable}}
access:
  - {name: dev, groups: [dev], allow: [connect, read, write]}
  - {name: ops, groups: [ops], allow: [all]}
masking: [{use: default}]
`, verifier(t), verifier(t), api.Listener.Addr().String()))
	authority, err := os.ReadFile(h.Authority())
	require.NoError(t, err)
	roots := x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM(authority))
	at := h.Addr("kubernetes", "").String()
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: "prod.apps.example.com"}}
	defer tr.CloseIdleConnections()
	token := func(user string) string {
		var made control.NewToken
		require.Less(t, h.ask(t, h.signIn(t, user), "POST", "/v1/tokens", control.TokenRequest{Label: "test", Seconds: 3600}, &made), 300)
		return made.Secret
	}
	send := func(token, method, path string) (int, string) {
		req, err := http.NewRequest(method, "https://"+at+path, nil)
		require.NoError(t, err)
		req.Host = "prod.apps.example.com:" + at[strings.LastIndexByte(at, ':')+1:]
		req.Header.Set("Authorization", "Bearer "+token)
		res, err := (&http.Client{Transport: tr}).Do(req)
		require.NoError(t, err)
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		return res.StatusCode, string(b)
	}
	bob := token("bob")
	code, body := send(bob, "GET", "/api/v1/namespaces/shop/configmaps/x")
	require.Equal(t, http.StatusOK, code, body)
	require.Contains(t, body, `"owner":"a**@*******.com"`)
	_, body = send(bob, "GET", "/api/v1/namespaces/shop/secrets/x")
	require.NotContains(t, body, "aHVudGVyMg")
	code, body = send(bob, "DELETE", "/api/v1/nodes/n1")
	require.Equal(t, http.StatusForbidden, code)
	require.Contains(t, body, `needs the right \"admin\"`)
	code, body = send(bob, "GET", "/api/v1/nodes/n1/proxy/run/a/b/c?cmd=id")
	require.Equal(t, http.StatusForbidden, code)
	require.Contains(t, body, `needs the right \"exec\"`)
	code, body = send(token("ops"), "DELETE", "/api/v1/namespaces/shop")
	require.Equal(t, http.StatusForbidden, code)
	require.Contains(t, body, "deletes what others work with")
	require.Equal(t, []string{"GET /api/v1/namespaces/shop/configmaps/x Bearer upstream", "GET /api/v1/namespaces/shop/secrets/x Bearer upstream"}, reached)

	var id string
	require.Eventually(t, func() bool { id = h.session(t, "bob", "prod").ID; return id != "" }, 5*time.Second, 5*time.Millisecond)
	require.NoError(t, h.stop())
	said := ""
	for _, e := range h.records(t)[id] {
		said += fmt.Sprintln(e.Type, e.Kind, e.Name, e.Text, e.Action, e.Verdict)
		require.NotContains(t, fmt.Sprintf("%+v", e), "aHVudGVyMg")
	}
	require.Contains(t, said, "request GET /api/v1/namespaces/shop/configmaps/x configmaps:get")
	require.Contains(t, said, "nodes/proxy:get")
}
