package proxy_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/proxy/proxytest"
)

// noting is an interceptor that leaves a note of every statement.
type noting struct{ declares bool }

func (noting) Name() string { return "noting" }

func (n noting) Notes() []proxy.NoteKind {
	if !n.declares {
		return nil
	}
	return []proxy.NoteKind{proxy.NoteObserved}
}

func (noting) Intercept(_ context.Context, s *proxy.Session) (proxy.Hooks, error) {
	return proxy.Hooks{Ask: func(ctx context.Context, op proxy.Op) proxy.Verdict {
		if op.Info().Kind == proxy.KindConnect {
			return proxy.Allow("noting")
		}
		if err := s.Note(ctx, op, &proxy.Note{Kind: proxy.NoteObserved, Rule: "r"}); err != nil {
			return proxy.Deny(proxy.CauseInternal, "", "not recorded", "")
		}
		return proxy.Pass()
	}}, nil
}

// declaring is a reviewer that leaves notes.
type declaring struct{ proxytest.Reviewer }

func (declaring) Notes() []proxy.NoteKind { return []proxy.NoteKind{proxy.NoteReview} }

// A gateway whose interceptors or reviewer leave notes that nobody records does not
// start, unless it is told so, and takes no revision that would.
func TestUnrecordedNotes(t *testing.T) {
	notes := &proxytest.Notes{}
	for _, c := range []struct {
		name string
		g    *proxy.Gateway
		ok   bool
	}{
		{"nobody notes", &proxy.Gateway{Interceptors: []proxy.Interceptor{proxytest.Allow{}}}, true},
		{"notes without a recorder", &proxy.Gateway{Interceptors: []proxy.Interceptor{noting{true}}}, false},
		{"notes with a recorder", &proxy.Gateway{Interceptors: []proxy.Interceptor{noting{true}, notes}}, true},
		{"a reviewer without a recorder", &proxy.Gateway{Interceptors: []proxy.Interceptor{proxytest.Allow{}}, Reviewer: declaring{}}, false},
		{"told so", &proxy.Gateway{Interceptors: []proxy.Interceptor{noting{true}}, Unrecorded: true}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			id, r := proxytest.Identity, proxytest.Resource
			s, _, err := c.g.Open(context.Background(), proxy.OpenRequest{Identity: &id, Target: proxy.Target{Resource: &r}})
			require.Equal(t, c.ok, err == nil, err)
			if err == nil {
				s.Close(nil)
			} else {
				require.ErrorIs(t, err, proxy.ErrUnrecorded)
			}
			ctx, stop := context.WithCancel(context.Background())
			stop()
			err = c.g.Serve(ctx, proxytest.NewListener(), nil)
			require.Equal(t, c.ok, err == nil, err)
			err = (&proxy.Gateway{Reviewer: c.g.Reviewer, Unrecorded: c.g.Unrecorded}).Use(c.g.Revision())
			require.Equal(t, c.ok, err == nil, err)
		})
	}
}

// A note that nobody records ends the session, also when the interceptor did not
// say that it leaves any.
func TestUndeclaredNotes(t *testing.T) {
	g := &proxy.Gateway{Interceptors: []proxy.Interceptor{noting{}}}
	s := openAt(t, g, &proxytest.Resource)
	defer s.Close(nil)
	require.True(t, ask(s, read()).Refuses())
	require.ErrorIs(t, s.Err(), proxy.ErrUnrecorded)
}

func TestNotes(t *testing.T) {
	notes := &proxytest.Notes{}
	g := &proxy.Gateway{Interceptors: []proxy.Interceptor{noting{true}, notes}}
	s := openAt(t, g, &proxytest.Resource)
	defer s.Close(nil)
	require.False(t, ask(s, read()).Refuses())
	require.Len(t, notes.All(proxy.NoteObserved), 1)
	require.NoError(t, g.Note(t.Context(), &proxy.Note{Kind: proxy.NoteReview}))
	require.Len(t, notes.All(proxy.NoteReview), 1)

	notes.Err = errors.New("the disk is full")
	require.True(t, ask(s, read()).Refuses())
	require.ErrorIs(t, s.Err(), notes.Err, "what cannot be kept ends the session")
	require.ErrorIs(t, g.Note(t.Context(), &proxy.Note{Kind: proxy.NoteReview}), notes.Err)
	require.ErrorIs(t, (&proxy.Gateway{}).Note(t.Context(), &proxy.Note{}), proxy.ErrUnrecorded)
	require.NoError(t, (&proxy.Gateway{Unrecorded: true}).Note(t.Context(), &proxy.Note{}))
}

// A dry session is asked like any other, and nothing happens: nothing is recorded,
// counted, started or waited for.
func TestDry(t *testing.T) {
	var trace []string
	events := 0
	r := &reviewer{wait: approve}
	at := time.Date(2026, 5, 4, 22, 30, 0, 0, time.UTC)
	var now time.Time
	clock := part{name: "clock", trace: &trace, hooks: proxy.Hooks{Start: func(context.Context, proxy.Op) error {
		trace = append(trace, "start")
		return nil
	}}, ask: func(proxy.Op) proxy.Verdict { return proxy.Pass() }}
	g := &proxy.Gateway{
		Reviewer: r, Limits: proxy.Limits{MaxSessions: 1}, OnEvent: func(proxy.Event) { events++ },
		Interceptors: []proxy.Interceptor{noting{true}, &proxytest.Notes{Err: errors.New("nothing is recorded")}, clock, seeing(func(s *proxy.Session) { now = s.Now() }), holding("big")},
	}
	id, res := proxytest.Identity, proxytest.Resource
	for range 2 { // beyond the limit of sessions
		s, _, err := g.Open(context.Background(), proxy.OpenRequest{Identity: &id, Target: proxy.Target{Resource: &res}, Dry: true, At: at})
		require.NoError(t, err)
		defer s.Close(nil)
		require.Equal(t, at, now)
		op := read()
		v := ask(s, op)
		require.Equal(t, proxy.ActionHold, v.Action)
		require.True(t, v.Refuses())
		require.Equal(t, []string{"big"}, v.Hold.Rules)
		require.Equal(t, "holds big", op.By())
		require.Len(t, s.Notes(), 1)
		require.Equal(t, "r", s.Notes()[0].Rule)
	}
	require.Empty(t, r.asked)
	require.Zero(t, events)
	require.Empty(t, g.Sessions())
	require.Equal(t, []string{"clock ask", "clock ask"}, trace)
}

// An operation that a dry session has allowed is admitted by that verdict: nobody is asked
// again, and those that record are told. One that was refused, or of which nobody was
// asked, is not.
func TestAdmit(t *testing.T) {
	var trace []string
	var done []proxy.Outcome
	var failure error
	recorder := part{name: "record", hooks: proxy.Hooks{
		Ask: func(_ context.Context, op proxy.Op) proxy.Verdict {
			if op.Info().Kind == proxy.KindExec {
				return proxy.Deny(proxy.CausePolicy, "r", "no commands", "")
			}
			return proxy.Allow("r")
		},
		Start: func(_ context.Context, op proxy.Op) error {
			trace = append(trace, "start "+op.Info().By())
			return failure
		},
		Done: func(_ context.Context, _ proxy.Op, out *proxy.Outcome) { done = append(done, *out) },
	}}
	g := &proxy.Gateway{Interceptors: []proxy.Interceptor{recorder}}
	id, res := proxytest.Identity, proxytest.Resource
	open := func(dry bool) *proxy.Session {
		s, connect, err := g.Open(context.Background(), proxy.OpenRequest{Identity: &id, Target: proxy.Target{Resource: &res}, Dry: dry})
		require.NoError(t, err)
		s.Done(connect, &proxy.Outcome{})
		t.Cleanup(func() { s.Close(nil) })
		return s
	}
	s, dry := open(false), open(true)
	admit := func(op proxy.Op, asks bool) *proxy.Verdict {
		if asks {
			dry.Ask(context.Background(), op)
			dry.Done(op, &proxy.Outcome{})
		}
		trace, done = nil, nil
		return s.Admit(context.Background(), op)
	}
	op := read()
	require.False(t, admit(op, true).Refuses())
	require.Equal(t, []string{"start record"}, trace)
	require.Empty(t, done)
	s.Done(op, &proxy.Outcome{Code: "7"})
	require.Equal(t, "r", done[0].Verdict.Rule)
	require.Equal(t, "7", done[0].Code)
	for name, op := range map[string]proxy.Op{"refused": &proxy.Exec{Meta: proxy.Meta{Kind: proxy.KindExec}}, "not asked": read()} {
		require.True(t, admit(op, name == "refused").Refuses(), name)
		require.Empty(t, trace, name)
		require.Len(t, done, 1, name)
	}
	failure = errors.New("the disk is full")
	require.True(t, admit(read(), true).Refuses())
	require.Len(t, done, 1)
	s.Kill(errors.New("enough"))
	require.True(t, admit(read(), true).Refuses())
	require.Empty(t, trace)
}

// In a dry session everybody is asked, and the first refusal is the answer.
func TestDryAsksEverybody(t *testing.T) {
	asked := 0
	no := func(rule string) part {
		return part{name: rule, ask: func(proxy.Op) proxy.Verdict {
			asked++
			return proxy.Deny(proxy.CausePolicy, rule, "no", "")
		}}
	}
	g := &proxy.Gateway{Interceptors: []proxy.Interceptor{proxytest.Allow{}, no("first"), no("second")}}
	id, res := proxytest.Identity, proxytest.Resource
	s, _, err := g.Open(context.Background(), proxy.OpenRequest{Identity: &id, Target: proxy.Target{Resource: &res}, Dry: true})
	require.NoError(t, err)
	defer s.Close(nil)
	op := read()
	require.Equal(t, "first", ask(s, op).Rule)
	require.Equal(t, "first", op.By())
	require.Equal(t, 2, asked)
}

// broken is a Recorder that panics.
type broken struct{ part }

func (broken) Record(context.Context, *proxy.Note) error { panic(proxytest.Secret) }

// A Recorder that panics has not kept the note. The panic goes no further: the
// gateway has goroutines of its own that leave notes.
func TestRecordPanics(t *testing.T) {
	var event error
	g := &proxy.Gateway{Log: slog.New(slog.DiscardHandler), Interceptors: []proxy.Interceptor{broken{part{name: "broken"}}}, OnEvent: func(e proxy.Event) { event = e.Err }}
	err := g.Note(t.Context(), &proxy.Note{Kind: proxy.NoteReview, Request: &proxy.RequestNote{}})
	var p *proxy.PanicError
	require.ErrorAs(t, err, &p)
	require.NotContains(t, err.Error(), proxytest.Secret)
	require.ErrorAs(t, event, &p)
}
