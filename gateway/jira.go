package gateway

import (
	"context"

	"github.com/sallyport/sallyport/gateway/config"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/review"
	"github.com/sallyport/sallyport/review/jira"
)

// decisions has what people decide in Jira decided at the desk.
func (g *Gateway) decisions(n *jira.Notifier, c *config.Notify, signing string) *jira.Decisions {
	people := c.People
	return &jira.Decisions{
		Notifier: n, Signing: proxy.NewSecret(signing), Every: c.Poll, Pending: g.desk.List, Log: g.log, Approve: g.decided(c, g.approveWhole), Deny: g.decided(c, g.desk.Deny),
		Who: func(ctx context.Context, a jira.Account) (*proxy.Identity, error) {
			if subject, ok := people[a.ID]; ok {
				return g.decider(ctx, subject)
			}
			if a.Email == "" {
				return nil, &review.RefusalError{Message: "Jira does not tell your mail address, and the gateway does not know your account: decide with sallyport, or at the API"}
			}
			return g.byEmail(ctx, "Jira", a.Email)
		},
	}
}
