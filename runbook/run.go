package runbook

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/sallyport/sallyport/proxy"
)

// KindRun is the kind of the documents of runs. Their names are their identifiers.
const KindRun = "runbook-run"

// State is what became of a run, or of a step of one.
type State string

// States. Of a run, all but Waiting and Running are final.
const (
	Pending   State = "pending" // a step: it has not begun
	Waiting   State = "waiting" // a run: for an approval
	Running   State = "running"
	Done      State = "done"
	Failed    State = "failed"
	Refused   State = "refused" // by the rules, or by an approver
	Cancelled State = "cancelled"
	Skipped   State = "skipped" // a step: its condition was not met
	Unknown   State = "unknown" // whether a step has run is not known: its gateway ended, or lost the resource
)

// Over reports whether nothing can become of a run any more.
func (s State) Over() bool { return s != Waiting && s != Running && s != Pending }

// Run is a run of a runbook. It holds neither the values of parameters nor texts: the record of
// its session has them, as far as they may be recorded.
type Run struct {
	ID        string              `json:"id"`
	Name      string              `json:"name"`
	State     State               `json:"state"`
	Dry       bool                `json:"dry,omitempty"`
	Requester string              `json:"requester"`
	For       string              `json:"for,omitempty"` // the human that an agent asks for
	Origin    Origin              `json:"origin"`
	Plan      string              `json:"plan"` // the digest of the plan
	Targets   map[string][]string `json:"targets"`
	Scheduled *time.Time          `json:"scheduled,omitempty"` // the time of the schedule that it is for
	Created   time.Time           `json:"created"`
	Ended     *time.Time          `json:"ended,omitempty"`
	Runner    string              `json:"runner"`             // the process that runs it
	Session   string              `json:"session,omitempty"`  // in which it was asked for, and approved
	Grants    []string            `json:"grants,omitempty"`   // the requests that were approved, each with its approver
	Standing  bool                `json:"standing,omitempty"` // it asks for a standing grant, and runs no step
	Message   string              `json:"message,omitempty"`
	Steps     []StepRun           `json:"steps"`
}

// StepRun is a step of a run.
type StepRun struct {
	ID       string     `json:"id"`
	Kind     string     `json:"kind"`
	On       string     `json:"on,omitempty"`
	State    State      `json:"state"`
	Session  string     `json:"session,omitempty"`
	Attempts int        `json:"attempts,omitempty"`
	Rows     int64      `json:"rows"`
	Affected int64      `json:"affected"`
	Status   int        `json:"status"`
	Begun    *time.Time `json:"begun,omitempty"`
	Ended    *time.Time `json:"ended,omitempty"`
	Message  string     `json:"message,omitempty"`
	Columns  []string   `json:"columns,omitempty"`
	Kept     [][]string `json:"kept,omitempty"`   // rows, as the requester may see them
	Output   string     `json:"output,omitempty"` // of a command, its end
}

// Gate is how an assembly lets the steps of a run through: as the requester, in sessions that
// meet its rules as those of her own clients do.
type Gate interface {
	// Begin opens the session of a run itself, at one of its targets. held is told of requests for
	// an approval, which the run waits for.
	Begin(ctx context.Context, who *proxy.Identity, at Resource, held func(p *proxy.Pending)) (Session, error)
	// Database opens a session at a database.
	Database(ctx context.Context, who *proxy.Identity, at Resource) (Database, error)
	// Command runs a command line. An error that wraps ErrRefused says that nothing was run.
	Command(ctx context.Context, who *proxy.Identity, at Resource, c Command) (CommandResult, error)
	// Request sends an HTTP request, once, and follows nothing that its answer says. An error that
	// wraps ErrRefused or ErrUnsent says that the application has not got it.
	Request(ctx context.Context, who *proxy.Identity, at Resource, q Request) (Response, error)
	// Standing returns the scopes of the standing grants that somebody has and that are not over.
	Standing(ctx context.Context, who *proxy.Identity) ([]Scope, error)
	// Secret follows a reference of a runbook of a source.
	Secret(ctx context.Context, source, ref string) (string, error)
	// People returns the subjects of mail addresses of authors and signers of a source. The error
	// says that one of them is not known.
	People(source string, mails ...string) ([]string, error)
}

// Session is the session of a run.
type Session interface {
	ID() string
	// Context ends with the session, such as when somebody ends it.
	Context() context.Context
	// Ask asks whether a text may go on, and waits for its approval where hold is given or the rules
	// want one. It returns the requests by which it may, and who has approved them. An error that
	// wraps ErrRefused is a refusal, in words for the user.
	Ask(ctx context.Context, text string, hold *proxy.Hold) (grants []Grant, err error)
	Close(err error)
}

// Grant is an approval.
type Grant struct{ Request, By string }

// Database is a session at a database.
type Database interface {
	ID() string
	// Execute runs one statement, of which it keeps some rows, and fails when there are more than
	// limit. An error that is not a *StatementError says that the session has ended, so that it is
	// not known what became of the statement. When ctx ends, the statement is cancelled at the
	// server.
	Execute(ctx context.Context, text string, args []Arg, limit int64, keep int) (Result, error)
	Close() error
}

// Arg is a value that is bound.
type Arg struct {
	Text    string
	Null    bool
	Integer bool
}

// Result is what came of a statement.
type Result struct {
	Columns  []string
	First    []Cell // the first row
	Kept     [][]string
	Rows     int64 // returned
	Affected int64 // changed
}

// Cell is a value of a row, or of an answer.
type Cell struct {
	Text string
	Null bool
	Cut  bool // it was longer
	Type Type // empty is Text
}

// Command is a command line with its input.
type Command struct {
	Line  string
	Input []byte
	Limit int64 // bytes of what it may print
	// Seen is called with what it prints, as that comes; nil: nobody wants to know.
	Seen func(b []byte)
}

// CommandResult is what came of a command.
type CommandResult struct {
	Session string
	Status  int
	Output  []byte
	Stderr  []byte
}

// Header is one of a request.
type Header struct{ Name, Value string }

// Request is an HTTP request to the application of a resource. Nothing of it names a host.
type Request struct {
	Method string
	Path   string // encoded, from its / on
	Query  string // encoded
	Header []Header
	Body   []byte
	Limit  int64 // bytes of what it may answer
	// Opened is called with the session of the request, once there is one.
	Opened func(session string)
}

// Response is what an application has answered.
type Response struct {
	Session string
	Status  int
	Body    []byte
	Cut     bool // it was longer
}

// ErrUnsent says that a request has not reached its application, and what it is for has not happened.
var ErrUnsent = errors.New("the request was not sent")

// ErrRefused says that the rules, or an approver, do not let something run. The error's text is
// for the user.
var ErrRefused = errors.New("refused")

// StatementError is what a server, or the gateway, says of a statement that has failed.
type StatementError struct {
	Code, Message string
}

func (e *StatementError) Error() string { return e.Message }

// live is a run on its way.
type live struct {
	*Runner
	who     *proxy.Identity
	plan    *Plan
	cancel  context.CancelCauseFunc
	session Session
	results map[string]*stepResult // by the step's name
	open    map[string]Database
	posix   map[string]bool
	secrets map[string]string
	version int64
	run     Run
	// standing is what the run asks to be approved for more runs; nil: it asks for itself.
	standing *Standing
}

// stepResult is what later steps know of one.
type stepResult struct {
	run   *StepRun
	first map[string]Cell
}

var (
	errCancelled = errors.New("the run was cancelled")
	errTimeout   = errors.New("the run has taken longer than its limit")
)

// everything does a run, from its approval to its end.
func (l *live) everything(ctx context.Context) (State, error) {
	at := l.plan.first()
	s, err := l.Gate.Begin(ctx, l.who, at, func(p *proxy.Pending) {
		if p != nil {
			l.said(p.Message)
		}
	})
	if err != nil {
		return stateOf(ctx, err), err
	}
	l.session, l.run.Session = s, s.ID()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := context.AfterFunc(s.Context(), func() { cancel(context.Cause(s.Context())) })
	defer stop()
	state, err := l.through(ctx)
	s.Close(nil)
	return state, err
}

func (l *live) through(ctx context.Context) (State, error) {
	if err := l.approved(ctx); err != nil {
		return stateOf(ctx, err), err
	}
	if l.standing != nil {
		return Done, nil
	}
	l.run.State, l.run.Message = Running, ""
	if err := l.keep(ctx); err != nil {
		return Failed, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, l.plan.Bounds.Timeout, errTimeout)
	defer cancel()
	defer func() {
		for _, d := range l.open {
			d.Close()
		}
	}()
	for i, s := range l.plan.steps {
		if err := l.step(ctx, s, &l.run.Steps[i]); err != nil {
			state := l.run.Steps[i].State
			if !state.Over() {
				state = Failed
			}
			return state, err
		}
	}
	return Done, nil
}

// first is the resource at which a run is asked for.
func (p *Plan) first() Resource {
	for _, g := range p.book.Targets {
		if list := p.Targets[g.Name]; len(list) > 0 {
			return list[0]
		}
	}
	return Resource{}
}

// approved asks whether the run may be, and waits for everybody who has to approve it.
func (l *live) approved(ctx context.Context) error {
	text := l.plan.String()
	if l.run.Dry || len(l.plan.Reviews) == 0 {
		if l.run.Dry {
			text = "dry run of " + text
		}
		return l.ask(ctx, text, nil)
	}
	under, err := l.under(ctx)
	if err != nil {
		return err
	}
	if l.standing != nil {
		text = l.standing.Text(l.plan)
	}
	var not []string
	for i, a := range l.plan.approvals() {
		if a.first {
			if not, err = l.authors(a.review); err != nil {
				return err
			}
		}
		before := len(l.run.Grants)
		hold := &proxy.Hold{
			Rules: []string{"runbook " + l.plan.Name}, Approvers: [][]string{a.review.From}, Not: slices.Clone(not), For: or(a.review.For, defaultReview),
			Message: "the runbook " + l.plan.Name + " runs when it is approved",
		}
		if under != nil {
			hold.Under = under[i]
		}
		if l.standing != nil {
			hold.Message = "runs of the runbook " + l.plan.Name + " that are within bounds need no further approval when this is approved"
			if hold.Standing, err = l.standing.hold(l.run.ID, i); err != nil {
				return err
			}
		}
		by, err := l.askAs(ctx, text+a.said, hold)
		if err != nil {
			return err
		}
		if len(by) == 0 || len(l.run.Grants) == before {
			return errors.New("the run was let through without an approval that it needs")
		}
		not = append(not, by...)
	}
	return nil
}

// approval is one that a run needs.
type approval struct {
	review Review
	first  bool   // of the review
	said   string // what tells it from the others
}

// approvals are all that a run needs, one after the other.
func (p *Plan) approvals() (list []approval) {
	for i, r := range p.Reviews {
		need := or(r.Need, 1)
		for n := range need {
			a := approval{review: r, first: n == 0}
			if need > 1 || len(p.Reviews) > 1 {
				a.said = "\napproval " + itoa(n+1) + " of " + itoa(need) + ", review " + itoa(int64(i)+1) + " of " + itoa(int64(len(p.Reviews)))
			}
			list = append(list, a)
		}
	}
	return list
}

// authors are those who do not approve what they have written, where a review says so.
func (l *live) authors(r Review) ([]string, error) {
	if !slices.Contains(r.Distinct, "author") {
		return nil, nil
	}
	mails := []string{l.plan.Origin.Author}
	if l.plan.Origin.Signer != "" {
		mails = append(mails, l.plan.Origin.Signer)
	}
	return l.Gate.People(l.plan.Origin.Source, mails...)
}

func (l *live) ask(ctx context.Context, text string, hold *proxy.Hold) error {
	_, err := l.askAs(ctx, text, hold)
	return err
}

// askAs asks, and returns who has approved it.
func (l *live) askAs(ctx context.Context, text string, hold *proxy.Hold) (by []string, err error) {
	grants, err := l.session.Ask(ctx, text, hold)
	for _, g := range grants {
		l.run.Grants = append(l.run.Grants, g.Request+" by "+g.By)
		by = append(by, g.By)
	}
	return by, err
}

// stateOf is what a run is after an error before anything ran.
func stateOf(ctx context.Context, err error) State {
	switch {
	case errors.Is(context.Cause(ctx), errCancelled):
		return Cancelled
	case errors.Is(err, ErrRefused):
		return Refused
	}
	return Failed
}
