// Package identity holds authenticators: what turns a proof that a protocol
// handler has seen into a proxy.Identity.
package identity

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/sallyport/sallyport/internal/scram"
	"github.com/sallyport/sallyport/proxy"
)

// User is a person or service that is known by name.
type User struct {
	Name   string
	Groups []string
	Kind   proxy.IdentityKind
	// OnBehalfOf is the human that an Agent acts for.
	OnBehalfOf string
	// Password is a SCRAM-SHA-256 verifier in PostgreSQL's form, as made by
	// NewVerifier; empty when the user has no password.
	Password string
	// Hash is an argon2id hash, as made by NewHash. Where a password is sent as it is, it
	// decides, and Password only where a user has no Hash.
	Hash string
	// Email is kept as a claim, and identifies nobody.
	Email string
	// Disabled users cannot log in, and their sessions end with the next revision.
	Disabled bool
	// Expires is when the user cannot log in any more, and her sessions end; zero is never.
	Expires time.Time
	// SSHKeys are public keys in authorized_keys form.
	SSHKeys []string
}

// Users is an authenticator of local users. It is safe for concurrent use.
type Users struct {
	byName map[string]*User
	byKey  map[string][]*User // by public key in wire format
	mock   []byte             // key of made-up verifiers
	hashes map[string]*passwordHash
	hashed *passwordHash // that nobody's password fits; nil when no user has a hash
}

// NewUsers returns an authenticator of users. It fails on duplicate names and on
// verifiers and keys that cannot be read.
func NewUsers(users []User) (*Users, error) {
	u := &Users{byName: make(map[string]*User), byKey: make(map[string][]*User), mock: make([]byte, 32), hashes: make(map[string]*passwordHash)}
	rand.Read(u.mock)
	var errs []error
	for i := range users {
		user := users[i]
		if err := ValidName(user.Name); err != nil {
			errs = append(errs, fmt.Errorf("user %q: %w", user.Name, err))
			continue
		}
		if u.byName[user.Name] != nil {
			errs = append(errs, fmt.Errorf("user %q exists twice", user.Name))
			continue
		}
		if user.Password != "" {
			if _, err := scram.ParseVerifier(user.Password); err != nil {
				errs = append(errs, fmt.Errorf("user %q: the password is not a verifier: want SCRAM-SHA-256$ITERATIONS:SALT$STOREDKEY:SERVERKEY", user.Name))
			}
		}
		if user.Hash != "" {
			h, err := parseHash(user.Hash)
			if err != nil {
				errs = append(errs, fmt.Errorf("user %q: %w", user.Name, err))
				continue
			}
			u.hashes[user.Name] = h
			// As expensive, so that who is made up takes as long to refuse.
			u.hashed = &passwordHash{h.memory, h.passes, h.lanes, make([]byte, 16), make([]byte, len(h.sum))}
		}
		u.byName[user.Name] = &user
		for _, line := range user.SSHKeys {
			key, err := ParseSSHKey(line)
			if err != nil {
				errs = append(errs, fmt.Errorf("user %q: %w", user.Name, err))
				continue
			}
			u.byKey[string(key)] = append(u.byKey[string(key)], &user)
		}
	}
	return u, errors.Join(errs...)
}

// ValidName reports whether name can be a user's: it must not hold "+", which
// parts it from a resource's, nor white space, control characters, or what has a name look like another one.
func ValidName(name string) error {
	if name == "" || len(name) > 128 {
		return errors.New("a name has 1 to 128 bytes")
	}
	for _, r := range name {
		if unicode.IsSpace(r) || unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || strings.ContainsRune(unseen, r) || r == '+' || r == '/' || r == '\ufffd' {
			return fmt.Errorf("a name cannot hold %q", r)
		}
	}
	return nil
}

// unseen are what a name looks the same without, and names that differ in them look the same. What joins and parts
// letters of some scripts is not among them.
const unseen = "\u00ad\u200b\u2060\ufeff"

// NewVerifier returns the SCRAM-SHA-256 verifier of password.
func NewVerifier(password string) (string, error) {
	v, err := scram.NewVerifier(password)
	return v.String(), err
}

// ParseSSHKey returns the key of an authorized_keys line, without options, in
// wire format.
func ParseSSHKey(line string) ([]byte, error) {
	f := strings.Fields(line)
	if len(f) < 2 {
		return nil, errors.New("not an SSH public key: want \"TYPE BASE64 [COMMENT]\"")
	}
	key, err := base64.StdEncoding.DecodeString(f[1])
	if err != nil || len(key) < 4 || !bytes.HasPrefix(key[4:], []byte(f[0])) {
		return nil, errors.New("not an SSH public key: want \"TYPE BASE64 [COMMENT]\"")
	}
	return key, nil
}

// Verifier returns the user's verifier. A user without one, or who does not
// exist, gets a made-up one that no password fits.
func (u *Users) Verifier(_ context.Context, name string) (string, bool, error) {
	if user := u.byName[name]; user != nil && user.Password != "" {
		return user.Password, true, nil
	}
	return scram.Mock(u.mock, name).String(), true, nil
}

// KnowsKey reports whether a key, in SSH wire format, is one of the user's.
func (u *Users) KnowsKey(name string, key []byte) bool {
	user := u.byName[name]
	return user != nil && slices.Contains(u.byKey[string(key)], user)
}

// Replace has u answer about unknown users as before did, which it takes the place
// of: otherwise a client that asks twice would see which names are made up. It is
// called before u is used.
func (u *Users) Replace(before *Users) { u.mock = before.mock }

// Refresh implements [proxy.Refresher]: the identity has the groups that the user has
// now. A user who is gone, or who acts for another, has to log in again.
func (u *Users) Refresh(_ context.Context, id *proxy.Identity) (*proxy.Identity, error) {
	user := u.byName[id.Subject]
	switch {
	case user == nil:
		return nil, fmt.Errorf("user %s is not known to the gateway any more", id.Subject)
	case !user.may():
		return nil, fmt.Errorf("user %s is disabled or has expired", id.Subject)
	case user.Kind != id.Kind, user.OnBehalfOf != id.OnBehalfOf:
		return nil, fmt.Errorf("user %s has changed: connect again", id.Subject)
	case slices.Equal(user.Groups, id.Groups):
		return id, nil
	}
	now := *id
	now.Groups = slices.Clone(user.Groups)
	return &now, nil
}

// Authenticate accepts SCRAM and challenge proofs against the user's own
// verifier, passwords and public keys.
func (u *Users) Authenticate(ctx context.Context, p proxy.Proof) (*proxy.Identity, error) {
	user := u.byName[p.User]
	switch p.Method {
	case proxy.MethodSCRAM, proxy.MethodChallenge:
		// The proof counts only against this user's verifier, as it is now.
		if user == nil || user.Password == "" || p.Verifier != user.Password {
			return nil, proxy.ErrUnauthenticated
		}
	case proxy.MethodPassword:
		if err := u.password(ctx, user, p); err != nil {
			return nil, err
		}
	case proxy.MethodPublicKey:
		if user == nil || !slices.Contains(u.byKey[string(p.PublicKey)], user) {
			return nil, proxy.ErrUnauthenticated
		}
	default:
		return nil, proxy.ErrUnauthenticated
	}
	if !user.may() {
		return nil, proxy.ErrUnauthenticated
	}
	id := user.identity()
	id.Method, id.AuthTime = p.Method, time.Now()
	return id, nil
}

// may reports whether the user may log in now.
func (u *User) may() bool {
	return !u.Disabled && (u.Expires.IsZero() || time.Now().Before(u.Expires))
}

// password checks a password that was sent as it is. Whatever a user has, and for
// somebody who does not exist, the same is computed.
func (u *Users) password(ctx context.Context, user *User, p proxy.Proof) error {
	verifier, hash := scram.Mock(u.mock, p.User), u.hashed
	known := user != nil && (user.Password != "" || user.Hash != "")
	if known && user.Password != "" {
		v, err := scram.ParseVerifier(user.Password)
		if err != nil {
			return fmt.Errorf("%w: %w", proxy.ErrUnauthenticated, err)
		}
		verifier = v
	}
	if known && user.Hash != "" {
		hash = u.hashes[user.Name]
	}
	right := verifier.Matches(p.Password.Reveal())
	if hash != nil {
		matches, err := hash.matches(ctx, p.Password.Reveal())
		if err != nil {
			return fmt.Errorf("%w: %w", proxy.ErrUnauthenticated, err)
		}
		if known && user.Hash != "" {
			right = matches
		}
	}
	if !right || !known {
		return proxy.ErrUnauthenticated
	}
	return nil
}

// Find returns who the user of that name would be if she logged in now, with no method; an
// error says why she could not.
func (u *Users) Find(name string) (*proxy.Identity, error) {
	user := u.byName[name]
	if user == nil {
		return nil, fmt.Errorf("user %s is not known to the gateway", name)
	}
	if !user.may() {
		return nil, fmt.Errorf("user %s is disabled or has expired", name)
	}
	return user.identity(), nil
}

func (u *User) identity() *proxy.Identity {
	id := &proxy.Identity{Subject: u.Name, Name: u.Name, Groups: u.Groups, Kind: u.Kind, OnBehalfOf: u.OnBehalfOf, Expires: u.Expires}
	if u.Email != "" {
		id.Claims = map[string]string{"email": u.Email}
	}
	return id
}
