package runbook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/store"
)

// KindSchedule is the kind of the documents of schedules: up to when each was looked at.
const KindSchedule = "runbook-schedule"

const (
	scheduleLease = "runbook-schedules"
	scheduleTTL   = time.Minute
	onTime        = time.Minute // later than that, something was missed
	maxCatchUp    = 100
)

// Scheduled is a runbook with a schedule.
type Scheduled struct {
	Source, Name string
	Schedule     *Schedule
	// Plan makes the plan of a run of who, and Who returns who the service is now; an error says that
	// she is disabled, or that the source's schedules may not run as her.
	Plan func(ctx context.Context, who *proxy.Identity) (*Plan, error)
	Who  func(ctx context.Context) (*proxy.Identity, error)
}

// looked is a document of KindSchedule.
type looked struct {
	Last    time.Time `json:"last"`
	Cron    string    `json:"cron"`
	Zone    string    `json:"zone"`
	Message string    `json:"message,omitempty"` // why the latest did not run
}

// Tick begins what schedules say by now. Of several processes on a store one does: the run, and
// up to when the schedule was looked at, are written together, under the fence of a lease.
func (r *Runner) Tick(ctx context.Context, list []Scheduled) error {
	lease, err := r.Store.Acquire(ctx, scheduleLease, r.id, scheduleTTL)
	if errors.Is(err, store.ErrHeld) {
		return nil
	}
	if err != nil {
		return err
	}
	_, now, err := r.Store.Head(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, s := range list {
		if err := r.look(ctx, s, now, lease); err != nil {
			errs = append(errs, fmt.Errorf("schedule of %s/%s: %w", s.Source, s.Name, err))
		}
	}
	return errors.Join(errs...)
}

// look begins what one schedule says by now.
func (r *Runner) look(ctx context.Context, s Scheduled, now time.Time, lease store.Lease) error {
	name := s.Source + "/" + s.Name
	doc, err := r.Store.Get(ctx, KindSchedule, name)
	was := looked{}
	switch {
	case errors.Is(err, store.ErrNotFound):
		doc = store.Document{Kind: KindSchedule, Name: name}
	case err != nil:
		return err
	default:
		if err := json.Unmarshal(doc.Body, &was); err != nil {
			return errors.New("its document is damaged")
		}
	}
	if doc.Version == 0 || was.Cron != s.Schedule.Cron || was.Zone != s.Schedule.Zone {
		// Nothing is caught up that was not scheduled then.
		_, err := r.Store.Write(ctx, moved(doc, looked{Last: now, Cron: s.Schedule.Cron, Zone: s.Schedule.Zone}), store.Fence(lease))
		return conflict(err)
	}
	for _, at := range s.due(was.Last, now) {
		next := looked{Last: at.at, Cron: was.Cron, Zone: was.Zone}
		who, err := s.Who(ctx)
		var p *Plan
		if err == nil && !at.skip {
			p, err = s.Plan(ctx, who)
		}
		if err != nil || at.skip {
			next.Message = "it was missed"
			if err != nil {
				next.Message = err.Error()
				r.Log.Warn("runbooks: what is scheduled did not run", "runbook", name, "at", at.at, "err", err)
			}
			v, err := r.Store.Write(ctx, moved(doc, next), store.Fence(lease))
			if err != nil {
				return conflict(err)
			}
			doc.Version = v
			continue
		}
		due := at.at
		run, err := r.Start(ctx, who, p, Options{Scheduled: &due, With: []store.Write{moved(doc, next), store.Fence(lease)}})
		if err != nil {
			return conflict(err)
		}
		r.Log.Info("runbooks: a schedule began a run", "runbook", name, "at", at.at, "run", run.ID)
		if doc, err = r.Store.Get(ctx, KindSchedule, name); err != nil {
			return err
		}
	}
	return nil
}

// conflict is nil where another was faster.
func conflict(err error) error {
	if errors.Is(err, store.ErrConflict) {
		return nil
	}
	return err
}

func moved(doc store.Document, l looked) store.Write {
	doc.Body, _ = json.Marshal(l) // it has texts and times
	if doc.Version == 0 {
		return store.Create(doc)
	}
	return store.Replace(doc)
}

type dueTime struct {
	at   time.Time
	skip bool
}

// due are the times of a schedule after last and until now. Those that were missed are caught
// up with as the schedule says. A clock that was put back finds none until it is past last.
func (s *Scheduled) due(last, now time.Time) (list []dueTime) {
	var times []time.Time
	for at := s.Schedule.cron.Next(last); !at.IsZero() && !at.After(now); at = s.Schedule.cron.Next(at) {
		if times = append(times, at); len(times) > maxCatchUp {
			times = times[1:]
		}
	}
	for i, at := range times {
		late := now.Sub(at) > onTime
		skip := late
		switch s.Schedule.CatchUp {
		case "all":
			skip = false
		case "one":
			skip = i < len(times)-1
		}
		if !skip || i == len(times)-1 {
			list = append(list, dueTime{at, skip})
		}
	}
	return list
}

// Choice is what the schedule runs the runbook with.
func (s *Schedule) Choice() Choice {
	c := Choice{Values: make(map[string]json.RawMessage, len(s.Params)), Targets: s.Targets}
	for name, v := range s.Params {
		c.Values[name], _ = json.Marshal(v) // it is a text
	}
	return c
}
