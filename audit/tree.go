package audit

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// A leaf commits to one sealed session.
type leaf struct {
	ID     string
	Events uint64
	Chain  digest
}

// text is what is hashed and kept: identifier, number of events, last value of
// the chain.
func (l leaf) text() []byte { return fmt.Appendf(nil, "%s %d %x\n", l.ID, l.Events, l.Chain) }

func parseLeaf(line string) (leaf, error) {
	id, rest, ok := strings.Cut(line, " ")
	events, chain, ok2 := strings.Cut(rest, " ")
	n, err := strconv.ParseUint(events, 10, 64)
	sum, err2 := hex.DecodeString(chain)
	if !ok || !ok2 || err != nil || err2 != nil || len(sum) != sha256.Size || len(id) != idLen || !isID(id) {
		return leaf{}, errors.New("no leaf")
	}
	return leaf{id, n, digest(sum)}, nil
}

// tree is the Merkle tree over sealed sessions. In its directory stand
//
//	leaves      one line per sealed session
//	hashes      the tree's hashes, 32 bytes each, in the order of tlog.StoredHashIndex
//	checkpoint  the signed head, from the log's beginning on
//	key         what signs it; key.pub what verifies it
type tree struct {
	dir    string
	disk   *disk
	public string
	signer note.Signer
	origin string

	mu       sync.Mutex
	size     int64
	dirty    bool // has leaves that no checkpoint covers
	leaves   file
	hashes   file
	length   int64   // of leaves
	unsynced []byte  // the last of them, which the disk may not have
	dropped  bool    // it refused to take them
	starts   []int64 // where every bundleSize-th leaf begins
	head     Head    // signed last
}

// openTree opens the tree in dir, or begins one. What is there must continue its signed
// head; when it does not the error is a *HistoryError, unless adopt is set: then adopted is
// that error, and the tree is what is there, under the next head.
func openTree(d *disk, dir string, adopt bool) (t *tree, adopted error, err error) {
	if err := d.mkdir(dir); err != nil {
		return nil, nil, err
	}
	t = &tree{dir: dir, disk: d}
	if err := t.openKey(); err != nil {
		var h *HistoryError
		if !errors.As(err, &h) || !adopt {
			return nil, nil, err
		}
		adopted = err
		if err := t.makeKey(); err != nil {
			return nil, nil, err
		}
	}
	if t.leaves, err = d.open(t.path("leaves")); err != nil {
		return nil, nil, err
	}
	if t.hashes, err = d.open(t.path("hashes")); err != nil {
		return nil, nil, errors.Join(err, t.leaves.Close())
	}
	err = t.load()
	if err == nil {
		err = t.checkHistory()
	}
	var h *HistoryError
	if errors.As(err, &h) && adopt {
		t.head, t.dirty = Head{}, true
		adopted, err = errors.Join(adopted, err), nil
	}
	if err == nil {
		err = t.publish()
	}
	if err != nil {
		return nil, nil, errors.Join(err, t.close())
	}
	return t, adopted, nil
}

func (t *tree) path(name string) string { return filepath.Join(t.dir, name) }

// load reads the leaves. One that was not written whole is cut off, and all hashes are
// made again: what a crash leaves of either was under no checkpoint.
func (t *tree) load() error {
	b, err := os.ReadFile(t.path("leaves"))
	if err != nil {
		return err
	}
	whole := strings.LastIndexByte(string(b), '\n') + 1
	if err := t.leaves.Truncate(int64(whole)); err != nil {
		return err
	}
	if err := t.hashes.Truncate(0); err != nil {
		return err
	}
	i := 0
	for line := range strings.Lines(string(b[:whole])) {
		if _, err := parseLeaf(strings.TrimSuffix(line, "\n")); err != nil {
			return fmt.Errorf("leaf %d: %w", i, err)
		}
		if err := t.hash([]byte(line)); err != nil {
			return err
		}
		t.count([]byte(line))
		i++
	}
	t.unsynced = b[:whole]
	return nil
}

// openCheckpoint checks a checkpoint's signature and reads it.
func openCheckpoint(b []byte, public string) (tlog.Tree, error) {
	v, err := note.NewVerifier(public)
	if err != nil {
		return tlog.Tree{}, fmt.Errorf("the public key: %w", err)
	}
	n, err := note.Open(b, note.VerifierList(v))
	if err != nil {
		return tlog.Tree{}, fmt.Errorf("the checkpoint: %w", err)
	}
	for _, sig := range n.Sigs {
		// A signature is written in one way only, so that no byte can be changed.
		if _, err := base64.StdEncoding.Strict().DecodeString(sig.Base64); err != nil {
			return tlog.Tree{}, errors.New("the checkpoint: the signature is not written as it was made")
		}
	}
	lines := strings.Split(n.Text, "\n")
	if len(lines) != 4 || lines[0] != v.Name() || lines[3] != "" {
		return tlog.Tree{}, errors.New("the checkpoint is of another form or log")
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil || size < 0 || lines[1] != strconv.FormatInt(size, 10) {
		return tlog.Tree{}, errors.New("the checkpoint's size is not a number")
	}
	h, err := tlog.ParseHash(lines[2])
	if err != nil {
		return tlog.Tree{}, errors.New("the checkpoint's hash is not a hash")
	}
	return tlog.Tree{N: size, Hash: h}, nil
}

// seal makes a session a leaf, and returns its place. It is under a checkpoint
// after commit. On an error the leaves are as they were.
func (t *tree) seal(l leaf) (at int64, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.whole(); err != nil {
		return 0, err
	}
	text := l.text()
	if err := t.hash(text); err != nil {
		return 0, err
	}
	if _, err := t.leaves.WriteAt(text, t.length); err != nil {
		// Nothing follows a leaf that was written in part: should it stay, the next is
		// written over it.
		return 0, errors.Join(err, t.leaves.Truncate(t.length))
	}
	t.unsynced = append(t.unsynced, text...)
	t.dirty, at = true, t.size
	t.count(text)
	return at, nil
}

// whole holds that both files have what was written to them.
func (t *tree) whole() error {
	if err := t.leaves.Whole(t.length); err != nil {
		return err
	}
	return t.hashes.Whole(tlog.StoredHashIndex(0, t.size) * tlog.HashSize)
}

// checkPlace holds that the names of both files lead to them, and that they have what was written.
func (t *tree) checkPlace() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := leadsTo(t.path("leaves"), t.leaves); err != nil {
		return err
	}
	if err := leadsTo(t.path("hashes"), t.hashes); err != nil {
		return err
	}
	return t.whole()
}

// commit puts the leaves on the disk and signs the tree's head, in this order:
// a checkpoint never covers leaves that a crash can take.
func (t *tree) commit() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.dirty {
		return nil
	}
	if err := t.sync(); err != nil {
		return err
	}
	if err := t.sign(); err != nil {
		return err
	}
	t.dirty = false
	return nil
}

// sync puts the leaves on the disk. What the disk refused to take it may have dropped, so
// that syncing again would succeed without it: it is written again.
func (t *tree) sync() error {
	if t.dropped {
		if _, err := t.leaves.WriteAt(t.unsynced, t.length-int64(len(t.unsynced))); err != nil {
			return err
		}
	}
	if err := t.leaves.Sync(); err != nil {
		t.dropped = true
		return err
	}
	t.dropped, t.unsynced = false, t.unsynced[:0]
	return nil
}

// hash writes the hashes that a leaf after the last adds.
func (t *tree) hash(text []byte) error {
	hashes, err := tlog.StoredHashes(t.size, text, t)
	if err != nil {
		return err
	}
	_, err = t.hashes.WriteAt(flatten(hashes), tlog.StoredHashIndex(0, t.size)*tlog.HashSize)
	return err
}

// count takes a leaf as the last, whose hashes are written.
func (t *tree) count(text []byte) {
	if t.size%bundleSize == 0 {
		t.starts = append(t.starts, t.length)
	}
	t.size++
	t.length += int64(len(text))
}

// ReadHashes makes the tree a tlog.HashReader.
func (t *tree) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	list := make([]tlog.Hash, len(indexes))
	for i, at := range indexes {
		if _, err := t.hashes.ReadAt(list[i][:], at*tlog.HashSize); err != nil {
			return nil, err
		}
	}
	return list, nil
}

func (t *tree) sign() error {
	root, err := tlog.TreeHash(t.size, t)
	if err != nil {
		return err
	}
	b, err := t.checkpoint(t.size, root)
	if err != nil {
		return err
	}
	if err := t.disk.replace(t.path(checkpointName), b, 0o600); err != nil {
		return err
	}
	t.head = Head{Tree: tlog.Tree{N: t.size, Hash: root}, Note: b, hashes: t, public: t.public}
	return nil
}

func (t *tree) checkpoint(size int64, root tlog.Hash) ([]byte, error) {
	return note.Sign(&note.Note{Text: fmt.Sprintf("%s\n%d\n%s\n", t.origin, size, root)}, t.signer)
}

func (t *tree) close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return errors.Join(t.leaves.Close(), t.hashes.Close())
}
