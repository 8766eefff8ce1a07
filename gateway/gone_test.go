package gateway

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/review"
	"github.com/sallyport/sallyport/revision"
)

// becomes waits until a request is in a state.
func (h *house) becomes(t *testing.T, id string, state review.State, reason string) {
	t.Helper()
	require.Eventually(t, func() bool {
		r, err := h.desk.Get(t.Context(), id)
		return err == nil && r.State == state && strings.Contains(r.Reason, reason)
	}, 20*time.Second, 20*time.Millisecond, state)
}

// TestRequestsOfWhatIsGone: requests about a resource, a rule or a user that a file had end when it has them no more, and what comes under
// the name later gets nothing by them. What another gateway has ends nowhere.
func TestRequestsOfWhatIsGone(t *testing.T) {
	one, two, text := openPair(t, onRequest("{approvers: [\"local:ops\"]}"))
	without := strings.NewReplacer("{name: shop,", "{name: shop2,", "resources: [shop]", "resources: [shop2]").Replace(text)
	moved := strings.Replace(text, "type: postgres, address: \"", "type: postgres, address: \"moved.", 1)
	for name, c := range map[string]struct{ file, reason string }{
		"a resource":             {without, "resource shop is not there any more"},
		"a resource that moves":  {moved, "resource shop is another by now"},
		"a rule":                 {strings.Replace(text, "name: prod", "name: other", 1), "rule prod does not grant access to shop on request any more"},
		"a rule without request": {text[:strings.Index(text, "access:")] + "access: [{name: prod, groups: [dev], resources: [shop], allow: [connect, read]}]\n", "rule prod does not grant"},
		"a user":                 {strings.Replace(text, "{name: alice,", "{name: bob,", 1), "alice is not there any more"},
	} {
		t.Run(name, func(t *testing.T) {
			require.NotEqual(t, text, c.file)
			granted := one.requests(t, time.Hour, time.Time{})
			one.approve(t, granted)
			waits := one.requests(t, time.Minute, time.Time{})
			for _, id := range []string{granted, waits} {
				require.NoError(t, two.desk.Follow(t.Context(), id))
			}
			require.NoError(t, two.Apply(two.file(t, text)))
			require.NoError(t, one.Apply(one.file(t, c.file)))
			one.becomes(t, granted, review.Revoked, c.reason)
			one.becomes(t, waits, review.Cancelled, c.reason)
			require.NoError(t, one.Apply(one.file(t, text)))
			_, _, _, ok := one.desk.Granted(&proxy.Identity{Subject: "alice"}, one.target(t), "prod")
			require.False(t, ok)
		})
	}

	// A gateway whose file does not have it yet, or not any more, ends nothing by that.
	require.NoError(t, two.Apply(two.file(t, without)))
	id := one.requests(t, time.Hour, time.Time{})
	require.NoError(t, two.desk.Follow(t.Context(), id))
	require.NoError(t, two.Apply(two.file(t, without+"# later\n")))
	one.approve(t, id)
	time.Sleep(3 * time.Second) // in which the other would have ended it
	one.becomes(t, id, review.Approved, "")
}

func (h *house) target(t *testing.T) proxy.Target {
	t.Helper()
	target, err := h.Target("shop", "", "")
	require.NoError(t, err)
	return target
}

// TestRequestsOfTheDisabled: what somebody was granted does not come back when she is disabled and enabled again, whichever gateway does
// it.
func TestRequestsOfTheDisabled(t *testing.T) {
	one, two, text := openPair(t, onRequest("{approvers: [\"local:ops\"]}"))
	for name, disable := range map[string]func(){
		"by an administrator": func() {
			_, err := two.proofs.members.Disable(t.Context(), "alice")
			require.NoError(t, err)
		},
		"by the file": func() {
			require.NoError(t, one.Apply(one.file(t, strings.Replace(text, "{name: alice,", "{name: alice, disabled: true,", 1))))
		},
	} {
		t.Run(name, func(t *testing.T) {
			id := one.requests(t, time.Hour, time.Time{})
			one.approve(t, id)
			require.NoError(t, two.desk.Follow(t.Context(), id))
			disable()
			one.becomes(t, id, review.Revoked, "alice is disabled")
			_, err := two.proofs.members.Enable(t.Context(), "alice")
			require.NoError(t, err)
			require.NoError(t, one.Apply(one.file(t, text)))
			one.becomes(t, id, review.Revoked, "alice is disabled")
		})
	}
}

// TestRequestsOfAResourceMadeAgain: what was granted at a resource of the store does not count at the one that is made under its name
// after it was deleted, also where a gateway sees both changes as one.
func TestRequestsOfAResourceMadeAgain(t *testing.T) {
	one, _, _ := openPair(t, "access: [{name: prod, groups: [dev], resources: [later], allow: [connect, read], request: {approvers: [\"local:ops\"]}}]\nobjects: {approval: never}\n")
	resource := fmt.Sprintf("resources: [{name: later, type: postgres, address: %q, username: a}]", "192.0.2.1:5432")
	one.change(t, resource)
	at, err := one.Target("later", "", "")
	require.NoError(t, err)
	require.False(t, at.Resource.Made.IsZero())
	alice := &proxy.Identity{Subject: "alice", Groups: []string{"dev"}}
	ask := func() *review.Request {
		terms, err := one.requestable(t.Context(), alice, "", "later", "")
		require.NoError(t, err)
		r, err := one.desk.Ask(t.Context(), alice, review.Ask{Resource: "later", Terms: terms[0], Reason: "INC-1"})
		require.NoError(t, err)
		return r
	}
	granted := ask()
	one.approve(t, granted.ID)
	waits := ask()
	_, _, _, ok := one.desk.Granted(alice, at, "prod")
	require.True(t, ok)
	one.change(t, strings.Replace(resource, "username: a", "username: b", 1))
	at, err = one.Target("later", "", "")
	require.NoError(t, err)
	_, _, _, ok = one.desk.Granted(alice, at, "prod")
	require.True(t, ok, "it is the same, changed")

	_, err = one.try(t, "", revision.Key{Kind: "resource", Name: "later"})
	require.NoError(t, err)
	one.change(t, resource)
	at, err = one.Target("later", "", "")
	require.NoError(t, err)
	_, _, _, ok = one.desk.Granted(alice, at, "prod")
	require.False(t, ok)
	one.becomes(t, granted.ID, review.Revoked, "resource later is ")
	one.becomes(t, waits.ID, review.Cancelled, "resource later is ")
}
