package main

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"time"

	"github.com/sallyport/sallyport/gateway"
	"github.com/sallyport/sallyport/gateway/config"
	sqlmysql "github.com/sallyport/sallyport/protocol/sql/mysql"
	sqlpostgres "github.com/sallyport/sallyport/protocol/sql/postgres"
	sshkit "github.com/sallyport/sallyport/protocol/ssh/kit"
	"github.com/sallyport/sallyport/proxy"
)

// judge answers questions as the gateway would, without one.
type judge struct {
	*gateway.Explainer
	dialect string // that statements are read in
	at      time.Time
	given   given
	trace   bool // also say how a policy in Rego came to its answer
}

// given is what a server is taken to expect of a statement.
type given struct{ rows, cost *float64 }

func (g given) expected() *gateway.Expected {
	if g.rows == nil && g.cost == nil {
		return nil
	}
	x := &gateway.Expected{}
	if g.rows != nil {
		x.Rows = *g.rows
	}
	if g.cost != nil {
		x.Cost = *g.cost
	}
	return x
}

// newJudge returns a judge by the config's rules, which is to be closed.
func newJudge(c *cli, cfg *config.File) (*judge, error) {
	log := slog.New(slog.NewTextHandler(c.err, &slog.HandlerOptions{Level: slog.LevelError}))
	x, err := gateway.NewExplainer(cfg, gateway.Options{Dialects: []string{sqlmysql.Dialect}, Log: log})
	if err != nil {
		return nil, err
	}
	return &judge{Explainer: x, dialect: sqlpostgres.Dialect}, nil
}

// speak has statements read in a dialect.
func (j *judge) speak(dialect string) error {
	if dialect != sqlpostgres.Dialect && dialect != sqlmysql.Dialect {
		return fail(exitUsage, "unknown dialect %q: want postgres or mysql", dialect)
	}
	j.dialect = dialect
	return nil
}

// ask asks about one operation: text as the resource reads it, unless op is given.
func (j *judge) ask(ctx context.Context, q gateway.Question) (*gateway.Answer, error) {
	if q.Op == nil && j.dialect == sqlmysql.Dialect && q.Target.Resource.Type != "ssh" {
		q.Op = mysqlStatement(ctx, q.Text)
	}
	q.At, q.Expected, q.Trace = j.at, j.given.expected(), j.trace
	return j.Explain(ctx, q)
}

// mysqlStatement is the operation that runs SQL of MySQL and MariaDB. Their version
// is not known here, so that what any of them would read counts.
func mysqlStatement(ctx context.Context, sql string) *proxy.Statement {
	return &proxy.Statement{
		Meta: proxy.Meta{Kind: proxy.KindStatement}, Text: []byte(sql),
		Facts: sqlmysql.New(sqlmysql.Config{}).Analyze(ctx, []byte(sql), &proxy.Reading{Dialect: sqlmysql.Dialect, BackslashLiterals: true}),
	}
}

// execOf is the operation of a command line, which may ask for a shell.
func execOf(line string) *proxy.Exec { return sshkit.New(sshkit.Config{}).Exec(line) }

// exit is the exit code of an answer.
func exit(a *gateway.Answer) int {
	switch {
	case a.Outcome() == gateway.Hold:
		return exitApproval
	case !a.Refuses():
		return exitOK
	case a.Cause == proxy.CauseGuardrail:
		return exitGuardrail
	}
	return exitPolicy
}

// found gives an error that something is not in the config its exit code.
func found(err error) error {
	if errors.Is(err, proxy.ErrNotFound) {
		return fail(exitNotFound, "%v", err)
	}
	return err
}

// number reads a number of rows, or a cost; nil when the text is empty.
func number(text string) (*float64, error) {
	if text == "" {
		return nil, nil
	}
	x, err := strconv.ParseFloat(text, 64)
	if err != nil || x < 0 {
		return nil, fail(exitUsage, "%q is not a number of rows or a cost", text)
	}
	return &x, nil
}
