package ssh

import (
	"errors"
	"io"
	"sync"
	"time"

	"github.com/sallyport/sallyport/protocol/internal/script"
	"github.com/sallyport/sallyport/proxy"
)

// lockedWriter is written by the pump and, now and then, by who has something to
// tell the client.
type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (w *lockedWriter) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.w.Write(b)
}

// closeWrite tells the client that no more output follows. The library wants no
// other writer then, and who has something to say may be one.
func (ch *channel) closeWrite() {
	ch.out.mu.Lock()
	defer ch.out.mu.Unlock()
	ch.err.mu.Lock()
	defer ch.err.mu.Unlock()
	ch.client.CloseWrite()
}

// flows sets up the streams of e.
func (ch *channel) flows(e *proxy.Exec) error {
	s := ch.session
	pumpOf := func(src io.Reader, dst io.Writer, media string, inbound bool) (*pump, error) {
		p := &pump{src: src, dst: dst, held: func() { s.proxied.Await(ch.ctx) }, protect: s.proxied.Protect, done: make(chan struct{})}
		if ch.sftp && media != "stderr" {
			return p, nil // its files have flows of their own
		}
		if ch.moves && media != "stderr" {
			media = "file"
		}
		shape := &proxy.Shape{Kind: proxy.ShapeStream, Media: media, Inbound: inbound}
		if ch.pty != nil {
			shape.Width, shape.Height, shape.Terminal = size(ch.pty.Columns), size(ch.pty.Rows), ch.pty.Term
		}
		var err error
		p.flow, err = s.proxied.Flow(e, shape)
		return p, err
	}
	media := "stdout"
	if ch.pty != nil {
		media = "terminal"
	}
	var err error
	if ch.stdout, err = pumpOf(ch.up, &ch.out, media, false); err != nil {
		return err
	}
	if ch.stderr, err = pumpOf(ch.up.Stderr(), &ch.err, "stderr", false); err != nil {
		return err
	}
	ch.stdin, err = pumpOf(ch.input(), ch.up, "stdin", true)
	if err != nil {
		return err
	}
	if ch.pty != nil {
		ch.stdin.before = func() { ch.order.await(ch.ctx) }
	}
	switch {
	case e.Kind != proxy.KindShell:
	case ch.pty != nil:
		ch.typed = newTyped(ch)
		ch.stdin.watch, ch.stdout.watch = ch.typed.input, ch.typed.output
	default:
		lines := &script.Lines{
			May: func(line string) bool {
				if ch.mayRun(line) {
					return true
				}
				ch.refusedLine.Store(true)
				return false
			},
			End: func() { ch.up.CloseWrite() },
		}
		ch.stdin.watch, ch.stdin.last, ch.beforeHold = lines.Input, lines.Last, lines.Waits
	}
	return nil
}

// size is a terminal's width or height as it is told to filters.
func size(n uint32) int { return int(min(n, 10000)) }

// start starts the pumps. What the client sent before the resource was there
// has waited in the channel's window.
func (ch *channel) start() {
	s := ch.session
	ch.drawn.Store(ch.pty != nil)
	if ch.sftp {
		ch.startFiles()
	} else {
		s.spawn("ssh stdin", func() error {
			err := ch.stdin.run()
			if err == nil {
				ch.up.CloseWrite()
			}
			return ch.broke(err)
		})
		s.spawn("ssh stdout", func() error { return ch.broke(ch.stdout.run()) })
	}
	s.spawn("ssh stderr", func() error { return ch.broke(ch.stderr.run()) })
	s.spawn("ssh half-close", ch.halfClose)
}

// statusTime is how long the end of the output may wait for the exit status.
const statusTime = 3 * time.Second

// halfClose tells the client that the output has ended. Commands end their
// output a moment before they exit, and clients that have sent their own end
// then close the channel, which the library answers at once: the exit status
// would be lost. So the end waits for it.
func (ch *channel) halfClose() error {
	<-ch.stdout.done
	<-ch.stderr.done
	select {
	case <-ch.exited:
	case <-time.After(statusTime):
	case <-ch.ctx.Done():
		return nil
	case <-ch.session.upstream.ended:
		return nil // resourceRequests tells the client
	}
	ch.closeWrite()
	return nil
}

// broke handles the end of a pump. When a filter would not let data pass, the
// channel ends; other errors mean that one side is gone, which closes the
// channel by itself.
func (ch *channel) broke(err error) error {
	var withheld *filterError
	var panicked *proxy.PanicError
	switch {
	case errors.As(err, &panicked):
		return err
	case errors.As(err, &withheld):
		ch.say(withheld.Error())
		ch.setExit("withheld")
		ch.exit(1)
		ch.up.Close()
	case err != nil:
		// The writer's side is closed or closing; nothing more can be moved.
	}
	return nil
}
