package config

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"

	gossh "golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/policy"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/secrets"
)

// Check follows what the file refers to: secrets, keys, certificates and authorities. It
// returns everything that leads nowhere, as "key: problem". A file whose Check has no
// problems can be served by a process with the same environment and rights.
func (f *File) Check(ctx context.Context) Problems {
	d := f.notes()
	from, err := f.OpenSecrets(secrets.Options{Brief: true})
	if err != nil {
		d.note(f.Secrets.line(), "", "secrets: %v", err)
		return d.problems
	}
	c := &checking{f, d, from}
	if f.TLS != nil && f.TLS.Cert != "" {
		c.pair(ctx, f.TLS.Line, "tls", f.TLS.Cert, f.TLS.Key)
	}
	for i := range f.Resources {
		r := &f.Resources[i]
		at := "resource " + r.Name
		if r.TLS != nil {
			f.roots(d, r.TLS.Line, at+": tls.ca", r.TLS.CA)
			if r.TLS.Cert != "" {
				c.pair(ctx, r.TLS.Line, at+": tls", r.TLS.Cert, r.TLS.Key)
			}
		}
		for _, a := range r.accounts() {
			if len(r.Accounts) > 0 {
				at = "resource " + r.Name + ": account " + a.Name
			}
			c.account(ctx, a, at)
		}
		if r.Own != nil {
			c.account(ctx, *r.Own, "resource "+r.Name+": own_account")
		}
	}
	c.secret(ctx, f.Store.Line, "store.password", f.Store.Password)
	c.secret(ctx, f.Store.Line, "store.key", f.Store.Key)
	for _, ref := range f.Store.OldKeys {
		c.secret(ctx, f.Store.Line, "store.old_keys", ref)
	}
	for _, p := range f.Identity.Providers {
		c.secret(ctx, p.Line, "identity provider "+p.Name+": client_secret", p.ClientSecret)
	}
	c.secret(ctx, f.MaskingKey.Line, "masking_key.secret", f.MaskingKey.Secret)
	if f.Analyzer != nil {
		c.secret(ctx, f.Analyzer.Line, "masking_analyzer.key", f.Analyzer.Key)
	}
	c.secret(ctx, f.Audit.Line, "audit.key", f.Audit.Key)
	for _, ref := range f.Audit.OldKeys {
		c.secret(ctx, f.Audit.Line, "audit.old_keys", ref)
	}
	if len(d.problems) == 0 && f.Audit.Key != "" {
		if _, err := f.AuditKeys(ctx, from); err != nil {
			d.note(f.Audit.Line, "", "audit.key: %v", err)
		}
	}
	for _, e := range f.Audit.Export {
		for _, ref := range e.Keys {
			c.secret(ctx, e.Line, "audit.export: keys", ref)
		}
		f.roots(d, e.Line, "audit.export: ca", e.CA)
		if e.Cert != "" {
			c.pair(ctx, e.Line, "audit.export", e.Cert, e.Key)
		}
	}
	for _, to := range f.Audit.Copies {
		c.bucket(ctx, "audit.copies: s3", to.S3)
	}
	for i := range f.Notify {
		c.notify(ctx, &f.Notify[i])
	}
	for i := range f.OnCall {
		c.onCall(ctx, &f.OnCall[i])
	}
	for _, w := range f.Audit.Witnesses {
		c.bucket(ctx, "audit.witnesses: s3", w.S3)
	}
	if err := from.Close(ctx); err != nil {
		d.note(f.Secrets.line(), "what was leased for this ends in its own time", "secrets: %v", err)
	}
	f.checkRego(d)
	slices.SortStableFunc(d.problems, func(a, b Problem) int { return a.Line - b.Line })
	return d.problems
}

// checking follows references, and notes those that lead nowhere.
type checking struct {
	*File
	*decoder
	from *Secrets
}

// advice is what to do about a reference that leads nowhere.
func (c *checking) advice(ref string) string {
	if c.from.Local(ref) {
		return "the gateway's own process must be able to read it"
	}
	return ""
}

// secret follows a reference. What is there is not shown.
func (c *checking) secret(ctx context.Context, line int, at, ref string) {
	if ref == "" {
		return
	}
	if _, err := c.Secret(ctx, c.from, ref); err != nil {
		c.note(line, c.advice(ref), "%s: %v", at, err)
	}
}

// account leases an account's credential, unless it is one of each person's own.
func (c *checking) account(ctx context.Context, a Account, at string) {
	is := c.proxyAccount(a)
	if is.Secret == "" || secrets.Personal(is.Secret) {
		return
	}
	at += ": password"
	if is.Key {
		at = strings.TrimSuffix(at, "password") + "key"
	}
	lease, err := c.from.Lease(ctx, proxy.LeaseRequest{Target: proxy.Target{Account: is}})
	if lease != nil && lease.Release != nil {
		defer lease.Release()
	}
	switch {
	case errors.Is(err, secrets.ErrNotKey):
		c.note(a.Line, "want PEM, which begins with -----BEGIN; a password belongs under password", "%s: this is not a private key", at)
		return
	case err != nil:
		c.note(a.Line, c.advice(is.Secret), "%s: %v", at, err)
		return
	case !is.Key:
		return
	}
	_, err = gossh.ParseRawPrivateKey([]byte(lease.PrivateKey.Reveal()))
	var locked *gossh.PassphraseMissingError
	switch {
	case errors.As(err, &locked):
		c.note(a.Line, "the gateway needs one without", "%s: the private key is protected by a passphrase", at)
	case err != nil:
		c.note(a.Line, "want PEM, which begins with -----BEGIN; a password belongs under password", "%s: this is not a private key", at)
	}
}

func (c *checking) bucket(ctx context.Context, at string, b *Bucket) {
	if b == nil {
		return
	}
	c.secret(ctx, b.Line, at+".access_key", b.AccessKey)
	c.secret(ctx, b.Line, at+".secret_key", b.SecretKey)
	c.secret(ctx, b.Line, at+".session_token", b.SessionToken)
	c.roots(c.decoder, b.Line, at+".ca", c.path(b.CA))
}

// pair reports a certificate and its key that cannot be used.
func (c *checking) pair(ctx context.Context, line int, at, cert, key string) {
	if _, err := c.keyPair(ctx, c.from, cert, key); err != nil {
		c.note(line, "", "%s: certificate %s with key %s: %v", at, c.called(cert), c.named(key), err)
	}
}

// roots reports certificates to trust that cannot be used.
func (f *File) roots(d *decoder, line int, at, value string) {
	if value == "" {
		return
	}
	pem, err := f.certificates(value)
	if err == nil && !x509.NewCertPool().AppendCertsFromPEM(pem) {
		err = fmt.Errorf("%s holds no certificate", f.called(value))
	}
	if err != nil {
		d.note(line, "", "%s: %v", at, err)
	}
}

// noticeUnconnected notes rules that allow something to users who may not connect to
// what the rule is about.
func (f *File) noticeUnconnected(d *decoder) {
	p, err := f.Policy()
	if err != nil {
		return // which is a problem, and not a notice
	}
	p = p.With(everything{p})
	for i := range f.Access {
		a := &f.Access[i]
		rule := a.rule(i)
		if len(a.Allow) == 0 || len(a.Databases)+len(a.Accounts) > 0 {
			continue
		}
		if meets, connects := f.meets(p, &rule); meets && !connects {
			d.note(a.Line, "add connect to what it allows", "access: rule %s allows %s to users who may not connect there, so it has no effect", rule.Name, strings.Join(a.Allow, ", "))
		}
	}
}

// everything is granted to everybody who may ask for it.
type everything struct{ rules *policy.Policy }

func (everything) Version() uint64                                  { return 0 }
func (everything) Watch(string, func(string, string)) (stop func()) { return func() {} }

func (everything) Open(context.Context, string, *proxy.Session) error { return nil }

func (e everything) Granted(_ *proxy.Session, _ *proxy.Identity, _ proxy.Target, rule string) (policy.Grant, bool) {
	return policy.Grant{Actions: e.rules.Rule(rule).Allow}, true
}

func (everything) Glass(*proxy.Identity, proxy.Target, string) (policy.Grant, bool) {
	return policy.Grant{}, false
}

// meets reports whether a rule is about a user and a resource of the file, and whether
// one of these users may connect to one of these resources.
func (f *File) meets(p *policy.Policy, rule *policy.Rule) (meets, connects bool) {
	for _, u := range f.Identity.Users {
		id := &proxy.Identity{Subject: u.Name, Groups: u.Groups}
		if !rule.MatchesIdentity(id) {
			continue
		}
		for k := range f.Resources {
			r := &f.Resources[k]
			res := &proxy.Resource{Name: r.Name, Type: r.Type, Labels: r.Labels}
			if !rule.MatchesResource(res) {
				continue
			}
			for _, a := range r.accounts() {
				meets = true
				if p.May(id, proxy.Target{Resource: res, Account: proxy.Account{Name: a.Name, Username: a.Username}, Database: r.Database}) {
					return true, true
				}
			}
		}
	}
	return meets, false
}
