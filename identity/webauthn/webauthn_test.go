package webauthn

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/proxy"
)

const site = "https://gw.example.com"

var b64 = base64.RawURLEncoding.EncodeToString

// authenticator is a security key: what it answers is built by hand, so that it may be
// wrong.
type authenticator struct {
	t      *testing.T
	id     []byte
	key    *ecdsa.PrivateKey
	count  uint32
	origin string
	party  string
	flags  byte
}

func newAuthenticator(t *testing.T) *authenticator {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	id := make([]byte, 32)
	rand.Read(id)
	return &authenticator{t: t, id: id, key: key, origin: site, party: "gw.example.com", flags: 0x01 | 0x04} // present, verified
}

// cborBytes is a byte string in CBOR.
func cborBytes(b []byte) []byte {
	return append([]byte{0x59, byte(len(b) >> 8), byte(len(b))}, b...)
}

// data is the authenticator data, with the key when it is made.
func (a *authenticator) data(made bool) []byte {
	sum := sha256.Sum256([]byte(a.party))
	flags := a.flags
	if made {
		flags |= 0x40
	}
	d := binary.BigEndian.AppendUint32(append(sum[:], flags), a.count)
	if !made {
		return d
	}
	d = append(d, make([]byte, 16)...)
	d = append(binary.BigEndian.AppendUint16(d, uint16(len(a.id))), a.id...)
	x, y := make([]byte, 32), make([]byte, 32)
	point, err := a.key.PublicKey.Bytes()
	require.NoError(a.t, err)
	copy(x, point[1:33])
	copy(y, point[33:])
	// {1: 2, 3: -7, -1: 1, -2: x, -3: y}: an ES256 key.
	d = append(d, 0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21)
	d = append(append(d, cborBytes(x)...), 0x22)
	return append(d, cborBytes(y)...)
}

func (a *authenticator) client(what, challenge string) []byte {
	b, err := json.Marshal(map[string]any{"type": "webauthn." + what, "challenge": challenge, "origin": a.origin, "crossOrigin": false})
	require.NoError(a.t, err)
	return b
}

func challenge(t *testing.T, options json.RawMessage) string {
	var o struct {
		PublicKey struct{ Challenge string } `json:"publicKey"`
	}
	require.NoError(t, json.Unmarshal(options, &o))
	require.NotEmpty(t, o.PublicKey.Challenge)
	return o.PublicKey.Challenge
}

func (a *authenticator) create(options json.RawMessage) []byte {
	object := append([]byte{0xa3, 0x63, 'f', 'm', 't', 0x64, 'n', 'o', 'n', 'e', 0x67, 'a', 't', 't', 'S', 't', 'm', 't', 0xa0, 0x68, 'a', 'u', 't', 'h', 'D', 'a', 't', 'a'}, cborBytes(a.data(true))...)
	b, err := json.Marshal(map[string]any{
		"id": b64(a.id), "rawId": b64(a.id), "type": "public-key",
		"response": map[string]any{"clientDataJSON": b64(a.client("create", challenge(a.t, options))), "attestationObject": b64(object)},
	})
	require.NoError(a.t, err)
	return b
}

func (a *authenticator) get(options json.RawMessage) []byte {
	a.count++
	client, data := a.client("get", challenge(a.t, options)), a.data(false)
	sum := sha256.Sum256(client)
	signed := sha256.Sum256(append(append([]byte(nil), data...), sum[:]...))
	sig, err := ecdsa.SignASN1(rand.Reader, a.key, signed[:])
	require.NoError(a.t, err)
	b, err := json.Marshal(map[string]any{
		"id": b64(a.id), "rawId": b64(a.id), "type": "public-key",
		"response": map[string]any{"clientDataJSON": b64(client), "authenticatorData": b64(data), "signature": b64(sig)},
	})
	require.NoError(a.t, err)
	return b
}

type world struct {
	*Keys
	t     *testing.T
	docs  *identity.Memory
	clock time.Time
}

func newWorld(t *testing.T) *world {
	s, err := identity.NewSealer(nil)
	require.NoError(t, err)
	w := &world{t: t, docs: &identity.Memory{}, clock: time.Now()}
	w.Keys, err = New(Config{URL: site, Name: "Sallyport", Documents: w.docs, Sealer: s, Now: func() time.Time { return w.clock }})
	require.NoError(t, err)
	return w
}

func (w *world) register(a *authenticator, subject string) error {
	options, state, err := w.BeginRegister(w.t.Context(), subject, "alice")
	require.NoError(w.t, err)
	_, err = w.FinishRegister(w.t.Context(), subject, "blue", state, a.create(options))
	return err
}

func (w *world) prove(a *authenticator, subject string) (Key, error) {
	options, state, err := w.Begin(w.t.Context(), subject)
	require.NoError(w.t, err)
	require.Contains(w.t, string(options), `"userVerification":"required"`)
	return w.Finish(w.t.Context(), subject, state, a.get(options))
}

func TestKeys(t *testing.T) {
	w := newWorld(t)
	_, _, err := w.Begin(t.Context(), "alice")
	require.ErrorIs(t, err, ErrNoKeys)
	a := newAuthenticator(t)
	require.NoError(t, w.register(a, "alice"))
	require.ErrorIs(t, w.register(a, "alice"), proxy.ErrUnauthenticated, "twice")
	key, err := w.prove(a, "alice")
	require.NoError(t, err)
	require.Equal(t, "blue", key.Label)
	_, err = w.prove(a, "alice")
	require.NoError(t, err)

	second := newAuthenticator(t)
	require.NoError(t, w.register(second, "alice"))
	_, err = w.prove(second, "alice")
	require.NoError(t, err)
	list, err := w.List(t.Context(), "alice")
	require.NoError(t, err)
	require.Len(t, list, 2)
	require.False(t, list[0].LastUsed.IsZero())
	require.NoError(t, w.Remove(t.Context(), "alice", key.ID))
	require.Error(t, w.Remove(t.Context(), "alice", key.ID))
	_, err = w.prove(a, "alice")
	require.ErrorIs(t, err, proxy.ErrUnauthenticated)

	d, err := w.docs.Get(t.Context(), KindUser, hashed("alice"))
	require.NoError(t, err)
	require.NotContains(t, string(d.Body), "alice", "a key's handle says nothing of its user")
	w.clock = w.clock.Add(life)
	require.NoError(t, w.Sweep(t.Context()))
	left, err := w.docs.List(t.Context(), kindUsed, "", 10)
	require.NoError(t, err)
	require.Empty(t, left)
}

// TestRefuses: an answer of another site, key, user or question proves nothing.
func TestRefuses(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(w *world, a *authenticator) error
	}{
		{"a phishing site", func(w *world, a *authenticator) error {
			a.origin = "https://gw.example.com.evil.example"
			_, err := w.prove(a, "alice")
			return err
		}},
		{"without encryption", func(w *world, a *authenticator) error {
			a.origin = "http://gw.example.com"
			_, err := w.prove(a, "alice")
			return err
		}},
		{"another party", func(w *world, a *authenticator) error {
			a.party = "evil.example"
			_, err := w.prove(a, "alice")
			return err
		}},
		{"nobody is there", func(w *world, a *authenticator) error {
			a.flags = 0
			_, err := w.prove(a, "alice")
			return err
		}},
		{"not unlocked", func(w *world, a *authenticator) error {
			a.flags = 0x01
			_, err := w.prove(a, "alice")
			return err
		}},
		{"another key under its name", func(w *world, a *authenticator) error {
			a.key = newAuthenticator(w.t).key
			_, err := w.prove(a, "alice")
			return err
		}},
		{"a key that counts backwards", func(w *world, a *authenticator) error {
			a.count = 7
			_, err := w.prove(a, "alice")
			require.NoError(w.t, err)
			a.count = 3
			_, err = w.prove(a, "alice")
			return err
		}},
		{"another user's key", func(w *world, _ *authenticator) error {
			other := newAuthenticator(w.t)
			require.NoError(w.t, w.register(other, "bob"))
			_, err := w.prove(other, "alice")
			return err
		}},
		{"an answer of another question", func(w *world, a *authenticator) error {
			options, _, err := w.Begin(w.t.Context(), "alice")
			require.NoError(w.t, err)
			_, state, err := w.Begin(w.t.Context(), "alice")
			require.NoError(w.t, err)
			_, err = w.Finish(w.t.Context(), "alice", state, a.get(options))
			return err
		}},
		{"twice", func(w *world, a *authenticator) error {
			options, state, err := w.Begin(w.t.Context(), "alice")
			require.NoError(w.t, err)
			answer := a.get(options)
			_, err = w.Finish(w.t.Context(), "alice", state, answer)
			require.NoError(w.t, err)
			_, err = w.Finish(w.t.Context(), "alice", state, answer)
			return err
		}},
		{"too late", func(w *world, a *authenticator) error {
			options, state, err := w.Begin(w.t.Context(), "alice")
			require.NoError(w.t, err)
			w.clock = w.clock.Add(life)
			_, err = w.Finish(w.t.Context(), "alice", state, a.get(options))
			return err
		}},
		{"another user's question", func(w *world, a *authenticator) error {
			options, state, err := w.Begin(w.t.Context(), "alice")
			require.NoError(w.t, err)
			_, err = w.Finish(w.t.Context(), "bob", state, a.get(options))
			return err
		}},
		{"a registration as a proof", func(w *world, a *authenticator) error {
			options, state, err := w.BeginRegister(w.t.Context(), "alice", "alice")
			require.NoError(w.t, err)
			_, err = w.Finish(w.t.Context(), "alice", state, a.get(options))
			return err
		}},
		{"a made-up question", func(w *world, a *authenticator) error {
			options, _, err := w.Begin(w.t.Context(), "alice")
			require.NoError(w.t, err)
			_, err = w.Finish(w.t.Context(), "alice", b64([]byte(`{"subject":"alice"}`)), a.get(options))
			return err
		}},
		{"garbage", func(w *world, _ *authenticator) error {
			_, state, err := w.Begin(w.t.Context(), "alice")
			require.NoError(w.t, err)
			_, err = w.Finish(w.t.Context(), "alice", state, []byte(`{}`))
			return err
		}},
		{"a long answer", func(w *world, _ *authenticator) error {
			_, err := w.Finish(w.t.Context(), "alice", "", []byte(strings.Repeat("x", maxAnswer+1)))
			return err
		}},
		{"a key of a phishing site", func(w *world, _ *authenticator) error {
			other := newAuthenticator(w.t)
			other.origin = "https://evil.example"
			return w.register(other, "alice")
		}},
		{"a key that is not unlocked", func(w *world, _ *authenticator) error {
			other := newAuthenticator(w.t)
			other.flags = 0x01
			return w.register(other, "alice")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			a := newAuthenticator(t)
			require.NoError(t, w.register(a, "alice"))
			require.ErrorIs(t, c.do(w, a), proxy.ErrUnauthenticated)
		})
	}
}

func TestManyKeys(t *testing.T) {
	w := newWorld(t)
	var wg sync.WaitGroup
	for range 5 {
		a := newAuthenticator(t)
		require.NoError(t, w.register(a, "alice"))
		wg.Go(func() {
			options, state, err := w.Begin(t.Context(), "alice")
			if err == nil {
				_, err = w.Finish(t.Context(), "alice", state, a.get(options))
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for range maxKeys - 5 {
		require.NoError(t, w.register(newAuthenticator(t), "alice"))
	}
	_, _, err := w.BeginRegister(t.Context(), "alice", "alice")
	require.ErrorContains(t, err, "at most")
}

func TestNewRefuses(t *testing.T) {
	s, err := identity.NewSealer(nil)
	require.NoError(t, err)
	for _, u := range []string{"", "gw.example.com", "http://gw.example.com", "https://gw.example.com/path", "https://"} {
		_, err := New(Config{URL: u, Documents: &identity.Memory{}, Sealer: s})
		require.Error(t, err, u)
	}
	_, err = New(Config{URL: site})
	require.Error(t, err)
}
