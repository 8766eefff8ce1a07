package kit

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/protocol"
	"github.com/sallyport/sallyport/protocol/web"
	"github.com/sallyport/sallyport/proxy"
)

// A request is explained as it would be decided about, without a gateway.
func Example() {
	s, err := Protocol().Open(protocol.Assembly{})
	if err != nil {
		panic(err)
	}
	t := proxy.Target{Resource: &proxy.Resource{Name: "wiki", Type: "web", Settings: web.Settings{Hosts: []string{"wiki.example.com"}}}}
	op, err := s.Operation(context.Background(), t, "DELETE //pages/../pages/17?force=1")
	if err != nil {
		panic(err)
	}
	r := op.(*proxy.Request)
	fmt.Println(r.Method, r.Host, r.Path, r.Query, r.Action)
	// Output: DELETE wiki.example.com /pages/17 force=1 /pages/{id}
}

func TestOperation(t *testing.T) {
	target := proxy.Target{Resource: &proxy.Resource{Name: "wiki", Type: "web"}}
	for text, want := range map[string]string{"/a": "GET /a", "POST /a%20b": "POST /a b", "HEAD /%61": "HEAD /a"} {
		op, err := web.Operation(target, text)
		require.NoError(t, err)
		require.Equal(t, want, op.Method+" "+op.Path)
	}
	for _, text := range []string{"", "a", "get /a", "GET a", "GET /a%2fb", "GET /a;b"} {
		_, err := web.Operation(target, text)
		require.Error(t, err, text)
	}
}

// TestKeysInFiles: without an assembly's own place for keys they are files of the protocol's folder, that only its owner reads.
func TestKeysInFiles(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "web")
	var sets [2]string
	for i := range sets {
		b, err := (&web.Signer{KeyOf: protocol.KeyFiles(dir)}).Keys()
		require.NoError(t, err)
		sets[i] = string(b)
	}
	require.Equal(t, sets[0], sets[1])
	list, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, list, 3)
	for _, e := range list {
		info, err := e.Info()
		require.NoError(t, err)
		require.EqualValues(t, 0o600, info.Mode().Perm())
	}
}

func TestClients(t *testing.T) {
	p := Protocol()
	e := protocol.Endpoint{Host: "wiki.example.com", Port: "8444", User: "alice", CA: "ca.pem", Proof: &protocol.Proof{Certificate: "c.pem", Key: "k.pem"}}
	require.Equal(t, []protocol.Link{{For: "url", Text: "https://wiki.example.com:8444/"}}, p.Links(e))
	c, err := p.Client(e)
	require.NoError(t, err)
	require.Contains(t, c.Args, "https://wiki.example.com:8444/")
	c, err = p.Exec(e, protocol.Execution{Text: "POST /x"})
	require.NoError(t, err)
	require.Equal(t, "curl", c.Program)
	require.Equal(t, []string{"--request", "POST", "--cacert", "ca.pem", "--cert", "c.pem", "--key", "k.pem", "--", "https://wiki.example.com:8444/x"}, c.Args[5:])
	for _, x := range []protocol.Execution{{}, {Text: "/x", CSV: true}, {File: "f"}, {Text: "GET x"}} {
		_, err := p.Exec(e, x)
		require.Error(t, err)
	}
	e.Port = "443"
	require.Equal(t, "https://wiki.example.com/", p.Links(e)[0].Text)
	require.Equal(t, []string{"a.example.com:1"}, p.Hosts(web.Settings{Hosts: []string{"a.example.com:1"}}))
}
