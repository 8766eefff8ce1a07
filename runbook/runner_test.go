package runbook

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/store"
)

// stuck is a gate at which everything waits until it is let go.
type stuck struct {
	testGate
	where string        // ask, sql
	at    chan string   // what waits
	goOn  chan struct{} // closed
}

func (g *stuck) wait(ctx context.Context, where string) error {
	if g.where != where {
		return nil
	}
	g.at <- where
	select {
	case <-g.goOn:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (g *stuck) Begin(ctx context.Context, _ *proxy.Identity, _ Resource, _ func(*proxy.Pending)) (Session, error) {
	return stuckSession{testSession{&g.testGate, ctx}, g}, nil
}

type stuckSession struct {
	testSession
	gate *stuck
}

func (s stuckSession) Ask(ctx context.Context, text string, hold *proxy.Hold) ([]Grant, error) {
	if err := s.gate.wait(ctx, "ask"); err != nil {
		return nil, err
	}
	return s.testSession.Ask(ctx, text, hold)
}

func (g *stuck) Database(context.Context, *proxy.Identity, Resource) (Database, error) {
	return stuckDatabase{testDatabase{&g.testGate}, g}, nil
}

type stuckDatabase struct {
	testDatabase
	gate *stuck
}

func (d stuckDatabase) Execute(ctx context.Context, text string, args []Arg, limit int64, keep int) (Result, error) {
	r, err := d.testDatabase.Execute(ctx, text, args, limit, keep)
	if werr := d.gate.wait(ctx, "sql"); werr != nil {
		return r, werr
	}
	return r, err
}

const twoSteps = `apiVersion: sallyport/v1
kind: Runbook
metadata: {name: two}
targets: {db: {types: [postgres]}}
steps:
  - {id: a, sql: {text: delete from a}}
  - {id: b, sql: {text: delete from b}}
`

func planOf(t *testing.T, text string) *Plan {
	t.Helper()
	b, err := Parse([]byte(text))
	require.NoError(t, err)
	p, err := b.Plan(Origin{Source: "x"}, Choice{}, places3)
	require.NoError(t, err)
	return p
}

var quiet = slog.New(slog.DiscardHandler)

var alice = &proxy.Identity{Subject: "alice"}

// A gateway that ends in any state leaves nothing that goes on: what had begun is unknown, and runs
// no second time, whatever comes back.
func TestGatewayEnds(t *testing.T) {
	for where, want := range map[string][]State{"ask": {Failed, Pending, Pending}, "sql": {Unknown, Unknown, Pending}} {
		s := store.NewMemory()
		p := planOf(t, twoSteps)
		g := &stuck{testGate: testGate{plan: p}, where: where, at: make(chan string, 9), goOn: make(chan struct{})}
		first := &Runner{Store: s, Gate: g, Log: quiet}
		require.NoError(t, Open(t.Context(), first))
		run, err := first.Start(t.Context(), alice, p, Options{})
		require.NoError(t, err)
		<-g.at

		// The process is gone for the others: its document has ended.
		doc, err := s.Get(t.Context(), KindRunner, first.id)
		require.NoError(t, err)
		_, err = s.Write(t.Context(), store.Delete(doc))
		require.NoError(t, err)
		second := &Runner{Store: s, Gate: &testGate{plan: p}, Log: quiet}
		require.NoError(t, Open(t.Context(), second))
		got, err := second.Get(t.Context(), run.ID)
		require.NoError(t, err)
		require.Equal(t, want, []State{got.State, got.Steps[0].State, got.Steps[1].State}, where)

		// It was only slow, and comes back: it finds that it was taken for dead, and begins nothing.
		close(g.goOn)
		require.NoError(t, first.Close())
		saw := map[string]int{}
		for _, e := range g.saw {
			saw[e.Step]++
		}
		require.Zero(t, saw["b"], where)
		require.LessOrEqual(t, saw["a"], 1)
		again, err := second.Get(t.Context(), run.ID)
		require.NoError(t, err)
		require.Equal(t, want[0], again.State, "what was written down stays")
		require.NoError(t, second.Close())
	}
}

// A step that may have had its effect is not tried again, unless it may run twice.
func TestRetry(t *testing.T) {
	for text, tries := range map[string]int{
		twoSteps: 1,
		strings.Replace(twoSteps, "{id: a,", "{id: a, idempotent: true, retry: {max: 2, backoff: 1ms},", 1): 3,
	} {
		p := planOf(t, text)
		g := &lossy{testGate: testGate{plan: p}}
		r := &Runner{Store: store.NewMemory(), Gate: g, Log: quiet}
		require.NoError(t, Open(t.Context(), r))
		begun, err := r.Start(t.Context(), alice, p, Options{})
		require.NoError(t, err)
		run := begun
		require.Eventually(t, func() bool { run, err = r.Get(t.Context(), run.ID); return err == nil && run.State.Over() }, 30*time.Second, time.Millisecond)
		require.Equal(t, Unknown, run.State)
		require.Equal(t, tries, run.Steps[0].Attempts)
		require.Equal(t, Pending, run.Steps[1].State)
		require.Equal(t, []State{Waiting, Pending}, []State{begun.State, begun.Steps[0].State}, "the caller's does not change")
		require.NoError(t, r.Close())
	}
}

// lossy is a gate whose databases are lost while something runs.
type lossy struct{ testGate }

func (g *lossy) Database(context.Context, *proxy.Identity, Resource) (Database, error) {
	return lostDatabase{testDatabase{&g.testGate}}, nil
}

type lostDatabase struct{ testDatabase }

func (lostDatabase) Execute(context.Context, string, []Arg, int64, int) (Result, error) {
	return Result{}, errors.New("the session has ended")
}

// Of two gateways one begins what a schedule says, once; what was missed is caught up with as it says.
func TestSchedule(t *testing.T) {
	cron, err := ParseCron("*/10 * * * *", "")
	require.NoError(t, err)
	now := time.Date(2026, 5, 1, 12, 40, 30, 0, time.UTC)
	for catchUp, want := range map[string]string{"skip": "12:40", "": "12:40", "one": "12:40", "all": "12:10 12:20 12:30 12:40"} {
		s := &Scheduled{Schedule: &Schedule{CatchUp: catchUp, cron: cron}}
		run := func(last, now time.Time) string {
			var list []string
			for _, d := range s.due(last, now) {
				if !d.skip {
					list = append(list, d.at.Format("15:04"))
				}
			}
			return strings.Join(list, " ")
		}
		require.Equal(t, want, run(now.Add(-31*time.Minute), now), catchUp)
		require.Empty(t, run(now, now.Add(-time.Hour)), "a clock that was put back")
		if late := run(now.Add(-31*time.Minute), now.Add(5*time.Minute)); catchUp == "skip" {
			require.Empty(t, late)
		}
	}

	s := store.NewMemory()
	p := planOf(t, twoSteps)
	var runners []*Runner
	for range 2 {
		r := &Runner{Store: s, Gate: &testGate{plan: p}, Log: quiet}
		require.NoError(t, Open(t.Context(), r))
		runners = append(runners, r)
	}
	every, err := ParseCron("* * * * *", "")
	require.NoError(t, err)
	disabled := false
	list := []Scheduled{{
		Source: "x", Name: "two", Schedule: &Schedule{Cron: "* * * * *", CatchUp: "one", cron: every},
		Who: func(context.Context) (*proxy.Identity, error) {
			if disabled {
				return nil, errors.New("she is disabled")
			}
			return &proxy.Identity{Subject: "svc", Kind: proxy.Service}, nil
		},
		Plan: func(context.Context, *proxy.Identity) (*Plan, error) { return p, nil },
	}}
	tick := func() (runs []Run) {
		for _, r := range runners { // the second takes the lease over, as after a pause of the first
			require.NoError(t, r.Tick(t.Context(), list))
			l, err := s.Acquire(t.Context(), scheduleLease, r.id, scheduleTTL)
			require.NoError(t, err)
			require.NoError(t, s.Release(t.Context(), l))
		}
		runs, err := runners[0].List(t.Context(), 10, func(*Run) bool { return true })
		require.NoError(t, err)
		return runs
	}
	require.Empty(t, tick(), "nothing is caught up that was not scheduled")
	back := func() { // an hour passes
		doc, err := s.Get(t.Context(), KindSchedule, "x/two")
		require.NoError(t, err)
		_, err = s.Write(t.Context(), moved(doc, looked{Last: time.Now().Add(-time.Hour), Cron: "* * * * *"}))
		require.NoError(t, err)
	}
	back()
	runs := tick()
	require.Len(t, runs, 1)
	require.Equal(t, "svc", runs[0].Requester)
	disabled = true
	back()
	require.Len(t, tick(), 1, "who is disabled runs nothing")
	for _, r := range runners {
		require.NoError(t, r.Close())
	}
}

// The examples are what their tests say.
func TestExamples(t *testing.T) {
	dir := "../examples/runbooks"
	files := tree{}
	for _, pattern := range []string{"*.yaml", "scripts/*"} {
		list, err := filepath.Glob(filepath.Join(dir, pattern))
		require.NoError(t, err)
		for _, f := range list {
			text, err := os.ReadFile(f)
			require.NoError(t, err)
			rel, err := filepath.Rel(dir, f)
			require.NoError(t, err)
			files[rel] = string(text)
		}
	}
	n := 0
	for name := range files {
		book, ok := strings.CutSuffix(name, ".test.yaml")
		if !ok {
			continue
		}
		cases, err := ParseTests([]byte(files[name]))
		require.NoError(t, err, name)
		for _, c := range cases {
			b, err := files.Find(t.Context(), book)
			require.NoError(t, err)
			require.NoError(t, b.Complete(t.Context(), files))
			require.NoError(t, b.Test(t.Context(), c))
			c.Expect = append(c.Expect, Expected{Step: "nothing"})
			c.Error, c.State = "no such error", ""
			require.Error(t, b.Test(t.Context(), c), "a test can fail")
			n++
		}
	}
	require.Equal(t, 12, n)
}
