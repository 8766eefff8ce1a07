package postgres

import (
	"context"
	"crypto/md5"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/scram"
	"github.com/sallyport/sallyport/protocol/postgres/wire"
	"github.com/sallyport/sallyport/proxy"
)

// upstream is the connection to the server.
type upstream struct {
	conn   *line
	reader *wire.Reader
	tls    *tls.ConnectionState // nil without TLS
	pid    uint32               // of the server's process
	key    []byte               // what the server cancels by
	status map[string]string    // settings the server has reported
	greet  []byte               // ParameterStatus and NoticeResponse messages, for the client
	ready  byte                 // the first ReadyForQuery's status
}

// maxGreeting bounds what a server may send before it is ready.
const maxGreeting = 1 << 20

// server is a resource's server, and how connections to it are made.
type server struct {
	target   proxy.Target
	settings *Settings
	timeout  time.Duration // of a login, from the first byte until it is ready
	dial     func(context.Context) (net.Conn, error)
	// credential leases what to log in with; fresh, after it was refused.
	credential func(ctx context.Context, fresh bool) (proxy.Credential, error)
	keys       *scram.Keys // nil: they are derived at each login
}

// server is the session's.
func (s *session) server() *server {
	return &server{
		target: s.session.Target, settings: &s.settings, timeout: s.handler.loginTimeout(),
		dial: s.session.Dial, credential: s.session.Credential, keys: &s.handler.keys,
	}
}

// secure connects to the server and secures the connection, as the resource's
// TLS mode asks. There is no falling back.
func (s *server) secure(ctx context.Context) (net.Conn, error) {
	c, err := s.dial(ctx)
	if err != nil {
		return nil, err
	}
	if err := c.SetDeadline(time.Now().Add(s.timeout)); err != nil {
		c.Close()
		return nil, err
	}
	r := s.target.Resource
	config := r.TLS.Config(r.Address)
	if config == nil {
		return c, nil
	}
	stop := context.AfterFunc(ctx, func() { c.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	tc, err := secureUpstream(ctx, c, config)
	if err != nil {
		c.Close()
		return nil, fmt.Errorf("resource %s: %w", r.Name, ofServer(err))
	}
	return tc, nil
}

func secureUpstream(ctx context.Context, c net.Conn, config *tls.Config) (net.Conn, error) {
	if _, err := c.Write(wire.AppendSSLRequest(nil)); err != nil {
		return nil, err
	}
	// One byte and no more: what follows must be the handshake's.
	var answer [1]byte
	if _, err := c.Read(answer[:]); err != nil {
		return nil, err
	}
	if answer[0] != 'S' {
		return nil, errors.New("the server does not offer TLS, which the resource requires")
	}
	tc := tls.Client(c, config)
	if err := tc.HandshakeContext(ctx); err != nil {
		return nil, fmt.Errorf("TLS with the server: %w", err)
	}
	return tc, nil
}

// serverError is an error that the server answered with while the session was
// being set up.
type serverError struct {
	code, message, hint string
}

func (e *serverError) Error() string { return "the server refuses the connection: " + e.message }

// refusesCredential reports whether the server did not accept who we are.
func (e *serverError) refusesCredential() bool { return strings.HasPrefix(e.code, "28") }

// connect opens a connection to the server and authenticates with the leased
// credential; one that was refused is asked for once more, fresh.
func (s *server) connect(ctx context.Context, params []wire.Parameter, replication string) (*upstream, error) {
	for try := 0; ; try++ {
		cred, err := s.credential(ctx, try > 0)
		if err != nil {
			return nil, err
		}
		u, err := s.connectAs(ctx, cred, params, replication)
		var se *serverError
		if try == 0 && errors.As(err, &se) && se.refusesCredential() {
			continue
		}
		return u, err
	}
}

func (s *server) connectAs(ctx context.Context, cred proxy.Credential, params []wire.Parameter, replication string) (*upstream, error) {
	c, err := s.secure(ctx)
	if err != nil {
		return nil, err
	}
	// The handshake ends with ctx; the connection that comes of it does not.
	stop := context.AfterFunc(ctx, func() { c.SetDeadline(time.Unix(1, 0)) })
	u := &upstream{conn: newLine(c), status: make(map[string]string)}
	u.reader = wire.NewReader(u.conn)
	if tc, ok := c.(*tls.Conn); ok {
		state := tc.ConnectionState()
		u.tls = &state
	}
	err = s.handshake(u, cred, params, replication)
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	if err == nil {
		err = c.SetDeadline(time.Time{})
	}
	if err != nil {
		u.reader.Close()
		c.Close()
		return nil, err
	}
	return u, nil
}

func (s *server) handshake(u *upstream, cred proxy.Credential, params []wire.Parameter, replication string) error {
	start := []wire.Parameter{{Name: "user", Value: cred.Username}}
	if s.target.Database != "" {
		start = append(start, wire.Parameter{Name: "database", Value: s.target.Database})
	}
	if replication != "" {
		start = append(start, wire.Parameter{Name: "replication", Value: replication})
	}
	if s.settings.ReadOnly {
		start = append(start, wire.Parameter{Name: "default_transaction_read_only", Value: "on"})
	}
	start = append(start, params...)
	for _, p := range start {
		if strings.IndexByte(p.Name, 0) >= 0 || strings.IndexByte(p.Value, 0) >= 0 {
			return fmt.Errorf("startup parameter %q holds a NUL", p.Name)
		}
	}
	if _, err := u.conn.Write(wire.AppendStartup(nil, wire.Version30, start)); err != nil {
		return s.lost(err)
	}
	auth := &upstreamAuth{u: u, cred: cred, settings: s.settings, keys: s.keys, local: isLocal(u.conn.RemoteAddr())}
	for {
		typ, body, err := u.reader.ReadMessage(maxGreeting)
		if err != nil {
			return s.lost(err)
		}
		switch typ {
		case wire.Authentication:
			if err := auth.answer(body); err != nil {
				return err
			}
			continue
		case wire.ErrorResponse:
			return &serverError{
				code:    string(wire.ErrorField(body, 'C')),
				message: string(wire.ErrorField(body, 'M')),
				hint:    string(wire.ErrorField(body, 'H')),
			}
		case wire.NoticeResponse:
			if !auth.done {
				continue // nobody to tell yet
			}
			u.greet = wire.AppendMessage(u.greet, typ, body)
		case wire.NegotiateVersion:
			return fmt.Errorf("%w: server does not speak version 3.0", wire.ErrProtocol)
		default:
			if !auth.done {
				return fmt.Errorf("%w: server sent %s before it authenticated us", wire.ErrProtocol, wire.TypeName(typ))
			}
		}
		switch typ {
		case wire.ParameterStatus:
			name, value, err := wire.ParseStatus(body)
			if err != nil {
				return err
			}
			u.status[string(name)] = string(value)
			u.greet = wire.AppendMessage(u.greet, typ, body)
		case wire.BackendKeyData:
			pid, key, err := wire.ParseKey(body)
			if err != nil {
				return err
			}
			u.pid, u.key = pid, append([]byte(nil), key...)
		case wire.ReadyForQuery:
			if u.ready, err = wire.ParseReady(body); err != nil {
				return err
			}
			return nil
		case wire.NoticeResponse:
		default:
			return fmt.Errorf("%w: server sent %s before it was ready", wire.ErrProtocol, wire.TypeName(typ))
		}
		if len(u.greet) > maxGreeting {
			return fmt.Errorf("%w: server's greeting", wire.ErrTooLarge)
		}
	}
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

// isLocal reports whether traffic to a stays on this machine.
func isLocal(a net.Addr) bool {
	switch a := a.(type) {
	case *net.UnixAddr:
		return true
	case *net.TCPAddr:
		return a.IP.IsLoopback()
	}
	return false
}

// upstreamAuth proves the gateway's credential to the server.
type upstreamAuth struct {
	u        *upstream
	cred     proxy.Credential
	settings *Settings
	keys     *scram.Keys
	local    bool
	scram    scramClient
	done     bool
}

var errCleartext = errors.New("the server asks for an unencrypted password, which the resource does not allow")

// safe reports whether something from which the secret could be had may be
// sent.
func (a *upstreamAuth) safe() bool { return a.u.tls != nil || a.local || a.settings.Plaintext }

func (a *upstreamAuth) answer(body []byte) error {
	code, data, err := wire.ParseAuth(body)
	if err != nil {
		return err
	}
	if a.done {
		return fmt.Errorf("%w: server authenticates again", wire.ErrProtocol)
	}
	switch code {
	case wire.AuthOK:
		if a.scram.started && !a.scram.verified {
			return errors.New("the server skipped the proof that it knows the password")
		}
		a.done = true
		return nil
	case wire.AuthCleartext:
		if !a.settings.Cleartext || !a.safe() {
			return errCleartext
		}
		return a.password(a.cred.Password.Reveal())
	case wire.AuthMD5:
		if !a.settings.MD5 || !a.safe() {
			return errors.New("the server asks for an MD5 password, which the resource does not allow")
		}
		if len(data) != 4 {
			return fmt.Errorf("%w: MD5 salt", wire.ErrProtocol)
		}
		inner := md5.Sum([]byte(a.cred.Password.Reveal() + a.cred.Username))
		outer := md5.Sum(append([]byte(hex.EncodeToString(inner[:])), data...))
		return a.password("md5" + hex.EncodeToString(outer[:]))
	case wire.AuthSASL, wire.AuthSASLContinue, wire.AuthSASLFinal:
		reply, err := a.scram.step(a, code, data)
		if err != nil || reply == nil {
			return err
		}
		_, err = a.u.conn.Write(wire.AppendMessage(nil, wire.Password, reply))
		return err
	}
	return fmt.Errorf("the server asks for authentication method %d, which the gateway does not support", code)
}

func (a *upstreamAuth) password(p string) error {
	_, err := a.u.conn.Write(wire.AppendMessage(nil, wire.Password, []byte(p), []byte{0}))
	return err
}
