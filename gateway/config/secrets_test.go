package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/testserver"
	"github.com/sallyport/sallyport/secrets"
	"github.com/sallyport/sallyport/secrets/builtin"
)

func withKinds() Options {
	o := options()
	o.Kinds = builtin.All()
	return o
}

// with is a file whose sources of secrets are text, and whose one resource has a password by ref.
func with(text, ref string) string {
	return "listen: {postgres: \"127.0.0.1:0\"}\n" + text + `
identity: {users: [{name: alice, groups: [dev], ssh_keys: ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE1P6dDM0RlbO/lBGDBsBuiwyfXYW41hHp3dyPYWbz1K"]}]}
resources: [{name: db, type: postgres, address: "db:5432", username: app, password: "` + ref + `"}]
access: [{groups: [dev], allow: [connect]}]
`
}

func TestSecretSources(t *testing.T) {
	for name, c := range map[string]struct {
		text, ref string
		want      []string // problems, in part; none: it is good
	}{
		"vault":                 {"secrets: {vault: {address: https://v, approle: {role_id: r, secret_id: file:s}}}", "vault:secret/a#p", nil},
		"two of a kind":         {"secrets: {vault-eu: {type: vault, address: https://v, jwt: {role: r, token: env:T}}, vault: {address: https://v, kubernetes: {role: r}}}", "vault-eu:secret/a#p", nil},
		"exec":                  {"secrets: {exec: {commands: {db: [/bin/db, arg]}, env: [A=b]}}", "exec:db#p", nil},
		"a reference to none":   {"secrets: {exec: {commands: {db: [/bin/db]}}}", "vault:x#p", []string{"x.yaml:4", "want one of env:…, exec:…, file:…"}},
		"an unknown kind":       {"secrets: {valut: {address: https://v}}", "valut:x#p", []string{"x.yaml:2", `unknown type "valut"`, `did you mean "vault"?`}},
		"taken":                 {"secrets: {env: {type: exec, commands: {db: [/bin/db]}}}", "env:X", []string{"x.yaml:2", "the scheme env is taken already"}},
		"twice":                 {"secrets:\n  exec: {commands: {db: [/bin/db]}}\n  exec: {commands: {db: [/bin/db]}}", "exec:db#p", []string{"x.yaml:4", "given twice"}},
		"not a scheme":          {"secrets: {My Vault: {type: vault}}", "env:X", []string{"x.yaml:2", "cannot be the scheme"}},
		"an unknown key":        {"secrets: {vault: {address: https://v, adress: x, token: {from: env:T}}}", "vault:x#p", []string{`unknown key "secrets.vault.adress"`, `did you mean "address"?`}},
		"what a kind refuses":   {"secrets:\n  vault:\n    address: http://v\n    token: {from: env:T}", "vault:x#p", []string{"x.yaml:4", "secrets.vault: address: ", "not encrypted"}},
		"no login":              {"secrets: {vault: {address: https://v}}", "vault:x#p", []string{"there are 0 ways to log in"}},
		"two logins":            {"secrets: {vault: {address: https://v, token: {from: env:T}, kubernetes: {role: r}}}", "vault:x#p", []string{"there are 2 ways to log in"}},
		"a source of a source":  {"secrets: {vault: {address: https://v, token: {from: 'exec:x#p'}}}", "vault:x#p", []string{"token: from: not a reference to a secret"}},
		"a relative program":    {"secrets: {exec: {commands: {db: [db]}}}", "exec:db#p", []string{"absolute path"}},
		"a secret in its place": {"secrets: {vault: {address: https://v, token: {from: hunter2}}}", "vault:x#p", []string{"not a reference"}},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := Parse("x.yaml", []byte(with(c.text, c.ref)), withKinds())
			if c.want == nil {
				require.NoError(t, err)
				s, err := f.OpenSecrets(secrets.Options{Brief: true})
				require.NoError(t, err)
				require.NoError(t, s.Check(c.ref))
				require.NoError(t, s.Close(t.Context()))
				return
			}
			var ps Problems
			require.True(t, errors.As(err, &ps))
			for _, want := range c.want {
				require.Contains(t, err.Error(), want)
			}
			require.NotContains(t, err.Error(), "hunter2")
		})
	}
}

// Sources that a revision has as they were are used on; what a source cannot be opened with is an error that leaves
// the ones before as they are.
func TestSecretSourcesOfTheNextRevision(t *testing.T) {
	parse := func(text string) *File {
		f, err := Parse(filepath.Join(t.TempDir(), "x.yaml"), []byte(with(text, "env:X")), withKinds())
		require.NoError(t, err)
		f.name = "x.yaml"
		return f
	}
	const vault = "secrets: {vault: {address: https://v, namespace: NS, token: {from: env:T}}, more: {type: vault, address: https://w, token: {from: env:T}}}"
	one, err := parse(vault).OpenSecrets(secrets.Options{Brief: true})
	require.NoError(t, err)
	same, err := one.Next(parse("# moved\n" + vault))
	require.NoError(t, err)
	require.Same(t, one.opened["vault"].provider, same.opened["vault"].provider)
	other, err := same.Next(parse(strings.ReplaceAll(vault, "NS", "other")))
	require.NoError(t, err)
	require.NotSame(t, one.opened["vault"].provider, other.opened["vault"].provider)
	require.Same(t, one.opened["more"].provider, other.opened["more"].provider)
	_, err = other.Next(parse(strings.ReplaceAll(vault, "namespace: NS", "ca: none.pem")))
	require.ErrorContains(t, err, "opening the source of secrets vault: open none.pem")
	require.NoError(t, other.Close(t.Context()))
}

// check follows references to programs of the file, too.
func TestCheckFollowsSources(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "db")
	require.NoError(t, os.WriteFile(program, []byte("#!/bin/sh\ncat >/dev/null\necho '{\"values\":{\"p\":\"hunter2\"}}'\n"), 0o700))
	f, err := Parse("x.yaml", []byte(with("secrets: {exec: {commands: {db: ["+program+"]}}}", "exec:db#p")), withKinds())
	require.NoError(t, err)
	require.Empty(t, f.Check(t.Context()))
	f, err = Parse("x.yaml", []byte(with("secrets: {exec: {commands: {db: ["+program+"]}}}", "exec:db#other")), withKinds())
	require.NoError(t, err)
	ps := f.Check(t.Context())
	require.Len(t, ps, 1)
	require.Equal(t, 4, ps[0].Line)
	require.Contains(t, ps[0].String(), `resource db: password: secret from exec: running command db: key "other"`)
	f, err = Parse("x.yaml", []byte(with("secrets: {exec: {commands: {db: ["+program+"]}}}", "exec:db-{subject}#other\", own_account: {username: reader, password: \"env:PATH\"}, database: \"x")), withKinds())
	require.NoError(t, err)
	require.Empty(t, f.Check(t.Context()), "each person has one of their own")
}

// The sections of docs/secrets.md are good, and there is one for every kind.
func TestDocumentedSources(t *testing.T) {
	text, err := os.ReadFile("../../docs/secrets.md")
	require.NoError(t, err)
	seen := make(map[string]bool)
	for _, part := range strings.Split(string(text), "\n\n") {
		if !strings.HasPrefix(part, "    secrets:\n") {
			continue
		}
		part, _, _ = strings.Cut(part, "\n    resources:")
		section := strings.ReplaceAll(strings.TrimPrefix(part, "    "), "\n    ", "\n")
		f, err := Parse("x.yaml", []byte(with(section, "env:X")), withKinds())
		require.NoError(t, err, section)
		for _, s := range f.Secrets {
			seen[s.Kind] = true
		}
	}
	for _, k := range builtin.All() {
		require.True(t, seen[k.Name], "docs/secrets.md shows no %s", k.Name)
		require.Contains(t, string(text), "| `"+k.Name+"` |")
	}
}

// Private keys of certificates are files, or what references lead to.
func TestKeysByReference(t *testing.T) {
	dir := t.TempDir()
	cert, key := testserver.NewAuthority().ClientPEM("gateway")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "c.pem"), cert, 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "k.pem"), key, 0o600))
	t.Setenv("CLIENT_KEY", string(key))
	t.Setenv("NO_KEY", "hunter2")
	for ref, good := range map[string]bool{"k.pem": true, "env:CLIENT_KEY": true, "file:k.pem": true, "env:NO_KEY": false, "env:NOT_SET": false, "none.pem": false} {
		text := strings.Replace(with("", "env:CLIENT_KEY"), `address: "db:5432"`, `address: "db:5432", tls: {cert: c.pem, key: "`+ref+`"}`, 1) +
			"audit: {export: [{type: syslog, address: 'siem:6514', cert: c.pem, key: '" + ref + "'}]}\n"
		f, err := Parse(filepath.Join(dir, "x.yaml"), []byte(text), withKinds())
		require.NoError(t, err)
		resources, err := f.Directory(t.Context(), nil)
		require.Equal(t, good, err == nil, "%s: %v", ref, err)
		tls, failed := f.ExportTLS(t.Context(), nil, f.Audit.Export[0])
		require.Equal(t, good, failed == nil, ref)
		require.Equal(t, good, f.Check(t.Context()) == nil, ref)
		if good {
			require.Len(t, resources[0].TLS.Certificates, 1)
			require.Len(t, tls.Certificates, 1)
			continue
		}
		require.Contains(t, f.Check(t.Context()).Error(), "resource db: tls: certificate "+filepath.Join(dir, "c.pem")+" with key ")
		require.NotContains(t, f.Check(t.Context()).Error()+err.Error(), "hunter2")
	}
}
