package mysql

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/sallyport/sallyport/protocol/mysql/wire"
	"github.com/sallyport/sallyport/protocol/sql"
	"github.com/sallyport/sallyport/proxy"
)

// CatalogReader reads what servers hold, over connections of the gateway's own, as the
// account of the session that it is done for, or the resource's own one. It is safe for
// concurrent use.
type CatalogReader struct {
	Gateway *proxy.Gateway
	// Timeout bounds one reading; 0 is 30 s.
	Timeout time.Duration
	// MaxBytes bounds what is read; 0 is 64 MiB.
	MaxBytes int
}

const defaultReading = 30 * time.Second

// What is read. Views of the server's own count as tables.
const (
	columnsSQL = `SELECT table_schema, table_name, column_name, column_type, is_nullable, IF(generation_expression IS NULL OR generation_expression = '', '', '?')
		FROM information_schema.columns ORDER BY table_schema, table_name, ordinal_position`
	viewsSQL = `SELECT table_schema, table_name, view_definition FROM information_schema.views`
)

// serverSchemas are those that every server has.
var serverSchemas = map[string]bool{"information_schema": true, "performance_schema": true, "mysql": true, "sys": true}

// reading logs in at a resource's server, and does something there that changes nothing, within
// the time of a reading.
func (c *CatalogReader) reading(ctx context.Context, k sql.CatalogKey, do func(u *upstream) error) error {
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(c.Timeout, defaultReading))
	defer cancel()
	s, release, err := c.server(ctx, k)
	if err != nil {
		return err
	}
	defer release()
	u, err := s.connect(ctx, login{charset: plainText})
	if err != nil {
		return err
	}
	defer u.conn.Close()
	if end, ok := ctx.Deadline(); ok {
		if err := u.conn.SetDeadline(end); err != nil {
			return err
		}
	}
	stop := context.AfterFunc(ctx, func() { u.conn.SetDeadline(past) })
	defer stop()
	if _, err := u.query("SET SESSION TRANSACTION READ ONLY", 0); err != nil {
		return err
	}
	if err := do(u); err != nil {
		return err
	}
	b, _ := wire.AppendPacket(nil, 0, []byte{byte(wire.Quit)})
	u.conn.Write(b) // a server that does not hear it sees the connection end
	return nil
}

// Load reads the catalog of one account. It is for [sql.CatalogCache].
func (c *CatalogReader) Load(ctx context.Context, k sql.CatalogKey, _ *sql.Snapshot) (*sql.Snapshot, error) {
	var columns, views [][]string
	err := c.reading(ctx, k, func(u *upstream) (err error) {
		most := cmp.Or(c.MaxBytes, 64<<20)
		if columns, err = u.queryOf(columnsSQL, look{limit: most, most: most}); err != nil {
			return fmt.Errorf("reading columns: %w", err)
		}
		if views, err = u.queryOf(viewsSQL, look{limit: most, most: most}); err != nil {
			return fmt.Errorf("reading views: %w", err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return sql.NewSnapshot(sql.Contents{Account: k.Account, Relations: relations(columns, views)}), nil
}

// relations are those whose columns and views were read. Names are in lower case: two that
// differ in nothing else are one, which cannot be seen through.
func relations(columns, views [][]string) (list []*sql.Relation) {
	byName := make(map[[2]string]*sql.Relation)
	written := make(map[*sql.Relation]string)
	for _, row := range columns {
		if len(row) != 6 {
			continue
		}
		key := [2]string{strings.ToLower(row[0]), strings.ToLower(row[1])}
		r := byName[key]
		if r == nil {
			r = &sql.Relation{OID: uint32(len(list) + 1), Schema: key[0], Name: key[1], Kind: sql.RelationTable, Server: serverSchemas[key[0]]}
			byName[key] = r
			list = append(list, r)
			written[r] = row[0] + "." + row[1]
		}
		if written[r] != row[0]+"."+row[1] {
			r.Kind, r.Definition = sql.RelationView, "" // one that cannot be seen through
			continue
		}
		r.Columns = append(r.Columns, sql.Column{
			Attr: uint16(len(r.Columns) + 1), Name: strings.ToLower(row[2]), Type: numberOfType(row[3]), NotNull: row[4] == "NO", Generated: row[5],
		})
	}
	for _, row := range views {
		if len(row) != 3 {
			continue
		}
		if r := byName[[2]string{strings.ToLower(row[0]), strings.ToLower(row[1])}]; r != nil && !r.Server {
			r.Kind, r.Definition = sql.RelationView, row[2]
		}
	}
	return list
}

// numberOfType is the number by which interceptors know a type, as it is declared.
func numberOfType(declared string) uint32 {
	declared = strings.ToLower(declared)
	unsigned := strings.Contains(declared, "unsigned")
	word, _, _ := strings.Cut(declared, " ")
	word, _, _ = strings.Cut(word, "(")
	if t, ok := declaredTypes[word]; ok {
		return typeOf(t, plainText, unsigned)
	}
	return numberText
}

var declaredTypes = map[string]wire.Type{
	"tinyint": wire.TypeTiny, "smallint": wire.TypeShort, "mediumint": wire.TypeInt24, "int": wire.TypeLong, "bigint": wire.TypeLongLong,
	"float": wire.TypeFloat, "double": wire.TypeDouble, "decimal": wire.TypeNewDecimal, "date": wire.TypeDate, "datetime": wire.TypeDatetime,
	"timestamp": wire.TypeTimestamp, "time": wire.TypeTime, "year": wire.TypeYear, "bit": wire.TypeBit, "json": wire.TypeJSON, "geometry": wire.TypeGeometry,
}

// server finds k's server. release gives back the credentials that were leased.
func (c *CatalogReader) server(ctx context.Context, k sql.CatalogKey) (s *server, release func(), err error) {
	if c.Gateway.Revision().Directory == nil {
		return nil, nil, proxy.ErrNotFound
	}
	r, err := c.Gateway.Revision().Directory.Lookup(ctx, k.Resource)
	if err != nil {
		return nil, nil, err
	}
	account, ok := r.Account(k.Account)
	if !ok && (k.Account != "" || len(r.Accounts) > 0) {
		return nil, nil, fmt.Errorf("%w: account %q of %s", proxy.ErrNotFound, k.Account, k.Resource)
	}
	if r.Own != (proxy.Account{}) {
		account = r.Own
	}
	if account.Personal() {
		return nil, nil, fmt.Errorf("resource %s has accounts of each person's own, of which the gateway has none", r.Name)
	}
	settings, ok := r.Settings.(Settings)
	if !ok && r.Settings != nil {
		return nil, nil, fmt.Errorf("resource %s has settings of type %T", r.Name, r.Settings)
	}
	var leases []*proxy.Lease
	s = &server{
		target: proxy.Target{Resource: r, Account: account}, settings: &settings, timeout: cmp.Or(c.Timeout, defaultReading),
		dial: func(ctx context.Context) (net.Conn, error) { return c.Gateway.Dial(ctx, r) },
	}
	s.credential = func(ctx context.Context, fresh bool) (proxy.Credential, error) {
		source := c.Gateway.Revision().Credentials
		if source == nil {
			return proxy.Credential{Username: account.Username}, nil
		}
		request := proxy.LeaseRequest{Target: s.target}
		if fresh {
			request.Refused = leases[len(leases)-1]
		}
		lease, err := source.Lease(ctx, request)
		if err != nil {
			return proxy.Credential{}, &proxy.CredentialError{Target: s.target, Err: err}
		}
		leases = append(leases, lease)
		return lease.Credential, nil
	}
	return s, func() {
		for _, l := range leases {
			if l.Release != nil {
				l.Release()
			}
		}
	}, nil
}
