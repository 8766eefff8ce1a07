"""What an application does through psycopg2. Connection by libpq's environment."""
import io

import psycopg2
import psycopg2.extras

c = psycopg2.connect("")
cur = c.cursor()
cur.execute("CREATE TEMP TABLE items (id int PRIMARY KEY, name text, price numeric, at timestamptz, doc jsonb, raw bytea)")
psycopg2.extras.execute_values(
    cur,
    "INSERT INTO items (id, name, price, doc, raw) VALUES %s",
    [(i, f"näme {i} 'quoted' \\ %", i * 1.25, psycopg2.extras.Json({"n": i}), bytes(range(256))) for i in range(500)],
)
c.commit()
cur.execute("SELECT count(*), sum(price), max(name), min(doc->>'n') FROM items WHERE id < %s", (250,))
print("rows", cur.fetchone())
cur.execute("SELECT raw FROM items WHERE id = %s", (7,))
print("bytes", bytes(cur.fetchone()[0]) == bytes(range(256)))

with c.cursor("server_side") as named:
    named.itersize = 50
    named.execute("SELECT id FROM items ORDER BY id")
    print("cursor", sum(r[0] for r in named))
c.commit()

out = io.StringIO()
cur.copy_expert("COPY items (id, name) TO STDOUT CSV", out)
print("copy out", len(out.getvalue()))
out.seek(0)
cur.execute("CREATE TEMP TABLE again (id int, name text)")
cur.copy_expert("COPY again FROM STDIN CSV", out)
cur.execute("SELECT count(*) FROM again")
print("copy in", cur.fetchone())
c.commit()

try:
    cur.execute("SELECT 'secret'")
except psycopg2.Error as e:
    print("refused", e.pgcode)
c.rollback()
try:
    cur.execute("INSERT INTO items (id) VALUES (1)")
except psycopg2.errors.UniqueViolation as e:
    print("error", e.pgcode, e.diag.constraint_name)
c.rollback()
cur.execute("SELECT 1")
print("goes on", cur.fetchone())
c.close()
