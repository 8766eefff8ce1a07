package proxy

import (
	"net"
	"net/netip"
	"sync"
)

// addresses counts the open connections of each remote address. An IPv6 client
// has a network of addresses, so its first 64 bits count. Clients on a Unix
// socket, and others without an IP address, are not counted.
type addresses struct {
	mu   sync.Mutex
	open map[netip.Prefix]int
}

// enter counts a connection, unless its address has max already.
func (a *addresses) enter(remote net.Addr, limit int) (leave func(), ok bool) {
	from, counted := network(remote)
	if limit <= 0 || !counted {
		return func() {}, true
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.open[from] >= limit {
		return nil, false
	}
	if a.open == nil {
		a.open = make(map[netip.Prefix]int)
	}
	a.open[from]++
	return func() { a.leave(from) }, true
}

func (a *addresses) leave(from netip.Prefix) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.open[from]--; a.open[from] == 0 {
		delete(a.open, from)
	}
}

func network(remote net.Addr) (netip.Prefix, bool) {
	tcp, ok := remote.(*net.TCPAddr)
	if !ok {
		return netip.Prefix{}, false
	}
	ip := tcp.AddrPort().Addr().Unmap().WithZone("")
	bits := ip.BitLen()
	if ip.Is6() {
		bits = 64
	}
	p, err := ip.Prefix(bits)
	return p, err == nil
}
