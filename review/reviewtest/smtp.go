package reviewtest

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// Mail is what an SMTP server took.
type Mail struct {
	From     string
	To       []string
	Data     string // with line breaks of \r\n
	Username string // who logged in; empty: nobody
	Password string
	TLS      bool
}

// SMTP is a server of mail that does what it is told. It is a Service.
type SMTP struct {
	Address string
	TLS     *tls.Config       // which trusts it
	Leaf    *x509.Certificate // that it shows

	// The following are set by options.
	Bare     bool              // it has no STARTTLS
	Implicit bool              // TLS from the first byte on
	Auth     string            // methods; empty is PLAIN LOGIN
	Answers  map[string]string // to RCPT, by address; others are taken

	listener net.Listener
	genuine  tls.Certificate
	impostor tls.Certificate
	sent     atomic.Int64
	ending   chan struct{}
	running  sync.WaitGroup

	mu    sync.Mutex
	does  Behaviour
	mails []Mail
	conns map[net.Conn]bool
}

// NewSMTP starts a server, which ends with the test.
func NewSMTP(t testing.TB, options ...func(s *SMTP)) *SMTP {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &SMTP{Address: ln.Addr().String(), listener: ln, genuine: Certificate(t), impostor: Certificate(t), ending: make(chan struct{}), conns: make(map[net.Conn]bool)}
	s.TLS, s.Leaf = Trust(s.genuine), s.genuine.Leaf
	for _, o := range options {
		o(s)
	}
	s.running.Go(s.accept)
	t.Cleanup(func() {
		close(s.ending)
		ln.Close()
		s.hangUp()
		s.running.Wait()
	})
	return s
}

func (s *SMTP) accept() {
	for {
		c, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		s.conns[c] = true
		s.mu.Unlock()
		s.running.Go(func() {
			defer func() {
				c.Close()
				s.mu.Lock()
				delete(s.conns, c)
				s.mu.Unlock()
			}()
			(&mailSession{server: s, raw: c}).serve()
		})
	}
}

func (s *SMTP) hangUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c.Close()
	}
}

// Do implements Service. A server of mail names no other in its place, and does not say for how long it is busy.
func (s *SMTP) Do(b Behaviour) bool {
	if b == Redirects || b == Busy {
		return false
	}
	s.mu.Lock()
	s.does = b
	s.mu.Unlock()
	s.hangUp()
	return true
}

func (s *SMTP) behaviour() Behaviour {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.does
}

// Taken implements Service.
func (s *SMTP) Taken() int { return len(s.Mails()) }

// Strayed implements Service.
func (s *SMTP) Strayed() int { return 0 }

// Sent implements Service.
func (s *SMTP) Sent() int64 { return s.sent.Load() }

// Mails returns what it took.
func (s *SMTP) Mails() []Mail {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Mail(nil), s.mails...)
}

// mailSession is a connection of a client.
type mailSession struct {
	server *SMTP
	raw    net.Conn
	conn   net.Conn
	in     *bufio.Reader
	mail   Mail
}

func (m *mailSession) use(c net.Conn) { m.conn, m.in = c, bufio.NewReader(c) }

func (m *mailSession) say(format string, args ...any) error {
	n, err := fmt.Fprintf(m.conn, format+"\r\n", args...)
	m.server.sent.Add(int64(n))
	return err
}

func (m *mailSession) line() (string, error) {
	text, err := m.in.ReadString('\n')
	return strings.TrimRight(text, "\r\n"), err
}

func (m *mailSession) secure() {
	pair := m.server.genuine
	if m.server.behaviour() == Impostor {
		pair = m.server.impostor
	}
	m.use(tls.Server(m.raw, &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}))
	m.mail.TLS = true
}

func (m *mailSession) serve() {
	if m.use(m.raw); m.server.Implicit {
		m.secure()
	}
	greeting := "220 mail.example.com ESMTP"
	if m.server.behaviour() == Babbles {
		greeting = "\x00<html>"
	}
	if m.say("%s", greeting) != nil {
		return
	}
	for {
		text, err := m.line()
		if err != nil {
			return
		}
		verb, rest, _ := strings.Cut(text, " ")
		if !m.command(strings.ToUpper(verb), rest) {
			return
		}
	}
}

// command answers one, and reports whether the session goes on.
func (m *mailSession) command(verb, rest string) bool {
	switch verb {
	case "EHLO", "HELO":
		return m.hello()
	case "STARTTLS":
		if m.server.Bare || m.mail.TLS {
			return m.say("502 no") == nil
		}
		if m.say("220 go on") != nil {
			return false
		}
		m.secure()
		return true
	case "AUTH":
		return m.auth(rest)
	case "MAIL":
		if m.server.behaviour() == Fails {
			return m.say("451 4.3.0 it is broken: %s", rest) == nil
		}
		m.mail.From, m.mail.To = address(rest), nil
		return m.say("250 ok") == nil
	case "RCPT":
		if answer := m.server.Answers[address(rest)]; answer != "" {
			return m.say("%s", answer) == nil
		}
		m.mail.To = append(m.mail.To, address(rest))
		return m.say("250 ok") == nil
	case "DATA":
		return m.data()
	case "QUIT":
		_ = m.say("221 bye")
		return false
	case "RSET", "NOOP":
		return m.say("250 ok") == nil
	}
	return m.say("500 what is %q", verb) == nil
}

// address is what is between < and >.
func address(text string) string {
	_, text, _ = strings.Cut(text, "<")
	text, _, _ = strings.Cut(text, ">")
	return text
}

func (m *mailSession) hello() bool {
	if m.server.behaviour() == Floods {
		chunk := bytes.Repeat([]byte("250-more and more and more\r\n"), 1000)
		for m.server.sent.Load() < maxFlood {
			n, err := m.conn.Write(chunk)
			m.server.sent.Add(int64(n))
			if err != nil {
				return false
			}
		}
		return false
	}
	lines := []string{"mail.example.com", "8BITMIME"}
	if !m.server.Bare && !m.mail.TLS {
		lines = append(lines, "STARTTLS")
	}
	methods := m.server.Auth
	if methods == "" {
		methods = "PLAIN LOGIN"
	}
	lines = append(lines, "AUTH "+methods)
	for i, l := range lines {
		separator := "-"
		if i == len(lines)-1 {
			separator = " "
		}
		if m.say("250%s%s", separator, l) != nil {
			return false
		}
	}
	return true
}

func (m *mailSession) auth(rest string) bool {
	method, initial, _ := strings.Cut(rest, " ")
	decode := func(text string) string {
		b, _ := base64.StdEncoding.DecodeString(text)
		return string(b)
	}
	ask := func(prompt string) (string, bool) {
		if m.say("334 %s", base64.StdEncoding.EncodeToString([]byte(prompt))) != nil {
			return "", false
		}
		text, err := m.line()
		return decode(text), err == nil
	}
	ok := true
	switch strings.ToUpper(method) {
	case "PLAIN":
		parts := strings.Split(decode(initial), "\x00")
		if len(parts) != 3 {
			return m.say("501 no") == nil
		}
		m.mail.Username, m.mail.Password = parts[1], parts[2]
	case "LOGIN":
		if m.mail.Username, ok = ask("Username:"); !ok {
			return false
		}
		if m.mail.Password, ok = ask("Password:"); !ok {
			return false
		}
	default:
		return m.say("504 no") == nil
	}
	if m.mail.Password == "wrong" {
		return m.say("535 5.7.8 not by %q %s", m.mail.Password, initial) == nil
	}
	return m.say("235 ok") == nil
}

func (m *mailSession) data() bool {
	if len(m.mail.To) == 0 {
		return m.say("503 to nobody") == nil
	}
	if m.say("354 go on") != nil {
		return false
	}
	var b strings.Builder
	for {
		text, err := m.in.ReadString('\n')
		if err != nil || b.Len() > 4<<20 {
			return false
		}
		if text == ".\r\n" {
			break
		}
		b.WriteString(strings.TrimPrefix(text, "."))
	}
	switch m.server.behaviour() {
	case Hangs:
		_, _ = io.Copy(io.Discard, m.in) // until the client leaves
		return false
	case Cuts:
		m.take(b.String())
		return false
	}
	m.take(b.String())
	return m.say("250 2.0.0 ok") == nil
}

func (m *mailSession) take(data string) {
	m.server.mu.Lock()
	defer m.server.mu.Unlock()
	m.mail.Data = data
	m.server.mails = append(m.server.mails, m.mail)
}
