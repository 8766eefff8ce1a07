package tunnel

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Allow is the list of what an agent connects to: networks with ports. Names are resolved first, and
// what they resolve to is compared, so that a change of a name's address opens nothing. The zero Allow
// allows nothing.
//
// Addresses of the agent's own machine, of its link, which metadata services of clouds have, and those
// that are not of one machine need a rule within their range: 0.0.0.0/0 does not cover them.
type Allow struct{ rules []rule }

type rule struct {
	network netip.Prefix
	ports   []ports // nil: all
}

type ports struct{ from, to uint16 }

// ParseAllow reads rules such as "10.0.0.0/8:5432,3306", "192.0.2.7:1000-2000", "[2001:db8::]/32:22"
// and "10.1.0.0/16", which is for every port.
func ParseAllow(rules ...string) (*Allow, error) {
	a := &Allow{}
	for _, text := range rules {
		r, err := parseRule(text)
		if err != nil {
			return nil, fmt.Errorf("allowing %q: %w", text, err)
		}
		a.rules = append(a.rules, r)
	}
	return a, nil
}

var errRule = errors.New(`want a network with or without ports, such as 10.0.0.0/8:5432, 192.0.2.7:22,80-90 or [2001:db8::]/32:5432; names are resolved, and are not rules`)

func parseRule(text string) (rule, error) {
	address, list := text, ""
	if rest, ok := strings.CutPrefix(text, "["); ok {
		ip, after, ok := strings.Cut(rest, "]")
		if !ok {
			return rule{}, errRule
		}
		bits := ""
		bits, list, _ = strings.Cut(after, ":")
		if (bits != "" && bits[0] != '/') || strings.HasSuffix(after, ":") {
			return rule{}, errRule
		}
		address = ip + bits
	} else if strings.Count(text, ":") == 1 {
		if address, list, _ = strings.Cut(text, ":"); list == "" {
			return rule{}, errRule
		}
	}
	r := rule{}
	var err error
	if strings.Contains(address, "/") {
		r.network, err = netip.ParsePrefix(address)
	} else {
		var ip netip.Addr
		if ip, err = netip.ParseAddr(address); err == nil && ip.Zone() == "" {
			r.network = netip.PrefixFrom(ip, ip.BitLen())
		}
	}
	if err != nil || !r.network.IsValid() || r.network.Addr().Is4In6() {
		return rule{}, errRule
	}
	if r.network != r.network.Masked() {
		return rule{}, fmt.Errorf("the network has bits set after its prefix: did you mean %s?", r.network.Masked())
	}
	if list == "" {
		return r, nil
	}
	for part := range strings.SplitSeq(list, ",") {
		low, high, isRange := strings.Cut(part, "-")
		if !isRange {
			high = low
		}
		from, err1 := strconv.ParseUint(low, 10, 16)
		to, err2 := strconv.ParseUint(high, 10, 16)
		if err1 != nil || err2 != nil || from == 0 || from > to {
			return rule{}, errRule
		}
		r.ports = append(r.ports, ports{uint16(from), uint16(to)})
	}
	return r, nil
}

// special are ranges that only a rule within one of them covers.
var special = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("169.254.0.0/16"),
	netip.MustParsePrefix("224.0.0.0/4"), netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("::/127"), netip.MustParsePrefix("fe80::/10"), netip.MustParsePrefix("ff00::/8"),
	netip.MustParsePrefix("fd00:ec2::/32"), netip.MustParsePrefix("fd20:ce::254/128"), // metadata of AWS and Google Cloud
	netip.MustParsePrefix("100.100.100.200/32"), netip.MustParsePrefix("168.63.129.16/32"), // of Alibaba Cloud; Azure's agent
	netip.MustParsePrefix("64:ff9b:1::/48"), // translates to IPv4 as its network has it
}

// translated are ranges of IPv6 that lead to the IPv4 address in their last bytes, or in bytes 2 to 5.
var translated = []struct {
	network netip.Prefix
	at      int
}{
	{netip.MustParsePrefix("64:ff9b::/96"), 12},
	{netip.MustParsePrefix("::/96"), 12},
	{netip.MustParsePrefix("2002::/16"), 2},
}

// Permits reports whether the list has an address.
func (a *Allow) Permits(to netip.AddrPort) bool {
	ip := to.Addr()
	if ip.Zone() != "" {
		return false
	}
	ip = ip.Unmap()
	if !a.permits(ip, to.Port()) {
		return false
	}
	if ip.Is6() && ip != netip.IPv6Loopback() {
		b := ip.As16()
		for _, t := range translated {
			if t.network.Contains(ip) && !a.permits(netip.AddrFrom4([4]byte(b[t.at:])), to.Port()) {
				return false
			}
		}
	}
	return true
}

func (a *Allow) permits(ip netip.Addr, port uint16) bool {
	if a == nil {
		return false
	}
	within := slices.IndexFunc(special, func(p netip.Prefix) bool { return p.Contains(ip) })
	return slices.ContainsFunc(a.rules, func(r rule) bool {
		if !r.network.Contains(ip) || r.ports != nil && !slices.ContainsFunc(r.ports, func(p ports) bool { return p.from <= port && port <= p.to }) {
			return false
		}
		return within < 0 || special[within].Contains(r.network.Addr()) && special[within].Bits() <= r.network.Bits()
	})
}

// errNotAllowed says that no address of a name is in the list. It does not show the addresses.
var errNotAllowed = errors.New("it is outside of what the agent may connect to")

// resolve returns the addresses of a host and port that the list has.
func (a *Allow) resolve(ctx context.Context, address string, lookup func(ctx context.Context, host string) ([]netip.Addr, error)) ([]netip.AddrPort, error) {
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		return nil, errors.New("the address has no host and port")
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil || port == 0 {
		return nil, errors.New("the address has no port that is a number")
	}
	ips := []netip.Addr{}
	if ip, err := netip.ParseAddr(host); err == nil {
		ips = append(ips, ip)
	} else if ips, err = lookup(ctx, host); err != nil {
		return nil, err
	}
	var list []netip.AddrPort
	for _, ip := range ips {
		if to := netip.AddrPortFrom(ip.Unmap(), uint16(port)); a.Permits(to) {
			list = append(list, to)
		}
	}
	if len(list) == 0 {
		return nil, errNotAllowed
	}
	return list, nil
}

func lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
}
