package gateway

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"net"
	"time"

	"github.com/sallyport/sallyport/identity/ca"
)

// shown is the certificate that clients are shown, and where it comes from: the files
// that the config file names, or the gateway's own authority.
type shown struct {
	pair tls.Certificate

	authority *ca.Authority // nil: the files
	names     []string

	cert, key string // where it comes from
	asks      bool   // that the key is not in a file: it is looked at less often
	looked    time.Time
	read      digest    // of both, of which pair was made
	failed    string    // why the files could not be used the last time; empty: they could
	told      bool      // that failed was logged
	warned    time.Time // that the certificate expires
}

type digest [sha256.Size]byte

// show returns what clients are shown under p.
func (g *Gateway) show(p *parts) (*shown, error) {
	s, f := &shown{looked: time.Now()}, p.config
	if s.cert, s.key, s.asks = f.ClientFiles(); s.cert != "" {
		var err error
		s.pair, s.read, err = s.readPair(p)
		return s, err
	}
	s.authority = g.authority
	if err := g.publishAuthority(f); err != nil {
		return nil, err
	}
	s.names = []string{"localhost", "127.0.0.1", "::1"}
	if f.Domain != "" {
		s.names = append(s.names, f.Domain, "*."+f.Domain)
	}
	for _, l := range f.Listeners() {
		if host, _, err := net.SplitHostPort(l.Address); err == nil && host != "" {
			s.names = append(s.names, host)
		}
	}
	for i := range f.Resources {
		s.names = append(s.names, f.Hosts(&f.Resources[i])...)
	}
	var err error
	s.pair, err = s.authority.Server(s.names...)
	return s, err
}

// readPair reads a certificate and its key. The digest is that of what was read, also
// when it is not a pair.
func (s *shown) readPair(p *parts) (pair tls.Certificate, d digest, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), readWithin)
	defer cancel()
	c, k, err := p.config.ClientCertificate(ctx, p.secrets)
	if err != nil {
		return pair, d, err
	}
	both := sha256.New()
	fmt.Fprintf(both, "%d\n%s%s", len(c), c, k)
	both.Sum(d[:0])
	if pair, err = tls.X509KeyPair(c, k); err != nil {
		err = fmt.Errorf("certificate %s with key %s: %w", s.cert, s.key, err)
	}
	return pair, d, err
}

const (
	// certificatesEvery is how often it is asked whether what clients are shown is still
	// the right certificate.
	certificatesEvery = 5 * time.Second
	// askEvery is how often that is asked of a key that a service has.
	askEvery = 5 * time.Minute
	// readWithin bounds one look.
	readWithin = 30 * time.Second
)

// keepCertificate renews what clients are shown, until ctx ends.
func (g *Gateway) keepCertificate(ctx context.Context) {
	t := time.NewTicker(certificatesEvery)
	defer t.Stop()
	for {
		g.renewCertificate(time.Now(), false)
		g.keepPublished()
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
	}
}

// RenewCertificate reads the certificate that clients are shown again, where the config
// file names one, and makes a new one of the gateway's own authority when that expires
// soon. Clients that connect from now on are shown it; open sessions go on. Run does
// the same every few seconds. On an error, which is also logged, clients are shown the
// certificate from before.
func (g *Gateway) RenewCertificate() error { return g.renewCertificate(time.Now(), true) }

// renewCertificate is RenewCertificate at a time. Files that cannot be used are told
// once: at once when somebody asks, else when they are still there the next time, since
// a certificate and its key are not replaced at one moment.
func (g *Gateway) renewCertificate(now time.Time, asked bool) error {
	g.applying.Lock()
	defer g.applying.Unlock()
	if g.isClosed() {
		return ErrClosed
	}
	s := g.shown
	if s.authority != nil {
		return g.issue(s, now)
	}
	if s.asks && !asked && now.Sub(s.looked) < askEvery {
		g.warnOfExpiry(s, now)
		return nil
	}
	s.looked = now
	pair, d, err := s.readPair(g.parts())
	if err != nil {
		why := fmt.Sprintf("%v %x", err, d)
		again := why == s.failed
		s.failed, s.told = why, again && s.told
		if !s.told && (asked || again) {
			s.told = true
			g.log.Error("the replaced certificate for clients cannot be used: they are shown the one from before", "expires", s.pair.Leaf.NotAfter, "err", err)
		}
		return err
	}
	s.failed, s.told = "", false
	if d != s.read {
		s.pair, s.read, s.warned = pair, d, time.Time{}
		g.gateway.Renew([]tls.Certificate{pair})
		g.log.Info("clients are shown a new certificate: its files have changed", "file", s.cert, "expires", pair.Leaf.NotAfter)
	}
	g.warnOfExpiry(s, now)
	return nil
}

// expirySoon is how long before a certificate of files expires it is warned of, once
// a day.
const expirySoon = 14 * 24 * time.Hour

func (g *Gateway) warnOfExpiry(s *shown, now time.Time) {
	if s.pair.Leaf.NotAfter.Sub(now) > expirySoon || now.Sub(s.warned) < 24*time.Hour {
		return
	}
	s.warned = now
	g.log.Warn("the certificate for clients expires soon, or has expired: replace its files", "file", s.cert, "expires", s.pair.Leaf.NotAfter)
}

// issue makes a certificate of the gateway's own authority when a third of the life of
// the last one is left, or another key signs.
func (g *Gateway) issue(s *shown, now time.Time) error {
	leaf := s.pair.Leaf
	if life := leaf.NotAfter.Sub(leaf.NotBefore); leaf.NotAfter.Sub(now) > life/3 && s.authority.Signs(leaf) {
		return nil
	}
	pair, err := s.authority.Server(s.names...)
	if err != nil {
		if now.Sub(s.warned) >= time.Hour {
			s.warned = now
			g.log.Error("the certificate for clients cannot be renewed", "expires", leaf.NotAfter, "err", err)
		}
		return err
	}
	s.pair = pair
	g.gateway.Renew([]tls.Certificate{pair})
	g.log.Info("clients are shown a new certificate: the one before expires soon, or another key signs", "expires", pair.Leaf.NotAfter)
	return nil
}

// Authority returns the file of the authority that certifies the gateway towards
// its clients; empty when the config file names a certificate.
func (g *Gateway) Authority() string {
	g.applying.Lock()
	defer g.applying.Unlock()
	if g.shown.authority == nil {
		return ""
	}
	return AuthorityFile(g.parts().config)
}
