package scram

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strings"
)

// Server is a server's side of one exchange. It is used once.
type Server struct {
	Verifier Verifier
	// Binding is this connection's tls-server-end-point data; nil where no binding
	// can be offered.
	Binding []byte

	plus  bool
	gs2   string
	nonce string
	auth  string // the client's first message without its header, and our first
}

// First takes the client's first message for the mechanism that it chose and
// returns the server's.
func (s *Server) First(mechanism string, message []byte) ([]byte, error) {
	switch {
	case mechanism == MechanismPlus && s.Binding != nil:
		s.plus = true
	case mechanism != Mechanism:
		return nil, malformed("mechanism")
	}
	if len(message) > maxMessage {
		return nil, malformed("message is too long")
	}
	// gs2-header: flag "," [authzid] ","
	flag, rest, ok1 := strings.Cut(string(message), ",")
	authzid, bare, ok2 := strings.Cut(rest, ",")
	if !ok1 || !ok2 || authzid != "" {
		return nil, malformed("header")
	}
	switch {
	case flag == "p=tls-server-end-point" && s.plus:
	case flag == "n" && !s.plus:
	case flag == "y" && !s.plus:
		// The client could bind and believes that we cannot. Where we offered it,
		// somebody took the offer away.
		if s.Binding != nil {
			return nil, ErrBinding
		}
	default:
		return nil, ErrBinding
	}
	s.gs2 = flag + ",,"
	// The user name is the protocol's own, not this one; PostgreSQL's clients
	// leave it empty.
	values, err := attributes(bare, "nr")
	if err != nil {
		return nil, err
	}
	if !validNonce(values[1]) {
		return nil, malformed("nonce")
	}
	s.nonce = values[1] + newNonce()
	first := fmt.Sprintf("r=%s,s=%s,i=%d", s.nonce, base64.StdEncoding.EncodeToString(s.Verifier.Salt), s.Verifier.Iterations)
	s.auth = bare + "," + first
	return []byte(first), nil
}

// Final takes the client's final message, checks its proof and returns the
// server's own proof.
func (s *Server) Final(message []byte) ([]byte, error) {
	if s.nonce == "" || len(message) > maxMessage {
		return nil, malformed("message out of order or too long")
	}
	nonce := s.nonce
	s.nonce = "" // once
	text := string(message)
	i := strings.LastIndex(text, ",p=")
	if i < 0 {
		return nil, malformed("proof is missing")
	}
	values, err := attributes(text[:i], "cr")
	if err != nil {
		return nil, err
	}
	bound, err := base64.StdEncoding.DecodeString(values[0])
	if err != nil {
		return nil, malformed("channel binding")
	}
	want := []byte(s.gs2)
	if s.plus {
		want = append(want, s.Binding...)
	}
	if subtle.ConstantTimeCompare(bound, want) != 1 {
		return nil, ErrBinding
	}
	if values[1] != nonce {
		return nil, malformed("nonce is not this exchange's")
	}
	proof, err := base64.StdEncoding.DecodeString(text[i+3:])
	if err != nil || len(proof) != sha256.Size {
		return nil, malformed("proof")
	}
	auth := s.auth + "," + text[:i]
	key := mac(s.Verifier.StoredKey[:], auth) // ClientSignature
	subtle.XORBytes(key, key, proof)          // ClientKey
	stored := sha256.Sum256(key)
	if !hmac.Equal(stored[:], s.Verifier.StoredKey[:]) {
		return nil, ErrProof
	}
	return []byte("v=" + base64.StdEncoding.EncodeToString(mac(s.Verifier.ServerKey[:], auth))), nil
}
