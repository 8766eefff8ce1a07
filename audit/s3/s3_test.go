package s3

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/internal/testserver"
	"github.com/sallyport/sallyport/proxy"
)

var ctx = context.Background()

func of(s *testserver.S3Server) func(context.Context) (Credentials, error) {
	return func(context.Context) (Credentials, error) {
		return Credentials{AccessKey: s.AccessKey, SecretKey: s.SecretKey}, nil
	}
}

// admin is what an administrator of the server, or an intruder there, does.
func admin(t testing.TB, s *testserver.S3Server) *minio.Client {
	t.Helper()
	c, err := minio.New(strings.TrimPrefix(s.Endpoint, "http://"), &minio.Options{Creds: credentials.NewStaticV4(s.AccessKey, s.SecretKey, "")})
	require.NoError(t, err)
	return c
}

// bucket makes a bucket, with Object Lock where it is asked for, and opens it.
func bucket(t testing.TB, s *testserver.S3Server, name string, locked bool, change func(*Config)) *Bucket {
	t.Helper()
	require.NoError(t, admin(t, s).MakeBucket(ctx, name, minio.MakeBucketOptions{ObjectLocking: locked}))
	return open(t, s, name, change)
}

func open(t testing.TB, s *testserver.S3Server, name string, change func(*Config)) *Bucket {
	t.Helper()
	c := Config{Endpoint: s.Endpoint, Called: "bucket", Bucket: name, Prefix: "gw/one", Region: "us-east-1", Plaintext: true, Credentials: of(s), PartSize: 5 << 20}
	if change != nil {
		change(&c)
	}
	b, err := New(c)
	require.NoError(t, err)
	t.Cleanup(func() { b.Close() })
	return b
}

func object(name string, content []byte) audit.Object {
	return audit.Object{Name: name, Content: bytes.NewReader(content), Size: int64(len(content)), SHA256: sha256.Sum256(content)}
}

func get(t *testing.T, b *Bucket, name string) []byte {
	t.Helper()
	r, err := b.Open(ctx, name)
	require.NoError(t, err)
	defer r.Close()
	out, err := io.ReadAll(r)
	require.NoError(t, err)
	return out
}

// Objects are stored once, whole or in parts, with sums that the server verifies.
func TestPut(t *testing.T) {
	server := testserver.S3(t)
	b := bucket(t, server, "plain", false, nil)
	large := make([]byte, 12<<20)
	rand.Read(large)
	for name, content := range map[string][]byte{"small": []byte("text"), "empty": nil, "large": large} {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, b.Put(ctx, object("a/"+name, content)))
			require.Equal(t, string(content), string(get(t, b, "a/"+name)))
			require.NoError(t, b.Put(ctx, object("a/"+name, content)), "again")
			other := append(bytes.Clone(content), 'x')
			var conflict *audit.ConflictError
			require.ErrorAs(t, b.Put(ctx, object("a/"+name, other)), &conflict)
			require.Equal(t, string(content), string(get(t, b, "a/"+name)))
			replacing := object("a/"+name, other)
			replacing.Replace = true
			require.NoError(t, b.Put(ctx, replacing))
			require.Equal(t, string(other), string(get(t, b, "a/"+name)))

			wrong := object("wrong/"+name, other)
			wrong.SHA256[0] ^= 1
			if name != "large" { // whose parts are summed as they go
				require.Error(t, b.Put(ctx, wrong), "by another sum")
				_, err := b.Open(ctx, "wrong/"+name)
				require.ErrorIs(t, err, fs.ErrNotExist)
			}
			info, err := admin(t, server).StatObject(ctx, "plain", "gw/one/a/"+name, minio.StatObjectOptions{Checksum: true})
			require.NoError(t, err)
			require.NotEmpty(t, info.ChecksumSHA256, "which the server verified")
		})
	}
	var names []string
	for name, err := range b.List(ctx, "a/") {
		require.NoError(t, err)
		names = append(names, name)
	}
	require.Equal(t, []string{"a/empty", "a/large", "a/small"}, names)
	for range open(t, server, "plain", func(c *Config) { c.Prefix = "elsewhere" }).List(ctx, "") {
		t.Error("objects of another prefix")
	}
	left := 0
	for range admin(t, server).ListIncompleteUploads(ctx, "plain", "", true) {
		left++
	}
	require.Zero(t, left, "uploads that were begun")
}

// Locked objects cannot be deleted or written over, nor can those that are held.
func TestObjectLock(t *testing.T) {
	server := testserver.S3(t)
	a := admin(t, server)
	lock := func(c *Config) { c.Lock = Lock{Mode: "compliance", For: 24 * time.Hour} }
	b := bucket(t, server, "locked", true, lock)
	require.NoError(t, b.Put(ctx, object("x", []byte("kept"))))
	locked := func(name string) {
		info, err := a.StatObject(ctx, "locked", "gw/one/"+name, minio.StatObjectOptions{})
		require.NoError(t, err)
		require.Equal(t, "COMPLIANCE", info.Headers.Get("X-Amz-Object-Lock-Mode"))
		until, err := time.Parse(time.RFC3339, info.Headers.Get("X-Amz-Object-Lock-Retain-Until-Date"))
		require.NoError(t, err)
		require.WithinDuration(t, time.Now().Add(24*time.Hour), until, time.Hour)
	}
	locked("x")
	versions, err := b.Versions(ctx, "x")
	require.NoError(t, err)
	require.Len(t, versions, 1)
	require.Error(t, a.RemoveObject(ctx, "locked", "gw/one/x", minio.RemoveObjectOptions{VersionID: versions[0].ID, GovernanceBypass: true}))

	require.NoError(t, b.Hold(ctx, "x", true))
	status, err := a.GetObjectLegalHold(ctx, "locked", "gw/one/x", minio.GetObjectLegalHoldOptions{})
	require.NoError(t, err)
	require.Equal(t, minio.LegalHoldEnabled, *status)
	require.NoError(t, b.Hold(ctx, "x", false))
	status, err = a.GetObjectLegalHold(ctx, "locked", "gw/one/x", minio.GetObjectLegalHoldOptions{})
	require.NoError(t, err)
	require.Equal(t, minio.LegalHoldDisabled, *status)
	require.ErrorIs(t, b.Hold(ctx, "nothing", true), fs.ErrNotExist)
	held := object("held", []byte("held"))
	held.Hold = true
	require.NoError(t, b.Put(ctx, held))
	status, err = a.GetObjectLegalHold(ctx, "locked", "gw/one/held", minio.GetObjectLegalHoldOptions{})
	require.NoError(t, err)
	require.Equal(t, minio.LegalHoldEnabled, *status)
	large := make([]byte, 6<<20)
	require.NoError(t, b.Put(ctx, object("large", large)))
	locked("large") // in parts

	err = bucket(t, server, "unlocked", false, lock).Put(ctx, object("x", []byte("x")))
	require.ErrorContains(t, err, "Object Lock is asked for")
}

// permit lets everything run.
type permit struct{}

func (permit) Name() string { return "permit" }

func (permit) Intercept(context.Context, *proxy.Session) (proxy.Hooks, error) {
	return proxy.Hooks{Ask: func(context.Context, proxy.Op) proxy.Verdict { return proxy.Allow("all") }}, nil
}

func openLog(t testing.TB, dir string) *audit.Log {
	t.Helper()
	l, err := audit.Open(dir, audit.Config{Log: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	return l
}

// session records a session of one statement with so many random characters.
func session(t testing.TB, l *audit.Log, random int) string {
	t.Helper()
	g := &proxy.Gateway{Interceptors: []proxy.Interceptor{permit{}, l}, Log: slog.New(slog.DiscardHandler)}
	s, connect, err := g.Open(ctx, proxy.OpenRequest{
		Identity: &proxy.Identity{Subject: "alice", Method: proxy.MethodSCRAM}, Target: proxy.Target{Resource: &proxy.Resource{Name: "shop"}},
		Protocol: "postgres", Remote: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 4711},
	})
	require.NoError(t, err)
	s.Done(connect, &proxy.Outcome{})
	for range random>>19 + 1 {
		text := make([]byte, min(random, 1<<19)/2)
		rand.Read(text)
		op := &proxy.Statement{Meta: proxy.Meta{Kind: proxy.KindStatement}, Text: []byte("SELECT '" + hexOf(text) + "'"), Facts: &proxy.Facts{}}
		require.False(t, s.Ask(ctx, op).Refuses())
		s.Done(op, &proxy.Outcome{})
	}
	s.Close(nil)
	return s.ID
}

func hexOf(b []byte) string {
	const digits = "0123456789abcdef"
	out := make([]byte, 0, 2*len(b))
	for _, c := range b {
		out = append(out, digits[c>>4], digits[c&15])
	}
	return string(out)
}

func verified(t testing.TB, b *Bucket, public string) *audit.Report {
	t.Helper()
	r, err := audit.VerifyCopy(ctx, b, public)
	require.NoError(t, err)
	return r
}

// A log is copied to a bucket with Object Lock, and proven from there alone. What
// somebody with all rights on the bucket does to the copies is named, and the
// versions that the lock kept are told.
func TestCopyAndVerify(t *testing.T) {
	server := testserver.S3(t)
	a := admin(t, server)
	b := bucket(t, server, "records", true, func(c *Config) { c.Lock = Lock{Mode: "governance", For: time.Hour} })
	dir := t.TempDir()
	l := openLog(t, dir)
	ids := []string{session(t, l, 100), session(t, l, 12<<20), session(t, l, 100)}
	f, err := l.Copy(b, audit.FollowConfig{Every: 10 * time.Millisecond})
	require.NoError(t, err)
	require.Eventually(t, func() bool { return f.Stats().Sessions == 3 }, 30*time.Second, 10*time.Millisecond)
	require.NoError(t, l.Hold(audit.Action{Session: ids[0], Reason: "a case"}))
	require.Eventually(t, func() bool {
		status, err := a.GetObjectLegalHold(ctx, "records", "gw/one/sessions/"+ids[0]+".rec", minio.GetObjectLegalHoldOptions{})
		return err == nil && *status == minio.LegalHoldEnabled
	}, 30*time.Second, 10*time.Millisecond)
	require.NoError(t, l.Close())
	public := l.PublicKey()
	r := verified(t, b, public)
	require.Empty(t, r.Problems)
	require.Equal(t, 4, r.Sessions)
	require.Greater(t, r.Bytes, int64(5<<20), "one of which came in parts")

	name := "gw/one/sessions/" + ids[1] + ".rec"
	_, err = a.PutObject(ctx, "records", name, strings.NewReader("nothing of it"), 13, minio.PutObjectOptions{})
	require.NoError(t, err)
	require.NoError(t, a.RemoveObject(ctx, "records", "gw/one/sessions/"+ids[2]+".rec", minio.RemoveObjectOptions{}))
	r = verified(t, b, public)
	require.Len(t, r.Problems, 2)
	problem := func(id string) string {
		i := slices.IndexFunc(r.Problems, func(p string) bool { return strings.Contains(p, id) })
		require.GreaterOrEqual(t, i, 0, "%v", r.Problems)
		return r.Problems[i]
	}
	require.Contains(t, problem(ids[1]), "it was replaced at")
	require.Contains(t, problem(ids[1]), "is as it was sealed")
	require.Contains(t, problem(ids[2]), "its record is missing; it was deleted at")
	require.Contains(t, problem(ids[2]), "is as it was sealed")

	_, err = audit.VerifyCopy(ctx, open(t, server, "nowhere", nil), public)
	require.ErrorContains(t, err, "nowhere does not exist")
}

// Neither what signs requests nor what opens records is in a bucket, an error or
// the gateway's record.
func TestNoSecretLeaves(t *testing.T) {
	server := testserver.S3(t)
	var creds Credentials
	b := bucket(t, server, "records", false, func(c *Config) {
		c.Credentials = func(context.Context) (Credentials, error) { return creds, nil }
	})
	creds = Credentials{AccessKey: server.AccessKey, SecretKey: "not-the-" + server.SecretKey}
	err := b.Put(ctx, object("x", []byte("x")))
	require.ErrorContains(t, err, "403")
	require.NotContains(t, err.Error(), server.SecretKey)
	creds.SecretKey = server.SecretKey // replaced; what was refused is fetched again
	require.NoError(t, b.Put(ctx, object("x", []byte("x"))))

	b = open(t, server, "records", func(c *Config) {
		c.Credentials = func(context.Context) (Credentials, error) { return Credentials{}, errors.New("no such variable") }
	})
	require.ErrorContains(t, b.Put(ctx, object("y", []byte("y"))), "no such variable")

	dir := t.TempDir()
	l := openLog(t, dir)
	id := session(t, l, 100)
	_, err = l.Copy(open(t, server, "records", nil), audit.FollowConfig{Every: time.Millisecond})
	require.NoError(t, err)
	require.NoError(t, l.Close())
	var kept bytes.Buffer
	files := 0
	require.NoError(t, filepath.WalkDir(server.Dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files++
		kept.WriteString(p)
		kept.Write(mustRead(t, p))
		return nil
	}))
	require.Greater(t, files, 5)
	require.Contains(t, kept.String(), id)
	secrets, err := filepath.Glob(filepath.Join(dir, "sessions", "*", "*.key"))
	require.NoError(t, err)
	for _, f := range append(secrets, filepath.Join(dir, "master.key"), filepath.Join(dir, "log", "key")) {
		require.False(t, bytes.Contains(kept.Bytes(), bytes.TrimSpace(mustRead(t, f))), f)
	}
	require.NotContains(t, kept.String(), "alice")
}

func TestConfig(t *testing.T) {
	good := Config{Endpoint: "https://s3.example.com", Bucket: "b", Called: "b", Credentials: func(context.Context) (Credentials, error) { return Credentials{}, nil }}
	_, err := New(good)
	require.NoError(t, err)
	for name, change := range map[string]func(*Config){
		"http":           func(c *Config) { c.Endpoint = "http://s3.example.com" },
		"a path":         func(c *Config) { c.Endpoint += "/bucket" },
		"a user":         func(c *Config) { c.Endpoint = "https://a:b@s3.example.com" },
		"no credentials": func(c *Config) { c.Credentials = nil },
		"encryption":     func(c *Config) { c.Encryption = "rot13" },
		"lock mode":      func(c *Config) { c.Lock = Lock{Mode: "soft", For: time.Hour} },
		"lock time":      func(c *Config) { c.Lock = Lock{Mode: "governance"} },
		"part size":      func(c *Config) { c.PartSize = 1 << 20 },
	} {
		c := good
		change(&c)
		_, err := New(c)
		require.Error(t, err, name)
	}
}
