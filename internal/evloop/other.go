//go:build !linux

package evloop

import (
	"errors"
	"net"
)

// loop does nothing: this system has no poller that the package knows.
type loop struct{ set *Set }

func newLoop(*Set) (*loop, error) { return nil, errors.ErrUnsupported }

func (l *loop) len() int                { return 0 }
func (l *loop) add(*Pair) error         { return errors.ErrUnsupported }
func (l *loop) remove(*Pair, bool) bool { return false }
func (l *loop) end()                    {}

// Detach fails with errors.ErrUnsupported and leaves c as it is.
func Detach(net.Conn) (int, error) { return -1, errors.ErrUnsupported }

// Attach fails with errors.ErrUnsupported.
func Attach(int) (net.Conn, error) { return nil, errors.ErrUnsupported }

// Close fails with errors.ErrUnsupported.
func Close(int) error { return errors.ErrUnsupported }

// Read fails with errors.ErrUnsupported.
func Read(int, []byte) (int, error) { return 0, errors.ErrUnsupported }

// Write fails with errors.ErrUnsupported.
func Write(int, []byte) (int, error) { return 0, errors.ErrUnsupported }

// Look fails with errors.ErrUnsupported.
func Look(net.Conn) (Peer, error) { return Present, errors.ErrUnsupported }
