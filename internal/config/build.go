package config

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"strings"

	"github.com/sallyport/sallyport/guardrail"
	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/policy"
	"github.com/sallyport/sallyport/protocol/postgres"
	"github.com/sallyport/sallyport/proxy"
)

// Users builds the authenticator.
func (f *File) Users() (*identity.Users, error) {
	users := make([]identity.User, len(f.Identity.Users))
	for i, u := range f.Identity.Users {
		users[i] = u.user()
	}
	return identity.NewUsers(users)
}

// Policy builds the access rules.
func (f *File) Policy() (*policy.Policy, error) { return policy.New(f.rules()) }

func (f *File) rules() []policy.Rule {
	rules := make([]policy.Rule, len(f.Access))
	for i, a := range f.Access {
		rules[i] = a.rule(i)
	}
	return rules
}

// Directory builds the resources. It reads the certificates that they name.
func (f *File) Directory() (proxy.Resources, error) {
	var list proxy.Resources
	for _, r := range f.Resources {
		res := &proxy.Resource{
			Name: r.Name, Type: r.Type, Address: r.Address, Labels: r.Labels, Database: r.Database, MaxSession: r.Session,
		}
		for _, a := range r.accounts() {
			secret := a.Password
			if secret == "" {
				secret = a.Key
			}
			res.Accounts = append(res.Accounts, proxy.Account{Name: a.Name, Username: a.Username, Secret: f.reference(secret)})
		}
		var err error
		if res.TLS, err = f.resourceTLS(r); err != nil {
			return nil, fmt.Errorf("resource %s: %w", r.Name, err)
		}
		if r.Type == "postgres" {
			res.Settings = postgres.Settings{
				Replication: r.Replication, FunctionCall: r.FunctionCall,
				ReadOnly: r.ReadOnly || r.Labels[guardrail.ReadOnlyLabel] == "true", MD5: r.MD5,
				Cleartext: r.Cleartext, Plaintext: r.Plaintext, StartupParameters: r.StartupParameters,
			}
		}
		if r.Type == "ssh" && r.SSH != nil {
			res.Settings = *r.SSH
		}
		list = append(list, res)
	}
	return list, nil
}

// reference makes a file: reference relative to the config file's folder.
func (f *File) reference(ref string) string {
	if name, ok := strings.CutPrefix(ref, "file:"); ok {
		return "file:" + f.path(name)
	}
	return ref
}

func (f *File) resourceTLS(r Resource) (proxy.TLS, error) {
	if r.Type == "ssh" {
		return proxy.TLS{Mode: proxy.TLSDisable}, nil
	}
	mode, err := r.TLS.mode(r.Type)
	if err != nil || r.TLS == nil {
		return proxy.TLS{Mode: mode}, err
	}
	t := proxy.TLS{Mode: mode, ServerName: r.TLS.ServerName}
	if r.TLS.CA != "" {
		pem, err := os.ReadFile(f.path(r.TLS.CA))
		if err != nil {
			return t, err
		}
		t.RootCAs = x509.NewCertPool()
		if !t.RootCAs.AppendCertsFromPEM(pem) {
			return t, fmt.Errorf("%s holds no certificate", r.TLS.CA)
		}
	}
	if r.TLS.Cert != "" {
		pair, err := tls.LoadX509KeyPair(f.path(r.TLS.Cert), f.path(r.TLS.Key))
		if err != nil {
			return t, err
		}
		t.Certificates = []tls.Certificate{pair}
	}
	return t, nil
}

// Listener is one place where the gateway listens.
type Listener struct {
	Protocol string
	Address  string
	Resource string // the one resource that is served there; empty when clients choose
}

// Listeners lists the places.
func (f *File) Listeners() []Listener {
	var list []Listener
	if f.Listen.Postgres != "" {
		list = append(list, Listener{"postgres", f.Listen.Postgres, ""})
	}
	if f.Listen.SSH != "" {
		list = append(list, Listener{"ssh", f.Listen.SSH, ""})
	}
	for _, r := range f.Resources {
		if r.Listen != "" {
			list = append(list, Listener{r.Type, r.Listen, r.Name})
		}
	}
	return list
}

// ClientTLS reads the certificate that clients see; nil when none is
// configured.
func (f *File) ClientTLS() (*tls.Config, error) {
	if f.TLS == nil || f.TLS.Cert == "" {
		return nil, nil
	}
	pair, err := tls.LoadX509KeyPair(f.path(f.TLS.Cert), f.path(f.TLS.Key))
	if err != nil {
		return nil, err
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}, nil
}
