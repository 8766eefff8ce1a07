package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/review"
	"github.com/sallyport/sallyport/review/slack"
)

// serveSlack takes what people decide in a channel of the current revision.
func (g *Gateway) serveSlack(w http.ResponseWriter, r *http.Request) {
	for _, n := range g.parts().notifiers {
		if n.Name == r.PathValue("name") && n.decide != nil {
			n.decide.ServeHTTP(w, r)
			return
		}
	}
	http.NotFound(w, r)
}

// callbacks has what people decide in Slack decided at the desk.
func (g *Gateway) callbacks(n *slack.Notifier, signing string) http.Handler {
	decides := func(decide func(ctx context.Context, id string, v review.Vote) (*review.Request, error)) func(ctx context.Context, id string, v review.Vote) error {
		return func(ctx context.Context, id string, v review.Vote) error {
			_, err := decide(ctx, id, v)
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
	return &slack.Callbacks{
		Notifier: n, Signing: proxy.NewSecret(signing), Who: g.byEmail, Log: g.log, Deny: decides(g.desk.Deny),
		Approve: decides(func(ctx context.Context, id string, v review.Vote) (*review.Request, error) {
			return g.desk.Approve(ctx, id, v, review.Narrow{})
		}),
	}
}

// byEmail returns the one person of a mail address, as she is now.
func (g *Gateway) byEmail(ctx context.Context, email string) (*proxy.Identity, error) {
	all, err := g.known(ctx)
	if err != nil {
		return nil, err
	}
	subjects := having(all, email)
	switch len(subjects) {
	case 0:
		return nil, &slack.RefusalError{Message: "the gateway knows nobody by your mail address in Slack: log in there once"}
	case 1:
	default:
		return nil, &slack.RefusalError{Message: "the gateway knows several people by your mail address in Slack: decide with sallyport, or at the API"}
	}
	id, err := g.now(ctx, subjects[0])
	if err != nil && !errors.Is(err, proxy.ErrUnavailable) {
		return nil, &slack.RefusalError{Message: "you may not log in at the gateway any more"}
	}
	return id, err
}
