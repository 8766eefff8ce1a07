package review

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sallyport/sallyport/proxy"
)

// Queue is a [proxy.Reviewer] that keeps requests in memory until an approver has
// decided. Every transition of a request, its making included, is recorded as a
// note of the gateway before it takes effect: on an error a request is not made and
// an approval not given; everything else happens all the same. The zero value is
// ready and safe for concurrent use.
type Queue struct {
	// Limit bounds how many requests are pending at once, and PerRequester those of
	// one identity; 0 is 1000 and 10.
	Limit, PerRequester int

	mu      sync.Mutex
	pending map[string]*held
	past    []*held // the latest that were decided, oldest first
}

// held is a request and who waits for it.
type held struct {
	queue         *Queue
	gateway       *proxy.Gateway
	id, requester string
	done          chan struct{} // closed when the state is final
	release       func() bool   // of the watch over the session's end

	mu      sync.Mutex // held while a transition is told
	request Request
}

// maxPast is how many requests are remembered that are not pending.
const maxPast = 256

// Notes says that the queue leaves notes of what becomes of requests.
func (q *Queue) Notes() []proxy.NoteKind { return []proxy.NoteKind{proxy.NoteReview} }

// Request makes a request about op, of session s, and returns what the session
// waits on. The error is for the user.
func (q *Queue) Request(_ context.Context, s *proxy.Session, op proxy.Op, a *proxy.Hold) (*proxy.Pending, error) {
	if slices.ContainsFunc(a.Approvers, func(groups []string) bool { return len(groups) == 0 }) {
		return nil, errors.New("this needs an approval, but no group is allowed to give it")
	}
	now := time.Now()
	r := Request{
		ID: strings.ToLower(rand.Text()[:10]), State: Pending, Requester: s.Identity.Subject, For: s.Identity.OnBehalfOf, Session: s.ID,
		Resource: s.Target.Resource.Name, Account: s.Target.Account.Name, Database: s.Target.Database, Blind: a.Blind, Message: a.Message,
		Rules: slices.Clone(a.Rules), Approvers: slices.Clone(a.Approvers), Created: now, Deadline: now.Add(a.For),
	}
	if err := r.show(op); err != nil {
		return nil, err
	}
	r.Hash = r.digest(op)
	h := &held{queue: q, gateway: s.Gateway(), id: r.ID, requester: r.Requester, request: r, done: make(chan struct{})}
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := q.add(h); err != nil {
		return nil, err
	}
	if err := h.told(r); err != nil {
		q.remove(h)
		return nil, errors.New("this needs an approval, but the request for it could not be recorded")
	}
	h.release = context.AfterFunc(s.Context(), h.cancel)
	return &proxy.Pending{
		ID: r.ID, Deadline: r.Deadline,
		Message: fmt.Sprintf("%s: request %s is waiting for approval", r.Message, r.ID),
		Wait:    func(ctx context.Context) proxy.Verdict { return h.wait(ctx, op) },
	}, nil
}

func (q *Queue) add(h *held) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if limit := cmp.Or(q.Limit, 1000); len(q.pending) >= limit {
		return fmt.Errorf("this needs an approval, but %d operations are already waiting for approval, which is the limit: try again later", limit)
	}
	same := 0
	for _, other := range q.pending {
		if other.requester == h.requester {
			same++
		}
	}
	if limit := cmp.Or(q.PerRequester, 10); same >= limit {
		return fmt.Errorf("you already have %d operations waiting for approval, which is the limit", limit)
	}
	if q.pending == nil {
		q.pending = make(map[string]*held)
	}
	q.pending[h.id] = h
	return nil
}

func (q *Queue) remove(h *held) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.pending, h.id)
}

// retire moves a request that is final to the past.
func (q *Queue) retire(h *held) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.pending[h.id] != h {
		return
	}
	delete(q.pending, h.id)
	if len(q.past) >= maxPast {
		q.past = slices.Delete(q.past, 0, 1)
	}
	q.past = append(q.past, h)
}

func (q *Queue) find(id string) *held {
	q.mu.Lock()
	defer q.mu.Unlock()
	if h := q.pending[id]; h != nil {
		return h
	}
	for _, h := range q.past {
		if h.id == id {
			return h
		}
	}
	return nil
}

// Get returns a request, pending or of late.
func (q *Queue) Get(id string) (Request, bool) {
	h := q.find(id)
	if h == nil {
		return Request{}, false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.request, true
}

// List returns the pending requests, oldest first.
func (q *Queue) List() []Request {
	q.mu.Lock()
	all := make([]*held, 0, len(q.pending))
	for _, h := range q.pending {
		all = append(all, h)
	}
	q.mu.Unlock()
	list := make([]Request, 0, len(all))
	for _, h := range all {
		h.mu.Lock()
		if h.request.State == Pending {
			list = append(list, h.request)
		}
		h.mu.Unlock()
	}
	slices.SortFunc(list, func(a, b Request) int { return cmp.Or(a.Created.Compare(b.Created), strings.Compare(a.ID, b.ID)) })
	return list
}

// told records what the request becomes. h.mu is held.
func (h *held) told(next Request) error {
	return h.gateway.Note(context.Background(), &proxy.Note{Kind: proxy.NoteReview, By: "review", Request: &proxy.RequestNote{
		ID: next.ID, State: string(next.State), Hash: next.Hash, Requester: next.Requester, For: next.For, Session: next.Session,
		Operation: next.Operation, Rules: next.Rules, DecidedBy: next.DecidedBy, Channel: next.Channel, Reason: next.Reason,
	}})
}

// set makes a final state. h.mu is held.
func (h *held) set(next Request) {
	h.request = next
	if next.State != Lapsed { // which an approved one becomes
		close(h.done)
	}
	h.queue.retire(h)
}

// end ends a request without a decision. h.mu is held.
func (h *held) end(as State) {
	next := h.request
	now := time.Now()
	next.State = as
	if as != Lapsed {
		next.DecidedAt = &now
	}
	_ = h.told(next) // it ends whether or not that can be recorded; who records says so
	h.set(next)
}

// cancel ends the request because its session has ended.
func (h *held) cancel() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.request.State == Pending {
		h.end(Cancelled)
	}
}

// wait waits for the decision about op and returns its verdict.
func (h *held) wait(ctx context.Context, op proxy.Op) proxy.Verdict {
	select {
	case <-h.done:
	case <-ctx.Done():
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.release()
	r := &h.request
	gone := ctx.Err() != nil
	if r.State == Pending {
		as := Cancelled
		if errors.Is(context.Cause(ctx), proxy.ErrDeadline) && !time.Now().Before(r.Deadline) {
			as = Expired
		}
		h.end(as)
	}
	rule := ""
	if len(r.Rules) > 0 {
		rule = r.Rules[0]
	}
	switch {
	case r.State == Approved && gone:
		h.end(Lapsed)
		return proxy.Deny(proxy.CauseApproval, rule, "request "+r.ID+" was approved too late", "")
	case r.State == Approved && r.changed(op):
		h.end(Lapsed)
		return proxy.Deny(proxy.CauseInternal, rule, "this operation differs from the one in request "+r.ID, "")
	case r.State == Approved:
		return proxy.Verdict{Action: proxy.ActionAllow, Rule: rule, Grant: r.ID + " by " + r.DecidedBy}
	case r.State == Denied:
		return proxy.Deny(proxy.CauseDenied, rule, r.DecidedBy+" denied request "+r.ID+": "+r.Reason, "")
	case r.State == Expired:
		return proxy.Deny(proxy.CauseApproval, rule, "nobody decided about request "+r.ID+" in time", "Ask an approver, and try again.")
	}
	return proxy.Deny(proxy.CauseApproval, rule, "request "+r.ID+" was given up", "")
}

// changed reports whether op is not what the request was made about.
func (r *Request) changed(op proxy.Op) bool {
	now := *r
	now.Arguments = nil
	return now.show(op) != nil || now.digest(op) != r.Hash
}
