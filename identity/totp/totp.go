// Package totp is a second factor by codes that an app on a phone shows (RFC 6238), for
// step-up and for accounts that have to work when the identity provider does not.
package totp

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/proxy"
)

// Kind is the kind of the documents of this package.
const Kind = "totp"

const (
	period   = 30 // seconds
	digits   = 6
	around   = 1 // steps by which the phone's clock may differ
	keyBytes = 20
)

// code returns the code of a step.
func code(key []byte, step uint64) string {
	m := hmac.New(sha1.New, key) // the one that every app knows; HMAC does not need more of it
	m.Write(binary.BigEndian.AppendUint64(nil, step))
	sum := m.Sum(nil)
	n := binary.BigEndian.Uint32(sum[sum[len(sum)-1]&0xf:]) & 0x7fffffff
	return fmt.Sprintf("%0*d", digits, n%1_000_000)
}

// Codes keeps and checks second factors. It is safe for concurrent use, also by several
// gateways on the same documents: a code counts once on all of them. Its fields are set
// before it is used.
type Codes struct {
	Documents identity.Documents
	// Sealer seals the keys.
	Sealer identity.Sealer
	// Issuer is what the app shows besides the user's name.
	Issuer string
	Now    func() time.Time
}

// kept is a user's document.
type kept struct {
	Key       []byte    `json:"key"` // sealed
	Confirmed bool      `json:"confirmed"`
	Last      uint64    `json:"last"` // the step of the code that counted last
	Failures  int       `json:"failures,omitempty"`
	Wait      time.Time `json:"wait,omitzero"` // until then no code is looked at
}

// Errors of Codes. All wrap proxy.ErrUnauthenticated.
var (
	ErrNotEnrolled = fmt.Errorf("%w: no second factor is set up", proxy.ErrUnauthenticated)
	ErrWrong       = fmt.Errorf("%w: the code is wrong, or was used", proxy.ErrUnauthenticated)
	ErrWait        = fmt.Errorf("%w: too many codes were wrong: wait before the next", proxy.ErrUnauthenticated)
)

// After freeFailures wrong codes the next waits, from firstWait on twice as long each
// time. A thousand guesses at a code take more than a week, and match one in three
// hundred.
const (
	freeFailures = 4
	firstWait    = 30 * time.Second
	maxWait      = 15 * time.Minute
)

func (c *Codes) now() time.Time {
	if c.Now != nil {
		return c.Now()
	}
	return time.Now()
}

func name(subject string) string {
	sum := sha256.Sum256([]byte(subject))
	return hex.EncodeToString(sum[:])
}

func purpose(subject string) string { return "totp " + subject }

func (c *Codes) get(ctx context.Context, subject string) (d identity.Document, k kept, err error) {
	if d, err = c.Documents.Get(ctx, Kind, name(subject)); err != nil {
		return d, k, err
	}
	if err := json.Unmarshal(d.Body, &k); err != nil {
		return d, k, fmt.Errorf("the second factor of %s cannot be read", subject)
	}
	return d, k, nil
}

func (c *Codes) write(ctx context.Context, d identity.Document, k kept) error {
	var err error
	if d.Body, err = json.Marshal(k); err != nil {
		return err
	}
	_, err = c.Documents.Write(ctx, Kind, d)
	return err
}

// Enroll makes a new key, and returns the address that an app reads, as a picture or
// typed. The key does not count before Confirm. One that counts stays until then.
func (c *Codes) Enroll(ctx context.Context, subject, account string) (proxy.Secret, error) {
	d, k, err := c.get(ctx, subject)
	if err != nil && !errors.Is(err, identity.ErrNoDocument) {
		return proxy.Secret{}, err
	}
	if k.Confirmed {
		return proxy.Secret{}, errors.New("a second factor is set up: remove it first")
	}
	key := make([]byte, keyBytes)
	rand.Read(key)
	// Failures stay: who enrolls anew has no more guesses.
	if k.Key, err = c.Sealer.Seal(key, purpose(subject)); err != nil {
		return proxy.Secret{}, err
	}
	d.Name = name(subject)
	if err := c.write(ctx, d, k); err != nil {
		return proxy.Secret{}, err
	}
	q := url.Values{
		"secret": {base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(key)}, "issuer": {c.Issuer},
		"algorithm": {"SHA1"}, "digits": {fmt.Sprint(digits)}, "period": {fmt.Sprint(period)},
	}
	u := url.URL{Scheme: "otpauth", Host: "totp", Path: "/" + c.Issuer + ":" + account, RawQuery: q.Encode()}
	return proxy.NewSecret(u.String()), nil
}

// Confirm has the key of Enroll count, by a code of it.
func (c *Codes) Confirm(ctx context.Context, subject, text string) error {
	return c.check(ctx, subject, text, true)
}

// Verify returns nil when a code is the user's, of now, and was not used. Its error wraps
// proxy.ErrUnauthenticated when it is not.
func (c *Codes) Verify(ctx context.Context, subject, text string) error {
	return c.check(ctx, subject, text, false)
}

// Enrolled reports whether a user has a second factor.
func (c *Codes) Enrolled(ctx context.Context, subject string) (bool, error) {
	_, k, err := c.get(ctx, subject)
	if errors.Is(err, identity.ErrNoDocument) {
		return false, nil
	}
	return k.Confirmed, err
}

// Remove takes a user's second factor away.
func (c *Codes) Remove(ctx context.Context, subject string) error {
	for {
		d, _, err := c.get(ctx, subject)
		if err != nil {
			return err
		}
		d.Body = nil
		if _, err = c.Documents.Write(ctx, Kind, d); !errors.Is(err, identity.ErrConflict) {
			return err
		}
	}
}

func (c *Codes) check(ctx context.Context, subject, text string, confirm bool) error {
	d, k, err := c.get(ctx, subject)
	if errors.Is(err, identity.ErrNoDocument) || err == nil && k.Confirmed == confirm {
		return ErrNotEnrolled
	}
	if err != nil {
		return err
	}
	now := c.now()
	if now.Before(k.Wait) {
		return ErrWait
	}
	key, err := c.Sealer.Open(k.Key, purpose(subject))
	if err != nil {
		return err
	}
	right := false
	for step := uint64(now.Unix()/period) - around; step <= uint64(now.Unix()/period)+around; step++ {
		if subtle.ConstantTimeCompare([]byte(code(key, step)), []byte(text)) == 1 && step > k.Last {
			right, k.Last = true, step
			break
		}
	}
	if right {
		k.Failures, k.Wait, k.Confirmed = 0, time.Time{}, true
	} else if k.Failures++; k.Failures > freeFailures {
		k.Wait = now.Add(min(firstWait<<min(k.Failures-freeFailures-1, 10), maxWait))
	}
	// What is not kept did not count: of two that use one code, or guess at once, one is
	// looked at.
	if err := c.write(ctx, d, k); errors.Is(err, identity.ErrConflict) {
		return ErrWrong
	} else if err != nil {
		return err
	}
	if !right {
		return ErrWrong
	}
	return nil
}
