package webhook

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"syscall"
	"time"
)

// ErrPrivate says that an endpoint is where webhooks do not go.
var ErrPrivate = errors.New("the endpoint's address is private, local or reserved")

// Guard dials addresses that are of the public Internet only, so that a name
// that leads inside reaches nothing there. It looks at the address that is
// connected to, after names were looked up. With Private it dials private and loopback ones, too.
type Guard struct{ Private bool }

// Dial opens a connection.
func (g Guard) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	d := net.Dialer{Timeout: 10 * time.Second, Control: func(_, address string, _ syscall.RawConn) error {
		ap, err := netip.ParseAddrPort(address)
		if err != nil {
			return err
		}
		if !g.allows(ap.Addr()) {
			return ErrPrivate
		}
		return nil
	}}
	return d.DialContext(ctx, network, address)
}

// reserved are ranges that lead to no server of the public Internet, in addition to those that
// netip knows.
var reserved = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),       // this network
	netip.MustParsePrefix("100.64.0.0/10"),   // carriers' NAT
	netip.MustParsePrefix("192.0.0.0/24"),    // protocol assignments
	netip.MustParsePrefix("192.0.2.0/24"),    // documentation
	netip.MustParsePrefix("198.18.0.0/15"),   // benchmarks
	netip.MustParsePrefix("198.51.100.0/24"), // documentation
	netip.MustParsePrefix("203.0.113.0/24"),  // documentation
	netip.MustParsePrefix("240.0.0.0/4"),     // reserved, and broadcast
	netip.MustParsePrefix("64:ff9b::/96"),    // NAT64 of any IPv4 address
	netip.MustParsePrefix("64:ff9b:1::/48"),  // and locally
	netip.MustParsePrefix("100::/64"),        // discard
	netip.MustParsePrefix("2001::/23"),       // Teredo and other assignments
	netip.MustParsePrefix("2001:db8::/32"),   // documentation
	netip.MustParsePrefix("2002::/16"),       // 6to4 of any IPv4 address
	netip.MustParsePrefix("fec0::/10"),       // former site-local
}

// metadata are where clouds give credentials to who asks. They are refused also
// where private addresses are allowed.
var metadata = []netip.Addr{
	netip.MustParseAddr("169.254.169.254"), netip.MustParseAddr("169.254.170.2"), netip.MustParseAddr("169.254.170.23"),
	netip.MustParseAddr("100.100.100.200"), netip.MustParseAddr("fd00:ec2::254"), netip.MustParseAddr("fd20:ce::254"),
}

func (g Guard) allows(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	for _, m := range metadata {
		if a == m {
			return false
		}
	}
	if a.IsUnspecified() || a.IsMulticast() || a.IsLinkLocalUnicast() {
		return false
	}
	if g.Private {
		return true
	}
	if a.IsLoopback() || a.IsPrivate() || !a.IsGlobalUnicast() {
		return false
	}
	for _, p := range reserved {
		if p.Contains(a) {
			return false
		}
	}
	return true
}

func isLoopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}
