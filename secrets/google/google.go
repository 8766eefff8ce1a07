// Package google reads secrets of Google Cloud's Secret Manager and makes access tokens for logins of Cloud SQL, over
// plain HTTP.
//
//	google:my-project/orders            the newest version of a secret
//	google:my-project/orders#password   a key of a JSON object that is kept as one
//	google:my-project/orders?version=7  a version
//	google:sql-login                    a password for an account of Cloud SQL with IAM authentication
package google

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"hash/crc32"
	"net/http"
	"path"
	"regexp"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/secrets"
	"github.com/sallyport/sallyport/secrets/internal/httpapi"
)

// Config says how the gateway proves itself.
type Config struct {
	Login Login // nil: as the machine's service account
	// Address is that of Secret Manager; empty is Google's, and another is of a region or a private one.
	Address string
}

// Provider is a [secrets.Provider] of Google Cloud. Make it with New.
type Provider struct {
	client *httpapi.Client
	base   string
	cloud  *httpapi.Tokens // for Secret Manager
	sql    *httpapi.Tokens
}

// What access tokens are for.
const (
	cloudScope = "https://www.googleapis.com/auth/cloud-platform"
	sqlScope   = "https://www.googleapis.com/auth/sqlservice.login"
)

// New returns a provider, without connecting.
func New(c Config) (*Provider, error) {
	if c.Address == "" {
		c.Address = "https://secretmanager.googleapis.com"
	}
	base, err := httpapi.Base(c.Address)
	if err != nil {
		return nil, fmt.Errorf("opening Google Cloud: %w", err)
	}
	if c.Login == nil {
		c.Login = &Machine{}
	}
	return &Provider{
		client: httpapi.New("Google's Secret Manager", nil), base: strings.TrimSuffix(base.String(), "/") + "/v1/projects/",
		cloud: &httpapi.Tokens{Fetch: c.Login.tokens(cloudScope)}, sql: &httpapi.Tokens{Fetch: c.Login.tokens(sqlScope)},
	}, nil
}

// Remote marks the provider: its references do not read the gateway's host.
func (*Provider) Remote() {}

// sqlLogin is the path of tokens for Cloud SQL.
const sqlLogin = "sql-login"

var (
	project = regexp.MustCompile(`^[a-z0-9][a-z0-9.:-]{0,99}$`)
	name    = regexp.MustCompile(`^[A-Za-z0-9_-]{1,255}$`)
	version = regexp.MustCompile(`^[A-Za-z0-9_-]{1,63}$`)
)

// Resolve reads a secret, or makes a token.
func (p *Provider) Resolve(ctx context.Context, ref secrets.Ref, _ secrets.Use) (*secrets.Value, error) {
	if err := ref.Only("version", "user"); err != nil {
		return nil, err
	}
	if ref.Path == sqlLogin {
		return p.login(ctx, ref)
	}
	in, secret, ok := strings.Cut(ref.Path, "/")
	of := ref.Options.Get("version")
	if of == "" {
		of = "latest"
	}
	if !ok || !project.MatchString(in) || strings.Contains(in, "..") || !name.MatchString(secret) || !version.MatchString(of) {
		return nil, fmt.Errorf("the path %q is not one of Secret Manager: want PROJECT/NAME, and a version's number or alias", ref.Path)
	}
	var a struct {
		Name    string `json:"name"`
		Payload struct {
			Data     string `json:"data"`
			Checksum string `json:"dataCrc32c"`
		} `json:"payload"`
	}
	err := p.cloud.With(ctx, func(token proxy.Secret) error {
		return p.client.JSON(ctx, http.MethodGet, p.base+in+"/secrets/"+secret+"/versions/"+of+":access", httpapi.Bearer(token), nil, &a)
	})
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", ref.Path, err)
	}
	text, err := base64.StdEncoding.DecodeString(a.Payload.Data)
	if err != nil || a.Name == "" {
		return nil, fmt.Errorf("reading %s: the answer is not a version of a secret: %w", ref.Path, secrets.ErrType)
	}
	if sum := a.Payload.Checksum; sum != "" && sum != strconv.FormatUint(uint64(crc32.Checksum(text, crc32.MakeTable(crc32.Castagnoli))), 10) {
		return nil, fmt.Errorf("reading %s: what arrived is not what was sent, by its checksum: %w", ref.Path, secrets.ErrUnavailable)
	}
	v, err := ref.Pick(text)
	if ref.Key == "" && err == nil {
		v, err = secrets.Whole(string(text)) // with its last line break
	}
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", ref.Path, err)
	}
	v.Shared, v.Version = true, path.Base(a.Name)
	return v, nil
}

// login makes a token that Cloud SQL takes for a password.
func (p *Provider) login(ctx context.Context, ref secrets.Ref) (*secrets.Value, error) {
	if ref.Key != "" || len(ref.Options) > 0 {
		return nil, errors.New(sqlLogin + " has no key and no options: the user name is the account's")
	}
	token, ends, err := p.sql.Get(ctx)
	if err != nil {
		return nil, fmt.Errorf("making a token for Cloud SQL: %w", err)
	}
	return &secrets.Value{Credential: proxy.Credential{Password: token}, Shared: true, Expires: ends}, nil
}
