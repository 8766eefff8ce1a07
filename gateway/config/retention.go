package config

import (
	"context"
	"fmt"
	"time"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/policy"
	"github.com/sallyport/sallyport/proxy"
)

// Retention says how long the content of sessions at some resources is kept.
type Retention struct {
	Position
	Resources Selector `yaml:"resources"`
	Days      int      `yaml:"days"`
}

func (f *File) validateRetention(d *decoder) {
	for _, r := range f.Audit.Retention {
		f.checkSelector(d, r.Line, r.Resources)
		if r.Days <= 0 {
			d.problem(r.Line, "days: 365", "audit.retention: days must be given")
		}
	}
	refs := f.Audit.OldKeys
	if f.Audit.Key != "" {
		refs = append([]string{f.Audit.Key}, refs...)
	} else if len(refs) > 0 {
		d.problem(f.Audit.Line, "give the current one as key", "audit.old_keys without audit.key")
	}
	for _, ref := range refs {
		if err := f.checkReference(ref); err != nil {
			d.problem(f.Audit.Line, "", "audit key: %v", err)
		}
	}
}

// Retention says how long a session is kept, by its first event: as the first
// section for its resource says, and for ever where there is none. It is nil when the
// file has no sections.
func (f *File) Retention() func(start *audit.Event) time.Duration {
	if len(f.Audit.Retention) == 0 {
		return nil
	}
	resources := make(map[string]*proxy.Resource)
	for _, r := range f.Resources {
		resources[r.Name] = &proxy.Resource{Name: r.Name, Labels: r.Labels}
	}
	return func(start *audit.Event) time.Duration {
		resource := resources[start.Resource]
		if resource == nil {
			resource = &proxy.Resource{Name: start.Resource} // it is not there any more
		}
		for _, r := range f.Audit.Retention {
			rule := policy.Rule{Resources: r.Resources.Names, Labels: r.Resources.Labels}
			if rule.MatchesResource(resource) {
				return time.Duration(r.Days) * 24 * time.Hour
			}
		}
		return 0
	}
}

// AuditKeys fetches the keys that seal the records' keys; without any in the file it is
// the one in the log's directory. from is who follows references; nil opens the file's sources for this alone.
func (f *File) AuditKeys(ctx context.Context, from *Secrets) (audit.Keys, error) {
	var k audit.Keys
	fetch := func(ref string) ([]byte, error) {
		secret, err := f.Secret(ctx, from, ref)
		if err != nil {
			return nil, fmt.Errorf("audit key: %w", err)
		}
		return audit.ParseKey(secret)
	}
	if f.Audit.Key == "" {
		return k, nil
	}
	var err error
	if k.Current, err = fetch(f.Audit.Key); err != nil {
		return k, err
	}
	for _, ref := range f.Audit.OldKeys {
		old, err := fetch(ref)
		if err != nil {
			return k, err
		}
		k.Old = append(k.Old, old)
	}
	return k, nil
}
