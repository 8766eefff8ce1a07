package kubernetes

import (
	"context"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
)

// desk approves when the test says so.
type desk struct {
	asked  atomic.Int32
	decide chan proxy.Verdict
}

func (d *desk) Request(_ context.Context, _ *proxy.Session, _ proxy.Op, h *proxy.Hold) (*proxy.Pending, error) {
	d.asked.Add(1)
	return &proxy.Pending{
		ID: "REQ1", Message: "this needs an approval", Link: "https://gw.test/requests/REQ1", Deadline: time.Now().Add(h.For),
		Wait: func(ctx context.Context) proxy.Verdict {
			select {
			case v := <-d.decide:
				return v
			case <-ctx.Done():
				return proxy.Deny(proxy.CauseDenied, "", "nobody decided", "")
			}
		},
	}, nil
}

func holding(t *testing.T) (*rig, *desk) {
	d := &desk{decide: make(chan proxy.Verdict)}
	return start(t, func(r *rig) {
		r.gateway.Reviewer = d
		r.rules.Ask = func(_ context.Context, op proxy.Op) proxy.Verdict {
			_, exec := op.(*proxy.Exec)
			if q, ok := op.(*proxy.Request); exec || ok && q.Action == "pods:delete" {
				return proxy.Verdict{Action: proxy.ActionHold, Rule: "held", Hold: &proxy.Hold{Rules: []string{"held"}, Approvers: [][]string{{"lead"}}, For: time.Minute}}
			}
			return proxy.Pass()
		}
	}), d
}

// TestHold: what waits is an error with a link, so that nobody takes it for done; after the approval the same request runs, once.
func TestHold(t *testing.T) {
	r, d := holding(t)
	remove := func() (int, string) { return r.do("DELETE", "/api/v1/namespaces/default/pods/web", "") }
	for range 2 {
		code, body := remove()
		require.Equal(t, http.StatusForbidden, code)
		require.Contains(t, body, "https://gw.test/requests/REQ1")
	}
	require.EqualValues(t, 1, d.asked.Load())
	require.Empty(t, r.cluster.requests())
	d.decide <- proxy.Allow("lead")
	require.Eventually(t, func() bool { code, _ := remove(); return code == http.StatusOK }, 10*time.Second, 5*time.Millisecond)
	require.Len(t, r.cluster.requests(), 1)
}

// TestKubectlHold: a held command is one request, although kubectl asks in two forms; it runs when it is sent again.
func TestKubectlHold(t *testing.T) {
	program := kubectls(t)[0]
	r, d := holding(t)
	run := func() (string, string, int) {
		return r.kubectl(program, "exec", "web", "-c", "app", "--", "echo", "ran")
	}
	_, complaints, code := run()
	require.Equal(t, 1, code)
	require.Contains(t, complaints, "requests/REQ1")
	require.EqualValues(t, 1, d.asked.Load())
	d.decide <- proxy.Allow("lead")
	out, complaints, code := run()
	require.Zero(t, code, complaints)
	require.Equal(t, "ran\n", out)
	n := 0
	for _, q := range r.cluster.requests() {
		if strings.HasSuffix(q.URL.Path, "/exec") {
			n++
		}
	}
	require.Equal(t, 1, n)
}
