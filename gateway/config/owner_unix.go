//go:build unix

package config

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// trusted returns why a file is not to be trusted: users other than root and that of
// this process can write it. Members of this process's own group may.
func trusted(name string, info fs.FileInfo) error {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	mode := info.Mode().Perm()
	switch {
	case st.Uid != 0 && int(st.Uid) != os.Geteuid():
		return fmt.Errorf("using %s: its owner has user number %d: want root or the gateway's own user, %d; set it with chown", name, st.Uid, os.Geteuid())
	case mode&0o002 != 0:
		return fmt.Errorf("using %s: every user can write it (mode %04o): take that away with chmod %s", name, mode, remedy(mode))
	case mode&0o020 != 0 && st.Gid != 0 && int(st.Gid) != os.Getegid():
		return fmt.Errorf("using %s: the members of group number %d can write it (mode %04o): take that away with chmod g-w", name, st.Gid, mode)
	}
	return nil
}

// remedy is the mode for chmod that leaves the owner alone able to write.
func remedy(mode fs.FileMode) string {
	if mode&0o020 != 0 {
		return "go-w"
	}
	return "o-w"
}
