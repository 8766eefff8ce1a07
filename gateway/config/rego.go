package config

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sallyport/sallyport/policy"
	"github.com/sallyport/sallyport/proxy"
)

// Policies are policies in languages of their own.
type Policies struct {
	OPA *Rego `yaml:"opa,chooses"`
}

// Rego is what a file says about policies in Rego. It is given to the assembly's engine.
type Rego struct {
	Position
	Dirs     []string       `yaml:"dirs,chooses"`
	Bundles  []RegoBundle   `yaml:"bundles,chooses"`
	Decision string         `yaml:"decision"`
	Decides  bool           `yaml:"decides"`
	Timeout  *time.Duration `yaml:"timeout,chooses"`
	Volatile []string       `yaml:"volatile,chooses"`
}

// RegoBundle is a file with a bundle of OPA's.
type RegoBundle struct {
	Position
	File     string    `yaml:"file"`
	Keys     []RegoKey `yaml:"keys,chooses"`
	Unsigned bool      `yaml:"unsigned"`
}

// RegoKey is a public key by which a bundle's signature is checked.
type RegoKey struct {
	Position
	ID        string `yaml:"id"`
	File      string `yaml:"file"`
	Algorithm string `yaml:"algorithm"`
}

// RegoEngine makes policies in Rego. It is for assemblies: package gateway/rego has one, and
// only who imports that builds OPA.
type RegoEngine interface {
	// New reads and compiles a policy. Its error has a line of text for everything that is
	// wrong, with file and line.
	New(s RegoSource) (RegoPolicy, error)
	// Test runs the policy's own tests. Its error says that they could not be run.
	Test(ctx context.Context, s RegoSource) ([]RegoTest, error)
}

// RegoSource is what a policy in Rego is made of. Its paths can be opened as they are.
type RegoSource struct {
	Rego
	Carries policy.Carries  // what the assembly carries out of obligations
	Budgets *policy.Budgets // of people; nil where sessions only ask
	Grants  policy.Grants   // what was granted to those who have asked; nil: nothing
	// Request reads the terms of an answer's request, for some actions at a resource.
	Request func(terms map[string]any, actions []string, at *proxy.Resource) (*policy.Request, error)
	Log     *slog.Logger
}

// RegoPolicy is one revision of a policy in Rego. It is immutable and safe for concurrent use.
type RegoPolicy interface {
	proxy.Interceptor
	// Revision names what it is made of.
	Revision() string
	// Obligations are what it asks of a session in return for connecting. An error says that
	// the policy did not decide, and the session does not connect.
	Obligations(ctx context.Context, s *proxy.Session) (policy.Obligations, error)
	// May reports whether id may connect to a target, for lists of resources.
	May(ctx context.Context, id *proxy.Identity, t proxy.Target) bool
	// Requestable returns the rule by which access is asked for where s is to connect, whose name begins with RegoRules; nil: it
	// is not asked for. It needs no more of s than an identity and a target. An error says that the policy did not decide.
	Requestable(ctx context.Context, s *proxy.Session) (*policy.Rule, error)
	// Trace evaluates the policy about op and says how, for its author. The error says why
	// it did not decide.
	Trace(ctx context.Context, s *proxy.Session, op proxy.Op) (string, error)
}

// RegoTest is how one test of a policy went.
type RegoTest struct {
	Name            string
	File            string
	Line            int
	Passed, Skipped bool
	Err             error // why it could not be evaluated; nil when it failed plainly
}

const (
	maxRego      = time.Second // of one decision
	maxRegoNames = 4096        // in a folder of policies; one that has more cannot be used
)

func (f *File) validateRego(d *decoder) {
	r := f.Policies.OPA
	if r == nil {
		return
	}
	if f.options.Rego == nil {
		d.problem(r.Line, "use a program that has it, or give config.Options an engine: package gateway/rego has one", "policy.opa: this program has no engine for policies in Rego")
	}
	if len(r.Dirs)+len(r.Bundles) == 0 {
		d.problem(r.Line, "dirs: [FOLDER]", "policy.opa: it has neither dirs nor bundles, so there is no policy")
	}
	for _, dir := range r.Dirs {
		if dir == "" {
			d.problem(r.Line, "dirs: [FOLDER]", "policy.opa: a folder without a name")
		}
	}
	if t := r.Timeout; t != nil && (*t <= 0 || *t > maxRego) {
		d.problem(r.Line, "", "policy.opa: timeout is %s, want more than 0 and up to %s", *t, maxRego)
	}
	for _, b := range r.Bundles {
		switch {
		case b.File == "":
			d.problem(b.Line, "file: BUNDLE.tar.gz", "policy.opa: a bundle needs a file")
		case b.Unsigned == (len(b.Keys) > 0):
			d.problem(b.Line, "", "policy.opa: bundle %s needs keys by which its signature is checked, or unsigned: true, and not both", b.File)
		}
		for _, k := range b.Keys {
			if k.ID == "" || k.File == "" || k.Algorithm == "" {
				d.problem(k.Line, "{id: ops, file: ops.pem, algorithm: ES256}", "policy.opa: bundle %s: a key needs id, file and algorithm", b.File)
			}
		}
	}
}

// Decides reports whether a policy in Rego allows sessions to connect.
func (f *File) Decides() bool { return f.Policies.OPA != nil && f.Policies.OPA.Decides }

// Rego makes the policy in Rego; nil when the file has none. budgets keeps those of people, and grants what was granted to them; both
// are nil where sessions only ask. The error has a line for everything that is wrong.
func (f *File) Rego(log *slog.Logger, budgets *policy.Budgets, grants policy.Grants) (RegoPolicy, error) {
	if f.Policies.OPA == nil {
		return nil, nil
	}
	s := f.regoSource(log)
	s.Budgets, s.Grants = budgets, grants
	return f.options.Rego.New(s)
}

// TestRego runs the tests of the policy in Rego. A file without such a policy has no tests. The
// error says that they could not be run.
func (f *File) TestRego(ctx context.Context) ([]RegoTest, error) {
	if f.Policies.OPA == nil {
		return nil, nil
	}
	return f.options.Rego.Test(ctx, f.regoSource(slog.New(slog.DiscardHandler)))
}

func (f *File) regoSource(log *slog.Logger) RegoSource {
	s := RegoSource{Rego: *f.Policies.OPA, Carries: carries, Request: f.regoRequest, Log: log}
	s.Dirs = nil
	for _, dir := range f.Policies.OPA.Dirs {
		s.Dirs = append(s.Dirs, f.path(dir))
	}
	s.Bundles = nil
	for _, b := range f.Policies.OPA.Bundles {
		keys := b.Keys
		b.File, b.Keys = f.path(b.File), nil
		for _, k := range keys {
			k.File = f.path(k.File)
			b.Keys = append(b.Keys, k)
		}
		s.Bundles = append(s.Bundles, b)
	}
	return s
}

// checkRego compiles the policy.
func (f *File) checkRego(d *decoder) {
	if f.Policies.OPA == nil {
		return
	}
	if _, err := f.Rego(slog.New(slog.DiscardHandler), nil, nil); err != nil {
		for line := range strings.Lines(err.Error()) {
			d.note(f.Policies.OPA.Line, "", "policy.opa: %s", strings.TrimSpace(line))
		}
	}
}

// eachRego calls each with every file and folder that the policy in Rego is read from.
func (f *File) eachRego(each func(name string, info fs.FileInfo, err error)) {
	if f.Policies.OPA == nil {
		return
	}
	see := func(name string) {
		info, err := os.Stat(name) // of what a link leads to
		each(name, info, err)
	}
	s := f.regoSource(nil)
	for _, b := range s.Bundles {
		see(b.File)
		for _, k := range b.Keys {
			see(k.File)
		}
	}
	for _, dir := range s.Dirs {
		dir, err := filepath.EvalSymlinks(dir) // another name is another folder
		if err != nil {
			each(dir, nil, err)
			continue
		}
		names := 0
		err = filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
			if names++; names > maxRegoNames {
				return fs.SkipAll // it is not a policy
			}
			switch hidden := strings.HasPrefix(filepath.Base(name), ".") && name != dir; {
			case hidden && entry != nil && entry.IsDir():
				return fs.SkipDir
			case err == nil && !hidden && (entry.IsDir() || isRego(name)):
				see(name)
			}
			return err
		})
		if err != nil {
			each(dir, nil, err)
		}
	}
}

// isRego reports whether a file is one that policies in Rego are read from.
func isRego(name string) bool {
	switch filepath.Base(name) {
	case "data.json", "data.yaml", "data.yml":
		return true
	}
	return filepath.Ext(name) == ".rego"
}

// stampOf names what a file with this digest says, together with the policy in Rego that f
// refers to: by names, sizes and times of change.
func (f *File) stampOf(digest [sha256.Size]byte) (stamp [sha256.Size]byte) {
	h := sha256.New()
	h.Write(digest[:])
	f.eachRego(func(name string, info fs.FileInfo, err error) {
		if err != nil {
			fmt.Fprintf(h, "%q %v\n", name, err)
			return
		}
		if !info.IsDir() { // which is its files
			fmt.Fprintf(h, "%q %d %d\n", name, info.Size(), info.ModTime().UnixNano())
		}
	})
	h.Sum(stamp[:0])
	return stamp
}

// safeRego returns why the policy in Rego is not to be used: others could have written it.
func (f *File) safeRego() error {
	var errs []error
	f.eachRego(func(name string, info fs.FileInfo, err error) {
		if err == nil { // else it cannot be read either
			errs = append(errs, trusted(name, info))
		}
	})
	return errors.Join(errs...)
}
