//go:build unix

package sshembed

import (
	"encoding/binary"
	"errors"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"

	"github.com/creack/pty"
	gossh "golang.org/x/crypto/ssh"
)

// session is one shell or command.
type session struct {
	server   *Server
	channel  gossh.Channel
	term     string
	size     *pty.Winsize
	terminal *os.File // set while a terminal is open
	cmd      *exec.Cmd
	outputs  []io.Closer // what is read of the command

	mu     sync.Mutex
	reaped bool // the terminal is closed, and the command's process number may be another's
}

func (s *session) serve(requests <-chan *gossh.Request) {
	defer s.channel.Close()
	for r := range requests {
		r.Reply(s.request(r), nil)
	}
	// The client is gone: so is what it ran.
	s.signal(syscall.SIGHUP)
	s.signal(syscall.SIGKILL)
	for _, o := range s.outputs { // of which something may hold the other end still
		o.Close()
	}
}

func (s *session) request(r *gossh.Request) bool {
	switch r.Type {
	case "pty-req":
		var p struct {
			Term                string
			Columns, Rows, W, H uint32
			Modes               string
		}
		if gossh.Unmarshal(r.Payload, &p) != nil || s.cmd != nil {
			return false
		}
		s.term, s.size = p.Term, winsize(p.Columns, p.Rows)
		return true
	case "window-change":
		var p struct{ Columns, Rows, W, H uint32 }
		return gossh.Unmarshal(r.Payload, &p) == nil && s.resize(winsize(p.Columns, p.Rows))
	case "subsystem":
		var p struct{ Name string }
		if gossh.Unmarshal(r.Payload, &p) != nil || p.Name != "sftp" || s.size != nil {
			return false
		}
		program := sftpServer()
		return program != "" && s.start(program)
	case "shell":
		return s.start(s.server.shell)
	case "exec":
		var p struct{ Command string }
		if gossh.Unmarshal(r.Payload, &p) != nil {
			return false
		}
		return s.start(s.server.shell, "-c", p.Command)
	case "signal":
		var p struct{ Name string }
		if gossh.Unmarshal(r.Payload, &p) != nil {
			return false
		}
		sig, ok := signals[p.Name]
		return ok && s.signal(sig)
	}
	return false
}

func winsize(columns, rows uint32) *pty.Winsize {
	return &pty.Winsize{Cols: uint16(min(columns, 1000)), Rows: uint16(min(rows, 1000))}
}

var signals = map[string]syscall.Signal{
	"HUP": syscall.SIGHUP, "INT": syscall.SIGINT, "QUIT": syscall.SIGQUIT, "KILL": syscall.SIGKILL, "TERM": syscall.SIGTERM,
	"USR1": syscall.SIGUSR1, "USR2": syscall.SIGUSR2, "ALRM": syscall.SIGALRM,
}

func (s *session) resize(to *pty.Winsize) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.terminal != nil && !s.reaped && pty.Setsize(s.terminal, to) == nil
}

// signal signals what runs, with all that it has started.
func (s *session) signal(sig syscall.Signal) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.reaped && s.cmd != nil && s.cmd.Process != nil && syscall.Kill(-s.cmd.Process.Pid, sig) == nil
}

// sftpServer returns the path of OpenSSH's, where the usual systems have it;
// empty when it is not installed.
func sftpServer() string {
	for _, path := range []string{
		"/usr/lib/openssh/sftp-server", "/usr/libexec/openssh/sftp-server", "/usr/libexec/sftp-server", "/usr/lib/ssh/sftp-server",
	} {
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			return path
		}
	}
	return ""
}

// start starts a program, with nothing of this process's environment.
func (s *session) start(program string, args ...string) bool {
	if s.cmd != nil {
		return false
	}
	s.cmd = exec.Command(program, args...)
	s.cmd.Dir = s.server.Home
	s.cmd.Env = []string{
		"PATH=/usr/local/bin:/usr/bin:/bin", "HOME=" + s.server.Home, "USER=" + User, "LOGNAME=" + User, "SHELL=" + s.server.shell,
		"LANG=C.UTF-8", `PS1=demo$ `,
	}
	if s.size != nil {
		s.cmd.Env = append(s.cmd.Env, "TERM="+s.term)
		return s.startTerminal()
	}
	return s.startPipes()
}

func (s *session) startTerminal() bool {
	terminal, err := pty.StartWithSize(s.cmd, s.size) // in a session of its own
	if err != nil {
		return false
	}
	s.terminal, s.outputs = terminal, []io.Closer{terminal}
	s.server.work.Go(func() { io.Copy(terminal, s.channel) })
	s.server.work.Go(func() {
		io.Copy(s.channel, terminal) // until the last program has closed it
		s.ended()
	})
	return true
}

func (s *session) startPipes() bool {
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	stdin, err := s.cmd.StdinPipe()
	if err != nil {
		return false
	}
	stdout, err := s.cmd.StdoutPipe()
	if err != nil {
		return false
	}
	stderr, err := s.cmd.StderrPipe()
	if err != nil {
		return false
	}
	if err := s.cmd.Start(); err != nil {
		return false
	}
	s.server.work.Go(func() {
		io.Copy(stdin, s.channel)
		stdin.Close()
	})
	s.outputs = []io.Closer{stdout, stderr}
	var output sync.WaitGroup
	output.Go(func() { io.Copy(s.channel, stdout) })
	output.Go(func() { io.Copy(s.channel.Stderr(), stderr) })
	s.server.work.Go(func() {
		output.Wait()
		s.ended()
	})
	return true
}

// ended waits for the command and tells the client how it ended.
func (s *session) ended() {
	defer s.channel.Close()
	err := s.wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
			for name, sig := range signals {
				if sig == status.Signal() {
					s.channel.SendRequest("exit-signal", false, gossh.Marshal(struct {
						Name     string
						Core     bool
						Text     string
						Language string
					}{name, status.CoreDump(), "", ""}))
					return
				}
			}
		}
	}
	code := uint32(255)
	if s.cmd.ProcessState != nil && s.cmd.ProcessState.ExitCode() >= 0 {
		code = uint32(s.cmd.ProcessState.ExitCode())
	}
	s.channel.SendRequest("exit-status", false, binary.BigEndian.AppendUint32(nil, code))
}

func (s *session) wait() error {
	err := s.cmd.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reaped = true
	if s.terminal != nil {
		s.terminal.Close()
	}
	return err
}
