package link_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"

	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/identity/link"
	"github.com/sallyport/sallyport/proxy"
)

// A gateway of one's own has people log in at a page of one's own: it shows which client waits,
// and hands on the code that a person types who has logged in there.
func Example() {
	sealer, err := identity.NewSealer(nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	links := &link.Links{
		Documents: &identity.Memory{}, Sealer: sealer, URL: func() string { return "https://gw.example.com" },
		Terms: func(q proxy.LinkRequest) (link.Terms, bool) { return link.Terms{}, q.Resource == "orders" },
	}
	gateway := &proxy.Gateway{Linker: links} // with the rest of it
	_ = gateway
	page := func(r *http.Request, who *proxy.Identity) error { // of POST /link/{id}
		from, err := netip.ParseAddrPort(r.RemoteAddr)
		if err != nil {
			return err
		}
		return links.Confirm(r.Context(), r.PathValue("id"), r.PostFormValue("code"), link.Person{Identity: who, Name: who.Name, Browser: from.Addr()}, nil)
	}
	_ = page

	// What a handler does, by proxy.Conn.Link, and the page.
	ctx := context.Background()
	client := proxy.LinkRequest{Login: proxy.Login{User: "alice"}, Resource: "orders", Remote: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 4000}}
	l, err := links.Offer(ctx, client)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer l.Close()
	id := l.URL[len("https://gw.example.com"+link.Path):]
	alice := link.Person{Identity: &proxy.Identity{Subject: "idp/7f3a", Name: "alice"}, Name: "alice", Browser: netip.MustParseAddr("192.0.2.1")}
	fmt.Println(links.Confirm(ctx, id, "BCDFG-BCDFG", alice, nil))
	fmt.Println(links.Confirm(ctx, id, l.Code, alice, nil))
	who, err := l.Wait(ctx)
	fmt.Println(who.Subject, who.Method, err)
	// Output:
	// authentication failed: this is not the code that the client shows
	// <nil>
	// idp/7f3a link <nil>
}
