package postgres

import (
	"errors"
	"strings"

	"github.com/sallyport/sallyport/proxy"
)

// dataQuery has a row when something holds data, or may, of what dropping or emptying
// these objects takes along: relations by their path, relations that a name means in any
// schema of the search_path, schemas, types, functions, extensions; with what depends on them, and
// with what refers to them. Nothing in it means anything of somebody's.
//
// A table without a page has no row of anybody's: those that are not committed, that
// row security hides, or that are long and kept elsewhere, have one in it. One whose
// rows were deleted has pages until the server has cleaned it up. What is not a table of
// the server's own kind may keep its rows in another way, and so do some extensions and
// servers.
const dataQuery = `WITH RECURSIVE gone (classid, objid) AS (
(SELECT c.tableoid, c.oid FROM pg_catalog.unnest($1::pg_catalog.text[]) AS n (path)
JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) pg_catalog.to_regclass(n.path)
UNION ALL SELECT c.tableoid, c.oid FROM pg_catalog.unnest($2::pg_catalog.text[]) AS n (name)
JOIN pg_catalog.pg_class c ON c.relname OPERATOR(pg_catalog.=) n.name::pg_catalog.name
JOIN pg_catalog.pg_namespace s ON s.oid OPERATOR(pg_catalog.=) c.relnamespace
WHERE s.nspname OPERATOR(pg_catalog.=) ANY (pg_catalog.current_schemas(true))
UNION ALL SELECT s.tableoid, s.oid FROM pg_catalog.unnest($3::pg_catalog.text[]) AS n (name)
JOIN pg_catalog.pg_namespace s ON s.nspname OPERATOR(pg_catalog.=) n.name::pg_catalog.name
UNION ALL SELECT t.tableoid, t.oid FROM pg_catalog.unnest($4::pg_catalog.text[]) AS n (path)
JOIN pg_catalog.pg_type t ON t.oid OPERATOR(pg_catalog.=) pg_catalog.to_regtype(n.path)
UNION ALL SELECT f.tableoid, f.oid FROM pg_catalog.unnest($5::pg_catalog.text[]) AS n (name)
JOIN pg_catalog.pg_proc f ON f.proname OPERATOR(pg_catalog.=) n.name::pg_catalog.name
UNION ALL SELECT e.tableoid, e.oid FROM pg_catalog.unnest($8::pg_catalog.text[]) AS n (name)
JOIN pg_catalog.pg_extension e ON e.extname OPERATOR(pg_catalog.=) n.name::pg_catalog.name)
UNION
SELECT x.classid, x.objid FROM gone g, LATERAL (
SELECT c.tableoid, i.inhrelid FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) i.inhrelid
WHERE i.inhparent OPERATOR(pg_catalog.=) g.objid AND c.tableoid OPERATOR(pg_catalog.=) g.classid
UNION ALL SELECT d.classid, d.objid FROM pg_catalog.pg_depend d
WHERE $6::pg_catalog.bool AND d.refclassid OPERATOR(pg_catalog.=) g.classid AND d.refobjid OPERATOR(pg_catalog.=) g.objid
UNION ALL SELECT d.refclassid, d.refobjid FROM pg_catalog.pg_depend d
WHERE $6::pg_catalog.bool AND d.classid OPERATOR(pg_catalog.=) g.classid AND d.objid OPERATOR(pg_catalog.=) g.objid AND d.deptype OPERATOR(pg_catalog.=) 'i'
UNION ALL SELECT c.tableoid, k.conrelid FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) k.conrelid
WHERE $7::pg_catalog.bool AND k.contype OPERATOR(pg_catalog.=) 'f' AND k.confrelid OPERATOR(pg_catalog.=) g.objid AND c.tableoid OPERATOR(pg_catalog.=) g.classid
) AS x (classid, objid)
)
SELECT FROM gone g JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) g.objid AND c.tableoid OPERATOR(pg_catalog.=) g.classid
WHERE CASE
WHEN c.relkind OPERATOR(pg_catalog.=) ANY ('{v,p,c,i,I,t}'::pg_catalog."char"[]) THEN false
WHEN c.relkind OPERATOR(pg_catalog.=) 'S' THEN NOT EXISTS (SELECT FROM pg_catalog.pg_depend d, gone o
WHERE d.classid OPERATOR(pg_catalog.=) g.classid AND d.objid OPERATOR(pg_catalog.=) g.objid AND d.deptype OPERATOR(pg_catalog.=) ANY ('{a,i}'::pg_catalog."char"[])
AND d.refclassid OPERATOR(pg_catalog.=) g.classid AND o.classid OPERATOR(pg_catalog.=) d.refclassid AND o.objid OPERATOR(pg_catalog.=) d.refobjid)
WHEN c.relkind OPERATOR(pg_catalog.=) ANY ('{r,m}'::pg_catalog."char"[]) AND c.relam OPERATOR(pg_catalog.=) ANY ('{0,2}'::pg_catalog.oid[])
THEN (pg_catalog.pg_relation_size(c.oid) OPERATOR(pg_catalog.=) 0) IS NOT TRUE
ELSE true END
UNION ALL SELECT FROM pg_catalog.unnest($1::pg_catalog.text[]) AS n (path)
WHERE n.path OPERATOR(pg_catalog.~) '[^ -~]' AND pg_catalog.to_regclass(n.path) IS NULL
UNION ALL SELECT FROM pg_catalog.pg_extension x WHERE x.extname OPERATOR(pg_catalog.=) ANY ('{citus,timescaledb}'::pg_catalog.name[])
UNION ALL SELECT WHERE pg_catalog.version() OPERATOR(pg_catalog.~) '-YB-|Greenplum|Cloudberry'
LIMIT 1`

// rowsQuery has a row when a table, of which %[1]s is the path and the argument too, has
// more than %[2]d rows, or something else than they may decide what is changed: a rule
// of a view, row security, another server. Of what is not a table no row is read.
const rowsQuery = `WITH plain AS MATERIALIZED (SELECT FROM pg_catalog.pg_class c WHERE c.oid OPERATOR(pg_catalog.=) pg_catalog.to_regclass($1::pg_catalog.text)
AND c.relkind OPERATOR(pg_catalog.=) ANY ('{r,p}'::pg_catalog."char"[]) AND NOT pg_catalog.row_security_active(c.oid))
(SELECT FROM %[1]s WHERE EXISTS (SELECT FROM plain) OFFSET %[2]d LIMIT 1)
UNION ALL SELECT WHERE NOT EXISTS (SELECT FROM plain)
LIMIT 1`

// errForeignName is of a name that the server may read in another way than the gateway.
var errForeignName = errors.New("the server may read the name in another way")

// dataArguments are those of dataQuery for what a statement loses. What it names without
// a schema may mean something else after the first of several statements.
func dataArguments(f *proxy.Facts) ([][]byte, error) {
	var paths, names, schemas, types, functions, extensions []string
	dependents, referring, several := false, false, f.Statements > 1
	for _, l := range f.Losing {
		dependents, referring = dependents || l.Dependents, referring || l.Referring
		path := quotedPath(l.Schema, l.Name)
		relation := l.Kind == proxy.LossTable || l.Kind == proxy.LossView
		if strings.ContainsFunc(path, func(c rune) bool { return c < ' ' || c > '~' }) && (!relation || several) {
			return nil, errForeignName
		}
		switch {
		case relation && several && l.Schema == "":
			names = append(names, l.Name)
		case relation:
			paths = append(paths, path)
		case l.Kind == proxy.LossSchema:
			schemas = append(schemas, l.Name)
		case l.Kind == proxy.LossFunction:
			functions = append(functions, l.Name)
		case l.Kind == proxy.LossExtension:
			extensions = append(extensions, l.Name)
		case several && l.Schema == "":
			return nil, errNoLook
		default:
			types = append(types, path)
		}
	}
	return [][]byte{
		textArray(paths), textArray(names), textArray(schemas), textArray(types), textArray(functions), boolean(dependents), boolean(referring),
		textArray(extensions),
	}, nil
}

// quotedPath is how SQL writes the name of a relation; an empty schema is left out.
func quotedPath(schema, name string) string {
	if schema == "" {
		return quotedName(name)
	}
	return quotedName(schema) + "." + quotedName(name)
}

func quotedName(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

var arrayEscapes = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

func textArray(list []string) []byte {
	out := []byte{'{'}
	for i, s := range list {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(append(append(out, '"'), arrayEscapes.Replace(s)...), '"')
	}
	return append(out, '}')
}

func boolean(is bool) []byte {
	if is {
		return []byte("true")
	}
	return []byte("false")
}
