package runbook

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/hostile"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/store"
)

// wired is a gate whose requests go to a server of net/http, as they are composed.
type wired struct {
	testGate
	url  string
	sent int
	mu   sync.Mutex
}

func (g *wired) Request(ctx context.Context, _ *proxy.Identity, _ Resource, q Request) (out Response, err error) {
	g.mu.Lock()
	g.sent++
	g.mu.Unlock()
	r, err := http.NewRequestWithContext(ctx, q.Method, g.url+q.Path+"?"+q.Query, strings.NewReader(string(q.Body)))
	if err != nil {
		return out, errors.Join(ErrUnsent, err)
	}
	for _, h := range q.Header {
		r.Header.Set(h.Name, h.Value)
	}
	q.Opened("session-1")
	res, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return out, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, q.Limit+1))
	if err != nil {
		return out, err
	}
	cut := int64(len(b)) > q.Limit
	return Response{Session: "session-1", Status: res.StatusCode, Body: b[:min(int64(len(b)), q.Limit)], Cut: cut}, nil
}

// running runs a plan at a gate, to its end.
func running(t *testing.T, p *Plan, g Gate, o Options) *Run {
	t.Helper()
	r := &Runner{Store: store.NewMemory(), Gate: g, Log: quiet}
	require.NoError(t, Open(t.Context(), r))
	run, err := r.Start(t.Context(), alice, p, o)
	require.NoError(t, err)
	require.Eventually(t, func() bool { run, err = r.Get(t.Context(), run.ID); return err == nil && run.State.Over() }, 30*time.Second, time.Millisecond)
	require.NoError(t, r.Close())
	return run
}

// seenRequest is what a server has got.
type seenRequest struct {
	method, path string
	query, form  url.Values
	header       http.Header
	json         map[string]any
}

// shopServer answers as a shop does, and keeps what it has got.
func shopServer(t *testing.T, status func(n int) int) (at string, got func() []seenRequest) {
	t.Helper()
	var mu sync.Mutex
	var list []seenRequest
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		one := seenRequest{method: r.Method, path: r.URL.Path, query: r.URL.Query(), header: r.Header.Clone()}
		body, _ := io.ReadAll(r.Body) // a test's own
		switch r.Header.Get("Content-Type") {
		case "application/json":
			dec := json.NewDecoder(strings.NewReader(string(body)))
			dec.UseNumber()
			_ = dec.Decode(&one.json) // what is missing is seen
		case "application/x-www-form-urlencoded":
			one.form, _ = url.ParseQuery(string(body))
		}
		mu.Lock()
		list = append(list, one)
		n := len(list)
		mu.Unlock()
		w.WriteHeader(status(n))
		_, _ = io.WriteString(w, `{"order": {"total": 12.50, "paid": true, "note": null, "lines": [{"state": "paid/up"}]}, "key": "`+r.Header.Get("X-Api-Key")+`"}`)
	}))
	t.Cleanup(s.Close)
	return s.URL, func() []seenRequest {
		mu.Lock()
		defer mu.Unlock()
		return list
	}
}

func planAt(t *testing.T, text string, values map[string]any) *Plan {
	t.Helper()
	b, err := Parse([]byte(text))
	require.NoError(t, err)
	p, err := b.Plan(Origin{}, Choice{Values: raws(values)}, apps)
	require.NoError(t, err)
	return p
}

// Requests are sent as they were planned, fields go on to later ones, a repetition has the same key, and secrets are kept from the run.
func TestRequestRun(t *testing.T) {
	at, got := shopServer(t, func(n int) int { return map[int]int{2: 503}[n] + map[bool]int{true: 200}[n != 2] })
	p := planAt(t, asking, map[string]any{"order": 7, "why": "a\nb"})
	g := &wired{testGate: testGate{plan: p}, url: at}
	run := running(t, p, g, Options{})
	require.Equal(t, Done, run.State, run.Message)
	list := got()
	require.Len(t, list, 4)
	require.Equal(t, []string{"a", "b&c"}, list[0].query["tag"])
	require.Equal(t, 2, run.Steps[1].Attempts)
	require.Equal(t, list[1], list[2], "a repetition is the same, with its key")
	key := list[1].header.Get("Idempotency-Key")
	require.True(t, strings.HasPrefix(key, run.ID+"-"), key)
	secret := list[1].header.Get("X-Api-Key")
	require.Len(t, secret, 40)
	require.Equal(t, map[string]any{"total": json.Number("12.50"), "paid": true, "why": "a\nb", "tags": []any{"a", "b&c"}, "key": secret}, list[1].json)
	require.Equal(t, url.Values{"who": {"ann"}, "why": {"a\nb"}, "tag": {"a", "b&c"}}, list[3].form)
	require.Equal(t, "/notes/", list[3].path)
	require.Equal(t, "session-1", run.Steps[0].Session)
	require.Equal(t, 200, run.Steps[0].Status)
	require.Contains(t, run.Steps[0].Output, "paid/up")
	text, err := json.Marshal(run)
	require.NoError(t, err)
	require.NotContains(t, string(text), secret)
}

// What an application does not want is not sent again; what it cannot do now is.
func TestRequestRetry(t *testing.T) {
	for status, want := range map[int]int{400: 1, 401: 1, 404: 1, 409: 1, 422: 1, 408: 3, 425: 3, 429: 3, 500: 3, 503: 3, 202: 1, 302: 3} {
		at, got := shopServer(t, func(n int) int { return map[bool]int{true: 200, false: status}[n == 1] })
		p := planAt(t, asking, map[string]any{"order": 7})
		run := running(t, p, &wired{testGate: testGate{plan: p}, url: at}, Options{})
		require.Equal(t, want, run.Steps[1].Attempts, status)
		require.Equal(t, map[bool]State{true: Done, false: Failed}[status == 202], run.State, "%d: %s", status, run.Message)
		require.GreaterOrEqual(t, len(got()), 1+want, status)
	}
}

// A secret is kept from the run in every form in which an application may say what it has got.
func TestRequestHoldsNoSecret(t *testing.T) {
	text := strings.Replace(asking, "key: {type: secret, generate: 40}", "key: {type: secret, ref: 'file:a&b'}", 1)
	text = text[:strings.Index(text, "\nsteps:")] + `
steps:
  - {id: look, http: {method: POST, path: /a, BODY: {key: $key}}}
`
	for _, body := range []string{"json", "form"} {
		sent := ""
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			b, _ := io.ReadAll(r.Body) // a test's own
			sent = string(b)
			w.WriteHeader(400)
			_, _ = io.WriteString(w, sent)
		}))
		p := planAt(t, strings.Replace(text, "BODY", body, 1), map[string]any{"order": 7})
		run := running(t, p, &wired{testGate: testGate{plan: p}, url: s.URL}, Options{})
		s.Close()
		require.Equal(t, Failed, run.State)
		require.Contains(t, sent, map[string]string{"json": `a\u0026b`, "form": "a%26b"}[body])
		all, err := json.Marshal(run)
		require.NoError(t, err)
		require.Contains(t, run.Message, "<secret>", "the answer is shown, without it")
		require.NotContains(t, string(all), "26b", body)
	}
}

// What is kept of an answer that is too long holds no part of a secret that it was cut within, in any form.
func TestRequestCutHoldsNoSecret(t *testing.T) {
	text := strings.Replace(asking[:strings.Index(asking, "  - id: look")], "outputs: {steps: [look]}", "limits: {output: 500}\noutputs: {steps: [a]}", 1)
	text = strings.Replace(text, "key: {type: secret, generate: 40}", "key: {type: secret, ref: 'file:a&b'}", 1) + "  - {id: a, http: {method: POST, path: /a, json: {key: $key}}}\n"
	for _, form := range []string{"secret of file:a&b", `secret of file:a\u0026b`, "secret%20of%20file%3Aa%26b", "secret+of+file%3Aa%26b"} {
		for cut := 1; cut < len(form); cut++ {
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				_, _ = io.WriteString(w, strings.Repeat("x", 500-cut)+form)
			}))
			p := planAt(t, text, map[string]any{"order": 7})
			run := running(t, p, &wired{testGate: testGate{plan: p}, url: s.URL}, Options{})
			s.Close()
			require.Contains(t, run.Message, "more than 500 bytes")
			require.Equal(t, strings.Repeat("x", 500-cut), run.Steps[0].Output, "%q, cut after %d bytes", form, cut)
		}
	}
}

// Many long values are refused before anything is sent: no server would take so long a head.
func TestRequestHeadIsBounded(t *testing.T) {
	headers := make([]string, 40)
	for i := range headers {
		headers[i] = "X-" + strings.Repeat("a", i+1) + ": $who"
	}
	text := asking[:strings.Index(asking, "outputs:")] + "steps:\n  - {id: a, http: {method: GET, path: /a, headers: {" + strings.Join(headers, ", ") + "}}}\n"
	p := planAt(t, text, map[string]any{"order": 7, "who": strings.Repeat("w", 1000)})
	g := &wired{testGate: testGate{plan: p}}
	run := running(t, p, g, Options{})
	require.Equal(t, Failed, run.State)
	require.Contains(t, run.Message, "want 32768 or less")
	require.Zero(t, g.sent)
}

// A dry run sends what says so, and leaves out what needs more.
func TestRequestDryRun(t *testing.T) {
	at, got := shopServer(t, func(int) int { return 200 })
	p := planAt(t, asking, map[string]any{"order": 7})
	run := running(t, p, &wired{testGate: testGate{plan: p}, url: at}, Options{Dry: true})
	require.Equal(t, Done, run.State, run.Message)
	require.Len(t, got(), 1)
	require.Equal(t, []State{Done, Skipped, Skipped}, []State{run.Steps[0].State, run.Steps[1].State, run.Steps[2].State})

	p = planAt(t, strings.Replace(asking, ", dry_run: send", "", 1)+"  - {id: more, http: {method: GET, path: /x/$look.total, dry_run: send}}\n", map[string]any{"order": 7})
	run = running(t, p, &wired{testGate: testGate{plan: p}, url: at}, Options{Dry: true})
	require.Equal(t, Done, run.State, run.Message)
	require.Len(t, got(), 1, "nothing more was sent")
	require.Contains(t, run.Steps[3].Message, "$look.total is not known then")
}

// What an answer does that it was not to do ends the run.
func TestRequestAnswers(t *testing.T) {
	book := func(rest string) string {
		return strings.Replace(asking[:strings.Index(asking, "  - id: look")], "outputs: {steps: [look]}", "limits: {output: 1000}", 1) + rest
	}
	step := "  - {id: a, http: {method: POST, path: /a, headers: {X-Api-Key: $key}, fields: {x: /x}}}\n  - {id: b, http: {method: POST, path: /b, json: {x: $a.x}}}\n"
	for name, c := range map[string]struct {
		do    func(w http.ResponseWriter, r *http.Request)
		state State
		want  string
		steps string
	}{
		"redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://169.254.169.254/", http.StatusFound)
		}, Failed, "got the status 302, want 2xx", step},
		"status":   {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) }, Failed, "got the status 404", step},
		"too long": {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, strings.Repeat("x", 1001)) }, Failed, "more than 1000 bytes", step},
		"secret, cut": {func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(500)
			_, _ = io.WriteString(w, strings.Repeat("x", 280)+r.Header.Get("X-Api-Key"))
		}, Failed, "got the status 500", step},
		"no JSON":   {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<p>") }, Failed, "is not JSON", step},
		"two texts": {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"x":1}{"x":2}`) }, Failed, "more than one JSON", step},
		"missing":   {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{}`) }, Failed, "nothing at /x", step},
		"object":    {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"x":{}}`) }, Failed, "want one value", step},
		"secret": {func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, `{"x":"`+r.Header.Get("X-Api-Key")+`"}`)
		}, Failed, "holds a secret", step},
		"gone":          {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, Unknown, "not known whether", step},
		"gone, reading": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, Failed, "a:", "  - {id: a, http: {method: GET, path: /a}}\n"},
		"dots later": {
			func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"x":".."}`) }, Failed, "of dots and spaces alone",
			"  - {id: a, http: {method: GET, path: /a, fields: {x: /x}}}\n  - {id: b, http: {method: POST, path: /b/$a.x}}\n",
		},
		"lines later": {
			func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"x":"a\r\nHost: b"}`) }, Failed, "a header's value has characters",
			"  - {id: a, http: {method: GET, path: /a, fields: {x: /x}}}\n  - {id: b, http: {method: POST, path: /b, headers: {X-A: $a.x}}}\n",
		},
		"nothing later": {
			func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"x":null}`) }, Failed, "has no value",
			"  - {id: a, http: {method: GET, path: /a, fields: {x: /x}}}\n  - {id: b, http: {method: DELETE, path: /b, query: {id: $a.x}}}\n",
		},
	} {
		secret := ""
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			secret = or(r.Header.Get("X-Api-Key"), "none")
			c.do(w, r)
		}))
		p := planAt(t, book(c.steps), map[string]any{"order": 1})
		g := &wired{testGate: testGate{plan: p}, url: s.URL}
		run := running(t, p, g, Options{})
		s.Close()
		require.Equal(t, c.state, run.State, "%s: %s", name, run.Message)
		require.Contains(t, run.Message, c.want, name)
		require.Equal(t, 1, g.sent, name)
		require.NotContains(t, run.Message+run.Steps[0].Message, secret[:4], name)
	}
}

// The hostile corpus through paths, queries, headers, forms and JSON: the server sees exactly the value, or nothing is sent.
func TestRequestHostile(t *testing.T) {
	at, got := shopServer(t, func(int) int { return 200 })
	base := strings.Replace(asking[:strings.Index(asking, "outputs:")], "who: {type: string, default: ann}", "who: {type: string, required: true}", 1)
	through := map[string]int{}
	for _, place := range []string{"path", "query", "header", "form", "json"} {
		param := map[string]string{"path": "who", "query": "who", "header": "who", "form": "why", "json": "why"}[place]
		text := base + "steps:\n  - {id: a, http: {" + map[string]string{
			"path":   "method: GET, path: /a/$who/z",
			"query":  "method: GET, path: /a/z, query: {x: $who, y: fixed}",
			"header": "method: GET, path: /a/z, headers: {X-Value: $who, X-Other: fixed}",
			"form":   "method: POST, path: /a/z, form: {x: $why, y: fixed}",
			"json":   "method: POST, path: /a/z, json: {x: $why, y: fixed}",
		}[place] + "}}\n"
		for _, v := range hostile.Values() {
			b, err := Parse([]byte(text))
			require.NoError(t, err)
			values := map[string]any{"order": 1, "who": "ann"}
			values[param] = v
			p, err := b.Plan(Origin{}, Choice{Values: raws(values)}, apps)
			if err != nil {
				continue // it is refused, and nothing is sent
			}
			n := len(got())
			run := running(t, p, &wired{testGate: testGate{plan: p}, url: at}, Options{})
			require.Equal(t, Done, run.State, "%s %q: %s", place, v, run.Message)
			list := got()[n:]
			require.Len(t, list, 1, "%s %q", place, v)
			one := list[0]
			through[place]++
			switch place {
			case "path":
				require.Equal(t, "/a/"+v+"/z", one.path)
				require.Empty(t, one.query)
			case "query":
				require.Equal(t, url.Values{"x": {v}, "y": {"fixed"}}, one.query)
				require.Equal(t, "/a/z", one.path)
			case "header":
				require.Equal(t, []string{v}, one.header["X-Value"])
				require.Equal(t, []string{"fixed"}, one.header["X-Other"])
			case "form":
				require.Equal(t, url.Values{"x": {v}, "y": {"fixed"}}, one.form)
			case "json":
				require.Equal(t, map[string]any{"x": v, "y": "fixed"}, one.json)
			}
		}
	}
	t.Log(through)
	for place, least := range map[string]int{"path": 150, "query": 250, "header": 200, "form": 250, "json": 250} {
		require.Greater(t, through[place], least, place)
	}
}
