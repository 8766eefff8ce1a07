package tunnel

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// join passes bytes both ways until one end is closed.
func join(a net.Conn, b net.Conn, from io.Reader) {
	var wg sync.WaitGroup
	for _, f := range []func(){func() { io.Copy(b, from) }, func() { io.Copy(a, b) }} {
		wg.Go(func() {
			f()
			a.Close()
			b.Close()
		})
	}
	wg.Wait()
}

// connectProxy is an HTTP proxy that wants a user.
func connectProxy(t testing.TB, user, password string, asked *atomic.Int32) string {
	return resource(t, func(c net.Conn) {
		in := bufio.NewReader(c)
		r, err := http.ReadRequest(in)
		if err != nil || r.Method != http.MethodConnect {
			return
		}
		r.Header.Set("Authorization", r.Header.Get("Proxy-Authorization"))
		if u, p, _ := r.BasicAuth(); u != user || p != password {
			io.WriteString(c, "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\n\r\n")
			return
		}
		up, err := net.Dial("tcp", r.Host)
		if err != nil {
			io.WriteString(c, "HTTP/1.1 502 Bad\x1b Gateway\r\nX: "+strings.Repeat("y", 100)+"\r\n\r\n")
			return
		}
		asked.Add(1)
		io.WriteString(c, "HTTP/1.1 200 Connection established\r\nVia: test\r\n\r\n")
		join(c, up, in)
	})
}

// socksProxy is a SOCKS 5 proxy, which wants a user unless it is empty.
func socksProxy(t testing.TB, user, password string, asked *atomic.Int32) string {
	return resource(t, func(c net.Conn) {
		b := make([]byte, 300)
		read := func(n int) []byte {
			if _, err := io.ReadFull(c, b[:n]); err != nil {
				panic(http.ErrAbortHandler)
			}
			return b[:n]
		}
		defer func() { _ = recover() }() // a client that has left
		read(int(read(2)[1]))
		if user != "" {
			c.Write([]byte{5, 2})
			u := string(read(int(read(2)[1])))
			p := string(read(int(read(1)[0])))
			if u != user || p != password {
				c.Write([]byte{1, 1})
				return
			}
			c.Write([]byte{1, 0})
		} else {
			c.Write([]byte{5, 0})
		}
		host := ""
		switch read(4)[3] {
		case 1:
			host = net.IP(read(4)).String()
		case 4:
			host = net.IP(read(16)).String()
		case 3:
			host = string(read(int(read(1)[0])))
		}
		port := binary.BigEndian.Uint16(read(2))
		up, err := net.Dial("tcp", net.JoinHostPort(host, fmt.Sprint(port)))
		if err != nil {
			c.Write([]byte{5, 5, 0, 1, 0, 0, 0, 0, 0, 0})
			return
		}
		asked.Add(1)
		c.Write(append([]byte{5, 0, 0, 3, 4}, "hostxx"...)) // the address that it connects from, as a name
		join(c, up, c)
	})
}

func TestAnAgentBehindAProxy(t *testing.T) {
	var asked atomic.Int32
	const password = "p@ss w0rd:hidden"
	for name, proxy := range map[string]struct{ scheme, at, user string }{
		"HTTP CONNECT":      {"http", connectProxy(t, "", "", &asked), ""},
		"with a user":       {"http", connectProxy(t, "agent", password, &asked), "agent"},
		"SOCKS 5":           {"socks5", socksProxy(t, "", "", &asked), ""},
		"SOCKS 5 with user": {"socks5h", socksProxy(t, "agent", password, &asked), "agent"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRegistry(t)
			g := gateway(t, r)
			u := &url.URL{Scheme: proxy.scheme, Host: proxy.at}
			if proxy.user != "" {
				u.User = url.UserPassword(proxy.user, password)
			}
			dial, err := Through(u, nil)
			require.NoError(t, err)
			before := asked.Load()
			id, err := Enrolment{Gateway: g.address, Token: r.token("berlin"), Dial: dial}.Enrol(t.Context())
			require.NoError(t, err)
			f := File(t.TempDir() + "/agent.json")
			require.NoError(t, f.Save(id))
			agentAt(t, f, []string{g.address}, func(a *Agent) { a.Dial = dial })
			connected(t, g, "berlin")
			say(t, open(t, g, "berlin", echo(t)), "hello")
			require.Greater(t, asked.Load(), before+1, "it was not the proxy that connected")
			_, err = dial(t.Context(), "tcp", "127.0.0.1:1")
			require.ErrorContains(t, err, "by the proxy "+proxy.at)
			require.NotContains(t, err.Error(), "\x1b")
			if proxy.user == "" {
				return
			}
			u.User = url.UserPassword(proxy.user, "wrong-"+password)
			dial, err = Through(u, nil)
			require.NoError(t, err)
			_, err = dial(t.Context(), "tcp", g.address)
			require.Error(t, err)
			require.NotContains(t, err.Error(), password)
			u.User = nil
			dial, err = Through(u, nil)
			require.NoError(t, err)
			_, err = dial(t.Context(), "tcp", g.address)
			require.Error(t, err)
		})
	}
}

func TestProxiesThatAreNone(t *testing.T) {
	for _, text := range []string{"ftp://proxy:1", "//proxy:1", "http://", "proxy:3128", "socks4://user:secret@proxy:1"} {
		u, err := url.Parse(text)
		require.NoError(t, err)
		_, err = Through(u, nil)
		require.Error(t, err)
		require.NotContains(t, err.Error(), "secret")
	}
	for name, serve := range map[string]func(net.Conn){
		"an answer without an end": func(c net.Conn) { io.Copy(c, strings.NewReader(strings.Repeat("x", 1<<20))) },
		"not HTTP":                 func(c net.Conn) { io.WriteString(c, "SSH-2.0-x\r\n\r\n") },
		"a part of an answer":      func(c net.Conn) { io.WriteString(c, "HTTP/1.1 200") },
		"nothing":                  func(net.Conn) {},
	} {
		for _, scheme := range []string{"http", "socks5"} {
			t.Run(name+" "+scheme, func(t *testing.T) {
				dial, err := Through(&url.URL{Scheme: scheme, Host: resource(t, func(c net.Conn) {
					c.Read(make([]byte, 512))
					serve(c)
				})}, nil)
				require.NoError(t, err)
				_, err = dial(t.Context(), "tcp", "192.0.2.1:8444")
				require.Error(t, err)
			})
		}
	}
	// One that never answers is not waited for longer than the caller does.
	dial, err := Through(&url.URL{Scheme: "http", Host: resource(t, func(c net.Conn) { io.Copy(io.Discard, c) })}, nil)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = dial(ctx, "tcp", "192.0.2.1:8444")
	require.Error(t, err)
	_, err = dial(t.Context(), "tcp", "host\r\nEvil: yes:1")
	require.Error(t, err)
}

func FuzzProxyAnswers(f *testing.F) {
	f.Add([]byte("HTTP/1.1 200 OK\r\n\r\n"), true)
	f.Add([]byte{5, 2, 1, 0, 5, 0, 0, 1, 1, 2, 3, 4, 5, 6}, false)
	f.Add([]byte{5, 0, 5, 0, 0, 3, 255, 0}, false)
	f.Fuzz(func(_ *testing.T, answer []byte, connect bool) {
		c := struct {
			io.Reader
			io.Writer
		}{strings.NewReader(string(answer)), io.Discard}
		ask := askSOCKS
		if connect {
			ask = askConnect
		}
		_ = ask(c, url.UserPassword("a", "b"), "gw:8444") // it must not panic
	})
}
