// Package kit wires connections to resources of any protocol for an assembly: handlers, and how clients open such a
// connection.
package kit

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"

	"github.com/sallyport/sallyport/protocol"
	"github.com/sallyport/sallyport/protocol/tcp"
	"github.com/sallyport/sallyport/proxy"
)

// Protocol returns resources of any protocol for an assembly. Their protocols have clients of their own, which a [protocol.Connector]
// leads to them.
func Protocol() protocol.Protocol {
	return protocol.Protocol{
		Name: "tcp", TLS: true, Anonymous: true, NoSecrets: true,
		Kinds:     []proxy.Kind{proxy.KindConnect, proxy.KindForward},
		Settings:  func() any { return &tcp.Settings{} },
		Open:      open,
		Connector: connector,
		Links:     links,
	}
}

func open(a protocol.Assembly) (*protocol.Service, error) {
	return &protocol.Service{
		Handler: func(resource string) (proxy.Handler, error) {
			if a.Gateway == nil {
				return nil, fmt.Errorf("serving %s: the assembly has no gateway", Protocol().Name)
			}
			return &tcp.Handler{Resource: resource, TLS: a.TLS, Domain: a.Domain, KnowsCertificate: a.KnowsCertificate}, nil
		},
		Operation: func(_ context.Context, t proxy.Target, text string) (proxy.Op, error) { return tcp.Operation(t, text) },
		Reach:     tcp.Reach,
	}, nil
}

// connector opens connections as the endpoint's user.
func connector(e protocol.Endpoint, password proxy.Secret, waits func(message, link string)) (protocol.Connector, error) {
	c := &tcp.Client{
		Address: net.JoinHostPort(e.Host, e.Port), User: e.User, Resource: e.Resource, Password: password, Waits: waits,
		TLS: &tls.Config{MinVersion: tls.VersionTLS12},
	}
	if e.CA != "" {
		text, err := os.ReadFile(e.CA)
		if err != nil {
			return nil, err
		}
		c.TLS.RootCAs = x509.NewCertPool()
		if !c.TLS.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("reading the gateway's authority: %s holds no certificate", e.CA)
		}
	}
	if e.Proof != nil {
		pair, err := tls.LoadX509KeyPair(e.Proof.Certificate, e.Proof.Key)
		if err != nil {
			return nil, fmt.Errorf("reading the login's certificate: %w", err)
		}
		c.TLS.Certificates = []tls.Certificate{pair}
	}
	return func(ctx context.Context) (net.Conn, string, error) {
		conn, note, err := c.Dial(ctx)
		if err != nil { // a nil of the one type is not a nil of the other
			return nil, "", err
		}
		return conn, note, nil
	}, nil
}

// links are where programs with TLS and a client certificate of their own connect.
func links(e protocol.Endpoint) []protocol.Link {
	return []protocol.Link{{For: "tls", Text: net.JoinHostPort(e.Host, e.Port)}}
}
