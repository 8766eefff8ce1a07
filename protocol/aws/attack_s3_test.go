package aws

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/sigv4"
	"github.com/sallyport/sallyport/proxy"
)

// reads makes a call of a request, as it was sent.
func reads(t *testing.T, service, line, body string, headers ...string) (*call, error) {
	t.Helper()
	method, uri, _ := strings.Cut(line, " ")
	c := &call{service: service, region: country, known: services[service], method: method, target: must(sigv4.ParseTarget(uri)), header: http.Header{}, body: []byte(body)}
	for i := 0; i < len(headers); i += 2 {
		c.header.Add(headers[i], headers[i+1])
	}
	return c, c.read(false)
}

// paths are what a call is decided about.
func (c *call) paths() []string {
	list := []string{c.action + " " + c.path}
	for _, p := range c.further {
		list = append(list, p.action+" "+p.path)
	}
	return list
}

// TestAttackAsides: what a header of S3 asks for besides needs the right that the action of its own needs.
func TestAttackAsides(t *testing.T) {
	for name, c := range map[string]struct {
		line   string
		header [2]string
		want   string
	}{
		"a list":              {"PUT /bucket/a", [2]string{"X-Amz-Acl", "aws-exec-read"}, "PutObjectAcl"},
		"a grant":             {"PUT /bucket/a", [2]string{"X-Amz-Grant-Full-Control", `id="of-another-account"`}, "PutObjectAcl"},
		"a list of a bucket":  {"PUT /bucket", [2]string{"X-Amz-Acl", "log-delivery-write"}, "PutBucketAcl"},
		"in parts":            {"POST /bucket/a?uploads", [2]string{"X-Amz-Grant-Read", `id="x"`}, "PutObjectAcl"},
		"an owner":            {"PUT /bucket", [2]string{"X-Amz-Object-Ownership", "ObjectWriter"}, "PutBucketOwnershipControls"},
		"a retention":         {"PUT /bucket/a", [2]string{"X-Amz-Object-Lock-Mode", "COMPLIANCE"}, "PutObjectRetention"},
		"a bucket with locks": {"PUT /bucket", [2]string{"X-Amz-Bucket-Object-Lock-Enabled", "true"}, "PutObjectLockConfiguration"},
		"a hold":              {"PUT /bucket/a", [2]string{"X-Amz-Object-Lock-Legal-Hold", "OFF"}, "PutObjectLegalHold"},
		"no retention":        {"DELETE /bucket/a?versionId=1", [2]string{"X-Amz-Bypass-Governance-Retention", "true"}, "BypassGovernanceRetention"},
	} {
		got := ask3(t, c.line, "", c.header[0], c.header[1])
		i := slices.IndexFunc(got.further, func(p part) bool { return p.action == "s3:"+c.want })
		require.GreaterOrEqual(t, i, 0, name)
		require.Equal(t, proxy.AccessAdmin, got.request(got.further[i], "", nil).Access, name)
	}
	require.Empty(t, ask3(t, "PUT /bucket/a", "", "X-Amz-Acl", "private").further)
	require.Empty(t, ask3(t, "PUT /bucket/a?acl", "", "X-Amz-Grant-Read", `id="x"`).further, "it is the action itself")
	renames := ask3(t, "PUT /bucket/a?renameObject", "", "X-Amz-Rename-Source", "/bucket/secret%2Fb")
	require.Equal(t, []string{"s3:RenameObject /bucket/a", "s3:GetObject /bucket/secret/b", "s3:DeleteObject /bucket/secret/b"}, renames.paths())
	for _, source := range []string{"/bucket/a+b", "/bucket/a#b", "/point-s3alias/a", "/bucket/a?versionId=1&versionId=2", "arn:aws:s3:eu-west-1:1:accesspoint/p/object/a"} {
		_, err := reads(t, "s3", "PUT /bucket/b", "", "X-Amz-Copy-Source", source)
		require.ErrorIs(t, err, errSource, source)
	}
}

// TestAttackDeletes: a document that servers could read in two ways is refused.
func TestAttackDeletes(t *testing.T) {
	for _, body := range []string{
		"<Delete><Object><Key>a</Key></Object></Delete><Delete><Object><Key>secret</Key></Object></Delete>",
		"<Delete><Object><Key>a<b>secret</b></Key></Object></Delete>", "<Delete/><Other/>", "<Delete><Object></Object></Delete>",
	} {
		_, err := reads(t, "s3", "POST /bucket?delete", body)
		require.ErrorIs(t, err, errBody, body)
	}
	c, err := reads(t, "s3", "POST /bucket?delete", "<?xml version=\"1.0\"?>\n<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\n<Quiet>true</Quiet><Object><Key>a<!-- b -->c</Key><VersionId>1</VersionId></Object></Delete>\n")
	require.NoError(t, err)
	require.Equal(t, []string{"s3:DeleteObjects /bucket", "s3:DeleteObject /bucket/ac"}, c.paths())
}

// TestAttackAdministration: a path that administers a server of S3 is not taken for an object: a person who may read objects does not export its
// users, and one who may write does not import some.
func TestAttackAdministration(t *testing.T) {
	for _, line := range []string{
		"GET /minio/admin/v3/export-iam", "PUT /minio/admin/v3/import-iam", "GET /MinIO/admin/v3/info", "GET /%6dinio/admin/v3/info", "DELETE /minio/kms/v1/key",
		"GET /admin/metadata/user", "PUT /admin/user",
	} {
		op := ask3(t, line, "").operation()
		require.Equal(t, proxy.AccessUnknown, op.Access, line)
		require.Equal(t, "s3:unknown", op.Action, line)
		require.Equal(t, []string{"s3:administration"}, op.Also, line)
	}
	require.Equal(t, "s3:unknown", ask3(t, "PUT /minio/admin/v3/import-iam", "", "X-Amz-Copy-Source", "/bucket/a").action)
	require.Equal(t, "s3:GetObject", ask3(t, "GET /minio-data/admin/a", "").action)
	require.Equal(t, "s3:ListObjects", ask3(t, "GET /admin", "").action)
}
