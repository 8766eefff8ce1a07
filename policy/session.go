package policy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/internal/hours"
	"github.com/sallyport/sallyport/proxy"
)

// judge applies rules to one session: the decision of the moment, and what the session has
// used of its budgets.
type judge struct {
	session *proxy.Session
	sides          // the rules about the session
	grants  Grants // nil: none of the rules is asked for
	current atomic.Pointer[decision]
	*usage
	masking []string  // the profiles that the session was given with these rules
	budgets *Budgets  // that purses are of
	purses  []account // of the rules' budgets per person

	bounding sync.Mutex        // of what follows
	bounded  map[string]*purse // of what was granted with a bound of rows, by request
	left     bool              // the session is over

	watching sync.Mutex // of what follows
	timer    *time.Timer
	stop     func()    // ends the watch over grants; nil when nobody watches
	granted  string    // the request by which the session is connected; empty: none
	until    time.Time // until which that has granted it
	why      string    // what was told of that request when it changed last
	closed   bool
}

// usage is what a session has done. All revisions' judges of a session share it.
type usage struct {
	statements, rows atomic.Uint64
	last             atomic.Int64 // when something happened, in Unix nanoseconds
	judge            atomic.Pointer[judge]
	joined           atomic.Bool // the rules have let it connect
	// before says that operations may run which began before anybody took notes.
	before bool

	mu      sync.Mutex
	running map[*proxy.Meta]running

	recording Recording // with which the session began
	told      told
}

// running is an operation between Start and Done.
type running struct {
	kind    proxy.Kind
	methods uint8    // what a request needs that goes on until its user ends it; 0: not such a request
	rows    *counted // nil until somebody counts them
	// What was granted when it began, and the operation, which may need it; none: nothing was.
	granted []string
	op      proxy.Op
}

// counted are an operation's rows on their way to the client.
type counted struct {
	passed atomic.Uint64
	cut    atomic.Bool // further ones were refused
}

// waits are the kinds of operations that can be open while nothing happens.
var waits = kinds(proxy.KindShell, proxy.KindSubsystem, proxy.KindAgent, proxy.KindX11)

func newJudge(s *proxy.Session, rules sides, grants Grants) *judge {
	j := &judge{session: s, sides: rules}
	if slices.ContainsFunc(rules.all(), func(c *compiled) bool { return c.Request != nil }) {
		j.grants = grants
	}
	j.current.Store(rules.decide(j.grants, s, s.Now(), RecordingFull, false))
	return j
}

// hooks are those that the rules need: a session without limits has Ask alone.
func (j *judge) hooks(name string, budgets *Budgets) (proxy.Hooks, error) {
	h := proxy.Hooks{Ask: j.ask}
	limits, changes, rows, carried := false, false, false, false
	for _, c := range j.all() {
		limits = limits || c.Obligations.limits()
		carried = carried || c.Obligations.carried()
		rows = rows || c.Obligations.countsRows() || c.Request != nil // which may be granted with a bound of rows
		changes = changes || c.changes()
	}
	if !limits && !changes && !carried || j.session.Dry {
		return h, nil
	}
	if err := j.join(name, budgets); err != nil {
		return proxy.Hooks{}, err
	}
	j.usage, _ = j.session.Earlier(name).(*usage)
	if j.usage == nil {
		j.usage = &usage{before: j.session.TakenOver(), running: make(map[*proxy.Meta]running)}
		j.last.Store(time.Now().UnixNano())
		if !j.session.TakenOver() {
			j.recording = j.current.Load().duties.Recording
		}
		j.joined.Store(j.session.TakenOver())
	}
	h.State = j.usage
	// Not all that was granted is for a session that is recorded less, or that is open already.
	if j.joined.Load() || len(j.current.Load().granted) > 0 && j.recording < RecordingFull {
		d := j.sides.decide(j.grants, j.session, j.session.Now(), j.recording, j.joined.Load())
		j.open(d)
		j.current.Store(d)
	} else if d := j.current.Load(); len(d.bounds) > 0 {
		j.openBounds(d)
	}
	d := j.current.Load()
	j.masking = d.duties.Masking
	d.unmet = j.unmet(d)
	if !limits && !changes {
		return h, nil
	}
	j.judge.Store(j)
	h.Start, h.Flow, h.Done, h.Close = j.start, j.flow, j.done, j.close
	h.Show = proxy.HidesNothing // it counts
	if !rows && !slices.ContainsFunc(j.own, func(c *compiled) bool { return c.Obligations.Idle > 0 }) {
		h.Flow = nil
	}
	j.timer = time.AfterFunc(1<<62, j.wake)
	if j.grants != nil {
		j.by(j.current.Load())
		j.stop = watch(j.grants, j.session.Identity, j.regranted)
	}
	j.wake()
	return h, nil
}

// decision is the one of the moment.
func (j *judge) decision() *decision {
	d := j.current.Load()
	same := j.grants == nil || j.grants.Version() == d.version
	if d.until.IsZero() && same {
		return d
	}
	now := j.session.Now()
	if same && now.Before(d.until) {
		return d
	}
	return j.decide(now)
}

// decide makes the decision of the moment anew.
func (j *judge) decide(now time.Time) *decision {
	d := j.sides.decide(j.grants, j.session, now, j.recorded(), j.usage != nil && j.joined.Load())
	j.open(d)
	if j.usage != nil {
		d.unmet = j.unmet(d)
	}
	j.current.Store(d)
	return d
}

// recorded is the level at which the session has been recorded from its beginning. One that only asks could have any.
func (j *judge) recorded() Recording {
	if j.usage == nil {
		return RecordingFull
	}
	return j.recording
}

func (j *judge) ask(ctx context.Context, op proxy.Op) proxy.Verdict {
	d := j.decision()
	v := d.ask(op)
	if v.Refuses() {
		return v
	}
	if d.unmet != nil {
		return *d.unmet
	}
	if j.usage != nil && op.Info().Kind == proxy.KindConnect && v.Action == proxy.ActionAllow {
		for range j.own { // each of which may have a grant that is spent
			err := j.enter(ctx, d)
			if err == nil {
				j.joined.Store(true)
				break
			}
			if !errors.Is(err, ErrSpent) {
				return proxy.Deny(proxy.CauseInternal, d.connect, "it could not be recorded or kept that this session is opened by what was granted", "Connect again.")
			}
			d = j.decide(j.session.Now()) // others were faster
			if v = d.ask(op); v.Action != proxy.ActionAllow {
				return v
			}
		}
		if !j.joined.Load() {
			return proxy.Deny(proxy.CauseApproval, d.connect, "what was granted is used up by others at this moment", "Connect again.")
		}
	}
	if j.grants != nil && op.Info().Kind == proxy.KindConnect {
		j.connected(d)
	}
	if j.usage != nil {
		j.last.Store(time.Now().UnixNano())
		if n := cost(op); n > 0 {
			if limit := d.duties.Statements; limit > 0 && j.statements.Load()+n > limit {
				return d.overdrawn("statements", limit, func(o *Obligations) bool { return o.Statements == limit })
			}
			if limit := d.duties.Rows; limit > 0 && j.rows.Load() >= limit {
				return d.overdrawn("rows", limit, func(o *Obligations) bool { return o.Rows == limit })
			}
			if v := d.affords(ctx, int64(n)); v.Refuses() {
				return v
			}
		}
	}
	if len(d.reviews) > 0 {
		if held := d.held(op); held.Action == proxy.ActionHold {
			v = held
		}
	}
	if j.usage != nil && cost(op) > 0 {
		v.Warn = j.lastWords(d)
	}
	return v
}

// enter has the session opened by what is granted for a number of sessions.
func (j *judge) enter(ctx context.Context, d *decision) error {
	for _, request := range d.opens {
		if err := j.grants.Open(ctx, request, j.session); err != nil {
			return err
		}
	}
	return nil
}

// cost is what an operation takes of a budget of statements.
func cost(op proxy.Op) uint64 {
	switch op.Info().Kind {
	case proxy.KindStatement:
		st, ok := op.(*proxy.Statement)
		if ok && effects(st.Facts)&^(proxy.EffectTransaction|proxy.EffectSet|proxy.EffectPrepare) == 0 {
			return 0
		}
		if ok && st.Facts.Statements > 1 {
			return uint64(st.Facts.Statements)
		}
		return 1
	case proxy.KindFunction, proxy.KindReplication, proxy.KindExec, proxy.KindRequest, proxy.KindUpgrade, proxy.KindTool:
		return 1
	}
	return 0
}

// overdrawn refuses what goes beyond a budget.
func (d *decision) overdrawn(what string, limit uint64, sets func(*Obligations) bool) proxy.Verdict {
	return proxy.Deny(
		proxy.CausePolicy, d.setBy(sets), fmt.Sprintf("this session has used its budget of %d %s at %s", limit, what, d.target),
		"The budget is that of one session.",
	)
}

// setBy names the first rule that sets a limit.
func (d *decision) setBy(sets func(*Obligations) bool) string {
	for _, c := range d.rules {
		if sets(&c.Obligations) {
			return c.Name
		}
	}
	return ""
}

// start counts an operation against the budget. Operations that were asked at the same time
// may have been promised the same rest of it: the last ones are refused.
func (j *judge) start(ctx context.Context, op proxy.Op) error {
	if n := cost(op); n > 0 {
		d := j.decision()
		used := j.statements.Add(n)
		if limit := d.duties.Statements; limit > 0 && used > limit {
			j.statements.Add(-n)
			return &proxy.RefusedError{Verdict: d.overdrawn("statements", limit, func(o *Obligations) bool { return o.Statements == limit })}
		}
		if err := d.pay(ctx, int64(n)); err != nil {
			j.statements.Add(-n)
			return err
		}
	}
	m := op.Info()
	if cost(op) > 0 {
		j.heard()
	}
	r := running{kind: m.Kind}
	if q, ok := op.(*proxy.Request); ok && q.Lasting {
		r.methods = methods(q)
	}
	if j.grants != nil {
		if r.granted = j.decision().granted; len(r.granted) > 0 {
			r.op = op
		}
	}
	j.mu.Lock()
	j.running[m] = r
	j.mu.Unlock()
	return nil
}

func (j *judge) done(_ context.Context, op proxy.Op, out *proxy.Outcome) {
	j.last.Store(time.Now().UnixNano())
	m := op.Info()
	j.mu.Lock()
	r, ran := j.running[m]
	delete(j.running, m)
	j.mu.Unlock()
	if !ran {
		return
	}
	seen, cut := uint64(0), false
	if r.rows != nil {
		seen, cut = r.rows.passed.Load(), r.rows.cut.Load()
	}
	if out.Rows > seen {
		j.rows.Add(out.Rows - seen) // changed ones, and those that nobody had counted
		if !cut {                   // otherwise they are those that nobody was shown
			j.decision().chargeRows(int64(out.Rows - seen))
		}
	}
}

// flow counts rows on their way to the client, and notices what is typed.
func (j *judge) flow(_ context.Context, op proxy.Op, shape *proxy.Shape) (proxy.Filter, error) {
	switch shape.Kind {
	case proxy.ShapeRows, proxy.ShapeCopy:
		return j.countRows(op, shape), nil
	case proxy.ShapeStream:
		if d := j.decision(); shape.Inbound && d.duties.Idle > 0 && waits&kinds(op.Info().Kind) != 0 {
			return proxy.Filter{Bytes: func(dst, src []byte) ([]byte, error) {
				j.last.Store(time.Now().UnixNano())
				return append(dst, src...), nil
			}}, nil
		}
	}
	return proxy.Filter{}, nil
}

func (j *judge) countRows(op proxy.Op, shape *proxy.Shape) proxy.Filter {
	d := j.decision()
	limit := d.duties.Rows
	if limit == 0 && !d.countsRows() || shape.Inbound {
		return proxy.Filter{}
	}
	m := op.Info()
	j.mu.Lock()
	r, ran := j.running[m]
	if ran && r.rows == nil {
		r.rows = &counted{}
		j.running[m] = r
	}
	j.mu.Unlock()
	if !ran {
		return proxy.Filter{}
	}
	ctx := j.session.Context()
	return proxy.Filter{Row: func(*proxy.Row) error {
		if err := d.payRow(ctx); err != nil {
			r.rows.cut.Store(true)
			return err
		}
		if j.rows.Add(1) > limit && limit > 0 {
			r.rows.cut.Store(true)
			v := d.overdrawn("rows", limit, func(o *Obligations) bool { return o.Rows == limit })
			return &proxy.RefusedError{Verdict: v}
		}
		r.rows.passed.Add(1)
		return nil
	}}
}

// wake looks at what time has brought, ends the session where it must, and sets the timer
// for the next time at which there is something to see.
func (j *judge) wake() {
	s := j.session
	j.watching.Lock()
	defer j.watching.Unlock()
	if j.closed || j.judge.Load() != j || s.Err() != nil {
		return
	}
	if cause := j.over(); cause != nil {
		s.Kill(cause)
		return
	}
	d, next := j.decision(), time.Duration(1<<62)
	now := time.Now()
	if !d.until.IsZero() {
		next = d.until.Sub(s.Now())
	}
	next = min(next, j.remind(d, now))
	if end, _ := j.end(d); !end.IsZero() {
		next = min(next, end.Sub(now))
	}
	if idle := d.duties.Idle; idle > 0 {
		if !j.busy() {
			idle -= now.Sub(j.lastSeen())
		}
		next = min(next, idle)
	}
	j.timer.Reset(max(next, time.Millisecond))
}

func (j *judge) lastSeen() time.Time { return time.Unix(0, j.last.Load()) }

// over says why the session must end now.
func (j *judge) over() error {
	d, now := j.decision(), time.Now()
	if err := j.ungranted(d); err != nil {
		return err
	}
	if limit := d.duties.Session; limit > 0 && now.Sub(j.session.Started) >= limit {
		return fmt.Errorf("%w: rule %s allows %s", proxy.ErrDeadline, d.setBy(func(o *Obligations) bool { return o.Session == limit }), hours.Length(limit))
	}
	if limit := d.duties.Idle; limit > 0 && now.Sub(j.lastSeen()) >= limit && !j.busy() {
		return fmt.Errorf("%w: rule %s allows %s", proxy.ErrIdle, d.setBy(func(o *Obligations) bool { return o.Idle == limit }), hours.Length(limit))
	}
	if d.unmet != nil {
		return &proxy.RefusedError{Verdict: *d.unmet}
	}
	if v := j.outlasted(d); v.Refuses() {
		return &proxy.RefusedError{Verdict: v}
	}
	return nil
}

// busy reports whether something happens in the session.
func (j *judge) busy() bool {
	if _, held := j.session.Operations(); held > 0 {
		return true
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, r := range j.running {
		if waits&kinds(r.kind) == 0 {
			return true
		}
	}
	return false
}

// outlasted refuses an operation that goes on until its user ends it, when it is not
// allowed any more.
func (j *judge) outlasted(d *decision) proxy.Verdict {
	refused := d.deny.kinds | ^d.allow.kinds
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, r := range j.running {
		if r.kind.Lasting() && refused&kinds(r.kind) != 0 {
			return d.refuse(kindWords(r.kind)+" any longer", "", grant{kinds: kinds(r.kind)})
		}
		if r.methods&(d.deny.methods|^d.allow.methods) != 0 {
			return d.refuse(kindWords(r.kind)+" any longer", "", grant{methods: r.methods})
		}
		if v := r.ungranted(d); v.Refuses() {
			return v
		}
	}
	if connect := kinds(proxy.KindConnect); j.before && refused&connect != 0 {
		return d.refuse("stay connected", "", grant{kinds: connect})
	}
	return proxy.Pass()
}

func (j *judge) close(error) {
	j.watching.Lock()
	defer j.watching.Unlock()
	if !j.closed {
		j.leave()
	}
	j.closed = true
	j.timer.Stop()
	if j.stop != nil {
		j.stop()
	}
}
