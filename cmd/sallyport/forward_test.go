package main

import (
	"context"
	"crypto/tls"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/control"
	"github.com/sallyport/sallyport/protocol/tcp"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/proxy/proxytest"
)

// noForwards refuses connections, with a text that would change the title of a terminal.
type noForwards struct{}

func (noForwards) Name() string { return "no-forwards" }

func (noForwards) Intercept(context.Context, *proxy.Session) (proxy.Hooks, error) {
	return proxy.Hooks{Ask: func(_ context.Context, op proxy.Op) proxy.Verdict {
		if op.Info().Kind == proxy.KindForward {
			return proxy.Deny(proxy.CausePolicy, "closed", "it is \x1b]0;owned\a closed today", "")
		}
		return proxy.Pass()
	}}, nil
}

// TestConnectForwards: a program is led to a resource of type tcp as the login's user; what the gateway says of that is told, and the program's exit code
// is passed on.
func TestConnectForwards(t *testing.T) {
	if _, err := os.Stat("/bin/bash"); err != nil {
		t.Skip("SKIPPED, NOT TESTED: bash is not installed")
	}
	r := openRemote(t)
	r.as(t, "bob")
	serve := func(chain ...proxy.Interceptor) string {
		g := &proxy.Gateway{
			Authenticator: r.sources, Interceptors: append([]proxy.Interceptor{proxytest.Allow{}}, chain...), Unrecorded: true,
			Directory: proxy.Resources{{Name: "cache", Type: "tcp", Address: r.listener, TLS: proxy.TLS{Mode: proxy.TLSDisable}, Accounts: []proxy.Account{{Name: "default"}}}},
		}
		return proxytest.ServeTCP(t, g, &tcp.Handler{TLS: &tls.Config{Certificates: r.TLS.Certificates, ClientAuth: tls.RequestClientCert}})
	}
	resource := control.Resource{Name: "cache", Type: "tcp", User: "bob+cache", Address: serve()}
	r.more = []control.Resource{resource}
	const script = `exec 3<>"/dev/tcp/127.0.0.1/$0" || exit 3; echo hello >&3; read -r line <&3 || exit 4; echo "got $line"; exit 7`
	connect := []string{"connect", "cache", "--", "bash", "-c", script, "{port}"}
	code, out, errs := sallyport(t, "", connect...)
	require.Equal(t, 7, code, errs)
	require.Equal(t, "got hello\n", out)
	require.Contains(t, errs, "does not see what is sent")

	resource.Address = serve(noForwards{})
	r.more = []control.Resource{resource}
	code, _, errs = sallyport(t, "", connect...)
	require.Equal(t, 4, code, errs)
	require.Contains(t, errs, "closed today")
	require.NotContains(t, errs, "\x1b")
	require.NotContains(t, errs, "\a")

	code, out, errs = sallyport(t, "", "connect", "cache", "--print")
	require.Equal(t, exitOK, code, errs)
	require.Contains(t, out, "sallyport connect cache")
	require.Contains(t, out, resource.Address)
	code, _, errs = sallyport(t, "", "connect", "cache", "--listen", "0.0.0.0:0")
	require.Equal(t, exitUsage, code, errs)
	code, _, errs = sallyport(t, "", "connect", "orders", "--listen", "127.0.0.1:0")
	require.Equal(t, exitUsage, code, errs)
	require.Contains(t, errs, "--print")
}

// TestForwardingPlaces: a place that leads to a resource is one that only this machine reaches, or only its user.
func TestForwardingPlaces(t *testing.T) {
	for _, at := range []string{"0.0.0.0:0", "[::]:0", ":0", "10.0.0.1:6379", "localhost:0", "example.com:80", "127.0.0.1", "nonsense"} {
		_, err := listenLocal(at)
		require.ErrorContains(t, err, "127.0.0.1", at)
	}
	open, own := t.TempDir(), t.TempDir()
	require.NoError(t, os.Chmod(open, 0o755))
	require.NoError(t, os.Chmod(own, 0o700))
	_, err := listenLocal("unix:" + filepath.Join(open, "s"))
	require.ErrorContains(t, err, "only you can open")
	_, err = listenLocal("unix:" + filepath.Join(own, "missing", "s"))
	require.Error(t, err)
	for _, at := range []string{"127.0.0.1:0", "unix:" + filepath.Join(own, "s")} {
		ln, err := listenLocal(at)
		require.NoError(t, err)
		require.Implements(t, (*net.Listener)(nil), ln)
		require.NoError(t, ln.Close())
	}
}
