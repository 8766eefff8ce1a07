package runbook

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/store"
)

// KindRunner is the kind of the documents of processes that run something. One that is not
// renewed ends, and what it ran is unknown then.
const KindRunner = "runbook-runner"

const (
	runnerFor   = 30 * time.Second
	runnerEvery = 10 * time.Second
	keptTime    = 10 * time.Second // for writing down what became of a run
)

// MaxRuns is how many runs one person has at once.
const MaxRuns = 20

// Runner runs plans. It is to be opened by [Open], and safe for concurrent use.
type Runner struct {
	Store store.Store
	Gate  Gate
	Log   *slog.Logger
	Now   func() time.Time

	id   string
	ctx  context.Context
	stop context.CancelCauseFunc
	work sync.WaitGroup

	mu   sync.Mutex
	live map[string]*live

	suggestions suggestions
}

// Errors of runs. Their texts are fit for who asks.
var (
	ErrNoRun   = errors.New("no such run found")
	ErrTooMany = fmt.Errorf("you have %d runs that are not over, which is the limit: wait for one, or cancel it", MaxRuns)
)

// Open begins to keep r known to the store, and marks the runs of processes that have ended.
// Close ends it.
func Open(ctx context.Context, r *Runner) error {
	r.Log = or(r.Log, slog.Default())
	if r.Now == nil {
		r.Now = func() time.Time { return time.Now().UTC() }
	}
	r.id, r.live = rand.Text(), make(map[string]*live)
	r.ctx, r.stop = context.WithCancelCause(context.Background())
	if err := r.beat(ctx); err != nil {
		return err
	}
	if err := r.Settle(ctx); err != nil {
		return err
	}
	r.work.Go(func() {
		t := time.NewTicker(runnerEvery)
		defer t.Stop()
		for {
			select {
			case <-r.ctx.Done():
				return
			case <-t.C:
			}
			if err := errors.Join(r.beat(r.ctx), r.Settle(r.ctx)); err != nil && r.ctx.Err() == nil {
				r.Log.Warn("runbooks: the store does not answer: no step begins until it does", "err", err)
			}
		}
	})
	return nil
}

// Close cancels what runs, and waits for it.
func (r *Runner) Close() error {
	r.mu.Lock()
	all := make([]*live, 0, len(r.live))
	for _, l := range r.live {
		if l.cancel != nil {
			all = append(all, l)
		}
	}
	r.mu.Unlock()
	for _, l := range all {
		l.cancel(fmt.Errorf("%w: the gateway is ending", errCancelled))
	}
	r.stop(errors.New("the gateway is ending"))
	r.work.Wait()
	return nil
}

// beat keeps the process known.
func (r *Runner) beat(ctx context.Context) error {
	_, now, err := r.Store.Head(ctx)
	if err != nil {
		return err
	}
	return store.Update(ctx, r.Store, KindRunner, r.id, func(d store.Document) ([]store.Write, error) {
		d.Body, d.Expires = []byte(`{}`), now.Add(runnerFor)
		if d.Version == 0 {
			return []store.Write{store.Create(d)}, nil
		}
		return []store.Write{store.Replace(d)}, nil
	})
}

// Settle marks the runs whose process has ended. Nothing of them goes on by itself.
func (r *Runner) Settle(ctx context.Context) error {
	for doc, err := range store.All(ctx, r.Store, KindRun, "") {
		if err != nil {
			return err
		}
		var run Run
		if json.Unmarshal(doc.Body, &run) != nil || run.State.Over() || run.Runner == r.id {
			continue
		}
		if _, err := r.Store.Get(ctx, KindRunner, run.Runner); !errors.Is(err, store.ErrNotFound) {
			if err != nil {
				return err
			}
			continue
		}
		was := run.State
		run.State, run.Message = Failed, "the gateway that ran it has ended before any step began: ask for it again"
		for i := range run.Steps {
			switch s := &run.Steps[i]; s.State {
			case Running:
				s.State = Unknown
				run.State, run.Message = Unknown, "the gateway that ran it has ended during the step "+s.ID+": look at what it has done, before you ask for a new run"
			case Done:
				if run.State != Unknown {
					run.State, run.Message = Unknown, "the gateway that ran it has ended after the step "+s.ID+": ask for a new run for the rest"
				}
			}
		}
		if err := r.end(ctx, doc, &run); err != nil && !errors.Is(err, store.ErrConflict) {
			return err
		}
		r.Log.Warn("runbooks: a run was left by a gateway that has ended", "run", run.ID, "runbook", run.Name, "was", was, "state", run.State)
	}
	return nil
}

// end writes down the end of a run.
func (r *Runner) end(ctx context.Context, doc store.Document, run *Run) error {
	now := r.Now()
	run.Ended = &now
	body, err := json.Marshal(run)
	if err != nil {
		return err
	}
	doc.Body = body
	_, err = r.Store.Write(ctx, store.Replace(doc))
	return err
}

// Options of a run.
type Options struct {
	Dry       bool
	Scheduled *time.Time
	// Standing has the run ask for a standing grant, and run no step; nil: it runs.
	Standing *Standing
	// With is written together with the run, or neither is.
	With []store.Write
}

// Start begins a run. It returns what was written down when it began; what becomes of it is seen by
// [Runner.Get].
func (r *Runner) Start(ctx context.Context, who *proxy.Identity, p *Plan, o Options) (*Run, error) {
	if who == nil || who.Subject == "" {
		return nil, proxy.ErrUnauthenticated
	}
	run := Run{
		ID: strings.ToLower(rand.Text()[:12]), Name: p.Name, State: Waiting, Dry: o.Dry, Requester: who.Subject, For: who.OnBehalfOf, Origin: p.Origin, Plan: p.Digest,
		Targets: make(map[string][]string), Scheduled: o.Scheduled, Created: r.Now(), Runner: r.id,
		Standing: o.Standing != nil, Steps: []StepRun{},
	}
	for name, list := range p.Targets {
		for _, t := range list {
			run.Targets[name] = append(run.Targets[name], t.Name)
		}
	}
	for _, s := range p.Steps {
		if run.Standing {
			break
		}
		run.Steps = append(run.Steps, StepRun{ID: s.ID, Kind: s.Kind, On: s.On, State: Pending})
	}
	l := &live{
		Runner: r, who: who, plan: p, run: run, results: make(map[string]*stepResult), open: make(map[string]Database), posix: make(map[string]bool), secrets: make(map[string]string),
		standing: o.Standing,
	}
	r.mu.Lock()
	own := 0
	for _, other := range r.live {
		if other.who.Subject == who.Subject {
			own++
		}
	}
	if own >= MaxRuns {
		r.mu.Unlock()
		return nil, ErrTooMany
	}
	r.live[run.ID] = l
	r.mu.Unlock()
	forget := func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.live, run.ID)
	}
	body, err := json.Marshal(run)
	var begun Run // of its own, as the run goes on meanwhile
	if err == nil {
		err = json.Unmarshal(body, &begun)
	}
	if err == nil {
		doc := store.Document{Kind: KindRun, Name: run.ID, Body: body, Expires: run.Created.Add(or(p.book.Outputs.Keep, defaultKeep))}
		l.version, err = r.Store.Write(ctx, append([]store.Write{store.Create(doc)}, o.With...)...)
		l.version -= int64(changes(o.With))
	}
	if err != nil {
		forget()
		return nil, fmt.Errorf("the run could not be written down: %w", err)
	}
	running, cancel := context.WithCancelCause(r.ctx)
	r.mu.Lock()
	l.cancel = cancel
	r.mu.Unlock()
	r.work.Go(func() {
		defer forget()
		defer cancel(nil)
		l.finish(l.everything(running))
	})
	return &begun, nil
}

// changes are the writes that make a change, whose numbers follow the run's own.
func changes(ws []store.Write) (n int) {
	for _, w := range ws {
		if w.Op != store.OpRequire && w.Op != store.OpFence {
			n++
		}
	}
	return n
}

// keep writes down where a run is. Only the process that has written it last does so.
func (l *live) keep(ctx context.Context) error {
	body, err := json.Marshal(l.run)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), keptTime)
	defer cancel()
	v, err := l.Store.Write(ctx, store.Replace(store.Document{
		Kind: KindRun, Name: l.run.ID, Version: l.version, Body: body, Expires: l.run.Created.Add(or(l.plan.book.Outputs.Keep, defaultKeep)),
	}))
	if err == nil {
		l.version = v
	}
	return err
}

// said writes down what a run waits for.
func (l *live) said(message string) {
	l.run.Message = l.safe(message)
	if err := l.keep(l.ctx); err != nil {
		l.Log.Warn("runbooks: what a run waits for could not be written down", "run", l.run.ID, "err", err)
	}
}

// finish writes down how a run ended.
func (l *live) finish(state State, err error) {
	now := l.Now()
	l.run.State, l.run.Ended, l.run.Message = state, &now, ""
	switch {
	case err != nil:
		l.run.Message = l.safe(err.Error())
	case l.standing != nil:
		l.run.Message = "the standing grant is given: runs within its bounds need no further approval, until one of its requests is cancelled or revoked"
	}
	if kerr := l.keep(l.ctx); kerr != nil {
		l.Log.Error("runbooks: how a run ended could not be written down: it is taken for unknown", "run", l.run.ID, "state", state, "err", kerr)
	}
	clear(l.secrets)
}

// Get returns a run.
func (r *Runner) Get(ctx context.Context, id string) (*Run, error) {
	if store.CheckName(id) != nil {
		return nil, ErrNoRun
	}
	doc, err := r.Store.Get(ctx, KindRun, id)
	if errors.Is(err, store.ErrNotFound) {
		return nil, ErrNoRun
	}
	if err != nil {
		return nil, err
	}
	var run Run
	if err := json.Unmarshal(doc.Body, &run); err != nil {
		return nil, fmt.Errorf("the run %s cannot be read: its document is damaged", id)
	}
	return &run, nil
}

// List returns the latest runs that which wants, the latest first.
func (r *Runner) List(ctx context.Context, limit int, which func(*Run) bool) ([]Run, error) {
	list := []Run{}
	for doc, err := range store.All(ctx, r.Store, KindRun, "") {
		if err != nil {
			return nil, err
		}
		var run Run
		if json.Unmarshal(doc.Body, &run) == nil && which(&run) {
			list = append(list, run)
		}
	}
	slices.SortFunc(list, func(a, b Run) int { return b.Created.Compare(a.Created) })
	return list[:min(limit, len(list))], nil
}

// Cancel cancels a run of this process, also in the middle of a statement. It is asked at the
// gateway that runs it.
func (r *Runner) Cancel(ctx context.Context, id string) error {
	r.mu.Lock()
	var cancel context.CancelCauseFunc
	if l := r.live[id]; l != nil {
		cancel = l.cancel
	}
	r.mu.Unlock()
	if cancel != nil {
		cancel(errCancelled)
		return nil
	}
	run, err := r.Get(ctx, id)
	switch {
	case err != nil:
		return err
	case run.State.Over():
		return fmt.Errorf("the run is over: it is %s", run.State)
	}
	return errors.New("the run is at another gateway: end its session " + run.Session + ", which cancels it")
}
