package policy

import (
	"slices"
	"time"

	"github.com/sallyport/sallyport/proxy"
)

// A delegated agent may do what the rules about it allow, of what the rules about its human allow her. A rule about humans
// and agents alike says both at once. What differs are rules with Kinds: one about agents alone allows no more than she may do
// herself, and one about humans alone allows an agent nothing, and denies it, and asks of it in return, what it does of her.

// sides are the rules about somebody at a target, whatever their conditions.
type sides struct {
	own   []*compiled // also what those about her human alone deny, and ask for
	human []*compiled // about the human, where rules about the agent alone allow something; nil: own allows nothing that they do not
}

// sides returns the rules about id at t.
func (p *Policy) sides(id *proxy.Identity, t proxy.Target) (s sides) {
	her := id.Human()
	if her == nil {
		s.own = p.about(id, t)
		return s
	}
	more := false
	for _, c := range p.rules {
		its, hers := c.matches(id, t), c.matches(her, t)
		switch {
		case its:
			s.own = append(s.own, c)
			more = more || !hers && len(c.Allow) > 0
		case hers:
			s.own = append(s.own, c.withoutRights())
		}
	}
	if more {
		s.human = append([]*compiled{}, p.about(her, t)...)
	}
	return s
}

// withoutRights is a rule that allows nothing of what c does, and denies and asks for the same.
func (c *compiled) withoutRights() *compiled {
	bare := *c
	bare.allow, bare.words, bare.Allow, bare.Request = grant{}, nil, nil, nil
	bare.whole = &bare
	return &bare
}

// all are the rules of both sides.
func (s sides) all() []*compiled {
	if s.human == nil {
		return s.own
	}
	return slices.Concat(s.own, s.human)
}

// decide works out what the rules of both sides let a session do.
func (s sides) decide(grants Grants, of *proxy.Session, now time.Time, recorded Recording, connected bool) *decision {
	d := decide(s.own, grants, of, of.Identity, now, recorded, connected)
	if s.human != nil {
		d.within(decide(s.human, both(grants, of.Identity), of, of.Identity.Human(), now, recorded, connected))
	}
	return d
}

// within narrows d to what its human may do.
func (d *decision) within(hers *decision) {
	d.human = hers
	d.until = earlier(d.until, hers.until)
	d.granted = append(d.granted, hers.granted...)
	for _, b := range hers.bounds {
		if !slices.ContainsFunc(d.bounds, func(o bound) bool { return o.request == b.request }) {
			d.bounds = append(d.bounds, b)
		}
	}
	// Effects may hang on relations: statement asks both.
	d.allow.kinds &= hers.allow.kinds
	d.allow.files &= hers.allow.files
	d.allow.methods &= hers.allow.methods
	switch {
	case hers.connect == "":
		d.connect, d.request, d.end = "", "", time.Time{}
	case d.request == "":
		d.request, d.end = hers.request, hers.end
	default:
		d.end = earlier(d.end, hers.end)
	}
	switch all := "all"; {
	case slices.Contains(hers.words, all):
	case slices.Contains(d.words, all):
		d.words = hers.words
	default:
		d.words = slices.DeleteFunc(slices.Clone(d.words), func(w string) bool { return !slices.Contains(hers.words, w) })
	}
}

// both returns the grants of a human that count for her agent: hers, but for those that open a number of sessions of her own, and what
// the agent itself was granted of the same rule.
func both(grants Grants, agent *proxy.Identity) Grants {
	if grants == nil {
		return nil
	}
	return eithers{grants, agent}
}

type eithers struct {
	Grants
	agent *proxy.Identity
}

// Granted implements [Grants].
func (e eithers) Granted(s *proxy.Session, id *proxy.Identity, t proxy.Target, rule string) (Grant, bool) {
	if has, ok := e.Grants.Granted(s, e.agent, t, rule); ok {
		has.Opens = false // the agent's own side notes it
		return has, ok
	}
	has, ok := e.Grants.Granted(nil, id, t, rule)
	return has, ok && !has.Opens
}

// watch has changed called when what was granted to a session's user, or to the human that it acts for, changes.
func watch(grants Grants, id *proxy.Identity, changed func(request, why string)) (stop func()) {
	own := grants.Watch(id.Subject, changed)
	if id.Person() == id.Subject {
		return own
	}
	hers := grants.Watch(id.Person(), changed)
	return func() {
		own()
		hers()
	}
}
