//go:build !noconsole

package console

import (
	"embed"
	"io/fs"
)

//go:embed dist
var embedded embed.FS

// dist are the files of the console.
func dist() (fs.FS, error) { return fs.Sub(embedded, "dist") }

const built = true
