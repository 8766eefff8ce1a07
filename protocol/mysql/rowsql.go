package mysql

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/sallyport/sallyport/protocol/internal/impact"
	"github.com/sallyport/sallyport/protocol/sql"
	"github.com/sallyport/sallyport/proxy"
)

// table is what the server tells of a table whose rows are changed.
type table struct {
	Name          string // as SQL writes it
	Schema, Table string
	Kind, Engine  string
	Made          string // when; a table that is made anew or altered has another time
	Triggers      proxy.Effects
	Unseen        bool     // there may be triggers that the account does not see
	Deleting      []string // tables to which a foreign key passes on that rows are deleted
	Moving        []string // and that their keys change
	Columns       []tableColumn
	Settings      []string // of the session that asks
}

type tableColumn struct {
	Name      string
	Type      string // without its length
	Binary    bool   // its values are bytes
	Key       bool   // it belongs to the primary key
	Generated bool   // from others of its row
	Counts    bool   // AUTO_INCREMENT
	Now       bool   // it changes with each UPDATE
	Hidden    bool   // who does not name it does not mean it
	number    uint32 // of its type, as interceptors know it
}

// identity tells a table from another one that has its name later, and from itself in a session that would find or leave other rows.
func (t *table) identity() string {
	h := sha256.New()
	fmt.Fprintf(h, "sallyport table 1\x00%s\x00%s\x00%s", t.Name, t.Engine, t.Made)
	for i := range t.Columns {
		fmt.Fprintf(h, "\x00%s\x00%s", t.Columns[i].Name, t.Columns[i].Type)
	}
	fmt.Fprintf(h, "\x00%q", t.Settings)
	return hex.EncodeToString(h.Sum(nil))
}

func newTableColumn(v [][]byte) tableColumn {
	extra := strings.ToLower(string(v[4]))
	return tableColumn{
		Name: string(v[0]), Type: strings.ToLower(string(v[1])), Binary: v[5] == nil, Key: string(v[3]) == "PRI",
		Generated: strings.Contains(extra, "generated") && !strings.Contains(extra, "default_generated"),
		Counts:    strings.Contains(extra, "auto_increment"), Now: strings.Contains(extra, "on update"), Hidden: strings.Contains(extra, "invisible"),
		number: numberOfType(string(v[2])),
	}
}

// Rows of the server's own tables that are read of a table. The texts bound them, too: sql_select_limit of the session would leave out
// others otherwise, such as triggers.
const (
	mostNames      = 10 // that differ in their case
	mostColumns    = 1 << 13
	mostTriggers   = 100
	mostReferences = 1000
)

func tableSQL(schema, name string) string {
	return fmt.Sprintf(`SELECT table_schema, table_name, table_type, IFNULL(engine, ''), CONCAT(IFNULL(create_time, '')), CONCAT(@@lower_case_table_names)
		FROM information_schema.tables WHERE table_schema = %s AND table_name = %s LIMIT %d`, literal(schema), literal(name), mostNames+1)
}

func tableColumnsSQL(t *table) string {
	return fmt.Sprintf(`SELECT column_name, data_type, column_type, column_key, extra, character_set_name
		FROM information_schema.columns WHERE table_schema = %s AND table_name = %s ORDER BY ordinal_position LIMIT %d`,
		literal(t.Schema), literal(t.Table), mostColumns+1)
}

func tableTriggersSQL(t *table) string {
	return fmt.Sprintf(`SELECT event_manipulation FROM information_schema.triggers WHERE event_object_schema = %s AND event_object_table = %s LIMIT %d`,
		literal(t.Schema), literal(t.Table), mostTriggers+1)
}

func tableReferencesSQL(t *table) string {
	return fmt.Sprintf(`SELECT constraint_schema, table_name, delete_rule, update_rule FROM information_schema.referential_constraints
		WHERE unique_constraint_schema = %s AND referenced_table_name = %s ORDER BY constraint_schema, table_name LIMIT %d`,
		literal(t.Schema), literal(t.Table), mostReferences+1)
}

// splitPath takes a quoted path apart.
func splitPath(path string) (schema, name string) {
	var parts []string
	for rest := path; strings.HasPrefix(rest, "`"); {
		end := 1
		for end < len(rest) && (rest[end] != '`' || end+1 < len(rest) && rest[end+1] == '`') {
			if rest[end] == '`' {
				end++
			}
			end++
		}
		parts = append(parts, strings.ReplaceAll(rest[1:min(end, len(rest))], "``", "`"))
		rest = strings.TrimPrefix(rest[min(end+1, len(rest)):], ".")
	}
	switch len(parts) {
	case 1:
		return "", parts[0]
	case 2:
		return parts[0], parts[1]
	}
	return "", path
}

func quoted(name string) string { return string(appendName(nil, []byte(name))) }

// plainName is a name as SQL has it, without quotes where it needs none.
func plainName(name string) string {
	for i, c := range name {
		if c != '_' && c != '$' && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9' || i == 0) {
			return quoted(name)
		}
	}
	return name
}

// rowHash digests all that a row holds, as the server keeps it, whatever the session's settings are.
func rowHash(t *table, ref string) string {
	parts := make([]string, len(t.Columns))
	for i := range t.Columns {
		c := &t.Columns[i]
		parts[i] = "IFNULL(SHA2(" + storedValue(c, ref+"."+quoted(c.Name)) + ", 256), '-')"
	}
	return "SHA2(CONCAT_WS(',', " + strings.Join(parts, ", ") + "), 256)"
}

// storedValue is a column's value as text or bytes that say all of it.
func storedValue(c *tableColumn, path string) string {
	switch c.Type {
	case "timestamp": // which is shown by the session's time zone
		return "CONCAT(UNIX_TIMESTAMP(" + path + "))"
	case "float": // which is shown with six digits
		return "CONCAT(" + path + " + 0e0)"
	case "bit":
		return "CONCAT(" + path + " + 0)"
	case "char", "varchar", "tinytext", "text", "mediumtext", "longtext", "binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob":
		return path
	case "geometry", "point", "linestring", "polygon", "multipoint", "multilinestring", "multipolygon", "geometrycollection", "geomcollection":
		return "CONCAT(ST_SRID(" + path + "), ' ', HEX(ST_AsWKB(" + path + ")))"
	}
	return "CONCAT(" + path + ")"
}

// sampleQuery returns some rows: columns, and what some of them become.
func sampleQuery(c *sql.RowChange, shown []tableColumn, keys []string) string {
	var list []string
	for i := range shown {
		list = append(list, c.Ref+"."+quoted(shown[i].Name))
	}
	for i := range shown {
		if s := setOf(c, &shown[i]); s != nil {
			list = append(list, fmt.Sprintf("(%s) AS %s", s.Value, quoted("after "+shown[i].Name)))
		}
	}
	text := c.Select(strings.Join(list, ", "))
	switch {
	case c.Order != "":
		text = "SELECT * FROM (" + text + " " + c.Order + ") AS q"
	case len(keys) > 0:
		for i, k := range keys {
			keys[i] = c.Ref + "." + quoted(k)
		}
		text += " ORDER BY " + strings.Join(keys, ", ")
	}
	return text + fmt.Sprintf(" LIMIT %d", impact.MaxSamples)
}

// filled are the names of the columns that an INSERT fills, in order.
func filled(c *sql.RowChange, t *table) []string {
	if len(c.Columns) > 0 {
		return c.Columns
	}
	var names []string
	for i := range t.Columns {
		if !t.Columns[i].Hidden {
			names = append(names, t.Columns[i].Name)
		}
	}
	return names
}

// ofQuery asks for list of the rows that an INSERT's query returns. Their columns have names of their own there: a query may give two of
// them the same one, which a table must not have.
func ofQuery(c *sql.RowChange, t *table, list string) string {
	columns := filled(c, t)
	names := make([]string, len(columns))
	for i := range names {
		names[i] = fmt.Sprintf("c%d", i)
	}
	const source = "`sallyport rows`"
	return "WITH " + source + " (" + strings.Join(names, ", ") + ") AS (" + c.Query + ") SELECT " + list + " FROM " + source
}

// setOf is what a column is set to, where that can be told before.
func setOf(c *sql.RowChange, column *tableColumn) *sql.SetColumn {
	for i := range c.Sets {
		if s := &c.Sets[i]; strings.EqualFold(s.Column, column.Name) && s.Value != "" && !s.Moving {
			return s
		}
	}
	return nil
}

// sets reports whether a statement sets a column.
func sets(c *sql.RowChange, column *tableColumn) bool {
	for i := range c.Sets {
		if strings.EqualFold(c.Sets[i].Column, column.Name) {
			return true
		}
	}
	return false
}
