package vault

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/secrets"
)

// signing is the engine's name in Vault.
const signing = "ssh"

// sign makes a key for one session and has it certified for the account. The key does not leave the
// gateway.
func (p *Provider) sign(ctx context.Context, ref secrets.Ref, u secrets.Use) (*secrets.Value, error) {
	if u.Account == "" {
		return nil, fmt.Errorf("signing by %s: the account has no user name, which the certificate is for", ref.Path)
	}
	escaped, err := escape(ref.Path)
	if err != nil {
		return nil, err
	}
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	key, err := gossh.NewPublicKey(public)
	if err != nil {
		return nil, err
	}
	block, err := gossh.MarshalPrivateKey(private, "")
	if err != nil {
		return nil, errors.New("signing: the key that was made cannot be written")
	}
	in := map[string]any{
		"public_key": strings.TrimSpace(string(gossh.MarshalAuthorizedKey(key))), "valid_principals": u.Account, "cert_type": "user",
	}
	var a struct {
		Data struct {
			SignedKey string `json:"signed_key"`
		} `json:"data"`
	}
	if err := p.call(ctx, http.MethodPut, escaped, in, &a); err != nil {
		return nil, fmt.Errorf("signing by %s: %w", ref.Path, err)
	}
	cert, err := certificate(a.Data.SignedKey, key, u.Account)
	if err != nil {
		return nil, fmt.Errorf("signing by %s: %w", ref.Path, err)
	}
	v := &secrets.Value{Credential: proxy.Credential{
		PrivateKey: proxy.NewSecret(string(pem.EncodeToMemory(block))), Certificate: strings.TrimSpace(a.Data.SignedKey),
	}, Version: fmt.Sprint(cert.Serial)}
	if cert.ValidBefore != gossh.CertTimeInfinity {
		v.Expires = time.Unix(int64(min(cert.ValidBefore, 1<<62)), 0)
	}
	return v, nil
}

// certificate reads a certificate and holds that it is what was asked for.
func certificate(text string, key gossh.PublicKey, principal string) (*gossh.Certificate, error) {
	parsed, _, _, _, err := gossh.ParseAuthorizedKey([]byte(text))
	cert, ok := parsed.(*gossh.Certificate)
	if err != nil || !ok || cert.CertType != gossh.UserCert || !bytes.Equal(cert.Key.Marshal(), key.Marshal()) || !slices.Contains(cert.ValidPrincipals, principal) {
		return nil, fmt.Errorf("the answer is not a user certificate of the key for %q: %w", principal, secrets.ErrType)
	}
	return cert, nil
}
