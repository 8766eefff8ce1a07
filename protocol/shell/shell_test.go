package shell

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
)

// show prints programs, "?" for what is computed.
func show(programs [][]string) string {
	var list []string
	for _, p := range programs {
		list = append(list, strings.ReplaceAll(strings.Join(p, " "), Dynamic, "?"))
	}
	return strings.Join(list, "; ")
}

func TestPrograms(t *testing.T) {
	for command, want := range map[string]string{
		"ls -l /tmp":                               "ls -l /tmp",
		"r'm' -\\rf \"/\"":                         "rm -rf /",
		"a | b && c || d; e & f":                   "a; b; c; d; e; f",
		"echo $(rm -rf x) `id`":                    "echo ? ?; rm -rf x; id",
		"echo \"$(rm x)\"":                         "echo ?; rm x",
		"diff <(rm a) b":                           "diff ? b; rm a",
		"sh -c 'rm -rf /'":                         "sh -c rm -rf /; rm -rf /",
		"bash -xec \"sh -c 'rm x'\"":               "bash -xec sh -c 'rm x'; sh -c rm x; rm x",
		"sudo -u root -n -- rm x":                  "sudo -u root -n -- rm x; rm x",
		"env A=1 -u B nice -n 5 rm x":              "env A=1 -u B nice -n 5 rm x; nice -n 5 rm x; rm x",
		"timeout -k 5 10 rm x":                     "timeout -k 5 10 rm x; rm x",
		"ls | xargs -n 1 rm -r":                    "ls; xargs -n 1 rm -r; rm -r ?",
		"find / -name x -exec rm -r {} \\; -print": "find / -name x -exec rm -r {} ; -print; rm -r ?",
		"find / -delete":                           "find / -delete; rm -r /",
		"(cd x; rm y)":                             "cd x; rm y",
		"if a; then b; else c; fi":                 "a; b; c",
		"while a; do b; done; for i in 1 2; do c $i; done; case x in x) d;; esac": "a; b; c ?; d",
		"f() { rm x; }; f":     "f; rm x",
		"echo a > /etc/passwd": "> /etc/passwd; echo a",
		"eval 'rm x'":          "eval rm x; rm x",
		"rm -r build/$X":       "rm -r build/?",
		"cat <<EOF\nrm x\nEOF": "cat",
		"watch -n 1 'rm x'":    "watch -n 1 rm x; rm x",
		"su -c 'rm x' bob":     "su -c rm x bob; rm x",
		"# rm x":               "",
		"":                     "",
	} {
		got, err := Grammar{}.Programs(command)
		require.NoError(t, err, command)
		parts := strings.Split(show(got), "; ")
		for _, p := range strings.Split(want, "; ") {
			require.Contains(t, parts, p, "%s: %s", command, show(got))
		}
	}
}

func TestUnclear(t *testing.T) {
	for _, command := range []string{
		"$X", "r$Y -rf /", "cat$IFS/etc/passwd", "curl x | bash -s", "sh < file",
		"eval $X", "sh -c \"$X\"", "PATH=/tmp ls", "LD_PRELOAD=x ls", "env LD_PRELOAD=x ls",
		":(){ :|:& };:", "export PATH=/tmp", "a 'b", "a (", "su bob", "sudo $X", "xargs $X", "ls\x00rm",
		strings.Repeat("(", 1000) + "a" + strings.Repeat(")", 1000), strings.Repeat("$(", 5000), strings.Repeat("a ", 40000), "echo x | sh -c \"$(cat)\"",
		"sh -c " + strings.Repeat("'sh -c ", 3) + "\"$x\"",
	} {
		_, err := Grammar{}.Programs(command)
		require.Error(t, err, command)
	}
}

func FuzzPrograms(f *testing.F) {
	for _, c := range []string{"sudo sh -c 'rm -rf /' | xargs a > b", "find . -exec x {} \\;", "f() { f; }; $(a `b`) <<E\nx\nE", "{a,b} $'\\x41' \"$x\""} {
		f.Add(c)
	}
	f.Fuzz(func(t *testing.T, command string) {
		programs, _ := Grammar{}.Programs(command)
		for _, p := range programs {
			if len(p) == 0 {
				t.Fatalf("%q: a program without a name", command)
			}
		}
	})
}

// TestBounds: what would take long to read is not read to its end, and then not
// taken for harmless.
func TestBounds(t *testing.T) {
	for _, command := range []string{
		strings.Repeat("for a in 1 2 3; do ", 25) + "rm -rf /" + strings.Repeat("; done", 25),
		strings.Repeat("while x; do ", 30) + "rm -rf /" + strings.Repeat("; done", 30),
		"f(){ g;g;g;g;g;g;g;g;}; g(){ h;h;h;h;h;h;h;h;}; h(){ i;i;i;i;i;i;i;i;}; i() { j;j;j;j;j;j;j;j;}; j() { k;k;k;k;k;k;k;k;}; f; rm -rf /",
		"X=/; " + strings.Repeat("X=$X$X; ", 200) + "rm -rf $X",
		"X=aaaaaaaa; " + strings.Repeat("X=${X//a/aaaaaaaa}; ", 200) + "rm -rf $X",
		"rm -rf /" + strings.Repeat("{.,./}", 500),
		"cd /; " + strings.Repeat("tmux new -d 'tmux new -d x' ", 100) + "; rm -rf *",
		strings.Repeat("echo a b c; ", 5000) + "rm -rf /",
		"X=" + strings.Repeat("$(echo ", 99) + "/" + strings.Repeat(")", 99) + "; rm -rf $X",
		strings.Repeat("find . -exec ", 30) + "rm -rf / ;",
		strings.Repeat("sudo ", 100) + "rm -rf /",
		strings.Repeat("sudo --x ", 2000) + "rm -rf /",
	} {
		begin := time.Now()
		f := Grammar{}.Facts(&proxy.Exec{Command: command})
		require.Less(t, time.Since(begin), 20*time.Second, command[:40])
		require.True(t, len(f.Unknown)+len(f.Harms) > 0, command[:40])
	}
}

func TestFilesOfCommands(t *testing.T) {
	for command, want := range map[string]string{
		"bash deploy.sh prod":               "deploy.sh prod",
		"sh -e ./x":                         "./x",
		"bash -- x":                         "x",
		". /etc/os-release; echo $ID":       "/etc/os-release",
		"source venv/bin/activate && ls":    "venv/bin/activate",
		"sudo bash /opt/x":                  "/opt/x",
		"export PATH=$PATH:/usr/games; ls":  "ls",
		"PATH=\"${PATH}:/a:/b\" ls -l":      "ls -l",
		"cd /srv && PATH=$PATH:$HOME/x ./y": "./y",
	} {
		programs, err := Grammar{}.Programs(command)
		require.NoError(t, err, command)
		require.Contains(t, programs, strings.Fields(want), command)
	}
	for _, command := range []string{"export PATH=/x:$PATH; ls", "PATH=${PATH#x}:/y ls", "PATH=$PATH ls", "PATH=$OTHER:/x ls", "PATH=$PATH/x ls", "PATH=${PATH:-/x}:/y ls"} {
		require.Error(t, Grammar{}.Check(command), command)
	}
}

func TestIsShell(t *testing.T) {
	for command, want := range map[string]bool{
		"bash": true, "sh -s": true, "/bin/bash -l": true, "exec bash --login": true, "  zsh\t-i ": true, "sh": true, "bash -": true,
		"": false, "ls": false, "bash x": false, "bash -c ls": false, "bash; ls": false, "bash | ls": false, "bash &": false, "! bash": false, "bash < x": false,
		"A=1 bash": true, "$SHELL": true, "'bash'": true, "bash -s x": true, "fish": true, "sudo bash": true, "cd /x && exec bash -l": true,
		"bash $X": false, "exec": false, "bash\nls": false, "ls; bash": false, "rm -rf /; bash": false, "bash 2>&1": true, "bash > x": false, "bash | cat": false, "ls | bash": false, "cat x; bash": false, "bash -c ls; bash": false, "$X && bash": false,
		strings.Repeat(" ", 2000) + "bash": false,
	} {
		require.Equal(t, want, Grammar{}.IsShell(command), command)
	}
}
