package review_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/internal/teststore"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/proxy/proxytest"
	"github.com/sallyport/sallyport/review"
	"github.com/sallyport/sallyport/store"
)

// desk is one whose transitions are kept: it is the gateway's reviewer and the
// interceptor that records.
type desk struct {
	*review.Desk
	mu     sync.Mutex
	states []string
	notes  []proxy.RequestNote
	fail   error
}

func newDesk(t *testing.T) *desk { return newDeskAt(t, store.NewMemory()) }

func newDeskAt(t *testing.T, s store.Store) *desk {
	t.Helper()
	d := &desk{}
	d.Desk = &review.Desk{Store: s, Note: d.Record, Signer: review.Here}
	require.NoError(t, d.Load(t.Context()))
	return d
}

// approve and deny are what bob does who is one of ops.
func (d *desk) approve(r review.Request) error {
	_, err := d.Approve(context.Background(), r.ID, review.Vote{By: person("bob", "ops"), Hash: r.Hash}, review.Narrow{})
	return err
}

func (d *desk) deny(r review.Request, reason string) error {
	_, err := d.Deny(context.Background(), r.ID, review.Vote{By: person("bob", "ops"), Hash: r.Hash, Reason: reason})
	return err
}

func (*desk) Name() string { return "desk" }

func (*desk) Intercept(context.Context, *proxy.Session) (proxy.Hooks, error) {
	return proxy.Hooks{}, nil
}

func (d *desk) Record(_ context.Context, n *proxy.Note) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.states, d.notes = append(d.states, n.Request.State), append(d.notes, *n.Request)
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
	d := newDesk(t)
	s := d.session(t, ops)
	op := del("DELETE FROM t WHERE a = $1", proxy.Arg{Value: []byte("7")}, proxy.Arg{}, proxy.Arg{Value: []byte{0, 1}, Binary: true})
	r, verdict := d.asking(t, s, op)
	require.Equal(t, "DELETE FROM t WHERE a = $1", r.Text)
	require.Equal(t, []string{`"7"`, "NULL", `\x0001`}, r.Arguments)
	require.Equal(t, s.Identity.Subject, r.Requester)
	require.NoError(t, d.approve(r))
	v := <-verdict
	require.False(t, v.Refuses(), v.Message())
	require.Equal(t, r.ID+" by bob", v.Grant)
	require.Equal(t, "pending approved used", d.told())
	require.Empty(t, d.List())
	got, err := d.Get(t.Context(), r.ID)
	require.NoError(t, err)
	require.Equal(t, review.Used, got.State)
	require.Equal(t, "bob", got.DecidedBy)
	require.Equal(t, s.ID, got.Use.Session)
	require.Equal(t, op.ID, got.Use.Operation)

	// ATTACK 61: an approval is for one operation, once.
	again, verdict := d.asking(t, s, del(r.Text, op.Args...))
	require.NotEqual(t, r.ID, again.ID)
	require.NotEqual(t, r.Hash, again.Hash)
	require.NoError(t, d.deny(again, "not twice"))
	v = <-verdict
	require.True(t, v.Refuses())
	require.Equal(t, proxy.CauseDenied, v.Cause)
	require.Contains(t, v.Message(), "bob denied request "+again.ID+": not twice")
	require.NoError(t, s.Err(), "the session goes on")
}

// Who may not decide, and decisions that come too late.
func TestAttack60Deciders(t *testing.T) {
	d := newDesk(t)
	s := d.session(t, &proxy.Hold{Rules: []string{"a", "b"}, Message: "x", Approvers: [][]string{{"ops"}, {"dba", "leads"}}, For: time.Minute})
	r, verdict := d.asking(t, s, del("DELETE FROM t"))
	me := s.Identity.Subject
	vote := func(by *proxy.Identity, approve bool) error {
		v := review.Vote{By: by, Hash: r.Hash, Reason: "x"}
		if approve {
			_, err := d.Approve(t.Context(), r.ID, v, review.Narrow{})
			return err
		}
		_, err := d.Deny(t.Context(), r.ID, v)
		return err
	}
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
		require.ErrorIs(t, vote(c.by, true), c.want, c.name)
		require.ErrorIs(t, vote(c.by, false), c.want, c.name)
	}
	carol := person("carol", "ops", "leads")
	for _, n := range []review.Narrow{{For: time.Minute}, {Actions: []string{"read"}}} {
		_, err := d.Approve(t.Context(), r.ID, review.Vote{By: carol, Hash: r.Hash}, n)
		require.ErrorIs(t, err, review.ErrAsk, "less of an operation")
	}
	_, err := d.Deny(t.Context(), r.ID, review.Vote{By: carol, Hash: r.Hash, Reason: " "})
	require.ErrorIs(t, err, review.ErrReason)
	_, err = d.Approve(t.Context(), "nothing", review.Vote{By: carol, Hash: r.Hash}, review.Narrow{})
	require.ErrorIs(t, err, review.ErrUnknown)
	require.Equal(t, "pending", d.told())
	require.NoError(t, vote(carol, true))
	require.False(t, (<-verdict).Refuses())
	var decided *review.DecidedError
	require.ErrorAs(t, vote(carol, false), &decided, "deny after approve")
	require.ErrorAs(t, vote(carol, true), &decided, "twice")
	require.Equal(t, "carol", decided.By)
	require.Equal(t, "pending approved used", d.told())
}

// A human does not decide about what her own agent asks.
func TestAttack60OwnAgent(t *testing.T) {
	d := newDesk(t)
	g := &proxy.Gateway{Reviewer: d, Interceptors: []proxy.Interceptor{proxytest.Allow{}, d, holder{ops}}}
	s, connect, err := g.Open(context.Background(), proxy.OpenRequest{
		Identity: &proxy.Identity{Subject: "bot", Kind: proxy.Agent, OnBehalfOf: "alice"},
		Target:   proxy.Target{Resource: &proxy.Resource{Name: "r", Type: "test"}}, Protocol: "test",
	})
	require.NoError(t, err)
	defer s.Close(nil)
	s.Done(connect, &proxy.Outcome{})
	r, verdict := d.asking(t, s, del("DELETE FROM t"))
	_, err = d.Approve(t.Context(), r.ID, review.Vote{By: person("alice", "ops"), Hash: r.Hash}, review.Narrow{})
	require.ErrorIs(t, err, review.ErrOwn)
	s.CancelHolds()
	require.True(t, (<-verdict).Refuses())
}

func TestAttack61ChangedStatement(t *testing.T) {
	d := newDesk(t)
	s := d.session(t, ops)
	op := del("DELETE FROM t WHERE a = $1", proxy.Arg{Value: []byte("7")})
	r, verdict := d.asking(t, s, op)
	for _, seen := range []string{"", strings.Repeat("0", 64), r.Content} {
		unseen := r
		unseen.Hash = seen
		require.ErrorIs(t, d.approve(unseen), review.ErrChanged, "without having seen it")
	}
	op.Args[0].Value = []byte("8") // no handler does; an approval covers what was seen all the same
	require.NoError(t, d.approve(r))
	v := <-verdict
	require.True(t, v.Refuses())
	require.Equal(t, "pending approved lapsed", d.told())

	hashes, contents := map[string]bool{}, map[string]bool{}
	for _, op := range []*proxy.Statement{
		del("DELETE FROM t", proxy.Arg{}), del("DELETE FROM t", proxy.Arg{Value: []byte("NULL")}), del("DELETE FROM t", proxy.Arg{Value: []byte("")}),
		del("DELETE FROM t", proxy.Arg{Value: []byte(""), Binary: true}), del("DELETE FROM t", proxy.Arg{Value: []byte(""), Type: 20}), del("DELETE FROM t"),
	} {
		r, verdict := d.asking(t, s, op)
		require.False(t, hashes[r.Hash])
		require.False(t, contents[r.Content])
		hashes[r.Hash], contents[r.Content] = true, true
		s.CancelHolds()
		require.True(t, (<-verdict).Refuses())
	}
}

// TestLink: who waits is told where her request is shown, by an operation and by connecting.
func TestLink(t *testing.T) {
	d := newDesk(t)
	d.Link = func(id string) string { return "https://gw.example.com/requests/" + id }
	s := d.session(t, ops)
	p, err := d.Request(t.Context(), s, del("DELETE FROM t"), ops)
	require.NoError(t, err)
	require.Equal(t, d.Link(p.ID), p.Link)
	asks := review.Connecting{Terms: review.Terms{
		Rule: "prod", Actions: []string{"connect"}, Stages: []review.Stage{{Approvers: []string{"ops"}, Need: 1}}, For: time.Hour, Max: time.Hour, Decide: time.Hour,
	}, Wait: true}
	p, err = d.Connect(t.Context(), s, ops, asks)
	require.NoError(t, err)
	require.Equal(t, d.Link(p.ID), p.Link)
	asks.Wait = false
	_, err = d.Connect(t.Context(), s, ops, asks)
	require.ErrorContains(t, err, "connect again when it is approved: "+p.Link)
}

// TestHeldInATransaction: a client whose transaction is open is sent away after a short time, so that others do not wait for what that has
// locked; who decides is told; the request waits on, and what is approved meanwhile runs when she sends it again, once.
func TestHeldInATransaction(t *testing.T) {
	within := func(limit, in time.Duration) *proxy.Hold {
		h := *ops
		h.For, h.InTransaction = limit, in
		return &h
	}
	update := func(open bool) *proxy.Statement {
		op := del("DELETE FROM t")
		op.Measurer = &measured{open: open}
		return op
	}
	for name, c := range map[string]struct {
		hold   *proxy.Hold
		open   bool
		leaves time.Duration // after which she is sent away
		stays  bool          // the request does
	}{
		"open":                       {within(time.Hour, 0), true, proxy.DefaultInTransaction, true},
		"open, as the rule says":     {within(time.Hour, 10*time.Minute), true, 10 * time.Minute, true},
		"open, and the rule is less": {within(30*time.Second, 0), true, 30 * time.Second, false},
		"not open":                   {within(time.Hour, 0), false, time.Hour, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDesk(t)
				s := d.session(t, c.hold)
				var told *proxy.Pending
				s.Handle(func(_ proxy.Op, p *proxy.Pending) { told = p }, nil)
				verdict := make(chan *proxy.Verdict, 1)
				begun := time.Now()
				go func() { verdict <- s.Ask(s.Context(), update(c.open)) }()
				synctest.Wait()
				r := d.List()[0]
				require.Equal(t, c.open, strings.Contains(r.Lines(), "locks       a transaction of hers is open"), r.Lines())
				require.Equal(t, begun.Add(c.leaves), told.Deadline, "she is told until when she waits")
				require.Equal(t, c.stays, strings.Contains(told.Message, "because a transaction is open"), told.Message)
				v := <-verdict
				require.True(t, v.Refuses())
				require.Equal(t, c.leaves, time.Since(begun))
				require.NoError(t, s.Err(), "the session goes on")
				if !c.stays {
					require.Contains(t, v.Message(), "in time")
					require.Empty(t, d.List())
					return
				}
				require.Contains(t, v.Message(), "the request waits on until")
				require.Contains(t, v.Remedy, "Roll back, and send the same again")
				require.Len(t, d.List(), 1)
				require.NoError(t, d.approve(r))
				v = s.Ask(s.Context(), update(false))
				require.False(t, v.Refuses(), v.Message())
				require.Equal(t, r.ID+" by bob", v.Grant)
				require.Equal(t, "pending approved used", d.told())
				go func() { verdict <- s.Ask(s.Context(), update(true)) }()
				synctest.Wait()
				require.NotEqual(t, r.ID, d.List()[0].ID, "it has run")
				s.CancelHolds()
				require.True(t, (<-verdict).Refuses())
				require.Contains(t, d.told(), "cancelled")
			})
		})
	}
}

func TestHeldEnds(t *testing.T) {
	t.Run("deadline", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			d := newDesk(t)
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
			require.ErrorAs(t, d.approve(r), &decided)
			require.Equal(t, review.Expired, decided.State)
			require.NoError(t, s.Err())
		})
	})
	t.Run("a vote at the deadline", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			d := newDesk(t)
			s := d.session(t, ops)
			hold, err := d.Request(context.Background(), s, del("DELETE FROM t"), ops)
			require.NoError(t, err)
			r := d.List()[0]
			time.Sleep(time.Minute)
			var decided *review.DecidedError
			require.ErrorAs(t, d.approve(r), &decided, "although nobody has noticed yet")
			ctx, cancel := context.WithCancelCause(context.Background())
			cancel(proxy.ErrDeadline)
			v := hold.Wait(ctx)
			require.True(t, v.Refuses())
		})
	})
	t.Run("cancelled", func(t *testing.T) {
		d := newDesk(t)
		s := d.session(t, ops)
		_, verdict := d.asking(t, s, del("DELETE FROM t"))
		require.Eventually(t, s.CancelHolds, 5*time.Second, time.Millisecond)
		require.True(t, (<-verdict).Refuses())
		require.Equal(t, "pending cancelled", d.told())
	})
	t.Run("session ended", func(t *testing.T) {
		d := newDesk(t)
		s := d.session(t, ops)
		_, verdict := d.asking(t, s, del("DELETE FROM t"))
		s.Kill(errors.New("gone"))
		require.True(t, (<-verdict).Refuses())
		require.Equal(t, "pending cancelled", d.told())
	})
	t.Run("withdrawn elsewhere", func(t *testing.T) {
		d := newDesk(t)
		s := d.session(t, ops)
		r, verdict := d.asking(t, s, del("DELETE FROM t"))
		_, err := d.Cancel(t.Context(), r.ID, person("eve"))
		require.ErrorIs(t, err, review.ErrUnknown)
		_, err = d.Cancel(t.Context(), r.ID, s.Identity)
		require.NoError(t, err)
		require.True(t, (<-verdict).Refuses())
		require.Equal(t, "pending cancelled", d.told())
	})
	t.Run("approved when nobody waits any more", func(t *testing.T) {
		for cause, want := range map[error]string{
			proxy.ErrCanceled:  "pending approved cancelled", // she does not want it any more
			errors.New("gone"): "pending approved lapsed",    // she may come back for it
		} {
			synctest.Test(t, func(t *testing.T) {
				d := newDesk(t)
				go d.Run(t.Context())
				s := d.session(t, ops)
				hold, err := d.Request(context.Background(), s, del("DELETE FROM t"), ops)
				require.NoError(t, err)
				require.NoError(t, d.approve(d.List()[0]))
				ctx, cancel := context.WithCancelCause(context.Background())
				cancel(cause)
				v := hold.Wait(ctx)
				require.True(t, v.Refuses())
				time.Sleep(2 * time.Minute)
				require.Equal(t, want, d.told())
			})
		}
	})
	t.Run("revoked before it ran", func(t *testing.T) {
		d := newDesk(t)
		s := d.session(t, ops)
		hold, err := d.Request(context.Background(), s, del("DELETE FROM t"), ops)
		require.NoError(t, err)
		r := d.List()[0]
		require.NoError(t, d.approve(r))
		_, err = d.Revoke(t.Context(), r.ID, review.Vote{By: person("eve"), Reason: "x"}, false)
		require.ErrorIs(t, err, review.ErrIneligible)
		_, err = d.Revoke(t.Context(), r.ID, review.Vote{By: person("olga", "ops"), Reason: "wait"}, false)
		require.NoError(t, err)
		v := hold.Wait(context.Background())
		require.Contains(t, v.Message(), "revoked by olga: wait")
		require.True(t, v.Refuses())
	})
}

// The gateway ends while a client waits: who comes back and sends the same waits on, and what was approved meanwhile runs once.
func TestHeldSurvives(t *testing.T) {
	del7 := func() proxy.Op { return del("DELETE FROM t WHERE a = $1", proxy.Arg{Value: []byte("7"), Type: 23}) }
	teststore.Each(t, func(t *testing.T, st store.Store) {
		before := newDeskAt(t, st)
		s := before.session(t, ops)
		r, verdict := before.asking(t, s, del7())
		other, _ := before.asking(t, s, del("DELETE FROM u"))
		s.Kill(proxy.ErrShutdown)
		v := <-verdict
		require.True(t, v.Refuses())
		require.Equal(t, "pending pending", before.told())

		after := newDeskAt(t, st) // as after kill -9, which leaves the same
		s = after.session(t, ops)
		require.Len(t, after.List(), 2)
		waits := make(chan string, 10)
		s.Handle(func(_ proxy.Op, p *proxy.Pending) { waits <- p.ID }, nil)
		again := make(chan *proxy.Verdict, 1)
		go func() { again <- s.Ask(s.Context(), del7()) }()
		require.Equal(t, r.ID, <-waits, "the same is waited on")
		require.NoError(t, after.approve(r))
		v = <-again
		require.False(t, v.Refuses(), v.Message())
		require.Equal(t, r.ID+" by bob", v.Grant)

		// What is approved while nobody is there is used by who comes back.
		require.NoError(t, after.approve(other))
		last := newDeskAt(t, st)
		s = last.session(t, ops)
		v = s.Ask(s.Context(), del("DELETE FROM u"))
		require.Equal(t, other.ID+" by bob", v.Grant)
		require.False(t, v.Refuses())
		for _, op := range []proxy.Op{del7(), del("DELETE FROM u")} { // once
			fresh, verdict := last.asking(t, s, op)
			require.NotContains(t, []string{r.ID, other.ID}, fresh.ID)
			s.CancelHolds()
			require.True(t, (<-verdict).Refuses())
		}
	})
}

// What was approved is not used for anything else, by anybody else, or by other rules.
func TestApprovalOfAnother(t *testing.T) {
	approved := func(t *testing.T) *desk {
		d := newDesk(t)
		s := d.session(t, ops)
		r, verdict := d.asking(t, s, del("DELETE FROM t WHERE a = $1", proxy.Arg{Value: []byte("7")}))
		s.Kill(proxy.ErrShutdown)
		<-verdict
		require.NoError(t, d.approve(r))
		return d
	}
	same := func() proxy.Op { return del("DELETE FROM t WHERE a = $1", proxy.Arg{Value: []byte("7")}) }
	t.Run("itself", func(t *testing.T) {
		d := approved(t)
		s := d.session(t, ops)
		require.False(t, s.Ask(s.Context(), same()).Refuses())
	})
	for name, op := range map[string]proxy.Op{
		"another argument": del("DELETE FROM t WHERE a = $1", proxy.Arg{Value: []byte("8")}),
		"another type":     del("DELETE FROM t WHERE a = $1", proxy.Arg{Value: []byte("7"), Type: 25}),
		"another text":     del("DELETE FROM t  WHERE a = $1", proxy.Arg{Value: []byte("7")}),
		"a command":        &proxy.Exec{Meta: proxy.Meta{Kind: proxy.KindExec}, Command: "DELETE FROM t WHERE a = $1"},
	} {
		t.Run(name, func(t *testing.T) {
			d := approved(t)
			s := d.session(t, ops)
			_, verdict := d.asking(t, s, op)
			s.CancelHolds()
			require.True(t, (<-verdict).Refuses())
		})
	}
	// The same text means something else: in other schemas, with a relation of the session's own, read in another way, as another role.
	for name, reading := range map[string]proxy.Reading{
		"another search_path":   {Names: proxy.Names{Path: "evil, public"}},
		"one at login":          {Names: proxy.Names{Login: "evil"}},
		"a temporary relation":  {Names: proxy.Names{Temporary: []*proxy.OwnRelation{{Name: "t"}}}},
		"one of its own":        {Names: proxy.Names{Changed: []*proxy.OwnRelation{{Schema: "public", Name: "t"}}}},
		"backslashes in texts":  {BackslashLiterals: true},
		"a role":                {Names: proxy.Names{Unsure: proxy.UnsureUser}},
		"what is not known":     {Names: proxy.Names{Unsure: proxy.UnsureAnything}},
		"another database":      {Dialect: "mysql", Modes: true, Certain: true, BackslashLiterals: true, Names: proxy.Names{Path: "archive"}},
		"MySQL's other quotes":  {Dialect: "mysql", Modes: true, Certain: true, BackslashLiterals: true, ANSIQuotes: true},
		"MySQL, not certainly":  {Dialect: "mysql", Modes: true, BackslashLiterals: true},
		"MySQL's other escapes": {Dialect: "mysql", Modes: true, Certain: true},
	} {
		t.Run(name, func(t *testing.T) {
			op := same().(*proxy.Statement)
			op.Reading = &reading
			d := approved(t)
			s := d.session(t, ops)
			r, verdict := d.asking(t, s, op)
			require.Contains(t, r.Lines(), "names ", "who decides is told")
			// And the other way round: in the session that asked for it, it is used; in one that has just begun it is not.
			require.NoError(t, d.approve(r))
			require.False(t, (<-verdict).Refuses())
			again := same().(*proxy.Statement)
			again.Reading = &reading
			r, verdict = d.asking(t, s, again)
			s.Kill(proxy.ErrShutdown)
			<-verdict
			require.NoError(t, d.approve(r))
			s = d.session(t, ops)
			require.NotEqual(t, r.ID+" by bob", s.Ask(s.Context(), same()).Grant)
			// In another session of the same meaning it is used where that is all of it.
			third := same().(*proxy.Statement)
			third.Reading = &reading
			if !r.Bound {
				require.Equal(t, r.ID+" by bob", s.Ask(s.Context(), third).Grant)
				return
			}
			_, verdict = d.asking(t, s, third)
			s.CancelHolds()
			require.True(t, (<-verdict).Refuses())
		})
	}
	for name, hold := range map[string]*proxy.Hold{
		"another rule":    {Rules: []string{"bigger"}, Message: ops.Message, Approvers: ops.Approvers, For: ops.For},
		"other approvers": {Rules: ops.Rules, Message: ops.Message, Approvers: [][]string{{"ops", "dba"}}, For: ops.For},
		"one more rule":   {Rules: []string{"big", "more"}, Message: ops.Message, Approvers: [][]string{{"ops"}, {"ops"}}, For: ops.For},
	} {
		t.Run(name, func(t *testing.T) {
			d := approved(t)
			s := d.session(t, hold)
			_, verdict := d.asking(t, s, same())
			s.CancelHolds()
			require.True(t, (<-verdict).Refuses())
		})
	}
	t.Run("who approved it left the group", func(t *testing.T) {
		d := approved(t)
		d.Who = func(_ context.Context, subject string) (*proxy.Identity, error) { return person(subject, "dev"), nil }
		s := d.session(t, ops)
		v := s.Ask(s.Context(), same())
		require.True(t, v.Refuses())
		require.Contains(t, v.Message(), "has lapsed")
	})
	t.Run("whether she is still there is not known", func(t *testing.T) {
		d := approved(t)
		d.Who = func(context.Context, string) (*proxy.Identity, error) { return nil, proxy.ErrUnavailable }
		s := d.session(t, ops)
		require.True(t, s.Ask(s.Context(), same()).Refuses())
		d.Who = nil
		require.False(t, s.Ask(s.Context(), same()).Refuses(), "it was not used")
	})
}

// What is used at two gateways at once runs once.
func TestUsedOnce(t *testing.T) {
	teststore.Each(t, func(t *testing.T, st store.Store) {
		before := newDeskAt(t, st)
		s := before.session(t, ops)
		r, verdict := before.asking(t, s, del("DELETE FROM t"))
		s.Kill(proxy.ErrShutdown)
		<-verdict
		verdicts := make(chan *proxy.Verdict, 3)
		var desks []*desk
		for range cap(verdicts) {
			d := newDeskAt(t, st)
			desks = append(desks, d)
			s := d.session(t, ops)
			waits := make(chan string, 1)
			s.Handle(func(_ proxy.Op, p *proxy.Pending) { waits <- p.ID }, nil)
			go func() { verdicts <- s.Ask(s.Context(), del("DELETE FROM t")) }()
			require.Equal(t, r.ID, <-waits)
		}
		require.NoError(t, desks[0].approve(r))
		for _, d := range desks[1:] {
			require.NoError(t, d.Follow(t.Context(), r.ID))
		}
		ran := 0
		for range desks {
			if v := <-verdicts; !v.Refuses() {
				ran++
			} else {
				require.Contains(t, v.Message(), "has run in another session of yours")
			}
		}
		require.Equal(t, 1, ran)
	})
}

// What cannot be recorded is neither asked, approved nor run; refusing goes on.
func TestUnrecordedHold(t *testing.T) {
	d := newDesk(t)
	fails := func(err error) {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.fail = err
	}
	s := d.session(t, ops)
	r, verdict := d.asking(t, s, del("DELETE FROM t"))
	fails(errors.New("the disk is full"))
	require.ErrorContains(t, d.approve(r), "could not be recorded")
	require.Len(t, d.List(), 1)
	v := s.Ask(s.Context(), del("DELETE FROM u"))
	require.True(t, v.Refuses())
	require.Contains(t, v.Message(), "could not be recorded")
	require.Len(t, d.List(), 1)
	require.NoError(t, d.deny(r, "no"))
	require.True(t, (<-verdict).Refuses())

	fails(nil)
	hold, err := d.Request(t.Context(), s, del("DELETE FROM t"), ops)
	require.NoError(t, err)
	require.NoError(t, d.approve(d.List()[0]))
	fails(errors.New("the disk is full"))
	v2 := hold.Wait(t.Context())
	require.True(t, v2.Refuses())
	fails(nil)
	require.False(t, s.Ask(s.Context(), del("DELETE FROM t")).Refuses(), "it was not used")
}

func TestHoldBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		s := d.session(t, ops)
		for range review.MaxPerRequester {
			_, err := d.Request(t.Context(), s, del("DELETE FROM t"), ops)
			require.NoError(t, err)
		}
		_, err := d.Request(t.Context(), s, del("DELETE FROM t"), ops)
		require.ErrorContains(t, err, "you already have 10 operations")
		for i := review.MaxPerRequester; i < review.MaxHeld; i++ {
			require.NoError(t, d.deny(d.List()[0], "no"))
			_, err := d.Request(t.Context(), s, del("DELETE FROM t"), ops)
			require.NoError(t, err)
		}
		require.NoError(t, d.deny(d.List()[0], "no"))
		_, err = d.Request(t.Context(), s, del("DELETE FROM t"), ops)
		require.ErrorContains(t, err, "100 of your operations were held within 10 minutes")
		time.Sleep(review.AskedWithin)
		_, err = d.Request(t.Context(), s, del("DELETE FROM u"), ops)
		require.NoError(t, err)
	})
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		for i := range review.MaxPending {
			s := *proxytest.Session(t)
			id := *s.Identity
			id.Subject = fmt.Sprint("person", i/review.MaxPerRequester)
			s.Identity = &id
			_, err := d.Request(t.Context(), &s, del("DELETE FROM t"), ops)
			require.NoError(t, err)
		}
		_, err := d.Request(t.Context(), d.session(t, ops), del("DELETE FROM t"), ops)
		require.ErrorContains(t, err, "1000 requests wait already")
	})
}

// What is held is shown as it is, or refused.
func TestShown(t *testing.T) {
	s := proxytest.Session(t)
	for name, op := range map[string]proxy.Op{
		"long text": del(strings.Repeat("x", 1<<20)), "long argument": del("x", proxy.Arg{Value: make([]byte, 1<<20)}), "many arguments": del("x", make([]proxy.Arg, 5000)...),
		"much in arguments":   del("x", slices.Repeat([]proxy.Arg{{Value: make([]byte, 10<<10), Binary: true}}, 100)...),
		"much that is quoted": del("x", slices.Repeat([]proxy.Arg{{Value: make([]byte, 16<<10)}}, 15)...),
		"no text":             del(""), "unknown": &proxy.Call{Meta: proxy.Meta{Kind: proxy.KindFunction}},
	} {
		_, err := newDesk(t).Request(context.Background(), s, op, ops)
		require.Error(t, err, name)
	}
	for name, op := range map[string]proxy.Op{
		"reboot":           &proxy.Exec{Meta: proxy.Meta{Kind: proxy.KindExec}, Command: "reboot"},
		"rename /a /b":     &proxy.File{Meta: proxy.Meta{Kind: proxy.KindFile}, Action: proxy.FileRename, Path: "/a", Target: "/b"},
		"POST h/x?y=1":     &proxy.Request{Meta: proxy.Meta{Kind: proxy.KindRequest}, Method: "POST", Host: "h", Path: "/x", Query: "y=1"},
		"tcp db.local:443": &proxy.Forward{Meta: proxy.Meta{Kind: proxy.KindForward}, Network: "tcp", Host: "db.local", Port: 443},
		// What is something else reads otherwise.
		"listen at tcp db.local:443":                                     &proxy.Forward{Meta: proxy.Meta{Kind: proxy.KindForward}, Listen: true, Network: "tcp", Host: "db.local", Port: 443},
		"connect to tcp cache:6379, without anybody seeing what is sent": &proxy.Forward{Meta: proxy.Meta{Kind: proxy.KindForward}, Opaque: true, Network: "tcp", Host: "cache", Port: 6379},
		`rename "/a /b" /c`:                                              &proxy.File{Meta: proxy.Meta{Kind: proxy.KindFile}, Action: proxy.FileRename, Path: "/a /b", Target: "/c"},
		`rename /a "/b /c"`:                                              &proxy.File{Meta: proxy.Meta{Kind: proxy.KindFile}, Action: proxy.FileRename, Path: "/a", Target: "/b /c"},
		`rename /a "\"/b"`:                                               &proxy.File{Meta: proxy.Meta{Kind: proxy.KindFile}, Action: proxy.FileRename, Path: "/a", Target: `"/b`},
		`remove "/a "`:                                                   &proxy.File{Meta: proxy.Meta{Kind: proxy.KindFile}, Action: proxy.FileRemove, Path: "/a "},
	} {
		d := newDesk(t)
		_, err := d.Request(context.Background(), s, op, ops)
		require.NoError(t, err)
		require.Equal(t, name, d.List()[0].Text)
	}
	// Binary values are read as text where the handler can tell it, and are never taken for a text.
	d := newDesk(t)
	_, err := d.Request(context.Background(), s, del("x", proxy.Arg{Value: []byte{0, 0, 0, 10}, Binary: true, Text: []byte("10"), Type: 23}, proxy.Arg{Value: []byte("10")},
		proxy.Arg{Value: []byte{0, 10}, Binary: true}, proxy.Arg{Value: []byte{1}, Binary: true, Text: []byte("\x1b\u202e")}), ops)
	require.NoError(t, err)
	require.Equal(t, []string{`\x0000000a (10)`, `"10"`, `\x000a`, `\x01 ("\x1b\u202e")`}, d.List()[0].Arguments)
	_, err = newDesk(t).Request(context.Background(), s, del("x"), &proxy.Hold{Rules: []string{"a"}, Approvers: [][]string{nil}, For: time.Minute})
	require.Error(t, err, "nobody could decide")
}

// A stolen copy of the store does not show what is held.
func TestHeldIsSealed(t *testing.T) {
	st := store.NewMemory()
	sealer, err := identity.NewSealer(bytes.Repeat([]byte{1}, 32))
	require.NoError(t, err)
	told := make(teller, 1)
	post := &review.Outbox{Store: st, Sealer: sealer}
	require.NoError(t, post.Use([]review.Channel{{Name: "chat", Version: "1", Notifier: told}}))
	open := func() *desk {
		d := &desk{}
		d.Desk = &review.Desk{Store: st, Note: d.Record, Sealer: sealer, Told: post.Writes}
		require.NoError(t, d.Load(t.Context()))
		return d
	}
	d := open()
	s := d.session(t, ops)
	_, err = d.Request(t.Context(), s, del("DELETE FROM marzipan WHERE a = $1", proxy.Arg{Value: []byte("nougat")}), ops)
	require.NoError(t, err)
	for _, kind := range []string{review.KindRequest, review.KindNotice} {
		n := 0
		for doc, err := range store.All(t.Context(), st, kind, "") {
			require.NoError(t, err)
			require.NotContains(t, string(doc.Body), "marzipan")
			require.NotContains(t, string(doc.Body), "nougat")
			require.NotContains(t, string(doc.Body), d.List()[0].Content, "which could be tried on what is guessed")
			n++
		}
		require.Equal(t, 1, n, kind)
	}
	go post.Run(t.Context())
	require.Equal(t, "DELETE FROM marzipan WHERE a = $1", (<-told).Request.Text)
	for _, d := range []*desk{d, open()} {
		r := d.List()[0]
		require.Equal(t, "DELETE FROM marzipan WHERE a = $1", r.Text)
		require.Equal(t, []string{`"nougat"`}, r.Arguments)
		got, err := d.Get(t.Context(), r.ID)
		require.NoError(t, err)
		require.Equal(t, r, *got)
	}
	// One that is sealed by another key grants nothing.
	sealer, err = identity.NewSealer(bytes.Repeat([]byte{2}, 32))
	require.NoError(t, err)
	require.Empty(t, open().List())
}

// veil hides the word nougat from approvers.
type veil struct{}

func (veil) Name() string { return "veil" }

func (veil) Intercept(context.Context, *proxy.Session) (proxy.Hooks, error) {
	return proxy.Hooks{Conceal: func(_ context.Context, op proxy.Op) *proxy.Concealed {
		st := op.(*proxy.Statement)
		if !bytes.Contains(st.Text, []byte("nougat")) {
			return nil
		}
		hide := func(b []byte) []byte { return bytes.ReplaceAll(b, []byte("nougat"), []byte("[SWEET]")) }
		out := &proxy.Concealed{Types: []string{"SWEET"}}
		out.Text = hide(st.Text)
		for _, a := range st.Args {
			out.Args = append(out.Args, proxy.Arg{Value: hide(a.Value)})
		}
		return out
	}}, nil
}

// Approvers do not read what is masked for them, unless the rules let them, on record. What runs is what was asked for.
func TestConcealed(t *testing.T) {
	for _, sealed := range []bool{false, true} {
		t.Run(fmt.Sprint("sealed ", sealed), func(t *testing.T) {
			st := store.NewMemory()
			told := make(teller, 10)
			post := &review.Outbox{Store: st}
			require.NoError(t, post.Use([]review.Channel{{Name: "chat", Version: "1", Notifier: told}}))
			go post.Run(t.Context())
			open := func() *desk {
				d := &desk{}
				d.Desk = &review.Desk{Store: st, Note: d.Record, Told: post.Writes}
				if sealed {
					var err error
					d.Sealer, err = identity.NewSealer(bytes.Repeat([]byte{1}, 32))
					require.NoError(t, err)
				}
				require.NoError(t, d.Load(t.Context()))
				return d
			}
			d := open()
			session := func(h *proxy.Hold) *proxy.Session {
				s, err := proxytest.Open(&proxy.Gateway{Reviewer: d}, d, veil{}, holder{h})
				require.NoError(t, err)
				t.Cleanup(func() { s.Close(nil) })
				return s
			}
			statement := func() *proxy.Statement {
				return del("DELETE FROM t WHERE a = 'nougat' OR b = $1", proxy.Arg{Value: []byte("more nougat")})
			}
			asks := func(s *proxy.Session) (review.Request, <-chan *proxy.Verdict) {
				waits, verdict := make(chan string, 1), make(chan *proxy.Verdict, 1)
				s.Handle(func(_ proxy.Op, p *proxy.Pending) { waits <- p.ID }, nil)
				go func() { verdict <- s.Ask(s.Context(), statement()) }()
				r, err := d.Get(t.Context(), <-waits)
				require.NoError(t, err)
				return *r, verdict
			}
			vote := func(r review.Request) review.Vote {
				return review.Vote{By: person("bob", "ops"), Hash: r.Hash, Channel: "test"}
			}

			s := session(ops)
			r, verdict := asks(s)
			require.Equal(t, "DELETE FROM t WHERE a = '[SWEET]' OR b = $1", r.Text)
			require.Equal(t, []string{`"more [SWEET]"`}, r.Arguments)
			require.Equal(t, []string{"SWEET"}, r.Hidden)
			require.NotContains(t, fmt.Sprint(r.Lines(), (<-told).Request.Text), "nougat")
			_, err := d.Reveal(t.Context(), r.ID, vote(r))
			require.ErrorIs(t, err, review.ErrIneligible)
			require.ErrorContains(t, err, "rule big does not allow it")
			s.Kill(proxy.ErrShutdown)
			<-verdict

			// Another gateway knows what it is, and lets it run as it is.
			d = open()
			s = session(ops)
			again, verdict := asks(s)
			require.Equal(t, r.ID, again.ID)
			require.NoError(t, d.approve(again))
			require.False(t, (<-verdict).Refuses())

			reveals := *ops
			reveals.Reveal = true
			s = session(&reveals)
			r, verdict = asks(s)
			require.Contains(t, r.Lines(), "SWEET; approvers may have it shown")
			for _, who := range []*proxy.Identity{person("alice", "ops"), person("eve", "dev")} {
				_, err := d.Reveal(t.Context(), r.ID, review.Vote{By: who, Hash: r.Hash})
				require.Error(t, err)
			}
			require.NotContains(t, d.told(), "revealed")
			shown, err := d.Reveal(t.Context(), r.ID, vote(r))
			require.NoError(t, err)
			require.Equal(t, "DELETE FROM t WHERE a = 'nougat' OR b = $1", shown.Text)
			require.Equal(t, []string{`"more nougat"`}, shown.Arguments)
			require.Empty(t, shown.Hidden)
			require.Equal(t, r.Hash, shown.Hash)
			require.Contains(t, d.told(), "revealed")
			got, err := d.Get(t.Context(), r.ID)
			require.NoError(t, err)
			require.NotContains(t, got.Text, "nougat", "it is shown to who asks")
			d.mu.Lock()
			d.fail = errors.New("the disk is full")
			d.mu.Unlock()
			shown, err = d.Reveal(t.Context(), r.ID, vote(r))
			require.Error(t, err)
			require.Nil(t, shown)
			require.NoError(t, d.deny(r, "no"))
			require.True(t, (<-verdict).Refuses())
			_, err = d.Reveal(t.Context(), r.ID, vote(r))
			require.Error(t, err, "it is over")
		})
	}
}

// teller is a channel whose notices a test reads.
type teller chan *review.Notice

func (c teller) Notify(_ context.Context, n *review.Notice) error {
	c <- n
	return nil
}

// Many decide at once: one decision each, and nobody waits for ever.
func TestConcurrentDecisions(t *testing.T) {
	d := newDesk(t)
	s := d.session(t, ops)
	var wg sync.WaitGroup
	for range 30 {
		r, verdict := d.asking(t, s, del("DELETE FROM t"))
		won := make(chan bool, 4)
		for i := range 4 {
			wg.Add(1)
			go func() {
				defer wg.Done()
				if i%2 == 0 {
					won <- d.approve(r) == nil
				} else {
					won <- d.deny(r, "x") == nil
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

// Whatever happens at the same moment at two gateways, an operation runs at most once, and only when the request says that it was
// used by that session.
func TestHeldRaces(t *testing.T) {
	for _, k := range teststore.Kinds() {
		t.Run(k.Name, func(t *testing.T) {
			st := k.Open(t)
			rounds := 100
			if k.Name != teststore.Memory {
				rounds = 15
			}
			outcomes := make(map[review.State]int)
			for range rounds {
				gateways := []*desk{newDeskAt(t, st), newDeskAt(t, st)}
				follow := func(id string) {
					for _, g := range gateways {
						require.NoError(t, g.Follow(t.Context(), id))
					}
				}
				// Her first session ends with its gateway, and two others wait on the same request.
				s := gateways[0].session(t, ops)
				r, lost := gateways[0].asking(t, s, del("DELETE FROM t"))
				s.Kill(proxy.ErrShutdown)
				<-lost
				follow(r.ID)
				verdicts := make(chan *proxy.Verdict, 2)
				sessions := make(map[string]bool)
				var leaves context.CancelFunc
				var left atomic.Bool
				for i, g := range gateways {
					s := g.session(t, ops)
					sessions[s.ID] = true
					waits := make(chan string, 1)
					s.Handle(func(_ proxy.Op, p *proxy.Pending) { waits <- p.ID }, nil)
					ctx := s.Context()
					if i == 0 {
						ctx, leaves = context.WithCancel(ctx)
					}
					go func() { verdicts <- s.Ask(ctx, del("DELETE FROM t")) }()
					require.Equal(t, r.ID, <-waits)
				}
				steps := []func(){
					func() { _ = gateways[0].approve(r) },
					func() { _ = gateways[1].approve(r) },
					func() { _ = gateways[1].deny(r, "no") },
					func() {
						_, _ = gateways[0].Revoke(t.Context(), r.ID, review.Vote{By: person("bob", "ops"), Reason: "after all"}, false)
					},
					func() { left.Store(true); leaves() },
				}
				rand.Shuffle(len(steps), func(i, j int) { steps[i], steps[j] = steps[j], steps[i] })
				var wg sync.WaitGroup
				for _, step := range steps[:1+rand.IntN(len(steps))] {
					wg.Go(step)
				}
				wg.Wait()
				follow(r.ID)
				_ = gateways[0].deny(r, "the end") // where nobody has decided
				follow(r.ID)
				ran := 0
				for range 2 {
					if v := <-verdicts; !v.Refuses() {
						ran++
					}
				}
				leaves()
				final, err := gateways[1].Get(t.Context(), r.ID)
				require.NoError(t, err)
				outcomes[final.State]++
				require.LessOrEqual(t, ran, 1)
				if left.Load() { // as it was used, perhaps, and then it has not run
					require.True(t, ran == 0 || final.State == review.Used, final.State)
				} else {
					require.Equal(t, final.State == review.Used, ran == 1, final.State)
				}
				if final.Use != nil {
					require.True(t, sessions[final.Use.Session])
				}
			}
			t.Log(outcomes)
		})
	}
}
