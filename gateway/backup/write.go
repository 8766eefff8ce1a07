package backup

import (
	"archive/tar"
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"filippo.io/age"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/gateway/config"
	"github.com/sallyport/sallyport/internal/plainfile"
	"github.com/sallyport/sallyport/store/sqlstore"
)

// Options say what a backup has and who can read it.
type Options struct {
	// To can read it: public keys of age, or a passphrase alone.
	To []age.Recipient
	// WithoutRecords leaves out the records of sealed sessions, such as where a copy in a bucket has them.
	// Their keys and proofs are in the backup all the same.
	WithoutRecords bool
	// Version is the program's.
	Version string
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// maxConfigFile bounds a file that the config file names, in bytes.
const maxConfigFile = 64 << 20

// Names in a data directory that a backup handles in another way, or not at all.
const (
	auditDir   = "audit"
	leasesFile = "leases"   // of a process that runs; another one must not revoke them
	mirrorDir  = "runbooks" // is fetched again
	socketFile = "control.sock"
	storeFile  = "store.db"
	keyFile    = "store.key"
	lostFound  = "lost+found" // of the file system, which only root reads
)

// Write writes a backup of the gateway of f to w, whether that gateway runs or not.
func Write(ctx context.Context, w io.Writer, f *config.File, o Options) (*Summary, error) {
	s, err := write(ctx, w, f, o)
	if err != nil {
		return nil, fmt.Errorf("making a backup: %w", err)
	}
	return s, nil
}

func write(ctx context.Context, w io.Writer, f *config.File, o Options) (_ *Summary, err error) {
	if len(o.To) == 0 {
		return nil, errors.New("nobody could read it: name a public key of age or a passphrase")
	}
	data, err := filepath.Abs(f.Data())
	if err != nil {
		return nil, err
	}
	if err := Interrupted(data); err != nil {
		return nil, err
	}
	log, err := openLog(data)
	if err != nil {
		return nil, fmt.Errorf("%w: a backup is of a gateway that has run: is data_dir of %s right?", err, f.Name())
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	files, elsewhere, err := f.Files()
	if err != nil {
		return nil, err
	}
	now := time.Now
	if o.Now != nil {
		now = o.Now
	}
	sealed, err := age.Encrypt(w, o.To...)
	if err != nil {
		return nil, err
	}
	b := &writer{ctx: ctx, tar: tar.NewWriter(sealed), files: make(manifest), now: now().UTC().Truncate(time.Second), data: data, audit: log}
	b.summary.Header = Header{
		Format: format, Made: b.now, Version: o.Version, Store: storeLocal, KeyElsewhere: f.Store.Key != "", Records: !o.WithoutRecords,
		Config: filepath.Base(f.Name()), DataDir: data, Elsewhere: elsewhere,
	}
	if f.Store.URL != "" {
		b.summary.Store = storeShared
	}
	if out, ok := w.(interface{ Stat() (fs.FileInfo, error) }); ok {
		if b.out, err = out.Stat(); err != nil {
			return nil, err
		}
	}
	for _, step := range []func() error{
		b.header,
		func() error { return b.config(f.Name(), files) },
		func() error { return b.store(f) },
		b.rest,
		b.storeKey,
		func() error { return b.log(o.WithoutRecords) },
		b.end,
		b.tar.Close,
		sealed.Close,
	} {
		if err := cmp.Or(ctx.Err(), step()); err != nil {
			return nil, err
		}
	}
	return &b.summary, nil
}

type writer struct {
	ctx     context.Context
	tar     *tar.Writer
	files   manifest
	now     time.Time
	data    string
	audit   *os.Root    // the audit log in data
	out     fs.FileInfo // of the file that the backup is written to; nil: it is not a file
	summary Summary
}

func (b *writer) header() error {
	text, err := json.MarshalIndent(b.summary.Header, "", "  ")
	if err != nil {
		return err
	}
	return b.add(headerName, 0o600, int64(len(text)), bytes.NewReader(text))
}

// add writes a file. One that was written before counts no more.
func (b *writer) add(name string, mode fs.FileMode, size int64, content io.Reader) error {
	if err := b.ctx.Err(); err != nil {
		return err
	}
	if len(b.files) >= maxFiles {
		return fmt.Errorf("there are more than %d files", maxFiles)
	}
	if !isName(name) && !slices.Contains([]string{headerName, manifestName, signatureName}, name) { // it could not be restored
		return fmt.Errorf("%q cannot be in a backup, since its name has a backslash, is not UTF-8 or is too long: rename it or remove it", name)
	}
	if err := b.tar.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: int64(mode), Size: size, ModTime: b.now, Format: tar.FormatPAX}); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	sum := sha256.New()
	n, err := io.Copy(io.MultiWriter(b.tar, sum), content)
	if err == nil && n != size {
		err = fmt.Errorf("got %d bytes, want %d: it was cut off while it was read: try again", n, size)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	before, again := b.files[name]
	b.files[name] = file{size, mode, hex.EncodeToString(sum.Sum(nil))}
	if !again {
		b.summary.Files++
	}
	b.summary.Bytes += size - before.Size
	return nil
}

// addFile writes a file of the disk, of limit bytes at most, and closes it.
func (b *writer) addFile(name string, f *os.File, limit int64) error {
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s: got %s, want a file", f.Name(), info.Mode().Type())
	}
	if b.out != nil && os.SameFile(b.out, info) {
		return fmt.Errorf("%s is the backup itself: write it to a folder outside of data_dir", f.Name())
	}
	if size := info.Size(); size > limit {
		return fmt.Errorf("%s: got %d bytes, want at most %d: if it is not the gateway's, move it away", f.Name(), size, limit)
	}
	return b.add(name, info.Mode().Perm()&0o755, info.Size(), io.LimitReader(f, info.Size()))
}

// config writes the config file and the files that it names.
func (b *writer) config(name string, files []string) error {
	folder, err := filepath.Abs(filepath.Dir(name))
	if err != nil {
		return err
	}
	for _, from := range files {
		rel, err := filepath.Rel(folder, from)
		to := configDir + "/" + filepath.ToSlash(rel)
		if err != nil || !filepath.IsLocal(rel) {
			to = outsideDir + "/" + strings.TrimLeft(filepath.ToSlash(strings.TrimPrefix(from, filepath.VolumeName(from))), "/")
		}
		f, err := os.Open(from)
		if err == nil {
			err = b.addFile(to, f, maxConfigFile)
		}
		if err != nil {
			return err
		}
		b.summary.Configuration = append(b.summary.Configuration, from)
	}
	return nil
}

// store writes a copy of the store, where that is a file. The copy is made in a folder of this process's own, and
// not in the data directory: the gateway's user could have root write elsewhere by it. It has no name any more while it is read, so that
// nothing of it is left when the process is killed.
func (b *writer) store(f *config.File) (err error) {
	if f.Store.URL != "" {
		return nil
	}
	if info, err := os.Lstat(f.StoreFile()); err != nil {
		return err
	} else if info.Mode()&fs.ModeSymlink != 0 {
		return isLink(f.StoreFile())
	}
	folder, err := os.MkdirTemp("", "sallyport-backup-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	name := filepath.Join(folder, storeFile)
	if err := sqlstore.BackupSQLite(b.ctx, f.StoreFile(), name); err != nil {
		return err
	}
	copied, err := os.Open(name)
	if err != nil {
		return err
	}
	if runtime.GOOS != "windows" { // which removes no open file
		if err := os.Remove(name); err != nil {
			return errors.Join(err, copied.Close())
		}
	}
	return b.addFile(dataDir+"/"+storeFile, copied, math.MaxInt64)
}

func isLink(name string) error {
	return fmt.Errorf("%s is a link: put what it leads to in its place, or name that in the config file", name)
}

// rest writes the other files of the data directory: keys, authorities, what is to be known when the store is not
// there. The data directory can be a link. A link in it is refused: left out, it would be missed when the backup is
// restored; followed, the gateway's user could have root read any file of the machine for it.
func (b *writer) rest() (err error) {
	root, err := os.OpenRoot(b.data)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	return fs.WalkDir(root.FS(), ".", func(name string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) && name != "." {
			return nil // it is of a moment
		}
		if err != nil {
			return fmt.Errorf("%s: %w", b.data, err)
		}
		base := path.Base(name)
		switch {
		case base == name && elsewhere(base):
			if entry.IsDir() {
				return fs.SkipDir
			}
			return nil
		case strings.HasPrefix(base, ".new-"):
			return nil
		case entry.Type()&fs.ModeSymlink != 0:
			return isLink(filepath.Join(b.data, filepath.FromSlash(name)))
		case !entry.Type().IsRegular():
			return nil
		}
		f, err := plainfile.Open(root, name, 0)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		return b.addFile(dataDir+"/"+name, f, maxConfigFile)
	})
}

// storeKey holds that the key which seals the store is in the backup, where the config file does not say that it is elsewhere.
func (b *writer) storeKey() error {
	if _, ok := b.files[dataDir+"/"+keyFile]; !ok && !b.summary.KeyElsewhere {
		return fmt.Errorf("%s is missing, which seals what is in the store: put it back, or name the key as store.key in the config file", filepath.Join(b.data, keyFile))
	}
	return nil
}

// elsewhere reports whether a name at the top of the data directory is that of something which is not in a backup, or which
// another step writes.
func elsewhere(base string) bool {
	return slices.Contains([]string{auditDir, mirrorDir, leasesFile, socketFile, lostFound}, base) ||
		strings.HasPrefix(base, storeFile)
}

// openLog opens the folder of the audit log, which can be a link. Root follows one to a folder of the data directory's owner alone: the gateway's
// user, who can put another link there at any moment, could have root read the log of another gateway, and sign by its key.
func openLog(data string) (*os.Root, error) {
	name := filepath.Join(data, auditDir)
	root, err := os.OpenRoot(name)
	if err != nil {
		return nil, err
	}
	err = sameOwner(data, root)
	if err == nil {
		_, err = root.Lstat("log/checkpoint")
	}
	if err != nil {
		return nil, errors.Join(err, root.Close())
	}
	return root, nil
}

// log writes the audit log.
func (b *writer) log(withoutRecords bool) (err error) {
	s := audit.Snapshot{Root: b.audit, WithoutRecords: withoutRecords}
	b.summary.Sessions, err = s.Read(func(name string, mode fs.FileMode, size int64, content io.Reader) error {
		return b.add(dataDir+"/"+auditDir+"/"+name, mode, size, content)
	})
	return err
}

// end writes what proves all that was written before.
func (b *writer) end() error {
	encoded, err := json.Marshal(b.files)
	if err != nil {
		return err
	}
	if len(encoded) > maxManifest {
		return fmt.Errorf("its list of files has %d bytes, and can have %d", len(encoded), maxManifest)
	}
	signature, err := sign(b.audit, encoded)
	if err != nil {
		return err
	}
	s := b.summary
	if err := b.add(manifestName, 0o600, int64(len(encoded)), bytes.NewReader(encoded)); err != nil {
		return err
	}
	if err := b.add(signatureName, 0o600, int64(len(signature)), bytes.NewReader(signature)); err != nil {
		return err
	}
	b.summary = s
	return nil
}
