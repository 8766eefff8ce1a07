package identitytest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/identity"
)

// TestDocuments tests where the state of identities is kept. create returns an empty
// one.
func TestDocuments(t *testing.T, create func(t *testing.T) identity.Documents) {
	docs := create(t)
	ctx := t.Context()
	write := func(kind string, d identity.Document) int64 {
		t.Helper()
		v, err := docs.Write(ctx, kind, d)
		must(t, err)
		return v
	}
	conflict := func(what string, d identity.Document) {
		t.Helper()
		if _, err := docs.Write(ctx, "a", d); !errors.Is(err, identity.ErrConflict) {
			t.Errorf("%s: got error %v, want one that wraps ErrConflict", what, err)
		}
	}
	missing := func(kind, name string) {
		t.Helper()
		if _, err := docs.Get(ctx, kind, name); !errors.Is(err, identity.ErrNoDocument) {
			t.Errorf("%s %q, which does not exist: got error %v, want one that wraps ErrNoDocument", kind, name, err)
		}
	}
	missing("a", "one")
	conflict("a version of what does not exist", identity.Document{Name: "one", Version: 7, Body: []byte(`{}`)})
	until := time.Now().Add(time.Hour).Truncate(time.Second)
	body := []byte(`{"n":1}`)
	v := write("a", identity.Document{Name: "one", Body: body, Expires: until})
	copy(body, "clobbered")
	d, err := docs.Get(ctx, "a", "one")
	must(t, err)
	if d.Name != "one" || d.Version != v || v == 0 || !bytes.Equal(bytes.ReplaceAll(d.Body, []byte(" "), nil), []byte(`{"n":1}`)) || !d.Expires.Equal(until) {
		t.Errorf("what was written is read as %+v with body %s", d, d.Body)
	}
	missing("b", "one")
	conflict("creating what exists", identity.Document{Name: "one", Body: []byte(`{}`)})
	next := write("a", identity.Document{Name: "one", Version: v, Body: []byte(`{"n":2}`)})
	if next <= v {
		t.Errorf("version %d follows %d", next, v)
	}
	conflict("an old version", identity.Document{Name: "one", Version: v, Body: []byte(`{}`)})
	conflict("deleting an old version", identity.Document{Name: "one", Version: v})
	if d, err = docs.Get(ctx, "a", "one"); err != nil || !d.Expires.IsZero() {
		t.Errorf("a document that never expires is read as %+v (%v)", d, err)
	}
	write("a", identity.Document{Name: "one", Version: next})
	missing("a", "one")
	conflict("what was deleted", identity.Document{Name: "one", Version: next, Body: []byte(`{}`)})
	if again := write("a", identity.Document{Name: "one", Body: []byte(`{}`)}); again == v || again == next {
		t.Error("a document that was made anew has a version that it had before")
	}

	var want []string
	for i := range 450 {
		name := fmt.Sprintf("n%03d", i)
		want = append(want, name)
		write("list", identity.Document{Name: name, Body: []byte(`{}`)})
	}
	var got []string
	must(t, identity.All(ctx, docs, "list", func(d identity.Document) bool { got = append(got, d.Name); return true }))
	if !slices.Equal(got, want) {
		t.Errorf("of %d documents %d are listed, or in another order than that of names", len(want), len(got))
	}
	if list, err := docs.List(ctx, "list", "n100", 2); err != nil || len(list) != 2 || list[0].Name != "n101" {
		t.Errorf("two after n100: %d, %v", len(list), err)
	}

	var wg sync.WaitGroup
	won := make(chan int64, 64)
	for range 16 {
		wg.Go(func() {
			if v, err := docs.Write(ctx, "race", identity.Document{Name: "x", Body: []byte(`{}`)}); err == nil {
				won <- v
			} else if !errors.Is(err, identity.ErrConflict) {
				t.Errorf("of several that create a document: %v", err)
			}
		})
	}
	wg.Wait()
	if len(won) != 1 {
		t.Errorf("of 16 that create one document %d have", len(won))
	}
}
