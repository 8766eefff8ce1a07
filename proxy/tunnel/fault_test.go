package tunnel

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The loss of one connection, the control line too, is not that of another.
func TestSessionsGoOnWithoutTheControlLine(t *testing.T) {
	r := newRegistry(t)
	g := gateway(t, r)
	f := enrolled(t, r, g, "berlin")
	a := agentAt(t, f, []string{g.address})
	connected(t, g, "berlin")
	at := echo(t)
	one, two := open(t, g, "berlin", at), open(t, g, "berlin", at)
	for range 3 {
		before := connected(t, g, "berlin").Since
		for _, l := range a.openLines() {
			l.conn.NetConn().Close()
		}
		say(t, one, "still here")
		eventually(t, func() bool {
			st := g.Agents()[0]
			return st.Connected && st.Since.After(before)
		})
		say(t, open(t, g, "berlin", at), "a new one")
	}
	for s := range a.open {
		s.gateway.NetConn().Close()
		break
	}
	alive := 0
	for _, c := range []net.Conn{one, two} {
		if said(c, "is it you?") == nil {
			alive++
		}
	}
	require.GreaterOrEqual(t, alive, 1)
}

// A dial waits for an agent whose control line was lost a moment ago.
func TestADialWaitsForAnAgentThatComesBack(t *testing.T) {
	r := newRegistry(t)
	g := gateway(t, r, func(s *Server) { s.ReturnTimeout = 20 * time.Second })
	l := newLink(t, g.address)
	agentAt(t, enrolled(t, r, g, "berlin"), []string{l.address})
	connected(t, g, "berlin")
	l.freeze()
	l.cut()
	eventually(t, func() bool { return !g.Agents()[0].Connected })
	at := echo(t)
	done := make(chan dialled, 1)
	go func() {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		c, err := g.Dialer("berlin").DialContext(ctx, "tcp", at)
		done <- dialled{c, err}
	}()
	l.thaw()
	d := <-done
	require.NoError(t, d.err)
	defer d.c.Close()
	say(t, d.c, "hello")
}

// But not for one that has left, or was lost long ago.
func TestADialDoesNotWaitForAnAgentThatIsGone(t *testing.T) {
	r := newRegistry(t)
	g := gateway(t, r, func(s *Server) { s.ReturnTimeout = 10 * time.Millisecond })
	a := agentAt(t, enrolled(t, r, g, "berlin"), []string{g.address})
	connected(t, g, "berlin")
	a.end(t)
	_, err := g.Dialer("berlin").DialContext(t.Context(), "tcp", "127.0.0.1:80")
	require.ErrorIs(t, err, ErrNotConnected)
}

// Both ends notice a link that is half open: the gateway sees the agent go, the agent comes back by
// itself when the link carries again.
func TestALinkThatIsHalfOpen(t *testing.T) {
	r := newRegistry(t)
	g := gateway(t, r, func(s *Server) { s.Beat = 100 * time.Millisecond })
	l := newLink(t, g.address)
	a := agentAt(t, enrolled(t, r, g, "berlin"), []string{l.address})
	connected(t, g, "berlin")
	l.freeze()
	eventually(t, func() bool { return !g.Agents()[0].Connected && a.Connected() == 0 })
	l.cut()
	l.thaw()
	connected(t, g, "berlin")
	say(t, open(t, g, "berlin", echo(t)), "hello")
}

// A link that carries nothing for a while and then goes on loses no session.
func TestALinkThatPauses(t *testing.T) {
	r := newRegistry(t)
	g := gateway(t, r, func(s *Server) { s.Beat = 100 * time.Millisecond })
	l := newLink(t, g.address)
	a := agentAt(t, enrolled(t, r, g, "berlin"), []string{l.address})
	connected(t, g, "berlin")
	c := open(t, g, "berlin", echo(t))
	say(t, c, "before")
	l.freeze()
	eventually(t, func() bool { return !g.Agents()[0].Connected && a.Connected() == 0 })
	_, err := io.WriteString(c, "during")
	require.NoError(t, err)
	l.thaw()
	b := make([]byte, 6)
	_, err = io.ReadFull(c, b)
	require.NoError(t, err)
	require.Equal(t, "during", string(b))
	connected(t, g, "berlin")
}

// No session ends with connections of the pool that were lost.
func TestAPoolWhoseConnectionsAreLost(t *testing.T) {
	_, g, a := rig(t, func(a *Agent) { a.MinWarm = 4 })
	at := echo(t)
	warmed := func() bool { return connected(t, g, "berlin").Warm >= 4 }
	eventually(t, warmed)
	for _, l := range a.openLines() {
		l.warm.mu.Lock()
		for _, c := range l.warm.idle {
			c.NetConn().Close() // as a router that has forgotten them
		}
		l.warm.mu.Unlock()
	}
	for range 4 {
		say(t, open(t, g, "berlin", at), "hello")
	}
	eventually(t, warmed)
}

func TestThePoolFollowsTheRateOfDials(t *testing.T) {
	a := &Agent{MaxWarm: 20}
	w := newWarm(&agentLine{agent: a})
	w.mu.Lock()
	defer w.mu.Unlock()
	require.Equal(t, 1, w.target(), "without dials")
	w.recent[w.second%remembered] = 5
	require.Equal(t, 6, w.target())
	w.recent[w.second%remembered] = 500
	require.Equal(t, 20, w.target())
	w.second -= remembered // half a minute later
	require.Equal(t, 1, w.target())
	a.MinWarm = -1
	require.Equal(t, 0, w.target())
}

// A gateway that is gone takes its own sessions with it, and no others.
func TestAGatewayThatIsKilled(t *testing.T) {
	r := newRegistry(t)
	one, two := gateway(t, r), gateway(t, r)
	a := agentAt(t, enrolled(t, r, one, "berlin"), []string{one.address, two.address})
	connected(t, one, "berlin")
	connected(t, two, "berlin")
	eventually(t, func() bool { return a.Connected() == 2 })
	at := echo(t)
	lost, stays := open(t, one, "berlin", at), open(t, two, "berlin", at)
	one.kill()
	say(t, stays, "still here")
	require.Error(t, said(lost, "gone"))
	say(t, open(t, two, "berlin", at), "a new one")
	eventually(t, func() bool { return a.Connected() == 1 })
	again := gateway(t, r, func(*Server) {})
	again.kill()
	back := &gate{served: make(chan error, 1), Server: &Server{
		Registry: r, Certificate: one.Certificate, Roots: one.Roots, Beat: one.Beat, Log: one.Log,
	}}
	back.listen(t, one.address) // at the address that it had
	connected(t, back, "berlin")
	say(t, open(t, back, "berlin", at), "hello again")
}

// Gateways tell agents of each other.
func TestAgentsLearnOfFurtherGateways(t *testing.T) {
	r := newRegistry(t)
	var mu sync.Mutex
	var all []string
	known := func(s *Server) {
		s.Gateways = func() []string {
			mu.Lock()
			defer mu.Unlock()
			return all
		}
	}
	one, two := gateway(t, r, known), gateway(t, r, known)
	f := enrolled(t, r, one, "berlin")
	a := agentAt(t, f, []string{one.address})
	connected(t, one, "berlin")
	mu.Lock()
	all = []string{one.address, two.address}
	mu.Unlock()
	one.Announce()
	connected(t, two, "berlin")
	eventually(t, func() bool { return a.Connected() == 2 }) // what two says in its welcome is not the last
	// One that is gone is forgotten, when no gateway tells of it any more.
	mu.Lock()
	all = []string{one.address}
	mu.Unlock()
	one.Announce()
	two.kill()
	eventually(t, func() bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		return len(a.wanted) == 1
	})
}

// Announcements that follow each other at once arrive in their order.
func TestTheLastAnnouncementCounts(t *testing.T) {
	r := newRegistry(t)
	var mu sync.Mutex
	var all []string
	g := gateway(t, r, func(s *Server) {
		s.Gateways = func() []string {
			mu.Lock()
			defer mu.Unlock()
			return all
		}
	})
	a := agentAt(t, enrolled(t, r, g, "berlin"), []string{g.address})
	connected(t, g, "berlin")
	for i := range 200 {
		var last string
		for k := range 4 {
			last = fmt.Sprint("gateway-", i, "-", k, ".invalid:1")
			mu.Lock()
			all = []string{g.address, last}
			mu.Unlock()
			g.Announce()
		}
		eventually(t, func() bool {
			a.mu.Lock()
			defer a.mu.Unlock()
			return slices.Contains(a.told, last)
		})
		require.Never(t, func() bool {
			a.mu.Lock()
			defer a.mu.Unlock()
			return !slices.Contains(a.told, last)
		}, 5*time.Millisecond, time.Millisecond)
	}
}

// Two addresses of one gateway get one line.
func TestTwoAddressesOfOneGateway(t *testing.T) {
	r := newRegistry(t)
	g := gateway(t, r)
	l := newLink(t, g.address)
	a := agentAt(t, enrolled(t, r, g, "berlin"), []string{g.address, l.address})
	st := connected(t, g, "berlin")
	eventually(t, func() bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		return len(a.lines) == 1
	})
	say(t, open(t, g, "berlin", echo(t)), "hello")
	require.Equal(t, "berlin", st.Agent)
}

func TestAGatewayThatDrains(t *testing.T) {
	_, g, a := rig(t)
	at := echo(t)
	c := open(t, g, "berlin", at)
	g.Drain()
	eventually(t, func() bool {
		for _, l := range a.openLines() {
			l.warm.mu.Lock()
			stopped := l.warm.stopped
			l.warm.mu.Unlock()
			if stopped {
				return true
			}
		}
		return false
	})
	say(t, c, "still here")
	say(t, open(t, g, "berlin", at), "what an open session needs")
}

// Of two programs with one agent's certificate the one that is there stays, and the other is told.
func TestTheSameNameTwice(t *testing.T) {
	r := newRegistry(t)
	var refused sync.Map
	g := gateway(t, r, func(s *Server) {
		s.ProbeTimeout = 20 * time.Second
		s.OnEvent = func(e Event) {
			if e.Kind == EventRefused {
				refused.Store(e.Agent, e.Err)
			}
		}
	})
	f := enrolled(t, r, g, "berlin")
	agentAt(t, f, []string{g.address})
	first := connected(t, g, "berlin")
	var said logs
	second := agentAt(t, f, []string{g.address}, func(a *Agent) { a.Log = said.logger() })
	eventually(t, func() bool { _, ok := refused.Load("berlin"); return ok })
	err, _ := refused.Load("berlin")
	require.ErrorIs(t, err.(error), ErrInUse)
	eventually(t, func() bool { return second.Connected() == 0 })
	require.Equal(t, first.Since, connected(t, g, "berlin").Since)
	say(t, open(t, g, "berlin", echo(t)), "hello")
	require.Contains(t, said.String(), "another program is connected as this agent")
}

// One that does not answer any more has lost its place; its sessions go on as long as they can.
func TestAnAgentTakesThePlaceOfOneThatDoesNotAnswer(t *testing.T) {
	r := newRegistry(t)
	g := gateway(t, r, func(s *Server) { s.Beat, s.ProbeTimeout = 20*time.Second, 100*time.Millisecond })
	f := enrolled(t, r, g, "berlin")
	l := newLink(t, g.address)
	agentAt(t, f, []string{l.address})
	first := connected(t, g, "berlin")
	l.freeze()
	agentAt(t, f, []string{g.address})
	eventually(t, func() bool { return g.Agents()[0].Since.After(first.Since) && g.Agents()[0].Connected })
	say(t, open(t, g, "berlin", echo(t)), "hello")
}

// An agent is restarted while the one before lets its sessions end.
func TestAnAgentIsReplacedWhileItDrains(t *testing.T) {
	r := newRegistry(t)
	g := gateway(t, r, func(s *Server) { s.ProbeTimeout = 20 * time.Second })
	f := enrolled(t, r, g, "berlin")
	before := agentAt(t, f, []string{g.address}, func(a *Agent) { a.DrainTimeout = 20 * time.Second })
	first := connected(t, g, "berlin")
	at := echo(t)
	c := open(t, g, "berlin", at)
	before.stop()
	agentAt(t, f, []string{g.address})
	eventually(t, func() bool { st := g.Agents()[0]; return st.Connected && st.Since.After(first.Since) })
	say(t, open(t, g, "berlin", at), "of the new one")
	say(t, c, "of the old one")
	require.NoError(t, c.Close())
}

func TestAnAgentThatIsRevoked(t *testing.T) {
	r, g, a := rig(t)
	at := echo(t)
	c := open(t, g, "berlin", at)
	require.NoError(t, g.Recheck(t.Context()))
	say(t, c, "still here")
	r.down = errors.New("the store does not answer")
	require.Error(t, g.Recheck(t.Context()))
	say(t, c, "who cannot be asked about stays")
	r.mu.Lock()
	r.down = nil
	r.mu.Unlock()
	r.revoke("berlin")
	require.NoError(t, g.Recheck(t.Context()))
	require.Error(t, said(c, "gone"))
	eventually(t, func() bool { return a.Connected() == 0 })
	_, err := g.Dialer("berlin").DialContext(t.Context(), "tcp", at)
	require.ErrorIs(t, err, ErrNotConnected)
	// It is told why, whenever it tries.
	_, err = a.connect(t.Context(), g.address)
	var e *Refusal
	require.ErrorAs(t, err, &e)
	require.Equal(t, CodeRevoked, e.Code)
}

// The certificate is renewed while sessions are open and others begin: nothing is lost.
func TestACertificateIsRenewed(t *testing.T) {
	r := newRegistry(t)
	g := gateway(t, r)
	f := enrolled(t, r, g, "berlin")
	a := agentAt(t, f, []string{g.address})
	connected(t, g, "berlin")
	at := echo(t)
	c := open(t, g, "berlin", at)
	var dials sync.WaitGroup
	stop := make(chan struct{})
	errs := make(chan error, 1)
	dials.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			d, err := g.Dialer("berlin").DialContext(ctx, "tcp", at)
			cancel()
			if err == nil {
				err = said(d, "hello")
				d.Close()
			}
			if err != nil {
				select {
				case errs <- err:
				default:
				}
				return
			}
		}
	})
	for range 3 {
		a.mu.Lock()
		before := a.identity
		a.mu.Unlock()
		eventually(t, func() bool { return a.renewNow(t.Context(), before) == nil })
		kept, err := f.Load()
		require.NoError(t, err)
		require.NotEqual(t, before.Certificate.Certificate[0], kept.Certificate.Certificate[0])
		eventually(t, func() bool {
			g.mu.Lock()
			defer g.mu.Unlock()
			l := g.agents["berlin"].line
			return l != nil && l.print == fingerprintOf(kept.Certificate.Certificate[0]) && len(g.agents["berlin"].lines) == 1
		})
	}
	close(stop)
	dials.Wait()
	select {
	case err := <-errs:
		require.NoError(t, err, "a dial was lost")
	default:
	}
	say(t, c, "still here")
}

// The agent asks for it by itself, when a third of the certificate's life has passed.
func TestAnAgentRenewsItsCertificateInTime(t *testing.T) {
	r := newRegistry(t)
	g := gateway(t, r)
	r.life = time.Minute // of six, of which five have passed
	f := enrolled(t, r, g, "berlin")
	first, err := f.Load()
	require.NoError(t, err)
	r.mu.Lock()
	r.life = time.Hour
	r.mu.Unlock()
	agentAt(t, f, []string{g.address})
	eventually(t, func() bool {
		id, err := f.Load()
		return err == nil && id.Certificate.Leaf.SerialNumber.Cmp(first.Certificate.Leaf.SerialNumber) != 0
	})
}

func TestACertificateThatHasExpired(t *testing.T) {
	r := newRegistry(t)
	g := gateway(t, r)
	f := enrolled(t, r, g, "berlin")
	a := &Agent{Keeper: f, Gateways: []string{g.address}, Now: func() time.Time { return time.Now().Add(48 * time.Hour) }}
	require.ErrorContains(t, a.Run(t.Context()), "enrol it again")
}

// Clocks may differ by five minutes.
func TestClocksThatDiffer(t *testing.T) {
	for _, skew := range []time.Duration{-5*time.Minute + 10*time.Second, 5 * time.Minute} {
		t.Run(skew.String(), func(t *testing.T) {
			r := newRegistry(t)
			g := gateway(t, r)
			now := func() time.Time { return time.Now().Add(skew) }
			id, err := Enrolment{Gateway: g.address, Token: r.token("berlin"), Now: now}.Enrol(t.Context())
			require.NoError(t, err)
			f := File(t.TempDir() + "/agent.json")
			require.NoError(t, f.Save(id))
			agentAt(t, f, []string{g.address}, func(a *Agent) { a.Now = now })
			connected(t, g, "berlin")
			say(t, open(t, g, "berlin", echo(t)), "hello")
		})
	}
}

// A peer of another version: what it does not know is left out, by both.
func TestPeersOfOtherVersions(t *testing.T) {
	r := newRegistry(t)
	g := gateway(t, r, func(s *Server) { s.Beat = 20 * time.Second })
	p := byHand(t, r, g, "berlin")
	for name, c := range map[string]struct {
		hello string
		code  Code // of the refusal; empty: welcome
	}{
		"the next one, which knows this one":   {`{"version":2,"oldest":1,"instance":"a","features":["resume"],"limits":{"sessions":7}}`, ""},
		"one without all that can be left out": {`{"version":1,"instance":"a"}`, ""},
		"one that is too new":                  {`{"version":9,"oldest":5,"instance":"a"}`, CodeVersion},
		"one that is too old":                  {`{"version":0,"oldest":0,"instance":"a"}`, CodeVersion},
	} {
		t.Run(name, func(t *testing.T) {
			tc := p.dial(protoControl)
			p.raw(tc, kindHello, []byte(c.hello))
			k, body, err := readFrame(tc, maxBody)
			require.NoError(t, err)
			if c.code != "" {
				require.Equal(t, kindBye, k)
				w, err := decode[why](body)
				require.NoError(t, err)
				require.Equal(t, c.code, w.Code)
				require.Contains(t, w.Text, "update the older one")
				return
			}
			require.Equal(t, kindWelcome, k)
			connected(t, g, "berlin")
			p.raw(tc, kind(200), []byte("of a later version"))
			done := dialling(t, g, "berlin")
			m := p.dialled(tc)
			data := p.dial(protoData)
			p.raw(data, kind(201), []byte("of a later version"))
			p.claim(data, m, p.own())
			d := <-done
			require.NoError(t, d.err)
			require.NoError(t, d.c.Close())
			require.NoError(t, tc.Close())
			eventually(t, func() bool { return !g.Agents()[0].Connected })
		})
	}
}

// A gateway of another version, by hand.
func TestGatewaysOfOtherVersions(t *testing.T) {
	r := newRegistry(t)
	g := gateway(t, r)
	id, err := enrolled(t, r, g, "berlin").Load()
	require.NoError(t, err)
	greeted := make(chan error, 1)
	for name, c := range map[string]struct {
		frames []string
		fails  string
	}{
		"the next one":        {[]string{"\xc8later", "\x02" + `{"version":2,"oldest":1,"gateway":"x","beat":15000,"colour":"red"}`}, ""},
		"one with no beat":    {[]string{"\x02" + `{"version":1,"oldest":1,"gateway":"x"}`}, ""},
		"one that is too new": {[]string{"\x02" + `{"version":9,"oldest":7,"gateway":"x"}`}, "update the older one"},
		"one that refuses":    {[]string{"\x03" + `{"code":"in_use","text":"no"}`}, "the gateway refuses the agent: no"},
		"not JSON":            {[]string{"\x02{"}, "cannot be read"},
		"too many gateways":   {[]string{"\x02" + `{"version":1,"oldest":1,"gateways":` + many(maxGateways+1) + `}`}, "want at most 64"},
	} {
		t.Run(name, func(t *testing.T) {
			here, there := net.Pipe() // TLS was tried by others
			defer here.Close()
			go func() {
				readFrame(there, maxBody)
				for _, f := range c.frames {
					b, _ := frame(kind(f[0]), []byte(f[1:]))
					there.Write(b)
				}
			}()
			a := &Agent{identity: id, instance: "a"}
			go func() {
				_, err := a.greet(here)
				greeted <- err
			}()
			err := <-greeted
			if c.fails == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, c.fails)
			}
		})
	}
}

func many(n int) string {
	b, err := json.Marshal(make([]string, n))
	if err != nil {
		panic(err)
	}
	return string(b)
}
