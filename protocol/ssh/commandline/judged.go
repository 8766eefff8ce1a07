package commandline

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// judged are programs that can run others by some of their arguments. What these
// start is judged as any other program, as package shell finds it; here is what it
// does not find.
var judged = map[string]func(args []string) error{
	"env": environment, "nice": wraps, "ionice": wraps, "nohup": wraps, "timeout": wraps, "stdbuf": wraps, "setsid": wraps, "time": wraps,
	"sudo": sudo, "doas": sudo, "find": find, "sed": wraps, "gsed": wraps, "awk": wraps, "gawk": wraps, "mawk": wraps, "nawk": wraps, "sort": wraps,
	"tar": archives, "bsdtar": archives, "gtar": archives, "git": git,
}

// configured are programs that also run what their variables say.
var configured = []string{"tar", "bsdtar", "gtar", "git"}

// harmlessVariable reports whether a variable is about language or screen only.
func harmlessVariable(name string) bool {
	return strings.HasPrefix(name, "LC_") || slices.Contains([]string{"LANG", "LANGUAGE", "TZ", "TERM", "COLUMNS", "LINES", "NO_COLOR"}, name)
}

// wraps allows a program whose arguments show everything that it starts. The variables
// that env sets are for what follows.
func wraps(args []string) error {
	for i, a := range args {
		name, _, sets := strings.Cut(a, "=")
		if !sets || strings.HasPrefix(a, "-") || harmlessVariable(name) {
			continue
		}
		for _, later := range args[i+1:] {
			if slices.Contains(configured, later[strings.LastIndexByte(later, '/')+1:]) {
				return fmt.Errorf("it sets a variable by which %s may run other programs", later)
			}
		}
	}
	return nil
}

func environment(args []string) error {
	if slices.ContainsFunc(args, func(a string) bool {
		return strings.HasPrefix(a, "-S") || strings.HasPrefix(a, "-vS") || strings.HasPrefix(a, "--split-string")
	}) {
		return errors.New("env splits a text into words: write the words")
	}
	return wraps(args)
}

// find may start nothing: what it finds becomes the arguments.
func find(args []string) error {
	for _, a := range args {
		if slices.Contains([]string{"-exec", "-execdir", "-ok", "-okdir"}, a) {
			return fmt.Errorf("find runs other programs by %s", a)
		}
	}
	return nil
}

func sudo(args []string) error {
	for _, a := range args {
		if !strings.HasPrefix(a, "-") {
			break
		}
		if a == "--edit" || a[1:] != "" && a[1] != '-' && strings.Contains(a, "e") && !strings.ContainsAny(a[:strings.Index(a, "e")], "aCcDghpRrTtUu") {
			return errors.New("sudo starts an editor")
		}
	}
	return wraps(args)
}

// archives refuses what tar may run besides: a program that is given among other
// letters, and one that reaches an archive elsewhere.
func archives(args []string) error {
	local := slices.Contains(args, "--force-local")
	for i, a := range args {
		letters := i == 0 && a != "" && a[0] != '-' || len(a) > 2 && a[0] == '-' && a[1] != '-'
		if letters && strings.ContainsAny(a[1:], "IF") {
			return errors.New("tar runs a program that is given among other letters: write its option by itself")
		}
		file := strings.TrimPrefix(a, "--file=")
		host, _, remote := strings.Cut(file, ":")
		after := i > 0 && (args[i-1] == "--file" || strings.HasSuffix(args[i-1], "f"))
		if remote && !local && !strings.Contains(host, "/") && (after || file != a || strings.HasPrefix(a, "-f")) {
			return errors.New("tar reaches an archive on another machine by a program")
		}
	}
	return nil
}

// plain are the commands of git that start no program by themselves, as long as
// nothing is to be edited.
var plain = strings.Fields(`status log show diff branch rev-parse remote ls-files ls-tree ls-remote describe fetch pull push clone checkout switch restore add
	reset stash blame shortlog reflog cat-file rev-list name-rev symbolic-ref show-ref for-each-ref worktree grep commit config tag merge-base count-objects version
	upload-pack receive-pack upload-archive`)

// git allows the commands of git that start nothing, without options by which they
// would.
func git(args []string) error {
	refuse := func(a string) error { return fmt.Errorf("git may run other programs by %.32q", a) }
	i := 0
	for ; i < len(args) && strings.HasPrefix(args[i], "-"); i++ {
		switch a := args[i]; {
		case a == "-C" || a == "--git-dir" || a == "--work-tree" || a == "--namespace":
			i++
		case a == "--version" || a == "--no-pager" || a == "-P" || a == "--bare" || a == "--no-replace-objects" || a == "--literal-pathspecs" || a == "--no-optional-locks":
		case strings.HasPrefix(a, "--git-dir=") || strings.HasPrefix(a, "--work-tree="):
		case a == "-c" && i+1 < len(args) && harmlessSetting(args[i+1]):
			i++
		default:
			return refuse(a)
		}
	}
	if i >= len(args) {
		return nil
	}
	verb, rest := args[i], args[i+1:]
	if !slices.Contains(plain, verb) {
		return refuse(verb)
	}
	for _, a := range rest {
		name, _, _ := strings.Cut(a, "=")
		letters := len(a) > 1 && a[0] == '-' && a[1] != '-'
		switch {
		case a == "--":
			return nil
		case len(name) > 3 && slices.ContainsFunc(running, func(o string) bool { return strings.HasPrefix(o, name) }),
			letters && verb == "grep" && strings.Contains(a, "O"), letters && verb == "add" && strings.ContainsAny(a, "eip"),
			letters && verb == "clone" && strings.ContainsAny(a, "cu"), strings.Contains(a, "::"):
			return refuse(a)
		}
	}
	if chooses := []string{"add", "checkout", "reset", "restore", "stash", "commit"}; slices.Contains(chooses, verb) && slices.ContainsFunc(rest, func(a string) bool {
		return a == "-p" || a == "-i" || len(a) > 3 && (strings.HasPrefix("--patch", a) || strings.HasPrefix("--interactive", a))
	}) {
		return refuse(verb) // asks about each change, by a program of its settings
	}
	has := func(options ...string) bool {
		return slices.ContainsFunc(rest, func(a string) bool {
			name, _, _ := strings.Cut(a, "=")
			return slices.Contains(options, name) || slices.ContainsFunc(options, func(o string) bool { return len(o) == 2 && strings.HasPrefix(a, o) })
		})
	}
	switch {
	case verb == "commit" && (!has("-m", "-F", "--message", "--file", "-am") || has("-e")),
		verb == "tag" && len(rest) > 0 && !has("-l", "--list", "-n"),
		verb == "config" && !has("--get", "--list", "-l", "--get-all", "--get-regexp"):
		return refuse(verb)
	}
	return nil
}

// running are options of git's commands that start programs or editors, or change
// its settings.
var running = strings.Fields("--exec --upload-pack --receive-pack --open-files-in-pager --ext-diff --extcmd --config --config-env --exec-path --template --edit --edit-description --paginate")

// harmlessSetting reports whether a setting of git's is one that runs nothing.
func harmlessSetting(s string) bool {
	key, _, _ := strings.Cut(strings.ToLower(s), "=")
	return slices.Contains([]string{"user.name", "user.email", "safe.directory", "color.ui", "core.quotepath", "core.autocrlf", "advice.detachedhead", "init.defaultbranch", "gc.auto"}, key)
}
