package config

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// many is a file whose rules refer to all that can be taken out of it.
const many = `listen: {postgres: 127.0.0.1:6432, ssh: 127.0.0.1:2222}
identity:
  users:
    - {name: alice, groups: [dev], password: "` + verifier + `"}
    - {name: bob, groups: [ops], password: "` + verifier + `"}
    - {name: carol, groups: [support], password: "` + verifier + `"}
resources:
  - {name: orders, type: postgres, address: "db.internal:5432", username: app, labels: {env: prod}}
  - {name: old, type: postgres, address: "old.internal:5432", username: app, labels: {env: old}}
  - {name: vm1, type: ssh, address: "vm1.internal:22", username: app, ssh: {trust_on_first_use: true}}
access:
  - {groups: [dev], allow: [connect, read, write]}
  - {groups: [ops], allow: [all]}
  - {users: [carol], allow: [connect, read]}
  - {groups: [dev], resources: [old], deny: [write]}
  - {groups: [ops, support], resources: {env: old}, deny: [write]}
guardrails:
  - {hold: {effects: [drop]}, approvers: [ops], groups: [dev]}
  - {deny: {effects: [truncate]}, groups: [support]}
  - {deny: {commands: [halt]}}
masking:
  - {entities: [EMAIL_ADDRESS], groups: [support], except: {groups: [ops]}}
  - {columns: [people.ssn], with: tokenise, resources: [old]}
masking_key: {secret: env:KEY, detokenise: [ops]}
audit:
  recordings: [{resources: [old], rows: off}]
  retention: [{resources: {env: old}, days: 30}]
`

// without is a text without the lines that hold one of some words.
func without(text string, words ...string) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		if !strings.Contains(line, words[0]) && (len(words) == 1 || !strings.Contains(line, words[1])) {
			out.WriteString(line)
		}
	}
	return out.String()
}

// What is taken out of a file is gone when the file is read anew, whatever its rules still refer to. The same
// file does not pass when it is read for the first time, and neither does a name that was never there.
func TestGone(t *testing.T) {
	for _, c := range []struct {
		name, text string
		says       []string
	}{
		{"a group's last member", without(many, "name: bob"), []string{`group "ops", which has no members`, "none of the approvers [ops] has a password"}},
		{"a group's last member is in another", strings.Replace(many, "groups: [ops], password", "groups: [dev], password", 1), []string{`group "ops", which has no members`, "none of the approvers"}},
		{"the only approver's password", strings.Replace(many, `{name: bob, groups: [ops], password: "`+verifier+`"}`, `{name: bob, groups: [ops], ssh_keys: ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAICgCgP1Uoejnd0yRUZ0NI+Io5KwWorfqs/Py5ZgYBuRI"]}`, 1), []string{"none of the approvers [ops]"}},
		{"a user", without(many, "name: carol"), []string{`user "carol", who does not exist`, `group "support", which has no members`}},
		{"a resource", without(many, "name: old,"), []string{`no resource is named "old"`, "no resource has the labels {env: old}"}},
		{"a label", strings.Replace(many, "labels: {env: old}", "labels: {env: new}", 1), []string{"no resource has the labels {env: old}"}},
		{"all that has commands", without(many, "name: vm1,"), []string{"the rule is about commands, but none of its resources has them"}},
		{"several", without(many, "name: bob", "name: old,"), []string{":11: the rule names group \"ops\"", ":22: the rule names group \"ops\"", `resource is named "old"`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			require.NotEqual(t, many, c.text)
			name := filepath.Join(t.TempDir(), "sallyport.yaml")
			write := func(text string) { require.NoError(t, os.WriteFile(name, []byte(text), 0o600)) }
			write(many)
			f, err := Load(name, options())
			require.NoError(t, err)
			require.Empty(t, f.Gone())

			write(c.text)
			_, err = Load(name, options())
			for _, says := range c.says {
				require.ErrorContains(t, err, says)
			}
			f, err = f.Reload()
			require.NoError(t, err)
			for _, says := range c.says {
				require.ErrorContains(t, f.Gone(), says)
			}
			require.ErrorContains(t, f.Gone(), "take it out of the rule before the next start")

			write(c.text + "domain: gw.example.com\n")
			f, err = f.Reload()
			require.NoError(t, err, "it is gone for the next file too")
			require.NotEmpty(t, f.Gone())
			typo := strings.Replace(c.text, "{groups: [dev], allow", "{groups: [dve], allow", 1)
			require.NotEqual(t, c.text, typo)
			write(typo)
			_, err = f.Reload()
			require.EqualError(t, err, name+":"+lineOf(typo, "[dve]")+`: the rule names group "dve", which has no members`)

			write(many)
			f, err = f.Reload()
			require.NoError(t, err)
			require.Empty(t, f.Gone(), "it is there again")
		})
	}
}

// lineOf is the number of the first line that holds a text.
func lineOf(text, what string) string {
	return strconv.Itoa(1 + strings.Count(text[:strings.Index(text, what)], "\n"))
}
