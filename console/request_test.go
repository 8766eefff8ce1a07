package console_test

import (
	"encoding/base64"
	"fmt"
	"testing"
	"time"

	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/identity/identitytest"
	"github.com/sallyport/sallyport/internal/browsertest"
)

// slide sets a slider to its nth place.
func slide(b *browsertest.Browser, id string, place int) {
	b.Until(id, fmt.Sprintf("document.getElementById(%q)", id))
	b.Eval(fmt.Sprintf(`(() => { const s = document.getElementById(%q); s.value = "%d"; s.dispatchEvent(new Event("input", {bubbles: true})); return true; })()`, id, place))
}

// TestTermsInBrowser: what is asked for is changed while it waits, an approver proposes something else and the requester makes it her
// request, and more time is asked for when it is granted; each by the keyboard too, and whatever they write is text.
func TestTermsInBrowser(t *testing.T) {
	h := open(t, "")
	id := h.as(t, "alice").asks("vm1", "INC-1 the queue")
	alice, olga := h.browser(t, "alice"), h.browser(t, "olga")
	page := h.url + "/requests/" + id

	alice.Go(page)
	alice.Click("button", "Change the request")
	alice.Has("field", "Reason")
	slide(alice, "edit-for", 0)
	alice.Sees("For 5 min")
	alice.Fill("Reason", "INC-1 "+hostile[0])
	look(alice, "edit")
	alice.Press("\t\t\r") // over what begins it later
	alice.Sees("Changed.")
	alice.Has("heading", "5 min of access")
	alice.Sees(hostile[0])

	olga.Go(page)
	olga.Sees(hostile[0])
	olga.Click("button", "Propose other terms")
	slide(olga, "propose-for", 1)
	olga.Click("any", "shell")
	olga.Fill("Why", "a command will do "+hostile[4])
	look(olga, "propose")
	olga.Click("button", "Propose it")
	olga.Sees("not accepted yet")
	look(olga, "proposed")

	alice.Sees("Proposed instead")
	alice.Sees(hostile[4])
	alice.Click("button", "Make it my request")
	alice.Has("heading", "15 min of access")
	alice.SeesNot("Proposed instead")
	olga.Has("heading", "15 min of access")
	olga.Click("button", "Approve")
	alice.Sees("alice may connect, exec at vm1 until")

	alice.Click("button", "Ask for more time")
	alice.Fill("Reason", "INC-1 "+hostile[1])
	look(alice, "extend")
	alice.Click("button", "Ask")
	alice.Sees("Goes on after")
	alice.Sees(hostile[1])
	alice.Until("that nothing of it runs", "!window.pwned")
	olga.Go(h.url + "/")
	olga.Sees(hostile[1])
	olga.Until("that nothing of it runs", "!window.pwned")
}

// TestGlassInBrowser: somebody takes access without an approval by her page, once she has proven herself by a second factor; the page is
// loud about it, and another one reviews it.
func TestGlassInBrowser(t *testing.T) {
	t.Setenv("NOTIFY_KEY", "whsec_"+base64.StdEncoding.EncodeToString(make([]byte, 32)))
	h := open(t, "notify: [{name: chat, type: webhook, url: \"https://127.0.0.1:9\", keys: [\"env:NOTIFY_KEY\"], private: true}]", `
  - {name: emergencies, groups: [dev], resources: [reports], allow: [connect, read], request: {approvers: [ops], break_glass: {groups: [dev], max: 30m}}}`)
	b, olga := h.browser(t, "alice"), h.browser(t, "olga")
	ask := func(path, body string) string {
		t.Helper()
		return browsertest.Eval[string](b, fmt.Sprintf(`fetch(%q, {method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify(%s)}).then((r) => r.json()).then((a) => a.error?.message ?? a.url ?? "")`, path, body))
	}
	b.Go(h.url + "/connections/reports?ask=1")
	b.Has("button", "Break the glass")
	b.Fill("Reason", "everything is down "+hostile[0])
	b.Click("button", "Break the glass")
	b.Sees("Until then you cannot do this again, anywhere")
	look(b, "glass")
	b.Press(kb.Escape)
	b.Until("the end of the dialog", `!document.querySelector("dialog[open]")`)
	b.Click("button", "Break the glass")
	b.Click("any", "This cannot wait for an approval, and I answer for it")
	b.Click("button", "Take access now")
	b.Sees("needs a login with a second factor")
	b.Accessible("glass, proving")
	app := identitytest.NewApp(t, ask("/v1/me/totp", `{password: "wonder"}`))
	ask("/v1/me/totp/confirm", fmt.Sprintf(`{code: %q}`, app.Code(time.Now())))
	b.Fill("Code", app.Code(time.Now().Add(30*time.Second))) // the one before counts once
	b.Press("\r")
	b.Sees("has taken access without an approval")
	b.Sees(hostile[0])
	look(b, "glass-taken")

	b.Click("button", "End my access")
	b.Sees("waits for somebody of ops")
	olga.Go(h.url + "/")
	olga.Sees("to be reviewed")
	look(olga, "home-review")
	olga.Click("link", "alice at reports")
	olga.Fill("Why", "it was down "+hostile[2])
	look(olga, "review")
	olga.Click("button", "In order")
	olga.Sees("it was in order")
	b.Sees("it was in order")
	b.Sees(hostile[2])
	for _, b := range []*browsertest.Browser{b, olga} {
		require.False(t, browsertest.Eval[bool](b, "!!window.pwned"))
	}
}
