package kit

import (
	"errors"
	"strings"

	"mvdan.cc/sh/v3/syntax"

	"github.com/sallyport/sallyport/protocol/shell"
	"github.com/sallyport/sallyport/protocol/ssh"
	"github.com/sallyport/sallyport/proxy"
)

// allows returns why a resource runs no command of a pattern: a list refuses
// shells and what cannot be told from the text, and exec_only more than that.
func allows(settings any, pattern string) error {
	set, _ := settings.(ssh.Settings) // without any, the zero value's hold
	words := strings.Fields(strings.TrimSuffix(strings.TrimSpace(pattern), "..."))
	if len(words) == 0 || words[0] == ">" || strings.ContainsAny(words[0], "*?[") {
		return nil
	}
	if words[0] == "sftp" && len(words) == 1 && !set.ExecOnly {
		return nil // the subsystem
	}
	err := runs(&set, words)
	if err != nil && len(words) == 1 { // with arguments it may
		if runs(&set, append(words, "x")) == nil || runs(&set, append(words, "--version")) == nil {
			return nil
		}
	}
	return err
}

// runs returns why a command of these words does not run.
func runs(set *ssh.Settings, words []string) error {
	quoted := make([]string, len(words))
	for i, w := range words {
		q, err := syntax.Quote(w, syntax.LangPOSIX)
		if err != nil {
			return err
		}
		quoted[i] = q
	}
	e := (&Kit{}).Exec(strings.Join(quoted, " "))
	if e.Kind == proxy.KindShell {
		return errors.New("a list of commands refuses shells")
	}
	if set.ExecOnly {
		if v, refused := judge().Refuses(&ssh.Settings{ExecOnly: true}, e); refused {
			return errors.New(v.Reason)
		}
	}
	return shell.Grammar{}.Check(e.Command)
}
