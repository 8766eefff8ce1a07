package httpapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/secrets"
)

// before is how long before its end a token is not used any more.
const before = time.Minute

// Tokens keeps an access token until a minute before it ends.
type Tokens struct {
	// Fetch returns a new token and when it ends.
	Fetch func(ctx context.Context) (token proxy.Secret, ends time.Time, err error)

	once    sync.Once
	turn    chan struct{} // holds one value while somebody fetches
	mu      sync.Mutex
	current proxy.Secret
	ends    time.Time
}

// Get returns a token and when it ends. One is fetched at a time.
func (t *Tokens) Get(ctx context.Context) (proxy.Secret, time.Time, error) {
	t.once.Do(func() { t.turn = make(chan struct{}, 1) })
	select {
	case t.turn <- struct{}{}:
		defer func() { <-t.turn }()
	case <-ctx.Done():
		return proxy.Secret{}, time.Time{}, fmt.Errorf("waiting for an access token: %w: %w", secrets.ErrUnavailable, context.Cause(ctx))
	}
	t.mu.Lock()
	token, ends := t.current, t.ends
	t.mu.Unlock()
	if !token.Empty() && time.Until(ends) > before {
		return token, ends, nil
	}
	token, ends, err := t.Fetch(ctx)
	if err != nil {
		return proxy.Secret{}, time.Time{}, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.current, t.ends = token, ends
	return token, ends, nil
}

// With calls do with a token. When the service does not know the token, which it says with 401, do is called once more
// with a new one.
func (t *Tokens) With(ctx context.Context, do func(token proxy.Secret) error) error {
	for again := false; ; again = true {
		token, _, err := t.Get(ctx)
		if err != nil {
			return err
		}
		err = do(token)
		if s := (*Status)(nil); again || !errors.As(err, &s) || s.Code != http.StatusUnauthorized {
			return err
		}
		t.mu.Lock()
		if t.current == token {
			t.current = proxy.Secret{}
		}
		t.mu.Unlock()
	}
}

// Granted is how services of OAuth 2.0 and metadata answer a question for an access token.
type Granted struct {
	Token   string `json:"access_token"`
	Seconds int64  `json:"expires_in"`
}

// Use returns the token and when it ends.
func (g *Granted) Use(service string) (proxy.Secret, time.Time, error) {
	if g.Token == "" || g.Seconds <= 0 {
		return proxy.Secret{}, time.Time{}, fmt.Errorf("%s gave no access token: %w", service, secrets.ErrType)
	}
	return proxy.NewSecret(g.Token), time.Now().Add(time.Duration(min(g.Seconds, 1<<31)) * time.Second), nil
}

// Bearer is the header of a request with a token.
func Bearer(token proxy.Secret) http.Header {
	return http.Header{"Authorization": {"Bearer " + token.Reveal()}}
}
