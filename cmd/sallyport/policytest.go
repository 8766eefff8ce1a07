package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/sallyport/sallyport/gateway"
	"github.com/sallyport/sallyport/proxy"
)

// policyCase is one case of a test file.
type policyCase struct {
	SQL     string `yaml:"sql"`
	Command string `yaml:"command"`
	Shell   bool   `yaml:"shell"`   // an interactive one
	Path    string `yaml:"path"`    // a file that is read
	Request string `yaml:"request"` // METHOD /path

	User     string    `yaml:"user"`
	Resource string    `yaml:"resource"`
	Account  string    `yaml:"account"`
	Database string    `yaml:"database"`
	At       time.Time `yaml:"at"`
	Rows     *float64  `yaml:"rows"` // what the server would expect
	Cost     *float64  `yaml:"cost"`

	Want string `yaml:"want"` // allow, warn, rewrite, hold or deny
	Rule string `yaml:"rule"` // which rule; empty is any
}

var errCase = errors.New("needs one of sql, command, shell, path and request, and want: allow, warn, rewrite, hold or deny")

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
	if len(ops) != 1 || !slices.Contains(gateway.Outcomes(), gateway.Outcome(k.Want)) || k.Request != "" && !strings.HasPrefix(path, "/") {
		return "", nil, errCase
	}
	what := k.SQL + k.Command + k.Path + k.Request
	if k.Shell {
		what = "a shell"
	}
	return what, ops[0], nil
}

// policyTest runs the rules against a file of cases, for CI.
func policyTest(ctx context.Context, c *cli, args []string) error {
	a, err := policyFlags(c, "policy test")(args)
	if err != nil {
		return err
	}
	if len(a.words) != 1 {
		return fail(exitUsage, "policy test needs one file of cases")
	}
	defer a.Close()
	cases, err := readCases(a.words[0])
	if err != nil {
		return err
	}
	failed, at, given := 0, a.at, a.given
	for i, k := range cases {
		k.User, k.Resource, k.Account, k.Database = cmp.Or(k.User, a.user), cmp.Or(k.Resource, a.resource), cmp.Or(k.Account, a.account), cmp.Or(k.Database, a.database)
		target, err := a.Target(k.Resource, k.Account, k.Database)
		if err != nil {
			return found(err)
		}
		id, err := a.User(k.User)
		if err != nil {
			return found(err)
		}
		what, op, err := k.operation()
		if err != nil {
			return fail(exitError, "%s: case %d %v", a.words[0], i+1, err)
		}
		if a.at = at; !k.At.IsZero() {
			a.at = k.At
		}
		if a.given = given; k.Rows != nil || k.Cost != nil {
			a.given.rows, a.given.cost = k.Rows, k.Cost
		}
		v, err := a.ask(ctx, id, target, k.SQL, op)
		if err != nil {
			return err
		}
		if string(v.Outcome()) != k.Want || k.Rule != "" && v.Rule != k.Rule && !strings.Contains(v.Warn, "(rule "+k.Rule+")") {
			failed++
			want := k.Want
			if k.Rule != "" {
				want += " by rule " + k.Rule
			}
			fmt.Fprintf(c.out, "FAIL case %d: %s at %s: %s\n  wanted %s, got: %s\n", i+1, k.User, k.Resource, visible(what), want, describe(v))
		}
	}
	fmt.Fprintf(c.out, "%d cases, %d failed\n", len(cases), failed)
	if failed > 0 {
		return fail(exitError, "")
	}
	return nil
}

func readCases(name string) ([]policyCase, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, fail(exitNotFound, "%v", err)
	}
	defer file.Close()
	var cases []policyCase
	dec := yaml.NewDecoder(io.LimitReader(file, 4<<20))
	dec.KnownFields(true)
	if err := dec.Decode(&cases); err != nil {
		return nil, fail(exitError, "%s: %v", name, err)
	}
	return cases, nil
}
