package sftp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
)

// Client moves whole files, as somebody who uses a server. It is for one goroutine.
type Client struct {
	in     packets
	out    io.Writer
	lastID uint32
}

// StatusError is what a server says of a request.
type StatusError struct {
	Denied  bool
	Message string
}

// Error is the server's message.
func (e *StatusError) Error() string { return e.Message }

const (
	piece = 32 << 10 // of a file in a packet, in bytes; every server takes so much
	ahead = 16       // pieces that are asked for before the first has come
)

// NewClient begins, with a server that reads from w and answers in r.
func NewClient(r io.Reader, w io.Writer) (*Client, error) {
	c := &Client{in: packets{r: r}, out: w}
	if _, err := w.Write(finish(appendUint32(begin(typeInit), version))); err != nil {
		return nil, err
	}
	b, err := c.in.next()
	if err != nil {
		return nil, err
	}
	if f := (fields{b: b[5:]}); b[4] != typeVersion || f.uint32() != version || f.bad {
		return nil, ErrMalformed
	}
	return c, nil
}

// Get hands over a file: to begin its size, -1 where the server does not say it, and to w what it has. An error of either ends it,
// and is returned. What the server refuses is a *StatusError; with any other error of its own the stream is not to be used again.
func (c *Client) Get(path string, begin func(size int64) error, w io.Writer) error {
	handle, err := c.open(path, openRead)
	if err != nil {
		return err
	}
	err = c.get(handle, begin, w)
	return errors.Join(err, c.unless(err, handle))
}

// unless closes a handle, unless the stream is broken.
func (c *Client) unless(err error, handle string) error {
	var broken *brokenError
	if errors.As(err, &broken) {
		return nil
	}
	cerr := c.ask(c.request(typeClose, handle))
	if err != nil {
		return nil // which is told
	}
	return cerr
}

// brokenError is one of the stream.
type brokenError struct{ error }

// Unwrap is the error of the stream.
func (e *brokenError) Unwrap() error { return e.error }

func (c *Client) get(handle string, begin func(int64) error, w io.Writer) error {
	size, err := c.size(handle)
	if err != nil {
		return err
	}
	if err := begin(size); err != nil {
		return err
	}
	var pieces [ahead][]byte
	for offset := uint64(0); ; {
		n, end, err := c.pieces(handle, offset, &pieces)
		if err != nil {
			return err
		}
		for _, p := range pieces[:n] {
			if _, err := w.Write(p); err != nil {
				return err
			}
			offset += uint64(len(p))
		}
		if end {
			return nil
		}
	}
}

// pieces reads as much as may be asked for at once. n are those that follow each other, without one that came short but as the last.
func (c *Client) pieces(handle string, offset uint64, to *[ahead][]byte) (n int, end bool, err error) {
	first := c.lastID + 1
	var all []byte
	for i := range ahead {
		b := c.request(typeRead, handle)
		b = appendUint32(binary.BigEndian.AppendUint64(b, offset+uint64(i)*piece), piece)
		all = append(all, finish(b)...)
		to[i] = to[i][:0]
	}
	if _, err := c.out.Write(all); err != nil {
		return 0, false, &brokenError{err}
	}
	var failed [ahead]error
	var seen [ahead]bool
	for range ahead {
		a, err := c.answer()
		if err != nil {
			return 0, false, err
		}
		i := a.id - first
		switch {
		case i >= ahead || seen[i], a.kind != typeData && a.kind != typeStatus, len(a.data) > piece, a.kind == typeData && len(a.data) == 0:
			return 0, false, &brokenError{ErrMalformed}
		case a.kind == typeData:
			to[i] = append(to[i], a.data...)
		case a.code == statusEOF:
			failed[i] = io.EOF
		default:
			failed[i] = c.said(a)
		}
		seen[i] = true
	}
	for i := range ahead {
		switch {
		case errors.Is(failed[i], io.EOF):
			return i, true, nil
		case failed[i] != nil:
			return 0, false, failed[i]
		case len(to[i]) < piece:
			return i + 1, false, nil // what follows it is asked for again
		}
	}
	return ahead, false, nil
}

// Put writes a file anew. What is read from r until io.EOF is its content. An error of r ends it, and is returned; then a part
// may be there.
func (c *Client) Put(path string, r io.Reader) error {
	handle, err := c.open(path, openWrite|openCreate|openTruncate)
	if err != nil {
		return err
	}
	err = c.put(handle, r)
	return errors.Join(err, c.unless(err, handle))
}

func (c *Client) put(handle string, r io.Reader) error {
	buf := make([]byte, piece)
	owed := 0
	settle := func() (err error) {
		for ; owed > 0; owed-- {
			a, aerr := c.answer()
			switch {
			case aerr != nil:
				return aerr
			case a.kind != typeStatus:
				return &brokenError{ErrMalformed}
			case a.code != statusOK && err == nil:
				err = c.said(a)
			}
		}
		return err
	}
	for offset := uint64(0); ; {
		n, rerr := io.ReadFull(r, buf)
		if n > 0 {
			b := binary.BigEndian.AppendUint64(c.request(typeWrite, handle), offset)
			b = append(appendUint32(b, uint32(n)), buf[:n]...)
			if _, err := c.out.Write(finish(b)); err != nil {
				return &brokenError{err}
			}
			offset += uint64(n)
			owed++
		}
		end := errors.Is(rerr, io.EOF) || errors.Is(rerr, io.ErrUnexpectedEOF)
		if end || rerr != nil || owed == ahead {
			if err := settle(); err != nil {
				return err
			}
		}
		switch {
		case end:
			return nil
		case rerr != nil:
			return rerr
		}
	}
}

// request begins a request about a path or a handle.
func (c *Client) request(kind byte, about string) []byte {
	c.lastID++
	return appendText(appendUint32(begin(kind), c.lastID), about)
}

// answer reads the next answer. It is valid until the next call.
func (c *Client) answer() (answer, error) {
	b, err := c.in.next()
	if err == nil && len(b) < 9 {
		err = ErrMalformed
	}
	if err != nil {
		return answer{}, &brokenError{err}
	}
	a, err := parseAnswer(b)
	if err != nil {
		return a, &brokenError{err}
	}
	switch {
	case a.kind == typeAttrs:
		a.data = b[9:]
	case a.kind == typeStatus && len(b) > 13:
		f := fields{b: b[13:]}
		a.data = f.bytes(maxPacket) // its message
	}
	return a, nil
}

// exchange sends a request and reads its answer, which is of a kind or says why not.
func (c *Client) exchange(request []byte, kind byte) (answer, error) {
	if _, err := c.out.Write(finish(request)); err != nil {
		return answer{}, &brokenError{err}
	}
	a, err := c.answer()
	switch {
	case err != nil:
		return a, err
	case a.id != c.lastID || a.kind != kind && a.kind != typeStatus:
		return a, &brokenError{ErrMalformed}
	case a.kind == typeStatus && (a.code != statusOK || kind != typeStatus):
		return a, c.said(a)
	}
	return a, nil
}

func (c *Client) ask(request []byte) error {
	_, err := c.exchange(request, typeStatus)
	return err
}

func (c *Client) open(path string, flags uint32) (string, error) {
	a, err := c.exchange(appendUint32(appendUint32(c.request(typeOpen, path), flags), 0), typeHandle)
	return a.handle, err
}

// size is the size of an open file.
func (c *Client) size(handle string) (int64, error) {
	a, err := c.exchange(c.request(typeFstat, handle), typeAttrs)
	var refused *StatusError
	if err != nil && !errors.As(err, &refused) {
		return 0, err
	}
	f := fields{b: a.data}
	if err != nil || f.uint32()&1 == 0 {
		return -1, nil
	}
	if size := f.uint64(); !f.bad && size <= math.MaxInt64 {
		return int64(size), nil
	}
	return -1, nil
}

func (c *Client) said(a answer) error {
	message := string(a.data)
	if message == "" {
		message = statusName(a.code)
	}
	if a.code == statusOK {
		return &brokenError{fmt.Errorf("%w: a status where there should be more", ErrMalformed)}
	}
	return &StatusError{Denied: a.code == statusDenied, Message: message}
}
