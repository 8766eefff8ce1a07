package tcp

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/sallyport/sallyport/proxy"
)

// Client opens connections to resources through a gateway. Its fields must not change once it is in use.
type Client struct {
	Address string // the gateway's listener
	// TLS says by what the gateway is known, and may have a certificate that proves the user. The server name is that of the address
	// where it is empty.
	TLS *tls.Config
	// User is who asks: "alice", "alice+cache" or "alice+cache+account". With a certificate it may be empty.
	User string
	// Resource is what is asked for; empty: User, the server name or the listener says it.
	Resource string
	// Password is a password or an access token; empty: the certificate proves who it is.
	Password proxy.Secret
	// Waits is told that somebody has to approve the connection, which is then waited for, and where that
	// is decided. It may be nil.
	Waits func(message, link string)
	// Dialer opens the connection to the gateway; nil: a plain net.Dialer.
	Dialer proxy.Dialer
}

// RefusedError is why the gateway opens no connection. Its text is for the user. It comes from the gateway, and may have
// characters that a terminal takes for commands.
type RefusedError struct{ Message string }

// Error is what the gateway says.
func (e *RefusedError) Error() string { return e.Message }

// greetingTime is how long the gateway may take for an answer while nobody waits for an approval.
const greetingTime = time.Minute

// Dial opens a connection to the resource, and returns what the gateway says about it, for the user. Once ctx has ended the
// connection that it has returned goes on. The connection has CloseWrite. The error is a *RefusedError where the gateway opens none.
func (c *Client) Dial(ctx context.Context) (conn *tls.Conn, note string, err error) {
	config := c.TLS.Clone()
	if config == nil {
		config = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	config.NextProtos = []string{ALPN}
	if config.ServerName == "" {
		host, _, err := net.SplitHostPort(c.Address)
		if err != nil {
			return nil, "", fmt.Errorf("connecting to the gateway at %q: %w", c.Address, err)
		}
		config.ServerName = host
	}
	var d proxy.Dialer = &net.Dialer{}
	if c.Dialer != nil {
		d = c.Dialer
	}
	raw, err := d.DialContext(ctx, "tcp", c.Address)
	if err != nil {
		return nil, "", fmt.Errorf("connecting to the gateway: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { raw.Close() })
	t := tls.Client(raw, config)
	note, err = c.greet(ctx, t)
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		raw.Close()
		if cause := context.Cause(ctx); cause != nil {
			err = cause // rather than that its connection is closed
		}
		return nil, "", err
	}
	return t, note, nil
}

// greet asks for the connection, and waits until it is open.
func (c *Client) greet(ctx context.Context, t *tls.Conn) (note string, err error) {
	if err := t.SetDeadline(time.Now().Add(greetingTime)); err != nil {
		return "", err
	}
	if err := t.HandshakeContext(ctx); err != nil {
		return "", fmt.Errorf("TLS with the gateway: %w", err)
	}
	if got := t.ConnectionState().NegotiatedProtocol; got != ALPN {
		return "", fmt.Errorf("the gateway at %s answers by the protocol %q, want %q: it serves no connections of this kind there", c.Address, got, ALPN)
	}
	if err := writeLine(t, ask{User: c.User, Resource: c.Resource, Password: c.Password.Reveal()}); err != nil {
		return "", fmt.Errorf("asking the gateway: %w", err)
	}
	for {
		line, err := readLine(t, maxAnswer)
		if err != nil {
			return "", fmt.Errorf("waiting for the gateway's answer: %w", err)
		}
		var a answer
		if err := json.Unmarshal(line, &a); err != nil {
			return "", fmt.Errorf("reading the gateway's answer: %w", err)
		}
		switch a.State {
		case stateWaits:
			if c.Waits != nil {
				c.Waits(a.Message, a.Link)
			}
			if err := t.SetDeadline(time.Time{}); err != nil { // until somebody decides, or ctx ends
				return "", err
			}
		case stateOpen:
			return a.Message, t.SetDeadline(time.Time{})
		case stateRefused:
			return "", &RefusedError{Message: a.Message}
		default:
			return "", errors.New("reading the gateway's answer: got an answer of an unknown kind: this program may be too old for the gateway")
		}
	}
}
