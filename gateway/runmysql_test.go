package gateway

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/control"
	"github.com/sallyport/sallyport/internal/hostile"
	"github.com/sallyport/sallyport/internal/testserver"
	"github.com/sallyport/sallyport/runbook"
)

// openForMySQL is a gateway for runs in front of MariaDB, too.
func openForMySQL(t *testing.T, books map[string]string, resources ...string) (h *runHouse, ask func(text string) string) {
	t.Helper()
	maria, database, _ := testserver.SharedMariaDB(t, `CREATE TABLE orders (id INT PRIMARY KEY, total DECIMAL(10,2), state VARCHAR(20), note VARCHAR(600), card VARCHAR(30),
			at DATETIME(3), day DATE, took TIME, ratio DOUBLE, big BIGINT UNSIGNED, raw BLOB, nothing INT) ENGINE=InnoDB;
		INSERT INTO orders SELECT seq, seq * 10, 'paid', NULL, CONCAT('4111-', seq), '2026-01-31 15:04:05.250', '2026-01-31', '-01:02:03', 0.5, 18446744073709551615, 0x00ff, NULL FROM seq_1_to_20;
		CREATE TABLE seen (n INT, value TEXT CHARACTER SET utf8mb4) ENGINE=InnoDB`)
	_, err := maria.Run("", "CREATE USER IF NOT EXISTS app@'127.0.0.1' IDENTIFIED BY 'app-secret'; GRANT ALL ON *.* TO app@'127.0.0.1'")
	require.NoError(t, err)
	t.Setenv("MYSQL_APP_PASSWORD", "app-secret")
	h = openForRunsAt(t, books, fmt.Sprintf("  - {name: maria, type: mysql, address: \"127.0.0.1:%d\", username: app, password: \"env:MYSQL_APP_PASSWORD\", labels: {app: orders}, tls: {mode: disable}, schema: %s}\n", maria.Port, database)+strings.Join(resources, ""), "")
	return h, func(text string) string {
		out, err := maria.Run(database, text, "-N")
		require.NoError(t, err)
		return strings.TrimSpace(out)
	}
}

func mysqlBook(name, rest string) string {
	return fmt.Sprintf("apiVersion: sallyport/v1\nkind: Runbook\nmetadata: {name: %s}\ntargets: {db: {types: [mysql]}}\n", name) + rest
}

// Steps at MySQL bind values, are bounded and rolled back, masked and cancelled as those at PostgreSQL.
func TestRunMySQL(t *testing.T) {
	h, ask := openForMySQL(t, map[string]string{
		"pay.yaml": mysqlBook("pay", `
params:
  order: {type: integer, required: true}
  reason: {type: string}
  loud: {type: boolean, default: true}
  tags: {type: multi, values: [a, "b'c"], default: "a,b'c"}
  column: {type: identifier, allow: [state, note], default: note}
limits: {affected_rows: 1}
outputs: {steps: [look, types, kinds]}
steps:
  - {id: look, sql: {text: "select id, total, card from orders where id = $order", rows: 1}}
  - {id: types, sql: {text: "select at, day, took, ratio, big, raw, nothing from orders where id = $order", rows: 1}}
  - {id: kinds, sql: {text: "select $loud + 1, $tags, coalesce($reason, 'none')"}}
  - {id: pay, sql: {text: "update orders set state = 'refunded', {{ident:column}} = $reason where id = $order and total = $look.total"}}
`),
		"wide.yaml":  mysqlBook("wide", "limits: {affected_rows: 3}\nsteps:\n  - {id: a, sql: {text: \"update orders set note = 'wide' where id > 10\", dry_run: rollback}}\n"),
		"slow.yaml":  mysqlBook("slow", "steps:\n  - {id: a, sql: {text: \"select sleep(60) from orders\"}}\n"),
		"drop.yaml":  mysqlBook("drop", "steps:\n  - {id: a, sql: {text: drop table orders}}\n"),
		"empty.yaml": mysqlBook("empty", "steps:\n  - {id: a, sql: {text: truncate table orders, dry_run: rollback}}\n"),
	})
	q := control.RunRequest{Name: "pay", Params: params(map[string]any{"order": 7, "reason": `it's \' "broken" -- ?`})}
	dry := q
	dry.Dry = true
	r := h.start(t, "alice", dry)
	r = h.over(t, "alice", r.ID)
	require.Equal(t, runbook.Done, r.State, r.Message)
	require.Contains(t, strings.ToLower(fmt.Sprint(r.Steps[3].Columns)), "possible_keys", "what the server would do")
	require.Equal(t, "paid", ask("select state from orders where id = 7"))

	r = h.start(t, "alice", q)
	r = h.over(t, "alice", r.ID)
	require.Equal(t, runbook.Done, r.State, "%s %v", r.Message, r.Steps)
	require.Equal(t, [][]string{{"7", "70.00", "<card>"}}, r.Steps[0].Kept, "masked as for alice")
	require.Equal(t, [][]string{{"2026-01-31 15:04:05.250", "2026-01-31", "-01:02:03", "0.5", "18446744073709551615", "0x00ff", "NULL"}}, r.Steps[1].Kept)
	require.Equal(t, [][]string{{"2", `["a","b'c"]`, `it's \' "broken" -- ?`}}, r.Steps[2].Kept)
	require.EqualValues(t, 1, r.Steps[3].Affected)
	require.Equal(t, fmt.Sprintf("refunded|%X", `it's \' "broken" -- ?`), ask("select concat(state, '|', hex(note)) from orders where id = 7"))

	for _, dry := range []bool{true, false} {
		r = h.start(t, "alice", control.RunRequest{Name: "wide", Dry: dry})
		r = h.over(t, "alice", r.ID)
		require.Equal(t, runbook.Failed, r.State)
		require.Contains(t, r.Message, "it would change 10 rows, and may change 3: it was rolled back")
		require.Equal(t, "0", ask("select count(*) from orders where note = 'wide'"))
	}

	r = h.start(t, "alice", control.RunRequest{Name: "drop"})
	r = h.over(t, "alice", r.ID)
	require.Equal(t, runbook.Failed, r.State, "the guardrails count")
	require.Contains(t, r.Message, "no-drop")

	var refused struct{ Error struct{ Message string } }
	require.Equal(t, http.StatusBadRequest, h.ask(t, h.as(t, "alice"), "POST", "/v1/runbooks/plan", control.RunRequest{Source: "local", Name: "empty"}, &refused))
	require.Equal(t, "20", ask("select count(*) from orders"), "what the database commits by itself is not taken back, and so not tried")

	r = h.start(t, "alice", control.RunRequest{Name: "slow"})
	require.Eventually(t, func() bool {
		return ask("select count(*) from information_schema.processlist where info = 'select sleep(60) from orders'") == "1"
	}, 30*time.Second, 10*time.Millisecond)
	require.Equal(t, http.StatusOK, h.ask(t, h.as(t, "alice"), "POST", "/v1/runs/"+r.ID+"/cancel", struct{}{}, nil))
	r = h.over(t, "alice", r.ID)
	require.Equal(t, runbook.Cancelled, r.State, r.Message)
}

// The hostile corpus through statements of MySQL: the server sees exactly the value.
func TestRunHostileMySQL(t *testing.T) {
	var texts []string
	for _, v := range hostile.Values() {
		if _, err := (&runbook.Param{Type: "text"}).Value(v); err == nil {
			texts = append(texts, v)
		}
	}
	require.Greater(t, len(texts), 200)
	const batch = 45
	var declared, rows strings.Builder
	for i := range batch {
		fmt.Fprintf(&declared, "  t%d: {type: text}\n", i)
		fmt.Fprintf(&rows, ", (%d, $t%d)", i, i)
	}
	h, ask := openForMySQL(t, map[string]string{"see.yaml": mysqlBook("see", "params:\n"+declared.String()+`
steps:
  - {id: empty, sql: {text: delete from seen}}
  - {id: keep, sql: {text: "insert into seen values (-1, 'x')`+rows.String()+`"}}
`)})
	for from := 0; from < len(texts); from += batch {
		given, want := make(map[string]any), []string(nil)
		for i := range batch {
			text := "x"
			if from+i < len(texts) {
				text = texts[from+i]
			}
			given[fmt.Sprintf("t%d", i)] = text
			want = append(want, fmt.Sprintf("X%X", text))
		}
		r := h.start(t, "alice", control.RunRequest{Name: "see", Params: params(given)})
		r = h.over(t, "alice", r.ID)
		require.Equal(t, runbook.Done, r.State, r.Message)
		require.Equal(t, want, strings.Split(ask("select concat('X', hex(value)) from seen where n >= 0 order by n"), "\n"))
	}
}
