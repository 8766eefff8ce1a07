package control

import (
	"net/http"
	"strings"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/review"
)

// ChannelList is the answer to GET /v1/channels.
type ChannelList struct {
	Channels []review.ChannelStatus `json:"channels"`
}

// DeadLetterList is the answer to GET /v1/channels/{name}/dead, the oldest first.
type DeadLetterList struct {
	DeadLetters []review.DeadLetter `json:"dead_letters"`
}

// RetryRequest is the body of POST /v1/channels/{name}/retry.
type RetryRequest struct {
	Notice string `json:"notice,omitempty"` // empty: all dead letters of the channel
}

// Retried is the answer to it.
type Retried struct {
	Notices int `json:"notices"` // that are sent again
}

// outbox is that of the call, once it is on record that it is looked at.
func (h *Handler) outbox(c *call, what string) (*review.Outbox, error) {
	if c.portal.Outbox == nil {
		return nil, NotFound("this gateway tells nobody of requests")
	}
	return c.portal.Outbox, h.record(audit.Action{Type: audit.AdminConfiguration, By: c.who, Reason: what, Remote: c.RemoteAddr})
}

func (h *Handler) listChannels(c *call) error {
	o, err := h.outbox(c, "channels")
	if err != nil {
		return err
	}
	list, err := o.Status(c.Context())
	if err != nil {
		return err
	}
	h.answer(c.w, http.StatusOK, ChannelList{append([]review.ChannelStatus{}, list...)})
	return nil
}

// channel is the name of the call's channel.
func (c *call) channel() (string, error) {
	name := c.PathValue("name")
	if err := review.ValidChannel(name); err != nil {
		return "", badRequest("%v", err)
	}
	return name, nil
}

func (h *Handler) listDeadLetters(c *call) error {
	name, err := c.channel()
	if err != nil {
		return err
	}
	o, err := h.outbox(c, "channel "+name)
	if err != nil {
		return err
	}
	list, err := o.DeadLetters(c.Context(), name)
	if err != nil {
		return err
	}
	h.answer(c.w, http.StatusOK, DeadLetterList{append([]review.DeadLetter{}, list...)})
	return nil
}

func (h *Handler) retryChannel(c *call) error {
	name, err := c.channel()
	if err != nil {
		return err
	}
	var req RetryRequest
	if err := c.body(&req); err != nil {
		return err
	}
	if c.portal.Outbox == nil {
		return NotFound("this gateway tells nobody of requests")
	}
	if len(req.Notice) > maxReason {
		return badRequest("notice: got %d bytes, want at most %d", len(req.Notice), maxReason)
	}
	what := strings.TrimSpace("channel " + name + " " + req.Notice)
	if err := h.record(audit.Action{Type: audit.AdminConfigure, Action: "retry", By: c.who, Reason: what, Remote: c.RemoteAddr}); err != nil {
		return err
	}
	n, err := c.portal.Outbox.Again(c.Context(), name, req.Notice)
	if err != nil {
		return err
	}
	h.answer(c.w, http.StatusOK, Retried{n})
	return nil
}
