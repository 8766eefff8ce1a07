package kit

import (
	"context"
	"fmt"
	"strconv"

	"github.com/sallyport/sallyport/protocol"
)

// relationsQuery lists what the session's account may use something of.
const relationsQuery = `SELECT table_schema, table_name, CASE WHEN table_type LIKE '%VIEW' THEN 'view' ELSE 'table' END FROM information_schema.tables
ORDER BY table_schema IN ('information_schema', 'mysql', 'performance_schema', 'sys'), table_schema, table_name LIMIT `

// columnsQuery lists the columns of a relation; its name follows.
const columnsQuery = `SELECT column_name, column_type, is_nullable = 'NO', column_key = 'PRI' FROM information_schema.columns WHERE `

// Relations implements [protocol.Database].
func (d *database) Relations(ctx context.Context, limit int) ([]protocol.Relation, error) {
	rows, err := protocol.Rows(ctx, d, relationsQuery+strconv.Itoa(limit), 3)
	out := make([]protocol.Relation, len(rows))
	for i, r := range rows {
		out[i] = protocol.Relation{Schema: r[0], Name: r[1], Kind: r[2]}
	}
	return out, err
}

// Columns implements [protocol.Database].
func (d *database) Columns(ctx context.Context, schema, relation string) ([]protocol.RelationColumn, error) {
	rows, err := protocol.Rows(ctx, d, columnsQuery+"table_schema = "+literal(schema)+" AND table_name = "+literal(relation)+" ORDER BY ordinal_position", 4)
	out := make([]protocol.RelationColumn, len(rows))
	for i, r := range rows {
		out[i] = protocol.RelationColumn{Name: r[0], Type: r[1], NotNull: r[2] == "1", Key: r[3] == "1"}
	}
	return out, err
}

// literal writes a string so that it means itself, whatever the session's settings.
func literal(s string) string {
	if s == "" {
		return "''"
	}
	return fmt.Sprintf("CONVERT(X'%X' USING utf8mb4)", s)
}
