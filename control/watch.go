package control

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/sallyport/sallyport/audit"
)

const (
	maxWatchers = 64               // at once
	watcherTime = 20 * time.Second // for a watcher to take what there is; slower ones miss events
)

// watchSession streams a session's record from its beginning, and then as it is
// written, until it ends. The session does not notice: a watcher reads the
// record, at its own pace.
func (h *Handler) watchSession(c *call) error {
	s, err := h.session(c)
	if err != nil {
		return err
	}
	defer h.watchers.Add(-1)
	if h.watchers.Add(1) > maxWatchers {
		return &Error{http.StatusTooManyRequests, CodeBusy, "too many sessions are being watched"}
	}
	if err := h.record(audit.Action{Type: audit.AdminWatch, By: c.who, Session: s.ID, Remote: c.RemoteAddr}); err != nil {
		return err
	}
	ctx, stop := h.standing(c)
	defer stop(nil)
	out := http.NewResponseController(c.w)
	c.w.Header().Set("Content-Type", "application/x-ndjson")
	c.w.WriteHeader(http.StatusOK)
	for event, err := range h.Records.Watch(ctx, s.ID) {
		if err != nil {
			// The answer has begun, and its end says that there was more.
			h.log().Error("control: watching", "session", s.ID, "err", err)
			panic(http.ErrAbortHandler)
		}
		if event != nil {
			if err := out.SetWriteDeadline(time.Now().Add(watcherTime)); err != nil {
				return err
			}
			if _, err = c.w.Write(append(event, '\n')); err != nil {
				return nil // the watcher left
			}
			continue
		}
		if err := out.Flush(); err != nil {
			return nil
		}
	}
	if errors.Is(context.Cause(ctx), errOver) {
		panic(http.ErrAbortHandler) // there is more, and the watcher may not see it
	}
	return nil
}
