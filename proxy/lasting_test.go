package proxy_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/proxy/proxytest"
)

// running are an operation of each kind, and whether it goes on until its user ends it.
var running = []struct {
	op    proxy.Op
	lasts bool
}{
	{&proxy.Exec{Meta: proxy.Meta{Kind: proxy.KindExec}, Command: "tail -f log", Terminal: true, Target: "web"}, true},
	{&proxy.Exec{Meta: proxy.Meta{Kind: proxy.KindShell}}, true},
	{&proxy.Exec{Meta: proxy.Meta{Kind: proxy.KindSubsystem}, Command: "sftp"}, true},
	{&proxy.Forward{Meta: proxy.Meta{Kind: proxy.KindForward}, Listen: true, Network: "tcp", Host: "db", Port: 5432}, true},
	{&proxy.Forward{Meta: proxy.Meta{Kind: proxy.KindForward}, Network: "tcp", Host: "db", Port: 5432, Opaque: true}, true},
	{&proxy.Forward{Meta: proxy.Meta{Kind: proxy.KindAgent}, Network: "unix"}, true},
	{&proxy.Forward{Meta: proxy.Meta{Kind: proxy.KindX11}, Network: "tcp"}, true},
	{&proxy.Call{Meta: proxy.Meta{Kind: proxy.KindReplication}, Name: "START_REPLICATION", Args: [][]byte{[]byte("slot"), nil}}, true},
	{&proxy.Request{Meta: proxy.Meta{Kind: proxy.KindUpgrade}, Method: "GET", Path: "/live"}, true},
	{&proxy.Request{
		Meta: proxy.Meta{Kind: proxy.KindRequest}, Method: "GET", Host: "kube", Path: "/pods", Query: "watch=1", Action: "pods:watch",
		Also: []string{"x"}, Lasting: true, Access: proxy.AccessRead,
	}, true},
	{&proxy.Request{Meta: proxy.Meta{Kind: proxy.KindRequest}, Method: "GET", Path: "/pods"}, false},
	{&proxy.Statement{Meta: proxy.Meta{Kind: proxy.KindStatement}}, false},
	{&proxy.Statement{Meta: proxy.Meta{Kind: proxy.KindPrepare}}, false},
	{&proxy.Call{Meta: proxy.Meta{Kind: proxy.KindFunction}}, false},
	{&proxy.Call{Meta: proxy.Meta{Kind: proxy.KindCommand}}, false},
	{&proxy.Call{Meta: proxy.Meta{Kind: proxy.KindEnv}}, false},
	{&proxy.Call{Meta: proxy.Meta{Kind: proxy.KindTool}}, false},
	{&proxy.Exec{Meta: proxy.Meta{Kind: proxy.KindInput}}, false},
	{&proxy.Exec{Meta: proxy.Meta{Kind: proxy.KindRunbook}}, false},
	{&proxy.File{Meta: proxy.Meta{Kind: proxy.KindFile}}, false},
}

// without takes from an operation what is the session's own.
func without(op proxy.Op) proxy.Op {
	m := op.Info()
	*m = proxy.Meta{Kind: m.Kind, ID: m.ID, Parent: m.Parent, At: m.At}
	return op
}

// TestUseEndsWhatLasts: what goes on until its user ends it is asked about again, as it was allowed, and its session ends with its
// right, although it may still connect. What ends by itself ends as it began.
func TestUseEndsWhatLasts(t *testing.T) {
	for _, c := range running {
		kind := c.op.Info().Kind
		t.Run(kind.String(), func(t *testing.T) {
			var saw proxy.Op
			allows := func(v proxy.Verdict) proxy.Interceptor {
				return part{name: "rules", hooks: proxy.Hooks{Ask: func(_ context.Context, op proxy.Op) proxy.Verdict {
					if op.Info().Kind == kind {
						saw = op
						return v
					}
					return proxy.Allow("all")
				}}}
			}
			g := &proxy.Gateway{Interceptors: []proxy.Interceptor{allows(proxy.Allow("all"))}}
			s := openAt(t, g, &proxytest.Resource)
			defer s.Close(nil)
			require.False(t, ask(s, c.op).Refuses())
			use := func(v proxy.Verdict) {
				saw = nil
				require.NoError(t, g.Use(&proxy.Revision{Interceptors: []proxy.Interceptor{allows(v)}}))
				env := &proxy.Call{Meta: proxy.Meta{Kind: proxy.KindEnv}}
				if kind != proxy.KindEnv {
					ask(s, env) // the session has the revision when this is answered
					s.Done(env, &proxy.Outcome{})
				} else {
					ask(s, read())
				}
			}
			use(proxy.Allow("all"))
			require.NoError(t, s.Err())
			if c.lasts {
				require.NotSame(t, c.op, saw, "a copy is asked about")
				asked := without(saw)
				was := c.op.Info()
				require.Equal(t, was.ID, asked.Info().ID)
				require.Equal(t, was.At, asked.Info().At)
			}
			use(proxy.Deny(proxy.CausePolicy, "no-more", "not any more", ""))
			if !c.lasts {
				require.Nil(t, saw, "nobody is asked about it")
				require.NoError(t, s.Err())
				s.Done(c.op, &proxy.Outcome{})
				return
			}
			require.ErrorContains(t, s.Err(), "not any more")
			asked := without(saw)
			s.Done(c.op, &proxy.Outcome{})
			require.Equal(t, without(c.op), asked)
		})
	}
}

// TestUseEndsWhatNobodyAsks: it ends without another operation, within a second, and what has ended before is not asked about.
func TestUseEndsWhatNobodyAsks(t *testing.T) {
	rules := func(refused string) proxy.Interceptor {
		return part{name: "rules", hooks: proxy.Hooks{Ask: func(_ context.Context, op proxy.Op) proxy.Verdict {
			if e, ok := op.(*proxy.Exec); ok && e.Command == refused {
				return proxy.Deny(proxy.CausePolicy, "no-more", "not any more", "")
			}
			return proxy.Allow("all")
		}}}
	}
	g := &proxy.Gateway{Interceptors: []proxy.Interceptor{rules("")}}
	open := func(commands ...string) (*proxy.Session, []*proxy.Exec) {
		s := openAt(t, g, &proxytest.Resource)
		t.Cleanup(func() { s.Close(nil) })
		var list []*proxy.Exec
		for _, c := range commands {
			e := &proxy.Exec{Meta: proxy.Meta{Kind: proxy.KindExec}, Command: c}
			require.False(t, ask(s, e).Refuses())
			list = append(list, e)
		}
		return s, list
	}
	ends, _ := open("a", "b", "c")
	over, list := open("a", "b", "c")
	over.Done(list[1], &proxy.Outcome{})
	other, _ := open("a", "c")
	require.NoError(t, g.Use(&proxy.Revision{Interceptors: []proxy.Interceptor{rules("b")}}))
	select {
	case <-ends.Context().Done():
		require.ErrorContains(t, ends.Err(), "not any more")
	case <-time.After(30 * time.Second):
		t.Fatal("it goes on")
	}
	for _, s := range []*proxy.Session{over, other} {
		require.False(t, ask(s, read()).Refuses(), "%v", s.Err())
	}
}

// TestUseKeepsWhatWasApproved: an approval lets an operation that lasts go on under a revision that wants the same approval, and not
// under one that wants another. A revision cannot rewrite what runs.
func TestUseKeepsWhatWasApproved(t *testing.T) {
	rules := func(v proxy.Verdict) proxy.Interceptor {
		return part{name: "rules", hooks: proxy.Hooks{Ask: func(_ context.Context, op proxy.Op) proxy.Verdict {
			if op.Info().Kind == proxy.KindShell {
				return v
			}
			return proxy.Allow("all")
		}}}
	}
	for _, c := range []struct {
		name string
		then proxy.Verdict
		want string
	}{
		{"the same", proxytest.Hold("four-eyes"), ""},
		{"another", proxytest.Hold("six-eyes"), "needs an approval now"},
		{"a rewrite", proxy.Verdict{Action: proxy.ActionRewrite, Text: []byte("bash -r")}, "cannot be rewritten"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := &reviewer{wait: approve}
			g := &proxy.Gateway{Reviewer: r, Interceptors: []proxy.Interceptor{rules(proxytest.Hold("four-eyes"))}}
			s := openAt(t, g, &proxytest.Resource)
			defer s.Close(nil)
			s.Handle(nil, func(proxy.Op, []byte) error { return nil })
			require.False(t, ask(s, &proxy.Exec{Meta: proxy.Meta{Kind: proxy.KindShell}}).Refuses())
			require.NoError(t, g.Use(&proxy.Revision{Interceptors: []proxy.Interceptor{rules(c.then)}}))
			v := ask(s, read())
			if c.want == "" {
				require.False(t, v.Refuses())
			} else {
				require.ErrorContains(t, s.Err(), c.want)
			}
			require.Len(t, r.asked, 1)
		})
	}
}

// TestUseMeetsWhatIsAsked: an operation that lasts is judged by the revision that comes while it is asked.
func TestUseMeetsWhatIsAsked(t *testing.T) {
	comes, goes := make(chan struct{}), make(chan struct{})
	first := part{name: "rules", hooks: proxy.Hooks{Ask: func(_ context.Context, op proxy.Op) proxy.Verdict {
		if op.Info().Kind == proxy.KindShell {
			close(comes)
			<-goes
		}
		return proxy.Allow("all")
	}}}
	second := part{name: "rules", hooks: proxy.Hooks{Ask: func(_ context.Context, op proxy.Op) proxy.Verdict {
		if op.Info().Kind == proxy.KindShell {
			return proxy.Deny(proxy.CausePolicy, "no-more", "not any more", "")
		}
		return proxy.Allow("all")
	}}}
	g := &proxy.Gateway{Interceptors: []proxy.Interceptor{first}}
	s := openAt(t, g, &proxytest.Resource)
	defer s.Close(nil)
	answer := make(chan *proxy.Verdict)
	go func() { answer <- ask(s, &proxy.Exec{Meta: proxy.Meta{Kind: proxy.KindShell}}) }()
	<-comes
	require.NoError(t, g.Use(&proxy.Revision{Interceptors: []proxy.Interceptor{second}}))
	require.False(t, ask(s, read()).Refuses(), "the session has the revision, which says nothing of what does not run yet")
	close(goes)
	v := <-answer
	require.True(t, v.Refuses())
	require.Contains(t, v.Message(), "not any more")
	require.NoError(t, s.Err())
}
