//go:build unix

// Package child runs servers of others for as long as this process lives, by an ordinary user
// where this process is root's.
package child

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
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

// Process is a server that was started. Stop takes nil for one that was not.
type Process struct {
	cmd    *exec.Cmd
	exited chan struct{}
}

// Start starts a server, in a process group of its own, so that Ctrl-C at the terminal is for this process
// alone. Where the system can do it, the server gets the signal end when this process is gone.
func Start(cmd *exec.Cmd, end syscall.Signal) (*Process, error) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	dieWithParent(cmd.SysProcAttr, end)
	p := &Process{cmd, make(chan struct{})}
	begun := make(chan error)
	go func() {
		// The parent is the thread that starts the server; it stays for as long.
		runtime.LockOSThread()
		err := cmd.Start()
		begun <- err
		if err == nil {
			cmd.Wait() // how it ended is in its log
			close(p.exited)
		}
	}()
	if err := <-begun; err != nil {
		return nil, err
	}
	return p, nil
}

// ErrEnded says that a server has ended by itself.
var ErrEnded = errors.New("the server has ended")

// Ready asks until the server answers, for a time at most. The error is ErrEnded, or why it does not answer.
func (p *Process) Ready(ctx context.Context, limit time.Duration, ask func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		err := ask(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-p.exited:
			return ErrEnded
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-time.After(30 * time.Millisecond):
		}
	}
}

// PID is the number by which the system knows the server.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Stop has the server end, by force when it takes longer than patience, and waits until it has.
func (p *Process) Stop(end, force syscall.Signal, patience time.Duration) {
	if p == nil {
		return
	}
	p.cmd.Process.Signal(end)
	select {
	case <-p.exited:
	case <-time.After(patience):
		p.Kill(force)
	}
}

// Kill ends the server by a signal that leaves it no choice, and waits until it has ended.
func (p *Process) Kill(force syscall.Signal) {
	p.cmd.Process.Signal(force)
	<-p.exited
}
