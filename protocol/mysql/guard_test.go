package mysql

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
)

// However the session ends transactions, the gateway's own is one alone.
func TestImpactOfChains(t *testing.T) {
	a := &approver{}
	g := impactGate(t, ordersSchema, a, gateConfig{})
	for _, kind := range []string{"CHAIN", "RELEASE"} {
		c := g.open(t)
		require.Equal(t, "0", does(c, "SET completion_type = '"+kind+"'"))
		g.server(t, resetOrders)
		require.Equal(t, "3", does(c, "UPDATE orders SET qty = 2 WHERE status = 'open'"), kind)
		require.Equal(t, [][]string{{"0"}}, texts(t, c, "SELECT @@in_transaction"), kind)
		require.Equal(t, "3", g.server(t, "SELECT COUNT(*) FROM orders WHERE qty = 2"))
		a.looks = func(*proxy.Impact) { g.server(t, "UPDATE orders SET qty = 5 WHERE id = 1") }
		require.Equal(t, "error 1142", does(c, "UPDATE orders SET qty = 3 WHERE status = 'open'"), kind)
		a.looks = nil
		require.Equal(t, [][]string{{"0"}}, texts(t, c, "SELECT @@in_transaction"), kind)
		require.Equal(t, "0", g.server(t, "SELECT COUNT(*) FROM orders WHERE qty = 3"))
	}
}

// The server takes back a transaction with an error, which does not say so. The client is told, and what it sends next runs in a
// transaction of its own, by which it can be taken back.
func TestImpactAfterADeadlock(t *testing.T) {
	a := &approver{}
	g := impactGate(t, ordersSchema+"CREATE TABLE heavy (id INT PRIMARY KEY); INSERT INTO heavy SELECT seq FROM seq_1_to_1000; INSERT INTO notes VALUES ('note');", a, gateConfig{})
	c, other := g.open(t), g.open(t)
	over := make(chan string, 1)
	// c has changed notes, for which the other one waits that has changed much more, and is not the victim therefore.
	cross := func() {
		require.Equal(t, "0", does(other, "BEGIN"))
		require.Equal(t, "1000", does(other, "UPDATE heavy SET id = id + 5000 /* unheld */"))
		require.Equal(t, "1", does(other, "UPDATE orders SET qty = 9 WHERE id = 1 /* unheld */"))
		go func() { over <- does(other, "UPDATE notes SET t = 'other' /* unheld */") }()
		require.Eventually(t, func() bool {
			return g.server(t, "SELECT COUNT(*) FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT' AND trx_query LIKE 'UPDATE notes%'") == "1"
		}, 20*time.Second, 50*time.Millisecond)
	}
	crossed := func() {
		require.Equal(t, "1", <-over)
		require.Equal(t, "0", does(other, "ROLLBACK"))
	}

	require.Equal(t, "0", does(c, "BEGIN"))
	require.Equal(t, "1", does(c, "UPDATE notes SET t = 'mine' /* unheld */"))
	a.looks = func(*proxy.Impact) { cross() }
	require.Equal(t, "error 1213", does(c, "UPDATE orders SET qty = 2 WHERE id = 1"), "its rows are locked by who waits for it")
	a.looks = nil
	crossed()
	require.Equal(t, [][]string{{"0"}}, texts(t, c, "SELECT @@in_transaction"))
	require.Equal(t, "note", g.server(t, "SELECT t FROM notes"))

	require.Equal(t, "0", does(c, "BEGIN"))
	require.Equal(t, "1", does(c, "UPDATE notes SET t = 'mine' /* unheld */"))
	cross()
	require.Equal(t, "error 1213", does(c, "DELETE FROM heavy /* unheld */"))
	crossed()
	a.claim = &proxy.Impact{Rows: 3, Effect: "update", Holds: proxy.HoldsCount}
	require.Equal(t, "error 1142", does(c, "UPDATE orders SET qty = 5 LIMIT 2"))
	require.Equal(t, "0", g.server(t, "SELECT COUNT(*) FROM orders WHERE qty = 5"))
	a.claim.Rows = 2
	require.Equal(t, "2", does(c, "UPDATE orders SET qty = 5 LIMIT 2"))
	require.Equal(t, "2", g.server(t, "SELECT COUNT(*) FROM orders WHERE qty = 5"))
}

// An approval of an earlier session is used only where the statement means the same.
func TestImpactIsClaimed(t *testing.T) {
	a := &approver{}
	g := impactGate(t, ordersSchema, a, gateConfig{})
	for _, update := range []string{"UPDATE orders SET status = 'done' WHERE status = 'open'", "UPDATE orders SET status = 'done' WHERE status = 'open' LIMIT 3"} {
		a.claim = nil
		g.server(t, resetOrders)
		require.Equal(t, "3", does(g.open(t), update))
		a.claim = a.last
		for set, want := range map[string]string{
			"SET @v = 1":                                        "3",
			"SET sql_mode = 'PIPES_AS_CONCAT'":                  "error 1142",
			"SET time_zone = '+05:45'":                          "error 1142",
			"SET foreign_key_checks = 0":                        "error 1142",
			"SET collation_connection = utf8mb4_unicode_520_ci": "error 1142",
		} {
			g.server(t, resetOrders)
			c := g.open(t)
			require.Equal(t, "0", does(c, set))
			require.Equal(t, want, does(c, update), "%s: %s", set, update)
		}
	}
}
