package gateway

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/control"
	"github.com/sallyport/sallyport/control/client"
	"github.com/sallyport/sallyport/identity/tokens"
	"github.com/sallyport/sallyport/internal/testserver"
	"github.com/sallyport/sallyport/proxy"
)

const policySchema = `
CREATE TABLE orders (id int, customer text);
INSERT INTO orders SELECT i, 'customer ' || i FROM generate_series(1, 200) i;
CREATE TABLE salaries (id int, salary text);
INSERT INTO salaries VALUES (1, 'much');
`

// policed is a gateway whose rules a test writes, and the rest of its config file.
type policed struct {
	*house
	text string // of the config file, without what decides
}

// openPoliced runs a gateway in front of a database, and of a machine unless that is nil, by
// sections of the config file that say who may do what. alice is in dev and support, bob in dba.
func openPoliced(t *testing.T, dir string, m *machine, sections string) *policed {
	t.Helper()
	server, _ := testserver.Shared(t)
	_, database := testserver.Database(t, policySchema)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "db.password"), []byte(server.Password), 0o600))
	listen, resources, keys := `listen: {postgres: "127.0.0.1:0"}`, "", ""
	if m != nil {
		listen = `listen: {postgres: "127.0.0.1:0", ssh: "127.0.0.1:0"}`
		keys = fmt.Sprintf(", ssh_keys: [%q]", m.keys["alice"])
		resources = fmt.Sprintf("  - {name: vm1, type: ssh, address: %q, username: %s, key: \"file:upstream\", labels: {env: prod}, ssh: {host_keys: [%q]}}\n", m.address, m.user, m.hostKey)
	}
	p := &policed{text: fmt.Sprintf(`%s
data_dir: data
tls: {optional: true}
identity:
  users:
    - {name: alice, groups: [dev, support], password: %s%s}
    - {name: bob, groups: [dba], password: %s}
resources:
  - {name: shop, type: postgres, address: %q, database: %s, username: postgres, password: "file:db.password", labels: {env: prod}, tls: {mode: disable}}
%sguardrails: [{use: off}]
`, listen, verifier(t), keys, verifier(t), server.Address(), database, resources)}
	p.house = open(t, dir, p.text+sections)
	return p
}

// rewrite has the gateway run by other sections.
func (p *policed) rewrite(t *testing.T, sections string) {
	t.Helper()
	require.NoError(t, os.WriteFile(p.parts().config.Name(), []byte(p.text+sections), 0o600))
	require.NoError(t, p.Reload())
}

// native is a program that a user runs, which reads commands.
type native struct {
	t   *testing.T
	in  io.WriteCloser
	out *lockedText
	n   int
}

func run(t *testing.T, program string, args ...string) *native {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		testserver.Missing(t, program)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	cmd := exec.CommandContext(ctx, program, args...)
	c := &native{t: t, out: &lockedText{}}
	cmd.Stdout, cmd.Stderr = c.out, c.out
	var err error
	c.in, err = cmd.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { c.in.Close(); cancel(); _ = cmd.Wait() })
	return c
}

// psql is a session of psql.
func (p *policed) psql(t *testing.T, user string) *native {
	t.Helper()
	return run(t, "psql", "-X", "-A", "-t", "-q", p.plain(user, "shop"))
}

// terminal is a session of ssh at a terminal.
func (p *policed) terminal(t *testing.T) *native {
	t.Helper()
	return p.openSSH(t, "-tt")
}

// openSSH runs ssh with an option, and with a command.
func (p *policed) openSSH(t *testing.T, option string, command ...string) *native {
	t.Helper()
	host, port, _ := net.SplitHostPort(p.Addr("ssh", "").String())
	args := []string{
		option, "-F", "none", "-p", port, "-i", filepath.Join(p.dir, "alice"), "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no",
		"-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", "alice+vm1@" + host,
	}
	return run(t, "ssh", append(args, command...)...)
}

func (c *native) send(text string) {
	_, _ = io.WriteString(c.in, text+"\n") // it may have ended, which its output says
}

// says waits for a text in the output.
func (c *native) says(text string) {
	c.t.Helper()
	require.Eventually(c.t, func() bool { return strings.Contains(c.out.String(), text) }, 60*time.Second, 5*time.Millisecond, "it does not say %q:\n%s", text, c.out)
}

// ask runs SQL, and returns what psql says to it.
func (c *native) ask(sql string) string {
	c.t.Helper()
	before := len(c.out.String())
	c.n++
	end := fmt.Sprintf("answer %d ends", c.n)
	c.send(sql + "\n\\warn " + end)
	c.says(end)
	text, _, _ := strings.Cut(c.out.String()[before:], end)
	return strings.TrimSpace(text)
}

// TestReviewOfARule: what a rule allows after a review waits for somebody else, who decides once.
func TestReviewOfARule(t *testing.T) {
	p := openPoliced(t, t.TempDir(), nil, `masking: [{use: off}]
access:
  - {name: reads, groups: [dev], allow: [connect, read]}
  - {name: looked-at, groups: [dev], allow: [delete], review: {approvers: [dba], for: 10m, message: deletes are looked at}}
`)
	s := p.psql(t, "alice")
	require.Equal(t, "200", s.ask("SELECT count(*) FROM orders;"), "what another rule allows does not wait")
	s.send("DELETE FROM orders WHERE id = 1;")
	p.decides(t, "looked-at", approve)
	require.Contains(t, s.ask("SELECT count(*) FROM orders;"), "199")
	s.send("DELETE FROM orders WHERE id = 2;")
	p.decides(t, "looked-at", deny)
	require.Contains(t, s.ask("SELECT count(*) FROM orders;"), "199")
	s.says("deletes are looked at: request ")
	s.says("bob denied request ")
	require.Contains(t, s.ask("TRUNCATE orders;"), `this needs the right "write"`)
}

// TestReviewOfACommand is the same with ssh.
func TestReviewOfACommand(t *testing.T) {
	dir := t.TempDir()
	p := openPoliced(t, dir, startMachine(t, dir, []string{"alice"}), `masking: [{use: off}]
access:
  - {name: in, groups: [dev], protocols: [ssh], allow: [connect]}
  - {name: looked-at, groups: [dev], allow: [exec], review: {approvers: [dba]}}
`)
	s := p.openSSH(t, "-T", "echo it-has-$((1+1))-run")
	p.decides(t, "looked-at", approve)
	s.says("it-has-2-run\n")
	s = p.openSSH(t, "-T", "echo it-has-$((1+1))-run")
	p.decides(t, "looked-at", deny)
	s.says("bob denied request ")
	require.NotContains(t, s.out.String(), "it-has-2-run")
	p.terminal(t).says("you may not open a shell at vm1")
}

// decision is what somebody does about a request.
type decision func(t *testing.T, c *client.Client, id string, d control.Decision) error

func approve(t *testing.T, c *client.Client, id string, d control.Decision) error {
	_, err := c.Approve(t.Context(), id, d)
	return err
}

func deny(t *testing.T, c *client.Client, id string, d control.Decision) error {
	_, err := c.Deny(t.Context(), id, d)
	return err
}

// decides waits for alice's request by a rule, and has bob decide about it, which she cannot.
func (p *policed) decides(t *testing.T, rule string, decide decision) {
	t.Helper()
	c := client.Socket(Socket(p.parts().config))
	require.Eventually(t, func() bool {
		list, err := c.Requests(t.Context(), false)
		require.NoError(t, err)
		if len(list) == 0 {
			return false
		}
		require.Equal(t, []string{rule}, list[0].Rules)
		d := control.Decision{User: "alice", Password: proxy.NewSecret(password), Hash: list[0].Hash, Reason: "not today"}
		require.ErrorContains(t, decide(t, c, list[0].ID, d), "your own request")
		d.User = "bob"
		require.NoError(t, decide(t, c, list[0].ID, d))
		return true
	}, 60*time.Second, 5*time.Millisecond)
}

// TestConditionsOfARule: networks, methods, the age of a login and relations are those of the session
// and of the database.
func TestConditionsOfARule(t *testing.T) {
	const brief = `masking: [{use: off}]
access:
  - {name: here, groups: [dev], protocols: [postgres], allow: [connect, read], relations: [public.orders, "pg_catalog.*"], when: {networks: [127.0.0.0/8], methods: [scram]}}
  - {name: elsewhere, groups: [dev], allow: [write], unless: {networks: [127.0.0.0/8]}}
  - {name: certified, groups: [dev], allow: [ddl], when: {methods: [certificate]}}
  - {name: fresh, groups: [dev], allow: [delete], when: {login_within: %s}}
  - {name: humans, groups: [dba], kinds: [human], allow: [connect, read], claims: {team: [red]}}
`
	p := openPoliced(t, t.TempDir(), nil, fmt.Sprintf(brief, "1h"))
	s := p.psql(t, "alice")
	require.Equal(t, "200", s.ask("SELECT count(*) FROM orders;"))
	require.Contains(t, s.ask("SELECT * FROM salaries;"), "you may not read data at shop/")
	require.Contains(t, s.ask("SELECT * FROM orders JOIN salaries USING (id);"), "salaries")
	require.Contains(t, s.ask("INSERT INTO orders VALUES (1, 'x');"), "Rule elsewhere allows it unless it is from certain networks.")
	require.Contains(t, s.ask("DROP TABLE orders;"), "Rule certified allows it with a login by certificate.")
	require.Empty(t, s.ask("DELETE FROM orders WHERE false;"))
	p.psql(t, "bob").says("no such resource, or you may not use it") // his login has no such claim
	p.rewrite(t, fmt.Sprintf(brief, "1ns"))
	require.Contains(t, s.ask("DELETE FROM orders WHERE false;"), "you may not delete rows at shop/", "logins grow old in sessions")
	require.Equal(t, "200", s.ask("SELECT count(*) FROM orders;"))
}

// TestSessionTimeOfARule: the user of psql is told with an answer that the session ends soon, and
// then that it has, and by which rule.
func TestSessionTimeOfARule(t *testing.T) {
	p := openPoliced(t, t.TempDir(), nil, `masking: [{use: off}]
access: [{name: brief, groups: [dev], allow: [connect, read], session: 12s}]
`)
	const ended = "FATAL:  terminating connection: the session reached its time limit: rule brief allows 12s\n"
	s := p.psql(t, "alice")
	for n := 1; !strings.Contains(s.out.String(), "this session ends in"); n++ {
		s.send(fmt.Sprintf("SELECT 'answer %d.';", n))
		answers := func() bool { return strings.Contains(s.out.String(), fmt.Sprintf("answer %d.", n)) }
		require.Eventually(t, func() bool { return answers() || strings.Contains(s.out.String(), ended) }, 60*time.Second, time.Millisecond)
		if !answers() { // the machine was too slow to ask in the last second
			s = p.psql(t, "alice")
		}
	}
	require.Contains(t, s.out.String(), "WARNING:  this session ends in 1s: rule brief allows 12s\n")
	open := p.session(t, "alice", "shop")
	require.Eventually(t, func() bool { return open.Err() != nil }, 60*time.Second, 5*time.Millisecond)
	s.send("SELECT 1;")
	s.says(ended)
	require.Equal(t, 1, strings.Count(s.out.String(), "this session ends in"))
}

// TestIdleTimeOfARule: who sits at a terminal is told before the session ends because nothing
// happens, and one in which something does goes on.
func TestIdleTimeOfARule(t *testing.T) {
	dir := t.TempDir()
	p := openPoliced(t, dir, startMachine(t, dir, []string{"alice"}), `masking: [{use: off}]
access: [{name: brief, groups: [dev], allow: [connect, read, shell], idle: 8s}]
`)
	s := p.terminal(t)
	for i := range 4 {
		s.send(fmt.Sprintf("echo still-$((%d+1))-here", i))
		s.says(fmt.Sprintf("still-%d-here", i+1))
		s.n++
	}
	s.says("sallyport: this session ends in 1s if nothing happens in it: rule brief allows to be idle for 8s")
	s.says("the session was ended: the session was idle for too long: rule brief allows 8s")
	db := p.psql(t, "alice")
	require.Equal(t, "1", db.ask("SELECT 1;"))
	id := p.session(t, "alice", "shop")
	require.Eventually(t, func() bool { return id.Err() != nil }, 60*time.Second, 5*time.Millisecond)
	db.send("SELECT 1;")
	db.says("FATAL:  terminating connection: the session was idle for too long: rule brief allows 8s\n")
	require.NotContains(t, db.out.String(), "HINT", "nobody must be asked about that")
}

// TestBudgetOfARule: what goes beyond a budget is refused, in the middle of what is sent, too. A
// budget is one session's.
func TestBudgetOfARule(t *testing.T) {
	p := openPoliced(t, t.TempDir(), nil, `masking: [{use: off}]
access: [{name: few, groups: [dev], allow: [connect, read, write], budget: {rows: 150, statements: 6}}]
`)
	s := p.psql(t, "alice")
	require.Equal(t, 100, strings.Count(s.ask("SELECT 'row' FROM orders LIMIT 100;"), "row"))
	out := s.ask("COPY (SELECT 'row' FROM orders) TO STDOUT;")
	require.Contains(t, out, "this session has used its budget of 150 rows at shop/")
	require.Equal(t, 50, strings.Count(out, "row\n"), "in the middle, and to the row: %s", out)
	require.Contains(t, s.ask("SELECT 1;"), "its budget of 150 rows")
	require.Empty(t, s.ask("BEGIN; COMMIT;"), "a transaction can be ended")
	another := p.psql(t, "alice")
	for i := range 6 {
		require.Equal(t, fmt.Sprint(i), another.ask(fmt.Sprintf("SELECT %d;", i)), "another session has a budget of its own")
	}
	require.Contains(t, another.ask("SELECT 1;"), "this session has used its budget of 6 statements at shop/")
	require.Contains(t, another.ask("SELECT 1 \\; SELECT 2;"), "(rule few)")
}

// TestProfileOfARule: sessions of a rule's are shown less, an open one from the revision on that
// says so.
func TestProfileOfARule(t *testing.T) {
	const masked = `masking:
  - {profile: support, columns: [salaries.salary], with: redact}
access:
  - {name: all, groups: [dev, dba], allow: [connect, read]}
  - {name: helpers, groups: [support], masking: [support]}
`
	p := openPoliced(t, t.TempDir(), nil, masked)
	alice, bob := p.psql(t, "alice"), p.psql(t, "bob")
	require.Equal(t, "[COLUMN]", alice.ask("SELECT salary FROM salaries;"))
	require.Equal(t, "much", bob.ask("SELECT salary FROM salaries;"))
	require.Equal(t, "a**@*******.com", bob.ask("SELECT 'ann@example.com';"), "what is masked for everybody is")
	p.rewrite(t, strings.Replace(masked, "{name: helpers, groups: [support]", "{name: helpers, groups: [dba]", 1))
	require.Equal(t, "[COLUMN]", bob.ask("SELECT salary FROM salaries;"))
	require.Equal(t, "1", alice.ask("SELECT id FROM salaries;"))
	require.Equal(t, "much", p.psql(t, "alice").ask("SELECT salary FROM salaries;"))
}

// TestRecordingOfARule: a rule has more recorded of a session, whose record says how much. The
// statement is there whatever the level. A session that began with less ends.
func TestRecordingOfARule(t *testing.T) {
	p := openPoliced(t, t.TempDir(), nil, `masking: [{use: off}]
access:
  - {name: all, groups: [dev, dba], allow: [connect, read]}
  - {name: watched, groups: [support], recording: digest}
`)
	alice, bob := p.psql(t, "alice"), p.psql(t, "bob")
	require.Equal(t, "customer 7", alice.ask("SELECT customer FROM orders WHERE id = 7;"))
	require.Equal(t, "customer 8", bob.ask("SELECT customer FROM orders WHERE id = 8;"))
	digested, plain := p.session(t, "alice", "shop").ID, p.session(t, "bob", "shop").ID
	p.rewrite(t, `masking: [{use: off}]
access:
  - {name: all, groups: [dev, dba], allow: [connect, read]}
  - {name: watched, groups: ["*"], recording: full}
`)
	for _, c := range []*native{alice, bob} {
		c.send("SELECT 1;")
		c.says(`must be recorded at the level "full" from its beginning now, and this one is not (rule watched)`)
	}
	require.Equal(t, "customer 9", p.psql(t, "bob").ask("SELECT customer FROM orders WHERE id = 9;"))
	var full string
	require.Eventually(t, func() bool { full = p.session(t, "bob", "shop").ID; return full != plain }, 60*time.Second, 5*time.Millisecond)
	require.NoError(t, p.stop())
	records := p.records(t)
	for id, want := range map[string]struct {
		rows, statement, shows string
	}{
		plain: {"off", "SELECT customer FROM orders WHERE id = 8;", ""}, digested: {"digest", "SELECT customer FROM orders WHERE id = 7;", ""},
		full: {"full", "SELECT customer FROM orders WHERE id = 9;", "customer 9"},
	} {
		var texts, rows []string
		digests := 0
		for _, e := range records[id] {
			switch e.Type {
			case audit.SessionStart:
				require.Equal(t, map[string]string{"terminal": "off", "exec": "off", "rows": want.rows, "copy": want.rows}, e.Recording)
			case audit.OperationStart:
				texts = append(texts, e.Text)
			case audit.RecordingRows:
				for _, row := range e.Values {
					rows = append(rows, *row[0])
				}
			case audit.RecordingEnd:
				digests++
			}
		}
		require.Contains(t, texts, want.statement)
		require.Contains(t, strings.Join(rows, ""), want.shows)
		require.Equal(t, want.rows == "off", digests == 0)
		require.Equal(t, want.shows == "", len(rows) == 0)
	}
}

// TestAgents: rules about agents apply to sessions of agents alone, whatever groups they share with
// people. An agent approves nothing.
func TestAgents(t *testing.T) {
	p := openPoliced(t, t.TempDir(), nil, `masking: [{use: off}]
access:
  - {name: all, groups: [dev], allow: [connect, read, write]}
  - {name: agents-read, groups: ["*"], kinds: [agent], deny: [write], budget: {rows: 3}, recording: digest}
  - {name: looked-at, groups: [dev], allow: [truncate], review: {approvers: [dev, dba]}}
`)
	bot, secret := p.agent(t, "bot", "alice", "dev", "dba")
	alice := p.psql(t, "alice")
	agent := run(t, "psql", "-X", "-A", "-t", "-q", strings.Replace(p.plain(bot, "shop"), "password="+password, "password="+secret, 1))
	require.Equal(t, "7", agent.ask("SELECT id FROM orders WHERE id = 7;"))
	require.Contains(t, agent.ask("INSERT INTO orders VALUES (300, 'new');"), `(rule agents-read)`)
	require.Empty(t, alice.ask("INSERT INTO orders VALUES (300, 'new');"))
	require.Contains(t, agent.ask("SELECT id FROM orders;"), "its budget of 3 rows")
	require.Contains(t, alice.ask("SELECT count(*), 'all' FROM orders;"), "201|all")

	alice.send("TRUNCATE orders;")
	c := client.Socket(Socket(p.parts().config))
	require.Eventually(t, func() bool {
		list, err := c.Requests(t.Context(), false)
		require.NoError(t, err)
		if len(list) == 0 {
			return false
		}
		d := control.Decision{User: bot, Password: proxy.NewSecret(secret), Hash: list[0].Hash, Reason: "fine"}
		_, err = c.Approve(t.Context(), list[0].ID, d)
		require.ErrorContains(t, err, "the password is not correct")
		_, err = c.Deny(t.Context(), list[0].ID, d)
		require.ErrorContains(t, err, "the password is not correct")
		d.User, d.Password = "bob", proxy.NewSecret(password)
		_, err = c.Deny(t.Context(), list[0].ID, d)
		require.NoError(t, err)
		return true
	}, 60*time.Second, 5*time.Millisecond)
	require.Contains(t, alice.ask("SELECT count(*), 'all' FROM orders;"), "201|all")
	id := p.session(t, "bot", "shop").ID
	require.NoError(t, p.stop())
	start := p.records(t)[id][0]
	require.Equal(t, []string{"agent", "alice", "digest"}, []string{start.Identity, start.For, start.Recording["rows"]})
}

// agent makes an agent that acts for somebody, and a token for it.
func (p *policed) agent(t *testing.T, name, by string, groups ...string) (login, secret string) {
	t.Helper()
	require.NoError(t, p.proofs.tokens.PutPrincipal(t.Context(), tokens.Principal{Name: name, Kind: proxy.Agent, OnBehalfOf: by, Groups: groups}))
	token, s, err := p.proofs.tokens.Create(t.Context(), tokens.Token{Label: name, Subject: name, User: name, Expires: time.Now().Add(time.Hour)})
	require.NoError(t, err)
	return name + tokens.Separator + token.ID, s.Reveal()
}
