package mysql

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport/protocol/internal/plans"
	"github.com/sallyport/sallyport/protocol/sql"
	"github.com/sallyport/sallyport/proxy"
)

// Estimator asks servers by EXPLAIN what they expect of statements, over a connection of the
// gateway's own, apart from the session's: as the same account, with the same database, and with a
// short time limit; queries in read-only transactions, in which a server explains no changes. What only the session's own connection
// sees, such as its temporary tables, cannot be estimated. The zero value is ready; a session's
// connection is made when it is first needed and ends with the session.
type Estimator struct {
	// Timeout bounds one estimate, logging in included; 0 is 3 seconds.
	Timeout time.Duration

	sessions plans.Sessions[explainer]
}

// Why there is no estimate, besides those of plans. They are shown to the user.
var (
	errCalls  = errors.New("it may call what does anything, which a server may run while it plans")
	errParams = errors.New("its parameters cannot be told apart")
)

// Estimate returns how many rows the server expects st to return or to change, and how many it
// expects to look at, which is the cost.
func (e *Estimator) Estimate(ctx context.Context, s *proxy.Session, st *proxy.Statement) (rows, cost float64, err error) {
	timeout := plans.Timeout(e.Timeout)
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	err = e.sessions.Use(ctx, s, (*explainer).close, func(x *explainer) error {
		x.session = s // as the newest revision that asks shows it
		plan, err := x.explain(ctx, st, timeout)
		if err == nil {
			rows, cost, err = readPlan(plan)
		}
		return err
	})
	return rows, cost, err
}

// explainer is one session's connection for plans.
type explainer struct {
	session  *proxy.Session
	upstream *upstream
	database string // that is current there
}

func (x *explainer) close() {
	if x.upstream != nil {
		x.upstream.conn.Close()
		x.upstream = nil
	}
}

// explain returns the rows of the server's plan, by the names of their columns.
func (x *explainer) explain(ctx context.Context, st *proxy.Statement, timeout time.Duration) (plan []map[string]string, err error) {
	if st.Facts.Effects.Has(opaque) {
		return nil, errCalls
	}
	text, err := bound(st)
	if err != nil {
		return nil, err
	}
	if x.session.Err() != nil {
		return nil, plans.ErrNoConnection
	}
	if x.upstream == nil {
		if x.upstream, err = x.connect(ctx, timeout, st.Facts.Path); err != nil {
			return nil, plans.ErrNoConnection
		}
		x.database = st.Facts.Path
	}
	u := x.upstream
	healthy := false
	defer func() {
		if !healthy { // what it still sends belongs to nothing
			x.close()
		}
	}()
	stop := context.AfterFunc(ctx, func() { u.conn.SetDeadline(past) })
	defer stop()
	failed := func(err error) error {
		var se *serverError
		switch {
		case errors.As(err, &se):
			healthy = stop()
			return fmt.Errorf("the server makes no plan for it (%d)", se.code) // its text may quote data
		case ctx.Err() != nil:
			return plans.ErrNoPlan
		}
		return plans.ErrNoConnection
	}
	if st.Facts.Path != x.database {
		if _, err := u.query("USE "+string(appendName(nil, []byte(st.Facts.Path))), 0); err != nil {
			return nil, failed(err)
		}
		x.database = st.Facts.Path
	}
	mode := "SET SESSION TRANSACTION READ ONLY"
	if st.Facts.Effects.Has(proxy.EffectsWrite) {
		mode = "SET SESSION TRANSACTION READ WRITE"
	}
	if _, err := u.query(mode, 0); err != nil {
		return nil, failed(err)
	}
	if plan, err = u.plan(text); err != nil {
		return nil, failed(err)
	}
	healthy = stop()
	return plan, nil
}

// plan returns the rows of the server's plan of a statement, by the names of their columns.
func (u *upstream) plan(text string) (plan []map[string]string, err error) {
	l := look{limit: 1000, most: maxLook}
	names, err := u.table("EXPLAIN "+text, &l)
	if err != nil {
		return nil, err
	}
	for _, row := range l.rows {
		m := make(map[string]string, len(row))
		for i, v := range row {
			if i < len(names) {
				m[strings.ToLower(names[i])] = v
			}
		}
		plan = append(plan, m)
	}
	return plan, nil
}

// connect logs in as the session's account.
func (x *explainer) connect(ctx context.Context, timeout time.Duration, database string) (*upstream, error) {
	return another(ctx, x.session, timeout, database)
}

// another logs in as s's account, on a connection of the gateway's own whose statements take no longer than timeout, as far as the
// server bounds them.
func another(ctx context.Context, s *proxy.Session, timeout time.Duration, database string) (*upstream, error) {
	cred, ok := s.Leased()
	if !ok {
		cred = proxy.Credential{Username: s.Target.Account.Username}
	}
	set, _ := s.Target.Resource.Settings.(Settings)
	at := &server{target: s.Target, settings: &set, timeout: timeout, dial: s.Dial}
	u, err := at.connectAs(ctx, cred, login{charset: plainText, database: database})
	if err != nil {
		return nil, err
	}
	limit := fmt.Sprintf("SET SESSION max_execution_time = %d", timeout.Milliseconds())
	if mariaDB(u.greeting.Version) {
		limit = fmt.Sprintf("SET SESSION max_statement_time = %.3f", timeout.Seconds())
	}
	if _, err := u.query(limit, 0); err != nil {
		u.conn.Close()
		return nil, err
	}
	return u, nil
}

// bound returns st's text with its arguments in the place of its parameters.
func bound(st *proxy.Statement) (string, error) {
	if len(st.Args) == 0 {
		return string(st.Text), nil
	}
	out, n, err := sql.BoundMySQL(st.Text, func(i int) string {
		switch a := &st.Args[i]; {
		case a.Value == nil:
			return "NULL"
		case isNumber(a.Value):
			return string(a.Value)
		default:
			return literal(string(a.Value))
		}
	}, len(st.Args))
	if err != nil || n != len(st.Args) {
		return "", errParams
	}
	return string(out), nil
}

func isNumber(v []byte) bool {
	f, err := strconv.ParseFloat(string(v), 64)
	return err == nil && !math.IsInf(f, 0) && !math.IsNaN(f) && strings.Trim(string(v), "0123456789.-") == ""
}

// readPlan is what a plan says of rows: those of each query are multiplied, and those of the queries
// of a UNION are added.
func readPlan(plan []map[string]string) (rows, cost float64, err error) {
	type query struct {
		product float64
		outer   bool
	}
	queries := make(map[string]*query)
	for _, r := range plan {
		kind, id := strings.ToUpper(r["select_type"]), r["id"]
		if kind == "" {
			return 0, 0, plans.ErrPlan
		}
		if strings.HasSuffix(kind, "RESULT") {
			continue
		}
		q := queries[id]
		if q == nil {
			q = &query{product: 1, outer: kind == "SIMPLE" || kind == "PRIMARY" || strings.Contains(kind, "UNION") || kind == "UPDATE" || kind == "DELETE" || kind == "INSERT" || kind == "REPLACE"}
			queries[id] = q
		}
		n, err := strconv.ParseFloat(r["rows"], 64)
		if err != nil {
			n = 1 // of what reads no table
		}
		q.product *= max(n, 1)
	}
	if len(queries) == 0 {
		return 0, 0, plans.ErrPlan
	}
	for _, q := range queries {
		cost += q.product
		if q.outer {
			rows += q.product
		}
	}
	return rows, cost, nil
}
