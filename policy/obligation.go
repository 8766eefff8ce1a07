package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/hours"
	"github.com/sallyport/sallyport/proxy"
)

// Obligations are what a rule asks for where it applies. Of several rules that apply, the
// strictest counts for each. The zero value asks for nothing.
//
// Session, Idle, Statements, Rows and Review are carried out by the policy itself. Masking
// and Recording are for the assembly, which reads them with [Policy.Decide] when a session
// begins; see [Carries]. A session of which a rule asks for more of them than it began with
// ends, since what was recorded and shown before cannot be changed; more masking is given to
// it with the revision that asks for it.
type Obligations struct {
	// Masking names profiles of masking that apply in addition to what is masked
	// otherwise. Those of all rules apply.
	Masking []string
	// Recording is the least that is kept of what the resource answers.
	Recording Recording
	// Session and Idle bound how long a session lasts, and how long nothing may happen in
	// it. 0 means that there is no bound.
	Session, Idle time.Duration
	// Statements and Rows are how much one session may do: how many statements, calls,
	// commands and requests begin, and how many rows are returned or changed. What only
	// begins or ends transactions or changes settings does not count. 0 means that there is no bound.
	Statements, Rows uint64
	// Budgets are how much one person may do in a time. Those of all rules apply, each by
	// itself.
	Budgets []Budget
	// Review has people approve each operation that the rule allows. Nil asks for none.
	Review *Review
}

// Review says who approves.
type Review struct {
	Approvers []string      // groups; a member of one of them decides. "*" is everybody
	For       time.Duration // how long a request may wait; 0 is an hour
	// InTransaction is how long the client waits while a transaction of its session is open, whose locks others wait for; 0 is a minute.
	InTransaction time.Duration
	Message       string        // says why; may be empty
	Reveal        bool          // approvers may read values that are masked for them, on record
	Undo          time.Duration // for how long what undoes an operation is kept; 0: it is not
	Try           bool          // an operation may be run and taken back, to see what it does
}

const defaultWait = time.Hour

// Recording is how much is kept of what a resource answers, from the least to the most.
type Recording uint8

// Levels of recording.
const (
	RecordingDefault Recording = iota // what the gateway records anyway
	RecordingDigest
	RecordingSample
	RecordingFull
)

var recordingNames = [...]string{"default", "digest", "sample", "full"}

// String returns the level's stable lower-case name.
func (r Recording) String() string {
	if int(r) < len(recordingNames) {
		return recordingNames[r]
	}
	return recordingNames[RecordingFull]
}

// RecordingNames returns the names of all levels.
func RecordingNames() []string { return recordingNames[:] }

// ParseRecording returns the level of that name.
func ParseRecording(name string) (Recording, error) {
	if i := slices.Index(recordingNames[:], name); i >= 0 {
		return Recording(i), nil
	}
	return 0, fmt.Errorf("unknown level of recording %q: want default, digest, sample or full", name)
}

// Carries names what an assembly carries out for the policy. A rule that asks for something
// which nobody carries out is refused by [New], so that it is not without effect unnoticed.
type Carries uint8

// What an assembly can carry out, the first two by asking [Policy.Decide].
const (
	CarriesMasking Carries = 1 << iota
	CarriesRecording
	CarriesRequests // of rules with a Request; see [Policy.With]
	// CarriesBudgets is for policies that have [Policy.WithBudgets].
	CarriesBudgets
)

// given reports whether anything is asked for.
func (o *Obligations) given() bool {
	return o.carried() || o.limits() || o.Review != nil
}

// carried reports whether the assembly must do something.
func (o *Obligations) carried() bool { return len(o.Masking) > 0 || o.Recording != 0 }

// limits reports whether a session must be watched.
func (o *Obligations) limits() bool {
	return o.timed() || o.Statements > 0 || o.Rows > 0 || len(o.Budgets) > 0
}

// countsRows reports whether rows are counted.
func (o *Obligations) countsRows() bool {
	return o.Rows > 0 || slices.ContainsFunc(o.Budgets, func(b Budget) bool { return b.Rows > 0 })
}

func (o *Obligations) timed() bool { return o.Session > 0 || o.Idle > 0 }

func (o *Obligations) validate(c Carries) error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if len(o.Masking) > 0 && c&CarriesMasking == 0 {
		bad("it asks for the masking profile %q, and this gateway does not apply profiles", o.Masking[0])
	}
	if slices.Contains(o.Masking, "") {
		bad("a masking profile has no name")
	}
	if o.Recording != 0 && c&CarriesRecording == 0 {
		bad("it asks for the recording %q, and this gateway does not record by access rules", o.Recording)
	}
	if int(o.Recording) >= len(recordingNames) {
		bad("recording level %d is unknown", o.Recording)
	}
	if o.Session < 0 || o.Idle < 0 {
		bad("the time of a session cannot be negative: got %s and %s", o.Session, o.Idle)
	}
	for _, b := range o.Budgets {
		if c&CarriesBudgets == 0 {
			bad("it has a budget per person, which this gateway does not keep")
		}
		if err := b.validate(); err != nil {
			bad("%w", err)
		}
	}
	if r := o.Review; r != nil {
		if len(r.Approvers) == 0 {
			bad("its review has no approvers: without them nobody can decide")
		}
		if r.For < 0 {
			bad("a request cannot wait for %s: want a time of more than 0", r.For)
		}
		if r.InTransaction < 0 {
			bad("a client cannot wait for %s in a transaction: want a time of more than 0", r.InTransaction)
		}
	}
	return errors.Join(errs...)
}

// And returns what is asked for when both o and p are: the strictest of each. Review is that
// of o, since it is about single operations.
func (o Obligations) And(p Obligations) Obligations {
	o.Masking = slices.Clone(o.Masking)
	slices.Sort(o.Masking)
	o.add(&p)
	return o
}

// String writes what is asked of a session as "session 8h, 500 statements, recording full"; the
// empty string is nothing.
func (o Obligations) String() string {
	var list []string
	for _, t := range []struct {
		name string
		time.Duration
	}{{"session", o.Session}, {"idle", o.Idle}} {
		if t.Duration > 0 {
			list = append(list, t.name+" "+hours.Length(t.Duration))
		}
	}
	for _, n := range []struct {
		name  string
		limit uint64
	}{{"statements", o.Statements}, {"rows", o.Rows}} {
		if n.limit > 0 {
			list = append(list, fmt.Sprintf("%d %s", n.limit, n.name))
		}
	}
	for _, b := range o.Budgets {
		list = append(list, b.String())
	}
	for _, profile := range o.Masking {
		list = append(list, "masking "+profile)
	}
	if o.Recording != RecordingDefault {
		list = append(list, "recording "+o.Recording.String())
	}
	return strings.Join(list, ", ")
}

// add makes o the strictest of o and p.
func (o *Obligations) add(p *Obligations) {
	for _, m := range p.Masking {
		if at, found := slices.BinarySearch(o.Masking, m); !found {
			o.Masking = slices.Insert(o.Masking, at, m)
		}
	}
	o.Recording = max(o.Recording, p.Recording)
	o.Session, o.Idle = least(o.Session, p.Session), least(o.Idle, p.Idle)
	o.Statements, o.Rows = least(o.Statements, p.Statements), least(o.Rows, p.Rows)
	for _, b := range p.Budgets {
		if !slices.Contains(o.Budgets, b) {
			o.Budgets = append(slices.Clip(o.Budgets), b)
		}
	}
}

// least is the smaller bound. 0 means no bound.
func least[T uint64 | time.Duration](a, b T) T {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// review is what the rule's review asks for about an operation that it allows.
func (c *compiled) review() *proxy.Hold {
	r := c.Obligations.Review
	h := &proxy.Hold{Rules: []string{c.Name}, Approvers: [][]string{r.Approvers}, Message: r.Message, For: r.For, InTransaction: r.InTransaction, Reveal: r.Reveal, Undo: r.Undo, Try: r.Try}
	if h.Message == "" {
		h.Message = "this needs an approval"
	}
	if h.For == 0 {
		h.For = defaultWait
	}
	return h
}
