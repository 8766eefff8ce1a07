package gateway

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/internal/testserver"
)

const swapSchema = `
CREATE TABLE people (id int, ssn text, city text, badge text);
INSERT INTO people SELECT i, 'x' || (1000000 + i) || 'secret', 'town' || (2000000 + i), 'badge' || (3000000 + i) FROM generate_series(1, 6) i;
CREATE TABLE legacy (id int);
INSERT INTO legacy VALUES (1);
`

// swapping is a gateway whose revisions a test swaps.
type swapping struct {
	*house
	configs map[string]string // by the revision's name
}

// Revisions of a swapping gateway. Each shows values in a way of its own, so that a
// result that two of them have edited is seen: "a" hides ssn and city as <A>, "b" ssn
// and badge as <B>, and "open" hides nothing and has no interceptor that wants to see
// data.
func openSwapping(t *testing.T, machine *machine, dir string) *swapping {
	t.Helper()
	server, _ := testserver.Shared(t)
	_, database := testserver.Database(t, swapSchema)
	authority := testserver.NewAuthority()
	cert, key := authority.ServerPEM("localhost", "127.0.0.1")
	for name, content := range map[string][]byte{"cert.pem": cert, "key.pem": key, "other-ca.pem": authority.PEM(), "db.password": []byte(server.Password)} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), content, 0o600))
	}
	listen, resources, keys := `listen: {postgres: "127.0.0.1:0"}`, "", ""
	if machine != nil {
		listen = `listen: {postgres: "127.0.0.1:0", ssh: "127.0.0.1:0"}`
		keys = fmt.Sprintf(", ssh_keys: [%q]", machine.keys["alice"])
		resources = fmt.Sprintf("  - {name: vm1, type: ssh, address: %q, username: %s, key: \"file:upstream\", labels: {env: test}, ssh: {host_keys: [%q]}}\n", machine.address, machine.user, machine.hostKey)
	}
	text := func(labels, tls, rest string) string {
		return fmt.Sprintf(`%s
data_dir: data
tls: {optional: true%s}
identity: {users: [{name: alice, groups: [dev], password: %s%s}, {name: bob, groups: [ops], password: %s}]}
resources:
  - {name: shop, type: postgres, address: %q, database: %s, username: postgres, password: "file:db.password", labels: {%s}, tls: {mode: disable}}
%saudit: {recordings: [{rows: off, copy: off, exec: off, terminal: off}]}
%s`, listen, tls, verifier(t), keys, verifier(t), server.Address(), database, labels, resources, rest)
	}
	s := &swapping{configs: map[string]string{
		"a": text("env: test", "", `
access: [{name: all, groups: [dev], resources: {env: test}, allow: [all]}]
guardrails: [{use: off}, {name: no-legacy, deny: {relations: [legacy]}}]
masking:
  - use: off
  - {name: secrets, columns: [people.ssn, people.city], with: fixed, text: "<A>"}
  - {name: mails, entities: [EMAIL_ADDRESS, CREDIT_CARD], with: fixed, text: "<A>"}
`),
		"b": text("env: staging", ", cert: cert.pem, key: key.pem", `
access: [{name: both, groups: [dev], resources: [shop, vm1], allow: [connect, read, write, ddl, outside, exec, file-read, file-write, shell]}]
guardrails: [{use: off}, {name: watched, warn: {relations: [legacy]}}]
masking:
  - use: off
  - {name: secrets, columns: [people.ssn, people.badge], with: fixed, text: "<B>"}
  - {name: mails, entities: [EMAIL_ADDRESS, IBAN_CODE], with: fixed, text: "<B>"}
`),
		"open": text("env: test", "", `
access: [{name: all, groups: [dev], resources: {env: test}, allow: [all]}]
guardrails: [{use: off}]
masking: [{use: off}]
`),
		"closed": text("env: test", "", `
access: [{name: nobody, groups: [ops], resources: {env: test}, allow: [all]}]
guardrails: [{use: off}]
masking: [{use: off}]
`),
	}}
	if machine == nil {
		s.configs["b"] = strings.Replace(s.configs["b"], "resources: [shop, vm1]", "resources: [shop]", 1)
	}
	s.house = open(t, dir, s.configs["open"])
	return s
}

func (s *swapping) use(t *testing.T, name string) {
	t.Helper()
	require.NoError(t, s.Apply(s.file(t, s.configs[name])))
}

// plain is a connection string without TLS, whose sessions an event loop serves.
func (h *house) plain(user, resource string) string {
	return strings.Replace(h.database(user, resource), "sslmode=verify-full", "sslmode=disable", 1)
}

// revisionOf says which revision a row of id, ssn, city and badge was shown by.
func revisionOf(row []string) string {
	// What the session has seen in a column that was masked stays hidden as stars.
	clear := func(v, prefix string) bool {
		return strings.HasPrefix(v, prefix) && len(v) >= 9 || strings.Trim(v, "*") == ""
	}
	switch {
	case len(row) != 4:
	case row[1] == "<A>" && row[2] == "<A>" && clear(row[3], "badge3"):
		return "a"
	case row[1] == "<B>" && clear(row[2], "town2") && row[3] == "<B>":
		return "b"
	case strings.HasPrefix(row[1], "x1") && clear(row[2], "town2") && clear(row[3], "badge3"):
		return "open"
	}
	return fmt.Sprintf("none: %q", row)
}

// script is a client that writes messages and reads answers.
type script struct {
	t *testing.T
	*wire
}

// rows sends messages and returns what comes until the last of the wanted endings:
// rows, and the errors between them.
func (s *script) rows(until func(pgproto3.BackendMessage) bool, messages ...pgproto3.FrontendMessage) (rows [][]string) {
	s.t.Helper()
	for _, m := range messages {
		s.Send(m)
	}
	require.NoError(s.t, s.Flush())
	for {
		m, err := s.Receive()
		require.NoError(s.t, err)
		switch m := m.(type) {
		case *pgproto3.DataRow:
			var row []string
			for _, v := range m.Values {
				row = append(row, string(v))
			}
			rows = append(rows, row)
		case *pgproto3.CopyData:
			rows = append(rows, strings.Split(strings.TrimSuffix(string(m.Data), "\n"), "\t"))
		case *pgproto3.ErrorResponse:
			rows = append(rows, []string{"error " + m.Code + ": " + m.Message})
		}
		if until(m) {
			return rows
		}
	}
}

func ready(m pgproto3.BackendMessage) bool { _, ok := m.(*pgproto3.ReadyForQuery); return ok }
func suspended(m pgproto3.BackendMessage) bool {
	switch m.(type) {
	case *pgproto3.PortalSuspended, *pgproto3.ErrorResponse:
		return true
	}
	return false
}

func bound(m pgproto3.BackendMessage) bool {
	switch m.(type) {
	case *pgproto3.BindComplete, *pgproto3.ErrorResponse:
		return true
	}
	return false
}

func parsed(m pgproto3.BackendMessage) bool {
	switch m.(type) {
	case *pgproto3.ParseComplete, *pgproto3.ErrorResponse:
		return true
	}
	return false
}

func described(m pgproto3.BackendMessage) bool {
	switch m.(type) {
	case *pgproto3.RowDescription, *pgproto3.ErrorResponse:
		return true
	}
	return false
}

func (s *script) query(text string) [][]string {
	s.t.Helper()
	return s.rows(ready, &pgproto3.Query{String: text})
}

const allPeople = "SELECT id, ssn, city, badge FROM people ORDER BY id"

// open connects by a connection string.
func connect(t *testing.T, conn string) *script {
	t.Helper()
	c, err := pgconn.Connect(t.Context(), conn)
	require.NoError(t, err)
	raw, err := c.Hijack()
	require.NoError(t, err)
	require.NoError(t, raw.Conn.SetDeadline(time.Now().Add(2*time.Minute)))
	s := &script{t: t, wire: &wire{raw.Frontend, raw.Conn}}
	t.Cleanup(func() { raw.Conn.Close() })
	return s
}

// TestSwapInMidSession: a session is in the middle of something when the revision
// changes. What is asked afterwards is shown as the new revision says.
func TestSwapInMidSession(t *testing.T) {
	s := openSwapping(t, nil, t.TempDir())
	all := func(rows [][]string) (revisions []string) {
		for _, r := range rows {
			revisions = append(revisions, revisionOf(r))
		}
		return revisions
	}
	of := func(n int, revision string) (list []string) {
		for range n {
			list = append(list, revision)
		}
		return list
	}
	for _, c := range []struct {
		name string
		// before is done under the first revision; then is done under the second, and
		// returns what is shown as rows of allPeople.
		before, then func(c *script) [][]string
		half         bool // before returns rows, too
		n            int
	}{
		{
			name: "simple queries", half: true, n: 6,
			before: func(c *script) [][]string { return c.query(allPeople) },
			then:   func(c *script) [][]string { return c.query(allPeople) },
		},
		{
			name: "a statement that is parsed", n: 6,
			before: func(c *script) [][]string {
				return c.rows(ready, &pgproto3.Parse{Name: "p", Query: allPeople}, &pgproto3.Sync{})
			},
			then: func(c *script) [][]string {
				return c.rows(ready, &pgproto3.Bind{PreparedStatement: "p"}, &pgproto3.Execute{}, &pgproto3.Sync{})
			},
		},
		{
			name: "a statement that is described", n: 6,
			before: func(c *script) [][]string {
				return c.rows(ready, &pgproto3.Parse{Name: "p", Query: allPeople}, &pgproto3.Describe{ObjectType: 'S', Name: "p"}, &pgproto3.Sync{})
			},
			then: func(c *script) [][]string {
				return c.rows(ready, &pgproto3.Bind{PreparedStatement: "p"}, &pgproto3.Execute{}, &pgproto3.Sync{})
			},
		},
		{
			name: "a portal that is bound, in a batch that goes on", n: 6,
			before: func(c *script) [][]string {
				return c.rows(bound, &pgproto3.Parse{Query: allPeople}, &pgproto3.Bind{}, &pgproto3.Flush{})
			},
			then: func(c *script) [][]string { return c.rows(ready, &pgproto3.Execute{}, &pgproto3.Sync{}) },
		},
		{
			name: "a portal that is described, in a batch that goes on", n: 6,
			before: func(c *script) [][]string {
				return c.rows(described, &pgproto3.Parse{Query: allPeople}, &pgproto3.Bind{}, &pgproto3.Describe{ObjectType: 'P'}, &pgproto3.Flush{})
			},
			then: func(c *script) [][]string { return c.rows(ready, &pgproto3.Execute{}, &pgproto3.Sync{}) },
		},
		{
			name: "a portal that is fetched in parts, in a batch that goes on", half: true, n: 4,
			before: func(c *script) [][]string {
				return c.rows(suspended, &pgproto3.Parse{Query: allPeople}, &pgproto3.Bind{}, &pgproto3.Describe{ObjectType: 'P'}, &pgproto3.Execute{MaxRows: 2}, &pgproto3.Flush{})
			},
			then: func(c *script) [][]string { return c.rows(ready, &pgproto3.Execute{}, &pgproto3.Sync{}) },
		},
		{
			name: "a portal that is fetched in parts, in a transaction", half: true, n: 4,
			before: func(c *script) [][]string {
				c.query("BEGIN")
				return c.rows(ready, &pgproto3.Parse{Query: allPeople}, &pgproto3.Bind{DestinationPortal: "x"}, &pgproto3.Execute{Portal: "x", MaxRows: 2}, &pgproto3.Sync{})
			},
			then: func(c *script) [][]string {
				return c.rows(ready, &pgproto3.Execute{Portal: "x"}, &pgproto3.Sync{})
			},
		},
		{
			name: "a cursor", half: true, n: 4,
			before: func(c *script) [][]string {
				c.query("BEGIN")
				c.query("DECLARE c CURSOR FOR " + allPeople)
				return c.query("FETCH 2 FROM c")
			},
			then: func(c *script) [][]string { return c.query("FETCH ALL FROM c") },
		},
		{
			name: "a prepared statement of SQL", half: true, n: 6,
			before: func(c *script) [][]string {
				c.query("PREPARE p AS " + allPeople)
				return c.query("EXECUTE p")
			},
			then: func(c *script) [][]string { return c.query("EXECUTE p") },
		},
		{
			name: "copies", half: true, n: 6,
			before: func(c *script) [][]string { return c.query("COPY people (id, ssn, city, badge) TO STDOUT") },
			then:   func(c *script) [][]string { return c.query("COPY people (id, ssn, city, badge) TO STDOUT") },
		},
		{
			name: "a copy that is prepared", n: 6,
			before: func(c *script) [][]string {
				return c.rows(parsed, &pgproto3.Parse{Query: "COPY (" + allPeople + ") TO STDOUT"}, &pgproto3.Flush{})
			},
			then: func(c *script) [][]string {
				return c.rows(ready, &pgproto3.Bind{}, &pgproto3.Execute{}, &pgproto3.Sync{})
			},
		},
	} {
		for _, way := range [][2]string{{"open", "a"}, {"a", "open"}, {"a", "b"}, {"b", "a"}} {
			for _, conn := range []string{"TLS", "plain"} {
				t.Run(c.name+", "+way[0]+" to "+way[1]+", "+conn, func(t *testing.T) {
					s.use(t, way[0])
					address := s.database("alice", "shop")
					if conn == "plain" {
						address = s.plain("alice", "shop")
					} else if way[0] == "b" {
						address = strings.Replace(address, "sslrootcert="+s.Authority(), "", 1) + "sslrootcert=" + filepath.Join(s.dir, "other-ca.pem")
					}
					k := connect(t, address)
					rows := c.before(k)
					if c.half {
						require.Equal(t, of(len(rows), way[0]), all(rows))
						require.NotEmpty(t, rows)
					}
					s.use(t, way[1])
					require.Equal(t, of(c.n, way[1]), all(c.then(k)))
				})
			}
		}
	}
}

// TestSwapKeepsWhatIsKnown: what a session did under one revision is known to those
// that come after, also when one came between that hides nothing.
func TestSwapKeepsWhatIsKnown(t *testing.T) {
	s := openSwapping(t, nil, t.TempDir())
	for _, c := range []struct {
		name      string
		revisions []string // in which each statement runs
		texts     []string
		want      string // in the last one's rows; none holds a value that is hidden
	}{
		{
			"a temporary table",
			[]string{"a", "a", "b"},
			[]string{"CREATE TEMP TABLE mine AS SELECT ssn AS z FROM people", "SELECT z FROM mine", "SELECT z FROM mine"},
			"",
		},
		{
			"a temporary table, with a revision between that hides nothing",
			[]string{"a", "open", "a"},
			[]string{"CREATE TEMP TABLE mine AS SELECT ssn AS z FROM people", "SELECT 1", "SELECT z FROM mine"},
			"",
		},
		{
			"a cursor over what is computed, with a revision between that hides nothing",
			[]string{"a", "a", "open", "a"},
			[]string{"BEGIN", "DECLARE c CURSOR FOR SELECT upper(ssn) AS z FROM people", "SELECT 1", "FETCH ALL FROM c"},
			"",
		},
		{
			"a cursor over what is computed, declared when nothing was hidden",
			[]string{"open", "open", "a"},
			[]string{"BEGIN", "DECLARE c CURSOR FOR SELECT upper(ssn) AS z FROM people", "FETCH ALL FROM c"},
			"",
		},
		{
			"a cursor over what is computed, declared when another column was hidden",
			[]string{"a", "a", "b"},
			[]string{"BEGIN", "DECLARE c CURSOR FOR SELECT upper(badge) AS z FROM people", "FETCH ALL FROM c"},
			"",
		},
		{
			"a cursor that is declared again and was not",
			[]string{"open", "open", "a", "a", "a", "a"},
			[]string{
				"BEGIN", "DECLARE c CURSOR FOR SELECT upper(ssn) AS z FROM people", "SAVEPOINT s", "DECLARE c CURSOR FOR SELECT 'x' AS z",
				"ROLLBACK TO s", "FETCH ALL FROM c",
			},
			"",
		},
		{
			"a cursor over what is computed, fetched with another",
			[]string{"open", "open", "a", "a"},
			[]string{
				"BEGIN", "DECLARE c CURSOR FOR SELECT upper(ssn) AS z FROM people", "DECLARE d CURSOR FOR SELECT 'x' AS z", "FETCH ALL FROM c; FETCH ALL FROM d",
			},
			"",
		},
		{
			"a cursor that is declared since",
			[]string{"open", "a", "a"},
			[]string{"BEGIN", "DECLARE c CURSOR FOR SELECT 'number ' || count(*) AS z FROM people", "FETCH FORWARD 10 FROM \"c\""},
			"number 6",
		},
		{
			"a prepared statement over what is computed",
			[]string{"open", "a"},
			[]string{"PREPARE p AS SELECT upper(ssn) AS z FROM people", "EXECUTE p"},
			"",
		},
		{
			"a prepared statement over what is computed, of another column",
			[]string{"a", "b"},
			[]string{"PREPARE p AS SELECT upper(badge) AS z FROM people", "EXECUTE p"},
			"",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			s.use(t, c.revisions[0])
			k := connect(t, s.plain("alice", "shop"))
			var rows [][]string
			for i, text := range c.texts {
				if i > 0 && c.revisions[i] != c.revisions[i-1] {
					s.use(t, c.revisions[i])
				}
				rows = k.query(text)
			}
			require.NotEmpty(t, rows)
			for _, row := range rows {
				for _, hidden := range []string{"secret", "SECRET", "badge3", "BADGE3"} {
					require.NotContains(t, row[0], hidden)
				}
				require.NotContains(t, row[0], "error")
			}
			if c.want != "" {
				require.Equal(t, [][]string{{c.want}}, rows)
			}
		})
	}
}

// shownLine is a line of output. Revision a hides the address and the card, revision b
// the address and the account, and "open" nothing.
const shownLine = "mail ann@example.com card 4111111111111111 account DE89370400440532013000"

// revisionOfLine says which revision shownLine was shown by.
func revisionOfLine(text string) string {
	mail, card, account := strings.Contains(text, "ann@"), strings.Contains(text, "4111111111111111"), strings.Contains(text, "DE89370400440532013000")
	switch {
	case !strings.Contains(text, "mail ") || !strings.Contains(text, " account "):
	case !mail && !card && account:
		return "a"
	case !mail && card && !account:
		return "b"
	case mail && card && account:
		return "open"
	}
	return "none"
}

// untilSwapped runs f again and again, in a goroutine of its own, until stop is
// closed, and at least once.
func untilSwapped(t *testing.T, wg *sync.WaitGroup, stop <-chan struct{}, what string, f func() error) *atomic.Int64 {
	turns := &atomic.Int64{}
	wg.Go(func() {
		for {
			if err := f(); err != nil {
				t.Errorf("%s: %v", what, err)
				return
			}
			turns.Add(1)
			select {
			case <-stop:
				return
			default:
			}
		}
	})
	return turns
}

// oneRevision checks that rows are whole and of one revision that hides something.
func oneRevision(rows [][]string, n int) error {
	if len(rows) != n {
		return fmt.Errorf("got %d rows, want %d: %q", len(rows), n, rows)
	}
	for _, r := range rows {
		if got := revisionOf(r); got != revisionOf(rows[0]) || got != "a" && got != "b" {
			return fmt.Errorf("a row of revision %s in a result of revision %s: %q", got, revisionOf(rows[0]), rows)
		}
	}
	return nil
}

// TestSwapUnderLoad swaps the revision a hundred times under open sessions of every
// kind. Nothing that both revisions hide is ever shown, every result is of one
// revision, and no session breaks.
func TestSwapUnderLoad(t *testing.T) {
	for _, program := range []string{"psql", "ssh", "sftp"} {
		if _, err := exec.LookPath(program); err != nil {
			testserver.Missing(t, program)
		}
	}
	dir := t.TempDir()
	s := openSwapping(t, startMachine(t, dir, []string{"alice"}), dir)
	s.use(t, "a")
	ctx, cancel := context.WithTimeout(t.Context(), 80*time.Second)
	defer cancel()
	stop := make(chan struct{})
	var wg sync.WaitGroup
	turns := make(map[string]*atomic.Int64)
	run := func(what string, f func() error) { turns[what] = untilSwapped(t, &wg, stop, what, f) }
	address := s.plain("alice", "shop")
	open := func() *pgconn.PgConn {
		c, err := pgconn.Connect(ctx, address)
		require.NoError(t, err)
		t.Cleanup(func() { c.Close(context.Background()) })
		return c
	}
	strs := func(rows [][][]byte) (out [][]string) {
		for _, row := range rows {
			var list []string
			for _, v := range row {
				list = append(list, string(v))
			}
			out = append(out, list)
		}
		return out
	}

	simple := open()
	run("simple queries", func() error {
		results, err := simple.Exec(ctx, allPeople+"; "+allPeople).ReadAll()
		if err != nil {
			return err
		}
		var rows [][]string
		for _, r := range results {
			rows = append(rows, strs(r.Rows)...)
		}
		return oneRevision(rows, 12) // both are one operation
	})
	prepared := open()
	_, err := prepared.Prepare(ctx, "p", allPeople, nil)
	require.NoError(t, err)
	run("a prepared statement", func() error {
		r := prepared.ExecPrepared(ctx, "p", nil, nil, nil).Read()
		return errors.Join(r.Err, oneRevision(strs(r.Rows), 6))
	})
	pipelined := open()
	run("a pipeline", func() error {
		b := &pgconn.Batch{}
		for range 5 {
			b.ExecParams(allPeople, nil, nil, nil, nil)
		}
		results, err := pipelined.ExecBatch(ctx, b).ReadAll()
		for _, r := range results {
			err = errors.Join(err, oneRevision(strs(r.Rows), 6))
		}
		return err
	})
	copying := open()
	run("COPY", func() error {
		var out bytes.Buffer
		if _, err := copying.CopyTo(ctx, &out, "COPY people (id, ssn, city, badge) TO STDOUT"); err != nil {
			return err
		}
		var rows [][]string
		for line := range strings.Lines(out.String()) {
			rows = append(rows, strings.Split(strings.TrimSuffix(line, "\n"), "\t"))
		}
		return oneRevision(rows, 6)
	})
	cursor := open()
	require.NoError(t, cursor.Exec(ctx, "BEGIN; DECLARE c SCROLL CURSOR FOR "+allPeople).Close())
	run("a cursor in a transaction that stays open", func() error {
		for _, text := range []string{"FETCH 3 FROM c", "FETCH 3 FROM c", "MOVE ABSOLUTE 0 FROM c"} {
			results, err := cursor.Exec(ctx, text).ReadAll()
			if err != nil {
				return err
			}
			if len(results) > 0 && !strings.HasPrefix(text, "MOVE") {
				if err := oneRevision(strs(results[0].Rows), 3); err != nil {
					return err
				}
			}
		}
		return nil
	})
	guarded := open()
	run("a guardrail of one revision", func() error {
		r := guarded.ExecParams(ctx, "SELECT id FROM legacy", nil, nil, nil, nil).Read()
		var refused *pgconn.PgError
		if errors.As(r.Err, &refused) && refused.Code == "42501" && strings.Contains(refused.Message, "no-legacy") {
			return nil
		}
		return r.Err
	})
	var leaked atomic.Int64
	told := &atomic.Int64{}
	hearing, err := pgconn.ParseConfig(address)
	require.NoError(t, err)
	hearing.OnNotification = func(_ *pgconn.PgConn, n *pgconn.Notification) {
		told.Add(1)
		if n.Payload != "from <A> today" && n.Payload != "from <B> today" {
			leaked.Add(1)
		}
	}
	listening, err := pgconn.ConnectConfig(ctx, hearing)
	require.NoError(t, err)
	t.Cleanup(func() { listening.Close(context.Background()) })
	require.NoError(t, listening.Exec(ctx, "LISTEN news").Close())
	notifying := open()
	run("LISTEN and NOTIFY", func() error {
		if err := notifying.Exec(ctx, "NOTIFY news, 'from ann@example.com today'").Close(); err != nil {
			return err
		}
		return listening.Exec(ctx, "SELECT 1").Close()
	})

	psql := exec.CommandContext(ctx, "psql", "-X", "-A", "-t", "-q", address)
	questions, err := psql.StdinPipe()
	require.NoError(t, err)
	answers, err := psql.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, psql.Start())
	lines := bufio.NewScanner(answers)
	run("psql", func() error {
		if _, err := io.WriteString(questions, allPeople+";\n"); err != nil {
			return err
		}
		var rows [][]string
		for len(rows) < 6 && lines.Scan() {
			rows = append(rows, strings.Split(lines.Text(), "|"))
		}
		return oneRevision(rows, 6)
	})

	client := s.ssh(t, "alice", "vm1")
	long, err := client.NewSession()
	require.NoError(t, err)
	stream, err := long.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, long.Start("while echo "+shownLine+"; do sleep 0.01; done"))
	streamed := bufio.NewScanner(stream)
	run("a command that streams", func() error {
		if !streamed.Scan() || revisionOfLine(streamed.Text()) != "a" {
			return fmt.Errorf("it was asked of revision a, and shows %q (%v)", streamed.Text(), streamed.Err())
		}
		return nil
	})
	run("commands", func() error {
		c, err := client.NewSession()
		if err != nil {
			return err
		}
		defer c.Close()
		out, err := c.Output("for i in 1 2 3; do echo " + shownLine + "; done")
		if err != nil {
			return err
		}
		first := ""
		for line := range strings.Lines(string(out)) {
			got := revisionOfLine(line)
			if first == "" {
				first = got
			}
			if got != first || got != "a" && got != "b" {
				return fmt.Errorf("of revisions %s and %s: %q", first, got, out)
			}
		}
		return nil
	})
	shell, err := client.NewSession()
	require.NoError(t, err)
	typed, err := shell.StdinPipe()
	require.NoError(t, err)
	shown, err := shell.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, shell.Shell())
	screen := bufio.NewScanner(shown)
	run("a shell", func() error {
		if _, err := io.WriteString(typed, "echo ann@exam''ple.com; echo end\n"); err != nil {
			return err
		}
		for screen.Scan() {
			switch text := screen.Text(); {
			case strings.Contains(text, "ann@"):
				return fmt.Errorf("it shows %q", text)
			case text == "end":
				return nil
			}
		}
		return fmt.Errorf("it ended: %v", screen.Err())
	})
	require.NoError(t, os.WriteFile(filepath.Join(dir, "ssh_config"), fmt.Appendf(nil,
		"Host *\n  StrictHostKeyChecking no\n  UserKnownHostsFile /dev/null\n  IdentityFile %s\n  IdentitiesOnly yes\n  BatchMode yes\n  LogLevel ERROR\n", filepath.Join(dir, "alice")), 0o600))
	host, port, _ := net.SplitHostPort(s.Addr("ssh", "").String())
	content := strings.Repeat("ann@example.com\n", 1000)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "file"), []byte(content), 0o600))
	sftp := exec.CommandContext(ctx, "sftp", "-F", filepath.Join(dir, "ssh_config"), "-q", "-P", port, "alice+vm1@"+host)
	orders, err := sftp.StdinPipe()
	require.NoError(t, err)
	said, err := sftp.StdoutPipe()
	require.NoError(t, err)
	sftp.Stderr = s.log
	require.NoError(t, sftp.Start())
	listed := bufio.NewScanner(said)
	n := 0
	run("sftp", func() error {
		n++
		got := filepath.Join(dir, fmt.Sprint("got", n))
		if _, err := fmt.Fprintf(orders, "get %s %s\npwd\n", filepath.Join(dir, "file"), got); err != nil {
			return err
		}
		for listed.Scan() {
			if strings.HasPrefix(listed.Text(), "Remote working directory") {
				b, err := os.ReadFile(got)
				if err == nil && string(b) != content {
					err = errors.New("the file is not what it was")
				}
				return err
			}
		}
		return fmt.Errorf("it ended: %v", listed.Err())
	})

	for n := range 100 {
		s.use(t, []string{"b", "a"}[n%2])
	}
	for what, n := range turns { // each has met the last revision
		was := n.Load()
		require.Eventually(t, func() bool { return n.Load() > was+1 || t.Failed() }, 30*time.Second, 5*time.Millisecond, what)
	}
	close(stop)
	wg.Wait()
	require.NotZero(t, told.Load())
	require.Zero(t, leaked.Load(), "of %d notifications", told.Load())
	require.NoError(t, questions.Close())
	require.NoError(t, psql.Wait())
	require.NoError(t, orders.Close())
	require.NoError(t, sftp.Wait())
	require.NoError(t, client.Close())
	require.NoError(t, s.stop())
	revised := 0
	for id, events := range s.records(t) {
		for _, e := range events {
			if id != "" && e.Type == audit.SessionRevised {
				require.NotEmpty(t, e.Policy)
				revised++
			}
		}
	}
	require.Greater(t, revised, len(turns), "records say by which rules sessions are judged")
}

// TestSwapInFlight: a result that flows when the revision changes ends as it began,
// and what is asked meanwhile, before its end, is shown as the new revision says.
func TestSwapInFlight(t *testing.T) {
	s := openSwapping(t, nil, t.TempDir())
	const many = "SELECT id, ssn, city, badge FROM people, generate_series(1, 20000)"
	extended := func(text string) []pgproto3.FrontendMessage {
		return []pgproto3.FrontendMessage{&pgproto3.Parse{Query: text}, &pgproto3.Bind{}, &pgproto3.Execute{}, &pgproto3.Sync{}}
	}
	for _, c := range []struct {
		name     string
		messages []pgproto3.FrontendMessage
	}{
		{"a simple query", []pgproto3.FrontendMessage{&pgproto3.Query{String: many}}},
		{"an extended query", extended(many)},
		{"a copy", []pgproto3.FrontendMessage{&pgproto3.Query{String: "COPY (" + many + ") TO STDOUT"}}},
	} {
		for _, way := range [][2]string{{"open", "a"}, {"a", "open"}, {"a", "b"}} {
			t.Run(c.name+", "+way[0]+" to "+way[1], func(t *testing.T) {
				s.use(t, way[0])
				k := connect(t, s.plain("alice", "shop"))
				first := func(m pgproto3.BackendMessage) bool {
					switch m.(type) {
					case *pgproto3.DataRow, *pgproto3.CopyData, *pgproto3.ErrorResponse:
						return true
					}
					return false
				}
				rows := k.rows(first, c.messages...)
				s.use(t, way[1])
				rows = append(rows, k.rows(ready, extended(allPeople)...)...) // asked now, answered later
				require.Len(t, rows, 120000)
				for _, row := range rows {
					if got := revisionOf(row); got != way[0] {
						require.Equal(t, way[0], got)
					}
				}
				later := k.rows(ready)
				require.Len(t, later, 6)
				for _, row := range later {
					require.Equal(t, way[1], revisionOf(row))
				}
			})
		}
	}
}
