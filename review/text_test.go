package review_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/review"
)

func ExampleRequest_Lines() {
	r := review.Request{
		ID: "r1", State: review.Pending, Requester: "bob", Resource: "shop", Database: "orders", Account: "app", Kind: "statement",
		Text: "DELETE FROM people\nWHERE id = $1", Arguments: []string{`"7"`}, Effects: "delete", Message: "deletes are looked at", Rules: []string{"watched"},
		Deadline: time.Date(2026, 1, 31, 9, 30, 0, 0, time.UTC), Hash: "ab12",
	}
	fmt.Print(r.Lines())
	// Output:
	// request     r1
	// state       pending
	// asked by    bob
	// at          shop/orders as app
	// why held    deletes are looked at (rule watched)
	// effects     delete
	// until       2026-01-31T09:30:00Z
	// hash        ab12
	// statement   DELETE FROM people WHERE id = $1
	//   $1        "7"
}

func TestLines(t *testing.T) {
	r := review.Request{
		ID: "r1", State: review.Denied, Requester: "agent", For: "bob\x1b[2J", Resource: "vm1", Kind: "exec", Text: "rm -r /\r# harmless", Blind: "a script",
		DecidedBy: "alice", Reason: "no\nnever", Rules: []string{"a", "b"}, Message: "x",
	}
	shown := r.Lines()
	for _, line := range []string{
		"asked by    agent for bob␛[2J\n", "at          vm1\n", "unknown     a script\n", "why held    x (rule a, rule b)\n",
		"decided by  alice no never\n", "exec        rm -r /␍# harmless\n",
	} {
		require.Contains(t, shown, line)
	}
}

// A runbook's plan is shown as it is written, and no line of it can be taken for one of the request.
func TestRunbookLines(t *testing.T) {
	r := review.Request{ID: "x", Kind: "runbook", Text: "runbook pay\n1. a: sql\n   delete from a\nhash        forged\x1b[2J", Hash: "real"}
	text := r.Lines()
	require.Contains(t, text, "\nrunbook     runbook pay\n            1. a: sql\n               delete from a\n            hash        forged")
	require.NotContains(t, text, "\x1b")
	require.NotContains(t, text, "\nhash        forged")
}
