package main

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
)

func version(_ context.Context, c *cli, args []string) error {
	if err := parse(c.flags("version"), args, 0); err != nil {
		return err
	}
	fmt.Fprintf(c.out, "sallyport %s %s %s/%s\n", versionText(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return nil
}

// versionText is the version that was built, and its revision where that is known.
func versionText() string {
	v, revision := "(devel)", ""
	if info, ok := debug.ReadBuildInfo(); ok {
		if info.Main.Version != "" {
			v = info.Main.Version
		}
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				revision = " " + s.Value
			}
		}
	}
	return v + revision
}

// completion prints a script that completes the commands' names.
func completion(_ context.Context, c *cli, args []string) error {
	f := c.flags("completion")
	if err := parse(f, args, 1); err != nil {
		return err
	}
	var names []string
	for _, cmd := range commands() {
		names = append(names, cmd.name)
	}
	words := strings.Join(names, " ")
	switch f.Arg(0) {
	case "bash":
		fmt.Fprintf(c.out, "_sallyport() {\n  if [ \"$COMP_CWORD\" -eq 1 ]; then\n    COMPREPLY=($(compgen -W %q -- \"${COMP_WORDS[1]}\"))\n  else\n    COMPREPLY=($(compgen -f -- \"${COMP_WORDS[COMP_CWORD]}\"))\n  fi\n}\ncomplete -F _sallyport sallyport\n", words)
	case "zsh":
		fmt.Fprintf(c.out, "#compdef sallyport\n_sallyport() {\n  if (( CURRENT == 2 )); then\n    compadd %s\n  else\n    _files\n  fi\n}\ncompdef _sallyport sallyport\n", words)
	case "fish":
		for _, cmd := range commands() {
			fmt.Fprintf(c.out, "complete -c sallyport -n __fish_use_subcommand -f -a %s -d %q\n", cmd.name, cmd.about)
		}
	default:
		return fail(exitUsage, "completion needs a shell: bash, zsh or fish")
	}
	return nil
}
