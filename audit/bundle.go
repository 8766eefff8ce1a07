package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

// bundleFormat is the first thing that a bundle says.
const bundleFormat = "sallyport-session-bundle/1"

// maxBundle bounds a bundle that is read, in bytes.
const maxBundle = 2 << 30

// Bundle is one session with the proof that it is in the log: everything that is
// needed to read and verify it elsewhere. It holds the session's key in clear, so that who
// has it reads the session. Its Public is for who has no other copy of the log's public key:
// who made the bundle chose it.
type Bundle struct {
	Format     string      `json:"format"`
	Session    string      `json:"session"`
	Leaf       string      `json:"leaf"`       // the line in the list of sealed sessions
	Index      int64       `json:"index"`      // its place there, from 0
	Proof      []tlog.Hash `json:"proof"`      // that the leaf is in the tree of the checkpoint
	Checkpoint string      `json:"checkpoint"` // the signed head
	Record     []byte      `json:"record"`     // the record file
	Key        []byte      `json:"key,omitempty"`
	Public     string      `json:"public,omitempty"` // the log's public key; bundles of earlier versions have none
}

// Export makes a session's bundle. The session must be sealed.
func (a *Archive) Export(id string) (*Bundle, error) {
	b, path, err := a.prove(id)
	if err != nil {
		return nil, err
	}
	f, err := a.cabinet.open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if b.Record, err = io.ReadAll(f); err != nil {
		return nil, err
	}
	l, err := parseLeaf(strings.TrimSuffix(b.Leaf, "\n"))
	if err == nil {
		_, err = checkRecord(bytes.NewReader(b.Record), l)
	}
	if err != nil {
		return nil, fmt.Errorf("session %s: %w", id, err)
	}
	b.Key, err = a.loadKey(path, id)
	if errors.Is(err, ErrErased) {
		return b, nil // its proof holds without its content
	}
	if err == nil {
		err = opens(bytes.NewReader(b.Record), b.Key)
	}
	if err != nil {
		return nil, fmt.Errorf("session %s: %w", id, err)
	}
	return b, nil
}

// prove makes a session's bundle without its record, and returns where that is.
func (a *Archive) prove(id string) (b *Bundle, path string, err error) {
	path, _, err = a.find(id)
	if err != nil {
		return nil, "", fmt.Errorf("session %s: %w", id, err)
	}
	x, err := a.Anchor()
	if err != nil {
		return nil, "", err
	}
	i, err := x.Include(id)
	if err != nil {
		return nil, "", err
	}
	return &Bundle{
		Format: bundleFormat, Session: id, Leaf: i.Leaf, Index: i.Index, Proof: i.Proof, Checkpoint: x.Checkpoint, Public: x.Public,
	}, path, nil
}

// ReadBundle reads a bundle. Nothing of it is verified.
func ReadBundle(r io.Reader) (*Bundle, error) {
	b := &Bundle{}
	dec := json.NewDecoder(io.LimitReader(r, maxBundle))
	if err := dec.Decode(b); err != nil {
		return nil, fmt.Errorf("no bundle: %w", err)
	}
	if b.Format != bundleFormat {
		return nil, fmt.Errorf("a bundle of another format: %q", b.Format)
	}
	return b, nil
}

// Verify checks that the bundle's record is the one that was sealed, with the
// log's public key, and that its key, if it has one, opens it. It returns the number of
// events.
func (b *Bundle) Verify(public string) (events uint64, err error) {
	signed, err := openCheckpoint([]byte(b.Checkpoint), public)
	if err != nil {
		return 0, err
	}
	l, err := checkInclusion(signed, &Inclusion{Session: b.Session, Leaf: b.Leaf, Index: b.Index, Proof: b.Proof})
	if err != nil {
		return 0, err
	}
	if _, err := checkRecord(bytes.NewReader(b.Record), l); err != nil {
		return 0, err
	}
	if b.Key != nil {
		if err := opens(bytes.NewReader(b.Record), b.Key); err != nil {
			return 0, err
		}
	}
	return l.Events, nil
}

// Approvals checks that what ran in the session by approvals is what was approved, with the log's public key and those of others that
// have signed approvals. Verify the bundle first. Problems name what is not, a sentence each. That nothing ran by the same approval in
// another session is for the whole log to prove.
func (b *Bundle) Approvals(public string, signers ...string) (a Approvals, problems []string, err error) {
	v := newApprovalVerifier(public, signers, func(text string) { problems = append(problems, text) })
	v.blind = true
	s := v.session(b.Session)
	for raw, err := range b.Raw() {
		if err != nil {
			return v.Approvals, problems, err
		}
		s.event(raw)
	}
	v.finish()
	return v.Approvals, problems, nil
}

// Events reads the bundle's events. Verify it first.
func (b *Bundle) Events() iter.Seq2[*Event, error] { return decoded(b.Session, b.Raw()) }

// Raw reads the bundle's events as they were recorded: a JSON object each, valid until the
// next. Verify it first.
func (b *Bundle) Raw() iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		err := b.readable()
		if err == nil {
			err = readEvents(bytes.NewReader(b.Record), b.Key, b.Session, b.sealed(), func(raw []byte) bool { return yield(raw, nil) })
		}
		if err != nil {
			yield(nil, fmt.Errorf("session %s: %w", b.Session, err))
		}
	}
}

// Open opens the bundle's record. Verify it first.
func (b *Bundle) Open() (*Record, error) {
	r := &Record{
		id: b.Session, file: bytes.NewReader(b.Record), size: int64(len(b.Record)), close: func() error { return nil },
		key: b.Key, sealed: b.sealed(),
	}
	if err := errors.Join(b.readable(), r.locate()); err != nil {
		return nil, fmt.Errorf("session %s: %w", b.Session, err)
	}
	return r, nil
}

// readable holds that the bundle has the session's key.
func (b *Bundle) readable() error {
	if len(b.Key) == 0 {
		return fmt.Errorf("the bundle has no key to read it with: %w", ErrErased)
	}
	return nil
}

// sealed is the bundle's leaf, nil when it has none, and so is not verified.
func (b *Bundle) sealed() *leaf {
	l, err := parseLeaf(strings.TrimSuffix(b.Leaf, "\n"))
	if err != nil {
		return nil
	}
	return &l
}
