package config

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/masking"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/revision"
)

// withObjects is the section by which a file says that entries may come from the store.
const withObjects = "objects: {approval: weakening}\n"

// small is a file whose gateway withObjects objects.
const small = `listen: {postgres: 127.0.0.1:6432, ssh: 127.0.0.1:2222}
identity:
  users:
    - {name: alice, groups: [dev], password: "` + verifier + `"}
    - {name: bob, groups: [ops], password: "` + verifier + `"}
control: [{groups: [ops], allow: [configure]}]
` + withObjects + `secrets: {vault: {address: "https://vault.internal", jwt: {role: r, token: "env:T"}}}
resources:
  - {name: orders, type: postgres, address: "db.internal:5432", username: app, labels: {env: prod}}
access:
  - {name: developers, groups: [dev], allow: [connect, read]}
`

func smallFile(t *testing.T) *File {
	t.Helper()
	f, err := Parse("sallyport.yaml", []byte(small), withKinds())
	require.NoError(t, err)
	return f
}

func stored(t *testing.T, text string) []revision.Object {
	t.Helper()
	list, err := ReadObjects("team.yaml", []byte(text))
	require.NoError(t, err)
	return list
}

// changesTo are the changes by which objects are made.
func changesTo(list []revision.Object) (changes []revision.Change) {
	for _, o := range list {
		changes = append(changes, revision.Change{Key: o.Key, After: o.Text})
	}
	return changes
}

const team = `# the team's
resources:
  - name: billing
    type: postgres
    address: billing.internal:5432   # moved in May
    username: app
    password: vault:kv/billing#password
    labels: {env: prod, team: billing}
access:
  - {name: billing-readers, groups: [dev], resources: [billing], allow: [connect, read]}
guardrails:
  - {name: keep-tables, deny: {effects: [drop]}}
masking:
  - {name: salaries, columns: [people.salary], with: redact}
identity:
  users:
    - {name: carol, groups: [dev], password: "` + verifier + `"}
`

func TestReadObjects(t *testing.T) {
	list := stored(t, team)
	var names []string
	for _, o := range list {
		names = append(names, o.String())
	}
	require.Equal(t, []string{"resource/billing", "access/billing-readers", "guardrail/keep-tables", "masking/salaries", "user/carol"}, names)
	require.NotContains(t, list[0].Text, "#  moved")
	text, err := WriteObjects(list)
	require.NoError(t, err)
	require.Equal(t, list, stored(t, string(text)), "what is written is read as the same")
	for i := range list {
		list[i].Version = int64(40 + i)
	}
	text, err = WriteObjects(list)
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(string(text), "store_version: 44\n"), string(text))
	for i, o := range stored(t, string(text)) {
		require.EqualValues(t, 44, o.Version, o.Key)
		list[i].Version = 0
	}
	require.Equal(t, list, stored(t, strings.ReplaceAll(team, "\naccess:", "\n---\naccess:")), "documents of one file")
	require.Equal(t, list, stored(t, "---\n# before\n---\n"+team+"---\n"), "and empty ones")

	for _, message := range []string{"|4-\n          \tb", "|4-\n         b", "|-\n      a\n       b", "\"\\n\\n a\"", "' a'", ">\n      a\n      b"} {
		list := stored(t, "guardrails:\n  - name: g\n    deny: {effects: [drop]}\n    message: "+message)
		_, err := smallFile(t).Try(list, changesTo(list))
		require.NoError(t, err, "%q as %q", message, list[0].Text)
	}

	for _, c := range []struct{ name, text, says string }{
		{"nothing", "", "there is no object"},
		{"no name", "access: [{groups: [dev], allow: [connect]}]", "team.yaml:1: an entry of access has no name"},
		{"a bad name", "access: [{name: a/b, groups: [dev]}]", `access "a/b": a name cannot hold '/'`},
		{"for the file alone", "access: [{name: a}]\ncontrol: []", `team.yaml:2: "control" is for the config file alone`},
		{"a version of its own", "store_version: new\naccess: [{name: a}]", `team.yaml:1: store_version: got "new", want a number`},
		{"no version", "store_version: 0\naccess: [{name: a}]", `store_version: got "0", want a number`},
		{"providers", "identity: {providers: []}", `"identity.providers" is for the config file alone`},
		{"two lists", "access: [{name: a}]\naccess: [{name: b}]", `team.yaml:2: "access" is given twice`},
		{"two lists of users", "identity:\n  users: [{name: a}]\n  users: [{name: b}]", `team.yaml:3: "identity.users" is given twice`},
		{"a document of something else", "- a\n---\naccess: [{name: a}]", "team.yaml:1: a document must be keys and values"},
		{"identity of something else", "identity: []", "team.yaml:1: identity must be keys and values"},
		{"a name", "access:\n  - developers", "team.yaml:2: an entry of access must be keys and values"},
		{"a list of words", "access: [[name, a]]", "an entry of access must be keys and values"},
		{"nothing as a name", "access: [{name: ~, groups: [dev]}]", "an entry of access has no name"},
		{"not a list", "access: {name: a}", "access must be a list"},
		{"an anchor", "access: [&a {name: a}, {name: b, x: *a}]", "uses an anchor"},
		{"not YAML", "access: [", "not YAML"},
		{"long", "access:\n  - name: a\n    groups:\n" + strings.Repeat("      - {a: b}\n", objectLines), "lines"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := ReadObjects("team.yaml", []byte(c.text))
			require.ErrorContains(t, err, c.says)
		})
	}
}

// TestFrom: objects of the store are used as those of the file are, and say where they are.
func TestFrom(t *testing.T) {
	f := smallFile(t)
	list := stored(t, team)
	with, err := f.Try(list, changesTo(list))
	require.NoError(t, err)
	require.Len(t, with.Resources, 2)
	require.Len(t, with.Access, 2)
	require.Len(t, with.Identity.Users, 3)
	require.Equal(t, "store: resource/billing:1", with.At("billing"))
	require.Equal(t, "sallyport.yaml:10", with.At("orders"))
	require.NotEmpty(t, with.guardrailRules())
	require.Greater(t, len(with.guardrailRules()), 1, "the default pack stays on")
	before, err := f.Version()
	require.NoError(t, err)
	after, err := with.Version()
	require.NoError(t, err)
	require.NotEqual(t, before, after)

	none, err := with.From(nil)
	require.NoError(t, err)
	same, err := none.Version()
	require.NoError(t, err)
	require.Equal(t, before, same)
}

// TestHidden: what the file defines is not changed from the store.
func TestHidden(t *testing.T) {
	f := smallFile(t)
	list := stored(t, "access: [{name: developers, groups: [dev], allow: [all]}]\nresources: [{name: orders, type: postgres, address: 'evil.example:5432', username: app}]\nidentity: {users: [{name: alice, groups: [ops]}]}")
	_, err := f.Try(list, changesTo(list))
	require.ErrorContains(t, err, "the config file has the resource orders")
	with, err := f.From(list)
	require.NoError(t, err, "one that the file has by now is left out")
	require.Len(t, with.Hidden(), 3)
	require.Len(t, with.Access, 1)
	require.Equal(t, []string{"connect", "read"}, with.Access[0].Allow)
	require.Equal(t, "db.internal:5432", with.Resources[0].Address)
	require.Equal(t, []string{"dev"}, with.Identity.Users[0].Groups)
}

// TestForeign: objects of the store do not reach the gateway's own host, and do not say where packs apply.
func TestForeign(t *testing.T) {
	f := smallFile(t)
	resource := func(rest string) string {
		return "resources: [{name: x, type: postgres, username: app, " + rest + "}]"
	}
	for _, c := range []struct{ name, text, says string }{
		{"a variable", resource(`address: "h:1", password: "env:SECRET"`), `"env:SECRET" leads to the gateway's own host`},
		{"a file", resource(`address: "h:1", password: "file:/etc/shadow"`), "leads to the gateway's own host"},
		{"an account", `resources: [{name: x, type: postgres, address: "h:1", accounts: [{name: a, username: a, password: "vault:x#y"}, {name: b, username: b, password: "env:B"}]}]`, "leads to the gateway's own host"},
		{"own account", resource(`address: "h:1", own_account: {username: a, password: "file:x"}`), "leads to the gateway's own host"},
		{"a key", `resources: [{name: x, type: ssh, address: "h:1", username: a, key: "file:key", ssh: {trust_on_first_use: true}}]`, "leads to the gateway's own host"},
		{"a socket", resource(`address: "unix:/var/run/docker.sock"`), "a socket of the gateway's host"},
		{"authorities of a file", resource(`address: "h:1", tls: {ca: /etc/passwd}`), "tls.ca: a resource of the store cannot name a file"},
		{"a certificate of a file", resource(`address: "h:1", tls: {cert: c.pem, key: "vault:x#y"}`), "tls.cert: a resource of the store cannot name a file"},
		{"a private key of a file", resource(`address: "h:1", tls: {cert: "-----BEGIN CERTIFICATE-----", key: k.pem}`), "tls.key: a resource of the store cannot name a file"},
		{"a key by a local reference", resource(`address: "h:1", tls: {cert: "-----BEGIN CERTIFICATE-----", key: "file:k.pem"}`), "leads to the gateway's own host"},
		{"a group of a provider", `identity: {users: [{name: u, groups: [dev, "entra:gateway-admins"], password: "` + verifier + `"}]}`, `user "u" of the store cannot be in the group "entra:gateway-admins": entra says who is`},
		{"an assigned group", `identity: {users: [{name: u, groups: ["local:dba"], password: "` + verifier + `"}]}`, "local says who is"},
		{"guardrails off", "guardrails: [{name: g, use: off}]", "a guardrail of the store has no use"},
		{"the pack elsewhere", "guardrails: [{name: g, use: default, resources: [orders]}]", "a guardrail of the store has no use"},
		{"masking off", "masking: [{name: m, use: off}]", "a masking rule of the store has no use"},
		{"the masking pack elsewhere", "masking: [{name: m, use: default, resources: [orders]}]", "a masking rule of the store has no use"},
		{"a recognizer", "masking: [{name: m, recognize: {entity: BADGE, pattern: 'BG-[0-9]{4}'}}]", "what is recognized is not said by the store"},
		{"an unknown group", "access: [{name: a, groups: [dve], allow: [connect]}]", "store: access/a:1: the rule names group"},
		{"an unknown resource", "access: [{name: a, groups: [dev], resources: [ordres], allow: [connect]}]", `no resource is named "ordres" (did you mean "orders"?)`},
		{"an unknown key", "access: [{name: a, groups: [dev], alow: [connect]}]", `unknown key`},
		{"an unknown protocol", "resources: [{name: x, type: oracle, address: 'h:1', username: a}]", `unknown type "oracle"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			list := stored(t, c.text)
			_, err := f.Try(list, changesTo(list))
			require.ErrorContains(t, err, c.says)
			require.Contains(t, err.Error(), "store: ")
		})
	}
	list := stored(t, resource(`address: "h:1", password: "vault:kv/x#y"`))
	_, err := f.Try(list, changesTo(list))
	require.NoError(t, err, "a secret manager is elsewhere")
}

// TestLater: what rules refer to may be made later, and may be gone later; a change itself refers to what is there.
func TestLater(t *testing.T) {
	f, err := Parse("sallyport.yaml", []byte(small+`  - {name: billing, groups: [dev], resources: [billing], deny: [write]}`+"\n"), withKinds())
	require.NoError(t, err, "a file whose gateway withObjects objects may name one")
	require.NotEmpty(t, f.Gone())
	_, err = Parse("sallyport.yaml", []byte(strings.Replace(small, withObjects, "", 1)+`  - {name: billing, groups: [dev], resources: [billing], deny: [write]}`+"\n"), withKinds())
	require.ErrorContains(t, err, `no resource is named "billing"`)

	list := stored(t, team)
	_, err = f.Try(list, changesTo(list))
	require.NoError(t, err)
	rules := slices.DeleteFunc(slices.Clone(list), func(o revision.Object) bool { return o.Kind == "resource" })
	_, err = f.Try(rules, []revision.Change{{Key: list[0].Key, Before: list[0].Text}})
	require.NoError(t, err, "a resource can be deleted that a rule names")
	_, err = f.Try(rules, changesTo(rules))
	require.ErrorContains(t, err, `no resource is named "billing"`, "and cannot be named once it is gone")

	// Where all rules are in the store, the file needs none.
	_, err = Parse("sallyport.yaml", []byte(small[:strings.Index(small, "access:")]), withKinds())
	require.NoError(t, err)
}

// TestFileByItself: a gateway that starts reads the file before it has objects. So a file that it withObjects while it runs
// is one that it starts with.
func TestFileByItself(t *testing.T) {
	const objects = team + `
    - {name: dora, groups: [billing], password: "` + verifier + `"}
---
masking:
  - {name: tokens, columns: [people.iban], with: tokenise}
  - {name: strict, profile: strict, columns: [people.born], with: redact}
access:
  - {name: watched, groups: [dev], masking: [strict, quiet], recording: full}
`
	for _, c := range []struct {
		name, access, more string
		never              bool // also where objects can be changed
	}{
		{"a resource", "{name: r, groups: [dev], resources: [billing], deny: [write]}", "", false},
		{"labels", "{name: r, groups: [dev], resources: {team: billing}, deny: [write]}", "", false},
		{"a protocol", "{name: r, groups: [dev], resources: [billing], protocols: [postgres], deny: [write]}", "", false},
		{"a group", "{name: r, groups: [billing], deny: [write]}", "", false},
		{"a user", "{name: r, users: [carol], deny: [write]}", "", false},
		{"approvers", "{name: r, groups: [dev], allow: [write], review: {approvers: [billing]}}", "", false},
		{"a profile", "{name: r, groups: [dev], masking: [strict], recording: full}", "", true},
		{"who asks for a profile", "{name: r, groups: [dev], deny: [write]}", "masking: [{profile: quiet, columns: [people.note], with: redact}]", false},
		{"tokens", "{name: r, groups: [dev], deny: [write]}", "masking_key: {detokenise: [ops]}", false},
	} {
		for _, configurable := range []bool{true, false} {
			t.Run(fmt.Sprint(c.name, " ", configurable), func(t *testing.T) {
				text := small
				if !configurable {
					text = strings.Replace(text, withObjects, "", 1)
				}
				name := filepath.Join(t.TempDir(), "sallyport.yaml")
				quiet := "masking: [{profile: quiet, columns: [people.note], with: redact}]\n"
				write := func(text string) { require.NoError(t, os.WriteFile(name, []byte(text), 0o600)) }
				begin := text + "  - {name: quiet, groups: [dev], masking: [quiet]}\n"
				write(begin + quiet)
				f, err := Load(name, withKinds())
				require.NoError(t, err)
				f, err = f.Try(stored(t, objects), nil)
				require.NoError(t, err)
				more := c.more
				if !strings.Contains(more, "masking:") {
					more, text = quiet+more, begin
				}
				write(text + "  - " + c.access + "\n" + more + "\n")
				next, err := f.Reload()
				_, alone := Load(name, withKinds())
				if configurable && !c.never {
					require.NoError(t, err)
					require.NoError(t, alone)
					_, err = next.Try(stored(t, objects), nil)
					require.NoError(t, err)
					return
				}
				require.Error(t, alone)
				if strings.Contains(c.name, "who asks") { // the file had somebody who did
					require.NoError(t, err)
					require.Contains(t, fmt.Sprint(next.Gone()), "before the next start, which refuses the file")
					return
				}
				require.EqualError(t, err, alone.Error())
			})
		}
	}
}

func TestKinds(t *testing.T) {
	f, err := Parse("sallyport.yaml", []byte(strings.Replace(small, withObjects, "objects: {kinds: [access], approval: never}\n", 1)), withKinds())
	require.NoError(t, err)
	list := stored(t, team)
	with, err := f.From(list)
	require.NoError(t, err)
	require.Len(t, with.Resources, 1)
	require.Len(t, with.Hidden(), 4)
	_, err = f.Try(list, changesTo(list))
	require.ErrorContains(t, err, "store: resource/billing:1: the config file does not use objects of the kind resource from the store (add resource to objects.kinds there)")
	for _, c := range []struct{ text, says string }{
		{"objects: {kinds: [acces]}", `objects.kinds: "acces" is unknown (did you mean "access"?)`},
		{"objects: {kinds: []}", "objects.kinds is empty"},
		{"objects: {approval: sometimes}", `objects.approval "sometimes" is unknown`},
	} {
		_, err := Parse("sallyport.yaml", []byte(strings.Replace(small, withObjects, c.text+"\n", 1)), withKinds())
		require.ErrorContains(t, err, c.says)
	}
}

// TestWeakens: changes that take rights away or add checks need nobody else; all others do.
func TestWeakens(t *testing.T) {
	f := smallFile(t)
	for _, c := range []struct {
		name, kind, before, after string
		weakens                   bool
	}{
		{"a grant", "access", "", "{name: a, groups: [dev], allow: [connect]}", true},
		{"a denial", "access", "", "{name: a, groups: [dev], deny: [write]}", false},
		{"a denial that is taken back", "access", "{name: a, groups: [dev], deny: [write]}", "", true},
		{"a grant that is taken back", "access", "{name: a, groups: [dev], allow: [connect]}", "", false},
		{"a review that is taken back", "access", "{name: a, groups: [dev], allow: [write], review: {approvers: [ops]}}", "", true},
		{"a bound that is taken back", "access", "{name: a, groups: [dev], allow: [write], session: 1h}", "", true},
		{"a recording that is taken back", "access", "{name: a, groups: [dev], allow: [write], recording: full}", "", true},
		{"a profile that is taken back", "access", "{name: a, groups: [dev], allow: [write], masking: [strict]}", "", true},
		{"a rule that changes", "access", "{name: a, groups: [dev], deny: [write]}", "{name: a, groups: [ops], deny: [write]}", true},
		{"a rule in other words", "access", "{name: a, groups: [dev], deny: [write]}", "name: a\ndeny: [write]\ngroups: [dev]\n", false},
		{"a rule that cannot be read", "access", "{name: a, what: 1}", "{name: a, groups: [dev], deny: [write]}", true},
		{"a guardrail", "guardrail", "", "{name: g, deny: {effects: [drop]}}", false},
		{"a list of what is allowed", "guardrail", "", "{name: g, only: {commands: [ls]}}", false},
		{"a warning", "guardrail", "", "{name: g, warn: {effects: [drop]}}", false},
		{"a LIMIT, which has a query not held that would be without one", "guardrail", "", "{name: g, rewrite: {no_limit: true}, limit: 2000000000}", true},
		{"approvers", "guardrail", "", "{name: g, hold: {effects: [drop]}, approvers: [ops]}", true},
		{"a guardrail that goes", "guardrail", "{name: g, deny: {effects: [drop]}}", "", true},
		{"a guardrail that watches", "guardrail", "{name: g, deny: {effects: [drop]}}", "{name: g, deny: {effects: [drop]}, observe: true}", true},
		{"an alert", "alert", "", "{name: a, events: [operation.refused], notify: [hook]}", false},
		{"an alert that goes", "alert", "{name: a, events: [operation.refused], notify: [hook]}", "", true},
		{"an alert that is quiet for longer", "alert", "{name: a, events: [operation.refused], notify: [hook]}", "{name: a, events: [operation.refused], notify: [hook], quiet: 24h}", true},
		{"a mask", "masking", "", "{name: m, columns: [a.b], with: redact}", false},
		{"values that are refused", "masking", "", "{name: m, columns: [a.b], with: redact, requests: refuse}", false},
		{"tokens that are stored in the place of values", "masking", "", "{name: m, columns: [a.b], with: redact, requests: tokenise}", true},
		{"a mask that goes", "masking", "{name: m, columns: [a.b], with: redact}", "", true},
		{"a weaker mask", "masking", "{name: m, columns: [a.b], with: redact}", "{name: m, columns: [a.b], with: partial}", true},
		{"a resource", "resource", "", "{name: x, type: postgres, address: 'h:1', username: a}", true},
		{"an address", "resource", "{name: x, type: postgres, address: 'h:1', username: a}", "{name: x, type: postgres, address: 'i:1', username: a}", true},
		{"a label", "resource", "{name: x, type: postgres, address: 'h:1', username: a, labels: {env: prod}}", "{name: x, type: postgres, address: 'h:1', username: a}", true},
		{"a resource that goes", "resource", "{name: x, type: postgres, address: 'h:1', username: a}", "", false},
		{"a user", "user", "", "{name: u, groups: [dev]}", true},
		{"a user who is disabled", "user", "{name: u, groups: [dev]}", "{name: u, groups: [dev], disabled: true}", false},
		{"a user who is enabled", "user", "{name: u, groups: [dev], disabled: true}", "{name: u, groups: [dev]}", true},
		{"a user who is disabled in more than that", "user", "{name: u, groups: [dev]}", "{name: u, groups: [ops], disabled: true}", true},
		{"a user who goes", "user", "{name: u, groups: [dev]}", "", false},
		{"what is not known", "thing", "", "{name: t}", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			change := revision.Change{Key: revision.Key{Kind: c.kind, Name: "x"}, Before: c.before, After: c.after}
			require.Equal(t, c.weakens, f.Weakens(change) != "", f.Weakens(change))
			g := *f
			g.ObjectRules.Approval = "never"
			require.Empty(t, g.Weakens(change))
			g.ObjectRules.Approval = "always"
			require.NotEmpty(t, g.Weakens(change))
		})
	}
}

// TestConceal: what passwords are checked by is not shown, and is kept where it is written back.
func TestConceal(t *testing.T) {
	o := stored(t, team)[4]
	_, shown := Conceal(o.Kind, o.Text, o.Text)
	require.NotContains(t, shown, "SCRAM")
	require.Contains(t, shown, "password: kept")
	back, err := Fill(revision.Object{Key: o.Key, Text: shown}, o)
	require.NoError(t, err)
	require.Equal(t, o, back)
	_, err = Fill(revision.Object{Key: o.Key, Text: shown}, revision.Object{})
	require.ErrorContains(t, err, "has none in the store that could be kept")
	_, shown = Conceal("resource", "", "password: x\n")
	require.Equal(t, "password: x\n", shown, "a reference is shown")
	_, shown = Conceal("user", "", "{")
	require.Empty(t, shown)

	// Who approves sees that a password is another, whatever else changes.
	for _, c := range []struct{ before, after, shownBefore, shownAfter string }{
		{"", "name: u\npassword: a\n", "", "name: u\npassword: changed\n"},
		{"name: u\npassword: a\n", "", "name: u\npassword: kept\n", ""},
		{"name: u\npassword: a\n", "name: u\npassword: a\nemail: e\n", "name: u\npassword: kept\n", "name: u\npassword: kept\nemail: e\n"},
		{"name: u\npassword: a\n", "name: u\npassword: b\nemail: e\n", "name: u\npassword: kept\n", "name: u\npassword: changed\nemail: e\n"},
		{"name: u\npassword: a\n", "name: u\nhash: a\n", "name: u\npassword: kept\n", "name: u\nhash: changed\n"},
		{"name: u\nhash: a\npassword: b\n", "name: u\nhash: b\npassword: b\n", "name: u\nhash: kept\npassword: kept\n", "name: u\nhash: changed\npassword: kept\n"},
	} {
		before, after := Conceal("user", c.before, c.after)
		require.Equal(t, c.shownBefore, before)
		require.Equal(t, c.shownAfter, after)
	}
}

// TestRebinds: a secret goes where it is used now, or somebody confirms that it goes elsewhere.
func TestRebinds(t *testing.T) {
	f, err := Parse("sallyport.yaml", []byte(strings.Replace(small, "username: app", `username: app, password: "vault:kv/orders#password"`, 1)+
		"masking_key: {secret: 'vault:kv/gateway#masking'}\nmasking_analyzer: {api: presidio, url: 'https://a.internal/analyze', columns: [a.b], key: 'vault:kv/analyzer'}\n"), withKinds())
	require.NoError(t, err)
	for _, c := range []struct {
		name, address, username, ref string
		moves                        bool
	}{
		{"the same", "db.internal:5432", "app", "vault:kv/orders#password", false},
		{"the same host in other words", "DB.internal.:5432", "app", "vault:kv/orders#password", false},
		{"the port that is meant", "db.internal", "app", "vault:kv/orders#password", false},
		{"another host", "evil.example:5432", "app", "vault:kv/orders#password", true},
		{"another port", "db.internal:5433", "app", "vault:kv/orders#password", true},
		{"another account", "db.internal:5432", "postgres", "vault:kv/orders#password", true},
		{"another part", "evil.example:5432", "app", "vault:kv/orders#admin", true},
		{"in other words", "evil.example:5432", "app", "vault:kv//x/../orders#password", true},
		{"the gateway's own", "evil.example:5432", "app", "vault:kv/gateway#masking", true},
		{"another part of the gateway's own", "evil.example:5432", "app", "vault:kv/gateway#store", true},
		{"what an analyzer is shown", "evil.example:5432", "app", "vault:kv/analyzer", true},
		{"by another name", "evil.example:5432", "app", "vault:kv/data/orders#password", false},
		{"one of its own", "other.internal:5432", "app", "vault:kv/other#password", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			list := stored(t, "resources: [{name: new, type: postgres, address: '"+c.address+"', username: "+c.username+", password: '"+c.ref+"'}]")
			require.Equal(t, c.moves, len(f.Rebinds(changesTo(list))) > 0, f.Rebinds(changesTo(list)))
			require.Equal(t, c.moves || c.name == "one of its own" || c.name == "by another name", len(f.Binds(changesTo(list)[0])) > 0, "who approves is told of every new use")
		})
	}
	own := stored(t, "resources: [{name: new, type: postgres, address: 'evil.example:1', username: a, own_account: {username: app, password: 'vault:kv/orders#password'}}]")
	require.Len(t, f.Rebinds(changesTo(own)), 1)
	agent := stored(t, "resources: [{name: new, type: postgres, address: 'db.internal:5432', via: berlin, username: app, password: 'vault:kv/orders#password'}]")
	require.Len(t, f.Rebinds(changesTo(agent)), 1, "the same address in another network is another place")
	key := stored(t, "resources: [{name: new, type: postgres, address: 'evil.example:1', username: a, tls: {cert: '-----BEGIN CERTIFICATE-----', key: 'vault:kv/orders#password'}}]")
	require.Len(t, f.Rebinds(changesTo(key)), 1)
}

// shown is what alice sees of a value of a column at orders.
func shown(t *testing.T, f *File, column, value string) string {
	t.Helper()
	m, err := f.Masker(t.Context(), nil, masking.Config{Key: []byte(strings.Repeat("k", 32))})
	require.NoError(t, err)
	s := &proxy.Session{Protocol: "postgres", Identity: &proxy.Identity{Subject: "alice", Groups: []string{"dev"}}, Target: proxy.Target{Resource: &proxy.Resource{Name: "orders", Type: "postgres"}}}
	h, err := m.Intercept(t.Context(), s)
	require.NoError(t, err)
	require.NotNil(t, h.Flow)
	op := &proxy.Statement{Meta: proxy.Meta{Kind: proxy.KindStatement}, Text: []byte("SELECT 1"), Facts: &proxy.Facts{Effects: proxy.EffectRead, Rows: true}}
	flow, err := h.Flow(t.Context(), op, &proxy.Shape{Kind: proxy.ShapeRows, Columns: []proxy.ShapeColumn{{Name: column, Type: 25}}})
	require.NoError(t, err)
	r := proxy.NewRow([][]byte{[]byte(value)})
	if flow.Row != nil {
		require.NoError(t, flow.Row(r))
	}
	return string(r.Value(0))
}

// TestStoredMasking: a masking rule of the store, which one person adds, adds to what the packs and the file mask.
func TestStoredMasking(t *testing.T) {
	const address = "alice@example.com"
	for _, section := range []string{
		"", "masking: [{use: default, with: redact, mode: strict}]", "masking: [{use: off}, {entities: [EMAIL_ADDRESS], with: redact}, {columns: [email], with: 'null'}]",
	} {
		f, err := Parse("sallyport.yaml", []byte(small+section+"\n"), withKinds())
		require.NoError(t, err)
		email, text := shown(t, f, "email", address), shown(t, f, "notes", "write to "+address)
		for _, c := range []struct {
			rule string
			says string // why it is refused; empty: it is not, and shows no more
		}{
			{"entities: [EMAIL_ADDRESS], with: visible", "it cannot show values"},
			{"columns: [email], write_back: allow", "let masks be written"},
			{"entities: [EMAIL_ADDRESS], with: keep-domain", ""},
			{"columns: [email], with: keep-domain", ""},
			{"db_types: [text], with: partial, keep_first: 8", ""},
		} {
			list := stored(t, "masking: [{name: m, "+c.rule+"}]")
			next, err := f.Try(list, changesTo(list))
			if c.says != "" {
				require.ErrorContains(t, err, c.says, "%s %s", section, c.rule)
				continue
			}
			require.NoError(t, err)
			require.Empty(t, f.Weakens(changesTo(list)[0]))
			if !strings.Contains(c.rule, "db_types") { // by which all columns of the type are masked
				require.Equal(t, email, shown(t, next, "email", address), "%s %s", section, c.rule)
				require.Equal(t, text, shown(t, next, "notes", "write to "+address), "%s %s", section, c.rule)
			}
			require.NotContains(t, shown(t, next, "notes", "write to "+address), "alice", "%s %s", section, c.rule)
		}
	}

	// What moves into the file is the file's.
	f := smallFile(t)
	rule := "masking: [{name: m, entities: [EMAIL_ADDRESS], with: keep-domain}]\n"
	with, err := f.From(stored(t, rule))
	require.NoError(t, err)
	own, err := Parse("sallyport.yaml", []byte(small+rule), withKinds())
	require.NoError(t, err)
	require.False(t, own.SameMasking(with))
}
