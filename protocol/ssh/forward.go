package ssh

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"path"
	"strings"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/proxy"
)

// resolveTime is how long a name of a forwarding target may take to look up.
const resolveTime = 10 * time.Second

// serveForward serves a connection that the client opens through the resource:
// ssh -L, -D and -W.
func (s *session) serveForward(nc gossh.NewChannel) error {
	if !s.awaitReady() {
		nc.Reject(gossh.ConnectionFailed, s.failureLine())
		return nil
	}
	var op *proxy.Forward
	var from tcpChannel
	var v *proxy.Verdict
	var err error
	if nc.ChannelType() == "direct-tcpip" {
		if from, err = parseTCPChannel(nc.ExtraData()); err == nil {
			op = &proxy.Forward{Meta: proxy.Meta{Kind: proxy.KindForward}, Network: "tcp", Host: from.Host, Port: uint16(from.Port)}
			v = s.askTarget(op)
		}
	} else {
		var socket string
		if socket, err = parseDirectSocket(nc.ExtraData()); err == nil {
			op = &proxy.Forward{Meta: proxy.Meta{Kind: proxy.KindForward}, Network: "unix", Host: socket}
			v = s.askSocket(op, s.settings.Sockets)
		}
	}
	if err != nil {
		s.refuseName("malformed channel", nc.ChannelType())
		nc.Reject(gossh.ConnectionFailed, "malformed request")
		return nil
	}
	if v.Refuses() {
		s.countRefusal()
		nc.Reject(gossh.Prohibited, strings.Join(printableLines(refusalText(v)), "; "))
		return nil
	}
	up, requests, err := s.openTarget(op, from)
	if err != nil {
		s.proxied.Done(op, &proxy.Outcome{Code: "failed"})
		rejectLike(nc, err)
		return nil
	}
	client, clientRequests, err := nc.Accept()
	if err != nil {
		up.Close()
		go gossh.DiscardRequests(requests)
		s.proxied.Done(op, &proxy.Outcome{Err: errClientGone})
		return nil
	}
	in, out := s.relay(side{client, clientRequests}, side{up, requests})
	s.proxied.Done(op, &proxy.Outcome{BytesIn: in, BytesOut: out})
	return nil
}

var errClientGone = errors.New("the client had left")

// mayForward reports why connections may not be forwarded at all; empty when
// they may.
func (s *session) mayForward() string {
	switch {
	case s.settings.ExecOnly:
		return "this resource runs single commands only"
	case !s.who.limits.permits("permit-port-forwarding"):
		return "your certificate does not permit forwarding"
	}
	return ""
}

// askTarget judges a TCP target: by the resource's settings, by what it resolves
// to, and by the chain.
func (s *session) askTarget(op *proxy.Forward) *proxy.Verdict {
	if reason := s.mayForward(); reason != "" {
		return s.refuse(op, reason, "")
	}
	op.Host = canonicalHost(op.Host)
	const closed = "connections to this target may not be opened through this resource"
	if len(s.settings.Forwards) == 0 || op.Host == "" || op.Port == 0 {
		return s.refuse(op, closed, "")
	}
	addrs, err := s.addresses(op.Host)
	if err != nil {
		return s.refuse(op, err.Error(), "")
	}
	if addrs == nil { // the resource looks the name up
		if !allowsTarget(s.settings.Forwards, op.Host, netip.Addr{}, op.Port) {
			return s.refuse(op, closed, "")
		}
		return s.ask(s.ctx, nil, op)
	}
	why := closed
	for _, a := range addrs {
		if reason := s.handler.forbidden(a, op.Port); reason != "" {
			// One forbidden address condemns the name: it is not what it seems.
			op.Addrs, why = nil, reason
			break
		}
		if allowsTarget(s.settings.Forwards, op.Host, a, op.Port) {
			op.Addrs = append(op.Addrs, a)
		}
	}
	if len(op.Addrs) == 0 {
		return s.refuse(op, why, "")
	}
	return s.ask(s.ctx, nil, op)
}

// addresses returns what host resolves to; nil when the resource is to look it
// up.
func (s *session) addresses(host string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		if a.Zone() != "" {
			return nil, errors.New("connections to addresses with a zone are not forwarded")
		}
		return []netip.Addr{a.Unmap()}, nil
	}
	if numeric(host) {
		// Resolvers read "2852039166" and "0xa9.0xfe.43518" as addresses.
		return nil, errors.New("this form of an address is not understood")
	}
	if s.settings.RemoteNames {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(s.ctx, resolveTime)
	defer cancel()
	resolve := s.handler.Resolve
	if resolve == nil {
		resolve = func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		}
	}
	found, err := resolve(ctx, host)
	if err != nil || len(found) == 0 {
		return nil, errors.New("the target's name cannot be resolved")
	}
	addrs := make([]netip.Addr, 0, len(found))
	for _, a := range found {
		addrs = append(addrs, a.Unmap().WithZone(""))
	}
	return addrs, nil
}

// askSocket judges a Unix socket of the resource's against patterns and by the
// chain.
func (s *session) askSocket(op *proxy.Forward, patterns []string) *proxy.Verdict {
	if reason := s.mayForward(); reason != "" {
		return s.refuse(op, reason, "")
	}
	// A path with dots in it could match a pattern and mean another socket.
	if !path.IsAbs(op.Host) || path.Clean(op.Host) != op.Host || strings.ContainsRune(op.Host, 0) || !allowsSocket(patterns, op.Host) {
		return s.refuse(op, "this socket may not be used through this resource", "")
	}
	return s.ask(s.ctx, nil, op)
}

// openTarget opens the resource's side of an allowed forward. Of several
// addresses the first that answers is used.
func (s *session) openTarget(op *proxy.Forward, from tcpChannel) (ch gossh.Channel, requests <-chan *gossh.Request, err error) {
	if op.Network == "unix" {
		return s.openChannel("direct-streamlocal@openssh.com", appendDirectSocket(nil, op.Host))
	}
	if _, err := netip.ParseAddr(from.Originator); err != nil {
		from.Originator = "0.0.0.0" // it ends up in the resource's log
	}
	hosts := []string{op.Host}
	if len(op.Addrs) > 0 {
		hosts = hosts[:0]
		for _, a := range op.Addrs {
			hosts = append(hosts, a.String())
		}
	}
	for _, host := range hosts {
		from.Host = host
		if ch, requests, err = s.openChannel("direct-tcpip", from.marshal()); err == nil {
			return ch, requests, nil
		}
	}
	return nil, nil, err
}
