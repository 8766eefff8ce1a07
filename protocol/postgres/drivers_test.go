package postgres

import (
	"context"
	"database/sql"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lib/pq"
	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/pgembed"
	"github.com/sallyport/sallyport/internal/testserver"
	"github.com/sallyport/sallyport/proxy"
)

// driver is how an application in some language reaches a database: a program
// in testdata/drivers, and where its driver is.
type driver struct {
	program string
	// command returns how to run it; nil when it is not installed.
	command func(program string, to target) []string
	pkg     string // Debian's
	env     func() []string
}

// target is the server, or the gateway before it.
type target struct{ address, user, password, database, sslmode string }

func drivers() []driver {
	python := func(module string) func(string, target) []string {
		return func(program string, _ target) []string {
			if _, err := os.Stat("/usr/lib/python3/dist-packages/" + module); err != nil {
				return nil
			}
			return []string{"/usr/bin/python3", program}
		}
	}
	return []driver{
		{program: "psycopg2_client.py", command: python("psycopg2"), pkg: "python3-psycopg2"},
		{program: "psycopg_client.py", command: python("psycopg"), pkg: "python3-psycopg"},
		{program: "JDBCClient.java", pkg: "libpostgresql-jdbc-java with default-jdk-headless", command: func(program string, to target) []string {
			const jar = "/usr/share/java/postgresql.jar"
			_, err := os.Stat(jar)
			if _, javac := exec.LookPath("javac"); err != nil || javac != nil {
				return nil
			}
			return []string{"java", "-cp", jar, program, "jdbc:postgresql://" + to.address + "/" + to.database + "?sslmode=" + to.sslmode, to.user, to.password}
		}},
		{program: "node_client.js", pkg: "node-pg", env: nodePath, command: func(program string, _ target) []string {
			cmd := exec.Command("node", "-e", "require('pg')")
			cmd.Env = append(os.Environ(), nodePath()...)
			if cmd.Run() != nil {
				return nil
			}
			return []string{"node", program}
		}},
	}
}

// nodePath is where Debian's packages and npm -g put modules.
func nodePath() []string {
	paths := "/usr/share/nodejs"
	if root, err := exec.Command("npm", "root", "-g").Output(); err == nil {
		paths += ":" + strings.TrimSpace(string(root))
	}
	return []string{"NODE_PATH=" + paths}
}

// run returns what the driver's program prints.
func (d driver) run(t *testing.T, to target) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	command := d.command(filepath.Join("testdata", "drivers", d.program), to)
	if command == nil {
		testserver.Missing(t, d.pkg)
	}
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	host, port, err := net.SplitHostPort(to.address)
	require.NoError(t, err)
	cmd.Env = append(os.Environ(), "PGHOST="+host, "PGPORT="+port, "PGUSER="+to.user, "PGPASSWORD="+to.password,
		"PGDATABASE="+to.database, "PGSSLMODE="+to.sslmode, "PYTHONIOENCODING=utf-8")
	if d.env != nil {
		cmd.Env = append(cmd.Env, d.env()...)
	}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// Programs in other languages see through the gateway what they see without it,
// but for what is refused.
func TestDrivers(t *testing.T) {
	g := startGate(t, gateConfig{chain: []proxy.Interceptor{denying("secret")}})
	direct := target{g.pg.Address(), pgembed.User, g.pg.Password, g.db, "disable"}
	through := target{g.addr, "alice+orders", "wonder", g.db, "disable"}
	for _, d := range drivers() {
		t.Run(d.program, func(t *testing.T) {
			want, err := d.run(t, direct)
			require.NoError(t, err, want)
			got, err := d.run(t, through)
			require.NoError(t, err, got)
			require.Contains(t, got, "42501")
			require.NotContains(t, want, "42501")
			require.Contains(t, got, "goes on")
			require.Equal(t, want, strings.Join(withoutRefusals(got), ""))
		})
	}
}

func withoutRefusals(out string) (lines []string) {
	for line := range strings.Lines(out) {
		if !strings.Contains(line, "42501") {
			lines = append(lines, line)
		}
	}
	return lines
}

func TestLibPQ(t *testing.T) {
	g := startGate(t, gateConfig{sql: shop, chain: []proxy.Interceptor{denying("secret")}})
	host, port, err := net.SplitHostPort(g.addr)
	require.NoError(t, err)
	db, err := sql.Open("postgres", "sslmode=disable user=alice+orders password=wonder host="+host+" port="+port+" dbname="+g.db)
	require.NoError(t, err)
	defer db.Close()
	db.SetMaxOpenConns(1)
	count := func(query string, args ...any) (n int) {
		t.Helper()
		require.NoError(t, db.QueryRow(query, args...).Scan(&n))
		return n
	}
	require.Equal(t, 10, count("SELECT count(*) FROM customers WHERE id <= $1", 10))
	st, err := db.Prepare("SELECT count(*) FROM customers WHERE id = ANY($1)")
	require.NoError(t, err)
	for range 3 {
		var n int
		require.NoError(t, st.QueryRow(pq.Array([]int{1, 2, 300})).Scan(&n))
		require.Equal(t, 2, n)
	}
	require.NoError(t, st.Close())

	tx, err := db.Begin()
	require.NoError(t, err)
	in, err := tx.Prepare(`COPY customers (id, name, email) FROM STDIN`)
	require.NoError(t, err)
	for i := range 1000 {
		_, err := in.Exec(1000+i, "näme", fmt.Sprint("x", i, "@example.com"))
		require.NoError(t, err)
	}
	_, err = in.Exec()
	require.NoError(t, err)
	require.NoError(t, in.Close())
	require.NoError(t, tx.Commit())
	require.Equal(t, 1100, count("SELECT count(*) FROM customers"))

	_, err = db.Exec("SELECT 'secret'")
	var pe *pq.Error
	require.ErrorAs(t, err, &pe)
	require.EqualValues(t, "42501", pe.Code)
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	begun := time.Now()
	_, err = db.ExecContext(ctx, "SELECT pg_sleep(30)")
	require.Error(t, err)
	require.Less(t, time.Since(begun), 10*time.Second)
	require.Equal(t, 1, count("SELECT 1"))

	heard := make(chan *pq.Notification, 1)
	l := pq.NewListener("sslmode=disable user=alice+orders password=wonder host="+host+" port="+port+" dbname="+g.db, time.Second, time.Second, nil)
	defer l.Close()
	require.NoError(t, l.Listen("ch"))
	go func() { heard <- <-l.Notify }()
	_, err = db.Exec("NOTIFY ch, 'payload'")
	require.NoError(t, err)
	select {
	case n := <-heard:
		require.Equal(t, "payload", n.Extra)
	case <-time.After(10 * time.Second):
		t.Fatal("no notification")
	}
}
