package shell

import (
	"path"
	"slices"
	"strings"
)

// before are what a shell's session may begin with, without being more than a
// shell.
var before = []string{"cd", "exec", "export", "unset", "umask", "ulimit", "stty", "clear", "true", ":", "set", "shopt", "test", "["}

// IsShell reports whether command is nothing but a shell that reads what it runs
// from its input, in any spelling: "bash -l", "cd /srv && exec sh -s", "sudo -i",
// "TERM=xterm $SHELL". It begins a session as a shell does that was asked for as
// one.
func (Grammar) IsShell(command string) bool {
	if len(command) > maxShell || strings.ContainsAny(command, "|<>") {
		return false
	}
	r := read(command, true)
	if !r.asks || !r.last || len(r.Harms) > 0 || len(r.Unknown) != 1 {
		return false
	}
	for _, p := range r.Programs[:len(r.Programs)-1] {
		name := path.Base(p[0])
		if !slices.Contains(before, name) && (wrappers[name] == nil || name == "xargs" || name == "parallel" || name == "watch") && !slices.Contains(shells, name) {
			return false
		}
	}
	return !strings.ContainsAny(strings.TrimSpace(command), "!")
}

// maxShell bounds what may be a shell and no more.
const maxShell = 1 << 10
