package ssh

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"
	"time"

	gossh "golang.org/x/crypto/ssh"
)

// Choice is something that a client may connect to.
type Choice struct {
	Resource string
	Account  string // empty is the resource's default
	About    string // shown next to the name
}

// login is what follows the user's name and a plus sign.
func (c Choice) login() string {
	if c.Account != "" {
		return c.Resource + "+" + c.Account
	}
	return c.Resource
}

// choosing is how a client that named no resource comes to one: by a menu on its
// terminal. A client that does anything else is told how to name one.
type choosing struct {
	choices []Choice

	once    sync.Once
	decided chan struct{}
	choice  *Choice // nil: none was made
	left    bool    // the client wanted none

	mu   sync.Mutex
	open bool // a menu is being shown
}

const (
	// undecided is how long a client may take to open a terminal for the menu.
	undecided = 10 * time.Second
	// menuTime is how long a menu waits for a key.
	menuTime = 10 * time.Minute
)

var errLeft = errors.New("the client chose no resource")

func (c *choosing) decide(choice *Choice, left bool) {
	c.once.Do(func() {
		c.choice, c.left = choice, left
		close(c.decided)
	})
}

// wait returns the choice; nil when none is made.
func (c *choosing) wait(ctx context.Context) (*Choice, error) {
	late := time.AfterFunc(undecided, func() {
		if !c.busy() {
			c.decide(nil, false)
		}
	})
	defer late.Stop()
	select {
	case <-c.decided:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if c.left {
		return nil, errLeft
	}
	return c.choice, nil
}

func (c *choosing) busy() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.open
}

// take reports whether the caller is the one who shows the menu.
func (c *choosing) take() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open {
		return false
	}
	c.open = true
	return true
}

// choose takes the client's requests until it starts something. On a terminal a
// shell is the menu. What was asked for is kept, to be asked of the resource. It
// reports whether the channel is to go on.
func (ch *channel) choose(queue <-chan *gossh.Request) bool {
	c := ch.session.choosing
	terminal := -1 // the place of pty-req in ch.before
	keep := func(r *gossh.Request) {
		r.Reply(true, nil)
		r.WantReply = false
		ch.before = append(ch.before, r)
	}
	for r := range queue {
		switch r.Type {
		case "pty-req":
			pty, err := parsePty(r.Payload)
			if err != nil || terminal >= 0 || pty.Term == "" || pty.Term == "dumb" {
				ch.before = append(ch.before, r)
				continue
			}
			ch.terminal.Store(true)
			terminal = len(ch.before)
			keep(r)
		case "window-change":
			ch.resizeBefore(terminal, ch.resize.Swap(nil))
			ch.order.act()
		case "shell":
			if terminal < 0 || len(c.choices) == 0 || !c.take() {
				ch.before = append(ch.before, r)
				c.decide(nil, false)
				return true
			}
			keep(r)
			return ch.showMenu(queue, terminal)
		case "exec", "subsystem":
			ch.before = append(ch.before, r)
			c.decide(nil, false)
			return true
		default:
			if len(ch.before) > queued {
				return false
			}
			keep(r)
		}
	}
	return false
}

// resizeBefore changes the size in the kept request for a terminal.
func (ch *channel) resizeBefore(terminal int, r *gossh.Request) (columns, rows int) {
	if terminal < 0 {
		return 0, 0
	}
	kept := ch.before[terminal]
	pty, err := parsePty(kept.Payload)
	if err != nil {
		return 0, 0
	}
	if r != nil {
		if w, err := parseWindowChange(r.Payload); err == nil {
			pty.Columns, pty.Rows, pty.Width, pty.Height = w.Columns, w.Rows, w.Width, w.Height
			kept.Payload = pty.marshal()
		}
	}
	return size(pty.Columns), size(pty.Rows)
}

// showMenu shows the menu and reports whether a resource was chosen.
func (ch *channel) showMenu(queue <-chan *gossh.Request, terminal int) bool {
	c := ch.session.choosing
	columns, rows := ch.resizeBefore(terminal, nil)
	m := newMenu(c.choices, columns, rows)
	ch.menu.Store(true)
	defer ch.menu.Store(false)
	ch.out.Write([]byte(enterScreen + m.draw()))
	keys, more := make(chan []byte), make(chan struct{})
	defer close(more)
	ch.session.spawn("ssh menu keys", func() error { return ch.readKeys(keys, more) })
	leave := func() bool {
		ch.out.Write([]byte(leaveScreen))
		c.decide(nil, true)
		ch.exit(0)
		return false
	}
	for {
		select {
		case r, ok := <-queue:
			if !ok {
				c.decide(nil, true)
				return false
			}
			if r.Type == "window-change" {
				m.resize(ch.resizeBefore(terminal, ch.resize.Swap(nil)))
				ch.out.Write([]byte("\x1b[2J" + m.draw()))
			} else {
				r.Reply(false, nil)
			}
			ch.order.act()
		case typed, ok := <-keys:
			if !ok {
				return leave()
			}
			for i, b := range typed {
				switch m.press(b) {
				case pressedLeave:
					return leave()
				case pressedEnter:
					chosen, _ := m.current()
					ch.ahead = append(ch.ahead, typed[i+1:]...)
					ch.out.Write([]byte(leaveScreen))
					c.decide(&chosen, false)
					return true
				}
			}
			ch.out.Write([]byte(m.draw()))
			more <- struct{}{}
		case <-time.After(menuTime):
			return leave()
		}
	}
}

// readKeys reads what is typed, each piece after more was taken for the one
// before, so that nothing is read that belongs to the resource.
func (ch *channel) readKeys(keys chan<- []byte, more <-chan struct{}) error {
	buf := make([]byte, 256)
	for {
		n, err := ch.client.Read(buf)
		if n == 0 || err != nil {
			close(keys)
			return nil
		}
		select {
		case keys <- buf[:n]:
		case <-ch.ctx.Done():
			return nil
		}
		if _, ok := <-more; !ok {
			return nil
		}
	}
}

// input is what the client types, from after the menu on.
func (ch *channel) input() io.Reader {
	if len(ch.ahead) == 0 {
		return ch.client
	}
	return io.MultiReader(bytes.NewReader(ch.ahead), ch.client)
}
