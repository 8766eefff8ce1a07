package audit

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
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
//	checkpoint  the signed head
//	key         what signs it; key.pub what verifies it
type tree struct {
	dir    string
	public string
	signer note.Signer
	origin string

	mu     sync.Mutex
	size   int64
	dirty  bool // has leaves that no checkpoint covers
	leaves *os.File
	hashes *os.File
	length int64   // of leaves
	starts []int64 // where every bundleSize-th leaf begins
	head   Head    // signed last
}

func openTree(dir string) (*tree, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	t := &tree{dir: dir}
	if err := t.openKey(); err != nil {
		return nil, err
	}
	var err error
	if t.leaves, err = os.OpenFile(t.path("leaves"), os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600); err != nil {
		return nil, err
	}
	if t.hashes, err = os.OpenFile(t.path("hashes"), os.O_CREATE|os.O_RDWR, 0o600); err != nil {
		return nil, err
	}
	return t, t.load()
}

func (t *tree) path(name string) string { return filepath.Join(t.dir, name) }

func (t *tree) openKey() error {
	private, err := os.ReadFile(t.path("key"))
	if errors.Is(err, fs.ErrNotExist) {
		id := make([]byte, 6)
		rand.Read(id)
		skey, vkey, err := note.GenerateKey(rand.Reader, "sallyport-audit-"+hex.EncodeToString(id))
		if err != nil {
			return err
		}
		if err := os.WriteFile(t.path("key"), []byte(skey+"\n"), 0o600); err != nil {
			return err
		}
		if err := os.WriteFile(t.path("key.pub"), []byte(vkey+"\n"), 0o644); err != nil {
			return err
		}
		private = []byte(skey)
	} else if err != nil {
		return err
	}
	public, err := os.ReadFile(t.path("key.pub"))
	if err != nil {
		return err
	}
	t.public = strings.TrimSpace(string(public))
	if t.signer, err = note.NewSigner(strings.TrimSpace(string(private))); err != nil {
		return fmt.Errorf("the signing key: %w", err)
	}
	t.origin = t.signer.Name()
	return nil
}

// load reads the tree's size. A leaf that was not written whole is cut off, and
// hashes that a crash left out are made again; both were under no checkpoint.
func (t *tree) load() error {
	b, err := os.ReadFile(t.path("leaves"))
	if err != nil {
		return err
	}
	whole := strings.LastIndexByte(string(b), '\n') + 1
	if err := t.leaves.Truncate(int64(whole)); err != nil {
		return err
	}
	lines := strings.Split(string(b[:whole]), "\n")
	lines = lines[:len(lines)-1]
	if err := t.hashes.Truncate(0); err != nil {
		return err
	}
	for i, line := range lines {
		if _, err := parseLeaf(line); err != nil {
			return fmt.Errorf("leaf %d: %w", i, err)
		}
		if err := t.add([]byte(line + "\n")); err != nil {
			return err
		}
	}
	signed, err := t.signed()
	if err != nil {
		return err
	}
	if signed.N > t.size {
		return fmt.Errorf("the checkpoint has %d sessions and the log %d: sealed sessions were removed", signed.N, t.size)
	}
	if signed.N > 0 {
		root, err := tlog.TreeHash(signed.N, t)
		if err != nil {
			return err
		}
		if root != signed.Hash {
			return errors.New("the log is not what its checkpoint says: sealed sessions were altered")
		}
	}
	t.dirty = signed.N < t.size
	t.head = signed
	return nil
}

func (t *tree) signed() (Head, error) {
	b, err := os.ReadFile(t.path("checkpoint"))
	if errors.Is(err, fs.ErrNotExist) {
		return Head{}, nil
	}
	if err != nil {
		return Head{}, err
	}
	head, err := openCheckpoint(b, t.public)
	return Head{Tree: head, Note: b, hashes: t, public: t.public}, err
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
// after commit.
func (t *tree) seal(l leaf) (at int64, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	text := l.text()
	if _, err := t.leaves.Write(text); err != nil {
		return 0, err
	}
	t.dirty, at = true, t.size
	return at, t.add(text)
}

// commit puts the leaves on the disk and signs the tree's head, in this order:
// a checkpoint never covers leaves that a crash can take.
func (t *tree) commit() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.dirty {
		return nil
	}
	if err := t.leaves.Sync(); err != nil {
		return err
	}
	if err := t.sign(); err != nil {
		return err
	}
	t.dirty = false
	return nil
}

func (t *tree) add(text []byte) error {
	hashes, err := tlog.StoredHashes(t.size, text, t)
	if err != nil {
		return err
	}
	at := tlog.StoredHashIndex(0, t.size)
	var b []byte
	for _, h := range hashes {
		b = append(b, h[:]...)
	}
	if _, err := t.hashes.WriteAt(b, at*tlog.HashSize); err != nil {
		return err
	}
	if t.size%bundleSize == 0 {
		t.starts = append(t.starts, t.length)
	}
	t.size++
	t.length += int64(len(text))
	return nil
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
	b, err := note.Sign(&note.Note{Text: fmt.Sprintf("%s\n%d\n%s\n", t.origin, t.size, root)}, t.signer)
	if err != nil {
		return err
	}
	if err := replace(t.path("checkpoint"), b); err != nil {
		return err
	}
	t.head = Head{Tree: tlog.Tree{N: t.size, Hash: root}, Note: b, hashes: t, public: t.public}
	return nil
}

// newPrefix begins the name of what replace writes, until it has its own.
const newPrefix = ".new-"

// replace writes a file so that a crash leaves the old one or the new one.
func replace(name string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), newPrefix+"*")
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}

func (t *tree) close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return errors.Join(t.leaves.Close(), t.hashes.Close())
}
