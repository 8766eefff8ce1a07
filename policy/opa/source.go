package opa

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/bundle"
	"github.com/open-policy-agent/opa/v1/util"
)

// Bounds on what is read.
const (
	maxFile   = 4 << 20
	maxFolder = 64 << 20 // of all files of a folder that are read
	maxBundle = 64 << 20
	maxNames  = 4096 // in a folder, whether they are read or not
)

// Bundle is a bundle of OPA's: a tar.gz of modules and data.
type Bundle struct {
	Name    string // names it in errors
	Content []byte
	// Keys are those that sign bundles, by their ID. The signature covers every file.
	Keys map[string]Key
	// KeyID is the only one of Keys that counts; empty is the one that the signature names.
	KeyID string
	// Unsigned lets a bundle in that nobody signed. Keys are not looked at.
	Unsigned bool
}

// Key verifies signatures.
type Key struct {
	PEM       string // the public key
	Algorithm string // such as ES256 or RS256
}

// source is everything that a policy is made of.
type source struct {
	modules map[string]*ast.Module // by file
	tests   map[string]*ast.Module // those in files that end in _test.rego
	data    map[string]any
	options ast.ParserOptions
	errs    []error
}

// read reads everything that c names.
func read(c *Config) (*source, error) {
	caps, err := capabilities(c.Volatile)
	if err != nil {
		return nil, err
	}
	s := &source{
		modules: make(map[string]*ast.Module), tests: make(map[string]*ast.Module), data: make(map[string]any),
		options: ast.ParserOptions{Capabilities: caps, RegoVersion: ast.RegoV1, ProcessAnnotation: true},
	}
	for _, name := range slices.Sorted(maps.Keys(c.Modules)) {
		s.module(name, c.Modules[name])
	}
	s.merge("the data given", c.Data)
	for _, dir := range c.Dirs {
		s.dir(dir)
	}
	for i := range c.Bundles {
		s.bundle(&c.Bundles[i])
	}
	return s, errors.Join(s.errs...)
}

func (s *source) bad(format string, args ...any) {
	s.errs = append(s.errs, fmt.Errorf(format, args...))
}

func (s *source) module(file, text string) {
	m, err := ast.ParseModuleWithOpts(file, text, s.options)
	if err != nil {
		s.errs = append(s.errs, err) // it has file and line
		return
	}
	s.parsed(file, m)
}

func (s *source) parsed(file string, m *ast.Module) {
	into := s.modules
	if strings.HasSuffix(file, "_test.rego") {
		into = s.tests
	}
	if _, has := into[file]; has {
		s.bad("module %s is given twice", file)
		return
	}
	into[file] = m
}

// dir reads modules, and data.json and data.yaml, which belong under the path of their folder.
func (s *source) dir(dir string) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		s.bad("reading policies: %w", err)
		return
	}
	defer root.Close()
	names, size := 0, int64(0)
	err = fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		base := path.Base(name)
		names++
		switch {
		case err != nil:
			return err
		case names > maxNames:
			return fmt.Errorf("it has more than %d files and folders: give policies a folder of their own", maxNames)
		case d.IsDir() && strings.HasPrefix(base, ".") && name != ".":
			return fs.SkipDir
		case d.IsDir() || strings.HasPrefix(base, "."):
			return nil
		}
		isData := base == "data.json" || base == "data.yaml" || base == "data.yml"
		if !isData && path.Ext(base) != ".rego" {
			return nil
		}
		if info, err := fs.Stat(root.FS(), name); err != nil {
			return err
		} else if info.Size() > maxFile {
			return fmt.Errorf("%s has %d bytes: a file may have %d", name, info.Size(), maxFile)
		} else if size += info.Size(); size > maxFolder {
			return fmt.Errorf("its files have more than %d bytes", maxFolder)
		}
		text, err := fs.ReadFile(root.FS(), name)
		if err != nil {
			return err
		}
		file := filepath.Join(dir, name)
		if !isData {
			s.module(file, string(text))
			return nil
		}
		var value any
		if err := util.Unmarshal(text, &value); err != nil {
			return fmt.Errorf("%s is not JSON or YAML: %w", file, err)
		}
		if folder := path.Dir(name); folder != "." {
			parts := strings.Split(folder, "/")
			for _, part := range slices.Backward(parts) {
				value = map[string]any{part: value}
			}
		}
		object, ok := value.(map[string]any)
		if !ok {
			return fmt.Errorf("%s is not an object", file)
		}
		s.merge(file, object)
		return nil
	})
	if err != nil {
		s.bad("reading policies of %s: %w", dir, err)
	}
}

func (s *source) bundle(b *Bundle) {
	r := bundle.NewCustomReader(bundle.NewTarballLoaderWithBaseURL(bytes.NewReader(b.Content), "")).WithRegoVersion(ast.RegoV1).
		WithCapabilities(s.options.Capabilities).WithProcessAnnotations(true).WithSizeLimitBytes(maxBundle).WithBundleName(b.Name)
	switch {
	case b.Unsigned:
		r = r.WithSkipBundleVerification(true)
	case len(b.Keys) == 0:
		s.bad("bundle %s: there is no key to verify it with: give keys, or say that it is unsigned", b.Name)
		return
	default:
		keys := make(map[string]*bundle.KeyConfig, len(b.Keys))
		for id, k := range b.Keys {
			if k.PEM == "" || k.Algorithm == "" {
				s.bad("bundle %s: key %s needs a public key and an algorithm", b.Name, id)
				return
			}
			if strings.HasPrefix(strings.ToUpper(k.Algorithm), "HS") {
				s.bad("bundle %s: key %s is for %s, with which everybody who verifies can sign: want one such as ES256", b.Name, id, k.Algorithm)
				return
			}
			keys[id] = &bundle.KeyConfig{Key: k.PEM, Algorithm: k.Algorithm}
		}
		r = r.WithBundleVerificationConfig(bundle.NewVerificationConfig(keys, b.KeyID, "", nil))
	}
	read, err := r.Read()
	if err != nil {
		s.bad("bundle %s: %w", b.Name, err)
		return
	}
	if read.Type() != bundle.SnapshotBundleType || len(read.WasmModules)+len(read.PlanModules) > 0 {
		s.bad("bundle %s: it is a change or holds compiled policies: want modules in Rego, whole", b.Name)
		return
	}
	for _, m := range read.Modules {
		s.parsed(path.Join(b.Name, m.Path), m.Parsed)
	}
	s.merge("bundle "+b.Name, read.Data)
}

// merge adds data. What is there already is not replaced.
func (s *source) merge(from string, data map[string]any) {
	if err := merge(s.data, data, "data"); err != nil {
		s.bad("%s: %w", from, err)
	}
}

func merge(into, from map[string]any, at string) error {
	for k, v := range from {
		there, has := into[k]
		if !has {
			into[k] = v
			continue
		}
		a, objectA := there.(map[string]any)
		b, objectB := v.(map[string]any)
		if !objectA || !objectB {
			return fmt.Errorf("%s.%s is given twice", at, k)
		}
		a = maps.Clone(a) // it may be the caller's
		into[k] = a
		if err := merge(a, b, at+"."+k); err != nil {
			return err
		}
	}
	return nil
}
