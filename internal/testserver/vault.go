package testserver

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/sallyport/sallyport/internal/devtool"
)

// VaultServer is a running Vault 1.14.0: unsealed, in memory, by TLS on loopback, with the engines kv,
// database and ssh, and the logins approle and cert, none of them mounted.
type VaultServer struct {
	Address string `json:"address"`
	Token   string `json:"token"` // of root
	CA      string `json:"ca"`    // PEM
}

// Vault starts a server for one test. Its build takes minutes, so scripts/vaultdev makes it, which
// "make test-heavy" runs; without it the test is skipped.
func Vault(t testing.TB) *VaultServer {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(cache, "sallyport", "vaultdev-v1.14.0", "vaultdev")
	if _, err := os.Stat(program); err != nil {
		t.Skip("SKIPPED, NOT TESTED: Vault is not built; scripts/vaultdev builds it in five minutes")
	}
	line, _ := devtool.Start(t, program)
	s := &VaultServer{}
	if err := json.Unmarshal([]byte(line), s); err != nil {
		t.Fatalf("starting Vault: %v", err)
	}
	return s
}
