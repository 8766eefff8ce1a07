package gateway

import (
	"context"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/audit"
)

// save runs a text and returns the text of its files, and the other frames.
func (d *editor) save(text, kind string) (file string, list []frame) {
	d.t.Helper()
	d.runs++
	d.send(frame{"type": "run", "run": d.runs, "text": text, "save": kind})
	return d.saved("done")
}

// saved reads until a frame is of a type.
func (d *editor) saved(typ string) (file string, list []frame) {
	d.t.Helper()
	var b strings.Builder
	for {
		ctx, cancel := context.WithTimeout(d.t.Context(), 60*time.Second)
		kind, data, err := d.Read(ctx)
		cancel()
		require.NoError(d.t, err, "waiting for %q after %v", typ, list)
		if kind == websocket.MessageBinary {
			b.Write(data)
			d.received += int64(len(data))
			d.send(frame{"type": "ack", "received": d.received})
			continue
		}
		var f frame
		require.NoError(d.t, json.Unmarshal(data, &f))
		require.NotEqual(d.t, "rows", f["type"], "rows of a file are not shown besides")
		list = append(list, f)
		if f["type"] == typ {
			return b.String(), list
		}
	}
}

// Rows are saved as a file by the same chain as they are shown: masked, refused and held alike, and that they are saved is on
// record with what the file has.
func TestBrowserDatabaseSaves(t *testing.T) {
	h := openForBrowsers(t, "")
	d := h.editor(t, h.signIn(t, "alice"))
	file, list := d.save("SELECT id, name, mail, ssn FROM people ORDER BY id", "csv")
	require.Equal(t, "id,name,mail,ssn\n1,Ada,<mail>,<hidden>\n2,Bob,,<hidden>\n", file)
	require.Regexp(t, regexp.MustCompile(`^rows-shop-\d{8}-\d{6}\.csv$`), of(list, "result")[0]["file"])
	end := of(list, "end")[0]
	sum, size := sha256.Sum256([]byte(file)), len(file)
	require.Equal(t, hex.EncodeToString(sum[:]), end["sha256"])
	require.Equal(t, float64(len(file)), end["bytes"])
	require.Equal(t, 2.0, end["rows"])

	file, list = d.save("SELECT id, mail, ssn, 'a' AS id FROM people ORDER BY 1", "json")
	require.Empty(t, of(list, "failed"))
	require.JSONEq(t, `[{"id":"1","mail":"<mail>","ssn":"<hidden>","id_2":"a"},{"id":"2","mail":null,"ssn":"<hidden>","id_2":"a"}]`, file)
	require.Contains(t, of(list, "result")[0]["file"], ".json")

	// No cell is a formula, nor is a column's name; a number stays one.
	file, _ = d.save(`SELECT * FROM (VALUES ('=1+1', -5), ('+1+1', 1), ('-1-1', 1), ('@SUM(A1)', 1), (E'\t=1', 1), (E'\r=1', 1), (E'a\n=1', 1)) t("=c", n)`, "csv")
	rows, err := csv.NewReader(strings.NewReader(file)).ReadAll()
	require.NoError(t, err)
	require.Equal(t, [][]string{{"'=c", "n"}, {"'=1+1", "-5"}, {"'+1+1", "1"}, {"'-1-1", "1"}, {"'@SUM(A1)", "1"}, {"'\t=1", "1"}, {"'\r=1", "1"}, {"a\n=1", "1"}}, rows)

	// What comes in part says so.
	file, list = d.save("SELECT repeat('x', 2000000) AS long", "csv")
	require.Contains(t, file, "x… (the first 65536 of 2000000 bytes)")
	require.Equal(t, 1.0, of(list, "end")[0]["short"])

	// Each result is a file.
	_, list = d.save("SELECT 1; SELECT 2", "csv")
	require.Contains(t, of(list, "result")[1]["file"], "-2.csv")
	require.Len(t, of(list, "end"), 2)

	// What is refused has no file, and what is held waits.
	file, list = d.save("DROP TABLE people", "csv")
	require.Empty(t, file)
	require.Contains(t, of(list, "failed")[0]["message"], "no-drop")
	d.runs++
	d.send(frame{"type": "run", "run": d.runs, "text": "DELETE FROM people RETURNING ssn", "save": "csv"})
	file, _ = d.saved("held")
	require.Empty(t, file)
	d.send(frame{"type": "cancel", "run": d.runs})
	file, list = d.saved("done")
	require.Empty(t, file)
	require.Len(t, of(list, "failed"), 1)

	d.send(frame{"type": "run", "run": d.runs + 1, "text": "SELECT 1", "save": "exe"})
	require.Equal(t, websocket.StatusPolicyViolation, d.ends())
	require.NoError(t, h.stop())
	var saved []string
	for _, e := range h.records(t)[""] {
		if e.Type == audit.AdminExport {
			require.Equal(t, "alice", e.User)
			require.NotEmpty(t, e.Session)
			saved = append(saved, e.Action+" "+e.Reason)
		}
	}
	require.Equal(t, "begin rows as csv", saved[0])
	require.Equal(t, fmt.Sprintf("finish rows as csv: 2 rows, %d bytes, SHA-256 %x", size, sum), saved[1])
	require.Equal(t, "begin rows as json", saved[2])
	require.Equal(t, "begin rows as csv", saved[len(saved)-1], "what was held was not finished")
}

// A file is as long as it may be, and its end says that there was more; the session goes on.
func TestBrowserDatabaseSavesNoMore(t *testing.T) {
	h := openForBrowsers(t, "")
	d := h.editor(t, h.signIn(t, "alice"))
	file, list := d.save("SELECT generate_series(1, 100000000) AS n", "csv")
	require.Equal(t, 1_000_001, strings.Count(file, "\n"))
	require.True(t, strings.HasSuffix(file, "\n1000000\n"))
	end := of(list, "end")[0]
	require.Equal(t, true, end["cut"])
	require.Equal(t, float64(len(file)), end["bytes"])
	require.Empty(t, of(list, "failed"))

	// Somebody who gives it up has no file.
	d.runs++
	d.send(frame{"type": "run", "run": d.runs, "text": "SELECT generate_series(1, 100000000) AS n, pg_sleep(0.001)", "save": "csv"})
	d.saved("result")
	d.send(frame{"type": "cancel", "run": d.runs})
	_, list = d.saved("done")
	require.Len(t, of(list, "failed"), 1)
	require.Empty(t, of(list, "end"))
	require.Equal(t, "SELECT 1", of(d.run("SELECT 1"), "end")[0]["tag"])
}

// A file is not begun where that cannot be recorded.
func TestBrowserDatabaseSavesOnRecordOnly(t *testing.T) {
	h := openForBrowsers(t, "")
	d := h.editor(t, h.signIn(t, "alice"))
	require.NoError(t, h.Records().Close())
	d.send(frame{"type": "run", "run": 1, "text": "SELECT 1", "save": "csv"})
	file, list := d.saved("ended")
	require.Empty(t, file)
	require.Contains(t, last(list)["reason"], "recorded")
}
