package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/internal/testserver"
	"github.com/sallyport/sallyport/review"
)

// TestRequestOfMySQL: by the command line and MariaDB's own client alone, somebody asks for access, another approves it, an UPDATE is held,
// its approver sees how many rows it would change and approves it, and it runs; the same with another value is another request, which is
// denied; and what was granted ends a statement that runs when it is taken back.
func TestRequestOfMySQL(t *testing.T) {
	needs(t, "mariadb")
	maria, database, _ := testserver.SharedMariaDB(t, "CREATE TABLE orders (id INT PRIMARY KEY, status VARCHAR(20)) ENGINE = InnoDB; INSERT INTO orders VALUES (1, 'open'), (2, 'open'), (3, 'open')")
	_, err := maria.Run("", "CREATE USER IF NOT EXISTS app@'127.0.0.1' IDENTIFIED BY 'app-secret'; GRANT ALL ON *.* TO app@'127.0.0.1'")
	require.NoError(t, err)
	t.Setenv("MYSQL_APP_PASSWORD", "app-secret")
	verifier, err := identity.NewVerifier("secret")
	require.NoError(t, err)
	dir, address, api := t.TempDir(), testserver.FreeAddress(t), testserver.FreeAddress(t)
	config := filepath.Join(dir, "sallyport.yaml")
	require.NoError(t, os.WriteFile(config, fmt.Appendf(nil, `listen: {mysql: %q}
api: {listen: %q, url: "https://%[2]s"}
data_dir: data
identity:
  users:
    - {name: dora, groups: [dev], password: %[3]q}
    - {name: olga, groups: [ops], password: %[3]q}
resources:
  - {name: shop, type: mysql, address: "127.0.0.1:%[4]d", username: app, password: "env:MYSQL_APP_PASSWORD", tls: {mode: disable}, schema: %[5]s}
access:
  - {name: asked, groups: [dev], resources: [shop], allow: [connect, read, write], request: {approvers: [ops]}}
guardrails: [{use: off}, {name: changes, hold: {effects: [update]}, approvers: [ops], for: 5m}]
`, address, api, verifier, maria.Port, database), 0o600))
	p := start(t, "serve", "-c", config)
	p.wait(t, "listening")
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	t.Setenv("HOME", t.TempDir())
	for _, who := range []string{"olga", "dora"} {
		code, _, errs := sallyport(t, "secret\n", "login", "https://"+api, "--user", who, "--profile", who, "--ca", filepath.Join(dir, "data", "ca", "ca.pem"))
		require.Equal(t, exitOK, code, errs)
	}
	as := func(who string, args ...string) string {
		t.Helper()
		code, out, errs := sallyport(t, "", append(args, "--profile", who)...)
		require.Equal(t, exitOK, code, "%v: %s", args, errs+out)
		return out + errs
	}
	ctx, stop := context.WithTimeout(t.Context(), 3*time.Minute)
	defer stop()
	self, err := os.Executable()
	require.NoError(t, err)
	client := func(statement string) (*exec.Cmd, *process) {
		t.Helper()
		cmd := exec.CommandContext(ctx, self, "connect", "shop", "--profile", "dora", "--", "-vvv", "-e", statement)
		cmd.Env = append(os.Environ(), "SALLYPORT_TEST_MAIN=1")
		said := &process{}
		cmd.Stdout, cmd.Stderr = said, said
		require.NoError(t, cmd.Start())
		return cmd, said
	}
	id := func(text string) string {
		t.Helper()
		m := regexp.MustCompile(`request ([a-z0-9]{10})`).FindStringSubmatch(text)
		require.NotNil(t, m, text)
		return m[1]
	}
	held := func() (r review.Request) {
		t.Helper()
		require.Eventually(t, func() bool {
			for _, r = range decode[listed[review.Request]](t, as("olga", "requests", "ls", "-o", "json")).Items {
				if r.State == review.Pending {
					return true
				}
			}
			return false
		}, 30*time.Second, 20*time.Millisecond)
		return r
	}

	access := id(as("dora", "request", "shop", "--for", "1h", "--reason", "INC-4711"))
	as("olga", "approve", access, "--reason", "on call")
	cmd, said := client("SELECT COUNT(*) AS n FROM orders")
	require.NoError(t, cmd.Wait(), said.output())
	require.Regexp(t, `\b3\b`, said.output())

	const update = "UPDATE orders SET status = 'done' WHERE id <= 3"
	cmd, said = client(update)
	r := held()
	require.Contains(t, as("olga", "requests", "show", r.ID), "would change 3 rows of ")
	require.Contains(t, as("olga", "approve", r.ID), "would change 3 rows of ")
	require.NoError(t, cmd.Wait(), said.output())
	require.Contains(t, said.output(), "3 rows affected")

	// The approval is for these values alone.
	cmd, said = client(strings.Replace(update, "done", "sent", 1))
	other := held()
	require.NotEqual(t, r.ID, other.ID)
	as("olga", "deny", other.ID, "--reason", "not today")
	require.Error(t, cmd.Wait())
	require.Contains(t, said.output(), "not today")
	left, err := maria.Run(database, "SELECT COUNT(*) FROM orders WHERE status = 'done'")
	require.NoError(t, err)
	require.Contains(t, left, "3")

	var all []string // so many rows that it takes hours
	for i := range 26 {
		all = append(all, fmt.Sprintf("orders o%d", i))
	}
	cmd, said = client("SELECT COUNT(*) FROM " + strings.Join(all, ", ") + " WHERE o0.id + o25.id < 0")
	require.Eventually(t, func() bool {
		out, err := maria.Run("", "SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE 'SELECT COUNT(*) FROM orders o0%'")
		return err == nil && strings.Contains(out, "1")
	}, 30*time.Second, 50*time.Millisecond)
	begun := time.Now()
	as("olga", "requests", "revoke", access, "--reason", "enough")
	require.Error(t, cmd.Wait())
	require.Less(t, time.Since(begun), 10*time.Second)
	require.Contains(t, said.output(), "was revoked by olga: enough")
	p.stop(t)
	code, out, errs := sallyport(t, "", "report", "-c", config)
	require.Equal(t, exitOK, code, errs)
	for _, event := range []string{"approved " + access, "used " + r.ID, "denied " + other.ID, "revoked " + access} {
		require.Contains(t, out, event)
	}
}
