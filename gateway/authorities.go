package gateway

import (
	"context"
	"crypto"
	"encoding/pem"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"

	"github.com/sallyport/sallyport/gateway/config"
	"github.com/sallyport/sallyport/identity/ca"
	"github.com/sallyport/sallyport/internal/newfile"
	"github.com/sallyport/sallyport/protocol"
)

// openAuthority opens the authority of that name of a protocol, for all gateways on the store.
func (s *state) openAuthority(of, name string, first func() (crypto.PrivateKey, error)) (*ca.Authority, error) {
	purpose, err := ca.ParsePurpose(of + "-" + name)
	if err != nil {
		return nil, err
	}
	o := s.authorities()
	o.First = first
	return ca.OpenAuthority(context.Background(), purpose, o)
}

// published are the authorities of protocols, and what those who trust an authority were told last.
type published struct {
	writing sync.Mutex // of the file of certificates

	mu     sync.Mutex // of what follows
	opened []*ca.Authority
	keys   string // that are trusted, of all authorities; empty: nobody was told
	failed string // why nobody could be told, as it was logged
}

// openAuthority is the state's. The gateway follows the authority from then on.
func (g *Gateway) openAuthority(of, name string, first func() (crypto.PrivateKey, error)) (protocol.Authority, error) {
	a, err := g.state.openAuthority(of, name, first)
	if err != nil {
		return nil, err
	}
	g.published.mu.Lock()
	defer g.published.mu.Unlock()
	g.published.opened = append(g.published.opened, a)
	return a, nil
}

// authorities are all that the gateway has.
func (g *Gateway) authorities() []*ca.Authority {
	list := []*ca.Authority{g.proofs.certificates.Authority, g.authority}
	if g.agents != nil {
		list = append(list, g.agents.registry.Authority)
	}
	g.published.mu.Lock()
	defer g.published.mu.Unlock()
	return append(list, g.published.opened...)
}

// loadAuthorities reads the authorities again, and tells those who trust them of their keys.
func (g *Gateway) loadAuthorities(ctx context.Context) error {
	var errs []error
	for _, a := range g.authorities() {
		errs = append(errs, a.Load(ctx))
	}
	return errors.Join(append(errs, g.publish())...)
}

// publish writes the files by which others trust the authorities, once other keys of these are trusted than were: another gateway
// has announced one, or the time of one is over.
func (g *Gateway) publish() error {
	var keys strings.Builder
	for _, a := range g.authorities() {
		for _, k := range a.Keys() {
			fmt.Fprintf(&keys, "%s %s\n", a.Purpose(), k.ID)
		}
	}
	g.published.mu.Lock()
	told := g.published.keys == keys.String()
	g.published.mu.Unlock()
	if told {
		return nil
	}
	if err := errors.Join(g.publishAuthority(g.parts().config), g.revised()); err != nil {
		return err
	}
	g.published.mu.Lock()
	defer g.published.mu.Unlock()
	g.published.keys = keys.String()
	return nil
}

// keepPublished is publish, now and then. An error is logged once.
func (g *Gateway) keepPublished() {
	err := g.publish()
	g.published.mu.Lock()
	defer g.published.mu.Unlock()
	if err == nil {
		g.published.failed = ""
	} else if g.published.failed != err.Error() {
		g.published.failed = err.Error()
		g.log.Error("the files by which others trust the gateway's authorities cannot be written: it is tried again", "err", err)
	}
}

// AuthorityFile is where a gateway of f writes the certificates of its own authority, for clients
// that trust it by them.
func AuthorityFile(f *config.File) string { return filepath.Join(f.Data(), "ca", "ca.pem") }

// publishAuthority writes the certificates of the authority that certifies the gateway to their file, unless it has them already.
// Those who read it at any time see those from before, or these.
func (g *Gateway) publishAuthority(f *config.File) error {
	var text []byte
	for _, cert := range g.authority.Certificates() {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})...)
	}
	g.published.writing.Lock()
	defer g.published.writing.Unlock()
	return newfile.Publish(AuthorityFile(f), text)
}
