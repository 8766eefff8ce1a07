package kit

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/testserver"
	"github.com/sallyport/sallyport/protocol"
	"github.com/sallyport/sallyport/proxy"
)

// A connection is explained as it would be decided about, without a gateway.
func Example() {
	s, err := Protocol().Open(protocol.Assembly{})
	if err != nil {
		panic(err)
	}
	t := proxy.Target{Resource: &proxy.Resource{Name: "cache", Type: "tcp", Address: "redis.internal:6379"}}
	op, err := s.Operation(context.Background(), t, "")
	if err != nil {
		panic(err)
	}
	fmt.Println(op.Info().Kind)
	// Output: forward
}

// TestConnector: what a connector needs is read when it is made, and an error says which of it is missing.
func TestConnector(t *testing.T) {
	dir := t.TempDir()
	file := func(name string, b []byte) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, b, 0o600))
		return path
	}
	ca := testserver.NewAuthority()
	cert, key := ca.ClientPEM("alice")
	proof := &protocol.Proof{Certificate: file("cert.pem", cert), Key: file("key.pem", key)}
	good := protocol.Endpoint{Resource: "cache", Host: "127.0.0.1", Port: "1", CA: file("ca.pem", ca.PEM()), Proof: proof}
	_, err := Protocol().Connector(good, proxy.Secret{}, nil)
	require.NoError(t, err)
	for name, change := range map[string]func(e *protocol.Endpoint){
		"no authority": func(e *protocol.Endpoint) { e.CA = filepath.Join(dir, "missing") },
		"not one":      func(e *protocol.Endpoint) { e.CA = file("empty.pem", nil) },
		"no certificate": func(e *protocol.Endpoint) {
			e.Proof = &protocol.Proof{Certificate: filepath.Join(dir, "missing"), Key: proof.Key}
		},
		"another key": func(e *protocol.Endpoint) {
			_, k := ca.ClientPEM("bob")
			e.Proof = &protocol.Proof{Certificate: proof.Certificate, Key: file("bob.pem", k)}
		},
	} {
		bad := good
		change(&bad)
		_, err := Protocol().Connector(bad, proxy.Secret{}, nil)
		require.Error(t, err, name)
	}
	require.Equal(t, []protocol.Link{{For: "tls", Text: "127.0.0.1:1"}}, Protocol().Links(good))
	s, err := Protocol().Open(protocol.Assembly{})
	require.NoError(t, err)
	_, err = s.Handler("cache")
	require.ErrorContains(t, err, "no gateway")
}
