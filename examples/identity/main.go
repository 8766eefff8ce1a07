// Command identity is the reference gateway with an identity provider of one's own:
// users log in with short-lived tokens that an issuer has signed, sent as the
// password over TLS. Local users of the config file go on to work.
//
//	go run ./examples/identity keys issuer                       # issuer.key, issuer.pub
//	go run ./examples/identity serve sallyport.yaml issuer.pub
//	export PGPASSWORD=$(go run ./examples/identity token issuer.key carol dba)
//	psql "host=127.0.0.1 port=6432 user=carol+orders sslmode=verify-full sslrootcert=data/ca/ca.pem"
//
// Access rules of the config file name the tokens' groups with the issuer before
// them, such as "corp:dba", so that no token makes its holder a member of a local
// group.
package main

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/sallyport/sallyport/gateway"
	"github.com/sallyport/sallyport/gateway/config"
	"github.com/sallyport/sallyport/proxy"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(args []string, out io.Writer) error {
	switch {
	case len(args) == 2 && args[0] == "keys":
		public, private, err := ed25519.GenerateKey(nil)
		if err != nil {
			return err
		}
		return errors.Join(writeKey(args[1]+".key", private), writeKey(args[1]+".pub", public))
	case len(args) >= 3 && args[0] == "token":
		key, err := readKey(args[1], ed25519.PrivateKeySize)
		if err != nil {
			return err
		}
		token, err := issue(key, claims{User: args[2], Groups: args[3:], Expires: time.Now().Add(time.Hour)})
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(out, token)
		return err
	case len(args) == 3 && args[0] == "serve":
		key, err := readKey(args[2], ed25519.PublicKeySize)
		if err != nil {
			return err
		}
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
		defer stop()
		return gateway.Run(ctx, args[1], names(), options(key))
	}
	return errors.New("usage: identity keys NAME | token KEY USER GROUP… | serve CONFIG PUBLIC-KEY")
}

// issuer is what this gateway calls the issuer of tokens.
const issuer = "corp"

// names has the config file name users and groups that come with tokens only.
func names() config.Options {
	return config.Options{
		Users:  func(name string) bool { return strings.HasPrefix(name, issuer+"/") },
		Groups: func(name string) bool { return strings.HasPrefix(name, issuer+":") },
	}
}

// options are the whole of the wiring: tokens are asked first, and what is not one
// goes on to the users of the config file.
func options(key ed25519.PublicKey) gateway.Options {
	return gateway.Options{Authenticator: func(local proxy.Authenticator) proxy.Authenticator {
		return &tokens{key: key, now: time.Now, local: local}
	}}
}

func writeKey(file string, key []byte) error {
	return os.WriteFile(file, []byte(base64.StdEncoding.EncodeToString(key)+"\n"), 0o600)
}

func readKey(file string, size int) ([]byte, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(key) != size {
		return nil, fmt.Errorf("reading key %s: want %d bytes in base64", file, size)
	}
	return key, nil
}
