package mysql

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/protocol/sql"
	"github.com/sallyport/sallyport/proxy"
)

// Sampler reads the first values of tables' columns over connections of the gateway's own, as
// the session's account: read-only, within the time of its context. It is what masking wants to
// know of columns that results are computed from.
type Sampler struct {
	Reader  *CatalogReader
	Catalog sql.Catalog
	// Rows is how many are read of a relation; 0 is 100.
	Rows int
}

// sampleLength is how much is read of a value, in characters.
const sampleLength = 1024

// Sample calls each with the columns of a relation, first once with nil, then with
// values as text, the first characters of each. They are valid until it returns. A
// column whose values are not text, numbers or the like has none.
func (s *Sampler) Sample(ctx context.Context, session *proxy.Session, schema, relation string, each func(c *proxy.SampledColumn, value []byte)) error {
	t := &session.Target
	key := sql.CatalogKey{Resource: t.Resource.Name, Account: t.Account.Name}
	catalog := s.Catalog.Snapshot(ctx, &proxy.Reading{Dialect: "mysql", Resource: key.Resource, Account: key.Account})
	rel := catalog.Relation(schema, relation)
	if rel == nil {
		return fmt.Errorf("%w: relation %s.%s", proxy.ErrNotFound, schema, relation)
	}
	var columns []proxy.SampledColumn
	var list []string
	for i := range rel.Columns {
		c := &rel.Columns[i]
		about := proxy.SampledColumn{ID: schema + "." + relation + "." + c.Name, Name: c.Name}
		each(&about, nil)
		if !untold[c.Type] {
			columns = append(columns, about)
			list = append(list, fmt.Sprintf("LEFT(%s, %d)", appendName(nil, []byte(c.Name)), sampleLength))
		}
	}
	if len(columns) == 0 {
		return nil
	}
	return s.Reader.reading(ctx, key, func(u *upstream) error {
		about, err := u.queryOf(fmt.Sprintf(profileSQL+" c.table_schema = %s AND c.table_name = %s", literal(schema), literal(relation)), look{limit: 1 << 16, most: maxLook})
		if err == nil && len(about) == 0 { // it is written with capitals
			about, err = u.queryOf(fmt.Sprintf(profileSQL+" LOWER(c.table_schema) = %s AND LOWER(c.table_name) = %s", literal(schema), literal(relation)), look{limit: 1 << 16, most: maxLook})
		}
		if err != nil {
			return err
		}
		at := "" // names as they are written, which differ on servers that tell case apart
		for _, v := range about {
			if len(v) != 7 {
				continue
			}
			at = string(appendName(append(appendName(nil, []byte(v[0])), '.'), []byte(v[1])))
			if i := slices.IndexFunc(columns, func(c proxy.SampledColumn) bool { return strings.EqualFold(c.Name, v[2]) }); i >= 0 {
				columns[i].Type, columns[i].Sequence, columns[i].Key, columns[i].Reference = v[3], v[4] == "1", v[5] == "1", v[6] == "1"
			}
		}
		if at == "" {
			return fmt.Errorf("%w: relation %s.%s", proxy.ErrNotFound, schema, relation)
		}
		n := cmp.Or(s.Rows, 100)
		rows, err := u.queryOf(fmt.Sprintf("SELECT %s FROM %s LIMIT %d", strings.Join(list, ", "), at, n), look{limit: n, most: 16 << 20})
		if err != nil {
			return err
		}
		for _, row := range rows {
			for i, v := range row {
				if i < len(columns) && v != "" {
					each(&columns[i], []byte(v))
				}
			}
		}
		return nil
	})
}

// profileSQL reads the columns of one relation: their types, and whether they are numbered by
// the server, a key, and a reference to one.
const profileSQL = `SELECT c.table_schema, c.table_name, c.column_name, c.data_type, c.extra LIKE '%%auto_increment%%', c.column_key IN ('PRI', 'UNI'),
	EXISTS (SELECT 1 FROM information_schema.key_column_usage k WHERE k.table_schema = c.table_schema AND k.table_name = c.table_name
		AND k.column_name = c.column_name AND k.referenced_table_name IS NOT NULL)
	FROM information_schema.columns c WHERE`

// literal is text as SQL has it, in every sql_mode. Compared with a column, it is by the column's collation, as a plain literal is.
func literal(text string) string {
	return fmt.Sprintf("_utf8mb4 X'%X'", text)
}

// untold are the types whose values say nothing by themselves: bytes, dates and times.
var untold = map[uint32]bool{numberBytes: true, numberDate: true, numberTime: true, numberTimestamp: true}
