package tunnel

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"fmt"
)

const (
	idSize  = 16
	keySize = 32
	macSize = sha256.Size
)

// exporterLabel names what both ends of a data connection derive from its handshake.
const exporterLabel = "EXPORTER-sallyport-agent-claim"

// ticket is what makes one data connection that of one dial. It is used once.
type ticket struct {
	id  [idSize]byte
	key [keySize]byte
}

func newTicket() *ticket {
	t := &ticket{}
	rand.Read(t.id[:])
	rand.Read(t.key[:])
	return t
}

// mac is the proof that who claims a dial on a connection has its key. The value that TLS derives is of
// that connection alone and depends on the gateway's certificate; the agent's certificate is added.
func (t *ticket) mac(cs *tls.ConnectionState, agent fingerprint) ([]byte, error) {
	bound, err := cs.ExportKeyingMaterial(exporterLabel, t.id[:], 32)
	if err != nil {
		return nil, fmt.Errorf("binding a claim to its connection: %w", err)
	}
	h := hmac.New(sha256.New, t.key[:])
	h.Write(bound)
	h.Write(agent[:])
	return h.Sum(nil), nil
}

// claim returns the body of the frame that claims the dial on a connection.
func (t *ticket) claim(cs *tls.ConnectionState, agent fingerprint) ([]byte, error) {
	mac, err := t.mac(cs, agent)
	if err != nil {
		return nil, err
	}
	return append(t.id[:len(t.id):len(t.id)], mac...), nil
}

// fingerprint names a certificate.
type fingerprint [sha256.Size]byte

func fingerprintOf(der []byte) fingerprint { return sha256.Sum256(der) }
