package policy

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
)

// till is a ledger in memory that counts what it is asked.
type till struct {
	mu       sync.Mutex
	taken    map[Account]uint64
	asked    int
	given    uint64
	period   int64
	err      error
	lasts    time.Duration
	blocking chan struct{} // Take waits for it from the second time on
}

func (l *till) Take(ctx context.Context, a Account, w Withdrawal) (Slice, error) {
	l.mu.Lock()
	l.asked++
	wait := l.blocking != nil && l.asked > 1
	l.mu.Unlock()
	if wait {
		select {
		case <-l.blocking:
		case <-ctx.Done():
			return Slice{}, ctx.Err()
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return Slice{}, l.err
	}
	if l.taken == nil {
		l.taken = make(map[Account]uint64)
	}
	l.taken[a] += w.Used
	got := uint64(0)
	if l.taken[a] < w.Limit {
		got = min(w.Limit-l.taken[a], w.Want)
	}
	l.taken[a] += got
	lasts := l.lasts
	if lasts == 0 {
		lasts = time.Hour
	}
	return Slice{Amount: got, Period: l.period, Left: lasts}, nil
}

func (l *till) Give(_ context.Context, a Account, period int64, n uint64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if period == l.period {
		l.taken[a] -= n
		l.given += n
	}
	return nil
}

func (l *till) questions() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.asked
}

func (l *till) next() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.taken, l.period = nil, l.period+1
}

// budgeted opens a session of somebody whose budget is kept in l.
func budgeted(t testing.TB, b *Budgets, of ...Budget) *proxy.Session {
	t.Helper()
	p, err := New(open(Obligations{Budgets: of}), CarriesBudgets)
	require.NoError(t, err)
	s, op, err := (&proxy.Gateway{Interceptors: []proxy.Interceptor{p.WithBudgets(b)}}).Open(context.Background(), proxy.OpenRequest{
		Identity: &proxy.Identity{Subject: "alice", Groups: []string{"dev"}}, Target: orders,
	})
	require.NoError(t, err)
	s.Done(op, &proxy.Outcome{})
	return s
}

// TestBudgetNeedsALedger holds that a budget per person is not without effect unnoticed.
func TestBudgetNeedsALedger(t *testing.T) {
	rules := open(Obligations{Budgets: []Budget{{Rows: 1, Per: time.Hour}}})
	_, err := New(rules)
	require.ErrorContains(t, err, "it has a budget per person, which this gateway does not keep")
	p, err := New(rules, CarriesBudgets)
	require.NoError(t, err)
	r := proxy.OpenRequest{Identity: &proxy.Identity{Subject: "alice", Groups: []string{"dev"}}, Target: orders}
	_, _, err = (&proxy.Gateway{Interceptors: []proxy.Interceptor{p}}).Open(t.Context(), r)
	require.Error(t, err)
	r.Dry = true
	_, _, err = (&proxy.Gateway{Interceptors: []proxy.Interceptor{p}}).Open(t.Context(), r)
	require.NoError(t, err)
	for _, bad := range []Budget{{Per: time.Hour}, {Rows: 1}, {Rows: 1, Per: time.Second}, {Rows: 1, Per: 32 * 24 * time.Hour}, {Rows: 1 << 63, Per: time.Hour}} {
		_, err := New(open(Obligations{Budgets: []Budget{bad}}), CarriesBudgets)
		require.ErrorContains(t, err, "budget per person", "%v", bad)
	}
}

// TestBudgetIsSharedBySessions holds that sessions at once have one budget, of which each rule's
// counts, and that what is refused by one is not paid to another.
func TestBudgetIsSharedBySessions(t *testing.T) {
	l := &till{}
	b := &Budgets{Ledger: l}
	var wg sync.WaitGroup
	var mu sync.Mutex
	ran := 0
	for range 8 {
		s := budgeted(t, b, Budget{Statements: 100, Per: time.Hour}, Budget{Statements: 1000, Per: 24 * time.Hour})
		wg.Go(func() {
			defer s.Close(nil)
			for !run(s, statement(proxy.EffectRead)).Refuses() {
				mu.Lock()
				ran++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	b.Wait()
	require.Equal(t, 100, ran)
	require.Equal(t, uint64(100), l.taken[Account{Policy: "policy", Rule: "bound", Subject: "alice", Unit: "statements", Per: time.Hour}])
	require.Equal(t, uint64(100), l.taken[Account{Policy: "policy", Rule: "bound", Subject: "alice", Unit: "statements", Per: 24 * time.Hour}], "the rest of a slice came back")
	require.Empty(t, b.purses)
}

// TestBudgetDoesNotWait holds that the next slice is asked for before one is used up, and that
// nothing waits for it until then.
func TestBudgetDoesNotWait(t *testing.T) {
	l := &till{blocking: make(chan struct{})}
	b := &Budgets{Ledger: l}
	s := budgeted(t, b, Budget{Statements: 1000, Per: time.Hour})
	for range 100 {
		require.False(t, run(s, statement(proxy.EffectRead)).Refuses())
	}
	require.Eventually(t, func() bool { return l.questions() == 2 }, 10*time.Second, time.Millisecond, "while half of it was left")
	waits := make(chan bool)
	go func() { waits <- run(s, statement(proxy.EffectRead)).Refuses() }()
	close(l.blocking)
	require.False(t, <-waits)
	s.Close(nil)
	b.Wait()
	require.Equal(t, uint64(101), l.taken[Account{Policy: "policy", Rule: "bound", Subject: "alice", Unit: "statements", Per: time.Hour}])
}

// TestBudgetEnds holds that what is left of a slice does not outlive its period, and that the
// next period has a budget of its own.
func TestBudgetEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &till{lasts: time.Minute}
		b := &Budgets{Ledger: l}
		s := budgeted(t, b, Budget{Statements: 20, Per: time.Hour})
		require.False(t, run(s, statement(proxy.EffectRead)).Refuses())
		time.Sleep(time.Minute + time.Second)
		synctest.Wait()
		l.next()
		n := 0
		for !run(s, statement(proxy.EffectRead)).Refuses() {
			n++
		}
		require.Equal(t, 20, n)
		time.Sleep(time.Minute + time.Second)
		l.next()
		require.False(t, run(s, statement(proxy.EffectRead)).Refuses())
		s.Close(nil)
		b.Wait()
	})
}

// TestBudgetLedgerFails holds that nothing is used that was not taken.
func TestBudgetLedgerFails(t *testing.T) {
	l := &till{err: errors.New("connection refused")}
	b := &Budgets{Ledger: l}
	s := budgeted(t, b, Budget{Statements: 20, Rows: 20, Per: time.Hour})
	v := run(s, statement(proxy.EffectRead))
	require.Equal(t, "your budget of 20 statements per 1h cannot be looked at now (rule bound)", v.Message())
	require.NotContains(t, v.Message()+v.Remedy, "connection refused")
	require.False(t, run(s, statement(proxy.EffectTransaction)).Refuses(), "COMMIT ends what was begun")
	l.err = nil
	require.False(t, run(s, statement(proxy.EffectRead)).Refuses())
	s.Close(nil)
	b.Wait()
}

// TestBudgetOfPersonOutlivesARevision holds that a new revision with another budget goes on with
// what was used.
func TestBudgetOfPersonOutlivesARevision(t *testing.T) {
	l := &till{}
	b := &Budgets{Ledger: l}
	create := func(n uint64) *Policy {
		p, err := New(open(Obligations{Budgets: []Budget{{Statements: n, Per: time.Hour}}}), CarriesBudgets)
		require.NoError(t, err)
		return p.WithBudgets(b)
	}
	g := &proxy.Gateway{Interceptors: []proxy.Interceptor{create(3)}}
	s, op, err := g.Open(t.Context(), proxy.OpenRequest{Identity: &proxy.Identity{Subject: "alice", Groups: []string{"dev"}}, Target: orders})
	require.NoError(t, err)
	s.Done(op, &proxy.Outcome{})
	require.False(t, run(s, statement(proxy.EffectRead)).Refuses())
	require.False(t, run(s, statement(proxy.EffectRead)).Refuses())
	require.NoError(t, g.Use(&proxy.Revision{Interceptors: []proxy.Interceptor{create(2)}}))
	require.True(t, run(s, statement(proxy.EffectRead)).Refuses())
	require.NoError(t, g.Use(&proxy.Revision{Interceptors: []proxy.Interceptor{create(4)}}))
	require.False(t, run(s, statement(proxy.EffectRead)).Refuses())
	require.False(t, run(s, statement(proxy.EffectRead)).Refuses())
	require.True(t, run(s, statement(proxy.EffectRead)).Refuses())
	s.Close(nil)
	b.Wait()
	require.Empty(t, b.purses)
}

// TestBudgetAllocatesNothing holds that paying from a slice costs no memory.
func TestBudgetAllocatesNothing(t *testing.T) {
	b := &Budgets{Ledger: &till{}}
	s := budgeted(t, b, Budget{Statements: 1 << 40, Rows: 1 << 40, Per: time.Hour})
	p := b.join("policy", "bound", "alice", Budget{Statements: 1 << 40, Rows: 1 << 40, Per: time.Hour})
	d := &decision{purses: []*purse{p}}
	ctx := t.Context()
	require.Zero(t, testing.AllocsPerRun(1000, func() {
		if v := d.affords(ctx, 1); v.Refuses() || d.pay(ctx, 1) != nil || d.payRow(ctx) != nil {
			t.Fail()
		}
		d.chargeRows(1)
	}))
	b.leave(p)
	s.Close(nil)
	b.Wait()
}

// BenchmarkBudgetOfPerson begins a statement and returns a row, of a slice that is there.
func BenchmarkBudgetOfPerson(b *testing.B) {
	of := Budget{Statements: 1 << 50, Rows: 1 << 50, Per: time.Hour}
	budgets := &Budgets{Ledger: &till{}}
	p := budgets.join("policy", "bound", "alice", of)
	d := &decision{purses: []*purse{p}}
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		if v := d.affords(ctx, 1); v.Refuses() || d.pay(ctx, 1) != nil || d.payRow(ctx) != nil {
			b.Fatal("the slice is used up")
		}
	}
	budgets.leave(p)
	budgets.Wait()
}
