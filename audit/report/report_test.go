package report

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/internal/spreadsheet"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/proxy/proxytest"
)

// noDrops refuses statements that drop something.
type noDrops struct{}

func (noDrops) Name() string { return "no-drops" }

func (noDrops) Intercept(context.Context, *proxy.Session) (proxy.Hooks, error) {
	return proxy.Hooks{Ask: func(_ context.Context, op proxy.Op) proxy.Verdict {
		if s, ok := op.(*proxy.Statement); ok && strings.HasPrefix(string(s.Text), "DROP") {
			return proxy.Deny(proxy.CausePolicy, "no-drops", "nothing may be dropped", "")
		}
		return proxy.Pass()
	}}, nil
}

// recorded makes a log with a session of two statements, one of them refused, one
// that was erased, and an administrator's action.
func recorded(t *testing.T) (a *audit.Archive, kept, erased string) {
	t.Helper()
	return recordedIn(t, t.TempDir())
}

func recordedIn(t *testing.T, dir string) (a *audit.Archive, kept, erased string) {
	t.Helper()
	l, err := audit.Open(dir, audit.Config{Log: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	run := func(texts ...string) string {
		s, err := proxytest.Open(&proxy.Gateway{}, noDrops{}, l)
		require.NoError(t, err)
		for _, text := range texts {
			op := proxytest.Statement(text, proxy.EffectRead)
			v := s.Ask(t.Context(), op)
			s.Done(op, &proxy.Outcome{Verdict: v})
		}
		s.Close(nil)
		return s.ID
	}
	kept = run("SELECT 1", `DROP TABLE "<script>alert(1)</script>"`)
	erased = run("SELECT 2")
	require.NoError(t, l.Act(audit.Action{Type: audit.AdminList, By: &proxy.Identity{Subject: "=root"}}))
	require.NoError(t, l.Close())
	l, err = audit.Open(dir, audit.Config{Log: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	require.NoError(t, l.Erase(audit.Action{By: &proxy.Identity{Subject: "root"}, Session: erased, Reason: "asked for"}))
	require.NoError(t, l.Close())
	a, err = audit.OpenArchive(dir)
	require.NoError(t, err)
	return a, kept, erased
}

func today(t *testing.T) Period {
	t.Helper()
	p, err := Days("", "", time.Now().Add(time.Minute))
	require.NoError(t, err)
	return p
}

func TestRead(t *testing.T) {
	a, kept, erased := recorded(t)
	told := 0
	r, err := Read(t.Context(), a, today(t), func(done, all int) {
		require.LessOrEqual(t, done, all)
		told++
	})
	require.NoError(t, err)
	require.Greater(t, told, 2, "how many are verified, and how many are read")
	require.Empty(t, r.Proof.Problems)
	require.Equal(t, 1, r.Proof.Erased)
	require.True(t, strings.HasPrefix(r.Entries[0].What, "the content was erased"), "what has no time comes first")
	require.Equal(t, erased, r.Entries[0].Session)
	got := map[Kind][]Entry{}
	for _, x := range r.Entries {
		got[x.Kind] = append(got[x.Kind], x)
	}
	require.Len(t, got[Access], 1, "the erased session tells nothing else")
	x := got[Access][0]
	require.Equal(t, []any{kept, "alice", []string{"dev"}, "shop", []string{"proxytest"}, uint64(1)}, []any{x.Session, x.User, x.Groups, x.Resource, x.Rules, x.Count})
	require.Len(t, got[Denied], 1)
	x = got[Denied][0]
	require.Equal(t, []any{kept, "alice", []string{"no-drops"}, "no-drops"}, []any{x.Session, x.User, x.Rules, x.By})
	require.Contains(t, x.What, "nothing may be dropped")
	require.Len(t, got[Administration], 2)
	require.Equal(t, []string{"=root", "root", erased}, []string{got[Administration][0].By, got[Administration][1].By, got[Administration][1].Session})

	past, err := Days("2001-01-01", "2001-01-31", time.Now())
	require.NoError(t, err)
	r, err = Read(t.Context(), a, past, nil)
	require.NoError(t, err)
	require.Len(t, r.Entries, 1, "what was erased is listed always")
	require.Equal(t, Erased, r.Entries[0].Kind)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = Read(ctx, a, past, nil)
	require.ErrorIs(t, err, context.Canceled)
}

// Each event of the gateway's own record and of a session's answers its question.
// What cannot be read whole, or is missing, is listed, and everything else is reported.
func TestUnreadableIsListed(t *testing.T) {
	for name, change := range map[string]func(file string, b []byte) error{
		"cut":     func(file string, b []byte) error { return os.WriteFile(file, b[:len(b)-1], 0o600) },
		"altered": func(file string, b []byte) error { b[len(b)/2] ^= 1; return os.WriteFile(file, b, 0o600) },
		"gone":    func(file string, _ []byte) error { return os.Remove(file) },
		"without its key": func(file string, _ []byte) error {
			return os.WriteFile(strings.TrimSuffix(file, ".rec")+".key", []byte("not a key of this session's at all"), 0o600)
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			a, kept, erased := recordedIn(t, dir)
			list, err := filepath.Glob(filepath.Join(dir, "sessions", "*", kept+".rec"))
			require.NoError(t, err)
			require.Len(t, list, 1)
			b, err := os.ReadFile(list[0])
			require.NoError(t, err)
			require.NoError(t, change(list[0], b))
			for _, p := range []Period{today(t), {}} {
				r, err := Read(t.Context(), a, p, nil)
				require.NoError(t, err)
				require.Equal(t, 1, r.Incomplete())
				kinds := map[Kind]string{}
				for _, x := range r.Entries {
					kinds[x.Kind] = x.Session
				}
				require.Equal(t, kept, kinds[Unreadable])
				require.Equal(t, erased, kinds[Erased])
				_, administered := kinds[Administration]
				require.Equal(t, p != Period{}, administered)
				var page bytes.Buffer
				_, err = r.WriteHTML(&page, 1, nil)
				require.NoError(t, err)
				require.Contains(t, page.String(), "Not readable")
			}
		})
	}
}

// What cannot be verified is a problem of the report, and what can be read is reported.
func TestNotAsSealed(t *testing.T) {
	for name, change := range map[string]func(t *testing.T, dir string){
		"the gateway's own records": func(t *testing.T, dir string) {
			a, err := audit.OpenArchive(dir)
			require.NoError(t, err)
			ids, err := a.Sessions()
			require.NoError(t, err)
			for _, id := range ids {
				for e, err := range a.Events(id) {
					if err == nil && e.Type == audit.GatewayStart {
						list, err := filepath.Glob(filepath.Join(dir, "sessions", "*", id+".rec"))
						require.NoError(t, err)
						b, err := os.ReadFile(list[0])
						require.NoError(t, err)
						b[len(b)/2] ^= 1
						require.NoError(t, os.WriteFile(list[0], b, 0o600))
					}
					break
				}
			}
		},
		"the signed head": func(t *testing.T, dir string) {
			require.NoError(t, os.Remove(filepath.Join(dir, "log", "checkpoint")))
		},
		"the public key": func(t *testing.T, dir string) {
			require.NoError(t, os.WriteFile(filepath.Join(dir, "log", "key.pub"), []byte("nonsense"), 0o600))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			a, kept, _ := recordedIn(t, dir)
			change(t, dir)
			r, err := Read(t.Context(), a, today(t), nil)
			require.NoError(t, err)
			require.NotEmpty(t, r.Proof.Problems)
			found := false
			for _, x := range r.Entries {
				found = found || x.Kind == Access && x.Session == kept
			}
			require.True(t, found)
			var page bytes.Buffer
			_, err = r.WriteHTML(&page, 1, nil)
			require.NoError(t, err)
			require.Contains(t, page.String(), "NOT AS SEALED")
		})
	}
}

func TestGather(t *testing.T) {
	const now, end = "2026-01-31T09:30:00.000000Z", "2026-01-31T09:31:00.000000Z"
	p, err := Days("2026-01-31", "2026-01-31", time.Time{})
	require.NoError(t, err)
	start := audit.Event{Type: audit.SessionStart, Time: now, User: "alice", Method: "password", Remote: "192.0.2.1:5", Resource: "shop", For: "bob"}
	of := func(x Entry) Entry {
		x.Time, x.User, x.Method, x.Address, x.Resource, x.Session = now, "alice", "password", "192.0.2.1", "shop", "own"
		return x
	}
	session := func(rules []string, count uint64) Entry {
		return of(Entry{Kind: Access, Ended: "open", What: "on behalf of bob", Rules: rules, Count: count})
	}
	asked := func(kind, name, text, effects string) []audit.Event {
		return []audit.Event{start, {Type: audit.OperationStart, Op: 1, Kind: kind, Name: name, Text: text, Effects: effects}, {Type: audit.OperationEnd, Op: 1, Rule: "r", Rows: 3}}
	}
	did := func(kind Kind, what string) []Entry {
		return []Entry{session([]string{"r"}, 1), of(Entry{Kind: kind, What: what, Rules: []string{"r"}, Count: 3, Ended: "done"})}
	}
	for _, c := range []struct {
		name   string
		events []audit.Event
		want   []Entry
	}{
		{
			"an approval",
			[]audit.Event{{Type: audit.ReviewPrefix + "approved", Request: "r1", Reason: "fine", User: "bob", DecidedBy: "alice", Session: "s"}},
			[]Entry{{Kind: Approval, Time: now, User: "bob", By: "alice", Session: "s", What: "approved r1 fine"}},
		},
		{
			"logins that failed",
			[]audit.Event{
				{Type: audit.GatewayPrefix + "login-failed", User: "mallory", Error: "authentication failed", Protocol: "ssh", Remote: "[2001:db8::1]:7"},
				{Type: audit.GatewayPrefix + "login-failed", User: "mallory", Error: "authentication failed", Protocol: "ssh", Remote: "[2001:db8::1]:8", Time: end, Count: 5},
				{Type: audit.GatewayPrefix + "login-failed", User: "mallory", Error: "authentication failed", Protocol: "ssh", Remote: "192.0.2.9:8"},
			},
			[]Entry{
				{Kind: LoginFailed, Time: now, Until: now, User: "mallory", Address: "192.0.2.9", What: "ssh: authentication failed", Count: 1},
				{Kind: LoginFailed, Time: now, Until: end, User: "mallory", Address: "2001:db8::1", What: "ssh: authentication failed", Count: 6},
			},
		},
		{
			"a connection that failed",
			[]audit.Event{{Type: audit.GatewayPrefix + "connection-failed", Error: "EOF", Protocol: "ssh", Remote: "192.0.2.9:8"}},
			[]Entry{{Kind: Failed, Time: now, Until: now, Address: "192.0.2.9", What: "ssh: EOF", Count: 1}},
		},
		{
			"a session that was refused",
			[]audit.Event{{Type: audit.GatewayPrefix + "session-refused", User: "eve", Resource: "shop", Error: "no access", Remote: "192.0.2.9:8"}},
			[]Entry{{Kind: Denied, Time: now, User: "eve", Resource: "shop", Address: "192.0.2.9", Session: "own", What: "gateway.session-refused: no access"}},
		},
		{
			"a login",
			[]audit.Event{{Type: audit.GatewayPrefix + "login", User: "alice", Groups: []string{"dev"}, Method: "password", Remote: "/run/socket"}},
			[]Entry{{Kind: Login, Time: now, Until: now, User: "alice", Groups: []string{"dev"}, Method: "password", Address: "/run/socket", Count: 1}},
		},
		{"an expiry", []audit.Event{{Type: audit.RecordExpired, Session: "s"}}, []Entry{{Kind: Administration, Time: now, Session: "s", What: "record.expired"}}},
		{
			"configurations: the last one before the period, and those in it",
			[]audit.Event{
				{Type: audit.GatewayConfig, Config: "c0", Policy: "p0", Time: "2026-01-29T00:00:00.000000Z"},
				{Type: audit.GatewayConfig, Config: "c1", Policy: "p1", Time: "2026-01-30T00:00:00.000000Z"},
				{Type: audit.GatewayConfig, Config: "c2", Policy: "p2"},
				{Type: audit.GatewayConfig, Config: "c3", Policy: "p3", Time: "2026-02-01T00:00:00.000000Z"},
			},
			[]Entry{
				{Kind: Configuration, Time: now, Session: "own", What: "configuration c2, rules p2"},
				{Kind: Configuration, Time: "2026-01-30T00:00:00.000000Z", Session: "own", What: "configuration c1, rules p1"},
			},
		},
		{"what was seen unmasked", []audit.Event{start, {Type: audit.SessionUnmasked, Rule: "people"}}, []Entry{
			of(Entry{Kind: Unmasked, Rules: []string{"people"}, What: "the rule's exception let the user see what it masks for others"}), session(nil, 0),
		}},
		{"rules and grants, each once", []audit.Event{
			start,
			{Type: audit.OperationStart, Op: 1, Kind: "connect"},
			{Type: audit.OperationEnd, Op: 1, Rule: "a"},
			{Type: audit.OperationStart, Op: 2, Kind: "exec", Text: "id"},
			{Type: audit.OperationEnd, Op: 2, Rule: "a", Grant: "g", Code: "1", Error: "failed"},
		}, []Entry{of(Entry{Kind: Command, What: "exec id", Rules: []string{"a", "g"}, Ended: "1 failed"}), session([]string{"a", "g"}, 1)}},
		{"a session that ended", []audit.Event{start, {Type: audit.SessionEnd, Time: end}}, []Entry{
			of(Entry{Kind: Access, Until: end, Ended: "ended", What: "on behalf of bob"}),
		}},
		{"a session that was ended", []audit.Event{start, {Type: audit.SessionEnd, Time: end, Error: "killed"}}, []Entry{
			of(Entry{Kind: Access, Until: end, Ended: "killed", What: "on behalf of bob"}),
		}},
		{"masked values", []audit.Event{
			start,
			{Type: audit.OperationEnd, Op: 1, Masked: map[string]uint64{"EMAIL": 2}},
			{Type: audit.OperationEnd, Op: 2, Masked: map[string]uint64{"EMAIL": 1, "CARD": 4}},
		}, []Entry{of(Entry{Kind: Masked, What: "CARD", Count: 4}), of(Entry{Kind: Masked, What: "EMAIL", Count: 3}), session(nil, 0)}},
		{"what only reads", asked("statement", "", "SELECT 1", "read"), []Entry{session([]string{"r"}, 1)}},
		{"a write", asked("statement", "", "DELETE FROM t", "read,delete"), did(Write, "DELETE FROM t")},
		{"a call", asked("statement", "", "SELECT f()", "read,call"), did(Write, "SELECT f()")},
		{"what is not understood", asked("statement", "", "FROB", "unknown"), did(Write, "FROB")},
		{"a function", asked("function", "", "lo_unlink", ""), did(Write, "function lo_unlink")},
		{"a table made of another", asked("statement", "", "CREATE TABLE a AS SELECT 1", "read,insert,create"), did(Definition, "CREATE TABLE a AS SELECT 1")},
		{"a role that is dropped", asked("statement", "", "DROP ROLE r", "drop,grant"), did(Rights, "DROP ROLE r")},
		{"a copy", asked("statement", "", "COPY t TO STDOUT", "read,copy-out"), did(CopiedOut, "COPY t TO STDOUT")},
		{"a file", asked("file", "write", "/etc/hosts", ""), did(File, "write /etc/hosts")},
		{"a look at a file", asked("file", "stat", "/etc/hosts", ""), []Entry{session([]string{"r"}, 1)}},
		{"a line", asked("input", "", "ls", ""), did(Command, "input ls")},
		{"a tool", asked("tool", "search", "", ""), did(Command, "tool search")},
		{"preparing", asked("prepare", "p", "DELETE FROM t", "delete"), []Entry{session([]string{"r"}, 1)}},
		{"no end", asked("exec", "", "sleep 9", "")[:2], []Entry{session(nil, 1), of(Entry{Kind: Command, What: "exec sleep 9", Ended: "the record has no end of it"})}},
		{"refused", []audit.Event{start, {Type: audit.OperationRefused, Op: 1, Kind: "statement", Text: "DROP TABLE t", By: "guardrails", Rule: "no-drop", Reason: "never"}}, []Entry{
			of(Entry{Kind: Denied, What: "DROP TABLE t\nnever", By: "guardrails", Rules: []string{"no-drop"}}), session(nil, 0),
		}},
		{"another day", []audit.Event{{Type: audit.AdminKill, Time: "2026-02-01T00:00:00.000000Z", User: "root"}}, nil},
		{"no time", []audit.Event{{Type: audit.AdminKill, Time: "never", User: "root"}}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := gatherer{collector: newCollector(p), id: "own"}
			for i := range c.events {
				if c.events[i].Time == "" {
					c.events[i].Time = now
				}
				require.True(t, g.event(&c.events[i]))
			}
			g.finish(nil)
			require.ElementsMatch(t, c.want, g.entries())
		})
	}
	g := gatherer{collector: newCollector(p)}
	start.Time = "2026-01-30T23:59:59.999999Z"
	require.False(t, g.event(&start), "a session counts by its beginning")
}

func TestDays(t *testing.T) {
	now := time.Date(2026, 1, 31, 23, 30, 0, 0, time.FixedZone("", -3600)) // already tomorrow in UTC
	date := func(year int, month time.Month, day int) time.Time {
		return time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
	}
	for _, c := range []struct {
		name, first, last string
		want              Period
		err               string
	}{
		{"a month", "2026-01-01", "2026-01-31", Period{date(2026, 1, 1), date(2026, 2, 1)}, ""},
		{"one day", "2026-01-01", "2026-01-01", Period{date(2026, 1, 1), date(2026, 1, 2)}, ""},
		{"nothing said", "", "", Period{date(2026, 1, 2), date(2026, 2, 2)}, ""},
		{"not a day", "yesterday", "", Period{}, `the first day of the period is "yesterday", which is not a day`},
		{"not a day either", "", "2026-02-30", Period{}, `the last day of the period is "2026-02-30", which is not a day`},
		{"backwards", "2026-01-02", "2026-01-01", Period{}, "the period ends on 2026-01-01, before it begins on 2026-01-02"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := Days(c.first, c.last, now)
			require.Equal(t, c.want, p)
			if c.err == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, c.err)
			}
		})
	}
}

// No text of a user's breaks out of a page or a spreadsheet.
func TestWrite(t *testing.T) {
	a, _, _ := recorded(t)
	r, err := Read(t.Context(), a, today(t), nil)
	require.NoError(t, err)
	var page bytes.Buffer
	_, err = r.WriteHTML(&page, 1, nil)
	require.NoError(t, err)
	require.Contains(t, page.String(), "&lt;script&gt;alert(1)")
	require.NotContains(t, page.String(), "<script")
	for _, loads := range []string{"http:", "https:", "src=", "@import", "url("} {
		require.NotContains(t, page.String(), loads)
	}
	for _, title := range []string{"Sessions (1)", "Denied (1)", "Approvals (0)", "Administration (2)", "Erased (1)"} {
		require.Contains(t, page.String(), title)
	}

	var table bytes.Buffer
	require.NoError(t, r.WriteCSV(&table))
	rows, err := csv.NewReader(&table).ReadAll()
	require.NoError(t, err)
	require.Equal(t, Columns(), rows[0])
	require.Len(t, rows, 1+len(r.Entries))
	for i, x := range r.Entries {
		require.Equal(t, string(x.Kind), rows[1+i][0])
		if x.Kind == Administration && x.By == "=root" {
			require.Equal(t, "'=root", rows[1+i][13])
		}
		if x.Kind == Access {
			require.Equal(t, "1", rows[1+i][16])
		}
	}
	_, err = r.WriteHTML(broken{}, 1, nil)
	require.Error(t, err)
	require.Error(t, r.WriteCSV(broken{}))
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("broken") }

func TestCell(t *testing.T) {
	for in, want := range map[string]string{"": "", "a": "a", "=1+1": "'=1+1", "@x": "'@x", "-1": "'-1", "+1": "'+1", "|x": "'|x", "%x": "'%x", "a\x1b[2J\nb": "a␛[2J b"} {
		require.Equal(t, want, spreadsheet.Cell(in))
	}
}
