package web

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/protocol/internal/relay"
	"github.com/sallyport/sallyport/proxy"
)

// desk decides about requests as the test says.
type desk struct {
	mu      sync.Mutex
	asked   int
	decide  chan proxy.Verdict
	waiting atomic.Int32
}

func (d *desk) Request(_ context.Context, _ *proxy.Session, _ proxy.Op, h *proxy.Hold) (*proxy.Pending, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked++
	return &proxy.Pending{
		ID: "REQ1", Message: "this needs an approval", Link: "https://gw.test/requests/REQ1", Deadline: time.Now().Add(h.For),
		Wait: func(ctx context.Context) proxy.Verdict {
			d.waiting.Add(1)
			defer d.waiting.Add(-1)
			select {
			case v := <-d.decide:
				return v
			case <-ctx.Done():
				return proxy.Deny(proxy.CauseDenied, "", "nobody decided", "")
			}
		},
	}, nil
}

func (d *desk) requests() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.asked
}

// held is a rig at which POST /deploy needs an approval.
func holding(t *testing.T) (*rig, *desk, func() []string) {
	t.Helper()
	var mu sync.Mutex
	var ran []string
	d := &desk{decide: make(chan proxy.Verdict)}
	r := start(t, http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		b, _ := io.ReadAll(q.Body)
		mu.Lock()
		defer mu.Unlock()
		ran = append(ran, q.Method+" "+q.RequestURI+" "+string(b))
		_, _ = io.WriteString(w, "done")
	}), func(r *rig) {
		r.gateway.Reviewer = d
		r.rules.Hooks.Ask = func(_ context.Context, op proxy.Op) proxy.Verdict {
			if q, ok := op.(*proxy.Request); ok && q.Method == "POST" && q.Path == "/deploy" {
				return proxy.Verdict{
					Action: proxy.ActionHold, Rule: "deploys",
					Hold: &proxy.Hold{Rules: []string{"deploys"}, Approvers: [][]string{{"lead"}}, Message: "deploys are approved", For: time.Minute},
				}
			}
			return proxy.Pass()
		}
	})
	return r, d, func() []string {
		mu.Lock()
		defer mu.Unlock()
		return append([]string(nil), ran...)
	}
}

// TestHold: a request that waits is answered with a link, is one request however often it is sent, and runs once after the approval.
func TestHold(t *testing.T) {
	r, d, ran := holding(t)
	post := func(body string) *reply { return r.do("POST", "/deploy?v=1", body, "Content-Type", "application/json") }
	for range 3 {
		res := post(`{"v":1}`)
		require.Equal(t, http.StatusAccepted, res.StatusCode, res.text)
		require.Contains(t, res.text, `"link":"https://gw.test/requests/REQ1"`)
		require.Equal(t, "REQ1", res.Header.Get("X-Gateway-Request"))
		require.Equal(t, "5", res.Header.Get("Retry-After"))
	}
	require.Equal(t, 1, d.requests())
	require.Empty(t, ran())
	d.decide <- proxy.Allow("lead")
	require.Eventually(t, func() bool { return d.waiting.Load() == 0 }, 5*time.Second, time.Millisecond)

	// What was approved is that request, and no other one.
	require.Equal(t, http.StatusAccepted, post(`{"v":2}`).StatusCode)
	require.Equal(t, 2, d.requests())
	require.Equal(t, http.StatusAccepted, r.do("POST", "/deploy?v=2", `{"v":1}`).StatusCode)
	for _, name := range telling {
		require.Equal(t, http.StatusAccepted, r.do("POST", "/deploy?v=1", `{"v":1}`, "Content-Type", "application/json", name, "x").StatusCode, name)
	}

	// Of several that send it again at once one runs it.
	var wg sync.WaitGroup
	var done atomic.Int32
	for range 4 {
		wg.Go(func() {
			if post(`{"v":1}`).StatusCode == http.StatusOK {
				done.Add(1)
			}
		})
	}
	wg.Wait()
	require.EqualValues(t, 1, done.Load())
	require.Equal(t, []string{`POST /deploy?v=1 {"v":1}`}, ran())
}

// TestHoldRefused: who sends a request again that was refused is told so, and the next one is asked about anew.
func TestHoldRefused(t *testing.T) {
	r, d, ran := holding(t)
	require.Equal(t, http.StatusAccepted, r.do("POST", "/deploy", "x").StatusCode)
	d.decide <- proxy.Deny(proxy.CauseDenied, "deploys", "not on a Friday", "")
	require.Eventually(t, func() bool { return len(r.rules.outcomes()) == 1 }, 5*time.Second, time.Millisecond)
	res := r.do("POST", "/deploy", "x")
	require.Equal(t, http.StatusForbidden, res.StatusCode)
	require.Contains(t, res.text, "Not on a Friday")
	require.Equal(t, http.StatusAccepted, r.do("POST", "/deploy", "x").StatusCode)
	require.Equal(t, 2, d.requests())
	require.Empty(t, ran())
}

// TestHoldAgain: what is approved is asked about again when it is sent, by the rules of then.
func TestHoldAgain(t *testing.T) {
	r, d, ran := holding(t)
	require.Equal(t, http.StatusAccepted, r.do("POST", "/deploy", "x").StatusCode)
	d.decide <- proxy.Allow("lead")
	require.Eventually(t, func() bool { return d.waiting.Load() == 0 }, 5*time.Second, time.Millisecond)
	strict := &rules{}
	strict.Hooks.Ask = func(_ context.Context, op proxy.Op) proxy.Verdict {
		if op.Info().Kind == proxy.KindRequest {
			return proxy.Deny(proxy.CausePolicy, "frozen", "there is a freeze", "")
		}
		return proxy.Pass()
	}
	rev := *r.gateway.Revision()
	rev.Interceptors = []proxy.Interceptor{strict}
	require.NoError(t, r.gateway.Use(&rev))
	res := r.do("POST", "/deploy", "x")
	require.Equal(t, http.StatusForbidden, res.StatusCode, res.text)
	require.Contains(t, res.text, "There is a freeze")
	require.Empty(t, ran())
}

// TestHoldBounds: what is too long to wait does not, and neither do more than a few.
func TestHoldBounds(t *testing.T) {
	r, d, ran := holding(t)
	res := r.do("POST", "/deploy", strings.Repeat("x", relay.MaxHeldBody+1))
	require.Equal(t, http.StatusRequestEntityTooLarge, res.StatusCode, res.text)
	for i := range relay.MaxHeld {
		require.Equal(t, http.StatusAccepted, r.do("POST", "/deploy", strings.Repeat("x", i)).StatusCode)
	}
	res = r.do("POST", "/deploy", "one more")
	require.Equal(t, http.StatusForbidden, res.StatusCode)
	require.Contains(t, res.text, "Too many of your requests wait")
	require.EqualValues(t, relay.MaxHeld, d.waiting.Load())
	require.Empty(t, ran())
	r.session().Kill(proxy.ErrDeadline)
	require.Eventually(t, func() bool { return d.waiting.Load() == 0 && len(r.gateway.Sessions()) == 0 }, 5*time.Second, time.Millisecond)
}

// TestHoldAtOnce: what is approved at once runs at once.
func TestHoldAtOnce(t *testing.T) {
	r, d, ran := holding(t)
	go func() { d.decide <- proxy.Allow("lead") }()
	require.Equal(t, "done", r.do("POST", "/deploy", "x").text)
	require.Equal(t, []string{"POST /deploy x"}, ran())
}

// TestAttackHoldBounds: requests that come at once are as few as those that come one after another.
func TestAttackHoldBounds(t *testing.T) {
	r, d, ran := holding(t)
	var wg sync.WaitGroup
	var waits, refused atomic.Int32
	for i := range 2 * relay.MaxHeld {
		wg.Go(func() {
			switch res := r.do("POST", "/deploy", strings.Repeat("x", i)); res.StatusCode {
			case http.StatusAccepted:
				waits.Add(1)
			case http.StatusForbidden:
				refused.Add(1)
			}
		})
	}
	wg.Wait()
	require.EqualValues(t, relay.MaxHeld, waits.Load())
	require.EqualValues(t, relay.MaxHeld, refused.Load())
	require.EqualValues(t, relay.MaxHeld, d.waiting.Load())
	require.Empty(t, ran())
}

// guarded lets nobody connect without an approval.
type guarded struct{}

func (guarded) Name() string { return "guarded" }

func (guarded) Intercept(context.Context, *proxy.Session) (proxy.Hooks, error) {
	return proxy.Hooks{Ask: func(_ context.Context, op proxy.Op) proxy.Verdict {
		if op.Info().Kind != proxy.KindConnect {
			return proxy.Pass()
		}
		return proxy.Verdict{Action: proxy.ActionHold, Rule: "guarded", Hold: &proxy.Hold{Rules: []string{"guarded"}, Approvers: [][]string{{"lead"}}, For: time.Minute}}
	}}, nil
}

// TestLogoutWhileWaiting: who logs out takes back the request to connect, and an approval that comes at that moment opens nothing that stays.
func TestLogoutWhileWaiting(t *testing.T) {
	d := &desk{decide: make(chan proxy.Verdict)}
	r := start(t, http.HandlerFunc(echo), func(r *rig) {
		r.gateway.Reviewer, r.gateway.Interceptors = d, append([]proxy.Interceptor{guarded{}}, r.gateway.Interceptors...)
	})
	out := func(c *http.Client) {
		req := must(http.NewRequest("POST", r.url(ownPath+"logout"), nil))
		require.Equal(t, http.StatusOK, r.send(c, req).StatusCode)
	}
	c := r.browser()
	r.logIn(c, "wiki", "/")
	require.Equal(t, http.StatusAccepted, r.open(c, r.url("/")).StatusCode)
	require.Eventually(t, func() bool { return d.waiting.Load() == 1 }, 10*time.Second, time.Millisecond)
	out(c)
	require.Eventually(t, func() bool { return d.waiting.Load() == 0 && len(r.gateway.Sessions()) == 0 }, 10*time.Second, time.Millisecond)

	for range 10 { // the approval and the logout at once
		r.logIn(c, "wiki", "/")
		require.Equal(t, http.StatusAccepted, r.open(c, r.url("/")).StatusCode)
		var wg sync.WaitGroup
		left := make(chan struct{})
		wg.Go(func() {
			select {
			case d.decide <- proxy.Allow("lead"):
			case <-left: // it was taken back
			}
		})
		out(c)
		close(left)
		wg.Wait()
		require.Eventually(t, func() bool { return d.waiting.Load() == 0 && len(r.gateway.Sessions()) == 0 }, 10*time.Second, time.Millisecond)
	}
}
