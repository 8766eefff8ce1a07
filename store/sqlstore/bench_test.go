package sqlstore

import (
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/sallyport/sallyport/internal/pgembed"
	"github.com/sallyport/sallyport/internal/testserver"
	"github.com/sallyport/sallyport/store"
)

// BenchmarkStore measures single writes and reads of a small document, by one
// goroutine and by eight, on a PostgreSQL that waits for its disk.
func BenchmarkStore(b *testing.B) {
	for name, open := range map[string]func(b *testing.B) *Store{
		"SQLite": func(b *testing.B) *Store { return openFile(b, filepath.Join(b.TempDir(), "store.db"), Options{}) },
		"PostgreSQL": func(b *testing.B) *Store {
			server := testserver.Postgres(b, pgembed.Config{Settings: map[string]string{"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}})
			return openDatabase(b, address(server, "postgres"), Options{})
		},
	} {
		b.Run(name, func(b *testing.B) {
			s := open(b)
			var n atomic.Int64
			body := `{"groups": ["dev", "oncall"], "disabled": false}`
			write := func(b *testing.B) {
				if _, err := s.Write(b.Context(), store.Create(document("k", fmt.Sprint(n.Add(1)), body))); err != nil {
					b.Error(err)
				}
			}
			write(b)
			read := func(b *testing.B) {
				if _, err := s.Get(b.Context(), "k", "1"); err != nil {
					b.Error(err)
				}
			}
			b.Run("write", func(b *testing.B) {
				for b.Loop() {
					write(b)
				}
			})
			b.Run("write by 8", func(b *testing.B) {
				b.SetParallelism(4)
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						write(b)
					}
				})
			})
			b.Run("read", func(b *testing.B) {
				for b.Loop() {
					read(b)
				}
			})
			b.Run("read by 8", func(b *testing.B) {
				b.SetParallelism(4)
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						read(b)
					}
				})
			})
		})
	}
}
