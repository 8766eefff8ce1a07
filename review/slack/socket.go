package slack

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"time"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"
	"github.com/slack-go/slack"
)

// Bounds of the connection by which callbacks come.
const (
	aliveWithin = 30 * time.Second // Slack answers a ping
	maxAtOnce   = 16               // callbacks that are taken at the same time
	leastRest   = time.Second      // after a connection, twice as long each time that none is opened
	mostRest    = time.Minute
)

// envelope is what Slack sends over a connection, and what it is answered with.
type envelope struct {
	ID      string          `json:"envelope_id,omitempty"`
	Type    string          `json:"type,omitempty"`
	Reason  string          `json:"reason,omitempty"`
	Payload json.RawMessage `json:"payload,omitempty"`
}

// errRenewed says that Slack wants another connection in place of one.
var errRenewed = errors.New("slack: the connection is renewed")

// Run takes callbacks over a connection that it opens, which Slack calls Socket Mode, until ctx ends: nothing of Slack's has to reach the
// gateway. Config.App is needed for it, and Signing is not: who has the app's token is connected to Slack, by TLS. It connects again when a
// connection ends. Each gateway on a store has a connection of its own, of which Slack allows ten.
func (cb *Callbacks) Run(ctx context.Context) {
	said, rest := "", leastRest // said is the error that was logged; empty: the connection is open
	hello := func() {
		if said != "" {
			cb.log().Info("slack: what people decide in Slack is taken again", "channel", cb.Notifier.config.Name)
		}
		said, rest = "", leastRest
	}
	for ctx.Err() == nil {
		begun := time.Now()
		err := cb.listen(ctx, hello)
		renewed := errors.Is(err, errRenewed)
		if renewed && time.Since(begun) > mostRest {
			continue
		}
		if !renewed && err.Error() != said && ctx.Err() == nil {
			cb.log().Error("slack: what people decide in Slack cannot be taken: it is tried again", "channel", cb.Notifier.config.Name, "err", err)
			said = err.Error()
		}
		t := time.NewTimer(rest)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
		}
		rest = min(2*rest, mostRest)
	}
}

// listen takes what comes over one connection, until it ends.
func (cb *Callbacks) listen(ctx context.Context, hello func()) error {
	conn, err := cb.Notifier.connect(ctx)
	if err != nil {
		return err
	}
	defer conn.CloseNow()
	conn.SetReadLimit(maxCallback)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go keepAlive(ctx, conn)
	var work sync.WaitGroup
	defer work.Wait() // what is being decided is answered, also over a connection that is renewed
	places := make(chan struct{}, maxAtOnce)
	for {
		var e envelope
		if err := wsjson.Read(ctx, conn, &e); err != nil {
			return fmt.Errorf("slack: the connection ended: %w", err)
		}
		switch e.Type {
		case "hello":
			hello()
		case "disconnect":
			if e.Reason == "link_disabled" {
				return errors.New("slack: Socket Mode is switched off: switch it on in the settings of the app")
			}
			return errRenewed
		default:
			select {
			case places <- struct{}{}:
			case <-ctx.Done():
				return ctx.Err()
			}
			work.Go(func() {
				defer func() { <-places }()
				cb.envelope(ctx, conn, &e)
			})
		}
	}
}

// connect opens a connection. Its address holds a secret, which no error shows.
func (n *Notifier) connect(ctx context.Context) (*websocket.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	_, at, err := n.api.StartSocketModeContext(ctx)
	if err != nil {
		return nil, answered("apps.connections.open", err)
	}
	if u, err := url.Parse(at); err != nil || u.Scheme != "wss" || u.Host == "" {
		return nil, errors.New("slack: apps.connections.open: the answer has no address that begins with wss://")
	}
	conn, _, err := websocket.Dial(ctx, at, &websocket.DialOptions{HTTPClient: n.socket})
	if err != nil {
		return nil, answered("opening the connection", err)
	}
	return conn, nil
}

// keepAlive closes a connection whose other end does not answer.
func keepAlive(ctx context.Context, conn *websocket.Conn) {
	tick := time.NewTicker(aliveWithin)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		within, cancel := context.WithTimeout(ctx, aliveWithin)
		err := conn.Ping(within)
		cancel()
		if err != nil {
			conn.CloseNow()
			return
		}
	}
}

// envelope takes one callback. What could not be taken is not answered: Slack sends it again, or tells the user.
func (cb *Callbacks) envelope(ctx context.Context, conn *websocket.Conn, e *envelope) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	answer := envelope{ID: e.ID}
	var in slack.InteractionCallback
	if e.Type == "interactive" && json.Unmarshal(e.Payload, &in) == nil {
		fresh, err := cb.once(ctx, e.Payload)
		if err == nil && fresh {
			answer.Payload, err = cb.take(ctx, &in)
		}
		if err != nil {
			cb.log().Error("slack: what somebody decides in Slack cannot be taken", "err", err)
			return
		}
	}
	if err := wsjson.Write(ctx, conn, &answer); err != nil {
		cb.log().Debug("slack: the connection ended", "err", err)
	}
}
