package policy

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
)

func open(o Obligations) []Rule {
	return []Rule{
		{Groups: []string{"dev"}, Allow: []string{"connect", "read", "write", "shell", "exec"}},
		{Name: "bound", Groups: []string{"*"}, Obligations: o},
	}
}

func TestStrictestObligationWins(t *testing.T) {
	rules := []Rule{
		{Name: "a", Groups: []string{"dev"}, Allow: []string{"connect"}, Obligations: Obligations{
			Masking: []string{"staff", "eu"}, Recording: RecordingFull, Session: time.Hour, Rows: 10,
		}},
		{Name: "b", Groups: []string{"ops"}, Obligations: Obligations{Masking: []string{"eu", "dev"}, Recording: RecordingDigest, Idle: time.Minute, Rows: 20, Statements: 5}},
		{Name: "elsewhere", Groups: []string{"dev"}, Resources: []string{"x"}, Obligations: Obligations{Session: time.Second}},
		{Name: "at other times", Groups: []string{"dev"}, When: Condition{LoginWithin: 1}, Obligations: Obligations{Session: time.Second}},
	}
	want := Decision{Rules: []string{"a", "b"}, Obligations: Obligations{
		Masking: []string{"dev", "eu", "staff"}, Recording: RecordingFull, Session: time.Hour, Idle: time.Minute, Rows: 10, Statements: 5,
	}}
	session := &proxy.Session{Identity: &proxy.Identity{Subject: "alice", Groups: []string{"dev", "ops"}, AuthTime: time.Unix(1, 0)}, Target: orders}
	for range 2 { // in any order
		p, err := New(rules, CarriesMasking, CarriesRecording)
		require.NoError(t, err)
		require.Equal(t, want, p.Decide(session))
		rules[0], rules[1] = rules[1], rules[0]
		want.Rules[0], want.Rules[1] = want.Rules[1], want.Rules[0]
	}
}

// TestNobodyCarriesItOut holds that a rule does not ask in vain.
func TestNobodyCarriesItOut(t *testing.T) {
	for want, o := range map[string]Obligations{
		`masking profile "eu"`: {Masking: []string{"eu"}}, `recording "full"`: {Recording: RecordingFull},
	} {
		_, err := New(open(o))
		require.ErrorContains(t, err, want)
		_, err = New(open(o), CarriesMasking, CarriesRecording)
		require.NoError(t, err)
	}
}

func TestBudgetOfStatements(t *testing.T) {
	s, err := connected(t, open(Obligations{Statements: 3}), nil)
	require.NoError(t, err)
	defer s.Close(nil)
	for _, free := range []proxy.Effects{proxy.EffectTransaction, proxy.EffectSet} {
		require.False(t, run(s, statement(free)).Refuses())
	}
	prepare := &proxy.Statement{Meta: proxy.Meta{Kind: proxy.KindPrepare}, Facts: &proxy.Facts{Effects: proxy.EffectRead}}
	require.False(t, run(s, prepare).Refuses())
	require.True(t, run(s, statement(proxy.EffectDrop)).Refuses()) // what is refused costs nothing
	require.False(t, run(s, facts(proxy.Facts{Effects: proxy.EffectRead, Statements: 2})).Refuses())
	v := run(s, facts(proxy.Facts{Effects: proxy.EffectRead, Statements: 2}))
	require.Equal(t, "this session has used its budget of 3 statements at orders/shop (rule bound)", v.Message())
	require.False(t, run(s, statement(proxy.EffectRead)).Refuses())
	require.True(t, run(s, statement(proxy.EffectRead)).Refuses())
	require.True(t, run(s, &proxy.Exec{Meta: proxy.Meta{Kind: proxy.KindExec}}).Refuses())
	require.False(t, run(s, statement(proxy.EffectTransaction)).Refuses()) // COMMIT ends what was begun
	require.NoError(t, s.Err())
}

// TestBudgetAtOnce holds that operations that are asked at the same time do not share what is
// left.
func TestBudgetAtOnce(t *testing.T) {
	s, err := connected(t, open(Obligations{Statements: 5}), nil)
	require.NoError(t, err)
	defer s.Close(nil)
	ran := make(chan bool)
	for range 20 {
		go func() { ran <- !run(s, statement(proxy.EffectRead)).Refuses() }()
	}
	n := 0
	for range 20 {
		if <-ran {
			n++
		}
	}
	require.Equal(t, 5, n)
}

func TestBudgetOfRows(t *testing.T) {
	s, err := connected(t, open(Obligations{Rows: 5}), nil)
	require.NoError(t, err)
	defer s.Close(nil)
	read := func(kind proxy.ShapeKind, rows int) error {
		op := statement(proxy.EffectRead)
		if v := s.Ask(t.Context(), op); v.Refuses() {
			return errors.New(v.Message())
		}
		f, err := s.Flow(op, &proxy.Shape{Kind: kind, Columns: make([]proxy.ShapeColumn, 1)})
		require.NoError(t, err)
		passed := 0
		defer func() { s.Done(op, &proxy.Outcome{Rows: uint64(passed)}) }()
		for range rows {
			if err := f.Row(proxy.NewRow([][]byte{nil})); err != nil {
				return err
			}
			passed++
		}
		return nil
	}
	require.NoError(t, read(proxy.ShapeRows, 2))
	update := statement(proxy.EffectUpdate)
	require.False(t, s.Ask(t.Context(), update).Refuses())
	s.Done(update, &proxy.Outcome{Rows: 1})
	require.NoError(t, read(proxy.ShapeCopy, 1))
	require.ErrorContains(t, read(proxy.ShapeRows, 2), "budget of 5 rows") // the second is the sixth
	require.ErrorContains(t, read(proxy.ShapeRows, 0), "budget of 5 rows at orders/shop (rule bound)")
	require.False(t, run(s, statement(proxy.EffectTransaction)).Refuses())
	require.NoError(t, s.Err())
}

func TestBudgetOutlivesARevision(t *testing.T) {
	create := func(n uint64) *Policy {
		p, err := New(open(Obligations{Statements: n}))
		require.NoError(t, err)
		return p
	}
	g := &proxy.Gateway{Interceptors: []proxy.Interceptor{create(3)}}
	s, op, err := g.Open(t.Context(), proxy.OpenRequest{Identity: &proxy.Identity{Subject: "alice", Groups: []string{"dev"}}, Target: orders})
	require.NoError(t, err)
	defer s.Close(nil)
	s.Done(op, &proxy.Outcome{})
	require.False(t, run(s, statement(proxy.EffectRead)).Refuses())
	require.False(t, run(s, statement(proxy.EffectRead)).Refuses())
	require.NoError(t, g.Use(&proxy.Revision{Interceptors: []proxy.Interceptor{create(2)}}))
	require.True(t, run(s, statement(proxy.EffectRead)).Refuses())
	require.NoError(t, g.Use(&proxy.Revision{Interceptors: []proxy.Interceptor{create(3)}}))
	require.False(t, run(s, statement(proxy.EffectRead)).Refuses())
	require.True(t, run(s, statement(proxy.EffectRead)).Refuses())
}

// TestDrySessionsCountNothing holds that explaining has no budget.
func TestDrySessionsCountNothing(t *testing.T) {
	s, err := connected(t, open(Obligations{Statements: 1, Session: time.Nanosecond}), func(r *proxy.OpenRequest) { r.Dry = true })
	require.NoError(t, err)
	defer s.Close(nil)
	for range 3 {
		require.False(t, run(s, statement(proxy.EffectRead)).Refuses())
	}
	require.NoError(t, s.Err())
}

func TestSessionTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := connected(t, open(Obligations{Session: time.Hour}), nil)
		require.NoError(t, err)
		defer s.Close(nil)
		for range 59 {
			time.Sleep(time.Minute)
			require.False(t, run(s, statement(proxy.EffectRead)).Refuses())
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		require.ErrorIs(t, s.Err(), proxy.ErrDeadline)
		require.ErrorContains(t, s.Err(), "rule bound allows 1h")
	})
}

// TestSessionTimeChanges holds that a later revision's bound replaces the one before.
func TestSessionTimeChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		create := func(o Obligations) *Policy {
			p, err := New(open(o))
			require.NoError(t, err)
			return p
		}
		g := &proxy.Gateway{Interceptors: []proxy.Interceptor{create(Obligations{Session: time.Hour})}}
		s, op, err := g.Open(t.Context(), proxy.OpenRequest{Identity: &proxy.Identity{Subject: "alice", Groups: []string{"dev"}}, Target: orders})
		require.NoError(t, err)
		defer s.Close(nil)
		s.Done(op, &proxy.Outcome{})
		shell := &proxy.Exec{Meta: proxy.Meta{Kind: proxy.KindShell}} // keeps the first revision's hooks in use
		require.False(t, s.Ask(t.Context(), shell).Refuses())
		require.NoError(t, g.Use(&proxy.Revision{Interceptors: []proxy.Interceptor{create(Obligations{Session: 3 * time.Hour})}}))
		require.False(t, run(s, statement(proxy.EffectRead)).Refuses())
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		require.NoError(t, s.Err())
		time.Sleep(time.Hour)
		synctest.Wait()
		require.ErrorContains(t, s.Err(), "rule bound allows 3h")
	})
}

func TestIdleTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := connected(t, open(Obligations{Idle: 10 * time.Minute}), nil)
		require.NoError(t, err)
		defer s.Close(nil)
		for range 5 {
			time.Sleep(9 * time.Minute)
			require.False(t, run(s, statement(proxy.EffectRead)).Refuses())
		}
		long := statement(proxy.EffectRead)
		require.False(t, s.Ask(t.Context(), long).Refuses())
		time.Sleep(time.Hour) // something happens
		synctest.Wait()
		require.NoError(t, s.Err())
		s.Done(long, &proxy.Outcome{})
		shell := &proxy.Exec{Meta: proxy.Meta{Kind: proxy.KindShell}}
		require.False(t, s.Ask(t.Context(), shell).Refuses())
		f, err := s.Flow(shell, &proxy.Shape{Kind: proxy.ShapeStream, Media: "stdin", Inbound: true})
		require.NoError(t, err)
		time.Sleep(9 * time.Minute)
		typed, err := f.Bytes(nil, []byte("l"))
		require.NoError(t, err)
		require.Equal(t, "l", string(typed))
		time.Sleep(9 * time.Minute)
		synctest.Wait()
		require.NoError(t, s.Err())
		time.Sleep(time.Minute)
		synctest.Wait()
		require.ErrorIs(t, s.Err(), proxy.ErrIdle)
		require.ErrorContains(t, s.Err(), "rule bound allows 10m")
	})
}

// TestWaitingForAnApprovalIsNotIdle holds that a session does not end while its user waits
// for others.
func TestWaitingForAnApprovalIsNotIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, err := New([]Rule{
			{Groups: []string{"dev"}, Allow: []string{"connect"}, Obligations: Obligations{Idle: time.Minute}},
			{Name: "four eyes", Groups: []string{"dev"}, Allow: []string{"write"}, Obligations: Obligations{Review: &Review{Approvers: []string{"dba"}}}},
		})
		require.NoError(t, err)
		g := &proxy.Gateway{Interceptors: []proxy.Interceptor{p}, Reviewer: slow{}}
		s, op, err := g.Open(t.Context(), proxy.OpenRequest{Identity: &proxy.Identity{Subject: "alice", Groups: []string{"dev"}}, Target: orders})
		require.NoError(t, err)
		defer s.Close(nil)
		s.Done(op, &proxy.Outcome{})
		v := run(s, statement(proxy.EffectInsert))
		require.False(t, v.Refuses(), v.Reason)
		require.Equal(t, "grant", v.Grant)
	})
}

// slow approves after half an hour.
type slow struct{}

func (slow) Request(context.Context, *proxy.Session, proxy.Op, *proxy.Hold) (*proxy.Pending, error) {
	return &proxy.Pending{Wait: func(context.Context) proxy.Verdict {
		time.Sleep(30 * time.Minute)
		v := proxy.Allow("")
		v.Grant = "grant"
		return v
	}}, nil
}

func TestReview(t *testing.T) {
	rules := []Rule{
		{Groups: []string{"dev"}, Allow: []string{"connect", "read", "exec"}},
		{Name: "four eyes", Groups: []string{"dev"}, Allow: []string{"write", "exec"}, Obligations: Obligations{
			Review: &Review{Approvers: []string{"dba"}, For: time.Hour, Message: "writes are reviewed"},
		}},
		{Name: "owners", Groups: []string{"ops"}, Allow: []string{"delete"}, Relations: []string{"public.orders"}, Obligations: Obligations{
			Review: &Review{Approvers: []string{"owners", "leads"}, For: time.Minute, InTransaction: time.Second, Message: "deletes are reviewed"},
		}},
	}
	on := func(name string) proxy.Op {
		return facts(proxy.Facts{Statements: 1, Effects: proxy.EffectDelete, Resolved: true, Relations: []proxy.Relation{{Schema: "public", Name: name, Effects: proxy.EffectDelete}}})
	}
	unsure := facts(proxy.Facts{Statements: 1, Effects: proxy.EffectDelete, Resolved: true, Unsure: true})
	for _, c := range []struct {
		name string
		op   proxy.Op
		want []string
	}{
		{"reading", statement(proxy.EffectRead), nil},
		{"a transaction", statement(proxy.EffectTransaction), nil},
		{"writing", statement(proxy.EffectInsert), []string{"four eyes"}},
		{"reading and writing", statement(proxy.EffectRead | proxy.EffectUpdate), []string{"four eyes"}},
		{"preparing a write", &proxy.Statement{Meta: proxy.Meta{Kind: proxy.KindPrepare}, Facts: &proxy.Facts{Effects: proxy.EffectInsert}}, nil},
		{"a command", &proxy.Exec{Meta: proxy.Meta{Kind: proxy.KindExec}}, []string{"four eyes"}},
		{"its environment", &proxy.Call{Meta: proxy.Meta{Kind: proxy.KindEnv}}, nil},
		{"two rules", on("orders"), []string{"four eyes", "owners"}},
		{"another relation", on("items"), []string{"four eyes"}},
		{"perhaps that relation", unsure, []string{"four eyes", "owners"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := connected(t, rules, func(r *proxy.OpenRequest) { r.Dry = true })
			require.NoError(t, err)
			defer s.Close(nil)
			v := s.Ask(t.Context(), c.op)
			if c.want == nil {
				require.Equal(t, proxy.ActionPass, v.Action)
				return
			}
			require.Equal(t, proxy.ActionHold, v.Action, v.Reason)
			require.Equal(t, c.want, v.Hold.Rules)
			if len(c.want) == 2 {
				require.Equal(t, [][]string{{"dba"}, {"owners", "leads"}}, v.Hold.Approvers)
				require.Equal(t, time.Minute, v.Hold.For)
				require.Equal(t, time.Second, v.Hold.InTransaction)
			}
		})
	}
}

func TestNewRefusesConditionsAndObligations(t *testing.T) {
	for want, r := range map[string]Rule{
		"has bits after its length": {When: Condition{Networks: prefixes("10.0.0.1/8")}},
		"the whole week":            {When: Condition{Hours: []Hours{{From: 0, To: 1440}}}},
		"a login cannot be":         {Unless: Condition{LoginWithin: -1}},
		"a login has a method":      {When: Condition{Methods: []proxy.Method{proxy.MethodNone}}},
		"is not a pattern":          {Claims: map[string][]string{"a": {"["}}},
		"has no values":             {Claims: map[string][]string{"a": nil}},
		"want TABLE or SCHEMA":      {Relations: []string{"a.b.c"}},
		"kind of identity 9":        {Kinds: []proxy.IdentityKind{9}},
		"no approvers":              {Obligations: Obligations{Review: &Review{}}},
		"cannot be negative":        {Obligations: Obligations{Idle: -1}},
		"recording level 9":         {Obligations: Obligations{Recording: 9}},
		`say nothing of "exec"`:     {Allow: []string{"exec"}, Relations: []string{"a"}},
	} {
		t.Run(want, func(t *testing.T) {
			r.Groups, r.Name = []string{"dev"}, "x"
			if r.Allow == nil {
				r.Allow = []string{"read"}
			}
			_, err := New([]Rule{r}, CarriesRecording)
			require.ErrorContains(t, err, want)
			require.ErrorContains(t, err, "rule x: ")
		})
	}
	_, err := New([]Rule{{Groups: []string{"dev"}, Deny: []string{"read"}, Obligations: Obligations{Review: &Review{Approvers: []string{"dba"}}}}})
	require.ErrorContains(t, err, "nothing to review")
}
