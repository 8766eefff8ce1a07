package main

import (
	"context"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/audit"
)

// Guessing a password gets slow, the record tells of it in few events, and the right
// password from another address is not kept out.
func TestServeGuesses(t *testing.T) {
	o := openOffice(t, "")
	login := func(from, secret string) error {
		c, err := pgconn.ParseConfig(strings.Replace(o.conn("alice"), password, secret, 1))
		require.NoError(t, err)
		c.Fallbacks = nil
		c.DialFunc = (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}).DialContext
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		conn, err := pgconn.ConnectConfig(ctx, c)
		if err != nil {
			return err
		}
		return conn.Close(ctx)
	}
	begun := time.Now()
	const guesses = 14
	for range guesses {
		require.ErrorContains(t, login("127.0.0.2", "wrong"), "password authentication failed")
	}
	require.Greater(t, time.Since(begun), 3*time.Second)
	begun = time.Now()
	require.NoError(t, login("127.0.0.3", password))
	require.Less(t, time.Since(begun), 10*time.Second)
	o.wait(t, "level=WARN msg=\"a login has failed\".*user=alice.*remote=127.0.0.2")
	o.stop(t)

	log := o.output()
	require.LessOrEqual(t, strings.Count(log, "a login has failed"), 6, log)
	require.Contains(t, log, "count=9", "the rest in one: %s", log)
	require.NotContains(t, log, password)
	record, err := audit.OpenArchive(filepath.Join(o.dir, "data", "audit"))
	require.NoError(t, err)
	ids, err := record.Sessions()
	require.NoError(t, err)
	told, sum := 0, uint64(0)
	for _, id := range ids {
		for e, err := range record.Events(id) {
			require.NoError(t, err)
			if e.Type == audit.GatewayPrefix+"login-failed" {
				told++
				sum += max(1, e.Count)
			}
			require.NotEqual(t, audit.GatewayPrefix+"connection-failed", e.Type, "a failed login is told once")
		}
	}
	require.LessOrEqual(t, told, 6)
	require.Equal(t, uint64(guesses), sum, "none is left out")
}
