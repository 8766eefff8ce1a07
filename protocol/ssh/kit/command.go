package kit

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"sync"

	gossh "golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/protocol"
)

// runCommand runs a command line over c.
func runCommand(ctx context.Context, c net.Conn, q protocol.CommandRequest) (int, error) {
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	client, err := enter(ctx, c, q.User)
	if err != nil {
		return 0, err
	}
	defer client.Close()
	s, err := session(client)
	if err != nil {
		return 0, err
	}
	s.Stdin = bytes.NewReader(q.Input)
	out := &outputs{to: q.Output, end: func() { c.Close() }}
	s.Stdout, s.Stderr = out.writer(false), out.writer(true)
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
