package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/gateway/config"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/review"
	"github.com/sallyport/sallyport/review/slack"
	"github.com/sallyport/sallyport/review/teams"
)

// serveChannel takes what people decide in a channel of the current revision, of a type.
func (g *Gateway) serveChannel(kind string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		for _, n := range g.parts().notifiers {
			if n.Name == r.PathValue("name") && n.of.Type == kind && n.decide != nil {
				n.decide.ServeHTTP(w, r)
				return
			}
		}
		http.NotFound(w, r)
	}
}

// decided decides at the desk, for a channel in which people do, and records who may not. A channel decides about access to what it is
// about alone, and about runs of runbooks there where the config file says so: the operator of the service that it is at does not approve
// anything else.
func (g *Gateway) decided(c *config.Notify, decide func(ctx context.Context, id string, v review.Vote) (*review.Request, error)) func(ctx context.Context, id string, v review.Vote) error {
	about := c.About(g.resourceOf)
	return func(ctx context.Context, id string, v review.Vote) error {
		r, err := g.desk.Get(ctx, id)
		if err == nil && (r.Access == nil && !(c.Runbooks && slack.Shows(r)) || !about(r.Resource)) {
			err = review.ErrUnknown
		}
		if err == nil {
			_, err = decide(ctx, id, v)
		}
		if err == nil {
			return nil
		}
		refused := audit.Action{Type: audit.AdminRefused, Action: audit.AdminDecide, By: v.By, Reason: fmt.Sprintf("request %q, by %s: %v", id, v.Channel, err)}
		if err := g.records.Act(refused); err != nil {
			g.log.Error("that somebody may not decide could not be recorded", "err", err)
		}
		return err
	}
}

// approveWhole approves a request as it is.
func (g *Gateway) approveWhole(ctx context.Context, id string, v review.Vote) (*review.Request, error) {
	return g.desk.Approve(ctx, id, v, review.Narrow{})
}

// callbacks has what people decide in Slack decided at the desk.
func (g *Gateway) callbacks(n *slack.Notifier, c *config.Notify, signing string) *slack.Callbacks {
	return &slack.Callbacks{
		Notifier: n, Signing: proxy.NewSecret(signing), Log: g.log, Approve: g.decided(c, g.approveWhole), Deny: g.decided(c, g.desk.Deny),
		Who: func(ctx context.Context, email string) (*proxy.Identity, error) {
			return g.byEmail(ctx, "Slack", email)
		},
	}
}

// botCallbacks has what people decide in Teams decided at the desk. They are those of a provider, by their objects in its directory.
func (g *Gateway) botCallbacks(b *teams.Bot, c *config.Notify) http.Handler {
	provider := c.Provider
	who := func(ctx context.Context, object string) (*proxy.Identity, error) {
		return g.decider(ctx, provider+"/"+object)
	}
	return teams.NewCallbacks(b, who, g.decided(c, g.approveWhole), g.decided(c, g.desk.Deny), g.log)
}

// byEmail returns the one person of the mail address of an account somewhere, as she is now.
func (g *Gateway) byEmail(ctx context.Context, at, email string) (*proxy.Identity, error) {
	all, err := g.known(ctx)
	if err != nil {
		return nil, err
	}
	subjects := having(all, email)
	switch len(subjects) {
	case 0:
		return nil, &review.RefusalError{Message: "the gateway knows nobody by your mail address in " + at + ": log in at the gateway once"}
	case 1:
	default:
		return nil, &review.RefusalError{Message: "the gateway knows several people by your mail address in " + at + ": decide with sallyport, or at the API"}
	}
	return g.decider(ctx, subjects[0])
}

// decider is a person who decides in a channel, as she is now.
func (g *Gateway) decider(ctx context.Context, subject string) (*proxy.Identity, error) {
	id, err := g.now(ctx, subject)
	if err != nil && !errors.Is(err, proxy.ErrUnavailable) {
		return nil, &review.RefusalError{Message: "you may not log in at the gateway, or have not yet"}
	}
	return id, err
}
