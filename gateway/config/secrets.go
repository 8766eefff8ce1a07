package config

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"

	"go.yaml.in/yaml/v3"

	"github.com/sallyport/sallyport/protocol"
	"github.com/sallyport/sallyport/secrets"
)

// SecretSource is where secrets come from besides the environment and files.
type SecretSource struct {
	Position
	Scheme string // of references to it
	Kind   string
	// Settings are those of its kind: the struct that its Settings point to, with what the
	// file says.
	Settings any

	lines map[string]int // of the keys of Settings
}

// SecretSources are the sources of a config file, by their schemes.
type SecretSources []SecretSource

// line is where the sources are in the file.
func (ss SecretSources) line() int {
	if len(ss) == 0 {
		return 1
	}
	return ss[0].Line
}

// sources reads the sources. The key is the scheme, and the kind where no type says another.
func (d *decoder) sources(n *yaml.Node, to *SecretSources, path string, depth int) {
	if n.Kind != yaml.MappingNode {
		d.problem(n.Line, "write it as {SCHEME: {type: KIND, …}}", "%s must be keys and values", path)
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		d.source(n.Content[i], n.Content[i+1], to, path+"."+n.Content[i].Value, depth+1)
	}
}

func (d *decoder) source(k, n *yaml.Node, to *SecretSources, path string, depth int) {
	s := SecretSource{Position: Position{k.Line}, Scheme: k.Value, Kind: k.Value, lines: make(map[string]int)}
	if !d.readable(n, path, depth) {
		return
	}
	if slices.ContainsFunc(*to, func(o SecretSource) bool { return o.Scheme == s.Scheme }) {
		d.problem(k.Line, "", "%q is given twice", path)
		return
	}
	if _, err := secrets.Parse(s.Scheme + ":x"); err != nil {
		d.problem(k.Line, "begin it with a lower-case letter, and use lower-case letters, digits, + . -", "%q cannot be the scheme of references", k.Value)
		return
	}
	defer func() { *to = append(*to, s) }() // also what is wrong: references to it are not
	if n.Kind != yaml.MappingNode {
		d.problem(k.Line, "", "%s must be keys and values", path)
		return
	}
	line := k.Line
	if given, at := scalar(n, "type"); given != "" {
		s.Kind, line = given, at
	}
	at := slices.IndexFunc(d.kinds, func(k secrets.Kind) bool { return k.Name == s.Kind })
	if at < 0 {
		var names []string
		for _, k := range d.kinds {
			names = append(names, k.Name)
		}
		d.problem(line, suggest(s.Kind, names), "%s: unknown type %q of a source of secrets", path, s.Kind)
		return
	}
	v := reflect.ValueOf(d.kinds[at].Settings()).Elem()
	known := fieldsOf(v.Type())
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, val := n.Content[i], n.Content[i+1]
		field, ok := known.index[key.Value]
		switch _, twice := s.lines[key.Value]; {
		case twice:
			d.problem(key.Line, "", "%q is given twice", path+"."+key.Value)
		case key.Value == "type":
		case !ok:
			d.unknown(key, path+"."+key.Value, append([]string{"type"}, known.keys...))
		default:
			d.decode(val, v.Field(field), path+"."+key.Value, depth+1)
		}
		s.lines[key.Value] = key.Line
	}
	s.Settings = v.Interface()
}

// validateSecrets asks each kind whether its settings can work.
func (f *File) validateSecrets(d *decoder) {
	for _, s := range f.Secrets {
		if f.options.Secrets[s.Scheme] != nil {
			d.problem(s.Line, "give it another name, and say type: "+s.Kind, "secrets: the scheme %s is taken already", s.Scheme)
		}
		if s.Settings == nil {
			continue
		}
		v, ok := s.settings().(protocol.Validator)
		if !ok {
			continue
		}
		for _, err := range parts(v.Validate()) {
			line := s.Line
			if key, _, ok := strings.Cut(err.Error(), ":"); ok && s.lines[key] != 0 {
				line = s.lines[key]
			}
			d.problem(line, "", "secrets.%s: %v", s.Scheme, err)
		}
	}
}

// settings is a pointer to a copy of the settings.
func (s *SecretSource) settings() any {
	p := reflect.New(reflect.TypeOf(s.Settings))
	p.Elem().Set(reflect.ValueOf(s.Settings))
	return p.Interface()
}

// programs is implemented by settings of sources that run programs.
type programs interface {
	// Programs are the files that are run, as absolute paths.
	Programs() []string
}

// safePrograms returns why a program of a source is not to be run: others than root and the user
// of this process could have written it.
func (f *File) safePrograms() error {
	for i := range f.Secrets {
		p, ok := f.Secrets[i].settings().(programs)
		if !ok {
			continue
		}
		for _, name := range p.Programs() {
			info, err := os.Stat(name)
			if err == nil {
				err = trusted(name, info)
			}
			if err != nil {
				return fmt.Errorf("secrets.%s: %w", f.Secrets[i].Scheme, err)
			}
		}
	}
	return nil
}

// checkReference reports whether a reference of the file can be followed, without following it.
func (f *File) checkReference(ref string) error {
	known := maps.Clone(f.options.Secrets)
	if known == nil {
		known = make(secrets.Source)
	}
	for _, s := range f.Secrets {
		known[s.Scheme] = secrets.Env{} // any that is not nil: nobody is asked
	}
	return known.Check(ref)
}

// Secrets follows the references of a config file: a broker of its sources.
type Secrets struct {
	*secrets.Broker
	opened map[string]*opened // by scheme

	mu     sync.Mutex
	own    map[use]string // what the gateway itself uses
	before map[use]string // by the revision before
}

// use is a reference and its source; nil is one of the options.
type use struct {
	source *opened
	ref    string
}

// opened is a provider, and what it was opened with.
type opened struct {
	provider secrets.Provider
	settings any
	host     secrets.Host
}

// OpenSecrets returns what follows the file's references, without connecting. It is to be closed. o says
// how; its sources are those of the file.
func (f *File) OpenSecrets(o secrets.Options) (*Secrets, error) {
	return f.openSecrets(nil, func(own secrets.Source) (*secrets.Broker, error) {
		o.Source, o.Own = f.options.Secrets, own
		return secrets.NewBroker(o)
	})
}

// Next returns what follows the references of f, another revision of the file. Sources that are as they
// were are used on, and what is kept and leased stays; see [secrets.Broker.With]. One of the two
// is to be retired.
func (s *Secrets) Next(f *File) (*Secrets, error) {
	next, err := f.openSecrets(s.opened, s.With)
	if err == nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		next.before = maps.Clone(s.own)
	}
	return next, err
}

func (f *File) openSecrets(before map[string]*opened, broker func(own secrets.Source) (*secrets.Broker, error)) (*Secrets, error) {
	s := &Secrets{opened: make(map[string]*opened), own: make(map[use]string)}
	own := make(secrets.Source)
	host := secrets.Host{Dir: filepath.Dir(f.name)}
	var err error
	for i := range f.Secrets {
		o := &f.Secrets[i]
		is, ok := before[o.Scheme]
		if !ok || is.host != host || !reflect.DeepEqual(is.settings, o.Settings) {
			is = &opened{settings: o.Settings, host: host}
			if is.provider, err = o.open(f.options.Kinds, host); err != nil {
				err = fmt.Errorf("opening the source of secrets %s: %w", o.Scheme, err)
				break
			}
		}
		s.opened[o.Scheme], own[o.Scheme] = is, is.provider
	}
	if err == nil {
		s.Broker, err = broker(own)
	}
	if err == nil {
		return s, nil
	}
	for scheme, is := range s.opened {
		if c, ok := is.provider.(interface{ Close() }); ok && before[scheme] != is {
			c.Close()
		}
	}
	return nil, err
}

func (s *SecretSource) open(kinds []secrets.Kind, h secrets.Host) (secrets.Provider, error) {
	at := slices.IndexFunc(kinds, func(k secrets.Kind) bool { return k.Name == s.Kind })
	return kinds[at].Open(s.settings(), h)
}

// pair reads a certificate and its private key, which is in a file or what a reference leads to.
func (f *File) pair(ctx context.Context, from *Secrets, cert, key string) (certPEM, keyPEM []byte, err error) {
	if certPEM, err = f.certificates(cert); err != nil {
		return nil, nil, err
	}
	if f.checkReference(key) != nil {
		keyPEM, err = os.ReadFile(f.path(key))
		return certPEM, keyPEM, err
	}
	text, err := f.Secret(ctx, from, key)
	return certPEM, []byte(text), err
}

// called is how messages call certificates.
func (f *File) called(value string) string {
	if isPEM(value) {
		return "what is written there"
	}
	return f.path(value)
}

// named is how messages call a private key.
func (f *File) named(key string) string {
	if f.checkReference(key) == nil {
		return key
	}
	return f.path(key)
}

func (f *File) keyPair(ctx context.Context, from *Secrets, cert, key string) (tls.Certificate, error) {
	c, k, err := f.pair(ctx, from, cert, key)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.X509KeyPair(c, k)
}

// Secret fetches what a reference of the file leads to, past what is kept, for the gateway itself. from is who
// follows it; nil opens the file's sources for this alone. When a service does not answer, what it said
// for from or the revision before is used: a service that is down keeps no change of the file from being used.
func (f *File) Secret(ctx context.Context, from *Secrets, ref string) (secret string, err error) {
	if from == nil {
		if from, err = f.OpenSecrets(secrets.Options{Brief: true}); err != nil {
			return "", err
		}
		defer func() { err = errors.Join(err, from.Close(ctx)) }()
	}
	return from.fetch(ctx, f.reference(ref))
}

func (s *Secrets) fetch(ctx context.Context, ref string) (string, error) {
	scheme, _, _ := strings.Cut(ref, ":")
	u := use{s.opened[scheme], ref}
	value, release, err := s.Fetch(ctx, ref, true)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		release()
		s.own[u] = value.Reveal()
	}
	if errors.Is(err, secrets.ErrUnavailable) {
		for _, known := range []map[use]string{s.own, s.before} {
			if text, ok := known[u]; ok {
				s.own[u] = text
				return text, nil
			}
		}
	}
	if err != nil {
		return "", err
	}
	return s.own[u], nil
}
