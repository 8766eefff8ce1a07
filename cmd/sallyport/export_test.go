package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/testserver"
)

// What happens at the gateway is sent on in each of the forms, and counted.
func TestServeExport(t *testing.T) {
	var posted atomic.Int64
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if strings.HasPrefix(r.Header.Get("webhook-signature"), "v1,") && strings.Contains(string(body), "operation.refused") {
			posted.Add(1)
		}
	}))
	defer hook.Close()
	metrics := testserver.FreeAddress(t)
	t.Setenv("HOOK_KEY", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	o := openOffice(t, `
audit:
  export:
    - {type: file, path: events.jsonl}
    - {type: file, name: ocsf, path: ocsf.jsonl, format: ocsf, only: ["operation.*"]}
    - {type: webhook, url: "`+hook.URL+`", keys: [env:HOOK_KEY], private: true, plaintext: true, only: [operation.refused]}
metrics: "`+metrics+`"
`)
	require.Contains(t, o.psql(t, "alice", "-c", "SELECT 1 + 1", "-c", "DROP TABLE x"), "ERROR:")
	require.Eventually(t, func() bool { return posted.Load() == 1 }, 30*time.Second, 10*time.Millisecond)
	shown := func() string {
		resp, err := http.Get("http://" + metrics + "/metrics")
		require.NoError(t, err)
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		return string(text)
	}
	require.Contains(t, shown(), `sallyport_operations_total{protocol="postgres",resource="shop",verdict="denied"} 1`)
	require.Eventually(t, func() bool { // it is counted once the service has answered
		return strings.Contains(shown(), `sallyport_export_events_total{sink="webhook"} 1`)
	}, 30*time.Second, 10*time.Millisecond)
	o.stop(t)

	b, err := os.ReadFile(filepath.Join(o.dir, "events.jsonl"))
	require.NoError(t, err)
	require.Contains(t, string(b), `"user":"alice"`)
	require.Contains(t, string(b), `"type":"gateway.start"`)
	require.Contains(t, string(b), `"type":"gateway.stop"`)
	b, err = os.ReadFile(filepath.Join(o.dir, "ocsf.jsonl"))
	require.NoError(t, err)
	for line := range strings.Lines(string(b)) {
		var e struct {
			Class int `json:"class_uid"`
		}
		require.NoError(t, json.Unmarshal([]byte(line), &e))
		require.Equal(t, 6005, e.Class)
	}
}
