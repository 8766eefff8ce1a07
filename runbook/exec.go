package runbook

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"unicode/utf8"
)

// Variables that change what programs are, and not what they work on.
var keptEnv = []string{
	"PATH", "IFS", "ENV", "BASH_ENV", "SHELLOPTS", "BASHOPTS", "PS4", "PROMPT_COMMAND", "HOME", "SHELL", "CDPATH", "GLOBIGNORE",
	"PYTHONPATH", "PYTHONSTARTUP", "PYTHONHOME", "PERL5LIB", "PERL5OPT", "PERLLIB", "RUBYOPT", "RUBYLIB", "NODE_OPTIONS", "NODE_PATH", "JAVA_TOOL_OPTIONS", "CLASSPATH",
	"EDITOR", "VISUAL", "PAGER", "TERMINFO", "LESSOPEN", "GCONV_PATH", "HOSTALIASES", "LOCALDOMAIN", "NLSPATH", "MALLOC_TRACE", "TZDIR",
}

func (l *linter) exec(s *Step, key string) {
	x := s.Exec
	if len(x.Argv) == 0 && x.Script == "" || len(x.Argv) > 100 {
		l.add(x.Line, key+".argv", "Name the program.", "got %d words, want 1 to 100", len(x.Argv))
		return
	}
	l.words(x.Line, key+".argv", x.Argv, inWords)
	if x.Script == "" {
		w, err := readWord(x.Argv[0])
		if err == nil && (w.ref != nil || w.text == "" || strings.HasPrefix(w.text, "-")) {
			l.add(x.Line, key+".argv[0]", "Write the program's name.", "the program is a value")
		}
		l.shells(x, key)
	} else if !cleanPath(x.Script) {
		l.add(x.Line, key+".script", "Name a file of the source, from its root on.", "got %q", clip(x.Script))
	}
	for _, e := range x.Env {
		at := key + ".env." + e.Name
		if !envName.MatchString(e.Name) || slices.Contains(keptEnv, e.Name) || strings.HasPrefix(e.Name, "LD_") || strings.HasPrefix(e.Name, "DYLD_") || strings.HasPrefix(e.Name, "GIT_") || strings.HasPrefix(e.Name, "BASH_FUNC_") {
			l.add(e.Line, at, "Choose another name.", "the name is not one of a variable, or is one that changes which programs run")
		}
		l.word(e.Line, at, e.Value, inEnv)
	}
	if x.Stdin != "" && len(x.JSON) > 0 {
		l.add(x.Line, key+".stdin", "Leave one of them out.", "the command has two inputs: stdin and json")
	}
	if x.Stdin != "" {
		l.word(x.Line, key+".stdin", x.Stdin, inInput)
	}
	for _, m := range x.JSON {
		l.word(m.Line, key+".json."+m.Name, m.Value, inInput)
	}
	for _, n := range x.Status {
		if n < 0 || n > 255 {
			l.add(x.Line, key+".status", "", "got %d, want 0 to 255", n)
		}
	}
}

// interpreters run a text that a word of theirs is.
var interpreters = []string{"sh", "bash", "dash", "zsh", "ksh", "ash", "busybox", "su", "sudo", "python", "python3", "perl", "ruby", "node", "php", "env", "eval", "ssh", "awk", "xargs", "timeout", "nohup", "nice", "setsid", "doas", "runuser", "chroot", "watch", "script", "find", "sed"}

// shells refuses a value that an interpreter would read as a program.
func (l *linter) shells(x *Exec, key string) {
	program := path.Base(x.Argv[0])
	if !slices.Contains(interpreters, program) {
		return
	}
	for i, s := range x.Argv[1:] {
		if flag := strings.TrimLeft(s, "-"); strings.HasPrefix(s, "-") && !strings.HasPrefix(s, "--") && strings.ContainsAny(flag, "ce") || s == "eval" {
			if i+2 < len(x.Argv) && strings.HasPrefix(x.Argv[i+2], "$") && !strings.HasPrefix(x.Argv[i+2], "$$") {
				l.add(x.Line, fmt.Sprintf("%s.argv[%d]", key, i+2), "Write a script, and give it the value by env, json or as a word.", "%s would run a value as a program", program)
			}
		}
	}
}

// cleanPath reports whether a path stays within its source.
func cleanPath(p string) bool {
	return p != "" && len(p) < 500 && path.Clean(p) == p && !path.IsAbs(p) && p != ".." && !strings.HasPrefix(p, "../") && !strings.ContainsAny(p, "\\\x00\n\r:") &&
		utf8.ValidString(p) && !strings.HasPrefix(path.Base(p), "-") && !strings.HasPrefix(p, ".git/") && p != ".git"
}

func (l *linter) nested(s *Step, key string) {
	n := s.Runbook
	if !bookName.MatchString(n.Name) || n.Name == l.book.Metadata.Name {
		l.add(n.Line, key+".name", "", "got %q, want the name of another runbook", n.Name)
	}
	for _, p := range n.Params {
		l.word(p.Line, key+".params."+p.Name, p.Value, inParams)
	}
	for theirs, ours := range n.Targets {
		if l.book.group(ours) == nil {
			l.add(n.Line, key+".targets."+theirs, "", "there is no group %q", ours)
		}
	}
}

// Files are the files of a source, at one commit.
type Files interface {
	// Read returns a file of at most limit bytes. The error says what it is, and holds nothing of
	// it.
	Read(ctx context.Context, path string, limit int) ([]byte, error)
	// Find returns the runbook of a name.
	Find(ctx context.Context, name string) (*Runbook, error)
}

const maxScript = 64 << 10

// Complete reads what a runbook needs of other files: scripts, and runbooks that it runs.
func (b *Runbook) Complete(ctx context.Context, from Files) error { return b.complete(ctx, from, nil) }

func (b *Runbook) complete(ctx context.Context, from Files, outer []string) error {
	outer = append(outer, b.Metadata.Name)
	if len(outer) > MaxNested {
		return fmt.Errorf("%s: runbooks are nested more than %d deep", strings.Join(outer, " runs "), MaxNested)
	}
	for _, s := range b.Steps {
		switch {
		case s.Exec != nil && s.Exec.Script != "":
			text, err := from.Read(ctx, s.Exec.Script, maxScript)
			if err == nil {
				err = checkScript(text)
			}
			if err != nil {
				return Problems{{Line: s.Exec.Line, Key: "steps." + s.ID + ".exec.script", Message: fmt.Sprintf("%s: %v", s.Exec.Script, err)}}
			}
			sum := sha256.Sum256(text)
			s.Exec.script, s.Exec.digest = string(text), hex.EncodeToString(sum[:])
		case s.Runbook != nil:
			at := Problem{Line: s.Runbook.Line, Key: "steps." + s.ID + ".runbook"}
			if slices.Contains(outer, s.Runbook.Name) {
				at.Message = strings.Join(append(outer, s.Runbook.Name), " runs ") + ", without an end"
				return Problems{at}
			}
			book, err := from.Find(ctx, s.Runbook.Name)
			if err == nil {
				err = book.complete(ctx, from, outer)
			}
			if err != nil {
				at.Message = s.Runbook.Name + ": " + err.Error()
				return Problems{at}
			}
			s.Runbook.book = book
			if err := s.Runbook.fits(b); err != nil {
				at.Message = err.Error()
				return Problems{at}
			}
		}
	}
	return nil
}

// fits checks that a nested runbook gets what it needs.
func (n *Nested) fits(outer *Runbook) error {
	given := make(map[string]bool)
	for _, p := range n.Params {
		given[p.Name] = true
		if q := n.book.param(p.Name); q == nil || Type(q.Type) == SecretType {
			return fmt.Errorf("%s has no parameter %q, or it is a secret", n.Name, p.Name)
		}
	}
	for _, p := range n.book.Params {
		if p.Required && !given[p.Name] {
			return fmt.Errorf("the parameter %s of %s is required", p.Name, n.Name)
		}
	}
	for _, g := range n.book.Targets {
		ours := outer.group(n.Targets[g.Name])
		if ours == nil {
			return fmt.Errorf("targets: nothing is said of the group %s of %s", g.Name, n.Name)
		}
	}
	for name := range n.Targets {
		if n.book.group(name) == nil {
			return fmt.Errorf("targets: %s has no group %q", n.Name, name)
		}
	}
	return nil
}

func checkScript(text []byte) error {
	switch {
	case bytes.HasPrefix(text, []byte("version https://git-lfs")):
		return errors.New("it is a pointer to a file of Git LFS, which is not followed")
	case bytes.IndexByte(text, 0) >= 0, !utf8.Valid(text):
		return errors.New("it is not text")
	case len(bytes.TrimSpace(text)) == 0:
		return errors.New("it is empty")
	case bytes.HasPrefix(text, []byte("#!")):
		first, _, _ := bytes.Cut(text, []byte("\n"))
		if p := path.Base(strings.TrimSpace(string(first[2:]))); p != "sh" && p != "env sh" {
			return fmt.Errorf("it is a script for %q, and scripts are run by sh", clip(p))
		}
	}
	return nil
}
