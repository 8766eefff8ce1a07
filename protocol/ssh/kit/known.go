package kit

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"

	gossh "golang.org/x/crypto/ssh"
)

// KnownHosts is the file in a kit's folder by which clients know the gateway: its
// keys and its authority, in the form that ssh reads.
func KnownHosts(dir string) string { return filepath.Join(dir, "gateway_known_hosts") }

// writeKnownHosts writes what clients need to know the gateway by: its keys, and
// the authority that certifies it for the names of its resources.
func (k *Kit) writeKnownHosts(o *keys) error {
	var b bytes.Buffer
	authority := gossh.MarshalAuthorizedKey(o.authority.Hosts.PublicKey())
	for _, r := range k.resources() {
		if !strings.ContainsAny(r.Name, "*?!,") {
			fmt.Fprintf(&b, "@cert-authority %s %s", r.Name, authority)
		}
	}
	for _, l := range k.listeners() {
		host, port, err := net.SplitHostPort(l.Address)
		if l.Protocol != name || err != nil {
			continue
		}
		for _, key := range o.host {
			fmt.Fprintf(&b, "[%s]:%s %s", host, port, gossh.MarshalAuthorizedKey(key.PublicKey()))
		}
	}
	// Clients read it at any time: they see the one from before, or this one.
	file := KnownHosts(k.config.Dir)
	if err := os.WriteFile(file+".new", b.Bytes(), 0o644); err != nil {
		return err
	}
	return os.Rename(file+".new", file)
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
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if name, key, ok := strings.Cut(lines.Text(), " "); ok && name == resource {
			return base64.StdEncoding.DecodeString(key)
		}
	}
	return nil, lines.Err()
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

// glance are known hosts to which none is added.
type glance struct{ *knownHosts }

// Remember takes a key for this time.
func (g glance) Remember(_ context.Context, _ string, key []byte) ([]byte, error) { return key, nil }
