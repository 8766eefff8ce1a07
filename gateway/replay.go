package gateway

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"time"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/proxy"
)

// Replayed is what the rules would do now with what is on record.
type Replayed struct {
	Operations int // judged again
	// Skipped are operations that cannot be judged: of resources that are gone, or not
	// recorded in full.
	Skipped int
	Denied  Changes // ran, and would be refused
	Held    Changes // ran without an approval, and would need one
	Allowed Changes // were refused, and would run

	until time.Time // zero: now
	most  int       // operations; 0: all
	more  bool      // there were more
}

// Changed is how many operations would be answered otherwise.
func (r *Replayed) Changed() int { return r.Denied.Total + r.Held.Total + r.Allowed.Total }

// Changes are operations that would be answered otherwise in one way.
type Changes struct {
	Total    int
	Examples []Change // the first of them, at most maxExamples

	people map[string]bool
}

// maxExamples is how many changes of one way are kept.
const maxExamples = 5

func (c *Changes) add(x Change) {
	c.Total++
	if c.people == nil {
		c.people = make(map[string]bool)
	}
	c.people[x.User] = true
	if len(c.Examples) < maxExamples {
		c.Examples = append(c.Examples, x)
	}
}

// Change is one operation that would be answered otherwise.
type Change struct {
	Session, Time, User, Resource, Text string
	Answer                              *Answer
}

// Replay judges what an archive has recorded since a time by the rules as they are
// now. What a server expected of a statement is not on record; how many rows there
// were takes its place. A login counts as made when its session began, and claims of users
// are not on record.
func (x *Explainer) Replay(ctx context.Context, a *audit.Archive, since time.Time) (*Replayed, error) {
	r := &Replayed{}
	if err := r.sessions(ctx, x, a, since); err != nil {
		return nil, err
	}
	return r, nil
}

// sessions judges what is on record.
func (r *Replayed) sessions(ctx context.Context, x *Explainer, a *audit.Archive, since time.Time) error {
	ids, err := a.Sessions()
	if err != nil {
		return err
	}
	for _, id := range ids {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := r.session(ctx, x, a, id, since); err != nil {
			return err
		}
	}
	return nil
}

// session judges one session's operations again.
func (r *Replayed) session(ctx context.Context, x *Explainer, a *audit.Archive, id string, since time.Time) error {
	var start *audit.Event
	var ended map[uint64]end
	for e, err := range a.Events(id) {
		if err != nil {
			r.Skipped++ // erased, or cut off: what cannot be read cannot be judged
			return nil
		}
		switch e.Type {
		case audit.SessionStart:
			at, err := time.Parse(time.RFC3339Nano, e.Time)
			if err != nil || at.Before(since) || !r.until.IsZero() && at.After(r.until) {
				return nil
			}
			start, ended = e, ends(a, id)
		case audit.OperationStart, audit.OperationRefused:
			if start == nil {
				return nil // the gateway's own record
			}
			if r.more = r.most > 0 && r.Operations == r.most; r.more {
				return nil
			}
			if err := r.operation(ctx, x, start, e, ended[e.Op]); err != nil {
				return err
			}
		}
	}
	return nil
}

// end is how an operation ended that ran.
type end struct {
	approved bool
	rows     float64
}

// ends are those of a session, as far as it can be read.
func ends(a *audit.Archive, id string) map[uint64]end {
	list := make(map[uint64]end)
	for e, err := range a.Events(id) {
		if err != nil {
			break
		}
		if e.Type == audit.OperationEnd {
			list[e.Op] = end{e.Grant != "", float64(e.Rows)}
		}
	}
	return list
}

// identityOf is who began a session. The login counts as made then. Claims are not on record.
func identityOf(start *audit.Event) *proxy.Identity {
	id := &proxy.Identity{Subject: start.User, Groups: start.Groups, OnBehalfOf: start.For, AuthTime: start.When()}
	id.Kind, _ = proxy.ParseIdentityKind(start.Identity) // empty is a human
	id.Method, _ = proxy.ParseMethod(start.Method)
	return id
}

// operation judges what e records.
func (r *Replayed) operation(ctx context.Context, x *Explainer, start, e *audit.Event, ended end) error {
	ran := e.Type == audit.OperationStart
	if !ran && e.Cause == proxy.CauseInternal.String() {
		return nil // refused for what no rule says
	}
	if e.Kind != proxy.KindStatement.String() && e.Kind != proxy.KindExec.String() {
		return nil
	}
	t, err := x.Target(start.Resource, "", start.Database)
	if errors.Is(err, proxy.ErrNotFound) || e.Text == "" || e.TextBytes > 0 {
		r.Skipped++
		return nil
	}
	if err != nil {
		return err
	}
	t.Account, _ = t.Resource.Account(start.Account)
	q := Question{Identity: identityOf(start), Target: t, Text: e.Text, alone: true} // the files of a command are on record by themselves
	if from, err := netip.ParseAddrPort(start.Remote); err == nil {
		q.From = net.TCPAddrFromAddrPort(from)
	}
	if q.At, err = time.Parse(time.RFC3339Nano, e.Time); err != nil {
		return err
	}
	if ran {
		q.Expected = &Expected{Rows: ended.rows}
	}
	answer, err := x.Explain(ctx, q)
	if err != nil {
		return err
	}
	r.Operations++
	change := Change{start.Session, e.Time, start.User, start.Resource, e.Text, answer}
	switch outcome := answer.Outcome(); {
	case ran && outcome == Hold && !ended.approved:
		r.Held.add(change)
	case ran && outcome == Deny:
		r.Denied.add(change)
	case !ran && !answer.Refuses():
		r.Allowed.add(change)
	}
	return nil
}
