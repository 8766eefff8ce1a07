package mysql

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMariaDBClient(t *testing.T) {
	h := &hooks{}
	g := startGate(t, gateConfig{sql: people, chain: chain(h)})
	script := "SELECT name FROM people WHERE id = 1;\nSHOW TABLES;\nSELECT * FROM nowhere;\nSET @x = 5;\nSELECT @x, CONNECTION_ID() > 0;\n\\s\n"
	out, err := g.mariadb(t, "mariadb", script, "--force", "-N", "-D", g.db) // with names completed, by COM_FIELD_LIST
	require.NoError(t, err, out)
	for _, want := range []string{"Ann\n", "people\n", "ERROR 1146 (42S02)", "5\t1", "Server version:\t\t" + "10.11", "SSL:\t\t\tCipher in use"} {
		require.Contains(t, out, want)
	}
	out, err = g.mariadb(t, "mariadb", "", "-D", g.db, "--auto-rehash", "-e", "SELECT 1")
	require.NoError(t, err, out)
	out, err = g.mariadb(t, "mariadb-admin", "", "ping")
	require.NoError(t, err, out)
	require.Contains(t, out, "mysqld is alive")
	out, err = g.mariadb(t, "mariadb-admin", "", "status")
	require.NoError(t, err, out)
	require.Contains(t, out, "Uptime:")
}

func TestDumpAndRestore(t *testing.T) {
	g := startGate(t, gateConfig{sql: people + `;
		CREATE TABLE docs (id INT AUTO_INCREMENT PRIMARY KEY, t LONGTEXT, b LONGBLOB);
		INSERT INTO docs (t, b) SELECT REPEAT('it''s a "text" \\ ', 2000), RANDOM_BYTES(1000) FROM seq_1_to_50;
		CREATE VIEW names AS SELECT name FROM people;
		CREATE TRIGGER tr BEFORE INSERT ON people FOR EACH ROW SET NEW.name = TRIM(NEW.name);
		DELIMITER //
		CREATE PROCEDURE p(IN a INT) BEGIN SELECT a; SELECT a + 1; END //
		DELIMITER ;`})
	dump, err := g.mariadb(t, "mariadb-dump", "", "--routines", "--triggers", g.db)
	require.NoError(t, err, dump[max(0, len(dump)-500):])
	require.Contains(t, dump, "Dump completed")
	_, err = g.maria.Run("", "CREATE DATABASE "+g.db+"copy")
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "dump.sql")
	require.NoError(t, os.WriteFile(file, []byte(dump), 0o600))
	out, err := g.mariadb(t, "mariadb", dump, g.db+"copy")
	require.NoError(t, err, out)
	for _, table := range []string{"people", "docs"} {
		sum, err := g.maria.Run(g.db, "CHECKSUM TABLE "+table)
		require.NoError(t, err)
		copied, err := g.maria.Run(g.db+"copy", "CHECKSUM TABLE "+table)
		require.NoError(t, err)
		require.Equal(t, sum[len(g.db):], copied[len(g.db)+4:])
	}
	out, err = g.mariadb(t, "mariadb", "CALL p(4);", "-N", g.db+"copy")
	require.NoError(t, err, out)
	require.Equal(t, "4\n5\n", out)
}
