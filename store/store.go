// Package store keeps the state of a gateway: configuration objects and their
// revisions, users, tokens, keys, leases.
//
// A store holds small documents, each of a kind and with a name. Writes are all
// or none, compare versions, and are listed in a feed, by which every gateway
// on one store learns of every change in the order of their commits. What a store
// acknowledged survives a crash. Times are the store's own, so that the clocks of
// several gateways need not agree.
//
// NewMemory, sqlstore.OpenSQLite and sqlstore.OpenPostgres are stores; package
// storetest holds the tests that a store of your own has to pass.
package store

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Limits of every store. They are checked before anything is kept or read.
const (
	MaxKind   = 64             // bytes of a kind
	MaxName   = 512            // bytes of a name
	MaxBody   = 1 << 20        // bytes of a document's body
	MaxWrites = 256            // writes in one call
	MaxBatch  = 8 << 20        // bytes of bodies in one call, and in one page of List
	MaxPage   = 1000           // documents or changes in one answer
	MaxTTL    = time.Hour      // for which a lease is held without being renewed
	MaxFeed   = 100_000        // changes that the feed keeps
	KeepFeed  = 24 * time.Hour // for which it keeps them
	PollEvery = time.Second    // after which a change of another gateway is seen at the latest
)

var (
	// ErrNotFound says that there is no such document, or that it has expired.
	ErrNotFound = errors.New("not found")
	// ErrConflict is matched by every *ConflictError.
	ErrConflict = errors.New("the document is another by now: read it again")
	// ErrHeld is matched by every *HeldError.
	ErrHeld = errors.New("another holds the lease")
	// ErrInvalid is matched by errors about what the caller gave.
	ErrInvalid = errors.New("invalid")
	// ErrTrimmed says that changes after the given number are no longer known, or
	// that the store was replaced by an older copy. The reader asks for Head and
	// reads everything again.
	ErrTrimmed = errors.New("the feed no longer goes back that far: read everything again")
	// ErrUncertain says that a write was given to the database, and that its answer
	// was lost: it may be kept or not, as a whole. The caller reads again.
	ErrUncertain = errors.New("whether the write is kept is not known: read again")
)

// Document is one object.
type Document struct {
	Kind, Name string
	// Version is the number of the document's latest change in the feed. It never
	// comes back, also when a document is deleted and made again.
	Version int64
	// Body is a JSON text. The one that is given or returned belongs to the caller.
	Body []byte
	// Expires is when the document is gone; zero is never.
	Expires time.Time
	// Created and Updated are times of the store's clock.
	Created, Updated time.Time
}

// Op is what a Write does.
type Op uint8

// Operations of a Write.
const (
	OpCreate  Op = iota + 1 // make a document; it must not exist
	OpReplace               // replace the document of the version that is given
	OpDelete                // delete the document of the version that is given
	OpRequire               // change nothing, but fail unless the version is as given; 0: does not exist
	OpFence                 // change nothing, but fail unless Version is the newest fence of the lease Name
)

func (o Op) String() string {
	switch o {
	case OpCreate:
		return "create"
	case OpReplace:
		return "replace"
	case OpDelete:
		return "delete"
	case OpRequire:
		return "require"
	case OpFence:
		return "fence"
	}
	return fmt.Sprintf("Op(%d)", o)
}

// Write is one part of a call of Store.Write. The functions below make one.
type Write struct {
	Op         Op
	Kind, Name string
	Version    int64
	Body       []byte
	Expires    time.Time
}

// Create makes a document, which must not exist. Its version is ignored.
func Create(d Document) Write {
	return Write{Op: OpCreate, Kind: d.Kind, Name: d.Name, Body: d.Body, Expires: d.Expires}
}

// Replace replaces a document that was read, if it is still the same.
func Replace(d Document) Write {
	return Write{Op: OpReplace, Kind: d.Kind, Name: d.Name, Version: d.Version, Body: d.Body, Expires: d.Expires}
}

// Delete deletes a document that was read, if it is still the same.
func Delete(d Document) Write {
	return Write{Op: OpDelete, Kind: d.Kind, Name: d.Name, Version: d.Version}
}

// Require has the other writes of its call fail unless the document is still the
// one that was read. Version 0 requires that there is no such document.
func Require(d Document) Write {
	return Write{Op: OpRequire, Kind: d.Kind, Name: d.Name, Version: d.Version}
}

// Fence has the other writes of its call fail when another has taken the lease
// since.
func Fence(l Lease) Write { return Write{Op: OpFence, Name: l.Name, Version: l.Fence} }

// ConflictError says which document was another than a Write wanted. Nothing of
// the call was kept.
type ConflictError struct {
	Op         Op
	Kind, Name string
	Want, Got  int64 // versions, or fences; 0: does not exist
}

func (e *ConflictError) Error() string {
	if e.Op == OpFence {
		return fmt.Sprintf("store: fence: lease %q: got fence %d, want %d: another has taken it: stop this work", e.Name, e.Got, e.Want)
	}
	return fmt.Sprintf("store: %s: %s %q: got %s, want %s: read it again", e.Op, e.Kind, e.Name, version(e.Got), version(e.Want))
}

func version(v int64) string {
	if v == 0 {
		return "no document"
	}
	return fmt.Sprintf("version %d", v)
}

// Is makes errors.Is(err, ErrConflict) hold.
func (e *ConflictError) Is(target error) bool { return target == ErrConflict }

// Query is what List returns: documents of a kind in the byte order of their
// names, from after After on.
type Query struct {
	Kind   string
	Prefix string // names begin with it
	After  string // the last name of the page before
	Limit  int    // at most MaxPage; 0 is MaxPage
}

// Change is an entry of the feed.
type Change struct {
	Seq        int64 // the version that the document has by it
	Kind, Name string
	Deleted    bool
}

// Lease is the right to do some work alone, for a time.
type Lease struct {
	Name, Holder string
	// Fence grows with every change of the holder. It goes with what the holder
	// writes, so that one who lost the lease unnoticed changes nothing: see Fence.
	Fence int64
	// Until is when it ends by the store's clock. Who compares with its own clock
	// takes the time to live from before the call.
	Until time.Time
}

// HeldError says who holds a lease, and until when.
type HeldError struct{ Lease }

func (e *HeldError) Error() string {
	return fmt.Sprintf("store: lease %q: %q holds it until %s", e.Name, e.Holder, e.Until.UTC().Format(time.RFC3339))
}

// Is makes errors.Is(err, ErrHeld) hold.
func (e *HeldError) Is(target error) bool { return target == ErrHeld }

// Store keeps documents. All methods may be called by many goroutines, return when
// their context ends, and have a time limit of their own. Errors other than those
// named here mean that the store does not answer; a later call may succeed. No
// error holds a body.
type Store interface {
	// Get returns a document, or ErrNotFound.
	Get(ctx context.Context, kind, name string) (Document, error)

	// List returns the next page. A page may have fewer documents than the limit;
	// one without documents is the end. All reads every page.
	List(ctx context.Context, q Query) ([]Document, error)

	// Kinds returns the kinds of which there are documents, in byte order.
	Kinds(ctx context.Context) ([]string, error)

	// Write does all of the writes or none: a *ConflictError says which was
	// refused. It returns the number of the feed's latest change. The changes of one call
	// follow each other in the feed, in the order of the writes; documents have
	// these numbers as their versions. When it returns nil, the writes survive a
	// crash. A document may be named once per call.
	Write(ctx context.Context, ws ...Write) (seq int64, err error)

	// Changes returns the first changes after since, in the order of their
	// commits: one with a smaller number never appears later. An empty answer
	// means that there are no more. The limit is at most MaxPage; 0 is MaxPage. It
	// returns ErrTrimmed when some of the changes are no longer kept.
	Changes(ctx context.Context, since int64, limit int) ([]Change, error)

	// Wait returns nil when there may be changes after since, and otherwise after
	// PollEvery.
	Wait(ctx context.Context, since int64) error

	// Head returns the number of the feed's latest change and the store's time.
	Head(ctx context.Context) (seq int64, now time.Time, err error)

	// Acquire takes a lease or renews the one that the holder has; the fence of a
	// renewed lease stays the same. A *HeldError says that another holds it.
	// Holders are unique for each process that works, such as crypto/rand.Text.
	// Leases' names are those of kinds of work, few and fixed: they are kept.
	Acquire(ctx context.Context, name, holder string, ttl time.Duration) (Lease, error)

	// Release gives a lease back. It does nothing when another holds it by now.
	Release(ctx context.Context, l Lease) error

	// Sweep deletes some of the documents that have expired, which the feed then
	// says, and forgets changes that are older than KeepFeed or more than MaxFeed.
	// It reports whether there is more to do. SweepEvery calls it.
	Sweep(ctx context.Context) (more bool, err error)
}
