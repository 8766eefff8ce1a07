package config

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The rules' version changes with what they say, and with nothing else; that of
// the file with every byte.
func TestVersion(t *testing.T) {
	base := `listen: {postgres: 127.0.0.1:6432}
identity: {users: [{name: alice, groups: [dev], ssh_keys: []}]}
access:
  - {name: a, groups: [dev], allow: [connect, read]}
`
	version := func(text string) (config, policy string) {
		f, err := Parse("x.yaml", []byte(strings.Replace(text, "ssh_keys: []", `password: "`+verifier+`"`, 1)), options())
		require.NoError(t, err)
		v, err := f.Version()
		require.NoError(t, err)
		return v.Config, v.Policy
	}
	config, policy := version(base)
	require.Len(t, config, 64)
	require.Len(t, policy, 16)
	for name, c := range map[string]struct {
		text    string
		changes bool
	}{
		"another rule":   {strings.Replace(base, "read]", "read, write]", 1), true},
		"masking":        {base + "masking: [{use: default}]\n", true},
		"a comment":      {"# why\n" + base, false},
		"order of keys":  {strings.Replace(base, "{name: a, groups: [dev], allow: [connect, read]}", "{allow: [connect, read], groups: [dev], name: a}", 1), false},
		"another limit":  {base + "limits: {max_sessions: 5}\n", false},
		"another listen": {strings.Replace(base, "6432", "6433", 1), false},
	} {
		t.Run(name, func(t *testing.T) {
			c2, p2 := version(c.text)
			require.NotEqual(t, config, c2)
			require.Equal(t, c.changes, p2 != policy)
		})
	}
}
