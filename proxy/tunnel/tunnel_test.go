package tunnel

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestAnAgentReachesAResource(t *testing.T) {
	_, g, _ := rig(t, func(a *Agent) { a.Program, a.Host = "sallyport 1.0", "host-7\x1b[31m" })
	at := echo(t)
	c := open(t, g, "berlin", at)
	say(t, c, "hello")
	say(t, c, strings.Repeat("a long text ", 100_000))
	st := connected(t, g, "berlin")
	require.Equal(t, 1, st.Sessions)
	require.Equal(t, "sallyport 1.0", st.Program)
	require.Equal(t, "host-7?[31m", st.Host, "what a peer sends is safe to show")
	require.NoError(t, c.Close())
	eventually(t, func() bool { return connected(t, g, "berlin").Sessions == 0 })
}

// Names are the agent's to resolve: the gateway cannot know those of a private network.
func TestNamesAreResolvedByTheAgent(t *testing.T) {
	var asked atomic.Value
	_, g, _ := rig(t, func(a *Agent) {
		a.Lookup = func(_ context.Context, host string) ([]netip.Addr, error) {
			asked.Store(host)
			return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
		}
	})
	_, port, err := net.SplitHostPort(echo(t))
	require.NoError(t, err)
	say(t, open(t, g, "berlin", "db.internal:"+port), "hello")
	require.Equal(t, "db.internal", asked.Load())
}

func TestTheEndOfADirectionIsPassedOn(t *testing.T) {
	_, g, _ := rig(t)
	at := resource(t, func(c net.Conn) {
		b, err := io.ReadAll(c) // until the client has ended what it sends
		if err == nil {
			fmt.Fprintf(c, "got %d bytes", len(b))
		}
	})
	c := open(t, g, "berlin", at)
	_, err := io.WriteString(c, strings.Repeat("x", 70_000))
	require.NoError(t, err)
	require.NoError(t, c.(interface{ CloseWrite() error }).CloseWrite())
	b, err := io.ReadAll(c)
	require.NoError(t, err)
	require.Equal(t, "got 70000 bytes", string(b))
}

// A stream that was cut must not look as one that has ended.
func TestAnIncompleteStreamIsNotOneThatHasEnded(t *testing.T) {
	_, g, _ := rig(t)
	at := resource(t, func(c net.Conn) {
		io.WriteString(c, "half of")
		io.ReadFull(c, make([]byte, 1)) // until the client has it
		c.(*net.TCPConn).SetLinger(0)
	})
	c := open(t, g, "berlin", at)
	b := make([]byte, 7)
	_, err := io.ReadFull(c, b)
	require.NoError(t, err)
	_, err = c.Write([]byte{1})
	require.NoError(t, err)
	_, err = c.Read(b)
	require.Error(t, err)
	require.False(t, err == io.EOF, "a cut stream has ended as if it were complete")
}

// When a client has gone, nothing of it stays at the agent, also where the resource does not mind.
func TestNothingStaysAfterASession(t *testing.T) {
	_, g, a := rig(t)
	gone := make(chan struct{})
	at := resource(t, func(c net.Conn) {
		io.Copy(io.Discard, c) // the end of what the client sends, which this resource ignores
		c.SetReadDeadline(time.Now().Add(20 * time.Second))
		b := make([]byte, 1)
		for {
			if _, err := c.Write(b); err != nil {
				close(gone)
				return
			}
			select {
			case <-time.After(10 * time.Millisecond):
			case <-t.Context().Done():
				return
			}
		}
	})
	c := open(t, g, "berlin", at)
	require.NoError(t, c.Close())
	<-gone
	eventually(t, func() bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		return a.count == 0 && len(a.open) == 0
	})
}

func TestWhatAnAgentDoesNotConnectTo(t *testing.T) {
	_, g, _ := rig(t, func(a *Agent) {
		var err error
		a.Allow, err = ParseAllow("127.0.0.1:1-60000")
		require.NoError(t, err)
		a.Lookup = func(_ context.Context, host string) ([]netip.Addr, error) {
			switch host {
			case "metadata.internal":
				return []netip.Addr{netip.MustParseAddr("169.254.169.254")}, nil
			case "other.internal":
				return []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("127.0.0.2")}, nil
			}
			return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
		}
	})
	nobody, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	closed := nobody.Addr().String()
	require.NoError(t, nobody.Close())
	for address, want := range map[string]struct {
		code Code
		text string
	}{
		"169.254.169.254:80":     {CodeNotAllowed, "outside of what the agent may connect to"},
		"metadata.internal:80":   {CodeNotAllowed, "outside"},
		"other.internal:80":      {CodeNotAllowed, "outside"},
		"127.0.0.2:80":           {CodeNotAllowed, "outside"},
		"[::1]:80":               {CodeNotAllowed, "outside"},
		"[::ffff:127.0.0.2]:80":  {CodeNotAllowed, "outside"},
		"127.0.0.1:60001":        {CodeNotAllowed, "outside"},
		"missing.internal:80":    {CodeUnreachable, "its name does not exist"},
		closed:                   {CodeUnreachable, "it refuses connections"},
		"127.0.0.1":              {CodeUnreachable, "cannot be reached"},
		"127.0.0.1:postgres":     {CodeUnreachable, "cannot be reached"},
		"127.0.0.1:0":            {CodeUnreachable, "cannot be reached"},
		"x\r\ny:80":              {CodeUnreachable, "does not exist"},
		"[fe80::1%25eth0]:80":    {CodeNotAllowed, "outside"},
		"[fe80::1%eth0]:80":      {CodeNotAllowed, "outside"},
		"[::ffff:169.254.1.1]:5": {CodeNotAllowed, "outside"},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		_, err := g.Dialer("berlin").DialContext(ctx, "tcp", address)
		cancel()
		var e *DialError
		require.ErrorAs(t, err, &e, address)
		require.Equal(t, want.code, e.Code, address)
		require.Contains(t, e.Text, want.text, address)
	}
	for _, network := range []string{"unix", "udp", "tcp6"} {
		_, err := g.Dialer("berlin").DialContext(t.Context(), network, "/run/docker.sock")
		require.ErrorContains(t, err, "connects by TCP only")
	}
	_, err = g.Dialer("berlin").DialContext(t.Context(), "tcp", strings.Repeat("a", 400)+":80")
	require.ErrorContains(t, err, "want at most")
	_, err = g.Dialer("paris").DialContext(t.Context(), "tcp", closed)
	require.ErrorIs(t, err, ErrNotConnected)
	require.ErrorContains(t, err, "paris")
}

// An address that a name had counts for nothing when the name has another.
func TestANameThatChangesItsAddress(t *testing.T) {
	at := echo(t)
	_, port, err := net.SplitHostPort(at)
	require.NoError(t, err)
	var address atomic.Value
	address.Store("127.0.0.1")
	_, g, _ := rig(t, func(a *Agent) {
		a.Allow, err = ParseAllow("127.0.0.1:" + port)
		require.NoError(t, err)
		a.Lookup = func(context.Context, string) ([]netip.Addr, error) {
			return []netip.Addr{netip.MustParseAddr(address.Load().(string))}, nil
		}
	})
	say(t, open(t, g, "berlin", "db.internal:"+port), "hello")
	for _, outside := range []string{"127.0.0.2", "169.254.169.254", "::1", "::ffff:127.0.0.3"} {
		address.Store(outside)
		_, err = g.Dialer("berlin").DialContext(t.Context(), "tcp", "db.internal:"+port)
		var e *DialError
		require.ErrorAs(t, err, &e, outside)
		require.Equal(t, CodeNotAllowed, e.Code, outside)
	}
}

// A resource that does not read holds its own session up, and no other.
func TestAStalledResourceSlowsNoOther(t *testing.T) {
	_, g, _ := rig(t)
	stalled := resource(t, func(net.Conn) { <-t.Context().Done() })
	c := open(t, g, "berlin", stalled)
	require.NoError(t, c.SetWriteDeadline(time.Now().Add(300*time.Millisecond)))
	_, err := c.Write(make([]byte, 64<<20)) // more than all buffers hold
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	at := echo(t)
	for range 20 {
		other := open(t, g, "berlin", at)
		say(t, other, "not slowed")
		require.NoError(t, other.Close())
	}
}

func TestAThousandSessionsOfOneAgent(t *testing.T) {
	if testing.Short() {
		t.Skip("2,000 handshakes")
	}
	_, g, _ := rig(t)
	at := echo(t)
	var wg sync.WaitGroup
	errs := make(chan error, 1000)
	all := make(chan struct{})
	var ready sync.WaitGroup
	ready.Add(1000)
	dialling := make(chan struct{}, 50) // at one time, for slow machines
	for i := range 1000 {
		wg.Go(func() {
			dialling <- struct{}{}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			c, err := g.Dialer("berlin").DialContext(ctx, "tcp", at)
			<-dialling
			ready.Done()
			if err != nil {
				errs <- err
				return
			}
			defer c.Close()
			<-all
			errs <- said(c, fmt.Sprintf("session %d", i))
		})
	}
	ready.Wait()
	n := connected(t, g, "berlin").Sessions
	close(all)
	wg.Wait()
	close(errs)
	for err := range errs {
		require.NoError(t, err)
	}
	require.Equal(t, 1000, n)
}

func TestAnAgentWithAsManySessionsAsItMayHave(t *testing.T) {
	_, g, _ := rig(t, func(a *Agent) { a.MaxSessions = 2 })
	at := echo(t)
	first := open(t, g, "berlin", at)
	open(t, g, "berlin", at)
	_, err := g.Dialer("berlin").DialContext(t.Context(), "tcp", at)
	var e *DialError
	require.ErrorAs(t, err, &e)
	require.Equal(t, CodeBusy, e.Code)
	require.NoError(t, first.Close())
	eventually(t, func() bool {
		c, err := g.Dialer("berlin").DialContext(t.Context(), "tcp", at)
		if err != nil {
			return false
		}
		return c.Close() == nil
	})
}

// A dial that nobody waits for leaves nothing open at the agent.
func TestADialThatNobodyWaitsFor(t *testing.T) {
	_, g, a := rig(t, func(a *Agent) {
		a.Lookup = func(ctx context.Context, _ string) ([]netip.Addr, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		for ctx.Err() == nil {
			a.mu.Lock()
			n := a.count
			a.mu.Unlock()
			if n > 0 {
				cancel()
			}
		}
	}()
	_, err := g.Dialer("berlin").DialContext(ctx, "tcp", "slow.internal:80")
	require.ErrorIs(t, err, context.Canceled)
	eventually(t, func() bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		return a.count == 0
	})
	g.mu.Lock()
	defer g.mu.Unlock()
	require.Empty(t, g.pending)
}

func TestAnAgentThatIsStoppedLetsSessionsEnd(t *testing.T) {
	_, g, a := rig(t, func(a *Agent) { a.DrainTimeout = 20 * time.Second })
	at := echo(t)
	c := open(t, g, "berlin", at)
	a.stop()
	eventually(t, func() bool { return !g.Agents()[0].Connected })
	say(t, c, "still here")
	require.NoError(t, c.Close())
	require.NoError(t, <-a.ended)
	a.ended <- nil
}

func TestAnAgentThatIsStoppedCutsWhatDoesNotEnd(t *testing.T) {
	_, g, a := rig(t, func(a *Agent) { a.DrainTimeout = 50 * time.Millisecond })
	c := open(t, g, "berlin", echo(t))
	a.end(t)
	_, err := c.Read(make([]byte, 1))
	require.Error(t, err)
	require.False(t, errors.Is(err, os.ErrDeadlineExceeded))
}
