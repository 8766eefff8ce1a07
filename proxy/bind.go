package proxy

import (
	"context"
	"errors"
)

// Bind shows the values that are about to be bound to st's parameters to the interceptors
// that want them, which may replace some. It returns nil, or a refusal:
// nothing may be bound then, and Done was told of st, as of every refusal.
func (s *Session) Bind(ctx context.Context, st *Statement) *Verdict {
	for _, h := range s.chain.Load().binds {
		err := s.Protect(h.name, func() error { return h.Bind(ctx, st) })
		if err == nil {
			continue
		}
		v := Deny(CauseInternal, "", "these parameters are refused, because "+h.name+" cannot look at them; the gateway's log says why", "")
		var refused *RefusedError
		if errors.As(err, &refused) && refused.Verdict.Refuses() {
			v = refused.Verdict
		} else {
			s.gateway.log().Warn("parameters refused", "by", h.name, "session", s.ID, "err", err)
		}
		s.refuse(st, Meta{Kind: st.Kind, verdict: v, by: h.name})
		return &v
	}
	return nil
}

// WantsBind reports whether Bind has anything to ask.
func (s *Session) WantsBind() bool { return len(s.chain.Load().binds) > 0 }

// Redacted returns what records hold of op in the place of what it says; nil is as it is.
// Recorders ask it in Start, and in Done of what was refused.
func (s *Session) Redacted(ctx context.Context, op Op) *Redacted {
	if u := s.Undo(); u != nil && op.Info().Kind == KindStatement {
		return &Redacted{Text: []byte(u.Record)} // its values are not the client's
	}
	for _, h := range s.chainOf(op).redacts {
		var r *Redacted
		if err := s.Protect(h.name, func() error { r = h.Redact(ctx, op); return nil }); err != nil {
			s.Kill(err)
			return &Redacted{}
		}
		if r != nil {
			return r
		}
	}
	return nil
}

// Concealed returns what approvers read of op in the place of what it says; nil is as it is. Reviewers ask it in Request.
func (s *Session) Concealed(ctx context.Context, op Op) *Concealed {
	for _, h := range s.chainOf(op).conceals {
		var c *Concealed
		if err := s.Protect(h.name, func() error { c = h.Conceal(ctx, op); return nil }); err != nil {
			s.Kill(err)
			return &Concealed{}
		}
		if c != nil {
			return c
		}
	}
	return nil
}
