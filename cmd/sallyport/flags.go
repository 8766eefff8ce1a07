package main

import (
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Flags that several commands have, and how flags are read.

// envFlag adds a flag that an environment variable sets where the command line does not.
func envFlag(f *pflag.FlagSet, name, short, variable, value, usage string) *string {
	p := f.StringP(name, short, value, usage)
	if set := os.Getenv(variable); set != "" {
		*p = set
	}
	return p
}

// defaultConfig is the config file that is used where none is named.
const defaultConfig = "sallyport.yaml"

// outranks says which variables of the environment do not count where a flag is on the command line: a gateway that is
// named there is not exchanged for another one that a shell has set.
var outranks = map[string][]string{"config": {"socket", "profile"}, "profile": {"socket"}}

// place is the value of a flag that says which gateway is meant.
type place struct {
	pflag.Value
	name  string
	flags *pflag.FlagSet
}

func (p *place) Set(text string) error {
	for _, name := range outranks[p.name] {
		other := p.flags.Lookup(name)
		if other == nil || other.Changed {
			continue
		}
		if err := other.Value.Set(other.DefValue); err != nil {
			return err
		}
	}
	return p.Value.Set(text)
}

// placeFlag adds a flag that says which gateway is meant.
func placeFlag(f *pflag.FlagSet, name, short, variable, value, usage string) *string {
	p := envFlag(f, name, short, variable, value, usage)
	flag := f.Lookup(name)
	flag.Value = &place{flag.Value, name, f}
	return p
}

func configFlag(f *pflag.FlagSet) *string {
	return placeFlag(f, "config", "c", "SALLYPORT_CONFIG", defaultConfig, "config `file`; $SALLYPORT_CONFIG")
}

func socketFlag(f *pflag.FlagSet) *string {
	return placeFlag(f, "socket", "", "SALLYPORT_SOCKET", "", "the running gateway's `socket`, for those who cannot read the config file; $SALLYPORT_SOCKET")
}

// userFlag adds the user of the gateway that a command acts as.
func userFlag(f *pflag.FlagSet, usage string) *string {
	return envFlag(f, "user", "u", "USER", "", usage+"; $USER")
}

// auditDirFlag adds the directory of a log that is read without its config file.
func auditDirFlag(f *pflag.FlagSet) *string {
	return f.StringP("audit-dir", "d", "", "audit log's `directory`; empty is that of the config file")
}

// named fails unless a user was named, by --user or by $USER.
func named(cmd *cobra.Command, user string) error {
	if user == "" {
		return fail(exitUsage, "%s: no user is named: give --user USER", name(cmd))
	}
	return nil
}

// verbatim marks a command whose words are passed on from the first one, also those that
// begin with a dash.
func verbatim(cmd *cobra.Command) {
	cmd.Flags().SetInterspersed(false)
	cmd.Annotations = map[string]string{"verbatim": ""}
}

// checkWords fails where args name a command that is not there, or a flag as it was
// written before flags had two dashes: "-connect" would be read as "-c onnect".
func checkWords(r *cobra.Command, args []string) error {
	cmd, rest, err := r.Find(args)
	if err != nil {
		return err
	}
	cmd.InitDefaultHelpFlag()
	word, err := firstWord(cmd, rest)
	if err != nil || word == "" || !cmd.HasSubCommands() {
		return err
	}
	hint := ""
	cmd.SuggestionsMinimumDistance = min(2, len(word)-1)
	if near := cmd.SuggestionsFor(word); len(near) > 0 {
		hint = "; did you mean " + strings.Join(near, " or ") + "?"
	}
	return fail(exitUsage, "unknown command %q; \"%s --help\" lists the commands%s", word, cmd.CommandPath(), hint)
}

// firstWord returns the first of a command's words that is neither a flag nor a flag's
// value.
func firstWord(cmd *cobra.Command, args []string) (first string, err error) {
	_, passedOn := cmd.Annotations["verbatim"]
	f := cmd.Flags()
	for i := 0; i < len(args) && args[i] != "--"; i++ {
		word, _, given := strings.Cut(args[i], "=")
		var flag *pflag.Flag // the one that the word ends with
		switch {
		case strings.HasPrefix(word, "--"):
			flag = f.Lookup(word[2:])
		case len(word) > 1 && word[0] == '-':
			if f.Lookup(word[1:]) != nil && len(word) > 2 {
				return "", fail(exitUsage, "%s: write -%s with two dashes: --%s", name(cmd), word[1:], word[1:])
			}
			for k := 1; k < len(word) && word[k] < 0x80; k++ {
				flag = f.ShorthandLookup(word[k : k+1])
				if flag == nil || flag.NoOptDefVal == "" {
					given = given || k+1 < len(word) // the rest of the word is its value
					break
				}
			}
		case first == "":
			if first = args[i]; passedOn {
				return first, nil
			}
		}
		if flag != nil && flag.NoOptDefVal == "" && !given {
			i++
		}
	}
	return first, nil
}
