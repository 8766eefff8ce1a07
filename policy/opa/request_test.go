package opa

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/policy"
	"github.com/sallyport/sallyport/proxy"
)

// granting are grants of one rule.
type granting struct {
	rule    string
	actions []string
}

func (g *granting) Version() uint64 { return uint64(len(g.actions)) }

func (g *granting) Granted(_ *proxy.Session, _ *proxy.Identity, _ proxy.Target, rule string) (policy.Grant, bool) {
	return policy.Grant{ID: "r1", Until: time.Now().Add(time.Hour), Actions: g.actions}, rule == g.rule
}

func (*granting) Open(context.Context, string, *proxy.Session) error { return nil }

func (*granting) Glass(*proxy.Identity, proxy.Target, string) (policy.Grant, bool) {
	return policy.Grant{}, false
}

func (*granting) Watch(string, func(string, string)) (stop func()) { return func() {} }

// asks reads terms that have approvers alone.
func asks(terms map[string]any, actions []string, _ *proxy.Resource) (*policy.Request, error) {
	for key := range terms {
		if key != "approvers" {
			return nil, errors.New("unknown key " + key)
		}
	}
	r := &policy.Request{Connect: policy.ConnectAsk, Stages: []policy.Stage{{}}}
	list, _ := terms["approvers"].([]any)
	for _, a := range list {
		r.Stages[0].Approvers = append(r.Stages[0].Approvers, a.(string))
	}
	if slices.Contains(actions, "drop") {
		return nil, errors.New("nobody grants drop")
	}
	return r, nil
}

func asking(body string, grants policy.Grants) Config {
	c := module(body)
	c.Request, c.Grants, c.Carries, c.Decides = asks, grants, policy.CarriesRequests, true
	return c
}

// dry is a session in which nothing runs.
var dry = &proxy.Session{Identity: session.Identity, Target: session.Target, Remote: session.Remote, Dry: true}

func judgeDry(t *testing.T, p *Policy, op proxy.Op) proxy.Verdict {
	t.Helper()
	h, err := p.Intercept(t.Context(), dry)
	require.NoError(t, err)
	return h.Ask(t.Context(), op)
}

var connecting = &proxy.Connect{Meta: proxy.Meta{Kind: proxy.KindConnect}}

// TestRequest: what an answer has requested is allowed to those who were granted it, as far as that goes.
func TestRequest(t *testing.T) {
	const body = `decision := {"allow": true, "rule": "prod", "request": {"approvers": ["ops"], "actions": ["read", "insert"]}}`
	p := create(t, asking(body, &granting{}))
	rule, err := p.Requestable(t.Context(), session)
	require.NoError(t, err)
	require.Equal(t, "opa:prod", rule.Name)
	require.Equal(t, []string{"connect", "read", "insert"}, rule.Allow)
	require.False(t, p.May(t.Context(), session.Identity, session.Target))
	v := judgeDry(t, p, connecting)
	require.Equal(t, proxy.ActionHold, v.Action)
	require.Equal(t, "opa:prod", v.Hold.Access)
	require.Equal(t, [][]string{{"ops"}}, v.Hold.Approvers)

	for _, decides := range []bool{true, false} {
		c := asking(body, &granting{"opa:prod", []string{"connect", "read"}})
		c.Decides = decides
		p = create(t, c)
		require.True(t, p.May(t.Context(), session.Identity, session.Target))
		v = judgeDry(t, p, connecting)
		require.Equal(t, decides, v.Action == proxy.ActionAllow)
		require.False(t, v.Refuses())
		require.Equal(t, "r1", v.Grant, "the record has by which request")
		require.Equal(t, proxy.ActionPass, judgeDry(t, p, reading(proxy.EffectRead)).Action)
		require.Equal(t, proxy.ActionDeny, judgeDry(t, p, reading(proxy.EffectInsert)).Action, "it was not granted")
		require.Equal(t, proxy.ActionDeny, judgeDry(t, p, reading(proxy.EffectDelete)).Action, "nobody can be granted it")
	}
	// What an access rule of the same name grants is something else.
	v = judgeDry(t, create(t, asking(body, &granting{"prod", []string{"connect", "read"}})), connecting)
	require.True(t, v.Refuses())
	// What is allowed without is not asked for, and what is denied neither.
	for _, body := range []string{`decision := {"allow": true}`, `decision := {"allow": false}`} {
		rule, err := create(t, asking(body, nil)).Requestable(t.Context(), session)
		require.NoError(t, err)
		require.Nil(t, rule)
	}
	// Obligations count before anything is granted: a session is recorded from its beginning.
	c := asking(`decision := {"allow": true, "rule": "prod", "request": {"approvers": ["ops"]}, "obligations": {"recording": "full"}}`, &granting{})
	c.Carries |= policy.CarriesRecording
	o, err := create(t, c).Obligations(t.Context(), session)
	require.NoError(t, err)
	require.Equal(t, policy.RecordingFull, o.Recording)
}

// TestRequestMalformed: an answer whose request is not understood refuses, and says why.
func TestRequestMalformed(t *testing.T) {
	for _, c := range []struct{ name, body, want string }{
		{"another form", `{"allow": true, "rule": "a", "request": true}`, "request is a boolean, want an object"},
		{"denied", `{"allow": false, "rule": "a", "request": {"approvers": ["ops"]}}`, "set allow to true"},
		{"without a rule", `{"allow": true, "request": {"approvers": ["ops"]}}`, "give it one"},
		{"a key that nobody knows", `{"allow": true, "rule": "a", "request": {"approver": ["ops"]}}`, "request: unknown key approver"},
		{"nobody approves", `{"allow": true, "rule": "a", "request": {}}`, "no approvers: without them nobody can approve it"},
		{"an action that is not one", `{"allow": true, "rule": "a", "request": {"approvers": ["ops"], "actions": ["raed"]}}`, `unknown action "raed"`},
		{"no actions", `{"allow": true, "rule": "a", "request": {"approvers": ["ops"], "actions": []}}`, "leave it out"},
		{"actions are a word", `{"allow": true, "rule": "a", "request": {"approvers": ["ops"], "actions": "read"}}`, "not a list"},
		{"an action is a number", `{"allow": true, "rule": "a", "request": {"approvers": ["ops"], "actions": [1]}}`, "are not words"},
		{"actions that are refused", `{"allow": true, "rule": "a", "request": {"approvers": ["ops"], "actions": ["drop"]}}`, "nobody grants drop"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := create(t, asking("decision := "+c.body, &granting{"opa:a", []string{"all"}}))
			v := judgeDry(t, p, connecting)
			require.Equal(t, proxy.ActionDeny, v.Action)
			require.Contains(t, v.Reason, "the policy did not decide, so this is refused: its answer is not understood: ")
			require.Contains(t, v.Reason, c.want)
			_, err := p.Requestable(t.Context(), session)
			require.ErrorContains(t, err, c.want)
			require.False(t, p.May(t.Context(), session.Identity, session.Target))
			require.ErrorContains(t, p.Explain(t.Context(), session, connecting).Err, c.want)
		})
	}
	c := module(`decision := {"allow": true, "rule": "a", "request": {"approvers": ["ops"]}}`)
	v := judgeDry(t, create(t, c), connecting)
	require.Contains(t, v.Reason, "nobody takes requests for access here")
	// Terms that hang on how the client connects are not those that were asked for.
	const hangs = `decision := {"allow": true, "rule": "a", "request": {"approvers": [name]}}
name := object.get(input.operation.connect.params, "application_name", "ops")`
	h, err := create(t, asking(hangs, &granting{"opa:a", []string{"all"}})).Intercept(t.Context(), dry)
	require.NoError(t, err)
	v = h.Ask(t.Context(), &proxy.Connect{Meta: proxy.Meta{Kind: proxy.KindConnect}, Params: map[string]string{"application_name": "friends"}})
	require.Equal(t, proxy.ActionDeny, v.Action)
	require.Contains(t, v.Reason, "its request hangs on the connection's parameters")
}
