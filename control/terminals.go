package control

import (
	"crypto/rand"
	"errors"
	"sync"
	"time"

	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/protocol"
	"github.com/sallyport/sallyport/proxy"
)

const (
	// keepTerminal is how long a terminal waits for its browser after the socket was lost.
	keepTerminal = 30 * time.Second
	// shownWindow is how much of what a terminal shows waits until the browser has acknowledged
	// it, in bytes; then the terminal waits. The browser gets it again after a lost socket.
	shownWindow = 512 << 10
	// typedWindow is how much may wait of what is typed.
	typedWindow = 64 << 10
)

// terminals are the open ones.
type terminals struct {
	mu   sync.Mutex
	open map[string]*keptTerminal
}

// keptTerminal is a terminal that outlives its sockets. What it shows has a place in a stream,
// as has what is typed: a browser that comes back says how far it has read, and is told how far
// it was read, so that nothing is lost and nothing comes twice.
type keptTerminal struct {
	id, subject, login string
	resource           string
	terminal           protocol.Terminal
	forget             func()

	mu      sync.Mutex
	changed chan struct{} // closed, and made anew, with every change
	session *proxy.Session
	held    *socketHeld
	notes   int    // changes of session and held
	shown   []byte // and not acknowledged
	from    uint64 // the place of shown[0]
	over    bool   // it shows nothing more
	reason  string // why it could not be opened
	columns int
	rows    int
	closed  bool   // nobody wants it any more
	typed   []byte // and not passed on
	taken   uint64 // the place after what was taken of what is typed
	passed  uint64 // the place after what was passed on of it
	socket  *socket
	leaving *time.Timer // ends the terminal that has no socket
}

// owner is whose terminals they are: of one login.
func owner(id *proxy.Identity) (subject, login string) {
	return id.Subject, id.Claims[identity.ClaimLogin]
}

// find returns a terminal of the caller's; nil: there is no such one.
func (t *terminals) find(id string, who *proxy.Identity) *keptTerminal {
	t.mu.Lock()
	defer t.mu.Unlock()
	k := t.open[id]
	subject, login := owner(who)
	if k == nil || k.subject != subject || k.login != login {
		return nil
	}
	return k
}

// add keeps a terminal that is about to be opened; nil: the caller has too many.
func (t *terminals) add(who *proxy.Identity, resource string) *keptTerminal {
	k := &keptTerminal{id: rand.Text(), resource: resource, changed: make(chan struct{})}
	k.subject, k.login = owner(who)
	k.leaving = time.AfterFunc(1<<62, k.close)
	k.forget = func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		delete(t.open, k.id)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	own := 0
	for _, other := range t.open {
		if other.subject == k.subject {
			own++
		}
	}
	if own >= maxOwn {
		return nil
	}
	if t.open == nil {
		t.open = make(map[string]*keptTerminal)
	}
	t.open[k.id] = k
	return k
}

// change tells who waits that something is different. k is locked.
func (k *keptTerminal) change() {
	close(k.changed)
	k.changed = make(chan struct{})
}

// update changes k, and tells who waits.
func (k *keptTerminal) update(f func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	f()
	k.change()
}

// client is who the terminal is opened for.
func (k *keptTerminal) client(who *proxy.Identity) *proxy.Client {
	return &proxy.Client{
		Identity: who, Via: via,
		Opened: func(s *proxy.Session) { k.update(func() { k.session, k.held, k.notes = s, nil, k.notes+1 }) },
		Held: func(_ proxy.Op, p *proxy.Pending) {
			held := heldFrame(p)
			k.update(func() { k.held, k.notes = &held, k.notes+1 })
		},
	}
}

// run passes on what is typed, and keeps what is shown, until the terminal ends.
func (k *keptTerminal) run(t protocol.Terminal) {
	k.mu.Lock()
	k.terminal = t
	closed, columns, rows := k.closed, k.columns, k.rows
	k.change()
	k.mu.Unlock()
	if closed {
		t.Close()
	} else if columns > 0 { // it was resized meanwhile
		_ = t.Resize(columns, rows) // an error is its end, which is told
	}
	go k.pass()
	k.show()
}

// fail says that the terminal could not be opened.
func (k *keptTerminal) fail(reason string) {
	k.update(func() { k.over, k.reason = true, reason })
}

func (k *keptTerminal) show() {
	b := make([]byte, 32<<10)
	for {
		n, err := k.terminal.Read(b[:k.room(len(b))])
		k.update(func() {
			if !k.closed {
				k.shown = append(k.shown, b[:n]...)
			}
			k.over = err != nil
		})
		if err != nil {
			break
		}
	}
	k.terminal.Close()
}

// ended says how the terminal has ended.
func (k *keptTerminal) ended() socketEnded {
	k.mu.Lock()
	defer k.mu.Unlock()
	end := socketEnded{Type: "ended", Reason: k.reason}
	if k.terminal == nil {
		return end
	}
	if reason := endReason(k.session); reason != "" {
		end.Reason = reason
	} else if status, ok := k.terminal.Status(); ok {
		end.Status = &status
	}
	return end
}

// room waits until there is room for what is shown, and returns how much, at most most.
func (k *keptTerminal) room(most int) int {
	for {
		k.mu.Lock()
		room, changed, closed := shownWindow-len(k.shown), k.changed, k.closed
		k.mu.Unlock()
		if closed {
			return most // it ends
		}
		if room > 0 {
			return min(room, most)
		}
		<-changed
	}
}

func (k *keptTerminal) pass() {
	for {
		k.mu.Lock()
		b, changed, end := k.typed, k.changed, k.over || k.closed
		k.mu.Unlock()
		if end {
			return
		}
		if len(b) == 0 {
			<-changed
			continue
		}
		n, err := k.terminal.Write(b)
		k.update(func() {
			k.typed = append([]byte(nil), k.typed[n:]...)
			k.passed += uint64(n)
		})
		if err != nil {
			return // it ends
		}
	}
}

// typeAt takes what is typed from a place on. What was taken before is left out.
func (k *keptTerminal) typeAt(at uint64, b []byte) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case at > k.taken:
		return wrongFrame("what is typed has a gap: got the place %d, want %d", at, k.taken)
	case at+uint64(len(b)) <= k.taken:
		return nil // all of it was taken
	}
	b = b[k.taken-at:]
	if len(k.typed)+len(b) > typedWindow {
		return wrongFrame("too much is typed before it was acknowledged: %d bytes may wait", typedWindow)
	}
	k.typed = append(k.typed, b...)
	k.taken += uint64(len(b))
	k.change()
	return nil
}

// acknowledge forgets what the browser has up to a place.
func (k *keptTerminal) acknowledge(at uint64) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if at > k.from+uint64(len(k.shown)) {
		return wrongFrame("more is acknowledged than was shown: got the place %d, want at most %d", at, k.from+uint64(len(k.shown)))
	}
	if at <= k.from {
		return nil
	}
	k.shown = k.shown[at-k.from:]
	if len(k.shown) == 0 {
		k.shown = nil // large memory is not kept for an idle terminal
	}
	k.from = at
	k.change()
	return nil
}

// errMoved ends a socket in whose place another one goes on.
var errMoved = errors.New("this terminal goes on in another tab")

// attach has s show the terminal from a place on, in the place of the socket before. It returns
// the place up to which what is typed was taken, and whether that place can be shown.
func (k *keptTerminal) attach(s *socket, at uint64) (taken uint64, ok bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed || at < k.from || at > k.from+uint64(len(k.shown)) {
		return 0, false
	}
	if k.socket != nil {
		k.socket.cancel(errMoved)
	}
	k.leaving.Stop()
	k.socket = s
	k.change()
	return k.taken, true
}

// detach has the terminal wait for another socket, for a while.
func (k *keptTerminal) detach(s *socket) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.socket != s {
		return // another one has it
	}
	k.socket = nil
	k.leaving.Reset(keepTerminal)
}

// close ends the terminal.
func (k *keptTerminal) close() {
	k.forget()
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return
	}
	k.closed, k.shown, k.typed = true, nil, nil
	k.leaving.Stop()
	if k.terminal != nil {
		go k.terminal.Close() // it may wait for the resource
	}
	k.change()
}

// resize says that the browser's window has another size.
func (k *keptTerminal) resize(columns, rows int) {
	k.mu.Lock()
	t := k.terminal
	k.columns, k.rows = columns, rows
	k.mu.Unlock()
	if t != nil {
		_ = t.Resize(columns, rows) // an error is its end, which is told
	}
}

// terminalState is what a socket shows of a terminal.
type terminalState struct {
	notes   int
	session *proxy.Session
	held    *socketHeld
	chunk   []byte
	passed  uint64
	over    bool
	changed chan struct{}
}

// state returns what there is to show from a place on, at most a frame of it.
func (k *keptTerminal) state(at uint64) terminalState {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := terminalState{notes: k.notes, session: k.session, held: k.held, passed: k.passed, over: k.over || k.closed, changed: k.changed}
	if at < k.from || at >= k.from+uint64(len(k.shown)) {
		return s
	}
	rest := k.shown[at-k.from:]
	s.chunk = append(make([]byte, 8, 8+maxShown), rest[:min(len(rest), maxShown)]...)
	return s
}

// maxShown is how much of what is shown a frame holds, in bytes.
const maxShown = 16 << 10
