package sql

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
)

func snapshotOf(relations ...string) *Snapshot {
	c := Contents{Path: []string{"pg_catalog", "public"}}
	for i, name := range relations {
		c.Relations = append(c.Relations, &Relation{
			OID: uint32(i + 1), Schema: "public", Name: name, Kind: RelationTable,
			Columns: []Column{{Attr: 1, Name: "id"}, {Attr: 3, Name: "n"}},
		})
	}
	return NewSnapshot(c)
}

func TestSnapshot(t *testing.T) {
	s := NewSnapshot(Contents{
		Path: []string{"pg_catalog", "a", "b"},
		Relations: []*Relation{
			{OID: 7, Schema: "b", Name: "t", Columns: []Column{{Attr: 1, Name: "x"}, {Attr: 4, Name: "y"}}},
			{OID: 8, Schema: "a", Name: "t"},
			{OID: 9, Schema: "c", Name: "u", Kind: RelationView, Definition: "SELECT 1", Columns: []Column{{Attr: 1, Name: "x"}}},
		},
		Functions: []*Function{{OID: 5, Schema: "a", Name: "f"}, {Schema: "c", Name: "f"}, {Schema: "c", Name: "g"}},
		Operators: []Operator{{"@@@", 5}},
	})
	require.Equal(t, uint32(8), s.Relation("", "t").OID, "the path decides")
	require.Equal(t, uint32(7), s.Relation("b", "t").OID)
	require.Nil(t, s.Relation("", "u"), "not on the path")
	require.Nil(t, s.Relation("a", "T"))
	require.Equal(t, &proxy.Column{Name: "y", Origins: []proxy.Origin{{Schema: "b", Relation: "t", Column: "y"}}}, s.Source(7, 4))
	require.Nil(t, s.Source(7, 2))
	require.Nil(t, s.Source(6, 1))
	require.True(t, s.Source(9, 1).Opaque, "a view nobody has resolved")
	require.Len(t, s.FunctionsNamed("", "f"), 1)
	require.Len(t, s.FunctionsNamed("c", "f"), 1)
	require.Empty(t, s.FunctionsNamed("", "g"))
	require.Len(t, s.Behind("@@@"), 1)
	require.Empty(t, s.Behind("+"))
	var none *Snapshot
	require.Nil(t, none.Relation("", "t"))
	require.Nil(t, none.Source(1, 1))
}

// Snapshots that follow one another share what says the same in both, and nothing of what
// derives from other things.
func TestSnapshotsShare(t *testing.T) {
	column := func(name string) []Column { return []Column{{Attr: 1, Name: name}} }
	contents := Contents{
		Relations: []*Relation{
			{OID: 1, Schema: "s", Name: "plain", Kind: RelationTable, Columns: column("a")},
			{OID: 2, Schema: "s", Name: "parent", Kind: RelationTable, Columns: column("a"), Children: []uint32{3}},
			{OID: 3, Schema: "s", Name: "child", Kind: RelationTable, Columns: column("a")},
			{OID: 4, Schema: "s", Name: "view", Kind: RelationView, Columns: column("a"), Definition: "SELECT 1"},
			{OID: 5, Schema: "s", Name: "run", Kind: RelationTable, Columns: column("a"), Triggers: []Trigger{{Function: 1}}},
			{OID: 6, Schema: "s", Name: "ruled", Kind: RelationTable, Columns: column("a"), Rules: []Rule{{Definition: "x"}}},
			{OID: 7, Schema: "s", Name: "computed", Kind: RelationTable, Columns: []Column{{Attr: 1, Name: "a", Generated: "1"}}},
		},
		Functions: []*Function{{OID: 1, Schema: "s", Name: "f", Language: "sql", Body: "SELECT 1"}},
	}
	resolve := func(s *Snapshot) { // as a dialect does, of everything that it may
		for _, r := range s.Relations {
			if r.IsView() {
				r.Does, r.Columns[0].Source = &proxy.Facts{}, proxy.Column{Name: "a"}
			}
			for i := range r.Triggers {
				r.Triggers[i].Quiet = true
			}
			for i := range r.Rules {
				r.Rules[i].Does = &proxy.Facts{}
			}
			if r.Columns[0].Generated != "" {
				r.Columns[0].Source.Opaque = true
			}
		}
		for _, f := range s.Functions {
			f.Does, f.Quiet = &proxy.Facts{}, true
		}
	}
	first := NewSnapshot(contents)
	resolve(first)
	require.Len(t, first.ByOID(3).Columns[0].Source.Origins, 2)
	next := first.Contents
	next.Relations = append([]*Relation{}, next.Relations...)
	next.Relations[1] = &Relation{OID: 2, Schema: "s", Name: "parent", Kind: RelationTable, Columns: column("b")} // which has no child any more
	second := NewSnapshot(next)
	for _, oid := range []uint32{1} {
		require.Same(t, first.ByOID(oid), second.ByOID(oid))
	}
	for _, oid := range []uint32{3, 4, 5, 6, 7} {
		require.NotSame(t, first.ByOID(oid), second.ByOID(oid))
		require.True(t, first.ByOID(oid).same(second.ByOID(oid)))
	}
	require.Len(t, second.ByOID(3).Columns[0].Source.Origins, 1)
	require.Nil(t, second.ByOID(4).Does)
	require.True(t, second.ByOID(4).Columns[0].Source.Opaque)
	require.False(t, second.ByOID(5).Triggers[0].Quiet)
	require.Nil(t, second.ByOID(6).Rules[0].Does)
	require.False(t, second.ByOID(7).Columns[0].Source.Opaque)
	require.Nil(t, second.Functions[0].Does)
	require.False(t, second.Functions[0].Quiet)
	require.True(t, first.Functions[0].same(second.Functions[0]))
	require.False(t, first.same(second))

	third := NewSnapshot(second.Contents)
	require.Same(t, second.ByOID(3), third.ByOID(3), "nor does it inherit now")
	require.True(t, second.same(third))
}

// Whatever is read differently is seen to be.
func TestSnapshotsSame(t *testing.T) {
	read := func(change func(c *Contents)) *Snapshot {
		c := Contents{
			Account: "a", Path: []string{"p"}, Setting: "p", Role: "r", Schemas: []string{"s"}, Extensions: []string{"e"}, Operators: []Operator{{"@", 1}},
			Relations: []*Relation{{
				OID: 1, Schema: "s", Name: "t", Kind: RelationTable, Columns: []Column{{Attr: 1, Name: "a", Type: 23}, {Attr: 2, Name: "b"}},
				Triggers: []Trigger{{On: 1, Function: 1}}, Rules: []Rule{{On: 1, Definition: "d"}}, Children: []uint32{2}, References: []Reference{{From: 3}},
			}},
			Functions: []*Function{{OID: 1, Schema: "s", Name: "f", Language: "sql", Body: "b"}},
		}
		change(&c)
		return NewSnapshot(c)
	}
	plain := read(func(*Contents) {})
	require.True(t, plain.same(read(func(*Contents) {})))
	for i, change := range []func(c *Contents){
		func(c *Contents) { c.Account = "x" }, func(c *Contents) { c.Path = nil }, func(c *Contents) { c.Setting = "x" }, func(c *Contents) { c.Role = "x" },
		func(c *Contents) { c.Schemas = nil }, func(c *Contents) { c.Extensions = nil }, func(c *Contents) { c.Operators[0].Function = 2 }, func(c *Contents) { c.Partial = true },
		func(c *Contents) { c.Relations = nil }, func(c *Contents) { c.Functions = nil },
		func(c *Contents) { c.Relations[0].OID = 9 }, func(c *Contents) { c.Relations[0].Schema = "x" }, func(c *Contents) { c.Relations[0].Name = "x" },
		func(c *Contents) { c.Relations[0].Kind = RelationView }, func(c *Contents) { c.Relations[0].Server = true }, func(c *Contents) { c.Relations[0].Definition = "x" },
		func(c *Contents) { c.Relations[0].Children = nil }, func(c *Contents) { c.Relations[0].References[0].OnMove = 1 },
		func(c *Contents) { c.Relations[0].Columns[0].Attr = 0 }, func(c *Contents) { c.Relations[0].Columns[0].Name = "x" }, func(c *Contents) { c.Relations[0].Columns[0].Type = 1 },
		func(c *Contents) { c.Relations[0].Columns[0].NotNull = true }, func(c *Contents) { c.Relations[0].Columns[1].Generated = "x" }, func(c *Contents) { c.Relations[0].Columns = c.Relations[0].Columns[:1] },
		func(c *Contents) { c.Relations[0].Triggers[0].On = 2 }, func(c *Contents) { c.Relations[0].Triggers[0].Function = 2 }, func(c *Contents) { c.Relations[0].Triggers[0].Instead = true },
		func(c *Contents) { c.Relations[0].Rules[0].On = 2 }, func(c *Contents) { c.Relations[0].Rules[0].Instead = true }, func(c *Contents) { c.Relations[0].Rules[0].Definition = "x" },
		func(c *Contents) { c.Functions[0].OID = 2 }, func(c *Contents) { c.Functions[0].Schema = "x" }, func(c *Contents) { c.Functions[0].Name = "x" },
		func(c *Contents) { c.Functions[0].Volatility = Stable }, func(c *Contents) { c.Functions[0].Language = "c" }, func(c *Contents) { c.Functions[0].Body = "x" },
		func(c *Contents) { c.Functions[0].Pinned = true }, func(c *Contents) { c.Functions[0].Server = true },
	} {
		require.False(t, plain.same(read(change)), i)
	}
}

// source is a database whose tables the test changes.
type source struct {
	mu     sync.Mutex
	tables []string
	err    error
	loads  atomic.Int32
	takes  time.Duration
}

func (s *source) load(_ context.Context, k CatalogKey, _ *Snapshot) (*Snapshot, error) {
	s.mu.Lock()
	tables, err := s.tables, s.err
	s.mu.Unlock()
	s.loads.Add(1)
	time.Sleep(s.takes)
	if k.Database == "panics" {
		panic("secret")
	}
	if err != nil {
		return nil, err
	}
	return snapshotOf(tables...), nil
}

func (s *source) set(err error, tables ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tables, s.err = tables, err
}

func TestCatalogCache(t *testing.T) {
	reading := &proxy.Reading{Resource: "r", Database: "d"}
	ctx := context.Background()
	bubble := func(name string, f func(t *testing.T, c *CatalogCache, s *source)) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &source{takes: 10 * time.Millisecond}
				s.set(nil, "t")
				c := &CatalogCache{Load: s.load, Log: slog.New(slog.DiscardHandler)}
				defer c.Close()
				f(t, c, s)
			})
		})
	}
	bubble("single flight", func(t *testing.T, c *CatalogCache, s *source) {
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() { require.NotNil(t, c.Snapshot(ctx, reading).Relation("", "t")) })
		}
		wg.Wait()
		require.EqualValues(t, 1, s.loads.Load())
		require.Zero(t, testing.AllocsPerRun(100, func() { c.Snapshot(ctx, reading) }))
	})
	bubble("age", func(t *testing.T, c *CatalogCache, s *source) {
		first := c.Snapshot(ctx, reading)
		time.Sleep(2 * time.Minute)
		require.Same(t, first, c.Snapshot(ctx, reading), "nobody waits")
		synctest.Wait()
		time.Sleep(time.Second)
		require.EqualValues(t, 2, s.loads.Load())
		require.Same(t, first, c.Snapshot(ctx, reading), "it says the same")
		s.set(nil, "t", "u")
		time.Sleep(2 * time.Minute)
		c.Snapshot(ctx, reading)
		time.Sleep(time.Second)
		second := c.Snapshot(ctx, reading)
		require.NotNil(t, second.Relation("", "u"))
		require.NotEqual(t, first.ID, second.ID)
	})
	bubble("change", func(t *testing.T, c *CatalogCache, s *source) {
		other := &proxy.Reading{Resource: "r", Database: "d", Account: "b"}
		c.Snapshot(ctx, reading)
		c.Snapshot(ctx, other)
		s.set(nil, "t", "u")
		c.Changed(reading, nil)
		require.NotNil(t, c.Snapshot(ctx, reading).Relation("", "u"), "at once")
		require.NotNil(t, c.Snapshot(ctx, other).Relation("", "u"), "for all accounts")
	})
	bubble("change while it is read", func(t *testing.T, c *CatalogCache, s *source) {
		go c.Snapshot(ctx, reading)
		time.Sleep(5 * time.Millisecond)
		s.set(nil, "u")
		c.Changed(reading, nil)
		require.NotNil(t, c.Snapshot(ctx, reading).Relation("", "u"), "what was begun before the change is too old")
	})
	bubble("many changes", func(t *testing.T, c *CatalogCache, s *source) {
		c.Snapshot(ctx, reading)
		for i := range 200 { // a migration
			c.Changed(reading, []proxy.NameChange{{Kind: proxy.NameObject, Value: fmt.Sprint("m", i)}})
			latest, since := c.Latest(ctx, reading)
			require.NotNil(t, latest.Relation("", "t"), "who names something else does not wait")
			require.NotEmpty(t, since)
			require.Contains(t, []string{fmt.Sprint("m", i), ""}, since[len(since)-1].Value)
			time.Sleep(5 * time.Millisecond)
		}
		require.Less(t, s.loads.Load(), int32(5), "reading is not all that the server does")
		s.set(nil, "u")
		c.Changed(reading, nil)
		require.NotNil(t, c.Snapshot(ctx, reading).Relation("", "u"), "who needs what has changed waits for it")
		_, since := c.Latest(ctx, reading)
		require.Empty(t, since)
	})
	bubble("changes without an end", func(t *testing.T, c *CatalogCache, s *source) {
		done := make(chan struct{})
		go func() {
			defer close(done)
			for range 1000 {
				c.Changed(reading, nil)
				time.Sleep(time.Millisecond)
			}
		}()
		for range 50 {
			require.NotNil(t, c.Snapshot(ctx, reading), "what was begun since is new enough")
		}
		<-done
	})
	bubble("more changes than are told apart", func(t *testing.T, c *CatalogCache, s *source) {
		c.Snapshot(ctx, reading)
		for i := range 2 * maxSince {
			c.Changed(reading, []proxy.NameChange{{Kind: proxy.NameObject, Value: fmt.Sprint(i)}})
		}
		_, since := c.Latest(ctx, reading)
		require.Equal(t, anyObject, since)
	})
	bubble("doubt", func(t *testing.T, c *CatalogCache, s *source) {
		c.Snapshot(ctx, reading)
		for range 100 {
			c.Doubt(reading)
			time.Sleep(100 * time.Millisecond)
		}
		require.InDelta(t, 11, s.loads.Load(), 2, "about one a second")
	})
	bubble("failure", func(t *testing.T, c *CatalogCache, s *source) {
		s.set(errors.New("no"))
		for range 100 {
			require.Nil(t, c.Snapshot(ctx, reading))
			time.Sleep(10 * time.Millisecond)
		}
		require.LessOrEqual(t, s.loads.Load(), int32(3))
		s.set(nil, "t")
		time.Sleep(2 * time.Second)
		require.NotNil(t, c.Snapshot(ctx, reading))
		s.set(errors.New("no"))
		c.Changed(reading, nil)
		require.Nil(t, c.Snapshot(ctx, reading), "an old one is worse than none")
	})
	bubble("panic", func(t *testing.T, c *CatalogCache, _ *source) {
		require.Nil(t, c.Snapshot(ctx, &proxy.Reading{Database: "panics"}))
	})
	bubble("slow", func(t *testing.T, c *CatalogCache, s *source) {
		s.takes = time.Minute
		begun := time.Now()
		require.Nil(t, c.Snapshot(ctx, reading))
		require.Equal(t, 5*time.Second, time.Since(begun))
	})
	bubble("memory", func(t *testing.T, c *CatalogCache, s *source) {
		c.MaxBytes = 20_000
		for i := range 30 {
			c.Snapshot(ctx, &proxy.Reading{Database: fmt.Sprint(i)})
			time.Sleep(time.Second)
		}
		c.mu.RLock()
		require.Less(t, len(c.entries), 10)
		c.mu.RUnlock()
		n := s.loads.Load()
		c.Snapshot(ctx, &proxy.Reading{Database: "29"})
		require.Equal(t, n, s.loads.Load(), "the newest stays")
	})
	bubble("closed", func(t *testing.T, c *CatalogCache, _ *source) {
		require.NoError(t, c.Close())
		require.Nil(t, c.Snapshot(ctx, reading))
	})
}
