package config

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/guardrail"
	"github.com/sallyport/sallyport/protocol"
	"github.com/sallyport/sallyport/protocol/builtin"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/secrets"
)

func options() Options {
	return Options{Protocols: builtin.All(), Secrets: secrets.Default(), Rego: paper{}}
}

const verifier = "SCRAM-SHA-256$4096:c2FsdHNhbHRzYWx0c2FsdA==$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="

const good = `listen: {postgres: 127.0.0.1:6432}
data_dir: ./data
identity:
  users:
    - {name: alice, groups: [dev], password: "` + verifier + `"}
resources:
  - {name: orders, type: postgres, address: db.internal:5432, listen: 127.0.0.1:7432, tls: {mode: require},
     database: shop, username: app, password: env:DB_PASSWORD, labels: {env: prod}}
access:
  - {groups: [dev], resources: {env: prod}, allow: [connect, read]}
  - {users: [alice], resources: [ord*], deny: [truncate]}
guardrails: [{use: default}, {deny: {effects: [drop, truncate]}, resources: {env: prod}}]
masking: [{use: default}]
audit: {durability: group}
limits: {max_session: 8h}
`

func TestGoodFile(t *testing.T) {
	f, err := Parse("/etc/sallyport/sallyport.yaml", []byte(good), options())
	require.NoError(t, err)
	require.Equal(t, "/etc/sallyport/data", f.Data())
	dir, err := f.Directory(t.Context(), nil)
	require.NoError(t, err)
	require.Equal(t, "db.internal:5432", dir[0].Address)
	require.Equal(t, proxy.TLSRequire, dir[0].TLS.Mode)
	require.Equal(t, []proxy.Account{{Name: "default", Username: "app", Secret: "env:DB_PASSWORD"}}, dir[0].Accounts)
	require.Equal(t, []protocol.Listener{{Protocol: "postgres", Address: "127.0.0.1:6432"}, {Protocol: "postgres", Address: "127.0.0.1:7432", Resource: "orders"}}, f.Listeners())
	_, err = f.Policy()
	require.NoError(t, err)
	_, err = f.Users()
	require.NoError(t, err)
}

// TestTokensInRequests: values can be replaced in statements, so a rule that does is about
// databases.
func TestTokensInRequests(t *testing.T) {
	with := func(masking string) error {
		text := strings.Replace(good, "access:", "  - {name: vm1, type: ssh, address: \"h:22\", username: u, ssh: {trust_on_first_use: true}}\naccess:", 1)
		text = strings.Replace(text, "listen: {", "listen: {ssh: 127.0.0.1:2222, ", 1)
		_, err := Parse("x.yaml", []byte(strings.Replace(text, "masking: [{use: default}]", masking, 1)), options())
		return err
	}
	for _, m := range []string{"{entities: [EMAIL_ADDRESS], requests: tokenise}", "{use: default, requests: tokenise}", "{entities: [EMAIL_ADDRESS], requests: tokenise, resources: [vm1]}"} {
		require.ErrorContains(t, with("masking: ["+m+"]"), "requests: tokenise replaces values in statements, and these resources have none: vm1", m)
	}
	for _, m := range []string{
		"{entities: [EMAIL_ADDRESS], requests: tokenise, resources: [orders]}", "{columns: [users.ssn], requests: tokenise}", "{entities: [EMAIL_ADDRESS], requests: refuse}",
	} {
		require.NoError(t, with("masking: ["+m+"]"), m)
	}
}

// TestEveryProblemIsReportedAtOnce has one file with many problems.
func TestEveryProblemIsReportedAtOnce(t *testing.T) {
	_, err := Parse("x.yaml", []byte(`listen: {postgres: nowhere}
identety: {}
resources:
  - {name: orders, type: postgress, address: db, username: app, password: hunter2}
  - {name: orders, type: postgres, address: "db:1", listen: "127.0.0.1:1", username: a, tls: {mode: verify}}
  - {name: b+c, type: ssh, address: "h:22", username: a, database: x}
access:
  - {groups: [nobody], resources: [oders], allow: [reed]}
  - {allow: [read]}
  - {groups: ["*"], resources: {env: prod}, allow: [read]}
audit: {durability: sometimes}
limits: {max_session: soon}
`), options())
	var ps Problems
	require.ErrorAs(t, err, &ps)
	require.Equal(t, []string{
		`x.yaml:1: listen.postgres: "nowhere" is not an address (write HOST:PORT, such as 127.0.0.1:6432)`,
		`x.yaml:2: unknown key "identety" (did you mean "identity"?)`,
		`x.yaml:4: resource "orders": unknown type "postgress" (did you mean "postgres"?)`,
		`x.yaml:4: resource "orders": not a reference to a secret: want one of env:…, file:… (secrets are not allowed in this file)`,
		`x.yaml:5: resource "orders" exists twice`,
		`x.yaml:5: resource "orders": unknown tls mode "verify": want disable, require, verify-ca or verify-full`,
		`x.yaml:6: resource b+c cannot be reached: nothing listens for it (give it a listen address, or set listen.ssh)`,
		`x.yaml:6: resource "b+c": a name cannot hold '+'`,
		`x.yaml:6: resource "b+c": type ssh has no databases (remove database)`,
		`x.yaml:6: resource "b+c": host_keys: no host key is known, so no connection can be made: give host_keys, host_cas or trust_on_first_use`,
		`x.yaml:8: access: unknown action "reed" (did you mean "read"?)`,
		`x.yaml:8: no resource is named "oders" (did you mean "orders"?)`,
		`x.yaml:8: the rule names group "nobody", which has no members`,
		`x.yaml:9: access-2: it names neither groups nor users, so it never applies`,
		`x.yaml:10: no resource has the labels {env: prod}, so the rule never applies`,
		`x.yaml:11: audit.durability "sometimes" is unknown (known here: each, group, os)`,
		`x.yaml:12: limits.max_session must be a time such as 30s, 15m or 8h`,
	}, strings.Split(err.Error(), "\n"))
}

// TestNoFurtherProblems: what follows from a problem is not a second one.
func TestNoFurtherProblems(t *testing.T) {
	for _, c := range []struct{ name, from, to string }{
		{"a key of the file", "access:", "acess:"},
		{"resources", "resources:", "resource:"},
		{"identity", "identity:", "identty:"},
		{"a protocol's listener", "{postgres: 127.0.0.1:6432}", "{postgrs: 127.0.0.1:6432}"},
		{"a resource's type", "type: postgres", "type: postgrse"},
		{"a resource's type that is like none", "type: postgres", "type: oracle"},
		{"a user's groups", "groups: [dev], password", "grups: [dev], password"},
		{"a resource's name", "name: orders", "nam: orders"},
		{"a list that is a word", "groups: [dev], password", "groups: dev, password"},
		{"a list that is keys", "access:", "access: {x: [connect]}\nguardrail:"},
		{"a number", "labels: {env: prod}", "labels: {env: prod}, max_session: soon"},
	} {
		t.Run(c.name, func(t *testing.T) {
			require.Contains(t, good, c.from)
			_, err := Parse("x.yaml", []byte(strings.Replace(good, c.from, c.to, 1)), options())
			var ps Problems
			require.ErrorAs(t, err, &ps)
			if strings.Contains(c.to, "guardrail:") {
				require.NotContains(t, err.Error(), "no access rule")
				return
			}
			require.Len(t, ps, 1, "%v", err)
		})
	}
}

// TestMaxStale: a bound that what is slow for a moment would break is a mistake.
func TestMaxStale(t *testing.T) {
	with := func(bound string) (*File, error) {
		return Parse("x.yaml", []byte(strings.Replace(good, "labels: {env: prod}", "labels: {env: prod}, max_stale: "+bound, 1)), options())
	}
	f, err := with("10s")
	require.NoError(t, err)
	require.Equal(t, 10*time.Second, f.Resources[0].MaxStale)
	for _, bad := range []string{"1s", "9999ms", "-1m"} {
		_, err := with(bad)
		require.ErrorContains(t, err, "max_stale", bad)
	}
}

// TestBrokenYAML: the line of a text that is not YAML is that of the mistake.
func TestBrokenYAML(t *testing.T) {
	for _, c := range []struct {
		name, text string
		line       int
	}{
		{"a key to the left", "listen:\n    postgres: a\n    ssh: b\n  data: x\n", 4},
		{"a key to the right", "listen:\n  postgres: a\n   ssh: b\n", 3},
		{"an entry to the left", "resources:\n  - name: a\n    type: b\n   listen: c\naccess: []\n", 4},
		{"a tabulator", "listen:\n\tpostgres: a\n", 2},
		{"an open bracket", "listen: {postgres: a\nresources: []\naccess:\n  - {groups: [a]}\n", 1},
		{"an open quote", "data_dir: x\ndomain: \"a\nresources: []\n", 2},
		{"a value and keys", "data_dir: x\ndomain: a\n  b: c\n", 3},
		{"a colon", "data_dir: x\ndomain: a: b\nresources: []\n", 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Parse("x.yaml", []byte(c.text), options())
			require.ErrorContains(t, err, fmt.Sprintf("x.yaml:%d: not YAML", c.line))
		})
	}
}

// Users and groups that an authenticator of the assembly's own knows may be named.
func TestUsersAndGroupsOfOthers(t *testing.T) {
	text := func(user, group string) []byte {
		return []byte("listen: {postgres: \"127.0.0.1:1\"}\nresources: [{name: orders, type: postgres, address: \"db:1\", username: app}]\n" +
			"access: [{users: [\"" + user + "\"], groups: [\"" + group + "\"], allow: [connect]}]\n")
	}
	o := options()
	_, err := Parse("x.yaml", text("corp/carol", "corp:dba"), o)
	require.ErrorContains(t, err, `group "corp:dba"`)
	require.ErrorContains(t, err, `user "corp/carol"`)
	o.Users = func(name string) bool { return strings.HasPrefix(name, "corp/") }
	o.Groups = func(name string) bool { return strings.HasPrefix(name, "corp:") }
	_, err = Parse("x.yaml", text("corp/carol", "corp:dba"), o)
	require.NoError(t, err)
	_, err = Parse("x.yaml", text("carol", "dba"), o)
	require.ErrorContains(t, err, `group "dba"`)
	require.ErrorContains(t, err, `user "carol"`)
}

func TestProblems(t *testing.T) {
	for _, c := range []struct{ name, from, to, want string }{
		{"a witness of nothing", "durability: group", "witnesses: [{name: w}]", `witness w needs one of file, url and s3`},
		{"a witness without key", "durability: group", "witnesses: [{url: \"https://w.example.com\"}]", `witness witness has no key to verify its cosignatures with`},
		{"a witness by half a key", "durability: group", "witnesses: [{url: \"https://w.example.com\", keys: [w+00000000]}]", `a witness's key is NAME+HASH+KEY`},
		{"a copy to nowhere", "durability: group", "copies: [{name: a}]", `copy a has no destination (s3: {endpoint`},
		{"a copy in clear", "durability: group", "copies: [{s3: {endpoint: \"http://s3.internal\", bucket: b, access_key: env:A, secret_key: env:B}}]", `copy copy would be sent unencrypted (use https, or set plaintext: true)`},
		{"a copy without bucket", "durability: group", "copies: [{s3: {endpoint: \"https://s3.internal\", access_key: env:A, secret_key: env:B}}]", `copy copy needs a bucket`},
		{"a key written out", "durability: group", "copies: [{s3: {endpoint: \"https://s3.internal\", bucket: b, access_key: env:A, secret_key: hunter2}}]", `copy copy: secret_key: not a reference to a secret`},
		{"a lock without days", "durability: group", "copies: [{s3: {endpoint: \"https://s3.internal\", bucket: b, access_key: env:A, secret_key: env:B, lock: {mode: complience}}}]", `unknown lock mode "complience" (did you mean "compliance"?)`},
		{"an encryption of its own", "durability: group", "copies: [{s3: {endpoint: \"https://s3.internal\", bucket: b, access_key: env:A, secret_key: env:B, encryption: DES}}]", `encryption is AES256 or aws:kms:KEY`},
		{"a name twice", "durability: group", "export: [{type: stdout, name: a}], copies: [{name: a, s3: {endpoint: \"https://s3.internal\", bucket: b, access_key: env:A, secret_key: env:B}}]", `a exists twice among the exports, copies and witnesses`},
		{"bad address", "127.0.0.1:6432}", "nowhere}", `x.yaml:1: listen.postgres: "nowhere" is not an address (write HOST:PORT, such as 127.0.0.1:6432)`},
		{"port twice", "127.0.0.1:6432}", "127.0.0.1:7432}", `x.yaml:7: resource orders: 127.0.0.1:7432 is used by listen.postgres already`},
		{"unknown type", "type: postgres", "type: postgress", `unknown type "postgress" (did you mean "postgres"?)`},
		{"unknown group", "groups: [dev], resources", "groups: [dve], resources", `x.yaml:10: the rule names group "dve", which has no members`},
		{"unknown user", "users: [alice]", "users: [bob]", `x.yaml:11: the rule names user "bob", who does not exist`},
		{"no such resource", "[ord*]", "[oders]", `x.yaml:11: no resource is named "oders" (did you mean "orders"?)`},
		{"no such label", "resources: {env: prod}, allow", "resources: {env: dev}, allow", `x.yaml:10: no resource has the labels {env: dev}, so the rule never applies`},
		{"unknown action", "[connect, read]", "[connect, reed]", `unknown action "reed"`},
		{"unknown effect", "[drop, truncate]", "[dorp]", `x.yaml:12: unknown effect "dorp" (did you mean "drop"?)`},
		{"no action", "deny: {effects: [drop, truncate]}, ", "", `x.yaml:12: a guardrail needs one of use, deny, only, hold, rewrite and warn`},
		{"two actions", "deny: {effects: [drop, truncate]}, ", "deny: {effects: [drop]}, warn: {effects: [drop]}, ", `x.yaml:12: a guardrail needs one of`},
		{"two names", "{use: default}, ", "{use: default}, {name: no-drop, deny: {effects: [alter]}}, ", `x.yaml:12: guardrail "no-drop" is defined twice`},
		{"hold for nobody", "deny: {effects: [drop, truncate]}, ", "hold: {effects: [drop]}, ", `without them nobody can decide`},
		{"approvers of nobody", "deny: {effects: [drop, truncate]}, ", "hold: {effects: [drop]}, approvers: [ops], ", `x.yaml:12: none of the approvers [ops] has a password`},
		{"approvers of nothing", "deny: {effects: [drop, truncate]}, ", "deny: {effects: [drop]}, approvers: [dev], ", `only a holding rule has approvers`},
		{"rewrite of what", "deny: {effects: [drop, truncate]}, ", "rewrite: {relations: [t]}, limit: 5, ", `it needs the condition that a query has no LIMIT`},
		{"limit of nothing", "deny: {effects: [drop, truncate]}, ", "rewrite: {no_limit: true}, ", `and the number of rows`},
		{"limit without rewrite", "deny: {effects: [drop, truncate]}, ", "deny: {no_limit: true}, limit: 5, ", `only a rewriting rule has a limit`},
		{"rows of what", "deny: {effects: [drop, truncate]}, ", "deny: {effects: [drop], more_rows_than: 5}, ", `a condition on estimated rows or costs needs the effect read, insert, update or delete`},
		{"lost data of what", "deny: {effects: [drop, truncate]}, ", "deny: {effects: [read], destroys: true}, ", `a condition on lost data needs the effect drop or truncate: got read`},
		{"only statements", "deny: {effects: [drop, truncate]}, ", "only: {effects: [read]}, ", "`only` applies to commands, paths or requests"},
		{"commands of a database", "deny: {effects: [drop, truncate]}, ", "deny: {commands: [rm]}, ", `the rule is about commands, but none of its resources has them: orders`},
		{"unknown day", "deny: {effects: [drop, truncate]}, ", "deny: {effects: [drop]}, during: {days: [monday], zone: UTC}, ", `x.yaml:12: "monday" is not a day`},
		{"unknown zone", "deny: {effects: [drop, truncate]}, ", "deny: {effects: [drop]}, during: {days: [mon], zone: Berlin}, ", `"Berlin" is not a time zone`},
		{"no zone", "deny: {effects: [drop, truncate]}, ", "deny: {effects: [drop]}, during: {days: [mon]}, ", `hours need a zone`},
		{"hours of no length", "deny: {effects: [drop, truncate]}, ", "deny: {effects: [drop]}, outside: {times: \"09:00-09:00\", zone: UTC}, ", `the hours end at the time at which they begin`},
		{"hours always", "deny: {effects: [drop, truncate]}, ", "deny: {effects: [drop]}, during: {days: [mon-sun], zone: UTC}, ", `the hours cover the whole week`},
		{"both hours", "deny: {effects: [drop, truncate]}, ", "deny: {effects: [drop]}, during: {days: [mon], zone: UTC}, outside: {days: [tue], zone: UTC}, ", `give only one of the two`},
		{"a pack with approvers", "{use: default}", "{use: default, approvers: [dev]}", `a pack brings its own names and actions`},
		{"bad mode", "mode: require", "mode: verify", `unknown tls mode "verify"`},
		{"answer to requests", "masking: [{use: default}]", "masking: [{entities: [EMAIL_ADDRESS], requests: reufse}]", `did you mean "refuse"?`},
		{"key of requests", "masking: [{use: default}]", "masking: [{entities: [EMAIL_ADDRESS], request: refuse}]", `did you mean "requests"?`},
		{"requests that switch off", "masking: [{use: default}]", "masking: [{use: off, requests: refuse}]", `requests has no effect together with use: off`},
		{"recognizer of everything", "masking: [{use: default}]", "masking: [{recognize: {entity: X, pattern: '.*'}}]", `x.yaml:13: masking: recognizer "X": pattern matches the empty text`},
		{"recognizer and rule", "masking: [{use: default}]", "masking: [{use: default, recognize: {entity: X, pattern: abcd}}]", `use has no effect together with recognize (write an entry of its own for that)`},
		{"analyzer without TLS", "masking: [{use: default}]", "masking: [{use: default}]\nmasking_analyzer: {url: 'http://elsewhere.internal/analyze', columns: [a.b]}", `masking_analyzer: external analyzer: texts do not leave this machine without TLS`},
		{"analyzer of nothing", "masking: [{use: default}]", "masking: [{use: default}]\nmasking_analyzer: {url: 'https://a.internal/analyze'}", `an external analyzer needs a function and columns`},
		{"analyzer's score", "masking: [{use: default}]", "masking: [{use: default}]\nmasking_analyzer: {url: 'https://a.internal/analyze', columns: [a.b], least_score: high}", `masking_analyzer.least_score must be a number`},
		{"analyzer's score beyond all", "masking: [{use: default}]", "masking: [{use: default}]\nmasking_analyzer: {url: 'https://a.internal/analyze', columns: [a.b], least_score: .inf}", `masking_analyzer.least_score must be a number`},
		{"analyzer's failures", "masking: [{use: default}]", "masking: [{use: default}]\nmasking_analyzer: {url: 'https://a.internal/analyze', columns: [a.b], on_failure: maybe}", `unknown on_failure "maybe"`},
		{"unknown validator", "masking: [{use: default}]", "masking: [{recognize: {entity: X, pattern: abcd, validator: crc}}]", `unknown validator "crc"`},
		{"durability", "durability: group", "durability: groop", `x.yaml:14: audit.durability "groop" is unknown (did you mean "group"?)`},
		{"unknown export", "durability: group", "export: [{type: sylog, address: \"a:1\"}]", `x.yaml:14: unknown type of export "sylog" (did you mean "syslog"?)`},
		{"unknown channel", "audit: {", "notify: [{type: webhok}]\naudit: {", `x.yaml:14: unknown type of notify "webhok" (did you mean "webhook"?)`},
		{"channel twice", "audit: {", "notify: [{type: webhook, url: \"https://hooks.example.com/x\", keys: [env:K]}, {type: webhook, url: \"https://hooks.example.com/x\", keys: [env:K]}]\naudit: {", `notify webhook exists twice (give them names)`},
		{"channel's name", "audit: {", "notify: [{type: webhook, url: \"https://hooks.example.com/x\", keys: [env:K], name: a/b}]\naudit: {", `notify: channel "a/b": want 1 to 64 letters`},
		{"channel's event", "audit: {", "notify: [{type: webhook, url: \"https://hooks.example.com/x\", keys: [env:K], events: [aproved]}]\naudit: {", `notify webhook: unknown event "aproved" (did you mean "approved"?)`},
		{"channel of no event", "audit: {", "notify: [{type: webhook, url: \"https://hooks.example.com/x\", keys: [env:K], events: []}]\naudit: {", `notify[0].events is empty`},
		{"channel of no resource", "audit: {", "notify: [{type: webhook, url: \"https://hooks.example.com/x\", keys: [env:K], resources: [oders]}]\naudit: {", `no resource is named "oders" (did you mean "orders"?)`},
		{"channel in clear", "audit: {", "notify: [{type: webhook, url: \"http://x\", keys: [env:K]}]\naudit: {", `notify webhook would send unencrypted (use https, or set plaintext: true)`},
		{"channel to nowhere", "audit: {", "notify: [{type: webhook, keys: [env:K]}]\naudit: {", `notify webhook needs a url`},
		{"channel with a user", "audit: {", "notify: [{type: webhook, url: \"https://hunter2@x\", keys: [env:K]}]\naudit: {", `notify webhook needs a url`},
		{"channel unsigned", "audit: {", "notify: [{type: webhook, url: \"https://x\"}]\naudit: {", `notify webhook has no keys to sign with`},
		{"channel's key in clear", "audit: {", "notify: [{type: webhook, url: \"https://x\", keys: [hunter2]}]\naudit: {", `notify webhook: not a reference to a secret`},
		{"mail's security", "audit: {", "notify: [{type: smtp, address: \"mail.example.com:587\", from: a@example.com, to: [b@example.com], security: ssl}]\naudit: {", `notify smtp: unknown security "ssl"`},
		{"mail to nobody", "audit: {", "notify: [{type: smtp, address: \"mail.example.com:587\", from: a@example.com}]\naudit: {", `notify smtp: smtp: got nobody to send to`},
		{"mail to a wrong word", "audit: {", "notify: [{type: smtp, address: \"mail.example.com:587\", from: a@example.com, to: [aprovers]}]\naudit: {", `notify smtp: smtp: to: "aprovers" is not a mail address`},
		{"mail to nowhere", "audit: {", "notify: [{type: smtp, address: \"mail.example.com\", from: a@example.com, to: [b@example.com]}]\naudit: {", `notify smtp: smtp: address: got "mail.example.com", want HOST:PORT`},
		{"mail's password in clear", "audit: {", "notify: [{type: smtp, address: \"mail.example.com:587\", from: a@example.com, to: [b@example.com], username: u, password: hunter2}]\naudit: {", `notify smtp: not a reference to a secret`},
		{"mail's password unprotected", "audit: {", "notify: [{type: smtp, address: \"mail.example.com:587\", from: a@example.com, to: [b@example.com], username: u, password: env:P, security: none}]\naudit: {", `a password is not sent without TLS`},
		{"mail's url", "audit: {", "notify: [{type: smtp, address: \"mail.example.com:587\", from: a@example.com, to: [b@example.com], url: \"https://x\", keys: [env:K]}]\naudit: {", `notify smtp: type smtp has no keys`},
		{"slack's channel", "audit: {", "notify: [{type: slack, channel: general, token: env:T}]\naudit: {", `notify slack: slack: channel: got "general", want an identifier such as C0123456789`},
		{"slack's token", "audit: {", "notify: [{type: slack, channel: C0123456789}]\naudit: {", `notify slack: slack: token: got nothing`},
		{"slack's token in clear", "audit: {", "notify: [{type: slack, channel: C0123456789, token: hunter2}]\naudit: {", `notify slack: not a reference to a secret`},
		{"deciding in Slack in two ways", "audit: {", "notify: [{type: slack, channel: C0123456789, token: env:T, signing_secret: env:S, app_token: env:A}]\naudit: {", `notify slack has both signing_secret and app_token`},
		{"runbooks in Slack", "audit: {", "notify: [{type: slack, channel: C0123456789, token: env:T, runbooks: true}]\naudit: {", `deciding about runbooks in Slack needs the signing secret or the app's token`},
		{"deciding in Slack", "audit: {", "notify: [{type: slack, channel: C0123456789, token: env:T, signing_secret: env:S}]\naudit: {", `notify slack: deciding in Slack needs the API, where Slack reaches it`},
		{"slack's keys", "audit: {", "notify: [{type: slack, channel: C0123456789, token: env:T, keys: [env:K]}]\naudit: {", `notify slack: type slack has no keys`},
		{"teams' address in clear", "audit: {", "notify: [{type: teams, url: \"https://x/?sig=hunter2\"}]\naudit: {", `notify teams needs a url, as a reference`},
		{"teams without address", "audit: {", "notify: [{type: teams}]\naudit: {", `notify teams needs a url, as a reference`},
		{"teams' key", "audit: {", "notify: [{type: teams, url: env:U, key: env:K}]\naudit: {", `notify teams: type teams has no key`},
		{"teams' bot and address", "audit: {", "notify: [{type: teams, app_id: 11111111-2222-3333-4444-555555555555, app_secret: env:S, tenant: 3f3d1cea-7a18-41af-872b-cfbbd5140984, channel: \"19:abcdef@thread.tacv2\", url: env:U}]\naudit: {", `notify teams: url and private are for a workflow, and app_id for a bot`},
		{"teams' bot without itself", "audit: {", "notify: [{type: teams, url: env:U, tenant: t}]\naudit: {", `are for a bot, which has an app_id`},
		{"teams' bot", "audit: {", "notify: [{type: teams, app_id: bot, app_secret: env:S}]\naudit: {", `notify teams: teams: want the identifiers of the bot's registration and of the directory`},
		{"teams' bot's secret in clear", "audit: {", "notify: [{type: teams, app_id: 11111111-2222-3333-4444-555555555555, app_secret: hunter2}]\naudit: {", `notify teams: not a reference to a secret`},
		{"teams' provider", "audit: {", "notify: [{type: teams, app_id: 11111111-2222-3333-4444-555555555555, app_secret: env:S, tenant: 3f3d1cea-7a18-41af-872b-cfbbd5140984, channel: \"19:abcdef@thread.tacv2\", provider: entra}]\naudit: {", `notify teams: provider is for deciding in Teams`},
		{"deciding in Teams", "audit: {", "notify: [{type: teams, app_id: 11111111-2222-3333-4444-555555555555, app_secret: env:S, tenant: 3f3d1cea-7a18-41af-872b-cfbbd5140984, channel: \"19:abcdef@thread.tacv2\", decide: true}]\naudit: {", `notify teams: deciding in Teams needs the API, where Teams reaches it`},
		{"deciding in Teams as nobody", "audit: {", "notify: [{type: teams, app_id: 11111111-2222-3333-4444-555555555555, app_secret: env:S, tenant: 3f3d1cea-7a18-41af-872b-cfbbd5140984, channel: \"19:abcdef@thread.tacv2\", decide: true, provider: entra}]\napi: {listen: 127.0.0.1:8443, url: \"https://gw.example.com\"}\naudit: {", `deciding in Teams needs the provider by which people of the tenant log in, got "entra"`},
		{"pagerduty's key", "audit: {", "notify: [{type: pagerduty}]\naudit: {", `notify pagerduty: pagerduty: key: want the integration key`},
		{"pagerduty's key in clear", "audit: {", "notify: [{type: pagerduty, key: hunter2}]\naudit: {", `notify pagerduty: not a reference to a secret`},
		{"pagerduty in clear", "audit: {", "notify: [{type: pagerduty, key: env:K, url: \"http://x\"}]\naudit: {", `notify pagerduty: pagerduty: url: want https://HOST`},
		{"opsgenie's key", "audit: {", "notify: [{type: opsgenie}]\naudit: {", `notify opsgenie: opsgenie: got no key`},
		{"opsgenie's token", "audit: {", "notify: [{type: opsgenie, key: env:K, token: env:T}]\naudit: {", `notify opsgenie: type opsgenie has no token`},
		{"jira's project", "audit: {", "notify: [{type: jira, url: \"https://x\", token: env:T, project: Operations team, issue_type: Task}]\naudit: {", `notify jira: jira: project: got "Operations team", want a project's key`},
		{"jira's token in clear", "audit: {", "notify: [{type: jira, url: \"https://x\", token: hunter2, project: OPS, issue_type: Task}]\naudit: {", `notify jira: not a reference to a secret`},
		{"jira in clear", "audit: {", "notify: [{type: jira, url: \"http://x\", token: env:T, project: OPS, issue_type: Task}]\naudit: {", `notify jira: jira: url: want https://HOST`},
		{"jira's channel", "audit: {", "notify: [{type: jira, url: \"https://x\", token: env:T, project: OPS, issue_type: Task, channel: C1}]\naudit: {", `notify jira: type jira has no channel`},
		{"jira's people", "audit: {", "notify: [{type: jira, url: \"https://x\", token: env:T, project: OPS, issue_type: Task, people: {a: alice}}]\naudit: {", `people, poll and signing_secret are for deciding in Jira (set decide: true, or remove them)`},
		{"jira's statuses", "audit: {", "notify: [{type: jira, url: \"https://x\", username: u, token: env:T, project: OPS, issue_type: Task, decide: true, statuses: {approved: A}}]\naudit: {", `needs the names of three: waiting, approved and denied`},
		{"jira's statuses alike", "audit: {", "notify: [{type: jira, url: \"https://x\", username: u, token: env:T, project: OPS, issue_type: Task, decide: true, statuses: {waiting: W, approved: Done, denied: done}}]\naudit: {", `must not be the same`},
		{"jira's unknown status", "audit: {", "notify: [{type: jira, url: \"https://x\", token: env:T, project: OPS, issue_type: Task, statuses: {aproved: A}}]\naudit: {", `aproved`},
		{"data center by mail", "audit: {", "notify: [{type: jira, url: \"https://x\", token: env:T, service_desk: \"1\", request_type: \"2\", decide: true}]\naudit: {", `who decides in Jira Data Center is known by people alone`},
		{"jira's unknown people", "audit: {", "notify: [{type: jira, url: \"https://x\", token: env:T, service_desk: \"1\", request_type: \"2\", decide: true, people: {a: alcie}}]\naudit: {", `people names user "alcie", who does not exist`},
		{"deciding about nothing", "audit: {", "notify: [{type: jira, url: \"https://x\", token: env:T, service_desk: \"1\", request_type: \"2\", decide: true, people: {a: alice}, events: [approved]}]\naudit: {", `people decide about what they are told of when it is asked for, and events has no asked`},
		{"jira's poll", "audit: {", "notify: [{type: jira, url: \"https://x\", token: env:T, service_desk: \"1\", request_type: \"2\", decide: true, people: {a: alice}, poll: 1s}]\naudit: {", `poll: got 1s, want 5s to 30m0s`},
		{"jira's webhook", "audit: {", "notify: [{type: jira, url: \"https://x\", token: env:T, service_desk: \"1\", request_type: \"2\", decide: true, people: {a: alice}, signing_secret: env:S}]\naudit: {", `webhooks of Jira need the API, where Jira reaches it`},
		{"on-call type", "audit: {", "oncall: [{name: a, type: pagerdty, schedule: PI7DH85, token: env:T}]\naudit: {", `unknown type of oncall "pagerdty" (did you mean "pagerduty"?)`},
		{"on-call name", "audit: {", "oncall: [{type: pagerduty, schedule: PI7DH85, token: env:T}]\naudit: {", `oncall: the name: got "", want 1 to 64 letters`},
		{"on-call twice", "audit: {", "oncall: [{name: a, type: pagerduty, schedule: PI7DH85, token: env:T}, {name: a, type: opsgenie, schedule: s, token: env:T}]\naudit: {", `oncall a exists twice`},
		{"on-call of nobody", "audit: {", "oncall: [{name: a, type: pagerduty, token: env:T}]\naudit: {", `oncall a: pagerduty: want a schedule or an escalation policy`},
		{"on-call policy", "audit: {", "oncall: [{name: a, type: opsgenie, schedule: s, escalation_policy: p, token: env:T}]\naudit: {", `oncall a: type opsgenie has no escalation_policy`},
		{"on-call token", "audit: {", "oncall: [{name: a, type: opsgenie, schedule: s}]\naudit: {", `oncall a: opsgenie: got no key`},
		{"on-call token in clear", "audit: {", "oncall: [{name: a, type: opsgenie, schedule: s, token: hunter2}]\naudit: {", `oncall a: not a reference to a secret`},
		{"on-call group", "audit: {", "oncall: [{name: a, type: opsgenie, schedule: s, token: env:T, groups: [dve]}]\naudit: {", `the rule names group "dve", which has no members`},
		{"on-call group of nobody", "audit: {", "oncall: [{name: a, type: opsgenie, schedule: s, token: env:T, groups: []}]\naudit: {", `oncall[0].groups is empty`},
		{"on-call approvers", "allow: [connect, read]}", "allow: [connect, read], review: {approvers: [\"oncall:b\"]}}", `the approvers are those on call at "b", and no entry of oncall has this name`},
		{"a name of a policy in Rego", "allow: [connect, read]}", "allow: [connect, read], name: \"opa:a\", request: {approvers: [dba]}}", `names that begin with opa: are those of policies in Rego`},
		{"on-call approvers of a request", "allow: [connect, read]}", "allow: [connect, read], name: a, request: {stages: [{approvers: [\"oncall:b\"]}]}}", `the approvers are those on call at "b"`},
		{"on-call approvers of a guardrail", "{deny: {effects: [drop, truncate]}", "{approvers: [\"oncall:b\"], hold: {effects: [drop, truncate]}", `the approvers are those on call at "b"`},
		{"a group on call", "groups: [dev], resources", "groups: [\"oncall:b\"], resources", `the rule names group "oncall:b", which has no members`},
		{"export twice", "durability: group", "export: [{type: stdout}, {type: stdout}]", `export stdout exists twice`},
		{"export in clear", "durability: group", "export: [{type: webhook, url: \"http://x\", keys: [env:K]}]", `would send events unencrypted (use https, or set plaintext: true)`},
		{"export unsigned", "durability: group", "export: [{type: webhook, url: \"https://x\"}]", `has no keys to sign with`},
		{"export's key in clear", "durability: group", "export: [{type: webhook, url: \"https://x\", keys: [hunter2]}]", `not a reference to a secret`},
		{"export to nowhere", "durability: group", "export: [{type: file}]", `export file needs a path`},
		{"export's format", "durability: group", "export: [{type: stdout, format: ocfs}]", `unknown format "ocfs" (did you mean "ocsf"?)`},
		{"retention", "durability: group", "retention: [{resources: {env: prod}}]", `audit.retention: days must be given`},
		{"audit key in clear", "durability: group", "key: aGVsbG8=", `not a reference to a secret`},
		{"old keys alone", "durability: group", "old_keys: [env:X]", `audit.old_keys without audit.key`},
		{"metrics", "data_dir: ./data", "data_dir: ./data\nmetrics: everywhere", `metrics: "everywhere" is not an address`},
		{"an original's key", "durability: group", "recordings: [{original_to: age1x}]", `audit.recordings: original_to is not a public key of age`},
		{"a recording's word", "durability: group", "recordings: [{rows: all}]", `audit.recordings: rows: "all" is unknown`},
		{"input without a terminal", "durability: group", "recordings: [{terminal: off, input: true}]", `input is what the terminal echoes`},
		{"MCP without the API", "audit: {", "mcp: {enabled: true}\naudit: {", `mcp.enabled needs the API`},
		{"rows for AI agents", "audit: {", "mcp: {rows: 20000}\naudit: {", `mcp.rows: got 20000, want 1 to 10000`},
		{"bytes for AI agents", "audit: {", "mcp: {bytes: -1}\naudit: {", `mcp.bytes: got -1, want 1 to 4194304`},
		{"via nobody who can come in", "db.internal:5432,", "db.internal:5432, via: berlin,", `via berlin: no agent can connect, since nothing listens for agents`},
		{"via a name that agents cannot have", "db.internal:5432,", "db.internal:5432, via: Berlin 1,", `via: the name of an agent has 1 to 63 lower-case letters`},
		{"a socket via an agent", "address: db.internal:5432,", "address: \"unix:/run/x\", via: berlin,", `via berlin: an agent connects by TCP only`},
		{"agents come in nowhere", "audit: {", "tunnel: {address: \"gw:1\"}\naudit: {", `tunnel needs an address to listen at`},
		{"agents come in at a word", "audit: {", "tunnel: {listen: here}\naudit: {", `tunnel.listen: "here" is not an address`},
		{"agents are told a word", "audit: {", "tunnel: {listen: \":8444\", address: gw}\naudit: {", `tunnel.address: "gw" is not how agents reach the gateway`},
		{"agents come in where databases do", "audit: {", "tunnel: {listen: \"127.0.0.1:6432\"}\naudit: {", `127.0.0.1:6432 is used by tunnel.listen already`},
		{"key twice", "data_dir: ./data", "data_dir: a\ndata_dir: b", `"data_dir" is given twice`},
		{"anchor", "data_dir: ./data", "data_dir: &x data", "anchor"},
		{"not YAML", "listen: {", "listen: {{", "not YAML"},
		{"user without anything", `, password: "` + verifier + `"`, "", `user "alice" cannot log in`},
		{"password in clear", verifier, "hunter2", `password is not a verifier`},
		{"secret in clear", "env:DB_PASSWORD", "hunter2", "secrets are not allowed in this file"},
		{"two documents", "audit:", "---\naudit:", "more than one document"},
	} {
		t.Run(c.name, func(t *testing.T) {
			require.Contains(t, good, c.from)
			_, err := Parse("x.yaml", []byte(strings.Replace(good, c.from, c.to, 1)), options())
			var ps Problems
			require.ErrorAs(t, err, &ps)
			require.Contains(t, err.Error(), c.want)
			require.NotContains(t, err.Error(), "hunter2")
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add(good)
	f.Add("a: &a [*a]")
	f.Add("listen: {ssh: a, ssh: b, x: {}}\nresources: [{type: ssh, ssh: {env: [A]}, env: [B], md5: true}, {type: [ssh]}, {<<: {}, postgres: &x 5}]")
	f.Add("resources:\n-\nguardrails: [{deny: {}}]")
	f.Add("masking: [{use: off, recognize: {}}, {use: default}]\nguardrails: [{use: off}, {use: default, resources: {read-only: a}}]")
	f.Add("resources: [{labels: {a: b, a: c}}]")
	f.Add(strings.Replace(good, "allow: [connect, read]}", "allow: [connect, read], claims: {t: [a, '[']}, kinds: [agent], protocols: [ssh], relations: [a.b], when: {hours: [{days: [mon], zone: UTC}], "+
		"networks: [10.0.0.0/8], login_within: 1h, methods: [oidc]}, unless: {}, review: {approvers: [dev], for: 1s}, session: 1h, idle: 0s, budget: {rows: 1}, masking: [p], recording: full}", 1))
	f.Add(strings.Replace(good, "masking: [{use: default}]", "masking: [{profile: p, use: default}]\npolicy: {opa: {dirs: [a], bundles: [{file: b, keys: [{id: a, file: b, algorithm: c}]}], timeout: 1s, volatile: [x]}}", 1))
	f.Fuzz(func(t *testing.T, text string) {
		file, err := Parse("x.yaml", []byte(text), options())
		if err == nil {
			if _, err := file.Policy(); err != nil {
				t.Fatalf("a file without problems has a policy that cannot be built: %v", err)
			}
			if _, err := file.Users(); err != nil {
				t.Fatalf("a file without problems has users that cannot be built: %v", err)
			}
			if _, err := file.Guardrail(guardrail.Config{}); err != nil {
				t.Fatalf("a file without problems has guardrails that cannot be built: %v", err)
			}
			file.Notices()
		}
	})
}

func TestRecognizers(t *testing.T) {
	text := strings.Replace(good, "masking: [{use: default}]", `masking: [{use: default}, {recognize: {entity: BADGE, pattern: 'BG-[0-9]{4}'}}, {entities: [BADGE], with: redact}]`, 1)
	f, err := Parse("x.yaml", []byte(text), options())
	require.NoError(t, err)
	detector, err := f.detector()
	require.NoError(t, err)
	require.Len(t, detector.Find(nil, []byte("my BG-1234 is lost")), 1)
}
