package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/protocol/postgres/wire"
	"github.com/sallyport/sallyport/proxy"
)

// session is one client at one server, after both are authenticated.
type session struct {
	session  *proxy.Session
	handler  *Handler
	settings Settings
	client   *line
	upstream *upstream
	key      cancelKey
	pending  *pending
	presence presence

	named    proxy.Reading // of the session at its login, for the catalog; read-only
	epoch    epoch
	encoding encoding
	prepared prepared

	up   up
	down down

	// block is whether a transaction is open after what the server has answered: as it reports
	// that, or unsureBlock.
	block atomic.Uint32

	cancels    atomic.Uint32 // counts the client's cancel requests that went to the server
	cancelling atomic.Bool   // a cancel request to the server is under way
	leaving    atomic.Bool   // the client sends no more: that the server leaves then is not a failure
	departed   atomic.Bool   // it sends no more, and the server owes nothing: down ends the session
	// unheard is the time until which down reads what the server has said before it
	// took no more; 0 while it takes more. In nanoseconds since 1970.
	unheard atomic.Int64
	// backslashes says that the server has reported standard_conforming_strings
	// off. What was sent before the report is judged in both ways by the analyzer.
	backslashes atomic.Bool

	mu      sync.Mutex
	notices []byte // for the client, from other goroutines than down

	modeMu  sync.Mutex // of modes, where other goroutines than run's look
	modes   modes
	resting atomic.Bool // up is to stop, so that the session can be polled
	rested  atomic.Bool // it has
}

// unsureBlock says that the server has to report next whether a transaction is open.
const unsureBlock = 0

// open authenticates the client, opens the session and connects to the server.
func (h *Handler) open(ctx context.Context, c *proxy.Conn, hi *hello) (*session, error) {
	name, err := h.resourceName(hi)
	if err != nil {
		return nil, err
	}
	id, err := h.authenticate(ctx, c, hi, name)
	if err != nil {
		return nil, err
	}
	r, err := c.Lookup(ctx, name)
	if err != nil {
		return nil, err
	}
	s := &session{handler: h, pending: newPending()}
	s.client = newLine(hi.conn)
	switch set := r.Settings.(type) {
	case nil:
	case Settings:
		s.settings = set
	default:
		return nil, fmt.Errorf("resource %s has settings of type %T", r.Name, set)
	}
	// What the resource's settings refuse is told to those who may use it.
	params, unset := hi.allowedParams(&s.settings)
	if hi.replication != "" && !s.settings.Replication {
		unset = &parameterError{"replication", "replication: true"}
	}
	database := hi.database
	if database == "" && r.Database == "" && !isPhysical(hi.replication) {
		database = hi.login.User // as the server would fill it in
	}
	target := proxy.Target{Resource: r, Account: proxy.Account{Name: hi.login.Account}, Database: database}
	asked := make(map[string]string, len(params)+1)
	for _, p := range params {
		asked[p.Name] = p.Value
	}
	if hi.replication != "" {
		asked["replication"] = hi.replication
	}
	ctx, leave := context.WithCancelCause(ctx)
	defer leave(nil)
	left := func() { leave(proxy.ErrClientLeft) }
	c.OnHold = func(h *proxy.Pending) { s.parkedConnect(c, h, left) }
	var joining presence
	joining.start(s.client.lookEarly, func() {}, left)
	joining.begin()
	defer joining.stop()
	var connect *proxy.Connect
	if s.session, connect, err = c.Open(ctx, id, target, asked); err != nil {
		return nil, err
	}
	var path proxy.Op
	if err = unset; err == nil {
		path, err = s.askPath(ctx, params)
	}
	if err == nil {
		s.upstream, err = s.server().connect(ctx, params, hi.replication)
	}
	for _, op := range []proxy.Op{connect, path} {
		if op != nil {
			s.session.Done(op, connected(err))
		}
	}
	if err != nil {
		return nil, err
	}
	h.cancels.register(s, hi.version)
	s.prepare(hi, params)
	if err := s.welcome(c); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// connected is how what a session begins with has ended.
func connected(err error) *proxy.Outcome {
	if err == nil {
		return &proxy.Outcome{}
	}
	out := &proxy.Outcome{Err: publicError(err)}
	var se *serverError
	if errors.As(err, &se) {
		out.Code = se.code
	}
	return out
}

func isPhysical(replication string) bool { return replication != "" && replication != "database" }

func (s *session) prepare(hi *hello, params []wire.Parameter) {
	s.named = proxy.Reading{
		Dialect: "postgres", Resource: s.session.Target.Resource.Name, Database: s.session.Target.Database,
		Account: s.session.Target.Account.Name, Version: serverVersion(s.upstream.status["server_version"]),
	}
	var names proxy.Names
	for _, p := range params {
		name := strings.ToLower(p.Name)
		switch {
		case name == searchPath:
			followPath(&names, p.Value)
		case defaultStartupParameters[name]:
		default:
			names.Unsure |= proxy.UnsureLogin | proxy.UnsurePath // it may be the search_path by another name
		}
	}
	s.epoch.begin(names)
	u := &s.up
	u.session, u.conn, u.reader = s, s.upstream.conn, wire.NewReader(s.client)
	u.replication, u.reading = hi.replication != "", s.named
	s.down = down{session: s, conn: s.client, reader: s.upstream.reader, status: s.upstream.ready}
	for name, value := range s.upstream.status {
		s.reported(name, value)
	}
	s.block.Store(uint32(s.upstream.ready))
	s.presence.start(s.client.look, s.nudge, func() { s.session.Kill(proxy.ErrClientLeft) })
	s.session.Handle(s.up.parked, s.up.rewrite)
}

// wantsRows reports whether an interceptor wants to see rows. It changes only
// while up asks.
func (s *session) wantsRows() bool {
	flow, _ := s.session.Wants()
	return flow
}

// wantsTexts reports whether an interceptor wants to see errors and notices.
func (s *session) wantsTexts() bool {
	_, tell := s.session.Wants()
	return tell
}

// reported notes a setting that the server has reported. It is called by down,
// and before it runs.
func (s *session) reported(name, value string) {
	switch name {
	case "standard_conforming_strings":
		s.backslashes.Store(value == "off")
	case "client_encoding":
		s.down.copied.encoding = value
		s.encoding.foreign.Store(!readsUTF8(value))
	}
}

// serverVersion turns "15.18 (Debian …)" into 150018.
func serverVersion(s string) int {
	var major, minor int
	if n, _ := fmt.Sscanf(s, "%d.%d", &major, &minor); n == 0 {
		return 0
	}
	return major*10000 + minor
}

// welcome passes the server's greeting on, with a secret of our own to cancel by.
func (s *session) welcome(c *proxy.Conn) error {
	if err := c.Established(); err != nil {
		return err
	}
	b := s.upstream.greet
	s.upstream.greet = nil
	b = wire.AppendKey(b, s.key.pid, s.key.secret)
	b = wire.AppendMessage(b, wire.ReadyForQuery, []byte{s.upstream.ready})
	_, err := s.client.Write(b)
	return err
}

// run serves the session until either side leaves or the session is ended.
func (s *session) run() error {
	ctx := s.session.Context()
	stopKill := context.AfterFunc(ctx, s.interrupt)
	defer stopKill()
	stopDrain := context.AfterFunc(s.session.Draining(), s.stir)
	defer stopDrain()
	var err error
	for again := true; again; {
		s.poll()
		again, err = s.concurrently()
	}
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	s.session.Kill(orEnd(err))
	s.farewell(err)
	if errors.Is(err, proxy.ErrClientLeft) {
		return nil
	}
	return err
}

func orEnd(err error) error {
	if err == nil {
		return proxy.ErrClientLeft
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
	s.pending.close()
	s.modeMu.Lock()
	defer s.modeMu.Unlock()
	if s.modes.pair != nil {
		s.modes.pair.Leave() // and poll calls this again
		return
	}
	s.client.SetReadDeadline(past)
	s.client.SetWriteDeadline(time.Now().Add(grace))
	s.upstream.conn.SetDeadline(past)
}

// farewell tells the client why the session ended, if the protocol allows it
// at this point and the server has not.
func (s *session) farewell(err error) {
	if err == nil || errors.Is(err, proxy.ErrClientLeft) || s.leaving.Load() || !s.down.atBoundary() {
		return
	}
	if s.down.fatal {
		lingerClose(s.client)
		return
	}
	n := lastNotice(err)
	if n.Message == "" {
		return
	}
	s.client.SetWriteDeadline(time.Now().Add(time.Second))
	if _, err := s.client.Write(appendNotice(nil, n)); err == nil {
		lingerClose(s.client)
	}
}

// close ends what run has left open. The proxy's session is closed by the
// gateway, after this.
func (s *session) close() {
	s.presence.stop()
	s.handler.cancels.unregister(s)
	s.pending.close()
	if s.down.owed() == nil && !s.leaving.Load() { // else the client's own has gone there
		s.upstream.conn.SetWriteDeadline(time.Now().Add(time.Second))
		s.upstream.conn.Write(wire.AppendMessage(nil, wire.Terminate))
	}
	// A server that broke the protocol is no longer reasoned with.
	if !s.down.atRest() && !s.down.left && !errors.Is(s.down.err, wire.ErrProtocol) {
		s.abandon()
	}
	s.upstream.conn.Close()
	s.client.SetReadDeadline(time.Unix(1, 0))
	s.client.closeOwned()
}

// abandon cancels what the server still does for a client that is gone. A cancel
// that comes before the server has begun is lost, so it is sent again until the
// server has left, which it does when it finds that it is sent no more.
func (s *session) abandon() {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	s.upstream.conn.endWrites()
	var sink [4 << 10]byte
	for ctx.Err() == nil {
		s.cancelUpstream(ctx)
		s.upstream.conn.SetReadDeadline(time.Now().Add(250 * time.Millisecond))
		for {
			if _, err := s.upstream.conn.Read(sink[:]); timedOut(err) {
				break
			} else if err != nil {
				return
			}
		}
	}
}

// depart ends the session of a client that sends no more, after it has its answers.
// Where the server owes any, it is told the same as the gateway, and leaves after
// the last of them. Where it owes none, down may still be passing the last one on,
// and ends after that.
func (s *session) depart() {
	if s.session.Err() != nil {
		return // it was ended, and down says why
	}
	s.presence.begin()
	s.pending.mu.Lock()
	owed := s.pending.n > 0
	s.pending.mu.Unlock()
	if owed && (s.leaving.Swap(true) || s.upstream.conn.CloseWrite() == nil) {
		return
	}
	s.departed.Store(true)
	s.stir()
}

// nudge writes to the client what it knows already.
func (s *session) nudge() {
	if s.hasNotices() {
		return
	}
	const name = "server_version"
	b := wire.AppendStatus(nil, name, s.upstream.status[name])
	if s.upstream.status[name] == "" {
		b = wire.AppendNotice(nil, wire.Notice{Severity: "DEBUG", Code: "00000", Message: "the gateway asks whether the client is still there"})
	}
	s.tell(b)
}

// tell has down send b, whole messages, to the client.
func (s *session) tell(b []byte) {
	s.mu.Lock()
	s.notices = append(s.notices, b...)
	s.mu.Unlock()
	s.stir()
}

func (s *session) hasNotices() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.notices) > 0
}

func (s *session) takeNotices() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.notices
	s.notices = nil
	return b
}

// settle tells the names what the server did with the message of e.
func (s *session) settle(e *entry, ok bool) {
	p := s.pending
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case e.stmt != nil && (e.expect == expectParse || e.expect == expectClose):
		p.statements.settled(e.stmt.name, e.stmt.meaning(), ok)
	case e.portal != nil && (e.expect == expectBind || e.expect == expectClose):
		p.portals.settled(e.portal.name, e.portal.meaning(), ok)
	default:
		return
	}
	if p.waiting > 0 {
		p.moved.Broadcast()
	}
}

// ended says whether err is only the end of a connection.
func ended(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, io.ErrUnexpectedEOF)
}

func timedOut(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }

// containsFold reports whether text holds word, which is lower case, in any
// case.
func containsFold(text, word []byte) bool {
	first := word[0]
	for {
		i := bytes.IndexAny(text, string([]byte{first, first - 0x20}))
		if i < 0 || len(text)-i < len(word) {
			return false
		}
		if bytes.EqualFold(text[i:i+len(word)], word) {
			return true
		}
		text = text[i+1:]
	}
}
