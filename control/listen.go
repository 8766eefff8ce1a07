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
	"strconv"

	"github.com/sallyport/sallyport/proxy"
)

// Listen listens on a local socket that only this user can open. A socket that
// a stopped process left is replaced; that no other process serves it is for the
// caller to know.
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
	ln, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		ln.Close()
		return nil, err
	}
	return ln, nil
}

// Peer is the process at the other end of a local socket, as the operating
// system knows it.
type Peer struct{ UID, PID int }

type peerKey struct{}

// PeerContext notes who is at the other end of c. It is for http.Server's
// ConnContext.
func PeerContext(ctx context.Context, c net.Conn) context.Context {
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
