package gateway

import (
	"fmt"
	"net"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/testserver"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/review"
)

// TestHeldByMySQLClient: with MariaDB's own client connecting asks for access; an UPDATE is held, the approver sees how many rows it would change, and it runs; when a
// fourth row comes in between nothing is changed.
func TestHeldByMySQLClient(t *testing.T) {
	if _, err := exec.LookPath("mariadb"); err != nil {
		testserver.Missing(t, "mariadb")
	}
	maria, database, _ := testserver.SharedMariaDB(t, "CREATE TABLE orders (id INT PRIMARY KEY, status VARCHAR(20)) ENGINE = InnoDB; INSERT INTO orders VALUES (1, 'open'), (2, 'open'), (3, 'open')")
	_, err := maria.Run("", "CREATE USER IF NOT EXISTS app@'127.0.0.1' IDENTIFIED BY 'app-secret'; GRANT ALL ON *.* TO app@'127.0.0.1'")
	require.NoError(t, err)
	t.Setenv("MYSQL_APP_PASSWORD", "app-secret")
	h := open(t, t.TempDir(), fmt.Sprintf(`
listen: {mysql: "127.0.0.1:0"}
identity: {users: [{name: alice, groups: [dev], password: %[1]s}, {name: olga, groups: [ops], password: %[1]s}]}
resources:
  - {name: shop, type: mysql, address: "127.0.0.1:%[2]d", username: app, password: "env:MYSQL_APP_PASSWORD", tls: {mode: disable}, schema: %[3]s}
  - {name: asked, type: mysql, address: "127.0.0.1:%[2]d", username: app, password: "env:MYSQL_APP_PASSWORD", tls: {mode: disable}, schema: %[3]s}
access:
  - {groups: [dev], resources: [shop], allow: [connect, read, write]}
  - {name: asks, groups: [dev], resources: [asked], allow: [connect, read], request: {approvers: [ops]}}
guardrails: [{use: off}, {name: changes, hold: {effects: [update]}, approvers: [ops], for: 2m}]
`, verifier(t), maria.Port, database))
	host, port, err := net.SplitHostPort(h.Addr("mysql", "").String())
	require.NoError(t, err)
	client := func(resource, text string) *bare {
		return startBare(t, "mariadb", "--no-defaults", "-h", host, "-P", port, "-u", "alice+"+resource, "-p"+password, "--ssl", "--ssl-ca="+h.Authority(), "-vvv", "-e", text, database)
	}
	held := func() *review.Request {
		t.Helper()
		var r review.Request
		require.Eventually(t, func() bool {
			for _, r = range h.desk.List() {
				if r.State == review.Pending {
					return true
				}
			}
			return false
		}, 30*time.Second, 10*time.Millisecond)
		return &r
	}
	approve := func(r *review.Request) {
		t.Helper()
		_, err := h.desk.Approve(t.Context(), r.ID, review.Vote{By: &proxy.Identity{Subject: "olga", Groups: []string{"ops"}}, Hash: r.Hash}, review.Narrow{})
		require.NoError(t, err)
	}

	n := client("asked", "SELECT COUNT(*) FROM orders")
	require.Error(t, n.Wait(), "connecting asks")
	r := held()
	require.Contains(t, n.errs.String(), "request "+r.ID)
	require.Contains(t, n.errs.String(), "waits for an approval of ops; connect again when it is approved")
	approve(r)
	n = client("asked", "SELECT COUNT(*) FROM orders")
	require.NoError(t, n.Wait(), "%s", n.errs)
	require.Contains(t, n.out.String(), "3")

	n = client("shop", "UPDATE orders SET status = 'done' WHERE status = 'open'")
	r = held()
	require.Contains(t, r.Lines(), "would change 3 rows of")
	approve(r)
	require.NoError(t, n.Wait(), "%s", n.errs)
	require.Contains(t, n.out.String(), "3 rows affected")

	n = client("shop", "UPDATE orders SET status = 'sent' WHERE status = 'done'")
	r = held()
	require.Contains(t, r.Lines(), "would change 3 rows of")
	_, err = maria.Run(database, "INSERT INTO orders VALUES (4, 'done')")
	require.NoError(t, err)
	approve(r)
	require.Error(t, n.Wait())
	require.Contains(t, n.errs.String(), "the rows differ from those that were approved: 4 rows, 3 were approved")
	left, err := maria.Run(database, "SELECT COUNT(*) FROM orders WHERE status = 'done'")
	require.NoError(t, err)
	require.Contains(t, left, "4", "nothing was changed")
}
