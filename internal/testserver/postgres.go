// Package testserver starts the real servers that tests run against, on
// loopback, in folders of their own, gone when the test ends.
package testserver

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/sallyport/sallyport/internal/pgembed"
)

// Missing skips the test because a server is not installed; in CI it fails it.
func Missing(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s is not installed: CI must have it", what)
	}
	t.Skipf("SKIPPED, NOT TESTED: %s is not installed; \"make test\" as root installs it", what)
}

// Postgres starts a server for one test.
func Postgres(t testing.TB, c pgembed.Config) *pgembed.Server {
	t.Helper()
	s, err := pgembed.Start(context.Background(), c)
	if errors.Is(err, pgembed.ErrNotInstalled) {
		Missing(t, "PostgreSQL")
	}
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

var shared struct {
	sync.Mutex
	server *pgembed.Server
	err    error
	tls    *Authority
	count  atomic.Int64
}

// Main runs a package's tests and stops what they shared. A package that uses
// Database has it as its TestMain.
func Main(m *testing.M) {
	code := m.Run()
	shared.Lock()
	if shared.server != nil {
		if err := shared.server.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	shared.Unlock()
	endSharedMariaDB()
	os.Exit(code)
}

// Shared returns the server that this process's tests share: with TLS, a
// certificate for localhost by Authority, and SCRAM passwords.
func Shared(t testing.TB) (*pgembed.Server, *Authority) {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	if shared.server == nil && shared.err == nil {
		shared.tls = NewAuthority()
		cert, key := shared.tls.ServerPEM("localhost", "127.0.0.1")
		shared.server, shared.err = pgembed.Start(context.Background(), pgembed.Config{
			CertPEM: cert, KeyPEM: key,
			Settings: map[string]string{"wal_level": "logical", "max_wal_senders": "4", "max_prepared_transactions": "10", "log_statement": "none"},
		})
	}
	if errors.Is(shared.err, pgembed.ErrNotInstalled) {
		Missing(t, "PostgreSQL")
	}
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.server, shared.tls
}

// Database makes a database of the test's own on the shared server, runs sql in
// it and returns its name.
func Database(t testing.TB, sql string) (s *pgembed.Server, name string) {
	t.Helper()
	s, _ = Shared(t)
	name = fmt.Sprintf("t%d", shared.count.Add(1))
	Exec(t, s, "postgres", "CREATE DATABASE "+name)
	if sql != "" {
		Exec(t, s, name, sql)
	}
	return s, name
}

// Exec runs sql as the superuser and returns what it prints.
func Exec(t testing.TB, s *pgembed.Server, database, sql string) string {
	t.Helper()
	out, err := s.Exec(context.Background(), database, sql)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(out)
}

// URL is a connection string for drivers.
func URL(user, password, address, database, params string) string {
	u := url.URL{Scheme: "postgres", User: url.UserPassword(user, password), Host: address, Path: "/" + database, RawQuery: params}
	return u.String()
}
