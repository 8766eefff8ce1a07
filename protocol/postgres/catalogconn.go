package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport/protocol/postgres/wire"
	"github.com/sallyport/sallyport/protocol/sql"
	"github.com/sallyport/sallyport/proxy"
)

// catalogConn is a connection of the gateway's own.
type catalogConn struct {
	*upstream
	release  func() // gives back the credentials that were leased
	revision *proxy.Revision
	opened   time.Time
	settings string      // of the role in the database, as they were when it was opened
	owed     int         // answers that were not read yet
	timer    *time.Timer // ends its rest
}

// connFor is what a connection is for.
type connFor struct {
	sql.CatalogKey
	samples bool // of values
}

// reading is what is done with a connection. It ends with ctx.
func (c *CatalogReader) reading(ctx context.Context, k connFor, do func(*catalogRows) error) error {
	if conn := c.take(k); conn != nil {
		if err := c.readOver(ctx, k, conn, do); err == nil || ctx.Err() != nil || !outdated(err) {
			return err
		}
	}
	conn, err := c.connect(ctx, k.CatalogKey)
	if err != nil {
		return err
	}
	return c.readOver(ctx, k, conn, do)
}

// outdated reports whether a reading may have failed because its connection is of another
// time: its server's, or its role's settings'.
func outdated(err error) bool {
	var refused *serverError
	if errors.As(err, &refused) {
		return strings.HasPrefix(refused.code, "57P") // it is shutting down
	}
	return !errors.Is(err, wire.ErrTooLarge)
}

// readOver does it over conn, which is kept for the next reading if all went well.
func (c *CatalogReader) readOver(ctx context.Context, k connFor, conn *catalogConn, do func(*catalogRows) error) error {
	stop := context.AfterFunc(ctx, func() { conn.conn.SetDeadline(time.Unix(1, 0)) })
	r := &catalogRows{catalogConn: conn, most: cmp.Or(c.MaxBytes, 64<<20), relations: make(map[uint32]*sql.Relation)}
	r.left = r.most
	r.contents.Account = k.Account
	err := do(r)
	if !stop() || err != nil {
		conn.close()
	} else {
		c.rest(k, conn)
	}
	c.rows.Add(int64(r.rows))
	return err
}

// A connection rests for a moment, since changes of a catalog come in groups: not for
// so long that the server misses it, which drops no database that somebody is in.
const (
	catalogRest = time.Second
	catalogLife = 30 * time.Second
)

// connect logs in at k's server, until ctx ends.
func (c *CatalogReader) connect(ctx context.Context, k sql.CatalogKey) (*catalogConn, error) {
	revision := c.Gateway.Revision()
	s, release, err := c.server(ctx, k)
	if err != nil {
		return nil, err
	}
	u, err := s.connect(ctx, []wire.Parameter{
		{Name: "application_name", Value: "sallyport catalog"},
		{Name: "client_encoding", Value: "UTF8"},
		{Name: "default_transaction_read_only", Value: "on"},
		{Name: "statement_timeout", Value: milliseconds(ctx)},
	}, "")
	if err != nil {
		release()
		return nil, err
	}
	return &catalogConn{upstream: u, release: release, revision: revision, opened: time.Now()}, nil
}

// milliseconds is how long there is until ctx ends, as a setting of the server's.
func milliseconds(ctx context.Context) string {
	timeout := defaultReading
	if end, ok := ctx.Deadline(); ok {
		timeout = time.Until(end)
	}
	return strconv.FormatInt(max(timeout.Milliseconds(), 1), 10)
}

func (c *catalogConn) close() {
	c.conn.SetDeadline(time.Now().Add(time.Second))
	c.conn.Write(wire.AppendMessage(nil, wire.Terminate))
	c.conn.Close()
	c.reader.Close()
	c.release()
}

// take returns a connection that rests, nil when there is none of this revision.
func (c *CatalogReader) take(k connFor) *catalogConn {
	c.mu.Lock()
	conn := c.idle[k]
	delete(c.idle, k)
	c.mu.Unlock()
	if conn == nil {
		return nil
	}
	conn.timer.Stop()
	if conn.revision != c.Gateway.Revision() || time.Since(conn.opened) > catalogLife {
		conn.close()
		return nil
	}
	return conn
}

// rest keeps conn for the next reading.
func (c *CatalogReader) rest(k connFor, conn *catalogConn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || c.idle[k] != nil {
		go conn.close()
		return
	}
	if c.idle == nil {
		c.idle = make(map[connFor]*catalogConn)
	}
	c.idle[k] = conn
	conn.timer = time.AfterFunc(catalogRest, func() {
		c.mu.Lock()
		rests := c.idle[k] == conn
		if rests {
			delete(c.idle, k)
		}
		c.mu.Unlock()
		if rests {
			conn.close()
		}
	})
}

// Close ends the connections that rest. What is loaded later rests no more.
func (c *CatalogReader) Close() error {
	c.mu.Lock()
	list := c.idle
	c.idle, c.closed = nil, true
	c.mu.Unlock()
	for _, conn := range list {
		conn.timer.Stop()
		conn.close()
	}
	return nil
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
	settings, ok := r.Settings.(Settings)
	if !ok && r.Settings != nil {
		return nil, nil, fmt.Errorf("resource %s has settings of type %T", r.Name, r.Settings)
	}
	var leases []*proxy.Lease
	s = &server{
		target: proxy.Target{Resource: r, Account: account, Database: k.Database}, settings: &settings, timeout: cmp.Or(c.Timeout, defaultReading),
		dial: func(ctx context.Context) (net.Conn, error) { return c.Gateway.Dial(ctx, r) },
	}
	s.credential = func(ctx context.Context, fresh bool) (proxy.Credential, error) {
		if c.Gateway.Revision().Credentials == nil {
			return proxy.Credential{Username: account.Username}, nil
		}
		request := proxy.LeaseRequest{Target: s.target}
		if fresh {
			request.Refused = leases[len(leases)-1]
		}
		lease, err := c.Gateway.Revision().Credentials.Lease(ctx, request)
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
