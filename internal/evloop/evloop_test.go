//go:build linux

package evloop

import (
	"errors"
	"io"
	"net"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// connect returns both ends of a TCP connection, one of them detached.
func connect(t *testing.T) (far net.Conn, fd int) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	far, err = net.Dial("tcp", ln.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { far.Close() })
	near, err := ln.Accept()
	require.NoError(t, err)
	fd, err = Detach(near)
	require.NoError(t, err)
	t.Cleanup(func() { Close(fd) })
	return far, fd
}

// relay watches a pair that copies between two connections.
func relay(t *testing.T, s *Set) (client, server net.Conn, p *Pair) {
	t.Helper()
	client, a := connect(t)
	server, b := connect(t)
	fds := [...]int{First: a, Second: b}
	buf := make([]byte, 1024)
	p, err := s.Watch(a, b, func(side Side) {
		n, err := Read(fds[side], buf)
		if err != nil {
			return
		}
		Write(fds[First+Second-side], buf[:n])
	})
	require.NoError(t, err)
	t.Cleanup(p.Leave)
	return client, server, p
}

func send(t *testing.T, from, to net.Conn, text string) {
	t.Helper()
	_, err := io.WriteString(from, text)
	require.NoError(t, err)
	got := make([]byte, len(text))
	to.SetReadDeadline(time.Now().Add(10 * time.Second))
	_, err = io.ReadFull(to, got)
	require.NoError(t, err)
	require.Equal(t, text, string(got))
}

// settles waits until no goroutine is left that was not there before.
func settles(t *testing.T, before int) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > before; time.Sleep(time.Millisecond) {
		require.True(t, time.Now().Before(end), "goroutines stay")
	}
}

func TestBothSidesAreServed(t *testing.T) {
	before := runtime.NumGoroutine()
	var s Set
	var pairs []*Pair
	for range 20 {
		client, server, p := relay(t, &s)
		pairs = append(pairs, p)
		for range 10 {
			send(t, client, server, "question")
			send(t, server, client, "answer")
		}
	}
	for _, p := range pairs {
		require.Equal(t, None, p.Interrupted())
		p.Leave()
		p.Leave()
		<-p.Left()
		<-p.Idle()
		require.False(t, p.Slow())
	}
	require.Empty(t, s.loops)
	settles(t, before)
}

// A call that takes its time keeps nobody waiting, and its pair has left when it
// returns.
func TestSlowCalls(t *testing.T) {
	var s Set
	far, fd := connect(t)
	_, other := connect(t)
	begun, release := make(chan struct{}), make(chan struct{})
	var calls atomic.Int32
	slow, err := s.Watch(fd, other, func(Side) {
		calls.Add(1)
		close(begun)
		<-release
	})
	require.NoError(t, err)
	client, server, _ := relay(t, &s)
	_, err = far.Write([]byte{1})
	require.NoError(t, err)
	<-begun
	for range 10 {
		send(t, client, server, "question")
	}
	<-slow.Left()
	require.True(t, slow.Slow())
	require.Equal(t, First, slow.Interrupted())
	select {
	case <-slow.Idle():
		t.Fatal("idle while the call is under way")
	default:
	}
	close(release)
	<-slow.Idle()
	send(t, client, server, "more")
	require.EqualValues(t, 1, calls.Load())
}

// A pair that leaves in its own call gives the loop to others at once.
func TestLeaveInACall(t *testing.T) {
	var s Set
	far, fd := connect(t)
	_, other := connect(t)
	client, server, _ := relay(t, &s)
	set, release := make(chan *Pair, 1), make(chan struct{})
	p, err := s.Watch(fd, other, func(Side) {
		(<-set).Leave()
		<-release
	})
	require.NoError(t, err)
	set <- p
	_, err = far.Write([]byte{1})
	require.NoError(t, err)
	<-p.Left()
	require.False(t, p.Slow())
	send(t, client, server, "question")
	close(release)
	<-p.Idle()
}

// A watch that fell asleep wakes up.
func TestWatchSleepsAndWakes(t *testing.T) {
	var s Set
	client, server, _ := relay(t, &s)
	require.Eventually(t, func() bool {
		l := s.loops[0]
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.asleep
	}, 10*watchCalm*watchEvery, watchEvery)
	far, fd := connect(t)
	_, other := connect(t)
	release := make(chan struct{})
	slow, err := s.Watch(fd, other, func(Side) { <-release })
	require.NoError(t, err)
	_, err = far.Write([]byte{1})
	require.NoError(t, err)
	send(t, client, server, "question")
	<-slow.Left()
	close(release)
	<-slow.Idle()
}

func TestDescriptors(t *testing.T) {
	far, fd := connect(t)
	b := make([]byte, 8)
	_, err := Read(fd, b)
	require.ErrorIs(t, err, ErrNothing)
	n, err := Write(fd, []byte("hello"))
	require.NoError(t, err)
	require.Equal(t, 5, n)
	_, err = io.ReadFull(far, b[:5])
	require.NoError(t, err)

	again, err := Attach(fd)
	require.NoError(t, err)
	defer again.Close()
	send(t, again, far, "a connection again")
	send(t, far, again, "both ways")

	far.Close()
	require.Eventually(t, func() bool {
		_, err = Read(fd, b)
		return err != ErrNothing
	}, 10*time.Second, time.Millisecond)
	require.ErrorIs(t, err, io.EOF)

	a, z := net.Pipe()
	defer a.Close()
	defer z.Close()
	_, err = Detach(a)
	require.Error(t, err)
}

// What has become of the other side is seen without reading.
func TestLook(t *testing.T) {
	for name, listen := range map[string]func() (net.Listener, error){
		"TCP":  func() (net.Listener, error) { return net.Listen("tcp", "127.0.0.1:0") },
		"Unix": func() (net.Listener, error) { return net.Listen("unix", t.TempDir()+"/s") },
	} {
		t.Run(name, func(t *testing.T) {
			ln, err := listen()
			require.NoError(t, err)
			defer ln.Close()
			open := func() (far, near net.Conn) {
				far, err := net.Dial(ln.Addr().Network(), ln.Addr().String())
				require.NoError(t, err)
				t.Cleanup(func() { far.Close() })
				near, err = ln.Accept()
				require.NoError(t, err)
				t.Cleanup(func() { near.Close() })
				return far, near
			}
			becomes := func(c net.Conn, want Peer) {
				t.Helper()
				require.Eventually(t, func() bool {
					got, err := Look(c)
					require.NoError(t, err)
					return got == want
				}, 10*time.Second, time.Millisecond)
			}
			far, near := open()
			becomes(near, Present)
			_, err = io.WriteString(far, "nobody reads")
			require.NoError(t, err)
			becomes(near, Unread)
			require.NoError(t, far.(interface{ CloseWrite() error }).CloseWrite())
			becomes(near, Ended)
			_, err = io.WriteString(near, "an answer")
			require.NoError(t, err)
			becomes(near, Ended)
			far.Close() // with an answer that it has not read
			becomes(near, Gone)

			far, near = open()
			far.Close()
			becomes(near, map[string]Peer{"TCP": Ended, "Unix": Gone}[name])
			near.Write([]byte("anybody there?"))
			becomes(near, Gone)
		})
	}
	a, z := net.Pipe()
	defer a.Close()
	defer z.Close()
	_, err := Look(a)
	require.ErrorIs(t, err, errors.ErrUnsupported)
}

func BenchmarkTurn(b *testing.B) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(b, err)
	defer ln.Close()
	var ends [2]net.Conn
	var fds [2]int
	for i := range ends {
		ends[i], err = net.Dial("tcp", ln.Addr().String())
		require.NoError(b, err)
		defer ends[i].Close()
		near, err := ln.Accept()
		require.NoError(b, err)
		fds[i], err = Detach(near)
		require.NoError(b, err)
		defer Close(fds[i])
	}
	var s Set
	buf := make([]byte, 1024)
	p, err := s.Watch(fds[0], fds[1], func(side Side) {
		if n, err := Read(fds[side-First], buf); err == nil {
			Write(fds[Second-side], buf[:n])
		}
	})
	require.NoError(b, err)
	defer p.Leave()
	msg := make([]byte, 64)
	b.ReportAllocs()
	for b.Loop() {
		for i := range ends {
			if _, err := ends[i].Write(msg); err != nil {
				b.Fatal(err)
			}
			if _, err := io.ReadFull(ends[1-i], msg); err != nil {
				b.Fatal(err)
			}
		}
	}
}
