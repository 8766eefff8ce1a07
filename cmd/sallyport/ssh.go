package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	gossh "golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/internal/config"
	"github.com/sallyport/sallyport/protocol/ssh"
	"github.com/sallyport/sallyport/protocol/ssh/commandline"
	"github.com/sallyport/sallyport/proxy"
)

// sshHandler speaks SSH on one listener.
func (g *gateway) sshHandler(l config.Listener) (proxy.Handler, error) {
	dir := filepath.Join(g.config.Data(), "ssh")
	if g.hostKey == nil {
		key, err := hostKey(filepath.Join(dir, "host_key"))
		if err != nil {
			return nil, fmt.Errorf("SSH host key: %w", err)
		}
		g.hostKey = key
		if g.signer, err = openAuthority(dir); err != nil {
			return nil, fmt.Errorf("SSH authority: %w", err)
		}
		g.users.Certificate = g.signer.VerifyLogin
		if err := g.writeKnownHosts(filepath.Join(dir, knownGateway)); err != nil {
			return nil, err
		}
	}
	return &ssh.Handler{
		Resource: l.Resource, HostKeys: []gossh.Signer{g.hostKey}, Authority: g.signer, Names: g.names(),
		Reachable:  func(_ context.Context, id *proxy.Identity) []ssh.Choice { return g.reachable(id) },
		KnowsKey:   func(_ context.Context, user string, key []byte) bool { return g.users.KnowsKey(user, key) },
		KnownHosts: &knownHosts{file: filepath.Join(dir, "known_hosts")},
		Own:        g.addresses(), Grammar: &commandline.Grammar{},
	}, nil
}

// knownGateway is the file of the gateway's own host key, in the form that ssh
// reads.
const knownGateway = "gateway_known_hosts"

// addresses are those that the gateway listens on.
func (g *gateway) addresses() []netip.AddrPort {
	var list []netip.AddrPort
	for _, l := range g.config.Listeners() {
		if a, err := net.ResolveTCPAddr("tcp", l.Address); err == nil {
			list = append(list, a.AddrPort())
		}
	}
	return list
}

// reachable lists the SSH resources that id may connect to, each account of its
// own where there are several.
func (g *gateway) reachable(id *proxy.Identity) []ssh.Choice {
	var list []ssh.Choice
	for _, r := range g.resources {
		if r.Type != "ssh" {
			continue
		}
		for _, a := range r.Accounts {
			if !g.policy.May(id, proxy.Target{Resource: r, Account: a}) {
				continue
			}
			c := ssh.Choice{Resource: r.Name}
			if len(r.Accounts) > 1 {
				c.Account = a.Name
			}
			for _, k := range slices.Sorted(maps.Keys(r.Labels)) {
				c.About = strings.TrimSpace(c.About + " " + k + "=" + r.Labels[k])
			}
			list = append(list, c)
		}
	}
	return list
}

// names are the host names of the gateway's SSH listeners.
func (g *gateway) names() []string {
	names := []string{"localhost", "127.0.0.1", "::1"}
	if g.config.Domain != "" {
		names = append(names, g.config.Domain)
	}
	for _, l := range g.config.Listeners() {
		if host, _, err := net.SplitHostPort(l.Address); l.Protocol == "ssh" && err == nil && host != "" && !slices.Contains(names, host) {
			names = append(names, host)
		}
	}
	return names
}

// writeKnownHosts writes what clients need to know the gateway by: its key, and
// the authority that certifies it for the names of what lies behind it.
func (g *gateway) writeKnownHosts(file string) error {
	var b bytes.Buffer
	authority := gossh.MarshalAuthorizedKey(g.signer.Hosts.PublicKey())
	for _, r := range g.config.Resources {
		if r.Type == "ssh" && !strings.ContainsAny(r.Name, "*?!,") {
			fmt.Fprintf(&b, "@cert-authority %s %s", r.Name, authority)
		}
	}
	for _, l := range g.config.Listeners() {
		host, port, err := net.SplitHostPort(l.Address)
		if l.Protocol != "ssh" || err != nil {
			continue
		}
		fmt.Fprintf(&b, "[%s]:%s %s", host, port, gossh.MarshalAuthorizedKey(g.hostKey.PublicKey()))
	}
	return os.WriteFile(file, b.Bytes(), 0o644)
}

// hostKey reads a private key, or makes one.
func hostKey(file string) (gossh.Signer, error) {
	b, err := os.ReadFile(file)
	if err == nil {
		return gossh.ParsePrivateKey(b)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	block, err := gossh.MarshalPrivateKey(private, "sallyport")
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return nil, err
	}
	if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
		return nil, err
	}
	return gossh.NewSignerFromKey(private)
}

// knownHosts keeps the first host keys of resources that trust them, a line each:
// name and key.
type knownHosts struct {
	file string
	mu   sync.Mutex
}

// Known returns the key that a resource showed first.
func (k *knownHosts) Known(_ context.Context, resource string) ([]byte, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.find(resource)
}

func (k *knownHosts) find(resource string) ([]byte, error) {
	f, err := os.Open(k.file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if name, key, ok := strings.Cut(lines.Text(), " "); ok && name == resource {
			return base64.StdEncoding.DecodeString(key)
		}
	}
	return nil, nil
}

// Remember keeps a resource's first key.
func (k *knownHosts) Remember(_ context.Context, resource string, key []byte) ([]byte, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if known, err := k.find(resource); known != nil || err != nil {
		return known, err
	}
	f, err := os.OpenFile(k.file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	_, err = fmt.Fprintf(f, "%s %s\n", resource, base64.StdEncoding.EncodeToString(key))
	return key, errors.Join(err, f.Close())
}

// sshConfig prints what makes ssh, scp, rsync and whatever builds on them reach
// the resources by their names.
func sshConfig(_ context.Context, c *cli, args []string) error {
	f := c.flags("ssh-config")
	file, user := configFlag(f), f.String("u", os.Getenv("USER"), "log in as this `user`")
	if err := parse(f, args, 0); err != nil {
		return err
	}
	cfg, err := load(c, *file)
	if err != nil {
		return err
	}
	list, err := entries(cfg, *user)
	if err != nil {
		return err
	}
	known, err := filepath.Abs(filepath.Join(cfg.Data(), "ssh", knownGateway))
	if err != nil {
		return err
	}
	for _, e := range list {
		host, port, err := net.SplitHostPort(e.Listen)
		if e.Type != "ssh" || err != nil {
			continue
		}
		fmt.Fprintf(c.out, "Host %s\n  HostName %s\n  Port %s\n  User %s\n  UserKnownHostsFile %q\n", e.Name, host, port, e.User, known)
	}
	return nil
}
