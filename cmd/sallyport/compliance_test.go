package main

import (
	"archive/zip"
	"encoding/csv"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/control"
)

// packRows reads a table of a pack as CSV, by its columns.
func packRows(t *testing.T, file, name string) (rows []map[string]string) {
	t.Helper()
	z, err := zip.OpenReader(file)
	require.NoError(t, err)
	defer z.Close()
	f, err := z.Open("csv/" + name + ".csv")
	require.NoError(t, err)
	defer f.Close()
	lines, err := csv.NewReader(f).ReadAll()
	require.NoError(t, err)
	for _, line := range lines[1:] {
		row := make(map[string]string)
		for i, c := range lines[0] {
			row[c] = line[i]
		}
		rows = append(rows, row)
	}
	return rows
}

// TestCompliance: a gateway makes a pack of what people did at a real database: what ran, was denied, was held and approved, and was masked. The
// pack verifies without the gateway, holds no value, and a change of it is found.
func TestCompliance(t *testing.T) {
	needs(t, "psql")
	const value, literal = "4111111111111111", "s3ntinel-5150"
	o := openLabelled(t, "env: test", "CREATE TABLE payments (id int, card text); INSERT INTO payments VALUES (1, '"+value+"'); CREATE TABLE t (id int); INSERT INTO t VALUES (1)",
		holding+"masking: [{use: off}, {name: cards, columns: [payments.card], with: redact}]\ncontrol: [{users: [root, "+control.Self()+"], allow: [audit, list, review]}]\n")
	from := time.Now().UTC().Add(-time.Second)
	require.NotContains(t, o.psql(t, "alice", "-c", "SELECT card FROM payments", "-c", "SELECT '"+literal+"'"), value)
	o.psql(t, "alice", "-c", "INSERT INTO t VALUES (2) -- "+literal) // alice reads only
	o.psql(t, "mallory", "-c", "SELECT 1")
	p := o.asks(t, "bob", "DELETE FROM t WHERE id = 1")
	r := o.waiting(t)
	code, _, errs := sallyport(t, password+"\n", "approve", "-c", o.config, "-u", "alice", r.ID)
	require.Equal(t, exitOK, code, errs)
	require.NoError(t, p.Wait())

	key := filepath.Join(o.dir, "data", "audit", "log", "key.pub")
	file := filepath.Join(t.TempDir(), "pack.zip")
	until := time.Now().UTC().Add(time.Second)
	out := must(t, "compliance", "export", "-c", o.config, "--framework", "pci4", "--from", from.Format(time.RFC3339Nano), "--to", until.Format(time.RFC3339Nano), "--key", key, "--file", file)
	require.Contains(t, out, "proven: evidence for PCI DSS v4.0.1")
	require.NotContains(t, out, "NOT AS MADE")

	decisions := packRows(t, file, "decisions")
	found := func(user, relation, outcome string) map[string]string {
		for _, d := range decisions {
			if d["kind"] == "statement" && d["user"] == user && d["outcome"] == outcome && strings.Contains(d["relations"], relation) {
				require.NotEmpty(t, d["policy"])
				return d
			}
		}
		require.Fail(t, "no such decision", "%s %s %s in %v", user, relation, outcome, decisions)
		return nil
	}
	require.Contains(t, found("bob", "t", "done")["requests"], r.ID, "by which request it ran")
	require.Equal(t, "deny", found("alice", "t", "refused")["verdict"])
	require.Contains(t, found("alice", "payments", "done")["masked"], ":1")
	var states []string
	for _, x := range packRows(t, file, "requests") {
		require.Equal(t, r.ID, x["request"])
		states = append(states, x["state"]+" "+x["decided_by"])
	}
	require.Equal(t, []string{"pending ", "approved alice", "used alice"}, states)
	masked := packRows(t, file, "masking")
	require.Len(t, masked, 1)
	require.Equal(t, []string{"alice", "shop", "masked", "1"}, []string{masked[0]["user"], masked[0]["resource"], masked[0]["what"], masked[0]["values"]})
	var events []string
	for _, x := range packRows(t, file, "logins") {
		events = append(events, x["user"]+" "+x["event"])
	}
	require.Contains(t, events, "mallory gateway.login-failed")
	require.Contains(t, events, "alice gateway.login")
	access := make(map[string]string)
	for _, x := range packRows(t, file, "access") {
		access[x["user"]+" "+x["resource"]] = x["access"]
	}
	require.Equal(t, map[string]string{"alice shop": "allowed", "bob shop": "allowed"}, access)
	var users []string
	for _, x := range packRows(t, file, "users") {
		users = append(users, x["user"]+" "+x["groups_given"])
	}
	require.Equal(t, []string{"alice dev", "bob dev ops"}, users)

	db, err := os.ReadFile(filepath.Join(o.dir, "db.password"))
	require.NoError(t, err)
	z, err := zip.OpenReader(file)
	require.NoError(t, err)
	defer z.Close()
	for _, f := range z.File {
		in, err := f.Open()
		require.NoError(t, err)
		text, err := io.ReadAll(in)
		require.NoError(t, err)
		for _, secret := range []string{value, literal, password, strings.TrimSpace(string(db))} {
			require.NotContains(t, string(text), secret, f.Name)
		}
	}

	// Everything but the last is left out: a period ends before its end.
	early := filepath.Join(t.TempDir(), "early.zip")
	must(t, "compliance", "export", "-c", o.config, "--framework", "gdpr", "--from", from.Add(-time.Hour).Format(time.RFC3339Nano), "--to", from.Format(time.RFC3339Nano), "--file", early)
	require.Empty(t, packRows(t, early, "decisions"))
	require.Empty(t, packRows(t, early, "requests"))

	o.stop(t)
	require.Contains(t, must(t, "compliance", "verify", "--key", key, file), "proven: ")
	require.Contains(t, must(t, "compliance", "verify", file), "not proven: that the public key is the log's")
	whole, err := os.ReadFile(file)
	require.NoError(t, err)
	changed := filepath.Join(t.TempDir(), "changed.zip")
	whole[len(whole)/2] ^= 0x10
	require.NoError(t, os.WriteFile(changed, whole, 0o600))
	code, out, _ = sallyport(t, "", "compliance", "verify", "--key", key, changed)
	require.Equal(t, exitError, code, out)
	other := filepath.Join(t.TempDir(), "other.pub")
	require.NoError(t, os.WriteFile(other, []byte("sallyport-audit-000000000000+00000000+AQ=="), 0o600))
	code, _, _ = sallyport(t, "", "compliance", "verify", "--key", other, file)
	require.Equal(t, exitError, code)
	code, _, _ = sallyport(t, "", "compliance", "verify", filepath.Join(t.TempDir(), "none.zip"))
	require.Equal(t, exitNotFound, code)
	code, _, errs = sallyport(t, "", "compliance", "verify", o.config)
	require.Equal(t, exitError, code)
	require.Contains(t, errs, "this is not a pack of evidence")
	for _, args := range [][]string{
		{"export", "-c", o.config},
		{"export", "-c", o.config, "--framework", "pci3"},
		{"export", "-c", o.config, "--framework", "pci4", "--from", "yesterday"},
		{"export", "-c", o.config, "--framework", "pci4", "--from", "2026-01-02", "--to", "2026-01-01"},
		{"export", "-c", o.config, "--framework", "pci4", "--file", "-"},
		{"verify"},
	} {
		code, _, errs := sallyport(t, "", append([]string{"compliance"}, args...)...)
		require.Equal(t, exitUsage, code, "%v: %s", args, errs)
	}
	require.Contains(t, must(t, "compliance", "frameworks"), "CC6.1")
}

// TestEvidencePeriod: days are whole, and times are as they are.
func TestEvidencePeriod(t *testing.T) {
	now := time.Date(2026, 5, 6, 7, 8, 9, 0, time.UTC)
	for _, c := range []struct{ from, to, begin, end string }{
		{"", "", "2026-04-06T00:00:00Z", "2026-05-07T00:00:00Z"},
		{"2026-01-01", "2026-01-31", "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"},
		{"2026-01-01T06:00:00+02:00", "2026-01-31", "2026-01-01T04:00:00Z", "2026-02-01T00:00:00Z"},
		{"2026-01-01", "2026-01-31T06:00:00.5Z", "2026-01-01T00:00:00Z", "2026-01-31T06:00:00.5Z"},
	} {
		p, err := evidencePeriod(c.from, c.to, now)
		require.NoError(t, err)
		require.Equal(t, []string{c.begin, c.end}, []string{p.From.Format(time.RFC3339Nano), p.To.Format(time.RFC3339Nano)}, "%v", c)
	}
	for _, bad := range []string{"yesterday", "2026-13-01", "2026-01-01 06:00"} {
		_, err := evidencePeriod(bad, "", now)
		require.ErrorContains(t, err, "--from")
		_, err = evidencePeriod("", bad, now)
		require.ErrorContains(t, err, "--to")
	}
}
