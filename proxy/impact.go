package proxy

import (
	"context"
	"errors"
)

// Impact is what a statement would change, as it was measured before it runs: by reading
// alone. It is immutable, and valid for longer than the operation. What it holds of rows is
// hidden as from everybody who has no exception.
type Impact struct {
	Effect string `json:"effect"` // what is done to the rows: the name of an effect
	Table  string `json:"table"`  // whose they are, as SQL writes it; several by commas
	// Rows is how many there are; -1 is not known.
	Rows int64 `json:"rows"`
	// Holds says what of it has to be so when the statement runs. Otherwise it does not
	// run, or is taken back.
	Holds Held `json:"holds,omitempty"`
	// Digest is one of the rows and of what they hold, where these are what has to be so.
	Digest string `json:"digest,omitempty"`
	// Tables tells the tables from others that have their names when the statement runs, where the number of rows is what has to be
	// so; empty: that is not compared.
	Tables string `json:"tables,omitempty"`
	// Plan is how the resource would find the rows, with what it expects it to cost, in its
	// own unit; empty when it does not tell.
	Plan string  `json:"plan,omitempty"`
	Cost float64 `json:"cost,omitempty"`
	// Columns are those of Samples, and Samples are some of the rows.
	Columns []string `json:"columns,omitempty"`
	Samples []Sample `json:"samples,omitempty"`
	// Unsaid is what cannot be said, or is not compared when it runs, and why: a sentence each.
	Unsaid []string `json:"unsaid,omitempty"`
	// Undo says whether it can be undone; nil where no rule asks for that.
	Undo *Undoable `json:"undo,omitempty"`
	// Trial says that it was run and taken back, or why not; nil where no rule asks for that.
	Trial *Trial `json:"trial,omitempty"`
}

// Trial is that a statement was run and taken back, to see what it does.
type Trial struct {
	Rows int64  `json:"rows"`          // that it changed
	Why  string `json:"why,omitempty"` // why it was not tried, or has failed; empty: it has run
}

// Held is what has to be so of an Impact when its statement runs.
type Held string

// What has to be so.
const (
	HoldsNothing Held = ""
	HoldsCount   Held = "count" // the number of rows
	HoldsRows    Held = "rows"  // which ones, and all that they hold
)

// Sample is a row that a statement would change. Values are in quotes, and never the same
// for two of them; NULL is not in quotes.
type Sample struct {
	Before []string `json:"before,omitempty"` // by column; nil when the row would be new
	// After is what they become: empty where they stay as they are, and "?" where nobody knows
	// before. It is nil when the row would be gone.
	After []string `json:"after,omitempty"`
}

// same reports whether an operation that was approved as i may run as other, too.
func (i *Impact) same(other *Impact) bool {
	return i.Holds == other.Holds && i.Rows == other.Rows && i.Digest == other.Digest && i.Tables == other.Tables && i.Table == other.Table
}

// Measurer says what a statement would change. It is asked by who shows that to others, at
// the moment at which the statement is about to run, and never in a dry session.
type Measurer interface {
	// Measure reads, within ctx, and leaves everything as it is: the statement, the session
	// and its transaction. What it cannot tell is in the Impact's Unsaid. Nil is that it
	// tells nothing of such statements. The error says that the statement cannot run any
	// more, and wraps ErrCanceled when the client has given it up.
	Measure(ctx context.Context, st *Statement) (*Impact, error)
	// Open reports whether a transaction is open in which something else has run, or may have: what that has locked stays locked for as long
	// as the statement waits. Where it is not known, it is so.
	Open(ctx context.Context, st *Statement) bool
}

// Measure asks the statement's Measurer; nil when it has none.
func (st *Statement) Measure(ctx context.Context) (*Impact, error) {
	if st.Measurer == nil {
		return nil, nil
	}
	return st.Measurer.Measure(ctx, st)
}

// Open asks the statement's Measurer; a statement that has none keeps nothing locked, as far as anybody knows.
func (st *Statement) Open(ctx context.Context) bool {
	return st.Measurer != nil && st.Measurer.Open(ctx, st)
}

// HidesNothing is a [Hooks.Show] of interceptors whose Flow hides nothing.
func HidesNothing(context.Context, Op, *Shape) (Filter, error) { return Filter{}, nil }

var errShows = errors.New("nobody says what is to be hidden of it")

// Show returns the filters for data of op that others than the client are shown. It fails
// when an interceptor sees the data of operations, and does not say what it hides of it.
func (s *Session) Show(op Op, shape *Shape) (*Flow, error) {
	c := s.chainOf(op)
	for _, h := range c.flows {
		if h.Show == nil {
			return nil, errShows
		}
	}
	return s.filters(c.shows, func(h *hooks) (Filter, error) { return h.Show(s.ctx, op, shape) })
}
