package audit

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// cursor says what a sink was given: everything of the first Sealed sessions of
// the tree and of those in Done, and of others so many events.
type cursor struct {
	Sealed int64             `json:"sealed"`
	Done   map[int64]string  `json:"done,omitempty"` // by place in the tree
	Open   map[string]uint64 `json:"open,omitempty"`

	disk  *disk
	file  string
	fresh bool
	ids   map[string]bool // of Done
}

// maxCursor bounds a cursor's file, in bytes.
const maxCursor = 64 << 20

// openCursor reads the cursor of a sink, or makes a fresh one.
func openCursor(d *disk, dir, sink string) (*cursor, error) {
	if err := checkName(sink); err != nil {
		return nil, err
	}
	folder := filepath.Join(dir, "export")
	if err := d.mkdir(folder); err != nil {
		return nil, err
	}
	c := &cursor{disk: d, file: filepath.Join(folder, sink+".json")}
	st, err := os.Stat(c.file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		c.fresh = true
	case err != nil:
		return nil, err
	case st.Size() > maxCursor:
		return nil, fmt.Errorf("%s is not a cursor", c.file)
	default:
		b, err := os.ReadFile(c.file)
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal(b, c); err != nil {
			return nil, fmt.Errorf("the cursor %s: %w", c.file, err)
		}
	}
	if c.Done == nil {
		c.Done = make(map[int64]string)
	}
	if c.Open == nil {
		c.Open = make(map[string]uint64)
	}
	c.ids = make(map[string]bool)
	for _, id := range c.Done {
		c.ids[id] = true
	}
	return c, nil
}

// checkName holds that the name of a file is not a path.
func checkName(name string) error {
	if name == "" || len(name) > 64 || strings.Trim(strings.ToLower(name), "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
		return fmt.Errorf("%q cannot be the name of an export, copy or witness: want letters, digits and dashes", name)
	}
	return nil
}

func (c *cursor) isDone(id string) bool { return c.ids[id] }

// done notes that a sealed session was delivered whole.
func (c *cursor) done(id string, at int64) {
	delete(c.Open, id)
	if at < c.Sealed {
		return
	}
	c.Done[at] = id
	c.ids[id] = true
	for {
		next, ok := c.Done[c.Sealed]
		if !ok {
			return
		}
		delete(c.Done, c.Sealed)
		delete(c.ids, next)
		c.Sealed++
	}
}

// noMoreThan forgets what was delivered of a longer list of sealed sessions than there is,
// because a shorter one was adopted.
func (c *cursor) noMoreThan(sealed int64) {
	c.Sealed = min(c.Sealed, sealed)
	for at, id := range c.Done {
		if at >= sealed {
			delete(c.Done, at)
			delete(c.ids, id)
		}
	}
}

func (c *cursor) save() error {
	b, err := json.Marshal(c)
	if err != nil {
		return err
	}
	return c.disk.replace(c.file, b, 0o600)
}
