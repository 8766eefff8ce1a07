package secrets

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// Kind is a kind of sources that a config file can have: what is written there, and how it becomes a
// provider.
type Kind struct {
	Name string // also the scheme of its references, where the file gives no other
	// Settings returns a pointer to a struct with the defaults, whose fields have the tag
	// yaml:"KEY". Where the pointer has a method Validate() error, that says what is wrong, one
	// joined error for each thing, which begins with its key. It reads no files.
	Settings func() any
	// Open returns a provider with such settings, without connecting. Where it has a method Close(),
	// that is called when nobody uses it any more.
	Open func(settings any, h Host) (Provider, error)
}

// Host is what a source reads on the gateway's own host when it is opened.
type Host struct {
	Dir string // relative paths begin here
}

// Path returns path, relative to the host's folder unless it is absolute; empty for "".
func (h Host) Path(path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(h.Dir, path)
}

// Input returns an input by a reference that [CheckInput] accepts.
func (h Host) Input(ref string) Input {
	if r, err := Parse(ref); err == nil && r.Scheme == "file" {
		r.Path = h.Path(r.Path)
		ref = r.String()
	}
	return From(Default(), ref)
}

// Roots returns the certificates in a file; nil for "", which is the system's.
func (h Host) Roots(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(h.Path(file))
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s holds no certificate", file)
	}
	return pool, nil
}

// Pair returns the certificate and key in two files; nil for "".
func (h Host) Pair(cert, key string) (*tls.Certificate, error) {
	if cert == "" {
		return nil, nil
	}
	pair, err := tls.LoadX509KeyPair(h.Path(cert), h.Path(key))
	if err != nil {
		return nil, fmt.Errorf("certificate %s with key %s: %w", cert, key, err)
	}
	return &pair, nil
}

// CheckInput reports whether ref can be what a source is opened with: env: or file:, since nothing else
// is there yet. key is for the error.
func CheckInput(key, ref string) error {
	if ref == "" {
		return fmt.Errorf("%s: it is missing: want a reference, such as file:secrets/token", key)
	}
	if err := Default().Check(ref); err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	return nil
}

// Commands are the settings of [Exec] in a config file.
type Commands struct {
	Commands map[string][]string `yaml:"commands"`
	Env      []string            `yaml:"env"`
}

// Validate says what is wrong.
func (c *Commands) Validate() error {
	var errs []error
	if len(c.Commands) == 0 {
		errs = append(errs, errors.New("commands: there are none: want commands: {NAME: [/path/of/program, argument]}"))
	}
	for name, argv := range c.Commands {
		if len(argv) == 0 || !filepath.IsAbs(argv[0]) {
			errs = append(errs, fmt.Errorf("commands: %s: want the program's absolute path first", name))
		}
	}
	for _, e := range c.Env {
		if !isVariable(e) {
			errs = append(errs, errors.New("env: want NAME=VALUE"))
		}
	}
	return errors.Join(errs...)
}

// Programs are the files of the programs, in the order of their paths.
func (c *Commands) Programs() []string {
	var list []string
	for _, argv := range c.Commands {
		list = append(list, argv[0])
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// ExecKind is the kind of [Exec].
func ExecKind() Kind {
	return Kind{Name: "exec", Settings: func() any { return &Commands{} }, Open: func(settings any, _ Host) (Provider, error) {
		c := settings.(*Commands)
		return Exec{Commands: c.Commands, Env: c.Env}, nil
	}}
}
