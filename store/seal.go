package store

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/sallyport/sallyport/internal/newfile"
)

// ErrSealed says that something sealed did not open.
var ErrSealed = errors.New("it does not open")

// MaxSecret is how many bytes Seal takes: sealed, they fit into a document.
const MaxSecret = MaxBody / 2

// Key is what secrets are sealed by. It is kept outside of the store, so that a
// stolen store does not show them. It prints as its name.
type Key struct{ bytes [32]byte }

// NewKey returns a random key.
func NewKey() (k Key) {
	_, _ = rand.Read(k.bytes[:]) // it never fails
	return k
}

// ParseKey reads what Key.Text wrote: 64 hexadecimal digits, with white space around
// them. Its errors do not hold what was given.
func ParseKey(text string) (k Key, err error) {
	text = strings.TrimSpace(text)
	if len(text) != hex.EncodedLen(len(k.bytes)) {
		return Key{}, fmt.Errorf("store: key: got %d characters, want 64 hexadecimal digits: %w", len(text), ErrInvalid)
	}
	if _, err := hex.Decode(k.bytes[:], []byte(text)); err != nil {
		return Key{}, fmt.Errorf("store: key: got other characters, want 64 hexadecimal digits: %w", ErrInvalid)
	}
	if k == (Key{}) {
		return Key{}, fmt.Errorf("store: key: got zeros, want random digits: %w", ErrInvalid)
	}
	return k, nil
}

// Text is the key as ParseKey reads it.
func (k Key) Text() string { return hex.EncodeToString(k.bytes[:]) }

// ID names the key without telling it.
func (k Key) ID() string {
	sum := sha256.Sum256(append([]byte("sallyport store key\x00"), k.bytes[:]...))
	return hex.EncodeToString(sum[:6])
}

// Format implements fmt.Formatter: a key is never printed.
func (k Key) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "key %s", k.ID()) }

// ReadKey reads a key from a file that only its owner may read.
func ReadKey(file string) (Key, error) {
	f, err := os.Open(file)
	if err != nil {
		return Key{}, fmt.Errorf("store: read the key: %w", err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return Key{}, fmt.Errorf("store: read the key: %w", err)
	}
	if p := st.Mode().Perm(); p&0o077 != 0 && runtime.GOOS != "windows" {
		return Key{}, fmt.Errorf("store: read the key: %s: got mode %#o, want 0600: chmod 600 %s", file, p, file)
	}
	var text [128]byte
	n, err := f.Read(text[:])
	if err != nil {
		return Key{}, fmt.Errorf("store: read the key: %s: %w", file, err)
	}
	k, err := ParseKey(string(text[:n]))
	if err != nil {
		return Key{}, fmt.Errorf("%s: %w", file, err)
	}
	return k, nil
}

// ReadOrMakeKey reads a key from a file, and makes the file when it does not exist:
// whole or not at all, also when several do so at once. OpenSealer notices a key
// that was made because the right one was lost.
func ReadOrMakeKey(file string) (Key, error) {
	k, err := ReadKey(file)
	if !errors.Is(err, fs.ErrNotExist) {
		return k, err
	}
	if err := makeKey(file); err != nil && !errors.Is(err, fs.ErrExist) {
		return Key{}, fmt.Errorf("store: make the key: %w", err)
	}
	return ReadKey(file)
}

func makeKey(file string) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	return newfile.Make(file, []byte(NewKey().Text()+"\n"))
}

// Place is where something sealed belongs: a field of a document. Moved to another
// place, it does not open.
type Place struct{ Kind, Name, Field string }

func (p Place) String() string { return fmt.Sprintf("%s %q %s", p.Kind, p.Name, p.Field) }

// associated is the place as data that is authenticated.
func (p Place) associated(id string) []byte {
	var b []byte
	for _, s := range []string{"sallyport sealed v1", id, p.Kind, p.Name, p.Field} {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	return b
}

// Sealer seals what a stolen copy of the store must not show, by AES-256-GCM with
// random nonces: a key is good for 2³² secrets. It may be used by many goroutines.
type Sealer struct {
	ids  []string // the first seals
	aead map[string]cipher.AEAD
}

// NewSealer returns a sealer. The first key seals, all of them open. OpenSealer also
// checks that they are the store's.
func NewSealer(keys ...Key) (*Sealer, error) {
	if len(keys) == 0 {
		return nil, fmt.Errorf("store: seal: got no key, want one, and those before it: %w", ErrInvalid)
	}
	s := &Sealer{aead: make(map[string]cipher.AEAD, len(keys))}
	for _, k := range keys {
		if k == (Key{}) {
			return nil, fmt.Errorf("store: seal: got an empty key, want one that was read or made: %w", ErrInvalid)
		}
		block, err := aes.NewCipher(k.bytes[:])
		if err != nil {
			return nil, fmt.Errorf("store: seal: %w", err)
		}
		aead, err := cipher.NewGCMWithRandomNonce(block)
		if err != nil {
			return nil, fmt.Errorf("store: seal: %w", err)
		}
		s.ids, s.aead[k.ID()] = append(s.ids, k.ID()), aead
	}
	return s, nil
}

// mark begins what is sealed: mark, the key's ID, ":", base64.
const mark = "sealed:v1:"

// Seal returns a secret as a text for a document: it names the key and is otherwise
// random.
func (s *Sealer) Seal(p Place, secret []byte) (string, error) {
	if len(secret) > MaxSecret {
		return "", fmt.Errorf("store: seal: %s: got %d bytes, want at most %d: %w", p, len(secret), MaxSecret, ErrInvalid)
	}
	id := s.ids[0]
	return mark + id + ":" + base64.RawStdEncoding.EncodeToString(s.aead[id].Seal(nil, nil, secret, p.associated(id))), nil
}

// Open returns a secret that was sealed for a place, or ErrSealed.
func (s *Sealer) Open(p Place, sealed string) ([]byte, error) {
	id, text, err := split(p, sealed)
	if err != nil {
		return nil, err
	}
	aead := s.aead[id]
	if aead == nil {
		return nil, fmt.Errorf("store: open: %s: got one sealed by key %s, have keys %s: give the store the key that it was sealed by: %w",
			p, id, strings.Join(s.ids, ", "), ErrSealed)
	}
	box, err := base64.RawStdEncoding.Strict().DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("store: open: %s: it is damaged: restore a backup: %w", p, ErrSealed)
	}
	secret, err := aead.Open(nil, nil, box, p.associated(id))
	if err != nil {
		return nil, fmt.Errorf("store: open: %s: it was changed, or belongs to another document: restore a backup: %w", p, ErrSealed)
	}
	return secret, nil
}

// split takes apart what is sealed. The key's ID has its form.
func split(p Place, sealed string) (id, text string, err error) {
	rest, ok := strings.CutPrefix(sealed, mark)
	id, text, colon := strings.Cut(rest, ":")
	if _, err := hex.DecodeString(id); !ok || !colon || err != nil || len(id) != 12 || len(text) > 2*MaxSecret || strings.ContainsAny(text, "\r\n") {
		return "", "", fmt.Errorf("store: open: %s: got something that is not sealed, want %q: %w", p, mark+"…", ErrSealed)
	}
	return id, text, nil
}

// Has reports whether a text is sealed by one of the sealer's keys.
func (s *Sealer) Has(sealed string) bool {
	id, _, err := split(Place{}, sealed)
	return err == nil && s.aead[id] != nil
}

// Reseal seals by the first key what another key has sealed, and reports whether
// that was so. Otherwise it returns what it was given, unopened.
func (s *Sealer) Reseal(p Place, sealed string) (string, bool, error) {
	id, _, err := split(p, sealed)
	if err != nil || id == s.ids[0] {
		return sealed, false, err
	}
	secret, err := s.Open(p, sealed)
	if err != nil {
		return "", false, err
	}
	sealed, err = s.Seal(p, secret)
	return sealed, true, err
}

// The document by which OpenSealer knows the store's key.
const (
	sealKind  = "store"
	sealName  = "seal"
	sealField = "check"
)

// OpenSealer returns a sealer whose keys are those of the store: what it sealed
// before opens. The first call for a store fixes its key. Later ones may bring a
// new key first, with the old ones after it, until all that they sealed is resealed.
// A gateway whose key is not the store's must not go on.
func OpenSealer(ctx context.Context, st Store, keys ...Key) (*Sealer, error) {
	s, err := NewSealer(keys...)
	if err != nil {
		return nil, err
	}
	place := Place{sealKind, sealName, sealField}
	err = Update(ctx, st, sealKind, sealName, func(d Document) ([]Write, error) {
		var body struct {
			Check string `json:"check"`
		}
		var changed bool
		if d.Version == 0 {
			body.Check, err = s.Seal(place, []byte("sallyport"))
		} else if err = json.Unmarshal(d.Body, &body); err != nil {
			return nil, fmt.Errorf("store: open: %s: it is damaged: restore a backup: %w", place, ErrSealed)
		} else if _, err = s.Open(place, body.Check); err == nil {
			body.Check, changed, err = s.Reseal(place, body.Check)
		}
		if err != nil || d.Version > 0 && !changed {
			return nil, err
		}
		if d.Body, err = json.Marshal(body); err != nil {
			return nil, fmt.Errorf("store: seal: %w", err)
		}
		if d.Version == 0 {
			return []Write{Create(d)}, nil
		}
		return []Write{Replace(d)}, nil
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}
