package tcp

import (
	"context"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/proxy/proxytest"
)

// holding has connections wait for what is sent to decide; gone is closed when somebody is not waited for any more.
func holding(t *testing.T, serve func(c *net.TCPConn)) (r *rig, decide chan proxy.Verdict, gone chan struct{}, waits chan struct{}) {
	decide, gone, waits = make(chan proxy.Verdict), make(chan struct{}), make(chan struct{}, 1)
	r = start(t, serve, func(r *rig) {
		r.rules.ask = func(*proxy.Forward) proxy.Verdict { return proxytest.Hold("four-eyes") }
		r.gateway.Reviewer = proxytest.Reviewer{
			ID: "R1", Message: "waits for oncall", Link: "https://gw.test/requests/R1", Deadline: time.Now().Add(time.Minute),
			Wait: func(ctx context.Context) proxy.Verdict {
				waits <- struct{}{}
				select {
				case v := <-decide:
					return v
				case <-ctx.Done():
					close(gone)
					return proxy.Deny(proxy.CauseDenied, "four-eyes", "nobody decided", "")
				}
			},
		}
	})
	return r, decide, gone, waits
}

// TestHold: a connection waits for its approval, of which the client is told; the resource is reached after it, and hears what a program has
// sent meanwhile.
func TestHold(t *testing.T) {
	var reached atomic.Int32
	r, decide, _, waits := holding(t, func(c *net.TCPConn) {
		reached.Add(1)
		echo(c)
	})
	told := make(chan string, 1)
	c := r.client("alice")
	c.Waits = func(message, link string) { told <- message + " " + link }
	go func() {
		<-waits
		require.Equal(t, "waits for oncall https://gw.test/requests/R1", <-told)
		require.Zero(t, reached.Load())
		decide <- proxy.Allow("lead")
	}()
	conn, _, err := c.Dial(t.Context())
	require.NoError(t, err)
	answers(t, conn, "PING\r\n")
	require.NoError(t, conn.Close())

	p := r.program("alice")
	early := make([]byte, 3*maxAhead) // more than is read ahead
	for i := range early {
		early[i] = byte(i)
	}
	go func() { _, _ = p.Write(early) }()
	<-waits
	require.EqualValues(t, 1, reached.Load())
	decide <- proxy.Allow("lead")
	got := make([]byte, len(early))
	_, err = io.ReadFull(p, got)
	require.NoError(t, err)
	require.Equal(t, early, got)
}

// TestHoldDenied: the client is told that it was denied, and the resource is not reached.
func TestHoldDenied(t *testing.T) {
	var reached atomic.Int32
	r, decide, _, waits := holding(t, counting(&reached))
	go func() {
		<-waits
		decide <- proxy.Deny(proxy.CauseDenied, "four-eyes", "not today", "")
	}()
	_, _, err := r.client("alice").Dial(t.Context())
	require.ErrorContains(t, err, "not today")
	require.Zero(t, reached.Load())
}

// TestHoldLeft: nobody decides about a client that has left, whether it was told that it waits or not.
func TestHoldLeft(t *testing.T) {
	t.Run("told", func(t *testing.T) {
		var reached atomic.Int32
		r, _, gone, waits := holding(t, counting(&reached))
		ctx, leave := context.WithCancel(t.Context())
		go func() {
			<-waits
			leave()
		}()
		_, _, err := r.client("alice").Dial(ctx)
		require.ErrorIs(t, err, context.Canceled)
		<-gone
		require.Zero(t, reached.Load())
	})
	t.Run("a program", func(t *testing.T) {
		var reached atomic.Int32
		r, _, gone, waits := holding(t, counting(&reached))
		p := r.program("alice")
		_, err := p.Write([]byte("HELLO\r\n"))
		require.NoError(t, err)
		<-waits
		require.NoError(t, p.Close())
		<-gone
		require.Zero(t, reached.Load())
	})
}
