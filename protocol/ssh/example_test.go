package ssh_test

import (
	"context"
	"log"
	"net"
	"net/netip"
	"os"

	gossh "golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/protocol/ssh"
	"github.com/sallyport/sallyport/protocol/ssh/commandline"
	"github.com/sallyport/sallyport/proxy"
)

// A gateway for one host. Clients reach it as
//
//	ssh -p 6022 alice+vm1@gateway.example.com
//	ssh -J alice@gateway.example.com:6022 vm1
//
// with whatever the Authenticator takes, and the gateway logs in to vm1 with the
// key that the CredentialSource has.
func ExampleHandler() {
	pem, err := os.ReadFile("host_key")
	if err != nil {
		log.Fatal(err)
	}
	hostKey, err := gossh.ParsePrivateKey(pem)
	if err != nil {
		log.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:6022")
	if err != nil {
		log.Fatal(err)
	}
	settings := ssh.Settings{
		HostKeys: []string{"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAID0dZEQ8yw30KbGD+rIg5uRfPDMD4Fn9cPkBL2wLEUSJ"},
		Forwards: []string{"localhost:5432"}, // ssh -L 5432:localhost:5432
	}
	if err := settings.Validate(); err != nil {
		log.Fatal(err)
	}
	var (
		authenticator proxy.Authenticator    // such as identity.Users
		credentials   proxy.CredentialSource // such as secrets.Source
		rules         proxy.Interceptor      // such as a policy.Policy; without one nobody may connect
	)
	gateway := &proxy.Gateway{
		Authenticator: authenticator,
		Credentials:   credentials,
		Interceptors:  []proxy.Interceptor{rules},
		Directory: proxy.Resources{{
			Name: "vm1", Type: "ssh", Address: "vm1.internal:22",
			Accounts: []proxy.Account{{Name: "deploy", Username: "deploy", Secret: "file:/etc/sallyport/vm1_key"}},
			Settings: settings,
		}},
	}
	handler := &ssh.Handler{
		HostKeys: []gossh.Signer{hostKey},
		Grammar:  &commandline.Grammar{},
		Own: func() []netip.AddrPort {
			return []netip.AddrPort{netip.MustParseAddrPort(ln.Addr().String())}
		},
	}
	if err := gateway.Serve(context.Background(), ln, handler); err != nil {
		log.Fatal(err)
	}
}
