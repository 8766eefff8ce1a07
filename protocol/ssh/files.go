package ssh

import (
	"context"
	"errors"

	"github.com/sallyport/sallyport/protocol/ssh/sftp"
	"github.com/sallyport/sallyport/proxy"
)

// startFiles starts the relay of SFTP in place of the pumps.
func (ch *channel) startFiles() {
	s := ch.session
	ch.files = &sftp.Relay{
		Gate: fileGate{s.proxied, ch}, Parent: ch.op.Info().ID, Tell: ch.say,
		ClientIn: counted{ch.stdin}, ClientOut: &ch.out, ServerIn: counted{ch.stdout}, ServerOut: ch.up,
	}
	s.spawn("ssh sftp requests", func() error {
		defer close(ch.stdin.done)
		err := ch.files.Up(ch.ctx)
		if err == nil {
			ch.up.CloseWrite()
		}
		return ch.filesBroke(err)
	})
	s.spawn("ssh sftp answers", func() error {
		defer close(ch.stdout.done)
		return ch.filesBroke(ch.files.Down())
	})
}

// filesBroke ends the channel when a side broke the protocol. Other errors mean
// that a side is gone, which closes the channel by itself.
func (ch *channel) filesBroke(err error) error {
	if errors.Is(err, sftp.ErrMalformed) {
		ch.say(err.Error())
		ch.setExit("malformed")
		ch.exit(1)
		ch.up.Close()
	}
	return nil
}

// fileGate asks about files in the way that tells the channel's client of holds
// and warnings.
type fileGate struct {
	*proxy.Session
	ch *channel
}

// Ask asks the chain about op.
func (g fileGate) Ask(ctx context.Context, op proxy.Op) *proxy.Verdict {
	return g.ch.session.ask(ctx, g.ch, op)
}

// counted is a pump's source, with the pump's counts.
type counted struct{ p *pump }

func (c counted) Read(b []byte) (int, error) {
	c.p.turn.Add(1)
	n, err := c.p.src.Read(b)
	c.p.turn.Add(1)
	c.p.count.Add(uint64(n))
	return n, err
}
