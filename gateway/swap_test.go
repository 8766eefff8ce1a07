package gateway

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/stretchr/testify/require"

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
identity: {users: [{name: alice, groups: [dev], password: %s%s}]}
resources:
  - {name: shop, type: postgres, address: %q, database: %s, username: postgres, password: "file:db.password", labels: {%s}, tls: {mode: disable}}
%saudit: {recordings: [{rows: off, copy: off, exec: off, terminal: off}]}
%s`, listen, tls, verifier(t), keys, server.Address(), database, labels, resources, rest)
	}
	s := &swapping{configs: map[string]string{
		"a": text("env: test", "", `
access: [{name: all, groups: [dev], resources: {env: test}, allow: [all]}]
guardrails: [{use: off}, {name: no-legacy, deny: {relations: [legacy]}}]
masking:
  - use: off
  - {name: secrets, columns: [people.ssn, people.city], with: fixed, text: "<A>"}
  - {name: mails, entities: [EMAIL_ADDRESS], with: fixed, text: "<A>"}
`),
		"b": text("env: staging", ", cert: cert.pem, key: key.pem", `
access: [{name: both, groups: [dev], resources: [shop, vm1], allow: [connect, read, write, ddl, outside, exec, file-read, file-write, shell]}]
guardrails: [{use: off}, {name: watched, warn: {relations: [legacy]}}]
masking:
  - use: off
  - {name: secrets, columns: [people.ssn, people.badge], with: fixed, text: "<B>"}
  - {name: mails, entities: [EMAIL_ADDRESS], with: fixed, text: "<B>"}
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
	after time.Time
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

func completed(m pgproto3.BackendMessage) bool {
	switch m.(type) {
	case *pgproto3.CommandComplete, *pgproto3.ErrorResponse:
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

const people = "SELECT id, ssn, city, badge FROM people ORDER BY id"

// open connects by a connection string.
func connect(t *testing.T, conn string) *script {
	t.Helper()
	c, err := pgconn.Connect(t.Context(), conn)
	require.NoError(t, err)
	raw, err := c.Hijack()
	require.NoError(t, err)
	require.NoError(t, raw.Conn.SetDeadline(time.Now().Add(20*time.Second)))
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
		// returns what is shown as rows of people.
		before, then func(c *script) [][]string
		half         bool // before returns rows, too
		n            int
	}{
		{
			name: "simple queries", half: true, n: 6,
			before: func(c *script) [][]string { return c.query(people) },
			then:   func(c *script) [][]string { return c.query(people) },
		},
		{
			name: "a statement that is parsed", n: 6,
			before: func(c *script) [][]string {
				return c.rows(ready, &pgproto3.Parse{Name: "p", Query: people}, &pgproto3.Sync{})
			},
			then: func(c *script) [][]string {
				return c.rows(ready, &pgproto3.Bind{PreparedStatement: "p"}, &pgproto3.Execute{}, &pgproto3.Sync{})
			},
		},
		{
			name: "a statement that is described", n: 6,
			before: func(c *script) [][]string {
				return c.rows(ready, &pgproto3.Parse{Name: "p", Query: people}, &pgproto3.Describe{ObjectType: 'S', Name: "p"}, &pgproto3.Sync{})
			},
			then: func(c *script) [][]string {
				return c.rows(ready, &pgproto3.Bind{PreparedStatement: "p"}, &pgproto3.Execute{}, &pgproto3.Sync{})
			},
		},
		{
			name: "a portal that is bound, in a batch that goes on", n: 6,
			before: func(c *script) [][]string {
				return c.rows(bound, &pgproto3.Parse{Query: people}, &pgproto3.Bind{}, &pgproto3.Flush{})
			},
			then: func(c *script) [][]string { return c.rows(ready, &pgproto3.Execute{}, &pgproto3.Sync{}) },
		},
		{
			name: "a portal that is described, in a batch that goes on", n: 6,
			before: func(c *script) [][]string {
				return c.rows(described, &pgproto3.Parse{Query: people}, &pgproto3.Bind{}, &pgproto3.Describe{ObjectType: 'P'}, &pgproto3.Flush{})
			},
			then: func(c *script) [][]string { return c.rows(ready, &pgproto3.Execute{}, &pgproto3.Sync{}) },
		},
		{
			name: "a portal that is fetched in parts, in a batch that goes on", half: true, n: 4,
			before: func(c *script) [][]string {
				return c.rows(suspended, &pgproto3.Parse{Query: people}, &pgproto3.Bind{}, &pgproto3.Describe{ObjectType: 'P'}, &pgproto3.Execute{MaxRows: 2}, &pgproto3.Flush{})
			},
			then: func(c *script) [][]string { return c.rows(ready, &pgproto3.Execute{}, &pgproto3.Sync{}) },
		},
		{
			name: "a portal that is fetched in parts, in a transaction", half: true, n: 4,
			before: func(c *script) [][]string {
				c.query("BEGIN")
				return c.rows(ready, &pgproto3.Parse{Query: people}, &pgproto3.Bind{DestinationPortal: "x"}, &pgproto3.Execute{Portal: "x", MaxRows: 2}, &pgproto3.Sync{})
			},
			then: func(c *script) [][]string {
				return c.rows(ready, &pgproto3.Execute{Portal: "x"}, &pgproto3.Sync{})
			},
		},
		{
			name: "a cursor", half: true, n: 4,
			before: func(c *script) [][]string {
				c.query("BEGIN")
				c.query("DECLARE c CURSOR FOR " + people)
				return c.query("FETCH 2 FROM c")
			},
			then: func(c *script) [][]string { return c.query("FETCH ALL FROM c") },
		},
		{
			name: "a prepared statement of SQL", half: true, n: 6,
			before: func(c *script) [][]string {
				c.query("PREPARE p AS " + people)
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
				return c.rows(parsed, &pgproto3.Parse{Query: "COPY (" + people + ") TO STDOUT"}, &pgproto3.Flush{})
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

// TestSwapWithoutUser: a session ends when its user is not in the file any more, and
// is judged by the groups that she has there now.
func TestSwapWithoutUser(t *testing.T) {
	s := openSwapping(t, nil, t.TempDir())
	another := "users: [{name: bob, groups: [dev, ops], password: " + verifier(t) + "}, "
	for name, edit := range map[string]*strings.Replacer{
		"gone":             strings.NewReplacer("users: [", another, "name: alice,", "name: alicia,"),
		"of another group": strings.NewReplacer("users: [", another, "groups: [dev], password", "groups: [ops], password"),
	} {
		t.Run(name, func(t *testing.T) {
			s.use(t, "open")
			w := s.wire(t, "alice", "shop")
			defer w.close(t)
			code, open := w.query(t, "SELECT 1", nil)
			require.Empty(t, code)
			require.True(t, open)
			require.NoError(t, s.Apply(s.file(t, edit.Replace(s.configs["open"]))))
			code, open = w.query(t, "SELECT 1", nil)
			require.NotEmpty(t, code)
			require.False(t, open)
		})
	}
}
