package review_test

import (
	"context"
	"fmt"

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/proxy/proxytest"
	"github.com/sallyport/sallyport/review"
	"github.com/sallyport/sallyport/store"
)

// hold has every statement approved by somebody of the group ops.
type hold struct{}

func (hold) Name() string { return "hold" }

func (hold) Intercept(context.Context, *proxy.Session) (proxy.Hooks, error) {
	return proxy.Hooks{Ask: func(_ context.Context, op proxy.Op) proxy.Verdict {
		if op.Info().Kind != proxy.KindStatement {
			return proxy.Pass()
		}
		v := proxytest.Hold("changes")
		v.Hold.Approvers = [][]string{{"ops"}}
		return v
	}}, nil
}

// An operation waits until somebody else has decided about it.
func ExampleDesk() {
	desk := &review.Desk{
		Store: store.NewMemory(),                                       // a database, where requests are to outlive the process
		Note:  func(context.Context, *proxy.Note) error { return nil }, // Gateway.Note, which records
	}
	if err := desk.Load(context.Background()); err != nil {
		fmt.Println(err)
		return
	}
	s, err := proxytest.Open(&proxy.Gateway{Reviewer: desk}, hold{})
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
