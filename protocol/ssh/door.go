package ssh

import (
	"context"
	"fmt"

	gossh "golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/proxy"
)

// door is a client's connection to the gateway itself, before or without a
// resource.
type door struct {
	handler *Handler
	conn    *proxy.Conn
	client  *gossh.ServerConn
	who     *proven
}

// open opens the connection's session at the resource of that name.
func (d *door) open(ctx context.Context, name, account string, parked func(*proxy.Pending)) (*proxy.Session, *proxy.Connect, error) {
	r, err := d.conn.Lookup(ctx, name)
	if err != nil {
		return nil, nil, err
	}
	d.conn.OnHold = parked
	return d.conn.Open(ctx, d.who.identity, proxy.Target{Resource: r, Account: proxy.Account{Name: account}}, nil)
}

// serve serves a client that named no resource: it may choose one on its
// terminal, or jump to some.
func (d *door) serve(ctx context.Context, channels <-chan gossh.NewChannel, requests <-chan *gossh.Request) error {
	s := newSession(d.handler, d.who, d.client)
	s.choosing = &choosing{decided: make(chan struct{})}
	if d.handler.Reachable != nil {
		s.choosing.choices = d.handler.Reachable(ctx, d.who.identity)
	}
	close(s.held) // channels are taken before there is a resource
	s.open = func(ctx context.Context) (*proxy.Session, *proxy.Connect, error) {
		chosen, err := s.choosing.wait(ctx)
		switch {
		case err != nil:
			return nil, nil, err
		case chosen == nil:
			return nil, nil, &noResourceError{d.who.login.User, s.choosing.choices}
		}
		return d.open(ctx, chosen.Resource, chosen.Account, s.parked)
	}
	s.jump = d.jump
	return s.serve(ctx, channels, requests)
}

// noResourceError says how to name a resource, and which there are.
type noResourceError struct {
	user    string
	choices []Choice
}

// maxNames is how many resources a client is told of.
const maxNames = 50

func (e *noResourceError) Error() string {
	text := "no resource was named: connect as " + e.user + "+RESOURCE"
	for i, c := range e.choices {
		if i == maxNames {
			return text + fmt.Sprintf("\n  and %d more", len(e.choices)-maxNames)
		}
		text += "\n  " + e.user + "+" + c.login()
	}
	return text
}
