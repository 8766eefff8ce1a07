package prometheus

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/proxy"
)

const (
	docs      = "../../docs/metrics.md"
	dashboard = "../../deploy/monitoring/dashboard.json"
	alerts    = "../../deploy/monitoring/alerts.yaml"
)

// docs/metrics.md lists every metric, and no other. UPDATE=1 writes its table anew.
func TestDocumented(t *testing.T) {
	var table strings.Builder
	for _, m := range List() {
		labels := "–"
		if len(m.Labels) > 0 {
			labels = "`" + strings.Join(m.Labels, "`, `") + "`"
		}
		fmt.Fprintf(&table, "| `%s` | %s | %s | %s |\n", m.Name, m.Kind, labels, m.Help)
	}
	b, err := os.ReadFile(docs)
	require.NoError(t, err)
	const head = "| name | kind | labels | what |\n|---|---|---|---|\n"
	before, rest, ok := strings.Cut(string(b), head)
	require.True(t, ok)
	listed, after, ok := strings.Cut(rest, "\n\n")
	require.True(t, ok)
	if os.Getenv("UPDATE") != "" {
		require.NoError(t, os.WriteFile(docs, []byte(before+head+strings.TrimSuffix(table.String(), "\n")+"\n\n"+after), 0o644))
		return
	}
	require.Equal(t, table.String(), listed+"\n")
}

// full is a gateway of which all numbers are shown, and the text that shows them.
func full(t *testing.T) string {
	t.Helper()
	l, err := audit.Open(t.TempDir(), audit.Config{Log: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	f, err := l.Feed(nowhere{}, audit.FeedConfig{})
	require.NoError(t, err)
	k, err := l.Witness(silent{}, audit.FollowConfig{})
	require.NoError(t, err)
	m := &Metrics{
		Records: l, Feeds: []*audit.Feed{f}, Followers: []*audit.Follower{k}, Version: "v1",
		Channels: func() []Channel { return []Channel{{Name: "mail"}} }, Waiting: func() (int, time.Time) { return 0, time.Time{} },
		Store: func(context.Context) error { return nil }, Certificate: time.Now,
	}
	m.of(resource{"a", "b"})
	m.Credential("resolve", "", nil)
	m.note(&proxy.Note{Kind: proxy.NoteMasked, Type: "x", Count: 1})
	m.Event(proxy.Event{Kind: proxy.EventLogin})
	text := show(t, m)
	require.NoError(t, l.Close())
	return text
}

// Every metric that is listed is shown, with these labels, and no other is.
func TestListed(t *testing.T) {
	text := full(t)
	shown := make(map[string]bool)
	for _, m := range regexp.MustCompile(`(?m)^# TYPE (sallyport_\S+) (\S+)$`).FindAllStringSubmatch(text, -1) {
		shown[m[1]] = true
		i := slices.IndexFunc(List(), func(l Metric) bool { return l.Name == m[1] })
		require.GreaterOrEqual(t, i, 0, m[1])
		require.Equal(t, m[2], string(List()[i].Kind), m[1])
	}
	for _, m := range List() {
		require.True(t, shown[m.Name], m.Name)
		for _, label := range m.Labels {
			require.NotContains(t, []string{"user", "subject", "session", "address", "remote", "database", "request"}, label, "a label whose values grow with users")
			require.Regexp(t, `(?m)^`+m.Name+`(_bucket)?\{[^}]*`+label+`="`, text, m.Name)
		}
	}
}

var named = regexp.MustCompile(`\b(?:sallyport|go|process)_[a-z_]+`)

// exists holds that every metric that an expression names is shown.
func exists(t *testing.T, text, expr string) {
	t.Helper()
	names := named.FindAllString(expr, -1)
	require.NotEmpty(t, names, expr)
	for _, name := range names {
		require.Regexp(t, `(?m)^`+name+`[{ ]`, text, "%s in %q is not shown", name, expr)
	}
}

// The dashboard's panels name metrics that exist.
func TestDashboard(t *testing.T) {
	text := full(t)
	b, err := os.ReadFile(dashboard)
	require.NoError(t, err)
	var d struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr, LegendFormat string }
		}
	}
	require.NoError(t, json.Unmarshal(b, &d))
	require.GreaterOrEqual(t, len(d.Panels), 10)
	for _, p := range d.Panels {
		require.NotEmpty(t, p.Title)
		require.NotEmpty(t, p.Targets, p.Title)
		for _, target := range p.Targets {
			exists(t, text, target.Expr)
			labelsExist(t, target.Expr, target.LegendFormat)
		}
	}
}

// The rules of alerts name metrics and labels that exist, and say what to do.
func TestAlerts(t *testing.T) {
	text := full(t)
	b, err := os.ReadFile(alerts)
	require.NoError(t, err)
	var f struct {
		Groups []struct {
			Name  string
			Rules []struct {
				Alert, Expr, For    string
				Labels, Annotations map[string]string
			}
		}
	}
	d := yaml.NewDecoder(strings.NewReader(string(b)))
	d.KnownFields(true)
	require.NoError(t, d.Decode(&f))
	seen := make(map[string]bool)
	for _, g := range f.Groups {
		for _, r := range g.Rules {
			require.False(t, seen[r.Alert], r.Alert)
			seen[r.Alert] = true
			if r.Alert == "SallyportDown" { // one of several, too
				require.Contains(t, r.Expr, `up{job="sallyport"} == 0`)
			}
			exists(t, text, r.Expr)
			labelsExist(t, r.Expr, r.Annotations["summary"])
			require.Contains(t, []string{"critical", "warning", "info"}, r.Labels["severity"], r.Alert)
			require.NotEmpty(t, r.Annotations["summary"], r.Alert)
			require.NotEmpty(t, r.Annotations["do"], r.Alert)
			if r.For != "" {
				_, err := time.ParseDuration(r.For)
				require.NoError(t, err, r.Alert)
			}
		}
	}
	require.GreaterOrEqual(t, len(seen), 10)
}

// labelsExist holds that labels which an expression or its legend names are those of one of its metrics, or of every target.
func labelsExist(t *testing.T, expr, legend string) {
	t.Helper()
	has := []string{"job", "instance", "le"}
	for _, name := range named.FindAllString(expr, -1) {
		for _, m := range List() {
			if strings.HasPrefix(name, m.Name) {
				has = append(has, m.Labels...)
			}
		}
	}
	for _, m := range regexp.MustCompile(`\bby \(([^)]*)\)|([a-z]+)=~?"|\$labels\.([a-z]+)|\{\{([a-z]+)\}\}`).FindAllStringSubmatch(expr+" "+legend, -1) {
		for label := range strings.SplitSeq(strings.Join(m[1:], ""), ", ") {
			require.Contains(t, has, label, "%s, %s", expr, legend)
		}
	}
}

// silent is a witness that remembers everything and says nothing.
type silent struct{}

func (silent) Name() string                                    { return "silent" }
func (silent) Add(context.Context, audit.Head) ([]byte, error) { return nil, nil }
