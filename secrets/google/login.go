package google

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/secrets"
	"github.com/sallyport/sallyport/secrets/internal/httpapi"
)

// Login is how the gateway proves itself: [Machine] or [ServiceAccount].
type Login interface {
	tokens(scope string) func(ctx context.Context) (proxy.Secret, time.Time, error)
}

// Machine is a login as the service account of the machine or pod that the gateway runs on.
type Machine struct {
	metadata string // for tests
}

func (m *Machine) tokens(scope string) func(context.Context) (proxy.Secret, time.Time, error) {
	const service = "the metadata service of Google Cloud"
	client, base := httpapi.Direct(service), "http://metadata.google.internal"
	if m.metadata != "" {
		base = m.metadata
	}
	address := base + "/computeMetadata/v1/instance/service-accounts/default/token?scopes=" + url.QueryEscape(scope)
	return func(ctx context.Context) (proxy.Secret, time.Time, error) {
		var g httpapi.Granted
		if err := client.JSON(ctx, http.MethodGet, address, http.Header{"Metadata-Flavor": {"Google"}}, nil, &g); err != nil {
			return proxy.Secret{}, time.Time{}, fmt.Errorf("asking for the machine's service account: %w", err)
		}
		return g.Use(service)
	}
}

// ServiceAccount is a login by the key of a service account: the JSON that Google Cloud gives for it.
type ServiceAccount struct {
	Key secrets.Input
}

// key is a service account's key.
type key struct {
	Type    string `json:"type"`
	Email   string `json:"client_email"`
	ID      string `json:"private_key_id"`
	Private string `json:"private_key"`
	Tokens  string `json:"token_uri"`
}

const grantType = "urn:ietf:params:oauth:grant-type:jwt-bearer"

func (s *ServiceAccount) tokens(scope string) func(context.Context) (proxy.Secret, time.Time, error) {
	const service = "Google's OAuth"
	client := httpapi.New(service, nil)
	return func(ctx context.Context) (proxy.Secret, time.Time, error) {
		address, assertion, err := s.assert(ctx, scope, time.Now())
		var g httpapi.Granted
		if err == nil {
			err = client.Form(ctx, address, url.Values{"grant_type": {grantType}, "assertion": {assertion}}, &g)
		}
		if err != nil {
			return proxy.Secret{}, time.Time{}, fmt.Errorf("logging in to Google Cloud: %w", err)
		}
		return g.Use(service)
	}
}

// assert signs that the gateway asks for a token, and says where.
func (s *ServiceAccount) assert(ctx context.Context, scope string, now time.Time) (address, assertion string, err error) {
	text, err := s.Key(ctx)
	if err != nil {
		return "", "", fmt.Errorf("the service account's key: %w", err)
	}
	var k key
	if json.Unmarshal([]byte(text.Reveal()), &k) != nil || k.Type != "service_account" || k.Email == "" { // its error may quote the text
		return "", "", fmt.Errorf("the service account's key is not the JSON of one: %w", secrets.ErrType)
	}
	base, err := httpapi.Base(k.Tokens)
	if err != nil {
		return "", "", fmt.Errorf("token_uri of the service account's key: %w", err)
	}
	private, err := parse(k.Private)
	if err != nil {
		return "", "", err
	}
	header, err := json.Marshal(map[string]string{"alg": "RS256", "typ": "JWT", "kid": k.ID})
	if err != nil {
		return "", "", err
	}
	claims, err := json.Marshal(map[string]any{"iss": k.Email, "scope": scope, "aud": k.Tokens, "iat": now.Unix(), "exp": now.Add(time.Hour).Unix()})
	if err != nil {
		return "", "", err
	}
	signed := base64.RawURLEncoding.EncodeToString(header) + "." + base64.RawURLEncoding.EncodeToString(claims)
	sum := sha256.Sum256([]byte(signed))
	signature, err := rsa.SignPKCS1v15(rand.Reader, private, crypto.SHA256, sum[:])
	if err != nil {
		return "", "", errors.New("the service account's key cannot sign")
	}
	return base.String(), signed + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}

// parse reads a private key. Errors hold nothing of it.
func parse(text string) (*rsa.PrivateKey, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, fmt.Errorf("private_key of the service account's key is not PEM: %w", secrets.ErrType)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	private, ok := parsed.(*rsa.PrivateKey)
	if err != nil || !ok {
		return nil, fmt.Errorf("private_key of the service account's key is not an RSA key: %w", secrets.ErrType)
	}
	return private, nil
}

// Settings are what a config file says of Google Cloud. Without any the gateway is the machine's service account.
type Settings struct {
	Key     string `yaml:"key"` // a reference to a service account's key
	Address string `yaml:"address"`
}

// Kind is the kind of sources that are Google Cloud.
func Kind() secrets.Kind {
	return secrets.Kind{Name: "google", Settings: func() any { return &Settings{} }, Open: open}
}

// Validate says what is wrong.
func (s *Settings) Validate() error {
	var errs []error
	if s.Key != "" {
		errs = append(errs, secrets.CheckInput("key", s.Key))
	}
	if s.Address != "" {
		if _, err := httpapi.Base(s.Address); err != nil {
			errs = append(errs, fmt.Errorf("address: %w", err))
		}
	}
	return errors.Join(errs...)
}

func open(settings any, h secrets.Host) (secrets.Provider, error) {
	s := settings.(*Settings)
	c := Config{Address: s.Address}
	if s.Key != "" {
		c.Login = &ServiceAccount{Key: h.Input(s.Key)}
	}
	return New(c)
}
