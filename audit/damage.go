package audit

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
)

// damage is what is wrong with a pack or with its file of keys. What that does to its
// sessions is told with it, once.
type damage struct {
	file        string
	err         error
	missing     bool // nothing is wrong where its sessions do not need it
	first, last string
	ids         map[string]bool // of its sessions, as far as they are known
	failed      []string        // those that are not whole, or cannot be read
}

// has reports whether a session is, or may be, one of those that it holds.
func (d *damage) has(id string) bool {
	if d.ids != nil {
		return d.ids[id]
	}
	return d.first <= id && id <= d.last
}

// text is the sentence that tells it; empty when there is nothing to tell.
func (d *damage) text() string {
	if d.missing && len(d.failed) == 0 {
		return ""
	}
	what := ""
	switch n := len(d.failed); {
	case n > 0 && strings.HasSuffix(d.file, keysSuffix):
		what = fmt.Sprintf("; %s cannot be read, from %s to %s", plural(n, "sealed session", "sealed sessions"), d.failed[0], d.failed[n-1])
	case n > 0:
		what = fmt.Sprintf(", or put the records back from a copy, each as ID%s in that folder; %s not as sealed, from %s to %s",
			recordSuffix, plural(n, "session is", "sessions are"), d.failed[0], d.failed[n-1])
	}
	return d.err.Error() + what
}

type damageList []*damage

// of returns the damage that explains what is wrong with a session's record or key; nil when none does.
func (list damageList) of(suffix, id string) *damage {
	for _, d := range list {
		if strings.HasSuffix(d.file, suffix) && d.has(id) {
			return d
		}
	}
	return nil
}

// damages finds what is wrong with the packs themselves.
func (s *cabinet) damages() (list damageList, err error) {
	folders, err := s.folders()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	where := make(map[string]string) // the folder of each file
	for _, folder := range folders {
		names, err := s.relist(folder)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			where[name] = folder
		}
	}
	for _, folder := range folders {
		names := s.known(folder)
		for _, name := range names {
			for _, both := range [][2]table{{records, slots}, {slots, records}} {
				t, other := both[0], both[1]
				first, last, ok := t.sessions(name)
				if !ok {
					continue
				}
				file := filepath.Join(folder, name)
				entries, err := t.read(file)
				if errors.Is(err, fs.ErrNotExist) {
					continue
				}
				var ids map[string]bool
				for _, e := range entries {
					if ids == nil {
						ids = make(map[string]bool)
					}
					ids[e.id()] = true
				}
				var bad *packError
				switch {
				case errors.As(err, &bad):
					list = append(list, &damage{file: file, err: err, first: first, last: last, ids: ids})
				case err != nil:
					return nil, err
				}
				if pair := packName(first, last) + other.suffix; !slices.Contains(names, pair) {
					d := &damage{file: filepath.Join(folder, pair), missing: true, first: first, last: last, ids: ids}
					d.err = damagedPack(d.file, "it is missing, and %s is there", name)
					if elsewhere, ok := where[pair]; ok {
						d.err = &packError{fmt.Errorf("%s: it lies in %s, and %s in %s: one of the two was moved: move it back", pair, elsewhere, name, folder)}
					}
					list = append(list, d)
				}
			}
		}
	}
	return list, nil
}

// sessionProblem tells what is wrong with a session, once for all sessions of a damaged pack.
func (r *Report) sessionProblem(d *damage, format string, args ...any) {
	if d == nil {
		r.problem(format, args...)
		return
	}
	id, _ := args[0].(string)
	d.failed = append(d.failed, id)
}

// manyMissing is how many records one after the other are told together when they are missing.
const manyMissing = 8

// missingProblem tells which sessions have no record, in the order in which they were sealed.
func (r *Report) missingProblem(ids []string) {
	for len(ids) > 0 {
		day := dayOf(ids[0])
		n := 1
		for n < len(ids) && dayOf(ids[n]) == day {
			n++
		}
		if n < manyMissing {
			for _, id := range ids[:n] {
				r.problem("session %s is sealed, and its record is missing", id)
			}
		} else {
			r.problem("the records of %d sealed sessions that began on %s are missing, from session %s to %s: a pack or the folder sessions/%s was removed: "+
				"restore it from a backup, or put the records back from a copy, each as ID%s in that folder", n, day, ids[0], ids[n-1], day, recordSuffix)
		}
		ids = ids[n:]
	}
}
