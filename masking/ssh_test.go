package masking_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	gossh "golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/masking"
	"github.com/sallyport/sallyport/protocol/ssh"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/proxy/proxytest"
)

func hostKey(t testing.TB) gossh.Signer {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	s, err := gossh.NewSignerFromKey(private)
	require.NoError(t, err)
	return s
}

// speak starts an SSH server that answers every command and shell with pieces,
// with a pause between them.
func speak(t testing.TB, key gossh.Signer, pieces []string, pause time.Duration) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { ln.Close() })
	config := &gossh.ServerConfig{PasswordCallback: func(gossh.ConnMetadata, []byte) (*gossh.Permissions, error) { return nil, nil }}
	config.AddHostKey(key)
	serve := func(c net.Conn) {
		defer c.Close()
		_, channels, requests, err := gossh.NewServerConn(c, config)
		if err != nil {
			return
		}
		go gossh.DiscardRequests(requests)
		for nc := range channels {
			ch, reqs, err := nc.Accept()
			if err != nil {
				continue
			}
			go func() {
				for r := range reqs {
					r.Reply(true, nil)
					if r.Type != "exec" && r.Type != "shell" {
						continue
					}
					for _, p := range pieces {
						ch.Write([]byte(p))
						time.Sleep(pause)
					}
					ch.SendRequest("exit-status", false, gossh.Marshal(struct{ Status uint32 }{0}))
					ch.Close()
				}
			}()
		}
	}
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go serve(c)
		}
	}()
	return ln.Addr().String()
}

// TestTerminalsAndCommands has values in the output of commands and terminals,
// cut into bytes (T4) and coloured (T1).
func TestTerminalsAndCommands(t *testing.T) {
	const text = "ssn 123-45-6789\r\ncard \x1b[31m4111 1111\x1b[0m 1111 1111\r\nmail ann@example.com, password=hunter2\r\nplain 42\r\n"
	const want = "ssn ***-**-****\r\ncard \x1b[31m**** ****\x1b[0m **** 1111\r\nmail ***@*******.***, password=*******\r\nplain 42\r\n"
	key := hostKey(t)
	m, err := masking.New(masking.Config{})
	require.NoError(t, err)
	for _, c := range []struct {
		name     string
		terminal bool
		pieces   []string
		pause    time.Duration
	}{
		{"command", false, []string{text}, 0},
		{"command in bytes", false, strings.Split(text, ""), 0},
		{"terminal", true, []string{text}, 0},
		{"terminal in bytes", true, strings.Split(text, ""), 2 * time.Millisecond},
	} {
		t.Run(c.name, func(t *testing.T) {
			gateway := &proxy.Gateway{
				Unrecorded:    true,
				Authenticator: people{"wonder"},
				Directory: proxy.Resources{&proxy.Resource{
					Name: "vm", Type: "ssh", Address: speak(t, key, c.pieces, c.pause), Accounts: []proxy.Account{{Name: "main", Username: "root"}},
					Settings: ssh.Settings{HostKeys: []string{string(gossh.MarshalAuthorizedKey(key.PublicKey()))}},
				}},
				Credentials:  proxytest.Credential{Username: "root", Password: proxy.NewSecret("x")},
				Interceptors: []proxy.Interceptor{letIn{}, m},
				DrainTimeout: time.Second,
			}
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			ctx, cancel := context.WithCancel(context.Background())
			served := make(chan error, 1)
			go func() { served <- gateway.Serve(ctx, ln, &ssh.Handler{HostKeys: []gossh.Signer{key}}) }()
			defer func() { cancel(); require.NoError(t, <-served) }()

			client, err := gossh.Dial("tcp", ln.Addr().String(), &gossh.ClientConfig{
				User: "alice+vm", Auth: []gossh.AuthMethod{gossh.Password("wonder")}, HostKeyCallback: gossh.FixedHostKey(key.PublicKey()), Timeout: 10 * time.Second,
			})
			require.NoError(t, err)
			defer client.Close()
			session, err := client.NewSession()
			require.NoError(t, err)
			var out bytes.Buffer
			session.Stdout = &out
			if c.terminal {
				require.NoError(t, session.RequestPty("xterm", 24, 80, nil))
				require.NoError(t, session.Shell())
				require.NoError(t, session.Wait())
			} else {
				require.NoError(t, session.Run("show"))
			}
			require.Equal(t, want, out.String())
		})
	}
}
