package ssh

import (
	"encoding/binary"
	"net/netip"
	"sync"

	gossh "golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/proxy"
)

// listens are the addresses and sockets on which the resource listens for the
// client (ssh -R). Its lock is held while one is opened, so that a connection
// cannot come back before its listener is known.
type listens struct {
	mu   sync.Mutex
	open map[listenKey]*proxy.Forward
}

// listenKey is what a client asked to bind, as it asked; port is the one that
// is bound. Sockets have port 0.
type listenKey struct {
	host string
	port uint32
	unix bool
}

// maxListens is how many listeners one session may have.
const maxListens = 64

// listenTCP has the resource listen on an address.
func (s *session) listenTCP(r *gossh.Request) {
	f, err := parseTCPForward(r.Payload)
	if err != nil {
		s.refuseRequest(r, "malformed request")
		return
	}
	op := &proxy.Forward{
		Meta: proxy.Meta{Kind: proxy.KindForward}, Listen: true, Network: "tcp", Host: canonicalHost(f.Host), Port: uint16(f.Port),
	}
	s.listen(r, op, listenKey{host: f.Host, port: f.Port}, s.askListen(op))
}

// askListen judges an address to listen on. Port 0 means any.
func (s *session) askListen(op *proxy.Forward) *proxy.Verdict {
	if reason := s.mayForward(); reason != "" {
		return s.refuse(op, reason, "")
	}
	addr, _ := netip.ParseAddr(op.Host) // the zero Addr matches no prefix
	if !allowsBind(s.settings.RemoteForwards, op.Host, addr.Unmap(), op.Port) {
		return s.refuse(op, "this resource may not listen here for you", "")
	}
	return s.ask(s.ctx, nil, op)
}

// allowsBind is allowsTarget for addresses to listen on: port 0 lets the
// resource choose, so only a target of every port allows it.
func allowsBind(targets []string, host string, addr netip.Addr, port uint16) bool {
	if port > 0 {
		return allowsTarget(targets, host, addr, port)
	}
	return allowsTarget(targets, host, addr, 1) && allowsTarget(targets, host, addr, 65535)
}

// listenSocket has the resource listen on a Unix socket.
func (s *session) listenSocket(r *gossh.Request) {
	socket, err := parseText(r.Payload, maxHost)
	if err != nil {
		s.refuseRequest(r, "malformed request")
		return
	}
	op := &proxy.Forward{Meta: proxy.Meta{Kind: proxy.KindForward}, Listen: true, Network: "unix", Host: socket}
	s.listen(r, op, listenKey{host: socket, unix: true}, s.askSocket(op, s.settings.RemoteSockets))
}

// listen has the resource open a listener that was judged by v.
func (s *session) listen(r *gossh.Request, op *proxy.Forward, key listenKey, v *proxy.Verdict) {
	if v.Refuses() {
		s.countRefusal()
		r.Reply(false, nil)
		return
	}
	l := &s.listens
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.open) >= maxListens || l.open[key] != nil {
		s.proxied.Done(op, &proxy.Outcome{Code: "failed"})
		r.Reply(false, nil)
		return
	}
	ok, reply, err := s.upstream.SendRequest(r.Type, true, r.Payload)
	if ok = ok && err == nil; ok && !key.unix && key.port == 0 {
		key.port, err = parseUint32(reply)
		ok = err == nil && key.port > 0 && key.port <= 65535 && l.open[key] == nil
	}
	if !ok {
		s.proxied.Done(op, &proxy.Outcome{Code: "refused"})
		r.Reply(false, nil)
		return
	}
	if l.open == nil {
		l.open = make(map[listenKey]*proxy.Forward)
	}
	l.open[key] = op
	var bound []byte
	if len(reply) > 0 {
		bound = binary.BigEndian.AppendUint32(nil, key.port)
	}
	r.Reply(true, bound)
}

func (s *session) cancelTCP(r *gossh.Request) {
	f, err := parseTCPForward(r.Payload)
	if err != nil {
		s.refuseRequest(r, "malformed request")
		return
	}
	s.cancelListen(r, listenKey{host: f.Host, port: f.Port})
}

func (s *session) cancelSocket(r *gossh.Request) {
	socket, err := parseText(r.Payload, maxHost)
	if err != nil {
		s.refuseRequest(r, "malformed request")
		return
	}
	s.cancelListen(r, listenKey{host: socket, unix: true})
}

// cancelListen ends a listener of this session's; of others it knows nothing.
func (s *session) cancelListen(r *gossh.Request, key listenKey) {
	l := &s.listens
	l.mu.Lock()
	defer l.mu.Unlock()
	op := l.open[key]
	if op == nil {
		s.refuseRequest(r, "request for a listener of another's")
		return
	}
	delete(l.open, key)
	ok, _, _ := s.upstream.SendRequest(r.Type, true, r.Payload)
	s.proxied.Done(op, &proxy.Outcome{})
	r.Reply(ok, nil)
}

// endListens tells the chain that what still listened has ended.
func (s *session) endListens() {
	s.listens.mu.Lock()
	defer s.listens.mu.Unlock()
	for key, op := range s.listens.open {
		s.proxied.Done(op, &proxy.Outcome{})
		delete(s.listens.open, key)
	}
}

func (s *session) refuseRequest(r *gossh.Request, what string) {
	s.refuseName(what, r.Type)
	r.Reply(false, nil)
}

// serveUpstreamChannel serves a channel that the resource opens: a connection to
// a listener of the client's, its agent or its display.
func (s *session) serveUpstreamChannel(nc gossh.NewChannel) error {
	op := s.asksBack(nc)
	if op == nil {
		s.refuseName("channel of the resource's", nc.ChannelType())
		nc.Reject(gossh.Prohibited, "nobody waits for this")
		return nil
	}
	if v := s.ask(s.ctx, nil, op); v.Refuses() {
		s.countRefusal()
		nc.Reject(gossh.Prohibited, printable(v.Message()))
		return nil
	}
	client, clientRequests, err := s.client.OpenChannel(nc.ChannelType(), nc.ExtraData())
	if err != nil {
		s.proxied.Done(op, &proxy.Outcome{Code: "failed"})
		rejectLike(nc, err)
		return nil
	}
	up, requests, err := nc.Accept()
	if err != nil {
		client.Close()
		go gossh.DiscardRequests(clientRequests)
		s.proxied.Done(op, &proxy.Outcome{Err: errLost})
		return nil
	}
	out := &proxy.Outcome{}
	c, u := side{client, clientRequests}, side{resourceChannel{up, s.ctx}, requests}
	if op.Kind == proxy.KindAgent {
		s.relayAgent(c, u, out)
	} else {
		out.BytesIn, out.BytesOut = s.relay(c, u)
	}
	s.proxied.Done(op, out)
	return nil
}

// asksBack returns the operation that a channel of the resource's is; nil when
// nothing that the client was allowed leads to it.
func (s *session) asksBack(nc gossh.NewChannel) *proxy.Forward {
	switch nc.ChannelType() {
	case "forwarded-tcpip":
		f, err := parseTCPChannel(nc.ExtraData())
		if err != nil {
			return nil
		}
		return s.listens.connection(listenKey{host: f.Host, port: f.Port})
	case "forwarded-streamlocal@openssh.com":
		socket, err := parseForwardedSocket(nc.ExtraData())
		if err != nil {
			return nil
		}
		return s.listens.connection(listenKey{host: socket, unix: true})
	case "auth-agent@openssh.com":
		if len(nc.ExtraData()) > 0 {
			return nil
		}
		return s.lent.agentConnection()
	case "x11":
		if _, _, err := parseX11Channel(nc.ExtraData()); err != nil {
			return nil
		}
		return s.lent.displayConnection()
	}
	return nil
}

// connection returns the operation of one connection to the listener of key.
func (l *listens) connection(key listenKey) *proxy.Forward {
	l.mu.Lock()
	defer l.mu.Unlock()
	op := l.open[key]
	if op == nil {
		return nil
	}
	return &proxy.Forward{
		Meta: proxy.Meta{Kind: proxy.KindForward, Parent: op.ID}, Listen: true, Network: op.Network, Host: op.Host, Port: uint16(key.port),
	}
}
