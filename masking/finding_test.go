package masking

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/detect"
	"github.com/sallyport/sallyport/proxy"
)

// changing is a sampler of one column, whose values and ID change.
type changing struct {
	column proxy.SampledColumn
	values []string
	err    error
}

func (c *changing) Sample(_ context.Context, _ *proxy.Session, _, _ string, each func(c *proxy.SampledColumn, value []byte)) error {
	if c.err != nil {
		return c.err
	}
	each(&c.column, nil)
	for _, v := range c.values {
		each(&c.column, []byte(v))
	}
	return nil
}

// numbered are n texts that are nothing in particular.
func numbered(n int) (list []string) {
	for i := range n {
		list = append(list, fmt.Sprintf("blue lamp no %d", i))
	}
	return list
}

var eightPeople = []string{"Oliver Stone", "Maria Garcia", "Peter Jackson", "Daniel Meyer", "Sarah Miller", "Emily Watson", "Linda Green", "Ralph Novak"}

// rereads looks at public.t again and again, at given times.
type rereads struct {
	t       *testing.T
	sampler *changing
	masker  *Masker
	session *proxy.Session
	now     time.Time
}

func startRereads(t *testing.T, column proxy.SampledColumn, values []string) *rereads {
	r := &rereads{t: t, sampler: &changing{column: column, values: values}, now: time.Now()}
	r.session = &proxy.Session{Identity: &proxy.Identity{}, Target: proxy.Target{Resource: &proxy.Resource{Name: "orders"}}}
	r.anew(nil)
	return r
}

// anew has another masker, with the same memory where it is given.
func (r *rereads) anew(m *Memory) {
	var err error
	r.masker, err = New(Config{Sampler: r.sampler, Memory: m})
	require.NoError(r.t, err)
	r.masker.samples.now = func() time.Time { return r.now }
}

// holds looks at the table after some time, and returns what is found in a column.
func (r *rereads) holds(column string, after time.Duration) (whole, some []detect.Type) {
	r.t.Helper()
	r.now = r.now.Add(after)
	s := &r.masker.samples
	s.forget(sampleKey{"orders", "", "", "public", "t"})
	s.sample(r.t.Context(), r.session, "public", "t")
	f := s.heldIn(&r.session.Target, &proxy.Origin{Schema: "public", Relation: "t", Column: column})
	if f == nil {
		return nil, nil
	}
	return f.whole, f.some
}

// TestFindingsAreNotTakenBack: what a sample says is added to what was found before, by
// all accounts and under all names, until large samples have disagreed for long.
func TestFindingsAreNotTakenBack(t *testing.T) {
	text := proxy.SampledColumn{ID: "16400.1", Name: "v", Type: "text"}
	people := []detect.Type{detect.Person}
	day := 24 * time.Hour

	r := startRereads(t, text, eightPeople)
	whole, _ := r.holds("v", 0)
	require.Equal(t, people, whole)
	r.sampler.values = append(numbered(92), eightPeople...)
	whole, _ = r.holds("v", time.Hour)
	require.Equal(t, people, whole, "with junk next to them")
	r.sampler.column.Name = "w"
	whole, _ = r.holds("w", time.Hour)
	require.Equal(t, people, whole, "by another name")
	r.session.Target.Account.Name = "other"
	whole, _ = r.holds("w", time.Hour)
	require.Equal(t, people, whole, "to another account")
	r.session.Target.Account.Name = ""
	r.anew(r.masker.memory)
	whole, _ = r.holds("w", time.Hour)
	require.Equal(t, people, whole, "under the next revision")
	r.sampler.err = errNotSampled
	whole, _ = r.holds("w", time.Hour)
	require.Equal(t, people, whole, "while it cannot be read")
	r.sampler.err = nil
	r.sampler.values = eightPeople
	_, _ = r.holds("w", time.Hour)
	r.sampler.values = numbered(3)
	whole, _ = r.holds("w", 60*day)
	require.Equal(t, people, whole, "three values are not enough to disagree")
	r.sampler.values = nil
	whole, _ = r.holds("w", 60*day)
	require.Equal(t, people, whole, "nothing is not enough either")

	r.sampler.values = numbered(100)
	for range 2 {
		whole, _ = r.holds("w", 20*day)
		require.Equal(t, people, whole, "it disagrees for 20 days")
	}
	r.sampler.values = eightPeople
	whole, _ = r.holds("w", 20*day)
	require.Equal(t, people, whole)
	r.sampler.values = numbered(100)
	for range 2 {
		whole, _ = r.holds("w", 20*day)
		require.Equal(t, people, whole, "the days are counted anew once one agrees")
	}
	whole, _ = r.holds("w", 20*day)
	require.Empty(t, whole, "it has disagreed for more than 30 days")

	r.sampler.values = eightPeople
	_, _ = r.holds("w", 0)
	r.sampler.column.ID, r.sampler.values = "16500.1", numbered(3)
	whole, _ = r.holds("w", 0)
	require.Empty(t, whole, "another table of that name")
}

// TestFindingsOfNumbers: cards are not made accidents by numbers that are inserted next to
// them, and one finding does not hide another.
func TestFindingsOfNumbers(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	cards := cardsOf(random, 40)
	r := startRereads(t, proxy.SampledColumn{ID: "16400.1", Name: "ref", Type: "bigint"}, cards)
	whole, some := r.holds("ref", 0)
	require.Equal(t, []detect.Type{detect.Card}, whole)
	require.Equal(t, []detect.Type{detect.Card}, some)
	r.sampler.values = append(sequence(4e15, 90), cards[:10]...)
	whole, some = r.holds("ref", time.Hour)
	require.Equal(t, []detect.Type{detect.Card}, whole)
	require.Equal(t, []detect.Type{detect.Card}, some)

	few := cards[:3] // among texts, so that each is weighed
	r = startRereads(t, proxy.SampledColumn{ID: "16400.1", Name: "ref", Type: "text"}, append(numbered(9), few...))
	_, some = r.holds("ref", 0)
	require.Equal(t, []detect.Type{detect.Card}, some)
	o := &proxy.Origin{Schema: "public", Relation: "t", Column: "ref"}
	shows := func() bool {
		w := detect.NewWeigher(false)
		w.Know(r.masker.samples.heldIn(&r.session.Target, o).weighed)
		return len(w.Weigh(detect.Default().Find(nil, []byte(few[0])), []byte(few[0]))) == 0
	}
	require.False(t, shows())
	r.sampler.values = append(sequence(4e15, 97), few...)
	_, _ = r.holds("ref", time.Hour)
	require.False(t, shows())

	r.sampler.column.Type, r.sampler.values = "text", []string{"a.b@example.com", "c.d@example.com", "e.f@example.com", "g.h@example.com"}
	whole, some = r.holds("ref", time.Hour)
	require.Contains(t, whole, detect.Email)
	require.ElementsMatch(t, []detect.Type{detect.Card, detect.Email}, some)
}

// TestFindingsOfDocuments: keys under which something was found stay, and of more keys than
// are remembered every key counts.
func TestFindingsOfDocuments(t *testing.T) {
	r := startRereads(t, proxy.SampledColumn{ID: "16400.1", Name: "doc", Type: "jsonb"}, []string{`{"a": "ann.smith@example.com"}`})
	typesOf := func(key string) []detect.Type {
		_, _ = r.holds("doc", time.Hour)
		types, known := r.masker.samples.typesOf(&r.session.Target, &proxy.Origin{Schema: "public", Relation: "t", Column: "doc", Key: key})
		require.True(t, known)
		return types
	}
	require.Equal(t, []detect.Type{detect.Email}, typesOf("A"))
	require.Empty(t, typesOf("b"))
	r.sampler.values = []string{`{"b": "ann.smith@example.com"}`, `{"a": "lamp"}`, `{"a": "lamp"}`}
	require.Equal(t, []detect.Type{detect.Email}, typesOf("a"))
	require.Equal(t, []detect.Type{detect.Email}, typesOf("b"))
	for i := range 4 {
		r.sampler.values = nil
		for k := range 400 {
			r.sampler.values = append(r.sampler.values, fmt.Sprintf(`{"k%d_%d": "ann.smith@example.com"}`, i, k))
		}
		typesOf("a")
	}
	require.Contains(t, typesOf("a"), detect.Email)
	require.Contains(t, typesOf("k0_1"), detect.Email)
	f := r.masker.samples.heldIn(&r.session.Target, &proxy.Origin{Schema: "public", Relation: "t", Column: "doc"})
	require.LessOrEqual(t, len(f.claims), maxClaims+8)
}

// TestFindingsBeyondMemory: of a column that is one too many it stays known that something
// was found.
func TestFindingsBeyondMemory(t *testing.T) {
	m := &Memory{}
	found := &m.at(&proxy.Target{Resource: &proxy.Resource{}}).findings
	c := detect.Default().Contents(detect.Column{Name: "v", Type: "text"}, bytesOf(eightPeople))
	none := detect.Default().Contents(detect.Column{Name: "v", Type: "text"}, bytesOf(numbered(100)))
	var last sampledColumn
	for i := range maxFindings + 1 {
		name := columnName{"public", "t", fmt.Sprint("c", i)}
		last = found.add(name, []string{fmt.Sprint("1.", i)}, c, 8, time.Now())
	}
	require.Equal(t, []detect.Type{Column}, found.get(nothing, last.ids).whole)
	last = found.add(columnName{"public", "t", fmt.Sprint("c", maxFindings)}, last.ids, none, 100, time.Now())
	require.Equal(t, []detect.Type{Column}, found.get(last.finding, last.ids).whole)
	require.Equal(t, []detect.Type{detect.Person}, found.get(nothing, []string{"1.7"}).whole)
	require.Empty(t, found.get(nothing, []string{"2.1"}).whole)
	require.NotNil(t, found.last(columnName{"public", "u", "v"}), "of what is not remembered by its name something may have been found")
}

// TestWritesLookOnce: rows that are inserted one by one do not have their table looked at
// again and again, whether it can be read or not.
func TestWritesLookOnce(t *testing.T) {
	for _, err := range []error{nil, errNotSampled} {
		s := &counting{changing: changing{column: proxy.SampledColumn{ID: "16400.1", Name: "v", Type: "text"}, values: eightPeople, err: err}}
		m, newErr := New(Config{Sampler: s})
		require.NoError(t, newErr)
		session := &proxy.Session{Protocol: "postgres", Identity: &proxy.Identity{Subject: "alice"}, Target: proxy.Target{Resource: &proxy.Resource{}}}
		hooks, newErr := m.Intercept(t.Context(), session)
		require.NoError(t, newErr)
		for range 20 {
			op := &proxy.Statement{Meta: proxy.Meta{Kind: proxy.KindStatement}, Text: []byte("INSERT INTO public.t VALUES ('a')"), Facts: &proxy.Facts{
				Effects: proxy.EffectInsert, Statements: 1, Resolved: true, Relations: []proxy.Relation{{Schema: "public", Name: "t", Effects: proxy.EffectInsert}},
			}}
			verdict := hooks.Ask(t.Context(), op)
			require.False(t, verdict.Refuses())
			hooks.Done(t.Context(), op, &proxy.Outcome{})
		}
		require.Equal(t, 1, s.n)
	}
}

// counting counts how often it is asked.
type counting struct {
	changing
	n int
}

func (c *counting) Sample(ctx context.Context, s *proxy.Session, schema, relation string, each func(c *proxy.SampledColumn, value []byte)) error {
	c.n++
	return c.changing.Sample(ctx, s, schema, relation, each)
}

// shelf is a Keeper.
type shelf struct {
	kept map[string][]byte
	err  error
}

func (s *shelf) Kept(_ context.Context, key string) ([]byte, error) { return s.kept[key], s.err }

func (s *shelf) Keep(_ context.Context, key string, b []byte) error {
	s.kept[key] = b
	return s.err
}

// TestFindingsAreKept: what was found is known to the next process, and what is kept says
// nothing of what columns hold but types.
func TestFindingsAreKept(t *testing.T) {
	keep := &shelf{kept: map[string][]byte{}}
	r := startRereads(t, proxy.SampledColumn{ID: "16400.1", Name: "v", Type: "text"}, eightPeople)
	r.anew(&Memory{Keeper: keep})
	whole, _ := r.holds("v", 0)
	require.Equal(t, []detect.Type{detect.Person}, whole)
	require.Len(t, keep.kept, 1)
	for key, b := range keep.kept {
		require.Regexp(t, "^[0-9a-f]{64}$", key)
		require.JSONEq(t, `[{"type": "PERSON", "of": 0}, {"type": "PERSON", "of": 1}]`, string(b))
	}
	r.sampler.values = numbered(100)
	r.anew(&Memory{Keeper: keep})
	whole, _ = r.holds("v", 0)
	require.Equal(t, []detect.Type{detect.Person}, whole, "after a restart")
	r.anew(&Memory{Keeper: keep})
	whole, _ = r.holds("v", 20*24*time.Hour)
	require.Equal(t, []detect.Type{detect.Person}, whole, "it disagrees for 20 days, over two restarts")
	r.anew(&Memory{Keeper: keep})
	whole, _ = r.holds("v", 20*24*time.Hour)
	require.Empty(t, whole)
	for _, b := range keep.kept {
		require.JSONEq(t, "[]", string(b))
	}

	r.sampler.values = eightPeople
	other := startRereads(t, r.sampler.column, numbered(100))
	other.anew(&Memory{Keeper: keep})
	whole, _ = r.holds("v", 0)
	require.NotEmpty(t, whole)
	whole, _ = other.holds("v", 0)
	require.Equal(t, []detect.Type{detect.Person}, whole, "another gateway has found it")

	r.sampler.column = proxy.SampledColumn{ID: "16400.2", Name: "doc", Type: "jsonb"}
	r.sampler.values = []string{`{"ann.smith@example.com": "bob.jones@example.com"}`}
	_, _ = r.holds("doc", 0)
	for _, b := range keep.kept {
		require.NotContains(t, string(b), "example")
	}
	keep.err = errNotSampled
	r.anew(&Memory{Keeper: keep})
	_, _ = r.holds("doc", 0)
	_, known := r.masker.samples.typesOf(&r.session.Target, &proxy.Origin{Schema: "public", Relation: "t", Column: "doc"})
	require.False(t, known, "what cannot be looked up may hold anything")
}
