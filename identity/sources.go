package identity

import (
	"context"
	"errors"
	"fmt"

	"github.com/sallyport/sallyport/proxy"
)

// Source is one way to prove who somebody is.
type Source struct {
	// Authenticator proves it to the protocols; nil where logins come in another way, such
	// as in the browser.
	Authenticator proxy.Authenticator
	// Names reports whether the source has the verifier of a login; nil: it has none.
	Names func(login string) bool
	// Owns reports whether the source has proven an identity; nil: all that no source
	// before has.
	Owns func(id *proxy.Identity) bool
	// Refresher says who an identity of the source is now; nil: the Authenticator does,
	// where it is one.
	Refresher proxy.Refresher
}

// Sources are an authenticator of several. A proof is one of the first source that it
// convinces.
type Sources struct {
	List []Source
	// Refine are asked about everybody, at a login and later: such as a directory that adds
	// groups, and refuses those who are disabled.
	Refine []proxy.Refresher
}

// Authenticate implements [proxy.Authenticator].
func (s *Sources) Authenticate(ctx context.Context, p proxy.Proof) (*proxy.Identity, error) {
	var errs []error
	for i := range s.List {
		a := s.List[i].Authenticator
		if a == nil {
			continue
		}
		id, err := a.Authenticate(ctx, p)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if id, err = s.refine(ctx, id); err != nil {
			return nil, fmt.Errorf("%w: %w", proxy.ErrUnauthenticated, err)
		}
		return id, nil
	}
	return nil, errors.Join(append(errs, proxy.ErrUnauthenticated)...)
}

// refine asks those who are asked about everybody.
func (s *Sources) refine(ctx context.Context, id *proxy.Identity) (*proxy.Identity, error) {
	for _, r := range s.Refine {
		now, err := r.Refresh(ctx, id)
		if err != nil {
			return nil, err
		}
		if now == nil || now.Subject != id.Subject {
			return nil, fmt.Errorf("%s is not known any more", id.Subject)
		}
		id = now
	}
	return id, nil
}

// Verifier implements [proxy.VerifierSource], by the first source that has the login's
// verifier.
func (s *Sources) Verifier(ctx context.Context, login string) (string, bool, error) {
	for i := range s.List {
		if src, ok := s.List[i].Authenticator.(proxy.VerifierSource); ok && s.List[i].Names != nil && s.List[i].Names(login) {
			return src.Verifier(ctx, login)
		}
	}
	return "", false, nil
}

// Refresh implements [proxy.Refresher].
func (s *Sources) Refresh(ctx context.Context, id *proxy.Identity) (*proxy.Identity, error) {
	for i := range s.List {
		src := &s.List[i]
		if src.Owns != nil && !src.Owns(id) {
			continue
		}
		r := src.Refresher
		if r == nil {
			r, _ = src.Authenticator.(proxy.Refresher)
		}
		if r == nil {
			return s.refine(ctx, id) // the source knows no changes
		}
		now, err := r.Refresh(ctx, id)
		if err != nil {
			return nil, err
		}
		if now == nil || now.Subject != id.Subject {
			return nil, fmt.Errorf("%s is not known any more", id.Subject)
		}
		return s.refine(ctx, now)
	}
	return nil, fmt.Errorf("nothing here has proven %s", id.Subject)
}
