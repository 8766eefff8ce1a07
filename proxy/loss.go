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
	LossTable    LossKind = iota // with all partitions and heirs; a materialized view too
	LossView                     // only of what takes dependents along
	LossSchema                   // the same
	LossType                     // the same
	LossFunction                 // the same: every one of that name
)

// Keeper says whether what a statement takes away holds data. It is asked only about
// statements that would be refused if it did.
type Keeper interface {
	// Empty reports whether nothing of what the statement's Losing name, and of what
	// goes with it, holds data: at the moment at which the statement is about to run,
	// and with what the session and others have written and not committed yet. An error
	// says that it is not known.
	Empty(ctx context.Context, st *Statement) (bool, error)
}

var errNoKeeper = errors.New("nobody can tell whether what the statement drops or empties holds data")

// LosesNothing reports whether what a statement drops or empties holds no data, as far as
// its Keeper can tell now. An error says that it is not known.
func (st *Statement) LosesNothing(ctx context.Context) (bool, error) {
	if st.Keeper == nil || len(st.Facts.Losing) == 0 {
		return false, errNoKeeper
	}
	return st.Keeper.Empty(ctx, st)
}
