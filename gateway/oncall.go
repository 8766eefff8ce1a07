package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/gateway/config"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/review"
)

// rosterLife is how long it is known who is on call, or that it cannot be told: each service is asked that seldom.
const rosterLife = 10 * time.Second

// roster is an on-call list of a revision.
type roster struct {
	of     config.OnCall
	source config.OnCallSource
	turn   chan struct{} // holds a value while somebody asks
	at     time.Time     // when it was asked last
	is     review.Roster
	err    error
}

// rosters makes the on-call lists of f.
func rosters(ctx context.Context, f *config.File, from *config.Secrets) (map[string]*roster, error) {
	all := make(map[string]*roster, len(f.OnCall))
	for i := range f.OnCall {
		o := &f.OnCall[i]
		source, err := f.OnCallSource(ctx, from, o)
		if err != nil {
			return nil, err
		}
		all[o.Name] = &roster{of: *o, source: source, turn: make(chan struct{}, 1)}
	}
	return all, nil
}

// onCall returns who is on call at a list of the current revision.
func (g *Gateway) onCall(ctx context.Context, list string) (review.Roster, error) {
	r := g.parts().rosters[list]
	if r == nil {
		return review.Roster{}, fmt.Errorf("no on-call list is called %q", list)
	}
	select {
	case r.turn <- struct{}{}:
		defer func() { <-r.turn }()
	case <-ctx.Done():
		return review.Roster{}, context.Cause(ctx)
	}
	if time.Since(r.at) < rosterLife {
		return r.is, r.err
	}
	is, err := r.ask(ctx, g)
	if !errors.Is(err, context.Canceled) { // who asked has left, and the next one asks anew
		r.at, r.is, r.err = time.Now(), is, err
	}
	return is, err
}

// ask asks the service, and finds the person of each mail address: the one who has it. An address that several people have is nobody's.
func (r *roster) ask(ctx context.Context, g *Gateway) (review.Roster, error) {
	is := review.Roster{Groups: r.of.Groups}
	emails, err := r.source.OnCall(ctx)
	if err != nil {
		return is, err
	}
	all, err := g.known(ctx)
	if err != nil {
		return is, err
	}
	for _, email := range emails {
		subjects := having(all, email)
		if len(subjects) == 1 {
			is.People = append(is.People, subjects[0])
			continue
		}
		g.log.Log(ctx, slog.LevelWarn, "somebody who is on call approves nothing, because the mail address does not say who it is", "list", r.of.Name, "people", len(subjects))
	}
	slices.Sort(is.People)
	is.People = slices.Compact(is.People)
	return is, nil
}

// having are the subjects of those who have a mail address.
func having(all []known, email string) (subjects []string) {
	for _, k := range all {
		if strings.EqualFold(k.email, email) {
			subjects = append(subjects, k.Subject)
		}
	}
	return subjects
}

// onCallAs returns who somebody is as an approver by on-call lists.
func onCallAs(id *proxy.Identity, lists map[string]review.Roster) *proxy.Identity {
	var on []string
	for name, is := range lists {
		if is.Has(id) {
			on = append(on, name)
		}
	}
	return review.OnCall(id, on)
}
