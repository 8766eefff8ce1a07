package review

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"

	"github.com/sallyport/sallyport/proxy"
)

// TargetOf tells a resource from another that has its name at another time: by what it is, where, and when it was made, as far as that is
// known. What was granted at one is not granted at the other. It says nothing of either to people.
func TargetOf(r *proxy.Resource) string {
	parts := []string{"sallyport resource 1", r.Name, r.Type, r.Address}
	if r.Via != "" {
		parts = append(parts, "via "+r.Via)
	}
	if !r.Made.IsZero() {
		parts = append(parts, r.Made.UTC().Format(time.RFC3339Nano))
	}
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:8])
}

// at reports whether access is about a resource.
func (a *Access) at(r *proxy.Resource) bool { return a.Target == "" || a.Target == TargetOf(r) }
