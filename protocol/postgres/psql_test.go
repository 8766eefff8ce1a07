package postgres

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
)

const shop = `CREATE TABLE customers(id int primary key, name text, email text unique);
INSERT INTO customers SELECT i, 'name '||i, 'c'||i||'@example.com' FROM generate_series(1,100) i;`

func TestPsqlSeesRefusalsAndGoesOn(t *testing.T) {
	g := startGate(t, gateConfig{sql: shop, chain: []proxy.Interceptor{denying("delete")}})
	out := g.psql(t, `SELECT count(*) FROM customers;
DELETE FROM customers;
SELECT 'still here';
BEGIN;
SELECT 1 AS in_transaction;
DELETE FROM customers;
SELECT 'aborted';
ROLLBACK;
SELECT count(*) FROM customers;
`)
	t.Log(out)
	require.Contains(t, out, "   100")
	require.Contains(t, out, "ERROR:  delete is not allowed here (rule no-delete)\nHINT:  Ask for it.")
	require.Contains(t, out, "still here")
	require.Contains(t, out, "current transaction is aborted")
}
