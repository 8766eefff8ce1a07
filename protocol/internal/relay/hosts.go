package relay

import (
	"errors"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/proxy"
)

// Names finds the resource that a request is for by the host that it names.
type Names struct {
	Protocol string
	// Resource is the one that all clients get; empty when they choose one by the host name.
	Resource string
	// Domain makes NAME.DOMAIN a host name of the resource NAME.
	Domain    string
	Resources func() proxy.Resources
	// Ports returns those of the listeners at which a resource is reached; may be nil.
	Ports func(resource string) []string
	// Hosts returns the names of a resource's own.
	Hosts func(*proxy.Resource) []string
}

// Find returns the resource of a request, and the host as the client has named it, with a port where that is not 443; nil where no
// name of one is asked for here.
func (n *Names) Find(r *http.Request) (*proxy.Resource, string) {
	host, port, err := SplitHost(r.Host)
	if err != nil || n.Resources == nil {
		return nil, ""
	}
	var found *proxy.Resource
	for _, res := range n.Resources() {
		if res.Type == n.Protocol && (n.Resource == "" || res.Name == n.Resource) && n.named(res, host, port, r) {
			if found != nil {
				return nil, "" // two have the name: neither is meant for certain
			}
			found = res
		}
	}
	if found == nil {
		return nil, ""
	}
	name := host
	if strings.Contains(host, ":") {
		name = "[" + host + "]"
	}
	if port != "" && port != "443" {
		name = net.JoinHostPort(host, port)
	}
	return found, name
}

// named reports whether a resource has that name here.
func (n *Names) named(res *proxy.Resource, host, port string, r *http.Request) bool {
	hosts := n.Hosts(res)
	if port == "" {
		port = "443"
	}
	fits := func(want string) bool {
		if want != "" {
			return port == want
		}
		return slices.Contains(n.ports(res.Name, r), port)
	}
	for _, name := range hosts {
		if h, p, err := SplitHost(name); err == nil && h == host && fits(p) {
			return true
		}
	}
	if n.Domain != "" && host == strings.ToLower(res.Name+"."+n.Domain) {
		return fits("")
	}
	// A listener of its own, without a name, is for the machine itself.
	if n.Resource != "" && len(hosts) == 0 && n.Domain == "" {
		ip := net.ParseIP(host)
		return (host == "localhost" || ip != nil && ip.IsLoopback()) && fits("")
	}
	return false
}

// ports are those at which a client finds this listener: its own, and what is said of it.
func (n *Names) ports(resource string, r *http.Request) []string {
	var list []string
	if n.Ports != nil {
		list = n.Ports(resource)
	}
	if at, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok {
		if _, port, err := net.SplitHostPort(at.String()); err == nil {
			list = append(slices.Clip(list), port)
		}
	}
	return list
}

// SameHost reports whether a name of a connection is the host that a request names.
func SameHost(name, host string) bool {
	got, _, err := SplitHost(host)
	return err == nil && strings.EqualFold(strings.TrimSuffix(name, "."), got)
}

// SplitHost returns a host name in lower case, and its port; empty where it has none.
func SplitHost(text string) (host, port string, err error) {
	host = text
	if strings.HasPrefix(text, "[") || strings.Count(text, ":") == 1 {
		var e error
		if host, port, e = net.SplitHostPort(text); e != nil {
			if strings.Contains(text, "]:") || !strings.HasSuffix(text, "]") {
				return "", "", errHost
			}
			host, port = strings.Trim(text, "[]"), ""
		} else if n, e := strconv.ParseUint(port, 10, 16); e != nil || n == 0 {
			return "", "", errHost
		}
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if _, err := netip.ParseAddr(host); err == nil {
		return host, port, nil
	}
	if host == "" || len(host) > 253 {
		return "", "", errHost
	}
	for label := range strings.SplitSeq(host, ".") {
		if label == "" || len(label) > 63 || strings.ContainsFunc(label, func(r rune) bool {
			return !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' || r == '_')
		}) {
			return "", "", errHost
		}
	}
	return host, port, nil
}

var errHost = errors.New("it is not a host name")
