package audit

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
)

// visit is a session to be found.
type visit struct {
	user, group, resource, protocol string
	asks                            func(s *proxy.Session)
}

// records records a visit and returns its identifier.
func (v visit) record(t testing.TB, l *Log) string {
	t.Helper()
	g := &proxy.Gateway{Interceptors: []proxy.Interceptor{permit{}, l}, Log: quiet().Log}
	s, connect, err := g.Open(context.Background(), proxy.OpenRequest{
		Identity: &proxy.Identity{Subject: v.user, Groups: []string{v.group}},
		Target:   proxy.Target{Resource: &proxy.Resource{Name: v.resource, Accounts: []proxy.Account{{Name: "app"}}}, Account: proxy.Account{Name: "app"}, Database: "shop"},
		Protocol: v.protocol,
	})
	require.NoError(t, err)
	s.Done(connect, &proxy.Outcome{})
	v.asks(s)
	s.Close(nil)
	return s.ID
}

func asks(texts ...string) func(*proxy.Session) {
	return func(s *proxy.Session) {
		for _, text := range texts {
			run(s, text)
		}
	}
}

// shows is a terminal that shows pieces.
func shows(pieces ...string) func(*proxy.Session) {
	return func(s *proxy.Session) {
		op := &proxy.Exec{Meta: proxy.Meta{Kind: proxy.KindShell}, Terminal: true}
		s.Ask(context.Background(), op)
		flow, err := s.Flow(op, &proxy.Shape{Kind: proxy.ShapeStream, Media: "terminal", Width: 80, Height: 24})
		if err != nil {
			panic(err)
		}
		for _, p := range pieces {
			if _, err := flow.Bytes(nil, []byte(p)); err != nil {
				panic(err)
			}
		}
		s.Done(op, &proxy.Outcome{})
	}
}

func masks(typ string) func(*proxy.Session) {
	return func(s *proxy.Session) {
		op := statementOf("TABLE people")
		op.Facts = &proxy.Facts{Effects: proxy.EffectRead, Relations: []proxy.Relation{{Schema: "hr", Name: "People", Effects: proxy.EffectRead}}}
		s.Ask(context.Background(), op)
		if err := s.Note(context.Background(), op, &proxy.Note{Kind: proxy.NoteMasked, Type: typ, Count: 3}); err != nil {
			panic(err)
		}
		s.Done(op, &proxy.Outcome{})
	}
}

func search(t testing.TB, dir string, q Query) *Result {
	t.Helper()
	a, err := OpenArchive(dir)
	require.NoError(t, err)
	r, err := a.Search(t.Context(), q, nil)
	require.NoError(t, err)
	return r
}

func identifiers(r *Result) []string {
	ids := []string{}
	for _, s := range r.Sessions {
		ids = append(ids, s.ID)
	}
	return ids
}

// What is found by the index is what the records tell: while the session is open, when
// it is sealed, and when it is indexed.
func TestSearch(t *testing.T) {
	dir := t.TempDir()
	l := openLog(t, dir, Config{Recordings: everything})
	many := make([]string, 2*maxNumerals)
	for i := range many {
		many[i] = strconv.Itoa(1_000_000 + i)
	}
	visits := []visit{
		{"alice", "dev", "shop", "postgres", asks("SELECT name FROM customers WHERE town = 'Żółć-Gdańsk'")},
		{"bob", "ops", "shop", "postgres", asks("DELETE FROM Orders;", "refuse me")},
		{"carol", "ops", "vm", "ssh", shows("\x1b[1mroot@vm\x1b[0m# systemctl sto", "p ngi\x1b[31mnx\x1b[0m-ing", "ress\r\n")},
		{"dave", "dev", "hr", "postgres", masks("email")},
		{"erin", "dev", "shop", "postgres", asks("SELECT " + strings.Join(many, ","))},
	}
	var ids []string
	for _, v := range visits {
		ids = append(ids, v.record(t, l))
	}
	alice, bob, carol, dave, erin := ids[0], ids[1], ids[2], ids[3], ids[4]
	newest := slices.Sorted(slices.Values(ids))[3:] // some began in the same millisecond
	now := time.Now()
	cases := []struct {
		name string
		Query
		found []string
		read  int // records that are read although all are indexed
	}{
		{"all", Query{}, []string{alice, bob, carol, dave, erin}, 0},
		{"the newest", Query{Limit: 2}, newest, 0},
		{"a user", Query{User: "alice"}, []string{alice}, 0},
		{"nobody", Query{User: "ali"}, nil, 0},
		{"a group", Query{Group: "ops"}, []string{bob, carol}, 0},
		{"a resource", Query{Resource: "hr"}, []string{dave}, 0},
		{"an account", Query{Account: "app", Protocol: "ssh"}, []string{carol}, 0},
		{"a database", Query{Database: "shop", Resource: "vm"}, []string{carol}, 0},
		{"a kind", Query{Kind: "shell"}, []string{carol}, 0},
		{"a verdict", Query{Verdict: "deny"}, []string{bob}, 0},
		{"a rule", Query{Rule: "no"}, []string{bob}, 0},
		{"an effect", Query{Effect: "delete"}, []string{alice, bob, erin}, 0},
		{"a table", Query{Relation: "people"}, []string{dave}, 0},
		{"a table with its schema", Query{Relation: "HR.People"}, []string{dave}, 0},
		{"another schema's", Query{Relation: "public.people"}, nil, 0},
		{"a fingerprint", Query{Fingerprint: "0000000000000abc"}, []string{alice, bob, erin}, 0},
		{"a masked type", Query{Masked: "email"}, []string{dave}, 0},
		{"a word", Query{Texts: []string{"orders"}}, []string{bob}, 0},
		{"a part of a word, in another case", Query{Texts: []string{"USTOM"}}, []string{alice}, 0},
		{"letters that are not ASCII", Query{Texts: []string{"żółć"}}, []string{alice}, 0},
		{"two words of one text", Query{Texts: []string{"delete from orders"}}, []string{bob}, 1},
		{"two words that are not beside each other", Query{Texts: []string{"delete orders"}}, nil, 1},
		{"texts that are in one session", Query{Texts: []string{"delete", "orders"}}, []string{bob}, 0},
		{"texts that are not", Query{Texts: []string{"customers", "orders"}}, nil, 0},
		{"a word that was shown in two pieces and colours", Query{Texts: []string{"nginx"}}, []string{carol}, 0},
		{"text that was", Query{Texts: []string{"stop nginx-ingress"}}, []string{carol}, 1},
		{"no word", Query{Texts: []string{"';"}}, nil, 5},
		{"a sign", Query{Texts: []string{"#"}}, []string{carol}, 5},
		{"one of many numbers", Query{Texts: []string{many[len(many)-1]}}, []string{erin}, 1},
		{"a number that is nowhere", Query{Texts: []string{"4711"}}, nil, 1},
		{"a time", Query{Since: now.Add(-time.Hour), Until: now.Add(time.Hour), User: "bob"}, []string{bob}, 0},
		{"before", Query{Until: now.Add(-time.Hour)}, nil, 0},
		{"after", Query{Since: now.Add(time.Hour)}, nil, 0},
	}
	check := func(t *testing.T, indexed bool) {
		for _, c := range cases {
			t.Run(c.name, func(t *testing.T) {
				r := search(t, dir, c.Query)
				require.ElementsMatch(t, c.found, identifiers(r))
				require.True(t, slices.IsSorted(identifiers(r)))
				if indexed {
					require.Equal(t, c.read, r.Read)
				}
			})
		}
	}
	t.Run("from the records", func(t *testing.T) { check(t, false) })
	require.NoError(t, l.Close())
	a, err := OpenArchive(dir)
	require.NoError(t, err)
	require.NoError(t, a.Reindex(t.Context(), nil))
	t.Run("from the index", func(t *testing.T) { check(t, true) })
}

// A session's summary is the same from the index and from the record.
func TestSummary(t *testing.T) {
	dir := t.TempDir()
	l := openLog(t, dir, Config{})
	visit{"alice", "dev", "shop", "postgres", asks("SELECT 1", "refuse me", "SELECT 2")}.record(t, l)
	open := newSession(t, l)
	require.Contains(t, []string{search(t, dir, Query{}).Sessions[0].End, search(t, dir, Query{}).Sessions[1].End}, "open")
	open.Close(fmt.Errorf("cut\x00off"))
	require.NoError(t, l.Close())
	read := search(t, dir, Query{})
	require.NotZero(t, read.Read)
	a, err := OpenArchive(dir)
	require.NoError(t, err)
	require.NoError(t, a.Reindex(t.Context(), nil))
	indexed := search(t, dir, Query{})
	require.Zero(t, indexed.Read)
	last := slices.IndexFunc(read.Sessions, func(s *Summary) bool { return s.ID == open.ID })
	require.Equal(t, "cut\x00off", read.Sessions[last].End)
	read.Sessions[last].End = "cut off" // what separates fields is a space there
	require.Equal(t, read.Sessions, indexed.Sessions)
	s := indexed.Sessions[1-last]
	require.Equal(t, []any{"alice", "shop", "app", "shop", "postgres", 2, 1, "ended"},
		[]any{s.User, s.Resource, s.Account, s.Database, s.Protocol, s.Operations, s.Refused, s.End})
	require.WithinDuration(t, time.Now(), s.Began(), time.Minute)
}

// The index follows the log, over as many segments as it takes, and what it says is
// what the records say.
func TestIndexFollows(t *testing.T) {
	dir := t.TempDir()
	l := openLog(t, dir, Config{Durability: OS})
	ids := map[string][]string{}
	for i := range segmentSessions + 300 {
		word := "word" + strconv.Itoa(i%7)
		ids[word] = append(ids[word], visit{"alice", "dev", "shop", "postgres", asks("SELECT " + word)}.record(t, l))
	}
	x := l.indexer.index
	require.Eventually(t, func() bool {
		return search(t, dir, Query{Texts: []string{"word3"}}).Read == 0
	}, 2*time.Minute, 100*time.Millisecond)
	require.ElementsMatch(t, ids["word3"], identifiers(search(t, dir, Query{Texts: []string{"word3"}})))
	starts, err := x.starts()
	require.NoError(t, err)
	require.Equal(t, []int{0, segmentSessions}, starts)

	late := visit{"bob", "dev", "shop", "postgres", asks("SELECT late")}.record(t, l)
	require.Equal(t, []string{late}, identifiers(search(t, dir, Query{User: "bob"})), "before it is indexed")
	require.Eventually(t, func() bool { return search(t, dir, Query{User: "bob"}).Read == 0 }, 30*time.Second, 100*time.Millisecond)
	require.NoError(t, l.Close())

	// What ended while nobody indexed is there after the next start.
	l = openLog(t, dir, Config{Durability: OS})
	require.Eventually(t, func() bool {
		r := search(t, dir, Query{Texts: []string{"word3"}})
		return r.Read <= 1 && len(r.Sessions) == len(ids["word3"])
	}, 30*time.Second, 100*time.Millisecond)
	require.NoError(t, l.Close())
}

// indexFiles are the files of the index by their names.
func indexFiles(t testing.TB, dir string) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	names, err := filepath.Glob(filepath.Join(dir, "index", "*"))
	require.NoError(t, err)
	for _, n := range names {
		files[n] = read(t, n)
	}
	return files
}

// The index holds nothing in clear that was recorded.
func TestIndexIsEncrypted(t *testing.T) {
	dir, ids := indexed(t)
	all := []byte{}
	for name, b := range indexFiles(t, dir) {
		all = append(append(all, name[len(dir):]...), b...)
	}
	require.Greater(t, len(all), 500)
	for _, word := range []string{"alice", "dev", "shop", "secretword", "select", "postgres", ids[0]} {
		require.NotContains(t, string(bytes.ToLower(all)), word)
	}
}

// indexed is a closed log with three indexed sessions, each with a word of its own.
func indexed(t testing.TB) (dir string, ids []string) {
	t.Helper()
	dir = t.TempDir()
	l := openLog(t, dir, Config{})
	for i := range 3 {
		ids = append(ids, visit{"alice", "dev", "shop", "postgres", asks(fmt.Sprint("SELECT secretword", i))}.record(t, l))
	}
	require.NoError(t, l.Close())
	a, err := OpenArchive(dir)
	require.NoError(t, err)
	require.NoError(t, a.Reindex(t.Context(), nil))
	return dir, ids
}

// A session that is erased leaves the index, and what the index was before opens
// no more.
func TestErasedSessionLeavesIndex(t *testing.T) {
	for name, erase := range map[string]func(t *testing.T, l *Log, id string) *Log{
		"by somebody": func(t *testing.T, l *Log, id string) *Log {
			require.NoError(t, l.Erase(Action{By: &proxy.Identity{Subject: "dpo"}, Session: id, Reason: "request"}))
			return l
		},
		"by a rule": func(t *testing.T, l *Log, id string) *Log {
			n, err := l.Expire(time.Now().Add(time.Hour), func(start *Event) time.Duration {
				if start.Session == id {
					return time.Minute
				}
				return 0
			})
			require.NoError(t, err)
			require.Equal(t, 1, n)
			return l
		},
		"and the gateway was killed then": func(t *testing.T, l *Log, id string) *Log {
			require.NoError(t, l.Act(Action{Type: AdminErase, Session: id}))
			require.NoError(t, l.Close())
			path, err := find(l.dir, id)
			require.NoError(t, err)
			require.NoError(t, newDisk(system{}).destroy(path+keySuffix))
			require.Empty(t, identifiers(search(t, l.dir, Query{Texts: []string{"secretword1"}})), "what the index says of it is not shown")
			return openLog(t, l.dir, Config{})
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir, ids := indexed(t)
			before := indexFiles(t, dir)
			l := openLog(t, dir, Config{})
			l = erase(t, l, ids[1])
			a := newArchive(l.dir, l.keys, l.disk)
			x := l.indexer.index
			leaves, err := readLeafLines(dir)
			require.NoError(t, err)
			require.Eventually(t, func() bool {
				s, err := x.load(0, leaves)
				if err != nil || s.Len() < 3 {
					return false
				}
				found, err := s.Find(func(term []byte) bool { return bytes.Contains(term, []byte("secretword1")) })
				require.NoError(t, err)
				return len(found) == 0 && len(s.Doc(1)) == 0
			}, 20*time.Second, 20*time.Millisecond)
			require.Empty(t, identifiers(search(t, dir, Query{Texts: []string{"secretword1"}})))
			require.ElementsMatch(t, []string{ids[0], ids[2]}, identifiers(search(t, dir, Query{User: "alice"})))
			require.Contains(t, search(t, dir, Query{}).Sessions, &Summary{ID: ids[1], End: "erased"})

			old := filepath.Join(dir, "index", segmentName(0)+segmentSuffix)
			require.NoError(t, l.Close())
			write(t, old, before[old])
			_, err = x.load(0, leaves)
			require.ErrorIs(t, err, errDamaged, "no key opens it")

			require.NoError(t, a.Reindex(t.Context(), nil))
			require.Empty(t, identifiers(search(t, dir, Query{Texts: []string{"secretword1"}})))
		})
	}
}

// An index of which anything was changed is not believed: what is found is the
// same, and it is made anew.
func TestIndexDamaged(t *testing.T) {
	dir, ids := indexed(t)
	segment := filepath.Join(dir, "index", segmentName(0)+segmentSuffix)
	key := filepath.Join(dir, "index", segmentName(0)+keySuffix)
	other, _ := indexed(t)
	for name, damage := range map[string]func(){
		"cut":         func() { write(t, segment, read(t, segment)[:20]) },
		"empty":       func() { write(t, segment, nil) },
		"longer":      func() { write(t, segment, append(read(t, segment), 0)) },
		"no key":      func() { removeFile(t, key) },
		"another key": func() { write(t, key, read(t, key)[1:]) },
		"another log's": func() {
			for _, f := range []string{segment, key} {
				write(t, f, read(t, filepath.Join(other, f[len(dir):])))
			}
		},
		"too large": func() { require.NoError(t, os.Truncate(segment, maxSegmentFile+1)) },
		"at another place": func() {
			require.NoError(t, os.Rename(segment, filepath.Join(dir, "index", segmentName(1)+segmentSuffix)))
			require.NoError(t, os.Rename(key, filepath.Join(dir, "index", segmentName(1)+keySuffix)))
		},
	} {
		t.Run(name, func(t *testing.T) {
			damage()
			r := search(t, dir, Query{Texts: []string{"secretword1"}})
			require.Equal(t, ids[1:2], identifiers(r))
			require.Equal(t, 1, r.Damaged)
			again := search(t, dir, Query{Texts: []string{"secretword1"}})
			require.Equal(t, ids[1:2], identifiers(again))
			require.Zero(t, again.Damaged)
			require.Zero(t, again.Read)
		})
	}
	t.Run("each byte", func(t *testing.T) {
		whole := read(t, segment)
		x := &index{newArchive(dir, nil, newDisk(system{}))}
		a, err := OpenArchive(dir)
		require.NoError(t, err)
		x.keys = a.keys
		leaves, err := readLeafLines(dir)
		require.NoError(t, err)
		for i := range whole {
			changed := slices.Clone(whole)
			changed[i] ^= 1 << (i % 8)
			write(t, segment, changed)
			_, err := x.load(0, leaves)
			require.ErrorIs(t, err, errDamaged, i)
		}
		write(t, segment, whole)
	})
	t.Run("by a running gateway's start", func(t *testing.T) {
		write(t, segment, []byte("nothing"))
		l := openLog(t, dir, Config{})
		leaves, err := readLeafLines(dir)
		require.NoError(t, err)
		require.Eventually(t, func() bool {
			s, err := l.indexer.index.load(0, leaves)
			return err == nil && s.Len() >= len(ids)
		}, 20*time.Second, 20*time.Millisecond)
		require.NoError(t, l.Close())
	})
}

// A record that cannot be read does not keep others from being found.
func TestUnreadableRecord(t *testing.T) {
	dir, ids := indexed(t)
	path, err := find(dir, ids[1])
	require.NoError(t, err)
	b := read(t, path+recordSuffix)
	b[len(b)-1] ^= 1
	write(t, path+recordSuffix, b)
	a, err := OpenArchive(dir)
	require.NoError(t, err)
	require.NoError(t, (&index{a}).clear())
	for range 2 { // from the records, and from the index
		all := search(t, dir, Query{})
		require.ElementsMatch(t, ids, identifiers(all))
		require.Contains(t, all.Sessions, &Summary{ID: ids[1], End: "unreadable"})
		require.ElementsMatch(t, []string{ids[0], ids[2]}, identifiers(search(t, dir, Query{Texts: []string{"secretword"}, User: "alice"})))
		require.NoError(t, a.Reindex(t.Context(), nil))
	}
}

// The index opens after its log's key was changed.
func TestIndexRekeyed(t *testing.T) {
	dir, ids := indexed(t)
	own := read(t, filepath.Join(dir, masterKey))
	current := bytes.Repeat([]byte{7}, keyLen)
	a, err := OpenArchiveWith(dir, Keys{Current: current})
	require.NoError(t, err)
	_, err = a.Rekey()
	require.NoError(t, err)
	removeFile(t, filepath.Join(dir, masterKey))
	a, err = OpenArchiveWith(dir, Keys{Current: current})
	require.NoError(t, err)
	r, err := a.Search(t.Context(), Query{Texts: []string{"secretword1"}}, nil)
	require.NoError(t, err)
	require.Equal(t, ids[1:2], identifiers(r))
	require.Zero(t, r.Damaged+r.Read)
	require.NotEqual(t, own, current)
}

// Any text is found where a plain search through what was asked finds it.
func TestSearchIsPlainSearch(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	letters := []rune("abAB01_ -éÉ\n")
	text := func(n int) string {
		out := make([]rune, n)
		for i := range out {
			out[i] = letters[r.IntN(len(letters))]
		}
		return string(out)
	}
	dir := t.TempDir()
	l := openLog(t, dir, Config{Durability: OS, Recordings: everything})
	all := map[string]string{}
	for range 40 {
		asked := text(1 + r.IntN(200))
		all[visit{"alice", "dev", "shop", "postgres", asks(asked)}.record(t, l)] = asked
	}
	require.NoError(t, l.Close())
	a, err := OpenArchive(dir)
	require.NoError(t, err)
	require.NoError(t, a.Reindex(t.Context(), nil))
	hits := 0
	for range 300 {
		looked := text(1 + r.IntN(4))
		want := []string{}
		for id, asked := range all {
			if strings.Contains(strings.ToLower(asked), strings.ToLower(looked)) {
				want = append(want, id)
			}
		}
		hits += len(want)
		require.ElementsMatch(t, want, identifiers(search(t, dir, Query{Texts: []string{looked}})), "%q", looked)
	}
	require.NotZero(t, hits)
}
