package control

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net/http"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/identity/ca"
)

// CredentialRequest is the body of POST /v1/credentials: a public key. The private one does
// not leave the client.
type CredentialRequest struct {
	// CSR is a certificate request in PEM, signed by the key that it is about. Its names
	// are not looked at: the certificate says who the caller is. The key is for TLS and SSH.
	CSR string `json:"csr"`
}

// Credential is the answer to POST /v1/credentials.
type Credential struct {
	// User is what to log in as, alone or as "USER+RESOURCE".
	User    string    `json:"user"`
	Expires time.Time `json:"expires"`
	// Certificate is for TLS, in PEM.
	Certificate string `json:"certificate"`
	// SSHCertificate is a line as ssh reads it from a file whose name ends in -cert.pub.
	SSHCertificate string `json:"ssh_certificate,omitempty"`
	// Authorities are those by which clients know the gateway, in PEM, and KnownHosts what
	// SSH clients know it by.
	Authorities string `json:"authorities,omitempty"`
	KnownHosts  string `json:"known_hosts,omitempty"`
}

// maxCSR bounds a request for a certificate, in bytes.
const maxCSR = 16 << 10

// keys reads the key that is to be certified, for TLS and for SSH.
func (r *CredentialRequest) keys() (crypto.PublicKey, gossh.PublicKey, error) {
	block, rest := pem.Decode([]byte(r.CSR))
	if len(r.CSR) > maxCSR || block == nil || block.Type != "CERTIFICATE REQUEST" || len(bytes.TrimSpace(rest)) > 0 {
		return nil, nil, badRequest("csr: want one certificate request in PEM, of at most %d bytes", maxCSR)
	}
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return nil, nil, badRequest("csr: it cannot be read")
	}
	if err := csr.CheckSignature(); err != nil {
		return nil, nil, badRequest("csr: it is not signed by its key")
	}
	key, err := gossh.NewPublicKey(csr.PublicKey)
	if err != nil {
		return nil, nil, badRequest("csr: its key cannot be used for SSH: want ECDSA, Ed25519 or RSA")
	}
	return csr.PublicKey, key, nil
}

// certify gives who has logged in certificates of keys of her own.
func (h *Handler) certify(c *call) error {
	p := c.portal
	if p.Certificates == nil {
		return NotFound("this gateway gives no certificates")
	}
	var req CredentialRequest
	if err := c.body(&req); err != nil {
		return err
	}
	key, sshKey, err := req.keys()
	if err != nil {
		return err
	}
	life := p.Life
	if life <= 0 {
		life = DefaultLife
	}
	now := time.Now() // by which certificates are; it may be later than the store's, or earlier
	u := ca.User{
		Name: LoginName(c.who), Subject: c.who.Subject, Login: c.who.Claims[identity.ClaimLogin],
		Proven: c.who.AuthTime, Expires: now.Add(min(life, ca.MaxUserLife)).Truncate(time.Second),
	}
	if u.Proven.After(now) {
		u.Proven = now
	}
	if c.who.Claims[identity.ClaimIssuer] == "" { // a provider's are asked for with the login
		u.Methods = c.who.Claims[identity.ClaimMethods]
	}
	if !c.who.Expires.IsZero() && c.who.Expires.Before(u.Expires) {
		u.Expires = c.who.Expires
	}
	cert, err := p.Certificates.Sign(c.Context(), u, key)
	if err != nil {
		return signError(err)
	}
	sshCert, err := p.Certificates.SignSSH(c.Context(), u, sshKey)
	if err != nil {
		return signError(err)
	}
	// A login that ended before the signature was not there to revoke it.
	if err := c.again(); err != nil {
		return err
	}
	known, err := c.knownHosts()
	if err != nil {
		return err
	}
	what := "x509-" + cert.SerialNumber.Text(16) + " and ssh, until " + u.Expires.UTC().Format(time.RFC3339)
	if err := h.record(audit.Action{Type: audit.AdminCredential, By: c.who, Reason: what, Remote: c.RemoteAddr}); err != nil {
		return err
	}
	h.answer(c.w, http.StatusOK, Credential{
		User: u.Name, Expires: u.Expires, Authorities: p.authorities(), KnownHosts: known,
		Certificate:    string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})),
		SSHCertificate: string(gossh.MarshalAuthorizedKey(sshCert)),
	})
	return nil
}

// signError is why a key was not certified.
func signError(err error) error {
	if errors.Is(err, ca.ErrUnavailable) {
		return err
	}
	return badRequest("%v", err)
}
