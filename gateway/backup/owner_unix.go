//go:build unix

package backup

import (
	"errors"
	"os"
	"syscall"
)

// ownerOf returns what gives a file to the owner of a folder: root restores what the gateway's own user must read.
func ownerOf(folder *os.Root) (func(root *os.Root, name string) error, error) {
	info, err := folder.Stat(".")
	if err != nil {
		return nil, err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return nil, errors.New("the system does not say who owns " + folder.Name())
	}
	if os.Geteuid() != 0 {
		return func(*os.Root, string) error { return nil }, nil
	}
	return func(root *os.Root, name string) error { return root.Lchown(name, int(st.Uid), int(st.Gid)) }, nil
}
