package secrets

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/sallyport/sallyport/proxy"
)

// Env fetches secrets from the environment: "env:NAME", or "env:NAME#KEY" for a
// value of a JSON object in it.
type Env struct{}

// Resolve returns the variable's value.
func (Env) Resolve(_ context.Context, ref Ref, _ Use) (*Value, error) {
	if err := ref.Only("user"); err != nil {
		return nil, err
	}
	text, ok := os.LookupEnv(ref.Path)
	if !ok {
		return nil, missing{fmt.Errorf("variable %s is not set", ref.Path)}
	}
	return ref.Pick([]byte(text))
}

// File fetches secrets from files: "file:/run/secrets/db", or "file:/etc/app.json#KEY" for
// a value of a JSON object or of a file of NAME=VALUE lines. One line break at the
// end is not part of the secret. The file is read at every lease, so a rotated
// secret is seen.
type File struct{}

// Resolve returns the file's content.
func (File) Resolve(_ context.Context, ref Ref, _ Use) (*Value, error) {
	if err := ref.Only("user"); err != nil {
		return nil, err
	}
	b, err := ReadFile(ref.Path)
	if err != nil {
		return nil, err
	}
	return ref.Pick(b)
}

// near marks what is read anew each time, so that it need not be remembered that it could not be.
type near interface{ near() }

func (Env) near()  {}
func (File) near() {}

// missing is an ErrNotFound that says what is not there in its own words.
type missing struct{ error }

func (m missing) Unwrap() []error { return []error{m.error, ErrNotFound} }

// maxFile bounds the files that hold secrets, several perhaps.
const maxFile = 1 << 20

// ReadFile returns the content of a file that holds secrets: a regular file of at most 1 MiB.
func ReadFile(path string) ([]byte, error) {
	st, err := os.Stat(path)
	if os.IsNotExist(err) {
		return nil, missing{err}
	}
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, fmt.Errorf("reading %s: want a regular file", path) // a pipe would wait
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxFile {
		return nil, fmt.Errorf("reading %s: it is larger than %d bytes: %w", path, maxFile, ErrTooLarge)
	}
	return b, nil
}

// Plain returns v's one text, for providers that are built on others.
func (v *Value) Plain() proxy.Secret { return v.secret() }
