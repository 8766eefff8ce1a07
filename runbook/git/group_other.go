//go:build !unix

package git

import "os/exec"

func group(cmd *exec.Cmd) { cmd.Cancel = func() error { return cmd.Process.Kill() } }
