package mysql

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/sallyport/sallyport/protocol/mysql/wire"
	"github.com/sallyport/sallyport/proxy"
)

// gatewayCan is what the gateway can, whatever the server. TLS is offered where it is set.
const gatewayCan = wire.FoundRows | wire.LongFlag | wire.ConnectWithDB | wire.NoSchema | wire.ODBC | wire.LocalFiles | wire.IgnoreSpace | wire.Protocol41 |
	wire.Interactive | wire.IgnoreSIGPIPE | wire.Transactions | wire.Reserved | wire.SecureConnection | wire.MultiStatements | wire.MultiResults |
	wire.PSMultiResults | wire.PluginAuth | wire.ConnectAttrs | wire.PluginAuthLength | wire.ExpiredPasswords | wire.SessionTrack | wire.DeprecateEOF

// bothKnow are the capabilities that change what is sent: client and server agree on them
// alike.
const bothKnow = wire.SessionTrack | wire.DeprecateEOF | wire.ExtendedMetadata

// hello is what a client has said before it proves who it is.
type hello struct {
	conn       net.Conn // the raw connection, or TLS over it
	talk       *wire.Conversation
	greeting   *wire.Greeting
	response   *wire.Response
	tls        *tls.Conn
	serverName string
	certs      []*x509.Certificate
	known      bool // the gateway's own client, for somebody who has proven herself to the API

	user  string // as the client has sent it
	login proxy.Login
}

// maxResponse bounds what a client may send before it is authenticated: names, a proof, and
// the attributes of its connection.
const maxResponse = 66 << 10

// plainText is the collation that is announced: utf8mb4_general_ci, which every server
// has.
const plainText = 45

// greet says what a server says first, and reads what the client answers. It returns nil,
// nil when the client has left.
func (h *Handler) greet(ctx context.Context, c *proxy.Conn) (*hello, error) {
	hi := &hello{conn: c, known: c.IsKnown(), talk: &wire.Conversation{Conn: c}, greeting: h.greeting(ctx, c.Gateway())}
	defer func() {
		if hi.greeting != nil && hi.response == nil {
			h.shared.sessions.release(hi.greeting.ID)
		}
	}()
	if err := hi.talk.Write(wire.AppendGreeting(nil, hi.greeting)); err != nil {
		return nil, err
	}
	r, wantsTLS, err := hi.read()
	if err == nil && wantsTLS {
		if err = h.secure(ctx, hi); err == nil {
			r, wantsTLS, err = hi.read()
		}
		if err == nil && wantsTLS {
			err = fmt.Errorf("%w: encryption was asked for twice", wire.ErrProtocol)
		}
	}
	if err == nil {
		err = hi.take(r)
	}
	if err != nil {
		if !ended(err) {
			hi.refuse(err)
		}
		return nil, ignoreEOF(err)
	}
	hi.response = r
	return hi, nil
}

func ignoreEOF(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}

// greeting is what is said to the next client.
func (h *Handler) greeting(ctx context.Context, gateway *proxy.Gateway) *wire.Greeting {
	var list []*proxy.Resource
	if h.Resources != nil {
		for _, r := range h.Resources() {
			if r.Type == h.Protocol() && (h.Resource == "" || r.Name == h.Resource) {
				list = append(list, r)
			}
		}
	}
	if d := gateway.Revision().Directory; h.Resources == nil && h.Resource != "" && d != nil {
		if r, err := d.Lookup(ctx, h.Resource); err == nil && r.Type == h.Protocol() {
			list = append(list, r)
		}
	}
	h.shared.known.probe(ctx, gateway, list)
	s, ok := h.shared.known.common(list)
	if !ok {
		s = unseen
	}
	can := gatewayCan
	can &^= bothKnow &^ s.capabilities
	if h.TLS != nil {
		can |= wire.TLS
	}
	if mariaDB(s.version) {
		can |= wire.Progress
	} else {
		can |= wire.LongPassword
	}
	g := &wire.Greeting{
		Version: s.version, ID: h.shared.sessions.take(), Nonce: nonce(), Capabilities: can, Charset: plainText,
		Status: wire.StatusAutocommit, Plugin: pluginCaching,
	}
	return g
}

// nonce returns random bytes of which none is NUL.
func nonce() (n [wire.NonceLen]byte) {
	rand.Read(n[:])
	for i := range n {
		n[i] = n[i]%127 + 1
	}
	return n
}

func (hi *hello) read() (r *wire.Response, wantsTLS bool, err error) {
	b, err := hi.talk.Read(maxResponse)
	if err != nil {
		return nil, false, err
	}
	return wire.ParseResponse(b)
}

// secure does the TLS handshake. Nothing that came before it is used, other than that it
// was asked for.
func (h *Handler) secure(ctx context.Context, hi *hello) error {
	if h.tls == nil {
		return errors.New("the client starts TLS, which was not offered")
	}
	tc := tls.Server(hi.conn, h.tls)
	if err := tc.HandshakeContext(ctx); err != nil {
		return fmt.Errorf("TLS handshake: %w", err)
	}
	state := tc.ConnectionState()
	hi.conn, hi.talk.Conn, hi.tls, hi.serverName = tc, tc, tc, strings.ToLower(state.ServerName)
	if certs := state.PeerCertificates; len(certs) > 0 && (h.KnowsCertificate == nil || h.KnowsCertificate(certs[0])) {
		hi.certs = certs
	}
	return nil
}

// take takes over what the client answered.
func (hi *hello) take(r *wire.Response) error {
	// What was not offered is not agreed on, whatever the client says.
	r.Capabilities &= hi.greeting.Capabilities
	hi.user = string(r.User)
	switch {
	case !r.Capabilities.Has(wire.PluginAuth):
		return errOldClient
	case hi.tls == nil && !hi.known:
		return errNeedsTLS
	case !plainCollation(uint16(r.Charset)):
		return errCharset
	}
	login, err := proxy.ParseLogin(plus(hi.user))
	if err != nil {
		return fmt.Errorf("%w: %w", errBadLogin, err)
	}
	if login.User == "" {
		return fmt.Errorf("%w: no user name was given", errBadLogin)
	}
	hi.login = login
	return nil
}

var (
	errBadLogin  = errors.New("invalid login")
	errNeedsTLS  = errors.New("this gateway requires TLS: connect with --ssl or --ssl-mode=REQUIRED")
	errOldClient = errors.New("this client knows no authentication plugins: use one of MySQL 5.5 or MariaDB 5.5 or later")
	errCharset   = errors.New("this character set is not taken, since a backslash or a quote may be part of its characters: use utf8mb4")
)

// plus turns the spaces of a user name that has no plus sign into such: clients that
// read the name from a URL make a space of each.
func plus(user string) string {
	if strings.Contains(user, "+") {
		return user
	}
	return strings.ReplaceAll(user, " ", "+")
}
