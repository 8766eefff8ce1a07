package masking

import (
	"bytes"
	"context"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/detect"
	"github.com/sallyport/sallyport/proxy"
)

// A token is "tok_", the key's id, "_" and base64url of a MAC over type and
// value, 16 bytes, and of the type's name, a zero byte and the value, encrypted
// in counter mode with the MAC as the first counter. That is the construction of
// SIV (RFC 5297) with HMAC-SHA-256 in the place of S2V: equal values have equal
// tokens, and a token that was changed does not open.

const tokenPrefix = "tok_"

const tokenMAC = 16

// maxTokenised bounds the values that become tokens, in bytes.
const maxTokenised = 4096

type tokenKeys struct {
	mac   []byte
	block cipher.Block
}

func (k *tokenKeys) seal(text []byte) []byte {
	h := hmac.New(sha256.New, k.mac)
	h.Write(text)
	return h.Sum(nil)[:tokenMAC]
}

// appendToken appends the token of v; of values that are too long, what hides
// them. A token stays what it is.
func (k *keys) appendToken(dst, v []byte, t detect.Type) []byte {
	if bytes.HasPrefix(v, []byte(tokenPrefix)) {
		if _, _, err := k.open(v); err == nil {
			return append(dst, v...)
		}
	}
	if len(v) > maxTokenised {
		return append(dst, hidden...)
	}
	text := append(append(append(make([]byte, 0, len(t)+1+len(v)), t...), 0), v...)
	sealed := k.tokens.seal(text)
	cipher.NewCTR(k.tokens.block, sealed).XORKeyStream(text, text)
	dst = append(append(append(dst, tokenPrefix...), k.id...), '_')
	return base64.RawURLEncoding.AppendEncode(dst, append(sealed, text...))
}

// Errors of Detokenise.
var (
	ErrNoToken      = errors.New("this is not a token")
	ErrOtherKey     = errors.New("the token was made with another key")
	ErrForgedToken  = errors.New("the token is damaged")
	ErrNotPermitted = errors.New("no permission to turn tokens back")
)

// Detokenise returns the value and the type of a token that [Tokenise] made with
// the masker's key, for members of [Config.Detokenise] that are not agents. Each call, permitted or
// not, is noted at ledger before it returns; what cannot be noted is not turned
// back.
func (m *Masker) Detokenise(ctx context.Context, ledger Ledger, id *proxy.Identity, token []byte) (value []byte, t detect.Type, err error) {
	err = m.turnBack(ctx, ledger, id, &t, func() (err error) {
		value, t, err = m.keys.open(token)
		return err
	})
	if err != nil {
		return nil, "", err
	}
	return value, t, nil
}

// Ledger keeps notes that belong to no session. A *proxy.Gateway whose
// interceptors record is one.
type Ledger interface {
	Note(ctx context.Context, n *proxy.Note) error
}

// turnBack calls open for a member, and notes it before it returns.
func (m *Masker) turnBack(ctx context.Context, ledger Ledger, id *proxy.Identity, t *detect.Type, open func() error) error {
	err := ErrNotPermitted
	if id != nil && id.Kind != proxy.Agent && slices.ContainsFunc(m.detokenise, id.In) {
		err = open()
	}
	n := &proxy.Note{Kind: proxy.NoteDetokenised, By: m.Name(), Identity: id, Type: string(*t), Err: err}
	if failed := ledger.Note(ctx, n); failed != nil {
		return fmt.Errorf("recording that a masked value is turned back: %w", failed)
	}
	return err
}

// Encrypted returns what replaces a value of type t where Encrypt masks it in a
// text.
func (m *Masker) Encrypted(v []byte, t detect.Type) []byte {
	return m.appendMasked(nil, v, t, treatment{Transform: Encrypt})
}

// ErrNoFormat says that a value is nothing that [Encrypt] makes.
var ErrNoFormat = errors.New("this is not an encrypted value: it has too few letters and digits, or other characters")

// Decrypt returns what [Encrypt] made value of with the masker's key, for members
// of [Config.Detokenise]; calls are noted as those of [Masker.Detokenise] are. t is
// the type that the value was masked as. number says that the column held numbers,
// which never begin with 0. What was encrypted holds no proof: another key or
// another type gives another value and no error, and whether letters were small is
// forgotten where they were mixed.
func (m *Masker) Decrypt(ctx context.Context, ledger Ledger, id *proxy.Identity, t detect.Type, value []byte, number bool) ([]byte, error) {
	out := slices.Clone(value)
	err := m.turnBack(ctx, ledger, id, &t, func() error {
		digits := out
		if number && len(out) > 0 && out[0] == '-' {
			digits = out[1:]
		}
		f := ff1{m.keys.format, []byte(t)}
		for range 512 {
			if !f.format(digits, true) {
				break
			}
			if !number || digits[0] != '0' {
				return nil
			}
		}
		return ErrNoFormat
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func (k *keys) open(token []byte) (value []byte, t detect.Type, err error) {
	rest, ok := strings.CutPrefix(string(token), tokenPrefix)
	if !ok {
		return nil, "", ErrNoToken
	}
	id, body, ok := strings.Cut(rest, "_")
	if !ok || len(id) != len(k.id) || len(body) > 2*(maxTokenised+256) {
		return nil, "", ErrNoToken
	}
	if id != k.id {
		return nil, "", ErrOtherKey
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(body)
	if err != nil || len(b) < tokenMAC {
		return nil, "", ErrForgedToken
	}
	sealed, text := b[:tokenMAC], b[tokenMAC:]
	cipher.NewCTR(k.tokens.block, sealed).XORKeyStream(text, text)
	if !hmac.Equal(sealed, k.tokens.seal(text)) {
		return nil, "", ErrForgedToken
	}
	i := slices.Index(text, 0)
	if i < 0 {
		return nil, "", ErrForgedToken
	}
	return text[i+1:], detect.Type(text[:i]), nil
}

// Token returns the token that replaces a value of type t where Tokenise masks
// it.
func (m *Masker) Token(v []byte, t detect.Type) string { return string(m.keys.appendToken(nil, v, t)) }
