// Package tokens proves programs: access tokens that a person or an administrator makes
// for one, with less than the owner's rights, and the sessions of people and command
// lines that have logged in.
//
// A token is shown once. What is kept is its hash, and a SCRAM verifier, so that it can
// be a database password without being sent: the login "alice~TOKENID" names it. Where
// a password is sent as it is, over TLS, the login "alice" is enough.
package tokens

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/internal/scram"
	"github.com/sallyport/sallyport/proxy"
)

// Kinds of documents.
const (
	KindToken     = "token"
	KindPrincipal = "principal"
	KindSession   = "session"
)

// Separator parts a user's name from a token's identifier in a login.
const Separator = "~"

// Scope is what a token may be used for.
type Scope struct {
	// Resources are names or globs; empty is every resource.
	Resources []string `json:"resources,omitempty"`
	// Actions are those of access rules, such as "read".
	Actions []string `json:"actions"`
}

// Token is an access token, without its secret.
type Token struct {
	ID    string `json:"-"`
	Label string `json:"label"` // what it is for
	// Subject is whose it is.
	Subject string `json:"subject"`
	// User is the name with which the owner logs in.
	User string `json:"user"`
	// Scopes are what it may be used for, of what its owner may; empty is all of that.
	Scopes []Scope `json:"scopes,omitempty"`
	// Agent is the name of the AI agent that it proves, which acts for the owner; empty: it proves
	// the owner herself. See [Tokens.FindAgent].
	Agent string `json:"agent,omitempty"`
	// Audience is the only place that takes an agent's token.
	Audience string `json:"audience,omitempty"`
	// Creator is the subject of who made it.
	Creator string    `json:"creator,omitempty"`
	Created time.Time `json:"created"`
	Expires time.Time `json:"expires"`
	// LastUsed is when it proved somebody last, to the minute.
	LastUsed time.Time `json:"last_used,omitzero"`
}

// kept is a token's document.
type kept struct {
	Token
	Hash     string `json:"hash"`
	Verifier string `json:"verifier"`
}

// Principal is somebody who is not a person: a service, or an agent that acts for one.
type Principal struct {
	Name   string             `json:"-"`
	Groups []string           `json:"groups,omitempty"`
	Kind   proxy.IdentityKind `json:"kind"`
	// OnBehalfOf is the subject of the human that an agent acts for. When the human is
	// gone, the agent is.
	OnBehalfOf string `json:"on_behalf_of,omitempty"`
	// Creator is the subject of who made it.
	Creator  string `json:"creator,omitempty"`
	Disabled bool   `json:"disabled,omitempty"`
}

// MaxLife is how long a token may be valid.
const MaxLife = 366 * 24 * time.Hour

// usedEvery is how exactly LastUsed is kept.
const usedEvery = time.Minute

// Tokens is an authenticator of access tokens. It is safe for concurrent use, also by
// several gateways on the same documents. Its fields are set before it is used.
type Tokens struct {
	Documents identity.Documents
	// Owner returns who a person is now, with her groups, or an error when she is gone.
	// Nil: only principals own tokens.
	Owner func(ctx context.Context, subject string) (*proxy.Identity, error)
	// Changed is told of tokens that were revoked; nil tells nobody.
	Changed func(identity.Change)
	// Key makes the verifiers of tokens that do not exist; gateways that share documents
	// share it. Nil is a random one.
	Key []byte
	Log *slog.Logger
	Now func() time.Time

	mock lazyKey
}

func (t *Tokens) now() time.Time {
	if t.Now != nil {
		return t.Now()
	}
	return time.Now()
}

// In returns when a token expires that is made now and valid for life, by the clock of the tokens.
func (t *Tokens) In(life time.Duration) time.Time { return t.now().Add(life) }

// Create makes a token, and returns its secret, which is kept nowhere.
func (t *Tokens) Create(ctx context.Context, token Token) (Token, proxy.Secret, error) {
	token.Created, token.LastUsed = t.now(), time.Time{}
	life := token.Expires.Sub(token.Created)
	switch {
	case token.Subject == "" || identity.ValidName(token.User) != nil || strings.Contains(token.User, Separator):
		return token, proxy.Secret{}, fmt.Errorf("a token needs an owner, and a user name without %q", Separator)
	case len(token.Label) > 256:
		return token, proxy.Secret{}, errors.New("a token's label has at most 256 bytes")
	case life <= 0 || life > MaxLife:
		return token, proxy.Secret{}, fmt.Errorf("a token expires within %d days, got %s", int(MaxLife.Hours()/24), token.Expires.Format(time.DateTime))
	}
	if err := token.checkAgent(life); err != nil {
		return token, proxy.Secret{}, err
	}
	for _, s := range token.Scopes {
		if len(s.Actions) == 0 {
			return token, proxy.Secret{}, errors.New("a token's scope needs actions, such as read")
		}
	}
	owner, err := t.owner(ctx, token.Subject)
	if err != nil {
		return token, proxy.Secret{}, fmt.Errorf("the token's owner: %w", err)
	}
	if token.Agent != "" && owner.Kind != proxy.Human {
		return token, proxy.Secret{}, fmt.Errorf("an agent acts for a human, and %s is not one", token.Subject)
	}
	secret, verifier, err := token.newSecret()
	if err != nil {
		return token, proxy.Secret{}, err
	}
	token.ID = identify(secret)
	body, err := json.Marshal(kept{token, hash(secret), verifier})
	if err != nil {
		return token, proxy.Secret{}, err
	}
	if _, err := t.Documents.Write(ctx, KindToken, identity.Document{Name: token.ID, Body: body, Expires: token.Expires}); err != nil {
		return token, proxy.Secret{}, fmt.Errorf("keeping a token: %w", err)
	}
	return token, proxy.NewSecret(secret), nil
}

func (t *Tokens) get(ctx context.Context, id string) (identity.Document, *kept, error) {
	d, err := t.Documents.Get(ctx, KindToken, id)
	if err != nil {
		return d, nil, err
	}
	k := &kept{}
	if err := json.Unmarshal(d.Body, k); err != nil {
		return d, nil, fmt.Errorf("token %s cannot be read", id)
	}
	k.ID = id
	return d, k, nil
}

// Scoped reports whether somebody is here by an access token that has less than her rights. A token that is
// gone has.
func (t *Tokens) Scoped(ctx context.Context, id *proxy.Identity) (bool, error) {
	name := id.Claims[identity.ClaimToken]
	if name == "" {
		return false, nil
	}
	token, err := t.Get(ctx, name)
	if errors.Is(err, identity.ErrNoDocument) {
		return true, nil
	}
	return len(token.Scopes) > 0, err
}

// Get returns a token.
func (t *Tokens) Get(ctx context.Context, id string) (Token, error) {
	_, k, err := t.get(ctx, id)
	if err != nil {
		return Token{}, err
	}
	return k.Token, nil
}

// List returns the tokens of a subject, or of everybody when it is empty.
func (t *Tokens) List(ctx context.Context, subject string) ([]Token, error) {
	var list []Token
	err := identity.All(ctx, t.Documents, KindToken, func(d identity.Document) bool {
		var k kept
		if json.Unmarshal(d.Body, &k) != nil {
			return true // Get says so of one
		}
		if k.ID = d.Name; subject == "" || k.Subject == subject {
			list = append(list, k.Token)
		}
		return true
	})
	return list, err
}

// Revoke ends a token, and the sessions that it has proven.
func (t *Tokens) Revoke(ctx context.Context, id string) error {
	for {
		d, k, err := t.get(ctx, id)
		if err != nil {
			return err
		}
		d.Body = nil
		if _, err = t.Documents.Write(ctx, KindToken, d); errors.Is(err, identity.ErrConflict) {
			continue // it was used just now
		}
		if err == nil && t.Changed != nil {
			t.Changed(identity.Change{Subject: k.Subject, Token: id, Ended: true, Reason: "the access token was revoked"})
		}
		return err
	}
}

// PutPrincipal keeps a service or agent, over the one that is there.
func (t *Tokens) PutPrincipal(ctx context.Context, p Principal) error {
	switch {
	case identity.ValidName(p.Name) != nil || strings.Contains(p.Name, Separator):
		return fmt.Errorf("principal %q: %q, + and / part names from others, and a name has no white space", p.Name, Separator)
	case p.Kind != proxy.Service && p.Kind != proxy.Agent:
		return fmt.Errorf("principal %s is a service or an agent", p.Name)
	case (p.Kind == proxy.Agent) != (p.OnBehalfOf != ""):
		return fmt.Errorf("principal %s: an agent, and nobody else, names the human that it acts for", p.Name)
	}
	body, err := json.Marshal(p)
	if err != nil {
		return err
	}
	for {
		d, err := t.Documents.Get(ctx, KindPrincipal, p.Name)
		if err != nil && !errors.Is(err, identity.ErrNoDocument) {
			return err
		}
		d.Name, d.Body = p.Name, body
		if _, err = t.Documents.Write(ctx, KindPrincipal, d); errors.Is(err, identity.ErrConflict) {
			continue
		}
		if err == nil && t.Changed != nil {
			t.Changed(identity.Change{Subject: p.Name, Ended: p.Disabled, Reason: "the account of the program has changed"})
		}
		return err
	}
}

// RemovePrincipal removes a service or agent; its tokens prove nobody any more.
func (t *Tokens) RemovePrincipal(ctx context.Context, name string) error {
	for {
		d, err := t.Documents.Get(ctx, KindPrincipal, name)
		if err != nil {
			return err
		}
		d.Body = nil
		if _, err = t.Documents.Write(ctx, KindPrincipal, d); errors.Is(err, identity.ErrConflict) {
			continue
		}
		if err == nil && t.Changed != nil {
			t.Changed(identity.Change{Subject: name, Ended: true, Reason: "the account of the program was removed"})
		}
		return err
	}
}

var errGone = errors.New("the owner of the access token is gone or disabled")

// owner returns who a subject is now.
func (t *Tokens) owner(ctx context.Context, subject string) (*proxy.Identity, error) {
	d, err := t.Documents.Get(ctx, KindPrincipal, subject)
	if errors.Is(err, identity.ErrNoDocument) {
		return t.person(ctx, subject)
	}
	if err != nil {
		return nil, err
	}
	var p Principal
	if err := json.Unmarshal(d.Body, &p); err != nil {
		return nil, fmt.Errorf("principal %s cannot be read", subject)
	}
	if p.Disabled {
		return nil, errGone
	}
	if p.Kind == proxy.Agent {
		human, err := t.person(ctx, p.OnBehalfOf)
		if err != nil {
			return nil, fmt.Errorf("the human of agent %s: %w", subject, err)
		}
		if human.Kind != proxy.Human {
			return nil, fmt.Errorf("agent %s acts for %s, who is not a human", subject, p.OnBehalfOf)
		}
	}
	id := &proxy.Identity{Subject: subject, Name: subject, Groups: p.Groups, Kind: p.Kind, OnBehalfOf: p.OnBehalfOf}
	if p.Creator != "" {
		id.Claims = map[string]string{identity.ClaimCreator: p.Creator}
	}
	return id, nil
}

func (t *Tokens) person(ctx context.Context, subject string) (*proxy.Identity, error) {
	if t.Owner == nil {
		return nil, errGone
	}
	id, err := t.Owner(ctx, subject)
	if err != nil {
		return nil, err
	}
	if id == nil || id.Subject != subject {
		return nil, errGone
	}
	return id, nil
}

// Names reports whether a login is one of this package's: it names a token. Others are
// another authenticator's.
func Names(user string) bool { return strings.Contains(user, Separator) }

// Verifier implements [proxy.VerifierSource] for logins that name a token.
func (t *Tokens) Verifier(ctx context.Context, login string) (string, bool, error) {
	user, id, _ := strings.Cut(login, Separator)
	_, k, err := t.get(ctx, id)
	switch {
	case errors.Is(err, identity.ErrNoDocument):
	case err != nil:
		return "", false, err
	case k.User == user && k.Verifier != "" && t.now().Before(k.Expires):
		return k.Verifier, true, nil
	}
	return scram.Mock(t.mock.of(t.Key), login).String(), true, nil
}

// Authenticate implements [proxy.Authenticator]: a token sent as a password, or SCRAM
// against the verifier of the token that the login names.
func (t *Tokens) Authenticate(ctx context.Context, p proxy.Proof) (*proxy.Identity, error) {
	user, id, named := strings.Cut(p.User, Separator)
	secret := p.Password.Reveal()
	switch p.Method {
	case proxy.MethodPassword:
		if !IsSecret(Prefix, secret) || named && id != identify(secret) {
			return nil, proxy.ErrUnauthenticated
		}
		id = identify(secret)
	case proxy.MethodSCRAM, proxy.MethodChallenge:
		if !named || p.Verifier == "" {
			return nil, proxy.ErrUnauthenticated
		}
	default:
		return nil, proxy.ErrUnauthenticated
	}
	d, k, err := t.get(ctx, id)
	if errors.Is(err, identity.ErrNoDocument) {
		return nil, proxy.ErrUnauthenticated
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", proxy.ErrUnauthenticated, err)
	}
	proven := subtle.ConstantTimeCompare([]byte(k.Hash), []byte(hash(secret))) == 1
	if p.Method != proxy.MethodPassword {
		proven = subtle.ConstantTimeCompare([]byte(k.Verifier), []byte(p.Verifier)) == 1
	}
	if !proven || k.User != user || k.Agent != "" || !t.now().Before(k.Expires) {
		return nil, proxy.ErrUnauthenticated
	}
	owner, err := t.owner(ctx, k.Subject)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", proxy.ErrUnauthenticated, err)
	}
	t.used(ctx, d, k)
	now := *owner
	now.Method = p.Method
	return k.identity(&now), nil
}

// Find returns who a token proves, where the secret comes without a name, as in a header
// of HTTP.
func (t *Tokens) Find(ctx context.Context, secret proxy.Secret) (*proxy.Identity, error) {
	if !IsSecret(Prefix, secret.Reveal()) {
		return nil, proxy.ErrUnauthenticated
	}
	_, k, err := t.get(ctx, identify(secret.Reveal()))
	if errors.Is(err, identity.ErrNoDocument) {
		return nil, proxy.ErrUnauthenticated
	}
	if err != nil {
		return nil, err
	}
	return t.Authenticate(ctx, proxy.Proof{Method: proxy.MethodPassword, User: k.User, Password: secret})
}

// identity makes the token's identity of its owner's. It ends with the first of both.
func (k *kept) identity(id *proxy.Identity) *proxy.Identity {
	if k.Agent != "" {
		k.delegate(id)
	}
	id.Claims = maps.Clone(id.Claims)
	if id.Claims == nil {
		id.Claims = make(map[string]string)
	}
	id.Claims[identity.ClaimToken] = k.ID
	if id.Kind != proxy.Human && k.Creator != "" {
		id.Claims[identity.ClaimTokenCreator] = k.Creator
	}
	// Nobody was there when a program used it: what asks for a fresh proof of the owner
	// finds the day when the token was made.
	id.AuthTime = k.Created
	if id.Expires.IsZero() || k.Expires.Before(id.Expires) {
		id.Expires = k.Expires
	}
	return id
}

// used keeps when the token was used last. Who loses a race was as late.
func (t *Tokens) used(ctx context.Context, d identity.Document, k *kept) {
	now := t.now()
	if now.Sub(k.LastUsed) < usedEvery {
		return
	}
	k.LastUsed = now
	body, err := json.Marshal(k)
	if err == nil {
		d.Body = body
		_, err = t.Documents.Write(ctx, KindToken, d)
	}
	if err != nil && !errors.Is(err, identity.ErrConflict) && t.Log != nil {
		t.Log.Warn("the last use of an access token could not be kept", "token", k.ID, "err", err)
	}
}

// Refresh implements [proxy.Refresher] for identities that a token has proven.
func (t *Tokens) Refresh(ctx context.Context, id *proxy.Identity) (*proxy.Identity, error) {
	_, k, err := t.get(ctx, id.Claims[identity.ClaimToken])
	if errors.Is(err, identity.ErrNoDocument) {
		return nil, errors.New("the access token was revoked")
	}
	if err != nil {
		return nil, err
	}
	if k.subject() != id.Subject || !t.now().Before(k.Expires) {
		return nil, errors.New("the access token has expired")
	}
	owner, err := t.owner(ctx, k.Subject)
	if err != nil {
		return nil, err
	}
	now := *owner
	now.Method = id.Method
	fresh := k.identity(&now)
	if fresh.Kind != id.Kind || fresh.OnBehalfOf != id.OnBehalfOf {
		return nil, errors.New("the owner of the access token has changed: connect again")
	}
	fresh.AuthTime = id.AuthTime
	if slices.Equal(fresh.Groups, id.Groups) && maps.Equal(fresh.Claims, id.Claims) {
		return id, nil
	}
	return fresh, nil
}

// Sweep forgets tokens that have expired.
func (t *Tokens) Sweep(ctx context.Context) error { return sweep(ctx, t.Documents, KindToken, t.now()) }

// sweep deletes the documents of a kind that have expired.
func sweep(ctx context.Context, docs identity.Documents, kind string, now time.Time) error {
	var old []identity.Document
	err := identity.All(ctx, docs, kind, func(d identity.Document) bool {
		if !d.Expires.IsZero() && !now.Before(d.Expires) {
			old = append(old, d)
		}
		return true
	})
	for _, d := range old {
		d.Body = nil
		if _, bad := docs.Write(ctx, kind, d); bad != nil && !errors.Is(bad, identity.ErrConflict) {
			err = errors.Join(err, bad)
		}
	}
	return err
}

func randomKey() []byte {
	b := make([]byte, 32)
	rand.Read(b)
	return b
}
