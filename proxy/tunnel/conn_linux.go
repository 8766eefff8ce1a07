package tunnel

import "syscall"

// userTimeout is TCP_USER_TIMEOUT of Linux, which package syscall does not name.
const userTimeout = 0x12

// bound ends a connection whose peer has acknowledged nothing for a time, though there was something
// to acknowledge.
func bound(fd uintptr) {
	_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, userTimeout, int(unacknowledged.Milliseconds()))
}
