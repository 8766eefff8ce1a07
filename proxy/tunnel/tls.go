package tunnel

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"
)

// ServerName is the name in the certificates that gateways show to agents. An agent knows a gateway by
// the authority and this name, whatever address it has.
const ServerName = "gateway.agents.sallyport"

// errNoProto is what a handshake of a client that is not an agent fails with.
var errNoProto = errors.New("the client offers no protocol that agents use")

// config returns the configuration of one handshake, by what the client says the connection is for. A connection that a
// carrier has brought carries no further one.
func (s *Server) config(hello *tls.ClientHelloInfo, carried bool) (*tls.Config, error) {
	cert, err := s.Certificate()
	if err != nil {
		return nil, fmt.Errorf("the gateway's certificate for agents: %w", err)
	}
	c := &tls.Config{
		Certificates: []tls.Certificate{*cert}, MinVersion: tls.VersionTLS13, SessionTicketsDisabled: true, DynamicRecordSizingDisabled: true,
		Time: s.Now,
	}
	offers := func(proto string) bool { return slices.Contains(hello.SupportedProtos, proto) }
	switch {
	case offers(protoControl), offers(protoData):
		c.NextProtos = []string{protoControl, protoData}
		c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, s.Roots()
	case offers(protoEnrol):
		c.NextProtos = []string{protoEnrol}
	case s.Upgrade != nil && !carried && (len(hello.SupportedProtos) == 0 || offers("http/1.1")):
		c.NextProtos, c.MinVersion = []string{"http/1.1"}, tls.VersionTLS12
	default:
		return nil, errNoProto
	}
	return c, nil
}

// clientConfig is what an agent connects to gateways with. verify decides by the chain that the gateway shows.
func clientConfig(host, proto string, now func() time.Time, verify func(chain []*x509.Certificate) error) *tls.Config {
	return &tls.Config{
		ServerName: host, NextProtos: []string{proto}, MinVersion: tls.VersionTLS13, DynamicRecordSizingDisabled: true, Time: now,
		// The name that a gateway is known by is not that of its address: VerifyConnection decides, in every handshake.
		InsecureSkipVerify: true,
		VerifyConnection: func(cs tls.ConnectionState) error {
			if cs.NegotiatedProtocol != proto {
				return fmt.Errorf("the server does not speak %s: it is not a gateway that takes agents, or its version is another", proto)
			}
			return verify(cs.PeerCertificates)
		},
	}
}

// verifyGateway verifies what a gateway shows by the authorities that agents know.
func verifyGateway(chain []*x509.Certificate, roots *x509.CertPool, now time.Time) error {
	if len(chain) == 0 {
		return errors.New("the gateway has shown no certificate")
	}
	opts := x509.VerifyOptions{
		Roots: roots, Intermediates: x509.NewCertPool(), CurrentTime: now, DNSName: ServerName,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, c := range chain[1:] {
		opts.Intermediates.AddCert(c)
	}
	if _, err := chain[0].Verify(opts); err != nil {
		return fmt.Errorf("the gateway's certificate: %w", err)
	}
	return nil
}

// pinned returns the authority of a chain that has the pin of a token.
func pinned(chain []*x509.Certificate, t Token) (*x509.CertPool, error) {
	for _, c := range chain {
		if c.IsCA && PinOf(c) == t.Pin {
			p := x509.NewCertPool()
			p.AddCert(c)
			return p, nil
		}
	}
	return nil, errors.New("the gateway is not the one that the enrolment token was made at: its authority is another")
}

func pool(roots [][]byte) (*x509.CertPool, error) {
	p := x509.NewCertPool()
	for _, der := range roots {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, errors.New("the certificate of an authority cannot be read")
		}
		p.AddCert(c)
	}
	return p, nil
}
