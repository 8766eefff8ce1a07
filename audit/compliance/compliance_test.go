package compliance

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/audit/report"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/proxy/proxytest"
)

const sentinel = "s3ntinel-5150"

type noDrops struct{}

func (noDrops) Name() string { return "no-drops" }

func (noDrops) Intercept(context.Context, *proxy.Session) (proxy.Hooks, error) {
	return proxy.Hooks{Ask: func(_ context.Context, op proxy.Op) proxy.Verdict {
		if s, ok := op.(*proxy.Statement); ok && strings.HasPrefix(string(s.Text), "DROP") {
			return proxy.Deny(proxy.CausePolicy, "no-drops", "nothing named "+sentinel+" may be dropped", "")
		}
		return proxy.Pass()
	}}, nil
}

// lab is a log with a session of three statements, one of them refused, one session that was erased, one that is open, and actions of
// administrators.
type lab struct {
	dir                string
	log                *audit.Log
	kept, erased, open string
}

func newLab(t *testing.T) *lab {
	t.Helper()
	b := &lab{dir: t.TempDir()}
	l, err := audit.Open(b.dir, audit.Config{Log: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	b.kept = b.session(t, l, true, "SELECT '"+sentinel+"'", "DROP TABLE "+sentinel, "UPDATE t SET a = 1")
	b.erased = b.session(t, l, true, "SELECT 2")
	require.NoError(t, l.Act(audit.Action{Type: audit.AdminRead, By: &proxy.Identity{Subject: "=cmd()"}, Reason: "search text=" + sentinel}))
	require.NoError(t, l.Act(audit.Action{Type: audit.AdminKill, By: &proxy.Identity{Subject: "root"}, Session: b.kept, Reason: "drill"}))
	require.NoError(t, l.Act(audit.Action{Type: "admin.unheard-of", By: &proxy.Identity{Subject: "root"}}))
	require.NoError(t, l.Close())
	b.log, err = audit.Open(b.dir, audit.Config{Log: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	t.Cleanup(func() { b.log.Close() })
	require.NoError(t, b.log.Erase(audit.Action{By: &proxy.Identity{Subject: "root"}, Session: b.erased, Reason: "asked for"}))
	b.open = b.session(t, b.log, false, "SELECT 3")
	return b
}

func (b *lab) session(t *testing.T, l *audit.Log, ends bool, texts ...string) string {
	t.Helper()
	s, err := proxytest.Open(&proxy.Gateway{}, noDrops{}, l)
	require.NoError(t, err)
	for _, text := range texts {
		op := proxytest.Statement(text, proxy.EffectRead)
		v := s.Ask(t.Context(), op)
		s.Done(op, &proxy.Outcome{Verdict: v, Err: errorOf(text), Rows: 3})
	}
	if ends {
		s.Close(nil)
	} else {
		t.Cleanup(func() { s.Close(nil) })
	}
	return s.ID
}

// errorOf has a statement fail with a message of the server's that has a value.
func errorOf(text string) error {
	if strings.HasPrefix(text, "UPDATE") {
		return errors.New("duplicate key (mail)=(" + sentinel + ")")
	}
	return nil
}

func (b *lab) public(t *testing.T) string {
	t.Helper()
	key, err := os.ReadFile(filepath.Join(b.dir, "log", "key.pub"))
	require.NoError(t, err)
	return strings.TrimSpace(string(key))
}

func (b *lab) source(t *testing.T) *Source {
	t.Helper()
	a, err := audit.OpenArchive(b.dir)
	require.NoError(t, err)
	return &Source{Archive: a, Sign: b.log.SignEvidence, Program: "test", State: []State{{
		Table{"users", "Users", "Who there is.", []Kind{Entitlement}, []string{"user"}},
		func(_ context.Context, add func(...string) error) error { return add("=HYPERLINK(\"x\")") },
	}}}
}

func around(at time.Time) report.Period {
	return report.Period{From: at.Add(-time.Hour), To: at.Add(time.Hour)}
}

// pack makes a pack and returns it with its files.
func (b *lab) pack(t *testing.T, framework string, p report.Period) (packed []byte, files map[string]string) {
	t.Helper()
	f, err := Find(framework)
	require.NoError(t, err)
	pack, err := b.source(t).Gather(t.Context(), f, p, time.Now(), nil)
	require.NoError(t, err)
	var out bytes.Buffer
	require.NoError(t, pack.Write(&out))
	require.NoError(t, pack.Close())
	return out.Bytes(), unzip(t, out.Bytes())
}

func unzip(t *testing.T, packed []byte) map[string]string {
	t.Helper()
	z, err := zip.NewReader(bytes.NewReader(packed), int64(len(packed)))
	require.NoError(t, err)
	files := make(map[string]string)
	for _, f := range z.File {
		r, err := f.Open()
		require.NoError(t, err)
		text, err := io.ReadAll(r)
		require.NoError(t, err)
		files[f.Name] = string(text)
	}
	return files
}

// rows reads a table as JSON, and holds that CSV has as many lines.
func rows(t *testing.T, files map[string]string, name string) []map[string]string {
	t.Helper()
	var list []map[string]string
	require.NoError(t, json.Unmarshal([]byte(files["json/"+name+".json"]), &list), name)
	lines, err := csv.NewReader(strings.NewReader(files["csv/"+name+".csv"])).ReadAll()
	require.NoError(t, err, name)
	require.Len(t, lines, len(list)+1, name)
	return list
}

func column(list []map[string]string, name string) (out []string) {
	for _, row := range list {
		out = append(out, row[name])
	}
	return out
}

func TestPack(t *testing.T) {
	b := newLab(t)
	for _, framework := range Frameworks() {
		packed, files := b.pack(t, framework.ID, around(time.Now()))
		v, err := Verify(bytes.NewReader(packed), int64(len(packed)), b.public(t))
		require.NoError(t, err)
		require.Empty(t, v.Problems)
		require.Equal(t, framework.ID, v.Manifest.Framework)
		require.Equal(t, len(files)-2, v.Files, "all but the manifest and its signature")
		for name, text := range files {
			require.NotContains(t, text, sentinel, name)
		}
		for _, c := range framework.Controls {
			require.Contains(t, column(rows(t, files, "controls"), "control"), c.ID)
		}
	}

	packed, files := b.pack(t, "soc2", around(time.Now()))
	v, err := Verify(bytes.NewReader(packed), int64(len(packed)), b.public(t))
	require.NoError(t, err)
	require.Equal(t, Counts{Proven: 2, Open: 2, Erased: 1}, v.Manifest.Records, "one session and one record of the gateway's own are sealed")
	require.EqualValues(t, 3, v.Proofs)

	sessions := rows(t, files, "sessions")
	require.Equal(t, []string{b.kept, b.open}, column(sessions, "session"))
	require.Equal(t, []string{"ended", "open"}, column(sessions, "ended"))
	require.Equal(t, []string{"3", "1"}, column(sessions, "operations"))
	require.Equal(t, []string{"1", "0"}, column(sessions, "refused"))
	require.Equal(t, "alice", sessions[0]["user"])

	decisions := rows(t, files, "decisions")
	var of []map[string]string
	for _, d := range decisions {
		if d["session"] == b.kept && d["kind"] == "statement" {
			of = append(of, d)
		}
	}
	require.Equal(t, []string{"done", "refused", "failed"}, column(of, "outcome"))
	require.Equal(t, []string{"allow", "deny", "allow"}, column(of, "verdict"))
	require.Equal(t, []string{"", "no-drops", ""}, []string{of[0]["rule"], of[1]["rule"], of[2]["cause"]})

	require.Equal(t, []string{"proven", "not sealed yet", "erased"}, states(rows(t, files, "records"), b.kept, b.open, b.erased))
	require.Equal(t, []string{"search"}, column(like(rows(t, files, "oversight"), "event", audit.AdminRead), "reason"), "what was searched for is not told")
	require.Equal(t, []string{"drill"}, column(rows(t, files, "termination"), "reason"))
	require.Equal(t, []string{"asked for"}, column(rows(t, files, "retention"), "reason"))
	require.Equal(t, []string{"admin.unheard-of"}, column(rows(t, files, "other-events"), "event"), "nothing is left out")
	require.Contains(t, files["csv/users.csv"], `"'=HYPERLINK(""x"")"`)
	require.Contains(t, files["csv/oversight.csv"], "'=cmd()")
	require.Contains(t, files[indexName], "What this pack does not prove")
	require.Contains(t, files[indexName], `<a href="csv/decisions.csv">`)
}

func like(list []map[string]string, name, value string) (out []map[string]string) {
	for _, row := range list {
		if row[name] == value {
			out = append(out, row)
		}
	}
	return out
}

func states(list []map[string]string, ids ...string) (out []string) {
	for _, id := range ids {
		for _, row := range list {
			if row["record"] == id {
				out = append(out, row["state"])
			}
		}
	}
	return out
}

// TestBorders: what happens at the beginning of a period is in it, and what happens at its end is in the next.
func TestBorders(t *testing.T) {
	b := newLab(t)
	_, files := b.pack(t, "pci4", around(time.Now()))
	at := func(s string) time.Time {
		x, err := time.Parse(time.RFC3339Nano, s)
		require.NoError(t, err)
		return x
	}
	var times []time.Time
	all := rows(t, files, "decisions")
	for _, d := range all {
		times = append(times, at(d["time"]))
	}
	killed := at(rows(t, files, "termination")[0]["time"])
	day := 24 * time.Hour
	for _, x := range times {
		_, before := b.pack(t, "pci4", report.Period{From: x.Add(-day), To: x})
		_, from := b.pack(t, "pci4", report.Period{From: x, To: x.Add(day)})
		_, only := b.pack(t, "pci4", report.Period{From: x, To: x.Add(time.Microsecond)})
		in := len(like(rows(t, only, "decisions"), "time", x.Format("2006-01-02T15:04:05.000000Z")))
		require.Positive(t, in)
		require.Empty(t, like(rows(t, before, "decisions"), "time", x.Format("2006-01-02T15:04:05.000000Z")))
		require.Len(t, all, len(rows(t, before, "decisions"))+len(rows(t, from, "decisions")), "each decision is in one of two periods that meet")
		require.NotEmpty(t, rows(t, only, "sessions"), "a session that is open in a period is in it, whenever it began")
	}
	_, before := b.pack(t, "pci4", report.Period{From: killed.Add(-day), To: killed})
	_, from := b.pack(t, "pci4", report.Period{From: killed, To: killed.Add(time.Microsecond)})
	require.Empty(t, rows(t, before, "termination"))
	require.Len(t, rows(t, from, "termination"), 1)

	first := at(rows(t, files, "sessions")[0]["begin"])
	ended := at(rows(t, files, "sessions")[0]["end"])
	_, past := b.pack(t, "pci4", report.Period{From: first.Add(-day), To: first})
	require.Empty(t, rows(t, past, "sessions"))
	_, last := b.pack(t, "pci4", report.Period{From: ended, To: ended.Add(time.Microsecond)})
	require.Contains(t, column(rows(t, last, "sessions"), "session"), b.kept)
	_, after := b.pack(t, "pci4", report.Period{From: ended.Add(time.Microsecond), To: ended.Add(day)})
	require.NotContains(t, column(rows(t, after, "sessions"), "session"), b.kept)
	_, middle := b.pack(t, "pci4", report.Period{From: first, To: ended})
	require.Equal(t, "open", rows(t, middle, "sessions")[0]["ended"], "that it ended later is not told of the period")
}

func TestCheckPeriod(t *testing.T) {
	now := time.Now()
	for _, p := range []report.Period{{}, {From: now}, {To: now}, {From: now, To: now}, {From: now, To: now.Add(-1)}, {From: now, To: now.Add(MaxPeriod + 1)}} {
		require.Error(t, CheckPeriod(p), "%v", p)
		_, err := (&Source{}).Gather(t.Context(), &Framework{}, p, now, nil)
		require.Error(t, err)
	}
	require.NoError(t, CheckPeriod(report.Period{From: now, To: now.Add(MaxPeriod)}))
}

// TestBounded: a pack that would be too large is not made, and leaves no file; nor does one that nobody waits for any more.
func TestBounded(t *testing.T) {
	b := newLab(t)
	f, err := Find("gdpr")
	require.NoError(t, err)
	s := b.source(t)
	s.Dir, s.Limit = t.TempDir(), 1000
	_, err = s.Gather(t.Context(), f, around(time.Now()), time.Now(), nil)
	require.ErrorIs(t, err, ErrTooLarge)
	s.Limit = 0
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = s.Gather(ctx, f, around(time.Now()), time.Now(), nil)
	require.ErrorIs(t, err, context.Canceled)
	pack, err := s.Gather(t.Context(), f, around(time.Now()), time.Now(), nil)
	require.NoError(t, err)
	require.NoError(t, pack.Close())
	left, err := os.ReadDir(s.Dir)
	require.NoError(t, err)
	require.Empty(t, left)
}

// TestDamaged: a record that is not as it was sealed is told, in the pack and its manifest.
func TestDamaged(t *testing.T) {
	b := newLab(t)
	found, err := filepath.Glob(filepath.Join(b.dir, "sessions", "*", b.kept+".rec"))
	require.NoError(t, err)
	require.Len(t, found, 1)
	record, err := os.ReadFile(found[0])
	require.NoError(t, err)
	record[len(record)/2] ^= 1
	require.NoError(t, os.WriteFile(found[0], record, 0o600))
	_, files := b.pack(t, "pci4", around(time.Now()))
	require.Equal(t, []string{"failed"}, states(rows(t, files, "records"), b.kept))
	var m Manifest
	require.NoError(t, json.Unmarshal([]byte(files[manifestName]), &m))
	require.Equal(t, 1, m.Records.Failed)
	require.Contains(t, files[indexName], "1 are NOT as they were sealed")

	require.NoError(t, os.Remove(found[0]))
	_, files = b.pack(t, "pci4", around(time.Now()))
	require.Equal(t, []string{"failed"}, states(rows(t, files, "records"), b.kept))
}

// TestFrameworks: each control names evidence that there is, and each table is named by a control of some framework.
func TestFrameworks(t *testing.T) {
	kinds := make(map[Kind]bool)
	tables := []Table{sessionTable, decisionTable, maskingTable, recordTable}
	for _, o := range ownTables {
		tables = append(tables, o.Table)
		for _, c := range o.Columns {
			require.Contains(t, fields, c, o.Name)
		}
	}
	for _, x := range tables {
		for _, k := range x.Shows {
			kinds[k] = true
		}
	}
	kinds[Entitlement] = true // of the gateway's state
	named := make(map[Kind]bool)
	for _, f := range Frameworks() {
		ids := make(map[string]bool)
		for _, c := range f.Controls {
			require.NotEmpty(t, c.Shows, c.ID)
			require.NotEmpty(t, c.Asks, c.ID)
			require.False(t, ids[c.ID], c.ID)
			ids[c.ID] = true
			for _, k := range c.Shows {
				require.True(t, kinds[k], "%s: %s", c.ID, k)
				named[k] = true
			}
		}
		got, err := Find(f.ID)
		require.NoError(t, err)
		require.Equal(t, f.Title, got.Title)
	}
	require.Equal(t, kinds, named)
	_, err := Find("pci3")
	require.ErrorContains(t, err, "pci4, soc2")
}
