import java.math.BigDecimal;
import java.sql.*;
import java.util.Properties;

// What an application does through MariaDB's Connector/J: the same output is wanted of a server
// and of a gateway before it.
class JDBCClient {
    static void show(ResultSet r) throws SQLException {
        ResultSetMetaData m = r.getMetaData();
        while (r.next()) {
            StringBuilder b = new StringBuilder("  ");
            for (int i = 1; i <= m.getColumnCount(); i++)
                b.append(m.getColumnLabel(i)).append(':').append(m.getColumnTypeName(i)).append('=').append(r.getString(i) == null ? "NULL" : r.getString(i).substring(0, Math.min(40, r.getString(i).length()))).append(' ');
            System.out.println(b);
        }
    }

    interface Step { void run() throws SQLException; }

    static void go(String name, Step s) {
        try { System.out.println(name); s.run(); } catch (SQLException e) { System.out.println("  !! " + e.getErrorCode() + " " + e.getSQLState()); }
    }

    public static void main(String[] a) throws Exception {
        Properties p = new Properties();
        p.setProperty("user", System.getenv("DBUSER"));
        p.setProperty("password", System.getenv("PASSWORD"));
        p.setProperty("allowMultiQueries", "true");
        for (String prepared : new String[] {"false", "true"}) {
            p.setProperty("useServerPrepStmts", prepared);
            if (!System.getenv("CA").isEmpty()) { p.setProperty("useSsl", "true"); p.setProperty("serverSslCert", System.getenv("CA")); p.setProperty("disableSslHostnameVerification", "true"); }
            try (Connection c = DriverManager.getConnection("jdbc:mariadb://" + System.getenv("HOST") + ":" + System.getenv("PORT") + "/" + System.getenv("DATABASE"), p)) {
                Statement s = c.createStatement();
                s.execute("DROP TABLE IF EXISTS drv");
                s.execute("CREATE TABLE drv (id INT AUTO_INCREMENT PRIMARY KEY, t VARCHAR(100) UNIQUE, b LONGBLOB, n DECIMAL(20,5), dt DATETIME(6), f DOUBLE, u BIGINT UNSIGNED)");
                PreparedStatement i = c.prepareStatement("INSERT INTO drv (t, b, n, dt, f, u) VALUES (?, ?, ?, ?, ?, ?)", Statement.RETURN_GENERATED_KEYS);
                for (int k = 0; k < 3; k++) {
                    i.setString(1, "zürich 🏔 it's " + k);
                    i.setBytes(2, new byte[100000]);
                    i.setBigDecimal(3, new BigDecimal("12345.67890"));
                    i.setString(4, "2024-02-29 01:02:03.000004");
                    i.setDouble(5, 1.5);
                    i.setNull(6, Types.BIGINT);
                    i.addBatch();
                }
                for (int n : i.executeBatch()) System.out.println("  batch " + n);
                go("keys", () -> show(i.getGeneratedKeys()));
                go("rows", () -> show(s.executeQuery("SELECT id, t, LENGTH(b) AS l, n, dt, f, u FROM drv")));
                PreparedStatement q = c.prepareStatement("SELECT id, t, n, dt, f FROM drv WHERE id > ? AND t LIKE ?");
                q.setInt(1, 1);
                q.setString(2, "z%");
                go("prepared", () -> show(q.executeQuery()));
                go("missing", () -> s.executeQuery("SELECT * FROM nowhere"));
                go("twice", () -> s.execute("INSERT INTO drv (t) SELECT t FROM drv LIMIT 1"));
                c.setAutoCommit(false);
                go("update", () -> System.out.println("  " + s.executeUpdate("UPDATE drv SET f = 2")));
                c.rollback();
                c.setAutoCommit(true);
                c.setTransactionIsolation(Connection.TRANSACTION_READ_COMMITTED);
                go("several", () -> { boolean more = s.execute("SELECT 1; SELECT 2 AS b; UPDATE drv SET f = 3"); do { if (more) show(s.getResultSet()); else System.out.println("  " + s.getUpdateCount()); more = s.getMoreResults(); } while (more || s.getUpdateCount() != -1); });
                go("streamed", () -> { Statement f = c.createStatement(); f.setFetchSize(1); show(f.executeQuery("SELECT id FROM drv")); });
                go("tables", () -> { ResultSet r = c.getMetaData().getColumns(null, null, "drv", "%"); while (r.next()) System.out.println("  " + r.getString("COLUMN_NAME") + " " + r.getString("TYPE_NAME")); });
                System.out.println(c.isValid(2) + " " + c.getMetaData().getDatabaseProductVersion());
                s.execute("DROP TABLE drv");
            }
        }
    }
}
