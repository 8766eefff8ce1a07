package proxy

import (
	"context"
	"errors"
)

// Loss is something that a statement drops or empties.
type Loss struct {
	Kind         LossKind
	Schema, Name string // as the text has them; an empty schema has the name looked up
	// Dependents says that what depends on it goes with it (CASCADE of DROP and ALTER),
	// and Referring what refers to it by a foreign key (CASCADE of TRUNCATE).
	Dependents, Referring bool
}

// LossKind says what a Loss is.
type LossKind uint8

// Kinds of losses.
const (
	LossTable     LossKind = iota // with all partitions and heirs; a materialized view too
	LossView                      // only of what takes dependents along
	LossSchema                    // the same
	LossType                      // the same
	LossFunction                  // the same: every one of that name
	LossExtension                 // with all that it has made
)

// Keeper says what the resource holds where a statement reaches. It is asked only about
// statements that would be refused otherwise.
type Keeper interface {
	// Few reports whether the table that the statement changes as a whole, its Whole, has
	// at most so many rows, at the moment at which the statement is about to run. An error
	// says that it is not known.
	Few(ctx context.Context, st *Statement, rows int) (bool, error)
	// Empty reports whether nothing of what the statement's Losing name, and of what
	// goes with it, holds data: at the moment at which the statement is about to run,
	// and with what the session and others have written and not committed yet. An error
	// says that it is not known.
	Empty(ctx context.Context, st *Statement) (bool, error)
}

var errNoKeeper = errors.New("nobody can tell what the resource holds where the statement reaches")

// LosesNothing reports whether what a statement drops or empties holds no data, as far as
// its Keeper can tell now. An error says that it is not known.
func (st *Statement) LosesNothing(ctx context.Context) (bool, error) {
	if st.Keeper == nil || len(st.Facts.Losing) == 0 {
		return false, errNoKeeper
	}
	return st.Keeper.Empty(ctx, st)
}

// ChangesFew reports whether a statement that changes a whole table changes at most so
// many rows, as far as its Keeper can tell now. An error says that it is not known.
func (st *Statement) ChangesFew(ctx context.Context, rows int) (bool, error) {
	if st.Keeper == nil || st.Facts.Whole == nil {
		return false, errNoKeeper
	}
	return st.Keeper.Few(ctx, st, rows)
}
