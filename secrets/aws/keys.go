package aws

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/secrets"
	"github.com/sallyport/sallyport/secrets/internal/httpapi"
)

// Keys sign requests.
type Keys struct {
	ID      string
	Secret  proxy.Secret
	Session proxy.Secret // of temporary ones
	Expires time.Time    // zero: never
}

// Login is where the gateway has its keys from: [Static], [Machine], [Container] or [WebIdentity].
type Login interface {
	keys(ctx context.Context, region string) (*Keys, error)
}

// Static is a login by keys of a user, which do not end.
type Static struct {
	ID      string
	Secret  secrets.Input
	Session secrets.Input // nil: there is none
}

func (s *Static) keys(ctx context.Context, _ string) (k *Keys, err error) {
	k = &Keys{ID: s.ID}
	if k.Secret, err = s.Secret(ctx); err == nil && s.Session != nil {
		k.Session, err = s.Session(ctx)
	}
	return k, err
}

// document is how services of the machine give keys.
type document struct {
	ID      string    `json:"AccessKeyId"`
	Secret  string    `json:"SecretAccessKey"`
	Session string    `json:"Token"`
	Expires time.Time `json:"Expiration"`
}

func (d *document) keys(service string) (*Keys, error) {
	if d.ID == "" || d.Secret == "" || d.Expires.IsZero() {
		return nil, fmt.Errorf("%s gave no keys: %w", service, secrets.ErrType)
	}
	return &Keys{ID: d.ID, Secret: proxy.NewSecret(d.Secret), Session: proxy.NewSecret(d.Session), Expires: d.Expires}, nil
}

// Machine is a login by the role of the EC2 instance that the gateway runs on, by IMDSv2.
type Machine struct {
	metadata string // for tests
}

func (m *Machine) keys(ctx context.Context, _ string) (*Keys, error) {
	const service = "the metadata service of EC2"
	c, base := httpapi.Direct(service), "http://169.254.169.254/latest/"
	defer c.HTTP.CloseIdleConnections()
	if m.metadata != "" {
		base = m.metadata + "/latest/"
	}
	ask := func(method, path string, header http.Header) ([]byte, error) {
		r, err := http.NewRequestWithContext(ctx, method, base+path, nil)
		if err != nil {
			return nil, err
		}
		r.Header = header
		return c.Do(ctx, r)
	}
	token, err := ask(http.MethodPut, "api/token", http.Header{"X-Aws-Ec2-Metadata-Token-Ttl-Seconds": {"60"}})
	if err != nil {
		return nil, err
	}
	header := http.Header{"X-Aws-Ec2-Metadata-Token": {string(token)}}
	role, err := ask(http.MethodGet, "meta-data/iam/security-credentials/", header)
	if err != nil {
		return nil, err
	}
	name, _, _ := strings.Cut(string(role), "\n")
	text, err := ask(http.MethodGet, "meta-data/iam/security-credentials/"+url.PathEscape(name), header)
	if err != nil {
		return nil, err
	}
	var d document
	if err := c.Decode(text, &d); err != nil {
		return nil, err
	}
	return d.keys(service)
}

// Container is a login by the role of the ECS task or the EKS pod that the gateway runs in, at the address that its
// environment names.
type Container struct{}

// Variables by which a container is told where its keys are.
const (
	relative  = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"
	full      = "AWS_CONTAINER_CREDENTIALS_FULL_URI"
	tokenFile = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"
	tokenText = "AWS_CONTAINER_AUTHORIZATION_TOKEN"
)

func (Container) keys(ctx context.Context, _ string) (*Keys, error) {
	const service = "the container's credentials service"
	address := os.Getenv(full)
	if path := os.Getenv(relative); path != "" {
		address = "http://169.254.170.2" + path
	}
	if err := near(address); err != nil {
		return nil, err
	}
	header := http.Header{}
	token := os.Getenv(tokenText)
	if file := os.Getenv(tokenFile); file != "" {
		text, err := secrets.FromFile(file)(ctx)
		if err != nil {
			return nil, err
		}
		token = text.Reveal()
	}
	if token != "" {
		header.Set("Authorization", token)
	}
	c := httpapi.Direct(service)
	defer c.HTTP.CloseIdleConnections()
	var d document
	if err := c.JSON(ctx, http.MethodGet, address, header, nil, &d); err != nil {
		return nil, err
	}
	return d.keys(service)
}

// near holds that keys and the token for them go to the machine itself, or are encrypted.
func near(address string) error {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return fmt.Errorf("%s and %s name no address of keys", relative, full)
	}
	ip := net.ParseIP(u.Hostname())
	if u.Scheme == "https" || u.Scheme == "http" && ip != nil && (ip.IsLoopback() || ip.IsLinkLocalUnicast() || ip.Equal(net.ParseIP("fd00:ec2::23"))) {
		return nil
	}
	return fmt.Errorf("%s leads to another machine without encryption: want https", full)
}

// WebIdentity is a login by a signed token of another issuer, such as that of a Kubernetes service account, for which AWS
// gives keys of a role.
type WebIdentity struct {
	Role  string // its ARN
	Token secrets.Input

	sts string // for tests
}

func (w *WebIdentity) keys(ctx context.Context, region string) (*Keys, error) {
	const service = "AWS STS"
	token, err := w.Token(ctx)
	if err != nil {
		return nil, err
	}
	base := w.sts
	if base == "" {
		base = "https://" + host("sts", region)
	}
	form := url.Values{
		"Action": {"AssumeRoleWithWebIdentity"}, "Version": {"2011-06-15"}, "RoleArn": {w.Role}, "RoleSessionName": {"gateway"}, "WebIdentityToken": {token.Reveal()},
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/", strings.NewReader(form.Encode()))
	if err != nil {
		return nil, errors.New("the address of AWS STS cannot be read")
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	c := httpapi.New(service, nil)
	defer c.HTTP.CloseIdleConnections()
	text, err := c.Do(ctx, r)
	if s := (*httpapi.Status)(nil); errors.As(err, &s) && s.Code == http.StatusBadRequest {
		return nil, fmt.Errorf("%w: %w", err, secrets.ErrDenied)
	}
	if err != nil {
		return nil, err
	}
	var a struct {
		ID      string    `xml:"AssumeRoleWithWebIdentityResult>Credentials>AccessKeyId"`
		Secret  string    `xml:"AssumeRoleWithWebIdentityResult>Credentials>SecretAccessKey"`
		Session string    `xml:"AssumeRoleWithWebIdentityResult>Credentials>SessionToken"`
		Expires time.Time `xml:"AssumeRoleWithWebIdentityResult>Credentials>Expiration"`
	}
	if xml.Unmarshal(text, &a) != nil { // its error may quote the text
		return nil, fmt.Errorf("%s sent what is not its XML: %w", service, secrets.ErrType)
	}
	return (&document{a.ID, a.Secret, a.Session, a.Expires}).keys(service)
}

// Ambient is the login that the machine has: a web identity or a container's role where the environment names one, and
// else the machine's role.
func Ambient() Login {
	switch role, file := os.Getenv("AWS_ROLE_ARN"), os.Getenv("AWS_WEB_IDENTITY_TOKEN_FILE"); {
	case role != "" && file != "":
		return &WebIdentity{Role: role, Token: secrets.FromFile(path.Clean(file))}
	case os.Getenv(relative) != "" || os.Getenv(full) != "":
		return Container{}
	}
	return &Machine{}
}

// ring keeps keys until five minutes before they end.
type ring struct {
	login  Login
	region string

	once sync.Once
	turn chan struct{} // holds one value while somebody asks or looks
	kept *Keys
}

const early = 5 * time.Minute

func (g *ring) get(ctx context.Context) (*Keys, error) {
	g.once.Do(func() { g.turn = make(chan struct{}, 1) })
	select {
	case g.turn <- struct{}{}:
		defer func() { <-g.turn }()
	case <-ctx.Done():
		return nil, fmt.Errorf("waiting for the gateway's keys of AWS: %w: %w", secrets.ErrUnavailable, context.Cause(ctx))
	}
	if k := g.kept; k != nil && !k.Expires.IsZero() && time.Until(k.Expires) > early {
		return k, nil
	}
	k, err := g.login.keys(ctx, g.region)
	if err != nil {
		return nil, fmt.Errorf("the gateway's keys of AWS: %w", err)
	}
	if k.Secret.Empty() || !k.Expires.IsZero() && !time.Now().Before(k.Expires) {
		return nil, fmt.Errorf("the gateway's keys of AWS: %w", secrets.ErrExpired)
	}
	g.kept = k
	return k, nil
}
