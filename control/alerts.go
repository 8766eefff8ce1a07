package control

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/review"
)

// Alerts answers what administrators ask about rules over events. It is safe for concurrent use.
type Alerts interface {
	// List returns the rules, with the latest times that each has fired.
	List(ctx context.Context) ([]Alert, error)
	// Try returns what a rule would have done with what is on record. The error wraps proxy.ErrNotFound where the question names a rule that is
	// not there.
	Try(ctx context.Context, a *audit.Archive, q AlertQuestion) (*AlertTried, error)
}

// Alert is a rule over events of the record, of which channels are told.
type Alert struct {
	Name     string   `json:"name"`
	Home     string   `json:"home"` // file or store
	Events   []string `json:"events"`
	Each     string   `json:"each,omitempty"` // user or resource
	Count    int      `json:"count"`
	Seconds  int      `json:"seconds,omitempty"` // within which so many events fit
	Quiet    int      `json:"quiet"`             // seconds
	Channels []string `json:"channels"`
	Message  string   `json:"message,omitempty"`
	Firings  []Firing `json:"firings"` // the newest first
}

// Firing is one time that a rule has fired.
type Firing struct {
	ID    string       `json:"id,omitempty"` // of the notice; empty where it was only tried
	At    time.Time    `json:"at"`
	Alert review.Alert `json:"alert"`
}

// AlertList is the answer to GET /v1/alerts.
type AlertList struct {
	Alerts []Alert `json:"alerts"`
}

// AlertQuestion is the body of POST /v1/alerts/try: a rule by its name, or one that is written as the config file has it.
type AlertQuestion struct {
	Name   string    `json:"name,omitempty"`
	Object string    `json:"object,omitempty"`
	Since  time.Time `json:"since"`
	Until  time.Time `json:"until"`
}

// AlertTried is what a rule would have done.
type AlertTried struct {
	Fitted  int      `json:"fitted"` // events
	Fired   int      `json:"fired"`  // times
	Firings []Firing `json:"firings"`
	More    bool     `json:"more,omitempty"`   // there were more events than are read at a time
	Unread  int      `json:"unread,omitempty"` // records that could not be read
}

var errNoAlerts = NotFound("this gateway has no alerts")

func (h *Handler) listAlerts(c *call) error {
	if c.portal.Alerts == nil {
		return errNoAlerts
	}
	if err := h.record(audit.Action{Type: audit.AdminConfiguration, By: c.who, Reason: "alerts", Remote: c.RemoteAddr}); err != nil {
		return err
	}
	list, err := c.portal.Alerts.List(c.Context())
	if err != nil {
		return err
	}
	h.answer(c.w, http.StatusOK, AlertList{list})
	return nil
}

func (h *Handler) tryAlert(c *call) error {
	if c.portal.Alerts == nil {
		return errNoAlerts
	}
	var q AlertQuestion
	if err := c.bodyWithin(&q, maxObjects); err != nil {
		return err
	}
	for _, p := range []Permission{Audit, List} {
		if h.Permit == nil || !h.Permit(c.who, p) {
			return &Error{http.StatusForbidden, CodeForbidden, "who did what is shown to those who have the permission " + string(p)}
		}
	}
	if d := q.Until.Sub(q.Since); d <= 0 || d > maxReplayed {
		return badRequest("since and until: want a time of at most %d days", maxReplayed/(24*time.Hour))
	}
	if (q.Name == "") == (q.Object == "") {
		return badRequest("want the name of an alert, or an object")
	}
	a, leave, err := h.archive()
	if err != nil {
		return err
	}
	defer leave()
	what := "trying the alert " + q.Name
	if q.Object != "" {
		what = "trying a draft of an alert"
	}
	if err := h.record(audit.Action{
		Type: audit.AdminRead, By: c.who, Reason: what + " from " + q.Since.UTC().Format(time.RFC3339) + " to " + q.Until.UTC().Format(time.RFC3339), Remote: c.RemoteAddr,
	}); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(c.Context(), replayTime)
	defer cancel()
	out, err := c.portal.Alerts.Try(ctx, a, q)
	if errors.Is(err, proxy.ErrNotFound) {
		return NotFound(fmt.Sprintf("no alert has the name %q; GET /v1/alerts lists them", q.Name))
	}
	if err != nil {
		return told(err)
	}
	h.answer(c.w, http.StatusOK, out)
	return nil
}
