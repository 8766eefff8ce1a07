package gateway

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/identity/tokens"
	"github.com/sallyport/sallyport/internal/testserver"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/review"
)

// onRequest is a file's rules by which alice asks, and ops approve.
func onRequest(request string) string {
	return fmt.Sprintf("access: [{name: prod, groups: [dev], resources: [shop], allow: [connect, read], request: %s}]\n", request)
}

var olga = &proxy.Identity{Subject: "olga", Groups: []string{"local:ops"}}

// approve approves a request at a gateway.
func (h *house) approve(t *testing.T, id string) {
	t.Helper()
	r, err := h.desk.Get(t.Context(), id)
	require.NoError(t, err)
	_, err = h.desk.Approve(t.Context(), id, review.Vote{By: olga, Hash: r.Hash, Channel: "test"}, review.Narrow{})
	require.NoError(t, err)
}

// requests asks for access for alice.
func (h *house) requests(t *testing.T, length time.Duration, from time.Time) string {
	t.Helper()
	terms, err := h.requestable(t.Context(), &proxy.Identity{Subject: "alice", Groups: []string{"dev"}}, "", "shop", "")
	require.NoError(t, err)
	require.Len(t, terms, 1)
	r, err := h.desk.Ask(t.Context(), &proxy.Identity{Subject: "alice", Groups: []string{"dev"}}, review.Ask{Resource: "shop", Terms: terms[0], For: length, From: from, Reason: "INC-1"})
	require.NoError(t, err)
	return r.ID
}

// TestRequests: what is asked for at one gateway and approved at another opens a session at either, and ends it at both.
func TestRequests(t *testing.T) {
	one, two, _ := openPair(t, onRequest("{approvers: [\"local:ops\"]}")+"api: {listen: \"127.0.0.1:0\", url: \"https://gw.example.com\", console: true}\n")
	reach := one.database("alice", "shop")
	_, err := pgconn.Connect(t.Context(), reach)
	require.ErrorContains(t, err, "; connect again when it is approved: https://gw.example.com/requests/"+one.desk.List()[0].ID, "she is told where it is shown")
	_, err = one.desk.Cancel(t.Context(), one.desk.List()[0].ID, &proxy.Identity{Subject: "alice"})
	require.NoError(t, err)
	id := one.requests(t, time.Hour, time.Time{})
	two.approve(t, id)
	var s *script
	require.Eventually(t, func() bool {
		c, err := pgconn.Connect(t.Context(), reach)
		if err == nil {
			c.Close(t.Context())
		}
		return err == nil
	}, 10*time.Second, 10*time.Millisecond)
	s = connect(t, reach)
	require.Equal(t, [][]string{{"hello"}}, s.query("SELECT text FROM notes"))
	// In the middle of a statement.
	s.Send(&pgproto3.Query{String: "SELECT count(*) FROM generate_series(1, 100000000000)"})
	require.NoError(t, s.Flush())
	require.Eventually(t, func() bool {
		open := one.Proxy().Sessions()
		if len(open) != 1 {
			return false
		}
		running, _ := open[0].Operations()
		return running > 0
	}, 10*time.Second, 5*time.Millisecond)
	begun := time.Now()
	_, err = two.desk.Revoke(t.Context(), id, review.Vote{By: olga, Reason: "enough"}, false)
	require.NoError(t, err)
	for {
		m, err := s.Receive()
		require.NoError(t, err)
		if e, ok := m.(*pgproto3.ErrorResponse); ok {
			require.Contains(t, e.Message, "was revoked by olga: enough")
			break
		}
	}
	t.Logf("the session ended after %s", time.Since(begun).Round(time.Millisecond))
	require.Less(t, time.Since(begun), 5*time.Second)
	_, err = pgconn.Connect(t.Context(), reach)
	require.ErrorContains(t, err, "waits for an approval of local:ops")

	// Rules that change count for what is granted, too.
	id = one.requests(t, 30*time.Minute, time.Time{})
	one.approve(t, id)
	s = connect(t, reach)
	require.Equal(t, [][]string{{"hello"}}, s.query("SELECT text FROM notes"))
	require.NoError(t, one.Reload())
	require.Equal(t, [][]string{{"hello"}}, s.query("SELECT text FROM notes"), "a file that is read again changes nothing")
	_, err = one.desk.Cancel(t.Context(), id, &proxy.Identity{Subject: "alice"})
	require.NoError(t, err)
	m, err := s.Receive()
	require.NoError(t, err)
	require.IsType(t, &pgproto3.ErrorResponse{}, m)
}

// TestRequestWaits: a client that connects waits for the approval where the rule has it wait, and goes on.
func TestRequestWaits(t *testing.T) {
	one, two, _ := openPair(t, onRequest("{approvers: [\"local:ops\"], wait: 30s}"))
	reach := one.database("alice", "shop")
	answer := make(chan error, 1)
	go func() {
		c, err := pgconn.Connect(t.Context(), reach)
		if err == nil {
			_, err = c.Exec(t.Context(), "SELECT text FROM notes").ReadAll()
			c.Close(context.Background())
		}
		answer <- err
	}()
	var id string
	require.Eventually(t, func() bool {
		list := one.desk.List()
		if len(list) == 1 {
			id = list[0].ID
		}
		return id != ""
	}, 10*time.Second, 5*time.Millisecond)
	require.NoError(t, two.desk.Follow(t.Context(), id))
	two.approve(t, id)
	require.NoError(t, <-answer)

	_, err := one.desk.Revoke(t.Context(), id, review.Vote{By: olga, Reason: "again"}, false)
	require.NoError(t, err)
	go func() {
		_, err := pgconn.Connect(t.Context(), reach)
		answer <- err
	}()
	require.Eventually(t, func() bool {
		list := one.desk.List()
		if len(list) == 1 {
			id = list[0].ID
		}
		return len(list) == 1
	}, 10*time.Second, 5*time.Millisecond)
	r, err := two.desk.Get(t.Context(), id)
	require.NoError(t, err)
	_, err = two.desk.Deny(t.Context(), id, review.Vote{By: olga, Hash: r.Hash, Reason: "not today"})
	require.NoError(t, err)
	require.ErrorContains(t, <-answer, "olga denied request "+id+": not today")
	_, err = pgconn.Connect(t.Context(), reach)
	require.ErrorContains(t, err, "olga denied request "+id+": not today; ask for access again with sallyport request")
	require.Empty(t, one.desk.List(), "a client that connects again does not have people decide again")
	require.NotEqual(t, id, one.requests(t, time.Minute, time.Time{}), "who asks on purpose does")
}

// TestRequestEndsOnTime: a session ends when what was granted is over, to the second, also while it runs something.
func TestRequestEndsOnTime(t *testing.T) {
	one, _, _ := openPair(t, onRequest("{approvers: [\"local:ops\"], max: 1m}"))
	id := one.requests(t, time.Minute, time.Now().Add(-50*time.Second))
	one.approve(t, id)
	s := connect(t, one.database("alice", "shop"))
	require.NoError(t, s.conn.SetDeadline(time.Now().Add(90*time.Second)))
	r, err := one.desk.Get(t.Context(), id)
	require.NoError(t, err)
	s.Send(&pgproto3.Query{String: "SELECT count(*) FROM generate_series(1, 100000000000)"})
	require.NoError(t, s.Flush())
	for {
		m, err := s.Receive()
		require.NoError(t, err)
		if e, ok := m.(*pgproto3.ErrorResponse); ok {
			require.True(t, strings.Contains(e.Message, id), e.Message)
			break
		}
	}
	late := time.Since(r.Access.Grant.Until)
	t.Logf("the session ended %s after its time", late.Round(time.Millisecond))
	require.Greater(t, late, -time.Second)
	require.Less(t, late, 5*time.Second)
}

// TestScopedTokenAsksNothing: an access token that has less than its owner's rights makes no request by connecting, nor by the API
// (TestAccessRequests).
func TestScopedTokenAsksNothing(t *testing.T) {
	one, _, _ := openPair(t, onRequest("{approvers: [\"local:ops\"]}"))
	shop, err := one.Target("shop", "", "")
	require.NoError(t, err)
	connect := func(scopes ...tokens.Scope) error {
		made, _, err := one.proofs.tokens.Create(t.Context(), tokens.Token{Subject: "alice", User: "alice", Expires: time.Now().Add(time.Hour), Scopes: scopes})
		require.NoError(t, err)
		id := &proxy.Identity{Subject: "alice", Groups: []string{"dev"}, Claims: map[string]string{identity.ClaimToken: made.ID}}
		_, _, err = one.Proxy().Open(t.Context(), proxy.OpenRequest{Identity: id, Target: shop, Protocol: "postgres"})
		return err
	}
	require.ErrorContains(t, connect(tokens.Scope{Resources: []string{"shop"}, Actions: []string{"read"}}), "an access token that has scopes asks for nothing more")
	require.Empty(t, one.desk.List())
	require.ErrorContains(t, connect(), "waits for an approval of local:ops")
	require.Len(t, one.desk.List(), 1)
}

// TestRequestPeople: who has approved is looked up as she is now, also when she has logged out since.
func TestRequestPeople(t *testing.T) {
	tm := openTeam(t)
	tm.provider.Groups(t, "alice", "dba")
	id := tm.login(t, tm.one)
	require.NoError(t, tm.one.proofs.members.Saw(t.Context(), id))
	now, err := tm.one.now(t.Context(), id.Subject)
	require.NoError(t, err)
	require.True(t, now.In("dev:dba"))
	require.NoError(t, tm.one.parts().people.logins.End(t.Context(), id.Claims["login"], "out"))
	now, err = tm.one.now(t.Context(), id.Subject)
	require.NoError(t, err)
	require.True(t, now.In("dev:dba"), "she was when she was here last")
	_, err = tm.one.proofs.members.Assign(t.Context(), id.Subject, []string{"local:more"})
	require.NoError(t, err)
	now, err = tm.one.now(t.Context(), id.Subject)
	require.NoError(t, err)
	require.True(t, now.In("local:more"))
	_, err = tm.one.proofs.members.Disable(t.Context(), id.Subject)
	require.NoError(t, err)
	_, err = tm.one.now(t.Context(), id.Subject)
	require.Error(t, err)
	_, err = tm.one.now(t.Context(), "dev/nobody")
	require.Error(t, err)
	for _, gone := range []string{"former", "elsewhere/alice"} { // of a user and of a provider that were in the file
		require.NoError(t, tm.one.proofs.members.Saw(t.Context(), &proxy.Identity{Subject: gone, Groups: []string{"admin"}}))
		_, err = tm.one.now(t.Context(), gone)
		require.Error(t, err, gone)
	}
	root, err := tm.one.now(t.Context(), "root")
	require.NoError(t, err)
	require.True(t, root.In("admin"))
}

// TestRequestAuto: who connects under the conditions of a rule that grants by itself goes on, and is cut when somebody takes it back;
// who does not meet them waits for people.
func TestRequestAuto(t *testing.T) {
	one, two, _ := openPair(t, onRequest(`{approvers: ["local:ops"], auto: {when: {networks: [127.0.0.0/8]}, max: 1h}}`))
	s := connect(t, one.database("alice", "shop"))
	require.Equal(t, [][]string{{"hello"}}, s.query("SELECT text FROM notes"))
	list := one.desk.List()
	require.Len(t, list, 1)
	require.Equal(t, "rule prod", list[0].DecidedBy)
	require.NoError(t, two.desk.Follow(t.Context(), list[0].ID))
	_, err := two.desk.Revoke(t.Context(), list[0].ID, review.Vote{By: olga, Reason: "enough"}, false)
	require.NoError(t, err)
	m, err := s.Receive()
	require.NoError(t, err)
	e, ok := m.(*pgproto3.ErrorResponse)
	require.True(t, ok)
	require.Contains(t, e.Message, "was revoked by olga: enough")

	one, _, _ = openPair(t, onRequest(`{approvers: ["local:ops"], auto: {when: {networks: [192.0.2.0/24]}}}`))
	_, err = pgconn.Connect(t.Context(), one.database("alice", "shop"))
	require.ErrorContains(t, err, "waits for an approval of local:ops")
}

// TestRequestExtends: a session goes on in the middle of a statement when what was granted ends and more time was granted, and ends when
// that is over.
func TestRequestExtends(t *testing.T) {
	one, two, _ := openPair(t, onRequest("{approvers: [\"local:ops\"], max: 1m}"))
	alice := &proxy.Identity{Subject: "alice", Groups: []string{"dev"}}
	begun := time.Now().Add(-53 * time.Second)
	first := one.requests(t, time.Minute, begun)
	one.approve(t, first)
	s := connect(t, one.database("alice", "shop"))
	require.NoError(t, s.conn.SetDeadline(time.Now().Add(2*time.Minute)))
	r, err := one.desk.Get(t.Context(), first)
	require.NoError(t, err)
	terms, err := one.requestable(t.Context(), alice, "", "shop", "")
	require.NoError(t, err)
	more, err := one.desk.Extend(t.Context(), alice, first, terms[0], time.Minute, "INC-2", "")
	require.NoError(t, err)
	require.NoError(t, two.desk.Follow(t.Context(), more.ID))
	s.Send(&pgproto3.Query{String: "SELECT count(*) FROM generate_series(1, 100000000000)"})
	require.NoError(t, s.Flush())
	two.approve(t, more.ID)
	time.Sleep(time.Until(r.Access.Grant.Until.Add(3 * time.Second))) // the time that is granted passes, and nothing else
	open := one.Proxy().Sessions()
	require.Len(t, open, 1)
	require.NoError(t, open[0].Err())
	running, _ := open[0].Operations()
	require.NotZero(t, running)
	now, err := two.desk.Get(t.Context(), first)
	require.NoError(t, err)
	require.Equal(t, review.Ended, now.State)
	_, err = two.desk.Revoke(t.Context(), more.ID, review.Vote{By: olga, Reason: "enough"}, false)
	require.NoError(t, err)
	for {
		m, err := s.Receive()
		require.NoError(t, err)
		if e, ok := m.(*pgproto3.ErrorResponse); ok {
			require.Contains(t, e.Message, "request "+more.ID+", by which you were connected, was revoked by olga: enough")
			break
		}
	}
}

// TestRequestUses: what is granted for one session opens one at all gateways, which goes on through revisions; who connects again asks
// again.
func TestRequestUses(t *testing.T) {
	one, two, _ := openPair(t, onRequest("{approvers: [\"local:ops\"], uses: 1, reuse: 30m}"))
	id := one.requests(t, time.Hour, time.Time{})
	one.approve(t, id)
	require.NoError(t, two.desk.Follow(t.Context(), id))
	s := connect(t, one.database("alice", "shop"))
	require.Equal(t, [][]string{{"hello"}}, s.query("SELECT text FROM notes"))
	require.NoError(t, one.Reload())
	require.Equal(t, [][]string{{"hello"}}, s.query("SELECT text FROM notes"))
	for _, h := range []*house{two, one} {
		_, err := pgconn.Connect(t.Context(), h.database("alice", "shop"))
		require.ErrorContains(t, err, "waits for an approval of local:ops")
	}
	require.Equal(t, [][]string{{"hello"}}, s.query("SELECT text FROM notes"))
	r, err := two.desk.Get(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, []string{one.Proxy().Sessions()[0].ID}, r.Access.Opened)
}

// TestRequestUsesWaiting: of clients that wait for the same approval, as many are let in as were granted; the others ask again. Where the
// rule grants by itself each session is a grant of its own.
func TestRequestUsesWaiting(t *testing.T) {
	one, two, _ := openPair(t, onRequest("{approvers: [\"local:ops\"], uses: 1, wait: 3s}"))
	reach := one.database("alice", "shop")
	answers := make(chan error, 3)
	for range cap(answers) {
		go func() {
			c, err := pgconn.Connect(t.Context(), reach)
			if err == nil {
				_, err = c.Exec(t.Context(), "SELECT text FROM notes").ReadAll()
				t.Cleanup(func() { c.Close(context.Background()) })
			}
			answers <- err
		}()
	}
	require.Eventually(t, func() bool { return len(one.Proxy().Sessions()) == cap(answers) && len(one.desk.List()) == 1 }, 10*time.Second, 5*time.Millisecond)
	id := one.desk.List()[0].ID
	require.NoError(t, two.desk.Follow(t.Context(), id))
	two.approve(t, id)
	in := 0
	for range cap(answers) {
		if err := <-answers; err == nil {
			in++
		} else {
			require.Regexp(t, "request [a-z0-9]{10} waits for an approval still", err.Error())
		}
	}
	require.Equal(t, 1, in)
	r, err := one.desk.Get(t.Context(), id)
	require.NoError(t, err)
	require.Len(t, r.Access.Opened, 1)

	one, _, _ = openPair(t, onRequest("{approvers: [\"local:ops\"], uses: 1, auto: {max: 1h}}"))
	for i := range 3 {
		s := connect(t, one.database("alice", "shop"))
		require.Equal(t, [][]string{{"hello"}}, s.query("SELECT text FROM notes"))
		require.Len(t, one.desk.List(), i+1)
	}
}

// rowsLike reads rows by a connection of PostgreSQL, until an error.
func (s *script) rowsLike(query string) (rows int, problem string) {
	s.t.Helper()
	s.Send(&pgproto3.Query{String: query})
	require.NoError(s.t, s.Flush())
	for {
		switch m, err := s.Receive(); m := m.(type) {
		case nil:
			require.NoError(s.t, err)
		case *pgproto3.DataRow:
			rows++
		case *pgproto3.ErrorResponse:
			problem = m.Message
		case *pgproto3.ReadyForQuery:
			return rows, problem
		}
	}
}

// TestRowsGranted: an approver bounds the rows of what she grants, and PostgreSQL's rows are counted in all sessions at both gateways,
// those that COPY reads and that statements change, too; it is on record, and signed.
func TestRowsGranted(t *testing.T) {
	one, two, _ := openPair(t, strings.Replace(onRequest("{approvers: [\"local:ops\"]}"), "[connect, read]", "[connect, read, write]", 1))
	grants := func(length time.Duration, rows uint64) string {
		t.Helper()
		id := one.requests(t, length, time.Time{})
		r, err := one.desk.Get(t.Context(), id)
		require.NoError(t, err)
		_, err = one.desk.Approve(t.Context(), id, review.Vote{By: olga, Hash: r.Hash, Channel: "test"}, review.Narrow{Rows: rows})
		require.NoError(t, err)
		require.NoError(t, two.desk.Follow(t.Context(), id))
		return id
	}
	id := grants(time.Hour, 20)
	a, b := connect(t, one.database("alice", "shop")), connect(t, two.database("alice", "shop"))
	n, problem := a.rowsLike("SELECT generate_series(1, 12)")
	require.Equal(t, 12, n, problem)
	m, problem := b.rowsLike("SELECT generate_series(1, 100)")
	require.Contains(t, problem, "request "+id+" has granted you 20 rows, and they are used up")
	require.LessOrEqual(t, m, 8)
	a.close(t)
	require.Eventually(t, func() bool { // what the other gateway had taken comes back
		more, problem := b.rowsLike("COPY (SELECT generate_series(1, 100)) TO STDOUT")
		require.Contains(t, problem, "they are used up")
		n += more
		left, _ := b.rowsLike("SELECT 1")
		n += left
		return n+m <= 20 && len(one.Proxy().Sessions()) == 0
	}, 10*time.Second, 50*time.Millisecond)
	_, problem = b.rowsLike("SELECT 1")
	require.Contains(t, problem, "they are used up")
	_, problem = b.rowsLike("BEGIN; ROLLBACK")
	require.Empty(t, problem, "what returns nothing goes on")
	b.close(t)

	_, err := one.desk.Revoke(t.Context(), id, review.Vote{By: olga, Reason: "again"}, false)
	require.NoError(t, err)
	id = grants(30*time.Minute, 3)
	c := connect(t, one.database("alice", "shop"))
	_, problem = c.rowsLike("INSERT INTO notes SELECT 'x' FROM generate_series(1, 5)")
	require.Empty(t, problem, "what a statement changes counts once it has run")
	_, problem = c.rowsLike("SELECT 1")
	require.Contains(t, problem, "request "+id+" has granted you 3 rows, and they are used up")
	c.close(t)

	r, err := two.desk.Get(t.Context(), id)
	require.NoError(t, err)
	g, err := one.desk.Signer.OpenGrant(t.Context(), r.Signed)
	require.NoError(t, err)
	require.Equal(t, uint64(3), g.Rows)
}

// TestRowsGrantedOfMySQL: rows of MySQL and MariaDB are counted, too, in the text protocol and of prepared statements.
func TestRowsGrantedOfMySQL(t *testing.T) {
	maria, database, _ := testserver.SharedMariaDB(t, mysqlPeople)
	h := mysqlHouseFor(t, maria, database, `  - {name: asked, groups: [dev], allow: [connect, read, write], request: {approvers: ["local:ops"]}}`, "")
	id := h.requests(t, time.Hour, time.Time{})
	r, err := h.desk.Get(t.Context(), id)
	require.NoError(t, err)
	_, err = h.desk.Approve(t.Context(), id, review.Vote{By: olga, Hash: r.Hash, Channel: "test"}, review.Narrow{Rows: 5})
	require.NoError(t, err)
	c := h.mysql(t, "alice")
	require.Len(t, mysqlTexts(t, c, "SELECT 1 UNION SELECT 2"), 2)
	require.Len(t, mysqlTexts(t, c, "SELECT 1 UNION SELECT ?", 2), 2)
	const spent = " has granted you 5 rows, and they are used up"
	rows := mysqlTexts(t, c, "SELECT 1 UNION SELECT 2 UNION SELECT 3")
	require.Contains(t, rows[len(rows)-1], "request "+id+spent)
	require.LessOrEqual(t, len(rows), 2, "one row, and the error")
	_, err = c.ExecContext(t.Context(), "DELETE FROM people")
	require.ErrorContains(t, err, spent)
}

// TestRequestOfMySQLEndsOnTime: a session at MariaDB ends, too, when what was granted is over, also while it runs something.
func TestRequestOfMySQLEndsOnTime(t *testing.T) {
	maria, database, _ := testserver.SharedMariaDB(t, mysqlPeople)
	h := mysqlHouseFor(t, maria, database, `  - {name: asked, groups: [dev], allow: [connect, read], request: {approvers: ["local:ops"], max: 1m}}`, "")
	id := h.requests(t, time.Minute, time.Now().Add(-50*time.Second))
	h.approve(t, id)
	c := h.mysql(t, "alice")
	r, err := h.desk.Get(t.Context(), id)
	require.NoError(t, err)
	var all []string // so many rows that it takes hours
	for i := range 40 {
		all = append(all, fmt.Sprintf("(SELECT 1 AS n UNION SELECT 2 UNION SELECT 3) o%d", i))
	}
	rows := mysqlTexts(t, c, "SELECT COUNT(*) FROM "+strings.Join(all, ", ")+" WHERE o0.n + o39.n < 0")
	late := time.Since(r.Access.Grant.Until)
	t.Logf("the session ended %s after its time: %s", late.Round(time.Millisecond), rows)
	require.Len(t, rows, 1)
	require.Contains(t, rows[0], id)
	require.Greater(t, late, -time.Second)
	require.Less(t, late, 5*time.Second)
}
