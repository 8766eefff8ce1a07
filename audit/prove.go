package audit

import "errors"

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
	x, err := a.Anchor()
	if err != nil {
		return nil, err
	}
	i, erased, err := a.Proves(x, id)
	if err != nil {
		return nil, err
	}
	l, err := checkInclusion(x.signed, i)
	return &Proof{Events: l.Events, Index: i.Index, Sessions: x.Size, Checkpoint: x.Checkpoint, Public: x.Public, Erased: erased}, err
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
