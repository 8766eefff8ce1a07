package config

import (
	"context"
	"crypto/tls"
	"fmt"
	"slices"

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/review"
	"github.com/sallyport/sallyport/review/opsgenie"
	"github.com/sallyport/sallyport/review/pagerduty"
)

// OnCall is a list of who is on call, whose people are approvers by the name "oncall:NAME".
type OnCall struct {
	Position
	Name     string   `yaml:"name"`
	Type     string   `yaml:"type"`
	Schedule string   `yaml:"schedule"`
	Policy   string   `yaml:"escalation_policy"` // pagerduty
	Token    string   `yaml:"token"`             // a reference
	Groups   []string `yaml:"groups,chooses"`    // one of which somebody must be in, too; without it any
	URL      string   `yaml:"url"`
	Private  bool     `yaml:"private"`
	CA       string   `yaml:"ca"`
}

// OnCallSource knows who is on call now, by mail addresses.
type OnCallSource interface {
	OnCall(ctx context.Context) ([]string, error)
}

// Types of lists.
const (
	onCallPagerDuty = "pagerduty"
	onCallOpsgenie  = "opsgenie"
)

// source asks who is on call.
func (o *OnCall) source(token proxy.Secret, roots *tls.Config) (OnCallSource, error) {
	if o.Type == onCallOpsgenie {
		return opsgenie.NewSchedule(opsgenie.ScheduleConfig{Schedule: o.Schedule, Token: token, URL: o.URL, Private: o.Private, TLS: roots})
	}
	return pagerduty.NewSchedule(pagerduty.ScheduleConfig{Schedule: o.Schedule, Policy: o.Policy, Token: token, URL: o.URL, Private: o.Private, TLS: roots})
}

func (f *File) validateOnCall(d *decoder) {
	types := []string{onCallPagerDuty, onCallOpsgenie}
	names := make(map[string]bool)
	for i := range f.OnCall {
		o := &f.OnCall[i]
		at := "oncall " + o.Name
		if !slices.Contains(types, o.Type) {
			d.problem(o.Line, suggest(o.Type, types), "unknown type of oncall %q", o.Type)
			continue
		}
		if err := review.ValidChannel(o.Name); err != nil {
			d.problem(o.Line, "give it a name, by which rules have it as approvers: oncall:NAME", "oncall: the name: got %q, want 1 to 64 letters, digits, dots, dashes and underscores", o.Name)
		}
		if names[o.Name] {
			d.problem(o.Line, "give them names", "%s exists twice", at)
		}
		names[o.Name] = true
		f.checkGroups(d, o.Line, o.Groups)
		if o.Type == onCallOpsgenie && o.Policy != "" {
			d.problem(o.Line, "name a schedule", "%s: type %s has no escalation_policy", at, o.Type)
		}
		if o.Token != "" {
			if err := f.checkReference(o.Token); err != nil {
				d.problem(o.Line, "secrets are not allowed in this file", "%s: %v", at, err)
			}
		}
		if _, err := o.source(followed(o.Token), nil); err != nil {
			d.problem(o.Line, "", "%s: %v", at, err)
		}
	}
}

// groupsOf are approvers without those on call, whose lists are checked.
func (f *File) groupsOf(d *decoder, line int, approvers []string) (groups []string) {
	for _, a := range approvers {
		list, ok := review.OnCallList(a)
		if !ok {
			groups = append(groups, a)
			continue
		}
		if d.broken["oncall"] {
			continue
		}
		var known []string
		for i := range f.OnCall {
			known = append(known, f.OnCall[i].Name)
		}
		hint := "add an entry of this name to oncall"
		if closest(list, known) != "" {
			hint = suggest(list, known)
		}
		f.refersTo(d, line, "on-call list "+list, slices.Contains(known, list), hint, "the approvers are those on call at %q, and no entry of oncall has this name", list)
	}
	return groups
}

// OnCallSource follows the references of a list, and reads its files. from is who follows them.
func (f *File) OnCallSource(ctx context.Context, from *Secrets, o *OnCall) (OnCallSource, error) {
	token, err := f.Secret(ctx, from, o.Token)
	if err != nil {
		return nil, fmt.Errorf("oncall %s: token: %w", o.Name, err)
	}
	s := NotifySecrets{}
	if o.CA != "" {
		pem, err := f.certificates(o.CA)
		if err != nil {
			return nil, fmt.Errorf("oncall %s: ca: %w", o.Name, err)
		}
		s.CA = string(pem)
	}
	roots, err := s.TLS()
	if err != nil {
		return nil, fmt.Errorf("oncall %s: %w", o.Name, err)
	}
	source, err := o.source(proxy.NewSecret(token), roots)
	if err != nil {
		return nil, fmt.Errorf("oncall %s: %w", o.Name, err)
	}
	return source, nil
}

// onCall follows the references of a list, and reads what they lead to.
func (c *checking) onCall(ctx context.Context, o *OnCall) {
	at := "oncall " + o.Name
	c.secret(ctx, o.Line, at+": token", o.Token)
	c.roots(c.decoder, o.Line, at+": ca", o.CA)
}
