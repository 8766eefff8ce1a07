package masking

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/detect"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/proxy/proxytest"
)

// hooksFor returns the hooks of a session of someone in groups.
func hooksFor(t testing.TB, c Config, groups ...string) (proxy.Hooks, *proxy.Session) {
	t.Helper()
	m, err := New(c)
	require.NoError(t, err)
	s := &proxy.Session{Protocol: "postgres", Identity: &proxy.Identity{Subject: "alice", Groups: groups}, Target: proxy.Target{Resource: &proxy.Resource{Name: "orders"}}}
	h, err := m.Intercept(context.Background(), s)
	require.NoError(t, err)
	return h, s
}

func masked(t testing.TB, h proxy.Hooks, column proxy.ShapeColumn, value string) string {
	t.Helper()
	if h.Flow == nil {
		return value
	}
	op := &proxy.Statement{Meta: proxy.Meta{Kind: proxy.KindStatement}, Text: []byte("SELECT 1"), Facts: &proxy.Facts{Effects: proxy.EffectRead, Rows: true}}
	f, err := h.Flow(context.Background(), op, &proxy.Shape{Kind: proxy.ShapeRows, Columns: []proxy.ShapeColumn{column}})
	require.NoError(t, err)
	r := proxy.NewRow([][]byte{[]byte(value)})
	require.NoError(t, f.Row(r))
	return string(r.Value(0))
}

// TestRulesSelect chooses by tag, by the column's type and by group.
func TestRulesSelect(t *testing.T) {
	salary := plainColumn("salary", 25, false)
	inet := plainColumn("last_seen", oidInet, false)
	note := plainColumn("note", 25, false)
	for _, c := range []struct {
		name   string
		config Config
		groups []string
		column proxy.ShapeColumn
		in     string
		want   string
	}{
		{"tag", Config{Tags: map[string][]string{"pay": {"*.salary"}}, Rules: []Rule{{Tags: []string{"pay"}, With: Redact}}}, nil, salary, "much", "[COLUMN]"},
		{"other column", Config{Tags: map[string][]string{"pay": {"*.salary"}}, Rules: []Rule{{Tags: []string{"pay"}, With: Redact}}}, nil, note, "much", "much"},
		{"type of column", Config{Rules: []Rule{{ColumnTypes: []string{"inet"}, With: KeepNetwork}}}, nil, inet, "10.1.2.3", "10.1.0.0"},
		{"other type", Config{Rules: []Rule{{ColumnTypes: []string{"inet"}, With: KeepNetwork}}}, nil, note, "x", "x"},
		{"column and type", Config{Rules: []Rule{{Columns: []string{"salary"}, ColumnTypes: []string{"int8"}, With: Redact}}}, nil, salary, "much", "much"},
		{"group", Config{Rules: []Rule{{Columns: []string{"salary"}, Groups: []string{"interns"}, With: Redact}}}, []string{"interns"}, salary, "much", "[COLUMN]"},
		{"other group", Config{Rules: []Rule{{Columns: []string{"salary"}, Groups: []string{"interns"}, With: Redact}}}, []string{"hr"}, salary, "much", "much"},
		{"the most restrictive", Config{Rules: []Rule{{Columns: []string{"salary"}, With: Redact}, {Columns: []string{"*.salary"}, With: Partial}}}, nil, salary, "much", "[COLUMN]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, _ := hooksFor(t, c.config, c.groups...)
			require.Equal(t, c.want, masked(t, h, c.column, c.in))
		})
	}
	for name, c := range map[string]Config{
		"unknown tag":      {Rules: []Rule{{Tags: []string{"x"}}}},
		"unknown type":     {Rules: []Rule{{ColumnTypes: []string{"money2"}}}},
		"tag of nonsense":  {Tags: map[string][]string{"x": {"a..b"}}, Rules: []Rule{{Tags: []string{"x"}}}},
		"shift of text":    {Rules: []Rule{{ColumnTypes: []string{"text"}, With: Shift}}},
		"function pattern": {Trusted: []string{"a.b.c"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := New(c)
			require.Error(t, err)
		})
	}
}

// TestExceptionsAreNoted: a session that sees more than others leaves notes when it
// connects.
func TestExceptionsAreNoted(t *testing.T) {
	m, err := New(Config{
		Rules:    []Rule{{Name: "pay", Columns: []string{"salary"}, Except: []string{"hr"}}, {Types: []detect.Type{detect.Card}, With: Redact, Except: []string{"hr", "sales"}}},
		Unmasked: []string{"auditors"},
	})
	require.NoError(t, err)
	for group, want := range map[string]string{"hr": "pay,masking rule 2", "sales": "masking rule 2", "auditors": "unmasked", "dev": ""} {
		notes := &proxytest.Notes{}
		open := func() (*proxy.Session, *proxy.Connect, error) {
			g := &proxy.Gateway{Interceptors: []proxy.Interceptor{proxytest.Allow{}, m, notes}}
			return g.Open(context.Background(), proxy.OpenRequest{
				Identity: &proxy.Identity{Subject: "alice", Groups: []string{group}}, Target: proxy.Target{Resource: &proxytest.Resource}, Protocol: "postgres",
			})
		}
		s, connect, err := open()
		require.NoError(t, err)
		s.Done(connect, &proxy.Outcome{})
		s.Ask(context.Background(), proxytest.Statement("SELECT 1", proxy.EffectRead))
		s.Close(nil)
		var rules []string
		for _, n := range notes.All(proxy.NoteExempted) {
			rules = append(rules, n.Rule)
		}
		require.Equal(t, want, strings.Join(rules, ","), group)

		notes.Err = errors.New("the disk is full")
		_, _, err = open()
		require.Equal(t, want != "", err != nil, "%s: who cannot be recorded does not see more: %v", group, err)
	}
}

// TestNoExceptionsForAgents: what is masked for somebody is masked for an agent, whatever exceptions its groups have.
func TestNoExceptionsForAgents(t *testing.T) {
	salary := plainColumn("salary", 25, false)
	pay := Rule{Name: "pay", Columns: []string{"salary"}, With: Redact}
	except := pay
	except.Except = []string{"hr"}
	for name, c := range map[string]Config{
		"an exception of a rule": {Rules: []Rule{except}},
		"an exception of all":    {Rules: []Rule{pay}, Unmasked: []string{"hr"}},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := New(c)
			require.NoError(t, err)
			for kind, want := range map[proxy.IdentityKind]string{proxy.Human: "much", proxy.Agent: "[COLUMN]"} {
				notes := &proxytest.Notes{}
				g := &proxy.Gateway{Interceptors: []proxy.Interceptor{proxytest.Allow{}, m, notes}}
				s, connect, err := g.Open(t.Context(), proxy.OpenRequest{
					Identity: &proxy.Identity{Subject: "alice~coder", Groups: []string{"hr"}, Kind: kind}, Target: proxy.Target{Resource: &proxytest.Resource}, Protocol: "postgres",
				})
				require.NoError(t, err)
				s.Done(connect, &proxy.Outcome{})
				h, err := m.Intercept(t.Context(), s)
				require.NoError(t, err)
				require.Equal(t, want, masked(t, h, salary, "much"), kind)
				if kind == proxy.Agent {
					require.Empty(t, notes.All(proxy.NoteExempted), "there is no exception to note")
				}
				s.Close(nil)
			}
		})
	}
}

// TestStrictNamesColumnAndRule: a refusal says which column and which rule, and
// only columns of strict rules are refused. What the analyser knows decides.
func TestStrictNamesColumnAndRule(t *testing.T) {
	c := Config{Rules: []Rule{{Name: "pii", Columns: []string{"people.ssn"}, Mode: Strict}}}
	h, _ := hooksFor(t, c)
	known := func(uses ...proxy.Use) *proxy.Facts {
		return &proxy.Facts{Effects: proxy.EffectRead, Rows: true, ColumnsKnown: true, Columns: []proxy.Column{{Name: "id"}}, Uses: uses}
	}
	use := func(relation, column string, in proxy.UsePlace) proxy.Use {
		return proxy.Use{Origin: proxy.Origin{Schema: "public", Relation: relation, Column: column}, In: in}
	}
	derived := known()
	derived.Columns = []proxy.Column{{Name: "n", Origins: []proxy.Origin{{Relation: "people", Column: "ssn", How: proxy.DerivedAggregated}}}}
	for _, x := range []struct {
		name  string
		text  string
		facts *proxy.Facts
		want  string // "" passes
	}{
		{"condition", "SELECT id FROM people WHERE ssn = '1'", known(use("people", "ssn", proxy.UsePredicate)), `column "ssn" is masked and may not be used in a condition`},
		{"join", "SELECT 1", known(use("people", "ssn", proxy.UseJoin)), "used in JOIN"},
		{"grouping", "SELECT 1", known(use("people", "ssn", proxy.UseGroup)), "used in GROUP BY"},
		{"order", "SELECT 1", known(use("people", "ssn", proxy.UseOrder)), "used in ORDER BY"},
		{"distinct", "SELECT 1", known(use("people", "ssn", proxy.UseDistinct)), "used in DISTINCT"},
		{"row", "SELECT 1", known(use("people", "*", proxy.UsePredicate)), "part of a row"},
		{"aggregate", "SELECT count(ssn) FROM people", derived, "used in an aggregate"},
		{"of another table", "SELECT id FROM dogs WHERE ssn = '1'", known(use("dogs", "ssn", proxy.UsePredicate)), ""},
		{"another column", "SELECT ssn FROM people WHERE id = 1", known(use("people", "id", proxy.UsePredicate)), ""},
		{"of the default set", "SELECT id FROM people WHERE email = 'x'", &proxy.Facts{Effects: proxy.EffectRead}, ""},
		{"by words", "SELECT id FROM people WHERE ssn = '1'", &proxy.Facts{Effects: proxy.EffectRead}, `column "ssn" is masked and may not be used in WHERE, JOIN, ORDER BY, GROUP BY or a function call`},
		{"escaped name", `SELECT id FROM people WHERE U&"\0073sn" = '1'`, &proxy.Facts{Effects: proxy.EffectRead}, "this text may do so"},
		{"kept", "CREATE TABLE x AS SELECT ssn FROM people", &proxy.Facts{Effects: proxy.EffectCreate}, "stored under another name"},
		{"inserted", "INSERT INTO x SELECT ssn FROM people", &proxy.Facts{Effects: proxy.EffectInsert}, "stored under another name"},
		{"filled", "INSERT INTO people (id, ssn) VALUES (1, 'x')", &proxy.Facts{Effects: proxy.EffectInsert}, ""},
	} {
		t.Run(x.name, func(t *testing.T) {
			v := h.Ask(context.Background(), &proxy.Statement{Meta: proxy.Meta{Kind: proxy.KindStatement}, Text: []byte(x.text), Facts: x.facts})
			require.Equal(t, x.want != "", v.Refuses(), v.Reason)
			if x.want != "" {
				require.Contains(t, v.Reason, x.want)
				require.Equal(t, "pii", v.Rule)
			}
		})
	}
}
