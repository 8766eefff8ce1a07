package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestServeMasksWhatIsComputed: the gateway as it is assembled looks at columns
// whose names tell nothing, before something is computed from them.
func TestServeMasksWhatIsComputed(t *testing.T) {
	o := openLabelled(t, "env: test", `
CREATE TABLE payments (id int, x text);
INSERT INTO payments SELECT i, '4111111111111111' FROM generate_series(1, 20) i`, "masking: [{use: default}]\n")
	out := o.psql(t, "alice", "-c", "SELECT substr(x, 1, 8), count(*) OVER () FROM payments LIMIT 1")
	require.Equal(t, "********|20\n", out)
	o.stop(t)
}

// TestServeAsksAnAnalyzer: an analyzer of the config is asked about its columns,
// and only these; what it could not be asked about is not shown.
func TestServeAsksAnAnalyzer(t *testing.T) {
	var asked atomic.Int32
	var broken atomic.Bool
	analyzer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var q struct{ Text string }
		if err := json.NewDecoder(r.Body).Decode(&q); err != nil || broken.Load() || r.Header.Get("Authorization") != "Bearer k3y" {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		asked.Add(1)
		list := []map[string]any{}
		if i := strings.Index(q.Text, "zaphod"); i >= 0 {
			list = append(list, map[string]any{"start": i, "end": i + 6, "score": 0.9, "entity_type": "PERSON"})
		}
		_ = json.NewEncoder(w).Encode(list)
	}))
	defer analyzer.Close()
	t.Setenv("ANALYZER_KEY", "k3y")
	o := openLabelled(t, "env: test", `
CREATE TABLE tickets (id int, body text, title text);
INSERT INTO tickets VALUES (1, 'called zaphod, mail ann@example.com', 'about zaphod')`,
		"masking: [{use: default}]\nmasking_analyzer: {url: '"+analyzer.URL+"/analyze', key: env:ANALYZER_KEY, columns: [tickets.body], timeout: 5s, failures: 1, pause: 10ms}\n")
	require.Equal(t, "1|called z*****, mail a**@*******.com|about zaphod\n", o.psql(t, "alice", "-c", "SELECT * FROM tickets"))
	require.EqualValues(t, 1, asked.Load())
	broken.Store(true)
	out := o.psql(t, "alice", "-c", "SELECT * FROM tickets")
	require.NotContains(t, out, "zaphod")
	require.Equal(t, "about zaphod\n", o.psql(t, "alice", "-c", "SELECT title FROM tickets"))
	o.stop(t)
}
