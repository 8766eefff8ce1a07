package duplex

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

var from = &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 7}

// What is written at one end is read at the other, whole and in order, whatever the sizes.
func TestBothWays(t *testing.T) {
	client, server := Pair(from)
	require.Equal(t, from.String(), server.RemoteAddr().String())
	require.Equal(t, from.String(), client.LocalAddr().String())
	random := rand.New(rand.NewPCG(1, 2))
	data := make([]byte, 3<<20)
	for i := range data {
		data[i] = byte(random.Uint32())
	}
	send := func(c net.Conn, seed uint64) {
		sizes := rand.New(rand.NewPCG(seed, 3))
		for rest := data; len(rest) > 0; {
			n, err := c.Write(rest[:min(len(rest), 1+sizes.IntN(3*Buffer))])
			if err != nil {
				t.Error(err)
				return
			}
			rest = rest[n:]
		}
		require.NoError(t, c.(interface{ CloseWrite() error }).CloseWrite())
	}
	go send(client, 1)
	go send(server, 2)
	got := make(chan []byte, 2)
	for _, c := range []net.Conn{client, server} {
		go func() {
			b, err := io.ReadAll(c)
			if err != nil {
				t.Error(err)
			}
			got <- b
		}()
	}
	require.True(t, bytes.Equal(data, <-got))
	require.True(t, bytes.Equal(data, <-got))
}

// A writer waits once the buffer is full, and for no longer than its deadline.
func TestBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := Pair(from)
		require.NoError(t, client.SetWriteDeadline(time.Now().Add(time.Minute)))
		begun := time.Now()
		n, err := client.Write(make([]byte, 2*Buffer))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.Equal(t, Buffer, n)
		require.Equal(t, time.Minute, time.Since(begun))
		_, err = io.ReadFull(server, make([]byte, Buffer))
		require.NoError(t, err)
		require.NoError(t, client.SetDeadline(time.Time{}))
		_, err = client.Write([]byte("more"))
		require.NoError(t, err)
	})
}

// A deadline wakes who reads, also one that is set meanwhile; without one it waits.
func TestReadDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := Pair(from)
		failed := make(chan error, 1)
		go func() { _, err := server.Read(make([]byte, 1)); failed <- err }()
		time.Sleep(time.Hour)
		require.NoError(t, server.SetReadDeadline(time.Unix(1, 0)))
		require.ErrorIs(t, <-failed, os.ErrDeadlineExceeded)
		require.NoError(t, server.SetReadDeadline(time.Time{}))
		_, err := client.Write([]byte("x"))
		require.NoError(t, err)
		n, err := server.Read(make([]byte, 9))
		require.NoError(t, err)
		require.Equal(t, 1, n)
	})
}

// What was written before the end is read; who writes to nobody is told.
func TestClose(t *testing.T) {
	client, server := Pair(from)
	_, err := client.Write([]byte("last words"))
	require.NoError(t, err)
	waiting := make(chan error, 1)
	go func() { _, err := client.Read(make([]byte, 1)); waiting <- err }()
	require.NoError(t, client.Close())
	require.Error(t, <-waiting)
	b, err := io.ReadAll(server)
	require.NoError(t, err)
	require.Equal(t, "last words", string(b))
	_, err = server.Write([]byte("x"))
	require.ErrorIs(t, err, io.ErrClosedPipe)
	_, err = client.Write([]byte("x"))
	require.True(t, errors.Is(err, net.ErrClosed), err)
	_, err = client.Read(make([]byte, 1))
	require.ErrorIs(t, err, net.ErrClosed)
}
