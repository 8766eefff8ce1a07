package kit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"

	gossh "golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/internal/sshconn"
	"github.com/sallyport/sallyport/protocol"
)

// runCommand runs a command line over c, whose other end is the gateway's own handler, in this
// process: there is no host key to be checked, and nothing to be proven.
func runCommand(ctx context.Context, c net.Conn, q protocol.CommandRequest) (int, error) {
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	conn, channels, requests, err := gossh.NewClientConn(c, "", &gossh.ClientConfig{
		User: q.User, HostKeyCallback: gossh.InsecureIgnoreHostKey(), // #nosec G106: see above
	})
	if err != nil {
		return 0, fmt.Errorf("running a command: %w", err)
	}
	client := gossh.NewClient(sshconn.UntilWait(conn), channels, requests)
	defer client.Close()
	s, err := client.NewSession()
	if err != nil {
		var refused *gossh.OpenChannelError
		if errors.As(err, &refused) && refused.Message != "" {
			err = errors.New(refused.Message) // in the gateway's words
		}
		return 0, err
	}
	out := &outputs{to: q.Output, end: func() { c.Close() }}
	s.Stdin, s.Stdout, s.Stderr = bytes.NewReader(q.Input), out.writer(false), out.writer(true)
	err = s.Run(q.Line)
	if oerr := out.failed(); oerr != nil {
		return 0, oerr
	}
	if cerr := context.Cause(ctx); cerr != nil {
		return 0, cerr
	}
	var exit *gossh.ExitError
	if errors.As(err, &exit) && exit.Signal() == "" {
		return exit.ExitStatus(), nil
	}
	return 0, err
}

// outputs hands over both outputs of a command, one after the other.
type outputs struct {
	to  func(b []byte, stderr bool) error
	end func()

	mu  sync.Mutex
	err error
}

type output struct {
	*outputs
	stderr bool
}

func (o *outputs) writer(stderr bool) io.Writer { return output{o, stderr} }

func (o *outputs) failed() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.err
}

func (o output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err == nil {
		if o.err = o.to(b, o.stderr); o.err != nil {
			o.end()
		}
	}
	return len(b), o.err
}
