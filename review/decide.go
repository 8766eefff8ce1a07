package review

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/proxy"
)

// Vote is a decision by somebody.
type Vote struct {
	By      *proxy.Identity // as proven now, with the groups that she has now
	Hash    string          // of the request as she saw it
	Reason  string          // needed for a denial
	Channel string          // how it came, for the record
	// Proven says that By has proven herself where she decides, by the login that she has there or for this decision. Without it
	// what is known of her logins does not count, for requests whose approvers must have proven themselves well.
	Proven bool

	onCall []string // the lists at which she is on call, where that makes her an approver
}

// Errors of a decision. Their texts are fit for who decides.
var (
	ErrUnknown    = errors.New("there is no such request")
	ErrChanged    = errors.New("the request differs from the one that you have seen: read it again")
	ErrOwn        = errors.New("you may not decide about your own request")
	ErrIneligible = errors.New("you may not decide about this request: you are not one of its approvers")
	ErrReason     = errors.New("a denial needs a reason, of at most 1000 bytes")
	ErrProof      = errors.New("you have to prove better who you are to approve this request")
)

// RefusalError is an error of a decision whose message is for who decides.
type RefusalError struct{ Message string }

func (e *RefusalError) Error() string { return e.Message }

// Tellable returns an error of a decision as it is told to who decides. What went wrong inside is for the operator: ok is false then.
func Tellable(err error) (text string, ok bool) {
	for _, known := range []error{ErrUnknown, ErrChanged, ErrOwn, ErrIneligible, ErrReason, ErrOnCall, ErrProof} {
		if errors.Is(err, known) {
			return err.Error(), true
		}
	}
	if decided := (*DecidedError)(nil); errors.As(err, &decided) {
		return decided.Error(), true
	}
	if told := (*RefusalError)(nil); errors.As(err, &told) {
		return told.Message, true
	}
	return "", false
}

// DecidedError says that a request is not pending any more.
type DecidedError struct {
	State State
	By    string // empty when nobody decided
	At    time.Time
}

func (e *DecidedError) Error() string {
	text := "this request was " + string(e.State)
	if e.State == Expired || e.State == Lapsed {
		text = "this request has " + string(e.State)
	}
	if e.By != "" {
		text += " by " + e.By
	}
	return text + " at " + e.At.UTC().Format(time.RFC3339)
}

const maxReason = 1000

// personal reports why by may not decide, whatever groups she is in.
func (r *Request) personal(by *proxy.Identity) error {
	switch {
	case by == nil || by.Subject == "" || by.Kind != proxy.Human:
		return ErrIneligible // services and agents act for somebody, and who cannot be told
	case by.Subject == r.Requester || by.Subject == r.For || slices.Contains(r.Creators, by.Subject):
		return ErrOwn
	}
	return nil
}

// PersonPrefix begins an approver who is a person, by her subject, and not a group.
const PersonPrefix = "user:"

// Among reports whether by is one of some approvers: in a group of theirs, or the person that one of them is.
func Among(approvers []string, by *proxy.Identity) bool {
	return slices.ContainsFunc(approvers, func(a string) bool {
		if subject, person := strings.CutPrefix(a, PersonPrefix); person {
			return subject != "" && subject == by.Subject
		}
		return a == "*" || by.In(a)
	})
}

// mayDecide reports why by may not decide now. Approvers of access are those of the stage that it waits for.
func (r *Request) mayDecide(by *proxy.Identity) error {
	if err := r.personal(by); err != nil {
		return err
	}
	for _, groups := range r.Approvers {
		if !Among(groups, by) {
			return ErrIneligible
		}
	}
	return nil
}

// ApproverOf reports whether by is an approver of a request; of one for access, of any of its stages.
func (r *Request) ApproverOf(by *proxy.Identity) bool {
	if r.Access == nil {
		return r.mayDecide(by) == nil
	}
	return r.personal(by) == nil && r.Access.approves(by)
}
