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
	"slices"
	"strings"
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
	Since     time.Time `json:"since,omitzero"` // confirmed; before that, when the key was made
	Last      uint64    `json:"last"`           // the step of the code that counted last
	Used      time.Time `json:"used,omitzero"`  // when it counted
	// Recovery are the hashes of codes that count once each, in the place of one of the app.
	Recovery [][]byte  `json:"recovery,omitempty"`
	Failures int       `json:"failures,omitempty"`
	Wait     time.Time `json:"wait,omitzero"` // until then no code is looked at
}

// ErrEnrolled says that a user has a second factor, which is not replaced unseen.
var ErrEnrolled = errors.New("a second factor is set up: remove it first")

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

// A key is confirmed soon after it was made, or forgotten.
const (
	confirmWithin = 10 * time.Minute
	forgetAfter   = 24 * time.Hour
)

// Recovery codes have 80 random bits, so that a plain hash of one tells nobody what it is.
const (
	recoveryCodes = 10
	recoveryBytes = 10
)

var base = base32.StdEncoding.WithPadding(base32.NoPadding)

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
	if d.Expires = (time.Time{}); !k.Confirmed {
		d.Expires = k.Since.Add(forgetAfter)
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
		return proxy.Secret{}, ErrEnrolled
	}
	key := make([]byte, keyBytes)
	rand.Read(key)
	// Failures stay: who enrolls anew has no more guesses.
	if k.Key, err = c.Sealer.Seal(key, purpose(subject)); err != nil {
		return proxy.Secret{}, err
	}
	k.Since = c.now()
	d.Name = name(subject)
	if err := c.write(ctx, d, k); err != nil {
		return proxy.Secret{}, err
	}
	q := url.Values{
		"secret": {base.EncodeToString(key)}, "issuer": {c.Issuer},
		"algorithm": {"SHA1"}, "digits": {fmt.Sprint(digits)}, "period": {fmt.Sprint(period)},
	}
	u := url.URL{Scheme: "otpauth", Host: "totp", Path: "/" + c.Issuer + ":" + account, RawQuery: q.Encode()}
	return proxy.NewSecret(u.String()), nil
}

// Confirm has the key of Enroll count, by a code of it, and returns recovery codes, which are
// kept as hashes only: each counts once where the app is lost.
func (c *Codes) Confirm(ctx context.Context, subject, text string) ([]proxy.Secret, error) {
	codes, hashes := newRecovery(subject)
	err := c.check(ctx, subject, text, func(k *kept) error {
		if k.Confirmed || c.now().Sub(k.Since) >= confirmWithin {
			return ErrNotEnrolled
		}
		return nil
	}, func(k *kept) { k.Confirmed, k.Since, k.Recovery = true, c.now(), hashes })
	if err != nil {
		return nil, err
	}
	return codes, nil
}

// Verify returns nil when a code is the user's, of now, and was not used, or one of her
// recovery codes. Its error wraps proxy.ErrUnauthenticated when it is not.
func (c *Codes) Verify(ctx context.Context, subject, text string) error {
	return c.check(ctx, subject, text, confirmed, func(*kept) {})
}

// Recover returns other recovery codes in place of those before, to a user who has just proven
// herself.
func (c *Codes) Recover(ctx context.Context, subject string) ([]proxy.Secret, error) {
	codes, hashes := newRecovery(subject)
	for {
		d, k, err := c.get(ctx, subject)
		if errors.Is(err, identity.ErrNoDocument) {
			return nil, ErrNotEnrolled
		}
		if err == nil {
			err = confirmed(&k)
		}
		if err != nil {
			return nil, err
		}
		k.Recovery = hashes
		if err = c.write(ctx, d, k); errors.Is(err, identity.ErrConflict) {
			continue
		}
		return codes, err
	}
}

func confirmed(k *kept) error {
	if !k.Confirmed {
		return ErrNotEnrolled
	}
	return nil
}

// newRecovery makes recovery codes, in groups that people can read, and their hashes.
func newRecovery(subject string) (codes []proxy.Secret, hashes [][]byte) {
	for range recoveryCodes {
		b := make([]byte, recoveryBytes)
		rand.Read(b)
		text := strings.ToLower(base.EncodeToString(b))
		codes = append(codes, proxy.NewSecret(text[:4]+"-"+text[4:8]+"-"+text[8:12]+"-"+text[12:]))
		hashes = append(hashes, recoveryHash(subject, text))
	}
	return codes, hashes
}

func recoveryHash(subject, text string) []byte {
	sum := sha256.Sum256([]byte("recovery " + subject + "\x00" + text))
	return sum[:]
}

// Status is what is known of a user's second factor.
type Status struct {
	Enrolled bool
	Since    time.Time
	Used     time.Time // a code counted last
	Recovery int       // recovery codes that are left
}

// Status returns whether a user has a second factor, and since when.
func (c *Codes) Status(ctx context.Context, subject string) (Status, error) {
	_, k, err := c.get(ctx, subject)
	if errors.Is(err, identity.ErrNoDocument) || err == nil && !k.Confirmed {
		return Status{}, nil
	}
	return Status{k.Confirmed, k.Since, k.Used, len(k.Recovery)}, err
}

// Enrolled reports whether a user has a second factor.
func (c *Codes) Enrolled(ctx context.Context, subject string) (bool, error) {
	s, err := c.Status(ctx, subject)
	return s.Enrolled, err
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

// check looks at a code of a user, unless may refuses her document, and keeps what then makes of
// the document when the code is right.
func (c *Codes) check(ctx context.Context, subject, text string, may func(*kept) error, then func(*kept)) error {
	d, k, err := c.get(ctx, subject)
	if errors.Is(err, identity.ErrNoDocument) {
		return ErrNotEnrolled
	}
	if err == nil {
		err = may(&k)
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
	right := k.counts(key, uint64(now.Unix()/period), text) || k.recovers(subject, text)
	if right {
		k.Failures, k.Wait, k.Used = 0, time.Time{}, now
		then(&k)
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

// counts reports whether a code is one of now that was not used, and has it not count again.
// All codes of now are compared, whichever it is.
func (k *kept) counts(key []byte, now uint64, text string) bool {
	var right uint64
	for step := now - around; step <= now+around; step++ {
		if same := subtle.ConstantTimeCompare([]byte(code(key, step)), []byte(text)); step > k.Last {
			right = max(right, uint64(same)*step)
		}
	}
	if right == 0 {
		return false
	}
	k.Last = right
	return true
}

// recovers reports whether a code is a recovery code that is left, and takes it away.
func (k *kept) recovers(subject, text string) bool {
	text = strings.ToLower(strings.ReplaceAll(text, "-", ""))
	sum, at := recoveryHash(subject, text), -1
	for i, h := range k.Recovery {
		if subtle.ConstantTimeCompare(h, sum) == 1 {
			at = i
		}
	}
	if at < 0 || !k.Confirmed {
		return false
	}
	k.Recovery = slices.Delete(slices.Clone(k.Recovery), at, at+1)
	return true
}
