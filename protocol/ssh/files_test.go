package ssh_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
)

// noise writes a file of size bytes that do not compress, and returns its path
// and digest.
func noise(t testing.TB, dir string, size int) (file, digest string) {
	t.Helper()
	var seed [32]byte
	copy(seed[:], t.Name())
	b := make([]byte, size)
	rand.NewChaCha8(seed).Read(b)
	file = filepath.Join(dir, "noise")
	require.NoError(t, os.WriteFile(file, b, 0o600))
	return file, fmt.Sprintf("sha256:%x", sha256.Sum256(b))
}

func sameFile(t testing.TB, a, b string) {
	t.Helper()
	x, err := os.ReadFile(a)
	require.NoError(t, err)
	y, err := os.ReadFile(b)
	require.NoError(t, err)
	require.True(t, bytes.Equal(x, y), "%s and %s differ", a, b)
}

func TestSFTP(t *testing.T) {
	r := newRig(t, nil)
	here, there := t.TempDir(), t.TempDir()
	src, digest := noise(t, here, 8<<20)
	batch := fmt.Sprintf(`put %[1]s %[2]s/a
chmod 640 %[2]s/a
rename %[2]s/a %[2]s/b
get %[2]s/b %[3]s/back
mkdir %[2]s/dir
symlink b %[2]s/link
ln %[2]s/b %[2]s/hard
ls -l %[2]s
df %[2]s
rm %[2]s/hard
rmdir %[2]s/dir
`, src, there, here)
	got := r.run(strings.NewReader(batch), "sftp", "-F", r.config(), "-b", "-", "gw")
	require.Equal(t, 0, got.code, got.err)
	require.Contains(t, got.out, "dir")
	sameFile(t, src, filepath.Join(here, "back"))
	sameFile(t, src, filepath.Join(there, "b"))
	require.NoFileExists(t, filepath.Join(there, "hard"))
	for _, line := range []string{
		"subsystem sftp → done",
		fmt.Sprintf("file write %s/a → done  %s in %d out 0", there, digest, 8<<20),
		fmt.Sprintf("file read %s/b → done  %s in 0 out %d", there, digest, 8<<20),
		fmt.Sprintf("file setstat %s/a → done", there),
		fmt.Sprintf("file rename %[1]s/a %[1]s/b → done", there),
		fmt.Sprintf("file mkdir %s/dir → done", there),
		fmt.Sprintf("file link %[1]s/link %[1]s/b → done", there),
		fmt.Sprintf("file link %[1]s/hard %[1]s/b → done", there),
		fmt.Sprintf("file list %s", there),
		fmt.Sprintf("file remove %s/hard → done", there),
		fmt.Sprintf("file rmdir %s/dir → done", there),
	} {
		r.journal.expect(t, line)
	}
}

// TestRefusedFile: a refused access does not end the session, and never reaches
// the resource.
func TestRefusedFile(t *testing.T) {
	there := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(there, "open"), []byte("public"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(there, "closed"), []byte("secret"), 0o600))
	r := newRig(t, func(r *rig) {
		r.journal.ask = func(op proxy.Op) proxy.Verdict {
			f, ok := op.(*proxy.File)
			if ok && (strings.Contains(f.Path, "closed") || strings.Contains(f.Target, "closed")) && f.Action != proxy.FileStat {
				return proxy.Deny(proxy.CausePolicy, "closed-files", "this file is closed", "read open ones")
			}
			return proxy.Verdict{}
		}
	})
	for _, refused := range []string{
		"get %[1]s/closed %[2]s", "put /etc/hostname %[1]s/closed", "rm %[1]s/closed", "rename %[1]s/closed %[1]s/x", "rename %[1]s/open %[1]s/closed",
		"symlink %[1]s/closed %[1]s/link", "ln %[1]s/closed %[1]s/link", "chmod 777 %[1]s/closed", "mkdir %[1]s/closed.dir",
	} {
		t.Run(strings.Fields(refused)[0], func(t *testing.T) {
			here, err := os.MkdirTemp(r.dir, "") // sftp takes what follows a # in a path for a comment
			require.NoError(t, err)
			batch := fmt.Sprintf("-"+refused+"\nget %[1]s/open %[2]s\n", there, here)
			got := r.run(strings.NewReader(batch), "sftp", "-F", r.config(), "-b", "-", "gw")
			require.Equal(t, 0, got.code, got.err)
			require.Contains(t, got.err, "sallyport: this file is closed (rule closed-files)\nsallyport: read open ones\n")
			require.NoFileExists(t, filepath.Join(here, "closed"))
			sameFile(t, filepath.Join(there, "open"), filepath.Join(here, "open"))
		})
	}
	content, err := os.ReadFile(filepath.Join(there, "closed"))
	require.NoError(t, err)
	require.Equal(t, "secret", string(content))
	names, err := filepath.Glob(there + "/*")
	require.NoError(t, err)
	require.Len(t, names, 2)
}

// TestFileFilters: filters see a file's content and may change it in place.
func TestFileFilters(t *testing.T) {
	there, here := t.TempDir(), t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(there, "f"), bytes.Repeat([]byte("number 12345\n"), 40000), 0o600))
	tests := []struct {
		name   string
		filter func(dst, src []byte) ([]byte, error)
		want   string // of the content; empty: the transfer fails
	}{
		{"same length", func(dst, src []byte) ([]byte, error) {
			return append(dst, bytes.Map(func(c rune) rune {
				if c >= '0' && c <= '9' {
					return '#'
				}
				return c
			}, src)...), nil
		}, strings.Repeat("number #####\n", 40000)},
		{"shorter", func(dst, src []byte) ([]byte, error) {
			return append(dst, bytes.ReplaceAll(src, []byte("12345"), nil)...), nil
		}, ""},
		{"failing", func(dst, _ []byte) ([]byte, error) { return dst, fmt.Errorf("no") }, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, func(r *rig) {
				r.journal.flow = func(_ proxy.Op, shape *proxy.Shape) (proxy.Filter, error) {
					if shape.Media != "file" {
						return proxy.Filter{}, nil
					}
					return proxy.Filter{Bytes: tt.filter}, nil
				}
			})
			dst := filepath.Join(here, strings.ReplaceAll(tt.name, " ", "-"))
			got := r.run(nil, "scp", "-F", r.config(), "gw:"+there+"/f", dst)
			content, _ := os.ReadFile(dst)
			require.Equal(t, tt.want, string(content))
			if tt.want == "" {
				require.Equal(t, 1, got.code)
				require.Contains(t, got.err, "sallyport: the content of this file was withheld")
				r.journal.expect(t, "f → error: the content of this file was withheld")
			}
		})
	}
}

func TestSCP(t *testing.T) {
	for _, protocol := range []string{"-s", "-O"} {
		t.Run(protocol, func(t *testing.T) {
			r := newRig(t, nil)
			here, there := t.TempDir(), t.TempDir()
			src, _ := noise(t, here, 5<<20)
			got := r.run(nil, "scp", "-F", r.config(), protocol, "-p", src, "gw:"+there+"/up")
			require.Equal(t, result{}, got)
			got = r.run(nil, "scp", "-F", r.config(), protocol, "-r", "gw:"+there, here+"/down")
			require.Equal(t, result{}, got)
			sameFile(t, src, filepath.Join(there, "up"))
			sameFile(t, src, filepath.Join(here, "down", "up"))
			got = r.run(nil, "scp", "-F", r.config(), protocol, "gw:"+there+"/missing", here)
			require.Equal(t, 1, got.code)
			require.Contains(t, got.err, "No such file")
			if protocol == "-O" {
				r.journal.expect(t, "exec scp -p -t "+there+"/up → done")
			} else {
				r.journal.expect(t, "file write "+there+"/up → done")
			}
		})
	}
}

func TestRsync(t *testing.T) {
	r := newRig(t, nil)
	here, there := t.TempDir(), t.TempDir()
	src, _ := noise(t, here, 5<<20)
	remote := program(t, "ssh") + " -F " + r.config()
	program(t, "rsync")
	require.Equal(t, result{}, r.run(nil, "rsync", "-a", "-e", remote, here+"/", "gw:"+there+"/"))
	sameFile(t, src, filepath.Join(there, "noise"))
	require.NoError(t, os.WriteFile(filepath.Join(there, "more"), []byte("more"), 0o600))
	require.Equal(t, result{}, r.run(nil, "rsync", "-a", "-e", remote, "gw:"+there+"/", here+"/"))
	sameFile(t, filepath.Join(there, "more"), filepath.Join(here, "more"))
	r.journal.expect(t, "exec rsync --server")
}

func TestGit(t *testing.T) {
	git := program(t, "git")
	r := newRig(t, nil)
	bare, work := filepath.Join(t.TempDir(), "r.git"), filepath.Join(t.TempDir(), "work")
	run := func(args ...string) {
		t.Helper()
		cmd := exec.Command(git, args...)
		cmd.Env = append(os.Environ(), "GIT_SSH_COMMAND="+program(t, "ssh")+" -F "+r.config(), "GIT_CONFIG_GLOBAL=/dev/null",
			"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.com")
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, string(out))
	}
	run("init", "--bare", bare)
	run("clone", "gw:"+bare, work)
	require.NoError(t, os.WriteFile(filepath.Join(work, "f"), bytes.Repeat([]byte("line\n"), 100000), 0o600))
	run("-C", work, "add", "f")
	run("-C", work, "commit", "-m", "first")
	run("-C", work, "push", "origin", "HEAD:main")
	run("clone", "-b", "main", "gw:"+bare, work+"2")
	sameFile(t, filepath.Join(work, "f"), filepath.Join(work+"2", "f"))
	r.journal.expect(t, "exec git-receive-pack '"+bare+"' → done")
	r.journal.expect(t, "exec git-upload-pack '"+bare+"' → done")
}

// TestSFTPListsAsDirectly: a folder is listed as the server itself does, with the names of
// users and groups.
func TestSFTPListsAsDirectly(t *testing.T) {
	r := newRig(t, nil)
	there := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(there, "file"), []byte("content"), 0o640))
	require.NoError(t, os.Mkdir(filepath.Join(there, "folder"), 0o755))
	key := filepath.Join(r.dir, "direct")
	require.NoError(t, os.WriteFile(key, []byte(r.creds.cred.PrivateKey.Reveal()), 0o600))
	_, port, _ := net.SplitHostPort(r.sshd.address)
	direct := []string{
		"-F", "/dev/null", "-i", key, "-P", port, "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR",
		"-b", "-", r.resource.Accounts[0].Username + "@127.0.0.1",
	}
	for _, command := range []string{"ls -l", "ls -ln", "ls -lh", "ls -la", "ls -1"} {
		batch := command + " " + there + "\n"
		want := r.run(strings.NewReader(batch), "sftp", direct...)
		require.Equal(t, 0, want.code, want.err)
		require.Equal(t, want, r.run(strings.NewReader(batch), "sftp", "-F", r.config(), "-b", "-", "gw"), command)
	}
}

// TestUnknownSubsystem: a subsystem that a resource does not give is answered as servers do.
func TestUnknownSubsystem(t *testing.T) {
	r := newRig(t, func(r *rig) { r.settings.Subsystems = []string{"allowed"} })
	for _, name := range []string{"netconf", "allowed"} { // the server has neither
		require.Equal(t, result{err: "subsystem request failed on channel 0\r\n", code: 255}, r.ssh("-s", "gw", name), name)
	}
	r.journal.expect(t, "subsystem netconf → refused: this subsystem is not allowed here")
	r.journal.expect(t, "subsystem allowed → done refused")
}
