package tunnel

import (
	"context"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/testserver"
)

// Control lines of one agent are bounded, whatever it opens.
func TestAnAgentHasAFewControlLines(t *testing.T) {
	r := newRegistry(t)
	g := gateway(t, r, func(s *Server) { s.Beat = 20 * time.Second })
	p := byHand(t, r, g, "berlin")
	var first net.Conn
	for i := range maxLines + 3 {
		tc := p.dial(protoControl)
		p.send(tc, kindHello, hello{Version: 1, Oldest: 1, Instance: "the same"})
		k, _, err := readFrame(tc, maxBody)
		require.NoError(t, err)
		require.Equal(t, kindWelcome, k)
		if i == 0 {
			first = tc
		}
		eventually(t, func() bool {
			g.mu.Lock()
			defer g.mu.Unlock()
			return len(g.agents["berlin"].lines) <= maxLines
		})
	}
	cutOff(t, first)
}

func TestConnectionsThatWaitAreBounded(t *testing.T) {
	r := newRegistry(t)
	g := gateway(t, r, func(s *Server) { s.Beat, s.MaxWarm = 20*time.Second, 3 })
	p := byHand(t, r, g, "berlin")
	p.control()
	for range 3 {
		p.dial(protoData)
	}
	eventually(t, func() bool { return g.Agents()[0].Warm == 3 })
	cutOff(t, p.dial(protoData))
}

// An agent has no more of them by opening other control lines, and none by a line that has ended.
func TestConnectionsThatWaitAreThoseOfALine(t *testing.T) {
	r := newRegistry(t)
	g := gateway(t, r, func(s *Server) { s.Beat, s.MaxWarm = 20*time.Second, 3 })
	p := byHand(t, r, g, "berlin")
	line := p.control()
	var waiting []net.Conn
	for range 3 {
		waiting = append(waiting, p.dial(protoData))
	}
	eventually(t, func() bool { return g.Agents()[0].Warm == 3 })
	line.NetConn().Close()
	eventually(t, func() bool { return !g.Agents()[0].Connected })
	p.send(waiting[0], kindPing, nil)
	cutOff(t, waiting[0])
	eventually(t, func() bool { return g.Agents()[0].Warm == 2 })
	p.control()
	waiting = append(waiting, p.dial(protoData))
	eventually(t, func() bool { return g.Agents()[0].Warm == 3 })
	cutOff(t, p.dial(protoData))
	p.send(waiting[1], kindPing, nil)
	k, _, err := readFrame(waiting[1], 0)
	require.NoError(t, err, "the certificate counts")
	require.Equal(t, kindPong, k)
}

// A line ends with the certificate that it was opened with, and has no other one made then.
func TestALineEndsWithItsCertificate(t *testing.T) {
	r := newRegistry(t)
	var later atomic.Int64
	g := gateway(t, r, func(s *Server) { s.Now = func() time.Time { return time.Now().Add(time.Duration(later.Load())) } })
	p := byHand(t, r, g, "berlin")
	line := p.control()
	p.send(line, kindPing, nil)
	k, _, err := readFrame(line, maxBody)
	require.NoError(t, err)
	require.Equal(t, kindPong, k)
	later.Store(int64(2 * r.life))
	p.send(line, kindPing, nil) // after it the gateway looks at the time
	k, _, err = readFrame(line, maxBody)
	require.NoError(t, err)
	if k == kindPong {
		k, _, err = readFrame(line, maxBody)
		require.NoError(t, err)
	}
	require.Equal(t, kindBye, k)
	cutOff(t, line)
	eventually(t, func() bool { return !g.Agents()[0].Connected })
}

// An agent that came by a load balancer goes over to the address that is the gateway's own.
func TestTheAddressOfOneGateway(t *testing.T) {
	own := testserver.FreeAddress(t)
	r := newRegistry(t)
	g := gateway(t, r, func(s *Server) {
		s.Address = own
		s.Gateways = func() []string { return []string{own} }
	})
	balancer := newLink(t, g.address)
	a := agentAt(t, enrolled(t, r, g, "berlin"), []string{balancer.address})
	connected(t, g, "berlin")
	say(t, open(t, g, "berlin", echo(t)), "a load balancer of one gateway is as good")
	lines := func() (at string, n int) {
		a.mu.Lock()
		defer a.mu.Unlock()
		g.mu.Lock()
		defer g.mu.Unlock()
		if l := a.lines[g.id]; l != nil {
			at = l.address
		}
		return at, len(g.agents["berlin"].lines)
	}
	at, _ := lines()
	require.Equal(t, balancer.address, at)
	ln, err := net.Listen("tcp", own)
	require.NoError(t, err)
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- g.Serve(ctx, ln) }()
	t.Cleanup(func() {
		stop()
		require.NoError(t, <-served)
	})
	eventually(t, func() bool {
		at, n := lines()
		return at == own && n == 1
	})
	balancer.freeze() // nothing of it is needed any more
	say(t, open(t, g, "berlin", echo(t)), "hello")
}
