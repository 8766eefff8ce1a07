package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/stretchr/testify/require"

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
	require.Contains(t, must(t, "verify", "-key", key, "-endpoint", server.Endpoint, "-witness", "s3://records/gw1", log), "proven: 2 sealed records")
	require.NoError(t, os.RemoveAll(log))
	out := must(t, "verify", "-key", key, "-endpoint", server.Endpoint, "s3://records/gw1")
	require.Contains(t, out, "proven: 2 sealed records")
	require.NotContains(t, out, "NOT AS SEALED")

	for obj := range client.ListObjects(context.Background(), "records", minio.ListObjectsOptions{Prefix: "gw1/sessions/", Recursive: true}) {
		require.NoError(t, obj.Err)
		require.NoError(t, client.RemoveObject(context.Background(), "records", obj.Key, minio.RemoveObjectOptions{}))
		break
	}
	code, out, _ := sallyport(t, "", "verify", "-key", key, "-endpoint", server.Endpoint, "s3://records/gw1")
	require.Equal(t, exitError, code)
	require.Contains(t, out, "its record is missing; it was deleted at")
	code, _, errs := sallyport(t, "", "verify", "-endpoint", server.Endpoint, "s3://records/gw1")
	require.Equal(t, exitUsage, code, errs)
	code, _, errs = sallyport(t, "", "verify", "-key", key, "-endpoint", server.Endpoint, "s3://nowhere/x")
	require.Equal(t, exitError, code)
	require.Contains(t, errs, "nowhere")
	require.NotContains(t, errs+out, server.SecretKey)
}
