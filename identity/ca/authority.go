package ca

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/identity"
)

// Purpose is what an authority's certificates are for. Each has keys of its own, so that
// what was signed for one is worth nothing for another.
type Purpose string

// Purposes.
const (
	ForUsers   Purpose = "users"   // people and programs that have logged in
	ForServers Purpose = "servers" // the gateway, towards its clients
	ForAgents  Purpose = "agents"  // agents that dial out, and the gateway towards them

	ForHosts     Purpose = "ssh-hosts"     // the gateway, towards its clients of SSH
	ForResources Purpose = "ssh-resources" // the gateway, towards hosts that it logs in to by SSH
)

// KindAuthority is the kind of the authorities' documents.
const KindAuthority = "authority"

// Authority signs for one purpose, by keys that are kept in documents, sealed. While
// one key takes the place of another, both are trusted. It is safe for concurrent use.
type Authority struct {
	purpose Purpose
	docs    identity.Documents
	sealer  identity.Sealer
	now     func() time.Time

	mu   sync.RWMutex
	keys []*authorityKey // the oldest first
	ver  int64
}

// authorityKey is one key for certificates, and one for SSH's. Authorities for SSH alone have the second one only.
type authorityKey struct {
	keptKey
	cert   *x509.Certificate
	signer *ecdsa.PrivateKey
	login  crypto.Signer // the one for SSH
	ssh    gossh.Signer  // the same
}

// keptKey is a key as its document has it.
type keptKey struct {
	ID   string    `json:"id"`
	From time.Time `json:"from"`           // when it begins to sign
	End  time.Time `json:"until,omitzero"` // when it is not trusted any more; zero: it is the newest
	Cert []byte    `json:"certificate,omitempty"`
	Key  []byte    `json:"key,omitempty"` // sealed
	SSH  []byte    `json:"ssh"`           // sealed
}

// Options are those of OpenAuthority.
type Options struct {
	Documents identity.Documents
	Sealer    identity.Sealer
	// First returns the key that an authority for SSH begins with, such as one that was kept elsewhere. Nil: it begins with a new one.
	First func() (crypto.PrivateKey, error)
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// OpenAuthority reads the authority of a purpose, or makes it. Of several gateways that
// make it at once, all have the same.
func OpenAuthority(ctx context.Context, purpose Purpose, o Options) (*Authority, error) {
	if o.Documents == nil || o.Sealer == nil {
		return nil, fmt.Errorf("authority for %s: it needs documents, and what seals its keys", purpose)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	a := &Authority{purpose: purpose, docs: o.Documents, sealer: o.Sealer, now: o.Now}
	err := a.Load(ctx)
	if errors.Is(err, identity.ErrNoDocument) {
		if err = a.begin(ctx, o.First); err == nil || errors.Is(err, identity.ErrConflict) {
			err = a.Load(ctx)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("authority for %s: %w", purpose, err)
	}
	return a, nil
}

// begin makes the authority.
func (a *Authority) begin(ctx context.Context, first func() (crypto.PrivateKey, error)) error {
	var login crypto.PrivateKey
	if first != nil {
		var err error
		if login, err = first(); err != nil {
			return err
		}
	}
	k, err := a.newKey(a.now(), login)
	if err != nil {
		return err
	}
	return a.write(ctx, 0, []*authorityKey{k})
}

// Load reads the authority again, as after another gateway has changed it.
func (a *Authority) Load(ctx context.Context) error {
	d, err := a.docs.Get(ctx, KindAuthority, string(a.purpose))
	if err != nil {
		return err
	}
	var kept []keptKey
	if err := json.Unmarshal(d.Body, &kept); err != nil || len(kept) == 0 {
		return errors.New("its document cannot be read")
	}
	keys := make([]*authorityKey, len(kept))
	for i, k := range kept {
		if keys[i], err = a.open(k); err != nil {
			return fmt.Errorf("key %s: %w", k.ID, err)
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if d.Version >= a.ver {
		a.keys, a.ver = keys, d.Version
	}
	return nil
}

func (a *Authority) sealing(id, what string) string {
	return "authority " + string(a.purpose) + " " + id + " " + what
}

// What the two keys of an authority are sealed as.
const (
	forCertificates = "certificates"
	forLogins       = "logins"
)

func (a *Authority) seal(id, what string, key crypto.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return a.sealer.Seal(der, a.sealing(id, what))
}

func (a *Authority) unseal(id, what string, sealed []byte) (crypto.Signer, error) {
	der, err := a.sealer.Open(sealed, a.sealing(id, what))
	if err != nil {
		return nil, err
	}
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, errors.New("it cannot be read")
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, errors.New("it is not a key that signs")
	}
	return signer, nil
}

func (a *Authority) open(k keptKey) (*authorityKey, error) {
	out := &authorityKey{keptKey: k}
	var err error
	if out.login, err = a.unseal(k.ID, forLogins, k.SSH); err != nil {
		return nil, err
	}
	if out.ssh, err = gossh.NewSignerFromSigner(out.login); err != nil || a.purpose.ssh() {
		return out, err
	}
	if out.cert, err = x509.ParseCertificate(k.Cert); err != nil {
		return nil, err
	}
	key, err := a.unseal(k.ID, forCertificates, k.Key)
	if err != nil {
		return nil, err
	}
	var ok bool
	if out.signer, ok = key.(*ecdsa.PrivateKey); !ok {
		return nil, errors.New("it is not an ECDSA key")
	}
	if !out.signer.PublicKey.Equal(out.cert.PublicKey) {
		return nil, errors.New("it does not belong to its certificate")
	}
	return out, nil
}

// newLogin makes a key for SSH.
func (a *Authority) newLogin() (crypto.PrivateKey, error) {
	if a.purpose.ssh() { // all that may meet its certificates know Ed25519
		_, private, err := ed25519.GenerateKey(rand.Reader)
		return private, err
	}
	return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
}

// newKey makes a key that signs from a time on. login is the one for SSH; nil: it is a new one, too.
func (a *Authority) newKey(from time.Time, login crypto.PrivateKey) (*authorityKey, error) {
	k := keptKey{ID: rand.Text(), From: from}
	var err error
	if login == nil {
		if login, err = a.newLogin(); err != nil {
			return nil, err
		}
	}
	if k.SSH, err = a.seal(k.ID, forLogins, login); err != nil {
		return nil, err
	}
	if a.purpose.ssh() {
		return a.open(k)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	if k.Key, err = a.seal(k.ID, forCertificates, key); err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: "Sallyport authority for " + string(a.purpose), SerialNumber: k.ID},
		NotBefore: a.now().Add(-clockSkew), NotAfter: from.Add(authorityLife), IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	if k.Cert, err = x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key); err != nil {
		return nil, err
	}
	return a.open(k)
}

func (a *Authority) write(ctx context.Context, version int64, keys []*authorityKey) error {
	kept := make([]keptKey, len(keys))
	for i, k := range keys {
		kept[i] = k.keptKey
	}
	body, err := json.Marshal(kept)
	if err != nil {
		return err
	}
	_, err = a.docs.Write(ctx, KindAuthority, identity.Document{Name: string(a.purpose), Version: version, Body: body})
	return err
}

// Rotate has another key sign, beginning after announce: until then gateways and
// clients learn to trust it. What the one before has signed counts for overlap longer.
func (a *Authority) Rotate(ctx context.Context, announce, overlap time.Duration) error {
	if announce < 0 || overlap <= 0 {
		return errors.New("rotating an authority: what was signed has to count for a while")
	}
	if err := a.Load(ctx); err != nil {
		return err
	}
	from := a.now().Add(announce)
	k, err := a.newKey(from, nil)
	if err != nil {
		return err
	}
	a.mu.RLock()
	version := a.ver
	var keys []*authorityKey
	for _, old := range a.keys {
		if !old.End.IsZero() && !a.now().Before(old.End) {
			continue // forgotten
		}
		if old.End.IsZero() {
			ending := *old
			ending.End = from.Add(overlap)
			old = &ending
		}
		keys = append(keys, old)
	}
	a.mu.RUnlock()
	if err := a.write(ctx, version, append(keys, k)); err != nil {
		return fmt.Errorf("rotating the authority for %s: %w", a.purpose, err)
	}
	return a.Load(ctx)
}

// signing returns the key that signs now.
func (a *Authority) signing() *authorityKey {
	a.mu.RLock()
	defer a.mu.RUnlock()
	for i := len(a.keys) - 1; i > 0; i-- {
		if !a.now().Before(a.keys[i].From) {
			return a.keys[i]
		}
	}
	return a.keys[0]
}

// trusted returns the keys whose certificates count now, those to come too.
func (a *Authority) trusted() []*authorityKey {
	a.mu.RLock()
	defer a.mu.RUnlock()
	var list []*authorityKey
	for _, k := range a.keys {
		if k.End.IsZero() || a.now().Before(k.End) {
			list = append(list, k)
		}
	}
	return list
}

// Certificates are those of the keys that are trusted now, for clients and servers that
// trust the authority. Authorities for SSH have none.
func (a *Authority) Certificates() []*x509.Certificate {
	var list []*x509.Certificate
	for _, k := range a.trusted() {
		if k.cert != nil {
			list = append(list, k.cert)
		}
	}
	return list
}

// Pool trusts the authority only.
func (a *Authority) Pool() *x509.CertPool {
	p := x509.NewCertPool()
	for _, c := range a.Certificates() {
		p.AddCert(c)
	}
	return p
}

// SSHKeys are the public keys that sign SSH certificates, of those that are trusted now.
func (a *Authority) SSHKeys() []gossh.PublicKey {
	var list []gossh.PublicKey
	for _, k := range a.trusted() {
		list = append(list, k.ssh.PublicKey())
	}
	return list
}

// Signer is the key that signs SSH certificates now.
func (a *Authority) Signer() crypto.Signer { return a.signing().login }

// PublicKeys are those of SSHKeys, in the forms of the standard library.
func (a *Authority) PublicKeys() []crypto.PublicKey {
	var list []crypto.PublicKey
	for _, k := range a.trusted() {
		list = append(list, k.login.Public())
	}
	return list
}

// Server issues a certificate for a server of these names and addresses.
func (a *Authority) Server(names ...string) (tls.Certificate, error) {
	if a.purpose != ForServers {
		return tls.Certificate{}, fmt.Errorf("the authority for %s signs no servers", a.purpose)
	}
	k := a.signing()
	return server(k.cert, k.signer, a.now(), names)
}
