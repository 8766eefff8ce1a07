package mysql

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/sallyport/sallyport/protocol/mysql/wire"
	"github.com/sallyport/sallyport/proxy"
)

// session is one client at one server, after both are authenticated.
type session struct {
	session  *proxy.Session
	handler  *Handler
	settings Settings
	conn     *proxy.Conn
	client   net.Conn // conn, or TLS over it
	upstream *upstream
	agreed   wire.Capabilities // with the client, and so with the server
	id       uint32            // of the connection, as the client was told
	user     string            // as the client has sent it
	login    proxy.Login
	nonce    []byte // that the client mixes into its proofs
	certs    bool   // something else than a password has proven the client

	turn     turn
	presence presence
	up       up
	down     down
}

// open authenticates the client, opens the session and connects to the server.
func (h *Handler) open(ctx context.Context, c *proxy.Conn, hi *hello) (s *session, err error) {
	id := hi.greeting.ID
	defer func() {
		if err != nil {
			h.shared.sessions.release(id)
		}
	}()
	name, err := h.resourceName(hi)
	if err != nil {
		return nil, err
	}
	who, err := h.authenticate(ctx, c, hi)
	if err != nil {
		return nil, err
	}
	r, err := c.Lookup(ctx, name)
	if err != nil {
		return nil, err
	}
	s = &session{
		handler: h, conn: c, client: hi.conn, id: id, user: hi.user, login: hi.login, nonce: hi.greeting.Nonce[:], certs: len(hi.certs) > 0 || hi.known,
	}
	switch set := r.Settings.(type) {
	case nil:
	case Settings:
		s.settings = set
	default:
		return nil, fmt.Errorf("resource %s has settings of type %T", r.Name, set)
	}
	l := login{
		capabilities: hi.response.Capabilities, charset: hi.response.Charset, database: string(hi.response.Database), attrs: hi.response.Attrs,
	}
	if l.database == "" {
		l.database = s.settings.Schema
	}
	params := map[string]string{}
	if l.database != "" {
		params["database"] = l.database
	}
	ctx, leave := context.WithCancelCause(ctx)
	defer leave(nil)
	gone := func() { leave(proxy.ErrClientLeft) }
	// A client that waits for its session cannot be told why.
	c.OnHold = func(p *proxy.Pending) {
		if c.SetDeadline(p.Deadline) != nil {
			gone()
		}
	}
	var joining presence
	joining.start(hi.conn, gone)
	joining.begin()
	defer joining.stop()
	var connect *proxy.Connect
	target := proxy.Target{Resource: r, Account: proxy.Account{Name: hi.login.Account}}
	if s.session, connect, err = c.Open(ctx, who, target, params); err != nil {
		return nil, err
	}
	s.upstream, err = s.server().connect(ctx, l)
	if err == nil {
		err = s.begin(ctx, l)
	}
	s.session.Done(connect, connected(err))
	if err != nil {
		return nil, err
	}
	h.shared.sessions.register(id, s)
	if err := s.welcome(c, hi); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// server is the session's.
func (s *session) server() *server {
	return &server{
		target: s.session.Target, settings: &s.settings, known: &s.handler.shared.known, timeout: s.handler.loginTimeout(),
		dial: s.session.Dial, credential: s.session.Credential,
	}
}

// connected is how what a session begins with has ended.
func connected(err error) *proxy.Outcome {
	if err == nil {
		return &proxy.Outcome{}
	}
	out := &proxy.Outcome{Err: publicError(err)}
	var se *serverError
	if errors.As(err, &se) {
		out.Code = fmt.Sprint(se.code)
	}
	return out
}

// begin makes the session ready to serve.
func (s *session) begin(ctx context.Context, l login) error {
	s.agreed = l.capabilities&^(wire.TLS|wire.ConnectWithDB) | s.upstream.agreed&wire.PluginAuth
	s.turn.init()
	u := &s.up
	u.session, u.reader = s, wire.NewReader(s.client)
	u.reading = proxy.Reading{
		Dialect: "mysql", Modes: true, Resource: s.session.Target.Resource.Name, Account: s.session.Target.Account.Name,
		Version: numberOf(s.upstream.greeting.Version), MariaDB: mariaDB(s.upstream.greeting.Version),
	}
	s.down = down{session: s, reader: wire.NewReader(s.upstream.conn)}
	s.down.status.Store(uint32(s.upstream.status))
	s.presence.start(s.client, func() { s.session.Kill(proxy.ErrClientLeft) })
	s.session.Handle(u.parked, u.rewrite)
	return u.state.ask(ctx, s)
}

// welcome passes on that the client is let in.
func (s *session) welcome(c *proxy.Conn, hi *hello) error {
	if err := c.Established(); err != nil {
		return err
	}
	ok, err := wire.ParseOK(s.upstream.ok, s.upstream.agreed)
	if err != nil {
		return err
	}
	ok.Status = uint16(s.down.status.Load())&^wire.StatusStateChanged | ok.Status&wire.StatusStateChanged
	return hi.talk.Write(wire.AppendOK(nil, &ok, s.agreed))
}

// wantsRows reports whether an interceptor wants to see rows. It changes only
// while up asks.
func (s *session) wantsRows() bool {
	flow, _ := s.session.Wants()
	return flow
}

// wantsTexts reports whether an interceptor wants to see errors and the like.
func (s *session) wantsTexts() bool {
	_, tell := s.session.Wants()
	return tell
}

// run serves the session until either side leaves or the session is ended.
func (s *session) run() error {
	ctx := s.session.Context()
	stopKill := context.AfterFunc(ctx, s.interrupt)
	defer stopKill()
	stopDrain := context.AfterFunc(s.session.Draining(), s.down.stir)
	defer stopDrain()
	ended := make(chan error, 1)
	s.session.Go("down", func() error {
		err := s.down.run()
		ended <- err
		s.turn.close()
		s.client.SetReadDeadline(time.Unix(1, 0))
		return nil
	})
	err := s.session.Protect("up", s.up.run)
	s.turn.close()
	s.down.finish()
	if downErr := <-ended; err == nil || s.down.ended.Load() {
		err = downErr
	}
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	if err == nil {
		s.session.Kill(proxy.ErrClientLeft)
	} else {
		s.session.Kill(err)
	}
	s.farewell(err)
	if errors.Is(err, proxy.ErrClientLeft) {
		return nil
	}
	return err
}

// interrupt makes both goroutines stop waiting, because the session has ended.
// A client that does not read gets little time, one that has left none.
func (s *session) interrupt() {
	past := time.Unix(1, 0)
	grace := 250 * time.Millisecond
	if errors.Is(s.session.Err(), proxy.ErrClientLeft) {
		grace = 0
	}
	s.turn.close()
	s.client.SetReadDeadline(past)
	s.client.SetWriteDeadline(time.Now().Add(grace))
	s.upstream.conn.SetDeadline(past)
}

// farewell tells the client why the session ended, if the protocol allows it
// at this point and the server has not.
func (s *session) farewell(err error) {
	if err == nil || errors.Is(err, proxy.ErrClientLeft) || !s.down.atBoundary() {
		return
	}
	if !s.down.fatal {
		e := fatal(err)
		if e.Message == nil {
			return
		}
		s.client.SetWriteDeadline(time.Now().Add(time.Second))
		b, _ := wire.AppendPacket(nil, s.down.nextSeq(), wire.AppendError(nil, &e))
		if _, err := s.client.Write(b); err != nil {
			return
		}
	}
	lingerClose(s.client)
}

// close ends what run has left open. The proxy's session is closed by the
// gateway, after this.
func (s *session) close() {
	s.presence.stop()
	s.handler.shared.sessions.unregister(s.id, s)
	s.turn.close()
	left := s.turn.owed.Load()
	owed := left != nil
	if owed {
		s.tellCatalog(left) // it may have run
	}
	if !owed && !s.down.ended.Load() {
		s.upstream.conn.SetWriteDeadline(time.Now().Add(time.Second))
		b, _ := wire.AppendPacket(nil, 0, []byte{byte(wire.Quit)})
		s.upstream.conn.Write(b)
	}
	s.upstream.conn.Close()
	// A server finds only when it writes that nobody is there any more; one that broke the
	// protocol is no longer reasoned with.
	if owed && !s.down.ended.Load() {
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		defer cancel()
		if err := s.killUpstream(ctx); err != nil {
			s.session.Gateway().Report(proxy.Event{
				Kind: proxy.EventConnFailed, Protocol: s.handler.Protocol(), Remote: s.session.Remote, Identity: s.session.Identity, Target: s.session.Target,
				Session: s.session, Err: fmt.Errorf("what the client had asked for goes on at the server: %w", publicError(err)),
			})
		}
	}
}

// killUpstream has the server end the session's connection, by another one.
func (s *session) killUpstream(ctx context.Context) error { return s.endUpstream(ctx, s.upstream) }

// endUpstream has the server end a connection, by another one.
func (s *session) endUpstream(ctx context.Context, which *upstream) error {
	cred, ok := s.session.Leased()
	if !ok {
		cred = proxy.Credential{Username: s.session.Target.Account.Username}
	}
	server := s.server()
	server.credential = func(context.Context, bool) (proxy.Credential, error) { return cred, nil }
	u, err := server.connect(ctx, login{charset: plainText})
	if err != nil {
		return err
	}
	defer u.conn.Close()
	if end, ok := ctx.Deadline(); ok {
		u.conn.SetDeadline(end)
	}
	_, err = u.query(fmt.Sprintf("KILL %d", which.greeting.ID), 0)
	return err
}
