package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"filippo.io/age"
	"golang.org/x/mod/semver"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/store"
	"github.com/sallyport/sallyport/store/sqlstore"
)

// Target is where a backup is restored to.
type Target struct {
	// Data is the data directory: empty, or not there.
	Data string
	// Config is where the config file and the files of its folder are put: a folder that is empty or not there. Files that
	// were elsewhere are put below it, in the folder "outside". Empty: they are not restored.
	Config string
	// Keys open the backup.
	Keys []age.Identity
	// Public is the public key of the audit log; empty takes the one in the backup, which proves less.
	Public string
	// Unproven restores also an audit log that is not as it was sealed, as it was in the gateway's data directory
	// already.
	Unproven bool
	// Version is the program's. A backup by a newer one is refused.
	Version string
}

// Restored says what was restored, and what is known of it.
type Restored struct {
	Summary
	// Log is what was found of the audit log; nil where the records are not in the backup.
	Log *audit.Report
}

// restoring is the folder in a data directory into which a backup is read, until it is proven.
const restoring = ".restoring"

// Interrupted returns an error when a restore into a data directory did not come to its end: what is there is a part.
func Interrupted(data string) error {
	_, err := os.Lstat(filepath.Join(data, restoring))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = fmt.Errorf("a restore into %s did not come to its end: remove everything in the folder, and restore again", data)
	}
	return err
}

// Restore reads a backup, proves it and puts it into its place. On an error the data directory is as it was, unless the
// process was stopped in between: then [Interrupted] says so.
func Restore(ctx context.Context, from io.Reader, t Target) (*Restored, error) {
	r, err := restore(ctx, from, t)
	if err != nil {
		return nil, fmt.Errorf("restoring a backup: %w", err)
	}
	return r, nil
}

func restore(ctx context.Context, from io.Reader, t Target) (_ *Restored, err error) {
	for _, folder := range []string{t.Data, t.Config} {
		if folder == "" {
			continue
		}
		if err := empty(folder); err != nil {
			return nil, err
		}
	}
	made, err := makeFolder(t.Data)
	if err != nil {
		return nil, err
	}
	staging := filepath.Join(t.Data, restoring)
	if err := os.Mkdir(staging, 0o700); err != nil {
		return nil, err
	}
	placing := false
	defer func() {
		if err != nil && !placing { // what is in its place in part keeps the mark
			err = errors.Join(err, os.RemoveAll(staging))
			if made {
				err = errors.Join(err, os.Remove(t.Data))
			}
		}
	}()
	disk := &folder{root: staging}
	in := &reader{ctx: ctx, to: disk, public: t.Public}
	if err := in.read(from, t.Keys); err != nil {
		return nil, err
	}
	out := &Restored{Summary: in.summary}
	if err := checkVersion(out.Version, t.Version); err != nil {
		return nil, err
	}
	data := filepath.Join(staging, dataDir)
	if err := checkStore(ctx, data, out.Store); err != nil {
		return nil, err
	}
	if out.Log, err = checkLog(data, out.Records, in.brought); err != nil && (out.Log == nil || !t.Unproven) {
		return nil, err
	}
	if err := settle(data, t.Data); err != nil {
		return nil, err
	}
	if t.Config != "" {
		if err := placeConfig(staging, t.Config); err != nil {
			return nil, err
		}
	}
	placing = true
	return out, placeData(data, t.Data)
}

// empty holds that a folder has nothing in it, or is not there.
func empty(folder string) error {
	if err := Interrupted(folder); err != nil {
		return err
	}
	list, err := os.ReadDir(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && len(list) > 0 && !(len(list) == 1 && list[0].Name() == lostFound) {
		err = fmt.Errorf("%s is not empty: it has %q: move what is there aside; a backup is restored into an empty folder alone", folder, list[0].Name())
	}
	return err
}

// makeFolder makes a folder, for its owner alone, unless it is there.
func makeFolder(name string) (made bool, err error) {
	if _, err := os.Stat(name); !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	return true, os.MkdirAll(name, 0o700)
}

// checkVersion refuses what a newer program made, where both have the version of a release.
func checkVersion(of, own string) error {
	if semver.IsValid(of) && semver.IsValid(own) && semver.Compare(of, own) > 0 {
		return fmt.Errorf("the backup was made by version %s, and this program is %s: restore it with that version or a newer one", of, own)
	}
	return nil
}

// checkStore holds that the store opens, and that the key which is with it is its own.
func checkStore(ctx context.Context, data, kind string) (err error) {
	if kind == storeShared {
		return nil
	}
	s, err := sqlstore.OpenSQLite(ctx, filepath.Join(data, "store.db"), sqlstore.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	key, err := store.ReadKey(filepath.Join(data, "store.key"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it is kept elsewhere
	}
	if err == nil {
		_, err = store.OpenSealer(ctx, s, key)
	}
	return err
}

// checkLog proves the audit log.
func checkLog(data string, records bool, public string) (*audit.Report, error) {
	dir := filepath.Join(data, auditDir)
	if !records {
		return nil, nil
	}
	report, err := audit.Verification{Public: public}.Log(dir)
	if err != nil {
		return nil, err
	}
	if n := len(report.Problems); n > 0 {
		return report, fmt.Errorf("its audit log is not as it was sealed: %s (%d such problems)", report.Problems[0], n)
	}
	return report, nil
}

// placeConfig moves the configuration to its place.
func placeConfig(staging, to string) error {
	if _, err := makeFolder(to); err != nil {
		return err
	}
	if err := moveAll(filepath.Join(staging, configDir), to); err != nil {
		return err
	}
	if err := notMissing(move(filepath.Join(staging, outsideDir), filepath.Join(to, outsideDir))); err != nil {
		return err
	}
	return settle(to, to) // here: what was copied from another file system is root's until then
}

// placeData moves what was restored to its place, and takes the mark away that it is not whole.
func placeData(from, to string) error {
	if err := moveAll(from, to); err != nil {
		return err
	}
	if err := os.RemoveAll(filepath.Join(to, restoring)); err != nil {
		return err
	}
	return syncFolder(to)
}

func notMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// moveAll moves what a folder has into another one.
func moveAll(from, to string) error {
	list, err := os.ReadDir(from)
	if err != nil {
		return notMissing(err)
	}
	for _, e := range list {
		if err := move(filepath.Join(from, e.Name()), filepath.Join(to, e.Name())); err != nil {
			return err
		}
	}
	return syncFolder(to)
}

// move renames a file or folder, or copies it to another file system.
func move(from, to string) error {
	err := os.Rename(from, to)
	if err == nil {
		return nil
	}
	info, serr := os.Stat(from)
	if serr != nil {
		return errors.Join(err, serr)
	}
	if info.IsDir() {
		if merr := os.Mkdir(to, 0o700); merr != nil {
			return errors.Join(err, merr)
		}
		return moveAll(from, to)
	}
	b, rerr := os.ReadFile(from)
	if rerr != nil {
		return errors.Join(err, rerr)
	}
	f, cerr := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, info.Mode().Perm())
	if cerr != nil {
		return errors.Join(err, cerr)
	}
	_, werr := f.Write(b)
	return errors.Join(werr, f.Sync(), f.Close())
}
