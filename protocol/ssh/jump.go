package ssh

import (
	"context"
	"net"
	"strings"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/proxy"
)

// jumpHandshake is how long the inner connection of a jump may take to be set
// up.
const jumpHandshake = 30 * time.Second

// jump serves a client that jumps through the gateway (ssh -J alice@gateway
// vm1): what it takes for a connection to the resource's own server ends here
// too, and is served as if the resource had been named to begin with. The inner
// user name chooses the account where the resource has one of that name. No
// further proof is asked for: the channel belongs to a connection that has given
// one.
func (d *door) jump(ctx context.Context, nc gossh.NewChannel) error {
	to, err := parseTCPChannel(nc.ExtraData())
	if err != nil {
		nc.Reject(gossh.ConnectionFailed, "malformed request")
		return nil
	}
	name := canonicalHost(to.Host)
	resource, err := d.conn.Lookup(ctx, name)
	if err != nil {
		nc.Reject(gossh.ConnectionFailed, strings.Join(printableLines(err.Error()), "; "))
		return nil
	}
	ch, requests, err := nc.Accept()
	if err != nil {
		return nil // the connection ended
	}
	defer ch.Close()
	go gossh.DiscardRequests(requests) // ends with the channel
	config, err := d.jumpConfig(name)
	if err != nil {
		return err
	}
	late := time.AfterFunc(jumpHandshake, func() { ch.Close() })
	client, channels, globals, err := gossh.NewServerConn(&channelConn{ch, d.conn}, config)
	if !late.Stop() || err != nil {
		return nil
	}
	defer client.Close()
	account := proxy.Account{}
	if a, ok := resource.Account(client.User()); ok && client.User() != "" {
		account = a
	}
	s := newSession(d.handler, d.who, client)
	s.open = func(ctx context.Context) (*proxy.Session, *proxy.Connect, error) {
		return d.conn.Gateway().Open(ctx, proxy.OpenRequest{
			Identity: d.who.identity, Target: proxy.Target{Resource: resource, Account: account},
			Protocol: d.handler.Protocol(), Remote: d.conn.RemoteAddr(), OnHold: s.parked,
		})
	}
	err = s.serve(ctx, channels, globals)
	if s.proxied != nil {
		s.proxied.Close(err)
	}
	return nil
}

// jumpConfig is the server's configuration inside a jump to resource: the
// gateway answers with its own host key, certified for the resource's name.
func (d *door) jumpConfig(resource string) (*gossh.ServerConfig, error) {
	config := &gossh.ServerConfig{Config: d.handler.config(false), NoClientAuth: true, ServerVersion: version}
	return config, d.handler.addHostKeys(config, []string{resource})
}

// channelConn is a channel as a connection. It knows no deadlines.
type channelConn struct {
	gossh.Channel
	outer net.Conn
}

func (c *channelConn) LocalAddr() net.Addr              { return c.outer.LocalAddr() }
func (c *channelConn) RemoteAddr() net.Addr             { return c.outer.RemoteAddr() }
func (c *channelConn) SetDeadline(time.Time) error      { return nil }
func (c *channelConn) SetReadDeadline(time.Time) error  { return nil }
func (c *channelConn) SetWriteDeadline(time.Time) error { return nil }
