package ssh

import (
	"net"
	"net/netip"
	"strings"
)

// metadata are services that clouds offer to a machine about itself, with its
// credentials, on addresses that are not link-local.
var metadata = []netip.Addr{
	netip.MustParseAddr("fd00:ec2::254"), netip.MustParseAddr("100.100.100.200"), netip.MustParseAddr("168.63.129.16"),
	netip.MustParseAddr("192.0.0.192"),
}

// carriers are IPv6 prefixes that carry an IPv4 address in the bytes from at on:
// RFC 6052 (NAT64), RFC 8215, RFC 3056 (6to4) and the forms of RFC 4291.
var carriers = []struct {
	prefix netip.Prefix
	at     int
}{
	{netip.MustParsePrefix("64:ff9b::/96"), 12},
	{netip.MustParsePrefix("64:ff9b:1::/48"), 12},
	{netip.MustParsePrefix("2002::/16"), 2},
	{netip.MustParsePrefix("::ffff:0:0:0/96"), 12},
	{netip.MustParsePrefix("::/96"), 12},
}

// forbidden says why nothing may be forwarded to a; empty when it may be. It
// looks through every form in which one address can hide another.
func (h *Handler) forbidden(a netip.Addr, port uint16) string {
	a = a.Unmap()
	if a.Is6() && !a.IsLoopback() && !a.IsUnspecified() {
		b := a.As16()
		for _, c := range carriers {
			if c.prefix.Contains(a) {
				if reason := h.forbidden(netip.AddrFrom4([4]byte(b[c.at:c.at+4])), port); reason != "" {
					return reason
				}
			}
		}
	}
	switch {
	case a.IsUnspecified(), a.IsMulticast(), a.IsInterfaceLocalMulticast(), a == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return "this is not the address of a host"
	case a.IsLinkLocalUnicast():
		return "connections to link-local addresses are not forwarded"
	}
	for _, m := range metadata {
		if a == m {
			return "connections to a cloud's metadata service are not forwarded"
		}
	}
	if h.Own == nil {
		return ""
	}
	for _, own := range h.Own() {
		if own.Port() != port {
			continue
		}
		if mine := own.Addr().Unmap(); mine == a || mine.IsUnspecified() && thisMachine(a) || mine.IsLoopback() && a.IsLoopback() {
			return "connections to the gateway's own ports are not forwarded"
		}
	}
	return ""
}

// thisMachine reports whether a is an address of the machine that the gateway
// runs on. When they cannot be listed, every address is taken for one.
func thisMachine(a netip.Addr) bool {
	if a.IsLoopback() {
		return true
	}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return true
	}
	for _, x := range addrs {
		if p, err := netip.ParsePrefix(x.String()); err == nil && p.Addr().Unmap() == a {
			return true
		}
	}
	return false
}

// numeric reports whether a resolver could read host as an address in one of
// the old forms, such as "127.1" or "0x7f000001": its last label is a number.
func numeric(host string) bool {
	last := host[strings.LastIndexByte(host, '.')+1:]
	if last == "" {
		return true
	}
	if rest, ok := strings.CutPrefix(last, "0x"); ok {
		return strings.Trim(rest, "0123456789abcdef") == ""
	}
	return strings.Trim(last, "0123456789") == ""
}
