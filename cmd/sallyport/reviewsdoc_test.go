package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/review"
)

// TestReviewsDocument: what docs/reviews.md has people type to ask for access, to decide about it and to change it works as it is written.
func TestReviewsDocument(t *testing.T) {
	text := document(t, "docs/reviews.md")
	_, text, _ = strings.Cut(text, "## Access for a time")
	text, _, found := strings.Cut(text, "### Break-glass")
	require.True(t, found)
	var commands [][]string
	for _, m := range regexp.MustCompile("(?m)^    sallyport (.*)$|`sallyport (requests [^`]+)`").FindAllStringSubmatch(text, -1) {
		line, _, _ := strings.Cut(m[1]+m[2], "  #")
		line = strings.NewReplacer(" ID", " 4jzq7nbkw2", "WHY", `"enough"`).Replace(line)
		var words []string
		for _, w := range regexp.MustCompile(`"[^"]*"|\S+`).FindAllString(line, -1) {
			words = append(words, strings.Trim(w, `"`))
		}
		commands = append(commands, words)
	}
	require.Greater(t, len(commands), 12)

	b := openTestbed(t, "")
	b.resources = replaceOnce(t, b.resources, "name: shop", "name: orders")
	verifier, err := identity.NewVerifier("secret")
	require.NoError(t, err)
	b.serve(t, fmt.Sprintf(`identity:
  users:
    - {name: dora, groups: [dev], password: %[1]q}
    - {name: olga, groups: [ops], password: %[1]q}
access:
  - {name: prod-machines, groups: [dev], resources: [vm1], allow: [connect, exec, shell], request: {approvers: [ops], max: 8h, reason: "INC-[0-9]+"}}
  - {name: orders-writers, groups: [dev], resources: [orders], allow: [connect, read, write], request: {approvers: [ops], max: 8h}}
`, verifier))
	b.logIn(t, "dora", "olga")
	as := func(who string, args ...string) string {
		t.Helper()
		code, out, errs := sallyport(t, "", append(args, "--profile", who)...)
		require.Equal(t, exitOK, code, "%v: %s", args, errs+out)
		return out
	}
	waiting := func() []review.Request {
		return decode[listed[review.Request]](t, as("olga", "requests", "ls", "-o", "json")).Items
	}
	for _, words := range commands {
		line := strings.Join(words, " ")
		asks := words[0] == "request" && !strings.Contains(line, "--extend")
		id := ""
		if !asks {
			as("dora", "request", "orders", "--ops", "read", "--for", "1h", "--reason", "INC-4711")
			list := waiting()
			require.Len(t, list, 1, line)
			id = list[0].ID
			switch {
			case strings.Contains(line, "accept"):
				as("olga", "requests", "propose", id, "--for", "2h", "--reason", "longer")
			case strings.Contains(line, "revoke"), strings.Contains(line, "cancel"), strings.Contains(line, "--extend"):
				as("olga", "approve", id)
			}
		}
		who := "dora"
		if words[0] == "approve" || words[0] == "deny" || words[0] == "requests" && (words[1] == "propose" || words[1] == "revoke") {
			who = "olga"
		}
		for i := range words {
			words[i] = strings.Replace(words[i], "4jzq7nbkw2", id, 1)
		}
		if !strings.Contains(line, "--wait") {
			as(who, words...)
		} else {
			done := make(chan string, 1)
			go func() {
				code, out, errs := sallyport(t, "", append(words, "--profile", who)...)
				done <- fmt.Sprint(code, out, errs)
			}()
			require.Eventually(t, func() bool { return len(waiting()) == 1 }, 30*time.Second, 20*time.Millisecond)
			as("olga", "approve", waiting()[0].ID)
			require.Contains(t, <-done, "is approved")
		}
		for _, r := range slices.Backward(waiting()) { // what extends another ends with it
			as("dora", "requests", "cancel", r.ID)
		}
	}
}

// TestReviewsDocumentOperations: what docs/reviews.md has people type to decide about an operation that is held works as it is written.
func TestReviewsDocumentOperations(t *testing.T) {
	text := document(t, "docs/reviews.md")
	_, text, _ = strings.Cut(text, "\n## Operations\n")
	text, _, found := strings.Cut(text, "### Who decides")
	require.True(t, found)
	lines := regexp.MustCompile("(?m)^    sallyport (.*)$").FindAllStringSubmatch(text, -1)
	require.Len(t, lines, 4)
	o := openOffice(t, `  - {name: dev-writes, groups: [dev], resources: [shop], allow: [write]}
guardrails:
  - {use: off}
  - {name: big-changes, hold: {effects: [update, delete]}, approvers: [ops], for: 15m, message: big changes are looked at by another}
`)
	o.psql(t, "bob", "-c", "CREATE TABLE notes (text text); INSERT INTO notes VALUES ('hello')")
	for _, m := range lines {
		p := o.asks(t, "alice", "UPDATE notes SET text = 'bye'")
		id := o.waiting(t).ID
		require.Eventually(t, func() bool {
			return strings.Contains(p.shown(), "NOTICE:  big changes are looked at by another: request "+id+" is waiting for approval")
		}, 30*time.Second, 10*time.Millisecond, p.shown())
		var words []string
		for _, w := range regexp.MustCompile(`"[^"]*"|\S+`).FindAllString(strings.Replace(m[1], "4jzq7nbkw2", id, 1), -1) {
			words = append(words, strings.Trim(w, `"`))
		}
		code, out, errs := sallyport(t, password+"\n", append(words, "-c", o.config)...)
		require.Equal(t, exitOK, code, "%v: %s", words, errs+out)
		require.Contains(t, out+errs, id)
		switch words[0] {
		case "approve":
			require.NoError(t, p.Wait(), p.shown())
			require.Contains(t, p.shown(), "UPDATE 1")
		case "deny":
			require.Error(t, p.Wait())
			require.Contains(t, p.shown(), "bob denied request "+id+": not on a friday")
		default:
			p.Process.Kill()
			p.Wait()
			require.Eventually(t, func() bool { return o.shows(t, id).State != review.Pending }, 30*time.Second, 20*time.Millisecond)
		}
	}
}
