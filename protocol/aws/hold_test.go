package aws

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
)

// office has one request for each operation that waits, by what it is about.
type office struct {
	mu   sync.Mutex
	open map[string]chan proxy.Verdict
	all  []string
}

func (o *office) Request(_ context.Context, _ *proxy.Session, op proxy.Op, h *proxy.Hold) (*proxy.Pending, error) {
	q := op.(*proxy.Request)
	name := q.Action + " " + q.Path
	decide := make(chan proxy.Verdict, 1)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.all = append(o.all, name+"?"+q.Query)
	o.open[name] = decide
	id := fmt.Sprintf("REQ%d", len(o.all))
	return &proxy.Pending{
		ID: id, Message: "this needs an approval", Link: "https://gw.test/requests/" + id, Deadline: time.Now().Add(h.For),
		Wait: func(ctx context.Context) proxy.Verdict {
			select {
			case v := <-decide:
				return v
			case <-ctx.Done():
				return proxy.Deny(proxy.CauseDenied, "", "nobody decided", "")
			}
		},
	}, nil
}

func (o *office) decide(name string, v proxy.Verdict) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.open[name] <- v
}

func (o *office) requests() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]string(nil), o.all...)
}

// heldAt has requests about paths wait.
func heldAt(o *office, paths ...string) change {
	return func(r *rig) {
		r.gateway.Reviewer = o
		r.rules.Hooks.Ask = func(_ context.Context, op proxy.Op) proxy.Verdict {
			q, ok := op.(*proxy.Request)
			if !ok {
				return proxy.Pass()
			}
			for _, path := range paths {
				if strings.HasPrefix(q.Path, path) {
					return proxy.Verdict{Action: proxy.ActionHold, Rule: "held", Hold: &proxy.Hold{Rules: []string{"held"}, Approvers: [][]string{{"lead"}}, Message: "held", For: time.Minute}}
				}
			}
			return proxy.Pass()
		}
	}
}

// TestHoldParts: what a request does besides waits for an approval like the request itself. Each is approved once, and when all are, the
// request runs once, and no other runs by these approvals.
func TestHoldParts(t *testing.T) {
	o := &office{open: map[string]chan proxy.Verdict{}}
	r, sent := start(t, ok, heldAt(o, "/bucket/secret", "/bucket/public/a"))
	k := r.keys("alice")
	at := time.Now().Add(-time.Minute)
	copies := func(source string) *reply {
		at = at.Add(time.Second) // so that each is signed in another way
		return r.send(k, ask{method: "PUT", uri: "/bucket/public/a", headers: []string{"X-Amz-Copy-Source", source}, at: at})
	}
	waits := func(id string) {
		t.Helper()
		require.Eventually(t, func() bool { return strings.Contains(copies("/bucket/secret/b").text, id) }, 10*time.Second, 10*time.Millisecond)
	}
	waits("requests/REQ1 ")
	require.Equal(t, []string{"s3:GetObject /bucket/secret/b?for=s3:CopyObject /bucket/public/a"}, o.requests(), "approvers see what it is read for")
	o.decide("s3:GetObject /bucket/secret/b", proxy.Allow("lead"))
	waits("requests/REQ2 ")
	require.Empty(t, sent())
	require.Contains(t, copies("/bucket/secret/c").text, "requests/REQ3 ", "another source needs an approval of its own")
	o.decide("s3:CopyObject /bucket/public/a", proxy.Allow("lead"))
	require.Eventually(t, func() bool { return copies("/bucket/secret/b").StatusCode == http.StatusOK }, 10*time.Second, 10*time.Millisecond)
	require.Len(t, sent(), 1)
	require.Equal(t, "/bucket/secret/b", sent()[0].Header.Get("X-Amz-Copy-Source"))
	require.Contains(t, copies("/bucket/secret/b").text, "requests/REQ4 ", "it has run once")
	require.Len(t, sent(), 1)
	require.Len(t, o.requests(), 4)
	require.Subset(t, r.rules.outcomes(), []string{"s3:GetObject /bucket/secret/b  <nil>", "s3:CopyObject /bucket/public/a 200 <nil>"})
}

// TestHoldPartsRefused: a part that is refused keeps the request from running, and a part that is there twice is one.
func TestHoldPartsRefused(t *testing.T) {
	o := &office{open: map[string]chan proxy.Verdict{}}
	r, sent := start(t, ok, heldAt(o, "/bucket/secret"))
	k := r.keys("alice")
	at := time.Now().Add(-time.Minute)
	deletes := func() *reply {
		at = at.Add(time.Second)
		return r.send(k, ask{method: "POST", uri: "/bucket?delete", at: at, body: `<Delete><Object><Key>public/a</Key></Object><Object><Key>secret</Key><VersionId>1</VersionId></Object><Object><Key>secret</Key><VersionId>2</VersionId></Object></Delete>`})
	}
	require.Contains(t, deletes().text, "requests/REQ1 ")
	require.Contains(t, deletes().text, "requests/REQ1 ")
	o.decide("s3:DeleteObject /bucket/secret", proxy.Deny(proxy.CauseDenied, "", "no", ""))
	require.Eventually(t, func() bool { return !strings.Contains(deletes().text, "requests/REQ1 ") }, 10*time.Second, 10*time.Millisecond)
	require.Contains(t, deletes().text, "requests/REQ2 ")
	o.decide("s3:DeleteObject /bucket/secret", proxy.Allow("lead"))
	require.Eventually(t, func() bool { return deletes().StatusCode == http.StatusOK }, 10*time.Second, 10*time.Millisecond)
	require.Len(t, sent(), 1)
	require.Len(t, o.requests(), 2)
}
