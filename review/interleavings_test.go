package review

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/race"
	"github.com/sallyport/sallyport/internal/teststore"
	"github.com/sallyport/sallyport/proxy"
)

// model is what a request should be.
type model struct {
	state     State
	hours     int             // that are asked for
	voted     map[string]bool // who has approved what is asked for now
	revision  int
	escalated bool
	proposed  bool // four hours
	opened    bool
}

// ends makes a request that waits or is granted one that is over.
func (m *model) ends(waiting, granted State) bool {
	switch {
	case m.state == Pending && waiting != "":
		m.state = waiting
	case m.state == Approved && granted != "":
		m.state = granted
	default:
		return false
	}
	return true
}

// votes counts an approval of two that are needed.
func (m *model) votes(by string) bool {
	if m.state != Pending || m.voted[by] {
		return false
	}
	if m.voted[by] = true; len(m.voted) == 2 {
		m.state = Approved
	}
	return true
}

// asks makes it another request, which keeps its approvals when it is shorter.
func (m *model) asks(hours int) bool {
	if m.state != Pending || m.hours == hours {
		return false
	}
	if hours > m.hours {
		m.voted, m.escalated = make(map[string]bool), false
	}
	m.hours, m.proposed = hours, false
	m.revision++
	return true
}

// transition is something that happens to a request at one of two gateways, and what should become of it: done is false where it is to be
// refused.
type transition struct {
	name   string
	do     func(d *desk, asked *Request) error
	should func(m *model) (done bool)
}

// interleaved are the terms of the requests: two approve, of others when it is escalated, which is at once, and one session is opened.
func interleaved() Terms {
	t := terms
	t.Stages = []Stage{{Approvers: []string{"ops"}, Need: 2}}
	t.Escalate = []Escalation{{After: 0, Approvers: []string{"security"}}}
	t.Uses = 1
	return t
}

// transitions are all that people and time do to a request.
func transitions() []transition {
	ctx := context.Background()
	now := func(d *desk, asked *Request, f func(r *Request) error) error {
		r, err := d.Get(ctx, asked.ID)
		if err != nil {
			return err
		}
		return f(r)
	}
	approve := func(by string) func(d *desk, asked *Request) error {
		return func(d *desk, asked *Request) error {
			return now(d, asked, func(r *Request) error { return second(d.Approve(ctx, r.ID, d.vote(r, by), Narrow{})) })
		}
	}
	edit := func(length time.Duration) func(d *desk, asked *Request) error {
		return func(d *desk, asked *Request) error {
			return second(d.Edit(ctx, asked.ID, d.people.ids[asked.Requester], interleaved(), Change{For: length}))
		}
	}
	by := func(f func(d *desk)) func(d *desk, asked *Request) error { // the gateway itself
		return func(d *desk, asked *Request) error {
			err := d.Follow(ctx, asked.ID)
			f(d)
			return err
		}
	}
	always := func(change func(m *model)) func(m *model) bool {
		return func(m *model) bool { change(m); return true }
	}
	return []transition{
		{"approve what was asked", func(d *desk, asked *Request) error {
			return second(d.Approve(ctx, asked.ID, d.vote(asked, "olga"), Narrow{}))
		}, func(m *model) bool { return m.revision == 0 && m.votes("olga") }},
		{"the same again", func(d *desk, asked *Request) error { // such as a callback that a chat sends twice
			return second(d.Approve(ctx, asked.ID, d.vote(asked, "olga"), Narrow{}))
		}, func(m *model) bool { return m.revision == 0 && m.votes("olga") }},
		{"approve", approve("otto"), func(m *model) bool { return m.votes("otto") }},
		{"approve, when it is escalated", approve("sven"), func(m *model) bool { return m.escalated && m.votes("sven") }},
		{"deny", func(d *desk, asked *Request) error {
			return now(d, asked, func(r *Request) error { return second(d.Deny(ctx, r.ID, d.vote(r, "both"))) })
		}, func(m *model) bool { return m.ends(Denied, "") }},
		{"revoke", func(d *desk, asked *Request) error {
			return second(d.Revoke(ctx, asked.ID, d.vote(asked, "otto"), false))
		}, func(m *model) bool { return m.ends("", Revoked) }},
		{"withdraw", func(d *desk, asked *Request) error {
			return second(d.Cancel(ctx, asked.ID, d.people.ids[asked.Requester]))
		}, func(m *model) bool { return m.ends(Cancelled, Cancelled) }},
		{"ask for less", edit(time.Hour), func(m *model) bool { return m.asks(1) }},
		{"ask for more", edit(3 * time.Hour), func(m *model) bool { return m.asks(3) }},
		{"propose", func(d *desk, asked *Request) error {
			return now(d, asked, func(r *Request) error {
				return second(d.Propose(ctx, r.ID, d.vote(r, "olga"), interleaved(), Change{For: 4 * time.Hour}))
			})
		}, func(m *model) bool {
			m.proposed = m.proposed || m.state == Pending && m.hours != 4
			return m.state == Pending && m.hours != 4
		}},
		{"accept", func(d *desk, asked *Request) error {
			return now(d, asked, func(r *Request) error {
				hash := ""
				if r.Access.Proposal != nil {
					hash = r.Access.Proposal.Hash
				}
				return second(d.Accept(ctx, r.ID, d.people.ids[asked.Requester], interleaved(), hash, ""))
			})
		}, func(m *model) bool { return m.proposed && m.asks(4) }},
		{"open", func(d *desk, asked *Request) error { return d.Open(ctx, asked.ID, "first") }, func(m *model) bool {
			m.opened = m.opened || m.state == Approved
			return m.state == Approved
		}},
		{"escalate", func(d *desk, asked *Request) error {
			for { // the clocks of gateways differ by what the store takes to answer
				if err := by(func(d *desk) { d.settle(ctx) })(d, asked); err != nil {
					return err
				}
				if r, err := d.Get(ctx, asked.ID); err != nil || r.State != Pending || r.Access.Escalated > 0 {
					return err
				}
			}
		}, always(func(m *model) { m.escalated = m.escalated || m.state == Pending })},
		{"the resource is gone", by(func(d *desk) {
			for _, r := range d.List() {
				d.Void(r.ID, "it is gone")
			}
			d.resolve(ctx)
		}), always(func(m *model) { m.ends(Cancelled, Revoked) })},
		{"its time is over", func(d *desk, asked *Request) error {
			d.Store.(*teststore.Clocked).Pass(10 * time.Hour)
			if err := second(d.touch(ctx)); err != nil {
				return err
			}
			return by(func(d *desk) { d.settle(ctx) })(d, asked)
		}, always(func(m *model) { m.ends(Expired, Ended) })},
		{"restart", func(d *desk, _ *Request) error { return d.Load(ctx) }, always(func(*model) {})},
	}
}

// sequences calls f with every sequence of k of n, each once; with the race detector with a part of them.
func sequences(n, k int, f func(order []int)) {
	var next func(order []int)
	count := 0
	next = func(order []int) {
		if len(order) == k {
			if count%race.Stride() == 0 {
				f(order)
			}
			count++
			return
		}
		for i := range n {
			if !slices.Contains(order, i) {
				next(append(order, i))
			}
		}
	}
	next(make([]int, 0, k))
}

// TestEveryInterleaving: in every order of what people and time do at two gateways, which may not have heard of each other, the request
// becomes what its states say, with the approvals that count, and is granted at neither once it is over. It begins as one that waits, as
// one that is half approved, and as one that is granted.
func TestEveryInterleaving(t *testing.T) {
	all := transitions()
	for _, k := range teststore.Kinds() {
		t.Run(k.Name, func(t *testing.T) {
			length, begin := 3, []int{0, 1, 2}
			if k.Name != teststore.Memory { // which is slower
				length, begin = 2, []int{0, 2}
			}
			for _, approvals := range begin {
				s := &teststore.Clocked{Store: k.Open(t)}
				gateways := []*desk{openDesk(t, s, everybody()), openDesk(t, s, everybody())}
				sequences(len(all), length, func(order []int) {
					if k.Name == teststore.Memory { // else what is over is read at each restart
						s = &teststore.Clocked{Store: k.Open(t)}
						gateways = []*desk{openDesk(t, s, everybody()), openDesk(t, s, everybody())}
					}
					interleave(t, gateways, all, order, approvals)
				})
				for _, g := range gateways {
					require.Empty(t, g.List())
				}
			}
		})
	}
}

// interleave makes transitions of a request that has some approvals, and compares.
func interleave(t *testing.T, gateways []*desk, all []transition, order []int, approvals int) {
	t.Helper()
	who := &proxy.Identity{Subject: newRequestID(), Groups: []string{"dev"}} // so many ask for nothing in a short time
	for _, g := range gateways {
		g.people.ids[who.Subject] = who
		require.NoError(t, second(g.touch(t.Context())))
	}
	r, err := gateways[0].Ask(t.Context(), who, Ask{Resource: "vm1", Terms: interleaved(), For: 2 * time.Hour, Reason: "x"})
	require.NoError(t, err)
	m, done := &model{state: Pending, hours: 2, voted: make(map[string]bool)}, []string(nil)
	for i, at := range append([]int{0, 1}[:approvals:approvals], order...) {
		st := all[at]
		err := st.do(gateways[(i+at)%2], r)
		done = append(done, st.name)
		if should := st.should(m); should != (err == nil) {
			require.FailNow(t, "a transition is done that should be refused, or the other way around", "%v: %v, %+v", done, err, m)
		}
	}
	for _, g := range gateways {
		require.NoError(t, g.Follow(t.Context(), r.ID))
		got, err := g.Get(t.Context(), r.ID)
		require.NoError(t, err)
		a := got.Access
		is := model{got.State, int(a.Seconds / 3600), make(map[string]bool), a.Revision, a.Escalated == 1, a.Proposal != nil, len(a.Opened) == 1}
		for _, v := range a.Votes {
			is.voted[v.By] = true
		}
		require.Equal(t, *m, is, done)
		first, second := g.session("first", 0), g.session("second", 0)
		first.Identity, second.Identity = who, who
		in, opens := g.has(first)
		require.Equal(t, m.state == Approved, in == r.ID, done)
		require.Equal(t, m.state == Approved && !m.opened, opens, done)
		in, _ = g.has(second)
		require.Equal(t, m.state == Approved && !m.opened, in == r.ID, done)
	}
	if m.state == Approved || m.state == Pending {
		_, err := gateways[0].Cancel(t.Context(), r.ID, who)
		require.NoError(t, err)
		require.NoError(t, gateways[1].Follow(t.Context(), r.ID))
	}
}

// permutations calls f with every order of n.
func permutations(n int, f func(order []int)) { sequences(n, n, f) }
