package review_test

import (
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/review"
	"github.com/sallyport/sallyport/review/reviewtest"
)

func TestHeadlines(t *testing.T) {
	for event, want := range map[string]string{
		"asked":     "alice asks for access to orders",
		"voted":     "carol approved the request of alice for access to orders, which needs more approvals",
		"approved":  "bob approved the request of alice for access to orders",
		"denied":    "bob denied the request of alice for access to orders",
		"cancelled": "the request of alice for access to orders was cancelled",
		"expired":   "nobody decided in time about the request of alice for access to orders",
		"revoked":   "the request of alice for access to orders was approved, and is revoked",
		"ended":     "the request of alice for access to orders was approved, and has ended",
		"lapsed":    "the request of alice for access to orders was approved, and was not there any more",
		"moved":     "the request of alice for access to orders: moved",
	} {
		n := reviewtest.Notice("n", event)
		n.Request.Access.Votes = []review.VoteRecord{{By: "dev/1", Name: "carol"}}
		require.Equal(t, want, n.Headline())
	}
	n := reviewtest.Notice("n", review.Asked)
	n.Request.Access, n.Request.For = nil, "dave"
	require.Equal(t, "alice for dave waits for an approval at orders", n.Headline())
}

// TestFacts: what an operation would do is told with details only, and everything is on one line that shows what it is.
func TestFacts(t *testing.T) {
	value := func(n *review.Notice, details bool, name string) string {
		for _, f := range n.Facts(details) {
			if f.Name == name {
				return f.Value
			}
		}
		return ""
	}
	n := reviewtest.Notice("n", review.Asked)
	require.Equal(t, "orders as writer", value(n, false, "at"))
	require.Equal(t, "connect, write", value(n, false, "wants"))
	require.Equal(t, "INC-4711: repair the order of Mrs. Smith", value(n, false, "reason"))
	require.Equal(t, "oncall", value(n, false, "who decides"))
	require.Equal(t, "bob", value(reviewtest.Notice("n", "denied"), false, "decided by"))
	require.Empty(t, value(reviewtest.Notice("n", "denied"), false, "who decides"))
	n.Request.Access, n.Request.Kind, n.Request.Text = nil, "statement", "DELETE FROM orders"
	require.Empty(t, value(n, false, "statement"))
	require.Equal(t, "DELETE FROM orders", value(n, true, "statement"))

	hostile := reviewtest.Hostile()
	all := hostile.Headline()
	for _, f := range hostile.Facts(true) {
		require.LessOrEqual(t, len(f.Value), 2100)
		all += f.Value
	}
	require.False(t, strings.ContainsFunc(all, func(r rune) bool { return unicode.IsControl(r) || r == '\u202e' }), "%q", all)
	require.Less(t, len(hostile.Headline()), 600)
}
