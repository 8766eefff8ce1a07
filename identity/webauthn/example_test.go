package webauthn_test

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/identity/webauthn"
)

// The gateway asks the browser to register a key. The browser's answer goes to FinishRegister.
func ExampleKeys_BeginRegister() {
	sealer, err := identity.NewSealer(nil) // a key that ends with the process; stored.Sealer keeps one
	if err != nil {
		fmt.Println(err)
		return
	}
	keys, err := webauthn.New(webauthn.Config{
		URL: "https://gw.example.com", Name: "Sallyport", Documents: &identity.Memory{}, Sealer: sealer,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	options, state, err := keys.BeginRegister(context.Background(), "local:alice", "alice")
	if err != nil {
		fmt.Println(err)
		return
	}
	var o struct {
		PublicKey struct {
			RP struct {
				ID string `json:"id"`
			} `json:"rp"`
			User struct {
				Name string `json:"name"`
			} `json:"user"`
			Selection struct {
				UserVerification string `json:"userVerification"`
			} `json:"authenticatorSelection"`
		} `json:"publicKey"`
	}
	if err := json.Unmarshal(options, &o); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(o.PublicKey.RP.ID, o.PublicKey.User.Name, o.PublicKey.Selection.UserVerification, state != "")
	_, _, err = keys.Begin(context.Background(), "local:alice")
	fmt.Println(err)
	// Output:
	// gw.example.com alice required true
	// authentication failed: no security key is registered
}
