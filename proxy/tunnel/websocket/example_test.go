package websocket_test

import (
	"fmt"
	"net/url"

	"github.com/sallyport/sallyport/proxy/tunnel/websocket"
)

// An agent in a network that lets HTTP out alone reaches its gateway at a URL.
func ExampleDialer_DialFunc() {
	for _, at := range []string{"wss://gw.example.com", "https://gw.example.com"} {
		u, err := url.Parse(at)
		if err != nil {
			fmt.Println(err)
			return
		}
		dial, err := websocket.Dialer{}.DialFunc(u) // for tunnel.Agent
		fmt.Println(at, dial != nil, err)
	}
	// Output:
	// wss://gw.example.com true <nil>
	// https://gw.example.com false the WebSocket https://gw.example.com: want ws:// or wss:// with a host, and without a user
}
