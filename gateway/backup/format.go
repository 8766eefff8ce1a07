package backup

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sallyport/sallyport/audit"
)

// format is that of backups which this program writes, and the newest that it reads.
const format = 1

// Names in a backup.
const (
	headerName    = "backup.json"
	manifestName  = "manifest.json"
	signatureName = "manifest.sig"
	dataDir       = "data"
	configDir     = "config"
	outsideDir    = "outside"
)

// Bounds of a backup.
const (
	maxHeader   = 1 << 20
	maxManifest = 256 << 20
	maxFiles    = 2_000_000
	maxName     = 4096
)

// purpose is what the signature of a manifest is for.
const purpose = "backup"

// Header says what a backup is.
type Header struct {
	Format  int       `json:"format"`
	Made    time.Time `json:"made"`
	Version string    `json:"version,omitempty"` // of the program that made it
	// Store is "file", which is in the backup, or "shared", in a database, which is not.
	Store string `json:"store"`
	// KeyElsewhere says that the config file names the key which seals the store; else it is in the data directory.
	KeyElsewhere bool `json:"store_key_elsewhere,omitempty"`
	// Records says whether the records of sealed sessions are in it, or only their keys and proofs.
	Records bool `json:"records"`
	// Config is the name of the config file below config/, and DataDir what its data directory was.
	Config  string `json:"config"`
	DataDir string `json:"data_dir"`
	// Elsewhere are the schemes of references to secrets that are not in the backup.
	Elsewhere []string `json:"elsewhere,omitempty"`
}

// Missing says what a gateway needs that is not in the backup, a sentence each.
func (h Header) Missing() (list []string) {
	if h.Store == storeShared {
		list = append(list, "not in the backup: the store, which is in PostgreSQL: pg_dump copies it, before the backup is made")
	}
	if len(h.Elsewhere) > 0 {
		list = append(list, "not in the backup: secrets that the config file refers to by "+strings.Join(h.Elsewhere, ", "))
	}
	return list
}

// Stores of a gateway, as a header names them.
const (
	storeLocal  = "file"
	storeShared = "shared"
)

// file is one of a manifest.
type file struct {
	Size   int64       `json:"size"`
	Mode   fs.FileMode `json:"mode"`
	SHA256 string      `json:"sha256"`
}

// manifest has every file of a backup before itself, by its name.
type manifest map[string]file

// Summary is what is in a backup.
type Summary struct {
	Header
	Files         int
	Bytes         int64
	Sessions      int      // that are sealed; only known of a backup that was just made
	Configuration []string // its files; likewise
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// sign returns the signature of an encoded manifest by the audit log in a folder.
func sign(log *os.Root, encoded []byte) ([]byte, error) {
	return audit.SignNote(log, purpose, digest(encoded)+"\n")
}

// errNotSigned says that a backup is another's.
var errNotSigned = errors.New("the backup is not signed by the key of this audit log: it was made by somebody else, or for another gateway")

func checkSignature(public string, encoded, signature []byte) error {
	text, err := audit.OpenNote(public, purpose, signature)
	if errors.Is(err, audit.ErrNotSigned) || err == nil && text != digest(encoded)+"\n" {
		return errNotSigned
	}
	return err
}

// readHeader reads the first file of a backup.
func readHeader(b []byte) (h Header, err error) {
	if err := json.Unmarshal(b, &h); err != nil {
		return h, fmt.Errorf("%s: %w", headerName, err)
	}
	if h.Format < 1 || h.Format > format {
		return h, fmt.Errorf("the backup has format %d, made by version %s, and this program reads up to %d: restore it with that version or a newer one", h.Format, h.Version, format)
	}
	if h.Store != storeLocal && h.Store != storeShared {
		return h, fmt.Errorf("%s: store: got %q, want %q or %q", headerName, h.Store, storeLocal, storeShared)
	}
	return h, nil
}

// checkName holds that a file's name is one that a backup can have, which leads to nothing outside of the folder that it is
// put into.
func checkName(name string) error {
	if !isName(name) {
		return fmt.Errorf("the backup holds a file with the name %q: no gateway has made it", name)
	}
	return nil
}

func isName(name string) bool {
	first, rest, _ := strings.Cut(name, "/")
	return rest != "" && (first == dataDir || first == configDir || first == outsideDir) && len(name) <= maxName && path.Clean(name) == name &&
		filepath.IsLocal(filepath.FromSlash(name)) && !strings.ContainsAny(name, "\\\x00") && utf8.ValidString(name)
}
