package control

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/review"
)

// Bounds of those who follow the lists.
const (
	maxLive    = 1000
	maxLiveOwn = 32 // of one caller
	// liveEvery is how often it is looked what has changed, and who the caller is now: who is logged out or disabled, sees nothing
	// of what happens a second later.
	liveEvery = time.Second
	// liveBeat is how long nothing may be sent: what is between would think that nobody is there.
	liveBeat = 15 * time.Second
	// liveText is how much of a request's text and arguments is in a list, in bytes.
	liveText = 4 << 10
)

// LiveHello is the first event of GET /v1/live, "hello".
type LiveHello struct {
	Now time.Time `json:"now"` // the gateway's
}

// LiveSessions is what has changed of the open sessions: the event "sessions".
type LiveSessions struct {
	All  bool      `json:"all,omitempty"` // these are all that there are
	Set  []Session `json:"set,omitempty"`
	Gone []string  `json:"gone,omitempty"` // identifiers
}

// LiveRequests is what has changed of the requests: the event "requests".
type LiveRequests struct {
	All  bool          `json:"all,omitempty"`
	Set  []LiveRequest `json:"set,omitempty"`
	Gone []string      `json:"gone,omitempty"`
}

// LiveRequest is a request in a list.
type LiveRequest struct {
	review.Request
	// Cut says that its text or its arguments are longer than what is here: who decides looks at the request.
	Cut bool `json:"cut,omitempty"`
}

// LiveEnd is the last event, "end", of a caller who may not go on. A stream that ends without it is asked for again.
type LiveEnd struct {
	Message string `json:"message"`
}

// live sends the lists that the caller sees, and what changes of them, as server-sent events, until her login ends.
func (h *Handler) live(c *call) error {
	if h.Gateway == nil {
		return NotFound("there are no sessions here")
	}
	leave, err := h.enterLive(c.who.Subject)
	if err != nil {
		return err
	}
	defer leave()
	if err := h.record(audit.Action{Type: audit.AdminList, By: c.who, Reason: "sessions and requests, as they change", Remote: c.RemoteAddr}); err != nil {
		return err
	}
	out := &events{w: c.w, control: http.NewResponseController(c.w)}
	c.w.Header().Set("Content-Type", "text/event-stream")
	c.w.Header().Set("X-Accel-Buffering", "no") // proxies pass each event on
	c.w.WriteHeader(http.StatusOK)
	l := &follower{handler: h, call: c, out: out}
	if !out.send("hello", LiveHello{time.Now().UTC()}) {
		return nil
	}
	t := time.NewTicker(liveEvery)
	defer t.Stop()
	for l.look() && out.flush() {
		select {
		case <-t.C:
		case <-c.Context().Done():
			return nil
		}
		if err := h.still(c); err != nil {
			if over(err) {
				out.send("end", LiveEnd{"your login has ended, or you may not see this any more"})
				out.flush()
			}
			return nil
		}
	}
	return nil
}

// still returns why a caller whose request goes on for long may not go on. It does not count as a use of her session, which would
// never end otherwise.
func (h *Handler) still(c *call) error {
	secret, bearer := c.secret()
	p := h.portal()
	if c.means != byLogin || p.Sessions == nil {
		return c.again()
	}
	if !bearer {
		if err := fromHere(c.Request); err != nil {
			return err
		}
	}
	who, err := p.Sessions.Look(c.Context(), secret)
	if err != nil {
		return err
	}
	if who.Subject != c.who.Subject {
		return proxy.ErrUnauthenticated
	}
	c.who = who
	return nil
}

// over reports whether an error says that a login has ended, and not that it cannot be told now.
func over(err error) bool {
	var told *Error
	if errors.As(err, &told) {
		return told.Status == http.StatusUnauthorized || told.Status == http.StatusForbidden
	}
	return errors.Is(err, proxy.ErrUnauthenticated) && !errors.Is(err, proxy.ErrUnavailable)
}

// enterLive counts one who follows the lists.
func (h *Handler) enterLive(subject string) (leave func(), err error) {
	h.following.Lock()
	defer h.following.Unlock()
	if h.followers == nil {
		h.followers = make(map[string]int)
	}
	if h.followersAll >= maxLive || h.followers[subject] >= maxLiveOwn {
		return nil, &Error{http.StatusTooManyRequests, CodeBusy, "too many pages follow the lists: close some"}
	}
	h.followersAll++
	h.followers[subject]++
	return func() {
		h.following.Lock()
		defer h.following.Unlock()
		h.followersAll--
		if h.followers[subject]--; h.followers[subject] == 0 {
			delete(h.followers, subject)
		}
	}, nil
}

// follower remembers what was sent of the lists.
type follower struct {
	handler  *Handler
	call     *call
	out      *events
	begun    bool
	sessions map[string]shownSession
	requests map[string]int64
	// called is what the look before has known of people on call, and asked what this one knows.
	called, asked map[string]calledAt
}

// shownSession is what of a session changes.
type shownSession struct {
	operations uint64
	waiting    int
	deadline   time.Time
	frozen     time.Time // since when; zero: it is not
}

// look sends what has changed. It returns false when nobody reads it.
func (l *follower) look() bool {
	first := !l.begun
	l.begun = true
	sessions, requests := l.changedSessions(), l.changedRequests()
	sessions.All, requests.All = first, first
	if (first || len(sessions.Set)+len(sessions.Gone) > 0) && !l.out.send("sessions", sessions) {
		return false
	}
	return !first && len(requests.Set)+len(requests.Gone) == 0 || l.out.send("requests", requests)
}

// permits reports whether the caller has a permission now.
func (l *follower) permits(p Permission) bool {
	who := l.call.who
	return who.Kind != proxy.Agent && l.handler.Permit != nil && l.handler.Permit(who, p)
}

func (l *follower) changedSessions() (out LiveSessions) {
	all := l.permits(List)
	now := make(map[string]shownSession)
	for _, s := range l.handler.Gateway.Sessions() {
		if !all && !l.call.owns(s.Identity.Subject, s.Identity.OnBehalfOf) {
			continue
		}
		operations, waiting := s.Operations()
		f, _ := s.Frozen()
		is := shownSession{operations, waiting, s.Deadline, f.At}
		now[s.ID] = is
		if was, ok := l.sessions[s.ID]; !ok || was != is {
			out.Set = append(out.Set, describe(s))
		}
	}
	out.Gone = gone(l.sessions, now)
	l.sessions = now
	return out
}

func (l *follower) changedRequests() (out LiveRequests) {
	desk := l.handler.Requests
	if desk == nil {
		return out
	}
	c := *l.call
	c.permitted = l.permits(Review)
	now := make(map[string]int64)
	desk.Each(func(r *review.Request, version int64) {
		if !l.sees(&c, r, version) {
			return
		}
		now[r.ID] = version
		if was, ok := l.requests[r.ID]; !ok || was != version {
			out.Set = append(out.Set, shortened(r))
		}
	})
	out.Gone = gone(l.requests, now)
	l.requests, l.called, l.asked = now, l.asked, nil // of requests that are gone nothing is kept
	return out
}

// calledEvery is how often it is asked who is on call, for one who looks on.
const calledEvery = 30 * time.Second

// calledAt is what was known of somebody who may be on call.
type calledAt struct {
	version int64
	at      time.Time
	sees    bool
}

// sees reports whether the caller may know of a request now. Whether she is on call is asked elsewhere, and not with every look.
func (l *follower) sees(c *call, r *review.Request, version int64) bool {
	if c.permitted || c.owns(r.Requester, r.For) || r.ApproverOf(review.OnCall(c.who, nil)) {
		return true
	}
	was, ok := l.called[r.ID]
	if !ok || was.version != version || time.Since(was.at) > calledEvery {
		was = calledAt{version, time.Now(), l.handler.lists(c, r)}
	}
	if l.asked == nil {
		l.asked = make(map[string]calledAt)
	}
	l.asked[r.ID] = was
	return was.sees
}

func gone[V any](was, is map[string]V) (ids []string) {
	for id := range was {
		if _, ok := is[id]; !ok {
			ids = append(ids, id)
		}
	}
	return ids
}

// shortened is a request as a list shows it.
func shortened(r *review.Request) LiveRequest {
	out := LiveRequest{Request: *r}
	size := len(r.Text)
	for _, a := range r.Arguments {
		size += len(a)
	}
	if size <= liveText {
		return out
	}
	out.Cut, out.Arguments = true, nil
	if text := []rune(out.Text); len(text) > liveText/4 {
		out.Text = string(text[:liveText/4])
	}
	return out
}

// events writes server-sent events.
type events struct {
	w       http.ResponseWriter
	control *http.ResponseController
	sent    time.Time
}

// send writes an event. It returns false when it cannot be written.
func (e *events) send(name string, v any) bool {
	body, err := json.Marshal(v)
	if err != nil || e.control.SetWriteDeadline(time.Now().Add(watcherTime)) != nil {
		return false
	}
	e.sent = time.Now()
	_, err = fmt.Fprintf(e.w, "event: %s\ndata: %s\n\n", name, bytes.TrimSpace(body))
	return err == nil
}

// flush has what was written sent, and something from time to time.
func (e *events) flush() bool {
	if time.Since(e.sent) >= liveBeat {
		e.sent = time.Now()
		if e.control.SetWriteDeadline(time.Now().Add(watcherTime)) != nil {
			return false
		}
		if _, err := e.w.Write([]byte(": still here\n\n")); err != nil {
			return false
		}
	}
	return e.control.Flush() == nil
}
