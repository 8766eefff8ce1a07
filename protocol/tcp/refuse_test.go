package tcp

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/testserver"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/proxy/proxytest"
)

// counting serves nobody, and counts who comes.
func counting(n *atomic.Int32) func(c *net.TCPConn) {
	return func(c *net.TCPConn) {
		n.Add(1)
		quiet(c)
	}
}

// TestAttackIdentity: who has not proven who it is gets no connection, is told so where it is told anything, and the resource is
// not asked.
func TestAttackIdentity(t *testing.T) {
	var reached atomic.Int32
	r := start(t, counting(&reached))
	for name, c := range map[string]struct {
		change func(c *Client)
		says   string
	}{
		"nothing":                               {func(c *Client) { c.TLS.Certificates = nil }, "no certificate"},
		"a user name alone":                     {func(c *Client) { c.TLS.Certificates, c.User = nil, "alice" }, "no certificate"},
		"a wrong password":                      {func(c *Client) { c.TLS.Certificates, c.User, c.Password = nil, "alice", proxy.NewSecret("guess") }, "authentication failed"},
		"a password of nobody":                  {func(c *Client) { c.TLS.Certificates, c.Password = nil, proxy.NewSecret("wonder") }, "without a user name"},
		"another's name":                        {func(c *Client) { c.User = "bob" }, "authentication failed"},
		"a wrong password, a right certificate": {func(c *Client) { c.User, c.Password = "alice", proxy.NewSecret("guess") }, "authentication failed"},
		"a certificate of nobody": {func(c *Client) {
			pair, err := tls.X509KeyPair(r.ca.ClientPEM("nobody"))
			require.NoError(t, err)
			c.TLS.Certificates = []tls.Certificate{pair}
		}, "authentication failed"},
	} {
		t.Run(name, func(t *testing.T) {
			client := r.client("alice")
			c.change(client)
			_, _, err := client.Dial(t.Context())
			var refused *RefusedError
			require.ErrorAs(t, err, &refused)
			require.Contains(t, refused.Message, c.says)
			require.NotContains(t, refused.Message, "guess")
		})
	}
	t.Run("a program without a certificate", func(t *testing.T) { silence(t, r.program("")) })
	t.Run("a program with a certificate of nobody", func(t *testing.T) { silence(t, r.program("nobody")) })
	t.Run("no TLS", func(t *testing.T) {
		c, err := net.Dial("tcp", r.addr)
		require.NoError(t, err)
		defer c.Close()
		_, err = io.WriteString(c, `{"user":"alice+cache","password":"wonder"}`+"\n")
		require.NoError(t, err)
		b, _ := io.ReadAll(c)
		require.NotContains(t, string(b), "open")
	})
	require.Zero(t, reached.Load())
	require.Empty(t, r.gateway.Sessions())
	require.Error(t, (&Handler{}).Check(nil))
}

// TestUnknownCertificates: a certificate that no authority of the gateway has given is as if none was shown.
func TestUnknownCertificates(t *testing.T) {
	r := start(t, echo, func(r *rig) { r.handler.KnowsCertificate = func(*x509.Certificate) bool { return false } })
	c := r.client("alice")
	_, _, err := c.Dial(t.Context())
	require.ErrorContains(t, err, "no certificate")
	c.User, c.Password = "alice", proxy.NewSecret("wonder")
	conn, _, err := c.Dial(t.Context())
	require.NoError(t, err)
	require.NoError(t, conn.Close())
}

// silence wants a connection to be closed without a byte.
func silence(t *testing.T, c *tls.Conn) {
	t.Helper()
	_, _ = io.WriteString(c, "PING\r\n") // it may be closed already
	b, _ := io.ReadAll(c)
	require.Empty(t, b)
}

// TestAttackResources: a client gets the resource that it is let to, and learns of no other whether it exists.
func TestAttackResources(t *testing.T) {
	r := start(t, echo)
	for name, c := range map[string]struct {
		change func(c *Client)
		says   string
	}{
		"none is named":         {func(c *Client) { c.TLS.ServerName = "127.0.0.1" }, "no resource was named"},
		"it does not exist":     {func(c *Client) { c.TLS.ServerName, c.Resource = "127.0.0.1", "nope" }, "no such resource, or you may not use it"},
		"of another protocol":   {func(c *Client) { c.TLS.ServerName, c.Resource = "127.0.0.1", "orders" }, "no such resource, or you may not use it"},
		"two are named":         {func(c *Client) { c.Resource = "orders" }, "different resources"},
		"two, by the user name": {func(c *Client) { c.User = "alice+orders" }, "different resources"},
		"another account":       {func(c *Client) { c.User = "alice+cache+root" }, "no such resource, or you may not use it"},
		"not a login":           {func(c *Client) { c.User = "a+b+c+d" }, "not of the form"},
	} {
		t.Run(name, func(t *testing.T) {
			client := r.client("alice")
			c.change(client)
			_, _, err := client.Dial(t.Context())
			require.ErrorContains(t, err, c.says)
		})
	}
}

// TestRefused: what rules refuse is not connected to; the client is told why, in characters that a terminal can be sent.
func TestRefused(t *testing.T) {
	var reached atomic.Int32
	r := start(t, counting(&reached), func(r *rig) {
		r.rules.ask = func(*proxy.Forward) proxy.Verdict {
			return proxy.Deny(proxy.CausePolicy, "no-forward", "you may not\x1b]0;owned\a forward", "Ask for it.")
		}
	})
	_, _, err := r.client("alice").Dial(t.Context())
	var refused *RefusedError
	require.ErrorAs(t, err, &refused)
	require.Contains(t, refused.Message, "no-forward")
	require.Contains(t, refused.Message, "Ask for it.")
	require.NotContains(t, refused.Message, "\x1b")
	require.NotContains(t, refused.Message, "\a")
	silence(t, r.program("alice"))
	require.Zero(t, reached.Load())
	require.True(t, r.rules.ops[0].Opaque)
}

// TestUpstreamDown: a resource that cannot be reached is an error that names no address; a certificate that does not fit is one, too, and nothing
// is sent without the protection that was asked for.
func TestUpstreamDown(t *testing.T) {
	address := testserver.FreeAddress(t)
	for name, c := range map[string]struct {
		change func(r *rig)
		serve  func(c *net.TCPConn)
	}{
		"nobody listens":      {change: func(r *rig) { r.resource.Address = address }},
		"it has no TLS":       {func(r *rig) { r.resource.TLS.Mode = proxy.TLSVerifyFull }, echo},
		"a strange authority": {func(r *rig) { r.resource.TLS = proxy.TLS{RootCAs: r.ca.Pool} }, secured(testserver.NewAuthority(), "127.0.0.1")},
		"it says nothing": {func(r *rig) {
			r.resource.TLS.Mode, r.handler.LoginTimeout = proxy.TLSRequire, 50*time.Millisecond
		}, quiet},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, c.serve, c.change)
			_, _, err := r.client("alice").Dial(t.Context())
			var refused *RefusedError
			require.ErrorAs(t, err, &refused)
			require.Contains(t, refused.Message, "the resource")
			require.NotContains(t, refused.Message, "127.0.0.1")
			require.Error(t, r.rules.outcome(t).Err)
		})
	}
}

// secured echoes over TLS.
func secured(ca *testserver.Authority, names ...string) func(c *net.TCPConn) {
	config := ca.ServerConfig(names...)
	return func(c *net.TCPConn) {
		t := tls.Server(c, config)
		_, _ = io.Copy(t, t)
	}
}

// TestUpstreamTLS: names are checked as the resource's TLS says.
func TestUpstreamTLS(t *testing.T) {
	ca := testserver.NewAuthority()
	for name, c := range map[string]struct {
		tls proxy.TLS
		ok  bool
	}{
		"verify-full":               {proxy.TLS{RootCAs: ca.Pool}, false},
		"verify-full, another name": {proxy.TLS{RootCAs: ca.Pool, ServerName: "redis.internal"}, true},
		"verify-ca":                 {proxy.TLS{RootCAs: ca.Pool, Mode: proxy.TLSVerifyCA}, true},
		"require":                   {proxy.TLS{Mode: proxy.TLSRequire}, true},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, secured(ca, "redis.internal"), func(r *rig) { r.resource.TLS = c.tls })
			conn, _, err := r.client("alice").Dial(t.Context())
			require.Equal(t, c.ok, err == nil, "%v", err)
			if err == nil {
				defer conn.Close()
				answers(t, conn, "PING\r\n")
			}
		})
	}
}

// TestAttackGreeting: what a client says before it is known is bounded in length and in time, and is nothing but what is asked for. What is
// not understood is not quoted, since it may hold a password.
func TestAttackGreeting(t *testing.T) {
	var reached atomic.Int32
	r := start(t, counting(&reached), func(r *rig) { r.gateway.HandshakeTimeout = 2 * time.Second })
	spoken := func(c *tls.Config) { c.NextProtos = []string{ALPN} }
	for name, said := range map[string]string{
		"not JSON":         "GET / HTTP/1.1\r\npassword: hunter2\r\n",
		"another type":     `{"user":["hunter2"]}` + "\n",
		"too long":         `{"user":"` + strings.Repeat("a", 2*maxAsk) + `"}` + "\n",
		"without a line's": strings.Repeat("a", 2*maxAsk),
		"two objects":      `{"password":"hunter2"} {"user":"alice"}` + "\n",
	} {
		t.Run(name, func(t *testing.T) {
			c := r.program("alice", spoken)
			_, err := io.WriteString(c, said)
			require.NoError(t, err)
			b, _ := io.ReadAll(c)
			require.Contains(t, string(b), stateRefused)
			require.NotContains(t, string(b), "hunter2")
		})
	}
	t.Run("nothing", func(t *testing.T) {
		at := time.Now()
		b, _ := io.ReadAll(r.program("alice", spoken))
		require.Empty(t, b)
		require.Less(t, time.Since(at), 10*time.Second)
	})
	require.Zero(t, reached.Load())
	for _, e := range r.told(proxy.EventConnFailed) {
		require.NotContains(t, fmt.Sprint(e.Err), "hunter2")
	}
}

// TestAttackInterceptors: whatever an interceptor does wrong, the resource is not reached, and no secret is told.
func TestAttackInterceptors(t *testing.T) {
	for _, at := range []string{"Intercept", "Ask", "Start"} {
		for _, how := range []proxytest.Failure{proxytest.FailError, proxytest.FailPanic, proxytest.FailZero, proxytest.FailHang} {
			t.Run(fmt.Sprintf("%s fails, way %d", at, how), func(t *testing.T) {
				var reached atomic.Int32
				r := start(t, counting(&reached), func(r *rig) {
					r.gateway.AskTimeout = 300 * time.Millisecond
					r.gateway.Interceptors = append(r.gateway.Interceptors, proxytest.Fault{At: at, How: how})
				})
				_, _, err := r.client("alice").Dial(t.Context())
				require.Error(t, err)
				require.NotContains(t, err.Error(), proxytest.Secret)
				require.Zero(t, reached.Load())
			})
		}
	}
}

// TestClientErrors: a client tells apart who is at the other end, and gives up with its context.
func TestClientErrors(t *testing.T) {
	r := start(t, echo)
	c := r.client("alice")
	c.TLS.RootCAs = testserver.NewAuthority().Pool
	_, _, err := c.Dial(t.Context())
	require.ErrorContains(t, err, "TLS with the gateway")
	_, _, err = (&Client{Address: "nowhere"}).Dial(t.Context())
	require.ErrorContains(t, err, "nowhere")

	ca := testserver.NewAuthority()
	fake := func(lines string) error {
		config := ca.ServerConfig("127.0.0.1")
		config.NextProtos = []string{ALPN}
		if lines == "" {
			config.NextProtos = nil
		}
		at := listen(t, func(c *net.TCPConn) {
			s := tls.Server(c, config)
			_, _ = readLine(s, maxAsk)
			_, _ = io.WriteString(s, lines)
			_, _ = io.Copy(io.Discard, s)
		})
		ctx, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		_, _, err := (&Client{Address: at, TLS: &tls.Config{RootCAs: ca.Pool}}).Dial(ctx)
		return err
	}
	require.ErrorContains(t, fake(""), "want")
	require.ErrorContains(t, fake("nonsense\n"), "reading the gateway's answer")
	require.ErrorContains(t, fake(`{"state":"later"}`+"\n"), "too old")
	require.ErrorIs(t, fake(string(bytes.Repeat([]byte("a"), 2*maxAnswer))), errLine)
	require.ErrorIs(t, fake(`{"state":"waits"}`+"\n"), context.DeadlineExceeded)
	require.EqualError(t, fake(`{"state":"refused","message":"no"}`+"\n"), "no")
}
