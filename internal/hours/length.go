package hours

import (
	"strings"
	"time"
)

// Length writes a time without what is zero: "15m" and "8h", where String has "15m0s" and "8h0m0s".
func Length(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
