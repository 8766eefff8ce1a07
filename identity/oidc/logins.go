package oidc

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/proxy"
)

// Kinds of documents.
const (
	KindLogin  = "oidc-login"
	kindLogout = "oidc-logout"
)

// Defaults of Logins.
const (
	DefaultEvery = 5 * time.Minute
	DefaultStale = 15 * time.Minute
	DefaultLife  = 12 * time.Hour
)

// Logins keeps what was logged in, asks the providers again, and tells of what has
// ended or changed there. It is safe for concurrent use, also by several gateways on
// the same documents: one of them asks. Its fields are set before it is used.
type Logins struct {
	Providers []*Provider
	Documents identity.Documents
	// Sealer seals the refresh tokens.
	Sealer identity.Sealer
	// Every is within which time the loss of a group or of the account at the provider is
	// seen; zero is DefaultEvery.
	Every time.Duration
	// Stale is how long a login counts whose provider cannot be asked, such as while it is
	// down; zero is DefaultStale. It is at least Every.
	Stale time.Duration
	// Life is when one has to log in again in any case; zero is DefaultLife.
	Life time.Duration
	// Changed is told of logins that ended or changed; nil tells nobody. It is called from
	// one goroutine at a time.
	Changed func(identity.Change)
	Log     *slog.Logger
	Now     func() time.Time

	passing sync.Mutex // one pass at a time
	tell    sync.Mutex // Changed is called under it

	mu    sync.Mutex
	pass  int
	known map[string]known // by the login's identifier: what Changed was told
}

type known struct {
	subject string
	groups  []string
	pass    int // in which it was learned
}

// kept is a login's document.
type kept struct {
	Provider string         `json:"provider"`
	Subject  string         `json:"sub"`
	Session  string         `json:"sid,omitempty"`
	Identity proxy.Identity `json:"identity"`
	Refresh  []byte         `json:"refresh,omitempty"` // sealed
	Hint     []byte         `json:"hint,omitempty"`    // the ID token, sealed
	Checked  time.Time      `json:"checked"`           // that the provider vouched for it
	Next     time.Time      `json:"next"`              // when to ask again
	Timed    bool           `json:"timed,omitempty"`
	Token    time.Time      `json:"token"` // when the ID token expires
}

func (l *Logins) now() time.Time {
	if l.Now != nil {
		return l.Now()
	}
	return time.Now()
}

func or(d, otherwise time.Duration) time.Duration {
	if d > 0 {
		return d
	}
	return otherwise
}

func (l *Logins) every() time.Duration { return or(l.Every, DefaultEvery) }
func (l *Logins) stale() time.Duration { return max(or(l.Stale, DefaultStale), l.every()) }

// tick is how often documents are looked at.
func (l *Logins) tick() time.Duration {
	return min(max(l.every()/10, 100*time.Millisecond), 30*time.Second)
}

func (l *Logins) log() *slog.Logger {
	if l.Log != nil {
		return l.Log
	}
	return slog.New(slog.DiscardHandler)
}

// Provider returns the provider of that name; nil when no provider has it.
func (l *Logins) Provider(name string) *Provider {
	if i := slices.IndexFunc(l.Providers, func(p *Provider) bool { return p.config.Name == name }); i >= 0 {
		return l.Providers[i]
	}
	return nil
}

// Check returns why the providers cannot be used together.
func (l *Logins) Check() error {
	for i, p := range l.Providers {
		for _, q := range l.Providers[:i] {
			if p.config.Name == q.config.Name || p.config.Issuer == q.config.Issuer && p.config.ClientID == q.config.ClientID {
				return fmt.Errorf("oidc providers %s and %s are one: names and issuers differ", q.config.Name, p.config.Name)
			}
		}
	}
	return nil
}

// Add keeps a login, and returns its identity, which names the login and ends with it.
func (l *Logins) Add(ctx context.Context, login *Login) (*proxy.Identity, error) {
	return l.add(ctx, login, or(l.Life, DefaultLife))
}

func (l *Logins) add(ctx context.Context, login *Login, life time.Duration) (*proxy.Identity, error) {
	id := *login.Identity
	id.Claims = maps.Clone(id.Claims)
	name := rand.Text()
	id.Claims[identity.ClaimLogin] = name
	id.Expires = l.end(login.Refresh.Empty(), login.Expires, life)
	k := &kept{Checked: l.now(), Token: login.Expires}
	if err := l.fill(k, name, login, &id); err != nil {
		return nil, err
	}
	if err := l.write(ctx, identity.Document{Name: name}, k); err != nil {
		return nil, fmt.Errorf("keeping a login: %w", err)
	}
	l.learn(name, &id)
	return &id, nil
}

// end is when a login ends that goes on for life from now.
func (l *Logins) end(alone bool, token time.Time, life time.Duration) time.Time {
	if end := l.now().Add(life); !alone || end.Before(token) {
		return end
	}
	return token
}

// settle has a login that was kept for a moment go on, and returns its identity.
func (l *Logins) settle(ctx context.Context, name string) (*proxy.Identity, error) {
	d, k, err := l.get(ctx, name)
	if err != nil {
		return nil, err
	}
	if !l.now().Before(k.Identity.Expires) {
		return nil, ErrEnded
	}
	k.Identity.Expires = l.end(k.Refresh == nil, k.Token, or(l.Life, DefaultLife))
	return &k.Identity, l.write(ctx, d, k)
}

func (l *Logins) learn(name string, id *proxy.Identity) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.learned(name, id)
}

// learned is learn; l.mu is held.
func (l *Logins) learned(name string, id *proxy.Identity) {
	if l.known == nil {
		l.known = make(map[string]known)
	}
	l.known[name] = known{id.Subject, id.Groups, l.pass}
}

func purpose(what, name string) string { return "oidc " + what + " of login " + name }

func (l *Logins) fill(k *kept, name string, login *Login, id *proxy.Identity) (err error) {
	k.Provider, k.Subject, k.Session, k.Identity, k.Timed = login.Provider, login.Subject, login.Session, *id, login.timed
	k.Next = k.Checked.Add(l.every() * 4 / 5)
	for _, s := range []struct {
		to   *[]byte
		what string
		from proxy.Secret
	}{{&k.Refresh, "refresh", login.Refresh}, {&k.Hint, "hint", login.IDToken}} {
		if *s.to = nil; !s.from.Empty() {
			if *s.to, err = l.Sealer.Seal([]byte(s.from.Reveal()), purpose(s.what, name)); err != nil {
				return fmt.Errorf("sealing a login: %w", err)
			}
		}
	}
	return nil
}

func (l *Logins) write(ctx context.Context, d identity.Document, k *kept) error {
	var err error
	if d.Body, err = json.Marshal(k); err != nil {
		return err
	}
	d.Expires = k.Identity.Expires
	_, err = l.Documents.Write(ctx, KindLogin, d)
	return err
}

// open returns the login of a document.
func (l *Logins) open(name string, k *kept) (*Login, error) {
	login := &Login{Identity: &k.Identity, Provider: k.Provider, Subject: k.Subject, Session: k.Session, timed: k.Timed}
	for _, s := range []struct {
		from []byte
		what string
		to   *proxy.Secret
	}{{k.Refresh, "refresh", &login.Refresh}, {k.Hint, "hint", &login.IDToken}} {
		if s.from == nil {
			continue
		}
		b, err := l.Sealer.Open(s.from, purpose(s.what, name))
		if err != nil {
			return nil, fmt.Errorf("login %s: %w", name, err)
		}
		*s.to = proxy.NewSecret(string(b))
	}
	return login, nil
}

// Refresh implements [proxy.Refresher] for identities that a login has proven: it
// returns who the provider said it is when it was asked last. Logins of a provider that is
// not one of l's are refused.
func (l *Logins) Refresh(ctx context.Context, id *proxy.Identity) (*proxy.Identity, error) {
	_, k, err := l.get(ctx, id.Claims[identity.ClaimLogin])
	if errors.Is(err, identity.ErrNoDocument) {
		return nil, ErrEnded
	}
	if err != nil {
		return nil, err
	}
	now := &k.Identity
	switch {
	case l.Provider(k.Provider) == nil:
		return nil, fmt.Errorf("%s is not an identity provider here: %w", k.Provider, ErrEnded)
	case now.Subject != id.Subject:
		return nil, ErrEnded
	case !l.now().Before(now.Expires):
		return nil, fmt.Errorf("the login has expired: %w", ErrEnded)
	case k.Refresh != nil && l.now().Sub(k.Checked) > l.stale():
		return nil, fmt.Errorf("the identity provider cannot be asked since %s", k.Checked.UTC().Format(time.DateTime))
	case slices.Equal(now.Groups, id.Groups) && maps.Equal(now.Claims, id.Claims):
		return id, nil
	}
	// How and when the session was proven stays.
	fresh := *id
	fresh.Groups, fresh.Claims, fresh.Name = now.Groups, now.Claims, now.Name
	return &fresh, nil
}

// Overdue is for how long the provider of somebody could not be asked about her, since it was
// time to. It is 0 for who is not to be asked about, and where it is not known.
func (l *Logins) Overdue(ctx context.Context, id *proxy.Identity) time.Duration {
	names := []string{id.Claims[identity.ClaimLogin]}
	if names[0] == "" { // of something that a login was given
		names = l.of(id.Subject)
	}
	least := time.Duration(-1)
	for _, name := range names {
		if _, k, err := l.get(ctx, name); err == nil && k.Refresh != nil {
			d := max(0, l.now().Sub(k.Checked)-l.every())
			if least < 0 || d < least {
				least = d
			}
		}
	}
	return max(0, least)
}

// of are the names of a subject's logins.
func (l *Logins) of(subject string) (names []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for name, k := range l.known {
		if k.subject == subject {
			names = append(names, name)
		}
	}
	return names
}

// Of returns who a subject is by the latest of her logins; it wraps ErrEnded when she has
// none.
func (l *Logins) Of(ctx context.Context, subject string) (*proxy.Identity, error) {
	var latest *proxy.Identity
	for _, name := range l.of(subject) {
		id, err := l.Refresh(ctx, &proxy.Identity{Subject: subject, Claims: map[string]string{identity.ClaimLogin: name}})
		if errors.Is(err, ErrEnded) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if latest == nil || id.AuthTime.After(latest.AuthTime) {
			latest = id
		}
	}
	if latest == nil {
		return nil, fmt.Errorf("%s is not logged in: %w", subject, ErrEnded)
	}
	return latest, nil
}

// Load reads whose logins there are, so that Of knows them before the first pass.
func (l *Logins) Load(ctx context.Context) error {
	return l.each(ctx, func(d identity.Document, k *kept) { l.learn(d.Name, &k.Identity) })
}

func (l *Logins) get(ctx context.Context, name string) (d identity.Document, k *kept, err error) {
	if d, err = l.Documents.Get(ctx, KindLogin, name); err != nil {
		return d, nil, err
	}
	k = &kept{}
	if err := json.Unmarshal(d.Body, k); err != nil {
		return d, nil, fmt.Errorf("login %s cannot be read", name)
	}
	return d, k, nil
}

// Get returns a login that is kept.
func (l *Logins) Get(ctx context.Context, name string) (*Login, error) {
	_, k, err := l.get(ctx, name)
	if err != nil {
		return nil, err
	}
	return l.open(name, k)
}

// End ends a login: its sessions end, and its refresh token is forgotten.
func (l *Logins) End(ctx context.Context, name, reason string) error {
	for {
		d, k, err := l.get(ctx, name)
		if errors.Is(err, identity.ErrNoDocument) {
			return nil
		}
		if err != nil {
			return err
		}
		d.Body = nil
		if _, err = l.Documents.Write(ctx, KindLogin, d); errors.Is(err, identity.ErrConflict) {
			continue // it was refreshed just now
		} else if err != nil {
			return err
		}
		l.ended(name, k.Identity.Subject, reason)
		return nil
	}
}

// EndAll ends all logins of a subject, also those that nobody has redeemed yet, and returns
// how many these are.
func (l *Logins) EndAll(ctx context.Context, subject, reason string) (int, error) {
	return l.endThose(ctx, reason, func(k *kept) bool { return k.Identity.Subject == subject })
}

func (l *Logins) endThose(ctx context.Context, reason string, which func(*kept) bool) (int, error) {
	var ending []string
	err := l.each(ctx, func(d identity.Document, k *kept) {
		if which(k) {
			ending = append(ending, d.Name)
		}
	})
	for _, name := range ending {
		err = errors.Join(err, l.End(ctx, name, reason))
	}
	return len(ending), err
}

func (l *Logins) ended(name, subject, reason string) {
	l.mu.Lock()
	delete(l.known, name)
	l.mu.Unlock()
	l.notify(identity.Change{Subject: subject, Login: name, Ended: true, Reason: reason})
}

func (l *Logins) notify(c identity.Change) {
	l.tell.Lock()
	defer l.tell.Unlock()
	if l.Changed != nil {
		l.Changed(c)
	}
}

// Logout ends the logins that a provider's logout token names, and returns how many
// these are. A token counts once.
func (l *Logins) Logout(ctx context.Context, provider, raw string) (int, error) {
	p := l.Provider(provider)
	if p == nil {
		return 0, fmt.Errorf("there is no oidc provider %q: %w", clip(provider), proxy.ErrUnauthenticated)
	}
	out, err := p.Logout(ctx, raw)
	if err != nil {
		return 0, err
	}
	name := base64.RawURLEncoding.EncodeToString([]byte(provider + " " + out.ID))
	if _, err := l.Documents.Write(ctx, kindLogout, identity.Document{Name: name, Body: []byte("{}"), Expires: out.Until}); errors.Is(err, identity.ErrConflict) {
		return 0, fmt.Errorf("logout token of oidc provider %s: %w: it was used before", provider, proxy.ErrUnauthenticated)
	} else if err != nil {
		return 0, err
	}
	return l.endThose(ctx, "you have logged out at the identity provider", func(k *kept) bool {
		return k.Provider == provider && (out.Session == "" || k.Session == out.Session) && (out.Subject == "" || k.Subject == out.Subject)
	})
}

func (l *Logins) each(ctx context.Context, f func(identity.Document, *kept)) error {
	return identity.All(ctx, l.Documents, KindLogin, func(d identity.Document) bool {
		k := &kept{}
		if err := json.Unmarshal(d.Body, k); err != nil {
			l.log().Error("a login cannot be read", "login", d.Name, "err", err)
			return true
		}
		f(d, k)
		return true
	})
}

// Run asks providers again when it is time, and tells of what has changed, until ctx
// ends.
func (l *Logins) Run(ctx context.Context) error {
	t := time.NewTicker(l.tick())
	defer t.Stop()
	for {
		if err := l.Pass(ctx); err != nil && ctx.Err() == nil {
			l.log().Error("logins cannot be looked after", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
	}
}

const (
	// atOnce is how many logins are refreshed at a time.
	atOnce = 8
	// A gateway gives up on a question before another may ask it: a refresh token may be
	// good for one, and an answer that comes too late is lost with the next token.
	answerTime = 20 * time.Second
	claimTime  = 30 * time.Second
)

// Pass is one round of Run. A gateway that has missed changes of the documents calls it at once;
// of one that it hears of, Follow tells.
func (l *Logins) Pass(ctx context.Context) error {
	l.passing.Lock()
	defer l.passing.Unlock()
	l.mu.Lock()
	l.pass++
	pass := l.pass
	l.mu.Unlock()
	type due struct {
		doc  identity.Document
		kept *kept
	}
	var list []due
	seen := make(map[string]known)
	var over []string
	err := l.each(ctx, func(d identity.Document, k *kept) {
		seen[d.Name] = known{k.Identity.Subject, k.Identity.Groups, pass}
		switch now := l.now(); {
		case !now.Before(k.Identity.Expires):
			over = append(over, d.Name)
		case k.Refresh != nil && !now.Before(k.Next) && l.Provider(k.Provider) != nil: // others are left to the gateways that have it
			list = append(list, due{d, k})
		}
	})
	if err != nil {
		return err
	}
	l.follow(seen, pass)
	for _, name := range over {
		err = errors.Join(err, l.End(ctx, name, "your login has expired: log in again"))
	}
	err = errors.Join(err, l.sweep(ctx))
	slots := make(chan struct{}, atOnce)
	away := make(map[string]bool) // providers that do not answer: one question tells
	var wg sync.WaitGroup
	var mu sync.Mutex
	for _, d := range list {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			mu.Lock()
			skip := away[d.kept.Provider]
			mu.Unlock()
			answered, bad := l.refresh(ctx, d.doc, d.kept, skip)
			mu.Lock()
			defer mu.Unlock()
			err = errors.Join(err, bad)
			if !answered {
				away[d.kept.Provider] = true
			}
		})
	}
	wg.Wait()
	return err
}

// follow tells of what another gateway has changed. What was learned during the pass may
// be newer than what the pass has read.
func (l *Logins) follow(seen map[string]known, pass int) {
	l.mu.Lock()
	before := l.known
	for name, was := range before {
		if was.pass == pass {
			seen[name] = was
		}
	}
	l.known = seen
	l.mu.Unlock()
	for name, was := range before {
		now, there := seen[name]
		l.differs(name, was, now, there)
	}
}

// differs tells of what has become of a login; there is whether it is kept.
func (l *Logins) differs(name string, was, now known, there bool) {
	switch {
	case !there:
		l.notify(identity.Change{Subject: was.subject, Login: name, Ended: true, Reason: "your login has ended: log in again"})
	case !slices.Equal(now.groups, was.groups):
		l.notify(identity.Change{Subject: was.subject, Login: name, Reason: "your groups have changed"})
	}
}

// Follow tells of what another gateway has changed about a login.
func (l *Logins) Follow(ctx context.Context, name string) error {
	_, k, err := l.get(ctx, name)
	there := !errors.Is(err, identity.ErrNoDocument)
	if err != nil && there {
		return err
	}
	l.mu.Lock()
	was, knew := l.known[name]
	if there {
		l.learned(name, &k.Identity)
	} else {
		delete(l.known, name)
	}
	now := l.known[name]
	l.mu.Unlock()
	if knew {
		l.differs(name, was, now, there)
	}
	return nil
}

// sweep forgets logout tokens that have expired.
func (l *Logins) sweep(ctx context.Context) error {
	var old []identity.Document
	err := identity.All(ctx, l.Documents, kindLogout, func(d identity.Document) bool {
		if !d.Expires.IsZero() && l.now().After(d.Expires) {
			old = append(old, d)
		}
		return true
	})
	for _, d := range old {
		d.Body = nil
		if _, bad := l.Documents.Write(ctx, kindLogout, d); bad != nil && !errors.Is(bad, identity.ErrConflict) {
			err = errors.Join(err, bad)
		}
	}
	return err
}

// refresh asks the provider about one login, and reports whether it has answered; away
// says that it does not. An error is one of the documents.
func (l *Logins) refresh(ctx context.Context, d identity.Document, k *kept, away bool) (answered bool, err error) {
	if away {
		return true, l.unanswered(ctx, d.Name, k)
	}
	// The one whose write comes first asks.
	k.Next = l.now().Add(claimTime)
	claimed := d
	if claimed.Body, err = json.Marshal(k); err != nil {
		return true, err
	}
	if d.Version, err = l.Documents.Write(ctx, KindLogin, claimed); errors.Is(err, identity.ErrConflict) {
		return true, nil
	} else if err != nil {
		return true, err
	}
	login, err := l.open(d.Name, k)
	if err != nil {
		return true, errors.Join(err, l.End(ctx, d.Name, "your login cannot be read any more: log in again"))
	}
	asked := l.now()
	asking, stop := context.WithTimeout(ctx, answerTime)
	defer stop()
	now, err := l.Provider(k.Provider).Refresh(asking, login)
	switch {
	case errors.Is(err, ErrEnded), errors.Is(err, errNotNow):
		l.log().Info("a login has ended at its provider", "login", d.Name, "err", err)
		return true, l.End(ctx, d.Name, ErrEnded.Error())
	case err != nil:
		l.log().Warn("a login could not be refreshed", "login", d.Name, "err", err)
		return false, l.unanswered(ctx, d.Name, k)
	}
	id := *now.Identity
	id.Claims = maps.Clone(id.Claims)
	id.Claims[identity.ClaimLogin] = d.Name
	id.Expires = k.Identity.Expires
	changed := !slices.Equal(id.Groups, k.Identity.Groups)
	k.Checked = asked
	if err := l.fill(k, d.Name, now, &id); err != nil {
		return true, err
	}
	if err := l.write(ctx, d, k); errors.Is(err, identity.ErrConflict) {
		return true, nil // it was ended meanwhile
	} else if err != nil {
		return true, err
	}
	if changed {
		l.learn(d.Name, &id)
		l.notify(identity.Change{Subject: id.Subject, Login: d.Name, Reason: "your groups have changed"})
	}
	return true, nil
}

// unanswered ends a login whose provider could not be asked for too long.
func (l *Logins) unanswered(ctx context.Context, name string, k *kept) error {
	if l.now().Sub(k.Checked) <= l.stale() {
		return nil
	}
	return l.End(ctx, name, "the identity provider cannot be asked: log in again when it answers")
}
