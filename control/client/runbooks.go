package client

import (
	"context"
	"net/http"
	"net/url"

	"github.com/sallyport/sallyport/control"
	"github.com/sallyport/sallyport/runbook"
)

// Runbooks lists the runbooks of all sources.
func (c *Client) Runbooks(ctx context.Context) ([]control.Runbook, error) {
	var all control.RunbookList
	err := c.call(ctx, http.MethodGet, "/v1/runbooks", nil, &all)
	return all.Runbooks, err
}

// Runbook describes one runbook.
func (c *Client) Runbook(ctx context.Context, source, name string) (*control.RunbookDetail, error) {
	return get[control.RunbookDetail](ctx, c, http.MethodGet, "/v1/runbooks/"+url.PathEscape(source)+"/"+url.PathEscape(name), nil)
}

// PlanRun says what a run would do.
func (c *Client) PlanRun(ctx context.Context, q control.RunRequest) (*control.RunPlan, error) {
	return get[control.RunPlan](ctx, c, http.MethodPost, "/v1/runbooks/plan", q)
}

// RunbookValues returns values that a parameter may have.
func (c *Client) RunbookValues(ctx context.Context, q control.ValuesRequest) (*runbook.Suggestions, error) {
	return get[runbook.Suggestions](ctx, c, http.MethodPost, "/v1/runbooks/values", q)
}

// StartRun begins a run.
func (c *Client) StartRun(ctx context.Context, q control.RunRequest) (*runbook.Run, error) {
	return get[runbook.Run](ctx, c, http.MethodPost, "/v1/runs", q)
}

// Runs lists the latest runs.
func (c *Client) Runs(ctx context.Context) ([]runbook.Run, error) {
	var all control.RunList
	err := c.call(ctx, http.MethodGet, "/v1/runs", nil, &all)
	return all.Runs, err
}

// Run describes one run.
func (c *Client) Run(ctx context.Context, id string) (*runbook.Run, error) {
	return get[runbook.Run](ctx, c, http.MethodGet, "/v1/runs/"+url.PathEscape(id), nil)
}

// CancelRun cancels a run, also in the middle of a statement.
func (c *Client) CancelRun(ctx context.Context, id string) error {
	return c.call(ctx, http.MethodPost, "/v1/runs/"+url.PathEscape(id)+"/cancel", nil, &control.Done{})
}
