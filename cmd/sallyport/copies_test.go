package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/internal/testserver"
)

// bucketAt makes a bucket with Object Lock, and puts what opens it where the config
// and the command line look for it.
func bucketAt(t *testing.T, name string) (*testserver.S3Server, *minio.Client) {
	t.Helper()
	server := testserver.S3(t)
	client, err := minio.New(strings.TrimPrefix(server.Endpoint, "http://"), &minio.Options{Creds: credentials.NewStaticV4(server.AccessKey, server.SecretKey, "")})
	require.NoError(t, err)
	require.NoError(t, client.MakeBucket(context.Background(), name, minio.MakeBucketOptions{ObjectLocking: true}))
	t.Setenv("AWS_ACCESS_KEY_ID", server.AccessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", server.SecretKey)
	return server, client
}

// A session through the gateway is copied to a bucket, and proven from there with
// the public key and nothing else of the gateway's.
func TestServeCopies(t *testing.T) {
	server, client := bucketAt(t, "records")
	o := openOffice(t, `
audit:
  copies:
    - name: archive
      s3: {endpoint: "`+server.Endpoint+`", plaintext: true, bucket: records, prefix: gw1, region: us-east-1,
           access_key: env:AWS_ACCESS_KEY_ID, secret_key: env:AWS_SECRET_ACCESS_KEY, lock: {mode: compliance, days: 1}}
`)
	require.Contains(t, o.psql(t, "alice", "-At", "-c", "SELECT 40 + 2"), "42")
	count := func(prefix string) (n int) {
		for obj := range client.ListObjects(context.Background(), "records", minio.ListObjectsOptions{Prefix: prefix, Recursive: true}) {
			require.NoError(t, obj.Err)
			n++
		}
		return n
	}
	require.Eventually(t, func() bool { return count("gw1/checkpoints/") >= 1 }, 30*time.Second, 50*time.Millisecond)
	o.stop(t)
	require.Equal(t, 2, count("gw1/sessions/"), "the session, and the gateway's own record")

	elsewhere := t.TempDir()
	key := filepath.Join(elsewhere, "key.pub")
	b, err := os.ReadFile(filepath.Join(o.dir, "data", "audit", "log", "key.pub"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(key, b, 0o600))
	log := filepath.Join(o.dir, "data", "audit")
	require.Contains(t, must(t, "verify", "--key", key, "--endpoint", server.Endpoint, "--witness", "s3://records/gw1", log), "proven: 2 sealed records")
	require.NoError(t, os.RemoveAll(log))
	out := must(t, "verify", "--key", key, "--endpoint", server.Endpoint, "s3://records/gw1")
	require.Contains(t, out, "proven: 2 sealed records")
	require.NotContains(t, out, "NOT AS SEALED")

	for obj := range client.ListObjects(context.Background(), "records", minio.ListObjectsOptions{Prefix: "gw1/sessions/", Recursive: true}) {
		require.NoError(t, obj.Err)
		require.NoError(t, client.RemoveObject(context.Background(), "records", obj.Key, minio.RemoveObjectOptions{}))
		break
	}
	code, out, _ := sallyport(t, "", "verify", "--key", key, "--endpoint", server.Endpoint, "s3://records/gw1")
	require.Equal(t, exitError, code)
	require.Contains(t, out, "its record is missing; it was deleted at")
	code, _, errs := sallyport(t, "", "verify", "--endpoint", server.Endpoint, "s3://records/gw1")
	require.Equal(t, exitUsage, code, errs)
	code, _, errs = sallyport(t, "", "verify", "--key", key, "--endpoint", server.Endpoint, "s3://nowhere/x")
	require.Equal(t, exitError, code)
	require.Contains(t, errs, "nowhere")
	require.NotContains(t, errs+out, server.SecretKey)
}

// Signed heads are pushed to witnesses, by which a log that was set back or forked
// is found.
func TestServeWitnesses(t *testing.T) {
	server, _ := bucketAt(t, "heads")
	o := openOffice(t, `
audit:
  witnesses:
    - {name: paper, file: heads}
    - name: vault
      s3: {endpoint: "`+server.Endpoint+`", plaintext: true, bucket: heads, region: us-east-1,
           access_key: env:AWS_ACCESS_KEY_ID, secret_key: env:AWS_SECRET_ACCESS_KEY, lock: {mode: governance, days: 1}}
`)
	log := filepath.Join(o.dir, "data", "audit")
	o.psql(t, "alice", "-c", "SELECT 1")
	o.stop(t)
	early := filepath.Join(t.TempDir(), "early")
	require.NoError(t, os.CopyFS(early, os.DirFS(log)))

	o.process = start(t, "serve", "-c", o.config)
	o.wait(t, "listening")
	o.psql(t, "alice", "-c", "SELECT 2")
	o.stop(t)
	paper := filepath.Join(o.dir, "heads")
	heads, err := os.ReadFile(paper)
	require.NoError(t, err)
	served := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write(heads) }))
	defer served.Close()
	forked := filepath.Join(t.TempDir(), "forked") // another history, as long, by the same key
	require.NoError(t, os.CopyFS(forked, os.DirFS(early)))
	l, err := audit.Open(forked, audit.Config{})
	require.NoError(t, err)
	require.NoError(t, l.Close())
	l, err = audit.Open(forked, audit.Config{})
	require.NoError(t, err)
	require.NoError(t, l.Close())

	key := filepath.Join(o.dir, "key.pub")
	public, err := os.ReadFile(filepath.Join(log, "log", "key.pub"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(key, public, 0o600))
	for _, from := range []string{paper, served.URL, "s3://heads"} {
		args := []string{"verify", "--key", key, "--endpoint", server.Endpoint, "--witness", from}
		out := must(t, append(args, log)...)
		require.NotContains(t, out, "set back")
		for dir, want := range map[string]string{early: "it was rolled back", forked: "sealed sessions were replaced, the first of them after session 2"} {
			code, out, _ := sallyport(t, "", append(args, dir)...)
			require.Equal(t, exitError, code, "%s %s", from, dir)
			require.Contains(t, out, want, "%s %s", from, dir)
		}
	}
	for _, dir := range []string{early, forked} { // nobody else would notice
		require.NotContains(t, must(t, "verify", "--key", key, dir), "NOT AS SEALED")
	}
	empty := filepath.Join(o.dir, "empty")
	require.NoError(t, os.WriteFile(empty, nil, 0o600))
	code, _, _ := sallyport(t, "", "verify", "--key", key, "--witness", empty, log)
	require.Equal(t, exitNotFound, code, "comparing with nothing proves nothing")
	code, _, errs := sallyport(t, "", "verify", "--key", key, "--cosigned", "nobody+00000000+AAAA", log)
	require.Equal(t, exitError, code)
	require.Contains(t, errs, "NOT COSIGNED")
}
