package gateway

import (
	"cmp"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/internal/race"
	"github.com/sallyport/sallyport/internal/testserver"
	"github.com/sallyport/sallyport/proxy"
)

// corpusDir holds the statements and commands, and the rules by which they are
// judged, that policy explain is pinned with.
const corpusDir = "../cmd/sallyport/testdata/corpus"

// corpus returns the lines of a file of the corpus that are not comments.
func corpus(t *testing.T, name string) (list []string) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(corpusDir, name))
	require.NoError(t, err)
	for line := range strings.Lines(string(b)) {
		if line = strings.TrimSuffix(line, "\n"); line != "" && !strings.HasPrefix(line, "#") {
			list = append(list, line)
		}
	}
	return list
}

// some are those of texts that a test of every one goes through.
func some(texts []string) (list []string) {
	for i := 0; i < len(texts); i += race.Stride() {
		list = append(list, texts[i])
	}
	return list
}

// corpusSchema are the tables that the corpus is about.
const corpusSchema = `
CREATE TABLE customers (id int, name text, email text, city text);
CREATE TABLE items (id int, customer_id int, total int, status text, note text, created timestamptz);
CREATE SEQUENCE items_id_seq;
CREATE TABLE events (id int, at timestamptz, kind text);
CREATE TABLE invoices (id int, total int);
CREATE TABLE legacy (id int);
CREATE TABLE refunds (id int, total int);
CREATE TABLE salaries (id int, salary int);
CREATE SCHEMA hr;
CREATE TABLE hr.people (id int, name text);
INSERT INTO hr.people VALUES (1, 'Ann');
INSERT INTO customers VALUES (1, 'Ann', 'ann@example.com', 'Paris'), (2, 'Bob', 'bob@example.com', 'Rome');
INSERT INTO items SELECT i, 1 + i % 2, i, 'open', 'a_b', now() FROM generate_series(1, 9) i;
INSERT INTO events SELECT i, now(), 'x' FROM generate_series(1, 9) i;
INSERT INTO refunds VALUES (1, 1);
`

// openCorpus runs a gateway by the corpus' rules and further ones, in front of
// databases that have its tables and a machine that runs nothing.
func openCorpus(t *testing.T, further string) *house {
	t.Helper()
	dir := t.TempDir()
	server, authority := testserver.Shared(t)
	testserver.Exec(t, server, "postgres", `DO $$BEGIN
IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'app') THEN
	CREATE ROLE app LOGIN PASSWORD '`+password+`'; ALTER ROLE app SET statement_timeout = '20s';
END IF; END$$`)
	var databases []any
	for range 2 {
		_, name := testserver.Database(t, "")
		testserver.Exec(t, server, "postgres", "ALTER DATABASE "+name+" OWNER TO app")
		testserver.Exec(t, server, name, "ALTER SCHEMA public OWNER TO app; SET ROLE app;"+corpusSchema)
		databases = append(databases, name)
	}
	m := startMachine(t, dir, []string{"reader", "admin"}, "ForceCommand true")
	for name, content := range map[string]string{"ca.pem": string(authority.PEM()), "app.password": password} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600))
	}
	b, err := os.ReadFile(filepath.Join(corpusDir, "sallyport.yaml"))
	require.NoError(t, err)
	text := string(b)
	replace := func(pattern, by string, n int) {
		re := regexp.MustCompile(pattern)
		require.Len(t, re.FindAllString(text, -1), n, pattern)
		text = re.ReplaceAllString(text, by)
	}
	quoted := strings.ReplaceAll(verifier(t), "$", "$$")
	for _, u := range []string{"reader", "admin"} {
		replace(`(name: `+u+`, groups: \[\w+\], password: )"[^"]+"`, "${1}"+quoted+fmt.Sprintf(", ssh_keys: [%q]", m.keys[u]), 1)
	}
	for i, name := range []string{"shop", "archive"} {
		replace(`(name: `+name+`, type: postgres, address: )"[^"]+", username: app, database: shop`,
			fmt.Sprintf(`${1}%q, username: app, password: "file:app.password", database: %s, tls: {mode: verify-full, ca: ca.pem}`, server.Address(), databases[i]), 1)
	}
	replace(`(name: vm1, type: ssh, address: )"[^"]+", username: app`, fmt.Sprintf(`${1}%q, username: %s, key: "file:upstream"`, m.address, m.user), 1)
	replace(`trust_on_first_use: true`, fmt.Sprintf(`host_keys: [%q]`, m.hostKey), 1)
	return open(t, dir, text+"data_dir: data\n"+further)
}

// judged is what is compared of an answer.
type judged struct{ outcome, by, rule, cause string }

func (j judged) String() string {
	return fmt.Sprintf("%-7s by %q rule %q cause %q", j.outcome, j.by, j.rule, j.cause)
}

// asked is one operation that was asked of the running gateway.
type asked struct {
	user, resource, text string
	session              string
	op                   uint64
	held                 bool
	ended                bool // the session has, and not because it was asked to
}

// explained asks an explainer.
func explained(t *testing.T, x *Explainer, user, resource, text string) (judged, *Answer) {
	t.Helper()
	target, err := x.Target(resource, "", "")
	require.NoError(t, err)
	id, err := x.User(user)
	require.NoError(t, err)
	a, err := x.Explain(t.Context(), Question{Identity: id, Target: target, Text: text})
	require.NoError(t, err, text)
	j := judged{outcome: string(a.Outcome()), by: a.By, rule: a.Rule}
	if a.Refuses() {
		j.cause = a.Cause.String()
	}
	return j, a
}

// fresh reports whether a statement leaves its session in another state than it
// was in, so that the next one needs a new one.
func fresh(a *Answer) bool {
	const harmless = proxy.EffectRead | proxy.EffectsWrite | proxy.EffectTransaction
	return a.Facts == nil || a.Facts.Unknown != "" || a.Facts.Effects&^harmless != 0 || len(a.Facts.Functions) > 0
}

// askStatements runs statements in transactions that are rolled back.
func (h *house) askStatements(t *testing.T, user, resource string, texts []string) (list []asked) {
	var w *wire
	var op uint64
	run := func(text string) (held, open bool) {
		op++
		_, open = w.query(t, text, func() {
			held = true
			require.True(t, h.session(t, user, resource).CancelHolds())
		})
		return held, open
	}
	for _, text := range texts {
		if w == nil {
			w, op = h.wire(t, user, resource), 1
		}
		run("BEGIN")
		held, open := run(text)
		list = append(list, asked{user, resource, text, h.session(t, user, resource).ID, op, held, !open})
		_, a := explained(t, h.Explainer, user, resource, text)
		if open && (fresh(a) && !a.Refuses()) {
			w.close(t)
			w = nil
		} else if open {
			run("ROLLBACK")
		} else {
			w = nil
		}
	}
	if w != nil {
		w.close(t)
	}
	return list
}

// askCommands runs commands over one connection.
func (h *house) askCommands(t *testing.T, user, resource string, texts []string) (list []asked) {
	c := h.ssh(t, user, resource)
	defer c.Close()
	s := h.session(t, user, resource)
	for _, text := range texts {
		before, _ := s.Operations()
		session, err := c.NewSession()
		require.NoError(t, err)
		done := make(chan struct{})
		go func() {
			defer close(done)
			_ = session.Run(text) // its exit code says nothing of the verdict
		}()
		held := false
		for waiting := true; waiting; time.Sleep(time.Millisecond) {
			select {
			case <-done:
				waiting = false
			default:
				if s.CancelHolds() {
					held = true
					<-done
				}
			}
		}
		list = append(list, asked{user, resource, text, s.ID, before + 1, held, s.Err() != nil})
	}
	return list
}

// verdictOf finds what was decided about an operation, and about those that
// belong to it, in the records: the strictest answer.
func verdictOf(t *testing.T, records map[string][]*audit.Event, a asked) judged {
	t.Helper()
	var started, ended, refused *audit.Event
	for _, e := range records[a.session] {
		if e.Op != a.op && (refused != nil || e.Parent != a.op) {
			continue
		}
		switch {
		case e.Type == audit.OperationRefused:
			refused = e
		case e.Op != a.op:
		case e.Type == audit.OperationStart:
			started = e
		case e.Type == audit.OperationEnd:
			ended = e
		}
	}
	switch {
	case a.held:
		require.NotNil(t, refused, "%+v", a)
		for _, e := range records[""] {
			if e.Type == audit.ReviewPrefix+"pending" && e.Session == a.session && e.Op == refused.Op {
				return judged{"hold", refused.By, e.Rule, proxy.CauseApproval.String()}
			}
		}
		require.Fail(t, "no request is on record", "%+v", a)
	case refused != nil:
		return judged{"deny", refused.By, refused.Rule, refused.Cause}
	}
	require.NotNil(t, started, "%+v", a)
	require.NotNil(t, ended, "%+v", a)
	j := judged{"allow", ended.By, ended.Rule, ""}
	switch {
	case started.Rewritten:
		j.outcome = "rewrite"
	case ended.Warn != "":
		j.outcome = "warn"
	}
	return j
}

// TestEveryAnswerAgrees: what is explained is what happens. Every text of the corpus is run
// by a real client against real servers, and explained by the running gateway and by
// an explainer of the same config; outcome, interceptor, rule and cause are the same.
func TestEveryAnswerAgrees(t *testing.T) {
	for _, c := range []struct {
		name, rules string
		databases   []string
		machines    []string
	}{
		{"rules of the corpus", "", []string{"shop", "archive"}, []string{"vm1"}},
		{"strict masking", "masking: [{use: default}, {name: mails, columns: [customers.email], with: redact, mode: strict}]\n", []string{"shop"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := openCorpus(t, c.rules)
			apart, err := NewExplainer(h.parts().config, Options{Log: h.Gateway.log})
			require.NoError(t, err)
			defer func() { require.NoError(t, apart.Close()) }()
			statements, commands := corpus(t, "statements.txt"), corpus(t, "commands.txt")
			require.Greater(t, len(statements)+len(commands), 200)
			statements, commands = some(statements), some(commands)

			lists := make([][]asked, len(c.databases)+len(c.machines))
			t.Run("live", func(t *testing.T) {
				for i, r := range append(append([]string{}, c.databases...), c.machines...) {
					ask, texts := h.askStatements, statements
					if i >= len(c.databases) {
						ask, texts = h.askCommands, commands
					}
					t.Run(r, func(t *testing.T) {
						t.Parallel()
						for _, user := range []string{"reader", "admin"} {
							lists[i] = append(lists[i], ask(t, user, r, texts)...)
						}
					})
				}
			})

			explanations := make(map[*asked][2]judged)
			for _, list := range lists {
				for i := range list {
					a := &list[i]
					live, _ := explained(t, h.Explainer, a.user, a.resource, a.text)
					other, _ := explained(t, apart, a.user, a.resource, a.text)
					explanations[a] = [2]judged{live, other}
				}
			}
			require.NoError(t, h.stop())
			records := h.records(t)
			seen := make(map[string]int)
			for _, list := range lists {
				for i := range list {
					a := &list[i]
					got := verdictOf(t, records, *a)
					seen[got.outcome]++
					seen["by "+cmp.Or(got.by, "the core")]++
					for k, who := range []string{"the running gateway", "an explainer"} {
						if want := explanations[a][k]; got != want {
							t.Errorf("%s at %s: %s\n  happened: %v\n explained: %v, by %s", a.user, a.resource, a.text, got, want, who)
						}
					}
				}
			}
			t.Log(seen)
			if race.Stride() > 1 {
				return // not every outcome is among some
			}
			for _, o := range Outcomes() {
				require.NotZero(t, seen[string(o)], "no operation ended in %s", o)
			}
			if c.rules != "" {
				require.NotZero(t, seen["by masking"])
			}
		})
	}
}

// What a resource's settings refuse, before any rule is asked, is explained too.
func TestAgreementOfSettings(t *testing.T) {
	f := parse(t, Defaults(), `
listen: {ssh: "127.0.0.1:0"}
identity: {users: [{name: alice, groups: [dev], password: `+verifier(t)+`}]}
resources:
  - {name: single, type: ssh, address: "127.0.0.1:1", username: x, ssh: {trust_on_first_use: true, exec_only: true}}
  - {name: still, type: ssh, address: "127.0.0.1:1", username: x, ssh: {trust_on_first_use: true, no_files: true}}
access: [{groups: [dev], resources: [single, still], allow: [all]}]
`)
	x, err := NewExplainer(f, Options{Log: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	defer func() { require.NoError(t, x.Close()) }()
	for _, c := range []struct {
		resource, text, outcome string
	}{
		{"single", "uptime", "allow"},
		{"single", "bash", "deny"},
		{"single", "", "deny"},
		{"single", "eval x", "deny"},
		{"still", "uptime", "allow"},
		{"still", "bash", "allow"},
		{"still", "scp -t /tmp", "deny"},
		{"still", "sftp-server", "deny"},
	} {
		got, _ := explained(t, x, "alice", c.resource, c.text)
		require.Equal(t, c.outcome, got.outcome, "%s: %q", c.resource, c.text)
		if got.outcome == "deny" {
			require.Equal(t, judged{"deny", "", "", proxy.CausePolicy.String()}, got)
		}
	}
}

// A command is explained by the strictest answer about it and about the files that it
// copies: no approval helps against a refusal.
func TestExplainIsStrictest(t *testing.T) {
	f := parse(t, Defaults(), `
listen: {ssh: "127.0.0.1:0"}
identity:
  users:
    - {name: alice, groups: [dev], password: `+verifier(t)+`}
    - {name: bob, groups: [ops], password: `+verifier(t)+`}
resources: [{name: vm1, type: ssh, address: "127.0.0.1:1", username: x, ssh: {trust_on_first_use: true}}]
access:
  - {groups: [dev], resources: [vm1], allow: [connect, exec, file-read]}
  - {groups: [ops], resources: [vm1], allow: [all]}
guardrails:
  - use: off
  - {name: copies, hold: {commands: [scp]}, approvers: [ops], for: 1m}
  - {name: loud, warn: {commands: [rsync]}}
`)
	x, err := NewExplainer(f, Options{Log: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	defer func() { require.NoError(t, x.Close()) }()
	for _, c := range []struct {
		name, text string
		want       judged
	}{
		{"held, and a file is allowed", "scp -f /a", judged{"hold", "guardrail", "copies", "approval"}},
		{"held, and a file is refused", "scp -t /a", judged{"deny", "policy", "", "policy"}},
		{"warned of, and files are allowed", "rsync --server --sender -e . /a /b", judged{"warn", "", "", ""}},
		{"warned of, and a file is refused", "rsync --server -e . /a", judged{"deny", "policy", "", "policy"}},
		{"not a copy", "scp /a /b", judged{"hold", "guardrail", "copies", "approval"}},
	} {
		got, a := explained(t, x, "alice", "vm1", c.text)
		require.Equal(t, c.want, got, c.name)
		require.Equal(t, c.text, a.Op.(*proxy.Exec).Command, "the answer is about the command")
	}
}
