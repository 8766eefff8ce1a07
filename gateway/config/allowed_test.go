package config

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/protocol"
)

// A list of commands that can never run is a mistake, and said to be one.
func TestListsThatCannotApply(t *testing.T) {
	const file = `listen: {ssh: "127.0.0.1:6022"}
identity: {users: [{name: alice, groups: [dev], password: "` + verifier + `"}]}
resources:
  - {name: open, type: ssh, address: "h:22", username: u, ssh: {trust_on_first_use: true}}
  - {name: shut, type: ssh, address: "h:22", username: u, ssh: {trust_on_first_use: true, exec_only: true}}
access: [{groups: [dev], allow: [connect, exec]}]
guardrails:
  - {name: listed, resources: [%s], only: {commands: [%q]}}
`
	for command, want := range map[string][2]bool{ // on open, on shut
		"uptime": {true, true}, "systemctl status *": {true, true}, "journalctl ...": {true, true}, "/usr/bin/id": {true, true}, "git*": {true, true}, "> /tmp/*": {true, true},
		"find": {true, true}, "find /var/log ...": {true, true}, "sed -n ...": {true, true}, "awk": {true, true}, "git": {true, true}, "git log ...": {true, true}, "tar": {true, true},
		"env": {true, true}, "sudo systemctl restart nginx": {true, true}, "timeout * uptime": {true, true}, "sort": {true, true},
		"bash": {true, false}, "sh deploy.sh": {true, false}, "python3 x.py": {true, false}, "python3": {true, false}, "less": {true, false}, "xargs": {true, false}, "sftp": {true, false}, "ssh": {true, false},
		"find * -exec ...": {true, false}, "git rebase ...": {true, false}, "psql ...": {true, false}, "vim *": {true, false},
		"bash -l": {false, false}, "sudo -i": {false, false}, "python3 -c ...": {false, false}, "tar --to-command=x ...": {false, false}, "git -c core.pager=x log": {false, false},
	} {
		for i, resource := range []string{"open", "shut"} {
			_, err := Parse("x.yaml", fmt.Appendf(nil, file, resource, command), options())
			if want[i] {
				require.NoError(t, err, "%s: %s", resource, command)
				continue
			}
			require.ErrorContains(t, err, fmt.Sprintf("x.yaml:8: the list allows %q, which never runs on its resources: ", command), resource)
		}
		_, err := Parse("x.yaml", fmt.Appendf(nil, file, "open, shut", command), options())
		require.Equal(t, want[0], err == nil, "one of them is enough: %s: %v", command, err)
	}
	o := options()
	o.Protocols = append([]protocol.Protocol{}, o.Protocols...)
	for i := range o.Protocols {
		o.Protocols[i].Allows = nil
	}
	_, err := Parse("x.yaml", fmt.Appendf(nil, file, "shut", "bash"), o)
	require.NoError(t, err, "who knows")
	_, err = Parse("x.yaml", []byte(strings.Replace(fmt.Sprintf(file, "shut", "bash"), " only: {", " deny: {", 1)), options())
	require.NoError(t, err, "what is denied need not run")
}
