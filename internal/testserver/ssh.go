package testserver

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

// KeyPair writes a new key pair to file and file.pub, and returns the public key as a
// line of authorized_keys.
func KeyPair(t testing.TB, file string) string {
	t.Helper()
	_, private := must2(ed25519.GenerateKey(rand.Reader))
	block := must(ssh.MarshalPrivateKey(private, ""))
	signer := must(ssh.NewSignerFromKey(private))
	line := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(signer.PublicKey())))
	write(t, file, pem.EncodeToMemory(block))
	write(t, file+".pub", []byte(line+"\n"))
	return line
}

func must2[A, B any](a A, b B, err error) (A, B) {
	if err != nil {
		panic(err)
	}
	return a, b
}

func write(t testing.TB, file string, content []byte) {
	t.Helper()
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// OpenSSH starts OpenSSH's server for one test, with a host key, the lines of
// authorized_keys that it accepts, and further lines of its configuration. It keeps
// its files in dir. Its users have an empty home, so that no start-up file of the
// machine runs at a login. It returns the server's address.
func OpenSSH(t testing.TB, dir, hostKey, accepted string, further ...string) string {
	t.Helper()
	program := "/usr/sbin/sshd"
	if _, err := os.Stat(program); err != nil {
		Missing(t, "OpenSSH's server")
	}
	if os.Geteuid() == 0 {
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
			t.Fatal(err)
		}
	}
	address := FreeAddress(t)
	_, port, _ := net.SplitHostPort(address)
	write(t, filepath.Join(dir, "accepted"), []byte(accepted+"\n"))
	home := filepath.Join(dir, "home")
	if err := os.MkdirAll(home, 0o755); err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(dir, "sshd_config")
	write(t, config, fmt.Appendf(nil, `Port %s
ListenAddress 127.0.0.1
HostKey %s
AuthorizedKeysFile %s
StrictModes no
UsePAM no
PidFile none
MaxSessions 100
MaxStartups 1000
AcceptEnv LANG LC_*
X11Forwarding yes
PasswordAuthentication no
PermitRootLogin prohibit-password
Subsystem sftp internal-sftp
SetEnv HOME=%s
%s
`, port, hostKey, filepath.Join(dir, "accepted"), home, strings.Join(further, "\n")))
	cmd := exec.Command(program, "-D", "-e", "-f", config)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		c, err := net.Dial("tcp", address)
		if err == nil {
			c.Close()
			return address
		}
		if time.Now().After(end) {
			t.Fatalf("starting %s: it does not listen at %s: %v", program, address, err)
		}
	}
}
