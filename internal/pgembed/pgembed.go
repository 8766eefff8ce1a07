//go:build unix

// Package pgembed starts a private PostgreSQL from an installation that is on
// this machine: in a folder of its own, on loopback and a Unix socket, with a
// random password, gone without a trace when it is stopped.
package pgembed

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/sallyport/sallyport/internal/child"
	"github.com/sallyport/sallyport/internal/freeport"
)

// ErrNotInstalled says that no PostgreSQL server was found.
var ErrNotInstalled = errors.New("no PostgreSQL server is installed")

// InstallHint is the command that installs one on the usual systems.
const InstallHint = "Debian, Ubuntu: apt-get install postgresql; Fedora: dnf install postgresql-server; macOS: brew install postgresql"

// Find returns the folder of the newest installation's programs.
func Find() (string, error) {
	var dirs []string
	for _, pattern := range []string{
		"/usr/lib/postgresql/*/bin",                                      // Debian, Ubuntu
		"/usr/pgsql-*/bin",                                               // RHEL, Fedora (PGDG)
		"/opt/homebrew/opt/postgresql@*/bin",                             // Homebrew
		"/usr/local/opt/postgresql@*/bin",                                // Homebrew, Intel
		"/Applications/Postgres.app/Contents/Versions/*/bin",             // Postgres.app
		"/usr/local/pgsql/bin", "/usr/libexec/postgresql*", "/opt/*/bin", // from source, Alpine
	} {
		found, _ := filepath.Glob(pattern)
		slices.Sort(found)
		slices.Reverse(found)
		dirs = append(dirs, found...)
	}
	if out, err := exec.Command("pg_config", "--bindir").Output(); err == nil {
		dirs = append(dirs, strings.TrimSpace(string(out)))
	}
	if p, err := exec.LookPath("postgres"); err == nil {
		if real, err := filepath.EvalSymlinks(p); err == nil {
			dirs = append(dirs, filepath.Dir(real))
		}
	}
	for _, d := range dirs {
		if executable(filepath.Join(d, "postgres")) && executable(filepath.Join(d, "initdb")) {
			return d, nil
		}
	}
	return "", ErrNotInstalled
}

func executable(path string) bool {
	st, err := os.Stat(path)
	return err == nil && !st.IsDir() && st.Mode()&0o111 != 0
}

// Config says how the server is to run. The zero value is good.
type Config struct {
	// Dir is where its folder is made; empty is the system's place for temporary
	// files.
	Dir string
	// Settings go into postgresql.conf.
	Settings map[string]string
	// HBA is the text of pg_hba.conf; empty is SCRAM for everybody on loopback.
	HBA string
	// Auth is initdb's --auth; empty is scram-sha-256.
	PasswordEncryption string
	// CertPEM and KeyPEM turn TLS on.
	CertPEM, KeyPEM []byte
}

// Server is a running server.
type Server struct {
	Bin      string // folder of its programs
	Dir      string // everything it owns
	Port     int
	Password string // of the superuser postgres
	log      *bytes.Buffer
	user     *child.User // PostgreSQL refuses to run as root
	process  *child.Process
}

// User is the superuser's name.
const User = "postgres"

// Address is where it listens.
func (s *Server) Address() string { return "127.0.0.1:" + strconv.Itoa(s.Port) }

// Start initialises and starts a server and waits until it answers.
func Start(ctx context.Context, c Config) (*Server, error) {
	bin, err := Find()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(c.Dir, "sallyport-pg-")
	if err != nil {
		return nil, err
	}
	s := &Server{Bin: bin, Dir: dir, Password: rand.Text(), log: &bytes.Buffer{}}
	if err := s.start(ctx, c); err != nil {
		s.Stop()
		return nil, err
	}
	return s, nil
}

func (s *Server) start(ctx context.Context, c Config) error {
	var err error
	if s.user, err = child.Unprivileged("postgres", "nobody"); err != nil {
		return err
	}
	pw := filepath.Join(s.Dir, "password")
	data := filepath.Join(s.Dir, "data")
	files := map[string][]byte{pw: []byte(s.Password)}
	if c.CertPEM != nil {
		files[filepath.Join(s.Dir, "server.crt")] = c.CertPEM
		files[filepath.Join(s.Dir, "server.key")] = c.KeyPEM
	}
	for name, b := range files {
		if err := os.WriteFile(name, b, 0o600); err != nil {
			return err
		}
		if err := s.user.Own(name); err != nil {
			return err
		}
	}
	if err := s.user.Own(s.Dir); err != nil {
		return err
	}
	init := exec.CommandContext(ctx, filepath.Join(s.Bin, "initdb"), "-D", data, "-U", User, "--pwfile", pw,
		"--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions")
	init.Dir = s.Dir
	if out, err := s.user.Runs(init).CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, out)
	}
	if err := os.Remove(pw); err != nil {
		return err
	}
	hba := c.HBA
	if hba == "" {
		hba = "local all all scram-sha-256\nhost all all 127.0.0.1/32 scram-sha-256\nhost replication all 127.0.0.1/32 scram-sha-256\n"
	}
	if err := os.WriteFile(filepath.Join(data, "pg_hba.conf"), []byte(hba), 0o600); err != nil {
		return err
	}
	if s.Port, err = freeport.Find(); err != nil {
		return err
	}
	settings := map[string]string{
		"listen_addresses": "127.0.0.1", "port": strconv.Itoa(s.Port), "unix_socket_directories": s.Dir,
		"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "shared_buffers": "64MB",
		"max_connections": "200", "logging_collector": "off",
	}
	if c.PasswordEncryption != "" {
		settings["password_encryption"] = c.PasswordEncryption
	}
	if c.CertPEM != nil {
		settings["ssl"] = "on"
		settings["ssl_cert_file"] = filepath.Join(s.Dir, "server.crt")
		settings["ssl_key_file"] = filepath.Join(s.Dir, "server.key")
	}
	for k, v := range c.Settings {
		settings[k] = v
	}
	conf := &strings.Builder{}
	for k, v := range settings {
		fmt.Fprintf(conf, "%s = '%s'\n", k, strings.ReplaceAll(v, "'", "''"))
	}
	if err := os.WriteFile(filepath.Join(data, "postgresql.auto.conf"), []byte(conf.String()), 0o600); err != nil {
		return err
	}
	if err := s.user.Own(filepath.Join(data, "pg_hba.conf"), filepath.Join(data, "postgresql.auto.conf")); err != nil {
		return err
	}
	return s.launch(ctx)
}

// launch starts the server's process, and waits until it takes connections.
func (s *Server) launch(ctx context.Context) (err error) {
	cmd := s.user.Runs(exec.Command(filepath.Join(s.Bin, "postgres"), "-D", filepath.Join(s.Dir, "data")))
	cmd.Dir = s.Dir
	cmd.Stdout, cmd.Stderr = s.log, s.log
	if s.process, err = child.Start(cmd, syscall.SIGINT); err != nil {
		return err
	}
	err = s.process.Ready(ctx, 30*time.Second, func(ctx context.Context) error {
		return exec.CommandContext(ctx, filepath.Join(s.Bin, "pg_isready"), "-q", "-h", "127.0.0.1", "-p", strconv.Itoa(s.Port)).Run()
	})
	switch {
	case errors.Is(err, child.ErrEnded):
		return fmt.Errorf("postgres did not start: %s", s.log)
	case err != nil:
		return fmt.Errorf("postgres did not answer: %w", err)
	}
	return nil
}

// Exec runs SQL as the superuser through psql and returns what it prints,
// unaligned and without headings.
func (s *Server) Exec(ctx context.Context, database, sql string) (string, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(s.Bin, "psql"), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1",
		"-h", "127.0.0.1", "-p", strconv.Itoa(s.Port), "-U", User, "-d", database, "-f", "-")
	cmd.Env = append(os.Environ(), "PGPASSWORD="+s.Password)
	cmd.Stdin = strings.NewReader(sql)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("psql: %w: %s", err, out)
	}
	return strings.TrimSpace(string(out)), nil
}

// Stop ends the server and removes everything it owns. It may be called more
// than once.
func (s *Server) Stop() error {
	s.process.Stop(syscall.SIGINT, syscall.SIGQUIT, 10*time.Second) // a fast shutdown: sessions are ended
	return os.RemoveAll(s.Dir)
}

// Kill ends the server as a crash would.
func (s *Server) Kill() { s.process.Kill(syscall.SIGQUIT) }

// Restart starts the server again after Kill, on the same port, and waits until it
// answers.
func (s *Server) Restart(ctx context.Context) error { return s.launch(ctx) }
