package testserver

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
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

// MariaDB starts a server for one test. Its superuser is root, without a
// password.
func MariaDB(t testing.TB) *MariaDBServer {
	t.Helper()
	for _, p := range []string{"mariadbd", "mariadb-install-db", "mariadb"} {
		if _, err := mariadb(p); err != nil {
			Missing(t, "MariaDB ("+p+")")
		}
	}
	in := "" // in memory where there is such a place: it syncs at every definition
	if st, err := os.Stat("/dev/shm"); err == nil && st.IsDir() {
		in = "/dev/shm"
	}
	dir, err := os.MkdirTemp(in, "sallyport-mariadb-") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	s := &MariaDBServer{Dir: dir, Socket: filepath.Join(dir, "s"), exited: make(chan struct{})}
	t.Cleanup(s.stop)
	if err := s.start(); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *MariaDBServer) start() error {
	me, err := user.Current()
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s.Port = l.Addr().(*net.TCPAddr).Port
	l.Close()
	install, err := mariadb("mariadb-install-db")
	if err != nil {
		return err
	}
	data := filepath.Join(s.Dir, "data")
	out, err := exec.Command(install, "--no-defaults", "--datadir="+data, "--user="+me.Username, "--auth-root-authentication-method=normal", "--skip-test-db").CombinedOutput()
	if err != nil {
		return fmt.Errorf("mariadb-install-db: %w: %s", err, out)
	}
	server, err := mariadb("mariadbd")
	if err != nil {
		return err
	}
	s.cmd = exec.Command(server, "--no-defaults", "--user="+me.Username, "--datadir="+data, "--socket="+s.Socket, "--bind-address=127.0.0.1",
		"--port="+strconv.Itoa(s.Port), "--pid-file="+filepath.Join(s.Dir, "pid"), "--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=32M", "--innodb-log-file-size=8M", "--sync-frm=0", "--skip-innodb-doublewrite",
		"--secure-file-priv="+s.Dir, "--skip-log-bin", "--character-set-server=utf8mb4", "--local-infile=0")
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	s.cmd.Stdout, s.cmd.Stderr = &s.log, &s.log
	if err := s.cmd.Start(); err != nil {
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
