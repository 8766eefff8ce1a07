package postgres

import (
	"fmt"
	"strings"

	"github.com/sallyport/sallyport/protocol/internal/impact"
	"github.com/sallyport/sallyport/protocol/sql"
	"github.com/sallyport/sallyport/proxy"
)

// tableQuery tells of a table, by its path, what is needed to measure changes of it: with all
// that belongs to it when $2 is true, and of triggers whose types have a bit of $3. Nothing in it
// means anything of somebody's.
const tableQuery = `WITH RECURSIVE parts (oid) AS (SELECT pg_catalog.to_regclass($1::pg_catalog.text)::pg_catalog.oid
UNION SELECT i.inhrelid FROM pg_catalog.pg_inherits i JOIN parts p ON i.inhparent OPERATOR(pg_catalog.=) p.oid WHERE $2::pg_catalog.bool)
SELECT pg_catalog.json_build_object('oid', c.oid::pg_catalog.text, 'name', pg_catalog.format('%I.%I', s.nspname, c.relname),
'schema', s.nspname, 'table', c.relname, 'kind', c.relkind, 'rules', EXISTS (SELECT FROM pg_catalog.pg_rewrite w WHERE w.ev_class OPERATOR(pg_catalog.=) c.oid),
'security', pg_catalog.row_security_active(c.oid),
'strange', EXISTS (SELECT FROM parts p JOIN pg_catalog.pg_class x ON x.oid OPERATOR(pg_catalog.=) p.oid WHERE x.relkind OPERATOR(pg_catalog.<>) ALL ('{r,p}'::pg_catalog."char"[])),
'heirs', EXISTS (SELECT FROM parts p JOIN pg_catalog.pg_class x ON x.oid OPERATOR(pg_catalog.=) p.oid WHERE NOT x.relispartition AND x.oid OPERATOR(pg_catalog.<>) c.oid),
'triggers', EXISTS (SELECT FROM pg_catalog.pg_trigger t JOIN parts p ON t.tgrelid OPERATOR(pg_catalog.=) p.oid
WHERE NOT t.tgisinternal AND t.tgenabled OPERATOR(pg_catalog.<>) 'D' AND (t.tgtype OPERATOR(pg_catalog.&) $3::pg_catalog.int2) OPERATOR(pg_catalog.<>) 0::pg_catalog.int2),
'acts', EXISTS (SELECT FROM pg_catalog.pg_trigger t JOIN parts p ON t.tgrelid OPERATOR(pg_catalog.=) p.oid WHERE NOT t.tgisinternal AND t.tgenabled OPERATOR(pg_catalog.<>) 'D'),
'calls', EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.refobjid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid
AND (d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_constraint'::pg_catalog.regclass AND d.objid OPERATOR(pg_catalog.=) ANY (ARRAY(SELECT k.oid FROM pg_catalog.pg_constraint k JOIN parts p ON k.conrelid OPERATOR(pg_catalog.=) p.oid))
OR d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid OPERATOR(pg_catalog.=) ANY (ARRAY(SELECT i.indexrelid FROM pg_catalog.pg_index i JOIN parts p ON i.indrelid OPERATOR(pg_catalog.=) p.oid))
OR d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_attrdef'::pg_catalog.regclass AND d.objid OPERATOR(pg_catalog.=) ANY (ARRAY(SELECT a.oid FROM pg_catalog.pg_attrdef a JOIN parts p ON a.adrelid OPERATOR(pg_catalog.=) p.oid)))),
'sequences', EXISTS (SELECT FROM pg_catalog.pg_attribute a JOIN parts p ON a.attrelid OPERATOR(pg_catalog.=) p.oid WHERE COALESCE(pg_catalog.to_jsonb(a) OPERATOR(pg_catalog.->>) 'attidentity', '') OPERATOR(pg_catalog.<>) '')
OR EXISTS (SELECT FROM pg_catalog.pg_attrdef a JOIN parts p ON a.adrelid OPERATOR(pg_catalog.=) p.oid WHERE pg_catalog.strpos(pg_catalog.pg_get_expr(a.adbin, a.adrelid), 'nextval(') OPERATOR(pg_catalog.>) 0),
'inserts', pg_catalog.has_table_privilege(c.oid, 'INSERT'), 'deletes', pg_catalog.has_table_privilege(c.oid, 'DELETE'),
'locks', pg_catalog.has_table_privilege(c.oid, 'SELECT') AND pg_catalog.has_any_column_privilege(c.oid, 'UPDATE'),
'exact', pg_catalog.current_setting('extra_float_digits')::pg_catalog.int4 OPERATOR(pg_catalog.>=) 1,
'casts', EXISTS (SELECT FROM pg_catalog.pg_cast k JOIN pg_catalog.pg_proc f ON f.oid OPERATOR(pg_catalog.=) k.castfunc JOIN pg_catalog.pg_language l ON l.oid OPERATOR(pg_catalog.=) f.prolang
WHERE f.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid AND NOT (l.lanname OPERATOR(pg_catalog.=) ANY ('{c,internal}'::pg_catalog.name[]) AND f.provolatile OPERATOR(pg_catalog.=) 'i')),
'domains', EXISTS (SELECT FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_depend d ON d.objid OPERATOR(pg_catalog.=) k.oid
WHERE k.contypid OPERATOR(pg_catalog.<>) 0::pg_catalog.oid AND d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_constraint'::pg_catalog.regclass
AND (d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_proc'::pg_catalog.regclass OR d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_operator'::pg_catalog.regclass)),
'deleting', (SELECT pg_catalog.json_agg(DISTINCT pg_catalog.format('%I.%I', n.nspname, r.relname)) FROM pg_catalog.pg_constraint k JOIN parts p ON k.confrelid OPERATOR(pg_catalog.=) p.oid
JOIN pg_catalog.pg_class r ON r.oid OPERATOR(pg_catalog.=) k.conrelid JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) r.relnamespace
WHERE k.confdeltype OPERATOR(pg_catalog.=) ANY ('{c,n,d}'::pg_catalog."char"[])),
'moving', (SELECT pg_catalog.json_agg(DISTINCT pg_catalog.format('%I.%I', n.nspname, r.relname)) FROM pg_catalog.pg_constraint k JOIN parts p ON k.confrelid OPERATOR(pg_catalog.=) p.oid
JOIN pg_catalog.pg_class r ON r.oid OPERATOR(pg_catalog.=) k.conrelid JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) r.relnamespace
WHERE k.confupdtype OPERATOR(pg_catalog.=) ANY ('{c,n,d}'::pg_catalog."char"[])),
'columns', (SELECT pg_catalog.json_agg(pg_catalog.json_build_object('name', a.attname,
'type', CASE WHEN t.typtype OPERATOR(pg_catalog.<>) 'd' THEN pg_catalog.format_type(a.atttypid, NULL) END,
'computed', COALESCE(pg_catalog.to_jsonb(a) OPERATOR(pg_catalog.->>) 'attgenerated', '') OPERATOR(pg_catalog.<>) '',
'always', COALESCE(pg_catalog.to_jsonb(a) OPERATOR(pg_catalog.->>) 'attidentity', '') OPERATOR(pg_catalog.=) 'a',
'full', pg_catalog.format('%I.%I', tn.nspname, t.typname), 'domain', t.typtype OPERATOR(pg_catalog.=) 'd',
'own', a.atttypid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid,
'key', EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid OPERATOR(pg_catalog.=) c.oid AND i.indisprimary AND a.attnum OPERATOR(pg_catalog.=) ANY (i.indkey::pg_catalog.int2[]))) ORDER BY a.attnum)
FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid OPERATOR(pg_catalog.=) a.atttypid JOIN pg_catalog.pg_namespace tn ON tn.oid OPERATOR(pg_catalog.=) t.typnamespace
WHERE a.attrelid OPERATOR(pg_catalog.=) c.oid AND a.attnum OPERATOR(pg_catalog.>) 0::pg_catalog.int2 AND NOT a.attisdropped))
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace s ON s.oid OPERATOR(pg_catalog.=) c.relnamespace
WHERE c.oid OPERATOR(pg_catalog.=) pg_catalog.to_regclass($1::pg_catalog.text)`

// table is what tableQuery tells.
type table struct {
	OID       string
	Name      string
	Kind      string
	Rules     bool
	Security  bool // row security has a say in what the session sees
	Strange   bool // a part of it is kept elsewhere
	Heirs     bool // other tables inherit from it
	Triggers  bool
	Acts      bool // it has triggers of any kind
	Calls     bool // a default, a constraint or an index calls a function of the database's own
	Sequences bool // a column takes its value from a sequence
	Inserts   bool // the session may insert rows
	Deletes   bool // and delete them
	Locks     bool // the session may lock rows
	Exact     bool // numbers are shown with all of their digits
	Casts     bool // a cast of the database calls what may do anything
	Domains   bool // and so does a domain
	Deleting  []string
	Moving    []string
	Columns   []tableColumn
	Schema    string // without quotes, as Table is
	Table     string
}

type tableColumn struct {
	Name     string
	Type     string // as SQL writes it; empty of a domain
	Own      bool   // its type is of the database's own
	Computed bool   // from others of its row
	Key      bool   // it belongs to the primary key
	Full     string // the type's name, which means the same under any search_path
	Domain   bool
	Always   bool // an identity column that nobody gives a value
}

// triggerType is the bit of an effect in pg_trigger.tgtype.
func triggerType(e proxy.Effects) string {
	switch e {
	case proxy.EffectInsert:
		return "4"
	case proxy.EffectDelete:
		return "8"
	case proxy.EffectUpdate:
		return "16"
	}
	return "32" // of truncating
}

// rowText is a row as the server writes it, by functions that nobody can replace.
func rowText(ref string) string { return "pg_catalog.textin(pg_catalog.record_out(" + ref + ".*))" }

// digestQuery counts the rows, up to one more than are digested, and digests all that they
// hold, whatever their order. With lock nobody else can change them afterwards.
func digestQuery(c *sql.RowChange, lock bool) string {
	hash := func(ref string) string {
		return "pg_catalog.sha256(pg_catalog.convert_to(" + rowText(ref) + ", pg_catalog.getdatabaseencoding())) AS h"
	}
	rows := ""
	if c.Query != "" {
		rows = insertedRows(c, hash("q"))
	} else {
		rows = c.Select(hash(c.Ref))
	}
	rows += fmt.Sprintf(" LIMIT %d", impact.MaxDigested+1)
	switch {
	case c.Query != "":
	case lock && c.Effect == proxy.EffectUpdate: // which need not keep others from referring to them
		rows += " FOR NO KEY UPDATE OF " + c.Ref
	case lock:
		rows += " FOR UPDATE OF " + c.Ref
	}
	return "SELECT pg_catalog.count(*), pg_catalog.encode(pg_catalog.sha256(COALESCE(pg_catalog.string_agg(q.h, ''::pg_catalog.bytea ORDER BY q.h), ''::pg_catalog.bytea)), 'hex') FROM (" + rows + ") AS q"
}

// sampleQuery returns some rows: columns, and what some of them become.
func sampleQuery(c *sql.RowChange, shown []tableColumn, keys []string) string {
	var list []string
	for i := range shown {
		list = append(list, c.Ref+"."+quotedName(shown[i].Name))
	}
	for i := range shown {
		if s := setOf(c, &shown[i]); s != nil {
			list = append(list, "CAST(("+s.Value+") AS "+shown[i].Type+") AS "+quotedName(shown[i].Name))
		}
	}
	text := c.Select(strings.Join(list, ", "))
	if c.Single {
		text = c.Join(strings.Join(list, ", "))
	}
	text += sampleBound(c)
	if len(keys) > 0 {
		for i, k := range keys {
			keys[i] = c.Ref + "." + quotedName(k)
		}
		text += " ORDER BY " + strings.Join(keys, ", ")
	}
	return text + fmt.Sprintf(" LIMIT %d", impact.MaxSamples)
}

// sampleBound leaves out rows that are too long to show.
func sampleBound(c *sql.RowChange) string {
	return fmt.Sprintf(" AND pg_catalog.octet_length(%s) OPERATOR(pg_catalog.<=) %d", rowText(c.Ref), impact.MaxSampled)
}

// setOf is what a column is set to, where that can be told before.
func setOf(c *sql.RowChange, column *tableColumn) *sql.SetColumn {
	for i := range c.Sets {
		if s := &c.Sets[i]; s.Column == column.Name && s.Value != "" && !s.Moving && column.Type != "" && (c.Others == "" || c.Single) {
			return s
		}
	}
	return nil
}

// insertedRows is a query of what is inserted.
func insertedRows(c *sql.RowChange, list string) string {
	return c.With + " SELECT " + list + " FROM (" + c.Query + ") AS q"
}

// countQuery counts what is there, or would be inserted.
func countQuery(c *sql.RowChange) string {
	if c.Query != "" {
		return insertedRows(c, "pg_catalog.count(*)")
	}
	return c.Select("pg_catalog.count(*)")
}
