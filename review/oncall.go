package review

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/proxy"
)

// onCallPrefix begins approvers that are those on call at a list, whose name follows. No group of this name counts.
const onCallPrefix = "oncall:"

// OnCallList is the name of the list of an approver "oncall:NAME".
func OnCallList(approver string) (name string, ok bool) {
	name, ok = strings.CutPrefix(approver, onCallPrefix)
	return name, ok && name != ""
}

// Roster is who is on call.
type Roster struct {
	People []string // subjects
	// Groups are those of one of which somebody is, too, who counts as on call; empty: any.
	Groups []string
}

// Has reports whether somebody is on call.
func (r *Roster) Has(id *proxy.Identity) bool {
	return slices.Contains(r.People, id.Subject) && (len(r.Groups) == 0 || slices.ContainsFunc(r.Groups, id.In))
}

// ErrOnCall says that it is not known who is on call. Its text is fit for who decides.
var ErrOnCall = errors.New("it cannot be told now who is on call: try again in a minute, or ask another approver")

// OnCall returns somebody as an approver by these on-call lists, and by no other: what a group is called makes nobody on call.
func OnCall(id *proxy.Identity, lists []string) *proxy.Identity {
	if id == nil {
		return nil
	}
	out := *id
	out.Groups = slices.DeleteFunc(slices.Clone(id.Groups), func(g string) bool { return strings.HasPrefix(g, onCallPrefix) })
	for _, list := range lists {
		out.Groups = append(out.Groups, onCallPrefix+list)
	}
	return &out
}

// onCallLists are the names of the lists among approvers.
func onCallLists(approvers ...[]string) (names []string) {
	for _, groups := range approvers {
		for _, g := range groups {
			if name, ok := OnCallList(g); ok && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}

// OnCallLists are the names of the on-call lists by which somebody may be an approver of the request: of one for access that is over, in any
// stage.
func (r *Request) OnCallLists() []string {
	if r.Access == nil || r.State == Pending {
		return onCallLists(r.Approvers...)
	}
	return r.anyOnCallLists()
}

func (r *Request) anyOnCallLists() []string {
	if r.Access == nil {
		return onCallLists(r.Approvers...)
	}
	var all [][]string
	for i := range r.Access.Stages {
		all = append(all, r.Access.Approvers(i))
	}
	return onCallLists(all...)
}

// onCall are those of some lists at which somebody is on call now. The error says that of others it is not known.
func (d *Desk) onCall(ctx context.Context, lists []string, by *proxy.Identity) (on []string, err error) {
	if d.OnCall == nil {
		return nil, nil
	}
	for _, list := range lists {
		r, e := d.OnCall(ctx, list)
		switch {
		case e != nil:
			d.log().Warn("it cannot be told who is on call", "list", list, "err", e)
			err = ErrOnCall
		case r.Has(by):
			on = append(on, list)
		}
	}
	return on, err
}

// called makes a vote that of somebody who may be on call. Who is an approver without that is not asked about.
func (d *Desk) called(ctx context.Context, r *Request, v *Vote) error {
	v.By, v.onCall = OnCall(v.By, nil), nil
	if r.personal(v.By) != nil || r.mayDecide(v.By) == nil {
		return nil
	}
	on, err := d.onCall(ctx, r.OnCallLists(), v.By)
	by := OnCall(v.By, on)
	if r.mayDecide(by) == nil {
		v.By, v.onCall = by, on
		return nil
	}
	return err
}

// ApproverOf reports whether by is an approver of a request, also because she is on call; of one for access, of any of its stages. The
// error is ErrOnCall: she may be.
func (d *Desk) ApproverOf(ctx context.Context, r *Request, by *proxy.Identity) (bool, error) {
	plain := OnCall(by, nil)
	if r.ApproverOf(plain) {
		return true, nil
	}
	lists := r.anyOnCallLists()
	if len(lists) == 0 || r.personal(plain) != nil {
		return false, nil
	}
	ctx, cancel := context.WithTimeout(ctx, callWithin)
	defer cancel()
	on, err := d.onCall(ctx, lists, plain)
	if r.ApproverOf(OnCall(plain, on)) {
		return true, nil
	}
	return false, err
}

// callWithin is how long it is asked who is on call when a request is made or looked at.
const callWithin = 3 * time.Second

// call notes who is on call as a request is made, so that its requester knows who to ask. It is decided anew with each vote who is.
func (d *Desk) call(ctx context.Context, r *Request) {
	lists := r.OnCallLists()
	if d.OnCall == nil || len(lists) == 0 || r.State != Pending {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, callWithin)
	defer cancel()
	for _, list := range lists {
		now, err := d.OnCall(ctx, list)
		if err != nil {
			d.log().Warn("it cannot be told who is on call for a request", "request", r.ID, "list", list, "err", err)
			continue
		}
		for _, p := range now.People {
			if p != r.Requester && p != r.For && !slices.Contains(r.Called, p) {
				r.Called = append(r.Called, p)
			}
		}
	}
}
