package ssh

import (
	"context"

	"github.com/sallyport/sallyport/proxy"
)

// Reach logs in to the session's resource as its account does, and leaves.
func (h *Handler) Reach(ctx context.Context, s *proxy.Session) error {
	settings, err := settingsOf(s.Target.Resource)
	if err != nil {
		return err
	}
	up, err := h.dial(ctx, s, settings)
	if err != nil {
		return err
	}
	return up.Close()
}
