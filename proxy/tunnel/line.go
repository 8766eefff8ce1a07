package tunnel

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// writeTimeout bounds one frame on a control line.
const writeTimeout = 10 * time.Second

// maxLines is how many control lines one agent may have: one that takes dials, and those before it,
// which end when their dials have.
const maxLines = 4

// line is a control line, as the server has it.
type line struct {
	server *Server
	conn   *tls.Conn
	nc     net.Conn
	agent  *agent
	cert   *x509.Certificate
	print  fingerprint
	hello  hello
	since  time.Time

	leaving atomic.Bool // it takes no dials

	// Under server.mu:
	heard time.Time
	echo  chan struct{} // is closed when the agent is heard of; nil: nobody waits for that
	dials int           // that wait for an answer

	writing sync.Mutex
	gone    chan struct{} // is closed when the line has ended
	once    sync.Once
	cause   error
}

// write sends one frame. An error ends the line.
func (l *line) write(k kind, m any) error {
	l.writing.Lock()
	defer l.writing.Unlock()
	return l.send(k, m)
}

// send is write for who holds l.writing.
func (l *line) send(k kind, m any) error {
	b, err := encode(k, m)
	if err != nil {
		return err
	}
	if err = l.conn.SetWriteDeadline(time.Now().Add(writeTimeout)); err == nil {
		_, err = l.conn.Write(b)
	}
	if err != nil {
		l.fail(err)
	}
	return err
}

// encode returns a frame that holds m, or nothing.
func encode(k kind, m any) ([]byte, error) {
	if m == nil {
		return frame(k, nil)
	}
	body, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	return frame(k, body)
}

// fail ends the line without a word.
func (l *line) fail(cause error) {
	l.once.Do(func() {
		l.cause = cause
		close(l.gone)
		l.nc.Close()
	})
}

// end tells the agent why the line ends.
func (l *line) end(w why, cause error) {
	if !l.server.spawn(func() {
		_ = l.write(kindBye, w) // an error ends it, too
		l.fail(cause)
	}) {
		l.fail(cause)
	}
}

// refuse tells an agent that has no line yet why it gets none.
func (s *Server) refuse(tc *tls.Conn, name string, w why, cause error) {
	s.log().Warn("an agent was refused", "agent", name, "remote", tc.RemoteAddr(), "err", cause)
	s.tell(Event{Kind: EventRefused, Agent: name, Remote: tc.RemoteAddr(), Err: cause})
	if b, err := encode(kindBye, w); err == nil {
		_, _ = tc.Write(b) // its deadline is that of the handshake
		tc.Close()
	}
}

// serveControl serves a control line until it ends.
func (s *Server) serveControl(ctx context.Context, tc *tls.Conn, adm *admission) {
	cert := tc.ConnectionState().PeerCertificates[0]
	k, body, err := readFrame(tc, maxBody)
	if err != nil || k != kindHello {
		return
	}
	asked, cancel := context.WithTimeout(ctx, or(s.HandshakeTimeout, 10*time.Second))
	defer cancel()
	name, err := s.Registry.Known(asked, cert)
	if err != nil {
		s.refuse(tc, cert.Subject.CommonName, codeOf(err), err)
		return
	}
	h, err := decode[hello](body)
	if err != nil {
		s.refuse(tc, name, why{Code: CodeInvalid, Text: err.Error()}, err)
		return
	}
	if h.Oldest > version || h.Version < oldestVersion {
		err := fmt.Errorf("the agent speaks versions %d to %d of the protocol, the gateway %d to %d: update the older one", h.Oldest, h.Version, oldestVersion, version)
		s.refuse(tc, name, why{Code: CodeVersion, Text: err.Error()}, err)
		return
	}
	adm.leave()
	l := &line{
		server: s, conn: tc, nc: tc.NetConn(), cert: cert, print: fingerprintOf(cert.Raw), hello: h, since: time.Now(), gone: make(chan struct{}),
	}
	if err := tc.SetDeadline(time.Now().Add(s.silence())); err != nil {
		return
	}
	if err := s.welcome(l, name); err != nil {
		s.refuse(tc, name, why{Code: CodeInUse, Text: err.Error()}, err)
		return
	}
	s.log().Info("an agent is connected", "agent", name, "remote", tc.RemoteAddr(), "program", clean(h.Program), "host", clean(h.Host))
	s.tell(Event{Kind: EventConnected, Agent: name, Remote: tc.RemoteAddr()})
	// It may have been revoked while nobody saw the line.
	if _, err = s.Registry.Known(asked, cert); errors.Is(err, ErrRevoked) {
		s.cut(l.print, err)
	}
	l.fail(l.read(ctx))
	s.drop(l)
	s.log().Info("an agent's control line has ended", "agent", name, "remote", tc.RemoteAddr(), "err", l.cause)
	s.tell(Event{Kind: EventLost, Agent: name, Remote: tc.RemoteAddr(), Err: l.cause})
}

// welcome makes l the line of its agent, and tells the agent so before it is sent a dial.
func (s *Server) welcome(l *line, name string) error {
	l.writing.Lock()
	defer l.writing.Unlock()
	for {
		before, err := s.yield(l, name)
		if err != nil {
			return err
		}
		if s.take(l, before) {
			break
		}
	}
	w := welcome{Version: version, Oldest: oldestVersion, Program: s.Program, Gateway: s.id, Address: s.Address, Beat: inMillis(s.beat())}
	if s.Gateways != nil {
		w.Gateways = s.Gateways()
	}
	_ = l.send(kindWelcome, w) // an error ends the line, which is then read
	return nil
}

// ErrInUse says that two programs are connected by the certificate of one agent, or by its name.
var ErrInUse = errors.New("another program is connected as this agent")

// yield makes room for a line of an agent, and returns the line before. The same process has its lines
// replace each other. Another one takes the place of one that does not answer any more, or leaves.
func (s *Server) yield(l *line, name string) (before *line, err error) {
	s.mu.Lock()
	a := s.agents[name]
	if a == nil {
		a = &agent{name: name, lines: make(map[*line]struct{}), conns: make(map[*conn]struct{}), come: make(chan struct{})}
		s.agents[name] = a
	}
	l.agent = a
	before = a.line
	if !l.rivals(before) {
		s.mu.Unlock()
		return before, nil
	}
	if before.echo == nil {
		before.echo = make(chan struct{})
	}
	echo := before.echo
	s.mu.Unlock()
	t := time.NewTimer(or(s.ProbeTimeout, 5*time.Second))
	defer t.Stop()
	s.spawn(func() { _ = before.write(kindProbe, nil) }) // an error ends the line
	select {
	case <-before.gone:
		return before, nil
	case <-t.C:
		before.fail(errors.New("the agent has not answered while another connection of its name came"))
		return before, nil
	case <-echo:
		return nil, fmt.Errorf("%w: %s, since %s. Stop that one, or enrol this one by a name of its own", ErrInUse,
			before.conn.RemoteAddr(), before.since.UTC().Format(time.RFC3339))
	}
}

// rivals reports whether another line is that of another program, which is there.
func (l *line) rivals(o *line) bool {
	return o != nil && o.hello.Instance != l.hello.Instance && !o.leaving.Load()
}

// take makes l the line of its agent, unless another one than before is it by now.
func (s *Server) take(l, before *line) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := l.agent
	if a.line != before && l.rivals(a.line) {
		return false
	}
	if len(a.lines) >= maxLines {
		oldest := slices.MinFunc(slices.Collect(maps.Keys(a.lines)), func(a, b *line) int { return a.since.Compare(b.since) })
		oldest.fail(errors.New("the agent has opened more control lines than it may have"))
	}
	a.lines[l] = struct{}{}
	s.certs[l.print] = a
	l.heard = time.Now()
	a.line = l
	close(a.come)
	a.come = make(chan struct{})
	if s.leaving && s.conns != nil {
		s.running.Go(func() { _ = l.write(kindLeaving, nil) }) // an error ends the line
	}
	return true
}

// drop forgets a line that has ended.
func (s *Server) drop(l *line) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := l.agent
	delete(a.lines, l)
	if !slices.ContainsFunc(slices.Collect(maps.Keys(a.lines)), func(o *line) bool { return o.print == l.print }) {
		delete(s.certs, l.print)
	}
	a.without(l)
}

// without has another line than l take dials, if there is one. server.mu is held.
func (a *agent) without(l *line) {
	if a.line != l {
		return
	}
	a.line, a.lost = nil, time.Now()
	for o := range a.lines {
		if o != l && !o.leaving.Load() && (a.line == nil || o.since.After(a.line.since)) {
			a.line = o
		}
	}
}

var errExpired = errors.New("the certificate of the agent has expired: enrol it again by a new token")

// read reads what the agent sends until the line ends.
func (l *line) read(ctx context.Context) error {
	for {
		if l.server.now().After(l.cert.NotAfter) { // it was not renewed in time
			l.end(why{Code: CodeRevoked, Text: errExpired.Error()}, errExpired)
			<-l.gone
			return errExpired
		}
		if err := l.conn.SetReadDeadline(time.Now().Add(l.server.silence())); err != nil {
			return err
		}
		k, body, err := readFrame(l.conn, maxBody)
		if err != nil {
			return err
		}
		l.hear()
		switch k {
		case kindPing:
			err = l.write(kindPong, nil)
		case kindRefused:
			var w why
			if w, err = decode[why](body); err == nil {
				l.server.refused(l, w)
			}
		case kindRenew:
			err = l.renew(ctx, body)
		case kindLeaving:
			l.leave()
		default: // of a later version
		}
		if err != nil {
			return err
		}
	}
}

// hear notes that the agent is there.
func (l *line) hear() {
	l.server.mu.Lock()
	defer l.server.mu.Unlock()
	l.heard = time.Now()
	if l.echo != nil {
		close(l.echo)
		l.echo = nil
	}
}

// leave has the line take no more dials.
func (l *line) leave() {
	l.leaving.Store(true)
	s := l.server
	s.mu.Lock()
	defer s.mu.Unlock()
	l.agent.without(l)
}

// renew certifies another key of the agent.
func (l *line) renew(ctx context.Context, body []byte) error {
	m, err := decode[renew](body)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	out, err := l.server.certify(m.Request, func(r *x509.CertificateRequest) (Issued, error) {
		return l.server.Registry.Renew(ctx, l.cert, r)
	})
	if err == nil {
		l.server.tell(Event{Kind: EventRenewed, Agent: l.agent.name, Remote: l.conn.RemoteAddr()})
	} else {
		l.server.log().Warn("the certificate of an agent was not renewed", "agent", l.agent.name, "remote", l.conn.RemoteAddr(), "err", err)
	}
	return l.write(kindIssued, out)
}

// certify checks a request and has the key certified. What is returned is sent in any case.
func (s *Server) certify(der []byte, sign func(*x509.CertificateRequest) (Issued, error)) (issued, error) {
	r, err := x509.ParseCertificateRequest(der)
	if err == nil {
		err = r.CheckSignature()
	}
	if err != nil {
		return issued{Code: CodeInvalid, Text: "the request for a certificate cannot be read"}, err
	}
	is, err := sign(r)
	if err != nil {
		w := codeOf(err)
		return issued{Code: w.Code, Text: w.Text}, err
	}
	out := issued{Agent: is.Agent, Chain: is.Chain, Roots: is.Roots}
	if s.Gateways != nil {
		out.Gateways = s.Gateways()
	}
	return out, nil
}

// serveEnrol gives an agent its first certificate.
func (s *Server) serveEnrol(ctx context.Context, tc *tls.Conn) {
	k, body, err := readFrame(tc, maxBody)
	if err != nil || k != kindEnrol {
		return
	}
	out := issued{Code: CodeInvalid, Text: "the request to enrol cannot be read"}
	m, err := decode[enrol](body)
	if err == nil {
		ctx, cancel := context.WithTimeout(ctx, or(s.HandshakeTimeout, 10*time.Second))
		defer cancel()
		out, err = s.certify(m.Request, func(r *x509.CertificateRequest) (Issued, error) {
			return s.Registry.Enrol(ctx, m.ID, m.Secret, r, tc.RemoteAddr())
		})
	}
	if err != nil {
		s.log().Warn("an agent was not enrolled", "remote", tc.RemoteAddr(), "err", err)
		s.tell(Event{Kind: EventRefused, Remote: tc.RemoteAddr(), Err: err})
	} else {
		s.log().Info("an agent was enrolled", "agent", out.Agent, "remote", tc.RemoteAddr())
		s.tell(Event{Kind: EventEnrolled, Agent: out.Agent, Remote: tc.RemoteAddr()})
	}
	if b, err := encode(kindIssued, out); err == nil {
		_, _ = tc.Write(b) // an agent that does not get it needs another token
		tc.Close()
	}
}

// Announce tells every connected agent the addresses of all gateways.
func (s *Server) Announce() {
	if s.Gateways == nil {
		return
	}
	s.start()
	s.mu.Lock()
	lines := s.allLines()
	s.mu.Unlock()
	for _, l := range lines {
		s.spawn(l.announce)
	}
}

// announce tells the agent the addresses that are known now: of several announcements that are made at once, the last
// that is sent has the newest.
func (l *line) announce() {
	l.writing.Lock()
	defer l.writing.Unlock()
	_ = l.send(kindGateways, gateways{Gateways: l.server.Gateways()}) // an error ends the line
}
