package control

import (
	"context"
	"encoding/binary"
	"errors"
	"regexp"

	"github.com/coder/websocket"

	"github.com/sallyport/sallyport/protocol"
)

// terminalFrame is what a browser sends for a terminal. What is typed comes in binary frames:
// eight bytes with its place in all that is typed, and the bytes.
type terminalFrame struct {
	// Type is open or resume at first; then ack, resize, ping or close.
	Type string `json:"type"`

	// open
	Account string `json:"account"`
	Term    string `json:"term"`
	Columns int    `json:"columns"` // resize too
	Rows    int    `json:"rows"`    // resize too

	Terminal string `json:"terminal"` // resume: which
	Received uint64 `json:"received"` // resume, ack: the place up to which the browser has what is shown
	At       int64  `json:"at"`       // ping: anything
}

// What the server sends for a terminal, besides the frames of clients.go. What it shows comes in
// binary frames: eight bytes with its place in all that is shown, and the bytes.

// terminalOpened is the answer to open and resume.
type terminalOpened struct {
	Type     string `json:"type"` // opened
	Terminal string `json:"terminal"`
	// Received is the place up to which what is typed was taken; what follows it is to be sent
	// again.
	Received uint64 `json:"received"`
	Window   int    `json:"window"` // so many bytes may be typed before they are acknowledged
	Keep     int    `json:"keep"`   // so many seconds the terminal waits after a lost socket
}

// terminalAck says that what was typed up to a place was passed on.
type terminalAck struct {
	Type     string `json:"type"` // ack
	Received uint64 `json:"received"`
}

// terminalPong answers a ping.
type terminalPong struct {
	Type string `json:"type"` // pong
	At   int64  `json:"at"`
}

var terminalType = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9+._-]{0,63}$`)

func validSize(columns, rows int) bool {
	return columns > 0 && columns <= 1000 && rows > 0 && rows <= 1000
}

// serveTerminal serves a terminal at a resource over a WebSocket.
func (h *Handler) serveTerminal(c *call) error {
	clients, err := c.clients()
	if err != nil {
		return err
	}
	s, err := h.upgrade(c, maxFrame)
	if err != nil {
		return err
	}
	s.end(h.terminalSocket(c, clients, s))
	return nil
}

func (h *Handler) terminalSocket(c *call, clients Clients, s *socket) error {
	var f terminalFrame
	if err := s.first(&f); err != nil {
		return err
	}
	var k *keptTerminal
	switch f.Type {
	case "open":
		if f.Term == "" {
			f.Term = "xterm-256color"
		}
		if !validSize(f.Columns, f.Rows) || !terminalType.MatchString(f.Term) || f.Account != "" && !validName(f.Account) {
			return wrongFrame("open: got %d columns, %d rows and the terminal %.20q, want 1 to 1000 of each and a name", f.Columns, f.Rows, f.Term)
		}
		if k = h.sockets.terminals.add(c.who, c.PathValue("name")); k == nil {
			return s.send(socketEnded{Type: "ended", Reason: "you have too many terminals open: close some"})
		}
		f.Received = 0
	case "resume":
		if k = h.sockets.terminals.find(f.Terminal, c.who); k == nil || k.resource != c.PathValue("name") {
			return s.send(socketEnded{Type: "ended", Reason: errNoTerminal})
		}
	default:
		return wrongFrame("the first frame is %.20q, want open or resume", f.Type)
	}
	taken, ok := k.attach(s, f.Received)
	if !ok {
		return s.send(socketEnded{Type: "ended", Reason: errNoTerminal})
	}
	defer k.detach(s)
	if err := s.send(terminalOpened{"opened", k.id, taken, typedWindow, int(keepTerminal.Seconds())}); err != nil {
		return err
	}
	if f.Type == "open" {
		// A socket that is lost while it is opened ends nothing.
		go h.open(c, k, clients, f)
	} else if validSize(f.Columns, f.Rows) {
		k.resize(f.Columns, f.Rows)
	}
	shown := make(chan struct{})
	go func() {
		defer close(shown)
		s.cancel(k.showTo(s, f.Received))
	}()
	s.cancel(k.typeFrom(s))
	<-shown
	err := context.Cause(s.ctx)
	if errors.Is(err, errOver) {
		k.close() // nobody comes back
	}
	return err
}

// errNoTerminal is said of terminals that are not there, that were somebody else's and that
// were lost for too long.
const errNoTerminal = "there is no such terminal any more: open another one"

// errDone says that everything was shown.
var errDone = errors.New("the terminal has ended")

func (h *Handler) open(c *call, k *keptTerminal, clients Clients, f terminalFrame) {
	ctx := context.WithoutCancel(c.Context())
	q := protocol.TerminalRequest{Type: f.Term, Columns: f.Columns, Rows: f.Rows}
	t, err := clients.Terminal(ctx, k.client(c.who), ClientTarget{k.resource, f.Account, remote(c.Request)}, q)
	if err != nil {
		k.fail(h.openError(err).Message)
		return
	}
	k.run(t)
}

// showTo sends what the terminal shows from a place on, until its end or the socket's.
func (k *keptTerminal) showTo(s *socket, at uint64) error {
	var notes int
	var passed uint64
	for {
		now := k.state(at)
		if now.notes != notes {
			notes = now.notes
			if now.session != nil {
				if err := s.send(sessionFrame(now.session)); err != nil {
					return err
				}
			}
			if now.held != nil {
				if err := s.send(now.held); err != nil {
					return err
				}
			}
		}
		if now.passed != passed {
			passed = now.passed
			if err := s.send(terminalAck{"ack", passed}); err != nil {
				return err
			}
		}
		switch {
		case now.chunk != nil:
			binary.BigEndian.PutUint64(now.chunk, at)
			if err := s.write(websocket.MessageBinary, now.chunk); err != nil {
				return err
			}
			at += uint64(len(now.chunk) - 8)
			continue
		case now.over:
			// What the browser has not acknowledged is kept for a while.
			if err := s.send(k.ended()); err != nil {
				return err
			}
			return errDone
		}
		select {
		case <-now.changed:
		case <-s.ctx.Done():
			return context.Cause(s.ctx)
		}
	}
}

// typeFrom takes what the browser sends, until the socket ends.
func (k *keptTerminal) typeFrom(s *socket) error {
	for {
		var f terminalFrame
		data, err := s.receive(&f)
		if err != nil {
			return err
		}
		switch {
		case data != nil:
			if len(data) < 8 {
				return wrongFrame("what is typed has no place")
			}
			err = k.typeAt(binary.BigEndian.Uint64(data), data[8:])
		case f.Type == "ack":
			err = k.acknowledge(f.Received)
		case f.Type == "resize" && validSize(f.Columns, f.Rows):
			k.resize(f.Columns, f.Rows)
		case f.Type == "ping":
			err = s.send(terminalPong{"pong", f.At})
		case f.Type == "close":
			k.close()
		default:
			err = wrongFrame("a frame %.20q is not known here, or its values are not valid", f.Type)
		}
		if err != nil {
			return err
		}
	}
}
