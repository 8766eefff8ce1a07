package sshconn_test

import (
	"errors"
	"io"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/internal/sshconn"
)

// conn answers questions for channels when it is told to, and ends when it is told to.
type conn struct {
	ssh.Conn
	asked  chan struct{}
	answer chan error
	ended  chan struct{}
	closed chan struct{}
}

func newConn() *conn {
	return &conn{asked: make(chan struct{}, 1), answer: make(chan error), ended: make(chan struct{}), closed: make(chan struct{})}
}

func (c *conn) OpenChannel(string, []byte) (ssh.Channel, <-chan *ssh.Request, error) {
	c.asked <- struct{}{}
	requests := make(chan *ssh.Request)
	close(requests)
	return channel{closed: c.closed}, requests, <-c.answer
}

func (c *conn) Wait() error {
	<-c.ended
	return nil
}

type channel struct {
	ssh.Channel
	closed chan struct{}
}

func (c channel) Close() error {
	close(c.closed)
	return nil
}

var errRefused = errors.New("refused")

// A channel is opened or refused as by the connection itself.
func TestOpenChannel(t *testing.T) {
	for _, want := range []error{nil, errRefused} {
		c := newConn()
		go func() { c.answer <- want }()
		_, _, err := sshconn.UntilWait(c).OpenChannel("session", nil)
		require.Equal(t, want, err)
		close(c.ended)
	}
}

// A connection that ends while it is asked for a channel does not keep who asks, and a channel that comes too late is closed.
func TestEndsWhileItIsAsked(t *testing.T) {
	c := newConn()
	go func() {
		<-c.asked
		close(c.ended)
	}()
	_, _, err := sshconn.UntilWait(c).OpenChannel("session", nil)
	require.ErrorIs(t, err, io.EOF)
	c.answer <- nil
	<-c.closed
}
