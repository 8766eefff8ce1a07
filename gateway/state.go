package gateway

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/sallyport/sallyport/gateway/config"
	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/identity/stored"
	"github.com/sallyport/sallyport/store"
	"github.com/sallyport/sallyport/store/sqlstore"
)

// state is what the gateway remembers, alone or with others.
type state struct {
	store     store.Store
	documents identity.Documents
	sealer    identity.Sealer
	head      int64 // of the feed when it was opened, before anything was read
}

// openState opens the store of f, or takes the one of the assembly. A gateway whose key is not
// the store's does not go on.
func (g *Gateway) openState(f *config.File, own store.Store) error {
	ctx := context.Background()
	st := own
	if st == nil {
		var err error
		if st, err = openStore(ctx, f, g.log); err != nil {
			return err
		}
		g.closers = append(g.closers, st.(io.Closer).Close)
	}
	keys, err := f.StoreKeys(ctx)
	if err != nil {
		return err
	}
	sealer, err := store.OpenSealer(ctx, st, keys...)
	if err != nil {
		return err
	}
	head, _, err := st.Head(ctx)
	g.state = &state{store: st, documents: stored.Documents(st), sealer: stored.Sealer(sealer), head: head}
	return err
}

func openStore(ctx context.Context, f *config.File, log *slog.Logger) (store.Store, error) {
	if f.Store.URL == "" {
		return sqlstore.OpenSQLite(ctx, f.StoreFile(), sqlstore.Options{Log: log})
	}
	o := sqlstore.Options{Log: log, Schema: f.Store.Schema, Poll: f.Store.Poll}
	if f.Store.Password != "" {
		o.Password = func(ctx context.Context) (string, error) { return f.Secret(ctx, f.Store.Password) }
	}
	return sqlstore.OpenPostgres(ctx, f.Store.URL, o)
}

// kindKey is the kind of the documents of random keys, which are sealed.
const kindKey = "key"

// key returns a random key that all gateways on the store share, which is made when somebody
// first asks for it.
func (s *state) key(ctx context.Context, name string) ([]byte, error) {
	for {
		d, err := s.documents.Get(ctx, kindKey, name)
		if errors.Is(err, identity.ErrNoDocument) {
			key := make([]byte, 32)
			rand.Read(key)
			sealed, err := s.sealer.Seal(key, kindKey+" "+name)
			if err != nil {
				return nil, err
			}
			if d.Body, err = json.Marshal(sealed); err != nil {
				return nil, err
			}
			d.Name = name
			if _, err = s.documents.Write(ctx, kindKey, d); errors.Is(err, identity.ErrConflict) {
				continue // another gateway has made it
			}
			return key, err
		}
		if err != nil {
			return nil, fmt.Errorf("reading key %s: %w", name, err)
		}
		var sealed []byte
		if err := json.Unmarshal(d.Body, &sealed); err != nil {
			return nil, fmt.Errorf("key %s cannot be read", name)
		}
		return s.sealer.Open(sealed, kindKey+" "+name)
	}
}

// sweepEvery is how often what has expired is forgotten.
const sweepEvery = time.Minute

// sweep forgets what has expired in the store, until ctx ends.
func (g *Gateway) sweep(ctx context.Context) {
	store.SweepEvery(ctx, g.state.store, sweepEvery, func(err error) {
		g.log.Warn("what has expired could not be removed from the store: it is tried again", "err", err)
	})
}

// pause waits, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
