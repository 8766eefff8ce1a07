package revision

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/store"
)

var (
	ada = Person{Subject: "ada"}
	bob = Person{Subject: "bob"}
)

var errCheck = errors.New("the check says no")

// keeper returns one that refuses texts with "bad", and has those with "risky" approved.
func keeper() *Keeper {
	return &Keeper{
		Store: store.NewMemory(),
		Check: func(_ context.Context, list []Object, _ []Change) error {
			for _, o := range list {
				if strings.Contains(o.Text, "bad") {
					return errCheck
				}
			}
			return nil
		},
		Needs: func(c Change) string {
			if strings.Contains(c.Before+c.After, "risky") {
				return "it is risky"
			}
			return ""
		},
	}
}

func object(name, text string) Object { return Object{Key: Key{"access", name}, Text: text} }

func recorded(*Revision) error { return nil }

func propose(t *testing.T, k *Keeper, p Proposal) *Revision {
	t.Helper()
	if p.Author == (Person{}) {
		p.Author = ada
	}
	r, err := k.Propose(t.Context(), p, recorded)
	require.NoError(t, err)
	return r
}

func texts(t *testing.T, k *Keeper) map[string]string {
	t.Helper()
	set, err := k.Load(t.Context())
	require.NoError(t, err)
	all := make(map[string]string)
	for _, o := range set.Objects {
		all[o.String()] = o.Text
	}
	return all
}

func TestApply(t *testing.T) {
	k := keeper()
	r := propose(t, k, Proposal{Put: []Object{object("a", "1"), object("b", "1")}, Reason: "first"})
	require.Equal(t, int64(1), r.Number)
	require.Equal(t, Applied, r.State)
	require.False(t, r.Created.IsZero())
	require.Equal(t, map[string]string{"access/a": "1", "access/b": "1"}, texts(t, k))

	r = propose(t, k, Proposal{Put: []Object{object("a", "2"), object("b", "1")}, Author: bob})
	require.Equal(t, []Change{{Key{"access", "a"}, "1", "2"}}, r.Changes, "what is as it was is not a change")
	r = propose(t, k, Proposal{Put: []Object{object("a", "2")}})
	require.Zero(t, r.Number, "nothing to do is not a revision")
	propose(t, k, Proposal{Delete: []Key{{"access", "b"}}})
	require.Equal(t, map[string]string{"access/a": "2"}, texts(t, k))

	list, err := k.List(t.Context(), 0, 2)
	require.NoError(t, err)
	require.Len(t, list, 2)
	require.Equal(t, []int64{3, 2}, []int64{list[0].Number, list[1].Number}, "the newest first")
	require.Equal(t, bob, list[1].Author)
	list, err = k.List(t.Context(), 2, 0)
	require.NoError(t, err)
	require.Equal(t, "first", list[0].Reason)

	plan, err := k.Plan(t.Context(), Proposal{Put: []Object{object("a", "risky")}})
	require.NoError(t, err)
	require.Equal(t, Waiting, plan.State)
	require.Zero(t, plan.Number)
	require.Equal(t, map[string]string{"access/a": "2"}, texts(t, k), "a plan does nothing")
}

func TestRefused(t *testing.T) {
	k := keeper()
	propose(t, k, Proposal{Put: []Object{object("a", "1")}})
	for _, c := range []struct {
		name string
		p    Proposal
		err  error
	}{
		{"nothing", Proposal{}, ErrInvalid},
		{"twice", Proposal{Put: []Object{object("b", "1"), object("b", "2")}}, ErrInvalid},
		{"changed and deleted", Proposal{Put: []Object{object("a", "2")}, Delete: []Key{{"access", "a"}}}, ErrInvalid},
		{"empty", Proposal{Put: []Object{object("b", "")}}, ErrInvalid},
		{"large", Proposal{Put: []Object{object("b", strings.Repeat("x", MaxText+1))}}, ErrInvalid},
		{"many", Proposal{Delete: make([]Key, MaxChanges+1)}, ErrInvalid},
		{"a long reason", Proposal{Put: []Object{object("b", "1")}, Reason: strings.Repeat("x", MaxReason+1)}, ErrInvalid},
		{"not there", Proposal{Delete: []Key{{"access", "b"}}}, ErrNotFound},
		{"not as seen", Proposal{Put: []Object{object("a", "2")}, Seen: map[Key]string{{"access", "a"}: "0"}}, ErrConflict},
		{"checked", Proposal{Put: []Object{object("b", "bad")}}, errCheck},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := k.Propose(t.Context(), c.p, func(*Revision) error { t.Error("it was recorded"); return nil })
			require.ErrorIs(t, err, c.err)
		})
	}
	unrecorded := errors.New("the record is full")
	_, err := k.Propose(t.Context(), Proposal{Put: []Object{object("b", "1")}}, func(*Revision) error { return unrecorded })
	require.ErrorIs(t, err, unrecorded)
	require.Equal(t, map[string]string{"access/a": "1"}, texts(t, k))
}

// TestSize: what fits a revision fits the store, whatever the texts are made of.
func TestSize(t *testing.T) {
	for _, char := range []string{"<", "\n", "\"", "é"} {
		k := keeper()
		text := strings.Repeat(char, MaxText/len(char))
		var put []Object
		for i := range MaxSize/MaxText + 1 {
			put = append(put, object(fmt.Sprintf("%d", i), text))
		}
		_, err := k.Propose(t.Context(), Proposal{Put: put, Author: ada}, recorded)
		require.ErrorIs(t, err, ErrInvalid, "%q", char)
		_, err = k.Propose(t.Context(), Proposal{Put: put[:MaxSize/MaxText], Author: ada}, recorded)
		require.NoError(t, err, "%q", char)
	}
}

func TestSecondPerson(t *testing.T) {
	k := keeper()
	propose(t, k, Proposal{Put: []Object{object("a", "1")}})
	r := propose(t, k, Proposal{Put: []Object{object("a", "risky"), object("b", "1")}})
	require.Equal(t, Waiting, r.State)
	require.Equal(t, []string{"access/a: it is risky"}, r.Needs)
	require.Equal(t, map[string]string{"access/a": "1"}, texts(t, k), "all of it waits")

	_, err := k.Decide(t.Context(), r.Number, true, ada, "", recorded)
	require.ErrorIs(t, err, ErrOwn)
	_, err = k.Decide(t.Context(), 7, true, bob, "", recorded)
	require.ErrorIs(t, err, ErrNotFound)
	_, err = k.Decide(t.Context(), 1, true, bob, "", recorded)
	require.ErrorIs(t, err, ErrDecided)

	// What has nothing to do with it may change meanwhile.
	propose(t, k, Proposal{Put: []Object{object("c", "1")}})
	done, err := k.Decide(t.Context(), r.Number, true, bob, "seen", recorded)
	require.NoError(t, err)
	require.Equal(t, bob, done.Decided.By)
	require.Equal(t, map[string]string{"access/a": "risky", "access/b": "1", "access/c": "1"}, texts(t, k))
	set, err := k.Load(t.Context())
	require.NoError(t, err)
	require.Equal(t, r.Number, set.Current)
	_, err = k.Decide(t.Context(), r.Number, false, bob, "", recorded)
	require.ErrorIs(t, err, ErrDecided)

	// To take a risk back is one too.
	p, err := k.Reversal(t.Context(), r.Number)
	require.NoError(t, err)
	back := propose(t, k, p)
	require.Equal(t, Waiting, back.State)
	_, err = k.Decide(t.Context(), back.Number, false, ada, "no", recorded)
	require.NoError(t, err, "an author may withdraw")
	require.Contains(t, texts(t, k), "access/b")

	// What has changed since is not overwritten.
	r = propose(t, k, Proposal{Put: []Object{object("c", "risky")}})
	propose(t, k, Proposal{Put: []Object{object("c", "2")}})
	_, err = k.Decide(t.Context(), r.Number, true, bob, "", recorded)
	require.ErrorIs(t, err, ErrConflict)
	require.Equal(t, "2", texts(t, k)["access/c"])
	_, err = k.Reversal(t.Context(), r.Number)
	require.ErrorIs(t, err, ErrInvalid, "it was never applied")
}

func TestReversal(t *testing.T) {
	k := keeper()
	propose(t, k, Proposal{Put: []Object{object("a", "1"), object("b", "1")}})
	r := propose(t, k, Proposal{Put: []Object{object("a", "2"), object("c", "1")}, Delete: []Key{{"access", "b"}}})
	p, err := k.Reversal(t.Context(), r.Number)
	require.NoError(t, err)
	back := propose(t, k, p)
	require.Equal(t, r.Number, back.Reverts)
	require.Equal(t, map[string]string{"access/a": "1", "access/b": "1"}, texts(t, k))
	p, err = k.Reversal(t.Context(), r.Number)
	require.NoError(t, err)
	_, err = k.Propose(t.Context(), p, recorded)
	require.Error(t, err, "it was taken back")
}

// TestRace: of changes that meet, each is kept as a whole or refused, and numbers are given once.
func TestRace(t *testing.T) {
	k := keeper()
	var wg sync.WaitGroup
	var mu sync.Mutex
	numbers := make(map[int64]bool)
	for i := range 8 {
		wg.Go(func() {
			for j := range 5 {
				r, err := k.Propose(context.Background(), Proposal{Author: ada, Put: []Object{object("shared", fmt.Sprintf("%d-%d", i, j)), object(fmt.Sprint(i), fmt.Sprint(j))}}, recorded)
				if errors.Is(err, ErrConflict) {
					continue
				}
				mu.Lock()
				if err != nil || numbers[r.Number] {
					t.Errorf("revision %+v: %v", r, err)
				} else {
					numbers[r.Number] = true
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	require.NotEmpty(t, numbers)
	set, err := k.Load(t.Context())
	require.NoError(t, err)
	require.Equal(t, int64(len(numbers)), set.Current)
	list, err := k.List(t.Context(), 0, 0)
	require.NoError(t, err)
	require.Len(t, list, len(numbers))
	require.Equal(t, set.text(Key{"access", "shared"}), list[0].Changes[len(list[0].Changes)-1].After)
}

// lost is a store whose answers to writes are lost.
type lost struct{ store.Store }

func (l lost) Write(ctx context.Context, ws ...store.Write) (int64, error) {
	n, err := l.Store.Write(ctx, ws...)
	return n, errors.Join(err, store.ErrUncertain)
}

// TestUncertain: who cannot be told whether a change is kept is told that.
func TestUncertain(t *testing.T) {
	k := keeper()
	k.Store = lost{k.Store}
	r, err := k.Propose(t.Context(), Proposal{Put: []Object{object("a", "1")}, Author: ada}, recorded)
	require.ErrorIs(t, err, ErrUncertain)
	require.Nil(t, r)
	require.Contains(t, texts(t, k), "access/a")
	list, err := k.List(t.Context(), 0, 0)
	require.NoError(t, err)
	require.Len(t, list, 1)
}

func TestBounds(t *testing.T) {
	k := keeper()
	for i := range MaxWaiting {
		propose(t, k, Proposal{Put: []Object{object(fmt.Sprint(i), "risky")}})
	}
	_, err := k.Propose(t.Context(), Proposal{Put: []Object{object("x", "risky")}, Author: ada}, recorded)
	require.ErrorContains(t, err, "100 revisions wait")
	for i := range MaxPage {
		propose(t, k, Proposal{Put: []Object{object("x", fmt.Sprint(i))}})
	}
	_, err = k.Propose(t.Context(), Proposal{Put: []Object{object("y", "risky")}, Author: ada}, recorded)
	require.ErrorContains(t, err, "100 revisions wait", "also when others were made since")
	_, err = k.Decide(t.Context(), 7, false, bob, "", recorded)
	require.NoError(t, err)
	propose(t, k, Proposal{Put: []Object{object("y", "risky")}})

	// Large ones.
	k = keeper()
	long := strings.Repeat("x", MaxText-1)
	for i := range 40 {
		var p Proposal
		for j := range 3 {
			p.Put = append(p.Put, object(fmt.Sprint(j), fmt.Sprint(i%10)+long))
		}
		propose(t, k, p)
	}
	var seen int64
	for before := int64(0); ; {
		list, err := k.List(t.Context(), before, 0)
		require.NoError(t, err)
		if len(list) == 0 {
			break
		}
		require.Less(t, len(list), 40)
		for _, r := range list {
			require.Equal(t, 40-seen, r.Number)
			seen++
		}
		before = list[len(list)-1].Number
	}
	require.Equal(t, int64(40), seen)
	k = keeper()
	for i := range MaxTotal / MaxText {
		propose(t, k, Proposal{Put: []Object{object(fmt.Sprint(i), "x"+long)}})
	}
	_, err = k.Propose(t.Context(), Proposal{Put: []Object{object("more", "x")}, Author: ada}, recorded)
	require.ErrorContains(t, err, "bytes altogether")
	propose(t, k, Proposal{Put: []Object{object("1", "less")}})
	propose(t, k, Proposal{Put: []Object{object("more", "x")}})

	k = keeper()
	for i := range MaxKept + 3 {
		propose(t, k, Proposal{Put: []Object{object("a", fmt.Sprint(i))}})
	}
	_, err = k.Get(t.Context(), 3)
	require.ErrorIs(t, err, ErrNotFound)
	_, err = k.Get(t.Context(), 4)
	require.NoError(t, err)
}

// TestSince: what has changed since its author read it is not changed again by what she read then.
func TestSince(t *testing.T) {
	k := keeper()
	propose(t, k, Proposal{Put: []Object{object("a", "1"), object("b", "1")}})
	read, err := k.Load(t.Context())
	require.NoError(t, err)
	a, _ := read.Get(object("a", "").Key)
	require.NotZero(t, a.Version)

	propose(t, k, Proposal{Put: []Object{object("b", "2")}})
	a.Text = "2"
	propose(t, k, Proposal{Put: []Object{a}})
	a.Text = "3"
	_, err = k.Propose(t.Context(), Proposal{Put: []Object{a}, Author: Person{Subject: "ada"}}, recorded)
	require.ErrorIs(t, err, ErrConflict)
	require.ErrorContains(t, err, "access/a has changed since you read it")
	a.Text = "2"
	r, err := k.Propose(t.Context(), Proposal{Put: []Object{a}, Author: Person{Subject: "ada"}}, recorded)
	require.NoError(t, err)
	require.Empty(t, r.Changes, "it is so already")
	now, err := k.Load(t.Context())
	require.NoError(t, err)
	a, _ = now.Get(a.Key)
	a.Text = "3"
	propose(t, k, Proposal{Put: []Object{a}})
	propose(t, k, Proposal{Put: []Object{object("a", "4")}}) // who has read nothing says what it is to be
}
