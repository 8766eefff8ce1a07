package review

import (
	"context"
	"time"
)

// Notice tells of what has become of a request.
type Notice struct {
	// ID names the notice: it is the same when the notice is sent again.
	ID string `json:"id"`
	// Event is "asked", "voted", "escalated", "proposed", "edited", "break_glass", or the state that the request is in now: approved, denied, cancelled, expired, lapsed, unknown, revoked,
	// ended, review_due, reviewed, violation.
	Event   string    `json:"event"`
	At      time.Time `json:"at"`
	Request Request   `json:"request"`
}

// Asked is the event of a request that was made.
const Asked = "asked"

// Notifier tells people of requests, such as in a chat or by mail. A notice comes at least once, and may come again after an error
// or a crash; notices of one request come in their order. Notify returns once the service has taken the notice, or an error. It
// decides nothing: who follows what it says proves herself as everybody does. It is safe for concurrent use.
type Notifier interface {
	Notify(ctx context.Context, n *Notice) error
}
