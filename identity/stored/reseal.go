package stored

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/sallyport/sallyport/store"
)

// Resealed says what Reseal has found.
type Resealed struct {
	Documents int // that were sealed by an old key, and are by the first one now
	// Left are some of those that an old key has sealed and that do not say what for, as an
	// earlier version wrote them: that key stays needed for them until they are written anew.
	Left []string
	// Unopened are some of those that hold something that says that it is sealed and does not
	// open: no key that is given up is needed for them.
	Unopened []string
}

// maxNamed bounds the documents that are named.
const maxNamed = 10

// restBetween is how long Reseal rests after each document that it has written: others
// follow what is written.
const restBetween = 20 * time.Millisecond

// sealedText is how JSON begins what is sealed by a Sealer of this package: bytes in base64, of
// a mark of which three bytes are four characters.
var sealedText = []byte(`"` + base64.StdEncoding.EncodeToString([]byte("sealed:v1"))[:12])

// Reseal seals by the first key what another key of a sealer has sealed, in all documents of a
// store, each if nobody has changed it meanwhile. Once it has returned nil, and nothing was
// resealed, the other keys are not needed here: gateways whose first key is one of them may
// seal by it again.
func Reseal(ctx context.Context, s store.Store, keys *store.Sealer) (r Resealed, err error) {
	kinds, err := s.Kinds(ctx)
	if err != nil {
		return r, err
	}
	for _, kind := range kinds {
		for d, err := range store.All(ctx, s, kind, "") {
			if err != nil {
				return r, err
			}
			if err := r.document(ctx, s, keys, d); err != nil {
				return r, err
			}
		}
	}
	return r, nil
}

// document reseals one document, and reads it again when it has changed meanwhile.
func (r *Resealed) document(ctx context.Context, s store.Store, keys *store.Sealer, d store.Document) error {
	body, err := reseal(keys, d.Body)
	list := &r.Unopened
	if errors.Is(err, errLeft) {
		list = &r.Left
	}
	if err != nil && len(*list) < maxNamed {
		*list = append(*list, fmt.Sprintf("%s %q", d.Kind, d.Name))
	}
	if bytes.Equal(body, d.Body) {
		return nil
	}
	err = store.Update(ctx, s, d.Kind, d.Name, func(now store.Document) ([]store.Write, error) {
		body, _ := reseal(keys, now.Body)
		if now.Version == 0 || bytes.Equal(body, now.Body) {
			return nil, nil
		}
		now.Body = body
		return []store.Write{store.Replace(now)}, nil
	})
	if err != nil {
		return err
	}
	r.Documents++
	t := time.NewTimer(restBetween)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// errLeft says that something is sealed by an old key and stays so.
var errLeft = errors.New("it does not say what it is for")

// reseal returns a body in which everything is sealed by the first key, except what an error
// is about.
func reseal(keys *store.Sealer, body []byte) (_ []byte, bad error) {
	var out []byte
	rest := body
	for {
		at := bytes.Index(rest, sealedText)
		if at < 0 {
			break
		}
		text := rest[at+1:]
		end := bytes.IndexByte(text, '"')
		if end < 0 {
			break
		}
		text = text[:end]
		now, err := resealText(keys, text)
		if err != nil && !errors.Is(bad, errLeft) {
			bad = err
		}
		out = append(append(out, rest[:at+1]...), now...)
		rest = rest[at+1+end:]
	}
	if out == nil {
		return body, bad
	}
	return append(out, rest...), bad
}

// resealText reseals one text in base64; one that does not open stays.
func resealText(keys *store.Sealer, text []byte) ([]byte, error) {
	sealed, err := base64.StdEncoding.AppendDecode(nil, text)
	if err != nil {
		return text, err
	}
	box, purpose, ok := bytes.Cut(sealed, purposeMark)
	if !ok && keys.Has(string(box)) {
		if _, changed, err := keys.Reseal(store.Place{}, string(box)); err == nil && !changed {
			return text, nil // by the first key
		}
		return text, errLeft
	}
	now, changed, err := keys.Reseal(place(string(purpose)), string(box))
	if err != nil || !changed {
		return text, err
	}
	return base64.StdEncoding.AppendEncode(nil, sealedFor(now, string(purpose))), nil
}
