package proxy

import (
	"net"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAttack64Addresses(t *testing.T) {
	at := func(s string) net.Addr {
		a, err := net.ResolveTCPAddr("tcp", s)
		require.NoError(t, err)
		return a
	}
	for _, tt := range []struct {
		name          string
		first, second net.Addr
		same          bool
	}{
		{"other ports", at("192.0.2.1:1000"), at("192.0.2.1:2000"), true},
		{"other addresses", at("192.0.2.1:1000"), at("192.0.2.2:1000"), false},
		{"IPv4 as IPv6", at("192.0.2.1:1000"), &net.TCPAddr{IP: net.ParseIP("::ffff:192.0.2.1"), Port: 7}, true},
		{"an IPv6 client's own network", at("[2001:db8:0:1::1]:1"), at("[2001:db8:0:1:ffff::2]:1"), true},
		{"other IPv6 networks", at("[2001:db8:0:1::1]:1"), at("[2001:db8:0:2::1]:1"), false},
		{"IPv6 zones", &net.TCPAddr{IP: net.ParseIP("fe80::1"), Zone: "eth0"}, &net.TCPAddr{IP: net.ParseIP("fe80::1"), Zone: "eth1"}, true},
		{"sockets", &net.UnixAddr{Name: "a"}, &net.UnixAddr{Name: "a"}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var a addresses
			leave, ok := a.enter(tt.first, 1)
			require.True(t, ok)
			_, ok = a.enter(tt.second, 1)
			require.Equal(t, tt.same, !ok)
			leave()
			again, ok := a.enter(tt.first, 1)
			require.True(t, ok)
			again()
		})
	}
	var a addresses
	for range 10 {
		leave, ok := a.enter(at("192.0.2.1:1000"), 0)
		require.True(t, ok, "no limit")
		defer leave()
	}
	require.Empty(t, a.open)
}
