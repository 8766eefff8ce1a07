package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/sallyport/sallyport/control"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/review"
	"github.com/sallyport/sallyport/runbook"
	"github.com/sallyport/sallyport/runbook/git"
)

// api answers the API's questions about runbooks; nil without sources.
func (b *runbooks) api() control.Runbooks {
	if b.runner == nil {
		return nil
	}
	return runbookAPI{b}
}

type runbookAPI struct{ *runbooks }

func about(s *git.Snapshot, source string, b git.Book) control.Runbook {
	out := control.Runbook{Source: source, Name: b.Name, Path: b.Path, Commit: s.Commit}
	if b.Err != nil {
		out.Problem = b.Err.Error()
	}
	if r := b.Runbook; r != nil {
		out.Title, out.Owner, out.Risk, out.Labels, out.Review = r.Metadata.Title, r.Metadata.Owner, r.Metadata.Risk, r.Metadata.Labels, r.Review != nil
		if r.Schedule != nil {
			out.Cron = r.Schedule.Cron
		}
	}
	return out
}

// List implements [control.Runbooks].
func (a runbookAPI) List(context.Context, *proxy.Identity) ([]control.Runbook, error) {
	list := []control.Runbook{}
	for _, s := range a.sources {
		snap, err := s.Latest()
		if err != nil {
			list = append(list, control.Runbook{Source: s.Name(), Problem: err.Error()})
			continue
		}
		for _, b := range snap.List() {
			list = append(list, about(snap, s.Name(), b))
		}
	}
	return list, nil
}

// Show implements [control.Runbooks].
func (a runbookAPI) Show(ctx context.Context, who *proxy.Identity, source, name string) (*control.RunbookDetail, error) {
	_, snap, err := a.find(source)
	if err != nil {
		return nil, err
	}
	b, err := snap.Book(ctx, name)
	if err != nil {
		return nil, err
	}
	out := &control.RunbookDetail{Runbook: about(snap, source, b), Help: b.Runbook.Metadata.Help, Schema: b.Runbook.Schema(), Targets: make(map[string][]string), Most: make(map[string]int64)}
	reachable := a.reachable(ctx, who)
	for _, g := range b.Runbook.Targets {
		out.Targets[g.Name] = []string{}
		if g.Max > 1 {
			out.Most[g.Name] = g.Max
		}
		for _, r := range reachable {
			if g.Takes(r) {
				out.Targets[g.Name] = append(out.Targets[g.Name], r.Name)
			}
		}
	}
	return out, nil
}

func (a runbookAPI) planOf(ctx context.Context, who *proxy.Identity, q control.RunRequest) (*runbook.Plan, error) {
	s, snap, err := a.find(q.Source)
	if err != nil {
		return nil, err
	}
	return a.plan(ctx, who, s, snap, q.Name, runbook.Choice{Values: q.Params, Targets: q.Targets})
}

// Plan implements [control.Runbooks].
func (a runbookAPI) Plan(ctx context.Context, who *proxy.Identity, q control.RunRequest) (*control.RunPlan, error) {
	p, err := a.planOf(ctx, who, q)
	if err != nil {
		return nil, err
	}
	out := &control.RunPlan{Plan: p, Text: p.String(), Writes: p.Writes(), Answers: []control.StepAnswer{}}
	if q.Standing != nil {
		s, err := stand(p, q.Standing)
		if err != nil {
			return nil, err
		}
		out.Text = s.Text(p)
	}
	for _, s := range p.Steps {
		if s.On == "" {
			continue
		}
		answer, err := access{a.Explainer}.Can(ctx, who, control.Question{Resource: s.On, Text: s.Text})
		if err != nil {
			return nil, err
		}
		out.Answers = append(out.Answers, control.StepAnswer{Step: s.ID, On: s.On, Verdict: answer.Outcome, Reason: answer.Message})
	}
	return out, nil
}

// Values implements [control.Runbooks].
func (a runbookAPI) Values(ctx context.Context, who *proxy.Identity, q control.ValuesRequest) (*runbook.Suggestions, error) {
	_, snap, err := a.find(q.Source)
	if err != nil {
		return nil, err
	}
	b, err := snap.Book(ctx, q.Name)
	if err != nil {
		return nil, err
	}
	return a.runner.Suggest(ctx, who, b.Runbook, snap.Origin(b), q.Param, q.Target, a.reachable(ctx, who))
}

// stand is the standing grant that is asked for by a plan.
func stand(p *runbook.Plan, q *control.StandingRequest) (*runbook.Standing, error) {
	if q.Seconds < 0 || q.Seconds > int64(review.MaxStanding/time.Second) {
		return nil, fmt.Errorf("standing grant: got a time of %d seconds, want %d or less", q.Seconds, int64(review.MaxStanding/time.Second))
	}
	return p.Stand(q.Runs, time.Duration(q.Seconds)*time.Second, q.Within)
}

// Start implements [control.Runbooks]. What may change something runs by the plan that was seen,
// and no other.
func (a runbookAPI) Start(ctx context.Context, who *proxy.Identity, q control.RunRequest) (*runbook.Run, error) {
	p, err := a.planOf(ctx, who, q)
	if err != nil {
		return nil, err
	}
	o := runbook.Options{Dry: q.Dry}
	if q.Standing != nil {
		if q.Dry {
			return nil, errors.New("a standing grant is not asked for by a dry run")
		}
		if o.Standing, err = stand(p, q.Standing); err != nil {
			return nil, err
		}
	}
	if (p.Writes() || q.Standing != nil) && !q.Dry && q.Plan != p.Digest {
		message := "the run may change something: look at its plan first, and send its digest as plan"
		if q.Plan != "" {
			message = "the plan is another by now, since the runbook or what it runs on has changed: look at it again"
		}
		return nil, &control.Error{Status: http.StatusConflict, Code: control.CodeConflict, Message: message}
	}
	return a.runner.Start(ctx, who, p, o)
}

// Run implements [control.Runbooks].
func (a runbookAPI) Run(ctx context.Context, id string) (*runbook.Run, error) {
	return a.runner.Get(ctx, id)
}

// maxRunList is how many runs are listed.
const maxRunList = 200

// Runs implements [control.Runbooks].
func (a runbookAPI) Runs(ctx context.Context, sees func(*runbook.Run) bool) ([]runbook.Run, error) {
	return a.runner.List(ctx, maxRunList, sees)
}

// Cancel implements [control.Runbooks].
func (a runbookAPI) Cancel(ctx context.Context, id string) error { return a.runner.Cancel(ctx, id) }
