package main

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"time"

	"github.com/sallyport/sallyport/gateway/config"
	"github.com/sallyport/sallyport/guardrail"
	"github.com/sallyport/sallyport/masking"
	sqlmysql "github.com/sallyport/sallyport/protocol/sql/mysql"
	sqlpostgres "github.com/sallyport/sallyport/protocol/sql/postgres"
	"github.com/sallyport/sallyport/protocol/ssh/commandline"
	"github.com/sallyport/sallyport/proxy"
)

// judge decides about operations as the gateway would, without one.
type judge struct {
	config    *config.File
	gateway   *proxy.Gateway // whose chain is asked, by dry sessions
	analyzer  proxy.Analyzer
	reading   proxy.Reading // how the text is read
	directory proxy.Resources

	at    time.Time // when operations happen; zero is now
	given given     // what servers are taken to expect
}

func newJudge(cfg *config.File) (*judge, error) {
	j := &judge{config: cfg, analyzer: sqlpostgres.New(sqlpostgres.Config{}), reading: proxy.Reading{Dialect: sqlpostgres.Dialect}}
	access, err := cfg.Policy()
	if err != nil {
		return nil, err
	}
	chain := []proxy.Interceptor{access}
	guard, err := cfg.Guardrail(guardrail.Config{Limiters: map[string]guardrail.Limiter{sqlpostgres.Dialect: sqlpostgres.Limiter{}}, Estimators: map[string]guardrail.Estimator{sqlpostgres.Dialect: &j.given, sqlmysql.Dialect: &j.given}})
	if err != nil {
		return nil, err
	}
	if guard != nil {
		chain = append(chain, guard)
	}
	// Nothing is shown, so that any key will do.
	masker, err := cfg.Masker(context.Background(), masking.Config{Key: []byte(rand.Text())})
	if err != nil {
		return nil, err
	}
	if masker != nil {
		chain = append(chain, masker)
	}
	j.gateway = &proxy.Gateway{Interceptors: chain, Unrecorded: true}
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
	Notes     []proxy.Note // what interceptors say of it
	Rewritten string       // what would run instead
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

// ask asks about one operation of id at a target.
func (j *judge) ask(ctx context.Context, id *proxy.Identity, target proxy.Target, op proxy.Op) (*verdict, error) {
	s, _, err := j.gateway.Open(ctx, proxy.OpenRequest{Identity: id, Target: target, Protocol: target.Resource.Type, Dry: true, At: j.at})
	var refused *proxy.RefusedError
	switch {
	case errors.As(err, &refused):
		return &verdict{Verdict: refused.Verdict, By: refused.By}, nil
	case err != nil:
		return nil, err
	}
	defer s.Close(nil)
	v := &verdict{}
	s.Handle(nil, func(op proxy.Op, text []byte) error {
		st, ok := op.(*proxy.Statement)
		if !ok {
			return errors.New("only statements are rewritten")
		}
		v.Rewritten = string(text)
		st.Text, st.Facts = text, j.statement(ctx, target.Resource, v.Rewritten).Facts
		return nil
	})
	v.Verdict = *s.Ask(ctx, op)
	v.By, v.Notes = op.Info().By(), s.Notes()
	return v, nil
}
