import java.io.StringReader;
import java.io.StringWriter;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import org.postgresql.PGConnection;

/** What an application does through JDBC. Arguments: URL, user, password. */
public class JDBCClient {
	public static void main(String[] args) throws Exception {
		try (Connection c = DriverManager.getConnection(args[0], args[1], args[2]); Statement s = c.createStatement()) {
			s.execute("CREATE TEMP TABLE items (id int PRIMARY KEY, name text, price numeric)");
			c.setAutoCommit(false);
			try (PreparedStatement p = c.prepareStatement("INSERT INTO items VALUES (?, ?, ?)")) {
				for (int i = 0; i < 500; i++) {
					p.setInt(1, i);
					p.setString(2, "näme " + i);
					p.setDouble(3, i * 1.5);
					p.addBatch();
				}
				System.out.println("batch " + p.executeBatch().length);
			}
			c.commit();
			try (PreparedStatement p = c.prepareStatement("SELECT count(*), sum(price) FROM items WHERE id < ?")) {
				for (int i = 0; i < 12; i++) { // a named statement, and binary results, from the fifth on
					p.setInt(1, 10 * i);
					ResultSet r = p.executeQuery();
					r.next();
					System.out.println("rows " + r.getLong(1) + " " + r.getBigDecimal(2));
				}
			}
			try (PreparedStatement p = c.prepareStatement("SELECT id FROM items ORDER BY id")) {
				p.setFetchSize(50); // portals that are fetched in parts
				long sum = 0;
				for (ResultSet r = p.executeQuery(); r.next();) {
					sum += r.getInt(1);
				}
				System.out.println("fetched " + sum);
			}
			c.commit();
			StringWriter out = new StringWriter();
			System.out.println("copy out " + c.unwrap(PGConnection.class).getCopyAPI().copyOut("COPY items TO STDOUT CSV", out));
			s.execute("CREATE TEMP TABLE again (LIKE items)");
			System.out.println("copy in " + c.unwrap(PGConnection.class).getCopyAPI().copyIn("COPY again FROM STDIN CSV", new StringReader(out.toString())));
			c.commit();
			for (String text : new String[] {"SELECT 'secret'", "INSERT INTO items (id) VALUES (1)"}) {
				try {
					s.execute(text);
				} catch (SQLException e) {
					System.out.println("error " + e.getSQLState());
				}
				c.rollback();
			}
			s.setQueryTimeout(1);
			try {
				s.execute("SELECT pg_sleep(30)");
			} catch (SQLException e) {
				System.out.println("cancelled " + e.getSQLState());
			}
			c.rollback();
			s.setQueryTimeout(0);
			ResultSet tables = c.getMetaData().getColumns(null, null, "items", null);
			int columns = 0;
			while (tables.next()) {
				columns++;
			}
			System.out.println("columns " + columns);
			ResultSet r = s.executeQuery("SELECT 1");
			r.next();
			System.out.println("goes on " + r.getInt(1));
		}
	}
}
