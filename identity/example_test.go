package identity_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/proxy"
)

func ExampleNewUsers() {
	verifier, err := identity.NewVerifier("wonderland")
	if err != nil {
		fmt.Println(err)
		return
	}
	users, err := identity.NewUsers([]identity.User{{Name: "alice", Groups: []string{"dev"}, Password: verifier}})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, password := range []string{"wonderland", "looking-glass"} {
		id, err := users.Authenticate(context.Background(), proxy.Proof{Method: proxy.MethodPassword, User: "alice", Password: proxy.NewSecret(password)})
		if err != nil {
			fmt.Println(errors.Is(err, proxy.ErrUnauthenticated))
			continue
		}
		fmt.Println(id.Subject, id.Groups, id.Method)
	}
	// Output:
	// alice [dev] password
	// true
}
