package sftp

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
)

// gate notes what it is asked and refuses paths that contain "no".
type gate struct {
	mu    sync.Mutex
	lines []string
	owed  map[proxy.Op]bool
}

func (g *gate) note(format string, args ...any) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.lines = append(g.lines, fmt.Sprintf(format, args...))
}

func (g *gate) Ask(_ context.Context, op proxy.Op) *proxy.Verdict {
	f := op.(*proxy.File)
	v := proxy.Pass()
	if strings.Contains(f.Path+f.Target, "no") {
		v = proxy.Deny(proxy.CausePolicy, "", "refused", "")
	}
	g.note("ask %s %s %s %s", f.Action, f.Path, f.Target, v.Action)
	if !v.Refuses() {
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.owed == nil {
			g.owed = make(map[proxy.Op]bool)
		}
		g.owed[op] = true
	}
	return &v
}

func (g *gate) Refuse(op proxy.Op, _ proxy.Verdict) { g.note("refuse %s", op.(*proxy.File).Target) }

func (g *gate) Done(op proxy.Op, out *proxy.Outcome) {
	g.mu.Lock()
	delete(g.owed, op)
	g.mu.Unlock()
	g.note("done %s %s %s %v", op.(*proxy.File).Action, op.(*proxy.File).Path, out.Code, out.Err)
}

func (g *gate) Flow(proxy.Op, *proxy.Shape) (*proxy.Flow, error) { return nil, nil }

// bench is a relay between two ends that a test plays.
type bench struct {
	t              testing.TB
	client, server net.Conn
	in             packets // what the client gets
	asked          packets // what the server gets
	gate           *gate
	up, down       chan error
	relay          *Relay
}

func newBench(t testing.TB) *bench {
	t.Helper()
	client, relayClient := net.Pipe()
	server, relayServer := net.Pipe()
	b := &bench{t: t, client: client, server: server, gate: &gate{}, up: make(chan error, 1), down: make(chan error, 1)}
	b.in.r, b.asked.r = client, server
	b.relay = &Relay{Gate: b.gate, ClientIn: relayClient, ClientOut: relayClient, ServerIn: relayServer, ServerOut: relayServer}
	go func() { err := b.relay.Up(context.Background()); server.Close(); b.up <- err }()
	go func() { b.down <- b.relay.Down(); relayClient.Close() }()
	t.Cleanup(func() { client.Close(); server.Close() })
	return b
}

// hello agrees on the version.
func (b *bench) hello() {
	b.t.Helper()
	b.send(b.client, finish(appendText(appendText(appendUint32(begin(typeInit), 3), "evil@example.com"), "1")))
	require.Equal(b.t, finish(appendUint32(begin(typeInit), 3)), b.next(&b.asked), "extensions of the client's stay here")
	v := appendUint32(begin(typeVersion), 3)
	v = appendText(appendText(v, "posix-rename@openssh.com"), "1")
	b.send(b.server, finish(appendText(appendText(v, "unknown@example.com"), "1")))
	require.Equal(b.t, pathRequest(typeRealpath, baseID, "."), b.next(&b.asked))
	b.send(b.server, nameReply(baseID, "/srv/me"))
	require.Equal(b.t, finish(appendText(appendText(appendUint32(begin(typeVersion), 3), "posix-rename@openssh.com"), "1")), b.next(&b.in))
}

func (b *bench) send(to net.Conn, packet []byte) {
	b.t.Helper()
	_, err := to.Write(packet)
	require.NoError(b.t, err)
}

func (b *bench) next(from *packets) []byte {
	b.t.Helper()
	p, err := from.next()
	require.NoError(b.t, err)
	return append([]byte(nil), p...)
}

func pathRequest(kind byte, id uint32, paths ...string) []byte {
	b := appendUint32(begin(kind), id)
	for _, p := range paths {
		b = appendText(b, p)
	}
	return finish(b)
}

func openRequest(id uint32, path string, flags uint32) []byte {
	return finish(appendUint32(appendUint32(appendText(appendUint32(begin(typeOpen), id), path), flags), 0))
}

func readRequest(id uint32, handle string, offset uint64, length uint32) []byte {
	b := binary.BigEndian.AppendUint64(appendText(appendUint32(begin(typeRead), id), handle), offset)
	return finish(appendUint32(b, length))
}

func reply(kind byte, id uint32, text string) []byte {
	return finish(appendText(appendUint32(begin(kind), id), text))
}

func nameReply(id uint32, name string) []byte {
	b := appendUint32(appendUint32(begin(typeName), id), 1)
	return finish(appendUint32(appendText(appendText(b, name), name), 0))
}

// TestRelativePaths: rules meet a file under one name, and the server gets what
// was sent.
func TestRelativePaths(t *testing.T) {
	tests := []struct {
		name   string
		packet []byte
		asked  string
	}{
		{"absolute", pathRequest(typeStat, 1, "/a/../b"), "ask stat /a/../b  pass"},
		{"relative", pathRequest(typeStat, 1, "a"), "ask stat /srv/me/a  pass"},
		{"upwards", pathRequest(typeStat, 1, "../a"), "ask stat /srv/me/../a  pass"},
		{"empty", pathRequest(typeStat, 1, ""), "ask stat /srv/me  pass"},
		{"rename", pathRequest(typeRename, 1, "a", "b"), "ask rename /srv/me/a /srv/me/b pass"},
		{"hard link", pathRequest(typeExtended, 1, "hardlink@openssh.com", "old", "/x/new"), "ask link /x/new /srv/me/old pass"},
		{"symbolic link", pathRequest(typeSymlink, 1, "../old", "dir/new"), "ask link /srv/me/dir/new /srv/me/dir/../old pass"},
		{"open", openRequest(1, "a", openRead), "ask read /srv/me/a  pass"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t)
			b.hello()
			b.send(b.client, tt.packet)
			require.Equal(t, tt.packet, b.next(&b.asked))
			require.Contains(t, b.gate.lines, tt.asked)
		})
	}
	t.Run("no base", func(t *testing.T) {
		b := newBench(t)
		b.send(b.client, finish(appendUint32(begin(typeInit), 3)))
		b.next(&b.asked)
		b.send(b.server, finish(appendUint32(begin(typeVersion), 3)))
		b.next(&b.asked)
		b.send(b.server, status(baseID, statusFailure, ""))
		b.next(&b.in)
		b.send(b.client, pathRequest(typeStat, 1, "a"))
		require.Equal(t, byte(statusDenied), b.next(&b.in)[12])
		b.send(b.client, pathRequest(typeStat, 2, "/a"))
		require.Equal(t, pathRequest(typeStat, 2, "/a"), b.next(&b.asked))
	})
}

func TestRelay(t *testing.T) {
	b := newBench(t)
	b.hello()

	open := openRequest(1, "/yes", openRead)
	b.send(b.client, open)
	require.Equal(t, open, b.next(&b.asked), "passed on as it came")
	b.send(b.server, reply(typeHandle, 1, "h"))
	b.next(&b.in)

	b.send(b.client, openRequest(2, "/no", openRead))
	require.Equal(t, status(2, statusDenied, "refused"), b.next(&b.in))

	b.send(b.client, openRequest(3, "/no", openRead|openWrite))
	require.Equal(t, status(3, statusDenied, "refused"), b.next(&b.in))

	b.send(b.client, pathRequest(typeRename, 4, "/a", "/no"))
	require.Equal(t, status(4, statusDenied, "refused"), b.next(&b.in))

	b.send(b.client, pathRequest(typeExtended, 5, "copy-data"))
	require.Equal(t, byte(typeStatus), b.next(&b.in)[4])

	b.send(b.client, readRequest(6, "other", 0, 10))
	require.Equal(t, status(6, statusFailure, "no such handle"), b.next(&b.in))

	write := binary.BigEndian.AppendUint64(appendText(appendUint32(begin(typeWrite), 7), "h"), 0)
	b.send(b.client, finish(appendText(write, "data")))
	require.Equal(t, status(7, statusDenied, "the file is not open for this"), b.next(&b.in))

	read := readRequest(8, "h", 0, 4)
	b.send(b.client, read)
	require.Equal(t, read, b.next(&b.asked))
	b.send(b.server, reply(typeData, 8, "data"))
	require.Equal(t, reply(typeData, 8, "data"), b.next(&b.in))

	b.send(b.client, pathRequest(typeClose, 9, "h"))
	b.next(&b.asked)
	b.send(b.server, status(9, statusOK, ""))
	b.next(&b.in)
	b.send(b.client, readRequest(10, "h", 0, 4))
	require.Equal(t, status(10, statusFailure, "no such handle"), b.next(&b.in))

	b.client.Close()
	require.NoError(t, <-b.up)
	require.NoError(t, <-b.down)
	b.relay.Close()
	require.Empty(t, b.gate.owed)
	require.Contains(t, b.gate.lines, "refuse copy-data")
	require.Contains(t, b.gate.lines, "done read /yes  <nil>")
}

// TestCutOff: what was open when the connection ended is told.
func TestCutOff(t *testing.T) {
	b := newBench(t)
	b.hello()
	b.send(b.client, openRequest(1, "/f", openRead|openWrite))
	b.next(&b.asked)
	b.send(b.server, reply(typeHandle, 1, "h"))
	b.next(&b.in)
	b.send(b.client, pathRequest(typeRemove, 2, "/g"))
	b.next(&b.asked)
	b.client.Close()
	b.server.Close()
	<-b.up
	<-b.down
	b.relay.Close()
	require.Empty(t, b.gate.owed)
	for _, line := range []string{"done read /f", "done write /f", "done remove /g"} {
		require.Contains(t, b.gate.lines, line+"  "+errEnded.Error())
	}
}

// TestClientBreaksProtocol: the relay ends, and the server has seen nothing of
// it.
func TestClientBreaksProtocol(t *testing.T) {
	tests := []struct {
		name   string
		packet []byte
	}{
		{"empty", []byte{0, 0, 0, 0}},
		{"256 MiB", []byte{0x10, 0, 0, 0, typeWrite}},
		{"4 GiB", []byte{0xff, 0xff, 0xff, 0xff, typeOpen}},
		{"no id", []byte{0, 0, 0, 2, typeStat, 0}},
		{"path beyond the packet", finish(appendUint32(appendUint32(begin(typeStat), 1), 100))},
		{"path of 4 GiB", finish(appendUint32(appendUint32(begin(typeStat), 1), math.MaxUint32))},
		{"trailing bytes", finish(append(pathRequest(typeStat, 1, "/f"), 0))},
		{"NUL in a path", pathRequest(typeStat, 1, "/f\x00/g")},
		{"long path", pathRequest(typeStat, 1, strings.Repeat("x", maxPath+1))},
		{"long handle", pathRequest(typeClose, 1, strings.Repeat("x", maxHandle+1))},
		{"unknown open flags", openRequest(1, "/f", 64)},
		{"unknown attributes", finish(appendUint32(appendText(appendUint32(begin(typeMkdir), 1), "/f"), 0x10))},
		{"endless attributes", finish(appendUint32(appendUint32(appendText(appendUint32(begin(typeMkdir), 1), "/f"), 0x80000000), math.MaxUint32))},
		{"extension with trailing bytes", pathRequest(typeExtended, 1, "fsync@openssh.com", "h", "x")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t)
			b.hello()
			go b.client.Write(tt.packet) // the relay may stop reading after the length
			require.ErrorIs(t, <-b.up, ErrMalformed)
			_, err := b.asked.next()
			require.True(t, errors.Is(err, io.EOF) || errors.Is(err, io.ErrClosedPipe), "%v", err)
		})
	}
}

func TestServerBreaksProtocol(t *testing.T) {
	tests := []struct {
		name   string
		packet []byte
	}{
		{"answer to nothing", status(99, statusOK, "")},
		{"data for a stat", reply(typeData, 1, "x")},
		{"handle for a stat", reply(typeHandle, 1, "x")},
		{"unknown type", reply(77, 1, "x")},
		{"a request", pathRequest(typeStat, 1, "/f")},
		{"too long", []byte{0, 0x10, 0, 0, typeData}},
		{"endless names", finish(appendUint32(appendUint32(begin(typeName), 1), math.MaxUint32))},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t)
			b.hello()
			b.send(b.client, pathRequest(typeStat, 1, "/f"))
			b.next(&b.asked)
			go b.server.Write(tt.packet)
			require.ErrorIs(t, <-b.down, ErrMalformed)
		})
	}
	t.Run("more data than asked for", func(t *testing.T) {
		b := newBench(t)
		b.hello()
		b.send(b.client, openRequest(1, "/f", openRead))
		b.next(&b.asked)
		b.send(b.server, reply(typeHandle, 1, "h"))
		b.next(&b.in)
		b.send(b.client, readRequest(2, "h", 0, 2))
		b.next(&b.asked)
		b.send(b.server, reply(typeData, 2, "abc"))
		require.ErrorIs(t, <-b.down, ErrMalformed)
	})
	t.Run("one id twice", func(t *testing.T) {
		b := newBench(t)
		b.hello()
		b.send(b.client, pathRequest(typeStat, 1, "/f"))
		b.next(&b.asked)
		b.send(b.client, pathRequest(typeStat, 1, "/f"))
		require.ErrorIs(t, <-b.up, ErrMalformed)
	})
	t.Run("another version", func(t *testing.T) {
		b := newBench(t)
		b.send(b.client, finish(appendUint32(begin(typeInit), 3)))
		b.next(&b.asked)
		b.send(b.server, finish(appendUint32(begin(typeVersion), 6)))
		require.ErrorIs(t, <-b.down, ErrMalformed)
	})
}

// FuzzRequest: whatever a client sends, it is either refused or names exactly
// one action.
func FuzzRequest(f *testing.F) {
	f.Add(openRequest(1, "/f", openRead|openCreate)[4:])
	f.Add(readRequest(2, "h", 1, 2)[4:])
	f.Add(pathRequest(typeRename, 3, "/a", "/b")[4:])
	f.Add(pathRequest(typeExtended, 4, "posix-rename@openssh.com", "/a", "/b")[4:])
	f.Add(pathRequest(typeSymlink, 5, "a", "/b")[4:])
	f.Add(finish(appendUint32(appendUint32(appendText(appendUint32(begin(typeMkdir), 1), "/f"), 0x80000000), 3))[4:])
	f.Fuzz(func(t *testing.T, body []byte) {
		if len(body) == 0 || len(body) > maxPacket {
			return
		}
		r, err := parseRequest(finish(append([]byte{0, 0, 0, 0}, body...)))
		if err != nil || !r.known {
			return
		}
		if len(r.path) > maxPath || len(r.handle) > maxHandle || strings.ContainsRune(r.path+r.target, 0) {
			t.Fatalf("beyond the limits: %+v", r)
		}
		if !usesHandle(r) && r.name != "limits@openssh.com" && r.action() == proxy.FileUnknown {
			t.Fatalf("a request without an action: %+v", r)
		}
	})
}

// FuzzAnswer: parsing what a server sends does not fail otherwise than by an
// error.
func FuzzAnswer(f *testing.F) {
	f.Add(status(1, 3, "no")[4:])
	f.Add(reply(typeHandle, 1, "h")[4:])
	f.Add(finish(appendUint32(appendUint32(begin(typeName), 1), 0))[4:])
	f.Fuzz(func(t *testing.T, body []byte) {
		if len(body) == 0 || len(body) > maxPacket {
			return
		}
		packet := finish(append([]byte{0, 0, 0, 0}, body...))
		if a, err := parseAnswer(packet); err == nil && len(a.handle) > maxHandle {
			t.Fatal("beyond the limits")
		}
		if out, err := versionAnswer(packet); err == nil && len(out) > len(packet) {
			t.Fatal("the version grew")
		}
	})
}
