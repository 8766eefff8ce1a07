package proxy

import (
	"context"
	"errors"
)

// waits counts sessions whose users wait to be let in. They hold none of the places of open sessions, which are for those who work; as
// many may wait as may be open. Gateway.mu is held.
type waits struct {
	all      int
	subjects map[string]int
}

var errTooManyWait = errors.New("too many connections wait for an approval already: close one, or connect again when the request is approved")

// stepAside has a session hold no place while its user waits to be let in.
func (g *Gateway) stepAside(s *Session) error {
	limits, subject := g.Revision().Limits, s.Identity.Subject
	g.mu.Lock()
	w := &g.waits
	if limits.MaxSessions > 0 && w.all >= limits.MaxSessions || limits.MaxPerIdentity > 0 && w.subjects[subject] >= limits.MaxPerIdentity {
		g.mu.Unlock()
		return errTooManyWait
	}
	if w.subjects == nil {
		w.subjects = make(map[string]int)
	}
	w.all++
	w.subjects[subject]++
	g.mu.Unlock()
	if s.vacate != nil {
		s.vacate()
		s.vacate = nil
	}
	return nil
}

// stepBack ends what stepAside began. A session that is let in takes a place again, if there is one; one that is not is closed soon.
func (g *Gateway) stepBack(ctx context.Context, s *Session, in bool) error {
	limits, subject := g.Revision().Limits, s.Identity.Subject
	g.mu.Lock()
	full := in && g.full(subject, limits)
	w := &g.waits
	w.all--
	if w.subjects[subject]--; w.subjects[subject] == 0 {
		delete(w.subjects, subject)
	}
	g.mu.Unlock()
	if full {
		return ErrTooMany
	}
	if !in {
		return nil
	}
	return g.place(ctx, s, limits)
}

// full reports whether there is no place for one more session of a subject. g.mu is held.
func (g *Gateway) full(subject string, limits Limits) bool {
	return limits.MaxSessions > 0 && len(g.sessions)-g.waits.all >= limits.MaxSessions ||
		limits.MaxPerIdentity > 0 && g.subjects[subject]-g.waits.subjects[subject] >= limits.MaxPerIdentity
}

// place takes a session's place where a person's sessions are counted that are elsewhere, too.
func (g *Gateway) place(ctx context.Context, s *Session, limits Limits) error {
	if g.Places == nil || limits.MaxPerIdentity == 0 {
		return nil
	}
	leave, err := g.Places.Enter(ctx, s.Identity.Subject, limits.MaxPerIdentity)
	s.vacate = leave
	if err == nil || errors.Is(err, ErrTooMany) {
		return err
	}
	// A person who cannot log in anywhere, because the store does not answer, is worse than one
	// who has more sessions for a while.
	g.log().Warn("a person's sessions at other gateways are not known: those here count alone", "subject", s.Identity.Subject, "err", err)
	return nil
}
