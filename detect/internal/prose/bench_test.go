package prose

import (
	"bytes"
	"testing"
)

func BenchmarkFind(b *testing.B) {
	for name, text := range map[string]string{
		"names":  "Yesterday Aurelio Grimshaw called about the parcel that was to come on Monday and asked for Dr. Vaidyanathan.\n",
		"prose":  "The quick brown fox jumps over the lazy dog and the shipment was delivered yesterday after review.\n",
		"source": "\tif err := s.Read(ctx, buf[:n]); err != nil { return fmt.Errorf(\"read %q: %w\", name, err) }\n",
	} {
		b.Run(name, func(b *testing.B) {
			text := bytes.Repeat([]byte(text), 1000)
			var t Tagger
			var dst []Name
			m := Default()
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				dst = m.Find(dst[:0], &t, text, nil)
			}
		})
	}
}
