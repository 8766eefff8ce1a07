# What an application does through PyMySQL or mysqlclient: the same output is wanted
# of a server and of a gateway before it.
import importlib, os, sys

m = importlib.import_module(sys.argv[1])
options = dict(host=os.environ["HOST"], port=int(os.environ["PORT"]), user=os.environ["DBUSER"], passwd=os.environ["PASSWORD"], db=os.environ["DATABASE"], charset="utf8mb4")
if os.environ["CA"]:
    options["ssl"] = {"ca": os.environ["CA"], "check_hostname": False} if sys.argv[1] == "pymysql" else {"ca": os.environ["CA"]}
c = m.connect(**options)
cur = c.cursor()


def do(text, args=None, many=False):
    try:
        n = cur.executemany(text, args) if many else cur.execute(text, args)
        print(text[:60], "->", n, [[repr(v) if not isinstance(v, bytes) else v.hex()[:40] + str(len(v)) for v in r] for r in cur.fetchall()], cur.rowcount, cur.lastrowid)
        while cur.nextset():
            print("  next", cur.fetchall())
    except m.Error as e:
        print(text[:60], "!!", type(e).__name__, e.args[0], e.args[1] if e.args[0] not in (1142,) else "")


do("DROP TABLE IF EXISTS drv")
do("CREATE TABLE drv (id INT AUTO_INCREMENT PRIMARY KEY, t VARCHAR(100), b LONGBLOB, n DECIMAL(20,5), d DATE, dt DATETIME(6), tm TIME, j JSON, f DOUBLE, u BIGINT UNSIGNED, bi BIT(5), UNIQUE (t))")
do("INSERT INTO drv (t, b, n, d, dt, tm, j, f, u, bi) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, b'10101')", ("zürich 🏔 it's \"q\" \\", b"\x00\xff'\\\n" * 1000, "12345.67890", "2024-02-29", "2024-02-29 01:02:03.000004", "-12:34:56", '{"a": [1, "x"]}', 1.5, 18446744073709551615))
do("INSERT INTO drv (t) VALUES (%s)", [("a",), ("b",), (None,)], many=True)
do("SELECT * FROM drv ORDER BY id")
do("INSERT INTO drv (t) VALUES ('a')")
do("SELECT * FROM nowhere")
do("SELEKT 1")
do("UPDATE drv SET f = 2 WHERE t IN %s", (("a", "b"),))
c.rollback()
do("SELECT COUNT(*) FROM drv")
c.autocommit(True)
do("INSERT INTO drv (b) VALUES (%s)", (os.urandom(1) * 3000000,))
do("SELECT LENGTH(b), b = REPEAT(LEFT(b, 1), 3000000) FROM drv WHERE LENGTH(b) > 100000")
do("DROP PROCEDURE IF EXISTS drvp")
do("CREATE PROCEDURE drvp(IN a INT) BEGIN SELECT a; SELECT a + 1, 'x'; END")
cur.callproc("drvp", (4,))
print(cur.fetchall())
while cur.nextset():
    print("  next", cur.fetchall())
c.select_db("information_schema")
do("SELECT DATABASE(), @@autocommit, @@sql_mode, @@character_set_client, @@collation_connection")
c.select_db(os.environ["DATABASE"])
c.ping()
cur.close()
cur = c.cursor(m.cursors.SSCursor)
do("SELECT id, t FROM drv ORDER BY id")
cur.close()
cur = c.cursor(m.cursors.DictCursor)
cur.execute("SELECT id, t AS name FROM drv ORDER BY id LIMIT 2")
print(cur.fetchall(), [d[:2] for d in cur.description])
cur = c.cursor()
do("DROP PROCEDURE drvp")
do("DROP TABLE drv")
c.close()
