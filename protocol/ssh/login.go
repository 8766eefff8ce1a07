package ssh

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/proxy"
)

// Interactive leads a client through questions until it has something that the
// gateway's Authenticator can check (RFC 4256).
type Interactive interface {
	// Prove asks what it needs to ask and returns the proof, of
	// MethodInteractive or MethodPassword. ask shows instruction and returns one
	// answer a question; without questions it only shows the instruction. user is
	// what the client claims, and may be unknown: such a user is asked the same.
	Prove(ctx context.Context, user string, remote net.Addr, ask AskFunc) (proxy.Proof, error)
}

// AskFunc shows an instruction to the client and asks questions.
type AskFunc func(instruction string, questions ...Question) (answers []string, err error)

// Question is one prompt.
type Question struct {
	Prompt string
	Echo   bool // show what is typed
}

// proven is who a client is, and what its proof restricts it to.
type proven struct {
	login    proxy.Login
	identity *proxy.Identity
	limits   limits
}

// limits are a user certificate's restrictions, as OpenSSH reads them. The zero
// value restricts nothing.
type limits struct {
	certificate bool
	command     string // runs instead of whatever is asked for
	extensions  map[string]string
}

// permits reports whether a certificate's extension allows a feature; proofs of
// another kind allow all.
func (l *limits) permits(extension string) bool {
	if !l.certificate {
		return true
	}
	_, ok := l.extensions[extension]
	return ok
}

// provenKey is the key of the proof's result in gossh.Permissions: what the
// last successful callback returned is what counts, and nothing that an earlier
// one has seen.
type provenKey struct{}

func provenBy(client *gossh.ServerConn) (*proven, error) {
	if client.Permissions != nil {
		if who, ok := client.Permissions.ExtraData[provenKey{}].(*proven); ok {
			return who, nil
		}
	}
	return nil, proxy.ErrUnauthenticated
}

func (h *Handler) serverConfig(ctx context.Context, c *proxy.Conn) (*gossh.ServerConfig, error) {
	if len(h.HostKeys) == 0 {
		return nil, errors.New("the gateway has no host key")
	}
	l := &loginProcess{ctx: ctx, handler: h, conn: c}
	config := &gossh.ServerConfig{
		Config:                      h.config(false),
		PublicKeyAuthAlgorithms:     publicKeyAlgorithms(),
		PublicKeyCallback:           l.offered,
		VerifiedPublicKeyCallback:   l.signed,
		PasswordCallback:            l.password,
		KeyboardInteractiveCallback: l.interactive,
		ServerVersion:               version,
	}
	if c.IsKnown() {
		config.NoClientAuth, config.NoClientAuthCallback = true, l.known
	}
	var names []string
	if h.Names != nil {
		names = h.Names()
	}
	return config, h.addHostKeys(config, names)
}

// addHostKeys adds the gateway's host keys to config, and certificates of them for names.
func (h *Handler) addHostKeys(config *gossh.ServerConfig, names []string) error {
	keys := make([]gossh.Signer, len(h.HostKeys))
	for i, key := range h.HostKeys {
		var err error
		if keys[i], err = withoutSHA1(key); err != nil {
			return err
		}
		config.AddHostKey(keys[i])
	}
	authority := h.authority()
	if authority == nil || len(names) == 0 {
		return nil
	}
	return authority.certifyHost(config, keys, names)
}

// version is announced on both legs. OpenSSH offers some of its extensions only to
// peers of that name: without it, "ssh host yes | head -1" would never end, since
// the client would not tell that it reads no more (eow@openssh.com).
const version = "SSH-2.0-OpenSSH_9.9 Sallyport"

// publicKeyAlgorithms leaves out signatures with SHA-1 and DSA.
func publicKeyAlgorithms() []string { return gossh.SupportedAlgorithms().PublicKeyAuths }

// loginProcess is one client's attempts to log in, all by one goroutine.
type loginProcess struct {
	ctx     context.Context
	handler *Handler
	conn    *proxy.Conn
}

// known lets a client in that has proven who it is before.
func (l *loginProcess) known(meta gossh.ConnMetadata) (*gossh.Permissions, error) {
	login, err := proxy.ParseLogin(meta.User())
	if err != nil {
		return nil, err
	}
	id, err := l.conn.Known(l.ctx)
	if err != nil {
		return nil, err
	}
	return permissions(&proven{login: login, identity: id}), nil
}

var errUnacceptable = errors.New("this key cannot be used here")

// offered is asked about keys whose possession is not proven. It says only
// whether a signature is worth making.
func (l *loginProcess) offered(meta gossh.ConnMetadata, key gossh.PublicKey) (*gossh.Permissions, error) {
	login, err := proxy.ParseLogin(meta.User())
	if err != nil {
		return nil, err
	}
	perms := &gossh.Permissions{}
	cert, certified := key.(*gossh.Certificate)
	if certified {
		if err := checkUserCertificate(cert, time.Now()); err != nil {
			return nil, err
		}
		// The library holds the client to the addresses named here.
		perms.CriticalOptions = cert.CriticalOptions
	}
	if rsa, ok := key.(gossh.CryptoPublicKey); ok && tooSmall(rsa.CryptoPublicKey()) {
		return nil, errUnacceptable
	}
	if !certified && l.handler.KnowsKey != nil && !l.handler.KnowsKey(l.ctx, login.User, key.Marshal()) {
		return nil, errUnacceptable
	}
	return perms, nil
}

// signed is called when possession of key is proven.
func (l *loginProcess) signed(meta gossh.ConnMetadata, key gossh.PublicKey, perms *gossh.Permissions, _ string) (*gossh.Permissions, error) {
	proof := proxy.Proof{Method: proxy.MethodPublicKey, PublicKey: key.Marshal()}
	var lim limits
	if cert, ok := key.(*gossh.Certificate); ok {
		if err := checkUserCertificate(cert, time.Now()); err != nil {
			return nil, err
		}
		proof.Method = proxy.MethodSSHCertificate
		lim = limits{certificate: true, command: cert.CriticalOptions["force-command"], extensions: cert.Extensions}
	}
	granted, err := l.prove(meta, proof, lim)
	if err != nil {
		return nil, err
	}
	granted.CriticalOptions = perms.CriticalOptions
	return granted, nil
}

func (l *loginProcess) password(meta gossh.ConnMetadata, password []byte) (*gossh.Permissions, error) {
	if len(password) == 0 {
		return nil, proxy.ErrUnauthenticated
	}
	return l.prove(meta, proxy.Proof{Method: proxy.MethodPassword, Password: proxy.NewSecret(string(password))}, limits{})
}

func (l *loginProcess) interactive(meta gossh.ConnMetadata, challenge gossh.KeyboardInteractiveChallenge) (*gossh.Permissions, error) {
	login, err := proxy.ParseLogin(meta.User())
	if err != nil {
		return nil, err
	}
	ask := func(instruction string, questions ...Question) ([]string, error) {
		prompts, echos := make([]string, len(questions)), make([]bool, len(questions))
		for i, q := range questions {
			prompts[i], echos[i] = q.Prompt, q.Echo
		}
		return challenge("", instruction, prompts, echos)
	}
	if perms, err := l.link(login, ask); !errors.Is(err, proxy.ErrNoLink) {
		return perms, err
	}
	if l.handler.Interactive == nil {
		answers, err := ask("", Question{Prompt: "Password: "})
		if err != nil {
			return nil, err
		}
		if len(answers) != 1 {
			return nil, proxy.ErrUnauthenticated
		}
		return l.password(meta, []byte(answers[0]))
	}
	proof, err := l.handler.Interactive.Prove(l.ctx, login.User, meta.RemoteAddr(), ask)
	if err != nil {
		return nil, err
	}
	if proof.Method != proxy.MethodInteractive && proof.Method != proxy.MethodPassword {
		return nil, fmt.Errorf("interactive logins cannot prove %s", proof.Method)
	}
	return l.prove(meta, proof, limits{})
}

func (l *loginProcess) prove(meta gossh.ConnMetadata, p proxy.Proof, lim limits) (*gossh.Permissions, error) {
	login, err := proxy.ParseLogin(meta.User())
	if err != nil {
		return nil, err
	}
	p.User = login.User
	id, err := l.conn.Authenticate(l.ctx, p)
	if err != nil {
		return nil, err
	}
	return permissions(&proven{login: login, identity: id, limits: lim}), nil
}

func permissions(who *proven) *gossh.Permissions {
	return &gossh.Permissions{ExtraData: map[any]any{provenKey{}: who}}
}

// checkUserCertificate checks what makes a certificate one for users at all,
// signed by anybody; whether its signer is trusted is for the Authenticator.
// The signature itself is checked here too, so that an Authenticator that
// forgets it lets nobody in by that.
func checkUserCertificate(cert *gossh.Certificate, now time.Time) error {
	switch {
	case cert.CertType != gossh.UserCert:
		return errors.New("this is not a user certificate")
	case len(cert.ValidPrincipals) == 0:
		return errors.New("the certificate names no principal")
	}
	if _, nested := cert.SignatureKey.(*gossh.Certificate); nested {
		return errors.New("the certificate is signed by a certificate")
	}
	for option, value := range cert.CriticalOptions {
		if option != "source-address" && option != "force-command" || value == "" {
			return fmt.Errorf("the certificate's option %.40q is not known", option)
		}
	}
	checker := gossh.CertChecker{
		SupportedCriticalOptions: []string{"source-address", "force-command"},
		Clock:                    func() time.Time { return now },
	}
	if err := checker.CheckCert(cert.ValidPrincipals[0], cert); err != nil {
		return errors.New("the certificate is not valid: " + strings.TrimPrefix(err.Error(), "ssh: "))
	}
	if !slices.Contains(publicKeyAlgorithms(), cert.Signature.Format) {
		return errors.New("the certificate's signature uses an algorithm that is no longer safe")
	}
	return nil
}
