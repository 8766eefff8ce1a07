package audit

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

// ErrUnsealed says that a session is still open, or was sealed after the head that was signed last.
var ErrUnsealed = errors.New("it is not sealed yet")

// Proof is what is proven of one session: that its record is whole, as it was sealed, and one of
// those that a signed head is of.
type Proof struct {
	Events     uint64
	Index      int64  // its place among the sealed sessions, from 0
	Sessions   int64  // so many the head is of
	Checkpoint string // the signed head
	Public     string // the key that lies in the log, which the head is signed by
	Erased     bool   // its content was erased, and what is left is whole
}

// Prove checks a session as Export and Bundle.Verify do, whatever its size. The error wraps
// ErrUnsealed where there is nothing to be proven yet. Every other says what is not as it was
// sealed, or cannot be read.
func (a *Archive) Prove(id string) (*Proof, error) {
	b, path, err := a.prove(id)
	if err != nil {
		return nil, err
	}
	p := &Proof{Index: b.Index, Checkpoint: b.Checkpoint, Public: b.Public}
	signed, err := openCheckpoint([]byte(b.Checkpoint), b.Public)
	if err != nil {
		return nil, err
	}
	p.Sessions = signed.N
	l, err := parseLeaf(strings.TrimSuffix(b.Leaf, "\n"))
	if err != nil {
		return nil, fmt.Errorf("session %s: %w", id, err)
	}
	if err := tlog.CheckRecord(b.Proof, signed.N, signed.Hash, b.Index, tlog.RecordHash([]byte(b.Leaf))); err != nil {
		return nil, fmt.Errorf("session %s: the list of sealed sessions is not the one that was signed", id)
	}
	p.Events = l.Events
	if err := a.matches(path, l); err != nil {
		return nil, fmt.Errorf("session %s: %w", id, err)
	}
	switch key, err := a.loadKey(path, id); {
	case errors.Is(err, ErrErased):
		p.Erased = true
	case err != nil:
		return nil, fmt.Errorf("session %s: %w", id, err)
	default:
		f, err := a.cabinet.open(path)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		if err := opens(f, key); err != nil {
			return nil, fmt.Errorf("session %s: %w", id, err)
		}
	}
	return p, nil
}

// matches holds that a record is the one of a leaf.
func (a *Archive) matches(path string, l leaf) error {
	f, err := a.cabinet.open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = checkRecord(f, l)
	return err
}
