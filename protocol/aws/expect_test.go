package aws

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
)

// TestExpect: a client that waits to be asked for its body is asked when the gateway has decided, and not before. The account is not asked to
// ask for it: the gateway's connections to it hold one answer for each request.
func TestExpect(t *testing.T) {
	r, sent := start(t, ok, func(r *rig) {
		r.rules.Hooks.Ask = func(_ context.Context, op proxy.Op) proxy.Verdict {
			if q, ok := op.(*proxy.Request); ok && q.Path == "/bucket/secret" {
				return proxy.Deny(proxy.CausePolicy, "secret", "that is secret", "")
			}
			return proxy.Pass()
		}
	})
	k := r.keys("alice")
	put := func(uri string) (first int, res *http.Response) {
		req := r.request(k, ask{method: "PUT", uri: uri, body: "data", headers: []string{"Expect", "100-continue"}})
		c, err := tls.Dial("tcp", r.addr, &tls.Config{RootCAs: r.ca.Pool, ServerName: domain, NextProtos: []string{"http/1.1"}})
		require.NoError(t, err)
		t.Cleanup(func() { c.Close() })
		require.NoError(t, c.SetDeadline(time.Now().Add(20*time.Second)))
		_, err = io.WriteString(c, "PUT "+uri+" HTTP/1.1\r\nHost: "+domain+"\r\nContent-Length: 4\r\n")
		require.NoError(t, err)
		require.NoError(t, req.Header.Write(c))
		_, err = io.WriteString(c, "\r\n")
		require.NoError(t, err)
		in := bufio.NewReader(c)
		res, err = http.ReadResponse(in, req)
		require.NoError(t, err)
		if first = res.StatusCode; first != http.StatusContinue {
			return first, res
		}
		_, err = io.WriteString(c, "data")
		require.NoError(t, err)
		res, err = http.ReadResponse(in, req)
		require.NoError(t, err)
		return first, res
	}
	first, res := put("/bucket/key")
	require.Equal(t, http.StatusContinue, first)
	require.Equal(t, http.StatusOK, res.StatusCode)
	require.Equal(t, "data", sent()[0].body)
	require.NotContains(t, sent()[0].Header, "Expect")
	first, _ = put("/bucket/secret")
	require.Equal(t, http.StatusForbidden, first, "no body is asked for")
	require.Len(t, sent(), 1)
}
