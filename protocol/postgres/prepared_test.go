package postgres

import (
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	sqlpostgres "github.com/sallyport/sallyport/protocol/sql/postgres"
	"github.com/sallyport/sallyport/proxy"
)

// What an EXECUTE may run is known as long as one PREPARE alone can have given
// the name.
func TestPrepared(t *testing.T) {
	prepare := func(name, text string) (string, *proxy.Facts) {
		return "PREPARE " + name + " AS " + text, &proxy.Facts{Effects: proxy.EffectPrepare | proxy.EffectRead, Prepares: &proxy.Prepared{Name: name}}
	}
	for _, c := range []struct {
		name  string
		do    func(*prepared)
		known bool
	}{
		{"one", func(*prepared) {}, true},
		{"the same again", func(p *prepared) { text, f := prepare("p", "SELECT 1"); p.sent([]byte(text), f) }, true},
		{"another name", func(p *prepared) { text, f := prepare("q", "SELECT 2"); p.sent([]byte(text), f) }, true},
		{"another statement", func(p *prepared) { text, f := prepare("p", "SELECT 2"); p.sent([]byte(text), f) }, false},
		{"a message of the protocol", func(p *prepared) { p.take("p") }, false},
		{"one without a name", func(p *prepared) { p.take("") }, true},
		{"DO", func(p *prepared) { p.sent(nil, &proxy.Facts{Effects: proxy.EffectDo}) }, false},
		{"a function", func(p *prepared) { p.sent(nil, &proxy.Facts{Effects: proxy.EffectRead | proxy.EffectCall}) }, false},
		{"what is not understood", func(p *prepared) { p.sent(nil, &proxy.Facts{Effects: proxy.EffectUnknown}) }, false},
		{"PREPARE among others", func(p *prepared) {
			p.sent([]byte("SELECT 1; PREPARE p AS SELECT 2"), &proxy.Facts{Effects: proxy.EffectPrepare})
		}, false},
		{"DEALLOCATE", func(p *prepared) { p.sent([]byte("DEALLOCATE p"), &proxy.Facts{Effects: proxy.EffectPrepare}) }, true},
		{"a query", func(p *prepared) { p.sent([]byte("SELECT 'prepare'"), &proxy.Facts{Effects: proxy.EffectRead}) }, true},
		{"too many", func(p *prepared) {
			for i := range maxPrepared {
				p.take(fmt.Sprint("s", i))
			}
		}, false},
		{"too long", func(p *prepared) {
			text, f := prepare("long", "SELECT "+strings.Repeat("1", maxPreparedBytes))
			p.sent([]byte(text), f)
		}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			var p prepared
			text, f := prepare("p", "SELECT 1")
			p.sent([]byte(text), f)
			c.do(&p)
			require.Equal(t, c.known, p.texts["p"] != nil)
		})
	}
}

// After what may have prepared unseen, a name is known again by a PREPARE that the server
// has taken, and by no other.
func TestPreparedAfterWhatIsUnseen(t *testing.T) {
	g := startGate(t, gateConfig{
		sql:   shop + `CREATE FUNCTION hide() RETURNS void LANGUAGE plpgsql AS $f$ BEGIN EXECUTE 'DEALLOCATE ALL'; EXECUTE 'PREPARE a AS DELETE FROM customers'; END $f$;`,
		chain: []proxy.Interceptor{understood()}, handler: func(h *Handler) { h.Analyzer = sqlpostgres.New(sqlpostgres.Config{}) },
	})
	for script, want := range map[string]string{
		"SELECT hide();\nPREPARE b AS SELECT 41;\nEXECUTE b;":                                             "41",
		"SELECT hide();\nPREPARE b(int) AS SELECT $1 + 1;\nPREPARE c AS SELECT 1;\nEXECUTE b(40);":        "41",
		"SELECT hide();\nPREPARE b AS SELECT 41;\nDEALLOCATE b;\nPREPARE b AS SELECT 42;\nEXECUTE b;":     "42",
		"SELECT hide();\nPREPARE b AS SELECT 41;\nSELECT hide();\nPREPARE b AS SELECT 42;\nEXECUTE b;":    "42",
		"SELECT hide();\nBEGIN;\nPREPARE b AS SELECT 41;\nROLLBACK;\nEXECUTE b;":                          "41",
		"SELECT hide();\nPREPARE a AS SELECT 41;\nEXECUTE a;":                                             "it is not understood", // it runs the other's
		"PREPARE a AS SELECT 41;\nSELECT hide();\nEXECUTE a;":                                             "it is not understood",
		"SELECT hide();\nPREPARE b AS SELECT 41;\nSELECT hide();\nEXECUTE b;":                             "it is not understood",
		"SELECT hide();\nPREPARE b AS SELECT 41;\nPREPARE b AS SELECT 42;\nEXECUTE b;":                    "it is not understood",
		"SELECT hide();\nPREPARE b AS SELECT 41;\nPREPARE b AS SELECT 42 \\; DEALLOCATE b \\; EXECUTE a;": "it is not understood",
		"SELECT hide();\nPREPARE a AS SELECT 41;\nDEALLOCATE a;\nPREPARE a AS SELECT 43;\nEXECUTE a;":     "43",
	} {
		out := g.psql(t, "\\set VERBOSITY terse\n"+script+"\n", "-At")
		lines := strings.Split(strings.TrimSpace(out), "\n")
		require.Contains(t, lines[len(lines)-1], want, "%s\n%s", script, out)
	}
	require.Equal(t, "100", strings.TrimSpace(g.psql(t, "SELECT count(*) FROM customers", "-At")))

	// What is sent before the answer has come is not known yet.
	c := g.connect(t, "sslmode=disable").PgConn()
	_, err := c.Exec(t.Context(), "SELECT hide()").ReadAll()
	require.NoError(t, err)
	batch := &pgconn.Batch{}
	for _, text := range []string{"DEALLOCATE ALL", "PREPARE a AS SELECT 1", "EXECUTE a"} {
		batch.ExecParams(text, nil, nil, nil, nil)
	}
	_, err = c.ExecBatch(t.Context(), batch).ReadAll()
	require.ErrorContains(t, err, "it is not understood")
}
