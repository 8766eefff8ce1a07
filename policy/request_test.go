package policy

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
)

// ledger is what was granted, by rule.
type ledger struct {
	mu      sync.Mutex
	grants  map[string]Grant
	watches map[int]func(string, string)
	next    int
	glass   map[string]Grant
	version atomic.Uint64
}

func (l *ledger) Version() uint64 { return l.version.Load() }

func (l *ledger) Granted(_ *proxy.Session, id *proxy.Identity, _ proxy.Target, rule string) (Grant, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	g, ok := l.grants[rule]
	return g, ok && id.Subject == "alice" && time.Now().Before(g.Until)
}

func (l *ledger) Open(context.Context, string, *proxy.Session) error { return nil }

func (l *ledger) Glass(id *proxy.Identity, _ proxy.Target, rule string) (Grant, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	g, ok := l.glass[rule]
	return g, ok && id.Subject == "alice" && time.Now().Before(g.Until)
}

func (l *ledger) Watch(_ string, changed func(string, string)) func() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.watches == nil {
		l.watches = make(map[int]func(string, string))
	}
	n := l.next
	l.next++
	l.watches[n] = changed
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.watches, n)
	}
}

// set grants a rule, or takes it back when g is nil.
func (l *ledger) set(rule string, g *Grant, why string) {
	l.mu.Lock()
	if l.grants == nil {
		l.grants = make(map[string]Grant)
	}
	id := l.grants[rule].ID
	if delete(l.grants, rule); g != nil {
		id, l.grants[rule] = g.ID, *g
	}
	l.version.Add(1)
	var all []func(string, string)
	for _, w := range l.watches {
		all = append(all, w)
	}
	l.mu.Unlock()
	for _, w := range all {
		w(id, why)
	}
}

func (l *ledger) watched() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.watches)
}

var onRequest = Rule{
	Name: "prod", Groups: []string{"dev"}, Allow: []string{"connect", "read", "write"}, Request: &Request{Stages: []Stage{{Approvers: []string{"ops"}}}},
}

// requesting opens a session of alice's.
func requesting(t *testing.T, l Grants, rules ...Rule) (*proxy.Session, error) {
	t.Helper()
	p, err := New(rules, CarriesRequests)
	require.NoError(t, err)
	g := &proxy.Gateway{Interceptors: []proxy.Interceptor{p.With(l)}}
	s, op, err := g.Open(context.Background(), proxy.OpenRequest{Identity: &proxy.Identity{Subject: "alice", Groups: []string{"dev"}}, Target: orders})
	if err == nil {
		s.Done(op, &proxy.Outcome{})
		t.Cleanup(func() { s.Close(nil) })
	}
	return s, err
}

func granting(d time.Duration, actions ...string) *Grant {
	return &Grant{ID: "r1", Until: time.Now().Add(d), Actions: actions}
}

func TestGrantEndsOnTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &ledger{}
		_, err := requesting(t, l, onRequest)
		require.ErrorContains(t, err, "you have no access to orders/shop now")
		var refused *proxy.RefusedError
		require.ErrorAs(t, err, &refused)
		require.Contains(t, refused.Verdict.Remedy, "Rule prod allows it for a time to those who have asked, with an approval of ops.")

		l.set("prod", granting(time.Hour, "connect", "read", "write"), "")
		s, err := requesting(t, l, onRequest)
		require.NoError(t, err)
		var said []string
		s.HandleReminders(func(text string) bool { said = append(said, text); return true })
		require.False(t, run(s, statement(proxy.EffectUpdate)).Refuses())
		time.Sleep(55*time.Minute + time.Second)
		synctest.Wait()
		require.Equal(t, []string{"this session ends in 5m: until then access is granted by request r1"}, said)
		require.NoError(t, s.Err())
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		require.ErrorContains(t, context.Cause(s.Context()), "the access that was granted by request r1 is over")
		s.Close(nil)
		require.Zero(t, l.watched(), "nobody watches for a session that has ended")
		_, err = requesting(t, l, onRequest)
		require.Error(t, err)
	})
}

func TestGrantIsRevoked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &ledger{}
		l.set("prod", granting(time.Hour, "connect", "read", "write"), "")
		s, err := requesting(t, l, onRequest)
		require.NoError(t, err)
		l.set("prod", nil, "request r1 was revoked by bob: enough")
		synctest.Wait()
		require.ErrorContains(t, context.Cause(s.Context()), "request r1 was revoked by bob: enough")
	})
}

// TestGrantOfMore: what is granted in addition to a right that one has comes and goes, and the session goes on.
func TestGrantOfMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &ledger{}
		reads := Rule{Name: "readers", Groups: []string{"dev"}, Allow: []string{"connect", "read"}}
		s, err := requesting(t, l, reads, onRequest)
		require.NoError(t, err)
		v := run(s, statement(proxy.EffectUpdate))
		require.True(t, v.Refuses())
		require.Contains(t, v.Remedy, "Rule prod allows it for a time")
		l.set("prod", granting(time.Hour, "connect", "read", "write"), "")
		require.False(t, run(s, statement(proxy.EffectUpdate)).Refuses(), "at the next operation")
		l.set("prod", granting(time.Hour, "connect", "read"), "")
		require.True(t, run(s, statement(proxy.EffectUpdate)).Refuses(), "what was granted is less than the rule")
		l.set("prod", granting(time.Minute, "connect", "read", "write"), "")
		require.False(t, run(s, statement(proxy.EffectUpdate)).Refuses())
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		require.True(t, run(s, statement(proxy.EffectUpdate)).Refuses())
		require.NoError(t, s.Err(), "she may be connected without it")
	})
}

// TestGrantOfEverything: of a rule that allows everything a part can be granted, and what the rule has lost is not granted.
func TestGrantOfEverything(t *testing.T) {
	for _, c := range []struct {
		name           string
		allow, granted []string
		reads, writes  bool
	}{
		{"all of all", []string{"all"}, []string{"all"}, true, true},
		{"a part of all", []string{"all"}, []string{"connect", "read"}, true, false},
		{"what is not allowed any more", []string{"connect", "read"}, []string{"connect", "read", "write"}, true, false},
		{"all, and the rule is less now", []string{"connect", "read"}, []string{"all"}, true, false},
		{"a word that is not known", []string{"all"}, []string{"connect", "fly"}, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := &ledger{}
			rule := onRequest
			rule.Allow = c.allow
			l.set("prod", granting(time.Hour, c.granted...), "")
			s, err := requesting(t, l, rule)
			require.NoError(t, err)
			require.Equal(t, c.reads, !run(s, statement(proxy.EffectRead)).Refuses())
			require.Equal(t, c.writes, !run(s, statement(proxy.EffectUpdate)).Refuses())
		})
	}
	l := &ledger{}
	l.set("prod", granting(time.Hour, "read"), "")
	_, err := requesting(t, l, onRequest)
	require.Error(t, err, "connecting was not granted")
}

// TestGrantIsCheckedAgain: a grant that cannot be asked about any more is not one.
func TestGrantIsCheckedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &ledger{}
		g := granting(time.Hour, "connect", "read")
		g.Check = time.Now().Add(time.Minute)
		l.set("prod", g, "")
		s, err := requesting(t, l, onRequest)
		require.NoError(t, err)
		l.mu.Lock()
		delete(l.grants, "prod") // nobody says so
		l.mu.Unlock()
		time.Sleep(30 * time.Second)
		synctest.Wait()
		require.NoError(t, s.Err())
		time.Sleep(31 * time.Second)
		synctest.Wait()
		require.ErrorContains(t, s.Err(), "the access that was granted by request r1 is over, or it cannot be asked whether it is")
	})
}

// TestApprovalIsNoGrant: an approval without a grant connects nobody, and keeps nobody connected.
func TestApprovalIsNoGrant(t *testing.T) {
	l := &ledger{}
	rule := onRequest
	rule.Request = &Request{Stages: onRequest.Request.Stages, Connect: ConnectWait, Wait: time.Minute}
	p, err := New([]Rule{rule}, CarriesRequests)
	require.NoError(t, err)
	asked := 0
	g := &proxy.Gateway{Reviewer: reviewer(func(*proxy.Hold) proxy.Verdict {
		asked++
		return proxy.Allow("prod") // and nothing is granted
	})}
	revision := func() *proxy.Revision { return &proxy.Revision{Interceptors: []proxy.Interceptor{p.With(l)}} }
	require.NoError(t, g.Use(revision()))
	r := proxy.OpenRequest{Identity: &proxy.Identity{Subject: "alice", Groups: []string{"dev"}}, Target: orders}
	_, _, err = g.Open(context.Background(), r)
	require.Error(t, err)
	require.Positive(t, asked)

	g.Reviewer = reviewer(func(*proxy.Hold) proxy.Verdict {
		l.set("prod", granting(time.Hour, "connect", "read"), "")
		return proxy.Allow("prod")
	})
	s, op, err := g.Open(context.Background(), r)
	require.NoError(t, err)
	s.Done(op, &proxy.Outcome{})
	defer s.Close(nil)
	l.mu.Lock() // it is gone, and the session was not told
	delete(l.grants, "prod")
	l.version.Add(1)
	l.mu.Unlock()
	g.Reviewer = reviewer(func(*proxy.Hold) proxy.Verdict { return proxy.Deny(proxy.CauseDenied, "", "no", "") })
	require.NoError(t, g.Use(revision()))
	require.Eventually(t, func() bool { return s.Err() != nil }, 10*time.Second, time.Millisecond, "a new revision does not take the approval of before")
}

// TestConnectAsks: connecting makes the request where the rule says so, waits where it does, and goes on as approved.
func TestConnectAsks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &ledger{}
		rule := onRequest
		rule.Request = &Request{Stages: onRequest.Request.Stages, Connect: ConnectWait, Wait: time.Minute}
		p, err := New([]Rule{rule}, CarriesRequests)
		require.NoError(t, err)
		var asked []*proxy.Hold
		g := &proxy.Gateway{Interceptors: []proxy.Interceptor{p.With(l)}, Reviewer: reviewer(func(h *proxy.Hold) proxy.Verdict {
			asked = append(asked, h)
			l.set("prod", granting(time.Hour, "connect", "read", "write"), "")
			return proxy.Allow("prod")
		})}
		open := func() (*proxy.Session, error) {
			s, op, err := g.Open(context.Background(), proxy.OpenRequest{Identity: &proxy.Identity{Subject: "alice", Groups: []string{"dev"}}, Target: orders})
			if err == nil {
				s.Done(op, &proxy.Outcome{})
			}
			return s, err
		}
		s, err := open()
		require.NoError(t, err)
		defer s.Close(nil)
		require.Len(t, asked, 1)
		require.Equal(t, "prod", asked[0].Access)
		require.Equal(t, [][]string{{"ops"}}, asked[0].Approvers)
		require.Equal(t, time.Minute, asked[0].For)
		l.set("prod", nil, "revoked")
		synctest.Wait()
		require.ErrorContains(t, context.Cause(s.Context()), "revoked", "a session that waited for its grant ends with it")
	})
}

type reviewer func(h *proxy.Hold) proxy.Verdict

func (r reviewer) Request(_ context.Context, _ *proxy.Session, _ proxy.Op, h *proxy.Hold) (*proxy.Pending, error) {
	return &proxy.Pending{ID: "r1", Wait: func(context.Context) proxy.Verdict { return r(h) }}, nil
}

func TestRequestRules(t *testing.T) {
	_, err := New([]Rule{onRequest})
	require.ErrorContains(t, err, "takes no requests for access")
	for _, c := range []struct {
		name   string
		change func(*Rule)
		says   string
	}{
		{"no approvers", func(r *Rule) { r.Request.Stages = nil }, "it has no approvers"},
		{"an empty stage", func(r *Rule) { r.Request.Stages = []Stage{{}} }, "a stage has no approvers"},
		{"too many", func(r *Rule) { r.Request.Stages = []Stage{{Approvers: []string{"a"}, Need: 21}} }, "want 1 to 20"},
		{"longer than its most", func(r *Rule) { r.Request.For, r.Request.Max = time.Hour, time.Minute }, "longer than its most"},
		{"a bad pattern", func(r *Rule) { r.Request.Reason = "(" }, "the pattern of the reason"},
		{"waits for nothing", func(r *Rule) { r.Request.Connect = ConnectWait }, "for a time of more than 0"},
		{"denies", func(r *Rule) { r.Deny = []string{"ddl"} }, "denies nothing"},
		{"too long", func(r *Rule) { r.Request.Max = 1000 * time.Hour }, "at most 168h"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := onRequest
			request := *onRequest.Request
			r.Request = &request
			c.change(&r)
			_, err := New([]Rule{r}, CarriesRequests)
			require.ErrorContains(t, err, c.says)
		})
	}
	require.Equal(t, Request{Stages: []Stage{{Approvers: []string{"ops"}, Need: 1}}, For: time.Hour, Max: time.Hour, Decide: 8 * time.Hour}, onRequest.Request.Terms())
	require.Equal(t, time.Minute, Request{Max: time.Minute}.Terms().For)
	require.Equal(t, 3*time.Hour, Request{For: 3 * time.Hour}.Terms().Max)
}

// TestGrantOfMoreEnds: what runs by it does not run on for as long as its user likes, and what is allowed without does.
func TestGrantOfMoreEnds(t *testing.T) {
	reads := Rule{Name: "readers", Groups: []string{"dev"}, Allow: []string{"connect", "read"}}
	for _, c := range []struct {
		name string
		op   proxy.Op
		ends bool
	}{
		{"a statement that reads", statement(proxy.EffectRead), false},
		{"a statement that writes", statement(proxy.EffectUpdate), true},
		{"a shell", &proxy.Exec{Meta: proxy.Meta{Kind: proxy.KindShell}}, true},
		{"an upload", &proxy.File{Meta: proxy.Meta{Kind: proxy.KindFile}, Action: proxy.FileOpenWrite, Path: "/x"}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &ledger{}
				rule := onRequest
				rule.Allow = []string{"connect", "read", "write", "shell", "file-write"}
				l.set("prod", granting(time.Hour, rule.Allow...), "")
				s, err := requesting(t, l, reads, rule)
				require.NoError(t, err)
				require.False(t, s.Ask(context.Background(), c.op).Refuses())
				l.set("prod", granting(2*time.Hour, rule.Allow...), "")
				time.Sleep(time.Hour + time.Minute)
				synctest.Wait()
				require.NoError(t, s.Err(), "it was granted for longer")
				time.Sleep(time.Hour)
				synctest.Wait()
				if !c.ends {
					require.NoError(t, s.Err())
					s.Done(c.op, &proxy.Outcome{})
					return
				}
				require.Error(t, s.Err())
				s.Done(c.op, &proxy.Outcome{})
			})
		})
	}
}

// TestGrantIsSaidOnce: a user is told of an end once, though the store's clock moves it by a little whenever it is asked again.
func TestGrantIsSaidOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &ledger{}
		g := granting(time.Hour, "connect", "read")
		l.set("prod", g, "")
		s, err := requesting(t, l, onRequest)
		require.NoError(t, err)
		said := 0
		s.HandleReminders(func(string) bool { said++; return true })
		time.Sleep(56 * time.Minute)
		for range 3 {
			g.Until = g.Until.Add(time.Millisecond)
			l.set("prod", g, "")
			time.Sleep(time.Minute)
		}
		require.Equal(t, 1, said)
	})
}

// TestGrantSaysWhose: a session is told of the request by which it is open, and not of another.
func TestGrantSaysWhose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &ledger{}
		l.set("prod", granting(time.Hour, "connect", "read"), "")
		s, err := requesting(t, l, onRequest)
		require.NoError(t, err)
		other := granting(time.Hour, "connect")
		other.ID = "r2"
		l.set("other", other, "")
		l.set("other", nil, "request r2 was revoked by bob: enough")
		synctest.Wait()
		require.NoError(t, s.Err())
		time.Sleep(time.Hour + time.Second)
		synctest.Wait()
		require.ErrorContains(t, context.Cause(s.Context()), "the access that was granted by request r1 is over")
	})
}

// TestRequestIsNamed: what was granted of a rule never comes to be another's, by its place in the list or by a name that two have.
func TestRequestIsNamed(t *testing.T) {
	other := Rule{Name: "other", Groups: []string{"dev"}, Allow: []string{"read"}}
	nameless, twice := onRequest, onRequest
	nameless.Name = ""
	twice.Request = nil
	_, err := New([]Rule{other, nameless}, CarriesRequests)
	require.ErrorContains(t, err, "rule 2: it is asked for, and what is granted is known by the rule's name: give it one")
	_, err = New([]Rule{onRequest, twice}, CarriesRequests)
	require.ErrorContains(t, err, "rule prod: it is asked for, and what is granted is known by the rule's name, which another rule has, too")
	_, err = New([]Rule{other, other, onRequest}, CarriesRequests)
	require.NoError(t, err, "other rules may share a name")
}

// TestGrantHasBudgets: what was granted is held to the budgets of its rule, which a session keeps when her grants change.
func TestGrantHasBudgets(t *testing.T) {
	l, ledger := &ledger{}, &till{}
	l.set("prod", granting(time.Hour, "connect", "read"), "")
	rule := onRequest
	rule.Obligations.Budgets = []Budget{{Statements: 2, Per: time.Hour}}
	p, err := New([]Rule{rule}, CarriesRequests, CarriesBudgets)
	require.NoError(t, err)
	b := &Budgets{Ledger: ledger}
	g := &proxy.Gateway{Interceptors: []proxy.Interceptor{p.With(l).WithBudgets(b)}}
	s, op, err := g.Open(context.Background(), proxy.OpenRequest{Identity: &proxy.Identity{Subject: "alice", Groups: []string{"dev"}}, Target: orders})
	require.NoError(t, err)
	s.Done(op, &proxy.Outcome{})
	defer s.Close(nil)
	require.False(t, run(s, statement(proxy.EffectRead)).Refuses())
	l.set("prod", granting(2*time.Hour, "connect", "read"), "")
	require.False(t, run(s, statement(proxy.EffectRead)).Refuses())
	v := run(s, statement(proxy.EffectRead))
	require.True(t, v.Refuses(), "the budget is used")
	require.Contains(t, v.Reason, "budget")
}

func TestRequestable(t *testing.T) {
	p, err := New([]Rule{{Groups: []string{"dev"}, Allow: []string{"read"}}, onRequest}, CarriesRequests)
	require.NoError(t, err)
	alice, eve := &proxy.Identity{Subject: "alice", Groups: []string{"dev"}}, &proxy.Identity{Subject: "eve"}
	require.Equal(t, "prod", p.Requestable(alice, orders)[0].Name)
	require.Empty(t, p.Requestable(eve, orders))
	other := onRequest
	other.Databases = []string{"reporting"}
	elsewhere, err := New([]Rule{other}, CarriesRequests)
	require.NoError(t, err)
	require.Empty(t, elsewhere.Requestable(alice, orders))
	require.Equal(t, []string{"reporting"}, elsewhere.Requestable(alice, proxy.Target{Resource: orders.Resource, Account: orders.Account})[0].Databases)
	require.False(t, p.May(alice, orders))
	l := &ledger{}
	require.False(t, p.With(l).May(alice, orders))
	l.set("prod", granting(time.Hour, "connect"), "")
	require.True(t, p.With(l).May(alice, orders))
	require.True(t, slices.Equal(p.Rule("prod").Allow, onRequest.Allow))
	require.Nil(t, p.Rule("none"))
}

// TestGrantCostsNothing: while nothing happens to what was granted, asking about an operation allocates nothing for it.
func TestGrantCostsNothing(t *testing.T) {
	l := &ledger{}
	g := granting(time.Hour, "connect", "read")
	g.Check = time.Now().Add(time.Minute)
	l.set("prod", g, "")
	s, err := requesting(t, l, onRequest)
	require.NoError(t, err)
	j := newJudge(s, sides{own: compiledOf(t, onRequest)}, l)
	op := statement(proxy.EffectRead)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if v := j.ask(context.Background(), op); v.Refuses() {
			t.Error(v.Reason)
		}
	}))
}

func compiledOf(t *testing.T, r Rule) []*compiled {
	t.Helper()
	p, err := New([]Rule{r}, CarriesRequests)
	require.NoError(t, err)
	return p.rules
}

// spending are grants of which each opens one session.
type spending struct {
	ledger
	opened map[string]string // sessions, by request
	fails  error
	races  func(request string) // is called before it is opened
}

func (l *spending) Granted(s *proxy.Session, id *proxy.Identity, t proxy.Target, rule string) (Grant, bool) {
	g, ok := l.ledger.Granted(s, id, t, rule)
	l.mu.Lock()
	defer l.mu.Unlock()
	by := l.opened[g.ID]
	if ok = ok && (by == "" || s != nil && by == s.ID); ok && by == "" {
		g.Opens = true
	}
	return g, ok
}

func (l *spending) Open(_ context.Context, request string, s *proxy.Session) error {
	if l.races != nil {
		l.races(request)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch by := l.opened[request]; {
	case l.fails != nil:
		return l.fails
	case by != "" && by != s.ID:
		return ErrSpent
	}
	l.opened[request] = s.ID
	l.version.Add(1)
	return nil
}

// TestGrantOpensSessions: what is granted for a number of sessions counts for those that it has opened, and for no other; in a session that
// is open already it counts neither.
func TestGrantOpensSessions(t *testing.T) {
	writes := Rule{Name: "writes", Groups: []string{"dev"}, Allow: []string{"connect", "write"}, Request: onRequest.Request}
	l := &spending{opened: make(map[string]string)}
	l.set("prod", granting(time.Hour, "connect", "read", "write"), "")
	s, err := requesting(t, l, onRequest)
	require.NoError(t, err)
	require.Equal(t, s.ID, l.opened["r1"])
	require.False(t, run(s, statement(proxy.EffectUpdate)).Refuses())
	_, err = requesting(t, l, onRequest)
	require.ErrorContains(t, err, "you have no access")
	require.False(t, run(s, statement(proxy.EffectUpdate)).Refuses())

	// Further rights are those of the sessions that they open.
	l = &spending{opened: make(map[string]string)}
	l.set("prod", granting(time.Hour, "connect", "read"), "")
	s, err = requesting(t, l, onRequest, writes)
	require.NoError(t, err)
	l.set("writes", &Grant{ID: "r2", Until: time.Now().Add(time.Hour), Actions: []string{"connect", "write"}}, "")
	require.True(t, run(s, statement(proxy.EffectUpdate)).Refuses())
	require.Empty(t, l.opened["r2"])
	s, err = requesting(t, l, onRequest, writes)
	require.NoError(t, err)
	require.Equal(t, s.ID, l.opened["r2"])
	require.False(t, run(s, statement(proxy.EffectInsert)).Refuses())

	// Another is faster, or it cannot be kept.
	l = &spending{opened: make(map[string]string)}
	l.set("prod", granting(time.Hour, "connect", "read"), "")
	l.races = func(request string) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.opened[request] = "another"
	}
	_, err = requesting(t, l, onRequest)
	require.ErrorContains(t, err, "you have no access")
	l = &spending{opened: make(map[string]string), fails: errors.New("down")}
	l.set("prod", granting(time.Hour, "connect", "read"), "")
	_, err = requesting(t, l, onRequest)
	require.ErrorContains(t, err, "it could not be recorded or kept that this session is opened by what was granted")
}

// TestGrantOpensThroughRevisions: a session that was opened by what is granted goes on when the rules are read again.
func TestGrantOpensThroughRevisions(t *testing.T) {
	l := &spending{opened: make(map[string]string)}
	l.set("prod", granting(time.Hour, "connect", "read"), "")
	p, err := New([]Rule{onRequest}, CarriesRequests)
	require.NoError(t, err)
	g := &proxy.Gateway{}
	use := func() {
		require.NoError(t, g.Use(&proxy.Revision{Interceptors: []proxy.Interceptor{p.With(l)}}))
	}
	use()
	s, op, err := g.Open(t.Context(), proxy.OpenRequest{Identity: &proxy.Identity{Subject: "alice", Groups: []string{"dev"}}, Target: orders})
	require.NoError(t, err)
	defer s.Close(nil)
	s.Done(op, &proxy.Outcome{})
	use()
	require.False(t, run(s, statement(proxy.EffectRead)).Refuses())
	require.NoError(t, s.Err())
}
