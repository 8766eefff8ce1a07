package postgres

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"

	"github.com/sallyport/sallyport/internal/scram"
	"github.com/sallyport/sallyport/protocol/postgres/wire"
	"github.com/sallyport/sallyport/proxy"
)

// maxAuthMessage bounds what a client may send before it is authenticated.
const maxAuthMessage = 8 << 10

// authenticate proves who the client is that asks for a resource, unless that is known: by the certificate it has
// shown, else, over TLS only, by a link where it is offered one, else by SCRAM, else, over TLS
// only, by a password as it is. The client is told success only.
func (h *Handler) authenticate(ctx context.Context, c *proxy.Conn, hi *hello, resource string) (*proxy.Identity, error) {
	if hi.negotiate != nil {
		if _, err := hi.conn.Write(hi.negotiate); err != nil {
			return nil, err
		}
	}
	if c.IsKnown() {
		id, err := c.Known(ctx)
		if err == nil {
			_, err = hi.conn.Write(wire.AppendAuth(nil, wire.AuthOK, nil))
		}
		return id, err
	}
	if len(hi.certs) > 0 {
		id, err := c.Authenticate(ctx, proxy.Proof{Method: proxy.MethodCertificate, User: hi.login.User, Certificates: hi.certs})
		if err != nil {
			return nil, err
		}
		_, err = hi.conn.Write(wire.AppendAuth(nil, wire.AuthOK, nil))
		return id, err
	}
	if hi.tls != nil {
		if id, err := hi.link(ctx, c, resource); !errors.Is(err, proxy.ErrNoLink) {
			return id, err
		}
	}
	verifier, ok, err := c.Verifier(ctx, hi.login.User)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", proxy.ErrUnauthenticated, err)
	}
	// Reads are message by message, and nothing is read ahead: what follows
	// belongs to the session.
	r := &authReader{conn: hi.conn}
	proof := proxy.Proof{User: hi.login.User}
	var last []byte
	if ok {
		proof.Method, proof.Verifier = proxy.MethodSCRAM, verifier
		last, err = h.scram(hi, r, verifier)
	} else {
		proof.Method = proxy.MethodPassword
		proof.Password, err = password(hi, r)
	}
	if err != nil {
		if errors.Is(err, scram.ErrProof) || errors.Is(err, scram.ErrBinding) || errors.Is(err, scram.ErrMessage) {
			err = fmt.Errorf("%w: %w", proxy.ErrUnauthenticated, err)
		}
		// A client that leaves has proven nothing wrong: psql asks for a password only
		// after it has seen that one is needed, and connects again.
		if left(err) {
			return nil, proxy.ErrClientLeft
		}
		c.LoginFailed(hi.login.User, err)
		return nil, err
	}
	id, err := c.Authenticate(ctx, proof)
	if err != nil {
		return nil, err
	}
	_, err = hi.conn.Write(wire.AppendAuth(last, wire.AuthOK, nil))
	return id, err
}

// failed tells a client that it has not proven who it is, in the server's words,
// which tools look for.
func (hi *hello) failed() wire.Notice {
	n := wire.Notice{Severity: "FATAL", Code: codeAuth, Message: "password authentication failed for user "}
	if len(hi.certs) > 0 {
		n.Code, n.Message = codeAuthorization, "certificate authentication failed for user "
	}
	n.Message += `"` + strings.ToValidUTF8(hi.user, "?") + `"`
	return n
}

// authReader reads single messages and not a byte more.
type authReader struct {
	conn interface{ Read([]byte) (int, error) }
	body []byte
}

// password reads the next message, which must be of type 'p'.
func (r *authReader) password() ([]byte, error) {
	var head [wire.HeaderLen]byte
	if err := readFull(r.conn, head[:]); err != nil {
		return nil, err
	}
	typ, total, err := wire.Header(head[:])
	if err != nil {
		return nil, err
	}
	if typ != wire.Password || total > maxAuthMessage {
		return nil, fmt.Errorf("%w: message %s of %d bytes in the place of a password", wire.ErrProtocol, wire.TypeName(typ), total)
	}
	r.body = make([]byte, total-wire.HeaderLen)
	return r.body, readFull(r.conn, r.body)
}

func readFull(r interface{ Read([]byte) (int, error) }, b []byte) error {
	for len(b) > 0 {
		n, err := r.Read(b)
		b = b[n:]
		if err != nil && len(b) > 0 {
			return err
		}
	}
	return nil
}

// password asks for the password as it is, over TLS only.
func password(hi *hello, r *authReader) (proxy.Secret, error) {
	if hi.tls == nil {
		return proxy.Secret{}, errNeedsTLS
	}
	if _, err := hi.conn.Write(wire.AppendAuth(nil, wire.AuthCleartext, nil)); err != nil {
		return proxy.Secret{}, err
	}
	body, err := r.password()
	if err != nil {
		return proxy.Secret{}, err
	}
	if i := bytes.IndexByte(body, 0); i < 0 || i != len(body)-1 {
		return proxy.Secret{}, fmt.Errorf("%w: password message", wire.ErrProtocol)
	}
	return proxy.NewSecret(string(body[:len(body)-1])), nil
}

// scram runs the exchange and returns the last message of it, still to be sent.
func (h *Handler) scram(hi *hello, r *authReader, verifier string) ([]byte, error) {
	v, err := scram.ParseVerifier(verifier)
	if err != nil {
		return nil, fmt.Errorf("%w: the stored password verifier is not valid", proxy.ErrUnauthenticated)
	}
	s := scram.Server{Verifier: v}
	if hi.tls != nil {
		s.Binding = h.binding(hi)
	}
	var offer []byte
	if s.Binding != nil {
		offer = append(append(offer, scram.MechanismPlus...), 0)
	}
	offer = append(append(offer, scram.Mechanism...), 0, 0)
	if _, err := hi.conn.Write(wire.AppendAuth(nil, wire.AuthSASL, offer)); err != nil {
		return nil, err
	}
	body, err := r.password()
	if err != nil {
		return nil, err
	}
	mechanism, first, err := saslInitial(body)
	if err != nil {
		return nil, err
	}
	reply, err := s.First(mechanism, first)
	if err != nil {
		return nil, err
	}
	if _, err := hi.conn.Write(wire.AppendAuth(nil, wire.AuthSASLContinue, reply)); err != nil {
		return nil, err
	}
	if body, err = r.password(); err != nil {
		return nil, err
	}
	if reply, err = s.Final(body); err != nil {
		return nil, err
	}
	return wire.AppendAuth(nil, wire.AuthSASLFinal, reply), nil
}

// saslInitial reads a SASLInitialResponse.
func saslInitial(body []byte) (mechanism string, data []byte, err error) {
	i := bytes.IndexByte(body, 0)
	if i < 0 || len(body) < i+5 {
		return "", nil, fmt.Errorf("%w: SASL response", wire.ErrProtocol)
	}
	n := binary.BigEndian.Uint32(body[i+1:])
	data = body[i+5:]
	if uint64(n) != uint64(len(data)) {
		return "", nil, fmt.Errorf("%w: SASL response", wire.ErrProtocol)
	}
	return string(body[:i]), data, nil
}

// binding is the channel binding of the certificate that the client was shown, nil
// when it is not certain which one that is.
func (h *Handler) binding(hi *hello) []byte {
	shown := hi.shown
	if t := h.TLS; len(t.Certificates) == 1 && t.GetCertificate == nil {
		shown = &t.Certificates[0]
	}
	if shown == nil || h.TLS.GetConfigForClient != nil {
		return nil
	}
	cert, err := x509.ParseCertificate(shown.Certificate[0])
	if err != nil {
		return nil
	}
	return scram.EndPoint(cert)
}

// left reports whether err says that the other side has closed the connection.
func left(err error) bool {
	for _, e := range []error{io.EOF, io.ErrUnexpectedEOF, syscall.ECONNRESET, syscall.EPIPE} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// scramClient proves the gateway's password to the server.
type scramClient struct {
	client   scram.Client
	started  bool
	verified bool
}

// step answers one SASL message of the server; the reply is nil when there is
// none.
func (s *scramClient) step(a *upstreamAuth, code uint32, data []byte) ([]byte, error) {
	switch {
	case code == wire.AuthSASL && !s.started:
		s.started = true
		s.client = scram.Client{Password: a.cred.Password.Reveal(), Keys: a.keys}
		if a.u.tls != nil && len(a.u.tls.PeerCertificates) > 0 {
			s.client.Binding = scram.EndPoint(a.u.tls.PeerCertificates[0])
		}
		var offered []string
		for m := range bytes.SplitSeq(data, []byte{0}) {
			offered = append(offered, string(m))
		}
		mechanism, first, err := s.client.First(offered)
		if err != nil {
			return nil, err
		}
		reply := append([]byte(mechanism), 0)
		reply = binary.BigEndian.AppendUint32(reply, uint32(len(first)))
		return append(reply, first...), nil
	case code == wire.AuthSASLContinue && s.started:
		return s.client.Final(data)
	case code == wire.AuthSASLFinal && s.started && !s.verified:
		if err := s.client.Verify(data); err != nil {
			return nil, err
		}
		s.verified = true
		return nil, nil
	}
	return nil, fmt.Errorf("%w: SASL message out of order", wire.ErrProtocol)
}
