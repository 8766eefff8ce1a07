// Package commandline is the grammar for SSH resources that run single commands
// only: ssh.Handler's Grammar.
package commandline

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/syntax"

	"github.com/sallyport/sallyport/protocol/shell"
)

// Grammar judges whether it can be told from a command line what runs. It is
// stricter than what guardrails need: a user who runs a single command also writes
// its standard input, so no program may take commands from its input, from its
// arguments or from a file, as sh, env, xargs, awk and python do. The zero value
// is ready to use, by several goroutines at once.
type Grammar struct {
	// Allow are names of programs that may be used all the same, such as "rsync" or
	// "git".
	Allow []string
}

// Check returns an error, fit for the user, when it cannot be told what command
// would run.
func (g *Grammar) Check(command string) error {
	programs, err := shell.Grammar{}.Programs(command)
	if err != nil {
		return err
	}
	if len(programs) == 0 {
		return errors.New("it runs nothing")
	}
	for _, words := range programs {
		if err := g.program(words[0], words[1:]); err != nil {
			return err
		}
	}
	return forms(command)
}

// IsShell reports whether command is nothing but a shell, such as "bash -l".
func (g *Grammar) IsShell(command string) bool { return shell.Grammar{}.IsShell(command) }

// forms refuses what shells evaluate twice: with a variable such as
// LC_X='a[$(id)]', which clients may set, $((LC_X)) runs id.
func forms(command string) error {
	file, err := syntax.NewParser(syntax.Variant(syntax.LangBash)).Parse(strings.NewReader(command), "")
	if err != nil {
		return errors.New("it is not valid shell syntax")
	}
	syntax.Walk(file, func(node syntax.Node) bool {
		bad := false
		switch n := node.(type) {
		case *syntax.LetClause, *syntax.ArithmCmd, *syntax.ArithmExp, *syntax.TestClause, *syntax.DeclClause:
			bad = true
		case *syntax.ParamExp:
			bad = n.Excl || n.Names != 0 || n.Index != nil || n.Slice != nil || n.Exp != nil && n.Exp.Op == syntax.OtherParamOps
		}
		if bad && err == nil {
			err = errors.New("it uses a form that shells evaluate twice")
		}
		return true
	})
	return err
}

func (g *Grammar) program(name string, args []string) error {
	base := path.Base(name)
	switch {
	case name == ">": // writes a file
	case name == "" || strings.ContainsAny(name, "\\*?[]{}~$`'\"") || strings.Contains(name, shell.Dynamic):
		return errors.New("a program is not given by its plain name")
	case slices.Contains([]string{"test", "[", "printf"}, base) && slices.ContainsFunc(args, func(a string) bool {
		return strings.HasPrefix(a, "-v") || strings.Contains(a, shell.Dynamic)
	}):
		return fmt.Errorf("%s may evaluate this twice", base)
	case slices.Contains(g.Allow, base):
	case runsOthers(base):
		return fmt.Errorf("%.32s runs what its arguments or its input say", base)
	}
	return nil
}

// runners are programs, and words of the shell's, that run commands given as
// arguments or input, or change what later names mean.
var runners = words(`
	. source eval exec command builtin alias unalias trap bind complete compgen compopt enable hash set shopt export declare
	typeset readonly local unset read readarray mapfile getopts fc jobs fg bg wait disown suspend ulimit umask
	sh ash bash dash rbash zsh ksh mksh csh tcsh fish busybox toybox elvish nu pwsh xonsh
	env xargs parallel nohup nice ionice timeout setsid stdbuf unbuffer time watch script screen tmux expect sudo doas su
	runuser setpriv capsh chroot unshare nsenter systemd-run at batch crontab flock chrt taskset prlimit strace ltrace gdb lldb
	perf valgrind ld.so ssh scp sftp rsync rsh telnet nc ncat socat docker podman kubectl crictl ctr machinectl
	find fd tar cpio zip unzip 7z make cmake ninja git hg svn awk gawk mawk nawk sed ed ex vi vim nvim view rvim emacs nano
	less more most man pager lynx w3m mutt mail dpkg rpm apt apt-get yum dnf pip gem npm npx yarn cargo go
	perl ruby node nodejs deno bun php lua luajit tclsh wish guile racket scala java jshell groovy ghc runghc R Rscript julia octave
	psql mysql mariadb sqlite3 mongo mongosh redis-cli gcc cc clang as ld tee-exec run-parts start-stop-daemon`)

func words(list string) map[string]bool {
	m := make(map[string]bool)
	for _, w := range strings.Fields(list) {
		m[w] = true
	}
	return m
}

func runsOthers(base string) bool {
	// python3.11, lua5.4, ld-linux-x86-64.so.2 and the like.
	stem := strings.TrimRight(base, "0123456789.-")
	return runners[base] || runners[stem] || strings.HasPrefix(base, "python") || strings.HasPrefix(base, "pypy") || strings.HasPrefix(base, "ld-")
}
