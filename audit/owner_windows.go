package audit

import (
	"io/fs"
	"os"
)

func openOwned(name string, flag int, perm fs.FileMode) (*os.File, error) {
	return os.OpenFile(name, flag, perm)
}

func makeFolder(name string) error { return os.Mkdir(name, 0o700) }
