package review

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/sallyport/sallyport/proxy"
)

// TargetOf tells a resource from another that has its name at another time: by what it is and where. What was granted at one is not
// granted at the other. It says nothing of either to people.
func TargetOf(r *proxy.Resource) string {
	sum := sha256.Sum256([]byte(strings.Join([]string{"sallyport resource 1", r.Name, r.Type, r.Address}, "\x00")))
	return hex.EncodeToString(sum[:8])
}

// at reports whether access is about a resource.
func (a *Access) at(r *proxy.Resource) bool { return a.Target == "" || a.Target == TargetOf(r) }
