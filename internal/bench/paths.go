package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/internal/freeport"
	"github.com/sallyport/sallyport/internal/pgembed"
)

// The names of the paths that others are compared with.
const (
	relayName     = "Go relay"
	pgbouncerName = "PgBouncer"
)

// paths starts the peers that are installed, and the gateway.
func (b *bench) paths(ctx context.Context) ([]path, error) {
	list := []path{b.superuser("direct", "127.0.0.1:"+strconv.Itoa(b.server.Port), 0)}
	for _, add := range []func(context.Context) (path, error){b.relay, b.pgbouncer, b.haproxy, b.gateway, b.bare, b.older} {
		p, err := add(ctx)
		if err != nil {
			return nil, err
		}
		if p.name != "" {
			list = append(list, p)
		}
	}
	return list, nil
}

// superuser is a path on which clients log in as the server's own user.
func (b *bench) superuser(name, address string, pid int) path {
	return path{name, b.env(address, pgembed.User, b.server.Password), pid}
}

func (b *bench) env(address, name, password string) []string {
	host, port, _ := net.SplitHostPort(address)
	return []string{"PGHOST=" + host, "PGPORT=" + port, "PGUSER=" + name, "PGPASSWORD=" + password, "PGDATABASE=bench"}
}

func address() (string, error) {
	port, err := freeport.Find()
	return freeport.Address(port), err
}

func (b *bench) write(name, text string) (string, error) {
	file := filepath.Join(b.dir, name)
	return file, os.WriteFile(file, []byte(text), 0o644)
}

// begin starts a program and waits until it listens.
func (b *bench) begin(cmd *exec.Cmd, address string) (int, error) {
	log, err := os.Create(filepath.Join(b.dir, filepath.Base(cmd.Path)+".log"))
	if err != nil {
		return 0, err
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	b.stops = append(b.stops, func() {
		cmd.Process.Signal(os.Interrupt)
		cmd.Wait()
	})
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if c, err := net.Dial("tcp", address); err == nil {
			return cmd.Process.Pid, c.Close()
		}
	}
	text, _ := os.ReadFile(log.Name())
	return 0, fmt.Errorf("%s does not listen: %s", cmd.Path, text)
}

func (b *bench) pgbouncer(context.Context) (path, error) {
	program, err := exec.LookPath("pgbouncer")
	if err != nil {
		return path{}, nil
	}
	at, err := address()
	if err != nil {
		return path{}, err
	}
	_, port, _ := net.SplitHostPort(at)
	users, err := b.write("users.txt", fmt.Sprintf("%q %q\n", pgembed.User, b.server.Password))
	if err != nil {
		return path{}, err
	}
	cert, err := b.write("server.crt", string(b.cert))
	if err != nil {
		return path{}, err
	}
	key, err := b.write("server.key", string(b.key))
	if err != nil {
		return path{}, err
	}
	file, err := b.write("pgbouncer.ini", fmt.Sprintf(`[databases]
bench = host=127.0.0.1 port=%d dbname=bench
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %s
unix_socket_dir =
auth_type = scram-sha-256
auth_file = %s
pool_mode = session
default_pool_size = 100
max_client_conn = 300
log_connections = 0
log_disconnections = 0
server_tls_sslmode = disable
client_tls_sslmode = allow
client_tls_cert_file = %s
client_tls_key_file = %s
`, b.server.Port, port, users, cert, key))
	if err != nil {
		return path{}, err
	}
	cmd := exec.Command(program, file)
	if u, err := user.Lookup("postgres"); err == nil && os.Geteuid() == 0 {
		uid, _ := strconv.Atoi(u.Uid)
		gid, _ := strconv.Atoi(u.Gid)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	}
	pid, err := b.begin(cmd, at)
	return b.superuser(pgbouncerName, at, pid), err
}

func (b *bench) haproxy(context.Context) (path, error) {
	program, err := exec.LookPath("haproxy")
	if err != nil {
		return path{}, nil
	}
	at, err := address()
	if err != nil {
		return path{}, err
	}
	file, err := b.write("haproxy.cfg", fmt.Sprintf(`defaults
  mode tcp
  timeout connect 5s
  timeout client 1h
  timeout server 1h
listen postgres
  bind %s
  server one 127.0.0.1:%d
`, at, b.server.Port))
	if err != nil {
		return path{}, err
	}
	pid, err := b.begin(exec.Command(program, "-db", "-f", file), at)
	return b.superuser("HAProxy", at, pid), err
}

// gateway builds and starts the product itself.
func (b *bench) gateway(ctx context.Context) (path, error) {
	if b.program == "" {
		b.program = filepath.Join(b.dir, "sallyport")
		if out, err := exec.CommandContext(ctx, "go", "build", "-o", b.program, "./cmd/sallyport").CombinedOutput(); err != nil {
			return path{}, fmt.Errorf("go build: %w: %s", err, out)
		}
	}
	return b.sallyport("Sallyport", b.program, "")
}

// bare starts it without the default packs.
func (b *bench) bare(context.Context) (path, error) {
	return b.sallyport("Sallyport without guardrails and masking", b.program, "guardrails: [{use: off}]\nmasking: [{use: off}]\n")
}

// older starts another build of the product, to compare with.
func (b *bench) older(context.Context) (path, error) {
	if b.old == "" {
		return path{}, nil
	}
	return b.sallyport("older Sallyport", b.old, "")
}

// sallyport starts a gateway with the README's configuration and further sections.
func (b *bench) sallyport(name, program, sections string) (path, error) {
	at, err := address()
	if err != nil {
		return path{}, err
	}
	verifier, err := identity.NewVerifier("bench")
	if err != nil {
		return path{}, err
	}
	dir := filepath.Join(b.dir, strings.ReplaceAll(name, " ", "-"))
	if err := os.Mkdir(dir, 0o755); err != nil {
		return path{}, err
	}
	password, err := b.write("password", b.server.Password)
	if err != nil {
		return path{}, err
	}
	file := filepath.Join(dir, "sallyport.yaml")
	text := fmt.Sprintf(`
data_dir: data
tls: {optional: true}
identity: {users: [{name: bench, groups: [bench], password: %q}]}
resources:
  - name: bench
    type: postgres
    listen: %q
    address: %q
    database: bench
    username: postgres
    password: file:%s
    plaintext: true
    tls: {mode: disable}
access: [{name: bench, groups: [bench], resources: [bench], allow: [connect, read]}]
`, verifier, at, b.server.Address(), password)
	if err := os.WriteFile(file, []byte(text+sections), 0o644); err != nil {
		return path{}, err
	}
	pid, err := b.begin(exec.Command(program, "serve", "-c", file), at)
	return path{name, b.env(at, "bench", "bench"), pid}, err
}

// selfSigned makes a certificate for the server, which nobody verifies here.
func selfSigned() (cert, key []byte, err error) {
	pair, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	now := time.Now()
	form := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour), DNSNames: []string{"localhost"}}
	der, err := x509.CreateCertificate(rand.Reader, form, form, pair.Public(), pair)
	if err != nil {
		return nil, nil, err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(pair)
	if err != nil {
		return nil, nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), nil
}
