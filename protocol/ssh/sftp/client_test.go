package sftp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// answering is a server that answers each request by a function, and nothing where that returns nil.
func answering(t *testing.T, answer func(r request) []byte) *Client {
	t.Helper()
	near, far := net.Pipe()
	t.Cleanup(func() { near.Close(); far.Close() })
	out := make(chan []byte, 100)
	go func() {
		for b := range out {
			if _, err := far.Write(b); err != nil {
				return
			}
		}
		far.Close()
	}()
	go func() {
		defer close(out)
		in := packets{r: far}
		for {
			b, err := in.next()
			if err != nil {
				return
			}
			if b[4] == typeInit {
				out <- finish(appendUint32(begin(typeVersion), version))
				continue
			}
			r, err := parseRequest(b)
			if err != nil {
				return
			}
			a := answer(r)
			if a == nil {
				return
			}
			out <- a
		}
	}()
	c, err := NewClient(near, near)
	require.NoError(t, err)
	return c
}

func handleAnswer(id uint32) []byte {
	return finish(appendText(appendUint32(begin(typeHandle), id), "h"))
}

func dataAnswer(id uint32, data string) []byte {
	return finish(appendText(appendUint32(begin(typeData), id), data))
}

func attrsAnswer(id uint32, size uint64) []byte {
	return finish(binary.BigEndian.AppendUint64(appendUint32(appendUint32(begin(typeAttrs), id), 1), size))
}

// TestClientGet: a file comes whole, also from a server that gives less at once than was asked for.
func TestClientGet(t *testing.T) {
	file := strings.Repeat("0123456789abcdef", 100_000)
	for _, most := range []int{piece, 10_000, piece - 1} {
		c := answering(t, func(r request) []byte {
			switch r.kind {
			case typeOpen:
				return handleAnswer(r.id)
			case typeFstat:
				return attrsAnswer(r.id, uint64(len(file)))
			case typeRead:
				if r.offset >= uint64(len(file)) {
					return status(r.id, statusEOF, "end")
				}
				rest := file[r.offset:]
				return dataAnswer(r.id, rest[:min(len(rest), most, int(r.length))])
			}
			return status(r.id, statusOK, "")
		})
		var got bytes.Buffer
		size := int64(0)
		require.NoError(t, c.Get("a", func(n int64) error { size = n; return nil }, &got))
		require.Equal(t, int64(len(file)), size)
		require.True(t, file == got.String(), "%d bytes at once", most)
	}
}

// TestClientHostile: a server that breaks the protocol ends the file, and nothing of what it says is waited for.
func TestClientHostile(t *testing.T) {
	for name, read := range map[string]func(id uint32) []byte{
		"no data":           func(id uint32) []byte { return dataAnswer(id, "") },
		"more than asked":   func(id uint32) []byte { return dataAnswer(id, strings.Repeat("x", piece+1)) },
		"one answer twice":  func(uint32) []byte { return dataAnswer(3, "x") },
		"another's answer":  func(id uint32) []byte { return dataAnswer(id+1000, "x") },
		"a handle":          handleAnswer,
		"an ok":             func(id uint32) []byte { return status(id, statusOK, "") },
		"a large packet":    func(uint32) []byte { return []byte{0xff, 0xff, 0xff, 0xff, typeData} },
		"an empty packet":   func(uint32) []byte { return []byte{0, 0, 0, 0, 0} },
		"nothing":           func(uint32) []byte { return nil },
		"a packet cut":      func(uint32) []byte { return []byte{0, 0, 0, 2, typeData, 0} },
		"a length too long": func(id uint32) []byte { return finish(appendUint32(appendUint32(begin(typeData), id), 1<<30)) },
	} {
		t.Run(name, func(t *testing.T) {
			c := answering(t, func(r request) []byte {
				switch r.kind {
				case typeOpen:
					return handleAnswer(r.id)
				case typeFstat:
					return attrsAnswer(r.id, 1<<63)
				}
				return read(r.id)
			})
			size := int64(0)
			err := c.Get("a", func(n int64) error { size = n; return nil }, io.Discard)
			require.Error(t, err)
			var said *StatusError
			require.False(t, errors.As(err, &said))
			require.Equal(t, int64(-1), size, "a size that no file has is not known")
		})
	}
}

// TestClientRefused: what the server says is told, and the stream goes on.
func TestClientRefused(t *testing.T) {
	c := answering(t, func(r request) []byte {
		switch {
		case r.kind == typeOpen && r.path == "no":
			return status(r.id, statusDenied, "not here")
		case r.kind == typeOpen:
			return handleAnswer(r.id)
		case r.kind == typeWrite:
			return status(r.id, statusFailure, "")
		}
		return status(r.id, statusOK, "")
	})
	var said *StatusError
	require.ErrorAs(t, c.Get("no", nil, io.Discard), &said)
	require.Equal(t, &StatusError{Denied: true, Message: "not here"}, said)
	require.ErrorAs(t, c.Put("a", strings.NewReader(strings.Repeat("x", 1<<20))), &said)
	require.Equal(t, &StatusError{Message: "failure"}, said)
	require.NoError(t, c.Put("a", strings.NewReader("")))
	broken := errors.New("the reader")
	require.ErrorIs(t, c.Put("a", io.MultiReader(strings.NewReader(""), &failing{broken})), broken)
	require.NoError(t, c.Put("a", strings.NewReader("")), "after an error of the reader it goes on")
}

type failing struct{ err error }

func (f *failing) Read([]byte) (int, error) { return 0, f.err }
