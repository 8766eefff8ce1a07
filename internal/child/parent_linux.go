package child

import "syscall"

// dieWithParent has the system send a signal to the server when this process is gone, however
// it went.
func dieWithParent(attr *syscall.SysProcAttr, end syscall.Signal) { attr.Pdeathsig = end }
