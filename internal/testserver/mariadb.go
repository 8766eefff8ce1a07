package testserver

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/freeport"
)

// MariaDBServer is a running MariaDB: on loopback and a Unix socket, in a folder of
// its own.
type MariaDBServer struct {
	Dir, Socket string
	Port        int
	Version     int // as a number, 101106
	cmd         *exec.Cmd
	exited      chan struct{}
	log         bytes.Buffer
}

// mariadb names Debian's programs, which are elsewhere for ordinary users.
func mariadb(program string) (string, error) {
	if p, err := exec.LookPath(program); err == nil {
		return p, nil
	}
	return exec.LookPath("/usr/sbin/" + program)
}

// MariaDB starts a server for one test, with more arguments where there are any. Its
// superuser is root, without a password.
func MariaDB(t testing.TB, args ...string) *MariaDBServer {
	t.Helper()
	needMariaDB(t)
	s, err := newMariaDB(args)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.stop)
	return s
}

func needMariaDB(t testing.TB) {
	t.Helper()
	for _, p := range []string{"mariadbd", "mariadb-install-db", "mariadb"} {
		if _, err := mariadb(p); err != nil {
			Missing(t, "MariaDB ("+p+")")
		}
	}
}

var sharedMariaDB struct {
	sync.Mutex
	server *MariaDBServer
	err    error
	tls    *Authority
	count  atomic.Int64
}

// SharedMariaDB returns the server that this process's tests share, with TLS by Authority and
// files that clients send, and makes a database of the test's own, in which it runs script. A
// package that uses it has Main as its TestMain.
func SharedMariaDB(t testing.TB, script string) (s *MariaDBServer, database string, ca *Authority) {
	t.Helper()
	needMariaDB(t)
	sh := &sharedMariaDB
	sh.Lock()
	defer sh.Unlock()
	if sh.server == nil && sh.err == nil {
		sh.tls = NewAuthority()
		sh.server, sh.err = sharedWithTLS(sh.tls)
	}
	if sh.err != nil {
		t.Fatal(sh.err)
	}
	database = fmt.Sprintf("t%d", sh.count.Add(1))
	if _, err := sh.server.Run("", "CREATE DATABASE "+database); err != nil {
		t.Fatal(err)
	}
	if script != "" {
		if out, err := sh.server.Run(database, script); err != nil {
			t.Fatal(out, err)
		}
	}
	return sh.server, database, sh.tls
}

func sharedWithTLS(ca *Authority) (*MariaDBServer, error) {
	dir, err := os.MkdirTemp("", "sallyport-mariadb-tls-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir) // the server has read them when it is up
	cert, key := ca.ServerPEM("localhost", "127.0.0.1")
	var args []string
	for name, pem := range map[string][]byte{"ssl-cert": cert, "ssl-key": key, "ssl-ca": ca.PEM()} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, pem, 0o600); err != nil {
			return nil, err
		}
		args = append(args, "--"+name+"="+path)
	}
	return newMariaDB(append(args, "--local-infile=1"))
}

func endSharedMariaDB() {
	sharedMariaDB.Lock()
	defer sharedMariaDB.Unlock()
	if sharedMariaDB.server != nil {
		sharedMariaDB.server.stop()
	}
}

func newMariaDB(args []string) (*MariaDBServer, error) {
	in := "" // in memory where there is such a place: it syncs at every definition
	if st, err := os.Stat("/dev/shm"); err == nil && st.IsDir() {
		in = "/dev/shm"
	}
	dir, err := os.MkdirTemp(in, "sallyport-mariadb-") // a socket's path is short
	if err != nil {
		return nil, err
	}
	s := &MariaDBServer{Dir: dir, Socket: filepath.Join(dir, "s"), exited: make(chan struct{})}
	if err := s.start(args); err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

func (s *MariaDBServer) start(args []string) error {
	me, err := user.Current()
	if err != nil {
		return err
	}
	if s.Port, err = freeport.Find(); err != nil {
		return err
	}
	install, err := mariadb("mariadb-install-db")
	if err != nil {
		return err
	}
	data, temporary := filepath.Join(s.Dir, "data"), filepath.Join(s.Dir, "tmp")
	if err := os.Mkdir(temporary, 0o700); err != nil {
		return err
	}
	env := append(os.Environ(), "TMPDIR="+temporary) // a server that starts deletes the temporary tables of others in its directory
	prepare := exec.Command(install, "--no-defaults", "--datadir="+data, "--user="+me.Username, "--auth-root-authentication-method=normal", "--skip-test-db")
	prepare.Env = env
	if out, err := prepare.CombinedOutput(); err != nil {
		return fmt.Errorf("mariadb-install-db: %w: %s", err, out)
	}
	server, err := mariadb("mariadbd")
	if err != nil {
		return err
	}
	s.cmd = exec.Command(server, append([]string{
		"--no-defaults", "--user=" + me.Username, "--datadir=" + data, "--socket=" + s.Socket, "--bind-address=127.0.0.1",
		"--port=" + strconv.Itoa(s.Port), "--pid-file=" + filepath.Join(s.Dir, "pid"), "--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=32M", "--innodb-log-file-size=8M", "--sync-frm=0", "--skip-innodb-doublewrite",
		"--secure-file-priv=" + s.Dir, "--skip-log-bin", "--character-set-server=utf8mb4", "--local-infile=0",
	}, args...)...)
	s.cmd.Env = env
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	s.cmd.Stdout, s.cmd.Stderr = &s.log, &s.log
	if err := s.cmd.Start(); err != nil {
		s.cmd = nil
		return err
	}
	go func() {
		s.cmd.Wait()
		close(s.exited)
	}()
	for end := time.Now().Add(60 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		select {
		case <-s.exited:
			return fmt.Errorf("mariadbd did not start: %s", s.log.String())
		default:
		}
		if out, err := s.Run("", "SELECT VERSION()"); err == nil {
			var a, b, c int
			if _, err := fmt.Sscanf(out, "%d.%d.%d", &a, &b, &c); err != nil {
				return fmt.Errorf("mariadbd's version is %q", out)
			}
			s.Version = a*10000 + b*100 + c
			return nil
		}
	}
	return fmt.Errorf("mariadbd does not answer")
}

// Run runs a script as root and returns what it prints, without headings, the
// columns apart by tabs. With --force among args it goes on after errors, which
// it prints too.
func (s *MariaDBServer) Run(database, script string, args ...string) (string, error) {
	client, err := mariadb("mariadb")
	if err != nil {
		return "", err
	}
	cmd := exec.Command(client, append([]string{"--no-defaults", "-S", s.Socket, "-u", "root", "-N", "-B", "--default-character-set=utf8mb4", "-D", database}, args...)...)
	cmd.Stdin = strings.NewReader(script)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("mariadb: %w: %s", err, out)
	}
	return strings.TrimSpace(string(out)), nil
}

func (s *MariaDBServer) stop() {
	if s.cmd != nil && s.cmd.Process != nil {
		s.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-s.exited:
		case <-time.After(20 * time.Second):
			s.cmd.Process.Kill()
			<-s.exited
		}
	}
	os.RemoveAll(s.Dir)
}
