package audit

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
)

// BenchmarkIndexOutput indexes a session in which a command's output was recorded, of
// several kinds: what it costs after the session has ended.
func BenchmarkIndexOutput(b *testing.B) {
	const size = 16 << 20
	for _, c := range []struct {
		name string
		line func(dst []byte, i int) []byte
	}{
		{"log", func(dst []byte, i int) []byte {
			return fmt.Appendf(dst, "2026-03-0%d 12:0%d:11 server[%d]: request %d of a client took %d ms\r\n", i%9+1, i%10, i%4096, i, i%977)
		}},
		{"directories", func(dst []byte, i int) []byte {
			return fmt.Appendf(dst, "drwxr-xr-x 2 root root 4096 Mar  %d 12:%02d \x1b[01;34mdirectory-%d\x1b[0m\r\n", i%9+1, i%60, i%5000)
		}},
		{"prose", func(dst []byte, i int) []byte {
			return append(dst, "The quick brown fox jumps over the lazy dog; \"Größe\" is a word, too, and so is naïve.\r\n"...)
		}},
		{"base64", func(dst []byte, i int) []byte {
			r := rand.New(rand.NewPCG(uint64(i), 1))
			for range 76 {
				dst = append(dst, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"[r.IntN(64)])
			}
			return append(dst, '\n')
		}},
	} {
		b.Run(c.name, func(b *testing.B) {
			dir := b.TempDir()
			l := openLog(b, dir, Config{Durability: OS, Recordings: func(*proxy.Session) Recording { return Recording{Terminal: Full, Limit: 1 << 40} }})
			var text []byte
			for i := 0; len(text) < size; i++ {
				text = c.line(text, i)
			}
			var pieces []string
			for piece := range slices.Chunk(text, 32<<10) {
				pieces = append(pieces, string(piece))
			}
			id := visit{"carol", "ops", "vm", "ssh", shows(pieces...)}.record(b, l)
			require.NoError(b, l.Close())
			a, err := OpenArchive(dir)
			require.NoError(b, err)
			b.SetBytes(size)
			b.ReportAllocs()
			began := cpuTime(b)
			for b.Loop() {
				f, err := a.facts(b.Context(), id)
				require.NoError(b, err)
				require.NotEmpty(b, f.terms)
			}
			b.ReportMetric(size/1e6*float64(b.N)/(cpuTime(b)-began).Seconds(), "cpu-MB/s")
		})
	}
}
