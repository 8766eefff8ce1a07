package guardrail_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/guardrail"
	"github.com/sallyport/sallyport/protocol/shell"
	sqlpostgres "github.com/sallyport/sallyport/protocol/sql/postgres"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/proxy/proxytest"
)

// world is what rules ask for, as a test says.
type world struct {
	rows, cost float64
	err        error
	asked      int

	decide proxy.Verdict
	held   []*proxy.Hold
	full   error

	now time.Time
}

func (w *world) Estimate(context.Context, *proxy.Session, *proxy.Statement) (rows, cost float64, err error) {
	w.asked++
	return w.rows, w.cost, w.err
}

func (w *world) Request(_ context.Context, _ *proxy.Session, _ proxy.Op, h *proxy.Hold) (*proxy.Pending, error) {
	if w.full != nil {
		return nil, w.full
	}
	w.held = append(w.held, h)
	return &proxy.Pending{ID: "1", Wait: func(context.Context) proxy.Verdict { return w.decide }}, nil
}

func (w *world) session(t testing.TB, rules ...guardrail.Rule) *proxy.Session {
	t.Helper()
	for i := range rules {
		if rules[i].Name == "" {
			rules[i].Name = "rule"
		}
	}
	g, err := guardrail.New(guardrail.Config{
		Rules: rules, Commands: shell.Grammar{}, Estimators: map[string]guardrail.Estimator{"postgres": w},
		Limiters: map[string]guardrail.Limiter{"postgres": sqlpostgres.Limiter{}},
	})
	require.NoError(t, err)
	s, err := proxytest.Open(&proxy.Gateway{Reviewer: w, Now: func() time.Time { return w.now }}, g)
	require.NoError(t, err)
	t.Cleanup(func() { s.Close(nil) })
	s.Handle(nil, func(op proxy.Op, text []byte) error {
		st := op.(*proxy.Statement)
		st.Text, st.Facts = text, statement(string(text)).Facts
		return nil
	})
	return s
}

func TestEstimates(t *testing.T) {
	many := guardrail.Rule{MoreRows: 1000, Effects: proxy.EffectRead | proxy.EffectDelete}
	for _, c := range []struct {
		name, text string
		w          world
		refused    bool
		asked      int
	}{
		{"few", "SELECT * FROM t", world{rows: 1000}, false, 1},
		{"many", "SELECT * FROM t", world{rows: 1001}, true, 1},
		{"other effect", "INSERT INTO t VALUES (1)", world{rows: 1e9}, false, 0},
		{"no rows", "BEGIN", world{rows: 1e9}, false, 0},
		{"no relation", "SELECT 1", world{rows: 1e9}, false, 0},
		{"a cursor's", "FETCH 10 FROM c", world{rows: 1e9}, false, 0},
		{"not estimable", "SELECT * FROM t", world{err: errors.New("the server makes no plan for it (42P01)")}, true, 1},
		{"several", "SELECT * FROM t; SELECT * FROM t", world{rows: 1}, true, 0},
		{"not understood", "DO $$x$$", world{rows: 1}, true, 0},
		{"a block", "DO $$BEGIN DELETE FROM t WHERE a > 0; END$$", world{rows: 1}, true, 0},
		{"copy", "COPY t TO STDOUT", world{err: errors.New("no plan")}, true, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			rule := many
			if c.name == "copy" {
				rule.Effects = 0
			}
			v := ask(c.w.session(t, rule), statement(c.text))
			require.Equal(t, c.refused, v.Refuses(), v.Message())
			require.Equal(t, c.asked, c.w.asked)
			if c.w.err != nil {
				require.Contains(t, v.Message(), c.w.err.Error(), "the user is told why")
			}
		})
	}

	t.Run("sequences and definitions", func(t *testing.T) {
		w := &world{err: errors.New("the server makes no plan for it (42P01)")}
		some, all := guardrail.Rule{MoreRows: 10, Effects: proxy.EffectUpdate | proxy.EffectDelete}, guardrail.Rule{MoreRows: 10}
		for _, text := range []string{
			"ALTER TABLE t ALTER c SET DEFAULT nextval('s')", "CREATE TABLE t (c int DEFAULT nextval('s'))", "ALTER TABLE t ALTER c SET DEFAULT f()", "CREATE INDEX ON t (f(c))",
			"CREATE SEQUENCE s", "ALTER SEQUENCE s RESTART", "SELECT pg_advisory_lock(1) WHERE false; ALTER SEQUENCE s RESTART",
		} {
			require.False(t, ask(w.session(t, some), statement(text)).Refuses(), text)
			if !strings.Contains(text, ";") {
				require.False(t, ask(w.session(t, all), statement(text)).Refuses(), text)
			}
		}
		for _, text := range []string{"SELECT nextval('s')", "SELECT setval('s', 5)", "SELECT currval('s'), lastval()", "INSERT INTO t SELECT nextval('s')"} {
			require.False(t, ask(w.session(t, some), statement(text)).Refuses(), text)
		}
		require.Zero(t, w.asked)
		for _, text := range []string{"SELECT f()", "CALL p()", "CREATE TABLE u AS SELECT f() FROM t", "SELECT f() INTO u"} {
			require.True(t, ask(w.session(t, all), statement(text)).Refuses(), text)
		}
	})
	t.Run("cost and rows", func(t *testing.T) {
		w := &world{rows: 5000, cost: 10}
		s := w.session(t, guardrail.Rule{MoreRows: 1000, MoreCost: 100})
		require.False(t, ask(s, statement("SELECT * FROM t")).Refuses(), "both must be more")
		w.cost = 101
		require.True(t, ask(s, statement("SELECT * FROM t")).Refuses())
	})
	t.Run("asked once an operation", func(t *testing.T) {
		w := &world{rows: 5000}
		s := w.session(t, guardrail.Rule{Name: "a", MoreRows: 10000}, guardrail.Rule{Name: "b", MoreRows: 20000})
		require.False(t, ask(s, statement("SELECT * FROM t")).Refuses())
		require.Equal(t, 1, w.asked)
	})
	t.Run("warnings do not need it", func(t *testing.T) {
		w := &world{err: errors.New("no plan")}
		v := ask(w.session(t, guardrail.Rule{MoreRows: 1, Action: guardrail.Warn}), statement("SELECT * FROM t"))
		require.False(t, v.Refuses())
		require.Empty(t, v.Warn)
	})
	t.Run("prepared", func(t *testing.T) {
		w := &world{rows: 5000}
		s := w.session(t, many)
		st := statement("SELECT * FROM t WHERE a = $1")
		st.Kind = proxy.KindPrepare
		require.False(t, ask(s, st).Refuses(), "it is asked when it runs, with its arguments")
		st = statement("SELECT * FROM t WHERE a = $1")
		require.True(t, ask(s, st).Refuses())
	})
	t.Run("nobody to ask", func(t *testing.T) {
		g, err := guardrail.New(guardrail.Config{Rules: []guardrail.Rule{{Name: "x", MoreRows: 1}}})
		require.NoError(t, err)
		v := ask(proxytest.Session(t, g), statement("SELECT * FROM t"))
		require.True(t, v.Refuses())
		require.Contains(t, v.Message(), "rows and costs cannot be estimated")
	})
	// A name may mean another table than the one that another connection finds.
	for _, text := range []string{
		"SET search_path = other", "SELECT set_config('search_path', 'other', false)", "CREATE TEMP TABLE t (a int)", "SELECT f()", "SET ROLE bob", "RESET ALL",
	} {
		t.Run("after "+text, func(t *testing.T) {
			w := &world{rows: 1}
			s := w.session(t, guardrail.Rule{MoreRows: 1000, Relations: []string{"t", "u"}})
			require.False(t, ask(s, statement("SELECT * FROM t")).Refuses())
			require.False(t, ask(s, statement(text)).Refuses())
			v := ask(s, statement("SELECT * FROM t"))
			require.True(t, v.Refuses())
			require.Contains(t, v.Message(), "write table names with their schema")
			require.False(t, ask(s, statement("SELECT * FROM public.t")).Refuses())
			require.True(t, ask(s, statement("SELECT * FROM public.t, u")).Refuses())
		})
	}
}

// What the resource could not read has given no name another meaning.
func TestEstimatesAfterTextsThatWereNotRead(t *testing.T) {
	w := &world{rows: 1}
	s := w.session(t, guardrail.Rule{MoreRows: 1000, Relations: []string{"t"}})
	run := func(text string, out proxy.Outcome) {
		op := statement(text)
		require.False(t, ask(s, op).Refuses(), text)
		s.Done(op, &out)
	}
	refused := func() bool { return ask(s, statement("SELECT * FROM t")).Refuses() }
	run("SELECT f(", proxy.Outcome{Err: errors.New("a syntax error")})
	require.False(t, refused(), "it is certain to be one")
	run("SELECT f()", proxy.Outcome{Unread: true})
	run("SELECT f()", proxy.Outcome{Unread: true})
	require.False(t, refused())
	run("SELECT f()", proxy.Outcome{Code: "42601"})
	run("SELECT f()", proxy.Outcome{Unread: true})
	require.True(t, refused(), "a function may claim a syntax error")
}

// What ran under a revision without guardrails may have given names another meaning.
func TestEstimatesAfterRevisionWithout(t *testing.T) {
	w := &world{rows: 1}
	guard := func() proxy.Interceptor {
		g, err := guardrail.New(guardrail.Config{
			Rules: []guardrail.Rule{{Name: "rule", MoreRows: 1000, Relations: []string{"t"}}}, Estimators: map[string]guardrail.Estimator{"postgres": w},
		})
		require.NoError(t, err)
		return g
	}
	const query, path = "SELECT * FROM t", "SET search_path = other"
	for name, c := range map[string]struct {
		revisions []bool // with guardrails
		texts     []string
		refused   bool // the last
	}{
		"always guarded":             {[]bool{true, true, true}, []string{query, query, query}, false},
		"moved while guarded":        {[]bool{true, true, true}, []string{query, path, query}, true},
		"moved in between":           {[]bool{true, false, true}, []string{query, path, query}, true},
		"moved before":               {[]bool{false, true}, []string{path, query}, true},
		"moved in between, and then": {[]bool{true, false, true, true}, []string{query, path, "SELECT 1", query}, true},
	} {
		t.Run(name, func(t *testing.T) {
			interceptors := func(i int) (list []proxy.Interceptor) {
				if c.revisions[i] {
					list = append(list, guard())
				}
				return list
			}
			g := &proxy.Gateway{}
			s, err := proxytest.Open(g, interceptors(0)...)
			require.NoError(t, err)
			defer s.Close(nil)
			v := ask(s, statement(c.texts[0]))
			for i, text := range c.texts[1:] {
				require.NoError(t, g.Use(&proxy.Revision{Interceptors: append([]proxy.Interceptor{proxytest.Allow{}}, interceptors(i+1)...)}))
				v = ask(s, statement(text))
			}
			require.Equal(t, c.refused, v.Refuses(), v.Message())
		})
	}
}

func TestRewrite(t *testing.T) {
	bound := guardrail.Rule{Name: "bound", NoLimit: true, Action: guardrail.Rewrite, Limit: 100}
	w := &world{}
	for text, want := range map[string]string{
		"SELECT * FROM t -- x":                       "SELECT * FROM t LIMIT 100 -- x",
		"SELECT * FROM t LIMIT 5":                    "SELECT * FROM t LIMIT 5",
		"FETCH 10 FROM c":                            "FETCH 10 FROM c",
		"SHOW ALL":                                   "SHOW ALL",
		"EXPLAIN SELECT * FROM t":                    "EXPLAIN SELECT * FROM t",
		"BEGIN":                                      "BEGIN",
		"DELETE FROM t WHERE a=1 RETURNING":          "",
		"UPDATE t SET a = 1 WHERE b = 2 RETURNING a": "UPDATE t SET a = 1 WHERE b = 2 RETURNING a",
	} {
		st := statement(text)
		v := ask(w.session(t, bound), st)
		if want == "" {
			require.True(t, v.Refuses(), text)
			continue
		}
		require.False(t, v.Refuses(), "%s: %s", text, v.Message())
		require.Equal(t, want, string(st.Text))
		require.Equal(t, want != text, st.Rewritten)
		if want != text {
			require.Contains(t, v.Warn, "no more than 100 rows")
		}
	}
	for _, text := range []string{
		"SELECT * FROM t FOR UPDATE", "SELECT f(a) FROM t", "SELECT nextval('s') FROM t", "SELECT 1; SELECT * FROM t", "FETCH ALL FROM c",
		"WITH d AS (DELETE FROM t WHERE a = 1 RETURNING *) SELECT * FROM d", "nonsense", "DO $$x$$",
	} {
		v := ask(w.session(t, bound), statement(text))
		require.True(t, v.Refuses(), text)
		require.Equal(t, "bound", v.Rule)
		require.Equal(t, proxy.CauseGuardrail, v.Cause)
	}
	// The lowest limit is added, whatever the order, and the rest is asked of the
	// new text.
	lower := guardrail.Rule{Name: "lower", NoLimit: true, Action: guardrail.Rewrite, Limit: 7, Relations: []string{"t"}}
	warn := guardrail.Rule{Name: "warn", NoLimit: true, Action: guardrail.Warn, Message: "unbounded"}
	deny := guardrail.Rule{Name: "deny", Relations: []string{"t"}}
	for _, rules := range [][]guardrail.Rule{{bound, lower, warn}, {warn, lower, bound}} {
		st := statement("SELECT * FROM t")
		v := ask(w.session(t, rules...), st)
		require.Equal(t, "SELECT * FROM t LIMIT 7", string(st.Text))
		require.NotContains(t, v.Warn, "unbounded")
	}
	for _, rules := range [][]guardrail.Rule{{bound, deny}, {deny, bound}} {
		st := statement("SELECT * FROM t")
		require.Equal(t, "deny", ask(w.session(t, rules...), st).Rule)
		require.False(t, st.Rewritten)
	}
	g, err := guardrail.New(guardrail.Config{Rules: []guardrail.Rule{bound}})
	require.NoError(t, err)
	require.True(t, ask(proxytest.Session(t, g), statement("SELECT * FROM t")).Refuses(), "without a limiter nothing runs unbounded")
}

func TestHold(t *testing.T) {
	one := guardrail.Rule{Name: "one", Effects: proxy.EffectDelete, Action: guardrail.Hold, Approvers: []string{"ops"}, For: time.Hour, Message: "deletes are looked at"}
	two := guardrail.Rule{Name: "two", Relations: []string{"t"}, Action: guardrail.Hold, Approvers: []string{"dba", "leads"}, For: time.Minute, InTransaction: time.Hour}
	deny := guardrail.Rule{Name: "deny", Relations: []string{"t"}}
	warn := guardrail.Rule{Name: "warn", Relations: []string{"t"}, Action: guardrail.Warn, Message: "careful"}
	const text = "DELETE FROM t WHERE a = 1"

	t.Run("approved", func(t *testing.T) {
		w := &world{decide: proxy.Verdict{Action: proxy.ActionAllow, Rule: "one", Grant: "req-1"}}
		v := ask(w.session(t, one, warn), statement(text))
		require.False(t, v.Refuses())
		require.Equal(t, "req-1", v.Grant)
		require.Equal(t, []*proxy.Hold{{Rules: []string{"one"}, Message: "deletes are looked at", Approvers: [][]string{{"ops"}}, For: time.Hour}}, w.held)
		require.Contains(t, v.Warn, "careful")
	})
	t.Run("denied", func(t *testing.T) {
		w := &world{decide: proxy.Deny(proxy.CauseDenied, "one", "no", "")}
		require.True(t, ask(w.session(t, one), statement(text)).Refuses())
	})
	t.Run("no decision", func(t *testing.T) {
		require.True(t, ask((&world{}).session(t, one), statement(text)).Refuses())
	})
	t.Run("several rules", func(t *testing.T) {
		for _, rules := range [][]guardrail.Rule{{one, two}, {two, one}} {
			w := &world{decide: proxy.Allow("x")}
			ask(w.session(t, rules...), statement(text))
			require.Len(t, w.held, 1, "one request")
			require.ElementsMatch(t, []string{"one", "two"}, w.held[0].Rules)
			require.ElementsMatch(t, [][]string{{"ops"}, {"dba", "leads"}}, w.held[0].Approvers)
			require.Equal(t, time.Minute, w.held[0].For, "the shortest")
			require.Equal(t, proxy.DefaultInTransaction, w.held[0].InTransaction, "the shortest")
		}
	})
	t.Run("a deny wins", func(t *testing.T) {
		for _, rules := range [][]guardrail.Rule{{one, deny}, {deny, one}} {
			w := &world{decide: proxy.Allow("x")}
			require.Equal(t, "deny", ask(w.session(t, rules...), statement(text)).Rule)
			require.Empty(t, w.held, "nobody is bothered")
		}
	})
	t.Run("not understood", func(t *testing.T) {
		w := &world{decide: proxy.Allow("x")}
		require.False(t, ask(w.session(t, one), statement("DO $$x$$")).Refuses())
		require.NotEmpty(t, w.held[0].Blind, "who decides is told")
	})
	t.Run("prepared", func(t *testing.T) {
		w := &world{decide: proxy.Allow("x")}
		s := w.session(t, one)
		st := statement("DELETE FROM t WHERE a = $1")
		st.Kind = proxy.KindPrepare
		require.False(t, ask(s, st).Refuses())
		require.Empty(t, w.held, "what is prepared is held when it runs, with its arguments")
		require.False(t, ask(s, statement("DELETE FROM t WHERE a = $1")).Refuses())
		require.Len(t, w.held, 1)
	})
	t.Run("rewritten first", func(t *testing.T) {
		w := &world{decide: proxy.Allow("x")}
		limit := guardrail.Rule{Name: "limit", NoLimit: true, Action: guardrail.Rewrite, Limit: 3}
		read := guardrail.Rule{Name: "read", Effects: proxy.EffectRead, Action: guardrail.Hold, Approvers: []string{"ops"}}
		st := statement("SELECT * FROM t")
		require.False(t, ask(w.session(t, read, limit), st).Refuses())
		require.Len(t, w.held, 1, "the text that runs is the one that was held")
		require.True(t, st.Rewritten)
	})
	t.Run("nobody takes requests", func(t *testing.T) {
		g, err := guardrail.New(guardrail.Config{Rules: []guardrail.Rule{one}})
		require.NoError(t, err)
		require.True(t, ask(proxytest.Session(t, g), statement(text)).Refuses())
		w := &world{full: errors.New("too many operations wait for a decision")}
		v := ask(w.session(t, one), statement(text))
		require.True(t, v.Refuses())
		require.Equal(t, proxy.CauseApproval, v.Cause)
		require.Contains(t, v.Message(), "too many")
	})
}

func TestHours(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	require.NoError(t, err)
	weekdays, err := guardrail.ParseDays([]string{"mon-fri"})
	require.NoError(t, err)
	weekend, err := guardrail.ParseDays([]string{"fri-sun", "Sat"})
	require.NoError(t, err)
	for _, c := range []struct {
		name  string
		hours guardrail.Hours
		at    string
		want  bool
	}{
		{"in the day", guardrail.Hours{Days: weekdays, From: 540, To: 1020, Zone: berlin}, "2026-11-25T08:00:00Z", true},
		{"before, by the wall", guardrail.Hours{Days: weekdays, From: 540, To: 1020, Zone: berlin}, "2026-11-25T07:59:59Z", false},
		{"summer", guardrail.Hours{Days: weekdays, From: 540, To: 1020, Zone: berlin}, "2026-07-01T07:00:00Z", true},
		{"at its end", guardrail.Hours{From: 540, To: 1020}, "2026-11-25T17:00:00Z", false},
		{"weekend", guardrail.Hours{Days: weekdays, From: 540, To: 1020}, "2026-11-28T12:00:00Z", false},
		{"sunday", guardrail.Hours{Days: weekend}, "2026-11-29T12:00:00Z", true},
		{"monday", guardrail.Hours{Days: weekend}, "2026-11-30T12:00:00Z", false},
		{"over midnight, evening", guardrail.Hours{Days: weekend, From: 1320, To: 360}, "2026-11-29T23:00:00Z", true},
		{"over midnight, belongs to sunday", guardrail.Hours{Days: weekend, From: 1320, To: 360}, "2026-11-30T05:59:00Z", true},
		{"over midnight, of thursday", guardrail.Hours{Days: weekend, From: 1320, To: 360}, "2026-11-27T05:59:00Z", false},
		{"whole day", guardrail.Hours{Days: weekend, From: 0, To: 1440}, "2026-11-28T23:59:59Z", true},
	} {
		at, err := time.Parse(time.RFC3339, c.at)
		require.NoError(t, err)
		require.Equal(t, c.want, c.hours.Contains(at), c.name)
		w := &world{now: at}
		during := ask(w.session(t, guardrail.Rule{Effects: proxy.EffectDrop, During: &c.hours}), statement("DROP TABLE t"))
		require.Equal(t, c.want, during.Refuses(), c.name)
		outside := ask(w.session(t, guardrail.Rule{Effects: proxy.EffectDrop, Outside: &c.hours}), statement("DROP TABLE t"))
		require.Equal(t, !c.want, outside.Refuses(), c.name)
	}
	for _, s := range []string{"", "9-17", "09:00", "09:00-25:00", "x-y"} {
		_, _, err := guardrail.ParseTimes(s)
		require.Error(t, err, s)
	}
	_, err = guardrail.ParseDays([]string{"monday"})
	require.Error(t, err)
}

func TestOnly(t *testing.T) {
	s := (&world{}).session(t, guardrail.Rule{Only: true, Commands: []string{"ls", "systemctl status *", "tail -n * /var/log/*", "git log ...", "/usr/bin/id", "sftp"}})
	for command, want := range map[string]bool{
		"ls": true, "ls -l /etc": true, "ls $X": true, "ls | ls": true, "systemctl status nginx": true, "tail -n 5 /var/log/syslog": true, "git log --oneline -5": true, "/usr/bin/id -u": true,
		"rm x": false, "ls; rm x": false, "ls $(rm x)": false, "ls > /etc/x": false, "/tmp/ls": false, "systemctl stop nginx": false, "systemctl status": false,
		"systemctl status nginx --now": false, "systemctl stop status": false, "systemctl status $X": false, "tail -n 5 /var/log/../../etc/shadow": false, "git push": false, "id": false,
		"sudo ls": false, "sh -c ls": false, "PATH=/tmp ls": false, "$X": false, "": false, "alias ls=rm; ls": false, "ls\nrm x": false, "git log $X": true, "xargs ls": false,
		"ls 2>/dev/null": true, "ls > /dev/null 2>&1": true, "ls >> /dev/null": true, "ls 2> /dev/sda": false, "ls > /dev/null/../x": false, "ls > null": false,
		// What a variable holds is not what the text says, however it comes to hold it.
		"X=nginx; systemctl status $X": false, "for i in 1 2; do systemctl $X nginx; X=stop; done": false, "X=status; while ls; do systemctl $X nginx; X=stop; done": false,
		"X=status; ls && X=stop; systemctl $X nginx": false, "X=status; ls || X=stop; systemctl $X nginx": false, "X=stop; X=status & systemctl $X nginx": false,
		"f() { systemctl $1 nginx; }; f stop": false, "ls() { rm x; }; ls": false, "set status; systemctl $1 nginx": false, "systemctl {status,stop} nginx": false,
		"python3 -c 1": false, "echo ls | xargs": false, "eval ls": false, "ls <(rm x)": false, "ls `rm x`": false,
	} {
		v := ask(s, execute(command))
		require.Equal(t, want, !v.Refuses(), "%q: %s", command, v.Message())
	}
	for kind, want := range map[proxy.Kind]bool{proxy.KindShell: false, proxy.KindInput: true} {
		require.Equal(t, want, !ask(s, &proxy.Exec{Meta: proxy.Meta{Kind: kind}}).Refuses(), kind)
	}
	require.False(t, ask(s, &proxy.Exec{Meta: proxy.Meta{Kind: proxy.KindSubsystem}, Command: "sftp"}).Refuses())
	require.True(t, ask(s, &proxy.Exec{Meta: proxy.Meta{Kind: proxy.KindSubsystem}, Command: "netconf"}).Refuses())

	s = (&world{}).session(t, guardrail.Rule{Only: true, Paths: []string{"/srv/data", "/srv/*.txt", "upload"}})
	for name, want := range map[string]bool{
		"/srv/data": true, "/srv/data/x/y": true, "/srv/a.txt": true, "upload/x": true, "upload": true,
		"/etc/passwd": false, "/srv": false, "/srv/data/../x": false, "srv/data": false, "/srv/database": false, "../upload": false, "..": false, "/upload/x": false, "": false,
	} {
		file := &proxy.File{Meta: proxy.Meta{Kind: proxy.KindFile}, Action: proxy.FileOpenRead, Path: name}
		require.Equal(t, want, !ask(s, file).Refuses(), name)
		rename := &proxy.File{Meta: proxy.Meta{Kind: proxy.KindFile}, Action: proxy.FileRename, Path: "/srv/data/a", Target: name}
		if name != "" {
			require.Equal(t, want, !ask(s, rename).Refuses(), name)
		}
	}

	s = (&world{}).session(t, guardrail.Rule{Only: true, Requests: []string{"GET /", "POST /api/orders"}})
	for request, want := range map[[2]string]bool{
		{"GET", "/"}: true, {"GET", "/a/b"}: true, {"get", "/a/"}: true, {"POST", "/api/orders"}: true, {"POST", "/api/orders/1"}: true,
		{"POST", "/api/users"}: false, {"DELETE", "/a"}: false, {"POST", "/api/orders/../users"}: false, {"POST", "/api//orders"}: false, {"POST", "/api/orders2"}: false,
	} {
		r := &proxy.Request{Meta: proxy.Meta{Kind: proxy.KindRequest}, Method: request[0], Path: request[1]}
		require.Equal(t, want, !ask(s, r).Refuses(), "%v", request)
	}
	require.False(t, ask(s, statement("DROP TABLE t")).Refuses(), "a list is about its own kind of operations")
}
