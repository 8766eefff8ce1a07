package control

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"

	"github.com/sallyport/sallyport/proxy"
)

// Listen listens on a local socket that only this user and root can open; see Share. A
// socket that a stopped process left is replaced; that no other process serves it is for
// the caller to know. Each user of the machine may have maxPerUser connections open,
// where the system tells who is at the other end.
func Listen(path string) (net.Listener, error) {
	if st, err := os.Lstat(path); err == nil {
		if st.Mode().Type() != fs.ModeSocket {
			return nil, fmt.Errorf("%s exists already and is not a socket: remove it, or choose another path", path)
		}
		if err := os.Remove(path); err != nil {
			return nil, err
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		ln.Close()
		return nil, err
	}
	return &listener{UnixListener: ln, open: make(map[int]int)}, nil
}

// Share says whether other users of the machine can open the socket that Listen made
// at path. They can then ask, and [Handler.Permit] decides what for. The socket's folder
// is made one that they can pass through and not list.
func Share(path string, others bool) error {
	if !others {
		return os.Chmod(path, 0o600)
	}
	dir := filepath.Dir(path)
	st, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if mode := st.Mode().Perm(); mode&0o011 != 0o011 {
		if err := os.Chmod(dir, mode|0o011); err != nil {
			return err
		}
	}
	return os.Chmod(path, 0o666)
}

// maxPerUser bounds the open connections of one user of the machine, so that none can
// use up the gateway's descriptors.
const maxPerUser = 64

// listener counts connections by the user at the other end.
type listener struct {
	*net.UnixListener
	mu   sync.Mutex
	open map[int]int
}

// Accept returns the next connection. One too many of its user is closed.
func (l *listener) Accept() (net.Conn, error) {
	for {
		c, err := l.UnixListener.Accept()
		if err != nil {
			return nil, err
		}
		p, err := peerOf(c)
		if err != nil {
			return c, nil // nobody: refused by PeerIdentity
		}
		if l.enter(p.UID) {
			return &peerConn{Conn: c, peer: p, leave: sync.OnceFunc(func() { l.leave(p.UID) })}, nil
		}
		c.Close()
	}
}

func (l *listener) enter(uid int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open[uid] >= maxPerUser {
		return false
	}
	l.open[uid]++
	return true
}

func (l *listener) leave(uid int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open[uid]--; l.open[uid] == 0 {
		delete(l.open, uid)
	}
}

// peerConn is a connection whose peer is known.
type peerConn struct {
	net.Conn
	peer  Peer
	leave func()
}

func (c *peerConn) Close() error {
	c.leave()
	return c.Conn.Close()
}

// Peer is the process at the other end of a local socket, as the operating
// system knows it.
type Peer struct{ UID, PID int }

type peerKey struct{}

// PeerContext notes who is at the other end of c. It is for http.Server's
// ConnContext.
func PeerContext(ctx context.Context, c net.Conn) context.Context {
	known, ok := c.(*peerConn)
	if ok {
		return context.WithValue(ctx, peerKey{}, known.peer)
	}
	p, err := peerOf(c)
	if err != nil {
		return ctx // nobody: refused by PeerIdentity
	}
	return context.WithValue(ctx, peerKey{}, p)
}

// PeerIdentity is who the operating system says makes a request that came over
// a local socket: the user's name there. It is for Handler's Authenticate.
func PeerIdentity(r *http.Request) (*proxy.Identity, error) {
	p, ok := r.Context().Value(peerKey{}).(Peer)
	if !ok {
		return nil, proxy.ErrUnauthenticated
	}
	return &proxy.Identity{Subject: userName(p.UID), Method: proxy.MethodPeer}, nil
}

// userName is the name of a user of this machine, or "uid:N" when it has none.
func userName(uid int) string {
	if u, err := user.LookupId(strconv.Itoa(uid)); err == nil && u.Username != "" {
		return u.Username
	}
	return "uid:" + strconv.Itoa(uid)
}

// Self is the identity of this process's user, as PeerIdentity would name it.
func Self() string { return userName(os.Geteuid()) }
