// Package offline has access that is granted while a gateway's store and its identity provider are down.
//
// A [Grant] is made beforehand, and sealed by the gateway for which it is. It lets nobody in by itself: in the emergency the gateway says
// in a [Statement] what is to happen now, with the number of this use, and the user of the grant, and several keepers, sign that
// by keys of their own, as ssh-keygen does. A statement counts once, at one gateway, and for a short time.
package offline

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/crypto/ssh"
)

// Bounds of grants and statements.
const (
	MaxLife       = 366 * 24 * time.Hour // of a grant
	DefaultLife   = 90 * 24 * time.Hour
	MaxText       = 16 << 10      // of a grant or a statement, in bytes
	MaxReason     = 1000          // of a statement, in bytes
	StatementLife = 4 * time.Hour // within which it is signed and used
	MaxKeepers    = 32
)

// Grant is what one person may take at one resource.
type Grant struct {
	Version  int       `json:"version"`
	ID       string    `json:"id"`
	Subject  string    `json:"subject"`
	Name     string    `json:"name,omitempty"`
	Groups   []string  `json:"groups,omitempty"` // by which rules know her
	Key      string    `json:"key"`              // hers, as ssh-keygen writes public keys
	Resource string    `json:"resource"`
	Account  string    `json:"account,omitempty"`
	Rule     string    `json:"rule"`
	Actions  []string  `json:"actions"`
	Seconds  int64     `json:"seconds"` // the longest that it may be taken for
	Made     time.Time `json:"made"`
	By       string    `json:"by"` // who has made it
	NotAfter time.Time `json:"not_after"`
}

const version = 1

// For is the longest that it may be taken for.
func (g *Grant) For() time.Duration { return time.Duration(g.Seconds) * time.Second }

// check reports what is wrong with a grant.
func (g *Grant) check() error {
	switch {
	case g.Version != version:
		return fmt.Errorf("it is of version %d, want %d", g.Version, version)
	case g.ID == "" || g.Subject == "" || g.Resource == "" || g.Rule == "" || len(g.Actions) == 0:
		return errors.New("something is missing of it")
	case g.Seconds < 60 || g.Seconds > int64(24*time.Hour/time.Second):
		return fmt.Errorf("it is for %d seconds, want a minute to a day", g.Seconds)
	case !g.NotAfter.After(g.Made) || g.NotAfter.Sub(g.Made) > MaxLife:
		return errors.New("it is not valid for any time, or for too long")
	}
	_, err := ParseKey(g.Key)
	return err
}

// Encode is a grant as it is sealed.
func (g *Grant) Encode() (string, error) {
	g.Version = version
	if err := g.check(); err != nil {
		return "", fmt.Errorf("an offline grant: %w", err)
	}
	b, err := encode(g)
	return string(b), err
}

// DecodeGrant reads a grant whose seal was opened.
func DecodeGrant(text string) (*Grant, error) {
	g := &Grant{}
	if err := decode([]byte(text), g); err != nil {
		return nil, fmt.Errorf("an offline grant: %w", err)
	}
	if err := g.check(); err != nil {
		return nil, fmt.Errorf("an offline grant: %w", err)
	}
	return g, nil
}

// Statement is what people sign: that a grant is used now.
type Statement struct {
	Purpose  string    `json:"purpose"`
	Gateway  string    `json:"gateway"` // the public key of its audit log
	Number   uint64    `json:"number"`  // of this use, from 1 on
	Grant    string    `json:"grant"`   // the hash of the sealed grant
	ID       string    `json:"grant_id"`
	Subject  string    `json:"subject"`
	Resource string    `json:"resource"`
	Account  string    `json:"account,omitempty"`
	Rule     string    `json:"rule"`
	Actions  []string  `json:"actions"`
	Seconds  int64     `json:"seconds"`
	Reason   string    `json:"reason"`
	Begun    time.Time `json:"begun"`
	Expires  time.Time `json:"expires"` // by when it is signed and used
}

// purpose is what a statement says that it is.
const purpose = "access without an approval, by an offline grant, once"

// Hash names a sealed grant.
func Hash(sealed []byte) string {
	sum := sha256.Sum256(sealed)
	return hex.EncodeToString(sum[:])
}

// Begin is the statement by which a grant is used at a gateway, as its number-th use, for a time; 0 is as long as the grant says.
func Begin(g *Grant, sealed []byte, gateway string, number uint64, reason string, length time.Duration, now time.Time) (*Statement, error) {
	if length == 0 {
		length = g.For()
	}
	reason = strings.TrimSpace(reason)
	switch {
	case reason == "" || len(reason) > MaxReason:
		return nil, fmt.Errorf("a reason is needed, of at most %d bytes", MaxReason)
	case !utf8.ValidString(reason) || strings.ContainsFunc(reason, func(r rune) bool { return !unicode.IsPrint(r) }):
		return nil, errors.New("the reason has to be one line, of what can be seen: people read it who sign") // nothing that turns or hides text
	case length < time.Minute || length > g.For():
		return nil, fmt.Errorf("got a time of %s, want a minute to %s, which the grant is for", length, g.For())
	}
	now = now.UTC().Truncate(time.Second)
	return &Statement{
		Purpose: purpose, Gateway: gateway, Number: number, Grant: Hash(sealed), ID: g.ID, Subject: g.Subject, Resource: g.Resource, Account: g.Account,
		Rule: g.Rule, Actions: slices.Clone(g.Actions), Seconds: int64(length / time.Second), Reason: reason, Begun: now, Expires: now.Add(StatementLife),
	}, nil
}

// For is for how long access is taken.
func (s *Statement) For() time.Duration { return time.Duration(s.Seconds) * time.Second }

// Encode is a statement as it is signed.
func (s *Statement) Encode() ([]byte, error) { return encode(s) }

// DecodeStatement reads a statement of a grant's use at a gateway, as its number-th. It has to be what Begin has made within the
// last hours, to the byte.
func DecodeStatement(text []byte, g *Grant, sealed []byte, gateway string, number uint64, now time.Time) (*Statement, error) {
	bad := func(why string) error { return errors.New("the statement " + why + ": begin again") }
	s := &Statement{}
	if err := decode(text, s); err != nil {
		return nil, fmt.Errorf("the statement: %w", err)
	}
	switch {
	case s.Gateway != gateway:
		return nil, bad("is for another gateway")
	case s.Grant != Hash(sealed):
		return nil, bad("is of another grant")
	case s.Number != number:
		return nil, bad(fmt.Sprintf("is that of use %d, and the next one is %d", s.Number, number))
	case now.Before(s.Begun.Add(-time.Minute)):
		return nil, bad("was made later than it is now: a clock was set back")
	case !now.Before(s.Expires):
		return nil, bad("has expired at " + s.Expires.Format(time.RFC3339))
	}
	want, err := Begin(g, sealed, gateway, number, s.Reason, s.For(), s.Begun)
	if err != nil {
		return nil, fmt.Errorf("the statement: %w", err)
	}
	if again, err := want.Encode(); err != nil || !bytes.Equal(again, text) {
		return nil, bad("was changed")
	}
	return s, nil
}

// Keeper is somebody who says whether a grant may be used, by a key of hers.
type Keeper struct {
	Name string // her subject
	Key  ssh.PublicKey
}

// Signed returns the keepers who have signed a statement, by their names. The user of the grant has to have signed it, too, and
// as many keepers as are needed; she does not count as one.
func Signed(statement []byte, signatures [][]byte, g *Grant, keepers []Keeper, need int) ([]string, error) {
	own, err := ParseKey(g.Key)
	if err != nil {
		return nil, err
	}
	if len(signatures) > MaxKeepers+1 {
		return nil, fmt.Errorf("got %d signatures, want at most %d", len(signatures), MaxKeepers+1)
	}
	hers := false
	var by []string
	for _, signature := range signatures {
		key, err := signer(statement, signature)
		if err != nil {
			return nil, err
		}
		if same(key, own) {
			hers = true
			continue
		}
		i := slices.IndexFunc(keepers, func(k Keeper) bool { return same(k.Key, key) })
		switch {
		case i < 0:
			return nil, fmt.Errorf("the key %s has signed, and belongs to none of the keepers", ssh.FingerprintSHA256(key))
		case keepers[i].Name == g.Subject || slices.Contains(by, keepers[i].Name):
			continue // one person is one keeper, and nobody hers
		}
		by = append(by, keepers[i].Name)
	}
	slices.Sort(by)
	need = max(need, 1)
	switch {
	case !hers:
		return nil, fmt.Errorf("%s has not signed it, by the key that the grant names", g.Subject)
	case len(by) < need:
		return nil, fmt.Errorf("%d of the keepers have signed it, and %d have to", len(by), need)
	}
	return by, nil
}

func same(a, b ssh.PublicKey) bool { return bytes.Equal(a.Marshal(), b.Marshal()) }

// encode is v as people read it: one thing on a line.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	if b.Len() > MaxText {
		return nil, fmt.Errorf("got %d bytes, want at most %d", b.Len(), MaxText)
	}
	return b.Bytes(), nil
}

func decode(text []byte, v any) error {
	if len(text) > MaxText {
		return fmt.Errorf("got %d bytes, want at most %d", len(text), MaxText)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return errors.New("it cannot be read")
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows it")
	}
	return nil
}
