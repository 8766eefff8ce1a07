package ca

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/proxy"
)

// KindRevocation is the kind of the documents that say which certificates do not count.
const KindRevocation = "revocation"

// MaxUserLife is how long a user's certificate may be valid. It has no groups: these are
// asked for whenever it is used.
const MaxUserLife = 24 * time.Hour

// Users gives certificates to those who have logged in, and is an authenticator of them.
// It is safe for concurrent use. Its fields are set before it is used.
type Users struct {
	Authority *Authority // for ForUsers
	Documents identity.Documents
	// Owner returns who a subject is now, with groups, or an error when she is gone. The
	// identity is of the login that login names, when that is still there.
	Owner func(ctx context.Context, subject, login string) (*proxy.Identity, error)
	// Changed is told of what was revoked; nil tells nobody.
	Changed func(identity.Change)
}

// User is what a certificate says.
type User struct {
	// Name is what the user logs in as: the certificate counts for that name only.
	Name string
	// Subject is who it is.
	Subject string
	// Login is the login that the certificate was given for.
	Login string
	// Proven is when the user has proven herself, and Methods is how, as identity.ClaimMethods
	// has it; empty where her login says it.
	Proven  time.Time
	Methods string
	// Expires is when the certificate ends.
	Expires time.Time

	// issued orders the certificate among those of its subject that were revoked.
	issued time.Time
}

// extension names what an SSH certificate says besides its principal.
const extension = "identity@sallyport"

// encode returns what a certificate says, as a URI.
func (u *User) encode() *url.URL {
	q := url.Values{"issued": {strconv.FormatInt(u.issued.UnixMilli(), 10)}, "proven": {strconv.FormatInt(u.Proven.Unix(), 10)}, "subject": {u.Subject}}
	if u.Login != "" {
		q.Set("login", u.Login)
	}
	if u.Methods != "" {
		q.Set("methods", u.Methods)
	}
	return &url.URL{Scheme: "sallyport", Host: "user", RawQuery: q.Encode()}
}

func decodeUser(text string) (*User, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "sallyport" || u.Host != "user" {
		return nil, errNotUser
	}
	q := u.Query()
	issued, err1 := strconv.ParseInt(q.Get("issued"), 10, 64)
	proven, err2 := strconv.ParseInt(q.Get("proven"), 10, 64)
	if err1 != nil || err2 != nil || q.Get("subject") == "" {
		return nil, errNotUser
	}
	return &User{Subject: q.Get("subject"), Login: q.Get("login"), Methods: q.Get("methods"), Proven: time.Unix(proven, 0), issued: time.UnixMilli(issued)}, nil
}

var errNotUser = errors.New("the certificate is not one that users log in with")

// ErrUnavailable is wrapped by errors of what could not be asked or written.
var ErrUnavailable = errors.New("the documents of certificates do not answer")

// prepare returns when the certificate is made.
func (c *Users) prepare(ctx context.Context, u *User, key any) (now time.Time, err error) {
	if c.Authority == nil || c.Authority.purpose != ForUsers {
		return now, errors.New("certificates of users need the authority for users")
	}
	now = c.Authority.now()
	if err := check(u, key, now); err != nil {
		return now, err
	}
	before, err := c.revocation(ctx, revokedSubject(u.Subject))
	if err != nil {
		return now, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	u.issued = now
	if !now.After(before.Before) { // of a gateway whose clock may be ahead
		u.issued = before.Before.Add(tick)
	}
	return now, nil
}

// tick is the shortest time between two certificates of which one is revoked: these say
// milliseconds.
const tick = time.Millisecond

func check(u *User, key any, now time.Time) error {
	if err := identity.ValidName(u.Name); err != nil {
		return fmt.Errorf("a user's certificate: %w", err)
	}
	switch life := u.Expires.Sub(now); {
	case u.Subject == "":
		return errors.New("a user's certificate needs a subject")
	case life <= 0 || life > MaxUserLife:
		return fmt.Errorf("a user's certificate is valid for up to %s, got %s", MaxUserLife, life.Round(time.Second))
	case u.Proven.IsZero() || u.Proven.After(now.Add(clockSkew)):
		return errors.New("a user's certificate says when she has proven herself")
	}
	switch k := key.(type) {
	case *ecdsa.PublicKey, ed25519.PublicKey:
		return nil
	case *rsa.PublicKey:
		if k.N.BitLen() >= 2048 && k.N.BitLen() <= 8192 {
			return nil
		}
	}
	return errors.New("a user's key is of ECDSA, Ed25519, or RSA with 2048 to 8192 bits")
}

// Sign certifies for TLS that key is a user's.
func (c *Users) Sign(ctx context.Context, u User, key crypto.PublicKey) (*x509.Certificate, error) {
	now, err := c.prepare(ctx, &u, key)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: u.Name}, URIs: []*url.URL{u.encode()},
		NotBefore: now.Add(-clockSkew), NotAfter: u.Expires, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	by := c.Authority.signing()
	der, err := x509.CreateCertificate(rand.Reader, template, by.cert, key, by.signer)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// SignSSH certifies for SSH that key is a user's.
func (c *Users) SignSSH(ctx context.Context, u User, key gossh.PublicKey) (*gossh.Certificate, error) {
	plain, ok := key.(gossh.CryptoPublicKey)
	if _, nested := key.(*gossh.Certificate); !ok || nested {
		return nil, errors.New("a user's key is of ECDSA, Ed25519, or RSA with 2048 to 8192 bits")
	}
	now, err := c.prepare(ctx, &u, plain.CryptoPublicKey())
	if err != nil {
		return nil, err
	}
	cert := &gossh.Certificate{
		Key: key, CertType: gossh.UserCert, KeyId: u.Subject, ValidPrincipals: []string{u.Name}, Serial: new(big.Int).Rsh(serial(), 64).Uint64(),
		ValidAfter: uint64(now.Add(-clockSkew).Unix()), ValidBefore: uint64(u.Expires.Unix()),
		Permissions: gossh.Permissions{Extensions: map[string]string{
			"permit-pty": "", "permit-port-forwarding": "", "permit-agent-forwarding": "", "permit-X11-forwarding": "", extension: u.encode().String(),
		}},
	}
	return cert, cert.SignCert(rand.Reader, c.Authority.signing().ssh)
}

// verified is what a certificate proves.
type verified struct {
	*User
	id string // by which it can be revoked
}

// Issued reports whether a TLS certificate is one that the authority has signed, whether
// it still counts or not. Others prove nobody here: clients send what they have.
func (c *Users) Issued(cert *x509.Certificate) bool {
	return slices.ContainsFunc(c.Authority.Certificates(), func(by *x509.Certificate) bool { return cert.CheckSignatureFrom(by) == nil })
}

// verify reads a user's certificate for TLS.
func (c *Users) verify(chain []*x509.Certificate) (*verified, error) {
	if len(chain) == 0 {
		return nil, errNotUser
	}
	leaf := chain[0]
	// Without intermediates: the authority signs users itself, and what the client sends
	// besides is not looked at.
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: c.Authority.Pool(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, CurrentTime: c.Authority.now()}); err != nil {
		return nil, err
	}
	if len(leaf.URIs) != 1 || leaf.IsCA {
		return nil, errNotUser
	}
	u, err := decodeUser(leaf.URIs[0].String())
	if err != nil {
		return nil, err
	}
	u.Name, u.Expires = leaf.Subject.CommonName, leaf.NotAfter
	return &verified{u, "x509-" + hex.EncodeToString(leaf.SerialNumber.Bytes())}, nil
}

// verifySSH reads a user's certificate for SSH.
func (c *Users) verifySSH(wire []byte, name string) (*verified, error) {
	key, err := gossh.ParsePublicKey(wire)
	cert, ok := key.(*gossh.Certificate)
	if err != nil || !ok || cert.CertType != gossh.UserCert {
		return nil, errNotUser
	}
	checker := &gossh.CertChecker{Clock: c.Authority.now, IsUserAuthority: func(by gossh.PublicKey) bool {
		return slices.ContainsFunc(c.Authority.SSHKeys(), func(k gossh.PublicKey) bool { return bytes.Equal(k.Marshal(), by.Marshal()) })
	}}
	if !checker.IsUserAuthority(cert.SignatureKey) {
		return nil, errors.New("the certificate is signed by another authority")
	}
	if len(cert.ValidPrincipals) != 1 {
		return nil, errNotUser
	}
	if err := checker.CheckCert(name, cert); err != nil { // refuses critical options, of which none is signed
		return nil, err
	}
	u, err := decodeUser(cert.Extensions[extension])
	if err != nil {
		return nil, err
	}
	u.Name, u.Expires = cert.ValidPrincipals[0], time.Unix(int64(cert.ValidBefore), 0)
	return &verified{u, "ssh-" + strconv.FormatUint(cert.Serial, 16)}, nil
}

// Authenticate implements [proxy.Authenticator].
func (c *Users) Authenticate(ctx context.Context, p proxy.Proof) (*proxy.Identity, error) {
	var v *verified
	var err error
	switch p.Method {
	case proxy.MethodCertificate:
		v, err = c.verify(p.Certificates)
	case proxy.MethodSSHCertificate:
		v, err = c.verifySSH(p.PublicKey, p.User)
	default:
		return nil, proxy.ErrUnauthenticated
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", proxy.ErrUnauthenticated, err)
	}
	if v.Name != p.User {
		return nil, fmt.Errorf("%w: the certificate is another user's", proxy.ErrUnauthenticated)
	}
	if err := c.revoked(ctx, v.Subject, v.Login, v.id, v.issued); err != nil {
		return nil, fmt.Errorf("%w: %w", proxy.ErrUnauthenticated, err)
	}
	id, err := c.owner(ctx, v.Subject, v.Login)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", proxy.ErrUnauthenticated, err)
	}
	now := *id
	now.Claims = maps.Clone(id.Claims)
	if now.Claims == nil {
		now.Claims = make(map[string]string)
	}
	if v.Login != "" {
		now.Claims[identity.ClaimLogin] = v.Login
	}
	if v.Methods != "" {
		now.Claims[identity.ClaimMethods] = v.Methods
	}
	now.Claims[identity.ClaimCertificate], now.Claims[claimIssued] = v.id, strconv.FormatInt(v.issued.UnixMilli(), 10)
	now.Method, now.AuthTime = p.Method, v.Proven
	if now.Expires.IsZero() || v.Expires.Before(now.Expires) {
		now.Expires = v.Expires
	}
	return &now, nil
}

// claimIssued is when the certificate was signed that proved an identity.
const claimIssued = "certificate_issued"

func (c *Users) owner(ctx context.Context, subject, login string) (*proxy.Identity, error) {
	if c.Owner == nil {
		return nil, errors.New("nobody knows the certificate's user")
	}
	id, err := c.Owner(ctx, subject, login)
	if err != nil {
		return nil, err
	}
	if id == nil || id.Subject != subject {
		return nil, errors.New("the certificate's user is gone")
	}
	return id, nil
}

// Refresh implements [proxy.Refresher] for identities that a certificate has proven.
func (c *Users) Refresh(ctx context.Context, id *proxy.Identity) (*proxy.Identity, error) {
	issued, err := strconv.ParseInt(id.Claims[claimIssued], 10, 64)
	if err != nil {
		return nil, errNotUser
	}
	if err := c.revoked(ctx, id.Subject, id.Claims[identity.ClaimLogin], id.Claims[identity.ClaimCertificate], time.UnixMilli(issued)); err != nil {
		return nil, err
	}
	owner, err := c.owner(ctx, id.Subject, id.Claims[identity.ClaimLogin])
	if err != nil {
		return nil, err
	}
	if owner.Kind != id.Kind || owner.OnBehalfOf != id.OnBehalfOf {
		return nil, errors.New("the certificate's user has changed: connect again")
	}
	if slices.Equal(owner.Groups, id.Groups) {
		return id, nil
	}
	now := *id
	now.Groups = slices.Clone(owner.Groups)
	return &now, nil
}

// revocation is a document of KindRevocation.
type revocation struct {
	Before time.Time `json:"before"` // those that were signed by then do not count
	Reason string    `json:"reason"`
}

// ErrRevoked says that a certificate does not count any more.
var ErrRevoked = errors.New("the certificate was revoked")

func revokedSubject(subject string) string {
	sum := sha256.Sum256([]byte(subject))
	return "subject-" + hex.EncodeToString(sum[:])
}

func revokedLogin(login string) string {
	sum := sha256.Sum256([]byte(login))
	return "login-" + hex.EncodeToString(sum[:])
}

func (c *Users) revoked(ctx context.Context, subject, login, id string, issued time.Time) error {
	names := []string{id, revokedSubject(subject)}
	if login != "" {
		names = append(names, revokedLogin(login))
	}
	for _, name := range names {
		r, err := c.revocation(ctx, name)
		if err != nil {
			return err
		}
		if !issued.After(r.Before) {
			return ErrRevoked
		}
	}
	return nil
}

// revocation returns what a document of KindRevocation says; the zero value when it does not exist.
func (c *Users) revocation(ctx context.Context, name string) (r revocation, err error) {
	d, err := c.Documents.Get(ctx, KindRevocation, name)
	if errors.Is(err, identity.ErrNoDocument) {
		return r, nil
	}
	if err != nil {
		return r, fmt.Errorf("asking whether the certificate was revoked: %w", err)
	}
	if err := json.Unmarshal(d.Body, &r); err != nil {
		return r, fmt.Errorf("revocation %s cannot be read", name)
	}
	return r, nil
}

// Revoke has one certificate count no more, by the identifier that its sessions have as
// identity.ClaimCertificate. Sessions that it has proven end.
func (c *Users) Revoke(ctx context.Context, subject, id, reason string) error {
	if !strings.HasPrefix(id, "x509-") && !strings.HasPrefix(id, "ssh-") {
		return fmt.Errorf("revoking %q: want the identifier of a certificate, x509-… or ssh-…", id)
	}
	return c.revoke(ctx, id, reason, MaxUserLife, identity.Change{Subject: subject, Certificate: id})
}

// RevokeAll has the certificates of a subject that were signed until now count no more, also
// by gateways whose clocks are ahead. Who logs in again is given one that counts.
func (c *Users) RevokeAll(ctx context.Context, subject, reason string) error {
	return c.revoke(ctx, revokedSubject(subject), reason, clockSkew, identity.Change{Subject: subject})
}

// RevokeLogin has the certificates that were given for one login count no more, such as when
// the user logs out where she has logged in: the login is over.
func (c *Users) RevokeLogin(ctx context.Context, subject, login, reason string) error {
	if login == "" {
		return errors.New("revoking the certificates of a login: the login is not named")
	}
	return c.revoke(ctx, revokedLogin(login), reason, MaxUserLife, identity.Change{Subject: subject, Login: login})
}

// revoke has certificates count no more that say that they were signed until some time from
// now: what is given anew is signed as if it were later, and of a certificate or a login
// nobody is given anything anew.
func (c *Users) revoke(ctx context.Context, name, reason string, ahead time.Duration, change identity.Change) error {
	for {
		r := revocation{c.Authority.now().Add(ahead), reason}
		if was, err := c.revocation(ctx, name); err != nil {
			return err
		} else if !r.Before.After(was.Before) {
			r.Before = was.Before.Add(tick)
		}
		body, err := json.Marshal(r)
		if err != nil {
			return err
		}
		d, err := c.Documents.Get(ctx, KindRevocation, name)
		if err != nil && !errors.Is(err, identity.ErrNoDocument) {
			return err
		}
		// After the longest life every certificate that it is about has expired.
		d.Name, d.Body, d.Expires = name, body, c.Authority.now().Add(MaxUserLife+3*clockSkew)
		if _, err = c.Documents.Write(ctx, KindRevocation, d); errors.Is(err, identity.ErrConflict) {
			continue
		}
		if err == nil && c.Changed != nil {
			change.Ended, change.Reason = true, "your certificate was revoked"
			c.Changed(change)
		}
		return err
	}
}
