package mysql

import (
	"context"
	"fmt"

	"github.com/sallyport/sallyport/protocol/mysql/wire"
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
	u, err := server.connect(ctx, login{charset: plainText, database: settings.Schema})
	if err != nil {
		return err
	}
	b, _ := wire.AppendPacket(nil, 0, []byte{byte(wire.Quit)})
	if _, err := u.conn.Write(b); err != nil {
		u.conn.Close()
		return err
	}
	return u.conn.Close()
}
