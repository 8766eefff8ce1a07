package config

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/runbook/git"
)

// Runbooks is a source of runbooks.
type Runbooks struct {
	Position
	Name       string        `yaml:"name"`
	URL        string        `yaml:"url"`
	Ref        string        `yaml:"ref"`
	Path       string        `yaml:"path"`
	Every      time.Duration `yaml:"every"` // after which it is fetched again; 0 is a minute
	Signers    string        `yaml:"signers"`
	User       string        `yaml:"user"`
	Secret     string        `yaml:"secret"` // a reference
	KnownHosts string        `yaml:"known_hosts"`
	CA         string        `yaml:"ca"`
	// Authors are the subjects of people, by the mail addresses of commits.
	Authors map[string]string `yaml:"authors"`
	// Secrets are the references that its runbooks may use.
	Secrets []string `yaml:"secrets"`
	// Services are the subjects that its schedules may run as.
	Services []string `yaml:"services"`
}

const (
	runbooksEvery    = time.Minute
	minRunbooksEvery = 5 * time.Second
)

// RunbookSource is what a source is opened with. secret follows its reference.
func (f *File) RunbookSource(r *Runbooks, secret func(ctx context.Context, ref string) (string, error)) git.Config {
	c := git.Config{Name: r.Name, URL: r.URL, Ref: r.Ref, Path: r.Path, User: r.User, Mirror: filepath.Join(f.absolute(f.Data()), "runbooks", r.Name)}
	if r.URL != "" && !strings.Contains(r.URL, "://") {
		c.URL = f.absolute(f.path(r.URL))
	}
	for to, file := range map[*string]string{&c.Signers: r.Signers, &c.KnownHosts: r.KnownHosts, &c.CA: r.CA} {
		if file != "" {
			*to = f.absolute(f.path(file))
		}
	}
	if r.Secret != "" && secret != nil {
		c.Secret = func(ctx context.Context) (string, error) { return secret(ctx, r.Secret) }
	}
	return c
}

// absolute is a path that does not change with the folder that the process is in.
func (f *File) absolute(p string) string {
	if a, err := filepath.Abs(p); err == nil {
		return a
	}
	return p
}

// Interval is after which the source is fetched again.
func (r *Runbooks) Interval() time.Duration {
	if r.Every == 0 {
		return runbooksEvery
	}
	return r.Every
}

func (f *File) validateRunbooks(d *decoder) {
	var names []string
	for i := range f.Runbooks {
		r := &f.Runbooks[i]
		at := "runbooks " + r.Name
		if !validRunbooks(r.Name) {
			d.problem(r.Line, "use lower-case letters, digits and -", "runbooks: the name: got %q, want 1 to 32 of them", r.Name)
			continue
		}
		if slices.Contains(names, r.Name) {
			d.problem(r.Line, "give them names", "%s exists twice", at)
		}
		names = append(names, r.Name)
		if r.Every != 0 && r.Every < minRunbooksEvery {
			d.problem(r.Line, "", "%s: every: got %s, want %s or more", at, r.Every, minRunbooksEvery)
		}
		for _, ref := range append(slices.Clone(r.Secrets), r.Secret) {
			if ref == "" {
				continue
			}
			if err := f.checkReference(ref); err != nil {
				d.problem(r.Line, "secrets are not allowed in this file", "%s: %v", at, err)
			}
		}
		if _, err := git.Open(f.RunbookSource(r, nil)); err != nil {
			d.problem(r.Line, "", "%v", err)
		}
	}
}

func validRunbooks(name string) bool {
	return name != "" && len(name) <= 32 && !strings.HasPrefix(name, "-") && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}
