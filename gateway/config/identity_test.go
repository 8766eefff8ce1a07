package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/store"
)

// goodTeam is good with everything that a team has besides.
var goodTeam = strings.NewReplacer("identity:\n", `api: {listen: "0.0.0.0:8443", url: "https://gw.example.com:8443"}
store: {url: "postgres://sallyport@db.example.com/sallyport", password: env:DB_PASSWORD, key: env:STORE_KEY}
identity:
  providers:
    - {name: entra, issuer: "https://login.example.com/v2.0", client_id: web, client_secret: env:CLIENT_SECRET, groups: {claim: groups, grants: {ops: [sec-ops]}}}
  scim: {provider: entra, token_hashes: ["9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"]}
  workloads:
    - {provider: entra, service: deploy, claims: {repository: acme/shop}, groups: [deployers]}
  sessions: {idle: 30m, life: 4h}
`, "{groups: [dev], resources: {env: prod}", `{groups: [dev, "entra:dba", "scim:dba", "local:dba", sec-ops, deployers], users: ["entra/7f3a", deploy], resources: {env: prod}`).Replace(good)

func TestTeamFile(t *testing.T) {
	f, err := Parse("/etc/sallyport/sallyport.yaml", []byte(goodTeam), options())
	require.NoError(t, err)
	t.Setenv("CLIENT_SECRET", "hush")
	secrets, err := f.ProviderSecrets(t.Context(), nil)
	require.NoError(t, err)
	require.Equal(t, []proxy.Secret{proxy.NewSecret("hush")}, secrets)
	list, err := f.Providers(secrets)
	require.NoError(t, err)
	require.Equal(t, "entra", list[0].Name())
	require.Equal(t, "https://gw.example.com:8443", f.Workloads()["entra"][0].Audience, "a workload's token is for the API unless it says otherwise")
	require.Equal(t, "https://gw.example.com:8443/scim/v2", f.SCIMURL())
	require.Len(t, f.Identity.SCIM.Hashes(), 1)

	other, err := Parse("/etc/sallyport/x.yaml", []byte(strings.Replace(goodTeam, "idle: 30m", "idle: 20m", 1)), options())
	require.NoError(t, err)
	require.False(t, f.SameIdentity(other))
	other, err = Parse("/etc/sallyport/x.yaml", []byte(strings.Replace(goodTeam, "{name: alice, groups: [dev]", "{name: alice, groups: [dev, more]", 1)), options())
	require.NoError(t, err)
	require.True(t, f.SameIdentity(other), "local users are not of it")
	require.Empty(t, other.NeedsRestart(f))
	other, err = Parse("/etc/sallyport/x.yaml", []byte(strings.Replace(goodTeam, "db.example.com", "db2.example.com", 1)), options())
	require.NoError(t, err)
	require.Equal(t, []string{"store"}, other.NeedsRestart(f))
}

func TestTeamProblems(t *testing.T) {
	for _, c := range []struct{ name, from, to, want string }{
		{"no API", `api: {listen: "0.0.0.0:8443", url: "https://gw.example.com:8443"}`, "", "logging in at a provider needs the API"},
		{"an API in clear", "https://gw.example.com:8443", "http://gw.example.com:8443", "api.url is how clients reach the API: https"},
		{"an API nowhere", `listen: "0.0.0.0:8443", `, "", "api needs an address to listen at"},
		{"an API where another listens", "0.0.0.0:8443", "127.0.0.1:6432", "127.0.0.1:6432 is used by api.listen already"},
		{"a provider's secret in clear", "env:CLIENT_SECRET", "hush", "client_secret: not a reference to a secret"},
		{"a provider without an issuer", `issuer: "https://login.example.com/v2.0", `, "", "issuer"},
		{"a reserved name", "name: entra", "name: local", "local"},
		{"a directory of nobody", "scim: {provider: entra", "scim: {provider: okta", `identity.scim: no provider is named "okta"`},
		{"a token in the place of its hash", "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", "test", "token_hashes: got 4 characters, want the 64 hexadecimal digits"},
		{"a directory without a token", `token_hashes: ["9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"]`, "required: true", "token_hashes: got nothing"},
		{"everybody's jobs", "repository: acme/shop", `repository: "*"`, "it needs a claim that only its own tokens have"},
		{"a workload of nobody", "{provider: entra, service", "{provider: github, service", `workload deploy: no provider is named "github"`},
		{"a workload that is called like a user", "service: deploy", "service: alice", "workload alice is called like a user"},
		{"a workload that is called like a token", "service: deploy", "service: deploy~x", "it cannot be called so"},
		{"a workload that is called like a provider's user", "service: deploy", "service: entra/7f3a", "it cannot be called so"},
		{"negative times", "idle: 30m", "idle: -30m", "identity.sessions.idle must be a time"},
		{"another provider's group", `"entra:dba"`, `"okta:dba"`, `the rule names group "okta:dba", which has no members`},
		{"another provider's user", `"entra/7f3a"`, `"okta/7f3a"`, `the rule names user "okta/7f3a", who does not exist`},
		{"a group that nothing gives", "sec-ops, deployers]", "sec-op, deployers]", `the rule names group "sec-op", which has no members`},
		{"a store of another kind", "postgres://sallyport@", "mysql://sallyport@", "has another scheme"},
		{"a store's password in clear", "sallyport@db", "sallyport:hush@db", "holds a password"},
		{"a store without a shared key", ", key: env:STORE_KEY", "", "a store that gateways share needs a key that they share"},
		{"a store's key in clear", "key: env:STORE_KEY", "key: hush", "store: not a reference to a secret"},
		{"a pooler of a file", `url: "postgres://sallyport@db.example.com/sallyport", password: env:DB_PASSWORD`, "poll: true", "password, schema and poll are for a PostgreSQL database"},
		{"old keys alone", "key: env:STORE_KEY", "old_keys: [env:OLD]", "store.old_keys without store.key"},
		{"a day that is not there", "{name: alice, ", "{name: alice, expires: 2027-02-30, ", "want a day or a time"},
	} {
		t.Run(c.name, func(t *testing.T) {
			require.Contains(t, goodTeam, c.from)
			_, err := Parse("x.yaml", []byte(strings.Replace(goodTeam, c.from, c.to, 1)), options())
			var ps Problems
			require.ErrorAs(t, err, &ps)
			require.ErrorContains(t, err, c.want)
			require.NotContains(t, err.Error(), "hush")
		})
	}
}

// TestExpires: a day ends with it, and a time is one.
func TestExpires(t *testing.T) {
	for text, want := range map[string]string{"2027-01-31": "2027-02-01T00:00:00Z", "2027-01-31T18:00:00+02:00": "2027-01-31T16:00:00Z"} {
		f, err := Parse("x.yaml", []byte(strings.Replace(good, "{name: alice, ", `{name: alice, expires: "`+text+`", `, 1)), options())
		require.NoError(t, err)
		until, err := f.Identity.Users[0].expires()
		require.NoError(t, err)
		require.Equal(t, want, until.UTC().Format("2006-01-02T15:04:05Z07:00"))
	}
}

// TestStoreKeys: the key of the data directory is made once, and a configured one is fetched.
func TestStoreKeys(t *testing.T) {
	dir := t.TempDir()
	f, err := Parse(filepath.Join(dir, "x.yaml"), []byte(good), options())
	require.NoError(t, err)
	first, err := f.StoreKeys(t.Context(), nil)
	require.NoError(t, err)
	again, err := f.StoreKeys(t.Context(), nil)
	require.NoError(t, err)
	require.Equal(t, first, again)
	st, err := os.Stat(filepath.Join(dir, "data", "store.key"))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), st.Mode().Perm())
	// A key that was lost is not made anew while there is what it has sealed.
	require.NoError(t, os.WriteFile(f.StoreFile(), nil, 0o600))
	require.NoError(t, os.Remove(filepath.Join(dir, "data", "store.key")))
	_, err = f.StoreKeys(t.Context(), nil)
	require.ErrorContains(t, err, "restore it from a backup")
	require.NoFileExists(t, filepath.Join(dir, "data", "store.key"))

	now, old := store.NewKey(), store.NewKey()
	t.Setenv("STORE_KEY", now.Text())
	t.Setenv("STORE_OLD", old.Text())
	f, err = Parse("x.yaml", []byte(strings.Replace(good, "data_dir:", "store: {key: env:STORE_KEY, old_keys: [env:STORE_OLD]}\ndata_dir:", 1)), options())
	require.NoError(t, err)
	keys, err := f.StoreKeys(t.Context(), nil)
	require.NoError(t, err)
	require.Equal(t, []store.Key{now, old}, keys)
	t.Setenv("STORE_KEY", "hush")
	_, err = f.StoreKeys(t.Context(), nil)
	require.ErrorContains(t, err, "want 64 hexadecimal digits")
	require.NotContains(t, err.Error(), "hush")
}

// TestPersonalAccounts: an account of each person's own is not the gateway's, and is one person's.
func TestPersonalAccounts(t *testing.T) {
	file := func(providers, resource string) string {
		return "listen: {postgres: \"127.0.0.1:0\", ssh: \"127.0.0.1:0\"}\napi: {listen: \"127.0.0.1:0\", url: \"https://gw.example.com\"}\nidentity: {providers: [" + providers + "]}\nresources: [" + resource + "]\naccess: [{groups: [\"one:dev\"], allow: [connect]}]\n"
	}
	one := `{name: one, issuer: "https://one.example.com", client_id: c, groups: {claim: groups}}`
	two := one + `, {name: two, issuer: "https://two.example.com", client_id: c}`
	for _, c := range []struct{ name, providers, resource, says string }{
		{"a machine", one, `{name: vm, type: ssh, address: vm, username: "{user}", key: "env:K", ssh: {trust_on_first_use: true}}`, ""},
		{"a database", one, `{name: db, type: postgres, address: db, username: "{user}", password: "env:P", own_account: {username: catalog, password: "env:P"}}`, ""},
		{"a database whose catalog nobody reads", one, `{name: db, type: postgres, address: db, username: "{user}", password: "env:P"}`, "add own_account"},
		{"the gateway's own", one, `{name: db, type: postgres, address: db, username: app, password: "env:P", own_account: {username: "{user}", password: "env:P"}}`, "no {user}"},
		{"two providers", two, `{name: vm, type: ssh, address: vm, username: "{user}", key: "env:K", ssh: {trust_on_first_use: true}}`, "the same account for users of several providers"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Parse("x.yaml", []byte(file(c.providers, c.resource)), withKinds())
			if c.says == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, c.says)
		})
	}
}
