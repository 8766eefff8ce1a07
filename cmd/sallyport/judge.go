package main

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/sallyport/sallyport/gateway/config"
	"github.com/sallyport/sallyport/guardrail"
	"github.com/sallyport/sallyport/policy"
	sqlmysql "github.com/sallyport/sallyport/protocol/sql/mysql"
	sqlpostgres "github.com/sallyport/sallyport/protocol/sql/postgres"
	"github.com/sallyport/sallyport/protocol/ssh/commandline"
	"github.com/sallyport/sallyport/proxy"
)

// judge decides about operations as the gateway would, without one.
type judge struct {
	config    *config.File
	policy    *policy.Policy
	guardrail *guardrail.Guardrail
	analyzer  proxy.Analyzer
	reading   proxy.Reading // how the text is read
	directory proxy.Resources

	at    time.Time // when operations happen; zero is now
	given given     // what servers are taken to expect
}

func newJudge(cfg *config.File) (*judge, error) {
	j := &judge{config: cfg, analyzer: sqlpostgres.New(sqlpostgres.Config{}), reading: proxy.Reading{Dialect: sqlpostgres.Dialect}}
	var err error
	if j.policy, err = cfg.Policy(); err != nil {
		return nil, err
	}
	c := guardrail.Config{Limiters: map[string]guardrail.Limiter{sqlpostgres.Dialect: sqlpostgres.Limiter{}}, Estimators: map[string]guardrail.Estimator{sqlpostgres.Dialect: &j.given, sqlmysql.Dialect: &j.given}, Now: j.now}
	if j.guardrail, err = cfg.Guardrail(c); err != nil {
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

// speak has statements read in a dialect. Of MySQL and MariaDB, whose version is
// not known here, what any of them would read counts.
func (j *judge) speak(dialect string) error {
	switch dialect {
	case sqlpostgres.Dialect:
	case sqlmysql.Dialect:
		j.analyzer, j.reading = sqlmysql.New(sqlmysql.Config{}), proxy.Reading{Dialect: sqlmysql.Dialect, BackslashLiterals: true}
	default:
		return fail(exitUsage, "unknown dialect %q: want postgres or mysql", dialect)
	}
	return nil
}

func (j *judge) now() time.Time {
	if j.at.IsZero() {
		return time.Now()
	}
	return j.at
}

// given is what a server would expect of a statement, as somebody says.
type given struct{ rows, cost *float64 }

var errNotGiven = errors.New("no server is asked here; say what it would expect, by rows and cost")

// Estimate returns what was given.
func (g *given) Estimate(context.Context, *proxy.Session, *proxy.Statement) (rows, cost float64, err error) {
	if g.rows == nil && g.cost == nil {
		return 0, 0, errNotGiven
	}
	if g.rows != nil {
		rows = *g.rows
	}
	if g.cost != nil {
		cost = *g.cost
	}
	return rows, cost, nil
}

// verdict is what the gateway would answer.
type verdict struct {
	proxy.Verdict
	By        string
	Answers   []guardrail.Answer
	Rewritten string // what would run instead
}

// outcome is the answer in one word: allow, warn, rewrite, hold or deny.
func (v *verdict) outcome() string {
	switch {
	case v.Action == proxy.ActionHold:
		return "hold"
	case v.Refuses():
		return "deny"
	case v.Rewritten != "":
		return "rewrite"
	case v.Warn != "":
		return "warn"
	}
	return "allow"
}

// exit is the exit code of an answer.
func (v *verdict) exit() int {
	switch {
	case v.Action == proxy.ActionHold:
		return exitApproval
	case !v.Refuses():
		return exitOK
	case v.By == "guardrail":
		return exitGuardrail
	}
	return exitPolicy
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

// target is a resource of the config with an account and a database of it, both
// of which may be empty.
func (j *judge) target(name, account, database string) (proxy.Target, error) {
	res, err := j.resource(name)
	if err != nil {
		return proxy.Target{}, err
	}
	t := proxy.Target{Resource: res, Database: database}
	if account != "" {
		var ok bool
		if t.Account, ok = res.Account(account); !ok {
			return t, fail(exitNotFound, "resource %q has no account %q", name, account)
		}
	}
	return t, nil
}

// statement is the operation that runs SQL.
func (j *judge) statement(ctx context.Context, res *proxy.Resource, sql string) *proxy.Statement {
	r := j.reading
	r.Resource, r.Database = res.Name, res.Database
	return &proxy.Statement{
		Meta: proxy.Meta{Kind: proxy.KindStatement}, Text: []byte(sql), Facts: j.analyzer.Analyze(ctx, []byte(sql), &r),
	}
}

// execOf is the operation of a command line, which may ask for a shell.
func execOf(line string) *proxy.Exec {
	kind := proxy.KindExec
	if (&commandline.Grammar{}).IsShell(line) {
		kind = proxy.KindShell
	}
	return &proxy.Exec{Meta: proxy.Meta{Kind: kind}, Command: line}
}

// maxRewrites bounds how often a text is rewritten, as it does at the gateway.
const maxRewrites = 4

// ask asks about one operation of id at a target. What is rewritten is asked
// again.
func (j *judge) ask(ctx context.Context, id *proxy.Identity, target proxy.Target, op proxy.Op) (*verdict, error) {
	s, err := openSession(ctx, j.policy, id, target)
	var refused *proxy.RefusedError
	switch {
	case errors.As(err, &refused):
		return &verdict{Verdict: refused.Verdict, By: "policy"}, nil
	case err != nil:
		return nil, err
	}
	defer s.Close(nil)
	v := j.answer(ctx, s, op)
	rewritten, warn := "", ""
	for range maxRewrites {
		if v.Action != proxy.ActionRewrite {
			break
		}
		rewritten, warn = string(v.Text), v.Warn
		answers := v.Answers
		v = j.answer(ctx, s, j.statement(ctx, target.Resource, rewritten))
		v.Answers = append(answers, v.Answers...)
		v.Rewritten = rewritten
		if v.Warn == "" {
			v.Warn = warn
		}
	}
	return v, nil
}

func (j *judge) answer(ctx context.Context, s *proxy.Session, op proxy.Op) *verdict {
	v := &verdict{By: "policy"}
	answered := s.Ask(ctx, op)
	v.Verdict = *answered
	if !answered.Refuses() {
		s.Done(op, &proxy.Outcome{})
	}
	g, answers := j.guardrail.Explain(ctx, s, op)
	v.Answers = answers
	if !v.Refuses() && (g.Refuses() || g.Warn != "" || g.Action == proxy.ActionRewrite) {
		v.Verdict, v.By = g, "guardrail"
	}
	return v
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
