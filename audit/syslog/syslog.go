// Package syslog sends events to a syslog collector: messages of RFC 5424 in
// the framing of RFC 5425, over TLS, or RFC 6587 without it.
//
// Syslog has no acknowledgement: what the collector's machine had taken and not
// yet given to the collector when the connection broke is lost with it. The
// last batch before a break that is noticed is sent again.
package syslog

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/sallyport/sallyport/audit"
)

// Sink sends to one collector. The zero value of each field but Address and
// Called is good.
type Sink struct {
	Address string // host:port; the port of syslog over TLS is 6514
	Called  string // the sink's name
	// TLS is how the collector is verified, and the client certificate where it
	// wants one; nil is the system's roots and the address's host.
	TLS *tls.Config
	// Plaintext sends over TCP without TLS. Who is on the way reads and changes
	// what is sent.
	Plaintext bool
	// Facility is RFC 5424's; 0 is 13, log audit.
	Facility int
	Hostname string        // empty is the machine's
	Timeout  time.Duration // of connecting and of sending a batch; 0 is 10 s
	// MaxMessage bounds a message, in bytes; 0 is 64 KiB. Longer ones are cut,
	// and the collector sees that in their structured data.
	MaxMessage int
	Format     audit.Format // of the message's text; nil is audit.Outgoing.Append

	conn net.Conn
	gone chan struct{} // closed when the collector has closed conn
}

// Name returns Called.
func (s *Sink) Name() string { return s.Called }

// Deliver sends a message an event. It is not for concurrent use.
func (s *Sink) Deliver(ctx context.Context, batch []audit.Outgoing) error {
	if s.conn != nil {
		select {
		case <-s.gone:
			s.close()
		default:
		}
	}
	if s.conn == nil {
		if err := s.connect(ctx); err != nil {
			return fmt.Errorf("syslog: %w", err)
		}
	}
	var b []byte
	for _, r := range batch {
		b = s.frame(b, r)
	}
	s.conn.SetWriteDeadline(time.Now().Add(s.timeout()))
	_, err := s.conn.Write(b)
	if err != nil {
		s.close()
		return fmt.Errorf("syslog: %w", err)
	}
	return nil
}

// Close ends the connection.
func (s *Sink) Close() error {
	s.close()
	return nil
}

func (s *Sink) close() {
	if s.conn != nil {
		s.conn.Close()
		<-s.gone
		s.conn = nil
	}
}

func (s *Sink) timeout() time.Duration {
	if s.Timeout > 0 {
		return s.Timeout
	}
	return 10 * time.Second
}

func (s *Sink) connect(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout())
	defer cancel()
	var conn net.Conn
	var err error
	if s.Plaintext {
		conn, err = (&net.Dialer{}).DialContext(ctx, "tcp", s.Address)
	} else {
		c := s.TLS.Clone()
		if c == nil {
			c = &tls.Config{}
		}
		c.MinVersion = max(c.MinVersion, tls.VersionTLS12)
		conn, err = (&tls.Dialer{Config: c}).DialContext(ctx, "tcp", s.Address)
	}
	if err != nil {
		return err
	}
	s.conn, s.gone = conn, make(chan struct{})
	go watch(conn, s.gone)
	return nil
}

// watch notices that the collector closed the connection, which writing alone
// tells only when the next batch is lost already.
func watch(conn net.Conn, gone chan struct{}) {
	defer close(gone)
	_, err := io.Copy(io.Discard, conn)
	if err == nil || !errors.Is(err, net.ErrClosed) {
		conn.Close()
	}
}

// frame appends a message with its length before it (RFC 5425, 4.3; RFC 6587,
// 3.4.1).
func (s *Sink) frame(b []byte, r audit.Outgoing) []byte {
	m := s.message(nil, r)
	b = strconv.AppendInt(b, int64(len(m)), 10)
	return append(append(b, ' '), m...)
}

// Severities of RFC 5424.
const (
	warning = 4
	notice  = 5
	info    = 6
)

func severity(typ string) int {
	switch typ {
	case audit.OperationRefused, audit.AdminRefused, audit.ExportLagging, audit.ExportLeftOut, audit.Degraded, audit.SecretLost, audit.HostRefused,
		"gateway.login-failed", "gateway.session-refused", "gateway.panic", "gateway.overload":
		return warning
	case audit.SessionRecovered, audit.GatewayStart, audit.GatewayStop, audit.AdminKill, audit.AdminFreeze, audit.AdminThaw, audit.AdminMessage, audit.AdminWatch, audit.AdminDetokenise,
		audit.TunnelEnrolled, audit.TunnelRevoked, audit.HostTrusted, audit.HostForgotten:
		return notice
	}
	return info
}

// message appends a message: RFC 5424, 6.
func (s *Sink) message(b []byte, r audit.Outgoing) []byte {
	facility := s.Facility
	if facility == 0 {
		facility = 13
	}
	b = append(b, '<')
	b = strconv.AppendInt(b, int64(facility*8+severity(r.Type)), 10)
	b = append(b, ">1 "...)
	b = append(b, timeOf(r.JSON)...)
	b = append(b, ' ')
	b = append(b, word(s.hostname(), 255)...)
	b = append(b, " sallyport "...)
	b = strconv.AppendInt(b, int64(os.Getpid()), 10)
	b = append(b, ' ')
	b = append(b, word(r.Type, 32)...)
	// 32473 is the enterprise number that is for examples (RFC 5612).
	b = append(b, ` [audit@32473 record="`...)
	b = append(b, r.Session...)
	b = append(b, `" index="`...)
	b = strconv.AppendUint(b, r.Index, 10)
	b = append(b, '"')
	text := s.text(r)
	limit := s.MaxMessage
	if limit == 0 {
		limit = 64 << 10
	}
	room := max(0, limit-len(b)-64)
	if len(text) > room {
		b = append(b, ` bytes="`...)
		b = strconv.AppendInt(b, int64(len(text)), 10)
		b = append(b, '"')
		text = text[:room]
	}
	b = append(b, "] "...)
	return append(b, text...)
}

func (s *Sink) text(r audit.Outgoing) []byte {
	var b []byte
	if s.Format != nil {
		b = s.Format(nil, r)
	} else {
		b = r.Append(nil)
	}
	if n := len(b); n > 0 && b[n-1] == '\n' {
		b = b[:n-1]
	}
	return b
}

func (s *Sink) hostname() string {
	if s.Hostname != "" {
		return s.Hostname
	}
	name, err := os.Hostname()
	if err != nil {
		return "-"
	}
	return name
}

// word is a header field: printable ASCII without spaces.
func word(s string, max int) string {
	if len(s) > max {
		s = s[:max]
	}
	out := []byte(s)
	for i, c := range out {
		if c < 33 || c > 126 {
			out[i] = '_'
		}
	}
	if len(out) == 0 {
		return "-"
	}
	return string(out)
}
