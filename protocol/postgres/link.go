package postgres

import (
	"context"
	"fmt"

	"github.com/sallyport/sallyport/protocol/postgres/wire"
	"github.com/sallyport/sallyport/proxy"
)

// link logs the client in by a link that it shows. To the client it is logged in already,
// since that is when it takes notices; to the gateway nobody is there, and nothing that the
// client sends is read. The error wraps proxy.ErrNoLink where it is not offered one.
func (hi *hello) link(ctx context.Context, c *proxy.Conn, resource string) (*proxy.Identity, error) {
	ctx, leave := context.WithCancelCause(ctx)
	defer leave(nil)
	return c.Link(ctx, hi.login, resource, func(l proxy.Link) error {
		var waiting presence
		waiting.start(newLine(hi.conn).lookEarly, func() {}, func() { leave(proxy.ErrClientLeft) })
		waiting.begin()
		context.AfterFunc(ctx, waiting.stop)
		b := wire.AppendAuth(nil, wire.AuthOK, nil)
		_, err := hi.conn.Write(wire.AppendNotice(b, wire.Notice{
			Severity: "NOTICE", Code: "00000",
			Message: fmt.Sprintf("to connect to %s, open %s in a browser, log in, and type the code %s there", resource, l.URL, l.Code),
			Hint:    fmt.Sprintf("This connection waits until %s.", l.Expires.UTC().Format("15:04:05 MST")),
		}))
		return err
	})
}
