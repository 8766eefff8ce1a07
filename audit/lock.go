package audit

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// lockFile takes a lock that ends with the process, and leaves the process's number in
// the file, so that another one can say who has it.
func lockFile(name string) (*os.File, error) {
	f, err := openOwned(name, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := flock(f, false); err != nil {
		defer f.Close()
		return nil, fmt.Errorf("%s has it open: stop that process, or wait until its sessions have ended, and try again; "+
			"two gateways at a time need a data directory each", holder(f))
	}
	err = f.Truncate(0)
	if err == nil {
		_, err = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// holder names the process that has locked f.
func holder(f *os.File) string {
	b := make([]byte, 32)
	n, _ := f.ReadAt(b, 0) // what cannot be read is not named
	pid, err := strconv.Atoi(strings.TrimSpace(string(b[:n])))
	st, serr := f.Stat()
	if err != nil || serr != nil {
		return "another process"
	}
	return fmt.Sprintf("process %d has run since %s and", pid, st.ModTime().Format(time.DateTime))
}

// waitLock waits until it has the lock, which ends with the process at the latest.
func waitLock(name string) (*os.File, error) {
	f, err := openOwned(name, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := flock(f, true); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
