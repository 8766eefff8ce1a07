package kit

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/protocol"
	"github.com/sallyport/sallyport/protocol/kubernetes"
	"github.com/sallyport/sallyport/proxy"
)

// A request is explained as it would be decided about, without a gateway.
func Example() {
	s, err := Protocol().Open(protocol.Assembly{})
	if err != nil {
		panic(err)
	}
	t := proxy.Target{Resource: &proxy.Resource{Name: "prod", Type: "kubernetes"}}
	op, err := s.Operation(context.Background(), t, "DELETE /apis/apps/v1/namespaces/shop/deployments/web")
	if err != nil {
		panic(err)
	}
	fmt.Println(op.(*proxy.Request).Action)
	op, err = s.Operation(context.Background(), t, "GET /api/v1/namespaces/shop/pods/web-1/exec?command=ls&command=-l")
	if err != nil {
		panic(err)
	}
	e := op.(*proxy.Exec)
	fmt.Println(e.Kind, e.Target, e.Command)
	// Output:
	// deployments.apps:delete
	// exec shop/web-1 ls -l
}

func TestClients(t *testing.T) {
	p := Protocol()
	e := protocol.Endpoint{Host: "prod.example.com", Port: "6443", CA: "ca.pem", Proof: &protocol.Proof{Certificate: "c.pem", Key: "k.pem"}, Args: []string{"get", "pods"}}
	c, err := p.Client(e)
	require.NoError(t, err)
	require.Equal(t, "kubectl", c.Program)
	require.Equal(t, []string{"--server=https://prod.example.com:6443", "--certificate-authority=ca.pem", "--client-certificate=c.pem", "--client-key=k.pem", "get", "pods"}, c.Args[1:])
	e.Args = nil
	c, err = p.Exec(e, protocol.Execution{Text: "/version"})
	require.NoError(t, err)
	require.Equal(t, []string{"get", "--raw", "/version"}, c.Args[len(c.Args)-3:])
	for _, x := range []protocol.Execution{{}, {Text: "get pods"}, {Text: "/x", CSV: true}, {File: "f"}} {
		_, err := p.Exec(e, x)
		require.Error(t, err)
	}
	require.Equal(t, []string{"a.example.com"}, p.Hosts(kubernetes.Settings{Hosts: []string{"a.example.com"}}))
}

// TestConfig: a kubeconfig has what kubectl needs, and no secret.
func TestConfig(t *testing.T) {
	e := protocol.Endpoint{Host: "::1", Port: "6443", Proof: &protocol.Proof{Certificate: "c.pem", Key: "k.pem"}}
	b, err := Config("prod", e, []byte("PEM"), "/bin/sallyport", []string{"kube-token"})
	require.NoError(t, err)
	var got struct {
		Clusters []struct {
			Cluster struct {
				Server string `json:"server"`
				CA     string `json:"certificate-authority-data"`
			} `json:"cluster"`
		} `json:"clusters"`
	}
	require.NoError(t, json.Unmarshal(b, &got))
	require.Equal(t, "https://[::1]:6443", got.Clusters[0].Cluster.Server)
	require.Equal(t, "UEVN", got.Clusters[0].Cluster.CA)
	require.NotContains(t, string(b), "k.pem")
	b, err = Credential([]byte("cert"), []byte("key"), "2030-01-01T00:00:00Z")
	require.NoError(t, err)
	require.JSONEq(t, `{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"clientCertificateData":"cert","clientKeyData":"key","expirationTimestamp":"2030-01-01T00:00:00Z"}}`, string(b))
}
