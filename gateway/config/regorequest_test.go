package config

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/policy"
	"github.com/sallyport/sallyport/proxy"
)

// regoHouse is a file that requests of a policy in Rego may refer to.
func regoHouse() *File {
	return &File{
		references: make(map[string]bool),
		Identity:   Identity{Users: []User{{Name: "olga", Groups: []string{"ops"}, Password: "x"}}, Providers: []Provider{{Name: "entra"}}},
		OnCall:     []OnCall{{Name: "payments"}},
	}
}

var regoShop = &proxy.Resource{Name: "shop", Type: "postgres", Labels: map[string]string{"owner": "entra:shop"}}

// TestRegoRequest: a policy in Rego says of a request what an access rule says, by the same keys.
func TestRegoRequest(t *testing.T) {
	read := func(text string) (*policy.Request, error) {
		var terms map[string]any
		d := json.NewDecoder(strings.NewReader(text))
		d.UseNumber()
		require.NoError(t, d.Decode(&terms))
		return regoHouse().regoRequest(terms, []string{"connect", "read"}, regoShop)
	}
	r, err := read(`{
		"stages": [{"approvers": ["ops"], "need": 2}, {"approvers": ["user:olga", "{label.owner}", "oncall:payments"]}],
		"for": "30m", "max": "8h", "decide": "4h", "reason": "INC-[0-9]+", "message": "why: \u2028 <b>", "uses": 2, "reuse": "10m",
		"escalate": [{"after": "50%", "approvers": ["entra:leads"]}], "min_auth": {"factors": ["otp"], "login_within": "15m"},
		"auto": {"groups": ["ops"], "when": {"networks": ["10.0.0.0/8"]}, "max": "10m", "actions": ["read"]}}`)
	require.NoError(t, err)
	require.Equal(t, []policy.Stage{{Approvers: []string{"ops"}, Need: 2}, {Approvers: []string{"user:olga", "{label.owner}", "oncall:payments"}}}, r.Stages)
	require.Equal(t, 30*time.Minute, r.For)
	require.Equal(t, 8*time.Hour, r.Max)
	require.Equal(t, "why: \u2028 <b>", r.Message)
	require.Equal(t, 2, r.Uses)
	require.Equal(t, []policy.Escalation{{After: 50, Approvers: []string{"entra:leads"}}}, r.Escalate)
	require.Equal(t, policy.Proof{Factors: []string{"otp"}, Within: 15 * time.Minute}, r.Proof)
	require.Equal(t, 10*time.Minute, r.Auto.Max)
	require.Equal(t, policy.ConnectRefuse, r.Connect, "who connects gives no reason")

	for name, c := range map[string]struct{ text, want string }{
		"a key that is not known":       {`{"approvrs": ["ops"]}`, `unknown key "request.approvrs" (did you mean "approvers"?)`},
		"a key of a stage":              {`{"stages": [{"approvers": ["ops"], "votes": 2}]}`, `unknown key "request.stages[0].votes"`},
		"a key in another case":         {`{"Approvers": ["ops"]}`, `unknown key "request.Approvers"`},
		"a group without members":       {`{"approvers": ["opps"]}`, `names group "opps", which has no members`},
		"a group of no provider":        {`{"approvers": ["okta:ops"]}`, `names group "okta:ops"`},
		"a user who is not there":       {`{"approvers": ["user:otto"]}`, `user "otto", who does not exist`},
		"everybody of nobody":           {`{"approvers": ["user:*"]}`, `user "*", who does not exist`},
		"a list that is not there":      {`{"approvers": ["oncall:shop"]}`, `those on call at "shop"`},
		"a label that is not there":     {`{"approvers": ["{label.team}"]}`, "has no label for the approvers"},
		"braces":                        {`{"approvers": ["{team}"]}`, `"{team}" is not an approver`},
		"escalated to nobody known":     {`{"approvers": ["ops"], "escalate": [{"after": "50%", "approvers": ["leads"]}]}`, `group "leads"`},
		"automatic for nobody known":    {`{"approvers": ["ops"], "auto": {"groups": ["leads"]}}`, `group "leads"`},
		"no time":                       {`{"approvers": ["ops"], "max": "long"}`, "request.max must be a time such as 30s, 15m or 8h"},
		"a negative time":               {`{"approvers": ["ops"], "max": "-1h"}`, "request.max must be a time"},
		"a time that is a number":       {`{"approvers": ["ops"], "max": 3600}`, "max is a number, want a string"},
		"a number that is text":         {`{"approvers": ["ops"], "need": "2"}`, "need is a string, want a number"},
		"a list that is a word":         {`{"approvers": "ops"}`, "approvers is a string, want a list"},
		"a group that is a number":      {`{"approvers": [1]}`, "approvers[0] is a number, want a string"},
		"null":                          {`{"approvers": ["ops"], "max": null}`, "max is null, want a string"},
		"null in the place of a part":   {`{"approvers": ["ops"], "break_glass": null}`, "break_glass is null, want an object"},
		"half a person":                 {`{"approvers": ["ops"], "need": 1.5}`, "request.need must be a number"},
		"a boolean in the place of one": {`{"approvers": ["ops"], "wait": true}`, "wait is a boolean, want a string"},
		"words that are not known":      {`{"approvers": ["ops"], "connect": "asks"}`, `"asks" is unknown`},
		"no uses":                       {`{"approvers": ["ops"], "uses": 0}`, "got 0, want a number of sessions"},
		"both":                          {`{"approvers": ["ops"], "stages": [{"approvers": ["ops"]}]}`, "write all of them as stages"},
		"waiting without a reason":      {`{"approvers": ["ops"], "reason": "INC", "wait": "2m"}`, "who connects gives no reason"},
		"nobody would be told":          {`{"approvers": ["ops"], "break_glass": {"groups": ["ops"]}}`, "nobody would be told"},
		"offline grants":                {`{"approvers": ["ops"], "break_glass": {"groups": ["ops"], "offline": true}}`, "offline grants are for access rules"},
		"actions that are not allowed":  {`{"approvers": ["ops"], "auto": {"actions": ["write"]}}`, `does not allow "write"`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := read(c.text)
			require.ErrorContains(t, err, c.want)
		})
	}
	// Nothing of the file is changed by what answers name, which come at any time.
	f := regoHouse()
	f.ObjectRules.Line = 1
	_, err = f.regoRequest(map[string]any{"approvers": []any{"opps"}}, []string{"connect"}, regoShop)
	require.ErrorContains(t, err, `group "opps"`, "also where rules may name what is made later")
	require.Empty(t, f.references)
	require.Empty(t, f.gone)
}
