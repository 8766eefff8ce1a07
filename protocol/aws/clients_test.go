package aws

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/sigv4"
	"github.com/sallyport/sallyport/internal/testserver"
)

// endpoint is where clients of the machine find the gateway.
func (r *rig) endpoint() string {
	_, port, _ := net.SplitHostPort(r.addr)
	return "https://localhost:" + port
}

// environment is that of a client which has a person's keys.
func (r *rig) environment(k sigv4.Keys, region string) []string {
	dir := r.t.TempDir()
	ca := filepath.Join(dir, "ca.pem")
	require.NoError(r.t, os.WriteFile(ca, r.ca.PEM(), 0o600))
	return append(os.Environ(), "HOME="+dir, "AWS_CONFIG_FILE="+filepath.Join(dir, "none"), "AWS_SHARED_CREDENTIALS_FILE="+filepath.Join(dir, "none"),
		"AWS_ENDPOINT_URL="+r.endpoint(), "AWS_CA_BUNDLE="+ca, "AWS_REGION="+region, "AWS_DEFAULT_REGION="+region, "AWS_PAGER=", "AWS_MAX_ATTEMPTS=1", "AWS_EC2_METADATA_DISABLED=true",
		"AWS_ACCESS_KEY_ID="+k.ID, "AWS_SECRET_ACCESS_KEY="+k.Secret, "AWS_SESSION_TOKEN="+k.Token)
}

// command runs a client, and returns what it says.
func (r *rig) command(env []string, program string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(r.t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = env
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// awsCLI is the AWS command line; the test is skipped, and says so, where there is none that knows AWS_ENDPOINT_URL.
func awsCLI(t *testing.T) string {
	t.Helper()
	program, err := exec.LookPath("aws")
	if err != nil {
		t.Skip("SKIPPED, NOT TESTED: the AWS command line is not installed")
	}
	return program
}

// versityRegion is the one that the S3 server of the tests is in.
const versityRegion = "us-east-1"

// TestMinio: an S3 client of other hands, with a server of other hands, works through the gateway as it does without.
func TestMinio(t *testing.T) {
	s3 := testserver.S3(t)
	r := startAt(t, strings.TrimPrefix(s3.Endpoint, "http://"), s3.AccessKey, s3.SecretKey)
	k := r.keys("alice")
	tr := r.client().Transport
	c, err := minio.New(domain, &minio.Options{Creds: credentials.NewStaticV4(k.ID, k.Secret, k.Token), Secure: true, Transport: tr, Region: versityRegion, TrailingHeaders: true})
	require.NoError(t, err)
	ctx := t.Context()
	require.NoError(t, c.MakeBucket(ctx, "photos", minio.MakeBucketOptions{Region: versityRegion}))
	for _, size := range []int{0, 1, 64 << 10, 6 << 20} {
		data := make([]byte, size)
		_, _ = rand.Read(data)
		for name, o := range map[string]minio.PutObjectOptions{
			"plain": {}, "digest": {SendContentMd5: true}, "unsigned": {DisableContentSha256: true}, "crc": {Checksum: minio.ChecksumCRC32C}, "parts": {PartSize: 5 << 20},
		} {
			_, err := c.PutObject(ctx, "photos", "dir/a key é+&~(1)!'*/"+name, bytes.NewReader(data), int64(size), o)
			require.NoError(t, err, "%s %d %v", name, size, r.rules.outcomes())
			got, err := c.GetObject(ctx, "photos", "dir/a key é+&~(1)!'*/"+name, minio.GetObjectOptions{})
			require.NoError(t, err)
			var b bytes.Buffer
			_, err = b.ReadFrom(got)
			require.NoError(t, err, "%s %d", name, size)
			require.True(t, bytes.Equal(data, b.Bytes()), "%s %d", name, size)
		}
	}
	_, err = c.CopyObject(ctx, minio.CopyDestOptions{Bucket: "photos", Object: "copy"}, minio.CopySrcOptions{Bucket: "photos", Object: "dir/a key é+&~(1)!'*/plain"})
	require.NoError(t, err)
	keys := 0
	for o := range c.ListObjects(ctx, "photos", minio.ListObjectsOptions{Recursive: true}) {
		require.NoError(t, o.Err)
		keys++
	}
	require.Equal(t, 6, keys)
	at, err := c.PresignedGetObject(ctx, "photos", "copy", time.Minute, nil)
	require.NoError(t, err)
	res, err := r.client().Get(at.String())
	require.NoError(t, err)
	res.Body.Close()
	require.Equal(t, 200, res.StatusCode)
	for o := range c.RemoveObjects(ctx, "photos", c.ListObjects(ctx, "photos", minio.ListObjectsOptions{Recursive: true}), minio.RemoveObjectsOptions{}) {
		require.NoError(t, o.Err)
	}
	require.NoError(t, c.RemoveBucket(ctx, "photos"))
	asked := strings.Join(r.rules.asked(), "\n")
	for _, want := range []string{"s3:CreateBucket /photos", "s3:PutObject /photos/dir/a key é+&~(1)!'*/plain", "s3:UploadPart ", "s3:CompleteMultipartUpload ", "s3:CopyObject /photos/copy", "s3:DeleteObjects /photos", "s3:DeleteObject /photos/copy", "s3:DeleteBucket /photos"} {
		require.Contains(t, asked, want)
	}
	require.NotContains(t, asked, "unknown")
}

// TestCommandLine: the AWS command line works with S3 through the gateway, unchanged but for its environment.
func TestCommandLine(t *testing.T) {
	program := awsCLI(t)
	s3 := testserver.S3(t)
	r := startAt(t, strings.TrimPrefix(s3.Endpoint, "http://"), s3.AccessKey, s3.SecretKey)
	env := r.environment(r.keys("alice"), versityRegion)
	dir := t.TempDir()
	data := make([]byte, 9<<20) // in parts
	_, _ = rand.Read(data)
	file := filepath.Join(dir, "film é.bin")
	require.NoError(t, os.WriteFile(file, data, 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "small"), []byte("small"), 0o600))
	for _, args := range [][]string{
		{"s3", "mb", "s3://films"},
		{"s3", "cp", file, "s3://films/"},
		{"s3", "cp", filepath.Join(dir, "small"), "s3://films/dir/small"},
		{"s3", "ls", "s3://films", "--recursive"},
		{"s3", "cp", "s3://films/film é.bin", file + ".back"},
		{"s3", "cp", "s3://films/dir/small", "s3://films/dir/other"},
		{"s3api", "head-object", "--bucket", "films", "--key", "dir/small"},
		{"s3api", "get-object", "--bucket", "films", "--key", "dir/small", "--range", "bytes=0-1", filepath.Join(dir, "range")},
		{"s3", "rm", "s3://films", "--recursive"},
		{"s3", "rb", "s3://films"},
	} {
		out, err := r.command(env, program, args...)
		require.NoError(t, err, "%v: %s %v", args, out, r.rules.outcomes())
	}
	back, err := os.ReadFile(file + ".back")
	require.NoError(t, err)
	require.True(t, bytes.Equal(data, back))
	part, err := os.ReadFile(filepath.Join(dir, "range"))
	require.NoError(t, err)
	require.Equal(t, "sm", string(part))
	asked := strings.Join(r.rules.asked(), "\n")
	require.Contains(t, asked, "s3:UploadPart /films/film é.bin")
	require.Contains(t, asked, "s3:GetObject /films/dir/small\ns3:CopyObject /films/dir/other")
	require.NotContains(t, asked, "unknown")
	out, err := r.command(env, program, "s3", "ls", "s3://films")
	require.Error(t, err, out)
	r.people.logout("alice")
	require.NotContains(t, r.log.String(), r.keys("bob").Secret)
}

// moto is a server of other hands that plays AWS.
func moto(t *testing.T) string {
	t.Helper()
	program, err := exec.LookPath("moto_server")
	if err != nil {
		t.Skip("SKIPPED, NOT TESTED: moto_server is not installed")
	}
	ctx, cancel := context.WithCancel(context.Background())
	late := time.AfterFunc(2*time.Minute, cancel) // one that says nothing is ended
	cmd := exec.CommandContext(ctx, program, "-H", "127.0.0.1", "-p", "0")
	out, err := cmd.StderrPipe()
	require.NoError(t, err)
	cmd.Stdout = cmd.Stderr
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		cancel()
		_ = cmd.Wait() // it was ended
	})
	running := regexp.MustCompile(`Running on http://(127\.0\.0\.1:\d+)`)
	address := ""
	for lines := bufio.NewScanner(out); address == "" && lines.Scan(); {
		if m := running.FindStringSubmatch(lines.Text()); m != nil {
			address = m[1]
		}
	}
	if !late.Stop() || address == "" {
		t.Skip("SKIPPED, NOT TESTED: moto_server does not start")
	}
	go func() { // until it ends
		_, _ = bufio.NewReader(out).WriteTo(discard{})
	}()
	return address
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }

// TestServices: the command line's calls to services are the actions that they are meant to be. Each call starts the command line anew, which
// takes minutes.
func TestServices(t *testing.T) {
	if os.Getenv("SALLYPORT_SUITES") == "" {
		t.Skip("SALLYPORT_SUITES is not set; see \"make test-heavy\"")
	}
	program := awsCLI(t)
	r := startAt(t, moto(t), ownID, "secret")
	env := r.environment(r.keys("alice"), country)
	calls := []struct{ want, line string }{
		{"sts:GetCallerIdentity /GetCallerIdentity", "sts get-caller-identity"},
		{"secretsmanager:CreateSecret /CreateSecret/db", "secretsmanager create-secret --name db --secret-string hunter2"},
		{"secretsmanager:GetSecretValue /GetSecretValue/db", "secretsmanager get-secret-value --secret-id db"},
		{"eks:ListClusters /ListClusters", "eks list-clusters"},
		{"s3:ListBuckets /", "s3api list-buckets"},
		{"dynamodb:CreateTable /CreateTable/orders", "dynamodb create-table --table-name orders --attribute-definitions AttributeName=id,AttributeType=S --key-schema AttributeName=id,KeyType=HASH --billing-mode PAY_PER_REQUEST"},
		{"dynamodb:PutItem /PutItem/orders", `dynamodb put-item --table-name orders --item {"id":{"S":"7"},"email":{"S":"ann@example.com"}}`},
		{"dynamodb:GetItem /GetItem/orders", `dynamodb get-item --table-name orders --key {"id":{"S":"7"}}`},
		{"dynamodb:Scan /Scan/orders", "dynamodb scan --table-name orders"},
		{"ssm:PutParameter /PutParameter/app/db", "ssm put-parameter --name /app/db --type SecureString --value hunter2"},
		{"ssm:GetParameter /GetParameter/app/db", "ssm get-parameter --name /app/db --with-decryption"},
		{"ec2:DescribeInstances /DescribeInstances", "ec2 describe-instances"},
		{"iam:CreateUser /CreateUser/bob", "iam create-user --user-name bob"},
		{"iam:ListUsers /ListUsers", "iam list-users"},
		{"lambda:ListFunctions /ListFunctions", "lambda list-functions"},
		{"kms:CreateKey /CreateKey", "kms create-key"},
		{"rds:DescribeDBInstances /DescribeDBInstances", "rds describe-db-instances"},
		{"cloudformation:ListStacks /ListStacks", "cloudformation list-stacks"},
		{"ecs:ListClusters /ListClusters", "ecs list-clusters"},
	}
	for _, c := range calls {
		r.rules.asked()
		out, err := r.command(env, program, append([]string{"--output", "json"}, strings.Fields(c.line)...)...)
		require.NoError(t, err, "%s: %s", c.line, out)
		require.Equal(t, []string{c.want}, r.rules.asked())
		require.NotContains(t, out, "hunter2")
	}
}
