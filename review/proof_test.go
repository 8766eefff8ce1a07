package review

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/store"
)

// TestProof: an approval counts of those alone who have proven themselves as the rule wants it, where they approve.
func TestProof(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := openDesk(t, store.NewMemory(), everybody())
		strict := terms
		strict.Proof = Proof{Factors: []string{"hwk", "otp"}, Within: 900}
		time.Sleep(time.Hour)
		d.touches(t)
		r := d.asks(t, strict, nil)
		require.Contains(t, r.Lines(), "proven by   a login with hwk or otp of the last 15m0s\n")
		proven := func(factors string, age time.Duration) Vote {
			v := d.vote(r, "olga")
			by := *v.By
			by.Claims, by.AuthTime = map[string]string{"amr": factors}, time.Now().Add(-age)
			v.By, v.Proven = &by, true
			return v
		}
		unproven := proven("pwd otp mfa", time.Minute)
		unproven.Proven = false // such as in a chat
		never := proven("otp", 0)
		never.By.AuthTime = time.Time{}
		for says, v := range map[string]Vote{
			"approve where you log in":         unproven,
			"got a login with pwd, want":       proven("pwd", time.Minute),
			"got a login with nothing that is": proven("", time.Minute),
			"got a login with pwd and xotp":    proven("pwd xotp", time.Minute),
			"want a login of the last 15m0s: ": proven("otp", 15*time.Minute),
			"want a login of the last 15m0s":   never,
		} {
			_, err := d.Approve(t.Context(), r.ID, v, Narrow{})
			require.ErrorIs(t, err, ErrProof)
			require.ErrorContains(t, err, says)
		}
		got, err := d.Approve(t.Context(), r.ID, proven("pwd otp mfa", 14*time.Minute), Narrow{})
		require.NoError(t, err)
		require.Equal(t, Approved, got.State)
		require.Equal(t, "pwd otp mfa", got.Access.Votes[0].Factors)
		require.WithinDuration(t, time.Now().Add(-14*time.Minute), got.Access.Votes[0].Proven, time.Second)

		r = d.asks(t, strict, func(a *Ask) { a.For = time.Minute })
		_, err = d.Deny(t.Context(), r.ID, d.vote(r, "olga"))
		require.NoError(t, err, "what gives nothing asks for nothing")
	})
}

// TestPersonApproves: an approver can be one person, whatever groups have her name.
func TestPersonApproves(t *testing.T) {
	d := openDesk(t, store.NewMemory(), everybody())
	owned := terms
	owned.Stages = []Stage{{Approvers: []string{"user:olga"}, Need: 1}}
	r := d.asks(t, owned, nil)
	v := d.vote(r, "eve")
	by := *v.By
	by.Groups = []string{"user:olga", "olga"}
	v.By = &by
	_, err := d.Approve(t.Context(), r.ID, v, Narrow{})
	require.ErrorIs(t, err, ErrIneligible)
	_, err = d.Approve(t.Context(), r.ID, d.vote(r, "otto"), Narrow{})
	require.ErrorIs(t, err, ErrIneligible)
	_, err = d.Approve(t.Context(), r.ID, d.vote(r, "olga"), Narrow{})
	require.NoError(t, err)
	require.False(t, Among([]string{"user:"}, &proxy.Identity{}))

	nobody := terms
	nobody.Stages = []Stage{{Approvers: nil, Need: 1}}
	_, err = d.Ask(t.Context(), d.people.ids["alice"], Ask{Resource: "vm1", Terms: nobody, Reason: "x"})
	require.ErrorContains(t, err, "rule prod has no approvers at vm1")
}

// TestCreators: who has made a service, or its access token, does not decide about what it asks for.
func TestCreators(t *testing.T) {
	d := openDesk(t, store.NewMemory(), everybody())
	service := &proxy.Identity{Subject: "deploy", Kind: proxy.Service, Groups: []string{"dev"}, Claims: map[string]string{"creator": "olga", "token_creator": "both"}}
	r, err := d.Ask(t.Context(), service, Ask{Resource: "vm1", Terms: terms, Reason: "x"})
	require.NoError(t, err)
	require.Equal(t, []string{"olga", "both"}, r.Creators)
	for _, by := range r.Creators {
		_, err = d.Approve(t.Context(), r.ID, d.vote(r, by), Narrow{})
		require.ErrorIs(t, err, ErrOwn, by)
		require.False(t, r.ApproverOf(d.people.ids[by]))
	}
	_, err = d.Approve(t.Context(), r.ID, d.vote(r, "otto"), Narrow{})
	require.NoError(t, err)
}

// TestTarget: what was granted at a resource is not at another that has its name.
func TestTarget(t *testing.T) {
	d := openDesk(t, store.NewMemory(), everybody())
	at := vm
	at.Resource = &proxy.Resource{Name: "vm1", Type: "ssh", Address: "vm1.internal:22"}
	bound := terms
	bound.Target = TargetOf(at.Resource)
	r := d.asks(t, bound, nil)
	_, err := d.Approve(t.Context(), r.ID, d.vote(r, "olga"), Narrow{})
	require.NoError(t, err)
	_, _, _, ok := d.Granted(d.people.ids["alice"], at, "prod")
	require.True(t, ok)
	for _, other := range []proxy.Resource{{Name: "vm1", Type: "ssh", Address: "other:22"}, {Name: "vm1", Type: "ssh", Address: "vm1.internal:22", Via: "berlin"}, {Name: "vm1", Type: "postgres", Address: "vm1.internal:22"}} {
		at.Resource = &other
		_, _, _, ok := d.Granted(d.people.ids["alice"], at, "prod")
		require.False(t, ok)
	}
	bound.Target = "another"
	require.NotEqual(t, r.ID, d.asks(t, bound, nil).ID)
}
