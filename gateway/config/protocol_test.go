package config_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/gateway/config"
	"github.com/sallyport/sallyport/guardrail"
	"github.com/sallyport/sallyport/protocol"
	"github.com/sallyport/sallyport/protocol/builtin"
	"github.com/sallyport/sallyport/protocol/postgres"
	"github.com/sallyport/sallyport/protocol/ssh"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/secrets"
)

// echoSettings are those of a protocol that this module does not have.
type echoSettings struct {
	Loud    bool              `yaml:"loud"`
	Times   uint8             `yaml:"times"`
	Delay   time.Duration     `yaml:"delay"`
	Words   []string          `yaml:"words"`
	Replies map[string]string `yaml:"replies"`
	Nested  *struct {
		Share float32 `yaml:"share"`
	} `yaml:"nested"`
	Later   string   `yaml:"later,later"`
	Channel chan int `yaml:"channel"`
	Own     string   // not in the file
}

func (s *echoSettings) Validate() error {
	var errs []error
	if s.Times == 0 {
		errs = append(errs, errors.New("times: an echo is heard at least once"))
	}
	if s.Loud && s.Delay > time.Second {
		errs = append(errs, errors.New("a loud echo is fast"))
	}
	return errors.Join(errs...)
}

// echo is a protocol that this module does not have.
func echo() protocol.Protocol {
	return protocol.Protocol{
		Name: "echo", DefaultPort: 7, Kinds: []proxy.Kind{proxy.KindConnect, proxy.KindTool},
		Settings: func() any { return &echoSettings{Times: 1, Words: []string{"hello"}} },
		Open:     func(protocol.Assembly) (*protocol.Service, error) { return nil, errors.New("not in this test") },
	}
}

func parse(text string) (*config.File, error) {
	return config.Parse("x.yaml", []byte(text), config.Options{Protocols: append(builtin.All(), echo()), Secrets: secrets.Default()})
}

const head = `listen: {postgres: 127.0.0.1:6432, ssh: 127.0.0.1:6022, echo: 127.0.0.1:7007}
identity: {users: [{name: alice, groups: [dev], password: "SCRAM-SHA-256$4096:c2FsdHNhbHRzYWx0c2FsdA==$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}]}
access: [{groups: [dev], allow: [connect]}]
resources:
`

const hostKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE1P6dDM0RlbO/lBGDBsBuiwyfXYW41hHp3dyPYWbz1K"

func TestSettings(t *testing.T) {
	for _, c := range []struct {
		name     string
		resource string
		want     any
	}{
		{
			"defaults of a protocol from outside", `{name: e, type: echo, address: "h:7", username: u}`,
			echoSettings{Times: 1, Words: []string{"hello"}},
		},
		{
			"in the resource", `{name: e, type: echo, address: "h:7", username: u, loud: true, times: 3, delay: 20ms, words: [a, b], replies: {a: b}, nested: {share: 0.5}}`,
			echoSettings{Loud: true, Times: 3, Delay: 20 * time.Millisecond, Words: []string{"a", "b"}, Replies: map[string]string{"a": "b"}, Nested: &struct {
				Share float32 `yaml:"share"`
			}{0.5}},
		},
		{
			"under the protocol's name", `{name: e, type: echo, address: "h:7", username: u, echo: {loud: true, times: 3}}`,
			echoSettings{Loud: true, Times: 3, Words: []string{"hello"}},
		},
		{
			"in both places", `{name: e, type: echo, address: "h:7", username: u, loud: true, echo: {times: 3}}`,
			echoSettings{Loud: true, Times: 3, Words: []string{"hello"}},
		},
		{
			"before the type", `{loud: true, name: e, address: "h:7", username: u, type: echo}`,
			echoSettings{Loud: true, Times: 1, Words: []string{"hello"}},
		},
		{
			"an empty section", `{name: e, type: echo, address: "h:7", username: u, echo: }`,
			echoSettings{Times: 1, Words: []string{"hello"}},
		},
		{
			"PostgreSQL's in the resource", `{name: e, type: postgres, address: "h:1", username: u, md5: true, startup_parameters: [role]}`,
			postgres.Settings{MD5: true, StartupParameters: []string{"role"}},
		},
		{
			"PostgreSQL's under its name", `{name: e, type: postgres, address: "h:1", username: u, postgres: {md5: true, startup_parameters: [role]}}`,
			postgres.Settings{MD5: true, StartupParameters: []string{"role"}},
		},
		{
			"PostgreSQL's limits", `{name: e, type: postgres, address: "h:1", username: u, max_statement: 1000, max_data: 2000}`,
			postgres.Settings{MaxStatement: 1000, MaxData: 2000},
		},
		{
			"a label that has the server refuse changes", `{name: e, type: postgres, address: "h:1", username: u, labels: {` + guardrail.ReadOnlyLabel + `: "true"}}`,
			postgres.Settings{ReadOnly: true},
		},
		{
			"SSH's under its name", `{name: e, type: ssh, address: "h:22", username: u, ssh: {host_keys: ["` + hostKey + `"], exec_only: true}}`,
			ssh.Settings{HostKeys: []string{hostKey}, ExecOnly: true},
		},
		{
			"SSH's in the resource", `{name: e, type: ssh, address: "h:22", username: u, host_keys: ["` + hostKey + `"], exec_only: true}`,
			ssh.Settings{HostKeys: []string{hostKey}, ExecOnly: true},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, err := parse(head + "  - " + c.resource)
			require.NoError(t, err)
			dir, err := f.Directory(t.Context(), nil)
			require.NoError(t, err)
			require.Equal(t, c.want, dir[0].Settings)
		})
	}
}

func TestSettingsProblems(t *testing.T) {
	const e = `{name: e, type: echo, address: "h:7", username: u`
	for _, c := range []struct{ name, resource, want string }{
		{"a wrong type", e + ",\n    times: many}", `x.yaml:6: resources[0].times must be a number that is not negative`},
		{"too large for its type", e + ", times: 300}", `resources[0].times must be a number`},
		{"a list that is none", e + ", words: a}", `resources[0].words must be a list`},
		{"a wrong type under the name", e + ", echo: {loud: 7seven}}", `resources[0].echo.loud must be true or false`},
		{"a section that is none", e + ", echo: 5}", `resources[0].echo must be keys and values`},
		{"a part that is unknown", e + ", nested: {shore: 1}}", `unknown key "resources[0].nested.shore" (did you mean "share"?)`},
		{"an unknown key", e + ",\n    lod: true}", `x.yaml:6: unknown key "resources[0].lod" (did you mean "loud"?)`},
		{"an unknown key under the name", e + ", echo: {lod: true}}", `unknown key "resources[0].echo.lod" (did you mean "loud"?)`},
		{"a key twice", e + ", loud: true, loud: false}", `"resources[0].loud" is given twice, in line 5 too`},
		{"a key in both places", e + ", loud: true, echo: {loud: true}}", `"resources[0].echo.loud" is given twice, in line 5 too (write it once, in the resource or under echo)`},
		{"a section twice", e + ", echo: {}, echo: {}}", `"resources[0].echo" is given twice`},
		{"a common key twice", e + ", name: f}", `"resources[0].name" is given twice`},
		{"a field without a tag", e + ", own: x}", `unknown key "resources[0].own"`},
		{"what is not there yet", e + ", later: x}", `"resources[0].later" is not available in this version`},
		{"what no file can say", e + ", channel: x}", `resources[0].channel has the type chan int, which cannot be read from a file`},
		{"a key of another protocol", e + ",\n    md5: true}", `x.yaml:6: "resources[0].md5" is a setting of type postgres, and this resource is of type echo`},
		{"the name of another protocol", e + ", ssh: {env: [A]}}", `"resources[0].ssh" is a setting of type ssh, and this resource is of type echo`},
		{"a setting of the protocol from outside", `{name: p, type: postgres, address: "h:1", username: u, loud: true}`, `"resources[0].loud" is a setting of type echo, and this resource is of type postgres`},
		{"an anchor", e + ", echo: &x {loud: true}}", `uses an anchor`},
		{"nothing", "", `resources[0] must be keys and values`},
		{"no type", `{name: e, address: "h:7", username: u}`, `resource "e": unknown type "" (known here: aws, echo, kubernetes, mysql, postgres, ssh, tcp, web)`},
		{"a type that is nearly right", `{name: e, type: ecko, address: "h:7", username: u, loud: true}`, `resource "e": unknown type "ecko" (did you mean "echo"?)`},
		{"settings that cannot work", e + ",\n    times: 0}", `x.yaml:6: resource "e": times: an echo is heard at least once`},
		{"settings that do not go together", e + ", loud: true, delay: 2s}", `x.yaml:5: resource "e": a loud echo is fast`},
		{"both", e + ", loud: true, delay: 2s, times: 0}", `a loud echo is fast`},
		{"PostgreSQL's limits", `{name: e, type: postgres, address: "h:1", username: u, max_data: -1, max_statement: 2000000000}`, `max_statement: got 2000000000, want a number of bytes up to 1073741823`},
		{"PostgreSQL's parameters", `{name: e, type: postgres, address: "h:1", username: u, startup_parameters: [""]}`, `startup_parameters: a name is empty`},
		{"SSH without a host key", `{name: e, type: ssh, address: "h:22", username: u}`, `host_keys: no host key is known`},
		{"SSH's keys", `{name: e, type: ssh, address: "h:22", username: u, ssh: {host_keys: [x], forwards: [y]}}`, `forwards: "y" is not of the form host:port`},
		{"tls", e + ", tls: {mode: require}}", `resource "e": type echo has no tls: the protocol protects its connections itself`},
		{"a key", e + ", key: env:K}", `resource "e": type echo has no login with a key`},
		{"an account's key", `{name: p, type: postgres, address: "h:1", accounts: [{name: a, username: u, key: env:K}]}`, `resource "p": type postgres has no login with a key`},
		{"a database", e + ", database: x}", `resource "e": type echo has no databases`},
		{"an address", `{name: e, type: echo, address: "::1", username: u}`, `resource "e": "::1" is not an address`},
		{"a port that cannot be", `{name: e, type: echo, address: "h:159222", username: u}`, `resource "e": "h:159222" is not an address`},
		{"a port without a number", `{name: e, type: echo, address: "h:", username: u}`, `resource "e": "h:" is not an address`},
		{"no address", `{name: e, type: echo, username: u}`, `resource "e": "" is not an address`},
		{"a guardrail about statements", e + "}\nguardrails: [{deny: {effects: [drop]}, resources: [e]}]", `the rule is about statements, but none of its resources has them: e`},
		{"a guardrail about requests", e + "}\nguardrails: [{deny: {requests: [/admin]}}]", `the rule is about requests, but none of its resources has them: e`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := parse(head + "  - " + c.resource)
			var ps config.Problems
			require.ErrorAs(t, err, &ps)
			require.Contains(t, err.Error(), c.want)
		})
	}
	_, err := parse(head + "  - " + e + ", loud: true, delay: 2s, times: 0}")
	var ps config.Problems
	require.ErrorAs(t, err, &ps)
	plain := echo()
	plain.Settings = nil
	_, err = config.Parse("x.yaml", []byte("resources: [{name: e, type: echo, address: 'h:7', username: u, echo: {}, loud: true}]"), config.Options{Protocols: []protocol.Protocol{plain}})
	require.ErrorContains(t, err, `"resources[0].echo": type echo has no settings`)
	require.ErrorContains(t, err, `unknown key "resources[0].loud"`)
	require.Len(t, ps, 2, "each part of a joined error is one problem")
}

// A protocol of one's own listens, is listed and has its port.
func TestProtocolFromOutside(t *testing.T) {
	f, err := parse(head + `  - {name: e, type: echo, address: far.internal, listen: "127.0.0.1:7008", username: u}
  - {name: six, type: echo, address: "[::1]", username: u}
  - {name: own, type: echo, address: "h:8", username: u}
`)
	require.NoError(t, err)
	require.Contains(t, f.Listeners(), protocol.Listener{Protocol: "echo", Address: "127.0.0.1:7007"})
	require.Contains(t, f.Listeners(), protocol.Listener{Protocol: "echo", Address: "127.0.0.1:7008", Resource: "e"})
	dir, err := f.Directory(t.Context(), nil)
	require.NoError(t, err)
	var addresses []string
	for _, r := range dir {
		require.Equal(t, "echo", r.Type)
		require.Equal(t, proxy.TLSDisable, r.TLS.Mode)
		addresses = append(addresses, r.Address)
	}
	require.Equal(t, []string{"far.internal:7", "[::1]:7", "h:8"}, addresses)
	require.Len(t, f.Protocols(), 8)
}

func TestListen(t *testing.T) {
	rest := head[strings.Index(head, "\n"):strings.Index(head, "resources:")]
	for _, c := range []struct{ listen, want string }{
		{"{eco: \"127.0.0.1:1\"}", `x.yaml:1: unknown key "listen.eco": this is not a protocol (did you mean "echo"?)`},
		{"{redis: \"127.0.0.1:1\"}", `unknown key "listen.redis": this is not a protocol (known here: aws, echo, kubernetes, mysql, postgres, ssh, tcp, web)`},
		{"{console: \"127.0.0.1:1\"}", `"listen.console" is not available in this version`},
		{"{echo: \"127.0.0.1:1\", echo: \"127.0.0.1:2\"}", `"listen.echo" is given twice`},
		{"\n  postgres: 127.0.0.1:1\n  echo: nowhere", `x.yaml:3: listen.echo: "nowhere" is not an address`},
		{"{echo: [a]}", `listen.echo must be a single value`},
		{"5", `listen must be keys and values`},
	} {
		t.Run(c.listen, func(t *testing.T) {
			_, err := parse("listen: " + c.listen + rest)
			require.ErrorContains(t, err, c.want)
		})
	}
	f, err := config.Parse("x.yaml", []byte("listen: {echo: 127.0.0.1:7}"+rest), config.Options{Protocols: []protocol.Protocol{echo()}})
	require.NoError(t, err)
	require.Equal(t, config.Listen{"echo": "127.0.0.1:7"}, f.Listen)
}

func TestOptions(t *testing.T) {
	open := echo().Open
	for _, c := range []struct {
		name string
		list []protocol.Protocol
		want string
	}{
		{"the same twice", []protocol.Protocol{echo(), echo()}, "protocol echo is in the list twice"},
		{"the name of a key", []protocol.Protocol{{Name: "tls", Open: open}}, "protocol tls cannot have this name, which is a key of every resource"},
		{"the folder of the records", []protocol.Protocol{{Name: "audit", Open: open}}, "protocol audit has a name that the gateway uses itself, for a folder or a listener"},
		{"a listener that is not a protocol's", []protocol.Protocol{{Name: "console", Open: open}}, "protocol console has a name that the gateway uses itself, for a folder or a listener"},
		{"settings by value", []protocol.Protocol{{Name: "a", Open: open, Settings: func() any { return echoSettings{} }}}, "protocol a: its settings are not a pointer to a struct"},
		{"no settings", []protocol.Protocol{{Name: "a", Open: open, Settings: func() any { return nil }}}, "protocol a: its settings are not a pointer to a struct"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := config.Parse("x.yaml", []byte(head), config.Options{Protocols: c.list})
			require.EqualError(t, err, c.want)
		})
	}
}

// vault is a source of secrets that this module does not have.
type vault struct{}

func (vault) Resolve(_ context.Context, ref secrets.Ref, _ secrets.Use) (*secrets.Value, error) {
	return secrets.Text("opened " + ref.Path), nil
}

// The secret source is the caller's: its schemes are checked, its secrets fetched.
func TestSecretSource(t *testing.T) {
	text := head + `  - {name: e, type: echo, address: "h:7", username: u, password: %s}`
	with := config.Options{Protocols: append(builtin.All(), echo()), Secrets: secrets.Source{"vault": vault{}}}
	f, err := config.Parse("x.yaml", fmt.Appendf(nil, text, "vault:db"), with)
	require.NoError(t, err)
	s, err := f.Secret(t.Context(), nil, "vault:db")
	require.NoError(t, err)
	require.Equal(t, "opened db", s)
	dir, err := f.Directory(t.Context(), nil)
	require.NoError(t, err)
	b, err := f.OpenSecrets(secrets.Options{})
	require.NoError(t, err)
	lease, err := b.Lease(t.Context(), proxy.LeaseRequest{Target: proxy.Target{Resource: dir[0], Account: dir[0].Accounts[0]}})
	require.NoError(t, err)
	require.Equal(t, "opened db", lease.Password.Reveal())

	_, err = config.Parse("x.yaml", fmt.Appendf(nil, text, "env:DB"), with)
	require.ErrorContains(t, err, "not a reference to a secret: want one of vault:")
	with.Secrets = nil
	_, err = config.Parse("x.yaml", fmt.Appendf(nil, text, "env:DB"), with)
	require.ErrorContains(t, err, "not a reference to a secret")
}

// TestNoSecrets: a resource to which the gateway cannot log in has no password, of which somebody would think that it is used.
func TestNoSecrets(t *testing.T) {
	text := `
listen: {tcp: "127.0.0.1:1"}
identity: {users: [{name: alice, groups: [dev], ssh_keys: ["` + "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE1P6dDM0RlbO/lBGDBsBuiwyfXYW41hHp3dyPYWbz1K" + `"]}]}
resources: [{name: cache, type: tcp, address: "h:6379"%s}]
access: [{groups: [dev], allow: [connect, forward]}]
`
	_, err := parse(fmt.Sprintf(text, ""))
	require.NoError(t, err)
	_, err = parse(fmt.Sprintf(text, `, password: "env:SECRET"`))
	require.ErrorContains(t, err, "takes no password")
	_, err = parse(fmt.Sprintf(text, `, tcp: {idle: 10ms}`))
	require.ErrorContains(t, err, "idle:")
	_, err = parse(strings.Replace(fmt.Sprintf(text, ""), "h:6379", "h", 1))
	require.ErrorContains(t, err, "is not an address")
}
