//go:build noconsole

package console

import "io/fs"

func dist() (fs.FS, error) { return nil, ErrNotBuilt }

const built = false
