package audit

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// BenchmarkSearch finds sessions among 100,000 of ten statements each.
func BenchmarkSearch(b *testing.B) {
	const sessions = 100_000
	dir := b.TempDir()
	l := openLog(b, dir, Config{Durability: OS})
	begun := time.Now()
	for i := range sessions {
		texts := make([]string, 10)
		for j := range texts {
			texts[j] = fmt.Sprintf("SELECT c%d, name FROM table_%d JOIN customers USING (id) WHERE id = %d", j, (i*7+j)%500, i*10+j)
		}
		visit{fmt.Sprintf("user%d", i%200), fmt.Sprintf("group%d", i%10), fmt.Sprintf("db%d", i%50), "postgres", asks(texts...)}.record(b, l)
	}
	b.Logf("recorded in %v", time.Since(begun))
	require.NoError(b, l.Close())
	a, err := OpenArchive(dir)
	require.NoError(b, err)
	begun = time.Now()
	require.NoError(b, a.Reindex(b.Context(), nil))
	b.Logf("indexed in %v", time.Since(begun))
	size := 0
	for _, f := range indexFiles(b, dir) {
		size += len(f)
	}
	b.Logf("the index takes %d bytes a session", size/sessions)
	for _, c := range []struct {
		name string
		Query
		found int
	}{
		{"user", Query{User: "user7", Limit: 100}, 100},
		{"word", Query{Texts: []string{"table_77"}, Limit: 100}, 100},
		{"part of a word", Query{Texts: []string{"able_7"}, Limit: 100}, 100},
		{"number", Query{Texts: []string{"777777"}}, 1},
		{"user, group, table, word", Query{User: "user7", Group: "group7", Relation: "cust\"omers", Texts: []string{"customers", "c9"}, Limit: 100}, 100},
		{"phrase", Query{Texts: []string{"table_77 join customers"}, Limit: 100}, 100},
		{"nothing", Query{Texts: []string{"pg_shadow"}}, 0},
		{"all of one user", Query{User: "user7"}, sessions / 200},
		{"all", Query{}, sessions},
	} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				r, err := a.Search(b.Context(), c.Query, nil)
				require.NoError(b, err)
				require.Len(b, r.Sessions, c.found)
			}
		})
	}
}
