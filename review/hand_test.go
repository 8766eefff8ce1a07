package review

import (
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/sallyport/sallyport/proxy"
)

// Here signs for all gateways of a test.
var Here = Hands("here")[0]

// Hand signs as a gateway's log does, and knows others.
type Hand struct {
	name  string
	key   ed25519.PrivateKey
	known map[string]ed25519.PublicKey
	Down  atomic.Bool // it cannot be asked who has signed something
}

// Hands are gateways that know each other.
func Hands(names ...string) (list []*Hand) {
	known := make(map[string]ed25519.PublicKey)
	for _, name := range names {
		public, key, _ := ed25519.GenerateKey(nil)
		known[name] = public
		list = append(list, &Hand{name: name, key: key, known: known})
	}
	return list
}

func (h *Hand) SignGrant(g *proxy.Grant) (string, error) {
	text, err := g.Encode()
	return h.name + "\n" + string(text) + "\n" + hex.EncodeToString(ed25519.Sign(h.key, text)), err
}

func (h *Hand) OpenGrant(_ context.Context, signed string) (*proxy.Grant, error) {
	if h.Down.Load() {
		return nil, fmt.Errorf("the store does not answer: %w", proxy.ErrUnavailable)
	}
	parts := strings.Split(signed, "\n")
	if len(parts) != 3 {
		return nil, errors.New("it is not signed")
	}
	sig, _ := hex.DecodeString(parts[2])
	if key := h.known[parts[0]]; key == nil || !ed25519.Verify(key, []byte(parts[1]), sig) {
		return nil, errors.New("nobody has signed it")
	}
	return proxy.DecodeGrant([]byte(parts[1]))
}
