package runbook

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/store"
)

// approving is a gate whose requests work for a while, wait for an approval, and work again.
type approving struct {
	testGate
	before, waits, after time.Duration
}

func (g *approving) Request(ctx context.Context, _ *proxy.Identity, _ Resource, _ Request) (Response, error) {
	for _, d := range []time.Duration{g.before, g.waits, g.after} {
		over := func() {}
		if d == g.waits {
			over = OnHold(ctx)
		}
		pause(ctx, d)
		over()
		if err := context.Cause(ctx); err != nil {
			return Response{}, err
		}
	}
	return Response{Status: 200}, nil
}

// TestLimitWaits: a step's limit counts the time in which it works, before and after an approval, and not that in which it waits for one.
func TestLimitWaits(t *testing.T) {
	const text = `apiVersion: sallyport/v1
kind: Runbook
metadata: {name: asking}
targets: {app: {types: [web]}}
steps:
  - {id: a, timeout: 10s, http: {method: GET, path: /a}}
`
	for _, c := range []struct {
		before, waits, after time.Duration
		want                 State
	}{
		{4 * time.Second, 30 * time.Minute, 5 * time.Second, Done},
		{4 * time.Second, 30 * time.Minute, 7 * time.Second, Failed},
		{11 * time.Second, time.Second, 0, Failed},
		{4 * time.Second, 2 * time.Hour, 0, Failed}, // the run's own limit
	} {
		synctest.Test(t, func(t *testing.T) {
			p := planAt(t, text, nil)
			r := &Runner{Store: store.NewMemory(), Gate: &approving{testGate{plan: p}, c.before, c.waits, c.after}, Log: quiet}
			require.NoError(t, Open(t.Context(), r))
			run, err := r.Start(t.Context(), alice, p, Options{})
			require.NoError(t, err)
			for !run.State.Over() {
				time.Sleep(time.Second) // of the test's own clock
				run, err = r.Get(t.Context(), run.ID)
				require.NoError(t, err)
			}
			require.NoError(t, r.Close())
			require.Equal(t, c.want, run.State, "%v: %s", c, run.Message)
			if c.want == Failed && c.waits < time.Hour {
				require.Contains(t, run.Message, "the step has taken longer than its limit")
			}
		})
	}
}

// TestLimitWaitsForAll: what waits for two approvals waits until both are given, and one that has ended does not begin again.
func TestLimitWaitsForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := limited(t.Context(), time.Minute)
		one, two := OnHold(ctx), OnHold(ctx)
		time.Sleep(time.Hour)
		one()
		one()
		time.Sleep(time.Hour)
		require.NoError(t, ctx.Err())
		two()
		time.Sleep(59 * time.Second)
		require.NoError(t, ctx.Err())
		time.Sleep(2 * time.Second)
		require.ErrorIs(t, context.Cause(ctx), errLimit)
		stop()

		ctx, stop = limited(t.Context(), time.Minute)
		one = OnHold(ctx)
		stop()
		one()
		require.ErrorIs(t, context.Cause(ctx), context.Canceled)
		OnHold(t.Context())() // of a step that has no limit
	})
}
