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
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/webhook"
	"github.com/sallyport/sallyport/policy"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/review"
	"github.com/sallyport/sallyport/review/jira"
	"github.com/sallyport/sallyport/review/opsgenie"
	"github.com/sallyport/sallyport/review/pagerduty"
	"github.com/sallyport/sallyport/review/slack"
	"github.com/sallyport/sallyport/review/smtp"
	"github.com/sallyport/sallyport/review/teams"
	"github.com/sallyport/sallyport/store"
)

// Notify is a channel by which people are told of requests.
type Notify struct {
	Position
	Name      string   `yaml:"name"`
	Type      string   `yaml:"type"`
	Events    []string `yaml:"events,chooses"`
	Resources Selector `yaml:"resources"`

	URL       string   `yaml:"url"`            // webhook; teams: a reference; the others: the service
	Keys      []string `yaml:"keys"`           // webhook: references
	Key       string   `yaml:"key"`            // pagerduty, opsgenie: a reference
	Private   bool     `yaml:"private"`        // all but smtp and slack
	Plaintext bool     `yaml:"plaintext"`      // webhook
	Details   bool     `yaml:"details"`        // all of them
	Address   string   `yaml:"address"`        // smtp
	Security  string   `yaml:"security"`       // smtp: starttls, tls or none
	Username  string   `yaml:"username"`       // smtp
	Password  string   `yaml:"password"`       // smtp: a reference
	From      string   `yaml:"from"`           // smtp
	To        []string `yaml:"to"`             // smtp: addresses, approvers, requester
	Channel   string   `yaml:"channel"`        // slack, teams
	Token     string   `yaml:"token"`          // slack: a reference
	Signing   string   `yaml:"signing_secret"` // slack, jira: a reference; empty: nobody decides in Slack, and Jira sends no webhooks
	AppToken  string   `yaml:"app_token"`      // slack: a reference; people decide over a connection that the gateway opens
	Runbooks  bool     `yaml:"runbooks"`       // slack: people decide about runs of runbooks there, too
	CA        string   `yaml:"ca"`

	// Of the bot of teams.
	AppID     string `yaml:"app_id"`
	AppSecret string `yaml:"app_secret"` // a reference
	Tenant    string `yaml:"tenant"`
	Provider  string `yaml:"provider"` // by which people of the tenant log in

	// Of jira.
	Project     string            `yaml:"project"`
	IssueType   string            `yaml:"issue_type"`
	ServiceDesk string            `yaml:"service_desk"`
	RequestType string            `yaml:"request_type"`
	Statuses    Statuses          `yaml:"statuses"`
	Decide      bool              `yaml:"decide"` // teams, too
	People      map[string]string `yaml:"people"` // subjects by accounts
	Poll        time.Duration     `yaml:"poll"`
}

// Statuses are names of statuses in Jira; see jira.Statuses.
type Statuses struct {
	Waiting  string `yaml:"waiting"`
	Approved string `yaml:"approved"`
	Denied   string `yaml:"denied"`
	Closed   string `yaml:"closed"`
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
		{"slack", []string{"channel", "token", "signing_secret", "app_token", "runbooks", "url", "details", "ca"}, (*File).checkSlack},
		{"teams", []string{"url", "private", "app_id", "app_secret", "tenant", "channel", "provider", "decide", "details", "ca"}, (*File).checkTeams},
		{"jira", []string{
			"url", "private", "username", "token", "project", "issue_type", "service_desk", "request_type", "statuses", "decide", "people", "poll", "signing_secret", "details", "ca",
		}, (*File).checkJira},
		{"pagerduty", []string{"key", "url", "private", "details", "ca"}, (*File).checkPagerDuty},
		{"opsgenie", []string{"key", "url", "private", "details", "ca"}, (*File).checkOpsgenie},
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
		if n.Decide && len(n.Events) > 0 && !slices.Contains(n.Events, review.Asked) {
			d.problem(n.Line, "add asked to events, or leave events out", "%s: people decide about what they are told of when it is asked for, and events has no asked", at)
		}
		types[i].check(f, d, n, at)
	}
}

// foreign are the keys that are set and that another type has.
func (n *Notify) foreign(own []string) (keys []string) {
	set := map[string]bool{
		"url": n.URL != "", "keys": len(n.Keys) > 0, "key": n.Key != "", "private": n.Private, "plaintext": n.Plaintext, "details": n.Details, "ca": n.CA != "",
		"address": n.Address != "", "security": n.Security != "", "username": n.Username != "", "password": n.Password != "", "from": n.From != "", "to": len(n.To) > 0,
		"channel": n.Channel != "", "token": n.Token != "", "signing_secret": n.Signing != "", "app_token": n.AppToken != "",
		"app_id": n.AppID != "", "app_secret": n.AppSecret != "", "tenant": n.Tenant != "", "provider": n.Provider != "",
		"project": n.Project != "", "issue_type": n.IssueType != "", "service_desk": n.ServiceDesk != "", "request_type": n.RequestType != "", "statuses": n.Statuses != Statuses{},
		"decide": n.Decide, "people": len(n.People) > 0, "poll": n.Poll != 0,
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
	for _, one := range n.single(&NotifySecrets{}) {
		if one.ref != "" {
			list = append(list, one.ref)
		}
	}
	return list
}

// reference is one to a secret, by the key that it is written under.
type reference struct {
	key, ref string
	to       *string
}

// single are the references that are not in lists, and what of s they lead to.
func (n *Notify) single(s *NotifySecrets) []reference {
	return []reference{{"key", n.Key, &s.Key}, {"password", n.Password, &s.Password}, {"token", n.Token, &s.Token}, {"signing_secret", n.Signing, &s.Signing}, {"app_token", n.AppToken, &s.AppToken}, {"app_secret", n.AppSecret, &s.AppSecret}}
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
	c.Password = followed(n.Password)
	if len(c.To) < len(n.To) {
		c.Recipients = func(context.Context, *review.Notice) ([]string, error) { return nil, nil }
	}
	if _, err := smtp.New(c); err != nil {
		d.problem(n.Line, "", "%s: %v", at, err)
	}
}

// Slack is what the file says about a channel of Slack.
func (n *Notify) Slack() slack.Config {
	return slack.Config{Name: n.Called(), Channel: n.Channel, URL: n.URL, Details: n.Details, Decide: n.Signing != "" || n.AppToken != "", Runbooks: n.Runbooks}
}

func (f *File) checkSlack(d *decoder, n *Notify, at string) {
	if n.Signing != "" && f.API.URL == "" && !d.broken["api"] {
		d.problem(n.Line, "add api: {listen: 0.0.0.0:8443, url: https://gw.example.com:8443}, or use app_token", "%s: deciding in Slack needs the API, where Slack reaches it", at)
	}
	if n.Signing != "" && n.AppToken != "" {
		d.problem(n.Line, "leave signing_secret out where the app has Socket Mode", "%s has both signing_secret and app_token: Slack sends what people decide in one way", at)
	}
	c := n.Slack()
	if n.Runbooks && !c.Decide {
		d.problem(n.Line, "add signing_secret or app_token, or leave runbooks out", "%s: deciding about runbooks in Slack needs the signing secret or the app's token", at)
	}
	c.Store = store.NewMemory() // the gateway's, when it is told
	c.Token = followed(n.Token)
	if _, err := slack.New(c); err != nil {
		d.problem(n.Line, "", "%s: %v", at, err)
	}
}

// TeamsBot is what the file says about a bot of Teams.
func (n *Notify) TeamsBot() teams.BotConfig {
	return teams.BotConfig{Name: n.Called(), AppID: n.AppID, Tenant: n.Tenant, Channel: n.Channel, Details: n.Details, Decide: n.Decide}
}

func (f *File) checkTeams(d *decoder, n *Notify, at string) {
	if n.AppID != "" {
		f.checkTeamsBot(d, n, at)
		return
	}
	if n.AppSecret != "" || n.Tenant != "" || n.Channel != "" || n.Provider != "" || n.Decide {
		d.problem(n.Line, "add app_id, or give the url of a workflow alone", "%s: app_secret, tenant, channel, provider and decide are for a bot, which has an app_id", at)
	}
	if f.checkReference(n.URL) != nil {
		d.problem(n.Line, "url: env:TEAMS_URL, which has what the workflow shows under \"When a Teams webhook request is received\"", "%s needs a url, as a reference: who knows it can post", at)
	}
}

func (f *File) checkTeamsBot(d *decoder, n *Notify, at string) {
	if n.URL != "" || n.Private {
		d.problem(n.Line, "give one of them", "%s: url and private are for a workflow, and app_id for a bot", at)
	}
	c := n.TeamsBot()
	c.Store, c.Secret = store.NewMemory(), followed(n.AppSecret)
	if _, err := teams.NewBot(c); err != nil {
		d.problem(n.Line, "", "%s: %v", at, err)
	}
	i := slices.IndexFunc(f.Identity.Providers, func(p Provider) bool { return p.Name == n.Provider })
	switch {
	case !n.Decide && n.Provider != "":
		d.problem(n.Line, "set decide: true, or remove it", "%s: provider is for deciding in Teams", at)
	case !n.Decide || d.broken["identity"]:
	case f.API.URL == "" && !d.broken["api"]:
		d.problem(n.Line, "add api: {listen: 0.0.0.0:8443, url: https://gw.example.com:8443}", "%s: deciding in Teams needs the API, where Teams reaches it", at)
	case i < 0:
		d.problem(n.Line, "provider: NAME, of identity.providers", "%s: deciding in Teams needs the provider by which people of the tenant log in, got %q", at, n.Provider)
	case f.Identity.Providers[i].SubjectClaim != "oid" || !strings.Contains(f.Identity.Providers[i].Issuer, "/"+n.Tenant+"/"):
		d.problem(n.Line, "subject_claim: oid, and issuer: https://login.microsoftonline.com/TENANT/v2.0", "%s: provider %s must know people of the tenant by their object identifiers", at, n.Provider)
	}
}

// there is in place of a secret until its reference is followed.
var there = proxy.NewSecret(strings.Repeat("0", 32))

// followed is what a reference leads to as far as that is known before it is followed.
func followed(ref string) proxy.Secret {
	if ref == "" {
		return proxy.Secret{}
	}
	return there
}

// Jira is what the file says about a channel of Jira.
func (n *Notify) Jira() jira.Config {
	return jira.Config{
		Name: n.Called(), URL: n.URL, Private: n.Private, Username: n.Username, Project: n.Project, IssueType: n.IssueType, ServiceDesk: n.ServiceDesk, RequestType: n.RequestType,
		Statuses: jira.Statuses(n.Statuses), Details: n.Details,
	}
}

// Bounds of how often issues are read.
const (
	leastPoll = 5 * time.Second
	mostPoll  = 30 * time.Minute
)

func (f *File) checkJira(d *decoder, n *Notify, at string) {
	c := n.Jira()
	c.Store, c.Token = store.NewMemory(), followed(n.Token)
	if _, err := jira.New(c); err != nil {
		d.problem(n.Line, "", "%s: %v", at, err)
	}
	if !n.Decide {
		if len(n.People) > 0 || n.Poll != 0 || n.Signing != "" {
			d.problem(n.Line, "set decide: true, or remove them", "%s: people, poll and signing_secret are for deciding in Jira", at)
		}
		return
	}
	s := n.Statuses
	switch {
	case n.Signing != "" && f.API.URL == "" && !d.broken["api"]:
		d.problem(n.Line, "add api: {listen: 0.0.0.0:8443, url: https://gw.example.com:8443}", "%s: webhooks of Jira need the API, where Jira reaches it", at)
	case n.ServiceDesk == "" && (s.Waiting == "" || s.Approved == "" || s.Denied == ""):
		d.problem(n.Line, "statuses: {waiting: Waiting, approved: Approved, denied: Declined}", "%s: deciding by an issue's status needs the names of three: waiting, approved and denied", at)
	case n.ServiceDesk == "" && (strings.EqualFold(s.Approved, s.Denied) || strings.EqualFold(s.Approved, s.Waiting) || strings.EqualFold(s.Denied, s.Waiting)):
		d.problem(n.Line, "", "%s: the statuses waiting, approved and denied must not be the same", at)
	case n.Username == "" && len(n.People) == 0:
		d.problem(n.Line, "people: {JIRAUSER10100: alice}", "%s: who decides in Jira Data Center is known by people alone, since people write their own mail addresses there", at)
	case n.Poll != 0 && (n.Poll < leastPoll || n.Poll > mostPoll):
		d.problem(n.Line, "", "%s: poll: got %s, want %s to %s", at, n.Poll, leastPoll, mostPoll)
	}
	if d.unsure() {
		return
	}
	for _, account := range slices.Sorted(maps.Keys(n.People)) {
		subject := n.People[account]
		exists := f.options.Users != nil && f.options.Users(subject) || f.givesUser(subject) || slices.ContainsFunc(f.Identity.Users, func(u User) bool { return u.Name == subject })
		f.refersTo(d, n.Line, "user "+subject, exists, "", "%s: people names user %q, who does not exist", at, subject)
	}
}

// PagerDuty is what the file says about a channel of PagerDuty.
func (n *Notify) PagerDuty() pagerduty.Config {
	return pagerduty.Config{URL: n.URL, Private: n.Private, Details: n.Details}
}

func (f *File) checkPagerDuty(d *decoder, n *Notify, at string) {
	c := n.PagerDuty()
	c.Key = followed(n.Key)
	if _, err := pagerduty.New(c); err != nil {
		d.problem(n.Line, "", "%s: %v", at, err)
	}
}

// Opsgenie is what the file says about a channel of Opsgenie.
func (n *Notify) Opsgenie() opsgenie.Config {
	return opsgenie.Config{URL: n.URL, Private: n.Private, Details: n.Details}
}

func (f *File) checkOpsgenie(d *decoder, n *Notify, at string) {
	c := n.Opsgenie()
	c.Key = followed(n.Key)
	if _, err := opsgenie.New(c); err != nil {
		d.problem(n.Line, "", "%s: %v", at, err)
	}
}

// NotifySecrets are what a channel's references and files lead to.
type NotifySecrets struct {
	URL       string
	Key       string
	Password  string
	Token     string
	Signing   string
	AppToken  string
	AppSecret string
	Keys      []string
	CA        string // certificates; empty: the system's are trusted
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
	for _, one := range n.single(&s) {
		if one.ref == "" {
			continue
		}
		if *one.to, err = f.Secret(ctx, from, one.ref); err != nil {
			return s, fmt.Errorf("notify %s: %s: %w", n.Called(), one.key, err)
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
	about := n.About(find)
	return func(of *review.Notice) bool {
		// What waits for too long is told to everybody who is told anything of the resource.
		if len(n.Events) > 0 && of.Event != review.Escalated && !slices.Contains(n.Events, of.Event) {
			return false
		}
		return about(of.Request.Resource)
	}
}

// About returns whether a channel is about a resource. find returns a resource; nil: it is not there any more.
func (n *Notify) About(find func(resource string) *proxy.Resource) func(resource string) bool {
	rule := policy.Rule{Resources: n.Resources.Names, Labels: n.Resources.Labels}
	everywhere := n.Resources.everywhere()
	return func(resource string) bool {
		if everywhere {
			return true
		}
		r := find(resource)
		if r == nil {
			r = &proxy.Resource{Name: resource}
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

// RequestURL is where a request is shown by the console, or by the API; empty: neither is served.
func (f *File) RequestURL(id string) string {
	switch {
	case f.API.URL == "":
		return ""
	case f.API.Console:
		return f.at("/requests/" + url.PathEscape(id))
	}
	return f.at("/v1/requests/" + url.PathEscape(id))
}

// AboutURL is where the console, or the API, shows what a notice is about, by its subject; empty: neither is served.
func (f *File) AboutURL(subject string) string {
	rule, alert := review.AlertOf(subject)
	switch {
	case !alert:
		return f.RequestURL(subject)
	case f.API.URL == "":
		return ""
	case f.API.Console:
		return f.at("/alerts?name=" + url.QueryEscape(rule))
	}
	return f.at("/v1/alerts")
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
	for _, one := range n.single(&NotifySecrets{}) {
		c.secret(ctx, n.Line, at+": "+one.key, one.ref)
	}
	c.roots(c.decoder, n.Line, at+": ca", n.CA)
}
