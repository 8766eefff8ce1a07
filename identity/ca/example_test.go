package ca_test

import (
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"fmt"
	"time"

	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/identity/ca"
	"github.com/sallyport/sallyport/proxy"
)

// Somebody who has logged in is given a certificate for an hour.
func ExampleUsers() {
	ctx, docs := context.Background(), &identity.Memory{}
	sealer, err := identity.NewSealer(nil) // of a key that is kept elsewhere
	if err != nil {
		fmt.Println(err)
		return
	}
	authority, err := ca.OpenAuthority(ctx, ca.ForUsers, ca.Options{Documents: docs, Sealer: sealer})
	if err != nil {
		fmt.Println(err)
		return
	}
	users := &ca.Users{Authority: authority, Documents: docs, Owner: func(_ context.Context, subject, _ string) (*proxy.Identity, error) {
		return &proxy.Identity{Subject: subject, Groups: []string{"entra:dba"}}, nil
	}}
	public, _, err := ed25519.GenerateKey(nil) // the command line keeps the other half
	if err != nil {
		fmt.Println(err)
		return
	}
	cert, err := users.Sign(ctx, ca.User{Name: "alice", Subject: "entra/7f3a", Proven: time.Now(), Expires: time.Now().Add(time.Hour)}, public)
	if err != nil {
		fmt.Println(err)
		return
	}
	id, err := users.Authenticate(ctx, proxy.Proof{Method: proxy.MethodCertificate, User: "alice", Certificates: []*x509.Certificate{cert}})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(id.Subject, id.Groups)
	// Output: entra/7f3a [entra:dba]
}
