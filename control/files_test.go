package control

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestFileName: whatever a file is called, the name under which it is saved is a name, and no more than that.
func TestFileName(t *testing.T) {
	for in, want := range map[string]string{
		"/etc/passwd":                    "passwd",
		"report.pdf":                     "report.pdf",
		"/srv/büro/Übersicht.csv":        "Übersicht.csv",
		"/a/..":                          "file",
		"/":                              "_",
		"/a/.bashrc":                     "bashrc",
		"/a/x\\..\\y.exe":                "x_.._y.exe",
		"/a/fdp\u202eexe.\x1b]0;t":       "fdp_exe._]0;t",
		"/a/\xff\n":                      "__",
		"/a/" + strings.Repeat("ü", 200): strings.Repeat("ü", 100),
	} {
		require.Equal(t, want, fileName(in), "%q", in)
	}
}
