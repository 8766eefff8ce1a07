package sqlstore

import "strings"

// dialect is how a database differs from the other in what the statements need.
type dialect struct {
	name     string // for errors
	begin    string // begins a transaction that writes
	text     string // the type of texts in byte order
	schema   string // before the name of a table
	now      string // microseconds, the same throughout a statement
	clock    string // microseconds, after locks were waited for
	share    string // keeps a row that was read from being changed
	numbered string // what a parameter's number follows
	exists   string // counts tables of the name ?1
	lock     string // in a transaction: makes others that migrate wait; "" when begin does
	make     string // makes the place for tables, when it does not exist
	definite func(error) bool
	advice   func(error) string
}

// expand writes a statement in the dialect.
func (d *dialect) expand(text string) string {
	return strings.NewReplacer(
		"?", d.numbered, "{text}", d.text, "{s}", d.schema, "{now}", d.now, "{clock}", d.clock, "{share}", d.share,
		"{live}", "(expires = 0 OR expires > "+d.now+")",
	).Replace(text)
}

// statements are those of a store, in its dialect.
type statements struct {
	get, list, kinds, changes, head               string
	count, version, create, replace, remove, feed string
	fence, acquire, holder, release               string
	due, expired, sweep, trim, trimmed            string
}

func (d *dialect) statements() statements {
	e := d.expand
	return statements{
		get: e(`SELECT name, version, body, expires, created, updated FROM {s}documents WHERE kind = ?1 AND name = ?2 AND {live}`),
		list: e(`SELECT name, version, body, expires, created, updated FROM {s}documents
			WHERE kind = ?1 AND name >= ?2 AND name < ?3 AND name > ?4 AND {live} ORDER BY name LIMIT ?5`),
		kinds: e(`SELECT DISTINCT kind FROM {s}documents WHERE {live} ORDER BY kind`),
		changes: e(`SELECT m.seq, m.trimmed, c.seq, c.kind, c.name, c.deleted FROM {s}meta m
			LEFT JOIN (SELECT seq, kind, name, deleted FROM {s}changes WHERE seq > ?1 ORDER BY seq LIMIT ?2) c ON 1 = 1 ORDER BY c.seq`),
		head: e(`SELECT seq, {clock} FROM {s}meta`),

		count:   e(`UPDATE {s}meta SET seq = seq + ?1 RETURNING seq, {clock}`),
		version: e(`SELECT version FROM {s}documents WHERE kind = ?1 AND name = ?2 AND (expires = 0 OR expires > ?3)`),
		create: e(`INSERT INTO {s}documents AS d (kind, name, version, body, expires, created, updated) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6)
			ON CONFLICT (kind, name) DO UPDATE SET version = excluded.version, body = excluded.body, expires = excluded.expires,
			created = excluded.created, updated = excluded.updated WHERE d.expires > 0 AND d.expires <= ?6`),
		replace: e(`UPDATE {s}documents SET version = ?3, body = ?4, expires = ?5, updated = ?6
			WHERE kind = ?1 AND name = ?2 AND version = ?7 AND (expires = 0 OR expires > ?6)`),
		remove: e(`DELETE FROM {s}documents WHERE kind = ?1 AND name = ?2 AND version = ?3 AND (expires = 0 OR expires > ?4)`),
		feed:   e(`INSERT INTO {s}changes (seq, kind, name, deleted, at) VALUES `),

		fence: e(`SELECT fence FROM {s}leases WHERE name = ?1{share}`),
		acquire: e(`INSERT INTO {s}leases AS l (name, holder, fence, until) VALUES (?1, ?2, 1, {clock} + ?3)
			ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = {clock} + ?3,
			fence = CASE WHEN l.holder = excluded.holder THEN l.fence ELSE l.fence + 1 END
			WHERE l.holder = excluded.holder OR l.until <= {clock} RETURNING fence, until`),
		holder:  e(`SELECT holder, fence, until FROM {s}leases WHERE name = ?1`),
		release: e(`UPDATE {s}leases SET holder = '', until = 0, fence = fence + 1 WHERE name = ?1 AND holder = ?2 AND fence = ?3`),

		due: e(`SELECT seq, trimmed, (SELECT COUNT(*) FROM (SELECT 1 FROM {s}documents WHERE expires > 0 AND expires <= {now} LIMIT 1) e),
			COALESCE((SELECT MAX(seq) FROM {s}changes WHERE at < {now} - ?1), 0) FROM {s}meta`),
		expired: e(`SELECT kind, name FROM {s}documents WHERE expires > 0 AND expires <= ?1 ORDER BY expires LIMIT ?2`),
		sweep:   e(`DELETE FROM {s}documents WHERE kind = ?1 AND name = ?2 AND expires > 0 AND expires <= ?3`),
		trim:    e(`DELETE FROM {s}changes WHERE seq <= ?1`),
		trimmed: e(`UPDATE {s}meta SET trimmed = ?1 WHERE trimmed < ?1`),
	}
}
