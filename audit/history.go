package audit

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// A log begins with its key and the signed head of an empty tree. From then on what is
// listed as sealed continues the head that was signed last. Where it does not, something
// was taken away or replaced, and signing what is left would hide that. Only somebody's
// word lets a log go on from there, and the word is on record: see Config.Adopt.

// HistoryError says that a log is not the continuation of what it signed last.
type HistoryError struct{ reason string }

// Error says what is missing or altered, and what to do.
func (e *HistoryError) Error() string { return e.reason }

func historyError(format string, args ...any) error {
	return &HistoryError{fmt.Sprintf(format, args...) +
		": restore it from a backup, or adopt what is there as the log's history, which goes on record"}
}

const checkpointName = "checkpoint"

// openKey reads the key that signs the heads, or makes it where nothing was recorded yet.
func (t *tree) openKey() error {
	private, err := os.ReadFile(t.path("key"))
	if errors.Is(err, fs.ErrNotExist) {
		if err := t.isNew(); err != nil {
			return err
		}
		return t.makeKey()
	}
	if err != nil {
		return err
	}
	if t.signer, err = note.NewSigner(strings.TrimSpace(string(private))); err != nil {
		return fmt.Errorf("the signing key: %w", err)
	}
	t.origin = t.signer.Name()
	t.public, err = publicOf(strings.TrimSpace(string(private)))
	return err
}

// publish writes the verifier, unless it is there.
func (t *tree) publish() error {
	if b, err := os.ReadFile(t.path("key.pub")); err == nil && strings.TrimSpace(string(b)) == t.public {
		return nil
	}
	return t.disk.replace(t.path("key.pub"), []byte(t.public+"\n"), 0o644)
}

// isNew holds that nothing was recorded in the log's directory.
func (t *tree) isNew() error {
	there, err := newCabinet(filepath.Dir(t.dir), t.disk).list()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	leaves, err := os.ReadFile(t.path("leaves"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if len(there) > 0 || len(leaves) > 0 {
		return historyError("the signing key %s is missing, and sessions were recorded here", t.path("key"))
	}
	return nil
}

// makeKey begins a log: with the verifier, the head of an empty tree, and at last the
// key, so that a key without a head is never the work of a crash.
func (t *tree) makeKey() error {
	id := make([]byte, 6)
	rand.Read(id)
	private, public, err := note.GenerateKey(rand.Reader, "sallyport-audit-"+hex.EncodeToString(id))
	if err != nil {
		return err
	}
	if t.signer, err = note.NewSigner(private); err != nil {
		return err
	}
	t.public, t.origin = public, t.signer.Name()
	root, err := tlog.TreeHash(0, t)
	if err != nil {
		return err
	}
	empty, err := t.checkpoint(0, root)
	if err != nil {
		return err
	}
	begun, err := t.tailNote(nil)
	if err != nil {
		return err
	}
	for _, f := range []struct {
		name    string
		content []byte
		perm    fs.FileMode
	}{
		{"key.pub", []byte(public + "\n"), 0o644},
		{checkpointName, empty, 0o600},
		{tailName, begun, 0o600},
		{"key", []byte(private + "\n"), 0o600},
	} {
		if err := t.disk.replace(t.path(f.name), f.content, f.perm); err != nil {
			return err
		}
	}
	return t.disk.syncNames(t.dir, filepath.Dir(t.dir))
}

// publicOf is the verifier of what a key signs.
func publicOf(private string) (string, error) {
	parts := strings.SplitN(private, "+", 5)
	seed, err := base64.StdEncoding.DecodeString(parts[len(parts)-1])
	if err != nil || len(parts) != 5 || len(seed) != 1+ed25519.SeedSize {
		return "", errors.New("the signing key is not one of Ed25519")
	}
	public, _ := ed25519.NewKeyFromSeed(seed[1:]).Public().(ed25519.PublicKey)
	return note.NewEd25519VerifierKey(parts[2], public)
}

// checkHistory holds that the leaves continue the head that was signed last.
func (t *tree) checkHistory() error {
	b, err := os.ReadFile(t.path(checkpointName))
	if errors.Is(err, fs.ErrNotExist) {
		return historyError("the signed head %s is missing, and %s listed as sealed", t.path(checkpointName), plural(int(t.size), "session is", "sessions are"))
	}
	if err != nil {
		return err
	}
	signed, err := openCheckpoint(b, t.public)
	if err != nil {
		return historyError("%v", err)
	}
	if signed.N > t.size {
		return historyError("the checkpoint has %d sessions and the log %d: sealed sessions were removed", signed.N, t.size)
	}
	root, err := tlog.TreeHash(signed.N, t)
	if err != nil {
		return err
	}
	if root != signed.Hash {
		return historyError("the log is not what its checkpoint says: sealed sessions were altered")
	}
	t.head = Head{Tree: signed, Note: b, hashes: t, public: t.public}
	t.dirty = signed.N < t.size
	for range signed.N { // what it covers is on the disk
		t.unsynced = t.unsynced[bytes.IndexByte(t.unsynced, '\n')+1:]
	}
	return nil
}
