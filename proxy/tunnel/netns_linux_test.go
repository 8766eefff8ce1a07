package tunnel

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// These tests have the agent in a network namespace of its own, on a link that is made slow, lossy or dead. They
// need root, ip and tc, take minutes, and run with SALLYPORT_NETNS=1: "make test-heavy".

// namespace is a network namespace with a link to that of the test.
type namespace struct {
	name, here, there string // of the namespace, and of the link's ends
	gateway, agent    string // addresses
}

func ip(t testing.TB, args ...string) {
	t.Helper()
	out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
	require.NoError(t, err, "%s: %s", strings.Join(args, " "), out)
}

func newNamespace(t *testing.T) *namespace {
	if os.Getenv("SALLYPORT_NETNS") == "" {
		t.Skip("SKIPPED, NOT TESTED: needs root, and SALLYPORT_NETNS=1")
	}
	n := os.Getpid() % 10000
	ns := &namespace{
		name: fmt.Sprintf("sp%d", n), here: fmt.Sprintf("spa%d", n), there: fmt.Sprintf("spb%d", n),
		gateway: "10.213.77.1", agent: "10.213.77.2",
	}
	ip(t, "ip", "netns", "add", ns.name)
	t.Cleanup(func() { ip(t, "ip", "netns", "del", ns.name) })
	ip(t, "ip", "link", "add", ns.here, "type", "veth", "peer", "name", ns.there, "netns", ns.name)
	ip(t, "ip", "addr", "add", ns.gateway+"/30", "dev", ns.here)
	ip(t, "ip", "link", "set", ns.here, "up")
	ns.inside(t, "ip", "addr", "add", ns.agent+"/30", "dev", ns.there)
	ns.inside(t, "ip", "link", "set", ns.there, "up")
	ns.inside(t, "ip", "link", "set", "lo", "up")
	return ns
}

func (ns *namespace) inside(t testing.TB, args ...string) {
	t.Helper()
	ip(t, append([]string{"ip", "netns", "exec", ns.name}, args...)...)
}

// shape makes the link as netem is told, both ways.
func (ns *namespace) shape(t testing.TB, netem ...string) {
	t.Helper()
	ip(t, append([]string{"tc", "qdisc", "replace", "dev", ns.here, "root", "netem"}, netem...)...)
	ns.inside(t, append([]string{"tc", "qdisc", "replace", "dev", ns.there, "root", "netem"}, netem...)...)
}

// TestNamespaceAgent is the agent's process: it runs an agent and an echo.
func TestNamespaceAgent(t *testing.T) {
	file := os.Getenv("SALLYPORT_NETNS_AGENT")
	if file == "" {
		t.Skip("this is a part of other tests")
	}
	at := echo(t)
	fmt.Println("echo", at)
	allow, err := ParseAllow("127.0.0.1")
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	go func() {
		io.Copy(io.Discard, os.Stdin) // until the test has ended
		stop()
	}()
	a := &Agent{Keeper: File(file), Allow: allow, Lookup: func(context.Context, string) ([]netip.Addr, error) { return nil, io.EOF }}
	require.NoError(t, a.Run(ctx))
}

// agentIn starts an agent in the namespace, and returns the address of the echo there.
func (ns *namespace) agentIn(t *testing.T, r *registry, g *gate) (at string) {
	id, err := Enrolment{Gateway: g.address, Token: r.token("berlin")}.Enrol(t.Context())
	require.NoError(t, err)
	id.Gateways = []string{g.address}
	f := t.TempDir() + "/agent.json"
	require.NoError(t, File(f).Save(id))
	cmd := exec.Command("ip", "netns", "exec", ns.name, os.Args[0], "-test.run=^TestNamespaceAgent$", "-test.v")
	cmd.Env = append(os.Environ(), "SALLYPORT_NETNS_AGENT="+f)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		in.Close()
		cmd.Process.Kill()
		cmd.Wait()
	})
	for s := bufio.NewScanner(out); s.Scan(); {
		if address, ok := strings.CutPrefix(s.Text(), "echo "); ok {
			go io.Copy(io.Discard, out)
			return address
		}
	}
	t.Fatal("the agent does not run")
	return ""
}

// gatewayIn starts a gateway that the namespace reaches.
func (ns *namespace) gatewayIn(t *testing.T, r *registry, beat time.Duration) *gate {
	g := gateway(t, r, func(s *Server) { s.Beat = beat })
	g.listen(t, ns.gateway+":0")
	return g
}

func TestNetworks(t *testing.T) {
	ns := newNamespace(t)
	r := newRegistry(t)

	t.Run("slow and lossy", func(t *testing.T) {
		ns.shape(t, "delay", "50ms", "loss", "1%")
		g := ns.gatewayIn(t, r, time.Second)
		at := ns.agentIn(t, r, g)
		connected(t, g, "berlin")
		eventually(t, func() bool { return connected(t, g, "berlin").Warm > 0 })
		var took []time.Duration
		for range 30 {
			begun := time.Now()
			c := open(t, g, "berlin", at)
			took = append(took, time.Since(begun))
			say(t, c, "hello")
			require.NoError(t, c.Close())
		}
		slices.Sort(took)
		t.Logf("a session is there after %s (median) and %s (slowest) at a round trip of 100 ms", took[15], took[29])
		require.Less(t, took[15], 190*time.Millisecond, "it takes more than a round trip")
		var wg sync.WaitGroup
		errs := make(chan error, 100)
		for i := range 100 {
			wg.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				c, err := g.Dialer("berlin").DialContext(ctx, "tcp", at)
				for k := 0; k < 20 && err == nil; k++ {
					err = said(c, fmt.Sprintf("%d of session %d", k, i))
				}
				if err == nil {
					err = c.Close()
				}
				errs <- err
			})
		}
		wg.Wait()
		for range 100 {
			require.NoError(t, <-errs)
		}
	})
	t.Run("gone for five seconds", func(t *testing.T) {
		ns.shape(t, "delay", "1ms")
		g := ns.gatewayIn(t, r, 15*time.Second)
		at := ns.agentIn(t, r, g)
		before := connected(t, g, "berlin").Since
		c := open(t, g, "berlin", at)
		say(t, c, "before")
		ns.shape(t, "loss", "100%")
		_, err := io.WriteString(c, "during")
		require.NoError(t, err)
		time.Sleep(5 * time.Second)
		ns.shape(t, "delay", "1ms")
		_, err = io.ReadFull(c, make([]byte, 6))
		require.NoError(t, err)
		say(t, c, "after")
		require.Equal(t, before, connected(t, g, "berlin").Since, "the control line was lost")
		say(t, open(t, g, "berlin", at), "another")
	})
	t.Run("gone for five minutes", func(t *testing.T) {
		if testing.Short() {
			t.Skip("it takes six minutes")
		}
		ns.shape(t, "delay", "1ms")
		g := ns.gatewayIn(t, r, 15*time.Second)
		at := ns.agentIn(t, r, g)
		connected(t, g, "berlin")
		idle, busy := open(t, g, "berlin", at), open(t, g, "berlin", at)
		for _, c := range []net.Conn{idle, busy} {
			require.NoError(t, c.SetDeadline(time.Time{}))
			say(t, c, "before")
		}
		ns.shape(t, "loss", "100%")
		_, err := io.WriteString(busy, "during")
		require.NoError(t, err)
		begun := time.Now()
		ended := make(chan string, 2)
		for name, c := range map[string]net.Conn{"idle": idle, "busy": busy} {
			go func() {
				c.Read(make([]byte, 1))
				ended <- name
			}()
		}
		for range 2 {
			name := <-ended
			t.Logf("the %s session has ended after %s", name, time.Since(begun).Round(time.Second))
		}
		require.Less(t, time.Since(begun), 2*time.Minute, "sessions of a dead link stay")
		require.False(t, g.Agents()[0].Connected)
		time.Sleep(time.Until(begun.Add(5 * time.Minute)))
		ns.shape(t, "delay", "1ms")
		require.Eventually(t, func() bool { return g.Agents()[0].Connected }, 90*time.Second, 100*time.Millisecond)
		say(t, open(t, g, "berlin", at), "after")
	})
	t.Run("a bulk stream and interactive ones", func(t *testing.T) {
		ns.shape(t, "delay", "5ms", "rate", "200mbit")
		g := ns.gatewayIn(t, r, time.Second)
		at := ns.agentIn(t, r, g)
		connected(t, g, "berlin")
		quick := func() time.Duration {
			var took []time.Duration
			c := open(t, g, "berlin", at)
			defer c.Close()
			for range 50 {
				begun := time.Now()
				say(t, c, "a statement")
				took = append(took, time.Since(begun))
			}
			slices.Sort(took)
			return took[25]
		}
		alone := quick()
		stalled := open(t, g, "berlin", at)
		require.NoError(t, stalled.SetDeadline(time.Time{}))
		go func() { io.Copy(stalled, endless{}) }() // nobody reads what comes back: it stalls
		together := quick()
		t.Logf("a statement takes %s alone, and %s with a stalled stream", alone, together)
		require.Less(t, together, 2*alone+20*time.Millisecond)
	})
}

type endless struct{}

func (endless) Read(b []byte) (int, error) { return len(b), nil }
