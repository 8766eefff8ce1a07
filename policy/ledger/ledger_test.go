package ledger_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/testserver"
	"github.com/sallyport/sallyport/internal/teststore"
	"github.com/sallyport/sallyport/policy"
	"github.com/sallyport/sallyport/policy/ledger"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/proxy/proxytest"
	"github.com/sallyport/sallyport/store"
)

func TestMain(m *testing.M) { testserver.Main(m) }

// gateway has budgets of its own on a ledger that others share.
type gateway struct {
	budgets *policy.Budgets
	rules   *policy.Policy
}

func open(t *testing.T, l policy.Ledger, of policy.Budget) *gateway {
	t.Helper()
	p, err := policy.New([]policy.Rule{{Name: "bound", Groups: []string{"*"}, Users: []string{"*"}, Allow: []string{"all"}, Obligations: policy.Obligations{Budgets: []policy.Budget{of}}}}, policy.CarriesBudgets)
	require.NoError(t, err)
	b := &policy.Budgets{Ledger: l}
	return &gateway{b, p.WithBudgets(b)}
}

func (g *gateway) session(t *testing.T) *proxy.Session {
	t.Helper()
	s, err := proxytest.Open(&proxy.Gateway{}, g.rules)
	require.NoError(t, err)
	return s
}

func statement() *proxy.Statement {
	return &proxy.Statement{Meta: proxy.Meta{Kind: proxy.KindStatement}, Text: []byte("x"), Facts: &proxy.Facts{Effects: proxy.EffectRead, Statements: 1, Dialect: "x"}}
}

// begins reports whether a statement may run, and runs it.
func begins(s *proxy.Session) bool {
	op := statement()
	v := s.Ask(context.Background(), op)
	if v.Refuses() {
		return false
	}
	s.Done(op, &proxy.Outcome{})
	return true
}

// TestBudgetOfPerson: what gateways give together is what the budget has, at once and one
// after the other, and not one more.
func TestBudgetOfPerson(t *testing.T) {
	teststore.Each(t, func(t *testing.T, s store.Store) {
		const limit = 500
		l := ledger.New(s)
		var used atomic.Int64
		var wg sync.WaitGroup
		for range 3 {
			g := open(t, l, policy.Budget{Statements: limit, Per: 31 * 24 * time.Hour})
			for range 4 {
				live := g.session(t)
				wg.Go(func() {
					defer live.Close(nil)
					for n := 0; n < limit/10 && begins(live); n++ {
						used.Add(1)
					}
				})
			}
			defer g.budgets.Wait()
		}
		wg.Wait()
		require.LessOrEqual(t, used.Load(), int64(limit))
		require.Greater(t, used.Load(), int64(limit/2))
		g := open(t, l, policy.Budget{Statements: limit, Per: 31 * 24 * time.Hour})
		require.Eventually(t, func() bool { // what the others have not used comes back
			live := g.session(t)
			for begins(live) {
				used.Add(1)
			}
			live.Close(nil)
			g.budgets.Wait()
			return used.Load() >= limit
		}, 20*time.Second, 100*time.Millisecond)
		require.Equal(t, int64(limit), used.Load())
		live := g.session(t)
		defer live.Close(nil)
		v := live.Ask(t.Context(), statement())
		require.Contains(t, v.Message(), "you have used your budget of 500 statements per 744h (rule bound)")
		d, err := s.List(t.Context(), store.Query{Kind: ledger.Kind})
		require.NoError(t, err)
		require.Len(t, d, 1)
		require.False(t, d[0].Expires.IsZero(), "it is forgotten after its period")
	})
}

// returns has a statement return so many rows, and returns how many were passed on.
func returns(t *testing.T, s *proxy.Session, rows int) (passed int, err error) {
	t.Helper()
	op := statement()
	if v := s.Ask(t.Context(), op); v.Refuses() {
		return 0, errors.New(v.Message())
	}
	f, err := s.Flow(op, &proxy.Shape{Kind: proxy.ShapeRows, Columns: make([]proxy.ShapeColumn, 1)})
	require.NoError(t, err)
	defer func() { s.Done(op, &proxy.Outcome{Rows: uint64(passed)}) }()
	for range rows {
		if err := f.Row(proxy.NewRow([][]byte{nil})); err != nil {
			return passed, err
		}
		passed++
	}
	return passed, nil
}

// TestBudgetOfRowsOfPerson: rows are paid for one by one, in whatever session; those that a
// statement has changed are counted once it has run, and refuse the next one.
func TestBudgetOfRowsOfPerson(t *testing.T) {
	l := ledger.New(store.NewMemory())
	budget := policy.Budget{Rows: 100, Per: 24 * time.Hour}
	one, two := open(t, l, budget), open(t, l, budget)
	a, b := one.session(t), two.session(t)
	n, err := returns(t, a, 60)
	require.NoError(t, err)
	require.Equal(t, 60, n)
	n, err = returns(t, b, 60)
	require.ErrorContains(t, err, "you have used your budget of 100 rows per 24h (rule bound)")
	require.LessOrEqual(t, n, 40)
	a.Close(nil)
	one.budgets.Wait()
	b.Close(nil)
	two.budgets.Wait()
	c := one.session(t)
	more, err := returns(t, c, 60)
	require.Error(t, err)
	require.Equal(t, 40, n+more, "unused parts came back")
	c.Close(nil)

	l = ledger.New(store.NewMemory())
	one, two = open(t, l, budget), open(t, l, budget)
	a = one.session(t)
	op := statement()
	require.False(t, a.Ask(t.Context(), op).Refuses())
	a.Done(op, &proxy.Outcome{Rows: 150})
	require.True(t, a.Ask(t.Context(), statement()).Refuses())
	a.Close(nil)
	one.budgets.Wait()
	b = two.session(t)
	defer b.Close(nil)
	require.True(t, b.Ask(t.Context(), statement()).Refuses(), "elsewhere, too")
}

// granting grants the rule "asked" to everybody, with a bound of rows.
type granting struct {
	policy.Grants
	grant policy.Grant
}

func (g granting) Version() uint64 { return 1 }

func (g granting) Granted(*proxy.Session, *proxy.Identity, proxy.Target, string) (policy.Grant, bool) {
	return g.grant, true
}

func (g granting) Glass(*proxy.Identity, proxy.Target, string) (policy.Grant, bool) {
	return policy.Grant{}, false
}

func (g granting) Watch(string, func(string, string)) func() { return func() {} }

// TestBoundOfRowsGranted: the rows that were granted are those of all sessions by the request together, at all gateways, and are not given
// anew by time, by other sessions or by another revision. Without anybody who counts them nothing runs, and what nobody can count does
// not run.
func TestBoundOfRowsGranted(t *testing.T) {
	teststore.Each(t, func(t *testing.T, s store.Store) {
		until := time.Now().Add(time.Hour)
		granted := granting{grant: policy.Grant{ID: "r1", Until: until, Ends: until, Actions: []string{"all"}, Rows: 10}}
		open := func(budgets *policy.Budgets) *proxy.Session {
			t.Helper()
			p, err := policy.New([]policy.Rule{{Name: "asked", Groups: []string{"*"}, Users: []string{"*"}, Allow: []string{"all"}, Request: &policy.Request{Stages: []policy.Stage{{Approvers: []string{"ops"}, Need: 1}}}}}, policy.CarriesBudgets|policy.CarriesRequests)
			require.NoError(t, err)
			if budgets != nil {
				p = p.WithBudgets(budgets)
			}
			live, err := proxytest.Open(&proxy.Gateway{}, p.With(granted))
			if budgets == nil {
				require.ErrorContains(t, err, "request r1 has granted 10 rows, and nobody counts rows here")
				return nil
			}
			require.NoError(t, err)
			return live
		}
		l := ledger.New(s)
		here, there := &policy.Budgets{Ledger: l}, &policy.Budgets{Ledger: l}
		one := open(here)
		require.True(t, one.Ask(t.Context(), &proxy.Call{Meta: proxy.Meta{Kind: proxy.KindReplication}, Name: "START_REPLICATION"}).Refuses())
		n, err := returns(t, one, 6)
		require.NoError(t, err)
		require.Equal(t, 6, n)
		two := open(there)
		more, err := returns(t, two, 6)
		require.ErrorContains(t, err, "request r1 has granted you 10 rows, and they are used up (rule asked)")
		require.LessOrEqual(t, more, 4)
		one.Close(nil)
		two.Close(nil)
		here.Wait()
		there.Wait()
		three := open(there)
		rest, err := returns(t, three, 10)
		require.Error(t, err)
		require.Equal(t, 10, n+more+rest, "unused parts come back, and nothing else")
		_, err = returns(t, three, 1)
		require.ErrorContains(t, err, "they are used up")
		three.Close(nil)
		there.Wait()
		docs, err := s.List(t.Context(), store.Query{Kind: ledger.Kind})
		require.NoError(t, err)
		require.Len(t, docs, 1)
		require.WithinDuration(t, until, docs[0].Expires, 2*time.Hour, "it is forgotten when what was granted is over")
		open(nil)
	})
}

// broken is a store that does not answer while it is down.
type broken struct {
	store.Store
	down atomic.Bool
}

var errDown = errors.New("connection refused")

func (b *broken) Head(ctx context.Context) (int64, time.Time, error) {
	if b.down.Load() {
		return 0, time.Time{}, errDown
	}
	return b.Store.Head(ctx)
}

// TestBudgetStoreDown: a gateway uses what it has taken while the store does not answer, and
// nothing that it has not.
func TestBudgetStoreDown(t *testing.T) {
	s := &broken{Store: store.NewMemory()}
	g := open(t, ledger.New(s), policy.Budget{Statements: 100, Per: time.Hour})
	live := g.session(t)
	defer live.Close(nil)
	require.True(t, begins(live))
	s.down.Store(true)
	n := 0
	for begins(live) {
		n++
	}
	require.Equal(t, 9, n, "the rest of a tenth")
	require.Contains(t, live.Ask(t.Context(), statement()).Message(), "cannot be looked at now")
	require.NoError(t, live.Err())
	s.down.Store(false)
	require.True(t, begins(live))
}

// TestBudgetPeriods: budgets begin anew with the period, of the store's clock, and are kept
// apart by rule, unit and person.
func TestBudgetPeriods(t *testing.T) {
	s := &clocked{Store: store.NewMemory()}
	l := ledger.New(s)
	a := policy.Account{Policy: "policy", Rule: "r", Subject: "alice", Unit: "rows", Per: time.Hour}
	take := func(a policy.Account, w policy.Withdrawal) policy.Slice {
		got, err := l.Take(t.Context(), a, w)
		require.NoError(t, err)
		return got
	}
	all := policy.Withdrawal{Limit: 10, Need: 10, Want: 10}
	first := take(a, all)
	require.Equal(t, uint64(10), first.Amount)
	require.LessOrEqual(t, first.Left, time.Hour)
	require.Zero(t, take(a, all).Amount)
	for _, change := range []func(*policy.Account){
		func(a *policy.Account) { a.Rule = "q" }, func(a *policy.Account) { a.Policy = "opa" }, func(a *policy.Account) { a.Subject = "bob" }, func(a *policy.Account) { a.Unit = "statements" },
		func(a *policy.Account) { a.Per = 2 * time.Hour }, func(a *policy.Account) { a.Rule, a.Subject = "ra", "lice" },
	} {
		other := a
		change(&other)
		require.Equal(t, uint64(10), take(other, all).Amount, "%v", other)
	}
	s.ahead = time.Hour
	second := take(a, policy.Withdrawal{Limit: 10, Want: 10})
	require.Equal(t, uint64(5), second.Amount, "half of what is left, where nobody needs more")
	require.Equal(t, first.Period+1, second.Period)
	require.NoError(t, l.Give(t.Context(), a, first.Period, 10))
	require.NoError(t, l.Give(t.Context(), a, second.Period+1, 10))
	require.Equal(t, uint64(5), take(a, all).Amount)
	require.NoError(t, l.Give(t.Context(), a, second.Period, 3))
	require.Equal(t, uint64(3), take(a, all).Amount)
	require.Zero(t, take(a, policy.Withdrawal{Limit: 10, Used: 4}).Amount)
	require.NoError(t, l.Give(t.Context(), a, second.Period, 4))
	require.Zero(t, take(a, all).Amount, "what was used beyond the limit counts")
}

// clocked is a store whose clock is ahead.
type clocked struct {
	store.Store
	ahead time.Duration
}

func (c *clocked) Head(ctx context.Context) (int64, time.Time, error) {
	seq, now, err := c.Store.Head(ctx)
	return seq, now.Add(c.ahead), err
}
