package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/gateway/config"
	"github.com/sallyport/sallyport/protocol"
	"github.com/sallyport/sallyport/proxy"
)

// echo is a handler of a protocol that this module does not have.
type echo struct{ resource string }

func (echo) Protocol() string                             { return "echo" }
func (echo) ServeConn(context.Context, *proxy.Conn) error { return nil }
func (echo) Limit(text []byte, n int) ([]byte, error)     { return nil, nil }
func (echo) VerifyLogin(wire []byte, name string) error {
	if string(wire) == "echo of "+name {
		return nil
	}
	return errors.New("another's")
}

// A protocol of one's own is opened with what it needs, listed and closed.
func TestProtocolFromOutside(t *testing.T) {
	var given protocol.Assembly
	opened, closed := 0, 0
	foreign := protocol.Protocol{
		Name: "echo", DefaultPort: 7, Dialect: "echoes", Kinds: []proxy.Kind{proxy.KindConnect, proxy.KindStatement},
		Open: func(a protocol.Assembly) (*protocol.Service, error) {
			given = a
			opened++
			return &protocol.Service{
				Handler: func(resource string) (proxy.Handler, error) { return echo{resource}, nil },
				Limiter: echo{}, VerifyLogin: echo{}.VerifyLogin,
				Close: func() error { closed++; return nil },
			}, nil
		},
		Client: func(e protocol.Endpoint) (*protocol.Command, error) {
			return &protocol.Command{Program: "true", Args: append([]string{e.User, e.Host, e.Port}, e.Args...), Env: []string{"ECHO=" + e.Dir}}, nil
		},
	}
	o := options()
	o.Protocols = append(o.Protocols, foreign)
	dir := t.TempDir()
	parse := func(listen string) *config.File {
		text, err := os.ReadFile(configFile(t, strings.Replace(good, "listen: {", "data_dir: "+dir+"\nlisten: {"+listen, 1)+"  - {groups: [dev], resources: [far], allow: [connect]}\n"))
		require.NoError(t, err)
		f, err := config.Parse(filepath.Join(dir, "x.yaml"), []byte(strings.Replace(string(text), "resources:\n", "resources:\n  - {name: far, type: echo, address: far.internal, username: x, listen: \"127.0.0.1:7007\"}\n", 1)), o)
		require.NoError(t, err)
		return f
	}
	f := parse("echo: \"127.0.0.1:0\", ")
	g, err := build(f, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	require.Equal(t, 1, opened, "one service for all listeners")
	require.Equal(t, echo{}, g.handlers[protocol.Listener{Protocol: "echo", Address: "127.0.0.1:0"}])
	require.Equal(t, echo{"far"}, g.handlers[protocol.Listener{Protocol: "echo", Address: "127.0.0.1:7007", Resource: "far"}])
	require.Same(t, g.Gateway, given.Gateway)
	require.Equal(t, filepath.Join(dir, "echo"), given.Dir)
	require.NoDirExists(t, given.Dir)
	require.NotNil(t, given.TLS)
	require.True(t, given.RequireTLS)
	require.Equal(t, f.Listeners(), given.Listeners)
	require.Len(t, given.Resources(), 3)
	far := given.Resources()[0]
	require.Equal(t, "far.internal:7", far.Address)
	require.True(t, given.May(&proxy.Identity{Subject: "alice", Groups: []string{"dev"}}, proxy.Target{Resource: far, Account: far.Accounts[0]}))
	require.False(t, given.May(&proxy.Identity{Subject: "bob"}, proxy.Target{Resource: far, Account: far.Accounts[0]}))
	require.Contains(t, g.limiters(), "echoes")
	require.NoError(t, g.users.Certificate([]byte("echo of alice"), "alice"))
	require.ErrorContains(t, g.users.Certificate([]byte("echo of alice"), "bob"), "another's")
	require.ErrorIs(t, g.sampler().Sample(t.Context(), &proxy.Session{Protocol: "echo"}, "", "t", nil), proxy.ErrNotFound)
	require.NoError(t, g.close())
	require.Equal(t, 1, closed)

	list, err := entries(f, "alice")
	require.NoError(t, err)
	require.Equal(t, "far", list[0].Name)
	cmd, err := client(t.Context(), f, list[0], "", []string{"hello"})
	require.NoError(t, err)
	require.Equal(t, []string{"alice", "127.0.0.1", "7007", "hello"}, cmd.Args[1:])
	require.Contains(t, cmd.Env, "ECHO="+filepath.Join(dir, "echo"))
}

// What cannot be opened stops the start, and what was opened before is closed.
func TestProtocolThatCannotBeOpened(t *testing.T) {
	failing := errors.New("the disk is full")
	o := options()
	closed := false
	o.Protocols = []protocol.Protocol{
		{Name: "postgres", Databases: true, TLS: true, Open: func(protocol.Assembly) (*protocol.Service, error) {
			return &protocol.Service{Handler: func(string) (proxy.Handler, error) { return nil, failing }, Close: func() error { closed = true; return nil }}, nil
		}},
	}
	f, err := config.Load(configFile(t, good), o)
	require.NoError(t, err)
	_, err = build(f, slog.New(slog.DiscardHandler))
	require.ErrorIs(t, err, failing)
	require.True(t, closed)

	o.Protocols[0].Open = func(protocol.Assembly) (*protocol.Service, error) { return nil, failing }
	f, err = config.Load(configFile(t, good), o)
	require.NoError(t, err)
	_, err = build(f, slog.New(slog.DiscardHandler))
	require.ErrorIs(t, err, failing)
}
