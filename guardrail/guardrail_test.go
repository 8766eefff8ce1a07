package guardrail_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/guardrail"
	"github.com/sallyport/sallyport/protocol/shell"
	sqlpostgres "github.com/sallyport/sallyport/protocol/sql/postgres"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/proxy/proxytest"
)

var analyzer = sqlpostgres.New(sqlpostgres.Config{})

func statement(text string) *proxy.Statement {
	return &proxy.Statement{
		Meta: proxy.Meta{Kind: proxy.KindStatement}, Text: []byte(text),
		Facts: analyzer.Analyze(context.Background(), []byte(text), &proxy.Reading{Dialect: "postgres"}),
	}
}

func execute(command string) *proxy.Exec {
	return &proxy.Exec{Meta: proxy.Meta{Kind: proxy.KindExec}, Command: command}
}

func create(t testing.TB, rules ...guardrail.Rule) *guardrail.Guardrail {
	t.Helper()
	g, err := guardrail.New(guardrail.Config{Rules: rules, Commands: shell.Grammar{}})
	require.NoError(t, err)
	return g
}

func ask(s *proxy.Session, op proxy.Op) *proxy.Verdict { return s.Ask(context.Background(), op) }

// The default pack: what it refuses, however it is written, and what it lets
// pass although it looks alike.
func TestDefaults(t *testing.T) {
	s := proxytest.Session(t, create(t, guardrail.Defaults()...))
	for text, rule := range map[string]string{
		"DELETE FROM t": "no-where", "UPDATE t SET x = 1": "no-where", "/**/dElEtE\n--x\nFROM t WHERE 1=1": "no-where",
		"DELETE FROM t WHERE true OR id = 1": "no-where", "WITH d AS (DELETE FROM t RETURNING *) SELECT * FROM d": "no-where",
		"SELECT 1; DELETE FROM t": "no-where", "EXPLAIN ANALYZE UPDATE t SET x = 1": "no-where", "PREPARE p AS DELETE FROM t": "no-where",
		"COPY (DELETE FROM t RETURNING *) TO STDOUT": "no-where", "DELETE FROM U&\"\\0074\"": "no-where", "DELETE FROM t USING u": "no-where",
		"DROP TABLE t": "no-drop", "TRUNCATE t": "no-drop", "ALTER TABLE t DROP COLUMN x": "no-drop", "SELECT 1;drop/**/schema s": "no-drop", "DROP DATABASE d": "no-drop",
		"GRANT ALL ON t TO bob": "no-grants", "ALTER ROLE bob SUPERUSER": "no-grants", "SET ROLE bob": "no-grants", "SELECT set_config('role', 'bob', false)": "no-grants",
		"ALTER TABLE t OWNER TO bob": "no-grants", "SET SESSION AUTHORIZATION bob": "no-grants",
		"COPY t TO '/tmp/x'": "no-server-files", "COPY t FROM PROGRAM 'id'": "no-server-files", "SELECT pg_read_file('x')": "no-server-files",
		"SELECT lo_export(1, 'x')": "no-server-files", "SELECT pg_catalog.pg_sleep(100)": "no-server-files", "SELECT * FROM dblink('x', 'y') AS z(a int)": "no-server-files",
		"CREATE EXTENSION dblink": "no-server-files", "ALTER SYSTEM SET x = 1": "no-server-files",
		"SELECT pg_terminate_backend(1)": "no-administration", "SELECT pg_reload_conf()": "no-administration",
		"DO $$BEGIN DELETE FROM t; END$$": "no-where", "DO $$BEGIN EXECUTE 'DELETE ' || 'FROM t'; END$$": "no-blind-text", "EXECUTE p": "no-blind-text", "SELECT 1 FROBNICATE 2 3": "no-blind-text", "SELECT 'a\\'; DELETE FROM t; --'": "no-where",
	} {
		v := ask(s, statement(text))
		require.True(t, v.Refuses(), text)
		require.Equal(t, rule, v.Rule, text)
		require.Equal(t, proxy.CauseGuardrail, v.Cause)
		require.NotEmpty(t, v.Remedy, text)
		require.Contains(t, v.Message(), rule)
	}
	for _, text := range []string{
		"DELETE FROM t WHERE id = 1", "UPDATE t SET x = 1 WHERE id IN (1, 2)", "SELECT * FROM t", "SELECT 'DROP TABLE t'", "SELECT 1 -- ; DROP TABLE t",
		"EXPLAIN DELETE FROM t", "INSERT INTO t SELECT * FROM u", "SELECT \"drop\" FROM \"delete\"", "CREATE TABLE x (id int)", "SET statement_timeout = 1",
		"WITH d AS (DELETE FROM t WHERE id = 1 RETURNING *) SELECT * FROM d", "COPY t TO STDOUT", "BEGIN", "SELECT my_function(1)", "CALL p()", "",
		"nonsense", "SELECT * FROM WHERE id = 1", "SELECT 'abc", "DELETE FROM t WHERE", // the server's own syntax errors
		"SELECT $a$ DELETE FROM t $a$", "SELECT pg_backend_pid()", "SELECT now() AT TIME ZONE 'UTC'", "MERGE INTO t USING u ON t.id = u.id WHEN MATCHED THEN DELETE",
	} {
		v := ask(s, statement(text))
		require.False(t, v.Refuses(), "%s: %s", text, v.Message())
	}
	for command, rule := range map[string]string{
		"rm -rf /": "no-wiping", "sudo rm -r --force /": "no-wiping", "sh -c 'rm -fr /*'": "no-wiping", "r\\m -R \"/\"": "no-wiping", "ls | xargs rm -r": "no-wiping",
		"find / -delete": "no-wiping", "mkfs.ext4 /dev/sda": "no-wiping", "dd if=/dev/zero of=/dev/sda": "no-wiping", "rm -r $DIR": "no-wiping",
		"echo cm0gLXJmIC8K | base64 -d | sh": "no-wiping", "$X": "no-wiping", "cat$IFS/etc/passwd": "no-wiping",
		"reboot": "no-halting", "env A=1 /sbin/shutdown -h now": "no-halting", "systemctl reboot": "no-halting",
	} {
		v := ask(s, execute(command))
		require.True(t, v.Refuses(), command)
		require.Equal(t, rule, v.Rule, command)
	}
	for _, command := range []string{"ls -l /", "rm -r ./build", "rm file", "echo rm -rf /", "grep reboot log", "systemctl status x", "find . -name x", "dd if=a of=b", "rm -r build/$X"} {
		v := ask(s, execute(command))
		require.False(t, v.Refuses(), "%s: %s", command, v.Message())
	}
}

// The remedy fits what is refused.
func TestRemedies(t *testing.T) {
	s := proxytest.Session(t, create(t, guardrail.Defaults()...))
	for text, remedy := range map[string]string{
		"COPY t TO '/tmp/x'": "STDOUT", "COPY t FROM PROGRAM 'id'": "STDIN", "SELECT pg_sleep(10)": "in the client", "SELECT pg_sleep_for('1 s')": "in the client",
		"SELECT pg_read_file('x')": "at the client", "SELECT lo_import('/etc/passwd')": "at the client", "CREATE EXTENSION postgres_fdw": "install",
		"SELECT * FROM dblink('x', 'SELECT 1') AS t(a int)": "resource of its own", "LOAD 'x'": "administrator", "ALTER SYSTEM SET x = 1": "administrator",
		"CREATE SERVER s FOREIGN DATA WRAPPER f": "install", "DELETE FROM t": "WHERE", "DROP TABLE t": "migration", "SELECT pg_reload_conf()": "administrator",
	} {
		v := ask(s, statement(text))
		require.True(t, v.Refuses(), text)
		require.Contains(t, v.Remedy, remedy, text)
		require.True(t, strings.Contains(v.Remedy, "COPY") == strings.HasPrefix(text, "COPY"), "%s: %s", text, v.Remedy)
	}
}

func TestReadOnlyResources(t *testing.T) {
	g := create(t, guardrail.Defaults()...)
	ctx := context.Background()
	for label, want := range map[string]bool{"true": true, "false": false, "": false} {
		r := proxytest.Resource
		r.Labels = map[string]string{guardrail.ReadOnlyLabel: label}
		gateway := &proxy.Gateway{Interceptors: []proxy.Interceptor{proxytest.Allow{}, g}}
		at, connect, err := gateway.Open(ctx, proxy.OpenRequest{Identity: &proxytest.Identity, Target: proxy.Target{Resource: &r}, Dry: true})
		require.NoError(t, err)
		require.False(t, connect.By() == "", "somebody allowed it")
		for _, text := range []string{
			"INSERT INTO t VALUES (1)", "SELECT f()", "SET default_transaction_read_only = off", "BEGIN READ WRITE", "SELECT set_config('transaction_read_only', 'off', true)",
			"SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE", "RESET transaction_read_only", "SET transaction_read_only = DEFAULT", "CREATE TABLE x ()", "VACUUM t",
		} {
			v := ask(at, statement(text))
			require.Equal(t, want, v.Refuses(), "%s at %q: %s", text, label, v.Message())
		}
		v := ask(at, statement("SELECT * FROM t WHERE id = 1"))
		require.False(t, v.Refuses())
	}
}

// What gives back what the session began with takes no right, on any resource;
// what only looks like that does.
func TestGivingBack(t *testing.T) {
	g := create(t, guardrail.Defaults()...)
	r := proxytest.Resource
	r.Labels = map[string]string{guardrail.ReadOnlyLabel: "true"}
	gateway := &proxy.Gateway{Interceptors: []proxy.Interceptor{proxytest.Allow{}, g}}
	s, _, err := gateway.Open(context.Background(), proxy.OpenRequest{Identity: &proxytest.Identity, Target: proxy.Target{Resource: &r}, Dry: true})
	require.NoError(t, err)
	for _, text := range []string{
		"RESET ROLE", "SET ROLE NONE", "SET ROLE 'none'", "SET role TO none", "SET role = DEFAULT", "SET LOCAL ROLE NONE", "RESET SESSION AUTHORIZATION",
		"SET SESSION AUTHORIZATION DEFAULT", "SET LOCAL SESSION AUTHORIZATION DEFAULT", "SET session_authorization TO DEFAULT",
		"SELECT set_config('role', 'none', false)", "RESET ALL", "DISCARD ALL", "DISCARD PLANS", "DISCARD TEMP", "DISCARD SEQUENCES",
		"RESET default_transaction_read_only", "SET default_transaction_read_only TO DEFAULT", "RESET search_path",
		"SET SESSION AUTHORIZATION DEFAULT; RESET ALL; CLOSE ALL; UNLISTEN *; SELECT pg_advisory_unlock_all(); DISCARD SEQUENCES; DISCARD TEMP",
		"PREPARE r AS SELECT set_config('role', 'none', false)", "ROLLBACK; RESET ROLE; DEALLOCATE ALL",
	} {
		v := ask(s, statement(text))
		// Only a read-only resource refuses a lock of the session's own.
		require.False(t, v.Refuses() && !statement(text).Facts.Effects.Has(proxy.EffectLock), "%s: %s", text, v.Message())
	}
	s = proxytest.Session(t, g)
	for _, text := range []string{
		"SET ROLE postgres", "RESET ROLE; SET ROLE postgres", "SET ROLE postgres; RESET ROLE", "SET ROLE \"None\"", "SET SESSION AUTHORIZATION none",
		"SET SESSION AUTHORIZATION 'default'", "SELECT set_config('role', 'postgres', false), set_config('role', 'none', false)",
		"SELECT set_config('role', $1, false)", "SELECT set_config('ro' || 'le', 'none', false)", "UPDATE pg_settings SET setting = 'none' WHERE name = 'role'",
		"RESET ROLE; GRANT ALL ON t TO bob",
	} {
		require.Equal(t, "no-grants", ask(s, statement(text)).Rule, text)
	}
}

// Any deny wins, in whatever order rules stand; a warning is told with it.
func TestOrderDoesNotMatter(t *testing.T) {
	deny := guardrail.Rule{Name: "deny", Effects: proxy.EffectDelete}
	warn := guardrail.Rule{Name: "warn", Relations: []string{"t"}, Action: guardrail.Warn, Message: "t is being retired"}
	other := guardrail.Rule{Name: "other", Effects: proxy.EffectDrop}
	for _, rules := range [][]guardrail.Rule{{deny, warn, other}, {warn, other, deny}, {other, deny, warn}} {
		s := proxytest.Session(t, create(t, rules...))
		v := ask(s, statement("DELETE FROM t WHERE id = 1"))
		require.Equal(t, "deny", v.Rule)
		require.Equal(t, "t is being retired (rule warn)", v.Warn)
		v = ask(s, statement("SELECT * FROM public.t"))
		require.False(t, v.Refuses())
		require.Contains(t, v.Warn, "retired")
		require.True(t, ask(s, statement("DO $$x$$")).Refuses(), "a denying rule that cannot tell denies")
	}
	s := proxytest.Session(t, create(t, warn))
	require.False(t, ask(s, statement("DO $$x$$")).Refuses(), "a warning one does not")
}

func TestConditions(t *testing.T) {
	for _, c := range []struct {
		rule      guardrail.Rule
		yes, no   []string
		operation func(string) proxy.Op
	}{
		{
			rule: guardrail.Rule{Effects: proxy.EffectDelete, Relations: []string{"public.cust*"}},
			yes:  []string{"DELETE FROM customers WHERE id = 1", "DELETE FROM public.customers WHERE id = 1"},
			no:   []string{"DELETE FROM other.customers WHERE id = 1", "SELECT * FROM customers", "DELETE FROM t WHERE id IN (SELECT id FROM customers)"},
		},
		{
			rule: guardrail.Rule{Relations: []string{"vault.*"}},
			yes:  []string{"SELECT * FROM vault.keys", "SET search_path = public, vault", "SELECT set_config('search_path', 'vault', true)", "SELECT set_config('search_path', $1, true)"},
			no:   []string{"SELECT * FROM keys", "SET search_path = public", "SELECT pg_catalog.set_config('search_path', '', false)"},
		},
		{rule: guardrail.Rule{Effects: proxy.EffectDrop, Relations: []string{"t"}}, yes: []string{"DROP TABLE t", "DROP SCHEMA public CASCADE"}, no: []string{"DROP TABLE u"}},
		{rule: guardrail.Rule{Destroys: true}, yes: []string{"DROP TABLE t", "TRUNCATE t", "ALTER TABLE t DROP COLUMN x", "EXECUTE p"}, no: []string{"DROP INDEX i", "DROP VIEW v", "DELETE FROM t", "SELECT 1"}},
		{rule: guardrail.Rule{Destroys: true, Effects: proxy.EffectTruncate}, yes: []string{"TRUNCATE t"}, no: []string{"DROP TABLE t", "TRUNCATE pg_temp.t"}},
		{rule: guardrail.Rule{Effects: proxy.EffectDrop}, yes: []string{"DROP TABLE t", "DROP INDEX i", "ALTER TABLE t DROP CONSTRAINT c"}, no: []string{"TRUNCATE t"}},
		{rule: guardrail.Rule{Functions: []string{"dblink_exec"}}, yes: []string{"SELECT public.dblink_exec('x')", `SELECT "Ext"."dblink_exec"('x')`, "SELECT query_to_xml('SELECT ext.dblink_exec(''x'')', true, true, '')"}, no: []string{"SELECT dblink_exec2('x')"}},
		{rule: guardrail.Rule{NoLimit: true}, yes: []string{"SELECT * FROM t", "SELECT * FROM t LIMIT ALL"}, no: []string{"SELECT * FROM t LIMIT 5", "SELECT * FROM t FETCH FIRST ROW ONLY", "BEGIN"}},
		{rule: guardrail.Rule{NoWhere: true, Effects: proxy.EffectDelete}, yes: []string{"DELETE FROM t"}, no: []string{"UPDATE t SET x = 1"}},
		{rule: guardrail.Rule{Functions: []string{"app.*", "wipe"}}, yes: []string{"SELECT app.f()", "SELECT x.wipe()"}, no: []string{"SELECT f2()", "SELECT lower('a')", "SELECT b.f()"}},
		{rule: guardrail.Rule{Classes: []proxy.FunctionClass{proxy.FunctionUnknown}}, yes: []string{"SELECT f()"}, no: []string{"SELECT lower('a')"}},
		{rule: guardrail.Rule{MoreThan: 1}, yes: []string{"SELECT 1; SELECT 2"}, no: []string{"SELECT 1;", "nonsense"}},
		{rule: guardrail.Rule{Settings: []string{"search_path"}}, yes: []string{"SET search_path = x", "SELECT set_config('search_' || 'path', 'x', true)"}, no: []string{"SET timezone = 'UTC'", "RESET ALL", "RESET search_path", "SET search_path TO DEFAULT"}},
		{
			rule: guardrail.Rule{Paths: []string{"/etc", "*.key"}}, yes: []string{"/etc/passwd", "/etc", "/x/../etc/y", "a.key"}, no: []string{"/srv/etc", "/x"},
			operation: func(s string) proxy.Op {
				return &proxy.File{Meta: proxy.Meta{Kind: proxy.KindFile}, Action: proxy.FileOpenRead, Path: s}
			},
		},
		{
			rule: guardrail.Rule{Requests: []string{"DELETE /api/*"}}, yes: []string{"/api/x", "/api/x/y"}, no: []string{"/other"},
			operation: func(s string) proxy.Op {
				return &proxy.Request{Meta: proxy.Meta{Kind: proxy.KindRequest}, Method: "DELETE", Path: s}
			},
		},
		{
			rule: guardrail.Rule{Commands: []string{"> /etc/*"}}, yes: []string{"echo x > /etc/passwd", "echo x >> /etc/passwd"}, no: []string{"echo x > /tmp/y"},
			operation: func(s string) proxy.Op { return execute(s) },
		},
	} {
		c.rule.Name = "rule"
		if c.operation == nil {
			c.operation = func(s string) proxy.Op { return statement(s) }
		}
		s := proxytest.Session(t, create(t, c.rule))
		for _, text := range c.yes {
			require.True(t, ask(s, c.operation(text)).Refuses(), "%+v: %s", c.rule, text)
		}
		for _, text := range c.no {
			require.False(t, ask(s, c.operation(text)).Refuses(), "%+v: %s", c.rule, text)
		}
	}
}

func TestSelectors(t *testing.T) {
	effects := proxy.EffectRead
	for name, c := range map[string]struct {
		rule guardrail.Rule
		want bool
	}{
		"everywhere":      {guardrail.Rule{}, true},
		"this resource":   {guardrail.Rule{Resources: []string{"sh*"}}, true},
		"another":         {guardrail.Rule{Resources: []string{"orders"}}, false},
		"label":           {guardrail.Rule{Labels: map[string]string{"env": "test"}}, true},
		"another label":   {guardrail.Rule{Labels: map[string]string{"env": "prod"}}, false},
		"except this":     {guardrail.Rule{Except: []guardrail.Selection{{Resources: []string{"sh*"}}}}, false},
		"except another":  {guardrail.Rule{Except: []guardrail.Selection{{Resources: []string{"orders"}}}}, true},
		"except by label": {guardrail.Rule{Except: []guardrail.Selection{{Resources: []string{"orders"}}, {Labels: map[string]string{"env": "test"}}}}, false},
		"except by both":  {guardrail.Rule{Except: []guardrail.Selection{{Resources: []string{"sh*"}, Labels: map[string]string{"env": "prod"}}}}, true},
		"except any":      {guardrail.Rule{Resources: []string{"shop"}, Except: []guardrail.Selection{{}}}, false},
		"group":           {guardrail.Rule{Groups: []string{"dev"}}, true},
		"another's group": {guardrail.Rule{Groups: []string{"ops"}}, false},
	} {
		c.rule.Name, c.rule.Effects = "rule", effects
		require.Equal(t, c.want, ask(proxytest.Session(t, create(t, c.rule)), statement("SELECT 1")).Refuses(), name)
	}
}

func TestObserve(t *testing.T) {
	g := create(t, guardrail.Rule{Name: "later", Effects: proxy.EffectDrop, Observe: true})
	require.Equal(t, []proxy.NoteKind{proxy.NoteObserved}, g.Notes())
	require.Empty(t, create(t, guardrail.Rule{Name: "now", Effects: proxy.EffectDrop}).Notes())
	notes := &proxytest.Notes{}
	s := proxytest.Session(t, g, notes)
	require.False(t, ask(s, statement("DROP TABLE t")).Refuses())
	require.False(t, ask(s, statement("SELECT 1")).Refuses())
	require.Len(t, notes.All(proxy.NoteObserved), 1)
	require.Equal(t, "later", notes.All(proxy.NoteObserved)[0].Rule)

	notes.Err = errors.New("the disk is full")
	require.True(t, ask(s, statement("DROP TABLE t")).Refuses(), "what cannot be recorded does not run")
	require.Error(t, s.Err())
}

// The rules of a later revision judge open sessions, and know what the earlier
// ones knew of the session.
func TestRevision(t *testing.T) {
	bound, err := guardrail.New(guardrail.Config{
		Rules:      append(guardrail.Defaults(), guardrail.Rule{Name: "bound", Effects: proxy.EffectRead, MoreRows: 5}),
		Estimators: map[string]guardrail.Estimator{"postgres": &world{rows: 1}},
	})
	require.NoError(t, err)
	gateway := &proxy.Gateway{}
	s, err := proxytest.Open(gateway, create(t))
	require.NoError(t, err)
	defer s.Close(nil)
	op := statement("SET ROLE other")
	require.False(t, ask(s, op).Refuses())
	s.Done(op, &proxy.Outcome{})
	require.NoError(t, gateway.Use(&proxy.Revision{Interceptors: []proxy.Interceptor{proxytest.Allow{}, bound}}))
	require.True(t, ask(s, statement("DROP TABLE t")).Refuses(), "from the next operation on")
	require.True(t, ask(s, statement("SELECT * FROM t WHERE a = 1")).Refuses(), "whose t is meant has been unknown since SET ROLE")
	require.False(t, ask(s, statement("SELECT * FROM public.t WHERE a = 1")).Refuses())
}

// An explanation names every rule that answers.
func TestAnswers(t *testing.T) {
	g := create(t, guardrail.Rule{Name: "a", Effects: proxy.EffectDrop}, guardrail.Rule{Name: "b", Effects: proxy.EffectDrop, Action: guardrail.Warn, Message: "m"},
		guardrail.Rule{Name: "c", Effects: proxy.EffectDrop, Observe: true}, guardrail.Rule{Name: "d", Effects: proxy.EffectGrant})
	gateway := &proxy.Gateway{Unrecorded: true, Interceptors: []proxy.Interceptor{proxytest.Allow{}, g}}
	s, _, err := gateway.Open(context.Background(), proxy.OpenRequest{Identity: &proxytest.Identity, Target: proxy.Target{Resource: &proxytest.Resource}, Dry: true})
	require.NoError(t, err)
	defer s.Close(nil)
	require.True(t, ask(s, statement("DROP TABLE t")).Refuses())
	var said []string
	for _, n := range s.Notes() {
		said = append(said, n.Kind.String()+" "+n.Rule+" "+n.Text)
	}
	require.Equal(t, []string{"answered a denies", "answered b warns", "observed c observes"}, said)
}

func TestWrongRules(t *testing.T) {
	read := proxy.EffectRead
	for name, r := range map[string]guardrail.Rule{
		"no name":          {Effects: read},
		"no condition":     {Name: "x"},
		"two kinds":        {Name: "x", Effects: read, Commands: []string{"rm"}},
		"no where of what": {Name: "x", Effects: proxy.EffectDrop, NoWhere: true},
		"no limit of what": {Name: "x", Effects: proxy.EffectDrop, NoLimit: true},
		"pattern":          {Name: "x", Relations: []string{"["}},
		"empty pattern":    {Name: "x", Relations: []string{" "}},
		"relation":         {Name: "x", Relations: []string{"a.b.c"}},
		"action":           {Name: "x", Effects: read, Action: 9},
		"negative":         {Name: "x", Effects: read, MoreThan: -1},
		"except nothing":   {Name: "x", Effects: read, Except: []guardrail.Selection{{Resources: []string{""}}}},
	} {
		_, err := guardrail.New(guardrail.Config{Rules: []guardrail.Rule{r}})
		require.Error(t, err, name)
	}
	_, err := guardrail.New(guardrail.Config{Rules: []guardrail.Rule{{Name: "x", Effects: read}, {Name: "x", Effects: read}}})
	require.ErrorContains(t, err, "twice")
}

func TestConformance(t *testing.T) {
	proxytest.TestInterceptor(t, func(t *testing.T) proxy.Interceptor { return create(t, guardrail.Defaults()...) })
}

func TestAskAllocatesNothing(t *testing.T) {
	s := proxytest.Session(t, create(t, guardrail.Defaults()...))
	op, out := statement("SELECT abalance FROM pgbench_accounts WHERE aid = 1"), &proxy.Outcome{}
	require.Zero(t, testing.AllocsPerRun(1000, func() {
		s.Ask(context.Background(), op)
		*out = proxy.Outcome{}
		s.Done(op, out)
	}))
}

// From a text that was seen before to a decision by the default pack.
func BenchmarkDecide(b *testing.B) {
	s := proxytest.Session(b, create(b, guardrail.Defaults()...))
	text, reading := []byte("SELECT abalance FROM pgbench_accounts WHERE aid = 4711;"), &proxy.Reading{Dialect: "postgres"}
	op, out := statement(string(text)), &proxy.Outcome{}
	b.ReportAllocs()
	for b.Loop() {
		op.Facts = analyzer.Analyze(context.Background(), text, reading)
		s.Ask(context.Background(), op)
		*out = proxy.Outcome{}
		s.Done(op, out)
	}
}

// TestActions: what APIs call requests, and what their bodies say, is refused by the default pack, and the rest is not.
func TestActions(t *testing.T) {
	s := proxytest.Session(t, create(t, guardrail.Defaults()...))
	action := func(action string, also ...string) *proxy.Request {
		return &proxy.Request{Meta: proxy.Meta{Kind: proxy.KindRequest}, Method: "POST", Path: "/x", Action: action, Also: also}
	}
	for name, want := range map[string]string{
		"namespaces:delete": "no-cluster-loss", "pods:deletecollection": "no-cluster-loss", "deployments.apps:deletecollection": "no-cluster-loss",
		"persistentvolumes:delete": "no-cluster-loss", "clusterrolebindings.rbac.authorization.k8s.io:create": "no-cluster-rights",
		"validatingwebhookconfigurations.admissionregistration.k8s.io:patch": "no-cluster-rights", "serviceaccounts/token:create": "no-cluster-rights",
		"rolebindings.authorization.openshift.io:create": "no-cluster-rights", "securitycontextconstraints.security.openshift.io:patch": "no-cluster-rights",
		"oauthclients.oauth.openshift.io:update": "no-cluster-rights", "groups.user.openshift.io:patch": "no-cluster-rights",
		"useridentitymappings.user.openshift.io:delete":          "no-cluster-rights",
		"subjectaccessreviews.authorization.openshift.io:create": "", "users.user.openshift.io:get": "", "rolebindings.authorization.openshift.io:list": "",
		"pods/eviction:create": "no-cluster-outage",
		"iam:CreateUser":       "no-cloud-rights", "iam:DeactivateMFADevice": "no-cloud-rights", "iam:TagRole": "no-cloud-rights", "iam:ChangePassword": "no-cloud-rights",
		"s3:PutPublicAccessBlock": "no-cloud-rights", "s3:administration": "no-cloud-rights", "lambda:AddLayerVersionPermission": "no-cloud-rights", "ec2:DisableSnapshotBlockPublicAccess": "no-cloud-rights",
		"eks:CreatePodIdentityAssociation": "no-cloud-rights", "ssm:ModifyDocumentPermission": "no-cloud-rights",
		"iam:UploadSSHPublicKey": "no-cloud-keys", "iam:UploadSigningCertificate": "no-cloud-keys", "ecs:ExecuteCommand": "no-cloud-keys", "sts:AssumeRole": "no-cloud-keys",
		"s3:DeleteBucket": "no-cloud-loss", "rds:DeleteDBCluster": "no-cloud-loss", "kms:ScheduleKeyDeletion": "no-cloud-loss",
		"s3:GetPublicAccessBlock": "", "eks:DescribeAccessEntry": "", "iam:ListUsers": "", "iam:GetUser": "", "sts:GetCallerIdentity": "", "s3:DeleteObject": "", "rds:DescribeDBInstances": "",
		"pods:delete": "", "pods:list": "", "clusterroles.rbac.authorization.k8s.io:list": "", "deployments.apps/scale:patch": "", "": "",
	} {
		v := ask(s, action(name))
		require.Equal(t, want != "", v.Refuses(), name)
		require.Equal(t, want, v.Rule, name)
	}
	for _, also := range []string{"scale-to-zero", "cordon", "taint"} {
		require.Equal(t, "no-cluster-outage", ask(s, action("x:patch", "other", also)).Rule)
	}
	only := proxytest.Session(t, create(t, guardrail.Rule{Name: "listed", Only: true, Actions: []string{"pods:*", "*/log:get"}}))
	require.False(t, ask(only, action("pods:list", "scale-to-zero")).Refuses())
	require.False(t, ask(only, action("pods/log:get")).Refuses())
	require.True(t, ask(only, action("secrets:list", "pods:list")).Refuses(), "a further name makes nothing allowed")
	require.True(t, ask(only, action("")).Refuses())
	both := proxytest.Session(t, create(t, guardrail.Rule{Name: "both", Requests: []string{"GET /x"}, Actions: []string{"pods:*"}}))
	require.False(t, ask(both, action("pods:list")).Refuses(), "another method")
}
