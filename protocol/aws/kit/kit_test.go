package kit

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/protocol"
	"github.com/sallyport/sallyport/protocol/aws"
	"github.com/sallyport/sallyport/proxy"
)

// An action is explained as it would be decided about, without a gateway.
func Example() {
	s, err := Protocol().Open(protocol.Assembly{})
	if err != nil {
		panic(err)
	}
	t := proxy.Target{Resource: &proxy.Resource{Name: "prod", Type: "aws"}}
	op, err := s.Operation(context.Background(), t, "dynamodb:DeleteTable /orders")
	if err != nil {
		panic(err)
	}
	r := op.(*proxy.Request)
	fmt.Println(r.Action, r.Path)
	// Output: dynamodb:DeleteTable /DeleteTable/orders
}

// TestClient: the AWS command line is started with a file that says where keys come from, and holds no secret.
func TestClient(t *testing.T) {
	p, dir := Protocol(), t.TempDir()
	e := protocol.Endpoint{
		Resource: "prod", Host: "prod.aws.example.com", Port: "8445", Dir: dir, CA: "/etc/ca.pem", Alias: "gw", Args: []string{"s3", "ls"},
		Proof: &protocol.Proof{Certificate: "c.pem", Key: "k.pem"},
	}
	c, err := p.Client(e)
	require.NoError(t, err)
	require.Equal(t, []string{"--profile", "sallyport", "--endpoint-url", "https://prod.aws.example.com:8445", "--ca-bundle", "/etc/ca.pem", "s3", "ls"}, c.Args)
	file := filepath.Join(dir, "aws-prod.ini")
	require.Contains(t, c.Env, "AWS_CONFIG_FILE="+file)
	b, err := os.ReadFile(file)
	require.NoError(t, err)
	program, err := os.Executable()
	require.NoError(t, err)
	require.Equal(t, "[profile sallyport]\nendpoint_url = https://prod.aws.example.com:8445\nca_bundle = /etc/ca.pem\ncredential_process = \""+program+"\" aws-credentials prod --profile gw\n", string(b))
	e.Args = nil
	c, err = p.Exec(e, protocol.Execution{Text: "s3 ls"})
	require.NoError(t, err)
	require.Equal(t, []string{"s3", "ls"}, c.Args[len(c.Args)-2:])
	for _, x := range []protocol.Execution{{}, {Text: "s3 ls 'a b'"}, {Text: "s3 ls", CSV: true}} {
		_, err := p.Exec(e, x)
		require.Error(t, err)
	}
	e.Proof = nil
	_, err = p.Client(e)
	require.ErrorContains(t, err, "log in first")
	require.Equal(t, []string{"aws.example.com", "10.0.0.1", "*.aws.example.com"}, p.Hosts(aws.Settings{Hosts: []string{"aws.example.com", "10.0.0.1"}}))
}
