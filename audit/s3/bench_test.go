package s3

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/internal/testserver"
)

// BenchmarkCopy copies a thousand small sessions and a large one to a server on the
// same machine, and verifies them there.
func BenchmarkCopy(b *testing.B) {
	server := testserver.S3(b)
	to := bucket(b, server, "records", true, func(c *Config) { c.Lock = Lock{Mode: "governance", For: time.Hour} })
	l := openLog(b, b.TempDir())
	for range 1000 {
		session(b, l, 500)
	}
	session(b, l, 256<<20)
	require.Eventually(b, func() bool { return l.Head().N == 1001 }, 2*time.Minute, 10*time.Millisecond)
	begun := time.Now()
	f, err := l.Copy(to, audit.FollowConfig{})
	require.NoError(b, err)
	require.Eventually(b, func() bool { return f.Stats().Sessions == 1001 }, 5*time.Minute, time.Millisecond)
	copied := time.Since(begun)
	require.NoError(b, l.Close())
	begun = time.Now()
	r := verified(b, to, l.PublicKey())
	require.Empty(b, r.Problems)
	b.ReportMetric(copied.Seconds(), "s/copy")
	b.ReportMetric(time.Since(begun).Seconds(), "s/verify")
	b.ReportMetric(float64(r.Bytes)/1e6, "MB")
}
