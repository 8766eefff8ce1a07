package config

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/policy"
)

// requested parses a file with a rule of a request.
func requested(request string) (*File, error) {
	return Parse("x.yaml", []byte(documented+"access:\n  - {name: prod, groups: [dev], resources: [orders], allow: [connect, read, write], request: "+request+"}\n"), options())
}

func TestRequestAuto(t *testing.T) {
	f, err := requested(`{approvers: [dba], max: 8h, min_auth: {factors: [otp, hwk], login_within: 15m},
    auto: {groups: [oncall], when: {networks: [10.0.0.0/8], hours: [{days: [mon-fri], zone: UTC}]}, reason: "INC-[0-9]+", max: 30m, actions: [read]}}`)
	require.NoError(t, err)
	p, err := f.Policy()
	require.NoError(t, err)
	r := p.Rule("prod").Request
	require.Equal(t, policy.Proof{Factors: []string{"otp", "hwk"}, Within: 15 * time.Minute}, r.Proof)
	require.Equal(t, []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, r.Auto.When.Networks)
	require.Len(t, r.Auto.When.Hours, 1)
	r.Auto.When = policy.Condition{}
	require.Equal(t, &policy.Auto{Groups: []string{"oncall"}, Reason: "INC-[0-9]+", Max: 30 * time.Minute, Actions: []string{"read"}}, r.Auto)
}

// TestRequestProblems: what a request cannot mean is named by line and key, with what to do.
func TestRequestProblems(t *testing.T) {
	for request, want := range map[string]string{
		"{approvers: [dba], auto: {}}":                                               "request.auto is empty",
		"{approvers: [dba], auto: {groups: [nobody]}}":                               `the rule names group "nobody", which has no members`,
		"{approvers: [dba], auto: {actions: [drop]}}":                                `access: request: auto: the rule does not allow "drop", so it cannot grant it`,
		"{approvers: [dba], auto: {actions: [reed]}}":                                `(did you mean "read"?)`,
		"{approvers: [dba], auto: {max: 2h}}":                                        "request: auto: got a time of 2h, want at most the 1h that may be asked for",
		"{approvers: [dba], auto: {when: {networks: [office]}}}":                     `access: request.auto.when: "office" is not a network`,
		"{approvers: [dba], auto: {reason: '('}}":                                    "request: auto: the pattern of the reason",
		"{approvers: [dba], min_auth: {}}":                                           "request.min_auth is empty",
		"{approvers: [dba], min_auth: {login_within: 0s}}":                           "access: request.min_auth.login_within: got 0",
		"{approvers: [dba], min_auth: {factors: ['a b']}}":                           `request: the proof of approvers: "a b" is not a factor`,
		"{approvers: ['user:carol']}":                                                `an approver is user "carol", who does not exist`,
		"{approvers: ['user:*']}":                                                    `an approver is user "*", who does not exist`,
		"{approvers: ['{label.owner}']}":                                             "access: request: resource orders has no label for the approvers [{label.owner}], so nobody could approve (add the label to the resource",
		"{approvers: ['{label.env}']}":                                               `the rule names group "prod", which has no members`,
		"{approvers: ['{owner}']}":                                                   `"{owner}" is not an approver (write a group, user:NAME, or in a request {label.NAME})`,
		"{approvers: [dba], escalate: [{after: 50, approvers: [dba]}]}":              `access: request: escalate: after: got "50", want 1% to 99% of the time to decide (write after: 50%)`,
		"{approvers: [dba], escalate: [{after: 100%, approvers: [dba]}]}":            `after: got "100%"`,
		"{approvers: [dba], escalate: [{after: 50%}]}":                               "it is escalated to nobody",
		"{approvers: [dba], escalate: [{after: 50%, approvers: [ops]}]}":             `the rule names group "ops", which has no members`,
		"{approvers: [dba], escalate: [{after: 50%, approvers: ['user:alice']}]}":    "",
		"{approvers: [dba], uses: 0}":                                                "access: request.uses: got 0, want a number of sessions",
		"{approvers: [dba], uses: 1000}":                                             "it opens 1000 sessions, want at most 100",
		"{approvers: [dba], reuse: 0s}":                                              "access: request.reuse: got 0",
		"{approvers: [dba], reuse: -1m}":                                             "reuse",
		"{approvers: ['user:bob']}":                                                  "",
		"{approvers: ['{label.owner}', dba]}":                                        "",
		"{approvers: ['*'], min_auth: {factors: [otp]}, auto: {actions: [connect]}}": "",
	} {
		_, err := requested(request)
		if want == "" {
			require.NoError(t, err, request)
			continue
		}
		require.ErrorContains(t, err, want, request)
	}
}
