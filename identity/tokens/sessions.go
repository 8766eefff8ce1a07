package tokens

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/proxy"
)

// Sessions are those of people and command lines that have logged in: what a browser's
// cookie or the command line's stored secret proves. It is safe for concurrent use, also
// by several gateways on the same documents. Its fields are set before it is used.
type Sessions struct {
	Documents identity.Documents
	// Refresher returns who an identity is now, and fails when its login has ended; nil
	// takes what the login said.
	Refresher proxy.Refresher
	// Idle is how long a session may be unused; zero is DefaultIdle.
	Idle time.Duration
	// Life is how long a session may last at most; zero is DefaultSessionLife. It ends
	// with the login in any case.
	Life time.Duration
	// Changed is told of sessions that were ended; nil tells nobody.
	Changed func(identity.Change)
	Now     func() time.Time
}

// Defaults of Sessions.
const (
	DefaultIdle        = time.Hour
	DefaultSessionLife = 8 * time.Hour
)

// ErrNoSession says that a secret proves no session: it is wrong, has expired, or was
// ended.
var ErrNoSession = fmt.Errorf("%w: the session has ended: log in again", proxy.ErrUnauthenticated)

// session is a session's document.
type session struct {
	Hash     string         `json:"hash"`
	Identity proxy.Identity `json:"identity"`
	Begun    time.Time      `json:"begun"`
	Used     time.Time      `json:"used"`
}

func (s *Sessions) now() time.Time {
	if s.Now != nil {
		return s.Now()
	}
	return time.Now()
}

func (s *Sessions) idle() time.Duration {
	if s.Idle > 0 {
		return s.Idle
	}
	return DefaultIdle
}

// Start begins a session, and returns its secret, which is kept nowhere.
func (s *Sessions) Start(ctx context.Context, id *proxy.Identity) (proxy.Secret, time.Time, error) {
	life := s.Life
	if life <= 0 {
		life = DefaultSessionLife
	}
	now := s.now()
	own := *id
	if own.AuthTime.After(now) { // by a provider's clock that is ahead
		own.AuthTime = now
	}
	if end := now.Add(life); own.Expires.IsZero() || end.Before(own.Expires) {
		own.Expires = end
	}
	return s.start(ctx, own, now)
}

func (s *Sessions) start(ctx context.Context, id proxy.Identity, begun time.Time) (proxy.Secret, time.Time, error) {
	secret := newSecret(SessionPrefix)
	name := identify(secret)
	id.Claims = maps.Clone(id.Claims)
	if id.Claims == nil {
		id.Claims = make(map[string]string)
	}
	if id.Claims[identity.ClaimLogin] == "" { // of a local user: the session is the login
		id.Claims[identity.ClaimLogin] = name
	}
	body, err := json.Marshal(session{hash(secret), id, begun, s.now()})
	if err != nil {
		return proxy.Secret{}, time.Time{}, err
	}
	if _, err := s.Documents.Write(ctx, KindSession, identity.Document{Name: name, Body: body, Expires: id.Expires}); err != nil {
		return proxy.Secret{}, time.Time{}, fmt.Errorf("keeping a session: %w", err)
	}
	return proxy.NewSecret(secret), id.Expires, nil
}

func (s *Sessions) get(ctx context.Context, secret proxy.Secret) (d identity.Document, k *session, err error) {
	text := secret.Reveal()
	if !IsSecret(SessionPrefix, text) {
		return d, nil, ErrNoSession
	}
	if d, k, err = s.read(ctx, identify(text)); err == nil && k.Hash != hash(text) {
		return d, nil, ErrNoSession
	}
	return d, k, err
}

// read returns the session of that name, which goes on.
func (s *Sessions) read(ctx context.Context, name string) (d identity.Document, k *session, err error) {
	d, err = s.Documents.Get(ctx, KindSession, name)
	if errors.Is(err, identity.ErrNoDocument) {
		return d, nil, ErrNoSession
	}
	if err != nil {
		return d, nil, err
	}
	k = &session{}
	if err := json.Unmarshal(d.Body, k); err != nil {
		return d, nil, fmt.Errorf("session %s cannot be read", d.Name)
	}
	if !s.now().Before(k.Identity.Expires) || s.now().Sub(k.Used) >= s.idle() {
		return d, nil, ErrNoSession
	}
	return d, k, nil
}

// Look returns who a secret proves now, and does not count as a use of the session.
func (s *Sessions) Look(ctx context.Context, secret proxy.Secret) (*proxy.Identity, error) {
	_, k, err := s.get(ctx, secret)
	if err != nil {
		return nil, err
	}
	return s.refreshed(ctx, &k.Identity)
}

// refreshed is who the identity of a session is now.
func (s *Sessions) refreshed(ctx context.Context, id *proxy.Identity) (*proxy.Identity, error) {
	if s.Refresher == nil {
		return id, nil
	}
	now, err := s.Refresher.Refresh(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoSession, err)
	}
	if now == nil || now.Subject != id.Subject {
		return nil, ErrNoSession
	}
	return now, nil
}

// Find returns who a secret proves now, and counts as a use of the session.
func (s *Sessions) Find(ctx context.Context, secret proxy.Secret) (*proxy.Identity, error) {
	if _, _, err := s.get(ctx, secret); err != nil {
		return nil, err
	}
	return s.use(ctx, identify(secret.Reveal()))
}

// use returns who the session of that name is of now, and counts as a use of it.
func (s *Sessions) use(ctx context.Context, name string) (*proxy.Identity, error) {
	d, k, err := s.read(ctx, name)
	if err != nil {
		return nil, err
	}
	id, err := s.refreshed(ctx, &k.Identity)
	if err != nil {
		return nil, err
	}
	if s.now().Sub(k.Used) >= min(usedEvery, s.idle()/4) {
		k.Used = s.now()
		if d.Body, err = json.Marshal(k); err != nil {
			return nil, err
		}
		// Another use came first, or the session was ended: then Find would not find it.
		if _, err := s.Documents.Write(ctx, KindSession, d); err != nil && !errors.Is(err, identity.ErrConflict) {
			return nil, err
		}
	}
	return id, nil
}

// Renew gives another secret for the session, and ends the one that it had. It does not
// make the session longer than Life.
func (s *Sessions) Renew(ctx context.Context, secret proxy.Secret) (proxy.Secret, time.Time, error) {
	if _, err := s.Find(ctx, secret); err != nil {
		return proxy.Secret{}, time.Time{}, err
	}
	d, k, err := s.get(ctx, secret)
	if err != nil {
		return proxy.Secret{}, time.Time{}, err
	}
	// The old one ends first: of two that renew at once, one has a session.
	d.Body = nil
	if _, err := s.Documents.Write(ctx, KindSession, d); errors.Is(err, identity.ErrConflict) {
		return proxy.Secret{}, time.Time{}, ErrNoSession
	} else if err != nil {
		return proxy.Secret{}, time.Time{}, err
	}
	return s.start(ctx, k.Identity, k.Begun)
}

// End ends the session of a secret, and returns its identity; nil when it proves none.
func (s *Sessions) End(ctx context.Context, secret proxy.Secret) (*proxy.Identity, error) {
	d, k, err := s.get(ctx, secret)
	if errors.Is(err, ErrNoSession) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &k.Identity, s.end(ctx, d)
}

// EndAll ends the sessions of a subject, and returns how many these are.
func (s *Sessions) EndAll(ctx context.Context, subject string) (int, error) {
	logins, err := s.EndOthers(ctx, subject, "")
	return len(logins), err
}

// EndOthers ends the sessions of a subject but those of one login, and returns whose logins
// these were, as identity.ClaimLogin names them.
func (s *Sessions) EndOthers(ctx context.Context, subject, login string) (logins []string, err error) {
	var list []identity.Document
	err = identity.All(ctx, s.Documents, KindSession, func(d identity.Document) bool {
		var k session
		if json.Unmarshal(d.Body, &k) != nil || k.Identity.Subject != subject {
			return true
		}
		if own := k.Identity.Claims[identity.ClaimLogin]; login == "" || own != login {
			list, logins = append(list, d), append(logins, own)
		}
		return true
	})
	for _, d := range list {
		err = errors.Join(err, s.end(ctx, d))
	}
	return logins, err
}

// Prove keeps that who has a session has proven herself now, by methods as identity.ClaimMethods
// has them. Of two that do so at once the later counts.
func (s *Sessions) Prove(ctx context.Context, secret proxy.Secret, methods string) (*proxy.Identity, error) {
	for {
		d, k, err := s.get(ctx, secret)
		if err != nil {
			return nil, err
		}
		id := &k.Identity
		id.AuthTime, k.Used = s.now(), s.now()
		id.Claims = maps.Clone(id.Claims)
		id.Claims[identity.ClaimMethods] = methods
		if d.Body, err = json.Marshal(k); err != nil {
			return nil, err
		}
		if _, err = s.Documents.Write(ctx, KindSession, d); errors.Is(err, identity.ErrConflict) {
			continue // it was used, or has ended
		}
		return id, err
	}
}

// end deletes a session, whatever has happened to it since it was read.
func (s *Sessions) end(ctx context.Context, d identity.Document) error {
	for {
		var k session
		if err := json.Unmarshal(d.Body, &k); err != nil {
			return fmt.Errorf("session %s cannot be read", d.Name)
		}
		gone := d
		gone.Body = nil
		_, err := s.Documents.Write(ctx, KindSession, gone)
		if errors.Is(err, identity.ErrConflict) {
			if d, err = s.Documents.Get(ctx, KindSession, d.Name); err == nil {
				continue
			}
			if errors.Is(err, identity.ErrNoDocument) {
				return nil
			}
		}
		if err == nil && s.Changed != nil {
			s.Changed(identity.Change{Subject: k.Identity.Subject, Login: k.Identity.Claims[identity.ClaimLogin], Ended: true, Reason: "you have logged out"})
		}
		return err
	}
}

// Sweep forgets sessions that have expired.
func (s *Sessions) Sweep(ctx context.Context) error {
	return sweep(ctx, s.Documents, KindSession, s.now())
}
