// Package revision keeps configuration objects in a store, and what has been done to them:
// each change is a revision with its author, its reason, and the text before and after. A
// revision can wait for a second person, and can be reverted.
//
// The package does not know what objects mean: [Keeper.Check] and [Keeper.Needs] do.
package revision

import (
	"errors"
	"fmt"
	"time"
)

// Limits of objects and revisions.
const (
	MaxObjects  = 5000               // in a store
	MaxText     = 64 << 10           // bytes of an object
	MaxTotal    = 8 << 20            // bytes of all objects
	MaxChanges  = 200                // objects that one revision changes
	MaxSize     = 400 << 10          // bytes of one revision's texts, before and after
	MaxKept     = 1000               // revisions; older ones are gone
	MaxWaiting  = 100                // revisions that wait at a time
	MaxReason   = 1000               // bytes
	WaitingLife = 7 * 24 * time.Hour // after which a revision that waits is gone
)

// Errors of a Keeper. Others are those of Check, or of the store.
var (
	// ErrNotFound says that there is no such revision or object.
	ErrNotFound = errors.New("not found")
	// ErrConflict says that an object is not what the change was made for.
	ErrConflict = errors.New("the configuration has changed meanwhile")
	// ErrDecided says that a revision waits no more.
	ErrDecided = errors.New("the revision does not wait for a decision")
	// ErrOwn says that somebody decides about her own revision.
	ErrOwn = errors.New("a second person decides: nobody approves her own revision")
	// ErrUncertain says that the store's answer was lost: the change is kept as a whole, or not at all.
	ErrUncertain = errors.New("it is not known whether the change is kept: look at the newest revision before it is made again")
	// ErrInvalid says that what was given is not a change that can be made.
	ErrInvalid = errors.New("invalid change")
)

// Key names an object.
type Key struct {
	Kind string `json:"kind"` // such as "resource"
	Name string `json:"name"`
}

// String returns "kind/name".
func (k Key) String() string { return k.Kind + "/" + k.Name }

// Object is an entry of the configuration.
type Object struct {
	Key
	Text string `json:"text"` // in YAML, as a config file has it
	// Version grows with each change of the store. Of an object that is read it is that of its last change; of one that is proposed,
	// that of the store when its author read it: an object that has changed since is not changed. 0: not known.
	Version int64 `json:"version,omitempty"`
	// Made is when an object that is read was made, by the store's clock. One that was deleted and made again is another.
	Made time.Time `json:"-"`
}

// Change is what becomes of one object.
type Change struct {
	Key
	Before string `json:"before,omitempty"` // empty: it was not there
	After  string `json:"after,omitempty"`  // empty: it is deleted
}

// Person is somebody who changes the configuration.
type Person struct {
	Subject string `json:"subject"`
	Name    string `json:"name,omitempty"`
}

// State is what has become of a revision.
type State string

// States. A revision that waits and is not decided about is gone after WaitingLife.
const (
	Waiting  State = "waiting"  // for a second person; nothing has changed
	Applied  State = "applied"  // the objects are as it says, or were until a later one
	Rejected State = "rejected" // nothing has changed
)

// Revision is a change of objects as a whole.
type Revision struct {
	Number  int64     `json:"number"` // from 1 on; 0 has not been made
	State   State     `json:"state"`
	Author  Person    `json:"author"`
	Reason  string    `json:"reason,omitempty"`
	Created time.Time `json:"created"` // by the store's clock
	Changes []Change  `json:"changes"`
	// Needs says why a second person decides; empty: nobody had to.
	Needs []string `json:"needs,omitempty"`
	// Reverts is the revision that it takes back; 0: none.
	Reverts int64     `json:"reverts,omitempty"`
	Decided *Decision `json:"decided,omitempty"`
}

// Decision is what the second person has said.
type Decision struct {
	By     Person    `json:"by"`
	At     time.Time `json:"at"`
	Reason string    `json:"reason,omitempty"`
}

// Proposal is what somebody wants to change.
type Proposal struct {
	Put    []Object
	Delete []Key
	Reason string
	Author Person
	// Reverts is the revision that it takes back; 0: none.
	Reverts int64
	// Seen has the texts that the author has seen, by objects: with another one the change
	// is refused. Objects that are not in it are not compared.
	Seen map[Key]string
}

func (p *Proposal) check() error {
	if len(p.Put)+len(p.Delete) == 0 {
		return fmt.Errorf("%w: got no object, want at least one", ErrInvalid)
	}
	if n := len(p.Put) + len(p.Delete); n > MaxChanges {
		return fmt.Errorf("%w: got %d objects, want at most %d: change them in parts", ErrInvalid, n, MaxChanges)
	}
	if len(p.Reason) > MaxReason {
		return fmt.Errorf("%w: reason: got %d bytes, want at most %d", ErrInvalid, len(p.Reason), MaxReason)
	}
	seen := make(map[Key]bool)
	once := func(k Key) error {
		if seen[k] {
			return fmt.Errorf("%w: %s is named twice, want once", ErrInvalid, k)
		}
		seen[k] = true
		return nil
	}
	for _, o := range p.Put {
		if err := once(o.Key); err != nil {
			return err
		}
		if o.Text == "" || len(o.Text) > MaxText {
			return fmt.Errorf("%w: %s: got %d bytes, want 1 to %d", ErrInvalid, o.Key, len(o.Text), MaxText)
		}
	}
	for _, k := range p.Delete {
		if err := once(k); err != nil {
			return err
		}
	}
	return nil
}
