package kit

import (
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

// terminal is a shell at a resource.
type terminal struct {
	client  *gossh.Client
	session *gossh.Session
	in      io.WriteCloser
	out     *io.PipeReader
	mu      sync.Mutex
	status  *int
}

// openTerminal asks for a shell on a terminal over c. The other end of c is the gateway's own
// handler, in this process: there is no host key to be checked, and nothing to be proven.
func openTerminal(ctx context.Context, c net.Conn, q protocol.TerminalRequest) (protocol.Terminal, error) {
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	conn, channels, requests, err := gossh.NewClientConn(c, "", &gossh.ClientConfig{
		User: q.User, HostKeyCallback: gossh.InsecureIgnoreHostKey(), // #nosec G106: see above
	})
	if err != nil {
		c.Close()
		return nil, fmt.Errorf("opening a terminal: %w", err)
	}
	t := &terminal{client: gossh.NewClient(sshconn.UntilWait(conn), channels, requests)}
	if err := t.open(q); err != nil {
		t.client.Close()
		return nil, err
	}
	return t, nil
}

func (t *terminal) open(q protocol.TerminalRequest) (err error) {
	if t.session, err = t.client.NewSession(); err != nil {
		var refused *gossh.OpenChannelError
		if errors.As(err, &refused) && refused.Message != "" {
			err = errors.New(refused.Message) // in the gateway's words
		}
		return err
	}
	if t.in, err = t.session.StdinPipe(); err != nil {
		return err
	}
	stdout, err := t.session.StdoutPipe()
	if err != nil {
		return err
	}
	stderr, err := t.session.StderrPipe() // what the gateway says
	if err != nil {
		return err
	}
	out, shown := io.Pipe()
	t.out = out
	var both sync.WaitGroup
	for _, r := range []io.Reader{stdout, stderr} {
		// A pipe takes one write at a time, and whole.
		both.Go(func() { _, _ = io.Copy(shown, r) })
	}
	// From here on something is shown, why there is no terminal included.
	go func() {
		err := t.begin(q)
		if err == nil {
			err = t.session.Wait()
		}
		both.Wait()
		t.ended(err)
		shown.Close()
		t.client.Close()
	}()
	return nil
}

func (t *terminal) begin(q protocol.TerminalRequest) error {
	err := t.session.RequestPty(q.Type, q.Rows, q.Columns, gossh.TerminalModes{})
	if err == nil {
		err = t.session.Shell()
	}
	if err != nil {
		// What keeps it from being opened is told aside; the end comes with that.
		t.session.Close()
	}
	return err
}

func (t *terminal) ended(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var exit *gossh.ExitError
	switch {
	case err == nil:
		t.status = new(int)
	case errors.As(err, &exit) && exit.Signal() == "":
		code := exit.ExitStatus()
		t.status = &code
	}
}

func (t *terminal) Read(b []byte) (int, error) { return t.out.Read(b) }

func (t *terminal) Write(b []byte) (int, error) { return t.in.Write(b) }

func (t *terminal) Resize(columns, rows int) error { return t.session.WindowChange(rows, columns) }

func (t *terminal) Status() (int, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.status == nil {
		return 0, false
	}
	return *t.status, true
}

// Close leaves.
func (t *terminal) Close() error {
	t.out.Close()
	return t.client.Close()
}
