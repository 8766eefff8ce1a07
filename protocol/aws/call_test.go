package aws

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/sigv4"
	"github.com/sallyport/sallyport/proxy"
)

func ask3(t *testing.T, line, body string, headers ...string) *call {
	t.Helper()
	method, uri, _ := strings.Cut(line, " ")
	target, err := sigv4.ParseTarget(uri)
	require.NoError(t, err)
	c := &call{service: "s3", region: country, known: services["s3"], method: method, target: target, header: http.Header{}, body: []byte(body)}
	for i := 0; i < len(headers); i += 2 {
		c.header.Set(headers[i], headers[i+1])
	}
	require.NoError(t, c.read(false), line)
	return c
}

// TestS3Actions: a request to S3 is the action that its method, path and subresource ask for, and what is not known is unknown.
func TestS3Actions(t *testing.T) {
	for line, want := range map[string]string{
		"GET /":                                         "ListBuckets read",
		"GET /bucket":                                   "ListObjects read",
		"GET /bucket/?prefix=a%2F&max-keys=2":           "ListObjects read",
		"GET /bucket?list-type=2&prefix=":               "ListObjectsV2 read",
		"GET /bucket?versions":                          "ListObjectVersions read",
		"GET /bucket?policy":                            "GetBucketPolicy read",
		"GET /bucket?analytics":                         "ListBucketAnalyticsConfigurations read",
		"GET /bucket?analytics&id=a":                    "GetBucketAnalyticsConfiguration read",
		"HEAD /bucket":                                  "HeadBucket read",
		"PUT /bucket":                                   "CreateBucket write",
		"DELETE /bucket":                                "DeleteBucket write",
		"PUT /bucket?acl":                               "PutBucketAcl admin",
		"PUT /bucket?publicAccessBlock":                 "PutPublicAccessBlock admin",
		"DELETE /bucket?publicAccessBlock":              "DeletePublicAccessBlock admin",
		"PUT /bucket?lifecycle":                         "PutBucketLifecycleConfiguration admin",
		"GET /bucket?session":                           "CreateSession admin",
		"GET /bucket/a/b?x-id=GetObject":                "GetObject read",
		"GET /bucket/a?versionId=1&response-expires=x":  "GetObject read",
		"GET /bucket/a?acl":                             "GetObjectAcl read",
		"GET /bucket/a?partNumber=1":                    "GetObject read",
		"GET /bucket/a?uploadId=u":                      "ListParts read",
		"HEAD /bucket/a":                                "HeadObject read",
		"PUT /bucket/a":                                 "PutObject write",
		"PUT /bucket/a?partNumber=1&uploadId=u":         "UploadPart write",
		"PUT /bucket/a?partNumber=1":                    "unknown unknown",
		"PUT /bucket/a?tagging":                         "PutObjectTagging write",
		"PUT /bucket/a?retention":                       "PutObjectRetention admin",
		"POST /bucket/a?uploads":                        "CreateMultipartUpload write",
		"POST /bucket/a?uploadId=u":                     "CompleteMultipartUpload write",
		"POST /bucket/a?restore":                        "RestoreObject write",
		"POST /bucket/a?select&select-type=2":           "SelectObjectContent unknown",
		"DELETE /bucket/a":                              "DeleteObject write",
		"DELETE /bucket/a?uploadId=u":                   "AbortMultipartUpload write",
		"DELETE /bucket/a?tagging":                      "DeleteObjectTagging write",
		"GET /bucket/a?acl&tagging":                     "unknown unknown",
		"GET /bucket?newthing":                          "unknown unknown",
		"PUT /bucket/a?acl=&policy=":                    "unknown unknown",
		"PATCH /bucket/a":                               "unknown unknown",
		"POST /bucket/a":                                "unknown unknown",
		"DELETE /":                                      "unknown unknown",
		"GET /bucket/a?policy":                          "unknown unknown",
		"GET /bucket/a?id=1":                            "unknown unknown",
		"GET /bucket?uploadId=u":                        "unknown unknown",
		"PUT /bucket?versioning&encryption":             "unknown unknown",
		"GET /bucket/key%20with%20spaces?versionId=abc": "GetObject read",
	} {
		c := ask3(t, line, "")
		action, class, _ := strings.Cut(want, " ")
		require.Equal(t, "s3:"+action, c.action, line)
		require.Equal(t, class, classOf(c.operation().Access), line)
	}
	require.Equal(t, "s3:CopyObject", ask3(t, "PUT /bucket/a", "", "X-Amz-Copy-Source", "/other/b").action)
	require.Equal(t, "s3:UploadPartCopy", ask3(t, "PUT /bucket/a?partNumber=1&uploadId=u", "", "X-Amz-Copy-Source", "/other/b").action)
	require.Equal(t, "s3:unknown", ask3(t, "PUT /bucket", "", "X-Amz-Copy-Source", "/other/b").action)
}

func classOf(a proxy.Access) string {
	return map[proxy.Access]string{proxy.AccessRead: "read", proxy.AccessWrite: "write", proxy.AccessAdmin: "admin", proxy.AccessUnknown: "unknown"}[a]
}

// TestPublic: what opens a bucket or an object to everybody is found, however it is asked for.
func TestPublic(t *testing.T) {
	policy := func(principal string) string {
		return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":` + principal + `,"Action":"s3:GetObject","Resource":"*"}]}`
	}
	for name, c := range map[string]struct {
		line, body string
		headers    []string
		public     bool
	}{
		"a policy for everybody": {"PUT /bucket?policy", policy(`"*"`), nil, true},
		"of every account":       {"PUT /bucket?policy", policy(`{"AWS":["arn:aws:iam::1:root","*"]}`), nil, true},
		"all but one":            {"PUT /bucket?policy", `{"Statement":{"Effect":"Allow","NotPrincipal":{"AWS":"x"}}}`, nil, true},
		"in small letters":       {"PUT /bucket?policy", `{"Statement":[{"Effect":"Allow","Principal":"*"}],"statement":[]}`, nil, true},
		"in small letters first": {"PUT /bucket?policy", `{"statement":[],"Statement":{"effect":"allow","Effect":"Deny","principal":"x","Principal":"*"}}`, nil, true},
		"a policy for one":       {"PUT /bucket?policy", policy(`{"AWS":"arn:aws:iam::1:root"}`), nil, false},
		"a canned list":          {"PUT /bucket?acl", "", []string{"X-Amz-Acl", "public-read"}, true},
		"with an object":         {"PUT /bucket/a", "", []string{"X-Amz-Acl", "Public-Read-Write"}, true},
		"every customer":         {"PUT /bucket/a?acl", "", []string{"X-Amz-Acl", "authenticated-read"}, true},
		"a grant":                {"PUT /bucket/a?acl", "", []string{"X-Amz-Grant-Read", `uri="http://acs.amazonaws.com/groups/global/AllUsers"`}, true},
		"a list in the body":     {"PUT /bucket?acl", "<URI>http://acs.amazonaws.com/groups/global/AllUsers</URI>", nil, true},
		"in a section":           {"PUT /bucket/a?acl", "<URI>http://acs.amazonaws.com/groups/global/All<![CDATA[Users]]></URI>", nil, true},
		"with a comment":         {"PUT /bucket/a?acl", "<URI>http://acs.amazonaws.com/groups/glo<!-- x -->bal/AllUsers</URI>", nil, true},
		"in an attribute":        {"PUT /bucket/a?acl", `<URI x="http://acs.amazonaws.com/groups/global/AllUsers"/>`, nil, true},
		"in another writing":     {"PUT /bucket?acl", "<URI>http://acs.amazonaws.com/groups/global/&#65;llUsers</URI>", nil, true},
		"a private one":          {"PUT /bucket/a", "", []string{"X-Amz-Acl", "private"}, false},
	} {
		got := ask3(t, c.line, c.body, c.headers...)
		require.Equal(t, c.public, len(got.also) > 0, name)
	}
}

// TestAccess: actions of all services have the right that they need, and what is not in the table needs all.
func TestAccess(t *testing.T) {
	for action, want := range map[string]string{
		"dynamodb:GetItem": "read", "dynamodb:Scan": "read", "dynamodb:PutItem": "write", "dynamodb:DeleteTable": "write", "dynamodb:ExecuteStatement": "unknown",
		"sts:GetCallerIdentity": "read", "sts:AssumeRole": "admin", "sts:GetSessionToken": "admin", "sts:GetFederationToken": "admin",
		"ec2:DescribeInstances": "read", "ec2:RunInstances": "write", "ec2:TerminateInstances": "write", "ec2:GetPasswordData": "admin",
		"ec2:DisableSnapshotBlockPublicAccess": "admin", "ec2:DisableEbsEncryptionByDefault": "admin", "ec2:AuthorizeClientVpnIngress": "admin", "s3:BypassGovernanceRetention": "admin",
		"iam:ListUsers": "read", "iam:CreateAccessKey": "admin", "iam:DeleteRole": "admin", "iam:PassRole": "unknown",
		"kms:Decrypt": "admin", "kms:ScheduleKeyDeletion": "admin", "kms:DescribeKey": "read", "kms:Encrypt": "write",
		"secretsmanager:GetSecretValue": "read", "secretsmanager:DeleteSecret": "write", "ssm:SendCommand": "admin", "ssm:StartSession": "admin", "ssm:GetParameter": "read",
		"lambda:Invoke": "write", "lambda:UpdateFunctionCode": "admin", "lambda:ListFunctions": "read", "rds:DeleteDBInstance": "write", "rds:DescribeDBInstances": "read",
		"ecs:ExecuteCommand": "admin", "ecs:ListTasks": "read", "eks:DescribeCluster": "read", "eks:CreateAccessEntry": "admin", "cloudformation:DeleteStack": "write",
		"sqs:SendMessage": "unknown", "dynamodb:NewThing": "unknown", "s3:unknown": "unknown",
	} {
		require.Equal(t, want, classOf(accessOf(action)), action)
	}
	for name, list := range theTable().routes {
		for _, r := range list {
			if r.action != "SelectObjectContent" {
				require.NotEqual(t, proxy.AccessUnknown, accessOf(name+":"+r.action), "%s:%s has a route, and no class", name, r.action)
			}
		}
	}
}

// TestShape: what records and approvers see of a request says what it asks for, and has none of the data in it.
func TestShape(t *testing.T) {
	c := &call{service: "dynamodb", region: country, known: services["dynamodb"], method: "POST", target: must(sigv4.ParseTarget("/")), header: http.Header{}}
	c.header.Set("Content-Type", "application/x-amz-json-1.0")
	c.header.Set("X-Amz-Target", "DynamoDB_20120810.UpdateItem")
	c.body = []byte(`{"TableName":"orders","Key":{"email":{"S":"ann@example.com"}},"UpdateExpression":"SET card = :c","ExpressionAttributeValues":{":c":{"N":"4111111111111111"},":m":{"M":{"bob@example.com":{"L":[{"M":{"eve@example.com":{"BOOL":true}}}]}}}}}`)
	require.NoError(t, c.read(false))
	op := c.operation()
	require.Equal(t, "/UpdateItem/orders", op.Path)
	require.Contains(t, op.Query, `"UpdateExpression":"SET card = :c"`)
	require.Contains(t, op.Query, "sha256="+sigv4.Digest(c.body))
	require.NotContains(t, op.Query, "ann@example.com")
	require.NotContains(t, op.Query, "4111")
	require.NotContains(t, op.Query, "example.com", "names in a map are data")
	c = &call{service: "iam", region: country, known: services["iam"], method: "POST", target: must(sigv4.ParseTarget("/")), header: http.Header{}}
	c.header.Set("Content-Type", "application/x-www-form-urlencoded")
	c.body = []byte("Action=CreateLoginProfile&UserName=bob&Password=hunter2&Version=2010-05-08")
	require.NoError(t, c.read(false))
	require.Equal(t, "/CreateLoginProfile/bob", c.path)
	require.NotContains(t, c.query, "hunter2")
	require.Contains(t, c.query, "UserName=bob")
}

// TestOperation: a text is explained as the request that it means would be decided about.
func TestOperation(t *testing.T) {
	op := must(Operation("s3:GetObject /bucket/key"))
	require.Equal(t, []any{"GET", "s3:GetObject", "/bucket/key", proxy.AccessRead}, []any{op.Method, op.Action, op.Path, op.Access})
	op = must(Operation("dynamodb:DeleteTable /orders"))
	require.Equal(t, []any{"POST", "/DeleteTable/orders", proxy.AccessWrite}, []any{op.Method, op.Path, op.Access})
	for _, text := range []string{"", "GET /", "s3:", "s3:Get Object", "S3:GetObject", "s3:GetObject bucket"} {
		_, err := Operation(text)
		require.Error(t, err, text)
	}
}
