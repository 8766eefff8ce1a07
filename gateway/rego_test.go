package gateway

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/gateway/config"
	"github.com/sallyport/sallyport/gateway/rego"
	"github.com/sallyport/sallyport/proxy"
)

// write writes a file of a policy in Rego in the house's folder.
func (h *house) write(t *testing.T, name, text string) {
	t.Helper()
	file := filepath.Join(h.dir, name)
	require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o700))
	require.NoError(t, os.WriteFile(file+".new", []byte(text), 0o600))
	require.NoError(t, os.Rename(file+".new", file))
}

// openRego runs a gateway with access rules and a policy in Rego, of one file.
func openRego(t *testing.T, text, sections string) *policed {
	t.Helper()
	dir := t.TempDir()
	(&house{dir: dir}).write(t, "policies/access.rego", text)
	return openPoliced(t, dir, nil, "policy: {opa: {dirs: [policies], timeout: 1s}}\n"+sections)
}

const allowsAll = `masking: [{use: off}]
access: [{name: all, groups: [dev, dba], allow: [all]}]
`

// TestRegoInALiveSession: a policy decides by effect, group, label and time in a session of psql.
// When its files change, the session is judged by what they say then; when they are broken,
// nothing changes.
func TestRegoInALiveSession(t *testing.T) {
	const deletes = `package sallyport

default decision := {"allow": true}

decision := {"allow": false, "rule": "deletes", "reason": "rows are deleted by members of dba"} if {
	"delete" in input.operation.statement.effects
	not "dba" in input.identity.groups
	input.resource.labels.env == "prod"
}
`
	p := openRego(t, deletes, allowsAll)
	alice, bob := p.psql(t, "alice"), p.psql(t, "bob")
	require.Contains(t, alice.ask("DELETE FROM orders WHERE id = 1;"), "ERROR:  rows are deleted by members of dba (rule deletes)")
	require.Empty(t, alice.ask("INSERT INTO orders VALUES (201, 'new');"))
	require.Empty(t, bob.ask("DELETE FROM orders WHERE id = 1;"))

	used := func(do func()) { // waits until the gateway has noticed the change by itself
		before := strings.Count(p.log.String(), "the config file is used as it is now")
		do()
		require.Eventually(t, func() bool { return strings.Count(p.log.String(), "the config file is used as it is now") > before }, 60*time.Second, 5*time.Millisecond)
	}
	used(func() {
		p.write(t, "policies/access.rego", strings.ReplaceAll(strings.ReplaceAll(deletes, `"delete"`, `"insert"`), "deleted", "added"))
	})
	require.Contains(t, alice.ask("INSERT INTO orders VALUES (202, 'new');"), "ERROR:  rows are added by members of dba (rule deletes)")
	require.Empty(t, alice.ask("DELETE FROM orders WHERE id = 2;"))

	revision := p.Proxy().Revision()
	p.write(t, "policies/access.rego", deletes+"\ndecision := http.send({})\n")
	p.logs(t, "the config file cannot be used")
	p.logs(t, "access.rego:11: rego_type_error: undefined function http.send")
	require.Same(t, revision, p.Proxy().Revision())
	require.Contains(t, alice.ask("INSERT INTO orders VALUES (203, 'new');"), "rows are added by members of dba")

	used(func() {
		p.write(t, "policies/hours/data.json", fmt.Sprintf(`{"end_ns": %d}`, time.Now().Add(15*time.Second).UnixNano()))
		p.write(t, "policies/access.rego", `package sallyport

default decision := {"allow": true}

decision := {"allow": false, "rule": "hours", "reason": "it is late"} if {
	input.operation.kind == "statement"
	input.time.now_ns >= data.hours.end_ns
}
`)
	})
	require.Empty(t, alice.ask("INSERT INTO orders VALUES (204, 'new');"))
	require.Eventually(t, func() bool {
		return strings.Contains(alice.ask("SELECT 'still';"), "ERROR:  it is late (rule hours)")
	}, 60*time.Second, 50*time.Millisecond, "time passes in a session")
	require.Contains(t, bob.ask("SELECT 1;"), "it is late")
	require.NoError(t, p.stop())
	revised := map[string]bool{}
	for _, e := range p.records(t)[p.session(t, "alice", "shop").ID] {
		if e.Type == audit.SessionRevised {
			revised[e.Policy] = true
		}
	}
	require.Len(t, revised, 2, "the record says by which revision of the policy the session was judged")

	// By the first policy again, what is on record would be answered otherwise.
	p.write(t, "policies/access.rego", deletes)
	f, err := Load(p.parts().config.Name(), config.Options{Rego: rego.Engine{}})
	require.NoError(t, err)
	x, err := NewExplainer(f, Options{Log: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	defer x.Close()
	archive, err := audit.OpenArchive(filepath.Join(p.dir, "data", "audit"))
	require.NoError(t, err)
	replayed, err := x.Replay(t.Context(), archive, time.Time{})
	require.NoError(t, err)
	require.Equal(t, 1, replayed.Denied.Total)
	require.Equal(t, "DELETE FROM orders WHERE id = 2;", replayed.Denied.Examples[0].Text)
	require.GreaterOrEqual(t, replayed.Allowed.Total, 3, "what was added, and what was late")
}

// TestRegoDecidesAlone: with decides, a policy takes the place of access rules.
func TestRegoDecidesAlone(t *testing.T) {
	dir := t.TempDir()
	(&house{dir: dir}).write(t, "policies/access.rego", `package sallyport

default decision := {"allow": false, "reason": "only dba is here"}

decision := {"allow": true, "rule": "dba"} if "dba" in input.identity.groups
`)
	p := openPoliced(t, dir, nil, "masking: [{use: off}]\npolicy: {opa: {dirs: [policies], decides: true, timeout: 1s}}\n")
	require.Equal(t, "1", p.psql(t, "bob").ask("SELECT 1;"))
	p.psql(t, "alice").says(`FATAL:  no such resource, or you may not use it: "shop"`)
	target, err := p.Target("shop", "", "")
	require.NoError(t, err)
	for user, may := range map[string]bool{"alice": false, "bob": true} {
		id, err := p.User(user)
		require.NoError(t, err)
		require.Equal(t, may, p.parts().may(t.Context(), id, target))
	}
	// With access rules, both must agree.
	p.rewrite(t, "masking: [{use: off}]\npolicy: {opa: {dirs: [policies], decides: true, timeout: 1s}}\naccess: [{groups: [dev], allow: [connect, read]}]\n")
	p.psql(t, "bob").says(`FATAL:  no such resource, or you may not use it: "shop"`)
	p.psql(t, "alice").says(`FATAL:  no such resource, or you may not use it: "shop"`)
}

// TestRegoThatDoesNotDecide: errors, undefined answers and timeouts refuse, and the user is told
// which it was.
func TestRegoThatDoesNotDecide(t *testing.T) {
	p := openRego(t, `package sallyport

decision := {"allow": true} if not input.operation.statement

decision := {"allow": true} if startswith(input.operation.statement.normalised, "select id")

decision := {"allow": true} if {
	startswith(input.operation.statement.normalised, "select customer")
	count([1 | some a in numbers.range(1, 3000); some b in numbers.range(1, 3000); a == b]) > 0
}

decision := {"allow": true, "rule": x} if {
	startswith(input.operation.statement.normalised, "delete")
	some x in ["a", "b"]
}
`, allowsAll)
	s := p.psql(t, "alice")
	require.Equal(t, "7", s.ask("SELECT id FROM orders WHERE id = 7;"))
	for sql, why := range map[string]string{
		"UPDATE orders SET id = 1;":    "it says nothing about this operation",
		"SELECT customer FROM orders;": "it took too long",
		"DELETE FROM orders;":          "it failed",
	} {
		require.Contains(t, s.ask(sql), "ERROR:  the policy did not decide, so this is refused: "+why, sql)
	}
	require.Equal(t, "200", s.ask("SELECT id FROM orders WHERE id = 200;"), "nothing has run")
}

// TestObligationsOfRego: what a policy asks for in return is carried out as what access rules ask
// for is.
func TestObligationsOfRego(t *testing.T) {
	p := openRego(t, `package sallyport

default decision := {"allow": true}

decision := {"allow": true, "rule": "helpers", "obligations": {"masking": ["support"], "recording": "digest", "rows": 3}} if "support" in input.identity.groups
`, `masking: [{use: off}, {profile: support, columns: [salaries.salary], with: redact}]
access: [{name: all, groups: [dev, dba], allow: [all]}]
`)
	alice, bob := p.psql(t, "alice"), p.psql(t, "bob")
	require.Equal(t, "[COLUMN]", alice.ask("SELECT salary FROM salaries;"))
	require.Equal(t, "much", bob.ask("SELECT salary FROM salaries;"))
	require.Contains(t, alice.ask("SELECT id FROM orders;"), "this session has used its budget of 3 rows at shop/")
	watched, plain := p.session(t, "alice", "shop").ID, p.session(t, "bob", "shop").ID
	require.NoError(t, p.stop())
	records := p.records(t)
	require.Equal(t, "digest", records[watched][0].Recording["rows"])
	require.Equal(t, "off", records[plain][0].Recording["rows"])
}

// TestRegoIsTrusted: a policy that others can write is not used, and neither is a bundle that is
// not signed.
func TestRegoIsTrusted(t *testing.T) {
	const text = "package sallyport\n\ndefault decision := {\"allow\": true}\n"
	p := openRego(t, text, allowsAll)
	file := filepath.Join(p.dir, "policies", "access.rego")
	require.NoError(t, os.Chmod(file, 0o602))
	require.ErrorContains(t, p.Reload(), "access.rego: every user can write it")
	require.NoError(t, os.Chmod(file, 0o600))
	require.NoError(t, p.Reload())
	require.NoError(t, os.Chmod(filepath.Dir(file), 0o703))
	require.ErrorContains(t, p.Reload(), "policies: every user can write it")
	require.NoError(t, os.Chmod(filepath.Dir(file), 0o700))
	p.write(t, "bundle.tar.gz", "not a bundle")
	p.write(t, "ops.pem", "not a key")
	_, err := Load(p.file(t, p.text+allowsAll).Name(), config.Options{})
	require.NoError(t, err)
	for section, want := range map[string]string{
		"bundles: [{file: bundle.tar.gz}]":                                                   "bundle bundle.tar.gz needs keys by which its signature is checked, or unsigned: true",
		"bundles: [{file: bundle.tar.gz, keys: [{id: a, file: b}]}]":                         "a key needs id, file and algorithm",
		"bundles: [{unsigned: true}]":                                                        "a bundle needs a file",
		"dirs: [policies], timeout: 2s":                                                      "timeout is 2s, want more than 0 and up to 1s",
		"decision: data.sallyport.decision":                                                  "it has neither dirs nor bundles",
		"dirs: [policies], decison: data.x":                                                  `unknown key "policy.opa.decison" (did you mean "decision"?)`,
		"dirs: [nowhere]":                                                                    "nowhere: no such file or directory",
		"dirs: [policies], decision: data.other.decision":                                    "no module has the rule data.other.decision, which is asked",
		"dirs: [policies], volatile: [http.send]":                                            `function "http.send" cannot be allowed`,
		"bundles: [{file: bundle.tar.gz, unsigned: true}]":                                   "bundle.tar.gz: ",
		"bundles: [{file: none.tar.gz, unsigned: true}]":                                     "none.tar.gz: no such file",
		"bundles: [{file: bundle.tar.gz, keys: [{id: a, file: ops.pem, algorithm: HS256}]}]": "with which everybody who verifies can sign",
	} {
		file := filepath.Join(p.dir, "other.yaml")
		require.NoError(t, os.WriteFile(file, []byte(p.text+allowsAll+"policy: {opa: {"+section+"}}\n"), 0o600))
		f, err := Load(file, config.Options{Rego: rego.Engine{}})
		if err == nil {
			err = f.Check(t.Context())
			_, broken := New(f, Options{Log: slog.New(slog.DiscardHandler)})
			require.Error(t, broken, section)
		}
		require.ErrorContains(t, err, want, section)
		require.ErrorContains(t, err, "other.yaml:", section)
	}
	f := filepath.Join(p.dir, "other.yaml")
	require.NoError(t, os.WriteFile(f, []byte(p.text+allowsAll+"policy: {opa: {dirs: [policies]}}\n"), 0o600))
	_, err = Load(f, config.Options{})
	require.ErrorContains(t, err, "policy.opa: this program has no engine for policies in Rego")
}

// sameRules are those of policy/opa/testdata/rules.rego.
const sameRules = `
  - {name: dev-reads, groups: [dev], resources: {env: prod}, allow: [connect, read]}
  - {name: dev-writes, groups: [dev], resources: {env: test}, allow: [connect, read, write, ddl]}
  - {name: ops, groups: [ops], resources: ["shop*"], allow: [connect, read, write, exec, file-read]}
  - {name: no-truncate, groups: ["*"], deny: [truncate, drop]}
  - {name: root, users: [root], allow: [all]}
  - {name: night, groups: [night], when: {hours: [{times: "22:00-06:00", zone: UTC}]}, allow: [connect, read]}
  - {name: agents-read, groups: ["*"], kinds: [agent], deny: [write]}
  - {name: step-up, groups: ["*"], resources: {env: prod}, deny: [delete], unless: {login_within: 15m}}
  - {name: red, groups: ["*"], claims: {team: [red]}, databases: ["red_*"], allow: [connect, read]}
  - {name: clerks, groups: [clerks], allow: [connect, read], relations: [public.orders, "sales.*"]}
  - {name: no-hr, groups: [dev, ops], deny: [read, write], relations: ["hr.*"]}
`

// TestRulesAndRegoAgreeWhenWired asks two gateways, one by access rules of the config file and one
// by the same rules in Rego, the same questions.
func TestRulesAndRegoAgreeWhenWired(t *testing.T) {
	dir := t.TempDir()
	text, err := os.ReadFile("../policy/opa/testdata/rules.rego")
	require.NoError(t, err)
	(&house{dir: dir}).write(t, "policies/rules.rego", string(text))
	explainer := func(name, sections string) *Explainer {
		file := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(file, []byte(`listen: {postgres: "127.0.0.1:0", ssh: "127.0.0.1:0"}
resources:
  - {name: shop, type: postgres, address: db.invalid, username: app, database: shop, labels: {env: prod}}
  - {name: shop-test, type: postgres, address: db.invalid, username: app, database: red_1, labels: {env: test}}
  - {name: other, type: ssh, address: vm.invalid, username: app, ssh: {trust_on_first_use: true, forwards: ["db.invalid:5432"]}}
guardrails: [{use: off}]
masking: [{use: off}]
`+sections), 0o600))
		f, err := Load(file, config.Options{Rego: rego.Engine{}, Users: func(string) bool { return true }, Groups: func(string) bool { return true }})
		require.NoError(t, err)
		x, err := NewExplainer(f, Options{Log: slog.New(slog.DiscardHandler)})
		require.NoError(t, err)
		t.Cleanup(func() { x.Close() })
		return x
	}
	rules, written := explainer("rules.yaml", "access:"+sameRules), explainer("rego.yaml", "policy: {opa: {dirs: [policies], decides: true, timeout: 1s}}\n")
	noon := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	identities := []proxy.Identity{
		{Subject: "alice", Groups: []string{"dev"}, AuthTime: noon.Add(-5 * time.Minute)},
		{Subject: "old", Groups: []string{"dev", "ops"}, AuthTime: noon.Add(-15 * time.Minute)},
		{Subject: "bot", Groups: []string{"dev"}, Kind: proxy.Agent, OnBehalfOf: "alice", AuthTime: noon},
		{Subject: "root", AuthTime: noon},
		{Subject: "owl", Groups: []string{"night"}},
		{Subject: "red", Claims: map[string]string{"team": "red"}},
		{Subject: "clerk", Groups: []string{"clerks"}},
		{Subject: "nobody"},
	}
	statement := func(e proxy.Effects, relations ...proxy.Relation) func() proxy.Op {
		return func() proxy.Op {
			f := &proxy.Facts{Dialect: "postgres", Statements: 1, Effects: e, Resolved: true, Relations: relations}
			return &proxy.Statement{Meta: proxy.Meta{Kind: proxy.KindStatement}, Facts: f}
		}
	}
	on := func(schema, name string, e proxy.Effects) proxy.Relation {
		return proxy.Relation{Schema: schema, Name: name, Effects: e}
	}
	questions := map[string][]func() proxy.Op{"postgres": {
		statement(proxy.EffectRead), statement(proxy.EffectRead, on("public", "orders", proxy.EffectRead)), statement(proxy.EffectRead, on("hr", "pay", proxy.EffectRead)),
		statement(proxy.EffectDelete, on("public", "orders", proxy.EffectDelete)), statement(proxy.EffectInsert, on("sales", "regions", proxy.EffectInsert)),
		statement(proxy.EffectTruncate, on("public", "orders", proxy.EffectTruncate)), statement(proxy.EffectGrant), statement(proxy.EffectTransaction),
		statement(proxy.EffectCreate, on("public", "new", proxy.EffectCreate)), statement(proxy.EffectRead | proxy.EffectCall),
	}, "ssh": {
		func() proxy.Op { return &proxy.Exec{Meta: proxy.Meta{Kind: proxy.KindExec}, Command: "uptime"} },
		func() proxy.Op { return &proxy.Exec{Meta: proxy.Meta{Kind: proxy.KindShell}, Terminal: true} },
		func() proxy.Op {
			return &proxy.File{Meta: proxy.Meta{Kind: proxy.KindFile}, Action: proxy.FileOpenRead, Path: "/etc/hosts"}
		},
		func() proxy.Op {
			return &proxy.File{Meta: proxy.Meta{Kind: proxy.KindFile}, Action: proxy.FileOpenWrite, Path: "/etc/hosts"}
		},
	}}
	allowed, asked := 0, 0
	for i := range identities {
		for _, resource := range []string{"shop", "shop-test", "other"} {
			target, err := rules.Target(resource, "", "")
			require.NoError(t, err)
			target.Database = target.Resource.Database
			if rules.parts().may(t.Context(), &identities[i], target) {
				require.True(t, written.parts().may(t.Context(), &identities[i], target), "lists have it, too")
			}
			for _, at := range []time.Time{noon, noon.Add(11 * time.Hour)} {
				for n, op := range questions[target.Resource.Type] {
					ask := func(x *Explainer) bool {
						a, err := x.Explain(t.Context(), Question{Identity: &identities[i], Target: target, Op: op(), At: at})
						require.NoError(t, err)
						require.NotEqual(t, proxy.CauseInternal, a.Cause, a.Reason)
						return !a.Refuses()
					}
					a, b := ask(rules), ask(written)
					require.Equal(t, a, b, "%s at %s, %s, question %d", identities[i].Subject, resource, at, n)
					if asked++; a {
						allowed++
					}
				}
			}
		}
	}
	require.Greater(t, asked, 300)
	require.Greater(t, allowed, 60)
}
