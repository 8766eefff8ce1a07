package kit

import (
	"context"
	"errors"
	"fmt"
	"net"

	gossh "golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/internal/sshconn"
)

// enter logs in over c, whose other end is the gateway's own handler, in this process: there is no host key to be checked, and nothing to be
// proven. The end of ctx ends it while it lasts.
func enter(ctx context.Context, c net.Conn, user string) (*gossh.Client, error) {
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	conn, channels, requests, err := gossh.NewClientConn(c, "", &gossh.ClientConfig{
		User: user, HostKeyCallback: gossh.InsecureIgnoreHostKey(), // #nosec G106: see above
	})
	if err != nil {
		c.Close()
		return nil, fmt.Errorf("opening a session at the gateway's own handler: %w", err)
	}
	return gossh.NewClient(sshconn.UntilWait(conn), channels, requests), nil
}

// session opens a session. Why there is none is in the gateway's words.
func session(client *gossh.Client) (*gossh.Session, error) {
	s, err := client.NewSession()
	var refused *gossh.OpenChannelError
	if errors.As(err, &refused) && refused.Message != "" {
		err = errors.New(refused.Message)
	}
	return s, err
}
