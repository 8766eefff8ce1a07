package kit

import (
	"context"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/protocol"
)

// relationsQuery lists what the session's account may read something of.
const relationsQuery = `SELECT n.nspname, c.relname, CASE c.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' WHEN 'f' THEN 'foreign table' ELSE 'table' END
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname NOT LIKE 'pg\_toast%' AND n.nspname NOT LIKE 'pg\_temp\_%'
AND pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND pg_catalog.has_any_column_privilege(c.oid, 'SELECT, INSERT, UPDATE')
ORDER BY n.nspname IN ('pg_catalog', 'information_schema'), n.nspname, c.relname LIMIT `

// columnsQuery lists the columns of a relation; its name follows.
const columnsQuery = `SELECT a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), a.attnotnull,
EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = a.attrelid AND i.indisprimary AND a.attnum = ANY (i.indkey))
FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE a.attnum > 0 AND NOT a.attisdropped AND pg_catalog.has_column_privilege(c.oid, a.attnum, 'SELECT, INSERT, UPDATE') `

// Relations implements [protocol.Database].
func (d *database) Relations(ctx context.Context, limit int) ([]protocol.Relation, error) {
	rows, err := protocol.Rows(ctx, d, relationsQuery+strconv.Itoa(limit), 3)
	list := make([]protocol.Relation, len(rows))
	for i, r := range rows {
		list[i] = protocol.Relation{Schema: r[0], Name: r[1], Kind: r[2]}
	}
	return list, err
}

// Columns implements [protocol.Database].
func (d *database) Columns(ctx context.Context, schema, relation string) ([]protocol.RelationColumn, error) {
	rows, err := protocol.Rows(ctx, d, columnsQuery+"AND n.nspname = "+literal(schema)+" AND c.relname = "+literal(relation)+" ORDER BY a.attnum", 4)
	list := make([]protocol.RelationColumn, len(rows))
	for i, r := range rows {
		list[i] = protocol.RelationColumn{Name: r[0], Type: r[1], NotNull: r[2] == "t", Key: r[3] == "t"}
	}
	return list, err
}

// literal writes a string so that it means itself, whatever the session's settings.
func literal(s string) string {
	s = strings.ReplaceAll(s, "\x00", "")
	return "E'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'"
}
