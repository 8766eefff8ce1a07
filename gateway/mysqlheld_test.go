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

// TestHeldInATransactionOfMySQL: the refusal of what is held is to an open transaction what an error of MariaDB's own is: the statement is
// taken back and nothing else, what the session has locked stays locked, and what it sends next is of the same transaction, until it
// rolls back or commits.
func TestHeldInATransactionOfMySQL(t *testing.T) {
	maria, database, _ := testserver.SharedMariaDB(t, "CREATE TABLE stock (id INT PRIMARY KEY, n INT) ENGINE = InnoDB; INSERT INTO stock VALUES (1, 0), (2, 0)")
	h := mysqlHouseFor(t, maria, database, "  - {groups: [dev], allow: [connect, read, write]}", `guardrails: [{use: off}, {name: deletes, hold: {effects: [delete]}, approvers: ["local:ops"], for: 5m, in_transaction: 1s}]`)
	c := h.mysql(t, "alice")
	runs := func(text string) {
		t.Helper()
		_, err := c.ExecContext(t.Context(), text)
		require.NoError(t, err, text)
	}
	locked := func() bool {
		t.Helper()
		out, err := maria.Run(database, "SET innodb_lock_wait_timeout = 1; UPDATE stock SET n = n WHERE id = 2")
		if err != nil {
			require.Contains(t, out+err.Error(), "Lock wait timeout")
		}
		return err != nil
	}
	seen := func() []string {
		t.Helper()
		return mysqlTexts(t, c, "SELECT id, n FROM stock ORDER BY id")
	}
	refusals := map[string]func() error{
		"an error of the server's own": func() error {
			_, err := c.ExecContext(t.Context(), "INSERT INTO stock VALUES (1, 1)")
			return err
		},
		"nobody decides in time": func() error {
			_, err := c.ExecContext(t.Context(), "DELETE FROM stock WHERE id = 1")
			require.ErrorContains(t, err, "Error 1142 (42000)")
			require.ErrorContains(t, err, "Roll back, and send the same again")
			return err
		},
		"it is denied": func() error {
			denied := make(chan error, 1)
			go func() {
				for {
					for _, r := range h.desk.List() {
						if r.State == review.Pending && r.Text == "DELETE FROM stock WHERE id = 2" {
							_, err := h.desk.Deny(t.Context(), r.ID, review.Vote{By: olga, Hash: r.Hash, Reason: "not today"})
							denied <- err
							return
						}
					}
					time.Sleep(time.Millisecond)
				}
			}()
			_, err := c.ExecContext(t.Context(), "DELETE FROM stock WHERE id = 2")
			require.NoError(t, <-denied)
			require.ErrorContains(t, err, "Error 1142 (42000)")
			require.ErrorContains(t, err, "not today")
			return err
		},
	}
	for name, refused := range refusals {
		t.Run(name, func(t *testing.T) {
			for _, end := range []string{"ROLLBACK", "COMMIT"} {
				runs("START TRANSACTION")
				runs("UPDATE stock SET n = 1 WHERE id = 2")
				require.Error(t, refused())
				require.Equal(t, []string{"1|0", "2|1"}, seen(), "the transaction is open, and has what it had")
				require.True(t, locked(), "and what it has locked")
				runs("INSERT INTO stock VALUES (3, 3)")
				runs(end)
				require.False(t, locked())
				if end == "ROLLBACK" {
					require.Equal(t, []string{"1|0", "2|0"}, seen(), "what came after the refusal was of the transaction, too")
				} else {
					require.Equal(t, []string{"1|0", "2|1", "3|3"}, seen())
					runs("UPDATE stock SET n = 0 WHERE id = 2")
					_, err := maria.Run(database, "DELETE FROM stock WHERE id = 3")
					require.NoError(t, err)
				}
			}
		})
	}
}
