package testserver

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/sallyport/sallyport/internal/pgembed"
)

// SmallVault is as much of a Vault as a gateway needs: a token, secrets of KV 2 under secret/, and
// accounts of a PostgreSQL under database/creds/, which are real. Vault itself is for the heavy tests.
type SmallVault struct {
	URL   string
	Token string

	t  testing.TB
	pg *pgembed.Server

	mu     sync.Mutex
	kv     map[string]map[string]string
	leases map[string]string // user names
	made   int
	ttl    int // of leases, in seconds
	down   bool
}

// NewSmallVault starts one.
func NewSmallVault(t testing.TB, pg *pgembed.Server) *SmallVault {
	v := &SmallVault{Token: "hvs." + rand.Text(), t: t, pg: pg, kv: make(map[string]map[string]string), leases: make(map[string]string), ttl: 3600}
	s := httptest.NewServer(v)
	t.Cleanup(s.Close)
	v.URL = s.URL
	return v
}

// Put writes a secret.
func (v *SmallVault) Put(path string, values map[string]string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.kv[path] = values
}

// Accounts are the user names of the leases that live.
func (v *SmallVault) Accounts() []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Sorted(maps.Values(v.leases))
}

// SetDown says whether it answers that it is sealed.
func (v *SmallVault) SetDown(down bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.down = down
}

func (v *SmallVault) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch {
	case v.down:
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	case r.Header.Get("X-Vault-Token") != v.Token:
		w.WriteHeader(http.StatusForbidden)
		return
	}
	var in struct {
		Lease string `json:"lease_id"`
	}
	_ = json.NewDecoder(r.Body).Decode(&in) // a GET has none
	var out any
	path := strings.TrimPrefix(r.URL.Path, "/v1/")
	name := path[strings.LastIndex(path, "/")+1:]
	switch {
	case path == "auth/token/lookup-self":
		out = map[string]any{"data": map[string]any{"ttl": 0}}
	case strings.HasPrefix(path, "sys/internal/ui/mounts/secret/"):
		out = map[string]any{"data": map[string]any{"path": "secret/", "type": "kv", "options": map[string]string{"version": "2"}}}
	case strings.HasPrefix(path, "sys/internal/ui/mounts/database/"):
		out = map[string]any{"data": map[string]any{"path": "database/", "type": "database"}}
	case strings.HasPrefix(path, "secret/data/") && v.kv[name] != nil:
		out = map[string]any{"data": map[string]any{"data": v.kv[name], "metadata": map[string]int{"version": 1}}}
	case strings.HasPrefix(path, "database/creds/"):
		out = v.lease(name)
	case path == "sys/leases/renew" && v.leases[in.Lease] != "":
		out = map[string]any{"lease_id": in.Lease, "lease_duration": v.ttl, "renewable": true}
	case path == "sys/leases/revoke":
		if user := v.leases[in.Lease]; user != "" {
			Exec(v.t, v.pg, "postgres", fmt.Sprintf(`DROP ROLE %q`, user))
			delete(v.leases, in.Lease)
		}
		w.WriteHeader(http.StatusNoContent)
		return
	default:
		w.WriteHeader(http.StatusNotFound)
		return
	}
	_ = json.NewEncoder(w).Encode(out) // the client may have left
}

// lease makes an account. v.mu is held.
func (v *SmallVault) lease(role string) any {
	v.made++
	user, password := fmt.Sprintf("v-%s-%d-%s", role, v.made, strings.ToLower(rand.Text()[:6])), rand.Text()
	Exec(v.t, v.pg, "postgres", fmt.Sprintf(`CREATE ROLE %q LOGIN PASSWORD '%s'`, user, password))
	id := fmt.Sprintf("database/creds/%s/%d", role, v.made)
	v.leases[id] = user
	return map[string]any{
		"lease_id": id, "lease_duration": v.ttl, "renewable": true, "data": map[string]string{"username": user, "password": password},
	}
}
