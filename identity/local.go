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

// Own is what a user has set up herself, besides what her definition says.
type Own struct {
	// Password and Hash take the place of those of the definition, where Chosen names the
	// choice. Empty: the definition's count.
	Password, Hash string
	Chosen         string
	// Factor says that she has a second factor: a password alone does not prove her.
	Factor bool
}

// Owner keeps what users set up themselves. It is safe for concurrent use.
type Owner interface {
	// Own returns what is kept of a user whose definition says a password and a hash. The
	// name may be nobody's: then there is nothing, and it takes as long to tell.
	Own(ctx context.Context, name, password, hash string) (Own, error)
	// Code returns nil when a code is one of the user's second factor, and has it count once.
	// The error wraps proxy.ErrUnauthenticated when it is not.
	Code(ctx context.Context, name string, code proxy.Secret) error
}

// Users is an authenticator of local users. It is safe for concurrent use.
type Users struct {
	// Owner keeps what users set up themselves; nil: nobody does. It is set before u is used.
	Owner Owner
	// PasswordAlone are the protocols at which a password proves also a user who has a second
	// factor. It is set before u is used.
	PasswordAlone []string
	// Now is the clock by which users have proven themselves; nil is time.Now. It is set before u is used.
	Now func() time.Time

	byName map[string]*User
	byKey  map[string][]*User // by public key in wire format
	mock   []byte             // key of made-up verifiers
	hashed *passwordHash      // that nobody's password fits; nil when no hash is to be checked
}

// NewUsers returns an authenticator of users. It fails on duplicate names and on
// verifiers and keys that cannot be read.
func NewUsers(users []User) (*Users, error) {
	u := &Users{byName: make(map[string]*User), byKey: make(map[string][]*User), mock: make([]byte, 32)}
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

// now returns a user's definition with what she has set up since. For an unknown name the
// definition is nil, and the same is asked.
func (u *Users) now(ctx context.Context, name string) (*User, Own, error) {
	user := u.byName[name]
	if u.Owner == nil {
		return user, Own{}, nil
	}
	said := user
	if said == nil {
		said = &User{}
	}
	own, err := u.Owner.Own(ctx, name, said.Password, said.Hash)
	if err != nil || user == nil || own.Chosen == "" {
		return user, own, err
	}
	is := *user
	is.Password, is.Hash = own.Password, own.Hash
	return &is, own, nil
}

// ErrFactor says that a user has a second factor, so that a password alone does not prove
// her. Clients are not told.
var ErrFactor = fmt.Errorf("%w: the user has a second factor, and a password alone does not prove her here: she logs in at the API, and connects with the certificate of that login", proxy.ErrUnauthenticated)

// Verifier returns the user's verifier. A user without one, or who does not
// exist, gets a made-up one that no password fits. So does one who has a second factor, with
// ErrFactor.
func (u *Users) Verifier(ctx context.Context, name string) (string, bool, error) {
	user, own, err := u.now(ctx, name)
	if err != nil {
		return "", false, err
	}
	mock := scram.Mock(u.mock, name)
	switch {
	case user == nil || user.Password == "":
		return mock.String(), true, nil
	case own.Factor && len(u.PasswordAlone) == 0:
		// It looks as hers does, and no password fits it.
		hers, err := scram.ParseVerifier(user.Password)
		if err != nil {
			return "", false, err
		}
		mock.Iterations, mock.Salt = hers.Iterations, hers.Salt
		return mock.String(), true, fmt.Errorf("user %s: %w", name, ErrFactor)
	}
	return user.Password, true, nil
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
// now. A user who is gone, or who acts for another, has to log in again. So does a user who was
// proven by a password that would not prove her now.
func (u *Users) Refresh(ctx context.Context, id *proxy.Identity) (*proxy.Identity, error) {
	user := u.byName[id.Subject]
	switch {
	case user == nil:
		return nil, fmt.Errorf("user %s is not known to the gateway any more", id.Subject)
	case !user.may():
		return nil, fmt.Errorf("user %s is disabled or has expired", id.Subject)
	case user.Kind != id.Kind, user.OnBehalfOf != id.OnBehalfOf:
		return nil, fmt.Errorf("user %s has changed: connect again", id.Subject)
	}
	if err := u.proves(ctx, id); err != nil {
		return nil, err
	}
	if slices.Equal(user.Groups, id.Groups) {
		return id, nil
	}
	now := *id
	now.Groups = slices.Clone(user.Groups)
	return &now, nil
}

// proves returns why the password that has proven an identity would not prove it now. A login
// of its own, which that password has begun, goes on until it is ended.
func (u *Users) proves(ctx context.Context, id *proxy.Identity) error {
	if u.Owner == nil || !ByPassword(id.Method) || id.Claims[ClaimLogin] != "" {
		return nil
	}
	_, own, err := u.now(ctx, id.Subject)
	switch {
	case err != nil:
		return err
	case own.Chosen != id.Claims[ClaimPassword]:
		return fmt.Errorf("the password of %s has changed: connect again", id.Subject)
	case own.Factor && len(u.PasswordAlone) == 0 && id.Claims[ClaimMethods] == "":
		return fmt.Errorf("user %s has a second factor now: connect with the certificate of a login", id.Subject)
	}
	return nil
}

// ByPassword reports whether a password proves somebody by a method.
func ByPassword(m proxy.Method) bool {
	return m == proxy.MethodPassword || m == proxy.MethodSCRAM || m == proxy.MethodChallenge
}

// Authenticate accepts SCRAM and challenge proofs against the user's own
// verifier, passwords and public keys. Of a user who has a second factor it asks for a code of
// it besides a password.
func (u *Users) Authenticate(ctx context.Context, p proxy.Proof) (*proxy.Identity, error) {
	switch p.Method {
	case proxy.MethodSCRAM, proxy.MethodChallenge, proxy.MethodPassword:
		return u.byPassword(ctx, p)
	case proxy.MethodPublicKey:
		user := u.byName[p.User]
		if user == nil || !slices.Contains(u.byKey[string(p.PublicKey)], user) || !user.may() {
			return nil, proxy.ErrUnauthenticated
		}
		return u.proven(user, p.Method), nil
	}
	return nil, proxy.ErrUnauthenticated
}

func (u *Users) byPassword(ctx context.Context, p proxy.Proof) (*proxy.Identity, error) {
	user, own, err := u.now(ctx, p.User)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", proxy.ErrUnauthenticated, err)
	}
	if p.Method == proxy.MethodPassword {
		err = u.password(ctx, user, p)
	} else if user == nil || user.Password == "" || p.Verifier != user.Password {
		// The proof counts only against this user's verifier, as it is now.
		err = proxy.ErrUnauthenticated
	}
	if err != nil {
		return nil, err
	}
	if !user.may() {
		return nil, proxy.ErrUnauthenticated
	}
	id := u.proven(user, p.Method)
	if own.Chosen != "" {
		claim(id, ClaimPassword, own.Chosen)
	}
	switch {
	case !own.Factor:
	case !p.Code.Empty():
		if err := u.Owner.Code(ctx, user.Name, p.Code); err != nil {
			return nil, fmt.Errorf("%w: %w", proxy.ErrUnauthenticated, err)
		}
		claim(id, ClaimMethods, MethodsFactor)
	case !slices.Contains(u.PasswordAlone, p.Protocol):
		return nil, ErrFactor
	}
	return id, nil
}

// proven is the identity of a user who has just proven herself.
func (u *Users) proven(user *User, m proxy.Method) *proxy.Identity {
	id := user.identity()
	id.Method, id.AuthTime = m, time.Now()
	if u.Now != nil {
		id.AuthTime = u.Now()
	}
	return id
}

func claim(id *proxy.Identity, name, value string) {
	if id.Claims == nil {
		id.Claims = make(map[string]string)
	}
	id.Claims[name] = value
}

// may reports whether the user may log in now.
func (u *User) may() bool {
	return !u.Disabled && (u.Expires.IsZero() || time.Now().Before(u.Expires))
}

// password checks a password that was sent as it is. Whatever a user has, and for
// somebody who does not exist, the same is computed.
func (u *Users) password(ctx context.Context, user *User, p proxy.Proof) error {
	verifier, hash := scram.Mock(u.mock, p.User), u.hashed
	if hash == nil && u.Owner != nil { // somebody may have chosen a password, which has a hash
		hash = unmatched
	}
	known := user != nil && (user.Password != "" || user.Hash != "")
	if known && user.Password != "" {
		v, err := scram.ParseVerifier(user.Password)
		if err != nil {
			return fmt.Errorf("%w: %w", proxy.ErrUnauthenticated, err)
		}
		verifier = v
	}
	if known && user.Hash != "" {
		h, err := parseHash(user.Hash)
		if err != nil {
			return fmt.Errorf("%w: %w", proxy.ErrUnauthenticated, err)
		}
		hash = h
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

// Lookup returns the definition of the user of that name.
func (u *Users) Lookup(name string) (User, bool) {
	user := u.byName[name]
	if user == nil {
		return User{}, false
	}
	return *user, true
}

// All calls each with the definition of every user.
func (u *Users) All(each func(User)) {
	for _, user := range u.byName {
		each(*user)
	}
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
