package review

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// claimFactors is the claim of an identity with what it was proven by, as RFC 8176 names it, with spaces between.
const claimFactors = "amr"

// Proof is how those who approve must have proven who they are. The zero Proof is any way.
type Proof struct {
	// Factors are what she has proven it with, as RFC 8176 names it, such as "otp" or "hwk": one of them.
	Factors []string `json:"factors,omitempty"`
	// Within is how many seconds ago that was at most; 0 is any time.
	Within int64 `json:"within,omitempty"`
}

// given reports whether the proof asks for anything.
func (p *Proof) given() bool { return p != nil && (len(p.Factors) > 0 || p.Within > 0) }

// equal reports whether two proofs ask for the same.
func (p *Proof) equal(o *Proof) bool {
	if !p.given() || !o.given() {
		return p.given() == o.given()
	}
	return p.Within == o.Within && slices.Equal(p.Factors, o.Factors)
}

// within is how long ago the proof was at most.
func (p *Proof) within() time.Duration { return time.Duration(p.Within) * time.Second }

// by reports why who votes has not proven herself well enough. What is not known of her counts against her.
func (p *Proof) by(v *Vote, now time.Time) error {
	who := v.By
	switch {
	case !p.given():
		return nil
	case !v.Proven:
		return fmt.Errorf("%w: want %s: approve where you log in, and not in a chat", ErrProof, p)
	}
	has := strings.Fields(who.Claims[claimFactors])
	if len(p.Factors) > 0 && !slices.ContainsFunc(p.Factors, func(f string) bool { return slices.Contains(has, f) }) {
		with := "nothing that is known"
		if len(has) > 0 {
			with = strings.Join(has, " and ")
		}
		return fmt.Errorf("%w: got a login with %s, want one with %s", ErrProof, with, strings.Join(p.Factors, " or "))
	}
	if p.Within > 0 && (who.AuthTime.IsZero() || !now.Before(who.AuthTime.Add(p.within()))) {
		return fmt.Errorf("%w: want a login of the last %s: prove yourself again, and approve then", ErrProof, p.within())
	}
	return nil
}

// String says what is wanted: "a login with otp of the last 15m".
func (p *Proof) String() string {
	text := "a login"
	if len(p.Factors) > 0 {
		text += " with " + strings.Join(p.Factors, " or ")
	}
	if p.Within > 0 {
		text += " of the last " + p.within().String()
	}
	return text
}
