package masking

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// deparsed is a literal as the server prints it in a plan.
func deparsed(s string) string {
	s = strings.ReplaceAll(s, "'", "''")
	if strings.Contains(s, `\`) {
		return "E'" + strings.ReplaceAll(s, `\`, `\\`) + "'::text"
	}
	return "'" + s + "'::text"
}

func jsonString(t testing.TB, s string) string {
	b, err := json.Marshal(s)
	require.NoError(t, err)
	return strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&").Replace(string(b))
}

// TestPlansHideLiterals: whatever a literal holds, none of it is shown, in any format, and
// what is around it is.
func TestPlansHideLiterals(t *testing.T) {
	for _, secret := range []string{
		"Klaas Krohn", "it's Klaas", `back\slash Klaas`, `quote " Klaas`, "two\nlines Klaas", "x'\n  Sort Key: Klaas", `\' Klaas`, "(cost=1) Klaas", "a: b, Klaas", "<Item>Klaas</Item>", "&lt; Klaas",
		`", "Klaas": "`, "- \"Klaas\"", "Settings: Klaas", "'::text Klaas '", "E' Klaas", "ÄKlaas", "\tKlaas\r", `\\'' Klaas \`, "'''Klaas", `"Klaas"`,
	} {
		lit := deparsed(secret)
		for _, expression := range []string{lit, "(name = " + lit + ")", `("x'y" = ` + lit + ")", "(a || " + lit + ") || " + deparsed("it''s"), "ARRAY[" + lit + ", 'b'::text]", `("a""b'".c <> ` + lit + ")"} {
			p := &plan{own: []byte("SELECT 'x' /* Klaas */"), all: true}
			var text strings.Builder
			for _, line := range strings.Split("Seq Scan on \"p'q\"  (cost=0.00..1.02 rows=1 width=18)\n  Output: "+expression+"\n  Sort Key: name", "\n") {
				text.Write(p.hide([]byte(line), false, false))
				text.WriteByte('\n')
			}
			require.NotContains(t, text.String(), "Klaas", expression)
			require.Contains(t, text.String(), "Seq Scan on \"p'q\"  (cost=0.00..1.02 rows=1 width=18)\n")
			if !strings.Contains(secret, "\n") {
				require.Contains(t, text.String(), "\n  Sort Key: name\n")
			}

			doc := `[{"Plan": {"Node Type": "Seq Scan", "Alias": "p'q", "Total Cost": 1.02, "Output": ["name", ` + jsonString(t, expression) + `], "Filter": ` + jsonString(t, expression) + `}, "Settings": {"search_path": ` + jsonString(t, secret) + `}}]`
			out := (&plan{all: true}).hide([]byte(doc), true, false)
			require.NotContains(t, string(out), "Klaas", doc)
			require.True(t, json.Valid(out), "%s", out)
			for _, part := range []string{`"Node Type": "Seq Scan", "Alias": "p'q", "Total Cost": 1.02, "Output": ["name", `} {
				require.Contains(t, string(out), part)
			}

			escaped := strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "\r", "&#x0d;").Replace(expression)
			doc = "<Plan>\n<Node-Type>Seq Scan</Node-Type>\n<Total-Cost>1.02</Total-Cost>\n<Output>\n<Item>name</Item>\n<Item>" + escaped + "</Item></Output>\n<Filter>" + escaped + "</Filter></Plan>"
			out = (&plan{all: true}).hide([]byte(doc), false, true)
			require.NotContains(t, string(out), "Klaas", doc)
			require.Contains(t, string(out), "<Node-Type>Seq Scan</Node-Type>\n<Total-Cost>1.02</Total-Cost>\n<Output>\n<Item>name</Item>\n<Item>***</Item></Output>")

			doc = "- Plan: \n    Node Type: \"Seq Scan\"\n    Total Cost: 1.02\n    Output: \n      - \"name\"\n      - " + jsonString(t, expression) + "\n    Filter: " + jsonString(t, expression)
			out = (&plan{all: true}).hide([]byte(doc), false, false)
			require.NotContains(t, string(out), "Klaas", doc)
			require.Contains(t, string(out), "    Node Type: \"Seq Scan\"\n    Total Cost: 1.02\n    Output: \n      - \"name\"\n      - \"***\"\n")
		}
	}
}

// TestPlansShowWhatTheyHave: numbers that measure, and literals of the statement itself.
func TestPlansShowWhatTheyHave(t *testing.T) {
	own := "SELECT a FROM t WHERE b = 'new' AND c > 1234 AND d = 5.5"
	for line, want := range map[string]string{
		"Limit  (cost=1.03..2.06 rows=1 width=34) (actual time=0.017..0.018 rows=1 loops=1)": "",
		"  Filter: ((b = 'new'::text) AND (c > 1234) AND (d = 5.5))":                         "",
		"  Filter: ((b = 'old'::text) AND (c > 123) AND (d = 5.51))":                         "  Filter: ((b = '***'::text) AND (c > ***) AND (d = ***))",
		"  Filter: (name > $0)":                            "",
		"  Filter: (hashed SubPlan 1)":                     "",
		"  InitPlan 1 (returns $0)":                        "",
		"  Rows Removed by Filter: 17":                     "",
		"  Sort Method: quicksort  Memory: 25kB":           "",
		"  Buffers: shared hit=3 read=12":                  "",
		"  Worker 0:  actual time=0.5..1.5 rows=2 loops=1": "",
		"Planning Time: 1.394 ms":                          "",
		"Execution Time: 0.082 ms":                         "",
		"        ->  Index Scan using t_2_idx on t_2 \"X 1\"  (cost=0.00..1.02 rows=2 width=14)": "",
		"  Output: t_1.a1, t_1.b2, (t_1.c)[7]":                                                   "  Output: t_1.a1, t_1.b2, (t_1.c)[***]",
		"  Settings: search_path = 'x', work_mem = '64MB'":                                       "  Settings: ***",
		"  Filter: (x = 'open": "  Filter: (x = '***",
		"  Filter: (\"open":    "  Filter: (***",
		"":                     "",
	} {
		p := &plan{own: []byte(own)}
		if want == "" {
			want = line
		}
		require.Equal(t, want, string(p.hide([]byte(line), false, false)))
		require.Equal(t, want != line, p.hidden, line)
	}
	p := &plan{own: []byte("SELECT 'a'")}
	p.hide([]byte("  Filter: (x = 'open"), false, false)
	require.Equal(t, "***", string(p.hide([]byte("Planning Time: 1.394 ms"), false, false)), "it may be within the literal")
}

func FuzzPlan(f *testing.F) {
	f.Add("Klaas", uint8(0))
	f.Add(`x'"\`, uint8(1))
	f.Fuzz(func(t *testing.T, s string, kind uint8) {
		const marker = "zqzqzq"
		if strings.Contains(s, "\x00") {
			return
		}
		line := "  Output: a, " + deparsed(s+marker) + ", b"
		p := &plan{all: true}
		switch kind % 3 {
		case 0:
			for _, l := range strings.Split(line, "\n") {
				require.NotContains(t, string(p.hide([]byte(l), false, false)), marker)
			}
		case 1:
			b, err := json.Marshal(map[string]string{"Output": line})
			require.NoError(t, err)
			require.NotContains(t, string(p.hide(b, true, false)), marker)
		case 2:
			out := p.hide(fmt.Appendf(nil, "- Plan: \n    Output: %s\n", jsonString(t, line)), false, false)
			require.NotContains(t, string(out), marker)
		}
	})
}
