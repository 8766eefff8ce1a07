package review

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/store"
)

// MaxStanding is for how long an approval may count at most that is for more than one operation.
const MaxStanding = 90 * 24 * time.Hour

// Standing is what the approval of an operation lets run besides: operations that are within its scope, each by a request of its own,
// which needs nobody who decides.
type Standing struct {
	Runs    int           `json:"runs"`    // at most; MaxUses or less
	Seconds int64         `json:"seconds"` // from the approval on
	Scope   string        `json:"-"`       // as who holds such operations reads it; it may hold what approvers do not read
	Used    []StandingUse `json:"used,omitempty"`
}

// StandingUse is an operation that was let through by a standing approval.
type StandingUse struct {
	Request   string    `json:"request"` // its own
	Session   string    `json:"session"`
	Operation uint64    `json:"operation"`
	At        time.Time `json:"at"`
}

// ChannelStanding is the channel of what a standing approval has approved.
const ChannelStanding = "standing"

// standing has a request ask for more than the operation.
func (r *Request) standing(s *proxy.Standing) error {
	switch {
	case s == nil:
		return nil
	case s.Runs < 1 || s.Runs > MaxUses || s.For < time.Minute || s.For > MaxStanding:
		return fmt.Errorf("a standing approval: got %d runs within %s, want 1 to %d runs within a minute to %s", s.Runs, s.For, MaxUses, MaxStanding)
	}
	r.Standing = &Standing{Runs: s.Runs, Seconds: int64(s.For / time.Second), Scope: s.Scope}
	return nil
}

// scope is that of a standing approval; empty: the request asks for none.
func (r *Request) scope() string {
	if r.Standing == nil {
		return ""
	}
	return r.Standing.Scope
}

// lets is for how long what is approved of an operation may run.
func (r *Request) lets() time.Duration {
	if r.Standing != nil {
		return time.Duration(r.Standing.Seconds) * time.Second
	}
	return r.Deadline.Sub(r.Created)
}

// notStandingError says why a standing approval does not approve something.
type notStandingError struct{ why string }

func (e *notStandingError) Error() string { return e.why }

// covers reports why a standing approval does not approve r.
func (s *Request) covers(r *Request, now time.Time) error {
	switch {
	case s.Standing == nil || s.Access != nil:
		return &notStandingError{"it is not a standing approval"}
	case s.State != Approved:
		return &notStandingError{"it is " + string(s.State)}
	case !now.Before(s.UseBy):
		return &notStandingError{"its time is over"}
	case len(s.Standing.Used) >= s.Standing.Runs:
		return &notStandingError{"all that it lets run has run"}
	case s.Requester != r.Requester || s.For != r.For || s.Resource != r.Resource || s.Account != r.Account || s.Database != r.Database || s.Kind != r.Kind:
		return &notStandingError{"it is for another user, or for another place"}
	case !slices.Equal(s.Rules, r.Rules) || !slices.EqualFunc(s.Approvers, r.Approvers, slices.Equal):
		return &notStandingError{"others approve this by now"}
	}
	return nil
}

// broke reports whether the requester has access to the resource without an approval. Then people decide about everything.
func (d *Desk) broke(r *Request) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, k := range d.known {
		if o := &k.request; o.Access != nil && o.Access.Glass != nil && o.person() == r.person() && o.Resource == r.Resource && o.State == Approved {
			return true
		}
	}
	return false
}

// under has the standing approval that r names approve it, once more. Where it does not, why says so, for who waits for people then.
func (d *Desk) under(ctx context.Context, r *Request, length time.Duration) (ok bool, why string, err error) {
	if r.Under == "" {
		return false, "", nil
	}
	by, err := d.useStanding(ctx, r)
	var not *notStandingError
	switch {
	case errors.As(err, &not), errors.Is(err, ErrUnknown):
		why = fmt.Sprintf("; the standing approval %s does not count: %v", r.Under, err)
		r.Under = ""
		return false, why, nil
	case err != nil:
		d.log().Error("the use of a standing approval could not be recorded or kept", "request", r.Under, "subject", r.Requester, "err", err)
		return false, "", errors.New("this has a standing approval, but its use could not be recorded or kept: try again later")
	}
	now := d.now()
	r.State, r.DecidedBy, r.DecidedAt, r.Channel, r.OnCall, r.UseBy = Approved, by.DecidedBy, &now, ChannelStanding, by.OnCall, now.Add(length)
	version, err := d.keep(ctx, store.Document{Kind: KindRequest, Name: r.ID}, r, step{string(Approved), "under request " + r.Under, true})
	if err != nil {
		d.log().Error("what a standing approval has approved could not be recorded or kept", "request", r.ID, "subject", r.Requester, "err", err)
		return false, "", errors.New("this has a standing approval, but what it approves could not be recorded or kept: try again later")
	}
	d.see(r, version)
	return true, "", nil
}

// useStanding notes that r is approved by the standing approval that it names. One that nobody may have given any more ends by it.
func (d *Desk) useStanding(ctx context.Context, r *Request) (*Request, error) {
	by, err := d.change(ctx, r.Under, func(s *Request, now time.Time) (step, error) {
		if d.broke(r) {
			return step{}, &notStandingError{"access without an approval is open: people decide until it has ended"}
		}
		if d.isVoid(s.ID) {
			return step{}, &notStandingError{"it is being ended"}
		}
		if err := s.covers(r, now); err != nil {
			return step{}, err
		}
		if lost, err := d.lost(ctx, s); err != nil {
			return step{}, err
		} else if lost {
			s.State = Lapsed
			return step{string(Lapsed), s.DecidedBy + " is not an approver any more", false}, nil
		}
		s.Standing.Used = append(s.Standing.Used, StandingUse{r.ID, r.Session, r.Operation, now})
		text := fmt.Sprintf("request %s, %d of %d", r.ID, len(s.Standing.Used), s.Standing.Runs)
		if len(s.Standing.Used) == s.Standing.Runs {
			s.State = Ended
			return step{string(Ended), text, true}, nil
		}
		return step{Opened, text, true}, nil
	})
	if err == nil && by.State == Lapsed {
		err = &notStandingError{by.DecidedBy + " is not an approver any more"}
	}
	return by, err
}

// isVoid reports whether a request is being ended.
func (d *Desk) isVoid(id string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	k := d.known[id]
	return k != nil && k.void
}

// established is the verdict by a standing approval for the operation that has asked for it. It counts as none of those that it lets
// run.
func (h *held) established(ctx context.Context) proxy.Verdict {
	d := h.desk
	_, r, err := d.read(ctx, h.id)
	if err == nil {
		var lost bool
		if lost, err = d.lost(ctx, r); lost && err == nil {
			return h.refuse(proxy.CauseApproval, r.DecidedBy+" is not an approver any more", "Send it again to ask again.")
		}
	}
	switch {
	case err != nil:
		d.log().Error("what a request is that was approved is not known", "request", h.id, "err", err)
		return h.refuse(proxy.CauseInternal, "request "+h.id+" was approved, but it could not be read again", "Send it again later.")
	case r.State != Approved:
		return h.over(r)
	case r.changed(h.op):
		return h.refuse(proxy.CauseApproval, "the operation differs from the one that was approved", "Send it again to ask again.")
	}
	return proxy.Verdict{Action: proxy.ActionAllow, Rule: h.rule, Grant: r.ID + " by " + r.DecidedBy}
}

// StandingOf returns the standing approvals that somebody has and that let something run still, the oldest first. Whether one counts is
// found out when it is used.
func (d *Desk) StandingOf(who *proxy.Identity) []Request {
	now := d.now()
	return slices.DeleteFunc(d.List(), func(r Request) bool {
		return r.Standing == nil || r.State != Approved || !now.Before(r.UseBy) || r.Requester != who.Subject || r.For != who.OnBehalfOf
	})
}

// standingLines say what a standing approval lets run.
func (r *Request) standingLines(line func(name, value string)) {
	if s := r.Standing; s != nil {
		line("standing", fmt.Sprintf("approves %d runs within its scope, for %s from the approval on; %d have begun", s.Runs, time.Duration(s.Seconds)*time.Second, len(s.Used)))
	}
	if r.Under != "" {
		line("under", "the standing approval "+r.Under)
	}
}
