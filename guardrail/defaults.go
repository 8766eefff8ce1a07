package guardrail

import "github.com/sallyport/sallyport/proxy"

// ReadOnlyLabel is the label, with the value "true", of resources that the
// default rules keep from changes.
const ReadOnlyLabel = "read-only"

// Defaults returns the rules that are useful before anybody has written one.
func Defaults() []Rule {
	return []Rule{
		{
			Name: "no-where", NoWhere: true,
			Message: "no condition of this statement leaves out a row of the table that it changes, so it changes every row",
			Remedy:  "Add a WHERE that names a column. Join another table by a column of each.",
		},
		{
			Name: "no-drop", Effects: proxy.EffectDrop | proxy.EffectTruncate, Destroys: true,
			Message: "this statement destroys data, and after a commit no rollback restores it",
			Remedy:  "Change the schema with a reviewed migration, or use DELETE with a WHERE.",
		},
		{
			Name: "no-grants", Effects: proxy.EffectGrant | proxy.EffectRole,
			Message: "rights, roles, owners and passwords may not be changed through this gateway",
			Remedy:  "Ask an administrator of the database.",
		},
		{
			Name: "no-server-files", Effects: proxy.EffectCopyProgram | proxy.EffectOutside,
			Message: "this statement acts outside the database: it uses the server's files, programs or network, or makes the server wait",
			Remedy:  "Ask an administrator of the database.",
			remedies: []remedy{
				{effects: proxy.EffectCopyProgram, text: "To copy data, use COPY … FROM STDIN or COPY … TO STDOUT."},
				{functions: []string{"pg_sleep", "pg_sleep_*"}, text: "Wait in the client."},
				{
					functions: []string{"lo_import", "lo_export", "pg_read_*", "pg_ls_*", "pg_stat_file", "pg_file_*"},
					text:      "Read and write files at the client, as \\copy, \\lo_import and \\lo_export of psql do.",
				},
				{functions: []string{"dblink", "dblink_*"}, text: "Connect to the other server by a resource of its own."},
				{effects: proxy.EffectsDDL, text: "Ask an administrator of the database to install or change it."},
			},
		},
		{
			Name: "no-administration", Classes: []proxy.FunctionClass{proxy.FunctionAdmin},
			Message: "functions that administer the server may not be called through this gateway",
			Remedy:  "Ask an administrator of the database.",
		},
		{
			Name: "no-blind-text", Unknown: true,
			Message: "the text does not show what this statement would do, so the rules cannot check it",
			Remedy:  "Use plain statements, without DO, EXECUTE or syntax that the gateway does not read.",
		},
		{
			Name: "read-only", Labels: map[string]string{ReadOnlyLabel: "true"},
			Effects: proxy.EffectsWrite | proxy.EffectsDDL | proxy.EffectCall | proxy.EffectDo | proxy.EffectExecute | proxy.EffectLock | proxy.EffectMaintain,
			Message: "this resource is read-only",
			Remedy:  "Only read here, or use another resource.",
		},
		{
			Name: "read-only-settings", Labels: map[string]string{ReadOnlyLabel: "true"},
			Settings: []string{"default_transaction_read_only!=on", "transaction_read_only!=on"},
			Message:  "this resource is read-only, and a session cannot change that",
			Remedy:   "Do not change the transaction's mode.",
		},
		{
			Name: "no-wiping", Harms: []proxy.Harm{proxy.HarmWipe},
			Message: "this can destroy a file system or a disk",
			Remedy:  "Name the files by a path below the folders of the system, with ${NAME:?} for variables that must not be empty.",
		},
		{
			Name: "no-cluster-loss", Actions: clusterLoss,
			Message: "this deletes what others work with: a namespace, a node, a volume, a definition, or a whole collection",
			Remedy:  "Delete single objects by their names, or ask the people who operate the cluster.",
		},
		{
			Name: "no-cluster-rights", Actions: clusterRights,
			Message: "this changes who may do what in the cluster",
			Remedy:  "Ask the people who operate the cluster.",
		},
		{
			Name: "no-cluster-outage", Actions: []string{"scale-to-zero", "cordon", "taint", "pods/eviction:*"},
			Message: "this takes a workload or a node out of service",
			Remedy:  "Scale to at least one replica, or ask the people who operate the cluster.",
		},
		{
			Name: "no-cloud-loss", Actions: cloudLoss,
			Message: "this deletes what others work with, or what brings it back: a bucket, a table, an instance, a database, a stack, a key or a backup",
			Remedy:  "Ask the people who operate the account.",
		},
		{
			Name: "no-cloud-rights", Actions: cloudRights,
			Message: "this changes who may do what in the account, or opens it to everybody",
			Remedy:  "Ask the people who operate the account.",
		},
		{
			Name: "no-cloud-keys", Actions: cloudKeys,
			Message: "this gives out credentials, by which the account could be used without the gateway",
			Remedy:  "Use the account through the gateway.",
		},
		{
			Name: "no-halting", Harms: []proxy.Harm{proxy.HarmHalt},
			Message: "this stops the machine, or services that others use",
			Remedy:  "Ask the people who operate the machine.",
		},
	}
}

// clusterLoss are actions of clusters that lose more than one thing.
var clusterLoss = []string{
	"*:deletecollection", "namespaces:delete", "nodes:delete", "persistentvolumes:delete", "persistentvolumeclaims:delete",
	"customresourcedefinitions.apiextensions.k8s.io:delete", "apiservices.apiregistration.k8s.io:delete", "namespaces/finalize:*",
}

// clusterRights are actions by which rights in clusters are changed or handed on.
var clusterRights = append(
	changes(
		"*.rbac.authorization.k8s.io", "*.admissionregistration.k8s.io",
		// Of OpenShift. What else is in its groups of authorization and security asks and changes nothing.
		"roles.authorization.openshift.io", "rolebindings.authorization.openshift.io", "clusterroles.authorization.openshift.io",
		"clusterrolebindings.authorization.openshift.io", "rolebindingrestrictions.authorization.openshift.io",
		"securitycontextconstraints.security.openshift.io", "*.oauth.openshift.io", "*.user.openshift.io",
	),
	"*.admissionregistration.k8s.io/*:*",
	"serviceaccounts/token:*", "certificatesigningrequests.certificates.k8s.io/approval:*", "certificatesigningrequests.certificates.k8s.io/status:*",
)

// changes are the actions by which resources of clusters are changed one by one.
func changes(resources ...string) (list []string) {
	for _, r := range resources {
		for _, verb := range []string{"create", "update", "patch", "delete"} {
			list = append(list, r+":"+verb)
		}
	}
	return list
}

// cloudLoss are actions of AWS that lose what others depend on.
var cloudLoss = []string{
	"s3:DeleteBucket", "dynamodb:DeleteTable", "dynamodb:DeleteBackup", "dynamodb:DeleteGlobalTable*", "ec2:TerminateInstances", "ec2:DeleteVpc", "ec2:DeleteSubnet", "ec2:DeleteVolume",
	"ec2:DeleteSnapshot", "ec2:DeregisterImage", "rds:DeleteDB*", "rds:DeleteGlobalCluster", "rds:DeleteTenantDatabase", "cloudformation:DeleteStack*", "kms:ScheduleKeyDeletion", "kms:DisableKey",
	"kms:DeleteImportedKeyMaterial", "kms:DeleteCustomKeyStore", "secretsmanager:DeleteSecret", "lambda:DeleteFunction", "eks:DeleteCluster", "eks:DeleteNodegroup", "ecs:DeleteCluster", "ecs:DeleteService",
}

// cloudRights are actions of AWS by which rights are changed or handed on. None of them reads.
var cloudRights = []string{
	"iam:Accept*", "iam:Add*", "iam:Associate*", "iam:Attach*", "iam:Change*", "iam:Create*", "iam:Deactivate*", "iam:Delete*", "iam:Detach*", "iam:Disable*", "iam:Enable*", "iam:Put*", "iam:Reject*",
	"iam:Remove*", "iam:Resync*", "iam:Set*", "iam:Tag*", "iam:Untag*", "iam:Update*", "s3:public", "s3:administration", "s3:PutBucketPolicy", "s3:DeleteBucketPolicy", "s3:PutBucketAcl", "s3:PutPublicAccessBlock",
	"s3:DeletePublicAccessBlock", "s3:PutBucketOwnershipControls", "s3:DeleteBucketOwnershipControls", "*:PutResourcePolicy", "*:DeleteResourcePolicy", "kms:PutKeyPolicy", "kms:CreateGrant",
	"lambda:AddPermission", "lambda:AddLayerVersionPermission", "lambda:CreateFunctionUrlConfig", "lambda:UpdateFunctionUrlConfig", "ec2:ModifySnapshotAttribute", "ec2:ModifyImageAttribute",
	"ec2:DisableImageBlockPublicAccess", "ec2:DisableSnapshotBlockPublicAccess", "rds:ModifyDB*SnapshotAttribute", "ssm:ModifyDocumentPermission", "eks:CreateAccessEntry", "eks:UpdateAccessEntry",
	"eks:DeleteAccessEntry", "eks:AssociateAccessPolicy", "eks:DisassociateAccessPolicy", "eks:CreatePodIdentityAssociation", "eks:UpdatePodIdentityAssociation", "eks:AssociateIdentityProviderConfig",
}

// cloudKeys are actions of AWS whose answers are credentials, or what somebody has given as such.
var cloudKeys = []string{
	"sts:AssumeRo*", "sts:Get*Token", "iam:CreateAccessKey", "iam:CreateLoginProfile", "iam:CreateServiceSpecificCredential", "iam:Reset*", "iam:SendDelegationToken", "iam:Upload*", "s3:CreateSession",
	"ssm:GetAccessToken", "ssm:StartSession", "ssm:ResumeSession", "ssm:CreateActivation", "ecs:ExecuteCommand",
}
