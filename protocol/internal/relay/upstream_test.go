package relay

import (
	"net"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestMeant: the name of a resource that comes to mean the machine's own network is not talked to.
func TestMeant(t *testing.T) {
	for _, c := range []struct {
		address, at string
		meant       bool
	}{
		{"app.example.com:80", "10.1.2.3", true},
		{"app.example.com:80", "169.254.169.254", false},
		{"app.example.com:80", "fe80::1", false},
		{"app.example.com:80", "fd00:ec2::254", false},
		{"app.example.com:80", "127.0.0.1", false},
		{"app.example.com:80", "::ffff:127.0.0.1", false},
		{"app.example.com:80", "0.0.0.0", false},
		{"localhost:80", "127.0.0.1", true},
		{"127.0.0.1:80", "127.0.0.1", true},
		{"169.254.169.254:80", "169.254.169.254", true},
	} {
		err := meant(c.address, &net.TCPAddr{IP: net.ParseIP(c.at)})
		require.Equal(t, c.meant, err == nil, "%s at %s: %v", c.address, c.at, err)
	}
}
