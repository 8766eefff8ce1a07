// Package report answers an auditor's questions for a period from the records: who
// had access and why, who logged in and who failed to, what was approved, what was
// refused, what was done, who saw what is masked for others, what was done to the gateway,
// what was erased, and whether the records are as they were sealed.
//
// [Read] gathers the entries. [Report.Sections] orders them by question, summaries first.
// [Report.WriteCSV] writes all entries for a spreadsheet, [Section.WriteCSV] one section,
// and [Report.WriteHTML] a page to print.
package report

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/audit"
)

// Kind says which question an [Entry] answers.
type Kind string

// Kinds of entries, in the order in which a report shows them.
const (
	Access         Kind = "access"            // a session: who was at what, by which rules or grants, until when and how it ended
	Login          Kind = "login"             // somebody proved who he is; all of one user, address and method are one entry
	LoginFailed    Kind = "login failed"      // somebody did not; all with the same error are one entry
	Failed         Kind = "connection failed" // a connection ended before its session, that of a failed login among them; likewise
	Approval       Kind = "approval"          // what became of a held operation, and who decided
	Denied         Kind = "denied"            // an operation or session that was refused
	Rights         Kind = "rights"            // a statement that gives or takes rights
	Definition     Kind = "definition"        // a statement that creates, alters or drops
	Write          Kind = "write"             // a statement that writes, or may: what it calls is not known
	CopiedOut      Kind = "copied out"        // COPY to the client
	File           Kind = "file"              // a file was read, written, moved or removed
	Command        Kind = "command"           // a command, shell, forward, request or tool call
	Masked         Kind = "masked"            // how many values of a type were masked in a session
	Unmasked       Kind = "unmasked"          // a rule's exception let somebody see what it masks for others
	Configuration  Kind = "configuration"     // by which configuration and rules sessions are judged from here on; starts and stops
	Administration Kind = "administration"    // what somebody did to the gateway or its records
	Erased         Kind = "erased"            // a session whose content was erased; when it was is not known
	Unreadable     Kind = "unreadable"        // a record that cannot be read whole, or is missing; the entries before are of what could be read
)

// Period is the time from From on and before To.
type Period struct{ From, To time.Time }

// Days returns the period from the beginning of one day to the end of another, in
// UTC. A day is written as 2026-01-31. An empty last is the day of now, and an
// empty first the one 30 days before that of now. A text that is not a day, and a period
// that ends before it begins, are errors. Their texts can be shown to the user.
func Days(first, last string, now time.Time) (Period, error) {
	today := now.UTC().Truncate(24 * time.Hour)
	from, err := day("first", first, today.AddDate(0, 0, -30))
	if err != nil {
		return Period{}, err
	}
	to, err := day("last", last, today)
	if err != nil {
		return Period{}, err
	}
	p := Period{from, to.AddDate(0, 0, 1)}
	if !p.From.Before(p.To) {
		return Period{}, fmt.Errorf("the period ends on %s, before it begins on %s", to.Format(time.DateOnly), from.Format(time.DateOnly))
	}
	return p, nil
}

func day(which, s string, empty time.Time) (time.Time, error) {
	if s == "" {
		return empty, nil
	}
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		return t, fmt.Errorf("the %s day of the period is %q, which is not a day: write it as 2026-01-31", which, s)
	}
	return t, nil
}

// contains reports whether an event falls into the period.
func (p Period) contains(e *audit.Event) bool {
	at := e.When()
	return !at.IsZero() && !at.Before(p.From) && at.Before(p.To)
}

// Entry is one line of a report. Fields that do not apply are empty. Texts are as
// they were recorded, long ones shortened; only writing makes them safe.
type Entry struct {
	Kind     Kind
	Time     string // RFC 3339, UTC; of several the first
	Until    string // when the session ended, or the last of several was
	User     string
	Groups   []string
	Method   string // by which the user proved who he is
	Address  string // from where, without the port
	Resource string
	Account  string
	Database string
	Session  string
	Rules    []string // why: the rules or grants by which it was
	By       string   // who decided, or did it
	What     string
	Ended    string // how the session or operation ended
	// Count is how many operations of a session were asked and ran, connecting apart; rows of a
	// statement; logins; masked values.
	Count uint64
}

// Report is what happened in a period. It can be changed before it is written, for
// example to leave entries out.
type Report struct {
	Period  Period
	Entries []Entry // oldest first; those of erased and unreadable sessions, which have no time, before all
	// Proof is what verifying the whole log found, by the public key Key that lies in it. Nil
	// says that it was not verified.
	Proof *audit.Report
	Key   string
	// Program names the program that makes the report, with its version. It may be empty.
	Program string
}

// Incomplete is how many records could not be read whole, or are missing.
func (r *Report) Incomplete() (n int) {
	for i := range r.Entries {
		if r.Entries[i].Kind == Unreadable {
			n++
		}
	}
	return n
}

// Read gathers the report of a period from a log's records, and verifies the log. A session counts by its
// beginning; an event of the gateway's own by its time. Of configurations, the one in force when the
// period began is listed, too. Sessions whose content was
// erased are listed whatever the period, and so are records that cannot be read whole
// or are missing: a report leaves nothing out without a word. What cannot be verified is a problem of its Proof. When ctx ends, Read stops
// before the next session and returns the error of ctx. Progress, which may be nil, is told how many sessions are verified, and then how many are read.
func Read(ctx context.Context, a *audit.Archive, p Period, progress func(done, all int)) (*Report, error) {
	proof, key, err := a.Verify(progress)
	if proof == nil {
		proof = &audit.Report{}
	}
	if err != nil { // what can be read is reported all the same
		proof.Problems = append(proof.Problems, "it could not be verified: "+err.Error())
	}
	ids, err := a.Sessions()
	if err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	r := &Report{Period: p, Proof: proof, Key: key}
	c := newCollector(p)
	for i, id := range ids {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if progress != nil {
			progress(i, len(ids))
		}
		err := c.session(a, id)
		switch {
		case errors.Is(err, audit.ErrErased):
			c.add(Entry{Kind: Erased, Session: id, What: "the content was erased; its proof is there"})
		case err != nil:
			c.add(Entry{Kind: Unreadable, Session: id, What: err.Error()})
		}
	}
	missing, err := a.Missing()
	if err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	for _, id := range missing {
		c.add(Entry{Kind: Unreadable, Session: id, What: "the session is sealed, and its record is missing"})
	}
	r.Entries = c.entries()
	slices.SortStableFunc(r.Entries, func(a, b Entry) int { return strings.Compare(a.Time, b.Time) })
	return r, nil
}
