package control

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/proxy"
)

// Rules answers administrators' questions about the rules, and changes nothing. It is safe for concurrent use.
type Rules interface {
	// Simulate says how the gateway would answer somebody. The error wraps proxy.ErrNotFound where the question names what is not there.
	Simulate(ctx context.Context, s Simulation) (*Simulated, error)
	// Replay judges what is on record by a draft of objects, in YAML.
	Replay(ctx context.Context, a *audit.Archive, q ReplayQuestion) (*ReplayAnswer, error)
	// Test tries whether the gateway reaches a resource, step by step. The error wraps proxy.ErrNotFound where it is not there.
	Test(ctx context.Context, resource string) ([]TestStep, error)
}

// Simulation is the body of POST /v1/policy/simulate: somebody, who need not exist, and what she asks for.
type Simulation struct {
	User     string   `json:"user"`
	Groups   []string `json:"groups,omitempty"`
	Resource string   `json:"resource"`
	Account  string   `json:"account,omitempty"`
	Database string   `json:"database,omitempty"`
	// Text is a statement or a command line; empty asks about connecting.
	Text string     `json:"text,omitempty"`
	At   *time.Time `json:"at,omitempty"` // missing: now
}

// Simulated is the answer to a Simulation, and how it came about.
type Simulated struct {
	Answer
	Effects string `json:"effects,omitempty"` // of a statement
	// Trace is what each part of the chain has noted, in its order.
	Trace []TraceStep `json:"trace"`
}

// TraceStep is what one part of the chain has noted.
type TraceStep struct {
	By   string `json:"by"`
	Rule string `json:"rule,omitempty"`
	Text string `json:"text"`
}

// ReplayQuestion is the body of POST /v1/policy/replay.
type ReplayQuestion struct {
	Objects string    `json:"objects"` // the draft, in YAML, as in ApplyRequest
	Since   time.Time `json:"since"`
	Until   time.Time `json:"until"`
}

// ReplayAnswer is what a draft would have done with what is on record.
type ReplayAnswer struct {
	Operations int           `json:"operations"` // judged again
	Skipped    int           `json:"skipped"`    // that cannot be judged
	More       bool          `json:"more"`       // there were more than are judged at a time
	Denied     ReplayChanges `json:"denied"`     // ran, and would be refused
	Held       ReplayChanges `json:"held"`       // ran without an approval, and would need one
	Allowed    ReplayChanges `json:"allowed"`    // were refused, and would run
}

// ReplayChanges are operations that a draft would answer otherwise.
type ReplayChanges struct {
	Total    int            `json:"total"`
	People   int            `json:"people"`
	Examples []ReplayChange `json:"examples"` // the first of them
}

// ReplayChange is one operation that a draft would answer otherwise.
type ReplayChange struct {
	Session  string `json:"session"`
	At       string `json:"at"`
	User     string `json:"user"`
	Resource string `json:"resource"`
	Text     string `json:"text"`
	Rule     string `json:"rule,omitempty"`
	Message  string `json:"message,omitempty"`
}

// TestStep is one step on the way to a resource.
type TestStep struct {
	Name   string `json:"name"` // resolve, connect or log in
	OK     bool   `json:"ok"`
	Text   string `json:"text"` // what was found, or what went wrong
	Micros int64  `json:"micros"`
}

// ResourceTest is the answer to POST /v1/resources/{name}/test; it ends with the first step that fails.
type ResourceTest struct {
	Steps []TestStep `json:"steps"`
}

// Bounds of a replay.
const (
	maxReplayed = 31 * 24 * time.Hour
	replayTime  = 30 * time.Second
)

var errNoRules = NotFound("nothing is simulated at this gateway")

func (h *Handler) simulate(c *call) error {
	rules := c.portal.Rules
	if rules == nil {
		return errNoRules
	}
	var q Simulation
	if err := c.body(&q); err != nil {
		return err
	}
	if q.User == "" || q.Resource == "" {
		return badRequest("a simulation names a user and a resource")
	}
	if err := h.record(audit.Action{Type: audit.AdminConfiguration, By: c.who, Reason: "simulate " + q.User + " at " + q.Resource, Remote: c.RemoteAddr}); err != nil {
		return err
	}
	a, err := rules.Simulate(c.Context(), q)
	if errors.Is(err, proxy.ErrNotFound) {
		return NotFound(err.Error())
	}
	if err != nil {
		return badRequest("this cannot be simulated: %v", err)
	}
	h.answer(c.w, http.StatusOK, a)
	return nil
}

func (h *Handler) replayDraft(c *call) error {
	rules := c.portal.Rules
	if rules == nil {
		return errNoRules
	}
	var q ReplayQuestion
	if err := c.bodyWithin(&q, maxObjects); err != nil {
		return err
	}
	if h.Permit == nil || !h.Permit(c.who, Watch) {
		return &Error{http.StatusForbidden, CodeForbidden, "what sessions have asked for is shown to those who have the permission " + string(Watch)}
	}
	if d := q.Until.Sub(q.Since); d <= 0 || d > maxReplayed {
		return badRequest("since and until: want a time of at most %d days", maxReplayed/(24*time.Hour))
	}
	a, leave, err := h.archive()
	if err != nil {
		return err
	}
	defer leave()
	if err := h.record(audit.Action{
		Type: audit.AdminRead, By: c.who, Reason: "replay of a draft from " + q.Since.UTC().Format(time.RFC3339) + " to " + q.Until.UTC().Format(time.RFC3339), Remote: c.RemoteAddr,
	}); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(c.Context(), replayTime)
	defer cancel()
	out, err := rules.Replay(ctx, a, q)
	if err != nil {
		return told(err)
	}
	h.answer(c.w, http.StatusOK, out)
	return nil
}

func (h *Handler) testResource(c *call) error {
	rules := c.portal.Rules
	if rules == nil {
		return errNoRules
	}
	if err := h.record(audit.Action{Type: audit.AdminConfiguration, By: c.who, Reason: "test of resource " + c.PathValue("name"), Remote: c.RemoteAddr}); err != nil {
		return err
	}
	steps, err := rules.Test(c.Context(), c.PathValue("name"))
	if errors.Is(err, proxy.ErrNotFound) {
		return errNoResource
	}
	if err != nil {
		return err
	}
	h.answer(c.w, http.StatusOK, ResourceTest{Steps: steps})
	return nil
}
