package shell

import (
	"path"
	"slices"
	"strings"
)

// before are what a shell's session may begin with, without being more than a
// shell.
var before = []string{"cd", "exec", "export", "unset", "umask", "ulimit", "stty", "clear", "true", ":", "set", "shopt", "test", "[", "exit", "logout"}

// maxShell bounds what may be a shell and no more.
const maxShell = 1 << 10

// IsShell reports whether command is nothing but a shell that reads what it runs
// from its input, in any spelling: "bash -l", "cd /srv && exec sh -s", "sudo -i",
// "TERM=xterm $SHELL". It begins a session as a shell does that was asked for as
// one.
func (Grammar) IsShell(command string) bool {
	if len(command) > maxShell || strings.HasPrefix(strings.TrimSpace(command), "!") {
		return false
	}
	r := read(command, true)
	if r.asks == 0 || len(r.Unknown) != r.asks || len(r.Harms) > 0 {
		return false
	}
	return !slices.ContainsFunc(r.Programs, func(p []string) bool {
		name := path.Base(p[0])
		return !slices.Contains(before, name) && !slices.Contains(shells, name) && !slices.Contains(otherShells, name) && (wrappers[name] == nil || slices.Contains(feeding, name))
	})
}

// feeding are wrappers whose program gets another input than theirs, or none.
var feeding = []string{"xargs", "parallel", "watch", "systemd-run", "at", "screen"}
