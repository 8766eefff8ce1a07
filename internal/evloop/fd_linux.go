package evloop

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
)

// Detach returns c's descriptor, which is now the caller's, and closes c: Go's
// poller no longer watches it. It fails for connections that are not plain TCP or
// Unix ones, and leaves them as they are.
func Detach(c net.Conn) (fd int, err error) {
	switch c.(type) {
	case *net.TCPConn, *net.UnixConn:
	default:
		return -1, errors.ErrUnsupported
	}
	raw, err := c.(syscall.Conn).SyscallConn()
	if err != nil {
		return -1, err
	}
	var dupErr error
	if err := raw.Control(func(old uintptr) { fd, dupErr = duplicate(int(old)) }); err != nil {
		return -1, err
	}
	if dupErr != nil {
		return -1, dupErr
	}
	c.Close()
	return fd, nil
}

// Attach returns a connection over fd, which stays the caller's to close.
func Attach(fd int) (net.Conn, error) {
	again, err := duplicate(fd)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(again), "")
	defer f.Close()
	return net.FileConn(f)
}

func duplicate(fd int) (int, error) {
	n, _, errno := syscall.RawSyscall(syscall.SYS_FCNTL, uintptr(fd), syscall.F_DUPFD_CLOEXEC, 0)
	if errno != 0 {
		return -1, os.NewSyscallError("fcntl", errno)
	}
	return int(n), nil
}

// Close closes a descriptor of Detach's.
func Close(fd int) error { return syscall.Close(fd) }

// Read reads from fd without waiting: ErrNothing when there is nothing to read.
func Read(fd int, b []byte) (int, error) {
	for {
		n, err := syscall.Read(fd, b)
		switch {
		case err == syscall.EINTR:
			continue
		case err == syscall.EAGAIN:
			return 0, ErrNothing
		case err != nil:
			return 0, os.NewSyscallError("read", err)
		case n == 0 && len(b) > 0:
			return 0, io.EOF
		}
		return n, nil
	}
}

// Write writes to fd what can be written without waiting, which may be nothing.
func Write(fd int, b []byte) (int, error) {
	for {
		n, err := syscall.Write(fd, b)
		switch err {
		case nil:
			return n, nil
		case syscall.EINTR:
			continue
		case syscall.EAGAIN:
			return 0, nil
		}
		return 0, os.NewSyscallError("write", err)
	}
}

// Look reports what has become of the other side of c, without reading. It fails with errors.ErrUnsupported for connections that are not plain
// TCP or Unix ones.
func Look(c net.Conn) (Peer, error) {
	switch c.(type) {
	case *net.TCPConn, *net.UnixConn:
	default:
		return Present, errors.ErrUnsupported
	}
	raw, err := c.(syscall.Conn).SyscallConn()
	if err != nil {
		return Present, err
	}
	peer := Present
	var lookErr error
	if err := raw.Control(func(fd uintptr) { peer, lookErr = look(int(fd)) }); err != nil {
		return Present, err
	}
	return peer, lookErr
}

func look(fd int) (Peer, error) {
	poller, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return Present, os.NewSyscallError("epoll_create1", err)
	}
	defer syscall.Close(poller)
	if err := syscall.EpollCtl(poller, syscall.EPOLL_CTL_ADD, fd, &syscall.EpollEvent{Events: syscall.EPOLLIN | syscall.EPOLLRDHUP}); err != nil {
		return Present, os.NewSyscallError("epoll_ctl", err)
	}
	var events [1]syscall.EpollEvent
	n, err := syscall.EpollWait(poller, events[:], 0)
	switch {
	case err != nil:
		return Present, os.NewSyscallError("epoll_wait", err)
	case n == 0:
		return Present, nil
	case events[0].Events&(syscall.EPOLLERR|syscall.EPOLLHUP) != 0:
		return Gone, nil
	case events[0].Events&syscall.EPOLLRDHUP != 0:
		return Ended, nil
	}
	return Unread, nil
}
