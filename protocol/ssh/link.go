package ssh

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/proxy"
)

// link logs the client in by a link that it shows. The error wraps proxy.ErrNoLink where it
// is not offered one.
func (l *loginProcess) link(login proxy.Login, ask AskFunc) (*gossh.Permissions, error) {
	name, err := l.handler.resourceName(login)
	if err != nil || name == "" {
		return nil, proxy.ErrNoLink
	}
	id, err := l.conn.Link(l.ctx, login, name, func(link proxy.Link) error {
		_, err := ask(fmt.Sprintf("To connect to %s, open this page in a browser and log in:\n\n    %s\n\nThere, type this code:  %s\n\nThis waits until %s.\n",
			printable(name), link.URL, link.Code, link.Expires.UTC().Format("15:04:05 MST")))
		return err
	})
	var failed *proxy.LinkError
	if errors.As(err, &failed) {
		// It is told why, and not offered another one by itself, as clients ask three times.
		l.conn.SetDeadline(time.Now().Add(farewell))
		_, _ = ask(failed.Error()) // it may have left
		l.conn.Close()
	}
	if err != nil {
		return nil, err
	}
	return permissions(&proven{login: login, identity: id}), nil
}

// farewell is how long a client may take to be told why it is not logged in.
const farewell = 2 * time.Second

// watched is a client's connection while nobody waits for what it sends, but for the
// library, which reads ahead: left is told when the client has left.
type watched struct {
	net.Conn
	left context.CancelCauseFunc
}

func (w *watched) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	if err != nil {
		w.left(proxy.ErrClientLeft)
	}
	return n, err
}
