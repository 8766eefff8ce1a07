package gateway

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/testserver"
)

const mysqlSecrets = `
CREATE TABLE vault (id INT PRIMARY KEY, name VARCHAR(50), secret VARCHAR(50));
INSERT INTO vault VALUES (1, 'Ann', 'zebra one'), (2, 'Bo', 'zebra two');
CREATE TABLE other (id INT, name VARCHAR(50));
INSERT INTO other VALUES (1, 'nothing');
CREATE TABLE uniq (k VARCHAR(50) PRIMARY KEY);
CREATE VIEW v AS SELECT id, secret AS a FROM vault;
CREATE VIEW vv AS SELECT a AS b FROM v;
CREATE VIEW names AS SELECT id, name FROM vault;
CREATE VIEW temptable AS SELECT DISTINCT CONCAT(secret, '!') AS name FROM vault;
DELIMITER //
CREATE PROCEDURE p() BEGIN SELECT secret AS name FROM vault; END //
CREATE PROCEDURE outs(OUT x TEXT) BEGIN SELECT secret INTO x FROM vault LIMIT 1; END //
CREATE FUNCTION f() RETURNS TEXT READS SQL DATA BEGIN RETURN (SELECT secret FROM vault LIMIT 1); END //
DELIMITER ;
`

// mysqlVault is a gateway in front of MariaDB that masks one column, whose values look like
// nothing, and lets everything run.
func mysqlVault(t *testing.T) (*testserver.MariaDBServer, string, *house) {
	t.Helper()
	maria, database, _ := testserver.SharedMariaDB(t, mysqlSecrets)
	return maria, database, mysqlHouseOf(t, maria, database, "masking: [{columns: [vault.secret], with: redact}]\nguardrails: [{use: off}]\n")
}

// What derives from a masked column is not shown, however it is asked for.
func TestMySQLLeaks(t *testing.T) {
	maria, database, h := mysqlVault(t)
	for _, texts := range []string{
		"SELECT secret FROM vault", "SELECT secret AS x FROM vault", "SELECT * FROM vault", "TABLE vault", "SELECT `secret` FROM `vault`", "SELECT /*! secret */ FROM vault",
		"SELECT CONCAT(secret, '') FROM vault", "SELECT UPPER(secret) AS name FROM vault", "SELECT HEX(secret) FROM vault", "SELECT JSON_OBJECT('name', secret) FROM vault",
		"SELECT GROUP_CONCAT(secret) AS name FROM vault", "SELECT MAX(secret) AS name FROM vault", "SELECT IFNULL(secret, 1) AS name FROM vault", "SELECT CASE WHEN 1 THEN secret END AS name FROM vault",
		"SELECT x FROM (SELECT secret AS x FROM vault) d", "SELECT name FROM (SELECT secret AS name FROM vault) vault", "SELECT name FROM (SELECT CONCAT(secret) AS name FROM vault LIMIT 9) vault",
		"WITH vault AS (SELECT secret AS name FROM vault) SELECT name FROM vault", "WITH c (name) AS (SELECT secret FROM vault) SELECT name FROM c",
		"WITH RECURSIVE c (n, name) AS (SELECT 1, CAST('' AS CHAR(50)) UNION ALL SELECT n + 1, secret FROM c JOIN vault ON vault.id = n WHERE n < 3) SELECT name FROM c",
		"SELECT name FROM vault UNION ALL SELECT secret FROM vault", "SELECT (SELECT secret FROM vault LIMIT 1) AS name", "SELECT a FROM v", "SELECT * FROM v", "SELECT b AS name FROM vv", "SELECT name FROM temptable",
		"SELECT d.name FROM (SELECT a AS name FROM v UNION SELECT 'x') d", "SELECT * FROM vault NATURAL JOIN (SELECT 1 AS id) x", "SELECT * FROM vault JOIN (SELECT 1 AS id) x USING (id)",
		"SELECT name.secret FROM vault AS name", "SELECT x FROM vault, JSON_TABLE(JSON_ARRAY(secret), '$[*]' COLUMNS (x TEXT PATH '$')) j",
		"SELECT @x := secret FROM vault; SELECT @x", "SELECT secret INTO @y FROM vault LIMIT 1; SELECT @y AS name", "SET @z = (SELECT secret FROM vault LIMIT 1); SELECT CONCAT(@z, '')",
		"CALL outs(@o); SELECT @o", "CALL p()", "SELECT f() AS name", "SELECT name FROM vault WHERE name = f() OR 1", "EXECUTE IMMEDIATE 'SELECT secret AS name FROM vault'",
		"PREPARE s FROM 'SELECT secret AS name FROM vault'; EXECUTE s", "SET @q = CONCAT('SELECT sec', 'ret AS name FROM vault'); PREPARE s FROM @q; EXECUTE s",
		"CREATE TEMPORARY TABLE t1 AS SELECT secret AS name FROM vault; SELECT name FROM t1", "CREATE TEMPORARY TABLE other AS SELECT secret AS name FROM vault; SELECT name FROM other",
		"CREATE TEMPORARY TABLE t2 (name TEXT); INSERT INTO t2 SELECT secret FROM vault; SELECT name FROM t2", "CREATE TEMPORARY TABLE t3 LIKE other; INSERT INTO t3 (name) SELECT secret FROM vault; SELECT name FROM t3",
		"CREATE TEMPORARY TABLE vault (id INT, secret TEXT); DROP TEMPORARY TABLE vault; SELECT secret AS name FROM vault",
		"CREATE TEMPORARY TABLE t4 AS SELECT secret AS name FROM vault; ALTER TABLE t4 RENAME TO other; SELECT name FROM other",
		"CREATE TABLE t5 AS SELECT secret AS name FROM vault; SELECT name FROM t5", "INSERT INTO other (name) SELECT secret FROM vault; SELECT name FROM other",
		"UPDATE vault SET name = secret; SELECT name FROM vault", "CREATE VIEW v6 AS SELECT secret AS name FROM vault; SELECT name FROM v6",
		"SELECT EXTRACTVALUE(1, CONCAT('\\\\', (SELECT secret FROM vault LIMIT 1)))", "SELECT UPDATEXML(1, CONCAT('~', (SELECT secret FROM vault LIMIT 1)), 1)",
		"SELECT CAST(secret AS SIGNED) AS x FROM vault; SHOW WARNINGS", "INSERT INTO uniq SELECT secret FROM vault; INSERT INTO uniq SELECT secret FROM vault",
		"HANDLER vault OPEN; HANDLER vault READ FIRST", "SELECT secret FROM vault PROCEDURE ANALYSE()", "INSERT INTO vault VALUES (3, 'Cy', 'zebra three') RETURNING secret AS name",
		"DELETE FROM vault WHERE id = 1 RETURNING secret AS name", "SELECT secret FROM vault INTO OUTFILE '/tmp/zebra'", "SELECT NAME_CONST('name', 'x'), secret FROM vault",
		"SELECT CAST(secret AS SIGNED) AS x FROM vault; GET DIAGNOSTICS CONDITION 1 @m = MESSAGE_TEXT; SELECT @m", "SELECT name FROM vault ORDER BY EXTRACTVALUE(1, CONCAT('\\\\', secret))",
		"DO EXTRACTVALUE(1, CONCAT('\\\\', (SELECT secret FROM vault LIMIT 1)))", "SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'x'; BEGIN NOT ATOMIC DECLARE m TEXT; SELECT secret INTO m FROM vault LIMIT 1; SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = m; END",
		"SET character_set_results = utf16; SELECT secret FROM vault", "SELECT CONVERT(secret USING utf16) AS name FROM vault", "SELECT name FROM (VALUES (1)) q, vault WHERE FALSE UNION SELECT secret FROM vault",
	} {
		t.Run(texts[:min(len(texts), 60)], func(t *testing.T) {
			c := h.mysql(t, "alice")
			var all []string
			for _, text := range split(texts) {
				all = append(all, mysqlTexts(t, c, text)...)
			}
			if strings.Contains(texts, "; ") { // and as one text
				all = append(all, mysqlTexts(t, h.mysql(t, "alice"), texts)...)
			}
			shown := strings.ToLower(strings.Join(all, "\n"))
			for _, secret := range []string{"zebra", "7a65627261", "z\x00e\x00b"} {
				require.NotContains(t, shown, secret, "%s", texts)
			}
			_, err := maria.Run(database, "DROP TABLE IF EXISTS t5; DROP VIEW IF EXISTS v6; DELETE FROM uniq; DELETE FROM other; INSERT INTO other VALUES (1, 'nothing'); DELETE FROM vault; INSERT INTO vault VALUES (1, 'Ann', 'zebra one'), (2, 'Bo', 'zebra two')")
			require.NoError(t, err)
		})
	}
}

// split cuts a text into statements, but for what is in a block.
func split(text string) []string {
	if head, block, ok := strings.Cut(text, "BEGIN NOT ATOMIC"); ok {
		return append(strings.Split(strings.TrimSuffix(strings.TrimSpace(head), ";"), "; "), "BEGIN NOT ATOMIC"+block)
	}
	return strings.Split(text, "; ")
}

// What has nothing to do with a masked column is shown as it is.
func TestMySQLEveryday(t *testing.T) {
	_, _, h := mysqlVault(t)
	c := h.mysql(t, "alice")
	for _, x := range []struct{ texts, want string }{
		{"SELECT id, name FROM vault", "1|Ann\n2|Bo"},
		{"SELECT COUNT(*), COUNT(secret) FROM vault", "2|2"},
		{"SELECT v.name FROM vault v JOIN other o ON o.id = v.id", "Ann"},
		{"SELECT name FROM names ORDER BY id", "Ann\nBo"},
		{"SELECT 1, 'it''s', NULL, @@autocommit", "1|it's||1"},
		{"SET @id = 5; SELECT @id, @id + 1", "5|6"},
		{"SELECT n FROM (SELECT name AS n FROM vault) d WHERE n LIKE 'A%'", "Ann"},
		{"WITH x AS (SELECT name FROM vault) SELECT * FROM x", "Ann\nBo"},
		{"SELECT UPPER(name) FROM vault UNION SELECT 'x'", "ANN\nBO\nx"},
		{"CREATE TEMPORARY TABLE tn AS SELECT id, name FROM vault; SELECT name FROM tn", "Ann\nBo"},
		{"CREATE TEMPORARY TABLE tk (k INT); INSERT INTO tk SELECT id FROM vault; SELECT * FROM tk", "1\n2"},
		{"SHOW TABLES LIKE 'oth%'", "other"},
		{"SELECT table_name FROM information_schema.tables WHERE table_name = 'vault' AND table_schema = DATABASE()", "vault"},
		{"SELECT \"two\" AS x, 'a\\'b'", "two|a'b"},
		{"BEGIN; UPDATE other SET name = 'changed' WHERE id = 1; ROLLBACK; SELECT name FROM other", "nothing"},
		{"SELECT IF(id = 1, name, 'no') FROM vault", "Ann\nno"},
		{"SELECT name FROM vault GROUP BY name HAVING COUNT(*) > 0 ORDER BY 1", "Ann\nBo"},
		{"SELECT (SELECT MAX(id) FROM other) AS m", "1"},
		{"SELECT * FROM names", "1|Ann\n2|Bo"},
		{"SELECT o.*, v.name FROM other o LEFT JOIN vault v USING (id)", "1|nothing|Ann"},
		{"SELECT LAST_INSERT_ID(), ROW_COUNT(), DATABASE() = SCHEMA()", "0|-1|1"},
	} {
		var got []string
		for _, text := range split(x.texts) {
			got = mysqlTexts(t, c, text)
		}
		require.Equal(t, x.want, strings.Join(got, "\n"), x.texts)
	}
}

// What clients and ORMs send when they begin runs under the default packs, for who may read and
// write, as it does directly.
func TestMySQLStartups(t *testing.T) {
	maria, database, _ := testserver.SharedMariaDB(t, mysqlSecrets)
	h := mysqlHouseOf(t, maria, database, "masking: [{use: default}]\nguardrails: [{use: default}]\n")
	c := h.mysql(t, "alice")
	for _, text := range []string{
		"SELECT VERSION(), @@sql_mode, @@default_storage_engine, @@sql_auto_is_null, @@lower_case_table_names, CONVERT_TZ('2001-01-01 01:00:00', 'UTC', 'UTC') IS NOT NULL",
		"SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED", "SHOW FULL TABLES", "SET foreign_key_checks=0", "SET SQL_AUTO_IS_NULL = 0",
		"/* mysql-connector-j-8.3.0 */SELECT  @@session.auto_increment_increment AS auto_increment_increment, @@character_set_client AS character_set_client, @@collation_connection AS collation_connection, @@init_connect AS init_connect, @@interactive_timeout AS interactive_timeout, @@license AS license, @@max_allowed_packet AS max_allowed_packet, @@sql_mode AS sql_mode, @@system_time_zone AS system_time_zone, @@time_zone AS time_zone, @@tx_isolation AS transaction_isolation, @@wait_timeout AS wait_timeout",
		"SET character_set_results = NULL", "SET autocommit=1", "SET sql_mode='STRICT_TRANS_TABLES'",
		"SET NAMES utf8mb4, @@SESSION.sql_mode = CONCAT(CONCAT(@@sql_mode, ',STRICT_ALL_TABLES'), ',NO_AUTO_VALUE_ON_ZERO'),  @@SESSION.sql_auto_is_null = 0, @@SESSION.wait_timeout = 2147483",
		"SHOW KEYS FROM vault", "SELECT GET_LOCK('migrate', 0)", "SELECT RELEASE_LOCK('migrate')", "set names 'utf8mb4' collate 'utf8mb4_unicode_ci'",
		"set session sql_mode='ONLY_FULL_GROUP_BY,STRICT_TRANS_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION'",
		"select table_name as `name`, (data_length + index_length) as `size`, table_comment as `comment`, engine as `engine` from information_schema.tables where table_schema = DATABASE() and table_type in ('BASE TABLE', 'SYSTEM VERSIONED') order by table_name",
		"SELECT @@version, @@GLOBAL.version", "SHOW ENGINES", "SHOW CHARSET", "SHOW PLUGINS", "SHOW COLLATION", "SHOW VARIABLES LIKE 'sql_mode'", "SELECT * FROM information_schema.SCHEMATA", "SET SQL_SELECT_LIMIT=200",
		"SELECT @@session.tx_isolation", "SHOW CREATE TABLE vault", "SHOW FULL COLUMNS FROM vault", "SHOW INDEX FROM vault", "SHOW STATUS LIKE 'Threads%'", "SHOW WARNINGS", "SHOW DATABASES", "DESCRIBE vault",
		"EXPLAIN SELECT * FROM vault WHERE id = 1", "SELECT column_name, data_type FROM information_schema.columns WHERE table_schema = DATABASE()", "SET time_zone = '+00:00'",
		"SELECT kcu.constraint_name, kcu.column_name, kcu.referenced_table_name FROM information_schema.key_column_usage kcu WHERE kcu.table_schema = DATABASE()",
		"START TRANSACTION READ ONLY", "COMMIT", "BEGIN", "SAVEPOINT `s1`", "ROLLBACK TO SAVEPOINT `s1`", "RELEASE SAVEPOINT `s1`", "ROLLBACK", "SET @a = 1, @b := 'x'", "SELECT @a + 1",
		"INSERT INTO other (id, name) VALUES (5, 'it''s \\\\ \"quoted\"') ON DUPLICATE KEY UPDATE name = VALUES(name)", "REPLACE INTO other (id, name) VALUES (6, 'x')", "UPDATE other SET name = 'y' WHERE id = 6",
		"INSERT INTO other (id, name) VALUES (7, LENGTH(_binary'\xff\xfe'))", "DELETE FROM other WHERE id IN (5, 6, 7)", "SELECT SQL_CALC_FOUND_ROWS id FROM other LIMIT 1", "SELECT FOUND_ROWS()", "SELECT 1 FROM DUAL",
		"INSERT INTO other (id, name) VALUES (8, '" + strings.Repeat("long ", 8) + "') RETURNING id", "DELETE FROM other WHERE id = 8 LIMIT 1", "SELECT JSON_EXTRACT('{\"a\": 1}', '$.a')", "SELECT id FROM vault FOR UPDATE",
		"SELECT id, ROW_NUMBER() OVER (PARTITION BY name ORDER BY id) AS n FROM vault", "WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 5) SELECT SUM(i) FROM n",
	} {
		for _, row := range mysqlTexts(t, c, text) {
			require.NotContains(t, row, "Error ", text)
		}
	}
}
