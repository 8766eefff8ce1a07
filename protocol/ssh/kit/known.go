package kit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"

	gossh "golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/internal/firstseen"
	"github.com/sallyport/sallyport/internal/newfile"
	"github.com/sallyport/sallyport/protocol"
	"github.com/sallyport/sallyport/protocol/ssh"
)

// KnownHosts is the file in a kit's folder by which clients know the gateway: its
// keys and its authority, in the form that ssh reads.
func KnownHosts(dir string) string { return filepath.Join(dir, "gateway_known_hosts") }

// publish writes what others know the gateway by: the public keys of its authorities, and for clients its keys, with the authority that
// certifies it for the names of its resources. While one key of an authority takes the place of another, both are there.
func (k *Kit) publish(o *keys) error {
	k.publishing.Lock()
	defer k.publishing.Unlock()
	hosts, err := lines(o.authorities.hosts)
	if err != nil {
		return err
	}
	resources, err := lines(o.authorities.resources)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	for _, r := range k.resources() {
		if strings.ContainsAny(r.Name, "*?!,") {
			continue
		}
		for _, authority := range hosts {
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
	return errors.Join(
		newfile.Publish(filepath.Join(k.config.Dir, "hosts_ca.pub"), []byte(strings.Join(hosts, ""))),
		newfile.Publish(filepath.Join(k.config.Dir, "resources_ca.pub"), []byte(strings.Join(resources, ""))),
		newfile.Publish(KnownHosts(k.config.Dir), b.Bytes()),
	)
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
