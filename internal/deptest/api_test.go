package deptest

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestAPICheck holds what scripts/api finds, in a repository of its own: changes since the version before that
// can break a program, where scripts/api-changes does not say that they are meant.
func TestAPICheck(t *testing.T) {
	const (
		first  = "package p\n\nfunc F() {}\n\ntype T struct{ N int }\n"
		wider  = "package p\n\nfunc F() {}\n\nfunc G() {}\n\ntype T struct{ N, M int }\n"
		other  = "package p\n\nfunc F(int) {}\n\ntype T struct{ N int }\n"
		change = "./p.F: changed from func() to func(int)"
	)
	r := apiRepository(t)
	check := func(ok bool, want string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), filepath.Join(string(r), "scripts/api"))
		out, err := cmd.CombinedOutput()
		require.Equal(t, ok, err == nil, "%s", out)
		require.Contains(t, string(out), want)
	}
	r.commit(t, map[string]string{"p/p.go": first, "internal/q/q.go": "package q\n\nfunc Q() {}\n"})
	check(true, "No version is tagged yet")
	r.git(t, "tag", "v0.1.0")
	check(true, "No version is tagged yet") // nothing is before the first one
	r.commit(t, map[string]string{"p/p.go": wider, "internal/q/q.go": "package q\n"})
	check(true, "incompatible with v0.1.0")
	r.commit(t, map[string]string{"p/p.go": other})
	check(false, change)
	r.commit(t, map[string]string{"scripts/api-changes": "# Meant.\n\n" + change + "\n"})
	check(true, "incompatible with v0.1.0")
	r.git(t, "tag", "v0.2.0-rc.1")
	r.git(t, "tag", "v0.2.0")
	check(true, "incompatible with v0.1.0") // what a version changes is what it says that it changes
	r.commit(t, map[string]string{"README.md": "more\n"})
	check(false, "no changes since v0.2.0")
	r.commit(t, map[string]string{"scripts/api-changes": ""})
	check(true, "incompatible with v0.2.0")
	r.git(t, "rm", "--quiet", "-r", "p")
	r.commit(t, map[string]string{"r/r.go": "package r\n"})
	check(false, "package example.com/m/p: removed")
	r.commit(t, map[string]string{"p/p.go": "package p\n\nfunc F(int {}\n"})
	check(false, "expected")

	shallow := filepath.Join(t.TempDir(), "shallow")
	r.git(t, "clone", "--quiet", "--depth", "1", "file://"+string(r), shallow)
	r = apiRepo(shallow)
	check(false, "git fetch --unshallow --tags")
}

// apiRepo is the folder of a repository that has the script, and what it is built from.
type apiRepo string

func apiRepository(t *testing.T) apiRepo {
	t.Helper()
	r := apiRepo(t.TempDir())
	files := map[string]string{"go.mod": "module example.com/m\n\ngo 1.26.0\n", "scripts/api-changes": ""}
	for _, name := range []string{"scripts/api", "tools/apidiff/go.mod", "tools/apidiff/go.sum"} {
		text, err := os.ReadFile(filepath.Join("../..", name))
		require.NoError(t, err)
		files[name] = string(text)
	}
	r.git(t, "init", "--quiet")
	r.commit(t, files)
	return r
}

func (r apiRepo) commit(t *testing.T, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(string(r), name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o755))
	}
	r.git(t, "add", ".")
	r.git(t, "commit", "--quiet", "-m", "change")
}

func (r apiRepo) git(t *testing.T, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", append([]string{"-c", "user.name=a", "-c", "user.email=a@example.com"}, args...)...)
	cmd.Dir = string(r)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "git %v: %s", args, out)
}
