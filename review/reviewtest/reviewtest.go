// Package reviewtest holds the tests that every review.Notifier passes, and services that fail as
// they are told.
package reviewtest

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/review"
)

// Behaviour is what a service does with a notice.
type Behaviour int

// Behaviours.
const (
	Takes     Behaviour = iota // takes it, and says so
	Fails                      // says that it failed
	Busy                       // asks to be left alone for BusyFor
	Hangs                      // reads it and says nothing
	Cuts                       // takes it, and cuts the connection before it says so
	Redirects                  // names another service in its place
	Floods                     // answers without an end
	Babbles                    // answers what is not an answer
	Impostor                   // shows a certificate that is not to be trusted
)

// BusyFor is how long a service that is busy asks to be left alone.
const BusyFor = 7 * time.Second

// Service is a service in a test.
type Service interface {
	// Do has it behave so from now on; false: it cannot.
	Do(b Behaviour) bool
	// Taken is how many notices it took.
	Taken() int
	// Strayed is how many came to the service that Redirects names.
	Strayed() int
	// Sent is how many bytes it has answered.
	Sent() int64
}

// Subject is a notifier and the service that it tells.
type Subject struct {
	Notifier review.Notifier
	Service  Service
	// Secrets are those of the notifier, of which no error holds one.
	Secrets []string
}

// Bounds of tests.
const (
	patience = 20 * time.Second // for what must happen
	maxRead  = 16 << 20         // bytes that a notifier reads of one answer
)

// Test runs all tests. Each gets a subject from open, which cleans up itself.
func Test(t *testing.T, open func(t *testing.T) Subject) {
	for _, c := range []struct {
		name string
		test func(t *testing.T, s Subject)
	}{
		{"Takes", testTakes},
		{"Hostile", testHostile},
		{"AtOnce", testAtOnce},
		{"Fails", testFails},
		{"Busy", testBusy},
		{"Hangs", testHangs},
		{"Ended", testEnded},
		{"Cuts", testCuts},
		{"Redirects", testRedirects},
		{"Floods", testFloods},
		{"Impostor", testImpostor},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, open(t)) })
	}
}

// Notice is a notice of a request for access, with an event.
func Notice(id, event string) *review.Notice {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	state := review.State(event)
	if event == review.Asked || event == review.Voted {
		state = review.Pending
	}
	r := review.Request{
		ID: "4jzq7nbkw2", State: state, Hash: strings.Repeat("ab", 32), Requester: "alice", Resource: "orders", Account: "writer", Kind: review.KindAccess,
		Text: "connect, write at writer@orders for 1h0m0s", Message: "writing needs a second person", Rules: []string{"writers-ask"},
		Approvers: [][]string{{"oncall"}}, Created: at, Deadline: at.Add(time.Hour),
		Access: &review.Access{
			Rule: "writers-ask", Actions: []string{"connect", "write"}, Seconds: 3600, Reason: "INC-4711: repair the order of Mrs. Smith",
			Stages: []review.Stage{{Approvers: []string{"oncall"}, Need: 1}},
		},
	}
	if state != review.Pending {
		r.DecidedBy, r.DecidedAt, r.Reason = "bob", &at, "as discussed"
	}
	return &review.Notice{ID: id, Event: event, At: at, Request: r}
}

// Alert is a notice of an alert.
func Alert(id string) *review.Notice {
	return &review.Notice{ID: id, Event: review.Fired, At: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), Alert: &review.Alert{
		Rule: "many-refusals", Message: "somebody tries what she may not", Count: 5, Seconds: 600, Before: 2, Event: "operation.refused", User: "alice", Resource: "orders",
		Decision: "no-drop", Session: "20260301T115501-4jzq7nbkw2",
	}}
}

// Hostile is a notice in which all that people write tries to be something else: another header, mark-up, a mention of
// everybody, a link, or more than anybody reads.
func Hostile() *review.Notice {
	n := Notice("hostile", review.Asked)
	bad := "x\r\nBcc: eve@example.com\r\n\r\n.\r\nQUIT\r\n<script>alert(1)</script> <!channel> <!here> <@U1> <https://evil.example|click> *b* `c` & \u202egnp.exe \x00\x1b[2J" +
		" https://evil.example @everyone [a](https://evil.example)"
	r := &n.Request
	r.Requester, r.For, r.Resource, r.Account, r.Database, r.Text, r.Message, r.Effects, r.Blind = bad, bad, bad, bad, bad, bad+strings.Repeat("x", 4000), bad, bad, bad
	r.Rules, r.Approvers, r.DecidedBy, r.Reason = []string{bad}, [][]string{{bad}}, bad, bad
	r.Access.Rule, r.Access.Reason, r.Access.Actions = bad, bad, []string{bad}
	return n
}

// tell tells the notifier, and fails the test when it takes too long or its error holds a secret.
func (s *Subject) tell(ctx context.Context, t *testing.T, n *review.Notice) error {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- s.Notifier.Notify(ctx, n) }()
	select {
	case err := <-done:
		if err != nil {
			for _, secret := range s.Secrets {
				for name, text := range encodings(secret) {
					if strings.Contains(err.Error(), text) {
						t.Errorf("an error holds a secret (%s)", name)
					}
				}
			}
		}
		return err
	case <-time.After(patience):
		t.Fatal("Notify does not return")
		return nil
	}
}

// encodings are ways in which a secret may be written.
func encodings(secret string) map[string]string {
	b := []byte(secret)
	return map[string]string{
		"plain": secret, "base64": base64.StdEncoding.EncodeToString(b), "base64, URL": base64.URLEncoding.EncodeToString(b),
		"hexadecimal": hex.EncodeToString(b), "percent": url.QueryEscape(secret), "path": url.PathEscape(secret),
	}
}

func (s *Subject) takes(t *testing.T, n *review.Notice) {
	t.Helper()
	if err := s.tell(t.Context(), t, n); err != nil {
		t.Fatal(err)
	}
}

// does has the service behave so, or skips the test.
func (s *Subject) does(t *testing.T, b Behaviour) {
	t.Helper()
	if !s.Service.Do(b) {
		t.Skip("this service cannot do that")
	}
}

// passing fails the test unless err is one after which a notice is sent again.
func passing(t *testing.T, err error) {
	t.Helper()
	switch {
	case err == nil:
		t.Fatal("got no error")
	case errors.Is(err, review.ErrGone), errors.Is(err, review.ErrRefused):
		t.Fatalf("got %v, want an error after which it is sent again", err)
	}
}

// recovers fails the test unless the notifier works once the service does.
func (s *Subject) recovers(t *testing.T) {
	t.Helper()
	s.Service.Do(Takes)
	before := s.Service.Taken()
	s.takes(t, Notice("after", review.Asked))
	if got := s.Service.Taken(); got != before+1 {
		t.Fatalf("the service took %d notices, want %d", got, before+1)
	}
}

func testTakes(t *testing.T, s Subject) {
	events := []string{review.Asked, review.Voted, "approved", "denied", "cancelled", "expired", "revoked", "ended", "more-than-there-are-today"}
	for _, event := range events {
		s.takes(t, Notice("n-"+event, event))
	}
	s.takes(t, Notice("n-"+review.Asked, review.Asked)) // again
	operation := Notice("operation", review.Asked)
	operation.Request.Access, operation.Request.Kind, operation.Request.Text = nil, "statement", "DELETE FROM orders"
	s.takes(t, operation)
	s.takes(t, Alert("alert-1"))
	s.takes(t, Alert("alert-2")) // which is another one
	if got, want := s.Service.Taken(), len(events)+4; got != want {
		t.Fatalf("the service took %d notices, want %d", got, want)
	}
}

func testHostile(t *testing.T, s Subject) {
	s.takes(t, Hostile())
	n, bad := Alert("hostile-alert"), Hostile().Request.Requester
	n.Alert.Message, n.Alert.User, n.Alert.Resource, n.Alert.Decision = bad, bad, bad, bad
	s.takes(t, n)
	if got := s.Service.Taken(); got != 2 {
		t.Fatalf("the service took %d notices, want 2", got)
	}
}

func testAtOnce(t *testing.T, s Subject) {
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			n := Notice(fmt.Sprint("n", i), review.Asked)
			n.Request.ID = fmt.Sprint("r", i)
			if err := s.Notifier.Notify(t.Context(), n); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := s.Service.Taken(); got != 16 {
		t.Fatalf("the service took %d notices, want 16", got)
	}
}

func testFails(t *testing.T, s Subject) {
	s.does(t, Fails)
	passing(t, s.tell(t.Context(), t, Notice("n", review.Asked)))
	if s.Service.Do(Babbles) {
		passing(t, s.tell(t.Context(), t, Notice("n", review.Asked)))
	}
	s.recovers(t)
}

func testBusy(t *testing.T, s Subject) {
	s.does(t, Busy)
	begun := time.Now()
	err := s.tell(t.Context(), t, Notice("n", review.Asked))
	passing(t, err)
	var busy *review.BusyError
	if !errors.As(err, &busy) || busy.After < BusyFor-2*time.Second || busy.After > BusyFor {
		t.Fatalf("got %v, want a BusyError of %s", err, BusyFor)
	}
	if time.Since(begun) > BusyFor {
		t.Fatal("it waited by itself, want the error at once: others wait for this one")
	}
	s.recovers(t)
}

func testHangs(t *testing.T, s Subject) {
	s.does(t, Hangs)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	passing(t, s.tell(ctx, t, Notice("n", review.Asked)))
	ctx, cancel = context.WithCancel(t.Context())
	time.AfterFunc(100*time.Millisecond, cancel)
	passing(t, s.tell(ctx, t, Notice("n", review.Asked)))
	s.recovers(t)
}

func testEnded(t *testing.T, s Subject) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	passing(t, s.tell(ctx, t, Notice("n", review.Asked)))
	if got := s.Service.Taken(); got != 0 {
		t.Fatalf("the service took %d notices after the context had ended, want 0", got)
	}
	s.recovers(t)
}

func testCuts(t *testing.T, s Subject) {
	s.does(t, Cuts)
	passing(t, s.tell(t.Context(), t, Notice("n", review.Asked)))
	s.recovers(t)
}

func testRedirects(t *testing.T, s Subject) {
	s.does(t, Redirects)
	passing(t, s.tell(t.Context(), t, Notice("n", review.Asked)))
	if got := s.Service.Strayed(); got != 0 {
		t.Fatalf("%d notices went to where the service pointed, want 0", got)
	}
	s.recovers(t)
}

func testFloods(t *testing.T, s Subject) {
	s.does(t, Floods)
	ctx, cancel := context.WithTimeout(t.Context(), patience/2)
	defer cancel()
	_ = s.tell(ctx, t, Notice("n", review.Asked)) // it may have understood the beginning
	if got := s.Service.Sent(); got > maxRead {
		t.Fatalf("the service could answer %d bytes, want at most %d to be read", got, maxRead)
	}
	s.recovers(t)
}

func testImpostor(t *testing.T, s Subject) {
	s.does(t, Impostor)
	before := s.Service.Taken()
	passing(t, s.tell(t.Context(), t, Notice("n", review.Asked)))
	if got := s.Service.Taken(); got != before {
		t.Fatal("a service with a certificate that is not to be trusted was told")
	}
	s.recovers(t)
}
