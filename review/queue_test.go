package review_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/proxy/proxytest"
	"github.com/sallyport/sallyport/review"
)

// desk is a queue whose transitions are kept: it is the gateway's reviewer and the
// interceptor that records.
type desk struct {
	review.Queue
	mu     sync.Mutex
	states []string
	fail   error
}

func newDesk() *desk { return &desk{} }

func (*desk) Name() string { return "desk" }

func (*desk) Intercept(context.Context, *proxy.Session) (proxy.Hooks, error) {
	return proxy.Hooks{}, nil
}

func (d *desk) Record(_ context.Context, n *proxy.Note) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.states = append(d.states, n.Request.State)
	return d.fail
}

func (d *desk) told() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return strings.Join(d.states, " ")
}

// session opens a session whose operations need the approval that h asks for.
func (d *desk) session(t *testing.T, h *proxy.Hold) *proxy.Session {
	t.Helper()
	s, err := proxytest.Open(&proxy.Gateway{Reviewer: d}, d, holder{h})
	require.NoError(t, err)
	t.Cleanup(func() { s.Close(nil) })
	return s
}

// holder answers every operation by a hold.
type holder struct{ *proxy.Hold }

func (holder) Name() string { return "holder" }

func (h holder) Intercept(context.Context, *proxy.Session) (proxy.Hooks, error) {
	return proxy.Hooks{Ask: func(_ context.Context, op proxy.Op) proxy.Verdict {
		if op.Info().Kind == proxy.KindConnect {
			return proxy.Pass()
		}
		return proxy.Verdict{Action: proxy.ActionHold, Hold: h.Hold}
	}}, nil
}

var ops = &proxy.Hold{Rules: []string{"big"}, Message: "big changes are looked at", Approvers: [][]string{{"ops"}}, For: time.Minute}

func person(name string, groups ...string) *proxy.Identity {
	return &proxy.Identity{Subject: name, Groups: groups}
}

// asking asks for an operation and returns its request and its verdict to come.
func (d *desk) asking(t *testing.T, s *proxy.Session, op proxy.Op) (review.Request, chan *proxy.Verdict) {
	t.Helper()
	verdict := make(chan *proxy.Verdict, 1)
	before := len(d.List())
	go func() { verdict <- s.Ask(s.Context(), op) }()
	require.Eventually(t, func() bool { return len(d.List()) == before+1 }, 5*time.Second, time.Millisecond)
	list := d.List()
	return list[len(list)-1], verdict
}

func del(text string, args ...proxy.Arg) *proxy.Statement {
	st := proxytest.Statement(text, proxy.EffectDelete)
	st.Args = args
	return st
}

func TestApproved(t *testing.T) {
	d := newDesk()
	s := d.session(t, ops)
	op := del("DELETE FROM t WHERE a = $1", proxy.Arg{Value: []byte("7")}, proxy.Arg{}, proxy.Arg{Value: []byte{0, 1}, Binary: true})
	r, verdict := d.asking(t, s, op)
	require.Equal(t, "DELETE FROM t WHERE a = $1", r.Text)
	require.Equal(t, []string{`"7"`, "NULL", `\x0001`}, r.Arguments)
	require.Equal(t, s.Identity.Subject, r.Requester)
	require.NoError(t, d.Approve(r.ID, review.Vote{By: person("bob", "ops"), Hash: r.Hash, Reason: "fine"}))
	v := <-verdict
	require.False(t, v.Refuses(), v.Message())
	require.Equal(t, r.ID+" by bob", v.Grant)
	require.Equal(t, "pending approved", d.told())
	require.Empty(t, d.List())
	got, ok := d.Get(r.ID)
	require.True(t, ok)
	require.Equal(t, review.Approved, got.State)
	require.Equal(t, "bob", got.DecidedBy)

	// ATTACK 61: an approval is for one operation, once.
	again, verdict := d.asking(t, s, del("DELETE FROM t WHERE a = $1"))
	require.NotEqual(t, r.ID, again.ID)
	require.NotEqual(t, r.Hash, again.Hash)
	require.NoError(t, d.Deny(again.ID, review.Vote{By: person("bob", "ops"), Hash: again.Hash, Reason: "not twice"}))
	v = <-verdict
	require.True(t, v.Refuses())
	require.Equal(t, proxy.CauseDenied, v.Cause)
	require.Contains(t, v.Message(), "bob denied request "+again.ID+": not twice")
	require.NoError(t, s.Err(), "the session goes on")
}

// Who may not decide, and decisions that come too late.
func TestAttack60Deciders(t *testing.T) {
	d := newDesk()
	s := d.session(t, &proxy.Hold{Rules: []string{"a", "b"}, Message: "x", Approvers: [][]string{{"ops"}, {"dba", "leads"}}, For: time.Minute})
	r, verdict := d.asking(t, s, del("DELETE FROM t"))
	me := s.Identity.Subject
	for _, c := range []struct {
		name string
		by   *proxy.Identity
		want error
	}{
		{"the requester", person(me, "ops", "dba"), review.ErrOwn},
		{"in one of two lists", person("bob", "ops"), review.ErrIneligible},
		{"in the other", person("bob", "leads"), review.ErrIneligible},
		{"in none", person("bob"), review.ErrIneligible},
		{"who lost the group", person("carol", "dba"), review.ErrIneligible},
		{"nobody", nil, review.ErrIneligible},
		{"nameless", person("", "ops", "dba"), review.ErrIneligible},
		{"an agent of hers", &proxy.Identity{Subject: "bot", Kind: proxy.Agent, OnBehalfOf: me, Groups: []string{"ops", "dba"}}, review.ErrIneligible},
		{"a service", &proxy.Identity{Subject: "ci", Kind: proxy.Service, Groups: []string{"ops", "dba"}}, review.ErrIneligible},
	} {
		require.ErrorIs(t, d.Approve(r.ID, review.Vote{By: c.by, Hash: r.Hash}), c.want, c.name)
		require.ErrorIs(t, d.Deny(r.ID, review.Vote{By: c.by, Hash: r.Hash, Reason: "x"}), c.want, c.name)
	}
	carol := person("carol", "ops", "leads")
	require.ErrorIs(t, d.Deny(r.ID, review.Vote{By: carol, Hash: r.Hash, Reason: " "}), review.ErrReason)
	require.ErrorIs(t, d.Approve("nothing", review.Vote{By: carol, Hash: r.Hash}), review.ErrUnknown)
	require.Equal(t, "pending", d.told())
	require.NoError(t, d.Approve(r.ID, review.Vote{By: carol, Hash: r.Hash}))
	require.False(t, (<-verdict).Refuses())
	var decided *review.DecidedError
	require.ErrorAs(t, d.Deny(r.ID, review.Vote{By: carol, Hash: r.Hash, Reason: "after all"}), &decided, "deny after approve")
	require.ErrorAs(t, d.Approve(r.ID, review.Vote{By: carol, Hash: r.Hash}), &decided, "twice")
	require.Equal(t, "carol", decided.By)
	require.Equal(t, "pending approved", d.told())
}

// A human does not decide about what her own agent asks.
func TestAttack60OwnAgent(t *testing.T) {
	d := newDesk()
	g := &proxy.Gateway{Reviewer: d, Interceptors: []proxy.Interceptor{proxytest.Allow{}, d, holder{ops}}}
	s, connect, err := g.Open(context.Background(), proxy.OpenRequest{
		Identity: &proxy.Identity{Subject: "bot", Kind: proxy.Agent, OnBehalfOf: "alice"},
		Target:   proxy.Target{Resource: &proxy.Resource{Name: "r", Type: "test"}}, Protocol: "test",
	})
	require.NoError(t, err)
	defer s.Close(nil)
	s.Done(connect, &proxy.Outcome{})
	r, verdict := d.asking(t, s, del("DELETE FROM t"))
	require.ErrorIs(t, d.Approve(r.ID, review.Vote{By: person("alice", "ops"), Hash: r.Hash}), review.ErrOwn)
	s.CancelHolds()
	require.True(t, (<-verdict).Refuses())
}

func TestAttack61ChangedStatement(t *testing.T) {
	d := newDesk()
	s := d.session(t, ops)
	bob := person("bob", "ops")
	op := del("DELETE FROM t WHERE a = $1", proxy.Arg{Value: []byte("7")})
	r, verdict := d.asking(t, s, op)
	require.ErrorIs(t, d.Approve(r.ID, review.Vote{By: bob}), review.ErrChanged, "without having seen it")
	require.ErrorIs(t, d.Approve(r.ID, review.Vote{By: bob, Hash: strings.Repeat("0", 64)}), review.ErrChanged)
	op.Args[0].Value = []byte("8") // no handler does; an approval covers what was seen all the same
	require.NoError(t, d.Approve(r.ID, review.Vote{By: bob, Hash: r.Hash}))
	v := <-verdict
	require.True(t, v.Refuses())
	require.Equal(t, "pending approved lapsed", d.told())

	hashes := map[string]bool{}
	for _, op := range []*proxy.Statement{
		del("DELETE FROM t", proxy.Arg{}), del("DELETE FROM t", proxy.Arg{Value: []byte("NULL")}), del("DELETE FROM t", proxy.Arg{Value: []byte("")}),
		del("DELETE FROM t", proxy.Arg{Value: []byte(""), Binary: true}), del("DELETE FROM t", proxy.Arg{Value: []byte(""), Type: 20}), del("DELETE FROM t"),
	} {
		r, verdict := d.asking(t, s, op)
		require.False(t, hashes[r.Hash])
		hashes[r.Hash] = true
		s.CancelHolds()
		require.True(t, (<-verdict).Refuses())
	}
}

func TestEnds(t *testing.T) {
	t.Run("deadline", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			d := newDesk()
			s := d.session(t, ops)
			verdict := make(chan *proxy.Verdict, 1)
			go func() { verdict <- s.Ask(s.Context(), del("DELETE FROM t")) }()
			synctest.Wait()
			r := d.List()[0]
			v := <-verdict
			require.True(t, v.Refuses())
			require.Equal(t, time.Minute, time.Since(r.Created))
			require.Contains(t, v.Message(), "in time")
			require.Equal(t, "pending expired", d.told())
			var decided *review.DecidedError
			require.ErrorAs(t, d.Approve(r.ID, review.Vote{By: person("bob", "ops"), Hash: r.Hash}), &decided)
			require.Equal(t, review.Expired, decided.State)
			require.NoError(t, s.Err())
		})
	})
	t.Run("a vote at the deadline", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			d := newDesk()
			s := d.session(t, ops)
			hold, err := d.Request(context.Background(), s, del("DELETE FROM t"), ops)
			require.NoError(t, err)
			r := d.List()[0]
			time.Sleep(time.Minute)
			var decided *review.DecidedError
			require.ErrorAs(t, d.Approve(r.ID, review.Vote{By: person("bob", "ops"), Hash: r.Hash}), &decided, "although nobody has noticed yet")
			v := hold.Wait(context.Background())
			require.True(t, v.Refuses())
		})
	})
	t.Run("cancelled", func(t *testing.T) {
		d := newDesk()
		s := d.session(t, ops)
		_, verdict := d.asking(t, s, del("DELETE FROM t"))
		require.Eventually(t, s.CancelHolds, 5*time.Second, time.Millisecond)
		require.True(t, (<-verdict).Refuses())
		require.Equal(t, "pending cancelled", d.told())
	})
	t.Run("session ended", func(t *testing.T) {
		d := newDesk()
		s := d.session(t, ops)
		_, verdict := d.asking(t, s, del("DELETE FROM t"))
		s.Kill(errors.New("gone"))
		require.True(t, (<-verdict).Refuses())
		require.Equal(t, "pending cancelled", d.told())
	})
	t.Run("session ended before it waited", func(t *testing.T) {
		d := newDesk()
		s := d.session(t, ops)
		_, err := d.Request(context.Background(), s, del("DELETE FROM t"), ops)
		require.NoError(t, err)
		s.Kill(errors.New("gone"))
		require.Eventually(t, func() bool { return len(d.List()) == 0 }, 5*time.Second, time.Millisecond)
	})
	t.Run("approved when nobody waits any more", func(t *testing.T) {
		d := newDesk()
		s := d.session(t, ops)
		hold, err := d.Request(context.Background(), s, del("DELETE FROM t"), ops)
		require.NoError(t, err)
		r := d.List()[0]
		require.NoError(t, d.Approve(r.ID, review.Vote{By: person("bob", "ops"), Hash: r.Hash}))
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		v := hold.Wait(ctx)
		require.True(t, v.Refuses())
		require.Equal(t, "pending approved lapsed", d.told())
	})
}

// What cannot be recorded is neither asked nor approved; refusing goes on.
func TestUnrecorded(t *testing.T) {
	d := newDesk()
	s := d.session(t, ops)
	r, verdict := d.asking(t, s, del("DELETE FROM t"))
	d.mu.Lock()
	d.fail = errors.New("the disk is full")
	d.mu.Unlock()
	bob := person("bob", "ops")
	require.ErrorContains(t, d.Approve(r.ID, review.Vote{By: bob, Hash: r.Hash}), "not approved")
	require.Len(t, d.List(), 1)
	v := s.Ask(s.Context(), del("DELETE FROM u"))
	require.True(t, v.Refuses())
	require.Contains(t, v.Message(), "could not be recorded")
	require.Len(t, d.List(), 1)
	require.NoError(t, d.Deny(r.ID, review.Vote{By: bob, Hash: r.Hash, Reason: "no"}))
	require.True(t, (<-verdict).Refuses())
}

func TestBounds(t *testing.T) {
	d := newDesk()
	d.Limit, d.PerRequester = 3, 2
	s := d.session(t, ops)
	for range 2 {
		_, err := d.Request(context.Background(), s, del("DELETE FROM t"), ops)
		require.NoError(t, err)
	}
	_, err := d.Request(context.Background(), s, del("DELETE FROM t"), ops)
	require.ErrorContains(t, err, "you already have 2 operations")
	other := *proxytest.Session(t).Identity
	other.Subject = "other"
	g := &proxy.Gateway{Interceptors: []proxy.Interceptor{proxytest.Allow{}, d}}
	o, _, err := g.Open(context.Background(), proxy.OpenRequest{Identity: &other, Target: s.Target, Protocol: "test"})
	require.NoError(t, err)
	defer o.Close(nil)
	_, err = d.Request(context.Background(), o, del("DELETE FROM t"), ops)
	require.NoError(t, err)
	_, err = d.Request(context.Background(), o, del("DELETE FROM t"), ops)
	require.ErrorContains(t, err, "3 operations are already waiting")
	for name, op := range map[string]proxy.Op{
		"long text": del(strings.Repeat("x", 1<<20)), "long argument": del("x", proxy.Arg{Value: make([]byte, 1<<20)}), "many arguments": del("x", make([]proxy.Arg, 5000)...),
		"much in arguments": del("x", slices.Repeat([]proxy.Arg{{Value: make([]byte, 10<<10), Binary: true}}, 100)...),
		"no text":           del(""), "unknown": &proxy.Call{Meta: proxy.Meta{Kind: proxy.KindFunction}},
	} {
		_, err := newDesk().Request(context.Background(), s, op, ops)
		require.Error(t, err, name)
	}
	for name, op := range map[string]proxy.Op{
		"reboot":           &proxy.Exec{Meta: proxy.Meta{Kind: proxy.KindExec}, Command: "reboot"},
		"rename /a /b":     &proxy.File{Meta: proxy.Meta{Kind: proxy.KindFile}, Action: proxy.FileRename, Path: "/a", Target: "/b"},
		"POST h/x?y=1":     &proxy.Request{Meta: proxy.Meta{Kind: proxy.KindRequest}, Method: "POST", Host: "h", Path: "/x", Query: "y=1"},
		"tcp db.local:443": &proxy.Forward{Meta: proxy.Meta{Kind: proxy.KindForward}, Network: "tcp", Host: "db.local", Port: 443},
		// What is something else reads otherwise.
		"listen at tcp db.local:443": &proxy.Forward{Meta: proxy.Meta{Kind: proxy.KindForward}, Listen: true, Network: "tcp", Host: "db.local", Port: 443},
		`rename "/a /b" /c`:          &proxy.File{Meta: proxy.Meta{Kind: proxy.KindFile}, Action: proxy.FileRename, Path: "/a /b", Target: "/c"},
		`rename /a "/b /c"`:          &proxy.File{Meta: proxy.Meta{Kind: proxy.KindFile}, Action: proxy.FileRename, Path: "/a", Target: "/b /c"},
		`rename /a "\"/b"`:           &proxy.File{Meta: proxy.Meta{Kind: proxy.KindFile}, Action: proxy.FileRename, Path: "/a", Target: `"/b`},
		`remove "/a "`:               &proxy.File{Meta: proxy.Meta{Kind: proxy.KindFile}, Action: proxy.FileRemove, Path: "/a "},
	} {
		d := newDesk()
		_, err := d.Request(context.Background(), s, op, ops)
		require.NoError(t, err)
		require.Equal(t, name, d.List()[0].Text)
	}
	_, err = newDesk().Request(context.Background(), s, del("x"), &proxy.Hold{Rules: []string{"a"}, Approvers: [][]string{nil}, For: time.Minute})
	require.Error(t, err, "nobody could decide")
}

// Many decide at once: one decision each, and nobody waits for ever.
func TestConcurrentDecisions(t *testing.T) {
	d := newDesk()
	d.PerRequester = 100
	s := d.session(t, ops)
	var wg sync.WaitGroup
	for range 30 {
		r, verdict := d.asking(t, s, del("DELETE FROM t"))
		won := make(chan bool, 4)
		for i := range 4 {
			wg.Add(1)
			go func() {
				defer wg.Done()
				v := review.Vote{By: person("bob", "ops"), Hash: r.Hash, Reason: "x"}
				if i%2 == 0 {
					won <- d.Approve(r.ID, v) == nil
				} else {
					won <- d.Deny(r.ID, v) == nil
				}
			}()
		}
		<-verdict
		wg.Wait()
		n := 0
		for range 4 {
			if <-won {
				n++
			}
		}
		require.Equal(t, 1, n)
	}
}
