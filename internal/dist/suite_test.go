package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/testserver"
)

// TestSuiteRelease builds this repository's commit twice, the second time with an empty cache, another environment and from
// a copy in another folder, with packages, and installs these. One target is enough: only the values of
// GOOS and GOARCH differ for others. It takes long: "make test-heavy" runs it.
func TestSuiteRelease(t *testing.T) {
	if os.Getenv("SALLYPORT_SUITES") == "" {
		t.Skip("SALLYPORT_SUITES is not set")
	}
	root := filepath.Join(t.TempDir(), "repository")
	git(t, "../..", "clone", "--quiet", ".", root)
	r := release{source: root, packaged: true, key: signingKey(t), targets: []target{{"linux", "amd64"}}}
	dir := r.make(t, "")
	first := files(t, dir)
	base := filepath.Join(dir, "sallyport_"+strings.TrimPrefix(filepath.Base(dir), "v")+"_linux_amd64")
	t.Run("archive", func(t *testing.T) {
		unpacked := untar(t, first[filepath.Base(base)+".tar.gz"])
		checkBOM(t, first[filepath.Base(base)+".cdx.json"], unpacked[filepath.Base(base)+"/sallyport"])
		for _, name := range []string{"man/man1/sallyport.1", "man/man1/sallyport-serve.1", "docs/deploy.md", "deploy/systemd/sallyport.service"} {
			require.NotEmpty(t, unpacked[filepath.Base(base)+"/"+name], name)
		}
		checkSums(t, first)
		checkSignature(t, dir, r.key)
	})
	t.Run("deb", func(t *testing.T) { installs(t, base+".deb", "dpkg") })
	t.Run("rpm", func(t *testing.T) { installs(t, base+".rpm", "rpm") })

	t.Run("again", func(t *testing.T) {
		r.source = filepath.Join(t.TempDir(), "another", "place")
		git(t, root, "clone", "--quiet", root, r.source)
		modules, err := output(t.Context(), "", nil, "go", "env", "GOMODCACHE")
		require.NoError(t, err)
		for name, value := range map[string]string{
			"GOCACHE": t.TempDir(), "GOMODCACHE": modules, "HOME": t.TempDir(), "USER": "somebody", "TZ": "Asia/Kathmandu", "LANG": "C",
			"GOAMD64": "v3", "GOFLAGS": "-tags=another", "CGO_ENABLED": "1", "SALLYPORT_CONFIG": "/nowhere/sallyport.yaml",
		} {
			t.Setenv(name, value)
		}
		same(t, first, files(t, r.make(t, "")))
	})
}

// overlay runs a script in a copy of this machine's file system, which goes when the script ends. Its arguments are a
// folder, the package, and the tool that installs it.
const overlay = `set -eu
mount -t tmpfs none "$1"
mkdir "$1/changed" "$1/work" "$1/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/changed,workdir=$1/work" "$1/root"
mount --rbind /dev "$1/root/dev"
cp "$2" "$1/root/root/package"
exec chroot "$1/root" sh -eu -c "$INSTALL" "$3"
`

// install installs the package twice, as an upgrade does, looks at what is there, and removes it.
const install = `cd /root
case $0 in
dpkg) add='dpkg --install package' remove='dpkg --remove sallyport' zsh=vendor-completions licence=/usr/share/doc/sallyport/copyright ;;
rpm) add='rpm --install --force --nodeps package' remove='rpm --erase sallyport' zsh=site-functions licence=/usr/share/licenses/sallyport/LICENSE ;;
esac
userdel sallyport 2>/dev/null || true
$add
$add
getent passwd sallyport
stat -c '%A %U %G %n' /etc/sallyport /usr/bin/sallyport
for file in /usr/lib/systemd/system/sallyport.service /usr/lib/sysusers.d/sallyport.conf /usr/share/man/man1/sallyport.1.gz \
	/usr/share/bash-completion/completions/sallyport /usr/share/fish/vendor_completions.d/sallyport.fish "/usr/share/zsh/$zsh/_sallyport" \
	"$licence" /usr/share/doc/sallyport/THIRD-PARTY-LICENSES.txt /usr/share/doc/sallyport/docs/deploy.md; do
	[ -s "$file" ] || { echo "the package has no $file"; exit 1; }
done
sallyport version
echo data >/etc/sallyport/sallyport.yaml
$remove
[ ! -e /usr/bin/sallyport ] && [ -e /etc/sallyport/sallyport.yaml ]
getent passwd sallyport >/dev/null
echo 'removed'
`

// installs checks that a tool installs a package as docs/release.md says.
func installs(t *testing.T, file, tool string) {
	t.Helper()
	for _, program := range []string{tool, "unshare", "useradd"} {
		if _, err := exec.LookPath(program); err != nil {
			testserver.Missing(t, program)
		}
	}
	if os.Geteuid() != 0 {
		testserver.Missing(t, "root, who installs packages in a copy of the file system")
	}
	out, err := output(t.Context(), "", []string{"INSTALL=" + install}, "unshare", "--mount", "sh", "-c", overlay, "sh", t.TempDir(), file, tool)
	require.NoError(t, err, out)
	for _, want := range []string{
		`sallyport:x:[0-9]+:[0-9]+:[^:]*:/var/lib/sallyport:/usr/sbin/nologin`, `(?m)^drwxr-x--- root sallyport /etc/sallyport$`,
		`(?m)^-rwxr-xr-x root root /usr/bin/sallyport$`, `linux/amd64`, `(?m)^removed$`,
	} {
		require.Regexp(t, want, out)
	}
}
