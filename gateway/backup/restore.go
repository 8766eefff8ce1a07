package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"

	"filippo.io/age"
)

// Target is where a backup is restored to, and what it is proven by.
type Target struct {
	// Data is the data directory: empty, or not there.
	Data string
	// Config is where the config file and the files of its folder are put: a folder that is empty or not there, and not in
	// the data directory. Files that were elsewhere are put below it, in the folder "outside". Empty: they are not restored.
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

// Restore reads a backup, proves it and puts it into its place. On an error both folders are as they were, unless what
// was proven was being put into its place, or the process was stopped: then [Interrupted] says so.
func Restore(ctx context.Context, from io.Reader, t Target) (*Proven, error) {
	p, err := restore(ctx, from, t)
	if err != nil {
		return nil, fmt.Errorf("restoring a backup: %w", err)
	}
	return p, nil
}

func restore(ctx context.Context, from io.Reader, t Target) (_ *Proven, err error) {
	if err := t.apart(); err != nil {
		return nil, err
	}
	var sites []*site
	placing := false
	defer func() {
		leave := (*site).close
		if err != nil && !placing { // what is in its place in part keeps the mark
			leave = (*site).abandon
		}
		for _, s := range slices.Backward(sites) {
			err = errors.Join(err, leave(s))
		}
	}()
	to := sinks{config: nowhere{}}
	var config *site
	if t.Config != "" { // before the data directory, which can be in it
		if config, err = claim(t.Config); err != nil {
			return nil, err
		}
		sites, to.config = append(sites, config), folder{root: config.staging}
	}
	data, err := claim(t.Data)
	if err != nil {
		return nil, err
	}
	sites, to.data = append(sites, data), folder{root: data.staging}
	p, err := t.prove(ctx, from, to, data.staging)
	if err != nil {
		return nil, err
	}
	for _, s := range sites {
		if err := settle(s.staging, s.root); err != nil { // the mark as it was made: what has its name by now can be a folder of others
			return nil, err
		}
	}
	placing = true
	if config != nil {
		if err := placeConfig(config); err != nil {
			return nil, err
		}
	}
	if err := data.place(dataDir); err != nil {
		return nil, err
	}
	return p, data.finish()
}

// apart holds that the configuration is not to be put into the data directory.
func (t Target) apart() error {
	if t.Config == "" {
		return nil
	}
	data, err := filepath.Abs(t.Data)
	if err != nil {
		return err
	}
	config, err := filepath.Abs(t.Config)
	if err != nil {
		return err
	}
	if rel, err := filepath.Rel(data, config); err == nil && filepath.IsLocal(rel) {
		return fmt.Errorf("%s is in the data directory %s: name another folder for the configuration", config, data)
	}
	return nil
}

// placeConfig moves the configuration to its place.
func placeConfig(s *site) error {
	if err := s.place(configDir); err != nil {
		return err
	}
	if err := s.root.Rename(restoring+"/"+outsideDir, outsideDir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return s.finish()
}
