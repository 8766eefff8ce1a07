package postgres

import (
	"errors"
	"time"

	"github.com/sallyport/sallyport/internal/evloop"
)

// A session is served in one of two ways, and moves between them at any step.
//
// Concurrently, up and down have a goroutine each, which waits for its peer: in
// reads, in writes to a peer that is slow, in decisions, and for each other.
// That is what large transfers and operations that are held need.
//
// Polled, an event loop that serves other sessions too calls the step of the
// side that has something to read. A query then costs no wake-up of goroutines.
// A step that would have to wait makes the session leave the loop before it
// does, and one that takes too long is made to. After some turns of the
// conversation in which nothing of the kind happened it is polled again.
//
// Only plain connections are polled; TLS has no step that is sure not to wait.

// calmTurns is after how many turns a session that left the loop is polled
// again; after slow decisions it becomes more each time.
const (
	calmTurns    = 16
	maxCalmTurns = 1 << 20
)

// modes is how a session is served now.
type modes struct {
	pair   *evloop.Pair  // while polled
	joined chan struct{} // closed when the lines are connections again
	behind evloop.Side   // whose step was under way when the session left the loop
	before *evloop.Pair  // the pair that was left so
	calm   int           // after how many turns the session is polled again; 0 is calmTurns
	barred bool          // the connections cannot be polled
	steps  [2]func() error
}

const (
	sideClient = evloop.First
	sideServer = evloop.Second
)

// poll has an event loop serve the session, and returns when it has left the
// loop.
func (s *session) poll() {
	s.modeMu.Lock()
	if !s.detach() {
		s.modeMu.Unlock()
		return
	}
	m := &s.modes
	if m.steps[0] == nil {
		m.steps = [2]func() error{s.up.polled, s.down.polled}
		s.client.leave, s.upstream.conn.leave = s.leaveLoop, s.leaveLoop
	}
	m.joined = make(chan struct{})
	pair, err := s.handler.loops.Watch(s.client.fd, s.upstream.conn.fd, s.ready)
	if err != nil {
		m.barred = true
		s.attach(evloop.None, nil)
		s.modeMu.Unlock()
		return
	}
	m.pair = pair
	s.modeMu.Unlock()

	<-pair.Left()
	m.calm = min(max(m.calm, calmTurns), maxCalmTurns)
	if pair.Slow() {
		m.calm *= 4
	}
	s.modeMu.Lock()
	s.attach(pair.Interrupted(), pair)
	m.pair = nil
	// Down looks for what made the session leave.
	s.upstream.conn.SetReadDeadline(time.Unix(1, 0))
	s.modeMu.Unlock()
	close(m.joined)
	if s.session.Err() != nil {
		s.interrupt()
	}
}

// detach turns both lines into descriptors. It reports whether it did: not when
// down has something else to do than to wait.
func (s *session) detach() bool {
	if s.modes.barred || s.session.Err() != nil || s.session.Draining().Err() != nil || s.hasNotices() {
		return false
	}
	if s.client.detach() != nil {
		s.modes.barred = true
		return false
	}
	if s.upstream.conn.detach() != nil {
		s.modes.barred = true
		s.client.attach()
		s.client.release()
		return false
	}
	return true
}

// attach turns both lines into connections again. The descriptors are closed
// when no step uses them any more: behind is the one that may.
func (s *session) attach(behind evloop.Side, pair *evloop.Pair) {
	s.client.attach()
	s.upstream.conn.attach()
	s.modes.behind, s.modes.before = behind, pair
	if behind == evloop.None {
		s.releaseLines()
	}
}

func (s *session) releaseLines() {
	s.client.release()
	s.upstream.conn.release()
}

// catchUp waits for the step of side's that was under way when the session left
// the loop.
func (s *session) catchUp(side evloop.Side) {
	if s.modes.behind == side {
		<-s.modes.before.Idle()
		s.releaseLines()
	}
}

// ready is called by the loop.
func (s *session) ready(side evloop.Side) {
	name, step := "postgres up", s.modes.steps[0]
	if side == sideServer {
		name, step = "postgres down", s.modes.steps[1]
	}
	err := s.session.Protect(name, step)
	if err == nil {
		return
	}
	if side == sideServer {
		s.down.end(err)
	} else {
		s.up.end(err)
	}
	s.leaveLoop()
}

// leaveLoop returns when the session is served concurrently. It is called by
// steps, before they wait, and does nothing when they are not the loop's.
func (s *session) leaveLoop() {
	s.modeMu.Lock()
	pair, joined := s.modes.pair, s.modes.joined
	s.modeMu.Unlock()
	if pair != nil {
		pair.Leave()
		<-joined
	}
}

// thawed waits while the session is frozen, and not in the loop, which serves others.
func (s *session) thawed() {
	if _, frozen := s.session.Frozen(); frozen {
		s.leaveLoop()
		s.session.Await(s.session.Context())
	}
}

// stir makes down look for what there is to do besides passing on what the
// server sends.
func (s *session) stir() {
	s.modeMu.Lock()
	defer s.modeMu.Unlock()
	if s.modes.pair != nil {
		s.modes.pair.Leave()
		return
	}
	s.upstream.conn.SetReadDeadline(time.Unix(1, 0))
}

// concurrently serves the session in two goroutines. rest says that it can be
// polled again; else the session has ended, with err.
func (s *session) concurrently() (rest bool, err error) {
	s.resting.Store(false)
	s.rested.Store(false)
	s.session.Go("postgres up", func() error {
		s.catchUp(sideClient)
		left, err := s.up.run()
		if !left {
			s.rested.Store(true)
			s.stir()
			return nil
		}
		s.up.reader.Close()
		switch {
		case err == nil:
			s.depart()
			return nil
		case errors.Is(err, errServerLeft):
			s.unheard.Store(time.Now().Add(time.Second).UnixNano())
			s.stir()
			return nil // down reads what the server has still said
		}
		return err
	})
	s.catchUp(sideServer)
	return s.down.run()
}

// turned notes that a turn of the conversation has ended. When there were enough
// of them, up is asked to stop, so that the session can be polled.
func (d *down) turned() {
	if !d.concurrent || d.modes.barred || d.resting.Load() {
		return
	}
	if d.turns++; d.turns >= max(d.modes.calm, calmTurns) {
		d.resting.Store(true)
		d.client.SetReadDeadline(time.Unix(1, 0))
	}
}
