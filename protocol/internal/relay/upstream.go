package relay

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/sallyport/sallyport/proxy"
)

// Upstreams are connections to applications, by application and account. The zero value is ready.
type Upstreams struct {
	mu   sync.Mutex
	open map[upstreamKey]*Upstream
}

type upstreamKey struct {
	resource string
	address  string
	via      string
	identity [sha256.Size]byte // of the certificate that the application is shown
}

// maxUpstreams bounds how many are kept.
const maxUpstreams = 256

// Upstream is how one application is reached.
type Upstream struct {
	*http.Transport
	Scheme, Host string // of addresses there
	resource     *proxy.Resource
	plain2       bool
}

// Of returns the connections to a resource, which are those from before while it is the same. plain2 has them speak
// HTTP/2 without TLS.
func (us *Upstreams) Of(g *proxy.Gateway, r *proxy.Resource, plain2 bool, c *proxy.Credential) (*Upstream, error) {
	key := upstreamKey{resource: r.Name, address: r.Address, via: r.Via}
	if c != nil && c.Certificate != "" {
		key.identity = sha256.Sum256([]byte(c.Certificate))
	}
	us.mu.Lock()
	defer us.mu.Unlock()
	u := us.open[key]
	if u != nil && (u.resource == r || u.resource.Address == r.Address && sameTLS(&u.resource.TLS, &r.TLS) && u.plain2 == plain2) {
		return u, nil
	}
	next, err := newUpstream(g, r, plain2, c)
	if err != nil {
		return nil, err
	}
	if u != nil {
		u.CloseIdleConnections()
	}
	if us.open == nil {
		us.open = make(map[upstreamKey]*Upstream)
	}
	if len(us.open) >= maxUpstreams { // of addresses from before
		us.closeAll()
	}
	us.open[key] = next
	return next, nil
}

// sameTLS reports whether connections are protected in the same way. What a revision has read anew may be the same, and is not known to be.
func sameTLS(a, b *proxy.TLS) bool {
	return a.Mode == b.Mode && a.ServerName == b.ServerName && a.RootCAs == b.RootCAs && len(a.Certificates) == 0 && len(b.Certificates) == 0
}

// Close closes the connections that rest.
func (us *Upstreams) Close() {
	us.mu.Lock()
	defer us.mu.Unlock()
	us.closeAll()
}

func (us *Upstreams) closeAll() {
	for _, u := range us.open {
		u.CloseIdleConnections()
	}
	clear(us.open)
}

func newUpstream(g *proxy.Gateway, r *proxy.Resource, plain2 bool, c *proxy.Credential) (*Upstream, error) {
	u := &Upstream{resource: r, plain2: plain2, Scheme: "http", Host: r.Address}
	if strings.HasPrefix(r.Address, "unix:") {
		u.Host = "localhost"
	}
	protocols := &http.Protocols{}
	protocols.SetHTTP1(true)
	u.Transport = &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx, g, r) },
		Proxy:       nil, DisableCompression: true, Protocols: protocols,
		MaxIdleConnsPerHost: 64, IdleConnTimeout: 90 * time.Second, TLSHandshakeTimeout: 10 * time.Second, ExpectContinueTimeout: time.Second,
		MaxResponseHeaderBytes: 256 << 10, ReadBufferSize: 32 << 10, WriteBufferSize: 32 << 10,
		HTTP2: &http.HTTP2Config{MaxReceiveBufferPerStream: 4 << 20, MaxReceiveBufferPerConnection: 16 << 20},
	}
	config := r.TLS.Config(r.Address)
	if config == nil {
		if plain2 {
			protocols.SetHTTP1(false)
			protocols.SetUnencryptedHTTP2(true)
		}
		return u, nil
	}
	u.Scheme = "https"
	if c != nil && c.Certificate != "" && !c.PrivateKey.Empty() {
		pair, err := tls.X509KeyPair([]byte(c.Certificate), []byte(c.PrivateKey.Reveal()))
		if err != nil {
			return nil, errors.New("the credential's certificate and key do not belong together")
		}
		config.Certificates = []tls.Certificate{pair}
	}
	protocols.SetHTTP2(true)
	u.TLSClientConfig = config
	return u, nil
}

// dial connects to the resource. A name may have come to mean another machine since it was
// written down: what belongs to no application is not talked to.
func dial(ctx context.Context, g *proxy.Gateway, r *proxy.Resource) (net.Conn, error) {
	c, err := g.Dial(ctx, r)
	if err != nil {
		return nil, err
	}
	if err := meant(r.Address, c.RemoteAddr()); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// meant reports whether an address is one that the name of a resource may lead to.
func meant(address string, at net.Addr) error {
	tcp, ok := at.(*net.TCPAddr)
	if !ok {
		return nil
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return nil // it is written down
	}
	ip := tcp.AddrPort().Addr().Unmap()
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	switch {
	case ip.IsLoopback() && (host == "localhost" || strings.HasSuffix(host, ".localhost")):
		return nil
	case ip.IsLoopback(), ip.IsLinkLocalUnicast(), ip.IsMulticast(), ip.IsUnspecified(), ip == metadata:
		return fmt.Errorf("the name %s leads to %s, which is this machine or one's own network alone: write the address down where it is meant", host, ip)
	}
	return nil
}

// metadata is where machines in a cloud find their own credentials, as well as at the link-local address.
var metadata = netip.MustParseAddr("fd00:ec2::254")
