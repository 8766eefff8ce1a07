package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/testserver"
)

// small is a repository of the shape of this one, with a program that compiles in a second and that needs one module.
var small = map[string]string{
	"LICENSE": "licence\n", "README.md": "read me\n", "SECURITY.md": "tell us\n", "CHANGELOG.md": "changes\n", "docs/config.md": "config\n", "docs/img/a.png": "image\n",
	"deploy/systemd/sallyport.service": "[Unit]\n", "console/dist/LICENSES.txt": "Parts.\n\n\n@a/b 1.2.3\n\nMIT\n\n\nc 4.5.6\n\nMIT\n",
	"go.mod": "module example.com/small\n\ngo 1.26.0\n\nrequire golang.org/x/mod VERSION\n",
	"cmd/sallyport/main.go": `package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"

	"golang.org/x/mod/semver"
)

func main() {
	switch os.Args[1] {
	case "completion":
		fmt.Println("completes", os.Args[2])
	case "reference":
		if err := os.WriteFile(filepath.Join(os.Args[3], "sallyport.1"), []byte(".TH\n"), 0o644); err != nil {
			panic(err)
		}
	case "version":
		info, _ := debug.ReadBuildInfo()
		fmt.Println(semver.Canonical(info.Main.Version))
	}
}
`,
}

// repository commits the small repository, and tags the commit where there is a tag.
func repository(t *testing.T, tag string) string {
	t.Helper()
	dir := t.TempDir()
	sums, err := os.ReadFile("../../go.sum")
	require.NoError(t, err)
	write(t, dir, "go.sum", string(sums))
	for name, text := range small {
		write(t, dir, name, strings.ReplaceAll(text, "VERSION", needed(t)))
	}
	git(t, dir, "init", "--quiet")
	git(t, dir, "add", ".")
	git(t, dir, "commit", "--quiet", "-m", "all")
	if tag != "" {
		git(t, dir, "tag", tag)
	}
	return dir
}

// needed is the version that this repository needs of the module, and has the checksum of.
func needed(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../go.mod")
	require.NoError(t, err)
	m := regexp.MustCompile(`golang\.org/x/mod (v\S+)`).FindSubmatch(text)
	require.NotNil(t, m)
	return string(m[1])
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	file := filepath.Join(dir, filepath.FromSlash(name))
	require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
}

func git(t *testing.T, dir string, args ...string) {
	t.Helper()
	const when = "2026-03-04T05:06:07Z"
	_, err := output(t.Context(), dir, []string{"GIT_AUTHOR_DATE=" + when, "GIT_COMMITTER_DATE=" + when}, "git", append([]string{"-c", "user.name=a", "-c", "user.email=a@example.com"}, args...)...)
	require.NoError(t, err)
}

// make builds a release and returns its folder.
func (r release) make(t *testing.T, version string) string {
	t.Helper()
	r.out, r.log = filepath.Join(t.TempDir(), "out"), t.Output()
	require.NoError(t, r.run(t.Context()))
	left, err := os.ReadDir(r.out)
	require.NoError(t, err)
	require.Len(t, left, 1, "nothing else is left")
	if version != "" {
		require.Equal(t, version, left[0].Name())
	}
	return filepath.Join(r.out, left[0].Name())
}

// files are those of a folder.
func files(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	found := make(map[string][]byte)
	for _, e := range entries {
		found[e.Name()], err = os.ReadFile(filepath.Join(dir, e.Name()))
		require.NoError(t, err)
	}
	return found
}

// same fails when two releases differ, and says in which files.
func same(t *testing.T, a, b map[string][]byte) {
	t.Helper()
	require.Equal(t, len(a), len(b))
	for name := range a {
		if !bytes.Equal(a[name], b[name]) {
			t.Errorf("%s differs: %d bytes and %d bytes", name, len(a[name]), len(b[name]))
		}
	}
}

func signingKey(t *testing.T) string {
	t.Helper()
	if _, err := exec.LookPath("ssh-keygen"); err != nil {
		testserver.Missing(t, "ssh-keygen")
	}
	key := filepath.Join(t.TempDir(), "release")
	_, err := output(t.Context(), "", nil, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", key)
	require.NoError(t, err)
	return key
}

// A release that is built from another copy of the repository, in another folder and with another umask of
// the files, has the same bytes; and what it holds is what it says.
func TestRelease(t *testing.T) {
	here := target{runtime.GOOS, runtime.GOARCH}
	other := target{"windows", "amd64"}
	key := signingKey(t)
	source := repository(t, "v1.2.3")
	release := release{source: source, key: key, targets: []target{here, other}}
	dir := release.make(t, "v1.2.3")
	first := files(t, dir)

	copied := filepath.Join(t.TempDir(), "another", "place")
	git(t, source, "clone", "--quiet", source, copied)
	require.NoError(t, os.Chmod(filepath.Join(copied, "README.md"), 0o400))
	release.source = copied
	same(t, first, files(t, release.make(t, "v1.2.3")))

	name := "sallyport_1.2.3_" + here.os + "_" + here.arch
	unpacked := untar(t, first[name+".tar.gz"])
	holds(t, unpacked, name, "sallyport", "LICENSE", "README.md", "SECURITY.md", "CHANGELOG.md", "docs/config.md", "docs/img/a.png", noticesFile,
		"completions/sallyport.bash", "completions/_sallyport", "completions/sallyport.fish", "man/man1/sallyport.1", "deploy/systemd/sallyport.service")
	program := filepath.Join(t.TempDir(), "sallyport")
	require.NoError(t, os.WriteFile(program, unpacked[name+"/sallyport"], 0o755))
	out, err := output(t.Context(), "", nil, program, "version")
	require.NoError(t, err)
	require.Equal(t, "v1.2.3", out)
	notices := string(unpacked[name+"/"+noticesFile])
	require.Contains(t, notices, "golang.org/x/mod "+needed(t)+": LICENSE\n\nCopyright")
	require.Contains(t, notices, runtime.Version()+": LICENSE\n\nCopyright")
	require.Contains(t, notices, "@a/b 1.2.3\n\nMIT")

	name = "sallyport_1.2.3_windows_amd64"
	holds(t, unzip(t, first[name+".zip"]), name, "sallyport.exe", "LICENSE", "README.md", "SECURITY.md", "CHANGELOG.md", "docs/config.md", "docs/img/a.png", noticesFile, "completions/sallyport.ps1")

	checkSums(t, first)
	checkSignature(t, dir, key)
	checkBOM(t, first["sallyport_1.2.3_"+here.os+"_"+here.arch+".cdx.json"], unpacked["sallyport_1.2.3_"+here.os+"_"+here.arch+"/sallyport"])
}

// What nobody else could build is refused, and leaves nothing.
func TestRefused(t *testing.T) {
	here := []target{{runtime.GOOS, runtime.GOARCH}}
	for _, c := range []struct {
		name, want string
		change     func(t *testing.T, dir string, r *release)
	}{
		{"a change that is not committed", "not committed", func(t *testing.T, dir string, _ *release) { write(t, dir, "README.md", "another\n") }},
		{"a file that is not committed", "not committed", func(t *testing.T, dir string, _ *release) { write(t, dir, "cmd/sallyport/more.go", "package main\n") }},
		{"a file that a release has is gone", "pathspec 'LICENSE'", func(t *testing.T, dir string, _ *release) {
			git(t, dir, "rm", "--quiet", "LICENSE")
			git(t, dir, "commit", "--quiet", "-m", "gone")
		}},
		{"nothing is known about the console's packages", "names no package", func(t *testing.T, dir string, _ *release) {
			write(t, dir, consoleNotices, "Parts.\n")
			git(t, dir, "commit", "--quiet", "-am", "none")
		}},
		{"a key that is not there", "could not sign", func(t *testing.T, _ string, r *release) { r.key = filepath.Join(t.TempDir(), "nowhere") }},
		{"a target that Go does not know", "unsupported GOOS/GOARCH", func(_ *testing.T, _ string, r *release) { r.targets = []target{{"multics", "amd64"}} }},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := repository(t, "v1.2.3")
			r := release{source: dir, out: t.TempDir(), targets: here, log: t.Output()}
			c.change(t, dir, &r)
			require.ErrorContains(t, r.run(t.Context()), c.want)
			left, err := os.ReadDir(r.out)
			require.NoError(t, err)
			require.Empty(t, left)
		})
	}
}

// A module without a licence is not passed on, and one below the module's root is found.
func TestLicences(t *testing.T) {
	root := t.TempDir()
	write(t, root, "a/b/b.go", "package b\n")
	write(t, root, "a/LICENSE.txt", "of a\n")
	write(t, root, "licence.go", "package root\n")
	m := &module{Path: "example.com/m", Version: "v1.0.0", Dir: root}
	p := &parts{packages: []*pkg{{Dir: filepath.Join(root, "a", "b"), Module: m}}, modules: map[string]*module{m.Path: m}}
	text, err := p.licences("go1")
	require.NoError(t, err)
	require.Contains(t, string(text), "example.com/m v1.0.0: a/LICENSE.txt\n\nof a\n")
	p.packages[0].Dir = root
	_, err = p.licences("go1")
	require.ErrorContains(t, err, "module example.com/m v1.0.0 has no file LICENSE")
}

// Every part of this program has a licence that can be passed on with it, those of the console's pages and fonts too.
func TestLicencesHere(t *testing.T) {
	file := filepath.Join(t.TempDir(), noticesFile)
	require.NoError(t, writeLicences(t.Context(), "../..", file))
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	for _, want := range []string{
		runtime.Version() + ": LICENSE\n\nCopyright", "\ngolang.org/x/crypto v", "\npreact ", "\n@fontsource/ibm-plex-sans ", "SIL OPEN FONT LICENSE Version 1.1",
	} {
		require.Contains(t, string(text), want)
	}
}

func TestTargets(t *testing.T) {
	got, err := parseTargets("linux/amd64,darwin/arm64")
	require.NoError(t, err)
	require.Equal(t, []target{{"linux", "amd64"}, {"darwin", "arm64"}}, got)
	for _, bad := range []string{"", "linux", "linux/", "/amd64", "linux/amd64,"} {
		_, err := parseTargets(bad)
		require.ErrorContains(t, err, "want OS/ARCH", bad)
	}
	_, err = parseTargets("linux/amd64,darwin/arm64,linux/amd64")
	require.ErrorContains(t, err, "twice")
}

// Each file of an archive has one place for each kind of package.
func TestPlaces(t *testing.T) {
	for _, c := range []struct{ name, deb, rpm string }{
		{"sallyport", "/usr/bin/sallyport", "/usr/bin/sallyport"},
		{"deploy/systemd/sallyport.service", "/usr/lib/systemd/system/sallyport.service", "/usr/lib/systemd/system/sallyport.service"},
		{"man/man1/sallyport-serve.1", "/usr/share/man/man1/sallyport-serve.1.gz", "/usr/share/man/man1/sallyport-serve.1.gz"},
		{"completions/_sallyport", "/usr/share/zsh/vendor-completions/_sallyport", "/usr/share/zsh/site-functions/_sallyport"},
		{"LICENSE", "/usr/share/doc/sallyport/copyright", "/usr/share/licenses/sallyport/LICENSE"},
		{"docs/config.md", "/usr/share/doc/sallyport/docs/config.md", "/usr/share/doc/sallyport/docs/config.md"},
	} {
		s := &staging{dir: t.TempDir(), config: &nfpmConfig{}}
		require.NoError(t, s.add(file{c.name, 0o644, []byte("x")}, placeOf(c.name)))
		require.Len(t, s.config.Contents, 2)
		got := make(map[string]string)
		for _, f := range s.config.Contents {
			got[f.Packager] = f.Dst
		}
		require.Equal(t, map[string]string{"deb": c.deb, "rpm": c.rpm}, got, c.name)
	}
}

// The packages' scripts are ones that a shell takes, and they make the user that the unit names.
func TestPackageFiles(t *testing.T) {
	for _, script := range packageScripts {
		_, err := output(t.Context(), "../..", nil, "sh", "-n", script)
		require.NoError(t, err)
	}
	sysusers, err := exec.LookPath("systemd-sysusers")
	if err != nil {
		testserver.Missing(t, "systemd-sysusers")
	}
	root := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(root, "etc"), 0o755))
	users, err := os.Open(filepath.Join("../..", packageUsers))
	require.NoError(t, err)
	defer users.Close()
	cmd := exec.CommandContext(t.Context(), sysusers, "--root="+root, "-")
	cmd.Stdin = users
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	made, err := os.ReadFile(filepath.Join(root, "etc/passwd"))
	require.NoError(t, err)
	require.Regexp(t, `(?m)^sallyport:x:[0-9]+:[0-9]+:[^:]*:/var/lib/sallyport:/usr/sbin/nologin$`, string(made))
	unit, err := os.ReadFile("../../deploy/systemd/sallyport.service")
	require.NoError(t, err)
	require.Contains(t, string(unit), "\nUser=sallyport\nGroup=sallyport\n")
}
