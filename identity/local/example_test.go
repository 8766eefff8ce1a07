package local_test

import (
	"context"
	"fmt"

	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/identity/local"
	"github.com/sallyport/sallyport/identity/totp"
	"github.com/sallyport/sallyport/proxy"
)

// A user chooses a password of her own in place of the one that the operator gave her.
func Example() {
	ctx := context.Background()
	sealer, err := identity.NewSealer(nil) // a key that ends with the process; stored.Sealer keeps one
	if err != nil {
		fmt.Println(err)
		return
	}
	documents := &identity.Memory{} // stored.Documents, where gateways share them
	alice := identity.User{Name: "alice", Hash: identity.NewHash("given-by-the-operator")}
	users, err := identity.NewUsers([]identity.User{alice})
	if err != nil {
		fmt.Println(err)
		return
	}
	own := &local.Credentials{
		Documents: documents, Sealer: sealer,
		Codes: &totp.Codes{Documents: documents, Sealer: sealer, Issuer: "Sallyport"},
	}
	users.Owner = own

	login := func(password string) *proxy.Identity {
		id, err := users.Authenticate(ctx, proxy.Proof{Method: proxy.MethodPassword, User: "alice", Password: proxy.NewSecret(password), Protocol: "ssh"})
		fmt.Println(password+":", err)
		return id
	}
	id := login("given-by-the-operator")
	before := id.Claims[identity.ClaimPassword]
	if err := own.Choose(ctx, alice, before, proxy.NewSecret("eleven green herons")); err != nil {
		fmt.Println(err)
		return
	}
	login("given-by-the-operator")
	login("eleven green herons")
	// Output:
	// given-by-the-operator: <nil>
	// given-by-the-operator: authentication failed
	// eleven green herons: <nil>
}
