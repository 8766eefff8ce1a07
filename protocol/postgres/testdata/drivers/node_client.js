// What an application does through node-postgres. Connection by libpq's environment.
const {Client} = require('pg')

async function main() {
	const c = new Client({ssl: process.env.PGSSLMODE !== 'disable'})
	await c.connect()
	await c.query('CREATE TEMP TABLE items (id int PRIMARY KEY, name text, doc jsonb)')
	await c.query('BEGIN')
	for (let i = 0; i < 200; i++) {
		await c.query({name: 'insert', text: 'INSERT INTO items VALUES ($1, $2, $3)', values: [i, `näme ${i}`, {n: i}]})
	}
	await c.query('COMMIT')
	const r = await c.query('SELECT count(*), max(name) FROM items WHERE id < $1', [100])
	console.log('rows', r.rows[0].count, r.rows[0].max)
	const many = await Promise.all([...Array(100).keys()].map(i => c.query('SELECT $1::int AS n', [i])))
	console.log('queued', many.reduce((sum, r) => sum + r.rows[0].n, 0))
	const results = await c.query('SELECT 1; SELECT 2')
	console.log('several', results.length)
	for (const text of ["SELECT 'secret'", 'SELECT 1/0']) {
		try {
			await c.query(text)
		} catch (e) {
			console.log('error', e.code)
		}
	}
	const notified = new Promise(resolve => c.on('notification', resolve))
	await c.query('LISTEN ch')
	await c.query("NOTIFY ch, 'payload'")
	console.log('notified', (await notified).payload)
	const big = await c.query("SELECT repeat('x', 5000000) AS big")
	console.log('big', big.rows[0].big.length)
	console.log('goes on', (await c.query('SELECT 1 AS one')).rows[0].one)
	await c.end()
}

main().catch(e => { console.error(e); process.exit(1) })
