package postgres

// catalogQuery is one query of a catalog, and what takes its rows.
type catalogQuery struct {
	text    string
	columns int
	row     func(r *catalogRows) func(v [][]byte) error
}

// relationsKept leaves out temporary relations, which only their session sees,
// and what the server keeps in addition to tables.
const relationsKept = `c.relkind IN ('r', 'v', 'm', 'f', 'p', 'S') AND c.relpersistence <> 't' AND n.nspname <> 'pg_toast'`

// catalogQueries are run in this order in one read-only transaction. The path is
// read as the session's role has it; from then on only the server's own names
// are seen, so that definitions are printed with every name's schema and no
// name here means anything of somebody's. What comes before that is qualified.
var catalogQueries = []catalogQuery{
	{
		`SELECT coalesce(nullif(pg_catalog.btrim(pg_catalog.current_setting('search_path')), ''), 'pg_catalog') UNION ALL
(SELECT s FROM pg_catalog.unnest(pg_catalog.current_schemas(true)) WITH ORDINALITY AS u (s, i) ORDER BY i)`, 1,
		func(r *catalogRows) func([][]byte) error { return r.schema },
	},
	{`SET LOCAL search_path = pg_catalog`, 0, func(*catalogRows) func([][]byte) error { return nil }},
	{
		`SELECT CURRENT_USER UNION ALL (SELECT nspname FROM pg_namespace
WHERE has_schema_privilege(oid, 'USAGE') AND nspname !~ '^pg_(temp|toast)' ORDER BY nspname)`, 1,
		func(r *catalogRows) func([][]byte) error { return r.usable },
	},
	{
		`SELECT c.oid, n.nspname, c.relname, c.relkind FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE ` + relationsKept + ` ORDER BY c.oid`, 4,
		func(r *catalogRows) func([][]byte) error { return r.relation },
	},
	{
		`SELECT a.attrelid, a.attnum, a.attname, a.atttypid, CASE WHEN a.attgenerated <> '' THEN '?' END FROM pg_attribute a
JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE ` + relationsKept + ` AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attrelid, a.attnum`, 5,
		func(r *catalogRows) func([][]byte) error { return r.column },
	},
	{
		`SELECT attrelid, attnum FROM pg_attribute WHERE attnotnull AND attnum > 0 AND NOT attisdropped AND attrelid >= 16384 ORDER BY 1, 2`, 2,
		func(r *catalogRows) func([][]byte) error { return r.notNull },
	},
	{
		`SELECT extname FROM pg_extension ORDER BY 1`, 1,
		func(r *catalogRows) func([][]byte) error { return r.extension },
	},
	{
		`SELECT tgrelid, tgtype, tgfoid FROM pg_trigger WHERE NOT tgisinternal AND tgenabled <> 'D' ORDER BY tgrelid, oid`, 3,
		func(r *catalogRows) func([][]byte) error { return r.trigger },
	},
	{
		`SELECT inhparent, inhrelid FROM pg_inherits ORDER BY 1, 2`, 2,
		func(r *catalogRows) func([][]byte) error { return r.child },
	},
	{
		`SELECT confrelid, conrelid, confdeltype, confupdtype FROM pg_constraint
WHERE contype = 'f' AND (confdeltype IN ('c', 'n', 'd') OR confupdtype IN ('c', 'n', 'd')) ORDER BY 1, 2, oid`, 4,
		func(r *catalogRows) func([][]byte) error { return r.reference },
	},
	{
		`SELECT DISTINCT o.oprname, p.oid FROM pg_operator o JOIN pg_proc p ON p.oid = o.oprcode JOIN pg_language l ON l.oid = p.prolang
WHERE p.oid >= 16384 AND NOT (p.provolatile = 'i' AND l.lanname IN ('c', 'internal')) ORDER BY 1, 2`, 2,
		func(r *catalogRows) func([][]byte) error { return r.operator },
	},
}

const (
	functionsQuery   = functionsBegin + `coalesce(pg_get_function_sqlbody(p.oid), p.prosrc)` + functionsEnd
	functionsQuery13 = functionsBegin + `p.prosrc` + functionsEnd // before version 14

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
WHERE p.oid >= 16384 OR n.nspname <> 'pg_catalog' ORDER BY p.oid`

	viewsQuery = `SELECT c.oid, pg_get_viewdef(c.oid) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE ` + relationsKept + ` AND c.relkind IN ('v', 'm') AND c.oid >= 16384 ORDER BY c.oid`

	generatedQuery = `SELECT a.attrelid, a.attnum, pg_get_expr(d.adbin, d.adrelid) FROM pg_attribute a
JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum WHERE a.attgenerated <> '' AND NOT a.attisdropped ORDER BY 1, 2`

	rulesFrom         = ` FROM pg_rewrite WHERE rulename <> '_RETURN' AND ev_enabled <> 'D' ORDER BY ev_class, oid`
	rulesQuery        = `SELECT ev_class, ev_type, is_instead, pg_get_ruledef(oid)` + rulesFrom
	rulesWithoutQuery = `SELECT ev_class, ev_type, is_instead, NULL` + rulesFrom
)
