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
// its standard input, so no program may take commands from its input, from a file,
// or from arguments in which they cannot be read, as sh, python and less do. Programs
// such as find, sed, tar and git, and wrappers such as env, may run as long as their
// arguments say that they run nothing else, or what. The zero value is ready to use,
// by several goroutines at once.
type Grammar struct {
	// Allow are names of programs that may be used all the same, such as "rsync".
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
	reads := "" // a program that reads more than its arguments
	for _, words := range programs {
		if err := g.program(words[0], words[1:]); err != nil {
			return err
		}
		if base := path.Base(words[0]); slices.Contains(configured, base) {
			reads = base
		}
	}
	return forms(command, reads)
}

// IsShell reports whether command is nothing but a shell, such as "bash -l".
func (g *Grammar) IsShell(command string) bool { return shell.Grammar{}.IsShell(command) }

// forms refuses what shells evaluate twice: with a variable such as
// LC_X='a[$(id)]', which clients may set, $((LC_X)) runs id. It also refuses to set
// variables for a program that reads them, unless they are about language and screen.
func forms(command, reads string) error {
	file, err := syntax.NewParser(syntax.Variant(syntax.LangBash)).Parse(strings.NewReader(command), "")
	if err != nil {
		return errors.New("it is not valid shell syntax")
	}
	syntax.Walk(file, func(node syntax.Node) bool {
		bad := false
		switch n := node.(type) {
		case *syntax.LetClause, *syntax.ArithmCmd, *syntax.ArithmExp, *syntax.TestClause, *syntax.DeclClause:
			bad = true
		case *syntax.Assign:
			if reads != "" && err == nil && (n.Name == nil || !harmlessVariable(n.Name.Value)) {
				err = fmt.Errorf("it sets a variable by which %s may run other programs", reads)
			}
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
	case judged[base] != nil:
		if slices.ContainsFunc(args, func(a string) bool { return strings.HasPrefix(a, shell.Dynamic) }) {
			return fmt.Errorf("an argument of %s is computed, and may start other programs", base)
		}
		return judged[base](args)
	case runsOthers(base):
		return fmt.Errorf("%.32s runs what its arguments or its input say", base)
	}
	return nil
}

// runners are programs, and words of the shell's, that run commands which their
// arguments do not show, or change what later names mean.
var runners = words(`
	. source eval builtin alias unalias trap bind complete compgen compopt enable hash set shopt export declare
	typeset readonly local unset read readarray mapfile getopts fc jobs fg bg wait disown suspend ulimit umask
	sh ash bash dash rbash zsh ksh mksh csh tcsh fish busybox toybox elvish nu pwsh xonsh command exec
	xargs parallel unbuffer watch script screen tmux expect su sudoedit visudo vipw vigr
	runuser setpriv capsh chroot unshare nsenter systemd-run at batch crontab flock chrt taskset prlimit strace ltrace gdb lldb
	perf valgrind ld.so ssh scp sftp rsync rsh telnet nc ncat socat docker podman kubectl crictl ctr machinectl
	fd fdfind cpio zip unzip 7z make cmake ninja hg svn ed ex vi vim nvim view rvim emacs nano
	less more most man pager editor lynx w3m mutt mail dpkg rpm apt apt-get yum dnf pip gem npm npx yarn cargo go
	perl ruby node nodejs deno bun php lua luajit tclsh wish guile racket scala java jshell groovy ghc runghc R Rscript julia octave
	psql mysql mariadb sqlite3 mongo mongosh redis-cli gcc cc clang as ld tee-exec run-parts start-stop-daemon
	ip gosu su-exec chpst numactl fakeroot dbus-run-session systemd-inhibit sg newgrp pkexec`)

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
