package mysql

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/protocol/mysql/wire"
	"github.com/sallyport/sallyport/proxy"
)

// An argument means the same to the gateway as to the server, or nothing is measured: text in another character set is not read as
// UTF-8, though it could be, and bytes are not compared as text.
func TestImpactOfArguments(t *testing.T) {
	a := &approver{}
	g := impactGate(t, `CREATE TABLE names (id INT PRIMARY KEY, name VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci);
INSERT INTO names VALUES (1, CONVERT(X'C3A9' USING utf8mb4)), (2, CONVERT(X'C383C2A9' USING utf8mb4)), (3, 'abc'), (4, 'ABC');`, a, gateConfig{})
	c := g.open(t)
	ids := func() string {
		return strings.Join(strings.Fields(g.server(t, "SELECT id FROM names ORDER BY id")), " ")
	}
	require.Equal(t, "0", does(c, "SET NAMES latin1"))
	require.Equal(t, "1", does(c, "DELETE FROM names WHERE name = ?", "\xc3\xa9"))
	require.Equal(t, "1 3 4", ids(), "the two characters that the bytes are in latin1")
	require.Equal(t, proxy.HoldsNothing, a.last.Holds)
	require.Contains(t, strings.Join(a.last.Unsaid, "; "), "another character set")
	require.Equal(t, "0", does(c, "SET NAMES utf8mb4"))
	require.Equal(t, "1", does(c, "DELETE FROM names WHERE name = ?", "\xc3\xa9"))
	require.Equal(t, proxy.HoldsRows, a.last.Holds)
	require.Equal(t, "3 4", ids())

	r := g.dial(t, 0)
	_, err := r.query("USE " + g.db)
	require.NoError(t, err)
	id := r.prepare(t, "DELETE FROM names WHERE name = ?")
	execute := func(typ wire.Type) uint64 {
		t.Helper()
		require.NoError(t, r.send(wire.StmtExecute, numbered(id, 0, 1, 0, 0, 0, 0, 1, byte(typ), 0, 3, 'a', 'b', 'c')...))
		b, err := r.read()
		require.NoError(t, err)
		ok, err := wire.ParseOK(b, r.caps)
		require.NoError(t, err)
		return ok.Affected
	}
	require.NotZero(t, execute(wire.TypeBlob), "servers differ in whether bytes are compared exactly")
	require.Equal(t, proxy.HoldsNothing, a.last.Holds)
	require.Contains(t, strings.Join(a.last.Unsaid, "; "), "is bytes")
	g.server(t, "REPLACE INTO names VALUES (3, 'abc'), (4, 'ABC')")
	require.EqualValues(t, 2, execute(wire.TypeVarString))
	require.Equal(t, proxy.HoldsRows, a.last.Holds)
	require.Empty(t, ids())
}
