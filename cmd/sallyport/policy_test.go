package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const guarded = `
listen: {postgres: "127.0.0.1:0", ssh: "127.0.0.1:0"}
identity:
  users:
    - {name: alice, groups: [dev], password: "%s"}
resources:
  - {name: shop, type: postgres, address: "db:5432", username: x, database: shop, labels: {env: prod}}
  - {name: vm1, type: ssh, address: "vm:22", username: x, ssh: {trust_on_first_use: true}}
access:
  - {name: dev, groups: [dev], resources: [shop, vm1], allow: [connect, read, write, exec]}
guardrails:
  - use: default
  - name: secrets
    deny: {relations: [secrets, "vault.*"]}
    resources: {env: prod}
    message: secrets are not read here
    remedy: Ask the keeper.
  - name: wide
    warn: {no_limit: true}
    message: this may return many rows
`

func TestPolicyExplain(t *testing.T) {
	file := configFile(t, guarded)
	for _, c := range []struct {
		text string
		code int
		want []string
	}{
		{"SELECT * FROM t WHERE id = 1 LIMIT 3", exitOK, []string{"alice at shop", "effects      read", "relation     t: read", "answer       allowed"}},
		{"SELECT * FROM t WHERE id = 1", exitOK, []string{"guardrail    wide warns", "allowed, with the warning: this may return many rows"}},
		{"WITH d AS (DELETE FROM t RETURNING *) SELECT * FROM d", exitGuardrail, []string{"every row    read,delete", "no-where denies", "refused by guardrail", "Add a WHERE"}},
		{"SELECT 1 AS ssn, upper(x) AS u FROM t WHERE id = 1 LIMIT 3", exitOK, []string{
			`masking      column "ssn" is masked (US_SSN, partial): its name says what it holds`, `masking      column "u" is hidden: it is not certain what its names mean`,
		}},
		{"SELECT x FROM vault.keys LIMIT 1", exitGuardrail, []string{"secrets denies", "secrets are not read here", "Ask the keeper."}},
		{"DROP TABLE t", exitPolicy, []string{"refused by policy", "no-drop denies"}},
		{"DO $$x$$", exitPolicy, []string{"unknown      the gateway does not know what a DO block does", "secrets denies, because the operation cannot be understood"}},
	} {
		code, out, errs := sallyport(t, "", "policy", "explain", "-c", file, "--", c.text)
		require.Equal(t, c.code, code, "%s: %s%s", c.text, out, errs)
		for _, w := range c.want {
			require.Contains(t, out, w, c.text)
		}
	}
	code, out, _ := sallyport(t, "", "policy", "explain", "-c", file, "-r", "vm1", "--", "sudo rm -rf /")
	require.Equal(t, exitGuardrail, code)
	require.Contains(t, out, "no-wiping")
	code, out, _ = sallyport(t, "", "policy", "explain", "-c", file, "-r", "vm1", "--", "bash -l")
	require.Equal(t, exitPolicy, code)
	require.Contains(t, out, "shell", "as the gateway asks about it")
	code, _, _ = sallyport(t, "", "policy", "explain", "-c", file, "-u", "mallory", "--", "SELECT 1")
	require.Equal(t, exitNotFound, code)
}

const acting = guarded + `  - name: big
    hold: {effects: [update], more_rows_than: 1000}
    approvers: [dev]
  - name: bounded
    rewrite: {no_limit: true, relations: [log]}
    limit: 50
  - name: night
    deny: {effects: [insert]}
    outside: {days: [mon-fri], times: "09:00-17:00", zone: UTC}
  - name: listed
    only: {commands: [ls, "systemctl status *"]}
`

// What rules do besides refusing, tried without a server.
func TestPolicyActions(t *testing.T) {
	file := configFile(t, acting)
	for _, c := range []struct {
		args []string
		code int
		want []string
	}{
		{[]string{"--rows", "5000", "--", "UPDATE t SET a = 1 WHERE b > 2"}, exitApproval, []string{"big holds", "held for an approval"}},
		{[]string{"--rows", "10", "--", "UPDATE t SET a = 1 WHERE b > 2"}, exitOK, []string{"answer       allowed"}},
		{[]string{"--", "UPDATE t SET a = 1 WHERE b > 2"}, exitApproval, []string{"big holds, because the operation cannot be understood"}},
		{[]string{"--", "SELECT * FROM log -- x"}, exitOK, []string{"bounded adds a LIMIT", "allowed as: SELECT * FROM log LIMIT 50 -- x"}},
		{[]string{"--", "SELECT * FROM log FOR UPDATE"}, exitGuardrail, []string{"a LIMIT could not be added", "the query locks the rows"}},
		{[]string{"--at", "2026-11-25T12:00:00Z", "--", "INSERT INTO t VALUES (1)"}, exitOK, []string{"allowed"}},
		{[]string{"--at", "2026-11-28T12:00:00Z", "--", "INSERT INTO t VALUES (1)"}, exitGuardrail, []string{"rule night"}},
		{[]string{"-r", "vm1", "--", "ls -l | rm x"}, exitGuardrail, []string{"listed denies"}},
		{[]string{"--dialect", "mysql", "--", "SELECT 1 /*! ; DELETE FROM `t` */"}, exitGuardrail, []string{"effects      read,delete", "no-where denies"}},
		{[]string{"--dialect", "mysql", "--", "SELECT load_file('/etc/passwd')"}, exitPolicy, []string{"no-server-files denies", "load_file: reaches outside"}},
		{[]string{"--dialect", "oracle", "--", "SELECT 1"}, exitUsage, nil},
		{[]string{"--at", "noon", "--", "SELECT 1"}, exitUsage, nil},
		{[]string{"--rows", "-1", "--", "SELECT 1"}, exitUsage, nil},
		{[]string{"-a", "nobody", "--", "SELECT 1"}, exitNotFound, nil},
	} {
		code, out, errs := sallyport(t, "", append([]string{"policy", "explain", "-c", file}, c.args...)...)
		require.Equal(t, c.code, code, "%v: %s%s", c.args, out, errs)
		for _, w := range c.want {
			require.Contains(t, out, w, c.args)
		}
	}
	cases := filepath.Join(t.TempDir(), "cases.yaml")
	require.NoError(t, os.WriteFile(cases, []byte(`
- {sql: "UPDATE t SET a = 1 WHERE b > 2", rows: 5000, want: hold, rule: big}
- {sql: "UPDATE t SET a = 1 WHERE b > 2", rows: 5, want: allow}
- {sql: "SELECT * FROM log", want: rewrite, rule: bounded}
- {sql: "INSERT INTO t VALUES (1)", at: 2026-11-25T18:00:00Z, want: deny, rule: night}
- {sql: "INSERT INTO t VALUES (1)", at: 2026-11-25T10:00:00Z, want: allow}
- {command: "systemctl status x", resource: vm1, want: allow}
- {command: "systemctl stop x", resource: vm1, want: deny, rule: listed}
- {shell: true, resource: vm1, want: deny}
- {request: "GET /", resource: vm1, want: allow}
`), 0o600))
	code, out, errs := sallyport(t, "", "policy", "test", "-c", file, cases)
	require.Equal(t, exitOK, code, out+errs)
	require.Contains(t, out, "9 cases, 0 failed")
}

func TestPolicyTest(t *testing.T) {
	file := configFile(t, guarded)
	cases := filepath.Join(t.TempDir(), "cases.yaml")
	write := func(text string) { require.NoError(t, os.WriteFile(cases, []byte(text), 0o600)) }
	write(`
- {sql: "SELECT 1 LIMIT 1", want: allow}
- {sql: "SELECT * FROM t", want: warn, rule: wide}
- {sql: "DELETE FROM t", want: deny, rule: no-where}
- {command: "reboot", resource: vm1, user: alice, want: deny, rule: no-halting}
- {command: "ls", resource: vm1, want: allow}
`)
	require.Contains(t, must(t, "policy", "test", "-c", file, cases), "5 cases, 0 failed")
	write(`
- {sql: "DELETE FROM t", want: allow}
- {sql: "DELETE FROM t", want: deny, rule: another}
- {sql: "SELECT 1 LIMIT 1", want: allow}
`)
	code, out, _ := sallyport(t, "", "policy", "test", "-c", file, cases)
	require.Equal(t, exitError, code)
	require.Contains(t, out, "FAIL case 1")
	require.Contains(t, out, "FAIL case 2")
	require.Contains(t, out, "3 cases, 2 failed")
	for _, text := range []string{"- {sql: x}", "- {want: deny}", "- {sql: x, want: perhaps}", "- {sqll: x, want: deny}", "nonsense"} {
		write(text)
		code, _, _ := sallyport(t, "", "policy", "test", "-c", file, cases)
		require.Equal(t, exitError, code, text)
	}
}

// The corpora of the default rules are cases, too.
func TestPolicyTestFiles(t *testing.T) {
	file := configFile(t, `
listen: {postgres: "127.0.0.1:0", ssh: "127.0.0.1:0"}
identity:
  users:
    - {name: alice, groups: [dev], password: "%s"}
resources:
  - {name: shop, type: postgres, address: "db:5432", username: x, database: shop}
  - {name: vm1, type: ssh, address: "vm:22", username: x, ssh: {trust_on_first_use: true}}
access:
  - {name: dev, groups: [dev], resources: [shop, vm1], allow: [connect, read, write, ddl, admin, exec, shell, file-read, file-write]}
`)
	folder, err := filepath.Abs("../../guardrail/testdata")
	require.NoError(t, err)
	cases := filepath.Join(t.TempDir(), "cases.yaml")
	write := func(text string) { require.NoError(t, os.WriteFile(cases, []byte(text), 0o600)) }
	write("- {commands: " + folder + "/commands.txt, resource: vm1, want: run}\n- {commands: " + folder + "/attacks.txt, resource: vm1}\n")
	code, out, errs := sallyport(t, "", "policy", "test", "-c", file, cases)
	require.Equal(t, exitOK, code, out+errs)
	require.Regexp(t, `^\d{4} cases, 0 failed\n$`, out)

	few := filepath.Join(filepath.Dir(cases), "few.txt")
	require.NoError(t, os.WriteFile(few, []byte("# a tool\nSELECT 1\nDELETE FROM t\n"), 0o600))
	write("- {statements: few.txt, want: run}\n")
	code, out, _ = sallyport(t, "", "policy", "test", "-c", file, cases)
	require.Equal(t, exitError, code)
	require.Contains(t, out, "FAIL "+few+":3: alice at shop: DELETE FROM t")
	require.Contains(t, out, "2 cases, 1 failed")

	for _, text := range []string{
		"- {statements: few.txt}", "- {statements: nowhere.txt, want: run}", "- {statements: few.txt, want: perhaps}",
		"- {statements: few.txt, commands: few.txt, want: run}", "- {statements: few.txt, sql: SELECT 1, want: run}",
	} {
		write(text)
		code, _, errs := sallyport(t, "", "policy", "test", "-c", file, cases)
		require.Equal(t, exitError, code, text)
		require.Contains(t, errs, "case", text)
	}
}

// Through the gateway, with the real psql: what the default pack refuses, and the
// session goes on.
func TestServeGuardrails(t *testing.T) {
	o := openOffice(t, "guardrails:\n  - use: default\n  - name: later\n    deny: {relations: [t], effects: [insert]}\n    observe: true\n")
	require.Contains(t, o.psql(t, "bob", "-c", "CREATE TABLE t (id int)", "-c", "INSERT INTO t VALUES (1), (2)"), "INSERT 0 2")
	for _, sql := range []string{
		"DELETE FROM t", "UPDATE t SET id = 1", "delete/**/from t where 1=1", "SELECT 1; DELETE FROM t", "WITH d AS (DELETE FROM t RETURNING *) SELECT * FROM d",
		"EXPLAIN ANALYZE DELETE FROM t", "PREPARE p AS DELETE FROM t", "DO $$BEGIN DELETE FROM t; END$$", "DROP TABLE t", "TRUNCATE t", "ALTER TABLE t DROP COLUMN id",
		"COPY t TO PROGRAM 'cat'", "SELECT pg_read_file('postgresql.conf')", "SELECT pg_sleep(0)", "COPY (DELETE FROM t RETURNING *) TO STDOUT",
	} {
		out := o.psql(t, "bob", "-c", sql, "-c", "SELECT 'still ' || count(*) FROM t")
		require.Contains(t, out, "ERROR:", sql)
		require.Contains(t, out, "still 2", sql)
	}
	out := o.psql(t, "bob", "-c", "DELETE FROM t WHERE true")
	require.Contains(t, out, "(rule no-where)")
	require.Contains(t, out, "HINT:  Add a WHERE that names a column.")
	require.Contains(t, o.psql(t, "bob", "-c", "DELETE FROM t WHERE id = 2"), "DELETE 1")
	require.Contains(t, o.psql(t, "bob", "-c", "SELECT 'DROP TABLE t', \"id\" FROM t -- DELETE FROM t"), "DROP TABLE t|1")
	o.stop(t)
	list := decode[listed[summary]](t, must(t, "sessions", "ls", "-c", o.config, "-o", "json")).Items
	require.Contains(t, must(t, "sessions", "show", "-c", o.config, list[0].ID), "operation.observed")
}

// The past, judged by rules that changed since.
func TestPolicyReplay(t *testing.T) {
	const without = "guardrails:\n  - use: off\n"
	o := openOffice(t, without)
	o.psql(t, "bob", "-c", "CREATE TABLE t (id int)", "-c", "INSERT INTO t VALUES (1)", "-c", "DELETE FROM t", "-c", "SELECT count(*) FROM t")
	o.psql(t, "alice", "-c", "DELETE FROM t WHERE id = 1", "-c", "SELECT 1")
	o.stop(t)
	require.Contains(t, must(t, "policy", "replay", "-c", o.config), "6 operations judged again, 0 not")

	old, err := os.ReadFile(o.config)
	require.NoError(t, err)
	changed := strings.Replace(strings.Replace(string(old), "allow: [connect, read]", "allow: [connect, read, write]", 1), without, "", 1)
	file := filepath.Join(o.dir, "changed.yaml")
	require.NoError(t, os.WriteFile(file, []byte(changed), 0o600))
	code, out, errs := sallyport(t, "", "policy", "replay", "-c", file, "-o", "json")
	require.Equal(t, exitError, code, errs)
	r := decode[replayed](t, out)
	require.Equal(t, 6, r.Operations)
	require.Equal(t, 1, r.Totals.Denied)
	require.Equal(t, "DELETE FROM t", r.Denied[0].Text)
	require.Contains(t, r.Denied[0].Answer, "no-where")
	require.Equal(t, 1, r.Totals.Allowed)
	require.Equal(t, "alice", r.Allowed[0].User)
	code, out, _ = sallyport(t, "", "policy", "replay", "-c", file)
	require.Equal(t, exitError, code)
	require.Contains(t, out, "1 newly denied")
	require.Contains(t, must(t, "policy", "replay", "-c", file, "--since", "1ns"), "0 operations")
}

// conditional are rules with conditions, and a policy in Rego.
const conditional = `
listen: {postgres: "127.0.0.1:0"}
identity: {users: [{name: alice, groups: [dev], password: "%s"}]}
resources: [{name: shop, type: postgres, address: "db:5432", username: x, database: shop, labels: {env: prod}}]
access:
  - {name: office, groups: [dev], allow: [connect, read], when: {networks: [10.0.0.0/8], login_within: 1h}, session: 8h, recording: full}
  - {name: certified, groups: [dev], allow: [write], when: {methods: [certificate]}}
policy: {opa: {dirs: [policies], timeout: 1s}}
guardrails: [{use: off}]
masking: [{use: off}]
`

// TestPolicyCommandsWithRego: the commands about rules know conditions, and policies in Rego.
func TestPolicyCommandsWithRego(t *testing.T) {
	file := configFile(t, conditional)
	dir := filepath.Join(filepath.Dir(file), "policies")
	require.NoError(t, os.Mkdir(dir, 0o700))
	write := func(name, text string) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	write("access.rego", `package sallyport

default decision := {"allow": true}

decision := {"allow": false, "rule": "pay", "reason": "salaries are not read here"} if {
	some r in input.operation.statement.relations
	r.name == "salaries"
}
`)
	write("access_test.rego", `package sallyport_test

import data.sallyport

test_pay if not sallyport.decision.allow with input as {"operation": {"statement": {"relations": [{"name": "salaries"}]}}}

test_orders if sallyport.decision.allow with input as {"operation": {"statement": {"relations": [{"name": "orders"}]}}}
`)
	explain := func(args ...string) (int, string) {
		code, out, errs := sallyport(t, "", append([]string{"policy", "explain", "-c", file}, args...)...)
		return code, out + errs
	}
	code, out := explain("--from", "10.1.2.3", "--", "SELECT * FROM orders")
	require.Equal(t, exitOK, code, out)
	require.Contains(t, out, "in return    session 8h, recording full\n")
	require.NotContains(t, out, "trace")
	code, out = explain("--", "SELECT * FROM orders")
	require.Equal(t, exitPolicy, code, out)
	require.Contains(t, out, "Rule office allows it from certain networks, within 1h of a login.")
	code, out = explain("--from", "10.1.2.3", "--login-age", "2h", "--", "SELECT * FROM orders")
	require.Equal(t, exitPolicy, code, out)
	code, out = explain("--from", "10.1.2.3", "--method", "certificate", "--", "DELETE FROM orders WHERE id = 1")
	require.Equal(t, exitOK, code, out)
	code, out = explain("--from", "10.1.2.3", "--method", "scram", "--", "DELETE FROM orders WHERE id = 1")
	require.Equal(t, exitPolicy, code, out)
	code, out = explain("--from", "10.1.2.3", "--trace", "--", "SELECT * FROM salaries")
	require.Equal(t, exitPolicy, code, out)
	require.Contains(t, out, "refused by opa: salaries are not read here (rule pay)")
	require.Regexp(t, `trace .*access\.rego:7`, out)
	for _, wrong := range [][]string{{"--from", "office"}, {"--method", "magic"}} {
		code, out = explain(append(wrong, "--", "SELECT 1")...)
		require.Equal(t, exitUsage, code, out)
	}

	code, out, _ = sallyport(t, "", "ls", "-c", file, "-u", "alice")
	require.Equal(t, exitOK, code, out)
	require.Contains(t, out, "alice+shop")
	write("deny.rego", "package sallyport\n\ndecision := {\"allow\": false} if input.operation.kind == \"connect\"\n")
	code, out, _ = sallyport(t, "", "ls", "-c", file, "-u", "alice")
	require.Equal(t, exitOK, code, out)
	require.NotContains(t, out, "shop", "the policy lets nobody connect")
	require.NoError(t, os.Remove(filepath.Join(dir, "deny.rego")))

	code, out, _ = sallyport(t, "", "policy", "test", "-c", file)
	require.Equal(t, exitOK, code, out)
	require.Equal(t, "2 tests of the policy in Rego, 0 failed, 0 skipped\n", out)
	cases := filepath.Join(filepath.Dir(file), "cases.yaml")
	require.NoError(t, os.WriteFile(cases, []byte(`
- {sql: SELECT 1 FROM orders, from: 10.1.2.3, want: allow}
- {sql: SELECT 1 FROM orders, want: deny}
- {sql: SELECT 1 FROM orders, from: 10.1.2.3, login_age: 2h, want: deny}
- {sql: SELECT 1 FROM salaries, from: 10.1.2.3, want: deny, rule: pay}
- {sql: INSERT INTO orders VALUES (1), from: 10.1.2.3, method: certificate, want: allow}
`), 0o600))
	code, out, errs := sallyport(t, "", "policy", "test", "-c", file, cases)
	require.Equal(t, exitOK, code, out+errs)
	require.Contains(t, out, "5 cases, 0 failed\n")
	write("more_test.rego", "package more_test\n\ntest_wrong if 1 == 2\n")
	code, out, _ = sallyport(t, "", "policy", "test", "-c", file, cases)
	require.Equal(t, exitError, code)
	require.Regexp(t, `FAIL .*more_test\.rego:3: .*test_wrong: it does not hold\n`, out)
	require.Contains(t, out, "5 cases, 0 failed\n")

	code, _, errs = sallyport(t, "", "check", "-c", file)
	require.NotContains(t, errs, "policy.opa", code)
	write("broken.rego", "package broken\n\nx := y\n")
	code, _, errs = sallyport(t, "", "check", "-c", file)
	require.Equal(t, exitError, code)
	require.Regexp(t, `sallyport\.yaml:8: policy\.opa: .*broken\.rego:3: rego_unsafe_var_error: var y is unsafe`, errs)
}
