package ledger_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/sallyport/sallyport/policy"
	"github.com/sallyport/sallyport/policy/ledger"
	"github.com/sallyport/sallyport/store"
)

// Two gateways on one store give no more than the budget has.
func Example() {
	shared := store.NewMemory() // or sqlstore.OpenPostgres
	account := policy.Account{Policy: "config", Rule: "analysts", Subject: "alice", Unit: "rows", Per: 24 * time.Hour}
	for range 2 {
		gateway := ledger.New(shared) // of policy.Budgets
		s, err := gateway.Take(context.Background(), account, policy.Withdrawal{Limit: 1000, Need: 600, Want: 600})
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(s.Amount)
	}
	// Output:
	// 600
	// 400
}
