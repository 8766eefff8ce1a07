package ssh

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/internal/sshconn"
	"github.com/sallyport/sallyport/proxy"
)

// upstream is the gateway's own connection to the resource.
type upstream struct {
	gossh.Conn
	raw      net.Conn
	channels <-chan gossh.NewChannel
	requests <-chan *gossh.Request
	banner   string
	ended    chan struct{} // closed when the connection has ended, and why is known
}

const (
	upstreamHandshake = 20 * time.Second
	maxBanner         = 16 << 10
)

// errNotAccepted says that the resource did not take the gateway's credential.
// It names neither the account nor how it was tried.
var errNotAccepted = errors.New("the resource does not accept the gateway's credential")

// dial connects to the session's resource and logs in. A credential that is
// refused is fetched afresh once, as after a rotation.
func (h *Handler) dial(ctx context.Context, s *proxy.Session, set *Settings) (*upstream, error) {
	up, err := h.dialOnce(ctx, s, set, false)
	if errors.Is(err, errNotAccepted) && !set.Mint {
		up, err = h.dialOnce(ctx, s, set, true)
	}
	return up, err
}

func (h *Handler) dialOnce(ctx context.Context, s *proxy.Session, set *Settings, fresh bool) (*upstream, error) {
	name, address := s.Target.Resource.Name, s.Target.Resource.Address
	keys, err := h.hostKeys(ctx, name, address, set)
	if err != nil {
		return nil, err
	}
	user, methods, err := h.upstreamLogin(ctx, s, set, fresh)
	if err != nil {
		return nil, err
	}
	raw, err := s.Dial(ctx)
	if err != nil {
		return nil, &dialError{resource: name, err: err}
	}
	if err := raw.SetDeadline(time.Now().Add(upstreamHandshake)); err != nil {
		raw.Close()
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { raw.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	up := &upstream{raw: raw, ended: make(chan struct{})}
	config := &gossh.ClientConfig{
		Config: h.config(set.Legacy), User: user, Auth: methods, ClientVersion: version,
		HostKeyCallback: keys.check, HostKeyAlgorithms: keys.algorithms(),
		BannerCallback: func(text string) error {
			up.banner += text[:min(len(text), maxBanner-len(up.banner))]
			return nil
		},
	}
	up.Conn, up.channels, up.requests, err = gossh.NewClientConn(raw, address, config)
	var unmatched *gossh.AlgorithmNegotiationError
	switch {
	case err == nil:
	case keys.failure != nil:
		return nil, keys.failure
	case errors.As(err, &unmatched) && unmatched.What == "host key":
		return nil, keys.otherKind(unmatched.RequestedAlgorithms)
	case strings.Contains(err.Error(), "unable to authenticate"):
		return nil, errNotAccepted
	case unmatched != nil:
		return nil, fmt.Errorf("resource %s: %s", name, strings.TrimPrefix(err.Error(), "ssh: handshake failed: "))
	default:
		return nil, &dialError{resource: name, err: err}
	}
	up.Conn = sshconn.Ending(up.Conn, up.ended)
	return up, raw.SetDeadline(time.Time{})
}

// upstreamLogin returns the account's name at the resource and how it is proven.
func (h *Handler) upstreamLogin(ctx context.Context, s *proxy.Session, set *Settings, fresh bool) (string, []gossh.AuthMethod, error) {
	if set.Mint {
		authority := h.authority()
		if authority == nil {
			return "", nil, errNoAuthority
		}
		signer, err := authority.mint(s)
		if err != nil {
			return "", nil, err
		}
		return s.Target.Account.Username, []gossh.AuthMethod{gossh.PublicKeys(signer)}, nil
	}
	cred, err := s.Credential(ctx, fresh)
	if err != nil {
		return "", nil, err
	}
	user := cred.Username
	if user == "" {
		user = s.Target.Account.Username
	}
	if user == "" {
		return "", nil, fmt.Errorf("resource %s has no account to log in with", s.Target.Resource.Name)
	}
	var methods []gossh.AuthMethod
	if !cred.PrivateKey.Empty() {
		signer, err := parseSigner(cred)
		if err != nil {
			return "", nil, err
		}
		methods = append(methods, gossh.PublicKeys(signer))
	}
	if !cred.Password.Empty() {
		secret := cred.Password.Reveal()
		methods = append(methods, gossh.Password(secret), gossh.KeyboardInteractive(answerWith(secret)))
	}
	return user, methods, nil
}

// answerWith answers one hidden question with secret, which is how servers ask
// for a password by keyboard-interactive. It gives it once, and to no question
// that would be shown while it is answered.
func answerWith(secret string) gossh.KeyboardInteractiveChallenge {
	given := false
	return func(_, _ string, questions []string, echos []bool) ([]string, error) {
		if len(questions) == 0 {
			return nil, nil
		}
		if len(questions) != 1 || echos[0] || given {
			return nil, errors.New("the resource asks questions that the gateway cannot answer")
		}
		given = true
		return []string{secret}, nil
	}
}

// parseSigner reads a private key and its certificate. Errors say nothing of
// their content.
func parseSigner(cred proxy.Credential) (gossh.Signer, error) {
	signer, err := gossh.ParsePrivateKey([]byte(cred.PrivateKey.Reveal()))
	if err != nil {
		return nil, &keyError{err}
	}
	if cred.Certificate == "" {
		return signer, nil
	}
	key, _, _, _, err := gossh.ParseAuthorizedKey([]byte(cred.Certificate))
	if err != nil {
		return nil, errors.New("the gateway's certificate for this resource cannot be read")
	}
	cert, ok := key.(*gossh.Certificate)
	if !ok {
		return nil, errors.New("the gateway's certificate for this resource is not a certificate")
	}
	return gossh.NewCertSigner(cert, signer)
}

// keyError is a private key that cannot be read. Its text says nothing of the key; what
// is wrong with it is for the operator.
type keyError struct{ err error }

func (e *keyError) Error() string {
	return "the gateway's private key for this resource cannot be read"
}

func (e *keyError) Unwrap() error { return e.err }

// dialError is a failed connection; its text names no address.
type dialError struct {
	resource string
	err      error
}

func (e *dialError) Error() string {
	var ne net.Error
	reason := "the connection broke off"
	switch {
	case errors.Is(e.err, syscall.ECONNREFUSED):
		reason = "connection refused"
	case errors.Is(e.err, context.Canceled):
		reason = "canceled"
	case errors.As(e.err, &ne) && ne.Timeout():
		reason = "timed out"
	case errors.Is(e.err, syscall.EHOSTUNREACH), errors.Is(e.err, syscall.ENETUNREACH):
		reason = "no route"
	}
	return "resource " + e.resource + " cannot be reached: " + reason
}

func (e *dialError) Unwrap() error { return e.err }
