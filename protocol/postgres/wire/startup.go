package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// MaxStartup is the longest first packet, as in the server
// (MAX_STARTUP_PACKET_LENGTH).
const MaxStartup = 10000

// Codes in the place of a protocol version.
const (
	codeCancel = 80877102
	codeSSL    = 80877103
	codeGSS    = 80877104
)

// Version30 and Version32 are the protocol versions that exist.
const (
	Version30 = 3 << 16
	Version32 = 3<<16 | 2
)

// StartupKind says what a first packet asks for.
type StartupKind uint8

// Kinds of first packets.
const (
	StartupSession StartupKind = iota + 1
	StartupSSL
	StartupGSS
	StartupCancel
)

// Startup is a first packet.
type Startup struct {
	Kind    StartupKind
	Version uint32      // StartupSession
	Params  []Parameter // StartupSession, in the client's order, without duplicates
	PID     uint32      // StartupCancel
	Key     []byte      // StartupCancel
}

// Parameter is a startup parameter.
type Parameter struct{ Name, Value string }

// Get returns the parameter of that name.
func (s *Startup) Get(name string) (string, bool) {
	for _, p := range s.Params {
		if p.Name == name {
			return p.Value, true
		}
	}
	return "", false
}

// ReadStartup reads one first packet from r, and not a byte more, so that
// nothing that was sent in clear is taken for what follows a TLS handshake.
// first holds bytes that were read already.
func ReadStartup(r io.Reader, first []byte) (*Startup, error) {
	var head [4]byte
	n := copy(head[:], first)
	if n < len(first) {
		return nil, errors.New("wire: more first bytes than a length")
	}
	if _, err := io.ReadFull(r, head[n:]); err != nil {
		return nil, err
	}
	size := binary.BigEndian.Uint32(head[:])
	if size < 8 || size > MaxStartup {
		return nil, fmt.Errorf("%w: startup packet of length %d", ErrProtocol, size)
	}
	body := make([]byte, size-4)
	if _, err := io.ReadFull(r, body); err != nil {
		return nil, err
	}
	return ParseStartup(body)
}

// ParseStartup reads a first packet without its length.
func ParseStartup(body []byte) (*Startup, error) {
	if len(body) < 4 || len(body) > MaxStartup {
		return nil, invalid("startup")
	}
	code, rest := binary.BigEndian.Uint32(body), body[4:]
	switch code {
	case codeSSL, codeGSS:
		if len(rest) != 0 {
			return nil, invalid("encryption request")
		}
		if code == codeSSL {
			return &Startup{Kind: StartupSSL}, nil
		}
		return &Startup{Kind: StartupGSS}, nil
	case codeCancel:
		// The key has 4 bytes in protocol 3.0 and 4 to 256 in 3.2.
		if len(rest) < 8 || len(rest) > 4+256 {
			return nil, invalid("cancel request")
		}
		return &Startup{Kind: StartupCancel, PID: binary.BigEndian.Uint32(rest), Key: append([]byte(nil), rest[4:]...)}, nil
	}
	if code>>16 != 3 {
		return nil, fmt.Errorf("%w: unsupported protocol version %d.%d", ErrProtocol, code>>16, code&0xffff)
	}
	s := &Startup{Kind: StartupSession, Version: code}
	c := cursor{b: rest}
	for {
		name := string(c.cstring())
		if c.bad {
			return nil, invalid("startup")
		}
		if name == "" {
			break
		}
		value := string(c.cstring())
		if c.bad {
			return nil, invalid("startup")
		}
		if _, twice := s.Get(name); twice {
			return nil, fmt.Errorf("%w: startup parameter given twice", ErrProtocol)
		}
		s.Params = append(s.Params, Parameter{name, value})
	}
	if !c.done() {
		return nil, invalid("startup")
	}
	return s, nil
}

// AppendStartup appends a first packet that opens a session.
func AppendStartup(dst []byte, version uint32, params []Parameter) []byte {
	at := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	dst = binary.BigEndian.AppendUint32(dst, version)
	for _, p := range params {
		dst = append(append(dst, p.Name...), 0)
		dst = append(append(dst, p.Value...), 0)
	}
	dst = append(dst, 0)
	binary.BigEndian.PutUint32(dst[at:], uint32(len(dst)-at))
	return dst
}

// AppendSSLRequest appends the packet that asks for TLS.
func AppendSSLRequest(dst []byte) []byte {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(dst, 8), codeSSL)
}

// AppendCancel appends a cancel request.
func AppendCancel(dst []byte, pid uint32, key []byte) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(12+len(key)))
	dst = binary.BigEndian.AppendUint32(dst, codeCancel)
	dst = binary.BigEndian.AppendUint32(dst, pid)
	return append(dst, key...)
}
