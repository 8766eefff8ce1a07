// Package azure reads secrets of an Azure Key Vault, over plain HTTP.
//
//	azure:orders-db                   the newest version of a secret
//	azure:orders-db#password          a key of a JSON object that is kept as one
//	azure:orders-db?version=4387e9f3  a version
package azure

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path"
	"regexp"
	"strings"
	"time"

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/secrets"
	"github.com/sallyport/sallyport/secrets/internal/httpapi"
)

// Config says which Key Vault, and how the gateway proves itself there.
type Config struct {
	Vault string // "https://my-vault.vault.azure.net"
	Login Login
}

// Provider is a [secrets.Provider] of one Key Vault. Make it with New.
type Provider struct {
	client *httpapi.Client
	base   string
	tokens *httpapi.Tokens
}

// New returns a provider, without connecting.
func New(c Config) (*Provider, error) {
	base, err := httpapi.Base(c.Vault)
	if err != nil {
		return nil, fmt.Errorf("opening Azure Key Vault: %w", err)
	}
	if c.Login == nil {
		return nil, errors.New("opening Azure Key Vault: there is no login: set Config.Login")
	}
	// What the token is for: the domain of all vaults of that cloud.
	_, domain, _ := strings.Cut(base.Hostname(), ".")
	return &Provider{
		client: httpapi.New("Azure Key Vault", nil), base: strings.TrimSuffix(base.String(), "/"), tokens: &httpapi.Tokens{Fetch: c.Login.tokens("https://" + domain)},
	}, nil
}

// Remote marks the provider: its references do not read the gateway's host.
func (*Provider) Remote() {}

var (
	name    = regexp.MustCompile(`^[A-Za-z0-9-]{1,127}$`)
	version = regexp.MustCompile(`^[A-Za-z0-9]{1,64}$`)
)

// Resolve reads a secret.
func (p *Provider) Resolve(ctx context.Context, ref secrets.Ref, _ secrets.Use) (*secrets.Value, error) {
	if err := ref.Only("version", "user"); err != nil {
		return nil, err
	}
	of := ref.Options.Get("version")
	if !name.MatchString(ref.Path) || of != "" && !version.MatchString(of) {
		return nil, fmt.Errorf("%q is not the name of a secret of Key Vault with a version: want letters, digits and -", ref.Path)
	}
	var secret struct {
		Value      *string `json:"value"`
		ID         string  `json:"id"`
		Attributes struct {
			Expires int64 `json:"exp"`
		} `json:"attributes"`
	}
	address := p.base + "/secrets/" + ref.Path + "/" + of + "?api-version=7.4"
	err := p.tokens.With(ctx, func(token proxy.Secret) error {
		return p.client.JSON(ctx, http.MethodGet, address, httpapi.Bearer(token), nil, &secret)
	})
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", ref.Path, err)
	}
	if secret.Value == nil {
		return nil, fmt.Errorf("reading %s: the answer has no value: %w", ref.Path, secrets.ErrType)
	}
	v, err := ref.Pick([]byte(*secret.Value))
	if ref.Key == "" && err == nil {
		v, err = secrets.Whole(*secret.Value) // with its last line break
	}
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", ref.Path, err)
	}
	v.Shared, v.Version = true, path.Base(secret.ID)
	if secret.Attributes.Expires > 0 {
		v.Expires = time.Unix(secret.Attributes.Expires, 0)
	}
	return v, nil
}
