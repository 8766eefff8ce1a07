package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"github.com/sallyport/sallyport/gateway"
	"github.com/sallyport/sallyport/gateway/config"
	"github.com/sallyport/sallyport/internal/corpus"
	"github.com/sallyport/sallyport/proxy"
)

// policyCase is one case of a test file.
type policyCase struct {
	SQL     string `yaml:"sql"`
	Command string `yaml:"command"`
	Shell   bool   `yaml:"shell"`   // an interactive one
	Path    string `yaml:"path"`    // a file that is read
	Request string `yaml:"request"` // METHOD /path

	// Files with a text per line, seen from the folder of this one: each line is a case. Without want
	// they are attacks and their neighbours; see [corpus.ReadAttacks].
	Statements string `yaml:"statements"`
	Commands   string `yaml:"commands"`

	User     string    `yaml:"user"`
	Resource string    `yaml:"resource"`
	Account  string    `yaml:"account"`
	Database string    `yaml:"database"`
	At       time.Time `yaml:"at"`
	Login    login     `yaml:",inline"`
	Rows     *float64  `yaml:"rows"` // what the server would expect
	Cost     *float64  `yaml:"cost"`

	Want string `yaml:"want"` // allow, warn, rewrite, hold, deny, or run
	Rule string `yaml:"rule"` // which rule; empty is any

	place string // where it is from
}

// runs is the wish for any answer but a refusal.
const runs = "run"

var errCase = errors.New("needs one of sql, command, shell, path, request, statements and commands, and want: allow, warn, rewrite, hold, deny or run")

// operation is what the case asks about, as words and as an operation.
// The operation is nil when it is SQL, which the resource reads.
func (k *policyCase) operation() (string, proxy.Op, error) {
	method, path, _ := strings.Cut(k.Request, " ")
	var ops []proxy.Op
	if k.SQL != "" {
		ops = append(ops, nil)
	}
	if k.Command != "" {
		ops = append(ops, execOf(k.Command))
	}
	if k.Shell {
		ops = append(ops, &proxy.Exec{Meta: proxy.Meta{Kind: proxy.KindShell}, Terminal: true})
	}
	if k.Path != "" {
		ops = append(ops, &proxy.File{Meta: proxy.Meta{Kind: proxy.KindFile}, Action: proxy.FileOpenRead, Path: k.Path})
	}
	if k.Request != "" {
		ops = append(ops, &proxy.Request{Meta: proxy.Meta{Kind: proxy.KindRequest}, Method: method, Path: path})
	}
	if len(ops) != 1 || k.Want != runs && !slices.Contains(gateway.Outcomes(), gateway.Outcome(k.Want)) || k.Request != "" && !strings.HasPrefix(path, "/") {
		return "", nil, errCase
	}
	what := k.SQL + k.Command + k.Path + k.Request
	if k.Shell {
		what = "a shell"
	}
	return what, ops[0], nil
}

func policyTestCommand(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use: "test [FILE]", Short: "Run the rules against a file of cases, and the tests of a policy in Rego, for CI",
		Example: example("sallyport policy test --config sallyport.yaml cases.yaml"),
		Args:    cobra.ArbitraryArgs,
	}
	open := policyFlags(c, cmd.Flags())
	cmd.RunE = does(func(ctx context.Context, words []string) error {
		a, err := open(words)
		if err != nil {
			return err
		}
		defer a.Close()
		rego, failed, err := regoTests(ctx, c, a.config)
		if err != nil {
			return err
		}
		if len(a.words) > 1 || len(a.words) == 0 && rego == 0 {
			return fail(exitUsage, "policy test needs one file of cases, or a policy in Rego that has tests")
		}
		if len(a.words) == 0 {
			return failures(failed)
		}
		cases, err := readCases(a.words[0])
		if err != nil {
			return err
		}
		at, given, ofRego := a.at, a.given, failed
		for _, k := range cases {
			k.User, k.Resource, k.Account, k.Database = cmp.Or(k.User, a.user), cmp.Or(k.Resource, a.resource), cmp.Or(k.Account, a.account), cmp.Or(k.Database, a.database)
			target, err := a.Target(k.Resource, k.Account, k.Database)
			if err != nil {
				return found(err)
			}
			what, op, err := k.operation()
			if err != nil {
				return fail(exitError, "%s: %s %v", a.words[0], k.place, err)
			}
			if a.at = at; !k.At.IsZero() {
				a.at = k.At
			}
			id, from, err := a.who(k.User, k.Login.or(a.login))
			if err != nil {
				return err
			}
			if a.given = given; k.Rows != nil || k.Cost != nil {
				a.given.rows, a.given.cost = k.Rows, k.Cost
			}
			v, err := a.ask(ctx, gateway.Question{Identity: id, From: from, Target: target, Text: k.SQL, Op: op})
			if err != nil {
				return err
			}
			if !k.met(v.Outcome()) || k.Rule != "" && v.Rule != k.Rule && !strings.Contains(v.Warn, "(rule "+k.Rule+")") {
				failed++
				want := k.Want
				if k.Rule != "" {
					want += " by rule " + k.Rule
				}
				fmt.Fprintf(c.out, "FAIL %s: %s at %s: %s\n  wanted %s, got: %s\n", k.place, k.User, k.Resource, visible(what), want, describe(v))
			}
		}
		fmt.Fprintf(c.out, "%d cases, %d failed\n", len(cases), failed-ofRego)
		return failures(failed)
	})
	return cmd
}

func failures(n int) error {
	if n > 0 {
		return fail(exitError, "")
	}
	return nil
}

// regoTests runs the tests of the policy in Rego, and returns how many there are and how many fail.
func regoTests(ctx context.Context, c *cli, f *config.File) (n, failed int, err error) {
	tests, err := f.TestRego(ctx)
	if err != nil {
		return 0, 0, err
	}
	skipped := 0
	for _, t := range tests {
		switch {
		case t.Skipped:
			skipped++
			continue
		case t.Passed:
			continue
		}
		failed++
		why := "it does not hold"
		if t.Err != nil {
			why = t.Err.Error()
		}
		fmt.Fprintf(c.out, "FAIL %s:%d: %s: %s\n", visible(t.File), t.Line, visible(t.Name), visible(why))
	}
	if len(tests) > 0 {
		fmt.Fprintf(c.out, "%d tests of the policy in Rego, %d failed, %d skipped\n", len(tests), failed, skipped)
	}
	return len(tests), failed, nil
}

// met reports whether the answer is what the case wants.
func (k *policyCase) met(got gateway.Outcome) bool {
	if k.Want == runs {
		return got != gateway.Deny && got != gateway.Hold
	}
	return string(got) == k.Want
}

// maxCases bounds a file of cases, in bytes.
const maxCases = 4 << 20

func readCases(name string) ([]policyCase, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, fail(exitNotFound, "%v", err)
	}
	defer file.Close()
	var listed, cases []policyCase
	dec := yaml.NewDecoder(io.LimitReader(file, maxCases))
	dec.KnownFields(true)
	if err := dec.Decode(&listed); err != nil {
		return nil, fail(exitError, "%s: %v", name, err)
	}
	for i, k := range listed {
		k.place = fmt.Sprintf("case %d", i+1)
		if k.Statements == "" && k.Commands == "" {
			cases = append(cases, k)
			continue
		}
		lines, err := k.lines(filepath.Dir(name))
		if err != nil {
			return nil, fail(exitError, "%s: %s: %v", name, k.place, err)
		}
		cases = append(cases, lines...)
	}
	return cases, nil
}

// lines returns a case for each text of the file that k names, seen from the folder
// dir.
func (k *policyCase) lines(dir string) ([]policyCase, error) {
	if k.SQL+k.Command+k.Path+k.Request != "" || k.Shell || k.Statements != "" && k.Commands != "" {
		return nil, errCase
	}
	name := cmp.Or(k.Statements, k.Commands)
	if !filepath.IsAbs(name) {
		name = filepath.Join(dir, name)
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	read := corpus.Read
	if k.Want == "" {
		read = corpus.ReadAttacks
	}
	texts, err := read(io.LimitReader(file, maxCases))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	var list []policyCase
	for _, text := range texts {
		c := *k
		c.place = fmt.Sprintf("%s:%d", name, text.Line)
		switch {
		case text.Refused:
			c.Want, c.Rule = string(gateway.Deny), text.Rule
		case k.Want == "":
			c.Want = runs
		}
		if c.Statements != "" {
			c.SQL = text.Text
		} else {
			c.Command = text.Text
		}
		list = append(list, c)
	}
	return list, nil
}
