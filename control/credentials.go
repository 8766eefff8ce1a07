package control

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/identity/ca"
)

// CredentialRequest is the body of POST /v1/credentials: public keys. The private ones do
// not leave the client.
type CredentialRequest struct {
	// CSR is a certificate request in PEM, signed by the key that it is about. Its names
	// are not looked at: the certificate says who the caller is.
	CSR string `json:"csr"`
	// SSHKey is another key for SSH, as a line of authorized_keys; empty is the CSR's.
	SSHKey string `json:"ssh_key,omitempty"`
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

// keys reads the keys that are to be certified.
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
	if r.SSHKey == "" {
		key, err := gossh.NewPublicKey(csr.PublicKey)
		if err != nil {
			return nil, nil, badRequest("csr: its key cannot be used for SSH: want ECDSA, Ed25519 or RSA")
		}
		return csr.PublicKey, key, nil
	}
	key, _, options, rest, err := gossh.ParseAuthorizedKey([]byte(r.SSHKey))
	if err != nil || len(options) > 0 || len(bytes.TrimSpace(rest)) > 0 {
		return nil, nil, badRequest("ssh_key: want one line of authorized_keys, without options")
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
	now := time.Now()
	u := ca.User{
		Name: LoginName(c.who), Subject: c.who.Subject, Login: c.who.Claims[identity.ClaimLogin],
		Proven: c.who.AuthTime, Expires: now.Add(min(life, ca.MaxUserLife)).Truncate(time.Second),
	}
	if c.who.Claims[identity.ClaimIssuer] == "" { // a provider's are asked for with the login
		u.Methods = c.who.Claims[identity.ClaimMethods]
	}
	if !c.who.Expires.IsZero() && c.who.Expires.Before(u.Expires) {
		u.Expires = c.who.Expires
	}
	cert, err := p.Certificates.Sign(u, key)
	if err != nil {
		return badRequest("%v", err)
	}
	sshCert, err := p.Certificates.SignSSH(u, sshKey)
	if err != nil {
		return badRequest("%v", err)
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
