package testserver

import (
	"bufio"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
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
	cmd := exec.Command(program)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe() // it ends with this
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	})
	line, err := bufio.NewReader(out).ReadBytes('\n')
	s := &VaultServer{}
	if err == nil {
		err = json.Unmarshal(line, s)
	}
	if err != nil {
		t.Fatalf("starting Vault: %v", err)
	}
	return s
}
