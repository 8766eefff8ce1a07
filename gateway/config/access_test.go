package config

import (
	"net/netip"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/policy"
	"github.com/sallyport/sallyport/proxy"
)

// accessed is the good file with further keys in its first access rule.
func accessed(keys string) (*File, error) {
	text := strings.Replace(good, "allow: [connect, read]}", "allow: [connect, read], "+keys+"}", 1)
	return Parse("x.yaml", []byte(text), options())
}

// TestAccessKeys: what a rule of the file says is what the policy's rule says.
func TestAccessKeys(t *testing.T) {
	f, err := accessed(`name: all-keys, claims: {team: [payments, "sre-*"]}, kinds: [human, agent], protocols: [postgres], relations: [public.orders, "sales.*"],
     when: {hours: [{days: [mon-fri], times: "09:00-17:00", zone: Europe/Berlin}, {days: [sat], zone: UTC}], networks: [10.0.0.0/8, "fd00::/8"], login_within: 1h, methods: [oidc, certificate]},
     unless: {networks: [10.9.0.0/16]},
     review: {approvers: [dev], for: 15m, message: look twice}, session: 8h, idle: 15m, budget: {statements: 100, rows: 5000}`)
	require.NoError(t, err)
	berlin, err := time.LoadLocation("Europe/Berlin")
	require.NoError(t, err)
	require.Equal(t, policy.Rule{
		Name: "all-keys", Groups: []string{"dev"}, Claims: map[string][]string{"team": {"payments", "sre-*"}},
		Kinds: []proxy.IdentityKind{proxy.Human, proxy.Agent}, Protocols: []string{"postgres"}, Labels: map[string]string{"env": "prod"},
		Relations: []string{"public.orders", "sales.*"}, Allow: []string{"connect", "read"},
		When: policy.Condition{
			Hours:    []policy.Hours{{Days: 0b0111110, From: 9 * 60, To: 17 * 60, Zone: berlin}, {Days: 1 << time.Saturday, Zone: time.UTC}},
			Networks: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}, LoginWithin: time.Hour,
			Methods: []proxy.Method{proxy.MethodOIDC, proxy.MethodCertificate},
		},
		Unless: policy.Condition{Networks: []netip.Prefix{netip.MustParsePrefix("10.9.0.0/16")}},
		Obligations: policy.Obligations{
			Review:  &policy.Review{Approvers: []string{"dev"}, For: 15 * time.Minute, Message: "look twice"},
			Session: 8 * time.Hour, Idle: 15 * time.Minute, Statements: 100, Rows: 5000,
		},
	}, f.rules()[0])
	_, err = f.Policy()
	require.NoError(t, err)
	f, err = accessed("budget: {statements: 100, rows: 5000, per: 24h}")
	require.NoError(t, err)
	require.Equal(t, policy.Obligations{Budgets: []policy.Budget{{Statements: 100, Rows: 5000, Per: 24 * time.Hour}}}, f.rules()[0].Obligations)
	other, err := accessed("name: all-keys")
	require.NoError(t, err)
	require.False(t, f.SameAccess(other))
	v, err := f.Version()
	require.NoError(t, err)
	w, err := other.Version()
	require.NoError(t, err)
	require.NotEqual(t, v.Policy, w.Policy)
}

// TestAccessProblems: what a rule cannot mean is named by file, line and key, with what to do.
func TestAccessProblems(t *testing.T) {
	for _, c := range []struct{ name, keys, want string }{
		{"a kind that is unknown", "kinds: [robot]", `x.yaml:10: access: kinds: "robot" is unknown (known here: agent, human, service)`},
		{"a kind that is like one", "kinds: [agnet]", `(did you mean "agent"?)`},
		{"no kinds", "kinds: []", `access[0].kinds is empty`},
		{"a protocol that is unknown", "protocols: [postgress]", `x.yaml:10: access: protocols: "postgress" is unknown (did you mean "postgres"?)`},
		{"a protocol of other resources", "protocols: [ssh]", `x.yaml:10: access: none of the resources that the rule chooses has the protocol ssh, so it never applies`},
		{"a claim without values", "claims: {team: []}", `claim "team" has no values, so the rule never applies`},
		{"a claim that is a word", "claims: {team: sre}", `access[0].claims.team must be a list (write it as [a, b])`},
		{"a claim's pattern", "claims: {team: ['[']}", `"[" is not a pattern`},
		{"a condition that says nothing", "when: {}", `access[0].when is empty`},
		{"a condition with nothing after it", "unless: ", `access[0].unless is empty`},
		{"a network that is a name", "when: {networks: [office]}", `x.yaml:10: access: when: "office" is not a network (write it as 10.0.0.0/8, and one address as 10.1.2.3/32)`},
		{"a network without length", "unless: {networks: [10.0.0.1]}", `access: unless: "10.0.0.1" is not a network`},
		{"a network with bits after it", "when: {networks: [10.1.2.3/8]}", `network 10.1.2.3/8 has bits after its length: want 10.0.0.0/8`},
		{"no networks", "when: {networks: []}", `access[0].when.networks is empty`},
		{"a login of no age", "when: {login_within: 0s}", `access: when.login_within: got 0, want a time such as 15m`},
		{"a method that is unknown", "unless: {methods: [certificat]}", `access: unless.methods: "certificat" is unknown (did you mean "certificate"?)`},
		{"no method", "when: {methods: [none]}", `access: when.methods: "none" is unknown`},
		{"hours without a zone", "when: {hours: [{days: [mon]}]}", `access: when: hours need a zone`},
		{"a day that is unknown", "unless: {hours: [{days: [monday], zone: UTC}]}", `access: unless: "monday" is not a day`},
		{"hours that are always", "when: {hours: [{times: \"00:00-24:00\", zone: UTC}]}", `the hours cover the whole week`},
		{"a condition's key", "when: {network: [10.0.0.0/8]}", `unknown key "access[0].when.network" (did you mean "networks"?)`},
		{"a relation that is a path", "relations: [a.b.c]", `relation "a.b.c" is not a pattern: want TABLE or SCHEMA.TABLE`},
		{"a review by nobody", "review: {for: 15m}", `its review has no approvers: without them nobody can decide`},
		{"a review by who does not exist", "review: {approvers: [ops]}", `x.yaml:10: none of the approvers [ops] has a password, so nobody could decide`},
		{"a session of no length", "session: 0s", `access: session: got 0, want a time such as 15m (leave it out for a rule without this bound)`},
		{"idle for no time", "idle: 0m", `access: idle: got 0`},
		{"a session with nothing after it", "session: ", `access[0].session is empty`},
		{"a budget of nothing", "budget: {rows: 0}", `access: budget: got 0, want numbers of 1 or more`},
		{"a budget that is empty", "budget: {}", `access[0].budget is empty`},
		{"a budget below nothing", "budget: {statements: -5}", `access[0].budget.statements must be a number that is not negative`},
		{"a budget of no time", "budget: {rows: 5, per: 0s}", `a budget per person is that of 0s, want 1m to 744h`},
		{"a budget of a moment", "budget: {rows: 5, per: 1s}", `a budget per person is that of 1s, want 1m to 744h`},
		{"a budget of time alone", "budget: {per: 1h}", `a budget per person bounds neither statements nor rows`},
		{"a budget of a long time", "budget: {rows: 5, per: 1000h}", `want 1m to 744h`},
		{"a recording that is unknown", "recording: all", `access: recording: "all" is unknown (known here: default, digest, full, sample)`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := accessed(c.keys)
			var ps Problems
			require.ErrorAs(t, err, &ps)
			require.Contains(t, err.Error(), c.want)
			require.Len(t, ps, 1+strings.Count(err.Error(), "ops\", which has no members"), "%v", err)
		})
	}
}

// TestRequestNames: a rule that is asked for has a name that no other rule comes to have.
func TestRequestNames(t *testing.T) {
	for rules, want := range map[string]string{
		`{allow: [connect, read], request: {approvers: [dba]}, groups: [dev]}`:                                                        "x.yaml:9: access: a rule with request has no name, by which what was granted of it is known (add name: to the rule)",
		"{name: prod, groups: [dev], allow: [connect], request: {approvers: [dba]}}\n  - {name: prod, groups: [dev], allow: [read]}":  `x.yaml:9: access: the rule "prod" has a request, and the rule of line 10 has the same name`,
		"{name: access-2, groups: [dev], allow: [connect], request: {approvers: [dba]}}\n  - {groups: [dev], allow: [read]}":          `x.yaml:9: access: the rule "access-2" has a request, and the rule of line 10 has the same name`,
		"{name: access-3, groups: [dev], allow: [connect], request: {approvers: [dba]}}\n  - {groups: [dev], allow: [connect, read]}": "",
	} {
		o := options()
		o.Groups = func(string) bool { return true }
		_, err := Parse("x.yaml", []byte(documented+"access:\n  - "+rules+"\n"), o)
		if want == "" {
			require.NoError(t, err)
			continue
		}
		require.ErrorContains(t, err, want)
	}
}

// TestBreakGlass: what nobody would be told of, or could take, is a problem.
func TestBreakGlass(t *testing.T) {
	const (
		api    = "api: {listen: 127.0.0.1:0, url: \"https://gw.example.com\"}\n"
		notify = "notify: [{type: webhook, url: \"https://hooks.example.com\", keys: [env:KEY]}]\n"
	)
	for _, c := range []struct{ more, glass, want string }{
		{api + notify, "{groups: [dev]}", ""},
		{api + notify, "{groups: [\"*\"], max: 30m}", ""},
		{api, "{groups: [dev]}", "x.yaml:9: access: request: break_glass: nobody would be told of access without an approval"},
		{notify, "{groups: [dev]}", "x.yaml:9: access: request: break_glass: it is taken by the API, where people prove themselves again"},
		{api + notify, "{}", "break_glass is empty"},
		{api + notify, "{max: 1h}", "access without an approval is for no groups"},
		{api + notify, "{groups: []}", "break_glass.groups is empty"},
		{api + notify, "{groups: [nobody]}", `"nobody"`},
		{api + notify, "{groups: [dev], max: 48h}", "access without an approval lasts 48h: want a minute to 24h"},
		{api + notify, "{groups: [dev], maximum: 1h}", "unknown key"},
	} {
		_, err := Parse("x.yaml", []byte(documented+"access:\n  - {name: prod, groups: [dev], allow: [connect], request: {approvers: [dba], break_glass: "+c.glass+"}}\n"+c.more), options())
		if c.want == "" {
			require.NoError(t, err)
		} else {
			require.ErrorContains(t, err, c.want)
		}
	}
}

// TestOfflineGrants: who keeps grants is several people, each with a key of her own.
func TestOfflineGrants(t *testing.T) {
	const (
		one = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE1P6dDM0RlbO/lBGDBsBuiwyfXYW41hHp3dyPYWbz1K"
		two = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFXZ8gBwNEKbR9ED6jJ8ha9j6nO4cWlOF7nVAgCmPAwS olga@laptop"
	)
	keepers := func(list ...string) string { return "{keepers: [" + strings.Join(list, ", ") + "]}" }
	olga, otto := `{name: olga, key: "`+one+`"}`, `{name: otto, key: "`+two+`"}`
	for _, c := range []struct{ grants, offline, want string }{
		{keepers(olga, otto), "true", ""},
		{keepers(olga, otto), "false", ""},
		{"", "true", "access: request: break_glass: offline: nobody keeps offline grants"},
		{keepers(olga), "true", "offline_grants: got 1 keepers, want 2 to 32"},
		{"{need: 1, keepers: [" + olga + ", " + otto + "]}", "true", "offline_grants: need: got 1, want 2 or more: nobody lets somebody in alone"},
		{"{need: 3, keepers: [" + olga + ", " + otto + "]}", "true", "got 2 keepers, want 3 to 32"},
		{keepers(olga, olga), "true", "keeper olga is there twice"},
		{keepers(olga, strings.Replace(olga, "olga", "otto", 1)), "true", "keepers olga and otto have the same key"},
		{keepers(olga, `{name: otto, key: "ssh-dss AAAA"}`), "true", "keeper otto: got"},
		{keepers(olga, `{key: "`+two+`"}`), "true", "a keeper has no name"},
	} {
		text := documented + "access:\n  - {name: prod, groups: [dev], allow: [connect], request: {approvers: [dba], break_glass: {groups: [dev], offline: " + c.offline + "}}}\n" +
			"api: {listen: 127.0.0.1:0, url: \"https://gw.example.com\"}\nnotify: [{type: webhook, url: \"https://hooks.example.com\", keys: [env:KEY]}]\n"
		if c.grants != "" {
			text += "offline_grants: " + c.grants + "\n"
		}
		f, err := Parse("x.yaml", []byte(text), options())
		if c.want != "" {
			require.ErrorContains(t, err, c.want)
			continue
		}
		require.NoError(t, err)
		list, need := f.Keepers()
		require.Len(t, list, 2)
		require.Equal(t, 2, need)
	}
}

// TestReviewsByOthers: an approver who is known to the authenticator of the assembly needs no password
// of the file.
func TestReviewsByOthers(t *testing.T) {
	o := options()
	o.Groups = func(name string) bool { return name == "corp:dba" }
	text := strings.Replace(good, "allow: [connect, read]}", "allow: [connect, read], review: {approvers: [\"corp:dba\"]}}", 1)
	_, err := Parse("x.yaml", []byte(text), o)
	require.NoError(t, err)
}

// documented is what the rules of documents are about.
const documented = `listen: {postgres: 127.0.0.1:6432}
identity:
  users:
    - {name: alice, groups: [oncall, dev, support], password: "` + verifier + `"}
    - {name: bob, groups: [dba], password: "` + verifier + `"}
resources:
  - {name: orders, type: postgres, address: db.internal, username: app, labels: {env: prod}}
`

// paper is an engine of policies that nobody asks.
type paper struct{ RegoEngine }

// TestPolicyDocument: the sections that docs/policy.md shows are ones that the gateway takes.
func TestPolicyDocument(t *testing.T) {
	text, err := os.ReadFile("../../docs/policy.md")
	require.NoError(t, err)
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllSubmatch(text, -1)
	require.NotEmpty(t, blocks)
	for _, b := range blocks {
		f, err := Parse("x.yaml", append([]byte(documented), b[1]...), options())
		require.NoError(t, err, "%s", b[1])
		_, err = f.Policy()
		require.NoError(t, err)
	}
}

// TestProfiles: what rules ask for is there, and what is there is asked for.
func TestProfiles(t *testing.T) {
	const entry = "masking: [{profile: eu, columns: [p.ssn], with: redact}]"
	parse := func(masking, access string) (*File, error) {
		text := strings.Replace(good, "masking: [{use: default}]", masking, 1)
		return Parse("x.yaml", []byte(strings.Replace(text, "allow: [connect, read]}", "allow: [connect, read]"+access+"}", 1)), options())
	}
	f, err := parse(entry, ", masking: [eu]")
	require.NoError(t, err)
	require.Equal(t, []string{"eu"}, f.Profiles())
	require.Equal(t, []string{"eu"}, f.rules()[0].Obligations.Masking)
	for name, c := range map[string]struct{ masking, access, want string }{
		"asked by nobody":   {entry, "", `x.yaml:13: no access rule asks for the masking profile "eu", so the entry never applies (add masking: [eu] to the access rules whose sessions have it)`},
		"not there":         {"masking: [{use: default}]", ", masking: [eu]", `x.yaml:10: access: masking: no entry of masking is of the profile "eu" (add an entry with profile: eu to masking)`},
		"of another name":   {strings.Replace(entry, "eu", "europe", 1), ", masking: [europe, eurpe]", `no entry of masking is of the profile "eurpe" (did you mean "europe"?)`},
		"switching off":     {"masking: [{use: off, profile: eu}]", ", masking: [eu]", "profile has no effect together with use: off"},
		"showing":           {"masking: [{profile: eu, entities: [IBAN_CODE], with: visible}]", ", masking: [eu]", `a rule of profile "eu" can only add to what is masked`},
		"letting masks in":  {"masking: [{profile: eu, columns: [p.ssn], with: redact, write_back: allow}]", ", masking: [eu]", `a rule of profile "eu" can only add to what is masked`},
		"without a name":    {"masking: [{profile: , columns: [p.ssn], with: redact}]", "", "masking[0].profile is empty"},
		"asked for nothing": {entry, ", masking: []", "access[0].masking is empty"},
	} {
		_, err := parse(c.masking, c.access)
		require.ErrorContains(t, err, c.want, name)
	}
	// An entry of a profile does not say where the pack applies: it stays on everywhere.
	f, err = parse("masking: [{use: default, profile: eu, with: redact}]", ", masking: [eu]")
	require.NoError(t, err)
	require.False(t, f.maskingNamed())
	_, err = parse("masking: [{use: off}, {use: default, profile: eu}]", ", masking: [eu]")
	require.NoError(t, err, "a profile can switch the pack on")
}
