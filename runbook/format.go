package runbook

import (
	"regexp"
	"time"
)

// APIVersion is the version of the format.
const APIVersion = "sallyport/v1"

// Limits of a file. They are checked before anything is made of it.
const (
	MaxFile   = 256 << 10 // bytes
	MaxDepth  = 16        // of its nesting
	MaxNodes  = 20_000    // keys, values and list entries
	MaxSteps  = 100
	MaxParams = 100
	MaxGroups = 10 // of targets
	MaxNested = 4  // runbooks within each other
)

// Runbook is a file that was read without a problem.
type Runbook struct {
	Metadata Metadata
	Targets  []*Group
	Params   []*Param
	Review   *Review // nil: nobody is asked
	Limits   Limits
	Steps    []*Step
	Outputs  Outputs
	Schedule *Schedule // nil: it has none

	Digest string // SHA-256 of the file, in hexadecimals
}

// Metadata says what a runbook is.
type Metadata struct {
	Name   string            `yaml:"name"`
	Title  string            `yaml:"title"`
	Help   string            `yaml:"help"`
	Owner  string            `yaml:"owner"`
	Risk   string            `yaml:"risk"` // low, medium, high
	Labels map[string]string `yaml:"labels"`
	Line   int               `yaml:"-"`
}

// Group are the resources that steps run on, by their types and labels.
type Group struct {
	Name  string            `yaml:"-"`
	Types []string          `yaml:"types"`
	Match map[string]string `yaml:"match"`
	Max   int64             `yaml:"max"` // how many may be chosen; 0 is 1
	Line  int               `yaml:"-"`
}

// Review says whose approval a run needs.
type Review struct {
	Need     int64         `yaml:"need" json:"need"` // people; 0 is 1
	From     []string      `yaml:"from" json:"from"` // groups
	For      time.Duration `yaml:"for" json:"for"`   // how long a run waits for each; 0 is an hour
	Distinct []string      `yaml:"distinct" json:"distinct,omitempty"`
	Standing *MayStand     `yaml:"standing" json:"standing,omitempty"` // nil: each run is approved by itself
	Line     int           `yaml:"-" json:"-"`
}

// MayStand says how much an approval may cover at most that is for more than one run.
type MayStand struct {
	Runs int64         `yaml:"runs" json:"runs"`
	For  time.Duration `yaml:"for" json:"for"`
	Line int           `yaml:"-" json:"-"`
}

// Limits bound a run.
type Limits struct {
	Timeout  time.Duration `yaml:"timeout"`       // of the whole run; 0 is an hour
	Rows     int64         `yaml:"rows"`          // that one step reads; 0 is 10,000
	Affected *int64        `yaml:"affected_rows"` // that one step changes; nil: any number
	Output   int64         `yaml:"output"`        // bytes that one command may print; 0 is 1 MiB
	ReadOnly bool          `yaml:"readonly"`      // transactions of the run change nothing
}

// Outputs says what is kept with a run of what its steps return. Everything is in the record
// of its sessions besides, as far as that is recorded.
type Outputs struct {
	Steps []string      `yaml:"steps"`
	Rows  int64         `yaml:"rows"` // of each step; 0 is 20
	Keep  time.Duration `yaml:"keep"` // for which the run is kept; 0 is 90 days
	Line  int           `yaml:"-"`
}

// Step is one thing that a run does. Exactly one of SQL, Exec, HTTP, Runbook, Approve and
// Wait is set.
type Step struct {
	ID         string        `yaml:"id"`
	On         string        `yaml:"on"`   // a group of targets; empty: the only one that can be meant
	When       string        `yaml:"when"` // a condition; empty: always
	Timeout    time.Duration `yaml:"timeout"`
	Idempotent bool          `yaml:"idempotent"`
	Retry      *Retry        `yaml:"retry"`
	SQL        *SQL          `yaml:"sql"`
	Exec       *Exec         `yaml:"exec"`
	HTTP       *HTTP         `yaml:"http"`
	Runbook    *Nested       `yaml:"runbook"`
	Approve    *Approve      `yaml:"approve"`
	Wait       *Wait         `yaml:"wait"`
	Line       int           `yaml:"-"`

	when *condition
}

// Retry says how often a step is tried that has failed. Only an idempotent step is.
type Retry struct {
	Max     int64         `yaml:"max"`
	Backoff time.Duration `yaml:"backoff"` // before the first; doubled then, to five minutes at most
	Line    int           `yaml:"-"`
}

// SQL is one statement.
type SQL struct {
	Text     string `yaml:"text"`
	Rows     *int64 `yaml:"rows"`          // that it has to return; nil: any number
	Affected *int64 `yaml:"affected_rows"` // that it may change; nil: the limit of the runbook
	DryRun   string `yaml:"dry_run"`       // explain, rollback, plan
	Line     int    `yaml:"-"`
	compiled *sqlTemplate
}

// Exec is one command on a machine.
type Exec struct {
	Argv   []string  `yaml:"argv"`
	Script string    `yaml:"script"` // a file of the source, which is run unchanged by sh
	Env    []*Env    `yaml:"env"`
	Stdin  string    `yaml:"stdin"`  // a value
	JSON   []*Member `yaml:"json"`   // an object of values for its input
	Status []int64   `yaml:"status"` // that mean success; empty is 0
	Line   int       `yaml:"-"`

	script string // the file's content
	digest string
}

// Env is a variable of a command.
type Env struct {
	Name  string `yaml:"-"`
	Value string `yaml:"value,self"`
	Line  int    `yaml:"-"`
}

// Member is a member of a JSON object.
type Member struct {
	Name  string `yaml:"-"`
	Value string `yaml:"value,self"`
	Line  int    `yaml:"-"`
}

// HTTP is one request to a web application.
type HTTP struct {
	Method  string    `yaml:"method"`
	Path    string    `yaml:"path"` // each segment is a text or a value
	Query   []*Member `yaml:"query"`
	Headers []*Member `yaml:"headers"`
	JSON    []*Member `yaml:"json"`            // an object of values for its body
	Form    []*Member `yaml:"form"`            // or the fields of a form
	Status  []Literal `yaml:"status"`          // that mean success, such as 200 or 2xx; empty is 2xx
	Fields  []*Member `yaml:"fields"`          // values for later steps: JSON pointers into the answer
	Key     string    `yaml:"idempotency_key"` // a header, by which the application tells a repetition
	DryRun  string    `yaml:"dry_run"`         // plan, send
	Line    int       `yaml:"-"`

	segments []word
}

// Nested has the steps of another runbook of the same commit run in the place of the step.
type Nested struct {
	Name    string            `yaml:"name"`
	Params  []*Member         `yaml:"params"`
	Targets map[string]string `yaml:"targets"` // its groups, by those of this file
	Line    int               `yaml:"-"`

	book *Runbook
}

// Approve waits until a person has looked at values.
type Approve struct {
	Message string        `yaml:"message"`
	Show    []string      `yaml:"show"` // values
	From    []string      `yaml:"from"` // groups; empty: those of the runbook's review
	For     time.Duration `yaml:"for"`
	Line    int           `yaml:"-"`
}

// Wait waits for a time.
type Wait struct {
	For  time.Duration `yaml:"for"`
	Line int           `yaml:"-"`
}

// Schedule says when a runbook runs by itself.
type Schedule struct {
	Cron    string              `yaml:"cron"`
	Zone    string              `yaml:"zone"`     // of the IANA database; empty is UTC
	As      string              `yaml:"as"`       // the subject of a service
	CatchUp string              `yaml:"catch_up"` // skip, one, all: what was missed; empty is skip
	Params  map[string]string   `yaml:"params"`
	Targets map[string][]string `yaml:"targets"`
	Line    int                 `yaml:"-"`

	cron *Cron
}

// Defaults of what a file leaves out, and the largest that it may say.
const (
	defaultTimeout = time.Hour
	maxTimeout     = 24 * time.Hour
	defaultRows    = 10_000
	maxRows        = 1_000_000
	defaultOutput  = 1 << 20
	maxOutput      = 16 << 20
	defaultReview  = time.Hour
	maxReview      = 7 * 24 * time.Hour
	defaultKeep    = 90 * 24 * time.Hour
	maxKeep        = 3 * 365 * 24 * time.Hour
	defaultKept    = 20
	maxKept        = 100
	maxTargets     = 50
)

var (
	bookName  = regexp.MustCompile(`\A[a-z][a-z0-9-]{0,62}\z`)
	wordName  = regexp.MustCompile(`\A[a-z][a-z0-9_]{0,62}\z`)
	typeName  = regexp.MustCompile(`\A[a-z][a-z0-9-]{0,31}\z`)
	envName   = regexp.MustCompile(`\A[A-Z_][A-Z0-9_]{0,62}\z`)
	labelName = regexp.MustCompile(`\A[a-z][a-z0-9_.-]{0,62}\z`)
)

// Step kinds, as plans and records have them.
const (
	StepSQL     = "sql"
	StepExec    = "exec"
	StepHTTP    = "http"
	StepRunbook = "runbook"
	StepApprove = "approve"
	StepWait    = "wait"
)

// Kind is what a step does.
func (s *Step) Kind() string {
	switch {
	case s.SQL != nil:
		return StepSQL
	case s.Exec != nil:
		return StepExec
	case s.HTTP != nil:
		return StepHTTP
	case s.Runbook != nil:
		return StepRunbook
	case s.Approve != nil:
		return StepApprove
	case s.Wait != nil:
		return StepWait
	}
	return ""
}

func or[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}
