package store

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"
)

// State is what a store holds, and what its methods do, without any safety of its
// own: not for several goroutines, and not durable. Memory adds a lock. A store
// of your own that keeps everything as one value adds loading and saving; its JSON
// form is stable. The time is given to each method, and must never go back.
type State struct {
	Seq       int64
	Trimmed   int64 // changes up to this one are forgotten
	Documents map[string]Document
	Feed      []TimedChange
	Leases    map[string]Lease
}

// TimedChange is a change and when it was made.
type TimedChange struct {
	Change
	At time.Time
}

func key(kind, name string) string { return kind + "\x00" + name }

func (d *Document) live(now time.Time) bool { return d.Expires.IsZero() || d.Expires.After(now) }

func (d Document) clone() Document {
	d.Body = slices.Clone(d.Body)
	return d
}

// version is that of a document, 0 when there is no such one.
func (s *State) version(now time.Time, kind, name string) int64 {
	if d, ok := s.Documents[key(kind, name)]; ok && d.live(now) {
		return d.Version
	}
	return 0
}

// Get is Store.Get.
func (s *State) Get(now time.Time, kind, name string) (Document, error) {
	if err := CheckKey(kind, name); err != nil {
		return Document{}, err
	}
	d, ok := s.Documents[key(kind, name)]
	if !ok || !d.live(now) {
		return Document{}, NotFound(kind, name)
	}
	return d.clone(), nil
}

// List is Store.List.
func (s *State) List(now time.Time, q Query) ([]Document, error) {
	if err := q.Check(); err != nil {
		return nil, err
	}
	var found []Document
	for _, d := range s.Documents {
		if d.Kind == q.Kind && d.Name > q.After && strings.HasPrefix(d.Name, q.Prefix) && d.live(now) {
			found = append(found, d)
		}
	}
	slices.SortFunc(found, func(a, b Document) int { return strings.Compare(a.Name, b.Name) })
	found = found[:min(len(found), q.Limit)]
	size := 0
	for i := range found {
		if size += len(found[i].Body); i > 0 && size > MaxBatch {
			return found[:i], nil
		}
		found[i] = found[i].clone()
	}
	return found, nil
}

// Kinds is Store.Kinds.
func (s *State) Kinds(now time.Time) []string {
	kinds := make(map[string]bool)
	for _, d := range s.Documents {
		if d.live(now) {
			kinds[d.Kind] = true
		}
	}
	return slices.Sorted(maps.Keys(kinds))
}

// Write is Store.Write.
func (s *State) Write(now time.Time, ws ...Write) (int64, error) {
	if _, err := CheckWrites(ws); err != nil {
		return 0, err
	}
	for i := range ws {
		w := &ws[i]
		got := int64(0)
		if w.Op == OpFence {
			got = s.Leases[w.Name].Fence
		} else {
			got = s.version(now, w.Kind, w.Name)
		}
		if want := w.want(); got != want {
			return 0, &ConflictError{Op: w.Op, Kind: w.Kind, Name: w.Name, Want: want, Got: got}
		}
	}
	for i := range ws {
		if ws[i].Changes() {
			s.change(now, &ws[i])
		}
	}
	return s.Seq, nil
}

// want is the version that a write asks for.
func (w *Write) want() int64 {
	if w.Op == OpCreate {
		return 0
	}
	return w.Version
}

func (s *State) change(now time.Time, w *Write) {
	s.Seq++
	s.Feed = append(s.Feed, TimedChange{Change{Seq: s.Seq, Kind: w.Kind, Name: w.Name, Deleted: w.Op == OpDelete}, now})
	k := key(w.Kind, w.Name)
	if w.Op == OpDelete {
		delete(s.Documents, k)
		return
	}
	created := now
	if w.Op == OpReplace {
		created = s.Documents[k].Created
	}
	if s.Documents == nil {
		s.Documents = make(map[string]Document)
	}
	s.Documents[k] = Document{
		Kind: w.Kind, Name: w.Name, Version: s.Seq, Body: slices.Clone(w.Body),
		Expires: w.Expires.UTC().Truncate(time.Microsecond), Created: created, Updated: now,
	}
}

// Changes is Store.Changes.
func (s *State) Changes(since int64, limit int) ([]Change, error) {
	if err := CheckLimit(&limit); err != nil {
		return nil, err
	}
	if err := CheckSince(since, s.Trimmed, s.Seq); err != nil {
		return nil, err
	}
	from, _ := slices.BinarySearchFunc(s.Feed, since+1, func(c TimedChange, seq int64) int { return cmp.Compare(c.Seq, seq) })
	var found []Change
	for _, c := range s.Feed[from:min(len(s.Feed), from+limit)] {
		found = append(found, c.Change)
	}
	return found, nil
}

// Acquire is Store.Acquire.
func (s *State) Acquire(now time.Time, name, holder string, ttl time.Duration) (Lease, error) {
	if err := CheckLease(name, holder, ttl); err != nil {
		return Lease{}, err
	}
	l := s.Leases[name]
	if l.Holder != holder {
		if l.Until.After(now) {
			return Lease{}, &HeldError{l}
		}
		l = Lease{Name: name, Holder: holder, Fence: l.Fence + 1}
	}
	l.Until = now.Add(ttl)
	if s.Leases == nil {
		s.Leases = make(map[string]Lease)
	}
	s.Leases[name] = l
	return l, nil
}

// Release is Store.Release.
func (s *State) Release(l Lease) {
	if held := s.Leases[l.Name]; held.Holder == l.Holder && held.Fence == l.Fence && l.Fence > 0 {
		s.Leases[l.Name] = Lease{Name: l.Name, Fence: l.Fence + 1}
	}
}

// Sweep is Store.Sweep.
func (s *State) Sweep(now time.Time) {
	for _, k := range slices.Sorted(maps.Keys(s.Documents)) {
		if d := s.Documents[k]; !d.live(now) {
			s.change(now, &Write{Op: OpDelete, Kind: d.Kind, Name: d.Name})
		}
	}
	n := max(0, len(s.Feed)-MaxFeed)
	for n < len(s.Feed) && s.Feed[n].At.Before(now.Add(-KeepFeed)) {
		n++
	}
	if n > 0 {
		s.Trimmed = s.Feed[n-1].Seq
		s.Feed = slices.Delete(s.Feed, 0, n)
	}
}
