// Package firstseen keeps in a file what was seen first under a name, such as the key by which a host proved itself when it was
// first reached, and how often people had it forgotten.
package firstseen

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode"

	"github.com/sallyport/sallyport/internal/newfile"
)

// Sight is what is known under a name. The zero value: nothing is.
type Sight struct {
	// Seen is what was seen; nil: nothing was, or it was forgotten.
	Seen []byte
	// Forgotten counts how often what is known under the name was forgotten.
	Forgotten int
}

// Equal reports whether two sights are the same.
func (s Sight) Equal(o Sight) bool { return bytes.Equal(s.Seen, o.Seen) && s.Forgotten == o.Forgotten }

// File is a file of sights, a line each: the name, what was seen in base64 or "-", and the count of Forgotten unless that is 0. It
// belongs to one process, and its folder is made with it. It is safe for concurrent use.
type File struct {
	path string
	mu   sync.Mutex
}

// At returns the file of a path, which it does not touch.
func At(path string) *File { return &File{path: path} }

// Known returns what was seen first under a name; nil: nothing was.
func (f *File) Known(_ context.Context, name string) ([]byte, error) {
	s, err := f.Get(name)
	return s.Seen, err
}

// Remember keeps what was seen under a name unless something was before, and returns what is kept then.
func (f *File) Remember(_ context.Context, name string, seen []byte) ([]byte, error) {
	for {
		before, err := f.Get(name)
		if err != nil || before.Seen != nil {
			return before.Seen, err
		}
		kept, err := f.Swap(name, before, Sight{seen, before.Forgotten})
		if err != nil {
			return nil, err
		}
		if kept {
			return seen, nil
		}
	}
}

// Get returns what is known under a name.
func (f *File) Get(name string) (Sight, error) {
	all, err := f.All()
	return all[name], err
}

// All returns all that is known, by name.
func (f *File) All() (map[string]Sight, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.read()
}

// Swap keeps after under a name if before is what is known there, and reports whether it is.
func (f *File) Swap(name string, before, after Sight) (bool, error) {
	if name == "" || strings.ContainsFunc(name, unicode.IsSpace) {
		return false, fmt.Errorf("writing %s: got the name %q, want one without spaces", f.path, name)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	all, err := f.read()
	if err != nil || !all[name].Equal(before) {
		return false, err
	}
	if before.Equal(after) {
		return true, nil
	}
	all[name] = after
	return true, f.write(all)
}

func (f *File) read() (map[string]Sight, error) {
	all := make(map[string]Sight)
	text, err := os.ReadFile(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return all, nil
	}
	if err != nil {
		return nil, err
	}
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		if line = strings.TrimRight(line, "\r\n"); line == "" {
			continue
		}
		name, s, err := parse(line)
		if err != nil {
			return nil, fmt.Errorf("reading %s: line %d: %w: remove the line if nobody knows what it was", f.path, n, err)
		}
		if _, twice := all[name]; !twice { // the first counts
			all[name] = s
		}
	}
	return all, nil
}

func parse(line string) (name string, s Sight, err error) {
	words := strings.Split(line, " ")
	if len(words) != 2 && len(words) != 3 || words[0] == "" {
		return "", s, errors.New("want a name, what was seen in base64, and perhaps a number")
	}
	if words[1] != "-" {
		if s.Seen, err = base64.StdEncoding.DecodeString(words[1]); err != nil || len(s.Seen) == 0 {
			return "", s, errors.New("want what was seen in base64")
		}
	}
	if len(words) == 3 {
		if s.Forgotten, err = strconv.Atoi(words[2]); err != nil || s.Forgotten < 1 {
			return "", s, fmt.Errorf("got the number %q, want how often it was forgotten", words[2])
		}
	}
	return words[0], s, nil
}

func (f *File) write(all map[string]Sight) error {
	var b bytes.Buffer
	for _, name := range slices.Sorted(maps.Keys(all)) {
		s := all[name]
		seen := "-"
		switch {
		case s.Seen != nil:
			seen = base64.StdEncoding.EncodeToString(s.Seen)
		case s.Forgotten == 0:
			continue // nothing is known
		}
		fmt.Fprintf(&b, "%s %s", name, seen)
		if s.Forgotten > 0 {
			fmt.Fprintf(&b, " %d", s.Forgotten)
		}
		b.WriteByte('\n')
	}
	if err := os.MkdirAll(filepath.Dir(f.path), 0o700); err != nil {
		return err
	}
	return newfile.Replace(f.path, b.Bytes())
}
