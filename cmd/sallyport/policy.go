package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/sallyport/sallyport/guardrail"
	"github.com/sallyport/sallyport/internal/config"
	"github.com/sallyport/sallyport/policy"
	sqlpostgres "github.com/sallyport/sallyport/protocol/sql/postgres"
	"github.com/sallyport/sallyport/proxy"
)

// policyCommand has commands of its own: explain, test, replay.
func policyCommand(ctx context.Context, c *cli, args []string) error {
	if len(args) > 0 {
		switch args[0] {
		case "explain":
			return policyExplain(ctx, c, args[1:])
		case "test":
			return policyTest(ctx, c, args[1:])
		case "replay":
			return policyReplay(ctx, c, args[1:])
		case "-h", "help":
			fmt.Fprintln(c.err, "sallyport policy explain -- SQL | test FILE | replay; each says more with -h")
			return flag.ErrHelp
		}
	}
	return fail(exitUsage, "policy explain -- SQL | policy test FILE | policy replay")
}

// judge decides about operations as the gateway would, without one.
type judge struct {
	config    *config.File
	policy    *policy.Policy
	guardrail *guardrail.Guardrail
	analyzer  *sqlpostgres.Analyzer
	directory proxy.Resources
}

func newJudge(cfg *config.File) (*judge, error) {
	j := &judge{config: cfg, analyzer: sqlpostgres.New(sqlpostgres.Config{})}
	var err error
	if j.policy, err = cfg.Policy(); err != nil {
		return nil, err
	}
	if j.guardrail, err = cfg.Guardrail(nil); err != nil {
		return nil, err
	}
	if j.guardrail == nil {
		if j.guardrail, err = guardrail.New(guardrail.Config{}); err != nil {
			return nil, err
		}
	}
	j.directory, err = cfg.Directory()
	return j, err
}

// verdict is what the gateway would answer.
type verdict struct {
	proxy.Verdict
	By      string
	Answers []guardrail.Answer
}

// resource finds a resource of the config.
func (j *judge) resource(name string) (*proxy.Resource, error) {
	k := slices.IndexFunc(j.directory, func(r *proxy.Resource) bool { return r.Name == name })
	if k < 0 {
		return nil, fail(exitNotFound, "there is no resource %q", name)
	}
	return j.directory[k], nil
}

// identity finds a user of the config.
func (j *judge) identity(name string) (*proxy.Identity, error) {
	i := slices.IndexFunc(j.config.Identity.Users, func(u config.User) bool { return u.Name == name })
	if i < 0 {
		return nil, fail(exitNotFound, "there is no user %q", name)
	}
	return &proxy.Identity{Subject: name, Groups: j.config.Identity.Users[i].Groups}, nil
}

// statement is the operation that runs SQL.
func (j *judge) statement(ctx context.Context, res *proxy.Resource, sql string) *proxy.Statement {
	return &proxy.Statement{
		Meta: proxy.Meta{Kind: proxy.KindStatement}, Text: []byte(sql),
		Facts: j.analyzer.Analyze(ctx, []byte(sql), &proxy.Reading{Dialect: "postgres", Resource: res.Name, Database: res.Database}),
	}
}

func execOf(line string) *proxy.Exec {
	return &proxy.Exec{Meta: proxy.Meta{Kind: proxy.KindExec}, Command: line}
}

// ask asks about one operation of id at a target.
func (j *judge) ask(ctx context.Context, id *proxy.Identity, target proxy.Target, op proxy.Op) (*verdict, error) {
	v := &verdict{By: "policy"}
	s, err := openSession(ctx, j.policy, id, target)
	var refused *proxy.RefusedError
	switch {
	case errors.As(err, &refused):
		v.Verdict = refused.Verdict
		return v, nil
	case err != nil:
		return nil, err
	}
	defer s.Close(nil)
	answered := s.Ask(ctx, op)
	v.Verdict = *answered
	if !answered.Refuses() {
		s.Done(op, &proxy.Outcome{})
	}
	g, answers := j.guardrail.Explain(id, target.Resource, op)
	v.Answers = answers
	if !v.Refuses() && (g.Refuses() || g.Warn != "") {
		v.Verdict, v.By = g, "guardrail"
	}
	return v, nil
}

// openSession opens a session without a wire, at the access rules alone.
func openSession(ctx context.Context, p *policy.Policy, id *proxy.Identity, target proxy.Target) (*proxy.Session, error) {
	g := &proxy.Gateway{Interceptors: []proxy.Interceptor{p}}
	s, connect, err := g.Open(ctx, proxy.OpenRequest{Identity: id, Target: target, Protocol: target.Resource.Type})
	if err != nil {
		return nil, err
	}
	s.Done(connect, &proxy.Outcome{})
	return s, nil
}

// policyFlags adds the flags that name the rules, who and where.
func policyFlags(c *cli, name string) func(args []string) (*judge, string, string, []string, error) {
	f := c.flags(name)
	file := configFlag(f)
	user, resource := f.String("u", "", "as this `user`; empty is the first"), f.String("r", "", "at this `resource`; empty is the first")
	return func(args []string) (*judge, string, string, []string, error) {
		if err := parse(f, args, 1<<10); err != nil {
			return nil, "", "", nil, err
		}
		cfg, err := load(c, *file)
		if err != nil {
			return nil, "", "", nil, err
		}
		if *user == "" && len(cfg.Identity.Users) > 0 {
			*user = cfg.Identity.Users[0].Name
		}
		if *resource == "" && len(cfg.Resources) > 0 {
			*resource = cfg.Resources[0].Name
		}
		j, err := newJudge(cfg)
		return j, *user, *resource, f.Args(), err
	}
}

// policyExplain says what a text would do and which rule answers.
func policyExplain(ctx context.Context, c *cli, args []string) error {
	j, user, resource, words, err := policyFlags(c, "policy explain")(args)
	if err != nil {
		return err
	}
	text := strings.Join(words, " ")
	if text == "" {
		return fail(exitUsage, "policy explain needs a statement, or a command for an ssh resource: policy explain -- 'SELECT 1'")
	}
	res, err := j.resource(resource)
	if err != nil {
		return err
	}
	id, err := j.identity(user)
	if err != nil {
		return err
	}
	var op proxy.Op = j.statement(ctx, res, text)
	if res.Type == "ssh" {
		op = execOf(text)
	}
	v, err := j.ask(ctx, id, proxy.Target{Resource: res}, op)
	if err != nil {
		return err
	}
	fmt.Fprintf(c.out, "%s at %s\n", user, resource)
	if s, ok := op.(*proxy.Statement); ok {
		explainFacts(c.out, s.Facts)
	}
	for _, a := range v.Answers {
		what := "denies"
		switch {
		case a.Rule.Observe:
			what = "observes"
		case a.Rule.Action == guardrail.Warn:
			what = "warns"
		case !a.Understood:
			what = "denies, since it cannot tell"
		}
		fmt.Fprintf(c.out, "guardrail    %s %s\n", a.Rule.Name, what)
	}
	fmt.Fprintf(c.out, "answer       %s\n", describe(v))
	if v.Refuses() {
		if v.By == "guardrail" {
			return fail(exitGuardrail, "")
		}
		return fail(exitPolicy, "")
	}
	return nil
}

func describe(v *verdict) string {
	if v.Refuses() {
		text := "refused by " + v.By + ": " + v.Message()
		if v.Remedy != "" {
			text += "\n             " + v.Remedy
		}
		return text
	}
	if v.Warn != "" {
		return "allowed, with the warning: " + v.Warn
	}
	return "allowed"
}

func explainFacts(w io.Writer, f *proxy.Facts) {
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(w, "%-12s %s\n", name, visible(value))
		}
	}
	line("effects", f.Effects.String())
	line("unknown", f.Unknown)
	if f.Statements != 1 {
		line("statements", fmt.Sprint(f.Statements))
	}
	for _, r := range f.Relations {
		name := r.Name
		if r.Schema != "" {
			name = r.Schema + "." + name
		}
		line("relation", name+": "+r.Effects.String())
	}
	for _, fn := range f.Functions {
		class := map[proxy.FunctionClass]string{
			proxy.FunctionUnknown: "not known", proxy.FunctionHarmless: "harmless", proxy.FunctionReads: "reads", proxy.FunctionWrites: "writes",
			proxy.FunctionOutside: "reaches outside", proxy.FunctionSettings: "changes settings", proxy.FunctionAdmin: "administers the server",
		}[fn.Class]
		line("function", strings.TrimPrefix(fn.Schema+"."+fn.Name, ".")+": "+class)
	}
	for _, s := range f.Settings {
		line("setting", s.Name+" = "+s.Value)
	}
	if f.Unfiltered != 0 {
		line("every row", f.Unfiltered.String())
	}
	line("normalised", f.Normalised)
}

// policyCase is one case of a test file.
type policyCase struct {
	SQL      string `yaml:"sql"`
	Command  string `yaml:"command"`
	User     string `yaml:"user"`
	Resource string `yaml:"resource"`
	Want     string `yaml:"want"` // allow, warn or deny
	Rule     string `yaml:"rule"` // which rule; empty is any
}

// policyTest runs the rules against a file of cases, for CI.
func policyTest(ctx context.Context, c *cli, args []string) error {
	j, user, resource, words, err := policyFlags(c, "policy test")(args)
	if err != nil {
		return err
	}
	if len(words) != 1 {
		return fail(exitUsage, "policy test needs one file of cases")
	}
	file, err := os.Open(words[0])
	if err != nil {
		return fail(exitNotFound, "%v", err)
	}
	defer file.Close()
	var cases []policyCase
	dec := yaml.NewDecoder(io.LimitReader(file, 4<<20))
	dec.KnownFields(true)
	if err := dec.Decode(&cases); err != nil {
		return fail(exitError, "%s: %v", words[0], err)
	}
	failed := 0
	for i, k := range cases {
		if (k.SQL == "") == (k.Command == "") || !slices.Contains([]string{"allow", "warn", "deny"}, k.Want) {
			return fail(exitError, "%s: case %d needs sql or command, and want: allow, warn or deny", words[0], i+1)
		}
		if k.User == "" {
			k.User = user
		}
		if k.Resource == "" {
			k.Resource = resource
		}
		res, err := j.resource(k.Resource)
		if err != nil {
			return err
		}
		id, err := j.identity(k.User)
		if err != nil {
			return err
		}
		var op proxy.Op = execOf(k.Command)
		if k.SQL != "" {
			op = j.statement(ctx, res, k.SQL)
		}
		v, err := j.ask(ctx, id, proxy.Target{Resource: res}, op)
		if err != nil {
			return err
		}
		got := "allow"
		switch {
		case v.Refuses():
			got = "deny"
		case v.Warn != "":
			got = "warn"
		}
		if got != k.Want || k.Rule != "" && v.Rule != k.Rule && !strings.Contains(v.Warn, "(rule "+k.Rule+")") {
			failed++
			fmt.Fprintf(c.out, "FAIL case %d: %s at %s: %s\n  wanted %s %s, got: %s\n", i+1, k.User, k.Resource, visible(k.SQL+k.Command), k.Want, k.Rule, describe(v))
		}
	}
	fmt.Fprintf(c.out, "%d cases, %d failed\n", len(cases), failed)
	if failed > 0 {
		return fail(exitError, "")
	}
	return nil
}
