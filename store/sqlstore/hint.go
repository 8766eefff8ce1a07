package sqlstore

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// hintEvery is how long the sender of hints rests between two of them.
const hintEvery = 100 * time.Millisecond

// tell begins to send and to receive hints of changes. They only ever shorten
// store.PollEvery: losing all of them, or getting forged ones, changes nothing else.
func (s *Store) tell(c *pgx.ConnConfig) {
	ctx, cancel := context.WithCancel(context.Background())
	s.stop = cancel
	s.changed = make(chan struct{}, 1)
	s.background.Go(func() { s.send(ctx) })
	s.background.Go(func() { s.receive(ctx, c) })
}

func (s *Store) channel() string { return "store_" + s.o.Schema }

// send notifies other gateways, at most every hintEvery.
func (s *Store) send(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.changed:
		}
		once, cancel := s.limit(ctx)
		_, err := s.write.ExecContext(once, `SELECT pg_notify($1, '')`, s.channel())
		cancel()
		if err != nil && ctx.Err() == nil {
			s.o.Log.Warn("other gateways are not told of a change at once", "error", s.explain("notify", err))
		}
		if !sleep(ctx, hintEvery) {
			return
		}
	}
}

// receive listens for notifications on a connection of its own, and makes another
// one when it is lost.
func (s *Store) receive(ctx context.Context, c *pgx.ConnConfig) {
	for failures := 0; ; failures++ {
		heard, err := s.listen(ctx, c.Copy())
		if ctx.Err() != nil {
			return
		}
		if heard {
			failures = 0
		}
		if failures == 0 { // not again and again while the database is gone
			s.o.Log.Warn("changes of other gateways are seen a second late at most", "error", s.explain("listen", err))
		}
		if !sleep(ctx, min(time.Second<<min(failures, 5), 30*time.Second)) {
			return
		}
	}
}

// listen returns when the connection is lost, and whether there was one.
func (s *Store) listen(ctx context.Context, c *pgx.ConnConfig) (heard bool, err error) {
	if err := s.o.password(ctx, c); err != nil {
		return false, err
	}
	more := false
	c.OnNotification = func(*pgconn.PgConn, *pgconn.Notification) { more = true }
	conn, err := pgx.ConnectConfig(ctx, c)
	if err != nil {
		return false, err
	}
	defer func() {
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = conn.Close(last) // the connection is given up either way
	}()
	if _, err := conn.Exec(ctx, "LISTEN "+s.channel()); err != nil {
		return false, err
	}
	for {
		// The number comes from the table, since anybody may notify. The question
		// takes in all notifications that wait, so that many are one.
		more = false
		var seq, now int64
		if err := conn.QueryRow(ctx, s.sql.head).Scan(&seq, &now); err != nil {
			return true, err
		}
		s.hints.Seen(seq)
		if !more {
			if err := conn.PgConn().WaitForNotification(ctx); err != nil {
				return true, err
			}
		}
		if !sleep(ctx, hintEvery/4) {
			return true, ctx.Err()
		}
	}
}

func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
