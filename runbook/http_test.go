package runbook

import (
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/hostile"
)

const asking = `apiVersion: sallyport/v1
kind: Runbook
metadata: {name: asking}
targets: {app: {types: [web]}}
params:
  order: {type: integer, required: true}
  who: {type: string, default: ann}
  why: {type: text, default: none}
  tags: {type: multi, values: [a, "b&c"], default: "a,b&c"}
  key: {type: secret, generate: 40}
outputs: {steps: [look]}
steps:
  - id: look
    http: {method: GET, path: /orders/$order/by/$who, query: {who: $who, tag: $tags, fixed: "a b"}, fields: {total: /order/total, state: /order/lines/0/state, paid: /order/paid, note: /order/note}, dry_run: send}
  - id: pay
    idempotent: true
    retry: {max: 2, backoff: 1ms}
    http: {method: POST, path: /orders/$order/refunds, headers: {X-Who: $who, X-Api-Key: $key}, json: {total: $look.total, paid: $look.paid, why: $why, tags: $tags, key: $key}, status: [201, 2xx], idempotency_key: Idempotency-Key}
  - id: form
    http: {method: PUT, path: "/notes/", form: {who: $who, why: $why, tag: $tags}}
`

var apps = []Resource{{Name: "shop", Type: "web", Requests: true}}

func TestRequestPlan(t *testing.T) {
	b, err := Parse([]byte(asking))
	require.NoError(t, err)
	p, err := b.Plan(Origin{}, Choice{Values: raws(map[string]any{"order": 7, "who": "a&b=c #é"}), Targets: nil}, apps)
	require.ErrorContains(t, err, "cannot hold '#'")
	require.Nil(t, p)
	p, err = b.Plan(Origin{}, Choice{Values: raws(map[string]any{"order": 7, "who": "a&b=c +é"})}, apps)
	require.ErrorContains(t, err, "other than those of ASCII", "it is in a header, too")
	require.Nil(t, p)
	p, err = b.Plan(Origin{}, Choice{Values: raws(map[string]any{"order": 7, "who": "a&b=c +"})}, apps)
	require.NoError(t, err)
	require.Equal(t, "GET /orders/7/by/a%26b%3Dc%20%2B?who=a%26b%3Dc%20%2B&tag=a&tag=b%26c&fixed=a%20b", p.Steps[0].Text)
	require.False(t, p.Steps[0].Writes)
	require.Equal(t, "POST /orders/7/refunds", p.Steps[1].Text)
	require.True(t, p.Steps[1].Writes)
	require.Equal(t, []string{"X-Who: a&b=c +", "X-Api-Key: <key>", "Idempotency-Key: <the same for every time that the step is tried>"}, p.Steps[1].Args)
	require.Equal(t, "JSON {total: <look.total>, paid: <look.paid>, why: none, tags: a, b&c, key: <key>}", p.Steps[1].Input)
	require.Equal(t, "PUT /notes/", p.Steps[2].Text)
	_, err = b.Plan(Origin{}, Choice{Values: raws(map[string]any{"order": 7})}, []Resource{{Name: "shop", Type: "web"}})
	require.ErrorContains(t, err, "is not a web application")
}

// What a request cannot be made of safely is refused, with what to do.
func TestRequestLint(t *testing.T) {
	with := func(old, text string) string {
		require.Contains(t, asking, old)
		return strings.Replace(asking, old, text, 1)
	}
	for name, c := range map[string][2]string{
		"method":                 {with("method: GET", "method: CONNECT"), "want one of GET"},
		"a whole address":        {with("/orders/$order/by/$who", "https://evil.example/$who"), "want a path"},
		"another host":           {with("/orders/$order/by/$who", "//evil.example/$who"), "read differently"},
		"value in a segment":     {with("/orders/$order/by/$who", "/orders/by-$who"), "a value within a text"},
		"two values":             {with("/orders/$order/by/$who", "/orders/$order$who"), "a value within a text"},
		"template":               {with("/orders/$order/by/$who", `"/orders/{{order}}"`), "a value within a text"},
		"query in the path":      {with("/orders/$order/by/$who", "\"/orders?x=1\""), "read differently"},
		"encoded":                {with("/orders/$order/by/$who", "/orders/%2e%2e/x"), "read differently"},
		"dots":                   {with("/orders/$order/by/$who", "/orders/../x"), "read differently"},
		"a parameter of a path":  {with("/orders/$order/by/$who", `"/orders;x=1"`), "read differently"},
		"the gateway's own":      {with("/orders/$order/by/$who", "/.Gateway/logout"), "the gateway's own"},
		"text in a path":         {with("/orders/$order/by/$who", "/orders/$why"), "the type text"},
		"list in a path":         {with("/orders/$order/by/$who", "/orders/$tags"), "a list is a segment"},
		"secret in a path":       {with("/orders/$order/by/$who", "/orders/$key"), "an address, which is recorded"},
		"secret in a query":      {with("query: {who: $who", "query: {who: $key"), "an address, which is recorded"},
		"name of a query":        {with("query: {who: $who", `query: {"a&b": $who`), "cannot be sent as it is"},
		"value in a name":        {with("query: {who: $who", "query: {$who: x"), "cannot be sent as it is"},
		"host":                   {with("X-Who: $who", "Host: $who"), "the gateway sets or refuses"},
		"cookie":                 {with("X-Who: $who", "cookie: $who"), "the gateway sets or refuses"},
		"length":                 {with("X-Who: $who", `Content-Length: "5"`), "the gateway sets or refuses"},
		"forwarded":              {with("X-Who: $who", "X-Forwarded-For: $who"), "the gateway sets or refuses"},
		"target":                 {with("X-Who: $who", "X-Gateway-Target: $who"), "the gateway sets or refuses"},
		"method override":        {with("X-Who: $who", "X-HTTP-Method-Override: DELETE"), "the gateway sets or refuses"},
		"underscore":             {with("X-Who: $who", "X_Who: $who"), "the gateway sets or refuses"},
		"twice":                  {with("X-Who: $who", "X-Who: $who, x-who: $who"), "is there twice"},
		"list in a header":       {with("X-Who: $who", "X-Who: $tags"), "a list goes into a header"},
		"text in a header":       {with("X-Who: $who", "X-Who: $why"), "the type text"},
		"line in a header":       {with("X-Who: $who", `X-Who: "a\r\nb: c"`), "a header's value has characters"},
		"two bodies":             {with("json: {total", "form: {a: b}, json: {total"), "two bodies"},
		"body of GET":            {with("fields: {total", "json: {a: b}, fields: {total"), "two bodies"},
		"status":                 {with("[201, 2xx]", "[2xy]"), "want a status such as 200"},
		"informational":          {with("[201, 2xx]", "[101]"), "want a status such as 200"},
		"pointer":                {with("/order/total", "order.total"), "a JSON pointer"},
		"no such field":          {with("$look.total", "$look.sum"), "takes no such field"},
		"sent in a dry run":      {with("json: {total", "dry_run: send, json: {total"), "want plan, or send for GET"},
		"two effects":            {with(", idempotency_key: Idempotency-Key", ""), "may have two effects"},
		"key without repetition": {with("form: {who", "idempotency_key: Idempotency-Key, form: {who"), "is not sent again"},
		"key as a header":        {with("X-Who: $who", "Idempotency-Key: $who"), "by idempotency_key"},
		"key that is kept":       {with("idempotency_key: Idempotency-Key", "idempotency_key: Host"), "that nothing else uses"},
		"on":                     {with("targets: {app: {types: [web]}}", "targets: {app: {types: [web]}, b: {types: [web]}}"), "want the name of a group"},
	} {
		_, err := Parse([]byte(c[0]))
		var problems Problems
		require.ErrorAs(t, err, &problems, name)
		require.Contains(t, err.Error(), c[1], name)
		require.Positive(t, problems[0].Line, name)
	}
}

// No value makes another address of one, whatever it holds.
func FuzzAddress(f *testing.F) {
	for _, v := range hostile.Values() {
		f.Add(v)
	}
	b, err := Parse([]byte(asking))
	if err != nil {
		f.Fatal(err)
	}
	x := b.Steps[0].HTTP
	f.Fuzz(func(t *testing.T, v string) {
		path, query, err := x.address(func(w word) ([]string, bool, error) {
			if w.ref == nil {
				return []string{w.text}, true, nil
			}
			return []string{v}, true, nil
		})
		if err != nil {
			return
		}
		u, err := url.ParseRequestURI(path + "?" + query)
		if err != nil || u.Host != "" || u.Path != "/orders/"+v+"/by/"+v || strings.Count(u.EscapedPath(), "/") != 4 || u.Fragment != "" {
			t.Fatalf("%q became %q", v, path+"?"+query)
		}
		got, err := url.ParseQuery(u.RawQuery)
		if err != nil || len(got) != 3 || got.Get("who") != v || got.Get("tag") != v || got.Get("fixed") != "a b" {
			t.Fatalf("%q became %q", v, query)
		}
	})
}
