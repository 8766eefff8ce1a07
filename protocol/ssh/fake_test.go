package ssh_test

import (
	"net"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	gossh "golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/internal/sshembed"
	"github.com/sallyport/sallyport/proxy"
)

// hostile is an SSH server that a test plays: it takes any key, and what comes
// of connections, channels and requests goes to the test.
type hostile struct {
	address string
	mu      sync.Mutex
	globals []string // types of the global requests that arrived
	silent  bool     // answers no global request
	session func(conn *gossh.ServerConn, ch gossh.Channel, requests <-chan *gossh.Request)
}

func startHostile(t testing.TB, hostKey gossh.Signer, session func(conn *gossh.ServerConn, ch gossh.Channel, requests <-chan *gossh.Request)) *hostile {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	h := &hostile{address: ln.Addr().String(), session: session}
	var conns sync.WaitGroup
	t.Cleanup(func() { ln.Close(); conns.Wait() })
	config := &gossh.ServerConfig{PublicKeyCallback: func(gossh.ConnMetadata, gossh.PublicKey) (*gossh.Permissions, error) { return nil, nil }}
	config.AddHostKey(hostKey)
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			conns.Go(func() { h.serve(c, config) })
		}
	}()
	return h
}

func (h *hostile) serve(c net.Conn, config *gossh.ServerConfig) {
	defer c.Close()
	conn, channels, requests, err := gossh.NewServerConn(c, config)
	if err != nil {
		return
	}
	go func() {
		for r := range requests {
			h.mu.Lock()
			h.globals = append(h.globals, r.Type)
			h.mu.Unlock()
			if !h.silent {
				r.Reply(true, nil)
			}
		}
	}()
	for nc := range channels {
		ch, reqs, err := nc.Accept()
		if err != nil {
			continue
		}
		go h.session(conn, ch, reqs)
	}
}

// inFrontOf makes a rig's resource one that a test plays.
func (r *rig) inFrontOf(session func(conn *gossh.ServerConn, ch gossh.Channel, requests <-chan *gossh.Request)) *hostile {
	h := startHostile(r.t, r.sshd.host, session)
	r.resource.Address = h.address
	return h
}

// serveTrue answers the first command with exit status 0.
func serveTrue(_ *gossh.ServerConn, ch gossh.Channel, requests <-chan *gossh.Request) {
	for r := range requests {
		r.Reply(true, nil)
		if r.Type == "exec" || r.Type == "shell" {
			exitWith(ch, 0)
		}
	}
}

func exitWith(ch gossh.Channel, code byte) {
	ch.SendRequest("exit-status", false, []byte{0, 0, 0, code})
	ch.Close()
}

// inFrontOfEmbedded makes a rig's resource the embedded server.
func (r *rig) inFrontOfEmbedded() *sshembed.Server {
	r.t.Helper()
	s, err := sshembed.Start(sshembed.Config{Dir: r.dir})
	require.NoError(r.t, err)
	r.t.Cleanup(func() { require.NoError(r.t, s.Stop()) })
	r.resource.Address, r.settings.HostKeys = s.Address, []string{s.HostKey}
	r.resource.Accounts = []proxy.Account{{Name: "demo", Username: sshembed.User}}
	r.creds.cred = proxy.Credential{PrivateKey: proxy.NewSecret(s.PrivateKey)}
	return s
}
