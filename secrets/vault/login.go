package vault

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/secrets"
)

// Login is how the gateway proves itself to Vault: [Token], [AppRole], [Kubernetes], [JWT] or
// [Certificate].
type Login interface {
	login(ctx context.Context, p *Provider) (*auth, error)
}

// Unwrap reads an input by a wrapping token, which is good for one use: the gateway's bootstrap
// is a token that tells when somebody else has used it. key is what the wrapped data calls the input, such
// as "secret_id"; for a wrapped token it is empty. What was unwrapped is remembered.
func (p *Provider) unwrap(ctx context.Context, wrapping proxy.Secret, key string) (proxy.Secret, error) {
	var a answer
	if err := p.send(ctx, http.MethodPut, "sys/wrapping/unwrap", wrapping, nil, &a); err != nil {
		return proxy.Secret{}, fmt.Errorf("unwrapping what the gateway logs in with: %w; a wrapping token is good for one use: if nobody of yours has used it, somebody else did", err)
	}
	if key == "" {
		if a.Auth == nil || a.Auth.Token == "" {
			return proxy.Secret{}, fmt.Errorf("unwrapping a token: there is another thing in it: %w", secrets.ErrType)
		}
		return proxy.NewSecret(a.Auth.Token), nil
	}
	v, err := secrets.Pick(a.Data, key)
	if err != nil {
		return proxy.Secret{}, fmt.Errorf("unwrapping what the gateway logs in with: %w", err)
	}
	return v.Plain(), nil
}

// wrapped is an input, perhaps by a wrapping token, that is unwrapped once.
type wrapped struct {
	mu    sync.Mutex
	value proxy.Secret
}

func (w *wrapped) get(ctx context.Context, p *Provider, from secrets.Input, is bool, key string) (proxy.Secret, error) {
	if from == nil {
		return proxy.Secret{}, errors.New("the login has no input")
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if is && !w.value.Empty() {
		return w.value, nil
	}
	v, err := from(ctx)
	if err != nil || !is {
		return v, err
	}
	w.value, err = p.unwrap(ctx, v, key)
	return w.value, err
}

// Token is a login by a token that was made for the gateway.
type Token struct {
	From    secrets.Input
	Wrapped bool // From has a wrapping token

	unwrapped wrapped
}

func (t *Token) login(ctx context.Context, p *Provider) (*auth, error) {
	token, err := t.unwrapped.get(ctx, p, t.From, t.Wrapped, "")
	if err != nil {
		return nil, err
	}
	var a struct {
		Data struct {
			Seconds   int64 `json:"ttl"`
			Renewable bool  `json:"renewable"`
		} `json:"data"`
	}
	if err := p.send(ctx, http.MethodGet, "auth/token/lookup-self", token, nil, &a); err != nil {
		return nil, err
	}
	return &auth{Token: token.Reveal(), Seconds: a.Data.Seconds, Renewable: a.Data.Renewable}, nil
}

// AppRole is a login by a role's identifier and a secret.
type AppRole struct {
	Mount    string // empty is "approle"
	RoleID   string
	SecretID secrets.Input
	Wrapped  bool // SecretID has a wrapping token

	unwrapped wrapped
}

func (a *AppRole) login(ctx context.Context, p *Provider) (*auth, error) {
	id, err := a.unwrapped.get(ctx, p, a.SecretID, a.Wrapped, "secret_id")
	if err != nil {
		return nil, err
	}
	return p.loginAt(ctx, a.Mount, "approle", map[string]any{"role_id": a.RoleID, "secret_id": id.Reveal()})
}

// Kubernetes is a login by the token of the pod's service account.
type Kubernetes struct {
	Mount string // empty is "kubernetes"
	Role  string
	Token secrets.Input // nil: the file that Kubernetes gives pods
}

const podToken = "/var/run/secrets/kubernetes.io/serviceaccount/token"

func (k *Kubernetes) login(ctx context.Context, p *Provider) (*auth, error) {
	from := k.Token
	if from == nil {
		from = secrets.FromFile(podToken)
	}
	token, err := from(ctx)
	if err != nil {
		return nil, err
	}
	return p.loginAt(ctx, k.Mount, "kubernetes", map[string]any{"role": k.Role, "jwt": token.Reveal()})
}

// JWT is a login by a signed token of another issuer.
type JWT struct {
	Mount string // empty is "jwt"
	Role  string
	Token secrets.Input
}

func (j *JWT) login(ctx context.Context, p *Provider) (*auth, error) {
	if j.Token == nil {
		return nil, errors.New("the login has no token")
	}
	token, err := j.Token(ctx)
	if err != nil {
		return nil, err
	}
	return p.loginAt(ctx, j.Mount, "jwt", map[string]any{"role": j.Role, "jwt": token.Reveal()})
}

// Certificate is a login by the certificate of the configuration.
type Certificate struct {
	Mount string // empty is "cert"
	Role  string // empty: any that the certificate fits
}

func (c *Certificate) login(ctx context.Context, p *Provider) (*auth, error) {
	return p.loginAt(ctx, c.Mount, "cert", map[string]any{"name": c.Role})
}

func (p *Provider) loginAt(ctx context.Context, mount, usual string, in map[string]any) (*auth, error) {
	if mount == "" {
		mount = usual
	}
	escaped, err := escape(strings.Trim(mount, "/"))
	if err != nil {
		return nil, err
	}
	var a answer
	if err := p.send(ctx, http.MethodPut, "auth/"+escaped+"/login", proxy.Secret{}, in, &a); err != nil {
		return nil, err
	}
	if a.Auth == nil || a.Auth.Token == "" {
		return nil, fmt.Errorf("the login gave no token: %w", secrets.ErrType)
	}
	return a.Auth, nil
}

// session is the gateway's own token, which is renewed at two thirds of its time: its leases end when it does.
type session struct {
	provider *Provider
	login    Login

	mu      sync.Mutex
	current proxy.Secret
	ends    time.Time // zero: never
	term    time.Duration
	timer   *time.Timer
	closed  bool
	begun   chan struct{} // a login that runs; closed when it is over
}

// token returns the gateway's token, and logs in when there is not one. One login is made at a time.
func (s *session) token(ctx context.Context) (proxy.Secret, error) {
	for {
		s.mu.Lock()
		if s.closed {
			s.mu.Unlock()
			return proxy.Secret{}, errors.New("the provider of Vault is closed")
		}
		if !s.current.Empty() && (s.ends.IsZero() || time.Now().Before(s.ends)) {
			defer s.mu.Unlock()
			return s.current, nil
		}
		wait := s.begun
		if wait == nil {
			s.begun = make(chan struct{})
			s.mu.Unlock()
			return s.enter(ctx)
		}
		s.mu.Unlock()
		select {
		case <-ctx.Done():
			return proxy.Secret{}, fmt.Errorf("logging in to Vault: %w: %w", secrets.ErrUnavailable, context.Cause(ctx))
		case <-wait:
		}
	}
}

func (s *session) enter(ctx context.Context) (proxy.Secret, error) {
	a, err := s.login.login(ctx, s.provider)
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.begun)
	s.begun = nil
	if err != nil {
		return proxy.Secret{}, fmt.Errorf("logging in to Vault: %w", err)
	}
	s.current = proxy.NewSecret(a.Token)
	s.follow(a.Seconds, a.Renewable)
	return s.current, nil
}

// follow plans the renewal of the token. The caller holds s.mu.
func (s *session) follow(seconds int64, renewable bool) {
	if s.timer != nil {
		s.timer.Stop()
	}
	s.ends = time.Time{}
	if seconds <= 0 {
		return
	}
	s.ends = in(seconds)
	left := time.Duration(seconds) * time.Second
	s.term = max(s.term, left)
	if renewable && !s.closed {
		s.timer = time.AfterFunc(left*2/3, s.renew)
	}
}

func (s *session) renew() {
	s.mu.Lock()
	token, term, ends := s.current, s.term, s.ends
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	var a answer
	err := s.provider.send(ctx, http.MethodPut, "auth/token/renew-self", token, map[string]any{"increment": int64(term / time.Second)}, &a)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed || s.current != token:
	case err == nil && a.Auth != nil:
		// A token that has reached its longest time is not asked about again: the next login makes another.
		s.follow(a.Auth.Seconds, a.Auth.Renewable && in(a.Auth.Seconds).Sub(ends) > time.Second)
	case errors.Is(err, secrets.ErrDenied):
		s.current = proxy.Secret{}
	case time.Now().Before(ends):
		s.timer = time.AfterFunc(max(time.Until(ends)/4, time.Second), s.renew)
	}
}

// doubt reports whether a request that was denied is worth another login: it asks Vault whether the token
// itself is refused.
func (s *session) doubt(ctx context.Context, token proxy.Secret) bool {
	if err := s.provider.send(ctx, http.MethodGet, "auth/token/lookup-self", token, nil, nil); !errors.Is(err, secrets.ErrDenied) {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current == token {
		s.current = proxy.Secret{}
	}
	return true
}

func (s *session) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.timer != nil {
		s.timer.Stop()
	}
}
