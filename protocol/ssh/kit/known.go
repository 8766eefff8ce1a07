package kit

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"

	gossh "golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/internal/firstseen"
	"github.com/sallyport/sallyport/protocol"
	"github.com/sallyport/sallyport/protocol/ssh"
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

// firstSeen are the keys that resources showed when they were first reached.
func (k *Kit) firstSeen() ssh.KnownHosts {
	if k.config.FirstSeen != nil {
		return k.config.FirstSeen
	}
	return firstseen.At(filepath.Join(k.config.Dir, protocol.FirstSeenFile))
}

// glance are known hosts to which none is added.
type glance struct{ ssh.KnownHosts }

// Remember takes a key for this time.
func (g glance) Remember(_ context.Context, _ string, key []byte) ([]byte, error) { return key, nil }
