package review

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/store"
)

// KindUndo is the kind of the documents that hold what undoes operations. The names are the identifiers of the requests by which
// these have run.
const KindUndo = "undo"

const undoPurpose = "undo "

// UndoState is what became of what undoes an operation.
type UndoState string

// States. What has begun and of which nobody knows the end stays so: an operation is undone once at most.
const (
	UndoKept  UndoState = "undo_kept"
	UndoBegun UndoState = "undo_begun"
	UndoDone  UndoState = "undo_done"
)

// What a note has as its state when what undoes an operation could not be kept in the end, and when an operation was not undone.
const (
	UndoDropped = "undo_dropped"
	UndoFailed  = "undo_failed"
)

// Errors of undoing. Their texts are fit for who undoes.
var (
	ErrNoUndo = errors.New("nothing is kept that undoes this: it was not promised, or the time is over")
	ErrUndone = errors.New("this was undone already, or its undoing has begun and nobody knows how it ended")
)

// Undo is an operation that can be undone, or was.
type Undo struct {
	ID        string     `json:"id"` // of the request by which it ran
	State     UndoState  `json:"state"`
	Requester string     `json:"requester"`
	For       string     `json:"for,omitempty"` // the human that an agent acted for
	Session   string     `json:"session"`
	Operation uint64     `json:"operation"`
	Resource  string     `json:"resource"`
	Account   string     `json:"account,omitempty"`
	Database  string     `json:"database,omitempty"`
	Effect    string     `json:"effect"` // insert, update or delete
	Table     string     `json:"table"`
	Rows      int        `json:"rows"`
	At        time.Time  `json:"at"`
	Expires   time.Time  `json:"expires"`
	Rules     []string   `json:"rules"`
	Approvers [][]string `json:"approvers"`
	// Wait is how long the undoing may wait for its approval, and Keep for how long what undoes that is kept.
	Wait   time.Duration `json:"wait"`
	Keep   time.Duration `json:"keep"`
	Reveal bool          `json:"reveal,omitempty"`
	Undone *UndoneBy     `json:"undone,omitempty"` // nil: it was not
}

// UndoneBy says by which operation another one was undone.
type UndoneBy struct {
	By        string    `json:"by"`
	Session   string    `json:"session"`
	Operation uint64    `json:"operation"`
	Request   string    `json:"request,omitempty"` // by which that ran
	At        time.Time `json:"at"`
}

// undoDocument is an Undo as the store has it: as a whole under seal, where there is a sealer.
type undoDocument struct {
	Sealed []byte    `json:"sealed,omitempty"`
	Plain  *undoBody `json:"plain,omitempty"`
}

type undoBody struct {
	Undo
	Image *proxy.Image `json:"image,omitempty"` // nil once it was undone
}

// KeepImage implements [proxy.ImageKeeper].
func (d *Desk) KeepImage(ctx context.Context, s *proxy.Session, op uint64, requests []string, i *proxy.Image) error {
	if len(requests) == 0 {
		return errors.New("the operation has no approval")
	}
	_, r, err := d.read(ctx, requests[0])
	switch {
	case err != nil:
		return err
	case r.State != Used || r.Use == nil || r.Use.Session != s.ID || r.Use.Operation != op || !r.Impact.Promises():
		return fmt.Errorf("request %s is not one by which this runs as what can be undone", r.ID)
	}
	u := undoBody{Undo{
		ID: r.ID, State: UndoKept, Requester: r.Requester, For: r.For, Session: s.ID, Operation: op, Resource: r.Resource, Account: r.Account, Database: r.Database,
		Effect: i.Effect, Table: r.Impact.Table, Rows: len(i.Rows), At: d.now(), Rules: r.Rules, Approvers: r.Approvers,
		Wait: r.Deadline.Sub(r.Created), Keep: r.Impact.Undo.For, Reveal: r.Reveal,
	}, i}
	u.Expires = u.At.Add(u.Keep)
	w, err := d.undoWrite(store.Document{Kind: KindUndo, Name: u.ID}, &u)
	if err != nil {
		return err
	}
	if err := d.noteUndo(ctx, &u.Undo, string(UndoKept), ""); err != nil {
		return fmt.Errorf("%w: %w", errUnrecorded, err)
	}
	if _, err = d.Store.Write(ctx, w); err != nil {
		_ = d.noteUndo(ctx, &u.Undo, UndoDropped, undone(err)) // who records says that it could not be
	}
	return err
}

// undoWrite is the write of what undoes an operation.
func (d *Desk) undoWrite(doc store.Document, u *undoBody) (store.Write, error) {
	kept := undoDocument{Plain: u}
	if d.Sealer != nil {
		plain, err := compact(u)
		if err != nil {
			return store.Write{}, err
		}
		if kept.Sealed, err = d.Sealer.Seal(plain, undoPurpose+u.ID); err != nil {
			return store.Write{}, err
		}
		kept.Plain = nil
	}
	var err error
	if doc.Body, err = compact(kept); err != nil {
		return store.Write{}, err
	}
	doc.Expires = u.Expires
	if u.State != UndoKept { // what became of it is known for as long as of a request
		doc.Expires = u.Undone.At.Add(KeepRequests)
	}
	if doc.Version == 0 {
		return store.Create(doc), nil
	}
	return store.Replace(doc), nil
}

// undoOf is what a document holds.
func (d *Desk) undoOf(doc store.Document) (*undoBody, error) {
	damaged := fmt.Errorf("reading what undoes %q: it is damaged", doc.Name)
	var kept undoDocument
	if json.Unmarshal(doc.Body, &kept) != nil {
		return nil, damaged
	}
	u := kept.Plain
	if d.Sealer != nil {
		plain, err := d.Sealer.Open(kept.Sealed, undoPurpose+doc.Name)
		if err != nil {
			return nil, fmt.Errorf("reading what undoes %q: %w", doc.Name, err)
		}
		u = &undoBody{}
		if json.Unmarshal(plain, u) != nil {
			return nil, damaged
		}
	}
	if u == nil || u.ID != doc.Name || len(u.Rules) == 0 || len(u.Rules) != len(u.Approvers) || u.State != UndoKept && u.Undone == nil || u.State == UndoKept && u.Image == nil {
		return nil, damaged
	}
	return u, nil
}

// Undos returns the operations that can be undone, and those of which that has begun, that and which wants; the latest first.
func (d *Desk) Undos(ctx context.Context, which func(*Undo) bool) ([]Undo, error) {
	if _, err := d.touch(ctx); err != nil {
		return nil, err
	}
	list := []Undo{}
	for doc, err := range store.All(ctx, d.Store, KindUndo, "") {
		if err != nil {
			return nil, err
		}
		u, err := d.undoOf(doc)
		switch {
		case err != nil:
			d.log().Error("what the store has to undo an operation undoes nothing", "request", doc.Name, "err", err)
		case (u.State != UndoKept || d.now().Before(u.Expires)) && which(&u.Undo):
			list = append(list, u.Undo)
		}
	}
	slices.SortFunc(list, func(a, b Undo) int {
		return cmp.Or(b.At.Compare(a.At), cmp.Compare(b.Session, a.Session), cmp.Compare(b.Operation, a.Operation))
	})
	return list, nil
}

// readUndo reads what undoes an operation that was not undone yet.
func (d *Desk) readUndo(ctx context.Context, id string) (store.Document, *undoBody, error) {
	none := store.Document{}
	if store.CheckName(id) != nil {
		return none, nil, ErrNoUndo
	}
	if _, err := d.touch(ctx); err != nil {
		return none, nil, err
	}
	doc, err := d.Store.Get(ctx, KindUndo, id)
	if errors.Is(err, store.ErrNotFound) {
		return none, nil, ErrNoUndo
	}
	if err != nil {
		return none, nil, err
	}
	u, err := d.undoOf(doc)
	return doc, u, err
}

// Undo returns an operation that was kept to be undone.
func (d *Desk) Undo(ctx context.Context, id string) (*Undo, error) {
	_, u, err := d.readUndo(ctx, id)
	switch {
	case err != nil:
		return nil, err
	case u.State == UndoKept && !d.now().Before(u.Expires):
		return nil, ErrNoUndo
	}
	return &u.Undo, nil
}

// Undoing returns how somebody undoes an operation, in a session that is opened for it alone, at the same resource, account and database. She needs
// an approval by those who may approve the operation, besides what the rules ask for.
func (d *Desk) Undoing(ctx context.Context, id string, by *proxy.Identity) (*Undo, *proxy.Undo, error) {
	_, u, err := d.readUndo(ctx, id)
	switch {
	case err != nil:
		return nil, nil, err
	case u.State != UndoKept:
		return nil, nil, ErrUndone
	case !d.now().Before(u.Expires):
		return nil, nil, ErrNoUndo
	}
	hold := &proxy.Hold{
		Rules: u.Rules, Approvers: u.Approvers, Message: "this undoes request " + u.ID + " of " + u.Requester, For: max(u.Wait, time.Minute), Undo: u.Keep, Reveal: u.Reveal,
	}
	return &u.Undo, &proxy.Undo{Image: u.Image, Hold: hold, Record: u.Image.Plan() + ", which undoes request " + u.ID, Begin: func(ctx context.Context, s *proxy.Session, op proxy.Op) error {
		return d.beginUndo(ctx, id, by, s, op)
	}}, nil
}

// beginUndo notes that an operation is undone from now on.
func (d *Desk) beginUndo(ctx context.Context, id string, by *proxy.Identity, s *proxy.Session, op proxy.Op) error {
	m := op.Info()
	request := ""
	if g := m.Grants(); len(g) > 0 {
		request = g[0]
	}
	err := d.changeUndo(ctx, id, string(UndoBegun), true, func(u *undoBody, now time.Time) error {
		switch {
		case u.State != UndoKept:
			return ErrUndone
		case !now.Before(u.Expires):
			return ErrNoUndo
		}
		u.State, u.Undone = UndoBegun, &UndoneBy{By: by.Subject, Session: s.ID, Operation: m.ID, Request: request, At: now}
		return nil
	})
	switch {
	case err == nil || errors.Is(err, ErrUndone) || errors.Is(err, ErrNoUndo):
		return err
	}
	d.log().Error("an operation is not undone, because that could not be recorded or kept", "request", id, "err", err)
	return errors.New("nothing is undone, because that could not be recorded or kept: try again later")
}

// EndUndo notes how the undoing of an operation in a session has ended. What has not begun in that session has not ended.
func (d *Desk) EndUndo(ctx context.Context, id, session string, done bool) error {
	state := string(UndoDone)
	if !done {
		state = UndoFailed
	}
	err := d.changeUndo(ctx, id, state, false, func(u *undoBody, _ time.Time) error {
		if u.State != UndoBegun || u.Undone.Session != session {
			return errNotBegun
		}
		if u.State = UndoDone; done {
			u.Image = nil
		} else {
			u.State = UndoKept
		}
		return nil
	})
	if errors.Is(err, errNotBegun) {
		return nil
	}
	return err
}

var errNotBegun = errors.New("it has not begun")

// changeUndo changes what is kept of an operation. What gives something is recorded before.
func (d *Desk) changeUndo(ctx context.Context, id, state string, gives bool, next func(u *undoBody, now time.Time) error) error {
	var conflict error
	for range attempts {
		doc, u, err := d.readUndo(ctx, id)
		if err != nil {
			return err
		}
		if err := next(u, d.now()); err != nil {
			return err
		}
		was := u.Undo
		if u.State == UndoKept {
			u.Undone = nil
		}
		w, err := d.undoWrite(doc, u)
		if err != nil {
			return err
		}
		if err := d.noteUndo(ctx, &was, state, ""); err != nil && gives {
			return fmt.Errorf("%w: %w", errUnrecorded, err)
		}
		if _, err = d.Store.Write(ctx, w); err == nil {
			return nil
		}
		if gives {
			_ = d.noteUndo(ctx, &was, UndoFailed, undone(err)) // who records says that it could not be
		}
		if !errors.Is(err, store.ErrConflict) {
			return err
		}
		conflict = err
	}
	return fmt.Errorf("undoing request %s: others were faster %d times: %w", id, attempts, conflict)
}

// noteUndo records what becomes of what undoes an operation: the operation by which it is undone, or the operation itself.
func (d *Desk) noteUndo(ctx context.Context, u *Undo, state, reason string) error {
	n := &proxy.RequestNote{
		ID: u.ID, State: state, Requester: u.Requester, For: u.For, Session: u.Session, Operation: u.Operation, Rules: u.Rules, Reason: reason,
		Resource: u.Resource, Account: u.Account, Until: u.Expires,
	}
	if by := u.Undone; by != nil {
		n.DecidedBy, n.Session, n.Operation = by.By, by.Session, by.Operation
		if n.Reason == "" && by.Request != "" {
			n.Reason = "by request " + by.Request
		}
	}
	return d.Note(ctx, &proxy.Note{Kind: proxy.NoteReview, By: "review", Request: n})
}
