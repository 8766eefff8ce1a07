package report

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/proxy/proxytest"
)

// small is a report with an entry of each kind.
func small(t *testing.T) *Report {
	t.Helper()
	p, err := Days("2026-01-31", "2026-01-31", today(t).From)
	require.NoError(t, err)
	alice := Entry{
		Time: "2026-01-31T09:30:00.250000Z", User: "alice", Groups: []string{"dev", "ops"}, Method: "password", Address: "192.0.2.1", Resource: "shop",
		Account: "app", Database: "shop", Session: "06h2989z8e3xtw9j44et24skam",
	}
	with := func(kind Kind, f func(x *Entry)) Entry {
		x := alice
		x.Kind = kind
		f(&x)
		return x
	}
	done := func(kind Kind, what string) Entry {
		return with(kind, func(x *Entry) { x.What, x.Rules, x.Count, x.Ended = what, []string{"dev-writes"}, 3, "done" })
	}
	return &Report{
		Period: p, Program: "sallyport v1", Key: "log+1+key",
		Proof: &audit.Report{Sessions: 2, Events: 40, Size: 2, Root: "root", Checkpoint: "log\n2\nroot\n\n— log signature\n", Erased: 1},
		Entries: []Entry{
			{Kind: Erased, Session: "06h2989z8e3xtw9j44et24skan", What: "the content was erased; its proof is there"},
			{Kind: Unreadable, Session: "06h2989z8e3xtw9j44et24skao", What: "the session is sealed, and its record is missing"},
			{Kind: Configuration, Time: "2026-01-30T08:00:00.000000Z", What: judges + "c1, rules p1"},
			{Kind: Login, Time: alice.Time, Until: "2026-01-31T11:00:00.000000Z", User: "alice", Groups: alice.Groups, Method: "password", Address: "192.0.2.1", What: "postgres", Count: 2},
			{Kind: LoginFailed, Time: alice.Time, Until: "2026-01-31T11:00:00.000000Z", User: "=mallory", Address: "198.51.100.7", What: "ssh: authentication failed", Count: 109},
			{Kind: Failed, Time: alice.Time, Until: alice.Time, Address: "198.51.100.7", What: "ssh: EOF", Count: 2},
			with(Access, func(x *Entry) {
				x.Until, x.Ended, x.Rules, x.Count = "2026-01-31T10:30:01.500000Z", "ended", []string{"dev-reads", "dev-writes"}, 7
			}),
			with(Approval, func(x *Entry) { x.By, x.What = "bob", "approved r1 fine" }),
			with(Denied, func(x *Entry) {
				x.By, x.Rules, x.What = "guardrails", []string{"no-drop"}, "DROP TABLE <script>\nnever"
			}),
			done(Rights, "GRANT SELECT ON t TO bob"), done(Definition, "CREATE TABLE t (a int)"), done(Write, "DELETE FROM t"), done(CopiedOut, "COPY t TO STDOUT"),
			done(File, "write /etc/hosts"), done(Command, "exec id"),
			with(Masked, func(x *Entry) { x.What, x.Count = "EMAIL_ADDRESS", 12 }),
			with(Unmasked, func(x *Entry) { x.Rules = []string{"people"} }),
			{Kind: Administration, Time: alice.Time, By: "root", Session: alice.Session, What: "admin.kill asked for"},
		},
	}
}

// The small report is what it was; REPORT_GOLDEN=write makes it anew.
func TestGolden(t *testing.T) {
	r := small(t)
	var got bytes.Buffer
	for _, s := range r.Sections() {
		fmt.Fprintf(&got, "## %s\n", s.Name)
		require.NoError(t, s.WriteCSV(&got))
	}
	file := filepath.Join("testdata", "small.csv")
	if os.Getenv("REPORT_GOLDEN") == "write" {
		require.NoError(t, os.WriteFile(file, got.Bytes(), 0o600))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(want), got.String())

	var page bytes.Buffer
	pages, err := r.WriteHTML(&page, 1, nil)
	require.NoError(t, err)
	require.Equal(t, 1, pages)
	for _, s := range r.Sections() {
		require.Contains(t, page.String(), fmt.Sprintf("%s (%d)", s.Title, len(s.Rows)))
		if s.Name != "resources" {
			require.NotEmpty(t, s.Rows, s.Name)
		}
	}
	for _, holds := range []string{"<td>1h0m1.25s", "<td>=mallory<td>198.51.100.7", "<td>109", "NOT AS SEALED"} {
		require.Equal(t, holds != "NOT AS SEALED", strings.Contains(page.String(), holds), holds)
	}
	r.Proof.Problems = []string{"it was rolled back"}
	page.Reset()
	_, err = r.WriteHTML(&page, 1, nil)
	require.NoError(t, err)
	require.Contains(t, page.String(), "NOT AS SEALED")
	require.Contains(t, page.String(), "it was rolled back")
	for _, n := range []int{0, -1, 2} {
		_, err = r.WriteHTML(&page, n, nil)
		require.ErrorContains(t, err, "the report has 1")
	}
}

// heads are the texts of a page's table heads, one list a table.
func heads(page string) (list [][]string) {
	for _, row := range regexp.MustCompile(`<thead><tr>(.*)</tr></thead>`).FindAllStringSubmatch(page, -1) {
		list = append(list, strings.Split(row[1], "<th>")[1:])
	}
	return list
}

// No page is larger than 2 MB, whatever users wrote, and all lines are in one of them.
func TestPages(t *testing.T) {
	for name, change := range map[string]func(i int, x *Entry){
		"plain":   func(int, *Entry) {},
		"hostile": func(_ int, x *Entry) { x.What = strings.Repeat("<\"&'", 5000) },
		"wide": func(_ int, x *Entry) {
			x.User, x.Rules = strings.Repeat("é<", 4000), []string{strings.Repeat("世", 9000)}
		},
		"users": func(i int, x *Entry) { x.User = "user" + strconv.Itoa(i) },
	} {
		t.Run(name, func(t *testing.T) {
			r := small(t)
			entry := r.Entries[6]
			require.Equal(t, Access, entry.Kind)
			for i := range 10_000 {
				x := entry
				x.Session = fmt.Sprintf("%026d", i)
				change(i, &x)
				r.Entries = append(r.Entries, x)
			}
			written := map[string]*bytes.Buffer{}
			link := func(page int) string { return strconv.Itoa(page) + ".html" }
			require.NoError(t, r.WritePages(link, func(name string) (io.WriteCloser, error) {
				written[name] = &bytes.Buffer{}
				return nopCloser{written[name]}, nil
			}))
			require.Greater(t, len(written), 1)
			sessions := map[string]int{}
			for n := range len(written) {
				page := written[link(n+1)].String()
				require.Less(t, len(page), 2_000_000, "page %d", n+1)
				for _, line := range strings.Split(page, "\n") {
					if strings.Contains(line, "<td>1h0m1.25s") {
						sessions[regexp.MustCompile(`<td>[0-9a-z]{26}<td>`).FindString(line)]++
					}
				}
			}
			require.Len(t, sessions, 10_000+1, "each session once")
			require.NotContains(t, sessions, "")
			var again bytes.Buffer
			pages, err := r.WriteHTML(&again, 2, link)
			require.NoError(t, err)
			require.Equal(t, len(written), pages)
			require.Equal(t, written[link(2)].String(), again.String())
			for _, ref := range regexp.MustCompile(`href="([^#"]*)#([^"]*)"`).FindAllStringSubmatch(written["1.html"].String(), -1) {
				in := written["1.html"]
				if ref[1] != "" {
					in = written[ref[1]]
				}
				require.NotNil(t, in, ref[0])
				require.Contains(t, in.String(), `<h2 id="`+ref[2]+`"`)
			}
			require.Error(t, r.WritePages(link, func(string) (io.WriteCloser, error) { return nil, os.ErrPermission }))
		})
	}
}

// Heads are on one line, and all of a table fit into 1,200 pixels at 8 for a letter and 12 for what
// is around it.
func TestHeadsFit(t *testing.T) {
	var page bytes.Buffer
	_, err := small(t).WriteHTML(&page, 1, nil)
	require.NoError(t, err)
	require.Contains(t, page.String(), "th { white-space: nowrap }")
	list := heads(page.String())
	require.NotEmpty(t, list)
	for _, head := range list {
		width := 2 * 24
		for _, h := range head {
			require.NotContains(t, h, " ", "a word each")
			width += 8*len(h) + 12
		}
		require.Less(t, width, 1200, "%v", head)
	}
}

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }

// A log of thousands of sessions is verified and reported, each session once.
func TestManySessions(t *testing.T) {
	const sessions = 3000
	dir := t.TempDir()
	l, err := audit.Open(dir, audit.Config{Log: slog.New(slog.DiscardHandler), Durability: audit.OS})
	require.NoError(t, err)
	require.NoError(t, l.Configured(audit.Version{Config: "c1", Policy: "p1"}))
	for i := range sessions {
		s, err := proxytest.Open(&proxy.Gateway{}, noDrops{}, l)
		require.NoError(t, err)
		op := proxytest.Statement("DELETE FROM t", proxy.EffectDelete)
		if i%100 == 0 {
			op = proxytest.Statement("DROP TABLE t", proxy.EffectDrop)
		}
		v := s.Ask(t.Context(), op)
		s.Done(op, &proxy.Outcome{Verdict: v})
		s.Close(nil)
	}
	require.NoError(t, l.Close())
	a, err := audit.OpenArchive(dir)
	require.NoError(t, err)
	r, err := Read(t.Context(), a, today(t), nil)
	require.NoError(t, err)
	require.Empty(t, r.Proof.Problems)
	require.EqualValues(t, sessions+1, r.Proof.Size, "the gateway's own record among them")
	require.Zero(t, r.Incomplete())
	require.NotEmpty(t, r.Proof.Checkpoint)
	n := map[Kind]int{}
	for _, x := range r.Entries {
		n[x.Kind]++
	}
	require.Equal(t, map[Kind]int{Access: sessions, Denied: sessions / 100, Write: sessions - sessions/100, Configuration: 3}, n)
	rows := map[string][][]string{}
	for _, s := range r.Sections() {
		var table bytes.Buffer
		require.NoError(t, s.WriteCSV(&table))
		rows[s.Name], err = csv.NewReader(&table).ReadAll()
		require.NoError(t, err)
	}
	require.Equal(t, []string{"User", "Sessions", "Logins", "Failures", "Denied"}, rows["users"][0][:5])
	require.Equal(t, []string{"alice", "3000", "0", "0", "30"}, rows["users"][1][:5])
	require.Len(t, rows["access"], 1+sessions)
	require.Len(t, rows["grants"], 1+1)
	require.Len(t, rows["groups"], 1+1)
	pages, err := r.WriteHTML(io.Discard, 1, nil)
	require.NoError(t, err)
	require.NotZero(t, pages)
}
