package oidc

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"time"

	gooidc "github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/proxy"
)

// attemptLife is how long somebody may take to log in.
const attemptLife = 10 * time.Minute

// Attempt is a login that has begun. The gateway keeps nothing of it: the browser does,
// in a cookie that only the gateway reads, so that only the browser that has begun a
// login ends it, and nobody can fill the gateway's memory.
type Attempt struct {
	Provider string    `json:"p"`
	State    string    `json:"s"`
	Nonce    string    `json:"n"`
	Verifier string    `json:"v"` // of PKCE
	MaxAge   int64     `json:"m,omitempty"`
	Expires  time.Time `json:"e"`
	// Return is for the caller: what to do once it is known who it is.
	Return json.RawMessage `json:"r,omitempty"`
}

// BeginOptions are what a login may ask for.
type BeginOptions struct {
	// MaxAge asks the provider to have the user prove herself again if she did so longer
	// ago, and refuses the login otherwise; zero is any time.
	MaxAge time.Duration
	// Hint is who is likely to log in.
	Hint string
	// Return is kept in the attempt.
	Return json.RawMessage
}

func random() string {
	b := make([]byte, 32)
	rand.Read(b)
	return base64.RawURLEncoding.EncodeToString(b)
}

// Begin returns where to send the browser, and the attempt that its answer belongs to.
func (p *Provider) Begin(ctx context.Context, o BeginOptions) (at string, a *Attempt, err error) {
	if p.config.RedirectURL == "" {
		return "", nil, fmt.Errorf("oidc provider %s has no redirect URL: browsers could not come back", p.config.Name)
	}
	m, err := p.registered(ctx)
	if err != nil {
		return "", nil, err
	}
	a = &Attempt{
		Provider: p.config.Name, State: random(), Nonce: random(), Verifier: oauth2.GenerateVerifier(),
		Expires: p.config.Now().Add(attemptLife), Return: o.Return, MaxAge: int64(o.MaxAge.Seconds()),
	}
	params := []oauth2.AuthCodeOption{gooidc.Nonce(a.Nonce), oauth2.S256ChallengeOption(a.Verifier)}
	if o.MaxAge > 0 {
		params = append(params, oauth2.SetAuthURLParam("max_age", strconv.FormatInt(a.MaxAge, 10)))
	}
	if o.Hint != "" {
		params = append(params, oauth2.SetAuthURLParam("login_hint", o.Hint))
	}
	for name, value := range p.config.Parameters {
		params = append(params, oauth2.SetAuthURLParam(name, value))
	}
	return p.oauth(m).AuthCodeURL(a.State, params...), a, nil
}

// Finish ends an attempt with what the browser came back with. Which part was wrong is
// in the error, for a log; people are shown no more than that it failed.
func (p *Provider) Finish(ctx context.Context, a *Attempt, answer url.Values) (*Login, error) {
	failed := func(format string, args ...any) (*Login, error) {
		return nil, fmt.Errorf("login at oidc provider %s: %w: "+format, append([]any{p.config.Name, proxy.ErrUnauthenticated}, args...)...)
	}
	for _, name := range []string{"state", "code", "iss", "error"} {
		if len(answer[name]) > 1 {
			return failed("the answer has %s twice", name)
		}
	}
	m, err := p.registered(ctx)
	if err != nil {
		return nil, err
	}
	switch {
	case a == nil || a.Provider != p.config.Name:
		return failed("it was begun at another provider, or in another browser")
	case subtle.ConstantTimeCompare([]byte(answer.Get("state")), []byte(a.State)) != 1:
		return failed("the answer is of another attempt")
	case !p.config.Now().Before(a.Expires):
		return failed("it took longer than %s", attemptLife)
	case answer.Has("iss") && answer.Get("iss") != p.config.Issuer:
		return failed("the answer is of issuer %q", clip(answer.Get("iss")))
	case !answer.Has("iss") && m.AuthorizationIssuer:
		return failed("the answer does not say whose it is, which this provider's do")
	case answer.Get("error") != "":
		return failed("the provider refuses: %s (%s)", clip(answer.Get("error")), clip(answer.Get("error_description")))
	case answer.Get("code") == "" || len(answer.Get("code")) > 8<<10:
		return failed("the answer has no code")
	}
	t, err := p.oauth(m).Exchange(p.context(ctx), answer.Get("code"), oauth2.VerifierOption(a.Verifier))
	if err != nil {
		return failed("%w", p.refused("giving the code for a token", err))
	}
	l, err := p.login(ctx, m, t, a.Nonce, nil)
	if err != nil {
		return failed("%w", err)
	}
	if a.MaxAge > 0 {
		if err := p.recent(l, a.MaxAge); err != nil {
			return failed("%w", err)
		}
	}
	return l, nil
}

// recent returns why the user has not proven herself in the last seconds.
func (p *Provider) recent(l *Login, seconds int64) error {
	age := p.config.Now().Sub(l.Identity.AuthTime)
	if !l.timed {
		return errors.New("the provider does not say when the user has proven herself, which was asked for")
	}
	if age > time.Duration(seconds)*time.Second+p.config.Skew {
		return fmt.Errorf("the user has proven herself %s ago, longer than %d s", age.Round(time.Second), seconds)
	}
	return nil
}

// Seal returns the attempt as the value of a cookie.
func (a *Attempt) Seal(s identity.Sealer) (string, error) {
	b, err := json.Marshal(a)
	if err != nil {
		return "", err
	}
	sealed, err := s.Seal(b, "oidc attempt")
	return base64.RawURLEncoding.EncodeToString(sealed), err
}

// OpenAttempt returns the attempt that Seal has sealed.
func OpenAttempt(s identity.Sealer, cookie string) (*Attempt, error) {
	sealed, err := base64.RawURLEncoding.DecodeString(cookie)
	if err != nil {
		return nil, identity.ErrSealed
	}
	b, err := s.Open(sealed, "oidc attempt")
	if err != nil {
		return nil, err
	}
	a := &Attempt{}
	return a, json.Unmarshal(b, a)
}
