package tunnel

import (
	"container/list"
	"context"
	"net"
	"net/netip"
	"sync"
)

// admissions bounds the connections of which nobody knows yet who they are of.
type admissions struct {
	max, perAddress int

	mu        sync.Mutex
	waiting   *list.List // of *admission, the oldest first
	addresses map[netip.Prefix]int
}

// admission is one such connection.
type admission struct {
	of      *admissions
	conn    net.Conn
	address netip.Prefix
	at      *list.Element // nil once it is known, or has gone
}

// enter counts a connection, and closes the one that is silent for the longest time when there are too
// many. It returns nil when there are too many of the connection's address.
func (a *admissions) enter(c net.Conn) *admission {
	from := network(c.RemoteAddr())
	a.mu.Lock()
	if a.waiting == nil {
		a.waiting, a.addresses = list.New(), make(map[netip.Prefix]int)
	}
	if a.addresses[from] >= a.perAddress {
		a.mu.Unlock()
		return nil
	}
	adm := &admission{of: a, conn: c, address: from}
	adm.at = a.waiting.PushBack(adm)
	a.addresses[from]++
	var oldest *admission
	if a.waiting.Len() > a.max {
		oldest = a.waiting.Front().Value.(*admission)
		oldest.forget()
	}
	a.mu.Unlock()
	if oldest != nil {
		oldest.conn.Close()
	}
	return adm
}

// leave counts the connection no more: it is known who it is of, or it has ended.
func (adm *admission) leave() {
	adm.of.mu.Lock()
	defer adm.of.mu.Unlock()
	adm.forget()
}

func (adm *admission) forget() {
	if adm.at == nil {
		return
	}
	adm.of.waiting.Remove(adm.at)
	adm.at = nil
	if adm.of.addresses[adm.address]--; adm.of.addresses[adm.address] <= 0 {
		delete(adm.of.addresses, adm.address)
	}
}

// network returns the address that a connection is counted by: an IPv4 address, or the /64 of an IPv6 one.
func network(a net.Addr) netip.Prefix {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.Prefix{}
	}
	ip := t.AddrPort().Addr().Unmap()
	bits := 64
	if ip.Is4() {
		bits = 32
	}
	p, err := ip.WithZone("").Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}

type admissionKey struct{}

func admitted(ctx context.Context) *admission {
	adm, _ := ctx.Value(admissionKey{}).(*admission)
	return adm
}
