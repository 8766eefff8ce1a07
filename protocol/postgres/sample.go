package postgres

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/protocol/sql"
	"github.com/sallyport/sallyport/proxy"
)

// Sampler reads the first values of tables' columns over connections of the
// gateway's own, as the session's account: read-only, within the time of its
// context. It is what masking wants to know of columns that results are computed
// from.
type Sampler struct {
	Reader  *CatalogReader
	Catalog sql.Catalog
	// Rows is how many are read of a relation; 0 is 100.
	Rows int
}

// sampleBytes is how much is read of a value, in characters; of one with parts more.
const (
	sampleBytes     = 256
	sampleBytesJSON = 4096
)

// Sample calls each with the columns of a relation, first once with nil, then with
// values as text, the first characters of each. They are valid until it returns. A
// column whose values are not text, numbers or the like has none. A column's ID is
// made of the numbers that the server has for its relation and for it.
func (s *Sampler) Sample(ctx context.Context, session *proxy.Session, schema, relation string, each func(c *proxy.SampledColumn, value []byte)) error {
	t := &session.Target
	reading := proxy.Reading{Dialect: "postgres", Resource: t.Resource.Name, Database: t.Database, Account: t.Account.Name}
	catalog := s.Catalog.Snapshot(ctx, &reading)
	rel := catalog.Relation(schema, relation)
	if rel == nil {
		return fmt.Errorf("%w: relation %s.%s", proxy.ErrNotFound, schema, relation)
	}
	var columns []proxy.SampledColumn
	var list []string
	for i := range rel.Columns {
		c := &rel.Columns[i]
		about := proxy.SampledColumn{ID: columnID(rel, c), Parts: partsOf(catalog, rel, c.Name), Name: c.Name}
		each(&about, nil)
		if !untold[c.Type] {
			columns = append(columns, about)
			length := sampleBytes
			if c.Type == oidJSON || c.Type == oidJSONB {
				length = sampleBytesJSON
			}
			list = append(list, fmt.Sprintf("pg_catalog.left(%s::pg_catalog.text, %d)", quoted(c.Name), length))
		}
	}
	if len(columns) == 0 {
		return nil
	}
	// No operator here means anything of somebody's.
	begin := catalogQuery{text: fmt.Sprintf("SET statement_timeout = %s; BEGIN; SET LOCAL search_path = pg_catalog", milliseconds(ctx))}
	profile := catalogQuery{text: fmt.Sprintf(profileQuery, rel.OID), columns: 5, row: func(_ *catalogRows, v [][]byte) error {
		if i := slices.IndexFunc(columns, func(c proxy.SampledColumn) bool { return c.Name == string(v[0]) }); i >= 0 {
			columns[i].Type, columns[i].Sequence, columns[i].Key, columns[i].Reference = string(v[1]), isTrue(v[2]), isTrue(v[3]), isTrue(v[4])
		}
		return nil
	}}
	// The session itself may hold a lock on the relation, and waits for this.
	end := catalogQuery{text: "COMMIT; SET lock_timeout = '200ms'"}
	values := catalogQuery{
		text:    fmt.Sprintf("SELECT %s FROM %s.%s LIMIT %d", strings.Join(list, ", "), quoted(rel.Schema), quoted(rel.Name), cmp.Or(s.Rows, 100)),
		columns: len(columns), row: func(_ *catalogRows, values [][]byte) error {
			for i, v := range values {
				if len(v) > 0 {
					each(&columns[i], v)
				}
			}
			return nil
		},
	}
	key := connFor{sql.CatalogKey{Resource: t.Resource.Name, Database: t.Database, Account: t.Account.Name}, true}
	return s.Reader.reading(ctx, key, func(r *catalogRows) error { return r.queries(nil, begin, profile, end, values) })
}

func columnID(r *sql.Relation, c *sql.Column) string { return fmt.Sprint(r.OID, ".", c.Attr) }

// maxParts bounds of how many partitions findings are known for the whole.
const maxParts = 4096

// partsOf are the IDs of the columns of that name of the relations that are read with
// rel: its partitions and what inherits from it.
func partsOf(catalog *sql.Snapshot, rel *sql.Relation, name string) (ids []string) {
	seen := map[uint32]bool{rel.OID: true} // a server that lies may say that they go in a circle
	for list := rel.Children; len(list) > 0 && len(ids) < maxParts; {
		child := catalog.ByOID(list[0])
		list = list[1:]
		if child == nil || seen[child.OID] {
			continue
		}
		seen[child.OID] = true
		list = append(list[:len(list):len(list)], child.Children...)
		if c := child.Column(name); c != nil {
			ids = append(ids, columnID(child, c))
		}
	}
	return ids
}

// profileQuery reads the columns of one relation: their types, and whether they are
// numbered by a sequence, a key, and a reference to one.
const profileQuery = `SELECT a.attname, pg_catalog.format_type(a.atttypid, NULL),
a.attidentity <> '' OR coalesce(pg_catalog.pg_get_expr(d.adbin, d.adrelid) LIKE 'nextval(%%', false),
EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = a.attrelid AND i.indisunique AND a.attnum = ANY (i.indkey)),
EXISTS (SELECT FROM pg_catalog.pg_constraint f WHERE f.conrelid = a.attrelid AND f.contype = 'f' AND a.attnum = ANY (f.conkey))
FROM pg_catalog.pg_attribute a LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attrelid = %d AND a.attnum > 0 AND NOT a.attisdropped`

func isTrue(v []byte) bool { return string(v) == "t" }

// quoted is a name as SQL has it, whatever it holds.
func quoted(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

const (
	oidJSON  = 114
	oidJSONB = 3802
)

// untold are the types whose values say nothing by themselves: bool, bytea, char,
// dates and times.
var untold = map[uint32]bool{16: true, 17: true, 18: true, 1082: true, 1083: true, 1114: true, 1184: true, 1186: true, 1266: true}
