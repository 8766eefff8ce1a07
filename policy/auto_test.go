package policy

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
)

func TestAutoApplies(t *testing.T) {
	monday := time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)
	alice := &proxy.Identity{Subject: "alice", Groups: []string{"oncall"}, AuthTime: monday.Add(-time.Minute), Method: proxy.MethodOIDC}
	office := Condition{
		Hours: []Hours{{Days: 0b0111110, From: 9 * 60, To: 17 * 60}}, Networks: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
		LoginWithin: time.Hour, Methods: []proxy.Method{proxy.MethodOIDC},
	}
	all := &Auto{Groups: []string{"oncall"}, When: office}
	require.True(t, all.Applies(alice, "10.1.2.3:4", monday))
	require.True(t, all.Applies(alice, "[::ffff:10.1.2.3]:4", monday))
	require.True(t, (&Auto{Max: time.Minute}).Applies(alice, "", monday), "without conditions it always does")
	for name, applies := range map[string]bool{
		"another group":   (&Auto{Groups: []string{"ops"}, When: office}).Applies(alice, "10.1.2.3:4", monday),
		"another network": all.Applies(alice, "192.0.2.1:4", monday),
		"no address":      all.Applies(alice, "", monday),
		"no port":         all.Applies(alice, "10.1.2.3", monday),
		"by night":        all.Applies(alice, "10.1.2.3:4", monday.Add(8*time.Hour)),
		"at the weekend":  all.Applies(alice, "10.1.2.3:4", monday.AddDate(0, 0, -1)),
		"a login of long": all.Applies(&proxy.Identity{Groups: alice.Groups, AuthTime: monday.Add(-time.Hour), Method: proxy.MethodOIDC}, "10.1.2.3:4", monday),
		"another login":   all.Applies(&proxy.Identity{Groups: alice.Groups, AuthTime: alice.AuthTime, Method: proxy.MethodPassword}, "10.1.2.3:4", monday),
		"an unknown one":  all.Applies(&proxy.Identity{Groups: alice.Groups}, "10.1.2.3:4", monday),
	} {
		require.False(t, applies, name)
	}
}

func TestApproversAt(t *testing.T) {
	shop := &proxy.Resource{Name: "shop", Labels: map[string]string{"owner": "payments", "contact": "user:olga", "any": "*", "none": ""}}
	require.Equal(t, []string{"ops", "payments", "user:olga"}, ApproversAt([]string{"ops", "{label.owner}", "{label.contact}"}, shop))
	require.Empty(t, ApproversAt([]string{"{label.missing}", "{label.none}"}, shop))
	require.Empty(t, ApproversAt([]string{"{label.any}"}, shop), "a label does not make everybody an approver")
	_, err := requesting(t, &ledger{}, Rule{Name: "prod", Groups: []string{"dev"}, Allow: []string{"connect"}, Request: &Request{Stages: []Stage{{Approvers: []string{"{label.owner}"}}}}})
	require.ErrorContains(t, err, "you have no access")
	var refused *proxy.RefusedError
	require.ErrorAs(t, err, &refused)
	require.Contains(t, refused.Verdict.Remedy, "with an approval of nobody.")
}

func TestRequestIsChecked(t *testing.T) {
	for says, r := range map[string]Request{
		"auto: it has no condition":                          {Auto: &Auto{}},
		"auto: got a time of 2h":                             {Auto: &Auto{Max: 2 * time.Hour}},
		"auto: the pattern of the reason":                    {Auto: &Auto{Reason: "("}},
		`auto: action "reed" is unknown`:                     {Auto: &Auto{Actions: []string{"reed"}}},
		"auto: a login cannot be -1s old":                    {Auto: &Auto{When: Condition{LoginWithin: -time.Second}}},
		"the proof of approvers: got a login of the last 1s": {Proof: Proof{Within: time.Second}},
		`the proof of approvers: "otp hwk" is not a factor`:  {Proof: Proof{Factors: []string{"otp hwk"}}},
		`approver "{owner}": want a group, user:NAME`:        {Stages: []Stage{{Approvers: []string{"{owner}"}}}},
		`approver "{label.}": want a group`:                  {Stages: []Stage{{Approvers: []string{"{label.}"}}}},
	} {
		if r.Stages == nil {
			r.Stages = []Stage{{Approvers: []string{"ops"}}}
		}
		_, err := New([]Rule{{Name: "prod", Groups: []string{"dev"}, Allow: []string{"connect"}, Request: &r}}, CarriesRequests)
		require.ErrorContains(t, err, says)
	}
}
