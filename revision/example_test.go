package revision_test

import (
	"context"
	"fmt"
	"strings"

	"github.com/sallyport/sallyport/revision"
	"github.com/sallyport/sallyport/store"
)

func Example() {
	ctx := context.Background()
	k := &revision.Keeper{
		Store: store.NewMemory(),
		Check: func(context.Context, []revision.Object, []revision.Change) error { return nil },
		Needs: func(c revision.Change) string {
			if strings.Contains(c.After, "allow") {
				return "it grants access"
			}
			return ""
		},
	}
	record := func(r *revision.Revision) error { return nil } // an audit log has it from here on
	key := revision.Key{Kind: "access", Name: "developers"}
	r, err := k.Propose(ctx, revision.Proposal{
		Put:    []revision.Object{{Key: key, Text: "{name: developers, groups: [dev], allow: [connect, read]}"}},
		Author: revision.Person{Subject: "ada"}, Reason: "ticket 7",
	}, record)
	if err != nil {
		panic(err)
	}
	fmt.Println(r.Number, r.State, r.Needs[0])
	r, err = k.Decide(ctx, r.Number, true, revision.Person{Subject: "bob"}, "looks right", record)
	if err != nil {
		panic(err)
	}
	fmt.Println(r.Number, r.State, r.Decided.By.Subject)
	// Output:
	// 1 waiting access/developers: it grants access
	// 1 applied bob
}
