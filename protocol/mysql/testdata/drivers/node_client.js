// What an application does through mysql2: the same output is wanted of a server and of a
// gateway before it.
const mysql = require('mysql2/promise'), fs = require('fs');
const e = process.env;
const show = (v) => JSON.stringify(v, (k, x) => (x && x.type === 'Buffer' ? 'bytes ' + x.data.length : typeof x === 'bigint' ? x.toString() : x));
(async () => {
  const options = { host: e.HOST, port: +e.PORT, user: e.DBUSER, password: e.PASSWORD, database: e.DATABASE, multipleStatements: true, supportBigNumbers: true, dateStrings: true };
  if (e.CA) options.ssl = { ca: fs.readFileSync(e.CA), checkServerIdentity: () => undefined };
  const c = await mysql.createConnection(options);
  const go = async (how, text, args) => {
    try {
      const [rows] = await c[how](text, args);
      console.log(how, text.slice(0, 60), show(rows));
    } catch (x) { console.log(how, text.slice(0, 60), '!!', x.errno, x.sqlState, x.sqlMessage); }
  };
  await go('query', 'DROP TABLE IF EXISTS drv');
  await go('query', 'CREATE TABLE drv (id INT AUTO_INCREMENT PRIMARY KEY, t VARCHAR(100), b LONGBLOB, n DECIMAL(20,5), dt DATETIME(6), tm TIME, j JSON, f DOUBLE, u BIGINT UNSIGNED, UNIQUE (t))');
  for (const how of ['query', 'execute']) {
    await go(how, 'INSERT INTO drv (t, b, n, dt, tm, j, f, u) VALUES (?, ?, ?, ?, ?, ?, ?, ?)', [how + " zürich 🏔 it's", Buffer.alloc(5000, 1), '12345.67890', '2024-02-29 01:02:03.000004', '-12:34:56', '{"a": [1]}', 1.5, '18446744073709551615']);
    await go(how, 'SELECT * FROM drv WHERE t LIKE ?', [how + '%']);
    await go(how, 'SELECT * FROM nowhere');
    await go(how, 'SELEKT ?', [1]);
    await go(how, 'INSERT INTO drv (t) VALUES (?)', [how + " zürich 🏔 it's"]);
    await go(how, 'INSERT INTO drv (b) VALUES (?)', [Buffer.alloc(3000000, 7)]);
    await go(how, 'SELECT LENGTH(b) AS n FROM drv WHERE LENGTH(b) > 100000');
    await go(how, 'DELETE FROM drv WHERE LENGTH(b) > 100000');
  }
  await go('query', 'SELECT 1 AS a; SELECT 2 AS b; UPDATE drv SET f = 3 WHERE id = 1');
  await c.beginTransaction();
  await go('execute', 'UPDATE drv SET f = ? WHERE id = ?', [9, 1]);
  await c.rollback();
  await go('execute', 'SELECT f FROM drv WHERE id = ?', [1]);
  await go('query', 'SELECT @@sql_mode, @@character_set_client, DATABASE()');
  await c.changeUser({ database: 'information_schema', user: e.DBUSER, password: e.PASSWORD });
  await go('query', 'SELECT DATABASE()');
  await c.changeUser({ database: e.DATABASE, user: e.DBUSER, password: e.PASSWORD });
  await c.ping();
  await go('query', 'DROP TABLE drv');
  await c.end();
})().catch((x) => { console.log('failed', x.message); process.exit(1); });
