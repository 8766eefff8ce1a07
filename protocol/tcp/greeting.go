package tcp

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// ALPN is the protocol that a client agrees on by TLS which speaks with the gateway before it does with the resource. The
// client sends one line, a JSON object of who it is and what it asks for. The gateway answers by such lines, until one says that the
// connection is open, after which the resource's bytes follow, or that it is refused, after which nothing does.
const ALPN = "sallyport-tcp/1"

// Bounds of what is said before a connection is open, in bytes.
const (
	maxAsk    = 8 << 10
	maxAnswer = 16 << 10
)

// ask is what a client says.
type ask struct {
	User     string `json:"user,omitempty"`     // as proxy.ParseLogin reads it; with a certificate it may be empty
	Resource string `json:"resource,omitempty"` // empty: the user, the server name or the listener says it
	Account  string `json:"account,omitempty"`
	Password string `json:"password,omitempty"` // or an access token; empty: the certificate proves who it is
}

// States of an answer.
const (
	stateWaits   = "waits" // an approval is needed; another answer follows
	stateOpen    = "open"
	stateRefused = "refused"
)

// answer is what the gateway says.
type answer struct {
	State   string `json:"state"`
	Message string `json:"message,omitempty"`
	Link    string `json:"link,omitempty"` // where an approval is decided
}

var errLine = errors.New("a line of the greeting is too long")

// readLine reads a line of at most limit bytes, and nothing after it.
func readLine(r io.Reader, limit int) ([]byte, error) {
	line := make([]byte, 0, 256)
	for {
		if len(line) == limit {
			return nil, fmt.Errorf("%w: more than %d bytes", errLine, limit)
		}
		at := len(line)
		line = append(line, 0)
		if _, err := io.ReadFull(r, line[at:]); err != nil {
			if err == io.EOF && at > 0 {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
		if line[at] == '\n' {
			return line[:at], nil
		}
	}
}

// writeLine writes v as a line.
func writeLine(w io.Writer, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = w.Write(append(b, '\n'))
	return err
}
