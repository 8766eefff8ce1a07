package review

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/testserver"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/store"
)

func TestMain(m *testing.M) { testserver.Main(m) }

// people are who there is, by subject.
type people struct {
	mu  sync.Mutex
	ids map[string]*proxy.Identity
	err error
}

func everybody() *people {
	p := &people{ids: make(map[string]*proxy.Identity)}
	for name, groups := range map[string][]string{"alice": {"dev"}, "olga": {"ops"}, "otto": {"ops"}, "sven": {"security"}, "both": {"ops", "security"}, "eve": {"dev"}} {
		p.ids[name] = &proxy.Identity{Subject: name, Name: strings.ToUpper(name), Groups: groups, Method: proxy.MethodOIDC}
	}
	return p
}

func (p *people) who(_ context.Context, subject string) (*proxy.Identity, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err != nil {
		return nil, p.err
	}
	if id := p.ids[subject]; id != nil {
		return id, nil
	}
	return nil, errors.New("nobody of this name")
}

// desk is one at a store, with what it has noted.
type desk struct {
	*Desk
	people *people
	mu     sync.Mutex
	notes  []string
	fails  error // of notes
}

func openDesk(t *testing.T, s store.Store, p *people) *desk {
	t.Helper()
	d := &desk{people: p}
	d.Desk = &Desk{Store: s, Who: p.who, Signer: Here, Note: func(_ context.Context, n *proxy.Note) error {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.fails != nil {
			return d.fails
		}
		d.notes = append(d.notes, n.Request.State+" "+n.Request.DecidedBy)
		return nil
	}}
	require.NoError(t, d.Load(t.Context()))
	return d
}

var (
	vm    = proxy.Target{Resource: &proxy.Resource{Name: "vm1"}, Account: proxy.Account{Name: "app"}}
	terms = Terms{
		Rule: "prod", Actions: []string{"connect", "exec", "shell"}, Stages: []Stage{{Approvers: []string{"ops"}, Need: 1}},
		For: time.Hour, Max: 8 * time.Hour, Decide: 8 * time.Hour,
	}
)

func two(t Terms) Terms {
	t.Stages = []Stage{{Approvers: []string{"ops"}, Need: 2}, {Approvers: []string{"security"}, Need: 1}}
	return t
}

func (d *desk) asks(t *testing.T, terms Terms, change func(*Ask)) *Request {
	t.Helper()
	a := Ask{Resource: "vm1", Terms: terms, Reason: "INC-4711"}
	if change != nil {
		change(&a)
	}
	r, err := d.Ask(t.Context(), d.people.ids["alice"], a)
	require.NoError(t, err)
	return r
}

func (d *desk) vote(r *Request, by string) Vote {
	return Vote{By: d.people.ids[by], Hash: r.Hash, Channel: "test", Reason: "because"}
}

func (d *desk) touches(t *testing.T) {
	t.Helper()
	_, err := d.touch(t.Context())
	require.NoError(t, err)
}

// granted is the request by which alice has the rule.
func (d *desk) granted(rule string) string {
	id, _, _, ok := d.Granted(d.people.ids["alice"], vm, rule)
	if !ok {
		return ""
	}
	return id
}

func TestAccessIsGranted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := store.NewMemory()
		one, two := openDesk(t, s, everybody()), openDesk(t, s, everybody())
		r := one.asks(t, terms, nil)
		require.Equal(t, Pending, r.State)
		require.Equal(t, "connect, exec, shell at vm1 for 1h0m0s", r.Text)
		require.Equal(t, [][]string{{"ops"}}, r.Approvers)
		require.Equal(t, r.ID, one.asks(t, terms, nil).ID, "the same is not asked for twice")
		require.Empty(t, one.granted("prod"))
		version := two.Version()
		time.Sleep(10 * time.Minute)
		got, err := two.Approve(t.Context(), r.ID, two.vote(r, "olga"), Narrow{})
		require.NoError(t, err)
		require.Equal(t, Approved, got.State)
		require.Equal(t, time.Hour, got.Access.Grant.Until.Sub(got.Access.Grant.From))
		require.WithinDuration(t, time.Now(), got.Access.Grant.From, time.Millisecond, "the clock starts at the grant")
		require.Equal(t, r.ID, two.granted("prod"))
		require.NotEqual(t, version, two.Version())
		require.Empty(t, one.granted("prod"), "it has not heard")
		one.touches(t)
		require.NoError(t, one.Follow(t.Context(), r.ID))
		require.Equal(t, r.ID, one.granted("prod"))
		require.Empty(t, one.granted("other"))
		_, _, _, ok := one.Granted(one.people.ids["eve"], vm, "prod")
		require.False(t, ok)
		other := vm
		other.Resource = &proxy.Resource{Name: "vm2"}
		_, _, _, ok = one.Granted(one.people.ids["alice"], other, "prod")
		require.False(t, ok)
		require.Equal(t, []string{"pending "}, one.notes)
		require.Equal(t, []string{"approved olga"}, two.notes)
		time.Sleep(59 * time.Minute)
		one.touches(t)
		require.Equal(t, r.ID, one.granted("prod"))
		time.Sleep(time.Minute)
		one.touches(t)
		require.Empty(t, one.granted("prod"), "to the second")
	})
}

func TestAccount(t *testing.T) {
	d := openDesk(t, store.NewMemory(), everybody())
	r := d.asks(t, terms, func(a *Ask) { a.Account = "app" })
	_, err := d.Approve(t.Context(), r.ID, d.vote(r, "olga"), Narrow{})
	require.NoError(t, err)
	require.Equal(t, r.ID, d.granted("prod"))
	root := vm
	root.Account.Name = "root"
	_, _, _, ok := d.Granted(d.people.ids["alice"], root, "prod")
	require.False(t, ok)
}

func TestVotes(t *testing.T) {
	d := openDesk(t, store.NewMemory(), everybody())
	r := d.asks(t, two(terms), nil)
	for _, c := range []struct {
		by  string
		err error
	}{{"alice", ErrOwn}, {"eve", ErrIneligible}, {"sven", ErrIneligible}} {
		_, err := d.Approve(t.Context(), r.ID, d.vote(r, c.by), Narrow{})
		require.ErrorIs(t, err, c.err, c.by)
	}
	agent := *d.people.ids["olga"]
	agent.Kind = proxy.Agent
	_, err := d.Approve(t.Context(), r.ID, Vote{By: &agent, Hash: r.Hash}, Narrow{})
	require.ErrorIs(t, err, ErrIneligible)
	_, err = d.Approve(t.Context(), r.ID, Vote{By: d.people.ids["olga"], Hash: "another"}, Narrow{})
	require.ErrorIs(t, err, ErrChanged)

	got, err := d.Approve(t.Context(), r.ID, d.vote(r, "both"), Narrow{})
	require.NoError(t, err)
	require.Equal(t, Pending, got.State)
	_, err = d.Approve(t.Context(), r.ID, d.vote(r, "both"), Narrow{})
	require.ErrorContains(t, err, "you have approved this request already")
	got, err = d.Approve(t.Context(), r.ID, d.vote(r, "olga"), Narrow{})
	require.NoError(t, err)
	require.Equal(t, [][]string{{"security"}}, got.Approvers, "the next stage")
	_, err = d.Approve(t.Context(), r.ID, d.vote(r, "both"), Narrow{})
	require.ErrorIs(t, err, ErrIneligible, "one person in two groups is one vote")
	_, err = d.Approve(t.Context(), r.ID, d.vote(r, "otto"), Narrow{})
	require.ErrorIs(t, err, ErrIneligible, "of another stage")
	got, err = d.Approve(t.Context(), r.ID, d.vote(r, "sven"), Narrow{})
	require.NoError(t, err)
	require.Equal(t, Approved, got.State)
	require.Equal(t, []string{"pending ", "voted both", "voted olga", "approved sven"}, d.notes)
	_, err = d.Approve(t.Context(), r.ID, d.vote(r, "otto"), Narrow{})
	var decided *DecidedError
	require.ErrorAs(t, err, &decided, "approving again does not extend it")
}

// TestLostVotes: the vote of somebody who is not an approver any more does not count.
func TestLostVotes(t *testing.T) {
	d := openDesk(t, store.NewMemory(), everybody())
	r := d.asks(t, two(terms), nil)
	for _, by := range []string{"olga", "otto"} {
		_, err := d.Approve(t.Context(), r.ID, d.vote(r, by), Narrow{})
		require.NoError(t, err)
	}
	d.people.ids["otto"] = &proxy.Identity{Subject: "otto"}
	d.people.err = proxy.ErrUnavailable
	_, err := d.Approve(t.Context(), r.ID, d.vote(r, "sven"), Narrow{})
	require.ErrorIs(t, err, proxy.ErrUnavailable, "who cannot be asked about is not counted")
	d.people.err = nil
	got, err := d.Approve(t.Context(), r.ID, d.vote(r, "sven"), Narrow{})
	require.NoError(t, err)
	require.Equal(t, Pending, got.State)
	require.Equal(t, [][]string{{"ops"}}, got.Approvers)
	got, err = d.Approve(t.Context(), r.ID, d.vote(r, "both"), Narrow{})
	require.NoError(t, err)
	require.Equal(t, Approved, got.State)
	require.True(t, got.Access.Votes[1].Lost)
}

func TestNarrow(t *testing.T) {
	d := openDesk(t, store.NewMemory(), everybody())
	r := d.asks(t, two(terms), func(a *Ask) { a.For = 2 * time.Hour })
	for _, n := range []Narrow{{For: 3 * time.Hour}, {For: time.Second}, {For: -time.Hour}, {Actions: []string{"all"}}} {
		_, err := d.Approve(t.Context(), r.ID, d.vote(r, "olga"), n)
		require.ErrorIs(t, err, ErrAsk)
	}
	left, err := d.Approve(t.Context(), r.ID, d.vote(r, "olga"), Narrow{For: time.Hour, Actions: []string{"exec"}})
	require.NoError(t, err)
	_, err = d.Approve(t.Context(), r.ID, d.vote(r, "otto"), Narrow{})
	require.ErrorIs(t, err, ErrChanged, "who approves next sees what is left")
	_, err = d.Approve(t.Context(), r.ID, d.vote(left, "otto"), Narrow{For: 2 * time.Hour})
	require.ErrorIs(t, err, ErrAsk, "and gives nothing back")
	_, err = d.Approve(t.Context(), r.ID, d.vote(left, "otto"), Narrow{})
	require.NoError(t, err)
	got, err := d.Approve(t.Context(), r.ID, d.vote(left, "sven"), Narrow{})
	require.NoError(t, err)
	require.Equal(t, []string{"connect", "exec"}, got.Access.Grant.Actions)
	require.Equal(t, time.Hour, got.Access.Grant.Until.Sub(got.Access.Grant.From))
}

// TestNarrowRows: an approver bounds the rows of what she grants where somebody counts them, the next one bounds them no wider, and the
// bound is part of what is decided about, signed, and kept by what follows from it.
func TestNarrowRows(t *testing.T) {
	d := openDesk(t, store.NewMemory(), everybody())
	r := d.asks(t, two(terms), nil)
	_, err := d.Approve(t.Context(), r.ID, d.vote(r, "olga"), Narrow{Rows: 100})
	require.ErrorIs(t, err, ErrAsk)
	require.ErrorContains(t, err, "nobody counts rows at vm1")
	d.CountsRows = func(resource string) bool { return resource == "vm1" }
	_, err = d.Approve(t.Context(), r.ID, d.vote(r, "olga"), Narrow{Rows: MaxRows + 1})
	require.ErrorContains(t, err, "want at most")
	left, err := d.Approve(t.Context(), r.ID, d.vote(r, "olga"), Narrow{Rows: 100})
	require.NoError(t, err)
	require.NotEqual(t, r.Hash, left.Hash)
	require.Contains(t, left.Lines(), "rows        at most 100 rows, returned or changed, in all sessions together\n")
	require.Contains(t, left.Lines(), ", at most 100 rows: because")
	_, err = d.Approve(t.Context(), r.ID, d.vote(r, "otto"), Narrow{})
	require.ErrorIs(t, err, ErrChanged, "who approves next sees what is left")
	_, err = d.Approve(t.Context(), r.ID, d.vote(left, "otto"), Narrow{Rows: 101})
	require.ErrorContains(t, err, "more than the 100 that another approver has left")
	_, err = d.Approve(t.Context(), r.ID, d.vote(left, "otto"), Narrow{Rows: 50})
	require.NoError(t, err)
	left, err = d.Edit(t.Context(), r.ID, d.people.ids["alice"], two(terms), Change{For: 30 * time.Minute})
	require.NoError(t, err)
	require.Equal(t, uint64(50), left.Access.Rows, "the requester does not take it off")
	got, err := d.Approve(t.Context(), r.ID, d.vote(left, "sven"), Narrow{})
	require.NoError(t, err)
	require.Equal(t, Approved, got.State)
	signed, err := d.Signer.OpenGrant(t.Context(), got.Signed)
	require.NoError(t, err)
	require.Equal(t, uint64(50), signed.Rows)
	_, g, _, ok := d.Granted(d.people.ids["alice"], vm, "prod")
	require.True(t, ok)
	require.Equal(t, uint64(50), g.Rows)
	require.True(t, g.Ends.Equal(got.Access.Grant.Until))

	more, err := d.Extend(t.Context(), d.people.ids["alice"], r.ID, two(terms), time.Hour, "INC-2", "")
	require.NoError(t, err)
	require.Equal(t, uint64(50), more.Access.Rows, "more time does not widen the bound")

	free := d.asks(t, terms, func(a *Ask) { a.For = 10 * time.Minute })
	_, err = d.Approve(t.Context(), free.ID, d.vote(free, "olga"), Narrow{})
	require.NoError(t, err)
	request, g, _, ok := d.Granted(d.people.ids["alice"], vm, "prod")
	require.True(t, ok)
	require.Equal(t, free.ID, request, "what bounds no rows comes before what lasts longer")
	require.Zero(t, g.Rows)
}

// TestNarrowLate: what would be over already is not granted, and what is left of a time that is fixed does not wait beyond its end.
func TestNarrowLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := openDesk(t, store.NewMemory(), everybody())
		begins := time.Now().Add(time.Minute)
		r := d.asks(t, two(terms), func(a *Ask) { a.For, a.From = 2*time.Hour, begins })
		time.Sleep(21 * time.Minute)
		_, err := d.Approve(t.Context(), r.ID, d.vote(r, "olga"), Narrow{For: 20 * time.Minute})
		require.ErrorIs(t, err, ErrAsk)
		require.ErrorContains(t, err, "it would be over already")
		left, err := d.Approve(t.Context(), r.ID, d.vote(r, "olga"), Narrow{For: 30 * time.Minute})
		require.NoError(t, err)
		require.WithinDuration(t, begins.Add(30*time.Minute), left.Deadline, 0)
		time.Sleep(10 * time.Minute)
		_, err = d.Approve(t.Context(), r.ID, d.vote(left, "otto"), Narrow{})
		var decided *DecidedError
		require.ErrorAs(t, err, &decided)
		require.Equal(t, Expired, decided.State)
	})
}

// TestEverything: of a rule that allows everything a part can be asked for, and granted.
func TestEverything(t *testing.T) {
	d := openDesk(t, store.NewMemory(), everybody())
	all := terms
	all.Actions = []string{"all", "connect", "read", "write"}
	require.Equal(t, []string{"all"}, d.asks(t, all, nil).Access.Actions)
	require.Equal(t, []string{"connect", "read"}, d.asks(t, all, func(a *Ask) { a.Actions = []string{"read"} }).Access.Actions)
	r := d.asks(t, all, func(a *Ask) { a.For = 2 * time.Hour })
	got, err := d.Approve(t.Context(), r.ID, d.vote(r, "olga"), Narrow{Actions: []string{"read", "connect"}})
	require.NoError(t, err)
	require.Equal(t, []string{"connect", "read"}, got.Access.Grant.Actions)
}

func TestAskIsRefused(t *testing.T) {
	d := openDesk(t, store.NewMemory(), everybody())
	strict := terms
	strict.Reason = `INC-\d+`
	for _, c := range []struct {
		name   string
		terms  Terms
		change func(*Ask)
		says   string
	}{
		{"no reason", terms, func(a *Ask) { a.Reason = " " }, "a reason is needed"},
		{"a long reason", terms, func(a *Ask) { a.Reason = strings.Repeat("x", 1001) }, "may have 1000"},
		{"no ticket", strict, func(a *Ask) { a.Reason = "please" }, `wants a reason that has INC-\d+`},
		{"too long", terms, func(a *Ask) { a.For = 9 * time.Hour }, "at most 8h"},
		{"too short", terms, func(a *Ask) { a.For = time.Second }, "at least a minute"},
		{"another action", terms, func(a *Ask) { a.Actions = []string{"all"} }, `does not allow "all"`},
		{"in the past", terms, func(a *Ask) { a.From = time.Now().Add(-2 * time.Hour) }, "already"},
		{"far away", terms, func(a *Ask) { a.From = time.Now().Add(31 * 24 * time.Hour) }, "within 30 days"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := Ask{Resource: "vm1", Terms: c.terms, Reason: "INC-1"}
			c.change(&a)
			_, err := d.Ask(t.Context(), d.people.ids["alice"], a)
			require.ErrorIs(t, err, ErrAsk)
			require.ErrorContains(t, err, c.says)
		})
	}
	d.asks(t, strict, nil)
	for i := range MaxPerRequester - 1 {
		d.asks(t, terms, func(a *Ask) { a.For = time.Duration(i+2) * time.Minute })
	}
	_, err := d.Ask(t.Context(), d.people.ids["alice"], Ask{Resource: "vm2", Terms: terms, Reason: "x"})
	require.ErrorContains(t, err, "10 requests that wait")
	require.Len(t, d.List(), MaxPerRequester)
}

// TestAskTwiceAtOnce: the same that is asked for by many connections at once is one request, and others are at most as many as may
// wait.
func TestAskTwiceAtOnce(t *testing.T) {
	for name, same := range map[string]bool{"the same": true, "others": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := openDesk(t, slow{store.NewMemory()}, everybody())
				var all sync.WaitGroup
				for i := range 3 * MaxPerRequester {
					all.Go(func() {
						a := Ask{Resource: "vm1", Terms: terms, Reason: "INC-1"}
						if !same {
							a.For = time.Duration(i+1) * time.Minute
						}
						_, _ = d.Ask(t.Context(), d.people.ids["alice"], a)
					})
				}
				all.Wait()
				want := MaxPerRequester
				if same {
					want = 1
				}
				require.Equal(t, want, len(d.List()))
			})
		})
	}
}

// slow is a store that takes its time to write, in which all others come who come at once.
type slow struct{ store.Store }

func (s slow) Write(ctx context.Context, ws ...store.Write) (int64, error) {
	time.Sleep(time.Millisecond)
	return s.Store.Write(ctx, ws...)
}

// TestAskAgainAndAgain: who withdraws and asks again does not flood those who are told.
func TestAskAgainAndAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := openDesk(t, store.NewMemory(), everybody())
		ask := func() error {
			r, err := d.Ask(t.Context(), d.people.ids["alice"], Ask{Resource: "vm1", Terms: terms, Reason: "INC-1"})
			if err == nil {
				_, err = d.Cancel(t.Context(), r.ID, d.people.ids["alice"])
			}
			return err
		}
		for range MaxAsked {
			require.NoError(t, ask())
		}
		require.ErrorContains(t, ask(), "you have made 30 requests within 10 minutes, which is the limit: try again later")
		_, err := d.Ask(t.Context(), d.people.ids["eve"], Ask{Resource: "vm1", Terms: terms, Reason: "INC-1"})
		require.NoError(t, err, "others may")
		time.Sleep(AskedWithin + time.Second)
		require.NoError(t, ask())
	})
}

// TestGrantOfAnAgent: what an agent was granted for one human does not count when it acts for another, or for nobody.
func TestGrantOfAnAgent(t *testing.T) {
	d := openDesk(t, store.NewMemory(), everybody())
	bot := func(human string) *proxy.Identity {
		return &proxy.Identity{Subject: "bot", Kind: proxy.Agent, Groups: []string{"dev"}, OnBehalfOf: human}
	}
	ask := func(human string) *Request {
		r, err := d.Ask(t.Context(), bot(human), Ask{Resource: "vm1", Terms: terms, Reason: "INC-4711"})
		require.NoError(t, err)
		return r
	}
	r := ask("alice")
	require.NotEqual(t, r.ID, ask("eve").ID, "it is another request")
	_, err := d.Approve(t.Context(), r.ID, d.vote(r, "olga"), Narrow{})
	require.NoError(t, err)
	for human, want := range map[string]bool{"alice": true, "eve": false, "": false} {
		_, _, _, ok := d.Granted(bot(human), vm, "prod")
		require.Equal(t, want, ok, human)
	}
	_, _, _, ok := d.Granted(d.people.ids["alice"], vm, "prod")
	require.False(t, ok, "nor is it the human's")
}

func anything(*Request) bool { return true }

// TestHistory: the latest of those that somebody may know of, however many others there are.
func TestHistory(t *testing.T) {
	d := openDesk(t, store.NewMemory(), everybody())
	for _, who := range []string{"alice", "eve", "eve", "eve"} {
		r, err := d.Ask(t.Context(), d.people.ids[who], Ask{Resource: "vm1", Terms: terms, Reason: "INC-1"})
		require.NoError(t, err)
		_, err = d.Cancel(t.Context(), r.ID, d.people.ids[who])
		require.NoError(t, err)
	}
	list, err := d.History(t.Context(), 2, func(r *Request) bool { return r.Requester == "alice" })
	require.NoError(t, err)
	require.Len(t, list, 1)
	list, err = d.History(t.Context(), 2, anything)
	require.NoError(t, err)
	require.Len(t, list, 2)
}

// TestEndings: what ends a request tells those who wait and those who are connected by it.
func TestEndings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := openDesk(t, store.NewMemory(), everybody())
		ctx, stop := context.WithCancel(t.Context())
		go d.Run(ctx)
		defer stop()
		var mu sync.Mutex
		var told []string
		unwatch := d.Watch("alice", func(_, why string) {
			mu.Lock()
			defer mu.Unlock()
			told = append(told, why)
		})
		last := func() string {
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			if len(told) == 0 {
				return "nothing"
			}
			return told[len(told)-1]
		}
		approved := func(change func(*Ask)) *Request {
			r := d.asks(t, terms, change)
			got, err := d.Approve(t.Context(), r.ID, d.vote(r, "olga"), Narrow{})
			require.NoError(t, err)
			return got
		}

		r := approved(nil)
		require.Empty(t, last(), "something is granted")
		_, err := d.Revoke(t.Context(), r.ID, d.vote(r, "eve"), false)
		require.ErrorIs(t, err, ErrIneligible)
		_, err = d.Revoke(t.Context(), r.ID, Vote{By: d.people.ids["otto"]}, false)
		require.ErrorIs(t, err, ErrReason)
		_, err = d.Revoke(t.Context(), r.ID, d.vote(r, "otto"), false)
		require.NoError(t, err)
		require.Equal(t, "request "+r.ID+", by which you were connected, was revoked by otto: because", last())
		require.Empty(t, d.granted("prod"))

		r = approved(nil)
		_, err = d.Cancel(t.Context(), r.ID, d.people.ids["eve"])
		require.ErrorIs(t, err, ErrUnknown)
		_, err = d.Cancel(t.Context(), r.ID, d.people.ids["alice"])
		require.NoError(t, err)
		require.Empty(t, d.granted("prod"))

		r = approved(nil)
		time.Sleep(time.Hour + 2*time.Second)
		require.Equal(t, "the time is over that request "+r.ID+" has granted", last())
		got, err := d.Get(t.Context(), r.ID)
		require.NoError(t, err)
		require.Equal(t, Ended, got.State)

		// One that begins later.
		r = approved(func(a *Ask) { a.From = time.Now().Add(time.Hour) })
		require.Empty(t, d.granted("prod"))
		time.Sleep(time.Hour + 2*time.Second)
		require.Empty(t, last())
		require.Equal(t, r.ID, d.granted("prod"))
		time.Sleep(time.Hour + 2*time.Second)
		require.Empty(t, d.granted("prod"))

		// Nobody decides.
		waits := d.asks(t, terms, nil)
		decided := make(chan State, 1)
		go func() {
			r, err := d.Wait(ctx, waits.ID)
			if err != nil {
				decided <- State(err.Error())
				return
			}
			decided <- r.State
		}()
		time.Sleep(8*time.Hour + 2*time.Second)
		require.Equal(t, Expired, <-decided)
		_, err = d.Approve(t.Context(), waits.ID, d.vote(waits, "olga"), Narrow{})
		require.ErrorContains(t, err, "expired")
		require.Empty(t, d.List())
		list, err := d.History(t.Context(), 10, anything)
		require.NoError(t, err)
		require.Len(t, list, 5)
		unwatch()
		stop()
		synctest.Wait()
		require.Empty(t, d.watches)
		require.Empty(t, d.waiters)
	})
}

// TestStale: where the store does not answer, what was granted counts for a while, and then not any more.
func TestStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &broken{Store: store.NewMemory()}
		d := openDesk(t, s, everybody())
		r := d.asks(t, terms, nil)
		_, err := d.Approve(t.Context(), r.ID, d.vote(r, "olga"), Narrow{})
		require.NoError(t, err)
		ctx, stop := context.WithCancel(t.Context())
		go d.Run(ctx)
		defer stop()
		time.Sleep(10 * time.Minute)
		require.Equal(t, r.ID, d.granted("prod"))
		s.set(errors.New("down"))
		time.Sleep(50 * time.Second)
		require.Equal(t, r.ID, d.granted("prod"))
		_, _, check, _ := d.Granted(d.people.ids["alice"], vm, "prod")
		require.WithinDuration(t, time.Now().Add(10*time.Second), check, 6*time.Second)
		time.Sleep(20 * time.Second)
		require.Empty(t, d.granted("prod"))
		s.set(nil)
		time.Sleep(10 * time.Second)
		require.Equal(t, r.ID, d.granted("prod"))
		stop()
		synctest.Wait()
	})
}

// TestStaleVersion: who goes by the version hears that what was granted counts again, when the store is back.
func TestStaleVersion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &broken{Store: store.NewMemory()}
		d := openDesk(t, s, everybody())
		r := d.asks(t, terms, nil)
		_, err := d.Approve(t.Context(), r.ID, d.vote(r, "olga"), Narrow{})
		require.NoError(t, err)
		ctx, stop := context.WithCancel(t.Context())
		go d.Run(ctx)
		defer stop()
		s.set(errors.New("down"))
		time.Sleep(2 * time.Minute)
		require.Empty(t, d.granted("prod"))
		without := d.Version()
		s.set(nil)
		time.Sleep(10 * time.Second)
		require.Equal(t, r.ID, d.granted("prod"))
		require.NotEqual(t, without, d.Version())
		stop()
		synctest.Wait()
	})
}

// TestUnfollowed: a store that says what time it is, and not what others have changed, does not keep alive what was granted; nor
// does one that has a request which cannot be read. Once it does, and can, what was granted counts again.
func TestUnfollowed(t *testing.T) {
	for _, c := range []struct {
		name         string
		begin, mends func(d *desk, s *broken, seen *atomic.Int64)
	}{
		{"the feed", func(_ *desk, s *broken, seen *atomic.Int64) {
			head, _, err := s.Head(context.Background())
			require.NoError(t, err)
			seen.Store(head)
			_, err = s.Write(context.Background(), store.Create(store.Document{Kind: "other", Name: "x", Body: []byte("{}")}))
			require.NoError(t, err)
		}, func(_ *desk, _ *broken, seen *atomic.Int64) { seen.Store(1 << 60) }},
		{"a request", func(d *desk, s *broken, _ *atomic.Int64) {
			s.unread(errors.New("down"))
			require.Error(t, d.Follow(context.Background(), "abc"))
		}, func(_ *desk, s *broken, _ *atomic.Int64) { s.unread(nil) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &broken{Store: store.NewMemory()}
				var seen atomic.Int64
				seen.Store(1 << 60)
				d := openDesk(t, s, everybody())
				d.Seen = seen.Load
				r := d.asks(t, terms, nil)
				_, err := d.Approve(t.Context(), r.ID, d.vote(r, "olga"), Narrow{})
				require.NoError(t, err)
				ctx, stop := context.WithCancel(t.Context())
				go d.Run(ctx)
				defer stop()
				time.Sleep(5 * time.Minute)
				require.Equal(t, r.ID, d.granted("prod"))
				c.begin(d, s, &seen)
				time.Sleep(50 * time.Second)
				require.Equal(t, r.ID, d.granted("prod"))
				time.Sleep(20 * time.Second)
				require.Empty(t, d.granted("prod"))
				c.mends(d, s, &seen)
				time.Sleep(10 * time.Second)
				require.Equal(t, r.ID, d.granted("prod"))
				stop()
				synctest.Wait()
			})
		})
	}
}

// TestDamagedRequest: one that cannot be read grants nothing any more, and does not keep a gateway from starting, from following
// what others do, or from showing the others.
func TestDamagedRequest(t *testing.T) {
	s := store.NewMemory()
	d := openDesk(t, s, everybody())
	r := d.asks(t, terms, nil)
	_, err := d.Approve(t.Context(), r.ID, d.vote(r, "olga"), Narrow{})
	require.NoError(t, err)
	other := d.asks(t, terms, nil)
	_, err = d.Deny(t.Context(), other.ID, d.vote(other, "olga"))
	require.NoError(t, err)
	require.Equal(t, r.ID, d.granted("prod"))
	doc, err := s.Get(t.Context(), KindRequest, r.ID)
	require.NoError(t, err)
	for _, body := range []string{`[]`, `{"id":"` + r.ID + `","state":"approved","access":{}}`, `{}`} {
		doc.Body = []byte(body)
		doc.Version, err = s.Write(t.Context(), store.Replace(doc))
		require.NoError(t, err)
		require.NoError(t, d.Follow(t.Context(), r.ID))
		require.Empty(t, d.granted("prod"))
		again := openDesk(t, s, everybody())
		require.Empty(t, again.granted("prod"))
		require.Empty(t, again.List())
		list, err := again.History(t.Context(), 10, anything)
		require.NoError(t, err)
		require.Len(t, list, 1)
	}
}

// broken is a store that may not answer.
type broken struct {
	store.Store
	mu  sync.Mutex
	err error
	get error // of Get alone
}

func (b *broken) unread(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.get = err
}

func (b *broken) Get(ctx context.Context, kind, name string) (store.Document, error) {
	b.mu.Lock()
	err := b.get
	b.mu.Unlock()
	if err != nil {
		return store.Document{}, err
	}
	return b.Store.Get(ctx, kind, name)
}

func (b *broken) set(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.err = err
}

func (b *broken) fails() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.err
}

func (b *broken) Head(ctx context.Context) (int64, time.Time, error) {
	if err := b.fails(); err != nil {
		return 0, time.Time{}, err
	}
	return b.Store.Head(ctx)
}

var errFull = errors.New("the record is full")

// TestUnrecorded: what cannot be recorded is not given, and is taken away all the same.
func TestUnrecorded(t *testing.T) {
	d := openDesk(t, store.NewMemory(), everybody())
	r := d.asks(t, terms, nil)
	full := errFull
	d.fails = full
	_, err := d.Ask(t.Context(), d.people.ids["eve"], Ask{Resource: "vm1", Terms: terms, Reason: "x"})
	require.ErrorIs(t, err, full)
	_, err = d.Approve(t.Context(), r.ID, d.vote(r, "olga"), Narrow{})
	require.ErrorIs(t, err, full)
	require.Empty(t, d.granted("prod"))
	d.fails = nil
	_, err = d.Approve(t.Context(), r.ID, d.vote(r, "olga"), Narrow{})
	require.NoError(t, err)
	d.fails = full
	_, err = d.Revoke(t.Context(), r.ID, d.vote(r, "otto"), false)
	require.NoError(t, err)
	require.Empty(t, d.granted("prod"))
}

// TestUndone: what was recorded and then not kept is recorded as that, and what takes away does not need to be told of.
func TestUndone(t *testing.T) {
	s := &refusing{Store: store.NewMemory()}
	d := openDesk(t, s, everybody())
	r := d.asks(t, terms, nil)
	s.refuse(errors.New("down"))
	_, err := d.Approve(t.Context(), r.ID, d.vote(r, "olga"), Narrow{})
	require.ErrorIs(t, err, s.why)
	require.Equal(t, []string{"pending ", "approved olga", "undone olga"}, d.notes)
	require.Empty(t, d.granted("prod"))
	s.refuse(nil)
	_, err = d.Approve(t.Context(), r.ID, d.vote(r, "olga"), Narrow{})
	require.NoError(t, err)

	silent := errors.New("nobody can be told")
	d.Told = func(*Notice) ([]store.Write, error) { return nil, silent }
	_, err = d.Ask(t.Context(), d.people.ids["eve"], Ask{Resource: "vm1", Terms: terms, Reason: "x"})
	require.ErrorIs(t, err, silent)
	_, err = d.Revoke(t.Context(), r.ID, d.vote(r, "otto"), false)
	require.NoError(t, err)
	require.Empty(t, d.granted("prod"))
}

// refusing is a store that may keep nothing.
type refusing struct {
	store.Store
	mu  sync.Mutex
	why error
}

// refuse has it keep nothing; with nil it does again.
func (s *refusing) refuse(why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.why = why
}

func (s *refusing) Write(ctx context.Context, ws ...store.Write) (int64, error) {
	s.mu.Lock()
	why := s.why
	s.mu.Unlock()
	if why != nil {
		return 0, why
	}
	return s.Store.Write(ctx, ws...)
}

// TestWaitSees: who waits knows what was granted when it returns, also where it was approved elsewhere.
func TestWaitSees(t *testing.T) {
	s := store.NewMemory()
	one, two := openDesk(t, s, everybody()), openDesk(t, s, everybody())
	r := one.asks(t, terms, nil)
	_, err := two.Approve(t.Context(), r.ID, two.vote(r, "olga"), Narrow{})
	require.NoError(t, err)
	got, err := one.Wait(t.Context(), r.ID)
	require.NoError(t, err)
	require.Equal(t, Approved, got.State)
	require.Equal(t, r.ID, one.granted("prod"))
}

// move is something that is done to a request at one of two gateways.
type move struct {
	name string
	do   func(d *desk, r *Request) error
}

var steps = []move{
	{"approve", func(d *desk, r *Request) error {
		_, err := d.Approve(context.Background(), r.ID, d.vote(r, "olga"), Narrow{})
		return err
	}},
	{"approve too", func(d *desk, r *Request) error {
		_, err := d.Approve(context.Background(), r.ID, d.vote(r, "otto"), Narrow{})
		return err
	}},
	{"deny", func(d *desk, r *Request) error {
		_, err := d.Deny(context.Background(), r.ID, d.vote(r, "both"))
		return err
	}},
	{"revoke", func(d *desk, r *Request) error {
		_, err := d.Revoke(context.Background(), r.ID, d.vote(r, "otto"), false)
		return err
	}},
	{"withdraw", func(d *desk, r *Request) error {
		_, err := d.Cancel(context.Background(), r.ID, d.people.ids["alice"])
		return err
	}},
	{"restart", func(d *desk, _ *Request) error { return d.Load(context.Background()) }},
}

// TestRaces: what is done at the same moment at two gateways is done once.
func TestRaces(t *testing.T) {
	for range 200 {
		s := store.NewMemory()
		gateways := []*desk{openDesk(t, s, everybody()), openDesk(t, s, everybody())}
		r, err := gateways[0].Ask(t.Context(), gateways[0].people.ids["alice"], Ask{Resource: "vm1", Terms: terms, Reason: "x"})
		require.NoError(t, err)
		var wg sync.WaitGroup
		results := make([]error, len(steps))
		for i, st := range steps {
			wg.Go(func() { results[i] = st.do(gateways[i%2], r) })
		}
		wg.Wait()
		final, err := gateways[0].Get(t.Context(), r.ID)
		require.NoError(t, err)
		approvals := 0
		for _, err := range results[:2] {
			if err == nil {
				approvals++
			}
		}
		require.LessOrEqual(t, approvals, 1)
		require.Equal(t, approvals == 1, final.Access.Grant != nil)
		require.False(t, approvals == 1 && results[2] == nil, "it was approved and denied")
		for _, g := range gateways {
			require.NoError(t, g.Follow(t.Context(), r.ID))
			require.Equal(t, final.State == Approved, g.granted("prod") == r.ID)
		}
		if !final.over() {
			_, err := gateways[0].Cancel(t.Context(), r.ID, gateways[0].people.ids["alice"])
			require.NoError(t, err)
			require.NoError(t, gateways[1].Follow(t.Context(), r.ID))
		}
	}
}
