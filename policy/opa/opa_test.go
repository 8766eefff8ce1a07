package opa

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/types"
	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/proxy/proxytest"
)

// module is one with a decision.
func module(body string) Config {
	return Config{Modules: map[string]string{"policy.rego": "package sallyport\n\n" + body}, Log: slog.New(slog.DiscardHandler)}
}

// create makes a policy that has time, so that a busy machine decides nothing.
func create(t testing.TB, c Config) *Policy {
	t.Helper()
	p, err := New(c)
	require.NoError(t, err)
	require.Equal(t, defaultTimeout, p.timeout)
	p.timeout = time.Minute
	return p
}

// judge opens a session under p and asks about op.
func judge(t testing.TB, p *Policy, op proxy.Op) proxy.Verdict {
	t.Helper()
	h, err := p.Intercept(t.Context(), session)
	require.NoError(t, err)
	return h.Ask(t.Context(), op)
}

func reading(e proxy.Effects) *proxy.Statement { return proxytest.Statement("SELECT 1", e) }

const readers = `
default decision := {"allow": false, "reason": "only reading is allowed", "rule": "readers", "remedy": "Read."}
decision := {"allow": true, "rule": "readers"} if input.operation.kind == "connect"
decision := {"allow": true} if {
	input.operation.statement.effects == ["read"]
	"dev" in input.identity.groups
	input.resource.labels.env == "prod"
}
`

func TestConformance(t *testing.T) {
	proxytest.TestInterceptor(t, func(t *testing.T) proxy.Interceptor { return create(t, module(readers)) })
}

func TestDecides(t *testing.T) {
	connect := &proxy.Connect{Meta: proxy.Meta{Kind: proxy.KindConnect}}
	p := create(t, module(readers))
	require.Equal(t, proxy.ActionPass, judge(t, p, connect).Action) // it allows nothing by itself
	require.Equal(t, proxy.ActionPass, judge(t, p, reading(proxy.EffectRead)).Action)
	v := judge(t, p, reading(proxy.EffectDelete))
	require.Equal(t, proxy.Deny(proxy.CausePolicy, "readers", "only reading is allowed", "Read."), v)
	c := module(readers)
	c.Decides = true
	require.Equal(t, proxy.Allow("readers"), judge(t, create(t, c), connect))
	require.Equal(t, proxy.ActionPass, judge(t, create(t, c), reading(proxy.EffectRead)).Action)
}

func TestReview(t *testing.T) {
	v := judge(t, create(t, module(`decision := {"allow": true, "rule": "eyes", "review": {"approvers": ["dba", "leads"], "message": "two see more", "for": "15m", "in_transaction": "30s"}}`)), reading(proxy.EffectRead))
	require.Equal(t, proxy.ActionHold, v.Action)
	require.Equal(t, &proxy.Hold{Rules: []string{"eyes"}, Approvers: [][]string{{"dba", "leads"}}, Message: "two see more", For: 15 * time.Minute, InTransaction: 30 * time.Second}, v.Hold)
	v = judge(t, create(t, module(`decision := {"allow": true, "review": {"approvers": ["dba"]}}`)), reading(proxy.EffectRead))
	require.Equal(t, time.Hour, v.Hold.For)
	require.Equal(t, []string{"opa"}, v.Hold.Rules)
	v = judge(t, create(t, module(`decision := {"allow": false, "review": {"approvers": ["dba"]}}`)), reading(proxy.EffectRead))
	require.Equal(t, proxy.ActionDeny, v.Action)
}

// TestAttack58: an engine that fails denies.
func TestAttack58EngineFailures(t *testing.T) {
	for _, c := range []struct{ name, body, want string }{
		{"undefined", `decision := {"allow": true} if input.operation.kind == "shell"`, "it says nothing about this operation"},
		{"a member is undefined", `decision := {"allow": nothing}
			nothing if input.operation.kind == "shell"`, "it says nothing"},
		{"conflict", `decision := {"allow": true} if true
			decision := {"allow": false} if true`, "it failed"},
		{"error of a function", `decision := {"allow": to_number(input.identity.subject) == 1}`, "it failed"},
		{"division by zero", `decision := {"allow": 1 / count(input.identity.claims) == 1}`, "it failed"},
		{"boolean alone", `decision := true`, "got a boolean, want an object"},
		{"list", `decision := ["allow"]`, "got a list"},
		{"null", `decision := null`, "got a null"},
		{"set", `decision contains "allow" if true`, "got a list"},
		{"without allow", `decision := {"rule": "x"}`, "it does not have allow"},
		{"allow is a string", `decision := {"allow": "true"}`, "allow is a string, want a boolean"},
		{"allow is a number", `decision := {"allow": 1}`, "allow is a number"},
		{"allow is null", `decision := {"allow": null}`, "allow is a null"},
		{"reason is a number", `decision := {"allow": true, "reason": 1}`, "reason is a number"},
		{"a member that nobody knows", `decision := {"allow": true, "mask": "all"}`, `"mask" is not one of`},
		{"review without approvers", `decision := {"allow": true, "review": {}}`, "no approvers"},
		{"review of nobody", `decision := {"allow": true, "review": {"approvers": [""]}}`, "not names of groups"},
		{"review is a boolean", `decision := {"allow": true, "review": true}`, "review is a boolean"},
		{"review for ever", `decision := {"allow": true, "review": {"approvers": ["dba"], "for": "ever"}}`, "review.for is not a time"},
		{"review for a negative time", `decision := {"allow": true, "review": {"approvers": ["dba"], "for": "-1h"}}`, "review.for is not a time"},
		{"review for ever in a transaction", `decision := {"allow": true, "review": {"approvers": ["dba"], "in_transaction": "0s"}}`, "review.in_transaction is not a time"},
		{"review with more", `decision := {"allow": true, "review": {"approvers": ["dba"], "votes": "2"}}`, "review.votes"},
		{"for ever", `decision := {"allow": true} if { some x in numbers.range(1, 4000); some y in numbers.range(1, 4000); x * y < 0 }`, "it took too long"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := create(t, module(c.body))
			if c.name == "for ever" {
				p.timeout = defaultTimeout
			}
			for range 2 { // it is not remembered either
				v := judge(t, p, reading(proxy.EffectRead))
				require.Equal(t, proxy.ActionDeny, v.Action)
				require.Equal(t, proxy.CauseInternal, v.Cause)
				require.Contains(t, v.Reason, "the policy did not decide, so this is refused: ")
				require.Contains(t, v.Reason, c.want)
			}
		})
	}
}

// special returns a policy that calls a function which no policy may.
func special(t *testing.T, log *slog.Logger, f rego.BuiltinDyn) *Policy {
	p := create(t, module("decision := {\"allow\": true}"))
	p.log = log
	var err error
	p.query, err = rego.New(
		rego.Query("data.sallyport.decision"), rego.Store(p.store), rego.Module("special.rego", "package sallyport\ndecision := {\"allow\": special()}"),
		rego.FunctionDyn(&rego.Function{Name: "special", Decl: types.NewFunction(types.Args(), types.B)}, f),
	).PrepareForEval(t.Context())
	require.NoError(t, err)
	return p
}

// TestAttack58Panic: a panic in the engine denies, and what it says is nowhere.
func TestAttack58Panic(t *testing.T) {
	var out bytes.Buffer
	p := special(t, slog.New(slog.NewTextHandler(&out, nil)), func(rego.BuiltinContext, []*ast.Term) (*ast.Term, error) { panic("hunter2") })
	v := judge(t, p, reading(proxy.EffectRead))
	require.True(t, v.Refuses())
	require.Contains(t, v.Reason, "it broke")
	require.Contains(t, out.String(), "it broke")
	require.NotContains(t, out.String()+v.Reason, "hunter2")
}

// TestAttack58Stuck: what does not notice that its time is over is not waited for, and what comes
// after it is refused in time, too, when all places are taken.
func TestAttack58Stuck(t *testing.T) {
	wakeUp := make(chan struct{})
	p := special(t, slog.New(slog.DiscardHandler), func(rego.BuiltinContext, []*ast.Term) (*ast.Term, error) {
		<-wakeUp
		return ast.InternedTerm(true), nil
	})
	p.running, p.timeout = make(chan struct{}, 1), defaultTimeout
	for range 2 {
		begun := time.Now()
		v := judge(t, p, reading(proxy.EffectRead))
		require.Contains(t, v.Reason, "it took too long")
		require.Less(t, time.Since(begun), 10*time.Second)
	}
	close(wakeUp)
	p.running <- struct{}{} // the one that went on has made room
}

// TestErrorsHoldNoData holds that what the engine says of values reaches nobody but the author.
func TestErrorsHoldNoData(t *testing.T) {
	var out bytes.Buffer
	c := module(`decision := {"allow": to_number(input.operation.statement.text) == 1}`)
	c.Log = slog.New(slog.NewTextHandler(&out, nil))
	p := create(t, c)
	op := proxytest.Statement("hunter2", proxy.EffectRead)
	v := judge(t, p, op)
	require.NotContains(t, out.String()+v.Reason, "hunter2")
	require.Contains(t, out.String(), "eval_builtin_error at policy.rego:3")
	require.ErrorContains(t, p.Explain(t.Context(), session, op).Err, "policy.rego:3")
}

func TestNewRefuses(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"syntax", "package sallyport\n\ndecision := {", "a.rego:3"},
		{"Rego of before", "package sallyport\ndecision = true { true }", "a.rego:2"},
		{"an unknown function", "package sallyport\ndecision := f(1)", "a.rego:2: rego_type_error: undefined function f"},
		{"http.send", "package sallyport\n\ndecision := http.send({})", "a.rego:3: rego_type_error: undefined function http.send"},
		{"opa.runtime", "package sallyport\ndecision := opa.runtime()", "undefined function opa.runtime"},
		{"the clock", "package sallyport\ndecision := time.now_ns()", "undefined function time.now_ns"},
		{"chance", "package sallyport\ndecision := rand.intn(\"a\", 1)", "undefined function rand.intn"},
		{"a name's address", "package sallyport\ndecision := net.lookup_ip_addr(\"a\")", "undefined function net.lookup_ip_addr"},
		{"a remote schema", "package sallyport\ndecision := json.match_schema({}, {})", "undefined function json.match_schema"},
		{"certificates, by the clock", "package sallyport\ndecision := crypto.x509.parse_and_verify_certificates(\"\")", "undefined function"},
		{"tokens, by the clock", "package sallyport\ndecision := io.jwt.decode_verify(\"\", {})", "undefined function"},
		{"a signed request", "package sallyport\ndecision := providers.aws.sign_req({}, {}, 1)", "undefined function"},
		{"input that there is not", "package sallyport\ndecision := input.identiy.subject", "a.rego:2: rego_type_error: undefined ref: input.identiy.subject"},
		{"a member that there is not", "package sallyport\ndecision := input.operation.statement.effect", "undefined ref"},
		{"no decision", "package sallyport\nallow := true", "no module has the rule data.sallyport.decision"},
		{"another package", "package other\ndecision := true", "no module has the rule data.sallyport.decision"},
		{"an unsafe variable", "package sallyport\ndecision := x", "a.rego:2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := New(Config{Modules: map[string]string{"a.rego": c.text}})
			require.ErrorContains(t, err, c.want)
		})
	}
	for want, change := range map[string]func(*Config){
		"want up to 1s":            func(c *Config) { c.Timeout = time.Hour },
		"cannot take -1":           func(c *Config) { c.Timeout = -1 },
		`"http.send" cannot be`:    func(c *Config) { c.Volatile = []string{"http.send"} },
		"is not a path such as":    func(c *Config) { c.Decision = "input.x" },
		"no such file":             func(c *Config) { c.Dirs = []string{"/nowhere"} },
		"no key to verify it with": func(c *Config) { c.Bundles = []Bundle{{Name: "b"}} },
	} {
		c := module(readers)
		change(&c)
		_, err := New(c)
		require.ErrorContains(t, err, want)
	}
}

// TestEveryHarmlessFunctionIsThere holds that the list names what this OPA has, and nothing
// that it counts as nondeterministic.
func TestEveryHarmlessFunctionIsThere(t *testing.T) {
	known := make(map[string]*ast.Builtin)
	for _, b := range ast.CapabilitiesForThisVersion().Builtins {
		known[b.Name] = b
	}
	for _, name := range strings.Fields(harmless) {
		require.Contains(t, known, name)
		require.False(t, known[name].IsNondeterministic(), name)
	}
	for _, name := range volatile {
		require.True(t, known[name].IsNondeterministic(), name)
	}
}

func TestReads(t *testing.T) {
	all := Reads{Time: true, Login: true, Source: true, Params: true, Arguments: true}
	for _, c := range []struct {
		name, body string
		want       Reads
	}{
		{"nothing", `decision := true`, Reads{}},
		{"what is the same", `decision := input.identity.subject == input.resource.labels[input.operation.kind]`, Reads{}},
		{"effects", `decision if "read" in input.operation.statement.effects`, Reads{}},
		{"each effect", `decision if { some e in input.operation.statement.effects; e == "read" }`, Reads{}},
		{"every relation", `decision if { every r in input.operation.statement.relations { r.name == "a" } }`, Reads{}},
		{"the time", `decision := time.weekday(input.time.now_ns)`, Reads{Time: true}},
		{"time as a whole", `decision := input.time`, Reads{Time: true}},
		{"the login", `decision := input.identity.login_ns`, Reads{Login: true}},
		{"the identity as a whole", `decision := input.identity`, Reads{Login: true}},
		{"a member of the identity that is not known", `decision := input.identity[input.operation.kind]`, Reads{Login: true}},
		{"the source", `decision := net.cidr_contains("10.0.0.0/8", input.source.address)`, Reads{Source: true}},
		{"the text", `decision := contains(input.operation.statement.text, "a")`, Reads{Arguments: true}},
		{"arguments", `decision := input.operation.statement.args[0]`, Reads{Arguments: true}},
		{"any member of the statement", `decision if { some k; input.operation.statement[k] == "a" }`, Reads{Arguments: true}},
		{"a member by a name that is computed", `k := concat("", ["te", "xt"])
			decision := input.operation.statement[k]`, Reads{Arguments: true}},
		{"the operation as a whole", `decision := json.marshal(input.operation)`, Reads{Params: true, Arguments: true}},
		{"a parameter of the login", `decision := input.operation.connect.params.application_name`, Reads{Params: true}},
		{"input as a whole", `decision := json.marshal(input)`, all},
		{"input by another name", `decision := x.kind if { y := input; x := y.operation }`, all},
		{"input as an argument", `f(x) := x.time
			decision := f(input)`, all},
		{"any member of input", `decision if { some k; input[k] == 1 }`, all},
		{"walk", `decision if { walk(input, [_, "a"]) }`, all},
		{"object.get", `decision := object.get(input, ["time", "now_ns"], 0)`, all},
		{"in a comprehension", `decision := {x | x := input.time.now_ns}`, Reads{Time: true}},
		{"in an index", `decision := input.resource.labels[input.operation.statement.text]`, Reads{Arguments: true}},
		{"in an index of something else", `m := {1: 2}
			decision := m[input.time.now_ns]`, Reads{Time: true}},
		{"in a template", `decision := $"{input.source.address}"`, Reads{Source: true}},
		{"in a default of a function", `f(x) := input.source.address if x
			decision := f(true)`, Reads{Source: true}},
		{"in a rule that nobody asks", `decision := true
			other := input.time.now_ns`, Reads{Time: true}},
		{"in a head", `decision := true
			p[input.identity.login_ns] := 1`, Reads{Login: true}},
		{"in another's place", `decision := d if d := true with input.time.now_ns as 1
			e := input.resource.name`, Reads{Time: true}},
		{"in an else", `decision := 1 if input.resource.name == "x" else := input.time.now_ns`, Reads{Time: true}},
		{"negated", `decision if not input.source.address`, Reads{Source: true}},
	} {
		t.Run(c.name, func(t *testing.T) { require.Equal(t, c.want, create(t, module(c.body)).Reads()) })
	}
	c := module(`decision := time.now_ns()`)
	c.Volatile = []string{"time.now_ns"}
	require.Equal(t, Reads{Chance: true}, create(t, c).Reads())
}

// TestMemory holds that a decision is remembered for those alone who are alike in all that the
// policy reads: each policy decides by one thing that changes from one question to the next.
func TestMemory(t *testing.T) {
	var now atomic.Int64
	now.Store(1000e9)
	g := &proxy.Gateway{Now: func() time.Time { return time.Unix(0, now.Load()) }}
	open := func(p *Policy, change func(*proxy.OpenRequest)) *proxy.Session {
		t.Helper()
		r := proxy.OpenRequest{
			Identity: &proxy.Identity{Subject: "alice", Groups: []string{"dev"}, AuthTime: time.Unix(900, 0)},
			Target:   proxy.Target{Resource: &proxy.Resource{Name: "shop", Labels: map[string]string{"env": "test"}}}, Remote: &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 1},
		}
		if change != nil {
			change(&r)
		}
		require.NoError(t, g.Use(&proxy.Revision{Interceptors: []proxy.Interceptor{proxytest.Allow{}, p}}))
		s, op, err := g.Open(t.Context(), r)
		require.NoError(t, err)
		s.Done(op, &proxy.Outcome{})
		t.Cleanup(func() { s.Close(nil) })
		return s
	}
	facts := &proxy.Facts{Dialect: "postgres", Statements: 1, Effects: proxy.EffectRead}
	ask := func(s *proxy.Session, arg string) bool {
		op := &proxy.Statement{Meta: proxy.Meta{Kind: proxy.KindStatement}, Facts: facts, Args: []proxy.Arg{{Value: []byte(arg)}}}
		v := s.Ask(t.Context(), op)
		s.Done(op, &proxy.Outcome{})
		return !v.Refuses()
	}
	when := func(condition string) *Policy {
		return create(t, module(`default decision := {"allow": false}
			decision := {"allow": true} if input.operation.kind == "connect"
			decision := {"allow": true} if { input.operation.kind != "connect"; `+condition+` }`))
	}
	remembered := func(p *Policy) int { return len(p.memory.made) }

	p := when(`"read" in input.operation.statement.effects`)
	s := open(p, nil)
	require.True(t, ask(s, "a"))
	require.True(t, ask(s, "b"))
	require.True(t, ask(open(p, nil), "a"))
	require.Equal(t, 1, remembered(p))
	require.False(t, p.Reads().Arguments)

	p = when(`input.operation.statement.args[0] == "a"`)
	s = open(p, nil)
	require.True(t, ask(s, "a"))
	require.False(t, ask(s, "b"))
	require.Zero(t, remembered(p))

	p = when(`input.time.now_ns < 1001000000000`)
	s = open(p, nil)
	require.True(t, ask(s, "a"))
	now.Add(int64(999 * time.Millisecond))
	require.True(t, ask(s, "a"))
	require.Equal(t, 1, remembered(p))
	now.Add(int64(time.Millisecond))
	require.False(t, ask(s, "a"))
	now.Store(1000e9)

	p = when(`input.identity.login_ns == 900000000000`)
	require.True(t, ask(open(p, nil), "a"))
	require.False(t, ask(open(p, func(r *proxy.OpenRequest) { r.Identity.AuthTime = time.Unix(1, 0) }), "a"))

	p = when(`input.source.address == "10.0.0.1"`)
	require.True(t, ask(open(p, nil), "a"))
	require.False(t, ask(open(p, func(r *proxy.OpenRequest) { r.Remote = &net.TCPAddr{IP: net.IPv4(10, 0, 0, 2)} }), "a"))

	p = when(`"dev" in input.identity.groups; input.resource.labels.env == "test"`)
	require.True(t, ask(open(p, nil), "a"))
	require.False(t, ask(open(p, func(r *proxy.OpenRequest) { r.Identity.Groups = nil }), "a"))
	require.False(t, ask(open(p, func(r *proxy.OpenRequest) { r.Target.Resource.Labels = nil }), "a"))
	require.True(t, ask(open(p, nil), "a"))

	p = when(`input.operation.kind == "statement"`)
	s = open(p, nil)
	require.True(t, ask(s, "a"))
	prepare := &proxy.Statement{Meta: proxy.Meta{Kind: proxy.KindPrepare}, Facts: facts}
	require.True(t, s.Ask(t.Context(), prepare).Refuses())
}

// TestMemoryIsBounded holds that questions cannot fill memory.
func TestMemoryIsBounded(t *testing.T) {
	var m memory
	numbers := make(map[uint64]bool)
	for i := range maxAlike + 2 {
		n, err := m.of(Input{Identity: Identity{Subject: fmt.Sprint(i)}}, Reads{})
		require.NoError(t, err)
		require.False(t, numbers[n])
		numbers[n] = true
	}
	require.LessOrEqual(t, len(m.alike), maxAlike)
	for range maxMade + 2 {
		m.put(question{facts: &proxy.Facts{}}, proxy.Pass())
	}
	require.LessOrEqual(t, len(m.made), maxMade)
}

// TestAttack59: a new revision judges the next statement of an open session, and no question
// is answered by parts of two revisions.
func TestAttack59ReloadInMidSession(t *testing.T) {
	revision := func(n int) *Policy {
		c := module(`decision := {"allow": true} if input.operation.kind == "connect"
			decision := {"allow": false, "rule": sprintf("%d", [data.n]), "reason": sprintf("%d", [data.n])} if input.operation.kind != "connect"`)
		c.Data = map[string]any{"n": json.Number(fmt.Sprint(n))}
		return create(t, c)
	}
	require.Equal(t, revision(1).Revision(), revision(1).Revision())
	require.NotEqual(t, revision(1).Revision(), revision(2).Revision())
	g := &proxy.Gateway{Unrecorded: true, Log: slog.New(slog.DiscardHandler)}
	use := func(n int) {
		require.NoError(t, g.Use(&proxy.Revision{Interceptors: []proxy.Interceptor{proxytest.Allow{}, revision(n)}}))
	}
	use(0)
	s, op, err := g.Open(t.Context(), proxy.OpenRequest{Identity: session.Identity, Target: session.Target})
	require.NoError(t, err)
	defer s.Close(nil)
	s.Done(op, &proxy.Outcome{})
	facts := &proxy.Facts{Statements: 1, Effects: proxy.EffectRead}
	ask := func() *proxy.Verdict {
		return s.Ask(context.Background(), &proxy.Statement{Meta: proxy.Meta{Kind: proxy.KindStatement}, Facts: facts})
	}
	stop := make(chan struct{})
	torn := make(chan string, 1)
	go func() {
		defer close(torn)
		for {
			select {
			case <-stop:
				return
			default:
			}
			if v := ask(); v.Rule != v.Reason || v.Cause != proxy.CausePolicy {
				torn <- v.Message()
				return
			}
		}
	}()
	for n := 1; n <= 20; n++ {
		use(n)
		require.Equal(t, fmt.Sprint(n), ask().Rule)
	}
	close(stop)
	require.Empty(t, <-torn)
}

func TestExplain(t *testing.T) {
	p := create(t, module(readers))
	e := p.Explain(t.Context(), session, reading(proxy.EffectDelete))
	require.NoError(t, e.Err)
	require.Equal(t, "readers", e.Verdict.Rule)
	require.Equal(t, []string{"delete"}, e.Input.Operation.Statement.Effects)
	require.Contains(t, e.Trace, "policy.rego:5")
	require.Contains(t, e.Trace, "Fail")
	e = create(t, module(`decision := true if false`)).Explain(t.Context(), session, reading(proxy.EffectRead))
	require.Nil(t, e.Result)
	require.True(t, e.Verdict.Refuses())
	require.ErrorIs(t, e.Err, errUndefined)
}

// Policies decide by all names of a request, and by where in a resource a command runs.
func TestPoliciesSeeAlsoAndTarget(t *testing.T) {
	p := create(t, module(`forbidden if "scale-to-zero" in input.operation.request.also
		forbidden if startswith(input.operation.exec.target, "prod/")
		decision := {"allow": true} if not forbidden
		decision := {"allow": false} if forbidden`))
	for _, c := range []struct {
		op      proxy.Op
		refused bool
	}{
		{&proxy.Request{Meta: proxy.Meta{Kind: proxy.KindRequest}, Action: "deployments.apps/scale:patch", Also: []string{"x", "scale-to-zero"}}, true},
		{&proxy.Request{Meta: proxy.Meta{Kind: proxy.KindRequest}, Action: "deployments.apps/scale:patch"}, false},
		{&proxy.Exec{Meta: proxy.Meta{Kind: proxy.KindExec}, Command: "sh", Target: "prod/shop-0/app"}, true},
		{&proxy.Exec{Meta: proxy.Meta{Kind: proxy.KindExec}, Command: "sh", Target: "test/shop-0/app"}, false},
		{&proxy.Exec{Meta: proxy.Meta{Kind: proxy.KindExec}, Command: "sh"}, false},
	} {
		e := p.Explain(t.Context(), session, c.op)
		require.NoError(t, e.Err)
		require.Equal(t, c.refused, e.Verdict.Refuses(), "%+v", e.Input.Operation)
	}
}

func write(t *testing.T, dir, file, text string) {
	t.Helper()
	file = filepath.Join(dir, file)
	require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o700))
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
}

func TestDirectory(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "main.rego", "package sallyport\nimport data.teams.members\ndecision := {\"allow\": input.identity.subject in members}")
	write(t, dir, "teams/data.yaml", "members: [alice]")
	write(t, dir, "data.json", `{"unused": 1}`)
	write(t, dir, ".git/main.rego", "package sallyport\ndecision := {")
	write(t, dir, "README.md", "not a module")
	write(t, dir, "main_test.rego", `package sallyport_test
import data.sallyport
test_alice if sallyport.decision.allow with input.identity.subject as "alice"
test_bob if not sallyport.decision.allow with input.identity.subject as "bob"
test_wrong if sallyport.decision.allow with input.identity.subject as "eve"
todo_test_later if false
test_breaks if to_number("x") == 1`)
	c := Config{Dirs: []string{dir}}
	require.Equal(t, proxy.ActionPass, judge(t, create(t, c), reading(proxy.EffectRead)).Action)

	results, err := Test(t.Context(), c)
	require.NoError(t, err)
	got := make(map[string]string)
	for _, r := range results {
		got[r.Name] = fmt.Sprintf("%v %v %v %s:%d", r.Passed, r.Skipped, r.Err != nil, filepath.Base(r.File), r.Line)
	}
	require.Equal(t, map[string]string{
		"data.sallyport_test.test_alice":      "true false false main_test.rego:3",
		"data.sallyport_test.test_bob":        "true false false main_test.rego:4",
		"data.sallyport_test.test_wrong":      "false false false main_test.rego:5",
		"data.sallyport_test.todo_test_later": "false true false main_test.rego:6",
		"data.sallyport_test.test_breaks":     "false false true main_test.rego:7",
	}, got)

	write(t, dir, "broken/a.rego", "package broken\n\nx := {")
	_, err = New(c)
	require.ErrorContains(t, err, filepath.Join(dir, "broken/a.rego")+":3")
	require.NoError(t, os.RemoveAll(filepath.Join(dir, "broken")))
	write(t, dir, "data.yaml", "teams: {members: [eve]}")
	_, err = New(c)
	require.ErrorContains(t, err, "data.teams.members is given twice")
	require.NoError(t, os.Remove(filepath.Join(dir, "data.yaml")))
	outside := t.TempDir()
	write(t, outside, "a.rego", "package outside")
	require.NoError(t, os.Symlink(filepath.Join(outside, "a.rego"), filepath.Join(dir, "link.rego")))
	_, err = New(c)
	require.ErrorContains(t, err, "escapes")
}

func TestTestsUseWhatThePolicyMay(t *testing.T) {
	c := module(readers)
	c.Modules["a_test.rego"] = "package a_test\n\ntest_net if http.send({\"url\": \"http://127.0.0.1\", \"method\": \"get\"})"
	_, err := Test(t.Context(), c)
	require.ErrorContains(t, err, "a_test.rego:3: rego_type_error: undefined function http.send")
}

// TestFoldersAreBounded: a folder that is not one of policies, such as the root of everything, is not
// read for ever.
func TestFoldersAreBounded(t *testing.T) {
	many := t.TempDir()
	for i := range maxNames {
		require.NoError(t, os.WriteFile(filepath.Join(many, fmt.Sprint(i)), nil, 0o600))
	}
	_, err := New(Config{Dirs: []string{many}})
	require.ErrorContains(t, err, "it has more than 4096 files and folders: give policies a folder of their own")
	large := t.TempDir()
	for i := range maxFolder/maxFile + 1 {
		file := filepath.Join(large, fmt.Sprint(i), "data.json")
		require.NoError(t, os.Mkdir(filepath.Dir(file), 0o700))
		require.NoError(t, os.WriteFile(file, append([]byte("{}"), bytes.Repeat([]byte(" "), maxFile-2)...), 0o600))
	}
	_, err = New(Config{Dirs: []string{large}})
	require.ErrorContains(t, err, "its files have more than 67108864 bytes")
}
