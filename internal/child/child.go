//go:build unix

// Package child runs servers of others for as long as this process lives, by an ordinary user
// where this process is root's.
package child

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"runtime"
	"strconv"
	"strings"
	"syscall"
)

// User is who runs a server; nil is the user of this process.
type User struct{ uid, gid int }

// Unprivileged returns the first of some users that this machine has when this process is root's,
// and nil when it is an ordinary user's.
func Unprivileged(names ...string) (*User, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range names {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.Atoi(u.Uid)
		gid, err2 := strconv.Atoi(u.Gid)
		if err1 != nil || err2 != nil {
			continue
		}
		return &User{uid, gid}, nil
	}
	return nil, fmt.Errorf("a server is not run as root, and this machine has no user %s", strings.Join(names, " or "))
}

// Own gives files to the user.
func (u *User) Own(paths ...string) error {
	if u == nil {
		return nil
	}
	for _, p := range paths {
		if err := os.Chown(p, u.uid, u.gid); err != nil {
			return err
		}
	}
	return nil
}

// Runs sets a command up to run as the user, and returns it.
func (u *User) Runs(cmd *exec.Cmd) *exec.Cmd {
	if u != nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(u.uid), Gid: uint32(u.gid)}}
	}
	return cmd
}

// Start starts a server, in a process group of its own, so that Ctrl-C at the terminal is for this process
// alone. Where the system can do it, the server gets the signal end when this process is gone.
// The channel is closed when the server has ended.
func Start(cmd *exec.Cmd, end syscall.Signal) (exited <-chan struct{}, err error) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	dieWithParent(cmd.SysProcAttr, end)
	begun, ended := make(chan error), make(chan struct{})
	go func() {
		// The parent is the thread that starts the server; it stays for as long.
		runtime.LockOSThread()
		err := cmd.Start()
		begun <- err
		if err == nil {
			cmd.Wait() // how it ended is in its log
			close(ended)
		}
	}()
	return ended, <-begun
}
