package oidc_test

import (
	"fmt"
	"net/http"

	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/identity/oidc"
	"github.com/sallyport/sallyport/proxy"
)

// A gateway that people log in to with their company account.
func Example() {
	entra, err := oidc.New(oidc.Config{
		Name: "entra", Issuer: "https://login.microsoftonline.com/TENANT/v2.0",
		ClientID: "CLIENT", ClientSecret: proxy.NewSecret("…"), RedirectURL: "https://gw.example.com/auth/entra/callback",
		SubjectClaim: "oid",
		Groups: oidc.Groups{
			Claim: "groups", Graph: "https://graph.microsoft.com/v1.0",
			Names:  map[string]string{"4f1c7b1e-0000-0000-0000-000000000000": "dba"}, // entra:dba
			Grants: map[string][]string{"9a2e51d0-0000-0000-0000-000000000000": {"admin"}},
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	sealer, err := identity.NewSealer(nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	logins := &oidc.Logins{
		Providers: []*oidc.Provider{entra}, Documents: &identity.Memory{}, Sealer: sealer,
		Changed: func(c identity.Change) { fmt.Println("sessions of", c.Subject, "follow:", c.Reason) },
	}
	mux := http.NewServeMux()
	mux.Handle("/auth/", http.StripPrefix("/auth", &oidc.Handler{Logins: logins, Sealer: sealer}))
	fmt.Println(entra.Name(), logins.Check())
	// Output: entra <nil>
}
