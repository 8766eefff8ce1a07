package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/mod/semver"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/store"
	"github.com/sallyport/sallyport/store/sqlstore"
)

// Proven says what is in a backup that was read and proven.
type Proven struct {
	Summary
	// Log is what was found of the audit log; nil where the records are not in the backup.
	Log *audit.Report
}

// Check proves a backup as Restore does, and keeps nothing. What it reads is in a folder of this process's own until
// it returns, in os.TempDir, which needs as much room as the backup. t.Data and t.Config are not used.
func Check(ctx context.Context, from io.Reader, t Target) (*Proven, error) {
	p, err := check(ctx, from, t)
	if err != nil {
		return nil, fmt.Errorf("checking a backup: %w", err)
	}
	return p, nil
}

func check(ctx context.Context, from io.Reader, t Target) (_ *Proven, err error) {
	dir, err := os.MkdirTemp("", "sallyport-check-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	return t.prove(ctx, from, sinks{data: folder{root: root, lost: true}, config: nowhere{}}, root)
}

// prove reads a backup and holds that a gateway can go on from it. root is the folder into which the data directory's
// files are handed.
func (t Target) prove(ctx context.Context, from io.Reader, to sink, root *os.Root) (*Proven, error) {
	in := &reader{ctx: ctx, to: to, public: t.Public}
	if err := in.read(from, t.Keys); err != nil {
		return nil, err
	}
	p := &Proven{Summary: in.summary}
	if err := checkVersion(p.Version, t.Version); err != nil {
		return nil, err
	}
	if err := checkStore(ctx, root, p.Header); err != nil {
		return nil, err
	}
	var err error
	if p.Log, err = checkLog(root, p.Records, in.brought); err != nil && (p.Log == nil || !t.Unproven) {
		return nil, err
	}
	return p, nil
}

// checkVersion refuses what a newer program made, where both have the version of a release.
func checkVersion(of, own string) error {
	if semver.IsValid(of) && semver.IsValid(own) && semver.Compare(of, own) > 0 {
		return fmt.Errorf("the backup was made by version %s, and this program is %s: restore it with that version or a newer one", of, own)
	}
	return nil
}

// checkStore holds that the store is whole and opens, and that the key which is with it is its own. It looks at a copy: the
// store is restored as it was, and SQLite, which follows names, has a folder of this process's own.
func checkStore(ctx context.Context, root *os.Root, h Header) (err error) {
	if h.Store == storeShared {
		return nil
	}
	dir, err := os.MkdirTemp("", "sallyport-store-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	file := filepath.Join(dir, storeFile)
	if err := copyOut(root, dataDir+"/"+storeFile, file); err != nil {
		return err
	}
	if err := sqlstore.VerifySQLite(ctx, file); err != nil {
		return err
	}
	s, err := sqlstore.OpenSQLite(ctx, file, sqlstore.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if h.KeyElsewhere {
		return nil
	}
	text, err := root.ReadFile(dataDir + "/" + keyFile)
	if err != nil {
		return fmt.Errorf("the key that seals the store is to be in the backup: %w", err)
	}
	key, err := store.ParseKey(string(text))
	if err != nil {
		return fmt.Errorf("%s: %w", keyFile, err)
	}
	_, err = store.OpenSealer(ctx, s, key)
	return err
}

// copyOut copies a file to a new one, for its owner alone.
func copyOut(root *os.Root, name, to string) (err error) {
	from, err := root.Open(name)
	if err != nil {
		return err
	}
	defer from.Close()
	f, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, from)
	return errors.Join(err, f.Close())
}

// checkLog proves the audit log.
func checkLog(root *os.Root, records bool, public string) (*audit.Report, error) {
	if !records {
		return nil, nil
	}
	report, err := audit.Verification{Public: public}.Log(filepath.Join(root.Name(), dataDir, auditDir))
	if err != nil {
		return nil, err
	}
	if n := len(report.Problems); n > 0 {
		return report, fmt.Errorf("its audit log is not as it was sealed: %s (%d such problems)", report.Problems[0], n)
	}
	return report, nil
}
