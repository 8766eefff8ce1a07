// Package smtp tells people of requests by mail. A mail holds nothing that lets anybody in or decides:
// it names the request, and its link asks who follows it to log in.
package smtp

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/mail"
	"net/smtp"
	"net/textproto"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/review"
)

// Security is how a connection is protected.
type Security int

// Kinds of Security.
const (
	StartTLS  Security = iota // from the first command that matters on; a server without it gets nothing
	TLS                       // from the first byte on
	Plaintext                 // not at all: who is on the way reads the mails. Nobody logs in
)

// Config says where mails go. Address, From and one of To and Recipients are needed.
type Config struct {
	Address  string // HOST:PORT of the server
	Security Security
	TLS      *tls.Config // nil is the system's roots; a name that is empty is the host of Address
	// Username and Password log in, by PLAIN or LOGIN.
	Username string
	Password proxy.Secret

	From string   // an address, with or without a name
	To   []string // addresses, which mails name
	// Recipients returns further addresses that a notice goes to, and which mails do not name; nil: nobody.
	Recipients func(ctx context.Context, n *review.Notice) ([]string, error)

	Details bool // what an operation would do is in mails, too
	// Link is where a request is shown; nil: mails have no link.
	Link func(request string) string
	// Command shows a request on a command line; nil: mails have none.
	Command func(request string) string
	Timeout time.Duration // of a mail as a whole; 0 is 30 s
}

// MaxRecipients is how many people one notice goes to at most.
const MaxRecipients = 100

// Notifier sends mails. It is safe for concurrent use.
type Notifier struct {
	config Config
	host   string
	from   *mail.Address
	to     []*mail.Address
}

// New checks c and returns its notifier. It does not connect.
func New(c Config) (*Notifier, error) {
	host, port, err := net.SplitHostPort(c.Address)
	if err != nil || host == "" || port == "" {
		return nil, fmt.Errorf("smtp: address: got %q, want HOST:PORT", c.Address)
	}
	n := &Notifier{config: c, host: host}
	if n.from, err = ParseAddress(c.From); err != nil {
		return nil, fmt.Errorf("smtp: from: %w", err)
	}
	for _, text := range c.To {
		a, err := ParseAddress(text)
		if err != nil {
			return nil, fmt.Errorf("smtp: to: %w", err)
		}
		n.to = append(n.to, a)
	}
	switch {
	case len(n.to) == 0 && c.Recipients == nil:
		return nil, errors.New("smtp: got nobody to send to, want an address at least")
	case len(n.to) > MaxRecipients:
		return nil, fmt.Errorf("smtp: to: got %d addresses, want at most %d", len(n.to), MaxRecipients)
	case c.Security == Plaintext && c.Username != "":
		return nil, errors.New("smtp: a password is not sent without TLS")
	case (c.Username == "") != (c.Password.Reveal() == ""):
		return nil, errors.New("smtp: want a username and its password, or neither")
	}
	return n, nil
}

// ParseAddress reads an address of ASCII, with or without a name: "a@example.com" or "A <a@example.com>".
func ParseAddress(text string) (*mail.Address, error) {
	odd := func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`<>()[],;:\"`, r) }
	a, err := mail.ParseAddress(text)
	if err != nil || len(a.Address) > 254 || strings.ContainsFunc(a.Address, odd) {
		return nil, fmt.Errorf("%q is not a mail address", text)
	}
	return a, nil
}

// domain is that of the sender.
func (n *Notifier) domain() string {
	return n.from.Address[strings.LastIndexByte(n.from.Address, '@')+1:]
}

// recipients are those that a notice goes to, each once. An address that is not one is left out: somebody else's
// mistake keeps nobody from being told.
func (n *Notifier) recipients(ctx context.Context, of *review.Notice) ([]string, error) {
	var list []string
	seen := make(map[string]bool)
	add := func(address string) {
		if key := strings.ToLower(address); !seen[key] && len(list) < MaxRecipients {
			seen[key] = true
			list = append(list, address)
		}
	}
	for _, a := range n.to {
		add(a.Address)
	}
	if n.config.Recipients == nil {
		return list, nil
	}
	further, err := n.config.Recipients(ctx, of)
	if err != nil {
		return nil, fmt.Errorf("smtp: finding out who is told: %w", err)
	}
	for _, text := range further {
		if a, err := ParseAddress(text); err == nil {
			add(a.Address)
		}
	}
	return list, nil
}

// Notify sends a notice to everybody who is to be told, or to nobody. Those that the server will never take are left out: the
// others are told, and the error is [review.ErrRefused].
func (n *Notifier) Notify(ctx context.Context, of *review.Notice) error {
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(n.config.Timeout, 30*time.Second))
	defer cancel()
	to, err := n.recipients(ctx, of)
	if err != nil || len(to) == 0 {
		return err
	}
	message, err := n.message(of, time.Now())
	if err != nil {
		return err
	}
	err = n.send(ctx, to, message)
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("smtp: %w", ctx.Err())
	}
	return err
}

// send has a session with the server.
func (n *Notifier) send(ctx context.Context, to []string, message []byte) error {
	c, err := n.dial(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	if err := n.login(c); err != nil {
		return err
	}
	if err := c.Mail(n.from.Address); err != nil {
		return answered("MAIL", err)
	}
	var refused error
	taken := 0
	for _, address := range to {
		switch err := c.Rcpt(address); {
		case err == nil:
			taken++
		case forGood(err):
			refused = answered("RCPT", err)
		default:
			return answered("RCPT", err)
		}
	}
	if taken > 0 {
		w, err := c.Data()
		if err == nil {
			if _, err = w.Write(message); err == nil {
				err = w.Close()
			}
		}
		if err != nil {
			if forGood(err) {
				return fmt.Errorf("%w: %w", review.ErrRefused, answered("DATA", err))
			}
			return answered("DATA", err)
		}
	}
	_ = c.Quit() // the mail is taken
	if refused != nil {
		return fmt.Errorf("%w: %d of %d recipients: %w", review.ErrRefused, len(to)-taken, len(to), refused)
	}
	return nil
}

// dial connects, protected as it is configured.
func (n *Notifier) dial(ctx context.Context) (*smtp.Client, error) {
	raw, err := (&net.Dialer{}).DialContext(ctx, "tcp", n.config.Address)
	if err != nil {
		return nil, fmt.Errorf("smtp: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { raw.Close() })
	defer stop()
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if n.config.TLS != nil {
		c = n.config.TLS.Clone()
	}
	if c.ServerName == "" {
		c.ServerName = n.host
	}
	var conn net.Conn = &bounded{Conn: raw, left: maxAnswers}
	if n.config.Security == TLS {
		t := tls.Client(conn, c)
		if err := t.HandshakeContext(ctx); err != nil {
			raw.Close()
			return nil, fmt.Errorf("smtp: TLS: %w", err)
		}
		conn = t
	}
	client, err := smtp.NewClient(conn, n.host)
	if err != nil {
		raw.Close()
		return nil, answered("greeting", err)
	}
	if err := client.Hello(n.domain()); err != nil {
		client.Close()
		return nil, answered("EHLO", err)
	}
	if n.config.Security != StartTLS {
		return client, nil
	}
	if ok, _ := client.Extension("STARTTLS"); !ok {
		client.Close()
		return nil, errors.New("smtp: the server has no STARTTLS: nothing is sent to it")
	}
	if err := client.StartTLS(c); err != nil {
		client.Close()
		return nil, answered("STARTTLS", err)
	}
	return client, nil
}

// login logs in, where that is configured. Connections without TLS do not get here with a password.
func (n *Notifier) login(c *smtp.Client) error {
	if n.config.Username == "" {
		return nil
	}
	_, offered := c.Extension("AUTH")
	methods := strings.Fields(strings.ToUpper(offered))
	var auth smtp.Auth
	switch {
	case slices.Contains(methods, "PLAIN"):
		auth = &plain{n.config.Username, n.config.Password}
	case slices.Contains(methods, "LOGIN"):
		auth = &login{username: n.config.Username, password: n.config.Password}
	default:
		return errors.New("smtp: the server offers neither AUTH PLAIN nor LOGIN")
	}
	if err := c.Auth(auth); err != nil {
		return answered("AUTH", err)
	}
	return nil
}

// maxAnswers is how many bytes are read from a server, in one session.
const maxAnswers = 1 << 20

// bounded is a connection of which so many bytes are read.
type bounded struct {
	net.Conn
	left int
}

var errTooMuch = errors.New("the server says more than is read")

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errTooMuch
	}
	n, err := b.Conn.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

// enhanced is the code of an answer that says more than its number.
var enhanced = regexp.MustCompile(`^[245]\.\d{1,3}\.\d{1,3}\b`)

// answered is the error of a command. What the server says is left out but for its codes: it may hold what it was sent.
func answered(command string, err error) error {
	var code *textproto.Error
	var malformed textproto.ProtocolError
	switch {
	case errors.As(err, &code):
		return fmt.Errorf("smtp: %s: the server answers %s", command, strings.TrimSpace(fmt.Sprint(code.Code, " ", enhanced.FindString(code.Msg))))
	case errors.As(err, &malformed):
		return fmt.Errorf("smtp: %s: the server answers what is not SMTP", command)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("smtp: %s: the server closed the connection", command)
	}
	return fmt.Errorf("smtp: %s: %w", command, err)
}

// forGood reports whether a server will never take it.
func forGood(err error) bool {
	var code *textproto.Error
	return errors.As(err, &code) && code.Code >= 500 && code.Code < 600
}

// plain is AUTH PLAIN (RFC 4616).
type plain struct {
	username string
	password proxy.Secret
}

func (a *plain) Start(s *smtp.ServerInfo) (string, []byte, error) {
	if !s.TLS {
		return "", nil, errPlain
	}
	return "PLAIN", []byte("\x00" + a.username + "\x00" + a.password.Reveal()), nil
}

func (a *plain) Next(_ []byte, more bool) ([]byte, error) {
	if more {
		return nil, errAsked
	}
	return nil, nil
}

// login is AUTH LOGIN, which asks for the name and for the password.
type login struct {
	username string
	password proxy.Secret
	asked    int
}

func (a *login) Start(s *smtp.ServerInfo) (string, []byte, error) {
	if !s.TLS {
		return "", nil, errPlain
	}
	return "LOGIN", nil, nil
}

func (a *login) Next(_ []byte, more bool) ([]byte, error) {
	if !more {
		return nil, nil
	}
	switch a.asked++; a.asked {
	case 1:
		return []byte(a.username), nil
	case 2:
		return []byte(a.password.Reveal()), nil
	}
	return nil, errAsked
}

var (
	errPlain = errors.New("a password is not sent without TLS")
	errAsked = errors.New("the server asks for more than a name and a password")
)
