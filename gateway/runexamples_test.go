package gateway

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/control"
	"github.com/sallyport/sallyport/runbook"
)

// The runbooks of examples/runbooks do what they say: at a real PostgreSQL, MariaDB and OpenSSH, and a web application.
func TestExampleRunbooks(t *testing.T) {
	books := make(map[string]string)
	for _, pattern := range []string{"*.yaml", "scripts/*"} {
		list, err := filepath.Glob(filepath.Join("../examples/runbooks", pattern))
		require.NoError(t, err)
		for _, f := range list {
			text, err := os.ReadFile(f)
			require.NoError(t, err)
			name, err := filepath.Rel("../examples/runbooks", f)
			require.NoError(t, err)
			if !strings.HasSuffix(name, ".test.yaml") {
				books[name] = string(text)
			}
		}
	}
	require.Len(t, books, 7, "five runbooks, and two scripts")
	var sent string
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body) // a test's own
		if r.Method == http.MethodPost {
			sent = r.URL.Path + " " + string(body)
			w.WriteHeader(http.StatusAccepted)
			return
		}
		_, _ = io.WriteString(w, `{"customer": {"id": 4711}}`)
	}))
	t.Cleanup(app.Close)
	h, maria := openForMySQL(t, books, "  - {name: billing, type: web, address: \""+app.Listener.Addr().String()+"\", labels: {app: billing}, tls: {mode: disable}, web: {hosts: [billing.example.com]}}\n")
	run := func(name string, values map[string]any, targets map[string][]string, approvals ...string) runbook.Run {
		t.Helper()
		r := h.start(t, "alice", control.RunRequest{Name: name, Params: params(values), Targets: targets})
		for _, by := range approvals {
			h.until(t, "alice", r.ID, func(*runbook.Run) bool { return h.approve(t, by, r.ID) == http.StatusOK })
		}
		r = h.over(t, "alice", r.ID)
		require.Equal(t, runbook.Done, r.State, "%s: %s %v", name, r.Message, r.Steps)
		return r
	}

	run("refund-order", map[string]any{"order_id": 7, "reason": "arrived broken (again)"}, map[string][]string{"db": {"shop"}}, "carol", "carol")
	require.Equal(t, "refunded|arrived broken (again)", h.sql("select state || '|' || note from orders where id = 7"))
	require.Equal(t, "1", h.sql("select count(*) from orders where state <> 'paid'"))

	const accounts = "create table accounts (mail varchar(100), locked boolean, failures int)"
	const locked = "insert into accounts values ('ada@example.com', true, 5), ('ann@example.com', true, 5)"
	h.sql(accounts)
	h.sql(locked)
	maria(accounts)
	maria(locked)
	for _, at := range []string{"shop", "maria"} {
		r := run("unlock-account", map[string]any{"mail": "ada@example.com"}, map[string][]string{"db": {at}})
		require.EqualValues(t, 1, r.Steps[0].Affected)
	}
	const left = "select mail from accounts where locked and failures = 5"
	require.Equal(t, "ann@example.com", h.sql(left))
	require.Equal(t, "ann@example.com", maria(left))

	home := filepath.Join(h.dir, "home") // of the machine's account
	require.NoError(t, os.MkdirAll(filepath.Join(home, "bin"), 0o700))
	require.NoError(t, os.MkdirAll(filepath.Join(home, "etc"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(home, "bin", "service-control"), []byte("#!/bin/sh\nprintf 'control: %s %s\\n' \"$1\" \"$2\"\n"), 0o700))
	r := run("restart-service", map[string]any{"service": "shop", "why": "it's $(id) slow"}, nil)
	require.Equal(t, "restarting shop: it's $(id) slow\ncontrol: restart shop\n", r.Steps[0].Output)
	run("rotate-credential", map[string]any{"service": "search"}, nil, "carol")
	kept, err := os.ReadFile(filepath.Join(home, "etc", "search.credential"))
	require.NoError(t, err)
	require.Len(t, strings.TrimSpace(string(kept)), 40)
	i, err := os.Stat(filepath.Join(home, "etc", "search.credential"))
	require.NoError(t, err)
	require.EqualValues(t, 0o600, i.Mode().Perm())
	require.NotContains(t, h.log.String(), strings.TrimSpace(string(kept)))

	run("resend-invoice", map[string]any{"invoice": "A-17", "why": "lost, \"again\""}, nil)
	require.Equal(t, `/api/invoices/A-17/deliveries {"asked_by":"alice","customer":4711,"reason":"lost, \"again\""}`, sent)
	require.NotZero(t, h.proven(t).Proven)
}
