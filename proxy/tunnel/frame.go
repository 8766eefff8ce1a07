package tunnel

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// kind is what a frame holds.
type kind uint8

// Kinds of frames. A receiver leaves out the kinds that it does not know, so that later versions can
// add some.
const (
	kindHello    kind = iota + 1 // agent: who it is
	kindWelcome                  // gateway: the answer
	kindBye                      // gateway: why the connection ends
	kindPing                     // agent
	kindPong                     // gateway
	kindDial                     // gateway: connect to a resource
	kindRefused                  // agent: why it did not
	kindCancel                   // gateway: nobody waits for a dial any more
	kindGateways                 // gateway: the addresses of all gateways
	kindRenew                    // agent: a request for a certificate
	kindIssued                   // gateway: the certificate
	kindLeaving                  // both: no new dials, open connections go on
	kindClaim                    // agent, on a data connection: it is that of a dial
	kindEnrol                    // agent, to enrol: a token, and a request for a certificate
	kindProbe                    // gateway: are you there? The answer is a ping
)

// Protocols of TLS, by which a server knows what a connection is for.
const (
	protoControl = "sallyport-agent/1"
	protoData    = "sallyport-agent-data/1"
	protoEnrol   = "sallyport-agent-enrol/1"
)

const (
	headerSize = 5        // four bytes of length, one of kind
	maxBody    = 16 << 10 // of every frame; it is compared before memory is taken
	claimSize  = idSize + macSize
)

var errFrame = errors.New("the frame is longer than what its kind may have")

// readFrame reads one frame whose body has at most limit bytes. It reads no byte after the frame.
func readFrame(r io.Reader, limit int) (kind, []byte, error) {
	var h [headerSize]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return 0, nil, err
	}
	k, n := kind(h[4]), binary.BigEndian.Uint32(h[:4])
	if n > uint32(limit) {
		return 0, nil, fmt.Errorf("%w: kind %d, got %d bytes, want at most %d", errFrame, k, n, limit)
	}
	if n == 0 {
		return k, nil, nil
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(r, body); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return 0, nil, err
	}
	return k, body, nil
}

// frame returns a frame as it is sent.
func frame(k kind, body []byte) ([]byte, error) {
	if len(body) > maxBody {
		return nil, fmt.Errorf("%w: kind %d, got %d bytes, want at most %d", errFrame, k, len(body), maxBody)
	}
	b := make([]byte, headerSize, headerSize+len(body))
	binary.BigEndian.PutUint32(b, uint32(len(body)))
	b[4] = byte(k)
	return append(b, body...), nil
}
