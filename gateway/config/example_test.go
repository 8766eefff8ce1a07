package config_test

import (
	"fmt"

	"github.com/sallyport/sallyport/gateway/config"
	"github.com/sallyport/sallyport/protocol"
	"github.com/sallyport/sallyport/protocol/tcp/kit"
	"github.com/sallyport/sallyport/secrets"
)

// Everything that is wrong with a file is said at once, with the lines.
func ExampleParse() {
	const text = `listen: {tcp: 127.0.0.1:6380}
resources:
  - {name: cache, type: tcp, addres: "redis.internal:6379"}
access:
  - {users: [bob], resources: [cach], allow: [connect]}
`
	_, err := config.Parse("gateway.yaml", []byte(text), config.Options{
		Protocols: []protocol.Protocol{kit.Protocol()}, Secrets: secrets.Default(),
	})
	fmt.Println(err)
	// Output:
	// gateway.yaml:3: unknown key "resources[0].addres" (did you mean "address"?)
	// gateway.yaml:5: no resource is named "cach" (did you mean "cache"?)
	// gateway.yaml:5: the rule names user "bob", who does not exist
}
