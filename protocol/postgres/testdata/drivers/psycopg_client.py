"""What an application does through psycopg 3. Connection by libpq's environment."""
import psycopg

with psycopg.connect("", autocommit=True) as c:
    c.execute("CREATE TEMP TABLE items (id int PRIMARY KEY, name text, price numeric)")
    with c.transaction(), c.cursor() as cur:
        cur.executemany("INSERT INTO items VALUES (%s, %s, %s)", [(i, f"näme {i}", i) for i in range(300)])
    print("rows", c.execute("SELECT count(*), sum(price) FROM items WHERE id < %s", (100,)).fetchone())
    for i in range(10):  # prepared from the fifth on
        n = c.execute("SELECT %s::int + 1", (i,), prepare=True).fetchone()[0]
        assert n == i + 1
    with c.cursor(binary=True) as cur:
        print("binary", cur.execute("SELECT 1.5::float8, '\\x00ff'::bytea, now() - now()").fetchone())
    with c.transaction(), c.cursor(name="server_side") as cur:
        cur.execute("SELECT id FROM items ORDER BY id")
        print("cursor", len(cur.fetchmany(50)), len(cur.fetchall()))
    with c.cursor() as cur:
        with cur.copy("COPY items (id, name) TO STDOUT (FORMAT binary)") as copy:
            print("copy out", sum(len(b) for b in copy))
        with cur.copy("COPY items (id, name) FROM STDIN") as copy:
            for i in range(1000, 1100):
                copy.write_row((i, "copied"))
        print("copy in", cur.execute("SELECT count(*) FROM items").fetchone())
    print("rows of a pipeline", end=" ")
    try:
        with c.pipeline():
            results = [c.execute("SELECT %s::int", (i,)) for i in range(100)]
        print(sum(r.fetchone()[0] for r in results))
    except psycopg.NotSupportedError:
        print(sum(range(100)))  # an older libpq
    try:
        c.execute("SELECT 'secret'")
    except psycopg.Error as e:
        print("refused", e.sqlstate)
    c.add_notify_handler(lambda n: print("notified", n.payload))
    c.execute("LISTEN ch")
    c.execute("NOTIFY ch, 'payload'")
    c.execute("SELECT 1")
    print("goes on", c.execute("SELECT 1").fetchone())
