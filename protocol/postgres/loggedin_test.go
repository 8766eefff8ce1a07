package postgres

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
)

// loggedIn logs in with a driver and returns the connection, which is idle, for the test alone.
func loggedIn(conn string) (net.Conn, error) {
	config, err := pgconn.ParseConfig(conn)
	if err != nil {
		return nil, err
	}
	return loggedInBy(config)
}

func loggedInBy(config *pgconn.Config) (net.Conn, error) {
	var l *lent
	dial := config.DialFunc
	config.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := dial(ctx, network, address)
		l = &lent{Conn: c}
		return l, err
	}
	c, err := pgconn.ConnectConfig(context.Background(), config)
	if err != nil {
		return nil, err
	}
	if _, err := c.Hijack(); err != nil {
		return nil, err
	}
	return l.take()
}

// lent is a connection that a driver has for a time. Where a write takes long, the driver begins a read in the background,
// which would take what comes next from who has the connection then.
type lent struct {
	net.Conn
	mu   sync.Mutex // held while it is read
	over bool
}

func (l *lent) Read(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over {
		return 0, net.ErrClosed
	}
	return l.Conn.Read(b)
}

// take returns the connection, which the driver reads no more.
func (l *lent) take() (net.Conn, error) {
	if err := l.Conn.SetReadDeadline(time.Unix(1, 0)); err != nil {
		return nil, err
	}
	l.mu.Lock()
	l.over = true
	l.mu.Unlock()
	return l.Conn, l.Conn.SetReadDeadline(time.Time{})
}

// slow is a connection whose writes take so long that the driver reads meanwhile.
type slow struct{ net.Conn }

func (s slow) Write(b []byte) (int, error) {
	n, err := s.Conn.Write(b)
	time.Sleep(50 * time.Millisecond)
	return n, err
}

func TestLoggedInSlowly(t *testing.T) {
	g := startGate(t, gateConfig{})
	host, port, err := net.SplitHostPort(g.addr)
	require.NoError(t, err)
	config, err := pgconn.ParseConfig("sslmode=disable user=alice+orders password=wonder host=" + host + " port=" + port + " dbname=" + g.db)
	require.NoError(t, err)
	dial := config.DialFunc
	config.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := dial(ctx, network, address)
		return slow{c}, err
	}
	c, err := loggedInBy(config)
	require.NoError(t, err)
	defer c.Close()
	(&rawClient{t, c}).works()
}
