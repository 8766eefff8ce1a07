package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// checked is a config file of TestGoldenCheck: testdata/golden/check.yaml with
// one text replaced.
type checked struct{ name, from, to string }

var checkedFiles = []checked{
	{"as it is", "", ""},
	{"old: default durability", "  durability: group\n", ""},
	{"old: no guardrails' names", "name: bounded\n    rewrite", "rewrite"},
	{"good: users of a rule", "groups: [dev]\n    resources: {env: prod}\n    allow", "users: [alice]\n    resources: {env: prod}\n    allow"},
	{"good: host authority", "host_keys: [", "trust_on_first_use: true\n      host_keys: ["},
	{"good: address of a socket", "address: 10.0.0.7:5432", "address: unix:/run/postgresql/.s.PGSQL.5432"},
	{"good: default pack off", "  - use: default\n  - columns", "  - use: \"off\"\n  - columns"},
	{"good: pack narrowed", "guardrails:\n  - use: default", "guardrails:\n  - {use: default, resources: {env: prod}, observe: true}"},
	{"good: no database", "    database: shop\n", ""},
	// What prevents reading.
	{"empty", "*", ""},
	{"only comments", "*", "# nothing\n"},
	{"a list", "*", "- a\n"},
	{"not YAML", "data_dir: data", "data_dir: {{"},
	{"two documents", "metrics:", "---\nmetrics:"},
	{"anchor", "data_dir: data", "data_dir: &x data"},
	{"alias", "data_dir: data", "data_dir: *x"},
	{"key twice", "data_dir: data", "data_dir: data\ndata_dir: data"},
	{"unknown key at the top", "identity:", "identety:"},
	{"unknown key of listen", "ssh: 127.0.0.1:6022", "shh: 127.0.0.1:6022"},
	{"unknown key of tls", "{optional: true}", "{optionel: true}"},
	{"unknown key of a user", "ssh_keys", "keys"},
	{"unknown key of a resource", "max_session: 8h", "maximum: 8h"},
	{"unknown key of an account", "username: reports_ro", "user: reports_ro"},
	{"unknown key of ssh", "exec_only", "execonly"},
	{"unknown key of a rule", "accounts: [default]", "account: [default]"},
	{"unknown key of a guardrail", "approvers", "approver"},
	{"unknown key of conditions", "no_where", "nowhere"},
	{"unknown key of masking", "keep_last", "keep_lst"},
	{"unknown key of a recognizer", "validator", "validators"},
	{"unknown key of audit", "best_effort", "besteffort"},
	{"unknown key of an export", "from_start", "fromstart"},
	{"unknown key of a copy", "bucket:", "buckets:"},
	{"unknown key of limits", "max_unauthenticated", "max_unauthorised"},
	{"two unknown keys", "data_dir: data\ndomain:", "datadir: data\ndomane:"},
	{"a text where a list is wanted", "startup_parameters: [search_path]", "startup_parameters: search_path"},
	{"a list where a text is wanted", "database: shop\n", "database: [shop]\n"},
	{"a word where a number is wanted", "max_sessions: 500", "max_sessions: many"},
	{"a word where a time is wanted", "for: 15m", "for: soon"},
	{"a word where a switch is wanted", "read_only: true", "read_only: perhaps"},
	{"a number where a section is wanted", "limits:\n", "limits: 5\nxlimits:\n"},
	{"a word where the switch of MCP is wanted", "metrics:", "mcp: {enabled: x}\nmetrics:"},
	{"later: store", "metrics:", "store: {sqlite: x}\nmetrics:"},
	{"later: oidc", "identity:\n", "identity:\n  oidc: {issuer: x}\n"},
	{"later: redis", "listen:\n", "listen:\n  redis: 127.0.0.1:6379\n"},
	{"review by nobody", "    deny: [drop]\n", "    deny: [drop]\n    review: {approvers: [nobody]}\n"},
	// listen, tls, limits, metrics
	{"address without port", "postgres: 127.0.0.1:6432", "postgres: nowhere"},
	{"address twice", "listen: 127.0.0.1:7432", "listen: 127.0.0.1:6432"},
	{"nothing listens", "  ssh: 127.0.0.1:6022\n", ""},
	{"a certificate without key", "{optional: true}", "{cert: a.pem}"},
	{"a certificate that is missing", "{optional: true}", "{cert: missing.pem, key: missing.key}"},
	{"negative limit", "max_sessions: 500", "max_sessions: -1"},
	{"metrics nowhere", "metrics: 127.0.0.1:9464", "metrics: everywhere"},
	// users
	{"user twice", "- name: bob", "- name: alice"},
	{"user without a name", "- name: bob", "- name: ''"},
	{"user with a bad name", "- name: bob", "- name: a+b"},
	{"password in clear", `"SCRAM-SHA-256$4096:A4mJxRhyTu52s0AO7UrrZg==$idfRBWXKrr+iqYxx/IdIfowIwBw0O9LFusRJeKthw8c=:69iP9tjOBiQ2jwg+5Q8oPQn01Vw5HKhrVuPrHwKbpUU="` + "\n    - name: bob", "hunter2\n    - name: bob"},
	{"user who cannot log in", `      password: "SCRAM-SHA-256$4096:A4mJxRhyTu52s0AO7UrrZg==$idfRBWXKrr+iqYxx/IdIfowIwBw0O9LFusRJeKthw8c=:69iP9tjOBiQ2jwg+5Q8oPQn01Vw5HKhrVuPrHwKbpUU="` + "\n    - name: bob", "    - name: bob"},
	{"bad key of a user", `ssh_keys: ["ssh-ed25519 AAAA`, `ssh_keys: ["ssh-ed25519 BBBB`},
	// resources
	{"resource twice", "- name: reports", "- name: orders"},
	{"bad name of a resource", "- name: reports", "- name: re+ports"},
	{"unknown type", "type: postgres\n    address: 10", "type: postgress\n    address: 10"},
	{"resource without a port", "address: db.internal:5432", "address: db"},
	{"secret in clear", "env:ORDERS_DB", "hunter2"},
	{"secret of an unknown kind", "env:ORDERS_DB", "vaultt:ORDERS_DB"},
	{"secret in a missing file", "env:ORDERS_DB", "file:secrets/missing"},
	{"empty reference", "env:ORDERS_DB", "'env:'"},
	{"account and short form", "    read_only: true", "    username: x\n    read_only: true"},
	{"account twice", "name: writer", "name: reader"},
	{"account without a user", "username: reports_ro, ", ""},
	{"password and key", "password: file:secrets/ro}", "password: file:secrets/ro, key: file:x}"},
	{"unknown TLS mode", "mode: verify-full", "mode: verify"},
	{"TLS certificate without key", "server_name: db", "cert: a.pem"},
	{"TLS authority that is missing", "server_name: db", "ca: missing.pem"},
	{"ssh settings of a database", "    database: shop\n", "    database: shop\n    ssh: {exec_only: true}\n"},
	{"database of a machine", "    username: deploy\n", "    username: deploy\n    database: x\n"},
	{"read_only of a machine", "    username: deploy\n", "    username: deploy\n    read_only: true\n"},
	{"tls of a machine", "    username: deploy\n", "    username: deploy\n    tls: {mode: require}\n"},
	{"machine without a host key", `      host_keys: ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE1P6dDM0RlbO/lBGDBsBuiwyfXYW41hHp3dyPYWbz1K"]` + "\n", ""},
	{"bad host key", `host_keys: ["ssh-ed25519`, `host_keys: ["ssh-ed25520`},
	{"bad forward", "db.internal:5432\", \"10.1", "db.internal\", \"10.1"},
	{"bad pattern of env", "APP_*", "'APP_['"},
	// access
	{"no rule", "*access", ""},
	{"unknown action", "allow: [connect, read]\n", "allow: [connect, reed]\n"},
	{"unknown group", "  - name: oncall\n    groups: [oncall]", "  - name: oncall\n    groups: [nobody]"},
	{"unknown user", "users: [bob]", "users: [mallory]"},
	{"unknown resource", "resources: [orders, reports]", "resources: [oders, reports]"},
	{"labels of nothing", "resources: {env: prod}\n    allow", "resources: {env: dev}\n    allow"},
	{"rule for nobody", "{users: [bob], ", "{"},
	{"rule about nothing", "{users: [bob], allow: [connect, exec, file-read]}", "{users: [bob]}"},
	{"rule's bad pattern", "databases: [shop]\n    accounts: [default]", "databases: ['[']\n    accounts: [default]"},
	// guardrails
	{"unknown pack", "guardrails:\n  - use: default", "guardrails:\n  - use: strict"},
	{"no action", "    deny: {effects: [delete, truncate], relations: [customers]}\n", ""},
	{"two actions", "    rewrite: {no_limit: true}\n", "    rewrite: {no_limit: true}\n    warn: {no_limit: true}\n"},
	{"pack and action", "guardrails:\n  - use: default", "guardrails:\n  - use: default\n    deny: {no_where: true}"},
	{"pack with approvers", "guardrails:\n  - use: default", "guardrails:\n  - use: default\n    approvers: [oncall]"},
	{"unknown effect", "effects: [delete, truncate]", "effects: [delete, trunkate]"},
	{"guardrail twice", "name: bounded", "name: big-changes"},
	{"guardrail with a default's name", "name: bounded", "name: no-drop"},
	{"no condition", "deny: {unknown: true}", "deny: {}"},
	{"hold for nobody", "    approvers: [oncall]\n", ""},
	{"approvers who do not exist", "approvers: [oncall]", "approvers: [ops]"},
	{"approvers of a denial", "    observe: true\n", "    approvers: [oncall]\n"},
	{"limit of a denial", "    observe: true\n", "    limit: 5\n"},
	{"rewrite without a limit", "    limit: 10000\n", ""},
	{"rewrite of what has a limit", "rewrite: {no_limit: true}", "rewrite: {relations: [t]}"},
	{"rows of drops", "effects: [update, delete], more_rows_than", "effects: [drop], more_rows_than"},
	{"only statements", "only: {commands: [uptime, \"systemctl status *\"]}", "only: {effects: [read]}"},
	{"commands of a database", "resources: [vm1]", "resources: [orders]"},
	{"statements of a machine", "{name: many, ", "{name: many, resources: [vm1], "},
	{"mixed conditions", "deny: {unknown: true}", "deny: {unknown: true, commands: [ls]}"},
	{"unknown day", "days: [sat]", "days: [saturday]"},
	{"unknown zone", "zone: Europe/Berlin", "zone: Berlin"},
	{"hours without a zone", "days: [sat], zone: UTC", "days: [sat]"},
	{"hours of no length", "09:00-17:00", "09:00-09:00"},
	{"hours all week", "days: [sat]", "days: [mon-sun]"},
	{"both hours", "during: {days: [sat], zone: UTC}", "during: {days: [sat], zone: UTC}\n    outside: {days: [mon], zone: UTC}"},
	{"bad pattern of a relation", "relations: [customers]}", "relations: ['cust[']}"},
	{"groups of nobody", "    groups: [dev]\n    observe", "    groups: [devs]\n    observe"},
	// masking
	{"unknown masking pack", "masking:\n  - use: default", "masking:\n  - use: strict"},
	{"masking of nothing", "{db_types: [inet, macaddr], ", "{"},
	{"unknown transform", "with: redact\n    mode", "with: redakt\n    mode"},
	{"unknown mode", "mode: strict", "mode: strikt"},
	{"unknown entity", "entities: [CREDIT_CARD]", "entities: [CREDIT_CART]"},
	{"unknown tag", "tags: [pii]", "tags: [secret]"},
	{"keeps too much", "keep_first: 2, keep_last: 4", "keep_first: 20, keep_last: 40"},
	{"option of another transform", "with: bucket, size: 1000", "with: redact, size: 1000"},
	{"bucket without a size", "with: bucket, size: 1000", "with: bucket"},
	{"unknown unit", "unit: month", "unit: moon"},
	{"exception of nobody", "except: {groups: [oncall]}", "except: {groups: [nobody]}"},
	{"masking's unknown resource", "    mode: strict\n    resources: {env: prod}", "    mode: strict\n    resources: [oders]"},
	{"recognizer of everything", "'EMP-[0-9]{6}'", "'.*'"},
	{"recognizer of nothing", "      pattern: 'EMP-[0-9]{6}'\n", ""},
	{"bad pattern of a recognizer", "'EMP-[0-9]{6}'", "'EMP-['"},
	{"unknown validator", "validator: not_equal", "validator: crc"},
	{"recognizer beside a rule", "  - recognize:\n", "  - use: default\n    recognize:\n"},
	{"masking's key in clear", "env:MASKING_KEY", "hunter2"},
	{"detokenise without tokens", "with: tokenise", "with: redact"},
	{"detokenise by nobody", "detokenise: [oncall]", "detokenise: [nobody]"},
	{"analyzer in clear", "https://presidio.internal/analyze", "http://presidio.internal/analyze"},
	{"analyzer of nothing", "  columns: [tickets.body]\n", ""},
	{"analyzer's score", "least_score: 0.4", "least_score: 4"},
	{"analyzer's unknown api", "api: presidio", "api: presidium"},
	{"analyzer's failure", "on_failure: refuse", "on_failure: maybe"},
	{"analyzer's key in clear", "env:PRESIDIO_KEY", "hunter2"},
	// audit
	{"unknown durability", "durability: group", "durability: groop"},
	{"unknown detail", "terminal: full", "terminal: all"},
	{"rows beyond all", "rows: sample", "rows: everything"},
	{"negative limit of a recording", "limit_mb: 256", "limit_mb: -1"},
	{"original to nobody", "      limit_mb: 256\n", "      limit_mb: 256\n      original_to: age1x\n"},
	{"input without a terminal", "terminal: full\n      exec: full\n      rows: sample\n      copy: digest\n      input: false", "terminal: off\n      input: true"},
	{"recordings of nothing", "recordings:\n    - resources: {env: prod}", "recordings:\n    - resources: {env: dev}"},
	{"retention without days", ", days: 90", ""},
	{"audit's key in clear", "env:AUDIT_KEY", "aGVsbG8="},
	{"old keys alone", "  key: env:AUDIT_KEY\n", ""},
	{"unknown export", "{type: file", "{type: fyle"},
	{"export to nowhere", "path: events.jsonl, ", ""},
	{"export twice", "{type: otlp,", "{type: webhook, keys: [env:K],"},
	{"export in clear", "https://hooks.example.com/audit", "http://hooks.example.com/audit"},
	{"export unsigned", "keys: [env:HOOK_KEY], ", ""},
	{"export's unknown format", "{type: file,", "{type: file, format: ocfs,"},
	{"export's bad pattern", "session.*", "session.["},
	{"copy in clear", "endpoint: https", "endpoint: http"},
	{"copy without a bucket", "        bucket: audit-records\n", ""},
	{"copy's key in clear", "secret_key: file:secrets/s3", "secret_key: hunter2"},
	{"unknown lock", "mode: compliance", "mode: complience"},
	{"copy with an export's name", "- name: archive", "- name: webhook"},
	{"witness of nothing", ", file: /mnt/worm/heads", ""},
	{"witness without a key", "file: /mnt/worm/heads", "url: \"https://w.example.com\""},
	{"witness with half a key", "file: /mnt/worm/heads", "url: \"https://w.example.com\", keys: [w+00000000]"},
	// control
	{"control's unknown word", "allow: [list, kill", "allow: [lists, kill"},
	{"control for nobody", "users: [root]\n    ", ""},
	// several at once, in the order of their lines
	{"many", "address: db.internal:5432", "address: db\n    replicate: no"},
	{"many that are read", "resources: [orders, reports]\n    databases", "resources: [x, y]\n    users: [z]\n    databases"},
}

// TestGoldenCheck pins the exit code of check, and the lines of its problems.
func TestGoldenCheck(t *testing.T) {
	b, err := os.ReadFile(filepath.Join("testdata", "golden", "check.yaml"))
	require.NoError(t, err)
	base := string(b)
	g := newGolden("check.txt", "exit", "lines of problems", "case")
	seen := make(map[string]bool)
	for _, c := range checkedFiles {
		require.False(t, seen[c.name], c.name)
		seen[c.name] = true
		text := base
		switch c.from {
		case "":
		case "*":
			text = c.to
		case "*access":
			before, rest, _ := strings.Cut(base, "access:\n")
			_, after, _ := strings.Cut(rest, "guardrails:\n")
			text = before + "guardrails:\n" + after
		default:
			require.Equal(t, 1, strings.Count(base, c.from), "%s: %q", c.name, c.from)
			text = strings.Replace(base, c.from, c.to, 1)
		}
		file := withSecrets(t, text)
		code, out, errs := sallyport(t, "", "check", "-c", file)
		require.Equal(t, code == exitOK, out != "", "%s: only a good file is said to be one: %s%s", c.name, out, errs)
		require.NotContains(t, errs, "hunter2", c.name)
		g.add(fmt.Sprint(code), strings.Join(problemLines(file, errs), ","), c.name)
	}
	code, _, _ := sallyport(t, "", "check", "-c", filepath.Join(t.TempDir(), "missing"))
	g.add(fmt.Sprint(code), "", "a missing file")
	code, _, _ = sallyport(t, "", "check", "-nonsense")
	g.add(fmt.Sprint(code), "", "an unknown flag")
	g.check(t)
}

// withSecrets writes a config file, check.yaml or one that was made of it, and everything that it refers to.
func withSecrets(t *testing.T, text string) (file string) {
	t.Helper()
	for _, name := range regexp.MustCompile(`env:([A-Z0-9_]+)`).FindAllStringSubmatch(text, -1) {
		t.Setenv(name[1], "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=") // 32 bytes, as keys of the log are
	}
	dir := t.TempDir()
	file = filepath.Join(dir, "sallyport.yaml")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	require.NoError(t, os.Mkdir(filepath.Join(dir, "secrets"), 0o700))
	for _, name := range []string{"ro", "rw", "s3"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "secrets", name), []byte("secret"), 0o600))
	}
	keyPair(t, filepath.Join(dir, "secrets", "vm1"))
	return file
}

// problemLines are the numbers of the problems that check writes as
// "FILE:LINE: text", in their order.
func problemLines(file, errs string) (lines []string) {
	for _, m := range regexp.MustCompile(`(?m)^`+regexp.QuoteMeta(file)+`:(\d+): `).FindAllStringSubmatch(errs, -1) {
		lines = append(lines, m[1])
	}
	return lines
}
