package postgres

import (
	"fmt"
	"strings"

	"github.com/sallyport/sallyport/proxy"
)

// exactSettings have the server write values so that it reads the same of them under any settings.
const exactSettings = `SELECT pg_catalog.set_config('DateStyle', 'ISO, YMD', true), pg_catalog.set_config('IntervalStyle', 'iso_8601', true),
pg_catalog.set_config('bytea_output', 'hex', true), pg_catalog.set_config('extra_float_digits', '3', true), pg_catalog.set_config('TimeZone', 'UTC', true)`

// unsteady are types of the server's own of which a text means something else under other settings, or in another
// transaction.
var unsteady = map[string]bool{
	"money": true, "regclass": true, "regproc": true, "regprocedure": true, "regoper": true, "regoperator": true, "regtype": true, "regrole": true,
	"regnamespace": true, "regconfig": true, "regdictionary": true, "regcollation": true, "xid": true, "cid": true, "tid": true, "xml": true,
}

// sqlLiteral is a value as a literal that means the same whatever the session says of backslashes.
func sqlLiteral(v *string) string {
	if v == nil {
		return "NULL"
	}
	text := "'" + strings.ReplaceAll(*v, "'", "''") + "'"
	if strings.Contains(text, `\`) {
		text = " E" + strings.ReplaceAll(text, `\`, `\\`)
	}
	return text
}

// rowsOf are rows as VALUES has them. The first says the types of its values when typed.
func rowsOf(i *proxy.Image, columns int, typed, counted bool) string {
	var b strings.Builder
	for n := range i.Rows {
		if n > 0 {
			b.WriteString(", ")
		}
		b.WriteString("(")
		if counted {
			fmt.Fprintf(&b, "%d, ", n)
		}
		for c := range columns {
			if c > 0 {
				b.WriteString(", ")
			}
			v := sqlLiteral(i.Rows[n].Values[c])
			if typed && n == 0 {
				v = "CAST(" + v + " AS " + i.Columns[c].Type + ")"
			}
			b.WriteString(v)
		}
		b.WriteString(")")
	}
	return b.String()
}

// keyIs is the condition that a key of several columns is that of a row; of one column it is the value alone.
func keyIs(names []string, values []*string) string {
	if len(names) == 1 {
		return sqlLiteral(values[0])
	}
	var all []string
	for c, name := range names {
		all = append(all, name+" = "+sqlLiteral(values[c]))
	}
	return "(" + strings.Join(all, " AND ") + ")"
}

// undoText is the statement that undoes what i is of.
func undoText(i *proxy.Image) string {
	table, names := quotedPath(i.Schema, i.Table), make([]string, len(i.Columns))
	for c := range i.Columns {
		names[c] = quotedName(i.Columns[c].Name)
	}
	switch i.Effect {
	case "insert":
		var list []string
		for n := range i.Rows {
			list = append(list, keyIs(names[:i.Keys], i.Rows[n].Values))
		}
		if i.Keys > 1 {
			return "DELETE FROM " + table + " WHERE " + strings.Join(list, " OR ")
		}
		return "DELETE FROM " + table + " WHERE " + names[0] + " IN (" + strings.Join(list, ", ") + ")"
	case "delete":
		return "INSERT INTO " + table + " (" + strings.Join(names, ", ") + ") VALUES " + rowsOf(i, len(names), false, false)
	}
	var sets, keys []string
	for c, name := range names {
		if c < i.Keys {
			keys = append(keys, "t."+name+" = o."+name)
		} else {
			sets = append(sets, name+" = o."+name)
		}
	}
	return "UPDATE " + table + " AS t SET " + strings.Join(sets, ", ") + " FROM (VALUES " + rowsOf(i, len(names), true, false) + ") AS o (" + strings.Join(names, ", ") + ") WHERE " + strings.Join(keys, " AND ")
}

// leftQuery tells what the rows of an image hold now: by their number, a digest. It names nothing of anybody's but the table.
func leftQuery(i *proxy.Image) string {
	names, keys := []string{"n"}, make([]string, i.Keys)
	for c := range keys {
		k := fmt.Sprintf("k%d", c)
		names = append(names, k)
		keys[c] = "t." + quotedName(i.Columns[c].Name) + " OPERATOR(pg_catalog.=) k." + k
	}
	return "SELECT k.n, pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(" + rowText("t") + ", pg_catalog.getdatabaseencoding())), 'hex') FROM (VALUES " +
		rowsOf(i, i.Keys, true, true) + ") AS k (" + strings.Join(names, ", ") + ") JOIN " + quotedPath(i.Schema, i.Table) + " AS t ON " + strings.Join(keys, " AND ")
}
