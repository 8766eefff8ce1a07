package gateway

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/control"
	"github.com/sallyport/sallyport/internal/hostile"
	"github.com/sallyport/sallyport/internal/race"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/runbook"
)

// billing is a web application that keeps what it is asked.
type billing struct {
	*httptest.Server
	mu     sync.Mutex
	asked  []*http.Request
	bodies []string
	slow   chan struct{} // requests of /slow wait for it
}

func startBilling(t *testing.T) *billing {
	t.Helper()
	b := &billing{slow: make(chan struct{})}
	b.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body) // a test's own
		b.mu.Lock()
		b.asked, b.bodies = append(b.asked, r), append(b.bodies, string(body))
		b.mu.Unlock()
		switch {
		case r.URL.Path == "/slow":
			select {
			case <-b.slow:
			case <-r.Context().Done():
			}
		case r.URL.Path == "/away":
			http.Redirect(w, r, "http://169.254.169.254/latest/meta-data/", http.StatusTemporaryRedirect)
		case r.URL.Path == "/forged":
			w.Header().Set("X-Gateway-Answer", "refused")
			_, _ = io.WriteString(w, `{"message": "forged"}`)
		case strings.HasSuffix(r.URL.Path, "/refunds"):
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusCreated)
			_, _ = io.WriteString(w, `{"refund": {"id": "r-1"}}`)
		default:
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"order": {"total": 12.5, "mail": "ann@example.com"}}`)
		}
	}))
	t.Cleanup(b.Close)
	return b
}

func (b *billing) got() (asked []*http.Request, bodies []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.asked[:len(b.asked):len(b.asked)], b.bodies[:len(b.bodies):len(b.bodies)]
}

// openForHTTP is a gateway for runs in front of a web application, too.
func openForHTTP(t *testing.T, books map[string]string) (*runHouse, *billing) {
	t.Helper()
	b := startBilling(t)
	t.Setenv("BILLING_TOKEN", "billing-token")
	return openForRunsAt(t, books, fmt.Sprintf(`  - {name: billing, type: web, address: %q, password: "env:BILLING_TOKEN", tls: {mode: disable}, web: {hosts: [billing.example.com]}}
  - {name: closed, type: web, address: "127.0.0.1:1", tls: {mode: disable}, web: {hosts: [closed.example.com]}}
`, b.Listener.Addr().String()), `  - {name: no-deletes, deny: {requests: ["DELETE /admin/*"]}}
  - {name: ask-patch, hold: {requests: ["PATCH /*"]}, approvers: [leads], for: 1h}
`), b
}

func webBook(name, rest string) string {
	return fmt.Sprintf("apiVersion: sallyport/v1\nkind: Runbook\nmetadata: {name: %s}\ntargets: {app: {types: [web], max: 2}}\n", name) + rest
}

var webBooks = map[string]string{
	"pay.yaml": webBook("pay", `
params:
  order: {type: integer, required: true}
  why: {type: text, default: none}
  hush: {type: secret, ref: "file:hush"}
outputs: {steps: [look, pay]}
steps:
  - {id: look, http: {method: GET, path: /orders/$order, fields: {total: /order/total}, dry_run: send}}
  - id: pay
    idempotent: true
    http: {method: POST, path: /orders/$order/refunds, query: {who: $run.user}, headers: {X-Second-Key: $hush}, json: {total: $look.total, why: $why}, status: [201], idempotency_key: Idempotency-Key, fields: {id: /refund/id}}
  - {id: close, http: {method: PUT, path: /refunds/$pay.id, form: {state: closed}}}
`),
	"delete.yaml": webBook("delete", "steps:\n  - {id: a, http: {method: DELETE, path: /admin/orders}}\n"),
	"ask.yaml":    webBook("ask", "steps:\n  - {id: a, http: {method: PATCH, path: /orders/1, json: {a: b}}}\n"),
	"away.yaml":   webBook("away", "steps:\n  - {id: a, http: {method: POST, path: /away, json: {a: b}}}\n"),
	"forged.yaml": webBook("forged", "outputs: {steps: [a]}\nsteps:\n  - {id: a, http: {method: POST, path: /forged}}\n"),
	"own.yaml":    webBook("own", "params: {x: {type: string, default: .gateway}}\nsteps:\n  - {id: a, http: {method: POST, path: /$x/logout}}\n"),
	"slow.yaml":   webBook("slow", "steps:\n  - {id: a, http: {method: POST, path: /slow}}\n"),
	"wait.yaml":   webBook("wait", "steps:\n  - {id: a, http: {method: PATCH, path: /orders/2}}\n"),
}

func billingRun(name string, values map[string]any) control.RunRequest {
	return control.RunRequest{Name: name, Params: params(values), Targets: map[string][]string{"app": {"billing"}}}
}

// A request of a run is the requester's own: decided about, masked and on record, with the credential that she never sees.
func TestRunHTTP(t *testing.T) {
	h, b := openForHTTP(t, webBooks)
	q := billingRun("pay", map[string]any{"order": 7, "why": "it's\n\"broken\""})
	q.Dry = true
	r := h.over(t, "alice", h.start(t, "alice", q).ID)
	require.Equal(t, runbook.Done, r.State, r.Message)
	asked, _ := b.got()
	require.Len(t, asked, 1, "what reads is sent when the file says so, and nothing else")

	q.Dry = false
	r = h.over(t, "alice", h.start(t, "alice", q).ID)
	require.Equal(t, runbook.Done, r.State, "%s %v", r.Message, r.Steps)
	asked, bodies := b.got()
	require.Len(t, asked, 4)
	pay := asked[2]
	require.Equal(t, "POST /orders/7/refunds?who=alice", pay.Method+" "+pay.RequestURI)
	require.Equal(t, "billing.example.com", pay.Host)
	require.Equal(t, "Bearer billing-token", pay.Header.Get("Authorization"))
	require.NotEmpty(t, pay.Header.Get("X-Gateway-Assertion"), "the application is told who asks")
	require.Empty(t, pay.Header.Get("X-Gateway-Target"))
	require.Equal(t, "s3cr3t-of-run", pay.Header.Get("X-Second-Key"))
	require.NotEmpty(t, pay.Header.Get("Idempotency-Key"))
	require.JSONEq(t, `{"total": 12.5, "why": "it's\n\"broken\""}`, bodies[2])
	require.Equal(t, "PUT /refunds/r-1", asked[3].Method+" "+asked[3].RequestURI)
	require.Equal(t, "state=closed", bodies[3])
	require.Equal(t, 201, r.Steps[1].Status)
	require.Contains(t, r.Steps[0].Output, "12.5")

	for name, want := range map[string]string{"delete": "no-deletes", "own": "the gateway's own"} {
		r = h.over(t, "alice", h.start(t, "alice", billingRun(name, nil)).ID)
		require.Equal(t, runbook.Refused, r.State, r.Message)
		require.Contains(t, r.Message, want)
	}
	r = h.over(t, "alice", h.start(t, "alice", billingRun("away", nil)).ID)
	require.Equal(t, runbook.Failed, r.State)
	require.Contains(t, r.Message, "got the status 307", "a redirect is not followed")
	r = h.over(t, "alice", h.start(t, "alice", billingRun("forged", nil)).ID)
	require.Equal(t, runbook.Done, r.State, "no application can speak for the gateway: %s", r.Message)
	closed := billingRun("forged", nil)
	closed.Targets = map[string][]string{"app": {"closed"}}
	r = h.over(t, "alice", h.start(t, "alice", closed).ID)
	require.Equal(t, runbook.Failed, r.State, "the application was not reached, so that nothing is unknown")
	require.Contains(t, r.Message, "was not sent")
	asked, _ = b.got()
	require.Len(t, asked, 6)

	require.NoError(t, h.stop())
	said := ""
	for id, list := range h.records(t) {
		for _, e := range list {
			text, err := json.Marshal(e)
			require.NoError(t, err)
			said += id + " " + string(text) + "\n"
		}
	}
	require.Contains(t, said, `"via":"runbook"`)
	require.Contains(t, said, "/orders/7/refunds")
	require.NotContains(t, said, "s3cr3t-of-run")
	require.NotContains(t, said, "billing-token")
	require.NotContains(t, h.log.String(), "s3cr3t-of-run")
}

// A request that is held waits for its approval, and is sent once.
func TestRunHTTPHeld(t *testing.T) {
	h, b := openForHTTP(t, webBooks)
	held := func(r *runbook.Run) bool { return r.Steps[0].Session != "" && r.Steps[0].State == runbook.Running }
	asked := func() int {
		list, _ := b.got()
		return len(list)
	}
	pending := func() bool {
		var all control.Requests
		require.Equal(t, http.StatusOK, h.ask(t, h.as(t, "root"), "GET", "/v1/requests", nil, &all))
		for _, r := range all.Requests {
			if r.State == "pending" {
				return true
			}
		}
		return false
	}
	r := h.start(t, "alice", billingRun("ask", nil))
	r = h.until(t, "alice", r.ID, held)
	require.Eventually(t, pending, 30*time.Second, 10*time.Millisecond)
	require.Zero(t, asked())
	require.Equal(t, http.StatusOK, h.approve(t, "carol", r.ID))
	r = h.over(t, "alice", r.ID)
	require.Equal(t, runbook.Done, r.State, r.Message)
	require.Equal(t, 1, asked())

	// One whose run is cancelled meanwhile is not sent.
	r = h.start(t, "alice", billingRun("wait", nil))
	r = h.until(t, "alice", r.ID, held)
	require.Eventually(t, pending, 30*time.Second, 10*time.Millisecond)
	require.Equal(t, http.StatusOK, h.ask(t, h.as(t, "alice"), "POST", "/v1/runs/"+r.ID+"/cancel", struct{}{}, nil))
	r = h.over(t, "alice", r.ID)
	require.Equal(t, runbook.Cancelled, r.State, "it is known that nothing was sent: %s", r.Message)
	require.Eventually(t, func() bool { return !pending() }, 30*time.Second, 10*time.Millisecond, "the request for an approval is taken back")
	require.Equal(t, 1, asked())
}

// A run that is cancelled while the application works gives the request up; what became of it is not known.
func TestRunHTTPCancel(t *testing.T) {
	h, b := openForHTTP(t, webBooks)
	r := h.start(t, "alice", billingRun("slow", nil))
	require.Eventually(t, func() bool { list, _ := b.got(); return len(list) == 1 }, 30*time.Second, 10*time.Millisecond)
	require.Equal(t, http.StatusOK, h.ask(t, h.as(t, "alice"), "POST", "/v1/runs/"+r.ID+"/cancel", struct{}{}, nil))
	r = h.over(t, "alice", r.ID)
	require.Equal(t, runbook.Unknown, r.State, r.Message)
	list, _ := b.got()
	select {
	case <-list[0].Context().Done():
	case <-time.After(30 * time.Second):
		t.Fatal("the application is not told that nobody waits any more")
	}
	require.Eventually(t, func() bool { return len(h.gateway.Sessions()) == 0 }, 30*time.Second, 10*time.Millisecond)
}

// The hostile corpus through the whole gateway: the application sees exactly the value, or nothing.
func TestEveryHostileValueByHTTP(t *testing.T) {
	h, b := openForHTTP(t, map[string]string{
		"path.yaml":  webBook("path", "params: {v: {type: string, required: true}}\nsteps:\n  - {id: a, http: {method: GET, path: /a/$v/z, query: {x: $v, y: fixed}}}\n"),
		"value.yaml": webBook("value", "params: {v: {type: string, required: true}}\nsteps:\n  - {id: a, http: {method: GET, path: /a/z, query: {x: $v, y: fixed}}}\n"),
		"head.yaml":  webBook("head", "params: {v: {type: string, required: true}}\nsteps:\n  - {id: a, http: {method: GET, path: /a/z, headers: {X-Value: $v, X-Other: fixed}}}\n"),
		"body.yaml":  webBook("body", "params: {v: {type: text, required: true}}\nsteps:\n  - {id: a, http: {method: POST, path: /a/z, json: {x: $v, y: fixed}}}\n  - {id: b, http: {method: POST, path: /a/z, form: {x: $v, y: fixed}}}\n"),
	})
	api := runbookAPI{h.runbooks}
	alice, err := identities{h.Gateway}.Refresh(t.Context(), &proxy.Identity{Subject: "alice"})
	require.NoError(t, err)
	through := make(map[string]int)
	for _, name := range []string{"path", "value", "head", "body"} {
		for i, v := range hostile.Values() {
			if i%race.Stride() != 0 {
				continue
			}
			q := billingRun(name, map[string]any{"v": v})
			q.Source = "local"
			plan, err := api.planOf(t.Context(), alice, q)
			if err != nil {
				continue // it is refused
			}
			before, _ := b.got()
			r, err := h.runbooks.runner.Start(t.Context(), alice, plan, runbook.Options{})
			require.NoError(t, err)
			require.Eventually(t, func() bool {
				r, err = h.runbooks.runner.Get(t.Context(), r.ID)
				return err == nil && r.State.Over()
			}, time.Minute, time.Millisecond)
			require.Equal(t, runbook.Done, r.State, "%s %q: %s", name, v, r.Message)
			asked, bodies := b.got()
			asked, bodies = asked[len(before):], bodies[len(before):]
			through[name]++
			for _, one := range asked {
				require.Equal(t, "billing.example.com", one.Host)
			}
			switch name {
			case "path":
				require.Equal(t, "/a/"+v+"/z", asked[0].URL.Path)
				fallthrough
			case "value":
				require.Equal(t, url.Values{"x": {v}, "y": {"fixed"}}, asked[0].URL.Query())
			case "head":
				require.Equal(t, []string{v}, asked[0].Header["X-Value"])
				require.Equal(t, []string{"fixed"}, asked[0].Header["X-Other"])
			case "body":
				require.Len(t, asked, 2)
				var object map[string]string
				require.NoError(t, json.Unmarshal([]byte(bodies[0]), &object))
				require.Equal(t, map[string]string{"x": v, "y": "fixed"}, object)
				form, err := url.ParseQuery(bodies[1])
				require.NoError(t, err)
				require.Equal(t, url.Values{"x": {v}, "y": {"fixed"}}, form)
			}
		}
	}
	t.Log(through)
	for name, least := range map[string]int{"path": 150, "value": 200, "head": 200, "body": 200} {
		require.Greater(t, through[name], least/race.Stride(), name)
	}
}
