// Package stored keeps what the packages of identity keep in a [store.Store], so that
// gateways on one store know the same logins, tokens, and keys.
package stored

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/store"
)

// Documents returns the documents of a store. Kinds are the store's own, so they must
// not be those of what else is kept there. A document that has expired by the store's
// clock is gone.
func Documents(s store.Store) identity.Documents { return documents{s} }

type documents struct{ store store.Store }

// Get implements [identity.Documents].
func (d documents) Get(ctx context.Context, kind, name string) (identity.Document, error) {
	doc, err := d.store.Get(ctx, kind, name)
	if errors.Is(err, store.ErrNotFound) {
		return identity.Document{}, fmt.Errorf("%s %q: %w", kind, name, identity.ErrNoDocument)
	}
	return document(doc), unavailable(err)
}

// unavailable marks errors that say nothing about what is kept: the store does not answer.
func unavailable(err error) error {
	if err == nil || errors.Is(err, store.ErrInvalid) {
		return err
	}
	return fmt.Errorf("%w: %w", proxy.ErrUnavailable, err)
}

func document(d store.Document) identity.Document {
	return identity.Document{Name: d.Name, Version: d.Version, Body: d.Body, Expires: d.Expires}
}

// List implements [identity.Documents]. A store's page may end early, so further ones
// are read.
func (d documents) List(ctx context.Context, kind, after string, limit int) ([]identity.Document, error) {
	var list []identity.Document
	for len(list) < limit {
		page, err := d.store.List(ctx, store.Query{Kind: kind, After: after, Limit: min(limit-len(list), store.MaxPage)})
		if err != nil {
			return nil, unavailable(err)
		}
		if len(page) == 0 {
			break
		}
		for _, doc := range page {
			list = append(list, document(doc))
		}
		after = page[len(page)-1].Name
	}
	return list, nil
}

// Write implements [identity.Documents].
func (d documents) Write(ctx context.Context, kind string, doc identity.Document) (int64, error) {
	to := store.Document{Kind: kind, Name: doc.Name, Version: doc.Version, Body: doc.Body, Expires: doc.Expires}
	var w store.Write
	switch {
	case doc.Body == nil && doc.Version == 0:
		w = store.Require(to) // that there is nothing to delete
	case doc.Body == nil:
		w = store.Delete(to)
	case doc.Version == 0:
		w = store.Create(to)
	default:
		w = store.Replace(to)
	}
	version, err := d.store.Write(ctx, w)
	if errors.Is(err, store.ErrConflict) {
		return 0, fmt.Errorf("%w: %w", identity.ErrConflict, err)
	}
	return version, unavailable(err)
}

// Sealer returns a sealer by the keys of a store's. What it has sealed is worth nothing
// as a field of one of the store's documents, nor the other way round.
func Sealer(s *store.Sealer) identity.Sealer { return sealer{s} }

type sealer struct{ sealer *store.Sealer }

func place(purpose string) store.Place {
	return store.Place{Kind: "identity", Name: purpose, Field: "sealed"}
}

// purposeMark parts what is sealed from what it is for, which is not secret: who reseals it
// need not know what it is.
var purposeMark = []byte(" ")

func sealedFor(sealed, purpose string) []byte {
	return append(append([]byte(sealed), purposeMark...), purpose...)
}

// Seal implements [identity.Sealer].
func (s sealer) Seal(plain []byte, purpose string) ([]byte, error) {
	sealed, err := s.sealer.Seal(place(purpose), plain)
	if err != nil {
		return nil, err
	}
	return sealedFor(sealed, purpose), nil
}

// Open implements [identity.Sealer].
func (s sealer) Open(sealed []byte, purpose string) ([]byte, error) {
	box, _, _ := bytes.Cut(sealed, purposeMark)
	plain, err := s.sealer.Open(place(purpose), string(box))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", identity.ErrSealed, err)
	}
	return plain, nil
}
