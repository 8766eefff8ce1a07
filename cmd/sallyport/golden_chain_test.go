package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/identity"
)

// eventColumns are what goldens hold of an event: no time, identifier or wording.
func eventColumns() []string {
	return []string{"type", "op", "kind", "text", "verdict", "by", "cause", "rule", "rewritten", "grant", "warned", "masked", "code", "rows", "stream"}
}

func eventFields(e *audit.Event) []string {
	var masked []string
	for _, typ := range slices.Sorted(maps.Keys(e.Masked)) {
		masked = append(masked, fmt.Sprintf("%s=%d", typ, e.Masked[typ]))
	}
	when := func(is bool, word string) string {
		if is {
			return word
		}
		return ""
	}
	number := func(n uint64) string { return when(n != 0, fmt.Sprint(n)) }
	return []string{
		e.Type, number(e.Op), e.Kind, e.Text, e.Verdict, e.By, e.Cause, e.Rule, when(e.Rewritten, "rewritten"), when(e.Grant != "", "grant"), when(e.Warn != "", "warned"),
		strings.Join(masked, " "), e.Code, number(e.Rows), e.Stream,
	}
}

// pieces are events of which there are as many as a stream came in pieces, and
// times decide how many that are.
func pieces(typ string) bool {
	return slices.Contains([]string{audit.RecordingOutput, audit.RecordingInput, audit.RecordingRows}, typ)
}

// pinRecord pins a session's record as sessions show prints it in JSON, and as it
// prints it for people: there, of a line, its type, its operation, and which of
// names are in it.
func pinRecord(t *testing.T, name, config, id string, names ...string) {
	t.Helper()
	g := newGolden("chain-"+name+".txt", eventColumns()...)
	for line := range strings.Lines(must(t, "sessions", "show", "-c", config, "-o", "json", id)) {
		var e audit.Event
		require.NoError(t, json.Unmarshal([]byte(line), &e), line)
		if !pieces(e.Type) {
			g.add(eventFields(&e)...)
		}
	}
	g.check(t)

	g = newGolden("show-"+name+".txt", "type", "op", "names in the line")
	form := regexp.MustCompile(`^\d\d:\d\d:\d\d\.\d{3}  (\S+) *(?:#(\d+))?(.*)$`)
	for line := range strings.Lines(must(t, "sessions", "show", "-c", config, id)) {
		m := form.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
		require.NotNil(t, m, "time, type and the rest, one line per event: %s", line)
		if pieces(m[1]) {
			continue
		}
		var in []string
		for _, n := range names {
			if strings.Contains(m[3], n) {
				in = append(in, n)
			}
		}
		g.add(m[1], m[2], strings.Join(in, " "))
	}
	g.check(t)

	code, _, _ := sallyport(t, "", "sessions", "show", "-c", config, "0000000000000000000000000z")
	require.Equal(t, exitNotFound, code)
	code, _, _ = sallyport(t, "", "sessions", "show", "-c", config, "-o", "xml", id)
	require.Equal(t, exitUsage, code)
	code, _, _ = sallyport(t, "", "sessions", "show", "-c", config)
	require.Equal(t, exitUsage, code)
}

// pinReviews pins what the gateway's own record says about held operations and
// about those who decided, from the events that it exports.
func pinReviews(t *testing.T, name, file string) {
	t.Helper()
	b, err := os.ReadFile(file)
	require.NoError(t, err)
	g := newGolden("reviews-"+name+".txt", "type", "rule", "by", "channel")
	for line := range strings.Lines(string(b)) {
		var e audit.Event
		require.NoError(t, json.Unmarshal([]byte(line), &e), line)
		if strings.HasPrefix(e.Type, audit.ReviewPrefix) {
			channel, _, _ := strings.Cut(e.Channel, ",") // what follows is a user of this machine
			g.add(e.Type, e.Rule, e.DecidedBy, channel)
		}
	}
	g.check(t)
}

// decides waits for the one request that is held, and decides about it by the
// command line.
func decides(t *testing.T, config, user, verb string) {
	t.Helper()
	r := waitingAt(t, config)
	code, _, errs := sallyport(t, password+"\n", verb, "-c", config, "-u", user, "--reason", "golden", r.ID)
	require.Equal(t, exitOK, code, errs)
}

const chainSchema = `
CREATE TABLE t (id int, x int);
INSERT INTO t SELECT i, i FROM generate_series(1, 9) i;
CREATE TABLE people (id int, email text, badge text);
INSERT INTO people VALUES (1, 'ann@example.com', 'b-one'), (2, 'bob@example.com', 'b-two'), (3, 'cyd@example.com', 'b-three');
CREATE TABLE log (id int);
INSERT INTO log SELECT generate_series(1, 9);
CREATE TABLE wide (id int);
CREATE TABLE legacy (id int);
CREATE TABLE vault (word text);`

const chainRules = `
guardrails:
  - use: default
  - {name: no-vault, deny: {relations: [vault]}}
  - {name: watched, hold: {effects: [delete]}, approvers: [dev], for: 1m}
  - {name: bounded, rewrite: {no_limit: true, relations: [log]}, limit: 2}
  - {name: loud, warn: {relations: [wide, log]}}
  - {name: later, deny: {relations: [legacy]}, observe: true}
masking:
  - use: default
  - {name: badges, columns: [people.badge], with: redact, mode: strict, except: {groups: [ops]}}
audit: {export: [{type: file, path: events.jsonl, from_start: true}]}
`

// TestGoldenChainPostgres pins what the assembled gateway decides about
// PostgreSQL sessions, and what it records: one with simple queries, of psql, and
// one with the extended protocol, of pgx.
func TestGoldenChainPostgres(t *testing.T) {
	needs(t, "psql")
	o := openLabelled(t, "env: test", chainSchema, chainRules)
	p := o.asks(
		t, "bob",
		"SELECT x FROM t WHERE id = 1",                           // allowed
		"INSERT INTO t VALUES (10, 10)",                          // allowed
		"CREATE ROLE nobody",                                     // refused by policy
		"DELETE FROM t",                                          // refused by a guardrail of the pack
		"SELECT * FROM vault",                                    // refused by a guardrail
		"DO $$BEGIN DELETE FROM t; END$$",                        // not understood
		"SELECT * FROM wide",                                     // warned of
		"SELECT id FROM log",                                     // rewritten, and warned of
		"SELECT id FROM log FOR UPDATE",                          // cannot be rewritten
		"DELETE FROM t WHERE id = 1",                             // held, approved
		"DELETE FROM t WHERE id = 2",                             // held, denied
		"SELECT email FROM people",                               // masked
		"SELECT badge FROM people WHERE badge <> ''",             // excepted from masking
		"COPY people TO STDOUT",                                  // masked
		"SELECT * FROM legacy",                                   // observed
		"SELECT * FROM nowhere",                                  // the server's error
		"SELECT 1/0",                                             // the server's error
		"BEGIN; UPDATE t SET x = 0 WHERE id = 3; ROLLBACK",       // several in one text
		"SELECT 1; DELETE FROM t",                                // refused as a whole
		"PREPARE one AS SELECT x FROM t WHERE id = $1",           // a statement by name
		"EXECUTE one(1)",                                         // known
		"EXECUTE another(1)",                                     // not known
		"SELECT count(*) FROM t WHERE x > 0 AND id IN (1, 2, 3)", // the session goes on
	)
	decides(t, o.config, "alice", "approve")
	decides(t, o.config, "alice", "deny")
	require.NoError(t, ignoreExit(p.Wait()), p.shown())
	require.NotContains(t, p.shown(), "ann@example.com")
	require.Contains(t, p.shown(), "b-one")

	conn, err := pgx.Connect(t.Context(), o.conn("alice"))
	require.NoError(t, err)
	for _, q := range []struct {
		sql  string
		args []any
	}{
		{"SELECT x FROM t WHERE id = $1", []any{3}},
		{"SELECT x FROM t WHERE id = $1", []any{4}},
		{"SELECT id, email, badge FROM people WHERE id < $1", []any{3}},
		{"SELECT id FROM people WHERE badge = $1", []any{"b-one"}},
		{"INSERT INTO t VALUES ($1, 0)", []any{11}},
		{"SELECT * FROM vault WHERE word = $1", []any{"a"}},
		{"SELECT id FROM log WHERE id > $1", []any{0}},
		{"SELECT * FROM nowhere WHERE id = $1", []any{1}},
		{"SELECT 10 / $1::int", []any{0}},                      // an error at Bind, whose code the record does not have
		{"SELECT 10 / (x - x) FROM t WHERE id = $1", []any{5}}, // an error at Execute
		{"SELECT * FROM legacy WHERE id = $1", []any{1}},
	} {
		rows, err := conn.Query(t.Context(), q.sql, q.args...)
		if err == nil {
			for rows.Next() {
				values, err := rows.Values()
				require.NoError(t, err)
				require.NotContains(t, fmt.Sprint(values), "@example.com")
				require.NotContains(t, fmt.Sprint(values), "b-one")
			}
			rows.Close()
		}
	}
	require.NoError(t, conn.Close(t.Context()))
	o.stop(t)

	names := []string{
		"bob", "alice", "shop", "policy", "guardrail", "masking", "no-where", "no-vault", "no-blind-text", "watched", "bounded", "loud", "later", "badges",
		"EMAIL_ADDRESS", "42501", "42P01", "22012", "SELECT", "DELETE", "dev-reads", "deny",
	}
	for _, user := range []string{"bob", "alice"} {
		list := decode[listed[summary]](t, must(t, "sessions", "ls", "-c", o.config, "-o", "json", "-u", user)).Items
		require.Len(t, list, 1)
		pinRecord(t, "postgres-"+user, o.config, list[0].ID, names...)
	}
	pinReviews(t, "postgres", filepath.Join(o.dir, "events.jsonl"))
}

// ignoreExit is err, but for an exit code.
func ignoreExit(err error) error {
	if _, ok := err.(*exec.ExitError); ok {
		return nil
	}
	return err
}

const chainHostRules = `
guardrails:
  - use: default
  - {name: no-containers, deny: {commands: [docker]}}
  - {name: watched, hold: {commands: [touch]}, approvers: [ops], for: 1m}
  - {name: loud, warn: {commands: [uptime]}}
  - {name: later, deny: {commands: [uname]}, observe: true}
masking:
  - use: off
  - {name: mails, entities: [EMAIL_ADDRESS], with: redact}
  - {name: cards, entities: [CREDIT_CARD], with: redact, except: {groups: [dev]}}
audit: {export: [{type: file, path: events.jsonl, from_start: true}]}
`

// TestGoldenChainSSH pins what the assembled gateway decides about an SSH
// session, and what it records: one connection of OpenSSH, and a command after
// the other over it.
func TestGoldenChainSSH(t *testing.T) {
	verifier, err := identity.NewVerifier(password)
	require.NoError(t, err)
	m := openMachineWith(t, fmt.Sprintf("    - {name: bob, groups: [ops], password: %q}\n", verifier), "[connect, exec, forward]", "forwards: []", chainHostRules)
	// The socket's path is short, which sockets need.
	dir, err := os.MkdirTemp("", "sp")
	require.NoError(t, err)
	defer os.RemoveAll(dir)
	ssh := "ssh -F $F -S " + filepath.Join(dir, "s") + " "
	require.Zero(t, m.shell("gw", ssh+"-M -N -f gw >/dev/null 2>&1 </dev/null").Code)
	run := func(code int, args string) {
		t.Helper()
		got := m.shell("gw", ssh+args+" </dev/null")
		require.Equal(t, code, got.Code, "%s: %s%s", args, got.Out, got.Err)
		require.NotContains(t, got.Out, "ann@example.com")
		require.Equal(t, strings.Contains(args, "4111"), strings.Contains(got.Out, "4111"), args)
	}
	held := func(code int, verb, args string) {
		t.Helper()
		done := make(chan struct{})
		go func() {
			defer close(done)
			decides(t, m.config, "bob", verb)
		}()
		run(code, args)
		<-done
	}
	run(0, "gw 'echo hello'")
	run(7, "gw 'exit 7'")
	run(127, "gw nosuchprogram")
	run(0, "gw 'echo out; echo err >&2'")
	run(refused, "-tt gw")                          // a shell, by policy
	run(255, "-W 127.0.0.1:1 gw")                   // a forward, by the resource's settings
	run(refused, "-s gw sftp")                      // files, by policy
	run(refused, "gw 'mkfs /dev/nowhere'")          // by a guardrail of the pack
	run(refused, "gw 'sudo docker ps'")             // by a guardrail
	run(refused, "gw '$NOTHING x'")                 // not understood
	run(0, "gw uptime")                             // warned of
	held(0, "approve", "gw 'touch /dev/null'")      // held, approved
	held(refused, "deny", "gw 'touch -c /nowhere'") // held, denied
	run(0, "gw 'echo ann@example.com'")             // masked
	run(0, "gw 'echo 4111 1111 1111 1111'")         // excepted from masking
	run(0, "gw uname")                              // observed
	run(0, "gw 'cat > /dev/null && echo end'")      // the session goes on
	require.Zero(t, m.shell("gw", ssh+"-O exit gw").Code)
	m.stop(t)

	list := decode[listed[summary]](t, must(t, "sessions", "ls", "-c", m.config, "-o", "json", "-u", "alice")).Items
	require.Len(t, list, 1)
	pinRecord(
		t, "ssh", m.config, list[0].ID, "alice", "bob", "vm1", "policy", "guardrail", "masking", "no-wiping", "no-containers", "watched", "loud", "later", "cards",
		"EMAIL_ADDRESS", "CREDIT_CARD", "echo", "deny",
	)
	pinReviews(t, "ssh", m.file("events.jsonl"))
}

// refused is the exit code of a command that the gateway refuses.
const refused = 1
