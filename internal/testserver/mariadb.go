package testserver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/sallyport/sallyport/internal/mariaembed"
)

// MariaDBServer is a running MariaDB: on loopback and a Unix socket, in a folder of
// its own.
type MariaDBServer = mariaembed.Server

// MariaDB starts a server for one test, with more arguments where there are any. Its
// superuser is root, without a password.
func MariaDB(t testing.TB, args ...string) *MariaDBServer {
	t.Helper()
	needMariaDB(t)
	s, err := newMariaDB(args)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func needMariaDB(t testing.TB) {
	t.Helper()
	if _, err := mariaembed.Find(); errors.Is(err, mariaembed.ErrNotInstalled) {
		Missing(t, "MariaDB")
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
		sharedMariaDB.server.Stop()
	}
}

func newMariaDB(args []string) (*MariaDBServer, error) {
	in := "" // in memory where there is such a place: it syncs at every definition
	if st, err := os.Stat("/dev/shm"); err == nil && st.IsDir() {
		in = "/dev/shm"
	}
	return mariaembed.Start(context.Background(), mariaembed.Config{Dir: in, Args: args, Open: true})
}
