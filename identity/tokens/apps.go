package tokens

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/proxy"
)

// Kinds of documents of Apps.
const (
	KindApp     = "app-session"
	KindAppCode = "app-code"
)

// AppPrefix is that of secrets that prove somebody at one application.
const AppPrefix = "spa_"

// CodeLife is how long a code is redeemed.
const CodeLife = time.Minute

// Apps are what proves people at single applications, each of which is served at a host of its
// own: a session, which goes on at all of them, has a secret of its own at each. It ends with
// the session, and its use counts as one of the session. It is safe for concurrent use, also by several gateways
// on the same documents.
type Apps struct {
	Sessions *Sessions
}

// appCode is a code's document.
type appCode struct {
	App       string `json:"app"`
	Challenge string `json:"challenge"`
	Session   string `json:"session"` // its document's name
}

// appSession is the document of what proves somebody at an application.
type appSession struct {
	Hash    string `json:"hash"`
	App     string `json:"app"`
	Session string `json:"session"`
}

// ErrNoCode says that a code redeems nothing: it is wrong, was redeemed, or has expired.
var ErrNoCode = fmt.Errorf("%w: the code of the login is wrong, was used or has expired", proxy.ErrUnauthenticated)

// Code returns a code by which the person of a session, which secret proves, is known at an
// application: once, to who has the verifier whose SHA-256 in hexadecimals is challenge.
func (a *Apps) Code(ctx context.Context, secret proxy.Secret, app, challenge string) (string, error) {
	s := a.Sessions
	if b, err := hex.DecodeString(challenge); err != nil || len(b) != sha256.Size || app == "" {
		return "", errors.New("a code for an application: want its name, and the SHA-256 of a verifier")
	}
	if _, err := s.Find(ctx, secret); err != nil {
		return "", err
	}
	code := newSecret(AppPrefix)
	body, err := json.Marshal(appCode{app, challenge, identify(secret.Reveal())})
	if err != nil {
		return "", err
	}
	if _, err := s.Documents.Write(ctx, KindAppCode, identity.Document{Name: identify(code), Body: body, Expires: s.now().Add(CodeLife)}); err != nil {
		return "", fmt.Errorf("keeping a code: %w", err)
	}
	return code, nil
}

// Redeem returns what proves the person of a code at the application from then on, and until when.
func (a *Apps) Redeem(ctx context.Context, app, code, verifier string) (proxy.Secret, time.Time, error) {
	s := a.Sessions
	fail := func(err error) (proxy.Secret, time.Time, error) { return proxy.Secret{}, time.Time{}, err }
	if !IsSecret(AppPrefix, code) {
		return fail(ErrNoCode)
	}
	d, err := s.Documents.Get(ctx, KindAppCode, identify(code))
	if errors.Is(err, identity.ErrNoDocument) {
		return fail(ErrNoCode)
	}
	if err != nil {
		return fail(err)
	}
	var c appCode
	if err := json.Unmarshal(d.Body, &c); err != nil {
		return fail(errors.New("the code of a login cannot be read"))
	}
	// It counts once, also when it was shown with a wrong verifier.
	gone := d
	gone.Body = nil
	if _, err := s.Documents.Write(ctx, KindAppCode, gone); errors.Is(err, identity.ErrConflict) || errors.Is(err, identity.ErrNoDocument) {
		return fail(ErrNoCode)
	} else if err != nil {
		return fail(err)
	}
	sum := sha256.Sum256([]byte(verifier))
	if c.App != app || subtle.ConstantTimeCompare([]byte(c.Challenge), []byte(hex.EncodeToString(sum[:]))) != 1 || !s.now().Before(d.Expires) {
		return fail(ErrNoCode)
	}
	id, err := s.use(ctx, c.Session)
	if err != nil {
		return fail(err)
	}
	secret := newSecret(AppPrefix)
	body, err := json.Marshal(appSession{hash(secret), app, c.Session})
	if err != nil {
		return fail(err)
	}
	if _, err := s.Documents.Write(ctx, KindApp, identity.Document{Name: identify(secret), Body: body, Expires: id.Expires}); err != nil {
		return fail(fmt.Errorf("keeping a session at an application: %w", err))
	}
	return proxy.NewSecret(secret), id.Expires, nil
}

func (a *Apps) get(ctx context.Context, app string, secret proxy.Secret) (identity.Document, *appSession, error) {
	text := secret.Reveal()
	if !IsSecret(AppPrefix, text) {
		return identity.Document{}, nil, ErrNoSession
	}
	d, err := a.Sessions.Documents.Get(ctx, KindApp, identify(text))
	if errors.Is(err, identity.ErrNoDocument) {
		return d, nil, ErrNoSession
	}
	if err != nil {
		return d, nil, err
	}
	k := &appSession{}
	if err := json.Unmarshal(d.Body, k); err != nil {
		return d, nil, errors.New("a session at an application cannot be read")
	}
	if k.App != app || subtle.ConstantTimeCompare([]byte(k.Hash), []byte(hash(text))) != 1 || !a.Sessions.now().Before(d.Expires) {
		return d, nil, ErrNoSession
	}
	return d, k, nil
}

// Find returns who a secret proves at an application now, and counts as a use of the session that
// it comes from.
func (a *Apps) Find(ctx context.Context, app string, secret proxy.Secret) (*proxy.Identity, error) {
	_, k, err := a.get(ctx, app, secret)
	if err != nil {
		return nil, err
	}
	return a.Sessions.use(ctx, k.Session)
}

// End has a secret prove nobody any more. The session that it comes from goes on.
func (a *Apps) End(ctx context.Context, app string, secret proxy.Secret) error {
	d, _, err := a.get(ctx, app, secret)
	if errors.Is(err, ErrNoSession) {
		return nil
	}
	if err != nil {
		return err
	}
	d.Body = nil
	if _, err = a.Sessions.Documents.Write(ctx, KindApp, d); errors.Is(err, identity.ErrConflict) || errors.Is(err, identity.ErrNoDocument) {
		return nil // another one has ended it
	}
	return err
}

// Sweep forgets what has expired.
func (a *Apps) Sweep(ctx context.Context) error {
	s := a.Sessions
	return errors.Join(sweep(ctx, s.Documents, KindApp, s.now()), sweep(ctx, s.Documents, KindAppCode, s.now()))
}
