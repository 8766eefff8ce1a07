package proxy

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// MaxUndo is how long what undoes a statement is kept at most.
const MaxUndo = 30 * 24 * time.Hour

// Undoable says whether a statement can be undone once it has run.
type Undoable struct {
	For time.Duration `json:"for"`           // for how long, from when it has run
	Why string        `json:"why,omitempty"` // why it cannot be; empty: it can
}

// Promises reports whether it was said that a statement can be undone: then it does not run
// unless what undoes it is kept.
func (i *Impact) Promises() bool { return i != nil && i.Undo != nil && i.Undo.Why == "" }

// Image is what it takes to undo a statement of one table: which rows it has changed, what they
// held before, and a digest of what it has left of them. It holds data.
type Image struct {
	Effect string `json:"effect"` // insert, update or delete
	Schema string `json:"schema"`
	Table  string `json:"table"`
	// Columns are those that are written back, after Keys of the primary key; of an INSERT the
	// key alone.
	Columns []ImageColumn `json:"columns"`
	Keys    int           `json:"keys"`
	Rows    []ImageRow    `json:"rows"`
	// Transaction is the resource's number for the transaction in which it ran.
	Transaction string `json:"transaction,omitempty"`
}

// ImageColumn is a column of an Image. Its type is as SQL writes it.
type ImageColumn struct {
	Name string `json:"name"`
	Type string `json:"type"`
}

// ImageRow is a row of an Image.
type ImageRow struct {
	Values []*string `json:"values"`         // by column, as text; nil is NULL
	Left   string    `json:"left,omitempty"` // the digest of the row after the statement; empty: it was gone
}

// Plan says in a line what is done to undo it, without a value.
func (i *Image) Plan() string {
	names := make([]string, len(i.Columns))
	for c := range i.Columns {
		names[c] = i.Columns[c].Name
	}
	rows := fmt.Sprintf("%d rows", len(i.Rows))
	if len(i.Rows) == 1 {
		rows = "1 row"
	}
	table, key := i.Schema+"."+i.Table, strings.Join(names[:i.Keys], ", ")
	switch i.Effect {
	case "insert":
		return "DELETE of " + rows + " of " + table + " by " + key
	case "delete":
		return "INSERT of " + rows + " into " + table
	}
	return "UPDATE of " + strings.Join(names[i.Keys:], ", ") + " in " + rows + " of " + table + " by " + key
}

// ImageKeeper is a [Reviewer] that keeps what undoes the statements that it has approved.
type ImageKeeper interface {
	// KeepImage keeps what undoes an operation of s, which was approved by these requests and has run in
	// a transaction that has not ended: with an error it is taken back. How long is what it was approved with.
	KeepImage(ctx context.Context, s *Session, op uint64, requests []string, i *Image) error
}

// KeepImage has the gateway's Reviewer keep what undoes an operation.
func (s *Session) KeepImage(ctx context.Context, op uint64, requests []string, i *Image) error {
	k, ok := s.gateway.Reviewer.(ImageKeeper)
	if !ok {
		return errors.New("nobody keeps what undoes an operation")
	}
	if err := k.KeepImage(ctx, s, op, requests, i); err != nil {
		s.gateway.log().Error("an operation is taken back, because what undoes it could not be recorded or kept", "session", s.ID, "op", op, "err", err)
		return errors.New("it could not be recorded or kept")
	}
	return nil
}

// Undo is that a session's client undoes what was done: the session is hers for this alone. Its
// functions are called by the handler.
type Undo struct {
	Image *Image
	// Hold is the approval that every statement of the session needs, besides what the rules ask for.
	Hold *Hold
	// Record is what records hold of the statement in the place of its text. It holds no value.
	Record string
	// Begin is called once right before the statement runs that undoes. With an error it does not run.
	Begin func(ctx context.Context, s *Session, op Op) error
	// Differ is told which rows are not what the statement left, before the undoing is refused: by the
	// columns of their key, as shown to somebody without exceptions; nil where they cannot be shown.
	Differ func(rows int, columns []string, keys [][]string)
}

// Undo is what the session's client undoes; nil: nothing.
func (s *Session) Undo() *Undo {
	if s.session == nil || s.client == nil {
		return nil
	}
	return s.client.Undo
}

// undoes is the approval that an operation of a client needs who undoes something; nil: none.
func (s *Session) undoes(op Op) *Hold {
	u := s.Undo()
	if u == nil || op.Info().Kind != KindStatement {
		return nil
	}
	return u.Hold
}

// Held is the approval that the operation waits for; nil while it waits for none.
func (m *Meta) Held() *Hold { return m.verdict.Hold }
