package review_test

import (
	"context"
	"fmt"

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/proxy/proxytest"
	"github.com/sallyport/sallyport/review"
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
func ExampleQueue() {
	queue := &review.Queue{}
	s, err := proxytest.Open(&proxy.Gateway{Reviewer: queue}, hold{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close(nil)
	waits := make(chan string, 1)
	s.Handle(func(_ proxy.Op, p *proxy.Pending) { waits <- p.ID }, nil)
	go func() { // another person, somewhere else
		r, ok := queue.Get(<-waits)
		if !ok {
			fmt.Println("the request is gone")
			return
		}
		fmt.Println(r.Requester, "asks:", r.Text)
		bob := &proxy.Identity{Subject: "bob", Groups: []string{"ops"}}
		if err := queue.Approve(r.ID, review.Vote{By: bob, Hash: r.Hash, Channel: "example"}); err != nil {
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
