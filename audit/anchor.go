package audit

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

// Anchor is a signed head of a log, by which it is proven of many sessions that they are among those that were sealed.
type Anchor struct {
	Checkpoint string // the signed head
	Public     string // the key that has signed it
	Size       int64  // so many sealed sessions it is of
	Root       string

	signed tlog.Tree
	hashes *memoryTree      // nil: it was not made from a log, and only checks
	lines  []string         // of the sealed sessions
	places map[string]int64 // in lines, by session
}

// Inclusion proves that a session is among those of a signed head. Its Leaf says how many events its record has, and what they hash to.
type Inclusion struct {
	Session string      `json:"session"`
	Leaf    string      `json:"leaf"`  // the line in the list of sealed sessions
	Index   int64       `json:"index"` // its place there, from 0
	Proof   []tlog.Hash `json:"proof"`
}

// Anchor returns the head that was signed last, by the key that lies in the log.
func (a *Archive) Anchor() (*Anchor, error) {
	// The checkpoint first: what is listed then is there for it.
	head, err := os.ReadFile(filepath.Join(a.dir, "log", checkpointName))
	if err != nil {
		return nil, err
	}
	public, err := os.ReadFile(filepath.Join(a.dir, "log", "key.pub"))
	if err != nil {
		return nil, err
	}
	x, err := OpenAnchor(string(head), strings.TrimSpace(string(public)))
	if err != nil {
		return nil, err
	}
	if x.lines, err = readLeaves(filepath.Join(a.dir, "log", "leaves")); err != nil {
		return nil, err
	}
	if int64(len(x.lines)) < x.Size {
		return nil, errShortened
	}
	x.lines = x.lines[:x.Size]
	x.hashes, x.places = &memoryTree{}, make(map[string]int64, x.Size)
	for i, line := range x.lines {
		if err := x.hashes.add([]byte(line)); err != nil {
			return nil, err
		}
		id, _, _ := strings.Cut(line, " ")
		x.places[id] = int64(i)
	}
	return x, nil
}

// OpenAnchor returns a signed head that was kept elsewhere, which its log's public key proves. It checks what others have proven by it.
func OpenAnchor(checkpoint, public string) (*Anchor, error) {
	signed, err := openCheckpoint([]byte(checkpoint), public)
	if err != nil {
		return nil, err
	}
	return &Anchor{Checkpoint: checkpoint, Public: public, Size: signed.N, Root: signed.Hash.String(), signed: signed}, nil
}

// Include proves that a session is among those of the head. The error wraps ErrUnsealed where it is not.
func (x *Anchor) Include(id string) (*Inclusion, error) {
	at, ok := x.places[id]
	if !ok {
		return nil, fmt.Errorf("session %s: %w", id, ErrUnsealed)
	}
	proof, err := tlog.ProveRecord(x.Size, at, x.hashes)
	if err != nil {
		return nil, err
	}
	return &Inclusion{id, x.lines[at], at, proof}, nil
}

// Check holds that a session is among those of the head.
func (x *Anchor) Check(i *Inclusion) error {
	_, err := checkInclusion(x.signed, i)
	return err
}

// checkInclusion is [Anchor.Check], and returns the session's leaf.
func checkInclusion(signed tlog.Tree, i *Inclusion) (leaf, error) {
	l, err := parseLeaf(strings.TrimSuffix(i.Leaf, "\n"))
	if err != nil {
		return l, err
	}
	if l.ID != i.Session || string(l.text()) != i.Leaf {
		return l, errors.New("the leaf belongs to another session")
	}
	if i.Index < 0 || i.Index >= signed.N {
		return l, errors.New("its place in the log is not a number of a sealed session")
	}
	if err := tlog.CheckRecord(i.Proof, signed.N, signed.Hash, i.Index, tlog.RecordHash([]byte(i.Leaf))); err != nil {
		return l, errors.New("the proof does not lead to the signed head: the session is not one of those that were sealed")
	}
	return l, nil
}

// Proves checks by an anchor of the archive that a session is among those of its head, and that its record is whole and as it was
// sealed; see [Archive.Prove].
func (a *Archive) Proves(x *Anchor, id string) (i *Inclusion, erased bool, err error) {
	path, _, err := a.find(id)
	if err != nil {
		return nil, false, fmt.Errorf("session %s: %w", id, err)
	}
	if i, err = x.Include(id); err != nil {
		return nil, false, err
	}
	l, err := checkInclusion(x.signed, i)
	if err == nil {
		err = a.matches(path, l)
	}
	if err == nil {
		erased, err = a.isErased(path, id)
	}
	if err != nil {
		return i, erased, fmt.Errorf("session %s: %w", id, err)
	}
	return i, erased, nil
}

// isErased reports whether a session's key is gone. One that is there opens the record, or that is an error.
func (a *Archive) isErased(path, id string) (bool, error) {
	key, err := a.loadKey(path, id)
	if errors.Is(err, ErrErased) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	f, err := a.cabinet.open(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	return false, opens(f, key)
}

// Began is when a session began, to the millisecond, as its identifier says. It is false for what is not an identifier.
func Began(id string) (time.Time, bool) { return beganOf(id) }

// Events are how many events the session's record has, as its leaf says.
func (i *Inclusion) Events() string {
	_, rest, _ := strings.Cut(i.Leaf, " ")
	events, _, _ := strings.Cut(rest, " ")
	return events
}
