package postgres

import (
	"context"
	"fmt"

	"github.com/sallyport/sallyport/proxy"
)

// Reach logs in to the session's server as its account does, and leaves.
func Reach(ctx context.Context, s *proxy.Session) error {
	settings, ok := s.Target.Resource.Settings.(Settings)
	if !ok && s.Target.Resource.Settings != nil {
		return fmt.Errorf("resource %s has settings of type %T", s.Target.Resource.Name, s.Target.Resource.Settings)
	}
	server := &server{
		target: s.Target, settings: &settings, timeout: (&Handler{}).loginTimeout(), dial: s.Dial, credential: s.Credential,
	}
	u, err := server.connect(ctx, nil, "")
	if err != nil {
		return err
	}
	return u.conn.Close()
}
