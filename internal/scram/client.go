package scram

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"strconv"
	"strings"
)

// Client is a client's side of one exchange. It is used once.
type Client struct {
	Password string
	// Binding is the connection's tls-server-end-point data; nil without TLS.
	Binding []byte
	// MinIterations is the fewest iterations that are accepted, 0 for the package's
	// MinIterations: fewer would let a hostile server learn much from the proof.
	MinIterations int
	// Keys remembers what was derived from the password; nil: nothing does.
	Keys *Keys

	gs2   string
	bare  string
	nonce string
	want  []byte // the server's proof
}

// First chooses the mechanism among those offered and returns the first
// message.
func (c *Client) First(offered []string) (mechanism string, message []byte, err error) {
	var plain, plus bool
	for _, m := range offered {
		plain = plain || m == Mechanism
		plus = plus || m == MechanismPlus
	}
	switch {
	case plus && c.Binding != nil:
		mechanism, c.gs2 = MechanismPlus, "p=tls-server-end-point,,"
	case !plain:
		return "", nil, malformed("no mechanism in common")
	case c.Binding != nil:
		mechanism, c.gs2 = Mechanism, "y,," // we could, and were not offered it
	default:
		mechanism, c.gs2 = Mechanism, "n,,"
	}
	c.nonce = newNonce()
	c.bare = "n=,r=" + c.nonce
	return mechanism, []byte(c.gs2 + c.bare), nil
}

// Final takes the server's first message and returns the client's proof.
func (c *Client) Final(message []byte) ([]byte, error) {
	if c.nonce == "" || c.want != nil || len(message) > maxMessage {
		return nil, malformed("message out of order or too long")
	}
	values, err := attributes(string(message), "rsi")
	if err != nil {
		return nil, err
	}
	nonce := values[0]
	if !validNonce(nonce) || !strings.HasPrefix(nonce, c.nonce) || len(nonce) == len(c.nonce) {
		return nil, malformed("nonce is not this exchange's")
	}
	salt, err := base64.StdEncoding.DecodeString(values[1])
	if err != nil || len(salt) == 0 || len(salt) > maxSalt {
		return nil, malformed("salt")
	}
	iterations, err := strconv.Atoi(values[2])
	floor := c.MinIterations
	if floor == 0 {
		floor = MinIterations
	}
	if err != nil || iterations < floor || iterations > MaxIterations {
		return nil, malformed("iteration count is out of bounds")
	}
	k, err := c.Keys.of(c.Password, salt, iterations)
	if err != nil {
		return nil, err
	}
	bound := []byte(c.gs2)
	if strings.HasPrefix(c.gs2, "p=") {
		bound = append(bound, c.Binding...)
	}
	final := "c=" + base64.StdEncoding.EncodeToString(bound) + ",r=" + nonce
	auth := c.bare + "," + string(message) + "," + final
	stored := sha256.Sum256(k.client)
	proof := mac(stored[:], auth)
	subtle.XORBytes(proof, proof, k.client)
	c.want = mac(k.server, auth)
	return []byte(final + ",p=" + base64.StdEncoding.EncodeToString(proof)), nil
}

// Verify checks the server's final message: that it knows the password too.
func (c *Client) Verify(message []byte) error {
	if c.want == nil || len(message) > maxMessage {
		return malformed("message out of order or too long")
	}
	v, ok := strings.CutPrefix(string(message), "v=")
	got, err := base64.StdEncoding.DecodeString(v)
	if !ok || err != nil {
		return malformed("server's proof")
	}
	if !hmac.Equal(got, c.want) {
		return ErrProof
	}
	return nil
}
