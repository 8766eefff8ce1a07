package sftp_test

import (
	"fmt"
	"io"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/protocol/ssh/sftp"
)

// A file is written to a server, over an SSH connection that is there.
func ExampleClient() {
	_ = func(conn *ssh.Client) error {
		session, err := conn.NewSession()
		if err != nil {
			return fmt.Errorf("writing a file: %w", err)
		}
		defer session.Close()
		in, err := session.StdinPipe()
		if err != nil {
			return fmt.Errorf("writing a file: %w", err)
		}
		out, err := session.StdoutPipe()
		if err != nil {
			return fmt.Errorf("writing a file: %w", err)
		}
		if err := session.RequestSubsystem("sftp"); err != nil {
			return fmt.Errorf("writing a file: %w", err)
		}
		client, err := sftp.NewClient(out, in)
		if err != nil {
			return err
		}
		if err := client.Put("/etc/motd", strings.NewReader("Planned work at 22:00.\n")); err != nil {
			return err
		}
		return client.Get("/etc/motd", nil, io.Discard)
	}
}
