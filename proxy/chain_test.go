package proxy_test

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

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/proxy/proxytest"
)

// part is an interceptor that answers by a function and notes what it sees.
type part struct {
	name  string
	trace *[]string
	ask   func(op proxy.Op) proxy.Verdict
	hooks proxy.Hooks
}

func (p part) Name() string { return p.name }

func (p part) Intercept(context.Context, *proxy.Session) (proxy.Hooks, error) {
	h := p.hooks
	note := func(what string) {
		if p.trace != nil {
			*p.trace = append(*p.trace, p.name+" "+what)
		}
	}
	if h.Ask == nil {
		h.Ask = func(_ context.Context, op proxy.Op) proxy.Verdict {
			if op.Info().Kind == proxy.KindConnect {
				return proxy.Pass()
			}
			note("ask")
			if p.ask != nil {
				return p.ask(op)
			}
			return proxy.Pass()
		}
	}
	if h.Done == nil {
		h.Done = func(_ context.Context, op proxy.Op, out *proxy.Outcome) {
			if op.Info().Kind != proxy.KindConnect {
				note("done " + out.Verdict.Action.String() + " by " + out.By)
			}
		}
	}
	if h.Close == nil {
		h.Close = func(error) { note("close") }
	}
	return h, nil
}

func ask(s *proxy.Session, op proxy.Op) *proxy.Verdict { return s.Ask(context.Background(), op) }

func read() *proxy.Statement { return proxytest.Statement("SELECT 1", proxy.EffectRead) }

func TestChainOrder(t *testing.T) {
	var trace []string
	a, b, c := part{name: "a", trace: &trace}, part{name: "b", trace: &trace}, part{name: "c", trace: &trace}
	s, err := proxytest.Open(&proxy.Gateway{}, a, b, c)
	require.NoError(t, err)
	op := read()
	require.False(t, ask(s, op).Refuses())
	s.Done(op, &proxy.Outcome{})
	s.Done(op, &proxy.Outcome{}) // twice is once
	s.Close(nil)
	s.Close(nil)
	require.Equal(t, "a ask,b ask,c ask,a done pass by ,b done pass by ,c done pass by ,a close,b close,c close", strings.Join(trace, ","))

	// The first refusal is the answer; all are told.
	trace = nil
	b.ask = func(proxy.Op) proxy.Verdict { return proxy.Deny(proxy.CausePolicy, "r", "no", "") }
	s, err = proxytest.Open(&proxy.Gateway{}, a, b, c)
	require.NoError(t, err)
	require.True(t, ask(s, read()).Refuses())
	require.Equal(t, "a ask,b ask,a done deny by b,b done deny by b,c done deny by b", strings.Join(trace, ","))
	s.Close(nil)
}

// Close waits for what Go began before it, and not for what Go begins afterwards.
func TestCloseWaits(t *testing.T) {
	for range 100 {
		s, err := proxytest.Open(&proxy.Gateway{}, part{name: "p"})
		require.NoError(t, err)
		var ended atomic.Bool
		s.Go("before", func() error {
			<-s.Context().Done()
			ended.Store(true)
			return nil
		})
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() { s.Go("while it closes", func() error { return nil }) })
		}
		s.Close(nil)
		require.True(t, ended.Load())
		ran := make(chan struct{})
		s.Go("after", func() error { close(ran); return nil })
		<-ran
		wg.Wait()
	}
}

// Whatever does not say yes says no.
func TestClosedByDefault(t *testing.T) {
	for _, c := range []struct {
		name string
		v    proxy.Verdict
	}{
		{"zero", proxy.Verdict{}},
		{"an action that does not exist", proxy.Verdict{Action: 99}},
		{"a hold that says nothing", proxy.Verdict{Action: proxy.ActionHold}},
		{"a hold without approvers", proxy.Verdict{Action: proxy.ActionHold, Hold: &proxy.Hold{Rules: []string{"r"}, For: time.Hour}}},
		{"a hold that nobody takes", proxytest.Hold("r")},
		{"a rewrite without text", proxy.Verdict{Action: proxy.ActionRewrite}},
		{"a rewrite where none is possible", proxy.Verdict{Action: proxy.ActionRewrite, Text: []byte("SELECT 2")}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := proxytest.Session(t, part{name: "p", ask: func(proxy.Op) proxy.Verdict { return c.v }})
			v := ask(s, read())
			require.True(t, v.Refuses())
			require.NotEmpty(t, v.Message())
		})
	}
	t.Run("an unknown kind", func(t *testing.T) {
		asked := 0
		s := proxytest.Session(t, part{name: "p", ask: func(proxy.Op) proxy.Verdict { asked++; return proxy.Pass() }})
		for _, k := range []proxy.Kind{proxy.KindUnknown, 200} {
			require.True(t, ask(s, &proxy.Call{Meta: proxy.Meta{Kind: k}}).Refuses())
		}
		require.Zero(t, asked, "nobody is asked what cannot be allowed")
	})
	t.Run("connect without an Allow", func(t *testing.T) {
		g := &proxy.Gateway{Interceptors: []proxy.Interceptor{part{name: "p", hooks: proxy.Hooks{Ask: func(context.Context, proxy.Op) proxy.Verdict { return proxy.Pass() }}}}}
		id, r := proxytest.Identity, proxytest.Resource
		_, _, err := g.Open(context.Background(), proxy.OpenRequest{Identity: &id, Target: proxy.Target{Resource: &r}})
		var refused *proxy.RefusedError
		require.ErrorAs(t, err, &refused)
		require.Empty(t, g.Sessions())
	})
	t.Run("nobody", func(t *testing.T) {
		_, _, err := (&proxy.Gateway{}).Open(context.Background(), proxy.OpenRequest{Target: proxy.Target{Resource: &proxy.Resource{}}})
		require.ErrorIs(t, err, proxy.ErrUnauthenticated)
		_, _, err = (&proxy.Gateway{}).Open(context.Background(), proxy.OpenRequest{Identity: &proxy.Identity{}, Target: proxy.Target{Resource: &proxy.Resource{}}})
		require.ErrorIs(t, err, proxy.ErrUnauthenticated)
	})
}

// A panic in any hook ends its session and no other, and its value is shown to
// nobody.
func TestAttack78Panics(t *testing.T) {
	for _, at := range []string{"Intercept", "Ask", "Start", "Flow", "Tell", "Noted", "Done", "Close"} {
		t.Run(at, func(t *testing.T) {
			var event error
			g := &proxy.Gateway{OnEvent: func(e proxy.Event) {
				if e.Kind == proxy.EventPanic {
					event = e.Err
				}
			}}
			s, err := proxytest.Open(g, proxytest.Fault{At: at, How: proxytest.FailPanic})
			if at == "Intercept" {
				require.Error(t, err)
				require.NotContains(t, err.Error(), proxytest.Secret)
				return
			}
			require.NoError(t, err)
			op := read()
			v := ask(s, op)
			switch at {
			case "Ask", "Start":
				require.True(t, v.Refuses())
				require.NotContains(t, v.Message(), proxytest.Secret)
			case "Flow":
				_, err := s.Flow(op, &proxy.Shape{})
				require.Error(t, err)
			case "Tell":
				require.Error(t, s.Tell(op, &proxy.Message{}))
			case "Noted":
				require.Error(t, s.Note(context.Background(), op, &proxy.Note{Kind: proxy.NoteObserved}))
			}
			s.Done(op, &proxy.Outcome{})
			if at != "Close" {
				require.Error(t, s.Err(), "the session has ended")
			}
			s.Close(nil)
			require.Error(t, event)
			require.NotContains(t, event.Error(), proxytest.Secret)
			require.Empty(t, g.Sessions())
			other, err := proxytest.Open(g)
			require.NoError(t, err)
			require.False(t, ask(other, read()).Refuses())
			other.Close(nil)
		})
	}
}

// A Done that panics keeps nobody from being told, least of all who records.
func TestDonePanicTellsTheOthers(t *testing.T) {
	for name, verdict := range map[string]proxy.Verdict{"ran": proxy.Pass(), "refused": proxy.Deny(proxy.CausePolicy, "", "", "")} {
		t.Run(name, func(t *testing.T) {
			var trace []string
			panics := part{name: "panics", hooks: proxy.Hooks{Done: func(_ context.Context, op proxy.Op, _ *proxy.Outcome) {
				if op.Info().Kind == proxy.KindStatement {
					panic(proxytest.Secret)
				}
			}}}
			decides := part{name: "decides", ask: func(proxy.Op) proxy.Verdict { return verdict }}
			s, err := proxytest.Open(&proxy.Gateway{}, decides, panics, panics, part{name: "records", trace: &trace})
			require.NoError(t, err)
			op := read()
			v := ask(s, op)
			s.Done(op, &proxy.Outcome{})
			require.Contains(t, trace, "records done "+v.Action.String()+" by "+op.By())
			var p *proxy.PanicError
			require.ErrorAs(t, s.Err(), &p)
			s.Close(nil)
		})
	}
}

// A decision that takes too long ends the session.
func TestStuckDecision(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := proxytest.Open(&proxy.Gateway{AskTimeout: 30 * time.Second}, part{name: "p", ask: func(proxy.Op) proxy.Verdict {
			time.Sleep(time.Minute) // deaf to its context
			return proxy.Pass()
		}})
		require.NoError(t, err)
		begun := time.Now()
		stop := context.AfterFunc(s.Context(), func() {
			require.Equal(t, 30*time.Second, time.Since(begun))
		})
		defer stop()
		require.True(t, ask(s, read()).Refuses())
		require.ErrorIs(t, s.Err(), proxy.ErrStuck)
		s.Close(nil)
	})
}

// reviewer makes requests that wait decides about.
type reviewer struct {
	wait     func(ctx context.Context) proxy.Verdict
	deadline time.Duration
	asked    []*proxy.Hold
}

func (r *reviewer) Request(_ context.Context, _ *proxy.Session, _ proxy.Op, h *proxy.Hold) (*proxy.Pending, error) {
	r.asked = append(r.asked, h)
	p := &proxy.Pending{ID: "1", Wait: r.wait}
	if r.deadline > 0 {
		p.Deadline = time.Now().Add(r.deadline)
	}
	return p, nil
}

func approve(context.Context) proxy.Verdict {
	return proxy.Verdict{Action: proxy.ActionAllow, Grant: "1 by bob"}
}

func holding(rule string) part {
	return part{name: "holds " + rule, ask: func(proxy.Op) proxy.Verdict { return proxytest.Hold(rule) }}
}

func TestHold(t *testing.T) {
	wait := func(ctx context.Context) proxy.Verdict {
		<-ctx.Done()
		return proxy.Deny(proxy.CauseApproval, "", "nobody decided", "")
	}
	for _, c := range []struct {
		name string
		wait func(ctx context.Context) proxy.Verdict
		end  func(s *proxy.Session)
		want bool
		took time.Duration
	}{
		{"approved", func(ctx context.Context) proxy.Verdict { time.Sleep(time.Hour); return approve(ctx) }, nil, true, time.Hour},
		{"denied", func(context.Context) proxy.Verdict { return proxy.Deny(proxy.CauseDenied, "", "no", "") }, nil, false, 0},
		{"deadline", wait, nil, false, 2 * time.Hour},
		{"an approval after the deadline", func(ctx context.Context) proxy.Verdict { time.Sleep(3 * time.Hour); return approve(ctx) }, nil, false, 3 * time.Hour},
		{"a wait that answers a hold", func(context.Context) proxy.Verdict { return proxytest.Hold("again") }, nil, false, 0},
		{"a wait that answers a rewrite", func(context.Context) proxy.Verdict {
			return proxy.Verdict{Action: proxy.ActionRewrite, Text: []byte("x")}
		}, nil, false, 0},
		{"canceled by the client", wait, func(s *proxy.Session) { require.True(t, s.CancelHolds()) }, false, time.Minute},
		{"the session ends", wait, func(s *proxy.Session) { s.Kill(proxy.ErrDeadline) }, false, time.Minute},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &reviewer{wait: c.wait, deadline: 2 * time.Hour}
				s, err := proxytest.Open(&proxy.Gateway{AskTimeout: time.Second, Reviewer: r}, holding("held"))
				require.NoError(t, err)
				told := 0
				s.Handle(func(proxy.Op, *proxy.Pending) { told++ }, nil)
				if c.end != nil {
					time.AfterFunc(time.Minute, func() { c.end(s) })
				}
				begun := time.Now()
				require.Equal(t, c.want, !ask(s, read()).Refuses())
				require.Equal(t, c.took, time.Since(begun))
				require.Equal(t, 1, told)
				require.False(t, s.CancelHolds(), "nothing is parked any more")
				s.Close(nil)
			})
		})
	}
}

// What somebody refuses is never put before an approver, wherever in the chain it
// is refused; holds become one request, and after its approval all are asked again.
func TestVerdictsBeforeWaiting(t *testing.T) {
	refusing := part{name: "refuses", ask: func(proxy.Op) proxy.Verdict { return proxy.Deny(proxy.CauseMasking, "r", "no", "") }}
	open := func(t *testing.T, r *reviewer, chain ...proxy.Interceptor) *proxy.Session {
		s, err := proxytest.Open(&proxy.Gateway{Reviewer: r}, chain...)
		require.NoError(t, err)
		t.Cleanup(func() { s.Close(nil) })
		return s
	}
	t.Run("a later refusal wins", func(t *testing.T) {
		r := &reviewer{wait: approve}
		v := ask(open(t, r, holding("a"), refusing), read())
		require.Equal(t, proxy.CauseMasking, v.Cause)
		require.Empty(t, r.asked)
	})
	t.Run("holds are merged", func(t *testing.T) {
		r := &reviewer{wait: approve}
		var trace []string
		last := part{name: "last", trace: &trace, hooks: proxy.Hooks{Start: func(context.Context, proxy.Op) error {
			trace = append(trace, "start")
			return nil
		}}}
		s := open(t, r, holding("a"), holding("b"), last)
		trace = nil // of Connect
		op := read()
		v := ask(s, op)
		require.False(t, v.Refuses())
		require.Equal(t, "1 by bob", v.Grant)
		require.Equal(t, "a", v.Rule)
		require.Len(t, r.asked, 1)
		require.Equal(t, []string{"a", "b"}, r.asked[0].Rules)
		require.Equal(t, [][]string{{"*"}, {"*"}}, r.asked[0].Approvers)
		require.Equal(t, "it waits; it waits", r.asked[0].Message)
		require.Equal(t, []string{"last ask", "last ask", "start"}, trace, "asked again, and started once")
		s.Done(op, &proxy.Outcome{})
	})
	t.Run("access is asked for by itself", func(t *testing.T) {
		for _, accessFirst := range []bool{true, false} {
			granted := false
			access := part{name: "access", hooks: proxy.Hooks{Ask: func(_ context.Context, op proxy.Op) proxy.Verdict {
				switch {
				case op.Info().Kind != proxy.KindConnect:
					return proxy.Pass()
				case granted:
					return proxy.Verdict{Action: proxy.ActionPass, Grant: "r1"}
				}
				return proxy.Verdict{Action: proxy.ActionHold, Rule: "prod", Hold: &proxy.Hold{Rules: []string{"prod"}, Approvers: [][]string{{"ops"}}, For: time.Minute, Access: "prod"}}
			}}}
			held := part{name: "eyes", hooks: proxy.Hooks{Ask: func(_ context.Context, op proxy.Op) proxy.Verdict {
				if op.Info().Kind != proxy.KindConnect {
					return proxy.Pass()
				}
				return proxytest.Hold("eyes")
			}}}
			chain := []proxy.Interceptor{access, held}
			if !accessFirst {
				chain = []proxy.Interceptor{held, access}
			}
			r := &reviewer{wait: approve}
			r.wait = func(ctx context.Context) proxy.Verdict {
				if last := r.asked[len(r.asked)-1]; last.Access != "" {
					granted = true
					return proxy.Allow("prod") // access is granted, and nothing else is approved
				}
				return approve(ctx)
			}
			s := open(t, r, chain...)
			require.Len(t, r.asked, 2, "who grants access has not approved what else is held")
			require.Equal(t, []string{"prod"}, r.asked[0].Rules)
			require.Equal(t, "prod", r.asked[0].Access)
			require.Equal(t, []string{"eyes"}, r.asked[1].Rules)
			require.Empty(t, r.asked[1].Access)
			require.NotNil(t, s)
		}
	})
	t.Run("the record has every grant", func(t *testing.T) {
		grants := func(name string, v proxy.Verdict) part {
			return part{name: name, ask: func(proxy.Op) proxy.Verdict { return v }}
		}
		s := open(t, &reviewer{wait: approve}, grants("one", proxy.Verdict{Action: proxy.ActionAllow, Grant: "r1"}), grants("two", proxy.Verdict{Action: proxy.ActionPass, Grant: "r2"}), holding("a"))
		op := read()
		require.Equal(t, "r1, r2, 1 by bob", ask(s, op).Grant)
		require.Equal(t, []string{"r1", "r2", "1"}, op.Info().Grants())
		s.Done(op, &proxy.Outcome{})
	})
	t.Run("what is refused after the approval does not run", func(t *testing.T) {
		approved := false
		r := &reviewer{wait: func(ctx context.Context) proxy.Verdict { approved = true; return approve(ctx) }}
		late := part{name: "late", ask: func(proxy.Op) proxy.Verdict {
			if approved {
				return proxy.Deny(proxy.CausePolicy, "late", "no more", "")
			}
			return proxy.Pass()
		}}
		require.Equal(t, "late", ask(open(t, r, holding("a"), late), read()).Rule)
		require.True(t, approved)
	})
	t.Run("a rule that comes meanwhile is asked about, too", func(t *testing.T) {
		r := &reviewer{wait: approve}
		second := part{name: "second", ask: func(proxy.Op) proxy.Verdict {
			if len(r.asked) == 0 {
				return proxy.Pass()
			}
			return proxytest.Hold("b")
		}}
		require.False(t, ask(open(t, r, holding("a"), second), read()).Refuses())
		require.Len(t, r.asked, 2)
		require.Equal(t, []string{"b"}, r.asked[1].Rules, "what was approved is not asked again")
	})
	t.Run("other approvers are another approval", func(t *testing.T) {
		r := &reviewer{wait: approve}
		moving := part{name: "moving", ask: func(proxy.Op) proxy.Verdict {
			v := proxytest.Hold("a")
			v.Hold.Approvers = [][]string{{string(rune('a' + len(r.asked)))}}
			return v
		}}
		require.True(t, ask(open(t, r, moving), read()).Refuses(), "rules that keep changing end it")
		require.Len(t, r.asked, 4)
	})
	t.Run("an approval is not for a text that comes later", func(t *testing.T) {
		r := &reviewer{wait: approve}
		rewriting := part{name: "rewrites", ask: func(op proxy.Op) proxy.Verdict {
			if st := op.(*proxy.Statement); len(r.asked) == 1 && string(st.Text) == "SELECT 1" {
				return proxy.Verdict{Action: proxy.ActionRewrite, Text: []byte("SELECT 2")}
			}
			return proxy.Pass()
		}}
		s := open(t, r, holding("a"), rewriting)
		s.Handle(nil, func(op proxy.Op, text []byte) error {
			op.(*proxy.Statement).Text = text
			return nil
		})
		require.False(t, ask(s, read()).Refuses())
		require.Len(t, r.asked, 2)
	})
}

func TestRewrite(t *testing.T) {
	seen := []string{}
	limit := part{name: "limit", ask: func(op proxy.Op) proxy.Verdict {
		text := string(op.(*proxy.Statement).Text)
		seen = append(seen, text)
		if !strings.HasSuffix(text, "LIMIT 10") {
			return proxy.Verdict{Action: proxy.ActionRewrite, Text: []byte(text + " LIMIT 10")}
		}
		return proxy.Pass()
	}}
	first := part{name: "first", ask: func(op proxy.Op) proxy.Verdict {
		seen = append(seen, "first "+string(op.(*proxy.Statement).Text))
		return proxy.Pass()
	}}
	s := proxytest.Session(t, first, limit)
	s.Handle(nil, func(op proxy.Op, text []byte) error {
		op.(*proxy.Statement).Text = text
		return nil
	})
	op := read()
	require.False(t, ask(s, op).Refuses())
	require.True(t, op.Rewritten)
	require.Equal(t, []string{"first SELECT 1", "SELECT 1", "first SELECT 1 LIMIT 10", "SELECT 1 LIMIT 10"}, seen, "the whole chain judges what runs")

	forever := proxytest.Session(t, part{name: "f", ask: func(proxy.Op) proxy.Verdict { return proxy.Verdict{Action: proxy.ActionRewrite, Text: []byte("x")} }})
	forever.Handle(nil, func(proxy.Op, []byte) error { return nil })
	require.True(t, ask(forever, read()).Refuses())
}

func TestWarnings(t *testing.T) {
	warn := func(text string) part {
		return part{name: text, ask: func(proxy.Op) proxy.Verdict { return proxy.Verdict{Action: proxy.ActionPass, Warn: text} }}
	}
	s := proxytest.Session(t, warn("one"), warn("two"))
	require.Equal(t, "one\ntwo", ask(s, read()).Warn)
}

func TestDeadlineAndKill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &proxy.Gateway{Limits: proxy.Limits{MaxSession: time.Hour}}
		s, err := proxytest.Open(g, part{name: "p"})
		require.NoError(t, err)
		require.False(t, ask(s, read()).Refuses())
		time.Sleep(time.Hour)
		synctest.Wait()
		require.ErrorIs(t, s.Err(), proxy.ErrDeadline)
		require.True(t, ask(s, read()).Refuses())
		s.Close(nil)
		require.Empty(t, g.Sessions())
	})
	cause := errors.New("revoked")
	var closed error
	s, err := proxytest.Open(&proxy.Gateway{}, part{name: "p", hooks: proxy.Hooks{Close: func(err error) { closed = err }}})
	require.NoError(t, err)
	s.Kill(cause)
	s.Kill(errors.New("later"))
	require.True(t, ask(s, read()).Refuses())
	s.Close(nil)
	require.Equal(t, cause, closed)
}

// Operations that never ended are told when the session does.
func TestUnfinishedOperations(t *testing.T) {
	var trace []string
	s, err := proxytest.Open(&proxy.Gateway{}, part{name: "p", trace: &trace})
	require.NoError(t, err)
	ask(s, read())
	ask(s, read())
	s.Close(nil)
	require.Equal(t, "p ask,p ask,p done pass by ,p done pass by ,p close", strings.Join(trace, ","))
}

func TestAttack70Numbers(t *testing.T) {
	var mu sync.Mutex
	seen := map[uint64]bool{}
	s := proxytest.Session(t, part{name: "p", hooks: proxy.Hooks{Ask: func(_ context.Context, op proxy.Op) proxy.Verdict {
		mu.Lock()
		defer mu.Unlock()
		seen[op.Info().ID] = true
		return proxy.Pass()
	}}})
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			for range 50 {
				op := read()
				ask(s, op)
				s.Done(op, &proxy.Outcome{})
			}
		})
	}
	wg.Wait()
	for n := range uint64(5001) {
		require.True(t, seen[n+1], "no gap at %d", n+1)
	}
}

func TestAskAllocatesNothing(t *testing.T) {
	six := make([]proxy.Interceptor, 6)
	for i := range six {
		six[i] = part{name: "p"}
	}
	s := proxytest.Session(t, six...)
	op, out := read(), &proxy.Outcome{}
	require.Zero(t, testing.AllocsPerRun(1000, func() {
		s.Ask(context.Background(), op)
		*out = proxy.Outcome{}
		s.Done(op, out)
	}))
}

func BenchmarkAsk(b *testing.B) {
	six := make([]proxy.Interceptor, 6)
	for i := range six {
		six[i] = part{name: "p"}
	}
	s := proxytest.Session(b, six...)
	op, out := read(), &proxy.Outcome{}
	b.ReportAllocs()
	for b.Loop() {
		s.Ask(context.Background(), op)
		*out = proxy.Outcome{}
		s.Done(op, out)
	}
}
