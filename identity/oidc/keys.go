package oidc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// keys are the provider's, by which its tokens are checked. They are asked for again
// when a token names one that is not known, which anybody can make up, so that is done
// seldom; and when they are old, so that one that the provider has withdrawn is
// forgotten.
type keys struct {
	url        string
	client     *http.Client
	now        func() time.Time
	algorithms []string

	mu    sync.Mutex
	known []jose.JSONWebKey
	read  time.Time // that known was
	asked time.Time // the last time that it was asked for an unknown key
	spare int       // how often it may be asked before the next may
}

// A token with an unknown key may lead to a new reading of the keys at once, a few times; then
// once in askEvery.
const (
	askSpare = 4
	askEvery = 10 * time.Second
	maxKeys  = 100
)

// VerifySignature implements the key set of go-oidc.
func (k *keys) VerifySignature(ctx context.Context, token string) ([]byte, error) {
	algorithms := make([]jose.SignatureAlgorithm, len(k.algorithms))
	for i, a := range k.algorithms {
		algorithms[i] = jose.SignatureAlgorithm(a)
	}
	signed, err := jose.ParseSignedCompact(token, algorithms)
	if err != nil {
		return nil, errors.New("the token is not signed by an algorithm that is allowed")
	}
	// The lock is kept while the provider is asked: one question answers everybody who
	// waits.
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.now().Sub(k.read) >= metadataAge {
		if err := k.fetch(ctx); err != nil && k.now().Sub(k.read) >= 2*metadataAge {
			return nil, err
		}
	}
	header := signed.Signatures[0].Header
	if payload, ok := k.verify(signed, header); ok {
		return payload, nil
	}
	if slices.ContainsFunc(k.known, func(key jose.JSONWebKey) bool { return header.KeyID != "" && key.KeyID == header.KeyID }) && k.now().Sub(k.read) < askEvery {
		return nil, errSignature // it names a key that was just read
	}
	if !k.mayAsk() {
		return nil, errors.New("the token names an unknown key, and the keys were asked for too often just now")
	}
	if err := k.fetch(ctx); err != nil {
		return nil, err
	}
	if payload, ok := k.verify(signed, header); ok {
		return payload, nil
	}
	return nil, errSignature
}

var errSignature = errors.New("the token is not signed by a key of the provider's")

// mayAsk counts a question for an unknown key.
func (k *keys) mayAsk() bool {
	now := k.now()
	if k.asked.IsZero() {
		k.spare = askSpare
	} else {
		k.spare = min(askSpare, k.spare+int(now.Sub(k.asked)/askEvery))
	}
	if k.spare <= 0 {
		return false
	}
	k.spare--
	k.asked = now
	return true
}

// verify tries the keys that may have signed. One that the token names is the only one;
// a key that names its use or algorithm is good for no other.
func (k *keys) verify(signed *jose.JSONWebSignature, header jose.Header) ([]byte, bool) {
	for i := range k.known {
		key := &k.known[i]
		if header.KeyID != "" && key.KeyID != header.KeyID || key.Use != "" && key.Use != "sig" || key.Algorithm != "" && key.Algorithm != header.Algorithm {
			continue
		}
		if payload, err := signed.Verify(key.Key); err == nil {
			return payload, true
		}
	}
	return nil, false
}

// fetch reads the keys. Those of a kind that is not known are left out, and secret ones
// that should not be there: a symmetric key proves nothing.
func (k *keys) fetch(ctx context.Context) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, k.url, nil)
	if err != nil {
		return err
	}
	resp, err := k.client.Do(r)
	if err != nil {
		return fmt.Errorf("reading the provider's keys: %s", clip(err.Error()))
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("reading the provider's keys: it answers %s", resp.Status)
	}
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&set); err != nil {
		return errors.New("reading the provider's keys: the answer is not a set of keys")
	}
	if len(set.Keys) > maxKeys {
		return fmt.Errorf("reading the provider's keys: there are %d, more than %d", len(set.Keys), maxKeys)
	}
	known := make([]jose.JSONWebKey, 0, len(set.Keys))
	for _, raw := range set.Keys {
		var key jose.JSONWebKey
		if key.UnmarshalJSON(raw) == nil && key.IsPublic() && key.Valid() {
			known = append(known, key)
		}
	}
	k.known, k.read = known, k.now()
	return nil
}
