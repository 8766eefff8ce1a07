package audit

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// contents checks that what sealed sessions hold can be read, or was erased on record.
type contents struct {
	report  *Report
	archive *Archive // nil when the keys are sealed by one that is kept elsewhere
	gone    []string // sessions without a key
}

func (r *Report) newContents(dir string, k Keys) (*contents, error) {
	c := &contents{report: r}
	if k.Current == nil {
		elsewhere, err := keysLost(dir)
		var lost *HistoryError
		if errors.As(err, &lost) {
			r.problem("no session can be read: %v", err)
		} else if err != nil {
			return nil, err
		}
		if elsewhere || err != nil {
			return c, nil
		}
		if _, err := os.Stat(filepath.Join(dir, masterKey)); err != nil {
			return c, nil // and there is no key that it could open
		}
	}
	keys, err := openKeys(dir, k, nil)
	if err != nil {
		return nil, err
	}
	c.archive = newArchive(dir, keys)
	return c, nil
}

// check checks the key of a session whose record is as it was sealed.
func (c *contents) check(path, id string) {
	if c.archive == nil {
		c.report.Unopened++
		return
	}
	key, err := c.archive.presentKey(path, id)
	if errors.Is(err, ErrErased) {
		if err = moved(c.archive.dir, path, id); err == nil {
			c.gone = append(c.gone, id)
			return
		}
	}
	if err == nil {
		err = opensFile(path+recordSuffix, key)
	}
	if err != nil {
		c.report.problem("session %s: %v", id, err)
	}
}

func opensFile(file string, key []byte) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	return opens(f, key)
}

// opens holds that a key opens the first frame of a record.
func opens(f io.Reader, key []byte) error {
	r, err := newReader(f)
	if err != nil {
		return err
	}
	if err := r.unlock(key); err != nil {
		return err
	}
	sealed, err := r.next()
	if err != nil {
		return err
	}
	if _, err := r.open(sealed, func([]byte) bool { return false }); err != nil {
		return fmt.Errorf("its key is another's: %w", err)
	}
	return nil
}

// compare compares the sessions that have no key with what the gateway's own records say was
// erased.
func (c *contents) compare() error {
	if len(c.gone) == 0 {
		return nil
	}
	erased, err := c.archive.erasures()
	for _, id := range c.gone {
		if erased[id] != nil {
			c.report.Erased++
			continue
		}
		c.report.problem("session %s: %v", id, ErrKeyMissing)
	}
	return err
}
