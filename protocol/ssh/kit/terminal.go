package kit

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"

	gossh "golang.org/x/crypto/ssh"

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

// openTerminal asks for a shell on a terminal over c.
func openTerminal(ctx context.Context, c net.Conn, q protocol.TerminalRequest) (protocol.Terminal, error) {
	client, err := enter(ctx, c, q.User)
	if err != nil {
		return nil, err
	}
	t := &terminal{client: client}
	if err := t.open(q); err != nil {
		t.client.Close()
		return nil, err
	}
	return t, nil
}

func (t *terminal) open(q protocol.TerminalRequest) (err error) {
	if t.session, err = session(t.client); err != nil {
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
