package smtp_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/review"
	"github.com/sallyport/sallyport/review/reviewtest"
	"github.com/sallyport/sallyport/review/smtp"
)

const secret = "hunter2+/=?"

func config(s *reviewtest.SMTP) smtp.Config {
	return smtp.Config{
		Address: s.Address, TLS: s.TLS, Username: "gateway", Password: proxy.NewSecret(secret), From: "Sallyport <gateway@example.com>",
		To: []string{"Oncall <oncall@example.com>"}, Link: func(id string) string { return "https://gw.example.com/v1/requests/" + url.PathEscape(id) },
		Command: func(id string) string { return "show " + strconv.Quote(id) },
	}
}

func open(t *testing.T, c smtp.Config) *smtp.Notifier {
	t.Helper()
	n, err := smtp.New(c)
	require.NoError(t, err)
	return n
}

func TestConformance(t *testing.T) {
	for name, option := range map[string]func(s *reviewtest.SMTP){
		"STARTTLS": func(*reviewtest.SMTP) {},
		"TLS":      func(s *reviewtest.SMTP) { s.Implicit = true },
		"LOGIN":    func(s *reviewtest.SMTP) { s.Auth = "login" },
	} {
		t.Run(name, func(t *testing.T) {
			reviewtest.Test(t, func(t *testing.T) reviewtest.Subject {
				s := reviewtest.NewSMTP(t, option)
				c := config(s)
				if s.Implicit {
					c.Security = smtp.TLS
				}
				return reviewtest.Subject{Notifier: open(t, c), Service: s, Secrets: []string{secret}}
			})
		})
	}
}

// letter is a mail as a program reads it.
type letter struct {
	mail.Header
	plain, html string
}

func read(t *testing.T, data string) *letter {
	t.Helper()
	m, err := mail.ReadMessage(strings.NewReader(data))
	require.NoError(t, err)
	l := &letter{Header: m.Header}
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	require.NoError(t, err)
	require.Equal(t, "multipart/alternative", kind)
	for parts := multipart.NewReader(m.Body, params["boundary"]); ; {
		p, err := parts.NextRawPart()
		if errors.Is(err, io.EOF) {
			return l
		}
		require.NoError(t, err)
		require.Equal(t, "quoted-printable", p.Header.Get("Content-Transfer-Encoding"))
		b, err := io.ReadAll(quotedprintable.NewReader(p))
		require.NoError(t, err)
		switch p.Header.Get("Content-Type") {
		case "text/plain; charset=utf-8":
			l.plain = string(b)
		case "text/html; charset=utf-8":
			l.html = string(b)
		default:
			t.Fatal(p.Header)
		}
	}
}

func TestMail(t *testing.T) {
	s := reviewtest.NewSMTP(t)
	n := open(t, config(s))
	for _, of := range []*review.Notice{reviewtest.Notice("a", review.Asked), reviewtest.Notice("a", review.Asked), reviewtest.Notice("b", "approved")} {
		require.NoError(t, n.Notify(t.Context(), of))
	}
	mails := s.Mails()
	require.Len(t, mails, 3)
	require.Equal(t, "gateway@example.com", mails[0].From)
	require.Equal(t, []string{"oncall@example.com"}, mails[0].To)
	require.Equal(t, "gateway", mails[0].Username)
	require.Equal(t, secret, mails[0].Password)
	require.True(t, mails[0].TLS)
	first, again, next := read(t, mails[0].Data), read(t, mails[1].Data), read(t, mails[2].Data)
	require.Equal(t, `"Sallyport" <gateway@example.com>`, first.Get("From"))
	require.Equal(t, `"Oncall" <oncall@example.com>`, first.Get("To"))
	require.Equal(t, "alice asks for access to orders", first.Get("Subject"))
	require.Equal(t, "auto-generated", first.Get("Auto-Submitted"))
	_, err := first.Date()
	require.NoError(t, err)
	require.Regexp(t, `^<[0-9a-f]{32}@example\.com>$`, first.Get("Message-ID"))
	require.Equal(t, first.Get("Message-ID"), again.Get("Message-ID"))
	require.NotEqual(t, first.Get("Message-ID"), next.Get("Message-ID"))
	require.Equal(t, first.Get("References"), next.Get("References"))
	for _, text := range []string{first.plain, first.html} {
		require.Contains(t, text, "INC-4711")
		require.Regexp(t, `show (&#34;|")4jzq7nbkw2`, text)
		require.Contains(t, text, "https://gw.example.com/v1/requests/4jzq7nbkw2")
		require.Contains(t, text, "oncall")
	}
	require.Contains(t, next.plain, "bob approved the request of alice")
	for line := range strings.SplitSeq(mails[0].Data, "\r\n") {
		require.LessOrEqual(t, len(line), 998)
		require.NotContains(t, line, "\n")
	}
}

// TestHostileMail: nothing that people wrote is a header, an address, another part, mark-up or a link.
func TestHostileMail(t *testing.T) {
	s := reviewtest.NewSMTP(t)
	c := config(s)
	c.Details = true
	n := open(t, c)
	names := []string{"x\r\nBcc: eve@example.com", "=?utf-8?q?x=0D=0ABcc:_eve@example.com?=", "ü\u2028Bcc: eve@example.com", strings.Repeat("ü", 5000), "a\x00b", "\r\n.\r\nMAIL FROM:<eve@example.com>\r\n"}
	hostile := []*review.Notice{reviewtest.Hostile()}
	for _, name := range names {
		of := reviewtest.Notice("n", "denied")
		of.Request.Requester, of.Request.Resource, of.Request.DecidedBy, of.Request.ID = name, name, name, name
		hostile = append(hostile, of)
	}
	for i, of := range hostile {
		require.NoError(t, n.Notify(t.Context(), of), i)
		mails := s.Mails()
		require.Len(t, mails, i+1)
		require.Equal(t, []string{"oncall@example.com"}, mails[i].To)
		l := read(t, mails[i].Data)
		require.Len(t, l.Header, 9, "%v", l.Header)
		require.Empty(t, l.Get("Bcc"))
		subject, err := new(mime.WordDecoder).DecodeHeader(l.Get("Subject"))
		require.NoError(t, err)
		require.NotContains(t, subject, "\n")
		require.Less(t, len(subject), 300)
		require.NotContains(t, l.html, "<script>")
		require.NotContains(t, l.html, "<!channel>")
		require.Equal(t, 1, strings.Count(l.html, "<a href="))
		require.Contains(t, l.html, `<a href="https://gw.example.com/v1/requests/`)
		require.NotContains(t, l.plain, "\nBcc:")
	}
}

// TestDetails: what an operation would do stays with the gateway, unless details are asked for.
func TestDetails(t *testing.T) {
	s := reviewtest.NewSMTP(t)
	of := reviewtest.Notice("n", review.Asked)
	of.Request.Access, of.Request.Kind, of.Request.Text = nil, "statement", "DELETE FROM orders"
	c := config(s)
	require.NoError(t, open(t, c).Notify(t.Context(), of))
	c.Details = true
	require.NoError(t, open(t, c).Notify(t.Context(), of))
	mails := s.Mails()
	require.NotContains(t, mails[0].Data, "DELETE")
	require.Contains(t, read(t, mails[1].Data).plain, `"DELETE FROM orders"`)
}

// TestRecipients: everybody is told once, by one mail that names the configured addresses only.
func TestRecipients(t *testing.T) {
	s := reviewtest.NewSMTP(t)
	c := config(s)
	c.Recipients = func(_ context.Context, of *review.Notice) ([]string, error) {
		if of.ID == "broken" {
			return nil, errors.New("nobody knows")
		}
		return []string{"bob@example.com", "ONCALL@example.com", "not an address", "", "eve@example.com>\r\nRCPT TO:<mallory@example.com", "bob@example.com"}, nil
	}
	n := open(t, c)
	require.NoError(t, n.Notify(t.Context(), reviewtest.Notice("a", review.Asked)))
	mails := s.Mails()
	require.Equal(t, []string{"oncall@example.com", "bob@example.com"}, mails[0].To)
	require.NotContains(t, mails[0].Data, "bob@example.com")
	require.ErrorContains(t, n.Notify(t.Context(), reviewtest.Notice("broken", review.Asked)), "nobody knows")

	c.To = nil
	require.NoError(t, open(t, c).Notify(t.Context(), reviewtest.Notice("b", review.Asked)))
	require.Contains(t, s.Mails()[1].Data, "\r\nTo: undisclosed-recipients:;\r\n")
	c.Recipients = func(context.Context, *review.Notice) ([]string, error) { return nil, nil }
	require.NoError(t, open(t, c).Notify(t.Context(), reviewtest.Notice("c", review.Asked)))
	require.Equal(t, 2, s.Taken(), "nobody is to be told")
	var many []string
	for i := range 300 {
		many = append(many, fmt.Sprintf("p%d@example.com", i))
	}
	c.Recipients = func(context.Context, *review.Notice) ([]string, error) { return many, nil }
	require.NoError(t, open(t, c).Notify(t.Context(), reviewtest.Notice("d", review.Asked)))
	require.Len(t, s.Mails()[2].To, smtp.MaxRecipients)
}

// TestRefused: a mailbox that is not there keeps nobody else from being told, and is not tried again; one that is
// there later has the mail come again to everybody.
func TestRefused(t *testing.T) {
	s := reviewtest.NewSMTP(t, func(s *reviewtest.SMTP) {
		s.Answers = map[string]string{"gone@example.com": "550 5.1.1 no such user hunter2", "full@example.com": "452 4.2.2 later"}
	})
	c := config(s)
	tell := func(to ...string) error {
		c.To = to
		return open(t, c).Notify(t.Context(), reviewtest.Notice("a", review.Asked))
	}
	err := tell("gone@example.com", "oncall@example.com")
	require.ErrorIs(t, err, review.ErrRefused)
	require.ErrorContains(t, err, "1 of 2 recipients: smtp: RCPT: the server answers 550 5.1.1")
	require.NotContains(t, err.Error(), "hunter2")
	require.Equal(t, []string{"oncall@example.com"}, s.Mails()[0].To)
	require.ErrorIs(t, tell("gone@example.com"), review.ErrRefused)
	err = tell("oncall@example.com", "full@example.com")
	require.ErrorContains(t, err, "452 4.2.2")
	require.NotErrorIs(t, err, review.ErrRefused)
	require.Equal(t, 1, s.Taken(), "nobody has it twice")
}

// TestProtected: neither a mail nor a password goes over a connection that is not protected.
func TestProtected(t *testing.T) {
	s := reviewtest.NewSMTP(t, func(s *reviewtest.SMTP) { s.Bare = true })
	c := config(s)
	require.ErrorContains(t, open(t, c).Notify(t.Context(), reviewtest.Notice("a", review.Asked)), "the server has no STARTTLS")
	require.Zero(t, s.Taken())
	c.Security = smtp.Plaintext
	_, err := smtp.New(c)
	require.ErrorContains(t, err, "a password is not sent without TLS")
	c.Username, c.Password = "", proxy.Secret{}
	require.NoError(t, open(t, c).Notify(t.Context(), reviewtest.Notice("a", review.Asked)))
	require.False(t, s.Mails()[0].TLS)

	s = reviewtest.NewSMTP(t)
	c = config(s)
	c.Password = proxy.NewSecret("wrong")
	err = open(t, c).Notify(t.Context(), reviewtest.Notice("a", review.Asked))
	require.EqualError(t, err, "smtp: AUTH: the server answers 535 5.7.8")
	s = reviewtest.NewSMTP(t, func(s *reviewtest.SMTP) { s.Auth = "CRAM-MD5" })
	require.ErrorContains(t, open(t, config(s)).Notify(t.Context(), reviewtest.Notice("a", review.Asked)), "neither AUTH PLAIN nor LOGIN")
	c = config(s)
	c.TLS = nil
	require.ErrorContains(t, open(t, c).Notify(t.Context(), reviewtest.Notice("a", review.Asked)), "certificate")
}

func TestConfig(t *testing.T) {
	good := smtp.Config{Address: "mail.example.com:587", From: "a@example.com", To: []string{"b@example.com"}}
	for name, change := range map[string]func(c *smtp.Config){
		"no port":       func(c *smtp.Config) { c.Address = "mail.example.com" },
		"no host":       func(c *smtp.Config) { c.Address = ":587" },
		"no sender":     func(c *smtp.Config) { c.From = "" },
		"two senders":   func(c *smtp.Config) { c.From = "a@example.com, b@example.com" },
		"a header":      func(c *smtp.Config) { c.From = "a@example.com\r\nBcc: eve@example.com" },
		"nobody":        func(c *smtp.Config) { c.To = nil },
		"not anybody":   func(c *smtp.Config) { c.To = []string{"somebody"} },
		"another sign":  func(c *smtp.Config) { c.To = []string{"ü@example.com"} },
		"too many":      func(c *smtp.Config) { c.To = make([]string, 101) },
		"no password":   func(c *smtp.Config) { c.Username = "u" },
		"no username":   func(c *smtp.Config) { c.Password = proxy.NewSecret("hunter2") },
		"a quoted name": func(c *smtp.Config) { c.To = []string{`"a b"@example.com`} },
	} {
		c := good
		change(&c)
		_, err := smtp.New(c)
		require.Error(t, err, name)
		require.NotContains(t, err.Error(), "hunter2")
	}
	_, err := smtp.New(good)
	require.NoError(t, err)
}
