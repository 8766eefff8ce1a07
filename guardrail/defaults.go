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
			Message: "without a condition on a column this changes every row",
			Remedy:  "Add a WHERE that names a column.",
		},
		{
			Name: "no-drop", Effects: proxy.EffectDrop | proxy.EffectTruncate,
			Message: "DROP and TRUNCATE destroy what no rollback brings back once it is committed",
			Remedy:  "Change the schema by a migration that is reviewed, or DELETE with a WHERE.",
		},
		{
			Name: "no-grants", Effects: proxy.EffectGrant | proxy.EffectRole,
			Message: "rights, roles, owners and passwords are not changed through this gateway",
			Remedy:  "Ask an administrator of the database.",
		},
		{
			Name: "no-server-files", Effects: proxy.EffectCopyProgram | proxy.EffectOutside,
			Message: "this reaches out of the database: to the server's files, programs or network, or keeps it waiting",
			Remedy:  "Copy from or to the client instead: COPY … FROM STDIN, COPY … TO STDOUT.",
		},
		{
			Name: "no-administration", Classes: []proxy.FunctionClass{proxy.FunctionAdmin},
			Message: "functions that administer the server are not called through this gateway",
			Remedy:  "Ask an administrator of the database.",
		},
		{
			Name: "no-blind-text", Unknown: true,
			Message: "what this would do cannot be told from its text, so that no rule can judge it",
			Remedy:  "Write it as plain statements: without DO, EXECUTE or anything that is not PostgreSQL's grammar.",
		},
		{
			Name: "read-only", Labels: map[string]string{ReadOnlyLabel: "true"},
			Effects: proxy.EffectsWrite | proxy.EffectsDDL | proxy.EffectCall | proxy.EffectDo | proxy.EffectExecute | proxy.EffectLock | proxy.EffectMaintain,
			Message: "this resource is read-only",
			Remedy:  "Read, or use another resource.",
		},
		{
			Name: "read-only-settings", Labels: map[string]string{ReadOnlyLabel: "true"},
			Settings: []string{"default_transaction_read_only!=on", "transaction_read_only!=on"},
			Message:  "this resource is read-only, and its sessions stay so",
			Remedy:   "Leave the transaction's mode as it is.",
		},
		{
			Name: "no-wiping", Commands: []string{
				"rm -r /", "rm -r /*", "rm -R /", "rm -R /*", "rm --recursive /", "rm --recursive /*", "rm --no-preserve-root",
				"mkfs", "mkfs.*", "wipefs", "shred /dev/*", "dd of=/dev/*", "fdisk", "parted", "sfdisk",
			},
			Message: "this can destroy a file system or a disk",
			Remedy:  "Name the files, relative to where they are.",
		},
		{
			Name:    "no-halting",
			Message: "this stops the machine, or services of everybody on it",
			Remedy:  "Ask whoever operates it.",
			Commands: []string{
				"shutdown", "reboot", "halt", "poweroff", "init 0", "init 6", "telinit", "systemctl poweroff", "systemctl reboot",
				"systemctl halt", "killall5",
			},
		},
	}
}
