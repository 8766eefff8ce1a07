package commandline

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestAttack50: ways to hide which program runs.
func TestAttack50(t *testing.T) {
	tests := []struct {
		name, command string
		ok            bool
	}{
		{"plain", "ls -l /srv", true},
		{"pipe of known programs", "grep -c error /var/log/x | sort", true},
		{"several", "uptime; df -h && free", true},
		{"quoted arguments", `grep 'a; rm -rf /' "file name"`, true},
		{"redirected", "cat <<'E'\nrm -rf /\nE", true},
		{"by its path", "/usr/bin/id", true},
		{"variable as an argument", "ls $HOME", true},

		{"sh -c", "sh -c 'rm -rf /'", false},
		{"by the path of a shell", "/bin/../bin/bash -c id", false},
		{"piped to a shell", "echo cm0gLXJmIC8= | base64 -d | sh", false},
		{"here-document to a shell", "sh <<E\nrm -rf /\nE", false},
		{"here-string", "bash <<< id", false},
		{"process substitution", "cat <(sh -c id)", false},
		{"substitution", "echo $(sh -c id)", false},
		{"backquotes", "echo `python3 -c 'x'`", false},
		{"the name is substituted", "$(echo rm) -rf /", false},
		{"the name is a variable", "$SHELL -c id", false},
		{"IFS", "rm$IFS-rf$IFS/", false},
		{"IFS in braces", "{rm,-rf,/}", false},
		{"variable before the command", "PATH=/tmp ls", false},
		{"LD_PRELOAD", "LD_PRELOAD=/tmp/x.so ls", false},
		{"variable set first", "X=rm; $X -rf /", false},
		{"export", "export PATH=/tmp; ls", false},
		{"alias", "alias ls=rm; ls /", false},
		{"function", "ls() { sh -c id; }; ls", false},
		{"newline", "ls\nsh -c id", false},
		{"in the background", "ls & sh -c id", false},
		{"in a subshell", "(sh -c id)", false},
		{"in a condition", "if true; then sh -c id; fi", false},
		{"backslash in the name", `s\h -c id`, false},
		{"quotes in the name", `s''h -c id`, false},
		{"dollar quotes", `$'\x73\x68' -c id`, false},
		{"glob in the name", "/bin/s? -c id", false},
		{"tilde", "~/evil", false},
		{"eval", "eval 'rm -rf /'", false},
		{"dot", ". /tmp/x", false},
		{"env", "env sh -c id", false},
		{"env before a program that is judged", "env LANG=C ls /", true},
		{"env for a program that reads variables", "env GIT_DIR=/tmp/x git status", false},
		{"env that prints", "env", true},
		{"env that loads", "env LD_PRELOAD=/tmp/x ls", false},
		{"env of an editor", "env EDITOR='sh -c id' crontab -l", false},
		{"find", "find /var/log -name '*.log' -mtime -1", true},
		{"find -delete", "find /tmp -name x -delete", true},
		{"find -execdir", "find / -execdir id ;", false},
		{"find -ok", "find / -ok id ;", false},
		{"find of what is computed", "find / $X", false},
		{"sed -n", "sed -n '1,20p' /etc/hosts", true},
		{"sed's s", "sed -e 's/execute/ewW/g' -e '/^$/d' /etc/hosts", true},
		{"sed's e", "sed '1e id' /etc/hosts", false},
		{"sed's e without a text", "sed e /etc/hosts", false},
		{"sed's flag e", "sed 's/x/id/e' /etc/hosts", false},
		{"sed's flag e among others", "sed 's,x,id,gIe' /etc/hosts", false},
		{"sed's file", "sed -f /tmp/x /etc/hosts", false},
		{"sed's file after letters", "sed -nf /tmp/x /etc/hosts", false},
		{"sed's script is computed", "sed \"$X\" /etc/hosts", false},
		{"awk", "awk -F: '$3 > 1000 || /a|b/ { print $1 }' /etc/passwd", true},
		{"awk's pipe", "awk '{ print | \"sh\" }' x", false},
		{"awk's getline from a program", "awk 'BEGIN { \"id\" | getline x; print x }'", false},
		{"awk's file", "awk -f /tmp/x", false},
		{"gawk's file", "gawk -E /tmp/x", false},
		{"gawk's library", "gawk --load x 1", false},
		{"awk's script is computed", "awk \"$X\" /etc/hosts", false},
		{"git", "git -C /srv/app log --oneline -n 5", true},
		{"git's settings", "git -c core.pager='sh -c id' log", false},
		{"git's settings that run nothing", "git -c user.name=x log", true},
		{"git log --patch", "git log --patch -n 1", true},
		{"git's choice of changes", "git add --pat", false},
		{"git's choice of changes elsewhere", "git checkout -p", false},
		{"git's alias", "git x", false},
		{"git's pager", "git -p log", false},
		{"git's upload-pack", "git fetch --upload-pack='sh -c id' x", false},
		{"git's transport", "git clone ext::id", false},
		{"git rebase", "git rebase -x id HEAD", false},
		{"git grep", "git grep -Oid x", false},
		{"git with an editor", "git commit", false},
		{"git's configuration", "git config core.pager id", false},
		{"git with its variables", "GIT_SSH_COMMAND=id git fetch", false},
		{"git at home elsewhere", "HOME=/tmp git status", false},
		{"git in another language", "LC_ALL=C git status", true},
		{"tar", "tar -tzf /srv/x.tgz", true},
		{"tar's action", "tar cf /dev/null --checkpoint=1 --checkpoint-action=exec='sh -c id' x", false},
		{"tar's action, abbreviated", "tar cf /dev/null --checkpoint=1 --checkpoint-ac=exec='sh -c id' x", false},
		{"tar's program", "tar -I 'sh -c id' -cf x y", false},
		{"tar's program among letters", "tar cIf 'sh -c id' x y", false},
		{"tar from elsewhere", "tar -xf host:x --rsh-command=/tmp/x", false},
		{"tar with its variables", "TAR_OPTIONS=--to-command=id tar xf x", false},
		{"sort", "sort -k2 x", true},
		{"sort's program", "sort --compress-program='sh -c id' x", false},
		{"sudo", "sudo -n systemctl status ssh", true},
		{"sudo's editor", "sudo -e /etc/hosts", false},
		{"sudo's shell", "sudo -i", false},
		{"timeout", "timeout 5 uptime", true},
		{"timeout of a shell", "timeout 5 sh -c id", false},
		{"an option that is not known", "nice --nothing uptime", false},
		{"nothing is kept", "id 2>/dev/null", true},
		{"a variable as a name", "X=ls; $X", false},
		{"env -S", "env -S 'rm -rf /'", false},
		{"xargs", "echo / | xargs rm -rf", false},
		{"find -exec", "find / -exec rm {} +", false},
		{"awk", "awk 'BEGIN{system(\"id\")}'", false},
		{"python of a version", "python3.11 -c 1", false},
		{"the loader", "/lib64/ld-linux-x86-64.so.2 /bin/sh", false},
		{"command", "command rm -rf /", false},
		{"exec", "exec rm -rf /", false},
		{"coproc", "coproc sh", false},
		{"indirect expansion", "echo ${!X}", false},
		{"prompt expansion", "echo ${X@P}", false},
		{"arithmetic", "echo $((LC_X))", false},
		{"arithmetic in a slice", "echo ${HOME:LC_X}", false},
		{"test of a variable", "[ -v 'a[$(id)]' ]", false},
		{"printf to a variable", "printf -v 'a[$(id)]' x", false},
		{"a shell that reads its input", "bash", false},
		{"an interpreter that reads its input", "python3", false},
		{"test", "[[ -v x ]]", false},
		{"unfinished", "echo 'x", false},
		{"empty", "", false},
		{"a comment", "# ls", false},
		{"very long", "ls " + strings.Repeat("x ", 60000), false},
		{"deeply nested", strings.Repeat("(", 8000), false},
		{"deeply nested substitutions", strings.Repeat("$(", 4000), false},
		{"deeply nested quotes", strings.Repeat("\"$(", 2700), false},
		{"deeply nested conditions", strings.Repeat("if ", 2700), false},
	}
	var g Grammar
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := g.Check(tt.command)
			require.Equal(t, tt.ok, err == nil, "%v", err)
		})
	}
	allowing := Grammar{Allow: []string{"rsync"}}
	require.NoError(t, allowing.Check("rsync --server -e.x . /srv"))
	require.Error(t, g.Check("rsync --server -e.x . /srv"))
}

func FuzzCheck(f *testing.F) {
	f.Add("ls -l | sort")
	f.Add("$(x) `y` <<E\nE\n${a[1]:-$((2))}")
	f.Fuzz(func(t *testing.T, command string) {
		var g Grammar
		if g.Check(command) != nil {
			return
		}
		for _, word := range []string{"sh -c", "eval "} {
			if strings.HasPrefix(strings.TrimSpace(command), word) {
				t.Fatalf("%q is taken for harmless", command)
			}
		}
	})
}
