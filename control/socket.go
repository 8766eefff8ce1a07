package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"

	"github.com/sallyport/sallyport/proxy"
)

const (
	maxSockets   = 500              // at once
	maxOwn       = 50               // of one person
	socketTime   = 20 * time.Second // for a client to take a frame; a slower one is cut
	pingEvery    = 15 * time.Second
	maxFrame     = 64 << 10 // what a client may send at once, in bytes
	maxTextFrame = 1 << 20  // the same where it sends statements
)

// sockets are the open ones, and what is kept for those that were lost.
type sockets struct {
	mu      sync.Mutex
	all     int
	own     map[string]int
	changed chan struct{} // closed, and made anew, when something about people has changed

	terminals terminals
}

// Recheck has everybody looked at again, soon, who has a socket open or watches a session: it is
// to be called when something about people has changed, such as that a login has ended. Sockets
// of those who may not have them any more are closed within a second.
func (h *Handler) Recheck() {
	h.sockets.mu.Lock()
	defer h.sockets.mu.Unlock()
	if h.sockets.changed != nil {
		close(h.sockets.changed)
		h.sockets.changed = nil
	}
}

func (h *Handler) rechecked() <-chan struct{} {
	h.sockets.mu.Lock()
	defer h.sockets.mu.Unlock()
	if h.sockets.changed == nil {
		h.sockets.changed = make(chan struct{})
	}
	return h.sockets.changed
}

// errOver ends what goes on while somebody is who she is.
var errOver = errors.New("your login has ended, or you may not do this any more")

// standing is the request's context, which ends when the caller may not go on.
func (h *Handler) standing(c *call) (context.Context, context.CancelCauseFunc) {
	ctx, cancel := context.WithCancelCause(c.Context())
	go func() {
		for ctx.Err() == nil {
			changed := h.rechecked()
			var again <-chan time.Time
			switch err := c.still(); {
			case err == nil:
				if !c.who.Expires.IsZero() {
					again = time.After(max(time.Until(c.who.Expires), 0) + 10*time.Millisecond)
				}
			case errors.Is(err, proxy.ErrUnauthenticated), isForbidden(err):
				cancel(errOver)
				return
			default: // it cannot be told now
				h.log().Warn("control: it could not be checked who has a socket open: it is tried again", "subject", c.who.Subject, "err", err)
				again = time.After(time.Second)
			}
			select {
			case <-ctx.Done():
			case <-changed:
			case <-again:
			}
		}
	}()
	return ctx, cancel
}

func isForbidden(err error) bool {
	var told *Error
	return errors.As(err, &told) && told.Status == http.StatusForbidden
}

// socket is a WebSocket of somebody who is known. Frames may be sent by several goroutines.
type socket struct {
	*websocket.Conn
	ctx    context.Context // ends with the socket; its cause says why
	cancel context.CancelCauseFunc
	closed chan struct{}
}

// upgrade makes a WebSocket of a request. It is to be closed.
func (h *Handler) upgrade(c *call, limit int64) (*socket, error) {
	if err := sameOrigin(c.Request); err != nil {
		return nil, err
	}
	leave, err := h.sockets.enter(c.who.Subject)
	if err != nil {
		return nil, err
	}
	conn, err := websocket.Accept(c.w, c.Request, nil)
	if err != nil {
		leave()
		return nil, errUpgraded // it was answered
	}
	conn.SetReadLimit(limit)
	s := &socket{Conn: conn, closed: make(chan struct{})}
	s.ctx, s.cancel = h.standing(c)
	go s.ping()
	go func() {
		defer close(s.closed)
		defer leave()
		<-s.ctx.Done()
		s.farewell(context.Cause(s.ctx))
	}()
	return s, nil
}

// errUpgraded says that a request was answered, and nothing more is to be said.
var errUpgraded = errors.New("the request was answered")

// sameOrigin refuses sockets that a page of another site opens. A browser says which page it is;
// who shows a cookie is one.
func sameOrigin(r *http.Request) error {
	origin := r.Header.Get("Origin")
	if origin == "" && r.Header.Get("Cookie") == "" {
		return nil // a program
	}
	u, err := url.Parse(origin)
	scheme := "https"
	if r.TLS == nil {
		scheme = "http"
	}
	if err != nil || u.Scheme != scheme || !strings.EqualFold(u.Host, r.Host) || u.Host == "" {
		return &Error{http.StatusForbidden, CodeForbidden, "a WebSocket is for the gateway's own pages: this request comes from another site, or does not say where it comes from"}
	}
	return nil
}

// enter counts a socket of somebody's.
func (s *sockets) enter(subject string) (leave func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all >= maxSockets || s.own[subject] >= maxOwn {
		return nil, &Error{http.StatusTooManyRequests, CodeBusy, "too many terminals and databases are open: close some"}
	}
	if s.own == nil {
		s.own = make(map[string]int)
	}
	s.all++
	s.own[subject]++
	return sync.OnceFunc(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.all--
		if s.own[subject]--; s.own[subject] == 0 {
			delete(s.own, subject)
		}
	}), nil
}

// ping notices that the client is gone. Its answers are read by who reads the socket.
func (s *socket) ping() {
	t := time.NewTicker(pingEvery)
	defer t.Stop()
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-t.C:
			ctx, cancel := context.WithTimeout(context.Background(), socketTime)
			err := s.Ping(ctx)
			cancel()
			if err != nil {
				s.cancel(errLostSocket)
				return
			}
		}
	}
}

var errLostSocket = errors.New("the connection to the browser was lost")

// send writes one JSON object.
func (s *socket) send(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return s.write(websocket.MessageText, b)
}

func (s *socket) write(typ websocket.MessageType, b []byte) error {
	if s.ctx.Err() != nil {
		return context.Cause(s.ctx)
	}
	ctx, cancel := context.WithTimeout(context.Background(), socketTime) // not the socket's, whose end is told
	defer cancel()
	return s.Write(ctx, typ, b)
}

// Statuses with which a socket is closed (RFC 6455 section 7.4.2).
const (
	statusOver  = websocket.StatusCode(4001) // the login has ended
	statusMoved = websocket.StatusCode(4002) // another socket goes on in its place
)

// end closes the socket, unless it has ended, and returns when it is closed; err says why.
func (s *socket) end(err error) {
	s.cancel(err)
	<-s.closed
}

// farewell tells the client why the socket ends.
func (s *socket) farewell(err error) {
	defer s.CloseNow()
	status, reason := websocket.StatusNormalClosure, ""
	var wrong *frameError
	switch {
	case errors.Is(err, errOver):
		status, reason = statusOver, err.Error()
	case errors.Is(err, errMoved):
		status, reason = statusMoved, err.Error()
	case errors.As(err, &wrong):
		status, reason = websocket.StatusPolicyViolation, wrong.Error()
	}
	if len(reason) > 120 { // a close frame has room for 123 bytes
		reason = reason[:120]
	}
	_ = s.Close(status, reason) // the client may be gone
}

// frameError says that a client has sent what is not expected.
type frameError struct{ text string }

func (e *frameError) Error() string { return e.text }

func wrongFrame(format string, args ...any) error { return &frameError{fmt.Sprintf(format, args...)} }

// receive reads a frame: the object of a text frame, into v, or the bytes of a binary one.
func (s *socket) receive(v any) (data []byte, err error) {
	typ, b, err := s.Read(context.Background()) // the end closes the connection
	if err != nil {
		return nil, err
	}
	if typ == websocket.MessageBinary {
		if len(b) == 0 {
			return nil, wrongFrame("a binary frame is empty")
		}
		return b, nil
	}
	if err := json.Unmarshal(b, v); err != nil {
		return nil, wrongFrame("a frame is not what is wanted here: %v", err)
	}
	return nil, nil
}

// first reads the first frame, which has to come soon.
func (s *socket) first(v any) error {
	ctx, cancel := context.WithTimeout(context.Background(), socketTime)
	defer cancel()
	typ, b, err := s.Read(ctx)
	if err != nil {
		return err
	}
	if typ != websocket.MessageText {
		return wrongFrame("the first frame has to be text")
	}
	if err := json.Unmarshal(b, v); err != nil {
		return wrongFrame("the first frame is not what is wanted here: %v", err)
	}
	return nil
}
