package kit

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"

	gossh "golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/protocol"
	"github.com/sallyport/sallyport/protocol/ssh/sftp"
)

// files is a session that moves files by SFTP.
type files struct {
	client *gossh.Client
	sftp   *sftp.Client
}

// openFiles asks for the subsystem that clients of SFTP use.
func openFiles(ctx context.Context, c net.Conn, q protocol.FilesRequest) (protocol.Files, error) {
	client, err := enter(ctx, c, q.User)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { client.Close() })
	defer stop()
	f := &files{client: client}
	if err := f.open(); err != nil {
		client.Close()
		return nil, err
	}
	return f, nil
}

func (f *files) open() error {
	s, err := session(f.client)
	if err != nil {
		return err
	}
	in, err := s.StdinPipe()
	if err != nil {
		return err
	}
	out, err := s.StdoutPipe()
	if err != nil {
		return err
	}
	aside, err := s.StderrPipe()
	if err != nil {
		return err
	}
	said, all := new(said), make(chan struct{})
	go func() {
		defer close(all)
		_, _ = io.Copy(said, aside) // until the channel's end
	}()
	if err := s.RequestSubsystem("sftp"); err != nil {
		return errors.New("the machine has no SFTP")
	}
	if f.sftp, err = sftp.NewClient(out, in); err != nil {
		s.Close()
		<-all
		if text := said.text(); text != "" {
			err = errors.New(text)
		}
	}
	return err
}

// said keeps the beginning of what the gateway says.
type said struct {
	mu sync.Mutex
	b  []byte
}

// Write implements [io.Writer].
func (s *said) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.b = append(s.b, b[:min(len(b), 2048-len(s.b))]...)
	return len(b), nil
}

func (s *said) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.TrimSpace(strings.ToValidUTF8(string(s.b), ""))
}

// Get implements [protocol.Files].
func (f *files) Get(path string, begin func(size int64) error, w io.Writer) error {
	return fileError(f.sftp.Get(path, begin, w))
}

// Put implements [protocol.Files].
func (f *files) Put(path string, r io.Reader) error { return fileError(f.sftp.Put(path, r)) }

func fileError(err error) error {
	var said *sftp.StatusError
	if errors.As(err, &said) {
		return &protocol.FileError{Message: said.Message, Refused: said.Denied}
	}
	return err
}

// Close ends the session.
func (f *files) Close() error { return f.client.Close() }
