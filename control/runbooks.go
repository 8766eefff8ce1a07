package control

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/runbook"
)

// Runbooks are the runbooks of a gateway, and their runs. It is safe for concurrent use. An
// error that is not an *Error, and none of package runbook's, is one of the gateway's.
type Runbooks interface {
	// List lists the runbooks of all sources, also those that cannot be read.
	List(ctx context.Context, who *proxy.Identity) ([]Runbook, error)
	// Show returns one, with what a form needs.
	Show(ctx context.Context, who *proxy.Identity, source, name string) (*RunbookDetail, error)
	// Plan says what a run would do.
	Plan(ctx context.Context, who *proxy.Identity, q RunRequest) (*RunPlan, error)
	// Values suggests values of a parameter, as who asks may see them.
	Values(ctx context.Context, who *proxy.Identity, q ValuesRequest) (*runbook.Suggestions, error)
	// Start begins a run.
	Start(ctx context.Context, who *proxy.Identity, q RunRequest) (*runbook.Run, error)
	// Run returns a run, Runs the latest of those that sees reports, and Cancel cancels one.
	Run(ctx context.Context, id string) (*runbook.Run, error)
	Runs(ctx context.Context, sees func(*runbook.Run) bool) ([]runbook.Run, error)
	Cancel(ctx context.Context, id string) error
}

// Runbook is a runbook of a source.
type Runbook struct {
	Source  string            `json:"source"`
	Name    string            `json:"name,omitempty"`
	Path    string            `json:"path"`
	Commit  string            `json:"commit,omitempty"`
	Title   string            `json:"title,omitempty"`
	Owner   string            `json:"owner,omitempty"`
	Risk    string            `json:"risk,omitempty"`
	Labels  map[string]string `json:"labels,omitempty"`
	Review  bool              `json:"review,omitempty"`  // runs are approved by others
	Cron    string            `json:"cron,omitempty"`    // its schedule
	Problem string            `json:"problem,omitempty"` // why it cannot be run
}

// RunbookList is the answer to GET /v1/runbooks.
type RunbookList struct {
	Runbooks []Runbook `json:"runbooks"`
}

// RunbookDetail is a runbook with what a form needs.
type RunbookDetail struct {
	Runbook
	Help string `json:"help,omitempty"`
	// Schema is the JSON Schema of the values.
	Schema map[string]any `json:"schema"`
	// Targets are the names of resources that may be chosen, by group.
	Targets map[string][]string `json:"targets"`
	// Most is how many of them may be chosen, for the groups of which several may be.
	Most map[string]int64 `json:"most,omitempty"`
}

// RunRequest asks for a run, or for its plan.
type RunRequest struct {
	Source  string                     `json:"source"`
	Name    string                     `json:"name"`
	Params  map[string]json.RawMessage `json:"params,omitempty"`
	Targets map[string][]string        `json:"targets,omitempty"`
	// Dry runs what reads, and asks databases what they would do otherwise.
	Dry bool `json:"dry,omitempty"`
	// Plan is the digest of the plan that was seen. A run that may change something needs it.
	Plan string `json:"plan,omitempty"`
	// Standing asks for a standing grant instead: nothing runs now, and further runs need no approval. It needs Plan.
	Standing *StandingRequest `json:"standing,omitempty"`
}

// StandingRequest asks for a standing grant: runs of the same file and commit, at the same targets, within bounds.
type StandingRequest struct {
	Runs    int64 `json:"runs"`
	Seconds int64 `json:"seconds"` // from the approval on
	// Within has the bounds of parameters by their names: "*" is any value, "1..100" a range of numbers, dates, times or durations, and
	// "a,b" these values. A parameter that it does not have keeps its value.
	Within map[string]string `json:"within,omitempty"`
}

// ValuesRequest asks for values that a parameter with values_from may have.
type ValuesRequest struct {
	Source string `json:"source"`
	Name   string `json:"name"`
	Param  string `json:"param"`
	Target string `json:"target"` // a resource of the group that its query is for
}

// RunPlan is what a run would do, and what the rules say of its steps.
type RunPlan struct {
	Plan    *runbook.Plan `json:"plan"`
	Text    string        `json:"text"` // as approvers read it
	Writes  bool          `json:"writes"`
	Answers []StepAnswer  `json:"answers"`
}

// StepAnswer is what the rules say of a step now, as far as it is known before.
type StepAnswer struct {
	Step    string `json:"step"`
	On      string `json:"on"`
	Verdict string `json:"verdict"`
	Reason  string `json:"reason,omitempty"`
}

// RunList is the answer to GET /v1/runs.
type RunList struct {
	Runs []runbook.Run `json:"runs"`
}

var errNoRunbooks = NotFound("the gateway has no sources of runbooks")

// withRunbooks is a route that the gateway has where it has sources of runbooks.
func withRunbooks(do func(h *Handler, c *call, b Runbooks) error) func(h *Handler, c *call) error {
	return func(h *Handler, c *call) error {
		if c.portal.Runbooks == nil {
			return errNoRunbooks
		}
		return do(h, c, c.portal.Runbooks)
	}
}

func (h *Handler) listRunbooks(c *call, b Runbooks) error {
	list, err := b.List(c.Context(), c.who)
	if err != nil {
		return err
	}
	h.answer(c.w, http.StatusOK, RunbookList{Runbooks: list})
	return nil
}

func (h *Handler) showRunbook(c *call, b Runbooks) error {
	d, err := b.Show(c.Context(), c.who, c.PathValue("source"), c.PathValue("name"))
	if err != nil {
		return RunbookError(err)
	}
	h.answer(c.w, http.StatusOK, d)
	return nil
}

// maxRunBody bounds what a run is asked for with, in bytes: parameters may be files.
const maxRunBody = 1 << 20

func (h *Handler) planRun(c *call, b Runbooks) error {
	var q RunRequest
	if err := c.bodyWithin(&q, maxRunBody); err != nil {
		return err
	}
	p, err := b.Plan(c.Context(), c.who, q)
	if err != nil {
		return RunbookError(err)
	}
	h.answer(c.w, http.StatusOK, p)
	return nil
}

func (h *Handler) suggestValues(c *call, b Runbooks) error {
	var q ValuesRequest
	if err := c.body(&q); err != nil {
		return err
	}
	list, err := b.Values(c.Context(), c.who, q)
	if err != nil {
		return RunbookError(err)
	}
	h.answer(c.w, http.StatusOK, list)
	return nil
}

func (h *Handler) startRun(c *call, b Runbooks) error {
	var q RunRequest
	if err := c.bodyWithin(&q, maxRunBody); err != nil {
		return err
	}
	if err := h.record(audit.Action{Type: audit.AdminRun, Action: "start", By: c.who, Reason: shortReason(q.Source + "/" + q.Name), Remote: c.RemoteAddr}); err != nil {
		return err
	}
	r, err := b.Start(c.Context(), c.who, q)
	if err != nil {
		return RunbookError(err)
	}
	h.answer(c.w, http.StatusAccepted, r)
	return nil
}

// seesRun reports whether the caller may know of a run: her own, and all with the permission.
func (c *call) seesRun(r *runbook.Run) bool { return c.permitted || c.owns(r.Requester, r.For) }

func (h *Handler) listRuns(c *call, b Runbooks) error {
	of := c.URL.Query().Get("runbook")
	list, err := b.Runs(c.Context(), func(r *runbook.Run) bool {
		return (of == "" || r.Origin.Source+"/"+r.Name == of) && c.seesRun(r)
	})
	if err != nil {
		return err
	}
	h.answer(c.w, http.StatusOK, RunList{list})
	return nil
}

// findRun is the run that the path names, when the caller may know of it.
func (c *call) findRun(b Runbooks) (*runbook.Run, error) {
	r, err := b.Run(c.Context(), c.PathValue("id"))
	if err == nil && !c.seesRun(r) {
		err = runbook.ErrNoRun
	}
	if err != nil {
		return nil, RunbookError(err)
	}
	return r, nil
}

func (h *Handler) showRun(c *call, b Runbooks) error {
	r, err := c.findRun(b)
	if err != nil {
		return err
	}
	h.answer(c.w, http.StatusOK, r)
	return nil
}

func (h *Handler) cancelRun(c *call, b Runbooks) error {
	r, err := c.findRun(b)
	if err != nil {
		return err
	}
	if err := h.record(audit.Action{Type: audit.AdminRun, Action: "cancel", By: c.who, Session: r.Session, Reason: r.ID, Remote: c.RemoteAddr}); err != nil {
		return err
	}
	if err := b.Cancel(c.Context(), r.ID); err != nil {
		return &Error{http.StatusConflict, CodeConflict, err.Error()}
	}
	h.answer(c.w, http.StatusOK, Done{})
	return nil
}

// RunbookError is why something is not done with a runbook, as the API tells it.
func RunbookError(err error) error {
	var told *Error
	switch {
	case errors.As(err, &told):
		return told
	case errors.Is(err, runbook.ErrNoRun):
		return NotFound(err.Error())
	case errors.Is(err, runbook.ErrTooMany):
		return &Error{http.StatusTooManyRequests, CodeBusy, err.Error()}
	}
	return badRequest("%v", err)
}
