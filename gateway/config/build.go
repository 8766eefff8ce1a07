package config

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"slices"

	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/policy"
	"github.com/sallyport/sallyport/protocol"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/secrets"
)

// Users builds the authenticator.
func (f *File) Users() (*identity.Users, error) {
	users := make([]identity.User, len(f.Identity.Users))
	for i, u := range f.Identity.Users {
		users[i] = u.user()
	}
	all, err := identity.NewUsers(users)
	if err == nil {
		all.PasswordAlone = f.Identity.Factors.PasswordAlone
	}
	return all, err
}

// Policy builds the access rules. Those with budgets per person need
// [policy.Policy.WithBudgets].
func (f *File) Policy() (*policy.Policy, error) { return policy.New(f.rules(), carries) }

func (f *File) rules() []policy.Rule {
	rules := make([]policy.Rule, len(f.Access))
	for i, a := range f.Access {
		rules[i] = a.rule(i)
	}
	return rules
}

// Directory builds the resources. It reads the certificates and keys that they name. from is who
// follows references; nil opens the file's sources for this alone.
func (f *File) Directory(ctx context.Context, from *Secrets) (proxy.Resources, error) {
	var list proxy.Resources
	for i := range f.Resources {
		r := &f.Resources[i]
		address, err := f.address(r)
		if err != nil {
			return nil, fmt.Errorf("resource %s: %w", r.Name, err)
		}
		res := &proxy.Resource{
			Name: r.Name, Type: r.Type, Address: address, Via: r.Via, Labels: r.Labels, Database: r.Database, MaxSession: r.Session, Settings: r.Settings,
			Reserved: f.protocol(r).Reserved,
		}
		if o := f.objects.of(r.Line); o != nil {
			res.Made = o.Made
		}
		for _, a := range r.accounts() {
			res.Accounts = append(res.Accounts, f.proxyAccount(a))
		}
		if r.Own != nil {
			res.Own = f.proxyAccount(*r.Own)
		}
		if res.TLS, err = f.resourceTLS(ctx, from, r); err != nil {
			return nil, fmt.Errorf("resource %s: %w", r.Name, err)
		}
		list = append(list, res)
	}
	return list, nil
}

func (f *File) proxyAccount(a Account) proxy.Account {
	return proxy.Account{Name: a.Name, Username: a.Username, Secret: f.reference(cmp.Or(a.Password, a.Key)), Key: a.Key != ""}
}

// reference makes a file: reference relative to the config file's folder.
func (f *File) reference(ref string) string {
	r, err := secrets.Parse(ref)
	if err != nil || r.Scheme != "file" {
		return ref
	}
	r.Path = f.path(r.Path)
	return r.String()
}

func (f *File) resourceTLS(ctx context.Context, from *Secrets, r *Resource) (proxy.TLS, error) {
	if !f.protocol(r).TLS {
		return proxy.TLS{Mode: proxy.TLSDisable}, nil
	}
	mode, err := r.TLS.mode()
	if err != nil || r.TLS == nil {
		return proxy.TLS{Mode: mode}, err
	}
	t := proxy.TLS{Mode: mode, ServerName: r.TLS.ServerName}
	if r.TLS.CA != "" {
		pem, err := f.certificates(r.TLS.CA)
		if err != nil {
			return t, err
		}
		t.RootCAs = x509.NewCertPool()
		if !t.RootCAs.AppendCertsFromPEM(pem) {
			return t, fmt.Errorf("tls.ca: %s holds no certificate", f.called(r.TLS.CA))
		}
	}
	if r.TLS.Cert != "" {
		pair, err := f.keyPair(ctx, from, r.TLS.Cert, r.TLS.Key)
		if err != nil {
			return t, err
		}
		t.Certificates = []tls.Certificate{pair}
	}
	return t, nil
}

// certificates are those of a value of the file: itself, or the name of a file.
func (f *File) certificates(value string) ([]byte, error) {
	if isPEM(value) {
		return []byte(value), nil
	}
	return os.ReadFile(f.path(value))
}

// Protocols are those that the file was read with.
func (f *File) Protocols() []protocol.Protocol { return slices.Clone(f.options.Protocols) }

// Listeners lists the places where the gateway listens: those that resources
// share, in the order of the protocols, and then those of single resources.
func (f *File) Listeners() []protocol.Listener {
	var list []protocol.Listener
	for _, name := range namesOf(f.options.Protocols) {
		if address := f.Listen[name]; address != "" {
			list = append(list, protocol.Listener{Protocol: name, Address: address})
		}
	}
	for _, r := range f.Resources {
		if r.Listen != "" {
			list = append(list, protocol.Listener{Protocol: r.Type, Address: r.Listen, Resource: r.Name})
		}
	}
	return list
}

// LineOf returns the line of the listener with this address, 1 when there is none.
func (f *File) LineOf(address string) int {
	for name, a := range f.Listen {
		if a == address {
			return f.places[name]
		}
	}
	for i := range f.Resources {
		if f.Resources[i].Listen == address {
			return f.Resources[i].Line
		}
	}
	return 1
}

// At returns where a resource is in the file, as "file:line".
func (f *File) At(resource string) string {
	line := 1
	for i := range f.Resources {
		if f.Resources[i].Name == resource {
			line = f.Resources[i].Line
		}
	}
	file, line := f.objects.place(f.name, line)
	return fmt.Sprintf("%s:%d", file, line)
}

// ClientCertificate reads the certificate that clients see and its key. from is who follows
// references.
func (f *File) ClientCertificate(ctx context.Context, from *Secrets) (cert, key []byte, err error) {
	return f.pair(ctx, from, f.TLS.Cert, f.TLS.Key)
}

// ClientFiles are the names of the certificate and key of ClientCertificate; empty where
// the gateway's own authority makes one. asks says that the key is not in a file.
func (f *File) ClientFiles() (cert, key string, asks bool) {
	switch {
	case f.TLS == nil || f.TLS.Cert == "":
		return "", "", false
	case f.checkReference(f.TLS.Key) == nil:
		return f.path(f.TLS.Cert), f.TLS.Key, true
	}
	return f.path(f.TLS.Cert), f.path(f.TLS.Key), false
}
