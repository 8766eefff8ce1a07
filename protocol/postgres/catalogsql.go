package postgres

import (
	"strconv"
	"strings"
)

// catalogQuery is one query of a catalog, and what takes its rows.
type catalogQuery struct {
	// text may hold onlyThese, for all or some of the relations or functions that of names.
	text    string
	of      string
	columns int
	row     func(r *catalogRows, v [][]byte) error
}

const onlyThese = "{only}"

// only is q's text, of the relations or functions of those numbers, or of all.
func (q *catalogQuery) only(of []uint32) string {
	condition := "true"
	if of != nil {
		condition = q.of + " = ANY (" + array(of) + ")"
	}
	return strings.ReplaceAll(q.text, onlyThese, condition)
}

// array is a list of numbers in SQL.
func array(list []uint32) string {
	b := []byte("'{")
	for i, n := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendUint(b, uint64(n), 10)
	}
	return string(append(b, "}'::oid[]"...))
}

// relationsKept leaves out temporary relations, which only their session sees,
// and what the server keeps in addition to tables.
const relationsKept = `c.relkind IN ('r', 'v', 'm', 'f', 'p', 'S') AND c.relpersistence <> 't' AND n.nspname <> 'pg_toast'`

// All queries are run in one read-only transaction, these first. The path is
// read as the session's role has it; from then on only the server's own names
// are seen, so that definitions are printed with every name's schema and no
// name here means anything of somebody's. What comes before that is qualified.
var beginQueries = []catalogQuery{
	{text: `BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY`},
	{
		text: `SELECT coalesce(nullif(pg_catalog.btrim(pg_catalog.current_setting('search_path')), ''), 'pg_catalog') UNION ALL
(SELECT s FROM pg_catalog.unnest(pg_catalog.current_schemas(true)) WITH ORDINALITY AS u (s, i) ORDER BY i)`,
		columns: 1, row: (*catalogRows).schema,
	},
	{text: `SET LOCAL search_path = pg_catalog`},
	{text: `SET LOCAL jit = off`}, // which takes longer than any query here
	{
		// Of which server and database the numbers are, what its role's sessions begin with,
		// and the oldest transaction that may not have ended.
		text: `SELECT concat_ws(' ', extract(epoch FROM pg_postmaster_start_time()), d.oid, pg_is_in_recovery(), inet_server_addr(), inet_server_port()),
concat('settings ', (SELECT string_agg(concat_ws(' ', s.setdatabase, s.setrole, s.xmin), ', ' ORDER BY s.setdatabase, s.setrole)
FROM pg_db_role_setting s WHERE s.setdatabase IN (0, d.oid) AND s.setrole IN (0, r.oid))), txid_snapshot_xmin(txid_current_snapshot())
FROM pg_database d, pg_roles r WHERE d.datname = current_database() AND r.rolname = SESSION_USER`,
		columns: 3, row: (*catalogRows).began,
	},
}

const usableSchemas = ` FROM pg_namespace WHERE has_schema_privilege(oid, 'USAGE') AND nspname !~ '^pg_(temp|toast)'`

var (
	usableQuery = catalogQuery{
		text:    `SELECT CURRENT_USER UNION ALL (SELECT nspname` + usableSchemas + ` ORDER BY nspname)`,
		columns: 1, row: (*catalogRows).usable,
	}
	// usableDigest tells whether usableQuery would say something else.
	usableDigest = catalogQuery{
		text:    `SELECT sha256(convert_to(concat_ws('/', CURRENT_USER, (SELECT string_agg(nspname, '/' ORDER BY nspname)` + usableSchemas + `)), 'UTF8'))`,
		columns: 1, row: (*catalogRows).usableIs,
	}
)

// listQueries read what is little.
var listQueries = []catalogQuery{
	{text: `SELECT extname FROM pg_extension ORDER BY 1`, columns: 1, row: (*catalogRows).extension},
	{
		text: `SELECT DISTINCT o.oprname, p.oid FROM pg_operator o JOIN pg_proc p ON p.oid = o.oprcode JOIN pg_language l ON l.oid = p.prolang
WHERE p.oid >= 16384 AND NOT (p.provolatile = 'i' AND l.lanname IN ('c', 'internal')) ORDER BY 1, 2`,
		columns: 2, row: (*catalogRows).operator,
	},
}

// What is read of relations in addition to their columns.
const (
	triggersKept   = `pg_trigger x WHERE NOT tgisinternal AND tgenabled <> 'D'`
	childrenKept   = `pg_inherits x WHERE true`
	referencesKept = `pg_constraint x WHERE contype = 'f' AND (confdeltype IN ('c', 'n', 'd') OR confupdtype IN ('c', 'n', 'd'))`
	rulesKept      = `pg_rewrite x WHERE rulename <> '_RETURN' AND ev_enabled <> 'D'`
)

// relationQueries read relations, in this order.
var relationQueries = []catalogQuery{
	{
		text: `SELECT c.oid, n.nspname, c.relname, c.relkind, c.relhasrules FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE ` + relationsKept + ` AND {only} ORDER BY c.oid`,
		of: "c.oid", columns: 5, row: (*catalogRows).relation,
	},
	{
		text: `SELECT a.attrelid, a.attnum, a.attname, a.atttypid, CASE WHEN a.attgenerated <> '' THEN '?' END FROM pg_attribute a
JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE ` + relationsKept + ` AND a.attnum > 0 AND NOT a.attisdropped AND {only} ORDER BY a.attrelid, a.attnum`,
		of: "a.attrelid", columns: 5, row: (*catalogRows).column,
	},
	{
		text: `SELECT attrelid, attnum FROM pg_attribute WHERE attnotnull AND attnum > 0 AND NOT attisdropped AND attrelid >= 16384 AND {only} ORDER BY 1, 2`,
		of:   "attrelid", columns: 2, row: (*catalogRows).notNull,
	},
	{text: `SELECT tgrelid, tgtype, tgfoid FROM ` + triggersKept + ` AND {only} ORDER BY tgrelid, oid`, of: "tgrelid", columns: 3, row: (*catalogRows).trigger},
	{text: `SELECT inhparent, inhrelid FROM ` + childrenKept + ` AND {only} ORDER BY 1, 2`, of: "inhparent", columns: 2, row: (*catalogRows).child},
	{
		text: `SELECT confrelid, conrelid, confdeltype, confupdtype FROM ` + referencesKept + ` AND {only} ORDER BY 1, 2, oid`,
		of:   "confrelid", columns: 4, row: (*catalogRows).reference,
	},
}

const functionsKept = `(p.oid >= 16384 OR n.nspname <> 'pg_catalog')`

var (
	functionsQuery   = catalogQuery{text: functionsBegin + `coalesce(pg_get_function_sqlbody(p.oid), p.prosrc)` + functionsEnd, of: "p.oid", columns: 7, row: (*catalogRows).function}
	functionsQuery13 = catalogQuery{text: functionsBegin + `p.prosrc` + functionsEnd, of: "p.oid", columns: 7, row: (*catalogRows).function} // before version 14
)

const (
	// An aggregate with a function that is not the server's own is a function in SQL
	// that calls it.
	functionsBegin = `SELECT p.oid, n.nspname, p.proname, CASE WHEN g.calls IS NULL THEN p.provolatile ELSE 's' END, CASE WHEN g.calls IS NULL THEN l.lanname ELSE 'sql' END,
CASE WHEN g.calls IS NOT NULL THEN 'SELECT ' || g.calls WHEN l.lanname IN ('sql', 'plpgsql') THEN `
	functionsEnd = ` END,
coalesce((SELECT bool_or(x LIKE 'search_path=%') FROM unnest(p.proconfig) x), false)
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_language l ON l.oid = p.prolang
LEFT JOIN (SELECT a.aggfnoid, string_agg(format('%I.%I()', cn.nspname, c.proname), ', ' ORDER BY c.oid) AS calls FROM pg_aggregate a
JOIN pg_proc c ON c.oid IN (a.aggtransfn, a.aggfinalfn, a.aggcombinefn, a.aggserialfn, a.aggdeserialfn, a.aggmtransfn, a.aggminvtransfn, a.aggmfinalfn)
JOIN pg_namespace cn ON cn.oid = c.pronamespace WHERE c.oid >= 16384 GROUP BY 1) g ON g.aggfnoid = p.oid
WHERE ` + functionsKept + ` AND {only} ORDER BY p.oid`
)

// What the server prints of definitions.
var (
	viewsQuery = catalogQuery{
		text: `SELECT c.oid, pg_get_viewdef(c.oid) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE ` + relationsKept + ` AND c.relkind IN ('v', 'm') AND c.oid >= 16384 AND {only} ORDER BY c.oid`,
		of: "c.oid", columns: 2, row: (*catalogRows).view,
	}
	generatedQuery = catalogQuery{
		text: `SELECT a.attrelid, a.attnum, pg_get_expr(d.adbin, d.adrelid) FROM pg_attribute a
JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum WHERE a.attgenerated <> '' AND NOT a.attisdropped AND {only} ORDER BY 1, 2`,
		of: "a.attrelid", columns: 3, row: (*catalogRows).generated,
	}
	rulesQuery = catalogQuery{
		text: `SELECT ev_class, ev_type, is_instead, pg_get_ruledef(oid) FROM ` + rulesKept + ` AND {only} ORDER BY ev_class, oid`,
		of:   "ev_class", columns: 4, row: (*catalogRows).rule,
	}
	rulesWithoutQuery = catalogQuery{
		text: `SELECT ev_class, ev_type, is_instead, NULL FROM ` + rulesKept + ` AND {only} ORDER BY ev_class, oid`,
		of:   "ev_class", columns: 4, row: (*catalogRows).rule,
	}
)
