package console_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/browsertest"
	"github.com/sallyport/sallyport/internal/testserver"
)

// TestPolicyInBrowser: an administrator asks what somebody may do, and why; tries a draft on what is on record; makes an object of it once
// she has seen what would change, and another one approves it. What is written is text, and mistakes are told.
func TestPolicyInBrowser(t *testing.T) {
	h := openAt(t, testserver.FreeAddress(t), "", "\n    - {name: ben, groups: [admins], password: "+verifierOf(t)+"}", "objects: {approval: weakening}")
	c := h.psql(t, "alice", "orders")
	for range 3 {
		_, err := c.Exec(t.Context(), "SELECT email FROM customers WHERE id = 1").ReadAll()
		require.NoError(t, err)
	}
	require.NoError(t, c.Close(t.Context()))
	ada, ben := h.browser(t, "ada"), h.browser(t, "ben")

	ada.Go(h.url + "/policy")
	ada.Fill("User", "zoe"+hostile[0])
	ada.Fill("Groups", "dev")
	ada.Fill("Resource", "orders")
	ada.Fill("Statement or command", "DELETE FROM customers WHERE id = 7")
	ada.Click("button", "Ask the gateway")
	ada.Sees("held for approval")
	ada.Sees("changes of the shop are looked at by another")
	ada.Fill("Groups", "nobody")
	ada.Click("button", "Ask the gateway")
	ada.Sees("denied")

	draft := "guardrails:\n  - {name: no-mail, deny: {effects: [read]}, message: nobody reads these}\n"
	ada.Fill("Draft", "resources: [{name: x, type: ssh, address: \"127.0.0.1:1\", username: x, password: \"vault:x\"}]")
	ada.Click("button", "Judge it again")
	ada.Sees("and not resource")
	ada.Fill("Draft", draft)
	ada.Click("button", "Judge it again")
	ada.Sees("3 operations of 1 person")
	look(ada, "policy")

	ada.Go(h.url + "/configuration/edit")
	ada.Fill("Objects", "guardrails:\n  - {name: "+hostile[0]+"\n")
	ada.Click("button", "Show what would change")
	ada.Has("any", "text:")
	look(ada, "edit-problem")
	ada.Fill("Objects", "access:\n  - {name: more, groups: [dev], resources: [reports], allow: [connect, read]}\n")
	ada.Click("button", "Show what would change")
	ada.Sees("needs another person")
	ada.Fill("Reason", "ticket 7")
	look(ada, "edit-object")
	ada.Click("button", "Propose it")
	ada.Has("dialog", "Change 1")
	ben.Go(h.url + "/configuration?view=history&revision=1")
	ben.Click("button", "Approve")
	ben.Sees("Applied.")
	ada.Go(h.url + "/configuration/edit?kind=access&name=more")
	ada.Has("heading", "access more")
	ada.Click("button", "Show what would change")
	ada.Sees("Nothing would change") // it is written as it is read
	ada.Go(h.url + "/configuration/edit?kind=access&name=readers")
	ada.Sees("It is in the config file")

	ada.Go(h.url + "/configuration?kind=resource&name=orders")
	ada.Click("button", "Test the connection")
	ada.Sees("log in")
	look(ada, "test")
	require.False(t, browsertest.Eval[bool](ada, "!!window.pwned"))
}
