package kubernetes

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/testserver"
	"github.com/sallyport/sallyport/proxy"
)

// TestAttackWhoAsks: nothing that a client says of who it is reaches the cluster.
func TestAttackWhoAsks(t *testing.T) {
	r := start(t)
	code, body := r.do("GET", "/api/v1/pods", "", "X-Remote-User", "root", "X-Remote-Group", "system:masters", "Cookie", "a=b", "X-Forwarded-For", "1.2.3.4")
	require.Equal(t, http.StatusOK, code, body)
	h := r.cluster.last(t).Header
	require.Equal(t, []string{"Bearer upstream-token"}, h["Authorization"])
	for name := range h {
		require.Contains(t, append([]string{"Authorization"}, passed...), name)
	}
	n := len(r.cluster.requests())
	for _, name := range []string{"Impersonate-User", "Impersonate-Group", "Impersonate-Uid", "Impersonate-Extra-Scopes", "impersonate-user", "IMPERSONATE-UID", "Impersonate_User"} {
		code, body := r.do("GET", "/api/v1/pods", "", name, "system:admin")
		require.Equal(t, http.StatusForbidden, code, name)
		require.Contains(t, body, "--as")
	}
	require.Len(t, r.cluster.requests(), n)
}

// TestAttackConnection: the API server gets the type by which a body was judged, whatever a client says is of the connection alone.
func TestAttackConnection(t *testing.T) {
	r := start(t)
	for _, name := range passed {
		code, body := r.raw("PATCH /apis/apps/v1/namespaces/default/deployments/web/scale HTTP/1.1", "Connection: "+name, "Content-Type: application/merge-patch+json", "Accept: application/json",
			"User-Agent: test", "Content-Length: 23")
		require.Equal(t, http.StatusOK, code, body)
		h := r.cluster.last(t).Header
		require.Equal(t, "application/merge-patch+json", h.Get("Content-Type"), name)
		require.Equal(t, "application/json", h.Get("Accept"), name)
		require.Equal(t, "test", h.Get("User-Agent"), name)
	}
	n := len(r.cluster.requests())
	code, _ := r.raw("PATCH /apis/apps/v1/namespaces/default/deployments/web/scale HTTP/1.1", "Content-Type: application/merge-patch+json", "Content-Type: application/yaml", "Content-Length: 23")
	require.Equal(t, http.StatusBadRequest, code)
	require.Len(t, r.cluster.requests(), n)
}

// raw sends a request of HTTP/1.1 as it is written, as bob, with a body of 23 bytes.
func (r *rig) raw(lines ...string) (int, string) {
	r.t.Helper()
	c, err := tls.Dial("tcp", r.addr, &tls.Config{RootCAs: r.ca.Pool, ServerName: "127.0.0.1"})
	require.NoError(r.t, err)
	defer c.Close()
	_, err = io.WriteString(c, strings.Join(append(lines, "Host: "+r.addr, "Authorization: Bearer sp_bob"), "\r\n")+"\r\n\r\n"+`{"spec":{"replicas":3}}`)
	require.NoError(r.t, err)
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	require.NoError(r.t, err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	require.NoError(r.t, err)
	return res.StatusCode, string(b)
}

// TestAttackToken: a token of the cluster's own gives nobody a way in, and none is sent on, whatever header it is in.
func TestAttackToken(t *testing.T) {
	r := start(t)
	for _, token := range []string{"", "Bearer eyJhbGciOi", "Bearer sp_nobody", "Basic c3BfYm9iOg==", "Bearer"} {
		code, body := r.do("GET", "/api/v1/pods", "", "Authorization", token)
		require.Equal(t, http.StatusUnauthorized, code, token)
		require.Contains(t, body, `"kind":"Status"`)
	}
	require.Empty(t, r.cluster.requests())
	c := r.dial("/api/v1/namespaces/default/pods/web/exec?command=id&stdout=true", channelV5, "base64url.bearer.authorization.k8s.io."+base64.RawURLEncoding.EncodeToString([]byte("own")))
	_, _, err := c.Read(context.Background())
	require.NoError(t, err)
	h := r.cluster.last(t).Header
	require.Equal(t, []string{"Bearer upstream-token"}, h["Authorization"])
	require.NotContains(t, h.Get("Sec-Websocket-Protocol"), "bearer")
}

// dial opens a WebSocket as bob.
func (r *rig) dial(path string, protocols ...string) *websocket.Conn {
	r.t.Helper()
	c, _, err := websocket.Dial(context.Background(), "https://"+r.addr+path, &websocket.DialOptions{
		HTTPClient: r.client(), HTTPHeader: http.Header{"Authorization": {"Bearer sp_bob"}}, Subprotocols: protocols,
	})
	require.NoError(r.t, err)
	c.SetReadLimit(maxMessage)
	r.t.Cleanup(func() { c.CloseNow() })
	return c
}

// TestImpersonate: the cluster is asked as the person, under names that are none of its own.
func TestImpersonate(t *testing.T) {
	r := start(t, with(Settings{Impersonate: ImpersonateUser}))
	code, body := r.do("GET", "/api/v1/pods", "")
	require.Equal(t, http.StatusOK, code, body)
	h := r.cluster.last(t).Header
	require.Equal(t, []string{"sallyport:bob"}, h["Impersonate-User"])
	require.Equal(t, []string{"sallyport:dev", "sallyport:system:masters"}, h["Impersonate-Group"])
	c := r.dial("/api/v1/namespaces/default/pods/web/exec?command=id&stdout=true", channelV5)
	_, _, err := c.Read(context.Background())
	require.NoError(t, err)
	require.Equal(t, []string{"sallyport:bob"}, r.cluster.last(t).Header["Impersonate-User"])

	r = start(t, with(Settings{Impersonate: ImpersonateAccount}))
	_, _ = r.do("GET", "/api/v1/pods", "")
	h = r.cluster.last(t).Header
	require.Equal(t, []string{"system:serviceaccount:ops:gateway"}, h["Impersonate-User"])
	require.Empty(t, h["Impersonate-Group"])
}

// TestSettings: a prefix never makes names that are the cluster's own.
func TestSettings(t *testing.T) {
	for _, s := range []Settings{
		{Hosts: []string{"a b"}},
		{Impersonate: "root"},
		{Prefix: "x"},
		{Impersonate: "user", Prefix: "system:"},
		{Impersonate: "user", Prefix: "sys"},
		{Impersonate: "user", Prefix: "a b"},
		{Idle: -1},
		{Idle: 48 * time.Hour},
	} {
		require.Error(t, s.Validate(), "%+v", s)
	}
	for _, s := range []Settings{{}, {Impersonate: "account"}, {Impersonate: "user", Prefix: "acme:"}, {Hosts: []string{"a.example.com:6443"}, Idle: time.Hour}} {
		require.NoError(t, s.Validate(), "%+v", s)
	}
}

// TestAttackBrowser: a page of another site uses nobody's certificate.
func TestAttackBrowser(t *testing.T) {
	r := start(t)
	pair, err := tls.X509KeyPair(r.ca.ClientPEM("alice"))
	require.NoError(t, err)
	send := func(headers ...string) int {
		tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: r.ca.Pool, Certificates: []tls.Certificate{pair}}}
		defer tr.CloseIdleConnections()
		req, err := http.NewRequest("POST", "https://"+r.addr+"/api/v1/namespaces/default/pods", strings.NewReader("{}"))
		require.NoError(t, err)
		for i := 0; i < len(headers); i += 2 {
			req.Header.Set(headers[i], headers[i+1])
		}
		res, err := (&http.Client{Transport: tr}).Do(req)
		require.NoError(t, err)
		res.Body.Close()
		return res.StatusCode
	}
	require.Equal(t, http.StatusOK, send())
	require.Equal(t, http.StatusForbidden, send("Origin", "https://evil.example"))
	require.Equal(t, http.StatusForbidden, send("Sec-Fetch-Site", "cross-site"))
	require.Len(t, r.rules.asked(), 1)
}

// TestAttackSecrets: no value of a Secret is shown, by whatever form or verb it is asked for.
func TestAttackSecrets(t *testing.T) {
	r := start(t)
	for _, q := range [][2]string{
		{"GET", "/api/v1/namespaces/default/secrets/db"},
		{"GET", "/api/v1/secrets"},
		{"GET", "/api/v1/secrets?watch=1"},
		{"PATCH", "/api/v1/namespaces/default/secrets/db"},
		{"POST", "/api/v1/namespaces/default/secrets"},
		{"PUT", "/api/v1/namespaces/default/secrets/db"},
		{"DELETE", "/api/v1/namespaces/default/secrets/db"},
		{"GET", "/api/v1/watch/secrets"},
	} {
		for _, accept := range []string{"application/json", "application/vnd.kubernetes.protobuf, */*", "application/yaml", "application/json;as=Table;g=meta.k8s.io;v=v1", "application/cbor", "*/*"} {
			code, body := r.do(q[0], q[1], `{"data":{"x":"eA=="}}`, "Accept", accept, "Content-Type", "application/json", "Accept-Encoding", "gzip")
			require.Equal(t, http.StatusOK, code, body)
			require.NotContains(t, body, "aHVudGVyMg", "%v %s", q, accept)
			require.Contains(t, body, MaskedValue)
			h := r.cluster.last(t).Header
			require.Equal(t, "identity", h.Get("Accept-Encoding"))
			require.Regexp(t, "^application/json", h.Get("Accept"))
		}
	}
	code, body := r.do("GET", "/api/v1/namespaces/default/secrets/opaque", "")
	require.Equal(t, http.StatusBadGateway, code)
	require.NotContains(t, body, "hunter2")
	// What is shown in the place of a value does not become one.
	n := len(r.cluster.requests())
	code, body = r.do("PUT", "/api/v1/namespaces/default/secrets/db", `{"data":{"password":"`+MaskedValue+`"}}`, "Content-Type", "application/json")
	require.Equal(t, http.StatusForbidden, code)
	require.Contains(t, body, "would be lost")
	// A patch does not copy a value to where it is shown.
	for _, patch := range []string{
		`[{"op":"copy","from":"/data/password","path":"/metadata/annotations/x"}]`,
		`[{"op":"test","path":"/data/password","value":"aHVudGVyMg=="}]`,
	} {
		code, body = r.do("PATCH", "/api/v1/namespaces/default/secrets/db", patch, "Content-Type", "application/json-patch+json")
		require.Equal(t, http.StatusForbidden, code, patch)
		require.Contains(t, body, "does not show")
	}
	require.Len(t, r.cluster.requests(), n)

	r = start(t, with(Settings{ShowSecrets: true}))
	_, body = r.do("GET", "/api/v1/namespaces/default/secrets/db", "")
	require.Contains(t, body, "aHVudGVyMg")
	code, _ = r.do("PATCH", "/api/v1/namespaces/default/secrets/db", `[{"op":"test","path":"/data/password","value":"aHVudGVyMg=="}]`, "Content-Type", "application/json-patch+json")
	require.Equal(t, http.StatusOK, code)
}

// TestAttackClustersBelow: a path that leads to the API of another cluster shows nobody what is hidden at its own place.
func TestAttackClustersBelow(t *testing.T) {
	paths := []string{
		"/k8s/clusters/local/api/v1/namespaces/default/secrets/db", "/k8s/clusters/local/api/v1/secrets", "/clusters/root:org/apis/apps/v1/deployments", "/services/a/clusters/b/api/v1/secrets/",
		"/k8s/clusters/local/api/v1/watch/secrets",
	}
	r := start(t)
	for _, path := range paths {
		for _, method := range []string{"GET", "HEAD", "POST", "PATCH"} {
			code, body := r.do(method, path, "")
			require.Equal(t, http.StatusForbidden, code, path)
			require.NotContains(t, body, "aHVudGVyMg")
		}
	}
	require.Empty(t, r.cluster.requests())
	require.Empty(t, r.rules.asked())
	for _, path := range []string{"/logs/api.log", "/logs/a/api", "/openapi/v3/apis/apps/v1"} {
		code, _ := r.do("GET", path, "")
		require.Equal(t, http.StatusNotFound, code, "%s reaches the cluster", path)
	}

	r = start(t, with(Settings{ShowSecrets: true}))
	code, body := r.do("GET", paths[0], "")
	require.Equal(t, http.StatusOK, code, body)
}

// TestStreams: what a watch and a log say comes at once, and ends within a second when the session ends.
func TestStreams(t *testing.T) {
	for _, path := range []string{"/api/v1/pods?watch=true", "/api/v1/namespaces/default/pods/web/log?follow=true"} {
		testserver.Within(t, time.Second, func() time.Duration {
			r := start(t)
			req, err := http.NewRequest("GET", "https://"+r.addr+path, nil)
			require.NoError(t, err)
			req.Header.Set("Authorization", "Bearer sp_bob")
			res, err := r.client().Do(req)
			require.NoError(t, err)
			defer res.Body.Close()
			b := bufio.NewReader(res.Body)
			line, err := b.ReadString('\n')
			require.NoError(t, err)
			require.NotEmpty(t, line)
			list := r.gateway.Sessions()
			require.Len(t, list, 1)
			at := time.Now()
			list[0].Kill(proxy.ErrClientLeft)
			ended := make(chan time.Duration, 1)
			go func() {
				_, _ = io.Copy(io.Discard, b)
				ended <- time.Since(at)
			}()
			select {
			case took := <-ended:
				return took
			case <-time.After(30 * time.Second):
				t.Fatal("the stream goes on")
				return 0
			}
		})
	}
}

// TestExecRevoked: the end of the session ends a command within a second.
func TestExecRevoked(t *testing.T) {
	testserver.Within(t, time.Second, func() time.Duration {
		r := start(t)
		c := r.dial("/api/v1/namespaces/default/pods/web/exec?command=sh&command=-c&command=echo+on%3B+sleep+100&stdout=true", channelV5)
		_, b, err := c.Read(context.Background())
		require.NoError(t, err)
		require.Equal(t, "\x01on\n", string(b))
		ctx, stop := context.WithTimeout(context.Background(), 30*time.Second)
		defer stop()
		at := time.Now()
		r.gateway.Sessions()[0].Kill(proxy.ErrClientLeft)
		_, _, err = c.Read(ctx)
		took := time.Since(at)
		require.Error(t, err)
		require.NoError(t, ctx.Err())
		require.Eventually(t, func() bool {
			return strings.Contains(strings.Join(r.rules.outcomes(), ""), "sleep 100' =  the client left")
		}, 5*time.Second, time.Millisecond)
		return took
	})
}

// TestAttackUpgrades: only a pod's streams are upgraded, and only to what the gateway reads.
func TestAttackUpgrades(t *testing.T) {
	r := start(t)
	for _, path := range []string{"/api/v1/pods?watch=1", "/api/v1/namespaces/default/pods/web/proxy/", "/api/v1/nodes/n/proxy/exec/a/b/c?command=id", "/api/v1/namespaces/default/services/x/proxy/ws"} {
		_, res, err := websocket.Dial(context.Background(), "https://"+r.addr+path, &websocket.DialOptions{HTTPClient: r.client(), HTTPHeader: http.Header{"Authorization": {"Bearer sp_bob"}}})
		require.Error(t, err)
		require.Equal(t, http.StatusBadRequest, res.StatusCode, path)
	}
	for _, protocols := range [][]string{nil, {"channel.k8s.io"}, {"v4.base64.channel.k8s.io"}} {
		_, res, err := websocket.Dial(context.Background(), "https://"+r.addr+"/api/v1/namespaces/default/pods/web/exec?command=id", &websocket.DialOptions{
			HTTPClient: r.client(), HTTPHeader: http.Header{"Authorization": {"Bearer sp_bob"}}, Subprotocols: protocols,
		})
		require.Error(t, err)
		require.Equal(t, http.StatusBadRequest, res.StatusCode)
	}
	require.Empty(t, r.cluster.requests())
	code, _ := r.do("POST", "/api/v1/namespaces/default/pods/web/exec?command=id", "")
	require.Equal(t, http.StatusBadRequest, code, "without an upgrade")
	require.Empty(t, r.cluster.requests())
}

// TestSplice: what is forwarded to a port passes as it is, both ways, and is counted.
func TestSplice(t *testing.T) {
	r := start(t)
	c := r.dial("/api/v1/namespaces/default/pods/web/portforward", tunnel)
	require.Equal(t, tunnel, c.Subprotocol())
	ctx, stop := context.WithTimeout(context.Background(), 10*time.Second)
	defer stop()
	for _, size := range []int{1, 1000, 100_000} {
		sent := []byte(strings.Repeat("x", size))
		require.NoError(t, c.Write(ctx, websocket.MessageBinary, sent))
		_, b, err := c.Read(ctx)
		require.NoError(t, err)
		require.Equal(t, sent, b)
	}
	require.NoError(t, c.Close(websocket.StatusNormalClosure, ""))
	require.Equal(t, []string{"forward default/web"}, r.rules.asked())
	require.Eventually(t, func() bool {
		return strings.Contains(strings.Join(r.rules.outcomes(), "\n"), "forward default/web =  <nil>")
	}, 5*time.Second, time.Millisecond, "%v", r.rules.outcomes())
}

// TestAttackScript: a client without an end of the input gets around no refusal either: what follows the line does not run.
func TestAttackScript(t *testing.T) {
	for _, protocol := range []string{channelV4, channelV5} {
		r := start(t, func(r *rig) {
			r.rules.Ask = func(_ context.Context, op proxy.Op) proxy.Verdict {
				if e, ok := op.(*proxy.Exec); ok && e.Kind == proxy.KindInput && strings.Contains(e.Command, "forbidden") {
					return proxy.Deny(proxy.CauseGuardrail, "trip", "not this", "")
				}
				return proxy.Pass()
			}
		})
		c := r.dial("/api/v1/namespaces/default/pods/web/exec?command=sh&stdin=true&stdout=true&stderr=true", protocol)
		ctx, stop := context.WithTimeout(context.Background(), 10*time.Second)
		defer stop()
		require.NoError(t, c.Write(ctx, websocket.MessageBinary, []byte("\x00echo one\n")))
		_, b, err := c.Read(ctx)
		require.NoError(t, err)
		require.Equal(t, "\x01one\n", string(b))
		for _, part := range []string{"\x00echo forb", "\x00idden\n", "\x00echo two\n", "\x00echo three\n"} {
			if c.Write(ctx, websocket.MessageBinary, []byte(part)) != nil {
				break // it is closed
			}
		}
		said := ""
		for err == nil {
			_, b, err = c.Read(ctx)
			said += string(b)
		}
		require.NoError(t, ctx.Err())
		require.Contains(t, said, "\x02Not this (rule trip).\n")
		require.NotContains(t, said, "two", protocol)
		require.NotContains(t, said, "three")
		require.NotContains(t, strings.Join(r.rules.asked(), "\n"), "two")
		require.NotContains(t, said, `"Success"`)
		require.Eventually(t, func() bool {
			return strings.Contains(strings.Join(r.rules.outcomes(), "\n"), "shell default/web: sh = ")
		}, 5*time.Second, time.Millisecond)
	}
}

// TestAttackUnread: what a client sends after a command has ended takes from it neither what the command has said nor how it ended.
func TestAttackUnread(t *testing.T) {
	r := start(t)
	for range 10 {
		c := r.dial("/api/v1/namespaces/default/pods/web/exec?command=sh&command=-c&command=read+x%3B+echo+$x%3B+exit+3&stdin=true&stdout=true", channelV5)
		ctx, stop := context.WithTimeout(context.Background(), 30*time.Second)
		part := append([]byte{chanStdin}, strings.Repeat("x", 1000)+"\n"...)
		for range 300 {
			if c.Write(ctx, websocket.MessageBinary, part) != nil {
				break
			}
		}
		said := ""
		for {
			_, b, err := c.Read(ctx)
			if err != nil {
				require.Equal(t, websocket.StatusNormalClosure, websocket.CloseStatus(err), "%v", err)
				break
			}
			said += string(b)
		}
		stop()
		require.Contains(t, said, "\x01xxx")
		require.Contains(t, said, `"ExitCode"`)
	}
	require.Eventually(t, func() bool {
		return strings.Count(strings.Join(r.rules.outcomes(), "\n"), "exit 3' = 3 <nil>") == 10
	}, 30*time.Second, time.Millisecond, "%v", r.rules.outcomes())
}

// TestAttackHints: a cluster that sends informational answers without end floods no client.
func TestAttackHints(t *testing.T) {
	r := start(t)
	code, _ := r.do("GET", "/flood", "")
	require.Equal(t, http.StatusBadGateway, code)
	require.Len(t, r.cluster.requests(), 1)
}

// TestTellAlone: an interceptor that looks at texts and at no data edits them all the same.
func TestTellAlone(t *testing.T) {
	r := start(t, func(r *rig) {
		r.rules.Hooks.Tell = func(_ context.Context, _ proxy.Op, m *proxy.Message) error {
			if string(m.Fields[0].Value) == "canary-77" {
				m.Set(0, []byte("*********"))
			}
			return nil
		}
	})
	req, err := http.NewRequest("GET", "https://"+r.addr+"/canary", nil)
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer sp_bob")
	res, err := r.client().Do(req)
	require.NoError(t, err)
	res.Body.Close()
	require.Equal(t, http.StatusOK, res.StatusCode)
	require.Equal(t, "*********", res.Header.Get("X-Note"))
}

// TestReach: a cluster counts as reached when it lets the account ask for its version.
func TestReach(t *testing.T) {
	r := start(t)
	code, body := r.do("GET", "/version", "")
	require.Equal(t, http.StatusOK, code, body)
	s := r.gateway.Sessions()[0]
	for status, want := range map[int]string{0: "", http.StatusUnauthorized: "refuses the account's credential", http.StatusForbidden: "system:public-info-viewer", http.StatusNotFound: "status 404"} {
		r.cluster.version.Store(int32(status))
		err := Reach(t.Context(), s)
		if want == "" {
			require.NoError(t, err)
			continue
		}
		require.ErrorContains(t, err, want)
	}
}

// TestAttach: attaching is a shell's right, and its streams are filtered.
func TestAttach(t *testing.T) {
	r := start(t, func(r *rig) { r.rules.Flow = hideCanary })
	c := r.dial("/api/v1/namespaces/default/pods/web/attach?container=app&stdin=true&stdout=true", channelV4)
	ctx, stop := context.WithTimeout(context.Background(), 10*time.Second)
	defer stop()
	require.NoError(t, c.Write(ctx, websocket.MessageBinary, []byte("\x00has canary-77\n")))
	_, b, err := c.Read(ctx)
	require.NoError(t, err)
	require.Equal(t, "\x01has *********\n", string(b))
	require.Equal(t, []string{"shell default/web/app: "}, r.rules.asked())
	// A message of an unknown channel ends the stream.
	require.NoError(t, c.Write(ctx, websocket.MessageBinary, []byte("\x09x")))
	for err == nil {
		_, _, err = c.Read(ctx)
	}
	require.NoError(t, ctx.Err())
}
