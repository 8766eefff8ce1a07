package pgembed

import "syscall"

// dieWithParent has the system end the server when this process is gone, however
// it went.
func dieWithParent(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGINT }
