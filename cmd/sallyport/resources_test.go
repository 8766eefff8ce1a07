package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/gateway"
	"github.com/sallyport/sallyport/gateway/config"
	"github.com/sallyport/sallyport/protocol"
	"github.com/sallyport/sallyport/proxy"
)

// A protocol that the binary does not have is listed, and its client started, like
// the others.
func TestForeignProtocolIsListed(t *testing.T) {
	o := gateway.Defaults()
	o.Protocols = append(o.Protocols, protocol.Protocol{
		Name: "echo", DefaultPort: 7, Kinds: []proxy.Kind{proxy.KindConnect},
		Open: func(protocol.Assembly) (*protocol.Service, error) { return &protocol.Service{}, nil },
		Client: func(e protocol.Endpoint) (*protocol.Command, error) {
			return &protocol.Command{Program: "true", Args: append([]string{e.User, e.Host, e.Port}, e.Args...), Env: []string{"ECHO=" + e.Dir}}, nil
		},
	})
	dir := t.TempDir()
	file := filepath.Join(dir, "sallyport.yaml")
	require.NoError(t, os.WriteFile(file, []byte(`
identity: {users: [{name: alice, groups: [dev], ssh_keys: ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ8V2oYvVfpJ0F0E0eYtqk0mB6cX1y9b8b7cXn3m4Q5z"]}]}
resources: [{name: far, type: echo, address: far.internal, username: x, listen: "127.0.0.1:7007"}]
access: [{groups: [dev], resources: [far], allow: [connect]}]
`), 0o600))
	f, err := config.Load(file, o)
	require.NoError(t, err)
	list, err := entries(f, "alice")
	require.NoError(t, err)
	require.Equal(t, "far", list[0].Name)
	at, err := endpoint(f, list[0], "", "", []string{"hello"})
	require.NoError(t, err)
	cmd, err := native(f.Protocols(), list[0].Type, at)
	require.NoError(t, err)
	require.Equal(t, []string{"alice", "127.0.0.1", "7007", "hello"}, cmd.Args[1:])
	require.Contains(t, cmd.Env, "ECHO="+filepath.Join(dir, "data", "echo"))
}
