package review

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sallyport/sallyport/proxy"
)

// Connecting is how somebody asks for access by connecting.
type Connecting struct {
	Terms Terms
	// Wait has the client wait for the approval, for as long as the hold says. Otherwise it is told of its request, and connects again
	// later.
	Wait bool
	// Again says how to ask, once more, for what was denied a short time ago; empty: it is not said.
	Again string
}

// Connect makes the request for access of a session whose Connect is held by h because nobody has granted that. The error is for the
// user.
func (d *Desk) Connect(ctx context.Context, s *proxy.Session, h *proxy.Hold, c Connecting) (*proxy.Pending, error) {
	ask := Ask{Resource: s.Target.Resource.Name, Terms: c.Terms, Reason: "connecting by " + s.Protocol, connects: true}
	if s.Remote != nil {
		ask.Remote = s.Remote.String()
	}
	if len(s.Target.Resource.Accounts) > 1 {
		ask.Account = s.Target.Account.Name
	}
	if was := d.Denied(s.Identity, &ask); was != nil {
		text := denied(was)
		if c.Again != "" {
			text += "; " + c.Again
		}
		return nil, errors.New(text)
	}
	made, err := d.Ask(ctx, s.Identity, ask)
	switch {
	case errors.Is(err, ErrAsk):
		return nil, err
	case err != nil:
		d.log().Error("a request for access could not be made", "subject", s.Identity.Subject, "resource", ask.Resource, "err", err)
		return nil, errors.New("you have no access to " + s.Target.String() + " now, and it cannot be asked for: the request could not be recorded or kept; connect again later")
	}
	text := fmt.Sprintf("%s: request %s for %s waits for an approval of %s", h.Message, made.ID, made.Text, Approving(made))
	if made.State == Approved {
		text = fmt.Sprintf("%s: request %s for %s is granted by %s", h.Message, made.ID, made.Text, made.DecidedBy)
	}
	link := d.link(made.ID)
	if !c.Wait && made.State == Pending {
		text += "; connect again when it is approved"
		if link != "" {
			text += ": " + link
		}
		return nil, errors.New(text)
	}
	return &proxy.Pending{
		ID: made.ID, Message: text, Link: link, Deadline: time.Now().Add(h.For),
		Wait: func(ctx context.Context) proxy.Verdict { return d.connected(ctx, made, h.Access) },
	}, nil
}

// link is where a request is shown to people; empty: nowhere.
func (d *Desk) link(id string) string {
	if d.Link == nil {
		return ""
	}
	return d.Link(id)
}

// connected waits for what becomes of a request for access.
func (d *Desk) connected(ctx context.Context, made *Request, rule string) proxy.Verdict {
	now, err := d.Wait(ctx, made.ID)
	switch {
	case err != nil && ctx.Err() != nil:
		return proxy.Deny(proxy.CauseApproval, rule, "request "+made.ID+" waits for an approval still", "Connect again when it is approved.")
	case err != nil:
		d.log().Error("what became of a request cannot be read", "request", made.ID, "err", err)
		return proxy.Deny(proxy.CauseInternal, rule, "it cannot be read what became of request "+made.ID, "Connect again.")
	case now.State == Approved:
		return proxy.Allow(rule)
	case now.State == Denied:
		return proxy.Deny(proxy.CauseDenied, rule, denied(now), "")
	}
	return proxy.Deny(proxy.CauseApproval, rule, "request "+now.ID+" is "+string(now.State), "Ask for access again.")
}

func denied(r *Request) string { return r.DecidedBy + " denied request " + r.ID + ": " + r.Reason }
