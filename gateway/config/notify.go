package config

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"

	"github.com/sallyport/sallyport/internal/webhook"
	"github.com/sallyport/sallyport/policy"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/review"
	"github.com/sallyport/sallyport/review/slack"
	"github.com/sallyport/sallyport/review/smtp"
	"github.com/sallyport/sallyport/store"
)

// Notify is a channel by which people are told of requests.
type Notify struct {
	Position
	Name      string   `yaml:"name"`
	Type      string   `yaml:"type"`
	Events    []string `yaml:"events,chooses"`
	Resources Selector `yaml:"resources"`

	URL       string   `yaml:"url"`            // webhook; slack: the API
	Keys      []string `yaml:"keys"`           // webhook: references
	Private   bool     `yaml:"private"`        // webhook
	Plaintext bool     `yaml:"plaintext"`      // webhook
	Details   bool     `yaml:"details"`        // all of them
	Address   string   `yaml:"address"`        // smtp
	Security  string   `yaml:"security"`       // smtp: starttls, tls or none
	Username  string   `yaml:"username"`       // smtp
	Password  string   `yaml:"password"`       // smtp: a reference
	From      string   `yaml:"from"`           // smtp
	To        []string `yaml:"to"`             // smtp: addresses, approvers, requester
	Channel   string   `yaml:"channel"`        // slack
	Token     string   `yaml:"token"`          // slack: a reference
	Signing   string   `yaml:"signing_secret"` // slack: a reference; empty: nobody decides there
	CA        string   `yaml:"ca"`
}

// Words of To that are not addresses.
const (
	ToApprovers = "approvers" // who may decide, as far as the gateway knows their addresses
	ToRequester = "requester"
)

// Addresses are the addresses of To.
func (n *Notify) Addresses() []string {
	return slices.DeleteFunc(slices.Clone(n.To), func(s string) bool { return s == ToApprovers || s == ToRequester })
}

// Called is the name of the channel.
func (n *Notify) Called() string { return cmp.Or(n.Name, n.Type) }

// notifyType is a kind of channels: what its entries need.
type notifyType struct {
	name  string
	keys  []string // that its entries may have, besides those of all
	check func(f *File, d *decoder, n *Notify, at string)
}

// notifyTypes are all kinds of channels.
func notifyTypes() []notifyType {
	return []notifyType{
		{"webhook", []string{"url", "keys", "private", "plaintext", "details", "ca"}, (*File).checkWebhook},
		{"smtp", []string{"address", "security", "username", "password", "from", "to", "details", "ca"}, (*File).checkSMTP},
		{"slack", []string{"channel", "token", "signing_secret", "url", "details", "ca"}, (*File).checkSlack},
	}
}

func (f *File) validateNotify(d *decoder) {
	types := notifyTypes()
	var known []string
	for _, t := range types {
		known = append(known, t.name)
	}
	if n := len(f.Notify); n > review.MaxChannels {
		d.problem(f.Notify[0].Line, "", "notify has %d channels, want at most %d", n, review.MaxChannels)
	}
	names := make(map[string]bool)
	for i := range f.Notify {
		n := &f.Notify[i]
		at := "notify " + n.Called()
		i := slices.Index(known, n.Type)
		if i < 0 {
			d.problem(n.Line, suggest(n.Type, known), "unknown type of notify %q", n.Type)
			continue
		}
		if err := review.ValidChannel(n.Called()); err != nil {
			d.problem(n.Line, "", "notify: %v", err)
		}
		if names[n.Called()] {
			d.problem(n.Line, "give them names", "%s exists twice", at)
		}
		names[n.Called()] = true
		for _, e := range n.Events {
			if !slices.Contains(review.Events(), e) {
				d.problem(n.Line, suggest(e, review.Events()), "%s: unknown event %q", at, e)
			}
		}
		f.checkSelector(d, n.Line, n.Resources)
		for _, key := range n.foreign(types[i].keys) {
			d.problem(n.Line, "remove it", "%s: type %s has no %s", at, n.Type, key)
		}
		for _, ref := range n.references() {
			if err := f.checkReference(ref); err != nil {
				d.problem(n.Line, "secrets are not allowed in this file", "%s: %v", at, err)
			}
		}
		types[i].check(f, d, n, at)
	}
}

// foreign are the keys that are set and that another type has.
func (n *Notify) foreign(own []string) (keys []string) {
	set := map[string]bool{
		"url": n.URL != "", "keys": len(n.Keys) > 0, "private": n.Private, "plaintext": n.Plaintext, "details": n.Details, "ca": n.CA != "",
		"address": n.Address != "", "security": n.Security != "", "username": n.Username != "", "password": n.Password != "", "from": n.From != "", "to": len(n.To) > 0,
		"channel": n.Channel != "", "token": n.Token != "", "signing_secret": n.Signing != "",
	}
	for key, is := range set {
		if is && !slices.Contains(own, key) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

// references are those to the channel's secrets.
func (n *Notify) references() []string {
	list := slices.Clone(n.Keys)
	for _, ref := range []string{n.Password, n.Token, n.Signing} {
		if ref != "" {
			list = append(list, ref)
		}
	}
	return list
}

func (f *File) checkWebhook(d *decoder, n *Notify, at string) {
	u, ok := parseURL(n.URL)
	switch {
	case f.checkReference(n.URL) == nil: // it may hold a secret
	case !ok || u.User != nil:
		d.problem(n.Line, "url: https://hooks.example.com/requests, or a reference to it where it holds a secret", "%s needs a url", at)
	case u.Scheme == "http" && !n.Plaintext:
		d.problem(n.Line, "use https, or set plaintext: true", "%s would send unencrypted", at)
	}
	if len(n.Keys) == 0 {
		d.problem(n.Line, "keys: [env:NAME]", "%s has no keys to sign with", at)
	}
}

// smtpSecurity are the words of Security.
var smtpSecurity = map[string]smtp.Security{"": smtp.StartTLS, "starttls": smtp.StartTLS, "tls": smtp.TLS, "none": smtp.Plaintext}

// SMTP is what the file says about a channel of mail.
func (n *Notify) SMTP() smtp.Config {
	return smtp.Config{
		Address: n.Address, Security: smtpSecurity[n.Security], Username: n.Username, From: n.From, To: n.Addresses(), Details: n.Details,
	}
}

func (f *File) checkSMTP(d *decoder, n *Notify, at string) {
	if _, ok := smtpSecurity[n.Security]; !ok {
		d.problem(n.Line, suggest(n.Security, []string{"starttls", "tls", "none"}), "%s: unknown security %q", at, n.Security)
		return
	}
	c := n.SMTP()
	if n.Password != "" {
		c.Password = proxy.NewSecret("there") // which it is when it is followed
	}
	if len(c.To) < len(n.To) {
		c.Recipients = func(context.Context, *review.Notice) ([]string, error) { return nil, nil }
	}
	if _, err := smtp.New(c); err != nil {
		d.problem(n.Line, "", "%s: %v", at, err)
	}
}

// Slack is what the file says about a channel of Slack.
func (n *Notify) Slack() slack.Config {
	return slack.Config{Name: n.Called(), Channel: n.Channel, URL: n.URL, Details: n.Details, Decide: n.Signing != ""}
}

func (f *File) checkSlack(d *decoder, n *Notify, at string) {
	if n.Signing != "" && f.API.URL == "" && !d.broken["api"] {
		d.problem(n.Line, "add api: {listen: 0.0.0.0:8443, url: https://gw.example.com:8443}", "%s: deciding in Slack needs the API, where Slack reaches it", at)
	}
	c := n.Slack()
	c.Store = store.NewMemory() // the gateway's, when it is told
	if n.Token != "" {
		c.Token = proxy.NewSecret("there") // which it is when it is followed
	}
	if _, err := slack.New(c); err != nil {
		d.problem(n.Line, "", "%s: %v", at, err)
	}
}

// NotifySecrets are what a channel's references and files lead to.
type NotifySecrets struct {
	URL      string
	Password string
	Token    string
	Signing  string
	Keys     []string
	CA       string // certificates; empty: the system's are trusted
}

// TLS is how the channel knows who it tells; nil: by the system's roots.
func (s *NotifySecrets) TLS() (*tls.Config, error) {
	if s.CA == "" {
		return nil, nil
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: x509.NewCertPool()}
	if !c.RootCAs.AppendCertsFromPEM([]byte(s.CA)) {
		return nil, errors.New("ca holds no certificate")
	}
	return c, nil
}

// NotifySecrets follows the references of a channel, and reads its files. from is who follows them.
func (f *File) NotifySecrets(ctx context.Context, from *Secrets, n *Notify) (s NotifySecrets, err error) {
	s.URL = n.URL
	if n.URL != "" && f.checkReference(n.URL) == nil {
		if s.URL, err = f.Secret(ctx, from, n.URL); err != nil {
			return s, fmt.Errorf("notify %s: url: %w", n.Called(), err)
		}
	}
	for _, ref := range n.Keys {
		key, err := f.Secret(ctx, from, ref)
		if err != nil {
			return s, fmt.Errorf("notify %s: keys: %w", n.Called(), err)
		}
		s.Keys = append(s.Keys, key)
	}
	if n.Password != "" {
		if s.Password, err = f.Secret(ctx, from, n.Password); err != nil {
			return s, fmt.Errorf("notify %s: password: %w", n.Called(), err)
		}
	}
	if n.Token != "" {
		if s.Token, err = f.Secret(ctx, from, n.Token); err != nil {
			return s, fmt.Errorf("notify %s: token: %w", n.Called(), err)
		}
	}
	if n.Signing != "" {
		if s.Signing, err = f.Secret(ctx, from, n.Signing); err != nil {
			return s, fmt.Errorf("notify %s: signing_secret: %w", n.Called(), err)
		}
	}
	if n.CA != "" {
		pem, err := f.certificates(n.CA)
		if err != nil {
			return s, fmt.Errorf("notify %s: ca: %w", n.Called(), err)
		}
		s.CA = string(pem)
	}
	return s, nil
}

// Wants returns whether a channel is told of a notice. find returns a resource; nil: it is not there any more.
func (n *Notify) Wants(find func(resource string) *proxy.Resource) func(of *review.Notice) bool {
	rule := policy.Rule{Resources: n.Resources.Names, Labels: n.Resources.Labels}
	everywhere := n.Resources.everywhere()
	return func(of *review.Notice) bool {
		// What waits for too long is told to everybody who is told anything of the resource.
		if len(n.Events) > 0 && of.Event != review.Escalated && !slices.Contains(n.Events, of.Event) {
			return false
		}
		if everywhere {
			return true
		}
		r := find(of.Request.Resource)
		if r == nil {
			r = &proxy.Resource{Name: of.Request.Resource}
		}
		return rule.MatchesResource(r)
	}
}

// Version names what the file says about a channel.
func (n *Notify) Version() string {
	b, err := json.Marshal(plain(*n))
	if err != nil {
		panic(err) // of text, numbers and lists of these
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:12])
}

// SameNotify reports whether two channels are told in the same way.
func SameNotify(a, b *Notify) bool { return same(*a, *b) }

// RequestURL is where a request is shown by the API; empty: the API is not served.
func (f *File) RequestURL(id string) string {
	if f.API.URL == "" {
		return ""
	}
	return f.at("/v1/requests/" + url.PathEscape(id))
}

// notify follows the references of a channel, and reads what they lead to.
func (c *checking) notify(ctx context.Context, n *Notify) {
	at := "notify " + n.Called()
	if n.URL != "" && c.checkReference(n.URL) == nil {
		c.secret(ctx, n.Line, at+": url", n.URL)
	}
	for _, ref := range n.Keys {
		text, err := c.Secret(ctx, c.from, ref)
		if err != nil {
			c.note(n.Line, c.advice(ref), "%s: keys: %v", at, err)
		} else if _, err := webhook.ParseKey(text); err != nil {
			c.note(n.Line, "such as whsec_ and the output of openssl rand -base64 32", "%s: keys: what %s leads to: %v", at, ref, err)
		}
	}
	c.secret(ctx, n.Line, at+": password", n.Password)
	c.secret(ctx, n.Line, at+": token", n.Token)
	c.secret(ctx, n.Line, at+": signing_secret", n.Signing)
	c.roots(c.decoder, n.Line, at+": ca", n.CA)
}
