// Package kubernetes reads Secrets of Kubernetes, by its API and over plain HTTP.
//
//	kubernetes:apps/orders#password  a key of a Secret of the namespace apps
//	kubernetes:orders#password       of the namespace that the gateway itself is in
package kubernetes

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/sallyport/sallyport/secrets"
	"github.com/sallyport/sallyport/secrets/internal/httpapi"
)

// Config says where a cluster's API is, and how the gateway proves itself there. The zero Config is for a gateway
// in a pod of the cluster.
type Config struct {
	Address   string         // "https://10.0.0.1:6443"; empty: the cluster that the gateway is in
	RootCAs   *x509.CertPool // nil: those that the pod is given, or the system's where Address is set
	Token     secrets.Input  // of a service account; nil: that of the pod, which is read again at each request
	Namespace string         // of references that name none; empty: that of the pod
}

// Provider is a [secrets.Provider] of one cluster. Make it with New.
type Provider struct {
	client    *httpapi.Client
	base      string
	token     secrets.Input
	namespace func() (string, error)
}

// given is the folder with what Kubernetes gives pods; variables, so that tests can have another.
var given = "/var/run/secrets/kubernetes.io/serviceaccount"

// New returns a provider, without connecting.
func New(c Config) (*Provider, error) {
	p := &Provider{token: c.Token}
	roots := c.RootCAs
	if c.Address == "" {
		host, port := os.Getenv("KUBERNETES_SERVICE_HOST"), os.Getenv("KUBERNETES_SERVICE_PORT")
		if host == "" || port == "" {
			return nil, errors.New("opening Kubernetes: the gateway is not in a pod, so that its API has no known address: give it")
		}
		c.Address = "https://" + net.JoinHostPort(host, port)
		if roots == nil {
			var err error
			if roots, err = (secrets.Host{}).Roots(filepath.Join(given, "ca.crt")); err != nil {
				return nil, fmt.Errorf("opening Kubernetes: %w", err)
			}
		}
	}
	base, err := httpapi.Base(c.Address)
	if err != nil {
		return nil, fmt.Errorf("opening Kubernetes: %w", err)
	}
	if p.token == nil {
		p.token = secrets.FromFile(filepath.Join(given, "token"))
	}
	p.namespace = func() (string, error) {
		if c.Namespace != "" {
			return c.Namespace, nil
		}
		text, err := secrets.ReadFile(filepath.Join(given, "namespace"))
		return strings.TrimSpace(string(text)), err
	}
	p.client, p.base = httpapi.New("Kubernetes", httpapi.TLS(roots, nil)), strings.TrimSuffix(base.String(), "/")+"/api/v1/namespaces/"
	return p, nil
}

// Remote marks the provider: its references do not read the gateway's host.
func (*Provider) Remote() {}

// name is a name of an object: of lower-case letters and digits, with - and . between them.
var name = regexp.MustCompile(`^[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?$`)

// Resolve reads a key of a Secret.
func (p *Provider) Resolve(ctx context.Context, ref secrets.Ref, _ secrets.Use) (*secrets.Value, error) {
	if err := ref.Only("user"); err != nil {
		return nil, err
	}
	namespace, object, ok := strings.Cut(ref.Path, "/")
	if !ok {
		var err error
		object = namespace
		if namespace, err = p.namespace(); err != nil {
			return nil, fmt.Errorf("the namespace of %s: %w", ref.Path, err)
		}
	}
	if !name.MatchString(namespace) || !name.MatchString(object) || strings.Contains(object, "..") {
		return nil, fmt.Errorf("the path %q is not one of a Secret: want NAMESPACE/NAME, or NAME", ref.Path)
	}
	if ref.Key == "" {
		return nil, fmt.Errorf("%s holds several values: give the key, as in kubernetes:%s#password: %w", ref.Path, ref.Path, secrets.ErrType)
	}
	token, err := p.token(ctx)
	if err != nil {
		return nil, fmt.Errorf("the token of the gateway's service account: %w", err)
	}
	var secret struct {
		Kind     string            `json:"kind"`
		Data     map[string]string `json:"data"`
		Metadata struct {
			Version string `json:"resourceVersion"`
		} `json:"metadata"`
	}
	if err := p.client.JSON(ctx, http.MethodGet, p.base+namespace+"/secrets/"+object, httpapi.Bearer(token), nil, &secret); err != nil {
		return nil, fmt.Errorf("reading Secret %s/%s: %w", namespace, object, err)
	}
	if secret.Kind != "Secret" {
		return nil, fmt.Errorf("reading Secret %s/%s: the answer is of another kind: %w", namespace, object, secrets.ErrType)
	}
	pick := func(key string) (*secrets.Value, error) {
		text, ok := secret.Data[key]
		if !ok {
			return nil, fmt.Errorf("the Secret %s/%s has no key %q: %w", namespace, object, key, secrets.ErrNotFound)
		}
		b, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return nil, fmt.Errorf("the Secret %s/%s: key %q is not in base64: %w", namespace, object, key, secrets.ErrType)
		}
		return secrets.Whole(string(b))
	}
	v, err := pick(ref.Key)
	if user := ref.Options.Get("user"); err == nil && user != "" {
		var who *secrets.Value
		if who, err = pick(user); err == nil {
			v.Username = who.Plain().Reveal()
		}
	}
	if err != nil {
		return nil, err
	}
	v.Shared, v.Version = true, secret.Metadata.Version
	return v, nil
}

// Settings are what a config file says of a cluster. Without any it is the one that the gateway is in.
type Settings struct {
	Address   string `yaml:"address"`
	CA        string `yaml:"ca"`
	Token     string `yaml:"token"` // a reference
	Namespace string `yaml:"namespace"`
}

// Kind is the kind of sources that are a cluster.
func Kind() secrets.Kind {
	return secrets.Kind{Name: "kubernetes", Settings: func() any { return &Settings{} }, Open: open}
}

// Validate says what is wrong.
func (s *Settings) Validate() error {
	var errs []error
	if s.Address != "" {
		if _, err := httpapi.Base(s.Address); err != nil {
			errs = append(errs, fmt.Errorf("address: %w", err))
		}
		errs = append(errs, secrets.CheckInput("token", s.Token))
	} else if s.Token != "" {
		errs = append(errs, secrets.CheckInput("token", s.Token))
	}
	if s.Namespace != "" && !name.MatchString(s.Namespace) {
		errs = append(errs, errors.New("namespace: want a name of lower-case letters, digits and -"))
	}
	return errors.Join(errs...)
}

func open(settings any, h secrets.Host) (secrets.Provider, error) {
	s := settings.(*Settings)
	c := Config{Address: s.Address, Namespace: s.Namespace}
	var err error
	if c.RootCAs, err = h.Roots(s.CA); err != nil {
		return nil, err
	}
	if s.Token != "" {
		c.Token = h.Input(s.Token)
	}
	return New(c)
}
