package gateway

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/sallyport/sallyport/gateway/config"
	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/identity/ca"
	"github.com/sallyport/sallyport/identity/local"
	"github.com/sallyport/sallyport/identity/stored"
	"github.com/sallyport/sallyport/identity/totp"
	"github.com/sallyport/sallyport/protocol"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/secrets"
	"github.com/sallyport/sallyport/store"
	"github.com/sallyport/sallyport/store/sqlstore"
)

// state is what the gateway remembers, alone or with others.
type state struct {
	store     store.Store
	documents identity.Documents
	sealer    identity.Sealer
	keys      *store.Sealer // by which sealer seals
	old       int           // how many of the keys have sealed before, and only open now
	head      int64         // of the feed when it was opened, before anything was read
	close     func() error  // nil: it is the assembly's
}

// openState opens the store of f, or takes the one of the assembly. A gateway whose key is not
// the store's does not go on. sources follow the references of f; fetch follows those that are needed
// later.
func openState(f *config.File, own store.Store, sources *config.Secrets, fetch func(context.Context, string) (string, error), log *slog.Logger) (_ *state, err error) {
	ctx := context.Background()
	keys, err := f.StoreKeys(ctx, sources)
	if err != nil {
		return nil, err
	}
	s := &state{store: own}
	if own == nil {
		if s.store, err = openStore(ctx, f, fetch, log); err != nil {
			return nil, err
		}
		s.close = s.store.(io.Closer).Close
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	sealer, err := store.OpenSealer(ctx, s.store, keys...)
	if err != nil {
		return nil, err
	}
	s.documents, s.sealer, s.keys, s.old = stored.Documents(s.store), stored.Sealer(sealer), sealer, len(keys)-1
	s.head, _, err = s.store.Head(ctx)
	return s, err
}

// Close closes the store, unless it is the assembly's.
func (s *state) Close() error {
	if s.close == nil {
		return nil
	}
	return s.close()
}

func openStore(ctx context.Context, f *config.File, fetch func(context.Context, string) (string, error), log *slog.Logger) (store.Store, error) {
	if f.Store.URL == "" {
		return sqlstore.OpenSQLite(ctx, f.StoreFile(), sqlstore.Options{Log: log})
	}
	o := sqlstore.Options{Log: log, Schema: f.Store.Schema, Poll: f.Store.Poll}
	if f.Store.Password != "" {
		o.Password = func(ctx context.Context) (string, error) { return fetch(ctx, f.Store.Password) }
	}
	return sqlstore.OpenPostgres(ctx, f.Store.URL, o)
}

// authorities are what those are opened with that sign certificates.
func (s *state) authorities() ca.Options { return ca.Options{Documents: s.documents, Sealer: s.sealer} }

// openApart opens the state of a gateway of f, whether that runs or not. closing ends it.
func openApart(ctx context.Context, f *config.File, o Options) (s *state, closing func() error, err error) {
	from, err := f.OpenSecrets(secrets.Options{Brief: true})
	if err != nil {
		return nil, nil, err
	}
	fetch := func(ctx context.Context, ref string) (string, error) { return f.Secret(ctx, from, ref) }
	if s, err = openState(f, o.Store, from, fetch, slog.New(slog.DiscardHandler)); err != nil {
		return nil, nil, errors.Join(err, from.Close(ctx))
	}
	return s, func() error { return errors.Join(s.Close(), from.Close(ctx)) }, nil
}

// OpenUsers opens what certifies users of a gateway of f, whether that runs or not. closing ends
// it.
func OpenUsers(ctx context.Context, f *config.File, o Options) (users *ca.Users, closing func() error, err error) {
	s, closing, err := openApart(ctx, f, o)
	if err != nil {
		return nil, nil, err
	}
	authority, err := ca.OpenAuthority(ctx, ca.ForUsers, s.authorities())
	if err != nil {
		return nil, nil, errors.Join(err, closing())
	}
	return &ca.Users{Authority: authority, Documents: s.documents}, closing, nil
}

// OpenLocal opens what proves local users of a gateway of f, whether that runs or not: with the
// passwords and second factors that they have set up, and without those that an administrator has
// disabled. closing ends it.
func OpenLocal(ctx context.Context, f *config.File, o Options) (users proxy.Authenticator, closing func() error, err error) {
	said, err := f.Users()
	if err != nil {
		return nil, nil, err
	}
	if _, err := os.Stat(f.StoreFile()); o.Store == nil && f.Store.URL == "" && errors.Is(err, fs.ErrNotExist) {
		return said, func() error { return nil }, nil // no gateway has run yet
	}
	s, closing, err := openApart(ctx, f, o)
	if err != nil {
		return nil, nil, err
	}
	said.Owner = s.credentials(nil)
	return &identity.Sources{
		List: []identity.Source{{Authenticator: said}}, Refine: []proxy.Refresher{&identity.Members{Documents: s.documents}},
	}, closing, nil
}

// credentials keep what local users set up.
func (s *state) credentials(changed func(identity.Change)) *local.Credentials {
	return &local.Credentials{Documents: s.documents, Sealer: s.sealer, Codes: &totp.Codes{Documents: s.documents, Sealer: s.sealer}, Changed: changed}
}

// kindKey is the kind of the documents of keys, which are sealed.
const kindKey = "key"

// key returns the key that is kept under a name, for all gateways on the store. What generate
// returns is kept when there is none yet.
func (s *state) key(ctx context.Context, name string, generate func() ([]byte, error)) ([]byte, error) {
	for {
		d, err := s.documents.Get(ctx, kindKey, name)
		if errors.Is(err, identity.ErrNoDocument) {
			key, err := generate()
			if err != nil {
				return nil, err
			}
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
			return nil, fmt.Errorf("key %s cannot be read: %w", name, identity.ErrSealed)
		}
		return s.sealer.Open(sealed, kindKey+" "+name)
	}
}

// random makes a key of 32 bytes.
func random() ([]byte, error) {
	key := make([]byte, 32)
	rand.Read(key)
	return key, nil
}

// privateKeys keeps those of a protocol.
func (s *state) privateKeys(of string) protocol.Keys {
	return func(name string, generate func() (crypto.PrivateKey, error)) (crypto.PrivateKey, error) {
		der, err := s.key(context.Background(), of+"/"+name, func() ([]byte, error) {
			private, err := generate()
			if err != nil {
				return nil, err
			}
			return x509.MarshalPKCS8PrivateKey(private)
		})
		if err != nil {
			return nil, err
		}
		return x509.ParsePKCS8PrivateKey(der)
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

// resealEvery is how often it is looked whether another gateway has sealed by an old key since, and
// resealAgain how long it takes until what failed is tried again.
const (
	resealEvery = time.Hour
	resealAgain = time.Minute
)

// reseal seals by the store's first key what old ones have sealed, until ctx ends, and says when
// these are not needed any more.
func (g *Gateway) reseal(ctx context.Context) {
	said := false
	for g.state.old > 0 && ctx.Err() == nil {
		r, err := stored.Reseal(ctx, g.state.store, g.state.keys)
		wait := resealEvery
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			g.log.Warn("what is sealed by an old key of the store could not be sealed anew: it is tried again", "sealed", r.Documents, "err", err)
			wait = resealAgain
		case r.Documents > 0:
			g.log.Info("documents of the store were sealed by an old key, and are sealed by the first one now", "documents", r.Documents)
			said, wait = false, 0 // it is looked whether that was all
		case len(r.Left) > 0:
			g.log.Warn("documents of the store were sealed by an old key and by an earlier version, and cannot be sealed anew: keep store.old_keys", "documents", strings.Join(r.Left, ", "))
		case !said:
			g.log.Info("nothing in the store is sealed by an old key: store.old_keys can be removed once the first key is that of all gateways", "old_keys", g.state.old)
			said = true
		}
		if len(r.Unopened) > 0 && wait > 0 {
			g.log.Warn("documents of the store hold what no key opens", "documents", strings.Join(r.Unopened, ", "))
		}
		pause(ctx, wait)
	}
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
