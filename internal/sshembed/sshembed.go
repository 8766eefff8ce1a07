//go:build unix

// Package sshembed is a small SSH server inside this process, for demos and
// tests: it runs sh, and OpenSSH's sftp-server where that is installed, as this
// process's user, in a folder of its own, on loopback, for who holds a key that is
// made anew each time.
package sshembed

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/subtle"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"

	gossh "golang.org/x/crypto/ssh"
)

// User is the only account.
const User = "demo"

// Config says how the server is to run. The zero value is good.
type Config struct {
	Dir   string // where its folder is made; empty is os.TempDir
	Shell string // empty is /bin/sh
}

// Server is a running server.
type Server struct {
	Address string // "127.0.0.1:port"
	// HostKey is its public key, as a line of authorized_keys.
	HostKey string
	// PrivateKey is the key that it accepts, in PEM.
	PrivateKey string
	// Home is the folder in which shells start. It goes with the server.
	Home string

	shell    string
	accepted []byte
	config   *gossh.ServerConfig
	listener net.Listener

	mu     sync.Mutex
	conns  map[net.Conn]struct{}
	closed bool
	work   sync.WaitGroup
}

// Start starts a server. A holder of the Server's PrivateKey can run commands
// as this process's user.
func Start(c Config) (*Server, error) {
	s := &Server{shell: c.Shell, conns: make(map[net.Conn]struct{})}
	if s.shell == "" {
		s.shell = "/bin/sh"
	}
	if _, err := os.Stat(s.shell); err != nil {
		return nil, fmt.Errorf("ssh server: %w", err)
	}
	host, _, err := newKey()
	if err != nil {
		return nil, fmt.Errorf("ssh server: %w", err)
	}
	client, private, err := newKey()
	if err != nil {
		return nil, fmt.Errorf("ssh server: %w", err)
	}
	s.HostKey = string(gossh.MarshalAuthorizedKey(host.PublicKey()))
	s.PrivateKey, s.accepted = private, client.PublicKey().Marshal()
	s.config = &gossh.ServerConfig{PublicKeyCallback: s.authenticate}
	s.config.AddHostKey(host)
	if s.Home, err = os.MkdirTemp(c.Dir, "sallyport-ssh"); err != nil {
		return nil, fmt.Errorf("ssh server: %w", err)
	}
	if s.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		os.RemoveAll(s.Home)
		return nil, fmt.Errorf("ssh server: %w", err)
	}
	s.Address = s.listener.Addr().String()
	s.work.Go(s.accept)
	return s, nil
}

func newKey() (gossh.Signer, string, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, "", err
	}
	signer, err := gossh.NewSignerFromKey(private)
	if err != nil {
		return nil, "", err
	}
	block, err := gossh.MarshalPrivateKey(private, "sallyport")
	if err != nil {
		return nil, "", err
	}
	return signer, string(pem.EncodeToMemory(block)), nil
}

// Stop ends the server and everything it runs, and removes its folder. It may be
// called more than once.
func (s *Server) Stop() error {
	s.mu.Lock()
	s.closed = true
	for c := range s.conns {
		c.Close()
	}
	s.mu.Unlock()
	s.listener.Close()
	s.work.Wait()
	return os.RemoveAll(s.Home)
}

var errRefused = errors.New("refused")

func (s *Server) authenticate(meta gossh.ConnMetadata, key gossh.PublicKey) (*gossh.Permissions, error) {
	if meta.User() != User || subtle.ConstantTimeCompare(key.Marshal(), s.accepted) != 1 {
		return nil, errRefused
	}
	return nil, nil
}

func (s *Server) accept() {
	for {
		c, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		if s.closed {
			s.mu.Unlock()
			c.Close()
			return
		}
		s.conns[c] = struct{}{}
		s.mu.Unlock()
		s.work.Go(func() {
			s.serve(c)
			c.Close()
			s.mu.Lock()
			delete(s.conns, c)
			s.mu.Unlock()
		})
	}
}

func (s *Server) serve(c net.Conn) {
	conn, channels, requests, err := gossh.NewServerConn(c, s.config)
	if err != nil {
		return
	}
	defer conn.Close()
	s.work.Go(func() { gossh.DiscardRequests(requests) })
	for nc := range channels {
		if nc.ChannelType() != "session" {
			nc.Reject(gossh.UnknownChannelType, "sessions only")
			continue
		}
		ch, requests, err := nc.Accept()
		if err != nil {
			return
		}
		s.work.Go(func() { (&session{server: s, channel: ch}).serve(requests) })
	}
}
