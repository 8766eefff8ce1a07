// Package commandline judges whether it can be told from a shell's command line
// which programs it runs. It is ssh.Handler's Grammar, for resources that run
// single commands only.
package commandline

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// Grammar judges command lines as shells of the Bourne family read them. Every
// program must stand there by its name, and none may be one whose arguments are
// commands again, such as sh, env, xargs or awk. The zero value is ready to use,
// by several goroutines at once.
type Grammar struct {
	// Allow are names of programs that may be used although they could run others.
	Allow []string
}

// maxLength bounds the text, and with it how deep it can be nested: the parser
// is recursive.
const maxLength = 8 << 10

// Check returns an error, fit for the user, when it cannot be told what command
// would run.
func (g *Grammar) Check(command string) error {
	if len(command) > maxLength {
		return fmt.Errorf("it is longer than %d bytes", maxLength)
	}
	file, err := syntax.NewParser(syntax.Variant(syntax.LangBash)).Parse(strings.NewReader(command), "")
	if err != nil {
		return errors.New("it is no command line that a shell understands in one way")
	}
	if len(file.Stmts) == 0 {
		return errors.New("it runs nothing")
	}
	var found error
	syntax.Walk(file, func(node syntax.Node) bool {
		if found == nil {
			found = g.node(node)
		}
		return found == nil
	})
	return found
}

func (g *Grammar) node(node syntax.Node) error {
	switch n := node.(type) {
	case *syntax.CallExpr:
		return g.call(n)
	case *syntax.Assign:
		return errors.New("variables are not set here: they can change what runs")
	case *syntax.FuncDecl, *syntax.DeclClause:
		return errors.New("names are not defined here: they can change what runs")
	case *syntax.CoprocClause, *syntax.LetClause, *syntax.ArithmCmd, *syntax.ArithmExp, *syntax.TestClause:
		return errors.New("it uses a form that is not understood")
	case *syntax.ParamExp:
		if n.Excl || n.Names != 0 || n.Index != nil || n.Exp != nil && n.Exp.Op == syntax.OtherParamOps {
			return errors.New("it uses an expansion that is not understood")
		}
	}
	return nil
}

func (g *Grammar) call(n *syntax.CallExpr) error {
	if len(n.Assigns) > 0 {
		return errors.New("variables are not set here: they can change what runs")
	}
	if len(n.Args) == 0 {
		return nil
	}
	name := n.Args[0].Lit()
	if name == "" || strings.ContainsAny(name, "\\*?[]{}~$`'\"") {
		return errors.New("a program is not given by its plain name")
	}
	base := path.Base(name)
	for _, a := range g.Allow {
		if a == base {
			return nil
		}
	}
	if runsOthers(base) {
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
