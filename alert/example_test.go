package alert_test

import (
	"fmt"
	"time"

	"github.com/sallyport/sallyport/alert"
)

// What a rule would do with events is known before it is used.
func ExampleRule_Try() {
	rule := alert.Rule{Name: "refusals", Events: []string{"operation.refused"}, Each: alert.EachUser, Count: 3, Within: 10 * time.Minute, Channels: []string{"mails"}}
	if err := rule.Valid(); err != nil {
		panic(err)
	}
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	var events []alert.Seen
	for i := range 6 {
		events = append(events, alert.Seen{Type: "operation.refused", User: []string{"alice", "bob"}[i%2], At: at.Add(time.Duration(i) * time.Minute), Count: 1})
	}
	tried := rule.Try(events[:5])
	fmt.Println(tried.Fitted, "events,", tried.Fired, "alert, because of", tried.Firings[0].Alert.User)
	// Output: 5 events, 1 alert, because of alice
}
