package git_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	gossh "golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/internal/testserver"
	"github.com/sallyport/sallyport/runbook/git"
)

func TestMain(m *testing.M) { testserver.Main(m) }

func book(name string) string {
	return "apiVersion: sallyport/v1\nkind: Runbook\nmetadata: {name: " + name + "}\ntargets: {db: {types: [postgres]}}\nsteps:\n  - {id: a, sql: {text: select 1}}\n"
}

// repository is a repository with a work tree, as an author has it.
type repository struct {
	t   *testing.T
	dir string
}

func newRepository(t *testing.T) *repository {
	r := &repository{t, t.TempDir()}
	r.git("init", "-q", "-b", "main")
	return r
}

func (r *repository) git(args ...string) string {
	r.t.Helper()
	cmd := exec.Command("git", append([]string{"-C", r.dir, "-c", "user.name=Ada", "-c", "user.email=ada@example.com", "-c", "commit.gpgsign=false", "-c", "protocol.file.allow=always"}, args...)...)
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1")
	out, err := cmd.CombinedOutput()
	require.NoError(r.t, err, "%v: %s", args, out)
	return strings.TrimSpace(string(out))
}

func (r *repository) write(name, text string) {
	r.t.Helper()
	require.NoError(r.t, os.MkdirAll(filepath.Dir(filepath.Join(r.dir, name)), 0o755))
	require.NoError(r.t, os.WriteFile(filepath.Join(r.dir, name), []byte(text), 0o644))
}

func (r *repository) commit(args ...string) string {
	r.t.Helper()
	r.git("add", "-A")
	r.git(append([]string{"commit", "-q", "-m", "x"}, args...)...)
	return r.git("rev-parse", "HEAD")
}

func (r *repository) source(further ...func(*git.Config)) *git.Source {
	r.t.Helper()
	c := git.Config{Name: "main", URL: "file://" + r.dir, Mirror: filepath.Join(r.t.TempDir(), "mirror")}
	for _, f := range further {
		f(&c)
	}
	s, err := git.Open(c)
	require.NoError(r.t, err)
	return s
}

func fetched(t *testing.T, s *git.Source) *git.Snapshot {
	t.Helper()
	require.NoError(t, s.Fetch(t.Context()))
	snap, err := s.Latest()
	require.NoError(t, err)
	return snap
}

// A run has the commit that it was asked with: a later push, also a forced one, changes nothing.
func TestPinned(t *testing.T) {
	r := newRepository(t)
	r.write("a.yaml", book("one"))
	first := r.commit()
	s := r.source()
	snap := fetched(t, s)
	require.Equal(t, first, snap.Commit)
	require.Equal(t, "ada@example.com", snap.Author)
	b, err := snap.Book(t.Context(), "one")
	require.NoError(t, err)

	r.write("a.yaml", strings.Replace(book("one"), "select 1", "select 2", 1))
	second := r.commit("--amend")
	require.Equal(t, second, fetched(t, s).Commit, "a forced push")
	again, err := snap.Book(t.Context(), "one")
	require.NoError(t, err)
	require.Equal(t, b.Runbook.Digest, again.Runbook.Digest)

	// The mirror serves while the forge does not.
	require.NoError(t, os.Rename(r.dir, r.dir+"-gone"))
	t.Cleanup(func() { _ = os.Rename(r.dir+"-gone", r.dir) })
	require.Error(t, s.Fetch(t.Context()))
	now, err := s.Latest()
	require.NoError(t, err)
	require.Equal(t, second, now.Commit)
}

// A tag that is moved changes nothing of a run that was asked for before.
func TestMovedTag(t *testing.T) {
	r := newRepository(t)
	r.write("a.yaml", book("one"))
	first := r.commit()
	r.git("tag", "v1")
	s := r.source(func(c *git.Config) { c.Ref = "refs/tags/v1" })
	snap := fetched(t, s)
	require.Equal(t, first, snap.Commit)
	b, err := snap.Book(t.Context(), "one")
	require.NoError(t, err)
	r.write("a.yaml", strings.Replace(book("one"), "select 1", "select 2", 1))
	second := r.commit()
	require.Equal(t, first, fetched(t, s).Commit, "the tag has not moved")
	r.git("tag", "-f", "v1")
	require.Equal(t, second, fetched(t, s).Commit)
	again, err := snap.Book(t.Context(), "one")
	require.NoError(t, err)
	require.Equal(t, first, snap.Commit)
	require.Equal(t, b.Runbook.Digest, again.Runbook.Digest)
}

// A server chooses nothing of the gateway's file system, and only plain files are read.
func TestHostileTree(t *testing.T) {
	r := newRepository(t)
	other := newRepository(t)
	other.write("x", "x")
	other.commit()
	r.write("good.yaml", book("good"))
	r.write("big.yaml", "#"+strings.Repeat(" ", 300<<10))
	r.write("lfs.yaml", "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n")
	r.write("twice.yaml", book("twice"))
	r.write("again.yaml", book("twice"))
	r.write(".git/hooks/post-checkout", "#!/bin/sh\ntouch /tmp/owned\n")
	require.NoError(t, os.Symlink("/etc/passwd", filepath.Join(r.dir, "link.yaml")))
	r.git("submodule", "add", "-q", "file://"+other.dir, "sub.yaml")
	r.write(".gitattributes", "* filter=x\n")
	r.commit()
	snap := fetched(t, r.source())
	errs := make(map[string]string)
	for _, b := range snap.List() {
		errs[b.Path] = fmt.Sprint(b.Err)
	}
	require.Contains(t, errs["link.yaml"], "a symbolic link, which is not followed")
	require.Contains(t, errs["sub.yaml"], "a submodule, which is not followed")
	require.Contains(t, errs["big.yaml"], "may have")
	require.NotEqual(t, "<nil>", errs["lfs.yaml"])
	require.Contains(t, errs["twice.yaml"], "is the runbook twice")
	require.Contains(t, errs["again.yaml"], "is the runbook twice")
	require.Equal(t, "<nil>", errs["good.yaml"])
}

// The names that a server tells make no files here: the mirror has one ref, of the gateway's.
func TestHostileRefs(t *testing.T) {
	r := newRepository(t)
	r.write("a.yaml", book("one"))
	commit := r.commit()
	var packed strings.Builder
	packed.WriteString("# pack-refs with: peeled fully-peeled sorted \n")
	for _, name := range []string{"refs/heads/../../../owned", "refs/heads/x/../../hooks/post-update", "refs/heads/main"} {
		fmt.Fprintf(&packed, "%s %s\n", commit, name)
	}
	for i := range 100_000 {
		fmt.Fprintf(&packed, "%s refs/heads/many-%07d\n", commit, i)
	}
	require.NoError(t, os.WriteFile(filepath.Join(r.dir, ".git", "packed-refs"), []byte(packed.String()), 0o644))
	mirror := filepath.Join(t.TempDir(), "in", "mirror")
	begun := time.Now()
	snap := fetched(t, r.source(func(c *git.Config) { c.Mirror = mirror }))
	require.Equal(t, commit, snap.Commit)
	require.Less(t, time.Since(begun), 30*time.Second)
	var refs []string
	require.NoError(t, filepath.WalkDir(filepath.Dir(mirror), func(p string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() && (strings.Contains(p, "/refs/") || strings.Contains(p, "owned") || strings.Contains(p, "hooks")) {
			refs = append(refs, strings.TrimPrefix(p, mirror))
		}
		return err
	}))
	require.Equal(t, []string{"/refs/sallyport/head"}, refs)
}

// A pack that is too large is given up while it comes.
func TestHugeBlob(t *testing.T) {
	r := newRepository(t)
	r.write("a.yaml", book("one"))
	r.git("config", "core.compression", "0")
	noise := make([]byte, git.MaxPack+(1<<20))
	rand.Read(noise)
	require.NoError(t, os.WriteFile(filepath.Join(r.dir, "huge.bin"), noise, 0o644))
	r.commit()
	mirror := filepath.Join(t.TempDir(), "mirror")
	s := r.source(func(c *git.Config) { c.Mirror = mirror })
	require.Error(t, s.Fetch(t.Context()))
	_, err := s.Latest()
	require.Error(t, err)
	r.git("rm", "-q", "huge.bin")
	r.commit()
	fetched(t, s)
	left, err := filepath.Glob(filepath.Join(mirror, "objects/pack/tmp_*"))
	require.NoError(t, err)
	require.Empty(t, left, "what was given up is deleted")
}

// Where signatures are required, a commit of nobody who is allowed has no runbooks.
func TestSigned(t *testing.T) {
	r := newRepository(t)
	dir := t.TempDir()
	key := func(name string) string {
		return strings.TrimSpace(testserver.KeyPair(t, filepath.Join(dir, name)))
	}
	allowed := filepath.Join(dir, "signers")
	require.NoError(t, os.WriteFile(allowed, []byte("ada@example.com namespaces=\"git\" "+key("ada")+"\n"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "eve.pub"), []byte(key("eve")+"\n"), 0o600))
	sign := func(name string) []string {
		return []string{"-c", "gpg.format=ssh", "-c", "user.signingkey=" + filepath.Join(dir, name)}
	}
	s := r.source(func(c *git.Config) { c.Signers = allowed })
	r.write("a.yaml", book("one"))
	r.commit()
	require.ErrorContains(t, s.Fetch(t.Context()), "is not signed by a key of SSH")

	r.git(append(sign("eve"), "commit", "-q", "-S", "--amend", "-m", "x")...)
	require.ErrorContains(t, s.Fetch(t.Context()), "is not signed by an allowed signer")
	r.git("commit", "-q", "--amend", "-m", "x\n\ngpgsig -----BEGIN SSH SIGNATURE-----\n\nGood \"git\" signature for ada@example.com with ED25519")
	require.Error(t, s.Fetch(t.Context()), "a message is no signature")

	r.git(append(sign("ada"), "commit", "-q", "-S", "--amend", "-m", "x")...)
	require.Equal(t, "ada@example.com", fetched(t, s).Signer)
	require.NoError(t, os.WriteFile(allowed, []byte("ada@example.com namespaces=\"git\" "+key("other")+"\n"), 0o600))
	require.ErrorContains(t, s.Fetch(t.Context()), "is not signed by an allowed signer", "the list is read again")
}

// HTTPS: the password goes to its server alone, and no redirect is followed.
func TestHTTPS(t *testing.T) {
	r := newRepository(t)
	r.write("a.yaml", book("one"))
	commit := r.commit()
	core, err := exec.Command("git", "--exec-path").Output()
	require.NoError(t, err)
	backend := &cgi.Handler{Path: filepath.Join(strings.TrimSpace(string(core)), "git-http-backend"), Env: []string{"GIT_PROJECT_ROOT=" + r.dir, "GIT_HTTP_EXPORT_ALL=1"}}
	var leaked, away atomic.Bool
	thief := httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, _ *http.Request) { leaked.Store(true) }))
	defer thief.Close()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		user, password, _ := q.BasicAuth()
		switch {
		case user != "robot" || password != "s3cret":
			w.WriteHeader(http.StatusUnauthorized)
		case away.Load():
			http.Redirect(w, q, thief.URL+q.URL.String(), http.StatusMovedPermanently)
		default:
			backend.ServeHTTP(w, q)
		}
	}))
	defer server.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600))
	s := r.source(func(c *git.Config) {
		c.URL, c.CA, c.User = server.URL+"/.git", ca, "robot"
		c.Secret = func(context.Context) (string, error) { return "s3cret", nil }
	})
	require.Equal(t, commit, fetched(t, s).Commit)
	away.Store(true)
	err = s.Fetch(t.Context())
	require.Error(t, err)
	require.NotContains(t, err.Error(), "s3cret")
	require.False(t, leaked.Load())
}

// SSH: the server is known by its key, and nothing of the user's configuration counts.
func TestSSH(t *testing.T) {
	r := newRepository(t)
	r.write("a.yaml", book("one"))
	commit := r.commit()
	dir := t.TempDir()
	host := testserver.KeyPair(t, filepath.Join(dir, "host"))
	address := testserver.OpenSSH(t, dir, filepath.Join(dir, "host"), testserver.KeyPair(t, filepath.Join(dir, "robot")))
	key, err := os.ReadFile(filepath.Join(dir, "robot"))
	require.NoError(t, err)
	at, port, _ := strings.Cut(address, ":")
	known := filepath.Join(dir, "known")
	me, err := exec.Command("id", "-un").Output()
	require.NoError(t, err)
	s := r.source(func(c *git.Config) {
		c.URL, c.KnownHosts = "ssh://"+strings.TrimSpace(string(me))+"@"+address+r.dir, known
		c.Secret = func(context.Context) (string, error) { return string(key), nil }
	})
	_, other, err := ed25519.GenerateKey(nil)
	require.NoError(t, err)
	public, err := gossh.NewPublicKey(other.Public())
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(known, []byte("["+at+"]:"+port+" "+string(gossh.MarshalAuthorizedKey(public))), 0o600))
	require.Error(t, s.Fetch(t.Context()), "another server")
	require.NoError(t, os.WriteFile(known, []byte("["+at+"]:"+port+" "+strings.TrimSpace(host)+"\n"), 0o600))
	require.Equal(t, commit, fetched(t, s).Commit)
}

func TestConfig(t *testing.T) {
	for _, url := range []string{
		"ext::sh -c touch% owned", "http://example.com/x", "git://example.com/x", "ssh://example.com/x", "ssh://-oProxyCommand=x@example.com/x", "ssh://git@-oProxyCommand=x/x",
		"https://user:password@example.com/x", "https://example.com/x?y", "file://host/x", "file:///-x", "--upload-pack=touch owned", "relative", "git@example.com:x", "https:///x",
	} {
		_, err := git.Open(git.Config{Name: "x", URL: url, Mirror: "/tmp/x", KnownHosts: "/x"})
		require.Error(t, err, url)
	}
	for _, ref := range []string{"-x", "refs/heads/../x", "refs/remotes/x", "a..b", "x.lock", "x:refs/heads/y", "+x", "x y", "x\ny", "refs/heads/.x/y"} {
		_, err := git.Open(git.Config{Name: "x", URL: "file:///x", Ref: ref, Mirror: "/tmp/x"})
		require.Error(t, err, ref)
	}
}

func TestFolder(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "books"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "books", "a.yaml"), []byte(book("one")), 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "other.yaml"), []byte(book("two")), 0o644))
	require.NoError(t, os.Symlink("/etc/passwd", filepath.Join(dir, "books", "b.yaml")))
	s, err := git.Open(git.Config{Name: "local", URL: dir, Path: "books"})
	require.NoError(t, err)
	snap := fetched(t, s)
	require.Len(t, snap.List(), 2)
	require.ErrorContains(t, snap.List()[1].Err, "not followed")
}

// A catalogue of a thousand runbooks is read from a warm mirror within a second.
func TestCatalogueIsFast(t *testing.T) {
	if testing.Short() {
		t.Skip("it measures")
	}
	r := newRepository(t)
	for i := range 1000 {
		r.write(fmt.Sprintf("books/%02d/book-%d.yaml", i%20, i), book(fmt.Sprintf("book-%d", i)))
	}
	r.commit()
	s := r.source()
	fetched(t, s)
	best := time.Hour
	for range 5 {
		begun := time.Now()
		require.NoError(t, s.Warm(t.Context()))
		best = min(best, time.Since(begun))
	}
	snap, err := s.Latest()
	require.NoError(t, err)
	require.Len(t, snap.List(), 1000)
	t.Logf("1,000 runbooks from a warm mirror: %v", best)
	require.Less(t, best, 3*time.Second) // on a machine that does other things; docs/runbooks.md has the figure
}
