package control

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport/audit/compliance"
	"github.com/sallyport/sallyport/audit/report"
	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/revision"
)

// What packs of evidence say besides the records: what the gateway holds when they are made.

// evidenceState are the tables of a portal. A part that the gateway does not have has no rows.
func evidenceState(p *Portal, period report.Period) []compliance.State {
	entitlement := []compliance.Kind{compliance.Entitlement}
	return []compliance.State{
		{
			Table: compliance.Table{
				Name: "users", Title: "Users and groups", Shows: entitlement,
				About:   "Who the gateway knows when the pack is made: users of its configuration, and people who have logged in or were written down. Groups that were given came with the last login; assigned ones are the gateway's own.",
				Columns: []string{"user", "name", "kind", "for", "source", "groups_given", "groups_assigned", "state", "expires", "seen"},
			},
			Rows: func(ctx context.Context, add func(...string) error) error {
				all, err := known(ctx, p)
				if err != nil {
					return err
				}
				for _, k := range all {
					if err := add(k.subject, k.name, k.id.Kind.String(), k.forWhom, k.source, strings.Join(k.given, " "), strings.Join(k.assigned, " "), k.state, stamp(k.expires), stamp(k.seen)); err != nil {
						return err
					}
				}
				return nil
			},
		},
		{
			Table: compliance.Table{
				Name: "access", Title: "Who may reach what", Shows: entitlement,
				About:   "Resources that each user may connect to when the pack is made, by the rules: allowed, or on request, which takes an approval. Accounts are named where there are several. Hours and other conditions that change are not looked at.",
				Columns: []string{"user", "groups", "resource", "type", "accounts", "access"},
			},
			Rows: func(ctx context.Context, add func(...string) error) error { return p.access(ctx, add) },
		},
		{
			Table: compliance.Table{
				Name: "revisions", Title: "Revisions of objects", Shows: []compliance.Kind{compliance.Changes},
				About:   "Changes of the configuration's objects in the store that were made or decided in the period: who made each, why, and who approved it. Of the config file, the table of configurations names the versions that came into force.",
				Columns: []string{"revision", "state", "made", "author", "reason", "objects", "needs", "reverts", "decided_by", "decided", "decision_reason"},
			},
			Rows: func(ctx context.Context, add func(...string) error) error { return p.revisions(ctx, period, add) },
		},
	}
}

// knownUser is a user that the gateway knows.
type knownUser struct {
	subject, name, forWhom, source, state string
	given, assigned                       []string
	expires, seen                         time.Time
	id                                    proxy.Identity
}

// known are the users that the gateway knows, by their subjects.
func known(ctx context.Context, p *Portal) ([]knownUser, error) {
	by := make(map[string]*knownUser)
	if p.Users != nil {
		p.Users.All(func(u identity.User) {
			k := &knownUser{subject: u.Name, forWhom: u.OnBehalfOf, source: "configuration", state: "active", given: u.Groups, expires: u.Expires}
			if k.id.Kind = u.Kind; u.Disabled || !u.Expires.IsZero() && !time.Now().Before(u.Expires) {
				k.state = "disabled"
			}
			by[u.Name] = k
		})
	}
	if p.Members != nil {
		list, err := p.Members.List(ctx)
		if err != nil {
			return nil, err
		}
		for _, m := range list {
			k := by[m.Subject]
			if k == nil {
				k = &knownUser{subject: m.Subject, source: "logins", state: "active", given: m.Given}
				by[m.Subject] = k
			}
			k.name, k.assigned, k.seen = m.Name, m.Groups, m.Seen
			if m.Disabled {
				k.state = "disabled"
			}
		}
	}
	var all []knownUser
	for _, subject := range slices.Sorted(maps.Keys(by)) {
		k := by[subject]
		k.id.Subject, k.id.Name, k.id.Groups = k.subject, k.name, slices.Concat(k.given, k.assigned)
		all = append(all, *k)
	}
	return all, nil
}

// access adds what each user may reach.
func (p *Portal) access(ctx context.Context, add func(...string) error) error {
	if p.Resources == nil {
		return nil
	}
	all, err := known(ctx, p)
	if err != nil {
		return err
	}
	for _, k := range all {
		if k.state != "active" {
			continue
		}
		list, err := p.Resources.Resources(ctx, &k.id)
		if err != nil {
			return err
		}
		for _, r := range list {
			how := "allowed"
			if r.Request {
				how = "on request"
			}
			if err := add(k.subject, strings.Join(k.id.Groups, " "), r.Name, r.Type, strings.Join(r.Accounts, " "), how); err != nil {
				return err
			}
		}
	}
	return nil
}

// revisions adds those of the period, the newest first.
func (p *Portal) revisions(ctx context.Context, period report.Period, add func(...string) error) error {
	if p.Configuration == nil || p.Configuration.Keeper == nil {
		return nil
	}
	in := func(t time.Time) bool { return !t.Before(period.From) && t.Before(period.To) }
	for before := int64(0); ; {
		page, err := p.Configuration.Keeper.List(ctx, before, 0)
		if err != nil || len(page) == 0 {
			return err
		}
		for i := range page {
			r := &page[i]
			before = r.Number
			if !in(r.Created) && (r.Decided == nil || !in(r.Decided.At)) {
				continue
			}
			if err := add(revisionCells(r)...); err != nil {
				return err
			}
		}
	}
}

func revisionCells(r *revision.Revision) []string {
	var objects []string
	for _, c := range r.Changes {
		what := "changed"
		switch {
		case c.Before == "":
			what = "made"
		case c.After == "":
			what = "deleted"
		}
		objects = append(objects, c.String()+" "+what)
	}
	cells := []string{
		strconv.FormatInt(r.Number, 10), string(r.State), stamp(r.Created), r.Author.Subject, r.Reason, strings.Join(objects, "; "), strings.Join(r.Needs, "; "), "", "", "", "",
	}
	if r.Reverts != 0 {
		cells[7] = strconv.FormatInt(r.Reverts, 10)
	}
	if r.Decided != nil {
		cells[8], cells[9], cells[10] = r.Decided.By.Subject, stamp(r.Decided.At), r.Decided.Reason
	}
	return cells
}

// stamp writes a time; the zero time is empty.
func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}
