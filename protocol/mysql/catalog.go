package mysql

import (
	"cmp"
	"context"
	"fmt"
	"net"
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
	var r catalogRows
	err := c.reading(ctx, k, func(u *upstream) error {
		most := cmp.Or(c.MaxBytes, 64<<20)
		for _, q := range []struct {
			what, text string
			to         *[][]string
		}{
			{"columns", columnsSQL, &r.columns},
			{"views", viewsSQL, &r.views},
			{"tables of tables", mergedSQL, &r.merged},
			{"triggers", triggersSQL, &r.triggers},
			{"foreign keys", referencesSQL, &r.references},
			{"rights", rightsSQL, &r.rights},
		} {
			rows, err := u.queryOf(q.text, look{limit: most, most: most})
			if err != nil {
				return fmt.Errorf("reading %s: %w", q.what, err)
			}
			*q.to = rows
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	contents := r.contents()
	contents.Account = k.Account
	return sql.NewSnapshot(contents), nil
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
