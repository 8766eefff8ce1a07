package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/internal/testserver"
)

// TestMain lets the test binary be the program itself, for what needs a process
// of its own.
func TestMain(m *testing.M) {
	if os.Getenv("SALLYPORT_TEST_MAIN") != "" {
		main()
	}
	updateFlag()
	testserver.Main(m)
}

// sallyport runs a command line in this process and returns its exit code and
// output.
func sallyport(t *testing.T, in string, args ...string) (code int, out, errs string) {
	t.Helper()
	var o, e bytes.Buffer
	code = run(t.Context(), &cli{strings.NewReader(in), &o, &e}, args)
	return code, o.String(), e.String()
}

type summary = audit.Summary

// process is the program in a process of its own.
type process struct {
	cmd  *exec.Cmd
	done chan error
	mu   sync.Mutex
	text bytes.Buffer
}

func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.Write(b)
}

func (p *process) output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.String()
}

func start(t testing.TB, args ...string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(os.Args[0], args...), done: make(chan error, 1)}
	p.cmd.Env = append(os.Environ(), "SALLYPORT_TEST_MAIN=1", "TMPDIR="+publicDir(t))
	p.cmd.Stdout, p.cmd.Stderr = p, p
	require.NoError(t, p.cmd.Start())
	go func() { p.done <- p.cmd.Wait() }()
	t.Cleanup(func() {
		p.cmd.Process.Signal(os.Interrupt)
		select {
		case <-p.done:
		case <-time.After(30 * time.Second):
			p.cmd.Process.Kill()
		}
	})
	return p
}

// publicDir is a directory that another user can enter: as root, the demo's
// PostgreSQL runs as one.
func publicDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "sallyport-test-")
	require.NoError(t, err)
	require.NoError(t, os.Chmod(dir, 0o711))
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// wait waits until the output matches, and returns the first group.
func (p *process) wait(t testing.TB, pattern string) string {
	t.Helper()
	re := regexp.MustCompile(pattern)
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if m := re.FindStringSubmatch(p.output()); m != nil {
			return m[len(m)-1]
		}
		select {
		case err := <-p.done:
			p.done <- err
			t.Fatalf("it ended (%v):\n%s", err, p.output())
		default:
		}
	}
	t.Fatalf("%q did not come:\n%s", pattern, p.output())
	return ""
}

// stop ends it as Ctrl-C does.
func (p *process) stop(t testing.TB) {
	t.Helper()
	require.NoError(t, p.cmd.Process.Signal(os.Interrupt))
	select {
	case err := <-p.done:
		p.done <- err
		require.NoError(t, err, p.output())
	case <-time.After(20 * time.Second):
		t.Fatalf("it did not stop:\n%s", p.output())
	}
}

func inShell(t *testing.T, line string) (string, int) {
	t.Helper()
	cmd := exec.Command("sh", "-c", line)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

func needs(t testing.TB, program string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		testserver.Missing(t, program)
	}
}

// office is a running gateway in front of a database of the shared server.
type office struct {
	*process
	dir, config, host, port string
	direct                  string // the database's own address
}

// password is everybody's.
const password = "correct horse"

// openOffice serves a config to whose resources, users and rules extra is
// added: a resource "shop" with alice, who reads, and bob, who writes.
func openOffice(t *testing.T, extra string) *office {
	t.Helper()
	return openLabelled(t, "env: test", "", extra)
}

// openLabelled is openOffice with labels of the resource's, and sql run in its
// database.
func openLabelled(t testing.TB, labels, sql, extra string) *office {
	t.Helper()
	_, authority := testserver.Shared(t)
	server, database := testserver.Database(t, sql)
	dir := t.TempDir()
	verifier, err := identity.NewVerifier(password)
	require.NoError(t, err)
	root := filepath.Join(dir, "upstream-ca.pem")
	require.NoError(t, os.WriteFile(root, authority.PEM(), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "db.password"), []byte(server.Password), 0o600))
	address := testserver.FreeAddress(t)
	o := &office{dir: dir, config: filepath.Join(dir, "sallyport.yaml"), direct: testserver.URL("postgres", server.Password, server.Address(), database, "")}
	o.host, o.port, err = net.SplitHostPort(address)
	require.NoError(t, err)
	text := fmt.Sprintf(`
listen: {postgres: %q}
data_dir: data
identity:
  users:
    - {name: alice, groups: [dev], password: %q}
    - {name: bob, groups: [dev, ops], password: %q}
resources:
  - name: shop
    type: postgres
    address: %q
    database: %s
    username: postgres
    password: file:db.password
    labels: {%s}
    tls: {mode: verify-full, ca: upstream-ca.pem}
access:
  - {name: dev-reads, groups: [dev], resources: {env: test}, allow: [connect, read]}
  - {name: ops-writes, groups: [ops], resources: [shop], allow: [connect, read, write, ddl, outside]}
%s`, address, verifier, verifier, server.Address(), database, labels, extra)
	require.NoError(t, os.WriteFile(o.config, []byte(text), 0o600))
	o.process = start(t, "serve", "-c", o.config)
	o.wait(t, "listening")
	return o
}

// conn is a client's connection string.
func (o *office) conn(user string) string {
	return fmt.Sprintf("host=%s port=%s user=%s+shop password='%s' sslmode=verify-full sslrootcert=%s",
		o.host, o.port, user, password, filepath.Join(o.dir, "data", "ca", "ca.pem"))
}

// psql runs SQL as a user and returns what the real client shows.
func (o *office) psql(t *testing.T, user string, args ...string) string {
	t.Helper()
	needs(t, "psql")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "psql", append([]string{"-X", "-A", "-t", o.conn(user)}, args...)...)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return string(out)
}

func decode[T any](t *testing.T, text string) T {
	t.Helper()
	var v T
	require.NoError(t, json.Unmarshal([]byte(text), &v), text)
	return v
}

// listed is what a command that lists prints as JSON.
type listed[T any] struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Items      []T    `json:"items"`
}

func replaceOnce(t *testing.T, text, from, to string) string {
	t.Helper()
	require.Equal(t, 1, strings.Count(text, from))
	return strings.Replace(text, from, to, 1)
}
