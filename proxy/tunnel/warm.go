package tunnel

import (
	"context"
	"crypto/tls"
	"sync"
	"time"
)

// warm keeps connections to a gateway that are open before they are needed, as many as dials come in a
// second.
type warm struct {
	line *agentLine

	mu      sync.Mutex
	idle    []*tls.Conn
	busy    int             // connections that are being opened or looked at
	recent  [remembered]int // dials of the last seconds, in a ring
	second  int64           // of the ring's place
	stopped bool
	wake    chan struct{} // has room for one
}

const (
	remembered = 30              // seconds for which a burst of dials is remembered
	lookAfter  = 5 * time.Second // a connection that has not answered by then is lost
	refillWait = time.Second     // between tries, after one has failed
)

func newWarm(l *agentLine) *warm { return &warm{line: l, wake: make(chan struct{}, 1)} }

// target is how many connections are to be open. w.mu is held.
func (w *warm) target() int {
	a := w.line.agent
	low := max(0, or(a.MinWarm, 1))
	w.turn()
	most := 0
	for _, n := range w.recent {
		most = max(most, n)
	}
	if most == 0 || a.MinWarm < 0 {
		return low
	}
	return min(max(low, 1+most), or(a.MaxWarm, 64))
}

// turn has the ring be that of now. w.mu is held.
func (w *warm) turn() {
	now := time.Now().Unix()
	for i := max(w.second+1, now-remembered+1); i <= now; i++ {
		w.recent[i%remembered] = 0
	}
	w.second = now
}

// future is a connection that is open, or will be.
type future struct {
	warm *warm
	done chan struct{}
	conn *tls.Conn
	err  error
}

// take returns a connection from the pool, or one that is being opened.
func (w *warm) take(ctx context.Context) *future {
	f := &future{warm: w, done: make(chan struct{})}
	w.mu.Lock()
	w.turn()
	w.recent[w.second%remembered]++
	if n := len(w.idle); n > 0 {
		f.conn, w.idle = w.idle[n-1], w.idle[:n-1]
	}
	w.mu.Unlock()
	w.poke()
	if f.conn != nil {
		close(f.done)
		return f
	}
	w.line.agent.sessions.Go(func() {
		defer close(f.done)
		f.conn, f.err = w.line.data(ctx)
	})
	return f
}

func (f *future) wait() (*tls.Conn, error) {
	<-f.done // data ends with its context
	return f.conn, f.err
}

// giveBack returns a connection that was not used.
func (f *future) giveBack() {
	f.warm.line.agent.sessions.Go(func() {
		<-f.done
		if f.conn != nil {
			f.warm.put(f.conn)
		}
	})
}

func (w *warm) put(c *tls.Conn) {
	w.mu.Lock()
	keep := !w.stopped && w.line.ctx.Err() == nil
	if keep {
		w.idle = append(w.idle, c)
	}
	w.mu.Unlock()
	if !keep {
		c.NetConn().Close()
	}
}

// poke has the pool be filled.
func (w *warm) poke() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// run keeps the pool filled, and its connections alive, until ctx ends.
func (w *warm) run(ctx context.Context) {
	defer w.stop()
	t := time.NewTicker(w.line.beat)
	defer t.Stop()
	for {
		w.fill(ctx)
		select {
		case <-w.wake:
		case <-t.C:
			w.look()
		case <-ctx.Done():
			return
		}
	}
}

// fill opens as many connections as are missing.
func (w *warm) fill(ctx context.Context) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for !w.stopped && len(w.idle)+w.busy < w.target() {
		w.busy++
		w.line.agent.keepers.Go(func() {
			c, err := w.line.data(ctx)
			if err != nil {
				w.line.agent.log().Debug("a connection to a gateway was not opened beforehand", "address", w.line.address, "err", err)
				pause(ctx, refillWait)
			}
			w.done(c, err)
		})
	}
}

// done has a connection be idle again, or lost.
func (w *warm) done(c *tls.Conn, err error) {
	w.mu.Lock()
	w.busy--
	w.mu.Unlock()
	if err == nil {
		w.put(c)
		return
	}
	if c != nil {
		c.NetConn().Close()
	}
	w.poke()
}

// look closes connections that are more than there should be, and asks the gateway whether it has the others.
func (w *warm) look() {
	w.mu.Lock()
	n := w.target()
	over := w.idle[min(n, len(w.idle)):]
	asked := w.idle[:min(n, len(w.idle))]
	w.idle = nil
	w.busy += len(asked)
	w.mu.Unlock()
	for _, c := range over {
		c.NetConn().Close()
	}
	for _, c := range asked {
		w.line.agent.keepers.Go(func() { w.done(c, ask(c)) })
	}
}

// ask asks a gateway whether a connection is open still.
func ask(c *tls.Conn) error {
	b, err := frame(kindPing, nil)
	if err != nil {
		return err
	}
	if err := c.SetDeadline(time.Now().Add(lookAfter)); err != nil {
		return err
	}
	if _, err := c.Write(b); err != nil {
		return err
	}
	for {
		k, _, err := readFrame(c, 0)
		if err != nil {
			return err
		}
		if k == kindPong {
			return c.SetDeadline(time.Time{})
		}
	}
}

// stop closes the connections, and opens no more.
func (w *warm) stop() {
	w.mu.Lock()
	idle := w.idle
	w.idle, w.stopped = nil, true
	w.mu.Unlock()
	for _, c := range idle {
		c.NetConn().Close()
	}
}
