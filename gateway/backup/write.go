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
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"filippo.io/age"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/gateway/config"
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
	scratch    = ".backup-"
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

func write(ctx context.Context, w io.Writer, f *config.File, o Options) (*Summary, error) {
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
	if _, err := os.Stat(filepath.Join(data, auditDir, "log", "checkpoint")); err != nil {
		return nil, fmt.Errorf("%w: a backup is of a gateway that has run: is data_dir of %s right?", err, f.Name())
	}
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
	b := &writer{ctx: ctx, tar: tar.NewWriter(sealed), files: make(manifest), now: now().UTC().Truncate(time.Second), data: data}
	b.summary.Header = Header{
		Format: format, Made: b.now, Version: o.Version, Store: storeFile, Records: !o.WithoutRecords,
		Config: filepath.Base(f.Name()), DataDir: data, Elsewhere: elsewhere,
	}
	if f.Store.URL != "" {
		b.summary.Store = storeShared
	}
	for _, step := range []func() error{
		b.header,
		func() error { return b.config(f.Name(), files) },
		func() error { return b.store(f) },
		b.rest,
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

// addFile writes a file of the disk, of limit bytes at most.
func (b *writer) addFile(name, from string, limit int64) error {
	f, err := os.Open(from)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if size := info.Size(); size > limit {
		return fmt.Errorf("%s: got %d bytes, want at most %d", from, size, limit)
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
		if err := b.addFile(to, from, maxConfigFile); err != nil {
			return err
		}
		b.summary.Configuration = append(b.summary.Configuration, from)
	}
	return nil
}

// store writes a copy of the store, where that is a file.
func (b *writer) store(f *config.File) (err error) {
	if f.Store.URL != "" {
		return nil
	}
	folder, err := os.MkdirTemp(b.data, scratch)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	copied := filepath.Join(folder, "store.db")
	if err := sqlstore.BackupSQLite(b.ctx, f.StoreFile(), copied); err != nil {
		return err
	}
	info, err := os.Stat(copied)
	if err != nil {
		return err
	}
	return b.addFile(dataDir+"/"+filepath.Base(f.StoreFile()), copied, info.Size())
}

// rest writes the other files of the data directory: keys, authorities, what is to be known when the store is not
// there. The data directory can be a link. A link in it is refused: left out, it would be missed when the backup is
// restored; followed, the gateway's user could have root read any file of the machine for it.
func (b *writer) rest() error {
	root, err := filepath.EvalSymlinks(b.data)
	if err != nil {
		return err
	}
	return filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // it is of a moment
		}
		if err != nil && name == root {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		base := entry.Name()
		switch {
		case filepath.Dir(rel) == "." && elsewhere(base):
			if entry.IsDir() {
				return fs.SkipDir
			}
			return nil
		case strings.HasPrefix(base, ".new-"):
			return nil
		case entry.Type()&fs.ModeSymlink != 0:
			return fmt.Errorf("%s is a link: put what it leads to in its place, or name that in the config file", name)
		case !entry.Type().IsRegular():
			return nil
		}
		if err := b.addFile(dataDir+"/"+filepath.ToSlash(rel), name, maxConfigFile); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	})
}

// elsewhere reports whether a name at the top of the data directory is that of something which is not in a backup, or which
// another step writes.
func elsewhere(base string) bool {
	return slices.Contains([]string{auditDir, mirrorDir, leasesFile, socketFile, lostFound}, base) ||
		strings.HasPrefix(base, scratch) || strings.HasPrefix(base, "store.db")
}

// log writes the audit log.
func (b *writer) log(withoutRecords bool) (err error) {
	s := audit.Snapshot{Dir: filepath.Join(b.data, auditDir), WithoutRecords: withoutRecords}
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
	signature, err := sign(filepath.Join(b.data, auditDir), encoded)
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
