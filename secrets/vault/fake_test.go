package vault

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// fake is what the gateway asks of a Vault, as its documentation describes it.
type fake struct {
	mu       sync.Mutex
	token    string // that is accepted; empty: all
	ttl      int
	logins   []string // path and body
	renewals int
	kv       map[string]string
	unwraps  int
	header   http.Header
}

func (f *fake) set(do func()) { f.mu.Lock(); defer f.mu.Unlock(); do() }

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	path := strings.TrimPrefix(r.URL.EscapedPath(), "/v1/")
	body, _ := io.ReadAll(r.Body)
	answer := func(v any) { json.NewEncoder(w).Encode(v) }
	grant := map[string]any{"auth": map[string]any{"client_token": f.token, "lease_duration": f.ttl, "renewable": true}}
	f.header = r.Header.Clone()
	switch {
	case strings.HasPrefix(path, "auth/") && strings.HasSuffix(path, "/login"):
		f.logins = append(f.logins, path+" "+string(body))
		answer(grant)
		return
	case path == "sys/wrapping/unwrap":
		f.unwraps++
		if r.Header.Get("X-Vault-Token") != "wrapping" || f.unwraps > 1 {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		answer(map[string]any{"data": map[string]any{"secret_id": "unwrapped-secret"}})
		return
	case r.Header.Get("X-Vault-Token") != f.token:
		w.WriteHeader(http.StatusForbidden)
		return
	}
	mount, name, _ := strings.Cut(strings.TrimPrefix(path, "sys/internal/ui/mounts/"), "/")
	switch {
	case path == "auth/token/lookup-self":
		answer(map[string]any{"data": map[string]any{"ttl": f.ttl, "renewable": f.ttl > 0}})
	case path == "auth/token/renew-self":
		f.renewals++
		answer(grant)
	case strings.HasPrefix(path, "sys/internal/ui/mounts/"):
		version := map[string]string{"secret": "2", "old": "1"}[mount]
		answer(map[string]any{"data": map[string]any{"path": mount + "/", "type": "kv", "options": map[string]string{"version": version}}})
	case mount == "secret" && f.kv[strings.TrimPrefix(name, "data/")] != "":
		answer(map[string]any{"data": map[string]any{"data": json.RawMessage(f.kv[strings.TrimPrefix(name, "data/")]), "metadata": map[string]int{"version": 7}}})
	case mount == "old" && f.kv[name] != "":
		answer(map[string]any{"data": json.RawMessage(f.kv[name])})
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

// until waits for a condition.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("not in time: " + what)
		}
	}
}
