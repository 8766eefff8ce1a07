package postgres

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport/protocol/internal/plans"
	"github.com/sallyport/sallyport/protocol/postgres/wire"
	"github.com/sallyport/sallyport/proxy"
)

// Estimator asks servers by EXPLAIN what they expect of statements, over a
// connection of the gateway's own, apart from the session's: as the same role, in the
// same database, with a read-only transaction and short timeouts. What only the
// session's own connection sees, such as its temporary tables and what its open
// transaction made, cannot be estimated. The zero value is ready; a session's
// connection is made when it is first needed and ends with the session.
type Estimator struct {
	// Timeout bounds one estimate, logging in included; 0 is 3 seconds.
	Timeout time.Duration

	sessions plans.Sessions[explainer]
}

// Estimate returns how many rows the server expects st to return or to change, and
// its cost in the planner's unit.
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
	path     string // the search_path that its session has set, as the estimated one's
}

func (x *explainer) close() {
	x.path = ""
	if x.upstream != nil {
		x.upstream.conn.Close()
		x.upstream.reader.Close()
		x.upstream = nil
	}
}

// maxPlan bounds a message of the server's, in bytes.
const maxPlan = 8 << 20

// explain returns the server's plan as JSON.
func (x *explainer) explain(ctx context.Context, st *proxy.Statement, timeout time.Duration) (plan []byte, err error) {
	if err := x.session.Err(); err != nil {
		return nil, plans.ErrNoConnection
	}
	if x.upstream == nil {
		if x.upstream, err = x.connect(ctx, timeout); err != nil {
			return nil, plans.ErrNoConnection
		}
	}
	u := x.upstream
	healthy := false
	defer func() {
		if !healthy { // what it still sends belongs to nothing
			x.close()
		}
	}()
	stop := context.AfterFunc(ctx, func() { u.conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := u.conn.Write(x.request(st)); err != nil {
		return nil, plans.ErrNoConnection
	}
	var refused error
	for {
		typ, body, err := u.reader.ReadMessage(maxPlan)
		switch {
		case err != nil && ctx.Err() != nil:
			return nil, plans.ErrNoPlan
		case err != nil:
			return nil, plans.ErrNoConnection
		}
		switch typ {
		case wire.DataRow:
			values, err := wire.RowValues(body, nil)
			if err != nil || len(values) != 1 || len(plan)+len(values[0]) > maxPlan {
				return nil, plans.ErrPlan
			}
			plan = append(plan, values[0]...)
		case wire.ErrorResponse:
			// Its text may quote data; the code says enough.
			refused = fmt.Errorf("the server makes no plan for it (%s)", wire.ErrorField(body, 'C'))
		case wire.ReadyForQuery:
			if refused == nil { // else the path is the old one, too
				x.path = st.Facts.Path
			}
			healthy = stop()
			return plan, refused
		}
	}
}

// connect logs in as the session's role.
func (x *explainer) connect(ctx context.Context, timeout time.Duration) (*upstream, error) {
	cred, ok := x.session.Leased()
	if !ok {
		cred = proxy.Credential{Username: x.session.Target.Account.Username}
	}
	set, _ := x.session.Target.Resource.Settings.(Settings)
	set.ReadOnly = true
	ms := strconv.FormatInt(timeout.Milliseconds(), 10)
	s := &server{target: x.session.Target, settings: &set, timeout: timeout, dial: x.session.Dial}
	return s.connectAs(ctx, cred, []wire.Parameter{
		{Name: "application_name", Value: "sallyport estimate"},
		{Name: "client_encoding", Value: "UTF8"},
		{Name: "statement_timeout", Value: ms},
		{Name: "lock_timeout", Value: strconv.FormatInt(timeout.Milliseconds()/4+1, 10)},
	}, "")
}

// request is a pipeline that explains st, after setting the search_path by which
// its names are read. By the extended protocol it is one statement at most, and
// its arguments are values.
func (x *explainer) request(st *proxy.Statement) (out []byte) {
	if st.Facts.Path != x.path {
		out = appendExecuted(out, setPath(st.Facts.Path))
	}
	text := append([]byte("EXPLAIN (FORMAT JSON) "), st.Text...)
	var types, formats, values []byte
	for _, a := range st.Args {
		types = binary.BigEndian.AppendUint32(types, a.Type)
		formats, values = appendBound(formats, values, &a)
	}
	n := binary.BigEndian.AppendUint16(nil, uint16(len(st.Args)))
	out = wire.AppendMessage(out, wire.Parse, []byte{0}, text, []byte{0}, n, types)
	out = wire.AppendMessage(out, wire.Bind, []byte{0, 0}, n, formats, n, values, []byte{0, 0})
	out = wire.AppendExecute(out, "", 0)
	return wire.AppendMessage(out, wire.Sync)
}

// setPath is the statement that sets a plain search_path, or the one at login
// again.
func setPath(path string) string {
	if path == "" {
		return "RESET search_path"
	}
	names := strings.Split(path, ",")
	for i, n := range names {
		names[i] = `"` + strings.TrimSpace(n) + `"`
	}
	return "SET search_path = " + strings.Join(names, ", ")
}

// appendExecuted appends the messages that run a statement without arguments or
// rows.
func appendExecuted(out []byte, text string) []byte {
	out = wire.AppendMessage(out, wire.Parse, []byte{0}, []byte(text), []byte{0, 0, 0})
	out = wire.AppendMessage(out, wire.Bind, []byte{0, 0}, []byte{0, 0, 0, 0, 0, 0})
	return wire.AppendExecute(out, "", 0)
}

// planNode is one node of a plan in JSON.
type planNode struct {
	Type  string     `json:"Node Type"`
	Rows  *float64   `json:"Plan Rows"`
	Cost  *float64   `json:"Total Cost"`
	Plans []planNode `json:"Plans"`
	Role  string     `json:"Parent Relationship"`
	Table string     `json:"Relation Name"`
	Index string     `json:"Index Name"`
}

const maxWays = 5

// ways appends how the nodes of a plan find rows.
func (n *planNode) ways(list []string) []string {
	if strings.Contains(n.Type, "Scan") && len(list) < maxWays {
		way := n.Type
		if n.Index != "" {
			way += " by " + n.Index
		}
		if n.Table != "" {
			way += " on " + n.Table
		}
		list = append(list, way)
	}
	for i := range n.Plans {
		list = n.Plans[i].ways(list)
	}
	return list
}

func readPlan(text []byte) (rows, cost float64, err error) {
	var read []struct {
		Plan planNode `json:"Plan"`
	}
	if err := json.Unmarshal(text, &read); err != nil || len(read) == 0 {
		return 0, 0, plans.ErrPlan
	}
	for _, p := range read { // several, where rules of the database rewrote it
		if p.Plan.Rows == nil || p.Plan.Cost == nil {
			return 0, 0, plans.ErrPlan
		}
		rows = max(rows, *p.Plan.Rows, changed(&p.Plan))
		cost += *p.Plan.Cost
	}
	return rows, cost, nil
}

// changed is how many rows the nodes of a plan that change some are given, at
// most.
func changed(n *planNode) float64 {
	most, own := 0.0, 0.0
	for i := range n.Plans {
		p := &n.Plans[i]
		most = max(most, changed(p))
		if n.Type == "ModifyTable" && p.Rows != nil && p.Role != "InitPlan" && p.Role != "SubPlan" {
			own += *p.Rows
		}
	}
	return max(most, own)
}
