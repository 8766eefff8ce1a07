//go:build unix

package config

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// A file that others could have written is not used by a gateway.
func TestSafe(t *testing.T) {
	name := filepath.Join(t.TempDir(), "sallyport.yaml")
	require.NoError(t, os.WriteFile(name, []byte("resources: []\n"), 0o600))
	for _, c := range []struct {
		name string
		mode os.FileMode
		uid  int
		gid  int
		says string
	}{
		{"the user's own", 0o600, os.Geteuid(), os.Getegid(), ""},
		{"everybody reads it", 0o644, os.Geteuid(), os.Getegid(), ""},
		{"the user's own group writes it", 0o664, os.Geteuid(), os.Getegid(), ""},
		{"everybody writes it", 0o602, os.Geteuid(), os.Getegid(), "every user can write it (mode 0602): take that away with chmod o-w"},
		{"everybody writes it, and the group", 0o666, os.Geteuid(), os.Getegid(), "chmod go-w"},
		{"another group and everybody write it", 0o666, 0, 4711, "chmod go-w"},
		{"root's", 0o640, 0, 0, ""},
		{"another group reads it", 0o640, 0, 4711, ""},
		{"another group writes it", 0o660, 0, 4711, "the members of group number 4711 can write it (mode 0660)"},
		{"another user's", 0o600, 4711, 0, "its owner has user number 4711"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if os.Geteuid() != 0 && (c.uid != os.Geteuid() || c.gid != os.Getegid()) {
				t.Skip("only root gives files away")
			}
			require.NoError(t, os.Chown(name, c.uid, c.gid))
			require.NoError(t, os.Chmod(name, c.mode))
			f, err := Load(name, options())
			require.NoError(t, err, "everybody may look at it")
			if err = f.Safe(); c.says == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, c.says)
			}
		})
	}
	f, err := Parse(name, []byte("resources: []\n"), options())
	require.NoError(t, err)
	require.NoError(t, f.Safe(), "it was not read from a file")
}

// A program that others can write is not run.
func TestProgramsOfOthers(t *testing.T) {
	dir := t.TempDir()
	program, path := filepath.Join(dir, "db"), filepath.Join(dir, "x.yaml")
	require.NoError(t, os.WriteFile(path, []byte(with("secrets: {exec: {commands: {db: ["+program+"]}}}", "exec:db#p")), 0o600))
	f, err := Load(path, withKinds())
	require.NoError(t, err)
	require.ErrorIs(t, f.Safe(), os.ErrNotExist)
	require.NoError(t, os.WriteFile(program, []byte("#!/bin/sh\n"), 0o700))
	require.NoError(t, f.Safe())
	require.NoError(t, os.Chmod(program, 0o702))
	require.ErrorContains(t, f.Safe(), "secrets.exec: using "+program+": every user can write it")
}
