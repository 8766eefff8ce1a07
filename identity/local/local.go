// Package local keeps what local users set up themselves: a password of their own choice in
// place of the one that the configuration says, and a second factor.
package local

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/identity/totp"
	"github.com/sallyport/sallyport/proxy"
)

// Kind is the kind of the documents of this package.
const Kind = "local-credential"

// Credentials keeps what users have set up. It is an [identity.Owner], safe for concurrent use,
// also by several gateways on the same documents. Its fields are set before it is used.
type Credentials struct {
	Documents identity.Documents
	// Sealer seals choices, so that who can write documents gives nobody a password.
	Sealer identity.Sealer
	Codes  *totp.Codes
	// Changed is told whose sessions are to be looked at again; nil tells nobody.
	Changed func(identity.Change)
	Now     func() time.Time
}

// Called returns the same credentials, of which apps show issuer besides the user's name.
func (c *Credentials) Called(issuer string) *Credentials {
	own, codes := *c, *c.Codes
	codes.Issuer = issuer
	own.Codes = &codes
	return &own
}

// choice is what a user has chosen.
type choice struct {
	ID       string    `json:"id"`
	Over     string    `json:"over"` // digest of what her definition said then
	Password string    `json:"password,omitempty"`
	Hash     string    `json:"hash"`
	Made     time.Time `json:"made"`
}

// kept is a document.
type kept struct {
	Sealed []byte `json:"sealed"`
}

// Document is the name of the documents about a user, of this package and of totp: her own name
// may hold what no document's does.
func Document(user string) string {
	sum := sha256.Sum256([]byte(user))
	return hex.EncodeToString(sum[:])
}

func purpose(user string) string { return "password of " + user }

func digest(password, hash string) string {
	sum := sha256.Sum256([]byte(password + "\x00" + hash))
	return hex.EncodeToString(sum[:])
}

// get returns what a user has chosen; nil when that is nothing.
func (c *Credentials) get(ctx context.Context, user string) (identity.Document, *choice, error) {
	d, err := c.Documents.Get(ctx, Kind, Document(user))
	if errors.Is(err, identity.ErrNoDocument) {
		return identity.Document{Name: Document(user)}, nil, nil
	}
	if err != nil {
		return d, nil, err
	}
	var k kept
	if err := json.Unmarshal(d.Body, &k); err != nil {
		return d, nil, fmt.Errorf("the password that %s has chosen cannot be read", user)
	}
	plain, err := c.Sealer.Open(k.Sealed, purpose(user))
	if err != nil {
		return d, nil, fmt.Errorf("the password that %s has chosen: %w", user, err)
	}
	own := &choice{}
	if err := json.Unmarshal(plain, own); err != nil {
		return d, nil, fmt.Errorf("the password that %s has chosen cannot be read", user)
	}
	return d, own, nil
}

// Own implements [identity.Owner]. A password that was chosen in place of another than the
// definition says does not count: the operator has given the user a new one since.
func (c *Credentials) Own(ctx context.Context, user, password, hash string) (identity.Own, error) {
	_, chosen, err := c.get(ctx, user)
	if err != nil {
		return identity.Own{}, err
	}
	var own identity.Own
	if own.Factor, err = c.Codes.Enrolled(ctx, user); err != nil {
		return identity.Own{}, err
	}
	if chosen != nil && chosen.Over == digest(password, hash) {
		own.Chosen, own.Password, own.Hash = chosen.ID, chosen.Password, chosen.Hash
	}
	return own, nil
}

// Code implements [identity.Owner].
func (c *Credentials) Code(ctx context.Context, user string, code proxy.Secret) error {
	return c.Codes.Verify(ctx, user, code.Reveal())
}

// Bounds of passwords that are chosen.
const (
	MinPassword = 12 // characters
	MaxPassword = 256
)

// Valid reports whether a user may choose a password.
func Valid(user, password string) error {
	switch {
	case !utf8.ValidString(password) || strings.ContainsFunc(password, unicode.IsControl):
		return errors.New("a password is text without control characters")
	case utf8.RuneCountInString(password) < MinPassword || len(password) > MaxPassword:
		return fmt.Errorf("a password has at least %d characters, and at most %d bytes", MinPassword, MaxPassword)
	case strings.Contains(strings.ToLower(password), strings.ToLower(user)):
		return errors.New("a password does not hold the user's name")
	}
	seen := make(map[rune]bool)
	for _, r := range password {
		seen[r] = true
	}
	if len(seen) < 5 {
		return errors.New("a password has at least 5 different characters")
	}
	return nil
}

// ErrNoPassword says that a user's definition gives her no password that she could change.
var ErrNoPassword = errors.New("this user has no password here: the operator gives the first one")

// ErrChanged says that something was changed by another request meanwhile.
var ErrChanged = errors.New("it was changed by another request meanwhile: begin again")

// Choose makes password the one of a user in place of the one that has just proven her, which
// before names as her identity does in identity.ClaimPassword. Her password can be used in the
// ways that her definition's can.
func (c *Credentials) Choose(ctx context.Context, user identity.User, before string, password proxy.Secret) error {
	if user.Password == "" && user.Hash == "" {
		return ErrNoPassword
	}
	if err := Valid(user.Name, password.Reveal()); err != nil {
		return err
	}
	own := choice{ID: id(), Over: digest(user.Password, user.Hash), Made: c.now().UTC().Truncate(time.Second)}
	var err error
	if own.Hash, err = identity.Hash(ctx, password.Reveal()); err != nil {
		return err
	}
	if user.Password != "" {
		if own.Password, err = identity.NewVerifier(password.Reveal()); err != nil {
			return err
		}
	}
	d, was, err := c.get(ctx, user.Name)
	if err != nil {
		return err
	}
	if was != nil && was.Over == own.Over && was.ID != before || (was == nil || was.Over != own.Over) && before != "" {
		return ErrChanged
	}
	plain, err := json.Marshal(own)
	if err != nil {
		return err
	}
	sealed, err := c.Sealer.Seal(plain, purpose(user.Name))
	if err != nil {
		return err
	}
	if d.Body, err = json.Marshal(kept{sealed}); err != nil {
		return err
	}
	if _, err := c.Documents.Write(ctx, Kind, d); errors.Is(err, identity.ErrConflict) {
		return ErrChanged
	} else if err != nil {
		return fmt.Errorf("keeping the password of %s: %w", user.Name, err)
	}
	c.tell(user.Name)
	return nil
}

// Chosen returns when a user has chosen the password that counts; zero when her definition's
// does.
func (c *Credentials) Chosen(ctx context.Context, user identity.User) (time.Time, error) {
	_, own, err := c.get(ctx, user.Name)
	if err != nil || own == nil || own.Over != digest(user.Password, user.Hash) {
		return time.Time{}, err
	}
	return own.Made, nil
}

// Drop forgets what users have chosen in place of another password than their definitions say,
// and returns whose that was: when an operator takes his new password back, what was chosen
// before it stays forgotten.
func (c *Credentials) Drop(ctx context.Context, users *identity.Users) (dropped []string, err error) {
	users.All(func(user identity.User) {
		d, own, bad := c.get(ctx, user.Name)
		if bad == nil && own != nil && own.Over != digest(user.Password, user.Hash) {
			d.Body = nil
			if _, bad = c.Documents.Write(ctx, Kind, d); bad == nil {
				dropped = append(dropped, user.Name)
				c.tell(user.Name)
			} else if errors.Is(bad, identity.ErrConflict) {
				bad = nil // she has chosen another one just now
			}
		}
		err = errors.Join(err, bad)
	})
	return dropped, err
}

// Confirm has the key of Codes.Enroll count, by a code of it, and returns recovery codes. From
// then on a password alone does not prove the user.
func (c *Credentials) Confirm(ctx context.Context, user, code string) ([]proxy.Secret, error) {
	codes, err := c.Codes.Confirm(ctx, user, code)
	if err == nil {
		c.tell(user)
	}
	return codes, err
}

func (c *Credentials) tell(user string) {
	if c.Changed != nil {
		c.Changed(identity.Change{Subject: user, Reason: "the way in which you prove yourself has changed"})
	}
}

func (c *Credentials) now() time.Time {
	if c.Now != nil {
		return c.Now()
	}
	return time.Now()
}

func id() string {
	b := make([]byte, 8)
	rand.Read(b)
	return hex.EncodeToString(b)
}
