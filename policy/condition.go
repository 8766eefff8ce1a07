package policy

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/hours"
	"github.com/sallyport/sallyport/proxy"
)

// Hours are a part of the week, by the clock on the wall of a place.
type Hours = hours.Hours

// Condition says when a rule applies. Everything that is given must hold; of a list, one.
// The zero Condition holds always.
type Condition struct {
	Hours    []Hours
	Networks []netip.Prefix // that the client connects from
	// LoginWithin is how long ago the user may have proven who she is. 0 is any time.
	LoginWithin time.Duration
	Methods     []proxy.Method // by which she did
}

// given reports whether the condition says anything.
func (c *Condition) given() bool {
	return len(c.Hours)+len(c.Networks)+len(c.Methods) > 0 || c.LoginWithin != 0
}

func (c *Condition) validate() error {
	var errs []error
	for i := range c.Hours {
		if err := c.Hours[i].Validate(); err != nil {
			errs = append(errs, err)
		}
	}
	for _, n := range c.Networks {
		if !n.IsValid() {
			errs = append(errs, errors.New("a network is empty: want an address and a length, such as 10.0.0.0/8"))
		} else if n != n.Masked() {
			errs = append(errs, fmt.Errorf("network %s has bits after its length: want %s", n, n.Masked()))
		}
	}
	if c.LoginWithin < 0 {
		errs = append(errs, fmt.Errorf("a login cannot be %s old: want a time of more than 0", c.LoginWithin))
	}
	for _, m := range c.Methods {
		if m == proxy.MethodNone || m.String() == "none" {
			errs = append(errs, errors.New("a login has a method: want one such as oidc or certificate"))
		}
	}
	return errors.Join(errs...)
}

// answer is whether a condition holds. It orders from no to yes.
type answer uint8

const (
	no      answer = iota
	unknown        // what it asks about is not known of the session
	yes
)

func answerOf(b bool) answer {
	if b {
		return yes
	}
	return no
}

// scene is what conditions are about.
type scene struct {
	identity *proxy.Identity
	from     netip.Addr // not valid when it is not known
	now      time.Time
}

func sceneOf(s *proxy.Session, now time.Time) scene {
	return scene{s.Identity, addressOf(s.Remote), now}
}

func addressOf(a net.Addr) netip.Addr {
	if a == nil {
		return netip.Addr{}
	}
	at, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.Addr{}
	}
	return at.Addr().Unmap().WithZone("")
}

// holds reports whether the condition holds, and until when that is certain: zero is for
// ever.
func (c *Condition) holds(s *scene) (a answer, until time.Time) {
	a = yes
	if len(c.Hours) > 0 {
		within := false
		for i := range c.Hours {
			within = within || c.Hours[i].Contains(s.now)
			until = earlier(until, c.Hours[i].Until(s.now))
		}
		a = answerOf(within)
	}
	if len(c.Networks) > 0 {
		if s.from.IsValid() {
			a = min(a, answerOf(slices.ContainsFunc(c.Networks, func(n netip.Prefix) bool { return n.Contains(s.from) })))
		} else {
			a = min(a, unknown)
		}
	}
	if c.LoginWithin > 0 {
		switch end := s.identity.AuthTime.Add(c.LoginWithin); {
		case s.identity.AuthTime.IsZero():
			a = min(a, unknown)
		case s.now.Before(end):
			until = earlier(until, end)
		default:
			a = no
		}
	}
	if len(c.Methods) > 0 {
		if s.identity.Method == proxy.MethodNone {
			a = min(a, unknown)
		} else {
			a = min(a, answerOf(slices.Contains(c.Methods, s.identity.Method)))
		}
	}
	return a, until
}

// earlier is the earlier of two times, of which zero is never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// words say what a session needs for the condition, for users. Networks are not listed.
func (c *Condition) words() string {
	var list []string
	if len(c.Hours) > 0 {
		var hs []string
		for i := range c.Hours {
			hs = append(hs, c.Hours[i].String())
		}
		list = append(list, "during "+alternatives(hs, "or"))
	}
	if len(c.Networks) > 0 {
		list = append(list, "from certain networks")
	}
	if c.LoginWithin > 0 {
		list = append(list, "within "+hours.Length(c.LoginWithin)+" of a login")
	}
	if len(c.Methods) > 0 {
		var ms []string
		for _, m := range c.Methods {
			ms = append(ms, m.String())
		}
		list = append(list, "with a login by "+alternatives(ms, "or"))
	}
	return strings.Join(list, ", ")
}
