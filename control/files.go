package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"sync"
	"unicode"

	"github.com/coder/websocket"

	"github.com/sallyport/sallyport/protocol"
	"github.com/sallyport/sallyport/proxy"
)

const (
	maxFile    = 256 << 20 // that is moved, in bytes
	fileWindow = 1 << 20   // bytes that are under way before they were acknowledged
	filePart   = 32 << 10  // of a file in a frame
	maxPath    = 4096
)

// filesFrame is what a browser sends to move files. What a file has comes in binary frames.
type filesFrame struct {
	// Type is open at first; then get, put, ack, cancel, ping or close.
	Type string `json:"type"`

	Account string `json:"account"` // open

	File     uint64 `json:"file"`     // get, put: a number greater than those before; cancel: which
	Path     string `json:"path"`     // get, put
	Size     int64  `json:"size"`     // put
	Received int64  `json:"received"` // ack: how many bytes of files have come, in all
	At       int64  `json:"at"`       // ping
}

// What the server sends, besides the frames of clients.go.

// filesOpened is the answer to open, once the session is there.
type filesOpened struct {
	Type   string `json:"type"` // opened
	Window int    `json:"window"`
	Most   int64  `json:"most"` // bytes of a file
}

// fileBegin says that a file comes, or is taken.
type fileBegin struct {
	Type string `json:"type"` // file
	File uint64 `json:"file"`
	Name string `json:"name,omitempty"`
	Size int64  `json:"size"` // -1: it is not known
}

// fileAck says how many bytes of the browser's were passed on, in all.
type fileAck struct {
	Type     string `json:"type"` // ack
	Received int64  `json:"received"`
}

// fileEnd is the end of a file: of all of it, unless there is a message.
type fileEnd struct {
	Type    string `json:"type"` // done, failed
	File    uint64 `json:"file"`
	Bytes   int64  `json:"bytes"`
	Message string `json:"message,omitempty"`
	Refused bool   `json:"refused,omitempty"` // it may not be moved
}

// serveFiles moves files over a WebSocket.
func (h *Handler) serveFiles(c *call) error {
	clients, err := c.clients()
	if err != nil {
		return err
	}
	s, err := h.upgrade(c, maxFrame)
	if err != nil {
		return err
	}
	s.end(h.filesSocket(c, clients, s))
	return nil
}

// mover is a session that moves files for a browser.
type mover struct {
	attended
	jobs sync.WaitGroup

	// Below mu:
	files     protocol.Files
	file      uint64 // the last one
	moving    bool
	put       bool
	cancelled bool
	sent      int64 // bytes of files
	acked     int64
	taken     int64 // bytes of the browser's, of all files
	passed    int64 // and were passed on
	left      int64 // bytes of the file that have not come yet
	parts     [][]byte
}

var (
	errFileCancelled = errors.New("you have cancelled it")
	errFileLarge     = fmt.Errorf("the file is too large: at most %d MiB are moved here", maxFile>>20)
)

func (h *Handler) filesSocket(c *call, clients Clients, s *socket) (err error) {
	var f filesFrame
	if err := s.first(&f); err != nil {
		return err
	}
	if f.Type != "open" || f.Account != "" && !validName(f.Account) {
		return wrongFrame("the first frame is %.20q, want open, with the name of an account or without", f.Type)
	}
	m := &mover{}
	m.attend(s, 64)
	client := &proxy.Client{
		Identity: c.who, Via: via,
		Opened: func(s *proxy.Session) {
			m.update(func() { m.session = s })
			m.aside(sessionFrame(s))
		},
		Held: func(_ proxy.Op, p *proxy.Pending) { m.aside(heldFrame(p)) },
	}
	m.jobs.Go(func() { m.work(h, clients, client, ClientTarget{c.PathValue("name"), f.Account, remote(c.Request)}) })
	defer func() {
		s.cancel(err)
		m.jobs.Wait()
	}()
	for {
		var f filesFrame
		data, err := m.receive(&f)
		if err == nil {
			err = m.do(f, data)
		}
		if err != nil {
			return err
		}
	}
}

// do does what a frame asks for.
func (m *mover) do(f filesFrame, data []byte) error {
	switch {
	case data != nil:
		return m.take(data)
	case f.Type == "get" || f.Type == "put":
		if f.Path == "" || len(f.Path) > maxPath || strings.ContainsRune(f.Path, 0) || f.Size < 0 {
			return wrongFrame("%s: got a path of %d bytes, want 1 to %d without a NUL, and a size", f.Type, len(f.Path), maxPath)
		}
		m.mu.Lock()
		wrong := m.files == nil || m.moving || f.File <= m.file
		m.mu.Unlock()
		if wrong {
			return wrongFrame("file %d: the session is not open, a file is being moved, or the number is not greater than those before", f.File)
		}
		m.used()
		m.update(func() {
			m.file, m.moving, m.put, m.cancelled, m.left = f.File, true, f.Type == "put", false, f.Size
		})
		m.jobs.Go(func() { m.move(f) })
	case f.Type == "ack":
		m.mu.Lock()
		wrong := f.Received < m.acked || f.Received > m.sent
		m.mu.Unlock()
		if wrong {
			return wrongFrame("ack: got %d bytes, want no more than were sent", f.Received)
		}
		m.update(func() { m.acked = f.Received })
	case f.Type == "cancel":
		m.update(func() { m.cancelled = m.cancelled || m.moving && f.File == m.file })
	case f.Type == "ping":
		return m.send(terminalPong{"pong", f.At})
	case f.Type == "close":
		return errClosed
	default:
		return wrongFrame("a frame %.20q is not known here", f.Type)
	}
	return nil
}

// take takes a part of a file that somebody sends. What comes after the file was given up is left out.
func (m *mover) take(data []byte) (err error) {
	left, passed := false, int64(0)
	m.update(func() {
		m.taken += int64(len(data))
		switch {
		case m.taken-m.passed > fileWindow:
			err = wrongFrame("more than %d bytes came before they were acknowledged", fileWindow)
		case !m.moving || !m.put:
			m.passed = m.taken
			left, passed = true, m.passed
		case int64(len(data)) > m.left:
			err = wrongFrame("more came of a file than its size")
		default:
			m.left -= int64(len(data))
			if n := len(m.parts); n > 0 && len(m.parts[n-1])+len(data) <= filePart {
				m.parts[n-1] = append(m.parts[n-1], data...)
			} else {
				m.parts = append(m.parts, data)
			}
		}
	})
	if left {
		return m.send(fileAck{"ack", passed})
	}
	return err
}

// work opens the session, and ends it with the socket.
func (m *mover) work(h *Handler, clients Clients, client *proxy.Client, t ClientTarget) {
	files, err := clients.Files(m.ctx, client, t, protocol.FilesRequest{})
	if err != nil {
		m.over(h.openError(err))
		return
	}
	m.update(func() { m.files = files })
	defer files.Close()
	if err := m.send(filesOpened{"opened", fileWindow, maxFile}); err != nil {
		m.cancel(err)
	}
	m.mu.Lock()
	session := m.session
	m.mu.Unlock()
	if session != nil {
		defer context.AfterFunc(session.Context(), func() { m.over(nil) })()
	}
	<-m.ctx.Done()
}

// move moves a file.
func (m *mover) move(f filesFrame) {
	var err error
	var bytes int64
	if f.Type == "get" {
		w := &sending{mover: m}
		err = m.files.Get(f.Path, func(size int64) error {
			if size > maxFile {
				return errFileLarge
			}
			return m.send(fileBegin{"file", f.File, fileName(f.Path), size})
		}, w)
		bytes = w.n
	} else {
		r := &taking{mover: m, size: f.Size}
		if err = errFileLarge; f.Size <= maxFile {
			if err = m.send(fileBegin{Type: "file", File: f.File, Size: f.Size}); err == nil {
				err = m.files.Put(f.Path, r)
			}
		}
		bytes = r.n
	}
	passed := int64(0)
	m.update(func() {
		m.moving, m.parts, m.passed = false, nil, m.taken
		passed = m.passed
	})
	end := fileEnd{Type: "done", File: f.File, Bytes: bytes}
	if err != nil {
		end.Type, end.Message = "failed", err.Error()
		var said *protocol.FileError
		switch {
		case errors.As(err, &said):
			end.Refused = said.Refused
		case errors.Is(err, errFileCancelled), errors.Is(err, errFileLarge):
		default:
			m.over(protocol.Ended(err))
			return
		}
	}
	if f.Type == "put" {
		if err := m.send(fileAck{"ack", passed}); err != nil {
			m.cancel(err)
		}
	}
	if err := m.send(end); err != nil {
		m.cancel(err)
	}
}

// sending sends what a file has, as the browser works it off.
type sending struct {
	*mover
	n int64
}

// Write implements [io.Writer].
func (w *sending) Write(b []byte) (int, error) {
	if w.n+int64(len(b)) > maxFile {
		return 0, errFileLarge
	}
	for rest := b; len(rest) > 0; {
		w.mu.Lock()
		changed, cancelled, full := w.changed, w.cancelled, w.sent-w.acked >= fileWindow
		w.mu.Unlock()
		if cancelled {
			return 0, errFileCancelled
		}
		if full {
			select {
			case <-changed:
			case <-w.ctx.Done():
				return 0, context.Cause(w.ctx)
			}
			continue
		}
		part := rest[:min(len(rest), filePart)]
		w.update(func() { w.sent += int64(len(part)) })
		if err := w.write(websocket.MessageBinary, part); err != nil {
			return 0, err
		}
		rest = rest[len(part):]
	}
	w.n += int64(len(b))
	return len(b), nil
}

// taking reads what the browser sends of a file.
type taking struct {
	*mover
	size, n int64
	part    []byte
}

// Read implements [io.Reader].
func (r *taking) Read(b []byte) (int, error) {
	for len(r.part) == 0 {
		if r.n == r.size {
			return 0, io.EOF
		}
		r.mu.Lock()
		changed, cancelled := r.changed, r.cancelled
		if len(r.parts) > 0 {
			r.part, r.parts = r.parts[0], r.parts[1:]
		}
		r.mu.Unlock()
		if cancelled {
			return 0, errFileCancelled
		}
		if len(r.part) > 0 {
			break
		}
		select {
		case <-changed:
		case <-r.ctx.Done():
			return 0, context.Cause(r.ctx)
		}
	}
	n := copy(b, r.part)
	r.part = r.part[n:]
	r.n += int64(n)
	if len(r.part) > 0 {
		return n, nil
	}
	var passed int64
	r.update(func() {
		r.passed = r.taken
		for _, p := range r.parts {
			r.passed -= int64(len(p))
		}
		passed = r.passed
	})
	return n, r.send(fileAck{"ack", passed})
}

// fileName is the name under which a browser saves a file of a machine: the last part of its path, without signs that mean something
// to a system, or change how a name is read.
func fileName(name string) string {
	name = strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) || strings.ContainsRune(`/\:*?"<>|`, r) {
			return '_'
		}
		return r
	}, strings.ToValidUTF8(path.Base(name), "_"))
	for len(name) > 200 {
		name = strings.ToValidUTF8(name[:200], "")
	}
	if name = strings.Trim(name, ". "); name == "" {
		return "file"
	}
	return name
}
