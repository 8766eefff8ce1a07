package ssh

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/proxy"
)

// Authority signs SSH certificates. It has one key for each purpose, so that what was
// signed for one is worth nothing for another. A nil key means that this
// kind of certificate is not signed.
type Authority struct {
	// Hosts signs the gateway's host keys; clients trust it with a
	// "@cert-authority" line in known_hosts.
	Hosts gossh.Signer
	// Resources signs the keys that the gateway logs in to resources with; they
	// trust it with TrustedUserCAKeys.
	Resources gossh.Signer
}

// Lifetimes of certificates. Those of hosts and for resources are minted for
// each connection, so they need to outlive no more than its handshake.
const (
	backdate         = 2 * time.Minute // for clocks that are slow
	resourceLifetime = 5 * time.Minute
	hostLifetime     = 24 * time.Hour
)

// userExtensions are what a certificate for a resource permits; what it may be used for
// is for the gateway's rules.
func userExtensions() map[string]string {
	return map[string]string{
		"permit-pty": "", "permit-port-forwarding": "", "permit-agent-forwarding": "", "permit-X11-forwarding": "",
	}
}

// authority returns what signs now; nil: nothing does.
func (h *Handler) authority() *Authority {
	if h.Authority == nil {
		return nil
	}
	return h.Authority()
}

// SignHost certifies that key belongs to a host of these names.
func (a *Authority) SignHost(key gossh.PublicKey, names []string, expires time.Time) (*gossh.Certificate, error) {
	if len(names) == 0 {
		return nil, errors.New("a host certificate needs a name")
	}
	return sign(a.Hosts, &gossh.Certificate{
		Key: key, CertType: gossh.HostCert, KeyId: names[0], ValidPrincipals: names, ValidBefore: uint64(expires.Unix()),
	})
}

func sign(ca gossh.Signer, cert *gossh.Certificate) (*gossh.Certificate, error) {
	if ca == nil {
		return nil, errNoAuthority
	}
	if _, nested := cert.Key.(*gossh.Certificate); nested {
		return nil, errors.New("a certificate cannot be certified")
	}
	var serial [8]byte
	rand.Read(serial[:])
	cert.Serial = binary.BigEndian.Uint64(serial[:])
	cert.ValidAfter = uint64(time.Now().Add(-backdate).Unix())
	if cert.ValidBefore <= uint64(time.Now().Unix()) {
		return nil, errors.New("the certificate would have expired already")
	}
	if err := cert.SignCert(rand.Reader, ca); err != nil {
		return nil, err
	}
	return cert, nil
}

// certifyHost adds certificates of keys for names to config. Clients that trust
// the authority ask for them; others get the keys.
func (a *Authority) certifyHost(config *gossh.ServerConfig, keys []gossh.Signer, names []string) error {
	if a.Hosts == nil {
		return nil
	}
	for _, key := range keys {
		cert, err := a.SignHost(key.PublicKey(), names, time.Now().Add(hostLifetime))
		if err != nil {
			return err
		}
		signer, err := gossh.NewCertSigner(cert, key)
		if err != nil {
			return err
		}
		config.AddHostKey(signer)
	}
	return nil
}

// mint makes a key and its certificate for one login at the session's resource.
// The resource's own log then says whose session it is.
func (a *Authority) mint(s *proxy.Session) (gossh.Signer, error) {
	account := s.Target.Account.Username
	if account == "" {
		return nil, errors.New("resource " + s.Target.Resource.Name + " has no account to log in with")
	}
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	signer, err := gossh.NewSignerFromKey(private)
	if err != nil {
		return nil, err
	}
	cert, err := sign(a.Resources, &gossh.Certificate{
		Key: signer.PublicKey(), CertType: gossh.UserCert, ValidPrincipals: []string{account},
		KeyId:       "sallyport " + s.Identity.Subject + " " + s.ID,
		ValidBefore: uint64(time.Now().Add(resourceLifetime).Unix()),
		Permissions: gossh.Permissions{Extensions: userExtensions()},
	})
	if err != nil {
		return nil, err
	}
	return gossh.NewCertSigner(cert, signer)
}
