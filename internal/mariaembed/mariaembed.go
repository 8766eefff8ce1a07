//go:build unix

// Package mariaembed starts a private MariaDB from an installation that is on this machine: in a folder
// of its own, on loopback and a Unix socket, gone without a trace when it is stopped.
package mariaembed

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/sallyport/sallyport/internal/child"
	"github.com/sallyport/sallyport/internal/freeport"
)

// ErrNotInstalled says that no MariaDB server was found.
var ErrNotInstalled = errors.New("no MariaDB server is installed")

// InstallHint is the command that installs one on the usual systems.
const InstallHint = "Debian, Ubuntu: apt-get install mariadb-server; Fedora: dnf install mariadb-server; macOS: brew install mariadb"

// Programs are those of an installation.
type Programs struct{ Server, Install, Client string }

// Find finds them.
func Find() (p Programs, err error) {
	for _, program := range []struct {
		name string
		path *string
	}{{"mariadbd", &p.Server}, {"mariadb-install-db", &p.Install}, {"mariadb", &p.Client}} {
		if *program.path = find(program.name); *program.path == "" {
			return Programs{}, fmt.Errorf("%w: %s was not found", ErrNotInstalled, program.name)
		}
	}
	return p, nil
}

// elsewhere are folders of programs that are not in everybody's PATH.
var elsewhere = []string{"/usr/sbin", "/usr/libexec", "/usr/local/libexec", "/opt/homebrew/opt/mariadb/bin", "/usr/local/opt/mariadb/bin"}

func find(name string) string {
	for _, dir := range append([]string{""}, elsewhere...) {
		if p, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return p
		}
	}
	return ""
}

// Config says how the server is to run. The zero value is good.
type Config struct {
	// Dir is where its folder is made, and is short: the path of a socket has about 100 bytes. Empty is the system's
	// place for temporary files.
	Dir string
	// Args are more arguments of the server.
	Args []string
	// Open is for tests: the superuser is root, without a password, and the server runs as this process's user, whose
	// files it reads.
	Open bool
}

// Server is a running server.
type Server struct {
	Programs
	Dir, Socket string // everything that it owns, and its socket
	Port        int
	Version     int // as a number, 101106

	user     *child.User
	account  string // of its superuser
	password string
	process  *child.Process
	log      bytes.Buffer
}

// Address is where it listens.
func (s *Server) Address() string { return "127.0.0.1:" + strconv.Itoa(s.Port) }

// Start initialises and starts a server and waits until it answers.
func Start(ctx context.Context, c Config) (*Server, error) {
	programs, err := Find()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(c.Dir, "sallyport-mariadb-")
	if err != nil {
		return nil, err
	}
	s := &Server{Programs: programs, Dir: dir, Socket: filepath.Join(dir, "s"), account: "root"}
	if err := s.start(ctx, c); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

func (s *Server) start(ctx context.Context, c Config) (err error) {
	data, temporary := filepath.Join(s.Dir, "data"), filepath.Join(s.Dir, "tmp")
	install := []string{"--no-defaults", "--datadir=" + data, "--skip-test-db"}
	var run []string
	if c.Open {
		me, err := user.Current()
		if err != nil {
			return err
		}
		install = append(install, "--auth-root-authentication-method=normal", "--user="+me.Username)
		run = append(run, "--user="+me.Username)
	} else if run, err = s.closed(); err != nil {
		return err
	}
	if err := os.Mkdir(temporary, 0o700); err != nil {
		return err
	}
	if err := s.user.Own(temporary); err != nil {
		return err
	}
	env := append(os.Environ(), "TMPDIR="+temporary) // a server that starts deletes the temporary tables of others in its directory
	cmd := s.user.Runs(exec.CommandContext(ctx, s.Install, install...))
	cmd.Dir, cmd.Env = s.Dir, env
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("mariadb-install-db: %w: %s", err, out)
	}
	if s.Port, err = freeport.Find(); err != nil {
		return err
	}
	args := append([]string{
		"--no-defaults", "--datadir=" + data, "--socket=" + s.Socket, "--bind-address=127.0.0.1",
		"--port=" + strconv.Itoa(s.Port), "--pid-file=" + filepath.Join(s.Dir, "pid"), "--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=32M", "--innodb-log-file-size=8M", "--sync-frm=0", "--skip-innodb-doublewrite",
		"--secure-file-priv=" + s.Dir, "--skip-log-bin", "--character-set-server=utf8mb4", "--local-infile=0",
	}, run...)
	cmd = s.user.Runs(exec.Command(s.Server, append(args, c.Args...)...))
	cmd.Dir, cmd.Env = s.Dir, env
	cmd.Stdout, cmd.Stderr = &s.log, &s.log
	if s.process, err = child.Start(cmd, syscall.SIGTERM); err != nil {
		return err
	}
	return s.ready(ctx)
}

// initFile has what makes the superuser, for a server that is not open.
func (s *Server) initFile() string { return filepath.Join(s.Dir, "init.sql") }

// closed makes a superuser with a random password, and returns the arguments for it. The account
// that the installation makes takes nobody but one user of the system, by the socket.
func (s *Server) closed() (args []string, err error) {
	if s.user, err = child.Unprivileged("mysql", "nobody"); err != nil {
		return nil, err
	}
	s.account, s.password = "keeper", rand.Text()
	text := fmt.Sprintf("CREATE USER %[1]s@localhost IDENTIFIED BY '%[2]s';\nGRANT ALL PRIVILEGES ON *.* TO %[1]s@localhost WITH GRANT OPTION;\n", s.account, s.password)
	if err := os.WriteFile(s.initFile(), []byte(text), 0o600); err != nil {
		return nil, err
	}
	return []string{"--init-file=" + s.initFile()}, s.user.Own(s.initFile(), s.Dir)
}

// ready waits until the server answers.
func (s *Server) ready(ctx context.Context) error {
	var version string
	err := s.process.Ready(ctx, time.Minute, func(ctx context.Context) (err error) {
		version, err = s.Exec(ctx, "", "SELECT VERSION()")
		return err
	})
	switch {
	case errors.Is(err, child.ErrEnded):
		return fmt.Errorf("mariadbd did not start: %s", s.log.String())
	case err != nil:
		return fmt.Errorf("mariadbd does not answer: %w", err)
	}
	var x, y, z int
	if _, err := fmt.Sscanf(version, "%d.%d.%d", &x, &y, &z); err != nil {
		return fmt.Errorf("mariadbd's version is %q", version)
	}
	s.Version = x*10000 + y*100 + z
	if err := os.Remove(s.initFile()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// Exec runs a script as the superuser and returns what it prints, without headings, the
// columns apart by tabs. With --force among args it goes on after errors, which
// it prints too. The password is in the client's environment, which other users cannot read; where
// that environment names another server, this one is asked all the same.
func (s *Server) Exec(ctx context.Context, database, script string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, s.Client, append([]string{"--no-defaults", "-h", "localhost", "--protocol=socket", "-S", s.Socket, "-u", s.account, "-N", "-B", "--default-character-set=utf8mb4", "-D", database}, args...)...)
	cmd.Env = append(os.Environ(), "MYSQL_PWD="+s.password)
	cmd.Stdin = strings.NewReader(script)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("mariadb: %w: %s", err, out)
	}
	return strings.TrimSpace(string(out)), nil
}

// Run is Exec for as long as it takes.
func (s *Server) Run(database, script string, args ...string) (string, error) {
	return s.Exec(context.Background(), database, script, args...)
}

// Stop ends the server and removes everything it owns. It may be called more
// than once.
func (s *Server) Stop() error {
	s.process.Stop(syscall.SIGTERM, syscall.SIGKILL, 20*time.Second)
	return os.RemoveAll(s.Dir)
}
