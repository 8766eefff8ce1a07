package review_test

import (
	"context"
	"fmt"
	"time"

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/proxy/proxytest"
	"github.com/sallyport/sallyport/review"
	"github.com/sallyport/sallyport/store"
)

// An operation waits until somebody else has decided about it.
func ExampleGate() {
	desk := &review.Desk{
		Store: store.NewMemory(),                                       // a database, where requests are to outlive the process
		Note:  func(context.Context, *proxy.Note) error { return nil }, // Gateway.Note, which records
	}
	if err := desk.Load(context.Background()); err != nil {
		fmt.Println(err)
		return
	}
	gate := &review.Gate{Desk: desk, Operation: func(_ *proxy.Session, op proxy.Op) *proxy.Hold {
		if op.Info().Kind != proxy.KindStatement {
			return nil
		}
		return &proxy.Hold{Rules: []string{"changes"}, Approvers: [][]string{{"ops"}}, Message: "changes are looked at by another", For: time.Hour}
	}}
	s, err := proxytest.Open(&proxy.Gateway{Reviewer: gate}, gate)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close(nil)
	waits := make(chan string, 1)
	s.Handle(func(_ proxy.Op, p *proxy.Pending) { waits <- p.ID }, nil)
	go func() { // another person, somewhere else
		r, err := desk.Get(context.Background(), <-waits)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(r.Requester, "asks:", r.Text)
		bob := &proxy.Identity{Subject: "bob", Groups: []string{"ops"}}
		if _, err := desk.Approve(context.Background(), r.ID, review.Vote{By: bob, Hash: r.Hash, Channel: "example"}, review.Narrow{}); err != nil {
			fmt.Println(err)
		}
	}()
	op := proxytest.Statement("DELETE FROM orders WHERE id = 7", proxy.EffectDelete)
	fmt.Println(s.Ask(context.Background(), op).Action)
	s.Done(op, &proxy.Outcome{})
	// Output:
	// alice asks: DELETE FROM orders WHERE id = 7
	// allow
}
