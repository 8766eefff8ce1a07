package hours

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestLength(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", 30 * time.Second: "30s", 15 * time.Minute: "15m", 90 * time.Second: "1m30s", 8 * time.Hour: "8h", 90 * time.Minute: "1h30m",
		time.Hour + 30*time.Second: "1h0m30s", 24 * time.Hour: "24h", 10 * time.Minute: "10m", 10 * time.Hour: "10h",
	} {
		require.Equal(t, want, Length(d))
	}
}
