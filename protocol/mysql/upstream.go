package mysql

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/sallyport/sallyport/protocol/mysql/wire"
	"github.com/sallyport/sallyport/proxy"
)

// upstream is the connection to the server.
type upstream struct {
	conn     net.Conn
	tls      bool
	greeting *wire.Greeting
	agreed   wire.Capabilities
	ok       []byte // the payload by which the server has let us in
	status   uint16
}

// maxGreeting bounds what a server may send before it is ready.
const maxGreeting = 64 << 10

// server is a resource's server, and how connections to it are made.
type server struct {
	target   proxy.Target
	settings *Settings
	known    *known        // is told of what it is; nil: nobody is
	timeout  time.Duration // of a login, from the first byte until it is ready
	dial     func(context.Context) (net.Conn, error)
	// credential leases what to log in with; fresh, after it was refused.
	credential func(ctx context.Context, fresh bool) (proxy.Credential, error)
}

// login is what is asked of a server besides being let in.
type login struct {
	capabilities wire.Capabilities // of the client
	charset      byte
	database     string
	attrs        []wire.Attr
}

// serverError is an error that the server answered with while the session was
// being set up.
type serverError struct {
	code           uint16
	state, message string
}

func (e *serverError) Error() string { return "the server refuses the connection: " + e.message }

// refusesCredential reports whether the server did not accept who we are.
func (e *serverError) refusesCredential() bool {
	switch e.code {
	case 1045, 1698, 1251, 1275, 3118, 4151, 1820, 1862: // access denied, its ways of saying so, locked and expired accounts
		return true
	}
	return false
}

func newServerError(b []byte) error {
	e, err := wire.ParseError(b)
	if err != nil {
		return err
	}
	return &serverError{code: e.Code, state: string(e.State), message: string(e.Message)}
}

// connect opens a connection to the server and authenticates with the leased
// credential; one that was refused is asked for once more, fresh.
func (s *server) connect(ctx context.Context, l login) (*upstream, error) {
	for try := 0; ; try++ {
		cred, err := s.credential(ctx, try > 0)
		if err != nil {
			return nil, err
		}
		u, err := s.connectAs(ctx, cred, l)
		var se *serverError
		if try == 0 && errors.As(err, &se) && se.refusesCredential() {
			continue
		}
		return u, err
	}
}

func (s *server) connectAs(ctx context.Context, cred proxy.Credential, l login) (*upstream, error) {
	c, err := s.dial(ctx)
	if err != nil {
		return nil, err
	}
	if err := c.SetDeadline(time.Now().Add(s.timeout)); err != nil {
		c.Close()
		return nil, err
	}
	// The handshake ends with ctx; the connection that comes of it does not.
	stop := context.AfterFunc(ctx, func() { c.SetDeadline(time.Unix(1, 0)) })
	u := &upstream{conn: c}
	err = s.handshake(ctx, u, cred, l)
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	if err == nil {
		err = u.conn.SetDeadline(time.Time{})
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return u, nil
}

// handshake secures the connection as the resource's TLS mode asks, without falling back,
// and logs in.
func (s *server) handshake(ctx context.Context, u *upstream, cred proxy.Credential, l login) error {
	talk := &wire.Conversation{Conn: u.conn}
	b, err := talk.Read(maxGreeting)
	if err != nil {
		return s.lost(err)
	}
	if len(b) > 0 && b[0] == wire.ErrHeader { // such as "too many connections"
		return newServerError(b)
	}
	if u.greeting, err = wire.ParseGreeting(b); err != nil {
		return err
	}
	if s.known != nil {
		s.known.note(s.target.Resource.Name, seen{u.greeting.Version, u.greeting.Capabilities})
	}
	if missing := l.capabilities & bothKnow &^ u.greeting.Capabilities; missing != 0 {
		return fmt.Errorf("the server does not know %s, which the client was told; connect again", missing)
	}
	const needed = wire.Protocol41 | wire.SecureConnection | wire.PluginAuth | wire.PluginAuthLength | wire.LongFlag | wire.Transactions
	asked := l.capabilities&^(wire.TLS|wire.ConnectWithDB|wire.Compress|wire.Zstd|wire.Progress) | needed
	if l.database != "" {
		asked |= wire.ConnectWithDB
	}
	if len(l.attrs) > 0 {
		asked |= wire.ConnectAttrs
	} else {
		asked &^= wire.ConnectAttrs
	}
	if !s.settings.LocalInfile {
		asked &^= wire.LocalFiles
	}
	if !mariaDB(u.greeting.Version) {
		asked |= wire.LongPassword
	}
	u.agreed = asked & (u.greeting.Capabilities | wire.NoSchema | wire.IgnoreSIGPIPE)
	r := &wire.Response{
		Capabilities: u.agreed, MaxPacket: maxMax, Charset: l.charset, User: []byte(cred.Username), Database: []byte(l.database),
		Attrs: l.attrs,
	}
	if config := s.target.Resource.TLS.Config(s.target.Resource.Address); config != nil {
		if !u.greeting.Capabilities.Has(wire.TLS) {
			return fmt.Errorf("resource %s: the server does not offer TLS, which the resource requires", s.target.Resource.Name)
		}
		r.Capabilities |= wire.TLS
		if err := talk.Write(wire.AppendTLSRequest(nil, r)); err != nil {
			return s.lost(err)
		}
		tc := tls.Client(u.conn, config)
		if err := tc.HandshakeContext(ctx); err != nil {
			return fmt.Errorf("resource %s: TLS with the server: %w", s.target.Resource.Name, ofServer(err))
		}
		u.conn, talk.Conn, u.tls = tc, tc, true
	}
	a := &upstreamAuth{
		talk: talk, cred: cred, settings: s.settings, announced: u.greeting.Plugin, plugin: u.greeting.Plugin, nonce: u.greeting.Nonce[:],
		sealed: u.tls || isSocket(u.conn), local: isLocal(u.conn),
	}
	if r.Auth, err = a.first(); err != nil {
		return err
	}
	r.Plugin = []byte(a.plugin)
	if err := talk.Write(wire.AppendResponse(nil, r)); err != nil {
		return s.lost(err)
	}
	clear(r.Auth)
	if u.ok, err = a.finish(); err != nil {
		var se *serverError
		if errors.As(err, &se) || !ended(err) {
			return err
		}
		return s.lost(err)
	}
	ok, err := wire.ParseOK(u.ok, u.agreed)
	u.status = ok.Status
	return err
}

// lost says that the connection to the server broke.
func (s *server) lost(err error) error {
	return fmt.Errorf("connection to resource %s was lost: %w", s.target.Resource.Name, ofServer(err))
}

// ofServer tells the server's end of file from the client's, of which nobody
// needs to be told.
func ofServer(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errServerLeft
	}
	return err
}

func isSocket(c net.Conn) bool { _, ok := c.RemoteAddr().(*net.UnixAddr); return ok }

// isLocal reports whether traffic stays on this machine.
func isLocal(c net.Conn) bool {
	a, ok := c.RemoteAddr().(*net.TCPAddr)
	return isSocket(c) || ok && a.IP.IsLoopback()
}

// upstreamAuth proves the gateway's credential to the server.
type upstreamAuth struct {
	talk      *wire.Conversation
	cred      proxy.Credential
	settings  *Settings
	announced string // the plugin that the server has named first
	plugin    string
	nonce     []byte
	sealed    bool // nobody on the way can read what is sent
	local     bool
	switched  bool
	asked     bool // for the server's public key
	sent      bool // the password, in whatever form
}

// strength orders plugins: what a server can learn from the proof, the less the higher.
var strength = map[string]int{pluginEd25519: 3, pluginCaching: 3, pluginSHA256: 3, pluginNative: 2, pluginClear: 1}

var (
	errWeaker    = errors.New("the server asks for a weaker proof of the password than it has announced, which the resource does not allow")
	errCleartext = errors.New("the server asks for an unencrypted password, which the resource does not allow")
	errUnsafe    = errors.New("the server asks for a proof from which the password could be guessed or read on the way, which the resource does not allow without TLS")
)

// first is what goes with the response, by the plugin that the server has announced where
// that can be used, else by none.
func (a *upstreamAuth) first() ([]byte, error) {
	switch a.plugin {
	case pluginCaching, pluginNative:
		if a.safe() {
			return a.proof()
		}
	default: // it has a nonce of another length, or takes the password as it is
		a.plugin = pluginNative
	}
	return nil, nil // and the server asks for what it wants
}

// safe reports whether something from which the secret could be had may be
// sent.
func (a *upstreamAuth) safe() bool { return a.sealed || a.local || a.settings.Plaintext }

// proof is the proof by the plugin, where that may be given.
func (a *upstreamAuth) proof() ([]byte, error) {
	password := a.cred.Password.Reveal()
	switch a.plugin {
	case pluginNative:
		if strength[a.announced] > strength[pluginNative] && !a.settings.NativePassword {
			return nil, fmt.Errorf("%w: set native_password to allow %s", errWeaker, a.plugin)
		}
		if !a.safe() {
			return nil, errUnsafe
		}
		return nativeProof(a.nonce, password), nil
	case pluginCaching:
		if !a.safe() {
			return nil, errUnsafe
		}
		return cachingProof(a.nonce, password), nil
	case pluginEd25519:
		if !a.safe() {
			return nil, errUnsafe
		}
		return ed25519Proof(a.nonce, password)
	case pluginSHA256:
		if password == "" {
			return []byte{0}, nil
		}
		return a.plain()
	case pluginClear:
		if !a.settings.Cleartext || !a.sealed {
			return nil, errCleartext
		}
		a.sent = true
		return append([]byte(password), 0), nil
	}
	return nil, fmt.Errorf("the server asks for the authentication plugin %q, which the gateway does not support", a.plugin)
}

// plain is the password, as it is where nobody can read it, else for the server's key,
// which is asked for first.
func (a *upstreamAuth) plain() ([]byte, error) {
	if a.sealed {
		a.sent = true
		return append([]byte(a.cred.Password.Reveal()), 0), nil
	}
	if !a.safe() {
		return nil, errUnsafe
	}
	a.asked = true
	if a.plugin == pluginSHA256 {
		return []byte{1}, nil
	}
	return []byte{2}, nil
}

// finish answers the server until it has let us in, and returns how it said so.
func (a *upstreamAuth) finish() ([]byte, error) {
	for {
		b, err := a.talk.Read(maxGreeting)
		if err != nil {
			return nil, err
		}
		reply, in, err := a.step(b)
		switch {
		case err != nil:
			return nil, err
		case in:
			return b, nil
		case reply == nil:
			continue
		}
		if err := a.talk.Write(reply); err != nil {
			return nil, err
		}
	}
}

// step takes one packet of the server's and returns what answers it, nil when nothing
// does, and whether the server has let us in.
func (a *upstreamAuth) step(b []byte) (reply []byte, in bool, err error) {
	if len(b) == 0 {
		return nil, false, fmt.Errorf("%w: an empty packet in the place of an answer to the login", wire.ErrProtocol)
	}
	switch b[0] {
	case wire.OKHeader:
		return nil, true, nil
	case wire.ErrHeader:
		return nil, false, newServerError(b)
	case wire.EOFHeader:
		reply, err = a.change(b)
		return reply, false, err
	case wire.AuthMoreHeader:
		reply, err = a.more(b[1:])
		return reply, false, err
	}
	return nil, false, fmt.Errorf("%w: packet 0x%02x in the place of an answer to the login", wire.ErrProtocol, b[0])
}

// change takes another plugin, once.
func (a *upstreamAuth) change(b []byte) ([]byte, error) {
	s, err := wire.ParseSwitch(b)
	if err != nil {
		return nil, err
	}
	if a.switched {
		return nil, fmt.Errorf("%w: the server asks for another plugin twice", wire.ErrProtocol)
	}
	a.switched = true
	switch s.Plugin {
	case pluginNative, pluginCaching, pluginSHA256:
		if len(s.Data) != wire.NonceLen {
			return nil, fmt.Errorf("%w: a nonce of %d bytes, want %d", wire.ErrProtocol, len(s.Data), wire.NonceLen)
		}
	case pluginEd25519:
		if len(s.Data) != 32 {
			return nil, fmt.Errorf("%w: a nonce of %d bytes, want 32", wire.ErrProtocol, len(s.Data))
		}
	}
	a.plugin, a.nonce = s.Plugin, append([]byte(nil), s.Data...)
	proof, err := a.proof()
	if err == nil && proof == nil {
		proof = []byte{}
	}
	return proof, err
}

// more goes on with caching_sha2_password or sha256_password.
func (a *upstreamAuth) more(data []byte) ([]byte, error) {
	switch {
	case a.asked && !a.sent:
		a.sent = true
		return sealedPassword(a.nonce, a.cred.Password.Reveal(), data)
	case a.plugin == pluginCaching && len(data) == 1 && data[0] == cachingProven:
		return nil, nil
	case a.plugin == pluginCaching && len(data) == 1 && data[0] == cachingFull && !a.sent && !a.asked:
		return a.plain()
	}
	return nil, fmt.Errorf("%w: the server goes on with %s out of order", wire.ErrProtocol, a.plugin)
}
