package tokens_test

import (
	"context"
	"fmt"
	"time"

	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/identity/tokens"
	"github.com/sallyport/sallyport/proxy"
)

// A backup that logs in as a service, with a token as its database password.
func Example() {
	ctx := context.Background()
	programs := &tokens.Tokens{Documents: &identity.Memory{}}
	if err := programs.PutPrincipal(ctx, tokens.Principal{Name: "backup", Kind: proxy.Service, Groups: []string{"backups"}}); err != nil {
		fmt.Println(err)
		return
	}
	token, secret, err := programs.Create(ctx, tokens.Token{
		Label: "nightly", Subject: "backup", User: "backup", Expires: time.Now().Add(90 * 24 * time.Hour),
		Scopes: []tokens.Scope{{Resources: []string{"orders"}, Actions: []string{"read"}}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	id, err := programs.Authenticate(ctx, proxy.Proof{Method: proxy.MethodPassword, User: "backup", Password: secret})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(id.Subject, id.Groups, id.Claims[identity.ClaimToken] == token.ID)
	// Output: backup [backups] true
}
