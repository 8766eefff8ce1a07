package aws

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/sigv4"
	"github.com/sallyport/sallyport/proxy"
)

func asksFor(service, target string) []string {
	s := services[service]
	if s.form == formJSON {
		return []string{"Content-Type", "application/x-amz-json-1.0", "X-Amz-Target", s.target + "." + target}
	}
	return []string{"Content-Type", "application/x-www-form-urlencoded"}
}

// TestAttackNames: whatever way a thing is named, and whatever else a request names, it is decided about by its own name.
func TestAttackNames(t *testing.T) {
	for name, c := range map[string]struct{ service, action, line, body, want string }{
		"a function whose name ends with function": {"lambda", "", "POST /2015-03-31/functions/secretfunction:PROD/invocations", "{}", "lambda:Invoke /Invoke/secretfunction/PROD"},
		"a function of an account":                 {"lambda", "", "POST /2015-03-31/functions/123456789012:secret/invocations", "{}", "lambda:Invoke /Invoke/secret"},
		"a function of a region":                   {"lambda", "", "POST /2015-03-31/functions/eu-west-1:123456789012:function:secret:1/invocations", "{}", "lambda:Invoke /Invoke/secret/1"},
		"a partial ARN":                            {"lambda", "", "POST /2015-03-31/functions/123456789012:function:secret/invocations", "{}", "lambda:Invoke /Invoke/secret"},
		"a function by its ARN":                    {"lambda", "", "POST /2015-03-31/functions/arn:aws:lambda:eu-west-1:123456789012:function:secret/invocations", "{}", "lambda:Invoke /Invoke/secret"},
		"a role and a user":                        {"iam", "", "POST /", "Action=DeleteRole&UserName=x&RoleName=prod", "iam:DeleteRole /DeleteRole/prod"},
		"a cluster and an instance":                {"rds", "", "POST /", "Action=DeleteDBCluster&DBInstanceIdentifier=x&DBClusterIdentifier=prod", "rds:DeleteDBCluster /DeleteDBCluster/prod"},
		"an instance in capitals":                  {"rds", "", "POST /", "Action=DeleteDBInstance&DBInstanceIdentifier=PROD", "rds:DeleteDBInstance /DeleteDBInstance/prod"},
		"a stack by its ARN":                       {"cloudformation", "", "POST /", "Action=DeleteStack&StackName=arn%3Aaws%3Acloudformation%3Aeu-west-1%3A123456789012%3Astack%2Fprod%2Fd0a825a0", "cloudformation:DeleteStack /DeleteStack/prod"},
		"a set of stacks":                          {"cloudformation", "", "POST /", "Action=DeleteStackSet&StackName=x&StackSetName=prod", "cloudformation:DeleteStackSet /DeleteStackSet/prod"},
		"a stack with roles":                       {"cloudformation", "", "POST /", "Action=CreateChangeSet&StackName=a&Capabilities.member.1=CAPABILITY_AUTO_EXPAND&Capabilities.member.2=CAPABILITY_NAMED_IAM", "iam:CreateRole /CreateRole"},
		"a backup":                                 {"dynamodb", "DeleteBackup", "POST /", `{"BackupArn":"arn:aws:dynamodb:eu-west-1:123456789012:table/people/backup/01489602797149-73d8d5bc"}`, "dynamodb:DeleteBackup /DeleteBackup/people"},
		"a table from a backup":                    {"dynamodb", "RestoreTableFromBackup", "POST /", `{"TargetTableName":"a","BackupArn":"arn:aws:dynamodb:eu-west-1:123456789012:table/people/backup/01489602797149-73d8d5bc"}`, "dynamodb:RestoreTableFromBackup /RestoreTableFromBackup/people"},
		"a stream":                                 {"dynamodb", "DescribeStream", "POST /", `{"StreamArn":"arn:aws:dynamodb:eu-west-1:123456789012:table/people/stream/2015-06-27T00:48:05.899"}`, "dynamodb:DescribeStream /DescribeStream/people"},
		"an export":                                {"dynamodb", "DescribeExport", "POST /", `{"ExportArn":"arn:aws:dynamodb:eu-west-1:123456789012:table/people/export/0148"}`, "dynamodb:DescribeExport /DescribeExport/people"},
		"an index":                                 {"dynamodb", "DescribeContributorInsights", "POST /", `{"TableName":"arn:aws:dynamodb:eu-west-1:123456789012:table/people/index/i"}`, "dynamodb:DescribeContributorInsights /DescribeContributorInsights/people"},
		"a statement":                              {"dynamodb", "ExecuteStatement", "POST /", `{"Statement":"select * from \"people\".\"index\" where a='from x'"}`, "dynamodb:ExecuteStatement /ExecuteStatement/people"},
		"a statement that writes":                  {"dynamodb", "ExecuteStatement", "POST /", `{"Statement":"INSERT\ninto people VALUE {'a':'from x'}"}`, "dynamodb:ExecuteStatement /ExecuteStatement/people"},
		"several statements":                       {"dynamodb", "BatchExecuteStatement", "POST /", `{"Statements":[{"Statement":"UPDATE a SET b=1"},{"Statement":"DELETE FROM people WHERE a=1"}]}`, "dynamodb:BatchExecuteStatement /BatchExecuteStatement/people"},
		"a condition of a transaction":             {"dynamodb", "ExecuteTransaction", "POST /", `{"TransactStatements":[{"Statement":"EXISTS(SELECT * FROM people WHERE a=1)"}]}`, "dynamodb:ExecuteTransaction /ExecuteTransaction/people"},
		"a secret that is a parameter":             {"ssm", "GetParameter", "POST /", `{"Name":"/aws/reference/secretsmanager/prod/db:1"}`, "secretsmanager:GetSecretValue /GetSecretValue/prod/db"},
		"such a one of several":                    {"ssm", "GetParameters", "POST /", `{"Names":["/a","arn:aws:ssm:eu-west-1:123456789012:parameter/aws/reference/secretsmanager/db"]}`, "secretsmanager:GetSecretValue /GetSecretValue/db"},
	} {
		got, err := reads(t, c.service, c.line, c.body, asksFor(c.service, c.action)...)
		require.NoError(t, err, name)
		require.Contains(t, got.paths(), c.want, name)
	}
	for _, body := range []string{"action=DeleteUser&Action=ListUsers", "Action=DeleteUser&UserName=x&username=prod", "ACTION=ListUsers"} {
		_, err := reads(t, "iam", "POST /", body, asksFor("iam", "")...)
		require.ErrorIs(t, err, errSeveral, body)
	}
	for line, want := range map[string]error{
		"GET /2018-10-31/layers?find=LayerVersion&find=x": errSeveral, "GET /2018-10-31/layers?find=LayerVersion": nil, "GET /2018-10-31/layers?Tag=a&Tag=b": nil,
	} {
		_, err := reads(t, "lambda", line, "")
		require.Equal(t, want, err, line)
	}
	for _, text := range []string{"SELECT 1", "SELECT * FROM", "SELECT * FROM 'people'", "SELECT * FROM /* a */ people", "SELECT * FROM a -- b", "SELECT * FROM [people]", "SELECT * FROM `a`", `SELECT * FROM "people`} {
		_, err := partiqlTables(text)
		require.Error(t, err, text)
	}
}

// TestAttackHeld: an approval does not count for a request that differs in anything that its service reads.
func TestAttackHeld(t *testing.T) {
	print := func(service, line, body string, headers ...string) [32]byte {
		c, err := reads(t, service, line, body, headers...)
		require.NoError(t, err)
		r := &http.Request{Header: c.header} // a presigned address signs the host alone
		return asked{&exchange{r: r, call: c, signed: &sigv4.Signed{Scope: sigv4.Scope{Service: service}, Names: []string{"host"}}}, c.operation()}.Print()
	}
	require.NotEqual(t, print("eks", "DELETE /clusters/prod/node-groups/a", ""), print("eks", "DELETE /clusters/prod/node-groups/b", ""))
	require.NotEqual(t, print("lambda", "DELETE /2015-03-31/functions/f/aliases/a", ""), print("lambda", "DELETE /2015-03-31/functions/f/aliases/b", ""))
	require.NotEqual(t, print("iam", "GET /?Action=PutUserPolicy&UserName=a&PolicyDocument=a", ""), print("iam", "GET /?Action=PutUserPolicy&UserName=a&PolicyDocument=b", ""))
	require.NotEqual(t, print("s3", "PUT /bucket/a", ""), print("s3", "PUT /bucket/a", "", "X-Amz-Acl", "public-read"))
	require.NotEqual(t, print("s3", "PUT /bucket/a", "", "X-Amz-Copy-Source", "/b12/a"), print("s3", "PUT /bucket/a", "", "X-Amz-Copy-Source", "/b12/b"))
	long := "GET /2015-03-31/functions?Marker=" + strings.Repeat("a", maxShape)
	require.NotEqual(t, print("lambda", long+"a", ""), print("lambda", long+"b", ""))
	for _, name := range []string{"Content-Type", "Content-Encoding", "Content-Disposition", "Cache-Control", "If-Match"} {
		require.NotEqual(t, print("s3", "PUT /bucket/a", ""), print("s3", "PUT /bucket/a", "", name, "text/html"), name)
	}
	for _, name := range []string{"X-Amz-Date", "X-Amz-Security-Token", "User-Agent", "Amz-Sdk-Request", "X-Forwarded-For"} {
		require.Equal(t, print("s3", "PUT /bucket/a", "", name, "1"), print("s3", "PUT /bucket/a", "", name, "2"), name)
	}
	c, err := reads(t, "eks", "DELETE /clusters/prod/node-groups/blue", "")
	require.NoError(t, err)
	require.Contains(t, c.query, "nodegroupName=blue", "approvers see all that the path names")
}

// TestAttackTarget: an action that is asked for under another name of its service needs the right to everything, and rules about the action count
// as well: there are servers that read the end of the target alone.
func TestAttackTarget(t *testing.T) {
	for _, prefix := range []string{"dynamodb_20120810", "DynamoDBStreams_20120810", "x", ""} {
		c, err := reads(t, "dynamodb", "POST /", `{"TableName":"people"}`, "Content-Type", "application/x-amz-json-1.0", "X-Amz-Target", prefix+".DeleteTable")
		require.NoError(t, err, prefix)
		op := c.operation()
		require.Equal(t, proxy.AccessUnknown, op.Access, prefix)
		require.Equal(t, []string{"dynamodb:DeleteTable"}, op.Also, prefix)
		require.Equal(t, "/DeleteTable/people", op.Path, prefix)
	}
}

// TestAttackSegments: a segment that becomes several where a server decodes it first is decided about only where both readings are the same.
func TestAttackSegments(t *testing.T) {
	for _, line := range []string{
		"POST /2015-03-31/functions/public%2F..%2Fsecret/invocations", "POST /2015-03-31/functions/public%2f%2e%2e%2fsecret/invocations", "POST /2015-03-31/functions/a%2F%2Fb/invocations",
		"POST /2015-03-31/functions/a%5Cb/invocations", "POST /2015-03-31/functions/%2Fa/invocations", "POST /2015-03-31/functions/a%2F/invocations", "POST /2015-03-31/functions/./invocations",
	} {
		_, err := reads(t, "lambda", line, "{}")
		require.ErrorIs(t, err, errPath, line)
	}
	c, err := reads(t, "eks", "GET /clusters/prod/access-entries/arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fteam%2Fdev", "")
	require.NoError(t, err)
	require.Equal(t, "eks:DescribeAccessEntry", c.action, "ARNs have slashes")
}
