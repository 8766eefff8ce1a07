//go:build !linux

package systemd

import "time"

// There is no such service manager here.
func monotonic() time.Duration { return 0 }
