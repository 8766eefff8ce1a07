//go:build unix

package backup

import (
	"errors"
	"fmt"
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

// sameOwner holds, for root, that a folder which was opened belongs to the owner of another one.
func sameOwner(like string, opened *os.Root) error {
	if os.Geteuid() != 0 {
		return nil // who backs up reads what is theirs
	}
	want, err := os.Stat(like)
	if err != nil {
		return err
	}
	got, err := opened.Stat(".")
	if err != nil {
		return err
	}
	w, ok := want.Sys().(*syscall.Stat_t)
	g, isStat := got.Sys().(*syscall.Stat_t)
	if !ok || !isStat {
		return errors.New("the system does not say who owns " + opened.Name())
	}
	if g.Uid != w.Uid {
		return fmt.Errorf("%s leads to a folder of user %d, want one of user %d, as %s is: run the backup as the gateway's user, or give both folders to that user", opened.Name(), g.Uid, w.Uid, like)
	}
	return nil
}
