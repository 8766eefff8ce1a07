package loopback_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/sallyport/sallyport/identity/loopback"
)

// A command line logs in by the browser of its user.
func Example() {
	receiver, err := loopback.Listen()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer receiver.Close()
	at, err := receiver.URL("https://gw.example.com/auth/corp/cli")
	if err != nil {
		fmt.Println(err)
		return
	}
	go browse(at, receiver.Port()) // in earnest a browser is started there

	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	code, err := receiver.Wait(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(code, "is redeemed with the verifier:", receiver.Verifier() != "")
	// Output:
	// c0de is redeemed with the verifier: true
}

// browse is a browser whose user logs in at once: the gateway sends it back with a code.
func browse(at string, port int) {
	u, err := url.Parse(at)
	if err != nil {
		fmt.Println(err)
		return
	}
	back := url.Values{"code": {"c0de"}, "state": {u.Query().Get("state")}}
	resp, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/callback?%s", port, back.Encode()))
	if err != nil {
		fmt.Println(err)
		return
	}
	resp.Body.Close()
}
