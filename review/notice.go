package review

import (
	"context"
	"strings"
	"time"
)

// Notice tells of what has become of a request, or of an alert.
type Notice struct {
	// ID names the notice: it is the same when the notice is sent again.
	ID string `json:"id"`
	// Event is "asked", "voted", "escalated", "proposed", "edited", "break_glass", or the state that the request is in now: approved, denied, cancelled, expired, lapsed, unknown, revoked,
	// ended, review_due, reviewed, violation. Of an alert it is "fired".
	Event string    `json:"event"`
	At    time.Time `json:"at"`
	// Request is what the notice is about, and zero where it is about an alert.
	Request Request `json:"request"`
	Alert   *Alert  `json:"alert,omitempty"`
	// To are the channels that are told, whatever they want; empty: those that want it.
	To []string `json:"-"`
}

// Events that are not states of requests.
const (
	Asked = "asked" // a request was made
	Fired = "fired" // a rule over events has found what it looks for
)

// Alert is what a rule over the events of the record has found. Nothing in it is what people have typed or data of a resource: it is
// told in places that others read.
type Alert struct {
	Rule    string `json:"rule"`
	Message string `json:"message,omitempty"` // of the rule
	Count   int    `json:"count"`             // events that fitted, within so many seconds
	Seconds int    `json:"seconds,omitempty"`
	Before  int    `json:"before,omitempty"` // that fitted since the alert before, while the rule was quiet
	// The latest of the events.
	Event    string `json:"event"`
	User     string `json:"user,omitempty"` // empty where nobody was proven
	Resource string `json:"resource,omitempty"`
	Decision string `json:"decision,omitempty"` // the rule of the policy that it names
	Session  string `json:"session,omitempty"`  // whose record it is in
}

// Sort is the word for what the notice is about: "request" or "alert".
func (n *Notice) Sort() string {
	if n.Alert != nil {
		return "alert"
	}
	return "request"
}

// alertPrefix begins the subjects of alerts; no identifier of a request has a slash.
const alertPrefix = "alert/"

// Subject names what the notice is about: the request's identifier, or "alert/", the rule, a slash and the notice's identifier. Notices of one
// subject are told in their order, and a channel keeps them together. It is empty where the notice is about nothing.
func (n *Notice) Subject() string {
	if n.Alert != nil {
		return alertPrefix + n.Alert.Rule + "/" + n.ID
	}
	return n.Request.ID
}

// AlertOf returns the rule of an alert that a subject names; ok is false for another subject.
func AlertOf(subject string) (rule string, ok bool) {
	rest, ok := strings.CutPrefix(subject, alertPrefix)
	rule, _, _ = strings.Cut(rest, "/")
	return rule, ok
}

// person is on whose account the notice comes: bounds count by it.
func (n *Notice) person() string {
	if n.Alert != nil {
		return alertPrefix + n.Alert.Rule
	}
	return n.Request.person()
}

// Notifier tells people of requests and alerts, such as in a chat or by mail. A notice comes at least once, and may come again after an error
// or a crash; notices of one subject come in their order. Notify returns once the service has taken the notice, or an error. It
// decides nothing: who follows what it says proves herself as everybody does. It is safe for concurrent use.
type Notifier interface {
	Notify(ctx context.Context, n *Notice) error
}
