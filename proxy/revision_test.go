package proxy_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/proxy/proxytest"
)

// numbered is an interceptor of one revision: it hands its number on and fails when
// it meets an operation of another.
type numbered struct {
	name  string
	n     int
	trace *trace
	// fails is what Intercept returns.
	fails error
}

// trace is what happened, in order. It is safe for concurrent use.
type trace struct {
	mu   sync.Mutex
	list []string
}

func (t *trace) add(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.list = append(t.list, fmt.Sprintf(format, args...))
}

func (t *trace) take() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := strings.Join(t.list, ", ")
	t.list = nil
	return s
}

// wait waits until something has happened.
func (t *trace) wait(tt *testing.T, what string) {
	tt.Helper()
	require.Eventually(tt, func() bool {
		t.mu.Lock()
		defer t.mu.Unlock()
		return slices.Contains(t.list, what)
	}, 30*time.Second, time.Millisecond, what)
}

func (n *numbered) Name() string { return n.name }

func (n *numbered) Intercept(_ context.Context, s *proxy.Session) (proxy.Hooks, error) {
	seen, _ := s.Earlier(n.name).([]int)
	seen = append(seen, n.n)
	n.trace.add("%s%d after %v", n.name, n.n, seen[:len(seen)-1])
	return proxy.Hooks{
		Ask: func(_ context.Context, op proxy.Op) proxy.Verdict {
			if st, ok := op.(*proxy.Statement); ok {
				st.Name = fmt.Sprint(n.n) // by which revision it was judged
				n.trace.add("%s%d asked", n.name, n.n)
			}
			return proxy.Allow(n.name)
		},
		Flow: func(_ context.Context, op proxy.Op, _ *proxy.Shape) (proxy.Filter, error) {
			if got := op.(*proxy.Statement).Name; got != fmt.Sprint(n.n) {
				return proxy.Filter{}, fmt.Errorf("judged by revision %s, filtered by %d", got, n.n)
			}
			return proxy.Filter{Row: func(*proxy.Row) error { return nil }}, nil
		},
		Tell: func(context.Context, proxy.Op, *proxy.Message) error {
			n.trace.add("%s%d told", n.name, n.n)
			return nil
		},
		Done: func(_ context.Context, op proxy.Op, _ *proxy.Outcome) {
			if _, ok := op.(*proxy.Statement); ok {
				n.trace.add("%s%d done", n.name, n.n)
			}
		},
		Close: func(err error) { n.trace.add("%s%d closed %v", n.name, n.n, err) },
		State: seen,
	}, n.fails
}

// gatewayOf returns a gateway of one interceptor, and what makes revisions of it.
func gatewayOf(t *testing.T) (*proxy.Gateway, *trace, func(n int) *proxy.Revision) {
	tr := &trace{}
	revision := func(n int) *proxy.Revision {
		return &proxy.Revision{Name: fmt.Sprint(n), Interceptors: []proxy.Interceptor{&numbered{name: "a", n: n, trace: tr}}}
	}
	return &proxy.Gateway{Interceptors: revision(1).Interceptors}, tr, revision
}

func openAt(t *testing.T, g *proxy.Gateway, r *proxy.Resource) *proxy.Session {
	t.Helper()
	id := proxytest.Identity
	s, connect, err := g.Open(context.Background(), proxy.OpenRequest{Identity: &id, Target: proxy.Target{Resource: r}})
	require.NoError(t, err)
	s.Done(connect, &proxy.Outcome{})
	return s
}

func TestUse(t *testing.T) {
	g, tr, revision := gatewayOf(t)
	s := openAt(t, g, &proxytest.Resource)
	require.Equal(t, "a1 after []", tr.take())

	long := read()
	require.False(t, ask(s, long).Refuses())
	require.NoError(t, g.Use(revision(2)))
	tr.wait(t, "a2 after [1]")
	require.Equal(t, "a1 asked, a2 after [1]", tr.take(), "the new interceptor knows what the old one did, before the next operation")

	next := read()
	require.False(t, ask(s, next).Refuses())
	require.Equal(t, "a2 asked", tr.take())
	_, err := s.Flow(long, &proxy.Shape{})
	require.NoError(t, err, "what runs already ends as it began")
	_, err = s.Flow(next, &proxy.Shape{})
	require.NoError(t, err)
	require.NoError(t, s.Tell(long, &proxy.Message{}))
	require.NoError(t, s.Tell(nil, &proxy.Message{}))
	s.Done(next, &proxy.Outcome{})
	s.Done(long, &proxy.Outcome{})
	require.Equal(t, "a1 told, a2 told, a2 done, a1 done, a1 closed <nil>", tr.take(), "the old hooks are closed with their last operation")
	s.Close(errors.New("over"))
	require.Equal(t, "a2 closed over", tr.take())
}

// An interceptor of both revisions keeps its hooks.
func TestUseKeepsInterceptors(t *testing.T) {
	g, tr, revision := gatewayOf(t)
	kept := &numbered{name: "kept", n: 0, trace: tr}
	with := func(r *proxy.Revision) *proxy.Revision {
		r.Interceptors = append(r.Interceptors, kept)
		return r
	}
	require.NoError(t, g.Use(with(revision(1))))
	s := openAt(t, g, &proxytest.Resource)
	for n := range 5 {
		require.NoError(t, g.Use(with(revision(n+2))))
		op := read()
		ask(s, op)
		s.Done(op, &proxy.Outcome{})
	}
	require.NotContains(t, strings.SplitN(tr.take(), "kept0 after []", 2)[1], "kept0 after")
	require.NoError(t, g.Use(revision(9)))
	op := read()
	ask(s, op)
	require.Contains(t, tr.take(), "kept0 closed <nil>", "it has left")
	s.Done(op, &proxy.Outcome{})
	s.Close(nil)
	require.Equal(t, "a9 done, a9 closed <nil>", tr.take())
}

// What an interceptor remembers outlives a revision that has none of its name.
func TestUseKeepsStates(t *testing.T) {
	g, tr, revision := gatewayOf(t)
	s := openAt(t, g, &proxytest.Resource)
	defer s.Close(nil)
	for n, r := range []*proxy.Revision{revision(1), {Interceptors: []proxy.Interceptor{proxytest.Allow{}}}, {Interceptors: []proxy.Interceptor{proxytest.Allow{}}}, revision(4)} {
		if n > 0 {
			require.NoError(t, g.Use(r))
		}
		op := read()
		require.False(t, ask(s, op).Refuses())
		s.Done(op, &proxy.Outcome{})
	}
	require.Contains(t, tr.take(), "a4 after [1]")
}

// A session whose access or resource a revision takes away ends; so does one that
// an interceptor cannot take over.
func TestUseEndsSessions(t *testing.T) {
	for _, c := range []struct {
		name string
		next func(r *proxy.Revision)
		want string
	}{
		{"no rule allows connect", func(r *proxy.Revision) { r.Interceptors = nil }, "no rule allows you to connect"},
		{"connect is refused", func(r *proxy.Revision) {
			r.Interceptors = append(r.Interceptors, part{name: "p", hooks: proxy.Hooks{Ask: func(context.Context, proxy.Op) proxy.Verdict {
				return proxy.Deny(proxy.CausePolicy, "r", "you have left", "")
			}}})
		}, "you have left"},
		{"connect needs an approval", func(r *proxy.Revision) {
			r.Interceptors = append(r.Interceptors, part{name: "p", hooks: proxy.Hooks{Ask: func(context.Context, proxy.Op) proxy.Verdict {
				return proxytest.Hold("two-people")
			}}})
		}, "needs an approval now"},
		{"an interceptor cannot begin", func(r *proxy.Revision) {
			r.Interceptors[0].(*numbered).fails = errors.New("secret")
		}, "because a cannot begin"},
		{"the resource is gone", func(r *proxy.Revision) { r.Directory = proxy.Resources{} }, "is no longer available"},
		{"the resource is elsewhere", func(r *proxy.Revision) {
			moved := proxytest.Resource
			moved.Address = "elsewhere:5432"
			r.Directory = proxy.Resources{&moved}
		}, "has changed: connect again"},
		{"the resource is in the network of an agent", func(r *proxy.Revision) {
			moved := proxytest.Resource
			moved.Via = "berlin"
			r.Directory = proxy.Resources{&moved}
		}, "has changed: connect again"},
		{"the resource has other settings", func(r *proxy.Revision) {
			other := proxytest.Resource
			other.Settings = struct{ ExecOnly bool }{true}
			r.Directory = proxy.Resources{&other}
		}, "has changed: connect again"},
		{"the user is gone", func(r *proxy.Revision) { r.Authenticator = forgetful{} }, "you have left"},
	} {
		t.Run(c.name, func(t *testing.T) {
			g, tr, revision := gatewayOf(t)
			g.Directory = proxy.Resources{&proxytest.Resource}
			s := openAt(t, g, &proxytest.Resource)
			r := revision(2)
			r.Directory = g.Directory
			c.next(r)
			require.NoError(t, g.Use(r))
			v := ask(s, read())
			require.True(t, v.Refuses())
			require.Contains(t, v.Message(), c.want)
			require.NotContains(t, v.Message(), "secret")
			require.ErrorContains(t, s.Err(), c.want)
			s.Close(nil)
			require.Contains(t, tr.take(), "a1 closed")
		})
	}
}

// leaving is an interceptor that lets everybody connect but one user.
type leaving string

func (leaving) Name() string { return "leaving" }

func (l leaving) Intercept(_ context.Context, s *proxy.Session) (proxy.Hooks, error) {
	return proxy.Hooks{Ask: func(_ context.Context, op proxy.Op) proxy.Verdict {
		if op.Info().Kind == proxy.KindConnect && s.Identity.Subject == string(l) {
			return proxy.Deny(proxy.CausePolicy, "r", "you have left", "")
		}
		return proxy.Allow("r")
	}}, nil
}

// A session ends with its access although it asks nothing, and so does one that is doing
// something. The others go on.
func TestUseEndsIdleSessions(t *testing.T) {
	g := &proxy.Gateway{Interceptors: []proxy.Interceptor{leaving("")}}
	open := func(user string) *proxy.Session {
		s, connect, err := g.Open(context.Background(), proxy.OpenRequest{
			Identity: &proxy.Identity{Subject: user}, Target: proxy.Target{Resource: &proxytest.Resource},
		})
		require.NoError(t, err)
		t.Cleanup(func() { s.Close(nil) })
		s.Done(connect, &proxy.Outcome{})
		return s
	}
	stays := open("alice")
	var leave []*proxy.Session
	for range 100 {
		leave = append(leave, open("bob"))
	}
	running := read()
	require.False(t, ask(leave[0], running).Refuses())
	require.NoError(t, g.Use(&proxy.Revision{Interceptors: []proxy.Interceptor{leaving("bob")}}))
	for _, s := range leave {
		select {
		case <-s.Context().Done():
		case <-time.After(30 * time.Second):
			t.Fatal("a session without access goes on")
		}
		require.ErrorContains(t, s.Err(), "you have left")
	}
	leave[0].Done(running, &proxy.Outcome{})
	require.NoError(t, stays.Err())
	require.False(t, ask(stays, read()).Refuses())
}

// A session that waits for an approval to connect meets a revision when it has the
// approval, and not before.
func TestUseLeavesWaitingSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		decided := make(chan struct{})
		hold := part{name: "p", hooks: proxy.Hooks{Ask: func(context.Context, proxy.Op) proxy.Verdict { return proxytest.Hold("two-people") }}}
		g := &proxy.Gateway{Interceptors: []proxy.Interceptor{hold}, Reviewer: &reviewer{wait: func(ctx context.Context) proxy.Verdict {
			<-decided
			return approve(ctx)
		}}}
		opened := make(chan error, 1)
		go func() {
			id := proxytest.Identity
			s, _, err := g.Open(context.Background(), proxy.OpenRequest{Identity: &id, Target: proxy.Target{Resource: &proxytest.Resource}})
			if err == nil {
				s.Close(nil)
			}
			opened <- err
		}()
		synctest.Wait()
		require.NoError(t, g.Use(&proxy.Revision{Interceptors: []proxy.Interceptor{hold, proxytest.Allow{}}}))
		synctest.Wait()
		close(decided)
		require.NoError(t, <-opened)
	})
}

// An interceptor of both revisions keeps its hooks in sessions that it sees as before.
func TestUseKeepsHooks(t *testing.T) {
	g, tr, revision := gatewayOf(t)
	first := revision(1)
	first.Directory = proxy.Resources{&proxytest.Resource}
	require.NoError(t, g.Use(first))
	s := openAt(t, g, &proxytest.Resource)
	defer s.Close(nil)
	tr.take()
	for _, c := range []struct {
		name   string
		change func(r *proxy.Resource)
		want   string
	}{
		{"nothing", func(*proxy.Resource) {}, "a1 asked"},
		{"labels", func(r *proxy.Resource) { r.Labels = map[string]string{"env": "prod"} }, "a1 after [1], a1 closed <nil>, a1 asked"},
		{"what trusts the resource", func(r *proxy.Resource) { r.TLS.RootCAs = x509.NewCertPool() }, "a1 after [1 1], a1 closed <nil>, a1 asked"},
	} {
		next := &proxy.Revision{Interceptors: first.Interceptors, Directory: g.Revision().Directory}
		changed := *next.Directory.(proxy.Resources)[0]
		c.change(&changed)
		next.Directory = proxy.Resources{&changed}
		require.NoError(t, g.Use(next))
		op := read()
		require.False(t, ask(s, op).Refuses(), c.name)
		require.Equal(t, c.want, tr.take(), c.name)
		s.Done(op, &proxy.Outcome{})
		tr.take()
	}
}

// forgetful is an authenticator that knows nobody any more.
type forgetful struct{}

func (forgetful) Authenticate(context.Context, proxy.Proof) (*proxy.Identity, error) {
	return nil, proxy.ErrUnauthenticated
}

func (forgetful) Refresh(context.Context, *proxy.Identity) (*proxy.Identity, error) {
	return nil, errors.New("you have left")
}

// A session that was approved stays so under rules that ask for the same approval.
func TestUseKeepsApprovals(t *testing.T) {
	holds := func() part {
		return part{name: "p", hooks: proxy.Hooks{Ask: func(_ context.Context, op proxy.Op) proxy.Verdict {
			if op.Info().Kind == proxy.KindConnect {
				return proxytest.Hold("two-people")
			}
			return proxy.Pass()
		}}}
	}
	r := &reviewer{wait: approve}
	g := &proxy.Gateway{Reviewer: r, Interceptors: []proxy.Interceptor{holds()}}
	s := openAt(t, g, &proxytest.Resource)
	defer s.Close(nil)
	require.NoError(t, g.Use(&proxy.Revision{Interceptors: []proxy.Interceptor{holds()}}))
	require.False(t, ask(s, read()).Refuses())
	require.Len(t, r.asked, 1)
}

// promoting is an authenticator that gives everybody other groups now.
type promoting struct {
	forgetful
	subject string
}

func (p promoting) Refresh(_ context.Context, id *proxy.Identity) (*proxy.Identity, error) {
	now := *id
	now.Subject, now.Groups = p.subject, []string{"lead"}
	return &now, nil
}

// New groups reach the interceptors of the revision that brings them; nobody becomes
// another person.
func TestUseBringsGroups(t *testing.T) {
	for subject, ok := range map[string]bool{proxytest.Identity.Subject: true, "mallory": false} {
		g := &proxy.Gateway{Interceptors: []proxy.Interceptor{proxytest.Allow{}}}
		s := openAt(t, g, &proxytest.Resource)
		var groups []string
		require.NoError(t, g.Use(&proxy.Revision{Authenticator: promoting{subject: subject}, Interceptors: []proxy.Interceptor{proxytest.Allow{}, seeing(func(s *proxy.Session) {
			groups = s.Identity.Groups
		})}}))
		require.Equal(t, ok, !ask(s, read()).Refuses(), subject)
		if ok {
			require.Equal(t, []string{"lead"}, groups)
		}
		s.Close(nil)
	}
}

// New labels reach the interceptors of the revision that brings them, and nobody
// else.
func TestUseBringsLabels(t *testing.T) {
	var labels []string
	g := &proxy.Gateway{Directory: proxy.Resources{&proxytest.Resource}, Interceptors: []proxy.Interceptor{proxytest.Allow{}}}
	s := openAt(t, g, &proxytest.Resource)
	defer s.Close(nil)
	changed := proxytest.Resource
	changed.Labels = map[string]string{"env": "prod"}
	require.NoError(t, g.Use(&proxy.Revision{Directory: proxy.Resources{&changed}, Interceptors: []proxy.Interceptor{proxytest.Allow{}, seeing(func(s *proxy.Session) {
		labels = append(labels, s.ID+s.Target.Resource.Labels["env"])
	})}}))
	require.False(t, ask(s, read()).Refuses())
	require.Equal(t, []string{s.ID + "prod"}, labels)
	require.Equal(t, "test", s.Target.Resource.Labels["env"], "who has the session sees it as it was")
	require.Equal(t, "prod", g.Session(s.ID).Target.Resource.Labels["env"])
}

// seeing is an interceptor that shows sessions to a function.
type seeing func(s *proxy.Session)

func (seeing) Name() string { return "seeing" }

func (f seeing) Intercept(_ context.Context, s *proxy.Session) (proxy.Hooks, error) {
	f(s)
	return proxy.Hooks{}, nil
}

// Revisions that come while many operations run are never half applied, and leave
// nothing open.
func TestUseWhileSessionsRun(t *testing.T) {
	g, tr, revision := gatewayOf(t)
	var wg sync.WaitGroup
	stop := make(chan struct{})
	s := openAt(t, g, &proxytest.Resource)
	for range 8 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				op := read()
				if v := s.Ask(context.Background(), op); v.Refuses() {
					t.Error(v.Message())
					return
				}
				if _, err := s.Flow(op, &proxy.Shape{}); err != nil {
					t.Error(err)
				}
				s.Done(op, &proxy.Outcome{})
			}
		})
	}
	for n := range 100 {
		require.NoError(t, g.Use(revision(n+2)))
		op := read()
		require.False(t, ask(s, op).Refuses())
		s.Done(op, &proxy.Outcome{})
	}
	close(stop)
	wg.Wait()
	s.Close(nil)
	events := tr.take()
	require.Equal(t, 101, strings.Count(events, " closed "), "every revision's hooks are closed, once")
}

// swapping is a directory whose gateway is given another revision as soon as it was
// asked.
type swapping struct {
	proxy.Resources
	use func()
}

func (s swapping) Lookup(ctx context.Context, name string) (*proxy.Resource, error) {
	defer s.use()
	return s.Resources.Lookup(ctx, name)
}

// A resource that a connection looked up in one revision is not judged by the
// rules of the next one as it was.
func TestUseBetweenLookupAndOpen(t *testing.T) {
	was := proxytest.Resource
	was.Labels = map[string]string{"env": "dev"}
	relabelled, moved := was, was
	relabelled.Labels = map[string]string{"env": "prod"}
	moved.Address = "elsewhere:5432"
	for name, tt := range map[string]struct {
		next proxy.Resources
		want string
	}{
		"gone": {nil, "refused"}, "moved": {proxy.Resources{&moved}, "refused"}, "relabelled": {proxy.Resources{&relabelled}, "refused"},
		"as it was": {proxy.Resources{&was}, "hello"},
	} {
		t.Run(name, func(t *testing.T) {
			g := &proxy.Gateway{Authenticator: everybody{}, Interceptors: []proxy.Interceptor{onlyDev{1}}, DrainTimeout: 300 * time.Millisecond}
			g.Directory = swapping{proxy.Resources{&was}, func() {
				require.NoError(t, g.Use(&proxy.Revision{Authenticator: everybody{}, Directory: tt.next, Interceptors: []proxy.Interceptor{onlyDev{2}}}))
			}}
			say(t, dial(t, proxytest.Serve(t, g, lines{})), "alice", tt.want)
		})
	}
}

// roll is an authenticator of users with groups.
type roll struct {
	users map[string][]string
	use   func() // called after a login; may be nil
}

func (r *roll) Authenticate(_ context.Context, p proxy.Proof) (*proxy.Identity, error) {
	if r.use != nil {
		defer r.use()
	}
	return r.Refresh(context.Background(), &proxy.Identity{Subject: p.User})
}

func (r *roll) Refresh(_ context.Context, id *proxy.Identity) (*proxy.Identity, error) {
	groups, ok := r.users[id.Subject]
	if !ok {
		return nil, proxy.ErrUnauthenticated
	}
	now := *id
	now.Groups = groups
	return &now, nil
}

// onlyGroup lets the members of a group connect.
type onlyGroup struct {
	group    string
	revision int
}

func (onlyGroup) Name() string { return "policy" }

func (g onlyGroup) Intercept(_ context.Context, s *proxy.Session) (proxy.Hooks, error) {
	return proxy.Hooks{Ask: func(context.Context, proxy.Op) proxy.Verdict {
		if s.Identity.In(g.group) {
			return proxy.Allow("member")
		}
		return proxy.Deny(proxy.CausePolicy, "", "you are not a member", "")
	}}, nil
}

// A session is judged by the groups that its user has in the revision, and ends when
// she may not log in any more; also when the revision comes while she logs in.
func TestUseKnowsUsers(t *testing.T) {
	r := proxytest.Resource
	for name, tt := range map[string]struct {
		users map[string][]string
		runs  bool
	}{
		"as she was": {map[string][]string{"alice": {"dev"}}, true}, "another group": {map[string][]string{"alice": {"ops"}}, false},
		"gone": {map[string][]string{"bob": {"dev"}}, false},
	} {
		next := &proxy.Revision{Authenticator: &roll{users: tt.users}, Directory: proxy.Resources{&r}, Interceptors: []proxy.Interceptor{onlyGroup{"dev", 2}}}
		begin := func() (*proxy.Gateway, *roll) {
			users := &roll{users: map[string][]string{"alice": {"dev"}}}
			return &proxy.Gateway{
				Authenticator: users, Directory: proxy.Resources{&r}, Interceptors: []proxy.Interceptor{onlyGroup{"dev", 1}},
				DrainTimeout: 300 * time.Millisecond,
			}, users
		}
		t.Run(name, func(t *testing.T) {
			g, _ := begin()
			c := dial(t, proxytest.Serve(t, g, lines{}))
			say(t, c, "alice", "hello")
			require.NoError(t, g.Use(next))
			if tt.runs {
				say(t, c, "SELECT 1", "ran")
				return
			}
			fmt.Fprintln(c, "SELECT 1")
			b, _ := io.ReadAll(c) // the session ends, perhaps before it can say why
			require.NotContains(t, string(b), "ran")
			require.Eventually(t, func() bool { return len(g.Sessions()) == 0 }, 30*time.Second, time.Millisecond)
		})
		t.Run(name+", while she logs in", func(t *testing.T) {
			g, users := begin()
			users.use = func() { require.NoError(t, g.Use(next)) }
			want := "refused"
			if tt.runs {
				want = "hello"
			}
			say(t, dial(t, proxytest.Serve(t, g, lines{})), "alice", want)
		})
	}
}

// TestRecheck: what has happened to users reaches their sessions without a revision, and
// those who are logging in.
func TestRecheck(t *testing.T) {
	r := proxytest.Resource
	for name, tt := range map[string]struct {
		users map[string][]string
		runs  bool
	}{
		"as she was": {map[string][]string{"alice": {"dev"}}, true}, "more groups": {map[string][]string{"alice": {"dev", "lead"}}, true},
		"another group": {map[string][]string{"alice": {"ops"}}, false}, "gone": {map[string][]string{"bob": {"dev"}}, false},
	} {
		begin := func(t *testing.T) (*proxy.Gateway, *roll, net.Conn) {
			users := &roll{users: map[string][]string{"alice": {"dev"}}}
			g := &proxy.Gateway{
				Authenticator: users, Directory: proxy.Resources{&r}, Interceptors: []proxy.Interceptor{onlyGroup{"dev", 1}},
				DrainTimeout: 300 * time.Millisecond,
			}
			return g, users, dial(t, proxytest.Serve(t, g, lines{}))
		}
		everybody := func(*proxy.Session) bool { return true }
		t.Run(name, func(t *testing.T) {
			g, users, c := begin(t)
			say(t, c, "alice", "hello")
			users.users = tt.users
			g.Recheck(func(*proxy.Session) bool { return false })
			say(t, c, "SELECT 1", "ran")
			g.Recheck(everybody)
			if !tt.runs { // it ends without an operation
				b, _ := io.ReadAll(c)
				require.NotContains(t, string(b), "ran")
				require.Eventually(t, func() bool { return len(g.Sessions()) == 0 }, 30*time.Second, time.Millisecond)
				return
			}
			say(t, c, "SELECT 1", "ran")
			require.Equal(t, tt.users["alice"], g.Sessions()[0].Identity.Groups)
		})
		t.Run(name+", while she logs in", func(t *testing.T) {
			g, users, c := begin(t)
			users.use = func() { users.users = tt.users; g.Recheck(everybody) }
			want := "refused"
			if tt.runs {
				want = "hello"
			}
			say(t, c, "alice", want)
		})
	}
}

// TestRecheckWaiting: somebody who waits for an approval while her groups change has to ask
// again.
func TestRecheckWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		decided := make(chan struct{})
		hold := part{name: "p", hooks: proxy.Hooks{Ask: func(context.Context, proxy.Op) proxy.Verdict { return proxytest.Hold("two-people") }}}
		g := &proxy.Gateway{
			Authenticator: promoting{subject: proxytest.Identity.Subject}, Interceptors: []proxy.Interceptor{hold},
			Reviewer: &reviewer{wait: func(ctx context.Context) proxy.Verdict {
				select {
				case <-decided:
				case <-ctx.Done():
				}
				return approve(ctx)
			}},
		}
		opened := make(chan error, 1)
		go func() {
			id := proxytest.Identity
			_, _, err := g.Open(context.Background(), proxy.OpenRequest{Identity: &id, Target: proxy.Target{Resource: &proxytest.Resource}})
			opened <- err
		}()
		synctest.Wait()
		g.Recheck(func(*proxy.Session) bool { return true })
		close(decided)
		require.Error(t, <-opened)
		require.Empty(t, g.Sessions())
	})
}

// onlyDev lets users connect to what is labelled so.
type onlyDev struct{ revision int }

func (onlyDev) Name() string { return "policy" }

func (onlyDev) Intercept(_ context.Context, s *proxy.Session) (proxy.Hooks, error) {
	return proxy.Hooks{Ask: func(context.Context, proxy.Op) proxy.Verdict {
		if s.Target.Resource.Labels["env"] == "dev" {
			return proxy.Allow("dev")
		}
		return proxy.Pass()
	}}, nil
}

func TestCertificate(t *testing.T) {
	g := &proxy.Gateway{}
	hello := &tls.ClientHelloInfo{}
	_, err := g.Certificate(hello)
	require.ErrorContains(t, err, "no certificate")
	first, second := tls.Certificate{OCSPStaple: []byte("1")}, tls.Certificate{OCSPStaple: []byte("2")}
	require.NoError(t, g.Use(&proxy.Revision{Certificates: []tls.Certificate{first, second}}))
	c, err := g.Certificate(hello)
	require.NoError(t, err)
	require.Equal(t, first.OCSPStaple, c.OCSPStaple, "none fits, so the first is shown")
	require.NoError(t, g.Use(&proxy.Revision{Certificates: []tls.Certificate{second}}))
	c, err = g.Certificate(hello)
	require.NoError(t, err)
	require.Equal(t, second.OCSPStaple, c.OCSPStaple)
}
