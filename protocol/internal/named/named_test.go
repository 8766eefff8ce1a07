package named

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestByServer(t *testing.T) {
	for _, c := range []struct{ name, domain, want string }{
		{"orders.gw.example.com", "gw.example.com", "orders"},
		{"a.orders.gw.example.com", "gw.example.com", ""},
		{"gw.example.com", "gw.example.com", ""},
		{".gw.example.com", "gw.example.com", ""},
		{"ordersgw.example.com", "gw.example.com", ""},
		{"orders.example.com", "gw.example.com", ""},
		{"orders", "", ""},
		{"orders.", "", ""},
		{"", "gw.example.com", ""},
	} {
		require.Equal(t, c.want, ByServer(c.name, c.domain), "%q below %q", c.name, c.domain)
	}
}

func TestAgreed(t *testing.T) {
	for _, c := range []struct {
		said []string
		want string
		ok   bool
	}{
		{nil, "", true},
		{[]string{"", ""}, "", true},
		{[]string{"", "orders", ""}, "orders", true},
		{[]string{"orders", "orders"}, "orders", true},
		{[]string{"orders", "", "shop"}, "", false},
	} {
		name, ok := Agreed(c.said...)
		require.Equal(t, c.ok, ok, "%q", c.said)
		require.Equal(t, c.want, name, "%q", c.said)
	}
}
