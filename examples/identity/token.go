package main

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/proxy"
)

// prefix is what tokens begin with, and passwords of local users do not.
const prefix = "token1."

// longest is how long a token may be good for, whatever its issuer says.
const longest = 12 * time.Hour

// claims are what a token says.
type claims struct {
	User    string    `json:"user"`
	Groups  []string  `json:"groups"`
	Expires time.Time `json:"expires"`
}

// issue returns a token: the claims and their signature.
func issue(key ed25519.PrivateKey, c claims) (string, error) {
	text, err := json.Marshal(c)
	if err != nil {
		return "", err
	}
	body := prefix + base64.RawURLEncoding.EncodeToString(text)
	return body + "." + base64.RawURLEncoding.EncodeToString(ed25519.Sign(key, []byte(body))), nil
}

// tokens is a [proxy.Authenticator] of who holds a token. It is safe for concurrent
// use.
//
// It is not a [proxy.VerifierSource]: a token cannot be checked by SCRAM, so that
// clients are asked for a password as it is, which handlers do over TLS only.
type tokens struct {
	key   ed25519.PublicKey
	now   func() time.Time
	local proxy.Authenticator
}

// Authenticate returns who a token was issued to. Every other proof is for the local
// users.
func (t *tokens) Authenticate(ctx context.Context, p proxy.Proof) (*proxy.Identity, error) {
	if p.Method != proxy.MethodPassword || !strings.HasPrefix(p.Password.Reveal(), prefix) {
		return t.local.Authenticate(ctx, p)
	}
	c, err := t.open(p.Password.Reveal())
	if err != nil {
		// The reason is for the log. It holds nothing of the token.
		return nil, fmt.Errorf("%w: %w", proxy.ErrUnauthenticated, err)
	}
	if c.User != p.User {
		return nil, fmt.Errorf("%w: the token is another user's", proxy.ErrUnauthenticated)
	}
	id := &proxy.Identity{
		// The subject is the issuer's: a token for "alice" is not the local user alice.
		Subject: issuer + "/" + c.User, Name: c.User, Method: p.Method, AuthTime: t.now(),
		Expires: c.Expires, // the session ends with the token
	}
	for _, g := range c.Groups {
		id.Groups = append(id.Groups, issuer+":"+g)
	}
	return id, nil
}

// open checks a token and returns its claims.
func (t *tokens) open(token string) (*claims, error) {
	body, signature, ok := cutLast(token, ".")
	sig, err := base64.RawURLEncoding.DecodeString(signature)
	if !ok || err != nil || !ed25519.Verify(t.key, []byte(body), sig) {
		return nil, fmt.Errorf("the token is not signed by %s", issuer)
	}
	text, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(body, prefix))
	if err != nil {
		return nil, fmt.Errorf("the token of %s is not base64", issuer)
	}
	c := &claims{}
	if err := json.Unmarshal(text, c); err != nil {
		return nil, fmt.Errorf("the token of %s is not JSON", issuer)
	}
	if err := identity.ValidName(c.User); err != nil {
		return nil, fmt.Errorf("the token's user: %w", err)
	}
	if now := t.now(); !now.Before(c.Expires) || c.Expires.Sub(now) > longest {
		return nil, fmt.Errorf("the token is good until %s, which is over or more than %s away", c.Expires.Format(time.RFC3339), longest)
	}
	return c, nil
}

// cutLast cuts s around the last separator.
func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}
