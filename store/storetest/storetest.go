// Package storetest holds the tests that every store.Store passes.
package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/store"
)

// patience is how long a test waits for what must happen.
const patience = 20 * time.Second

// Test runs all tests. Each gets an empty store from open, which cleans up itself.
func Test(t *testing.T, open func(t *testing.T) store.Store) {
	for _, c := range []struct {
		name string
		test func(t *testing.T, s store.Store)
	}{
		{"Documents", testDocuments},
		{"Versions", testVersions},
		{"AllOrNone", testAllOrNone},
		{"Names", testNames},
		{"Limits", testLimits},
		{"List", testList},
		{"LargePages", testLargePages},
		{"Ownership", testOwnership},
		{"Expiry", testExpiry},
		{"Feed", testFeed},
		{"FeedOrder", testFeedOrder},
		{"Follow", testFollow},
		{"Wait", testWait},
		{"Race", testRace},
		{"Update", testUpdate},
		{"Leases", testLeases},
		{"Fences", testFences},
		{"Contexts", testContexts},
		{"Copy", testCopy},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, open(t)) })
	}
}

func no(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func is(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("got error %v, want %v", err, want)
	}
}

func equal[T any](t *testing.T, what string, got, want T) {
	t.Helper()
	if g, w := fmt.Sprintf("%+v", got), fmt.Sprintf("%+v", want); g != w {
		t.Fatalf("%s: got %s, want %s", what, g, w)
	}
}

// until waits for a condition.
func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: got nothing in %s", what, patience)
		}
	}
}

func doc(kind, name, body string) store.Document {
	return store.Document{Kind: kind, Name: name, Body: []byte(body)}
}

func write(t *testing.T, s store.Store, ws ...store.Write) int64 {
	t.Helper()
	seq, err := s.Write(t.Context(), ws...)
	no(t, err)
	return seq
}

func get(t *testing.T, s store.Store, kind, name string) store.Document {
	t.Helper()
	d, err := s.Get(t.Context(), kind, name)
	no(t, err)
	return d
}

func head(t *testing.T, s store.Store) (int64, time.Time) {
	t.Helper()
	seq, now, err := s.Head(t.Context())
	no(t, err)
	return seq, now
}

func change(seq int64, kind, name string, deleted bool) store.Change {
	return store.Change{Seq: seq, Kind: kind, Name: name, Deleted: deleted}
}

func changes(t *testing.T, s store.Store, since int64) []store.Change {
	t.Helper()
	var all []store.Change
	for {
		cs, err := s.Changes(t.Context(), since, 3)
		no(t, err)
		if len(cs) == 0 {
			return all
		}
		all = append(all, cs...)
		since = cs[len(cs)-1].Seq
	}
}

func names(t *testing.T, s store.Store, kind, prefix string) []string {
	t.Helper()
	var all []string
	for d, err := range store.All(t.Context(), s, kind, prefix) {
		no(t, err)
		all = append(all, d.Name)
	}
	return all
}

func testDocuments(t *testing.T, s store.Store) {
	_, err := s.Get(t.Context(), "user", "alice")
	is(t, err, store.ErrNotFound)
	seq, before := head(t, s)
	equal(t, "number of an empty store", seq, 0)
	const body = `{"n": 1.00, "s": "\u0000 ü 🦊 '\" -- $1 ?1"} `
	write(t, s, store.Create(doc("user", "alice", body)))
	d := get(t, s, "user", "alice")
	equal(t, "body", string(d.Body), body)
	equal(t, "kind and name", d.Kind+" "+d.Name, "user alice")
	if d.Version != 1 || !d.Expires.IsZero() || d.Created.Before(before) || !d.Created.Equal(d.Updated) {
		t.Fatalf("got %+v after %s", d, before)
	}
	d.Body = []byte(`2`)
	d.Expires = time.Date(2999, 1, 2, 3, 4, 5, 678901234, time.FixedZone("", 3600))
	write(t, s, store.Replace(d))
	e := get(t, s, "user", "alice")
	equal(t, "body", string(e.Body), "2")
	equal(t, "expiry", e.Expires, time.Date(2999, 1, 2, 2, 4, 5, 678901000, time.UTC))
	if e.Version != 2 || !e.Created.Equal(d.Created) || e.Updated.Before(d.Updated) || e.Created.Location() != time.UTC {
		t.Fatalf("got %+v after %+v", e, d)
	}
	_, err = s.Get(t.Context(), "users", "alice")
	is(t, err, store.ErrNotFound)
	write(t, s, store.Delete(e), store.Create(doc("group", "alice", `{}`)))
	_, err = s.Get(t.Context(), "user", "alice")
	is(t, err, store.ErrNotFound)
	kinds, err := s.Kinds(t.Context())
	no(t, err)
	equal(t, "kinds", kinds, []string{"group"})
	_, now := head(t, s)
	if now.Before(e.Updated) {
		t.Fatalf("the store's time is %s, after a change at %s", now, e.Updated)
	}
}

func conflict(t *testing.T, s store.Store, w store.Write, want, got int64) {
	t.Helper()
	before, _ := head(t, s)
	_, err := s.Write(t.Context(), w)
	is(t, err, store.ErrConflict)
	var c *store.ConflictError
	if !errors.As(err, &c) {
		t.Fatalf("got error %v, want a *ConflictError", err)
	}
	equal(t, "conflict", *c, store.ConflictError{Op: w.Op, Kind: w.Kind, Name: w.Name, Want: want, Got: got})
	if strings.Contains(err.Error(), "hidden") {
		t.Fatalf("error %v holds the body", err)
	}
	after, _ := head(t, s)
	equal(t, "number after a conflict", after, before)
}

func testVersions(t *testing.T, s store.Store) {
	absent := doc("k", "n", `"hidden"`)
	absent.Version = 7
	conflict(t, s, store.Replace(absent), 7, 0)
	conflict(t, s, store.Delete(absent), 7, 0)
	conflict(t, s, store.Require(absent), 7, 0)
	write(t, s, store.Require(doc("k", "n", "")))
	write(t, s, store.Create(absent))
	first := get(t, s, "k", "n")
	conflict(t, s, store.Create(absent), 0, 1)
	conflict(t, s, store.Require(doc("k", "n", "")), 0, 1)
	equal(t, "number after a guard", write(t, s, store.Require(first)), 1)
	write(t, s, store.Replace(first))
	conflict(t, s, store.Replace(first), 1, 2)
	conflict(t, s, store.Delete(first), 1, 2)
	conflict(t, s, store.Require(first), 1, 2)
	write(t, s, store.Delete(get(t, s, "k", "n")))
	write(t, s, store.Create(absent))
	// A version never comes back.
	conflict(t, s, store.Replace(first), 1, 4)
}

func testAllOrNone(t *testing.T, s store.Store) {
	write(t, s, store.Create(doc("k", "a", "1")), store.Create(doc("k", "b", "1")))
	a, b := get(t, s, "k", "a"), get(t, s, "k", "b")
	equal(t, "versions", []int64{a.Version, b.Version}, []int64{1, 2})
	stale := b
	stale.Version = 1
	for _, last := range []store.Write{store.Replace(stale), store.Delete(stale), store.Require(stale), store.Create(b), store.Fence(store.Lease{Name: "l", Fence: 1})} {
		a.Body = []byte("2")
		_, err := s.Write(t.Context(), store.Replace(a), store.Create(doc("k", "c", "1")), last)
		is(t, err, store.ErrConflict)
		equal(t, "document", string(get(t, s, "k", "a").Body), "1")
		equal(t, "names", names(t, s, "k", ""), []string{"a", "b"})
		equal(t, "feed", len(changes(t, s, 0)), 2)
	}
	equal(t, "number", write(t, s, store.Require(doc("k", "d", "")), store.Replace(a), store.Create(doc("k", "c", "1")), store.Delete(b)), 5)
	equal(t, "feed", changes(t, s, 2), []store.Change{change(3, "k", "a", false), change(4, "k", "c", false), change(5, "k", "b", true)})
}

func testNames(t *testing.T, s store.Store) {
	for _, name := range []string{
		"a", " ", "https://login.example.com/|00u1", "100%_'\"\\;--?1$1", "ü", "日本", "🦊", "A", strings.Repeat("x", store.MaxName), "..", "/etc/passwd", "CON", "a.", "a*",
	} {
		write(t, s, store.Create(doc("k", name, "1")))
		equal(t, "name", get(t, s, "k", name).Name, name)
	}
	for _, name := range []string{"", "a\x00", "a\nb", "\xff", "a\u202eb", "\U0010FFFF", "\ufeffa", strings.Repeat("x", store.MaxName+1), "a\u0085"} {
		_, err := s.Write(t.Context(), store.Create(doc("k", name, "1")))
		is(t, err, store.ErrInvalid)
		_, err = s.Get(t.Context(), "k", name)
		is(t, err, store.ErrInvalid)
	}
	for _, kind := range []string{"", "K", "1", "a b", "a/b", "ü", strings.Repeat("k", store.MaxKind+1), "a\x00"} {
		_, err := s.Write(t.Context(), store.Create(doc(kind, "n", "1")))
		is(t, err, store.ErrInvalid)
		_, err = s.List(t.Context(), store.Query{Kind: kind})
		is(t, err, store.ErrInvalid)
	}
	write(t, s, store.Create(doc(strings.Repeat("k", store.MaxKind), "n", "1")), store.Create(doc("a-b.c_0", "n", "1")))
}

func testLimits(t *testing.T, s store.Store) {
	big := `"` + strings.Repeat("x", store.MaxBody-2) + `"`
	write(t, s, store.Create(doc("k", "big", big)))
	equal(t, "bytes", len(get(t, s, "k", "big").Body), store.MaxBody)
	for what, ws := range map[string][]store.Write{
		"nothing":         nil,
		"a large body":    {store.Create(doc("k", "n", big+" "))},
		"no body":         {store.Create(doc("k", "n", ""))},
		"not JSON":        {store.Create(doc("k", "n", "{"))},
		"two texts":       {store.Create(doc("k", "n", "1 2"))},
		"not UTF-8":       {store.Create(doc("k", "n", "\"\xff\""))},
		"NUL":             {store.Create(doc("k", "n", "1\x00"))},
		"twice":           {store.Create(doc("k", "n", "1")), store.Require(doc("k", "n", ""))},
		"no version":      {store.Replace(doc("k", "n", "1"))},
		"no version gone": {store.Delete(doc("k", "n", "1"))},
		"a version below": {{Op: store.OpRequire, Kind: "k", Name: "n", Version: -1}},
		"no operation":    {{Kind: "k", Name: "n", Body: []byte("1")}},
		"an old expiry":   {{Op: store.OpCreate, Kind: "k", Name: "n", Body: []byte("1"), Expires: time.Unix(-5, 0)}},
		"a late expiry":   {{Op: store.OpCreate, Kind: "k", Name: "n", Body: []byte("1"), Expires: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)}},
		"a fence's kind":  {{Op: store.OpFence, Kind: "k", Name: "n"}},
	} {
		if _, err := s.Write(t.Context(), ws...); !errors.Is(err, store.ErrInvalid) {
			t.Fatalf("%s: got %v, want ErrInvalid", what, err)
		}
	}
	var many []store.Write
	for i := range store.MaxWrites + 1 {
		many = append(many, store.Create(doc("k", fmt.Sprint(i), "1")))
	}
	_, err := s.Write(t.Context(), many...)
	is(t, err, store.ErrInvalid)
	write(t, s, many[1:]...)
	var large []store.Write
	for i := range store.MaxBatch/store.MaxBody + 1 {
		large = append(large, store.Create(doc("large", fmt.Sprint(i), big)))
	}
	_, err = s.Write(t.Context(), large...)
	is(t, err, store.ErrInvalid)
	for _, limit := range []int{-1, store.MaxPage + 1} {
		_, err = s.List(t.Context(), store.Query{Kind: "k", Limit: limit})
		is(t, err, store.ErrInvalid)
		_, err = s.Changes(t.Context(), 0, limit)
		is(t, err, store.ErrInvalid)
	}
	for _, ttl := range []time.Duration{0, -1, store.MaxTTL + 1} {
		_, err = s.Acquire(t.Context(), "l", "h", ttl)
		is(t, err, store.ErrInvalid)
	}
	for _, names := range [][2]string{{"", "h"}, {"l", ""}, {"l\x00", "h"}, {"l", "h\n"}} {
		_, err = s.Acquire(t.Context(), names[0], names[1], time.Second)
		is(t, err, store.ErrInvalid)
	}
}

func testList(t *testing.T, s store.Store) {
	want := []string{"A", "Z", "a", "a/1", "a/2", "a/ü", "a0", "b", "ü", "日", "🦊"} // the order of bytes
	for _, i := range []int{3, 0, 7, 1, 9, 2, 10, 5, 4, 8, 6} {
		write(t, s, store.Create(doc("k", want[i], "1")), store.Create(doc("other", want[i]+"!", "1")))
	}
	equal(t, "names", names(t, s, "k", ""), want)
	equal(t, "names with a prefix", names(t, s, "k", "a/"), want[3:6])
	equal(t, "names with a prefix", names(t, s, "k", "a"), want[2:7])
	equal(t, "names with a prefix", names(t, s, "k", "%"), nil)
	for _, c := range []struct {
		q    store.Query
		want []string
	}{
		{store.Query{Limit: 2}, want[:2]},
		{store.Query{Limit: 2, After: "Z"}, want[2:4]},
		{store.Query{Prefix: "a/", After: "a/1"}, want[4:6]},
		{store.Query{Prefix: "a/", After: "A"}, want[3:6]},
		{store.Query{Prefix: "a/", After: "b"}, nil},
		{store.Query{After: "a/1x"}, want[4:]},
		{store.Query{After: "🦊"}, nil},
	} {
		c.q.Kind = "k"
		page, err := s.List(t.Context(), c.q)
		no(t, err)
		var got []string
		for _, d := range page {
			got = append(got, d.Name)
		}
		equal(t, fmt.Sprintf("%+v", c.q), got, c.want)
	}
	kinds, err := s.Kinds(t.Context())
	no(t, err)
	equal(t, "kinds", kinds, []string{"k", "other"})
}

func testLargePages(t *testing.T, s store.Store) {
	body := `"` + strings.Repeat("x", store.MaxBody-2) + `"`
	n := store.MaxBatch/store.MaxBody + 3
	for i := range n {
		write(t, s, store.Create(doc("k", fmt.Sprintf("%02d", i), body)))
	}
	page, err := s.List(t.Context(), store.Query{Kind: "k"})
	no(t, err)
	if size := len(page) * store.MaxBody; len(page) == 0 || size > store.MaxBatch {
		t.Fatalf("got a page of %d bytes, want at most %d", size, store.MaxBatch)
	}
	equal(t, "documents", len(names(t, s, "k", "")), n)
}

func testOwnership(t *testing.T, s store.Store) {
	body := []byte(`"mine"`)
	write(t, s, store.Create(store.Document{Kind: "k", Name: "n", Body: body}))
	body[1] = 'X'
	d := get(t, s, "k", "n")
	d.Body[1] = 'Y'
	for e, err := range store.All(t.Context(), s, "k", "") {
		no(t, err)
		e.Body[1] = 'Z'
	}
	equal(t, "body", string(get(t, s, "k", "n").Body), `"mine"`)
}

func testExpiry(t *testing.T, s store.Store) {
	_, now := head(t, s)
	d := doc("k", "soon", "1")
	d.Expires = now.Add(300 * time.Millisecond)
	past := doc("k", "past", "1")
	past.Expires = now.Add(-time.Second)
	late := doc("k", "late", "1")
	late.Expires = now.Add(time.Hour)
	write(t, s, store.Create(d), store.Create(past), store.Create(late), store.Create(doc("k", "z", "1")))
	_, err := s.Get(t.Context(), "k", "past")
	is(t, err, store.ErrNotFound)
	soon := get(t, s, "k", "soon")
	until(t, "expiry", func() bool {
		_, err := s.Get(t.Context(), "k", "soon")
		if err != nil {
			is(t, err, store.ErrNotFound)
		}
		_, now = head(t, s)
		return err != nil
	})
	if now.Before(d.Expires) {
		t.Fatalf("gone at %s, want at %s", now, d.Expires)
	}
	equal(t, "names", names(t, s, "k", ""), []string{"late", "z"})
	// What has expired does not exist, also where nobody has swept.
	conflict(t, s, store.Replace(soon), soon.Version, 0)
	conflict(t, s, store.Delete(soon), soon.Version, 0)
	conflict(t, s, store.Require(soon), soon.Version, 0)
	write(t, s, store.Require(doc("k", "past", "")))
	write(t, s, store.Create(doc("k", "soon", "2")))
	again := get(t, s, "k", "soon")
	if again.Version != 5 || again.Created.Before(soon.Expires) {
		t.Fatalf("got %+v, want a new document", again)
	}
	before, _ := head(t, s)
	for more := true; more; {
		more, err = s.Sweep(t.Context())
		no(t, err)
	}
	equal(t, "feed", changes(t, s, before), []store.Change{change(6, "k", "past", true)})
	equal(t, "names", names(t, s, "k", ""), []string{"late", "soon", "z"})
	more, err := s.Sweep(t.Context())
	no(t, err)
	equal(t, "more to sweep", more, false)
	if seq, _ := head(t, s); seq != 6 {
		t.Fatalf("sweeping nothing has made changes: got %d, want 6", seq)
	}

	var many []store.Write
	for i := range 250 {
		d := doc("many", fmt.Sprint(i), "1")
		d.Expires = now.Add(-time.Second)
		many = append(many, store.Create(d))
	}
	write(t, s, many...)
	for more := true; more; {
		more, err = s.Sweep(t.Context())
		no(t, err)
	}
	gone := changes(t, s, 256)
	equal(t, "changes of sweeping many", len(gone), 250)
	for i, c := range gone {
		if c.Seq != int64(257+i) || !c.Deleted || c.Kind != "many" {
			t.Fatalf("got %+v as change %d", c, i)
		}
	}
}

func testFeed(t *testing.T, s store.Store) {
	equal(t, "feed of an empty store", len(changes(t, s, 0)), 0)
	write(t, s, store.Create(doc("k", "a", "1")))
	a := get(t, s, "k", "a")
	write(t, s, store.Create(doc("k", "b", "1")))
	write(t, s, store.Replace(a))
	write(t, s, store.Delete(get(t, s, "k", "b")))
	all := []store.Change{change(1, "k", "a", false), change(2, "k", "b", false), change(3, "k", "a", false), change(4, "k", "b", true)}
	for since := range int64(5) {
		equal(t, fmt.Sprintf("after %d", since), changes(t, s, since), all[since:])
	}
	cs, err := s.Changes(t.Context(), 1, 2)
	no(t, err)
	equal(t, "two", cs, all[1:3])
	for _, since := range []int64{-1, 5, 1 << 60} { // a reader ahead has seen another store
		_, err := s.Changes(t.Context(), since, 0)
		is(t, err, store.ErrTrimmed)
	}
}

// testFeedOrder holds that a reader which goes on from the last change that it saw
// misses nothing, while many write.
func testFeedOrder(t *testing.T, s store.Store) {
	const writers, each = 8, 25
	var wg sync.WaitGroup
	failed := make(chan error, writers)
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				name := fmt.Sprintf("%d-%d", w, i)
				if _, err := s.Write(t.Context(), store.Create(doc("k", name, "1")), store.Create(doc("l", name, "1"))); err != nil {
					failed <- err
					return
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	var since int64
	seen := make(map[string]bool)
	for last := false; ; {
		cs, err := s.Changes(t.Context(), since, 7)
		no(t, err)
		for _, c := range cs {
			if c.Seq != since+1 || seen[c.Kind+c.Name] {
				t.Fatalf("got change %+v after %d", c, since)
			}
			since, seen[c.Kind+c.Name] = c.Seq, true
		}
		if last && len(cs) == 0 {
			break
		}
		select {
		case <-done:
			last = true
		default:
		}
	}
	select {
	case err := <-failed:
		t.Fatal(err)
	default:
	}
	equal(t, "changes that were seen", len(seen), 2*writers*each)
}

func testFollow(t *testing.T, s store.Store) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	write(t, s, store.Create(doc("k", "0", "1")))
	go func() {
		for i := 1; i < 20; i++ {
			if _, err := s.Write(ctx, store.Create(doc("k", fmt.Sprint(i), "1"))); err != nil {
				t.Error(err)
			}
		}
	}()
	next := int64(1)
	for cs, err := range store.Follow(ctx, s, 0) {
		no(t, err)
		for _, c := range cs {
			equal(t, "number", c.Seq, next)
			next++
		}
		if next > 20 {
			break
		}
	}
	equal(t, "next number", next, 21)
	n := 0
	for _, err := range store.Follow(ctx, s, 99) {
		is(t, err, store.ErrTrimmed)
		n++
	}
	equal(t, "errors after which following ends", n, 1)
	cancel()
	for range store.Follow(ctx, s, 0) {
		t.Fatal("following goes on after its context")
	}
}

func testWait(t *testing.T, s store.Store) {
	seq := write(t, s, store.Create(doc("k", "a", "1")))
	no(t, s.Wait(t.Context(), seq-1)) // a change before the call
	begun := time.Now()
	no(t, s.Wait(t.Context(), seq))
	if d := time.Since(begun); d > store.PollEvery+5*time.Second {
		t.Fatalf("waited %s without a change, want about %s", d, store.PollEvery)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	is(t, s.Wait(ctx, seq), context.Canceled)
}

// testRace holds that of many who change one version, one does.
func testRace(t *testing.T, s store.Store) {
	write(t, s, store.Create(doc("k", "n", "0")))
	for range 10 {
		d := get(t, s, "k", "n")
		var wg sync.WaitGroup
		var mu sync.Mutex
		won := 0
		for range 8 {
			wg.Go(func() {
				_, err := s.Write(t.Context(), store.Replace(d))
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					won++
				} else if !errors.Is(err, store.ErrConflict) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		equal(t, "winners", won, 1)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	won := 0
	for range 8 {
		wg.Go(func() {
			if _, err := s.Write(t.Context(), store.Create(doc("k", "new", "0"))); err == nil {
				mu.Lock()
				won++
				mu.Unlock()
			} else if !errors.Is(err, store.ErrConflict) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	equal(t, "winners", won, 1)
}

func testUpdate(t *testing.T, s store.Store) {
	add := func(d store.Document) ([]store.Write, error) {
		if d.Version == 0 {
			d.Body = []byte(`""`)
			return []store.Write{store.Create(d)}, nil
		}
		d.Body = fmt.Appendf(nil, `"%sx"`, bytes.Trim(d.Body, `"`))
		return []store.Write{store.Replace(d)}, nil
	}
	no(t, store.Update(t.Context(), s, "k", "n", add))
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if err := store.Update(t.Context(), s, "k", "n", add); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	equal(t, "body", string(get(t, s, "k", "n").Body), `"xxxx"`)
	is(t, store.Update(t.Context(), s, "k", "n", func(store.Document) ([]store.Write, error) { return nil, context.Canceled }), context.Canceled)
	no(t, store.Update(t.Context(), s, "k", "n", func(store.Document) ([]store.Write, error) { return nil, nil }))
	n := 0
	is(t, store.Update(t.Context(), s, "k", "n", func(d store.Document) ([]store.Write, error) {
		n++
		return []store.Write{store.Create(d)}, nil
	}), store.ErrConflict)
	equal(t, "attempts", n, 10)
}

func testLeases(t *testing.T, s store.Store) {
	ctx := t.Context()
	a, err := s.Acquire(ctx, "sweeper", "a", time.Minute)
	no(t, err)
	_, now := head(t, s)
	if a.Fence != 1 || a.Until.Before(now) || a.Until.After(now.Add(time.Minute)) || a.Name != "sweeper" || a.Holder != "a" {
		t.Fatalf("got %+v at %s", a, now)
	}
	_, err = s.Acquire(ctx, "sweeper", "b", time.Minute)
	is(t, err, store.ErrHeld)
	var held *store.HeldError
	if !errors.As(err, &held) || held.Holder != "a" || !held.Until.Equal(a.Until) {
		t.Fatalf("got %#v, want that of a", err)
	}
	other, err := s.Acquire(ctx, "other", "b", time.Minute)
	no(t, err)
	equal(t, "fence", other.Fence, 1)
	again, err := s.Acquire(ctx, "sweeper", "a", time.Hour)
	no(t, err)
	if again.Fence != a.Fence || !again.Until.After(a.Until) {
		t.Fatalf("renewed: got %+v, before %+v", again, a)
	}
	no(t, s.Release(ctx, store.Lease{Name: "sweeper", Holder: "b", Fence: a.Fence})) // not b's
	no(t, s.Release(ctx, store.Lease{Name: "never", Holder: "", Fence: 0}))
	_, err = s.Acquire(ctx, "sweeper", "b", time.Minute)
	is(t, err, store.ErrHeld)
	no(t, s.Release(ctx, a))
	b, err := s.Acquire(ctx, "sweeper", "b", 50*time.Millisecond)
	no(t, err)
	if b.Fence <= a.Fence {
		t.Fatalf("fence of the next holder: got %d, want more than %d", b.Fence, a.Fence)
	}
	no(t, s.Release(ctx, a)) // a's no longer
	var c store.Lease
	until(t, "the lease's end", func() bool {
		c, err = s.Acquire(ctx, "sweeper", "c", time.Minute)
		if err != nil {
			is(t, err, store.ErrHeld)
		}
		return err == nil
	})
	_, now = head(t, s)
	if c.Fence <= b.Fence || now.Before(b.Until) {
		t.Fatalf("got %+v at %s after %+v", c, now, b)
	}
	// Of many who want it, one gets it.
	var wg sync.WaitGroup
	var mu sync.Mutex
	won := 0
	for i := range 8 {
		wg.Go(func() {
			_, err := s.Acquire(ctx, "race", fmt.Sprint(i), time.Minute)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				won++
			} else if !errors.Is(err, store.ErrHeld) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	equal(t, "holders", won, 1)
}

func testFences(t *testing.T, s store.Store) {
	ctx := t.Context()
	a, err := s.Acquire(ctx, "l", "a", 30*time.Millisecond)
	no(t, err)
	write(t, s, store.Fence(a), store.Create(doc("k", "1", "1")))
	until(t, "the lease's end", func() bool { _, now := head(t, s); return now.After(a.Until) })
	write(t, s, store.Fence(a), store.Create(doc("k", "2", "1"))) // nobody has taken it
	b, err := s.Acquire(ctx, "l", "b", time.Minute)
	no(t, err)
	conflict(t, s, store.Fence(a), a.Fence, b.Fence)
	write(t, s, store.Fence(b), store.Create(doc("k", "3", "1")))
	no(t, s.Release(ctx, b))
	conflict(t, s, store.Fence(b), b.Fence, b.Fence+1)
	equal(t, "names", names(t, s, "k", ""), []string{"1", "2", "3"})
}

func testContexts(t *testing.T, s store.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.Write(ctx, store.Create(doc("k", "n", "1")))
	is(t, err, context.Canceled)
	if errors.Is(err, store.ErrUncertain) {
		t.Fatalf("got %v, want that nothing is written", err)
	}
	equal(t, "names", names(t, s, "k", ""), nil)
}

func testCopy(t *testing.T, from store.Store) {
	_, now := head(t, from)
	var all []store.Document
	for i := range 300 {
		d := doc([]string{"k", "l"}[i%2], fmt.Sprintf("%03d", i), fmt.Sprintf(`{"i": %d}`, i))
		if i%3 == 0 {
			d.Expires = now.Add(time.Hour)
		}
		all = append(all, d)
	}
	for page := range slices.Chunk(all, store.MaxWrites) {
		var ws []store.Write
		for _, d := range page {
			ws = append(ws, store.Create(d))
		}
		write(t, from, ws...)
	}
	to := store.NewMemory()
	write(t, to, store.Create(all[4])) // as an attempt before has left it
	n, err := store.Copy(t.Context(), to, from)
	no(t, err)
	equal(t, "copied", n, 299)
	for _, want := range all {
		got := get(t, to, want.Kind, want.Name)
		equal(t, "body", string(got.Body), string(want.Body))
		equal(t, "expiry", got.Expires, want.Expires)
	}
	d := get(t, to, "k", "000")
	d.Body = []byte("0")
	write(t, to, store.Replace(d))
	_, err = store.Copy(t.Context(), to, from)
	is(t, err, store.ErrConflict)
}
