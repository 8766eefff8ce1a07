// Package aws reads secrets of AWS Secrets Manager and of the Parameter Store of Systems Manager, and makes logins of RDS
// with IAM, over plain HTTP.
//
//	aws:secretsmanager/orders#password        a key of a JSON object that is kept as a secret; without a key all of it
//	aws:secretsmanager/orders?stage=AWSPREVIOUS
//	aws:ssm/app/db/password                   the parameter /app/db/password, decrypted
//	aws:ssm/db-password?version=3             the parameter db-password, in a version
//	aws:rds/db.abc123.eu-west-1.rds.amazonaws.com:5432  a password for one login of the account's user name
//
// The option region takes the place of the configured one.
package aws

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/sigv4"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/secrets"
	"github.com/sallyport/sallyport/secrets/internal/httpapi"
)

// Config says where secrets are, and how the gateway proves itself there.
type Config struct {
	Region string
	Login  Login // nil: what the machine has; see [Ambient]
	// Endpoint takes the place of the services' own addresses; empty is those.
	Endpoint string
}

// Provider is a [secrets.Leaser] of AWS. Make it with New.
type Provider struct {
	client   *httpapi.Client
	region   string
	endpoint string
	ring     ring
	now      func() time.Time
}

// region is the name of a region, such as eu-west-1.
var region = regexp.MustCompile(`^[a-z]{2,4}(?:-[a-z]+){1,3}-[0-9]{1,2}$`)

// New returns a provider, without connecting.
func New(c Config) (*Provider, error) {
	if !region.MatchString(c.Region) {
		return nil, errors.New("opening AWS: the region is missing or not one, such as eu-west-1")
	}
	if c.Endpoint != "" {
		u, err := httpapi.Base(c.Endpoint)
		if err != nil {
			return nil, fmt.Errorf("opening AWS: %w", err)
		}
		c.Endpoint = strings.TrimSuffix(u.String(), "/")
	}
	if c.Login == nil {
		c.Login = Ambient()
	}
	return &Provider{client: httpapi.New("AWS", nil), region: c.Region, endpoint: c.Endpoint, ring: ring{login: c.Login, region: c.Region}, now: time.Now}, nil
}

// Remote marks the provider: its references do not read the gateway's host.
func (*Provider) Remote() {}

// host is where a service of a region is.
func host(service, region string) string {
	domain := "amazonaws.com"
	if strings.HasPrefix(region, "cn-") {
		domain = "amazonaws.com.cn"
	}
	return service + "." + region + "." + domain
}

// rds is the path's beginning of logins of databases.
const rds = "rds/"

// Leases reports whether ref leads to what is made for one session: a login of a database.
func (*Provider) Leases(ref secrets.Ref) bool { return strings.HasPrefix(ref.Path, rds) }

// Renew is not called: logins have no leases, and end by themselves.
func (*Provider) Renew(context.Context, string, time.Duration) (time.Time, error) {
	return time.Time{}, secrets.ErrNotFound
}

// Revoke has nothing to do: logins end by themselves.
func (*Provider) Revoke(context.Context, string) error { return nil }

// Resolve reads a secret or a parameter, or makes a login.
func (p *Provider) Resolve(ctx context.Context, ref secrets.Ref, u secrets.Use) (*secrets.Value, error) {
	service, name, _ := strings.Cut(ref.Path, "/")
	at := ref.Options.Get("region")
	if at == "" {
		at = p.region
	}
	if !region.MatchString(at) {
		return nil, errors.New("option region of the reference: it is not a region, such as eu-west-1")
	}
	if name == "" {
		service = ""
	}
	switch service {
	case "secretsmanager":
		return p.secret(ctx, ref, u, at, name)
	case "ssm":
		return p.parameter(ctx, ref, at, name)
	case "rds":
		return p.login(ctx, ref, u, at, name)
	}
	return nil, fmt.Errorf("the path %q is not one of AWS: want secretsmanager/NAME, ssm/NAME or rds/HOST:PORT", ref.Path)
}

// secret reads a secret of Secrets Manager. While a rotation is under way the resource may still want the one from
// before: that is tried when it has refused the current one.
func (p *Provider) secret(ctx context.Context, ref secrets.Ref, u secrets.Use, at, name string) (*secrets.Value, error) {
	if err := ref.Only("stage", "version", "region", "user"); err != nil {
		return nil, err
	}
	stage, version := ref.Options.Get("stage"), ref.Options.Get("version")
	v, err := p.version(ctx, ref, at, name, stage, version)
	if err != nil || stage != "" || version != "" || u.Refused.Empty() || v.Plain() != u.Refused {
		return v, err
	}
	previous, err := p.version(ctx, ref, at, name, "AWSPREVIOUS", "")
	if errors.Is(err, secrets.ErrNotFound) {
		return v, nil
	}
	return previous, err
}

func (p *Provider) version(ctx context.Context, ref secrets.Ref, at, name, stage, version string) (*secrets.Value, error) {
	in := map[string]string{"SecretId": name}
	if stage != "" {
		in["VersionStage"] = stage
	}
	if version != "" {
		in["VersionId"] = version
	}
	var out struct {
		Text    *string `json:"SecretString"`
		Version string  `json:"VersionId"`
	}
	if err := p.call(ctx, at, "secretsmanager", "secretsmanager.GetSecretValue", in, &out); err != nil {
		return nil, fmt.Errorf("reading %s: %w", ref.Path, err)
	}
	if out.Text == nil {
		return nil, fmt.Errorf("reading %s: it is kept as bytes: %w", ref.Path, secrets.ErrType)
	}
	return value(ref, *out.Text, out.Version)
}

// parameter reads a parameter of Systems Manager.
func (p *Provider) parameter(ctx context.Context, ref secrets.Ref, at, name string) (*secrets.Value, error) {
	if err := ref.Only("version", "region", "user"); err != nil {
		return nil, err
	}
	if strings.Contains(name, "/") && !strings.HasPrefix(name, "/") {
		name = "/" + name // names with parts begin with it
	}
	if v := ref.Options.Get("version"); v != "" {
		name += ":" + v
	}
	var out struct {
		Parameter struct {
			Value   *string `json:"Value"`
			Version int64   `json:"Version"`
		} `json:"Parameter"`
	}
	if err := p.call(ctx, at, "ssm", "AmazonSSM.GetParameter", map[string]any{"Name": name, "WithDecryption": true}, &out); err != nil {
		return nil, fmt.Errorf("reading %s: %w", ref.Path, err)
	}
	if out.Parameter.Value == nil {
		return nil, fmt.Errorf("reading %s: the answer has no value: %w", ref.Path, secrets.ErrType)
	}
	return value(ref, *out.Parameter.Value, strconv.FormatInt(out.Parameter.Version, 10))
}

func value(ref secrets.Ref, text, version string) (*secrets.Value, error) {
	v, err := ref.Pick([]byte(text))
	if ref.Key == "" && err == nil {
		v, err = secrets.Whole(text) // with its last line break
	}
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", ref.Path, err)
	}
	v.Shared, v.Version = true, version
	return v, nil
}

// loginLife is how long a login can be used to connect.
const loginLife = 15 * time.Minute

// login makes a password for one login: a signed URL, which no service is asked for.
func (p *Provider) login(ctx context.Context, ref secrets.Ref, u secrets.Use, at, address string) (*secrets.Value, error) {
	if err := ref.Only("region"); err != nil {
		return nil, err
	}
	if _, _, err := net.SplitHostPort(address); err != nil || ref.Key != "" || strings.Contains(address, "/") {
		return nil, fmt.Errorf("the path %q is not one of a login: want rds/HOST:PORT, without a key", ref.Path)
	}
	if u.Account == "" {
		return nil, errors.New("the account has no user name, which the login is for")
	}
	k, err := p.ring.get(ctx)
	if err != nil {
		return nil, err
	}
	now := p.now()
	token := k.presign(address, "/", url.Values{"Action": {"connect"}, "DBUser": {u.Account}}, sigv4.Digest(nil), strconv.Itoa(int(loginLife/time.Second)), sigv4.Scope{Region: at, Service: "rds-db", At: now})
	// It is needed at the beginning of a session alone, so that its end does not end the session.
	return &secrets.Value{Credential: proxy.Credential{Password: proxy.NewSecret(token)}}, nil
}

// call asks a service by its JSON protocol.
func (p *Provider) call(ctx context.Context, at, service, target string, in, out any) error {
	k, err := p.ring.get(ctx)
	if err != nil {
		return err
	}
	body, err := json.Marshal(in)
	if err != nil {
		return errors.New("the request cannot be written")
	}
	base := p.endpoint
	if base == "" {
		base = "https://" + host(service, at)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/", bytes.NewReader(body))
	if err != nil {
		return errors.New("the address of the service cannot be read")
	}
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	r.Header.Set("X-Amz-Target", target)
	if k.sign(r, body, sigv4.Scope{Region: at, Service: service, At: p.now()}) != nil {
		return errors.New("the address of the service cannot be read")
	}
	answer, err := p.client.Do(ctx, r)
	if err != nil {
		return failure(err)
	}
	return p.client.Decode(answer, out)
}

// failures are kinds of failures, by the types that AWS gives them, which come with the status 400.
var failures = map[string]error{
	"ResourceNotFoundException": secrets.ErrNotFound, "ParameterNotFound": secrets.ErrNotFound, "ParameterVersionNotFound": secrets.ErrNotFound,
	"AccessDeniedException": secrets.ErrDenied, "UnrecognizedClientException": secrets.ErrDenied, "InvalidSignatureException": secrets.ErrDenied,
	"ExpiredTokenException": secrets.ErrDenied, "IncompleteSignatureException": secrets.ErrDenied, "MissingAuthenticationTokenException": secrets.ErrDenied,
	"DecryptionFailure": secrets.ErrDenied, "ThrottlingException": secrets.ErrUnavailable, "InternalServiceError": secrets.ErrUnavailable,
	"InternalServerError": secrets.ErrUnavailable, "ServiceUnavailableException": secrets.ErrUnavailable,
}

// failure adds the kind of an answer's failure. Of its text nothing but a known type is shown.
func failure(err error) error {
	s := (*httpapi.Status)(nil)
	if !errors.As(err, &s) || s.Code != http.StatusBadRequest {
		return err
	}
	var a struct {
		Type string `json:"__type"`
	}
	if json.Unmarshal(s.Body, &a) != nil {
		return err
	}
	name := a.Type[strings.LastIndex(a.Type, "#")+1:]
	if kind := failures[name]; kind != nil {
		return fmt.Errorf("%w (%s): %w", err, name, kind)
	}
	return err
}

// Settings are what a config file says of AWS. Without keys and web_identity the gateway uses what the machine has.
type Settings struct {
	Region      string               `yaml:"region"`
	Endpoint    string               `yaml:"endpoint"`
	Keys        *KeysSettings        `yaml:"keys"`
	WebIdentity *WebIdentitySettings `yaml:"web_identity"`
}

// KeysSettings are those of a [Static].
type KeysSettings struct {
	ID      string `yaml:"id"`
	Secret  string `yaml:"secret"`  // a reference
	Session string `yaml:"session"` // a reference
}

// WebIdentitySettings are those of a [WebIdentity].
type WebIdentitySettings struct {
	Role  string `yaml:"role"`
	Token string `yaml:"token"` // a reference
}

// Kind is the kind of sources that are AWS.
func Kind() secrets.Kind {
	return secrets.Kind{Name: "aws", Settings: func() any { return &Settings{} }, Open: open}
}

// Validate says what is wrong.
func (s *Settings) Validate() error {
	var errs []error
	if !region.MatchString(s.Region) {
		errs = append(errs, errors.New("region: want one such as eu-west-1"))
	}
	if s.Endpoint != "" {
		if _, err := httpapi.Base(s.Endpoint); err != nil {
			errs = append(errs, fmt.Errorf("endpoint: %w", err))
		}
	}
	if s.Keys != nil && s.WebIdentity != nil {
		errs = append(errs, errors.New("keys: there is web_identity too: want one of them"))
	}
	if k := s.Keys; k != nil {
		if k.ID == "" {
			errs = append(errs, errors.New("keys: id is missing"))
		}
		errs = append(errs, secrets.CheckInput("keys: secret", k.Secret))
		if k.Session != "" {
			errs = append(errs, secrets.CheckInput("keys: session", k.Session))
		}
	}
	if w := s.WebIdentity; w != nil {
		if !strings.HasPrefix(w.Role, "arn:") {
			errs = append(errs, errors.New("web_identity: role: want the ARN of a role"))
		}
		errs = append(errs, secrets.CheckInput("web_identity: token", w.Token))
	}
	return errors.Join(errs...)
}

func open(settings any, h secrets.Host) (secrets.Provider, error) {
	s := settings.(*Settings)
	c := Config{Region: s.Region, Endpoint: s.Endpoint}
	switch {
	case s.Keys != nil:
		k := &Static{ID: s.Keys.ID, Secret: h.Input(s.Keys.Secret)}
		if s.Keys.Session != "" {
			k.Session = h.Input(s.Keys.Session)
		}
		c.Login = k
	case s.WebIdentity != nil:
		c.Login = &WebIdentity{Role: s.WebIdentity.Role, Token: h.Input(s.WebIdentity.Token)}
	}
	return New(c)
}
