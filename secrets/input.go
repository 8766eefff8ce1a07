package secrets

import (
	"context"

	"github.com/sallyport/sallyport/proxy"
)

// Input is something that a source itself is opened with, such as a token. It is asked for each time
// that it is needed, so that a value that is replaced is seen.
type Input func(ctx context.Context) (proxy.Secret, error)

// FromFile reads an input from a file.
func FromFile(path string) Input { return From(Default(), Ref{Scheme: "file", Path: path}.String()) }

// From reads an input by a reference that s can follow.
func From(s Source, ref string) Input {
	return func(ctx context.Context) (proxy.Secret, error) {
		v, err := s.Resolve(ctx, ref, true)
		if err != nil {
			return proxy.Secret{}, err
		}
		return v.secret(), nil
	}
}
