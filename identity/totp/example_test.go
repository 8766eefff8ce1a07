package totp_test

import (
	"context"
	"fmt"
	"log"
	"net/url"

	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/identity/totp"
)

// A second factor counts when a code of the app has confirmed it.
func Example() {
	ctx := context.Background()
	sealer, err := identity.NewSealer(nil) // a key that ends with the process; stored.Sealer keeps one
	if err != nil {
		log.Fatal(err)
	}
	codes := &totp.Codes{Documents: &identity.Memory{}, Sealer: sealer, Issuer: "Sallyport"}
	address, err := codes.Enroll(ctx, "local:alice", "alice")
	if err != nil {
		log.Fatal(err)
	}
	u, err := url.Parse(address.Reveal()) // for the app, as a QR code
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(u.Scheme, u.Path)

	enrolled, err := codes.Enrolled(ctx, "local:alice")
	fmt.Println(enrolled, err)
	_, err = codes.Confirm(ctx, "local:alice", "no code")
	fmt.Println(err)
	// Output:
	// otpauth /Sallyport:alice
	// false <nil>
	// authentication failed: the code is wrong, or was used
}
