package review

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/proxy/proxytest"
	"github.com/sallyport/sallyport/store"
)

// service knows who is on call at the list "payments".
type service struct {
	mu    sync.Mutex
	is    Roster
	err   error
	asked int
}

func (s *service) onCall(_ context.Context, list string) (Roster, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	if list != "payments" {
		return Roster{}, errors.New("no such list")
	}
	return s.is, s.err
}

func (s *service) set(err error, is ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.is.People, s.err, s.asked = is, err, 0
}

func byOnCall(need int, approvers ...string) Terms {
	t := terms
	t.Stages = []Stage{{Approvers: approvers, Need: need}}
	return t
}

func onCallDesk(t *testing.T) (*desk, *service) {
	s := &service{}
	d := openDesk(t, store.NewMemory(), everybody())
	d.OnCall = s.onCall
	return d, s
}

func (d *desk) approves(t *testing.T, r *Request, by *proxy.Identity) bool {
	t.Helper()
	ok, err := d.ApproverOf(t.Context(), r, by)
	require.NoError(t, err)
	return ok
}

// TestOnCall: who is on call at the moment of the vote is an approver, by nothing but what the service says.
func TestOnCall(t *testing.T) {
	d, s := onCallDesk(t)
	s.set(nil, "eve", "alice", "olga")
	d.people.ids["sven"].Groups = []string{"oncall:payments"} // of a provider that calls its groups so
	r := d.asks(t, byOnCall(1, "oncall:payments"), nil)
	require.Equal(t, []string{"eve", "olga"}, r.Called, "who may be asked")
	require.Contains(t, r.Lines(), "on call     eve, olga\n")
	require.Equal(t, "oncall:payments (on call: eve, olga)", Approving(r))

	for _, name := range []string{"sven", "otto"} {
		_, err := d.Approve(t.Context(), r.ID, d.vote(r, name), Narrow{})
		require.ErrorIs(t, err, ErrIneligible, name)
		_, err = d.Deny(t.Context(), r.ID, d.vote(r, name))
		require.ErrorIs(t, err, ErrIneligible, name)
		require.False(t, d.approves(t, r, d.people.ids[name]))
	}
	_, err := d.Approve(t.Context(), r.ID, d.vote(r, "alice"), Narrow{})
	require.ErrorIs(t, err, ErrOwn)
	require.True(t, d.approves(t, r, d.people.ids["eve"]))
	require.False(t, d.approves(t, r, nil))
	agent := *d.people.ids["eve"]
	agent.Kind = proxy.Agent
	_, err = d.Approve(t.Context(), r.ID, Vote{By: &agent, Hash: r.Hash}, Narrow{})
	require.ErrorIs(t, err, ErrIneligible)

	s.set(nil, "olga") // eve's shift is over
	_, err = d.Approve(t.Context(), r.ID, d.vote(r, "eve"), Narrow{})
	require.ErrorIs(t, err, ErrIneligible)
	require.False(t, d.approves(t, r, d.people.ids["eve"]))
	done, err := d.Approve(t.Context(), r.ID, d.vote(r, "olga"), Narrow{})
	require.NoError(t, err)
	require.Equal(t, Approved, done.State)
	require.Equal(t, []string{"payments"}, done.Access.Votes[0].OnCall)
	require.Contains(t, done.Lines(), ", on call for payments: because")
	require.NotContains(t, d.people.ids["olga"].Groups, "oncall:payments", "what was given is not changed")

	s.set(nil)
	_, err = d.Revoke(t.Context(), r.ID, d.vote(r, "olga"), false)
	require.ErrorIs(t, err, ErrIneligible)
	s.set(nil, "eve")
	_, err = d.Revoke(t.Context(), r.ID, d.vote(r, "eve"), false)
	require.NoError(t, err)
}

// TestOnCallGroups: a list can count those of some groups alone.
func TestOnCallGroups(t *testing.T) {
	d, s := onCallDesk(t)
	s.is.Groups = []string{"ops", "security"}
	s.set(nil, "eve", "otto")
	r := d.asks(t, byOnCall(1, "oncall:payments"), nil)
	_, err := d.Approve(t.Context(), r.ID, d.vote(r, "eve"), Narrow{})
	require.ErrorIs(t, err, ErrIneligible)
	_, err = d.Approve(t.Context(), r.ID, d.vote(r, "otto"), Narrow{})
	require.NoError(t, err)
}

// TestOnCallUnknown: while it cannot be told who is on call, nobody is, and approvers by a group go on without that being asked.
func TestOnCallUnknown(t *testing.T) {
	d, s := onCallDesk(t)
	s.set(errors.New("hunter2 is down"), "eve")
	r := d.asks(t, byOnCall(2, "ops", "oncall:payments"), nil)
	require.Empty(t, r.Called)
	_, err := d.Approve(t.Context(), r.ID, d.vote(r, "eve"), Narrow{})
	require.Equal(t, ErrOnCall, err)
	for name, want := range map[string]error{"eve": ErrOnCall, "olga": nil, "alice": nil} {
		ok, err := d.ApproverOf(t.Context(), r, d.people.ids[name])
		require.Equal(t, want, err, name)
		require.Equal(t, name == "olga", ok)
	}
	s.set(errors.New("down"))
	_, err = d.Approve(t.Context(), r.ID, d.vote(r, "olga"), Narrow{})
	require.NoError(t, err)
	require.Zero(t, s.asked)
	s.set(nil, "eve")
	done, err := d.Approve(t.Context(), r.ID, d.vote(r, "eve"), Narrow{})
	require.NoError(t, err)
	require.Equal(t, Approved, done.State)
	require.Empty(t, done.Access.Votes[0].OnCall)

	// Without anybody who knows, nobody is on call.
	d.OnCall = nil
	other := d.asks(t, byOnCall(1, "oncall:payments"), func(a *Ask) { a.Actions = []string{"exec"} })
	_, err = d.Approve(t.Context(), other.ID, d.vote(other, "eve"), Narrow{})
	require.ErrorIs(t, err, ErrIneligible)
	_, err = d.Approve(t.Context(), other.ID, d.vote(other, "eve"), Narrow{})
	require.ErrorIs(t, err, ErrIneligible)
}

// TestOnCallLost: the vote of somebody whose shift ends later counts; that of somebody who is gone does not.
func TestOnCallLost(t *testing.T) {
	for _, gone := range []bool{false, true} {
		d, s := onCallDesk(t)
		s.set(nil, "eve")
		r := d.asks(t, byOnCall(2, "ops", "oncall:payments"), nil)
		r, err := d.Approve(t.Context(), r.ID, d.vote(r, "eve"), Narrow{})
		require.NoError(t, err)
		s.set(nil)
		if gone {
			delete(d.people.ids, "eve")
		}
		r, err = d.Approve(t.Context(), r.ID, d.vote(r, "olga"), Narrow{})
		require.NoError(t, err)
		require.Equal(t, gone, r.State == Pending)
		require.Equal(t, gone, r.Access.Votes[0].Lost)
	}
}

// TestOnCallOperation: an operation that somebody on call has approved runs after her shift, and not when she is gone.
func TestOnCallOperation(t *testing.T) {
	for _, gone := range []bool{false, true} {
		d, s := onCallDesk(t)
		s.set(nil, "eve")
		session, err := proxytest.Open(&proxy.Gateway{})
		require.NoError(t, err)
		defer session.Close(nil)
		session.Identity, session.Target = d.people.ids["alice"], vm
		op := &proxy.Exec{Meta: proxy.Meta{Kind: proxy.KindExec}, Command: "reboot"}
		p, err := d.Request(t.Context(), session, op, &proxy.Hold{Rules: []string{"r"}, Approvers: [][]string{{"oncall:payments"}}, Message: "m", For: time.Minute})
		require.NoError(t, err)
		r, err := d.Get(t.Context(), p.ID)
		require.NoError(t, err)
		require.Equal(t, []string{"eve"}, r.Called)
		_, err = d.Approve(t.Context(), r.ID, d.vote(r, "otto"), Narrow{})
		require.ErrorIs(t, err, ErrIneligible)
		r, err = d.Approve(t.Context(), r.ID, d.vote(r, "eve"), Narrow{})
		require.NoError(t, err)
		require.Equal(t, []string{"payments"}, r.OnCall)
		s.set(nil)
		if gone {
			delete(d.people.ids, "eve")
		}
		v := p.Wait(t.Context())
		require.Equal(t, !gone, v.Action == proxy.ActionAllow, v)
	}
}
