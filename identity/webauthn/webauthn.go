// Package webauthn is a second factor by security keys and passkeys (WebAuthn level 3),
// for step-up and for accounts that have to work when the identity provider does not.
//
// A key proves that its holder is there, has unlocked it, and is at the gateway's own
// site: neither a phishing site nor a program without a person can.
package webauthn

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/proxy"
)

// Kinds of documents.
const (
	KindUser = "webauthn"
	kindUsed = "webauthn-used"
)

const (
	maxKeys   = 20
	life      = 5 * time.Minute // of a question
	maxAnswer = 64 << 10
)

// Config says where keys are used.
type Config struct {
	// URL is the gateway's site: "https://gw.example.com". Keys are bound to its host.
	URL string
	// Name is shown when a key is registered.
	Name      string
	Documents identity.Documents
	// Sealer seals questions, which the browser keeps.
	Sealer identity.Sealer
	Now    func() time.Time
}

// Keys keeps and checks security keys. It is safe for concurrent use, also by several
// gateways on the same documents.
type Keys struct {
	config Config
	party  *webauthn.WebAuthn
}

// Key is a registered key.
type Key struct {
	ID       string    `json:"id"`
	Label    string    `json:"label"`
	Created  time.Time `json:"created"`
	LastUsed time.Time `json:"last_used,omitzero"`
}

// New returns the keys of a site.
func New(c Config) (*Keys, error) {
	u, err := url.Parse(c.URL)
	if err != nil || u.Host == "" || u.Path != "" || u.Scheme != "https" && u.Hostname() != "localhost" {
		return nil, fmt.Errorf("security keys need the site's URL, such as https://gw.example.com, got %q", c.URL)
	}
	if c.Documents == nil || c.Sealer == nil {
		return nil, errors.New("security keys need documents, and what seals questions")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	party, err := webauthn.New(&webauthn.Config{
		RPID: u.Hostname(), RPDisplayName: c.Name, RPOrigins: []string{c.URL}, AttestationPreference: protocol.PreferNoAttestation,
		AuthenticatorSelection: protocol.AuthenticatorSelection{UserVerification: protocol.VerificationRequired, ResidentKey: protocol.ResidentKeyRequirementPreferred},
	})
	if err != nil {
		return nil, fmt.Errorf("security keys at %s: %w", c.URL, err)
	}
	return &Keys{c, party}, nil
}

// account is a user's document, and the library's view of her.
type account struct {
	Handle []byte   `json:"handle"` // random: keys learn nothing of who it is
	Keys   []keyDoc `json:"keys"`

	subject, name string
}

type keyDoc struct {
	Key
	Credential webauthn.Credential `json:"credential"`
}

func (a *account) WebAuthnID() []byte          { return a.Handle }
func (a *account) WebAuthnName() string        { return a.name }
func (a *account) WebAuthnDisplayName() string { return a.name }

func (a *account) WebAuthnCredentials() []webauthn.Credential {
	list := make([]webauthn.Credential, len(a.Keys))
	for i := range a.Keys {
		list[i] = a.Keys[i].Credential
	}
	return list
}

// question is what the browser keeps, sealed, between begin and finish.
type question struct {
	Subject string               `json:"subject"`
	Handle  []byte               `json:"handle"`
	What    string               `json:"what"`
	Expires time.Time            `json:"expires"`
	Session webauthn.SessionData `json:"session"`
}

// What a question is for: an answer to one is not one to another.
const (
	registering = "register"
	proving     = "prove"
)

func hashed(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

func (k *Keys) get(ctx context.Context, subject string) (identity.Document, *account, error) {
	d, err := k.config.Documents.Get(ctx, KindUser, hashed(subject))
	a := &account{subject: subject, name: subject}
	if errors.Is(err, identity.ErrNoDocument) {
		return identity.Document{Name: hashed(subject)}, a, nil
	}
	if err != nil {
		return d, nil, err
	}
	if err := json.Unmarshal(d.Body, a); err != nil {
		return d, nil, fmt.Errorf("the security keys of %s cannot be read", subject)
	}
	return d, a, nil
}

func (k *Keys) write(ctx context.Context, d identity.Document, a *account) error {
	var err error
	if d.Body, err = json.Marshal(a); err != nil {
		return err
	}
	_, err = k.config.Documents.Write(ctx, KindUser, d)
	return err
}

func (k *Keys) seal(what string, a *account, s *webauthn.SessionData) (string, error) {
	b, err := json.Marshal(question{a.subject, a.Handle, what, k.config.Now().Add(life), *s})
	if err != nil {
		return "", err
	}
	sealed, err := k.config.Sealer.Seal(b, "webauthn question")
	return base64.RawURLEncoding.EncodeToString(sealed), err
}

// open reads a question, and has it count once.
func (k *Keys) open(ctx context.Context, what, subject, state string) (*question, error) {
	sealed, err := base64.RawURLEncoding.DecodeString(state)
	if err != nil {
		return nil, identity.ErrSealed
	}
	b, err := k.config.Sealer.Open(sealed, "webauthn question")
	if err != nil {
		return nil, err
	}
	q := &question{}
	if err := json.Unmarshal(b, q); err != nil {
		return nil, err
	}
	if q.What != what || q.Subject != subject || !k.config.Now().Before(q.Expires) {
		return nil, errors.New("the question was another's, or is too old")
	}
	used := identity.Document{Name: hashed(q.Session.Challenge), Body: []byte("{}"), Expires: q.Expires}
	if _, err := k.config.Documents.Write(ctx, kindUsed, used); errors.Is(err, identity.ErrConflict) {
		return nil, errors.New("the question was answered before")
	} else if err != nil {
		return nil, err
	}
	q.Session.Expires = time.Time{} // it was compared by the gateway's clock
	return q, nil
}

// BeginRegister returns what the browser gives to navigator.credentials.create, and the
// state that belongs to its answer. Who asks has proven herself just now.
func (k *Keys) BeginRegister(ctx context.Context, subject, name string) (options json.RawMessage, state string, err error) {
	_, a, err := k.get(ctx, subject)
	if err != nil {
		return nil, "", err
	}
	if len(a.Keys) >= maxKeys {
		return nil, "", fmt.Errorf("a user has at most %d security keys: remove one first", maxKeys)
	}
	if a.name = name; len(a.Handle) == 0 {
		a.Handle = make([]byte, 64)
		rand.Read(a.Handle)
	}
	created, session, err := k.party.BeginRegistration(a, webauthn.WithExclusions(webauthn.Credentials(a.WebAuthnCredentials()).CredentialDescriptors()))
	if err != nil {
		return nil, "", fmt.Errorf("registering a security key: %w", err)
	}
	if options, err = json.Marshal(created); err != nil {
		return nil, "", err
	}
	state, err = k.seal(registering, a, session)
	return options, state, err
}

func refused(doing string, err error) error {
	return fmt.Errorf("%s: %w: %w", doing, proxy.ErrUnauthenticated, err)
}

// FinishRegister keeps the key that an answer is of.
func (k *Keys) FinishRegister(ctx context.Context, subject, label, state string, answer []byte) (Key, error) {
	const doing = "registering a security key"
	if len(label) > 128 || len(answer) > maxAnswer {
		return Key{}, refused(doing, errors.New("the label or the answer is too long"))
	}
	q, err := k.open(ctx, registering, subject, state)
	if err != nil {
		return Key{}, refused(doing, err)
	}
	parsed, err := protocol.ParseCredentialCreationResponseBytes(answer)
	if err != nil {
		return Key{}, refused(doing, err)
	}
	for {
		d, a, err := k.get(ctx, subject)
		if err != nil {
			return Key{}, err
		}
		if len(a.Handle) == 0 {
			a.Handle = q.Handle
		}
		if !slices.Equal(a.Handle, q.Handle) || len(a.Keys) >= maxKeys {
			return Key{}, refused(doing, errors.New("another key was registered meanwhile: begin again"))
		}
		made, err := k.party.CreateCredential(a, q.Session, parsed)
		if err != nil {
			return Key{}, refused(doing, err)
		}
		key := Key{ID: base64.RawURLEncoding.EncodeToString(made.ID), Label: label, Created: k.config.Now()}
		if a.find(made.ID) != nil {
			return Key{}, refused(doing, errors.New("the key is registered already"))
		}
		a.Keys = append(a.Keys, keyDoc{key, *made})
		if err = k.write(ctx, d, a); errors.Is(err, identity.ErrConflict) {
			continue
		}
		return key, err
	}
}

func (a *account) find(id []byte) *keyDoc {
	for i := range a.Keys {
		if slices.Equal(a.Keys[i].Credential.ID, id) {
			return &a.Keys[i]
		}
	}
	return nil
}

// ErrNoKeys says that a user has registered no key.
var ErrNoKeys = fmt.Errorf("%w: no security key is registered", proxy.ErrUnauthenticated)

// Begin returns what the browser gives to navigator.credentials.get, and the state that
// belongs to its answer.
func (k *Keys) Begin(ctx context.Context, subject string) (options json.RawMessage, state string, err error) {
	_, a, err := k.get(ctx, subject)
	if err != nil {
		return nil, "", err
	}
	if len(a.Keys) == 0 {
		return nil, "", ErrNoKeys
	}
	asked, session, err := k.party.BeginLogin(a, webauthn.WithUserVerification(protocol.VerificationRequired))
	if err != nil {
		return nil, "", fmt.Errorf("asking for a security key: %w", err)
	}
	if options, err = json.Marshal(asked); err != nil {
		return nil, "", err
	}
	state, err = k.seal(proving, a, session)
	return options, state, err
}

// Finish returns the key that an answer proves to be the user's and with her now.
func (k *Keys) Finish(ctx context.Context, subject, state string, answer []byte) (Key, error) {
	const doing = "proving by a security key"
	if len(answer) > maxAnswer {
		return Key{}, refused(doing, errors.New("the answer is too long"))
	}
	q, err := k.open(ctx, proving, subject, state)
	if err != nil {
		return Key{}, refused(doing, err)
	}
	parsed, err := protocol.ParseCredentialRequestResponseBytes(answer)
	if err != nil {
		return Key{}, refused(doing, err)
	}
	for {
		d, a, err := k.get(ctx, subject)
		if err != nil {
			return Key{}, err
		}
		used, err := k.party.ValidateLogin(a, q.Session, parsed)
		if err != nil {
			return Key{}, refused(doing, err)
		}
		key := a.find(used.ID)
		if key == nil {
			return Key{}, refused(doing, errors.New("the key was removed"))
		}
		if used.Authenticator.CloneWarning {
			return Key{}, refused(doing, errors.New("the key counts backwards: there may be two of it; remove it"))
		}
		key.Credential, key.LastUsed = *used, k.config.Now()
		// The count is kept before the answer counts.
		if err = k.write(ctx, d, a); errors.Is(err, identity.ErrConflict) {
			continue
		}
		return key.Key, err
	}
}

// List returns a user's keys.
func (k *Keys) List(ctx context.Context, subject string) ([]Key, error) {
	_, a, err := k.get(ctx, subject)
	if err != nil {
		return nil, err
	}
	var list []Key
	for _, key := range a.Keys {
		list = append(list, key.Key)
	}
	return list, nil
}

// Remove forgets a key. Answers of it that are on their way do not count.
func (k *Keys) Remove(ctx context.Context, subject, id string) error {
	for {
		d, a, err := k.get(ctx, subject)
		if err != nil {
			return err
		}
		n := len(a.Keys)
		if a.Keys = slices.DeleteFunc(a.Keys, func(key keyDoc) bool { return key.ID == id }); len(a.Keys) == n {
			return fmt.Errorf("removing a security key: %s has none of that identifier", subject)
		}
		if err = k.write(ctx, d, a); !errors.Is(err, identity.ErrConflict) {
			return err
		}
	}
}

// Sweep forgets questions that have expired.
func (k *Keys) Sweep(ctx context.Context) error {
	var old []identity.Document
	err := identity.All(ctx, k.config.Documents, kindUsed, func(d identity.Document) bool {
		if !k.config.Now().Before(d.Expires) {
			old = append(old, d)
		}
		return true
	})
	for _, d := range old {
		d.Body = nil
		if _, bad := k.config.Documents.Write(ctx, kindUsed, d); bad != nil && !errors.Is(bad, identity.ErrConflict) {
			err = errors.Join(err, bad)
		}
	}
	return err
}
